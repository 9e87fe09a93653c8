"""A large gradient along random directions, and halving, which finds a wrong entry.

Called by `check`. Along a direction every entry moves at once, up or down by chance: a single mistake changes the slope
along every direction, and several cancel along few.
"""

from __future__ import annotations

import math
import time

import numpy as np
from numpy.typing import NDArray

from fastgrad.functions.arguments import Array
from fastgrad.functions.claim import Claim, relative_difference
from fastgrad.functions.evaluation import Function
from fastgrad.functions.extrapolation import Extrapolated, direction_prober, extrapolate
from fastgrad.functions.noise import Noise, random_signs, scale_of
from fastgrad.functions.report import Counts, EntryReport, FunctionReport

DIRECTIONS = 32
"""Random directions of a check."""

SEEN = 0.1875
"""Least chance that a direction shows at least half the size of a mistake.

With e the mistake and p random signs, X = (p·e)² has the mean ‖e‖² and E X² ≤ 3‖e‖⁴; by Paley and Zygmund,
P(X > ‖e‖²/4) ≥ (1 - 1/4)²/3.
"""

MOST_LOCATED = 8
"""Wrong entries that halving looks for."""

ERRORS = 6.0
"""Estimated errors of a slope within which a claim is right."""

NEGLIGIBLE = 1e-6
"""Share of f that noise may hide where the gradient is zero."""


class Search:
    """A claimed gradient, held against slopes of its function."""

    def __init__(self, function: Function, claim: Claim, noise: Noise) -> None:
        self.function, self.claim, self.noise = function, claim, noise
        self.scale = scale_of(function.x)
        self.claimed = np.nan_to_num(claim.values, posinf=0.0, neginf=0.0)

    def direction(self, seed: int) -> Array:
        """Draw a direction that moves each entry by its scale, up or down."""
        return np.asarray(random_signs(seed, 1, self.scale.size)[0] * self.scale)

    def slope(self, direction: Array) -> tuple[float, float, Extrapolated]:
        """Return claimed minus numerical slope along a direction, its bound, and what extrapolation found."""
        moved = max(1.0, float(np.count_nonzero(direction)))
        # The first step moves x as a whole by what a single entry would be moved by.
        found = extrapolate(
            self.function, self.noise, direction_prober(self.function, direction[None]), np.array([moved**-0.5])
        )
        terms = self.claimed * direction
        rounding = self.claim.unit_roundoff * float(np.linalg.norm(terms)) + self.noise.level
        return float(terms.sum() - found.value[0]), 1024.0 * rounding + ERRORS * float(found.error[0]), found

    def locate(self, direction: Array, most: int) -> list[int]:
        """Return wrong entries, at most so many, by halving the set that a direction moves."""
        located: list[int] = []
        waiting = [np.flatnonzero(direction)]
        while waiting and len(located) < most:
            entries = waiting.pop()
            if entries.size == 1:
                located.append(int(entries[0]))
                continue
            halves = [(abs(off), half) for half in np.array_split(entries, 2) for off in self._off(direction, half)]
            waiting.extend(half for _, half in sorted(halves, key=lambda pair: pair[0]))
        return located

    def _off(self, direction: Array, entries: NDArray[np.int64]) -> list[float]:
        """Return by how much the slope is off along a part of a direction; nothing where it is right."""
        part = np.zeros_like(direction)
        part[entries] = direction[entries]
        off, bound, _ = self.slope(part)
        return [off] if abs(off) > bound else []


def check(function: Function, claim: Claim, noise: Noise, seed: int, began: float) -> FunctionReport:
    """Check a gradient along random directions; arguments and result as in `check_function`."""
    search = Search(function, claim, noise)
    _ = noise.level
    slopes = []
    for number in range(DIRECTIONS):
        direction = search.direction(seed + number)
        slopes.append((*search.slope(direction)[:2], float(search.claimed @ direction)))
    off, bound, claimed = np.array(slopes).T
    wrong = np.flatnonzero(np.abs(off) > bound)
    located = list(np.flatnonzero(~np.isfinite(claim.values))[:MOST_LOCATED])
    if wrong.size and not located:
        located = search.locate(search.direction(seed + int(wrong[0])), MOST_LOCATED)
    size = float(np.linalg.norm(search.claimed * search.scale))
    seen = np.isfinite(off)
    blind = (
        not wrong.size
        and not located
        and (not seen.any() or float(np.median(bound[seen])) > 1e-3 * size + NEGLIGIBLE * abs(function.value))
    )
    numerical = claimed - off
    return FunctionReport(
        verdict="wrong" if wrong.size or located else "inconclusive" if blind else "right",
        counts=Counts(total=function.x.size, wrong=len(located), inconclusive=0, kinks=0),
        entries=tuple(_entry(search, entry) for entry in located),
        ratio=_ratio(claimed[seen], numerical[seen], bound[seen]) if wrong.size else None,
        relative_difference=relative_difference(claimed[seen], numerical[seen]),
        value=function.value,
        noise=noise.level,
        method="directions",
        scheme="extrapolated",
        step_range=(0.0, 0.0),
        directions=DIRECTIONS,
        miss=(1.0 - SEEN) ** DIRECTIONS,
        seed=seed,
        evaluations=function.evaluations,
        seconds=time.perf_counter() - began,
        smallest=2.0 * float(np.median(bound[seen])) if seen.any() else math.inf,
    )


def _entry(search: Search, entry: int) -> EntryReport:
    """Look at one entry alone."""
    direction = np.zeros_like(search.scale)
    direction[entry] = search.scale[entry]
    _, bound, found = search.slope(direction)
    claimed, scale = float(search.claim.values[entry]), float(search.scale[entry])
    label = search.function.layout.label(int(entry))
    return EntryReport(label, "wrong", claimed, float(found.value[0]) / scale, bound / scale, "")


def _ratio(claimed: Array, numerical: Array, bound: Array) -> float | None:
    """Return claimed / numerical where all directions show the same."""
    ratio = float(claimed @ numerical / (numerical @ numerical)) if np.any(numerical) else np.nan
    same = np.abs(claimed - ratio * numerical) <= bound * max(1.0, abs(ratio)) + 1e-9 * np.abs(claimed)
    return ratio if same.all() else None
