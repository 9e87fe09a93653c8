"""Every parameter of large networks by method preactivation: time and where it goes, rates beside what bounds them, memory.

Run with ``pytest bench/test_large.py``; each network has a process of its own, whose peak memory counts from the point where
the parameters and the inputs are there. `-k "not 10000"` leaves out the largest, which needs 4 GB.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from classifiers import arithmetic, classifier, timed
from peak import bandwidth, peak

DEEP = (784, *(2048,) * 6, 10)
NETWORKS = [
    ((784, 256, 128, 10), 64),
    ((784, 1024, 1024, 10), 64),
    ((784, 4096, 4096, 10), 16),
    ((784, 10000, 9000, 10), 8),
    (DEEP, 4),
]
PROGRAM = Path(__file__).with_name("classifiers.py")
ROWS = 4096
TASK = "Every parameter by method preactivation"


@pytest.fixture(scope="module")
def product():
    """Measure the rate of NumPy's large matrix product."""
    A = np.random.default_rng(0).normal(size=(ROWS, ROWS))
    return 2.0 * ROWS**3 / timed(lambda: A @ A, 3)


@pytest.fixture(scope="module")
def bounds():
    """Measure the most multiply-adds, and the most bytes from memory, of all threads in a second."""
    return peak(), bandwidth()


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize(
    ("widths", "samples"), NETWORKS, ids=lambda value: "-".join(map(str, value)) if isinstance(value, tuple) else None
)
def test_every_parameter(benchmark, results, product, bounds, widths, samples, activation):
    name = "-".join(map(str, widths))

    def run():
        given = [name, str(samples), activation, "preactivation", "1" if widths == DEEP else "7"]
        return json.loads(subprocess.check_output([sys.executable, PROGRAM, *given]))

    found = benchmark.pedantic(run, rounds=1)
    assert found["error"] < 1e-13
    problem = classifier(widths, samples, activation)
    full, done = arithmetic(problem, "preactivation")
    most, memory = bounds
    theta = problem.theta.nbytes / memory
    spent = ", ".join(f"{part} {found[part]:.2g}" for part in ("forward pass", "steps, kinks", "tiles", "dW and db"))
    results.tell(
        TASK,
        f"{name} {activation}, {samples}",
        found["seconds"],
        found["error"],
        f"{found['least']:.2g} to {found['most']:.2g} s; {full / found['seconds'] / 1e9:.0f} GFLOP/s "
        f"({done / found['seconds'] / 1e9:.0f} really done), NumPy's product {product / 1e9:.0f}; {found['thetas']:.1f} times "
        f"theta's bytes; seconds: {spent}; tiles at {done / found['tiles'] / most:.0%} of the peak; bounds: arithmetic "
        f"{done / most:.2g} at {most / 1e9:.0f} GFLOP/s, theta once from memory {theta:.2g} at {memory / 1e9:.0f} GB/s",
    )
