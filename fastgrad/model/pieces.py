"""Products of matrices in pieces: BLAS keeps each on one thread, and threads of Python's share them out.

BLAS's own threads spin for tens of milliseconds after a product that they shared, on the cores that kernels need: on the
12288-5-5-1 network with 209 examples the kernel after one took 67 ms for 44. Held to one thread, BLAS is as fast in pieces of
Python's threads: 64 × 1024 by 1024 × 1024 took 1.5 ms on two cores either way.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path
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
NARROW, SMALL, FEW_ROWS = 16, 2**19, 4
"""With so few columns pieces of so many multiply-adds and rows, of which OpenBLAS copies nothing, take half the time: 1.1 ms
for 2.7 of 209 × 12288 by 12288 × 5."""


class _OneThread:
    """Holds BLAS to one thread while somebody is within; whoever leaves last gives back what there was.

    Ctrl-C may end any of this half done. So who is within is a set, which nobody is added to or taken from twice, and what is
    to be done follows from it and from what BLAS says, however often it is asked.
    """

    def __init__(self, before: dict[int, int] | None = None) -> None:
        self._lock, self._within = Lock(), set[object]()
        self._before = before or dict[int, int]()

    def enter(self, who: object) -> None:
        """Hold it."""
        self._within.add(who)
        self.settle()

    def leave(self, who: object) -> None:
        """Let go of it, whether or not entering was finished."""
        self._within.discard(who)
        self.settle()

    def settle(self) -> None:
        """Bring the number of threads to what it should be; one that somebody else has set since stays."""
        with self._lock:
            for place, library in enumerate(_libraries()):
                if self._within and place not in self._before:
                    self._before[place] = library.num_threads
                    set_threads(library, 1)
                elif not self._within and place in self._before:
                    if library.num_threads == 1:
                        set_threads(library, self._before[place])
                    del self._before[place]

    def of_a_child(self) -> _OneThread:
        """Return one for a child of fork, in which nobody is within, and which may lack the thread that holds the lock."""
        return _OneThread(self._before)


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
    """Return NumPy's library of BLAS, or all that are loaded if none is its own; none that cannot be told its threads."""
    from threadpoolctl import ThreadpoolController  # imported for 4 ms where a product is large enough

    found = list(ThreadpoolController().select(user_api="blas").lib_controllers)
    own = [one for one in found if any(part.startswith("numpy") for part in Path(one.filepath).parts)]
    return own or found


one_blas_thread = _OneThread()


def _after_fork() -> None:
    global one_blas_thread
    one_blas_thread = one_blas_thread.of_a_child()
    if "threadpoolctl" in sys.modules:
        one_blas_thread.settle()


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
    size, side = (SMALL, FEW_ROWS) if columns <= min(NARROW, rows) else (PIECE, SIDE)
    pieces = max(1, min(work // size, longer // side))
    bounds = [longer * k // pieces for k in range(pieces + 1)]

    def piece(k: int) -> None:
        part = slice(bounds[k], bounds[k + 1])
        if rows >= columns:
            np.matmul(left[part], right, out=result[part])
        else:
            np.matmul(left, right[:, part], out=result[:, part])

    here, held = object(), one_blas_thread
    try:
        held.enter(here)
        share_pieces(pieces, piece, None if work >= SHARED_WORK else 1)
    finally:
        try:
            held.leave(here)
        finally:  # once more, should Ctrl-C have come in between
            held.leave(here)
    return result
