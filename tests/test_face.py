"""The package's face: its names, its keywords, its examples, and the command by the package's name."""

import ast
import dataclasses
import doctest
import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastgrad

ROOT = Path(fastgrad.__file__).parent
FUNCTIONS = [name for name in fastgrad.__all__ if inspect.isfunction(getattr(fastgrad, name))]
W, X, Y = np.array([[0.5, -1.0]]), np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), np.zeros((3, 1))
LINEAR = {"output": "identity", "loss": "squared_error"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_examples_of_a_docstring_run(name):
    function = getattr(fastgrad, name)
    (found,) = doctest.DocTestFinder(recurse=False).find(function, name, globs={})
    assert found.examples, "a public function has an example"
    complaints = []
    doctest.DocTestRunner(verbose=False).run(found, out=complaints.append)
    assert not complaints, "".join(complaints)


def test_the_command_runs_by_the_name_of_the_package():
    done = subprocess.run([sys.executable, "-m", "fastgrad", "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"fastgrad {fastgrad.__version__}\n"), done.stderr


@pytest.mark.parametrize(
    ("said", "meant"), [("tolerence", "tolerance"), ("metod", "method"), ("hiden", "hidden"), ("mask", "masks")]
)
def test_a_misspelt_keyword_is_refused_with_the_nearest(said, meant):
    with pytest.raises(fastgrad.InputError, match=f"no keyword '{said}'.*; did you mean {meant}\\?"):
        fastgrad.check([W], [W], X, Y, **{said: 1.0})


def test_a_misspelt_keyword_of_save_is_refused_with_the_nearest(tmp_path):
    with pytest.raises(fastgrad.InputError, match="no keyword 'mask'.*; did you mean masks\\?"):
        fastgrad.save(tmp_path / "model.npz", [W], X=X, Y=Y, mask=[W], **LINEAR)


def test_type_checkers_know_every_keyword():
    """And no other: mypy reads tests/typed_face.py, which holds that a misspelt one is an error."""
    from fastgrad.reading.description import Description, Items
    from fastgrad.walk import Options

    items = {field.name for field in dataclasses.fields(Description)}
    parameters = inspect.signature(fastgrad.check).parameters.values()
    own = {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY} - {"backward"}
    assert set(Items.__annotations__) == items
    assert set(Options.__annotations__) == items | own


DOORS = ("jax", "sklearn", "torch")


def test_every_public_name_is_there_and_shown_to_type_checkers():
    tree = ast.parse((ROOT / "__init__.py").read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and str(node.module).startswith("fastgrad")]
    shown = {alias.name: node.module for node in imports for alias in node.names}
    assert sorted(shown) == sorted(fastgrad.__all__) == [name for name in dir(fastgrad) if name not in DOORS]
    doors = [node for node in ast.walk(tree) if isinstance(node, ast.Import) and node.names[0].name.startswith("fastgrad.")]
    assert [node.names[0].asname for node in doors] == [name for name in dir(fastgrad) if name in DOORS]
    for name, home in shown.items():
        assert getattr(fastgrad, name) is getattr(sys.modules[home], name)
    with pytest.raises(AttributeError, match="'fastgrad' has no attribute 'nonsense'"):
        fastgrad.nonsense  # noqa: B018  (it is asked for)


def test_what_a_user_may_have_to_catch_is_public():
    assert issubclass(fastgrad.Interrupted, KeyboardInterrupt)


def test_no_module_bears_the_name_of_something_public():
    modules = {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert "walk" in modules
    assert modules.isdisjoint(fastgrad.__all__)


@pytest.mark.extra("matplotlib")
@pytest.mark.parametrize("as_text", [True, False])
def test_errors_are_drawn_by_the_public_name(tmp_path, as_text):
    report, path = fastgrad.check([W], [W], X, Y, **LINEAR), tmp_path / "errors.svg"
    fastgrad.draw_errors(report, str(path) if as_text else path)
    assert b"<svg" in path.read_bytes()
    with pytest.raises(fastgrad.InputError, match=r"must end in \.png or \.svg"):
        fastgrad.draw_errors(report, tmp_path / "errors.txt")


@pytest.mark.extra("matplotlib")
def test_errors_of_a_function_are_drawn_where_it_is_wrong(tmp_path):
    tried = fastgrad.check([W], backward=lambda parameters, X, Y: [parameters[0]], X=X, Y=Y, **LINEAR)
    fastgrad.draw_errors(tried, tmp_path / "errors.png")
    assert (tmp_path / "errors.png").read_bytes().startswith(b"\x89PNG")
