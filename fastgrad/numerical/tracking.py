"""Progress of work in blocks: it is counted, told, and stopped by Ctrl-C between two of them; and the number of threads."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

from fastgrad.errors import require
from fastgrad.machine import most_threads
from fastgrad.report.notebook import progress_here

Progress = Callable[[int, int], None]


def thread_count(threads: int | None) -> int:
    """Return the number of threads that is meant, all where none is given, or raise InputError."""
    most = most_threads()
    if threads is not None:
        require("threads", threads, int, f"a whole number from 1 to {most} on this machine", lambda n: 1 <= n <= most)
    return threads or most


def phase(progress: Progress | None, doing: str) -> Progress | None:
    """Begin another kind of work; return what is to be told of it: a progress that knows of such, none else."""
    begin = getattr(progress, "begin", None)
    if begin is None:
        return None
    begin(doing)
    return progress


class Tracker:
    """Counts parameters done, passes the count on, in a notebook to a bar of its own, and hears Ctrl-C between blocks of work.

    Within the context the first Ctrl-C is only noted, so that it stops nothing halfway; a second one acts as ever.
    """

    def __init__(self, progress: Progress | None, total: int) -> None:
        self.bar = progress_here() if progress is None else None
        self.progress, self.total, self.done = progress or self.bar, total, 0
        self.interrupted = False

    def __enter__(self) -> Tracker:
        # Only the main thread may handle signals, and only it is interrupted; a job in the background may ignore them.
        ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        self._handles = threading.current_thread() is threading.main_thread() and not ignored
        if self._handles:
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if self._handles:
            signal.signal(signal.SIGINT, self._before)
        self._close()

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()

    def _note(self, *_: object) -> None:
        self.interrupted = True
        signal.signal(signal.SIGINT, self._before)

    def advance(self, count: int) -> None:
        """Count some more."""
        self.done += count
        if self.progress is not None:
            self.progress(self.done, self.total)
        if self.done >= self.total:
            self._close()
