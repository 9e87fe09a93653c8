"""What the machine itself can do, so that the other figures can be read: NumPy's large double matrix product."""

from __future__ import annotations

import numpy as np

ROWS = 2048


def test_matrix_product(benchmark, repeat, results):
    draw = np.random.default_rng(0)
    A, B = draw.normal(size=(2, ROWS, ROWS))
    repeat(lambda: A @ B)
    rate = f"{2 * ROWS**3 / benchmark.stats.stats.median / 1e9:.0f} GFLOP/s" if benchmark.stats else ""
    results.take(benchmark, f"Matrix product, {ROWS} × {ROWS}, float64", "NumPy", remark=rate)
