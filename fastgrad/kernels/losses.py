"""Losses of one sample: value, first two coefficients and exact difference, for whole rows of perturbed outputs.

Elementwise losses are sums over outputs of λ(a_k, y_k); softmax, alone or before such a sum, and the hinge couple the
outputs. Both cross-entropies, whatever follows a softmax, and Poisson after exp take logits. Constants such as ½ or 1/m
stand in the factor of a sample's output. p is the loss's parameter: δ of Huber, the margin of a hinge. The exact
differences are right to a few unit roundoffs of what is added up in them, that is of |δ| times the largest slope on the
way, or of the change itself where only one term is left.
"""

from math import cosh, inf, sinh, tanh
from typing import Any, NamedTuple

import numpy as np

from fastgrad.kernels.activations import LARGE, LOG2, exp_difference, sigmoid, sigmoid_slope, softplus_difference
from fastgrad.kernels.codes import (
    ABSOLUTE,
    BINARY_CROSSENTROPY,
    COUPLED,
    FACTOR,
    HUBER,
    KL_DIVERGENCE,
    LOG_COSH,
    LOSS_CURVATURE,
    LOSS_KINK,
    LOSS_SLOPE,
    OF_SOFTMAX,
    OUTPUT,
    POISSON,
    POISSON_OF_LOGIT,
    PROBABILITY,
    SOFTMAX_CROSSENTROPY,
    SQUARED,
    SQUARED_HINGE,
    TARGET,
)
from fastgrad.kernels.compile import by_code, exp, expm1, helper, log, log1p, once, outlined


@outlined
def log_cosh(d):
    """Log cosh d, which is 2 sinh²(d/2) below cosh d's 1 where d is small."""
    if abs(d) < 1.0:
        return log1p(2.0 * sinh(0.5 * d) * sinh(0.5 * d))
    return abs(d) + log1p(exp(-2.0 * abs(d))) - LOG2


@outlined
def log_cosh_difference(d, delta):
    """log1p(2 sinh(δ/2) sinh(d + δ/2)/cosh d) near 0; else, log cosh d being softplus(2d) − d − log 2, by softplus.

    Of d and −d, which give the same, the negative one is taken: 2σ(2d) is then below ¼ of the other term's 1, unless the
    move is above 1 itself.
    """
    if abs(d) < 1.0 and abs(delta) < 1.0:
        return log1p(2.0 * sinh(0.5 * delta) * sinh(d + 0.5 * delta) / cosh(d))
    if d > 0.0:
        return softplus_difference(-2.0 * d, -2.0 * delta) + delta
    return softplus_difference(2.0 * d, 2.0 * delta) - delta


@outlined
def huber_difference(p, d, delta):
    """Move by move over the three pieces, for d of at least 0: outside on the right, inside, outside on the left."""
    if d > p:
        if d + delta >= p:
            return p * delta
        inner = (d - p) + delta
        if inner >= -2.0 * p:
            return p * (p - d) + inner * (p + 0.5 * inner)
        return p * (p - d) - p * (inner + 2.0 * p)
    there = d + delta
    if abs(there) <= p:
        return delta * (d + 0.5 * delta)
    inner = (p if there > 0.0 else -p) - d
    return inner * (d + 0.5 * inner) + p * abs(delta - inner)


class Formulas(NamedTuple):
    """The compiled functions of a loss λ of one output, of its parameter p, of a and y, or of d = a − y alone."""

    value: Any
    """λ(a, y), or λ(d)."""
    slope: Any
    """∂λ/∂a, without cancellation where σ saturates; at a kink the mean of the one-sided slopes."""
    half_curvature: Any
    """½∂²λ/∂a²."""
    kink: Any
    """How far the output is from the nearest point where the slope, or that of the slope, jumps; inf where there is none."""
    difference: Any
    """λ(a + delta, y) − λ(a, y), for any delta; it takes delta as well."""


def compiled(value, slope, half_curvature, kink, difference):
    """Compile the formulas of a loss."""
    return Formulas(once(value), once(slope), once(half_curvature), once(kink), once(difference))


def smooth(p, a, y):
    """Say that there is no kink."""
    return inf


def binary_difference(p, a, y, delta):
    """Change log(1 + e^a) − y·a on the side where it is small."""
    if a > 0.0:
        return softplus_difference(-a, -delta) + (1.0 - y) * delta
    return softplus_difference(a, delta) - y * delta


def logarithm(y, a, delta):
    """y·log((a + delta)/a), 0 where y is."""
    return y * log1p(delta / a) if y != 0.0 else 0.0


logarithm_difference = outlined(logarithm)

RESIDUALS = {
    SQUARED: compiled(
        lambda p, d: d * d,
        lambda p, d: 2.0 * d,
        lambda p, d: 1.0,
        lambda p, d: inf,
        lambda p, d, delta: delta * (2.0 * d + delta),
    ),
    ABSOLUTE: compiled(
        lambda p, d: abs(d),
        lambda p, d: 1.0 if d > 0.0 else -1.0 if d < 0.0 else 0.0,
        lambda p, d: 0.0,
        lambda p, d: abs(d),
        lambda p, d, delta: max(delta, -2.0 * d - delta) if d >= 0.0 else max(-delta, 2.0 * d + delta),
    ),
    HUBER: compiled(
        lambda p, d: 0.5 * d * d if abs(d) <= p else p * (abs(d) - 0.5 * p),
        lambda p, d: max(-p, min(p, d)),
        lambda p, d: 0.5 if abs(d) < p else 0.0,
        lambda p, d: abs(abs(d) - p),
        lambda p, d, delta: huber_difference(p, abs(d), delta if d >= 0.0 else -delta),
    ),
    LOG_COSH: compiled(
        lambda p, d: log_cosh(d),
        lambda p, d: tanh(d),
        lambda p, d: 2.0 * sigmoid_slope(2.0 * d),
        lambda p, d: inf,
        lambda p, d, delta: log_cosh_difference(d, delta),
    ),
}
"""The formulas of the losses of d = a − y, all of them even, which may also follow a softmax: a new one is one more row."""

ELEMENTS = {
    BINARY_CROSSENTROPY: compiled(  # of the logit a: log(1 + e^−|a|) + max(a, 0) − y·a
        lambda p, a, y: log1p(exp(-abs(a))) + (a * (1.0 - y) if a > 0.0 else -a * y),
        lambda p, a, y: (1.0 - y) - sigmoid(-a) if a > 0.0 else sigmoid(a) - y,
        lambda p, a, y: 0.5 * sigmoid_slope(a),
        smooth,
        binary_difference,
    ),
    POISSON_OF_LOGIT: compiled(  # of the logit a, the output being e^a
        lambda p, a, y: exp(a) - y * a,
        lambda p, a, y: exp(a) - y,
        lambda p, a, y: 0.5 * exp(a),
        smooth,
        lambda p, a, y, delta: exp_difference(a, delta) - y * delta,
    ),
    POISSON: compiled(
        lambda p, a, y: a - y * log(a),
        lambda p, a, y: (a - y) / a,
        lambda p, a, y: 0.5 * y / a / a,
        smooth,
        lambda p, a, y, delta: delta - logarithm_difference(y, a, delta),
    ),
    KL_DIVERGENCE: compiled(
        lambda p, a, y: y * log(y / a) if y > 0.0 else 0.0,
        lambda p, a, y: -y / a,
        lambda p, a, y: 0.5 * y / a / a,
        smooth,
        lambda p, a, y, delta: -logarithm_difference(y, a, delta),
    ),
}
"""The formulas of the other losses that are sums over outputs: a new one is one more row."""


def _residual(kind: str, parameters: str = "p, d") -> Any:
    return by_code({code: getattr(formulas, kind) for code, formulas in RESIDUALS.items()}, parameters)


residual_value, residual_slope, residual_half_curvature = map(_residual, ("value", "slope", "half_curvature"))
residual_kink, residual_difference = _residual("kink"), _residual("difference", "p, d, delta")
"""The same for kernels, which have the code of the loss: residual_value(code, p, d) and so on."""


def _element(kind: str, of_residual: Any, parameters: str = "p, a, y") -> Any:
    return by_code({code: getattr(formulas, kind) for code, formulas in ELEMENTS.items()}, parameters, outlined(of_residual))


element_value = _element("value", lambda code, p, a, y: residual_value(code, p, a - y))
element_slope = _element("slope", lambda code, p, a, y: residual_slope(code, p, a - y))
element_half_curvature = _element("half_curvature", lambda code, p, a, y: residual_half_curvature(code, p, a - y))
element_kink = _element("kink", lambda code, p, a, y: residual_kink(code, p, a - y))
element_difference = _element(
    "difference", lambda code, p, a, y, delta: residual_difference(code, p, a - y, delta), "p, a, y, delta"
)
"""Likewise of a and y, of the losses of a − y too: element_value(code, p, a, y) and so on."""


@outlined
def softmax_row(z, probability):
    """Fill probability = softmax(z); return the index of the largest logit and log Σ e^(z − z_max)."""
    top = np.argmax(z)
    total = 0.0
    for k in range(z.size):
        probability[k] = exp(z[k] - z[top])
        if k != top:
            total += probability[k]
    for k in range(z.size):
        probability[k] /= 1.0 + total
    return top, log1p(total)


@outlined
def tabulate_sample(loss, s):
    """Fill one sample's loss tables, factor included, and return its loss and the index of its largest logit.

    slope and half curvature are those of one output moved alone.
    """
    code, p, outputs = loss.code, loss.parameter, loss.outputs
    if code == SOFTMAX_CROSSENTROPY:
        return tabulate_softmax(outputs, s)
    total = 0.0
    for k in range(outputs.shape[2]):
        a, y, factor = outputs[OUTPUT, s, k], outputs[TARGET, s, k], outputs[FACTOR, s, k]
        total += factor * element_value(code, p, a, y)
        outputs[LOSS_SLOPE, s, k] = factor * element_slope(code, p, a, y)
        outputs[LOSS_CURVATURE, s, k] = factor * element_half_curvature(code, p, a, y)
        outputs[LOSS_KINK, s, k] = element_kink(code, p, a, y)
    return total, 0


@outlined
def tabulate_coupled(loss, s):
    """Do what `tabulate_sample` does for the rarer losses that couple the outputs.

    A hinge has the index of the target class in the place of the largest logit's.
    """
    if loss.code == OF_SOFTMAX + BINARY_CROSSENTROPY:
        return tabulate_binary_of_softmax(loss.outputs, s)
    if loss.code >= OF_SOFTMAX:
        return tabulate_of_softmax(loss.code - OF_SOFTMAX, loss.parameter, loss.outputs, s)
    return tabulate_hinge(loss.code, loss.parameter, loss.outputs, s)


@outlined
def tabulate_softmax(outputs, s):
    """Do what `tabulate_sample` does for softmax cross-entropy.

    The slope of a logit with most of the probability is written as (Σy − y_top) − Σy·Σ_{k≠top} p_k: p_top − y_top would
    cancel where the network is sure.
    """
    a, y, probability, factor = outputs[OUTPUT, s], outputs[TARGET, s], outputs[PROBABILITY, s], outputs[FACTOR, s, 0]
    top, log_total = softmax_row(a, probability)
    rest_p, rest_y, loss = 0.0, 0.0, 0.0
    for k in range(a.size):
        if k != top:
            rest_p += probability[k]
            rest_y += y[k]
        loss += y[k] * (log_total - (a[k] - a[top]))
    mass = rest_y + y[top]
    for k in range(a.size):
        others = rest_p if k == top else 1.0 - probability[k]
        sure = k == top and rest_p < 0.5
        outputs[LOSS_SLOPE, s, k] = factor * (rest_y - mass * rest_p if sure else mass * probability[k] - y[k])
        outputs[LOSS_CURVATURE, s, k] = 0.5 * factor * mass * probability[k] * others
        outputs[LOSS_KINK, s, k] = inf
    return factor * loss, top


@outlined
def rest(probability, k):
    """1 − p_k as the sum of the others."""
    total = 0.0
    for j in range(probability.size):
        if j != k:
            total += probability[j]
    return total


@outlined
def softmax_residual(outputs, s, k):
    """p_k − y_k; (1 − y_k) − (1 − p_k) where p_k is most of the probability."""
    probability, y = outputs[PROBABILITY, s, k], outputs[TARGET, s, k]
    return (1.0 - y) - rest(outputs[PROBABILITY, s], k) if probability > 0.5 else probability - y


@outlined
def tabulate_of_softmax(code, p, outputs, s):
    """Do what `tabulate_sample` does for a loss of p − y, p = softmax(z).

    A logit k that moves alone by δ moves p by v·(δ + δ²(½ − p_k)), v_k = p_k(1 − p_k) and v_j = −p_j·p_k, so that the
    slope is Σ λ′v and half the curvature (½ − p_k)·Σ λ′v + Σ ½λ″v². Moves of all logits by at most B change log p_k and
    log (1 − p_k) by at most 2B, and so p_k by less than 2.1·B·min(p_k, 1 − p_k) while B is small.
    """
    probability, factor, loss = outputs[PROBABILITY, s], outputs[FACTOR, s, 0], 0.0
    top, _ = softmax_row(outputs[OUTPUT, s], probability)
    for k in range(probability.size):
        others, slope, bend = rest(probability, k), 0.0, 0.0
        for j in range(probability.size):
            d, v = softmax_residual(outputs, s, j), probability[k] * (others if j == k else -probability[j])
            slope += residual_slope(code, p, d) * v
            bend += residual_half_curvature(code, p, d) * v * v
        d = softmax_residual(outputs, s, k)
        loss += residual_value(code, p, d)
        outputs[LOSS_SLOPE, s, k] = factor * slope
        outputs[LOSS_CURVATURE, s, k] = factor * ((0.5 - probability[k]) * slope + bend)
        reach = 2.1 * min(probability[k], others)
        outputs[LOSS_KINK, s, k] = residual_kink(code, p, d) / reach if reach > 0.0 else inf
    return factor * loss, top


@outlined
def share_of_others(z, top, k):
    """p_k/(1 − p_top) = e^z_k/Σ_{j≠top} e^z_j, k not being `top`, and the logarithm of 1/(1 − p_top) − 1 = e^z_top/that sum."""
    largest, total = -inf, 0.0
    for j in range(z.size):
        if j != top:
            largest = max(largest, z[j])
    for j in range(z.size):
        if j != top:
            total += exp(z[j] - largest)
    return exp(z[k] - largest) / total, z[top] - largest - log(total)


@outlined
def tabulate_binary_of_softmax(outputs, s):
    """Do what `tabulate_sample` does for −Σ y log p + (1 − y) log(1 − p), p = softmax(z).

    Its slope p_k(λ′_k − Σ λ′p), with p_k λ′_k = (1 − y_k) p_k/(1 − p_k) − y_k, is written so that nothing cancels where the
    network is sure: (1 − y_k) p_k − y_k (1 − p_k) + Σ_{j≠k} (y_j p_k − (1 − y_j) p_j q), q = p_k/(1 − p_j). When logit k
    moves alone, 1 − p_j becomes (1 − p_j)(1 + q E)/(1 + p_k E), so that half the curvature is
    ½(n p_k (1 − p_k) − Σ_{j≠k} (1 − y_j) q (1 − q)).
    """
    z, y, probability, factor = outputs[OUTPUT, s], outputs[TARGET, s], outputs[PROBABILITY, s], outputs[FACTOR, s, 0]
    n, loss = z.size, 0.0
    top, log_total = softmax_row(z, probability)
    for k in range(n):
        others = rest(probability, k)
        slope, bend = (1.0 - y[k]) * probability[k] - y[k] * others, n * probability[k] * others
        for j in range(n):
            if j != k:
                q = share_of_others(z, top, k)[0] if j == top else probability[k] / (1.0 - probability[j])
                slope += y[j] * probability[k] - (1.0 - y[j]) * probability[j] * q
                bend -= (1.0 - y[j]) * q * (1.0 - q)
        loss += y[k] * (log_total - (z[k] - z[top]))
        if k != top:
            loss -= (1.0 - y[k]) * log1p(-probability[k])
        elif y[k] != 1.0:
            loss += (1.0 - y[k]) * log_one_and(share_of_others(z, top, k)[1])
        outputs[LOSS_SLOPE, s, k], outputs[LOSS_CURVATURE, s, k] = factor * slope, 0.5 * factor * bend
        outputs[LOSS_KINK, s, k] = inf
    return factor * loss, top


@outlined
def log_one_and(odds):
    """Log (1 + e^odds)."""
    return max(odds, 0.0) + log1p(exp(-abs(odds)))


@outlined
def hinge_term(p, outputs, s, target, j):
    """Return what output j's hinge holds against 0: margin + a_j − a_target; with a single output margin − y·a."""
    if outputs.shape[2] == 1:
        return p - outputs[TARGET, s, 0] * outputs[OUTPUT, s, 0]
    return p + (outputs[OUTPUT, s, j] - outputs[OUTPUT, s, target])


@outlined
def tabulate_hinge(code, p, outputs, s):
    """Do what `tabulate_sample` does for a hinge Σ max(0, h) or Σ max(0, h)²; h moves by at most twice what outputs do."""
    n, factor, total = outputs.shape[2], outputs[FACTOR, s, 0], 0.0
    target = np.argmax(outputs[TARGET, s])
    sum_slope, sum_curvature, nearest = 0.0, 0.0, inf
    for j in range(n):
        if n > 1 and j == target:
            continue
        h = hinge_term(p, outputs, s, target, j)
        share = 1.0 if h > 0.0 else 0.5 if h == 0.0 else 0.0
        sign = -outputs[TARGET, s, 0] if n == 1 else 1.0
        slope, curvature = share, 0.0
        if code == SQUARED_HINGE:
            slope, curvature = 2.0 * max(h, 0.0), share * sign * sign
        total += max(h, 0.0) * (max(h, 0.0) if code == SQUARED_HINGE else 1.0)
        outputs[LOSS_SLOPE, s, j] = factor * sign * slope
        outputs[LOSS_CURVATURE, s, j] = factor * curvature
        outputs[LOSS_KINK, s, j] = 0.5 * abs(h)
        sum_slope, sum_curvature, nearest = sum_slope + slope, sum_curvature + curvature, min(nearest, 0.5 * abs(h))
    if n > 1:
        outputs[LOSS_SLOPE, s, target] = -factor * sum_slope
        outputs[LOSS_CURVATURE, s, target] = factor * sum_curvature
        outputs[LOSS_KINK, s, target] = nearest
    return factor * total, target


@outlined
def hinge_difference(code, h, delta):
    """max(0, h + delta) − max(0, h), or that of the squares."""
    moved = max(delta, -h) if h > 0.0 else max(h + delta, 0.0)
    return moved * (2.0 * max(h, 0.0) + moved) if code == SQUARED_HINGE else moved


@outlined
def add_difference(loss, s, bound, moves, spare, total):
    """Add to total the difference of sample s's loss when output k moves by row k of moves, by at most `bound`.

    The two rows of the same memory from number `spare` on are scratch. Exact for any move, whatever the loss.
    """
    if loss.code == SOFTMAX_CROSSENTROPY:
        if bound < inf:
            add_softmax(loss, s, moves, spare, total)
        else:
            add_softmax_large(loss, s, moves, total)
    elif loss.code < COUPLED:
        for k in range(loss.outputs.shape[2]):
            if loss.outputs[LOSS_KINK, s, k] > bound:
                add_element(loss, s, k, moves, total)
            else:
                add_element_large(loss, s, k, moves, total)
    else:
        add_coupled(loss, s, bound < inf, moves, total)


@helper
def add_small_difference(loss, s, moves, spare, total):
    """Do what `add_difference` does for softmax cross-entropy and elementwise losses, where two Taylor terms are enough."""
    if loss.code == SOFTMAX_CROSSENTROPY:
        add_softmax(loss, s, moves, spare, total)
    else:
        for k in range(loss.outputs.shape[2]):
            add_element(loss, s, k, moves, total)


@helper
def add_odd_difference(loss, s, moves, total):
    """Add to total what is odd in the moves: half of the difference between those of +step and those of −step.

    Of softmax cross-entropy moves are taken relative to the largest logit's, as by `add_softmax`.
    """
    outputs, work, stride = loss.outputs, moves.numbers, moves.stride
    relative = loss.code == SOFTMAX_CROSSENTROPY
    base = np.uint64(moves.first + (loss.top[s] if relative else 0)) * stride
    for k in range(outputs.shape[2]):
        at, g = np.uint64(moves.first + k) * stride, outputs[LOSS_SLOPE, s, k]
        if not relative:
            for c in range(moves.columns):
                total[c] += g * work[at + c]
        elif k != loss.top[s]:
            for c in range(moves.columns):
                total[c] += g * (work[at + c] - work[base + c])


@helper
def add_element(loss, s, k, moves, total):
    """Add two Taylor terms of the loss of output k."""
    work, at = moves.numbers, np.uint64(moves.first + k) * moves.stride
    g, h = loss.outputs[LOSS_SLOPE, s, k], loss.outputs[LOSS_CURVATURE, s, k]
    for c in range(moves.columns):
        total[c] += work[at + c] * (g + work[at + c] * h)


@outlined
def add_element_large(loss, s, k, moves, total):
    """Add the exact difference of the loss of output k."""
    outputs, work, at = loss.outputs, moves.numbers, np.uint64(moves.first + k) * moves.stride
    a, y, factor = outputs[OUTPUT, s, k], outputs[TARGET, s, k], outputs[FACTOR, s, k]
    for c in range(moves.columns):
        total[c] += factor * element_difference(loss.code, loss.parameter, a, y, work[at + c])


@helper
def add_softmax(loss, s, moves, spare, total):
    """Add the difference of softmax cross-entropy for small moves.

    Moves are taken relative to the largest logit's, d_k = move_k − move_top: the loss does not change when all logits
    move together, and so no term is larger than the probability it comes with. It is
    Σ g d + ½Σy(Σ p d² − (Σ p d)²), whose last two sums are made in the two rows from `spare` on.
    """
    outputs, work, source, stride = loss.outputs, moves.numbers, moves.first, moves.stride
    mass, factor, top = 0.0, outputs[FACTOR, s, 0], loss.top[s]
    base, mean = np.uint64(source + top) * stride, np.uint64(spare) * stride
    square = mean + stride
    for k in range(outputs.shape[2]):
        mass += outputs[TARGET, s, k]
    for c in range(moves.columns):
        work[mean + c], work[square + c] = 0.0, 0.0
    for k in range(outputs.shape[2]):
        if k != top:
            at, g, p = np.uint64(source + k) * stride, outputs[LOSS_SLOPE, s, k], outputs[PROBABILITY, s, k]
            for c in range(moves.columns):
                d = work[at + c] - work[base + c]
                total[c] += g * d
                work[mean + c] += p * d
                work[square + c] += p * d * d
    for c in range(moves.columns):
        total[c] += 0.5 * factor * mass * (work[square + c] - work[mean + c] * work[mean + c])


@outlined
def add_softmax_large(loss, s, moves, total):
    """Do what `add_softmax` does for any move: Σy·log(1 + Σ p expm1(d)) − Σ y d; from the logits where that overflows."""
    outputs, work, source, stride = loss.outputs, moves.numbers, moves.first, moves.stride
    top, factor, mass = loss.top[s], outputs[FACTOR, s, 0], 0.0
    base = np.uint64(source + top) * stride
    for k in range(outputs.shape[2]):
        mass += outputs[TARGET, s, k]
    for c in range(moves.columns):
        largest, linear, excess = 0.0, 0.0, 0.0
        for k in range(outputs.shape[2]):
            d = work[np.uint64(source + k) * stride + c] - work[base + c]
            largest = max(largest, d)
            linear += outputs[TARGET, s, k] * d
            excess += outputs[PROBABILITY, s, k] * expm1(d)
        growth = log1p(excess) if largest < LARGE else log_growth(outputs, top, s, moves, c)
        total[c] += factor * (mass * growth - linear)


@outlined
def log_growth(outputs, top, s, moves, c):
    """Log (1 + Σ p expm1(d)) from the logits, relative to the largest after the move."""
    logits, work, source, stride = outputs[OUTPUT, s], moves.numbers, moves.first, moves.stride
    base, largest, scaled = np.uint64(source + top) * stride, -inf, 0.0
    for k in range(logits.size):
        largest = max(largest, logits[k] - logits[top] + work[np.uint64(source + k) * stride + c] - work[base + c])
    for k in range(logits.size):
        scaled += exp(logits[k] - logits[top] + work[np.uint64(source + k) * stride + c] - work[base + c] - largest)
    return largest + log(scaled) + log(outputs[PROBABILITY, s, top])


@outlined
def add_coupled(loss, s, small, moves, total):
    """Do what `add_softmax` does for the rarer losses that couple the outputs; column by column, which is less to compile."""
    stride = np.int64(moves.stride)
    for c in range(moves.columns):
        total[c] += coupled_difference(loss, s, small, moves.numbers, moves.first * stride + c, stride)


@outlined
def coupled_difference(loss, s, small, moves, first, stride):
    """Difference of sample s's loss, factor included, when output k moves by moves[first + k·stride]."""
    code, p, outputs, top = loss.code, loss.parameter, loss.outputs, loss.top[s]
    n, total, base = outputs.shape[2], 0.0, moves[first + top * stride]
    if code == OF_SOFTMAX + BINARY_CROSSENTROPY:
        total = binary_of_softmax_difference(loss, s, small, moves, first, stride)
    elif code >= OF_SOFTMAX:
        total = of_softmax_difference(loss, s, small, moves, first, stride)
    elif n == 1:
        total = hinge_difference(code, hinge_term(p, outputs, s, 0, 0), -outputs[TARGET, s, 0] * base)
    else:
        for j in range(n):
            if j != top:
                total += hinge_difference(code, hinge_term(p, outputs, s, top, j), moves[first + j * stride] - base)
    return outputs[FACTOR, s, 0] * total


@outlined
def of_softmax_difference(loss, s, small, moves, first, stride):
    """Of moves d relative to the largest logit's, p_k changes by p_k(E_k − Ē)/(1 + Ē), E = expm1(d), Ē = Σ p E.

    For small moves E is d + ½d², what is left out being below d²/6 ≤ 2⁻⁵⁶ of it (|d| ≤ 2·SMALL_MOVE). Of the largest logit E
    is 0, so that nothing cancels where it has all the probability; p_k of any other is at most ½. Where E would overflow,
    p is made anew of the logits, to an absolute error of as many roundoffs as their distances are large.
    """
    outputs, base = loss.outputs, moves[first + loss.top[s] * stride]
    logits, largest, mean, highest, scaled, total = outputs[OUTPUT, s], 0.0, 0.0, -inf, 0.0, 0.0
    top = np.argmax(logits)
    for k in range(logits.size):
        d = moves[first + k * stride] - base
        largest, highest = max(largest, d), max(highest, logits[k] - logits[top] + d)
        mean += outputs[PROBABILITY, s, k] * (d + 0.5 * d * d if small else expm1(d))
    if largest >= LARGE:
        for k in range(logits.size):
            scaled += exp(logits[k] - logits[top] + moves[first + k * stride] - base - highest)
    for k in range(logits.size):
        d, probability = moves[first + k * stride] - base, outputs[PROBABILITY, s, k]
        moved = probability * ((d + 0.5 * d * d if small else expm1(d)) - mean) / (1.0 + mean)
        if largest >= LARGE:
            moved = exp(logits[k] - logits[top] + d - highest) / scaled - probability
        total += residual_difference(loss.code - OF_SOFTMAX, loss.parameter, softmax_residual(outputs, s, k), moved)
    return total


@outlined
def binary_of_softmax_difference(loss, s, small, moves, first, stride):
    """Of moves d relative to the largest logit's, n log(1 + Ē) − Σ y d − Σ (1 − y_k) log(1 + Σ_{j≠k} p_j E_j/(1 − p_k)).

    E and Ē are as in `of_softmax_difference`; of the largest logit the last sum is that of the shares of the others, of which
    little may be left. Where E would overflow, or next to nothing is left, both losses are made of the logits.
    """
    outputs, base = loss.outputs, moves[first + loss.top[s] * stride]
    z, y, top = outputs[OUTPUT, s], outputs[TARGET, s], loss.top[s]
    n, mean, others, left, largest = outputs.shape[2], 0.0, 0.0, 0.0, 0.0
    for k in range(n):
        d = moves[first + k * stride] - base
        largest = max(largest, d)
        mean += outputs[PROBABILITY, s, k] * (d + 0.5 * d * d if small else expm1(d))
        left += share_of_others(z, top, k)[0] * exp(d) if k != top else 0.0
    if largest >= LARGE or (n > 1 and left < exp(-0.9 * LARGE)):
        return binary_of_logits(z, y, moves, first, stride, 1.0) - binary_of_logits(z, y, moves, first, stride, 0.0)
    total = n * log1p(mean)
    for k in range(n):
        d, probability = moves[first + k * stride] - base, outputs[PROBABILITY, s, k]
        E = d + 0.5 * d * d if small else expm1(d)
        total -= y[k] * d
        if k != top:
            others += share_of_others(z, top, k)[0] * E
            total -= (1.0 - y[k]) * log1p((mean - probability * E) / (1.0 - probability))
    return total - (1.0 - y[top]) * (log(left) if others < -0.5 else log1p(others))


@outlined
def binary_of_logits(z, y, moves, first, stride, scale):
    """Return the loss at logits z + scale·moves, to an absolute error of as many roundoffs as their distances are large."""
    largest, second, top, total, loss = -inf, -inf, 0, 0.0, 0.0
    for k in range(z.size):
        here = z[k] + scale * moves[first + k * stride]
        if here > largest:
            largest, second, top = here, largest, k
        else:
            second = max(second, here)
    for k in range(z.size):
        if k != top:
            total += exp(z[k] + scale * moves[first + k * stride] - second)
    sure = second - largest + log(max(total, 1.0))
    for k in range(z.size):
        here = z[k] + scale * moves[first + k * stride] - largest - log_one_and(sure)
        loss -= y[k] * here
        if k != top:
            loss -= (1.0 - y[k]) * log1p(-exp(here))
        elif y[k] != 1.0:
            loss -= (1.0 - y[k]) * (sure - log_one_and(sure))
    return loss


@outlined
def single_difference(loss, s, k, delta, work):
    """Difference of sample s's loss, factor included, when output k alone moves by delta; work has room for all outputs."""
    outputs = loss.outputs
    if loss.code == SOFTMAX_CROSSENTROPY:
        return outputs[FACTOR, s, 0] * single_softmax_difference(outputs, s, k, delta)
    if loss.code < COUPLED:
        a, y = outputs[OUTPUT, s, k], outputs[TARGET, s, k]
        return outputs[FACTOR, s, k] * element_difference(loss.code, loss.parameter, a, y, delta)
    for j in range(outputs.shape[2]):
        work[j] = delta if j == k else 0.0
    return coupled_difference(loss, s, False, work, 0, 1)


@outlined
def single_softmax_difference(outputs, s, k, delta):
    """To the others, which keep their proportions, softmax cross-entropy is a binary one."""
    probability, others, y, rest_y = outputs[PROBABILITY, s, k], 0.0, outputs[TARGET, s, k], 0.0
    for j in range(outputs.shape[2]):
        if j != k:
            others += outputs[PROBABILITY, s, j]
            rest_y += outputs[TARGET, s, j]
    mass = y + rest_y
    if abs(delta) > LARGE:
        odds = log_odds(outputs[OUTPUT, s], k)
        if odds > 0.0:
            return mass * softplus_difference(-odds, -delta) + rest_y * delta
        return mass * softplus_difference(odds, delta) - y * delta
    if probability > 0.5:
        return mass * log1p(others * expm1(-delta)) + rest_y * delta
    return mass * log1p(probability * expm1(delta)) - y * delta


@outlined
def log_odds(z, k):
    """log(p/(1 − p)) of output k: z_k − log Σ e^z of the others; huge where there are none."""
    largest, total = -1e300, 0.0
    for j in range(z.size):
        if j != k:
            largest = max(largest, z[j])
    for j in range(z.size):
        if j != k:
            total += exp(z[j] - largest)
    return z[k] - largest - log(max(total, 1.0))
