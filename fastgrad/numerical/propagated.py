"""Central differences that the kernels propagate: by parameter, by pre-activation, and their range on kinks."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgrad.kernels import codes, launch
from fastgrad.kernels.native import addresses
from fastgrad.kernels.sharing import crew
from fastgrad.model import outputs
from fastgrad.model.forward import BasePoint
from fastgrad.model.network import Array, Offsets, Problem
from fastgrad.model.product import product
from fastgrad.numerical.kinks import Mask, loss_on_kink, range_product, slope_range
from fastgrad.numerical.methods import WORK_RATE, Method, work_above
from fastgrad.numerical.steps import Plan, plan_steps
from fastgrad.numerical.tracking import Tracker

PARALLEL_SECONDS = 3e-4
"""Estimated work below which a second thread costs more than it saves, waking it taking 10 µs to some ms on a busy machine."""
EXACT_COST = 20.0
"""How many times the work of two Taylor terms an exact difference may be, in guesses of the first piece's length."""


def central_differences(
    problem: Problem,
    base: BasePoint,
    plan: Plan,
    method: Method,
    selected: Offsets | None,
    threads: int,
    tracker: Tracker,
) -> Array:
    """Central differences by a propagating method, penalty left out, nan where not selected."""
    network = problem.network
    values = np.full(network.size, np.nan)
    for layer in range(network.depth):
        if tracker.interrupted:
            break
        start, stop = network.weight_slice(layer).start, network.bias_slice(layer).stop
        local = None
        if selected is not None:
            low, high = np.searchsorted(selected, (start, stop))
            local = selected[low:high] - start
            if local.size == 0:
                continue
        here = values[start:stop]
        if method == "parameter":
            if local is None:
                _fill_by_parameter(problem, base, plan[layer], layer, np.arange(stop - start), threads, tracker, here)
            else:
                some = np.full(local.size, np.nan)
                _fill_by_parameter(problem, base, plan[layer], layer, local, threads, tracker, some)
                here[local] = some
            continue
        whole = here if local is None else np.empty(stop - start)
        _fill_from_preactivations(problem, base, plan[layer], layer, threads, whole, tracker)
        if local is not None:
            here[local] = whole[local]
        tracker.advance(stop - start if local is None else local.size)
    return values


def _fill_from_preactivations(
    problem: Problem, base: BasePoint, plan: tuple[Array, Array], layer: int, threads: int, whole: Array, tracker: Tracker
) -> None:
    """Fill a layer's dW = dZᵀ·a and db = Σ_s dZ, which are exact, z being linear in W and b."""
    dZ = by_preactivation(problem, base, plan, layer, threads, tracker)
    if tracker.interrupted:
        whole.fill(np.nan)
        return
    weights = problem.network.widths[layer] * problem.network.widths[layer + 1]
    product(dZ.T, base.activations[layer], out=whole[:weights].reshape(dZ.shape[1], -1))
    if problem.network.biases[layer]:
        dZ.sum(axis=0, out=whole[weights:])


def _fill_by_parameter(
    problem: Problem,
    base: BasePoint,
    plan: tuple[Array, Array],
    layer: int,
    local: Offsets,
    threads: int,
    tracker: Tracker,
    values: Array,
) -> None:
    """Fill in central differences of a layer's parameters, which are counted from its first weight."""
    steps, bounds = plan
    tiles, order = _tiles(local, *problem.network.widths[layer : layer + 2])
    work = 2.0 * work_above(problem, layer) * base.activations[layer].shape[0] * _cost(bounds[layer:])
    used = _threads_for(work * local.size, threads)
    tables = base.tables._replace(exact=_exact_kernels(base, layer, bounds))
    for piece in tracker.pieces(order.size, work * codes.TILE / (WORK_RATE["parameter"] * crew.ready(used))):
        launch.parameter_differences(
            tables,
            layer,
            base.activations[layer],
            steps,
            bounds,
            local,
            tiles,
            order[piece],
            used,
            values,
        )
        tracker.advance(int((tiles[order[piece] + 1] - tiles[order[piece]]).sum()))


def _tiles(local: Offsets, n_in: int, n_out: int) -> tuple[Offsets, Offsets]:
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


def by_preactivation(
    problem: Problem, base: BasePoint, plan: tuple[Array, Array], layer: int, threads: int, tracker: Tracker
) -> Array:
    """Central differences of a layer's pre-activations, dZ of shape (m, n_l); after Ctrl-C they are not all there."""
    (step,), bounds = plan
    shape = base.activations[layer + 1].shape
    dZ = np.zeros(shape)
    work = 2.0 * work_above(problem, layer) * shape[1] * _cost(bounds[layer:])
    used = _threads_for(work * shape[0], threads)
    tables = base.tables._replace(exact=_exact_kernels(base, layer, bounds))
    for piece in tracker.pieces(shape[0], work / (WORK_RATE["preactivation"] * crew.ready(used))):
        launch.preactivation_differences(
            tables,
            layer,
            step,
            bounds,
            np.arange(piece.start, piece.stop),
            used,
            dZ[piece],
        )
    return dZ


def _exact_kernels(base: BasePoint, layer: int, bounds: Array) -> Any:
    """Return the addresses of the kernels of exact differences that moves within some bounds need, from a layer on.

    They take longer to compile than all the rest, and few networks need them: those on a kink, or with a large fixed step.
    """
    tables, last = base.tables, base.tables.layers.shape[1] - 2
    bent = any((base.plane(codes.KINK, above) <= bounds[above]).any() for above in range(layer, last + 1))
    large = bool((tables.outputs[codes.LOSS_KINK] <= bounds[-1]).any())
    return addresses(
        launch.exact_activation if bent else None,
        launch.exact_loss if layer < last and (large or tables.loss_code >= codes.COUPLED) else None,
        launch.exact_single if layer == last and large else None,
    )


def _cost(bounds: Array) -> float:
    """Guess how many times more work the exact differences make, where two Taylor terms are not enough."""
    return EXACT_COST if np.inf in bounds else 1.0


def _threads_for(work: float, threads: int) -> int:
    """Return the threads to use for an amount of work: one where it is too small to share."""
    return 1 if work < PARALLEL_SECONDS * WORK_RATE["parameter"] else threads


def kink_range(problem: Problem, base: BasePoint, threads: int, kinked: Mask, tracker: Tracker) -> tuple[Array, Array]:
    """Range of the gradient when every unit on a kink takes any slope between the one-sided ones.

    Backward passes agree on no convention for f′ on a kink, and rounding may put each unit on either side. The dZ of a
    sample on a kink is therefore carried down as a range, from the output to the input; a sample's
    share of dW being dZ·a, its smallest value is min(dZ)·a or max(dZ)·a as the sign of a has it. At the output it is one
    value unless the loss has a kink there.
    """
    network = problem.network
    lower, upper = np.empty(network.size), np.empty(network.size)
    rows = np.flatnonzero(kinked.any(axis=1))
    plan = plan_steps(problem, base, "preactivation", None)
    flow_low, flow_high = outputs.slope_range(base, rows, loss_on_kink(problem, base)[rows])
    for layer in reversed(range(network.depth)):
        low = by_preactivation(problem, base, plan[layer], layer, threads, tracker)
        if tracker.interrupted:
            raise KeyboardInterrupt
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
