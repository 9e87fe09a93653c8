"""The competitor from JAX: the central difference of one parameter, vmapped over parameters, jitted, float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from networks import Array, TanhNetwork


def prepare(network: TanhNetwork, step: float = 1e-6) -> Callable[[Array], Array]:
    """Return the function from indices to numerical gradients."""
    jax: Any = pytest.importorskip("jax", reason="the competitor JAX is not installed")
    jax.config.update("jax_enable_x64", True)
    X, Y, theta = (jax.numpy.asarray(array) for array in (network.X, network.Y, network.theta))

    def cost(theta: Any) -> Any:
        A, start = X, 0
        for layer in range(1, network.depth + 1):
            n_in, n_out = network.widths[layer - 1], network.widths[layer]
            W = theta[start : start + n_out * n_in].reshape(n_out, n_in)
            start += n_out * n_in
            Z = W @ A + theta[start : start + n_out, None]
            start += n_out
            A = jax.numpy.tanh(Z)
        return jax.numpy.sum(jax.nn.softplus(Z) - Y * Z) / network.samples

    def difference(theta: Any, k: Any) -> Any:
        return (cost(theta.at[k].add(step)) - cost(theta.at[k].add(-step))) / (2 * step)

    # Each parameter brings two copies of theta; of the powers of two these were the fastest.
    together = 4 if network.samples < 32 else 32

    @jax.jit
    def differences(theta: Any, indices: Any) -> Any:
        return jax.lax.map(lambda k: difference(theta, k), indices, batch_size=together)

    return lambda indices: np.asarray(differences(theta, indices))
