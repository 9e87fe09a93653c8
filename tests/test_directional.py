"""Derivatives along directions against Σ U∘gradient; wrong entries located; right gradients never accused."""

import itertools
import math
import signal
import time
from dataclasses import replace

import numpy as np
import pytest

import fastgrad
from fastgrad.errors import InputError, Interrupted
from fastgrad.judging import audit, directional
from fastgrad.judging.directional import chance_of_cancelling, check_directions
from fastgrad.machine import most_threads
from fastgrad.model.forward import base_point
from fastgrad.model.rounding import gradient
from fastgrad.numerical import numerical_gradient
from fastgrad.numerical.directional import count, derivative, measured, signs
from fastgrad.numerical.directional.signs import Region, whole_tensor
from fastgrad.walk import check_problem

import problems
import reference

CASE = reference.random_case(7, widths=(70, 9, 6, 3), loss="softmax_crossentropy", samples=6, activations=("tanh", "sigmoid"))
CASE = replace(CASE, l2=0.0)
EXACT = reference.gradient(CASE)
SEEDS = range(150 if problems.JIT else 8)


@pytest.fixture(autouse=True)
def without_warnings():
    """Without compilation NumPy's scalars warn where the hash wraps around, which `check_directions` knows of."""
    with np.errstate(all="ignore"):
        yield


def prepared(problem, directions=8, seed=0):
    return derivative.prepare(problem, directions, seed, 1)


def direction(setting, k):
    """U of a whole network in theta's order, from the signs of single entries."""
    U = np.empty(setting.problem.network.size)
    for tensor in setting.problem.tensors:
        n_in = tensor.canonical_shape[1] if tensor.kind == "W" else 1
        for place in range(tensor.size):
            i, j = divmod(place, n_in)
            entry = Region(tensor.layer, tensor.kind, i, i + 1, j, j + 1)
            U[tensor.start + place] = setting.signs.of(k, entry).item()
    return U


def all_measured(problem, directions=8, seed=0):
    setting = prepared(problem, directions, seed)
    return setting, [measured.measure(setting, whole_tensor(t)) for t in problem.tensors]


def verdicts(problem, **items):
    return {t.name: t.verdict for t in check_directions(problem, **items).tensors}


# Signs.


def test_signs_of_the_kernel_are_those_of_the_hash():
    """By unit vectors, over several words, a part of the rows and of the columns."""
    setting = prepared(problems.problem(CASE, EXACT))
    U = direction(setting, 2)[: 70 * 9].reshape(9, 70)
    assert set(np.unique(U)) == {-1.0, 1.0}
    for low, high, left, right in ((0, 9, 0, 70), (3, 8, 0, 70), (4, 5, 60, 67), (0, 9, 64, 70)):
        found = setting.signs.products(2, Region(0, "W", low, high, left, right), np.eye(70))
        inside = np.zeros((70, high - low))
        inside[left:right] = U[low:high, left:right].T
        np.testing.assert_array_equal(found, inside)


def test_signs_are_fair_and_differ_from_direction_to_direction():
    """16,000 signs: their mean, and that of the products of two runs of them, has a standard deviation of 0.008."""
    network = problems.problem(reference.random_case(0, widths=(16_000, 2), loss="mse", samples=1)).network
    drawn = [signs.Signs.of_seed(network, 2, seed, 1) for seed in (0, 1)]
    rows = [Region(0, "W", row, row + 1, 0, 16_000) for row in (0, 1)]
    runs = np.array([some.of(k, rows[0])[0] for some in drawn for k in (0, 1)] + [drawn[0].of(0, rows[1])[0]])
    assert np.abs(runs @ runs.T / 16_000 - np.eye(5)).max() < 0.04
    assert np.abs(runs.mean(axis=1)).max() < 0.04
    assert np.abs((runs[:, 1:] * runs[:, :-1]).mean(axis=1)).max() < 0.04


# Against the plain sum.


def test_derivatives_are_sums_of_the_gradient():
    """Networks of all activations and losses; the numbers of the gradient are those of the reference."""
    worst = 0.0
    for seed in range(20 if problems.JIT else 4):
        case, exact = problems.case_and_gradient(seed)
        problem = problems.problem(case, exact)
        setting, found = all_measured(problem, 3, seed)
        for k in range(3):
            U = direction(setting, k)
            for tensor, one in zip(problem.tensors, found, strict=True):
                plain = np.sum((U * exact)[tensor.start : tensor.stop])
                worst = max(worst, abs(one.numerical[k] - plain) / one.fine[k], abs(one.claimed[k] - plain) / one.fine[k])
    print(f"worst {worst:.2g} of what is allowed")
    assert worst <= 0.25


def test_derivatives_are_sums_of_the_gradient_by_parameter():
    for seed in SEEDS:
        problem = problems.problem(problems.random_case(seed))
        found = numerical_gradient(problem)
        for one in all_measured(replace(problem, claimed=found.values), 3, seed)[1]:
            assert (np.abs(one.claimed - one.numerical) <= 0.25 * one.allowed).all()


@pytest.mark.parametrize("masked", [False, True])
def test_all_at_once_is_the_sum_of_the_tensors(masked):
    for seed in range(20 if problems.JIT else 4):
        case = problems.random_case(seed)
        problem = problems.problem(case)
        if masked:
            draw = np.random.default_rng(seed)
            shapes = [(len(case.X), n) for n in case.widths[:-1]]
            problem = replace(problem, masks=tuple((draw.random(shape) < 0.7) / 0.7 for shape in shapes))
        plain = replace(problem, claimed=gradient(problem, base_point(problem)))
        setting, found = all_measured(plain, 2, seed)
        together = derivative.along_everything(setting, 1)
        own = together.rounding[0]
        apart = sum(one.carried[1] for one in found)
        assert (
            setting.kinked().any()
            or abs(together.derivative[0] - apart) <= sum(one.doubt[1] for one in found) + 32 * 2.0**-53 * own
        )
        assert "wrong" not in verdicts(plain, seed=seed).values()


# Right gradients.


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_right_gradients_are_never_accused(dtype):
    precision = np.dtype(dtype).name
    right = 0
    for seed in SEEDS:
        case = problems.rounded(problems.random_case(seed, largest_scale=3.0, inputs="normal"), dtype)
        claimed = problems.plain_gradient(case, dtype, seed)
        if np.isfinite(claimed).all():
            found = verdicts(problems.problem(case, claimed, precision), seed=seed)
            assert "wrong" not in found.values(), (seed, found)
            right += sum(verdict.startswith("right") for verdict in found.values())
    assert right >= 3 * len(SEEDS)


@pytest.mark.parametrize("directions", [1, 8])
def test_one_gradient_along_many_directions(directions):
    problem = problems.problem(CASE, EXACT)
    for seed in range(40 if problems.JIT else 5):
        assert set(verdicts(problem, seed=seed, directions=directions).values()) == {"right"}


@pytest.mark.parametrize("loss", problems.LOSSES)
def test_every_loss(loss):
    """A backward pass as people write it is right and the audit agrees; a factor on it is wrong in every tensor judged."""
    drawn = (problems.random_case(seed, largest_scale=3.0, inputs="normal") for seed in itertools.count())
    judged = 0
    for case in itertools.islice((case for case in drawn if case.loss == loss), 6 if problems.JIT else 2):
        claimed = problems.plain_gradient(case, np.float64)
        found = check_directions(problems.problem(case, claimed))
        assert "wrong" not in {t.verdict for t in found.tensors}
        assert not found.audit.disagreements
        judged += found.audit.compared
        wrong = verdicts(problems.problem(case, 1.001 * claimed))
        for tensor in found.tensors:
            if tensor.verdict == "right" and not tensor.sensitivity.zeros_pass and tensor.sensitivity.whole < 1e-3:
                assert wrong[tensor.name] == "wrong"
    assert judged


# Wrong ones.


@pytest.mark.parametrize("size", [1e-8, 1e-6, 1e-3, 1.0])
@pytest.mark.parametrize("transposed", [False, True])
def test_single_wrong_entries_are_located(size, transposed):
    draw = np.random.default_rng(3)
    for place, tensor in enumerate(problems.problem(CASE, EXACT, transposed=transposed).tensors):
        k = int(draw.integers(tensor.start, tensor.stop))
        claimed = EXACT.copy()
        claimed[k] += size * np.linalg.norm(EXACT[tensor.start : tensor.stop]) * draw.choice([-1, 1])
        found = check_directions(problems.problem(CASE, claimed, transposed=transposed), seed=place)
        (wrong,) = (t for t in found.tensors if t.verdict == "wrong")
        index = np.unravel_index(k - tensor.start, tensor.canonical_shape)
        assert (wrong.name, wrong.wrong, wrong.more, len(wrong.located)) == (tensor.name, 1, False, 1)
        assert wrong.worst.index == tuple(int(i) for i in (index[::-1] if transposed else index))
        assert wrong.worst.claimed == claimed[k]
        assert wrong.worst.numerical == pytest.approx(EXACT[k], rel=1e-9, abs=1e-14)


def test_single_wrong_entries_of_random_networks_are_located():
    located = 0
    for seed in range(60 if problems.JIT else 4):
        case, draw = problems.random_case(seed), np.random.default_rng(seed)
        problem = problems.problem(case)
        claimed = numerical_gradient(problem).values
        k = int(draw.integers(claimed.size))
        tensor = next(t for t in problem.tensors if t.start <= k < t.stop)
        error = 1e-8 * np.linalg.norm(claimed[tensor.start : tensor.stop])
        clear = max(one.allowed.max() for one in all_measured(replace(problem, claimed=claimed), 8, seed)[1])
        claimed[k] += error
        wrong = [t for t in check_directions(replace(problem, claimed=claimed), seed=seed).tensors if t.verdict == "wrong"]
        if error > 2.0 * clear:
            located += 1
            (only,) = wrong
            name, _, index = problem.network.locate(k).partition("[")
            assert (only.name, only.worst.index, only.wrong) == (name, tuple(map(int, index.rstrip("]").split(","))), 1)
    assert located >= (20 if problems.JIT else 1)


def test_several_wrong_entries_of_one_tensor_are_all_located():
    places = [5, 80, 81, 300, 629]
    claimed = EXACT.copy()
    claimed[places] *= [1.5, 0.5, -1.0, 1.0001, 0.0]
    tensor = check_directions(problems.problem(CASE, claimed)).tensors[0]
    assert {entry.index for entry in tensor.located} == {divmod(k, 70) for k in places}
    assert (tensor.wrong, tensor.more) == (5, False)
    errors = [abs(entry.claimed - entry.numerical) for entry in tensor.located]
    assert errors[-1] == min(errors)


def test_a_row_of_wrong_entries_is_not_listed_to_the_end():
    claimed = EXACT.copy()
    claimed[70 * 4 : 70 * 5] = EXACT[70 * 4 : 70 * 5][::-1]
    report = check_problem(problems.problem(CASE, claimed), method="directional")
    tensor = report.tensors[0]
    assert (tensor.verdict, tensor.more) == ("wrong", True)
    assert {entry.index[0] for entry in tensor.located} == {4}
    assert "1+ of 630" in str(report)
    assert "dW1 is wrong in more entries than were located" in str(report)


def test_all_zero_gradient_is_wrong_everywhere():
    for report in check_directions(problems.problem(CASE, np.zeros_like(EXACT))).tensors:
        assert (report.verdict, report.relative_difference, report.ratio) == ("wrong", 1.0, 0.0)


@pytest.mark.parametrize("factor", [-1.0, 2.0, 6.0, 1.000001])
def test_a_factor_is_named_and_one_entry_shown(factor):
    found = check_directions(problems.problem(CASE, factor * EXACT))
    for report in found.tensors:
        assert report.verdict == "wrong"
        assert report.ratio == pytest.approx(factor, rel=1e-9)
        assert len(report.located) == 1
        assert report.worst.claimed == pytest.approx(factor * report.worst.numerical, rel=1e-9)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_entries_that_are_no_numbers_are_named(value):
    claimed = EXACT.copy()
    claimed[[7, 600]] = value
    found = check_directions(problems.problem(CASE, claimed))
    wrong, *others = found.tensors
    assert (wrong.verdict, wrong.wrong) == ("wrong", 2)
    assert [entry.index for entry in wrong.located] == [(0, 7), (8, 40)]
    assert np.isnan(found.relative_difference)
    assert {other.verdict for other in others} == {"right"}


@pytest.mark.parametrize("size", [1e-300, 1e-160, 1e160, 1e300])
def test_huge_and_tiny_wrong_entries(size):
    claimed = EXACT.copy()
    claimed[70 * 9 + 3] = claimed[77] = size
    wrong = {t.name: t for t in check_directions(problems.problem(CASE, claimed)).tensors if t.verdict == "wrong"}
    assert {name: t.worst.index for name, t in wrong.items()} == {"W1": (1, 7), "b1": (3,)}


def test_tensor_without_a_gradient_is_not_judged():
    problem = problems.problem(CASE, EXACT.copy())
    tensors = (replace(problem.tensors[0], gradient_name=None), *problem.tensors[1:])
    problem.claimed[: 70 * 9] = np.nan
    found = check_directions(replace(problem, tensors=tensors))
    assert [t.verdict for t in found.tensors] == ["not judged"] + 5 * ["right"]
    assert found.tensors[0].checked == 0
    assert found.relative_difference < 1e-14


# Penalties and kinks.


@pytest.mark.parametrize("wrong", [None, "l2", "l1"])
def test_penalties(wrong):
    plain = problems.problem(CASE)
    network = replace(plain.network, l2=(0.3, 0.0, 0.2, 0.1, 0.0, 0.0), l1=(0.0, 0.05, 0.01, 0.0, 0.02, 0.0))
    claimed = EXACT.copy()
    for tensor, l2, l1 in zip(plain.tensors, network.l2, network.l1, strict=True):
        w = plain.theta[tensor.start : tensor.stop]
        claimed[tensor.start : tensor.stop] += l2 * w * (wrong != "l2") + l1 * np.sign(w) * (wrong != "l1")
    found = verdicts(replace(plain, network=network, claimed=claimed))
    penalized = {None: set(), "l2": {"W1", "W2", "b2"}, "l1": {"b1", "W2", "W3"}}[wrong]
    assert {name for name, verdict in found.items() if verdict == "wrong"} == penalized
    assert set(found.values()) <= {"right", "wrong"}


def test_a_factor_on_a_penalized_gradient_is_named():
    plain = problems.problem(CASE)
    network = replace(plain.network, l2=(0.3,) * 6)
    found = check_directions(replace(plain, network=network, claimed=2.0 * (EXACT + 0.3 * CASE.theta)))
    assert [t.ratio for t in found.tensors] == pytest.approx([2.0] * 6, rel=1e-9)


@pytest.mark.parametrize(("slope", "expected"), [(0.0, "right"), (1.0, "not judged"), (1.5, "wrong")])
def test_a_weight_on_the_kink_of_an_l1_penalty(slope, expected):
    theta = CASE.theta.copy()
    theta[70] = 0.0
    case = replace(CASE, theta=theta)
    plain = problems.problem(case)
    network = replace(plain.network, l1=(0.05, 0.0, 0.0, 0.0, 0.0, 0.0))
    claimed = reference.gradient(case)
    claimed[:630] += 0.05 * np.where(theta[:630] == 0.0, slope, np.sign(theta[:630]))
    assert verdicts(replace(plain, network=network, claimed=claimed))["W1"] == expected


def kinked():
    """A relu network with a sample of zeros and no biases: every hidden unit sits on its kink for that sample."""
    case = reference.random_case(1, widths=(5, 7, 6, 2), loss="squared_error", samples=4, activations=("tanh",))
    theta, X = case.theta.copy(), case.X.copy()
    network = problems.problem(case).network
    for layer in range(2):
        network.b(theta, layer)[:] = 0.0
    X[1] = 0.0
    return replace(case, activations=("relu", "relu", "identity"), theta=theta, X=X)


@pytest.mark.parametrize(("hidden", "slopes"), [("relu", (0, 1)), ("leaky_relu:0.2", (0.2, 1)), ("elu:1.5", (1.5, 1))])
def test_on_a_kink_either_slope_is_right_and_nothing_beyond(hidden, slopes):
    """One hidden layer and an input of zeros: what its units have for a slope scales this sample's share of dW1 and db1."""
    case = reference.random_case(1, widths=(5, 7, 2), loss="squared_error", samples=4, activations=("tanh",))
    theta, X = case.theta.copy(), case.X.copy()
    problems.problem(case).network.b(theta, 0)[:] = 0.0
    X[1] = 0.0
    case = replace(case, activations=(hidden, "identity"), theta=theta, X=X, l2=0.0)
    alone = replace(case, activations=("identity",) * 2, X=X[1:2], Y=case.Y[1:2])
    b1 = slice(35, 42)
    share = reference.gradient(alone)[b1] / (4 if case.reduction == "mean" else 1)
    with_left = reference.gradient(case)
    used = reference.activation(hidden).derivative(0.0, math)
    for slope, expected in ((slopes[0], "at a kink"), (slopes[1], "at a kink"), (sum(slopes) / 2, "right"), (3.0, "wrong")):
        claimed = with_left.copy()
        claimed[b1] += (slope - used) * share
        found = check_directions(problems.problem(case, claimed))
        assert found.kinked_samples == 1
        assert {t.name: t.verdict for t in found.tensors} == {"W1": "right", "b1": expected, "W2": "right", "b2": "right"}
    claimed[b1] = with_left[b1] + (np.linspace(*slopes, 7) - used) * share
    assert verdicts(problems.problem(case, claimed))["b1"] in {"at a kink", "not judged"}


def test_kinks_in_right_gradients_are_no_mistakes_and_mistakes_are():
    case = kinked()
    claimed = problems.plain_gradient(case, np.float64)
    found = check_directions(problems.problem(case, claimed))
    assert {t.verdict for t in found.tensors} <= {"right", "at a kink", "not judged"}
    assert "at a kink" in {t.verdict for t in found.tensors}
    assert {t.verdict for t in check_directions(problems.problem(case, 100.0 * claimed)).tensors} == {"wrong"}


@pytest.mark.parametrize("distance", [2e-14, -2e-14, 1e-9])
def test_no_kink_nearby_is_crossed(distance):
    case = kinked()
    theta = case.theta.copy()
    problems.problem(case).network.b(theta, 0)[:] = distance
    problems.problem(case).network.b(theta, 1)[:] = 1.0
    case = replace(case, theta=theta)
    found = check_directions(problems.problem(case, reference.gradient(case)))
    assert found.kinked_samples == 0
    assert {t.verdict for t in found.tensors} == {"right"}
    assert found.step_range[0] <= 0.5 * abs(distance)  # that of b1, if no larger one of W1


def test_steps_that_never_fit_leave_a_tensor_unjudged(monkeypatch):
    monkeypatch.setattr(derivative, "ATTEMPTS", 1)
    monkeypatch.setattr(derivative, "FIRST_MOVE", 1.0)
    found = check_directions(problems.problem(CASE, np.zeros_like(EXACT)))
    assert {t.verdict for t in found.tensors} == {"not judged"}


def linear(loss, W, x, Y):
    """One layer without activation or bias."""
    W, x = np.array(W, dtype=float), np.array(x, dtype=float)
    return reference.Case(
        widths=(W.shape[1], W.shape[0]),
        activations=("identity",),
        loss=loss,
        theta=W.ravel(),
        X=x,
        Y=np.array(Y, dtype=float),
        reduction="sum",
        l2=0.0,
        penalize_biases=False,
        biases=(False,),
    )


@pytest.mark.parametrize(("slope", "expected"), [(0.0, "right"), (1.0, "not judged"), (-1.0, "not judged"), (2.5, "wrong")])
def test_on_the_kink_of_an_absolute_error_any_slope_between_is_no_mistake(slope, expected):
    """Two examples of which the second meets its target: |a − y| has there any slope from −1 to 1."""
    case = linear("sum_absolute_error", [[0.5, -1.0, 2.0]], [[1.0, 2.0, 3.0], [4.0, 1.0, 0.5]], [[0.0], [2.0]])
    found = check_directions(problems.problem(case, case.X[0] + slope * case.X[1]))
    assert (found.kinked_samples, found.tensors[0].verdict) == (1, expected)
    assert (found.audit.compared, found.audit.disagreements) == (1, ())


@pytest.mark.parametrize(("share", "expected"), [(0.5, "right"), (0.0, "not judged"), (1.0, "not judged"), (2.0, "wrong")])
def test_on_the_kink_of_a_hinge(share, expected):
    """The outputs of the second example are ½ and −½: the hinge 1 + a_1 − a_0 is 0, and of any slope from 0 to 1."""
    case = linear("hinge", [[0.5, 0.25], [-0.5, 1.0]], [[1.0, 3.0], [1.0, 0.0]], [[1, 0], [1, 0]])
    along_x = np.array([-1.0, 1.0])
    claimed = np.outer(along_x, case.X[0]) + share * np.outer(along_x, case.X[1])
    found = check_directions(problems.problem(case, claimed.ravel()))
    assert (found.kinked_samples, found.tensors[0].verdict) == (1, expected)


@pytest.mark.parametrize("loss", ["sum_absolute_error", "huber:0.5", "hinge", "squared_hinge"])
@pytest.mark.parametrize("distance", [1e-12, -1e-12])
def test_no_kink_of_a_loss_nearby_is_crossed(loss, distance):
    """Outputs ½ + distance where a target of 0, of 1 + ½ or the margin makes the kink; plain slopes on either side."""
    Y = {"sum_absolute_error": 0.5, "huber:0.5": 0.0}.get(loss, 1.0)
    output = 1.0 + distance if "hinge" in loss else 0.5 + distance
    case = linear(loss, [[output, 3.0]], [[1.0, 0.0]], [[Y]])
    slope = {
        "sum_absolute_error": np.sign(output - 0.5),
        "huber:0.5": min(output, 0.5),
        "hinge": -1.0 * (output < 1.0),
        "squared_hinge": -2.0 * max(1.0 - output, 0.0),
    }[loss]
    found = check_directions(problems.problem(case, slope * case.X[0]))
    assert found.kinked_samples == 0
    assert found.tensors[0].verdict == "right"
    assert found.step_range[0] <= 0.5 * abs(distance)


# The audit, the report's accuracy, Ctrl-C.


def test_a_formula_that_the_plain_passes_contradict_judges_nothing(monkeypatch):
    monkeypatch.setitem(audit.ACTIVATIONS, "sigmoid", lambda z, p: np.tanh(0.5 * z) * 0.5001 + 0.5)
    report = check_problem(problems.problem(CASE, EXACT), method="directional")
    assert report.verdict == "not judged"
    assert {tensor.verdict for tensor in report.tensors} == {"not judged"}
    (note,) = report.notes
    assert note.startswith("The audit failed for 1 of 1 direction: for all parameters at once ")
    assert len(report.audit.disagreements) == 1


def test_the_plain_derivative_is_the_sum_over_the_gradient():
    """To the noise of a plain difference, by signs that no kernel made."""
    setting = prepared(problems.problem(CASE, EXACT))
    U = direction(setting, 0)
    h = 1e-6
    losses = [reference.loss(replace(CASE, theta=CASE.theta + sign * h * U)) for sign in (1, -1)]
    together = derivative.along_everything(setting, 0)
    assert together.derivative[0] == pytest.approx(float(losses[0] - losses[1]) / (2.0 * h), rel=1e-6)
    assert together.derivative[0] == pytest.approx(U @ EXACT, rel=1e-12)


def test_samples_on_kinks_are_left_out_of_the_audit():
    case = kinked()
    found = check_directions(problems.problem(case, problems.plain_gradient(case, np.float64)))
    assert (found.kinked_samples, found.audit.compared, found.audit.disagreements) == (1, 1, ())
    alone = replace(case, X=np.zeros_like(case.X))
    found = check_directions(problems.problem(alone, problems.plain_gradient(alone, np.float64)))
    assert (found.audit.compared, found.audit.set_aside) == (0, 1)


def test_errors_above_what_is_said_are_caught_and_below_it_pass():
    """A single entry that is off by 1.01 times the bound is found; one of a hundredth of it is within the rounding."""
    tensor = problems.problem(CASE).tensors[0]
    said = check_directions(problems.problem(CASE, EXACT)).tensors[0].sensitivity
    typical = np.linalg.norm(EXACT[: tensor.size]) / np.sqrt(tensor.size)
    for share, verdict in ((1.5, "wrong"), (0.01, "right")):
        claimed = EXACT.copy()
        claimed[7] += share * said.entry * typical
        assert verdicts(problems.problem(CASE, claimed))["W1"] == verdict
    assert verdicts(problems.problem(CASE, EXACT * (1.0 + 1.01 * said.whole)))["W1"] == "wrong"
    assert not said.zeros_pass


def test_tolerance_is_a_multiple_of_rounding():
    claimed = EXACT.copy()
    claimed[7] += 1e-12 * np.linalg.norm(EXACT[:630])
    report = check_problem(problems.problem(CASE, claimed), method="directional")
    assert report.tensors[0].verdict == "wrong"
    report = check_problem(problems.problem(CASE, claimed), method="directional", tolerance=1000.0)
    assert {(t.verdict, t.tolerance) for t in report.tensors} == {("right", 1000.0)}
    said = "The tolerance is 1000 roundings (your choice; the derived number is 32) of a signed sum"
    assert said in " ".join(str(report).split())


def test_single_precision_in_double_arrays_is_told():
    single = EXACT.astype(np.float32).astype(float)
    report = check_problem(problems.problem(CASE, single), method="directional")
    assert {tensor.verdict for tensor in report.tensors} == {"right in float32"}
    assert "single precision numbers" in report.notes[-1]


def test_ctrl_c_tells_of_the_tensors_that_were_finished():
    def press(done, total):
        if done >= 640:
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted) as stopped:
        check_problem(problems.problem(CASE, 2.0 * EXACT), method="directional", progress=press)
    report = stopped.value.finished
    assert [t.verdict for t in report.tensors] == ["wrong"] * 3 + ["not judged"] * 3
    assert "Interrupted: 693 of 720 parameters were finished" in report.notes[-1]
    assert report.audit is None
    assert signal.getsignal(signal.SIGINT) is before


# Chance, threads, arguments, what is printed.


@pytest.mark.parametrize("count", [1, 2, 3, 4, 10])
def test_chance_of_cancelling_is_that_of_all_patterns_of_signs(count):
    sums = [sum(pattern) for pattern in itertools.product((-1, 1), repeat=count)]
    share = sums.count(0) / len(sums)
    for directions in (1, 4):
        assert chance_of_cancelling(count, directions) == pytest.approx(share**directions)


@pytest.mark.parametrize("wrong", [1_002, 20_000])
def test_chance_of_cancelling_of_many_is_that_of_few(wrong):
    exact = math.comb(wrong, wrong // 2) / 2**wrong
    assert chance_of_cancelling(wrong, 3) == pytest.approx(exact**3, rel=1e-9)


def test_chance_of_cancelling_of_a_million_takes_no_time():
    began = time.process_time()
    assert chance_of_cancelling(10**6, 1) == pytest.approx(0.000797884, rel=1e-5)
    assert time.process_time() - began < 0.1


def test_two_wrong_entries_are_missed_as_often_as_is_said():
    """1,000 draws of one direction: half of them, give or take four standard deviations of 16."""
    rounds = 1000 if problems.JIT else 50
    many = signs.Signs.of_seed(problems.problem(CASE).network, rounds, 9, 1)
    wrong = EXACT[:630].reshape(9, 70).copy()
    wrong[[0, 3], [11, 12]] += 0.1
    region = Region(0, "W", 0, 9, 0, 70)
    off = np.abs(many.sums(region, wrong)[0] - many.sums(region, EXACT[:630].reshape(9, 70))[0])
    np.testing.assert_allclose(off[off > 1e-9], 0.2, rtol=1e-9)
    assert abs((off < 1e-9).sum() - chance_of_cancelling(2, 1) * rounds) < 4.0 * np.sqrt(rounds / 4.0)


@pytest.mark.compiled
def test_same_bits_for_any_number_of_threads():
    case = reference.random_case(4, widths=(300, 260, 130, 5), loss="softmax_crossentropy", samples=7, activations=("gelu",))
    problem = problems.problem(case)
    claimed = gradient(problem, base_point(problem))
    claimed[12345] *= 1.01
    two_or_all = min(2, most_threads())
    found = [check_directions(problems.problem(case, claimed), threads=threads) for threads in (1, two_or_all)]
    assert found[0].tensors == found[1].tensors
    assert found[0].tensors[0].located[0].index == divmod(12345, 300)
    assert found[0].relative_difference == found[1].relative_difference


def test_seed_decides():
    problem = problems.problem(CASE, EXACT)
    assert check_directions(problem, seed=1).tensors == check_directions(problem, seed=1).tensors
    assert check_directions(problem, seed=1).tensors != check_directions(problem, seed=2).tensors


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ({"method": "directional", "step": 1e-5}, "leave out step"),
        ({"method": "directional", "scheme": "forward"}, "leave out scheme"),
        ({"method": "directional", "sample": "5%"}, "leave out sample"),
        ({"method": "directional", "directions": 0}, "directions must be a whole number from 1 to 1,000, found 0"),
        ({"method": "directional", "directions": 1.5}, "directions must be a whole number from 1 to 1,000, found 1.5"),
        ({"method": "directional", "directions": 1001}, "directions must be a whole number from 1 to 1,000, found 1001"),
        ({"method": "directional", "seed": -1}, "seed must be a whole number of at least 0, found -1"),
        ({"method": "parameter", "directions": 3}, "directions go with method directional, found method parameter"),
    ],
)
def test_arguments_that_are_refused(items, message):
    with pytest.raises(InputError, match=message):
        check_problem(problems.problem(CASE, EXACT), **items)


def test_a_derivative_that_contradicts_itself_is_no_verdict(monkeypatch):
    whole = directional.along_everything
    monkeypatch.setattr(directional, "along_everything", lambda setting, k: replace(whole(setting, k), parts=np.ones((6, 1))))
    with pytest.raises(InputError, match="fastgrad contradicts itself"):
        check_directions(problems.problem(CASE, EXACT))


def test_report_says_how_many_directions_and_what_they_miss():
    report = check_problem(problems.problem(CASE, EXACT), method="directional", directions=4, seed=3)
    assert isinstance(report, fastgrad.Report)
    assert report.passed
    text = " ".join(str(report).split())
    assert "4 directions of random signs, drawn with seed 3" in text
    assert "2 with a chance of 6.2% and 10 with a chance of 0.37%" in text
    assert "method directional with a step for each direction" in text
    document = report.to_dict()
    assert document["chance_of_missing"] == {"1": 0.0, "2": 0.0625, "10": pytest.approx(0.24609375**4)}
    assert (document["directions"], document["direction_seed"], document["tensors"][0]["located"]) == (4, 3, [])


def test_count_grows_with_the_network_and_the_directions():
    small, large = (
        problems.problem(reference.random_case(0, widths=widths, loss="mse", samples=3)) for widths in ((3, 4, 2), (30, 40, 20))
    )
    assert 0.0 < count(small).seconds_on(1) < count(large).seconds_on(1) < count(large, 16).seconds_on(1)
