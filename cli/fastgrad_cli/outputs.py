"""The forms in which `check` answers, for people, machines and CI: read from --format, printed or written whole.

Several files make one document; what goes to the standard output is one form, the others go into files.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from fastgrad_cli import terminal

if TYPE_CHECKING:
    from rich.console import RenderableType

    from fastgrad.report.base import BaseReport

FORMS = ("text", "concise", "json", "junit", "github", "html")
MANY_SCHEMA = 2
"""Version of the JSON document of several files, a list of those of one."""
GRAVEST = (terminal.WRONG, terminal.FAILED, terminal.NOT_JUDGED, terminal.RIGHT)
"""Exit codes, the gravest first: that of several files is the gravest of theirs."""
STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
"""The variable in which GitHub names the file that a step's summary goes to."""


class Output(NamedTuple):
    """A form and the file that it goes to, None for the standard output."""

    form: str
    file: str | None


class Result(NamedTuple):
    """A file and what became of it: a report, or the message of an error."""

    name: str
    report: BaseReport | str

    @property
    def code(self) -> int:
        """The exit code of this file alone."""
        return terminal.FAILED if isinstance(self.report, str) else terminal.EXIT_CODES[self.report.verdict]


def read(given: Sequence[str], as_json: bool) -> list[Output]:
    """Return the outputs that are meant by --format and --json; text for a person where nothing else is printed.

    Raises
    ------
    click.UsageError
        If there is no such form, or two are to be printed.
    """
    outputs = [Output(form, file or None) for form, _, file in (text.partition("=") for text in given)]
    nameless = next((text for text in given if text.endswith("=")), None)
    if nameless is not None:
        raise click.UsageError(f"--format {nameless[:40]} names no file; expected FORMAT or FORMAT=FILE.")
    for output in outputs:
        if output.form not in FORMS:
            raise click.UsageError(
                f"--format {output.form[:40]!r} is none; expected one of {', '.join(FORMS)}, or FORMAT=FILE."
            )
    outputs += [Output("json", None)] * as_json
    printed = list(dict.fromkeys(output.form for output in outputs if output.file is None))
    if len(printed) > 1:
        raise click.UsageError(
            f"{' and '.join(printed)} cannot both be printed; write one into a file: --format {printed[1]}=FILE."
        )
    return list(dict.fromkeys(outputs if printed else [Output("text", None), *outputs]))


def require_writable(outputs: Sequence[Output], read: Iterable[str]) -> None:
    """Raise InputError for a file that cannot be written, or is one of those that are read or written besides."""
    from fastgrad.errors import InputError, shortened
    from fastgrad.writing import replaceable

    taken = dict.fromkeys((os.path.realpath(file) for name in read for file in _files_of(name)), "the file to be read")
    for output in outputs:
        if output.file is not None:
            target = str(replaceable(output.file))
            if target in taken:
                raise InputError(
                    f"{shortened(output.file)} is {taken[target]}; give another name after --format {output.form}="
                )
            taken[target] = f"written as {output.form} already"


def _files_of(name: str) -> Iterator[str | Path]:
    """Yield a file that is read, of a folder of arrays those in it."""
    yield name
    with contextlib.suppress(OSError, ValueError):
        if Path(name).is_dir():
            yield from (*Path(name).glob("*.npy"), Path(name, "description.json"))


def give(results: Sequence[Result], outputs: Sequence[Output], loudness: str, sources: Sequence[str] = ()) -> None:
    """Print and write what was found in every form that was asked for."""
    from fastgrad.writing import written_whole

    for output in outputs:
        if output.file is not None:
            with written_whole(output.file) as stream:
                stream.write(document(results, output.form, sources).encode())
        elif output.form == "text":
            terminal.show(for_a_person(results, loudness))
        else:
            click.echo(document(results, output.form, sources), nl=False)
        if output.form == "github":
            _summarize(results)


def document(results: Sequence[Result], form: str, sources: Sequence[str] = ()) -> str:
    """Return results in a form for machines, pages or CI."""
    from fastgrad.report import github, html, junit
    from fastgrad.report.formatting import plain_text

    if form == "json":
        return json.dumps(terminal.in_json(_json(results)), indent=2, allow_nan=False) + "\n"
    if form == "junit":
        return junit.document(results)
    if form == "github":
        return "".join(f"{line}\n" for line in github.commands(results, sources))
    if form == "html":
        return html.pages(results)
    if form == "concise":
        return "".join(f"{_concise(result)}\n" for result in results)
    return plain_text(for_a_person(results, "verbose")) + "\n"


def for_a_person(results: Sequence[Result], loudness: str) -> RenderableType:
    """Return one report as it is, of several those that are not right, and a closing table."""
    from rich.console import Group
    from rich.text import Text

    if len(results) == 1 and not isinstance(results[0].report, str):
        return as_loudly(results[0].report, loudness)
    parts: list[RenderableType] = []
    for name, report in results:
        if isinstance(report, str) or (report.passed and loudness != "verbose") or loudness == "quiet":
            continue
        parts += [Text(terminal.printable(name), style="bold"), as_loudly(report, loudness), Text()]
    return Group(*parts, _table(results))


def as_loudly(report: BaseReport, loudness: str) -> RenderableType:
    """Return a report as loudly as asked for."""
    return report if loudness == "verbose" else report.headline() if loudness == "quiet" else report.shortly(terminal.MORE)


def _table(results: Sequence[Result]) -> RenderableType:
    """Return a line for each file."""
    from rich.text import Text

    from fastgrad.report.table import columns
    from fastgrad.report.verdicts import signed

    table = columns("file", "verdict", "")
    for name, report in results:
        verdict, told = Text("! error", style="bold red"), report
        if not isinstance(report, str):
            verdict, told = signed(report.verdict, ascii_only=False), report.sentence()
        table.add_row(Text(terminal.printable(name)), verdict, Text(terminal.printable(str(told))))
    return table


def _concise(result: Result) -> str:
    """Return a line on a file: its verdict, what is wrong, the codes of the mistakes."""
    if isinstance(result.report, str):
        return terminal.printable(f"{result.name}: error: {result.report}").replace("\n", " ")
    codes = [finding.code for finding in result.report.findings if finding.confident]
    named = f" [{', '.join(codes)}]" if codes else ""
    return terminal.printable(f"{result.name}: {result.report.verdict}: {result.report.sentence()}{named}").replace("\n", " ")


def _json(results: Sequence[Result]) -> dict[str, object]:
    """Return the document of one file, or that of several."""
    if len(results) == 1:
        return _json_of(results[0])
    codes = {result.code for result in results}
    worst = next(code for code in GRAVEST if code in codes)
    verdict = {terminal.RIGHT: "right", terminal.WRONG: "wrong"}.get(worst, "not judged")
    files = [{"file": result.name, "report": _json_of(result)} for result in results]
    return {"schema": MANY_SCHEMA, "passed": worst == terminal.RIGHT, "verdict": verdict, "files": files}


def _json_of(result: Result) -> dict[str, object]:
    return terminal.error_document(result.report) if isinstance(result.report, str) else result.report.to_dict()


def _summarize(results: Sequence[Result]) -> None:
    """Add the summary to the file that GitHub names, where it names one."""
    from fastgrad.report import github

    target = os.environ.get(STEP_SUMMARY)
    if target:
        try:
            with Path(target).open("a", encoding="utf-8") as stream:
                stream.write(github.summary(results))
        except OSError as error:
            terminal.note(f"Note: the summary of the step could not be written: {error.strerror or error}")


def gravest(results: Sequence[Result]) -> int:
    """Return the exit code of several files."""
    codes = {result.code for result in results}
    return next(code for code in GRAVEST if code in codes)
