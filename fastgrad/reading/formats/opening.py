"""Files opened with care: regular ones only, and what the system says of others in a sentence. All formats begin here."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import sys
import weakref
from collections.abc import Iterator
from typing import IO

from fastgrad import machine
from fastgrad.errors import InputError, shortened
from fastgrad.writing import PathLike

Source = PathLike | IO[bytes]
"""A file by its name, or bytes that are here already."""


@contextlib.contextmanager
def opened(source: Source) -> Iterator[IO[bytes]]:
    """Give the bytes of a regular file, or those that are here; what goes wrong with them becomes a complaint.

    Raises
    ------
    InputError
        If there is no such file, if it is none, or if it cannot be read or held.
    """
    try:
        with _regular(source) if isinstance(source, str | os.PathLike) else contextlib.nullcontext(source) as stream:
            yield stream
    except FileNotFoundError:
        raise InputError("there is no such file") from None
    except IsADirectoryError:
        raise InputError("this is a folder, not a file") from None
    except MemoryError:
        raise InputError("there is not enough memory for its arrays") from None
    except OSError as error:
        raise InputError(f"it cannot be read: {error.strerror or shortened(str(error))}") from None


def size_of(stream: IO[bytes]) -> int:
    """Return how many bytes a stream has, and leave it at its beginning."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    return size


_CAME_IN: weakref.WeakKeyDictionary[IO[bytes], bytes] = weakref.WeakKeyDictionary()
"""What came in by the standard input, which can be read once; a command may need it for two things."""


def standard_input() -> IO[bytes]:
    """Return what comes in by the standard input, as long as it fits into half of the memory.

    Raises
    ------
    InputError
        If nothing comes in, or too much.
    """
    most = machine.available_memory() // 2
    if sys.stdin is None or sys.stdin.isatty():
        raise InputError("nothing comes in by the standard input; write: fastgrad check - < model.npz")
    contents = _CAME_IN.get(sys.stdin.buffer)
    if contents is None:
        contents = _CAME_IN[sys.stdin.buffer] = sys.stdin.buffer.read(most + 1)
    if not contents:
        raise InputError("nothing came in by the standard input")
    if len(contents) > most:
        raise InputError(f"more than {most / 2**30:,.1f} GiB come in by the standard input; write them into a file first")
    return io.BytesIO(contents)


def _regular(path: PathLike) -> IO[bytes]:
    """Open a regular file; anything else might never end, or wait for somebody to write into it."""
    try:
        stream = open(path, "rb", opener=_without_waiting)  # noqa: SIM115  (closed by the caller)
    except ValueError as error:  # a zero byte in the name
        raise InputError(f"it cannot be read: {error}") from None
    if stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        return stream
    stream.close()
    raise InputError("this is a device, a pipe or a socket; give a regular file, or - for the standard input")


def _without_waiting(path: str, flags: int) -> int:
    """Open a file, also a pipe that nobody writes into."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
