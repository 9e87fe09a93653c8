"""Activations: value, first two Taylor coefficients and exact difference, a scalar function for each, chosen by code.

Each activation is one row of `FORMULAS`; what it is called, and where its kinks are, stands in model/activations.

No formula here subtracts two numbers that may be close, but where a sum of two terms of opposite sign is the function's
own nature (SiLU, GELU and Mish left of 0, about their minimum, sin near a turning point): there the error is a few unit
roundoffs of the terms. Four more cost what rounding an argument costs: GELU's Φ and φ a few times 1 + z² roundoffs,
σ(w) of its form by tanh and of Mish 1 + |w|, and a hard sigmoid whose ends are no doubles one of its height. Numbers
below e^−700 may be lost. p is the activation's parameter: the slope of leaky ReLU, α of ELU, the slope of hard sigmoid.
"""

from math import atan, atan2, erf, erfc, inf, pi, sqrt, tanh
from typing import Any, NamedTuple

from fastgrad.kernels.codes import (
    ARCTAN,
    BESIDE_ONE,
    ELU,
    EXP,
    GELU,
    GELU_TANH,
    HARD_SIGMOID,
    HARD_TANH,
    IDENTITY,
    LEAKY_RELU,
    MISH,
    OF_PRODUCT,
    OF_PRODUCT_SLOPE,
    OF_SIGMOID,
    PROPORTIONAL,
    RELATIVE,
    RELU,
    RELU6,
    SATURATING,
    SELU,
    SIGMOID,
    SILU,
    SIN,
    SOFTPLUS,
    SOFTSIGN,
    TANH,
)
from fastgrad.kernels.compile import apart, by_code, cos, exp, expm1, log, log1p, once, outlined, sin

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
"""G. Klambauer et al., Self-normalizing neural networks, 2017."""
GELU_CUBIC = 0.044715
"""D. Hendrycks and K. Gimpel, Gaussian error linear units, 2016: GELU ≈ z·σ(2√(2/π)(z + 0.044715 z³))."""
LOG2 = log(2.0)
ROOT2 = sqrt(2.0)
LARGE = 700.0
"""Exponents up to which e^z is far from overflow; above it terms of the identities vanish or overflow together."""
DENSITY0 = 1.0 / sqrt(2.0 * pi)
# Nodes and weights of Gauss-Legendre quadrature on [-1, 1], positive half of 16 points
# (M. Abramowitz and I. Stegun, table 25.4).
NODES = (
    0.09501250983763744,
    0.2816035507792589,
    0.45801677765722737,
    0.6178762444026438,
    0.755404408355003,
    0.8656312023878318,
    0.9445750230732326,
    0.9894009349916499,
)
WEIGHTS = (
    0.1894506104550685,
    0.18260341504492358,
    0.16915651939500254,
    0.14959598881657674,
    0.12462897125553388,
    0.09515851168249279,
    0.062253523938647894,
    0.027152459411754096,
)


@outlined
def sigmoid(z):
    """1/(1 + e^−z)."""
    e = exp(-abs(z))
    return 1.0 / (1.0 + e) if z >= 0.0 else e / (1.0 + e)


@outlined
def sigmoid_slope(z):
    """σ(z)σ(−z)."""
    e = exp(-abs(z))
    return e / ((1.0 + e) * (1.0 + e))


@outlined
def sigmoid_moved(z, delta):
    """σ(z + delta), without rounding z + delta: σe^δ/((1 − σ) + σe^δ)."""
    if abs(z) > LARGE:
        return sigmoid(z + delta)
    if delta > 0.0:
        return sigmoid(z) / (sigmoid(-z) * exp(-delta) + sigmoid(z))
    return sigmoid(z) * exp(delta) / (sigmoid(-z) + sigmoid(z) * exp(delta))


@outlined
def sigmoid_difference(z, delta):
    """σ(z + delta) − σ(z) = σ′·expm1(δ)/((1 − σ) + σe^δ), both terms of the denominator positive."""
    if abs(z) > LARGE:
        return sigmoid(-z) - sigmoid(-(z + delta)) if z > 0.0 else sigmoid(z + delta) - sigmoid(z)
    if delta > 0.0:
        return -sigmoid_slope(z) * expm1(-delta) / (sigmoid(-z) * exp(-delta) + sigmoid(z))
    return sigmoid_slope(z) * expm1(delta) / (sigmoid(-z) + sigmoid(z) * exp(delta))


@outlined
def softplus(z):
    """log(1 + e^z)."""
    return max(z, 0.0) + log1p(exp(-abs(z)))


@outlined
def softplus_difference(z, delta):
    """log(1 + σ(z)·expm1(δ)), the argument made of positive terms where it is below ½."""
    if delta > LARGE:
        return delta - softplus(-z) + softplus(-(z + delta))
    excess = sigmoid(z) * expm1(delta)
    if excess > -0.5:
        return log1p(excess)
    if z > LARGE:
        return max(delta, -z) + log1p(exp(-abs(z + delta)))
    return log(sigmoid(-z) + sigmoid(z) * exp(delta))


@outlined
def exp_difference(z, delta):
    """e^(z + delta) − e^z."""
    if z < -LARGE or delta > LARGE:
        return exp(z + delta) - exp(z)
    return exp(z) * expm1(delta)


@outlined
def normal_difference(z, delta):
    """Φ(z + delta) − Φ(z), to a few times (1 + z²) unit roundoffs, which is what rounding z costs the normal density.

    Where the density hardly varies over the move, by Gauss-Legendre quadrature of φ(z)e^(−zt − t²/2), whose terms are
    all positive; else by the complementary error function on the side where it is small.
    """
    if abs(delta) * (abs(z) + abs(delta)) < 2.0:
        half, total = 0.5 * delta, 0.0
        for i in range(8):
            for t in (half * (1.0 - NODES[i]), half * (1.0 + NODES[i])):
                total += WEIGHTS[i] * exp(-t * (z + 0.5 * t))
        return DENSITY0 * exp(-0.5 * z * z) * half * total
    there = z + delta
    if z > 0.0 and there > 0.0:
        return 0.5 * (erfc(z / ROOT2) - erfc(there / ROOT2))
    if z < 0.0 and there < 0.0:
        return 0.5 * (erfc(-there / ROOT2) - erfc(-z / ROOT2))
    return 0.5 * (erf(there / ROOT2) - erf(z / ROOT2))


class Formulas(NamedTuple):
    """The compiled functions of an activation, of its parameter p and of z."""

    value: Any
    """f(z)."""
    slope: Any
    """f′(z); at a kink the mean of the one-sided slopes."""
    half_curvature: Any
    """½f″(z), the second Taylor coefficient."""
    difference: Any
    """f(z + delta) − f(z), for any delta; it takes delta as well."""


def compiled(value, slope, half_curvature, difference):
    """Compile the formulas of an activation."""
    return Formulas(once(value), once(slope), once(half_curvature), once(difference))


@outlined
def rounding(kind, z, f):
    """Give the rounding error of f, a value or a slope at z as usually computed, in unit roundoffs; kinds as in `codes`."""
    if kind == RELATIVE:
        return 4.0 * abs(f) if z != f else 0.0
    if kind == PROPORTIONAL:
        return 4.0 * f
    if kind == BESIDE_ONE:
        return 2.0 + abs(f)
    if kind == OF_SIGMOID:
        return 4.0 * sigmoid(z)
    if kind == OF_PRODUCT:
        return 4.0 * abs(z)
    if kind == OF_PRODUCT_SLOPE:
        return 8.0 * (1.0 + abs(z))
    return 4.0 if kind == SATURATING else 0.0


def straight(p, z):
    """½f″ of what is straight."""
    return 0.0


def exponential_line(parts):
    """Return scale·z on the right of 0 and scale·α(e^z − 1) on its left; parts gives scale and α by the parameter."""
    parts = outlined(parts)

    def value(p, z):
        scale, alpha = parts(p)
        return scale * (z if z > 0.0 else alpha * expm1(z))

    def slope(p, z):
        scale, alpha = parts(p)
        left = scale * alpha
        return left * exp(z) if z < 0.0 else scale if z > 0.0 else 0.5 * (left + scale)

    def difference(p, z, delta):
        there = z + delta
        scale, alpha = parts(p)
        if z >= 0.0 and there >= 0.0:
            return scale * delta
        if z <= 0.0 and there <= 0.0:
            return scale * alpha * exp_difference(z, delta)
        return scale * ((there if there > 0.0 else alpha * expm1(there)) - (z if z > 0.0 else alpha * expm1(z)))

    def half_curvature(p, z):
        scale, alpha = parts(p)
        return 0.5 * (scale * alpha * exp(z)) if z < 0.0 else 0.0

    return compiled(value, slope, half_curvature, difference)


def clipped_line(ends, value=None):
    """Return a line between two bends, level outside; ends gives both and the slope by the parameter.

    Its value is z between the bends unless another one is given.
    """
    ends = outlined(ends)

    def clipped(p, z):
        low, high, _ = ends(p)
        return min(max(z, low), high)

    def slope(p, z):
        low, high, inside = ends(p)
        return inside if low < z < high else 0.5 * inside if z == low or z == high else 0.0

    def difference(p, z, delta):
        low, high, inside = ends(p)
        return inside * clip_difference(z, delta, low, high)

    return compiled(value or clipped, slope, straight, difference)


@outlined
def clip_difference(z, delta, low, high):
    """Difference of min(max(z, low), high)."""
    if z <= low:
        return min(max((z - low) + delta, 0.0), high - low)
    if z >= high:
        return max(min((z - high) + delta, 0.0), low - high)
    return min(max(delta, low - z), high - z)


def gated(w, w_difference):
    """Return z·σ(w(z)); the first gives w, w′ and w″ at z, the second w(z + delta) − w(z).

    A product z·g(z) changes by the upper end times the change of g plus the move times g at the lower end: terms of one
    sign unless both ends are negative.
    """
    inner, inner_difference = outlined(w), outlined(w_difference)

    # Apart, so that all of these round alike: constants of one gate would else let others of its products be contracted.
    @outlined
    def gate(z):
        apart()
        return inner(z)

    @outlined
    def gate_difference(z, delta):
        apart()
        return inner_difference(z, delta)

    def value(p, z):
        w, _, _ = gate(z)
        return z * sigmoid(w)

    def slope(p, z):
        w, w1, _ = gate(z)
        return sigmoid(w) + z * sigmoid_slope(w) * w1

    def half_curvature(p, z):
        w, w1, w2 = gate(z)
        return sigmoid_slope(w) * (w1 + 0.5 * z * (w2 - tanh(0.5 * w) * w1 * w1))

    def difference(p, z, delta):
        w, moved = gate(z)[0], gate_difference(z, delta)
        lower = sigmoid(w) if delta > 0.0 else sigmoid_moved(w, moved)
        return max(z, z + delta) * sigmoid_difference(w, moved) + delta * lower

    return compiled(value, slope, half_curvature, difference)


def gelu_tanh_gate(z):
    """Return w, w′ and w″ of GELU by tanh."""
    c = 2.0 * sqrt(2.0 / pi)
    return c * z * (1.0 + GELU_CUBIC * z * z), c * (1.0 + 3.0 * GELU_CUBIC * z * z), 6.0 * c * GELU_CUBIC * z


def gelu_tanh_gate_difference(z, delta):
    """w(z + delta) − w(z) of the same."""
    middle = z + 0.5 * delta
    return 2.0 * sqrt(2.0 / pi) * delta * (1.0 + GELU_CUBIC * (3.0 * middle * middle + 0.25 * delta * delta))


def gelu_difference(p, z, delta):
    """Φ being its g, as `gated` has it."""
    lower = 0.5 * erfc(-min(z, z + delta) / ROOT2)
    return max(z, z + delta) * normal_difference(z, delta) + delta * lower


def leaky_relu_difference(p, z, delta):
    """Straight pieces are joined by what lies on either side of the bend."""
    there = z + delta
    if z >= 0.0 and there >= 0.0:
        return delta
    if z <= 0.0 and there <= 0.0:
        return p * delta
    return (there if there > 0.0 else p * there) - (z if z > 0.0 else p * z)


def softsign_half_curvature(p, z):
    """Its sign changes at 0."""
    bend = 1.0 / ((1.0 + abs(z)) * (1.0 + abs(z)) * (1.0 + abs(z)))
    return -bend if z > 0.0 else bend if z < 0.0 else 0.0


def softsign_difference(p, z, delta):
    """On one side of 0 there is one formula."""
    there = z + delta
    if (z > 0.0) == (there > 0.0):
        return delta / ((1.0 + abs(z)) * (1.0 + abs(there)))
    return there / (1.0 + abs(there)) - z / (1.0 + abs(z))


def sine_difference(p, z, delta):
    """2 cos(z + δ/2) sin(δ/2), without rounding z + δ/2."""
    half = 0.5 * delta
    return 2.0 * sin(half) * (cos(z) * cos(half) - sin(z) * sin(half))


FORMULAS = {
    IDENTITY: compiled(lambda p, z: z, lambda p, z: 1.0, straight, lambda p, z, delta: delta),
    SIGMOID: compiled(
        lambda p, z: sigmoid(z),
        lambda p, z: sigmoid_slope(z),
        lambda p, z: -0.5 * sigmoid_slope(z) * tanh(0.5 * z),
        lambda p, z, delta: sigmoid_difference(z, delta),
    ),
    TANH: compiled(
        lambda p, z: tanh(z),
        lambda p, z: 4.0 * sigmoid_slope(2.0 * z),
        lambda p, z: -4.0 * sigmoid_slope(2.0 * z) * tanh(z),
        lambda p, z, delta: 2.0 * sigmoid_difference(2.0 * z, 2.0 * delta),  # tanh z = 2σ(2z) − 1
    ),
    RELU: compiled(
        lambda p, z: max(z, 0.0),
        lambda p, z: 1.0 if z > 0.0 else 0.0 if z < 0.0 else 0.5,
        straight,
        lambda p, z, delta: max(delta, -z) if z > 0.0 else max(z + delta, 0.0),
    ),
    LEAKY_RELU: compiled(
        lambda p, z: z if z > 0.0 else p * z,
        lambda p, z: 1.0 if z > 0.0 else p if z < 0.0 else 0.5 * (p + 1.0),
        straight,
        leaky_relu_difference,
    ),
    ELU: exponential_line(lambda p: (1.0, p)),
    SELU: exponential_line(lambda p: (SELU_SCALE, SELU_ALPHA)),
    RELU6: clipped_line(lambda p: (0.0, 6.0, 1.0)),
    SOFTPLUS: compiled(
        lambda p, z: softplus(z),
        lambda p, z: sigmoid(z),
        lambda p, z: 0.5 * sigmoid_slope(z),
        lambda p, z, delta: softplus_difference(z, delta),
    ),
    SILU: gated(lambda z: (z, 1.0, 0.0), lambda z, delta: delta),
    GELU: compiled(
        lambda p, z: 0.5 * z * erfc(-z / ROOT2),
        lambda p, z: 0.5 * erfc(-z / ROOT2) + z * DENSITY0 * exp(-0.5 * z * z),
        lambda p, z: DENSITY0 * exp(-0.5 * z * z) * (1.0 - 0.5 * z * z),
        gelu_difference,
    ),
    GELU_TANH: gated(gelu_tanh_gate, gelu_tanh_gate_difference),
    MISH: gated(  # e^w = e^z(e^z + 2)/2
        lambda z: (z + softplus(z - LOG2), 1.0 + sigmoid(z - LOG2), sigmoid_slope(z - LOG2)),
        lambda z, delta: delta + softplus_difference(z - LOG2, delta),
    ),
    SOFTSIGN: compiled(
        lambda p, z: z / (1.0 + abs(z)),
        lambda p, z: 1.0 / ((1.0 + abs(z)) * (1.0 + abs(z))),
        softsign_half_curvature,
        softsign_difference,
    ),
    ARCTAN: compiled(
        lambda p, z: atan(z),
        lambda p, z: 1.0 / (1.0 + z * z),
        lambda p, z: -z / ((1.0 + z * z) * (1.0 + z * z)),
        lambda p, z, delta: atan2(delta, 1.0 + z * (z + delta)),
    ),
    SIN: compiled(lambda p, z: sin(z), lambda p, z: cos(z), lambda p, z: -0.5 * sin(z), sine_difference),
    HARD_SIGMOID: clipped_line(lambda p: (-0.5 / p, 0.5 / p, p), lambda p, z: min(max(p * z + 0.5, 0.0), 1.0)),
    HARD_TANH: clipped_line(lambda p: (-1.0, 1.0, 1.0)),
    EXP: compiled(
        lambda p, z: exp(z),
        lambda p, z: exp(z),
        lambda p, z: 0.5 * exp(z),
        lambda p, z, delta: exp_difference(z, delta),
    ),
}
"""The formulas of each activation by its code: a new one is one more row."""


def _of_kind(kind: str, parameters: str = "p, z") -> Any:
    return by_code({code: getattr(formulas, kind) for code, formulas in FORMULAS.items()}, parameters)


value, slope, half_curvature = _of_kind("value"), _of_kind("slope"), _of_kind("half_curvature")
difference = _of_kind("difference", "p, z, delta")
"""The same for kernels, which have the code of a layer: value(code, p, z) and so on."""


@outlined
def kink_distance(kinks, z):
    """How far z is from the nearest of some kinks; inf where there is none."""
    nearest = abs(z - kinks[0]) if kinks.size else inf
    for k in range(1, kinks.size):
        nearest = min(nearest, abs(z - kinks[k]))
    return nearest
