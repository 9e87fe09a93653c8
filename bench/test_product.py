"""The product inside a tile, written as LLVM code, beside two loops that numba compiles; their results are the same bits.

Run with ``pytest bench/test_product.py``. The plain loop is the one that kernels/rows uses where nothing is compiled; the other
takes four rows and four inner indices at a time, the best that was found without choosing registers oneself. The three are
timed in turn, on one thread, in many short rounds of which the least counts: what else the machine does only adds to it.
"""

from __future__ import annotations

import time
from typing import Any

import numba
import numpy as np
import pytest

from fastgrad.kernels.codes import ROW, SPACING
from fastgrad.kernels.compile import FLAGS, helper, outlined, wide_vectors
from fastgrad.kernels.records import Terms, Tile, Weights
from fastgrad.kernels.rows import DEPTH, STRIDE, add_products_plainly, first_line, multiply

SHAPES = [(1, 5), (5, 5), (7, 20), (10, 128), (128, 256), (256, 256), (512, 512)]
"""Rows and inner indices: of the networks of courses, of digits, of deep layers."""
ROUNDS = 101
OPERATIONS = 5e6
"""In one round."""
NAMES = ("LLVM code", "numba, plain loop", "numba, four by four")

plain_products = helper(add_products_plainly)


@outlined
def plain(weights: Any, tile: Any, source: int, n_in: int, target: int, n_out: int) -> None:
    """Do what `multiply` does by the plain loop."""
    wide_vectors()
    columns, here, there = np.int64(tile.columns), source * SPACING, target * SPACING
    plain_products(n_out, columns, 0, weights, tile, target, source, n_in, here, there)


@helper
def four_rows(weights: Any, tile: Any, inputs: int, count: int, at: Any, output: int, to: Any) -> None:
    """Add to four rows the products with `count` rows from number `at` on, four at a time."""
    theta, work, active, columns = weights.theta, tile.work, tile.active, tile.columns
    w0 = weights.start + active[output] * weights.columns
    w1 = weights.start + active[output + 1] * weights.columns
    w2 = weights.start + active[output + 2] * weights.columns
    w3 = weights.start + active[output + 3] * weights.columns
    to1, to2, to3 = to + STRIDE, to + STRIDE + STRIDE, to + STRIDE + STRIDE + STRIDE
    for k in range(0, count - 3, 4):
        i0, i1, i2, i3 = active[inputs + k], active[inputs + k + 1], active[inputs + k + 2], active[inputs + k + 3]
        a0 = at + np.uint64(k) * STRIDE
        a1, a2, a3 = a0 + STRIDE, a0 + STRIDE + STRIDE, a0 + STRIDE + STRIDE + STRIDE
        x00, x01, x02, x03 = theta[w0 + i0], theta[w0 + i1], theta[w0 + i2], theta[w0 + i3]
        x10, x11, x12, x13 = theta[w1 + i0], theta[w1 + i1], theta[w1 + i2], theta[w1 + i3]
        x20, x21, x22, x23 = theta[w2 + i0], theta[w2 + i1], theta[w2 + i2], theta[w2 + i3]
        x30, x31, x32, x33 = theta[w3 + i0], theta[w3 + i1], theta[w3 + i2], theta[w3 + i3]
        for c in range(columns):
            s0, s1, s2, s3 = work[a0 + c], work[a1 + c], work[a2 + c], work[a3 + c]
            work[to + c] = (((work[to + c] + x00 * s0) + x01 * s1) + x02 * s2) + x03 * s3
            work[to1 + c] = (((work[to1 + c] + x10 * s0) + x11 * s1) + x12 * s2) + x13 * s3
            work[to2 + c] = (((work[to2 + c] + x20 * s0) + x21 * s1) + x22 * s2) + x23 * s3
            work[to3 + c] = (((work[to3 + c] + x30 * s0) + x31 * s1) + x32 * s2) + x33 * s3
    for k in range(count - count % 4, count):
        i, a0 = active[inputs + k], at + np.uint64(k) * STRIDE
        x0, x1, x2, x3 = theta[w0 + i], theta[w1 + i], theta[w2 + i], theta[w3 + i]
        for c in range(columns):
            work[to + c] += x0 * work[a0 + c]
            work[to1 + c] += x1 * work[a0 + c]
            work[to2 + c] += x2 * work[a0 + c]
            work[to3 + c] += x3 * work[a0 + c]


@helper
def one_row(weights: Any, tile: Any, inputs: int, count: int, at: Any, output: int, to: Any) -> None:
    """Do likewise for one row."""
    theta, work, active = weights.theta, tile.work, tile.active
    w = weights.start + active[output] * weights.columns
    for k in range(0, count - 3, 4):
        x0, x1 = theta[w + active[inputs + k]], theta[w + active[inputs + k + 1]]
        x2, x3 = theta[w + active[inputs + k + 2]], theta[w + active[inputs + k + 3]]
        a0 = at + np.uint64(k) * STRIDE
        a1, a2, a3 = a0 + STRIDE, a0 + STRIDE + STRIDE, a0 + STRIDE + STRIDE + STRIDE
        for c in range(tile.columns):
            work[to + c] = (((work[to + c] + x0 * work[a0 + c]) + x1 * work[a1 + c]) + x2 * work[a2 + c]) + x3 * work[a3 + c]
    for k in range(count - count % 4, count):
        x, a0 = theta[w + active[inputs + k]], at + np.uint64(k) * STRIDE
        for c in range(tile.columns):
            work[to + c] += x * work[a0 + c]


@outlined
def four_by_four(weights: Any, tile: Any, source: int, n_in: int, target: int, n_out: int) -> None:
    """Do what `multiply` does, four rows and four inner indices at a time."""
    wide_vectors()
    for r in range(n_out):
        for c in range(tile.columns):
            tile.work[np.uint64(target + r) * STRIDE + c] = 0.0
    for low in range(0, n_in, DEPTH):
        at, count = np.uint64(source + low) * STRIDE, min(DEPTH, n_in - low)
        for r in range(0, n_out - 3, 4):
            four_rows(weights, tile, source + low, count, at, target + r, np.uint64(target + r) * STRIDE)
        for r in range(n_out - n_out % 4, n_out):
            one_row(weights, tile, source + low, count, at, target + r, np.uint64(target + r) * STRIDE)


@numba.njit(nogil=True, **FLAGS)
def run(which: int, times: int, theta: Any, memory: Any, active: Any, n_in: int, n_out: int) -> None:
    """Multiply some times, the rows of the result following those of the source."""
    low = first_line(memory)
    work = memory[low:]
    tile = Tile(work[:ROW], work[:ROW], work, active, np.uint64(ROW), ROW // 2)
    weights, none = Weights(theta, 0, n_in, 0), Terms(theta, 0)
    for _ in range(times):
        if which == 0:
            multiply(weights, tile, none, 0, n_in, n_in, n_out)
        elif which == 1:
            plain(weights, tile, 0, n_in, n_in, n_out)
        else:
            four_by_four(weights, tile, 0, n_in, n_in, n_out)


@pytest.mark.parametrize(("n_out", "n_in"), SHAPES)
def test_product(results, n_out, n_in):
    draw = np.random.default_rng(0)
    memory, theta = draw.normal(size=(n_in + n_out + 1) * SPACING), draw.normal(size=n_out * n_in)
    active = np.concatenate([np.arange(n_in), np.arange(n_out)])
    operations = 2.0 * n_out * n_in * ROW
    times = max(1, round(OPERATIONS / operations))
    seconds: list[list[float]] = [[], [], []]
    found = []
    for which in range(3):
        run(which, 1, theta, memory, active, n_in, n_out)
        found.append(memory.copy())
    for _ in range(ROUNDS):
        for which in range(3):
            began = time.perf_counter()
            run(which, times, theta, memory, active, n_in, n_out)
            seconds[which].append((time.perf_counter() - began) / times)
    least = [min(rounds) for rounds in seconds]
    for name, second in zip(NAMES, least, strict=True):
        remark = f"{operations / second / 1e9:.0f} GFLOP/s, {second / least[0]:.2f} times the LLVM code"
        results.tell(f"Product of {n_out} × {n_in} weights with a tile's rows, one thread", name, second, np.nan, remark)
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_array_equal(found[2], found[0])
