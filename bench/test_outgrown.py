"""A network of 3·10⁹ parameters, 12 GB of float32 and as much again of gradients, checked from disk: time and peak memory.

Run with ``pytest bench/test_outgrown.py``; it takes 24 GB of disk under pytest's folder of temporary files, which it removes,
and some ten minutes. Every check is a process of its own that may take 4 GB of data, and whose peak, pages of files included,
is held against what `fastgrad info` states beforehand.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import outgrown
import pytest

WIDTHS, SAMPLES = (20_000, 60_000, 30_000, 10), 4
SIZE = 26 * 10**9
"""Bytes of disk that it takes."""
MOST = 4 * 10**9
TASK = "3,000,390,010 parameters from disk"
CHECKS = {
    "directional": ("--method", "directional"),
    "parameter": ("--method", "parameter", "--sample", "300"),
    "preactivation": ("--method", "preactivation", "--sample", "300"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Write the network, and remove it afterwards."""
    place = tmp_path_factory.mktemp("outgrown")
    if shutil.disk_usage(place).free < SIZE:
        pytest.skip(f"needs {SIZE / 1e9:.0f} GB of disk")
    outgrown.make(place, WIDTHS, SAMPLES)
    yield place
    shutil.rmtree(place)


@pytest.fixture(scope="module")
def stated(folder):
    """Ask beforehand what each check takes of memory at most."""
    command = [sys.executable, "-m", "fastgrad_cli", "info", str(folder), "--memory", str(MOST), "--json"]
    return json.loads(subprocess.check_output(command))["peak_bytes"]


@pytest.mark.parametrize("method", CHECKS)
def test_right(folder, stated, results, method):
    found, seconds, peak = outgrown.check(folder, "--memory", str(MOST), *CHECKS[method])
    assert found.returncode == 0, found.stdout + found.stderr
    assert peak < stated[method] < MOST
    results.tell(TASK, method, seconds, np.nan, f"at most {peak / 1e9:.2f} GB, {stated[method] / 1e9:.2f} GB were stated")


def test_a_wrong_entry_is_located(folder, stated, results):
    """Off by 300 times a typical entry: the sum over 1.8·10⁹ of them in float32 hides less than some 80."""
    before = np.load(folder / "dW2.npy", mmap_mode="r")[12_345, 6_789]
    typical = float(np.sqrt(np.mean(np.load(folder / "dW2.npy", mmap_mode="r")[12_345].astype(np.float64) ** 2)))
    outgrown.put(folder, "dW2", (12_345, 6_789), before + 300.0 * typical)
    found, seconds, peak = outgrown.check(folder, "--memory", str(MOST), *CHECKS["directional"])
    outgrown.put(folder, "dW2", (12_345, 6_789), before)
    assert found.returncode == 1, found.stdout + found.stderr
    assert re.search(r"dW2 .*wrong .* 1 of 1,800,000,000\s+worst entry dW2\[12345, 6789\]", found.stdout)
    assert peak < stated["directional"]
    results.tell(TASK, "directional, an entry located", seconds, np.nan, f"at most {peak / 1e9:.2f} GB")
