"""All parameters of a tensor moved at once by random signs: the method `directional`, which `judging.directional` judges.

`signs` draws the directions, `derivative` carries moves along them, `measured` holds sums against each other.
"""

from __future__ import annotations

from itertools import pairwise

from fastgrad.model.network import Problem
from fastgrad.numerical.blocks import Method
from fastgrad.numerical.counted import Work

DIRECTIONS = 8
"""Directions by default: two wrong entries that cancel are then missed with a probability of 0.4 %."""
MOST_DIRECTIONS = 1_000
"""Each further direction halves a chance of missing that is below 10⁻¹⁹ with 64 of them; more than this only take time."""


def count(problem: Problem, directions: int = DIRECTIONS) -> Work:
    """Count the work of some directions: signs on all weights, tables of signed sums of what enters, moves carried up."""
    widths, samples, network = problem.network.widths, problem.samples, problem.network
    above = sum(layer * a * b for layer, (a, b) in enumerate(pairwise(widths)))  # each layer carries the moves of all below
    return Work(
        layers=network.depth,
        values=float(samples * sum(widths[1:])),
        tables=float(samples * sum(widths[:-1])),
        products=float(directions * samples * above),
        signs=float(directions * network.size),
    )


DIRECTIONAL = Method(
    name="directional",
    perturbs="all parameters of a tensor at once, along random signs; wrong entries are located by halving",
    serves="a screen for the largest networks",
    count=lambda problem, _: count(problem),
    plan=None,
)
