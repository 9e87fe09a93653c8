"""Entries on kinks, tried together: a claim may lie between the one-sided slopes of every entry and be no subgradient.

Called by `check` and `directions`. Of max(x₁, x₂) where both are equal, each entry may be anything from 0 to 1, and the two
make 1 together: along (1, 1) the function has the slope 1 on both sides.
"""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgrad.functions.arguments import Array
from fastgrad.functions.claim import Claim
from fastgrad.functions.evaluation import Function
from fastgrad.functions.extrapolation import direction_prober, extrapolate
from fastgrad.functions.noise import Noise, random_signs, scale_of

SLACK = 1e-6
"""Share of the jump by which one-sided slopes may be off."""

ERRORS = 6.0
"""Estimated errors of a slope within which a claim is right."""

DIRECTIONS = 8
"""Directions along which entries whose kinks are one are moved together."""

MOST_PAIRED = 32
"""Entries on kinks of which every pair is tried; more are taken for one group."""

TOGETHER = 0.125
"""Share of the smaller jump by which a move of two entries differs from the two moves, for their kinks to be one ..."""

PAIR_STEP = 2.0**-20
"""... at this step, where curvature is far less than a jump; larger in noise, of which it is to be ..."""

CLEAR = 2.0**10
"""... so many times as much."""


class Kinks(NamedTuple):
    """Entries on kinks, and the slopes on their two sides."""

    entries: NDArray[np.int64]
    left: Array
    right: Array


def together(function: Function, claim: Claim, noise: Noise, kinks: Kinks, seed: int) -> dict[int, str]:
    """Return the entries of claims that are wrong together, each with the reason.

    Notes
    -----
    Entries whose kinks are their own, as those of Σ|x_k|, may be chosen one by one. For a group whose kinks are one, and along
    which f is convex, or concave, wherever it was tried, every subgradient g has f′(x; -d) ≥ -g·d and f′(x; d) ≥ g·d, or both
    the other way round: g·d lies between the slopes of the two sides. Of groups of mixed curvature nothing is concluded.
    """
    wrong: dict[int, str] = {}
    for group in _groups(function, noise, kinks):
        directions = np.zeros((min(DIRECTIONS, 2 ** (group.size - 1)), function.x.size))
        directions[:, kinks.entries[group]] = _signs(len(directions), group.size, seed)
        directions *= scale_of(function.x)
        reason = _outside(function, claim, noise, directions, kinks.right[group] - kinks.left[group])
        if reason:
            wrong |= {int(entry): _told(function, kinks.entries[group], int(entry), reason) for entry in kinks.entries[group]}
    return wrong


def _signs(count: int, size: int, seed: int) -> Array:
    """Draw different directions, the first of them all up; a direction and its opposite count as one."""
    drawn = [np.ones(size)]
    while len(drawn) < count:
        more = random_signs(seed, 16, size)
        seed += 1
        for row in more * more[:, :1]:
            if len(drawn) < count and not any(np.array_equal(row, known) for known in drawn):
                drawn.append(row)
    return np.array(drawn)


def _groups(function: Function, noise: Noise, kinks: Kinks) -> list[NDArray[np.int64]]:
    """Return groups of places whose kinks are one, of two or more: f(x + a + b) - f(x + a) - f(x + b) + f(x) is no zero."""
    count = kinks.entries.size
    if count < 2:
        return []
    if count > MOST_PAIRED:
        return [np.arange(count)]
    scale = scale_of(function.x)[kinks.entries]
    jumps = np.abs(kinks.right - kinks.left) * scale
    step = float(np.clip(CLEAR * noise.level / jumps.min(), PAIR_STEP, 0.125))
    moves = np.zeros((count, function.x.size))
    moves[np.arange(count), kinks.entries] = scale
    up, down = function.along(moves, np.full(count, step), True), function.along(moves, np.full(count, -step), True)
    pairs = list(combinations(range(count), 2))
    first, second = np.array(pairs).T
    label = np.arange(count)
    for sign, others in ((1.0, up), (-1.0, down)):
        both = function.along(moves[first] + sign * moves[second], np.full(len(pairs), step), True)
        mixed = np.abs(both - up[first] - others[second] + function.value)
        for one, other in np.array(pairs)[mixed > TOGETHER * step * np.minimum(jumps[first], jumps[second])]:
            label[label == label[other]] = label[one]
    groups = [np.flatnonzero(label == name) for name in np.unique(label)]
    return [group for group in groups if group.size > 1]


def _outside(function: Function, claim: Claim, noise: Noise, directions: Array, jumps: Array) -> str:
    """Return what contradicts the claim along directions, if something does."""
    moved = np.count_nonzero(directions, axis=1)
    found = extrapolate(function, noise, direction_prober(function, directions), moved**-0.5)
    curved = np.append(jumps, (found.right - found.left)[found.kink])
    if not (curved >= 0.0).all() and not (curved <= 0.0).all():
        return ""
    terms = np.nan_to_num(claim.values, posinf=0.0, neginf=0.0) * directions
    claimed, zeros = terms.sum(axis=1), np.zeros(function.x.size)
    rounding = np.abs(directions) @ (claim.rounding(zeros, noise, scale_of(function.x)) + claim.allowed(zeros))
    lower = np.where(found.kink, np.minimum(found.left, found.right), found.value)
    upper = np.where(found.kink, np.maximum(found.left, found.right), found.value)
    doubt = np.where(found.kink, found.doubt, found.error)
    slack = SLACK * (upper - lower) + ERRORS * doubt + rounding
    beyond = np.where(found.unsettled, 0.0, np.fmax(lower - claimed, claimed - upper) - slack)
    if not np.any(beyond > 0.0):
        return ""
    worst = int(np.nanargmax(beyond))
    slopes = f"between {lower[worst]:.6g} and {upper[worst]:.6g}" if found.kink[worst] else f"{lower[worst]:.6g}"
    return f"along {_named(function, directions[worst])} the claim has the slope {claimed[worst]:.6g}, and f {slopes}"


def _named(function: Function, direction: Array) -> str:
    """Name a direction by its entries, if they are few."""
    entries = np.flatnonzero(direction)
    if entries.size > 4:
        return f"a direction of {entries.size:,} entries"
    return " ".join(f"{'+' if direction[entry] > 0 else '-'}{function.layout.label(int(entry))}" for entry in entries)


def _told(function: Function, group: NDArray[np.int64], entry: int, reason: str) -> str:
    """Return the reason of one entry of a group."""
    others = [function.layout.label(int(other)) for other in group if other != entry]
    rest = others[0] if len(others) == 1 else f"{len(others):,} other entries"
    return f"a kink together with {rest}: {reason}"
