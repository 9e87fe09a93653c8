"""Derivatives and gradients of any function: figures published, standard problems, schemes, noise, and what a kink does."""

import math

import numpy as np
import pytest

import fastgrad
from fastgrad.functions.gradient import NumericalGradient

from standard import PROBLEMS, chained_rosenbrock, chained_rosenbrock_gradient, trembling

SCHEMES = ("forward", "central", "five-point")


def parabola(x):
    return 0.01 * x**2 + 0.1 * x


def bowl(x):
    return x[0] ** 2 + x[1] ** 2


def test_published_derivatives_to_the_last_digit():
    assert fastgrad.derivative(parabola, 5, step=1e-4) == 0.1999999999990898
    assert fastgrad.derivative(parabola, 10, step=1e-4) == 0.2999999999986347
    assert fastgrad.derivative(lambda x: x * x + 4.0**2.0, 3.0, step=1e-4) == 6.00000000000378


def test_published_derivatives_by_hand():
    assert fastgrad.derivative(lambda x: x**2 + 3 * x, 2, step=0.001) == pytest.approx(7, abs=1e-12)
    assert fastgrad.derivative(lambda x: x**2, 3, step=0.01, scheme="forward") == pytest.approx(6.01, abs=1e-12)
    assert fastgrad.derivative(lambda x: x**2, 3, step=0.01, scheme="central") == pytest.approx(6.0, abs=1e-12)


@pytest.mark.parametrize(("x", "printed"), [([3.0, 4.0], "[6. 8.]"), ([0.0, 2.0], "[0. 4.]")])
@pytest.mark.parametrize("options", [{}, {"step": 1e-4}])
def test_published_gradients(x, printed, options):
    assert str(fastgrad.numerical_gradient(bowl, np.array(x), **options).round(9) + 0.0) == printed


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
def test_standard_problems_real(problem):
    found = fastgrad.numerical_gradient(problem.real, problem.x, full=True)
    off = np.abs(found.value - problem.exact())
    assert found.scheme == "extrapolated"
    # The estimate speaks of a typical case; an entry may be a few times further off. Rounding of the exact value beside it.
    assert np.all(off <= 4.0 * found.error + 4.0 * 2.0**-53 * np.abs(problem.exact()))
    assert np.abs(off).max() < 1e-11 * np.abs(problem.exact()).max() or problem.name == "Brown badly scaled"


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
def test_standard_problems_complex(problem):
    found = fastgrad.numerical_gradient(problem, problem.x, full=True)
    # As close as the formula of the gradient comes in floats, whose own rounding is the measure.
    analytic = np.abs(problem.analytic(problem.x) - problem.exact()).max()
    assert found.scheme == "complex"
    assert np.abs(found.value - problem.exact()).max() <= 4 * analytic + 1e-15 * np.abs(problem.exact()).max()
    assert found.evaluations == problem.x.size + 5


@pytest.mark.parametrize("size", [2, 10, 100, 1000])
def test_chained_rosenbrock(size):
    x = np.random.default_rng(size).normal(size=size)
    expected = chained_rosenbrock_gradient(x)
    found = fastgrad.numerical_gradient(lambda x: float(chained_rosenbrock(x)), x, full=True)
    assert np.all(np.abs(found.value - expected) <= 4.0 * found.error + 1e-14 * np.abs(expected).max())
    assert np.abs(found.value - expected).max() < 1e-11 * np.abs(expected).max()
    assert found.evaluations <= 8 * size + 20


@pytest.mark.parametrize(
    ("f", "derivative", "x"),
    [
        (math.sin, math.cos, 1.0),
        (math.sin, math.cos, 100.0),
        (math.exp, math.exp, 30.0),
        (math.log, lambda x: 1 / x, 1e-3),  # the first steps leave the domain
        (math.sqrt, lambda x: 0.5 / math.sqrt(x), 1e-6),
        (lambda x: math.sin(2 * math.pi * x), lambda x: 2 * math.pi, 64.0),  # steps of whole periods see a constant
        (lambda x: math.sin(1000 * x), lambda x: 1000 * math.cos(1000 * x), 0.3),  # waves far shorter than the first step
        (lambda x: 1 / (1 + 25 * x * x), lambda x: -50 * x / (1 + 25 * x * x) ** 2, 0.5),
        (lambda x: max(0.0, x - 1e-3), lambda x: 0.0, 0.0),  # a kink beside the point
        (lambda x: max(0.0, x - 1e-3), lambda x: 1.0, 0.002),
        (lambda x: 5.0, lambda x: 0.0, 1.0),
    ],
)
def test_functions_of_one_number(f, derivative, x):
    found = fastgrad.derivative(lambda x: f(float(x)), x, full=True)
    expected = derivative(x)
    assert abs(found.value - expected) <= 4 * found.error + 4 * 2.0**-53 * abs(expected)
    assert abs(found.value - expected) <= 1e-10 * max(abs(expected), 1.0)


@pytest.mark.parametrize("f", [abs, lambda x: max(x, 0.0), lambda x: 3 * abs(x) + x])
def test_error_on_a_kink_is_half_the_jump(f):
    found = fastgrad.derivative(f, 0.0, full=True)
    left, right = (f(0.0) - f(-1.0)), (f(1.0) - f(0.0))
    assert found.value == pytest.approx((left + right) / 2, abs=1e-12)
    assert found.error == pytest.approx(abs(right - left) / 2, rel=1e-9)


@pytest.mark.parametrize("distance", [1e-1, 1e-3, 1e-5, 1e-7])
@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_kinks_beside_the_point_are_passed(distance, side):
    x = np.array([side * distance])
    found = fastgrad.numerical_gradient(lambda x: math.fsum(np.abs(x) + np.maximum(x, 0.0) ** 2), x, full=True)
    assert found.value[0] == pytest.approx(side + 2 * max(x[0], 0.0), abs=1e-8)
    assert found.step[0] <= distance


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("level", [0.0, 1e-9, 1e-5])
@pytest.mark.parametrize("x", [[0.4], [1.0, -2.0, 0.2]])
def test_schemes_choose_steps_for_noise(scheme, level, x):
    x = np.array(x)
    found = fastgrad.numerical_gradient(lambda x: np.sin(x).sum() + trembling(x, level), x, scheme=scheme, full=True)
    off = np.abs(found.value - np.cos(x))
    # With noise ε and derivatives of size 1 the formulas reach ε^(1/2), ε^(2/3), ε^(4/5); ten times that is allowed.
    power = {"forward": 1 / 2, "central": 2 / 3, "five-point": 4 / 5}[scheme]
    assert off.max() <= 10 * max(level, 32 * 2.0**-53) ** power
    assert np.all(off <= 10 * found.error)


@pytest.mark.parametrize("level", [1e-9, 1e-6, 1e-3])
def test_extrapolation_stops_at_noise(level):
    x = np.array([1.0, -0.5, 2.0, 0.1, 0.7])
    found = fastgrad.numerical_gradient(lambda x: np.sin(x).sum() + trembling(x, level), x, full=True)
    assert np.all(np.abs(found.value - np.cos(x)) <= 4 * found.error)
    assert found.error.max() <= 100 * level
    assert level / 8 < found.noise < 8 * level


def real_sine(x):
    if np.iscomplexobj(x):
        raise TypeError("real numbers only")
    return np.sin(x).sum()


@pytest.mark.parametrize(("scheme", "evaluations"), [("forward", 1), ("central", 2), ("five-point", 4), ("complex", 1)])
def test_a_formula_costs_what_it_needs(scheme, evaluations):
    calls = []

    def counted(x):
        calls.append(x)
        return np.sin(x).sum()

    fastgrad.numerical_gradient(counted, np.ones(50), scheme=scheme, step=1e-5)
    assert len(calls) == 50 * evaluations + 2  # f(x), and whether it is the same again


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.abs(x).sum(),
        lambda x: (x * np.conj(x)).sum(),
        lambda x: np.real(x).sum() + np.sin(x[0]),
        lambda x: (np.asarray(x, dtype=complex).real ** 2).sum(),
        lambda x: math.fsum(x),
        lambda x: np.linalg.norm(x),
    ],
)
def test_complex_steps_only_where_a_function_is_analytic(f):
    x = np.array([1.0, 2.0, -0.5])
    found = fastgrad.numerical_gradient(f, x, full=True)
    expected = fastgrad.numerical_gradient(f, x, step=1e-6)
    assert found.scheme in ("extrapolated", "exact")
    assert found.value == pytest.approx(expected, abs=1e-8)


def test_relu_is_differentiated_by_complex_steps_off_its_kinks_only():
    off = fastgrad.numerical_gradient(lambda x: np.where(x.real > 0, x, 0 * x).sum(), np.array([1.0, -1.0]), full=True)
    on = fastgrad.numerical_gradient(lambda x: np.where(x.real > 0, x, 0 * x).sum(), np.array([1.0, 0.0]), full=True)
    assert (off.scheme, off.value.tolist()) == ("complex", [1.0, 0.0])
    assert on.scheme == "exact"
    assert on.value[1] == pytest.approx(0.5, abs=1e-9)


# SciPy's own cases of approx_derivative, scalar functions, with its analytic derivatives.
SCIPY = [
    (np.sinh, np.cosh, 1.0),
    (
        lambda x: np.sin(x[0] * x[1]) * np.log(x[0]),
        lambda x: np.array(
            [
                x[1] * np.cos(x[0] * x[1]) * np.log(x[0]) + np.sin(x[0] * x[1]) / x[0],
                x[0] * np.cos(x[0] * x[1]) * np.log(x[0]),
            ]
        ),
        np.array([100.0, -0.5]),
    ),
    (lambda x: math.exp(np.asarray(x).item()), lambda x: math.exp(np.asarray(x).item()), 1.0),
    (lambda x: x[0] ** 3 * x[1] ** -0.5, lambda x: np.array([3 * x[0] ** 2 * x[1] ** -0.5, -0.5 * x[0] ** 3 * x[1] ** -1.5]),
     np.array([-10.0, 10.0])),
    (lambda x: np.cos(x[0] * x[1]), lambda x: np.array([-x[1], -x[0]]) * np.sin(x[0] * x[1]), np.zeros(2)),
]  # fmt: skip


@pytest.mark.parametrize("case", SCIPY, ids=range(len(SCIPY)))
@pytest.mark.parametrize(("scheme", "tolerance"), [("forward", 1e-6), ("central", 1e-9), ("auto", 1e-12)])
def test_scipys_cases(case, scheme, tolerance):
    f, gradient, x = case
    expected = gradient(x)
    found = fastgrad.numerical_gradient(f, x, scheme=scheme)
    # SciPy's tests allow 1e-6 for two points and 1e-9 for three, relative to the entry.
    assert np.abs(found - expected).max() <= tolerance * max(1.0, np.abs(expected).max())


def test_derivative_at_many_points():
    x = np.linspace(-1.0, 2.0, 6).reshape(2, 3)
    found = fastgrad.derivative(np.sin, x)
    assert found.shape == (2, 3)
    assert found == pytest.approx(np.cos(x), abs=1e-14)
    assert isinstance(fastgrad.derivative(np.sin, 1.0), float)


def test_full_result_has_the_form_of_x():
    x = {"W": np.ones((2, 3)), "b": 2.0}
    found = fastgrad.numerical_gradient(lambda p: (p["W"] ** 2).sum() + float(p["b"]) ** 3, x, full=True)
    assert isinstance(found, NumericalGradient)
    assert found.value["b"] == pytest.approx(12.0)
    assert found.error["W"].shape == found.step["W"].shape == (2, 3)


def test_same_bits_every_time():
    x = np.random.default_rng(1).normal(size=30)
    first, second = (fastgrad.numerical_gradient(lambda x: math.fsum(np.sin(x)), x) for _ in range(2))
    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scheme": "centre"}, "scheme is 'centre'"),
        ({"step": 0.0}, "step is 0.0"),
        ({"step": "small"}, "step is 'small'"),
        ({"step": math.nan}, "step is nan"),
        ({"workers": 0}, "workers is 0"),
        ({"workers": 2, "batched": True}, "either workers or batched"),
    ],
)
def test_options_that_are_none(options, message):
    with pytest.raises(fastgrad.InputError, match=message):
        fastgrad.numerical_gradient(np.sum, np.ones(3), **options)


def test_derivative_of_a_dict_is_a_gradient():
    with pytest.raises(fastgrad.InputError, match="gradient"):
        fastgrad.derivative(lambda x: 1.0, {"a": 1.0})
