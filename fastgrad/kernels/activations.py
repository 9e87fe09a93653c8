"""Activations: value, first two Taylor coefficients and exact difference, one scalar function each, chosen by code.

No formula here subtracts two numbers that may be close: 1 − tanh², 1 − σ and the like come from exp(−|z|).
"""

from math import exp, expm1, inf, tanh

from fastgrad.kernels.codes import IDENTITY, RELU, SIGMOID, TANH
from fastgrad.kernels.compile import helper


@helper
def sigmoid(z: float) -> float:
    """1/(1 + e^−z)."""
    e = exp(-abs(z))
    return 1.0 / (1.0 + e) if z >= 0.0 else e / (1.0 + e)


@helper
def value(code: int, z: float) -> float:
    """f(z)."""
    if code == SIGMOID:
        return sigmoid(z)
    if code == TANH:
        return tanh(z)
    if code == RELU:
        return max(z, 0.0)
    return z


@helper
def slope(code: int, z: float) -> float:
    """f′(z); at a kink the mean of the one-sided slopes."""
    if code == SIGMOID:
        e = exp(-abs(z))
        return e / ((1.0 + e) * (1.0 + e))
    if code == TANH:
        e = exp(-2.0 * abs(z))
        return 4.0 * e / ((1.0 + e) * (1.0 + e))
    if code == RELU:
        return 1.0 if z > 0.0 else 0.0 if z < 0.0 else 0.5
    return 1.0


@helper
def half_curvature(code: int, z: float) -> float:
    """½f″(z), the second Taylor coefficient."""
    if code == SIGMOID:
        return -0.5 * slope(code, z) * tanh(0.5 * z)
    if code == TANH:
        return -slope(code, z) * tanh(z)
    return 0.0


@helper
def value_scale(code: int, z: float) -> float:
    """Rounding error of f(z) as usually computed, in unit roundoffs: for tanh by exponentials 1, however small z is."""
    if code == TANH:
        return 1.0
    return 2.0 * abs(value(code, z)) if code == SIGMOID else 0.0


@helper
def slope_scale(code: int, z: float) -> float:
    """Rounding error of f′(z) as usually computed, in unit roundoffs: 1 − a² and a(1 − a) cancel where f saturates."""
    if code == TANH:
        return 2.0 + 2.0 * abs(tanh(z))
    return 4.0 * sigmoid(z) if code == SIGMOID else 0.0


@helper
def kink_distance(code: int, z: float) -> float:
    """How far z is from the nearest point where f′ jumps; inf where there is none."""
    if code == RELU:
        return abs(z)
    return inf


def one_sided_slopes(code: int, z: float) -> tuple[float, float]:
    """f′ on the left and on the right of the kink nearest to z; called from Python, for the few units that sit on one."""
    if code == RELU:
        return 0.0, 1.0
    raise ValueError(f"activation {code} has no kink at {z}")


@helper
def difference(code: int, z: float, delta: float) -> float:
    """f(z + delta) − f(z), for any delta, to a few unit roundoffs.

    tanh: sign(δ)·D·E/((1 + sT) + (1 − sT)e^−2|δ|) with s = sign(δ), E = 1 − e^−2|δ|: the addition theorem with both
    terms of the denominator positive. sigmoid: D·expm1(δ)/((1 − σ) + σe^δ), likewise.
    """
    if code == SIGMOID:
        return slope(code, z) * expm1(delta) / (sigmoid(-z) + sigmoid(z) * exp(delta))
    if code == TANH:
        size, sign = abs(delta), (1.0 if delta > 0.0 else -1.0)
        toward = sigmoid(2.0 * sign * z) + sigmoid(-2.0 * sign * z) * exp(-2.0 * size)
        return -0.5 * sign * slope(code, z) * expm1(-2.0 * size) / toward
    if code == RELU:
        return max(delta, -z) if z > 0.0 else max(z + delta, 0.0)
    return delta
