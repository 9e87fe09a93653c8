"""The difference quotient of the penalty, for which there is a formula."""

from __future__ import annotations

import numpy as np

from fastgrad.model.deferred import Deferred
from fastgrad.model.network import Array, Problem
from fastgrad.numerical.blocks import Scheme


def add_penalty(
    problem: Problem,
    step: float | None,
    values: Array,
    lower: Array | None,
    upper: Array | None,
    scheme: Scheme = "central",
) -> tuple[Array | None, Array | None]:
    """Add the penalty's difference quotient to values and their range; return the range, made where a kink needs one.

    Of ½c·w² it is c·w, whatever the step, and forward c·(w + h/2). Of c·|w| it is c times `_slope_of_size`; without a fixed
    step h that of the smallest one, c·sign(w). Where w is 0 any value from −c to c is right.
    """
    given: object = values
    if isinstance(given, Deferred):  # which has it in it
        return lower, upper
    theta, penalties = problem.theta, problem.network.penalties
    if lower is None and any(l1 and not theta[place].all() for place, _, l1 in penalties):
        lower, upper = values.copy(), values.copy()
    for place, l2, l1 in penalties:
        w = theta[place]
        shift = 0.5 * step if step is not None and scheme == "forward" else 0.0
        slope = np.sign(w) if step is None else _slope_of_size(w, step, scheme)
        for gradient, at_zero in ((values, l1 * slope), (lower, -l1), (upper, l1)):
            if gradient is not None:
                gradient[place] += l2 * (w + shift)
            if gradient is not None and l1:
                gradient[place] += np.where(w == 0.0, at_zero, l1 * slope)
    return lower, upper


def _slope_of_size(w: Array, step: float, scheme: Scheme) -> Array:
    """Return the difference quotient of |w|: of slope ±1 away from the kink, in between where the step crosses it."""
    if scheme == "forward":
        return np.clip(2.0 * (w / step) + 1.0, -1.0, 1.0)
    central = np.clip(w / step, -1.0, 1.0)
    if scheme == "central":
        return central
    return np.asarray((4.0 * central - np.clip(w / (2.0 * step), -1.0, 1.0)) / 3.0)
