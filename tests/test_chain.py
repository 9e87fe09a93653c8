"""Chains of layers: the first that is wrong on the way back from the loss, and what goes wrong between them."""

import json

import numpy as np
import pytest

import fastgrad


def draw(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


class Affine:
    def __init__(self, rows, columns, seed=0):
        self.W, self.b = draw(rows, columns, seed=seed), draw(columns, seed=seed)

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dout):
        self.dW, self.db = self.x.T @ dout, dout.sum(axis=0)
        return dout @ self.W.T


class Adding(Affine):
    """A layer that keeps what it needs on a stack and adds its gradients up, and may be used twice."""

    def __init__(self, size):
        super().__init__(size, size)
        self.stack, self.dW, self.db = [], np.zeros_like(self.W), np.zeros_like(self.b)

    def forward(self, x):
        self.stack.append(x)
        return x @ self.W + self.b

    def backward(self, dout):
        self.dW += self.stack.pop().T @ dout
        self.db += dout.sum(axis=0)
        return dout @ self.W.T


class Tanh:
    def forward(self, x):
        self.y = np.tanh(x)
        return self.y

    def backward(self, dout):
        return dout * (1 - self.y**2)


class Softmax:
    def forward(self, scores, y):
        p = np.exp(scores - scores.real.max(axis=1, keepdims=True))
        self.p, self.y = p / p.sum(axis=1, keepdims=True), y
        return -np.log(self.p[np.arange(len(y)), y]).mean()

    def backward(self):
        d = self.p.copy()
        d[np.arange(len(self.y)), self.y] -= 1
        return d / len(self.y)


X, Y = draw(6, 4), np.array([0, 2, 1, 1, 2, 0])


def squared(scores, Y):
    return 0.5 * ((scores - Y) ** 2).sum(), scores - Y


def network(**layers):
    made = {"first": Affine(4, 5), "bend": Tanh(), "last": Affine(5, 3, seed=1), **layers}
    return list(made.values())


def verdicts(report):
    return [layer.verdict for layer in report.layers]


def test_a_right_network_is_right_alone_and_in_the_chain():
    report = fastgrad.check_chain(network(), Softmax(), X, Y)
    assert report.passed, str(report)
    assert verdicts(report) == ["right"] * 4
    assert "All 3 layers and the loss are right, alone and in the chain." in str(report)
    assert [layer.name for layer in report.layers] == ["layer 1 (Affine)", "layer 2 (Tanh)", "layer 3 (Affine)", "the loss"]
    json.dumps(report.to_dict(), allow_nan=False)


def test_functions_and_functions_with_parameters_are_layers():
    affine = lambda x, W, b: (x @ W + b, (x, W))  # noqa: E731
    affine_backward = lambda dout, cache: (dout @ cache[1].T, cache[0].T @ dout, dout.sum(axis=0))  # noqa: E731
    tanh = (np.tanh, lambda dout, x: dout * (1 - np.tanh(x) ** 2))
    layers = [(affine, affine_backward, {"W": draw(4, 3), "b": draw(3)}), tanh]
    report = fastgrad.check_chain(layers, squared, X, draw(6, 3))
    assert report.passed, str(report)
    assert [tensor.name for tensor in report.layers[0].report.tensors] == ["x", "W", "b"]
    layers[0] = (affine, lambda dout, cache: (*affine_backward(dout, cache)[:2], dout.mean(axis=0)), layers[0][2])
    report = fastgrad.check_chain(layers, squared, X, draw(6, 3))
    assert verdicts(report) == ["wrong", "right", "right"]


class TwiceTanh(Tanh):
    def backward(self, dout):
        return 2 * super().backward(dout)


class MeanAffine(Affine):
    def backward(self, dout):
        dx = super().backward(dout)
        self.dW = self.dW / len(dout)
        return dx


def test_the_first_wrong_layer_from_the_loss_is_named_and_layers_before_it_are_judged_fairly():
    report = fastgrad.check_chain(network(bend=TwiceTanh()), Softmax(), X, Y)
    assert verdicts(report) == ["right", "wrong", "right", "right"]
    assert report.first_wrong.name == "layer 2 (TwiceTanh)"
    assert str(report).startswith("✗ WRONG  From the loss inwards, layer 2 (TwiceTanh) is the first that is wrong.\n")
    report = fastgrad.check_chain(network(first=MeanAffine(4, 5), last=MeanAffine(5, 3)), Softmax(), X, Y)
    assert verdicts(report) == ["wrong", "right", "wrong", "right"]
    assert "layer 3 (MeanAffine) is the first that is wrong; 1 more is." in report.sentence()


def test_a_wrong_loss_is_the_first():
    class Sum(Softmax):
        def backward(self):
            return super().backward() * len(self.y)

    report = fastgrad.check_chain(network(), Sum(), X, Y)
    assert verdicts(report) == ["right", "right", "right", "wrong"]


def test_a_layer_used_twice_that_overwrites_its_cache():
    shared = Affine(4, 4)
    report = fastgrad.check_chain([shared, Tanh(), shared], squared, X, draw(6, 4))
    assert verdicts(report) == ["right"] * 4
    assert report.verdict == "wrong"
    assert "Every layer that was judged is right alone, and the chain is not." in str(report)
    (said,) = report.between
    assert said.startswith("layer 1 (Affine) is used at the places 1 and 3, and")


def test_a_bend_used_twice_overwrites_what_it_keeps():
    bend = Tanh()
    report = fastgrad.check_chain([Affine(4, 4), bend, Affine(4, 4, seed=1), bend], squared, X, draw(6, 4))
    (said,) = report.between
    assert said.startswith("layer 2 (Tanh) is used at the places 2 and 4, and its gradient of x")
    assert "is overwritten by its next call" in said


def test_a_bend_used_twice_with_two_sizes_fails_in_the_chain_alone():
    bend = Tanh()
    report = fastgrad.check_chain([Affine(4, 4), bend, Affine(4, 2), bend], squared, X, draw(6, 2))
    assert verdicts(report) == ["right"] * 5
    (said,) = report.between
    assert said.startswith("layer 2 (Tanh) is used at the places 2 and 4, and in the chain its backward raises ValueError")


def test_gradients_that_are_not_added_where_a_layer_is_used_twice():
    class Keeping(Adding):
        def backward(self, dout):
            self.dW[...], self.db[...] = self.stack.pop().T @ dout, dout.sum(axis=0)
            return dout @ self.W.T

    shared = Keeping(4)
    report = fastgrad.check_chain([shared, Tanh(), shared], squared, X, draw(6, 4))
    assert verdicts(report) == ["right"] * 4
    (said,) = report.between
    assert "the gradient of its W is that of place 1 alone: it has to add what each use gives" in said


def test_a_layer_used_twice_that_adds_is_right():
    shared = Adding(4)
    report = fastgrad.check_chain([shared, Tanh(), shared], squared, X, draw(6, 4))
    assert report.passed, str(report)


def test_an_array_that_a_later_layer_changes_in_place():
    class InPlace:
        """Scales what it is given where it lies, which the layer before keeps for its backward."""

        def forward(self, x):
            self.x = x
            return x * 1.0

        def backward(self, dout):
            self.x *= 2.0
            return dout

    report = fastgrad.check_chain([Affine(4, 4), Tanh(), InPlace()], squared, X, draw(6, 4))
    assert report.verdict == "wrong"
    (said,) = report.between
    assert said.startswith("The gradient of x of layer 2 (Tanh) is not the one that the layer gives alone")
    assert "the array that it returned is changed in place by backward of layer 3 (InPlace)" in said


def test_a_forward_that_works_in_place_is_not_judged_and_named():
    class Relu:
        def forward(self, x):
            x[x < 0] = 0
            self.mask = x > 0
            return x

        def backward(self, dout):
            return dout * self.mask

    report = fastgrad.check_chain([Affine(4, 4), Relu()], squared, X, draw(6, 4))
    assert not report.passed
    assert verdicts(report)[1] == "not judged"
    assert "forward modifies its argument" in report.layers[1].reason
    assert any("layer 2 (Relu) is changed in place by forward of layer 2 (Relu)" in remark for remark in report.remarks)


def test_a_backward_that_fails_is_not_judged_and_the_others_are():
    report = fastgrad.check_chain([Tanh(), (np.sinh, lambda dout, x: 1 / 0), Tanh()], squared, X, X)
    assert (report.verdict, verdicts(report)) == ("not judged", ["not judged", "not judged", "right", "right"])
    assert "ZeroDivisionError" in report.layers[1].reason
    assert report.layers[0].reason == "what its true upstream gradient is cannot be told"


def test_an_embedding_in_front():
    class Embedding:
        def __init__(self):
            self.table = draw(5, 4)

        def forward(self, ids):
            self.ids = ids
            return self.table[ids]

        def backward(self, dout):
            self.dtable = np.zeros_like(self.table)
            np.add.at(self.dtable, self.ids, dout)

    ids = np.array([0, 3, 3, 1, 4, 0])
    report = fastgrad.check_chain([Embedding(), *network()], Softmax(), ids, Y)
    assert report.passed, str(report)
    assert fastgrad.check_layer(Embedding(), None, ids).passed


WRONG_CALLS = {
    "no list": (lambda: fastgrad.check_chain(Tanh(), Softmax(), X, Y), "layers is no list of layers"),
    "empty": (lambda: fastgrad.check_chain([], Softmax(), X, Y), "layers is no list of layers"),
    "no layer": (lambda: fastgrad.check_chain([Tanh(), 3], Softmax(), X, Y), "layer 2 is of type int; expected an object with"),
    "a function alone": (lambda: fastgrad.check_chain([np.tanh], Softmax(), X, Y), "layer 1 is of type ufunc"),
    "no loss": (lambda: fastgrad.check_chain(network(), None, X, Y), "the loss is of type NoneType; expected an object"),
    "a loss without gradient": (
        lambda: fastgrad.check_chain([Tanh()], lambda s, Y: s.sum(), X, Y),
        r"has to return \(loss, dscores\)",
    ),
    "shapes": (lambda: fastgrad.check_chain([Affine(3, 2)], Softmax(), X, Y), r"layer 1 \(Affine\): forward raises ValueError"),
    "no return": (
        lambda: fastgrad.check_chain([Tanh(), (np.sinh, lambda dout, x: None)], squared, X, X),
        r"layer 2 \(sinh\): backward returns None; is its return missing\?",
    ),
    "two outputs": (
        lambda: fastgrad.check_chain([(lambda x: {"a": x, "b": x}, lambda dout, x: dout)], squared, X, X),
        "in a chain a layer gives one array to the next",
    ),
    "no dx": (
        lambda: fastgrad.check_chain([Tanh(), (np.sinh, lambda dout, x: (None,))], squared, X, X),
        "gives no gradient of its input, which the layers before it need",
    ),
    "seed": (lambda: fastgrad.check_chain([Tanh()], squared, X, X, seed=-1), "seed is -1"),
}


@pytest.mark.parametrize("name", WRONG_CALLS)
def test_wrong_calls_are_told_what_to_write(name):
    call, said = WRONG_CALLS[name]
    with pytest.raises(fastgrad.InputError, match=said):
        call()
