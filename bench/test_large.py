"""Every parameter of large networks by method preactivation: time, rate beside NumPy's product, and memory.

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

DEEP = (784, *(2048,) * 6, 10)
NETWORKS = [((784, 4096, 4096, 10), 16), ((784, 10000, 9000, 10), 8), (DEEP, 4)]
PROGRAM = Path(__file__).with_name("classifiers.py")
ROWS = 4096
TASK = "Every parameter by method preactivation"


@pytest.fixture(scope="module")
def product():
    """Measure the rate of NumPy's large matrix product."""
    A = np.random.default_rng(0).normal(size=(ROWS, ROWS))
    return 2.0 * ROWS**3 / timed(lambda: A @ A, 3)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize(
    ("widths", "samples"), NETWORKS, ids=lambda value: "-".join(map(str, value)) if isinstance(value, tuple) else None
)
def test_every_parameter(benchmark, results, product, widths, samples, activation):
    name = "-".join(map(str, widths))

    def run():
        given = [name, str(samples), activation, "preactivation", "1"]
        return json.loads(subprocess.check_output([sys.executable, PROGRAM, *given]))

    found = benchmark.pedantic(run, rounds=1)
    assert found["error"] < 1e-13
    full, done = arithmetic(classifier(widths, samples, activation), "preactivation")
    results.tell(
        TASK,
        f"{name} {activation}, {samples}",
        found["seconds"],
        found["error"],
        f"{full / found['seconds'] / 1e9:.0f} GFLOP/s ({done / found['seconds'] / 1e9:.0f} without dead units), NumPy's "
        f"product {product / 1e9:.0f}; {found['thetas']:.1f} times theta's bytes",
    )
