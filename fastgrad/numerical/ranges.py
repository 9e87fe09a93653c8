"""The range of a gradient where units sit on kinks, carried down from the output."""

from __future__ import annotations

import numpy as np

from fastgrad.kernels import codes
from fastgrad.model import outputs
from fastgrad.model.network import Array
from fastgrad.numerical.blocks import Block, Task
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
    values, lower, upper = (np.full(network.size, np.nan) for _ in range(3))
    rows = np.flatnonzero(kinked.any(axis=1))
    plan = PreactivationPlan(Task(problem, base))

    def counted(block: Block) -> int:
        count = task.count(block.layer) if counting else 0
        return count * block.stop // samples - count * block.start // samples

    room, origin = workers.carry_out(plan, tracker, counted)
    flow_low, flow_high = outputs.slope_range(base, rows, loss_on_kink(problem, base)[rows])
    for layer in reversed(range(network.depth)):
        dZ, here = plan.flow(layer, room), task.place_of(layer)
        if np.isnan(dZ[:, 0]).any():
            break
        plan.sum_up(layer, dZ, values[here])
        slopes = slope_range(problem, base, layer, rows)
        products = [flow * slope for flow in (flow_low, flow_high) for slope in slopes]
        low, high = np.minimum.reduce(products), np.maximum.reduce(products)
        if not kinked[:, int(base.tables.layers[codes.UNIT, layer]) :].any():  # no kink so far up
            lower[here] = upper[here] = values[here]
        else:
            dZ[rows] = 0.0
            plan.sum_up(layer, dZ, lower[here])
            upper[here] = lower[here]
            smallest, largest = range_product(low.T, high.T, base.activations[layer][rows])
            network.W(lower, layer)[:] += smallest
            network.W(upper, layer)[:] += largest
            if network.biases[layer]:
                network.b(lower, layer)[:] += low.sum(axis=0)
                network.b(upper, layer)[:] += high.sum(axis=0)
        if layer:
            flow_low, flow_high = range_product(low, high, network.W(problem.theta, layer))
    return values, lower, upper, origin
