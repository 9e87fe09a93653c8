"""What the machine has: memory and threads. Called by whoever takes of them."""

from __future__ import annotations

import contextlib
import os
import sys
from threading import Lock

from fastgrad.errors import InputError, quoted

ONE_AT_A_TIME = Lock()
"""Held by whoever runs a prange loop: not all of numba's layers of threads bear being called from two of Python's at once."""


def available_memory() -> int:
    """Return how many bytes may be taken, as far as the system tells; sys.maxsize where it does not."""
    with contextlib.suppress(OSError, ValueError, StopIteration):
        with open("/proc/meminfo", encoding="ascii") as stream:
            line = next(line for line in stream if line.startswith("MemAvailable:"))
        return int(line.split()[1]) * 1024
    with contextlib.suppress(AttributeError, OSError, ValueError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return sys.maxsize


def most_threads() -> int:
    """Return how many threads there may be: NUMBA_NUM_THREADS, else one for each core.

    Raises
    ------
    InputError
        If that variable holds no such number.
    """
    said = os.environ.get("NUMBA_NUM_THREADS")
    if said:
        if not (said.isdecimal() and int(said)):
            raise InputError(f"the variable NUMBA_NUM_THREADS must be a whole number of at least 1, found {quoted(said)}")
        return int(said)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
