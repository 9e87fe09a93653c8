"""Dropout with recorded masks, held against a plain NumPy network: every form of the masks, every method, both layouts."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from click.testing import CliRunner

import fastgrad
from fastgrad.errors import InputError
from fastgrad.machine import most_threads
from fastgrad.model import rounding
from fastgrad.model.conventions import describe, explain_loss
from fastgrad.model.forward import base_point
from fastgrad.numerical import intermediates, numerical_gradient
from fastgrad.numerical.methods import BY_ENTRY
from fastgrad.reading import Description, interpret, interpret_parts
from fastgrad.reading.modelfile import load, save_arrays
from fastgrad.walk import check_problem
from fastgrad_cli.main import main

KEEP = 0.7
WIDTHS = (5, 8, 6, 3)
SAID = {"output": "softmax", "loss": "softmax_crossentropy"}

ACTIVATIONS = {
    "tanh": (np.tanh, lambda z, a: 1.0 - a * a),
    "relu": (lambda z: np.maximum(z, 0.0), lambda z, a: (z > 0.0).astype(float)),
    "exp": (np.exp, lambda z, a: a),
    "elu": (lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))), lambda z, a: np.where(z > 0, 1.0, np.exp(z))),
}


class Net:
    """A softmax classifier with dropout, arrays (samples, units) and W (in, out), written as a person would."""

    def __init__(self, hidden="tanh", samples=7, seed=0, dropped=(1, 2), keep=KEEP):
        rng = np.random.default_rng(seed)
        self.hidden, self.keep = hidden, keep
        self.W = [rng.normal(0, 1 / np.sqrt(n), (n, k)) for n, k in pairwise(WIDTHS)]
        self.b = [rng.normal(0, 0.3, k) for k in WIDTHS[1:]]
        self.X, self.Y = rng.standard_normal((samples, WIDTHS[0])), np.eye(WIDTHS[-1])[rng.integers(0, 3, samples)]
        self.D = {n: rng.random((samples, WIDTHS[n])) < keep for n in dropped}

    def factor(self, number, inverted):
        """Return what a layer is multiplied with."""
        D = self.D.get(number)
        return 1.0 if D is None else D / self.keep if inverted else D.astype(float)

    def forward(self, inverted):
        f = ACTIVATIONS[self.hidden][0]
        zs, activations = [], [self.X * self.factor(0, inverted)]
        for i, (W, b) in enumerate(zip(self.W, self.b, strict=True), start=1):
            zs.append(activations[-1] @ W + b)
            activations.append(f(zs[-1]) * self.factor(i, inverted))
        e = np.exp(zs[-1] - zs[-1].max(axis=1, keepdims=True))
        return zs, activations, e / e.sum(axis=1, keepdims=True)

    def loss(self, inverted):
        return -np.log((self.forward(inverted)[2] * self.Y).sum(axis=1)).mean()

    def gradients(self, inverted, backward_factor=None):
        """Return dW1, db1, …; backward_factor replaces the mask and its factor on the way down."""
        zs, activations, p = self.forward(inverted)
        derivative = ACTIVATIONS[self.hidden][1]
        factor = backward_factor or (lambda number: self.factor(number, inverted))
        found, dZ = {}, (p - self.Y) / len(self.X)
        for i in (3, 2, 1):
            found[f"dW{i}"], found[f"db{i}"] = activations[i - 1].T @ dZ, dZ.sum(axis=0)
            if i > 1:
                z = zs[i - 2]
                dZ = dZ @ self.W[i - 1].T * factor(i - 1) * derivative(z, ACTIVATIONS[self.hidden][0](z))
        return found

    def parameters(self):
        return {f"{k}{i + 1}": arrays[i] for i in range(3) for k, arrays in (("W", self.W), ("b", self.b))}

    def arrays(self, inverted=True, scaled=False, **changes):
        masks = {f"D{n}": D / self.keep if scaled else D for n, D in self.D.items()}
        found = {"X": self.X, "Y": self.Y, **self.parameters(), **self.gradients(inverted), **masks, **changes}
        return {name: value for name, value in found.items() if value is not None}

    def said(self, **items):
        return Description(**{"hidden": self.hidden, "keep_prob": self.keep, **SAID, **items})

    def problem(self, inverted=True, **changes):
        return interpret(self.arrays(inverted, **changes), self.said(inverted=inverted))


def turned(arrays):
    """Return arrays with examples in columns and W as (out, in)."""
    return {name: np.transpose(value) for name, value in arrays.items()}


# The engine.


@pytest.mark.parametrize("method", BY_ENTRY)
@pytest.mark.parametrize("hidden", ACTIVATIONS)
@pytest.mark.parametrize("inverted", [True, False])
def test_a_right_backward_pass_is_right(method, hidden, inverted):
    for dropped in [(1, 2), (2,), (0, 1)]:
        net = Net(hidden, dropped=dropped)
        problem = net.problem(inverted)
        report = check_problem(problem, method=method)
        assert [tensor.verdict for tensor in report.tensors] == ["right"] * 6
        assert report.loss == pytest.approx(net.loss(inverted), rel=1e-14)
        if method != "textbook":
            assert report.relative_difference < 1e-15
        np.testing.assert_allclose(rounding.gradient(problem, base_point(problem)), problem.claimed, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("hidden", ACTIVATIONS)
@pytest.mark.parametrize("method", BY_ENTRY)
def test_a_large_fixed_step_takes_the_exact_differences(hidden, method):
    problem = Net(hidden).problem()
    step = 1e-3
    found = numerical_gradient(problem, method=method, step=step).values
    if method == "preactivation":  # one step is another perturbation there: z moves by it, not by step·a
        assert check_problem(problem, method=method, step=step).passed
        return
    expected = np.array([central_difference(problem, k, step) for k in range(problem.network.size)])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def central_difference(problem, k, step):
    """Difference of two losses by plain NumPy."""
    values = []
    for moved in (step, -step):
        theta = problem.theta.copy()
        theta[k] += moved
        values.append(plain_loss(replace(problem, theta=theta)))
    return (values[0] - values[1]) / (2.0 * step)


def plain_loss(problem):
    network, a = problem.network, problem.X
    for layer in range(network.depth):
        a = a if problem.mask(layer) is None else a * problem.mask(layer)
        z = a @ network.W(problem.theta, layer).T + network.b(problem.theta, layer)
        a = ACTIVATIONS[network.activations[0]][0](z)
    return (np.log(np.exp(z).sum(axis=1)) - (z * problem.Y).sum(axis=1)).mean()


@pytest.mark.parametrize("method", BY_ENTRY)
@pytest.mark.parametrize("hidden", ["tanh", "relu"])
@pytest.mark.parametrize(
    "mistake",
    [
        lambda net: lambda n: 1.0,  # the mask is not applied backward
        lambda net: lambda n: 1.0 / net.keep,  # neither, but the factor is
        lambda net: lambda n: net.D[n].astype(float),  # the factor is left out
        lambda net: lambda n: net.D[n] / net.keep**2,  # the factor is there twice
    ],
)
def test_mistakes_are_found_below_the_dropped_layer(method, hidden, mistake):
    net = Net(hidden)
    wrong = net.arrays(**net.gradients(True, mistake(net)))
    report = check_problem(interpret(wrong, net.said()), method=method)
    assert [tensor.verdict for tensor in report.tensors] == ["wrong"] * 4 + ["right"] * 2


def test_a_factor_that_only_the_backward_pass_has():
    net = Net()
    wrong = net.arrays(inverted=False, **net.gradients(False, lambda n: net.factor(n, True)))
    report = check_problem(interpret(wrong, net.said(inverted=False)))
    assert [tensor.verdict for tensor in report.tensors] == ["wrong"] * 4 + ["right"] * 2


def test_dropped_units_sit_on_no_kink():
    net = Net("relu", dropped=(1,))
    net.W[0][:, 2], net.b[0][2] = 0.0, 0.0  # unit 2 of layer 1 is on its kink for all samples
    kept = net.D[1][:, 2].sum()
    assert 0 < kept < 7
    problem = net.problem()
    assert numerical_gradient(problem).kinked_samples == kept
    for convention in (0.0, 0.5, 1.0):
        gradients = gradients_at_kinks(net, convention)
        report = check_problem(interpret(net.arrays(**gradients), net.said()))
        assert report.passed
    net.D[1][:, 2] = False
    assert numerical_gradient(net.problem()).kinked_samples == 0
    off = net.gradients(True)
    off["db1"] = off["db1"].copy()
    off["db1"][2] = 1e-12
    assert not check_problem(interpret(net.arrays(**off), net.said())).passed


def gradients_at_kinks(net, convention):
    """Return the gradients with relu′(0) as given."""
    plain = ACTIVATIONS["relu"]
    ACTIVATIONS["relu"] = (plain[0], lambda z, a: np.where(z == 0.0, convention, z > 0.0))
    try:
        return net.gradients(True)
    finally:
        ACTIVATIONS["relu"] = plain


def test_intermediates_are_of_the_dropped_activations():
    net = Net()
    found = intermediates(net.problem())
    dZ3 = (net.forward(True)[2] - net.Y) / len(net.X)
    np.testing.assert_allclose(found["dA2"], dZ3 @ net.W[2].T, rtol=1e-13, atol=1e-16)
    assert (found["dZ2"][~net.D[2]] == 0.0).all()


@pytest.mark.parametrize("method", ["parameter", "preactivation"])
def test_same_bits_for_any_number_of_threads(method):
    problem = Net("relu", samples=40).problem()
    two_or_all = min(2, most_threads())
    one, two = (numerical_gradient(problem, method=method, threads=threads).values for threads in (1, two_or_all))
    np.testing.assert_array_equal(one, two)


def test_single_precision():
    net = Net(keep=0.8)
    arrays = {name: value.astype("f4") if value.dtype == np.float64 else value for name, value in net.arrays().items()}
    assert check_problem(interpret(arrays, net.said())).passed
    scaled = {name: value.astype("f4") for name, value in net.arrays(scaled=True).items()}
    assert check_problem(interpret(scaled, net.said())).passed
    # Half precision leaves too little to judge by, and that is said.
    scaled = {name: value.astype("f2") for name, value in net.arrays(scaled=True).items()}
    assert check_problem(interpret(scaled, net.said())).verdict == "not judged"


# The door: forms, layouts and names of the masks.


@pytest.mark.parametrize("layout", [dict, turned])
@pytest.mark.parametrize("inverted", [True, False])
@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("dtype", ["bool", "u1", "f4", "f8"])
def test_forms_of_masks(layout, inverted, scaled, dtype):
    net = Net(keep=0.5)
    arrays = layout(net.arrays(inverted, scaled))
    arrays |= {name: arrays[name].astype(dtype) for name in ("D1", "D2") if not (scaled and dtype == "bool")}
    if scaled and not inverted:
        with pytest.raises(InputError, match=r"D1 .* holds 0 and 2, the factor of inverted dropout"):
            interpret(arrays, net.said(inverted=False))
        return
    for said in (net.said(inverted=inverted), *([net.said()] if inverted else [])):
        problem = interpret(arrays, said)
        assert problem.masks[0] is None
        for number in (1, 2):
            np.testing.assert_array_equal(problem.masks[number], net.D[number] * (2.0 if inverted else 1.0))
        assert check_problem(problem).passed


@pytest.mark.parametrize("names", [("mask1", "mask2"), ("mask_1", "mask_2"), ("dropout_mask1", "dropout_mask2")])
@pytest.mark.parametrize("moved", [0, 1])
def test_names_of_masks(names, moved):
    net = Net()
    names = [name[:-1] + str(int(name[-1]) - moved) for name in names]  # counted from 0 as well
    masks = dict(zip(names, net.D.values(), strict=True))
    problem = interpret(net.arrays(D1=None, D2=None, **masks), net.said())
    np.testing.assert_array_equal(problem.masks[2], net.D[2] / KEEP)
    assert check_problem(problem).passed


@pytest.mark.parametrize(
    "masks",
    [
        lambda D: {"D1": D[1], "D2": D[2]},
        lambda D: {"first 1": D[1].T, 2: D[2].tolist()},
        lambda D: [D[1], D[2]],
        lambda D: (D[1] / KEEP, D[2] / KEEP),
    ],
)
def test_masks_in_python_and_in_a_saved_file(masks, tmp_path):
    net = Net()
    masks = masks(net.D)
    items = {**SAID, "hidden": "tanh", "keep_prob": KEEP}
    parts = (net.parameters(), net.gradients(True), net.X, net.Y)
    assert fastgrad.check(*parts, masks=masks, **items).passed
    fastgrad.save(tmp_path / "model.npz", *parts, masks=masks, **items)
    problem = load(tmp_path / "model.npz")
    np.testing.assert_array_equal(problem.masks[1], net.D[1] / KEEP)
    assert check_problem(problem).passed


def test_scaled_masks_that_were_handed_over_need_no_keep_prob(tmp_path):
    net = Net(dropped=(1,))
    parts = (net.parameters(), net.gradients(True), net.X, net.Y)
    items = {**SAID, "hidden": "tanh"}
    assert fastgrad.check(*parts, masks=[net.D[1] / KEEP], **items).passed
    fastgrad.save(tmp_path / "model.npz", *parts, masks=[net.D[1] / KEEP, None], **items)
    assert check_problem(load(tmp_path / "model.npz")).passed
    with pytest.raises(InputError, match=r"masks\[0\] \(7, 8\) holds 0 and 1, .*--keep-prob 0.8"):
        fastgrad.check(*parts, masks=[net.D[1]], **items)


@pytest.mark.parametrize("keep", ["0.7,0.5", "0.7,0.5,1", "1,0.7,0.5,1", [0.7, 0.5]])
def test_a_share_for_each_layer(keep):
    net = Net()
    problem = interpret(net.arrays(), net.said(keep_prob=keep))
    assert [None if mask is None else mask.max() for mask in problem.masks] == [None, 1 / 0.7, 2.0]


def test_masks_nobody_spoke_of_are_left_alone_with_a_note():
    net = Net()
    plain = Net(dropped=())
    arrays = plain.arrays(D1=net.D[1], D2=net.D[2].T, mask3=net.Y, D0=net.X, D9=net.X)
    said = Description(hidden="tanh", **SAID)
    problem = interpret(arrays, said)
    assert problem.masks == ()
    report = check_problem(problem)
    assert report.passed
    assert report.notes == (
        "D1, D2 look like dropout masks; they are left alone, since keep_prob is not said (--keep-prob 0.8, keep_prob=0.8)",
    )
    assert interpret(plain.arrays(D1=np.ones((7, 8))), said).notes == ()


NAMES = [("D1", "D2"), ("mask1", "mask2"), ("mask0", "mask1"), ("dropout_mask_1", "drop_2"), ("M", "u2"), ("mask_a", "mask_b")]


def fresh(report):
    """Return what a report says of the masks that nobody spoke of."""
    return [note for note in report.notes if "dropout" in note]


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize(
    ("inverted", "scaled", "said"),
    [(True, False, "--keep-prob 0.7 "), (True, True, "--inverted "), (False, False, "--no-inverted ")],
)
def test_masks_nobody_spoke_of_are_taken_where_the_gradient_is_that_with_them(names, inverted, scaled, said):
    net = Net()
    arrays = net.arrays(inverted, scaled)
    arrays |= dict(zip(names, (arrays.pop("D1"), arrays.pop("D2").T), strict=True))
    report = check_problem(interpret(arrays, Description(hidden="tanh", **SAID)))
    assert report.passed
    assert "; dropout of layer 1 (" in report.description
    (note,) = fresh(report)
    assert note.startswith(f"{names[0]} for layer 1 and {names[1]} for layer 2: taken for dropout")
    assert said in f"{note} "


def test_shares_that_differ_from_layer_to_layer_are_found():
    net = Net()
    kept = {1: 0.8, 2: 0.5}
    net.factor = lambda number, inverted: net.D[number] / kept[number] if number in kept else 1.0
    report = check_problem(interpret(net.arrays(), Description(hidden="tanh", **SAID)))
    assert report.passed
    assert "--keep-prob 0.8,0.5 " in fresh(report)[0]


def test_masks_beside_the_parameters_in_python_are_taken_as_well():
    net = Net(dropped=(1,))
    held = {**net.parameters(), "D1": net.D[1]}
    report = fastgrad.check(held, net.gradients(True), net.X, net.Y, hidden="tanh", **SAID)
    assert report.passed
    assert "keep_prob=0.7" in fresh(report)[0]


def test_a_mistake_beside_masks_nobody_spoke_of_is_found_as_such():
    net = Net()
    arrays = net.arrays(db1=1.3 * net.gradients(True)["db1"], dW3=2.0 * net.gradients(True)["dW3"])
    report = check_problem(interpret(arrays, Description(hidden="tanh", **SAID)))
    assert [tensor.gradient_name for tensor in report.tensors if tensor.verdict == "wrong"] == ["db1", "dW3"]
    assert {finding.code for finding in report.findings} == {"factor.constant", "factor.two"}


def test_masks_nobody_spoke_of_are_asked_about_where_no_share_makes_anything_right():
    net = Net(keep=0.437)
    said = Description(hidden="tanh", **SAID)
    with pytest.raises(InputError, match="D1 and D2 look like dropout masks.*--keep-prob 0.8"):
        check_problem(interpret(net.arrays(), said))
    without = check_problem(interpret(net.arrays(), replace(said, keep_prob=1.0)))
    assert without.verdict == "wrong"
    assert not fresh(without)


def test_masks_are_not_asked_about_where_some_gradient_is_right_without_them():
    net = Net(dropped=())
    arrays = net.arrays(D1=Net().D[1], db1=1.3 * net.gradients(True)["db1"])
    report = check_problem(interpret(arrays, Description(hidden="tanh", **SAID)))
    assert [tensor.gradient_name for tensor in report.tensors if tensor.verdict == "wrong"] == ["db1"]
    assert fresh(report) == [
        "D1 looks like a dropout mask; it is left alone, since keep_prob is not said (--keep-prob 0.8, keep_prob=0.8)"
    ]


def test_the_mask_of_a_relu_is_no_dropout():
    net = Net(hidden="relu", dropped=())
    z = net.forward(True)[0]
    gradients = net.gradients(True)
    arrays = net.arrays(mask1=z[0] > 0, mask2=z[1] > 0, db1=1.3 * gradients["db1"])
    report = check_problem(interpret(arrays, Description(hidden="relu", **SAID)))
    assert [tensor.gradient_name for tensor in report.tensors if tensor.verdict == "wrong"] == ["db1"]


def test_keep_prob_in_the_file_is_enough(tmp_path):
    net = Net()
    items = {"hidden": "tanh", **SAID, "keep_prob": KEEP, "loss_value": net.loss(True)}
    save_arrays(tmp_path / "model.npz", {**net.arrays(), **items})
    report = check_problem(load(tmp_path / "model.npz"))
    assert report.passed
    assert report.loss_note is None
    assert "; dropout of layer 1 (" in report.description


@pytest.mark.parametrize(
    ("changes", "items", "message"),
    [
        ({"D1": None, "D2": None}, {}, "dropout was said .*no masks by a usual name"),
        ({"D1": None, "D2": None}, {"keep_prob": None, "inverted": False}, "dropout was said"),
        ({}, {"keep_prob": None, "inverted": True}, r"D1 \(7, 8\) holds 0 and 1, and it is not known .*--keep-prob"),
        ({"D1": np.ones((7, 4))}, {}, r"D1 \(7, 4\) does not have the shape .* layer 1: 8 units and 7 examples, \(8, 7\) or"),
        ({"D1": np.ones(7)}, {}, r"D1 \(7,\) does not have the shape"),
        ({"D0": np.ones((7, 6))}, {}, r"D0 \(7, 6\) does not have the shape of the activations of the input"),
        ({"D1": np.full((7, 8), 3.0)}, {}, r"holds 0 and 3: expected 0 and 1, or 0 and 1/keep_prob = 1.42857"),
        ({"D1": np.full((7, 8), 0.25)}, {"keep_prob": None, "inverted": True}, "holds 0 and 0.25: expected 0 and 1"),
        ({"D1": np.linspace(0, 1, 56).reshape(7, 8)}, {}, r"D1\[0, 2\] is 0.0363636: a mask holds 0 where"),
        ({"D1": -np.ones((7, 8))}, {}, r"D1\[0, 0\] is -1: a mask holds"),
        ({"D1": np.full((7, 8), np.nan)}, {}, r"D1\[0, 0\] is nan: a mask holds"),
        ({"D1": np.full((7, 8), "x")}, {}, "D1 must hold real numbers, found text"),
        ({"D3": np.eye(7, 3)}, {}, r"D3 \(7, 3\) would drop outputs of the network"),
        ({"D7": np.ones((7, 8))}, {}, "is mask 7, but the network has 3 layers"),
        ({"mask1": np.ones((7, 8))}, {}, "D1 and mask1 could each be mask 1"),
        ({"D2": None}, {"keep_prob": "0.7,0.7"}, "keep_prob is 0.7 for layer 2, but there is no mask D2"),
        ({}, {"keep_prob": "0.7,0.7,0.7"}, "keep_prob is 0.7 for layer 3, but there is no mask D3"),
        ({}, {"keep_prob": "1,1,1,1,1"}, "keep_prob gives 5 numbers for 3 layers: give one for all, 2 for the hidden"),
        ({}, {"keep_prob": 0.0}, "above 0 and at most 1, found 0"),
        ({}, {"keep_prob": 1.2}, "above 0 and at most 1, found 1.2"),
        ({}, {"keep_prob": "most"}, "keep_prob must be a number, or numbers as in 0.8,0.5; found 'most'"),
        ({}, {"inverted": "perhaps"}, "inverted must be true or false"),
    ],
)
def test_dropout_that_is_refused(changes, items, message):
    net = Net()
    with pytest.raises(InputError, match=message):
        interpret(net.arrays(**changes), net.said(**items))


def test_an_output_mask_that_drops_nothing_is_taken():
    net = Net()
    assert check_problem(net.problem(D3=np.ones((7, 3), dtype=bool))).passed


def test_keep_prob_of_one_needs_no_masks():
    net = Net()
    with pytest.raises(InputError, match=r"masks\[0\] \(7, 8\) drops units, but keep_prob says that all are kept"):
        interpret_parts(net.parameters(), None, net.X, net.Y, net.said(keep_prob=1.0), [net.D[1], None])
    assert interpret(net.arrays(), net.said(keep_prob=1.0)).masks == ()  # none of what is in the file is meant
    net = Net(dropped=(), keep=1.0)
    assert net.problem().masks == ()
    assert interpret(net.arrays(D1=np.ones((7, 8))), net.said()).masks == ()


def test_a_square_mask_lies_as_the_inputs_do():
    net = Net(samples=8)
    for layout in (dict, turned):
        problem = interpret(layout(net.arrays()), net.said())
        np.testing.assert_array_equal(problem.masks[1], net.D[1] / KEEP)


def test_what_a_layout_or_a_name_cannot_tell_is_asked_for():
    rng = np.random.default_rng(0)
    X, Y, mask = rng.standard_normal((4, 4)), rng.standard_normal((4, 4)), rng.random((4, 4)) < 0.5
    parts = ([rng.standard_normal((4, 4)) for _ in range(3)], None, X, Y)
    said = Description(hidden="tanh", output="identity", loss="squared_error", keep_prob=0.5, layout="rows,in_out")
    with pytest.raises(InputError, match="mask_0, mask_1 may begin at the input or at the first hidden layer"):
        interpret_parts(*parts, said, masks={"mask_0": mask, "mask_1": mask})
    assert interpret_parts(*parts, said, masks={"D0": mask, "D1": mask}).masks[2] is None
    vector = ({"W1": rng.standard_normal((1, 4)), "W2": rng.standard_normal((4, 1))}, None, X[:, 0], Y[:, 0])
    with pytest.raises(InputError, match="say --layout rows,in_out or --layout columns,in_out"):
        interpret_parts(*vector, replace(said, layout="in_out"), masks=[mask])
    for layout, expected in (("rows", mask), ("columns", mask.T)):
        found = interpret_parts(*vector, replace(said, layout=f"{layout},in_out"), masks=[mask])
        np.testing.assert_array_equal(found.masks[1], expected / 0.5)


@pytest.mark.parametrize(
    "masks",
    [[np.ones((7, 8)), 3.0], {"left": np.ones((7, 8))}, np.ones((7, 8)), [np.ones((7, 8)), np.ones((7, 6)), np.eye(7, 3)]],
)
def test_masks_in_python_that_are_refused(masks):
    net = Net()
    with pytest.raises(InputError, match="masks"):
        interpret_parts(net.parameters(), None, net.X, net.Y, net.said(), masks)


# Words.


def test_the_command(tmp_path):
    net, path = Net(dropped=(1,)), str(tmp_path / "model.npz")
    save_arrays(path, net.arrays(hidden="tanh", **SAID))

    def run(*arguments):
        return CliRunner().invoke(main, arguments)

    assert run("check", path, "--keep-prob", "0.7").exit_code == 0
    assert run("check", path, "--keep-prob", "0.7", "--no-inverted").exit_code == 1
    assert run("check", path, "--keep-prob", "1.7").exit_code == 2
    left_alone = run("info", path)
    assert "Note: D1 looks like a dropout mask" in " ".join(left_alone.stdout.split())
    assert f"Dropout of layer 1 ({100 * net.D[1].mean():.0f}% kept)" in run("info", path, "--keep-prob", "0.7").stdout
    found = json.loads(run("info", path, "--keep-prob", "0.7", "--l1", "0,0.5,0", "--json").stdout)
    assert found["dropout"] == [{"layer": 1, "kept": net.D[1].mean(), "factor": 1 / 0.7}]
    assert [tensor["l1"] for tensor in found["tensors"]] == [0.0, 0.0, 0.5, 0.0, 0.0, 0.0]


def test_the_loss_without_dropout_is_named():
    net = Net()
    problem = net.problem()
    net.D, masks = {}, net.D
    without = replace(problem, claimed_loss=net.loss(True))
    net.D = masks
    assert "the declared loss without dropout" in explain_loss(without, base_point(problem))
    unscaled = replace(problem, claimed_loss=net.loss(False))
    assert "with dropout not divided by keep_prob" in explain_loss(unscaled, base_point(problem))
    assert explain_loss(replace(problem, claimed_loss=net.loss(True)), base_point(problem)) is None


def test_description_in_words():
    net = Net(dropped=(0, 1, 2))
    shares = [f"{100 * net.D[n].mean():.0f}% kept" for n in range(3)]
    words = f"; dropout of the input ({shares[0]}), layer 1 ({shares[1]}) and layer 2 ({shares[2]}); softmax"
    assert words in describe(net.problem())
    assert "dropout" not in describe(Net(dropped=(), keep=1.0).problem())
