"""Loops over the entries of an argument for functions that numba has compiled: one for each function, in prange threads.

Called by `evaluation` alone. numba cannot keep a loop that calls a function made elsewhere: it is compiled once for each
function and process. The function enters as a constant, so that the compiler may inline it; measured, a function
handed over as an argument costs an indirect call and a fresh compilation for each function all the same.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from fastgrad.functions.arguments import Array

CHUNKS = 64
"""Pieces that the points are dealt out in: several for each thread, and so few that copying x for each costs nothing."""

Loop = Callable[..., None]


def is_compiled(f: Any) -> bool:
    """Whether a function is numba's, and may be called from several threads: one that is parallel itself may not."""
    numba = sys.modules.get("numba")
    if numba is None:
        return False
    return isinstance(f, numba.core.dispatcher.Dispatcher) and not f.targetoptions.get("parallel", False)


@lru_cache(maxsize=32)
def loop_of(f: Any) -> Loop:
    """Make the loop that calls a compiled function at x with one entry moved at a time.

    Notes
    -----
    ``loop(x, entries, offsets, values, returned)`` fills ``values[k]`` with f(x + offsets[k]·e_entries[k]), and
    ``returned[c]`` with 1 where chunk c ended with its copy of x as it began. An exception inside ends its chunk in
    silence, which is numba's way: what is still nan then is for the caller to evaluate again.
    """
    import numba

    @numba.njit(parallel=True)
    def loop(x, entries, offsets, values, returned):  # type: ignore[no-untyped-def]  # numba infers the types
        count, chunks = entries.size, returned.size
        for chunk in numba.prange(chunks):
            point = x.copy()
            flat, kept = point.reshape(point.size), x.reshape(x.size)
            for k in range(chunk * count // chunks, (chunk + 1) * count // chunks):
                entry = entries[k]
                flat[entry] = kept[entry] + offsets[k]
                values[k] = f(point)
                flat[entry] = kept[entry]
            same = True
            for entry in range(flat.size):
                same = same and flat[entry] == kept[entry]
            returned[chunk] = same

    return loop  # type: ignore[no-any-return]


@lru_cache(maxsize=32)
def number_loop_of(f: Any) -> Callable[[Array, Array], None]:
    """Make the loop ``loop(points, values)`` for a compiled function of one number."""
    import numba

    @numba.njit(parallel=True)
    def loop(points, values):  # type: ignore[no-untyped-def]
        for k in numba.prange(points.size):
            values[k] = f(points[k])

    return loop  # type: ignore[no-any-return]


def returned_flags(count: int) -> Array:
    """Return the array in which the chunks tell that they left x as it was."""
    return np.ones(min(CHUNKS, max(1, count)))
