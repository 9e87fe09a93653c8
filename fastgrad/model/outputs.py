"""What the loss makes of the outputs at the base point: rounding of its slopes, its kinks, and the slopes on one.

Called by numerical and by `rounding`. Errors are in units of the unit roundoff, as in forward.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from fastgrad.kernels import codes
from fastgrad.model.forward import BasePoint
from fastgrad.model.network import Array, Offsets

Rounding = Callable[[Array, Array, float, Array], Array]
"""Of outputs a, targets y, the loss's parameter and the error of a."""
Unit = Callable[[Array, Array, float], float]
"""Of outputs a, targets y and the loss's parameter."""


def _of_binary(a: Array, y: Array, p: float, error: Array) -> Array:
    return np.asarray(2.0 * np.exp(-np.logaddexp(0.0, -a)) + np.abs(y))


def _of_square(a: Array, y: Array, p: float, error: Array) -> Array:
    return np.asarray(2.0 * (np.abs(a) + np.abs(y)))


def _of_huber(a: Array, y: Array, p: float, error: Array) -> Array:
    """Inside its corners a − y rounds as that of squares does; so near outside that a itself may have been rounded out, too."""
    return np.where(np.abs(a - y) < 2.0 * p, np.abs(a) + np.abs(y) + error, 0.0)


def _of_log_cosh(a: Array, y: Array, p: float, error: Array) -> Array:
    """Tanh of the residual by exponentials, or as 1 − 2σ, is off by two roundoffs at any residual."""
    return np.asarray(2.0 + np.cosh(np.minimum(np.abs(a - y), 700.0)) ** -2.0 * (np.abs(a) + np.abs(y)))


def _of_poisson_of_logit(a: Array, y: Array, p: float, error: Array) -> Array:
    return np.asarray(4.0 * np.exp(a) + np.abs(y))


def _of_quotient(a: Array, y: Array, p: float, error: Array) -> Array:
    return np.asarray(1.0 + 2.0 * np.abs(y) / a)


def _of_outputs(a: Array, y: Array, p: float) -> float:
    """log(a + δ) has two Taylor terms where δ is small against a."""
    return min(1.0, float(a.min()))


def _of_margin(a: Array, y: Array, p: float) -> float:
    return min(1.0, p)


def _of_residual(a: Array, y: Array, p: float) -> float:
    """δ² of (a + δ − y)² − (a − y)² = δ(2(a − y) + δ) takes the digits of the rest unless δ is below |a| + |y|."""
    sizes = (np.abs(a) + np.abs(y)).max(axis=0)
    return float(np.min(sizes, where=sizes > 0.0, initial=1.0))


ROUNDING: dict[int, Rounding] = {
    codes.BINARY_CROSSENTROPY: _of_binary,
    codes.SQUARED: _of_square,
    codes.HUBER: _of_huber,
    codes.LOG_COSH: _of_log_cosh,
    codes.POISSON_OF_LOGIT: _of_poisson_of_logit,
    codes.POISSON: _of_quotient,
    codes.KL_DIVERGENCE: _of_quotient,
}
"""What the usual formula of λ′ rounds, of a loss that is a sum over outputs; those that round nothing are left out."""

UNITS: dict[int, Unit] = {
    codes.SQUARED: _of_residual,
    codes.HUBER: _of_residual,
    codes.LOG_COSH: _of_residual,
    codes.POISSON: _of_outputs,
    codes.KL_DIVERGENCE: _of_outputs,
    codes.SQUARED_HINGE: _of_margin,
}
"""Sizes that moves of outputs must be small against, where that is not 1."""


def slope_error(base: BasePoint) -> Array:
    """Return the error of ∂J/∂a_L, of ∂J/∂z_L where the loss takes logits, as the usual formulas give it, shape (m, n_L).

    What the error of the output does to it, 2·½λ″·e(a), what the formula rounds, and the rounding of the result: a − y for
    either cross-entropy, 2(a − y) for squares, 2·h for the squares of a hinge, whose h is a sum of margin and outputs.
    """
    table, code = base.tables.outputs, base.tables.loss_code
    slope: Array = np.abs(table[codes.LOSS_SLOPE])
    if code == codes.SOFTMAX_CROSSENTROPY:
        target = np.abs(table[codes.TARGET])
        moved = probability_error(base)
        return np.asarray(slope + table[codes.FACTOR] * (target.sum(axis=1, keepdims=True) * moved + target))
    if code >= codes.OF_SOFTMAX:
        return slope + _of_softmax_error(base)
    if code == codes.SQUARED_HINGE:
        return slope + _from_hinges(base, 2.0 * table[codes.FACTOR] * _hinge_error(base))
    if code == codes.HINGE:
        return slope
    moved = 2.0 * np.abs(table[codes.LOSS_CURVATURE]) * base.a_error[-1]
    return np.asarray(slope + moved + table[codes.FACTOR] * _element_error(base))


def _element_error(base: BasePoint) -> Array:
    """Return what the usual formula of λ′ rounds; where it is one of a few numbers, nothing."""
    loss, error = base.tables.loss, base.a_error[-1]
    a, y = loss.outputs[codes.OUTPUT], loss.outputs[codes.TARGET]
    return ROUNDING[loss.code](a, y, loss.parameter, error) if loss.code in ROUNDING else np.zeros_like(a)


def probability_error(base: BasePoint) -> Array:
    """Return the error of a softmax: Δp_k = p_k(e_k − Σ p_j e_j) for errors e of the exponents, and what it rounds itself.

    The exponent's own share is p_k(1 − p_k)e_k: where p_k is most of the probability, it hardly moves.
    """
    table = base.tables.outputs
    logits, probability = table[codes.OUTPUT], table[codes.PROBABILITY]
    spread = base.a_error[-1] + np.abs(logits - logits.max(axis=1, keepdims=True))
    mean = (probability * spread).sum(axis=1, keepdims=True)
    moved: Array = probability * ((1.0 - 2.0 * probability) * spread + mean + 2.0)
    return moved


def _of_softmax_error(base: BasePoint) -> Array:
    """Return the error of p_k(λ′_k − Σ λ′p), whose terms have those of p and of λ′ = λ′(p − y) and cancel."""
    table, p_error = base.tables.outputs, probability_error(base)
    p, y = table[codes.PROBABILITY], table[codes.TARGET]
    slope, curvature = _slopes_of_softmax(base), np.zeros_like(p)
    rounding = np.zeros_like(p)
    code, parameter, d = base.tables.loss_code - codes.OF_SOFTMAX, base.tables.loss_parameter, np.abs(p - y)
    if code == codes.SQUARED:
        curvature += 2.0
    elif code == codes.HUBER:
        curvature += d < 2.0 * parameter
    elif code == codes.LOG_COSH:
        curvature, rounding = np.cosh(d) ** -2.0, rounding + 2.0
    slope_error = rounding + curvature * (p_error + p + np.abs(y)) + np.abs(slope)
    if code == codes.BINARY_CROSSENTROPY:  # of −y/p + (1 − y)/(1 − p), whose quotients round relatively
        away = _away_from_0(p), _away_from_0(1.0 - p)
        slope_error = (y / away[0] ** 2 + (1.0 - y) / away[1] ** 2) * p_error + y / away[0] + (1.0 - y) / away[1]
    mean, mean_error = (np.abs(slope) * p).sum(axis=1, keepdims=True), np.abs(slope) * p_error + p * slope_error
    total: Array = p_error * (np.abs(slope) + mean) + p * (slope_error + mean_error.sum(axis=1, keepdims=True) + 2.0 * mean)
    return np.asarray(table[codes.FACTOR] * total)


def _slopes_of_softmax(base: BasePoint) -> Array:
    """Return λ′(p − y) of a loss that follows a softmax; at a kink its mean."""
    table, code = base.tables.outputs, base.tables.loss_code - codes.OF_SOFTMAX
    d = table[codes.PROBABILITY] - table[codes.TARGET]
    if code == codes.BINARY_CROSSENTROPY:
        p, y = table[codes.PROBABILITY], table[codes.TARGET]
        return np.asarray((1.0 - y) / _away_from_0(1.0 - p) - y / _away_from_0(p))
    if code == codes.HUBER:
        return np.asarray(np.clip(d, -base.tables.loss_parameter, base.tables.loss_parameter))
    return np.asarray({codes.ABSOLUTE: np.sign, codes.LOG_COSH: np.tanh}.get(code, lambda d: 2.0 * d)(d))


def _away_from_0(p: Array) -> Array:
    """Return probabilities of at least a roundoff, below which a difference from 1 has no digits."""
    return np.maximum(p, np.finfo(float).eps)


def _hinge_error(base: BasePoint) -> Array:
    """Return the error of h = margin + a_j − a_target, or margin − y·a, at each output j; 0 at the target."""
    table, error = base.tables.outputs, base.a_error[-1]
    sizes = np.abs(table[codes.OUTPUT]) + error
    if sizes.shape[1] > 1:
        rows = np.arange(len(sizes))
        sizes = sizes + sizes[rows, base.tables.top][:, np.newaxis]
        sizes[rows, base.tables.top] = -base.tables.loss_parameter
    return np.asarray(sizes + base.tables.loss_parameter)


def _from_hinges(base: BasePoint, values: Array) -> Array:
    """Put the sum of what the hinges have at the other outputs in the place of the target's."""
    if values.shape[1] > 1:
        rows = np.arange(len(values))
        values[rows, base.tables.top] = 0.0
        values[rows, base.tables.top] = values.sum(axis=1)
    return values


def unit(base: BasePoint) -> float:
    """Size that a move of an output must be small against: 1, or less where the loss bends within less."""
    loss = base.tables.loss
    return (
        UNITS[loss.code](loss.outputs[codes.OUTPUT], loss.outputs[codes.TARGET], loss.parameter) if loss.code in UNITS else 1.0
    )


def kink_error(base: BasePoint) -> Array:
    """Return the error of the distances of the outputs from the loss's kinks, shape (m, n_L); 0 where there are none."""
    table, code = base.tables.outputs, base.tables.loss_code
    if code in {codes.HINGE, codes.SQUARED_HINGE}:
        return 0.5 * _hinge_error(base)
    if code in {codes.ABSOLUTE, codes.HUBER}:
        return np.asarray(base.a_error[-1] + np.abs(table[codes.OUTPUT] - table[codes.TARGET]))
    if code - codes.OF_SOFTMAX not in {codes.ABSOLUTE, codes.HUBER}:
        return np.zeros_like(table[codes.OUTPUT])
    p = table[codes.PROBABILITY]
    residual, others = np.abs(p - table[codes.TARGET]), np.maximum(1.0 - p, np.finfo(float).eps)
    return np.asarray((probability_error(base) + residual) / (2.1 * np.maximum(np.minimum(p, others), 1e-300)))


def slope_range(base: BasePoint, rows: Offsets, on_kink: npt.NDArray[np.bool_]) -> tuple[Array, Array]:
    """Return the smallest and the largest ∂J/∂a_L of some samples, shape (len(rows), n_L) each, as is `on_kink`.

    On a kink of |a − y| or of a hinge a slope may be any between the one-sided ones; Huber and the squares of a hinge have
    there but one.
    """
    table, code = base.tables.outputs, base.tables.loss_code
    slope, factor = table[codes.LOSS_SLOPE, rows], table[codes.FACTOR, rows]
    if code == codes.ABSOLUTE:
        return np.where(on_kink, -factor, slope), np.where(on_kink, factor, slope)
    if code == codes.ABSOLUTE + codes.OF_SOFTMAX:
        p, sign = table[codes.PROBABILITY, rows], _slopes_of_softmax(base)[rows]
        low, high = factor * p * np.where(on_kink, -1.0, sign), factor * p * np.where(on_kink, 1.0, sign)
        # p_k(λ′_k − Σ_j λ′_j p_j) = p_k(1 − p_k)λ′_k − p_k Σ_{j≠k} p_j λ′_j
        return (
            (1.0 - p) * low - p * (high.sum(axis=1, keepdims=True) - high),
            (1.0 - p) * high - p * (low.sum(axis=1, keepdims=True) - low),
        )
    if code != codes.HINGE:
        return slope, slope
    if slope.shape[1] == 1:
        whole = -factor * table[codes.TARGET, rows]
        return np.where(on_kink, np.minimum(whole, 0.0), slope), np.where(on_kink, np.maximum(whole, 0.0), slope)
    here, target = np.arange(len(rows)), base.tables.top[rows]
    low, high = np.where(on_kink, 0.0, slope), np.where(on_kink, factor, slope)
    low[here, target] = high[here, target] = 0.0
    sums = low.sum(axis=1), high.sum(axis=1)
    low[here, target], high[here, target] = -sums[1], -sums[0]
    return low, high
