"""Standard streams that bear whatever lies behind them: a reader that has gone, a full disk, an old encoding.

Used by the command and by the process that runs a stranger's function; nothing heavy may be imported here.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import Any, TextIO


class Outlet(io.FileIO):
    """A file descriptor to which writing never fails; what went wrong stays here, to be told at the end."""

    lost: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Write, or take note of why it cannot be done; from then on everything is dropped."""
        if self.lost is None:
            try:
                return super().write(data)
            except OSError as error:
                self.lost = error
        return memoryview(data).nbytes


def outlet_stream(number: int, encoding: str, *, line_buffering: bool) -> TextIO:
    """Return a text stream onto a file descriptor; a character that the encoding lacks comes out as a question mark."""
    buffered = io.BufferedWriter(Outlet(number, "wb", closefd=False))
    return io.TextIOWrapper(buffered, encoding=encoding, errors="replace", line_buffering=line_buffering)


def make_streams_safe() -> None:
    """Let stdout and stderr bear everything; where one is closed, its descriptor leads nowhere instead."""
    for number in range(3):  # a file that is opened later must not get the number of a closed stream
        _open_if_closed(number)
    for number, name in ((1, "stdout"), (2, "stderr")):
        setattr(sys, name, _made_safe(getattr(sys, name), number))


def loss_of(stream: TextIO | None) -> OSError | None:
    """Return why output to a stream was lost; a reader that has gone did not want it, and nothing was lost."""
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    lost = raw.lost if isinstance(raw, Outlet) else None
    return None if isinstance(lost, BrokenPipeError) else lost


def _open_if_closed(number: int) -> None:
    with contextlib.suppress(OSError):
        os.fstat(number)
        return
    opened = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free, hence this one
    with contextlib.suppress(OSError):
        os.set_inheritable(opened, True)


def _made_safe(stream: TextIO | None, number: int) -> TextIO:
    if stream is None:
        return outlet_stream(number, "utf-8", line_buffering=False)
    buffer = getattr(stream, "buffer", None)
    if isinstance(getattr(buffer, "raw", buffer), io.FileIO):  # no console of Windows, nothing that a test put in place
        with contextlib.suppress(OSError):
            stream.flush()
        return outlet_stream(stream.fileno(), stream.encoding, line_buffering=getattr(stream, "line_buffering", False))
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")
    return stream
