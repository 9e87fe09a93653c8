"""The audit: it agrees with what is right, over all activations and losses, and finds kernels that are broken on purpose."""

from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from fastgrad.judging import audit as audit_room
from fastgrad.judging.audit import ACTIVATIONS, KINKS, LOSSES, audit
from fastgrad.kernels import launch
from fastgrad.model.activations import ACTIVATION_CODES, parse_activation
from fastgrad.model.losses import LOSS_CODES
from fastgrad.numerical import numerical_gradient
from fastgrad.teaching import demo
from fastgrad.walk import check_problem
from fastgrad_cli.files import write_demo
from fastgrad_cli.main import main

import problems
import reference

CASE = reference.random_case(7, widths=(5, 6, 4, 3), loss="softmax_crossentropy", samples=6, activations=("tanh", "sigmoid"))
EXACT = reference.gradient(CASE)
PLENTY = 1e3
"""Seconds enough for as many parameters as there may be."""


@pytest.mark.parametrize("text", problems.ALL)
def test_formulas_are_the_references(text):
    name, p = parse_activation(text)
    base, _, number = text.partition(":")
    activation = reference.PARAMETRISED[base](float(number)) if number else reference.ACTIVATIONS[name]
    z = np.concatenate([np.linspace(-9.0, 9.0, 181), [0.0, -0.0]])
    expected = [float(activation.value(float(v), reference.mp)) for v in z]
    np.testing.assert_allclose(ACTIVATIONS[name](z, p), expected, rtol=1e-12, atol=1e-15)
    kinks = KINKS[name](p) if name in KINKS else ()
    assert set(activation.kinks) <= set(kinks) or name in ("elu", "selu", "softsign")


def test_every_activation_and_loss_is_known():
    assert ACTIVATIONS.keys() >= ACTIVATION_CODES.keys()
    assert LOSSES.keys() >= LOSS_CODES.keys()


@pytest.mark.parametrize("seed", [*range(40 if problems.JIT else 8), 4035])
def test_agrees_on_random_networks(seed):
    case = problems.random_case(1000 + seed)
    problem = problems.problem(case)
    for method in ("parameter", "preactivation"):
        found = audit(problem, numerical_gradient(problem, method=method), seed, PLENTY)
        assert found.disagreements == ()
        assert 1 <= found.compared + found.set_aside <= audit_room.MOST


@pytest.mark.parametrize("seed", range(10 if problems.JIT else 3))
def test_sees_values_that_are_off_by_a_millionth(seed):
    """Where the noise of the plain passes lets it: networks of moderate size, pre-activations about 1."""
    case = reference.random_case(
        seed, widths=(5, 6, 4, 3), loss="softmax_crossentropy", samples=6, activations=("tanh", "gelu")
    )
    problem = problems.problem(case)
    numerical = numerical_gradient(problem)
    off = audit(problem, replace(numerical, values=numerical.values * (1.0 + 1e-6)), seed, PLENTY)
    assert len(off.disagreements) > 0.9 * off.compared
    assert off.compared >= 24  # small tensors have fewer entries than their share
    k = off.disagreements[0]
    layer, kind = int(k.name[1]) - 1, k.name[0]
    tensor = getattr(problem.network, kind)(numerical.values, layer)
    assert k.numerical == tensor[k.index] * (1.0 + 1e-6)
    assert k.plain == pytest.approx(tensor[k.index], rel=1e-7)


def test_value_that_is_no_number_disagrees():
    problem = problems.problem(CASE)
    numerical = numerical_gradient(problem)
    off = audit(problem, replace(numerical, values=np.full_like(numerical.values, np.nan)), 0, PLENTY)
    assert len(off.disagreements) == off.compared > 0


def test_draw_is_seeded_spread_over_tensors_and_never_empty():
    problem = problems.problem(CASE)
    first, again, other = (audit_room._draw(problem, None, 12, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    for tensor in problem.tensors:
        assert ((first >= tensor.start) & (first < tensor.stop)).sum() == 2
    assert audit_room._count(problem, 0.0) == audit_room.LEAST
    selected = np.array([3, 17, 40], dtype=np.int64)
    np.testing.assert_array_equal(audit_room._draw(problem, selected, 32, 0), selected)


def test_samples_on_a_kink_are_set_aside_and_near_ones_take_smaller_steps():
    theta = np.array([1.0, 1.0, 0.0, 2.0])
    for offset, compared in ((0.0, 2), (1e-7, 4), (1e-9, 4)):
        X, Y = np.array([[-1.0 + offset], [3.0]]), np.array([[1.0], [0.5]])
        case = reference.Case((1, 1, 1), ("relu", "identity"), "squared_error", theta[[0, 1, 3, 2]], X, Y)
        problem = problems.problem(case)
        found = audit(problem, numerical_gradient(problem), 0, PLENTY)
        assert (found.compared, found.set_aside, found.disagreements) == (compared, 4 - compared, ())


def test_dropout_and_penalties_are_part_of_it():
    problem = problems.problem(CASE)
    draw = np.random.default_rng(0)
    masks = (None, *((draw.random((6, n)) < 0.5) / 0.5 for n in (6, 4)))
    network = replace(problem.network, l2=(0.3,) * 6, l1=(0.1,) * 6)
    problem = replace(problem, network=network, masks=masks)
    numerical = numerical_gradient(problem)
    assert audit(problem, numerical, 0, PLENTY).disagreements == ()
    without = numerical_gradient(replace(problem, network=replace(network, l1=())))
    assert audit(problem, without, 0, PLENTY).disagreements
    undropped = numerical_gradient(replace(problem, masks=()))
    assert audit(problem, undropped, 0, PLENTY).disagreements


@pytest.fixture
def broken(monkeypatch):
    """Let the kernel be wrong by a ten-thousandth."""
    right = launch.parameter_differences

    def wrong(*arguments):
        right(*arguments)
        arguments[-1][:] *= 1.0 + 1e-4

    monkeypatch.setattr(launch, "parameter_differences", wrong)


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize("method", ["auto", "parameter", "textbook"])
def test_broken_kernels_judge_nothing(method):
    report = check_problem(problems.problem(CASE, EXACT), method=method)
    assert report.verdict == "not judged"
    assert report.audit.disagreements
    assert {tensor.verdict for tensor in report.tensors} == {"not judged"}
    text = " ".join(str(report).split())
    assert "NOT JUDGED The gradients could not be judged." in text
    assert "The audit failed" in text
    assert report.to_dict()["audit"]["disagreements"][0]["name"] in {"W1", "b1", "W2", "b2", "W3", "b3"}


@pytest.mark.usefixtures("broken")
def test_broken_kernels_exit_3(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_demo(demo.find("repaired"))
    result = CliRunner().invoke(main, ["check", "repaired.npz"])
    assert result.exit_code == 3
    assert "audit failed" in result.stdout


def test_outcome_stands_in_the_report():
    report = check_problem(problems.problem(CASE, EXACT), seed=5)
    assert report.audit.compared > 0
    said = f"{report.audit.compared} random parameters (seed 5) were computed again by plain forward passes and agree."
    assert said in " ".join(str(report).split())
    assert report.to_dict()["audit"] == {
        "compared": report.audit.compared,
        "set_aside": 0,
        "seed": 5,
        "disagreements": [],
    }


def test_same_draw_on_any_number_of_threads():
    drawn = {check_problem(problems.problem(CASE, EXACT), threads=1).audit for _ in range(2)}
    assert len(drawn) == 1
    assert audit_room.LEAST_AUDIT > 0.0
