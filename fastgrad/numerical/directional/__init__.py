"""All parameters of a tensor moved at once by random signs: the method `directional`, which `judging.directional` judges.

`signs` draws the directions, `derivative` carries moves along them, `measured` holds sums against each other.
"""

from __future__ import annotations

from fastgrad.model.network import Problem
from fastgrad.numerical.blocks import Method
from fastgrad.numerical.work import Work

DIRECTIONS = 8
"""Directions by default: two wrong entries that cancel are then missed with a probability of 0.4 %."""
MOST_DIRECTIONS = 1_000
"""Each further direction halves a chance of missing that is below 10⁻¹⁹ with 64 of them; more than this only take time."""


def count(problem: Problem, directions: int = DIRECTIONS) -> Work:
    """Count the work of some directions: signs on all weights, and on what enters each layer tables of signed sums."""
    network, samples = problem.network, problem.samples
    units, entered = (float(samples * sum(widths)) for widths in (network.widths[1:], network.widths[:-1]))
    return Work(layers=network.depth, values=3.0 * units, tables=entered, signs=float(directions * network.size))


DIRECTIONAL = Method(
    name="directional",
    perturbs="all parameters of a tensor at once, along random signs; wrong entries are located by halving",
    serves="a screen for the largest networks",
    count=lambda problem, _: count(problem),
    plan=None,
)
