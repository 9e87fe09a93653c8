"""The range of a gradient where units sit on kinks, carried down from the output."""

from __future__ import annotations

import numpy as np

from fastgrad.model import outputs
from fastgrad.model.network import Array
from fastgrad.numerical.blocks import Task
from fastgrad.numerical.kinks import Mask, loss_on_kink, range_product, slope_range
from fastgrad.numerical.preactivation import PreactivationPlan
from fastgrad.numerical.tracking import Tracker


def kink_range(task: Task, kinked: Mask, threads: int, tracker: Tracker) -> tuple[Array, Array]:
    """Range of the gradient when every unit on a kink takes any slope between the one-sided ones.

    Backward passes agree on no convention for f′ on a kink, and rounding may put each unit on either side. The dZ of a
    sample on a kink is therefore carried down as a range, from the output to the input; a sample's
    share of dW being dZ·a, its smallest value is min(dZ)·a or max(dZ)·a as the sign of a has it. At the output it is one
    value unless the loss has a kink there.
    """
    problem, base = task.problem, task.base
    network = problem.network
    lower, upper = np.empty(network.size), np.empty(network.size)
    rows = np.flatnonzero(kinked.any(axis=1))
    plan = PreactivationPlan(Task(problem, base))
    room = plan.room()
    flow_low, flow_high = outputs.slope_range(base, rows, loss_on_kink(problem, base)[rows])
    for layer in reversed(range(network.depth)):
        for block in plan.of_layer(layer):
            if tracker.interrupted:
                raise KeyboardInterrupt
            plan.run(block, threads, room)
        low = plan.flow(layer, room)
        high = low.copy()
        slopes = slope_range(problem, base, layer, rows)
        products = [flow * slope for flow in (flow_low, flow_high) for slope in slopes]
        low[rows], high[rows] = np.minimum.reduce(products), np.maximum.reduce(products)
        smallest, largest = range_product(low.T, high.T, base.activations[layer])
        network.W(lower, layer)[:], network.W(upper, layer)[:] = smallest, largest
        if network.biases[layer]:
            network.b(lower, layer)[:], network.b(upper, layer)[:] = low.sum(axis=0), high.sum(axis=0)
        if layer:
            flow_low, flow_high = range_product(low[rows], high[rows], network.W(problem.theta, layer))
    return lower, upper
