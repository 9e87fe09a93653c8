"""A large gradient along random directions, and halving, which finds a wrong entry.

Called by `check`. Along a direction every entry moves at once, up or down by chance: a single mistake changes the slope
along every direction, and several cancel along few.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgrad.functions import kinks
from fastgrad.functions.arguments import Array
from fastgrad.functions.claim import NEGLIGIBLE, ROUNDINGS, Claim, relative_difference
from fastgrad.functions.evaluation import Function
from fastgrad.functions.extrapolation import Extrapolated, direction_prober, entry_prober, extrapolate
from fastgrad.functions.kinks import ERRORS, SLACK
from fastgrad.functions.noise import Noise, random_signs, scale_of
from fastgrad.functions.report import Counts, EntryReport, FunctionReport
from fastgrad.functions.tensors import domain_remark

DIRECTIONS = 32
"""Random directions of a check."""

SEEN = 0.1875
"""Least chance that a direction shows at least half the size of a mistake.

With e the mistake and p random signs, X = (p·e)² has the mean ‖e‖² and E X² ≤ 3‖e‖⁴; by Paley and Zygmund,
P(X > ‖e‖²/4) ≥ (1 - 1/4)²/3.
"""

MOST_LOCATED = 8
"""Wrong entries that halving looks for."""

MOST_JOINT = 256
"""Entries, wrong together and right in halves, that are looked at one by one for kinks."""


class Search:
    """A claimed gradient, held against slopes of its function."""

    def __init__(self, function: Function, claim: Claim, noise: Noise) -> None:
        self.function, self.claim, self.noise = function, claim, noise
        self.scale = scale_of(function.x)
        self.claimed = np.nan_to_num(claim.values, posinf=0.0, neginf=0.0)

    def direction(self, seed: int) -> Array:
        """Draw a direction that moves each entry by its scale, up or down; at a bound, into the domain."""
        return self.function.inward(random_signs(seed, 1, self.scale.size)[0] * self.scale)

    def slope(self, direction: Array) -> tuple[float, float, Extrapolated]:
        """Return claimed minus numerical slope along a direction, its bound, and what extrapolation found."""
        moved = max(1.0, float(np.count_nonzero(direction)))
        # The first step moves x as a whole by what a single entry would be moved by.
        found = extrapolate(
            self.function, self.noise, direction_prober(self.function, direction[None]), np.array([moved**-0.5])
        )
        terms = self.claimed * direction
        rounding = self.claim.unit_roundoff * (float(np.linalg.norm(terms)) + self.noise.terms)
        bound = ROUNDINGS * rounding + self.claim.tolerance * float(np.abs(terms).sum())
        if found.unsettled[0]:
            return np.nan, math.inf, found
        if found.kink[0]:  # whatever lies between the slopes of the two sides is right
            nearest = float(np.clip(terms.sum(), *sorted((found.left[0], found.right[0]))))
            jump = SLACK * abs(float(found.right[0] - found.left[0]))
            return float(terms.sum() - nearest), bound + jump + ERRORS * float(found.doubt[0]), found
        return float(terms.sum() - found.value[0]), bound + ERRORS * float(found.error[0]), found

    def locate(self, direction: Array, most: int) -> tuple[list[int], list[int]]:
        """Return wrong entries, at most so many, by halving the set that a direction moves.

        And those of sets that are wrong together, while each half is right.
        """
        located: list[int] = []
        joint: list[int] = []
        waiting = [np.flatnonzero(direction)]
        while waiting and len(located) < most:
            entries = waiting.pop()
            if entries.size == 1:
                located.append(int(entries[0]))
                continue
            halves = [(abs(off), half) for half in np.array_split(entries, 2) for off in self._off(direction, half)]
            waiting.extend(half for _, half in sorted(halves, key=lambda pair: pair[0]))
            joint += [] if halves else entries.tolist()
        return located, joint

    def entry(self, entry: int) -> EntryReport:
        """Look at one entry alone, which is wrong."""
        direction = np.zeros_like(self.scale)
        direction[entry] = self.scale[entry]
        direction = self.function.inward(direction)
        _, bound, found = self.slope(direction)
        claimed, scale = float(self.claim.values[entry]), float(direction[entry])
        label = self.function.layout.label(int(entry))
        return EntryReport(label, "wrong", claimed, float(found.value[0]) / scale, bound / abs(scale), "")

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
    slopes = _slopes(search, seed)
    wrong = np.flatnonzero(np.abs(slopes.off) > slopes.bound)
    entries, on_kinks = _wrong_entries(search, wrong, seed)
    # Kinks of several entries may cancel along a direction: what is right by entries is not wrong because of a direction.
    is_open = on_kinks > 0 and not entries
    seen, numerical = slopes.seen, slopes.claimed - slopes.off
    blind = not wrong.size and not entries and _is_blind(search, slopes)
    return FunctionReport(
        verdict="inconclusive" if blind or is_open else "wrong" if wrong.size or entries else "right",
        counts=Counts(total=function.x.size, wrong=len(entries), inconclusive=0, kinks=on_kinks),
        entries=tuple(entries),
        ratio=_ratio(slopes.claimed[seen], numerical[seen], slopes.bound[seen]) if wrong.size and not on_kinks else None,
        relative_difference=relative_difference(slopes.claimed[seen], numerical[seen]),
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
        smallest=2.0 * float(np.median(slopes.bound[seen])) if seen.any() else math.inf,
        tolerance=claim.tolerance,
        remarks=tuple(domain_remark(function)),
    )


class Slopes(NamedTuple):
    """Claimed minus numerical slopes along all directions, nan where there is none, their bounds, the claimed, and kinks."""

    off: Array
    bound: Array
    claimed: Array
    kink: NDArray[np.bool_]

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Directions along which f has a slope, or two."""
        return np.isfinite(self.off)


def _slopes(search: Search, seed: int) -> Slopes:
    """Hold the claim against slopes along random directions."""
    rows = []
    for number in range(DIRECTIONS):
        direction = search.direction(seed + number)
        off, bound, found = search.slope(direction)
        rows.append((off, bound, float(search.claimed @ direction), bool(found.kink[0])))
    return Slopes(*(np.array(column) for column in zip(*rows, strict=True)))


def _is_blind(search: Search, slopes: Slopes) -> bool:
    """Whether noise leaves so much open that nothing can be concluded; where there are kinks, other directions count."""
    plain = slopes.seen & ~slopes.kink
    if not plain.any():
        return not slopes.seen.any()
    size = float(np.linalg.norm(search.claimed * search.scale))
    zeros = search.claim.zeros(search.noise, search.scale) * search.scale
    negligible = max(NEGLIGIBLE * abs(search.function.value), float(np.linalg.norm(zeros)) if zeros.all() else 0.0)
    return float(np.median(slopes.bound[plain])) > 1e-3 * size + negligible


def _wrong_entries(search: Search, wrong: NDArray[np.int64], seed: int) -> tuple[list[EntryReport], int]:
    """Return some wrong entries, by themselves or together with others, and the entries on kinks among those looked at."""
    located = _not_finite(search)
    if located or not wrong.size:
        return [search.entry(entry) for entry in located], 0
    located, joint = search.locate(search.direction(seed + int(wrong[0])), MOST_LOCATED)
    if located or len(joint) > MOST_JOINT:
        return [search.entry(entry) for entry in located], 0
    return _joint(search, np.array(joint), seed)


def _not_finite(search: Search) -> list[int]:
    """Return some entries that are claimed to be nan, or infinite where f's slope is not."""
    entries = np.flatnonzero(~np.isfinite(search.claim.values))[:MOST_LOCATED]
    if entries.size == 0:
        return []
    found = extrapolate(search.function, search.noise, entry_prober(search.function, entries), search.scale[entries])
    return [int(entry) for entry in entries[found.value != search.claim.values[entries]]]


def _joint(search: Search, entries: NDArray[np.int64], seed: int) -> tuple[list[EntryReport], int]:
    """Return the entries of a few that are wrong together because of kinks, and how many are on one."""
    function, noise = search.function, search.noise
    found = extrapolate(function, noise, entry_prober(function, entries), search.scale[entries])
    kink = found.kink
    wrong = kinks.together(function, search.claim, noise, kinks.Kinks(entries[kink], found.left[kink], found.right[kink]), seed)
    reports = [replace(search.entry(entry), reason=reason) for entry, reason in wrong.items()]
    return reports, int(np.count_nonzero(kink))


def _ratio(claimed: Array, numerical: Array, bound: Array) -> float | None:
    """Return claimed / numerical where all directions show the same."""
    ratio = float(claimed @ numerical / (numerical @ numerical)) if np.any(numerical) else np.nan
    same = np.abs(claimed - ratio * numerical) <= bound * max(1.0, abs(ratio)) + 1e-9 * np.abs(claimed)
    return ratio if same.all() else None
