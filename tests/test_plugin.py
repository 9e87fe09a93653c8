"""The plugin for pytest, tried by pytest itself in processes of its own."""

import json
import os
import re
import sys
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

INSTALLED = any(point.value == "fastgrad.pytest_plugin" for point in entry_points(group="pytest11"))
PLUGIN = () if INSTALLED else ("-p", "fastgrad.pytest_plugin")

TESTS = """
    import numpy as np
    import pytest

    draw = np.random.default_rng(0)
    W, b, X, Y = draw.normal(size=(4, 2)), draw.normal(size=2), draw.normal(size=(7, 4)), draw.normal(size=(7, 2))
    SAID = {"output": "identity", "loss": "squared_error"}

    def gradients(factor=1.0):
        dZ = (X @ W + b - Y) / len(X)
        return {"dW1": factor * X.T @ dZ, "db1": dZ.sum(axis=0)}

    def test_right(check_gradients):
        assert check_gradients({"W1": W, "b1": b}, gradients(), X, Y, **SAID).passed

    def test_wrong(check_gradients):
        check_gradients({"W1": W, "b1": b}, gradients(7.0), X, Y, **SAID)

    @pytest.mark.fastgrad(tolerance=1e6, seed=5)
    def test_marked(check_gradients):
        report = check_gradients({"W1": W, "b1": b}, gradients(1.0 + 1e-12), X, Y, **SAID)
        assert report.audit.seed == 5
        check_gradients({"W1": W, "b1": b}, gradients(), X, Y, seed=6, **SAID)
"""


CACHE = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")


@pytest.fixture(autouse=True)
def kept_code(pytester, monkeypatch):
    """Let the processes find the compiled kernels, which pytester hides with the home folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", CACHE)


@pytest.fixture
def tests(pytester):
    """Write the tests above into a folder; return what runs them."""
    pytester.makepyfile(test_it=TESTS)

    def run(*arguments):
        return pytester.runpytest_subprocess(*PLUGIN, "-p", "no:cacheprovider", *arguments)

    return run


def test_a_failure_shows_the_report_and_nothing_of_ours(tests):
    result = tests()
    result.assert_outcomes(passed=2, failed=1)
    text = result.stdout.str()
    failure = text[text.index("test_wrong") : text.index("fastgrad =")]
    lines = [line for line in failure.splitlines()[1:] if line.strip() and not line.startswith("=")]
    assert len(lines) < 15
    assert lines[0].startswith("✗ WRONG  1 of 2 gradients is wrong: dW1.")
    assert "dW1 is 7 times too large" in failure
    assert "+ dW1 = " in failure
    assert "fastgrad/" not in failure
    assert "Traceback" not in failure


def test_the_summary_counts_and_names(tests):
    result = tests("-q")
    result.stdout.fnmatch_lines(
        ["*fastgrad*", "4 checks of gradients: 3 right, 1 wrong", "*::test_wrong: 1 of 2 gradients is wrong: dW1."]
    )


def test_reports_are_written(tests, pytester):
    tests("--fastgrad-report", "out/reports")
    names = sorted(path.name for path in (pytester.path / "out" / "reports").iterdir())
    assert [name for name in names if name.endswith(".json")] == [
        "test_it.py-test_marked-1.json",
        "test_it.py-test_marked-2.json",
        "test_it.py-test_right-1.json",
        "test_it.py-test_wrong-1.json",
    ]
    document = json.loads((pytester.path / "out/reports/test_it.py-test_wrong-1.json").read_text(encoding="utf-8"))
    assert document["verdict"] == "wrong"
    assert "✗ WRONG" in (pytester.path / "out/reports/test_it.py-test_wrong-1.html").read_text(encoding="utf-8")


@pytest.mark.skipif(find_spec("xdist") is None, reason="needs pytest-xdist")
def test_xdist(tests):
    result = tests("-n", "2", "-q")
    result.stdout.fnmatch_lines(["4 checks of gradients: 3 right, 1 wrong"])


def test_without_the_plugin(pytester):
    pytester.makepyfile(test_it="def test_nothing(): pass")
    assert pytester.runpytest_subprocess("-p", "no:fastgrad").ret == 0


def test_a_marker_that_is_none(tests, pytester):
    pytester.makepyfile(
        test_it="""
        import pytest

        @pytest.mark.fastgrad(tolerence=3)
        def test_it(check_gradients):
            check_gradients([1.0], [1.0], 1.0, 1.0)
        """
    )
    result = tests("--strict-markers")
    assert "the marker fastgrad takes tolerance= and seed=" in result.stdout.str()


def test_a_folder_for_reports_that_cannot_be_one_is_refused_at_the_start(tests):
    result = tests("--fastgrad-report", "test_it.py/reports")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--fastgrad-report test_it.py/reports: no folder can be made there" in result.stderr.str()
    assert "Traceback" not in result.stderr.str()


def test_wrong_use_is_an_error_with_its_message(tests, pytester):
    pytester.makepyfile(test_it="def test_it(check_gradients):\n    check_gradients([[1.0]], [[1.0]], [[1.0]], [[1.0]])\n")
    text = tests().stdout.str()
    assert "fastgrad.check: it is not known what the network computes" in text
    assert "During handling" not in text
    assert "fastgrad/" not in text.replace(str(pytester.path), "")


def test_nothing_heavy_is_loaded_before_a_fixture_is_used(pytester):
    program = "import sys, pytest; pytest.main(['--collect-only', '-p', 'fastgrad.pytest_plugin']); print(sorted(sys.modules))"
    loaded = pytester.run(sys.executable, "-c", program).stdout.str()
    assert "fastgrad.pytest_plugin" in loaded
    assert not re.search(r"'(numpy|rich|numba|llvmlite|click)'", loaded)
