"""Right gradients in the forms in which people have them, drawn from seeds, and each once more with a mistake of 1 %.

Networks are written with plain NumPy, examples in rows, nothing of fastgrad in them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np

MISTAKE = 1.01
"""Factor of a wrong tensor."""


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


HIDDEN = {
    "tanh": (np.tanh, lambda z, a: 1.0 - a * a),
    "sigmoid": (sigmoid, lambda z, a: a * (1.0 - a)),
    "relu": (lambda z: np.maximum(z, 0.0), lambda z, a: (z > 0.0) * z.dtype.type(1.0)),
    "softplus": (lambda z: np.logaddexp(z, 0.0), lambda z, a: sigmoid(z)),
}
LOSSES = {
    "binary_crossentropy": ("sigmoid", lambda a, y: -(y * np.log(a) + (1.0 - y) * np.log(1.0 - a)).sum(axis=1)),
    "softmax_crossentropy": ("softmax", lambda a, y: -(y * np.log(a)).sum(axis=1)),
    "squared_error": ("identity", lambda a, y: 0.5 * np.square(a - y).sum(axis=1)),
}
OUTPUTS = {"sigmoid": sigmoid, "softmax": softmax, "identity": lambda z: z}
"""With each of the losses ∂J/∂z of the output is a − y."""


@dataclass(frozen=True)
class Given:
    """What a person has: arrays or a function, and what they say of it.

    Attributes
    ----------
    kind : str
        Which form.
    parameters, X, Y
        As given.
    gradients : dict or callable
        The right gradients, or the function that makes them.
    wrong : dict or callable
        The same with one tensor, of which `large` tells whether 1 % is above what was given, 1 % off.
    options : dict
        What is said.
    large : bool
        Whether 1 % of that tensor's largest entry is at least two units of the grid.
    """

    kind: str
    parameters: dict[str, Any]
    X: Any
    Y: Any
    gradients: Any
    wrong: Any
    options: dict[str, Any] = field(default_factory=dict)
    large: bool = True


@dataclass(frozen=True)
class Net:
    """A network as its author wrote it."""

    hidden: str
    loss: str
    parameters: dict[str, Any]
    X: Any
    Y: Any
    l2: float = 0.0

    @property
    def options(self):
        said = {"hidden": self.hidden, "output": LOSSES[self.loss][0], "loss": self.loss}
        return {**said, "l2": self.l2} if self.l2 else said

    @property
    def depth(self):
        return len(self.parameters) // 2

    def forward(self, p, X):
        a, zs = [X], []
        for layer in range(1, self.depth + 1):
            zs.append(a[-1] @ p[f"W{layer}"] + p[f"b{layer}"])
            a.append(HIDDEN[self.hidden][0](zs[-1]) if layer < self.depth else OUTPUTS[LOSSES[self.loss][0]](zs[-1]))
        return a, zs

    def cost(self, p):
        a, _ = self.forward(p, self.X)
        return LOSSES[self.loss][1](a[-1], self.Y).mean() + 0.5 * self.l2 * sum(np.square(p[n]).sum() for n in p if n[0] == "W")

    def backward(self, p, X, Y, off=None, l2=None):
        """Return the gradients, that named by `off` 1 % too large."""
        a, zs = self.forward(p, X)
        found, l2 = {}, self.l2 if l2 is None else l2
        d = (a[-1] - Y) / X.dtype.type(len(X))
        for layer in range(self.depth, 0, -1):
            W = p[f"W{layer}"]
            found[f"W{layer}"], found[f"b{layer}"] = a[layer - 1].T @ d + W.dtype.type(l2) * W, d.sum(axis=0)
            if layer > 1:
                d = (d @ W.T) * HIDDEN[self.hidden][1](zs[layer - 2], a[layer - 1])
        return {n: found[n] * found[n].dtype.type(MISTAKE if n == off else 1.0) for n in p}

    def in_type(self, kind):
        arrays = {n: v.astype(kind) for n, v in self.parameters.items()}
        return replace(self, parameters=arrays, X=self.X.astype(kind), Y=self.Y.astype(kind))


def network(draw) -> Net:
    """Draw a network."""
    widths = [int(n) for n in draw.integers(2, 9, size=int(draw.integers(3, 5)))]
    loss, m = str(draw.choice(list(LOSSES))), int(draw.integers(4, 21))
    parameters = {}
    for layer, (n_in, n_out) in enumerate(pairwise(widths), start=1):
        parameters[f"W{layer}"] = draw.normal(0.0, n_in**-0.5, (n_in, n_out))
        parameters[f"b{layer}"] = draw.normal(0.0, 0.3, n_out)
    Y = draw.normal(size=(m, widths[-1]))
    if loss == "binary_crossentropy":
        Y = (Y > 0.0) * 1.0
    elif loss == "softmax_crossentropy":
        Y = np.eye(widths[-1])[draw.integers(0, widths[-1], m)]
    hidden = str(draw.choice(list(HIDDEN)))
    return Net(hidden, loss, parameters, draw.normal(size=(m, widths[0])), Y, float(draw.choice([0.0, 0.02])))


def _arrays(kind, net, draw, write, unit=lambda v: 0.0, **said):
    """Return the right and the wrong gradients of a network as somebody wrote them down."""
    off = str(draw.choice(list(net.parameters)))
    right, wrong = (net.backward(net.parameters, net.X, net.Y, name) for name in (None, off))
    size = np.abs(right[off]).max()
    large = 0.01 * size >= 2.0 * unit(size) and size > 1e-6
    written = [{n: write(n, v) for n, v in gradients.items()} for gradients in (right, wrong)]
    options = {**net.options, **said, "layout": "rows,in_out"}
    return Given(kind, net.parameters, net.X, net.Y, *written, options, bool(large))


def digits(v, d):
    return np.vectorize(lambda x: float(f"{x:.{d}g}"))(v.astype(np.float64))


def _decimals(net, draw):
    k = int(draw.integers(4, 10))
    return _arrays("decimals", net, draw, lambda n, v: np.round(v, k), lambda size: 10.0**-k)


def _digits(net, draw):
    d = int(draw.integers(3, 10))
    return _arrays("significant digits", net, draw, lambda n, v: digits(v, d), lambda size: size * 10.0 ** (1 - d))


def _rate(draw):
    return float(f"{10.0 ** draw.uniform(-5.0, 0.0):.{int(draw.integers(1, 9))}g}")


def _step(net, draw):
    rate = _rate(draw)
    return _arrays("step", net, draw, lambda n, v: (net.parameters[n] - (net.parameters[n] - rate * v)) / rate)


def _single_step(net, draw):
    net, rate = net.in_type(np.float32), np.float32(float(f"{10.0 ** draw.uniform(-3.0, 0.0):.{int(draw.integers(1, 6))}g}"))
    unit = lambda size: 2.0**-23 / rate  # noqa: E731
    return _arrays("step, float32", net, draw, lambda n, v: (net.parameters[n] - (net.parameters[n] - rate * v)) / rate, unit)


def _after(net, draw):
    rate = _rate(draw)
    return _arrays("parameters after a step", net, draw, lambda n, v: net.parameters[n] - rate * v, learning_rate=rate)


def _parameters(net, draw):
    k = int(draw.integers(5, 10))
    given = _arrays("parameters in decimals", net, draw, lambda n, v: v, lambda size: 10.0**-k * 10.0)
    return replace(given, parameters={n: np.round(v, k) for n, v in net.parameters.items()})


def _all_printed(net, draw):
    k = int(draw.integers(5, 10))
    given = _arrays("all in decimals", net, draw, lambda n, v: np.round(v, k), lambda size: 10.0**-k * 10.0)
    return replace(given, parameters={n: np.round(v, k) for n, v in net.parameters.items()})


def _single(net, draw):
    return _arrays("float32", net.in_type(np.float32), draw, lambda n, v: v)


def _single_in_double(net, draw):
    return _arrays("float32 in float64", net.in_type(np.float32), draw, lambda n, v: v.astype(np.float64))


def _single_printed(net, draw):
    d = int(draw.integers(3, 10))
    unit = lambda size: size * 10.0 ** (1 - d)  # noqa: E731
    return _arrays("float32, printed", net.in_type(np.float32), draw, lambda n, v: digits(v, d), unit)


def bfloat16(v):
    mantissa, exponent = np.frexp(v)
    return np.ldexp(np.rint(np.ldexp(mantissa, 8)), exponent - 8)


def _bfloat16(net, draw):
    net = replace(net, parameters={n: bfloat16(v) for n, v in net.parameters.items()}, X=bfloat16(net.X), Y=bfloat16(net.Y))
    return _arrays("bfloat16", net.in_type(np.float32), draw, lambda n, v: bfloat16(v).astype(np.float32))


def _differences(net, draw):
    net = replace(net, hidden="tanh")
    h = 10.0 ** -int(draw.integers(4, 8))
    found = {n: np.zeros(v.shape) for n, v in net.parameters.items()}
    for name, value in net.parameters.items():
        for index in np.ndindex(value.shape):
            sides = []
            for step in (h, -h):
                moved = {n: v.copy() for n, v in net.parameters.items()}
                moved[name][index] += step
                sides.append(net.cost(moved))
            found[name][index] = (sides[0] - sides[1]) / (2.0 * h)
    given = _arrays("central differences", net, draw, lambda n, v: v, lambda size: 1e-14 / h)
    off = next(n for n in found if not np.array_equal(given.gradients[n], given.wrong[n]))
    return replace(given, gradients=found, wrong={n: v * (MISTAKE if n == off else 1.0) for n, v in found.items()})


def _autoencoder(draw):
    n, h, m = int(draw.integers(4, 9)), int(draw.integers(2, 5)), int(draw.integers(4, 12))
    W, b1, b2 = draw.normal(0.0, n**-0.5, (n, h)), draw.normal(0.0, 0.3, h), draw.normal(0.0, 0.3, n)
    return {"W1": W, "b1": b1, "W2": W.T.copy(), "b2": b2}, draw.random((m, n))


def autoencode(p, X, Y, off=None, tied=True):
    """Return the gradients of an autoencoder of sigmoids; with tied weights the total one under both names."""
    a = sigmoid(X @ p["W1"] + p["b1"])
    z = sigmoid(a @ (p["W1"].T if tied else p["W2"]) + p["b2"])
    d2 = (z - X) * z * (1.0 - z) / len(X)
    d1 = (d2 @ (p["W1"] if tied else p["W2"].T)) * a * (1.0 - a)
    dW1, dW2 = X.T @ d1, a.T @ d2
    found = {"W1": dW1 + dW2.T * tied, "b1": d1.sum(axis=0), "W2": dW2 + dW1.T * tied, "b2": d2.sum(axis=0)}
    return {n: v * (MISTAKE if n == off else 1.0) for n, v in found.items()}


CODE = {"hidden": "sigmoid", "output": "sigmoid", "loss": "squared_error", "layout": "rows,in_out"}


def _tied(net, draw):
    parameters, X = _autoencoder(draw)
    off = str(draw.choice(["W1", "b1", "b2"]))
    return Given("tied", parameters, X, X, autoencode(parameters, X, X), autoencode(parameters, X, X, off), CODE)


def _tied_function(net, draw):
    parameters, X = _autoencoder(draw)
    wrong = lambda p, X, Y: autoencode(p, X, Y, "b1")  # noqa: E731
    return Given("tied, function", parameters, X, X, autoencode, wrong, CODE)


def _own_targets(net, draw):
    parameters, X = _autoencoder(draw)
    parameters["W2"] = draw.normal(size=parameters["W2"].shape)
    right, wrong = (lambda p, X, Y, off=off: autoencode(p, X, Y, off, tied=False) for off in (None, "W2"))
    return Given("autoencoder, function", parameters, X, X.copy(), right, wrong, CODE)


def _shared_penalty(net, draw):
    total = 0.5
    net = replace(net, l2=total / len(net.X), parameters={n: v * 3.0 for n, v in net.parameters.items()})
    right, wrong = (lambda p, X, Y, off=off: net.backward(p, X, Y, off, l2=total / len(X)) for off in (None, f"b{net.depth}"))
    options = {**net.options, "layout": "rows,in_out"}
    return Given("penalty by len(X), function", net.parameters, net.X, net.Y, right, wrong, options)


def _column_of_ones(net, draw):
    X = np.column_stack([np.ones(len(net.X)), net.X])
    W = np.vstack([net.parameters["b1"], net.parameters["W1"]])
    parameters = {"W1": W, **{n: v for n, v in net.parameters.items() if n not in ("W1", "b1")}}
    net = replace(net, l2=0.05)

    def folded(off):
        found = net.backward(net.parameters, net.X, net.Y, off)
        return {**found, "W1": np.vstack([found["b1"], found["W1"]])}

    right, wrong = ({n: folded(off)[n] for n in parameters} for off in (None, "W2"))
    return Given("column of ones", parameters, X, net.Y, right, wrong, {**net.options, "layout": "rows,in_out"})


def _signs(net, draw):
    net = replace(net, loss="squared_error", Y=draw.integers(0, 2, net.Y.shape) * 1.0)
    net.Y[0, 0], net.Y[-1, -1] = 0.0, 1.0
    signed = replace(net, Y=2.0 * net.Y - 1.0)
    right, wrong = (signed.backward(net.parameters, net.X, signed.Y, off) for off in (None, "b1"))
    return Given(
        "labels 0 and 1 for -1 and 1", net.parameters, net.X, net.Y, right, wrong, {**net.options, "layout": "rows,in_out"}
    )


KINDS: tuple[Callable[[Net, Any], Given], ...] = (
    _decimals,
    _digits,
    _step,
    _single_step,
    _after,
    _parameters,
    _all_printed,
    _single,
    _single_in_double,
    _single_printed,
    _bfloat16,
    _differences,
    _tied,
    _tied_function,
    _own_targets,
    _shared_penalty,
    _column_of_ones,
    _signs,
)


def given(seed: int) -> Given:
    """Return what the person of a seed has; kinds take turns."""
    draw = np.random.default_rng([seed, 13])
    return KINDS[seed % len(KINDS)](network(draw), draw)
