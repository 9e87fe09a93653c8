"""Activations: value, first two Taylor coefficients and exact difference, one scalar function each, chosen by code.

No formula here subtracts two numbers that may be close, but where a sum of two terms of opposite sign is the function's
own nature (SiLU, GELU and Mish left of 0, about their minimum, sin near a turning point): there the error is a few unit
roundoffs of the terms. Four more cost what rounding an argument costs: GELU's Φ and φ a few times 1 + z² roundoffs,
σ(w) of its form by tanh and of Mish 1 + |w|, and a hard sigmoid whose ends are no doubles one of its height. Numbers
below e^−700 may be lost. p is the activation's parameter: the slope of leaky ReLU, α of ELU, the slope of hard sigmoid.
"""

from math import atan, atan2, cos, erf, erfc, exp, expm1, inf, log, log1p, pi, sin, sqrt, tanh

from fastgrad.kernels.codes import (
    ARCTAN,
    ELU,
    EXP,
    GELU,
    GELU_TANH,
    HARD_SIGMOID,
    HARD_TANH,
    LEAKY_RELU,
    MISH,
    RELU,
    RELU6,
    SELU,
    SIGMOID,
    SILU,
    SIN,
    SOFTPLUS,
    SOFTSIGN,
    TANH,
)
from fastgrad.kernels.compile import outlined

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


@outlined
def gate(code, z):
    """Return w, w′ and w″ of the activations z·σ(w(z)): SiLU, GELU by tanh, and Mish, where e^w = e^z(e^z + 2)/2."""
    if code == SILU:
        return z, 1.0, 0.0
    if code == GELU_TANH:
        c = 2.0 * sqrt(2.0 / pi)
        return c * z * (1.0 + GELU_CUBIC * z * z), c * (1.0 + 3.0 * GELU_CUBIC * z * z), 6.0 * c * GELU_CUBIC * z
    return z + softplus(z - LOG2), 1.0 + sigmoid(z - LOG2), sigmoid_slope(z - LOG2)


@outlined
def gate_difference(code, z, delta):
    """w(z + delta) − w(z) of the same."""
    if code == SILU:
        return delta
    if code == GELU_TANH:
        middle = z + 0.5 * delta
        return 2.0 * sqrt(2.0 / pi) * delta * (1.0 + GELU_CUBIC * (3.0 * middle * middle + 0.25 * delta * delta))
    return delta + softplus_difference(z - LOG2, delta)


def clipped_line(code, p):
    """Return the ends of the straight piece of the activations that are a clipped line, and its slope."""
    if code == RELU6:
        return 0.0, 6.0, 1.0
    if code == HARD_TANH:
        return -1.0, 1.0, 1.0
    return -0.5 / p, 0.5 / p, p


linear_ends = outlined(clipped_line)  # Python calls the one, kernels the other


@outlined
def clip_difference(z, delta, low, high):
    """Difference of min(max(z, low), high)."""
    if z <= low:
        return min(max((z - low) + delta, 0.0), high - low)
    if z >= high:
        return max(min((z - high) + delta, 0.0), low - high)
    return min(max(delta, low - z), high - z)


@outlined
def elu_parts(code, p):
    """Return the scale of ELU or SELU and its α."""
    return (SELU_SCALE, SELU_ALPHA) if code == SELU else (1.0, p)


@outlined
def value(code, p, z):
    """f(z)."""
    if code == SIGMOID:
        return sigmoid(z)
    if code == TANH:
        return tanh(z)
    if code == RELU:
        return max(z, 0.0)
    if code == LEAKY_RELU:
        return z if z > 0.0 else p * z
    if code == ELU or code == SELU:
        scale, alpha = elu_parts(code, p)
        return scale * (z if z > 0.0 else alpha * expm1(z))
    if code == RELU6 or code == HARD_TANH:
        low, high, _ = linear_ends(code, p)
        return min(max(z, low), high)
    if code == HARD_SIGMOID:
        return min(max(p * z + 0.5, 0.0), 1.0)
    if code == SOFTPLUS:
        return softplus(z)
    if code == SILU or code == GELU_TANH or code == MISH:
        return z * sigmoid(gate(code, z)[0])
    if code == GELU:
        return 0.5 * z * erfc(-z / ROOT2)
    if code == SOFTSIGN:
        return z / (1.0 + abs(z))
    if code == ARCTAN:
        return atan(z)
    if code == SIN:
        return sin(z)
    return exp(z) if code == EXP else z


@outlined
def slope(code, p, z):
    """f′(z); at a kink the mean of the one-sided slopes."""
    if code == SIGMOID or code == SOFTPLUS:
        return sigmoid_slope(z) if code == SIGMOID else sigmoid(z)
    if code == TANH:
        return 4.0 * sigmoid_slope(2.0 * z)
    if code == RELU or code == LEAKY_RELU or code == ELU or code == SELU:
        left, right = slopes_at_zero(code, p)
        if z < 0.0 and (code == ELU or code == SELU):
            return left * exp(z)
        return right if z > 0.0 else left if z < 0.0 else 0.5 * (left + right)
    if code == RELU6 or code == HARD_TANH or code == HARD_SIGMOID:
        low, high, inside = linear_ends(code, p)
        return inside if low < z < high else 0.5 * inside if z == low or z == high else 0.0
    if code == SILU or code == GELU_TANH or code == MISH:
        w, w1, _ = gate(code, z)
        return sigmoid(w) + z * sigmoid_slope(w) * w1
    if code == GELU:
        return 0.5 * erfc(-z / ROOT2) + z * DENSITY0 * exp(-0.5 * z * z)
    if code == SOFTSIGN:
        return 1.0 / ((1.0 + abs(z)) * (1.0 + abs(z)))
    if code == ARCTAN:
        return 1.0 / (1.0 + z * z)
    if code == SIN:
        return cos(z)
    return exp(z) if code == EXP else 1.0


@outlined
def slopes_at_zero(code, p):
    """f′(0−) and f′(0+) of the activations that bend at 0."""
    if code == RELU:
        return 0.0, 1.0
    if code == LEAKY_RELU:
        return p, 1.0
    scale, alpha = elu_parts(code, p)
    return scale * alpha, scale


@outlined
def half_curvature(code, p, z):
    """½f″(z), the second Taylor coefficient."""
    if code == SIGMOID:
        return -0.5 * sigmoid_slope(z) * tanh(0.5 * z)
    if code == TANH:
        return -4.0 * sigmoid_slope(2.0 * z) * tanh(z)
    if code == ELU or code == SELU:
        return 0.5 * slope(code, p, z) if z < 0.0 else 0.0
    if code == SOFTPLUS:
        return 0.5 * sigmoid_slope(z)
    if code == SILU or code == GELU_TANH or code == MISH:
        w, w1, w2 = gate(code, z)
        return sigmoid_slope(w) * (w1 + 0.5 * z * (w2 - tanh(0.5 * w) * w1 * w1))
    if code == GELU:
        return DENSITY0 * exp(-0.5 * z * z) * (1.0 - 0.5 * z * z)
    if code == SOFTSIGN:
        bend = 1.0 / ((1.0 + abs(z)) * (1.0 + abs(z)) * (1.0 + abs(z)))
        return -bend if z > 0.0 else bend if z < 0.0 else 0.0
    if code == ARCTAN:
        return -z / ((1.0 + z * z) * (1.0 + z * z))
    if code == SIN:
        return -0.5 * sin(z)
    return 0.5 * exp(z) if code == EXP else 0.0


@outlined
def kink_distance(code, p, z):
    """How far z is from the nearest point where f′ or f″ jumps, and two Taylor terms end; inf where there is none."""
    if code == RELU or code == LEAKY_RELU or code == ELU or code == SELU or code == SOFTSIGN:
        return abs(z)
    if code == RELU6 or code == HARD_TANH or code == HARD_SIGMOID:
        low, high, _ = linear_ends(code, p)
        return min(abs(z - low), abs(z - high))
    return inf


@outlined
def value_scale(code, p, z):
    """Give the rounding error of f(z) as usually computed, in unit roundoffs; 1 for tanh by exponentials at any z."""
    if code == TANH or code == SOFTPLUS or code == ELU or code == SELU or code == HARD_SIGMOID:
        return 2.0 + abs(value(code, p, z))
    if code == SILU or code == GELU or code == GELU_TANH or code == MISH:
        return 4.0 * abs(z)
    if code == RELU or code == RELU6 or code == HARD_TANH:
        return 0.0
    return 4.0 * abs(value(code, p, z)) if z != value(code, p, z) else 0.0


@outlined
def slope_scale(code, p, z):
    """Give the rounding error of f′(z) as usually computed, in unit roundoffs; 1 − a² cancels where f saturates."""
    if code == TANH or code == SIN or code == ELU or code == SELU:
        return 4.0
    if code == SIGMOID or code == SOFTPLUS:
        return 4.0 * sigmoid(z)
    if code == SILU or code == GELU or code == GELU_TANH or code == MISH:
        return 8.0 * (1.0 + abs(z))
    if code == SOFTSIGN or code == ARCTAN or code == EXP:
        return 4.0 * slope(code, p, z)
    return 0.0


@outlined
def difference(code, p, z, delta):
    """f(z + delta) − f(z), for any delta.

    tanh is 2σ(2z) − 1. Straight pieces are joined by what lies on either side of the bend. A product z·g(z) changes by
    the upper end times the change of g plus the move times g at the lower end: terms of one sign unless both ends are
    negative.
    """
    if code == SIGMOID:
        return sigmoid_difference(z, delta)
    if code == TANH:
        return 2.0 * sigmoid_difference(2.0 * z, 2.0 * delta)
    if code == RELU:
        return max(delta, -z) if z > 0.0 else max(z + delta, 0.0)
    if code == LEAKY_RELU or code == ELU or code == SELU:
        return bent_difference(code, p, z, delta)
    if code == RELU6 or code == HARD_TANH or code == HARD_SIGMOID:
        low, high, inside = linear_ends(code, p)
        return inside * clip_difference(z, delta, low, high)
    if code == SOFTPLUS:
        return softplus_difference(z, delta)
    if code == SILU or code == GELU_TANH or code == MISH:
        w, moved = gate(code, z)[0], gate_difference(code, z, delta)
        lower = sigmoid(w) if delta > 0.0 else sigmoid_moved(w, moved)
        return max(z, z + delta) * sigmoid_difference(w, moved) + delta * lower
    if code == GELU:
        lower = 0.5 * erfc(-min(z, z + delta) / ROOT2)
        return max(z, z + delta) * normal_difference(z, delta) + delta * lower
    if code == SOFTSIGN:
        there = z + delta
        if (z > 0.0) == (there > 0.0):
            return delta / ((1.0 + abs(z)) * (1.0 + abs(there)))
        return there / (1.0 + abs(there)) - z / (1.0 + abs(z))
    if code == ARCTAN:
        return atan2(delta, 1.0 + z * (z + delta))
    if code == SIN:
        half = 0.5 * delta
        return 2.0 * sin(half) * (cos(z) * cos(half) - sin(z) * sin(half))
    return exp_difference(z, delta) if code == EXP else delta


@outlined
def bent_difference(code, p, z, delta):
    """Difference of the activations that are a line on the right of 0 and another line, or α(e^z − 1), on its left."""
    there = z + delta
    _, right = slopes_at_zero(code, p)
    if z >= 0.0 and there >= 0.0:
        return right * delta
    if code == LEAKY_RELU:
        if z <= 0.0 and there <= 0.0:
            return p * delta
        return (there if there > 0.0 else p * there) - (z if z > 0.0 else p * z)
    scale, alpha = elu_parts(code, p)
    if z <= 0.0 and there <= 0.0:
        return scale * alpha * exp_difference(z, delta)
    return scale * ((there if there > 0.0 else alpha * expm1(there)) - (z if z > 0.0 else alpha * expm1(z)))


def one_sided_slopes(code: int, p: float, z: float) -> tuple[float, float]:
    """f′ on the left and on the right of the bend nearest to z; for Python, and the few units that sit on one."""
    if code == SOFTSIGN:
        return 1.0, 1.0
    if code in (RELU6, HARD_TANH, HARD_SIGMOID):
        low, high, inside = clipped_line(code, p)
        return (0.0, inside) if abs(z - low) < abs(z - high) else (inside, 0.0)
    if code == SELU:
        return SELU_SCALE * SELU_ALPHA, SELU_SCALE
    return {RELU: 0.0, LEAKY_RELU: p, ELU: p}[code], 1.0
