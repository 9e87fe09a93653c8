"""Arithmetic inside the tiles of method parameter, beside NumPy's large matrix product.

Run with ``pytest bench/test_rates.py``. Operations are counted as if no rectifier were off and both signs were carried; how
many are really done is in the remark.
"""

from __future__ import annotations

import numpy as np
import pytest

from fastgrad.numerical import numerical_gradient

from classifiers import arithmetic, backpropagation, classifier, timed
from networks import relative_difference
from peak import peak

NETWORKS = [((784, 256, 128, 10), 8), ((784, 512, 512, 10), 1)]
ROWS = 4096
TASK = "Arithmetic of method parameter, GFLOP/s, all threads"


@pytest.fixture(scope="module")
def product():
    """Measure the rate of NumPy's large matrix product."""
    A = np.random.default_rng(0).normal(size=(ROWS, ROWS))
    return 2.0 * ROWS**3 / timed(lambda: A @ A, 3)


@pytest.fixture(scope="module")
def most():
    """Measure the most that multiply-adds can reach."""
    return peak()


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize(("widths", "samples"), NETWORKS, ids=lambda value: str(value))
def test_rate(benchmark, repeat, results, product, most, widths, samples, activation):
    problem = classifier(widths, samples, activation)
    found = repeat(lambda: numerical_gradient(problem, method="parameter"))
    error = relative_difference(found.values, backpropagation(problem))
    assert error < 1e-14
    if not benchmark.stats:
        return
    full, done = (operations / benchmark.stats.stats.median for operations in arithmetic(problem, "parameter"))
    results.take(
        benchmark,
        f"{TASK}; peak {most / 1e9:.0f}, NumPy's {ROWS} × {ROWS} product {product / 1e9:.0f}",
        f"{'-'.join(map(str, widths))} {activation}, {samples}",
        error=error,
        remark=f"{full / 1e9:.0f} GFLOP/s, {full / product:.2f} times the product, {full / most:.0%} of the peak "
        f"(done: {done / 1e9:.0f}, {done / most:.0%})",
    )
