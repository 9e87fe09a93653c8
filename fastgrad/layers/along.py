"""Gradients along random directions of one tensor at a time: for large layers, and at points beside the given one.

Along a direction all entries of a tensor move at once, so that what is wrong in one of them shows in a few evaluations.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from fastgrad.functions.arguments import Array
from fastgrad.functions.claim import ROUNDINGS, relative_difference
from fastgrad.functions.difference import complex_slope
from fastgrad.functions.directions import MOST_LOCATED, Search
from fastgrad.functions.noise import UNIT_ROUNDOFF
from fastgrad.functions.report import EntryReport

DIRECTIONS = 4
"""Directions of each tensor."""

CLEAR = 64.0
"""How many bounds a mistake has to be away from nothing in order to be seen for certain, see `MISS`."""

MISS = (2.0 / CLEAR) ** DIRECTIONS
"""Chance that directions miss a mistake that is clear, one in a million.

Each entry of a direction is ±u, u drawn evenly from 0.5 to 1.5, and so has a density of at most 1/2. Whatever the other
entries are, the sum Σ dₖeₖ over a mistake e lies within ±t for a share of at most t/max|e| of the directions; a slope that is
off by less than twice its bound may pass.
"""

COMPLEX_ROUNDINGS = 64.0
"""Roundings that a slope by a complex step may be off by, beside those of the claim."""


class Slopes(NamedTuple):
    """What was found along the directions of a tensor, each array of shape (directions,).

    Attributes
    ----------
    claimed, off, bound : ndarray
        The claimed slope, claimed minus numerical, nan where there is none, and how far off a right claim may be.
    directions : ndarray, shape (directions, size)
        The directions.
    """

    claimed: Array
    off: Array
    bound: Array
    directions: Array

    @property
    def is_wrong(self) -> bool:
        """Whether the claim is off along any."""
        return bool(np.any(np.abs(self.off) > self.bound))

    @property
    def is_open(self) -> bool:
        """Whether nothing can be concluded, since there is no slope, or noise hides a thousandth of it along most."""
        seen = np.isfinite(self.off)
        size = float(np.sqrt(np.mean(self.claimed**2)))
        return not seen.any() or float(np.median(self.bound[seen])) > 1e-3 * size > 0.0

    @property
    def difference(self) -> float:
        """The relative difference of the slopes."""
        seen = np.isfinite(self.off)
        return relative_difference(self.claimed[seen], (self.claimed - self.off)[seen])

    @property
    def smallest(self) -> float:
        """The smallest mistake in an entry, times the scale of its input, that is clear; 0 where no direction has a slope."""
        seen = np.isfinite(self.off)
        return CLEAR * float(self.bound[seen].max()) if seen.any() else 0.0

    def worst(self) -> tuple[float, float]:
        """Return the claimed and the numerical slope along the direction that is furthest off."""
        row = int(np.nanargmax(np.abs(self.off) / np.maximum(self.bound, np.finfo(np.float64).tiny)))
        return float(self.claimed[row]), float(self.claimed[row] - self.off[row])


class Directions:
    """Directions of the tensors of a function, each drawn by its own seed."""

    def __init__(self, search: Search, seed: int, count: int) -> None:
        self.search, self._seed, self._count = search, seed, count
        self._analytic, self.sees_kinks = True, False

    @property
    def is_analytic(self) -> bool:
        """Whether all slopes so far are exact, by complex steps."""
        return self._analytic

    def slopes(self) -> list[Slopes]:
        """Hold the claim of every tensor against slopes along its directions."""
        return [self._of_tensor(start, stop) for start, stop in pairwise(self.search.function.layout.starts)]

    def together(self) -> Slopes:
        """Hold the claim of all tensors against slopes along directions in which all of them move."""
        return self._of_tensor(0, self.search.scale.size)

    def located(self, slopes: Slopes) -> list[EntryReport]:
        """Return some wrong entries of a tensor that is wrong, found by halving."""
        row = int(np.nanargmax(np.abs(slopes.off) - slopes.bound))
        found, _ = self.search.locate(slopes.directions[row], MOST_LOCATED)
        return [self.search.entry(entry) for entry in found]

    def is_confirmed(self, slopes: Slopes) -> bool:
        """Whether a tensor that is wrong along a direction has an entry that is wrong by itself, or the slopes are exact.

        Kinks of several entries, each a little beside the point, leave no slope along a direction that could be extrapolated.
        """
        if self._analytic:
            return True
        row = int(np.nanargmax(np.abs(slopes.off) - slopes.bound))
        return bool(self.search.locate(slopes.directions[row], 1)[0])

    def _of_tensor(self, start: int, stop: int) -> Slopes:
        weights = _drawn(self._seed, self._count, stop - start)
        directions = np.zeros((self._count, self.search.scale.size))
        directions[:, start:stop] = weights * self.search.scale[start:stop]
        rows = [self._slope(direction) for direction in directions]
        claimed, off, bound = (np.array(column) for column in zip(*rows, strict=True))
        return Slopes(claimed, off, bound, directions)

    def _slope(self, direction: Array) -> tuple[float, float, float]:
        """Return the claimed slope, by how much it is off, and the bound."""
        search, terms = self.search, self.search.claimed * direction
        exact = complex_slope(search.function, direction) if self._analytic else None
        self._analytic = exact is not None
        if exact is None:
            off, bound, found = search.slope(direction)
            self.sees_kinks |= bool(found.kink[0])
            return float(terms.sum()), off, bound
        rounding = search.claim.unit_roundoff * (float(np.linalg.norm(terms)) + search.noise.terms)
        bound = ROUNDINGS * rounding + search.claim.tolerance * float(np.abs(terms).sum())
        return float(terms.sum()), float(terms.sum() - exact), bound + COMPLEX_ROUNDINGS * UNIT_ROUNDOFF * abs(exact)


def _drawn(seed: int, count: int, size: int) -> Array:
    """Draw directions, shape (count, size), of entries ±(0.5 to 1.5): mistakes of equal size do not cancel, as under signs."""
    rng = np.random.default_rng(seed)
    return rng.choice([-1.0, 1.0], size=(count, size)) * rng.uniform(0.5, 1.5, size=(count, size))
