"""The result of a check: one immutable object, its text for a person and its dictionary for a machine.

`check` fills it, the command line prints it. Nothing is judged here: every verdict, count and ratio comes in ready.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

Verdict = Literal["right", "wrong", "right in float32", "at a kink", "not judged"]

SCHEMA = 1
"""Version of the JSON document; it changes when a key changes its meaning or goes."""

TEXT_WIDTH = 100
"""Columns of `str(report)`."""

TABLE_ROWS = 12
"""Tensors listed one by one; of more, the right ones are folded, so that the report stays on one screen."""

LONGEST_NAME = 24
"""Characters of a tensor's name that the report for a person shows."""

ADVICE_LINES = 3
"""Blind spots that the report for a person shows."""

COARSER = 100.0
"""How many times coarser than the finest a tensor is named with an accuracy of its own."""

MOST_MAPS = 6
"""Wrong gradients of which a report keeps where they are off; more are on no picture."""

SHORT_NAME = 8
"""Characters of a name that may stand twice in a line."""


class GradientError(AssertionError):
    """A gradient that was checked and is not right; the message is the short report."""


@dataclass(frozen=True)
class Entry:
    """One entry of a tensor with both values; the index is into the user's own array."""

    index: tuple[int, ...]
    claimed: float
    numerical: float


@dataclass(frozen=True)
class Outcomes:
    """Parameters of a tensor by outcome; not judged are those that were not drawn, and all where rounding hides too much."""

    right: int = 0
    right_in_float32: int = 0
    at_kink: int = 0
    wrong: int = 0
    not_judged: int = 0


@dataclass(frozen=True)
class Sensitivity:
    """What a check would have caught in a tensor.

    Attributes
    ----------
    entry : float or None
        The error, relative to the root mean square of the numerical entries, above which it would have been caught in
        whichever of the checked entries; None where all are 0.
    whole : float or None
        The relative error common to all entries above which it would have been caught; None where all are 0.
    zeros_pass : bool
        Whether a gradient of nothing but zeros would have passed: only where the true one is zero to rounding.
    missed : tuple of (int, float)
        For 1, for 10 and for 1 % of the entries wrong beyond that: their number, and the chance that the draw missed all,
        by method directional that they cancel.
    """

    entry: float | None
    whole: float | None
    zeros_pass: bool
    missed: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Disagreement:
    """A parameter that the audit found another gradient for; the index is into the user's own array."""

    name: str
    index: tuple[int, ...]
    numerical: float
    plain: float


@dataclass(frozen=True)
class Audit:
    """What plain forward passes made of some random parameters.

    Attributes
    ----------
    compared, set_aside : int
        Parameters that were compared, and those that sit on a kink, where two textbook values are not the whole truth.
    seed : int
        Seed of the draw.
    disagreements : tuple of Disagreement
        Those that differ by more than the noise of the plain passes; where there is one, nothing is judged.
    """

    compared: int
    set_aside: int
    seed: int
    disagreements: tuple[Disagreement, ...] = ()


@dataclass(frozen=True)
class TensorReport:
    """What was found of one parameter tensor.

    Attributes
    ----------
    name : str
        The user's name of the parameter array.
    gradient_name : str or None
        The user's name of the gradient array; None where the file had none.
    shape : tuple of int
        The user's shape.
    verdict : Verdict
        The tensor's verdict.
    relative_difference : float
        ‖claimed - numerical‖ / (‖claimed‖ + ‖numerical‖) over the checked entries; 0 where both norms are 0; nan where
        the claim is nan or nothing was checked.
    checked, wrong : int
        Entries compared, and entries found wrong.
    worst : Entry or None
        The entry furthest off in units of its rounding scale; None where nothing was checked.
    ratio : float or None
        claimed / numerical where that is the same number over the whole tensor and the tensor is wrong.
    tolerance : float
        Largest |claimed - numerical| / rounding scale that counts as right, in unit roundoffs.
    located : tuple of Entry
        By method directional: the wrong entries, worst first, which `wrong` counts.
    more : bool
        Whether more entries are wrong than were located.
    precision : {"float64", "float32", "float16"}
        The precision whose unit roundoff that is.
    outcomes : Outcomes
        Its parameters by outcome.
    sensitivity : Sensitivity or None
        What would have been caught; None where nothing was checked.
    """

    name: str
    gradient_name: str | None
    shape: tuple[int, ...]
    verdict: Verdict
    relative_difference: float
    checked: int
    wrong: int
    worst: Entry | None
    ratio: float | None
    tolerance: float
    located: tuple[Entry, ...] = ()
    more: bool = False
    precision: str = "float64"
    outcomes: Outcomes = Outcomes()
    sensitivity: Sensitivity | None = None


@dataclass(frozen=True)
class ErrorMap:
    """Where a wrong gradient is off, in the user's own layout, large ones reduced to blocks of entries.

    Attributes
    ----------
    gradient_name : str
        The user's name of the gradient.
    axes : tuple of str
        What a row and what a column of the map is: "unit" of the layer or "input"; a bias is one row.
    rows, columns : tuple of int
        Index of the first entry of each block in the user's array, and at the end the one after the last.
    errors : tuple of tuple of float
        Largest |claimed - numerical| of each block, relative to `unit`; nan where nothing was checked, inf where the claim is
        no number.
    wrong : tuple of tuple of bool
        Whether an entry of the block is wrong.
    unit : float
        The largest |numerical| of the tensor, 1 where all are 0.
    count, checked : int
        Wrong entries, and entries compared.
    """

    gradient_name: str
    axes: tuple[str, str]
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    errors: tuple[tuple[float, ...], ...]
    wrong: tuple[tuple[bool, ...], ...]
    unit: float
    count: int
    checked: int


@dataclass(frozen=True)
class Alternative:
    """Another mistake that gives the same numbers at this point, and what would tell the two apart."""

    code: str
    tensor: str
    layer: int
    sentence: str
    separate: str


@dataclass(frozen=True)
class Finding:
    """A mistake that explains wrong gradients, or the place where an unknown one enters.

    Attributes
    ----------
    code : str
        Its stable code; `fastgrad explain CODE` says more.
    tensor : str
        The user's names of the gradients it is in, or dZ of a layer where it is in what flows down.
    layer : int
        Where, from 1; everything below is affected where it is in the flow.
    sentence, repair, formula : str
        What was done, how to repair it, and the right formula.
    explains, entries : int
        Entries that it explains to rounding, of all that it affects.
    residual : float
        Largest |claimed - explained|, relative to the size of what is added up to make the entry.
    picture : tuple of str
        Where nothing explains the first wrong tensor: a map of it, units by inputs, darker where it is further off.
    next_best : float or None
        The same of the nearest hypothesis that does not explain the numbers.
    alternatives : tuple of Alternative
        Other mistakes that cannot be told from it at this point.
    confident : bool
        Whether every entry affected is explained to rounding.
    concerns : tuple of str
        The user's names of the wrong gradients that it affects.
    """

    code: str
    tensor: str
    layer: int
    sentence: str
    repair: str
    formula: str
    explains: int
    entries: int
    residual: float
    picture: tuple[str, ...] = ()
    next_best: float | None = None
    alternatives: tuple[Alternative, ...] = ()
    confident: bool = True
    concerns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """What a check found.

    Attributes
    ----------
    verdict : {"right", "wrong", "not judged"}
        The whole network's verdict.
    tensors : tuple of TensorReport
        In the order of theta.
    method : {"parameter", "preactivation", "textbook", "directional"}
        How the numerical gradient was made.
    step : float or None
        The fixed step, or None where each parameter had its own.
    step_range : tuple of float
        Smallest and largest step used.
    sample_seed : int or None
        Seed of the draw of parameters; None where all were checked.
    parameters_total, parameters_checked : int
        Parameters of the network, and those compared.
    relative_difference : float
        As a tensor's, over all checked entries.
    loss : float
        fastgrad's value of the loss.
    claimed_loss : float or None
        The user's own value.
    loss_note : str or None
        Where the two differ: what reproduces the user's value.
    description : str
        The network in one line: "4-5-3-1, relu, relu, sigmoid; binary_crossentropy, mean over 3 examples".
    notes : tuple of str
        Further remarks, each a sentence.
    seconds : float
        Time of the whole check.
    threads : int
        Threads that were allowed; the others are woken once one has worked half a second.
    scheme : {"central", "forward", "five-point"}
        Which difference was formed.
    directions, direction_seed : int or None
        By method directional: how many directions, and the seed of their signs.
    chances : tuple of (int, float)
        The probability that so many wrong entries of a tensor, all equally far off, cancel along every direction.
    audit : Audit or None
        The second look at some of the parameters, by method directional at one direction of all of them.
    advice : tuple of str
        What this test point cannot show, each with what would; never a failure.
    derived_tolerance : float
        The tolerance that is taken where none is given.
    findings : tuple of Finding
        The mistakes that explain what is wrong, from the output inwards.
    maps : tuple of ErrorMap
        Where the first wrong gradients are off, from the output inwards, at most `MOST_MAPS`; `plots.draw_errors` draws them.
    """

    verdict: Literal["right", "wrong", "not judged"]
    tensors: tuple[TensorReport, ...]
    method: str
    step: float | None
    step_range: tuple[float, float]
    sample_seed: int | None
    parameters_total: int
    parameters_checked: int
    relative_difference: float
    loss: float
    claimed_loss: float | None
    loss_note: str | None
    description: str
    notes: tuple[str, ...]
    seconds: float
    threads: int
    scheme: str = "central"
    directions: int | None = None
    direction_seed: int | None = None
    chances: tuple[tuple[int, float], ...] = ()
    audit: Audit | None = None
    advice: tuple[str, ...] = ()
    derived_tolerance: float = 32.0
    findings: tuple[Finding, ...] = ()
    maps: tuple[ErrorMap, ...] = field(default=(), repr=False)

    @property
    def passed(self) -> bool:
        """Whether every checked gradient is right."""
        return self.verdict == "right"

    def raise_if_wrong(self) -> None:
        """Do nothing if the check passed, for use in a test.

        Raises
        ------
        GradientError
            If a gradient is wrong or could not be judged; the message is the headline and the tensors concerned.
        """
        if not self.passed:
            raise GradientError(plain_text(_ShortReport(self)))

    def to_dict(self) -> dict[str, Any]:
        """Return the report as a JSON document.

        Returns
        -------
        dict
            Ready for `json.dumps`. Numbers that JSON does not know stand as the strings "nan", "inf" and "-inf", so
            that ``float()`` reads them back and no comparison takes one for a small difference.
        """
        return {
            "schema": SCHEMA,
            "passed": self.passed,
            "verdict": self.verdict,
            "description": self.description,
            "method": self.method,
            "scheme": self.scheme,
            "step": _number(self.step),
            "step_range": [_number(step) for step in self.step_range],
            "sample_seed": self.sample_seed,
            "parameters_total": self.parameters_total,
            "parameters_checked": self.parameters_checked,
            "relative_difference": _number(self.relative_difference),
            "loss": _number(self.loss),
            "claimed_loss": _number(self.claimed_loss),
            "loss_note": self.loss_note,
            "notes": list(self.notes),
            "seconds": _number(self.seconds),
            "threads": self.threads,
            "directions": self.directions,
            "direction_seed": self.direction_seed,
            "chance_of_missing": {str(count): chance for count, chance in self.chances},
            "audit": None if self.audit is None else _audit_to_dict(self.audit),
            "advice": list(self.advice),
            "derived_tolerance": self.derived_tolerance,
            "tensors": [_tensor_to_dict(tensor) for tensor in self.tensors],
            "findings": [_finding_to_dict(finding) for finding in self.findings],
        }

    def headline(self, ascii_only: bool = False) -> Text:
        """Return the verdict and what it is about, in one line."""
        return _headline(self, ascii_only)

    def __str__(self) -> str:
        """Return the report as plain text, 100 columns wide."""
        return plain_text(self)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the report for a terminal."""
        yield _headline(self, options.ascii_only)
        yield Text(printable(self.description), style="dim")
        yield Text()
        yield Padding(_table(self.tensors, options.ascii_only), (0, 0, 0, 1))
        yield Text()
        yield from (Text(sentence) for sentence in _sentences(self, options.ascii_only))
        yield Text(_provenance(self), style="dim")


@dataclass(frozen=True)
class _ShortReport:
    """The headline, the tensors that are not right and their ratios: what a failed assertion shows."""

    report: Report

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines."""
        yield _headline(self.report, options.ascii_only)
        concerned = tuple(tensor for tensor in self.report.tensors if tensor.verdict in ("wrong", "not judged"))
        if concerned:
            yield Padding(_table(concerned, options.ascii_only), (0, 0, 0, 1))
        yield from (Text(line) for finding in self.report.findings for line in _finding_lines(finding, options.ascii_only))
        yield from (Text(_closed(note)) for note in self.report.notes)


def printable(text: str) -> str:
    """Return a text with everything that could steer a terminal written as an escape of Python's."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def significant(value: float, digits: int = 7) -> str:
    """Return a number to so many significant digits, without trailing zeros."""
    return f"{value:.{digits}g}"


def duration(seconds: float) -> str:
    """Return a time with the unit that suits it: "31 ms", "4.2 s", "3 min 20 s"."""
    if seconds < 0.9995e-3:
        return f"{seconds * 1e6:.0f} \N{MICRO SIGN}s"
    if seconds < 0.9995:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 99.95:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes / 60:,.1f} h"


def counted(count: int, noun: str) -> str:
    """Return "1 parameter" or "61,476 parameters"."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"


def plain_text(renderable: Any) -> str:
    """Render without colour and without any influence of the environment."""
    stream = io.StringIO()
    # An empty environment keeps FORCE_COLOR, COLUMNS and the like from changing what str(report) says.
    console = Console(file=stream, width=TEXT_WIDTH, color_system=None, force_terminal=False, force_jupyter=False, _environ={})
    console.print(renderable)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()).strip("\n")


def _number(value: float | None) -> float | str | None:
    """Return a number as JSON can hold it."""
    return value if value is None or math.isfinite(value) else str(float(value))


def _tensor_to_dict(tensor: TensorReport) -> dict[str, Any]:
    """Return one element of the document's list `tensors`."""
    return {
        "name": tensor.name,
        "gradient_name": tensor.gradient_name,
        "shape": list(tensor.shape),
        "verdict": tensor.verdict,
        "relative_difference": _number(tensor.relative_difference),
        "checked": tensor.checked,
        "wrong": tensor.wrong,
        "worst": None if tensor.worst is None else _entry_to_dict(tensor.worst),
        "ratio": _number(tensor.ratio),
        "tolerance": _number(tensor.tolerance),
        "located": [_entry_to_dict(entry) for entry in tensor.located],
        "more": tensor.more,
        "precision": tensor.precision,
        "outcomes": asdict(tensor.outcomes),
        "sensitivity": None if tensor.sensitivity is None else _sensitivity_to_dict(tensor.sensitivity),
    }


def _sensitivity_to_dict(sensitivity: Sensitivity) -> dict[str, Any]:
    """Return what would have been caught in a tensor."""
    return {
        "entry": _number(sensitivity.entry),
        "whole": _number(sensitivity.whole),
        "zeros_pass": sensitivity.zeros_pass,
        "missed": [{"wrong": wrong, "chance": chance} for wrong, chance in sensitivity.missed],
    }


def _audit_to_dict(audit: Audit) -> dict[str, Any]:
    """Return the outcome of the audit."""
    return {
        "compared": audit.compared,
        "set_aside": audit.set_aside,
        "seed": audit.seed,
        "disagreements": [
            {"name": d.name, "index": list(d.index), "numerical": _number(d.numerical), "plain": _number(d.plain)}
            for d in audit.disagreements
        ],
    }


def _finding_to_dict(finding: Finding) -> dict[str, Any]:
    """Return one element of the document's list `findings`."""
    return {
        "code": finding.code,
        "tensor": finding.tensor,
        "layer": finding.layer,
        "sentence": finding.sentence,
        "repair": finding.repair,
        "formula": finding.formula,
        "explains": finding.explains,
        "entries": finding.entries,
        "residual": _number(finding.residual),
        "next_best": _number(finding.next_best),
        "confident": finding.confident,
        "concerns": list(finding.concerns),
        "alternatives": [
            {
                "code": other.code,
                "tensor": other.tensor,
                "layer": other.layer,
                "sentence": other.sentence,
                "separate": other.separate,
            }
            for other in finding.alternatives
        ],
    }


def _entry_to_dict(entry: Entry) -> dict[str, Any]:
    """Return the worst entry of a tensor."""
    return {
        "index": list(entry.index),
        "claimed": _number(entry.claimed),
        "numerical": _number(entry.numerical),
    }


_STYLES = {
    "right": "green",
    "right in float32": "green",
    "at a kink": "yellow",
    "wrong": "bold red",
    "not judged": "yellow",
}
_SIGNS = {
    "right": "\N{CHECK MARK}",
    "right in float32": "\N{CHECK MARK}",
    "at a kink": "~",
    "wrong": "\N{BALLOT X}",
    "not judged": "?",
}
_ASCII_SIGNS = {"\N{CHECK MARK}": "+", "\N{BALLOT X}": "x"}


def _sign(verdict: str, ascii_only: bool) -> str:
    """Return the sign that tells a verdict without colour."""
    sign = _SIGNS[verdict]
    return _ASCII_SIGNS.get(sign, sign) if ascii_only else sign


def _label(name: str) -> str:
    """Return a user's name fit for a line: printable, and cut in the middle where it is very long."""
    name = printable(name)
    if len(name) <= LONGEST_NAME:
        return name
    half = (LONGEST_NAME - 3) // 2
    return f"{name[:half]}...{name[-half:]}"


def _gradient_label(tensor: TensorReport) -> str:
    """Return the name of the gradient, or of the parameter where there is no gradient."""
    return _label(tensor.gradient_name or tensor.name)


def _listed(names: list[str], most: int = 6) -> str:
    """Return "dW1, db1 and dW2", the last ones counted where they are many."""
    if len(names) > most:
        names = [*names[:most], f"{len(names) - most:,} more"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _headline(report: Report, ascii_only: bool) -> Text:
    """Return the verdict and what it is about, in one line."""
    return verdict_line(report.verdict, _headline_sentence(report), ascii_only)


def verdict_line(verdict: str, sentence: str, ascii_only: bool) -> Text:
    """Return a verdict and a sentence on it."""
    line = Text(f"{_sign(verdict, ascii_only)} {verdict.upper()}", style=_STYLES[verdict])
    return line.append(f"  {sentence}", style="default")


def _headline_sentence(report: Report) -> str:
    """Return the verdict as a sentence."""
    judged = [tensor for tensor in report.tensors if tensor.verdict != "not judged"]
    wrong = [_gradient_label(tensor) for tensor in judged if tensor.verdict == "wrong"]
    if report.verdict == "not judged":
        return "The gradients could not be judged."
    if wrong:
        verb = "is" if len(wrong) == 1 else "are"
        return f"{len(wrong):,} of {counted(len(judged), 'gradient')} {verb} wrong: {_listed(wrong)}."
    unjudged = len(report.tensors) - len(judged)
    rest = f"; {unjudged:,} not judged" if unjudged else ""
    return f"{_all(len(judged))} right{rest}."


def _all(count: int) -> str:
    """Return the subject of the sentence that all of them are right."""
    return "The gradient is" if count == 1 else "Both gradients are" if count == 2 else f"All {count:,} gradients are"


def _table(tensors: tuple[TensorReport, ...], ascii_only: bool) -> Table:
    """Return a line for each tensor, or for the ones that matter where they are many."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    # All fold where the terminal is narrow: a value cut short would be another value.
    for heading in ("gradient", "verdict", "difference", "off", "worst entry"):
        table.add_column(heading, overflow="fold")
    table.add_column("claimed", overflow="fold", justify="right")
    table.add_column("numerical", overflow="fold", justify="right")
    shown, folded = _fold(tensors)
    for tensor in shown:
        table.add_row(*_row(tensor, ascii_only))
    for row in _folded_rows(folded, ascii_only):
        table.add_row(*row)
    return table


def _fold(tensors: tuple[TensorReport, ...]) -> tuple[list[TensorReport], list[TensorReport]]:
    """Split tensors into those with a line of their own and those that share one."""
    if len(tensors) <= TABLE_ROWS:
        return list(tensors), []
    shown = [tensor for tensor in tensors if not _is_right(tensor)][:TABLE_ROWS]
    return shown, [tensor for tensor in tensors if tensor not in shown]


def _is_right(tensor: TensorReport) -> bool:
    """Whether a tensor is right without a reservation that the reader should see."""
    return tensor.verdict in ("right", "right in float32")


def _row(tensor: TensorReport, ascii_only: bool) -> tuple[Text, ...]:
    """Return the cells of one tensor."""
    style = _STYLES[tensor.verdict]
    verdict = Text(f"{_sign(tensor.verdict, ascii_only)} {tensor.verdict}", style=style)
    name = Text(_gradient_label(tensor))
    if tensor.worst is None and tensor.checked:
        difference = f"{tensor.relative_difference:.1e}"
        return name, verdict, Text(difference), Text(_off(tensor), style="" if tensor.verdict == "wrong" else "dim")
    if tensor.worst is None:
        reason = "no gradient given" if tensor.gradient_name is None else "none checked"
        return name, verdict, Text("-"), Text(reason)
    claimed, numerical = _both(tensor.worst, adaptive=tensor.verdict == "wrong")
    emphasis = "" if tensor.verdict == "wrong" else "dim"
    return (
        name,
        verdict,
        Text(f"{tensor.relative_difference:.1e}"),
        Text(_off(tensor), style=emphasis),
        Text(_entry_label(tensor, tensor.worst), style=emphasis),
        Text(claimed, style=emphasis),
        Text(numerical, style=emphasis),
    )


def _off(tensor: TensorReport) -> str:
    """Return how many of a tensor's entries are wrong, with a plus where only some of them were located."""
    return f"{tensor.wrong:,}{'+' if tensor.more else ''} of {tensor.checked:,}"


def _folded_rows(tensors: list[TensorReport], ascii_only: bool) -> Iterator[tuple[Text, ...]]:
    """Yield a line for all the right tensors without a line of their own, and one for any others."""
    for is_right, noun in ((True, "right"), (False, "not right")):
        group = [tensor for tensor in tensors if _is_right(tensor) == is_right]
        if group:
            sign = _sign("right" if is_right else "wrong", ascii_only)
            style = _STYLES["right" if is_right else "wrong"]
            largest = max((tensor.relative_difference for tensor in group), key=_nan_last)
            yield Text(f"{len(group):,} more"), Text(f"{sign} {noun}", style=style), Text(f"<= {largest:.1e}")


def _nan_last(value: float) -> float:
    """Sort key that takes nan for the largest."""
    return math.inf if math.isnan(value) else value


def _entry_label(tensor: TensorReport, entry: Entry) -> str:
    """Return "dW2[3, 1]"; where the name is long, the index alone, since the name stands in the same line."""
    name = _gradient_label(tensor)
    return f"{name if len(name) <= SHORT_NAME else ''}{list(entry.index)}"


def _both(entry: Entry, adaptive: bool) -> tuple[str, str]:
    """Return both values to seven digits, or to as many as it takes to tell them apart."""
    for digits in range(7, 18):
        claimed, numerical = significant(entry.claimed, digits), significant(entry.numerical, digits)
        if claimed != numerical or not adaptive:
            break
    return claimed, numerical


def _sentences(report: Report, ascii_only: bool) -> Iterator[str]:
    """Yield what stands below the table, most important first."""
    yield from (line for finding in report.findings for line in _finding_lines(finding, ascii_only))
    if report.directions is not None and not report.findings:
        yield from _ratio_sentences(report.tensors)
    yield from _located_sentences(report.tensors)
    yield from (_closed(note) for note in report.notes)
    yield _loss_sentence(report)
    yield _total_sentence(report)
    yield from _sample_sentences(report)
    yield from _direction_sentences(report)
    if report.directions is None:
        yield from _kink_sentences(report.tensors)
    yield from _sensitivity_sentences(report)
    if report.verdict == "right":
        yield from _advice_sentences(report.advice)
    if report.audit is not None and not report.audit.disagreements:
        yield _audit_sentence(report.audit) if report.directions is None else _direction_audit_sentence(report.audit)


def _kink_sentences(tensors: tuple[TensorReport, ...]) -> Iterator[str]:
    """Count the entries that are right because they sit on a kink."""
    counts = [f"{tensor.outcomes.at_kink:,} of {_gradient_label(tensor)}" for tensor in tensors if tensor.outcomes.at_kink]
    if counts:
        yield f"At kinks, between the one-sided derivatives: {_listed(counts)}."


def _sensitivity_sentences(report: Report) -> Iterator[str]:
    """Say what counts as right and what error would have been caught, tensors that are far coarser than the rest by name."""
    judged = [tensor for tensor in report.tensors if tensor.sensitivity is not None and tensor.verdict != "not judged"]
    finest = {tensor: tensor.sensitivity.entry for tensor in judged if tensor.sensitivity and tensor.sensitivity.entry}
    if not finest:
        return
    tolerance, derived = judged[0].tolerance, report.derived_tolerance
    chosen = f" (yours; {significant(derived)} is derived)" if tolerance != derived else ""
    precisions = " or ".join(sorted({tensor.precision for tensor in judged}, reverse=True))
    common = max(value for value in finest.values() if value <= COARSER * min(finest.values()))
    coarse = [f"{_above(value)} in {_gradient_label(tensor)}" for tensor, value in finest.items() if value > common]
    rest = f", {_listed(coarse, 3)}" if coarse else ""
    bound = f"errors above {_above(common)} of a typical entry are caught{rest}"
    what = "each entry" if report.directions is None else "each signed sum"
    yield f"Tolerance: {significant(tolerance)}{chosen} roundings of {what} in {precisions}; {bound}."


def _above(value: float) -> str:
    """Return a bound to one digit, rounded up."""
    exponent = math.floor(math.log10(value))
    return f"{math.ceil(value / 10.0**exponent * (1.0 - 1e-12)) * 10.0**exponent:.0e}"


def _advice_sentences(advice: tuple[str, ...]) -> Iterator[str]:
    """Yield the first pieces of advice, and the number of the rest."""
    for sentence in advice[:ADVICE_LINES]:
        yield f"Blind spot: {_closed(sentence)}"
    if len(advice) > ADVICE_LINES:
        yield f"{counted(len(advice) - ADVICE_LINES, 'more blind spot')} of this test point: report.advice, or --json."


def _audit_sentence(audit: Audit) -> str:
    """Say how the audit went."""
    aside = f"; {audit.set_aside:,} on a kink set aside" if audit.set_aside else ""
    if not audit.compared:
        return f"Audit, seed {audit.seed}: nothing could be compared{aside}."
    return (
        f"Audit: {counted(audit.compared, 'random parameter')} again by plain forward passes, seed {audit.seed}: agreed{aside}."
    )


def _direction_audit_sentence(audit: Audit) -> str:
    """Say how the audit of a direction went."""
    if not audit.compared:
        return "Audit: nothing could be compared, the examples are on kinks or the noise of plain forward passes is too large."
    return "Audit: the first direction of all parameters again by plain forward passes: agreed."


def _closed(text: str) -> str:
    """Return a remark fit for the terminal, with its full stop."""
    return printable(text).rstrip(".") + "."


def _finding_lines(finding: Finding, ascii_only: bool) -> Iterator[str]:
    """Yield what was done and the repair; the evidence; what else it could be."""
    lines = [f"{finding.sentence} {finding.repair} [{finding.code}]"]
    lines += [f"    {finding.formula}"] if finding.formula else []
    lines += [f"    |{line}|" for line in finding.picture]
    lines += [f"    {evidence}"] if (evidence := _evidence(finding)) else []
    for other in finding.alternatives:
        lines.append(f"    It could as well be: {other.sentence} [{other.code}] What would tell: {other.separate}.")
    for line in lines:
        yield printable(line.translate(_PLAIN) if ascii_only else line)


_PLAIN = str.maketrans(
    {"·": "*", "ᵀ": ".T", "⊙": "*", "′": "'", "∂": "d", "Σ": "sum ", "²": "^2", "λ": "lambda ", "‖": "||", "½": "1/2"}
)
"""What stands for the signs of formulas where the terminal knows ASCII only."""


def _evidence(finding: Finding) -> str:
    """Say how many entries a finding explains, and how well; of a mistake that is not known it is none."""
    if not finding.explains:
        return ""
    rest = "" if finding.next_best is None else f"; the next best hypothesis is off by {finding.next_best:.0e}"
    close = f"to {finding.residual:.0e} of scale" if finding.residual else "exactly"
    return f"Explains {finding.explains:,} of {counted(finding.entries, 'entry')} {close}{rest}."


def _loss_sentence(report: Report) -> str:
    """Say whether both sides mean the same loss."""
    ours = f"Loss {significant(report.loss)}"
    if report.claimed_loss is None:
        return f"{ours}. Give your own as loss_value to have the two compared."
    if report.loss_note is None:
        return f"{ours}, the same as yours."
    return f"The losses differ: {_closed(report.loss_note)}"


def _total_sentence(report: Report) -> str:
    """Say what the usual single number is, how the courses read it, and where the verdict sees more than it."""
    total = report.relative_difference
    if math.isnan(total):
        return "Relative difference in all: not a number."
    number = f"Relative difference in all: {significant(total)}"
    if report.verdict == "not judged":
        return f"{number}, which says nothing here."
    if report.verdict == "wrong" and total <= 1e-4:
        return f"{number}, which alone might pass: the total hides single wrong entries, the verdict looks at each."
    if report.verdict == "right" and total > 1e-7:
        return f"{number}; {_band(total)}. Measured by each entry's own rounding it is noise."
    return f"{number}; {_band(total)}."


def _band(total: float) -> str:
    """Return how the courses read a relative difference."""
    if total > 1e-2:
        return "above 1e-2 the courses say: something is certainly wrong"
    if total > 1e-4:
        return "between 1e-4 and 1e-2 the courses say: something is probably wrong"
    if total > 1e-7:
        return "between 1e-7 and 1e-4 the courses say: fine with kinks as in relu, too much for smooth activations"
    return "below 1e-7 the courses say: celebrate"


def _sample_sentences(report: Report) -> Iterator[str]:
    """Say what was drawn and what the draw can have missed."""
    if report.sample_seed is None:
        return
    yield (
        f"Checked {report.parameters_checked:,} of {counted(report.parameters_total, 'parameter')}, "
        f"seed {report.sample_seed}.{_missed(report)}"
    )


def _ratio_sentences(tensors: tuple[TensorReport, ...]) -> Iterator[str]:
    """Yield one sentence for each constant ratio claimed / numerical, however many tensors share it."""
    groups: dict[str, list[str]] = {}
    for tensor in tensors:
        if tensor.verdict == "wrong" and tensor.ratio is not None:
            groups.setdefault(_ratio(tensor.ratio), []).append(_gradient_label(tensor))
    for ratio, names in groups.items():
        verb = "is" if len(names) == 1 else "are"
        if ratio == "0":
            yield f"{_listed(names)} {verb} zero throughout; the numerical gradient is not."
        else:
            yield f"{_listed(names)} {verb} {ratio} times the numerical gradient."


def _ratio(ratio: float) -> str:
    """Return a ratio to four digits, more where it is close to 1."""
    if ratio == 0.0:
        return "0"
    digits = 4
    while digits < 17 and float(f"{ratio:.{digits}g}") == 1.0:
        digits += 1
    if 1e3 <= abs(ratio) < 1e7:
        return f"{ratio:,.1f}"
    return f"{ratio:#.{digits}g}"


def _located_sentences(tensors: tuple[TensorReport, ...]) -> Iterator[str]:
    """Say where else tensors are wrong, by the method that looks for single entries."""
    for tensor in tensors:
        places = [str(list(entry.index)) for entry in tensor.located]
        if len(places) > 1:
            yield f"{_gradient_label(tensor)} is wrong at {_listed(places, most=len(places))}."
        if tensor.more and tensor.ratio is None:
            found = "only the worst was looked for" if places else "none could be told from rounding alone"
            yield f"{_gradient_label(tensor)} is wrong in more entries than were located: {found}."


def _direction_sentences(report: Report) -> Iterator[str]:
    """Say along how many directions the gradient was checked, and what they can have missed."""
    if report.directions is None:
        return
    missed = [f"{count} with a chance of {100 * chance:.2g}%" for count, chance in report.chances if chance]
    yield (
        f"Checked along {counted(report.directions, 'direction')} of random signs, seed {report.direction_seed}, "
        f"each tensor on its own and all of them together. A single wrong entry above the rounding of its tensor is never "
        f"missed; several that are equally far off cancel: {_listed(missed)}."
    )


def _missed(report: Report) -> str:
    """Say what share of a tensor's entries can be wrong unseen, for the tensor of which the draw says least."""
    drawn = [tensor for tensor in report.tensors if 0 < tensor.checked < math.prod(tensor.shape)]
    if not drawn:
        return ""
    least_known = max(drawn, key=_unseen_share)
    share = f"{100 * _unseen_share(least_known):.2g}%"
    return f" A mistake in under {share} of the entries of {_gradient_label(least_known)} may be missed.{_chances(drawn)}"


def _chances(drawn: list[TensorReport]) -> str:
    """Say how likely the draw missed 1, 10 and 1 % of a tensor's entries, for the tensor of which it says least."""
    missed = [(tensor.sensitivity.missed, _gradient_label(tensor)) for tensor in drawn if tensor.sensitivity is not None]
    if not missed:
        return ""
    counts, name = max(missed, key=lambda pair: pair[0][0][1])
    chances = [f"{wrong:,} with {100 * chance:.2g}%" for wrong, chance in counts]
    return f" Chance to miss wrong entries of {name}: {_listed(list(dict.fromkeys(chances)))}."


def _unseen_share(tensor: TensorReport) -> float:
    """Return the share of wrong entries of which a draw without replacement finds one with a probability of 95 %.

    Notes
    -----
    1 - 0.05^(1/n) for n draws with replacement, times 1 - (n - 1) / 2N for the N entries that are not put back.
    """
    draws, entries = tensor.checked, math.prod(tensor.shape)
    return float((1.0 - 0.05 ** (1.0 / draws)) * (1.0 - (draws - 1) / (2.0 * entries)))


def allowed_threads(threads: int) -> str:
    """Write how many threads there might have been."""
    return f"up to {threads} threads" if threads > 1 else "1 thread"


def _provenance(report: Report) -> str:
    """Say how much was done in what time, and how."""
    if report.step is not None:
        step = f"step {significant(report.step)}"
    elif report.directions is not None:
        step = "a step for each direction, {:.0e} to {:.0e}".format(*report.step_range)
    else:
        smallest, largest = report.step_range
        step = f"a step for each parameter, {smallest:.0e} to {largest:.0e}"
    scheme = "" if report.scheme == "central" else f"{report.scheme} difference, "
    return (
        f"{counted(report.parameters_checked, 'parameter')} in {duration(report.seconds)}, "
        f"{allowed_threads(report.threads)}; method {report.method}, {scheme}{step}."
    )
