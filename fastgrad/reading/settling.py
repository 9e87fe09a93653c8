"""Which of several readings is meant, where the numbers tell: the one whose loss is the given value, or whose gradient fits.

A wrong reading has the given value of the loss, or the given slope along the given gradient, by no chance worth speaking
of; and where none or several fit, nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from fastgrad.errors import InputError
from fastgrad.model.network import Problem
from fastgrad.model.product import norm

SLOPE_STEP = 1e-5
"""Step along the gradient, relative to the parameters: a central difference is then off by some 1e-10 of its slope."""
SLOPE_TOLERANCE = {"float64": 1e-6, "float32": 1e-3}
"""Relative distance of two slopes that are the same; coarser gradients settle nothing."""


def settled(problems: Sequence[Problem], *, by_gradient: bool) -> tuple[int, str] | None:
    """Return the place of the one problem that the numbers mean, and what told it; None where they do not tell."""
    tests: list[tuple[str, Callable[[Problem], bool]]] = [("loss value", _has_its_loss)]
    if by_gradient:
        tests.append(("gradient", _has_its_slope))
    for word, test in tests:
        fitting = [place for place, problem in enumerate(problems) if _safely(test, problem)]
        if len(fitting) == 1:
            return fitting[0], word
    return None


@np.errstate(all="ignore")
def _safely(test: Callable[[Problem], bool], problem: Problem) -> bool:
    try:
        return test(problem)
    except InputError:  # outputs that have no logarithm
        return False


def _has_its_loss(problem: Problem) -> bool:
    """Tell whether the given value of the loss is the problem's own."""
    from fastgrad.model.conventions import explain_loss
    from fastgrad.model.forward import base_point

    return problem.claimed_loss is not None and explain_loss(problem, base_point(problem)) is None


def _has_its_slope(problem: Problem) -> bool:
    """Tell whether the loss rises along the given gradient as steeply as that says."""
    from fastgrad.model.forward import base_point, coarsest_claim

    claimed = None if problem.is_stored else problem.claimed
    tolerance = SLOPE_TOLERANCE.get(coarsest_claim(problem))
    if claimed is None or tolerance is None or not np.all(np.isfinite(claimed)):
        return False
    length = norm(claimed)
    if length == 0.0:
        return False
    step = SLOPE_STEP * max(norm(problem.theta), SLOPE_STEP) / length * claimed
    up, down = (base_point(replace(problem, theta=problem.theta + sign * step)).loss for sign in (1.0, -1.0))
    slope = (up - down) / (2.0 * norm(step))
    return bool(abs(slope - length) <= tolerance * length)
