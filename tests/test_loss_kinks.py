"""Losses with kinks: on one every slope between the one-sided ones is right and nothing else; near one no step crosses it."""

from dataclasses import replace

import numpy as np
import pytest

from fastgrad.judging.verdict import judge
from fastgrad.numerical import numerical_gradient

import problems
import reference

METHODS = ("parameter", "preactivation")


def on_the_kink(loss, outputs, target, activation="identity"):
    """A 2-n network of four examples, the first of which is 0: its outputs are f(b), chosen to lie on the loss's kink."""
    draw = np.random.default_rng(3)
    n = len(outputs)
    theta = np.concatenate([draw.normal(size=2 * n), outputs])
    X = np.vstack([np.zeros(2), draw.normal(size=(3, 2))])
    Y = draw.normal(size=(4, n))
    if "hinge" in loss:
        Y = np.eye(n)[[0, 1, 0, 1]] if n > 1 else np.array([[0.0], [1.0], [-1.0], [1.0]])
    Y[0] = target
    return reference.Case((2, n), (activation,), loss, theta, X, Y)


def one_sided(case, output, move):
    """The exact gradient with one output of the first example moved by 1e-9: the slope on one side of the kink."""
    theta = case.theta.copy()
    theta[len(theta) - case.widths[-1] + output] += move
    first = replace(case, X=case.X[:1], Y=case.Y[:1])
    moved = reference.gradient(replace(first, theta=theta))
    rest = reference.gradient(replace(case, X=case.X[1:], Y=case.Y[1:], reduction="sum"))
    return (moved + rest) / len(case.X)


KINKS = [
    ("absolute_error", (0.5, 0.3), (0.5, 1.0), 0),
    ("sum_absolute_error", (0.5,), (0.5,), 0),
    ("hinge", (0.25, -0.75, 0.0), (1.0, 0.0, 0.0), 1),
    ("hinge:0.5", (0.5,), (1.0,), 0),
    ("hinge:0.5", (-0.5,), (-1.0,), 0),
]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("loss", "outputs", "target", "output"), KINKS)
def test_on_a_kink_of_the_loss_every_slope_between_is_right(method, loss, outputs, target, output):
    case = on_the_kink(loss, outputs, target)
    left, right = (one_sided(case, output, move) for move in (-1e-9, 1e-9))
    assert np.abs(left - right).max() > 0.01
    found = numerical_gradient(problems.problem(case), method=method)
    assert found.kinked_samples == 1
    for share, allowed in ((0.0, True), (0.3, True), (0.5, True), (1.0, True), (-0.1, False), (1.1, False)):
        claimed = (1.0 - share) * left + share * right
        tensors = {t.name: t.verdict for t in judge(problems.problem(case, claimed), found).tensors}
        assert (tensors["b1"] in {"right", "at a kink"}) == allowed, (share, tensors)
        assert tensors["W1"] == "right"


@pytest.mark.parametrize("method", METHODS)
def test_absolute_error_of_a_softmax_on_its_kink(method):
    case = on_the_kink("absolute_error", (0.0, 0.0), (0.5, 0.25), "softmax")
    left, right = (one_sided(case, 0, move) for move in (-1e-9, 1e-9))
    found = numerical_gradient(problems.problem(case), method=method)
    assert found.kinked_samples == 1
    for share, allowed in ((0.001, True), (0.5, True), (0.999, True), (-0.1, False), (1.1, False)):
        claimed = (1.0 - share) * left + share * right
        tensors = {t.name: t.verdict for t in judge(problems.problem(case, claimed), found).tensors}
        assert (tensors["b1"] in {"right", "at a kink"}) == allowed, (share, tensors)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("loss", "outputs"), [("huber", (1.5, 0.3)), ("squared_hinge", (0.5, -0.5))])
def test_where_only_the_curvature_jumps_the_gradient_is_the_one_there_is(method, loss, outputs):
    case = on_the_kink(loss, outputs, (0.5, 1.0) if loss == "huber" else (1.0, 0.0))
    exact = reference.gradient(case)
    found = numerical_gradient(problems.problem(case), method=method)
    tensors = judge(problems.problem(case, exact), found).tensors
    assert {tensor.verdict for tensor in tensors} <= {"right", "at a kink"}
    for wrong in (exact * (1.0 + 1e-6), exact * (1.0 - 1e-6)):
        assert {tensor.verdict for tensor in judge(problems.problem(case, wrong), found).tensors} == {"wrong"}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("distance", [1e-12, -1e-12, 1e-9, -1e-9])
@pytest.mark.parametrize(("loss", "outputs", "target", "output"), [*KINKS, ("huber", (1.5, 0.3), (0.5, 1.0), 0)])
def test_default_step_does_not_cross_a_kink_of_the_loss_nearby(method, distance, loss, outputs, target, output):
    case = on_the_kink(loss, outputs, target)
    theta = case.theta.copy()
    theta[len(theta) - case.widths[-1] + output] += distance
    case = replace(case, theta=theta)
    problem = problems.problem(case)
    found = numerical_gradient(problem, method=method)
    assert found.kinked_samples == 0
    exact = reference.exact_gradient(case, digits=40)
    assert problems.roundoffs(problem, found.base, found.values, exact)[0] <= 4.0
