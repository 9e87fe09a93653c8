"""From a wrong gradient to its mistake: every row of the list of mistakes, planted by a backward pass written here.

Nothing of the library's own mathematics makes these gradients. Arrays are (units, examples), as in hand-written code.
"""

from __future__ import annotations

import warnings
from inspect import signature
from itertools import pairwise

import numpy as np
import pytest

import fastgrad
from fastgrad.diagnosis.codes import CODES
from fastgrad.reading import modelfile
from fastgrad.report import pictures
from fastgrad.teaching import demo
from fastgrad.walk import check_problem

import cases

RIGHT = {
    "tanh": lambda z, a: 1 - a * a,
    "sigmoid": lambda z, a: a * (1 - a),
    "relu": lambda z, a: (z > 0) * 1.0,
    "leaky_relu": lambda z, a: np.where(z > 0, 1.0, 0.01),
    "elu": lambda z, a: np.where(z > 0, 1.0, np.exp(z)),
    "identity": lambda z, a: np.ones_like(z),
    "softmax": lambda z, a: np.ones_like(z),
}
VALUE = {
    "tanh": np.tanh,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "elu": lambda z: np.where(z > 0, z, np.exp(z) - 1),
    "identity": lambda z: z,
    "softmax": lambda z: np.exp(z) / np.exp(z).sum(axis=0),
}
LOSS = {
    "sigmoid": "binary_crossentropy",
    "softmax": "softmax_crossentropy",
    "identity": "squared_error",
    "tanh": "squared_error",
}


class Net:
    """A network with its forward pass."""

    def __init__(self, widths, activations, m, seed=0, l2=0.0, loss=None):
        draw = np.random.default_rng(seed)
        self.activations, self.m, self.l2, self.depth = activations, m, l2, len(activations)
        self.loss = loss or LOSS[activations[-1]]
        self.W = [draw.normal(size=(n, k)) / np.sqrt(k) for k, n in pairwise(widths)]
        self.b = [0.3 * draw.normal(size=(n, 1)) for n in widths[1:]]
        self.X = draw.normal(size=(widths[0], m))
        self.Y = draw.normal(size=(widths[-1], m))
        if self.loss != "squared_error":
            self.Y = np.eye(widths[-1])[:, np.arange(m) ** 2 % widths[-1]]
        self.z, self.a = [], [self.X]
        for W, b, name in zip(self.W, self.b, activations, strict=True):
            self.z.append(W @ self.a[-1] + b)
            self.a.append(VALUE[name](self.z[-1]))

    def delta(self):
        """Return the right dZ of the output, 1/m included."""
        top = (self.a[-1] - self.Y) / self.m
        return top * RIGHT[self.activations[-1]](self.z[-1], self.a[-1]) if self.loss == "squared_error" else top

    def backward(self, delta=None, slopes=None, ways=None):
        """Return dW, db and dZ by layer; slopes and ways replace f′ and the way down of single layers."""
        slopes, ways = slopes or {}, ways or {}
        dZ = self.delta() if delta is None else delta
        dW, db, flows = {}, {}, {}
        for k in reversed(range(self.depth)):
            flows[k] = dZ
            dW[k] = dZ @ self.a[k].T + self.l2 * self.W[k]
            db[k] = dZ.sum(axis=1, keepdims=True)
            if k:
                dA = ways.get(k - 1, lambda W, dZ: W.T @ dZ)(self.W[k], dZ)
                dZ = dA * slopes.get(k - 1, RIGHT[self.activations[k - 1]])(self.z[k - 1], self.a[k])
        return dW, db, flows

    def check(self, dW, db, how=None, **more):
        """Check gradients by layer; `how` are options, more are arrays."""
        parameters = {f"{kind}{k + 1}": array for kind in "Wb" for k, array in enumerate(getattr(self, kind))}
        gradients = {f"dW{k + 1}": array for k, array in dW.items()} | {f"db{k + 1}": array for k, array in db.items()}
        said = {"activations": self.activations, "loss": self.loss, "layout": "columns,out_in", "l2": self.l2 or None}
        return fastgrad.check(parameters, gradients | more, self.X, self.Y, **said, **(how or {}))


def named(report):
    return [(finding.code, finding.tensor) for finding in report.findings]


def everything(report):
    """Every name given, alternatives included."""
    others = {(other.code, other.tensor) for finding in report.findings for other in finding.alternatives}
    return {*named(report), *others}


def deep(**more):
    return Net((4, 5, 5, 5, 3), ["tanh", "sigmoid", "relu", more.pop("output", "softmax")], 7, **more)


FLOWS = {
    "1 not divided by m": ({"delta": lambda n: n.m * n.delta()}, ("factor.examples", "dZ4")),
    "5 outputs": ({"delta": lambda n: 3 * n.delta()}, ("factor.outputs", "dZ4")),
    "6 sign": ({"delta": lambda n: -n.delta()}, ("factor.sign", "dZ4")),
    "3 batch size": ({"delta": lambda n: n.delta() * 7 / 32}, ("factor.batch", "dZ4")),
    "8 extra a(1 - a)": ({"delta": lambda n: n.delta() * n.a[-1] * (1 - n.a[-1])}, ("output.extra_slope", "dZ4")),
    "9 diagonal": ({"delta": lambda n: -n.Y / n.a[-1] * n.a[-1] * (1 - n.a[-1]) / n.m}, ("output.diagonal", "dZ4")),
    "10 1 - p": ({"delta": lambda n: n.delta() / n.a[-1]}, ("output.divided_by_p", "dZ4")),
    "33 broadcast": ({"delta": lambda n: (n.a[-1] - n.Y.mean(axis=1, keepdims=True)) / n.m}, ("labels.mean", "dZ4")),
    "34 class": ({"delta": lambda n: (n.a[-1] - np.roll(n.Y, 1, axis=0)) / n.m}, ("labels.class_shifted", "dZ4")),
    "34 example": ({"delta": lambda n: (n.a[-1] - np.roll(n.Y, -1, axis=1)) / n.m}, ("labels.example_shifted", "dZ4")),
    "34 layout": ({"delta": lambda n: (n.a[-1] - n.Y.T.reshape(3, 7)) / n.m}, ("labels.layout", "dZ4")),
    "2 divided twice": ({"ways": {1: lambda W, dZ: W.T @ dZ / 7}}, ("factor.examples_twice", "dZ2")),
    "11 f' left out": ({"slopes": {1: lambda z, a: 1.0}}, ("slope.missing", "dZ2")),
    "12 f'(a)": ({"slopes": {0: lambda z, a: 1 - np.tanh(a) ** 2}}, ("slope.at_value", "dZ1")),
    "12 z for a": ({"slopes": {0: lambda z, a: 1 - z * z}}, ("slope.form", "dZ1")),
    "12 z for a, sigmoid": ({"slopes": {1: lambda z, a: z * (1 - z)}}, ("slope.form", "dZ2")),
    "14 a": ({"slopes": {0: lambda z, a: a}}, ("slope.form", "dZ1")),
    "14 1 - a": ({"slopes": {0: lambda z, a: 1 - a}}, ("slope.form", "dZ1")),
    "14 1 + a²": ({"slopes": {0: lambda z, a: 1 + a * a}}, ("slope.form", "dZ1")),
    "14 sech": ({"slopes": {0: lambda z, a: 1 / np.cosh(z)}}, ("slope.form", "dZ1")),
    "17 W for its transpose": ({"ways": {1: lambda W, dZ: W @ dZ}}, ("way.transposed", "dZ2")),
    "22 another derivative": ({"slopes": {1: lambda z, a: 1 - np.tanh(z) ** 2}}, ("slope.other_activation", "dZ2")),
}


@pytest.mark.parametrize("row", FLOWS)
def test_mistake_in_the_flow(row):
    mistake, expected = FLOWS[row]
    net = deep()
    mistake = {key: value(net) if key == "delta" else value for key, value in mistake.items()}
    report = net.check(*net.backward(**mistake)[:2])
    assert [f.tensor for f in report.findings] == [expected[1]]
    assert expected in everything(report)
    assert report.findings[0].confident
    assert report.findings[0].explains == report.findings[0].entries


def test_mask_of_another_layer():
    net = Net((4, 5, 5, 3), ["relu", "relu", "softmax"], 7)
    report = net.check(*net.backward(slopes={1: lambda z, a: net.z[0] > 0})[:2])
    assert ("slope.other_layer", "dZ2") in everything(report)


def test_another_layers_weights_and_flow():
    net = deep()
    dW, db, flows = net.backward(ways={1: lambda W, dZ: net.W[1].T @ dZ})
    assert ("way.other_weights", "dZ2") in everything(net.check(dW, db))
    dW, db, _ = net.backward(ways={0: lambda W, dZ: W.T @ flows[2]})
    assert ("way.other_delta", "dZ1") in everything(net.check(dW, db))


@pytest.mark.parametrize("name", ["leaky_relu", "elu"])
def test_negative_branch_lost(name):
    net = Net((4, 6, 5, 3), ["tanh", name, "identity"], 7)
    report = net.check(*net.backward(slopes={1: lambda z, a: z > 0})[:2])
    assert named(report) == [("slope.other_activation", "dZ2")]
    assert "relu" in report.findings[0].sentence


def test_output_derivative_left_out_under_a_squared_error():
    net = deep(output="tanh")
    assert named(net.check(*net.backward(delta=(net.a[-1] - net.Y) / net.m)[:2])) == [("slope.missing", "dZ4")]


def test_weights_updated_too_early():
    net = deep()
    dW = net.backward()[0]
    moved = net.backward(ways={1: lambda W, dZ: (W - 0.05 * dW[2]).T @ dZ})
    report = net.check(*moved[:2])
    assert named(report) == [("way.updated_weights", "dZ2")]
    assert "0.05" in report.findings[0].sentence


def in_dW(net, dW, db, flows):
    return {
        "4 dW doubled": (1, 2 * dW[1], "factor.two"),
        "4 any constant": (1, 1.37 * dW[1], "factor.constant"),
        "18 transposed": (1, dW[1].T, "order.transposed"),
        "38 flattened": (0, dW[0].T.reshape(dW[0].shape), "order.flattened"),
        "19 z for a": (1, flows[1] @ net.z[0].T, "product.z"),
        "20 another layer's a": (2, flows[2] @ net.a[1].T, "product.other_inputs"),
        "21 another layer's dZ": (1, flows[2] @ net.a[1].T, "product.other_delta"),
        "32 last sample only": (1, np.outer(flows[1][:, -1], net.a[1][:, -1]), "examples.only"),
        "32 first sample only": (3, np.outer(flows[3][:, 0], net.a[3][:, 0]), "examples.only"),
        "39 learning rate": (2, 0.01 * dW[2], "factor.constant"),
        "40 step": (2, net.W[2] - 0.1 * dW[2], "value.step_taken"),
        "42 row": (2, dW[2] + np.arange(5)[:, None] // 4 * 0.1 * np.arange(1, 6), "part.row"),
        "42 column": (2, dW[2] + np.arange(5) // 4 * 0.1 * np.arange(1, 6)[:, None], "part.column"),
        "42 entry": (2, dW[2] + 0.1 * (np.arange(25).reshape(5, 5) == 7), "part.entry"),
        "zeros": (2, 0 * dW[2], "value.zero"),
        "the parameter": (2, net.W[2], "value.parameter"),
        "L1": (2, dW[2] + 0.2 * np.sign(net.W[2]), "penalty.sign_added"),
        "28 penalty that is not there": (2, dW[2] + 0.2 * net.W[2], "penalty.added"),
        "units in another order": (2, dW[2][[1, 0, 2, 4, 3]], "order.rows"),
        "inputs in another order": (2, dW[2][:, ::-1], "order.columns"),
        "38 another tensor": (2, dW[1], "order.other_tensor"),
        "clipped": (3, np.clip(dW[3], -0.05, 0.05), "value.clipped"),
        "nan": (3, dW[3] * np.nan, "value.not_finite"),
    }


def in_db(net, dW, db, flows):
    return {
        "4 db times 4": (0, 4 * db[0], "factor.constant"),
        "23 one number": (1, np.sum(flows[1]) + 0 * db[1], "bias.one_number"),
        "24 averaged": (1, flows[1].mean(axis=1, keepdims=True), "factor.examples_twice"),
        "24 summed": (1, 7 * db[1], "factor.examples"),
        "25 sums of dW": (1, dW[1].sum(axis=1, keepdims=True), "bias.from_weights"),
        "27 left out": (2, 0 * db[2], "value.zero"),
        "27 b itself": (2, net.b[2], "value.parameter"),
        "29 penalty on b": (2, db[2] + 0.1 * net.b[2], "penalty.added"),
        "32 last sample only": (1, flows[1][:, -1:], "examples.only"),
        "f' left out": (1, (net.W[2].T @ flows[2]).sum(axis=1, keepdims=True), "product.arrived"),
    }


@pytest.mark.parametrize("row", in_dW(deep(), *deep().backward()))
def test_mistake_in_one_dW(row):
    net = deep()
    dW, db, flows = net.backward()
    layer, wrong, code = in_dW(net, dW, db, flows)[row]
    report = net.check({**dW, layer: wrong}, db)
    assert (code, f"dW{layer + 1}") in everything(report)
    assert len(report.findings) == 1


@pytest.mark.parametrize("row", in_db(deep(), *deep().backward()))
def test_mistake_in_one_db(row):
    net = deep()
    dW, db, flows = net.backward()
    layer, wrong, code = in_db(net, dW, db, flows)[row]
    report = net.check(dW, {**db, layer: wrong})
    assert (code, f"db{layer + 1}") in everything(report)
    assert len(report.findings) == 1


def test_db_along_the_wrong_axis():
    net = Net((4, 5, 3), ["tanh", "softmax"], 5)
    dW, db, flows = net.backward()
    assert named(net.check(dW, {**db, 0: flows[0].sum(axis=0)[:, None]})) == [("bias.wrong_axis", "db1")]


@pytest.mark.parametrize(
    ("factor", "code"),
    [
        (0.0, "missing"),
        (2.0, "twice"),
        (0.5, "half"),
        (-1.0, "sign"),
        (7.0, "not_divided"),
        (1 / 7, "divided"),
        (1.3, "factor"),
    ],
)
def test_penalty(factor, code):
    net = deep(l2=0.3)
    dW, db, _ = net.backward()
    wrong = {k: dW[k] + (factor - 1) * net.l2 * net.W[k] for k in dW}
    assert named(net.check(wrong, db)) == [(f"penalty.{code}", "dW1, dW2, dW3 and dW4")]
    assert named(net.check({**dW, 1: wrong[1]}, db)) == [(f"penalty.{code}", "dW2")]


def test_missing_division_by_m_beside_a_missing_penalty():
    net = deep(l2=0.3)
    net.l2, l2 = 0.0, net.l2
    dW, db, _ = net.backward(delta=net.m * net.delta())
    net.l2 = l2
    found = named(net.check(dW, db))
    assert set(found) == {("factor.examples", "dZ4"), ("penalty.missing", "dW1, dW2, dW3 and dW4")}


def test_whole_gradient_times_m_with_its_penalty():
    net = deep(l2=0.3)
    dW, db, _ = net.backward()
    report = net.check({k: 7 * dW[k] for k in dW}, {k: 7 * db[k] for k in db})
    assert [finding.code for finding in report.findings] == ["factor.examples"]
    assert report.findings[0].explains == sum(array.size for array in (*dW.values(), *db.values()))


# What cannot be told apart, and what is unknown.


def test_a_factor_that_equals_two_counts_is_named_as_both():
    net = Net((4, 5, 3), ["tanh", "softmax"], 3)
    dW, db, _ = net.backward(delta=3 * net.delta())
    (finding,) = net.check(dW, db).findings
    others = {other.code: other.separate for other in finding.alternatives}
    assert {finding.code, *others} >= {"factor.examples", "factor.outputs"}
    assert "number of" in others[next(code for code in others if code.startswith("factor."))]


def test_an_unknown_mistake_gets_its_place_and_no_name():
    net = deep()
    noise = 1 + 0.3 * np.random.default_rng(1).normal(size=(5, 7))
    dW, db, _ = net.backward(slopes={1: lambda z, a: noise})
    (finding,) = net.check(dW, db).findings
    assert not finding.confident
    assert finding.code == "unknown.tensor"
    assert "between dZ3 and dZ2" in finding.sentence
    assert "right" in finding.sentence


def test_own_intermediates_narrow_the_step_and_what_is_below_is_still_explained():
    net = deep()
    noise = 1 + 0.3 * np.random.default_rng(1).normal(size=(5, 7))
    dW, db, flows = net.backward(slopes={1: lambda z, a: noise})
    given = {f"dZ{k + 1}": flow * net.m for k, flow in flows.items()}
    given["dA2"] = net.W[2].T @ flows[2] * net.m
    report = net.check(dW, {**db, 0: 4 * db[0]}, **given)
    assert named(report) == [("unknown.flow", "dZ2"), ("factor.constant", "db1")]
    assert "between dA2, which is right, and dZ2" in report.findings[0].sentence
    assert not report.findings[0].confident


def test_own_dZ_tells_a_wrong_flow_from_two_wrong_tensors():
    net = Net((4, 5, 3), ["tanh", "softmax"], 7)
    dW, db, flows = net.backward()
    given = {f"dZ{k + 1}": flow for k, flow in flows.items()}
    report = net.check({**dW, 0: 2 * dW[0]}, {**db, 0: 2 * db[0]}, **given)
    assert named(report) == [("factor.two", "dW1 and db1")]


def test_every_code_is_in_the_table_and_its_texts_can_be_filled():
    for code, entry in CODES.items():
        assert code.count(".") == 1
        assert entry.title
        assert entry.sentence
        assert entry.repair


# Real ones.

WRONG = {
    "andersbll_nnet_tanh": ("slope.form", "dZ1"),
    "coursera_gradcheck_planted": ("factor.two", "dW2"),
    "dabbura_l2_trained": ("penalty.missing", "db1, db2 and db3"),
    "dennybritz_wildml_sum_vs_mean": ("factor.examples", "dW1, db1, dW2 and db2"),
    "ex4_jdwittenauer_missing_reg": ("penalty.missing", "delta1[:, 1:] and delta2[:, 1:]"),
    "kaggle_mnist_scalar_db": ("bias.one_number", "db1 and db2"),
    "kvfrans_bias_mean": ("factor.examples_twice", "d_b1"),
    "louisjc_before_fix": ("way.updated_weights", "dZ1"),
    "nnfs_sine_mae_sign": ("factor.sign", "dZ3"),
    "se550353_missing_derivative_1ex": ("slope.missing", "dZ2"),
    "sklearn_reg_identity_2out": ("factor.outputs", "dZ2"),
    "stat453_f32_factor_K": ("factor.outputs", "dZ2"),
}
"""What each wrong case's sidecar says in words, as a code and a place."""


@pytest.mark.compiled
@pytest.mark.parametrize("name", [cases.case(name) for name in WRONG])
def test_real_case_is_named_as_its_sidecar_says(name):
    report = check_problem(modelfile.load(cases.model_file(name), cases.options(cases.sidecar(name))))
    assert WRONG[name] in everything(report)
    assert all(finding.confident for finding in report.findings)


def test_every_wrong_case_has_its_name_here():
    wrong = {name for (name,) in (found.values for found in cases.names()) if cases.sidecar(name)["verdict"] == "wrong"}
    assert wrong <= WRONG.keys()
    assert len(wrong) >= 7


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("planted", [("factor.two", "dW2"), ("factor.constant", "db1")]),
        ("forgotten-m", [("factor.examples", "dZ2")]),
    ],
)
def test_demos(name, expected):
    arrays, description = demo.find(name).build()
    claimed = {key: value for key, value in arrays.items() if key[0] == "d"}
    parameters = {key: value for key, value in arrays.items() if key[0] in "Wb"}
    assert named(fastgrad.check(parameters, claimed, arrays["X"], arrays["Y"], **description)) == expected


# Guards, precision, order of labels, dropout, kinks.


def test_a_small_number_in_the_logarithm():
    net = deep()
    p = net.a[-1]
    slope = -net.Y / (p + 1e-2) / net.m
    report = net.check(*net.backward(delta=p * (slope - (slope * p).sum(axis=0)))[:2])
    assert named(report) == [("loss.epsilon", "dZ4")]
    assert "0.01" in report.findings[0].sentence


def test_labels_of_other_examples_are_read_from_the_last_layer():
    net = Net((4, 9, 3), ["tanh", "softmax"], 7)
    order = [3, 0, 5, 1, 6, 2, 4]
    report = net.check(*net.backward(delta=(net.a[-1] - net.Y[:, order]) / net.m)[:2])
    assert ("labels.order", "dZ2") in everything(report)


def test_single_precision_on_the_way():
    net = deep()
    dW, db, _ = net.backward()
    # Worked out in single precision, and then on in double: the numbers themselves are no single ones any more.
    single = [{k: array.astype(np.float32).astype(float) * (1 + 1e-12) for k, array in part.items()} for part in (dW, db)]
    (finding,) = net.check(*single).findings
    assert finding.code == "value.single_precision"


@pytest.mark.parametrize(
    ("code", "factor"),
    [("mask_missing", lambda mask: 1.0), ("scale_missing", lambda mask: mask > 0), ("scale_twice", lambda mask: mask**2)],
)
def test_dropout_backward(code, factor):
    net = Net((4, 6, 5, 3), ["tanh", "sigmoid", "softmax"], 7)
    mask = (np.random.default_rng(3).random((6, 7)) < 0.6) / 0.6
    net.a[1] = net.a[1] * mask
    for k in (1, 2):
        net.z[k] = net.W[k] @ net.a[k] + net.b[k]
        net.a[k + 1] = VALUE[net.activations[k]](net.z[k])
    bare = np.tanh(net.z[0])
    dW, db, _ = net.backward(slopes={0: lambda z, a: (1 - bare * bare) * factor(mask)})
    parameters = {f"{kind}{k + 1}": array for kind in "Wb" for k, array in enumerate(getattr(net, kind))}
    gradients = {f"dW{k + 1}": array for k, array in dW.items()} | {f"db{k + 1}": array for k, array in db.items()}
    said = {"activations": net.activations, "loss": net.loss, "layout": "columns,out_in", "keep_prob": 0.6}
    report = fastgrad.check(parameters, gradients, net.X, net.Y, masks={"D1": mask > 0}, **said)
    assert named(report) == [(f"dropout.{code}", "dZ1")]


@pytest.mark.parametrize("at_zero", [0.0, 1.0])
def test_a_mistake_is_named_whatever_the_slope_on_a_kink(at_zero):
    net = Net((4, 5, 5, 3), ["relu", "relu", "softmax"], 7)
    net.X[:, 0], net.b[0] = 0.0, np.zeros((5, 1))
    net = rebuilt(net)
    convention = {k: lambda z, a: np.where(z == 0.0, at_zero, z > 0) for k in (0, 1)}
    dW, db, _ = net.backward(slopes=convention)
    assert named(net.check(dW, {**db, 1: 4 * db[1]})) == [("factor.constant", "db2")]
    dW, db, _ = net.backward(slopes={0: convention[0], 1: lambda z, a: 1.0})
    assert ("slope.missing", "dZ2") in everything(net.check(dW, db))


def rebuilt(net):
    """Return a network after its numbers were changed, with its forward pass done again."""
    net.z, net.a = [], [net.X]
    for W, b, name in zip(net.W, net.b, net.activations, strict=True):
        net.z.append(W @ net.a[-1] + b)
        net.a.append(VALUE[name](net.z[-1]))
    return net


@pytest.mark.extra("sklearn")
def test_scikit_learns_regressor_with_several_outputs():
    """scikit-learn#8349: its loss averages over the outputs, its gradient sums over them."""
    from sklearn import neural_network as networks

    draw = np.random.default_rng(0)
    X, Y = draw.normal(size=(12, 3)), draw.normal(size=(12, 4))
    model = networks.MLPRegressor(hidden_layer_sizes=(5,), activation="tanh", alpha=0.0, max_iter=1, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, Y)
    activations = [X, np.empty((12, 5)), np.empty((12, 4))]
    weights = {"sample_weight": None} if "sample_weight" in signature(model._backprop).parameters else {}
    value, dW, db = model._backprop(
        X=X,
        y=Y,
        activations=activations,
        deltas=[np.empty_like(a) for a in activations[1:]],
        coef_grads=[np.empty_like(W) for W in model.coefs_],
        intercept_grads=[np.empty_like(b) for b in model.intercepts_],
        **weights,
    )
    parameters = {"W1": model.coefs_[0], "b1": model.intercepts_[0], "W2": model.coefs_[1], "b2": model.intercepts_[1]}
    gradients = {"dW1": dW[0], "db1": db[0], "dW2": dW[1], "db2": db[1]}
    said = {"hidden": "tanh", "output": "identity", "loss": "half_mse", "loss_value": float(value)}
    report = fastgrad.check(parameters, gradients, X, Y, **said)
    if report.passed:
        pytest.skip("this version of scikit-learn is repaired")
    assert report.loss_note is None
    (finding,) = report.findings
    assert {finding.code, *(other.code for other in finding.alternatives)} == {"factor.outputs"}
    assert "summed over the outputs" in finding.sentence


# Pictures.


@pytest.fixture
def wrong_report():
    """A network in rows with W (n_in, n_out), one entry of dW1 off by 1, one of dW2 nan, db1 doubled."""
    net = Net((4, 5, 3), ["tanh", "softmax"], 7)
    dW, db, _ = net.backward()
    dW[0][2, 3] += 1.0
    dW[1][1, 4] = np.nan
    parameters = {f"W{k + 1}": W.T for k, W in enumerate(net.W)} | {f"b{k + 1}": b.ravel() for k, b in enumerate(net.b)}
    gradients = {f"dW{k + 1}": dW[k].T for k in dW} | {"db1": 2 * db[0].ravel(), "db2": db[1].ravel()}
    said = {"activations": net.activations, "loss": net.loss, "layout": "rows,in_out"}
    return fastgrad.check(parameters, gradients, net.X.T, net.Y.T, **said), dW, db


def test_a_map_holds_each_error_in_the_users_layout(wrong_report):
    report, dW, db = wrong_report
    second, first, bias = report.maps
    assert [found.gradient_name for found in report.maps] == ["dW2", "dW1", "db1"]
    assert (first.axes, first.rows, first.columns) == (("input", "unit"), (0, 1, 2, 3, 4), (0, 1, 2, 3, 4, 5))
    assert (first.count, first.checked) == (1, 20)
    right = dW[0].copy()
    right[2, 3] -= 1.0
    assert first.unit == pytest.approx(np.abs(right).max(), rel=1e-12)
    assert np.array(first.wrong).nonzero() == (3, 2)
    assert first.errors[3][2] * first.unit == pytest.approx(1.0, rel=1e-12)
    assert (second.errors[4][1], second.wrong[4][1]) == (np.inf, True)
    assert np.array(bias.errors) * bias.unit == pytest.approx(np.abs(db[0]).T, rel=1e-12)


def test_a_map_of_a_large_matrix_keeps_the_largest_error_of_each_block():
    net = Net((300, 140, 2), ["tanh", "softmax"], 3)
    dW, db, _ = net.backward()
    dW[0][71, 199] += 1.0
    dW[0][71, 200] += 3.0
    (found,) = net.check(dW, db).maps
    assert np.array(found.errors).shape == (64, 128)
    (row,), (column,) = np.array(found.wrong).nonzero()
    assert found.rows[row] <= 71 < found.rows[row + 1]
    assert found.columns[column] <= 199 < 200 < found.columns[column + 1]
    assert found.errors[row][column] * found.unit == pytest.approx(3.0)


def test_a_map_knows_a_bias_inside_W():
    net = Net((4, 5, 3), ["tanh", "softmax"], 7)
    dW, db, _ = net.backward()
    parameters = {f"theta{k + 1}": np.hstack([net.b[k], net.W[k]]) for k in (0, 1)}
    gradients = {f"dtheta{k + 1}": np.hstack([db[k], dW[k]]) for k in (0, 1)}
    gradients["dtheta1"][1, 3] *= 2.0
    said = {"activations": net.activations, "loss": net.loss, "layout": "columns,out_in", "bias_column": "first"}
    (found,) = fastgrad.check(parameters, gradients, net.X, net.Y, **said).maps
    assert found.columns == (1, 2, 3, 4, 5)
    assert np.array(found.wrong).nonzero() == (1, 2)


def test_a_map_leaves_out_what_was_not_drawn():
    net = Net((40, 30, 3), ["tanh", "softmax"], 7)
    dW, db, _ = net.backward()
    (found,) = net.check({**dW, 0: 2.0 * dW[0]}, db, {"sample": 200}).maps
    assert np.isfinite(found.errors).sum() == found.checked == found.count < 200


@pytest.mark.extra("matplotlib")
@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_picture_of_errors(wrong_report, tmp_path, suffix):
    path = pictures.require(tmp_path / f"errors.{suffix}")
    written = []
    for _ in range(2):
        pictures.draw_errors(wrong_report[0], path)
        written.append(path.read_bytes())
    assert written[0] == written[1], "the same picture, the same bytes"
    assert len(written[0]) < 300_000


@pytest.mark.extra("matplotlib")
def test_picture_has_a_panel_for_each_wrong_tensor(wrong_report, tmp_path, monkeypatch):
    """The colours are read back from what matplotlib was given: right ones pale, wrong ones by their error."""
    from matplotlib import figure as figures

    drawn = []
    monkeypatch.setattr(figures.Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    pictures.draw_errors(wrong_report[0], pictures.require(tmp_path / "errors.svg"))
    *panels, bar = drawn[0].axes
    assert [axes.get_title(loc="left") for axes in panels] == [
        "dW2: 1 of 15 entries wrong",
        "dW1: 1 of 20 entries wrong",
        "db1: 5 of 5 entries wrong",
    ]
    pale, black, shaded = (mesh.get_array() for mesh in panels[1].collections)
    assert (pale.count(), black.count(), shaded.count()) == (19, 0, 1)
    assert shaded[3, 2] == wrong_report[0].maps[1].errors[3][2]
    assert panels[0].collections[1].get_array().count() == 1
    assert "relative to the gradient's largest entry" in bar.get_xlabel()
    assert "black: nan or inf" in bar.get_xlabel()


@pytest.mark.extra("matplotlib")
def test_a_right_gradient_has_no_picture(tmp_path):
    net = Net((4, 5, 3), ["tanh", "softmax"], 7)
    report = net.check(*net.backward()[:2])
    assert report.maps == ()
    with pytest.raises(fastgrad.InputError, match="no errors to draw"):
        pictures.draw_errors(report, tmp_path / "x.svg")


@pytest.mark.extra("matplotlib")
def test_a_picture_that_cannot_be_written(wrong_report, tmp_path, monkeypatch):
    from matplotlib import figure as figures

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(figures.Figure, "savefig", refuse)
    with pytest.raises(fastgrad.InputError, match="cannot be written: Permission denied"):
        pictures.draw_errors(wrong_report[0], tmp_path / "x.svg")
    (tmp_path / "y.svg").mkdir()
    with pytest.raises(fastgrad.InputError, match="is a folder"):
        pictures.require(tmp_path / "y.svg")


# Places in the user's own arrays, and what cannot be told apart.


def test_a_wrong_entry_has_the_users_index(wrong_report):
    report = wrong_report[0]
    (entry,) = [finding for finding in report.findings if finding.code == "part.entry"]
    assert "[3, 2]" in entry.sentence
    assert (entry.explains, entry.entries) == (19, 20)


def test_a_step_taken_cannot_be_told_from_the_parameter_where_the_gradient_is_nothing_beside_it():
    net = Net((4, 5, 3), ["tanh", "softmax"], 7)
    dW, db, _ = net.backward()
    net.W[1] *= 1e-3
    net.W[0] *= 1e9  # saturated: hardly any gradient
    net = rebuilt(net)
    dW, db, _ = net.backward()
    claimed = net.W[0] - 0.1 * dW[0]
    assert {("value.parameter", "dW1"), ("value.step_taken", "dW1")} <= everything(net.check({**dW, 0: claimed}, db))


def test_a_step_taken_cannot_be_told_from_another_penalty_where_nothing_else_is_in_the_gradient():
    net = Net((4, 5, 3), ["tanh", "softmax"], 7, l2=0.3)
    net.W[0] = 1e3 * np.abs(net.W[0])
    net.X = np.abs(net.X) + 0.1
    net = rebuilt(net)
    dW, db, _ = net.backward()
    found = everything(net.check({**dW, 0: net.W[0] - 0.1 * dW[0]}, db))
    assert {("penalty.factor", "dW1"), ("value.step_taken", "dW1")} <= found


def test_directions_name_the_mistake_as_well():
    net = deep()
    dW, db, _ = net.backward()
    report = net.check({**dW, 1: 2 * dW[1]}, db, {"method": "directional"})
    assert named(report) == [("factor.two", "dW2")]
    assert [found.gradient_name for found in report.maps] == ["dW2"]


def test_directions_say_how_to_have_it_named_where_that_takes_long(monkeypatch):
    monkeypatch.setattr("fastgrad.diagnosis.cost.AFFORDABLE", -1.0)
    net = deep()
    dW, db, _ = net.backward()
    report = net.check({**dW, 1: 2 * dW[1]}, db, {"method": "directional"})
    assert not report.findings
    assert any("method preactivation checks every entry" in note for note in report.notes)


@pytest.mark.parametrize("depth", [3, 12])
def test_the_same_mistake_in_every_layer_is_one_finding(depth):
    net = Net((4, *[5] * depth, 3), ["tanh"] * depth + ["softmax"], 7)
    report = net.check(*net.backward(slopes={k: lambda z, a: 1.0 for k in range(depth)})[:2])
    (finding,) = report.findings
    assert (finding.code, finding.confident, len(finding.concerns)) == ("slope.missing", True, 2 * depth)


@pytest.mark.parametrize("form", ["a(1 - a)", "1 - a^2"])
def test_a_derivative_left_from_another_activation(form):
    net = Net((4, 6, 5, 3), ["relu", "relu", "softmax"], 9, seed=2)
    formula = {"a(1 - a)": lambda z, a: a * (1 - a), "1 - a^2": lambda z, a: 1 - a * a}[form]
    (finding,) = net.check(*net.backward(slopes={1: formula})[:2]).findings
    assert (finding.code, finding.tensor) == ("slope.form", "dZ2")
    assert form in finding.sentence
