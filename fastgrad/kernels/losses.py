"""Losses of one sample: value, first two coefficients and exact difference, for whole rows of perturbed outputs.

Elementwise losses are sums over outputs of λ(a_k, y_k); softmax cross-entropy couples the outputs. Both cross-entropies
take logits. Constants such as ½ or 1/m stand in a factor of the sample, outside this file.
"""

from math import exp, expm1, inf, log, log1p

import numpy as np

from fastgrad.kernels.activations import LARGE, sigmoid, softplus_difference
from fastgrad.kernels.codes import (
    BINARY_CROSSENTROPY,
    LOSS_CURVATURE,
    LOSS_SLOPE,
    OUTPUT,
    PROBABILITY,
    SOFTMAX_CROSSENTROPY,
    TARGET,
)
from fastgrad.kernels.compile import helper, outlined


@outlined
def element_value(code, a, y):
    """λ(a, y); binary cross-entropy from the logit a: log(1 + e^−|a|) + max(a, 0) − y·a."""
    if code == BINARY_CROSSENTROPY:
        return log1p(exp(-abs(a))) + (a * (1.0 - y) if a > 0.0 else -a * y)
    return (a - y) * (a - y)


@outlined
def element_slope(code, a, y):
    """∂λ/∂a, without cancellation where σ saturates."""
    if code == BINARY_CROSSENTROPY:
        return (1.0 - y) - sigmoid(-a) if a > 0.0 else sigmoid(a) - y
    return 2.0 * (a - y)


@outlined
def element_half_curvature(code, a, y):
    """½∂²λ/∂a²."""
    if code == BINARY_CROSSENTROPY:
        e = exp(-abs(a))
        return 0.5 * e / ((1.0 + e) * (1.0 + e))
    return 1.0


@outlined
def element_difference(code, a, y, delta):
    """λ(a + delta, y) − λ(a, y) for any delta."""
    if code == BINARY_CROSSENTROPY:
        if a > 0.0:
            return softplus_difference(-a, -delta) + (1.0 - y) * delta
        return softplus_difference(a, delta) - y * delta
    return delta * (2.0 * (a - y) + delta)


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
def tabulate_sample(code, a, y, factor, probability, slope, half_curvature):
    """Fill one sample's loss tables, factor included, and return its loss and the index of its largest logit.

    slope and half_curvature are those of one output moved alone. For softmax the slope of a logit with most of the
    probability is written as (Σy − y_top) − Σy·Σ_{k≠top} p_k: p_top − y_top would cancel where the network is sure.
    """
    if code != SOFTMAX_CROSSENTROPY:
        total = 0.0
        for k in range(a.size):
            total += factor * element_value(code, a[k], y[k])
            slope[k] = factor * element_slope(code, a[k], y[k])
            half_curvature[k] = factor * element_half_curvature(code, a[k], y[k])
        return total, 0
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
        slope[k] = factor * (rest_y - mass * rest_p if sure else mass * probability[k] - y[k])
        half_curvature[k] = 0.5 * factor * mass * probability[k] * others
    return factor * loss, top


@helper
def add_elementwise(code, outputs, s, factor, work, source, small, total):
    """Add to total the difference of sample s's elementwise loss when output k moves by row source + k of work."""
    width = np.uint64(total.size)
    for k in range(outputs.shape[2]):
        at = np.uint64(source + k) * width
        if small:
            g, h = outputs[LOSS_SLOPE, s, k], outputs[LOSS_CURVATURE, s, k]
            for c in range(width):
                total[c] += work[at + c] * (g + work[at + c] * h)
        else:
            a_k, y_k = outputs[OUTPUT, s, k], outputs[TARGET, s, k]
            for c in range(width):
                total[c] += factor * element_difference(code, a_k, y_k, work[at + c])


@helper
def add_softmax(outputs, top, s, factor, work, source, spare, small, total):
    """Add to total the difference of sample s's softmax cross-entropy when logit k moves by row source + k of work.

    Moves are taken relative to the largest logit's, d_k = move_k − move_top: the loss does not change when all logits
    move together, and so no term is larger than the probability it comes with. Small moves give
    Σ g d + ½Σy(Σ p d² − (Σ p d)²), whose two sums are made in the two rows of work from `spare` on.
    """
    width, mass = np.uint64(total.size), 0.0
    base, mean = np.uint64(source + top[s]) * width, np.uint64(spare) * width
    square = mean + width
    for k in range(outputs.shape[2]):
        mass += outputs[TARGET, s, k]
    if not small:
        _add_softmax_large(outputs, s, factor, mass, work, source, base, total)
        return
    for c in range(mean, square + width):
        work[c] = 0.0
    for k in range(outputs.shape[2]):
        if k != top[s]:
            at, g, p = np.uint64(source + k) * width, outputs[LOSS_SLOPE, s, k], outputs[PROBABILITY, s, k]
            for c in range(width):
                d = work[at + c] - work[base + c]
                total[c] += g * d
                work[mean + c] += p * d
                work[square + c] += p * d * d
    for c in range(width):
        total[c] += 0.5 * factor * mass * (work[square + c] - work[mean + c] * work[mean + c])


@outlined
def _add_softmax_large(outputs, s, factor, mass, work, source, base, total):
    """Any move: Σy·log(1 + Σ p expm1(d)) − Σ y d; from the logits where the exponentials would overflow."""
    width = np.uint64(total.size)
    logits = outputs[OUTPUT, s]
    top = np.argmax(logits)
    for c in range(width):
        largest, linear, excess = 0.0, 0.0, 0.0
        for k in range(outputs.shape[2]):
            d = work[np.uint64(source + k) * width + c] - work[base + c]
            largest = max(largest, d)
            linear += outputs[TARGET, s, k] * d
            excess += outputs[PROBABILITY, s, k] * expm1(d)
        if largest < LARGE:
            total[c] += factor * (mass * log1p(excess) - linear)
            continue
        largest, scaled = -inf, 0.0
        for k in range(logits.size):
            largest = max(largest, logits[k] - logits[top] + work[np.uint64(source + k) * width + c] - work[base + c])
        for k in range(logits.size):
            scaled += exp(logits[k] - logits[top] + work[np.uint64(source + k) * width + c] - work[base + c] - largest)
        total[c] += factor * (mass * (largest + log(scaled) + log(outputs[PROBABILITY, s, top])) - linear)


@outlined
def single_difference(code, outputs, s, k, delta):
    """Difference of sample s's loss when output k alone moves by delta.

    To the others, which keep their proportions, softmax cross-entropy is then a binary one.
    """
    if code != SOFTMAX_CROSSENTROPY:
        return element_difference(code, outputs[OUTPUT, s, k], outputs[TARGET, s, k], delta)
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
