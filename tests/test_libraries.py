"""The losses of libraries by the libraries' names: each value is that of the formula in the library's documentation."""

import numpy as np
import pytest

import fastgrad
from fastgrad.errors import InputError
from fastgrad.model.forward import base_point
from fastgrad.reading import Description, interpret_parts
from fastgrad.reading.libraries import NAMES

RNG = np.random.default_rng(8)
M, K = 5, 3
X, W, B = RNG.normal(size=(M, 4)), RNG.normal(size=(K, 4)), RNG.normal(size=K)
Z = X @ W.T + B
CLASSES = np.array([0, 2, 1, 1, 2])
HOT = np.eye(K)[CLASSES]
BITS = (RNG.random((M, K)) < 0.5).astype(float)
REAL = RNG.normal(size=(M, K))
COUNTS = RNG.integers(0, 4, (M, K)).astype(float)
SHARES = RNG.dirichlet(np.ones(K), M)
LOG_P = Z - np.log(np.exp(Z).sum(axis=1, keepdims=True))
P, S = np.exp(LOG_P), 1 / (1 + np.exp(-Z))


def huber(d, delta=1.0):
    return np.where(np.abs(d) <= delta, 0.5 * d**2, delta * (np.abs(d) - 0.5 * delta))


def multi_margin(z):
    margins = np.maximum(0.0, 1.0 - z[np.arange(M), CLASSES][:, None] + z)
    margins[np.arange(M), CLASSES] = 0.0
    return margins.sum(axis=1) / K


BCE = -(BITS * np.log(S) + (1 - BITS) * np.log(1 - S))
NLL = -LOG_P[np.arange(M), CLASSES]
KL = SHARES * (np.log(SHARES) - LOG_P)
POISSON = np.exp(Z) - COUNTS * Z
POSITIVE = np.log1p(np.exp(Z))
"""The outputs of a softplus, of which Keras takes the logarithm."""

FORMULAS = {
    # PyTorch, over everything that is left after the reduction over classes.
    "CrossEntropyLoss": (CLASSES, "identity", NLL),
    "NLLLoss": (CLASSES, "log_softmax", NLL),
    "BCELoss": (BITS, "sigmoid", BCE),
    "BCEWithLogitsLoss": (BITS, "identity", BCE),
    "MultiLabelSoftMarginLoss": (BITS, "identity", BCE.mean(axis=1)),
    "MSELoss": (REAL, "identity", (Z - REAL) ** 2),
    "L1Loss": (REAL, "identity", np.abs(Z - REAL)),
    "SmoothL1Loss": (REAL, "identity", huber(Z - REAL)),
    "SmoothL1Loss:0.5": (REAL, "identity", huber(Z - REAL, 0.5) / 0.5),
    "HuberLoss": (REAL, "identity", huber(Z - REAL)),
    "HuberLoss:0.5": (REAL, "identity", huber(Z - REAL, 0.5)),
    "KLDivLoss": (SHARES, "log_softmax", KL),
    "PoissonNLLLoss": (COUNTS, "identity", POISSON),
    "MultiMarginLoss": (CLASSES, "identity", multi_margin(Z)),
    "nll_loss": (CLASSES, "log_softmax", NLL),
    "binary_cross_entropy_with_logits": (BITS, "identity", BCE),
    "F.binary_cross_entropy": (BITS, "sigmoid", BCE),
    "torch.nn.functional.cross_entropy": (CLASSES, "identity", NLL),
    "mse_loss": (REAL, "identity", (Z - REAL) ** 2),
    "l1_loss": (REAL, "identity", np.abs(Z - REAL)),
    "smooth_l1_loss": (REAL, "identity", huber(Z - REAL)),
    "kl_div": (SHARES, "log_softmax", KL),
    "poisson_nll_loss": (COUNTS, "identity", POISSON),
    # Keras: over the last axis first, then over the batch.
    "CategoricalCrossentropy": (HOT, "softmax", NLL),
    "SparseCategoricalCrossentropy": (CLASSES, "softmax", NLL),
    "BinaryCrossentropy": (BITS, "sigmoid", BCE.mean(axis=1)),
    "MeanSquaredError": (REAL, "identity", ((Z - REAL) ** 2).mean(axis=1)),
    "MeanAbsoluteError": (REAL, "identity", np.abs(Z - REAL).mean(axis=1)),
    "Huber": (REAL, "identity", huber(Z - REAL).mean(axis=1)),
    "LogCosh": (REAL, "identity", np.log(np.cosh(Z - REAL)).mean(axis=1)),
    "KLDivergence": (SHARES, "softmax", KL.sum(axis=1)),
    "Poisson": (COUNTS, "softplus", (POSITIVE - COUNTS * np.log(POSITIVE)).mean(axis=1)),
    # scikit-learn; a sum is asked of none of them.
    "MLPRegressor": (REAL, "identity", (Z - REAL) ** 2 / 2),
    "mean_squared_error": (REAL, "identity", ((Z - REAL) ** 2).mean(axis=1)),
    "mean_absolute_error": (REAL, "identity", np.abs(Z - REAL).mean(axis=1)),
    # In people's own words.
    "mean_binary_crossentropy": (BITS, "sigmoid", BCE.mean(axis=1)),
    "sum_huber": (REAL, "identity", huber(Z - REAL).sum(axis=1)),
    "sum_smooth_l1:0.5": (REAL, "identity", huber(Z - REAL, 0.5).sum(axis=1) / 0.5),
    "sum_log_cosh": (REAL, "identity", np.log(np.cosh(Z - REAL)).sum(axis=1)),
    "mean_kl_divergence": (SHARES, "softmax", KL.mean(axis=1)),
}


def value(loss, Y, output, **said):
    """fastgrad's loss of the network of one layer."""
    description = Description(loss=loss, output=output, **said)
    return base_point(interpret_parts({"W1": W, "b1": B}, None, X, Y, description)).loss


@pytest.mark.compiled
@pytest.mark.parametrize("name", FORMULAS)
def test_value_is_that_of_the_documented_formula(name):
    Y, output, losses = FORMULAS[name]
    assert value(name, Y, output) == pytest.approx(losses.mean(), rel=1e-13)
    assert value(name, Y, output, reduction="sum") == pytest.approx(losses.sum(), rel=1e-13)
    assert value(f"nn.{name}" if "." not in name else name, Y, output, scale=2.5) == pytest.approx(
        2.5 * losses.mean(), rel=1e-13
    )


def test_every_name_has_its_formula():
    single = {name for name, known in NAMES.items() if known.single}
    assert {name.partition(":")[0] for name in FORMULAS} | single >= set(NAMES) | single


@pytest.mark.compiled
@pytest.mark.parametrize(("name", "power"), [("Hinge", 1), ("SquaredHinge", 2)])
def test_keras_hinges_of_a_single_output(name, power):
    signs = np.array([-1.0, 1.0, 1.0, -1.0, 1.0])
    problem = interpret_parts({"W1": W[:1], "b1": B[:1]}, None, X, signs, Description(loss=name, output="identity"))
    expected = (np.maximum(0.0, 1.0 - signs * Z[:, 0]) ** power).mean()
    assert base_point(problem).loss == pytest.approx(expected, rel=1e-13)
    with pytest.raises(InputError, match="which fastgrad does not have"):
        value(name, CLASSES, "identity")


@pytest.mark.compiled
def test_pytorchs_class_weights_are_divided_by_their_sum():
    weights = np.array([1.0, 2.0, 0.5])
    expected = (weights[CLASSES] * NLL).sum() / weights[CLASSES].sum()
    assert value("CrossEntropyLoss", CLASSES, None, class_weights=weights) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("output", [None, "linear", "softmax"])
def test_the_activation_in_a_loss_need_not_be_said(output):
    assert value("CrossEntropyLoss", CLASSES, output) == pytest.approx(NLL.mean(), rel=1e-13)


@pytest.mark.compiled
@pytest.mark.parametrize(("output", "f"), [("tanh", np.tanh), ("sigmoid", lambda z: 1.0 / (1.0 + np.exp(-z)))])
def test_a_loss_that_takes_the_softmax_itself_takes_it_of_any_output(output, f):
    e = np.exp(f(Z))
    expected = -np.log((e / e.sum(axis=1, keepdims=True))[np.arange(M), CLASSES]).mean()
    for name in ("CrossEntropyLoss", "softmax_crossentropy"):
        assert value(name, CLASSES, output) == pytest.approx(expected, rel=1e-13)
    for name in ("SparseCategoricalCrossentropy", "NLLLoss", "nll"):
        with pytest.raises(InputError, match=f"goes with a softmax output, found {output}"):
            value(name, CLASSES, output)


@pytest.mark.compiled
def test_binary_crossentropy_of_a_softmax_has_its_second_terms():
    expected = -(HOT * np.log(P) + (1.0 - HOT) * np.log(1.0 - P))
    assert value("BCELoss", HOT, "softmax") == pytest.approx(expected.mean(), rel=1e-13)
    for labels in (HOT, CLASSES):
        assert value("binary_crossentropy", labels, "softmax") == pytest.approx(expected.sum(axis=1).mean(), rel=1e-13)


# Any loss times a constant.


@pytest.mark.compiled
@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_scale_multiplies_the_loss_and_not_the_penalty(scale):
    dZ = scale * (P - HOT) / M
    gradients = {"dW1": dZ.T @ X + 0.1 * W, "db1": dZ.sum(axis=0)}
    said = {"output": "softmax", "l2": 0.1, "loss_value": scale * NLL.mean() + 0.05 * np.square(W).sum()}
    for method in ("parameter", "preactivation", "textbook", "directional"):
        report = fastgrad.check({"W1": W, "b1": B}, gradients, X, CLASSES, scale=scale, method=method, **said)
        assert report.passed, str(report)
        assert report.loss_note is None
        assert f"{scale:g} times softmax_crossentropy" in report.description
    wrong = fastgrad.check({"W1": W, "b1": B}, gradients, X, CLASSES, **said)
    assert wrong.verdict == "wrong"
    assert "none of the common conventions" in wrong.loss_note or "declared loss" in wrong.loss_note


def test_a_loss_value_without_the_scale_is_recognised():
    dZ = 3.0 * (P - HOT) / M
    gradients = {"dW1": dZ.T @ X, "db1": dZ.sum(axis=0)}
    said = {"output": "softmax", "scale": 3.0, "loss_value": NLL.mean()}
    report = fastgrad.check({"W1": W, "b1": B}, gradients, X, CLASSES, **said)
    assert report.passed
    assert "without its scale" in report.loss_note


@pytest.mark.parametrize("scale", [0.0, -1.0, "nan", "inf"])
def test_a_scale_that_is_no_positive_number_is_refused(scale):
    with pytest.raises(InputError, match="scale must be a finite number above 0"):
        Description(scale=scale)
