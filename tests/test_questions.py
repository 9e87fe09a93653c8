"""The other questions of a network: its gradient, what it was read as, the sweep, the self-test, and two gradients compared."""

import html
import json

import numpy as np
import pytest
from click.testing import CliRunner

import fastgrad
from fastgrad import InputError
from fastgrad_cli.main import main

import reference

SAID = {"hidden": "tanh", "output": "sigmoid", "loss": "binary_crossentropy"}
DRAW = np.random.default_rng(11)
PARAMETERS = {
    "W1": DRAW.normal(size=(4, 3)),
    "b1": DRAW.normal(size=4),
    "W2": DRAW.normal(size=(2, 4)),
    "b2": DRAW.normal(size=2),
}
X, Y = DRAW.normal(size=(5, 3)), DRAW.integers(2, size=(5, 2)).astype(float)


def exact(reduction="mean", l2=0.0):
    """Return the right gradient by tests/reference.py, which shares nothing with fastgrad."""
    theta = np.concatenate([array.ravel() for array in PARAMETERS.values()])
    case = reference.Case((3, 4, 2), ("tanh", "sigmoid"), "binary_crossentropy", theta, X, Y, reduction, l2)
    flat, found, start = reference.gradient(case), {}, 0
    for name, array in PARAMETERS.items():
        found[f"d{name}"] = flat[start : start + array.size].reshape(array.shape)
        start += array.size
    return found


# The numerical gradient.


def test_the_numerical_gradient_in_the_users_names_and_shapes():
    found = fastgrad.gradient(PARAMETERS, X, Y, **SAID)
    right = exact()
    assert list(found.value) == list(right)
    for name, array in right.items():
        assert found.value[name].shape == array.shape
        assert (np.abs(found.value[name] - array) <= found.error[name]).all()
        assert found.error[name].max() < 1e-13


def test_the_error_of_a_fixed_step_is_told():
    found, right = fastgrad.gradient(PARAMETERS, X, Y, step=1e-2, **SAID), exact()
    off = np.abs(found.value["dW1"] - right["dW1"])
    assert (off <= found.error["dW1"]).all()
    assert found.error["dW1"].max() < 2.0 * off.max()


def test_a_sample_leaves_nan():
    found = fastgrad.gradient(PARAMETERS, X, Y, sample=4, **SAID)
    values = np.concatenate([array.ravel() for array in found.value.values()])
    errors = np.concatenate([array.ravel() for array in found.error.values()])
    assert np.isfinite(values).sum() == 4
    np.testing.assert_array_equal(np.isnan(values), np.isnan(errors))


def test_weights_and_bias_of_one_array_come_back_as_one():
    both = np.column_stack([PARAMETERS["b1"], PARAMETERS["W1"]])
    found = fastgrad.gradient([both[:2]], X, Y, output="sigmoid", loss="binary_crossentropy", bias_column="first")
    assert [array.shape for array in found.value.values()] == [(2, 4)]


# What was read.


def test_info_says_what_is_missing():
    found = fastgrad.info(PARAMETERS, X=X, Y=Y, hidden="tanh")
    assert found.missing == ("output", "loss")
    assert "Missing: the activation of the last layer and the loss" in str(found)
    whole = fastgrad.info(PARAMETERS, exact(), X, Y, **SAID)
    assert (whole.missing, whole.loss_note) == ((), None)
    assert whole.to_dict()["tensors"][0]["gradient_name"] == "dW1"


def test_answers_have_a_short_repr_and_show_their_text_in_notebooks():
    understood, curves = fastgrad.info(PARAMETERS, X=X, Y=Y), fastgrad.sweep(PARAMETERS, X, Y, sample=5, **SAID)
    assert repr(understood) == "<Understood: 3 inputs -> 4 (not said) -> 2 (not said)>"
    assert repr(curves).startswith("<Sweep: 3-4-2, tanh, sigmoid; binary_crossentropy")
    numerical = fastgrad.gradient(PARAMETERS, X, Y, **SAID)
    assert repr(numerical).startswith("<NetworkGradient: dW1 (4, 3), db1 (4,), dW2 (2, 4), db2 (2,);")
    for answer in (understood, curves):
        assert answer._repr_html_() == f"<pre>{html.escape(str(answer))}</pre>"
    assert "Relative difference of the numerical gradient" in str(curves)


def test_single_numbers_beside_the_parameters_are_none_of_them():
    """A learning rate in the dictionary of the parameters was taken for a third layer."""
    for extra in ({"lr": 0.1}, {"lambd": np.float64(0.0), "epoch": 3}):
        report = fastgrad.check({**PARAMETERS, **extra}, exact(), X, Y, **SAID)
        assert report.passed
        assert f"{' and '.join(extra)} beside the parameters" in report.notes[0].replace(", ", " and ")
    with pytest.raises(InputError, match="shift"):  # it has a gradient, and so is a parameter that has no place
        fastgrad.check({**PARAMETERS, "shift": 0.1}, {**exact(), "shift": 0.2}, X, Y, **SAID)


def test_several_parameters_in_place_of_their_gradients_are_named():
    stepped = {f"d{name}": array - 0.1 * exact()[f"d{name}"] for name, array in PARAMETERS.items()}
    for claimed, words in (
        (stepped, "dW1, db1, dW2 and db2 are the parameters after a step of gradient descent"),
        ({f"d{name}": array for name, array in PARAMETERS.items()}, "are W1, b1, W2 and b2 themselves, not the gradient."),
        ({**exact(), "dW1": PARAMETERS["W1"]}, "dW1 is W1 itself, not the gradient."),
    ):
        assert words in fastgrad.check(PARAMETERS, claimed, X, Y, **SAID).findings[0].sentence


# Sweep and self-test.


def test_sweep_and_selftest_are_functions():
    curves = {curve.name: curve for curve in fastgrad.sweep(PARAMETERS, X, Y, sample=20, **SAID).curves}
    assert min(curves["propagated"].errors) < 1e-14 < min(curves["forward"].errors)
    tested = fastgrad.selftest(PARAMETERS, X, Y, **SAID)
    assert tested
    assert sum(row.named for row in tested.rows) > 50


# Two gradients.


def compared(first, second, **options):
    return fastgrad.compare(PARAMETERS, first, second, X, Y, **SAID, **options)


def test_two_right_gradients_are_apart_by_rounding():
    right = exact()
    other = {name: array * (1.0 + 2.0**-51) for name, array in right.items()}
    found = compared(right, other, names=("NumPy", "C++"))
    assert found
    assert found.agree
    assert 0.0 < max(pair.apart for pair in found.tensors) < 32.0
    assert "✓ RIGHT  NumPy and C++ are both right; they agree within " in str(found)


def test_the_one_that_is_wrong_is_named_with_its_mistake():
    right = exact()
    found = compared(right, right | {"dW2": 5 * right["dW2"]})
    assert [pair.name for pair in found.tensors if pair.apart > found.tolerance] == ["W2"]
    assert [pair.verdicts for pair in found.tensors][2] == ("right", "wrong")
    text = str(found)
    assert "first is right, second is wrong; they differ in W2." in text
    assert "[factor.examples]" in text
    assert not found


def test_a_shared_mistake_is_told():
    wrong = exact() | {"db2": np.zeros(2)}
    assert "are both wrong, and the same to rounding: they share the mistake." in compared(wrong, wrong).sentence()
    other = wrong | {"db2": np.ones(2)}
    assert "are both wrong, and differ: they differ in b2." in compared(wrong, other).sentence()


def test_single_precision_beside_double():
    right = exact()
    single = {name: array.astype(np.float32) for name, array in right.items()}
    found = compared(right, single)
    assert found
    assert max(pair.relative_difference for pair in found.tensors) > 1e-9


def test_a_missing_gradient_is_not_judged():
    right = exact()
    found = compared(right, {name: array for name, array in right.items() if name != "db2"})
    assert found.verdict == "not judged"
    assert "first is right, second is not judged" in found.sentence()
    assert np.isnan(found.tensors[-1].apart)


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    right = exact()
    np.savez("numpy.npz", **PARAMETERS, **right, X=X, Y=Y, **SAID)
    np.savez("cpp.npz", **right | {"dW1": right["dW1"].astype(np.float32)})
    np.savez("wrong.npz", **PARAMETERS, **right | {"dW1": right["dW1"][::-1]}, X=X, Y=Y)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(main, list(arguments))


@pytest.mark.parametrize(("second", "code", "words"), [("cpp.npz", 0, "both right"), ("wrong.npz", 1, "wrong.npz is wrong")])
def test_the_command(files, second, code, words):
    result = run("compare", "numpy.npz", second)
    assert (result.exit_code, words in result.output) == (code, True), result.output
    document = json.loads(run("compare", "numpy.npz", second, "--json").output)
    assert document["names"] == ["numpy.npz", second]
    assert [report["verdict"] for report in document["reports"]] == ["right", "right" if code == 0 else "wrong"]


def test_another_point_is_refused(files):
    np.savez("moved.npz", **{name: 2 * array for name, array in PARAMETERS.items()}, **exact())
    result = run("compare", "numpy.npz", "moved.npz")
    assert result.exit_code == 2
    assert "moved.npz has another" in result.output


def test_nothing_to_compare_is_refused(files):
    np.savez("none.npz", X=X)
    for arguments, words in (
        (("numpy.npz", "none.npz"), "none.npz: there are no gradients in it"),
        (("none.npz", "numpy.npz"), "none.npz"),
        (("numpy.npz", "absent.npz"), "absent.npz: there is no such file"),
    ):
        result = run("compare", *arguments)
        assert result.exit_code == 2
        assert words in result.output


def test_gradients_of_the_first_file_do_not_fill_the_gaps_of_the_second(files):
    np.savez("part.npz", dW1=exact()["dW1"])
    document = json.loads(run("compare", "numpy.npz", "part.npz", "--json").output)
    assert [report["verdict"] for report in document["reports"]] == ["right", "not judged"]


def test_wrong_arguments_are_sentences():
    with pytest.raises(InputError, match="backward must be a function.*found 'network.py:backward'"):
        fastgrad.check(PARAMETERS, backward="network.py:backward", X=X, Y=Y, **SAID)
    with pytest.raises(InputError):
        fastgrad.gradient(PARAMETERS, X, Y[:3], **SAID)
    with pytest.raises(InputError, match="directional"):
        fastgrad.gradient(PARAMETERS, X, Y, method="directional", **SAID)
    with pytest.raises(InputError, match="hiden"):
        fastgrad.info(PARAMETERS, X=X, Y=Y, hiden="tanh")
