"""The independent second implementation that tests hold fastgrad against: textbook formulas in plain loops.

Slow, readable, and it imports nothing of fastgrad. Every function takes the library its numbers come from, `math` for
float64 or `mpmath.mp` for as many digits as one likes, so that one text is the float64 reference and the exact one:

- `Case`: a network with its numbers; `random_case` draws one;
- `loss`, `gradient` (backpropagation by the chain rule), `central_difference` (the textbook loop);
- `exact_loss`, `exact_gradient`, `exact_central_difference`: the same in mpmath;
- `exact_difference`, `exact_loss_difference`: f(z + delta) − f(z) of one activation or loss, right to 60 digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from mpmath import mp

Number = Any
"""A float or an mpmath number; the formulas do not care."""

DIGITS = 60


def number(x, lib) -> Number:
    """Take a number over into the library's own type, exactly."""
    return lib.mpf(x) if lib is mp else float(x)


# Activations: f and its derivative, each of a number and the library to compute with.


class Activation(NamedTuple):
    """A scalar function, its derivative (relu′(0) = 0, as is the field's convention), and where its kinks are."""

    value: Callable[[Number, Any], Number]
    derivative: Callable[[Number, Any], Number]
    kinks: tuple[float, ...] = ()


def sigmoid(z, lib):
    """1 / (1 + exp(−z)), written so that exp never overflows."""
    if z >= 0:
        return 1 / (1 + lib.exp(-z))
    return lib.exp(z) / (1 + lib.exp(z))


def sigmoid_derivative(z, lib):
    return sigmoid(z, lib) * sigmoid(-z, lib)


def tanh_derivative(z, lib):
    """1 / cosh², as 4 σ(2z) σ(−2z)."""
    return 4 * sigmoid_derivative(2 * z, lib)


def softplus(z, lib):
    return max(z, 0) + lib.log1p(lib.exp(-abs(z)))


def normal_distribution(z, lib):
    """Φ(z), the standard normal distribution function."""
    return lib.erfc(-z / lib.sqrt(2)) / 2


def normal_density(z, lib):
    return lib.exp(-z * z / 2) / lib.sqrt(2 * lib.pi)


def gelu_tanh(z, lib):
    """z (1 + tanh u) / 2 with u = √(2/π) (z + 0.044715 z³); (1 + tanh u) / 2 is σ(2u)."""
    return z * sigmoid(2 * _gelu_argument(z, lib), lib)


def gelu_tanh_derivative(z, lib):
    u = _gelu_argument(z, lib)
    slope = lib.sqrt(2 / lib.pi) * (1 + 3 * 0.044715 * z * z)
    return sigmoid(2 * u, lib) + z * 2 * slope * sigmoid_derivative(2 * u, lib)


def _gelu_argument(z, lib):
    return lib.sqrt(2 / lib.pi) * (z + 0.044715 * z * z * z)


def mish(z, lib):
    return z * lib.tanh(softplus(z, lib))


def mish_derivative(z, lib):
    s = softplus(z, lib)
    return lib.tanh(s) + z * tanh_derivative(s, lib) * sigmoid(z, lib)


def leaky_relu(slope: float) -> Activation:
    """Make the leaky ReLU of a slope; PReLU is the same with a learned one."""
    return Activation(lambda z, lib: z if z > 0 else slope * z, lambda z, lib: 1 if z > 0 else slope, (0.0,))


def elu(alpha: float, scale: float = 1.0) -> Activation:
    """Make the ELU of an alpha; SELU is the same with its two constants."""
    return Activation(
        lambda z, lib: scale * z if z > 0 else scale * alpha * lib.expm1(z),
        lambda z, lib: scale if z > 0 else scale * alpha * lib.exp(z),
        (0.0,),
    )


def clipped(slope: float, shift: float, low: float, high: float) -> Activation:
    """Make the function slope·z + shift, held between low and high."""
    kinks = ((low - shift) / slope, (high - shift) / slope)
    return Activation(
        lambda z, lib: min(max(slope * z + shift, low), high),
        lambda z, lib: slope if low < slope * z + shift < high else 0,
        kinks,
    )


ACTIVATIONS = {
    "identity": Activation(lambda z, lib: z, lambda z, lib: 1),
    "sigmoid": Activation(sigmoid, sigmoid_derivative),
    "tanh": Activation(lambda z, lib: lib.tanh(z), tanh_derivative),
    "relu": leaky_relu(0.0),
    "leaky_relu": leaky_relu(0.01),
    "prelu": leaky_relu(0.25),
    "elu": elu(1.0),
    "selu": elu(1.6732632423543772848170429916717, 1.0507009873554804934193349852946),
    "relu6": clipped(1.0, 0.0, 0.0, 6.0),
    "softplus": Activation(softplus, sigmoid),
    "silu": Activation(lambda z, lib: z * sigmoid(z, lib), lambda z, lib: sigmoid(z, lib) + z * sigmoid_derivative(z, lib)),
    "gelu": Activation(
        lambda z, lib: z * normal_distribution(z, lib),
        lambda z, lib: normal_distribution(z, lib) + z * normal_density(z, lib),
    ),
    "gelu_tanh": Activation(gelu_tanh, gelu_tanh_derivative),
    "mish": Activation(mish, mish_derivative),
    "softsign": Activation(lambda z, lib: z / (1 + abs(z)), lambda z, lib: 1 / ((1 + abs(z)) * (1 + abs(z)))),
    "arctan": Activation(lambda z, lib: lib.atan(z), lambda z, lib: 1 / (1 + z * z)),
    "sin": Activation(lambda z, lib: lib.sin(z), lambda z, lib: lib.cos(z)),
    "hard_sigmoid": clipped(1 / 6, 0.5, 0.0, 1.0),
    "hard_tanh": clipped(1.0, 0.0, -1.0, 1.0),
    "exp": Activation(lambda z, lib: lib.exp(z), lambda z, lib: lib.exp(z)),
}

PARAMETRISED = {"leaky_relu": leaky_relu, "elu": elu, "hard_sigmoid": lambda slope: clipped(slope, 0.5, 0.0, 1.0)}


def activation(name: str) -> Activation:
    """Look an activation up, with its parameter where the name has one: "leaky_relu:0.2"."""
    base, colon, parameter = name.partition(":")
    return PARAMETRISED[base](float(parameter)) if colon else ACTIVATIONS[base]


# Losses of one sample: value and derivative for each output, of the outputs a (probabilities, where the loss is a
# cross-entropy) and the targets y.


class Loss(NamedTuple):
    """The loss of one sample, its derivatives for each output, and the output activation it usually follows."""

    value: Callable[[list, list, Any], Number]
    derivatives: Callable[[list, list, Any], list]
    output: str = "identity"


def over_outputs(term, derivative, output: str = "identity") -> Loss:
    """Make a loss that is a sum over outputs of term(a, y), with the derivative of one term for a."""
    return Loss(
        lambda a, y, lib: sum(term(ak, yk, lib) for ak, yk in zip(a, y, strict=True)),
        lambda a, y, lib: [derivative(ak, yk, lib) for ak, yk in zip(a, y, strict=True)],
        output,
    )


def times_log(weight, p, lib):
    """weight · log p, being 0 where the weight is 0 whatever p."""
    return weight * lib.log(p) if weight else 0


def log_cosh(e, lib):
    """log cosh e as |e| + log((1 + exp(−2|e|)) / 2), which does not overflow."""
    return abs(e) + lib.log1p(lib.exp(-2 * abs(e))) - lib.log(2)


def sign(x) -> int:
    return (x > 0) - (x < 0)


def hinge(power: int, margin: float = 1.0) -> Loss:
    """Make the multi-class hinge Σ_{j≠c} max(0, a_j − a_c + margin)^power; c is the place of the 1 in y.

    Of a single output it is max(0, margin − y·a)^power, y being −1 or 1.
    """

    def margins(a, y):
        if len(a) == 1:
            return [max(0, margin - y[0] * a[0])]
        return [0 if yk == 1 else max(0, ak - a[y.index(1)] + margin) for ak, yk in zip(a, y, strict=True)]

    def derivatives(a, y, lib):
        slopes = [power * h ** (power - 1) if h > 0 else 0 for h in margins(a, y)]
        if len(a) == 1:
            return [-y[0] * slopes[0]]
        slopes[y.index(1)] = -sum(slopes)
        return slopes

    return Loss(lambda a, y, lib: sum(h**power for h in margins(a, y)), derivatives)


def averaged(total: Loss) -> Loss:
    """Make the mean over outputs of a loss that is a sum over them."""
    return Loss(
        lambda a, y, lib: total.value(a, y, lib) / len(a),
        lambda a, y, lib: [d / len(a) for d in total.derivatives(a, y, lib)],
        total.output,
    )


def huber(delta: float) -> Loss:
    """Make the mean over outputs of Huber's ½e² up to delta, delta·(|e| − ½delta) beyond."""
    return averaged(
        over_outputs(
            lambda a, y, lib: (a - y) * (a - y) / 2 if abs(a - y) <= delta else delta * (abs(a - y) - number(delta, lib) / 2),
            lambda a, y, lib: max(-delta, min(delta, a - y)),
        )
    )


SQUARES = over_outputs(lambda a, y, lib: (a - y) * (a - y), lambda a, y, lib: 2 * (a - y))
HALF_SQUARES = over_outputs(lambda a, y, lib: (a - y) * (a - y) / 2, lambda a, y, lib: a - y)
ABSOLUTE = over_outputs(lambda a, y, lib: abs(a - y), lambda a, y, lib: sign(a - y))

LOSSES = {
    "softmax_crossentropy": over_outputs(
        lambda p, y, lib: -times_log(y, p, lib), lambda p, y, lib: -y / p if y else 0, "softmax"
    ),
    "binary_crossentropy": over_outputs(
        lambda p, y, lib: -times_log(y, p, lib) - times_log(1 - y, 1 - p, lib),
        lambda p, y, lib: (-y / p if y else 0) + ((1 - y) / (1 - p) if y != 1 else 0),
        "sigmoid",
    ),
    "squared_error": HALF_SQUARES,
    "sum_squared_error": SQUARES,
    "mse": averaged(SQUARES),
    "half_mse": averaged(HALF_SQUARES),
    "absolute_error": averaged(ABSOLUTE),
    "sum_absolute_error": ABSOLUTE,
    "huber": huber(1.0),
    "log_cosh": averaged(over_outputs(lambda a, y, lib: log_cosh(a - y, lib), lambda a, y, lib: lib.tanh(a - y))),
    "poisson": averaged(
        over_outputs(lambda a, y, lib: a - times_log(y, a, lib), lambda a, y, lib: 1 - y / a, "exp"),
    ),
    "kl_divergence": over_outputs(
        lambda p, y, lib: times_log(y, number(y, lib), lib) - times_log(y, p, lib),
        lambda p, y, lib: -y / p if y else 0,
        "softmax",
    ),
    "hinge": hinge(1),
    "squared_hinge": hinge(2),
}
PARAMETRISED_LOSSES = {"huber": huber, "hinge": lambda margin: hinge(1, margin), "squared_hinge": lambda m: hinge(2, m)}


def loss_of(name: str) -> Loss:
    """Look a loss up, with its parameter where the name has one: "huber:0.7"."""
    base, colon, parameter = name.partition(":")
    return PARAMETRISED_LOSSES[base](float(parameter)) if colon else LOSSES[base]


def loss_in(case) -> Loss:
    """Look up the loss of a case; a softmax cross-entropy of another output takes the softmax of that itself."""
    if case.loss != "softmax_crossentropy" or case.activations[-1] == "softmax":
        return loss_of(case.loss)
    return Loss(
        lambda a, y, lib: LOSSES[case.loss].value(softmax(a, lib), y, lib),
        lambda a, y, lib: [sum(y) * pk - yk for pk, yk in zip(softmax(a, lib), y, strict=True)],
    )


def softmax(z, lib):
    """exp(z_k) / Σ exp(z), with the largest z taken off first."""
    powers = [lib.exp(zk - max(z)) for zk in z]
    return [power / sum(powers) for power in powers]


# A network with its numbers, and what is computed of it.


@dataclass(frozen=True)
class Case:
    """A network with its numbers, in plain Python.

    theta holds W (n_out, n_in) row by row, then b, layer after layer; X is (samples, n_0), Y (samples, n_L).
    The loss of a sample stands as it is in `LOSSES`; the penalty ½·l2·Σ‖W‖² is added whatever the reduction.
    """

    widths: tuple[int, ...]
    activations: tuple[str, ...]
    loss: str
    theta: np.ndarray
    X: np.ndarray
    Y: np.ndarray
    reduction: str = "mean"
    l2: float = 0.0
    penalize_biases: bool = False
    biases: tuple[bool, ...] = ()

    def has_bias(self, layer: int) -> bool:
        """Whether a layer (from 0) has a bias; all have where nothing else is said."""
        return self.biases[layer] if self.biases else True


def unpack(case: Case, theta: Sequence[Number]) -> list[tuple[list[list[Number]], list[Number]]]:
    """Cut theta into (W, b) for each layer; b is full of zeros where the layer has none."""
    values = iter(theta)
    layers = []
    for layer, (n_in, n_out) in enumerate(pairwise(case.widths)):
        W = [[next(values) for _ in range(n_in)] for _ in range(n_out)]
        b = [next(values) if case.has_bias(layer) else 0 for _ in range(n_out)]
        layers.append((W, b))
    return layers


def activate(name: str, z: list[Number], lib) -> list[Number]:
    """Apply a layer's activation to the pre-activations of one sample."""
    if name == "softmax":
        return softmax(z, lib)
    return [activation(name).value(zi, lib) for zi in z]


def forward(case: Case, layers, x: Iterable[Number], lib):
    """Return all pre-activations and activations of one sample, unit by unit; the first activations are the input."""
    pre_activations, activations = [], [list(x)]
    for (W, b), name in zip(layers, case.activations, strict=True):
        below = activations[-1]
        z = [bi + sum(w * a for w, a in zip(row, below, strict=True)) for row, bi in zip(W, b, strict=True)]
        pre_activations.append(z)
        activations.append(activate(name, z, lib))
    return pre_activations, activations


def loss(case: Case, theta: Sequence[Number] | None = None, lib=math) -> Number:
    """Return the loss J(theta), penalty included, by a full forward pass of each sample."""
    layers = unpack(case, _numbers(case.theta if theta is None else theta, lib))
    total = number(0, lib)
    for x, y in zip(case.X, case.Y, strict=True):
        _, activations = forward(case, layers, _numbers(x, lib), lib)
        total += loss_in(case).value(activations[-1], _numbers(y, lib), lib)
    if case.reduction == "mean":
        total /= len(case.X)
    for W, b in layers:
        total += case.l2 / 2 * sum(w * w for row in W for w in row)
        if case.penalize_biases:
            total += case.l2 / 2 * sum(bi * bi for bi in b)
    return total


def gradient(case: Case, lib=math) -> np.ndarray:
    """Return dJ/dtheta by backpropagation: the chain rule sample by sample, with no shortcut at the output."""
    layers = unpack(case, _numbers(case.theta, lib))
    total = [[[case.l2 * w for w in row] for row in W] for W, _ in layers]
    total_b = [[case.l2 * bi if case.penalize_biases else 0 for bi in b] for _, b in layers]
    share = number(1, lib) / len(case.X) if case.reduction == "mean" else number(1, lib)
    for x, y in zip(case.X, case.Y, strict=True):
        z, a = forward(case, layers, _numbers(x, lib), lib)
        dA = [share * d for d in loss_in(case).derivatives(a[-1], _numbers(y, lib), lib)]
        for layer in reversed(range(len(layers))):
            dZ = _through_activation(case.activations[layer], z[layer], a[layer + 1], dA, lib)
            W, _ = layers[layer]
            for i, dz in enumerate(dZ):
                total_b[layer][i] += dz
                for j, below in enumerate(a[layer]):
                    total[layer][i][j] += dz * below
            dA = [sum(W[i][j] * dZ[i] for i in range(len(dZ))) for j in range(len(a[layer]))]
    flat: list[Number] = []
    for layer, (dW, db) in enumerate(zip(total, total_b, strict=True)):
        flat += [value for row in dW for value in row]
        flat += db if case.has_bias(layer) else []
    return np.array(flat, dtype=float if lib is math else object)


def _through_activation(name: str, z, a, dA, lib) -> list[Number]:
    """Return dJ/dz of one layer from dJ/da: times f′(z), or times the Jacobian p_i (δ_ik − p_k) of the softmax."""
    if name == "softmax":
        return [sum(dk * ak * ((k == i) - ai) for k, (dk, ak) in enumerate(zip(dA, a, strict=True))) for i, ai in enumerate(a)]
    return [d * activation(name).derivative(zi, lib) for d, zi in zip(dA, z, strict=True)]


def central_difference(case: Case, step: float, indices: Iterable[int] | None = None, lib=math) -> np.ndarray:
    """Return (J(theta + step e_k) − J(theta − step e_k)) / (2 step) by full forward passes: the textbook loop."""
    values = []
    for k in range(len(case.theta)) if indices is None else indices:
        theta = _numbers(case.theta, lib)
        centre, move = theta[k], number(step, lib)
        theta[k] = centre + move
        above = loss(case, theta, lib)
        theta[k] = centre - move
        values.append((above - loss(case, theta, lib)) / (2 * move))
    return np.array(values, dtype=float if lib is math else object)


def _numbers(values: Iterable[Number], lib) -> list[Number]:
    return [number(value, lib) for value in values]


# The same to as many digits as one likes.


def exact_loss(case: Case, digits: int = DIGITS) -> float:
    """Return the loss, computed in mpmath and rounded once."""
    with mp.workdps(digits):
        return float(loss(case, lib=mp))


def exact_gradient(case: Case, digits: int = DIGITS) -> np.ndarray:
    """Return the gradient, backpropagated in mpmath and rounded once."""
    with mp.workdps(digits):
        return gradient(case, lib=mp).astype(float)


def exact_central_difference(case: Case, step: float, indices: Iterable[int] | None = None, digits: int = DIGITS) -> np.ndarray:
    """Return the central difference of a step in mpmath, truncation included, rounded once.

    This is what a difference without rounding error gives; as the step goes to 1e-30 it becomes the gradient.
    """
    with mp.workdps(digits + _digits_lost(1.0, step)):
        return central_difference(case, step, indices, lib=mp).astype(float)


def exact_difference(name: str, z: float, delta: float, digits: int = DIGITS) -> Number:
    """Return f(z + delta) − f(z) of an activation as an mpmath number, right to `digits` digits.

    The plain subtraction, with as many more digits as it cancels, and as saturation (1 − tanh z = 2 exp(−2z)) hides.
    """
    if delta == 0:
        return mp.mpf(0)
    with mp.workdps(digits + _digits_lost(abs(z), delta) + _digits_hidden([z, z + delta])):
        f = activation(name).value
        difference = f(mp.mpf(z) + mp.mpf(delta), mp) - f(mp.mpf(z), mp)
    with mp.workdps(digits):
        return +difference


def exact_loss_difference(
    name: str,
    z: Sequence[float],
    delta: Sequence[float],
    y: Sequence[float],
    output: str | None = None,
    digits: int = DIGITS,
) -> Number:
    """Return L(z + delta) − L(z) of one sample's loss as an mpmath number, right to `digits` digits.

    z are the pre-activations of the output layer, whose activation is the one that the loss usually follows unless
    `output` says otherwise: logits of the cross-entropies, the outputs themselves of a squared error.
    """
    moves = [abs(d) for d in delta if d]
    if not moves:
        return mp.mpf(0)
    moved = [zk + dk for zk, dk in zip(z, delta, strict=True)]
    largest = max(map(abs, [*z, *y, *moves]))
    exponentials = output != "identity" or name not in {"poisson", "kl_divergence"}
    hidden = _digits_hidden([*z, *moved]) if exponentials else 0
    with mp.workdps(digits + _digits_lost(largest, min(moves)) + hidden):
        targets = _numbers(y, mp)
        before = _numbers(z, mp)
        after = [zk + mp.mpf(dk) for zk, dk in zip(before, delta, strict=True)]
        values = [loss_of(name).value(activate(output or loss_of(name).output, a, mp), targets, mp) for a in (after, before)]
        difference = values[0] - values[1]
    with mp.workdps(digits):
        return +difference


def _digits_lost(size: float, delta: float) -> int:
    """Digits that cancel when numbers of a size differ by delta; twice, for where the slope itself is zero."""
    return 2 * max(0, math.ceil(math.log10(max(size, 1.0)) - math.log10(abs(delta)))) + 5


def _digits_hidden(values: Sequence[float]) -> int:
    """Digits behind which a saturated exponential of the values, exp(−2|z|), hides; softmax sees sums of two."""
    return math.ceil(4 * max(map(abs, values)) / math.log(10)) + 5


# Random networks.

SMOOTH = ("identity", "sigmoid", "tanh")
FOUNDATION_ACTIVATIONS = (*SMOOTH, "relu")
FOUNDATION_LOSSES = ("binary_crossentropy", "softmax_crossentropy", "squared_error", "mse")


def random_case(
    seed: int,
    *,
    loss: str | None = None,
    widths: tuple[int, ...] | None = None,
    samples: int | None = None,
    activations: Sequence[str] = FOUNDATION_ACTIVATIONS,
    losses: Sequence[str] = FOUNDATION_LOSSES,
    scale: float = 1.0,
) -> Case:
    """Draw a network with its numbers; what is given is kept, the rest is drawn.

    Depth 1 to 4, widths 1 to 6, 1 to 8 samples; weights of standard deviation scale/√n_in, so that a scale of 1 leaves
    pre-activations of order 1. Hidden activations are drawn from `activations`, layer by layer; the output's is the one
    that the loss usually follows, or for a squared error any. Targets are what the loss is made for.
    """
    draw = np.random.default_rng(seed)
    name = loss or str(draw.choice(losses))
    if widths is None:
        widths = tuple(int(n) for n in draw.integers(1, 7, size=draw.integers(2, 6)))
    if LOSSES[name].output == "softmax":
        widths = (*widths[:-1], max(2, widths[-1]))
    m = samples or int(draw.integers(1, 9))
    output = LOSSES[name].output
    if name in {"squared_error", "mse"}:
        output = str(draw.choice(activations))
    hidden = tuple(str(a) for a in draw.choice(activations, size=len(widths) - 2))
    blocks = [
        block
        for n_in, n_out in pairwise(widths)
        for block in (draw.normal(0, scale / math.sqrt(n_in), n_in * n_out), draw.normal(0, 0.3 * scale, n_out))
    ]
    return Case(
        widths=widths,
        activations=(*hidden, output),
        loss=name,
        theta=np.concatenate(blocks),
        X=draw.normal(size=(m, widths[0])),
        Y=_random_targets(draw, name, m, widths[-1]),
        reduction=str(draw.choice(["mean", "sum"])),
        l2=float(draw.choice([0.0, 0.3])),
        penalize_biases=bool(draw.integers(2)),
    )


def _random_targets(draw: np.random.Generator, loss: str, m: int, outputs: int) -> np.ndarray:
    if loss == "binary_crossentropy":
        return draw.integers(0, 2, size=(m, outputs)).astype(float)
    if loss.endswith("hinge") and outputs == 1:
        return 2.0 * draw.integers(0, 2, size=(m, 1)) - 1.0
    if loss in {"softmax_crossentropy", "hinge", "squared_hinge"}:
        return np.eye(outputs)[draw.integers(0, outputs, size=m)]
    if loss == "kl_divergence":
        return draw.dirichlet(np.ones(outputs), size=m)
    if loss == "poisson":
        return draw.poisson(2.0, size=(m, outputs)).astype(float)
    return draw.normal(size=(m, outputs))
