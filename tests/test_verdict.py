"""Planted mistakes: named to the entry, in the user's own layout; and right gradients that must not be called wrong."""

from dataclasses import replace

import numpy as np
import pytest

from fastgrad.checking import check_problem
from fastgrad.numerical import numerical_gradient
from fastgrad.verdict import judge

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
