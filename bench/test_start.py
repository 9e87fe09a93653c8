"""Whole processes: ``fastgrad check`` with nothing compiled, ``fastgrad check`` again, ``fastgrad --help``.

Beside them stands what Python and NumPy alone take. Python keeps what it translated, as it does unless it is told not to:
without that every process translates the library's sources again, for 0.15 s.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from networks import cat_network

COMMAND = Path(sys.executable).with_name("fastgrad")
OPTIONS = ("--hidden", "tanh", "--output", "sigmoid", "--loss", "binary_crossentropy")
TASK = "Whole process"
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


@pytest.fixture
def check(tmp_path):
    """Give the function that runs a check in a process of its own, with compiled kernels kept in a folder."""
    network = cat_network(209)
    file = tmp_path / "cat.npz"
    np.savez(file, X=network.X, Y=network.Y, **network.parameters, **network.gradients)

    def run(cache: Path) -> None:
        environment = ENVIRONMENT | {"NUMBA_CACHE_DIR": str(cache)}
        subprocess.run([COMMAND, "check", file, *OPTIONS], env=environment, check=True, capture_output=True)

    return run


def test_first_check(benchmark, results, check, tmp_path):
    folders = (tmp_path / str(number) for number in range(3))
    benchmark.pedantic(check, setup=lambda: ((next(folders),), {}), rounds=3)
    results.take(benchmark, TASK, "first check, compiling")


def test_second_check(benchmark, results, check, tmp_path):
    check(tmp_path)
    benchmark.pedantic(check, args=(tmp_path,), rounds=10)
    results.take(benchmark, TASK, "second check")


def test_numpy_alone(benchmark, results):
    command = [sys.executable, "-c", "import numpy"]
    benchmark.pedantic(subprocess.check_output, args=(command,), rounds=10)
    results.take(benchmark, TASK, "python -c 'import numpy'")


def test_help(benchmark, results):
    benchmark.pedantic(subprocess.check_output, args=([COMMAND, "--help"],), rounds=10)
    results.take(benchmark, TASK, "help")
