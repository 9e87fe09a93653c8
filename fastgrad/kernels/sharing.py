"""How work is shared out among threads; called by launch.

numba's threads take half a second to come to: importing numba, loading the loop that wakes them. Until one thread has worked
as long without them as that takes, it goes on alone; a check that is over before never waits, and none takes more than twice
as long as it had to. The bits are the same either way.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from math import inf
from typing import Any

import llvmlite.binding as llvm
import numpy as np

from fastgrad.kernels.native import WITHOUT_COMPILATION, Call, new_engine
from fastgrad.machine import ONE_AT_A_TIME

WAKING = 0.5
"""Seconds that it takes to wake numba's threads: 0.45 on two cores of 2.3 GHz, with the loop compiled before."""


class Crew:
    """The threads of this process, and how long one has worked without the others."""

    def __init__(self) -> None:
        self.alone = 0.0
        # In a child of fork numba's threads are not there, and some layers of them end the process that calls them.
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._stay_alone)

    def _stay_alone(self) -> None:
        self.alone = -inf

    def ready(self, threads: int) -> int:
        """Return how many of some threads would work now."""
        return threads if self.alone >= WAKING else 1

    def share_out(self, threads: int, prepare: Callable[[int, int], Call]) -> None:
        """Do work cut into pieces: `prepare` is given a piece's number and the number of pieces, and must share no scratch."""
        if threads == 1 or WITHOUT_COMPILATION:
            prepare(0, 1).run()
        elif self.alone < WAKING:
            began = time.perf_counter()
            prepare(0, 1).run()
            self.alone += time.perf_counter() - began
        else:
            calls = [prepare(piece, threads) for piece in range(threads)]
            with ONE_AT_A_TIME:
                _run_together(calls, threads)

    def wake(self) -> None:
        """Wake the others before there is work for them, as a benchmark should."""
        self.alone = max(self.alone, WAKING)
        if not WITHOUT_COMPILATION:
            import_module("fastgrad.kernels.parallel")


crew = Crew()


def _run_together(calls: Sequence[Call], threads: int) -> None:
    """Run calls of one kernel by prange, which passes each the address of its machine words."""
    parallel = import_module("fastgrad.kernels.parallel")
    contexts = [np.frombuffer(call.context(), dtype=np.int64) for call in calls]
    addresses = np.array([context.ctypes.data for context in contexts])
    function, _ = _unpacking(calls[0].types)
    with parallel.number_of_threads(threads):
        parallel.in_parallel(function, addresses)


@cache
def _unpacking(types: tuple[str, ...]) -> tuple[int, Any]:
    """Return machine code that takes the address of a function and its words, of these types, and calls it.

    The address, and the engine that holds the code. Like all of numba's functions it is given room for a
    result and an exception first, of which there is none.
    """
    lines = ["define i32 @run(ptr %result, ptr %exception, i64 %context) {", "%words = inttoptr i64 %context to ptr"]
    lines.append("%function = load ptr, ptr %words")
    for k, kind in enumerate(types):
        lines += [f"%place{k} = getelementptr i64, ptr %words, i64 {k + 1}", f"%word{k} = load {kind}, ptr %place{k}"]
    words = ", ".join(f"{kind} %word{k}" for k, kind in enumerate(types))
    lines += [f"%status = call i32 %function({words})", "ret i32 %status", "}"]
    engine = new_engine(llvm.parse_assembly("\n".join(lines)))
    engine.finalize_object()
    return engine.get_function_address("run"), engine
