"""The textbook's difference quotients, of two losses each computed anew: the method `textbook`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fastgrad.kernels import codes, launch
from fastgrad.kernels.records import Examples, Forward
from fastgrad.model.forward import BasePoint
from fastgrad.model.network import Array, Offsets, Problem
from fastgrad.numerical.blocks import (
    SCHEMES,
    Block,
    Method,
    Scheme,
    Steps,
    Task,
    cut,
)
from fastgrad.numerical.counted import SECONDS, Work, parameters_of, textbook_work

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


@dataclass(frozen=True, eq=False)
class TextbookPlan:
    """Blocks of parameters, counted through all layers."""

    task: Task

    @property
    def steps(self) -> tuple[float, float]:
        """The one step, twice."""
        assert self.task.step is not None
        return self.task.step, self.task.step

    @property
    def chosen(self) -> Steps:
        """None but that one."""
        return []

    @cached_property
    def _places(self) -> Offsets:
        selected = self.task.selected
        return np.arange(self.task.problem.network.size) if selected is None else selected

    def blocks(self) -> Iterator[Block]:
        """Yield runs of parameters."""
        seconds = 2.0 * textbook_work(self.task.problem) * SECONDS.textbook
        for start, stop in cut(self._places.size, seconds):
            yield Block(0, start, stop, stop - start)

    @property
    def size(self) -> int:
        """A difference for each parameter wanted."""
        return self.task.wanted

    def place(self, block: Block) -> slice:
        """Return the place of a block's parameters."""
        return slice(block.start, block.stop)

    def run(self, block: Block, threads: int, room: Array) -> None:
        """Fill in the differences of a block's parameters."""
        piece = self.place(block)
        losses = textbook_losses(self.task.problem, self.task.base, self._places[piece], threads)
        room[piece] = difference(losses, self.steps[0], self.task.scheme)

    def gradient(self, room: Array) -> Array:
        """Return the differences in theta's order."""
        return self.task.in_order(room)


def _count(problem: Problem, share: float) -> Work:
    """Count the work for a share of the parameters."""
    parameters = sum(parameters_of(problem, layer) for layer in range(problem.network.depth))
    return Work(layers=0.5 * problem.network.depth, textbook=2.0 * share * parameters * textbook_work(problem))


TEXTBOOK = Method(
    name="textbook",
    perturbs="every parameter, by ±h, with two whole forward passes",
    serves="teaching, and comparison with the others",
    count=_count,
    plan=TextbookPlan,
    kernels=(launch.losses_of_some,),
    step=1e-7,  # the courses'
    sees_kinks=False,
    schemes=SCHEMES,
)
