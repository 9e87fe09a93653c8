"""A small cut of the detection benchmark: no wrong gradient passes, no right one is accused; its cases are what they say."""

import math

import numpy as np
import pytest

import detection
import problems
import reference
from backward import gradient, loss_value
from mistakes import MISTAKES

NETWORKS = min(max(2, problems.NETWORKS // 30), 12)
"""Few beside the 240 that bench/test_detection.py takes."""
METHODS = ("parameter", "preactivation", "textbook")


@pytest.mark.parametrize("seed", range(512 - NETWORKS, 512))
def test_wrong_gradients_are_wrong_and_right_ones_right(seed):
    run = detection.network(seed)
    judges = {method: detection.fastgrad_by(method) for method in METHODS}
    for claim in detection.claims(run, seed, detection.Drawn()):
        for method, judge in judges.items():
            verdict = judge(claim)
            assert verdict != ("wrong" if claim.right else "right"), (method, claim.name, claim.layer, claim.strength)
            if method != "textbook":  # its noise at a fixed step may hide what is small
                assert claim.right or verdict == "wrong", (method, claim.name, claim.layer, claim.strength)


@pytest.mark.parametrize("seed", range(40 if problems.JIT else 4))
def test_plain_gradients_and_losses_of_the_cases_are_those_of_the_reference(seed):
    run = detection.network(seed)
    if run.masks:
        pytest.skip("the reference knows no dropout")
    exact = problems.exact_gradient(run.case)
    size = np.abs(exact).max()
    assert np.abs(gradient(run) - exact).max() <= 1e-6 * size
    assert loss_value(run, run.case.theta) == pytest.approx(reference.loss(run.case), rel=1e-9)


def test_gradients_with_dropout_are_those_of_the_plain_loss():
    run = next(run for seed in range(2, 200, 5) if (run := detection.network(seed)).masks and np.abs(run.case.X).max() < 10.0)
    theta, step = run.case.theta, 1e-5
    moves = step * np.eye(theta.size)
    numerical = [(loss_value(run, theta + move) - loss_value(run, theta - move)) / (2.0 * step) for move in moves]
    np.testing.assert_allclose(gradient(run), numerical, atol=1e-7 * np.abs(numerical).max())


def test_every_mistake_is_planted():
    drawn = detection.Drawn()
    for seed in range(120):
        for _ in detection.wrong(detection.network(seed), seed, drawn):
            pass
    planted = {name for name, _ in drawn.planted}
    assert {mistake.name for mistake in MISTAKES} == planted


def test_claims_are_drawn_from_their_seeds_alone():
    first, second = ([*detection.claims(detection.network(9), 9, detection.Drawn())] for _ in range(2))
    assert len(first) >= 10
    for one, other in zip(first, second, strict=True):
        assert one.name == other.name
        np.testing.assert_array_equal(one.gradient, other.gradient)
        assert math.isclose(one.strength, other.strength, rel_tol=0.0)
