"""Parameters and gradients in the forms that people have them: taken as they are, and put back for their functions."""

import itertools
from collections import OrderedDict
from types import SimpleNamespace

import numpy as np
import pytest

import fastgrad
from fastgrad import InputError
from fastgrad.reading import Description, modelfile, read_parts
from fastgrad.walk import check_problem

SAID = {"hidden": "tanh", "output": "sigmoid", "loss": "binary_crossentropy"}
WIDTHS = (3, 5, 4, 2)


class Layer:
    """A layer as somebody wrote it, with what its forward pass left there."""

    def __init__(self, W, b, names=("W", "b")):
        self.activation, self.name, self.cache = "tanh", "dense", np.ones((7, 3))
        self.A = self.Z = np.ones((7, len(b)))
        self.__dict__.update(zip(names, (W, b), strict=True))
        self.names = names

    def learn(self, dW, db):
        self.__dict__.update(zip((f"d{name}" for name in self.names), (dW, db), strict=True))
        return self


class Tensor:
    """What a torch tensor that requires grad can and refuses to do."""

    def __init__(self, values, dtype="torch.float64", attached=True):
        self.values, self.dtype, self.attached = np.asarray(values), dtype, attached

    requires_grad = True

    @property
    def shape(self):
        return self.values.shape

    def size(self):
        return self.values.shape

    def detach(self):
        return Tensor(self.values, self.dtype, attached=False)

    def cpu(self):
        return self

    def float(self):
        return Tensor(self.values, "torch.float32", self.attached)

    def __array__(self, dtype=None, copy=None):
        if self.attached or self.dtype.endswith("bfloat16"):
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
        return np.asarray(self.values, dtype=dtype)


class Frame:
    """What a pandas frame can do."""

    def __init__(self, values, index=None, columns=None):
        self.values, self.index, self.columns = np.asarray(values), index, columns

    @property
    def shape(self):
        return self.values.shape

    def to_numpy(self):
        return self.values

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype=dtype)


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def backward(W, b, X, Y, dtype=np.float64):
    """Gradients of the binary cross-entropy behind tanh layers, examples in rows, W (in, out)."""
    A = [X]
    for k, (w, c) in enumerate(zip(W, b, strict=True)):
        z = A[-1] @ w + (0.0 if c is None else np.ravel(c))
        A.append(np.tanh(z) if k < len(W) - 1 else sigmoid(z))
    d, dW, db = (A[-1] - Y) / len(X), [], []
    for k in reversed(range(len(W))):
        dW.insert(0, A[k].T @ d)
        db.insert(0, None if b[k] is None else d.sum(axis=0))
        d = (d @ W[k].T) * (1.0 - A[k] ** 2)
    return dW, db


@pytest.fixture
def net():
    rng = np.random.default_rng(5)
    W = [rng.normal(size=pair) for pair in itertools.pairwise(WIDTHS)]
    b = [rng.normal(size=n) for n in WIDTHS[1:]]
    X, Y = rng.normal(size=(7, WIDTHS[0])), (rng.random((7, WIDTHS[-1])) < 0.5).astype(float)
    dW, db = backward(W, b, X, Y)
    return SimpleNamespace(W=W, b=b, X=X, Y=Y, dW=dW, db=db)


def mixed(first, second):
    return [array for pair in zip(first, second, strict=True) for array in pair]


FORMS = {
    "one list": mixed,
    "weights and then biases": lambda W, b: [*W, *b],
    "each bias first": lambda W, b: mixed(b, W),
    "pairs": lambda W, b: list(zip(W, b, strict=True)),
    "pairs, bias first": lambda W, b: list(zip(b, W, strict=True)),
    "two lists": lambda W, b: (W, b),
    "two lists, biases first": lambda W, b: [b, W],
    "two lists of lists": lambda W, b: ([w.tolist() for w in W], [c.tolist() for c in b]),
    "a list of lists and a list of arrays": lambda W, b: ([w.tolist() for w in W], list(b)),
    "layers": lambda W, b: [Layer(w, c) for w, c in zip(W, b, strict=True)],
    "layers with weights and bias": lambda W, b: [Layer(w, c, ("weights", "bias")) for w, c in zip(W, b, strict=True)],
    "an object with layers": lambda W, b: SimpleNamespace(layers=[Layer(w, c) for w, c in zip(W, b, strict=True)], rate=0.1),
    "an object": lambda W, b: SimpleNamespace(**dict(zip(("W1", "b1", "W2", "b2", "W3", "b3"), mixed(W, b), strict=True))),
    "layers with params": lambda W, b: [SimpleNamespace(params={"W": w, "b": c}) for w, c in zip(W, b, strict=True)],
    "dicts in a list": lambda W, b: [{"W": w, "b": c, "A": w} for w, c in zip(W, b, strict=True)],
    "dicts in a dict": lambda W, b: {f"layer{i}": {"kernel": w, "bias": c} for i, (w, c) in enumerate(zip(W, b, strict=True))},
    "dicts by kind": lambda W, b: {"W": dict(enumerate(W, start=1)), "b": dict(enumerate(b, start=1))},
    "lists by kind": lambda W, b: {"weights": W, "biases": b},
    "names": lambda W, b: dict(zip(("W1", "b1", "W2", "b2", "W3", "b3"), mixed(W, b), strict=True)),
    "words in order": lambda W, b: OrderedDict(
        zip(("encoder.W", "encoder.b", "code.W", "code.b", "decoder.W", "decoder.b"), mixed(W, b), strict=True)
    ),
    "hidden, middle, last": lambda W, b: OrderedDict(
        zip(("W_hidden", "b_hidden", "W_middle", "b_middle", "W_last", "b_last"), mixed(W, b), strict=True)
    ),
}
PLAIN = {"one list", "weights and then biases", "each bias first"}
"""Lists that hold gradients in the order of the parameters, whatever that is."""
WORDS = {"words in order", "hidden, middle, last"}
"""Names of layers that go with no numbers."""


def needs_the_same_order(there, here):
    """Whether nothing but their order could say which gradient is whose, and it is not the same."""
    named = isinstance(FORMS[there](*[[np.ones(1)] * 3] * 2), dict | SimpleNamespace)
    return there != here and (bool({there, here} & WORDS) or (here in PLAIN and (there in PLAIN or named)))


def test_parameters_in_any_form_with_gradients_in_any_other(net):
    expected, _ = read_parts(FORMS["names"](net.W, net.b), FORMS["names"](net.dW, net.db), net.X, net.Y, Description(**SAID))
    for there, parameters in FORMS.items():
        for here, gradients in FORMS.items():
            if needs_the_same_order(there, here):
                continue
            arguments = parameters(net.W, net.b), gradients(net.dW, net.db), net.X, net.Y
            problem, _ = read_parts(*arguments, Description(**SAID))
            assert np.array_equal(problem.theta, expected.theta), f"{there} with {here}"
            assert np.array_equal(problem.claimed, expected.claimed), f"{there} with {here}"


@pytest.mark.parametrize("form", FORMS)
def test_gradients_in_any_form_are_checked(form, net):
    make = FORMS[form]
    assert fastgrad.check(make(net.W, net.b), make(net.dW, net.db), net.X, net.Y, **SAID).passed
    wrong = fastgrad.check(make(net.W, net.b), make(net.dW, [net.db[0], 2.0 * net.db[1], net.db[2]]), net.X, net.Y, **SAID)
    assert [tensor.verdict for tensor in wrong.tensors] == ["right", "right", "right", "wrong", "right", "right"]


def test_a_gradient_under_an_unknown_prefix_is_no_layer(net):
    names = FORMS["names"]
    gradients = {**names(net.dW, net.db), "adam_dW9": np.ones((2, 2))}
    report = fastgrad.check(names(net.W, net.b), gradients, net.X, net.Y, **SAID)
    assert report.passed
    assert any("adam_dW9 is the gradient of no parameter" in note for note in report.notes)


@pytest.mark.parametrize("form", FORMS)
def test_a_function_gets_its_own_form(form, net):
    given = FORMS[form](net.W, net.b)

    def function(parameters, X, Y):
        assert type(parameters) is type(given)
        problem, _ = read_parts(parameters, None, X, Y, Description(layout="rows,in_out", **SAID))
        theta, network = problem.theta, problem.network
        W = [network.W(theta, layer).T for layer in range(3)]
        return FORMS[form](*backward(W, [network.b(theta, layer) for layer in range(3)], X, Y))

    report = fastgrad.check(given, backward=function, X=net.X, Y=net.Y, layout="rows,in_out", **SAID)
    assert report.verdict == "right", str(report)
    assert len(report.trials) == 3


def test_layers_hold_their_gradients(net):
    layers = [Layer(w, b).learn(dw, db) for w, b, dw, db in zip(net.W, net.b, net.dW, net.db, strict=True)]
    assert fastgrad.check(layers, layers, net.X, net.Y, **SAID).passed
    assert fastgrad.check(layers, None, net.X, net.Y, **SAID).passed
    layers[1].learn(net.dW[1], 2.0 * net.db[1])
    assert fastgrad.check(layers, None, net.X, net.Y, **SAID).verdict == "wrong"


def test_gradients_that_layers_hold_are_not_a_functions(net):
    """What a former call left in the layers is not looked at where a function is tried."""
    layers = [Layer(w, b).learn(7.0 * w, 7.0 * b) for w, b in zip(net.W, net.b, strict=True)]

    def function(layers, X, Y):
        dW, db = backward([layer.W for layer in layers], [layer.b for layer in layers], X, Y)
        return [{"dW": dw, "db": dc} for dw, dc in zip(dW, db, strict=True)]

    report = fastgrad.check(layers, backward=function, X=net.X, Y=net.Y, layout="rows,in_out", **SAID)
    assert report.verdict == "right", str(report)


def test_a_function_may_return_two_lists_biases_first(net):
    def function(parameters, X, Y):
        dW, db = backward(parameters[0::2], parameters[1::2], X, Y)
        return db, dW

    report = fastgrad.check(mixed(net.W, net.b), backward=function, X=net.X, Y=net.Y, layout="rows,in_out", **SAID)
    assert report.verdict == "right", str(report)


@pytest.mark.parametrize("form", ["two lists", "pairs", "one list", "layers", "names"])
def test_none_is_a_missing_bias(form, net):
    b = [net.b[0], None, net.b[2]]
    dW, db = backward(net.W, b, net.X, net.Y)
    make = FORMS["layers"] if form == "layers" else FORMS[form]
    if form == "layers":

        def make(W, b):
            return [SimpleNamespace(W=w, b=c) for w, c in zip(W, b, strict=True)]

    report = fastgrad.check(make(net.W, b), make(dW, db), net.X, net.Y, **SAID)
    assert report.passed
    assert len(report.tensors) == 5


def test_tensors_that_require_grad_and_frames(net):
    for kind in (Tensor, Frame):
        parameters, gradients = ([kind(array) for array in mixed(*pair)] for pair in ((net.W, net.b), (net.dW, net.db)))
        assert fastgrad.check(parameters, gradients, kind(net.X), kind(net.Y), **SAID).passed
        named = dict(zip(("W1", "b1", "W2", "b2", "W3", "b3"), gradients, strict=True))
        assert fastgrad.check(parameters, named, kind(net.X), kind(net.Y), **SAID).passed
        gradients[0] = kind(2.0 * net.dW[0])
        assert fastgrad.check(parameters, gradients, kind(net.X), kind(net.Y), **SAID).verdict == "wrong"


def test_a_function_gets_frames_where_frames_were_given(net):
    def function(parameters, X, Y):
        assert {type(value) for value in (*parameters, X, Y)} == {Frame}
        W, b = ([value.to_numpy() for value in parameters[start::2]] for start in (0, 1))
        return mixed(*backward(W, b, X.to_numpy(), Y.to_numpy()))

    given = [Frame(array, "index", "columns") for array in mixed(net.W, net.b)]
    arguments = {"X": Frame(net.X, "index", "columns"), "Y": Frame(net.Y, "index", "columns")}
    report = fastgrad.check(given, backward=function, layout="rows,in_out", **arguments, **SAID)
    assert report.verdict == "right", str(report)


def bfloat16(array):
    """Round to bfloat16, to even, in float32."""
    bits = np.asarray(array, dtype=np.float32).view(np.uint32).astype(np.uint64)
    rounded = bits + 0x7FFF + ((bits >> np.uint64(16)) & np.uint64(1))
    return (rounded & np.uint64(0xFFFF0000)).astype(np.uint32).view(np.float32)


def test_bfloat16_is_judged_at_its_own_rounding(net):
    W, b, X = ([bfloat16(array) for array in arrays] for arrays in (net.W, net.b, [net.X]))
    dW, db = backward(W, b, X[0], net.Y)

    def tensors(arrays):
        return [Tensor(bfloat16(array), "torch.bfloat16") for array in arrays]

    report = fastgrad.check(tensors(mixed(W, b)), tensors(mixed(dW, db)), tensors(X)[0], net.Y, **SAID)
    assert "wrong" not in [tensor.verdict for tensor in report.tensors]
    assert {tensor.precision for tensor in report.tensors} == {"bfloat16"}
    in_float32 = [Tensor(bfloat16(array), "torch.float32") for array in mixed(dW, db)]
    assert "to the 8 bits of bfloat16" in str(fastgrad.check(mixed(W, b), in_float32, X[0], net.Y, **SAID))
    db[0] = 10.0 * db[0]
    report = fastgrad.check(tensors(mixed(W, b)), tensors(mixed(dW, db)), tensors(X)[0], net.Y, **SAID)
    assert report.verdict == "wrong"


def test_a_cache_beside_the_parameters_is_left_alone(net):
    names = FORMS["names"]
    cache = {"A0": net.X, "Z1": net.X @ net.W[0], "A1": np.tanh(net.X @ net.W[0]), "cache": net.X, "X": net.X}
    gradients = names(net.dW, net.db)
    for parameters in ({**names(net.W, net.b), **cache}, {**cache, **names(net.W, net.b)}):
        report = fastgrad.check(parameters, gradients, net.X, net.Y, **SAID)
        assert report.passed
        assert any("A0" in note and "not taken for parameters" in note for note in report.notes)
    # A name that could be anything is not left alone: it is asked for.
    with pytest.raises(InputError, match="extra"):
        fastgrad.check({**names(net.W, net.b), "extra": np.ones((9, 9))}, gradients, net.X, net.Y, **SAID)


def test_gradients_that_fit_in_no_or_in_several_orders_are_asked_for():
    W, b, X, Y = [np.ones((1, 1))] * 2, [np.ones((1, 1))] * 2, np.ones((3, 1)), np.ones((3, 1))
    named = FORMS["names"](W, b) if len(W) == 3 else dict(zip(("W1", "b1", "W2", "b2"), mixed(W, b), strict=True))
    with pytest.raises(InputError, match="more than one order of the gradients .* fits the parameters"):
        fastgrad.check(mixed(W, b), named, X, Y, layout="rows,in_out", **SAID)
    with pytest.raises(InputError, match="no order of the gradients"):
        fastgrad.check(mixed(W, b), {**named, "W1": np.ones((2, 2))}, X, Y, layout="rows,in_out", **SAID)


def test_objects_that_hold_each_other_are_refused():
    first, second = SimpleNamespace(name="relu"), SimpleNamespace(name="tanh")
    first.inputs, second.outputs = [second], [first]
    first.outputs, second.inputs = [second], [first]
    with pytest.raises(InputError, match="or itself: give the arrays in a list or dict"):
        fastgrad.check([first, second], None, np.ones((3, 2)), np.ones(3), **SAID)


# One vector.


def column_major(arrays):
    return np.concatenate([array.ravel(order="F") for array in arrays])


def row_major(arrays):
    return np.concatenate([array.ravel() for array in arrays])


def folded(W, b):
    """Weights with their biases in column 0, as a course for Octave has them."""
    return [np.column_stack([c, w.T]) for w, c in zip(W, b, strict=True)]


VECTORS = {
    "rows, layers": lambda W, b: row_major(mixed(W, b)),
    "columns, layers": lambda W, b: column_major(mixed(W, b)),
    "rows, weights first": lambda W, b: row_major([*W, *b]),
    "columns, weights first": lambda W, b: column_major([*W, *b]),
    "rows, bias first": lambda W, b: row_major(folded(W, b)),
    "columns, bias first": lambda W, b: column_major(folded(W, b)),
    "a column": lambda W, b: column_major(folded(W, b))[:, None],
}


@pytest.mark.parametrize("form", VECTORS)
def test_the_gradient_tells_how_a_vector_was_unrolled(form, net):
    make = VECTORS[form]
    vector, gradient = make(net.W, net.b), make(net.dW, net.db)
    report = fastgrad.check(vector, gradient, net.X, net.Y, sizes=WIDTHS, **SAID)
    assert report.passed
    assert any("the one that fits your gradient was taken" in note for note in report.notes)
    named = FORMS["names"](net.dW, net.db) if "bias" not in form and "column" not in form else None
    if named is not None:
        assert fastgrad.check(vector, named, net.X, net.Y, sizes=WIDTHS, layout="in_out", **SAID).passed


@pytest.mark.parametrize("form", VECTORS)
def test_the_loss_value_tells_how_a_vector_was_unrolled(form, net):
    make = VECTORS[form]
    gradient = make(net.dW, net.db)
    value = fastgrad.check(net.W + net.b, net.dW + net.db, net.X, net.Y, **SAID).loss
    wrong = gradient.copy()
    wrong[-1] *= 2.0
    report = fastgrad.check(make(net.W, net.b), wrong, net.X, net.Y, sizes=WIDTHS, loss_value=value, **SAID)
    assert report.verdict == "wrong"
    assert sum(tensor.verdict == "wrong" for tensor in report.tensors) == 1
    with pytest.raises(InputError, match=r"neither your loss value nor your gradient fits .*--unrolled rows,layers --layout"):
        fastgrad.check(make(net.W, net.b), wrong, net.X, net.Y, sizes=WIDTHS, **SAID)


def test_how_a_vector_was_unrolled_may_be_said(net):
    make = VECTORS["columns, bias first"]
    wrong = 2.0 * make(net.dW, net.db)
    said = {"unrolled": "columns", "bias_column": "first", "layout": "out_in"}
    report = fastgrad.check(make(net.W, net.b), wrong, net.X, net.Y, sizes=WIDTHS, **said, **SAID)
    assert [tensor.verdict for tensor in report.tensors] == ["wrong"] * 6


@pytest.mark.parametrize("form", VECTORS)
def test_a_function_of_one_vector_gets_one(form, net):
    make, given = VECTORS[form], VECTORS[form](net.W, net.b)

    def function(theta, X, Y):
        assert theta.shape == given.shape
        W, b = unrolled(np.ravel(theta), form)
        return make(*backward(W, b, X, Y))

    words = {"unrolled": form.split(", ")[0] if "," in form else "columns", "layout": "rows,in_out"}
    if "layers" in form or "weights" in form:
        words["unrolled"] += "," + ("layers" if "layers" in form else "weights_first")
    else:
        words |= {"bias_column": "first", "layout": "rows,out_in"}
    report = fastgrad.check(given, backward=function, X=net.X, Y=net.Y, sizes=WIDTHS, **words, **SAID)
    assert report.verdict == "right", str(report)
    assert len(report.trials) == 3


def unrolled(theta, form):
    """Undo a form of VECTORS."""
    order, pairs = "F" if "col" in form else "C", list(itertools.pairwise(WIDTHS))
    if "bias" in form or form == "a column":
        shapes = [(n_out, n_in + 1) for n_in, n_out in pairs]
    elif "layers" in form:
        shapes = [shape for pair in pairs for shape in (pair, pair[1:])]
    else:
        shapes = [*pairs, *(pair[1:] for pair in pairs)]
    ends = np.cumsum([np.prod(shape) for shape in shapes])[:-1]
    arrays = [part.reshape(shape, order=order) for part, shape in zip(np.split(theta, ends), shapes, strict=True)]
    if len(arrays) == 3:
        return [array[:, 1:].T for array in arrays], [array[:, 0] for array in arrays]
    return (arrays[0::2], arrays[1::2]) if "layers" in form else (arrays[:3], arrays[3:])


def test_a_vector_in_a_file(net, tmp_path):
    make = VECTORS["columns, bias first"]
    np.savez(tmp_path / "m.npz", nn_params=make(net.W, net.b), grad=make(net.dW, net.db), X=net.X, y=net.Y, sizes=WIDTHS)
    problem = modelfile.load(tmp_path / "m.npz", Description(**SAID))
    assert check_problem(problem).passed
    fastgrad.save(tmp_path / "n.npz", make(net.W, net.b), make(net.dW, net.db), net.X, net.Y, sizes=WIDTHS, **SAID)
    assert check_problem(modelfile.load(tmp_path / "n.npz")).passed


def test_a_vector_of_another_length_is_refused(net):
    vector = row_major([*net.W, *net.b])
    with pytest.raises(InputError, match="sizes 3, 5, 4, 2 have 54 parameters, or 43 without biases; found 53"):
        fastgrad.check(vector[:-1], vector[:-1], net.X, net.Y, sizes=WIDTHS, **SAID)
    with pytest.raises(InputError, match="one vector with all parameters say the sizes"):
        fastgrad.check(vector, vector, net.X, net.Y, **SAID)
    with pytest.raises(InputError, match="the gradient has 53 entries for 54 parameters"):
        fastgrad.check(vector, vector[:-1], net.X, net.Y, sizes=WIDTHS, **SAID)


# One number each.


def numbers(W, b, mark=""):
    """A network of 2, 3 and 1 units as w1, w2, …, b1, b2, …, unit by unit."""
    weights, biases = row_major([w.T for w in W]), row_major(b)
    found = {f"{mark}w{i}": value for i, value in enumerate(weights.tolist(), start=1)}
    return found | {f"{mark}b{i}": value for i, value in enumerate(biases.tolist(), start=1)}


@pytest.fixture
def small():
    rng = np.random.default_rng(6)
    W, b = [rng.normal(size=(2, 3)), rng.normal(size=(3, 1))], [rng.normal(size=3), rng.normal(size=1)]
    X, Y = rng.normal(size=(7, 2)), np.resize([0.0, 1.0, 1.0], (7, 1))
    dW, db = backward(W, b, X, Y)
    return SimpleNamespace(W=W, b=b, X=X, Y=Y, dW=dW, db=db)


def test_a_network_written_out_in_numbers(small, tmp_path):
    said = {"sizes": (2, 3, 1), **SAID}
    parameters, gradients = numbers(small.W, small.b), numbers(small.dW, small.db, "d")
    report = fastgrad.check(parameters, gradients, small.X, small.Y, **said)
    assert report.passed
    assert any("fits your gradient" in note for note in report.notes)
    gradients["dw9"] *= 1.01
    told = {"unrolled": "rows", "layout": "out_in"}
    report = fastgrad.check(parameters, gradients, small.X, small.Y, **told, **said)
    assert [tensor.verdict for tensor in report.tensors] == ["right", "right", "wrong", "right"]
    np.savez(tmp_path / "m.npz", X=small.X, y=small.Y, **parameters, **numbers(small.dW, small.db, "d"))
    assert check_problem(modelfile.load(tmp_path / "m.npz", Description(**said))).passed
    with pytest.raises(InputError, match="are one number each: .*--sizes 2,2,1"):
        fastgrad.check(parameters, gradients, small.X, small.Y, **SAID)


def test_a_function_of_a_network_written_out_in_numbers(small):
    def function(p, X, Y):
        assert all(isinstance(value, float) for value in p.values())
        w, c = ([p[f"{letter}{i}"] for i in range(1, count)] for letter, count in (("w", 10), ("b", 5)))
        W = [np.reshape(w[:6], (3, 2)).T, np.reshape(w[6:], (1, 3)).T]
        return numbers(*backward(W, [np.array(c[:3]), np.array(c[3:])], X, Y), "d")

    said = {"sizes": (2, 3, 1), "unrolled": "rows", "layout": "rows,out_in", **SAID}
    report = fastgrad.check(numbers(small.W, small.b), backward=function, X=small.X, Y=small.Y, **said)
    assert report.verdict == "right", str(report)


# Files.


def test_save_keeps_the_users_names(net, tmp_path):
    thetas = {f"Theta{i}": array for i, array in enumerate(folded(net.W, net.b), start=1)}
    grads = {f"D{i}": array for i, array in enumerate(folded(net.dW, net.db), start=1)}
    fastgrad.save(tmp_path / "m.npz", thetas, grads, net.X, net.Y, bias_column="first", **SAID)
    with np.load(tmp_path / "m.npz") as saved:
        assert {*thetas, *grads, "X", "Y"} <= set(saved.files)
    problem = modelfile.load(tmp_path / "m.npz")
    assert check_problem(problem).passed
    assert [tensor.gradient_name for tensor in problem.tensors][:2] == ["D1[:, 1:]", "D1[:, 0]"]


def test_bfloat16_is_not_saved_as_if_it_were_finer(net, tmp_path):
    given = [Tensor(bfloat16(array), "torch.bfloat16") for array in mixed(net.W, net.b)]
    with pytest.raises(InputError, match="bfloat16, which a file cannot hold"):
        fastgrad.save(tmp_path / "m.npz", given, None, net.X, net.Y, **SAID)


class Leaf(Tensor):
    """A tensor that is trained and holds its gradient itself, as PyTorch's does after a backward pass."""

    is_leaf = True

    def __init__(self, array, grad=None):
        super().__init__(array)
        self.grad = None if grad is None else Tensor(grad)


class Module:
    """What is called, and has its parameters by name."""

    def __init__(self, parameters):
        self.parameters = parameters

    def __call__(self, X):
        raise AssertionError("the module was called")

    def named_parameters(self):
        return iter(self.parameters.items())


def test_gradients_that_parameters_hold_themselves(net):
    names = [f"{kind}{layer}" for layer in range(len(net.W)) for kind in "Wb"]
    arrays, claims = mixed(net.W, net.b), mixed(net.dW, net.db)
    held = [Leaf(array, claim) for array, claim in zip(arrays, claims, strict=True)]
    by_name = dict(zip(names, held, strict=True))
    for parameters in (held, by_name, by_name.items(), iter(by_name.items()), Module(by_name)):
        assert fastgrad.check(parameters, None, net.X, net.Y, **SAID).passed
    held[0].grad = Tensor(1.01 * claims[0])
    for parameters in (held, Module(by_name)):
        wrong = fastgrad.check(parameters, None, net.X, net.Y, **SAID)
        assert [tensor.verdict for tensor in wrong.tensors] == ["wrong"] + ["right"] * (len(names) - 1)


def test_numbers_that_are_held_as_objects(net):
    X = np.asarray(net.X).astype(object)
    assert fastgrad.check((net.W, net.b), (net.dW, net.db), X, net.Y, **SAID).passed
    X[0, 0] = "1"
    with pytest.raises(InputError, match="X must hold real numbers"):
        fastgrad.check((net.W, net.b), (net.dW, net.db), X, net.Y, **SAID)


def test_labels_of_another_number_of_classes_are_what_is_complained_of(net):
    with pytest.raises(InputError, match=r"^Y \(\d+, 9\) does not fit \d+ examples of"):
        fastgrad.check((net.W, net.b), (net.dW, net.db), net.X, np.zeros((len(net.X), 9)), **SAID)
