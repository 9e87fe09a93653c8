"""The networks that benches run on, with correct gradients by backpropagation in NumPy; nothing of fastgrad in it.

Arrays are (units, examples), as in hand-written code; parameters are a dict W1, b1, W2, b2, ….
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Parameters = dict[str, Array]


@dataclass(frozen=True)
class TanhNetwork:
    """A network of tanh layers with one sigmoid output and the mean binary cross-entropy."""

    widths: tuple[int, ...]
    parameters: Parameters
    X: Array
    Y: Array

    @property
    def depth(self) -> int:
        """Number of layers with parameters."""
        return len(self.widths) - 1

    @property
    def samples(self) -> int:
        """Number of examples."""
        return self.X.shape[1]

    @cached_property
    def size(self) -> int:
        """Number of parameters."""
        return sum(array.size for array in self.parameters.values())

    @cached_property
    def theta(self) -> Array:
        """All parameters in one vector, in the dict's order."""
        return to_vector(self.parameters)

    @cached_property
    def gradients(self) -> Parameters:
        """The correct gradient as a dict dW1, db1, …."""
        activations = [self.X]
        for layer in range(1, self.depth + 1):
            z = self.parameters[f"W{layer}"] @ activations[-1] + self.parameters[f"b{layer}"]
            activations.append(np.tanh(z) if layer < self.depth else 1 / (1 + np.exp(-z)))
        found = {}
        dZ = (activations[-1] - self.Y) / self.samples
        for layer in range(self.depth, 0, -1):
            found[f"db{layer}"] = dZ.sum(axis=1, keepdims=True)
            found[f"dW{layer}"] = dZ @ activations[layer - 1].T
            dZ = (self.parameters[f"W{layer}"].T @ dZ) * (1 - activations[layer - 1] ** 2)
        return {f"d{name}": found[f"d{name}"] for name in self.parameters}


def to_vector(arrays: Parameters) -> Array:
    """Lay the arrays of a dict end to end."""
    return np.concatenate([array.ravel() for array in arrays.values()])


def tanh_network(widths: tuple[int, ...], samples: int, seed: int = 0) -> TanhNetwork:
    """Draw a network: inputs uniform on [0, 1] as scaled pixels are, weights of standard deviation 1/√n_in."""
    draw = np.random.default_rng(seed)
    parameters = {}
    for layer, (n_in, n_out) in enumerate(pairwise(widths), start=1):
        parameters[f"W{layer}"] = draw.normal(0, n_in**-0.5, (n_out, n_in))
        parameters[f"b{layer}"] = draw.normal(0, 0.1, (n_out, 1))
    X = draw.uniform(size=(widths[0], samples))
    Y = draw.integers(0, 2, size=(widths[-1], samples)).astype(np.float64)
    return TanhNetwork(widths, parameters, X, Y)


def cat_network(samples: int) -> TanhNetwork:
    """Draw the 12288-5-5-1 network: cat or not, from 64 × 64 × 3 pixels."""
    return tanh_network((64 * 64 * 3, 5, 5, 1), samples)


def relative_difference(found: Array, expected: Array) -> float:
    """Return ‖found − expected‖ / (‖found‖ + ‖expected‖)."""
    return float(np.linalg.norm(found - expected) / (np.linalg.norm(found) + np.linalg.norm(expected)))
