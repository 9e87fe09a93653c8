"""Arithmetic inside the tiles of method parameter, beside NumPy's large matrix product and what the cores can do at most.

Run with ``pytest bench/test_rates.py``. Operations are counted as if no unit were dead; what rectifiers leave out is in the
remark.
"""

from __future__ import annotations

import numpy as np
import pytest

from fastgrad.numerical import numerical_gradient

from classifiers import arithmetic, backpropagation, classifier, timed
from networks import relative_difference
from peak import peak_rate

NETWORKS = [((784, 256, 128, 10), 8), ((784, 512, 512, 10), 1)]
ROWS = 4096
TASK = "Arithmetic of method parameter, GFLOP/s, all threads"


@pytest.fixture(scope="module")
def limits():
    """Measure the largest rate of the cores, and that of a large product."""
    A = np.random.default_rng(0).normal(size=(ROWS, ROWS))
    return peak_rate(), 2.0 * ROWS**3 / timed(lambda: A @ A, 3)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize(("widths", "samples"), NETWORKS, ids=lambda value: str(value))
def test_rate(benchmark, repeat, results, limits, widths, samples, activation):
    problem = classifier(widths, samples, activation)
    found = repeat(lambda: numerical_gradient(problem, method="parameter"))
    error = relative_difference(found.values, backpropagation(problem))
    assert error < 1e-14
    if not benchmark.stats:
        return
    peak, product = limits
    full, done = (operations / benchmark.stats.stats.median for operations in arithmetic(problem, "parameter"))
    results.take(
        benchmark,
        f"{TASK}; peak {peak / 1e9:.0f}, NumPy {ROWS}×{ROWS} product {product / 1e9:.0f}",
        f"{'-'.join(map(str, widths))} {activation}, {samples}",
        error=error,
        remark=f"{full / 1e9:.0f} GFLOP/s, {full / product:.2f} times the product, {full / peak:.0%} of the peak "
        f"({done / 1e9:.0f} without dead units, {done / peak:.0%})",
    )
