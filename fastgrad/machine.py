"""What the machine has, memory and threads. Called by everything that takes some of it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING

from fastgrad.errors import InputError, quoted

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor


ALWAYS_THERE = 2**28
"""Bytes that are taken without asking the system, which costs as much time as a small check."""
_busy: list[object] = []
"""Who has, the first of them, the threads beside the calling one."""
_limits: list[int] = []
"""The most memory that may be taken, where somebody said so."""


@contextlib.contextmanager
def limited_memory(most: int | None) -> Iterator[None]:
    """Have no more memory than that for a while, in bytes; None for all there is."""
    before = _limits.copy()
    _limits[:] = before if most is None else [most]
    try:
        yield
    finally:
        _limits[:] = before


def fits(needed: int) -> bool:
    """Tell whether there is room for so many bytes."""
    return (needed <= ALWAYS_THERE and not _limits) or needed <= available_memory()


def available_memory() -> int:
    """Return how many bytes may be taken, as far as the system tells; sys.maxsize where it does not."""
    return min([_free_memory(), *_limits])


def _free_memory() -> int:
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


def run_together(calls: Sequence[Callable[[], None]]) -> None:
    """Run calls of compiled code, which hold no lock of Python's: the first on this thread, the others beside it.

    They take 60 µs in all. While the threads are taken, by another thread or by a call that makes this one, the calls are made
    one after the other: one that waited for the thread it runs on would wait for ever.
    """
    here = object()
    try:  # Ctrl-C may come between any two calls: what is undone below is undone however far this came
        _busy.append(here)
        if len(calls) > 1 and _busy[0] is here:
            _run_beside(calls)
        else:
            _busy.remove(here)
            for call in calls:
                call()
    finally:
        while here in _busy:
            _busy.remove(here)


def _run_beside(calls: Sequence[Callable[[], None]]) -> None:
    others: list[Future[None]] = []
    errors: list[BaseException] = []
    try:
        for call in calls[1:]:
            others.append(_threads().submit(call))  # noqa: PERF401  (those that were submitted are known if Ctrl-C comes)
        calls[0]()
    finally:  # whatever happens here, no thread goes on writing into arrays that the caller has back
        try:
            _await(others, errors)
        finally:
            _await(others, errors)
    errors += [error for other in others if (error := other.exception()) is not None]
    for error in errors:
        raise error


def _await(others: Sequence[Future[None]], interrupts: list[BaseException]) -> None:
    """Wait until all have ended, Ctrl-C or not."""
    for other in others:
        while not other.done():
            try:
                other.exception()
            except KeyboardInterrupt as interrupt:
                interrupts.append(interrupt)


def share_pieces(pieces: int, work: Callable[[int], None], threads: int | None = None) -> None:
    """Do pieces of work, by their numbers, each on whichever thread is free; all of them by default.

    After an error, or Ctrl-C, no further piece is begun.
    """
    import numpy as np  # not above: the command asks for the machine before it loads any of that

    numbers = iter(range(pieces))

    def some() -> None:
        with np.errstate(all="ignore"):  # as in the thread that calls: numbers that overflow on the way are judged
            try:
                for number in numbers:
                    work(number)
            except BaseException:
                deque(numbers, maxlen=0)
                raise

    run_together([some] * max(1, min(threads or most_threads(), pieces)))


@cache
def _threads() -> ThreadPoolExecutor:
    """Return the threads beside the one that calls; they come when they are first needed."""
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(max(1, most_threads() - 1), thread_name_prefix="fastgrad")


def _after_fork() -> None:
    _threads.cache_clear()
    _busy.clear()


if hasattr(os, "register_at_fork"):  # a child of fork has none of its parent's threads: it takes new ones
    os.register_at_fork(after_in_child=_after_fork)
