"""A tensor judged in blocks, entry by entry in units of rounding, and what its blocks come to; called by verdict."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import hypot, inf, nan, sqrt
from typing import NamedTuple, cast

import numpy as np

from fastgrad.kernels import codes, launch
from fastgrad.kernels.codes import SQUARED_INPUTS
from fastgrad.kernels.records import Allowance, FirstClaims
from fastgrad.model.deferred import block_of, width
from fastgrad.model.forward import UNIT_ROUNDOFF, growth
from fastgrad.model.network import Array, Offsets, Problem, Tensor
from fastgrad.model.product import SAFE_SUM, SMALLEST_SQUARE, norm
from fastgrad.model.rounding import UNDERFLOW, RoundingScale
from fastgrad.numerical import Numerical
from fastgrad.numerical.flows import Bound, Flows
from fastgrad.numerical.kinks import Mask

JUDGED = 2**17
"""Entries that are judged at a time. Of a quarter of it 20 million took 126 ms for 56: BLAS and Python have their costs."""
FACTORS = 2**18
"""Inputs of a layer, over all examples, of which a block is made; of a layer with more it takes some columns."""
CACHED = 2**16
"""The same where there are so many rows that each of these inputs is taken more than once: they stay in a core's cache."""
LEAST_COLUMNS = 256
FEW_JUDGED, MOST_AT_ONCE = 2**13, 2**20
"""Entries of a block of the first layer where all of its blocks are judged in one call, and the most in all of them."""
SMALLEST_UNIT = 2.0**-900
"""Of R, and its inverse the largest, within which nothing that is made of it is lost on the way."""


@dataclass(eq=False)
class Norms:
    """Norms of claimed − numerical, claimed and numerical, added up block by block without overflow or underflow."""

    difference: float = 0.0
    claimed: float = 0.0
    numerical: float = 0.0

    def merge(self, other: Norms) -> None:
        """Add those of another block."""
        self.difference = hypot(self.difference, other.difference)
        self.claimed = hypot(self.claimed, other.claimed)
        self.numerical = hypot(self.numerical, other.numerical)

    def relative(self) -> float:
        """‖claimed − numerical‖ / (‖claimed‖ + ‖numerical‖), 0 where both are zero."""
        total = self.claimed + self.numerical
        return self.difference / total if total else 0.0


@dataclass(eq=False)
class Tally:
    """What the blocks of one tensor come to."""

    norms: Norms = field(default_factory=Norms)
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

    def merge(self, other: Tally) -> None:
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


class Piece(NamedTuple):
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

    @property
    def size(self) -> int:
        """How many they are."""
        if self.drawn is not None:
            return int(self.drawn.size)
        return int((self.rows.stop - self.rows.start) * (self.columns.stop - self.columns.start))

    def place(self, k: int) -> int:
        """Return the place of one of them."""
        if self.drawn is not None:
            return int(self.drawn[k])
        row, column = divmod(k, self.columns.stop - self.columns.start)
        return int(self.tensor.start + (self.rows.start + row) * width(self.tensor) + self.columns.start + column)


@dataclass(frozen=True, eq=False)
class Block:
    """Some entries of a tensor.

    Which they are; the claim, the numerical value with its range on a kink and what in it is nearest to the claim;
    what the claim may be off, and what it might be in double precision.
    """

    piece: Piece
    claimed: Array
    central: Array
    lower: Array
    upper: Array
    nearest: Array
    allowed: Array
    in_double: Array


@dataclass(frozen=True, eq=False)
class Court:
    """What blocks are judged by."""

    problem: Problem
    numerical: Numerical
    extra: Array | None
    tolerance: float
    scale: RoundingScale

    def pieces(self, tensor: Tensor) -> Iterator[Piece]:
        """Cut the checked entries of a tensor into blocks."""
        numerical, (height, columns) = self.numerical, (tensor.canonical_shape[0], width(tensor))
        if numerical.selected is not None:
            first, last = np.searchsorted(numerical.selected, (tensor.start, tensor.stop))
            length = max(1, FACTORS // self.problem.samples)
            for begin in range(first, last, length):
                drawn = numerical.selected[begin : min(begin + length, last)]
                yield Piece(tensor, slice(0, 0), slice(0, 0), drawn)
            return
        samples = self.problem.samples
        across = min(columns, max(CACHED // samples, min(FACTORS // samples, JUDGED // height), LEAST_COLUMNS))
        down = max(1, JUDGED // across)
        for left in range(0, columns, across):
            for low in range(0, height, down):
                yield Piece(tensor, slice(low, min(low + down, height)), slice(left, min(left + across, columns)))

    def tally(self, piece: Piece) -> Tally:
        """Judge a block: in one pass where its numbers are finite and as usual, else as `count` does."""
        tally = None if piece.drawn is not None else self._quickly(piece)
        if tally is None:
            count(tally := Tally(), self.block(piece))
        return tally

    def _quickly(self, piece: Piece) -> Tally | None:
        tensor, numerical = piece.tensor, self.numerical
        claimed, central = (self._part(vector, piece) for vector in (self.problem.claimed, numerical.values))
        if self.extra is not None or tensor.grain is not None or not self._is_settled(piece, central):
            return None
        found = self._rounding(piece, central)
        if found is None:
            return None
        unit, squares = found
        totals, room = np.empty(codes.TOTALS), np.empty(codes.SCRATCH)
        launch.tally_block(claimed, central, squares, self._allowance(tensor, unit), room, totals)
        return self._from_totals(piece, totals)

    def _allowance(self, tensor: Tensor, unit: float) -> Allowance:
        """Return how far claims of a tensor may be off, for R in that unit."""
        return Allowance(
            unit=unit,
            growth=growth(self.problem.samples),
            coarse=self.tolerance * UNIT_ROUNDOFF[tensor.precision],
            least=self.tolerance * UNDERFLOW[tensor.precision],
            fine=self.tolerance * UNIT_ROUNDOFF["float64"],
            least_fine=self.tolerance * UNDERFLOW["float64"],
        )

    def at_once(self, tensor: Tensor, threads: int) -> list[Tally] | None:
        """Judge all blocks of a first layer with few units in one call; None where the tensor, or a number, is not as usual.

        Blocks that threads take from each other through Python wait for its lock, and on few cores now and then for as long as
        the whole takes.
        """
        found = self.scale.factors[0] if not tensor.layer and self._is_plain(tensor) else None
        if found is None or not SMALLEST_UNIT < found[0] < 1.0 / SMALLEST_UNIT:
            return None
        first = self._first_claims(tensor, found[1])
        totals = launch.judged_first_layer(first, self._allowance(tensor, found[0]), threads)
        height, columns = tensor.canonical_shape
        widths = (slice(left, min(left + first.width, columns)) for left in range(0, columns, first.width))
        pieces = (Piece(tensor, slice(0, height), some) for some in widths)
        return [self._from_totals(piece, some) or self.tally(piece) for piece, some in zip(pieces, totals, strict=True)]

    def _is_plain(self, tensor: Tensor) -> bool:
        """Tell whether all of a W of the first layer, few units above many inputs, is judged by R and its values alone."""
        numerical = self.numerical
        known = numerical.selected is None and numerical.lower is None and self.extra is None and tensor.grain is None
        few = tensor.kind == "W" and numerical.base.first is not None and tensor.size <= MOST_AT_ONCE
        return known and few and all(place.start != tensor.start for place, _, _ in self.problem.network.penalties)

    def _first_claims(self, tensor: Tensor, disturbed: Array) -> FirstClaims:
        """Return what is judged there."""
        base, values = self.numerical.base, self.numerical.values
        made: object = values
        flows = made.flows if isinstance(made, Flows) and "whole" not in made.__dict__ else None
        height, columns = tensor.canonical_shape
        every, nothing = Piece(tensor, slice(0, height), slice(0, columns)), np.empty((0, 0))
        return FirstClaims(
            inputs=base.activations[0],
            claimed=self._part(self.problem.claimed, every).reshape(height, columns),
            flow=nothing if flows is None else np.ascontiguousarray(flows[0]),
            values=nothing if flows is not None else self._part(values, every).reshape(height, columns),
            disturbed=np.ascontiguousarray(disturbed),
            unit=1.0 / base.unit(0),
            least=SMALLEST_SQUARE,
            width=max(SQUARED_INPUTS, FEW_JUDGED // height),
        )

    def _from_totals(self, piece: Piece, totals: Array) -> Tally | None:
        """Return the tally that the kernel's totals say; None where a number was not finite or too large to be squared."""
        off, claims, values, allowed = totals[: codes.ALLOWED + 1].tolist()
        if not off + claims + values + allowed < inf:
            return None
        norms = Norms(sqrt(off), sqrt(claims), sqrt(values))
        if min(off, claims, values) <= SAFE_SUM:  # of which something may be lost
            claimed, central = (self._part(vector, piece) for vector in (self.problem.claimed, self.numerical.values))
            norms = Norms(norm(claimed - central), norm(claimed), norm(central))
        clear = float(totals[codes.CLEAR])
        return Tally(
            norms=norms,
            checked=piece.size,
            wrong=int(totals[codes.WRONG]),
            coarse=int(totals[codes.COARSE]),
            room=float(totals[codes.ROOM]),
            common=float(totals[codes.COMMON]),
            zeros_pass=bool(totals[codes.SEEN] == 0.0),
            allowed=sqrt(allowed),
            excess=float(totals[codes.EXCESS]),
            worst=(
                piece.place(int(totals[codes.EXCESS_AT])),
                float(totals[codes.WORST_CLAIM]),
                float(totals[codes.WORST_VALUE]),
            ),
            clearest=clear if clear > 0.0 else -1.0,
            ratio=float(totals[codes.CLEAR_CLAIM] / totals[codes.CLEAR_VALUE]) if clear > 0.0 else nan,
        )

    def _part(self, vector: Array | None, piece: Piece) -> Array:
        """Return a block's share of a vector in theta's order."""
        assert vector is not None
        if piece.drawn is not None:
            return vector[piece.drawn]
        return np.ascontiguousarray(block_of(vector, piece.tensor, piece.rows, piece.columns)).reshape(-1)

    def _is_settled(self, piece: Piece, central: Array) -> bool:
        """Tell whether no kink leaves a range in a block."""
        bounds: tuple[object, ...] = (self.numerical.lower, self.numerical.upper)
        if isinstance(bounds[0], Bound):
            return not bounds[0].bends(piece.tensor, piece.rows)
        return all(bound is None or np.array_equal(self._part(cast(Array, bound), piece), central) for bound in bounds)

    def _rounding(self, piece: Piece, central: Array) -> tuple[float, Array] | None:
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

    def block(self, piece: Piece) -> Block:
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
        return Block(piece, claimed, central, lower, upper, nearest, allowed, in_double)

    def _any_rounding(self, piece: Piece, central: Array) -> Array:
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


def held(block: Block) -> tuple[Array, Mask]:
    """Return how far each claim is off, and whether it is wrong."""
    with np.errstate(invalid="ignore", over="ignore"):
        off = np.abs(block.claimed - block.nearest)
        # Written so that nan is wrong.
        return off, ~(off <= block.allowed)


def count(tally: Tally, block: Block) -> None:
    """Put a block into an empty tally."""
    off, wrong = held(block)
    with np.errstate(invalid="ignore", over="ignore"):
        excess = off / block.allowed
        excess[np.isnan(excess)] = 0.0  # infinite and allowed to be, or both 0
        excess[np.isnan(off)] = np.inf  # a claim that is no number
        clear = np.where(np.isfinite(block.claimed), np.abs(block.nearest) / block.allowed, -1.0)
    tally.norms = Norms(norm(off), norm(block.claimed), norm(block.nearest))
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


def _sort_out(tally: Tally, block: Block, off: Array, wrong: Mask) -> None:
    """Count the entries that are right only because of a kink, or in a precision below double."""
    if block.nearest is not block.central:
        with np.errstate(invalid="ignore", over="ignore"):
            at_kink = ~wrong & (np.abs(block.claimed - block.central) > block.allowed)
        tally.at_kink += int(at_kink.sum())
        wrong = wrong | at_kink
    if block.in_double is not block.allowed:
        tally.coarse += int((~wrong & (off > block.in_double)).sum())


def _sense(tally: Tally, block: Block, off: Array, wrong: Mask) -> None:
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
