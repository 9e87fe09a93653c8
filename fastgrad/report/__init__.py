"""The result of a check: one immutable object, its text for a person and its dictionary for a machine.

`check` fills it, the command line prints it. Nothing is judged here: every verdict, count and ratio comes in ready.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.text import Text

from fastgrad.errors import InputError
from fastgrad.report.documents import audit_to_dict, finding_to_dict, number, tensor_to_dict
from fastgrad.report.formatting import closed, plain_text, printable
from fastgrad.report.parts import Audit, ErrorMap, Finding, TensorReport
from fastgrad.report.sentences import colored, finding_lines, headline, provenance, sentences
from fastgrad.report.table import table_of

SCHEMA = 1
"""Version of the JSON document; it changes when a key changes its meaning or goes."""


class GradientError(AssertionError):
    """A gradient that was checked and is not right; the message is the short report."""


class Prediction(Protocol):
    """What the named mistakes give for a problem: by name in the user's layout, or in theta's order."""

    def __call__(self, problem: Any, /) -> dict[str, Any]:
        """Return arrays by name."""

    def values(self, problem: Any, /) -> Any:
        """Return one array in theta's order."""


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
        Where the first wrong gradients are off, from the output inwards, at most `MOST_MAPS`, as `draw_errors` draws them.
    prediction : callable or None
        From a problem to the gradients that the named mistakes give there; None where nothing is wrong.
    read : callable or None
        From parameters, X and Y to a problem, as this report's were read; None where they came from a file.
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
    prediction: Prediction | None = field(default=None, repr=False, compare=False)
    read: Callable[[Any, Any, Any], Any] | None = field(default=None, repr=False, compare=False)

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

    def predicted(self, parameters: Any, X: Any, Y: Any) -> dict[str, Any]:
        """Return what the named mistakes give at another point, to be held against the backward pass there.

        Parameters
        ----------
        parameters, X, Y
            In the form of those that were checked; the number of examples may be another.

        Returns
        -------
        dict of str to ndarray
            Under the names of the claimed gradients, each in the shape of its parameter; what is right is right there, too.

        Raises
        ------
        InputError
            If some wrong gradient has no confident finding, or the findings mean different numbers there.
        """
        if self.read is None:
            raise InputError("predicted() needs the report of fastgrad.check of arrays; this one was read from a file")
        if self.prediction is None:
            raise InputError("nothing was diagnosed: there is no mistake of which to predict anything")
        return self.prediction(self.read(parameters, X, Y))

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
            "step": number(self.step),
            "step_range": [number(step) for step in self.step_range],
            "sample_seed": self.sample_seed,
            "parameters_total": self.parameters_total,
            "parameters_checked": self.parameters_checked,
            "relative_difference": number(self.relative_difference),
            "loss": number(self.loss),
            "claimed_loss": number(self.claimed_loss),
            "loss_note": self.loss_note,
            "notes": list(self.notes),
            "seconds": number(self.seconds),
            "threads": self.threads,
            "directions": self.directions,
            "direction_seed": self.direction_seed,
            "chance_of_missing": {str(count): chance for count, chance in self.chances},
            "audit": None if self.audit is None else audit_to_dict(self.audit),
            "advice": list(self.advice),
            "derived_tolerance": self.derived_tolerance,
            "tensors": [tensor_to_dict(tensor) for tensor in self.tensors],
            "findings": [finding_to_dict(finding) for finding in self.findings],
        }

    def headline(self, ascii_only: bool = False) -> Text:
        """Return the verdict and what it is about, in one line."""
        return headline(self, ascii_only)

    def __str__(self) -> str:
        """Return the report as plain text, 100 columns wide."""
        return plain_text(self)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the report for a terminal."""
        yield headline(self, options.ascii_only)
        yield Text(printable(self.description), style="dim")
        yield Text()
        yield Padding(table_of(self.tensors, options.ascii_only), (0, 0, 0, 1))
        yield Text()
        yield from (colored(sentence) for sentence in sentences(self, options.ascii_only))
        yield Text(provenance(self), style="dim")


@dataclass(frozen=True)
class _ShortReport:
    """The headline, the tensors that are not right and their ratios: what a failed assertion shows."""

    report: Report

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines."""
        yield headline(self.report, options.ascii_only)
        concerned = tuple(tensor for tensor in self.report.tensors if tensor.verdict in ("wrong", "not judged"))
        if concerned:
            yield Padding(table_of(concerned, options.ascii_only), (0, 0, 0, 1))
        yield from (colored(line) for finding in self.report.findings for line in finding_lines(finding, options.ascii_only))
        yield from (Text(closed(note)) for note in self.report.notes)
