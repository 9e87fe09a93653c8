"""A stranger's function in a process of its own: it decides neither the exit code nor the output, whatever it does.

Also the exit codes and streams of the command. Everything here goes through the command or the package's public names.
"""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import fastgrad
from fastgrad_cli import terminal
from fastgrad_cli.main import main

POSIX = pytest.mark.skipif(os.name != "posix", reason="needs processes and signals of POSIX")
FAR = 300
"""Seconds after which something hangs, on the busiest machine; functions that do not return take twice as long."""

MODULE = """
import os, signal, subprocess, sys, time
import numpy as np

def right(p, X, Y):
    return {"dW1": X.T @ (X @ p["W1"] - Y) / len(X)}

def calls_exit(p, X, Y): exit()
def calls_sys_exit(p, X, Y): sys.exit(0)
def raises_base(p, X, Y): raise BaseException("of another kind")
def raises_interrupt(p, X, Y): raise KeyboardInterrupt
def leaves(p, X, Y): os._exit(0)
def sleeps(p, X, Y): time.sleep(600)
def loops(p, X, Y):
    while True: pass

def crashes(p, X, Y):
    import ctypes
    ctypes.string_at(0)

def prints(p, X, Y):
    print("from print \\u2713")
    os.write(1, b"from descriptor 1\\n")
    subprocess.run([sys.executable, "-S", "-c", "print('from a child')"])
    return right(p, X, Y)

def forks(p, X, Y):
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)
    children = [subprocess.Popen(["sleep", "60"])]
    if sys.platform == "linux":
        children += [subprocess.Popen(["sleep", "60"], start_new_session=True)]
    with open("children", "a") as file:
        print(*(child.pid for child in children), file=file)
    return right(p, X, Y)

def comes_back_twice(p, X, Y):
    assert __name__ != "mine", "never in the process of the tests"
    os.fork()
    return right(p, X, Y)

def interrupts(p, X, Y):
    assert __name__ != "mine", "never in the process of the tests"
    os.kill(os.getppid(), signal.SIGINT)
    time.sleep(600)

kept = {}

def adds(p, X, Y):
    for name, value in right(p, X, Y).items():
        kept[name] = kept.get(name, 0) + value
    return kept

def updates(p, X, Y):
    found = right(p, X, Y)
    p["W1"] -= found["dW1"]
    return found

def turns(p, X, Y):
    found = right(p, X, Y)
    X.shape = X.shape[::-1]
    return found

def huge(p, X, Y): return {"dW1": np.broadcast_to(0.0, (10**9, 10**9))}
def masked(p, X, Y): return {"dW1": np.ma.masked_less(right(p, X, Y)["dW1"], 0.1)}
def objects(p, X, Y): return {"dW1": np.array([[object(), None]])}

def endless(p, X, Y):
    found = []
    found.append(found)
    return found

class Hostile(dict):
    def items(self): raise RuntimeError("not for you")

def hostile(p, X, Y): return Hostile(W1=0)
"""


def point():
    rng = np.random.default_rng(0)
    return {"W1": rng.standard_normal((3, 2))}, rng.standard_normal((6, 3)), rng.standard_normal((6, 2))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a model without gradients, one with them, and the module."""
    monkeypatch.chdir(tmp_path)
    parameters, X, Y = point()
    said = {"output": "identity", "loss": "squared_error"}
    fastgrad.save("model.npz", parameters, X=X, Y=Y, **said)
    right = {"dW1": X.T @ (X @ parameters["W1"] - Y) / 6}
    fastgrad.save("right.npz", parameters, right, X, Y, **said)
    fastgrad.save("wrong.npz", parameters, {"dW1": 3 * right["dW1"]}, X, Y, **said)
    Path("mine.py").write_text(MODULE, encoding="utf-8")
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(main, arguments, prog_name="fastgrad")


def tried(name, *more, file="model.npz"):
    """Return the exit code, the document, and what else was printed, of trying a function."""
    result = run("check", file, "--backward", name if ":" in name else f"mine.py:{name}", "--json", *more)
    return result.exit_code, json.loads(result.stdout), result.stderr


def started(*arguments, **options):
    command = [sys.executable, "-P", "-m", "fastgrad_cli", *arguments]
    return subprocess.Popen(command, text=True, encoding="utf-8", **options)


def reason(document):
    assert document["verdict"] == "not judged"
    assert [seen["kind"] for seen in document["observations"]] == ["failed"]
    return document["observations"][0]["text"]


# What a function does instead of returning gradients.


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("calls_exit", "SystemExit"),
        ("calls_sys_exit", "SystemExit: 0 (mine.py, line "),
        ("raises_base", "BaseException: of another kind (mine.py, line "),
        ("raises_interrupt", "KeyboardInterrupt (mine.py, line "),
    ],
)
def test_a_function_that_leaves_is_not_judged(folder, name, said):
    code, document, _ = tried(name)
    assert code == 3
    assert said in reason(document)


@POSIX
def test_a_function_that_ends_or_crashes_its_process_is_not_judged(folder):
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    names = ["leaves", "crashes"]
    runs = [started("check", "model.npz", "--backward", f"mine.py:{name}", "--json", **options) for name in names]
    left, crashed = (json.loads(process.communicate(timeout=FAR)[0]) for process in runs)
    assert [process.returncode for process in runs] == [3, 3]
    assert "ended the process that it ran in, with exit code 0" in reason(left)
    assert "SIGSEGV" in reason(crashed)


@pytest.mark.parametrize("name", ["sleeps", "loops"])
def test_a_function_that_never_returns_is_not_judged(folder, name):
    began = time.monotonic()
    code, document, _ = tried(name, "--timeout", "0.3")
    assert code == 3
    assert "took longer than 0.3 s; --timeout SECONDS allows more" in reason(document)
    assert time.monotonic() - began < FAR


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import sys; sys.exit(0)", "SystemExit: 0 (odd.py, line 1"),
        ("raise BaseException('odd')", "BaseException: odd"),
        ("import numpy_", "ModuleNotFoundError: No module named 'numpy_' (odd.py, line 1"),
        ("def f(:", "SyntaxError"),
        ("import time; time.sleep(600)", "importing odd.py took longer than 0.5 s; --timeout SECONDS"),
    ],
)
def test_a_module_that_fails_is_not_judged(folder, source, said):
    Path("odd.py").write_text(source)
    code, document, _ = tried("odd.py:f", *(("--timeout", "0.5") if "sleep" in source else ()))
    assert code == 3
    assert said in reason(document)


def test_zero_seconds_are_no_limit(folder):
    assert tried("right", "--timeout", "0")[0] == 0


@pytest.mark.parametrize("seconds", ["-1", "nan", "inf"])
def test_time_must_be_a_number_of_seconds(folder, seconds):
    result = run("check", "model.npz", "--backward", "mine.py:right", "--timeout", seconds)
    assert result.exit_code == 2
    assert "timeout must be a finite number of seconds, 0 for no limit" in result.stderr


def test_time_without_a_function_is_refused(folder):
    result = run("check", "right.npz", "--timeout", "3")
    assert result.exit_code == 2
    assert "--timeout goes with --backward" in result.stderr


def test_time_grows_with_the_network():
    from fastgrad_cli.functions import LEAST, patience

    small, large = ({"W1": np.zeros((n, n))} for n in (2, 1000))
    assert LEAST <= patience(small, np.zeros((5, 2)), np.zeros((5, 2))) < LEAST + 1
    assert patience(large, np.zeros((100, 1000)), np.zeros(100)) > 100 * LEAST


# What it prints, starts and keeps.


def test_what_a_function_prints_goes_to_stderr_and_changes_nothing(folder):
    code, document, beside = tried("prints")
    assert (code, document["verdict"]) == (0, "right")
    for text in ("from print ✓", "from descriptor 1", "from a child"):
        assert text in beside


@POSIX
def test_a_full_stderr_is_no_matter_of_the_functions(folder):
    with open("/dev/full", "w") as full:
        process = started("check", "model.npz", "--backward", "mine.py:prints", stdout=subprocess.DEVNULL, stderr=full)
        assert process.wait(60) == 0


def alive(process):
    """Tell whether a process still runs; one that has ended may not have been fetched by anybody yet."""
    try:
        os.kill(process, 0)
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except OSError:  # no /proc on this system, or gone just now
        return not Path("/proc").exists()


@POSIX
def test_children_that_a_function_leaves_are_ended(folder):
    try:
        assert tried("forks")[0] == 0
        children = [int(word) for word in Path("children").read_text().split()]
        assert len(children) > 2
        until = time.monotonic() + 30  # less than they sleep
        while any(map(alive, children)) and time.monotonic() < until:
            time.sleep(0.05)
        assert not any(map(alive, children))
    finally:
        for child in map(int, Path("children").read_text().split()):
            if alive(child):
                os.kill(child, signal.SIGKILL)


@POSIX
def test_a_child_that_returns_from_the_function_as_well_is_not_heard(folder):
    assert tried("comes_back_twice")[1]["verdict"] == "right"


@pytest.mark.parametrize(
    ("name", "said"),
    [("adds", "gave dW1 twice as large"), ("updates", "changes the W1 that"), ("turns", "changes the X that")],
)
def test_state_and_changed_arguments_are_seen_from_outside(folder, name, said):
    code, document, _ = tried(name, file="right.npz")
    assert code == 1
    assert said in document["observations"][0]["text"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("huge", "GiB are free"),
        ("masked", "masked entries"),
        ("objects", "Python objects"),
        ("endless", "0 gradients: give one for each"),
        ("hostile", "cannot be read: RuntimeError: not for you"),
    ],
)
def test_strange_returns_come_as_a_sentence(folder, name, said):
    code, document, _ = tried(name)
    assert code == 3
    assert said in reason(document)


# Files and names.


def test_a_file_with_gradients_can_be_tried(folder):
    """The names of its gradients stand in it, and the function need not use them."""
    Path("other.py").write_text("from mine import right\n\ndef f(p, X, Y):\n    return {'W1': right(p, X, Y)['dW1']}\n")
    for name in ("right", "other.py:f"):
        code, document, _ = tried(name, file="wrong.npz")
        assert (code, document["verdict"]) == (0, "right")


def test_a_file_with_the_name_of_a_standard_module_replaces_nothing(folder):
    source = (
        "import copy as standard, dataclasses, pickle\n"
        "from .mine import right\n"
        "from mine import sys\n\n"
        "@dataclasses.dataclass\n"
        "class Pair:\n"
        "    x: int = 3\n\n"
        "def f(p, X, Y):\n"
        "    assert standard.deepcopy([1]) == [1]\n"
        "    assert pickle.loads(pickle.dumps(Pair())) == Pair()\n"
        "    assert 'f' not in vars(sys.modules['copy'])\n"
        "    return right(p, X, Y)\n"
    )
    Path("copy.py").write_text(source)
    code, document, _ = tried("copy.py:f")
    assert (code, document["verdict"]) == (0, "right"), document
    result = run("check", "model.npz", "--backward", "copy:f")
    assert result.exit_code == 2
    assert "for the file in this folder say copy.py:NAME" in result.stderr


def test_a_file_in_a_package_imports_its_neighbours(folder):
    for place in ("net", "net/parts"):
        Path(place).mkdir()
        Path(place, "__init__.py").write_text("RATE = 1\n")
    Path("net/parts/layers.py").write_text(MODULE)
    Path("net/parts/main.py").write_text("from .. import RATE\nfrom .layers import right as f\n")
    assert tried("net/parts/main.py:f")[1]["verdict"] == "right"


# The library, where the function runs in the caller's process.


@pytest.mark.parametrize("error", [SystemExit(0), SystemExit(), GeneratorExit(), BaseException("odd")])
def test_exit_in_the_library_is_not_judged(error):
    def leaves(p, X, Y):
        raise error

    parameters, X, Y = point()
    report = fastgrad.check(parameters, backward=leaves, X=X, Y=Y, output="identity", loss="squared_error")
    assert report.verdict == "not judged"
    assert type(error).__name__ in report.observations[0].text


# Exit codes and streams.


def test_exit_codes_stand_in_the_help():
    for arguments in ((), ("check",)):
        text = " ".join(run(*arguments, "--help").stdout.split())
        for code in ("2 the command, a file or fastgrad itself is at fault; 3", "not judged", "130 interrupted"):
            assert code in text


@POSIX
def test_lost_output_is_told_and_never_turns_an_answer_round(folder):
    """On a full disk right becomes 2; wrong stays wrong; a reader that has gone, or a closed stream, changes nothing."""
    reader, writer = os.pipe()
    os.close(reader)
    with open("/dev/full", "w") as full:
        runs = [
            started("check", "right.npz", stdout=full, stderr=subprocess.PIPE),
            started("check", "wrong.npz", stdout=full, stderr=full),
            started("demo", stdout=writer, stderr=writer),
        ]
    os.close(writer)
    closed = f'"{sys.executable}" -P -m fastgrad_cli check right.npz >&- 2>&- <&-'
    runs.append(subprocess.Popen(["sh", "-c", closed]))
    told = [process.communicate(timeout=FAR)[1] for process in runs]
    assert [process.returncode for process in runs] == [2, 1, 0, 0]
    assert "Error: the output could not be written: No space left on device" in told[0]


def press(*_, **__):
    raise KeyboardInterrupt


COMMANDS = [("check",), ("info",), ("gradient",), ("sweep",), ("selftest",)]


@pytest.mark.parametrize("command", [*COMMANDS, ("check", "--backward", "mine.py:right"), ("demo",)])
def test_ctrl_c_before_the_work_is_one_document(folder, monkeypatch, command):
    monkeypatch.setattr(zipfile, "ZipFile", press)
    result = run(command[0], *(() if command == ("demo",) else ("model.npz",)), *command[1:], "--json")
    assert result.exit_code == 130
    found = json.loads(result.stdout)
    assert (found["passed"], found["verdict"], found["error"]) == (False, "not judged", "interrupted")


@pytest.mark.parametrize("module", ["fastgrad", "fastgrad_cli"])
def test_ctrl_c_during_imports_is_one_document(tmp_path, module):
    """A module of click's name stands before click, is interrupted once, and takes itself out of the way."""
    (tmp_path / "click.py").write_text(
        f"import sys\nsys.path.remove({str(tmp_path)!r})\nsys.path_importer_cache.clear()\nraise KeyboardInterrupt\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    for arguments, output in ((["check", "model.npz"], ""), (["check", "model.npz", "--json"], "interrupted")):
        command = [sys.executable, "-P", "-m", module, *arguments]
        result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=FAR)
        assert (result.returncode, "Traceback" in result.stderr) == (130, False), result.stderr
        assert (json.loads(result.stdout)["error"] if output else result.stdout) == output


@POSIX
def test_ctrl_c_while_the_function_runs_is_one_document(folder):
    began = time.monotonic()
    code, document, _ = tried("interrupts")
    assert (code, document["error"]) == (130, "interrupted")
    assert time.monotonic() - began < FAR


@pytest.mark.parametrize("command", [("gradient",), ("sweep",), ("selftest",), ("demo", "train", "--iterations", "2")])
def test_ctrl_c_during_the_work_is_one_document(folder, monkeypatch, command):
    monkeypatch.setattr(terminal.ProgressBar, "__call__", press)
    if "train" in command:  # it counts no progress
        monkeypatch.setattr(np.random, "default_rng", press)
    result = run(*command, *(() if "train" in command else ("right.npz",)), "--json")
    assert result.exit_code == 130
    assert json.loads(result.stdout)["error"] == "interrupted"


def test_an_end_of_file_is_no_ctrl_c(folder, monkeypatch):
    def ends(*_, **__):
        raise EOFError("nothing more")

    monkeypatch.setattr(zipfile, "ZipFile", ends)
    result = run("check", "right.npz")
    assert result.exit_code == 2
    assert "EOFError: nothing more" in result.stderr
    assert "Interrupted" not in result.stderr


def test_a_broken_pipe_of_another_kind_is_an_error(folder, monkeypatch):
    """Click would leave with 1, as if a gradient were wrong."""

    def breaks(*_, **__):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(np.random, "default_rng", breaks)
    result = run("demo", "train", "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"] == "Broken pipe"


@pytest.mark.extra("matplotlib")
def test_a_picture_that_fails_leaves_the_document_and_the_verdict(folder, monkeypatch):

    def fails(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", fails)
    result = run("check", "wrong.npz", "--plot", "errors.svg", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["verdict"] == "wrong"
    assert "No space left" in result.stderr
