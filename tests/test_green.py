"""Green only where everything was judged: what is missing, misshapen, sampled, silent or cut short is said, and never passed.

Only what the package and the command show to everybody is used here: `fastgrad.check`, the command, its JSON.
"""

import json
import signal

import numpy as np
import pytest
from click.testing import CliRunner

import fastgrad
from fastgrad.errors import InputError
from fastgrad.numerical import blocks
from fastgrad_cli import terminal
from fastgrad_cli.main import main

SAID = {"hidden": "tanh", "output": "identity", "loss": "squared_error"}
SQUARED = {"output": "identity", "loss": "squared_error"}


def network(samples=6, seed=1):
    """Return parameters W1 (4, 3), b1 (4, 1), W2 (2, 4), b2 (2, 1), and X, Y with examples in columns."""
    draw = np.random.default_rng(seed)
    shapes = {"W1": (4, 3), "b1": (4, 1), "W2": (2, 4), "b2": (2, 1)}
    parameters = {name: draw.normal(size=shape) for name, shape in shapes.items()}
    return parameters, draw.normal(size=(3, samples)), draw.normal(size=(2, samples))


def backward(parameters, X, Y):
    """Return the right gradients."""
    A1 = np.tanh(parameters["W1"] @ X + parameters["b1"])
    dZ2 = (parameters["W2"] @ A1 + parameters["b2"] - Y) / X.shape[1]
    dZ1 = (parameters["W2"].T @ dZ2) * (1.0 - A1**2)
    dZs = {"1": (dZ1, X), "2": (dZ2, A1)}
    return {
        **{f"dW{layer}": dZ @ A.T for layer, (dZ, A) in dZs.items()},
        **{f"db{layer}": dZ.sum(axis=1, keepdims=True) for layer, (dZ, _) in dZs.items()},
    }


PARAMETERS, X, Y = network()
RIGHT = backward(PARAMETERS, X, Y)
IN_ORDER = ["dW1", "db1", "dW2", "db2"]


def check(gradients=RIGHT, parameters=PARAMETERS, **options):
    return fastgrad.check(parameters, gradients, X, Y, **{**SAID, **options})


def try_function(function, parameters=PARAMETERS, **options):
    return fastgrad.check(parameters, backward=function, X=X, Y=Y, **{**SAID, **options})


def without(*names, gradients=RIGHT):
    return {name: value for name, value in gradients.items() if name not in names}


def flat(report):
    return " ".join(str(report).split())


def headline(report):
    """Return the verdict and the sentence after it."""
    text = str(report)
    return " ".join(text[: text.index("\n\n")].split())


def verdicts(report):
    return {tensor.name: tensor.verdict for tensor in report.tensors}


def run(*arguments):
    return CliRunner().invoke(main, list(arguments), prog_name="fastgrad")


@pytest.fixture
def write(tmp_path):
    def written(gradients=RIGHT, **more):
        path = tmp_path / "model.npz"
        np.savez(path, **PARAMETERS, **gradients, X=X, Y=Y, **SAID, **more)
        return str(path)

    return written


# A gradient that is missing.

ABSENCES = {
    "no_db2": without("db2"),
    "None": {**RIGHT, "db2": None},
}


@pytest.mark.parametrize("gradients", ABSENCES.values(), ids=ABSENCES)
@pytest.mark.parametrize("method", ["auto", "preactivation", "textbook", "directional"])
def test_a_missing_gradient_leaves_the_whole_not_judged(gradients, method):
    report = check(gradients, method=method)
    assert (report.verdict, report.passed) == ("not judged", False)
    assert "NOT JUDGED The gradient of b2 is missing; the other 3 gradients are right" in headline(report)
    (note,) = report.notes
    assert "--frozen b2" in note
    assert "frozen='b2'" in note
    with pytest.raises(fastgrad.GradientError, match="The gradient of b2 is missing"):
        report.raise_if_wrong()


def test_a_missing_gradient_beside_a_wrong_one_leaves_the_whole_wrong():
    report = check({**without("db2"), "dW2": 2.0 * RIGHT["dW2"]})
    assert report.verdict == "wrong"
    assert "1 of 3 gradients is wrong: dW2; the gradient of b2 is missing." in headline(report)


def test_no_bias_gradients_at_all():
    report = check(without("db1", "db2"))
    assert report.verdict == "not judged"
    assert "The gradients of b1 and b2 are missing; the other 2 gradients are right." in headline(report)


def test_a_missing_gradient_of_weights_is_no_error_either():
    assert check(without("dW1")).verdict == "not judged"
    assert "The gradient of W1 is missing" in headline(check(without("dW1")))


def test_a_missing_gradient_in_a_list():
    gradients = [None if name == "db1" else RIGHT[name] for name in IN_ORDER]
    report = fastgrad.check(list(PARAMETERS.values()), gradients, X, Y, **SAID)
    assert report.verdict == "not judged"
    assert "b1 (parameters[1])" in report.notes[0]


def test_a_missing_gradient_in_a_file(write):
    result = run("check", write(without("db2")))
    assert result.exit_code == terminal.NOT_JUDGED
    assert "The gradient of b2 is missing" in result.stdout
    document = json.loads(run("check", write(without("db2")), "--json").stdout)
    assert (document["passed"], document["verdict"]) == (False, "not judged")


@pytest.mark.parametrize("frozen", ["b2", ["b2"], "parameters[3]"])
def test_frozen_leaves_a_parameter_out(frozen):
    gradients = [None if name == "db2" else RIGHT[name] for name in IN_ORDER]
    report = fastgrad.check(list(PARAMETERS.values()), gradients, X, Y, **SAID, frozen=frozen)
    assert (report.verdict, verdicts(report)["b2"]) == ("right", "left out")
    assert "RIGHT All 3 gradients are right; b2 was left out." in headline(report)


@pytest.mark.parametrize("method", ["auto", "directional"])
def test_a_frozen_gradient_is_not_judged_even_if_it_is_there(method):
    report = check({**RIGHT, "db1": 7.0 * RIGHT["db1"]}, frozen="b1", method=method)
    assert report.verdict == "right"
    assert "b1 was left out" in headline(report)


def test_frozen_on_the_command_line_and_in_a_file(write):
    result = run("check", write(without("db1", "db2")), "--frozen", "b1,b2")
    assert (result.exit_code, "b1 and b2 were left out" in result.stdout) == (0, True)
    assert run("check", write(without("db1", "db2"), frozen="b1,b2")).exit_code == 0
    assert run("check", write(without("db1", "db2"), frozen="b1")).exit_code == terminal.NOT_JUDGED


def test_frozen_is_kept_by_save(tmp_path):
    gradients = [None if name == "db1" else RIGHT[name] for name in IN_ORDER]
    fastgrad.save(tmp_path / "m.npz", list(PARAMETERS.values()), gradients, X, Y, **SAID, frozen="parameters[1]")
    assert run("check", str(tmp_path / "m.npz")).exit_code == 0


def test_all_frozen_is_nothing_to_judge(write):
    assert "no gradient to check beside those that frozen leaves out" in run("check", write(), "--frozen", "W1,b1,W2,b2").stderr


def test_frozen_names_only_what_there_is():
    with pytest.raises(InputError, match=r"frozen names 'b3', but no parameter has that name.*W1, b1, W2, b2"):
        check(frozen="b3")


@pytest.mark.parametrize("absent", [{}, {"b2": None}], ids=["absent", "None"])
def test_a_parameter_that_is_not_there_is_a_layer_without_bias(absent):
    parameters = {**without("b2", gradients=PARAMETERS), **absent}
    gradients = backward({**parameters, "b2": np.zeros((2, 1))}, X, Y)
    for claimed in (without("db2", gradients=gradients), {**gradients, "db2": None}):
        report = check(claimed, parameters)
        assert (report.verdict, list(verdicts(report))) == ("right", ["W1", "b1", "W2"])
    in_order = [gradients["dW1"], gradients["db1"], gradients["dW2"], None]
    report = fastgrad.check([PARAMETERS["W1"], PARAMETERS["b1"], PARAMETERS["W2"], None], in_order, X, Y, **SAID)
    assert report.verdict == "right"

    def function(parameters, X, Y):
        return without("db2", gradients=backward({**parameters, "b2": np.zeros((2, 1))}, X, Y))

    assert try_function(function, parameters).verdict == "right"


def test_a_function_gets_None_where_a_layer_has_no_bias():
    def function(parameters, X, Y):
        W1, b1, W2, b2 = parameters
        assert b2 is None
        given = {"W1": W1, "b1": b1, "W2": W2, "b2": np.zeros((2, 1))}
        dW1, db1, dW2, _ = (backward(given, X, Y)[name] for name in IN_ORDER)
        return [dW1, db1, dW2, None]

    W1, b1, W2, _ = PARAMETERS.values()
    assert try_function(function, [W1, b1, W2, None]).verdict == "right"

    def nested(parameters, X, Y):
        weights, biases = parameters["weights"], parameters["biases"]
        dW1, db1, dW2, _ = function([weights[0], biases[0], weights[1], biases[1]], X, Y)
        return {"weights": [dW1, dW2], "biases": [db1, None]}

    assert try_function(nested, {"weights": [W1, W2], "biases": [b1, None]}).verdict == "right"


# A function that leaves a gradient out.


@pytest.mark.parametrize(
    "leaves_out",
    [lambda X: True, lambda X: X.shape[1] != X.shape[1] // 6 * 6, lambda X: X.shape[1] == 1],
    ids=["everywhere", "at_other_points", "with_one_example"],
)
def test_a_function_that_leaves_a_gradient_out_is_not_judged(leaves_out):
    report = try_function(lambda *given: without(*["db1"] * leaves_out(given[1]), gradients=backward(*given)))
    assert report.verdict == "not judged"
    assert "no gradient of b1" in headline(report) or "With one example alone your function returned no db1" in flat(report)


def test_a_function_that_leaves_a_gradient_out_and_has_another_wrong():
    report = try_function(lambda *given: {**without("db1", gradients=backward(*given)), "dW1": np.ones((4, 3))})
    assert report.verdict == "wrong"
    assert "wrong gradients at 3 of 3 points, and no gradient of b1." in headline(report)


def test_a_function_may_leave_frozen_parameters_out():
    report = try_function(lambda *given: without("db1", gradients=backward(*given)), frozen="b1")
    assert report.verdict == "right"
    assert "right gradients at 3 points; b1 was left out." in headline(report)


# A gradient of another shape than its parameter.


@pytest.mark.parametrize(
    ("name", "turn", "outcome"),
    [
        ("dW2", np.transpose, "W2 - rate*dW2 would fail"),
        ("db2", np.ravel, "b2 - rate*db2 would have the shape (2, 2)"),
        ("db2", np.transpose, "b2 - rate*db2 would have the shape (2, 2)"),
    ],
)
def test_another_shape_is_judged_by_its_numbers_and_told(name, turn, outcome):
    for factor, verdict in ((1.0, "right"), (2.0, "wrong")):
        report = check({**RIGHT, name: factor * turn(RIGHT[name])})
        assert report.verdict == verdict
        assert outcome in " ".join(report.notes)


def test_another_shape_passes_on_the_command_line_and_is_told(write):
    result = run("check", write({**RIGHT, "db2": RIGHT["db2"].ravel()}))
    assert result.exit_code == 0
    assert "return db2 in the shape (2, 1)" in " ".join(result.stdout.split())


def test_another_shape_is_told_of_a_function():
    report = try_function(lambda *given: {**backward(*given), "db1": backward(*given)["db1"].ravel()})
    assert report.verdict == "right"
    assert "b1 - rate*db1 would have the shape (4, 4)" in flat(report)


def test_the_layout_of_the_whole_file_is_accepted():
    turned = {name: value.T if name[1] == "W" else value for name, value in RIGHT.items()}
    report = check(turned)
    assert (report.verdict, report.notes) == ("right", ())
    assert len(check({**turned, "dW1": RIGHT["dW1"]}).notes) == 1


def test_a_shape_that_does_no_harm_is_not_told():
    """A row for a vector leaves the update right; a column for one does not."""
    parameters = {name: value.ravel() if name[0] == "b" else value for name, value in PARAMETERS.items()}
    rows = {name: value.T if name[1] == "b" else value for name, value in RIGHT.items()}
    assert [len(check(gradients, parameters).notes) for gradients in (rows, RIGHT)] == [0, 2]


@pytest.mark.parametrize("method", ["auto", "directional"])
@pytest.mark.parametrize("name", ["dW1", "db1"])
def test_a_single_number_is_wrong_whatever_it_is(name, method):
    zero = {key: np.zeros_like(value) for key, value in PARAMETERS.items()}
    gradients = {**backward(zero, X, Y), name: 0.0}  # the true one is zero throughout
    report = check(gradients, zero, method=method)
    assert report.verdict == "wrong"
    assert f"1 of 4 gradients is wrong: {name}" in headline(report)
    assert any(f"{name} is a single number, and {name[1:]} has" in note for note in report.notes)


def test_a_single_number_is_called_that_and_nothing_else(write):
    report = check({**RIGHT, "dW2": 0.5})
    assert "dW2 is a single number" in report.notes[0]
    assert report.findings == ()
    assert run("selftest", write({**RIGHT, "dW2": 0.5})).exit_code == 0  # which looks at no gradient of the file


# Reports are true where they passed.


def test_reports_are_true_only_where_they_passed():
    wrong, missing = {**RIGHT, "dW1": 2.0 * RIGHT["dW1"]}, without("db1")
    assert [bool(check(gradients)) for gradients in (RIGHT, wrong, missing)] == [True, False, False]
    doubled = try_function(lambda *given: {**backward(*given), "dW1": 2.0 * backward(*given)["dW1"]})
    assert [bool(try_function(backward)), bool(doubled)] == [True, False]


def test_reports_of_functions_are_true_only_where_they_passed():
    x = np.array([1.0, 2.0])
    assert [bool(fastgrad.check_function(lambda x: float(x @ x), factor * x, x)) for factor in (2.0, 3.0)] == [True, False]


def test_a_selftest_that_sees_nothing_has_not_passed(tmp_path):
    path = tmp_path / "silent.npz"
    np.savez(path, W1=np.zeros((1, 2)), X=np.zeros((3, 2)), Y=np.zeros((3, 1)), **SQUARED)
    result = run("selftest", str(path), "--json")
    document = json.loads(result.stdout)
    assert sum(mistake["detected"] for mistake in document["mistakes"]) == 0
    assert (document["passed"], result.exit_code) == (False, terminal.NOT_JUDGED)


# Ctrl-C.


def ctrl_c(done, total):
    """Press it once three fifths of the parameters are done, a whole layer by any method."""
    if 5 * done >= 3 * total:
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("method", ["parameter", "preactivation", "textbook", "directional"])
@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_after_ctrl_c_the_rest_is_not_right(monkeypatch, method, factor):
    monkeypatch.setattr(blocks, "BLOCK_SECONDS", 1e-9)
    with pytest.raises(KeyboardInterrupt) as stopped:
        check({name: factor * value for name, value in RIGHT.items()}, method=method, progress=ctrl_c)
    report = stopped.value.finished
    assert 0 < report.parameters_checked < 26
    assert "✓ RIGHT" not in str(report)
    assert report.verdict == ("not judged" if factor == 1.0 else "wrong")
    if factor == 1.0:
        done = f"{report.parameters_checked} of 26 parameters"
        assert f"Interrupted: {done} were finished, and none of them is wrong; the rest was not judged." in headline(report)
    else:
        assert f"interrupted after {report.parameters_checked} of 26 parameters" in headline(report)


def test_after_ctrl_c_the_document_says_so(write, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_SECONDS", 1e-9)
    monkeypatch.setattr(terminal.ProgressBar, "__call__", lambda self, done, total: ctrl_c(done, total))
    result = run("check", write(), "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == terminal.INTERRUPTED
    assert (document["passed"], document["verdict"], document["interrupted"]) == (False, "not judged", True)


# Gradients that are zero throughout.


@pytest.mark.parametrize("method", ["auto", "directional"])
def test_zero_initialisation_does_not_celebrate(method):
    zero = {name: np.zeros_like(value) for name, value in PARAMETERS.items()}
    report = check(backward(zero, X, Y), zero, method=method)
    assert report.verdict == "right"
    assert "but 3 of 4 are zero throughout and say nothing: dW1, db1 and dW2." in headline(report)
    assert "celebrate" not in str(report)


def test_a_gradient_of_nothing_but_zeros_does_not_celebrate():
    report = fastgrad.check({"W1": np.ones((1, 2))}, {"dW1": np.zeros((1, 2))}, np.zeros((3, 2)), np.ones(3), **SQUARED)
    assert "The gradient is right, but it is zero throughout and says nothing." in headline(report)
    assert "celebrate" not in str(report)


# Kinks.


def relu_network(first, slope_on_kink=0.0):
    """Return W1, W2 and gradients of two relu units of which the first gets `first` as pre-activation from one example."""
    X, W1, W2 = np.array([[1.0], [2.0], [-1.0]]), np.array([[first], [0.75]]), np.array([[1.25, -0.5]])
    X[1:] += 0.125 * np.arange(2)[:, None]
    Z = X @ W1.T
    dZ2 = (np.maximum(Z, 0.0) @ W2.T) / 3.0
    slope = np.where(Z > 0.0, 1.0, np.where(Z == 0.0, slope_on_kink, 0.0))
    return X, {"W1": W1, "W2": W2}, {"dW1": ((dZ2 @ W2) * slope).T @ X, "dW2": dZ2.T @ np.maximum(Z, 0.0)}


def test_what_rounding_may_put_on_a_kink_is_counted_and_called_that():
    draw = np.random.default_rng(0)
    X = draw.normal(size=(6, 4)).astype(np.float32)
    W1 = draw.normal(size=(3, 4)).astype(np.float32)
    X[0] = 0.0  # exactly on the kink of all three units
    X[1, 3] -= (X[1].astype(float) @ W1[0].astype(float)) / W1[0, 3]  # as near to that of the first as float32 comes
    Z = X @ W1.T
    W2 = draw.normal(size=(1, 3)).astype(np.float32)
    dZ2 = (np.maximum(Z, 0) @ W2.T - 1) / np.float32(6)
    gradients = {"dW1": ((dZ2 @ W2) * (Z > 0)).T @ X, "dW2": dZ2.T @ np.maximum(Z, 0)}
    assert 0.0 < abs(X[1].astype(float) @ W1[0].astype(float)) < 1e-6
    report = fastgrad.check({"W1": W1, "W2": W2}, gradients, X, np.ones(6, np.float32), hidden="relu", **SQUARED)
    expected = "2 of 6 examples have a pre-activation within the rounding of float32 of a kink, or an output of one of the loss"
    assert f"{expected} (1 of them exactly on one)" in " ".join(report.notes)
    X, parameters, gradients = relu_network(0.0)
    report = fastgrad.check(parameters, gradients, X, np.zeros(3), hidden="relu", **SQUARED)
    assert "3 of 3 examples have a pre-activation exactly on a kink" in " ".join(report.notes)


def test_kinks_do_not_take_half_of_a_check(monkeypatch):
    """By pre-activations every difference is formed once: the range on kinks is made of the same numbers."""
    from fastgrad.numerical.preactivation import PreactivationPlan

    formed, heard, original = [], [], PreactivationPlan.run
    X, parameters, gradients = relu_network(0.0)
    options = {"hidden": "relu", **SQUARED, "method": "preactivation", "progress": lambda *of: heard.append(of)}
    for _ in range(2):  # kernels are loaded with the first
        formed.clear()
        monkeypatch.setattr(PreactivationPlan, "run", lambda *given: formed.append(given[1].layer) or original(*given))
        fastgrad.check(parameters, gradients, X, np.zeros(3), **options)
    assert sorted(formed) == [0, 1]
    assert heard[-1] == (4, 4)


# A sample, directions, a tolerance: no more is claimed than what was judged.


def test_a_sample_claims_what_was_drawn():
    report = check(sample=13)
    assert report.verdict == "right"
    assert "right in the 13 of 26 parameters that were drawn (50%)." in headline(report)


def test_a_sample_of_a_functions_gradients_claims_what_was_drawn():
    report = try_function(backward, sample=13)
    assert report.verdict == "right"
    assert "right gradients at 3 points, in the parameters that were drawn." in headline(report)


def test_a_sample_that_holds_nothing_of_a_gradient_does_not_judge_it():
    report = check(sample=1)
    assert report.verdict == "not judged"
    assert "The sample holds nothing of db1, dW2 and db2: draw at least 4" in flat(report)
    assert check(sample=4).verdict == "right"


def test_directions_claim_no_more_than_that():
    assert "right along 5 random directions." in headline(check(method="directional", directions=5))


def test_a_step_of_the_users_own_is_told():
    assert "right as far as a step of 0.001 tells." in headline(check(method="textbook", step=1e-3))


def test_a_tolerance_of_the_users_own_is_told():
    assert "right within your tolerance, 1000 roundings." in headline(check(tolerance=1e3))


def test_examples_of_weight_zero_are_told():
    gradients = backward(PARAMETERS, X[:, :2], Y[:, :2])
    scaled = {name: value * 2.0 / 6.0 for name, value in gradients.items()}
    report = check(scaled, example_weights=[1, 1, 0, 0, 0, 0])
    assert report.verdict == "right"
    assert "4 of 6 examples have the weight 0, which hides all of them" in flat(report)


# Names that match nothing.


def test_a_gradient_of_no_parameter_is_told():
    report = check({**RIGHT, "gradient_of_what": X, "dZ1": np.ones((4, 6))})
    assert report.verdict == "right"
    assert "gradient_of_what is the gradient of no parameter and was not looked at" in flat(report)
    assert "dZ1" not in flat(report)


def test_a_gradient_under_another_name_is_told_and_missing():
    report = check({**without("db2"), "beta2": RIGHT["db2"]})
    assert report.verdict == "not judged"
    assert "beta2 is the gradient of no parameter" in flat(report)
    assert "The gradient of b2 is missing" in headline(report)


def test_a_demo_that_was_not_judged_is_not_as_planted(tmp_path, monkeypatch):
    from fastgrad.judging import audit

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(audit, "NOISE", 0.0)  # the audit contradicts everything
    result = run("demo", "repaired")
    assert "NOT JUDGED" in result.stdout
    assert result.exit_code != 0
    assert "As it should be" not in result.stdout
