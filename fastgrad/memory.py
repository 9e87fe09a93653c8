"""How much memory there is to take. Called by whoever takes what a file asks for, before taking it."""

from __future__ import annotations

import contextlib
import os
import sys


def available_memory() -> int:
    """Return how many bytes may be taken, as far as the system tells; sys.maxsize where it does not."""
    with contextlib.suppress(OSError, ValueError, StopIteration):
        with open("/proc/meminfo", encoding="ascii") as stream:
            line = next(line for line in stream if line.startswith("MemAvailable:"))
        return int(line.split()[1]) * 1024
    with contextlib.suppress(AttributeError, OSError, ValueError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return sys.maxsize
