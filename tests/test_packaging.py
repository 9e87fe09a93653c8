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
    extras = ("plot", "torch", "jax")
    optional = {name for extra in extras for name in requirement_names(PROJECT["optional-dependencies"][extra])}
    brought = {"distributed"} if "dask" in requirement_names(PROJECT["optional-dependencies"]["dask"]) else set()
    host = {"pytest"}  # which alone imports the plugin
    assert foreign - optional - brought - host == requirement_names(PROJECT["dependencies"])


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


# A release.


def released(tmp_path, tag):
    """Run what the release job runs first, on a copy of what it reads."""
    (tmp_path / "fastgrad").mkdir()
    for name in ("README.md", "fastgrad/_version.py"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    command = [sys.executable, ROOT / ".ci" / "release.py", tag, "https://example.org/someone/fastgrad"]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)


in_a_clone = pytest.mark.skipif(not (ROOT / ".ci").exists(), reason="the sdist has no .ci")


@in_a_clone
@pytest.mark.parametrize("tag", ["v9.9.9", "0.1.0", "v0.1", "main"])
def test_a_release_fails_unless_the_tag_is_that_of_the_version(tmp_path, tag):
    assert tag != f"v{fastgrad.__version__}"
    answer = released(tmp_path, tag)
    assert answer.returncode == 1
    assert f"the tag of that version is v{fastgrad.__version__}" in answer.stderr
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == (ROOT / "README.md").read_text(encoding="utf-8")


@in_a_clone
def test_links_and_pictures_of_a_released_readme_are_absolute(tmp_path):
    tag = f"v{fastgrad.__version__}"
    assert released(tmp_path, tag).returncode == 0
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)]+)\)", text)
    assert targets
    assert all(target.startswith("https://") for target in targets)
    assert f"](https://example.org/someone/fastgrad/raw/{tag}/docs/sweep.svg)" in text
    assert f"](https://example.org/someone/fastgrad/blob/{tag}/CONTRIBUTING.md)" in text


@in_a_clone
def test_the_release_job_runs_that_before_it_builds():
    steps = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
    order = [
        steps.index(words) for words in (".ci/release.py", "python -m build", "twine check --strict", "gh-action-pypi-publish")
    ]
    assert order == sorted(order)


def test_pipx_and_uvx_find_the_command_by_the_packages_name():
    assert PROJECT["scripts"] == {PROJECT["name"]: "fastgrad_cli.start:main"}


def test_the_citation_has_the_version_and_names_nobody():
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.+)$", text, re.M)[1] == fastgrad.__version__
    assert f"  - name: {PROJECT['authors'][0]['name']}\n" in text
    assert "http" not in text
