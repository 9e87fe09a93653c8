"""Mistakes as edits of a line: the kinds that no table lists, what may be asserted of them, and what they predict."""

from __future__ import annotations

import numpy as np
import pytest

import fastgrad
from fastgrad.errors import InputError
from fastgrad.report.sentences import colored
from fastgrad.trials import habits
from fastgrad.trials.habits import habits_of

from test_diagnosis import RIGHT, Net, deep, named

SAME = 1e-9


def changed(net, layer, dZ):
    """Return dW and db of a backward pass of which one line, dZ of a layer, is another: dZ(dA, dZ above)."""
    flow, dW, db = net.delta(), {}, {}
    for k in reversed(range(net.depth)):
        dW[k], db[k] = flow @ net.a[k].T + net.l2 * net.W[k], flow.sum(axis=1, keepdims=True)
        if k:
            dA = net.W[k].T @ flow
            right = RIGHT[net.activations[k - 1]](net.z[k - 1], net.a[k])
            flow = dZ(dA, flow) if k - 1 == layer else dA * right
    return dW, db


def relu_net():
    return Net((4, 5, 5, 5, 3), ["relu", "relu", "relu", "softmax"], 7)


def tanh_net(l2=0.0):
    return Net((4, 5, 5, 5, 5), ["tanh", "tanh", "tanh", "identity"], 7, l2=l2)


def in_the_wild():
    """Name mistakes that were seen in public code: the network, its dW and db, the code and the wrong gradients or dZ."""
    relu, tanh, penalized = relu_net(), tanh_net(), tanh_net(0.3)
    right, b = tanh.backward()[:2]
    with_penalty = penalized.backward()[0]
    yield "f(dA) for dA f'", relu, *changed(relu, 1, lambda dA, _: np.maximum(0, dA)), "slope.of_flow", "dZ2"
    yield (
        "f' at the output's z",
        tanh,
        *changed(tanh, 1, lambda dA, _: dA * (1 - np.tanh(tanh.z[3]) ** 2)),
        "edit.line",
        "dZ2",
    )
    yield (
        "dW for W beside a penalty",
        penalized,
        *changed(penalized, 1, lambda dA, dZ: (with_penalty[2].T @ dZ) * (1 - penalized.a[2] ** 2)),
        "way.other_matrix",
        "dZ2",
    )
    yield "parentheses", tanh, *changed(tanh, 1, lambda dA, _: dA * 1 - tanh.a[2] ** 2), "edit.line", "dZ2"
    yield "another layer's gradient, transposed", tanh, {**right, 1: right[2].T}, b, "edit.line", "dW2"
    yield "one number for a matrix", tanh, {**right, 1: right[1].sum() + 0 * right[1]}, b, "value.one_number", "dW2"
    yield "one number added", tanh, {**right, 1: right[1] + 0.37}, b, "value.number_added", "dW2"
    yield "m times K", tanh, {**right, 1: 35 * right[1]}, b, "factor.constant", "dW2"


@pytest.mark.parametrize("case", [*in_the_wild()], ids=lambda case: case[0])
def test_a_kind_that_no_table_lists_is_named(case):
    _, net, dW, db, code, place = case
    report = net.check(dW, db)
    assert named(report) == [(code, place)]
    (finding,) = report.findings
    assert finding.confident
    assert finding.explains == finding.entries


@pytest.mark.parametrize(("factor", "code"), [(0.0, "missing"), (2.0, "twice"), (-1.0, "sign"), (7.0, "not_divided")])
def test_l1_is_named_as_l2_is(factor, code):
    net = deep()
    dW, db, _ = net.backward()
    report = net.check({k: dW[k] + 0.1 * factor * np.sign(net.W[k]) for k in dW}, db, {"l1": 0.1})
    assert named(report) == [(f"penalty.{code}", "dW1, dW2, dW3 and dW4")]
    assert "sign(W1)" in report.findings[0].sentence + report.findings[0].repair


def test_both_penalties_left_out_are_one_edit():
    net = deep(l2=0.2)
    dW, db, _ = net.backward()
    claimed = {k: dW[k] - net.l2 * net.W[k] for k in dW}, db
    loss = net.check(*claimed, {"l1": 0.1}).loss  # which tells that the penalties are meant as they were declared
    (finding,) = net.check(*claimed, {"l1": 0.1, "loss_value": loss}).findings
    assert (finding.code, finding.confident) == ("edit.line", True)
    assert "sign(W1)" in finding.formula
    assert "W1" not in finding.line.split("=")[1]


def test_an_update_is_told_from_a_gradient():
    net = deep()
    dW, db, _ = net.backward()
    (finding,) = net.check({k: -0.05 * dW[k] for k in dW}, {k: -0.05 * db[k] for k in db}).findings
    assert finding.code == "factor.update"
    assert "learning rate of 0.05" in finding.sentence


# What may be asserted.


def one_output(delta, seed):
    net = Net((3, 5, 1), ["tanh", "sigmoid"], 12, seed=seed)
    net.Y = (np.arange(12) % 2)[None].astype(float)
    return net, net.backward(delta=delta(net))[:2]


@pytest.mark.parametrize("seed", range(8))
def test_one_number_is_no_evidence(seed):
    noise = np.random.default_rng(seed).uniform(0.5, 1.5, (1, 12))
    net, claimed = one_output(lambda net: noise * (net.a[-1] - net.Y) / 12, seed)
    report = net.check(*claimed)
    assert {finding.code for finding in report.findings} == {"unknown.tensor"}
    assert "flow into the layer is right" not in str(report)


def test_another_loss_is_said_of_the_whole_gradient_only():
    net = Net((4, 5, 3), ["tanh", "sigmoid"], 7, loss="squared_error")
    top = (net.a[-1] - net.Y) / net.m
    dW, db, _ = net.backward(delta=top)
    assert "exactly the gradient of the cross-entropy" in str(net.check(dW, db)).replace("\n", " ")
    assert "exactly the gradient" not in str(net.check({**dW, 0: 2 * dW[0]}, db))


def test_a_nearest_hypothesis_is_not_nearer_than_the_explanation():
    net = deep()
    noise = 1 + 0.3 * np.random.default_rng(1).normal(size=(5, 7))
    dW, db, _ = net.backward(delta=2 * net.delta(), slopes={1: lambda z, a: noise})
    for finding in net.check(dW, db).findings:
        assert not finding.explains or finding.residual < 1e-10


def test_an_order_that_is_fitted_entry_by_entry_is_not_the_nearest():
    net = deep()
    dW, db, _ = net.backward()
    wrong = db[2] + 1e-3 * np.random.default_rng(0).normal(size=db[2].shape) * np.abs(db[2]).max()
    assert "in another order" not in str(net.check(dW, {**db, 2: wrong}))


def test_what_would_tell_is_said_only_where_it_does():
    net = Net((4, 5, 3), ["tanh", "softmax"], 3)  # as many examples as outputs
    dW, db, _ = net.backward(delta=3 * net.delta())
    (finding,) = net.check(dW, db).findings
    assert [other.separate for other in finding.alternatives] == ["a test with another number of outputs"]


def test_nothing_is_promised_to_tell_what_is_one_mistake_in_two_places():
    draw = np.random.default_rng(9)
    X, Y = draw.normal(size=(16, 12)), draw.normal(size=(16, 4))
    weights = {"w1": draw.normal(size=(12, 7)), "w2": draw.normal(size=(7, 4))}
    h = X @ weights["w1"]
    d = 2 * (np.maximum(h, 0) @ weights["w2"] - Y)
    summed = {"w1": X.T @ ((d @ weights["w2"].T) * (h > 0)), "w2": np.maximum(h, 0).T @ d}
    report = fastgrad.check(weights, summed, X, Y, hidden="relu", output="identity", loss="sum_squared_error")
    assert [finding.code for finding in report.findings] == ["factor.examples"]
    assert "What would tell" not in str(report)


def test_what_is_not_certain_is_not_said_as_a_fact():
    net = Net((4, 5, 1), ["tanh", "sigmoid"], 7)
    dW, db, _ = net.backward()
    report = net.check(dW, {**db, 1: db[1] * (1 + 1e-9)})
    text = str(report)
    assert all(finding.confident or finding.code.startswith("unknown") for finding in report.findings) or "Not certain" in text
    assert any(not finding.confident for finding in report.findings)


def test_a_tensor_that_is_right_gets_no_finding():
    net = Net((4, 5, 5, 3), ["tanh", "tanh", "softmax"], 7)
    dW, db, _ = net.backward()
    noise = 1 + 0.1 * np.random.default_rng(0).normal(size=dW[2].shape)
    extra = (net.delta() * net.a[3] * (1 - net.a[3])) @ net.a[2].T  # in dW3 alone
    for wrong in (extra, noise * dW[2], net.a[3] @ net.a[2].T):
        report = net.check({**dW, 2: wrong}, db)
        assert {name for finding in report.findings for name in finding.concerns} == {"dW3"}


def test_a_gradient_of_the_penalty_alone_lacks_the_data():
    net = deep(l2=0.3)
    dW, db, _ = net.backward()
    (finding,) = net.check({**dW, 1: net.l2 * net.W[1]}, db).findings
    assert finding.code == "factor.zero"
    assert "0 times" not in finding.sentence


@pytest.mark.parametrize(("factor", "made"), [(121.0, "m²"), (1.1, "m/(m - 1)"), (22.0, "2 times m"), (110.0, "m(m - 1)")])
def test_a_factor_made_of_the_number_of_examples_is_called_so(factor, made):
    net = Net((4, 5, 3), ["tanh", "softmax"], 11)
    dW, db, _ = net.backward(delta=factor * net.delta())
    (finding,) = net.check(dW, db).findings
    assert f"which is {made}" in finding.sentence
    assert "m = 11" in finding.sentence


def test_advice_repairs_what_is_wrong():
    net = deep(l2=0.2)
    dW, db, _ = net.backward()
    (finding,) = net.check({k: dW[k] - 0.1 * net.W[k] for k in dW}, db).findings
    assert finding.code == "penalty.half"
    assert "0.2·W1 in place of 0.1·W1" in finding.repair


def test_unknown_shows_the_line_where_the_error_enters():
    net = deep()
    noise = 1 + 0.3 * np.random.default_rng(1).normal(size=(5, 7))
    dW, db, _ = net.backward(slopes={1: lambda z, a: noise})
    assert net.check(dW, db).findings[0].formula.startswith("dZ2 =")


def test_the_line_is_shown_as_it_should_be_and_as_it_is():
    net = tanh_net()
    report = net.check(*changed(net, 1, lambda dA, _: dA * 1 - net.a[2] ** 2))
    lines = [line.strip() for line in str(report).splitlines()]
    assert "- dZ2 = (W3.T @ dZ3) * (1 - A2**2)" in lines
    assert "+ dZ2 = (W3.T @ dZ3) * 1 - A2**2" in lines


def test_a_diagnosis_can_be_left_out():
    net = deep()
    dW, db, _ = net.backward()
    report = net.check({**dW, 1: 2 * dW[1]}, db, {"diagnosis": False})
    assert report.verdict == "wrong"
    assert report.maps
    assert not report.findings


def test_both_lines_have_their_colour():
    assert [str(colored(f"    {sign} dW1 = 0").renderable.style) for sign in "-+"] == ["green", "red"]


# Prediction.


def at(net):
    parameters = {f"{kind}{k + 1}": array for kind in "Wb" for k, array in enumerate(getattr(net, kind))}
    return parameters, net.X, net.Y


def test_a_mistake_is_predicted_at_another_point_with_another_number_of_examples():
    def mistaken(net):
        dW, db = changed(net, 1, lambda dA, _: dA * 1 - net.a[2] ** 2)
        return {**dW, 0: dW[0] * net.m}, db

    net, other = tanh_net(), Net((4, 5, 5, 5, 5), ["tanh", "tanh", "tanh", "identity"], 11, seed=5)
    predicted = net.check(*mistaken(net)).predicted(*at(other))
    dW, db = mistaken(other)
    assert predicted.keys() == {f"d{kind}{k}" for kind in "Wb" for k in (1, 2, 3, 4)}
    for k in dW:
        np.testing.assert_allclose(predicted[f"dW{k + 1}"], dW[k], rtol=SAME, atol=SAME)
        np.testing.assert_allclose(predicted[f"db{k + 1}"], db[k], rtol=SAME, atol=SAME)


def test_nothing_is_predicted_of_what_is_not_known():
    net = deep()
    noise = 1 + 0.3 * np.random.default_rng(1).normal(size=(5, 7))
    with pytest.raises(InputError, match="dW2, db2"):
        net.check(*net.backward(slopes={1: lambda z, a: noise})[:2]).predicted(*at(net))


def test_a_constant_that_may_be_made_of_m_is_not_predicted_with_another_m():
    net, other = Net((4, 5, 3), ["tanh", "softmax"], 8), Net((4, 5, 3), ["tanh", "softmax"], 11, seed=3)
    dW, db, _ = net.backward(delta=2 * net.delta())  # 2, or 8/4: m over the number of inputs
    report = net.check(dW, db)
    report.predicted(*at(net))
    with pytest.raises(InputError, match="number of examples"):
        report.predicted(*at(other))


def test_the_statement_in_the_users_file_is_pointed_to(tmp_path):
    source = tmp_path / "mine.py"
    source.write_text(
        "import numpy as np\n\n\ndef backward(parameters, X, Y):\n"
        "    d = (X @ parameters['W1'].T + parameters['b1'] - Y) / len(X)\n    grads = {}\n"
        "    grads['dW1'] = 2 * d.T @ X\n    grads['db1'] = d.sum(0)\n    return grads\n"
    )
    space = {}
    exec(compile(source.read_text(), str(source), "exec"), space)
    draw = np.random.default_rng(0)
    parameters = {"W1": draw.normal(size=(3, 4)), "b1": draw.normal(size=3)}
    X, Y = draw.normal(size=(7, 4)), draw.normal(size=(7, 3))
    options = {"output": "identity", "loss": "squared_error", "layout": "rows,out_in"}
    report = fastgrad.check(parameters, backward=space["backward"], X=X, Y=Y, **options)
    assert report.trials[0].report.findings[0].where == "mine.py:7: grads['dW1'] = 2 * d.T @ X"
    assert "mine.py:7" in str(report)


def test_with_a_function_a_cause_must_hold_at_the_other_points():
    def backward(parameters, X, Y):
        a = np.tanh(X @ parameters["W1"].T + parameters["b1"])
        d = (a @ parameters["W2"].T + parameters["b2"] - Y) / len(X)
        below = (d @ parameters["W2"]) * (1 - a * a)
        stray = round(1.0 + abs(float(X[0, 0])), 2)  # looks like a constant at one point
        return {"dW1": below.T @ X, "db1": below.sum(0), "dW2": stray * d.T @ a, "db2": d.sum(0)}

    draw = np.random.default_rng(0)
    parameters = {
        "W1": draw.normal(size=(5, 4)),
        "b1": draw.normal(size=5),
        "W2": draw.normal(size=(3, 5)),
        "b2": draw.normal(size=3),
    }
    options = {"hidden": "tanh", "output": "identity", "loss": "squared_error", "layout": "rows,out_in"}
    report = fastgrad.check(parameters, backward=backward, X=draw.normal(size=(7, 4)), Y=draw.normal(size=(7, 3)), **options)
    (finding,) = report.trials[0].report.findings
    assert finding.code == "factor.constant"
    assert not finding.confident


# Dropout that was not declared.


def dropped_net(m, keep, l2=0.0, layers=(1, 2), hidden="tanh"):
    """Return a network, and the gradients of a pass in which whole units were dropped."""
    draw = np.random.default_rng(5)
    widths = (4, 6, 5, 3)
    W = [draw.normal(size=pair) for pair in zip(widths[1:], widths, strict=False)]
    b = [draw.normal(size=n) for n in widths[1:]]
    X, Y = draw.normal(size=(m, 4)), draw.normal(size=(m, 3))
    masks = {k: np.ones(widths[k]) for k in (1, 2)}
    for k in layers:
        masks[k][[0, 3]] = 0.0
    f, slope = {"tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2), "relu": (lambda z: np.maximum(z, 0), lambda z: z > 0)}[hidden]
    a, z = [X], []
    for k in range(3):
        z.append(a[k] @ W[k].T + b[k])
        a.append(f(z[k]) * masks[k + 1] / keep if k < 2 else z[k])
    d = (a[3] - Y) / m
    dW, db = {}, {}
    for k in (2, 1, 0):
        dW[f"dW{k + 1}"], db[f"db{k + 1}"] = d.T @ a[k] + l2 * W[k], d.sum(0)
        if k:
            d = (d @ W[k]) * masks[k] / keep * slope(z[k - 1])
    parameters = {f"{kind}{k + 1}": array for kind, arrays in (("W", W), ("b", b)) for k, array in enumerate(arrays)}
    options = {"hidden": hidden, "output": "identity", "loss": "squared_error", "layout": "rows,out_in"}
    return parameters, {**dW, **db}, X, Y, options | ({"l2": l2} if l2 else {})


@pytest.mark.parametrize(
    ("m", "keep", "l2", "layers", "hidden"),
    [(7, 1.0, 0.0, (1, 2), "tanh"), (7, 0.8, 0.0, (1, 2), "tanh"), (1, 0.5, 0.0, (1, 2), "relu"), (7, 0.6, 0.3, (2,), "tanh")],
)
def test_dropout_that_was_not_declared_is_named(m, keep, l2, layers, hidden):
    parameters, gradients, X, Y, options = dropped_net(m, keep, l2, layers, hidden)
    (finding,) = fastgrad.check(parameters, gradients, X, Y, **options).findings
    assert (finding.code, finding.confident) == ("declaration.dropout", True)
    assert "dropped (" in finding.sentence
    assert hidden == "relu" or "dropped (0, 3)" in finding.sentence
    assert ("divided by" in finding.sentence) == (keep < 1.0)
    assert keep == 1.0 or f"divided by {keep}:" in finding.sentence


def test_zeros_that_no_dropout_makes_are_not_called_so():
    parameters, gradients, X, Y, options = dropped_net(7, 1.0)
    gradients["dW3"] = gradients["dW3"] * 1.1
    assert "dropout" not in str(fastgrad.check(parameters, gradients, X, Y, **options))


# Lines in the user's own hand.


@pytest.mark.parametrize(
    ("hand", "written"),
    [
        ("a @ b", ["dW1 = dZ1.T @ X", "np.sum(dZ1, axis=0, keepdims=True)"]),
        ("np.dot(a, b)", ["dW1 = np.dot(dZ1.T, X)"]),
        ("a.dot(b)", ["dW1 = dZ1.T.dot(X)"]),
        ("np.dot(a, b); c.sum(0)", ["dZ1.sum(axis=0, keepdims=True)"]),
        ("np.matmul(np.transpose(a), b)", ["np.matmul(np.transpose(dZ1), X)"]),
        ("np.multiply(a, b)", ["np.multiply(dA1, f′(Z1))", "2 * dW1"]),
    ],
)
def test_lines_are_written_as_the_users_file_writes_them(hand, written, tmp_path):
    source = tmp_path / "mine.py"
    source.write_text(f"import numpy as np\n\n\ndef backward(a, b, c):\n    {hand}\n", encoding="utf-8")
    space = {}
    exec(compile(source.read_text(), str(source), "exec"), space)
    habits = habits_of(space["backward"])
    lines = ["dW1 = dZ1.T @ X", "db1 = np.sum(dZ1, axis=0, keepdims=True)", "dZ1 = dA1 * f′(Z1)", "dW1 = 2 * dW1"]
    text = "\n".join(habits.written(line) for line in lines)
    assert all(part in text for part in written), text


def test_what_is_no_python_stays_as_it_is():
    assert (
        habits.Habits(product="np.dot").written("dW1 = X.T @ dZ1, of example 3 alone") == "dW1 = X.T @ dZ1, of example 3 alone"
    )


@pytest.mark.parametrize(("layout", "line"), [("rows,in_out", "X.T @ dZ1"), ("rows,out_in", "dZ1.T @ X")])
@pytest.mark.parametrize("flat", [True, False])
def test_lines_ask_for_the_transposes_of_the_layout(layout, line, flat):
    draw = np.random.default_rng(0)
    X, Y, W, b = draw.normal(size=(7, 4)), draw.normal(size=(7, 3)), draw.normal(size=(3, 4)), draw.normal(size=3)
    d = (X @ W.T + b - Y) / 7
    db = d.mean(0) if flat else d.mean(0, keepdims=True)
    dW = 2 * (X.T @ d if layout.endswith("in_out") and "out_in" not in layout else d.T @ X)
    given = {"W1": W.T if "in_out" in layout else W, "b1": b if flat else b[None]}
    report = fastgrad.check(given, {"dW1": dW, "db1": db}, X, Y, output="identity", loss="squared_error", layout=layout)
    lines = [line.strip() for line in str(report).splitlines()]
    assert f"+ dW1 = 2 * ({line})" in lines
    keeps = "" if flat else ", keepdims=True"
    assert f"- db1 = np.sum(dZ1, axis=0{keeps})" in lines


# Two edits on one line.


def on_one_line():
    """Name lines with two edits: the network, and ∂J/∂z of its second layer."""
    tanh, relu = tanh_net(), relu_net()
    a, z = tanh.a[2], tanh.z[1]
    yield "f′ without 1, and twice dA", tanh, lambda dA, _: dA * dA * a**2
    yield "+ for -, and a for a²", tanh, lambda dA, _: dA * (1 + a)
    yield "dZ for dA, and 1 - a for 1 - a²", tanh, lambda _, dZ: dZ * (1 - a)
    yield "z for a, and 1 for 2", tanh, lambda dA, _: dA * (2 - z**2)
    yield "dA + mask, the other side of it", relu, lambda dA, _: dA + (relu.z[1] < 0)


@pytest.mark.parametrize("case", [*on_one_line()], ids=lambda case: case[0])
def test_two_edits_on_one_line_are_found(case):
    _, net, dZ = case
    report = net.check(*changed(net, 1, dZ))
    assert named(report)[0][1] == "dZ2"
    (finding,) = report.findings
    assert finding.confident
    assert finding.explains == finding.entries


def test_an_edit_here_and_one_further_up_are_found():
    net = tanh_net()
    a, b = net.a[3], net.a[2]
    flow, dW, db = net.delta(), {}, {}
    slopes = {2: lambda dA: dA + (1 - a**2), 1: lambda dA: dA * 1 - b**2, 0: lambda dA: dA * (1 - net.a[1] ** 2)}
    for k in (3, 2, 1, 0):
        dW[k], db[k] = flow @ net.a[k].T, flow.sum(axis=1, keepdims=True)
        if k:
            flow = slopes[k - 1](net.W[k].T @ flow)
    assert named(net.check(dW, db)) == [("edit.line", "dZ3"), ("edit.line", "dZ2")]


# One number.


def one_unit(seed, change):
    """Return a network with one output, of which db2, one number, was changed."""
    draw = np.random.default_rng(seed)
    W1, b1, W2, b2 = (draw.normal(size=shape) for shape in ((3, 5), 5, (5, 1), 1))
    X, Y = draw.normal(size=(12, 3)), (np.arange(12) % 2)[:, None].astype(float)
    h = np.tanh(X @ W1 + b1)
    d2 = (1 / (1 + np.exp(-(h @ W2 + b2))) - Y) / 12
    d1 = (d2 @ W2.T) * (1 - h**2)
    gradients = [X.T @ d1, d1.sum(0), h.T @ d2, change(d2.sum(0), b2, draw)]
    options = {"hidden": "tanh", "output": "sigmoid", "loss": "binary_crossentropy"}
    return fastgrad.check([W1, b1, W2, b2], gradients, X, Y, **options)


ONE_NUMBER = {
    **{f"{c:.4g} times": lambda db, b, draw, c=c: c * db for c in (2.0, 0.5, -1.0, 12.0, 1 / 12, 4.0, 1.37, 144.0, 12 / 11)},
    "noise": lambda db, b, draw: draw.uniform(0.5, 1.5) * db,
    "a penalty": lambda db, b, draw: db + 0.3 * b,
    "m divided by the sum": lambda db, b, draw: 1 / db,
    "the sum twice": lambda db, b, draw: 12 * db * db,
    "the mean of b": lambda db, b, draw: b / 12,
}


@pytest.mark.parametrize("change", ONE_NUMBER)
def test_nothing_is_asserted_of_one_number(change):
    for seed in range(3):
        report = one_unit(seed, ONE_NUMBER[change])
        assert not any(finding.confident for finding in report.findings), report.findings
        known = [finding for finding in report.findings if not finding.code.startswith("unknown")]
        assert str(report).count("Not certain") == len(known)


def test_two_numbers_behind_a_softmax_of_two_are_one():
    net = Net((4, 5, 2), ["tanh", "softmax"], 7)
    dW, db, _ = net.backward()
    report = net.check(dW, {**db, 1: 1.37 * db[1]})
    assert not any(finding.confident for finding in report.findings)


def test_the_same_factor_of_a_matrix_tells_that_of_one_number():
    net = Net((4, 5, 1), ["tanh", "sigmoid"], 7)
    dW, db, _ = net.backward()
    (finding,) = net.check({**dW, 1: 2 * dW[1]}, {**db, 1: 2 * db[1]}).findings
    assert (finding.code, finding.tensor, finding.confident) == ("factor.two", "dW2 and db2", True)


def test_what_half_of_the_entries_tell_is_confirmed_by_the_others():
    net = Net((40, 5, 3), ["tanh", "softmax"], 7)
    dW, db, _ = net.backward()
    half = np.where(np.random.default_rng(1).random(dW[0].shape) < 0.5, 1.37, 1.38)
    report = net.check({**dW, 0: half * dW[0]}, db)
    assert {finding.code for finding in report.findings} == {"unknown.tensor"}
    assert net.check({**dW, 0: 1.37 * dW[0]}, db).findings[0].confident


# Predictions in all forms.


def linear_point(m, seed):
    draw = np.random.default_rng(seed)
    return [draw.normal(size=(5, 4)), draw.normal(size=5), draw.normal(size=(3, 5)), draw.normal(size=3)], *(
        draw.normal(size=(m, n)) for n in (4, 3)
    )


def doubled(parameters, X, Y):
    """Return the gradients with the mistakes: dW1 twice, the division by m left out of dW2."""
    W1, b1, W2, b2 = parameters
    a = np.tanh(X @ W1.T + b1)
    d = (a @ W2.T + b2 - Y) / len(X)
    below = (d @ W2) * (1 - a * a)
    return [2 * below.T @ X, below.sum(0), len(X) * d.T @ a, d.sum(0)]


FORMS = {
    "a list": lambda four: four,
    "pairs": lambda four: [tuple(four[:2]), tuple(four[2:])],
    "two lists": lambda four: (four[::2], four[1::2]),
    "a dict": lambda four: dict(zip(("W1", "b1", "W2", "b2"), four, strict=True)),
    "layers": lambda four: [{"W": four[0], "b": four[1]}, {"W": four[2], "b": four[3]}],
}


@pytest.mark.parametrize("form", FORMS)
def test_predictions_come_of_every_form_of_parameters(form):
    options = {"hidden": "tanh", "output": "identity", "loss": "squared_error", "layout": "rows,out_in"}
    given, fresh = linear_point(7, 0), linear_point(11, 1)
    report = fastgrad.check(FORMS[form](given[0]), FORMS[form](doubled(*given)), *given[1:], **options)
    predicted = report.predicted(FORMS[form](fresh[0]), *fresh[1:])
    assert len(predicted) == 4
    for found, right in zip(predicted.values(), doubled(*fresh), strict=True):
        np.testing.assert_allclose(found, right, rtol=SAME, atol=SAME)


def test_a_gradient_of_another_network_is_predicted_as_that_networks():
    net, other = Net((4, 5, 3), ["tanh", "softmax"], 7), Net((4, 5, 3), ["tanh", "softmax"], 9, seed=4)

    def squared(net):
        return net.backward(delta=(net.z[-1] - net.Y) / net.m)[:2]

    report = net.check(*squared(net))
    assert report.findings[0].code == "declaration.loss"
    predicted, (dW, db) = report.predicted(*at(other)), squared(other)
    for k in dW:
        np.testing.assert_allclose(predicted[f"dW{k + 1}"], dW[k], rtol=SAME, atol=SAME)
        np.testing.assert_allclose(predicted[f"db{k + 1}"], db[k], rtol=SAME, atol=SAME)


def test_a_penalty_that_may_be_made_of_m_is_not_predicted_with_another_m_as_if_it_were_a_number():
    def summed(net):  # the sums begin at the parameters: W/m and b/m are added
        dW, db, _ = net.backward()
        return {k: dW[k] + net.W[k] / net.m for k in dW}, {k: db[k] + net.b[k] / net.m for k in db}

    net, other = Net((4, 5, 3), ["tanh", "softmax"], 11), Net((4, 5, 3), ["tanh", "softmax"], 8, seed=4)
    predicted = net.check(*summed(net)).predicted(*at(other))
    np.testing.assert_allclose(predicted["dW1"], summed(other)[0][0], rtol=SAME, atol=SAME)


# Lines as they are written, and what a number can be made of.


def logits_net():
    """Return a network whose softmax is declared in its loss, with its probabilities."""
    net = Net((4, 5, 3), ["tanh", "softmax"], 7)
    net.activations = ["tanh", "identity"]
    return net, net.a[-1]


def test_the_softmax_of_a_loss_is_a_name_in_its_line():
    net, p = logits_net()
    (finding,) = net.check(*net.backward(delta=(p + net.Y) / net.m)[:2]).findings
    assert (finding.code, finding.tensor, finding.confident) == ("edit.line", "dZ2", True)
    assert finding.formula == "dZ2 = (softmax(A2) - Y) / m"
    assert finding.line == "dZ2 = (softmax(A2) + Y) / m"


@pytest.mark.parametrize(
    "delta",
    [
        lambda a, Y: (-Y / a + (1 - Y) / a) * a * (1 - a),  # a for 1 - a
        lambda a, Y: (-Y / a + (1 - Y) / (1 - a)) * a * (2 - a),
        lambda a, Y: ((1 + Y) / (1 - a) - Y / a) * a * (1 - a),
    ],
)
def test_a_crossentropy_is_known_by_its_own_slope_too(delta):
    def mistaken(net):
        return net.backward(delta=delta(net.a[-1], net.Y) / net.m)[:2]

    net, other = Net((4, 5, 2), ["tanh", "sigmoid"], 7), Net((4, 5, 2), ["tanh", "sigmoid"], 9, seed=4)
    predicted, (dW, db) = net.check(*mistaken(net)).predicted(*at(other)), mistaken(other)
    for k in dW:
        np.testing.assert_allclose(predicted[f"dW{k + 1}"], dW[k], rtol=SAME, atol=SAME)
        np.testing.assert_allclose(predicted[f"db{k + 1}"], db[k], rtol=SAME, atol=SAME)


def test_the_value_of_the_loss_is_a_number_that_a_line_may_have():
    def mistaken(net):
        loss = -np.sum(net.Y * np.log(net.a[-1])) / net.m
        return net.backward(delta=(net.a[-1] - net.Y) / loss)[:2]

    net, other = Net((4, 5, 3), ["tanh", "softmax"], 7), Net((4, 5, 3), ["tanh", "softmax"], 9, seed=4)
    report = net.check(*mistaken(net))
    assert report.findings[0].line == "dZ2 = (A2 - Y) / J"
    np.testing.assert_allclose(report.predicted(*at(other))["dW1"], mistaken(other)[0][0], rtol=SAME, atol=SAME)


@pytest.mark.parametrize("term", [1.0, -(0.05**2)])  # 20 times 0.05·W, which is 2·m here, or -1/20 of it
def test_a_coefficient_that_is_left_out_or_there_twice_is_no_number_of_examples(term):
    def without(net):
        dW, db, _ = net.backward()
        return {k: dW[k] + (term - 0.05) * net.W[k] for k in dW}, db

    net, other = (Net((4, 5, 3), ["tanh", "softmax"], m, seed=m, l2=0.05) for m in (10, 7))
    predicted = net.check(*without(net)).predicted(*at(other))
    np.testing.assert_allclose(predicted["dW1"], without(other)[0][0], rtol=SAME, atol=SAME)


def test_a_factor_that_sums_of_counts_make_is_not_predicted_with_another_m():
    net, other = (Net((4, 5, 2), ["tanh", "identity"], m, seed=m) for m in (8, 11))
    report = net.check(*net.backward(delta=1.6 * net.delta())[:2])  # 8·2/(8 + 2), or 8/5
    with pytest.raises(InputError, match="another number they differ"):
        report.predicted(*at(other))


def test_a_slope_that_seems_left_out_may_be_a_mask_that_was_one_everywhere():
    net, other = (Net((4, 5, 1), ["relu", "identity"], m, seed=m) for m in (8, 11))
    for one, shift in ((net, 9.0), (other, 0.0)):
        one.b[1] += shift - 0.0
        one.z[1], one.a[2] = one.z[1] + shift, one.a[2] + shift
    assert (net.a[2] > 0).all()
    assert (other.a[2] <= 0).any()
    report = net.check(*net.backward(slopes={0: lambda z, a: (net.a[2] > 0) + 0 * a})[:2])
    assert named(report) == [("slope.missing", "dZ1")]
    with pytest.raises(InputError, match="mask"):
        report.predicted(*at(other))
