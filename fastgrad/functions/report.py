"""What a check of any function's gradient found: one immutable object, its text and its dictionary."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fastgrad.report.base import BaseReport
from fastgrad.report.formatting import TEXT_WIDTH, above, counted, duration, printable, significant

Verdict = Literal["right", "wrong", "inconclusive"]

SCHEMA = 1
"""Version of the dictionary."""

TABLE_ROWS = 12
"""Entries shown one by one."""

_SIGNS = {"right": "\N{CHECK MARK}", "wrong": "\N{BALLOT X}", "inconclusive": "?"}
_ASCII_SIGNS = {"right": "+", "wrong": "x", "inconclusive": "?"}
_STYLES = {"right": "green", "wrong": "bold red", "inconclusive": "yellow"}


@dataclass(frozen=True)
class EntryReport:
    """What was found of one entry of the gradient.

    Attributes
    ----------
    name : str
        The entry in the user's terms: "x[3, 1]", "W1[0, 2]".
    verdict : {"right", "wrong", "inconclusive"}
        What is to be thought of it.
    claimed, numerical : float
        Both values; on a kink the numerical one is the mean of the one-sided derivatives.
    bound : float
        Largest difference that noise, truncation and rounding explain.
    reason : str
        What there is to say beside: a kink, noise, a jump; often nothing.
    """

    name: str
    verdict: Verdict
    claimed: float
    numerical: float
    bound: float
    reason: str


@dataclass(frozen=True)
class FunctionTensor:
    """What was found of one of several arrays that make up x.

    Attributes
    ----------
    name : str
        The array in the user's terms: "W1", "x[0]".
    verdict : {"right", "wrong", "inconclusive"}
        What is to be thought of it.
    total, wrong, inconclusive, kinks : int
        Entries in all, wrong, inconclusive, and on a kink.
    relative_difference : float
        ‖claimed - numerical‖ / (‖claimed‖ + ‖numerical‖).
    sensitivity : float or None
        The error, relative to the root mean square of the entries, above which it would have been caught in whichever of them.
    """

    name: str
    verdict: Verdict
    total: int
    wrong: int
    inconclusive: int
    kinks: int
    relative_difference: float
    sensitivity: float | None


class Counts(NamedTuple):
    """Entries in all, wrong, inconclusive, and on a kink; by directions, the wrong ones that halving found."""

    total: int
    wrong: int
    inconclusive: int
    kinks: int


@dataclass(frozen=True)
class FunctionReport(BaseReport):
    """What a check of a function's gradient found; true where it passed.

    Attributes
    ----------
    verdict : {"right", "wrong", "inconclusive"}
        Of the whole gradient.
    counts : Counts
        Entries in all, wrong, inconclusive, on a kink.
    entries : tuple of EntryReport
        Those that are not plainly right, worst first; where all are, the one furthest off.
    ratio : float or None
        claimed / numerical where that is the same number throughout and the gradient is wrong.
    relative_difference : float
        ‖claimed - numerical‖ / (‖claimed‖ + ‖numerical‖); by directions, of the slopes.
    value, noise : float
        f(x), and how much it trembles.
    method : {"entries", "directions"}
        What was moved.
    scheme : str
        How differences were taken first.
    step_range : tuple of float
        Smallest and largest step of these.
    directions : int
        Random directions, 0 by entries.
    miss : float
        Chance that all of them miss a mistake ``e`` with ‖e·scale‖ above `smallest`, scale being ``max(|x|, 1)``.
    seed : int or None
        Seed of the directions.
    evaluations : int
        Points at which f was evaluated.
    seconds : float
        Time of the check.
    smallest : float
        Smallest mistake that `miss` speaks of.
    tolerance : float
        Share of an entry by which it was allowed to be off.
    sensitivity : float or None
        The error, relative to the root mean square of the entries, above which it would have been caught in whichever of them
        is no kink and not inconclusive; None by directions, and where all entries are 0.
    tensors : tuple of FunctionTensor
        A line for each array where x is a dict or list of several.
    remarks : tuple of str
        What else there is to say of f at this point.
    """

    verdict: Verdict
    counts: Counts
    entries: tuple[EntryReport, ...]
    ratio: float | None
    relative_difference: float
    value: float
    noise: float
    method: Literal["entries", "directions"]
    scheme: str
    step_range: tuple[float, float]
    directions: int
    miss: float
    seed: int | None
    evaluations: int
    seconds: float
    smallest: float = 0.0
    tolerance: float = 0.0
    sensitivity: float | None = None
    tensors: tuple[FunctionTensor, ...] = ()
    remarks: tuple[str, ...] = ()

    def complaint(self) -> str:
        """Return the report."""
        return str(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the report for `json.dumps`; numbers that JSON does not know stand as "nan", "inf" and "-inf"."""
        return {
            "schema": SCHEMA,
            "passed": self.passed,
            "verdict": self.verdict,
            **self.counts._asdict(),
            "ratio": _number(self.ratio),
            "relative_difference": _number(self.relative_difference),
            "value": _number(self.value),
            "noise": _number(self.noise),
            "method": self.method,
            "scheme": self.scheme,
            "step_range": [_number(step) for step in self.step_range],
            "directions": self.directions,
            "miss": _number(self.miss),
            "smallest": _number(self.smallest),
            "seed": self.seed,
            "evaluations": self.evaluations,
            "seconds": _number(self.seconds),
            "tolerance": _number(self.tolerance),
            "sensitivity": _number(self.sensitivity),
            "remarks": list(self.remarks),
            "tensors": [
                {
                    **asdict(tensor),
                    "relative_difference": _number(tensor.relative_difference),
                    "sensitivity": _number(tensor.sensitivity),
                }
                for tensor in self.tensors
            ],
            "entries": [
                {
                    "name": entry.name,
                    "verdict": entry.verdict,
                    "claimed": _number(entry.claimed),
                    "numerical": _number(entry.numerical),
                    "bound": _number(entry.bound),
                    "reason": entry.reason,
                }
                for entry in self.entries
            ],
        }

    def __str__(self) -> str:
        """Return the report as plain text, 100 columns wide."""
        stream = io.StringIO()
        # An empty environment keeps FORCE_COLOR, COLUMNS and the like from changing what str(report) says.
        console = Console(
            file=stream, width=TEXT_WIDTH, color_system=None, force_terminal=False, force_jupyter=False, _environ={}
        )
        console.print(self)
        return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()).strip("\n")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the report for a terminal."""
        yield _headline(self, options.ascii_only)
        numbers = counted(self.counts.total, "number")
        yield Text(f"f of {numbers}; f(x) = {significant(self.value)}, noise {self.noise:.1e}", style="dim")
        if self.tensors:
            yield Text()
            yield Padding(_tensor_table(self.tensors, options.ascii_only), (0, 0, 0, 1))
        if self.entries:
            yield Text()
            yield Padding(_table(self.entries, options.ascii_only), (0, 0, 0, 1))
        yield Text()
        yield from (Text(sentence) for sentence in _sentences(self))


def _number(value: float | None) -> float | str | None:
    """Return a number as JSON can hold it."""
    return value if value is None or math.isfinite(value) else str(float(value))


def _headline(report: FunctionReport, ascii_only: bool) -> Text:
    """Return the verdict and what it is about, in one line."""
    sign = (_ASCII_SIGNS if ascii_only else _SIGNS)[report.verdict]
    line = Text(f"{sign} {report.verdict.upper()}", style=_STYLES[report.verdict])
    return line.append(f"  {_headline_sentence(report)}", style="default")


def _headline_sentence(report: FunctionReport) -> str:
    total, wrong, inconclusive, _ = report.counts
    if report.method == "directions":
        found = f"halving found {wrong:,} wrong {'entry' if wrong == 1 else 'entries'}" if wrong else "no entry is by itself"
        kinks = 'Kinks at x leave the gradient open along some directions; method="entries" judges them.'
        hidden = kinks if report.counts.kinks else "Noise of f hides the gradient along every direction."
        return {
            "right": f"The gradient is right along {report.directions} random directions.",
            "wrong": f"The gradient is wrong; {found}.",
            "inconclusive": hidden,
        }[report.verdict]
    entries = "entry" if total == 1 else "entries"
    rest = f"; {inconclusive:,} inconclusive" if inconclusive else ""
    if report.verdict == "wrong":
        verb = "is" if wrong == 1 else "are"
        return f"{wrong:,} of {total:,} {entries} of the gradient {verb} wrong{rest}."
    if report.verdict == "inconclusive":
        verb = "is" if inconclusive == 1 else "are"
        return f"{inconclusive:,} of {total:,} {entries} of the gradient {verb} inconclusive; none is wrong."
    return "The gradient is right."


def _table(entries: tuple[EntryReport, ...], ascii_only: bool) -> Table:
    """Return a line for each entry, up to a dozen."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    table.add_column("entry", overflow="fold")
    table.add_column("verdict", overflow="fold")
    for heading in ("claimed", "numerical", "±"):
        table.add_column(heading, overflow="fold", justify="right")
    reasons = any(entry.reason for entry in entries)
    if reasons:
        table.add_column("because", overflow="fold")
    for entry in entries[:TABLE_ROWS]:
        sign = (_ASCII_SIGNS if ascii_only else _SIGNS)[entry.verdict]
        claimed, numerical = _both(entry)
        verdict = Text(f"{sign} {entry.verdict}", style=_STYLES[entry.verdict])
        cells = [Text(printable(entry.name)), verdict, Text(claimed), Text(numerical), Text(f"{entry.bound:.1e}")]
        table.add_row(*cells, *([Text(entry.reason)] if reasons else []))
    if len(entries) > TABLE_ROWS:
        table.add_row(Text(f"{len(entries) - TABLE_ROWS:,} more"))
    return table


def _tensor_table(tensors: tuple[FunctionTensor, ...], ascii_only: bool) -> Table:
    """Return a line for each array."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for heading in ("tensor", "verdict"):
        table.add_column(heading, overflow="fold")
    for heading in ("wrong", "of", "rel. difference", "caught above"):
        table.add_column(heading, overflow="fold", justify="right")
    for tensor in tensors:
        sign = (_ASCII_SIGNS if ascii_only else _SIGNS)[tensor.verdict]
        caught = "-" if tensor.sensitivity is None else above(tensor.sensitivity)
        numbers = (f"{tensor.wrong:,}", f"{tensor.total:,}", significant(tensor.relative_difference, 2), caught)
        table.add_row(
            Text(printable(tensor.name)), Text(f"{sign} {tensor.verdict}", style=_STYLES[tensor.verdict]), *map(Text, numbers)
        )
    return table


def _both(entry: EntryReport) -> tuple[str, str]:
    """Return both values to seven digits, a wrong one to as many as tell it apart."""
    for digits in range(7, 18):
        claimed, numerical = significant(entry.claimed, digits), significant(entry.numerical, digits)
        if claimed != numerical or entry.verdict != "wrong":
            break
    return claimed, numerical


def _sentences(report: FunctionReport) -> Iterator[str]:
    """Yield what stands below the table."""
    if report.ratio is not None:
        if report.ratio == 0.0:
            yield "The gradient is zero throughout; the numerical one is not."
        else:
            yield f"The gradient is {report.ratio:#.4g} times the numerical one."
    yield f"Relative difference in all: {significant(report.relative_difference)}."
    if report.counts.kinks:
        kinks = f"{report.counts.kinks:,} of {report.counts.total:,}"
        yield f"On a kink: {kinks}; there any value between the one-sided slopes is right by itself."
    yield from report.remarks
    yield from _direction_sentences(report)
    if report.tolerance:
        yield f"Tolerance: an entry may be off by {significant(report.tolerance)} of itself."
    if report.sensitivity is not None:
        yield f"Errors above {above(report.sensitivity)} of a typical entry are caught."
    yield f"{counted(report.evaluations, 'evaluation')} of f in {duration(report.seconds)}; {_how(report)}."


def _direction_sentences(report: FunctionReport) -> Iterator[str]:
    """Say what random directions can have missed, and what halving has not looked for."""
    if report.method != "directions":
        return
    if report.verdict == "right":
        yield (
            f"A mistake of more than {report.smallest:.1e} in all is missed with a chance of at most {report.miss:.2g} "
            f"(seed {report.seed}); a smaller one may be."
        )
    if report.verdict == "wrong":
        yield "Other entries may be wrong as well."


def _how(report: FunctionReport) -> str:
    if report.method == "directions":
        return f"{report.directions} random directions, seed {report.seed}"
    if report.scheme == "complex":
        return "complex steps"
    smallest, largest = report.step_range
    return f"central differences, steps {smallest:.0e} to {largest:.0e}, extrapolated where in question"
