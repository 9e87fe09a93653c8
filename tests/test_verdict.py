"""Planted mistakes: named to the entry, in the user's own layout; and right gradients that must not be called wrong."""

import math
from dataclasses import astuple, replace

import numpy as np
import pytest

from fastgrad.errors import InputError
from fastgrad.judging.verdict import chance_of_missing, judge
from fastgrad.model.rounding import TOLERANCE
from fastgrad.numerical import numerical_gradient
from fastgrad.walk import check_problem

import problems
import reference

CASE = reference.random_case(7, widths=(5, 6, 4, 3), loss="softmax_crossentropy", samples=6, activations=("tanh", "sigmoid"))
EXACT = reference.gradient(CASE)
FOUND = numerical_gradient(problems.problem(CASE))


def tensors_of(claimed, precision="float64", transposed=False, found=FOUND, case=CASE):
    return {t.name: t for t in judge(problems.problem(case, claimed, precision, transposed), found).tensors}


def test_right_gradient_is_right():
    reports = tensors_of(EXACT)
    assert list(reports) == ["W1", "b1", "W2", "b2", "W3", "b3"]
    for report in reports.values():
        assert (report.verdict, report.wrong, report.ratio) == ("right", 0, None)
        assert report.checked == np.prod(report.shape)
        assert report.relative_difference <= 1e-14


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("name", ["W1", "b1", "W2", "b2", "W3", "b3"])
@pytest.mark.parametrize("which", ["smallest", "median", "largest"])
def test_one_entry_off_by_a_thousandth_is_named_and_alone_wrong(name, which, transposed):
    layer, kind = int(name[1]) - 1, name[0]
    network = problems.problem(CASE).network
    place = network.weight_slice(layer) if kind == "W" else network.bias_slice(layer)
    order = place.start + np.argsort(np.abs(EXACT[place]))
    k = int({"smallest": order[0], "median": order[order.size // 2], "largest": order[-1]}[which])
    claimed = EXACT.copy()
    claimed[k] *= 1.001
    reports = tensors_of(claimed, transposed=transposed)
    assert [n for n, report in reports.items() if report.verdict == "wrong"] == [name]
    worst = reports[name].worst
    index = np.unravel_index(
        k - place.start, (CASE.widths[layer + 1], CASE.widths[layer]) if kind == "W" else (place.stop - place.start,)
    )
    assert worst.index == tuple(int(i) for i in (index[::-1] if transposed else index))
    assert reports[name].wrong == 1
    assert worst.claimed == claimed[k]
    assert worst.numerical == pytest.approx(EXACT[k], rel=1e-9)


def test_planted_entries_of_random_networks_are_named():
    """Wherever the true entry is not itself rounding, of networks from all but linear to saturated."""
    named = 0
    for seed in range(20 if problems.JIT else 4):
        case, exact = problems.case_and_gradient(seed)
        problem = problems.problem(case, exact)
        found = numerical_gradient(problem)
        draw = np.random.default_rng(seed)
        for k in draw.integers(0, exact.size, 5):
            claimed = exact.copy()
            claimed[k] *= 1.001
            distance, _ = problems.roundoffs(problem, found.base, claimed, exact)
            wrong = [t for t in judge(replace(problem, claimed=claimed), found).tensors if t.verdict == "wrong"]
            if distance > 100.0:
                named += 1
                (tensor,) = wrong
                assert tensor.wrong == 1
                name, _, index = problem.network.locate(int(k)).partition("[")
                assert (tensor.name, tensor.worst.index) == (name, tuple(int(i) for i in index.rstrip("]").split(",")))
            elif distance < 10.0:
                assert not wrong
    assert named >= (60 if problems.JIT else 5)


def test_all_zero_gradient_is_wrong_everywhere():
    for report in tensors_of(np.zeros_like(EXACT)).values():
        assert report.verdict == "wrong"
        assert report.relative_difference == 1.0
        assert report.ratio == 0.0


def test_zero_gradient_of_a_dead_network_is_right():
    case = reference.Case(
        (2, 2, 1),
        ("relu", "identity"),
        "squared_error",
        np.array([1.0, 1.0, 1.0, 1.0, -9.0, -9.0, 1.0, 1.0]),
        np.ones((1, 2)),
        np.ones((1, 1)),
        biases=(True, False),
    )
    found = numerical_gradient(problems.problem(case))
    for report in tensors_of(np.zeros(8), found=found, case=case).values():
        assert (report.verdict, report.relative_difference) == ("right", 0.0)
    assert tensors_of(np.full(8, 1e-300), found=found, case=case)["W1"].verdict == "wrong"


def test_penalty_below_the_rounding_of_large_inputs_is_not_judged():
    """p = 1 of a single output, so that the penalty's c·w = 3e-9 is all of dW; (p − y)x is 0 but for u·x, some 3e-10."""
    case = reference.Case((1, 1), ("softmax",), "softmax_crossentropy", [1e-8], [[3e6]], [[1.0]], l2=0.3, biases=(False,))
    case = replace(case, theta=np.array(case.theta), X=np.array(case.X), Y=np.array(case.Y))
    found = numerical_gradient(problems.problem(case))
    for claimed in (0.0, 3e-9):
        assert tensors_of(np.array([claimed]), found=found, case=case)["W1"].verdict == "not judged"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_entry_that_is_no_number_is_wrong_and_named(value):
    claimed = EXACT.copy()
    claimed[7] = value
    report = tensors_of(claimed)["W1"]
    assert (report.verdict, report.wrong, report.worst.index, report.ratio) == ("wrong", 1, (1, 2), None)
    np.testing.assert_equal(report.worst.claimed, value)


def test_first_of_several_nans_is_named():
    claimed = EXACT.copy()
    claimed[[3, 17, 20]] = np.nan
    report = tensors_of(claimed)["W1"]
    assert (report.wrong, report.worst.index) == (3, (0, 3))


@pytest.mark.parametrize("ratio", [2.0, 1.0 / 6.0, -1.0, 6.0, 1.001, 1e8])
def test_constant_ratio_is_found(ratio):
    for report in tensors_of(ratio * EXACT).values():
        assert report.verdict == "wrong"
        assert report.ratio == pytest.approx(ratio, rel=1e-9)


def test_ratio_is_not_claimed_where_it_is_not_constant():
    claimed = 2.0 * EXACT
    claimed[4] *= 1.01
    assert tensors_of(claimed)["W1"].ratio is None
    assert tensors_of(claimed)["b1"].ratio == pytest.approx(2.0)


@pytest.mark.parametrize("seed", range(6))
def test_gradient_in_single_precision_is_right_in_float32(seed):
    case = problems.rounded(
        reference.random_case(seed, widths=(5, 6, 3), samples=5, activations=("tanh", "sigmoid")), np.float32
    )
    found = numerical_gradient(problems.problem(case, precision="float32"))
    claimed = problems.plain_gradient(case, np.float32, seed)
    reports = tensors_of(claimed, "float32", found=found, case=case)
    assert {report.verdict for report in reports.values()} <= {"right", "right in float32"}
    assert reports["W1"].verdict == "right in float32"
    assert tensors_of(claimed, "float64", found=found, case=case)["W1"].verdict == "wrong"
    claimed[3] *= 1.01
    report = tensors_of(claimed, "float32", found=found, case=case)["W1"]
    assert (report.verdict, report.wrong, report.worst.index) == ("wrong", 1, (0, 3))


@pytest.mark.parametrize("seed", range(20 if problems.JIT else 3))
def test_ordinary_backward_passes_of_random_networks_are_right(seed):
    case = problems.random_case(seed)
    found = numerical_gradient(problems.problem(case))
    reports = tensors_of(problems.plain_gradient(case, np.float64, seed), found=found, case=case)
    assert {report.verdict for report in reports.values()} <= {"right", "at a kink"}
    single = problems.rounded(case, np.float32)
    found = numerical_gradient(problems.problem(single, precision="float32"))
    reports = tensors_of(problems.plain_gradient(single, np.float32, seed), "float32", found=found, case=single)
    assert {report.verdict for report in reports.values()} <= {"right", "right in float32", "at a kink"}


def test_single_precision_that_underflows_is_no_mistake():
    """σ(−90) is 8e-40, which float32 holds to three digits; another unit keeps the gradient from being all of it."""
    theta = np.array([-90.0, 0.5, 0.1, 0.2, 1.0, 1.0, 0.0])
    case = reference.Case((1, 2, 1), ("sigmoid", "identity"), "squared_error", theta, np.ones((1, 1)), np.full((1, 1), 0.25))
    case = problems.rounded(case, np.float32)
    found = numerical_gradient(problems.problem(case, precision="float32"))
    reports = tensors_of(problems.plain_gradient(case, np.float32), "float32", found=found, case=case)
    assert "wrong" not in {report.verdict for report in reports.values()}


@pytest.mark.parametrize("scale", [1e-150, 1e-100, 1e100, 1e150])
def test_norms_of_tiny_and_huge_gradients(scale):
    """Squares of the entries underflow or overflow; the gradient of a linear network scales with its input."""
    theta, X, Y = np.array([0.5, -1.0, 2.0, 0.25]), np.array([[1.0, 2.0]]) * scale, np.array([[3.0, -1.0]]) * scale
    case = reference.Case((2, 2), ("identity",), "squared_error", theta, X, Y, biases=(False,))
    residual = np.array([0.5 - 2.0 - 3.0, 2.0 + 0.5 + 1.0])
    exact = np.outer(residual, [1.0, 2.0]).ravel() * scale * scale
    found = numerical_gradient(problems.problem(case))
    report = tensors_of(exact, found=found, case=case)["W1"]
    assert report.verdict == "right"
    assert report.relative_difference <= 1e-14
    report = tensors_of(2.0 * exact, found=found, case=case)["W1"]
    assert report.verdict == "wrong"
    assert report.relative_difference == pytest.approx(1.0 / 3.0)
    assert report.ratio == pytest.approx(2.0)


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_norms_of_claims_whose_squares_are_out_of_range(size):
    claimed = np.full_like(EXACT, size)
    report = tensors_of(claimed)["W2"]
    assert report.verdict == "wrong"
    assert report.relative_difference == pytest.approx(1.0)


def test_tensor_without_a_claim_is_not_judged():
    problem = problems.problem(CASE, EXACT.copy())
    tensors = tuple(replace(t, gradient_name=None) if t.name == "b2" else t for t in problem.tensors)
    problem.claimed[tensors[3].start : tensors[3].stop] = np.nan
    reports = judge(replace(problem, tensors=tensors), FOUND).tensors
    assert [r.verdict for r in reports] == ["right", "right", "right", "not judged", "right", "right"]
    assert (reports[3].checked, reports[3].wrong, reports[3].worst) == (0, 0, None)


def test_sampled_check_names_the_entry_when_it_is_drawn():
    claimed = EXACT.copy()
    claimed *= 1.001
    found = numerical_gradient(problems.problem(CASE), sample=25, seed=3)
    reports = tensors_of(claimed, found=found)
    assert sum(r.checked for r in reports.values()) == 25
    assert sum(r.wrong for r in reports.values()) == 25


@pytest.mark.parametrize("method", ["textbook", "parameter", "preactivation"])
@pytest.mark.parametrize("step", [None, 1e-3, 1e-7])
def test_fixed_steps_judge_a_right_gradient_right_though_it_is_far_off(method, step):
    report = check_problem(problems.problem(CASE, EXACT), method=method, step=step)
    assert {t.verdict for t in report.tensors} == {"right"}
    if method == "textbook" and step is None:
        assert 1e-11 < report.relative_difference < 1e-6
    claimed = EXACT.copy()
    k = int(np.argmax(np.abs(EXACT[:30])))
    claimed[k] *= 1.01
    report = check_problem(problems.problem(CASE, claimed), method=method, step=step)
    assert [t.name for t in report.tensors if t.verdict == "wrong"] == ["W1"]
    assert report.tensors[0].worst.index == divmod(k, 5)


# What would have been caught.


def places_of(problem):
    return {tensor.name: slice(tensor.start, tensor.stop) for tensor in problem.tensors}


@pytest.mark.parametrize("seed", range(12 if problems.JIT else 3))
def test_errors_above_the_stated_sensitivity_are_caught_and_those_below_the_tolerance_pass(seed):
    case, exact = problems.case_and_gradient(seed)
    problem = problems.problem(case, exact)
    found = numerical_gradient(problem)
    draw = np.random.default_rng(seed)
    for report in judge(problem, found).tensors:
        if report.verdict != "right" or report.sensitivity.entry is None:
            continue
        place, sensitivity = places_of(problem)[report.name], report.sensitivity
        typical = math.sqrt(float(np.mean((found.values[place] / (top := np.abs(found.values[place]).max())) ** 2))) * top
        for k in draw.integers(place.start, place.stop, 3):
            claimed = exact.copy()
            claimed[k] += 1.01 * sensitivity.entry * typical * draw.choice([-1.0, 1.0])
            assert verdicts(problem, claimed, found)[report.name] == "wrong"
        for factor, verdict in ((1.01, "wrong"), (0.1, "right")):
            claimed = exact.copy()
            claimed[place] *= 1.0 + factor * sensitivity.whole
            assert verdicts(problem, claimed, found)[report.name] == verdict


def verdicts(problem, claimed, found):
    return {tensor.name: tensor.verdict for tensor in judge(replace(problem, claimed=claimed), found).tensors}


@pytest.mark.parametrize("seed", range(30 if problems.JIT else 5))
@pytest.mark.parametrize("precision", ["float64", "float32", "float16"])
def test_zeros_never_pass_for_a_gradient_that_is_not_zero(seed, precision):
    case, exact = problems.case_and_gradient(seed)
    problem = problems.problem(case, np.zeros_like(exact), precision)
    found = numerical_gradient(problem)
    for report in judge(problem, found).tensors:
        here = exact[places_of(problem)[report.name]]
        if report.verdict in ("right", "right in float32", "at a kink") and found.lower is None:
            assert report.sensitivity.zeros_pass
            assert np.abs(here).max() < 2.0**-10 * max(1.0, np.abs(exact).max()), report.name
        elif report.verdict == "wrong":
            assert not report.sensitivity.zeros_pass


def test_zeros_pass_only_where_they_are_right():
    """At the minimum of a line's fit the gradient is zero to rounding; a step away it is not."""
    X, Y = np.array([[1.0], [2.0], [4.0]]), np.array([[0.3], [1.7], [2.9]])
    slope, intercept = np.polyfit(X.ravel(), Y.ravel(), 1)
    for moved, verdict in ((0.0, "right"), (1e-9, "wrong")):
        case = reference.Case((1, 1), ("identity",), "mse", np.array([slope + moved, intercept]), X, Y)
        report = tensors_of(np.zeros(2), found=numerical_gradient(problems.problem(case)), case=case)["W1"]
        assert (report.verdict, report.sensitivity.zeros_pass) == (verdict, verdict == "right")


@pytest.mark.parametrize(
    ("entries", "drawn", "wrong"), [(10, 8, 1), (10, 8, 2), (10, 8, 3), (5000, 60, 10), (700, 700, 1), (5, 0, 2)]
)
def test_chance_of_missing(entries, drawn, wrong):
    expected = math.comb(entries - wrong, drawn) / math.comb(entries, drawn)
    assert chance_of_missing(entries, drawn, wrong) == pytest.approx(expected, rel=1e-12)


def test_chance_of_missing_more_than_there_are():
    assert chance_of_missing(3, 1, 10) == 0.0
    assert chance_of_missing(3, 0, 10) == 1.0


def test_sample_states_its_chances():
    report = check_problem(problems.problem(CASE, EXACT), sample=25, seed=3)
    tensor = report.tensors[0]
    assert tensor.sensitivity.missed == tuple(
        (k, pytest.approx(math.comb(30 - k, tensor.checked) / math.comb(30, tensor.checked))) for k in (1, 10, 1)
    )
    assert "The chance to miss all wrong entries of dW" in " ".join(str(report).split())


# Parameters by outcome.


def test_every_parameter_has_one_outcome():
    claimed = EXACT.copy()
    claimed[:4] *= 1.5
    for report in tensors_of(claimed).values():
        assert astuple(report.outcomes) == (np.prod(report.shape) - report.wrong, 0, 0, report.wrong, 0)
    assert tensors_of(claimed)["W1"].outcomes.wrong == 4
    sampled = tensors_of(EXACT, found=numerical_gradient(problems.problem(CASE), sample=25, seed=3))
    assert sum(report.outcomes.not_judged for report in sampled.values()) == EXACT.size - 25


def test_outcomes_of_single_precision_and_kinks():
    case = problems.rounded(reference.random_case(0, widths=(5, 6, 3), samples=5, activations=("tanh",)), np.float32)
    found = numerical_gradient(problems.problem(case, precision="float32"))
    report = tensors_of(problems.plain_gradient(case, np.float32), "float32", found=found, case=case)["W1"]
    assert report.outcomes.right_in_float32 > 15
    assert sum(astuple(report.outcomes)) == 30
    theta, X, Y = np.array([1.0, -1.0, 2.0, 0.0]), np.array([[1.0], [3.0]]), np.array([[1.0], [0.5]])
    case = reference.Case((1, 1, 1), ("relu", "identity"), "squared_error", theta, X, Y)
    at_kink = 0
    for slope in (0.0, 0.5, 1.0):
        delta = np.array([(0.0 - 1.0) * 2.0 * slope, (4.0 - 0.5) * 2.0]) / 2.0
        claimed = np.array([delta @ X.ravel(), delta.sum(), 3.5 / 2.0 * 2.0, (0.0 - 1.0 + 4.0 - 0.5) / 2.0])
        reports = tensors_of(claimed, found=numerical_gradient(problems.problem(case)), case=case)
        assert {report.verdict for report in reports.values()} <= {"right", "at a kink"}
        assert sum(report.outcomes.wrong for report in reports.values()) == 0
        at_kink += reports["W1"].outcomes.at_kink
    assert at_kink >= 2  # one may be the numerical value itself


# The tolerance.


def test_tolerance_overrides_the_derived_one_and_is_stated():
    claimed = EXACT * (1.0 + 1e-9)
    assert check_problem(problems.problem(CASE, claimed)).verdict == "wrong"
    report = check_problem(problems.problem(CASE, claimed), tolerance=1e8)
    assert report.verdict == "right"
    assert {tensor.tolerance for tensor in report.tensors} == {1e8}
    assert f"The tolerance is 1e+08 roundings (your choice; the derived number is {TOLERANCE:g}) of an entry" in " ".join(
        str(report).split()
    )
    assert f"The tolerance is {TOLERANCE:g} roundings" in str(check_problem(problems.problem(CASE, EXACT)))


def test_tolerance_beyond_reason_judges_nothing():
    assert check_problem(problems.problem(CASE, np.zeros_like(EXACT)), tolerance=1e16).verdict == "not judged"


@pytest.mark.parametrize("tolerance", [0.0, -1.0, math.nan, math.inf, "32", True])
def test_tolerance_must_be_a_positive_number(tolerance):
    with pytest.raises(InputError, match="tolerance must be a positive number"):
        check_problem(problems.problem(CASE, EXACT), tolerance=tolerance)


def test_what_overflowed_in_the_numerical_gradient_accuses_nobody():
    """Its tensor is not judged, unless another entry of it, or a claim that is no number, is wrong."""
    values = FOUND.values.copy()
    values[0] = np.nan
    found = replace(FOUND, values=values)
    assert {name: report.verdict for name, report in tensors_of(EXACT, found=found).items() if report.verdict != "right"} == {
        "W1": "not judged"
    }
    for place, claim in ((0, np.nan), (1, 2.0 * EXACT[1])):
        claimed = EXACT.copy()
        claimed[place] = claim
        report = tensors_of(claimed, found=found)["W1"]
        assert (report.verdict, report.wrong) == ("wrong", 1)
        assert report.worst.index == tuple(int(i) for i in np.unravel_index(place, report.shape))
