"""A region of a tensor along every direction: Σ U∘claimed, the derivative, what rounding may do to both, and what follows.

Called by directional, for whole tensors and for the parts that a wrong one is cut into.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import hypot
from typing import Literal

import numpy as np

from fastgrad.model import outputs
from fastgrad.model.forward import UNIT_ROUNDOFF, growth
from fastgrad.model.network import Array, Offsets
from fastgrad.model.product import norm, squared
from fastgrad.model.rounding import TOLERANCE, UNDERFLOW
from fastgrad.model.stored import Matrix, StoredMatrix
from fastgrad.numerical.directional.derivative import Carried, Moves, Setting, along, first_moves
from fastgrad.numerical.directional.signs import ROWS_OF_W, Region, pieces_of, rows_of, sum_growth, walks
from fastgrad.numerical.kinks import range_product

COLUMNS = 256
"""Moves carried at a time, directions × signs × samples: enough for a matrix product to be fast."""

State = Literal["right", "at a kink", "not judged", "wrong"]


@dataclass(frozen=True, eq=False)
class Measured:
    """A region along some directions, shape (k,) each.

    Attributes
    ----------
    claimed, numerical : ndarray
        Σ U∘claimed and the derivative.
    carried : ndarray
        The derivative without the penalty's.
    doubt : ndarray
        What rounding may make of it.
    allowed : ndarray
        What rounding may make of their difference.
    fine : ndarray
        The same for a claim made in double precision.
    states : list of State
        Right, at a kink, not judged or wrong, along each direction.
    step : float
        Smallest step.
    """

    claimed: Array
    numerical: Array
    carried: Array
    doubt: Array
    allowed: Array
    fine: Array
    states: list[State]
    step: float

    @property
    def wrong(self) -> bool:
        """Whether any direction finds the region wrong."""
        return "wrong" in self.states

    @property
    def excess(self) -> float:
        """Largest difference relative to what is allowed."""
        ratio = np.abs(self.claimed - self.numerical) / self.allowed
        return float(np.max(ratio, where=np.array(self.states) == "wrong", initial=-1.0))


def measure(setting: Setting, region: Region, tolerance: float = TOLERANCE) -> Measured:
    """Measure a region along every direction and judge each.

    Notes
    -----
    A right claim of entries that are off by e_ij gives Σ U∘claimed that is off by Σ U∘e. With signs that know nothing of e
    this is beyond 8·√Σe² with a probability of at most 2·exp(−8²/2) < 3·10⁻¹⁴, whatever e: many regions may be measured
    before one is accused of nothing. u·√ΣR² is the typical √Σe². 4 times as much is left for what R is not: orders of the
    same sums that are less usual, and the errors of the two signed sums and of the derivative, each of which is added at its
    own typical size. 8·4 = 32 is `rounding.TOLERANCE`.

    References
    ----------
    W. Hoeffding, Probability inequalities for sums of bounded random variables, J. Amer. Statist. Assoc. 58, 1963.
    """
    claimed, size = _claimed(setting, region)
    pieces = [along(setting, region, directions) for directions in _some_directions(setting)]
    derivative = np.concatenate([piece.derivative for piece in pieces])
    penalty, penalty_error = _penalized(setting, region)
    numerical = derivative + penalty
    own = np.concatenate([piece.rounding for piece in pieces])
    rounding = _rounding(setting, region, float(np.abs(derivative).max()))
    added = own + sum_growth(region) * size + penalty_error
    precision = next(t.precision for t in setting.problem.tensors if (t.layer, t.kind) == (region.layer, region.kind))
    tiny = UNDERFLOW[precision] * np.sqrt(region.size)
    allowed, fine = (
        tolerance * (UNIT_ROUNDOFF[roundoff] * rounding + UNIT_ROUNDOFF["float64"] * added + tiny)
        for roundoff in (precision, "float64")
    )
    off = np.abs(claimed - numerical)
    # Written so that a claim of nan is wrong; where the derivative itself overflowed there is nothing to hold it against.
    known = np.isfinite(numerical) & np.isfinite(allowed)
    states: list[State] = ["wrong" if k else "not judged" for k in known]
    states = ["right" if k and inside else state for k, inside, state in zip(known, off <= allowed, states, strict=True)]
    if "wrong" in states:
        states = _with_kinks(setting, region, pieces, claimed - penalty, allowed, states)
    step = min(float(piece.steps.min()) for piece in pieces)
    doubt = TOLERANCE * UNIT_ROUNDOFF["float64"] * (rounding + own)
    return Measured(claimed, numerical, derivative, doubt, allowed, fine, states, step)


def penalty_on(setting: Setting, region: Region) -> tuple[float, float]:
    """Return the coefficients of the penalty, l2 and l1, on a region's tensor."""
    network = setting.problem.network
    place = network.weight_slice(region.layer) if region.kind == "W" else network.bias_slice(region.layer)
    return next(((l2, l1) for penalized, l2, l1 in network.penalties if penalized == place), (0.0, 0.0))


def _claimed(setting: Setting, region: Region) -> tuple[Array, float]:
    """Return Σ U∘claimed along every direction, and the norm of the claimed entries."""
    assert setting.problem.claimed is not None
    return setting.signs.sums(region, rows_of(setting.problem.network, region, setting.problem.claimed))


def _penalized(setting: Setting, region: Region) -> tuple[Array, float]:
    """Return Σ U∘(penalty's gradient) along every direction, c·w and c·sign(w), and its rounding in units of u."""
    l2, l1 = penalty_on(setting, region)
    total, error = np.zeros(setting.signs.keys.size), 0.0
    network, theta = setting.problem.network, setting.problem.theta
    if l2:
        sums, size = setting.signs.sums(region, rows_of(network, region, theta))
        total, error = l2 * sums, l2 * size
    for here in walks(network, region, theta) if l1 else ():
        total += l1 * setting.signs.sums(here, rows_of(network, here, theta), np.sign)[0]
        error = hypot(error, l1 * float(np.sqrt(here.size)))
    return total, (2.0 + sum_growth(region)) * error


def _some_directions(setting: Setting) -> Iterator[range]:
    """Cut the directions into runs that are carried together."""
    length, count = max(1, COLUMNS // (2 * setting.problem.samples)), setting.signs.keys.size
    for low in range(0, count, length):
        yield range(low, min(low + length, count))


def _rounding(setting: Setting, region: Region, size: float) -> float:
    """Return the root of the sum of R² over a region, from the flows that R is made of, never entry by entry.

    Σ_ij Σ_s d_si² a_sj² = Σ_s (Σ_i d_si²)(Σ_j a_sj²). For R's part g·|dW|, `size`, the largest derivative found, stands for
    the norm of dW: its mean square along random signs is just that.
    """
    problem, scale, base = setting.problem, setting.scale, setting.base
    rows, columns = slice(region.low, region.high), slice(region.left, region.right)
    unit, disturbed = scale.disturbed[region.layer]
    spread = disturbed[:, rows].sum(axis=1)
    if region.kind == "b":
        total = unit * float(np.sqrt(spread.sum()))
    else:
        inputs = base.squares(region.layer)
        total = unit * inputs.unit * float(np.sqrt(spread @ inputs.values[:, columns].sum(axis=1)))
        if region.layer:
            delta, error = scale.delta[region.layer], squared(base.a_error[region.layer - 1][:, columns])
            rest = delta.values[:, rows].sum(axis=1) @ error.values.sum(axis=1)
            total = hypot(total, delta.unit * error.unit * float(np.sqrt(rest)))
    l2, l1 = penalty_on(setting, region)
    if l2 or l1:
        total += 2.0 * (l2 * _weight_norm(setting, region) + l1 * float(np.sqrt(region.size)))
    return total + growth(problem.samples) * size


def _weight_norm(setting: Setting, region: Region) -> float:
    """Return the norm of a region's weights."""
    total = 0.0
    for weights in pieces_of(setting.problem.network, region, setting.problem.theta):
        total = hypot(total, norm(weights))
    return total


def _with_kinks(
    setting: Setting, region: Region, pieces: list[Carried], claimed: Array, allowed: Array, states: list[State]
) -> list[State]:
    """Judge what is off again where units or the loss sit on kinks, or weights on that of an L1 penalty.

    A backward pass that gives every unit on a kink its left slope, or every one its right, is held against just that, with
    nothing lost. Any other mixture of slopes lies in a range: outside it is wrong, within it is not judged.
    """
    rows: Offsets = np.flatnonzero(setting.kinked(region.layer))
    l1 = penalty_on(setting, region)[1]
    zeros = l1 * _zeros(setting, region) if l1 else 0.0
    if not rows.size and not zeros:
        return states
    states, begin = states.copy(), 0
    for directions, piece in zip(_some_directions(setting), pieces, strict=True):
        places = slice(begin, begin + len(directions))
        begin = places.stop
        low, high = piece.derivative - zeros, piece.derivative + zeros
        if rows.size:
            for convention in (0, 1):
                there = along(setting, region, directions, convention).derivative
                for k in np.flatnonzero(np.abs(claimed[places] - there) <= allowed[places]):
                    if states[places.start + k] == "wrong":
                        states[places.start + k] = "at a kink"
            smallest, largest = _kink_range(setting, first_moves(setting, region, directions), rows)
            rest = piece.derivative - piece.parts[rows].sum(axis=0)
            low, high = rest + smallest - zeros, rest + largest + zeros
        within = (claimed[places] >= low - allowed[places]) & (claimed[places] <= high + allowed[places])
        for k in np.flatnonzero(within):
            if states[places.start + k] == "wrong":
                states[places.start + k] = "not judged"
    return states


def _zeros(setting: Setting, region: Region) -> int:
    """Tell which weights of a region are exactly 0."""
    pieces = pieces_of(setting.problem.network, region, setting.problem.theta)
    return sum(int(np.count_nonzero(weights == 0.0)) for weights in pieces)


def _kink_range(setting: Setting, first: Moves, rows: Offsets) -> tuple[Array, Array]:
    """Return the range of some samples' share of the derivative when what is on a kink takes any slope between its two."""
    network = setting.problem.network
    low, high, units = first.values[:, rows], first.values[:, rows], first.units
    for here in range(first.layer, network.depth):
        if here > first.layer:
            low, high = _range_up(low, high, network.W(setting.problem.theta, here)[:, units])
            units = slice(0, network.widths[here + 1])
        low, high = _range_of_products(low, high, tuple(side[rows][:, units] for side in setting.slopes[here]))
    sides = outputs.slope_range(setting.base, rows, setting.loss_kinks[rows])
    low, high = _range_of_products(low, high, (sides[0][:, units], sides[1][:, units]))
    return low.sum(axis=(1, 2)), high.sum(axis=(1, 2))


def _range_of_products(low: Array, high: Array, sides: tuple[Array, ...]) -> tuple[Array, Array]:
    """Return the range of what lies from low to high times what lies between two sides, entry by entry."""
    products = [bound * side for bound in (low, high) for side in sides]
    return np.minimum.reduce(products), np.maximum.reduce(products)


def _range_up(low: Array, high: Array, W: Matrix) -> tuple[Array, Array]:
    """Return the range of W·Δa, some rows of W at a time."""
    shape, flat_low, flat_high = low.shape[:2], low.reshape(-1, low.shape[2]), high.reshape(-1, low.shape[2])
    if isinstance(W, StoredMatrix):
        lowest, highest = np.zeros((2, len(flat_low), W.shape[0]))
        for tile in W.tiles():
            parts = range_product(flat_low[:, tile.columns], flat_high[:, tile.columns], tile.values.T)
            for bound, part in zip((lowest, highest), parts, strict=True):
                bound[:, tile.rows] += part
        return lowest.reshape(*shape, -1), highest.reshape(*shape, -1)
    length = max(1, ROWS_OF_W // W.shape[1])
    blocks = [range_product(flat_low, flat_high, W[k : k + length].T) for k in range(0, len(W), length)]
    smallest, largest = (np.concatenate(part, axis=1).reshape(*shape, -1) for part in zip(*blocks, strict=True))
    return smallest, largest
