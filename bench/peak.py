"""The machine's double-precision peak, measured: multiply-adds on registers alone, as many in flight as fill the pipelines."""

from __future__ import annotations

import time
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from fastgrad.kernels.rows import LANES

CHAINS = 12
"""Sums in flight: two units, of a latency of four cycles, want eight; on a machine of 16 registers there is room for 12."""
LENGTH = 2_000_000
ROUNDS = 9


@intrinsic
def multiply_adds(typing_context: Any, count: Any, factor: Any) -> Any:
    """CHAINS vectors a, each made a·factor + factor so many times; their sum, so that no compiler leaves them out."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        count, factor = values
        vector, index = ir.VectorType(ir.DoubleType(), LANES), ir.IntType(32)
        one = builder.insert_element(vector(ir.Undefined), factor, index(0))
        repeated = builder.shuffle_vector(one, vector(ir.Undefined), ir.VectorType(index, LANES)([0] * LANES))
        sums = [cgutils.alloca_once(builder, vector) for _ in range(CHAINS)]
        for chain, total in enumerate(sums):
            builder.store(vector([float(chain)] * LANES), total)
        with cgutils.for_range(builder, count):
            for total in sums:
                product = builder.fmul(builder.load(total), repeated, flags=("contract",))
                builder.store(builder.fadd(product, repeated, flags=("contract",)), total)
        whole = builder.load(sums[0])
        for total in sums[1:]:
            whole = builder.fadd(whole, builder.load(total))
        return builder.extract_element(whole, index(0))

    return types.float64(types.int64, types.float64), generate


@numba.njit(nogil=True)
def _run(count: int, factor: float) -> float:
    return multiply_adds(count, factor)


@numba.njit(parallel=True)
def _run_on_all(threads: int, count: int, factor: float, results: Any) -> None:
    for thread in numba.prange(threads):
        results[thread] = _run(count, factor)


def peak() -> float:
    """Return the operations per second that all threads reach, the best of a few rounds: a peak is what can be had."""
    threads, seconds = numba.get_num_threads(), []
    results = np.empty(threads)
    _run_on_all(threads, 1, 0.5, results)
    for _ in range(ROUNDS):
        began = time.perf_counter()
        _run_on_all(threads, LENGTH, 0.5, results)
        seconds.append(time.perf_counter() - began)
    return 2.0 * LANES * CHAINS * LENGTH * threads / min(seconds)


@numba.njit(parallel=True)
def _sum_on_all(threads: int, numbers: Any, results: Any) -> None:
    for thread in numba.prange(threads):
        sums = np.zeros(4 * LANES)
        for low in range(thread * numbers.size // threads, (thread + 1) * numbers.size // threads - sums.size, sums.size):
            for k in range(sums.size):
                sums[k] += numbers[low + k]
        results[thread] = sums.sum()


def bandwidth() -> float:
    """Return the bytes per second that all threads read from memory, the best of a few rounds."""
    threads, seconds, numbers = numba.get_num_threads(), [], np.ones(2**25)
    results = np.empty(threads)
    for _ in range(ROUNDS):
        began = time.perf_counter()
        _sum_on_all(threads, numbers, results)
        seconds.append(time.perf_counter() - began)
    return numbers.nbytes / min(seconds)


if __name__ == "__main__":
    print(f"{peak() / 1e9:.0f} GFLOP/s by {numba.get_num_threads()} threads, {LANES} numbers to a register")
