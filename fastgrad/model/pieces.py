"""A product in pieces that BLAS keeps on one thread each; the pieces are shared out among threads of Python's."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from fastgrad.machine import most_threads, run_together

Array = npt.NDArray[np.float64]

SERIAL = 2**18
"""Multiply-adds up to which OpenBLAS keeps a product on one thread (65536 times its GEMM_MULTITHREAD_THRESHOLD, 4)."""
INNER, MOST_LEFT = 512, 2**15
"""Terms of a sum that a piece has, and most numbers on its left."""


def add_product(left: Array, right: Array, out: Array) -> None:
    """Add left @ right, shape (c, n), in pieces that follow from the shapes alone, so that threads change no bit.

    Between two tiles of a matrix BLAS's threads go to sleep, and on a machine that is busy they wait for each other for longer
    than the product takes: 64 × 12000 by 12000 × 349 took 23 ms, after a tile was read up to 200; in pieces 40 whatever was
    before.
    """
    inner = min(INNER, max(MOST_LEFT // len(left), 1))
    parts = [np.ascontiguousarray(left[:, k : k + inner]) for k in range(0, left.shape[1], inner)]
    width, columns = max(1, SERIAL // (len(left) * inner)), right.shape[1]
    pieces, threads = -(-columns // width), most_threads()

    def some(first: int, last: int) -> None:
        for number, part in enumerate(parts):
            rows = slice(number * inner, (number + 1) * inner)
            for low in range(first * width, min(last * width, columns), width):
                out[:, low : low + width] += part @ right[rows, low : low + width]

    bounds = [pieces * k // threads for k in range(threads + 1)]
    run_together([partial(some, *pair) for pair in pairwise(bounds)])
