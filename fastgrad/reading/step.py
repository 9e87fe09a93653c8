"""A learning rate that was said: parameters after one step stand for the gradient, (before − after)/rate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastgrad.errors import InputError, require
from fastgrad.model.grain import Grain, precision_of
from fastgrad.model.network import Array, Problem, Tensor
from fastgrad.model.product import norm

NEAR = 0.5
"""Distance from the parameters, as a share of the norm, up to which arrays are the parameters after a step: few steps change
half of all weights, and few gradients are half equal to them."""


def read_off(problem: Problem, rate: float | None) -> Problem:
    """Return the problem with the gradient that a step of a rate tells, where parameters stand in the gradient's place.

    Where gradients stand there they stay, and the rate only helps to recognise that they were read off a step.
    """
    if rate is None:
        return problem
    require("learning_rate", rate, float, "a positive number", lambda eta: np.isfinite(eta) and eta > 0)
    if problem.is_stored:
        raise InputError(
            "learning_rate: a gradient is read off a step where the parameters fit into memory, and these do not; give the "
            "gradients themselves"
        )
    claimed = [tensor for tensor in problem.tensors if tensor.gradient_name is not None]
    if problem.claimed is None or not _are_parameters(problem, problem.claimed, claimed):
        return replace(problem, learning_rate=rate)
    single = precision_of(problem.claimed) == precision_of(problem.theta) == "float32"
    grain = Grain.of_step(rate, "float32" if single else "float64")
    tensors = tuple(replace(tensor, grain=grain) if tensor in claimed else tensor for tensor in problem.tensors)
    note = f"the gradients are (before - after)/{rate:g}: what was given in their place are the parameters after a step"
    gradient = (problem.theta - problem.claimed) / rate
    return replace(problem, claimed=gradient, tensors=tensors, learning_rate=rate, notes=(*problem.notes, note))


def _are_parameters(problem: Problem, values: Array, claimed: list[Tensor]) -> bool:
    """Tell whether claimed arrays are near the parameters."""
    places = np.concatenate([np.arange(tensor.start, tensor.stop) for tensor in claimed])
    return bool(norm(values[places] - problem.theta[places]) <= NEAR * norm(values[places]))
