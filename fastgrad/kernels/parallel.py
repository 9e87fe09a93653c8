"""numba's loop over threads, prange, for pieces of work that are machine code; called by sharing when it pays."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, cast

import llvmlite.binding as llvm
import numba
import numpy as np
from numba import prange

from fastgrad.kernels.compile import FLAGS, call
from fastgrad.kernels.dispatch import Kept
from fastgrad.kernels.native import Call, new_engine


def _in_parallel(function, contexts):
    """Call machine code for each context; what one thread does is so long that a call by address costs nothing."""
    for piece in prange(contexts.size):
        call(function, (contexts[piece],))


@cache
def _loop() -> Any:
    """Compile the loop, or load it."""
    dispatcher = cast(Any, numba.njit(parallel=True, nogil=True, **FLAGS)(_in_parallel))
    dispatcher._cache = Kept("parallel.in_parallel.pickle")
    dispatcher.compile("void(i8, i8[::1])")
    dispatcher.disable_compile()
    return dispatcher


def load() -> None:
    """Have the loop, and numba's threads, ready."""
    _loop()


def run(calls: Sequence[Call]) -> None:
    """Run calls of one kernel, each a piece of work for a thread."""
    contexts = [np.frombuffer(one.context(), dtype=np.int64) for one in calls]
    addresses = np.array([context.ctypes.data for context in contexts])
    function, _ = _unpacking(calls[0].types)
    before = numba.get_num_threads()
    numba.set_num_threads(min(len(calls), numba.config.NUMBA_NUM_THREADS))
    try:
        _loop()(function, addresses)
    finally:
        numba.set_num_threads(before)


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
