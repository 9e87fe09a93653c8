"""The key of compiled code, which all that changes the code is part of; and nothing of ours is kept without it."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from numba.core import config

import fastgrad
from fastgrad.kernels.key import HARMLESS, SETTINGS_FILE, key, settings_hold


def test_nothing_of_ours_lies_in_numbas_own_cache():
    # It trusts any folder, and an index in it that is damaged ends each process that reads it.
    for file in Path(fastgrad.__file__).parent.rglob("*.py"):
        calls = [node for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
        jitted = [node for node in calls if any(name in ast.unparse(node.func) for name in ("jit", "vectorize", "compiled"))]
        assert not [node.lineno for node in jitted if "cache" in {keyword.arg for keyword in node.keywords}], file


@pytest.mark.parametrize(
    "name", ["NUMBA_OPT", "NUMBA_BOUNDSCHECK", "NUMBA_CPU_NAME", "NUMBA_DEBUGINFO", "NUMBA_NEVER_HEARD_OF", "VS_PROFILER"]
)
def test_each_variable_of_numbas_is_part_of_the_key(monkeypatch, name):
    before = key()
    monkeypatch.setenv(name, "1")
    first = key()
    monkeypatch.setenv(name, "2")
    assert len({before, first, key()}) == 3


def test_variables_that_change_no_code_are_not(monkeypatch):
    before = key()
    for name in HARMLESS:
        monkeypatch.setenv(name, "1")
    assert key() == before


def test_the_file_of_settings_in_the_current_folder_is_part_of_the_key(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    found = {key()}
    for content in ("", "opt: 0\n", "boundscheck: 1\n"):
        (tmp_path / SETTINGS_FILE).write_text(content)
        found.add(key())
    assert len(found) == 4
    assert config._config_fname == SETTINGS_FILE


def test_settings_that_a_program_assigns_are_noticed(monkeypatch):
    assert settings_hold()
    monkeypatch.setattr(config, "NUMBA_NUM_THREADS", 1)
    monkeypatch.setattr(config, "CACHE_DIR", "somewhere")
    assert settings_hold()
    monkeypatch.setattr(config, "OPT", 0)
    assert not settings_hold()


@pytest.mark.compiled
def test_a_file_of_settings_can_leave_kernels_to_python(tmp_path):
    # As numba reads `disable_jit: 1` from it; the file's own reader may not be installed.
    script = (
        "import numpy as np\n"
        "from numba.core import config\n"
        "config.DISABLE_JIT = 1\n"
        "from fastgrad.kernels import kernel, launch\n"
        "out = np.empty(1)\n"
        "launch.fill_squares(np.array([3.0]), 1.0, 0.0, out)\n"
        "print(out[0], type(launch.fill_squares._code).__name__, callable(kernel.addresses(launch.fill_squares)[0]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", script],
        env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["9.0", "Interpreted", "True"], done.stderr
