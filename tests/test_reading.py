"""Names and layouts: whatever people call and turn their arrays, the same problem comes out, or a question by name."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastgrad
from fastgrad.errors import InputError
from fastgrad.model.forward import base_point
from fastgrad.reading import Description, as_flat, interpret, interpret_parts

import cases

NET = Description(hidden="tanh", output="identity", loss="squared_error")
SOFTMAX = Description(hidden="tanh", loss="softmax_crossentropy")
STYLES = {
    "course": ("W{1}", "b{1}", "dW{1}", "db{1}"),
    "underscored": ("W_{0}", "b_{0}", "grad_W_{0}", "grad_b_{0}"),
    "g": ("w{0}", "b{0}", "gw{0}", "gb{0}"),
    "suffix": ("W{1}", "b{1}", "W{1}_grad", "b{1}_grad"),
    "prefix": ("W{1}", "b{1}", "grads_W{1}", "grads_b{1}"),
    "apart": ("W{1}", "b{1}", "d_W{1}", "d_b{1}"),
    "by the loss": ("weight_{1}", "bias_{1}", "dL_dW{1}", "dL_db{1}"),
    "nabla": ("weights_{0}", "biases_{0}", "nabla_w_{0}", "nabla_b_{0}"),
    "modules": ("fc{1}.weight", "fc{1}.bias", "fc{1}.weight.grad", "fc{1}.bias.grad"),
    "path": ("layers.{0}.weight", "layers.{0}.bias", "layers.{0}.weight.grad", "layers.{0}.bias.grad"),
    "fitted": ("coefs__{0}", "intercepts__{0}", "coef_grads_{0}", "intercept_grads_{0}"),
    "fitted, too": ("coefs_{0}", "intercepts_{0}", "d_coefs_{0}", "d_intercepts_{0}"),
    "layer first": ("dense{1}_weights", "dense{1}_biases", "dense{1}_dweights", "dense{1}_dbiases"),
    "Greek": ("Theta{1}", "bias{1}", "Theta{1}_grad", "bias{1}_grad"),
    "prefixed": ("params_W{1}", "params_b{1}", "grads_W{1}", "grads_b{1}"),
}


class Net:
    """A network with random numbers, canonical: W (out, in), b (out,), X and Y in rows, theta W then b."""

    def __init__(self, widths=(3, 4, 2), samples=6, seed=0, biased=True):
        rng = np.random.default_rng(seed)
        shapes = list(zip(widths[1:], widths[:-1], strict=True))
        self.W, self.dW = ([rng.standard_normal(shape) for shape in shapes] for _ in range(2))
        self.b, self.db = ([rng.standard_normal(n) for n, _ in shapes] if biased else [] for _ in range(2))
        self.X, self.Y = rng.standard_normal((samples, widths[0])), rng.standard_normal((samples, widths[-1]))
        self.theta, self.claimed = self.flat(self.W, self.b), self.flat(self.dW, self.db)

    @staticmethod
    def flat(weights, biases):
        pairs = zip(weights, biases, strict=True) if biases else [(W, np.empty(0)) for W in weights]
        return np.concatenate([part.ravel() for pair in pairs for part in pair])

    def arrays(self, style="course", weights="out_in", examples="rows", bias=(-1,), gradients=True, **changes):
        """Return the arrays as a person has them; a change to None leaves one out."""
        turn = {"out_in": lambda W: W, "in_out": np.transpose}[weights]
        show = {"rows": lambda X: X, "columns": np.transpose}[examples]
        W, b, dW, db = STYLES[style]
        found = {"X": show(self.X), "Y": show(self.Y)}
        kinds = [(W, self.W, turn), (b, self.b, lambda b: b.reshape(bias))]
        kinds += [(dW, self.dW, turn), (db, self.db, lambda b: b.reshape(bias))] if gradients else []
        for name, arrays, form in kinds:
            found |= {name.format(i, i + 1): form(array) for i, array in enumerate(arrays)}
        found |= changes
        return {name: value for name, value in found.items() if value is not None}


def assert_is(problem, net):
    np.testing.assert_array_equal(problem.theta, net.theta)
    np.testing.assert_array_equal(problem.claimed, net.claimed)
    np.testing.assert_array_equal(problem.X, net.X)
    np.testing.assert_array_equal(problem.Y, net.Y)
    for array in (problem.theta, problem.claimed, problem.X, problem.Y):
        assert array.dtype == np.float64
        assert array.dtype.isnative
        assert array.flags.c_contiguous


def assert_indices(problem, arrays):
    """Hold every index into the user's own array against theta."""
    for tensor in problem.tensors:
        array = np.asarray(arrays[tensor.array_name])
        assert tensor.shape == array.shape
        for k in range(tensor.size):
            assert array[tensor.user_index(k)] == problem.theta[tensor.start + k]


def refused(arrays, description, message):
    with pytest.raises(InputError, match=message):
        interpret(arrays, description)


# Names and layouts that are taken.


@pytest.mark.parametrize("style", STYLES)
def test_names(style):
    net = Net()
    arrays = net.arrays(style)
    problem = interpret(arrays, NET)
    assert_is(problem, net)
    assert {tensor.name for tensor in problem.tensors} | {tensor.gradient_name for tensor in problem.tensors} == (
        arrays.keys() - {"X", "Y"}
    )


@pytest.mark.parametrize("examples", ["rows", "columns"])
@pytest.mark.parametrize("weights", ["out_in", "in_out"])
@pytest.mark.parametrize("bias", [(-1,), (-1, 1), (1, -1)])
def test_layouts(examples, weights, bias):
    net = Net()
    arrays = net.arrays(weights=weights, examples=examples, bias=bias)
    problem = interpret(arrays, NET)
    assert_is(problem, net)
    assert_indices(problem, arrays)


@pytest.mark.parametrize("X", ["X", "x", "inputs", "data", "X_train", "training_data"])
@pytest.mark.parametrize("Y", ["Y", "y", "t", "labels", "targets", "training_targets"])
def test_names_of_the_data(X, Y):
    net = Net()
    assert_is(interpret({**net.arrays(X=None, Y=None), X: net.X, Y: net.Y}, NET), net)


def test_layers_come_in_natural_order():
    net = Net(widths=(3, *range(2, 14), 1))
    names = [tensor.name for tensor in interpret(net.arrays(), NET).tensors]
    assert names[16:22] == ["W9", "b9", "W10", "b10", "W11", "b11"]


@pytest.mark.parametrize(
    "names",
    [("W_in", "W_h", "W_out"), ("weights_1", "weights_2", "weight_o"), ("0.weight", "2.weight", "4.weight")],
)
def test_layers_by_words_and_by_paths_with_gaps(names):
    net = Net((3, 4, 5, 2), biased=False)
    problem = interpret({"X": net.X, "Y": net.Y, **dict(zip(names, net.W, strict=True))}, NET)
    assert tuple(tensor.name for tensor in problem.tensors) == names
    assert problem.claimed is None


def test_other_arrays_are_left_alone():
    net = Net()
    others = dict.fromkeys(("Z1", "A1", "dZ1", "dA1", "D1"), net.X)
    others |= dict.fromkeys(("theta", "nn_params", "weight_vector", "grad"), net.theta)
    others |= {"vW1": net.dW[0], "vdW1": net.dW[0], "notes": np.array("mine"), "lr": np.array(0.1)}
    assert_is(interpret(net.arrays(**others), NET), net)


def test_given_names_override_the_guess():
    net = Net()
    arrays = {"X": net.Y, "Y": net.X, "in": net.X, "out": net.Y}
    arrays |= {"W1": net.W[1], "W2": net.W[0], "p": net.b[0], "q": net.b[1]}
    arrays |= {"g": net.dW[0], "h": net.db[0], "i": net.dW[1], "j": net.db[1]}
    said = Description(params="W2,p,W1,q", grads="g,h,i,j", inputs="in", labels="out")
    assert_is(interpret(arrays, NET.overlaid(said)), net)


@pytest.mark.parametrize("params", ["W1,b1,W2,b2", "W1,W2,b1,b2", "b1,W1,b2,W2"])
def test_given_names_may_come_in_any_order_of_kinds(params):
    net = Net()
    assert_is(interpret(net.arrays(), NET.overlaid(Description(params=params))), net)


def test_a_parameter_without_a_gradient_is_not_judged():
    net = Net()
    problem = interpret(net.arrays(db1=None), NET)
    gradients = {tensor.name: tensor.gradient_name for tensor in problem.tensors}
    assert gradients == {"W1": "dW1", "b1": None, "W2": "dW2", "b2": "db2"}
    assert np.isnan(problem.claimed[12:16]).all()
    said = NET.overlaid(Description(grads="dW1,,dW2,db2"))
    np.testing.assert_array_equal(interpret(net.arrays(), said).claimed, problem.claimed)


def test_gradients_that_do_not_say_of_what_go_by_their_shape():
    net = Net(biased=False)
    problem = interpret(net.arrays("Greek", gradients=False, delta1=net.dW[0], delta2=net.dW[1].T), NET)
    np.testing.assert_array_equal(problem.claimed, net.claimed)
    assert interpret(net.arrays(gradients=False, delta1=net.X), NET).claimed is None


@pytest.mark.parametrize("turned", ["dW1", "dW2", "db1"])
def test_gradients_turned_against_their_parameter(turned):
    net = Net()
    arrays = net.arrays(bias=(-1, 1))
    assert_is(interpret({**arrays, turned: arrays[turned].T}, NET), net)


def test_one_number_as_gradient_is_spread():
    problem = interpret(Net().arrays(db1=np.float64(7.0), dW2=np.array([[3.0]])), NET)
    np.testing.assert_array_equal(problem.claimed[12:16], 7.0)
    np.testing.assert_array_equal(problem.claimed[16:24], 3.0)


def test_layers_without_bias():
    net = Net(biased=False)
    problem = interpret(net.arrays(), NET)
    assert_is(problem, net)
    assert problem.network.biases == (False, False)
    net = Net()
    assert interpret(net.arrays(b2=None, db2=None), NET).network.biases == (True, False)


def test_one_bias_shared_by_a_layer():
    net = Net()
    problem = interpret(net.arrays(b1=np.array(0.5), db1=net.db[0]), NET)
    np.testing.assert_array_equal(problem.theta[12:16], 0.5)
    np.testing.assert_array_equal(problem.claimed, net.claimed)
    assert problem.tensors[1].user_index(3) == ()
    refused(net.arrays(b1=np.array(0.5), db1=np.array(1.0)), NET, r"b1 \(\) is one number for 4 units")


@pytest.mark.parametrize("weights", ["out_in", "in_out"])
@pytest.mark.parametrize("column", ["first", "last"])
def test_bias_in_one_array_with_the_weights(weights, column):
    net = Net()
    turn = {"out_in": lambda W: W, "in_out": np.transpose}[weights]

    def folded(W, b):
        return turn(np.column_stack([b, W] if column == "first" else [W, b]))

    arrays = {f"theta{i + 1}": folded(net.W[i], net.b[i]) for i in range(2)}
    arrays |= {f"theta{i + 1}_grad": folded(net.dW[i], net.db[i]) for i in range(2)}
    arrays |= {"X": net.X, "Y": net.Y}
    problem = interpret(arrays, NET.overlaid(Description(bias_column=column)))
    assert_is(problem, net)
    assert_indices(problem, arrays)
    own = {("first", "out_in"): ("[:, 1:]", "[:, 0]"), ("last", "out_in"): ("[:, :-1]", "[:, -1]")}
    own |= {("first", "in_out"): ("[1:]", "[0]"), ("last", "in_out"): ("[:-1]", "[-1]")}
    parts = own[column, weights]
    assert [tensor.name for tensor in problem.tensors][:2] == [f"theta1{part}" for part in parts]
    assert [tensor.gradient_name for tensor in problem.tensors][:2] == [f"theta1_grad{part}" for part in parts]
    for tensor, part in zip(problem.tensors, parts, strict=False):  # the names are what Python takes them for
        entries = eval(f"theta1{part}", {"theta1": arrays["theta1"]})
        assert np.array_equal(np.sort(entries, axis=None), np.sort(problem.theta[tensor.start : tensor.stop]))
    refused(arrays, NET, "--bias-column first")


@pytest.mark.parametrize("X", [lambda x: x[0], lambda x: x[0][:, None], lambda x: x])
@pytest.mark.parametrize("Y", [lambda y: y[0], lambda y: y[0][:, None], lambda y: y])
def test_one_example(X, Y):
    net = Net(samples=1)
    assert_is(interpret(net.arrays(X=X(net.X), Y=Y(net.Y)), NET), net)


def test_stacked_columns_and_images():
    net = Net(widths=(12, 4, 2))
    assert_is(interpret(net.arrays(X=net.X[:, :, None], Y=net.Y[:, :, None]), NET), net)
    assert_is(interpret(net.arrays(X=net.X.reshape(6, 2, 2, 3)), NET), net)


def test_weights_as_vectors():
    net = Net(widths=(3, 1))
    arrays = {"w": net.W[0][0], "b": net.b[0][0], "dw": net.dW[0][0], "db": net.db[0][0], "X": net.X, "Y": net.Y[:, 0]}
    problem = interpret(arrays, NET)
    assert_is(problem, net)
    assert_indices(problem, arrays)


# Labels.


@pytest.mark.parametrize("turn", [list, lambda y: y[:, None], lambda y: y[None, :], lambda y: y.astype(">f4")])
@pytest.mark.parametrize("outputs", [1, 3])
def test_labels_as_classes(turn, outputs):
    net = Net(widths=(4, 5, outputs), samples=6)
    classes = np.array([0, 1, 1, 0, 1, 0]) if outputs == 1 else np.array([2, 0, 1, 1, 2, 0])
    description = Description(hidden="relu", loss="bce" if outputs == 1 else "softmax_crossentropy")
    problem = interpret(net.arrays(Y=turn(classes)), description)
    np.testing.assert_array_equal(problem.Y, classes[:, None] if outputs == 1 else np.eye(3)[classes])


@pytest.mark.parametrize("examples", ["rows", "columns"])
def test_one_hot_labels_lie_as_the_inputs_do_where_they_are_square(examples):
    net = Net(widths=(4, 5, 3), samples=3)
    net.Y = np.eye(3)[[2, 0, 1]]
    assert_is(interpret(net.arrays(examples=examples), SOFTMAX), net)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([1, 2, 4, 1, 2, 3], r"labels outside the classes: Y \(6,\) must hold 0 to 2, found 1 to 4; say --first-label 1"),
        ([0, 1, 2, 3, 0, 1], "must hold 0 to 2, found 0 to 3"),
        ([0, -1, 2, 2, 0, 1], "found -1 to 2"),
        ([0, 0.5, 2, 2, 0, 1], "whole numbers"),
        (np.full((6, 3), 2.0), r"takes labels from 0 to 1, Y\[0, 0\] is 2"),
        ([0, 1, 2], r"Y \(3,\) does not fit 6 examples of 3 outputs"),
        ([0, 1, np.nan, 0, 1, 2], r"Y\[2\] is nan"),
    ],
)
def test_labels_that_are_refused(labels, message):
    refused(Net(widths=(4, 5, 3)).arrays(Y=np.array(labels)), SOFTMAX, message)


# What shapes cannot tell.


def test_square_weights_are_asked_for():
    net = Net(widths=(4, 4, 4))
    refused(net.arrays(), NET, "--layout rows,out_in or --layout rows,in_out")
    for weights in ("out_in", "in_out"):
        assert_is(interpret(net.arrays(weights=weights), NET.overlaid(Description(layout=weights))), net)


def test_as_many_examples_as_inputs_are_asked_for():
    net = Net(widths=(4, 5, 2), samples=4)
    refused(net.arrays(), NET, "--layout columns,out_in|--layout rows,out_in")
    for examples in ("rows", "columns"):
        said = NET.overlaid(Description(layout=examples))
        assert_is(interpret(net.arrays(examples=examples), said), net)


@pytest.mark.parametrize(("layout", "weights"), [("rows", "in_out"), ("columns", "out_in")])
def test_half_a_layout_stands_for_its_usual_other_half(layout, weights):
    net = Net(widths=(3, 3, 3), samples=3)
    arrays = net.arrays(weights=weights, examples=layout)
    assert_is(interpret(arrays, NET.overlaid(Description(layout=layout))), net)


def test_what_makes_no_difference_is_not_asked_for():
    net = Net(widths=(2, 2, 2), samples=2)
    for name in ("W", "dW"):
        setattr(net, name, [array + array.T for array in getattr(net, name)])
    net.theta, net.claimed = net.flat(net.W, net.b), net.flat(net.dW, net.db)
    net.X, net.Y = net.X + net.X.T, net.Y + net.Y.T
    assert_is(interpret(net.arrays(), NET), net)


def test_a_layout_that_does_not_fit_is_refused():
    for said, message in [
        (Description(layout="columns"), "do not fit layout columns; they fit rows,out_in"),
        (Description(bias_column="last"), "do not fit bias_column last"),
    ]:
        refused(Net().arrays(), NET.overlaid(said), message)


def test_where_the_bias_of_a_single_array_lies_is_asked_for():
    arrays = {"theta": np.arange(5.0), "X": np.ones((6, 4)), "Y": np.ones(6)}
    said = Description(activations="sigmoid", loss="binary_crossentropy")
    refused(arrays, said, "is the bias first or last in it\\? say it, for example --bias-column first")


class Asked(contextlib.AbstractContextManager):
    """Let an error pass that asks by name for what the shapes cannot tell."""

    def __exit__(self, kind, error, _):
        return kind is not None and issubclass(kind, InputError) and ("--layout" in str(error) or "--bias-column" in str(error))


@settings(max_examples=150, deadline=None)
@given(
    widths=st.lists(st.integers(1, 4), min_size=2, max_size=5),
    samples=st.integers(1, 5),
    style=st.sampled_from(sorted(STYLES)),
    weights=st.sampled_from(["out_in", "in_out"]),
    examples=st.sampled_from(["rows", "columns"]),
    bias=st.sampled_from([None, (-1,), (-1, 1), (1, -1)]),
    said=st.booleans(),
)
def test_never_another_network(widths, samples, style, weights, examples, bias, said):
    net = Net(tuple(widths), samples, biased=bias is not None)
    arrays = net.arrays(style, weights, examples, bias)
    description = NET.overlaid(Description(layout=f"{examples},{weights}")) if said else NET
    with contextlib.nullcontext() if said else Asked():
        problem = interpret(arrays, description)
        assert_is(problem, net)
        assert_indices(problem, arrays)


# Numbers.


@pytest.mark.parametrize("dtype", [">f8", "<f4", ">f4", "f2", "i4", "u1", "g"])
def test_number_types(dtype):
    arrays = {name: np.round(array * 3).clip(0, 9).astype(dtype) for name, array in Net().arrays().items()}
    problem = interpret(arrays, NET)
    assert problem.theta[0] == float(arrays["W1"][0, 0])
    assert problem.X.dtype == problem.theta.dtype == problem.claimed.dtype == np.float64
    expected = {"<f4": "float32", ">f4": "float32", "f2": "float16"}.get(dtype, "float64")
    assert {tensor.precision for tensor in problem.tensors} == {expected}


def test_precision_is_that_of_the_gradient():
    net = Net()
    problem = interpret(net.arrays(dW1=net.dW[0].astype("f4"), db2=None, b2=net.b[1].astype("f4")), NET)
    assert [tensor.precision for tensor in problem.tensors] == ["float32", "float64", "float64", "float32"]


def test_inputs_are_not_modified():
    arrays = Net().arrays()
    for array in arrays.values():
        array.flags.writeable = False
    before = {name: array.copy() for name, array in arrays.items()}
    interpret(arrays, NET)
    assert all(np.array_equal(arrays[name], before[name]) for name in arrays)


def test_nan_and_inf_in_a_gradient_are_kept():
    net = Net()
    net.dW[0][1, 2], net.db[1][0] = np.nan, np.inf
    problem = interpret(net.arrays(), NET)
    np.testing.assert_array_equal(problem.claimed, net.flat(net.dW, net.db))


def test_large_finite_numbers_are_taken():
    net = Net()
    net.X[:] = 1e308
    assert_is(interpret(net.arrays(), NET), net)


@pytest.mark.parametrize(
    ("name", "index", "value", "message"),
    [
        ("X", (4, 1), np.nan, r"X\[4, 1\] is nan"),
        ("W2", (1, 3), np.inf, r"W2\[1, 3\] is inf"),
        ("b1", 2, -np.inf, r"b1\[2\] is -inf"),
        ("Y", (0, 1), np.nan, r"Y\[0, 1\] is nan"),
    ],
)
def test_numbers_that_are_not_finite(name, index, value, message):
    arrays = Net().arrays()
    arrays[name] = arrays[name].copy()
    arrays[name][index] = value
    refused(arrays, NET, message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"X": np.empty((0, 3))}, r"X \(0, 3\) holds zero examples"),
        ({"X": np.ones((6, 7))}, r"W1 \(4, 3\) does not fit X \(6, 7\)"),
        ({"W2": np.ones((2, 5))}, r"W2 \(2, 5\) does not follow W1 \(4, 3\): expected the shape \(units, 4\)"),
        ({"b1": np.ones(5)}, r"b1 \(5,\) does not fit W1 \(4, 3\): the layer has 4 units, and b1 5 entries"),
        ({"b1": np.ones((2, 2))}, r"b1 \(2, 2\) does not fit W1 \(4, 3\): the layer has 4 units, and b1 more than one axis"),
        # Read as weights with a bias column, W1 would have the 3 units that b1 has entries; but then b1 is one too many.
        (
            {"W1": np.ones((3, 4)), "b1": np.ones(3)},
            r"b1 \(3,\) does not fit W1 \(3, 4\): the layer has 4 units, and b1 3 entries \(W1 read as \(in, out\): 3 values",
        ),
        ({"W1": np.ones((5, 4)), "b1": np.ones(5)}, r"W1 \(5, 4\) does not fit X \(6, 3\): no axis of it has the number"),
        ({"W1": np.ones((0, 3))}, r"W1 \(0, 3\) holds no numbers"),
        ({"dW1": np.ones((4, 2))}, r"gradient dW1 \(4, 2\) does not have the shape of W1 \(4, 3\)"),
        ({"db1": np.ones((6, 4))}, r"gradient db1 \(6, 4\) does not have the shape of b1 \(4,\)"),
        ({"dW3": np.ones((2, 2))}, "gradient dW3 belongs to no parameter: there is W1, b1, W2, b2"),
        ({"W2": None}, "b2 has no weights beside it: there is W1"),
        ({"W2": None, "b2": None, "W3": np.ones((2, 2)), "b3": np.ones(2)}, "W2 is missing: there is W1, W3"),
        ({"w1": np.ones((4, 3))}, "W1 and w1 could be the same parameter; say it, for example --params"),
        ({"gW1": np.ones((4, 3))}, "dW1 and gW1 could each be the gradient of W1; .* --grads"),
        ({"x": np.ones((6, 3))}, "X and x could each be the inputs; .* --inputs X"),
        ({"Y": None}, "no labels found by a usual name among .*--labels Y"),
        ({"X": np.array([["1"]])}, r"X must hold real numbers, found text"),
        ({"W1": np.ones((4, 3), dtype=complex)}, "W1 must hold real numbers, found complex numbers"),
        ({"dW1": np.full((4, 3), None)}, "the gradient dW1 must hold real numbers, found Python objects"),
    ],
)
def test_arrays_that_are_refused(changes, message):
    refused(Net().arrays(**changes), NET, message)


def test_no_weights_at_all():
    ones = np.ones((2, 2))
    refused({"X": ones, "Y": ones, "M1": ones}, NET, "no weights found .* among M1; .*--params")


# The description.


def network(**items):
    return interpret(Net((3, 4, 5, 2)).arrays(Y=np.array([0, 1, 0, 1, 1, 0])), Description(**items)).network


@pytest.mark.parametrize(
    ("items", "activations", "loss"),
    [
        ({"hidden": "ReLU", "loss": "softmax_crossentropy"}, ("relu", "relu", "softmax"), "softmax_crossentropy"),
        ({"hidden": "relu", "output": "softmax"}, ("relu", "relu", "softmax"), "softmax_crossentropy"),
        ({"hidden": "logistic", "loss": "BCE"}, ("sigmoid",) * 3, "binary_crossentropy"),
        ({"hidden": "tanh", "output": "linear", "loss": "MSE"}, ("tanh", "tanh", "identity"), "mse"),
        ({"activations": "relu,tanh,softmax"}, ("relu", "tanh", "softmax"), "softmax_crossentropy"),
        ({"activations": ["relu", "tanh"], "loss": "bce", "output": "sigmoid"}, ("relu", "tanh", "sigmoid"), None),
        ({"hidden": "tanh", "output": "sigmoid", "loss": "cross-entropy"}, ("tanh", "tanh", "sigmoid"), None),
        ({"hidden": "tanh", "output": "softmax", "loss": "cross entropy"}, ("tanh", "tanh", "softmax"), None),
        ({"hidden": "leaky-relu:0.2", "loss": "bce"}, ("leaky_relu:0.2", "leaky_relu:0.2", "sigmoid"), None),
    ],
)
def test_activations_and_losses(items, activations, loss):
    found = network(**items)
    assert found.activations == activations
    assert loss is None or found.loss == loss
    assert (found.reduction, found.l2, found.l1) == ("mean", (), ())


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ({}, "--hidden tanh --output sigmoid --loss binary_crossentropy"),
        ({"loss": "bce"}, "the hidden layers; say it, for example --hidden tanh"),
        ({"hidden": "tanh", "output": "sigmoid"}, "the loss; say it, for example --loss binary_crossentropy"),
        ({"hidden": "tanh", "loss": "mse"}, "the last layer; say it, for example --output"),
        ({"hidden": "rleu", "loss": "bce"}, "unknown activation 'rleu'; did you mean relu.*known: identity, sigmoid"),
        ({"hidden": "relu", "loss": "binary_crossentrpy"}, "unknown loss .* did you mean binary_crossentropy"),
        ({"hidden": "relu", "loss": "cross_entropy"}, "either of binary_crossentropy, softmax_crossentropy"),
        ({"hidden": "relu", "loss": "bce", "reduction": "men"}, "unknown reduction 'men'; did you mean mean"),
        ({"activations": "relu,softmax"}, "3 layers need 3 activations, found 2: relu, softmax"),
        ({"activations": "relu,relu,tanh", "output": "sigmoid", "loss": "mse"}, "output says sigmoid, .*leave one"),
        ({"activations": "relu,tanh,softmax", "hidden": "relu"}, "hidden says relu, .*leave one"),
        ({"hidden": "relu", "output": "tanh", "loss": "bce"}, "goes with a sigmoid or softmax output"),
        ({"hidden": "relu", "output": "tanh", "loss": "categorical_crossentropy"}, "goes with a softmax output, found tanh"),
        ({"hidden": "relu", "output": "tanh", "loss": "nn.NLLLoss"}, "goes with a softmax output, found tanh"),
        ({"layout": "diagonal"}, "layout must be rows or columns"),
        ({"layout": "rows,columns"}, "layout must be rows or columns"),
        ({"bias_column": "middle"}, "bias_column must be first or last"),
        ({"l2": "much"}, "l2 must be a number, or numbers as in 0.1,0.2; found 'much'"),
        ({"l2": -1, "hidden": "relu", "loss": "bce"}, "l2 must be a finite number"),
        ({"penalize_biases": "perhaps"}, "penalize_biases must be true or false"),
        ({"hidden": 3}, "hidden must be a name"),
        ({"params": "W1,b1,W22", "hidden": "tanh"}, "params names 'W22', but there is none .*did you mean W2"),
        ({"params": "W1,W1", "hidden": "tanh"}, "params names an array twice"),
        ({"grads": "dW1,db1", "hidden": "tanh"}, r"grads names 2 arrays for 6 parameters \(W1, b1, W2, b2, W3, b3\)"),
        ({"inputs": "xx"}, "inputs names 'xx', but there is none of that name"),
    ],
)
def test_descriptions_that_are_refused(items, message):
    with pytest.raises(InputError, match=message):
        network(**items)


@pytest.mark.parametrize("value", [float("nan"), "inf", -np.inf])
def test_a_loss_value_that_is_no_number_is_refused(value):
    with pytest.raises(InputError, match="loss_value must be a finite number, found -?(nan|inf); leave it out"):
        Description(loss_value=value)


def test_text_stands_for_every_item():
    said = Description(l2="0.5", penalize_biases="true", activations="relu, tanh", params=["W1", None], loss_value="2")
    assert (said.l2, said.penalize_biases, said.activations) == (0.5, True, ("relu", "tanh"))
    assert (said.params, said.loss_value) == (("W1", ""), 2.0)


def test_unknown_items_are_refused_with_the_nearest():
    with pytest.raises(InputError, match="no keyword 'hiden'.*did you mean hidden"):
        Description.of({"hiden": "relu"})
    assert Description.of({"hidden": "relu"}) == Description(hidden="relu")


@pytest.mark.parametrize(
    ("file", "options", "activations"),
    [
        ({"hidden": "relu", "output": "sigmoid"}, {"hidden": "tanh"}, ("tanh", "tanh", "sigmoid")),
        ({"hidden": "relu", "output": "sigmoid"}, {"output": "tanh"}, ("relu", "relu", "tanh")),
        ({"hidden": "relu", "output": "sigmoid"}, {"activations": "relu,tanh,identity"}, ("relu", "tanh", "identity")),
        ({"activations": "relu,tanh,identity"}, {"hidden": "tanh"}, ("tanh", "tanh", "identity")),
        ({"activations": "relu,tanh,identity"}, {"output": "sigmoid"}, ("relu", "tanh", "sigmoid")),
        ({"activations": "relu,tanh", "output": "tanh"}, {"output": "sigmoid"}, ("relu", "tanh", "sigmoid")),
    ],
)
def test_options_override_the_file(file, options, activations):
    said = Description(**file, loss="mse", l2=1.0).overlaid(Description(**options, l2=2.0))
    assert network(**said.said()).activations == activations
    assert said.l2 == 2.0


# Dicts and lists.


@pytest.mark.parametrize("keys", ["named", "own"])
def test_dicts(keys):
    net = Net()
    names = ("W1", "W2", "b1", "b2")
    parameters = dict(zip(names, [*net.W, *net.b], strict=True))
    gradients = dict(zip(names, [*net.dW, *net.db], strict=True))
    if keys == "named":
        gradients = {f"d{name}": array for name, array in gradients.items()} | {"dZ1": net.X, "dA0": net.X}
    assert_is(interpret_parts(parameters, gradients, net.X, net.Y, NET), net)
    in_order = [gradients.get(name, gradients.get(f"d{name}")) for name in parameters]
    assert_is(interpret_parts(parameters, in_order, net.X, net.Y, NET), net)


def test_dicts_of_lists_and_of_any_names():
    net = Net()
    parameters, gradients = {"weights": net.W, "biases": net.b}, {"weights": net.dW, "biases": net.db}
    assert_is(interpret_parts(parameters, gradients, net.X, net.Y, NET), net)
    parameters = {"eins": net.W[0], "zwei": net.b[0], "drei": net.W[1], "vier": net.b[1]}
    gradients = {"eins": net.dW[0], "zwei": net.db[0], "drei": net.dW[1], "vier": net.db[1]}
    assert_is(interpret_parts(parameters, gradients, net.X, net.Y, NET), net)


@pytest.mark.parametrize("bias", [(-1,), (-1, 1), (1, -1)])
@pytest.mark.parametrize("weights", ["out_in", "in_out"])
@pytest.mark.parametrize("widths", [(3, 4, 2), (3, 5, 1), (4, 3, 3, 2)])
def test_lists(bias, weights, widths):
    net = Net(widths, samples=7)
    turn = {"out_in": lambda W: W, "in_out": np.transpose}[weights]
    W, dW = [turn(array) for array in net.W], [turn(array) for array in net.dW]
    b, db = [array.reshape(bias) for array in net.b], [array.reshape(bias) for array in net.db]

    def mixed(weights, biases):
        return [array for pair in zip(weights, biases, strict=True) for array in pair]

    if widths[-1] == 1 and W[-1].shape == b[0].shape:  # which of them is the bias?
        with pytest.raises(InputError, match=r"more than one order: give dicts"):
            interpret_parts(mixed(W, b), mixed(dW, db), net.X, net.Y, NET)
        return
    problem = interpret_parts(mixed(W, b), mixed(dW, db), net.X, net.Y, NET)
    assert_is(problem, net)
    assert [tensor.name for tensor in problem.tensors][:2] == ["W1", "b1"]
    assert [tensor.gradient_name for tensor in problem.tensors][:2] == ["dW1", "db1"]
    assert_is(interpret_parts([*W, *net.b], (*dW, *net.db), net.X, net.Y, NET), net)
    without = interpret_parts(mixed(W, b), [None, *mixed(dW, db)[1:]], net.X.tolist(), net.Y.tolist(), NET)
    assert without.tensors[0].gradient_name is None


@pytest.mark.parametrize(
    ("parameters", "gradients", "message"),
    [
        ([np.ones((1, 3))], [], "1 parameters and 0 gradients"),
        ([np.ones((1, 3))], {"dW1": np.ones((1, 3)), "db1": np.ones(1)}, "1 parameters and 2 gradients in another form"),
        ([np.ones((5, 4)), np.ones(5)], None, r"\[0\] \(5, 4\) does not fit X \(2, 3\): it takes 4 inputs, and X gives 3"),
        ([np.ones((4, 3)), np.ones(4), np.ones(5)], None, r"\[2\] \(5,\) does not follow parameters\[0\] .*\(units, 4\)"),
        (np.ones((1, 3)), None, "parameters must be a dict or a list of arrays, found ndarray"),
        ([[[1.0, 2.0], [3.0]]], None, r"parameters\[0\] is no array: its rows differ in length"),
        ([], None, "there are no parameters"),
        ({"W1": np.ones((1, 3))}, {"dW2": np.ones((1, 3))}, "gradient dW2 belongs to no parameter"),
    ],
)
def test_parts_that_are_refused(parameters, gradients, message):
    with pytest.raises(InputError, match=message):
        interpret_parts(parameters, gradients, np.ones((2, 3)), np.ones((2, 1)), NET)


@pytest.mark.parametrize("form", [lambda values: values, iter, tuple])
def test_the_values_of_dicts_are_taken_as_lists(form):
    net = Net()
    parameters = {"a": net.W[0], "b": net.b[0], "c": net.W[1], "d": net.b[1]}
    gradients = {"a": net.dW[0], "b": net.db[0], "c": net.dW[1], "d": net.db[1]}
    assert_is(interpret_parts(form(parameters.values()), form(gradients.values()), net.X, net.Y, NET), net)
    assert_is(interpret_parts(parameters, form(gradients.values()), net.X, net.Y, NET), net)


@pytest.mark.parametrize("name", ["X", "Y"])
def test_missing_data_are_named(name):
    data = {"X": np.ones((2, 3)), "Y": np.ones((2, 1)), name: None}
    with pytest.raises(InputError, match=f"{name} is missing: give the "):
        interpret_parts([np.ones((1, 3))], None, data["X"], data["Y"], NET)


@pytest.mark.parametrize("own_keys", [True, False])
def test_a_flat_mapping_says_the_same(own_keys):
    net = Net((3, 3, 3), samples=3)  # needs the layout
    parameters = {"V": net.W[0], "loss": net.b[0], "X": net.W[1], "q": net.b[1]}
    gradients = dict(zip(parameters, (net.dW[0], None, net.dW[1], net.db[1]), strict=True))
    said = NET.overlaid(Description(layout="rows,out_in", l2=0.5, loss_value=3.0))
    parts = (parameters, gradients) if own_keys else (list(parameters.values()), list(gradients.values()))
    expected = interpret_parts(*parts, net.X, net.Y, said)
    arrays = as_flat(*parts, net.X, net.Y, said)
    items = {key: arrays.pop(key) for key in list(arrays) if key in Description.__dataclass_fields__}
    problem = interpret(arrays, Description.of(items))
    assert problem.network == expected.network
    assert problem.claimed_loss == 3.0
    for key in ("theta", "claimed", "X", "Y"):
        np.testing.assert_array_equal(getattr(problem, key), getattr(expected, key))


# The real cases.

ACTIVATIONS = {
    "identity": lambda z: z,
    "sigmoid": lambda z: 0.5 * (1.0 + np.tanh(0.5 * z)),
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0.0),
    "leaky_relu:0.01": lambda z: np.where(z > 0.0, z, 0.01 * z),
    "elu": lambda z: np.where(z > 0.0, z, np.expm1(np.minimum(z, 0.0))),
}
LOSSES = {
    "binary_crossentropy": lambda z, a, y: (np.logaddexp(0.0, z) - y * z).sum(),
    "softmax_crossentropy": lambda z, a, y: np.logaddexp.reduce(z, axis=1).sum() - (y * z).sum(),
    "squared_error": lambda z, a, y: 0.5 * ((a - y) ** 2).sum(),
    "mse": lambda z, a, y: ((a - y) ** 2).mean(axis=1).sum(),
    "half_mse": lambda z, a, y: 0.5 * ((a - y) ** 2).mean(axis=1).sum(),
    "absolute_error": lambda z, a, y: np.abs(a - y).mean(axis=1).sum(),
    "huber:0.7": lambda z, a, y: np.where(abs(a - y) < 0.7, 0.5 * (a - y) ** 2, 0.7 * abs(a - y) - 0.245).mean(1).sum(),
    "hinge": lambda z, a, y: (np.maximum(a - (a * y).sum(1, keepdims=True) + 1.0, 0.0) * (1.0 - y)).sum(),
}


def loss_value(problem):
    """Evaluate the loss by one plain forward pass."""
    network, a = problem.network, problem.X
    penalty = 0.0
    for layer, name in enumerate(network.activations):
        W, b = network.W(problem.theta, layer), network.b(problem.theta, layer)
        penalty += 0.5 * network.l2[2 * layer] * (W**2).sum() if network.l2 else 0.0
        penalty += 0.5 * network.l2[2 * layer + 1] * (b**2).sum() if network.l2 and b.size else 0.0
        z = a @ W.T + (b if b.size else 0.0)
        a = ACTIVATIONS.get(name, ACTIVATIONS["identity"])(z)
    value = LOSSES[network.loss](z, a, problem.Y)
    return (value / problem.samples if network.reduction == "mean" else value) + penalty


@pytest.mark.parametrize("name", cases.names())
def test_real_cases(name):
    case = cases.sidecar(name)
    said = cases.options(case)
    with np.load(cases.model_file(name)) as arrays:
        problem = interpret(dict(arrays), said)
    assert list(problem.network.widths) == case["layer_sizes"]
    assert problem.samples == case["n_examples"]
    tolerance = 1e-6 if "1e-7" in case["loss"]["formula"] else 1e-5 if case["dtype"] == "float32" else 1e-12
    assert loss_value(problem) == pytest.approx(case["loss_value"], rel=tolerance)
    reference = cases.reference(name, problem.network)
    for tensor in problem.tensors:
        place = slice(tensor.start, tensor.stop)
        claimed, right = problem.claimed[place], reference[place]
        expected = case["relative_error_by_tensor"].get(f"{tensor.kind}{tensor.layer + 1}")
        assert (expected is None) == (tensor.gradient_name is None)
        if expected is not None:
            scale = np.linalg.norm(claimed) + np.linalg.norm(right)
            assert np.linalg.norm(claimed - right) == pytest.approx(expected * scale, rel=1e-6, abs=1e-14 * scale)


@pytest.mark.parametrize("bias", [np.float32, np.float64])
def test_single_precision_forward_with_double_precision_labels_is_judged_in_single(bias):
    """NumPy makes a − y double where y is, but a has been rounded to single precision."""
    draw = np.random.default_rng(0)
    W, b, X = (draw.standard_normal(shape).astype(np.float32) for shape in ((3, 4), (3, 1), (4, 6)))
    Y = np.eye(3)[:, draw.integers(3, size=6)]
    Z = W @ X + b
    A = np.exp(Z - Z.max(axis=0))
    A /= A.sum(axis=0)
    dZ = (A - Y) / 6
    assert dZ.dtype == np.float64
    b = b.astype(bias)
    problem = interpret_parts({"W1": W, "b1": b}, {"dW1": dZ @ X.T, "db1": dZ.sum(axis=1)}, X, Y, Description(output="softmax"))
    assert {tensor.precision for tensor in problem.tensors} == {"float32"}


def test_a_gradient_is_missing_in_whatever_way_it_is_not_there():
    parameters = {"W1": np.ones((4, 3)), "b1": np.ones(4), "W2": np.ones((2, 4)), "b2": np.ones(2)}
    gradients = {"db1": np.ones(4), "dW2": np.ones((2, 4)), "db2": np.ones(2)}
    arrays = {**parameters, **gradients, "X": np.ones((5, 3)), "Y": np.zeros((5, 2))}
    said = Description(hidden="tanh", output="identity", loss="mse")
    missing = "There is no gradient of W1: give it, or, where a parameter is not trained, leave it out with --frozen W1"
    assert missing in interpret(arrays, said).notes[0]
    parts = (parameters, {**gradients, "W1": None}), (parameters, [None, *gradients.values()])
    for given_parameters, left_out in parts:
        problem = interpret_parts(given_parameters, left_out, arrays["X"], arrays["Y"], said)
        assert problem.tensors[0].gradient_name is None
    left_out = said.overlaid(Description(params="W1,b1,W2,b2", grads=",db1,dW2,db2"))
    assert interpret(arrays, left_out).tensors[0].gradient_name is None


# Labels of other names, and inputs that are not those of the weights.


@pytest.mark.parametrize("said", [{}, {"first_label": 1}, {"classes": "1,2,3"}])
def test_labels_that_count_from_one(said):
    net = Net(widths=(4, 5, 3), samples=6)
    classes = np.array([2, 0, 1, 1, 2, 0])
    problem = interpret(net.arrays(Y=classes + 1), SOFTMAX.overlaid(Description(**said)))
    np.testing.assert_array_equal(problem.Y, np.eye(3)[classes])
    assert problem.classes == (1.0, 2.0, 3.0)
    assert any("--first-label 1" in note for note in problem.notes) == (not said)


def test_labels_in_the_range_of_both_ways_count_from_zero():
    net = Net(widths=(4, 5, 3), samples=6)
    problem = interpret(net.arrays(Y=np.array([1, 1, 2, 2, 1, 2])), SOFTMAX)
    np.testing.assert_array_equal(problem.Y, np.eye(3)[[1, 1, 2, 2, 1, 2]])
    said = SOFTMAX.overlaid(Description(first_label=1))
    np.testing.assert_array_equal(interpret(net.arrays(Y=np.array([1, 1, 2, 2, 1, 2])), said).Y, np.eye(3)[[0, 0, 1, 1, 0, 1]])


@pytest.mark.parametrize(
    ("labels", "said", "note"),
    [
        ([-1, 1], {}, "--classes=-1,1"),
        ([1, 2], {}, "--first-label 1"),
        ([-1, 1], {"classes": "-1,1"}, None),
        ([7, 3], {"classes": (7, 3)}, None),
    ],
)
def test_two_classes_under_any_labels(labels, said, note):
    net, classes = Net(widths=(4, 5, 1), samples=6), np.array([0, 1, 1, 0, 1, 0])
    description = Description(hidden="relu", loss="bce", **said)
    problem = interpret(net.arrays(Y=np.array(labels)[classes]), description)
    np.testing.assert_array_equal(problem.Y, classes[:, None])
    assert [note in text for text in problem.notes] == ([True] if note else [])


def test_signs_are_targets_of_other_losses():
    net = Net(widths=(4, 5, 1), samples=6)
    signs = np.array([-1, 1, 1, -1, 1, -1])
    problem = interpret(net.arrays(Y=signs), Description(hidden="relu", output="tanh", loss="mse"))
    np.testing.assert_array_equal(problem.Y, signs[:, None])
    assert problem.notes == ()


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"classes": "1,2"}, "2 labels for 3 classes"),
        ({"classes": "1,2,5"}, r"must hold 1, 2, 5, found 3"),
        ({"first_label": 2}, r"must hold 2, 3, 4, found 1"),
        ({"classes": "1,2,3", "first_label": 1}, "leave one of them out"),
        ({"classes": "1,1"}, "different labels"),
        ({"first_label": 0.5}, "first_label must be a whole number"),
    ],
)
def test_labels_that_are_not_those_said(said, message):
    arrays = Net(widths=(4, 5, 3), samples=6).arrays(Y=np.array([1, 2, 3, 1, 2, 3]))
    with pytest.raises(InputError, match=message):
        interpret(arrays, Description(hidden="relu", output="softmax", **said))


@pytest.mark.parametrize("labels", [[1, 2, 3], [-1, 1], [1, 2]])
def test_a_function_gets_labels_of_the_kind_given(labels):
    """At drawn points, too, in which not every label need appear."""
    net, outputs = Net(widths=(4, 3), samples=6), 3 if len(labels) == 3 else 1
    W, b = net.W[0][:outputs], net.b[0][:outputs]
    Y = np.resize(labels, 6)

    def backward(parameters, X, Y):
        assert set(np.ravel(Y)) <= set(labels)
        z = X @ parameters["W1"].T + parameters["b1"]
        places = np.searchsorted(labels, np.ravel(Y))
        if outputs == 1:
            d = (1 / (1 + np.exp(-z)) - places[:, None]) / len(X)
        else:
            e = np.exp(z - z.max(axis=1, keepdims=True))
            d = (e / e.sum(axis=1, keepdims=True) - np.eye(3)[places]) / len(X)
        return {"W1": d.T @ X, "b1": d.sum(axis=0)}

    said = {"output": "sigmoid", "loss": "bce"} if outputs == 1 else {"output": "softmax"}
    report = fastgrad.check({"W1": W, "b1": b}, backward=backward, X=net.X, Y=Y, **said)
    assert report.verdict == "right", str(report)


def test_the_inputs_are_named_where_they_do_not_fit():
    net = Net((5, 4, 2), samples=9)
    refused(
        net.arrays(X=net.X[:, :4]), NET, r"W1 \(4, 5\) does not fit X \(9, 4\): it takes 5 inputs, and X gives 4 for each of 9"
    )
    with_ones = np.column_stack([np.ones(9), net.X])
    refused(
        net.arrays(X=with_ones),
        NET,
        r"does not fit X \(9, 6\): it takes 5 inputs, .* gives 6 .*; X\[:, 0\] holds only ones: leave it out",
    )


# Names given in order.


@pytest.mark.parametrize("bias", [0.5, np.array([0.5]), np.array([[0.5]])])
def test_names_in_order_override_what_they_seem_to_say(bias):
    net = Net((4, 1), samples=6)
    arrays = {
        "w": net.W[0].ravel(),
        "w0": np.asarray(bias),
        "g": net.dW[0].ravel(),
        "g0": np.asarray(bias),
        "X": net.X,
        "y": net.Y > 0,
    }
    said = Description(loss="bce", params="w,w0", grads="g,g0")
    problem = interpret(arrays, said)
    assert problem.network.widths == (4, 1)
    assert [tensor.kind for tensor in problem.tensors] == ["W", "b"]
    assert [tensor.gradient_name for tensor in problem.tensors] == ["g", "g0"]


def test_weights_under_the_name_of_a_bias():
    net = Net((4, 5, 2), samples=6)
    arrays = {"b1": net.W[0], "W1": net.b[0], "b2": net.W[1], "W2": net.b[1], "X": net.X, "Y": net.Y}
    problem = interpret(arrays, NET.overlaid(Description(params="b1,W1,b2,W2")))
    np.testing.assert_array_equal(problem.theta, interpret(net.arrays(), NET).theta)


def test_the_loss_value_tells_which_way_square_weights_lie():
    net = Net(widths=(4, 4, 4))
    of_others = {}
    for weights in ("out_in", "in_out"):
        said = NET.overlaid(Description(layout=f"rows,{weights}"))
        of_others[weights] = base_point(interpret(net.arrays(weights="out_in"), said)).loss
    for weights, value in of_others.items():
        problem = interpret(net.arrays(weights="out_in"), NET.overlaid(Description(loss_value=value)))
        expected = interpret(net.arrays(weights="out_in"), NET.overlaid(Description(layout=f"rows,{weights}")))
        np.testing.assert_array_equal(problem.theta, expected.theta)
        assert any("the one that fits your loss value was taken" in note for note in problem.notes)
    refused(net.arrays(), NET.overlaid(Description(loss_value=1.5 * value)), "--layout rows,out_in or --layout rows,in_out")
