"""The steps of the propagated difference, and how far the moves that they cause can reach."""

from __future__ import annotations

import numpy as np

from fastgrad.kernels import codes
from fastgrad.model import outputs
from fastgrad.model.forward import BasePoint
from fastgrad.model.network import Array, Problem
from fastgrad.numerical.blocks import Steps
from fastgrad.numerical.kinks import nearest_kink, nearest_loss_kink

SMALL_MOVE = 2.0**-28
"""Largest move of any pre-activation for which two Taylor terms of f give its exact difference in double precision: the
third is δ²·f‴/6f′ relative to the first, and |f‴/6f′| ≤ ⅓ for tanh and ⅙ for sigmoid, so at most 2⁻⁵⁷."""
SMALLEST_STEP_MOVE = 2.0**-560
"""Below this, weights are so large that moves could underflow on the way; the exact differences serve instead."""
LARGEST_EXPONENT = 1022.0
"""Of a step: twice the step is still a number. Inputs next to nothing would take a larger one."""


def plan_steps(problem: Problem, base: BasePoint, step: float | None, *, single: bool) -> Steps:
    """Choose the steps of single parameters, or those of pre-activations, and bound the moves that they can cause.

    A unit's z moving by at most B moves its activation by at most F·B, F the largest slope of the layer (twice the
    tabulated one, for the slope may grow within the move), and the next layer's z by max|W|·F·B; from there on sums of
    absolute weights take the place of max|W|. By default B is chosen so that no move is larger than `SMALL_MOVE` and none
    reaches half way to a kink; steps are powers of two, so that dividing by them is exact.
    """
    slopes, norms = _largest(problem, base)
    nearest = np.array([nearest_kink(problem, base, layer) for layer in range(problem.network.depth)])
    room = np.append(np.minimum(SMALL_MOVE, 0.5 * nearest), 0.0)
    room[-1] = min(SMALL_MOVE * outputs.unit(base), 0.5 * nearest_loss_kink(problem, base))
    return [
        _plan_layer(base, single, layer, step, room, _amplification(problem, base, layer, slopes, norms))
        for layer in range(problem.network.depth)
    ]


def span(steps: Steps) -> tuple[float, float]:
    """Return the smallest and the largest step."""
    return min(float(some.min()) for some, _ in steps), max(float(some.max()) for some, _ in steps)


def _plan_layer(
    base: BasePoint, single: bool, layer: int, step: float | None, room: Array, amplification: Array
) -> tuple[Array, Array]:
    reach = np.ones(1)
    if single:
        reach = np.append(base.reach[layer], reach)
    if step is not None:
        move, steps = step * float(reach.max()), np.full(reach.size, step)
    else:
        with np.errstate(divide="ignore"):
            move = float(np.min(room[layer:] / amplification[layer:]))
        if not move > SMALLEST_STEP_MOVE:
            move = SMALL_MOVE
        with np.errstate(over="ignore"):
            exponents = np.floor(np.log2(move / np.where(reach > 0.0, reach, 1.0)))
        steps = np.exp2(np.minimum(exponents, LARGEST_EXPONENT))
    bounds = np.full(room.size, np.inf)
    bounds[layer:] = move * amplification[layer:]
    bounds[~(bounds <= SMALL_MOVE)] = np.inf
    # The logarithms of the other losses that have a unit are polynomials; 1.001 is for rounding.
    if base.tables.loss_code in {codes.POISSON, codes.KL_DIVERGENCE} and bounds[-1] > 1.001 * SMALL_MOVE * outputs.unit(base):
        bounds[-1] = np.inf
    return steps, bounds


def _largest(problem: Problem, base: BasePoint) -> tuple[Array, Array]:
    """Return twice the largest f′ of each layer, shape (L,), and of each W the largest sum of absolute weights of a unit."""
    slopes = [2.0 * float(np.abs(base.plane(codes.SLOPE, layer)).max()) for layer in range(problem.network.depth)]
    return np.array(slopes), np.array([sums for _, sums in base.weights])


def _amplification(problem: Problem, base: BasePoint, layer: int, slopes: Array, norms: Array) -> Array:
    """Bound the moves of each z above a layer, and of the outputs, by those of the layer's own z; shape (L + 1,)."""
    factors = np.ones(problem.network.depth + 1)
    steps = slopes[layer:] * np.append(norms[layer + 1 :], 1.0)
    if layer + 1 < problem.network.depth:
        steps[0] = slopes[layer] * base.weights[layer + 1][0]
    factors[layer + 1 :] = np.cumprod(steps)
    return factors
