"""Single parameters of a network that is read from disk: the moves that some of them make are carried up together.

Called by numerical. A parameter moves one unit of its layer, in every sample by ±h·a, or, by pre-activations, all samples of
the unit by ±h; what a layer above makes of the moves is carried up as along directions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastgrad.errors import InputError
from fastgrad.model import outputs
from fastgrad.model.network import Array, Offsets, Problem, Tensor
from fastgrad.model.stored import Matrix, tiles
from fastgrad.numerical.blocks import Method
from fastgrad.numerical.directional.derivative import Moves, Setting, carry
from fastgrad.numerical.how import How
from fastgrad.numerical.kinks import range_product
from fastgrad.numerical.tracking import Tracker

TOGETHER = 2**23
"""Moves of a layer that are carried at a time, 64 MiB; they are read, multiplied and written a few times over."""
MOST_DRAWN = 2**20
"""Parameters of a sample: each of them costs a share of a walk through all layers above its own."""
Flow = tuple[Offsets, Array, Array]
"""Some samples, and the smallest and the largest dZ of a layer that they may have, shape (len(rows), n_l) each."""


class Differences(NamedTuple):
    """Central differences of some parameters, penalty included, with their range on kinks; and the span of steps."""

    values: Array
    lower: Array
    upper: Array
    steps: tuple[float, float]


def require_few(problem: Problem, how: How, method: Method, selected: Offsets | None) -> Offsets:
    """Return the parameters that are drawn, or raise InputError where that is not what is asked for."""
    outgrown = "the parameters outgrow memory and are read from disk"
    if how.step is not None or method.step is not None:
        raise InputError(
            f"{outgrown}, where every perturbation has its own step: leave out step and method textbook, or allow more memory"
        )
    if selected is None and problem.network.size <= MOST_DRAWN:
        return np.arange(problem.network.size)
    if selected is None:
        raise InputError(
            f"{outgrown}: take method directional, which looks at all of them, or a sample of some hundred, as in --sample 500"
        )
    if selected.size > MOST_DRAWN:
        raise InputError(f"{outgrown}: a sample has {MOST_DRAWN:,} of them at most, found {selected.size:,}")
    return selected


def drawn_differences(setting: Setting, places: Offsets, tracker: Tracker, *, by_unit: bool) -> Differences:
    """Return central differences of some parameters, ascending; nan where Ctrl-C came first."""
    problem = setting.problem
    values, lower, upper = np.full((3, places.size), np.nan)
    found = Differences(values, lower, upper, (0.0, 0.0))
    steps: list[Array] = []
    ranges = _kinked_flows(setting)
    for tensor in problem.tensors:
        first, last = np.searchsorted(places, (tensor.start, tensor.stop))
        length = together(problem, tensor.layer)
        for low in range(first, last, length):
            if tracker.interrupted:
                break
            here = slice(low, min(low + length, last))
            steps.append(_some(setting, tensor, places[here] - tensor.start, by_unit, ranges, found, here))
            tracker.advance(here.stop - here.start)
    _add_penalty(problem, places, found)
    used = np.concatenate(steps) if steps else np.ones(1)
    return found._replace(steps=(float(used.min()), float(used.max())))


def together(problem: Problem, layer: int) -> int:
    """Return how many parameters of a layer are carried up at a time."""
    return max(1, TOGETHER // (2 * problem.samples * max(problem.network.widths[layer + 1 :])))


def _some(
    setting: Setting,
    tensor: Tensor,
    local: Offsets,
    by_unit: bool,
    ranges: dict[int, Flow],
    found: Differences,
    here: slice,
) -> Array:
    """Fill in the differences of some parameters of one tensor, and return their steps."""
    unit, source = np.divmod(local, tensor.canonical_shape[1] if tensor.kind == "W" else 1)
    inputs = np.ones((setting.problem.samples, local.size))
    if tensor.kind == "W":
        inputs = setting.base.activations[tensor.layer][:, source]
    units, which = np.unique(unit, return_inverse=True)
    if by_unit:  # each unit once, by the same in all samples; dW and db follow, z being linear in both
        carried = carry(setting, _moves(tensor.layer, units, np.arange(units.size), np.ones((len(inputs), units.size))))
        shares = carried.parts[:, which] * inputs
    else:
        carried = carry(setting, _moves(tensor.layer, units, which, inputs))
        shares = carried.parts
    found.values[here] = found.lower[here] = found.upper[here] = shares.sum(axis=0)
    if tensor.layer in ranges:
        rows, low, high = ranges[tensor.layer]
        sides = np.stack([bound[:, unit] * inputs[rows] for bound in (low, high)])
        rest = shares.sum(axis=0) - shares[rows].sum(axis=0)
        np.fmin(rest + sides.min(axis=0).sum(axis=0), found.values[here], out=found.lower[here])
        np.fmax(rest + sides.max(axis=0).sum(axis=0), found.values[here], out=found.upper[here])
    return carried.steps


def _moves(layer: int, units: Offsets, which: Offsets, moved: Array) -> Moves:
    """Return the moves of units of which each perturbation moves one, by so much in each sample, shape (m, k)."""
    samples, count = moved.shape
    values = np.zeros((count, samples, units.size))
    values[np.arange(count), :, which] = moved.T
    return Moves(layer, units, values, np.zeros((count, samples)))


def _kinked_flows(setting: Setting) -> dict[int, Flow]:
    """Return the range of dZ of the samples on a kink, as `ranges` has it, of each layer that has one in it or above."""
    network, rows = setting.problem.network, np.flatnonzero(setting.kinked())
    flows: dict[int, Flow] = {}
    if not rows.size:
        return flows
    flow = outputs.slope_range(setting.base, rows, setting.loss_kinks[rows])
    for layer in reversed(range(network.depth)):
        products = [bound * side[rows] for bound in flow for side in setting.slopes[layer]]
        low, high = np.minimum.reduce(products), np.maximum.reduce(products)
        if setting.kinked(layer).any():
            flows[layer] = rows, low, high
        if layer:
            flow = _down(low, high, network.W(setting.problem.theta, layer))
    return flows


def _down(low: Array, high: Array, W: Matrix) -> tuple[Array, Array]:
    """Return the range of what a layer passes down, some of its W at a time."""
    smallest, largest = np.zeros((2, len(low), W.shape[1]))
    for tile in tiles(W):
        parts = range_product(low[:, tile.rows], high[:, tile.rows], tile.values)
        smallest[:, tile.columns] += parts[0]
        largest[:, tile.columns] += parts[1]
    return smallest, largest


def _add_penalty(problem: Problem, places: Offsets, found: Differences) -> None:
    """Add c·w and c·sign(w); where w is 0 any slope from −c to c is right."""
    for place, l2, l1 in problem.network.penalties:
        first, last = np.searchsorted(places, (place.start, place.stop))
        w, here = problem.theta[places[first:last]], slice(first, last)
        for values, at_zero in ((found.values, 0.0), (found.lower, -l1), (found.upper, l1)):
            values[here] += l2 * w + np.where(w == 0.0, at_zero, l1 * np.sign(w))
