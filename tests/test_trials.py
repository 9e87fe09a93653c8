"""A backward function, tried: the points hide nothing, they keep to the user's arrays, and every fault is told in words."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import fastgrad
from fastgrad.errors import InputError
from fastgrad.reading import modelfile
from fastgrad.report import GradientError
from fastgrad_cli.main import main

WIDTHS = (4, 5, 3)


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def backward(parameters, X, T):
    """Backpropagate by the book: W (in, out), b (out,), examples in rows, one-hot T, relu, softmax, mean."""
    W1, b1, W2, b2 = (parameters[name] for name in ("W1", "b1", "W2", "b2"))
    z1 = X @ W1 + b1
    a1 = np.maximum(z1, 0)
    d2 = (softmax(a1 @ W2 + b2) - T) / len(X)
    d1 = (d2 @ W2.T) * (z1 > 0)
    return {"W1": X.T @ d1, "b1": d1.sum(axis=0), "W2": a1.T @ d2, "b2": d2.sum(axis=0)}


def loss(parameters, X, T):
    a1 = np.maximum(X @ parameters["W1"] + parameters["b1"], 0)
    return -np.sum(T * np.log(softmax(a1 @ parameters["W2"] + parameters["b2"]))) / len(X)


SAID = {"hidden": "relu", "output": "softmax"}


def given(samples=7, seed=0, biases=0.0):
    rng = np.random.default_rng(seed)
    parameters = {
        "W1": rng.standard_normal((4, 5)),
        "b1": np.full(5, biases),
        "W2": rng.standard_normal((5, 3)),
        "b2": np.full(3, biases),
    }
    return parameters, rng.standard_normal((samples, 4)), np.eye(3)[rng.integers(0, 3, size=samples)]


def check(function, point=None, **options):
    parameters, X, Y = point or given()
    return fastgrad.check(parameters, backward=function, X=X, Y=Y, **{**SAID, **options})


def kinds(report):
    return [seen.kind for seen in report.observations]


def verdicts(report):
    return [trial.report.verdict for trial in report.trials]


# A right function, in everybody's form.


def in_columns(parameters, X, Y):
    found = backward({name: value.T.reshape(-1) if name[0] == "b" else value.T for name, value in parameters.items()}, X.T, Y.T)
    return {f"d{name}": value[:, None] if name[0] == "b" else value.T for name, value in found.items()}


def columns_point():
    parameters, X, Y = given()
    turned = {name: value[:, None] if name[0] == "b" else value.T.copy() for name, value in parameters.items()}
    return turned, X.T.copy(), Y.T.copy()


def by_classes(parameters, X, y):
    assert y.dtype == np.int64
    assert y.ndim == 1
    return backward(parameters, X, np.eye(3)[y])


def classes_in_a_row(parameters, X, y):
    assert y.shape[0] == 1
    return backward(parameters, X, np.eye(3)[y[0].astype(int)])


def in_a_list(parameters, X, Y):
    return list(backward(dict(zip(("W1", "b1", "W2", "b2"), parameters, strict=True)), X, Y).values())


def in_nested_lists(parameters, X, Y):
    names = ("W1", "W2", "b1", "b2")
    found = backward(dict(zip(names, [*parameters["weights"], *parameters["biases"]], strict=True)), X, Y)
    return {"weights": [found["W1"], found["W2"]], "biases": [found["b1"], found["b2"]]}


def with_loss(parameters, X, Y):
    return loss(parameters, X, Y), backward(parameters, X, Y)


def in_float32(parameters, X, Y):
    assert {array.dtype for array in (*parameters.values(), X, Y)} == {np.dtype(np.float32)}
    return backward(parameters, X, Y)


def by_bytes(parameters, X, Y):
    assert X.dtype == np.uint8
    return backward(parameters, X.astype(float), Y)


def images(parameters, X, Y):
    assert X.shape[1:] == (2, 2)
    return backward(parameters, X.reshape(-1, 4), Y)


def forms():
    parameters, X, Y = given()
    values = list(parameters.values())
    return {
        "rows": (backward, given()),
        "columns": (in_columns, columns_point()),
        "classes": (by_classes, (parameters, X, Y.argmax(axis=1))),
        "classes in a row": (classes_in_a_row, (parameters, X, Y.argmax(axis=1)[None].astype(float))),
        "list": (in_a_list, (values, X, Y)),
        "tuple": (in_a_list, (tuple(values), X, Y)),
        "nested": (in_nested_lists, ({"weights": values[::2], "biases": values[1::2]}, X, Y)),
        "loss": (with_loss, given()),
        "float32": (in_float32, ({k: v.astype("f4") for k, v in parameters.items()}, X.astype("f4"), Y.astype("f4"))),
        "bytes": (by_bytes, (parameters, np.arange(28, dtype=np.uint8).reshape(7, 4) * 9, Y)),
        "images": (images, (parameters, X.reshape(7, 2, 2), Y)),
        "one example": (backward, given(samples=1)),
    }


@pytest.mark.parametrize("form", forms())
def test_right_function_in_any_form(form):
    function, point = forms()[form]
    report = check(function, point)
    assert verdicts(report) == ["right"] * 3, str(report)
    assert report.observations == ()
    assert report.passed
    report.raise_if_wrong()


def test_single_vector_as_input_keeps_its_shape():
    def vector(parameters, x, t):
        assert x.shape == (4,)
        return backward(parameters, x[None], t[None])

    parameters, X, Y = given(samples=1)
    report = check(vector, (parameters, X[0], Y[0]))
    assert report.passed, str(report)


@pytest.mark.parametrize(("low", "dtype"), [(0, int), (0, float), (-1, int)])
def test_labels_of_one_output_keep_their_encoding(low, dtype):
    seen = set()

    def squares(parameters, X, y):
        assert y.dtype == dtype
        assert y.shape == (len(X),)
        seen.update(y.tolist())
        d = (X @ parameters["W1"] - y[:, None]) / len(X)
        return {"W1": X.T @ d}

    rng = np.random.default_rng(1)
    y = np.array([low, 1, 1]).astype(dtype)
    report = fastgrad.check(
        {"W1": rng.standard_normal((2, 1))},
        backward=squares,
        X=rng.random((3, 2)),
        Y=y,
        output="identity",
        loss="squared_error",
    )
    assert report.passed, str(report)
    assert seen == {low, 1}


@pytest.mark.parametrize("targets", ["shares", "real", "counts"])
def test_targets_keep_their_kind(targets):
    seen = []

    def squares(parameters, X, Y):
        seen.append(Y)
        d = (X @ parameters["W1"] - Y) / len(X)
        return {"W1": X.T @ d}

    rng = np.random.default_rng(1)
    Y = {
        "shares": rng.dirichlet(np.ones(3), 7),
        "real": 5 + rng.standard_normal((7, 3)),
        "counts": rng.integers(0, 9, (7, 3)),
    }[targets]
    W = rng.standard_normal((2, 3))
    report = fastgrad.check({"W1": W}, backward=squares, X=rng.random((7, 2)), Y=Y, output="identity", loss="squared_error")
    assert report.passed, str(report)
    drawn = seen[2]
    assert len(drawn) != 7
    assert drawn.dtype == Y.dtype
    if targets == "shares":
        assert drawn.sum(axis=1) == pytest.approx(np.ones(len(drawn)))
    else:
        assert drawn.min() >= 0
        assert drawn.std() > 0


# The points.


def recorded(point, **options):
    calls = []

    def record(parameters, X, Y):
        calls.append((parameters, X, Y))
        return backward(parameters, X, Y)

    check(record, point, **options)
    return calls


def test_points_hide_nothing():
    calls = recorded((*given(samples=6)[:2], np.eye(3)[[1] * 6]))
    whole = [call for call in calls if len(call[1]) > 1]
    (first, _, _), (fresh, X, T), (trained, X_again, _) = whole[0], whole[2], whole[-1]
    assert len(X) not in {*WIDTHS, 6, 1}
    assert len({tuple(t) for t in T}) == 3
    assert all(np.all(fresh[name] != 0) for name in fresh)
    z = X @ fresh["W1"] + fresh["b1"]
    assert np.all((z > 0).any(axis=0) & (z < 0).any(axis=0))
    assert not np.any(np.isin(fresh["W1"], first["W1"]))
    assert np.array_equal(X, X_again)
    assert loss(trained, X, T) < loss(fresh, X, T)
    assert sum(np.linalg.norm(trained[name]) for name in trained) > 1.2 * sum(np.linalg.norm(fresh[name]) for name in fresh)


@pytest.mark.parametrize("seed", range(4))
def test_training_goes_on_with_shorter_steps_and_stops_before_units_saturate(seed):
    whole = [call for call in recorded(given(), seed=seed) if len(call[1]) > 1]
    first, last = loss(*whole[2]), loss(*whole[-1])
    assert 0.1 * first <= last < 0.4 * first


def test_points_are_drawn_by_seed():
    first, again, other = (recorded(given(), seed=seed) for seed in (3, 3, 4))
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[2][1], other[2][1])


def test_given_arrays_stay_as_they_are():
    point = given()
    before = [array.copy() for array in (*point[0].values(), *point[1:])]

    def greedy(parameters, X, Y):
        found = backward(parameters, X, Y)
        X *= 0
        for name in parameters:
            parameters[name] -= found[name]
        return found

    check(greedy, point)
    assert all(np.array_equal(a, b) for a, b in zip(before, (*point[0].values(), *point[1:]), strict=True))


# Mistakes that the given point hides.


def decayed_biases(parameters, X, T):
    found = backward(parameters, X, T)
    return {**found, "b1": found["b1"] + 0.1 * parameters["b1"]}


def configured_batch(parameters, X, T):
    return {name: value * len(X) / 7 for name, value in backward(parameters, X, T).items()}


def unmasked(parameters, X, T):
    d2 = (softmax(np.maximum(X @ parameters["W1"] + parameters["b1"], 0) @ parameters["W2"] + parameters["b2"]) - T) / len(X)
    d1 = d2 @ parameters["W2"].T
    return {**backward(parameters, X, T), "W1": X.T @ d1, "b1": d1.sum(axis=0)}


def all_positive():
    parameters, X, T = given()
    return {**parameters, "W1": np.abs(parameters["W1"])}, np.abs(X), T


@pytest.mark.parametrize(
    ("function", "point"),
    [(decayed_biases, given()), (configured_batch, given()), (unmasked, all_positive())],
)
def test_mistake_that_the_given_point_hides(function, point):
    report = check(function, point)
    assert verdicts(report) == ["right", "wrong", "wrong"]
    assert report.verdict == "wrong"
    with pytest.raises(GradientError, match=r"wrong gradients at 2 of 3 points"):
        report.raise_if_wrong()


def test_mistake_that_only_grown_weights_show():
    """A clipped gradient: nothing is clipped before training has made the weights large."""
    limit = 4.0

    def clipped(parameters, X, T):
        found = backward(parameters, X, T)
        return found if np.abs(parameters["W2"]).max() < limit else {name: np.clip(found[name], -1e-3, 1e-3) for name in found}

    largest = [np.abs(call[0]["W2"]).max() for call in recorded(given())]
    limit = 0.5 * (max(largest[:-1]) + largest[-1])
    assert largest[-1] > max(largest[:-1])
    assert verdicts(check(clipped)) == ["right", "right", "wrong"]


# What else a function does.


def test_gradients_that_are_not_reset():
    kept = {}

    def adding(parameters, X, T):
        for name, value in backward(parameters, X, T).items():
            kept[name] = kept.get(name, 0) + value
        return kept

    report = check(adding)
    assert (report.verdict, verdicts(report), kinds(report)) == ("wrong", ["right"], ["wrong"])
    assert "twice as large" in report.observations[0].text
    assert "Set them to zero" in report.observations[0].text


def test_function_that_draws():
    rng = np.random.default_rng(0)

    def dropping(parameters, X, T):
        return backward(parameters, X * (rng.random(X.shape) < 0.8) / 0.8, T)

    report = check(dropping)
    assert report.verdict == "wrong"
    assert "drawn anew" in report.observations[-1].text


@pytest.mark.parametrize(("changes", "named"), [("X", "the X that"), ("Y", "the Y that"), ("W2", "the W2 that")])
def test_arguments_changed_in_place(changes, named):
    def changing(parameters, X, T):
        found = backward(parameters, X, T)
        {**parameters, "X": X, "Y": T}[changes][0] += 1
        return found

    report = check(changing)
    assert verdicts(report) == ["right"] * 3
    assert (report.verdict, kinds(report)) == ("wrong", ["wrong"])
    assert named in report.observations[0].text


def test_cache_in_the_dict_of_parameters_is_allowed():
    def caching(parameters, X, T):
        parameters["A0"] = X
        return backward(parameters, X, T)

    assert check(caching).passed


def test_forgotten_division_is_seen_in_the_parts():
    report = check(lambda p, X, T: {name: value * len(X) for name, value in backward(p, X, T).items()})
    assert "W1, b1, W2, b2 should be the mean of what each one gives alone, and are 6 times that" in report.observations[0].text


def test_folded_bias_and_classes():
    """The layout of a well-known course: Theta (out, 1 + in), the ones first; examples in rows, classes in a column."""

    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

    def gradients(parameters, X, y):
        first, second, T = parameters["Theta1"], parameters["Theta2"], np.eye(3)[y.ravel()]
        a1 = np.c_[np.ones(len(X)), X]
        a2 = np.c_[np.ones(len(X)), sigmoid(a1 @ first.T)]
        d3 = (sigmoid(a2 @ second.T) - T) / len(X)
        d2 = (d3 @ second)[:, 1:] * a2[:, 1:] * (1 - a2[:, 1:])
        return {"Theta1_grad": d2.T @ a1, "Theta2_grad": d3.T @ a2}

    rng = np.random.default_rng(0)
    parameters = {"Theta1": rng.standard_normal((5, 5)), "Theta2": rng.standard_normal((3, 6))}
    point = parameters, rng.standard_normal((8, 4)), rng.integers(0, 3, (8, 1))
    said = {"hidden": "sigmoid", "output": "sigmoid", "loss": "binary_crossentropy", "bias_column": "first"}
    report = check(gradients, point, **said)
    assert verdicts(report) == ["right"] * 3, str(report)


def test_sum_over_the_examples_is_the_sum_of_the_parts():
    report = check(lambda p, X, T: {k: v * len(X) for k, v in backward(p, X, T).items()}, reduction="sum")
    assert report.passed, str(report)


def test_last_example_only():
    def last(parameters, X, T):
        return {**backward(parameters, X, T), "W1": backward(parameters, X[-1:], T[-1:])["W1"] / len(X)}

    report = check(last)
    assert report.verdict == "wrong"
    assert "W1 should be the mean of what each one gives alone, and is not" in report.observations[0].text


@pytest.mark.parametrize("shared", [False, True])
def test_penalty_as_it_is_or_divided_by_the_number_of_examples(shared):
    def decayed(parameters, X, T):
        c = 0.7 / len(X) if shared else 0.1
        found = backward(parameters, X, T)
        return {name: value + (c * parameters[name] if name[0] == "W" else 0) for name, value in found.items()}

    report = check(decayed, l2=0.1)
    assert report.passed, str(report)
    assert kinds(report) == (["remark"] if shared else [])


def test_masks_keep_their_examples():
    mask = np.random.default_rng(0).random((7, 5)) < 0.7

    def dropping(parameters, X, T):
        z1 = X @ parameters["W1"] + parameters["b1"]
        a1 = np.maximum(z1, 0) * mask / 0.7
        d2 = (softmax(a1 @ parameters["W2"] + parameters["b2"]) - T) / len(X)
        d1 = (d2 @ parameters["W2"].T) * (z1 > 0) * mask / 0.7
        return {"W1": X.T @ d1, "b1": d1.sum(axis=0), "W2": a1.T @ d2, "b2": d2.sum(axis=0)}

    report = check(dropping, masks=[mask], keep_prob=0.7)
    assert verdicts(report) == ["right"] * 3, str(report)


def test_network_that_cannot_be_checked_at_a_point_of_our_own(monkeypatch):
    """As where the loss takes logarithms of outputs that fresh weights make negative."""

    def no_logarithm(*_):
        raise InputError("output 1 of example 0 is -0.3")

    monkeypatch.setattr("fastgrad.trials.initialised", no_logarithm)
    report = check(backward)
    assert (report.verdict, verdicts(report), kinds(report)) == ("right", ["right"], ["remark"])
    assert "tried no further" in str(report)
    assert "output 1 of example 0 is -0.3" in " ".join(str(report).split())


def test_ctrl_c_ends_the_trials():
    def slow(parameters, X, T):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(slow)


def linear(slope):
    """A backward function of one layer without activation, from the derivative of the loss by the outputs."""

    def gradients(parameters, X, Y):
        return {"W1": X.T @ slope(X @ parameters["W1"], Y)}

    return gradients


def hinge(a, y):
    sign = np.where(y > 0, 1, -1)[:, None]
    return -sign * (sign * a < 1) / len(a)


def weighted(a, y):
    return WEIGHTS[:, None] * (a - y[:, None]) / len(a)


WEIGHTS = np.array([1.0, 2.0, 0.5, 3.0, 1.0, 0.0, 1.5])


@pytest.mark.parametrize(
    ("slope", "labels", "said"),
    [
        (hinge, np.array([-1, 1, 1, -1, 1, 1, 1]), {"loss": "hinge"}),
        (hinge, np.array([0, 1, 1, 0, 1, 1, 1]), {"loss": "hinge"}),
        (hinge, np.ones(7), {"loss": "hinge"}),
        (lambda a, y: np.sign(a - y[:, None]) / len(a), np.linspace(-1, 1, 7), {"loss": "absolute_error"}),
        (weighted, np.linspace(-1, 1, 7), {"loss": "squared_error", "example_weights": WEIGHTS}),
    ],
)
def test_other_losses(slope, labels, said):
    rng = np.random.default_rng(3)
    W, X = rng.standard_normal((2, 1)), rng.standard_normal((7, 2))
    report = fastgrad.check({"W1": W}, backward=linear(slope), X=X, Y=labels, output="identity", **said)
    assert verdicts(report) == ["right"] * 3, str(report)
    assert report.observations == ()


# Functions that fail.


def failing(parameters, X, T):
    raise ValueError("no such thing")


def test_function_that_raises():
    report = check(failing)
    assert (report.verdict, report.trials) == ("not judged", ())
    text = report.observations[0].text
    assert text.startswith("Your function failed at the given point: ValueError: no such thing (test_trials.py, line ")
    assert 'raise ValueError("no such thing")' in text


def test_function_for_one_number_of_examples():
    def rigid(parameters, X, T):
        return backward(parameters, X.reshape(7, 4), T)

    report = check(rigid)
    assert (report.verdict, verdicts(report), kinds(report)) == ("right", ["right"] * 3, ["remark", "remark"])
    assert "which may hide a mistake" in report.observations[0].text
    assert "with one example alone" in report.observations[1].text


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "it returned NoneType; it must return the gradients as a dict or a list"),
        (3.0, "it returned float"),
        ({"W1": np.zeros(3)}, "cannot be read as the gradients: "),
        ({}, "no gradient of any parameter"),
        ("W1", "it returned str"),
    ],
)
def test_function_that_returns_something_else(returned, message):
    report = check(lambda *_: returned)
    assert report.verdict == "not judged"
    assert message in report.observations[0].text


class Tensor:
    """As of a framework: an array only once it is detached."""

    def __array__(self, *_, **__):
        raise RuntimeError("call detach() first")


class Unreadable(dict):
    def items(self):
        raise RuntimeError("not for you")


def endless():
    found = []
    found.append(found)
    return found


def test_a_dz_that_is_no_array_is_left_alone():
    assert check(lambda p, X, Y: {**backward(p, X, Y), "dZ1": [[1.0], [1.0, 2.0]], "dZ" + "1" * 200: 0}).passed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g: (value for value in g.values()), "it returned generator; it must return the gradients as a dict or a list"),
        (lambda g: {**g, "W1": None, "b1": "much"}, "the gradient b1 must hold real numbers, found text"),
        (lambda g: {**g, "W1": [[1.0], [1.0, 2.0]]}, "the gradient W1 is no array: its rows differ in length"),
        (lambda g: {**g, "W1": g["W1"] * 1j}, "the gradient W1 must hold real numbers, found complex numbers"),
        (lambda g: {**g, "W1": np.ma.masked_less(g["W1"], 0)}, "the gradient W1 has masked entries"),
        (lambda g: {**g, "W1": np.array([object()])}, "the gradient W1 must hold real numbers, found Python objects"),
        (lambda g: {**g, "W1": Tensor()}, "cannot be made an array: RuntimeError: call detach() first"),
        (lambda g: {**g, "W1": np.broadcast_to(0.0, (10**9, 10**9))}, "does not have the shape of W1 (4, 5)"),
        (lambda g: {0: g["W1"], 1: g["b1"]}, "no gradient of any parameter under '0', '1'; call them dW1, db1, dW2, db2"),
        (lambda g: ("0.3", list(g.values())), "it returned '0.3' for the loss, which is one real number"),
        (lambda g: (None, list(g.values())), "there are 4 parameters and 5 gradients"),
        (lambda g: (1j, g), "it returned 1j for the loss, which is one real number"),
        (
            lambda g: ([g["b1"], g["b2"]], [g["W2"], g["W1"]]),
            "the weights (W1, W2) and the biases (b1, b2) in n",
        ),
        (lambda g: g["W1"], "it returned one array (4, 5) for 4 parameters"),
        (lambda g: Unreadable(g), "what it returned cannot be read: RuntimeError: not for you"),
        (lambda g: endless(), "lists within lists"),
        (lambda g: {"delta1": [[1.0], [1.0, 2.0]]}, "no gradient of any parameter under 'delta1'"),
    ],
)
def test_strange_returns_are_told_in_a_sentence(change, message):
    report = check(lambda p, X, Y: change(backward(p, X, Y)))
    assert report.verdict == "not judged"
    assert message in report.observations[0].text, report.observations[0].text


@pytest.mark.parametrize("change", [lambda g: (None, g), lambda g: {**g, "W1": {"dW": g["W1"]}}])
def test_gradients_without_a_loss_and_in_dicts_of_dicts_are_read(change):
    report = check(lambda p, X, Y: change(backward(p, X, Y)))
    assert report.passed, str(report)


def test_parameters_replaced_by_anything_are_seen_as_changed():
    def replacing(parameters, X, T):
        found = backward(parameters, X, T)
        parameters["W1"] = [[1.0], [1.0, 2.0]]
        return found

    assert "changes the W1 that" in check(replacing).observations[0].text


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("with_a_loss", [False, True])
def test_two_lists_of_weights_and_biases(turned, with_a_loss):
    """As (nabla_b, nabla_w) of a well-known book, for parameters in a dict, in a list, and in two lists."""

    def lists(parameters, X, Y):
        if isinstance(parameters, tuple):
            parameters = [parameters[0][0], parameters[1][0], parameters[0][1], parameters[1][1]]
        if isinstance(parameters, list):
            parameters = dict(zip(("W1", "b1", "W2", "b2"), parameters, strict=True))
        g = backward(parameters, X, Y)
        pair = [g["W1"], g["W2"]], [g["b1"], g["b2"]]
        pair = pair[::-1] if turned else pair
        return (loss(parameters, X, Y), pair) if with_a_loss else pair

    parameters, X, Y = given()
    W1, b1, W2, b2 = parameters.values()
    for form in (parameters, [W1, b1, W2, b2], ([W1, W2], [b1, b2])):
        report = check(lists, (form, X, Y))
        assert verdicts(report) == ["right"] * 3, str(report)
        assert report.passed


def test_pair_of_lists_as_arrays():
    parameters, X, Y = given()
    found = backward(parameters, X, Y)
    pairs = [tuple([arrays[k + n] for n in "12"] for k in "Wb") for arrays in (parameters, found)]
    assert fastgrad.check(*pairs, X, Y, **SAID).passed
    assert fastgrad.check(list(parameters.values()), pairs[1], X, Y, **SAID).passed


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("shape", [(4,), (4, 1), (1, 4)])
def test_theta_that_holds_the_bias(shape, first):
    """Logistic regression as it is mostly written; the gradient may come alone, since there is one array."""

    def logistic(p, X, y):
        A = np.c_[np.ones(len(X)), X] if first else np.c_[X, np.ones(len(X))]
        a = 1 / (1 + np.exp(-A @ p["theta"].ravel()))
        gradient = (A.T @ (a - y) / len(X)).reshape(p["theta"].shape)
        return -np.mean(y * np.log(a) + (1 - y) * np.log(1 - a)), gradient

    rng = np.random.default_rng(0)
    report = fastgrad.check(
        {"theta": rng.standard_normal(shape)},
        backward=logistic,
        X=rng.standard_normal((9, 3)),
        Y=np.arange(9) % 2,
        output="sigmoid",
        loss="binary_crossentropy",
        bias_column="first" if first else "last",
    )
    assert verdicts(report) == ["right"] * 3, str(report)
    assert report.passed


@pytest.mark.parametrize("kind", [float, np.float64, np.array, lambda value: np.array([value]), lambda value: [value]])
def test_numbers_arrive_in_the_form_that_was_given(kind):
    x, y = kind(1.0), kind(2.0)
    P = {"w": kind(0.1), "b": kind(0.5)}
    forms = []

    def neuron(p, x, y):
        forms.append([(type(v), np.shape(v)) for v in (*p.values(), x, y)])
        e = 2 * (np.multiply(p["w"], x) + p["b"] - np.asarray(y))
        return {"w": np.sum(e * x), "b": np.sum(e)}

    report = fastgrad.check(P, backward=neuron, X=x, Y=y, output="identity", loss="sse", reduction="sum")
    assert report.passed, str(report)
    expected = [(type(x), np.shape(x))] * 4
    assert [form for form in forms if form[:2] != expected[:2] or form[2][0] is not type(x)] == []
    assert forms[0] == expected
    assert np.ndim(x) > 0 or all(form == expected for form in forms)


def test_other_loss_is_told():
    report = check(lambda p, X, T: (2 * loss(p, X, T), backward(p, X, T)))
    assert report.trials[0].report.loss_note is not None
    assert "The losses differ" in str(report)


def test_gradients_and_function_together():
    parameters, X, Y = given()
    with pytest.raises(InputError, match="not both"):
        fastgrad.check(parameters, backward(parameters, X, Y), X, Y, backward=backward, **SAID)


def test_dictionary():
    found = json.loads(json.dumps(check(configured_batch).to_dict()))
    assert (found["schema"], found["passed"], found["verdict"], found["seed"]) == (1, False, "wrong", 0)
    assert [point["verdict"] for point in found["points"]] == ["right", "wrong", "wrong"]
    assert found["observations"][0]["kind"] == "wrong"


# The command.

MODULE = """
import numpy as np

def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)

def backward(parameters, X, T, factor=1):
    print("cost")
    W1, b1, W2, b2 = (parameters[name] for name in ("W1", "b1", "W2", "b2"))
    a1 = np.tanh(X @ W1 + b1)
    d2 = (softmax(a1 @ W2 + b2) - T) / len(X) * factor
    d1 = (d2 @ W2.T) * (1 - a1 * a1)
    return {"dW1": X.T @ d1, "db1": d1.sum(axis=0), "dW2": a1.T @ d2, "db2": d2.sum(axis=0)}

def doubled(parameters, X, T):
    return backward(parameters, X, T, 2)

def failing(parameters, X, T):
    return parameters["W7"]

number = 3
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "network_of_mine.py").write_text(MODULE, encoding="utf-8")
    parameters, X, T = given()
    modelfile.save("model.npz", parameters, X=X, Y=T, hidden="tanh", output="softmax")
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(main, arguments, prog_name="fastgrad")


@pytest.mark.parametrize("place", ["network_of_mine", "network_of_mine.py", "./network_of_mine.py"])
@pytest.mark.parametrize(("name", "code"), [("backward", 0), ("doubled", 1), ("failing", 3)])
def test_command(folder, place, name, code):
    result = run("check", "model.npz", "--backward", f"{place}:{name}", "--json")
    assert result.exit_code == code, result.output
    assert json.loads(result.stdout)["verdict"] == {0: "right", 1: "wrong", 3: "not judged"}[code]


def test_command_for_a_person(folder):
    result = run("check", "model.npz", "--backward", "network_of_mine:doubled")
    assert "✗ WRONG  Your function gives wrong gradients at 3 of 3 points." in result.stdout
    assert "2 times too large" in result.stdout
    assert "Points drawn with seed 0." in result.stdout
    assert "cost" not in result.stdout
    result = run("check", "model.npz", "--backward", "network_of_mine:failing", "--seed", "7")
    assert "KeyError: 'W7' (network_of_mine.py, line " in " ".join(result.stdout.split())
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("network_of_mine", "module:function or file.py:function, found 'network_of_mine'"),
        ("network_of_mine:forward", "no function 'forward' in network_of_mine"),
        ("network_of_mine:number", "no function 'number'"),
        ("nowhere.py:backward", "no file 'nowhere.py'"),
        ("no_such_module:backward", "no_such_module cannot be imported: ModuleNotFoundError"),
    ],
)
def test_function_that_is_not_there(folder, named, message):
    result = run("check", "model.npz", "--backward", named)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.output
