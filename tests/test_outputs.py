"""What `check` prints for machines and CI, what it makes of several files, and what pyproject.toml says."""

import csv
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner

import fastgrad
from fastgrad.report import html
from fastgrad.report.parts import ErrorMap
from fastgrad.teaching import demo
from fastgrad_cli.main import main
from fastgrad_cli.outputs import FORMS


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("planted", "repaired"):
        arrays, description = demo.find(name).build()
        np.savez(f"{name}.npz", **arrays, **description)
    arrays, description = demo.find("repaired").build()
    np.savez("missing.npz", **{name: array for name, array in arrays.items() if name != "db1"}, **description)
    Path("damaged.npz").write_bytes(b"PK no archive")
    return tmp_path


def run(*arguments, code=None):
    result = CliRunner().invoke(main, ["check", *arguments])
    assert code is None or result.exit_code == code, result.output
    return result.output


# Forms.


def test_junit_has_a_case_for_each_tensor():
    suite = ElementTree.fromstring(run("planted.npz", "--format", "junit", code=1)).find("testsuite")
    assert suite.attrib | {"time": ""} == {
        "name": "planted.npz",
        "tests": "6",
        "failures": "2",
        "errors": "0",
        "skipped": "0",
        "time": "",
    }
    failed = {case.get("name"): case.find("failure") for case in suite.iter("testcase")}
    assert [name for name, failure in failed.items() if failure is not None] == ["db1", "dW2"]
    assert failed["dW2"].get("message") == "dW2: 4 of 15 entries are wrong"
    assert "dW2 is 2 times too large" in failed["dW2"].text


def test_junit_of_what_is_not_right_and_not_wrong():
    text = run("missing.npz", "repaired.npz", "--frozen", "b3", "--format", "junit", code=3)
    first, second = ElementTree.fromstring(text).findall("testsuite")
    assert (first.get("errors"), first.get("skipped"), second.get("skipped")) == ("1", "1", "1")
    errors = ElementTree.fromstring(run("damaged.npz", "repaired.npz", "--format", "junit", code=2)).findall("testsuite")
    assert [suite.get("errors") for suite in errors] == ["1", "0"]


def test_github_names_file_line_and_code(folder, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(folder / "summary.md"))
    Path("network.py").write_text(
        "import numpy as np\n\n\ndef backward(parameters, X, Y):\n    W, m = parameters['W1'], X.shape[0]\n"
        "    dZ = X @ W.T - Y\n    dW1 = dZ.T @ X\n    return {'dW1': dW1}\n",
        encoding="utf-8",
    )
    draw = np.random.default_rng(0)
    W, X = draw.normal(size=(2, 3)), draw.normal(size=(5, 3))
    np.savez("rows.npz", W1=W, X=X, Y=draw.normal(size=(5, 2)), output="identity", loss="squared_error")
    lines = run("rows.npz", "--backward", "network.py:backward", "--format", "github", code=1).splitlines()
    assert all(re.match(r"::(error|warning|notice) file=[\w.]+(,line=\d+)?,title=[^:,]+::\S", line) for line in lines)
    assert any(line.startswith("::error file=network.py,line=7,title=fastgrad factor.examples::") for line in lines)
    summary = (folder / "summary.md").read_text(encoding="utf-8")
    assert "| rows.npz | wrong |" in summary.replace("\\", "")
    assert "<details><summary>rows.npz</summary>" in summary.replace("\\", "")


def test_concise_is_a_line_for_each_file():
    lines = run("planted.npz", "repaired.npz", "damaged.npz", "--format", "concise", code=1).splitlines()
    assert lines[:2] == [
        "planted.npz: wrong: 2 of 6 gradients are wrong: db1 and dW2. [factor.two, factor.constant]",
        "repaired.npz: right: All 6 gradients are right.",
    ]
    assert lines[2].startswith("damaged.npz: error: this .npz is truncated or damaged")


class Page(HTMLParser):
    """The tags and the text of a page; a tag that is not closed is a fault."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_html_has_verdict_table_findings_and_maps():
    run("planted.npz", "repaired.npz", "--format", "html=report.html", code=1)
    page = Page(Path("report.html").read_text(encoding="utf-8"))
    words = " ".join(page.text)
    for phrase in (
        "✗ WRONG",
        "2 of 6 gradients are wrong",
        "- dW2 = dZ2 @ A1.T",
        "+ dW2 = 2 * (dZ2 @ A1.T)",
        "✓ RIGHT",
        "Audit: 22 random",
    ):
        assert phrase in words
    assert page.tags.count("svg") == 2
    assert page.tags.count("details") == 1
    assert not {"script", "img", "link", "iframe"} & set(page.tags)


def test_a_map_tells_what_is_right_wrong_and_unknown():
    drawn = ErrorMap(
        "dW",
        ("unit", "input"),
        (0, 1, 2),
        (0, 5, 10),
        ((0.0, 1.0), (float("nan"), 0.5)),
        ((False, True), (False, True)),
        2.0,
        7,
        15,
    )
    text = html._map(drawn)
    Page(text)
    assert [text.count(colour) for colour in (html.RIGHT_PALE, html.LOST, "rgb(")] == [1, 1, 2]
    assert "unit 0, input 5 to 9: 1.0e+00 of 2" in text


def test_notebooks_get_html_and_a_short_repr():
    arrays, description = demo.find("planted").build()
    parameters = {name: arrays[name] for name in ("W1", "b1", "W2", "b2", "W3", "b3")}
    gradients = {f"d{name}": arrays[f"d{name}"] for name in parameters}
    report = fastgrad.check(parameters, gradients, arrays["X"], arrays["Y"], **description)
    Page(report._repr_html_())
    assert repr(report) == "<Report: wrong. 2 of 6 gradients are wrong: db1 and dW2.>"
    assert report.to_html().startswith("<!doctype html>")
    function = fastgrad.check_function(lambda x: (x**2).sum(), lambda x: 3 * x, [1.0, 2.0])
    Page(function._repr_html_())
    assert repr(function).startswith("<FunctionReport: wrong. ")


def test_several_outputs_of_one_run():
    text = run("planted.npz", "--format", "json=a.json", "--format", "junit=b.xml", "--format", "text=c.txt", code=1)
    assert text.startswith("✗ WRONG")
    assert json.loads(Path("a.json").read_text(encoding="utf-8"))["verdict"] == "wrong"
    ElementTree.parse("b.xml")
    assert Path("c.txt").read_text(encoding="utf-8").startswith("✗ WRONG")
    assert json.loads(run("planted.npz", "--format", "json"))["verdict"] == "wrong"
    assert run("planted.npz", "--format", "json").splitlines()[0] == run("planted.npz", "--json").splitlines()[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--format", "yaml"], "expected one of text, concise, json, junit, github, html"),
        (["--format", "json", "--format", "junit"], "cannot both be printed"),
        (["--json", "--format", "html"], "cannot both be printed"),
        (["--format", "html=no/such/folder.html"], "no/such/folder.html"),
        (["--format", "html=."], "this is a folder"),
        (["--format", "html="], "--format html= names no file"),
        (["--format", "json=planted.npz"], "planted.npz is the file to be read"),
        (["--format", "json=./planted.npz"], "planted.npz is the file to be read"),
        (["--gradients", "repaired.npz", "--format", "json=repaired.npz"], "repaired.npz is the file to be read"),
        (["--format", "json=a", "--format", "junit=a"], "a is written as json already"),
        ([""], "the name of a file is empty"),
        (["repaired.npz", "--gradients", "planted.npz"], "--gradients goes with one FILE; 2 are given"),
        (["repaired.npz", "--plot", "x.svg"], "goes with one FILE"),
    ],
)
def test_wrong_ways(arguments, words):
    before = [Path(name).read_bytes() for name in ("planted.npz", "repaired.npz")]
    assert words in " ".join(run("planted.npz", *arguments, code=2).split())
    assert [Path(name).read_bytes() for name in ("planted.npz", "repaired.npz")] == before


def test_arrays_of_a_folder_are_not_written_over(folder):
    arrays, description = demo.find("repaired").build()
    (folder / "model").mkdir()
    for name, array in arrays.items():
        np.save(folder / "model" / f"{name}.npy", array)
    Path("model/description.json").write_text(json.dumps(description), encoding="utf-8")
    before = Path("model/X.npy").read_bytes()
    for target in ("model/X.npy", "model/description.json"):
        result = CliRunner().invoke(main, ["check", "model", "--format", f"json={target}"])
        assert (result.exit_code, f"{target} is the file to be read" in result.output) == (2, True)
    assert Path("model/X.npy").read_bytes() == before
    assert CliRunner().invoke(main, ["check", "model", "--format", "html=model/report.html"]).exit_code == 0


def test_an_empty_name_is_not_the_folder_one_stands_in():
    np.save("W1.npy", np.ones((1, 2)))
    for command in ("check", "info"):
        result = CliRunner().invoke(main, [command, ""])
        assert (result.exit_code, "the name of a file is empty" in result.output) == (2, True)


@pytest.mark.parametrize("form", FORMS)
def test_hostile_names_in_every_form(form, monkeypatch, folder):
    """Names of arrays, files and mistakes are shown and do nothing."""
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(folder / "summary.md"))
    name = "W1<script>alert('x')</script>&]]>\n::error::%0A,=cmd|\x1b[31m\x7f"
    draw = np.random.default_rng(0)
    W, X = draw.normal(size=(2, 3)), draw.normal(size=(5, 3))
    arrays = {name: W, "dW": 3 * W, "X": X, "Y": draw.normal(size=(5, 2))}
    said = {"output": "identity", "loss": "squared_error", "params": np.array([name]), "grads": np.array(["dW"])}
    np.savez("bad<b>;,::x.npz", **arrays, **said)
    text = run("bad<b>;,::x.npz", "repaired.npz", "--format", form, code=1)
    assert "\x1b" not in text
    assert "\x7f" not in text
    if form == "html":
        page = Page(text)
        assert "script" not in page.tags
        assert "b" not in page.tags
    elif form == "junit":
        ElementTree.fromstring(text)
    elif form == "json":
        json.loads(text)
    elif form == "github":
        assert all(line.startswith("::") and line.count("::") >= 2 for line in text.splitlines())
        assert not any(line.startswith("::error::") for line in text.splitlines())
        assert "<b>" not in (folder / "summary.md").read_text(encoding="utf-8")


@pytest.mark.compiled
@pytest.mark.skipif(sys.platform == "win32", reason="there are no such names of files")
def test_hostile_names_in_the_forms_of_courses(folder):
    """Names of files and arrays, and what people's code says, in the table, in Gradescope's form, in JSON and on the screen."""
    name = "W1<script>alert('x')</script>\n=cmd|\x1b[31m\x7f"
    draw = np.random.default_rng(0)
    said = {"output": "identity", "loss": "squared_error", "params": np.array([name])}
    np.savez(
        "bad.npz", **{name: draw.normal(size=(2, 3)), "X": draw.normal(size=(5, 3)), "Y": draw.normal(size=(5, 2))}, **said
    )
    (folder / "in").mkdir()
    code = "def backward(parameters, X, Y):\n    raise ValueError('=HYPERLINK(\\x1b[31m<b>\\x07)')\n"
    for file in ("=1+1;<b>,\n.py", "-2.py", "..evil. .py", "@sum.py"):
        (folder / "in" / file).write_text(code, encoding="utf-8")
    result = CliRunner().invoke(main, ["grade", "in", "--network", "bad.npz", "--to", "out"])
    assert result.exit_code == 0, result.output
    assert result.output.replace("\n", "").isprintable()
    with Path("out/grades.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    assert [len(row) for row in rows] == [7] * 5
    for cell in (cell for row in rows for cell in row):
        assert not cell.lstrip().startswith(("=", "+", "-", "@"))
        assert cell.isprintable()
    documents = sorted(Path("out").glob("*/results.json"))
    assert len(documents) == 4, "a folder each, all of them within the one that was named"
    assert sum(path.is_file() for path in Path("out").rglob("*")) == 5
    for path in documents:
        document = json.loads(path.read_text(encoding="utf-8"))
        assert document["output"].replace("\n", "").isprintable()
        assert all(
            test["name"].isprintable() and test["output_format"] == test["name_format"] == "text" for test in document["tests"]
        )
    printed = CliRunner().invoke(main, ["grade", "in", "--network", "bad.npz", "--to", "out", "--json"]).output
    assert "\x1b" not in printed
    assert len(json.loads(printed)["submissions"]) == 4


# Several files.


@pytest.mark.parametrize(
    ("files", "code"),
    [
        (["repaired.npz", "planted.npz", "damaged.npz", "missing.npz"], 1),
        (["repaired.npz", "damaged.npz", "missing.npz"], 2),
        (["repaired.npz", "missing.npz"], 3),
        (["repaired.npz", "repaired.npz", "./repaired.npz"], 0),
    ],
)
def test_the_exit_code_of_many_is_the_gravest(files, code):
    text = run(*files, "-q", code=code)
    assert len(text.splitlines()) >= len(set(files)) + 1


def test_folders_and_patterns(folder):
    (folder / "more").mkdir()
    os.rename("damaged.npz", "more/damaged.npz")
    names = [line.split()[0] for line in run(".", "-q", code=1).splitlines() if ".npz  " in line]
    assert names == ["missing.npz", "planted.npz", "repaired.npz"]
    assert [line.split()[0] for line in run("*ed.npz", "-q").splitlines()[1:]] == ["planted.npz", "repaired.npz"]
    (folder / "empty").mkdir()
    assert "'empty' holds neither .npy files nor model files" in run("empty", code=2)
    assert "no file matches 'x*.npz'" in run("x*.npz", code=2)
    assert "Missing argument 'FILE'" in run(code=2)


def test_the_document_of_several_files():
    document = json.loads(run("planted.npz", "repaired.npz", "damaged.npz", "--json", code=1))
    assert (document["schema"], document["passed"], document["verdict"]) == (2, False, "wrong")
    assert [entry["file"] for entry in document["files"]] == ["planted.npz", "repaired.npz", "damaged.npz"]
    assert [entry["report"]["verdict"] for entry in document["files"]] == ["wrong", "right", "not judged"]
    assert "truncated" in document["files"][2]["report"]["error"]


def test_right_files_have_no_report_of_their_own():
    text = run("planted.npz", "repaired.npz", code=1)
    assert text.count("✗ WRONG") == 1
    assert "✓ RIGHT" not in text
    assert "✓ RIGHT" in run("planted.npz", "repaired.npz", "-v", code=1)


# pyproject.toml.


def settings(text):
    Path("pyproject.toml").write_text(text, encoding="utf-8")


def bare(name="bare.npz"):
    arrays, _ = demo.find("repaired").build()
    np.savez(name, **arrays)


def test_defaults_of_a_project(folder):
    bare()
    settings("[tool.fastgrad]\nactivations = ['relu', 'relu', 'sigmoid']\nloss = 'binary_crossentropy'\nseed = 3\n")
    result = CliRunner().invoke(main, ["check", "bare.npz", "-v"])
    assert result.exit_code == 0, result.output
    assert "(seed 3)" in result.stdout
    assert "Note: activations, loss, seed from [tool.fastgrad] of" in result.stderr
    (folder / "below").mkdir()
    os.chdir("below")
    assert CliRunner().invoke(main, ["check", "../bare.npz"]).exit_code == 0
    typed = CliRunner().invoke(main, ["check", "../bare.npz", "--loss", "mse", "--seed", "0"])
    assert "mse" in typed.stdout


def test_networks_of_a_project(folder):
    bare()
    Path("evil.py").write_text("open('ran', 'w').close()\ndef backward(p, X, Y): return {}\n", encoding="utf-8")
    settings(
        "[tool.fastgrad]\nhidden = 'relu'\noutput = 'sigmoid'\n"
        "[tool.fastgrad.networks.small]\nfile = 'bare.npz'\nloss = 'binary_crossentropy'\n"
        "[tool.fastgrad.networks.run]\nfile = 'bare.npz'\nloss = 'binary_crossentropy'\nbackward = 'evil.py:backward'\n"
    )
    run("--network", "small", code=0)
    run("bare.npz", "--loss", "binary_crossentropy", code=0)
    assert not Path("ran").exists(), "code that a network names is run for that network alone"
    run("--network", "run")
    assert Path("ran").exists()
    complaint = run("--network", "big", code=2)
    assert "there is no [tool.fastgrad.networks.big] in pyproject.toml; there are small, run." in complaint


def test_what_a_file_says_stands_before_the_defaults_of_a_project(folder):
    """Not before what is typed, nor before the table of a network that is named: these speak of this one file."""
    settings("[tool.fastgrad]\nhidden = 'tanh'\nloss = 'mse'\n[tool.fastgrad.networks.odd]\nhidden = 'tanh'\n")
    told = run("repaired.npz", "-v", code=0)
    assert "relu, relu, sigmoid; binary_crossentropy" in told
    assert "what a file itself says of hidden, loss stands" in told
    function = "import numpy as np\ndef backward(p, X, Y): return {f'd{n}': np.zeros(v.shape) for n, v in p.items()}\n"
    Path("network.py").write_text(function, encoding="utf-8")
    assert "relu, relu, sigmoid; binary_crossentropy" in run("repaired.npz", "--backward", "network.py:backward", code=1)
    assert "tanh, tanh, sigmoid" in run("repaired.npz", "--hidden", "tanh", code=1)
    assert "tanh, tanh, sigmoid" in run("repaired.npz", "--network", "odd", code=1)


def test_a_network_may_have_several_files(folder):
    settings("[tool.fastgrad.networks.all]\nfile = ['repaired.npz', 'planted.npz']\n")
    told = run("--network", "all", "-q", code=1)
    assert re.search(r"repaired\.npz +✓ right", told)
    assert re.search(r"planted\.npz +✗ wrong", told)


@pytest.mark.parametrize(("said", "words"), [("file = 3", "a name or a list of names"), ("backward = ['f']", "a name")])
def test_names_of_files_in_a_table_must_be_names(said, words):
    settings(f"[tool.fastgrad.networks.odd]\n{said}\n")
    assert f"odd.{said.split()[0]} must be {words}, in quotes; found" in " ".join(run("--network", "odd", code=2).split())


def test_an_error_of_one_of_several_files_stands_in(folder):
    """Its text is longer than a line, and what follows keeps its distance from the names of the files."""
    bare()
    lines = run("repaired.npz", "bare.npz", code=2).splitlines()
    assert "bare.npz  ! error" in lines
    told = lines[lines.index("bare.npz  ! error") + 1 :]
    assert len(told) > 1
    assert all(line.startswith("    ") for line in told)


def test_folders_in_a_folder_are_said_to_be_passed_over(folder):
    (folder / "models" / "old" / "older").mkdir(parents=True)
    (folder / "models" / ".git").mkdir()
    Path("planted.npz").rename("models/old/planted.npz")
    error = " ".join(run("models", code=2).split())
    assert "'models' holds neither" in error
    assert "'models/**/*.npz', in quotes, stands for the files of all folders below" in error
    Path("repaired.npz").rename("models/repaired.npz")
    told = " ".join(run("models", code=0).split())
    assert "only the files in it are taken: old is a folder in it that was not looked into; 'models/**/*.npz'" in told
    assert "Note" not in run("models/old/planted.npz", code=1)
    run("models/**/*.npz", code=1)


def test_quiet_and_verbose_contradict_each_other():
    for options in ("-qv", "-vq"):
        assert "leave out one of the two" in run("repaired.npz", options, code=2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[tool.fastgrad]\nhiden = 'relu'\n", "tool.fastgrad has the key hiden; did you mean hidden?"),
        ("[tool.fastgrad]\nbackward = 'evil.py:f'\n", "tool.fastgrad has the key backward"),
        ("[tool.fastgrad]\nplot = 'x.svg'\n", "has the key plot"),
        ("[tool]\nfastgrad = 3\n", "tool.fastgrad must be a table"),
        ("[tool.fastgrad]\nnetworks = 3\n", "must hold a table for each network"),
        ("[tool.fastgrad\n", "cannot be read"),
    ],
)
def test_settings_that_cannot_be_used(text, words):
    settings(text)
    assert words in " ".join(run("repaired.npz", code=2).split())


def test_a_project_without_settings_is_left_alone():
    settings("[tool.ruff]\nline-length = 100\n")
    assert "Note" not in run("repaired.npz", code=0)


def test_the_hook_for_pre_commit_runs_what_it_says(folder):
    hooks = (Path(__file__).parents[1] / ".pre-commit-hooks.yaml").read_text(encoding="utf-8")
    entry = re.search(r"^  entry: (.+)$", hooks, re.M)[1].split()
    assert entry[0] == "fastgrad"
    command = [sys.executable, "-m", "fastgrad_cli", *entry[1:], "planted.npz"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout.count("\n")) == (1, 1)
    pattern = re.search(r"^  files: (.+)$", hooks, re.M)[1]
    assert re.search(pattern, "tests/model.npz")
    assert not re.search(pattern, "tests/model.npz.py")
