"""Blind spots on networks made to have them; none on one that has none."""

from dataclasses import replace

import numpy as np
import pytest

from fastgrad.judging.blindspots import blind_spots
from fastgrad.model.forward import base_point
from fastgrad.reading import Description, interpret_parts
from fastgrad.walk import check_problem

import problems
import reference

SEEING = replace(
    reference.random_case(3, widths=(5, 7, 4, 3), loss="softmax_crossentropy", samples=9, activations=("tanh",)), l2=0.1
)


def spots(case, **changes):
    problem = replace(problems.problem(replace(case, l2=case.l2 or 0.1)), **changes)
    return blind_spots(problem, base_point(problem))


def shown(case, **changes):
    return " | ".join(spots(case, **changes))


def with_widths(widths, samples=9, **more):
    return reference.random_case(3, widths=widths, samples=samples, **{"activations": ("tanh",), **more})


def test_a_good_point_has_none():
    assert spots(SEEING) == ()


@pytest.mark.parametrize(
    ("case", "phrases"),
    [
        (with_widths((5, 7, 3), samples=1), ["One example hides"]),
        (with_widths((5, 7, 1)), ["A single output hides"]),
        (with_widths((5, 4, 4, 3)), ["Square weights (W2)", "Equal hidden widths"]),
        (with_widths((5, 7, 4, 7, 3)), ["Equal hidden widths"]),
        (with_widths((5, 7, 3), samples=7), ["As many examples as units (7)"]),
        (replace(SEEING, Y=np.tile([0.0, 1.0, 0.0], (9, 1))), ["All labels are equal"]),
        (replace(SEEING, X=np.concatenate([SEEING.X[:7], SEEING.X[:2]])), ["2 of 9 examples repeat another"]),
        (replace(SEEING, X=np.tile(SEEING.X[0], (9, 1))), ["All examples are equal"]),
        (replace(SEEING, X=SEEING.X * [1, 1, 0, 1, 0]), ["2 of 5 inputs are 0 in every example"]),
    ],
)
def test_spot_is_named(case, phrases):
    text = shown(case)
    assert all(phrase in text for phrase in phrases), text
    assert len(spots(case)) == len(phrases)


def changed(case, **tensors):
    """Return a case with some of its tensors replaced by numbers."""
    theta, network = case.theta.copy(), problems.problem(case).network
    for name, value in tensors.items():
        view = getattr(network, name[0])(theta, int(name[1]) - 1)
        view[...] = value
    return replace(case, theta=theta)


RELU = reference.random_case(3, widths=(5, 7, 3), loss="mse", samples=9, activations=("relu",))
"""Of one hidden layer; its output is drawn too and has no branch."""


def test_zero_biases():
    assert "Biases of zero (b1, b3) hide" in shown(changed(SEEING, b1=0.0, b3=0.0))
    assert "or in a penalty" in shown(changed(SEEING, b1=0.0))


def test_dead_units_are_counted_by_layer():
    case = replace(RELU, activations=("relu", "identity"))
    bias = np.where(np.arange(7) < 3, -1e3, 0.1)
    assert shown(changed(case, b1=bias)) == "Dead units (layer 1: 3 of 7) hide everything behind them; change the weights"


def test_z_of_one_sign():
    case = replace(RELU, activations=("relu", "identity"))
    assert "Pre-activations of one sign (layer 1) hide" in shown(changed(case, b1=1e3))
    smooth = replace(RELU, activations=("tanh", "identity"))
    assert "one sign" not in shown(changed(smooth, b1=1e3))


def test_saturated_units():
    case = replace(RELU, activations=("tanh", "identity"))
    bias = np.where(np.arange(7) < 2, 20.0, 0.1)
    assert "Saturated units (layer 1: 2 of 7)" in shown(changed(case, b1=bias))


def test_outputs_that_fit():
    Y = np.eye(3)[np.arange(9) % 3]
    logits = 60.0 * Y
    case = reference.Case((3, 3), ("softmax",), "softmax_crossentropy", np.append(np.eye(3).ravel(), np.ones(3)), logits, Y)
    assert "Every output fits its label" in shown(case)


def test_symmetric_weights():
    case = changed(with_widths((5, 4, 4, 3)), W2=np.eye(4))
    assert "Symmetric weights (W2) hide an array taken for its transpose" in shown(case)


def test_penalty_of_zero_is_named_only_where_it_was_given():
    W, X, Y = np.array([[0.5, -1.0], [2.0, 0.3], [0.1, 0.2]]), np.arange(8.0).reshape(4, 2), np.arange(12.0).reshape(4, 3)
    for given, named in (({}, False), ({"l2": 0.0}, True), ({"l2": 0.1}, False)):
        description = Description.of({"output": "identity", "loss": "mse", **given})
        problem = interpret_parts({"W1": W}, {"dW1": W}, X, Y, description, None)
        assert ("l2 = 0 hides" in " ".join(blind_spots(problem, base_point(problem)))) == named


def test_advice_never_fails_a_check_and_is_folded_in_the_text():
    case = with_widths((5, 4, 4, 1), samples=1)
    report = check_problem(problems.problem(case, reference.gradient(case)))
    assert report.passed
    assert len(report.advice) >= 3
    assert list(report.advice) == report.to_dict()["advice"]
    assert str(report).count("Blind spot:") == min(3, len(report.advice))


def test_tensor_whose_gradient_is_zero_is_named():
    case = changed(replace(RELU, activations=("relu", "identity"), l2=0.0), b1=-1e3)
    report = check_problem(problems.problem(case, reference.gradient(case)))
    assert report.passed
    assert report.advice[0].startswith("The gradient is zero to rounding (dW1, db1, dW2)")


def test_wrong_gradients_are_followed_by_one_piece_of_advice():
    case = with_widths((5, 7, 3), samples=1)
    report = check_problem(problems.problem(case, 2.0 * reference.gradient(case)))
    assert report.advice
    assert str(report).count("Blind spot: ") == 1
