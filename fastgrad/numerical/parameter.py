"""Every parameter perturbed, and the difference of the loss propagated: the method `parameter`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np

from fastgrad.kernels import codes, launch
from fastgrad.model.network import Array, Offsets, Problem
from fastgrad.numerical.blocks import Block, Method, Task, counted_seconds, cut, parameters_of, work_above
from fastgrad.numerical.propagated import RATE, cost, exact_kernels, threads_for
from fastgrad.numerical.steps import plan_steps, span


@dataclass(frozen=True, eq=False)
class ParameterPlan:
    """Blocks of tiles, layer by layer."""

    task: Task

    @cached_property
    def _steps(self) -> list[tuple[Array, Array]]:
        return plan_steps(self.task.problem, self.task.base, self.task.step, single=True)

    @property
    def steps(self) -> tuple[float, float]:
        """The smallest and the largest step."""
        return span(self._steps)

    @cached_property
    def _layers(self) -> list[tuple[Offsets, Offsets, Offsets]]:
        """Of each layer the parameters wanted, where its tiles begin among them, and the order of the tiles."""
        widths = self.task.problem.network.widths
        wanted = [self.task.places(layer) for layer in range(self.task.problem.network.depth)]
        return [(local, *tiles_of(local, *widths[layer : layer + 2])) for layer, local in enumerate(wanted)]

    @cached_property
    def _starts(self) -> list[int]:
        """Where in the room each layer begins, and the end."""
        return [0, *accumulate(local.size for local, *_ in self._layers)]

    def _work(self, layer: int) -> float:
        """Multiply-adds of one parameter."""
        bounds = self._steps[layer][1]
        return 2.0 * work_above(self.task.problem, layer) * self.task.problem.samples * cost(bounds[layer:])

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """Runs of tiles."""
        blocks = []
        for layer, (_, tiles, order) in enumerate(self._layers):
            for start, stop in cut(order.size, self._work(layer) * codes.TILE / RATE):
                mine = order[start:stop]
                blocks.append(Block(layer, start, stop, int((tiles[mine + 1] - tiles[mine]).sum())))
        return tuple(blocks)

    def room(self) -> Array:
        """Return room for the difference of each parameter wanted."""
        return np.full(self._starts[-1], np.nan)

    def run(self, block: Block, threads: int, room: Array) -> None:
        """Fill in the differences of a block's tiles."""
        layer, base = block.layer, self.task.base
        local, tiles, order = self._layers[layer]
        steps, bounds = self._steps[layer]
        launch.parameter_differences(
            exact_kernels(base, layer, bounds),
            base.tables,
            layer,
            base.activations[layer],
            steps,
            bounds,
            local,
            tiles,
            order[block.start : block.stop],
            threads_for(self._work(layer) * local.size, threads),
            room[self._starts[layer] : self._starts[layer + 1]],
        )

    def gradient(self, room: Array) -> Array:
        """Return the differences in theta's order."""
        if self.task.selected is None:
            return room
        values = np.full(self.task.problem.network.size, np.nan)
        values[self.task.selected] = room
        return values


def tiles_of(local: Offsets, n_in: int, n_out: int) -> tuple[Offsets, Offsets]:
    """Cut a layer's parameters into tiles, and order them by input; return their bounds and the order.

    A tile keeps to one unit where a unit has inputs enough to fill half of one; biases are never with weights. Tiles of the
    same inputs and different units follow each other, so that the inputs of all samples are read from memory once.
    """
    weights = n_in * n_out
    begins = np.searchsorted(local, np.arange(0, weights + 1, n_in if n_in >= codes.TILE // 2 else weights))
    counts = -(-np.diff(begins, append=local.size) // codes.TILE)
    rank = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    starts = np.repeat(begins, counts) + codes.TILE * rank
    return np.append(starts, local.size), np.argsort(rank, kind="stable")


def _estimate(problem: Problem, share: float = 1.0) -> float:
    """Estimate the seconds for a share of the parameters."""
    return counted_seconds(problem, RATE, share, lambda layer: parameters_of(problem, layer) * work_above(problem, layer))


PARAMETER = Method(
    name="parameter",
    perturbs="every parameter by ±h",
    serves="the exhaustive check",
    seconds_per_layer=1.3e-3,
    estimate=_estimate,
    plan=ParameterPlan,
    kernels=(launch.parameter_tiles,),
)
