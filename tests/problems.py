"""Random networks, wider and stranger than `reference.random_case` draws, what is exact about them, and Problems of them.

Every network is drawn from its seed alone. Weights are scaled layer by layer so that pre-activations have a size drawn
for the network, from 0.01 (all but linear) to 30 (saturated), whatever the inputs are: standard normals, pixels of 0 to
255 or numbers about 1e6.
"""

import math
import os
from dataclasses import replace
from functools import cache
from itertools import pairwise

import numba
import numpy as np
from mpmath import mp

from fastgrad.model.activations import ACTIVATION_CODES
from fastgrad.model.forward import growth
from fastgrad.model.losses import BY_NAME, OF_SOFTMAX, parse_loss
from fastgrad.model.network import Network, Problem, Tensor
from fastgrad.model.rounding import UNDERFLOW, rounding_scale

import reference

JIT = not numba.config.DISABLE_JIT
NETWORKS = int(os.environ.get("FASTGRAD_TEST_NETWORKS", "60" if JIT else "4"))
"""Random networks of a test; FASTGRAD_TEST_NETWORKS=1000 draws as many as the project's figures stand for."""
WIDEST, DEEPEST, MOST_SAMPLES = (40, 6, 50) if JIT else (4, 3, 3)
SMOOTH = ("identity", "sigmoid", "tanh", "softplus", "silu", "gelu", "gelu_tanh", "mish", "arctan", "sin")
ALL = (*ACTIVATION_CODES, "leaky_relu:0.2", "elu:1.5", "hard_sigmoid:0.2")
LOSSES = (*BY_NAME, "huber:0.3", "hinge:0.4", "squared_hinge:2")
POSITIVE = ("exp", "sigmoid", "softplus")
OUTPUTS = {
    "softmax_crossentropy": ("softmax",),
    "binary_crossentropy": ("sigmoid",),
    "poisson": ("exp", *POSITIVE),
    "kl_divergence": ("softmax", "softmax", *POSITIVE),
}
"""Output activations of the losses that do not go with any."""


@cache
def random_case(seed, activations=ALL, largest_scale=30.0, inputs=None, widths=None, samples=None):
    """Draw a reference.Case from a seed; what is given is kept."""
    draw = np.random.default_rng(seed)
    depth = int(draw.integers(1, DEEPEST + 1)) if widths is None else len(widths) - 1
    widths = widths or tuple(_up_to(draw, WIDEST) for _ in range(depth + 1))
    samples, scale = samples or _up_to(draw, MOST_SAMPLES), 10.0 ** draw.uniform(-2.0, math.log10(largest_scale))
    loss = str(draw.choice(LOSSES))
    names = [str(name) for name in draw.choice(activations, depth)]
    if loss in OUTPUTS:
        names[-1] = str(draw.choice(OUTPUTS[loss]))
    elif loss in OF_SOFTMAX and draw.random() < 0.3:
        names[-1] = "softmax"
    kind = inputs or str(draw.choice(["normal", "normal", "normal", "pixels", "large"]))
    X = draw.normal(size=(samples, widths[0])) * (1e6 if kind == "large" else 1.0)
    if kind == "pixels":
        X = draw.integers(0, 256, size=X.shape).astype(float)
    biases = tuple(bool(has) for has in draw.random(depth) < 0.8)
    theta, a = [], X
    for (n_in, n_out), name, has_bias in zip(pairwise(widths), names, biases, strict=True):
        W, b = draw.normal(size=(n_out, n_in)), 0.3 * draw.normal(size=n_out) * has_bias
        size = min(scale, 2.0) if name == "exp" else scale
        W *= size / max(float(np.sqrt(np.mean((a @ W.T) ** 2))), 1e-3 * float(np.abs(a).max()), 1e-3)
        theta += [W.ravel(), b * size] if has_bias else [W.ravel()]
        a = value(name, a @ W.T + b * size)
    return reference.Case(
        widths=widths,
        activations=tuple(names),
        loss=loss,
        theta=np.concatenate(theta),
        X=X,
        Y=_targets(draw, loss, samples, widths[-1]),
        reduction=str(draw.choice(["mean", "sum"])),
        l2=float(draw.choice([0.0, 0.0, 0.3])),
        penalize_biases=bool(draw.integers(2)),
        biases=biases,
    )


def _up_to(draw, most):
    """Draw a number from 1 to most, its logarithm evenly distributed."""
    return int(np.exp(draw.uniform(0.0, math.log(most + 1.0))))


def _targets(draw, loss, samples, outputs):
    if loss in {"softmax_crossentropy", "kl_divergence"}:
        sure, soft = np.eye(outputs)[draw.integers(0, outputs, samples)], draw.dirichlet(np.ones(outputs), samples)
        return soft if draw.random() < 0.3 else sure
    if loss == "binary_crossentropy":
        return draw.random((samples, outputs)) if draw.random() < 0.3 else np.round(draw.random((samples, outputs)))
    if "hinge" in loss:
        two = 2.0 * draw.integers(0, 2, (samples, 1)) - 1.0
        return two if outputs == 1 else np.eye(outputs)[draw.integers(0, outputs, samples)]
    if loss == "poisson":
        return draw.poisson(2.0, (samples, outputs)).astype(float)
    return draw.normal(size=(samples, outputs))


def exact_gradient(case):
    """The gradient by the reference in as many digits as its saturated probabilities hide, rounded once."""
    saturates = case.activations[-1] in {"softmax", "sigmoid"}
    logits = np.abs(plain_forward(case, np.float64)[0][-1]).max() if saturates else 0.0
    with mp.workdps(30 + math.ceil(2.0 * float(logits) / math.log(10.0))):
        return reference.gradient(case, lib=mp).astype(float)


@cache
def case_and_gradient(seed):
    """A random case and its exact gradient, once for all tests of a run."""
    case = random_case(seed)
    return case, exact_gradient(case)


def problem(case, claimed=None, precision="float64", transposed=False):
    """Build the Problem of a case; transposed tells how the user's W lie."""
    biases = tuple(case.has_bias(layer) for layer in range(len(case.widths) - 1))
    network = Network(
        widths=case.widths,
        activations=case.activations,
        loss=case.loss,
        reduction=case.reduction,
        biases=biases,
        l2=tuple(c for has_bias in biases for c in (case.l2, case.l2 * case.penalize_biases)[: 1 + has_bias]),
    )
    tensors = []
    for layer, (n_in, n_out) in enumerate(pairwise(case.widths)):
        W, b = network.weight_slice(layer), network.bias_slice(layer)
        shape = (n_in, n_out) if transposed else (n_out, n_in)
        name = f"W{layer + 1}"
        tensors.append(Tensor(name, layer, "W", W.start, W.stop, (n_out, n_in), shape, transposed, f"d{name}", precision))
        if network.biases[layer]:
            name = f"b{layer + 1}"
            tensors.append(Tensor(name, layer, "b", b.start, b.stop, (n_out,), (n_out,), False, f"d{name}", precision))
    return Problem(network, case.theta, case.X, case.Y, tuple(tensors), claimed, None)


# The usual backward pass as people write it with NumPy, in any precision.


def value(name, z):
    """f(z) by the textbook formula, in z's own precision."""
    base, _, parameter = name.partition(":")
    with np.errstate(all="ignore"):
        return _FORMULAS[base](z, float(parameter) if parameter else _PARAMETERS.get(base, 0.0))[0].astype(z.dtype)


def slope(name, z):
    """f′(z) by the textbook formula."""
    base, _, parameter = name.partition(":")
    with np.errstate(all="ignore"):
        return _FORMULAS[base](z, float(parameter) if parameter else _PARAMETERS.get(base, 0.0))[1].astype(z.dtype)


def _sigmoid(z):
    return 1 / (1 + np.exp(-z))


def _softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def _erf(z):
    return np.vectorize(math.erf, otypes=[float])(z).astype(z.dtype)


def _gelu_tanh(z):
    c = math.sqrt(2 / math.pi)
    t = np.tanh(c * (z + 0.044715 * z**3))
    return 0.5 * z * (1 + t), 0.5 * (1 + t) + 0.5 * z * (1 - t * t) * c * (1 + 3 * 0.044715 * z**2)


def _mish(z):
    t = np.tanh(np.logaddexp(np.zeros_like(z), z))
    return z * t, t + z * (1 - t * t) * _sigmoid(z)


def _elu(z, alpha, scale=1.0):
    right = z > 0
    return scale * np.where(right, z, alpha * (np.exp(z) - 1)), scale * np.where(right, 1, alpha * np.exp(z))


def _clipped(z, low, high, inside, shift):
    line = inside * z + shift
    return np.clip(line, low, high), inside * ((line > low) & (line < high))


_PARAMETERS = {"leaky_relu": 0.01, "elu": 1.0, "hard_sigmoid": 1 / 6}
_FORMULAS = {
    "identity": lambda z, p: (z, np.ones_like(z)),
    "softmax": lambda z, p: (_softmax(z), np.ones_like(z)),  # its Jacobian is in `output_slope`
    "sigmoid": lambda z, p: (_sigmoid(z), _sigmoid(z) * (1 - _sigmoid(z))),
    "tanh": lambda z, p: (np.tanh(z), 1 - np.tanh(z) ** 2),
    "relu": lambda z, p: (np.maximum(z, 0), (z > 0) * 1.0),
    "leaky_relu": lambda z, p: (np.where(z > 0, z, p * z), np.where(z > 0, 1, p)),
    "elu": _elu,
    "selu": lambda z, p: _elu(z, 1.6732632423543772, 1.0507009873554805),
    "relu6": lambda z, p: _clipped(z, 0, 6, 1.0, 0.0),
    "hard_tanh": lambda z, p: _clipped(z, -1, 1, 1.0, 0.0),
    "hard_sigmoid": lambda z, p: _clipped(z, 0, 1, p, 0.5),
    "softplus": lambda z, p: (np.log1p(np.exp(-abs(z))) + np.maximum(z, 0), _sigmoid(z)),
    "silu": lambda z, p: (z * _sigmoid(z), _sigmoid(z) * (1 + z * (1 - _sigmoid(z)))),
    "gelu": lambda z, p: (
        0.5 * z * (1 + _erf(z / math.sqrt(2))),
        0.5 * (1 + _erf(z / math.sqrt(2))) + z * np.exp(-z * z / 2) / math.sqrt(2 * math.pi),
    ),
    "gelu_tanh": lambda z, p: _gelu_tanh(z),
    "mish": lambda z, p: _mish(z),
    "softsign": lambda z, p: (z / (1 + abs(z)), 1 / (1 + abs(z)) ** 2),
    "arctan": lambda z, p: (np.arctan(z), 1 / (1 + z * z)),
    "sin": lambda z, p: (np.sin(z), np.cos(z)),
    "exp": lambda z, p: (np.exp(z), np.exp(z)),
}


def _parameters(case, dtype):
    theta, start = case.theta.astype(dtype), 0
    for layer, (n_in, n_out) in enumerate(pairwise(case.widths)):
        W = theta[start : start + n_out * n_in].reshape(n_out, n_in)
        start += n_out * n_in + n_out * case.has_bias(layer)
        yield W, theta[start - n_out : start] if case.has_bias(layer) else np.zeros(n_out, dtype)


def plain_forward(case, dtype, draw=None):
    """Return pre-activations and activations of all layers; the inner sums in an order drawn, where there is a draw."""
    z, a = [], [case.X.astype(dtype)]
    for (W, b), name in zip(_parameters(case, dtype), case.activations, strict=True):
        order = np.arange(W.shape[1]) if draw is None else draw.permutation(W.shape[1])
        z.append(a[-1][:, order] @ W[:, order].T + b)
        a.append(value(name, z[-1]))
    return z, a


def output_slope(case, z, a, Y):
    """∂L/∂z of the output layer, sample by sample, by the usual formulas."""
    loss, p = parse_loss(case.loss)
    if loss == "binary_crossentropy" and case.activations[-1] == "softmax":
        dA = (1 - Y) / (1 - a) - Y / a
        return a * (dA - (dA * a).sum(axis=1, keepdims=True))
    if loss == "softmax_crossentropy" and case.activations[-1] != "softmax":
        return (Y.sum(axis=1, keepdims=True) * _softmax(a) - Y) * slope(case.activations[-1], z)
    if loss == "binary_crossentropy" or (loss == "poisson" and case.activations[-1] == "exp"):
        return (a - Y) / (Y.shape[1] if loss == "poisson" else 1)
    if case.activations[-1] == "softmax" and loss not in _SLOPES:
        return Y.sum(axis=1, keepdims=True) * a - Y
    if loss == "kl_divergence":
        return -Y / a * slope(case.activations[-1], z)
    dA = _hinge_slope(a, Y, p, loss) if "hinge" in loss else _SLOPES[loss](a, Y, p)
    if case.activations[-1] == "softmax":
        return a * (dA - (dA * a).sum(axis=1, keepdims=True))
    return dA * slope(case.activations[-1], z)


def _hinge_slope(a, Y, margin, loss):
    if Y.shape[1] == 1:
        h = margin - Y * a
        return -Y * (h > 0) * (2.0 * h if loss == "squared_hinge" else 1.0)
    h = a - (a * Y).sum(axis=1, keepdims=True) + margin
    dA = (h > 0) * (1 - Y) * (2.0 * h if loss == "squared_hinge" else 1.0)
    return dA - Y * dA.sum(axis=1, keepdims=True)


_SLOPES = {
    "squared_error": lambda a, Y, p: a - Y,
    "sum_squared_error": lambda a, Y, p: 2.0 * (a - Y),
    "mse": lambda a, Y, p: 2.0 * (a - Y) / Y.shape[1],
    "half_mse": lambda a, Y, p: (a - Y) / Y.shape[1],
    "absolute_error": lambda a, Y, p: np.sign(a - Y) / Y.shape[1],
    "sum_absolute_error": lambda a, Y, p: np.sign(a - Y),
    "huber": lambda a, Y, p: np.clip(a - Y, -p, p) / Y.shape[1],
    "log_cosh": lambda a, Y, p: np.tanh(a - Y) / Y.shape[1],
    "poisson": lambda a, Y, p: (1.0 - Y / a) / Y.shape[1],
}


def plain_gradient(case, dtype, seed=0):
    """The backward pass as usually written: p − y at a cross-entropy's output, 1 − a² for tanh; sums in random order."""
    draw = np.random.default_rng(seed)
    z, a = plain_forward(case, dtype, draw)
    Y, m = case.Y.astype(dtype), len(case.X)
    with np.errstate(all="ignore"):
        dZ = output_slope(case, z[-1], a[-1], Y)
    dZ = (dZ / m if case.reduction == "mean" else dZ).astype(dtype)
    blocks = []
    for layer, (W, b) in reversed(list(enumerate(_parameters(case, dtype)))):
        rows, units = draw.permutation(m), draw.permutation(W.shape[0])
        dW, db = dZ[rows].T @ a[layer][rows], dZ[rows].sum(axis=0)
        l2 = dtype(case.l2)
        blocks.append(db + l2 * b * case.penalize_biases if case.has_bias(layer) else db[:0])
        blocks.append((dW + l2 * W).ravel())
        if layer:
            with np.errstate(all="ignore"):
                dZ = (dZ[:, units] @ W[units]) * slope(case.activations[layer - 1], z[layer - 1])
    return np.concatenate(blocks[::-1]).astype(np.float64)


def rounded(case, dtype):
    """The case with its numbers rounded to a precision, as somebody has it who works in that precision."""
    rounding = {name: getattr(case, name).astype(dtype).astype(np.float64) for name in ("theta", "X", "Y")}
    return replace(case, **rounding)


def roundoffs(problem, base, values, exact, unit_roundoff=2.0**-53):
    """Largest distance of a gradient from the exact one in units of rounding, u·R, and the name of the parameter."""
    scale, network = rounding_scale(problem, base), problem.network
    R = np.empty(network.size)
    for layer in range(network.depth):
        network.W(R, layer)[:] = scale.rows(layer, 0, network.widths[layer + 1])
        if network.biases[layer]:
            network.b(R, layer)[:] = scale.bias(layer)
    underflow = UNDERFLOW["float64" if unit_roundoff == 2.0**-53 else "float32"]
    R += growth(problem.samples) * np.abs(exact)
    distance = np.abs(values - exact) / (unit_roundoff * R + underflow)
    k = int(np.argmax(distance))
    return float(distance[k]), network.locate(k)


def relative_difference(a, n):
    """‖a − n‖ / (‖a‖ + ‖n‖), 0 where both are 0."""
    size = np.linalg.norm(a) + np.linalg.norm(n)
    return float(np.linalg.norm(a - n) / size) if size else 0.0
