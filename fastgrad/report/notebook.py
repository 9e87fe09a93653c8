"""Progress in a notebook: a bar that appears by itself where work takes long, and goes when it is done.

Called by numerical's tracker and the self-test. Nothing is imported for it that the notebook has not: IPython's own display.
"""

from __future__ import annotations

import sys
import time
from typing import Any

PATIENCE, PULSE = 1.0, 0.2
"""Seconds that may pass before a bar appears, and between two pictures of it."""


def progress_here() -> NotebookProgress | None:
    """Return what shows progress where this runs in a notebook; None anywhere else."""
    shells = sys.modules.get("IPython")
    shell = None if shells is None else shells.get_ipython()
    return NotebookProgress() if getattr(shell, "kernel", None) is not None else None


class NotebookProgress:
    """A bar with the time left."""

    def __init__(self) -> None:
        self._began = self._shown = time.monotonic()
        self._handle: Any = None

    def __call__(self, done: int, total: int) -> None:
        """Take note of how much of the work is done."""
        now = time.monotonic()
        if now - self._began < PATIENCE or (self._handle is not None and now - self._shown < PULSE):
            return
        self._shown = now
        self._show(_Bar(done, total, (now - self._began) * (total - done) / max(done, 1)))

    def close(self) -> None:
        """Take the bar away, if it was shown."""
        if self._handle is not None:
            self._handle.update(_Nothing())

    def _show(self, bar: _Bar) -> None:
        if self._handle is None:
            self._handle = sys.modules["IPython"].display.display(bar, display_id=True)
        else:
            self._handle.update(bar)


class _Bar:
    """One picture of a bar, for a notebook and for a terminal that it is opened in."""

    def __init__(self, done: int, total: int, left: float) -> None:
        self._done, self._total, self._left = done, total, left

    def __repr__(self) -> str:
        return f"{self._done / max(self._total, 1):.0%}, {self._left:.0f} s left"

    def _repr_html_(self) -> str:
        return f'<progress value="{self._done}" max="{self._total}"></progress> {self!r}'


class _Nothing:
    """What stands where a bar was."""

    def __repr__(self) -> str:
        return ""

    def _repr_html_(self) -> str:
        return ""
