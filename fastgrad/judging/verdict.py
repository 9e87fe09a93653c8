"""The verdict: claimed against numerical, entry by entry in units of rounding, then tensor by tensor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil, hypot, inf, nan, sqrt

import numpy as np

from fastgrad.model.forward import UNIT_ROUNDOFF, growth
from fastgrad.model.network import Array, Offsets, Problem, Tensor
from fastgrad.model.product import norm
from fastgrad.model.rounding import TOLERANCE, UNDERFLOW, RoundingScale
from fastgrad.numerical import Numerical
from fastgrad.numerical.kinks import Mask
from fastgrad.report.parts import Entry, ErrorMap, Outcomes, Sensitivity, TensorReport, Verdict

LOST = 0.25
"""Share of a tensor's size, as root mean squares, from which on what is allowed for rounding leaves nothing to judge."""
CANCELLED = 2.0**-10
"""The same where zeros would pass: the sum over the samples has cancelled to what rounding leaves. Where that is less than
this share of its terms it is zero for a reason, symmetry or a minimum, and a claim of zero is right; else it may not be."""
LARGEST = float(np.finfo(np.float64).max)
BLOCK = 2**20
"""Entries whose rounding is computed at a time: a network's gradient may not fit into memory many times over."""
MAP = (64, 128)
"""Most rows and columns of a map of errors."""
JUDGED = 2**14
"""Entries of those that are judged at a time: some dozen arrays of them stay in a core's cache."""


@dataclass(frozen=True, eq=False)
class Judgement:
    """What was found: tensor by tensor, and the relative difference over all checked entries."""

    tensors: tuple[TensorReport, ...]
    relative_difference: float


@dataclass(eq=False)
class _Norms:
    """Norms of claimed − numerical, claimed and numerical, added up block by block without overflow or underflow."""

    difference: float = 0.0
    claimed: float = 0.0
    numerical: float = 0.0

    def add(self, difference: Array, claimed: Array, numerical: Array) -> None:
        self.difference = hypot(self.difference, norm(difference))
        self.claimed = hypot(self.claimed, norm(claimed))
        self.numerical = hypot(self.numerical, norm(numerical))

    def merge(self, other: _Norms) -> None:
        self.difference = hypot(self.difference, other.difference)
        self.claimed = hypot(self.claimed, other.claimed)
        self.numerical = hypot(self.numerical, other.numerical)

    def relative(self) -> float:
        """‖claimed − numerical‖ / (‖claimed‖ + ‖numerical‖), 0 where both are zero."""
        total = self.claimed + self.numerical
        return self.difference / total if total else 0.0


@dataclass(eq=False)
class _Tally:
    """What the blocks of one tensor come to."""

    norms: _Norms = field(default_factory=_Norms)
    checked: int = 0
    wrong: int = 0
    at_kink: int = 0
    coarse: int = 0
    room: float = 0.0
    common: float = inf
    zeros_pass: bool = True
    allowed: float = 0.0
    excess: float = -1.0
    worst: tuple[int, float, float] = (0, nan, nan)
    clearest: float = -1.0
    ratio: float = nan


@dataclass(frozen=True, eq=False)
class _Block:
    """Some entries of a tensor.

    Where in theta they are; the claim, the numerical value with its range on a kink and what in it is nearest to the claim;
    what the claim may be off, and what it might be in double precision.
    """

    first: int
    places: Offsets | None
    claimed: Array
    central: Array
    lower: Array
    upper: Array
    nearest: Array
    allowed: Array
    in_double: Array

    def place(self, k: int) -> int:
        return self.first + k if self.places is None else int(self.places[k])


def judge(problem: Problem, numerical: Numerical, extra: Array | None = None, tolerance: float = TOLERANCE) -> Judgement:
    """Judge every tensor.

    Parameters
    ----------
    problem : Problem
        With its claimed gradient.
    numerical : Numerical
        The gradient to hold it against.
    extra : ndarray, shape (P,), optional
        Error of the numerical values beyond rounding, where they were made with a fixed step.
    tolerance : float
        Multiple of u·R that a claim may be off.

    Returns
    -------
    Judgement
        Tensors in theta's order.
    """
    scale = numerical.scale
    total = _Norms()
    reports = []
    for tensor in problem.tensors:
        if tensor.gradient_name is None or problem.claimed is None:
            reports.append(unjudged(tensor, tolerance))
            continue
        tally = _Tally()
        for block in _blocks(problem, numerical, scale, extra, tensor, tolerance):
            _count(tally, block)
        if tensor.single:
            tally.wrong, tally.at_kink, tally.coarse = tally.checked, 0, 0
        total.merge(tally.norms)
        fits = (
            bool(tally.wrong)
            and not tensor.single
            and all(_fits(block, tally.ratio) for block in _blocks(problem, numerical, scale, extra, tensor, tolerance))
        )
        size = scale.size(tensor.layer, tensor.kind)
        reports.append(_report(tensor, tally, size, tally.ratio if fits else None, tolerance))
    return Judgement(tuple(reports), total.relative() if any(report.checked for report in reports) else nan)


def _blocks(
    problem: Problem, numerical: Numerical, scale: RoundingScale, extra: Array | None, tensor: Tensor, tolerance: float
) -> Iterator[_Block]:
    """Cut the checked entries of a tensor into blocks of about `BLOCK`, whole rows of it where all are checked."""
    for places, rounding in _places(numerical, scale, tensor):
        for low in range(0, rounding.size, JUDGED):
            high = min(low + JUDGED, rounding.size)
            if isinstance(places, slice):
                some: slice | Offsets = slice(places.start + low, places.start + high)
            else:
                some = places[low:high]
            yield _block(problem, numerical, some, rounding[low:high], extra, tensor, tolerance)


def _block(
    problem: Problem,
    numerical: Numerical,
    places: slice | Offsets,
    rounding: Array,
    extra: Array | None,
    tensor: Tensor,
    tolerance: float,
) -> _Block:
    precision = tensor.precision
    claimed, central = problem.claimed[places], numerical.values[places]  # type: ignore[index]
    rounding += growth(problem.samples) * np.abs(central)
    allowed = in_double = tolerance * (UNIT_ROUNDOFF[precision] * rounding + UNDERFLOW[precision])
    if precision != "float64":
        in_double = tolerance * (UNIT_ROUNDOFF["float64"] * rounding + UNDERFLOW["float64"])
    if extra is not None:
        allowed, in_double = allowed + extra[places], in_double + extra[places]
    if tensor.grain is not None:
        slack = tensor.grain.slack(claimed, problem.theta[places])
        allowed, in_double = allowed + slack, in_double + slack
    lower = upper = nearest = central
    if numerical.lower is not None and numerical.upper is not None:
        lower, upper = numerical.lower[places], numerical.upper[places]
        nearest = np.where(np.isnan(claimed), central, np.clip(claimed, lower, upper))
    unknown = np.isnan(nearest) & ~np.isnan(claimed) | np.isnan(allowed)
    if unknown.any():  # the numerical gradient overflowed: whatever is claimed there cannot be held against anything
        nearest, allowed = np.where(unknown, claimed, nearest), np.where(unknown, inf, allowed)
    first, listed = (places.start, None) if isinstance(places, slice) else (0, places)
    return _Block(first, listed, claimed, central, lower, upper, nearest, allowed, in_double)


def _places(
    numerical: Numerical, scale: RoundingScale, tensor: Tensor
) -> Iterator[tuple[slice, Array] | tuple[Offsets, Array]]:
    """Yield runs of a tensor's checked places in theta, with the rounding scale of each."""
    if numerical.selected is None:
        if tensor.kind == "b":
            yield slice(tensor.start, tensor.stop), scale.bias(tensor.layer)
            return
        n_out, n_in = tensor.canonical_shape
        rows = max(1, BLOCK // n_in)
        for low in range(0, n_out, rows):
            high = min(low + rows, n_out)
            yield slice(tensor.start + low * n_in, tensor.start + high * n_in), scale.rows(tensor.layer, low, high).ravel()
        return
    first, last = np.searchsorted(numerical.selected, (tensor.start, tensor.stop))
    length = max(1, BLOCK // scale.problem.samples)
    for begin in range(first, last, length):
        places = numerical.selected[begin : min(begin + length, last)]
        local = places - tensor.start
        if tensor.kind == "b":
            yield places, scale.bias(tensor.layer)[local]
        else:
            yield places, scale.entries(tensor.layer, *np.divmod(local, tensor.canonical_shape[1]))


def error_map(
    problem: Problem, numerical: Numerical, tensor: Tensor, extra: Array | None = None, tolerance: float = TOLERANCE
) -> ErrorMap:
    """Return where a claimed tensor is off; the other arguments and the judgement of each entry as in `judge`."""
    assert tensor.gradient_name is not None
    n_out, n_in = tensor.canonical_shape if tensor.kind == "W" else (tensor.size, 1)
    turned = tensor.transposed or tensor.kind == "b"
    shape = (n_in, n_out) if turned else (n_out, n_in)
    starts = [np.unique(np.linspace(0, n, min(n, most) + 1).astype(np.int64)) for n, most in zip(shape, MAP, strict=True)]
    errors, wrong = np.full([start.size - 1 for start in starts], nan), np.zeros([start.size - 1 for start in starts], bool)
    count, checked, unit = 0, 0, 0.0
    for block in _blocks(problem, numerical, numerical.scale, extra, tensor, tolerance):
        places = np.arange(block.first, block.first + block.claimed.size) if block.places is None else block.places
        index = np.divmod(places - tensor.start, n_in)[:: -1 if turned else 1]
        cells = tuple(np.searchsorted(start, k, side="right") - 1 for start, k in zip(starts, index, strict=True))
        off, is_wrong = _held(block)
        np.fmax.at(errors, cells, np.where(np.isnan(off), np.inf, off))
        np.logical_or.at(wrong, cells, is_wrong)
        count, checked = count + int(is_wrong.sum()), checked + off.size
        unit = max(unit, float(np.abs(block.nearest).max(initial=0.0)))
    unit = unit or 1.0
    shift = 1 if tensor.kind == "W" and tensor.column == 0 else 0
    rows, columns = (start + shift * (axis == (not turned)) for axis, start in enumerate(starts))
    return ErrorMap(
        gradient_name=tensor.gradient_name,
        axes=("", "unit") if tensor.kind == "b" else ("input", "unit") if turned else ("unit", "input"),
        rows=tuple(rows.tolist()),
        columns=tuple(columns.tolist()),
        errors=tuple(map(tuple, (errors / unit).tolist())),
        wrong=tuple(map(tuple, wrong.tolist())),
        unit=unit,
        count=count,
        checked=checked,
    )


def _held(block: _Block) -> tuple[Array, Mask]:
    """Return how far each claim is off, and whether it is wrong."""
    with np.errstate(invalid="ignore", over="ignore"):
        off = np.abs(block.claimed - block.nearest)
        # Written so that nan is wrong.
        return off, ~(off <= block.allowed)


def _count(tally: _Tally, block: _Block) -> None:
    """Add a block to a tally."""
    off, wrong = _held(block)
    with np.errstate(invalid="ignore", over="ignore"):
        excess = off / block.allowed
        excess[np.isnan(excess)] = 0.0  # infinite and allowed to be, or both 0
        excess[np.isnan(off)] = np.inf  # a claim that is no number
        clear = np.where(np.isfinite(block.claimed), np.abs(block.nearest) / block.allowed, -1.0)
    tally.norms.add(off, block.claimed, block.nearest)
    tally.allowed = hypot(tally.allowed, norm(block.allowed))
    tally.checked += off.size
    tally.wrong += int(wrong.sum())
    _sort_out(tally, block, off, wrong)
    _sense(tally, block, off, wrong)
    worst, clearest = int(np.argmax(excess)), int(np.argmax(clear))
    if excess[worst] > tally.excess:
        tally.excess = float(excess[worst])
        tally.worst = (block.place(worst), float(block.claimed[worst]), float(block.central[worst]))
    if clear[clearest] > tally.clearest and block.nearest[clearest] != 0.0:
        tally.clearest = float(clear[clearest])
        tally.ratio = float(block.claimed[clearest] / block.nearest[clearest])


def _sort_out(tally: _Tally, block: _Block, off: Array, wrong: Mask) -> None:
    """Count the entries that are right only because of a kink, or in a precision below double."""
    if block.nearest is not block.central:
        with np.errstate(invalid="ignore", over="ignore"):
            at_kink = ~wrong & (np.abs(block.claimed - block.central) > block.allowed)
        tally.at_kink += int(at_kink.sum())
        wrong = wrong | at_kink
    if block.in_double is not block.allowed:
        tally.coarse += int((~wrong & (off > block.in_double)).sum())


def _sense(tally: _Tally, block: _Block, off: Array, wrong: Mask) -> None:
    """Add up how far claims might be moved and still pass, a wrong one as if it were right, and whether zeros would."""
    beyond, width = off, np.zeros(())
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        if block.nearest is not block.central:
            beyond, width = np.maximum(block.upper - block.claimed, block.claimed - block.lower), block.upper - block.lower
        room = block.allowed + np.where(wrong, width, beyond)
        common = float((room / np.abs(block.nearest)).min())
        zeros_pass = ((block.lower <= block.allowed) & (block.upper >= -block.allowed)).all()
    tally.room = max(tally.room, float(room.max()))
    tally.common = min(tally.common, common)
    tally.zeros_pass &= bool(zeros_pass)


def _fits(block: _Block, ratio: float) -> bool:
    """Tell whether claimed = ratio·numerical over a block, to rounding; the ratio was made of two entries, each rounded."""
    bound = 2.0 * max(1.0, abs(ratio)) * block.allowed
    with np.errstate(invalid="ignore", over="ignore"):
        return bool((np.abs(block.claimed - ratio * block.nearest) <= bound).all())


def _report(tensor: Tensor, tally: _Tally, size: float, ratio: float | None, tolerance: float) -> TensorReport:
    if tally.checked == 0:
        return unjudged(tensor, tolerance)
    place, claimed, numerical = tally.worst
    lost = _is_lost(tally, size)
    return TensorReport(
        name=tensor.name,
        gradient_name=tensor.gradient_name,
        shape=tensor.shape,
        verdict="not judged" if lost else _verdict(tally),
        relative_difference=tally.norms.relative(),
        checked=tally.checked,
        wrong=tally.wrong,
        worst=Entry(tensor.user_index(place - tensor.start), claimed, numerical),
        ratio=ratio,
        tolerance=tolerance,
        precision=tensor.precision,
        outcomes=Outcomes(not_judged=tensor.size) if lost else _outcomes(tensor, tally),
        sensitivity=_sensitivity(tensor, tally),
        written=None if tensor.grain is None else tensor.grain.words,
        unseen=tally.room,
    )


def _is_lost(tally: _Tally, size: float) -> bool:
    """Tell whether so much is allowed that a gradient of nothing but zeros could pass for one of this size.

    So it is where what is allowed overflows: then anything would pass.
    """
    typical = max(size * sqrt(tally.checked), tally.norms.numerical)
    share = CANCELLED if tally.zeros_pass else LOST
    hidden = typical > 0.0 and not tally.allowed <= share * typical
    return not tally.wrong and (hidden or not tally.allowed <= LARGEST)


def _verdict(tally: _Tally) -> Verdict:
    """Sum a tensor up."""
    if tally.wrong:
        return "wrong"
    if tally.at_kink:
        return "at a kink"
    return "right in float32" if tally.coarse else "right"


def _outcomes(tensor: Tensor, tally: _Tally) -> Outcomes:
    return Outcomes(
        right=tally.checked - tally.wrong - tally.at_kink - tally.coarse,
        right_in_float32=tally.coarse,
        at_kink=tally.at_kink,
        wrong=tally.wrong,
        not_judged=tensor.size - tally.checked,
    )


def _sensitivity(tensor: Tensor, tally: _Tally) -> Sensitivity:
    typical = tally.norms.numerical / sqrt(tally.checked)
    return Sensitivity(
        entry=tally.room / typical if typical else None,
        whole=tally.common if tally.common < inf else None,
        zeros_pass=tally.zeros_pass,
        missed=tuple((k, chance_of_missing(tensor.size, tally.checked, k)) for k in (1, 10, ceil(tensor.size / 100))),
    )


def chance_of_missing(entries: int, drawn: int, wrong: int) -> float:
    """Return the chance that none of some wrong entries is among those drawn without replacement.

    Notes
    -----
    The hypergeometric C(N − k, n)/C(N, n) = Π_i (N − n − i)/(N − i) over i < k; of fewer than k entries all are wrong.
    """
    wrong = min(wrong, entries)
    if drawn + wrong > entries:
        return 0.0
    i = np.arange(wrong)
    return float(np.exp(np.log1p(-drawn / (entries - i)).sum()))


def unjudged(tensor: Tensor, tolerance: float) -> TensorReport:
    """Return the report of a tensor that was not looked at."""
    return TensorReport(
        name=tensor.name,
        gradient_name=tensor.gradient_name,
        shape=tensor.shape,
        verdict="left out" if tensor.frozen else "not judged",
        relative_difference=nan,
        checked=0,
        wrong=0,
        worst=None,
        ratio=None,
        tolerance=tolerance,
        precision=tensor.precision,
        outcomes=Outcomes(not_judged=tensor.size),
    )
