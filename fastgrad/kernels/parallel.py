"""The loop over threads, numba's prange, which all kernels share; called by sharing, and imported only when it pays."""

from contextlib import contextmanager
from functools import partial

import numba
from numba import prange
from numba.core import config

from fastgrad.kernels.compile import FLAGS, call
from fastgrad.kernels.native import cache_folder


def _kept(function):
    """Compile the loop, or load it: numba reads its cache folder when a function is decorated, and has no argument for it."""
    folder = cache_folder()
    compiled = partial(numba.njit, "void(i8, i8[::1])", parallel=True, nogil=True, **FLAGS)
    before, config.CACHE_DIR = config.CACHE_DIR, str(folder or "")
    try:
        return compiled(cache=folder is not None)(function)
    except OSError:  # no room for it
        return compiled()(function)
    finally:
        config.CACHE_DIR = before


@_kept
def in_parallel(function, contexts):
    """Call machine code for each context; what one thread does is so long that a call by address costs nothing."""
    for piece in prange(contexts.size):
        call(function, (contexts[piece],))


@contextmanager
def number_of_threads(threads):
    """Use that many for a while."""
    before = numba.get_num_threads()
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    try:
        yield
    finally:
        numba.set_num_threads(before)
