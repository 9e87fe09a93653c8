"""The textbook's difference quotients, of two losses each computed anew."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fastgrad.kernels import codes, launch
from fastgrad.kernels.records import Examples, Forward
from fastgrad.model.forward import BasePoint
from fastgrad.model.network import Array, Offsets, Problem
from fastgrad.numerical.methods import Scheme

Losses = Callable[[float], tuple[Array, Array]]
"""For a step h the losses of some parameters at θ + h and at θ − h, penalty left out."""


def textbook_losses(problem: Problem, base: BasePoint, places: Offsets, threads: int) -> Losses:
    """Return the function that evaluates the textbook's losses of some parameters, two whole forward passes for each.

    At a step of 0 they all have the same, J(θ), which is returned once.
    """
    network = problem.network
    x, y = np.ascontiguousarray(base.activations[0].T), np.ascontiguousarray(problem.Y.T)
    tables = base.tables
    masks = np.ascontiguousarray(tables.units[codes.SCALE].T) if problem.masks else np.empty((0, 0))
    factors = np.ascontiguousarray(tables.outputs[codes.FACTOR].T)
    forward_pass = Forward(tables.theta, tables.layers, tables.shapes, np.array(network.biases), masks)
    examples = Examples(x, y, factors, tables.loss_code, tables.loss_parameter)

    def losses(step: float) -> tuple[Array, Array]:
        moved = places if step else places[:1]
        forward, backward = np.empty(moved.size), np.empty(moved.size)
        launch.textbook_losses(forward_pass, examples, moved, step, threads, forward, backward)
        return forward, backward

    return losses


def difference(losses: Losses, step: float, scheme: Scheme) -> Array:
    """Form the difference quotients of a scheme from losses."""
    ahead, behind = losses(step)
    if scheme == "forward":
        # A step of 0 gives J(θ) by the same loop, so that it differs from J(θ + h) by what h does and by rounding alone.
        return np.asarray((ahead - losses(0.0)[0]) / step)
    if scheme == "central":
        return np.asarray((ahead - behind) / (2.0 * step))
    far_ahead, far_behind = losses(2.0 * step)
    return np.asarray((8.0 * (ahead - behind) - (far_ahead - far_behind)) / (12.0 * step))
