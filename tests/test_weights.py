"""Weights of examples and classes, smoothed labels, the weighted mean: values by plain formulas, gradients by every method."""

import numpy as np
import pytest

import fastgrad
from fastgrad.errors import InputError
from fastgrad.model.forward import base_point
from fastgrad.numerical import numerical_gradient
from fastgrad.numerical.methods import BY_ENTRY
from fastgrad.reading import Description, interpret_parts
from fastgrad.reading.modelfile import load, save

M, CLASSES = 7, 3
DRAW = np.random.default_rng(0)
X, W, B = DRAW.normal(size=(M, 4)), DRAW.normal(size=(CLASSES, 4)), DRAW.normal(size=CLASSES)
LABELS = DRAW.integers(0, CLASSES, M)
BINARY = DRAW.integers(0, 2, (M, CLASSES)).astype(float)
CLASS_WEIGHTS, EXAMPLE_WEIGHTS = np.array([0.5, 3.0, 1.25]), DRAW.uniform(0.0, 2.0, M)
EXAMPLE_WEIGHTS[2] = 0.0


def described(Y, **items):
    output = "sigmoid" if items.get("loss") == "binary_crossentropy" else items.pop("output", "softmax")
    return interpret_parts({"W1": W, "b1": B}, None, X, Y, Description.of({"output": output, "layout": "rows", **items}))


def softmax_losses(theta, class_weights=(1.0,) * CLASSES, smoothing=0.0):
    """Losses of the examples as PyTorch documents CrossEntropyLoss(weight, label_smoothing)."""
    z = X @ theta[:12].reshape(CLASSES, 4).T + theta[12:]
    nll = np.log(np.exp(z).sum(axis=1, keepdims=True)) - z
    weights = np.asarray(class_weights)
    hard = weights[LABELS] * nll[np.arange(M), LABELS]
    return (1.0 - smoothing) * hard + smoothing / CLASSES * (nll @ weights)


def binary_losses(theta, class_weights=(1.0, 1.0), smoothing=0.0):
    z = X @ theta[:12].reshape(CLASSES, 4).T + theta[12:]
    p, y = 1.0 / (1.0 + np.exp(-z)), (1.0 - smoothing) * BINARY + smoothing / 2.0
    weights = np.where(BINARY == 1.0, class_weights[1], class_weights[0])
    return (weights * (-y * np.log(p) - (1.0 - y) * np.log(1.0 - p))).sum(axis=1)


def by_complex_step(function, theta):
    """Derivative of an analytic function to rounding: Im f(θ + ih)/h."""
    return np.array([function(theta + 1e-30j * unit).imag / 1e-30 for unit in np.eye(theta.size)])


FORMS = {
    "examples": ({"example_weights": EXAMPLE_WEIGHTS}, lambda t: EXAMPLE_WEIGHTS @ softmax_losses(t) / M),
    "examples, sum": (
        {"example_weights": EXAMPLE_WEIGHTS, "reduction": "sum"},
        lambda t: EXAMPLE_WEIGHTS @ softmax_losses(t),
    ),
    "examples, weighted mean": (
        {"example_weights": EXAMPLE_WEIGHTS, "reduction": "weighted_mean"},
        lambda t: EXAMPLE_WEIGHTS @ softmax_losses(t) / EXAMPLE_WEIGHTS.sum(),
    ),
    "smoothing": ({"label_smoothing": 0.1}, lambda t: softmax_losses(t, smoothing=0.1).mean()),
    "classes": ({"class_weights": CLASS_WEIGHTS}, lambda t: softmax_losses(t, CLASS_WEIGHTS).mean()),
    "classes, weighted mean": (
        {"class_weights": CLASS_WEIGHTS, "reduction": "weighted_mean"},
        lambda t: softmax_losses(t, CLASS_WEIGHTS).sum() / CLASS_WEIGHTS[LABELS].sum(),
    ),
    "all": (
        {
            "class_weights": CLASS_WEIGHTS,
            "label_smoothing": 0.2,
            "example_weights": EXAMPLE_WEIGHTS,
            "reduction": "weighted_mean",
        },
        lambda t: EXAMPLE_WEIGHTS @ softmax_losses(t, CLASS_WEIGHTS, 0.2) / (EXAMPLE_WEIGHTS @ CLASS_WEIGHTS[LABELS]),
    ),
    "binary, smoothing": (
        {"loss": "binary_crossentropy", "label_smoothing": 0.3},
        lambda t: binary_losses(t, smoothing=0.3).mean(),
    ),
    "binary, all": (
        {
            "loss": "binary_crossentropy",
            "label_smoothing": 0.3,
            "class_weights": (0.5, 4.0),
            "example_weights": EXAMPLE_WEIGHTS,
        },
        lambda t: EXAMPLE_WEIGHTS @ binary_losses(t, (0.5, 4.0), 0.3) / M,
    ),
}


@pytest.mark.parametrize("method", BY_ENTRY)
@pytest.mark.parametrize("form", FORMS)
def test_value_and_gradient(form, method):
    items, function = FORMS[form]
    problem = described(BINARY if form.startswith("binary") else LABELS, **items)
    found = numerical_gradient(problem, method=method)
    assert found.base.loss == pytest.approx(function(problem.theta), rel=1e-14)
    exact = by_complex_step(function, problem.theta)
    np.testing.assert_allclose(found.values, exact, atol=1e-7 if method == "textbook" else 1e-14)


@pytest.mark.parametrize("method", BY_ENTRY)
@pytest.mark.parametrize("loss", ["squared_error", "hinge", "huber:0.5", "poisson"])
def test_example_weights_of_any_loss_are_those_of_repeated_examples(loss, method):
    """Twice the weight is the example twice; none is the example left out."""
    counts = np.array([2, 0, 1, 3, 1, 1, 2])
    output = "exp" if loss == "poisson" else "identity"
    Y = np.eye(CLASSES)[LABELS]
    items = {"output": output, "loss": loss, "layout": "rows", "reduction": "sum"}
    weighted = interpret_parts({"W1": W, "b1": B}, None, X, Y, Description.of({**items, "example_weights": counts}))
    repeated = interpret_parts(
        {"W1": W, "b1": B}, None, np.repeat(X, counts, axis=0), np.repeat(Y, counts, axis=0), Description.of(items)
    )
    one, other = (numerical_gradient(problem, method=method) for problem in (weighted, repeated))
    assert one.base.loss == pytest.approx(other.base.loss, rel=1e-14)
    np.testing.assert_allclose(one.values, other.values, rtol=1e-5 if method == "textbook" else 1e-12, atol=1e-6)


@pytest.mark.parametrize(
    ("items", "claimed", "words"),
    [
        ({"example_weights": EXAMPLE_WEIGHTS}, "examples, weighted mean", "divided by the sum of the weights"),
        ({"example_weights": EXAMPLE_WEIGHTS, "reduction": "weighted_mean"}, "examples", "divided by the number of examples"),
        ({"class_weights": CLASS_WEIGHTS}, "classes, weighted mean", "divided by the sum of the weights"),
        ({"class_weights": CLASS_WEIGHTS, "reduction": "weighted_mean"}, "classes", "divided by the number of examples"),
        ({"class_weights": CLASS_WEIGHTS, "label_smoothing": 0.1}, "smoothing", "without class weights"),
        ({"class_weights": CLASS_WEIGHTS, "label_smoothing": 0.1}, "classes", "without label smoothing"),
        ({"class_weights": CLASS_WEIGHTS, "example_weights": EXAMPLE_WEIGHTS}, "examples", "without class weights"),
        ({"class_weights": CLASS_WEIGHTS, "example_weights": EXAMPLE_WEIGHTS}, "classes", "without example weights"),
        ({"example_weights": EXAMPLE_WEIGHTS}, "examples, sum", "summed over the examples"),
    ],
)
def test_a_loss_value_of_another_convention_is_explained(items, claimed, words):
    theta = np.concatenate([W.ravel(), B])
    report = fastgrad.check(
        {"W1": W, "b1": B},
        {"dW1": W, "db1": B},
        X,
        LABELS,
        output="softmax",
        layout="rows",
        loss_value=float(FORMS[claimed][1](theta)),
        **items,
    )
    assert f"is the declared loss {words}" in report.loss_note


@pytest.mark.parametrize("name", ["example_weights", "sample_weight", "sample_weights"])
def test_weights_of_a_file(tmp_path, name):
    arrays = {"W1": W, "b1": B, "X": X, "Y": LABELS, "output": "softmax", "layout": "rows", name: EXAMPLE_WEIGHTS[:, None]}
    np.savez(tmp_path / "model.npz", **arrays)
    problem = load(tmp_path / "model.npz")
    np.testing.assert_array_equal(problem.example_weights, EXAMPLE_WEIGHTS)
    assert base_point(problem).loss == pytest.approx(FORMS["examples"][1](problem.theta), rel=1e-14)


def test_everything_goes_through_a_file(tmp_path):
    items, function = FORMS["all"]
    save(tmp_path / "model.npz", {"W1": W, "b1": B}, None, X, LABELS, output="softmax", layout="rows", **items)
    problem = load(tmp_path / "model.npz")
    assert base_point(problem).loss == pytest.approx(function(problem.theta), rel=1e-14)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ({"example_weights": [1.0, 2.0]}, "7 examples need as many example_weights, found 2"),
        ({"example_weights": [1.0] * 6 + [-1.0]}, "example_weights must be finite numbers of at least 0"),
        ({"example_weights": [0.0] * 7}, "not all 0"),
        ({"example_weights": "heavy"}, "example_weights must be numbers, one for each example"),
        ({"class_weights": [1.0, 2.0]}, "3 classes need as many class_weights, found 2"),
        ({"class_weights": [1.0, 2.0, -1.0]}, "class_weights must be finite numbers of at least 0, found -1"),
        ({"label_smoothing": 1.0}, "label_smoothing must be a number of at least 0 and below 1, found 1"),
        ({"label_smoothing": 0.1, "loss": "hinge", "output": "identity"}, "label_smoothing goes with .*; found hinge"),
        ({"class_weights": [1.0, 2.0, 1.0], "loss": "mse", "output": "identity"}, "class_weights go with .*; found mse"),
    ],
)
def test_what_cannot_be_is_refused(items, message):
    with pytest.raises(InputError, match=message):
        described(LABELS, **items)


# Labels and outputs that a loss cannot have.


def one_output(Y, **items):
    return interpret_parts({"W1": W[:1]}, None, X, Y, Description.of({"layout": "rows", "output": "identity", **items}))


def test_labels_of_a_hinge_of_one_output():
    classes = np.array([0, 1, 1, 0, 1, 0, 0])
    told = one_output(classes, loss="hinge")
    assert told.notes == ("a hinge of a single output takes labels of -1 and 1: 0 in Y was read as -1",)
    signs = one_output(2 * classes - 1, loss="hinge")
    assert signs.notes == ()
    np.testing.assert_array_equal(told.Y, signs.Y)
    with pytest.raises(InputError, match="takes labels of -1 and 1, or of 0 and 1; Y .* holds others"):
        one_output(np.arange(7), loss="squared_hinge")


def test_labels_of_a_hinge_of_several_outputs_are_classes():
    soft = np.full((M, CLASSES), 1 / 3)
    with pytest.raises(InputError, match="takes one class an example, as a number or one-hot"):
        described(soft, output="identity", loss="hinge")
    assert described(LABELS, output="identity", loss="hinge").Y.sum() == M


@pytest.mark.parametrize(
    ("loss", "message"), [("poisson", "takes counts of at least 0"), ("kl_divergence", "takes labels from 0 to 1")]
)
def test_labels_below_zero_have_no_logarithm(loss, message):
    with pytest.raises(InputError, match=message):
        one_output(np.full(7, -0.5), loss=loss, output="exp")


@pytest.mark.parametrize("method", BY_ENTRY)
@pytest.mark.parametrize("loss", ["poisson", "kl_divergence"])
def test_outputs_without_a_logarithm_are_no_outputs(loss, method):
    problem = one_output(np.ones(7), loss=loss)
    with pytest.raises(InputError, match=f"{loss} takes the logarithm of the outputs, which must be positive; output 0 of"):
        numerical_gradient(problem, method=method)


@pytest.mark.compiled  # math.log1p raises where compiled code gives nan
@pytest.mark.parametrize("method", BY_ENTRY)
def test_a_step_out_of_the_logarithm_is_refused(method):
    tiny = interpret_parts(
        {"W1": np.array([[1e-3]])}, None, np.ones((2, 1)), np.ones(2), Description(output="identity", loss="poisson")
    )
    with pytest.raises(InputError, match="with a step of 0.1 the loss is no number"):
        numerical_gradient(tiny, method=method, step=0.1)
    found = numerical_gradient(tiny, method="parameter").values
    np.testing.assert_allclose(found, [1.0 - 1e3], rtol=1e-14)
