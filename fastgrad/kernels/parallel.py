"""numba's loop over threads, prange, for pieces of work that are machine code; called by sharing when it pays."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, cast

import llvmlite.binding as llvm
import numba
import numpy as np
from llvmlite import ir
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


def load(types: tuple[str, ...]) -> None:
    """Have the loop, numba's threads and what unpacks words of these types ready."""
    _loop()
    _unpacking(types)


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
    result and an exception first, of which there is none. llvmlite writes it, as pointers are written otherwise for older LLVM.
    """
    word, status, address = ir.IntType(64), ir.IntType(32), ir.IntType(8).as_pointer()
    kinds = [{"i64": word, "ptr": address, "double": ir.DoubleType()}[kind] for kind in types]
    module = ir.Module()
    unpack = ir.Function(module, ir.FunctionType(status, [address, address, word]), "run")
    builder = ir.IRBuilder(unpack.append_basic_block())
    words = builder.inttoptr(unpack.args[2], word.as_pointer())
    taken = [ir.FunctionType(status, kinds).as_pointer(), *kinds]
    places = (builder.bitcast(builder.gep(words, [word(k)]), kind.as_pointer()) for k, kind in enumerate(taken))
    function, *arguments = [builder.load(place) for place in places]
    builder.ret(builder.call(function, arguments))
    engine = new_engine(llvm.parse_assembly(str(module)))
    engine.finalize_object()
    return engine.get_function_address("run"), engine
