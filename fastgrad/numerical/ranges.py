"""The range of a gradient where units sit on kinks, carried down from the output."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import numpy as np

from fastgrad.kernels import codes
from fastgrad.model import outputs
from fastgrad.model.network import Array, Offsets
from fastgrad.numerical.blocks import Block, Task
from fastgrad.numerical.flows import Bound
from fastgrad.numerical.kinks import Mask, loss_on_kink, range_product, slope_range
from fastgrad.numerical.preactivation import PreactivationPlan
from fastgrad.numerical.tracking import Tracker
from fastgrad.numerical.work import Origin, Workers


def kink_range(
    task: Task, kinked: Mask, workers: Workers, tracker: Tracker, counting: bool
) -> tuple[Array, Array, Array, Origin]:
    """Return central differences by pre-activations, and their range when units on kinks take any slope between the one-sided.

    Backward passes agree on no convention for f′ on a kink, and rounding may put each unit on either side. The dZ of a
    sample on a kink is therefore carried down as a range, from the output to the input; a sample's
    share of dW being dZ·a, its smallest value is min(dZ)·a or max(dZ)·a as the sign of a has it. At the output it is one
    value unless the loss has a kink there. After Ctrl-C the layers that were not finished are nan. `counting` tells whether
    with these differences the wanted parameters are finished.
    """
    problem, base = task.problem, task.base
    network, samples = problem.network, problem.samples
    rows = np.flatnonzero(kinked.any(axis=1))
    plan = PreactivationPlan(Task(problem, base))

    def counted(block: Block) -> int:
        count = task.count(block.layer) if counting else 0
        return count * block.stop // samples - count * block.start // samples

    room, origin = workers.carry_out(plan, tracker, counted)
    ends = list(_ends(task, kinked, rows, plan, room))
    flows = plan.flows(room) if counting and task.selected is None else None
    if flows is not None:
        lower, upper = (Bound(flows, rows, ends[::-1], largest) for largest in (False, True))
        return cast(Array, flows), cast(Array, lower), cast(Array, upper), origin
    values, low, high = (np.full(network.size, np.nan) for _ in range(3))
    for layer, end in zip(reversed(range(network.depth)), ends, strict=False):
        here, dZ = task.place_of(layer), plan.flow(layer, room)
        plan.sum_up(layer, dZ, values[here])
        if end is None:
            low[here] = high[here] = values[here]
        else:
            others = dZ.copy()
            others[rows] = 0.0
            plan.sum_up(layer, others, low[here])
            high[here] = low[here]
            _add_range(task, layer, rows, end, low, high)
    return values, low, high, origin


def _ends(
    task: Task, kinked: Mask, rows: Offsets, plan: PreactivationPlan, room: Array
) -> Iterator[tuple[Array, Array] | None]:
    """Yield, from the last layer down, the smallest and largest dZ of samples on kinks; None where there is no kink so far up.

    After Ctrl-C no more of the layers that were not finished.
    """
    problem, base = task.problem, task.base
    network = problem.network
    flow_low, flow_high = outputs.slope_range(base, rows, loss_on_kink(problem, base)[rows])
    for layer in reversed(range(network.depth)):
        if np.isnan(plan.flow(layer, room)[:, 0]).any():
            return
        slopes = slope_range(problem, base, layer, rows)
        products = [flow * slope for flow in (flow_low, flow_high) for slope in slopes]
        low, high = np.minimum.reduce(products), np.maximum.reduce(products)
        yield (low, high) if kinked[:, int(base.tables.layers[codes.UNIT, layer]) :].any() else None
        if layer:
            flow_low, flow_high = range_product(low, high, network.W(problem.theta, layer))


def _add_range(task: Task, layer: int, rows: Offsets, end: tuple[Array, Array], lower: Array, upper: Array) -> None:
    """Add the range of a layer's gradient that samples on kinks have."""
    network, (low, high) = task.problem.network, end
    smallest, largest = range_product(low.T, high.T, task.base.activations[layer][rows])
    network.W(lower, layer)[:] += smallest
    network.W(upper, layer)[:] += largest
    if network.biases[layer]:
        network.b(lower, layer)[:] += low.sum(axis=0)
        network.b(upper, layer)[:] += high.sum(axis=0)
