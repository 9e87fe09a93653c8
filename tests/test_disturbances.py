"""Small disturbances told apart from mistakes: single precision in double arrays, constants inside logarithms."""

from dataclasses import replace

import numpy as np
import pytest

from fastgrad.walk import check_problem

import problems
import reference

SOFTMAX = reference.random_case(11, widths=(5, 6, 4), loss="softmax_crossentropy", samples=8, activations=("tanh",))
SIGMOID = reference.random_case(12, widths=(5, 6, 2), loss="binary_crossentropy", samples=8, activations=("tanh",))


def judged(case, claimed):
    return check_problem(problems.problem(case, claimed))


@pytest.mark.parametrize("seed", range(4))
def test_single_precision_in_double_arrays_is_judged_as_such(seed):
    case = problems.rounded(
        reference.random_case(seed, widths=(5, 6, 3), samples=5, activations=("tanh", "sigmoid")), np.float32
    )
    claimed = problems.plain_gradient(case, np.float32, seed)
    report = judged(case, claimed)
    assert report.passed
    assert "right in float32" in {tensor.verdict for tensor in report.tensors}
    assert any("single precision numbers" in note for note in report.notes)
    claimed[3] *= np.float32(1.01)
    report = judged(case, claimed.astype(np.float32).astype(float))
    assert [tensor.name for tensor in report.tensors if tensor.verdict == "wrong"] == ["W1"]
    assert report.tensors[0].wrong == 1


def test_mistake_of_the_size_of_single_precision_is_still_wrong():
    """A double gradient with one entry off by a ten-millionth has none of single precision's zeros."""
    exact = reference.gradient(SOFTMAX)
    claimed = exact.copy()
    claimed[7] *= 1.0 + 1e-7
    report = judged(SOFTMAX, claimed)
    assert (report.verdict, report.tensors[0].wrong) == ("wrong", 1)
    assert report.notes == ()
    report = judged(SOFTMAX, exact * (1.0 + 1e-7))
    assert report.verdict == "wrong"
    assert report.notes == ()


def test_single_precision_somewhere_is_said_though_it_is_wrong():
    """Inputs rounded to single precision on the way, all else in double."""
    case = replace(SOFTMAX, X=SOFTMAX.X.astype(np.float32).astype(float))
    report = judged(SOFTMAX, reference.gradient(case))
    assert report.verdict == "wrong"
    assert "single precision somewhere, or a constant inside a logarithm" in " ".join(report.notes)


def softmax_gradient(case, last):
    """The chain rule with ∂ℓ/∂p as given and the softmax's Jacobian written out."""
    z, a = problems.plain_forward(case, np.float64)
    p = np.array([np.exp(row - row.max()) / np.exp(row - row.max()).sum() for row in z[-1]])
    dZ = np.empty_like(p)
    for s in range(len(p)):
        jacobian = np.diag(p[s]) - np.outer(p[s], p[s])
        dZ[s] = jacobian @ last(p[s], case.Y[s])
    return backward(case, z, a, dZ)


def sigmoid_gradient(case, last):
    z, a = problems.plain_forward(case, np.float64)
    p = 1.0 / (1.0 + np.exp(-z[-1]))
    return backward(case, z, a, last(p, case.Y) * p * (1.0 - p))


def backward(case, z, a, dZ):
    """Return the gradient of a two-layer network from its last dZ."""
    dZ = dZ / len(case.X)
    n0, n1, n2 = case.widths
    W1, W2 = case.theta[: n1 * n0].reshape(n1, n0), case.theta[n1 * n0 + n1 :][: n2 * n1].reshape(n2, n1)
    dA = dZ @ W2 * problems.slope(case.activations[0], z[0])
    return np.concatenate([(dA.T @ a[0] + case.l2 * W1).ravel(), dA.sum(0), (dZ.T @ a[1] + case.l2 * W2).ravel(), dZ.sum(0)])


MEAN = {"reduction": "mean", "penalize_biases": False, "biases": ()}


@pytest.mark.parametrize("c", [1e-5, 1e-7, 1e-8, 1e-10])
def test_constant_in_a_softmaxs_logarithm(c):
    case = replace(SOFTMAX, **MEAN)
    report = judged(case, softmax_gradient(case, lambda p, y: -y / (p + c)))
    assert report.passed
    assert f"log(p + {c:.3g})" in " ".join(report.notes)


@pytest.mark.parametrize("c", [1e-5, 1e-8])
def test_constant_in_a_sigmoids_logarithm(c):
    case = replace(SIGMOID, **MEAN)
    report = judged(case, sigmoid_gradient(case, lambda p, y: (1 - y) / (1 - p + c) - y / (p + c)))
    assert report.passed
    assert f"log(p + {c:.3g})" in " ".join(report.notes)


def large_weights(case):
    theta = case.theta.copy()
    theta[case.widths[1] * (case.widths[0] + 1) :] *= 12.0
    return replace(case, theta=theta, **MEAN)


def test_clipped_probabilities():
    case = large_weights(SIGMOID)
    c = 1e-4
    inside = sigmoid_gradient(case, lambda p, y: ((1 - y) / (1 - p) - y / p) * ((p > c) & (p < 1 - c)))
    divided = sigmoid_gradient(case, lambda p, y: (1 - y) / np.maximum(1 - p, c) - y / np.maximum(p, c))
    assert judged(case, problems.exact_gradient(case)).notes == ()
    for claimed, words in ((inside, "p clipped at 0.0001,"), (divided, "p clipped at 0.0001 where it divides,")):
        report = judged(case, claimed)
        assert report.verdict == "wrong", "clipped examples contribute nothing: that is no small disturbance"
        assert f"The last layer has exactly the gradient of a loss with {words}" in " ".join(report.notes)


def test_clipping_that_changes_little_is_no_mistake():
    """Examples that fit their labels contribute next to nothing, clipped or not."""
    case = large_weights(SIGMOID)
    fitting = (problems.plain_forward(case, np.float64)[0][-1] > 0.0) * 1.0
    c = 1e-6
    clipped = sigmoid_gradient(replace(case, Y=fitting), lambda p, y: ((1 - y) / (1 - p) - y / p) * ((p > c) & (p < 1 - c)))
    report = judged(replace(case, Y=fitting), clipped)
    assert report.passed
    assert "judged as those of a loss with p clipped at 1e-06," in " ".join(report.notes)


def test_mistake_beside_a_constant_is_still_found():
    case = replace(SOFTMAX, **MEAN)
    claimed = softmax_gradient(case, lambda p, y: -y / (p + 1e-8))
    claimed[3] *= 1.001
    report = judged(case, claimed)
    assert [tensor.name for tensor in report.tensors if tensor.verdict == "wrong"] == ["W1"]
    assert report.tensors[0].wrong == 1


@pytest.mark.parametrize("factor", [2.0, 0.0, -1.0, 1.0 + 1e-9])
def test_ordinary_mistakes_are_not_explained_away(factor):
    for case in (SOFTMAX, SIGMOID):
        report = judged(case, factor * reference.gradient(case))
        assert report.verdict == "wrong"
        assert report.notes == ()
