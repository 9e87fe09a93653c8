"""What is compiled: once for each entry point whatever the network, and anew whenever a kernel's source has changed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fastgrad import numerical
from fastgrad.kernels import propagate, textbook

import reference

PACKAGE = Path(numerical.__file__).parent
ENTRIES = [
    propagate.tabulate_layer,
    propagate.tabulate_loss,
    propagate.tabulate_coupled_loss,
    propagate.parameter_differences,
    propagate.preactivation_differences,
    textbook.textbook_losses,
]


@pytest.mark.compiled
def test_no_network_and_no_option_makes_a_kernel_compile_twice(problem_of):
    for seed in range(6):
        problem = problem_of(reference.random_case(seed, loss="squared_hinge" if seed == 5 else None))
        for method in numerical.METHODS:
            numerical.numerical_gradient(problem, method=method, threads=1 + seed % 2)
            numerical.numerical_gradient(problem, method=method, step=1e-4, sample=3, seed=seed)
    assert {entry.__name__: len(entry.signatures) for entry in ENTRIES} == {entry.__name__: 1 for entry in ENTRIES}


@pytest.mark.compiled
def test_a_changed_helper_is_never_served_from_the_cache(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "fastgrad", ignore=shutil.ignore_patterns("__pycache__"))
    script = (
        "import numpy as np\n"
        "from fastgrad.kernels.codes import IDENTITY\n"
        "from fastgrad.kernels.propagate import tabulate_layer\n"
        "z, filled, units = np.full((1, 1), 3.0), [np.empty((1, 1)) for _ in range(3)], np.empty((5, 1, 1))\n"
        "tabulate_layer(IDENTITY, 0.0, z, *filled, units, 0)\n"
        "print(filled[0][0, 0])\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}

    def printed():
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
        return float(done.stdout)

    assert printed() == 3.0
    source = tmp_path / "fastgrad" / "kernels" / "activations.py"
    text = source.read_text(encoding="utf-8")
    before = os.stat(source)
    changed = text.replace("return exp(z) if code == EXP else z\n", "return exp(z) if code == EXP else -z\n")
    assert changed != text
    source.write_text(changed, encoding="utf-8")
    # Even a file that claims to be as old as it was.
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert printed() == -3.0
