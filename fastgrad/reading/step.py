"""A learning rate that was said: parameters after one step stand for the gradient, (before − after)/rate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastgrad.errors import InputError, require
from fastgrad.model.forward import base_point
from fastgrad.model.grain import Grain, precision_of
from fastgrad.model.network import Array, Problem, Tensor
from fastgrad.model.product import norm
from fastgrad.model.rounding import gradient

ALIKE = 6
"""Decimals in which two angles are compared: where the parameters themselves are a multiple of the gradient, as a single one
always is, both readings are, and which is nearer decides."""


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
    if problem.claimed is None or not _are_parameters(problem, problem.claimed, claimed, rate):
        return replace(problem, learning_rate=rate)
    single = precision_of(problem.claimed) == precision_of(problem.theta) == "float32"
    grain = Grain.of_step(rate, "float32" if single else "float64")
    tensors = tuple(replace(tensor, grain=grain) if tensor in claimed else tensor for tensor in problem.tensors)
    note = f"the gradients are (before - after)/{rate:g}: what was given in their place are the parameters after a step"
    stepped = (problem.theta - problem.claimed) / rate
    return replace(problem, claimed=stepped, tensors=tensors, learning_rate=rate, notes=(*problem.notes, note))


@np.errstate(all="ignore")
def _are_parameters(problem: Problem, values: Array, claimed: list[Tensor], rate: float) -> bool:
    """Tell whether claimed arrays are the parameters after a step rather than the gradient.

    How far the parameters moved does not tell it: a step of a rate near 1 may change them all. The gradient itself does:
    of two readings, that one is meant which is a multiple of it, be it a wrong one, to the smaller angle. A right claim is so
    to rounding, and is read as what it is.
    """
    places = np.concatenate([np.arange(tensor.start, tensor.stop) for tensor in claimed])
    right = gradient(problem, base_point(problem))[places]
    right = np.where(np.isfinite(right), right, 0.0)
    theta, values = problem.theta[places], values[places]
    as_gradient, as_step = _sine(values, right), _sine((theta - values) / rate, right)
    if as_gradient != as_step:
        return as_step < as_gradient
    return bool(norm(values - (theta - rate * right)) < norm(values - right))


def _sine(values: Array, right: Array) -> float:
    """Return the sine of the angle between values and a gradient or its opposite, to so many decimals; 1 without one."""
    unit, size = right / (norm(right) or 1.0), norm(values)
    sine = norm(values - unit * (unit * values).sum()) / size if size and np.isfinite(size) else 1.0
    return round(float(sine), ALIKE)
