"""Every pre-activation perturbed, sample by sample; dW and db follow, z being linear in both: the method `preactivation`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np

from fastgrad.kernels import launch
from fastgrad.model.network import Array, Problem
from fastgrad.model.product import product
from fastgrad.numerical.blocks import Block, Method, Task, counted_seconds, cut, work_above
from fastgrad.numerical.propagated import RATE, cost, exact_kernels, threads_for
from fastgrad.numerical.steps import plan_steps, span


@dataclass(frozen=True, eq=False)
class PreactivationPlan:
    """Blocks of samples, layer by layer, of the layers with a parameter wanted."""

    task: Task

    @cached_property
    def _steps(self) -> list[tuple[Array, Array]]:
        return plan_steps(self.task.problem, self.task.base, self.task.step, single=False)

    @property
    def steps(self) -> tuple[float, float]:
        """The smallest and the largest step."""
        return span(self._steps)

    @cached_property
    def _starts(self) -> list[int]:
        """Return where in the room each layer's dZ begins, and the end."""
        problem = self.task.problem
        return [0, *accumulate(problem.samples * width for width in problem.network.widths[1:])]

    def _work(self, layer: int) -> float:
        """Return the multiply-adds of one sample."""
        width, bounds = self.task.problem.network.widths[layer + 1], self._steps[layer][1]
        return work_above(self.task.problem, layer) * width * cost(bounds[layer:])

    def blocks(self) -> Iterator[Block]:
        """Yield runs of samples."""
        for layer in range(self.task.problem.network.depth):
            yield from self.of_layer(layer)

    def of_layer(self, layer: int) -> Iterator[Block]:
        """Yield the blocks of a layer; its parameters, finished by all of them together, are shared out among them."""
        samples, count = self.task.problem.samples, self.task.count(layer)
        for low, high in cut(samples, self._work(layer) / RATE) if count else ():
            yield Block(layer, low, high, count * high // samples - count * low // samples)

    def room(self) -> Array:
        """Return room for every dZ."""
        return np.full(self._starts[-1], np.nan)

    def flow(self, layer: int, room: Array) -> Array:
        """Return a layer's dZ in the room, shape (m, n_l)."""
        return room[self._starts[layer] : self._starts[layer + 1]].reshape(self.task.problem.samples, -1)

    def run(self, block: Block, threads: int, room: Array) -> None:
        """Fill in dZ of a block's samples."""
        layer, samples = block.layer, np.arange(block.start, block.stop)
        (step,), bounds = self._steps[layer]
        dZ = self.flow(layer, room)[block.start : block.stop]
        dZ.fill(0.0)  # of units that pass nothing on
        used = threads_for(self._work(layer) * self.task.problem.samples, threads)
        tables = self.task.base.tables._replace(exact=exact_kernels(self.task.base, layer, bounds))
        launch.preactivation_differences(tables, layer, step, bounds, samples, used, dZ)

    def gradient(self, room: Array) -> Array:
        """Return dW = dZᵀ·a and db = Σ_s dZ, which are exact."""
        network = self.task.problem.network
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


def _estimate(problem: Problem, _: float) -> float:
    """Estimate the seconds, which a share of the parameters takes as all of them."""
    return counted_seconds(problem, RATE, 1.0, lambda layer: problem.network.widths[layer + 1] * work_above(problem, layer))


PREACTIVATION = Method(
    name="preactivation",
    perturbs="every pre-activation of every example, by ±h; dW and db follow, since z is linear in W and b",
    serves="networks with millions of parameters",
    seconds_per_layer=1.3e-3,
    estimate=_estimate,
    plan=PreactivationPlan,
    kernels=(launch.preactivation_tiles,),
    makes_range=True,
)
