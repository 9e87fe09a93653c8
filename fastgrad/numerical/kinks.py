"""Which units and outputs sit on a kink, as far as rounding can tell, and what slopes are right there."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastgrad.kernels import codes, launch
from fastgrad.model import outputs
from fastgrad.model.forward import BasePoint, claim_roundoff, kernel_activation
from fastgrad.model.network import Array, Offsets, Problem
from fastgrad.model.product import product

Mask = npt.NDArray[np.bool_]
ON_KINK = 16.0
"""Multiple of the rounding error of z within which a kink counts as touched: among a million units some reach five times
the typical error, and errors of sums that share terms add up."""
RANGED = 2**19
"""Numbers of a matrix that are split by their signs at a time, 4 MiB."""
LEAST_DISTANCE = 2.0**-480
"""Distance from a kink below which no step fits: the move it makes, times a slope that is as small, underflows. Weights that
nobody has set, as np.empty leaves them, lead there."""


def on_kink(problem: Problem, base: BasePoint, layer: int) -> Mask:
    """Tell which pre-activations of a layer are so near a kink that rounding may have put them on either side."""
    distance = base.plane(codes.KINK, layer)
    if distance.min(initial=np.inf) == np.inf:  # no kink anywhere: nobody has to know how far rounding goes
        return np.zeros(distance.shape, dtype=np.bool_)
    return np.asarray(distance <= np.maximum(ON_KINK * claim_roundoff(problem) * base.z_error[layer], LEAST_DISTANCE))


def nearest_kink(problem: Problem, base: BasePoint, layer: int) -> float:
    """Return how near a layer's pre-activations come to a kink, those on one left out; inf where there is none."""
    distance = base.plane(codes.KINK, layer)
    return float(np.min(distance, where=~on_kink(problem, base, layer), initial=np.inf))


def loss_on_kink(problem: Problem, base: BasePoint) -> Mask:
    """Tell which outputs are so near a kink of the loss, shape (m, n_L)."""
    distance = base.tables.outputs[codes.LOSS_KINK]
    if distance.min(initial=np.inf) == np.inf:
        return np.zeros(distance.shape, dtype=np.bool_)
    return np.asarray(distance <= np.maximum(ON_KINK * claim_roundoff(problem) * outputs.kink_error(base), LEAST_DISTANCE))


def nearest_loss_kink(problem: Problem, base: BasePoint) -> float:
    """Return how near the outputs come to the kinks of the loss."""
    distance = base.tables.outputs[codes.LOSS_KINK]
    return float(np.min(distance, where=~loss_on_kink(problem, base), initial=np.inf))


def exactly_kinked(base: BasePoint) -> int:
    """Count the samples with a pre-activation, or an output of the loss, that is on a kink as it was computed."""
    touched = (base.tables.units[codes.KINK] == 0.0).any(axis=1) | (base.tables.outputs[codes.LOSS_KINK] == 0.0).any(axis=1)
    return int(touched.sum())


def kinked_units(problem: Problem, base: BasePoint) -> Mask:
    """Tell for each sample and unit, and each output of the loss, whether it sits on a kink, shape (m, U + n_L)."""
    layers = [on_kink(problem, base, layer) for layer in range(problem.network.depth)]
    return np.concatenate([*layers, loss_on_kink(problem, base)], axis=1)


def range_product(low: Array, high: Array, factor: Array) -> tuple[Array, Array]:
    """Return the smallest and largest product with a matrix of what lies between two matrices, entry by entry.

    Where the two are one there is nothing between; the rest adds its width times what is positive, or negative, of the factor.
    """
    common, apart = product(low, factor), np.flatnonzero((low != high).any(axis=0))
    smallest, largest = common, common.copy()
    length = max(1, RANGED // factor.shape[1])
    for start in range(0, apart.size, length):
        some = apart[start : start + length]
        width, matrix = high[:, some] - low[:, some], factor[some]
        smallest += product(width, np.minimum(matrix, 0.0))
        largest += product(width, np.maximum(matrix, 0.0))
    return smallest, largest


def slope_range(problem: Problem, base: BasePoint, layer: int, rows: Offsets) -> tuple[Array, Array]:
    """Return one-sided f′ of some samples in a layer, on the left and on the right; the same where there is no kink."""
    left = base.plane(codes.SLOPE, layer)[rows].copy()
    right = left.copy()
    code, p = int(base.tables.layers[codes.CODE, layer]), float(base.tables.shapes[layer])
    touched = on_kink(problem, base, layer)[rows]
    if touched.any():
        z, scale = (base.plane(plane, layer)[rows][touched] for plane in (codes.Z, codes.SCALE))
        left[touched], right[touched] = (scale * slope for slope in one_sided_slopes(code, p, z))
    return left, right


def one_sided_slopes(code: int, parameter: float, z: Array) -> tuple[Array, Array]:
    """f′ on the left and on the right of the kink nearest to each z: that of the numbers next to the kink."""
    activation = kernel_activation(code, parameter)
    nearest = activation.kinks[np.abs(z[:, np.newaxis] - activation.kinks).argmin(axis=1)]
    beside = np.stack((np.nextafter(nearest, -np.inf), np.nextafter(nearest, np.inf)))
    table, (a, value_scale, slope_scale) = np.empty((5, *beside.shape)), np.empty((3, *beside.shape))
    launch.tabulated_layer(activation, beside, a, value_scale, slope_scale, table, 0, 1)
    left, right = table[codes.SLOPE]
    return left, right
