"""Backpropagation as people write it with NumPy, step by step, so that a mistake can be put into any of its steps.

Apart from the library, whose gradients it is held against; activations are the plain formulas of tests/problems.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

import problems
import reference

Array = npt.NDArray[Any]
Step = Callable[[Array, "Flow"], Array]
"""From the right value of a step, and what has been computed so far, to a wrong one."""
Slips = Mapping[tuple[str, int], Step]
"""Wrong steps, by name ("dZ", "dW", "db", "W", "mask", "slope", "penalty W", "penalty b", "all") and layer from 0."""


@dataclass
class Flow:
    """What a backward pass has computed so far, by layer."""

    dZ: dict[int, Array]
    dW: dict[int, Array]
    db: dict[int, Array]


@dataclass(frozen=True, eq=False)
class Run:
    """A network with its forward pass, in one precision.

    Attributes
    ----------
    case : reference.Case
        The network and its numbers.
    masks : tuple of (ndarray or None)
        What multiplies the activations of each hidden layer, the factor of inverted dropout in it.
    dtype : type
        Precision of everything.
    """

    case: reference.Case
    masks: tuple[Array | None, ...]
    dtype: type = np.float64

    @property
    def depth(self) -> int:
        """Number of layers."""
        return len(self.case.widths) - 1

    @property
    def samples(self) -> int:
        """Number of examples."""
        return len(self.case.X)

    @property
    def mean(self) -> bool:
        """Whether J is the mean over examples."""
        return self.case.reduction == "mean"

    @property
    def loss(self) -> str:
        """The loss without its parameter."""
        return self.case.loss.partition(":")[0]

    def name(self, layer: int) -> str:
        """Activation of a layer without its parameter."""
        return self.case.activations[layer].partition(":")[0]

    def mask(self, layer: int) -> Array | None:
        """Return what multiplies the activations of a layer, None where nothing is dropped."""
        return self.masks[layer] if layer < len(self.masks) else None

    @cached_property
    def parameters(self) -> list[tuple[Array, Array | None]]:
        """W and b of each layer; None where there is no b."""
        return parameters(self.case, self.case.theta.astype(self.dtype))

    def W(self, layer: int) -> Array:
        """W of a layer, (n_out, n_in)."""
        return self.parameters[layer][0]

    @cached_property
    def forward(self) -> tuple[list[Array], list[Array]]:
        """z_1 to z_L, and a_0 = X to a_L, each after its dropout."""
        return forward(self, self.parameters)

    @property
    def z(self) -> list[Array]:
        """z of each layer, (m, n)."""
        return self.forward[0]

    @property
    def a(self) -> list[Array]:
        """X and the activations of each layer, (m, n)."""
        return self.forward[1]

    @cached_property
    def Y(self) -> Array:
        """The targets, (m, n_L)."""
        return self.case.Y.astype(self.dtype)

    def slope(self, layer: int, at_kink: float = 0.0) -> Array:
        """f′(z) of a layer; on a kink at 0 that share of the way from the left slope to the right one."""
        return slope(self.case.activations[layer], self.z[layer], at_kink)


def parameters(case: reference.Case, theta: Array) -> list[tuple[Array, Array | None]]:
    """Cut theta into W and b of each layer."""
    found, start = [], 0
    for layer, (n_in, n_out) in enumerate(pairwise(case.widths)):
        W = theta[start : start + n_out * n_in].reshape(n_out, n_in)
        start += W.size
        b = theta[start : start + n_out] if case.has_bias(layer) else None
        start += n_out * case.has_bias(layer)
        found.append((W, b))
    return found


def forward(run: Run, layers: list[tuple[Array, Array | None]]) -> tuple[list[Array], list[Array]]:
    """Run the forward pass with some parameters."""
    z, a = [], [run.case.X.astype(run.dtype)]
    for layer, (W, b) in enumerate(layers):
        z.append(a[-1] @ W.T if b is None else a[-1] @ W.T + b)
        a.append(activate(run.case.activations[layer], z[-1]))
        mask = run.mask(layer)
        if mask is not None:
            a[-1] = a[-1] * mask.astype(run.dtype)
    return z, a


def activate(name: str, z: Array) -> Array:
    """f(z), of a softmax over the outputs of each sample."""
    return softmax(z) if name == "softmax" else problems.value(name, z)


def softmax(z: Array) -> Array:
    """exp(z) / Σ exp(z) for each sample."""
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def slope(name: str, z: Array, at_kink: float = 0.0) -> Array:
    """f′(z) by the usual formula; at 0 between those on its two sides, which differ where there is a kink."""
    tiny = np.asarray(np.finfo(z.dtype).tiny, z.dtype)
    left, right = (problems.slope(name, np.where(z == 0, side, z)) for side in (-tiny, tiny))
    return np.asarray((left + at_kink * (right - left)).astype(z.dtype))


# Losses of each sample, from z and a of the output, the targets, and the loss's parameter.


def _hinge(a: Array, Y: Array, margin: float) -> Array:
    """How far each output is inside the margin: of one output against its sign, of several against the right one."""
    if Y.shape[1] == 1:
        return np.maximum(margin - Y * a, 0.0)
    return np.maximum(a - (a * Y).sum(axis=1, keepdims=True) + margin, 0.0) * (1.0 - Y)


def _hinge_slope(a: Array, Y: Array, inside: Array) -> Array:
    if Y.shape[1] == 1:
        return -Y * inside
    return inside - Y * inside.sum(axis=1, keepdims=True)


def _huber(d: Array, delta: float) -> Array:
    return np.where(np.abs(d) <= delta, 0.5 * d * d, delta * (np.abs(d) - 0.5 * delta))


def _y_log_y(Y: Array) -> Array:
    return Y * np.log(np.where(Y > 0.0, Y, 1.0))


_VALUES: dict[str, Callable[[Array, Array, Array, float], Array]] = {
    "softmax_crossentropy": lambda z, a, Y, p: -Y * log_softmax(z),
    "binary_crossentropy": lambda z, a, Y, p: np.logaddexp(0.0, z) - Y * z,
    "squared_error": lambda z, a, Y, p: 0.5 * (a - Y) ** 2,
    "sum_squared_error": lambda z, a, Y, p: (a - Y) ** 2,
    "mse": lambda z, a, Y, p: (a - Y) ** 2 / Y.shape[1],
    "half_mse": lambda z, a, Y, p: 0.5 * (a - Y) ** 2 / Y.shape[1],
    "absolute_error": lambda z, a, Y, p: np.abs(a - Y) / Y.shape[1],
    "sum_absolute_error": lambda z, a, Y, p: np.abs(a - Y),
    "huber": lambda z, a, Y, p: _huber(a - Y, p) / Y.shape[1],
    "log_cosh": lambda z, a, Y, p: (np.logaddexp(a - Y, Y - a) - np.log(2.0)) / Y.shape[1],
    "hinge": lambda z, a, Y, p: _hinge(a, Y, p),
    "squared_hinge": lambda z, a, Y, p: _hinge(a, Y, p) ** 2,
    "poisson": lambda z, a, Y, p: (a - Y * np.log(a)) / Y.shape[1],
    "kl_divergence": lambda z, a, Y, p: _y_log_y(Y) - Y * np.log(a),
}
_SLOPES: dict[str, Callable[[Array, Array, float], Array]] = {
    "squared_error": lambda a, Y, p: a - Y,
    "sum_squared_error": lambda a, Y, p: 2.0 * (a - Y),
    "mse": lambda a, Y, p: 2.0 * (a - Y) / Y.shape[1],
    "half_mse": lambda a, Y, p: (a - Y) / Y.shape[1],
    "absolute_error": lambda a, Y, p: np.sign(a - Y) / Y.shape[1],
    "sum_absolute_error": lambda a, Y, p: np.sign(a - Y),
    "huber": lambda a, Y, p: np.clip(a - Y, -p, p) / Y.shape[1],
    "log_cosh": lambda a, Y, p: np.tanh(a - Y) / Y.shape[1],
    "hinge": lambda a, Y, p: _hinge_slope(a, Y, 1.0 * (_hinge(a, Y, p) > 0.0)),
    "squared_hinge": lambda a, Y, p: _hinge_slope(a, Y, 2.0 * _hinge(a, Y, p)),
    "poisson": lambda a, Y, p: (1.0 - Y / a) / Y.shape[1],
    "kl_divergence": lambda a, Y, p: -Y / a,
}
MEANS_OVER_OUTPUTS = {"mse", "half_mse", "absolute_error", "huber", "log_cosh", "poisson"}


def log_softmax(z: Array) -> Array:
    """z − log Σ exp(z) for each sample."""
    shifted = z - z.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def from_logits(run: Run) -> bool:
    """Tell whether the derivative by the output's z is p − y by the usual formula, no f′ in it."""
    pair = (run.loss, run.name(run.depth - 1))
    return pair[0].endswith("crossentropy") or pair in {("kl_divergence", "softmax"), ("poisson", "exp")}


def output_flow(run: Run, Y: Array, at_kink: float = 0.0) -> Array:
    """∂J/∂z of the output layer by the usual formulas, shape (m, n_L), 1/m included."""
    a, last = run.a[-1], run.depth - 1
    if run.loss == "softmax_crossentropy" or (run.loss, run.name(last)) == ("kl_divergence", "softmax"):
        dZ = Y.sum(axis=1, keepdims=True) * a - Y
    elif from_logits(run):
        dZ = (a - Y) / (Y.shape[1] if run.loss == "poisson" else 1)
    elif run.name(last) == "softmax":
        dA = loss_slope(run, Y)
        dZ = a * (dA - (dA * a).sum(axis=1, keepdims=True))
    else:
        dZ = loss_slope(run, Y) * run.slope(last, at_kink)
    return np.asarray((dZ / run.samples if run.mean else dZ).astype(run.dtype))


def loss_slope(run: Run, Y: Array) -> Array:
    """∂ℓ/∂a of each sample, for the losses that are not taken together with their output."""
    return _SLOPES[run.loss](run.a[-1], Y, _parameter(run))


def _parameter(run: Run) -> float:
    return float(run.case.loss.partition(":")[2] or 1.0)


def loss_value(run: Run, theta: Array) -> float:
    """J at theta by a plain forward pass, penalty included."""
    layers = parameters(run.case, theta)
    with np.errstate(all="ignore"):
        z, a = forward(run, layers)
        total = float(_VALUES[run.loss](z[-1], a[-1], run.case.Y, _parameter(run)).sum())
    total = total / run.samples if run.mean else total
    for W, b in layers:
        total += 0.5 * run.case.l2 * float((W * W).sum())
        if b is not None and run.case.penalize_biases:
            total += 0.5 * run.case.l2 * float((b * b).sum())
    return total


def gradient(run: Run, slips: Slips | None = None, *, at_kink: float = 0.0, order: np.random.Generator | None = None) -> Array:
    """Return the gradient of J in theta's order, float64, with some steps wrong.

    Parameters
    ----------
    run : Run
        The network and its forward pass.
    slips : mapping, optional
        What is wrong; by default nothing.
    at_kink : float
        0, ½ or 1: which derivative to take on a kink.
    order : Generator, optional
        Draws the order in which sums over examples and units are added up.
    """
    wrong = slips or {}
    flow = Flow({}, {}, {})

    def step(name: str, layer: int, value: Array) -> Array:
        return wrong[name, layer](value, flow) if (name, layer) in wrong else value

    with np.errstate(all="ignore"):
        last = run.depth - 1
        flow.dZ[last] = step("dZ", last, output_flow(run, run.Y, at_kink))
        for layer in reversed(range(run.depth)):
            _layer(run, layer, flow, step, order)
            if layer:
                dZ, W = flow.dZ[layer], step("W", layer, run.W(layer))
                units = _order(order, W.shape[0])
                dA = dZ[:, units] @ W[units]
                mask = run.mask(layer - 1)
                if mask is not None:
                    dA = dA * step("mask", layer - 1, mask.astype(run.dtype))
                flow.dZ[layer - 1] = step("dZ", layer - 1, dA * step("slope", layer - 1, run.slope(layer - 1, at_kink)))
        flat = np.concatenate([flow.__dict__[kind][layer].ravel() for kind, layer in _places(run)])
        return np.asarray(step("all", last, flat).astype(np.float64))


def _layer(
    run: Run,
    layer: int,
    flow: Flow,
    step: Callable[[str, int, Array], Array],
    order: np.random.Generator | None,
) -> None:
    """Compute dW and db of a layer from its dZ."""
    rows, (W, b) = _order(order, run.samples), run.parameters[layer]
    l2 = np.asarray(run.case.l2, run.dtype)
    dZ, a = flow.dZ[layer][rows], run.a[layer][rows]
    flow.dW[layer] = step("dW", layer, dZ.T @ a)
    flow.db[layer] = step("db", layer, dZ.sum(axis=0))
    flow.dW[layer] = flow.dW[layer] + step("penalty W", layer, l2 * W)
    if b is not None:
        flow.db[layer] = flow.db[layer] + step("penalty b", layer, l2 * b * run.case.penalize_biases)


def _order(order: np.random.Generator | None, count: int) -> Any:
    return slice(None) if order is None else order.permutation(count)


def _places(run: Run) -> list[tuple[str, int]]:
    """Tensors in theta's order."""
    return [(kind, layer) for layer in range(run.depth) for kind in ("dW", "db") if kind == "dW" or run.case.has_bias(layer)]


def sizes(run: Run) -> Array:
    """Σ of the absolute values of what is added up to make each entry, shape (P,): its natural scale."""
    absolute = {("dZ", run.depth - 1): lambda dZ, flow: np.abs(dZ)}
    for layer in range(run.depth):
        absolute["dW", layer] = lambda dW, flow, layer=layer: flow.dZ[layer].T @ np.abs(run.a[layer])
        absolute["W", layer] = lambda W, flow: np.abs(W)
        absolute["slope", layer] = lambda f, flow: np.abs(f)
        absolute["penalty W", layer] = absolute["penalty b", layer] = lambda w, flow: np.abs(w)
    return gradient(run, absolute)


def rounded(run: Run, dtype: type) -> Run:
    """Return the run in a precision, its numbers rounded to it."""
    rounding = {name: getattr(run.case, name).astype(dtype).astype(np.float64) for name in ("theta", "X", "Y")}
    masks = tuple(None if mask is None else mask.astype(dtype).astype(np.float64) for mask in run.masks)
    return replace(run, case=replace(run.case, **rounding), masks=masks, dtype=dtype)


def on_kinks(run: Run) -> Run:
    """Return the run with no biases and one input of nothing but zeros, which puts its z on 0 in the first layers."""
    theta, X = run.case.theta.copy(), run.case.X.copy()
    for _, b in parameters(run.case, theta):
        if b is not None:
            b[:] = 0.0
    X[0] = 0.0
    return replace(run, case=replace(run.case, theta=theta, X=X))
