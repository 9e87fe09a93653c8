"""The audit: some parameters of every check computed again, by plain forward passes that share no formula with the kernels.

Called by walk and by `directional`. A third implementation beside the propagated difference and the textbook kernel: it needs
no compilation, and a mistake that those two share through their activations or losses shows here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fastgrad.kernels import codes
from fastgrad.model.activations import parse_activation
from fastgrad.model.forward import UNIT_ROUNDOFF, BasePoint, growth
from fastgrad.model.network import Array, Network, Offsets, Problem
from fastgrad.model.product import product
from fastgrad.model.rounding import RoundingScale
from fastgrad.numerical import Numerical
from fastgrad.numerical.methods import METHODS
from fastgrad.report.parts import Audit, Disagreement

MOST, LEAST = 32, 8
"""Parameters drawn, as many as the time given allows."""
MOVE = 2.0**-16
"""Largest move of the perturbed pre-activation: near the cube root of u, where truncation and noise are of one size."""
LARGEST_MOVE = 2.0**-9
"""Move of a pre-activation further up beyond which two steps say little about truncation."""
SHRINK, ROUNDS = 2.0**-6, 4
"""A sample that crosses a kink, or moves too much, is repeated with a smaller step so often; then it sits on the kink."""
NOISE = 16.0
"""Multiple of the typical rounding error of the losses that their difference may be off: four losses of random error, errors
of sums that share terms add up, and among all checks of a lifetime some reach five times what is typical."""
LOST = math.exp(-700.0)
"""The smallest numbers, which kernels may take for zero."""
ROWS = 2**16
"""Rows, each a sample with one parameter changed, that pass through the network at a time."""
STORED_ROWS = 2**22
"""The same of a network that is read from disk for each of them."""
SECONDS_PER_VALUE, SECONDS_PER_PRODUCT = 1e-8, 3e-10
"""Rough times of an activation and of a multiply-add on one core, for the choice of how many parameters to draw."""
AUDIT_SHARE, LEAST_AUDIT = 1.0 / 16.0, 2e-3
"""Time of the audit: as a share of the numerical gradient's on one core, and in seconds at least."""

Bools = npt.NDArray[np.bool_]
Formula = Callable[[Array, float], Array]


def _sigmoid(z: Array) -> Array:
    result: Array = 1.0 / (1.0 + np.exp(-z))
    return result


def _softplus(z: Array) -> Array:
    return np.logaddexp(0.0, z)


def _gelu(z: Array) -> Array:
    return 0.5 * z * np.asarray(np.frompyfunc(math.erfc, 1, 1)(-z / math.sqrt(2.0)), dtype=np.float64)


def _exponential(z: Array, alpha: float, scale: float = 1.0) -> Array:
    return scale * np.where(z > 0.0, z, alpha * np.expm1(np.minimum(z, 0.0)))


def _gelu_tanh(z: Array) -> Array:
    return z * _sigmoid(math.sqrt(8.0 / math.pi) * (z + 0.044715 * z**3))


ACTIVATIONS: dict[str, Formula] = {
    "identity": lambda z, p: z,
    "sigmoid": lambda z, p: _sigmoid(z),
    "tanh": lambda z, p: np.tanh(z),
    "relu": lambda z, p: np.maximum(z, 0.0),
    "leaky_relu": lambda z, p: np.where(z > 0.0, z, p * z),
    "elu": _exponential,
    "selu": lambda z, p: _exponential(z, 1.6732632423543772, 1.0507009873554805),
    "relu6": lambda z, p: np.clip(z, 0.0, 6.0),
    "softplus": lambda z, p: _softplus(z),
    "silu": lambda z, p: z * _sigmoid(z),
    "gelu": lambda z, p: _gelu(z),
    "gelu_tanh": lambda z, p: _gelu_tanh(z),
    "mish": lambda z, p: z * np.tanh(_softplus(z)),
    "softsign": lambda z, p: z / (1.0 + np.abs(z)),
    "arctan": lambda z, p: np.arctan(z),
    "sin": lambda z, p: np.sin(z),
    "hard_sigmoid": lambda z, p: np.clip(p * z + 0.5, 0.0, 1.0),
    "hard_tanh": lambda z, p: np.clip(z, -1.0, 1.0),
    "exp": lambda z, p: np.exp(z),
    "softmax": lambda z, p: np.exp(z - np.logaddexp.reduce(z, axis=-1, keepdims=True)),
}
"""f(z) by a usual formula that does not cancel; p is the activation's parameter."""

KINKS: dict[str, Callable[[float], tuple[float, ...]]] = {
    **dict.fromkeys(("relu", "leaky_relu", "elu", "selu", "softsign"), lambda p: (0.0,)),
    "relu6": lambda p: (0.0, 6.0),
    "hard_tanh": lambda p: (-1.0, 1.0),
    "hard_sigmoid": lambda p: (-0.5 / p, 0.5 / p),
}
"""Where f, or a derivative of it, jumps."""


class Terms(NamedTuple):
    """Losses of outputs, or of rows of them, and the size of what each is the sum of: its rounding goes by that."""

    loss: Array
    size: Array


LossFormula = Callable[[Array, Array, float], Terms]


def _log_of_softmax(a: Array, y: Array, p: float) -> Terms:
    mass = np.logaddexp.reduce(a, axis=-1, keepdims=True)
    return Terms(y * (mass - a), np.abs(y) * (np.abs(mass) + np.abs(a)))


def _log_of_sigmoid(a: Array, y: Array, p: float) -> Terms:
    loss = np.where(a > 0.0, a * (1.0 - y), -a * y) + np.log1p(np.exp(-np.abs(a)))
    return Terms(loss, np.abs(loss) + np.abs(a * y))


def _logs_of_softmax(a: Array, y: Array, p: float) -> Terms:
    """Return −y·log p − (1 − y)·log(1 − p) of probabilities p = softmax(a), 1 − p being the sum of the others."""
    mass = np.logaddexp.reduce(a, axis=-1, keepdims=True)
    without = (np.delete(a, k, axis=-1) for k in range(a.shape[-1]))
    others = np.stack([np.logaddexp.reduce(rest, axis=-1) for rest in without], axis=-1)
    loss = y * (mass - a) + np.where(y == 1.0, 0.0, (1.0 - y) * (mass - others))
    return Terms(loss, np.abs(y) * (np.abs(mass) + np.abs(a)) + np.abs(1.0 - y) * (np.abs(mass) + np.abs(others)))


def _plain(formula: Callable[[Array, Array, float], Array]) -> LossFormula:
    """Make a loss of a formula that is a product or a choice, and so rounds relative to its value."""

    def terms(a: Array, y: Array, p: float) -> Terms:
        loss = formula(a, y, p)
        return Terms(loss, np.abs(loss))

    return terms


def _huber(a: Array, y: Array, p: float) -> Array:
    d = np.abs(a - y)
    return np.where(d < p, 0.5 * d * d, p * (d - 0.5 * p))


def _log_cosh(a: Array, y: Array, p: float) -> Terms:
    d = np.abs(a - y)
    return Terms(d + np.log1p(np.exp(-2.0 * d)) - math.log(2.0), d + 1.0)


def _poisson(a: Array, y: Array, p: float) -> Terms:
    return Terms(a - y * np.log(a), np.abs(a) + np.abs(y) * (1.0 + np.abs(np.log(a))))


def _divergence(a: Array, y: Array, p: float) -> Terms:
    logs = np.log(np.where(y > 0.0, y, 1.0)), np.log(np.where(y > 0.0, a, 1.0))
    return Terms(y * (logs[0] - logs[1]), y * (1.0 + np.abs(logs[0]) + np.abs(logs[1])))


def _margins(a: Array, y: Array, p: float) -> Array:
    """Return p − y·a of a single output; of several p + a_j − a_c, below 0 at the target c itself."""
    if a.shape[-1] == 1:
        return p - y * a
    return np.where(y > 0.0, -1.0, p + a - (a * y).sum(axis=-1, keepdims=True))


def _hinge(power: int) -> LossFormula:
    def terms(a: Array, y: Array, p: float) -> Terms:
        loss = np.maximum(_margins(a, y, p), 0.0)
        return Terms(loss**power, loss ** (power - 1) * (p + np.abs(a) + np.abs(a * y).sum(axis=-1, keepdims=True)))

    return terms


LOSSES: dict[str, LossFormula] = {
    "softmax_crossentropy": _log_of_softmax,
    "binary_crossentropy": _log_of_sigmoid,
    **dict.fromkeys(("squared_error", "half_mse"), _plain(lambda a, y, p: 0.5 * (a - y) ** 2)),
    **dict.fromkeys(("sum_squared_error", "mse"), _plain(lambda a, y, p: (a - y) ** 2)),
    **dict.fromkeys(("absolute_error", "sum_absolute_error"), _plain(lambda a, y, p: np.abs(a - y))),
    "huber": _plain(_huber),
    "log_cosh": _log_cosh,
    "poisson": _poisson,
    "kl_divergence": _divergence,
    "hinge": _hinge(1),
    "squared_hinge": _hinge(2),
}
"""What each output, or logit where the loss has its activation in it, adds to a sample's loss, arrays of (…, n_L)."""

OF_LOGITS: dict[tuple[str, str], LossFormula] = {
    ("softmax_crossentropy", "softmax"): _log_of_softmax,
    ("binary_crossentropy", "sigmoid"): _log_of_sigmoid,
    ("binary_crossentropy", "softmax"): _logs_of_softmax,
}
"""Losses that contain the output activation with which they come."""

OVER_OUTPUTS = frozenset({"mse", "half_mse", "absolute_error", "huber", "log_cosh", "poisson"})
"""Losses that are means over the outputs."""

LOSS_PARAMETERS = dict.fromkeys(("huber", "hinge", "squared_hinge"), 1.0)
"""Parameters that losses have where none is given."""

LOSS_KINKS: dict[str, Callable[[Array, Array, float], Array]] = {
    **dict.fromkeys(("absolute_error", "sum_absolute_error"), lambda a, y, p: a - y),
    "huber": lambda a, y, p: np.abs(a - y) - p,
    **dict.fromkeys(("hinge", "squared_hinge"), _margins),
}
"""What is 0 on a kink of the loss, or of its slope."""


def _loss_name(network: Network) -> tuple[str, float]:
    name, _, number = network.loss.partition(":")
    return name, float(number) if number else LOSS_PARAMETERS.get(name, 0.0)


def _loss(problem: Problem, a: Array, sample: slice | Offsets) -> Terms:
    """Return the share of J that some samples have, with the size of its terms."""
    name, p = _loss_name(problem.network)
    formula = OF_LOGITS.get((name, problem.network.activations[-1]), LOSSES[name])
    loss, size = formula(a, problem.Y[sample], p)
    weights = _weights(problem)[sample] / (a.shape[-1] if name in OVER_OUTPUTS else 1)
    return Terms((weights * loss).sum(axis=-1), (np.abs(weights) * size).sum(axis=-1))


def _weights(problem: Problem) -> Array:
    """Return what multiplies the loss of each output of each sample, the loss's own constants left out, shape (m, n_L)."""
    return problem.factors / problem.network.loss_constant


class _Layer(NamedTuple):
    """One layer of the plain forward pass: its numbers, f, f's kinks, its dropout, and what goes in, z and a of all samples."""

    W: Array
    b: Array
    formula: Callable[[Array], Array]
    kinks: tuple[float, ...]
    mask: Array | None
    below: Array
    z: Array
    a: Array


class _Rows(NamedTuple):
    """Rows to evaluate: which of a layer's drawn parameters is changed in which sample, shape (R,)."""

    parameter: Offsets
    sample: Offsets


class _Changed(NamedTuple):
    """Losses of rows at +h, −h, +h/2 and −h/2, shape (4, R), and whether a row went over a kink or moved too much."""

    losses: Array
    far: Bools


class _Gradients(NamedTuple):
    """For each parameter D(h/2), what truncation may be, noise over u, and whether no sample sat on a kink."""

    narrow: Array
    truncation: Array
    noise: Array
    settled: Bools


def audit_in_time(problem: Problem, exact: Numerical, seed: int) -> Audit:
    """Audit in a small share of the time that the gradient is counted to take on one core, whatever this machine has."""
    share = 1.0 if exact.selected is None else exact.selected.size / problem.network.size
    seconds = METHODS[exact.method].count(problem, share).seconds_on(1)
    return audit(problem, exact, seed, max(LEAST_AUDIT, AUDIT_SHARE * seconds))


def audit(problem: Problem, numerical: Numerical, seed: int, seconds: float) -> Audit:
    """Compute some checked parameters' gradients again and compare.

    Parameters
    ----------
    problem : Problem
        The network.
    numerical : Numerical
        The gradient to audit, made without a fixed step.
    seed : int
        Seed of the draw.
    seconds : float
        Time that the plain passes should take, roughly; at least `LEAST` parameters are drawn whatever that takes.

    Returns
    -------
    Audit
        How many were compared and which disagree.

    Notes
    -----
    With D(h) = (J(θ+h) − J(θ−h))/2h, the plain value is D(h/2), its truncation a third of D(h) − D(h/2), for which the
    whole is allowed, and its noise u·e/h where e is the rounding error of J in units of u; what forward passes round below
    the parameter, alike in both losses, is in the rounding scale u·R of its gradient. J being a sum over samples, each
    sample may have a step of its own: one that goes over a kink takes a smaller one. Where samples sit on a kink the
    parameter is set aside.
    """
    drawn = _draw(problem, numerical.selected, _count(problem, seconds), seed)
    with np.errstate(all="ignore"):
        layers = _forward(problem)
        parts = [_evaluate(problem, numerical.base, layers, layer, drawn) for layer in range(problem.network.depth)]
        plain = _Gradients(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
        return _compare(problem, numerical, drawn, plain, seed)


def _compare(problem: Problem, numerical: Numerical, drawn: Offsets, plain: _Gradients, seed: int) -> Audit:
    """Hold plain values against the numerical ones or, on a kink, against their range."""
    penalty, rounding = _penalty(problem, drawn)
    found = plain.narrow + penalty
    values = numerical.values[drawn]
    nearest = values
    if numerical.lower is not None and numerical.upper is not None:
        nearest = np.clip(found, np.fmin(numerical.lower[drawn], values), np.fmax(numerical.upper[drawn], values))
    u = UNIT_ROUNDOFF["float64"]
    rounding += _rounding(problem, numerical.scale, drawn) + growth(problem.samples) * np.abs(found)
    bound = plain.truncation + NOISE * u * (plain.noise + rounding)
    compared = plain.settled & np.isfinite(found) & np.isfinite(bound)
    # Written so that a value that is no number disagrees.
    off = compared & ~(np.abs(found - nearest) <= bound)
    disagreements = tuple(_disagreement(problem, int(drawn[k]), float(values[k]), float(found[k])) for k in np.flatnonzero(off))
    return Audit(int(compared.sum()), int(drawn.size - compared.sum()), seed, disagreements)


def _rounding(problem: Problem, scale: RoundingScale, drawn: Offsets) -> Array:
    """Return R of the drawn parameters."""
    result = np.empty(drawn.size)
    for tensor in problem.tensors:
        here = (drawn >= tensor.start) & (drawn < tensor.stop)
        local = drawn[here] - tensor.start
        if tensor.kind == "b":
            result[here] = scale.bias(tensor.layer)[local]
        else:
            result[here] = scale.entries(tensor.layer, *np.divmod(local, tensor.canonical_shape[1]))
    return result


def _disagreement(problem: Problem, place: int, value: float, plain: float) -> Disagreement:
    tensor = next(tensor for tensor in problem.tensors if tensor.start <= place < tensor.stop)
    return Disagreement(tensor.name, tensor.user_index(place - tensor.start), value, plain)


def _count(problem: Problem, seconds: float) -> int:
    """Return how many parameters to draw in a time, each being four passes through the layers above its own."""
    widths = problem.network.widths
    products = sum(n_in * n_out for n_in, n_out in pairwise(widths[1:]))
    each = 4.0 * problem.samples * (SECONDS_PER_PRODUCT * products + SECONDS_PER_VALUE * sum(widths[1:]))
    return int(max(LEAST, min(MOST, seconds / each)))


def _draw(problem: Problem, selected: Offsets | None, count: int, seed: int) -> Offsets:
    """Draw so many of the checked parameters, evenly over the tensors; ascending."""
    rng = np.random.default_rng((seed, MOST))
    ranks = rng.permutation(len(problem.tensors))
    drawn = []
    for rank, tensor in zip(ranks, problem.tensors, strict=True):
        first, last = tensor.start, tensor.stop
        if selected is not None:
            first, last = (int(k) for k in np.searchsorted(selected, (first, last)))
        share = count // ranks.size + (rank < count % ranks.size)
        drawn.append(first + rng.choice(last - first, min(share, last - first), replace=False))
    places = np.sort(np.concatenate(drawn)).astype(np.int64)
    return places if selected is None else selected[places]


def losses_along(problem: Problem, base: BasePoint, pushed: Callable[[int, Array], Array]) -> tuple[Array, Array]:
    """Return each sample's share of J, penalty left out, and its rounding error over u, shape (m,) each.

    pushed(layer, a) is what is added to the pre-activations of a layer, a being its inputs, shape (m, n_in).
    """
    layers = _forward(problem, pushed)
    return _loss(problem, layers[-1].a, slice(None)).loss, _loss_errors(problem, base, layers[-1])


def _forward(problem: Problem, pushed: Callable[[int, Array], Array] | None = None) -> list[_Layer]:
    """Run the plain forward pass; the input stands in the first layer as what is below."""
    network = problem.network
    dropped = problem.mask(0)
    a = problem.X if dropped is None else problem.X * dropped
    layers = []
    for layer, text in enumerate(network.activations):
        name, p = parse_activation(text)
        if layer == network.depth - 1 and (_loss_name(network)[0], name) in OF_LOGITS:
            name = "identity"
        W, b, below = network.W(problem.theta, layer), network.b(problem.theta, layer), a
        z = product(below, W.T)
        if b.size:
            z += b
        if pushed is not None:
            z += pushed(layer, below)
        mask, formula = problem.mask(layer + 1), _with_parameter(ACTIVATIONS[name], p)
        a = formula(z) if mask is None else formula(z) * mask
        layers.append(_Layer(W, b, formula, KINKS[name](p) if name in KINKS else (), mask, below, z, a))
    return layers


def _with_parameter(formula: Formula, p: float) -> Callable[[Array], Array]:
    return lambda z: formula(z, p)


def _evaluate(problem: Problem, base: BasePoint, layers: list[_Layer], layer: int, drawn: Offsets) -> _Gradients:
    """Return plain gradients of the drawn parameters of one layer, the penalty left out."""
    network, samples = problem.network, problem.samples
    start, n_in, n_out = int(network.weight_offsets[layer]), network.widths[layer], network.widths[layer + 1]
    local = drawn[(drawn >= start) & (drawn < start + n_out * n_in + network.biases[layer] * n_out)] - start
    is_bias = local >= n_in * n_out
    unit = np.where(is_bias, local - n_in * n_out, local // n_in)
    inputs = np.where(is_bias[:, None], 1.0, layers[layer].below[:, np.where(is_bias, 0, local % n_in)].T)
    largest = np.abs(inputs).max(axis=1)
    step = MOVE / np.where(largest > 0.0, largest, 1.0)
    narrow, truncation, noise = np.zeros((3, local.size))
    result = _Gradients(narrow, truncation, noise, np.ones(local.size, dtype=np.bool_))
    errors = _loss_errors(problem, base, layers[-1])
    length = max(1, (STORED_ROWS if problem.is_stored else ROWS) // max(network.widths[layer + 1 :]) // samples)
    for low in range(0, local.size, length):
        parameter, sample = (grid.ravel() for grid in np.indices((min(length, local.size - low), samples)))
        rows = _Rows(parameter + low, sample)
        for repeat in range(ROUNDS):
            if rows.parameter.size == 0:
                break
            h = step * SHRINK**repeat
            shift = h[rows.parameter] * inputs[rows.parameter, rows.sample]
            changed = _pass(problem, layers, layer, unit[rows.parameter], rows.sample, shift)
            _add(result, rows, h, changed, errors)
            rows = _Rows(rows.parameter[changed.far], rows.sample[changed.far])
        result.settled[rows.parameter] = False
    return result


def _add(result: _Gradients, rows: _Rows, step: Array, changed: _Changed, errors: Array) -> None:
    """Add the shares of those samples that stayed near enough."""
    near = ~changed.far
    parameter, sample = rows.parameter[near], rows.sample[near]
    forward, backward, half_forward, half_backward = changed.losses[:, near]
    h = step[parameter]
    wide, narrow = (forward - backward) / (2.0 * h), (half_forward - half_backward) / h
    for total, share in (
        (result.narrow, narrow),
        (result.truncation, np.abs(wide - narrow) + LOST / h),
        (result.noise, errors[sample] / h),
    ):
        total += np.bincount(parameter, share, total.size)


def _pass(problem: Problem, layers: list[_Layer], layer: int, unit: Offsets, sample: Offsets, shift: Array) -> _Changed:
    """Make four passes through a layer and those above it, one pre-activation of each row being shifted."""
    moves = np.multiply.outer(np.array([1.0, -1.0, 0.5, -0.5]), shift)
    here, above = layers[layer], layers[layer + 1 :]
    column = here.z[sample, unit] + moves
    kept = None if here.mask is None else here.mask[sample, unit]
    far = _is_far(here.kinks, column[:2, :, None], None if kept is None else kept[:, None])
    if above:
        # Below the output a unit's activation depends on its own z alone: of the sums above, one term is another.
        moved = here.formula(column) * (1.0 if kept is None else kept) - here.a[sample, unit]
        z = above[0].z[sample] + moved[..., None] * _columns(above[0].W, unit)
        far |= _is_far(above[0].kinks, z[:2], None if above[0].mask is None else above[0].mask[sample])
        a = _activated(above[0], z, sample)
    else:
        z = np.repeat(here.z[None, sample], 4, axis=0)
        z[:, np.arange(sample.size), unit] = column
        a = here.formula(z)
    for one in above[1:]:
        z = a @ one.W.T
        if one.b.size:
            z += one.b
        far |= _is_far(one.kinks, z[:2], None if one.mask is None else one.mask[sample])
        a = _activated(one, z, sample)
    name, p = _loss_name(problem.network)
    if name in LOSS_KINKS:
        sides = np.sign(LOSS_KINKS[name](a[:2], problem.Y[sample], p))
        far |= (sides[0] != sides[1]).any(axis=-1)
    return _Changed(_loss(problem, a, sample).loss, far)


def _activated(layer: _Layer, z: Array, sample: Offsets) -> Array:
    """Return a layer's activations of rows with these pre-activations."""
    a = layer.formula(z)
    return a if layer.mask is None else a * layer.mask[sample]


def _columns(W: Array, unit: Offsets) -> Array:
    """Return the column of W of each row's unit, shape (R, n_out); rows that follow each other share theirs."""
    units, place = np.unique(unit, return_inverse=True)
    return np.ascontiguousarray(W[:, units].T)[place.reshape(-1)]


def _is_far(kinks: tuple[float, ...], z: Array, mask: Array | None) -> Bools:
    """Tell which rows have a pre-activation, of those that are not dropped, on two sides of a kink or moved too much."""
    forward, backward = z
    away = np.abs(forward - backward) > LARGEST_MOVE
    for kink in kinks:
        away = away | ((forward > kink) != (backward > kink)) | ((forward < kink) != (backward < kink))
    result: Bools = (away if mask is None else away & (mask != 0.0)).any(axis=-1)
    return result


def _loss_errors(problem: Problem, base: BasePoint, output: _Layer) -> Array:
    """Return the rounding error of each sample's share of J over u, that of its outputs and of the loss's own terms; (m,)."""
    size = _loss(problem, output.a, slice(None)).size
    moved = np.abs(base.tables.outputs[codes.LOSS_SLOPE]) * base.a_error[-1]
    errors: Array = moved.sum(axis=1) + growth(output.a.shape[1]) * size
    return errors


def _penalty(problem: Problem, drawn: Offsets) -> tuple[Array, Array]:
    """Return textbook differences of the penalty with steps of w/2, exact for squares, and their rounding over u."""
    value, size = np.zeros(drawn.size), np.zeros(drawn.size)
    for place, l2, l1 in problem.network.penalties:
        k = np.flatnonzero((drawn >= place.start) & (drawn < place.stop) & (problem.theta[drawn] != 0.0))
        w = problem.theta[drawn[k]]
        above, below = (0.5 * l2 * v * v + l1 * np.abs(v) for v in (1.5 * w, 0.5 * w))
        value[k], size[k] = (above - below) / w, l2 * np.abs(w) + l1
    return value, size
