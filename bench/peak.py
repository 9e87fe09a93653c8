"""What the machine's cores can do at most in double precision, measured: fused multiply-adds on values in registers."""

from __future__ import annotations

import statistics
import time

import numba
import numpy as np
from numba import prange

from fastgrad.kernels.compile import wide_vectors

LENGTH = 256
ROUNDS = 100_000
CHAIN = 16
"""Multiply-adds on each value between loading and storing it."""


@numba.njit(fastmath={"contract"}, error_model="numpy", _nrt=False)
def multiply_add(values, factor, rounds):
    """Multiply and add, `CHAIN` times in a row, each value of a vector that stays in the nearest cache."""
    wide_vectors()
    for _ in range(rounds):
        for k in range(np.uint64(values.size)):
            x = values[k]
            x = x * factor + 0.5
            x = x * factor + 0.5
            x = x * factor + 0.5
            x = x * factor + 0.5
            x = x * factor + 0.5
            x = x * factor + 0.5
            x = x * factor + 0.5
            x = x * factor + 0.5
            x = x * factor + 0.5
            x = x * factor + 0.5
            x = x * factor + 0.5
            x = x * factor + 0.5
            x = x * factor + 0.5
            x = x * factor + 0.5
            x = x * factor + 0.5
            x = x * factor + 0.5
            values[k] = x


@numba.njit(parallel=True)
def on_all_threads(values, factor, rounds):
    """Do so on each thread with a row of its own."""
    for thread in prange(values.shape[0]):
        multiply_add(values[thread], factor, rounds)


def peak_rate() -> float:
    """Return floating-point operations a second on all of numba's threads."""
    values = np.ones((numba.get_num_threads(), LENGTH))
    on_all_threads(values, 0.5, 1)
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        on_all_threads(values, 0.5, ROUNDS)
        seconds.append(time.perf_counter() - began)
    return 2.0 * CHAIN * values.size * ROUNDS / statistics.median(seconds)
