"""Gradient descent by numerical gradients, with the figures published for it."""

import math

import numpy as np
import pytest

import fastgrad


def bowl(x):
    return x[0] ** 2 + x[1] ** 2


@pytest.mark.parametrize(
    ("rate", "printed"),
    [
        (0.1, "[-6.11110793e-10  8.14814391e-10]"),
        (10.0, "[-2.58983747e+13 -1.29524862e+12]"),
        (1e-10, "[-2.99999994  3.99999992]"),
    ],
)
def test_published_descents(rate, printed):
    assert str(fastgrad.gradient_descent(bowl, np.array([-3.0, 4.0]), rate=rate, iterations=100).x) == printed


def test_history_goes_from_the_start_to_the_end():
    start = np.array([-3.0, 4.0])
    descent = fastgrad.gradient_descent(bowl, start, rate=0.1, iterations=20)
    assert start.tolist() == [-3.0, 4.0]
    assert descent.history.shape == (21, 2)
    assert descent.history[0].tolist() == [-3.0, 4.0]
    assert descent.history[-1].tolist() == descent.x.tolist()
    # x ← x - 0.1·2x = 0.8·x, up to the rounding u·25/1e-4 of a difference.
    assert descent.history == pytest.approx(np.outer(0.8 ** np.arange(21), [-3.0, 4.0]), abs=1e-9)
    assert descent.values == pytest.approx(25.0 * 0.64 ** np.arange(21), rel=1e-9)


def test_history_has_the_form_of_x():
    start = {"W": np.ones((2, 2)), "b": 3.0}
    descent = fastgrad.gradient_descent(lambda p: (p["W"] ** 2).sum() + p["b"] ** 2, start, rate=0.25, iterations=4)
    assert descent.history["W"].shape == (5, 2, 2)
    assert descent.history["b"] == pytest.approx(3.0 * 0.5 ** np.arange(5))
    assert descent.x["b"] == pytest.approx(3.0 / 16)
    assert fastgrad.gradient_descent(lambda x: x**2, 1.0, iterations=0).x == 1.0


def test_threads_go_the_same_way():
    start = np.random.default_rng(0).normal(size=8)
    alone, together = (
        fastgrad.gradient_descent(lambda x: math.fsum(np.cosh(x)), start, rate=0.2, iterations=10, workers=workers)
        for workers in (None, 3)
    )
    assert alone.history.tobytes() == together.history.tobytes()


def test_a_descent_that_runs_away_says_so():
    with pytest.raises(fastgrad.InputError, match="after [0-9]+ iterations f .*lower the rate"):
        fastgrad.gradient_descent(lambda x: -math.exp(x), 0.0, rate=10.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"rate": math.nan}, "rate is nan"), ({"iterations": 1.5}, "iterations is 1.5"), ({"step": 0}, "step is 0")],
)
def test_options_that_are_none(options, message):
    with pytest.raises(fastgrad.InputError, match=message):
        fastgrad.gradient_descent(bowl, [1.0, 2.0], **options)
