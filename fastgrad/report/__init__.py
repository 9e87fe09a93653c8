"""The result of a check: one immutable object, its text for a person and its dictionary for a machine.

`check` fills it, the command line prints it. Nothing is judged here: every verdict, count and ratio is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from fastgrad.errors import InputError
from fastgrad.report.base import BaseReport, Case
from fastgrad.report.base import GradientError as GradientError
from fastgrad.report.documents import audit_to_dict, finding_to_dict, number, tensor_to_dict
from fastgrad.report.formatting import closed, gradient_label, plain_text, printable
from fastgrad.report.parts import Audit, ErrorMap, Finding, TensorReport
from fastgrad.report.sentences import (
    colored,
    finding_lines,
    headline_sentence,
    loss_sentence,
    provenance,
    sentences,
    short_provenance,
    short_sentences,
)

PASSING = ("right", "right in float32", "at a kink")
"""Verdicts on a gradient that is as it should be."""


class Prediction(Protocol):
    """What the named mistakes give for a problem: by name in the user's layout, or in theta's order."""

    def __call__(self, problem: Any, /) -> dict[str, Any]:
        """Return arrays by name."""

    def values(self, problem: Any, /) -> Any:
        """Return one array in theta's order."""


@dataclass(frozen=True, repr=False)
class Report(BaseReport):
    """What a check found; true where it passed.

    Attributes
    ----------
    verdict : {"right", "wrong", "not judged"}
        The whole network's verdict: right where every gradient was judged but those that were left out.
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
        Threads that were allowed; little work is done by one.
    scheme : {"central", "forward", "five-point"}
        Which difference was formed.
    directions, direction_seed : int or None
        By method directional: how many directions, and the seed of their signs.
    chances : tuple of (int, float)
        The probability that so many wrong entries of a tensor, all equally far off, cancel along every direction.
    audit : Audit or None
        The second look at some of the parameters, by method directional at one direction of all of them.
    advice : tuple of str
        What this test point cannot show, each with what would show it; never a failure.
    derived_tolerance : float
        The tolerance that is taken where none is given.
    findings : tuple of Finding
        The mistakes that explain what is wrong, from the output inwards.
    maps : tuple of ErrorMap
        Where the first wrong gradients are off, from the output inwards, at most `MOST_MAPS`, as `draw_errors` draws them.
    interrupted : bool
        Whether Ctrl-C came before everything was judged.
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
    interrupted: bool = False
    prediction: Prediction | None = field(default=None, repr=False, compare=False)
    read: Callable[[Any, Any, Any], Any] | None = field(default=None, repr=False, compare=False)

    @property
    def missing(self) -> tuple[str, ...]:
        """The parameters that have no gradient and were not left out."""
        return tuple(t.name for t in self.tensors if t.gradient_name is None and t.verdict == "not judged")

    @property
    def left_out(self) -> tuple[str, ...]:
        """The parameters that were left out on purpose."""
        return tuple(tensor.name for tensor in self.tensors if tensor.verdict == "left out")

    def complaint(self) -> str:
        """Return the headline, the tensors concerned and what was found of them."""
        return plain_text(Group(self.headline(), *self._concerned()))

    def cases(self) -> Iterator[Case]:
        """Yield the gradients, each with the findings that concern it."""
        for tensor in self.tensors:
            name = gradient_label(tensor)
            told = [line for f in self.findings if name in f.concerns for line in finding_lines(f, ascii_only=False)]
            off = f"{name}: {tensor.wrong:,} of {tensor.checked:,} entries are wrong"
            yield Case(name, "right" if tensor.verdict in PASSING else tensor.verdict, "\n".join([off, *told]))

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
            raise InputError("predicted() needs a report of arrays given to fastgrad.check, without infer")
        if self.prediction is None:
            raise InputError("no mistake in the backward pass was named: there is nothing to predict from")
        return self.prediction(self.read(parameters, X, Y))

    def parts(self) -> dict[str, Any]:
        """Return what the JSON document holds beside schema, passed and verdict."""
        return {
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
            "interrupted": self.interrupted,
        }

    def sentence(self) -> str:
        """Return the verdict as a sentence."""
        return headline_sentence(self)

    def body(self, ascii_only: bool) -> Iterator[RenderableType]:
        """Yield the network, the table of gradients, what is to be said of them, and how that was found out."""
        yield Text(printable(self.description), style="dim")
        yield Text()
        from fastgrad.report.table import table_of  # tables are for reports that tell all

        yield Padding(table_of(self.tensors, ascii_only), (0, 0, 0, 1))
        if self.loss_note is not None:  # another loss than the declared one makes all else doubtful
            yield Text()
            yield colored(loss_sentence(self))
        for finding in self.findings:
            yield Text()
            yield from (colored(line) for line in finding_lines(finding, ascii_only))
        yield Text()
        yield from (colored(sentence) for sentence in sentences(self))
        yield Text(provenance(self), style="dim")

    def brief(self, ascii_only: bool) -> Iterator[RenderableType]:
        """Yield of right gradients what counts, in lines; of others everything."""
        if not self.passed:
            yield from self.body(ascii_only)
            return
        yield Text(printable(self.description), style="dim")
        yield from (colored(sentence) for sentence in short_sentences(self))
        yield Text(short_provenance(self), style="dim")

    def _concerned(self) -> Iterator[RenderableType]:
        """Yield the tensors that are not right and what was found of them."""
        concerned = tuple(tensor for tensor in self.tensors if tensor.verdict in ("wrong", "not judged"))
        if concerned:
            from fastgrad.report.table import table_of

            yield Padding(table_of(concerned, ascii_only=False), (0, 0, 0, 1))
        yield from (colored(line) for finding in self.findings for line in finding_lines(finding, ascii_only=False))
        yield from (Text(closed(note)) for note in self.notes)
