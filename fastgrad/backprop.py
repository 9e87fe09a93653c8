"""The library's own backward pass: the reference gradient, and how far rounding may move anybody's gradient.

The rounding scale R of an entry is a running error analysis of the usual backward pass, in units of the unit roundoff:
a correct gradient and the numerical one differ by a modest multiple of u·R, whatever saturates or cancels on the way.
"""

from __future__ import annotations

import numpy as np

from fastgrad.forward import BasePoint, growth
from fastgrad.kernels import codes
from fastgrad.network import Array, Problem
from fastgrad.product import product

SMALLEST_NORMAL = 2.0**-1022


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


def rounding_scale(problem: Problem, base: BasePoint) -> Array:
    """R of every entry in units of the unit roundoff, shape (P,).

    Notes
    -----
    With D the flow of |δ| and E that of its error: D_l = (D_{l+1}|W|)|f′|,
    E_l = (E_{l+1}|W| + g·D_{l+1}|W|)|f′| + (D_{l+1}|W|)·e(f′), and for W
    R = (E + g·D)ᵀ|a| + Dᵀe(a), where g = `forward.growth` of the number of terms and e are the errors of the forward pass.
    """
    network, theta = problem.network, problem.theta
    # Subnormal results have an absolute error; this keeps R·u from being less than that.
    scale = np.full(network.size, SMALLEST_NORMAL / 2.0**-53)
    size, error = _output_flow(problem, base)
    for layer in reversed(range(network.depth)):
        slope = np.abs(base.plane(codes.SLOPE, layer))
        slope_error = base.slope_error[layer]
        error = error * slope + size * slope_error
        size = size * slope
        disturbed = error + growth(problem.samples) * size
        network.W(scale, layer)[:] += product(disturbed.T, base.magnitudes[layer])
        if layer:
            network.W(scale, layer)[:] += product(size.T, base.a_error[layer - 1])
        if network.biases[layer]:
            network.b(scale, layer)[:] += disturbed.sum(axis=0)
        W = np.abs(network.W(theta, layer))
        if layer:
            error = product(error + growth(W.shape[0]) * size, W)
            size = product(size, W)
    for place, l2, l1 in network.penalties:
        scale[place] += 2.0 * (l2 * np.abs(theta[place]) + l1)
    return scale


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
