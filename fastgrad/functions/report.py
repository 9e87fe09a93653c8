"""What a check of any function's gradient found: one immutable object, its text and its dictionary."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fastgrad.report.base import BaseReport, Case
from fastgrad.report.documents import finding_to_dict, number
from fastgrad.report.formatting import above, both, counted, duration, printable, significant
from fastgrad.report.parts import Finding
from fastgrad.report.sentences import colored, finding_lines
from fastgrad.report.table import columns
from fastgrad.report.verdicts import signed

Verdict = Literal["right", "wrong", "inconclusive"]

TABLE_ROWS = 12
"""Entries shown one by one."""


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
        Why: a kink, noise, a jump; often empty.
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


@dataclass(frozen=True, repr=False)
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
        f(x), and the noise of that value.
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
    faults : tuple of str
        What makes the gradient wrong beside its entries, each a sentence; only of what a library computes.
    findings : tuple of Finding
        What holds exactly on the wrong entries of an array, and how its gradient was made wrong.
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
    faults: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What is true of many entries at once, a common factor or kinks, and the remarks."""
        return tuple(_notes(self))

    def parts(self) -> dict[str, Any]:
        """Return what the JSON document holds beside schema, passed and verdict."""
        return {
            **self.counts._asdict(),
            "ratio": number(self.ratio),
            "relative_difference": number(self.relative_difference),
            "value": number(self.value),
            "noise": number(self.noise),
            "method": self.method,
            "scheme": self.scheme,
            "step_range": [number(step) for step in self.step_range],
            "directions": self.directions,
            "miss": number(self.miss),
            "smallest": number(self.smallest),
            "seed": self.seed,
            "evaluations": self.evaluations,
            "seconds": number(self.seconds),
            "tolerance": number(self.tolerance),
            "sensitivity": number(self.sensitivity),
            "remarks": list(self.remarks),
            "faults": list(self.faults),
            "findings": [finding_to_dict(finding) for finding in self.findings],
            "tensors": [
                {
                    **asdict(tensor),
                    "relative_difference": number(tensor.relative_difference),
                    "sensitivity": number(tensor.sensitivity),
                }
                for tensor in self.tensors
            ],
            "entries": [
                {
                    "name": entry.name,
                    "verdict": entry.verdict,
                    "claimed": number(entry.claimed),
                    "numerical": number(entry.numerical),
                    "bound": number(entry.bound),
                    "reason": entry.reason,
                }
                for entry in self.entries
            ],
        }

    def cases(self) -> Iterator[Case]:
        """Yield the arrays of x, or the gradient as a whole."""
        whole = self.complaint()
        if not self.tensors:
            yield Case("gradient", self.verdict, whole)
        for tensor in self.tensors:
            yield Case(tensor.name, tensor.verdict, whole)

    def sentence(self) -> str:
        """Return the verdict as a sentence."""
        return _sentence(self)

    def body(self, ascii_only: bool) -> Iterator[RenderableType]:
        """Yield the function, the table of entries, and what is to be said of them."""
        numbers = counted(self.counts.total, "number")
        yield Text(f"f of {numbers}; f(x) = {significant(self.value)}, noise {self.noise:.1e}", style="dim")
        if self.tensors:
            yield Text()
            yield Padding(_tensor_table(self.tensors, ascii_only), (0, 0, 0, 1))
        if self.entries:
            yield Text()
            yield Padding(entry_table(self.entries, ascii_only), (0, 0, 0, 1))
        yield Text()
        yield from (line for finding in self.findings for line in finding_texts(finding, ascii_only))
        yield from (Text(sentence) for sentence in _sentences(self))


def _sentence(report: FunctionReport) -> str:
    total, wrong, inconclusive, _ = report.counts
    if report.faults and not wrong:
        return "The numbers of the gradient at this point are right, and backward is wrong all the same."
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


def entry_table(entries: tuple[EntryReport, ...], ascii_only: bool) -> Table:
    """Return a line for each entry, up to a dozen."""
    reasons = any(entry.reason for entry in entries)
    table = columns("entry", "verdict", "claimed", "numerical", "±", right=("claimed", "numerical", "±"))
    if reasons:
        table.add_column("because", overflow="fold")
    for entry in entries[:TABLE_ROWS]:
        values = both(entry.claimed, entry.numerical, adaptive=entry.verdict == "wrong")
        cells = [Text(printable(entry.name)), signed(entry.verdict, ascii_only), *map(Text, (*values, f"{entry.bound:.1e}"))]
        table.add_row(*cells, *([Text(entry.reason)] if reasons else []))
    if len(entries) > TABLE_ROWS:
        table.add_row(Text(f"{len(entries) - TABLE_ROWS:,} more"))
    return table


def _tensor_table(tensors: tuple[FunctionTensor, ...], ascii_only: bool) -> Table:
    """Return a line for each array."""
    headings = ("tensor", "verdict", "wrong", "of", "rel. difference", "caught above")
    table = columns(*headings, right=headings[2:])
    for tensor in tensors:
        caught = "-" if tensor.sensitivity is None else above(tensor.sensitivity)
        numbers = (f"{tensor.wrong:,}", f"{tensor.total:,}", significant(tensor.relative_difference, 2), caught)
        table.add_row(Text(printable(tensor.name)), signed(tensor.verdict, ascii_only), *map(Text, numbers))
    return table


def _sentences(report: FunctionReport) -> Iterator[str]:
    """Yield what stands below the table."""
    yield from report.faults
    yield from report.notes
    yield f"The relative difference is {significant(report.relative_difference)}."
    yield from _direction_sentences(report)
    if report.tolerance:
        yield f"The tolerance allows an entry to be off by {significant(report.tolerance)} of itself."
    if report.sensitivity is not None:
        yield f"Errors over {above(report.sensitivity)} of a typical entry are caught."
    yield f"f was evaluated {counted(report.evaluations, 'time')} in {duration(report.seconds)}, {_how(report)}."


def _notes(report: FunctionReport) -> Iterator[str]:
    """Yield what is true of many entries at once."""
    if report.ratio is not None and not _tells_ratio(report.findings):
        if report.ratio == 0.0:
            yield "The gradient is zero throughout; the numerical one is not."
        else:
            yield f"The gradient is {report.ratio:#.4g} times the numerical one."
    if report.counts.kinks:
        verb = "is" if report.counts.kinks == 1 else "are"
        entries = f"{report.counts.kinks:,} of {counted(report.counts.total, 'entry')}"
        yield f"{entries} {verb} on a kink, where any value between the one-sided slopes is right by itself."
    yield from report.remarks


def finding_texts(finding: Finding, ascii_only: bool) -> Iterator[Text]:
    """Yield what is said of a finding; an edit of the source as a difference of two lines, theirs first."""
    if not finding.line:
        yield from map(colored, finding_lines(finding, ascii_only))
        return
    yield Text(printable(f"{finding.sentence} {finding.repair} [{finding.code}]"))
    yield Text(printable(f"    - {finding.line}"), style="red")
    yield Text(printable(f"    + {finding.formula}"), style="green")
    for other in finding.alternatives:
        yield Text(printable(f"    or {other.sentence}"))


def _tells_ratio(findings: tuple[Finding, ...]) -> bool:
    """Whether findings tell of a common factor already."""
    return any(finding.code in ("relation.factor", "relation.sign", "relation.zero") for finding in findings)


def _direction_sentences(report: FunctionReport) -> Iterator[str]:
    """Say what random directions can have missed, and what halving has not looked for."""
    if report.method != "directions":
        return
    if report.verdict == "right":
        yield (
            f"A mistake larger than {report.smallest:.1e}, over all entries, is missed with a chance of at most "
            f"{report.miss:.2g}; a smaller one may be missed."
        )
    if report.verdict == "wrong":
        yield "Other entries may be wrong as well."


def _how(report: FunctionReport) -> str:
    if report.method == "directions":
        return f"along {report.directions} random directions, drawn with seed {report.seed}"
    if report.scheme == "complex":
        return "with complex steps"
    if report.scheme == "exact":
        return "its code followed by exact differences"
    smallest, largest = report.step_range
    return f"for central differences with steps from {smallest:.0e} to {largest:.0e}, extrapolated where in question"
