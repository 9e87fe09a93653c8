"""The network in which the pages of mistakes have their lines: its program as text, which is run with a line replaced."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

import fastgrad
from fastgrad.model.forward import base_point
from fastgrad.reading import Description, interpret_parts

EXAMPLES = 7
HIDDEN = 5
LAMBDA, KEEP_PROB = 0.7, 0.8
WEIGHTS = (1.0, 2.0, 0.5, 1.5, 1.0, 0.5, 3.0)

BELOW = """\
dW3 = dZ3 @ A2.T
db3 = dZ3.sum(axis=1, keepdims=True)
dA2 = W3.T @ dZ3
dZ2 = dA2 * slope(Z2)
dW2 = dZ2 @ A1.T
db2 = dZ2.sum(axis=1, keepdims=True)
dA1 = W2.T @ dZ2
dZ1 = dA1 * slope(Z1)
dW1 = dZ1 @ X.T
db1 = dZ1.sum(axis=1, keepdims=True)
"""

DECLARED = """\
f, df = np.tanh, slope
divisor = m
penalty = lam / m
T = Y
w = weights
D = D1 / keep_prob
A1 = f(Z1) * D
Z2 = W2 @ A1 + b2
A2 = f(Z2)
Z3 = W3 @ A2 + b3
A3 = 1 / (1 + np.exp(-Z3))
J = -(w * (T * np.log(A3) + (1 - T) * np.log(1 - A3))).sum() / divisor
J = J + penalty / 2 * sum((W**2).sum() for W in (W1, W2, W3))
dZ3 = w * (A3 - T) / divisor
dW3 = dZ3 @ A2.T + penalty * W3
db3 = dZ3.sum(axis=1, keepdims=True)
dZ2 = W3.T @ dZ3 * df(Z2)
dW2 = dZ2 @ A1.T + penalty * W2
db2 = dZ2.sum(axis=1, keepdims=True)
dZ1 = W2.T @ dZ2 * D * df(Z1)
dW1 = dZ1 @ X.T + penalty * W1
db1 = dZ1.sum(axis=1, keepdims=True)
"""
"""Forward and backward pass with the value of the loss, for what is another declaration and no mistake."""

LOSSES: dict[str, tuple[str, dict[str, Any]]] = {
    "sigmoid": ("dZ3 = (A3 - Y) / m\n", {"output": "sigmoid", "loss": "binary_crossentropy"}),
    "softmax": ("dZ3 = (A3 - Y) / m\n", {"output": "softmax", "loss": "softmax_crossentropy"}),
    "mse": ("dZ3 = 2 * (A3 - Y) / (m * K)\n", {"output": "identity", "loss": "mse"}),
}
LOSSES["few"] = LOSSES["softmax"]
SCALES = {"saturated": 200.0, "confident": 5.0}
"""What the weights of the last layer are multiplied with."""


def slope(Z: Any) -> Any:
    """Return the derivative of tanh at pre-activations Z."""
    return 1.0 - np.tanh(Z) ** 2


def _program(network: str) -> tuple[str, dict[str, Any]]:
    """Return the right backward pass of an example and its description."""
    top, described = LOSSES.get(network, LOSSES["sigmoid"])
    below = BELOW
    if network == "l2":
        for layer, below_it in ((3, "A2"), (2, "A1"), (1, "X")):
            line = f"dW{layer} = dZ{layer} @ {below_it}.T"
            below = below.replace(line, f"{line} + lam / m * W{layer}")
        described = {**described, "l2": LAMBDA / EXAMPLES}
    if network == "dropout":
        below = below.replace("dA1 = W2.T @ dZ2", "dA1 = W2.T @ dZ2 * D1 / keep_prob")
        described = {**described, "keep_prob": [KEEP_PROB, 1.0]}
    if network == "declared":
        said = {"l2": LAMBDA / EXAMPLES, "keep_prob": [KEEP_PROB, 1.0], "example_weights": WEIGHTS}
        return DECLARED, {**described, **said}
    if network == "saved":
        below += "saved = copies()\n"
    if network == "tied":
        below += "dW2 = dW2 + dW3.T\ndW3 = dW2.T\n"
    return top + below, described


def _numbers(network: str) -> dict[str, Any]:
    """Return inputs, labels, parameters and the results of the forward pass."""
    rng = np.random.default_rng(3)
    m = HIDDEN if network in ("square", "few") else EXAMPLES
    K = 1 if network == "single" else HIDDEN
    widths = (4, HIDDEN, HIDDEN, K)
    X = rng.normal(size=(4, m))
    space: dict[str, Any] = {"np": np, "slope": slope, "X": X, "m": m, "K": K, "lam": LAMBDA, "keep_prob": KEEP_PROB}
    space["weights"] = np.array(WEIGHTS)
    for layer, (n_in, n_out) in enumerate(pairwise(widths), start=1):
        space[f"W{layer}"] = rng.normal(size=(n_out, n_in)) / np.sqrt(n_in) * 1.5
        space[f"b{layer}"] = rng.normal(size=(n_out, 1)) * 0.5
    space["W3"] *= SCALES.get(network, 1.0)
    if network == "tied":
        space["W3"] = space["W2"].T.copy()
    space["D1"] = (rng.random((HIDDEN, m)) < KEEP_PROB).astype(float)
    classes = np.array([0, 2, 1, 4, 3, 2, 0])[:m]
    if network == "mse":
        space["Y"] = rng.normal(size=(K, m))
    else:
        is_softmax = network in ("softmax", "few")
        space["Y"] = np.eye(K)[:, classes] if is_softmax else (rng.random((K, m)) < 0.5).astype(float)
    _forward(network, space)
    return space


def _forward(network: str, space: dict[str, Any]) -> None:
    """Put Z1, A1, ... into the names of the program."""
    A = space["X"]
    for layer in (1, 2, 3):
        Z = space[f"W{layer}"] @ A + space[f"b{layer}"]
        A = _output(network, Z) if layer == 3 else np.tanh(Z)
        if network in ("dropout", "declared") and layer == 1:
            A = A * space["D1"] / KEEP_PROB
        space[f"Z{layer}"], space[f"A{layer}"] = Z, A


def _output(network: str, Z: Any) -> Any:
    """Return the outputs."""
    if network == "mse":
        return Z
    if network in ("softmax", "few"):
        e = np.exp(Z - Z.max(axis=0))
        return e / e.sum(axis=0)
    return 1.0 / (1.0 + np.exp(-Z))


def _with_a_loop(space: dict[str, Any], names: list[str]) -> None:
    """Put what a training loop has into the names of the program: an update, copies, the gradient once more."""

    def update(rate: float) -> None:
        space.update({name: space[name] - rate * space[f"d{name}"] for name in names})

    def copies() -> dict[str, Any]:
        return {name: space[name].copy() for name in names}

    def take_the_gradient(X: Any = space["X"], Y: Any = space["Y"]) -> None:
        own = {**space, "X": X, "Y": Y, "m": X.shape[1]}
        _forward("saved", own)
        exec(_program("sigmoid")[0], own)
        space.update({f"d{name}": own[f"d{name}"] for name in names})

    space.update(update=update, copies=copies, take_the_gradient=take_the_gradient)


def report_of(network: str, right: str, wrong: str) -> fastgrad.Report:
    """Check an example's gradients after a line of its backward pass has been replaced by another.

    Raises
    ------
    ValueError
        If the program has no such line.
    """
    program, described = _program(network)
    if right == "dZ2 = dA2 * (1 - A2**2)":  # the same for tanh, in terms of a
        program = program.replace("dZ2 = dA2 * slope(Z2)", right)
    if right not in program.splitlines():
        raise ValueError(f"the program of the example {network!r} has no line {right!r}")
    space = _numbers(network)
    names = [f"{kind}{layer}" for layer in (1, 2, 3) for kind in "Wb"]
    parameters = {name: space[name].copy() for name in names}
    lines = [wrong if line == right else line for line in program.splitlines()]
    if network == "saved":
        _with_a_loop(space, names)
    with np.errstate(all="ignore"):
        exec("\n".join(lines), space)
    parameters = space.get("saved", parameters)
    steps = ["Z1", "A1", "Z2", "A2", "Z3"] if network == "steps" else []
    gradients = {f"d{name}": space[f"d{name}"] for name in [*names, *steps]}
    masks = [space["D1"], None] if network in ("dropout", "declared") else None
    described = {"hidden": "tanh", "layout": "columns", **described}
    return fastgrad.check(
        parameters,
        gradients,
        space["X"],
        space["Y"],
        masks=masks,
        loss_value=space["J"] if "J" in space else _declared_loss(parameters, space, masks, described),
        **described,
    )


def _declared_loss(parameters: dict[str, Any], space: dict[str, Any], masks: Any, described: dict[str, Any]) -> float:
    """Return the value of the declared loss: it tells that the declaration is meant, and the mistake is in the code."""
    return base_point(interpret_parts(parameters, None, space["X"], space["Y"], Description.of(described), masks)).loss
