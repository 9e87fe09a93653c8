"""The competitor that everybody writes: NumPy, a full forward pass for each perturbation, dict to vector and back."""

from __future__ import annotations

import numpy as np

from networks import Array, Parameters, TanhNetwork, to_vector


def to_dictionary(vector: Array, widths: tuple[int, ...]) -> Parameters:
    """Cut a vector into W1, b1, W2, b2, …."""
    parameters, start = {}, 0
    for layer in range(1, len(widths)):
        n_in, n_out = widths[layer - 1], widths[layer]
        parameters[f"W{layer}"] = vector[start : start + n_out * n_in].reshape(n_out, n_in)
        start += n_out * n_in
        parameters[f"b{layer}"] = vector[start : start + n_out].reshape(n_out, 1)
        start += n_out
    return parameters


def cost(parameters: Parameters, X: Array, Y: Array) -> float:
    """Return the mean binary cross-entropy of a tanh network with a sigmoid output."""
    depth = len(parameters) // 2
    A = X
    for layer in range(1, depth + 1):
        Z = parameters[f"W{layer}"] @ A + parameters[f"b{layer}"]
        A = np.tanh(Z) if layer < depth else 1 / (1 + np.exp(-Z))
    return float(-np.sum(Y * np.log(A) + (1 - Y) * np.log(1 - A)) / X.shape[1])


def numerical_gradient(network: TanhNetwork, indices: Array, step: float = 1e-7) -> Array:
    """Return the central difference of the parameters at some indices of the vector."""
    theta = to_vector(network.parameters)
    values = np.zeros(len(indices))
    for place, k in enumerate(indices):
        above = theta.copy()
        above[k] += step
        below = theta.copy()
        below[k] -= step
        difference = cost(to_dictionary(above, network.widths), network.X, network.Y) - cost(
            to_dictionary(below, network.widths), network.X, network.Y
        )
        values[place] = difference / (2 * step)
    return values
