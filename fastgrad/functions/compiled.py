"""Functions that numba has compiled: where their machine code lies, and calling it at many points, on all threads.

Called by `evaluation` alone.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgrad.functions.arguments import Array
from fastgrad.machine import most_threads, run_together


class Code(NamedTuple):
    """Machine code of a function of one argument: where it lies, and a number of the type that it gives."""

    address: int
    like: Any


def is_compiled(f: Any) -> bool:
    """Whether a function is numba's, and may be called from several threads: one that is parallel itself may not."""
    numba = sys.modules.get("numba")
    if numba is None:
        return False
    return isinstance(f, numba.core.dispatcher.Dispatcher) and not f.targetoptions.get("parallel", False)


def code_of(f: Any, shape: tuple[int, ...] | None) -> Code | None:
    """Return the code of a compiled function, which has been called, for arrays of a shape, or without one for numbers.

    None where it gives anything but one number, takes arrays otherwise than row by row, or calls what has threads of its own.
    """
    types = sys.modules["numba"].types
    fitting = [one for one in f.overloads.values() if _takes(types, one.signature.args, shape)]
    if not fitting:
        return None
    # One for arrays however they lie takes the same words; numba itself would call the one for these first.
    found = min(fitting, key=lambda one: getattr(one.signature.args[0], "layout", "C") != "C")
    result = found.signature.return_type
    if not isinstance(result, (types.Float, types.Integer, types.Boolean)) or _enters_threads(found.library):
        return None
    like = sys.modules["numba"].np.numpy_support.as_dtype(result).type(0)
    return Code(found.library.get_pointer_to_function(found.fndesc.llvm_func_name), like)


def _takes(types: Any, arguments: tuple[Any, ...], shape: tuple[int, ...] | None) -> bool:
    """Whether a signature's arguments are one number, or one array of float64 with a shape's dimensions."""
    if len(arguments) != 1:
        return False
    (only,) = arguments
    if shape is None or not isinstance(only, types.Array):
        return shape is None and only == types.float64
    return only.dtype == types.float64 and only.ndim == len(shape) and only.layout in "CA"


def _enters_threads(library: Any) -> bool:
    """Whether code may enter numba's threads: some kinds of them end the process where two of Python's threads do that.

    It then names the function that shares a loop out among them. Of what numba has loaded it keeps another text than its own.
    """
    with suppress(Exception):
        loaded = library._disable_inspection
        return "numba_parallel_for" in (str(library._get_module_for_linking()) if loaded else library.get_llvm_str())
    return True


def moved_values(code: Code, x: Array, entries: NDArray[np.int64], offsets: Array, values: Array) -> bool:
    """Fill values[k] with f(x + offsets[k]·e_entries[k]), nan where it raises; return whether f left its argument alone."""
    loop = import_module("fastgrad.functions.loops").move_entries
    runs = _runs(entries.size)
    returned = np.ones((len(runs), 1), dtype=np.bool_)
    run_together(
        [
            partial(loop, *code, x, entries[run], offsets[run], values[run], flag)
            for run, flag in zip(runs, returned, strict=True)
        ]
    )
    return bool(returned.all())


def values_at(code: Code, points: Array, values: Array) -> None:
    """Fill values[k] with f(points[k]), nan where it raises."""
    loop = import_module("fastgrad.functions.loops").fill_values
    run_together([partial(loop, *code, points[run], values[run]) for run in _runs(points.size)])


def _runs(count: int) -> list[slice]:
    """Cut some points into a run for each thread."""
    pieces = max(1, min(most_threads(), count))
    return [slice(piece * count // pieces, (piece + 1) * count // pieces) for piece in range(pieces)]
