"""What the packaging promises, held against the source: the version, the dependencies, the README's commands."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import fastgrad

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
PROJECT = tomllib.loads(TEXT)["project"]
SOURCES = [*(ROOT / "fastgrad").rglob("*.py"), *(ROOT / "cli").rglob("*.py")]


def requirement_names(requirements):
    return {re.match(r"[\w-]+", requirement)[0] for requirement in requirements}


def imported_packages(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.split(".")[0]


def test_every_import_is_declared_and_every_declaration_used():
    imported = {package for path in SOURCES for package in imported_packages(path)}
    foreign = imported - set(sys.stdlib_module_names) - {"fastgrad", "fastgrad_cli"}
    optional = requirement_names(PROJECT["optional-dependencies"]["plot"])
    host = {"pytest"}  # which alone imports the plugin
    assert foreign - optional - host == requirement_names(PROJECT["dependencies"])


def test_changelog_opens_with_this_version():
    headings = re.findall(r"^## ([\d.]+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert headings[0] == fastgrad.__version__


@pytest.mark.parametrize("package", ["fastgrad", "cli/fastgrad_cli"])
def test_packages_have_an_init(package):
    assert (ROOT / package / "__init__.py").is_file()


def test_readme_marks_the_test_command_for_ci():
    assert (ROOT / "README.md").read_text(encoding="utf-8").count("<!-- tests -->\n```") == 1


def test_no_upper_bound_on_python():
    """Which Pythons there are wheels for is numba's to say, and pip hears it from numba."""
    assert PROJECT["requires-python"] == ">=3.11"
    assert f'target-version = "py{PROJECT["requires-python"].removeprefix(">=").replace(".", "")}"' in TEXT


def test_the_sdist_and_every_clone_have_the_test_data():
    """What git ignores is in no clone, and the sdist leaves it out as well."""
    data = sorted((ROOT / "tests" / "data").rglob("*.npz"))
    assert len(data) == 40
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("this is no clone")
    ignored = subprocess.run(["git", "check-ignore", "--no-index", *data], cwd=ROOT, capture_output=True, text=True)
    assert ignored.stdout == ""
