"""The library's own backward pass: the reference gradient, and how far rounding may move anybody's gradient.

The rounding scale R of an entry is a running error analysis of the usual backward pass, in units of the unit roundoff:
a correct gradient and the numerical one differ by a modest multiple of u·R, whatever saturates or cancels on the way.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fastgrad.kernels import codes
from fastgrad.model.forward import BasePoint, growth
from fastgrad.model.network import Array, Offsets, Problem
from fastgrad.model.outputs import slope_error
from fastgrad.model.product import Squared, hypot, product, root_product, root_product_of, scaled, squared

TOLERANCE = 32.0
"""Multiple of u·R that a right gradient may be off. R is the typical size of what rounding does to the usual backward pass:
of a million entries some reach five times that, errors that sums share add up, the numerical gradient brings as much again,
and unusual orders of the same sums a few times more. Mistakes start some orders of magnitude above."""
UNDERFLOW = {"float64": 2.0**-1022, "float32": 2.0**-126, "float16": 2.0**-24, "bfloat16": 2.0**-126}
"""Absolute error where results become subnormal: they may be flushed to zero; half precision, which has few others, keeps
them."""


def gradient(problem: Problem, base: BasePoint) -> Array:
    """Gradient of J by the chain rule, shape (P,).

    Notes
    -----
    δ_L = ∂J/∂z_L, δ_l = (W_{l+1}ᵀ δ_{l+1}) ⊙ f′(z_l), ∂J/∂W_l = δ_l a_{l−1}ᵀ, ∂J/∂b_l = Σ_s δ_l. Dropout masks are in a
    and in the tabulated f′.

    References
    ----------
    D. Rumelhart, G. Hinton and R. Williams, Learning representations by back-propagating errors, Nature 323, 1986.
    """
    network, theta = problem.network, problem.theta
    result = np.zeros(network.size)
    delta = base.tables.outputs[codes.LOSS_SLOPE] * base.plane(codes.SLOPE, network.depth - 1)
    for layer in reversed(range(network.depth)):
        network.W(result, layer)[:] = product(delta.T, base.activations[layer])
        if network.biases[layer]:
            network.b(result, layer)[:] = delta.sum(axis=0)
        if layer:
            delta = product(delta, network.W(theta, layer)) * base.plane(codes.SLOPE, layer - 1)
    for place, l2, l1 in network.penalties:
        result[place] += l2 * theta[place]
        if l1:
            result[place] += l1 * np.sign(theta[place])
    return result


def penalty_gradient(problem: Problem) -> Array:
    """Gradient of the penalty alone, shape (P,)."""
    result = np.zeros(problem.network.size)
    for place, l2, l1 in problem.network.penalties:
        result[place] = l2 * problem.theta[place] + l1 * np.sign(problem.theta[place])
    return result


SHARED = 2.0**-60
"""Two parts of R² go into one product where the unit of neither is smaller than this in that of the other: its smallest terms
are then still numbers."""


@dataclass(frozen=True, eq=False)
class RoundingScale:
    """R of every entry, held as the flows it is made of: a network's R may not fit into memory a second time.

    Attributes
    ----------
    problem : Problem
        The network.
    base : BasePoint
        Its forward pass.
    disturbed, delta : tuple of Squared, shape (m, n_l)
        For each layer e(δ)² + g²δ², and δ².

    Notes
    -----
    Errors are taken for random and so add up as squares. With δ = ∂J/∂z, B = Wᵀδ and g = `forward.growth` of the number
    of terms,
    e(B)² = (W²)ᵀ(e(δ)² + g²δ²) + g²B², e(δ)² = f′²e(B)² + B²e(f′)² + δ², and for an entry of dW
    R² = Σ_s (e(δ)² + g²δ²)a² + δ²e(a)², to which the rounding g·|dW| of the sum over the samples is added.
    """

    problem: Problem
    base: BasePoint
    disturbed: tuple[Squared, ...]
    delta: tuple[Squared, ...]

    @cached_property
    def factors(self) -> list[tuple[float, Array, Array | None] | None]:
        """Of each layer the unit of R and two matrices, (2m, n_l) and (2m, n_{l−1}), whose product is R² of W, without penalty.

        Both sums of squares then are one. None where their units are too far apart for that, and in the place of the squares of
        wide inputs.
        """
        return [self._factors(layer) for layer in range(self.problem.network.depth)]

    def _factors(self, layer: int) -> tuple[float, Array, Array | None] | None:
        disturbed = self.disturbed[layer]
        if not layer and not self.base.keeps_squares:
            return disturbed.unit * self.base.unit(0), disturbed.values, None
        squares = self.base.squares(layer)
        unit = disturbed.unit * squares.unit
        if not layer:
            return unit, disturbed.values, squares.values
        delta, error = self.delta[layer], squared(self.base.a_error[layer - 1])
        ratio = (delta.unit / disturbed.unit) * (error.unit / squares.unit)
        if not SHARED <= ratio <= 1.0 / SHARED:
            return None
        left = np.concatenate([disturbed.values, ratio * ratio * delta.values])
        return unit, left, np.concatenate([squares.values, error.values])

    def squares(self, layer: int, rows: slice, columns: slice) -> tuple[float, Array] | None:
        """Return R² of rows and columns of a layer's W, penalty left out, with the unit of R; None as in `factors`."""
        found = self.factors[layer]
        if found is None:
            return None
        unit, left, right = found
        if right is not None:
            return unit, product(left[:, rows].T, right[:, columns])
        return unit, self.base.weighted_squares(left[:, rows], columns)

    def bias_squares(self, layer: int, rows: slice) -> tuple[float, Array]:
        """Return the same of a layer's b."""
        unit, values = self.disturbed[layer]
        return unit, values[:, rows].sum(axis=0)

    def rows(self, layer: int, low: int, high: int) -> Array:
        """R of the rows low to high of a layer's W, shape (high − low, n_in)."""
        unit, values = self.disturbed[layer]
        scale = root_product(Squared(unit, values[:, low:high].T), self.base.squares(layer))
        if layer:
            unit, values = self.delta[layer]
            error = squared(self.base.a_error[layer - 1])
            np.hypot(scale, root_product(Squared(unit, values[:, low:high].T), error), out=scale)
        start = int(self.problem.network.weight_offsets[layer])
        return self._with_penalty(scale, slice(start + low * scale.shape[1], start + high * scale.shape[1]))

    def bias(self, layer: int) -> Array:
        """R of a layer's b, shape (n_l,)."""
        unit, values = self.disturbed[layer]
        return self._with_penalty(unit * np.sqrt(values.sum(axis=0)), self.problem.network.bias_slice(layer))

    def entries(self, layer: int, unit: Offsets, source: Offsets) -> Array:
        """R of single entries of a layer's W."""
        disturbed, squares = self.disturbed[layer], self.base.squares_of(layer, source)
        scale = np.sqrt(np.einsum("sk,sk->k", disturbed.values[:, unit], squares.values))
        scaled(scale, disturbed.unit, squares.unit)
        if layer:
            delta, error = self.delta[layer], squared(self.base.a_error[layer - 1][:, source])
            rest = np.sqrt(np.einsum("sk,sk->k", delta.values[:, unit], error.values))
            np.hypot(scale, scaled(rest, delta.unit, error.unit), out=scale)
        start = int(self.problem.network.weight_offsets[layer])
        return self._with_penalty(scale, start + unit * self.problem.network.widths[layer] + source)

    def size(self, layer: int, kind: str) -> float:
        """Root mean square, over the entries of a layer's W or b, of √Σ_s (δa)²: the size of a gradient with random signs."""
        delta, base = self.delta[layer], self.base
        if kind == "b":
            return delta.unit * float(np.sqrt(delta.values.sum() / delta.values.shape[1]))
        total = float(delta.values.sum(axis=1) @ base.square_sums(layer))
        mean = total / (delta.values.shape[1] * base.activations[layer].shape[1])
        return float(scaled(np.sqrt([mean]), delta.unit, base.unit(layer))[0])

    def _with_penalty(self, scale: Array, place: slice | Offsets) -> Array:
        first = place.start if isinstance(place, slice) else int(place.min(initial=0))
        for penalized, l2, l1 in self.problem.network.penalties:
            if penalized.start <= first < penalized.stop:
                scale += 2.0 * (l2 * np.abs(self.problem.theta[place]).reshape(scale.shape) + l1)
        return scale


def rounding_scale(problem: Problem, base: BasePoint) -> RoundingScale:
    """Run the backward pass and that of its errors."""
    network, depth = problem.network, problem.network.depth
    disturbed: list[Squared] = []
    deltas: list[Squared] = []
    flow, error = base.tables.outputs[codes.LOSS_SLOPE], slope_error(base)
    for layer in reversed(range(depth)):
        slope = base.plane(codes.SLOPE, layer)
        delta = flow * slope
        error = hypot(hypot(error * slope, flow * base.slope_error[layer]), delta)
        disturbed.append(squared(hypot(error, growth(problem.samples) * delta)))
        deltas.append(squared(delta))
        if layer:
            W = network.W(problem.theta, layer)
            flow = product(delta, W)
            spread = squared(hypot(error, growth(W.shape[0]) * delta))
            error = hypot(root_product_of(spread, W, base.weights[layer][0]), growth(W.shape[0]) * flow)
    return RoundingScale(problem, base, tuple(reversed(disturbed)), tuple(reversed(deltas)))


def rounding_of_entries(problem: Problem, base: BasePoint, values: Array) -> Array:
    """R of every entry of a gradient with these values, the sum over the samples included, shape (P,)."""
    network, scale = problem.network, rounding_scale(problem, base)
    whole = np.empty(network.size)
    for layer in range(network.depth):
        whole[network.weight_slice(layer)] = scale.rows(layer, 0, network.widths[layer + 1]).ravel()
        if network.biases[layer]:
            whole[network.bias_slice(layer)] = scale.bias(layer)
    return np.asarray(whole + growth(problem.samples) * np.abs(values))
