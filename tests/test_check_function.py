"""The check of any function's gradient: right, wrong, inconclusive, kinks, factors, large x, and the report."""

import json
import math

import numpy as np
import pytest

import fastgrad
from fastgrad.functions.directions import DIRECTIONS, SEEN

from standard import PROBLEMS, chained_rosenbrock, chained_rosenbrock_gradient, trembling

NOISES = (0.0, 1e-12, 1e-9, 1e-6, 1e-3)


def plain(f):
    """Make a function that takes floats alone, so that differences are taken."""
    return lambda x: math.fsum([float(f(x))])


def sines(x):
    return np.sin(x) @ np.arange(1.0, x.size + 1)


def sines_gradient(x):
    return np.cos(x) * np.arange(1.0, x.size + 1)


def test_published_difference_of_a_line():
    # J(θ) = θx at x = 2, θ = 4: the difference is rounding, all 16 digits of it.
    report = fastgrad.check_function(lambda theta: theta * 2, 2.0, 4.0, step=1e-7)
    assert report.relative_difference == 2.919335883291695e-10
    assert report.passed


@pytest.mark.parametrize("f", [math.sin, lambda x: x**2 + 3 * x, lambda x: 1 / x])
def test_published_numerical_diff_is_twice_the_derivative(f):
    def numerical_diff(f, x):
        delta_x = 1e-5
        return (f(x + delta_x) - f(x - delta_x)) / delta_x

    report = fastgrad.check_function(f, lambda x: numerical_diff(f, x), 2.0)
    assert report.verdict == "wrong"
    assert report.ratio == pytest.approx(2.0, abs=1e-6)
    assert "The gradient is 2.000 times the numerical one." in str(report)


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
def test_standard_problems(problem):
    for f in (problem, problem.real):
        report = fastgrad.check_function(f, problem.analytic, problem.x)
        assert report.passed, str(report)


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
@pytest.mark.parametrize("share", [1e-4, -1.0])
def test_planted_mistakes_are_found_and_named(problem, share):
    claimed = problem.analytic(problem.x)
    entry = int(np.argmax(np.abs(claimed)))
    claimed[entry] *= 1.0 + share
    for f in (problem, problem.real):
        report = fastgrad.check_function(f, claimed, problem.x)
        assert report.verdict == "wrong"
        assert [wrong.name for wrong in report.entries if wrong.verdict == "wrong"] == [f"x[{entry}]"]
        assert report.entries[0].numerical == pytest.approx(problem.exact()[entry], rel=1e-7)


@pytest.mark.parametrize("level", NOISES)
@pytest.mark.parametrize("seed", range(12))
def test_noise_raises_no_false_alarm(level, seed):
    x = np.random.default_rng(seed).normal(size=10)
    report = fastgrad.check_function(lambda x: plain(sines)(x) + trembling(x, level), sines_gradient, x)
    assert report.counts.wrong == 0, f"seed {seed}: {report}"
    # Noise of 1e-3 leaves several per cent of an entry of size 1 open, six estimated errors up to a quarter.
    assert report.passed or level == 1e-3, f"seed {seed}: {report}"


@pytest.mark.parametrize("level", NOISES)
@pytest.mark.parametrize("seed", range(12))
def test_mistakes_are_seen_through_noise(level, seed):
    x = np.random.default_rng(seed).normal(size=10)
    claimed = sines_gradient(x)
    claimed[seed % 10] *= 1.5
    report = fastgrad.check_function(lambda x: plain(sines)(x) + trembling(x, level), claimed, x)
    wrong = [entry.name for entry in report.entries if entry.verdict == "wrong"]
    # Half an entry below a hundred times the noise may hide in it, and is then inconclusive or within its bound.
    assert wrong == [f"x[{seed % 10}]"] or (wrong == [] and abs(claimed[seed % 10]) < 100 * level)


def test_what_noise_hides_is_inconclusive():
    report = fastgrad.check_function(lambda x: 1e-6 * math.sin(x) + trembling(x, 1e-4), lambda x: 1e-6 * math.cos(x), 1.0)
    assert report.verdict == "inconclusive"
    assert not report.passed
    assert "noise of f" in report.entries[0].reason
    with pytest.raises(fastgrad.GradientError, match="inconclusive"):
        report.raise_if_wrong()


def l1(x):
    return math.fsum(np.abs(x)) + 0.5 * math.fsum(x * x)


@pytest.mark.parametrize("slope", [-1.0, -0.3, 0.0, 0.7, 1.0])
def test_any_slope_between_the_sides_of_a_kink_is_right(slope):
    x = np.array([0.0, 1.0, -2.0])
    report = fastgrad.check_function(l1, lambda x: x + np.where(x == 0, slope, np.sign(x)), x)
    assert report.passed, str(report)
    assert report.counts.kinks == 1
    assert report.entries[0].reason == "a kink: slope -1 on the left, 1 on the right; any value between is right"


@pytest.mark.parametrize("slope", [-1.01, 1.5, 100.0])
def test_a_slope_beyond_the_sides_of_a_kink_is_wrong(slope):
    x = np.array([0.0, 1.0, -2.0])
    report = fastgrad.check_function(l1, lambda x: x + np.where(x == 0, slope, np.sign(x)), x)
    assert [(entry.name, entry.verdict) for entry in report.entries] == [("x[0]", "wrong")]
    assert "the claim is not between" in report.entries[0].reason


@pytest.mark.parametrize("level", [1e-9, 1e-6, 1e-4])
@pytest.mark.parametrize("slope", [-1.0, 0.5, 1.0])
def test_kinks_in_noise_raise_no_false_alarm(level, slope):
    report = fastgrad.check_function(lambda x: abs(x) + math.sin(x) + trembling(x, level), 1.0 + slope, 0.0)
    assert report.counts.wrong == 0, str(report)
    report = fastgrad.check_function(lambda x: abs(x) + math.sin(x) + trembling(x, level), 4.0, 0.0)
    assert report.counts.wrong == 1, str(report)


@pytest.mark.parametrize("distance", [1e-2, 1e-4, 1e-6, 1e-8])
@pytest.mark.parametrize("side", [-1, 1])
def test_kinks_beside_the_point_raise_no_false_alarm(distance, side):
    x = np.array([side * distance, 1.0])
    report = fastgrad.check_function(
        lambda x: max(x[0], 0.0) + x[1] ** 3, lambda x: np.array([x[0] > 0, 3 * x[1] ** 2]) * 1.0, x
    )
    assert report.passed, str(report)


@pytest.mark.parametrize(
    ("f", "claim", "reason"),
    [
        (lambda x: float(x >= 0.0), 0.0, "jumps"),
        (lambda x: math.sqrt(abs(x)), 0.0, "slope has no limit"),
        (math.sqrt, 0.0, "no finite values on both sides"),
    ],
)
def test_where_there_is_no_derivative_nothing_is_concluded(f, claim, reason):
    report = fastgrad.check_function(f, claim, 0.0)
    assert report.verdict == "inconclusive", str(report)
    assert reason in report.entries[0].reason


@pytest.mark.parametrize("method", ["entries", "directions"])
def test_nothing_is_right_where_there_is_no_slope(method):
    assert fastgrad.check_function(lambda x: 3.0, np.zeros(4), np.ones(4), method=method).passed
    assert fastgrad.check_function(plain(chained_rosenbrock), np.zeros(4), np.ones(4)).passed
    assert fastgrad.check_function(chained_rosenbrock, np.zeros(4), np.ones(4)).passed
    assert not fastgrad.check_function(plain(chained_rosenbrock), np.full(4, 1e-6), np.ones(4)).passed


@pytest.mark.parametrize(
    ("f", "gradient", "x"),
    [
        (math.exp, math.exp, 709.7),  # near overflow
        (lambda x: 1e200 * math.fsum(x), lambda x: 1e200 * np.ones(3), np.ones(3)),
        (lambda x: 1e-300 * math.fsum(x), lambda x: 1e-300 * np.ones(3), np.ones(3)),
        (lambda x: math.fsum(1 / (x - 1)), lambda x: -1 / (x - 1) ** 2, np.array([1 + 1e-6, 2.0])),  # a pole beside x
        (lambda x: math.fsum(x * x), lambda x: 2 * x, np.array([1e-8, 1e8, 0.0])),
        (math.sin, math.cos, 1e8),  # the first steps are millions of waves
        (lambda x: float(np.max(x)), lambda x: (x == x.max()) * 1.0, np.array([1.0, 3.0, 2.0])),
        (math.floor, lambda x: 0.0, 0.5),
        (lambda x: 1e6 + math.sin(x), math.cos, 1.0),
    ],
)
def test_extremes_raise_no_false_alarm(f, gradient, x):
    report = fastgrad.check_function(f, gradient, x)
    assert report.passed, str(report)


@pytest.mark.parametrize("factor", [2.0, 0.5, -1.0, 10.0, 1 / 3, 0.0])
def test_a_constant_factor_is_named(factor):
    x = np.array([0.3, -1.0, 2.0])
    report = fastgrad.check_function(plain(sines), lambda x: factor * sines_gradient(x), x)
    assert report.verdict == "wrong"
    assert report.ratio == pytest.approx(factor, abs=1e-9)


def test_no_factor_is_named_where_there_is_none():
    x = np.array([0.3, -1.0, 2.0])
    report = fastgrad.check_function(plain(sines), lambda x: 2 * sines_gradient(x) + np.array([0, 0, 0.1]), x)
    assert report.ratio is None


def test_parts_are_named_as_the_user_names_them():
    parameters = {"W1": np.array([[1.0, 2.0], [3.0, 4.0]]), "b1": 0.5}
    gradient = {"b1": 3 * 0.5**2, "W1": np.array([[2.0, 4.0], [6.0, 9.0]])}
    report = fastgrad.check_function(lambda p: (p["W1"] ** 2).sum() + p["b1"] ** 3, gradient, parameters)
    assert [entry.name for entry in report.entries] == ["W1[1, 1]"]
    report = fastgrad.check_function(lambda p: (p[0] ** 2).sum(), [np.array([2.0, 5.0])], [np.array([1.0, 2.0])])
    assert [entry.name for entry in report.entries] == ["x[0][1]"]


def test_single_precision_is_judged_as_such():
    x = np.random.default_rng(2).normal(size=20)
    single = sines_gradient(x.astype(np.float32)).astype(np.float32)
    assert fastgrad.check_function(sines, single, x).passed
    assert not fastgrad.check_function(sines, single.astype(np.float64) * 1.001, x).passed
    assert not fastgrad.check_function(sines, (single * np.float32(1.001)).astype(np.float32), x).passed


@pytest.mark.parametrize("options", [{}, {"workers": 3}])
def test_same_report_every_time_and_from_threads(options):
    x = np.random.default_rng(4).normal(size=12)
    first, second = (
        fastgrad.check_function(plain(sines), 1.1 * sines_gradient(x), x, **how).to_dict() | {"seconds": 0}
        for how in ({}, options)
    )
    assert first == second


# SciPy's own cases of check_grad.
def expit(x):
    return float((1 / (1 + np.exp(-x))).sum())


def expit_gradient(x):
    return np.exp(-x) / (1 + np.exp(-x)) ** 2


def x_sine(x):
    return (x * np.sin(x)).sum()


def x_sine_gradient(x):
    return np.sin(x) + x * np.cos(x)


@pytest.mark.parametrize("method", ["entries", "directions"])
@pytest.mark.parametrize(
    ("f", "gradient", "x"),
    [(expit, expit_gradient, np.array([1.5])), (x_sine, x_sine_gradient, np.arange(0, 2, 0.2))],
)
def test_scipys_cases(f, gradient, x, method):
    report = fastgrad.check_function(f, gradient, x, method=method)
    assert report.passed, str(report)
    assert report.relative_difference < 1e-7  # SciPy asks for seven decimals


def test_scipys_case_of_a_large_step():
    report = fastgrad.check_function(expit, expit_gradient, np.array([1.5]), step=0.1)
    assert report.relative_difference > 1e-7  # the step counts ...
    assert report.passed  # ... and its truncation is no mistake


LARGE = 30_000


@pytest.fixture(scope="module")
def large():
    return np.random.default_rng(8).normal(size=LARGE)


def test_large_x_is_checked_along_directions(large):
    report = fastgrad.check_function(chained_rosenbrock, chained_rosenbrock_gradient, large)
    assert report.passed, str(report)
    assert (report.method, report.directions, report.seed) == ("directions", 32, 0)
    assert report.evaluations < 2000
    assert "missed with a chance of at most 0.0013; a smaller one may be missed." in str(report).replace("\n", " ")


@pytest.mark.parametrize("seed", range(3))
def test_halving_finds_single_mistakes(large, seed):
    draw = np.random.default_rng(seed)
    entries = draw.choice(LARGE, size=3, replace=False)
    claimed = chained_rosenbrock_gradient(large)
    claimed[entries] += 10.0
    report = fastgrad.check_function(chained_rosenbrock, claimed, large, seed=seed)
    found = {entry.name for entry in report.entries}
    assert report.verdict == "wrong", f"seed {seed}"
    assert found <= {f"x[{entry}]" for entry in entries}, f"seed {seed}"
    assert len(found) >= 1, f"seed {seed}"
    for entry in report.entries:
        assert entry.claimed - entry.numerical == pytest.approx(10.0, abs=1e-4), f"seed {seed}"


def test_factor_and_nan_in_large_x(large):
    report = fastgrad.check_function(chained_rosenbrock, 2 * chained_rosenbrock_gradient(large), large)
    assert report.ratio == pytest.approx(2.0, abs=1e-9)
    claimed = chained_rosenbrock_gradient(large)
    claimed[7] = math.nan
    report = fastgrad.check_function(chained_rosenbrock, claimed, large)
    assert (report.verdict, report.entries[0].name) == ("wrong", "x[7]")


def test_directions_into_nowhere_conclude_nothing():
    report = fastgrad.check_function(lambda x: math.fsum(np.sqrt(x)), np.zeros(8), np.zeros(8), method="directions")
    assert report.verdict == "inconclusive", str(report)


def test_directions_across_kinks_raise_no_false_alarm():
    x = np.zeros(6)
    report = fastgrad.check_function(lambda x: math.fsum(np.maximum(x, 0.0)), np.zeros(6), x, method="directions")
    assert report.verdict != "wrong", str(report)


def test_chance_of_a_miss_is_no_underestimate():
    # Random signs along mistakes of several shapes: the share of directions that show half the mistake's size or more.
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(4000, 64))
    for mistake in (np.eye(64)[0], np.eye(64)[0] + np.eye(64)[1], np.ones(64), np.arange(64.0), 0.5 ** np.arange(64)):
        seen = np.mean(np.abs(signs @ mistake) > 0.5 * np.linalg.norm(mistake))
        assert seen >= SEEN
    report = fastgrad.check_function(sines, sines_gradient, np.ones(4), method="directions")
    assert report.miss == (1 - SEEN) ** DIRECTIONS


@pytest.mark.parametrize(
    ("gradient", "message"),
    [
        (np.ones(4), r"has shape \(4,\), x has \(3,\)"),
        (lambda x: None, "the gradient gives None"),
        (lambda x: x.__setitem__(0, 9.0) or x, "the gradient modifies its argument"),
        (lambda x: 1 / 0, "the gradient raises ZeroDivisionError"),
        (lambda x: np.random.default_rng().normal(size=3), "two results for the same x"),
        ({"a": np.ones(3)}, "given as a dict, x as an array"),
        ("cos", "the gradient is 'cos'"),
    ],
)
def test_gradients_that_do_not_fit(gradient, message):
    with pytest.raises(fastgrad.InputError, match=message):
        fastgrad.check_function(sines, gradient, np.ones(3))


@pytest.mark.parametrize(
    ("gradient", "message"),
    [
        ({"a": np.ones(2)}, "keys"),
        ([np.ones(2), 1.0], "form"),
        ({"a": np.ones(3), "b": 1.0}, r"the gradient\['a'\] has shape \(3,\)"),
    ],
)
def test_gradients_of_a_dict_that_do_not_fit(gradient, message):
    with pytest.raises(fastgrad.InputError, match=message):
        fastgrad.check_function(lambda p: p["a"].sum() + p["b"], gradient, {"a": np.ones(2), "b": 1.0})


def test_a_claim_of_nan_is_wrong():
    report = fastgrad.check_function(sines, [1.0, math.nan, 2.0], np.ones(3))
    assert ("x[1]", "wrong") in [(entry.name, entry.verdict) for entry in report.entries]
    assert json.loads(json.dumps(report.to_dict()))["relative_difference"] == "nan"


@pytest.mark.parametrize(
    ("options", "message"), [({"method": "all"}, "method is 'all'"), ({"seed": -1}, "seed is -1"), ({"step": -1}, "step is -1")]
)
def test_options_that_are_none(options, message):
    with pytest.raises(fastgrad.InputError, match=message):
        fastgrad.check_function(sines, sines_gradient, np.ones(3), **options)


def test_report_has_a_verdict_a_table_and_a_dictionary():
    x = np.array([0.3, -1.0, 2.0])
    report = fastgrad.check_function(sines, sines_gradient(x) * np.array([1.0, 3.0, 1.0]), x)
    text = str(report)
    assert text.startswith("✗ WRONG  1 of 3 entries of the gradient is wrong.\nf of 3 numbers; f(x) = ")
    assert "x[1]   ✗ wrong" in text
    document = json.loads(json.dumps(report.to_dict()))
    assert (document["verdict"], document["total"], document["wrong"], document["passed"]) == ("wrong", 3, 1, False)
    assert document["entries"][0]["name"] == "x[1]"
    with pytest.raises(fastgrad.GradientError, match="1 of 3 entries"):
        report.raise_if_wrong()
    right = fastgrad.check_function(sines, sines_gradient, x)
    right.raise_if_wrong()
    assert str(right).startswith("✓ RIGHT  The gradient is right.")


def test_report_of_many_wrong_entries_stays_short():
    report = fastgrad.check_function(sines, sines_gradient(np.ones(40)) + np.arange(40.0) + 1, np.ones(40))
    assert report.counts.wrong == 40
    assert len(str(report).splitlines()) < 25
    assert "28 more" in str(report)
