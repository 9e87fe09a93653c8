"""The backward pass with one named mistake at one place of its flow: the output's ∂J/∂z, a derivative f′, a way down.

`search` tries these where the wrong layers begin, `plants` plants them. Each yields the flow that it gives, computed;
a mistake that changes nothing at this point yields nothing. They come in families, whose flows lie side by side: a deep
network has as many mistakes of the kind "another layer's" at each layer as it has layers, and they are tried at once.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np

from fastgrad.diagnosis.ground import Flow, Ground, Truth, batches, side_by_side, tabulated
from fastgrad.kernels import codes
from fastgrad.model.activations import ACTIVATION_CODES, parse_activation
from fastgrad.model.forward import base_point
from fastgrad.model.losses import LOGIT_OUTPUT, OF_A_DIFFERENCE
from fastgrad.model.network import Array
from fastgrad.model.product import least_squares

LEAST_CHANGE = 1e-6
"""What a mistake must change, beside the largest number: far above rounding."""

Other = Hashable | None


@dataclass(frozen=True)
class Cause:
    """One mistake at one place.

    Attributes
    ----------
    code : str
        Which one, from the table in `codes`.
    layer : int
        Where, from 0.
    kind : {"W", "b", "Z"}
        In dW, in db, or in the flow ∂J/∂z, which takes all layers below with it.
    factor : float or None
        The constant of a factor.
    other : int, float, str, Edit or None
        What else tells it apart: another layer (from 0), an example, an activation, a learning rate, an edit.
    cost : float
        How unusual it is; of explanations that fit alike the usual one comes first.
    """

    code: str
    layer: int
    kind: str
    factor: float | None = None
    other: Other = None
    cost: float = 1.0

    @property
    def key(self) -> tuple[object, ...]:
        """What two places share that have the same mistake."""
        factor = None if self.factor is None else float(f"{self.factor:.9g}")
        return self.code.removesuffix(".whole"), self.kind == "Z", factor, self.other

    @property
    def kin(self) -> tuple[object, ...]:
        """What two places share that have one mistake of the code in them: a penalty's value is another number in each."""
        return (self.code,) if self.code == "penalty.value" else self.key


Step = tuple[Cause, Flow]


class Family(NamedTuple):
    """Mistakes on the way into one layer, their flows as that of one wide layer, and which of them change anything."""

    causes: list[Cause]
    flows: Flow
    changes: Truth

    def flow(self, index: int) -> Flow:
        """Return the flow of one of them."""
        width = self.flows.delta.shape[1] // len(self.causes)
        return self.flows.columns(slice(index * width, (index + 1) * width))


def flow_families(ground: Ground, layer: int, above: Flow | None, right: Flow) -> Iterator[Family]:
    """Yield every mistake on the way into ∂J/∂z of a layer, given the flow of the layer above (None at the output)."""
    steps = [*_slope_mistakes(ground, layer, right)]
    steps += _output_mistakes(ground, right) if above is None else _way_mistakes(ground, layer, above, right)
    for some in batches(steps, right.delta.size):
        flows = side_by_side([flow for _, flow in some])
        yield Family([cause for cause, _ in some], flows, np.ones(len(some), dtype=bool))
    for causes, flows in _of_other_layers(ground, layer, above, right):
        if not causes:
            continue
        off = np.abs(flows.delta.reshape(ground.samples, len(causes), -1) - right.delta[:, None]).max(axis=(0, 2), initial=0.0)
        yield Family(causes, flows, off > LEAST_CHANGE * np.abs(right.delta).max(initial=0.0))


def right_flow(ground: Ground, layer: int, above: Flow | None) -> Flow:
    """Return the flow of a layer with no mistake between it and the flow above."""
    if above is None:
        return ground.right[layer]
    if above is ground.right[layer + 1]:
        return ground.right[layer]
    return replace(_down(ground, layer, *ground.sent(above, ground.W(layer + 1))), recovered=above.recovered)


def _down(ground: Ground, layer: int, arrived: Array, arrived_error: Array) -> Flow:
    """Return ∂J/∂z of what arrived at a layer, or of several such side by side."""
    slope, error = ground.plane(codes.SLOPE, layer), ground.numerical.base.slope_error[layer]
    count = arrived.shape[1] // slope.shape[1]
    return ground.through(arrived, arrived_error, np.tile(slope, count), np.tile(error, count))


def _differs(values: Array, right: Array, least: float = LEAST_CHANGE) -> bool:
    """Whether a mistake changes anything, far above rounding."""
    return bool((np.abs(values - right) > least * np.abs(right).max(initial=0.0)).any())


# The derivative.


def _slope_mistakes(ground: Ground, layer: int, right: Flow) -> Iterator[Step]:
    base, network = ground.numerical.base, ground.problem.network
    z, mask, slope = (ground.plane(plane, layer) for plane in (codes.Z, codes.SCALE, codes.SLOPE))
    code, parameter = network.activation_codes[layer], network.activation_parameters[layer]
    if layer + 1 == network.depth and network.from_logits:
        return
    name = parse_activation(network.activations[layer])[0]
    step = 1e-6 * (1.0 + np.abs(z))
    at, right_of, left_of = (_Point.of(code, parameter, place) for place in (z, z + step, z - step))
    for mistake, other, formula, cost in _formulas(ground, name, code, parameter):
        wrong = formula(at)
        if not np.isfinite(wrong).all() or not _differs(wrong * mask, slope):
            continue
        with np.errstate(all="ignore"):
            growing = np.nan_to_num(np.abs(formula(right_of) - formula(left_of)) / (2.0 * step), posinf=0.0)
        # Across a jump a quotient says nothing: rounding that moves z by 1e-16 does not reach it.
        growing[growing * step > 0.01] = 0.0
        error = mask * (growing * base.z_error[layer] + 4.0 * (1.0 + np.abs(wrong)))
        yield Cause(mistake, layer, "Z", other=other, cost=cost), _with_slope(ground, right, wrong * mask, error)
    for mistake, wrong in _mask_mistakes(ground, layer, slope, mask, code, parameter, z):
        if _differs(wrong, slope):
            yield Cause(mistake, layer, "Z"), _with_slope(ground, right, wrong, 4.0 * np.abs(wrong) + base.slope_error[layer])


def _with_slope(ground: Ground, right: Flow, slope: Array, error: Array) -> Flow:
    return ground.through(right.arrived, right.arrived_error, slope, error)


class _Point(NamedTuple):
    """z, f(z) and f′(z)."""

    z: Array
    value: Array
    slope: Array

    @classmethod
    def of(cls, code: int, parameter: float, z: Array) -> _Point:
        return cls(z, *tabulated(code, parameter, z)[:2])


Formula = Callable[[_Point], Array]


def _formulas(ground: Ground, name: str, code: int, parameter: float) -> Iterator[tuple[str, Other, Formula, float]]:
    """Yield the wrong formulas for f′."""
    yield "slope.missing", None, lambda at: np.ones_like(at.z), 1.0
    yield "slope.twice", None, lambda at: np.square(at.slope), 1.05
    yield "slope.at_value", None, lambda at: tabulated(code, parameter, at.value)[1], 1.0
    for form, of_both in {**_COPIED_FORMS, **_WRONG_FORMS.get(name, {})}.items():
        yield "slope.form", form, partial(_applied, of_both), 1.02
    kin = {"gelu": "gelu_tanh", "gelu_tanh": "gelu"}  # two formulas of one name
    others = [(kin[name], 0.0)] if name in kin else []
    others += [*(parse_activation(text) for text in ground.problem.network.activations[:-1]), ("relu", 0.0), ("sigmoid", 0.0)]
    for other, p in dict.fromkeys([*others, ("tanh", 0.0)]):
        if (other, p) != (name, parameter) and other in ACTIVATION_CODES and other != "identity":
            yield "slope.other_activation", other, partial(_slope_of, ACTIVATION_CODES[other], p), 1.03


def _applied(formula: Callable[[Array, Array], Array], at: _Point) -> Array:
    return formula(at.z, at.value)


def _slope_of(code: int, parameter: float, at: _Point) -> Array:
    return tabulated(code, parameter, at.z)[1]


_COPIED_FORMS: dict[str, Callable[[Array, Array], Array]] = {
    "a(1 - a)": lambda z, a: a * (1.0 - a),
    "1 - a^2": lambda z, a: 1.0 - a * a,
}
"""The derivatives of sigmoid and tanh, as they are left in code of which the activation was changed."""
_WRONG_FORMS: dict[str, dict[str, Callable[[Array, Array], Array]]] = {
    "tanh": {
        "a": lambda z, a: a,
        "1 - a": lambda z, a: 1.0 - a,
        "1 + a^2": lambda z, a: 1.0 + a * a,
        "sqrt(1 - a^2)": lambda z, a: (1.0 - a * a) ** 0.5,
        "1 - z^2": lambda z, a: 1.0 - z * z,
        "a^2": lambda z, a: a * a,
    },
    "sigmoid": {
        "a": lambda z, a: a,
        "1 - a": lambda z, a: 1.0 - a,
        "z(1 - z)": lambda z, a: z * (1.0 - z),
        "a(1 + a)": lambda z, a: a * (1.0 + a),
        "a^2": lambda z, a: a * a,
    },
    "relu": {"z <= 0": lambda z, a: np.where(z <= 0.0, 1.0, 0.0), "z": lambda z, a: a},
    "softplus": {"a": lambda z, a: a},
    "exp": {"z": lambda z, a: z},
    "sin": {"sin z": lambda z, a: a},
    "arctan": {"1/(1 + z)": lambda z, a: 1.0 / (1.0 + z)},
}
"""Wrong forms of f′ that people write, of z and a."""


def _mask_mistakes(
    ground: Ground, layer: int, slope: Array, mask: Array, code: int, parameter: float, z: Array
) -> Iterator[tuple[str, Array]]:
    if ground.problem.mask(layer + 1) is not None:
        bare = tabulated(code, parameter, z)[1]
        yield "dropout.mask_missing", bare
        yield "dropout.scale_missing", bare * (mask > 0.0)
        yield "dropout.scale_twice", slope * mask


# The output.


def _output_mistakes(ground: Ground, right: Flow) -> Iterator[Step]:
    layer, network = ground.depth - 1, ground.problem.network
    outputs = ground.numerical.base.tables.outputs
    factor = outputs[codes.FACTOR]
    error = right.error + 4.0 * np.abs(right.delta)
    for code, other, delta in _output_deltas(ground, right.delta, outputs, factor):
        if np.isfinite(delta).all() and _differs(delta, right.delta, 1e-13 if code in _GUARDS else 1e-6):
            size = error + 4.0 * np.abs(delta) + 4.0 * factor
            yield Cause(code, layer, "Z", other=other), Flow(right.arrived, right.arrived_error, delta, size)
    slope, slope_error = ground.plane(codes.SLOPE, layer), ground.numerical.base.slope_error[layer]
    order = _other_order(ground)
    shuffled = [] if order is None else [("labels.order", " ".join(map(str, order)), ground.problem.Y[order])]
    for code, other, targets in (*_wrong_targets(ground.problem.Y), *shuffled):
        if network.loss_name == "softmax_crossentropy":  # as people write it, p - y, whatever y sums to
            arrived = right.delta + factor * (ground.problem.Y - targets)
        else:
            arrived = _loss_slope(ground, targets)
        if np.isfinite(arrived).all() and _differs(arrived * slope, right.delta):
            size = right.arrived_error + 4.0 * (np.abs(arrived) + factor)
            cost = 1.2 if code == "labels.order" else 1.1
            yield Cause(code, layer, "Z", other=other, cost=cost), ground.through(arrived, size, slope, slope_error)
    yield from _of_crossentropy(ground, right)
    if network.loss_code in OF_A_DIFFERENCE:
        for other, arrived in (
            ("squared error", outputs[codes.OUTPUT] - outputs[codes.TARGET]),
            ("absolute error", np.sign(outputs[codes.OUTPUT] - outputs[codes.TARGET])),
        ):
            arrived = factor * arrived
            if _differs(arrived / factor, right.arrived / max(float(np.abs(right.arrived).max()), 1e-300)):
                size = right.arrived_error + 4.0 * np.abs(arrived)
                cause = Cause("loss.other", layer, "Z", other=other, cost=1.2)
                yield cause, ground.through(arrived, size, slope, slope_error)


def _of_crossentropy(ground: Ground, right: Flow) -> Iterator[Step]:
    """Yield a − y, cross-entropy's ∂J/∂z, under a loss of the difference; nothing where that is f′ left out as well."""
    network, outputs, layer = ground.problem.network, ground.numerical.base.tables.outputs, ground.depth - 1
    of_softmax = network.loss_code >= codes.OF_SOFTMAX
    if not (of_softmax or (network.loss_code in OF_A_DIFFERENCE and network.activations[-1] == "sigmoid")):
        return
    p = outputs[codes.PROBABILITY] if of_softmax else outputs[codes.OUTPUT]
    delta = (p - outputs[codes.TARGET]) / (ground.samples if network.reduction == "mean" else 1.0)
    bare = 2.0 * outputs[codes.FACTOR] * (p - outputs[codes.TARGET]) if of_softmax else right.arrived
    if network.loss_name == "binary_crossentropy":
        bare = 0.0 * delta
    if _differs(delta, bare) and _differs(delta, right.delta):
        size = right.error + 4.0 * (np.abs(delta) + p / ground.samples)
        yield Cause("loss.other", layer, "Z", other="cross-entropy"), Flow(right.arrived, right.arrived_error, delta, size)


def _output_deltas(ground: Ground, delta: Array, outputs: Array, factor: Array) -> Iterator[tuple[str, Other, Array]]:
    """Yield wrong ∂J/∂z of an output whose loss works on the logits."""
    network, z, y = ground.problem.network, outputs[codes.OUTPUT], outputs[codes.TARGET]
    loss = network.loss_name
    if loss == "binary_crossentropy" and network.activations[-1] == "sigmoid":
        p = tabulated(codes.SIGMOID, 0.0, z)[0]
        yield "output.extra_slope", None, delta * p * (1.0 - p)
        yield "output.divided_by_p", None, delta / np.maximum(p, 1e-300)
        yield "labels.missing", None, factor * p
        for guard in EPSILONS:
            slope = (1.0 - y) / (1.0 - p + guard) - y / (p + guard)
            yield "loss.epsilon", guard, factor * slope * p * (1.0 - p)
            yield "loss.clipped", guard, factor * (np.clip(p, guard, 1.0 - guard) - y)
            yield "loss.clipped", -guard, delta * ((p > guard) & (p < 1.0 - guard))
    if ground.problem.network.loss_code == codes.SQUARED + codes.OF_SOFTMAX:
        p = outputs[codes.PROBABILITY]
        yield "slope.missing", None, 2.0 * factor * (p - y)
        yield "output.diagonal", None, 2.0 * factor * (p - y) * p * (1.0 - p)
    if loss == "softmax_crossentropy" and network.from_logits:
        p = outputs[codes.PROBABILITY]
        for guard in EPSILONS:
            slope = -y / (p + guard)
            yield "loss.epsilon", guard, factor * p * (slope - (slope * p).sum(axis=1, keepdims=True))
            yield "loss.clipped", guard, factor * (np.clip(p, guard, 1.0 - guard) - y)
        yield "output.extra_slope", None, delta * p * (1.0 - p)
        yield "output.diagonal", None, -factor * y * (1.0 - p)
        yield "output.diagonal", "y(p - y)", y * delta
        with np.errstate(all="ignore"):
            yield "output.divided_by_p", None, delta / p
            yield "output.divided_by_p", "-y(1 - p)/p", -factor * y * (1.0 - p) / p
        e = p - y
        yield "loss.other", "squared error", factor * p * (e - (e * p).sum(axis=1, keepdims=True))


EPSILONS = tuple(10.0**-k for k in range(2, 16))
"""What people add to a probability before its logarithm, or clip it at."""
_GUARDS = ("loss.epsilon", "loss.clipped")


def _other_order(ground: Ground) -> Array | None:
    """Return the examples whose labels the output's ∂J/∂z has, where dW and db of the last layer determine it.

    They do where no example's inputs, with a 1 for b, are a combination of the others'.
    """
    layer = ground.depth - 1
    weights, bias = ground.claim(layer, "W"), ground.claim(layer, "b")
    inputs, Y = ground.inputs(layer), ground.numerical.base.tables.outputs[codes.TARGET]
    factor = ground.numerical.base.tables.outputs[codes.FACTOR]
    if weights is None or ground.samples > inputs.shape[1] + 1 or ground.problem.network.loss_name not in LOGIT_OUTPUT:
        return None
    parts, claimed = [inputs], [(weights.values - weights.penalty.values).T]
    if bias is not None:
        parts.append(np.ones((ground.samples, 1)))
        claimed.append((bias.values - bias.penalty.values)[None])
    delta = least_squares(np.hstack(parts).T, np.vstack(claimed), 1e-8)
    if delta is None:
        return None
    targets = Y + (ground.right[layer].delta - delta) / factor
    distance = np.abs(targets[:, None, :] - Y[None]).max(axis=2)
    order: Array = np.argmin(distance, axis=1)
    return order if (distance[np.arange(len(Y)), order] < 1e-4).all() else None


def _wrong_targets(Y: Array) -> Iterator[tuple[str, Other, Array]]:
    samples, outputs = Y.shape
    yield "labels.mean", None, np.broadcast_to(Y.mean(axis=0), Y.shape)
    if outputs > 1:
        for shift in (1, -1):
            yield "labels.class_shifted", shift, np.roll(Y, shift, axis=1)
        yield "labels.class_reversed", None, Y[:, ::-1]
    if samples > 1:
        for shift in (1, -1):
            yield "labels.example_shifted", shift, np.roll(Y, shift, axis=0)
        yield "labels.example_reversed", None, Y[::-1]
    if min(samples, outputs) > 1:
        yield "labels.layout", None, Y.T.reshape(samples, outputs)
        yield "labels.layout", "back", Y.reshape(outputs, samples).T
    if np.isin(Y, (0.0, 1.0)).all():
        yield "labels.swapped", None, 1.0 - Y


def _loss_slope(ground: Ground, targets: Array) -> Array:
    """Return ∂J/∂a of the output for other targets, from a network of the last layer alone."""
    network, layer = ground.problem.network, ground.depth - 1
    last = replace(
        network, widths=network.widths[-2:], activations=network.activations[-1:], biases=network.biases[-1:], l2=(), l1=()
    )
    theta = ground.problem.theta[network.weight_slice(layer).start :]
    Y = np.ascontiguousarray(targets)
    alone = replace(ground.problem, network=last, theta=theta, X=ground.inputs(layer), Y=Y, masks=())
    slope: Array = base_point(alone).tables.outputs[codes.LOSS_SLOPE]
    return slope


# The way down.


def _way_mistakes(ground: Ground, layer: int, above: Flow, right: Flow) -> Iterator[Step]:
    W = ground.W(layer + 1)
    undelta = replace(above, delta=above.arrived, error=above.arrived_error)
    tries = [(Cause("way.arrived", layer, "Z", cost=1.05), ground.sent(undelta, W))]
    if W.shape[0] == W.shape[1]:
        tries.insert(0, (Cause("way.transposed", layer, "Z"), ground.sent(above, W.T)))
        tries.append((Cause("way.no_weights", layer, "Z", cost=1.1), (above.delta, above.error)))
    for cause, sent in tries:
        if _differs(sent[0], right.arrived):
            yield cause, _down(ground, layer, *sent)


def _of_other_layers(ground: Ground, layer: int, above: Flow | None, right: Flow) -> Iterator[tuple[list[Cause], Flow]]:
    """Yield what is made of another layer's derivative, weights, dZ or dA; flows side by side."""
    network, width = ground.problem.network, right.delta.shape[1]

    def causes(code: str, others: Sequence[int], cost: float) -> list[Cause]:
        return [Cause(code, layer, "Z", other=k, cost=cost) for k in others]

    if not (above is None and network.from_logits):
        for row in ground.rows[width]:
            hidden = [k for k in row.layers if k + 1 < ground.depth]
            place = slice(len(hidden) * width)
            arrived, error = (np.tile(array, len(hidden)) for array in (right.arrived, right.arrived_error))
            flows = ground.through(arrived, error, row.slope[:, place], row.slope_error[:, place])
            yield causes("slope.other_layer", hidden, 1.1), flows
    if above is None:
        return
    W = ground.W(layer + 1)
    for some in batches([k for k in range(ground.depth) if ground.W(k).shape == W.shape], max(right.delta.size, W.size)):
        sent = ground.sent(above, np.hstack([ground.W(k) for k in some]))
        yield causes("way.other_weights", some, 1.0), _down(ground, layer, *sent)
    for some in batches([k for k in range(layer + 2, ground.depth) if network.widths[k + 1] == len(W)], above.delta.size):
        yield causes("way.other_delta", some, 1.0), _down(ground, layer, *_sent_by_others(ground, W, some))
    for some in batches([k for k in range(layer + 1, ground.depth) if network.widths[k + 1] == width], right.delta.size):
        others = side_by_side([ground.right[k] for k in some])
        yield causes("way.other_arrived", some, 1.1), _down(ground, layer, others.arrived, others.arrived_error)


def _sent_by_others(ground: Ground, W: Array, layers: Sequence[int]) -> tuple[Array, Array]:
    """Return what the dZ of other layers send down through weights, side by side."""
    flows = [ground.right[k] for k in layers]
    below = replace(flows[0], delta=np.vstack([f.delta for f in flows]), error=np.vstack([f.error for f in flows]))
    arrived, error = ground.sent(below, W)
    return np.hstack(np.split(arrived, len(flows))), np.hstack(np.split(error, len(flows)))


def updated_ways(ground: Ground, layer: int, above: Flow) -> Iterator[Flow]:
    """Yield what the flow loses for each unit of a learning rate when W was updated too early: by the claim, and by dW."""
    claim = ground.claim(layer + 1, "W")
    if claim is None:
        return
    if np.isfinite(claim.values).all():
        yield _down(ground, layer, *ground.sent(above, claim.values))
    dW = ground.rightly(layer + 1, "W").plus(claim.penalty).values
    if _differs(claim.values, dW):
        yield _down(ground, layer, *ground.sent(above, dW))
