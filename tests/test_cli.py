"""The command line: what each command prints, writes and returns, and that nobody ever sees a traceback."""

import contextlib
import io
import json
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import fastgrad
from fastgrad import walk
from fastgrad.errors import InputError
from fastgrad.kernels import native
from fastgrad.reading import QuestionError, modelfile
from fastgrad.reading.formats import load_arrays
from fastgrad.teaching import demo
from fastgrad_cli import terminal
from fastgrad_cli.main import main

COMMANDS = ["check", "info", "gradient", "sweep", "demo"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Run every test in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(main, arguments, prog_name="fastgrad")


def write(name, path=None, leave_out="", **changes):
    """Write a demo's file, changed or without the arrays whose names start with something."""
    arrays, description = demo.find(name).build()
    contents = {**arrays, **description, **changes}
    path = path or f"{name}.npz"
    modelfile.save_arrays(path, {k: v for k, v in contents.items() if not (leave_out and k.startswith(leave_out))})
    return path


def document(result):
    """Return the one JSON document on stdout."""
    return json.loads(result.stdout)


def in_a_process(*arguments, **options):
    command = [sys.executable, "-m", "fastgrad_cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", **options)


# Help and usage.


@pytest.mark.parametrize("command", [[], *[[c] for c in COMMANDS]])
def test_help(command):
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert f"Usage: {' '.join(['fastgrad', *command])} [OPTIONS]" in result.stdout
    assert "Examples:" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 100


def test_help_names_every_demo():
    assert all(f"fastgrad demo {d.name} " in run("demo", "--help").stdout for d in demo.DEMOS)


def test_version():
    result = run("--version")
    assert result.exit_code == 0
    assert result.stdout.split()[0] == "fastgrad"


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ([], "Usage: fastgrad"),
        (["chekc", "x.npz"], "check"),
        (["check", "--hiden", "relu", "x.npz"], "--hidden"),
        (["check"], "Missing argument 'FILE'"),
        (["check", "x.npz", "--l2", "much"], "l2 must be a number, or numbers as in 0.1,0.2; found 'much'"),
        (["check", "x.npz", "--method", "magic"], "textbook"),
        (["check", "x.npz", "--threads", "0"], "--threads"),
        (["demo", "dog"], "planted, repaired, cat, digits, forgotten-m"),
        (["check", "no.npz"], "no.npz"),
    ],
)
def test_usage_errors(arguments, hint):
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert hint in result.stderr
    assert "Traceback" not in result.output


# The main job.


@pytest.mark.parametrize(
    ("name", "code", "phrases"),
    [
        ("planted", 1, ["2 of 6 gradients are wrong: db1 and dW2", "dW2 is 2 times too large", "db1 is 4 times too large"]),
        ("repaired", 0, ["All 6 gradients are right", "the same as yours", "47 parameters checked in"]),
        ("forgotten-m", 1, ["4 of 4 gradients are wrong", "dZ2 is 8 times too large"]),
    ],
)
def test_check(name, code, phrases):
    result = run("check", write(name))
    assert result.exit_code == code
    text = " ".join(result.stdout.split())
    assert all(phrase in text for phrase in phrases)
    assert "\x1b" not in result.output


def test_check_along_directions():
    result = run("check", write("planted"), "--method", "directional", "--directions", "4", "--seed", "2")
    assert result.exit_code == 1
    text = " ".join(result.stdout.split())
    for phrase in (
        "2 of 6 gradients are wrong: db1 and dW2",
        "db1 is 4 times too large",
        "4 directions of random signs, drawn with seed 2",
    ):
        assert phrase in text
    found = document(run("check", write("repaired"), "--method", "directional", "--json"))
    assert (found["passed"], found["method"], found["directions"]) == (True, "directional", 8)


def test_directional_makes_no_gradient():
    result = run("gradient", write("planted"), "--method", "directional")
    assert result.exit_code == 2
    assert "gives no value for each entry; take one of parameter" in result.stderr
    assert run("check", write("planted"), "--directions", "4").exit_code == 2


def test_check_as_json():
    result = run("check", write("planted"), "--json")
    assert result.exit_code == 1
    found = document(result)
    assert (found["schema"], found["passed"], found["verdict"]) == (1, False, "wrong")
    assert [t["name"] for t in found["tensors"] if t["verdict"] == "wrong"] == ["b1", "W2"]
    assert [t["ratio"] for t in found["tensors"] if t["ratio"]] == pytest.approx([4.0, 2.0])


def test_check_by_the_textbook_method_gives_the_published_difference():
    result = run("check", write("planted"), "--method", "textbook", "--step", "1e-7", "--json")
    found = document(result)
    assert (found["method"], found["step"]) == ("textbook", 1e-7)
    assert found["relative_difference"] == pytest.approx(0.28509315, abs=1e-7)


@pytest.mark.parametrize("scheme", ["forward", "central", "five-point"])
@pytest.mark.parametrize(("name", "code"), [("repaired", 0), ("planted", 1)])
def test_check_by_each_scheme_of_the_textbook(scheme, name, code):
    """Each is judged by its own measured error, forward with its truncation too."""
    for step in ("1e-4", "1e-7"):
        result = run("check", write(name), "--method", "textbook", "--step", step, "--scheme", scheme, "--json")
        assert result.exit_code == code, result.output
        assert document(result)["scheme"] == scheme
    text = run("check", f"{name}.npz", "--method", "textbook", "--scheme", scheme, "-v").stdout
    assert (f"method textbook with {scheme} differences and a step of 1e-07" in " ".join(text.split())) == (scheme != "central")


def test_scheme_without_the_textbook_says_what_to_do():
    result = run("check", write("repaired"), "--scheme", "forward")
    assert result.exit_code == 2
    assert "--method textbook" in result.stderr


def test_options_override_the_file():
    path = write("repaired", output="identity", hidden="sigmoid")
    result = run("check", path, "--activations", "relu,relu,sigmoid")
    assert result.exit_code == 0, result.output


def test_check_a_sample():
    result = run("check", write("repaired"), "--sample", "20", "--seed", "3", "--json")
    assert result.exit_code == 0
    found = document(result)
    assert found["parameters_total"] == 47
    assert found["parameters_checked"] < 47
    assert found["sample_seed"] == 3


def test_tolerance_of_ones_own():
    result = run("check", write("repaired"), "--tolerance", "1000", "--json")
    found = document(result)
    assert {tensor["tolerance"] for tensor in found["tensors"]} == {1000.0}
    assert found["derived_tolerance"] != 1000.0
    assert found["tensors"][0]["outcomes"]["right"] == 20
    refused = run("check", "repaired.npz", "--tolerance", "-1")
    assert (refused.exit_code, "tolerance must be a positive number" in refused.stderr) == (2, True)


def test_check_without_gradients_points_to_gradient():
    result = run("check", write("repaired", leave_out="d"))
    assert result.exit_code == 2
    assert "nothing to check" in result.stderr
    assert "fastgrad gradient repaired.npz" in result.stderr


@pytest.mark.parametrize(("verdict", "code"), [("right", 0), ("wrong", 1), ("not judged", 3)])
def test_exit_code_follows_the_verdict(monkeypatch, verdict, code):
    class Given:
        def to_dict(self):
            return {"verdict": verdict}

    given = Given()
    given.verdict = verdict
    monkeypatch.setattr(walk, "check_problem", lambda *_, **__: given)
    assert run("check", write("repaired"), "--json").exit_code == code


# The other commands.


def test_info():
    result = run("info", write("digits"))
    assert result.exit_code == 0
    text = " ".join(result.stdout.split())
    for phrase in [
        "784 inputs -> 50 sigmoid -> 10 softmax",
        "softmax_crossentropy, mean over 100 examples; no penalty",
        "W1 (784, 50) (in, out) 39,200 dW1 float64",
        "b2 (10,) bias 10 db2 float64",
        "39,760 parameters, 100 examples",
        "by method textbook",
    ]:
        assert phrase in text


def test_info_needs_no_gradients_and_speaks_json():
    result = run("info", write("repaired", leave_out="d"), "--l2", "0.5", "--json")
    assert result.exit_code == 0
    found = document(result)
    assert (found["widths"], found["activations"]) == ([4, 5, 3, 1], ["relu", "relu", "sigmoid"])
    assert (found["examples"], found["parameters_total"], found["dropout"]) == (3, 47, [])
    assert [(t["name"], t["l2"], t["l1"]) for t in found["tensors"]][:2] == [("W1", 0.5, 0.0), ("b1", 0.0, 0.0)]
    assert {t["gradient_name"] for t in found["tensors"]} == {None}
    assert found["estimated_seconds"].keys() == {"parameter", "preactivation", "textbook", "directional"}


@pytest.mark.parametrize(("name", "ratio"), [("repaired", 1), ("forgotten-m", 8)])
def test_gradient_is_written_in_the_users_names_and_shapes(name, ratio):
    result = run("gradient", write(name))
    assert result.exit_code == 0, result.output
    found = load_arrays(f"{name}_gradient.npz")
    claimed = {k: v for k, v in demo.find(name).build()[0].items() if k.startswith("d")}
    assert found.keys() == claimed.keys()
    for key, array in claimed.items():
        assert found[key].shape == array.shape
        np.testing.assert_allclose(found[key], array / ratio, rtol=1e-10, atol=1e-13)


def test_gradient_of_a_file_without_gradients():
    result = run("gradient", write("repaired", leave_out="d"), "-o", "out.npz", "--sample", "10", "--json")
    assert result.exit_code == 0
    assert document(result)["written"] == "out.npz"
    found = load_arrays("out.npz")
    assert sorted(found) == ["dW1", "dW2", "dW3", "db1", "db2", "db3"]
    assert np.isnan(found["dW1"]).any()


def test_gradient_never_writes_over_a_file_unasked(folder):
    path = write("repaired")
    (folder / "out.npz").write_text("mine")
    refused = run("gradient", path, "-o", "out.npz")
    assert refused.exit_code == 2
    assert "--force" in refused.stderr
    assert (folder / "out.npz").read_text() == "mine"
    assert run("gradient", path, "-o", "out.npz", "--force").exit_code == 0
    before = (folder / path).read_bytes()
    assert run("gradient", path, "-o", path, "--force").exit_code == 2
    assert (folder / path).read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "phrases"),
    [
        ([], ["2 of 6 gradients are wrong", "exactly the planted mistakes", "fastgrad demo repaired"]),
        (["repaired"], ["All 6 gradients are right", "nothing was planted", "fastgrad check repaired.npz"]),
        (["forgotten-m"], ["is 8 times too large, the number of examples m", "exactly the planted mistakes"]),
        pytest.param(["digits"], ["39,760 parameters checked in"], marks=pytest.mark.compiled),
        pytest.param(["cat"], ["61,481 parameters checked in"], marks=pytest.mark.compiled),
    ],
)
def test_demo(folder, arguments, phrases):
    for _ in range(2):  # the second time the file is there already
        result = run("demo", *arguments)
        assert result.exit_code == 0, result.output
        text = " ".join(result.stdout.split())
        assert all(phrase in text for phrase in phrases)
    assert [path.name for path in folder.iterdir()] == [f"{(arguments or ['planted'])[0]}.npz"]


def test_demo_never_writes_over_another_file(folder):
    (folder / "planted.npz").write_text("mine")
    result = run("demo")
    assert result.exit_code == 2
    assert "another folder" in result.stderr
    assert (folder / "planted.npz").read_text() == "mine"


def test_demo_as_json():
    assert document(run("demo", "--json"))["verdict"] == "wrong"


# What goes wrong.


@pytest.mark.parametrize("arguments", [["check", "no.npz"], ["check"], ["info", "x", "--l2", "?"], ["gradient", "no.npz"]])
def test_errors_as_json(arguments):
    result = run(*arguments, "--json")
    assert result.exit_code == 2
    assert result.stderr == ""
    found = document(result)
    assert {key: found[key] for key in ("schema", "passed", "verdict")} == {
        "schema": 1,
        "passed": False,
        "verdict": "not judged",
    }
    assert found["error"]


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (InputError("W2 \x1b[31mhas"), 2, "Error: W2 \\x1b[31mhas\n"),
        (MemoryError(), 2, "Error: this machine has not enough memory for it; check fewer examples\n"),
        (PermissionError(13, "Permission denied", "x.npz"), 2, "Error: x.npz: Permission denied\n"),
        (BrokenPipeError(32, "Broken pipe"), 2, "Error: Broken pipe\n"),
        (EOFError("odd"), 2, "Error: internal error, please report it: EOFError: odd\n"),
        (RuntimeError("odd"), 2, "Error: internal error, please report it: RuntimeError: odd\n"),
        (KeyboardInterrupt(), 130, "Interrupted."),
    ],
)
def test_whatever_happens_is_said_in_a_line(monkeypatch, error, code, message):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(modelfile, "load", fail)
    result = run("check", "x.npz")
    assert result.exit_code == code
    assert result.stdout == ""
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_developer_can_ask_for_the_traceback(monkeypatch):
    monkeypatch.setattr(modelfile, "load", None)
    monkeypatch.setenv("FASTGRAD_TRACEBACK", "1")
    assert "Traceback" in run("check", "x.npz").stderr


# A real process.


def test_a_process_gives_plain_text_and_the_exit_code():
    result = in_a_process("check", write("planted"))
    assert result.returncode == 1
    assert "✗ WRONG" in result.stdout
    assert "\x1b" not in result.stdout


def test_a_process_whose_reader_has_gone_still_tells_its_verdict():
    code = (
        "import os, sys; r, w = os.pipe(); os.close(r); os.dup2(w, 1);"
        "from fastgrad_cli.main import main; main(['check', 'repaired.npz'])"
    )
    write("repaired")
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0
    assert "Broken" not in result.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_process_in_an_old_encoding(monkeypatch, encoding):
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    result = in_a_process("check", write("planted"))
    assert result.returncode == 1
    assert "x WRONG" in result.stdout


# Progress.


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("patience", "shown"), [(0.0, True), (60.0, False)])
def test_progress_bar_appears_only_for_what_takes_long(monkeypatch, patience, shown):
    screen = Terminal()
    monkeypatch.setattr(terminal, "PATIENCE", patience)
    monkeypatch.setenv("TERM", "xterm")
    with contextlib.redirect_stderr(screen), terminal.ProgressBar() as progress:
        for done in range(0, 101, 10):
            progress(done, 100)
    assert ("100%" in screen.getvalue()) == shown


def test_progress_bar_is_silent_without_a_terminal(monkeypatch):
    monkeypatch.setattr(terminal, "PATIENCE", 0.0)
    stream = io.StringIO()
    with contextlib.redirect_stderr(stream), terminal.ProgressBar() as progress:
        progress(1, 2)
    assert stream.getvalue() == ""


def test_a_long_diagnosis_shows_how_far_it_is(monkeypatch):
    screen = Terminal()
    monkeypatch.setattr(terminal, "PATIENCE", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    draw = np.random.default_rng(0)
    parameters = {"W1": draw.normal(size=(5, 4)), "W2": draw.normal(size=(3, 5))}
    gradients = {f"d{name}": draw.normal(size=array.shape) for name, array in parameters.items()}
    X, Y = draw.normal(size=(7, 4)), draw.normal(size=(7, 3))
    told = []

    class Watched(terminal.ProgressBar):
        def __call__(self, done, total):
            told.append((self._doing, done, total))
            super().__call__(done, total)

    with contextlib.redirect_stderr(screen), Watched() as progress:
        fastgrad.check(parameters, gradients, X, Y, hidden="tanh", output="identity", loss="squared_error", progress=progress)
    assert ("looking for the mistake", 0, 2) in told
    assert "looking for the mistake" in screen.getvalue()


def test_a_plain_progress_is_told_of_parameters_alone():
    draw = np.random.default_rng(0)
    W, X, Y = draw.normal(size=(3, 4)), draw.normal(size=(7, 4)), draw.normal(size=(7, 3))
    totals = set()
    options = {"output": "identity", "loss": "squared_error", "progress": lambda done, total: totals.add(total)}
    fastgrad.check({"W1": W}, {"dW1": draw.normal(size=W.shape)}, X, Y, **options)
    assert totals == {W.size}


# Diagnosis.


def test_findings_stand_in_the_document():
    findings = json.loads(run("check", write("planted"), "--json").stdout)["findings"]
    assert [(finding["code"], finding["tensor"], finding["layer"]) for finding in findings] == [
        ("factor.two", "dW2", 2),
        ("factor.constant", "db1", 1),
    ]
    assert [(finding["explains"], finding["entries"]) for finding in findings] == [(15, 15), (5, 5)]
    assert all(finding["residual"] < 1e-14 and finding["sentence"] and finding["repair"] for finding in findings)


def test_explain():
    assert "lacks the derivative" in run("explain", "slope.missing").stdout
    family = run("explain", "slope").stdout
    assert "slope.twice" in family
    assert "way." not in family
    everything = json.loads(run("explain", "--json").stdout)["codes"]
    assert len(everything) > 60
    assert "the wrong sign" in run("explain", "relation.sign").stdout
    assert "One edit of the source" in run("explain", "repair.line").stdout
    assert all("{" not in text for entry in everything for text in entry.values())
    result = run("explain", "nonsense")
    assert result.exit_code == 2
    assert "give a family: factor, slope" in result.stderr


def test_selftest():
    result = run("selftest", write("forgotten-m"), "--json")
    assert result.exit_code == 0, result.output
    mistakes = {row["code"]: row for row in json.loads(result.stdout)["mistakes"]}
    assert mistakes["slope.missing"]["named"] == mistakes["slope.missing"]["planted"] == 1
    assert not any(row["misled"] for row in mistakes.values())


@pytest.mark.extra("matplotlib")
@pytest.mark.parametrize("more", [(), ("--method", "directional"), ("--sample", "50%")])
def test_picture_of_errors(folder, more):
    result = run("check", write("planted"), "--plot", "errors.svg", *more)
    assert result.exit_code == 1, result.output
    assert result.stdout.splitlines()[-1] == "Wrote errors.svg."
    assert (folder / "errors.svg").read_bytes().startswith(b"<?xml")


@pytest.mark.extra("matplotlib")
def test_picture_of_errors_beside_a_document(folder):
    result = run("check", write("planted"), "--plot", "errors.png", "--json")
    assert json.loads(result.stdout)["verdict"] == "wrong"
    assert (folder / "errors.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.extra("matplotlib")
def test_no_picture_of_a_right_gradient(folder):
    result = run("check", write("repaired"), "--plot", "errors.svg")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1].startswith("No picture was written")
    assert not (folder / "errors.svg").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("errors.pdf", "must end in .png or .svg, found 'errors.pdf'"),
        ("nowhere/errors.svg", "no folder 'nowhere'"),
        ("folder.svg", "folder.svg: this is a folder"),
    ],
)
def test_picture_of_errors_asked_for_wrongly(folder, name, message):
    (folder / "folder.svg").mkdir()
    result = run("check", write("planted"), "--plot", name)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_picture_of_errors_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = run("check", write("planted"), "--plot", "errors.svg")
    assert (result.exit_code, result.stdout) == (2, "")
    assert 'pip install "matplotlib>=3.8,<4"' in result.stderr


@pytest.mark.extra("matplotlib")
def test_picture_of_the_first_point_at_which_a_function_is_wrong(folder):
    source = "import numpy as np\n\ndef backward(p, X, Y):\n    return {'dW1': (X.T @ (X @ p['W1'] - Y)) * 3}\n"
    (folder / "mine.py").write_text(source)
    draw = np.random.default_rng(0)
    arrays = {"W1": draw.normal(size=(3, 2)), "X": draw.normal(size=(5, 3)), "Y": draw.normal(size=(5, 2))}
    modelfile.save_arrays("m.npz", {**arrays, "output": "identity", "loss": "squared_error"})
    result = run("check", "m.npz", "--backward", "mine.py:backward", "--plot", "errors.svg")
    assert result.exit_code == 1, result.output
    assert (folder / "errors.svg").exists()


# Vectors, labels and losses of libraries.


def logistic(labels, theta_grad_factor=1.0):
    """Write logistic regression as one vector with the bias first, and labels of any kind; return the usual options."""
    rng = np.random.default_rng(4)
    X, places, theta = rng.normal(size=(6, 3)), np.array([0, 1, 1, 0, 1, 0]), rng.normal(size=4)
    A = np.column_stack([np.ones(6), X])
    grad = theta_grad_factor * A.T @ (1 / (1 + np.exp(-A @ theta)) - places) / 6
    np.savez("m.npz", theta=theta, grad=grad, X=X, y=np.array(labels)[places])
    return ("check", "m.npz", "--sizes", "3,1", "--bias-column", "first", "--loss", "BCELoss")


def test_options_of_vectors_labels_and_losses():
    assert run(*logistic([0, 1])).exit_code == 0
    assert run(*logistic([-1, 1]), "--classes=-1,1").exit_code == 0
    assert run(*logistic([1, 2]), "--first-label", "1").exit_code == 0
    assert run(*logistic([0, 1], 2.5), "--scale", "2.5").exit_code == 0
    assert run(*logistic([0, 1], 2.5)).exit_code == 1
    found = run(*logistic([5, 7]))
    assert found.exit_code == 2
    assert "takes labels from 0 to 1" in found.stderr


def test_the_command_that_a_question_names_answers_it():
    """Typed as it stands it asks nothing more; what it says is an example."""
    logistic([0, 1])
    question = run("check", "m.npz", "--bias-column", "first").stderr
    command = question.partition("The whole command: fastgrad ")[2].split()
    assert command[:2] == ["check", "m.npz"]
    assert {"--bias-column", "--output", "--loss"} <= set(command)
    assert run(*command).exit_code == 0


@pytest.mark.parametrize("command", ["compare", "sweep", "gradient", "grade"])
def test_a_question_is_answered_by_the_command_that_asks_it(command, tmp_path):
    """With all that was typed: what is not understood again is left out, and the answer comes before a lone --."""
    name = write("repaired", leave_out="hidden")
    Path("f.py").write_text("def backward(p, X, Y): ...\n", encoding="utf-8")
    typed = {
        "compare": ["compare", name, name, "--l2=0.1"],
        "sweep": ["sweep", "--sample", "5", name],
        "gradient": ["gradient", name, "--to", "my gradient.npz"],
        "grade": ["grade", "f.py", "--network", name, "--to", "results"],
    }[command]
    question = run(*typed).stderr
    told = shlex.split(question.partition("The whole command: fastgrad ")[2])
    assert told == [*typed, "--activations", "relu"] or told == [*typed, "--hidden", "tanh"]


def test_the_answer_of_a_question_takes_the_place_of_what_was_typed():
    question = QuestionError("which", {"layout": "columns,out_in", "classes": "-1,1"})
    typed = ["check", "--layout", "columns", "--classes=0,1", "--l2", "0.5", "--", "-m.npz"]
    text = str(terminal._with_command(question, typed))
    command = "fastgrad check --l2 0.5 --layout columns,out_in --classes=-1,1 -- -m.npz"
    assert text.endswith(f"The whole command: {command}")


def test_compare_in_one_line():
    write("repaired")
    assert run("compare", "repaired.npz", "repaired.npz", "-q").stdout.count("\n") == 1
    assert run("compare", "repaired.npz", "repaired.npz", "-q", "-v").exit_code == 2


@pytest.mark.compiled
@pytest.mark.skipif(not native.is_proven(), reason="numba itself calls the kernels with these versions or here")
def test_a_right_check_imports_only_what_it_needs():
    """A third of its time went into modules that only wrong gradients, tables, settings and compiling need."""
    run("check", write("repaired"))  # whatever has to be compiled is from now on kept
    code = (
        "import sys\nfrom fastgrad_cli.main import main\n"
        "try: main(['check', 'repaired.npz'])\n"
        "except SystemExit as end: print(end.code, *sorted(set(sys.argv[1:]) & set(sys.modules)))\n"
    )
    needless = ["numba", "importlib.metadata", "subprocess", "rich.table", "tomllib", "difflib", "html", "fastgrad.diagnosis"]
    done = subprocess.run([sys.executable, "-c", code, *needless], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0", done.stdout + done.stderr
