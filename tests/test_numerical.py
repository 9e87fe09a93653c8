"""Kinks, draws of parameters, arguments that cannot be used."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from fastgrad.errors import InputError
from fastgrad.judging.verdict import judge
from fastgrad.machine import most_threads
from fastgrad.numerical import methods, numerical_gradient
from fastgrad.numerical.methods import METHODS as TABLE
from fastgrad.numerical.methods import estimate_check
from fastgrad.numerical.selection import select
from fastgrad.walk import check_problem

import problems
import reference

METHODS = ("parameter", "preactivation")
UNIT_ROUNDOFF = 2.0**-53


def two_layers(hidden, x, weight, bias, samples=1, seed=0):
    """2-3-2 network with a squared error whose hidden unit 1 has W1 row `weight` and b1 `bias`; sample 0 is x."""
    draw = np.random.default_rng(seed)
    W1, b1 = draw.normal(size=(3, 2)), draw.normal(size=3)
    W1[1], b1[1] = weight, bias
    theta = np.concatenate([W1.ravel(), b1, draw.normal(size=6), draw.normal(size=2)])
    X = draw.normal(size=(samples, 2))
    X[0] = x
    return reference.Case((2, 3, 2), (hidden, "tanh"), "squared_error", theta, X, draw.normal(size=(samples, 2)))


def with_slope(case, share):
    """Gradient of a one-sample case whose unit 1 has a slope `share` of the way from the left to the right one.

    By the reference at bias ∓1e-9 around the kink, where the slopes are one-sided and all else all but the same.
    """
    sides = []
    for move in (-1e-9, 1e-9):
        theta = case.theta.copy()
        theta[7] += move
        items = {**vars(case), "theta": theta}
        sides.append(reference.gradient(reference.Case(**items)))
    return (1.0 - share) * sides[0] + share * sides[1]


KINKS = [
    ("relu", 0.0, (0.0, 0.0)),  # zero bias, zero input
    ("relu", 0.0, (1.0, 1.0)),  # weights that cancel
    ("leaky_relu", 0.0, (0.0, 0.0)),
    ("elu:1.5", 0.0, (0.0, 0.0)),
    ("hard_tanh", -1.0, (0.0, 0.0)),
    ("hard_tanh", 1.0, (0.0, 0.0)),
    ("relu6", 6.0, (0.0, 0.0)),
    ("hard_sigmoid:0.25", 2.0, (0.0, 0.0)),
]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("hidden", "bias", "x"), KINKS)
@pytest.mark.parametrize("samples", [1, 4])
def test_on_a_kink_every_convention_is_right_and_nothing_else(method, hidden, bias, x, samples):
    case = two_layers(hidden, x, (0.5, -0.5), bias, samples)
    alone = reference.Case(**{**vars(case), "X": case.X[:1], "Y": case.Y[:1]})
    left, middle, right = (with_slope(alone, share) for share in (0.0, 0.5, 1.0))
    # The other samples are no nearer to the kink than 1e-3: their share comes from the whole.
    whole = with_slope(case, 0.0) - left / samples
    found = numerical_gradient(problems.problem(case), method=method)
    assert found.kinked_samples == 1
    assert found.lower is not None
    for share, verdict in ((left, "at a kink"), (middle, "right"), (right, "at a kink")):
        claimed = rounded_to_exact(whole + share / samples, found)
        tensors = {t.name: t.verdict for t in judge(problems.problem(case, claimed), found).tensors}
        assert tensors["b1"] == verdict
        assert set(tensors.values()) <= {"right", "at a kink"}
    for outside in (left + 2.0 * (left - right), right + 0.1 * (right - left)):
        claimed = rounded_to_exact(whole + outside / samples, found)
        tensors = {t.name: t for t in judge(problems.problem(case, claimed), found).tensors}
        assert tensors["b1"].verdict == "wrong"
        assert tensors["b1"].wrong == 1
        assert tensors["b1"].worst.index == (1,)


def rounded_to_exact(claimed, found):
    """Replace values of a claim that are within 1e-7 of a bound or of the centre by it.

    The reference stands 1e-9 beside the kink, which is as near as its slopes are one-sided without touching its code.
    """
    for bound in (found.values, found.lower, found.upper):
        claimed = np.where(np.abs(claimed - bound) <= 1e-7 * (1.0 + np.abs(bound)), bound, claimed)
    return claimed


@pytest.mark.parametrize("method", METHODS)
def test_relu_at_zero_has_the_slopes_0_half_and_1(method):
    """By hand: J = ½(2·relu(b) − 1)², so that ∂J/∂b is −2·relu′(0) at b = 0."""
    case = reference.Case(
        (1, 1, 1),
        ("relu", "identity"),
        "squared_error",
        np.array([0.7, 0.0, 2.0]),
        np.zeros((1, 1)),
        np.ones((1, 1)),
        biases=(True, False),
    )
    found = numerical_gradient(problems.problem(case), method=method)
    np.testing.assert_allclose(found.values, [0.0, -1.0, 0.0], rtol=1e-8)  # across a kink truncation is of first order
    np.testing.assert_allclose(found.lower, [0.0, -2.0, 0.0], rtol=1e-15)
    np.testing.assert_allclose(found.upper, [0.0, 0.0, 0.0], atol=1e-15)
    for slope, verdict in ((0.0, "at a kink"), (0.5, "at a kink"), (1.0, "at a kink"), (1.001, "wrong"), (-0.001, "wrong")):
        claimed = np.array([0.0, -2.0 * slope, 0.0])
        assert judge(problems.problem(case, claimed), found).tensors[1].verdict == verdict


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("distance", [1e-12, -1e-12, 1e-9, -1e-9])
@pytest.mark.parametrize(
    ("hidden", "kink"), [("relu", 0.0), ("relu6", 6.0), ("hard_tanh", 1.0), ("selu", 0.0), ("softsign", 0.0)]
)
def test_default_step_does_not_cross_a_kink_nearby(method, hidden, kink, distance):
    """Whether z is small because the bias is, or because an input cancels it."""
    for x in ((0.0, 0.0), (1.0, 1.0)):
        case = two_layers(hidden, x, (0.5, -0.5), kink + distance, samples=2)
        exact = reference.exact_gradient(case, digits=40)
        problem = problems.problem(case)
        found = numerical_gradient(problem, method=method)
        assert found.kinked_samples == 0
        assert problems.roundoffs(problem, found.base, found.values, exact)[0] <= 4.0
        assert found.step_range[0] < abs(distance)


@pytest.mark.parametrize("method", METHODS)
def test_kinks_of_several_samples_and_layers_add_up(method):
    """A network that is dead at zero input: every layer's units sit on their kinks for one sample."""
    draw = np.random.default_rng(1)
    theta = np.concatenate([draw.normal(size=6), np.zeros(3), draw.normal(size=6), np.zeros(2), draw.normal(size=2), [0.3]])
    X = np.array([[0.0, 0.0], [1.0, -0.4], [0.0, 0.0]])
    case = reference.Case(
        (2, 3, 2, 1), ("relu", "relu", "identity"), "squared_error", theta, X, np.array([[1.0], [0.5], [2.0]])
    )
    found = numerical_gradient(problems.problem(case), method=method)
    assert found.kinked_samples == 2
    dead = reference.gradient(case)  # with relu′(0) = 0
    alive = dead.copy()
    for s in (0, 2):
        one = {**vars(case), "X": X[s : s + 1], "Y": case.Y[s : s + 1]}
        linear = reference.Case(**{**one, "activations": ("identity",) * 3})
        alive += (reference.gradient(linear) - reference.gradient(reference.Case(**one))) / 3
    for claimed in (dead, alive):
        report = judge(problems.problem(case, claimed), found)
        assert {t.verdict for t in report.tensors} == {"right", "at a kink"}
    assert "wrong" in {t.verdict for t in judge(problems.problem(case, 2.0 * alive - dead), found).tensors}


# Draws of parameters.

LAYERED = reference.random_case(0, widths=(30, 20, 10, 3), loss="mse", samples=2)
TOTAL = 30 * 20 + 20 + 20 * 10 + 10 + 10 * 3 + 3


def drawn(sample, seed=0, case=LAYERED):
    selected = select(problems.problem(case), sample, seed)
    return np.arange(len(case.theta)) if selected is None else selected


@pytest.mark.parametrize("sample", [1, 2, 7, 50, 100, 400, "50", "5%", "33.3%", "0.1%"])
def test_draw_has_exactly_so_many_parameters_none_twice(sample):
    count = int(np.ceil(float(sample[:-1]) / 100 * TOTAL)) if str(sample).endswith("%") else int(sample)
    selected = drawn(sample)
    assert selected.size == count
    assert (np.diff(selected) > 0).all()
    assert selected[0] >= 0
    assert selected[-1] < TOTAL


@pytest.mark.parametrize("sample", [None, TOTAL, 5000, "100%"])
def test_draw_of_all_is_all(sample):
    np.testing.assert_array_equal(drawn(sample), np.arange(TOTAL))


def test_draw_takes_of_every_tensor_and_depends_on_the_seed_alone():
    first, again, other = drawn(120, 1), drawn(120, 1), drawn(120, 2)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    for tensor in problems.problem(LAYERED).tensors:
        assert ((first >= tensor.start) & (first < tensor.stop)).sum() >= min(tensor.size, 10)


def test_draw_is_uniform_within_a_tensor():
    case = reference.random_case(0, widths=(10, 10), loss="mse", samples=1)
    hits = sum(np.bincount(drawn(55, seed, case), minlength=110) for seed in range(300))
    # Entries of W are drawn 300·p times, p about a half: six standard deviations are 52.
    assert np.ptp(hits[:100]) < 104


@pytest.mark.parametrize("sample", [0, -3, 2.5, "2.5", "five", "", "%", "-1%", "0%", "nan", "inf", "1e400%", float("nan")])
def test_draw_refuses_what_is_no_number_of_parameters(sample):
    with pytest.raises(InputError, match="sample must be a whole number of parameters or a share such as 5%, found"):
        drawn(sample, case=reference.random_case(0))


# Arguments.


@pytest.mark.parametrize("threads", [0, -1, 10_000])
def test_threads_that_there_are_not(threads):
    with pytest.raises(InputError, match=f"from 1 to {most_threads()} on this machine, found {threads}"):
        numerical_gradient(problems.problem(reference.random_case(0)), threads=threads)


@pytest.mark.parametrize("step", [0.0, -1e-5, float("nan"), float("inf")])
def test_step_that_is_none(step):
    with pytest.raises(InputError, match="step must be a positive number, found"):
        numerical_gradient(problems.problem(reference.random_case(0)), step=step)


def test_method_that_is_none():
    with pytest.raises(InputError, match="one of auto, parameter, preactivation, textbook, directional; found 'magic'"):
        numerical_gradient(problems.problem(reference.random_case(0)), method="magic")


@pytest.mark.parametrize("method", [*METHODS, "textbook"])
def test_counts_are_positive_and_grow_with_the_network(method):
    small, large = (
        problems.problem(reference.random_case(0, widths=widths, loss="mse", samples=3)) for widths in ((3, 4, 2), (30, 40, 20))
    )
    count = TABLE[method].count
    assert 0.0 < count(small, 1.0).seconds_on(1) < count(large, 1.0).seconds_on(1)


@pytest.mark.parametrize("method", [*METHODS, "textbook", "directional"])
def test_the_estimate_of_a_check_counts_what_small_networks_cost_as_well(method):
    times = []
    for depth in (1, 2, 8):
        case = reference.random_case(0, widths=(3,) * (depth + 1), loss="mse", samples=3)
        times.append(estimate_check(problems.problem(case), method))
    assert 1e-3 < times[0] < times[1] < times[2] < 0.1


def test_auto_takes_every_parameter_where_that_is_quick():
    case = reference.random_case(0)
    problem = problems.problem(case)
    assert numerical_gradient(problem, method="auto").method == "parameter"


@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize(("samples", "method"), [(8, "parameter"), (128, "preactivation")])
def test_auto_chooses_alike_on_one_thread_and_on_two(monkeypatch, threads, samples, method):
    """784-512-256-10 with 128 examples went by preactivation on one thread and by parameter on two."""
    monkeypatch.setenv("NUMBA_NUM_THREADS", threads)
    case = reference.random_case(
        0, widths=(784, 512, 256, 10), activations=("relu",), loss="softmax_crossentropy", samples=samples
    )
    assert methods.choose_method(problems.problem(case), "auto").name == method


def test_what_is_said_of_time_is_the_same_on_one_thread_and_on_two(monkeypatch):
    """How many parameters are audited, what a cross-check says and whether a mistake is named: none asks this machine."""
    monkeypatch.setattr(methods, "AFFORDABLE", -1.0)
    monkeypatch.setattr("fastgrad.diagnosis.cost.AFFORDABLE", -1.0)
    case = reference.random_case(0, widths=(6, 5, 3), loss="softmax_crossentropy", samples=4)
    wrong = 2.0 * reference.gradient(case)
    told = []
    for threads in ("1", "2"):
        monkeypatch.setenv("NUMBA_NUM_THREADS", threads)
        right = check_problem(problems.problem(case, reference.gradient(case)))
        screened = check_problem(problems.problem(case, wrong), method="directional")
        told.append((right.notes, right.audit, right.tensors, screened.notes))
    assert told[0] == told[1]
    assert "on two cores" in told[0][0][-1]
    assert "on two cores" in told[0][3][-1]


def test_auto_perturbs_pre_activations_where_parameters_take_long(monkeypatch):
    monkeypatch.setattr(methods, "AFFORDABLE", 0.0)
    assert numerical_gradient(problems.problem(reference.random_case(0)), method="auto").method == "preactivation"


@pytest.mark.compiled  # math.exp overflows with an exception where compiled code gives inf
@pytest.mark.parametrize("method", [*METHODS, "textbook"])
def test_loss_that_overflows_is_no_loss_to_check(method):
    case = reference.Case(
        (1, 1, 1), ("exp", "identity"), "squared_error", np.array([800.0, 0.0, 1.0, 0.0]), np.ones((1, 1)), np.zeros((1, 1))
    )
    with pytest.raises(InputError, match="the loss of this network is inf"):
        numerical_gradient(problems.problem(case), method=method)


@pytest.mark.parametrize("method", [*METHODS, "textbook"])
def test_nothing_given_is_modified(method):
    problem = problems.problem(problems.random_case(5))
    before = [array.copy() for array in (problem.theta, problem.X, problem.Y)]
    for array in (problem.theta, problem.X, problem.Y):
        array.flags.writeable = False
    try:
        numerical_gradient(problem, method=method)
    finally:
        for array, copy in zip((problem.theta, problem.X, problem.Y), before, strict=True):
            array.flags.writeable = True
            np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize(("reduction", "penalize"), list(itertools.product(["mean", "sum"], [False, True])))
def test_weights_that_are_tiny_or_zero(reduction, penalize):
    drawn = reference.random_case(6, widths=(3, 4, 2), loss="softmax_crossentropy", samples=3)
    for scale in (0.0, 1e-200):
        case = reference.Case(
            (3, 4, 2),
            ("tanh", "softmax"),
            "softmax_crossentropy",
            drawn.theta * scale,
            drawn.X,
            drawn.Y,
            reduction,
            0.1,
            penalize,
        )
        problem = problems.problem(case)
        for method in METHODS:
            found = numerical_gradient(problem, method=method)
            assert problems.roundoffs(problem, found.base, found.values, reference.gradient(case))[0] <= 4.0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [1e-6, 1e-9, 1e-12, 1e-15, 1e-100])
def test_outputs_and_targets_in_tiny_units(method, size):
    """Farads and metres: a squared error whose residuals are far smaller than any step."""
    drawn = reference.random_case(5, widths=(3, 2), loss="squared_error", samples=4, activations=("identity",))
    case = replace(drawn, theta=drawn.theta * size, Y=drawn.Y * size, l2=0.0)
    problem = problems.problem(case)
    found = numerical_gradient(problem, method=method)
    exact = reference.exact_gradient(case, digits=40)
    assert problems.relative_difference(exact / size, found.values / size) <= 1e-14
    assert problems.roundoffs(problem, found.base, found.values, exact)[0] <= 4.0


@pytest.mark.parametrize(
    "wrong", [{"step": "1e-5"}, {"step": True}, {"step": -1.0}, {"seed": -1}, {"seed": 1.5}, {"threads": 1.5}, {"threads": "2"}]
)
def test_arguments_of_the_wrong_kind_are_refused_by_name(wrong):
    problem = problems.problem(problems.random_case(0))
    with pytest.raises(InputError, match=f"{next(iter(wrong))} must be"):
        numerical_gradient(problem, **wrong)
