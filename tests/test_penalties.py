"""Penalties: a coefficient for each tensor, L2 and L1, in the numerical gradient, the reference one and the loss."""

from dataclasses import replace

import numpy as np
import pytest

from fastgrad import check
from fastgrad.errors import InputError
from fastgrad.model import rounding
from fastgrad.model.conventions import describe, explain_loss
from fastgrad.model.forward import base_point, penalty_value
from fastgrad.numerical import numerical_gradient
from fastgrad.numerical.methods import BY_ENTRY
from fastgrad.reading import Description, interpret_parts
from fastgrad.walk import check_problem

import reference

UNIT_ROUNDOFF = 2.0**-53
L2, L1 = (0.3, 0.02, 0.0, 0.5), (0.0, 0.7, 0.05, 0.0)
"""Of W1, b1, W2 and b2."""


@pytest.fixture
def problem(problem_of):
    """Give a 3-4-2 tanh network with five examples and a penalty of its own on every tensor."""
    case = reference.random_case(3, loss="squared_error", widths=(3, 4, 2), samples=5, activations=("tanh",))
    plain = problem_of(replace(case, l2=0.0))
    return replace(plain, network=replace(plain.network, l2=L2, l1=L1))


def tensors(problem):
    return [problem.theta[place] for place in problem.network.tensor_slices.values()]


def penalty(problem):
    parts = zip(L2, L1, tensors(problem), strict=True)
    return sum(0.5 * l2 * (w**2).sum() + l1 * np.abs(w).sum() for l2, l1, w in parts)


def penalty_gradient(problem):
    parts = zip(L2, L1, tensors(problem), strict=True)
    return np.concatenate([l2 * w + l1 * np.sign(w) for l2, l1, w in parts])


def without(problem):
    return replace(problem, network=replace(problem.network, l2=(), l1=()))


def test_the_loss_and_the_reference_gradient(problem):
    base, bare = base_point(problem), base_point(without(problem))
    assert base.loss == pytest.approx(bare.loss + penalty(problem), rel=1e-15)
    expected = rounding.gradient(without(problem), bare) + penalty_gradient(problem)
    np.testing.assert_allclose(rounding.gradient(problem, base), expected, rtol=1e-15, atol=1e-17)


@pytest.mark.parametrize("method", BY_ENTRY)
def test_numerical_gradient(problem, method):
    found = numerical_gradient(problem, method=method)
    expected = numerical_gradient(without(problem), method=method).values + penalty_gradient(problem)
    np.testing.assert_allclose(found.values, expected, rtol=1e-15, atol=1e-17)
    claimed = replace(problem, claimed=rounding.gradient(problem, found.base))
    assert check_problem(claimed, method=method).passed


@pytest.mark.parametrize("wrong", [0, 1, 2, 3])
def test_a_penalty_left_out_is_wrong_in_its_tensor(problem, wrong):
    claimed = rounding.gradient(problem, base_point(problem))
    place = list(problem.network.tensor_slices.values())[wrong]
    claimed[place] -= penalty_gradient(problem)[place]
    report = check_problem(replace(problem, claimed=claimed))
    assert [tensor.verdict == "wrong" for tensor in report.tensors] == [k == wrong for k in range(4)]


@pytest.mark.parametrize("method", BY_ENTRY)
@pytest.mark.parametrize("step", [1e-3, 10.0])
def test_a_fixed_step_gives_the_honest_central_difference(problem, method, step):
    theta = problem.theta.copy()
    theta[12], theta[16] = 4e-4, -2e-4  # in b1 and W2, nearer to 0 than the smaller step
    problem = replace(problem, theta=theta)
    with_and_without = (numerical_gradient(p, method=method, step=step).values for p in (problem, without(problem)))
    l2, l1 = (np.repeat(c, [w.size for w in tensors(problem)]) for c in (L2, L1))
    expected = l2 * theta + l1 * (np.abs(theta + step) - np.abs(theta - step)) / (2.0 * step)
    found = np.subtract(*with_and_without)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("method", BY_ENTRY)
def test_at_zero_any_slope_between_the_one_sided_ones_is_right(problem, method):
    theta = problem.theta.copy()
    theta[12:16] = 0.0  # b1
    problem = replace(problem, theta=theta)
    right = rounding.gradient(problem, base_point(problem))
    for share, verdict in [(0.0, "right"), (1.0, "at a kink"), (-0.4, "at a kink"), (1.1, "wrong")]:
        claimed = right.copy()
        claimed[12:16] += share * L1[1]
        report = check_problem(replace(problem, claimed=claimed), method=method)
        assert report.tensors[1].verdict == verdict
        assert any("4 of the parameters in the L1 penalty are exactly 0" in note for note in report.notes)


def test_rounding_allows_for_the_penalty(problem):
    scale, bare = (rounding.rounding_scale(p, base_point(p)) for p in (problem, without(problem)))
    for layer in range(problem.network.depth):
        assert (scale.rows(layer, 0, 2) >= bare.rows(layer, 0, 2)).all()
    assert (scale.bias(0) - bare.bias(0))[0] > L1[1]


# The description.

PARTS = ([np.ones((4, 3)), np.ones(4), np.ones((2, 4)), np.ones(2)], None, np.ones((5, 3)), np.zeros((5, 2)))
NET = {"hidden": "tanh", "output": "identity", "loss": "squared_error"}


def network(parts=PARTS, **items):
    return interpret_parts(*parts, Description(**NET, **items)).network


@pytest.mark.parametrize(
    ("said", "on_biases", "expected"),
    [
        (0.5, None, (0.5, 0.0, 0.5, 0.0)),
        ("0.5", True, (0.5,) * 4),
        ("0.1,0.2", False, (0.1, 0.0, 0.2, 0.0)),
        ([0.1, 0.2], True, (0.1, 0.1, 0.2, 0.2)),
        (np.array([0.1, 0.2, 0.3, 0.4]), None, (0.1, 0.2, 0.3, 0.4)),
        ((0.1, 0.0, 0.3, 0.4), False, (0.1, 0.0, 0.3, 0.4)),
        (0.0, True, ()),
        ("0,0,0", None, ()),
    ],
)
@pytest.mark.parametrize("item", ["l2", "l1"])
def test_coefficients_by_layer_and_by_tensor(item, said, on_biases, expected):
    found = network(**{item: said}, penalize_biases=on_biases)
    assert getattr(found, item) == expected
    assert getattr(found, {"l2": "l1", "l1": "l2"}[item]) == ()


def test_coefficients_where_a_bias_is_missing():
    parts = ([PARTS[0][0], PARTS[0][2], PARTS[0][3]], *PARTS[1:])
    assert network(parts, l2=0.5, penalize_biases=True).l2 == (0.5,) * 3
    assert network(parts, l2="1,2", penalize_biases=True).l2 == (1.0, 2.0, 2.0)
    assert network(parts, l1="1,2,3").l1 == (1.0, 2.0, 3.0)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ({"l2": "1,2,3"}, "l2 gives 3 numbers for 2 layers: give one for all, 2 for .* or 4 for all tensors"),
        ({"l1": "-1"}, "l1 must be a finite number of at least 0, found -1"),
        ({"l1": "a,b"}, "l1 must be a number, or numbers as in 0.1,0.2; found 'a,b'"),
        ({"l2": [[1.0, 2.0]]}, "l2 must be a number"),
    ],
)
def test_coefficients_that_are_refused(items, message):
    with pytest.raises(InputError, match=message):
        network(**items)


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ({}, "mean over 5 examples"),
        ({"l2": 0.5}, "mean over 5 examples, penalty ½·0.5·Σ‖W‖²"),
        ({"l1": 0.5, "penalize_biases": True}, ", penalty 0.5·Σ|W| with biases"),
        ({"l2": 0.5, "l1": "1,2"}, ", penalty ½·0.5·Σ‖W‖², penalty c·Σ|W| with c = 1 for W1, 2 for W2"),
        ({"l2": "1,0,0,2"}, ", penalty ½·c·Σ‖W‖² with c = 1 for W1, 2 for b2"),
    ],
)
def test_description_in_words(items, words):
    assert describe(interpret_parts(*PARTS, Description(**NET, **items))).endswith(words)


@pytest.mark.parametrize(
    ("form", "words"),
    [
        (lambda l2, l1, b2, b1: 0.0, "without the penalty"),
        (lambda l2, l1, b2, b1: l2, "without the L1 penalty"),
        (lambda l2, l1, b2, b1: l1, "without the L2 penalty"),
        (lambda l2, l1, b2, b1: 2 * (l2 + l1), "with twice the penalty"),
        (lambda l2, l1, b2, b1: (l2 + l1) / 2, "with half the penalty"),
        (lambda l2, l1, b2, b1: (l2 + l1) / 5, "with the penalty divided by the number of examples"),
        (lambda l2, l1, b2, b1: (l2 + l1) / 10, "with the penalty divided by twice the number of examples"),
        (lambda l2, l1, b2, b1: l2 + l1 + b2 + b1, "with the penalty on the biases as well"),
        (
            lambda l2, l1, b2, b1: (l2 + l1 + b2 + b1) / 5,
            "divided by the number of examples, the penalty on the biases as well",
        ),
    ],
)
def test_forms_of_the_penalty_are_named(problem, form, words):
    weights, biases = tensors(problem)[::2], tensors(problem)[1::2]
    parts = [0.15 * sum((w**2).sum() for w in weights), 0.2 * sum(np.abs(w).sum() for w in weights)]
    parts += [0.15 * sum((b**2).sum() for b in biases), 0.2 * sum(np.abs(b).sum() for b in biases)]
    declared = replace(problem, network=replace(problem.network, l2=(0.3, 0.0) * 2, l1=(0.2, 0.0) * 2))
    claimed = base_point(without(problem)).loss + form(*parts)
    assert words in explain_loss(replace(declared, claimed_loss=claimed), base_point(declared))


@pytest.mark.parametrize("l2", [0.0, 0.3])
@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (1.0 / np.log(2.0), "in logarithms to base 2"),
        (5.0 / np.log(2.0), "summed over the examples and in logarithms to base 2"),
        (1.0 / np.log(10.0), "in logarithms to base 10"),
        (5.0 / 2.0 / 3.0, "summed over the examples, averaged over the outputs, halved"),
        (1.0 / 5.0, "divided by the number of examples once more"),
        (-1.0, "with the other sign"),
        (0.17, "times 0.17"),
        (1.0 / 7.0, "divided by 7"),
    ],
)
def test_a_constant_factor_of_the_loss_is_said(factor, words, l2):
    """With the penalty beside it, or in it; and a factor that is no short number explains nothing."""
    draw = np.random.default_rng(4)
    W, X, Y = draw.normal(size=(3, 4)), draw.normal(size=(5, 4)), np.eye(3)[[0, 2, 1, 1, 0]]
    said = Description(output="softmax", loss="softmax_crossentropy", l2=l2)
    problem = interpret_parts({"W1": W}, None, X, Y, said)
    base, penalty = base_point(problem), penalty_value(problem)
    for claimed in (factor * (base.loss - penalty) + penalty, factor * base.loss):
        assert words in explain_loss(replace(problem, claimed_loss=claimed), base)
    odd = replace(problem, claimed_loss=1.2345678 * base.loss)
    assert "none of the common conventions explains it" in explain_loss(odd, base)


def test_a_penalty_on_biases_that_the_user_left_out(problem):
    declared = replace(problem, network=replace(problem.network, l2=(), l1=(0.2,) * 4))
    claimed = base_point(without(problem)).loss + 0.2 * sum(np.abs(w).sum() for w in tensors(problem)[::2])
    words = explain_loss(replace(declared, claimed_loss=claimed), base_point(declared))
    assert "with the penalty on the weights only" in words


def test_logistic_regression_with_l1():
    rng = np.random.default_rng(0)
    X, y, w, b = rng.standard_normal((20, 6)), rng.integers(0, 2, 20).astype(float), rng.standard_normal((1, 6)), np.zeros(1)
    p = 1.0 / (1.0 + np.exp(-(X @ w[0])))
    dw, db = (p - y) @ X / 20 + 0.1 / 20 * np.sign(w), np.array([(p - y).mean()])
    said = {"output": "sigmoid", "loss": "binary_crossentropy", "l1": 0.1 / 20}
    assert check([w, b], [dw, db], X, y, **said).passed
    assert check([w, b], [dw - 0.1 / 20 * np.sign(w), db], X, y, **said).tensors[0].verdict == "wrong"
