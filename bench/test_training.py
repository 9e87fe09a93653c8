"""An iteration of the demo that trains by numerical gradients, beside the same one by backpropagation.

Run with ``pytest bench/test_training.py``. The two take turns in blocks, so that both see the same machine; digits are drawn.
"""

from __future__ import annotations

import math
import statistics
import time

import numpy as np

from fastgrad.teaching import training
from fastgrad.teaching.digits import CLASSES, Digits

ROUNDS, STEPS = 12, 100
TASK = "An iteration of the training demo, 784-50-10 with 100 digits"


def test_training(results):
    draw = np.random.default_rng(0)
    pixels, labels = draw.uniform(size=(2000, 784)), draw.integers(CLASSES, size=2000)
    digits = Digits("drawn", (pixels, labels), (pixels[:10], labels[:10]))
    seconds = {training.by_backpropagation: [], training.numerically: []}
    for _ in range(ROUNDS):
        for gradient, times in seconds.items():
            times.append(_iteration(digits, gradient))
    apart = [b / a for a, b in zip(*seconds.values(), strict=True)]
    for gradient, times in seconds.items():
        results.tell(TASK, gradient.__name__, statistics.median(times), math.nan, f"least {1e3 * min(times):.2f} ms")
    results.tell(TASK, "ratio", statistics.median(apart), math.nan, f"{min(apart):.2f} to {max(apart):.2f}, no seconds")


def _iteration(digits: Digits, gradient) -> float:
    """Return the seconds of an iteration, without the first ones: threads of BLAS that the other left spinning go to sleep."""
    time.sleep(0.2)
    return training.train(digits, gradient, STEPS).seconds / STEPS
