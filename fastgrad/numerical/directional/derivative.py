"""The derivative along a direction: the moves of all pre-activations carried to the loss without cancellation.

Called by directional. No number is ever subtracted from one near it. Moves are so small that −h is the mirror image of +h, as
kernels/propagate says: what is carried is half the difference of the two, which is odd in h, by f′ alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import NamedTuple

import numpy as np

from fastgrad.errors import InputError
from fastgrad.kernels import codes, launch
from fastgrad.kernels.kernel import addresses
from fastgrad.model import outputs
from fastgrad.model.forward import BasePoint, base_point, growth
from fastgrad.model.network import Array, Offsets, Problem
from fastgrad.model.product import product, row_norms
from fastgrad.model.rounding import RoundingScale, rounding_scale
from fastgrad.numerical.directional.signs import Region, Signs, sum_growth, whole_layer
from fastgrad.numerical.finite import require_finite
from fastgrad.numerical.kinks import Mask, loss_on_kink, on_kink, slope_range
from fastgrad.numerical.steps import SMALL_MOVE

FIRST_MOVE = 2.0**-40
"""Largest move of the perturbed pre-activations themselves: leaves room for growth on the way up before a move reaches
`SMALL_MOVE` or half the way to a kink and all has to be done again with a smaller step. Nothing cancels: no digit is lost."""
ATTEMPTS = 6
"""Steps tried; the second has the right size unless moves overflow."""


@dataclass(frozen=True, eq=False)
class Setting:
    """A problem made ready for directions.

    Attributes
    ----------
    problem, base, scale
        The network, its forward pass, and how far rounding may move each entry of a gradient.
    signs : Signs
        The directions.
    room : list of ndarray, shape (m, n_l)
        How far each pre-activation may move: `SMALL_MOVE`, half the way to the nearest kink.
    output_room : ndarray, shape (m,)
        How far the outputs of each sample may move: `SMALL_MOVE` of their unit, half the way to the loss's nearest kink.
    kinks : list of ndarray of bool, shape (m, n_l)
        Which sit on a kink.
    loss_kinks : ndarray of bool, shape (m, n_L)
        Which outputs sit on a kink of the loss.
    slopes : list of tuple of ndarray, shape (m, n_l)
        f′ on the left and on the right.
    norms : list of ndarray, shape (n_l,)
        Euclidean norm of each row of W.
    """

    problem: Problem
    base: BasePoint
    scale: RoundingScale
    signs: Signs
    room: list[Array]
    output_room: Array
    kinks: list[Mask]
    loss_kinks: Mask
    slopes: list[tuple[Array, Array]]
    norms: list[Array]

    def kinked(self, layer: int = 0) -> Mask:
        """Tell which samples have a unit of a layer or above, or an output of the loss, on a kink; shape (m,)."""
        return np.asarray(np.concatenate([*self.kinks[layer:], self.loss_kinks], axis=1).any(axis=1))


def prepare(problem: Problem, directions: int, seed: int, threads: int) -> Setting:
    """Run the forward pass and tabulate what all directions share."""
    base, network = base_point(problem), problem.network
    require_finite(problem, base)
    if not np.isfinite(base.loss):
        raise InputError(f"the loss of this network is {base.loss}: its outputs overflow, there is no gradient to check")
    every = np.arange(problem.samples)
    kinks, loss_kinks = [on_kink(problem, base, layer) for layer in range(network.depth)], loss_on_kink(problem, base)
    slopes = [
        slope_range(problem, base, layer, every) if kinks[layer].any() else (base.plane(codes.SLOPE, layer),) * 2
        for layer in range(network.depth)
    ]
    return Setting(
        problem,
        base,
        rounding_scale(problem, base),
        Signs.of_seed(network, directions, seed, threads),
        *_room(base, kinks, loss_kinks, SMALL_MOVE),
        kinks,
        loss_kinks,
        slopes,
        [row_norms(network.W(problem.theta, layer)) for layer in range(network.depth)],
    )


def with_room(setting: Setting, largest: float) -> Setting:
    """Return the same setting with room for moves as large as that, or half the way to a kink."""
    room, output_room = _room(setting.base, setting.kinks, setting.loss_kinks, largest)
    return replace(setting, room=room, output_room=output_room)


def _room(base: BasePoint, kinks: list[Mask], loss_kinks: Mask, largest: float) -> tuple[list[Array], Array]:
    """Return how far each pre-activation, and the outputs of each sample, may move."""
    nearest = np.where(loss_kinks, np.inf, base.tables.outputs[codes.LOSS_KINK]).min(axis=1)
    room = [
        np.minimum(largest, np.where(here, np.inf, 0.5 * base.plane(codes.KINK, layer))) for layer, here in enumerate(kinks)
    ]
    return room, np.minimum(largest * outputs.unit(base), 0.5 * nearest)


Units = slice | Offsets


class Moves(NamedTuple):
    """How some units of a layer move along k directions for a step of 1.

    Attributes
    ----------
    layer : int
        The layer.
    units : slice or ndarray of int64
        Those units.
    values : ndarray, shape (k, m, r)
        The moves of their pre-activations.
    error : ndarray, shape (k, m)
        What rounding those may have, in units of u.
    """

    layer: int
    units: Units
    values: Array
    error: Array


@dataclass(eq=False)
class Carried:
    """What the moves of k directions come to.

    Attributes
    ----------
    steps, rounding, excess : ndarray, shape (k,)
        Their steps; what rounding on the way does to the derivative, in units of u; the largest move relative to its room.
    parts : ndarray, shape (m, k)
        Central differences of each sample's loss.
    """

    steps: Array
    rounding: Array
    excess: Array
    parts: Array = field(default_factory=lambda: np.empty(0))

    @property
    def derivative(self) -> Array:
        """The central difference, shape (k,)."""
        values: Array = self.parts.sum(axis=0)
        return values


Push = Callable[[int], Array]


def along(setting: Setting, region: Region, directions: range, convention: int | None = None) -> Carried:
    """Carry the moves that a region makes along some directions to the loss.

    A unit on a kink has for a slope the left one by convention 0, the right one by convention 1, their mean by None.
    """
    return carry(setting, first_moves(setting, region, directions), convention)


def first_moves(setting: Setting, region: Region, directions: range) -> Moves:
    """Return the moves of z that a region's parameters make."""
    samples, signs, units = setting.problem.samples, setting.signs, slice(region.low, region.high)
    if region.kind == "b":
        rows = np.array([signs.of(k, region) for k in directions])
        return Moves(region.layer, units, np.repeat(rows[:, None], samples, axis=1), np.zeros((len(directions), samples)))
    inputs = setting.base.activations[region.layer]
    values = np.array([signs.products(k, region, inputs) for k in directions])
    unit, squares = setting.base.squares(region.layer)
    error = sum_growth(region) * unit * np.sqrt(squares[:, region.left : region.right].sum(axis=1))
    return Moves(region.layer, units, values, np.tile(error, (len(directions), 1)))


def along_everything(setting: Setting, direction: int) -> Carried:
    """Carry the moves that all parameters make along one direction, no penalty in it.

    Notes
    -----
    Δz_l = W_l Δa_{l−1} ± h U_l (a_{l−1} + Δa_{l−1}) ± h u_l, of which U_l Δa_{l−1} is even in h and leaves the central
    difference as it is. What U_l makes of a_{l−1} is asked for once, whatever the step.
    """
    network, base = setting.problem.network, setting.base
    region = whole_layer(network, 0, "W")
    unit, squares = base.squares(0)
    error = sum_growth(region) * unit * np.sqrt(squares.sum(axis=1))

    @cache
    def push(layer: int) -> Array:
        return _pushed(setting, direction, layer, base.activations[layer])

    return carry(setting, Moves(0, slice(0, network.widths[1]), push(0)[None], error[None]), None, push)


def _pushed(setting: Setting, direction: int, layer: int, a: Array) -> Array:
    """Return U·a + u, shape (c, n_out)."""
    network, signs = setting.problem.network, setting.signs
    result = signs.products(direction, whole_layer(network, layer, "W"), a)
    if network.biases[layer]:
        result += signs.of(direction, whole_layer(network, layer, "b"))
    return result


def carry(setting: Setting, first: Moves, convention: int | None = None, push: Push | None = None) -> Carried:
    """Carry moves to the loss, with a step for each direction; `push` gives what parameters further up add to them."""
    largest = np.abs(first.values).max(axis=(1, 2), initial=0.0)
    steps = np.exp2(np.floor(np.log2(FIRST_MOVE / np.where(largest > 0.0, largest, 1.0))))
    for _ in range(ATTEMPTS):
        carried = Carried(steps, np.zeros(steps.size), np.zeros(steps.size))
        _climb(setting, carried, first, convention, push)
        if (carried.excess <= 1.0).all():
            return carried
        steps = steps * np.exp2(-np.ceil(np.log2(np.maximum(carried.excess, 1.0))))
    carried.rounding[:] = np.inf
    return carried


def _climb(setting: Setting, carried: Carried, first: Moves, convention: int | None, push: Push | None) -> None:
    """Carry +h to the loss once, with the steps that `carried` has."""
    network = setting.problem.network
    h = carried.steps[:, None, None]
    moves, units = h * first.values, first.units
    _note(setting, carried, first.layer, units, moves, h * first.error[:, :, None])
    for here in range(first.layer, network.depth):
        if here > first.layer:
            W = network.W(setting.problem.theta, here)[:, units]
            norms = setting.norms[here] if W.shape[1] == network.widths[here] else row_norms(W)
            largest = np.abs(moves).max(axis=2, keepdims=True)
            moves = product(moves.reshape(-1, moves.shape[2]), W.T).reshape(*moves.shape[:2], -1)
            if push is not None:
                moves += h * push(here)
            units = slice(0, network.widths[here + 1])
            rounding = growth(W.shape[1]) * (norms * largest + np.abs(moves))
            _note(setting, carried, here, units, moves, rounding)
        moves = _activated(setting, here, units, moves, convention)
    relative = np.abs(moves).max(axis=2) / setting.output_room
    np.maximum(carried.excess, relative.max(axis=1), out=carried.excess)
    carried.parts = _loss_parts(setting, units, moves, carried.steps)


def _note(setting: Setting, carried: Carried, layer: int, units: Units, moves: Array, rounding: Array) -> None:
    """Collect how much moves exceed their room, and √Σ δ²e²: what rounding e of the moves of z does to the derivative."""
    delta = setting.scale.delta[layer]
    relative = (np.abs(moves) / setting.room[layer][:, units]).max(axis=(1, 2), initial=0.0)
    np.maximum(carried.excess, relative, out=carried.excess)
    relative_error = rounding / carried.steps[:, None, None]
    spread = np.sqrt(np.einsum("si,ksi->k", delta.values[:, units], relative_error**2))
    np.hypot(carried.rounding, delta.unit * spread, out=carried.rounding)


def _activated(setting: Setting, layer: int, units: Units, moves: Array, convention: int | None) -> Array:
    """Turn moves of z into moves of f(z).

    From a kink, +h and −h move along two lines; what is odd in h, all that a central difference sees of a small step, is
    their mean.
    """
    result: Array = moves * setting.base.plane(codes.SLOPE, layer)[:, units]
    kinks = setting.kinks[layer][:, units]
    if kinks.any():
        left, right = (side[:, units] for side in setting.slopes[layer])
        slope = 0.5 * (left + right) if convention is None else (left, right)[convention]
        result = np.where(kinks, moves * slope, result)
    return result


def _loss_parts(setting: Setting, units: Units, moves: Array, steps: Array) -> Array:
    """Return central differences of each sample's loss, shape (m, k)."""
    tables, width = setting.base.tables, setting.base.tables.outputs.shape[2]
    samples, columns = moves.shape[1], 2 * steps.size
    work = np.zeros((samples, width + 2, columns))
    work[:, units] = np.concatenate([moves, -moves]).transpose(1, 2, 0)
    total = np.empty((samples, columns))
    bound = float(np.abs(moves).max(initial=0.0))
    near = tables.loss_code >= codes.COUPLED or (tables.outputs[codes.LOSS_KINK] <= bound).any()
    exact = addresses(launch.exact_loss if near else None)
    launch.loss_moves(exact, tables.loss, bound, work, total)
    forward, backward = total[:, : steps.size], total[:, steps.size :]
    return (forward - backward) / (2.0 * steps)
