"""Every activation's value, Taylor coefficients and difference against mpmath, over the places where they are hard.

Bounds are in unit roundoffs of the sum of absolute terms that make the result up; for most there is one term, the result
itself. Below FLOOR numbers are on their way to underflow and are lost to relative accuracy.
"""

import math
from itertools import product

import numpy as np
import pytest
from mpmath import mp

from fastgrad.kernels import codes, launch
from fastgrad.model.activations import ACTIVATION_CODES, parse_activation
from fastgrad.model.forward import kernel_activation
from fastgrad.numerical.kinks import one_sided_slopes
from fastgrad.numerical.steps import SMALL_MOVE

import reference

UNIT_ROUNDOFF = 2.0**-53
FLOOR = 1e-303
DIGITS = 380
"""So many that neither a move of 1e-300 nor a value of e^−700 cancels."""
NAMES = (*ACTIVATION_CODES, "leaky_relu:0.25", "leaky_relu:0", "elu:1.7", "hard_sigmoid:0.2")

HARD = (
    1e-300,
    1e-8,
    0.1,
    0.5,
    math.log(2),
    1.0,
    1.2784645,
    1.5,
    2.0,
    2.5,
    3.0,
    3.3,
    5.0,
    6.0,
    8.0,
    20.0,
    37.0,
    100.0,
    350.0,
    700.0,
)
POINTS = np.array(sorted({sign * z for sign in (1.0, -1.0) for z in (0.0, *HARD)}))
MOVES = np.array(
    [s * d for s in (1.0, -1.0) for d in (1e-300, 1e-100, 1e-20, 1e-12, SMALL_MOVE, 1e-5, 1e-3, 0.1, 0.5, 2.0, 6.0, 10.0)]
)

DIFFERENCE_BOUND = 6.0
VALUE_BOUND = 6.0
PRODUCTS = ("silu", "gelu", "gelu_tanh", "mish")


def table(name, z, moves):
    """Return value, slope and ½f″ at every z, shape (3, Z), and every difference, shape (Z, D)."""
    base, p = parse_activation(name)
    z, code = np.array([z], dtype=float), ACTIVATION_CODES[base]
    value, units = np.empty_like(z), np.empty((5, *z.shape))
    launch.tabulate_layer(kernel_activation(code, p), z, value, np.empty_like(z), np.empty_like(z), units, 0, 0, 1)
    local = np.stack([value[0], units[codes.SLOPE, 0], units[codes.CURVATURE, 0]])
    differences = np.array([moves] * z.size, dtype=float)
    for at, row in zip(z[0], differences, strict=True):
        launch.exact_activation(code, p, at, 1.0, row, 0, row.size)
    return local, differences


def argument_cost(name, z):
    """How many times its argument's relative error a factor e^w of the activation is off: 1 + z² for φ, 1 + |w| for σ(w)."""
    if name == "gelu":
        return 1.0 + z * z
    if name == "gelu_tanh":
        return 1.0 + 2.0 * abs(reference._gelu_argument(z, math))
    return 1.0 + abs(z) if name == "mish" else 1.0


def gate(name, z):
    """g of the activations z·g(z), in mpmath."""
    if name == "gelu" and abs(z) > 60:  # where mpmath takes long, and Φ is 0 or 1 to e^−1800
        return mp.mpf(z > 0)
    return {
        "silu": lambda: reference.sigmoid(z, mp),
        "gelu": lambda: reference.normal_distribution(z, mp),
        "gelu_tanh": lambda: reference.sigmoid(2 * reference._gelu_argument(z, mp), mp),
        "mish": lambda: mp.tanh(reference.softplus(z, mp)),
    }[name]()


def difference_terms(name, z, delta, exact):
    """Sum of the absolute terms of a difference, and how much more than rounding each costs."""
    if name in PRODUCTS:
        with mp.workdps(DIGITS):
            low, high = sorted([mp.mpf(z), mp.mpf(z) + mp.mpf(delta)])
            terms = abs(high * (gate(name, high) - gate(name, low))) + abs(delta * gate(name, low))
        return float(terms) * max(argument_cost(name, z), argument_cost(name, z + delta))
    if name == "sin":
        half = delta / 2
        return 2 * abs(math.sin(half)) * (abs(math.cos(z) * math.cos(half)) + abs(math.sin(z) * math.sin(half)))
    return float(abs(exact)) + (1.0 if name.startswith("hard_sigmoid") else 0.0)


@pytest.mark.parametrize("name", NAMES)
def test_difference_is_exact_to_a_few_roundoffs(name):
    _, differences = table(name, POINTS, MOVES)
    worst = (0.0,)
    for (i, z), (j, delta) in product(enumerate(POINTS), enumerate(MOVES)):
        exact = reference.exact_difference(name, float(z), float(delta), digits=40)
        if abs(exact) > 1e308:
            continue
        error = float(abs(mp.mpf(differences[i, j]) - exact))
        allowed = UNIT_ROUNDOFF * max(difference_terms(name, float(z), float(delta), exact), FLOOR)
        worst = max(worst, (error / allowed, z, delta))
    print(f"{name}: worst {worst[0]:.2f} roundoffs, at z, delta = {worst[1:]}")
    assert worst[0] <= DIFFERENCE_BOUND, worst


@pytest.mark.parametrize("name", [name for name in NAMES if "hard_sigmoid" not in name])
@pytest.mark.parametrize("side", [1.0, -1.0])
def test_difference_across_and_from_a_kink(name, side):
    kinks = reference.activation(name).kinks or (0.0,)
    starts = [kink - side * d for kink in kinks for d in (0.0, 1e-12, 1e-3, 1.0)]
    moves = [side * d for d in (1e-300, 1e-12, 2e-12, 1e-3, 2e-3, 1.0, 8.0)]
    _, differences = table(name, starts, moves)
    for (i, z), (j, delta) in product(enumerate(starts), enumerate(moves)):
        exact = reference.exact_difference(name, z, delta, digits=40)
        terms = difference_terms(name, z, delta, exact)
        assert abs(differences[i, j] - exact) <= DIFFERENCE_BOUND * UNIT_ROUNDOFF * max(terms, FLOOR), (z, delta)


def exact_local(name, z):
    """Value, one-sided slopes and ½f″."""
    f = reference.activation(name)
    slopes = [reference.exact_difference(name, z, step, digits=50) / mp.mpf(step) for step in (-1e-30, 1e-30)]
    if name == "gelu" and abs(z) > 60:
        return mp.mpf(max(z, 0)), *slopes, mp.mpf(0)
    with mp.workdps(DIGITS + (320 if 0 < abs(z) < 1e-100 else 0)):
        z, h = mp.mpf(z), mp.mpf(1e-30) * (abs(z) or 1)
        curvature = (f.derivative(z + h, mp) - f.derivative(z - h, mp)) / (4 * h)
        return f.value(z, mp), *slopes, curvature


def local_terms(name, z, value, slope, curvature):
    """Sums of absolute terms of value, slope and ½f″."""
    scales = np.array([float(abs(value)), float(abs(slope)), float(abs(curvature))])
    if name.startswith("hard_sigmoid"):
        return scales + np.array([1.0, 0.0, 0.0])
    if name not in PRODUCTS:
        return scales
    with mp.workdps(DIGITS):
        z, h = mp.mpf(z), mp.mpf(1e-20)
        below, g0, above = (gate(name, z + move) for move in (-h, 0, h))
        g1, g2 = (above - below) / (2 * h), (above - 2 * g0 + below) / (h * h)
        # g″ of σ(w) is a difference itself, σ′(w)(w″ − tanh(w/2)·w′²), and vanishes at 0.
        parts = [abs(z * g0), abs(g0) + abs(z * g1), abs(g1) + abs(z * g2) + abs(z) * abs(g1)]
        return np.array([float(part) for part in parts]) * argument_cost(name, float(z))


@pytest.mark.parametrize("name", NAMES)
def test_value_and_taylor_coefficients(name):
    local, _ = table(name, POINTS, MOVES[:1])
    kinks = reference.activation(name).kinks
    worst = [(0.0,), (0.0,), (0.0,)]
    for i, z in enumerate(map(float, POINTS)):
        value, left, right, curvature = exact_local(name, z)
        near = any(abs(z - kink) < 1e-12 for kink in kinks)
        slope = (left + right) / 2
        scales = local_terms(name, z, value, slope, curvature)
        for quantity, exact in enumerate((value, slope, curvature)):
            if quantity and near and (quantity == 2 or z != 0.0):
                continue  # no ½f″ on a kink, and a slope on one only where the kink is a double
            if abs(exact) > 1e308:
                continue
            error = float(abs(mp.mpf(local[quantity, i]) - exact))
            allowed = UNIT_ROUNDOFF * max(scales[quantity], FLOOR)
            worst[quantity] = max(worst[quantity], (error / allowed, z))
    print(f"{name}: worst of value, slope, half curvature: {worst}")
    assert max(ratio for ratio, *_ in worst) <= VALUE_BOUND, worst


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "leaky_relu:0.25", "elu:1.7", "selu", "relu6", "hard_tanh"])
def test_slope_on_a_kink_is_the_mean_and_both_sides_are_known(name):
    base, p = parse_activation(name)
    for kink in reference.activation(name).kinks:
        left, right = (float(reference.exact_difference(name, kink, d) / mp.mpf(d)) for d in (-1e-30, 1e-30))
        (_, (slope,), _), _ = table(name, [kink], [1.0])
        assert slope == pytest.approx((left + right) / 2, rel=2 * UNIT_ROUNDOFF)
        sides = np.ravel(one_sided_slopes(ACTIVATION_CODES[base], p, np.array([kink])))
        assert sides == pytest.approx((left, right), rel=2 * UNIT_ROUNDOFF)


@pytest.mark.parametrize("name", NAMES)
def test_two_taylor_terms_serve_up_to_the_largest_small_move(name):
    kinks = reference.activation(name).kinks + ((0.0,) if name == "softsign" else ())
    points = [z for z in map(float, POINTS) if all(abs(z - kink) > 1e-7 for kink in kinks)]
    local, _ = table(name, points, MOVES[:1])
    for i, z in enumerate(points):
        for delta in (SMALL_MOVE, -SMALL_MOVE):
            exact = reference.exact_difference(name, z, delta, digits=40)
            if abs(exact) > 1e308:
                continue
            taylor = delta * (local[1, i] + delta * local[2, i])
            scales = local_terms(name, z, 1.0, local[1, i], local[2, i])
            terms = abs(delta) * scales[1] + delta * delta * scales[2]
            assert abs(taylor - exact) <= VALUE_BOUND * UNIT_ROUNDOFF * max(terms, FLOOR), (z, delta)


@pytest.mark.compiled  # math.exp overflows with an exception where compiled code gives inf
@pytest.mark.parametrize("name", [name for name in NAMES if name != "exp"])
def test_moves_beyond_the_range_of_the_exponential_are_finite_and_right(name):
    starts, moves = [-1e6, -1500.0, -800.0, -705.0, 0.3, 705.0, 800.0, 1e6], [-2e6, -1600.0, -1.0, 1.0, 1600.0, 2e6]
    _, differences = table(name, starts, moves)
    f = reference.activation(name).value
    for (i, z), (j, delta) in product(enumerate(starts), enumerate(moves)):
        with mp.workdps(40):
            exact = f(mp.mpf(z) + mp.mpf(delta), mp) - f(mp.mpf(z), mp)
        allowed = 8 * UNIT_ROUNDOFF * (abs(z) + abs(delta))
        assert differences[i, j] == pytest.approx(float(exact), abs=allowed), (z, delta)


@pytest.mark.compiled
@pytest.mark.parametrize(("z", "delta"), [(-1000.0, 1000.0), (-800.0, 790.0), (-300.0, 800.0), (5.0, -2000.0)])
def test_exponential_moved_from_where_it_vanishes(z, delta):
    _, ((difference,),) = table("exp", [z], [delta])
    with mp.workdps(40):
        exact = mp.exp(mp.mpf(z) + mp.mpf(delta)) - mp.exp(mp.mpf(z))
    assert difference == pytest.approx(float(exact), rel=4 * UNIT_ROUNDOFF)
