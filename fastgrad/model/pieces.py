"""Products of matrices in pieces: BLAS keeps each on one thread, and threads of Python's share them out.

BLAS's own threads spin for tens of milliseconds after a product that they shared, on the cores that kernels need: on the
12288-5-5-1 network with 209 examples the kernel after one took 67 ms for 44. Held to one thread, BLAS is as fast in pieces of
Python's threads: 64 × 1024 by 1024 × 1024 took 1.5 ms on two cores either way.
"""

from __future__ import annotations

import os
from functools import cache
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from fastgrad.machine import share_pieces

Array = npt.NDArray[np.float64]

SERIAL = 2**18
"""Multiply-adds up to which OpenBLAS keeps a product on one thread (65536 times its GEMM_MULTITHREAD_THRESHOLD, 4)."""
SHARED_WORK = 2**24
"""Multiply-adds from which a second thread is worth waking: 0.8 ms on one."""
PIECE, SIDE = 2**23, 128
"""Multiply-adds, and rows or columns, that a piece has at least: BLAS copies the other factor for each."""
NARROW, SMALL = 16, 2**19
"""With so few columns pieces of so many multiply-adds, of which OpenBLAS copies nothing, take half the time: 1.1 ms for 2.7 of
209 × 12288 by 12288 × 5."""


class _OneThread:
    """While somebody is within it, BLAS takes one thread; whoever leaves last gives back what there was."""

    def __init__(self) -> None:
        self._lock, self._within, self._before = Lock(), 0, list[int]()

    def __enter__(self) -> None:
        with self._lock:
            self._within += 1
            if self._within == 1:
                self._before = [library.num_threads for library in _libraries()]
                self._set([1] * len(self._before))

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._within -= 1
            if not self._within:
                self._set(self._before)

    def _set(self, threads: list[int]) -> None:
        for library, number in zip(_libraries(), threads, strict=True):
            set_threads(library, number)


def set_threads(library: Any, number: int) -> None:
    """Set how many threads a library takes, from whichever thread of Python's.

    Since 3.8 threadpoolctl lets only the thread that set OpenBLAS's number first do so again, and ignores all others: that one
    is made to forget its right before, and this one after, so that whoever comes next may.
    """
    forget = getattr(library, "clear_controlling_thread", lambda force: None)
    forget(force=True)
    library.set_num_threads(number)
    forget(force=True)


@cache
def _libraries() -> list[Any]:
    """Return the libraries of BLAS that are loaded; none where they cannot be told how many threads to take."""
    from threadpoolctl import ThreadpoolController  # imported for 4 ms where a product is large enough

    return list(ThreadpoolController().select(user_api="blas").lib_controllers)


one_blas_thread = _OneThread()


def _after_fork() -> None:
    global one_blas_thread
    one_blas_thread = _OneThread()  # the lock of the old one may be held by a thread that a child does not have


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def multiply(left: Array, right: Array, out: Array | None = None) -> Array:
    """left @ right, into `out` where given, in pieces that follow from the shapes alone, so that threads change no bit."""
    rows, inner, columns = left.shape[0], left.shape[1], right.shape[1]
    work = rows * inner * columns
    if work <= SERIAL:
        return np.matmul(left, right, out=out)
    result = np.empty((rows, columns)) if out is None else out
    longer = max(rows, columns)
    pieces = max(1, work // SMALL if columns <= min(NARROW, rows) else min(work // PIECE, longer // SIDE))
    bounds = [longer * k // pieces for k in range(pieces + 1)]

    def piece(k: int) -> None:
        part = slice(bounds[k], bounds[k + 1])
        if rows >= columns:
            np.matmul(left[part], right, out=result[part])
        else:
            np.matmul(left, right[:, part], out=result[:, part])

    with one_blas_thread:
        share_pieces(pieces, piece, None if work >= SHARED_WORK else 1)
    return result
