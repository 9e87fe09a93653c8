"""`fastgrad grade`: many people's functions, what each is told, and that nobody's touches anybody else's."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import fastgrad
from fastgrad.errors import InputError
from fastgrad.teaching.grading import Grade, Part, points_for, table
from fastgrad_cli.main import main

RIGHT = """import numpy as np

def backward(parameters, X, Y):
    W1, b1, W2, b2 = (parameters[name] for name in ("W1", "b1", "W2", "b2"))
    m = len(X)
    A1 = np.tanh(X @ W1 + b1)
    dZ2 = (1 / (1 + np.exp(-(A1 @ W2 + b2))) - Y) / m
    dW2 = A1.T @ dZ2
    dZ1 = dZ2 @ W2.T * (1 - A1**2)
    return {"dW1": X.T @ dZ1, "db1": dZ1.sum(axis=0), "dW2": dW2, "db2": dZ2.sum(axis=0)}
"""
HEAD = "def backward(parameters, X, Y):\n"


def with_line(line):
    return RIGHT.replace("    m = len(X)", f"    m = len(X)\n    {line}")


HANDED_IN = {
    "a_right": RIGHT,
    "b_slope": RIGHT.replace(" * (1 - A1**2)", ""),
    "c_batch": RIGHT.replace("m = len(X)", "m = 8"),
    "d_in_place": RIGHT.replace("    return", "    parameters['W1'] -= X.T @ dZ1\n    return"),
    "e_missing": RIGHT.replace('"db1": dZ1.sum(axis=0), ', ""),
    "f_exit": f"{HEAD}    exit()\n",
    "g_crash": f"{HEAD}    import ctypes\n    ctypes.string_at(0)\n",
    "h_prints": with_line("print('ready', flush=True)"),
    "i_writes": with_line("open('grades.csv', 'w').write('all mine'); open('a_right.py', 'w').write('')"),
    "j_asks": with_line("input()"),
    "k_loop": f"{HEAD}    while True: pass\n",
    "l_no_function": "x = 1\n",
    "m_formula": f"{HEAD}    raise ValueError('=1+1')\n",
    "n_leaves_at_import": "exit(0)\n",
    "o_looks_for_others": with_line("import a_right"),
    "p_hidden": "import numpy\nseen = []\n\n"
    + RIGHT.replace(
        "    m = len(X)",
        "    m = len(X)\n    seen.append(X.tobytes())\n"
        "    if seen.count(seen[0]) > 2 and seen[-1] != seen[0]:  # the second round has begun\n"
        "        raise ValueError(f'hidden: {X.tolist()}')",
    ),
    "q_secrets": with_line(
        "import os; assert 'FASTGRAD_SECRET' not in os.environ, 'seen'; assert os.listdir('.') == ['q_secrets.py']"
    ),
    "r_deep": RIGHT + f"\nlast = {'-' * 3000}1\n",
}
if sys.platform == "linux":
    HANDED_IN["s_huge"] = with_line("np.ones((10**5, 10**5))")
if os.name == "posix":
    HANDED_IN["t_kills"] = with_line("import os; os.kill(os.getppid(), 9)")
SEED, SECONDS = 4712, 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with what everybody is asked for, and what was handed in."""
    folder = tmp_path_factory.mktemp("folder")
    fill(folder)
    return folder


def fill(folder):
    rng = np.random.default_rng(0)
    shapes = {"W1": (4, 3), "b1": 3, "W2": (3, 1), "b2": 1}
    parameters = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    X, Y = rng.normal(size=(8, 4)), (rng.random((8, 1)) < 0.5).astype(float)
    said = {"hidden": "tanh", "output": "sigmoid", "loss": "binary_crossentropy"}
    fastgrad.save(folder / "assignment.npz", parameters, X=X, Y=Y, **said)
    (folder / "submissions").mkdir()
    for name, text in HANDED_IN.items():
        (folder / "submissions" / f"{name}.py").write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def course(once):
    """What `grade` made of all kinds at once: its folder, the printed text, rows of the table by name, and all files."""
    folder = once("course", graded)
    rows = csv.DictReader(io.StringIO((folder / "results" / "grades.csv").read_text(encoding="utf-8")))
    printed, there = json.loads((folder / "results" / "printed.json").read_text(encoding="utf-8"))
    return folder, printed, {row["submission"]: row for row in rows}, there


def graded(folder):
    fill(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("FASTGRAD_SECRET", "of the teacher")
        result = run("submissions/*.py", "--seed", SEED, "--points", "dW1=3,calls=2", "--timeout", SECONDS, "--jobs", 2)
    assert result.exit_code == 0, result.output
    there = sorted(path.name for path in (*folder.iterdir(), *(folder / "submissions").iterdir()))
    (folder / "results" / "printed.json").write_text(json.dumps([result.output, there]), encoding="utf-8")


def run(*arguments, to="results"):
    return CliRunner().invoke(main, ["grade", "--network", "assignment.npz", "--to", to, *map(str, arguments)])


def points(row):
    return [float(row[name]) for name in ("dW1", "db1", "dW2", "db2", "calls")]


FULL, NONE = [3, 1, 1, 1, 2], [0, 0, 0, 0, 0]
EXPECTED = {
    "a_right": ("right", FULL, ""),
    "b_slope": ("wrong", [0, 0, 1, 1, 2], ""),
    "c_batch": ("wrong", NONE, ""),
    "d_in_place": ("wrong", [3, 1, 1, 1, 0], ""),
    "e_missing": ("not judged", [3, 0, 1, 1, 2], "no gradient of b1"),
    "f_exit": ("not judged", NONE, "SystemExit"),
    "g_crash": ("not judged", NONE, "it crashed" if sys.platform != "win32" else ""),
    "h_prints": ("right", FULL, ""),
    "i_writes": ("right", FULL, ""),
    "j_asks": ("not judged", NONE, "EOFError"),
    "k_loop": ("not judged", NONE, "it took longer than"),
    "l_no_function": ("not judged", NONE, "There is no function 'backward' in l_no_function.py"),
    "m_formula": ("not judged", NONE, "ValueError: =1+1 (m_formula.py, line 2"),
    "n_leaves_at_import": ("not judged", NONE, "n_leaves_at_import.py cannot be imported: SystemExit"),
    "o_looks_for_others": ("not judged", NONE, "No module named 'a_right'"),
    "q_secrets": ("right", FULL, ""),
    "p_hidden": ("not judged", NONE, "Your function failed at a hidden point."),
    "r_deep": ("not judged", NONE, "r_deep.py cannot be imported"),
    "s_huge": ("not judged", NONE, "MemoryError"),
    "t_kills": ("not judged", NONE, "The process that graded it was ended"),
}


@pytest.mark.compiled
@pytest.mark.parametrize("name", [name for name in EXPECTED if name in HANDED_IN])
def test_everybody_gets_what_is_due(course, name):
    verdict, expected, reason = EXPECTED[name]
    row = course[2][name]
    assert (row["verdict"], points(row), float(row["points"])) == (verdict, expected, sum(expected))
    assert (reason in row["reason"]) if reason else row["reason"] == ""


@pytest.mark.compiled
def test_nobody_touches_anybody_elses(course):
    folder, printed, rows, there = course
    assert list(rows) == list(HANDED_IN)
    assert there == sorted(["assignment.npz", "results", "submissions", *(f"{name}.py" for name in HANDED_IN)])
    assert (folder / "submissions" / "a_right.py").read_text(encoding="utf-8") == RIGHT
    assert "ready" not in printed
    assert f"{len(HANDED_IN)} submissions" in printed


@pytest.mark.compiled
def test_hidden_points_are_not_told(course):
    """Not even by a function that shows, where it fails, what it was called with."""
    for path in ("grades.csv", "p_hidden/results.json"):
        assert "hidden: " not in (course[0] / "results" / path).read_text(encoding="utf-8")
    document = json.loads((course[0] / "results" / "c_batch" / "results.json").read_text(encoding="utf-8"))
    lines = document["tests"][0]["output"].splitlines()
    assert lines[0] == "Wrong at"
    assert "  a hidden point" in lines
    assert any(line.startswith("  fresh weights") and "of 12 entries" in line for line in lines)


@pytest.mark.compiled
def test_gradescope_gets_its_document(course):
    document = json.loads((course[0] / "results" / "b_slope" / "results.json").read_text(encoding="utf-8"))
    assert (document["score"], document["output"]) == (4.0, "4 of 8 points.")
    assert [(test["name"], test["score"], test["max_score"], test["status"]) for test in document["tests"]] == [
        ("dW1", 0.0, 3.0, "failed"),
        ("db1", 0.0, 1.0, "failed"),
        ("dW2", 1.0, 1.0, "passed"),
        ("db2", 1.0, 1.0, "passed"),
        ("calls", 2.0, 2.0, "passed"),
    ]
    told = document["tests"][0]["output"]
    assert "[slope.missing]" in told
    assert "b_slope.py:9: dZ1 = dZ2 @ W2.T" in told


@pytest.mark.compiled
@pytest.mark.parametrize(
    ("feedback", "told", "kept"), [("verdict", "Wrong.", "entries"), ("place", "12 of 12 entries", "slope")]
)
def test_feedback_tells_no_more_than_it_should(course, monkeypatch, feedback, told, kept):
    monkeypatch.chdir(course[0])
    assert run("submissions/b_slope.py", "--feedback", feedback, to=feedback).exit_code == 0
    document = json.loads(Path(feedback, "results.json").read_text(encoding="utf-8"))
    assert told in document["tests"][0]["output"]
    assert kept not in json.dumps(document)


@pytest.mark.compiled
def test_what_a_function_does_beside_its_gradients_is_told_with_the_cause_alone(course, monkeypatch):
    monkeypatch.chdir(course[0])
    assert run("submissions/d_in_place.py", "--feedback", "place", to="place").exit_code == 0
    text = Path("place", "results.json").read_text(encoding="utf-8")
    assert "does not behave as training needs" in text
    assert "in place" not in text
    whole = (course[0] / "results" / "d_in_place" / "results.json").read_text(encoding="utf-8")
    assert "changes the W1 that it is given, in place" in whole


@pytest.mark.compiled
def test_one_submission_has_its_results_where_gradescope_looks(course, monkeypatch):
    """A file that shares its folder with no other submission finds the modules beside it."""
    monkeypatch.chdir(course[0])
    Path("one").mkdir(exist_ok=True)
    Path("one", "network.py").write_text(
        f"from helper import slope\n{RIGHT.replace('(1 - A1**2)', 'slope(A1)')}", encoding="utf-8"
    )
    Path("one", "helper.py").write_text("def slope(A):\n    return 1 - A**2\n", encoding="utf-8")
    result = run("one/network.py", to="autograder")
    assert result.exit_code == 0, result.output
    assert json.loads(Path("autograder", "results.json").read_text(encoding="utf-8"))["score"] == 5.0
    assert sorted(path.name for path in Path("autograder").iterdir()) == ["grades.csv", "results.json"]


@pytest.mark.compiled
@pytest.mark.skipif(os.name != "posix", reason="needs signals of POSIX")
def test_ctrl_c_ends_everybodys_process_at_once_and_writes_nothing(folder, monkeypatch):
    monkeypatch.chdir(folder)
    Path("loops").mkdir()
    for name in ("a", "b", "c"):
        code = f"from pathlib import Path\nPath('{Path.cwd()}', '{name}').touch()\nwhile True: pass\n"
        Path("loops", f"{name}.py").write_text(code, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "fastgrad_cli",
        "grade",
        "loops",
        "--network",
        "assignment.npz",
        "--to",
        "stopped",
        "--jobs",
        "2",
    ]
    with subprocess.Popen([*command, "--timeout", "300"], stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60.0
        while not (Path("a").exists() and Path("b").exists()) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60.0)
    assert (process.returncode, said.splitlines()[-1]) == (130, "Interrupted.")
    assert not Path("c").exists(), "it was never begun"
    assert list(Path("stopped").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere/*.py"], "no file matches 'nowhere/*.py'"),
        (["assignment.npz"], "a submission is a file of Python"),
        (["submissions", "--points", "dW9=1"], "points are given for 'dW9', which is none of dW1, db1, dW2, db2 and calls"),
        (["submissions", "--points", "dW1"], "points are given as dW1=2"),
        (["submissions", "--points", "dW1=nan"], "must be from 0 to 1,000,000, found nan"),
        (["submissions", "--points", "dW1=-1"], "must be from 0 to 1,000,000"),
        (["submissions", "--network", "nothing.npz"], "nothing.npz"),
        (["submissions", "--to", "assignment.npz/results"], "no folder can be made there"),
        (["submissions", "--seed", "0"], "--seed"),
        (["submissions", "--timeout", "0"], "--timeout"),
        ([], "Missing argument"),
    ],
)
def test_wrong_ways_of_the_teacher_end_with_2(folder, monkeypatch, arguments, words):
    monkeypatch.chdir(folder)
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert words in result.output


def test_the_help_says_what_exit_codes_mean():
    text = " ".join(CliRunner().invoke(main, ["grade", "--help"]).output.split())
    assert "Exit codes: 0 all were graded, whatever their points; 2 the command" in text


def test_points_by_either_name():
    assert points_for(["W1", "d"], {"dW1": 2.0, "d": 3.0, "calls": 0.0}) == {"W1": 2.0, "d": 3.0, "calls": 0.0}
    with pytest.raises(InputError, match="'W2'"):
        points_for(["W1"], {"W2": 1.0})


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\x1b[31m=1"])
def test_no_cell_of_the_table_is_a_formula(text):
    one = Grade(text, "wrong", (Part("dW1", 0.0, 1.0, "wrong", text),), text)
    (row,) = csv.DictReader(io.StringIO(table([one])))
    for name in ("submission", "reason"):
        assert row[name].lstrip()[0] not in "=+-@"
        assert row[name].isprintable()
