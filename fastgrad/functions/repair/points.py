"""Points at which a gradient is held against what is known: every entry of it, or slopes along a few directions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastgrad.functions.arguments import Array

Call = Callable[[Callable[..., Any]], Array]
"""Calls a backward function, with copies of everything it is given, and returns the gradients as one flat vector."""


class Point(Protocol):
    """A point at which a backward function can be tried."""

    @property
    def call(self) -> Call:
        """What calls a backward function there."""

    def agrees(self, gradient: Array) -> NDArray[np.bool_]:
        """Return of each part whether it is what is known there."""


@dataclass(frozen=True)
class Entries:
    """A point whose numerical gradient is known, entry by entry; `starts` are the places where parts begin, and the end."""

    call: Call
    starts: tuple[int, ...]
    expected: Array
    bound: Array

    def agrees(self, gradient: Array) -> NDArray[np.bool_]:
        """Return of each part whether all its entries are within their bounds."""
        if gradient.shape != self.expected.shape:
            return np.zeros(len(self.starts) - 1, dtype=bool)
        with np.errstate(invalid="ignore"):
            right = (np.abs(gradient - self.expected) <= self.bound) | np.isnan(self.expected) | np.isinf(self.bound)
        right &= np.isfinite(gradient)
        return np.array([right[start:stop].all() for start, stop in pairwise(self.starts)])

    def evidence(self, gradient: Array, part: int) -> tuple[int, float]:
        """Return how many entries of a part show that a gradient is wrong there, and how many bits of one each is."""
        inside = slice(self.starts[part], self.starts[part + 1])
        known = np.isfinite(self.expected[inside]) & np.isfinite(self.bound[inside])
        expected = self.expected[inside][known]
        off = np.abs(gradient[inside][known] - expected)
        bound = np.maximum(self.bound[inside][known], np.finfo(np.float64).tiny)
        wrong = off > bound
        if not wrong.any():
            return 0, 0.0
        different = max(_different(expected[wrong]), _different(gradient[inside][known][wrong]))
        return different, float(np.median(np.log2(off[wrong] / bound[wrong])))


def _different(values: Array) -> int:
    """Count different numbers: equal ones, as those of a gradient that is zero throughout, tell the same."""
    return int(np.unique(np.round(values / (np.abs(values).max() or 1.0), 9)).size)


@dataclass(frozen=True)
class Slopes:
    """A point at which slopes are measured once somebody asks: those of each part along directions of its own.

    `measure` returns directions, shape (count, size), the slopes along them and how far off these may be; of each part all
    directions that move it alone. None where f cannot be evaluated there.
    """

    call: Call
    starts: tuple[int, ...]
    measure: Callable[[], tuple[Array, Array, Array] | None]
    rounding: float

    @cached_property
    def measured(self) -> tuple[Array, Array, Array] | None:
        """What was measured."""
        return self.measure()

    def agrees(self, gradient: Array) -> NDArray[np.bool_]:
        """Return of each part whether its slopes are those that were measured."""
        if self.measured is None:
            return np.zeros(len(self.starts) - 1, dtype=bool)
        directions, slopes, bounds = self.measured
        terms = directions * gradient
        room = bounds + self.rounding * np.linalg.norm(terms, axis=1)
        right = np.abs(terms.sum(axis=1) - slopes) <= room
        moved = [directions[:, start:stop].any(axis=1) for start, stop in pairwise(self.starts)]
        return np.array([bool(rows.any() and right[rows].all()) for rows in moved])
