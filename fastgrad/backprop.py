"""The library's own backward pass: the reference gradient, and how far rounding may move anybody's gradient.

The rounding scale R of an entry is a running error analysis of the usual backward pass, in units of the unit roundoff:
a correct gradient and the numerical one differ by a modest multiple of u·R, whatever saturates or cancels on the way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastgrad.forward import BasePoint, growth
from fastgrad.kernels import codes
from fastgrad.network import Array, Offsets, Problem
from fastgrad.product import product


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


@dataclass(frozen=True, eq=False)
class RoundingScale:
    """R of every entry, held as the flows it is made of: a network's R may not fit into memory a second time.

    Attributes
    ----------
    problem : Problem
        The network.
    base : BasePoint
        Its forward pass.
    disturbed, size : tuple of ndarray, shape (m, n_l)
        For each layer E + g·D and D of the Notes.

    Notes
    -----
    With D the flow of |δ| and E that of its error: D_l = (D_{l+1}|W|)|f′|,
    E_l = (E_{l+1}|W| + g·D_{l+1}|W|)|f′| + (D_{l+1}|W|)·e(f′), and for W
    R = (E + g·D)ᵀ|a| + Dᵀe(a), where g = `forward.growth` of the number of terms and e are the errors of the forward pass.
    """

    problem: Problem
    base: BasePoint
    disturbed: tuple[Array, ...]
    size: tuple[Array, ...]

    def rows(self, layer: int, low: int, high: int) -> Array:
        """R of the rows low to high of a layer's W, shape (high − low, n_in)."""
        scale = product(self.disturbed[layer][:, low:high].T, self.base.magnitudes[layer])
        if layer:
            scale += product(self.size[layer][:, low:high].T, self.base.a_error[layer - 1])
        start = int(self.problem.network.weight_offsets[layer])
        return self._with_penalty(scale, slice(start + low * scale.shape[1], start + high * scale.shape[1]))

    def bias(self, layer: int) -> Array:
        """R of a layer's b, shape (n_l,)."""
        return self._with_penalty(self.disturbed[layer].sum(axis=0), self.problem.network.bias_slice(layer))

    def entries(self, layer: int, unit: Offsets, source: Offsets) -> Array:
        """R of single entries of a layer's W."""
        scale = np.einsum("sk,sk->k", self.disturbed[layer][:, unit], self.base.magnitudes[layer][:, source])
        if layer:
            scale += np.einsum("sk,sk->k", self.size[layer][:, unit], self.base.a_error[layer - 1][:, source])
        start = int(self.problem.network.weight_offsets[layer])
        return self._with_penalty(scale, start + unit * self.problem.network.widths[layer] + source)

    def _with_penalty(self, scale: Array, place: slice | Offsets) -> Array:
        first = place.start if isinstance(place, slice) else int(place.min(initial=0))
        for penalized, l2, l1 in self.problem.network.penalties:
            if penalized.start <= first < penalized.stop:
                scale += 2.0 * (l2 * np.abs(self.problem.theta[place]).reshape(scale.shape) + l1)
        return scale


def rounding_scale(problem: Problem, base: BasePoint) -> RoundingScale:
    """Run the backward pass of absolute values and errors."""
    network, depth = problem.network, problem.network.depth
    disturbed: list[Array] = []
    sizes: list[Array] = []
    size, error = _output_flow(problem, base)
    for layer in reversed(range(depth)):
        slope = np.abs(base.plane(codes.SLOPE, layer))
        error = error * slope + size * base.slope_error[layer]
        size = size * slope
        disturbed.append(error + growth(problem.samples) * size)
        sizes.append(size)
        if layer:
            W = np.abs(network.W(problem.theta, layer))
            error = product(error + growth(W.shape[0]) * size, W)
            size = product(size, W)
    return RoundingScale(problem, base, tuple(reversed(disturbed)), tuple(reversed(sizes)))


def _output_flow(problem: Problem, base: BasePoint) -> tuple[Array, Array]:
    """Return |∂J/∂a_L| and its error as the usual formulas give it: a − y for either cross-entropy, 2(a − y) for squares."""
    outputs, factor = base.tables.outputs, base.tables.factor
    slope, target = np.abs(outputs[codes.LOSS_SLOPE]), np.abs(outputs[codes.TARGET])
    logits, logit_error = outputs[codes.OUTPUT], base.a_error[-1]
    if base.tables.loss_code == codes.SOFTMAX_CROSSENTROPY:
        probability = outputs[codes.PROBABILITY]
        spread = logit_error + np.abs(logits - logits.max(axis=1, keepdims=True))
        moved = probability * (spread + (probability * spread).sum(axis=1, keepdims=True) + 2.0)
        return slope, factor * (target.sum(axis=1, keepdims=True) * moved + target) + slope
    if base.tables.loss_code == codes.BINARY_CROSSENTROPY:
        probability = np.exp(-np.logaddexp(0.0, -logits))
        moved = 2.0 * np.abs(outputs[codes.LOSS_CURVATURE]) * logit_error
        return slope, moved + factor * (2.0 * probability + target) + slope
    return slope, 2.0 * factor * (np.abs(logits) + target + logit_error) + slope
