"""The networks of the documents that this project grew from, with the figures published there."""

import numpy as np
import pytest

import fastgrad
from fastgrad.teaching import demo


def checked(name, **how):
    arrays, description = demo.find(name).build()
    claimed = {key: value for key, value in arrays.items() if key[0] == "d"}
    parameters = {key: value for key, value in arrays.items() if key[0] in "Wb"}
    X, Y = (arrays[key] if key in arrays else arrays[old] for key, old in (("X", "x"), ("Y", "t")))
    return fastgrad.check(parameters, claimed, X, Y, **description, **how)


def wrong_ratios(report):
    return {tensor.name: tensor.ratio for tensor in report.tensors if tensor.verdict == "wrong"}


@pytest.mark.parametrize("method", ["parameter", "preactivation", "textbook"])
def test_two_planted_mistakes_are_named_with_their_factors(method):
    report = checked("planted", method=method)
    assert wrong_ratios(report) == pytest.approx({"b1": 4.0, "W2": 2.0}, rel=1e-7)
    # Published: 0.2850931566540251, 0.2850931567761624 and 0.285093156781, with their loops' noise at step 1e-7.
    assert report.relative_difference == pytest.approx(0.28509315, abs=1e-8)
    assert not report.passed


def test_repaired_network_is_right_where_the_courses_threshold_calls_it_wrong():
    assert checked("repaired").relative_difference < 1e-14
    report = checked("repaired", method="textbook", step=1e-7)
    assert report.passed
    # Published: 1.1890913e-07, most of it the cancellation in log(1 − a); from the logits less is lost.
    assert 1e-11 < report.relative_difference < 1.2e-7


def seed_loss(X, Y, parameters):
    """The second seed's loss: probabilities first, then their logarithms."""
    A = X
    for layer in (1, 2):
        A = np.maximum(0.0, parameters[f"W{layer}"] @ A + parameters[f"b{layer}"])
    a = 1.0 / (1.0 + np.exp(-(parameters["W3"] @ A + parameters["b3"])))
    return np.sum(-np.log(a) * Y - np.log(1.0 - a) * (1.0 - Y)) / X.shape[1]


def test_published_difference_is_noise_of_the_loss_from_probabilities():
    arrays, _ = demo.find("repaired").build()
    names = [f"{kind}{layer}" for layer in (1, 2, 3) for kind in "Wb"]
    claimed = np.concatenate([arrays[f"d{name}"].ravel() for name in names])
    numerical = []
    for name in names:
        for index in np.ndindex(arrays[name].shape):
            values = []
            for step in (1e-7, -1e-7):
                moved = {key: arrays[key].copy() for key in names}
                moved[name][index] += step
                values.append(seed_loss(arrays["X"], arrays["Y"], moved))
            numerical.append((values[0] - values[1]) / 2e-7)
    difference = np.linalg.norm(claimed - numerical) / (np.linalg.norm(claimed) + np.linalg.norm(numerical))
    assert difference == pytest.approx(1.1890913e-07, rel=1e-2)


def test_forgotten_division_by_m_makes_every_tensor_eight_times_too_large():
    report = checked("forgotten-m")
    assert wrong_ratios(report) == pytest.approx(dict.fromkeys(("W1", "b1", "W2", "b2"), 8.0), rel=1e-12)


@pytest.mark.compiled
@pytest.mark.parametrize("examples", [1, 209])
def test_cat_network_is_right_to_the_last_digits(examples):
    arrays, description = demo.find("cat").build()
    X, Y = arrays["X"][:, :examples], arrays["Y"][:, :examples]
    parameters = {key: arrays[key] for key in ("W1", "b1", "W2", "b2", "W3", "b3")}
    activations = demo.forward(parameters, X.astype(np.float64), "tanh", "sigmoid")
    gradients = demo.backward(parameters, activations, Y, "tanh", samples=examples)
    del description["loss_value"]
    report = fastgrad.check(parameters, gradients, X, Y, **description)
    assert report.passed
    assert report.relative_difference < 1e-14


@pytest.mark.compiled
def test_digits_network_is_right_to_the_last_digits():
    report = checked("digits")
    assert report.passed
    assert report.relative_difference < 1e-14
