"""The numerical gradient of the 12288-5-5-1 tanh network by everybody who can, beside the NumPy loop.

Run with ``pytest bench``. Who would take longer than about half a minute is timed on random parameters and scaled.
"""

from __future__ import annotations

import numpy as np
import pytest

from competitors import BASELINE, COMPETITORS
from networks import cat_network, to_vector


@pytest.mark.parametrize("samples", [1, 209])
@pytest.mark.parametrize("competitor", COMPETITORS, ids=lambda competitor: competitor.name)
def test_cat(benchmark, repeat, results, competitor, samples):
    network = cat_network(samples)
    count = competitor.subset.get(samples, network.size)
    indices = np.sort(np.random.default_rng(1).choice(network.size, size=count, replace=False))
    run = competitor.prepare(network)
    error = competitor.error(repeat(lambda: run(indices)), to_vector(network.gradients)[indices])
    results.take(
        benchmark,
        f"Numerical gradient of 12288-5-5-1, tanh: {network.size:,} parameters, examples: {samples}",
        competitor.name,
        scale=network.size / count,
        error=error,
        remark=f"timed on {count:,} random parameters, scaled" if count < network.size else "",
        baseline=competitor.name == BASELINE,
    )
    assert not error > competitor.accuracy
