"""All parameters of a tensor moved at once by random signs: the method `directional`, which `judging.directional` judges.

`signs` draws the directions, `derivative` carries moves along them, `measured` holds sums against each other.
"""

from __future__ import annotations

from itertools import pairwise

from fastgrad.machine import most_threads
from fastgrad.model.network import Problem
from fastgrad.numerical.blocks import Method

DIRECTIONS = 8
"""Directions by default: two wrong entries that cancel are then missed with a probability of 0.4 %."""
MOST_DIRECTIONS = 1_000
"""Each further direction halves a chance of missing that is below 10⁻¹⁹ with 64 of them; more than this only take time."""
RATE = {"product": 1e10, "signs": 3e9, "prepare": 1.2e9}
"""Multiply-adds of products, signs applied, and multiply-adds before the first, a second and core; for estimates only."""


def estimate(problem: Problem, directions: int = DIRECTIONS) -> float:
    """Estimate the seconds that a check of a right gradient takes along some directions, to within a small factor."""
    widths, samples = problem.network.widths, problem.samples
    work = [a * b for a, b in pairwise(widths)]
    above = sum(number * size for number, size in enumerate(work))
    products = 2.0 * samples * (directions * above + sum(work))
    applied = directions * sum(work) * (1.0 + 0.25 * samples)
    before = sum(work) * (samples + 10.0)
    seconds = products / RATE["product"] + applied / RATE["signs"] + before / RATE["prepare"]
    return float(seconds / most_threads())


DIRECTIONAL = Method(
    name="directional",
    perturbs="all parameters of a tensor at once, along random signs; wrong entries are located by halving",
    serves="a screen for the largest networks",
    seconds_per_layer=3e-3,
    estimate=lambda problem, _: estimate(problem),
    plan=None,
)
