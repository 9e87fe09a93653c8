"""What every command shares towards the terminal: output, errors, exit codes, progress.

Nothing here, nor in `main` and `options`, may import numpy, numba or rich before a command really runs, so that
``--help`` answers at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import traceback
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any, NoReturn

import click

from fastgrad._version import SCHEMA
from fastgrad.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress, TaskID

RIGHT, WRONG, NOT_JUDGED, INTERRUPTED = 0, 1, 2, 130
"""Exit codes."""

EXIT_CODES = {"right": RIGHT, "wrong": WRONG, "not judged": NOT_JUDGED, "inconclusive": NOT_JUDGED}
"""By the verdict of any report."""

WIDEST = 120
"""Columns beyond which a report is no easier to read."""

WIDTH_WITHOUT_TERMINAL = 100

PATIENCE = 1.0
"""Seconds that may pass before a progress bar appears."""


class Commands(click.Group):
    """The group of commands; turns every way of ending into an exit code and at most a few lines of text."""

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any) -> NoReturn:  # type: ignore[override]
        """Run a command and leave with its exit code."""
        arguments = list(sys.argv[1:] if args is None else args)
        _make_streams_safe()
        # Seen before click parses, since a usage error has to be a JSON document as well.
        as_json = "--json" in arguments
        try:
            code = super().main(args=arguments, prog_name=prog_name or "fastgrad", **{**extra, "standalone_mode": False})
            _flush()
        except Exception as error:  # the outermost place there is: a person gets a sentence, whatever happened
            code = _explain(error, as_json)
        sys.exit(code)


def show(renderable: RenderableType) -> None:
    """Print on stdout; in colour only on a terminal."""
    from rich.console import Console

    console = _console(sys.stdout, Console)
    # Rendered first and written by us: rich itself ends the program with exit code 1 when the reader has gone.
    with console.capture() as capture:
        console.print(renderable)
    # Tables are padded to their full width, which only a terminal hides.
    _write("".join(f"{line.rstrip(' ')}\n" for line in capture.get().splitlines()))


def show_json(document: dict[str, Any]) -> None:
    """Print one JSON document on stdout."""
    _write(json.dumps(document, indent=2, allow_nan=False) + "\n")


def note(text: str) -> None:
    """Print a line beside the result, on stderr."""
    click.echo(printable(text), err=True)


def printable(text: str) -> str:
    """Return a text of several lines with everything that could steer a terminal escaped."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode("ascii") for c in text)


class ProgressBar:
    """A progress bar with the time left, on stderr, for what takes longer than a second; silent without a terminal."""

    def __init__(self, doing: str = "numerical gradient") -> None:
        self._doing = doing
        self._since: float | None = None
        self._bar: tuple[Progress, TaskID] | None = None

    def __enter__(self) -> ProgressBar:
        """Return the bar, which is not to be seen yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar[0].stop()

    def __call__(self, done: int, total: int) -> None:
        """Take note of how much of the work is done."""
        if self._since is None:  # counted from the first news, since compiling may have come before
            self._since = time.monotonic()
        if not sys.stderr.isatty() or time.monotonic() - self._since < PATIENCE:
            return
        if self._bar is None:
            self._bar = _start_bar(self._doing, total)
        progress, task = self._bar
        progress.update(task, completed=done)


def _start_bar(doing: str, total: int) -> tuple[Progress, TaskID]:
    """Put a bar on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    progress = Progress(
        TextColumn(doing),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=_console(sys.stderr, Console),
        transient=True,
    )
    progress.start()
    return progress, progress.add_task("", total=total)


def _console(stream: IO[str], kind: type[Console]) -> Console:
    """Return a console for a stream; what is not a terminal gets neither colour nor its width."""
    if not stream.isatty():
        return kind(file=stream, force_terminal=False, color_system=None, width=WIDTH_WITHOUT_TERMINAL)
    console = kind(file=stream, highlight=False)
    console.width = min(console.width, WIDEST)
    return console


def _make_streams_safe() -> None:
    """Let a character that an encoding lacks come out as a question mark, and a closed stream swallow everything."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  (open to the end)
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _write(text: str) -> None:
    """Write to stdout; where the reader has gone, the verdict still counts."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()


def _flush() -> None:
    """Write out what click has printed, while an error can still be caught."""
    sys.stdout.flush()


def _drop_output() -> None:
    """Send what is still to be written to stdout nowhere, so that the interpreter's last flush does not complain."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _explain(error: Exception, as_json: bool) -> int:
    """Say on stderr, or as a JSON document, why nothing was judged; return the exit code."""
    if isinstance(error, click.Abort) and isinstance(error.__cause__, EOFError):
        error = error.__cause__  # click takes the end of any file for the end of the terminal's input, which nothing here reads
    if isinstance(error, click.Abort):
        click.echo("Interrupted.", err=True)
        return INTERRUPTED
    if isinstance(error, OSError):
        _drop_output()
    if isinstance(error, BrokenPipeError):
        return NOT_JUDGED
    if os.environ.get("FASTGRAD_TRACEBACK") == "1":
        traceback.print_exception(error)
    if as_json:
        message = _message(error)
        show_json({"schema": SCHEMA, "passed": False, "verdict": "not judged", "error": message})
    elif isinstance(error, click.ClickException):
        error.show()
    else:
        note(f"Error: {_message(error)}")
    return NOT_JUDGED


def _message(error: Exception) -> str:
    """Return what went wrong, for a person."""
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, MemoryError):
        return "this machine has not enough memory for it; check fewer examples"
    if isinstance(error, OSError):
        return ": ".join(str(part) for part in (error.filename, error.strerror) if part) or str(error)
    first_line = next(iter(str(error).splitlines()), "")
    return (
        f"internal error, please report it: {type(error).__name__}: {first_line}\n"
        "Set FASTGRAD_TRACEBACK=1 to see where it happened."
    )
