"""The built-in networks, each with the backward pass that a person would write by hand, some with a mistake in it.

The command line writes them to a file and checks that file like any other. This is pure NumPy; nothing of the library's
own mathematics may be imported here, or the demonstrations would prove nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastgrad.errors import InputError, quoted

Array = npt.NDArray[np.float64]
Arrays = dict[str, npt.NDArray[Any]]
Description = dict[str, str | float]


@dataclass(frozen=True)
class Demo:
    """A built-in network.

    Attributes
    ----------
    name : str
        What the user types.
    summary : str
        The network and its mistake, in one line.
    wrong : tuple of str
        The parameters whose gradients are wrong on purpose.
    build : callable
        Makes the arrays under the names that they have in the file, and the description.
    """

    name: str
    summary: str
    wrong: tuple[str, ...]
    build: Callable[[], tuple[Arrays, Description]]


def find(name: str) -> Demo:
    """Return the demo of a name.

    Raises
    ------
    InputError
        If there is no demo of that name.
    """
    for demo in DEMOS:
        if demo.name == name:
            return demo
    raise InputError(f"there is no demo {quoted(name)}; there are {', '.join(demo.name for demo in DEMOS)}")


def forward(parameters: Arrays, X: Array, hidden: str, output: str) -> list[Array]:
    """Return the activations of every layer, the input first; examples in columns."""
    activations = [X]
    depth = len(parameters) // 2
    for layer in range(1, depth + 1):
        z = parameters[f"W{layer}"] @ activations[-1] + parameters[f"b{layer}"]
        activations.append(_FUNCTIONS[output if layer == depth else hidden](z))
    return activations


def backward(parameters: Arrays, activations: list[Array], Y: Array, hidden: str, samples: int) -> Arrays:
    """Return the gradients of a loss whose derivative by the last z is a - y, divided by the number of samples."""
    gradients: Arrays = {}
    dZ = activations[-1] - Y
    for layer in range(len(activations) - 1, 0, -1):
        below = activations[layer - 1]
        gradients[f"dW{layer}"] = dZ @ below.T / samples
        gradients[f"db{layer}"] = dZ.sum(axis=1, keepdims=True) / samples
        if layer > 1:
            dZ = parameters[f"W{layer}"].T @ dZ * _DERIVATIVES[hidden](below)
    return gradients


def _softmax(z: Array) -> Array:
    """Return the softmax over the units, examples in columns."""
    e = np.exp(z - z.max(axis=0))
    return np.asarray(e / e.sum(axis=0))


_FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "identity": lambda z: z,
    "relu": lambda z: np.maximum(z, 0.0),
    "tanh": np.tanh,
    "sigmoid": lambda z: 1.0 / (1.0 + np.exp(-z)),
    "softmax": _softmax,
}
_DERIVATIVES: dict[str, Callable[[Array], Array]] = {
    "relu": lambda a: (a > 0.0).astype(np.float64),
    "tanh": lambda a: 1.0 - a * a,
    "sigmoid": lambda a: a * (1.0 - a),
}
_LOSSES: dict[str, Callable[[Array, Array], Array]] = {
    "binary_crossentropy": lambda a, y: -(y * np.log(a) + (1.0 - y) * np.log(1.0 - a)),
    "softmax_crossentropy": lambda a, y: -y * np.log(a),
    "squared_error": lambda a, y: 0.5 * (a - y) ** 2,
}


def _describe(hidden: str, output: str, loss: str, A: Array, Y: Array) -> Description:
    """Return the description of a network and its loss, the mean over the examples."""
    value = float(_LOSSES[loss](A, Y).sum() / A.shape[1])
    return {"hidden": hidden, "output": output, "loss": loss, "reduction": "mean", "loss_value": value}


def _in_rows(arrays: Arrays) -> Arrays:
    """Turn arrays with examples in columns into the other layout: examples in rows, W (in, out), b (out,)."""
    return {name: array.ravel() if name.removeprefix("d")[0] == "b" else array.T.copy() for name, array in arrays.items()}


def repaired() -> tuple[Arrays, Description]:
    """Make the 4-5-3-1 network of a well-known course exercise, with a right backward pass.

    Notes
    -----
    NumPy's legacy generator, seed 1, standard normals in the order x, W1, b1, W2, b2, W3, b3.
    """
    rng = np.random.RandomState(1)
    X, Y = rng.randn(4, 3), np.array([1, 1, 0])
    shapes = {"W1": (5, 4), "b1": (5, 1), "W2": (3, 5), "b2": (3, 1), "W3": (1, 3), "b3": (1, 1)}
    parameters: Arrays = {name: rng.randn(*shape) for name, shape in shapes.items()}
    activations = forward(parameters, X, "relu", "sigmoid")
    gradients = backward(parameters, activations, Y, "relu", samples=3)
    description = _describe("relu", "sigmoid", "binary_crossentropy", activations[-1], Y)
    return {"X": X, "Y": Y, **parameters, **gradients}, description


def planted() -> tuple[Arrays, Description]:
    """Make the same network with the exercise's two mistakes."""
    arrays, description = repaired()
    return {**arrays, "dW2": arrays["dW2"] * 2.0, "db1": arrays["db1"] * 4.0}, description


def cat() -> tuple[Arrays, Description]:
    """Make a 12288-5-5-1 network on 209 images of 64 by 64 raw pixels, from 0 to 255 as a camera gives them."""
    rng = np.random.default_rng(209)
    coarse = rng.integers(0, 224, size=(8, 8, 3, 209)).repeat(8, axis=0).repeat(8, axis=1)
    pixels = (coarse + rng.integers(0, 32, size=coarse.shape)).reshape(12288, 209).astype(np.uint8)
    X, Y = pixels.astype(np.float64), (rng.random((1, 209)) < 0.35).astype(np.float64)
    parameters: Arrays = {}
    for layer, (n_in, n_out, size) in enumerate([(12288, 5, 128.0), (5, 5, 1.0), (5, 1, 1.0)], start=1):
        parameters[f"W{layer}"] = rng.standard_normal((n_out, n_in)) / (size * np.sqrt(n_in))
        parameters[f"b{layer}"] = np.zeros((n_out, 1))
    activations = forward(parameters, X, "tanh", "sigmoid")
    gradients = backward(parameters, activations, Y, "tanh", samples=209)
    description = _describe("tanh", "sigmoid", "binary_crossentropy", activations[-1], Y)
    return {"X": pixels, "Y": Y, **parameters, **gradients}, description


def digits() -> tuple[Arrays, Description]:
    """Make a 784-50-10 network on 100 images with black borders, examples in rows and one-hot labels."""
    rng = np.random.default_rng(784)
    images = np.zeros((28, 28, 100))
    images[4:24, 4:24] = rng.random((20, 20, 100)) * (rng.random((20, 20, 100)) < 0.4)
    X, T = images.reshape(784, 100), np.eye(10)[:, rng.integers(0, 10, size=100)]
    parameters: Arrays = {
        "W1": 0.1 * rng.standard_normal((50, 784)),
        "b1": 0.1 * rng.standard_normal((50, 1)),
        "W2": 0.1 * rng.standard_normal((10, 50)),
        "b2": 0.1 * rng.standard_normal((10, 1)),
    }
    activations = forward(parameters, X, "sigmoid", "softmax")
    gradients = backward(parameters, activations, T, "sigmoid", samples=100)
    description = _describe("sigmoid", "softmax", "softmax_crossentropy", activations[-1], T)
    return _in_rows({"x": X, "t": T, **parameters, **gradients}), description


def forgotten_m() -> tuple[Arrays, Description]:
    """Make a 2-16-1 network on 8 examples whose backward pass never divides by their number."""
    rng = np.random.default_rng(8)
    X, Y = rng.random((2, 8)), rng.random((1, 8))
    parameters: Arrays = {
        "W1": rng.standard_normal((16, 2)),
        "b1": rng.standard_normal((16, 1)),
        "W2": rng.standard_normal((1, 16)),
        "b2": rng.standard_normal((1, 1)),
    }
    activations = forward(parameters, X, "tanh", "identity")
    gradients = backward(parameters, activations, Y, "tanh", samples=1)
    description = _describe("tanh", "identity", "squared_error", activations[-1], Y)
    return _in_rows({"X": X, "Y": Y, **parameters, **gradients}), description


DEMOS = (
    Demo("planted", "4-5-3-1 relu; dW2 doubled, db1 four times too large", ("b1", "W2"), planted),
    Demo("repaired", "the same with a right backward pass", (), repaired),
    Demo("cat", "12288-5-5-1 tanh, 209 images of raw pixels", (), cat),
    Demo("digits", "784-50-10 sigmoid and softmax, 100 images", (), digits),
    Demo(
        "forgotten-m",
        "2-16-1 tanh, 8 examples; division by m forgotten",
        ("W1", "b1", "W2", "b2"),
        forgotten_m,
    ),
)
"""Every demo; the first one is what `fastgrad demo` runs."""
