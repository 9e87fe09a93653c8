"""Every pre-activation perturbed, sample by sample; dW and db follow, z being linear in both: the method `preactivation`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import cast

import numpy as np

from fastgrad.kernels import launch
from fastgrad.model.deferred import LEAST_DEFERRED
from fastgrad.model.network import Array, Problem
from fastgrad.model.product import product
from fastgrad.numerical.blocks import Block, Method, Steps, Task, cut
from fastgrad.numerical.counted import Work, perturbed, work_above
from fastgrad.numerical.flows import Flows
from fastgrad.numerical.propagated import RATE, cost, exact_kernels, threads_for
from fastgrad.numerical.steps import plan_steps, span


@dataclass(frozen=True, eq=False)
class PreactivationPlan:
    """Blocks of samples, layer by layer, of the layers with a parameter wanted."""

    task: Task

    @cached_property
    def chosen(self) -> Steps:
        """The steps of all layers."""
        return self.task.steps or plan_steps(self.task.problem, self.task.base, self.task.step, single=False)

    @property
    def steps(self) -> tuple[float, float]:
        """The smallest and the largest step."""
        return span(self.chosen)

    @cached_property
    def _starts(self) -> list[int]:
        """Return where in the room each layer's dZ begins, and the end."""
        problem = self.task.problem
        return [0, *accumulate(problem.samples * width for width in problem.network.widths[1:])]

    def _work(self, layer: int) -> float:
        """Return the multiply-adds of one sample."""
        width, bounds = self.task.problem.network.widths[layer + 1], self.chosen[layer][1]
        return work_above(self.task.problem, layer) * width * cost(bounds[layer:])

    def blocks(self) -> Iterator[Block]:
        """Yield runs of samples, from the last layer down, as the range on kinks is carried."""
        for layer in reversed(range(self.task.problem.network.depth)):
            yield from self.of_layer(layer)

    def of_layer(self, layer: int) -> Iterator[Block]:
        """Yield the blocks of a layer; its parameters, finished by all of them together, are shared out among them."""
        samples, count = self.task.problem.samples, self.task.count(layer)
        for low, high in cut(samples, self._work(layer) / RATE) if count else ():
            yield Block(layer, low, high, count * high // samples - count * low // samples)

    @property
    def size(self) -> int:
        """Every dZ."""
        return self._starts[-1]

    def place(self, block: Block) -> slice:
        """Return the place of dZ of a block's samples."""
        first, width = self._starts[block.layer], self.task.problem.network.widths[block.layer + 1]
        return slice(first + block.start * width, first + block.stop * width)

    def flow(self, layer: int, room: Array) -> Array:
        """Return a layer's dZ in the room, shape (m, n_l)."""
        return room[self._starts[layer] : self._starts[layer + 1]].reshape(self.task.problem.samples, -1)

    def run(self, block: Block, threads: int, room: Array) -> None:
        """Fill in dZ of a block's samples."""
        layer, samples = block.layer, np.arange(block.start, block.stop)
        (step,), bounds = self.chosen[layer]
        dZ = self.flow(layer, room)[block.start : block.stop]
        dZ.fill(0.0)  # of units that pass nothing on
        used = threads_for(self._work(layer) * self.task.problem.samples, threads)
        tables = self.task.base.tables._replace(exact=exact_kernels(self.task.base, layer, bounds))
        launch.preactivation_differences(tables, layer, step, bounds, samples, used, dZ)

    def gradient(self, room: Array) -> Array:
        """Return dW = dZᵀ·a and db = Σ_s dZ, which are exact; of all parameters of a large network where they are asked for."""
        flows, network = self.flows(room), self.task.problem.network
        if flows is not None:
            return cast(Array, flows)
        # Every number of it is filled in; to fill it twice takes twice the time of the memory, which a large network waits for.
        values = np.empty(network.size) if self.task.selected is None else np.full(network.size, np.nan)
        for layer in range(network.depth):
            place = self.task.place_of(layer)
            if self.task.selected is None:
                self.sum_up(layer, self.flow(layer, room), values[place])
            elif self.task.count(layer):
                local = self.task.places(layer)
                whole = np.empty(place.stop - place.start)
                self.sum_up(layer, self.flow(layer, room), whole)
                values[place][local] = whole[local]
        return values

    def flows(self, room: Array) -> Flows | None:
        """Return the gradient as it follows from dZ, where it is large and all of it was finished."""
        layers = [self.flow(layer, room) for layer in range(self.task.problem.network.depth)]
        finished = not any(np.isnan(dZ[:, 0]).any() for dZ in layers)
        return Flows(self.task.base, layers) if self._may_wait and finished else None

    @property
    def _may_wait(self) -> bool:
        """Whether the gradient is large and, but for the penalty's own, each of its values a single one."""
        problem = self.task.problem
        kinked = any(l1 and not problem.theta[place].all() for place, _, l1 in problem.network.penalties)
        is_usual = self.task.selected is None and self.task.step is None
        return is_usual and problem.network.size >= LEAST_DEFERRED and not kinked

    def sum_up(self, layer: int, dZ: Array, whole: Array) -> None:
        """Fill in dW and db of a layer from its dZ."""
        network = self.task.problem.network
        weights = network.widths[layer] * network.widths[layer + 1]
        if np.isnan(dZ[:, 0]).any():  # not finished
            whole.fill(np.nan)
            return
        product(dZ.T, self.task.base.activations[layer], out=whole[:weights].reshape(dZ.shape[1], -1))
        if network.biases[layer]:
            dZ.sum(axis=0, out=whole[weights:])


def _count(problem: Problem, _: float) -> Work:
    """Count the work, which a share of the parameters takes as all of them."""
    return perturbed(problem, 1.0, lambda layer: problem.network.widths[layer + 1])


PREACTIVATION = Method(
    name="preactivation",
    perturbs="every pre-activation of every example, by ±h; dW and db follow, since z is linear in W and b",
    serves="networks with millions of parameters",
    count=_count,
    plan=PreactivationPlan,
    kernels=(launch.preactivation_tiles,),
    makes_range=True,
)
