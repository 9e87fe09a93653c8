"""Claimed against numerical, entry by entry, in units of rounding: right, at a kink, or wrong; then tensor by tensor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import hypot, nan

import numpy as np

from fastgrad.backprop import RoundingScale, rounding_scale
from fastgrad.forward import UNIT_ROUNDOFF, growth
from fastgrad.network import Array, Offsets, Problem, Tensor
from fastgrad.numerical import Numerical
from fastgrad.report import Entry, TensorReport, Verdict

TOLERANCE = 32.0
"""Multiple of u·R that a right gradient may be off. R is the typical size of what rounding does to the usual backward pass:
of a million entries some reach five times that, errors that sums share add up, the numerical gradient brings as much again,
and unusual orders of the same sums a few times more. Mistakes start some orders of magnitude above."""
LOST = 0.25
"""Share of a tensor's size, as root mean squares, from which on what is allowed for rounding leaves nothing to judge."""
UNDERFLOW = {"float64": 2.0**-1022, "float32": 2.0**-126, "float16": 2.0**-24}
"""Absolute error where results become subnormal: they may be flushed to zero; half precision, which has few others, keeps
them."""
BLOCK = 2**20
"""Entries judged at a time: a network's gradient may not fit into memory many times over."""


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
        self.difference = hypot(self.difference, _norm(difference))
        self.claimed = hypot(self.claimed, _norm(claimed))
        self.numerical = hypot(self.numerical, _norm(numerical))

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
    at_kink: bool = False
    allowed: float = 0.0
    excess: float = -1.0
    worst: tuple[int, float, float] = (0, nan, nan)
    clearest: float = -1.0
    ratio: float = nan


@dataclass(frozen=True, eq=False)
class _Block:
    """Some entries of a tensor: where in theta, both values (the numerical one nearest to the claim), what it may be off."""

    first: int
    places: Offsets | None
    claimed: Array
    central: Array
    nearest: Array
    allowed: Array

    def place(self, k: int) -> int:
        return self.first + k if self.places is None else int(self.places[k])


def judge(problem: Problem, numerical: Numerical, extra: Array | None = None) -> Judgement:
    """Judge every tensor.

    Parameters
    ----------
    problem : Problem
        With its claimed gradient.
    numerical : Numerical
        The gradient to hold it against.
    extra : ndarray, shape (P,), optional
        Error of the numerical values beyond rounding, where they were made with a fixed step.

    Returns
    -------
    Judgement
        Tensors in theta's order.
    """
    scale = rounding_scale(problem, numerical.base)
    total = _Norms()
    reports = []
    for tensor in problem.tensors:
        if tensor.gradient_name is None or problem.claimed is None:
            reports.append(_unjudged(tensor))
            continue
        tally = _Tally()
        for block in _blocks(problem, numerical, scale, extra, tensor):
            _count(tally, block)
        total.merge(tally.norms)
        fits = bool(tally.wrong) and all(_fits(b, tally.ratio) for b in _blocks(problem, numerical, scale, extra, tensor))
        reports.append(_report(tensor, tally, scale.size(tensor.layer, tensor.kind), tally.ratio if fits else None))
    return Judgement(tuple(reports), total.relative() if any(report.checked for report in reports) else nan)


def _blocks(
    problem: Problem, numerical: Numerical, scale: RoundingScale, extra: Array | None, tensor: Tensor
) -> Iterator[_Block]:
    """Cut the checked entries of a tensor into blocks of about `BLOCK`, whole rows of it where all are checked."""
    for places, rounding in _places(numerical, scale, tensor):
        claimed, central = problem.claimed[places], numerical.values[places]  # type: ignore[index]
        rounding += growth(problem.samples) * np.abs(central)
        allowed = TOLERANCE * (UNIT_ROUNDOFF[tensor.precision] * rounding + UNDERFLOW[tensor.precision])
        if extra is not None:
            allowed += extra[places]
        nearest = central
        if numerical.lower is not None and numerical.upper is not None:
            clipped = np.clip(claimed, numerical.lower[places], numerical.upper[places])
            nearest = np.where(np.isnan(claimed), central, clipped)
        if isinstance(places, slice):
            yield _Block(places.start, None, claimed, central, nearest, allowed)
        else:
            yield _Block(0, places, claimed, central, nearest, allowed)


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


def _count(tally: _Tally, block: _Block) -> None:
    """Add a block to a tally."""
    with np.errstate(invalid="ignore", over="ignore"):
        off = np.abs(block.claimed - block.nearest)
        # Written so that nan is wrong.
        wrong = ~(off <= block.allowed)
        excess = np.where(np.isnan(off), np.inf, off / block.allowed)
        tally.at_kink |= bool((np.abs(block.claimed - block.central) > block.allowed).any())
        clear = np.where(np.isfinite(block.claimed), np.abs(block.nearest) / block.allowed, -1.0)
    tally.norms.add(off, block.claimed, block.nearest)
    tally.allowed = hypot(tally.allowed, _norm(block.allowed))
    tally.checked += off.size
    tally.wrong += int(wrong.sum())
    worst, clearest = int(np.argmax(excess)), int(np.argmax(clear))
    if excess[worst] > tally.excess:
        tally.excess = float(excess[worst])
        tally.worst = (block.place(worst), float(block.claimed[worst]), float(block.central[worst]))
    if clear[clearest] > tally.clearest and block.nearest[clearest] != 0.0:
        tally.clearest = float(clear[clearest])
        tally.ratio = float(block.claimed[clearest] / block.nearest[clearest])


def _fits(block: _Block, ratio: float) -> bool:
    """Tell whether claimed = ratio·numerical over a block, to rounding; the ratio was made of two entries, each rounded."""
    bound = 2.0 * max(1.0, abs(ratio)) * block.allowed
    with np.errstate(invalid="ignore", over="ignore"):
        return bool((np.abs(block.claimed - ratio * block.nearest) <= bound).all())


def _report(tensor: Tensor, tally: _Tally, size: float, ratio: float | None) -> TensorReport:
    if tally.checked == 0:
        return _unjudged(tensor)
    place, claimed, numerical = tally.worst
    coarse = UNIT_ROUNDOFF[tensor.precision] > UNIT_ROUNDOFF["float64"]
    return TensorReport(
        name=tensor.name,
        gradient_name=tensor.gradient_name,
        shape=tensor.shape,
        verdict="not judged"
        if _is_lost(tally, size)
        else _verdict(tally, coarse and tally.excess * UNIT_ROUNDOFF[tensor.precision] > UNIT_ROUNDOFF["float64"]),
        relative_difference=tally.norms.relative(),
        checked=tally.checked,
        wrong=tally.wrong,
        worst=Entry(tensor.user_index(place - tensor.start), claimed, numerical),
        ratio=ratio,
        tolerance=TOLERANCE,
    )


def _is_lost(tally: _Tally, size: float) -> bool:
    """Tell whether so much is allowed that a gradient of nothing but zeros could pass for one of this size."""
    typical = max(size * np.sqrt(tally.checked), tally.norms.numerical)
    return not tally.wrong and size > 0.0 and tally.allowed > LOST * typical


def _verdict(tally: _Tally, coarse: bool) -> Verdict:
    """Sum a tensor up; coarse tells that it is right only on the scale of a precision below double."""
    if tally.wrong:
        return "wrong"
    if tally.at_kink:
        return "at a kink"
    return "right in float32" if coarse else "right"


def _unjudged(tensor: Tensor) -> TensorReport:
    return TensorReport(
        name=tensor.name,
        gradient_name=tensor.gradient_name,
        shape=tensor.shape,
        verdict="not judged",
        relative_difference=nan,
        checked=0,
        wrong=0,
        worst=None,
        ratio=None,
        tolerance=TOLERANCE,
    )


def _norm(values: Array) -> float:
    """Euclidean norm, scaled by the largest entry; nan where there is one, inf where there is one and no nan."""
    largest = float(np.abs(values).max(initial=0.0))
    if largest == 0.0 or not np.isfinite(largest):
        return largest
    return largest * float(np.linalg.norm(values / largest))
