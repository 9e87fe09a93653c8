"""Grading for the command: many people's functions, each in a process and a folder of its own, some at a time.

Points and feedback are the library's business; here are the files, the processes, and what is written.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any, NamedTuple

import click
from rich.console import Group, RenderableType
from rich.text import Text

from fastgrad.errors import FunctionError, InputError, quoted
from fastgrad.reading import Description, modelfile
from fastgrad.report.formatting import counted, printable
from fastgrad.report.table import columns
from fastgrad.report.verdicts import signed
from fastgrad.teaching.grading import Feedback, Grade, document, grade, gradescope, not_graded, points_for, table
from fastgrad.trials import BackwardReport
from fastgrad.walk import check
from fastgrad.writing import written_whole
from fastgrad_cli import terminal
from fastgrad_cli.functions import Confined, UserFunction

TABLE, RESULTS = "grades.csv", "results.json"
LARGEST = 1 << 20
"""Bytes of a file of source: nobody writes as much by hand."""
MOST_BESIDE = 200
"""Files of source that are copied beside a submission."""
LONGEST, LONGEST_REASON = 100, 60
"""Characters of the name of a folder, and of a reason in the table that is printed."""


ENDED = "The process that graded it was ended, perhaps for want of memory."


class Assignment(NamedTuple):
    """What is asked of everybody: the function's name, the network, the points, and the seed of the hidden points."""

    function: str
    parts: tuple[Any, ...]
    description: dict[str, Any]
    points: dict[str, float]
    seed: int | None
    feedback: Feedback


class Limits(NamedTuple):
    """What each submission may take: seconds in all, and bytes."""

    seconds: float
    memory: int


class Submission(NamedTuple):
    """A file of somebody's, under a name that no other has, with the files of source that lie beside it."""

    name: str
    file: Path
    beside: tuple[Path, ...]


def assignment(
    network: str, function: str, description: dict[str, Any], said: str | None, seed: int | None, feedback: Feedback
) -> Assignment:
    """Read what is asked of everybody.

    Raises
    ------
    InputError
        If it makes no network, or points are given for what it has not.
    """
    problem = modelfile.load(network, Description(**description))
    problem.require_in_memory("grading")
    names = [tensor.name for tensor in problem.tensors if not tensor.frozen]
    *parts, described = modelfile.load_parts(network, Description(**description))
    return Assignment(function, tuple(parts), described.said(), points_for(names, _points(said)), seed, feedback)


def _points(said: str | None) -> dict[str, float]:
    """Read dW1=2,db1=0.5."""
    found = {}
    for item in filter(None, (said or "").split(",")):
        name, equals, value = item.partition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            equals = ""
        if not equals:
            raise InputError(f"points are given as dW1=2,db1=0.5,calls=1, found {quoted(item)}")
    return found


def submissions(files: Sequence[str]) -> list[Submission]:
    """Return what was handed in; what has a folder of its own has the files of source in it as well.

    Raises
    ------
    InputError
        If a file is no source of Python.
    """
    paths = [Path(file) for file in files]
    for path in paths:
        if path.suffix != ".py" or not path.is_file():
            raise InputError(f"a submission is a file of Python, FILE.py; {quoted(str(path))} is none")
    sharing = Counter(path.parent.resolve() for path in paths)
    beside = [tuple(_sources(path)) if sharing[path.parent.resolve()] == 1 else () for path in paths]
    return [Submission(*found) for found in zip(_names(paths), paths, beside, strict=True)]


def _sources(path: Path) -> list[Path]:
    found = (one for one in sorted(path.parent.glob("*.py")) if one.is_file() and one != path)
    return [one for one in found if one.stat().st_size <= LARGEST][:MOST_BESIDE]


def _names(paths: Sequence[Path]) -> list[str]:
    """Return a name for each file: its own where these differ, else that of its folder, else both and where they lie."""
    for names in ([path.stem for path in paths], [path.resolve().parent.name for path in paths]):
        if len({*names}) == len(paths):
            return names
    return [str(path.with_suffix("")) for path in paths]


def graded(handed_in: Sequence[Submission], asked: Assignment, limits: Limits, jobs: int) -> list[Grade]:
    """Grade submissions, some at a time, in processes of ours; in the order in which they were given."""
    with (
        tempfile.TemporaryDirectory(prefix="fastgrad-", ignore_cleanup_errors=True) as folder,
        terminal.working("submissions") as progress,
    ):
        _prepare()
        if len(handed_in) == 1:
            return [_one(handed_in[0], asked, limits, folder)]
        found = _together(handed_in, (asked, limits, folder), min(jobs, len(handed_in)), progress)
        for place, submission in enumerate(handed_in):
            if found[place] is None:  # a process of ours was ended, by this submission or by another
                found[place] = _together([submission], (asked, limits, folder), 1, progress)[0]
    return [one or not_graded(each.name, asked.points, ENDED) for one, each in zip(found, handed_in, strict=True)]


def _prepare() -> None:
    """Have compiled what all of them need, once and here."""
    from fastgrad.numerical import load_kernels
    from fastgrad.numerical.methods import FAST, USUAL

    load_kernels(USUAL)
    load_kernels(FAST)


def _together(
    handed_in: Sequence[Submission], shared: tuple[Assignment, Limits, str], jobs: int, progress: terminal.ProgressBar
) -> list[Grade | None]:
    """Grade submissions, each in one of some processes; None where the process was ended before it was done."""
    before = {*active_children()}
    with ProcessPoolExecutor(jobs, get_context("spawn"), _begin, (shared,)) as pool:
        try:
            futures = [pool.submit(_next, submission) for submission in handed_in]
            for done, _ in enumerate(as_completed(futures), start=1):
                progress(done, len(futures))
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in {*active_children()} - before:
                process.terminate()  # with which the functions that it runs end as well
            raise
        return [None if isinstance(future.exception(), BrokenProcessPool) else future.result() for future in futures]


_shared: list[tuple[Assignment, Limits, str]] = []
"""In a process of ours: what is asked, the limits, and the folder for everybody's."""


def _begin(shared: tuple[Assignment, Limits, str]) -> None:
    """Begin a process of ours; Ctrl-C is the command's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _shared.append(shared)


def _next(submission: Submission) -> Grade:
    return _one(submission, *_shared[0])


def _one(submission: Submission, asked: Assignment, limits: Limits, folder: str) -> Grade:
    """Grade one submission in a folder of its own; whatever happens is told of this one alone."""
    with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as own:
        try:
            found = _in(Path(own), submission, asked, limits)
        except Exception as error:  # a file that cannot be tried, or a fault of ours: nobody else's grade depends on it
            told = terminal.message_of(error).rstrip(".")
            found = not_graded(submission.name, asked.points, f"{told[:1].upper()}{told[1:]}.")
        return replace(found, reason=found.reason.replace(f"{own}{os.sep}", ""))


def _in(folder: Path, submission: Submission, asked: Assignment, limits: Limits) -> Grade:
    """Grade one submission in a folder."""
    if submission.file.stat().st_size > LARGEST:
        raise InputError(f"the file is larger than {LARGEST:,} bytes")
    for source in (submission.file, *submission.beside):
        shutil.copyfile(source, folder / source.name)
    confined = Confined(str(folder), limits.memory)
    with UserFunction(f"{folder / submission.file.name}:{asked.function}", limits.seconds, confined) as function:
        return _tried(_Timed(function, limits.seconds), submission.name, asked)


class _Timed:
    """A function that has some seconds in all; `source` is its file."""

    def __init__(self, function: UserFunction, seconds: float) -> None:
        self._function, self._deadline = function, time.monotonic() + seconds
        self.source = function.source
        function.load()

    def __call__(self, parameters: dict[str, Any], X: Any, Y: Any) -> Any:
        """Call it, as long as there is time."""
        self._function.timeout = self._deadline - time.monotonic()
        if self._function.timeout <= 0.0:
            raise FunctionError("its time was up")
        return self._function(parameters, X, Y)


def _tried(function: _Timed, name: str, asked: Assignment) -> Grade:
    """Try a function at the points that everybody may know, and at hidden ones."""
    parameters, X, Y, masks = asked.parts
    how = {"threads": 1, "diagnosis": asked.feedback == "cause"}

    def tried(seed: int) -> BackwardReport:
        given: dict[str, Any] = {**how, **asked.description, "seed": seed}
        return check(parameters, backward=function, X=X, Y=Y, masks=masks, **given)

    return grade(name, asked.points, tried(0), None if asked.seed is None else tried(asked.seed), asked.feedback)


def write(grades: Sequence[Grade], to: str) -> list[Path]:
    """Write the table, and results.json: for one submission beside it, for many each in a folder of its name.

    Raises
    ------
    InputError
        If something cannot be written.
    """
    folder = Path(to)
    places = [folder] if len(grades) == 1 else [folder / name for name in _folders(grades)]
    texts = [(folder / TABLE, table(grades))]
    texts += [(place / RESULTS, _json(gradescope(one))) for place, one in zip(places, grades, strict=True)]
    for path, text in texts:
        _make(path.parent)
        with written_whole(path) as stream:
            stream.write(text.encode())
    return [path for path, _ in texts]


def require_folder(to: str) -> None:
    """Make the folder for the results, before anything is computed for them, or raise InputError."""
    _make(Path(to))
    if not os.access(to, os.W_OK):
        raise InputError(f"{quoted(to)} may not be written to")


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise InputError(f"{quoted(str(folder))}: no folder can be made there: {getattr(error, 'strerror', error)}") from None


def _folders(grades: Sequence[Grade]) -> Iterator[str]:
    """Yield a folder's name for each submission that every system can hold and no other submission has."""
    seen: Counter[str] = Counter()
    for one in grades:
        name = re.sub(r'[\x00-\x1f\x7f<>:"/\\|?*\ud800-\udfff]', "_", one.name)[:LONGEST].strip(". ") or "_"
        seen[name.lower()] += 1
        yield name if seen[name.lower()] == 1 else f"{name}_{seen[name.lower()]}"


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(terminal.in_json(dict(content)), indent=2, allow_nan=False) + "\n"


def show(grades: Sequence[Grade], written: Sequence[Path], as_json: bool) -> None:
    """Print what everybody got."""
    if as_json:
        terminal.show_json(document(grades))
        return
    terminal.show(_shown(grades))
    others = f" and {counted(len(written) - 1, 'file')} {RESULTS}"
    click.echo(f"Wrote {terminal.printable(str(written[0]))}{others}.")


def _shown(grades: Sequence[Grade]) -> RenderableType:
    """Return a line for each submission."""
    lines = columns("submission", "verdict", "points", "", right=("points",))
    for one in grades:
        wrong = ", ".join(part.name for part in one.parts if part.verdict == "wrong")
        told = one.reason or (f"wrong: {wrong}" if wrong else "")
        told = printable(told if len(told) <= LONGEST_REASON else f"{told[:LONGEST_REASON]}…")
        lines.add_row(printable(one.name), signed(one.verdict, ascii_only=False), f"{one.points:g}", told)
    full = sum(one.verdict == "right" for one in grades)
    summary = f"{counted(len(grades), 'submission')}, {full} of them right; out of {grades[0].out_of:g} points each."
    return Group(lines, Text(), Text(summary))


def told_of_limits() -> None:
    """Say where a limit does not hold."""
    if sys.platform != "linux":
        terminal.note("Note: this system holds nobody to a limit of memory; only Linux does.")
