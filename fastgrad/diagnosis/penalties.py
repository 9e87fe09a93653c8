"""The penalty that may be what is left of a claim: the declared one, none, or a multiple of a usual one, which is fitted."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

import numpy as np

from fastgrad.diagnosis.ground import Truth
from fastgrad.diagnosis.subjects import CLEAR
from fastgrad.model.network import Array, Problem
from fastgrad.model.product import least_squares

Coefficients = tuple[float, ...]
"""One for each tensor, as in `Network`."""


class Penalty(NamedTuple):
    """Coefficients of each tensor, their gradient, how many numbers were fitted, and what is left out."""

    l2: tuple[float, ...]
    l1: tuple[float, ...]
    values: Array
    fitted: int
    without: str


class Penalties:
    """The penalties of a problem that may be what is left of a claim at the entries `places` of theta."""

    def __init__(self, problem: Problem, places: Truth, said: Collection[str] = ()) -> None:
        self.problem, self.places, self.said = problem, places, {*said}

    def of(self, rest: Array, allowed: Array) -> Iterator[Penalty]:
        """Yield the penalties that may be what is left of a claim: the declared one, none, and multiples of usual forms."""
        network, theta = self.problem.network, self.problem.theta
        none = (0.0,) * len(network.tensor_slices)
        l2, l1 = network.l2 or none, network.l1 or none
        yield self._penalty(l2, l1, 0)
        if {"l2", "l1"} & self.said:
            return
        if any(l2) or any(l1):
            yield self._penalty(none, none, 0)
        weights = tuple(float(name[0] == "W") for name in network.tensor_slices)
        every = (1.0,) * len(weights)
        directions: list[tuple[Coefficients, Coefficients]] = []
        for pattern in (*([l2] if any(l2) else []), *([l1] if any(l1) else []), weights, every, *self._extended(l2, weights)):
            directions += [(pattern, none), (none, pattern)]
        for a, b in dict.fromkeys(directions):
            yield from self._scaled_to(rest, allowed, [(a, b)])
        for pattern in (weights, every):
            yield from self._scaled_to(rest, allowed, [(pattern, none), (none, pattern)])
        for column in np.flatnonzero((self.problem.X == 1.0).all(axis=0)).tolist():
            spared = np.ones_like(theta)
            network.W(spared, 0)[:, column] = 0.0
            for a, b in ((weights, none), (none, weights)):
                yield from self._scaled_to(rest, allowed, [(a, b)], spared, f"the weights of X's column of ones, {column}")

    @staticmethod
    def _extended(l2: Coefficients, weights: Coefficients) -> Iterator[Coefficients]:
        """Yield declared coefficients without those of the biases."""
        if any(c for c, is_weight in zip(l2, weights, strict=True) if not is_weight):
            yield tuple(c * is_weight for c, is_weight in zip(l2, weights, strict=True))

    def _penalty(
        self, l2: Coefficients, l1: Coefficients, fitted: int, spared: Array | None = None, without: str = ""
    ) -> Penalty:
        theta, values = self.problem.theta, np.zeros(self.problem.network.size)
        for place, a, b in zip(self.problem.network.tensor_slices.values(), l2, l1, strict=True):
            values[place] = a * theta[place] + b * np.sign(theta[place])
        return Penalty(l2, l1, values if spared is None else values * spared, fitted, without)

    def _scaled_to(
        self,
        rest: Array,
        allowed: Array,
        patterns: list[tuple[Coefficients, Coefficients]],
        spared: Array | None = None,
        without: str = "",
    ) -> Iterator[Penalty]:
        """Yield the multiples of one or two patterns that come nearest to what is left, as short numbers where they are."""
        where = self.places & (allowed > 0.0)
        columns = [self._penalty(a, b, 0, spared).values[where] / allowed[where] for a, b in patterns]
        if any(int((np.abs(column) > CLEAR).sum()) <= len(patterns) for column in columns):
            return
        with np.errstate(all="ignore"):
            solution = least_squares(np.stack(columns, axis=1), rest[where] / allowed[where], 1e-12)
        if solution is None:
            return
        known = [4.0 / float(np.abs(column).max()) for column in columns]
        multiples = [self._short(float(c), error, a, b) for c, error, (a, b) in zip(solution, known, patterns, strict=True)]
        if not all(c > 0.0 and np.isfinite(c) for c in multiples):
            return
        l2 = tuple(sum(c * a[k] for c, (a, _) in zip(multiples, patterns, strict=True)) for k in range(len(patterns[0][0])))
        l1 = tuple(sum(c * b[k] for c, (_, b) in zip(multiples, patterns, strict=True)) for k in range(len(patterns[0][0])))
        yield self._penalty(l2, l1, len(patterns), spared, without)

    def _short(self, c: float, error: float, l2: Coefficients, l1: Coefficients) -> float:
        """Return a short number, or one with the number of examples below it, that a fitted one is to its accuracy."""
        m = float(self.problem.samples)
        for divisor in (1.0, m, 2.0 * m):
            short = float(f"{c * divisor:.6g}") / divisor
            if abs(short - c) <= error + 1e-14 * abs(c):
                return short
        return c
