"""The verdict: claimed against numerical, entry by entry in units of rounding, then tensor by tensor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil, hypot, inf, nan, sqrt
from typing import NamedTuple

import numpy as np

from fastgrad.kernels import codes, launch
from fastgrad.kernels.records import Allowance
from fastgrad.machine import most_threads, share_out
from fastgrad.model.deferred import block_of, width
from fastgrad.model.forward import UNIT_ROUNDOFF, growth
from fastgrad.model.network import Array, Offsets, Problem, Tensor
from fastgrad.model.product import SAFE_SUM, norm
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
MAP = (64, 128)
"""Most rows and columns of a map of errors."""
JUDGED = 2**17
"""Entries that are judged at a time. Of a quarter of it 20 million took 126 ms for 56: BLAS and Python have their costs."""
FACTORS = 2**20
"""Inputs of a layer, over all examples, of which a block is made; of a layer with more it takes some columns."""
CACHED = 2**16
"""The same where there are so many rows that each of these inputs is taken more than once: they stay in a core's cache."""
LEAST_COLUMNS = 256
SMALLEST_UNIT = 2.0**-900
"""Of R, and its inverse the largest, within which nothing that is made of it is lost on the way."""
PARALLEL_WORK = 2**20
"""Multiply-adds from which on a second thread is worth waking."""


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

    def merge(self, other: _Tally) -> None:
        """Add what comes after it."""
        self.norms.merge(other.norms)
        self.checked, self.wrong = self.checked + other.checked, self.wrong + other.wrong
        self.at_kink, self.coarse = self.at_kink + other.at_kink, self.coarse + other.coarse
        self.room, self.common = max(self.room, other.room), min(self.common, other.common)
        self.zeros_pass &= other.zeros_pass
        self.allowed = hypot(self.allowed, other.allowed)
        if other.excess > self.excess:
            self.excess, self.worst = other.excess, other.worst
        if other.clearest > self.clearest:
            self.clearest, self.ratio = other.clearest, other.ratio


class _Piece(NamedTuple):
    """Some rows and columns of a tensor all of which are checked, or else some of those that are drawn, by their places."""

    tensor: Tensor
    rows: slice
    columns: slice
    drawn: Offsets | None = None

    @property
    def places(self) -> Offsets:
        """Where in theta they are."""
        if self.drawn is not None:
            return self.drawn
        rows, columns = (np.arange(part.start, part.stop) for part in (self.rows, self.columns))
        return (self.tensor.start + width(self.tensor) * rows[:, None] + columns).reshape(-1)

    def place(self, k: int) -> int:
        """Return the place of one of them."""
        if self.drawn is not None:
            return int(self.drawn[k])
        row, column = divmod(k, self.columns.stop - self.columns.start)
        return int(self.tensor.start + (self.rows.start + row) * width(self.tensor) + self.columns.start + column)


@dataclass(frozen=True, eq=False)
class _Block:
    """Some entries of a tensor.

    Which they are; the claim, the numerical value with its range on a kink and what in it is nearest to the claim;
    what the claim may be off, and what it might be in double precision.
    """

    piece: _Piece
    claimed: Array
    central: Array
    lower: Array
    upper: Array
    nearest: Array
    allowed: Array
    in_double: Array


@dataclass(frozen=True, eq=False)
class _Court:
    """What blocks are judged by."""

    problem: Problem
    numerical: Numerical
    extra: Array | None
    tolerance: float
    scale: RoundingScale

    def pieces(self, tensor: Tensor) -> Iterator[_Piece]:
        """Cut the checked entries of a tensor into blocks."""
        numerical, (height, columns) = self.numerical, (tensor.canonical_shape[0], width(tensor))
        if numerical.selected is not None:
            first, last = np.searchsorted(numerical.selected, (tensor.start, tensor.stop))
            length = max(1, FACTORS // self.problem.samples)
            for begin in range(first, last, length):
                drawn = numerical.selected[begin : min(begin + length, last)]
                yield _Piece(tensor, slice(0, 0), slice(0, 0), drawn)
            return
        samples = self.problem.samples
        across = min(columns, max(CACHED // samples, min(FACTORS // samples, JUDGED // height), LEAST_COLUMNS))
        down = max(1, JUDGED // across)
        for left in range(0, columns, across):
            for low in range(0, height, down):
                yield _Piece(tensor, slice(low, min(low + down, height)), slice(left, min(left + across, columns)))

    def tally(self, piece: _Piece) -> _Tally:
        """Judge a block: in one pass where its numbers are finite and as usual, else as `_count` does."""
        tally = None if piece.drawn is not None else self._quickly(piece)
        if tally is None:
            _count(tally := _Tally(), self.block(piece))
        return tally

    def _quickly(self, piece: _Piece) -> _Tally | None:
        tensor, numerical = piece.tensor, self.numerical
        claimed, central = (self._part(vector, piece) for vector in (self.problem.claimed, numerical.values))
        if self.extra is not None or tensor.grain is not None or not self._is_settled(piece, central):
            return None
        found = self._rounding(piece, central)
        if found is None:
            return None
        u, least = UNIT_ROUNDOFF[tensor.precision], UNDERFLOW[tensor.precision]
        unit, squares = found
        allowance = Allowance(
            unit=unit,
            growth=growth(self.problem.samples),
            coarse=self.tolerance * u,
            least=self.tolerance * least,
            fine=self.tolerance * UNIT_ROUNDOFF["float64"],
            least_fine=self.tolerance * UNDERFLOW["float64"],
        )
        totals, room = np.empty(codes.TOTALS), np.empty(codes.TOTALS * codes.LANES)
        launch.tally_block(claimed, central, squares, allowance, room, totals)
        return _from_totals(piece, totals, claimed, central)

    def _part(self, vector: Array | None, piece: _Piece) -> Array:
        """Return a block's share of a vector in theta's order."""
        assert vector is not None
        if piece.drawn is not None:
            return vector[piece.drawn]
        return np.ascontiguousarray(block_of(vector, piece.tensor, piece.rows, piece.columns)).reshape(-1)

    def _is_settled(self, piece: _Piece, central: Array) -> bool:
        """Tell whether no kink leaves a range in a block."""
        bounds = (self.numerical.lower, self.numerical.upper)
        return all(bound is None or np.array_equal(self._part(bound, piece), central) for bound in bounds)

    def _rounding(self, piece: _Piece, central: Array) -> tuple[float, Array] | None:
        """Return R² of a block with its unit; None where it is out of the range of one number."""
        tensor, scale = piece.tensor, self.scale
        if tensor.kind == "b":
            squares: tuple[float, Array] | None = scale.bias_squares(tensor.layer, piece.rows)
        else:
            squares = scale.squares(tensor.layer, piece.rows, piece.columns)
        if squares is None or not SMALLEST_UNIT < squares[0] < 1.0 / SMALLEST_UNIT:
            return None
        l2, l1 = next(((l2, l1) for place, l2, l1 in self.problem.network.penalties if place.start == tensor.start), (0.0, 0.0))
        if not (l2 or l1):
            return squares[0], squares[1].reshape(-1)
        rounding = squares[0] * np.sqrt(squares[1].reshape(-1))
        rounding += 2.0 * (l2 * np.abs(self._part(self.problem.theta, piece)) + l1)
        return 1.0, np.square(rounding)

    def block(self, piece: _Piece) -> _Block:
        """Work out all that is allowed in a block, whatever its numbers are."""
        problem, numerical, tensor = self.problem, self.numerical, piece.tensor
        precision = tensor.precision
        claimed, central = self._part(problem.claimed, piece), self._part(numerical.values, piece)
        rounding = self._any_rounding(piece, central) + growth(problem.samples) * np.abs(central)
        allowed = in_double = self.tolerance * (UNIT_ROUNDOFF[precision] * rounding + UNDERFLOW[precision])
        if precision != "float64":
            in_double = self.tolerance * (UNIT_ROUNDOFF["float64"] * rounding + UNDERFLOW["float64"])
        if self.extra is not None:
            extra = self._part(self.extra, piece)
            allowed, in_double = allowed + extra, in_double + extra
        if tensor.grain is not None:
            slack = tensor.grain.slack(claimed, self._part(problem.theta, piece))
            allowed, in_double = allowed + slack, in_double + slack
        lower = upper = nearest = central
        if numerical.lower is not None and numerical.upper is not None:
            lower, upper = self._part(numerical.lower, piece), self._part(numerical.upper, piece)
            nearest = np.where(np.isnan(claimed), central, np.clip(claimed, lower, upper))
        unknown = np.isnan(nearest) & ~np.isnan(claimed) | np.isnan(allowed)
        if unknown.any():  # the numerical gradient overflowed: whatever is claimed there cannot be held against anything
            nearest, allowed = np.where(unknown, claimed, nearest), np.where(unknown, inf, allowed)
        return _Block(piece, claimed, central, lower, upper, nearest, allowed, in_double)

    def _any_rounding(self, piece: _Piece, central: Array) -> Array:
        """Return R of a block."""
        tensor, scale, drawn = piece.tensor, self.scale, piece.drawn
        found = None if drawn is not None else self._rounding(piece, central)
        if found is not None and np.isfinite(found[1]).all():
            return found[0] * np.sqrt(found[1])
        if tensor.kind == "b":
            whole = scale.bias(tensor.layer)
            return whole[piece.rows] if drawn is None else whole[drawn - tensor.start]
        if drawn is not None:
            return scale.entries(tensor.layer, *np.divmod(drawn - tensor.start, tensor.canonical_shape[1]))
        return scale.rows(tensor.layer, piece.rows.start, piece.rows.stop)[:, piece.columns].reshape(-1)


def judge(
    problem: Problem,
    numerical: Numerical,
    extra: Array | None = None,
    tolerance: float = TOLERANCE,
    threads: int | None = None,
    scale: RoundingScale | None = None,
) -> Judgement:
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
    threads : int, optional
        Threads; by default all.
    scale : RoundingScale, optional
        How far rounding may move a gradient, where that is known already.

    Returns
    -------
    Judgement
        Tensors in theta's order.
    """
    court = _Court(problem, numerical, extra, tolerance, scale or numerical.scale)
    judged = [t for t in problem.tensors if t.gradient_name is not None and problem.claimed is not None]
    tallies = _tallied(court, judged, threads or most_threads())
    total = _Norms()
    reports = []
    for tensor in problem.tensors:
        tally = tallies.get(tensor.start)
        if tally is None:
            reports.append(unjudged(tensor, tolerance))
            continue
        if tensor.single:
            tally.wrong, tally.at_kink, tally.coarse = tally.checked, 0, 0
        total.merge(tally.norms)
        fits = (
            bool(tally.wrong)
            and not tensor.single
            and all(_fits(court.block(piece), tally.ratio) for piece in court.pieces(tensor))
        )
        size = court.scale.size(tensor.layer, tensor.kind)
        reports.append(_report(tensor, tally, size, tally.ratio if fits else None, tolerance))
    return Judgement(tuple(reports), total.relative() if any(report.checked for report in reports) else nan)


def _tallied(court: _Court, tensors: Sequence[Tensor], threads: int) -> dict[int, _Tally]:
    """Return the tally of each tensor, by its place; blocks are judged by any thread, and put together in their order."""
    pieces = [piece for tensor in tensors for piece in court.pieces(tensor)]
    found: list[_Tally | None] = [None] * len(pieces)

    def work(k: int) -> None:
        found[k] = court.tally(pieces[k])

    court.scale.factors  # noqa: B018  (made here, not by two threads at once)
    work_in_all = court.problem.samples * sum(tensor.size for tensor in tensors)
    share_out(len(pieces), work, threads if work_in_all >= PARALLEL_WORK else 1)
    tallies = {tensor.start: _Tally() for tensor in tensors}
    for piece, tally in zip(pieces, found, strict=True):
        assert tally is not None
        tallies[piece.tensor.start].merge(tally)
    return tallies


def _from_totals(piece: _Piece, totals: Array, claimed: Array, central: Array) -> _Tally | None:
    """Return the tally that the kernel's totals say; None where a number was not finite or too large to be squared."""
    off, claims, values, allowed = totals[: codes.ALLOWED + 1].tolist()
    if not off + claims + values + allowed < inf:
        return None
    worst, clearest = int(totals[codes.EXCESS_AT]), int(totals[codes.CLEAR_AT])
    clear = float(totals[codes.CLEAR])
    return _Tally(
        norms=_Norms(
            sqrt(off) if off > SAFE_SUM else norm(claimed - central),
            sqrt(claims) if claims > SAFE_SUM else norm(claimed),
            sqrt(values) if values > SAFE_SUM else norm(central),
        ),
        checked=claimed.size,
        wrong=int(totals[codes.WRONG]),
        coarse=int(totals[codes.COARSE]),
        room=float(totals[codes.ROOM]),
        common=float(totals[codes.COMMON]),
        zeros_pass=bool(totals[codes.SEEN] == 0.0),
        allowed=sqrt(allowed),
        excess=float(totals[codes.EXCESS]),
        worst=(piece.place(worst), float(claimed[worst]), float(central[worst])),
        clearest=clear if clear > 0.0 else -1.0,
        ratio=float(claimed[clearest] / central[clearest]) if clear > 0.0 else nan,
    )


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
    court = _Court(problem, numerical, extra, tolerance, numerical.scale)
    for block in map(court.block, court.pieces(tensor)):
        off, is_wrong = _held(block)
        seen = np.where(np.isnan(off), np.inf, off)
        if block.piece.drawn is None and block.piece.columns == slice(0, n_in):
            # The cells of whole rows one axis after the other.
            of_columns, of_rows = (starts[0], starts[1]) if turned else (starts[1], starts[0])
            across = seen.reshape(-1, n_in), is_wrong.reshape(-1, n_in)
            seen, has = (
                f.reduceat(part, of_columns[:-1], axis=1) for f, part in zip((np.fmax, np.logical_or), across, strict=True)
            )
            rows_of = np.arange(block.piece.rows.start, block.piece.rows.stop)
            cells = np.searchsorted(of_rows, rows_of, side="right") - 1
            np.fmax.at(errors.T if turned else errors, cells, seen)
            np.logical_or.at(wrong.T if turned else wrong, cells, has)
        else:
            index = np.divmod(block.piece.places - tensor.start, n_in)[:: -1 if turned else 1]
            places = tuple(np.searchsorted(start, k, side="right") - 1 for start, k in zip(starts, index, strict=True))
            np.fmax.at(errors, places, seen)
            np.logical_or.at(wrong, places, is_wrong)
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
    """Put a block into an empty tally."""
    off, wrong = _held(block)
    with np.errstate(invalid="ignore", over="ignore"):
        excess = off / block.allowed
        excess[np.isnan(excess)] = 0.0  # infinite and allowed to be, or both 0
        excess[np.isnan(off)] = np.inf  # a claim that is no number
        clear = np.where(np.isfinite(block.claimed), np.abs(block.nearest) / block.allowed, -1.0)
    tally.norms = _Norms(norm(off), norm(block.claimed), norm(block.nearest))
    tally.allowed = norm(block.allowed)
    tally.checked, tally.wrong = off.size, int(wrong.sum())
    _sort_out(tally, block, off, wrong)
    _sense(tally, block, off, wrong)
    worst, clearest = int(np.argmax(excess)), int(np.argmax(clear))
    if excess[worst] > tally.excess:
        tally.excess = float(excess[worst])
        tally.worst = (block.piece.place(worst), float(block.claimed[worst]), float(block.central[worst]))
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
