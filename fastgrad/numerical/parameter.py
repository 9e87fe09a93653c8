"""Every parameter perturbed, and the difference of the loss propagated: the method `parameter`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from fastgrad.kernels import codes, launch
from fastgrad.model.network import Array, Offsets, Problem
from fastgrad.numerical.blocks import Block, Method, Steps, Task, cut
from fastgrad.numerical.counted import Work, parameters_of, perturbed, work_above
from fastgrad.numerical.propagated import RATE, cost, exact_kernels, threads_for
from fastgrad.numerical.steps import plan_steps, span


class Tiling(NamedTuple):
    """The parameters wanted of a layer, where its tiles begin among them, and the order of the tiles."""

    layer: int
    local: Offsets
    tiles: Offsets
    order: Offsets


@dataclass(eq=False)
class ParameterPlan:
    """Blocks of tiles, layer by layer."""

    task: Task
    _latest: Tiling | None = None
    """Of one layer at a time: memory for those of all would be taken, and given back, in every check."""

    @cached_property
    def chosen(self) -> Steps:
        """The steps of all layers."""
        return self.task.steps or plan_steps(self.task.problem, self.task.base, self.task.step, single=True)

    @property
    def steps(self) -> tuple[float, float]:
        """The smallest and the largest step."""
        return span(self.chosen)

    def _tiling(self, layer: int) -> Tiling:
        latest = self._latest
        if latest is None or latest.layer != layer:
            local = self.task.places(layer)
            n_in, n_out = self.task.problem.network.widths[layer : layer + 2]
            self._latest = latest = Tiling(layer, local, *tiles_of(local, n_in, n_out))
        return latest

    def _work(self, layer: int) -> float:
        """Return the multiply-adds of one parameter."""
        bounds = self.chosen[layer][1]
        return work_above(self.task.problem, layer) * self.task.problem.samples * cost(bounds[layer:])

    def blocks(self) -> Iterator[Block]:
        """Yield runs of tiles."""
        for layer in range(self.task.problem.network.depth):
            _, _, tiles, order = self._tiling(layer)
            for start, stop in cut(order.size, self._work(layer) * codes.TILE / RATE):
                mine = order[start:stop]
                yield Block(layer, start, stop, int((tiles[mine + 1] - tiles[mine]).sum()))

    @property
    def size(self) -> int:
        """A difference for each parameter wanted."""
        return self.task.wanted

    def place(self, block: Block) -> Offsets:
        """Return the places of the parameters in a block's tiles, one tile after the other."""
        _, _, tiles, order = self._tiling(block.layer)
        mine = order[block.start : block.stop]
        sizes = tiles[mine + 1] - tiles[mine]
        begins = np.cumsum(sizes) - sizes
        first = self.task.places_in_room(block.layer).start
        return np.asarray(first + np.repeat(tiles[mine] - begins, sizes) + np.arange(sizes.sum()))

    def run(self, block: Block, threads: int, room: Array) -> None:
        """Fill in the differences of a block's tiles."""
        layer, base = block.layer, self.task.base
        _, local, tiles, order = self._tiling(layer)
        steps, bounds = self.chosen[layer]
        launch.parameter_differences(
            base.tables._replace(exact=exact_kernels(base, layer, bounds)),
            layer,
            base.activations[layer],
            steps,
            bounds,
            local,
            tiles,
            order[block.start : block.stop],
            threads_for(self._work(layer) * local.size, threads),
            room[self.task.places_in_room(layer)],
        )

    def gradient(self, room: Array) -> Array:
        """Return the differences in theta's order."""
        return self.task.in_order(room)


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


def _count(problem: Problem, share: float) -> Work:
    """Count the work for a share of the parameters."""
    return perturbed(problem, share, lambda layer: parameters_of(problem, layer))


PARAMETER = Method(
    name="parameter",
    perturbs="every parameter, by ±h",
    serves="the exhaustive check",
    count=_count,
    plan=ParameterPlan,
    kernels=(launch.parameter_tiles,),
)
