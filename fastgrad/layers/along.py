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
from fastgrad.functions.noise import UNIT_ROUNDOFF, random_signs
from fastgrad.functions.report import EntryReport

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
        """Twice the median of the bounds, the smallest mistake that directions are sure to see; 0 where none has a slope."""
        seen = np.isfinite(self.off)
        return 2.0 * float(np.median(self.bound[seen])) if seen.any() else 0.0

    def worst(self) -> tuple[float, float]:
        """Return the claimed and the numerical slope along the direction that is furthest off."""
        row = int(np.nanargmax(np.abs(self.off) / np.maximum(self.bound, np.finfo(np.float64).tiny)))
        return float(self.claimed[row]), float(self.claimed[row] - self.off[row])


class Directions:
    """Directions of the tensors of a function, each drawn by its own seed."""

    def __init__(self, search: Search, seed: int, count: int) -> None:
        self.search, self._seed, self._count = search, seed, count
        self._analytic = True

    @property
    def is_analytic(self) -> bool:
        """Whether all slopes so far are exact, by complex steps."""
        return self._analytic

    def slopes(self) -> list[Slopes]:
        """Hold the claim of every tensor against slopes along its directions."""
        return [self._of_tensor(start, stop) for start, stop in pairwise(self.search.function.layout.starts)]

    def located(self, slopes: Slopes) -> list[EntryReport]:
        """Return some wrong entries of a tensor that is wrong, found by halving."""
        row = int(np.nanargmax(np.abs(slopes.off) - slopes.bound))
        found, _ = self.search.locate(slopes.directions[row], MOST_LOCATED)
        return [self.search.entry(entry) for entry in found]

    def _of_tensor(self, start: int, stop: int) -> Slopes:
        signs = random_signs(self._seed, self._count, stop - start)
        directions = np.zeros((self._count, self.search.scale.size))
        directions[:, start:stop] = signs * self.search.scale[start:stop]
        rows = [self._slope(direction) for direction in directions]
        claimed, off, bound = (np.array(column) for column in zip(*rows, strict=True))
        return Slopes(claimed, off, bound, directions)

    def _slope(self, direction: Array) -> tuple[float, float, float]:
        """Return the claimed slope, by how much it is off, and the bound."""
        search, terms = self.search, self.search.claimed * direction
        exact = complex_slope(search.function, direction) if self._analytic else None
        self._analytic = exact is not None
        if exact is None:
            off, bound, _ = search.slope(direction)
            return float(terms.sum()), off, bound
        rounding = search.claim.unit_roundoff * (float(np.linalg.norm(terms)) + search.noise.terms)
        bound = ROUNDINGS * rounding + search.claim.tolerance * float(np.abs(terms).sum())
        return float(terms.sum()), float(terms.sum() - exact), bound + COMPLEX_ROUNDINGS * UNIT_ROUNDOFF * abs(exact)
