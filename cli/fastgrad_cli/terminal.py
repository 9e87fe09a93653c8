"""What every command shares towards the terminal: output, errors, exit codes, progress.

Nothing here, nor in `main` and `options`, may import numpy, numba or rich before a command really runs, so that
``--help`` answers at once.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import shlex
import sys
import time
import traceback
from collections.abc import Container, Iterator, Sequence
from itertools import pairwise
from typing import IO, TYPE_CHECKING, Any, NoReturn

import click

from fastgrad._version import SCHEMA
from fastgrad.errors import InputError, shortened
from fastgrad_cli.streams import loss_of, make_streams_safe

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress, TaskID

RIGHT, WRONG, FAILED, NOT_JUDGED, INTERRUPTED = 0, 1, 2, 3, 130
"""Exit codes; 2 is for usage, files and faults of our own, as with most tools."""

EXIT_CODES = {"right": RIGHT, "wrong": WRONG, "not judged": NOT_JUDGED, "inconclusive": NOT_JUDGED}
"""By the verdict of any report."""

WIDEST = 120
"""Columns beyond which a report is no easier to read."""

WIDTH_WITHOUT_TERMINAL = 100

MORE = "-v shows the table of gradients, the tolerance and the audit."
"""The hint below a report in short."""

PATIENCE = 1.0
"""Seconds that may pass before a progress bar appears."""


class _PassedError(Exception):
    """Carries an error past click, which takes any end of file for Ctrl-C and leaves with 1 after any broken pipe."""


class Commands(click.Group):
    """The group of commands; turns every way of ending into an exit code and at most a few lines of text."""

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any) -> NoReturn:  # type: ignore[override]
        """Run a command and leave with its exit code."""
        arguments = list(sys.argv[1:] if args is None else args)
        # Seen before click parses, since a usage error has to be a JSON document as well.
        as_json = _wants_json(arguments)
        try:
            make_streams_safe()
            code = super().main(args=arguments, prog_name=prog_name or "fastgrad", **{**extra, "standalone_mode": False})
        except (Exception, KeyboardInterrupt) as error:  # the outermost place there is: a person gets a sentence
            cause = error.__cause__ or error if isinstance(error, _PassedError) else error
            code = _explain(_with_command(cause, arguments), as_json)
        sys.exit(_told_of_loss(code))

    def invoke(self, context: click.Context) -> Any:
        """Run the command that was chosen."""
        try:
            return super().invoke(context)
        except (OSError, EOFError) as error:
            raise _PassedError from error


def _with_command(error: BaseException, arguments: Sequence[str]) -> BaseException:
    """Return a question with the whole command that answers it: what was typed, and the example after it."""
    if not isinstance(error, InputError):
        return error
    from fastgrad.reading.description import QuestionError

    if not isinstance(error, QuestionError):
        return error
    names = {f"--{item.replace('_', '-')}" for item in error.examples}
    end = arguments.index("--") if "--" in arguments else len(arguments)
    typed = [shlex.join(_without(names, arguments[:end])), error.options, shlex.join(arguments[end:])]
    return error.saying(f"{error}. The whole command: {' '.join(filter(None, ['fastgrad', *typed]))}")


def _without(names: Container[str], arguments: Sequence[str]) -> list[str]:
    """Return arguments without options of some names and what belongs to them."""
    found, follows = [], False
    for argument in arguments:
        if not follows and argument.partition("=")[0] not in names:
            found.append(argument)
        follows = not follows and argument in names
    return found


def _wants_json(arguments: Sequence[str]) -> bool:
    """Whether a JSON document is to be printed, by what was typed."""
    follows = any(first == "--format" and second == "json" for first, second in pairwise(arguments))
    return "--json" in arguments or "--format=json" in arguments or follows


def leave_interrupted() -> NoReturn:
    """Leave as after Ctrl-C, before any command was run."""
    make_streams_safe()
    sys.exit(_told_of_loss(_explain(KeyboardInterrupt(), _wants_json(sys.argv[1:]))))


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
    """Print one JSON document on stdout; JSON has no nan and no infinity, which stand in it as text: "nan", "inf", "-inf"."""
    _write(json.dumps(in_json(document), indent=2, allow_nan=False) + "\n")


def error_document(message: str) -> dict[str, Any]:
    """Return the JSON document of what ended with an error."""
    return {"schema": SCHEMA, "passed": False, "verdict": "not judged", "error": message}


def in_json(value: Any) -> Any:
    """Return what a document may hold: a number that JSON lacks becomes text, wherever it stands."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(float(value))
    if isinstance(value, dict):
        return {key: in_json(entry) for key, entry in value.items()}
    return [in_json(entry) for entry in value] if isinstance(value, list | tuple) else value


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

    def begin(self, doing: str) -> None:
        """Begin another kind of work: the bar for it appears after a second of its own."""
        if self._bar is not None:
            self._bar[0].stop()
        self._doing, self._since, self._bar = doing, None, None

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


@contextlib.contextmanager
def working(doing: str = "numerical gradient") -> Iterator[ProgressBar]:
    """Announce that kernels are compiled where they are, and give a progress bar."""
    from fastgrad.kernels import kernel

    def say() -> None:
        remembered = " and is remembered" if kernel.is_remembered() else ""
        note(f"Compiling kernels for this machine. This takes up to a quarter of a minute{remembered}.")

    with kernel.announcing(say), ProgressBar(doing) as progress:
        yield progress


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


def _write(text: str) -> None:
    """Write to stdout at once; where that cannot be, the verdict still counts."""
    sys.stdout.write(text)
    sys.stdout.flush()


def _told_of_loss(code: int) -> int:
    """Return the exit code once all is written out; where output was lost, nobody may take a 0 for an answer."""
    sys.stdout.flush()
    lost = loss_of(sys.stdout)
    if lost is None:
        return code
    note(f"Error: the output could not be written: {lost.strerror or lost}")
    return FAILED if code == RIGHT else code


def _explain(error: BaseException, as_json: bool) -> int:
    """Say on stderr, or as a JSON document, why there is no answer; return the exit code."""
    interrupted = isinstance(error, click.Abort | KeyboardInterrupt)
    if os.environ.get("FASTGRAD_TRACEBACK") == "1" and not interrupted:
        traceback.print_exception(error)
    if as_json:
        message = "interrupted" if interrupted else _message(error)
        show_json(error_document(message))
    elif interrupted:
        note("Interrupted.")
    elif isinstance(error, click.ClickException):
        shown = io.StringIO()
        error.show(shown)
        click.echo(_cut(shown.getvalue()), err=True, nl=False)
    else:
        complain(error)
    return INTERRUPTED if interrupted else FAILED


def message_of(error: BaseException) -> str:
    """Return what went wrong, for a person."""
    return _message(error)


def complain(error: BaseException) -> None:
    """Say on stderr what went wrong."""
    note(f"Error: {_message(error)}")


def _cut(message: str) -> str:
    """Return a message of click's with what it repeats of the arguments cut where it is long."""
    return " ".join(map(shortened, message.split(" ")))


def _message(error: BaseException) -> str:
    """Return what went wrong, for a person."""
    if isinstance(error, click.ClickException):
        return _cut(error.format_message())
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, MemoryError):
        return "this machine has not enough memory for it; check fewer examples"
    if isinstance(error, OSError):
        parts = (shortened(str(part)) for part in (error.filename, error.strerror) if part)
        return ": ".join(parts) or str(error) or type(error).__name__
    first_line = shortened(next(iter(str(error).splitlines()), ""))
    return (
        f"internal error, please report it: {type(error).__name__}: {first_line}\n"
        "Set FASTGRAD_TRACEBACK=1 to see where it happened."
    )
