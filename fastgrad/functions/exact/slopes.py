"""The gradient of a function by exact differences, and what keeps it from being one.

Called by `gradient` and `check`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgrad.functions.arguments import Array
from fastgrad.functions.evaluation import Function
from fastgrad.functions.exact.following import Followed, Output
from fastgrad.functions.exact.tile import NotFollowedError, Tile

EXPONENT = -108
"""Of the step, in units of the entry's own power of two.

Nothing cancels, so that the step is as small as truncation asks. f(x + h) - f(x) is h·f′(x)·(1 + h·f″/(2f′) + …). A function
that bends by a share of order one within L of x has f″/f′ of the order 1/L, and L is more than u·|x|, u = 2⁻⁵³: within that, x
itself is not known, and no derivative could be claimed. With h = 2⁻¹⁰⁸·|x| the truncation h/2L is less than 2⁻⁵⁵, below
rounding, and the difference to one side is enough. At x = 0, L counts in units of 1.
"""

LEAST_EXPONENT = -400
"""Of an entry that counts as larger, so that products of differences stay far from the smallest numbers."""

SAME = 2.0**-40
"""Share by which the slopes of both sides may differ at a tie that is no kink."""

TILE = 1 << 17
"""Numbers in the largest differences of a tile: a megabyte, which the cache of a core holds."""

NOTHING = 2.0**-60
"""Share of the largest slope that is nothing: of a slope of 0, a difference to one side is curvature times the step."""

SUMS = 2.0**-30
"""Share by which the slopes of entries may add up to another slope than that along a direction."""


class Slopes(NamedTuple):
    """What exact differences say of a gradient.

    Attributes
    ----------
    values : ndarray, shape (size,)
        Slopes, right to the rounding of f's own derivative; nan where they are open.
    open : ndarray of bool, shape (size,)
        Entries on kinks, or beside jumps.
    left, right : ndarray, shape (size,)
        Slopes on both sides of x where there is a tie; elsewhere, and where they are unknown, nan.
    """

    values: Array
    open: NDArray[np.bool_]
    left: Array
    right: Array


def steps_of(x: Array) -> Array:
    """Return the step of each entry, a power of two."""
    exponents = np.where(x == 0.0, 0, np.maximum(np.frexp(x)[1] - 1, LEAST_EXPONENT))
    return np.asarray(np.ldexp(1.0, exponents + EXPONENT))


class Moves:
    """A function's point, and moves from it that are followed through the function."""

    def __init__(self, function: Function) -> None:
        layout = function.layout
        self._function, self._layout = function, layout
        self._followed = Followed(function.called, layout.assemble, function.reset)
        self._parts = [slice(*ends) for ends in pairwise(layout.starts)]
        self._values = [
            function.x[part].reshape(() if is_number else shape)
            for part, shape, is_number in zip(self._parts, layout.shapes, layout.numbers, strict=True)
        ]
        self.largest = 1

    def along(self, direction: Array, step: float) -> tuple[float, bool]:
        """Return the difference along a direction, and whether it may be used: there is no kink and no jump."""
        tile, difference = self._followed_by(step * direction[None])
        is_smooth = not (tile.tied | tile.doubted).any() and bool(np.isfinite(difference[0]))
        return float(difference[0]), is_smooth

    def entries(self, entries: NDArray[np.int64], steps: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Return f's differences for steps of some entries, nan where they must not be used, and which have a tie."""
        differences, tied = np.full(entries.size, np.nan), np.zeros(entries.size, dtype=bool)
        for chunk in self._chunks(entries):
            tile, found = self._of_entries(entries[chunk], steps[chunk])
            differences[chunk] = np.where(tile.doubted | ~np.isfinite(found), np.nan, found)
            tied[chunk] = tile.tied
        return differences, tied

    def _chunks(self, entries: NDArray[np.int64]) -> Iterator[slice]:
        """Yield runs of entries, which are in order: as many as fit in a tile, and of one part of the argument."""
        ends = np.searchsorted(entries, self._layout.starts)
        for start, stop in pairwise(ends.tolist()):
            done = start
            while done < stop:
                chunk = slice(done, min(stop, done + max(1, TILE // self.largest)))
                yield chunk
                done = chunk.stop

    def _of_entries(self, entries: NDArray[np.int64], steps: Array) -> tuple[Tile, Array]:
        moves = np.zeros((entries.size, self._function.x.size))
        moves[np.arange(entries.size), entries] = steps
        return self._followed_by(moves)

    def _followed_by(self, moves: Array) -> tuple[Tile, Array]:
        """Return f's differences for moves of x, shape (count, size)."""
        count = len(moves)
        deltas = [
            moves[:, part].reshape(count, *value.shape) if moves[:, part].any() else None
            for part, value in zip(self._parts, self._values, strict=True)
        ]
        self._function.evaluations += count
        tile, outputs = self._followed(self._values, deltas, count)
        self.largest = max(self.largest, tile.largest)
        return tile, self._number(outputs, count)

    def _number(self, outputs: list[Output], count: int) -> Array:
        if len(outputs) != 1 or outputs[0].value.size != 1:
            raise NotFollowedError("it returns more than one number")
        value, delta = outputs[0]
        if float(value.reshape(())) != self._function.value:
            raise NotFollowedError("its value is another when it is followed")
        return np.zeros(count) if delta is None else delta.reshape(count)


def exact_slopes(function: Function, direction: Array, confirms: Callable[[Array, float], bool]) -> Slopes:
    """Return the gradient by exact differences, held against the slope along a direction, which something else confirms.

    Raises
    ------
    NotFollowedError
        If the function cannot be followed, if what it does along the direction contradicts what it does by entries, or if
        the slope along it is not confirmed.
    """
    moves, x = Moves(function), function.x
    step = 2.0**EXPONENT
    along, is_smooth = moves.along(direction, step)
    if is_smooth and not confirms(direction, along / step):
        raise NotFollowedError("differences of its values contradict them")
    entries, steps = np.arange(x.size), steps_of(x)
    differences, tied = moves.entries(entries, steps)
    values = differences / steps
    largest = np.abs(values[~tied & np.isfinite(values)]).max(initial=0.0)
    left, right = _sides(moves, np.flatnonzero(tied), steps, values)
    values[tied] = _same_slope(left[tied], right[tied], NOTHING * largest)
    is_open = ~np.isfinite(values)
    beside = is_open | tied
    if beside.all():
        raise NotFollowedError("it has a kink in every entry")
    kept = np.where(beside, 0.0, direction)
    if not is_smooth or beside.any():
        along, is_smooth = moves.along(kept, step)
        if not confirms(kept, along / step):
            raise NotFollowedError("differences of its values contradict them")
    terms = np.where(beside, 0.0, values) * kept
    if not is_smooth or abs(terms.sum() - along / step) > SUMS * np.abs(terms).sum():
        raise NotFollowedError("its slopes do not add up to that along a direction")
    return Slopes(values, is_open, left, right)


def central_differences(function: Function, steps: Array) -> Array:
    """Return central differences with steps that somebody chose, truncation included; nan where f takes another branch.

    Raises
    ------
    NotFollowedError
        If the function cannot be followed.
    """
    moves, entries = Moves(function), np.arange(function.x.size)
    upper, lower = (moves.entries(entries, sign * steps)[0] for sign in (1.0, -1.0))
    return np.asarray((upper - lower) / (2.0 * steps))


def _sides(moves: Moves, tied: NDArray[np.int64], steps: Array, values: Array) -> tuple[Array, Array]:
    """Return the slopes to the left and to the right of entries that have a tie, nan for others."""
    left, right = np.full(values.size, np.nan), np.full(values.size, np.nan)
    if tied.size:
        right[tied] = values[tied]
        left[tied] = moves.entries(tied, -steps[tied])[0] / -steps[tied]
    return left, right


def _same_slope(left: Array, right: Array, nothing: float) -> Array:
    """Return the slope of both sides, nan where they have different ones."""
    room = np.maximum(SAME * np.maximum(np.abs(right), np.abs(left)), nothing)
    return np.where(np.abs(right - left) <= room, 0.5 * (right + left), np.nan)
