"""Functions that are hard to judge: single precision, poles, ties, zeros, infinite slopes, random draws, edges of a domain.

Gradients to compare with are closed forms, or numbers of 40 digits.
"""

import itertools
import math

import numpy as np
import pytest
from mpmath import mp

import fastgrad

from standard import trembling


def verdicts(report, verdict="wrong"):
    """Names of the entries with a verdict."""
    return {entry.name for entry in report.entries if entry.verdict == verdict}


# Single precision


def single_layer(x, kind):
    rng = np.random.default_rng(5)
    weights, target = rng.normal(size=(6, 6)).astype(kind), rng.normal(size=6).astype(kind)
    out = np.tanh(weights @ np.asarray(x, dtype=kind) - target)
    return float(kind(0.5) * (out * out).sum()), weights.T @ (out * (1 - out * out))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.3])
@pytest.mark.parametrize("method", ["entries", "directions"])
def test_single_precision_is_charged_once(kind, share, method):
    x = np.random.default_rng(6).normal(size=6)
    claim = single_layer(x, np.float32)[1]
    assert np.abs(claim - single_layer(x, np.float64)[1]).max() < 1e-6
    entry = int(np.argmax(np.abs(claim)))
    claim[entry] *= 1 + np.float32(share)
    report = fastgrad.check_function(lambda x: single_layer(x, np.float32)[0], claim.astype(kind), x, method=method)
    assert report.verdict == ("wrong" if share else "right"), str(report)
    assert verdicts(report) == ({f"x[{entry}]"} if share else set())


@pytest.mark.parametrize("function_kind", [np.float32, np.float64])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(3))
def test_softmax_in_single_precision(function_kind, kind, seed):
    X, weights = np.random.default_rng(seed).normal(size=(2, 6, 5)).astype(np.float32)

    def softmax(x):
        e = np.exp(x - x.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    def gradient(x):
        p = softmax(np.asarray(x, dtype=kind))
        return p * (weights - (p * weights).sum(axis=1, keepdims=True))

    def f(x):
        return float((softmax(np.asarray(x, dtype=function_kind)) * weights).sum())

    claim = gradient(X)
    assert fastgrad.check_function(f, claim, X).passed
    row, column = np.unravel_index(np.argmax(np.abs(claim)), claim.shape)
    claim[row, column] *= kind(1.01)
    assert verdicts(fastgrad.check_function(f, claim, X)) == {f"x[{row}, {column}]"}


# Poles and sharp features


@pytest.mark.parametrize("x", [1e-3, -1e-5, 1e-7, -1e-9, 1e-11])
def test_logarithms_beside_their_pole(x):
    f = lambda x: math.log(abs(x))  # noqa: E731
    found = fastgrad.numerical_gradient(f, x, full=True)
    assert abs(found.value * x - 1.0) < 1e-8
    assert abs(found.value - 1 / x) <= 6 * found.error
    assert fastgrad.check_function(f, lambda x: 1 / x, x).passed
    assert fastgrad.check_function(f, lambda x: 1.02 / x, x).verdict == "wrong"


def test_a_pole_nearer_than_any_step_is_left_open():
    report = fastgrad.check_function(lambda x: math.log(abs(x)), lambda x: 1 / x, 1e-14)
    assert report.verdict == "inconclusive", str(report)


@pytest.mark.parametrize("small", [1e-5, 1e-6, 3e-7, 1e-7, 1e-8, 1e-9])
def test_determinants_near_zero(small):
    basis = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    A = basis @ np.diag([1.3, 0.7, small]) @ basis.T
    f = lambda a: np.linalg.slogdet(a)[1]  # noqa: E731
    report = fastgrad.check_function(f, lambda a: np.linalg.inv(a).T, A)
    assert report.verdict != "wrong", str(report)
    assert fastgrad.check_function(f, lambda a: 1.5 * np.linalg.inv(a).T, A).verdict == "wrong"


@pytest.mark.parametrize("width", [1e-5, 1e-9])
@pytest.mark.parametrize("at", [0.0, 0.3])
@pytest.mark.parametrize(
    ("f", "slope"),
    [
        (math.tanh, lambda t: 1 - math.tanh(t) ** 2),
        (lambda t: math.exp(-t * t), lambda t: -2 * t * math.exp(-t * t)),
        (lambda t: 1e-3 * math.atan(t), lambda t: 1e-3 / (1 + t * t)),
    ],
)
def test_features_narrower_than_the_first_step(width, at, f, slope):
    report = fastgrad.check_function(
        lambda x: f(x / width) + math.sin(x), lambda x: slope(x / width) / width + math.cos(x), at * width
    )
    assert report.passed, str(report)


def test_complex_steps_beside_a_pole():
    # The difference that complex steps are held against reaches across the pole unless it becomes smaller.
    report = fastgrad.check_function(lambda x: np.log(x * x), lambda x: 2 / x, 1e-7)
    assert (report.verdict, report.scheme) == ("right", "complex")


def careless_density(v):
    """Log density of the beta distribution, finite beyond 1 as well."""
    a, b, x = (float(number) for number in v)
    rest = math.log1p(-x) if x < 1 else math.log(x - 1)
    return math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + (a - 1) * math.log(abs(x)) + (b - 1) * rest


def density_gradient(v):
    """In 40 digits."""
    with mp.workdps(40):
        a, b, x = (mp.mpf(number) for number in v)
        psi = mp.digamma(a + b)
        slopes = psi - mp.digamma(a) + mp.log(x), psi - mp.digamma(b) + mp.log(1 - x), (a - 1) / x - (b - 1) / (1 - x)
        return np.array([float(slope) for slope in slopes])


@pytest.mark.parametrize("v", [(2.0, 3.0, 0.4), (3.0, 2.0, 1e-5), (3.0, 2.0, 1 - 1e-7), (0.004, 2.0, 0.5), (1e-9, 2.0, 1e-12)])
@pytest.mark.parametrize("bounds", [None, ([0, 0, 0], [math.inf, math.inf, 1])])
def test_densities_near_the_edges_of_their_domain(v, bounds):
    truth = density_gradient(v)
    report = fastgrad.check_function(careless_density, truth, np.array(v), bounds=bounds)
    assert report.passed, str(report)
    for entry in np.flatnonzero(np.abs(truth) > 1e-6):
        claim = truth.copy()
        claim[entry] *= 1.02
        assert verdicts(fastgrad.check_function(careless_density, claim, np.array(v), bounds=bounds)) == {f"x[{entry}]"}


# Kinks of several entries that are one


def pool(x):
    return x.reshape(2, 2, 2, 2).max(axis=(1, 3))


def pool_back(x, dout, share):
    """Give dout to the first of the largest in each window, to all in equal shares, or to each of them whole."""
    found = np.zeros_like(x)
    for i, j in np.ndindex(2, 2):
        window = x[2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
        largest = (window == window.max()).astype(float)
        if share == "first":
            largest[np.unravel_index(np.argmax(window), (2, 2))] = 2.0
            largest = (largest == 2.0).astype(float)
        found[2 * i : 2 * i + 2, 2 * j : 2 * j + 2] = dout[i, j] * (largest / largest.sum() if share == "equal" else largest)
    return found


JOINT = [
    ("max, both whole", lambda x: x.max(), [1, 1], "wrong"),
    ("max, halves", lambda x: x.max(), [0.5, 0.5], "right"),
    ("max, one", lambda x: x.max(), [0, 1], "right"),
    ("max, neither", lambda x: x.max(), [0, 0], "wrong"),
    ("minus max, both whole", lambda x: -x.max(), [-1, -1], "wrong"),
    ("minus max, halves", lambda x: -x.max(), [-0.5, -0.5], "right"),
    ("distance, no opposites", lambda x: abs(float(x[0] - x[1])), [1, 1], "wrong"),
    ("distance, opposites", lambda x: abs(float(x[0] - x[1])), [0.3, -0.3], "right"),
    ("relu of a sum, opposites", lambda x: max(x[0] + x[1], 0.0), [1, 0], "wrong"),
    ("norm, inside", lambda x: math.hypot(*x), [0.6, 0.6], "right"),
    ("norm, outside", lambda x: math.hypot(*x), [0.9, 0.9], "wrong"),
    ("l1, corner", lambda x: abs(x[0]) + abs(x[1]), [1, 1], "right"),
    ("single, halves", lambda x: float(np.float32(x.max() + np.sin(x).sum())), [1.5, 1.5], "right"),
    ("single, both whole", lambda x: float(np.float32(x.max() + np.sin(x).sum())), [2, 2], "wrong"),
]


@pytest.mark.parametrize("method", ["entries", "directions"])
@pytest.mark.parametrize(("f", "claim", "verdict"), [case[1:] for case in JOINT], ids=[case[0] for case in JOINT])
def test_kinks_are_tried_together(f, claim, verdict, method):
    report = fastgrad.check_function(f, np.array(claim, dtype=float), np.zeros(2), method=method)
    assert report.verdict == verdict, str(report)
    if verdict == "wrong":
        assert all("a kink together with" in entry.reason for entry in report.entries)
        assert "found 0 wrong" not in str(report)


def test_a_tie_of_many_and_one_of_three_of_them():
    assert fastgrad.check_function(lambda x: x.max(), np.full(40, 1 / 40), np.zeros(40)).passed
    assert fastgrad.check_function(lambda x: x.max(), np.full(40, 1 / 20), np.zeros(40)).verdict == "wrong"
    claim = np.array([0.1, 0.1, 0.1])  # every pair is right by itself, its sum between 0 and 1
    assert fastgrad.check_function(lambda x: x.max(), claim, np.ones(3)).verdict == "wrong"


@pytest.mark.parametrize("convention", [0.0, 0.5, 1.0])
def test_kinks_of_their_own_of_either_sign_are_not_taken_for_one(convention):
    weights = np.array([1.3, -0.4, 0.7, -2.0])
    f = lambda b: math.fsum(weights * np.maximum(b, 0.0))  # noqa: E731
    report = fastgrad.check_function(f, weights * convention, np.zeros(4))
    assert report.passed, str(report)
    assert fastgrad.check_function(f, weights * convention, np.zeros(4), method="directions").verdict != "wrong"


@pytest.mark.parametrize(("share", "verdict"), [("first", "right"), ("equal", "right"), ("whole", "wrong")])
def test_ties_in_windows_of_max_pooling(share, verdict):
    x = np.array([[1, 1, 0.2, 0.1], [0.3, 0, 2, 0], [0.25, 0.1, 0.5, 0], [0.25, 0, 0, 0.5]])
    dout = np.array([[1.5, -0.3], [-2.0, 0.7]])
    report = fastgrad.check_function(lambda x: (pool(x) * dout).sum(), lambda x: pool_back(x, dout, share), x)
    assert report.verdict == verdict, str(report)
    tied = {"x[0, 0]", "x[0, 1]", "x[2, 0]", "x[3, 0]", "x[2, 2]", "x[3, 3]"}
    assert verdicts(report) == (tied if verdict == "wrong" else set())


def test_noise_is_not_named_where_there_is_none():
    report = fastgrad.check_function(lambda x: math.hypot(*x), np.zeros(2), np.zeros(2), method="directions")
    assert report.passed, str(report)
    relus = lambda x: max(x[0], 0.0) - max(-x[1], 0.0)  # noqa: E731
    text = str(fastgrad.check_function(relus, np.ones(2), np.zeros(2), method="directions"))
    assert "Noise" not in text
    assert "Kinks at x leave the gradient open" in text


def test_the_bound_of_a_kink_is_half_its_jump():
    report = fastgrad.check_function(lambda x: abs(x[0]) + x[1] ** 2, [0.2, 2.0], np.array([0.0, 1.0]))
    assert report.entries[0].bound == pytest.approx(1.0, abs=1e-6)


# Gradients of nothing


def normalized(x, kind):
    x = np.asarray(x, dtype=kind)
    return (x - x.mean(axis=0)) / x.std(axis=0)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("claim_kind", [np.float32, np.float64])
@pytest.mark.parametrize("method", ["entries", "directions"])
def test_a_sum_of_normalized_columns_has_the_gradient_zero(kind, claim_kind, method):
    x = np.random.default_rng(7).random((25, 5))
    f = lambda x: float(normalized(x, kind).sum())  # noqa: E731
    claim = (1e-8 * np.random.default_rng(8).normal(size=x.shape) * (kind == claim_kind == np.float32)).astype(claim_kind)
    report = fastgrad.check_function(f, claim, x, method=method)
    assert report.passed, str(report)
    assert method == "directions" or "many mistakes would pass" in " ".join(str(report).split())
    assert fastgrad.check_function(f, claim + 0.1, x, method=method).verdict == "wrong"


def test_noise_that_is_no_rounding_still_hides_a_zero():
    report = fastgrad.check_function(lambda x: trembling(x, 1e-6), np.zeros(3), np.ones(3))
    assert report.verdict == "inconclusive", str(report)


def test_entries_that_f_does_not_use_are_right():
    f = lambda x: float(np.float32(7) * np.sin(np.float32(x[0])))  # noqa: E731
    report = fastgrad.check_function(f, 7 * np.array([np.cos(1.0), 0.0, 0.0]), np.array([1.0, 2.0, 3.0]))
    assert report.passed, str(report)
    report = fastgrad.check_function(f, 7 * np.array([np.cos(1.0), 0.0, 0.1]), np.array([1.0, 2.0, 3.0]))
    assert verdicts(report) == {"x[2]"}


# Slopes without a limit

ENDLESS = {
    "cube root": (lambda x: math.copysign(abs(x) ** (1 / 3), x), math.inf),
    "minus cube root": (lambda x: -math.copysign(abs(x) ** (1 / 3), x), -math.inf),
    "x log|x|": (lambda x: x * math.log(abs(x)) if x else 0.0, -math.inf),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_slopes_without_a_limit(name):
    f, slope = ENDLESS[name]
    found = fastgrad.numerical_gradient(f, 0.0, full=True)
    assert (found.value, found.error) == (slope, math.inf)
    report = fastgrad.check_function(f, -40.0, 0.0)
    assert report.verdict == "inconclusive"
    assert "the slope has no limit" in report.entries[0].reason
    assert fastgrad.check_function(f, slope, 0.0).passed
    assert fastgrad.check_function(f, -slope, 0.0).verdict == "wrong"
    assert fastgrad.check_function(lambda x: f(x[0]) + x[1], [slope, 1.0], np.zeros(2), method="directions").verdict != "wrong"
    assert fastgrad.check_function(lambda x: f(x[0]) + x[1], [-slope, 1.0], np.zeros(2), method="directions").verdict == "wrong"


def test_a_slope_without_a_limit_on_one_side():
    f = lambda x: x * math.log(x) if x > 0 else 0.0  # noqa: E731
    for claim in (-40.0, -math.inf, 0.0):
        report = fastgrad.check_function(f, claim, 0.0)
        assert report.verdict == "inconclusive", str(report)
        assert "no limit" in report.entries[0].reason


@pytest.mark.parametrize("power", [1.5, 1.2, 1.1])
def test_slopes_that_approach_their_limit_slowly_have_one(power):
    # |x|^p rises by 0 at 0; the quotient, |h|^(p-1), is 0.04 at the smallest step for p = 1.1.
    report = fastgrad.check_function(lambda x: math.copysign(abs(x) ** power, x) + x, math.inf, 0.0)
    assert report.verdict == "wrong", str(report)
    assert "no limit" not in report.entries[0].reason


def test_an_infinite_claim_of_a_finite_slope_is_wrong():
    assert fastgrad.check_function(lambda x: float(x) ** 3, math.inf, 1.0).entries[0].reason == "the claim is inf"


# Complex steps are not measured again


def test_complex_steps_are_the_last_word():
    x = np.random.default_rng(9).normal(size=(12, 12))
    f = lambda x: (np.exp(x) * np.arange(144.0).reshape(12, 12)).sum()  # noqa: E731
    gradient = lambda x: np.exp(x) * np.arange(144.0).reshape(12, 12)  # noqa: E731
    right, wrong = fastgrad.check_function(f, gradient, x), fastgrad.check_function(f, lambda x: -gradient(x), x)
    assert right.scheme == wrong.scheme == "complex"
    assert (right.counts.wrong, wrong.counts.wrong) == (0, 143)  # the weight of the first entry is 0
    assert wrong.evaluations <= 1.25 * right.evaluations


def test_complex_steps_that_miss_something_accuse_nobody():
    # The part that drops the imaginary part is a billionth of the slope along all entries, and a thousand bounds of its own.
    f = lambda x: 1e6 * (x * x).sum() + 1e-2 * np.real(x[0])  # noqa: E731
    x = np.array([1.0, 2.0, -1.5])
    report = fastgrad.check_function(f, 2e6 * x + [1e-2, 0, 0], x)
    assert report.verdict != "wrong", str(report)


# Random draws


def dropped(x):
    return float((x * (np.random.random(x.shape) < 0.5)).sum())


def kept(x):
    return (np.random.random(x.shape) < 0.5) * 1.0


def test_seed_as_a_function_resets_what_f_draws():
    x = np.arange(1.0, 9.0)
    with pytest.raises(fastgrad.InputError, match="seed=reset"):
        fastgrad.check_function(dropped, kept, x)
    for method in ("entries", "directions"):
        report = fastgrad.check_function(dropped, kept, x, seed=lambda: np.random.seed(3), method=method)
        assert report.passed, str(report)
        wrong = fastgrad.check_function(dropped, lambda x: 1.0 - kept(x), x, seed=lambda: np.random.seed(3), method=method)
        assert wrong.verdict == "wrong"


def test_threads_and_a_function_for_seed_do_not_go_together():
    with pytest.raises(fastgrad.InputError, match="seed is a function"):
        fastgrad.check_function(dropped, kept, np.ones(3), seed=lambda: None, workers=2)


@pytest.mark.parametrize("method", ["entries", "directions"])
def test_draws_that_differ_above_and_below_x_are_named(method):
    masks = itertools.chain([1.0] * 8, itertools.cycle([1.0, 0.0, 1.0, 1.0, 0.0]))  # alike at first, by chance
    with pytest.raises(fastgrad.InputError, match="above and below x come from different draws"):
        fastgrad.check_function(lambda x: float((x * next(masks)).sum()), np.ones(3), np.arange(1.0, 4.0), method=method)


def test_draws_that_differ_in_the_rows_of_a_batch_are_named():
    def f(x):
        return (x * (np.random.default_rng(0).random(x.shape) < 0.5)).sum(axis=1)

    with pytest.raises(fastgrad.InputError, match="a batched f has to draw the same for every point"):
        fastgrad.check_function(f, np.ones(3), np.arange(1.0, 4.0), batched=True)


# Tolerance


def test_a_tolerance_is_a_share_of_each_entry():
    x = np.array([1.0, -2.0, 3e-3])
    f, claim = (lambda x: x @ x), 2 * x * (1 + 1e-9)
    for method in ("entries", "directions"):
        assert fastgrad.check_function(f, claim, x, method=method).verdict == "wrong"
        report = fastgrad.check_function(f, claim, x, tolerance=1e-8, method=method)
        assert report.passed, str(report)
        assert "The tolerance allows an entry to be off by 1e-08 of itself." in str(report)
        assert report.to_dict()["tolerance"] == 1e-8
    report = fastgrad.check_function(f, claim + np.array([0, 0, 1e-7]), x, tolerance=1e-8)
    assert verdicts(report) == {"x[2]"}


def test_a_tolerance_on_kinks_and_of_differences():
    f = lambda x: math.fsum(np.abs(x)) + math.fsum(x * x)  # noqa: E731
    x = np.array([0.0, 1.0])
    assert fastgrad.check_function(f, [1.001, 3.003], x, tolerance=1e-2).passed
    assert verdicts(fastgrad.check_function(f, [1.1, 3.1], x, tolerance=1e-2)) == {"x[0]", "x[1]"}


@pytest.mark.parametrize("tolerance", [-1e-3, "1e-3", math.nan, None])
def test_tolerances_that_are_none(tolerance):
    with pytest.raises(fastgrad.InputError, match="tolerance is"):
        fastgrad.check_function(math.sin, math.cos, 1.0, tolerance=tolerance)


# Bounds and domains


class Watched:
    """A function that is never to be called outside of some bounds."""

    def __init__(self, f, lower, upper):
        self.f, self.lower, self.upper = f, lower, upper

    def __call__(self, x):
        assert np.all(np.real(x) >= self.lower)
        assert np.all(np.real(x) <= self.upper)
        return self.f(x)


def ratio_function(x):
    return (np.exp(x) / (1 + x)).sum()


def ratio_gradient(x):
    return np.exp(x) * x / (1 + x) ** 2


@pytest.mark.parametrize("method", ["entries", "directions"])
@pytest.mark.parametrize("f", [ratio_function, lambda x: math.fsum(np.exp(x) / (1 + x))], ids=["complex", "real"])
def test_derivatives_from_within_at_the_edges_of_a_domain(f, method):
    x = np.array([0.0, 0.5, 1.0, 1e-5, 1 - 1e-9])
    watched = Watched(f, 0.0, 1.0)
    report = fastgrad.check_function(watched, ratio_gradient, x, bounds=(0, 1), method=method)
    assert report.passed, str(report)
    claim = ratio_gradient(x)
    claim[2] += 1e-6
    report = fastgrad.check_function(watched, claim, x, bounds=(0, 1), method=method)
    assert verdicts(report) == {"x[2]"}, str(report)
    assert report.entries[0].numerical == pytest.approx(ratio_gradient(x)[2], abs=1e-9)


@pytest.mark.parametrize("options", [{"batched": True}, {"workers": 2}])
def test_bounds_hold_however_f_is_called(options):
    f = (lambda x: np.sqrt(x).sum(axis=-1)) if "batched" in options else (lambda x: math.fsum(np.sqrt(x)))
    x = np.array([1e-6, 0.3, 2.0])
    report = fastgrad.check_function(Watched(f, 0.0, np.inf), lambda x: 0.5 / np.sqrt(x), x, bounds=(0, None), **options)
    assert report.passed, str(report)


def test_an_infinite_slope_at_the_edge_of_a_domain():
    assert fastgrad.check_function(math.sqrt, math.inf, 0.0, bounds=(0.0, None)).passed
    report = fastgrad.check_function(math.sqrt, 5.0, 0.0, bounds=(0.0, None))
    assert report.verdict == "inconclusive"
    assert "no limit" in report.entries[0].reason


def test_bounds_in_the_form_of_x():
    bounds = {"a": [0.0, -1.0], "b": -math.inf}, None
    x = {"a": np.array([0.0, -1.0]), "b": 2.0}
    f = lambda p: float(math.sqrt(1 + p["a"][0]) + math.sqrt(2 + p["a"][1]) * p["b"])  # noqa: E731
    report = fastgrad.check_function(f, {"a": [0.5, 1.0], "b": 1.0}, x, bounds=bounds)
    assert report.passed, str(report)


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ((0.0, 1.0), r"x\[1\] is 2.0, outside of its bounds, 0.0 to 1.0"),
        (1.0, "bounds are a pair"),
        ((0.0, 1.0, 2.0), "bounds are a pair"),
        (("a", None), r"bounds\[0\] is 'a'"),
        ((None, [1.0]), r"bounds\[1\] has shape \(1,\)"),
    ],
)
def test_bounds_that_are_none(bounds, message):
    with pytest.raises(fastgrad.InputError, match=message):
        fastgrad.check_function(lambda x: x.sum(), np.ones(2), np.array([1.0, 2.0]), bounds=bounds)


def test_where_f_leaves_its_domain_is_named():
    report = fastgrad.check_function(math.log, lambda x: 1 / x, 1e-3)
    assert report.passed
    assert "f leaves its domain near x, where smaller steps were taken: f raises ValueError" in " ".join(str(report).split())
    report = fastgrad.check_function(math.sqrt, 0.0, 0.0)
    assert report.entries[0].reason.endswith("none below it; bounds= takes the slope from the other side")


# What the report says


def test_a_line_for_each_tensor():
    rng = np.random.default_rng(10)
    x = {"W": rng.normal(size=(3, 4)), "b": rng.normal(size=3), "gamma": 1.0}
    f = lambda p: (np.tanh(p["W"]).sum(axis=1) * p["b"]).sum() * p["gamma"]  # noqa: E731
    up = x["b"][:, None] * (1 - np.tanh(x["W"]) ** 2)
    row = np.tanh(x["W"]).sum(axis=1)
    claim = {"W": 2 * up, "b": row, "gamma": row @ x["b"]}
    report = fastgrad.check_function(f, claim, x)
    found = [(tensor.name, tensor.verdict, tensor.wrong, tensor.total) for tensor in report.tensors]
    assert found == [("W", "wrong", 12, 12), ("b", "right", 0, 3), ("gamma", "right", 0, 1)]
    text = " ".join(str(report).split())
    assert "W ✗ wrong 12 12 0.33" in text
    assert "b ✓ right 0 3" in text
    assert "gamma ✓ right 0 1" in text
    assert report.tensors[0].relative_difference == pytest.approx(1 / 3)
    assert fastgrad.check_function(lambda x: (x**2).sum(), lambda x: 2 * x, np.ones(3)).tensors == ()


@pytest.mark.parametrize("single", [False, True])
def test_what_would_have_been_caught_is(single):
    rng = np.random.default_rng(11)
    x, weights = rng.normal(size=8), rng.uniform(1.0, 2.0, size=8)

    def f(x):
        value = math.fsum(weights * np.sin(x))
        return float(np.float32(value)) if single else value

    exact = weights * np.cos(x)
    typical = np.sqrt(np.mean(exact**2))
    right = fastgrad.check_function(f, exact, x)
    assert right.passed
    assert "of a typical entry are caught." in str(right)
    assert right.sensitivity < (1e-3 if single else 1e-9)
    for entry in range(8):
        claim = exact.copy()
        claim[entry] += 1.01 * right.sensitivity * typical
        assert verdicts(fastgrad.check_function(f, claim, x)) == {f"x[{entry}]"}


def test_a_function_of_several_values_is_told_what_to_give():
    with pytest.raises(fastgrad.InputError, match=r"shape \(2, 3\).*fastgrad\.check_layer\(.*fastgrad\.check_jacobian\("):
        fastgrad.check_function(np.tanh, lambda x: 1 - np.tanh(x) ** 2, np.ones((2, 3)))


def test_a_tolerance_is_part_of_what_would_have_been_caught():
    x = np.arange(1.0, 5.0)
    report = fastgrad.check_function(lambda x: (x**3).sum(), lambda x: 3.0 * x * x * (1.0 + 1e-8), x, tolerance=1e-7)
    assert report.passed
    assert report.sensitivity >= 1e-7
    typical = float(np.sqrt(np.mean((3.0 * x * x) ** 2)))
    wrong = 3.0 * x * x
    wrong[0] += 1.01 * report.sensitivity * typical
    assert fastgrad.check_function(lambda x: (x**3).sum(), wrong, x, tolerance=1e-7).verdict == "wrong"
