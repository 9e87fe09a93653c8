"""The declaration is doubted before the code: gradients that are right for another network are told so, and what it is."""

from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

import fastgrad
from fastgrad.diagnosis.candidates import Candidates
from fastgrad.diagnosis.meant import Forms
from fastgrad.errors import InputError
from fastgrad.teaching import demo
from fastgrad_cli.main import main

import declarations
import problems
import reference
from declarations import case, report_of

SOME = range(0, len(declarations.HIDDEN), 2)
VARIANTS = list(declarations.variants())


@pytest.mark.compiled
def test_a_hidden_activation_that_is_not_the_declared_one_is_named():
    """A cut of bench/test_declarations.py: every other declared activation with another one."""
    tally = declarations.Tally()
    names = declarations.HIDDEN
    for declared, meant in ((names[k], names[(k + 8) % len(names)]) for k in SOME):
        tally.add(f"{declared} for {meant}", report_of(case(declared), case(meant)), (f"{meant} in the hidden layers",))
    assert tally.counts["blamed"] == tally.counts["open"] == 0, tally.failed
    assert tally.counts["named"] == len(SOME)


@pytest.mark.compiled
def test_another_output_or_loss_is_named():
    tally = declarations.outputs_and_losses(slice(0, None, 1244))
    assert tally.counts["blamed"] == tally.counts["open"] == 0, tally.failed
    assert tally.counts["named"] >= 3


@pytest.mark.compiled
@pytest.mark.parametrize(
    ("meant", "words"),
    [
        (("softmax", "binary_crossentropy"), "the cross-entropy (binary_crossentropy)"),
        (("tanh", "softmax_crossentropy"), "the cross-entropy (softmax_crossentropy after tanh)"),
        (("sigmoid", "softmax_crossentropy"), "the cross-entropy (softmax_crossentropy after sigmoid)"),
    ],
)
def test_the_two_terms_on_a_softmax_and_a_softmax_after_an_activation_are_named(meant, words):
    report = report_of(case("tanh"), case("tanh", *meant))
    assert [finding.code.partition(".")[0] for finding in report.findings] == ["declaration"]
    assert f"This is exactly the gradient of {words}; you declared" in report.findings[0].sentence
    right = report_of(case("tanh", *meant), case("tanh", *meant))
    assert right.passed


def test_a_forgotten_slope_before_a_softmax_is_one_mistake_and_nothing_else():
    declared = case("tanh", "tanh", "softmax_crossentropy")
    z, a = problems.plain_forward(declared, np.float64)
    dZ = problems.output_slope(declared, z[-1], a[-1], declared.Y) / problems.slope("tanh", z[-1]) / len(declared.X)
    claimed = np.full(declared.theta.size, np.nan)
    claimed[-4:] = dZ.sum(axis=0)
    claimed[-28:-4] = (dZ.T @ a[-2]).ravel()
    first = report_of(declared, None, claimed).findings[0]  # what lies below has no claim
    assert first.code == "slope.missing"
    assert not any(other.code.startswith("loss.") for other in first.alternatives)


@pytest.mark.parametrize(("name", "declared", "claimed", "value", "code"), VARIANTS, ids=[one[0] for one in VARIANTS])
def test_twelve_conventions(name, declared, claimed, value, code):
    """With its own loss value the declaration is named alone; without it, or the mistake that is exactly it."""
    report = report_of(declared, None, claimed, float(value))
    if "labels of -1 and 1" in name:  # a usual habit, which is read as it is meant
        assert report.passed
        assert "-1 in the place of 0" in " ".join(report.notes)
        return
    assert [(f.code, f.confident) for f in report.findings] == [(code, True)]
    assert "Declare it" in report.findings[0].repair or "labels" in name
    assert declarations.outcome_of(report_of(declared, None, claimed), ("",)) in ("named", "mistake")


@pytest.mark.compiled
def test_a_declared_loss_value_leaves_the_blame_with_the_code():
    declared = case("tanh", "sigmoid", "binary_crossentropy")
    other = case("tanh", "sigmoid", "squared_error")
    claimed = problems.plain_gradient(other, np.float64)
    doubted = report_of(declared, None, claimed).findings
    assert (doubted[0].code, [one.code for one in doubted[0].alternatives]) == ("declaration.loss", ["output.extra_slope"])
    blamed = report_of(declared, None, claimed, float(reference.loss(declared))).findings
    assert [finding.code for finding in blamed] == ["output.extra_slope"]
    meant = report_of(declared, None, claimed, float(reference.loss(other)))
    assert [finding.code for finding in meant.findings] == ["declaration.loss"]
    assert "Your loss value is that of the former, too" in meant.findings[0].sentence
    assert "squared_error, of which the gradient is, too" in meant.loss_note


@pytest.mark.compiled
@pytest.mark.parametrize("loss", ["mse", "squared_error", "sum_squared_error"])
@pytest.mark.parametrize(("output", "meant"), [("sigmoid", "binary_crossentropy"), ("softmax", "softmax_crossentropy")])
def test_a_minus_y_under_a_squared_error_is_one_finding(output, meant, loss):
    (finding,) = report_of(case("tanh", output, loss), case("tanh", output, meant)).findings
    assert finding.code == "declaration.loss"
    assert f"This is exactly the gradient of the cross-entropy ({meant}); you declared {loss}." in finding.sentence


@pytest.mark.compiled
def test_a_loss_value_of_nothing_stands_first():
    text = str(report_of(case(), case("relu"), value=1.234567890123))
    assert text.index("The losses differ") < text.index("This is exactly the gradient")
    assert "Your loss value is that of neither." in " ".join(text.split())


@pytest.mark.compiled
@pytest.mark.parametrize(
    ("words", "value", "slope"),
    [
        ("tanh(z/2)", lambda z: np.tanh(z / 2), lambda z: 0.5 * (1 - np.tanh(z / 2) ** 2)),
        ("1.7159·tanh(2z/3)", lambda z: 1.7159 * np.tanh(2 * z / 3), lambda z: 1.7159 * 2 / 3 * (1 - np.tanh(2 * z / 3) ** 2)),
        ("leaky_relu:0.2", lambda z: np.where(z > 0, z, 0.2 * z), lambda z: np.where(z > 0, 1, 0.2)),
    ],
)
@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_activations_of_other_shapes(words, value, slope, l2):
    rng = np.random.default_rng(30)
    P = {"W1": rng.normal(size=(5, 8)), "b1": rng.normal(size=8), "W2": rng.normal(size=(8, 3)), "b2": rng.normal(size=3)}
    X, Y = rng.normal(size=(10, 5)), rng.normal(size=(10, 3))
    z = X @ P["W1"] + P["b1"]
    d = (value(z) @ P["W2"] + P["b2"] - Y) / 10
    dz = d @ P["W2"].T * slope(z)
    g = {"W1": X.T @ dz + l2 * P["W1"], "b1": dz.sum(0), "W2": value(z).T @ d + l2 * P["W2"], "b2": d.sum(0)}
    report = fastgrad.check(P, g, X, Y, hidden="tanh", output="identity", loss="squared_error", l2=l2)
    assert [(f.code, f.confident) for f in report.findings] == [("declaration.activation", True)]
    assert words in report.findings[0].sentence


@pytest.mark.compiled
def test_one_layer_with_another_activation():
    declared = case("tanh")
    meant = replace(declared, activations=("tanh", "arctan", "softmax"))
    (finding,) = report_of(declared, meant).findings
    assert "arctan in layer 2; you declared tanh there" in finding.sentence
    assert "--activations tanh,arctan,softmax" in finding.repair


@pytest.mark.compiled
def test_a_column_of_ones_that_the_penalty_leaves_out():
    rng = np.random.default_rng(2)
    X, Y, W = np.hstack([rng.normal(size=(9, 4)), np.ones((9, 1))]), rng.normal(size=(9, 3)), rng.normal(size=(5, 3))
    spared = np.array([1.0, 1.0, 1.0, 1.0, 0.0])[:, None]
    dW = X.T @ (X @ W - Y) / 9 + 0.3 * spared * W
    report = fastgrad.check({"W": W}, {"dW": dW}, X, Y, output="identity", loss="squared_error", l2=0.3)
    assert report.passed
    assert "column of ones" in " ".join(report.notes)


@pytest.mark.compiled
@pytest.mark.parametrize("wrong", [1.0 + 1e-6, 1.5])
def test_a_single_wrong_entry_makes_it_no_other_network(wrong):
    claimed = problems.plain_gradient(case("relu"), np.float64)
    claimed[3] *= wrong
    assert not any(f.code.startswith("declaration.") for f in report_of(case(), None, claimed).findings)


@pytest.mark.compiled
def test_zeros_are_the_gradient_of_nothing():
    declared = case()
    assert not any(f.code.startswith("declaration.") for f in report_of(declared, None, 0.0 * declared.theta).findings)


def test_where_the_last_layer_is_right_nothing_is_searched(monkeypatch):
    declared = case()
    claimed = problems.plain_gradient(declared, np.float64)
    claimed[:10] *= 2.0
    forms = Forms(replace(problems.problem(declared), claimed=claimed))
    monkeypatch.setattr(Candidates, "one_change", lambda self: pytest.fail("another network was tried"))
    assert forms.found() == []


def test_the_networks_output_as_loss_value():
    given = [0.34, 0.56], [[0.34, 0.56], 0.54], [[0.7744, 0.0], 0.7744]
    _, parameters, gradients = given
    report = fastgrad.check(parameters, gradients, [1.0, 0.0], 0.1056, output="identity", loss="squared_error", loss_value=0.88)
    assert "your loss value 0.88 is the network's output, not a loss" in report.loss_note


# Nothing declared.


def given(meant):
    """Return the arrays of a case, in layers, with its own gradient."""
    network = problems.problem(meant).network
    claimed = problems.plain_gradient(meant, np.float64)
    arrays = [{name: a[s] for name, s in network.tensor_slices.items()} for a in (meant.theta, claimed)]
    for one in arrays:
        for layer in range(network.depth):
            one[f"W{layer + 1}"] = one[f"W{layer + 1}"].reshape(network.widths[layer + 1], network.widths[layer])
    return *arrays, meant.X, meant.Y


@pytest.mark.compiled
@pytest.mark.parametrize(
    ("meant", "words"),
    [
        (case("gelu_tanh", l2=0.01), "hidden gelu_tanh, output softmax, softmax_crossentropy, mean, l2 = 0.01."),
        (case("softplus", "identity", "log_cosh", reduction="sum"), "hidden softplus, output identity, log_cosh, sum."),
        (case("leaky_relu:0.2", "tanh", "squared_hinge", l2=0.3, penalize_biases=True), "mean, l2 = 0.3 on the biases too."),
    ],
)
def test_the_network_is_inferred(meant, words):
    value = float(reference.loss(meant))
    report = fastgrad.check(*given(meant), infer=True, loss_value=value, layout="rows,out_in")
    assert report.verdict == "right"
    assert words in report.notes[0]
    assert "Your loss value is that of this network, too" in report.notes[0]
    assert report.description.startswith("Inferred: ")


@pytest.mark.compiled
def test_what_was_said_is_kept_and_a_wrong_gradient_is_no_network():
    parameters, gradients, X, Y = given(case("tanh"))
    said = {"layout": "rows,out_in", "infer": True}
    assert fastgrad.check(parameters, gradients, X, Y, hidden="tanh", **said).passed
    with pytest.raises(InputError, match="no network that fastgrad tried has exactly this gradient"):
        fastgrad.check(parameters, gradients, X, Y, hidden="relu", **said)
    gradients["W1"] = 2.0 * gradients["W1"]
    with pytest.raises(InputError, match="no network that fastgrad tried has exactly this gradient"):
        fastgrad.check(parameters, gradients, X, Y, **said)
    with pytest.raises(InputError, match="infer goes with gradients"):
        fastgrad.check(parameters, backward=lambda *_: gradients, X=X, Y=Y, hidden="tanh", **said)


@pytest.mark.compiled
def test_several_networks_are_listed_and_none_is_taken():
    rng = np.random.default_rng(1)
    W1, W2 = rng.random((3, 4)), rng.normal(size=(4, 2))
    X, Y = rng.random((6, 3)), rng.normal(size=(6, 2))  # nothing is below zero: relu is the identity
    d = (X @ W1 @ W2 - Y) / 6
    gradients = {"dW1": X.T @ (d @ W2.T), "dW2": (X @ W1).T @ d}
    with pytest.raises(InputError, match="several networks at this point") as caught:
        fastgrad.check({"W1": W1, "W2": W2}, gradients, X, Y, infer=True)
    assert "--hidden relu --output identity" in str(caught.value)
    assert "--hidden identity --output identity" in str(caught.value)


@pytest.mark.compiled
def test_the_command_infers_and_info_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arrays, _ = demo.repaired()
    np.savez("bare.npz", **arrays)
    run = CliRunner().invoke(main, ["check", "bare.npz", "--infer"])
    assert run.exit_code == 0
    assert "--hidden relu --output sigmoid --loss binary_crossentropy" in " ".join(run.stdout.split())
    assert CliRunner().invoke(main, ["check", "bare.npz"]).exit_code == 2
    told = CliRunner().invoke(main, ["info", "bare.npz"])
    assert told.exit_code == 0
    text = " ".join(told.stdout.split())
    assert "4 inputs -> 5 (not said) -> 3 (not said) -> 1 (not said)" in text
    assert "Missing: the activation of the hidden layers, the activation of the last layer and the loss." in text
