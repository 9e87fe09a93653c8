"""The mistakes people make in hand-written backpropagation, each put into a layer of `backward.gradient`.

Written apart from the library. Left out, because no numerical check of the declared loss can or should see them: another
convention for relu′(0), which is no mistake, and a constant inside the logarithm of the user's own loss.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from backward import MEANS_OVER_OUTPUTS, Array, Flow, Run, Slips, Step, from_logits, gradient, loss_slope, output_flow, slope

SMALL = tuple(10.0**-k for k in range(1, 7))
"""Strengths of what is a little wrong."""
CONSTANTS = (2.0, 0.5, 4.0, -1.0, 0.1)
LINEAR_IN_LABELS = {"squared_error", "sum_squared_error", "mse", "half_mse", "binary_crossentropy"}
"""Losses whose (m,) labels against an (m, 1) output make Σ (a_s − y_t) for each s, on the mean m·(a_s − mean(y))."""
BENT = ("relu", "leaky_relu", "elu", "selu", "relu6")


class Mistake(NamedTuple):
    """One mistake.

    Attributes
    ----------
    name : str
        In words.
    plant : callable
        From the run, a layer (from 0), a strength and a generator to the wrong steps; None where it does not apply.
    strengths : tuple of float
        How strong, or which variant of it.
    """

    name: str
    plant: Callable[[Run, int, float, np.random.Generator], Slips | None]
    strengths: tuple[float, ...] = (1.0,)


def times(factor: float | Array) -> Step:
    """Multiply."""
    return lambda value, flow: factor * value


def instead(wrong: Array) -> Step:
    """Put something else in its place."""
    return lambda value, flow: wrong


def at(name: str, layer: int, step: Step, applies: bool = True) -> Slips | None:
    """One wrong step, where it applies."""
    return {(name, layer): step} if applies else None


def top(run: Run, layer: int) -> bool:
    """Tell whether a layer is the output's; what is wrong once for the network is planted there."""
    return layer == run.depth - 1


def hidden(run: Run, layer: int) -> bool:
    """Tell whether a layer is below the output's."""
    return layer < run.depth - 1


def other(run: Run, layer: int, same: Callable[[int], object], lowest: int = 0) -> int | None:
    """Return another layer that is the same in something."""
    return next((k for k in range(lowest, run.depth) if k != layer and same(k) == same(layer)), None)


def square(run: Run, layer: int) -> bool:
    """Tell whether W is square, and more than a number."""
    return bool(run.case.widths[layer] == run.case.widths[layer + 1] > 1)


def has_bias(run: Run, layer: int) -> bool:
    """Tell whether a layer has a bias."""
    return bool(run.case.has_bias(layer))


# Mistakes of more than one line.


def _configured_batch(run: Run, layer: int, strength: float, draw: np.random.Generator) -> Slips | None:
    batch = 2 ** int(np.ceil(np.log2(run.samples + 1)))
    return at("dZ", layer, times(run.samples / batch), top(run, layer) and run.mean)


def _outputs(run: Run, layer: int, strength: float, draw: np.random.Generator) -> Slips | None:
    outputs = run.case.widths[-1]
    factor = outputs if run.loss in MEANS_OVER_OUTPUTS else 1.0 / outputs
    return at("dZ", layer, times(factor), top(run, layer) and outputs > 1)


def _output_slope_left_out(run: Run, layer: int, strength: float, draw: np.random.Generator) -> Slips | None:
    if not top(run, layer) or from_logits(run) or run.name(layer) == "softmax":
        return None
    return at("dZ", layer, instead(loss_slope(run, run.Y) / (run.samples if run.mean else 1)))


def _softmax_diagonal(run: Run, layer: int, strength: float, draw: np.random.Generator) -> Slips | None:
    if not top(run, layer) or run.name(layer) != "softmax":
        return None
    if from_logits(run):
        return at("dZ", layer, times(run.Y))
    share = run.samples if run.mean else 1
    return at("dZ", layer, instead(loss_slope(run, run.Y) * run.a[-1] * (1.0 - run.a[-1]) / share))


def _slope_of_a(run: Run, layer: int, strength: float, draw: np.random.Generator) -> Slips | None:
    if not hidden(run, layer):
        return None
    z, a = run.z[layer], run.a[layer + 1]
    wrong = {"tanh": 1.0 - z * z, "sigmoid": z * (1.0 - z)}.get(run.name(layer))
    if strength or wrong is None:
        wrong = slope(run.case.activations[layer], a)
    return at("slope", layer, instead(wrong))


def _mask_of_another_layer(run: Run, layer: int, strength: float, draw: np.random.Generator) -> Slips | None:
    if not hidden(run, layer) or run.name(layer) not in BENT:
        return None
    k = other(run, layer, lambda k: run.case.widths[k + 1])
    return None if k is None else at("slope", layer, instead(slope(run.case.activations[layer], run.z[k])))


def _tanh_slopes(run: Run, layer: int, strength: float, draw: np.random.Generator) -> Slips | None:
    a = run.a[layer + 1]
    with np.errstate(invalid="ignore"):
        wrong = (a, 1.0 - a, 1.0 + a * a, np.sqrt(1.0 - a * a))[int(strength)]
    return at("slope", layer, instead(wrong), hidden(run, layer) and run.name(layer) == "tanh" and run.mask(layer) is None)


def _another_activation(run: Run, layer: int, strength: float, draw: np.random.Generator) -> Slips | None:
    k = next((k for k in range(run.depth - 1) if run.case.activations[k] != run.case.activations[layer]), None)
    if k is None or not hidden(run, layer):
        return None
    return at("slope", layer, instead(slope(run.case.activations[k], run.z[layer])))


def _another_input(run: Run, layer: int, strength: float, draw: np.random.Generator) -> Slips | None:
    k = other(run, layer, lambda k: run.case.widths[k])
    return None if k is None else at("dW", layer, lambda dW, flow: flow.dZ[layer].T @ run.a[k])


def _another_flow(run: Run, layer: int, strength: float, draw: np.random.Generator) -> Slips | None:
    fits = hidden(run, layer) and run.case.widths[layer + 1] == run.case.widths[layer + 2]
    return at("dW", layer, lambda dW, flow: flow.dZ[layer + 1].T @ run.a[layer], fits)


def _another_matrix(run: Run, layer: int, strength: float, draw: np.random.Generator) -> Slips | None:
    k = other(run, layer, lambda k: run.W(k).shape)
    return None if k is None or not layer else at("W", layer, instead(run.W(k)))


def _wrong_axis(run: Run, layer: int, strength: float, draw: np.random.Generator) -> Slips | None:
    fits = has_bias(run, layer) and run.samples == run.case.widths[layer + 1]
    return at("db", layer, lambda db, flow: flow.dZ[layer].sum(axis=1), fits)


def _penalty(run: Run, layer: int, strength: float, draw: np.random.Generator) -> Slips | None:
    return at("penalty W", layer, times(strength or 1.0 / run.samples), run.case.l2 > 0.0)


def _penalty_of_biases(run: Run, layer: int, strength: float, draw: np.random.Generator) -> Slips | None:
    if not has_bias(run, layer) or not run.case.l2:
        return None
    right = run.case.l2 * run.parameters[layer][1]
    return at("penalty b", layer, instead(right * (not run.case.penalize_biases)))


def _updated_weights(run: Run, layer: int, strength: float, draw: np.random.Generator) -> Slips | None:
    return at("W", layer, lambda W, flow: W - strength * flow.dW[layer], layer > 0)


def _previous(run: Run, layer: int, strength: float, draw: np.random.Generator) -> Slips | None:
    before = gradient(replace(run, case=replace(run.case, theta=run.case.theta * 1.01)))
    return at("all", layer, lambda g, flow: g + strength * before, top(run, layer))


def _one_sample(run: Run, layer: int, strength: float, draw: np.random.Generator) -> Slips | None:
    only = np.zeros((run.samples, 1))
    only[int(strength)] = 1.0
    return at("dZ", layer, times(only), top(run, layer))


def _broadcast_labels(run: Run, layer: int, strength: float, draw: np.random.Generator) -> Slips | None:
    fits = top(run, layer) and run.case.widths[-1] == 1 and run.loss in LINEAR_IN_LABELS
    return at("dZ", layer, instead(output_flow(run, np.full_like(run.Y, run.Y.mean()))), fits)


def _labels(run: Run, layer: int, strength: float, draw: np.random.Generator) -> Slips | None:
    if not top(run, layer):
        return None
    wrong = np.roll(run.Y, 1, axis=1) if strength else run.Y[draw.permutation(run.samples)]
    return at("dZ", layer, instead(output_flow(run, wrong)))


def _dropout(run: Run, layer: int, strength: float, draw: np.random.Generator) -> Slips | None:
    mask = run.mask(layer)
    if mask is None:
        return None
    return at("mask", layer, instead((np.ones_like(mask), 1.0 * (mask > 0.0), mask * mask)[int(strength)]))


def _other_order(run: Run, layer: int, strength: float, draw: np.random.Generator) -> Slips | None:
    return at("dW", layer, lambda dW, flow: dW.ravel(order="F").reshape(dW.shape))


def _exchanged(run: Run, layer: int, strength: float, draw: np.random.Generator) -> Slips | None:
    """Layers come from the top: what lies above is known by then, and takes the place of both."""
    k = other(run, layer, lambda k: run.W(k).shape, layer + 1)
    return None if k is None else at("dW", layer, lambda dW, flow: flow.dW[k])


def _single_precision(run: Run, layer: int, strength: float, draw: np.random.Generator) -> Slips | None:
    def in_float32(value: Array, flow: Flow) -> Array:
        return value.astype(np.float32).astype(np.float64)

    return at("dZ", layer, in_float32)


def entry(kind: str, place: str, change: Callable[[Array, float], Array]) -> Callable[..., Slips | None]:
    """One entry of a tensor wrong: the smallest that is not 0, the median or the largest."""

    def plant(run: Run, layer: int, strength: float, draw: np.random.Generator) -> Slips | None:
        def wrong(value: Array, flow: Flow) -> Array:
            flat = value.copy().ravel()
            order = np.argsort(np.abs(flat))
            order = order[flat[order] != 0.0]
            if order.size:
                k = order[{"smallest": 0, "median": order.size // 2, "largest": -1}[place]]
                flat[k] = change(flat[k], strength)
            return flat.reshape(value.shape)

        return at(kind, layer, wrong, kind == "dW" or has_bias(run, layer))

    return plant


def line(axis: int) -> Callable[..., Slips | None]:
    """One row or column of dW wrong by a factor."""

    def plant(run: Run, layer: int, strength: float, draw: np.random.Generator) -> Slips | None:
        k = int(draw.integers(run.W(layer).shape[axis]))

        def wrong(dW: Array, flow: Flow) -> Array:
            factors = np.ones(dW.shape[axis])
            factors[k] += strength
            return dW * (factors[:, None] if axis == 0 else factors)

        return at("dW", layer, wrong)

    return plant


def _factor(value: Array, strength: float) -> Array:
    return value * (1.0 + strength)


MISTAKES = (
    Mistake("1/m missing", lambda r, n, s, d: at("dZ", n, times(r.samples), top(r, n) and r.mean)),
    Mistake("1/m twice, from a layer down", lambda r, n, s, d: at("dZ", n, times(1 / r.samples), r.mean)),
    Mistake("divided by the configured batch size", _configured_batch),
    Mistake("a constant on dW", lambda r, n, s, d: at("dW", n, times(s)), CONSTANTS),
    Mistake("a constant on db", lambda r, n, s, d: at("db", n, times(s), has_bias(r, n)), CONSTANTS),
    Mistake("a constant in the flow", lambda r, n, s, d: at("dZ", n, times(s)), CONSTANTS),
    Mistake("dW off by a factor 1 + s", lambda r, n, s, d: at("dW", n, times(1 + s)), SMALL),
    Mistake("db off by a factor 1 + s", lambda r, n, s, d: at("db", n, times(1 + s), has_bias(r, n)), SMALL),
    Mistake("the flow off by a factor 1 + s", lambda r, n, s, d: at("dZ", n, times(1 + s)), SMALL),
    Mistake("averaged over outputs, or not", _outputs),
    Mistake("sign", lambda r, n, s, d: at("dZ", n, times(-1.0), top(r, n))),
    Mistake("f' of the output left out", _output_slope_left_out),
    Mistake(
        "cross-entropy with an extra a(1 − a)",
        lambda r, n, s, d: at("dZ", n, times(r.a[-1] * (1 - r.a[-1])), top(r, n) and from_logits(r)),
    ),
    Mistake("the diagonal of the softmax Jacobian only", _softmax_diagonal),
    Mistake(
        "softmax derivative taken as 1 − p",
        lambda r, n, s, d: at("dZ", n, lambda dZ, flow: dZ / r.a[-1], top(r, n) and r.name(n) == "softmax"),
    ),
    Mistake("hidden f' left out", lambda r, n, s, d: at("slope", n, instead(np.ones_like(r.z[n])), hidden(r, n))),
    Mistake("f' of a, or of z by the formula for a", _slope_of_a, (0.0, 1.0)),
    Mistake(
        "relu mask of the rectified value",
        lambda r, n, s, d: at("slope", n, instead(np.ones_like(r.z[n])), hidden(r, n) and r.name(n) in {"relu", "relu6"}),
    ),
    Mistake("relu mask of another layer", _mask_of_another_layer),
    Mistake("tanh' as a, 1 − a, 1 + a², sech", _tanh_slopes, (0.0, 1.0, 2.0, 3.0)),
    Mistake(
        "ReLU's derivative for its relatives",
        lambda r, n, s, d: at("slope", n, instead(1.0 * (r.z[n] > 0)), hidden(r, n) and r.name(n) in BENT[1:4]),
    ),
    Mistake("W for Wᵀ", lambda r, n, s, d: at("W", n, lambda W, flow: W.T, n > 0 and square(r, n))),
    Mistake("dW transposed", lambda r, n, s, d: at("dW", n, lambda dW, flow: dW.T, square(r, n))),
    Mistake("z for a", lambda r, n, s, d: at("dW", n, lambda dW, flow: flow.dZ[n].T @ r.z[n - 1], n > 0)),
    Mistake("another layer's a", _another_input),
    Mistake("another layer's dZ in dW", _another_flow),
    Mistake("another layer's W in the flow", _another_matrix),
    Mistake("another layer's f'", _another_activation),
    Mistake(
        "db summed to one number",
        lambda r, n, s, d: at("db", n, lambda db, flow: np.full_like(db, db.sum()), has_bias(r, n)),
    ),
    Mistake(
        "db averaged, or multiplied by m",
        lambda r, n, s, d: at("db", n, times(r.samples**s), has_bias(r, n)),
        (1.0, -1.0),
    ),
    Mistake("db from the rows of dW", lambda r, n, s, d: at("db", n, lambda db, f: f.dW[n].sum(axis=1), has_bias(r, n))),
    Mistake("db along the wrong axis", _wrong_axis),
    Mistake("db left out", lambda r, n, s, d: at("db", n, times(0.0), has_bias(r, n))),
    Mistake("b for db", lambda r, n, s, d: at("db", n, instead(r.parameters[n][1]), has_bias(r, n))),
    Mistake("L2 left out", lambda r, n, s, d: at("penalty W", n, times(0.0), r.case.l2 > 0)),
    Mistake("L2 doubled, halved, negative, over m", _penalty, (2.0, 0.5, -1.0, 0.0)),
    Mistake("L2 off by a factor 1 + s", lambda r, n, s, d: at("penalty W", n, times(1 + s), r.case.l2 > 0), SMALL),
    Mistake("L2 of the biases, in one only", _penalty_of_biases),
    Mistake("weights already updated, by a rate s", _updated_weights, SMALL),
    Mistake("gradients not reset, or momentum", _previous, (1.0, 0.9)),
    Mistake("called k times", lambda r, n, s, d: at("all", n, times(s), top(r, n)), (2.0, 3.0)),
    Mistake("one example only", _one_sample, (0.0, -1.0)),
    Mistake("labels broadcast", _broadcast_labels),
    Mistake("labels shuffled or shifted", _labels, (0.0, 1.0)),
    Mistake("dropout: no mask, no scale, scale twice", _dropout, (0.0, 1.0, 2.0)),
    Mistake("dW flattened in the other order", _other_order),
    Mistake("dW of another layer", _exchanged),
    Mistake("learning rate inside, or a step", lambda r, n, s, d: at("all", n, times(s), top(r, n)), (0.1, -0.01, 1e-3)),
    Mistake("float32 in the flow", _single_precision),
    Mistake("smallest entry of dW off by 1 + s", entry("dW", "smallest", _factor), SMALL),
    Mistake("median entry of dW off by 1 + s", entry("dW", "median", _factor), SMALL),
    Mistake("largest entry of dW off by 1 + s", entry("dW", "largest", _factor), SMALL),
    Mistake("smallest entry of db off by 1 + s", entry("db", "smallest", _factor), SMALL),
    Mistake("median entry of db off by 1 + s", entry("db", "median", _factor), SMALL),
    Mistake("largest entry of db off by 1 + s", entry("db", "largest", _factor), SMALL),
    Mistake("smallest entry of dW 0, negative", entry("dW", "smallest", lambda g, s: s * g), (0.0, -1.0)),
    Mistake("median entry of dW 0, negative, nan", entry("dW", "median", lambda g, s: s * g), (0.0, -1.0, np.nan)),
    Mistake("largest entry of dW 0, negative, inf", entry("dW", "largest", lambda g, s: s * g), (0.0, -1.0, np.inf)),
    Mistake("a row of dW off by 1 + s", line(0), SMALL),
    Mistake("a column of dW off by 1 + s", line(1), SMALL),
    Mistake("columns of dW off by one", lambda r, n, s, d: at("dW", n, lambda dW, f: np.roll(dW, 1, axis=1))),
    Mistake("all zeros", lambda r, n, s, d: at("all", n, times(0.0), top(r, n))),
    Mistake("one tensor all zeros", lambda r, n, s, d: at("dW", n, times(0.0), r.case.l2 == 0)),
)
