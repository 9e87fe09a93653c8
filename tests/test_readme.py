"""Every recipe of the README runs, from beginning to end, with real data in a folder of its own.

A comment in front of a fenced block says what there is when it runs: ``<!-- recipe: NAME -->`` names one of the `SETUPS`
below. Blocks of one name are one session: they run in the README's order, in one folder, Python blocks in one namespace,
other blocks as commands, line by line. ``<!-- recipe: NAME, exits 1 -->`` is a block of commands that end with that code,
where others end with 0. ``<!-- recipe: A / B / C -->`` is a block of paragraphs, one for each name. ``<!-- recipe: none -->``
is a block that nobody runs here, as are the two that .ci/run takes from the README: ``<!-- run -->`` and ``<!-- tests -->``.
Every check in a recipe must find its gradients right.
"""

import contextlib
import re
import shlex
import subprocess
import sys
import types
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from click.testing import CliRunner

import fastgrad
from fastgrad_cli.main import main

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
FENCED = re.compile(r"(?:^<!-- (?P<mark>[^>]*) -->\n+)?^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_RUN_HERE = {"run", "tests", "recipe: none"}
COMMAND = re.compile(r"^(?:fastgrad|python|pip|pytest) ", re.MULTILINE)


class Block(NamedTuple):
    """A part of a recipe: Python, or commands that end with a code."""

    python: bool
    code: str
    exits: int = 0


def fenced(text):
    """Return mark, language and code of every fenced block."""
    return [(found["mark"] or "", found["language"], found["code"]) for found in FENCED.finditer(text)]


def recipes(text):
    """Return the blocks of each name, in their order."""
    found = {}
    for mark, language, code in fenced(text):
        if mark in NOT_RUN_HERE or not mark.startswith("recipe: "):
            continue
        names, _, exits = mark.removeprefix("recipe: ").partition(", exits ")
        for name, part in parts(names.split(" / "), code):
            found.setdefault(name, []).append(Block(language == "python", part, int(exits or 0)))
    return found


def parts(names, code):
    paragraphs = [code] if len(names) == 1 else re.split(r"\n\n+", code.strip())
    return zip(names, paragraphs, strict=True)


# What a recipe finds when it runs.

ACTIVATIONS = {
    "relu": (lambda z: np.maximum(z, 0.0), lambda a: (a > 0.0) * 1.0),
    "tanh": (np.tanh, lambda a: 1.0 - a * a),
    "sigmoid": (lambda z: 1.0 / (1.0 + np.exp(-z)), lambda a: a * (1.0 - a)),
}


def parameters_of(*widths):
    """Draw W1, b1, … with W (n_out, n_in) and b (n_out, 1)."""
    draw = np.random.default_rng(1)
    drawn = {}
    for layer, (n_in, n_out) in enumerate(pairwise(widths), 1):
        drawn |= {f"W{layer}": draw.normal(size=(n_out, n_in)), f"b{layer}": 0.1 * draw.normal(size=(n_out, 1))}
    return drawn


def examples_of(inputs, classes=1):
    """Draw X (inputs, 7) and labels 0 and 1, or one-hot."""
    draw = np.random.default_rng(2)
    labels = draw.integers(max(classes, 2), size=7)
    return draw.normal(size=(inputs, 7)), labels[np.newaxis] if classes == 1 else np.eye(classes)[:, labels]


def backward_of(parameters, X, Y, hidden, masks=(), keep=1.0, penalty=0.0):
    """Return the gradients of a mean cross-entropy, of a sigmoid for one output and of a softmax for more, and every dZ."""
    value, slope = ACTIVATIONS[hidden]
    depth, m, a = len(parameters) // 2, X.shape[1], [X]
    dropped = [mask / keep for mask in masks]
    for layer in range(1, depth):
        a.append(value(parameters[f"W{layer}"] @ a[-1] + parameters[f"b{layer}"]))
        a[-1] = a[-1] * dropped[layer - 1] if masks else a[-1]
    z = parameters[f"W{depth}"] @ a[-1] + parameters[f"b{depth}"]
    exponentials = np.exp(z - z.max(axis=0))
    output = ACTIVATIONS["sigmoid"][0](z) if len(z) == 1 else exponentials / exponentials.sum(axis=0)
    dZ, gradients = (output - Y) / m, {}
    for layer in range(depth, 0, -1):
        gradients[f"dW{layer}"] = dZ @ a[layer - 1].T + penalty * parameters[f"W{layer}"]
        gradients[f"db{layer}"] = dZ.sum(axis=1, keepdims=True)
        gradients[f"dZ{layer}"] = dZ
        dA = parameters[f"W{layer}"].T @ dZ
        if layer > 1:
            kept = dropped[layer - 2] if masks else 1.0
            dZ = dA * kept * slope(a[layer - 1] / np.where(kept == 0.0, 1.0, kept))
    return gradients


def columns(folder):
    parameters, (X, Y) = parameters_of(3, 5, 1), examples_of(3)
    return {"parameters": parameters, "gradients": backward_of(parameters, X, Y, "relu"), "X": X, "Y": Y}


def class_of_two_layers(folder):
    """A class whose params and gradients are dicts with the same keys; examples in rows, W (n_in, n_out)."""
    parameters, (X, Y) = parameters_of(4, 6, 3), examples_of(4, 3)
    found = backward_of(parameters, X, Y, "sigmoid")
    turned = {name: value.T if name[0] == "W" else value.ravel() for name, value in parameters.items()}
    gradients = {name: found[f"d{name}"].T.reshape(value.shape) for name, value in turned.items()}
    network = types.SimpleNamespace(params=turned, gradient=lambda x, t: gradients)
    return {"network": network, "x": X.T, "t": Y.T}


def list_of_layers(folder):
    """Objects with W (n_in, n_out), b, dW and db; examples in rows."""
    parameters, (X, Y) = parameters_of(3, 5, 4, 1), examples_of(3)
    found = {**parameters, **backward_of(parameters, X, Y, "tanh")}
    layers = [
        types.SimpleNamespace(**{kind: found[f"{kind}{layer}"].T for kind in ("W", "b", "dW", "db")}) for layer in (1, 2, 3)
    ]
    return {"layers": layers, "X": X.T, "Y": Y.T}


def penalty(folder):
    parameters, (X, Y) = parameters_of(3, 5, 1), examples_of(3)
    grads = backward_of(parameters, X, Y, "tanh", penalty=0.7 / 7)
    return {"parameters": parameters, "grads": grads, "X": X, "Y": Y, "lambd": 0.7, "m": 7}


def dropout(folder):
    parameters, (X, Y), draw = parameters_of(3, 5, 4, 1), examples_of(3), np.random.default_rng(3)
    D1, D2 = ((draw.random((units, 7)) < 0.8) * 1.0 for units in (5, 4))
    grads = backward_of(parameters, X, Y, "relu", (D1, D2), 0.8)
    return {"parameters": parameters, "grads": grads, "X": X, "Y": Y, "D1": D1, "D2": D2}


def arrays_of_another_language(folder):
    given = columns(folder)
    arrays = {**given["parameters"], **given["gradients"], "X": given["X"], "Y": given["Y"]}
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return {"names": list(arrays)}


NETWORK = """
import numpy as np

def backward(parameters, X, Y):
    W1, b1, W2, b2 = (parameters[name] for name in ("W1", "b1", "W2", "b2"))
    a = np.maximum(W1 @ X + b1, 0.0)
    z = W2 @ a + b2
    p = np.exp(z - z.max(axis=0))
    dZ2 = (p / p.sum(axis=0) - Y) / X.shape[1]
    dZ1 = W2.T @ dZ2 * (a > 0.0)
    gradients = {"dW2": dZ2 @ a.T, "db2": dZ2.sum(axis=1, keepdims=True)}
    return {**gradients, "dW1": dZ1 @ X.T, "db1": dZ1.sum(axis=1, keepdims=True)}
"""
"""A network as a person has it, for what is called by name."""


def backward_function(folder):
    """A backward function here and in network.py, and the file that fastgrad.save made of its gradients."""
    (folder / "network.py").write_text(NETWORK, encoding="utf-8")
    module = {}
    exec(NETWORK, module)
    parameters, (X, Y) = parameters_of(3, 5, 4), examples_of(3, 4)
    gradients = module["backward"](parameters, X, Y)
    fastgrad.save(folder / "model.npz", parameters, gradients, X, Y, hidden="relu", output="softmax")
    return {"parameters": parameters, "X": X, "Y": Y, "backward": module["backward"]}


SETUPS = {
    "columns": columns,
    "class of two layers": class_of_two_layers,
    "list of layers": list_of_layers,
    "penalty": penalty,
    "dropout": dropout,
    "arrays of another language": arrays_of_another_language,
    "backward function": backward_function,
}


# Running it.


@pytest.fixture
def reports(monkeypatch):
    """Every report that fastgrad.check gives meanwhile."""
    kept, check = [], fastgrad.check

    def keeping(*given, **said):
        kept.append(check(*given, **said))
        return kept[-1]

    monkeypatch.setattr(fastgrad, "check", keeping)
    return kept


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty current folder, whose modules are forgotten at the end."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


def run_commands(block):
    for line in block.code.splitlines():
        words = shlex.split(line, comments=True)
        if words:
            assert words[0] == "fastgrad", f"only commands of fastgrad run here, found {line!r}"
            result = CliRunner().invoke(main, words[1:], prog_name="fastgrad")
            assert result.exit_code == block.exits, f"{line}\n{result.output}"


def run_blocks(blocks, names):
    namespace = {"np": np, "fastgrad": fastgrad, **names}
    for block in blocks:
        if block.python:
            with contextlib.redirect_stdout(None):
                exec(compile(block.code, "README.md", "exec"), namespace)
        else:
            run_commands(block)


RECIPES = recipes(README)


@pytest.mark.parametrize("name", RECIPES)
def test_recipe(name, folder, reports):
    blocks = RECIPES[name]
    run_blocks(blocks, SETUPS[name](folder))
    assert all(report.passed for report in reports), reports
    assert reports or not any("fastgrad.check(" in block.code for block in blocks)


def test_every_code_block_says_what_it_needs():
    """Blocks without a language are what the program prints, unless a line of theirs is a command."""
    for mark, language, code in fenced(README):
        is_code = language in {"python", "sh", "shell", "bash", "console"} or COMMAND.search(code)
        assert not is_code or mark in NOT_RUN_HERE or mark.startswith("recipe: "), code
    assert len(RECIPES) >= 4


def test_every_command_in_the_text_is_understood():
    """Commands inside of sentences: each option exists, and each value is one that it takes."""
    said = [shlex.split(command) for command in re.findall(r"`fastgrad ([^`…]+)`", FENCED.sub("", README))]
    assert len(said) > 5
    for words in (part for command in said for part in split_at_and(command)):
        name, *arguments = words
        command = main.get_command(None, name)
        assert command is not None, name
        command.make_context(name, [word for word in arguments if not word.startswith("[")])


def split_at_and(words):
    """Part `demo digits && fastgrad sweep digits.npz` into its commands."""
    text = " ".join(words)
    return [part.split() for part in re.split(r" && fastgrad ", text)]


def test_every_name_of_the_library_in_the_text_exists():
    """In a process of its own, since here a module may be an attribute because some test has imported it."""
    names = {name for name in names_in_the_text() if name.split(".")[0] not in DOORS}
    assert len(names) > 5
    all_exist(names)


DOORS = ("jax", "torch")


@pytest.mark.parametrize("door", [pytest.param(door, marks=pytest.mark.extra(door)) for door in DOORS])
def test_every_name_of_a_door_in_the_text_exists(door):
    names = {name for name in names_in_the_text() if name.split(".")[0] == door}
    assert names
    all_exist(names)


def names_in_the_text():
    """Return what stands after `fastgrad.` in the text."""
    return set(re.findall(r"\bfastgrad\.([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)", README))


def all_exist(names):
    script = "import fastgrad, operator, sys\nfor name in sys.argv[1:]: operator.attrgetter(name)(fastgrad)"
    done = subprocess.run([sys.executable, "-c", script, *sorted(names)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def cells(text, first):
    """Return the cells of the row of a table that begins so."""
    (row,) = re.findall(rf"^\| {re.escape(first)}[^|]*\|(.*)\|$", text, re.M)
    return [cell.strip() for cell in row.split("|")]


def test_the_table_of_other_checkers_has_the_figures_of_the_page_on_verdicts():
    page = (Path(__file__).parents[1] / "docs" / "explanation" / "verdicts.md").read_text(encoding="utf-8")
    rows = ("fastgrad, `parameter`", "PyTorch gradcheck, slow", "JAX check_grads", "scipy check_grad", "the courses' formula")
    found = [cells(page, row) for row in rows]
    missed = [int(row[1].replace(",", "")) for row in found]
    accused = [int(row[3].split(" of ")[0].replace(",", "")) for row in found]
    for told, counts in (("of 2,344 wrong gradients missed", missed), ("of 2,130 right ones accused", accused)):
        said = cells(README, told)[: len(rows)]
        assert [int(cell.split()[0].replace(",", "")) for cell in said] == counts
    scipy, torch = found[3], found[1]
    assert sum(int(cell.replace(",", "")) for cell in scipy[:2]) == 2344
    assert sum(int(cell.replace(",", "")) for cell in torch[:2]) == 1791
    assert found[0][3] == "0 of 2,130"


REPAIRED = """
import numpy as np

def f(parameters, X, Y):
    W1, b1, W2, b2, W3, b3 = (parameters[name] for name in ("W1", "b1", "W2", "b2", "W3", "b3"))
    a1 = np.maximum(W1 @ X + b1, 0.0)
    a2 = np.maximum(W2 @ a1 + b2, 0.0)
    p = 1.0 / (1.0 + np.exp(-(W3 @ a2 + b3)))
    dZ3 = (p - Y.reshape(1, -1)) / X.shape[1]
    dZ2 = W3.T @ dZ3 * (a2 > 0.0)
    dZ1 = W2.T @ dZ2 * (a1 > 0.0)
    steps = ((3, dZ3, a2), (2, dZ2, a1), (1, dZ1, X))
    gradients = {f"dW{k}": dZ @ a.T for k, dZ, a in steps}
    return {**gradients, **{f"db{k}": dZ.sum(axis=1, keepdims=True) for k, dZ, _ in steps}}
"""
"""The backward pass of the demos planted and repaired, without a mistake."""


@pytest.mark.parametrize("demo", ["planted", "repaired"])
def test_a_demos_file_tries_a_backward_function(demo, folder):
    (folder / "f.py").write_text(REPAIRED, encoding="utf-8")
    run_commands(Block(False, f"fastgrad demo {demo}\nfastgrad check {demo}.npz --backward f.py:f"))


def test_a_saved_file_tries_a_backward_function(folder):
    backward_function(folder)
    run_commands(Block(False, "fastgrad check model.npz --backward network.py:backward"))


# The mechanism itself.


def test_a_recipe_that_does_not_work_fails(folder, reports):
    for code, error in (("fastgrad.chekc()", AttributeError), ("fastgrad.check({}, {}, X, Y)", fastgrad.InputError)):
        with pytest.raises(error):
            run_blocks([Block(True, code)], columns(folder))
    with pytest.raises(AssertionError, match="no such file"):
        run_blocks([Block(False, "fastgrad check model.npz")], {})
    with pytest.raises(AssertionError, match="only commands of fastgrad"):
        run_blocks([Block(False, "rm model.npz")], {})
    run_blocks([Block(False, "fastgrad check model.npz  # not there", 2)], {})


def test_blocks_marks_and_paragraphs():
    text = (
        "a\n\n<!-- recipe: x -->\n```python\none\n\ntwo\n```\n\n```\nprinted\n```\n"
        "<!-- recipe: x, exits 1 -->\n```\nfastgrad\n```\n"
        "<!-- recipe: y / x -->\n```python\n# first\nthree\n\nfour\n```\n<!-- tests -->\n```\npytest\n```\n"
    )
    x = [Block(True, "one\n\ntwo\n"), Block(False, "fastgrad\n", 1), Block(True, "four")]
    assert recipes(text) == {"x": x, "y": [Block(True, "# first\nthree")]}
    assert [mark for mark, _, _ in fenced(text)] == ["recipe: x", "", "recipe: x, exits 1", "recipe: y / x", "tests"]
    with pytest.raises(ValueError, match="shorter"):
        recipes("<!-- recipe: x / y -->\n```python\none\n```\n")
