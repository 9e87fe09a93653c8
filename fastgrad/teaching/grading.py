"""Points and feedback for somebody's backward function, made of what trying it found; and the forms that they are handed on in.

Somebody's function is tried at points that everybody may know and, with a seed of the teacher's, at hidden ones. A gradient
has its points where it is right at every one of them. What the hidden points were is never told.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fastgrad._version import SCHEMA
from fastgrad.errors import InputError, quoted
from fastgrad.report import PASSING
from fastgrad.report.formatting import counted, listed, printable
from fastgrad.report.parts import TensorReport
from fastgrad.report.sentences import finding_lines
from fastgrad.trials import BackwardReport

Feedback = Literal["verdict", "place", "cause"]
FEEDBACK: tuple[Feedback, ...] = ("verdict", "place", "cause")
"""How much a person is told: what is wrong; also where; also why, and how to repair it."""
CALLS = "calls"
"""The name of what is judged of a function beside its gradients: that it can be called again, with any number of examples."""
STRAYS = (
    "The function does not behave as training needs it to: called again, or with each example alone, or in what it changes."
)
ILL_BEGUN = ("=", "+", "-", "@", "\t", "\r")
"""What a cell begins with that programs of tables take for a formula."""
MOST_POINTS = 1e6


@dataclass(frozen=True)
class Part:
    """What one gradient, or the way in which the function behaves, is worth, and what is said of it."""

    name: str
    points: float
    out_of: float
    verdict: str
    feedback: str


@dataclass(frozen=True)
class Grade:
    """The points of one submission.

    Attributes
    ----------
    name : str
        Of the submission.
    verdict : {"right", "wrong", "not judged"}
        Right where every part is; wrong where a gradient or the function's behaviour is.
    parts : tuple of Part
        The gradients in their order, and the function's behaviour.
    reason : str
        Why it could not be judged, or was tried no further; empty for most.
    """

    name: str
    verdict: str
    parts: tuple[Part, ...]
    reason: str = ""

    @property
    def points(self) -> float:
        """The points of all parts."""
        return sum(part.points for part in self.parts)

    @property
    def out_of(self) -> float:
        """The points that there are."""
        return sum(part.out_of for part in self.parts)

    def sentence(self) -> str:
        """Return the points in a sentence."""
        return f"{self.points:g} of {counted_points(self.out_of)}."


def counted_points(points: float) -> str:
    """Return a number of points in words."""
    return f"{points:g} point{'' if points == 1.0 else 's'}"


def points_for(names: Sequence[str], said: Mapping[str, float]) -> dict[str, float]:
    """Return the points of each gradient, by its parameter's name, and of the function's behaviour: 1 where nothing is said.

    Parameters
    ----------
    names : sequence of str
        The parameters' names.
    said : mapping of str to float
        Points by the parameter's name, or that with a d in front; and under "calls".

    Raises
    ------
    InputError
        If a name is none of these, or points are no number of at least 0.
    """
    points = dict.fromkeys([*names, CALLS], 1.0)
    for name, value in said.items():
        own = name if name in points else name.removeprefix("d")
        if own not in points:
            known = listed([f"d{one}" for one in names] + [CALLS])
            raise InputError(f"points are given for {quoted(name)}, which is none of {known}")
        if not 0.0 <= value <= MOST_POINTS:
            raise InputError(f"the points of {quoted(name)} must be from 0 to {MOST_POINTS:,.0f}, found {value:g}")
        points[own] = value
    return points


def not_graded(name: str, points: Mapping[str, float], reason: str) -> Grade:
    """Return the grade of what could not be tried at all: no points, and the reason."""
    parts = (Part(_heading(own), 0.0, worth, "not judged", "It could not be judged.") for own, worth in points.items())
    return Grade(name, "not judged", tuple(parts), reason)


def grade(
    name: str, points: Mapping[str, float], known: BackwardReport, hidden: BackwardReport | None, feedback: Feedback
) -> Grade:
    """Return the points of a function and what its author is told.

    Parameters
    ----------
    name : str
        Of the submission.
    points : mapping of str to float
        From `points_for`.
    known : BackwardReport
        Of the points that everybody may know.
    hidden : BackwardReport, optional
        Of the same given point and of hidden ones, which come after it.
    feedback : {"verdict", "place", "cause"}
        How much is told.
    """
    found = _Found(known, hidden, feedback)
    tensors = (found.part(own, worth) for own, worth in points.items() if own != CALLS)
    parts = (*tensors, found.calls(points[CALLS]))
    verdicts = {part.verdict for part in parts}
    verdict = next((grave for grave in ("wrong", "not judged") if grave in verdicts), "right")
    return Grade(name, verdict, parts, found.reason())


class _Found:
    """What was found of one function, at known and at hidden points."""

    def __init__(self, known: BackwardReport, hidden: BackwardReport | None, feedback: Feedback) -> None:
        self.known, self.hidden, self.feedback = known, hidden, feedback
        self.reports = (known,) if hidden is None else (known, hidden)
        self.stopped = any(map(_stopped, self.reports))

    def part(self, name: str, worth: float) -> Part:
        """Return the points of a gradient: right at every point, or none."""
        at = list(self.tensors(name))
        verdicts = {"right" if tensor.verdict in PASSING else tensor.verdict for _, tensor in at}
        verdict = "wrong" if "wrong" in verdicts else "not judged" if self.stopped or verdicts != {"right"} else "right"
        return Part(_heading(name), worth if verdict == "right" else 0.0, worth, verdict, self.told(name, verdict))

    def tensors(self, name: str) -> Iterator[tuple[str, TensorReport]]:
        """Yield what was found of a parameter's gradient at each point, with the point's name."""
        for point, trial in self.trials():
            yield from ((point, tensor) for tensor in trial.report.tensors if tensor.name == name)

    def trials(self) -> Iterator[tuple[str, Any]]:
        """Yield every point's name and trial; hidden ones have no name of their own."""
        yield from ((trial.point, trial) for trial in self.known.trials)
        if self.hidden is not None:
            yield from (("a hidden point", trial) for trial in self.hidden.trials[1:])

    def told(self, name: str, verdict: str) -> str:
        """Return what is told of a gradient."""
        if verdict == "right":
            return f"Right at {counted(len(list(self.tensors(name))), 'point')}."
        if verdict == "not judged":
            return "It could not be judged."
        if self.feedback == "verdict":
            return "Wrong."
        lines = ["Wrong at", *(f"  {place}" for place in dict.fromkeys(self.places(name)))]
        return "\n".join(lines if self.feedback == "place" else [*lines, *self.causes(name)])

    def places(self, name: str) -> Iterator[str]:
        """Yield where a gradient is wrong; of a hidden point no number is told."""
        for point, tensor in self.tensors(name):
            if tensor.verdict == "wrong":
                yield point if point == "a hidden point" else f"{point}: {_entries(tensor)}"

    def causes(self, name: str) -> Iterator[str]:
        """Yield the lines of the mistakes that concern a gradient, each once; of hidden points where no other shows it."""
        for report in self.reports:
            told = list(dict.fromkeys(_causes(report, name)))
            if told:
                yield from told
                return

    def calls(self, worth: float) -> Part:
        """Return the points of the function's behaviour."""
        seen = [one for report in self.reports for one in report.observations]
        wrong = list(dict.fromkeys(one.text for one in seen if one.kind == "wrong"))
        if wrong:
            return Part(CALLS, 0.0, worth, "wrong", "\n".join(wrong) if self.feedback == "cause" else STRAYS)
        if self.stopped:
            return Part(CALLS, 0.0, worth, "not judged", "It could not be judged.")
        return Part(CALLS, worth, worth, "right", "It can be called again, and with other numbers of examples.")

    def reason(self) -> str:
        """Return why the function was not tried everywhere; what it said at a hidden point may tell what that was."""
        told = [one.text for one in self.known.observations if one.kind == "failed"]
        missing = list(dict.fromkeys(name for trial in self.known.trials for name in trial.report.missing))
        told += [f"It returned no gradient of {listed(missing)}."] if missing else []
        if not told and self.hidden is not None and _stopped(self.hidden) and not _stopped(self.known):
            told = ["Your function failed at a hidden point."]
        return " ".join(told)


def _stopped(report: BackwardReport) -> bool:
    """Whether a function was not tried at all the points, for a reason that lies in it."""
    kinds = {seen.kind for seen in report.observations}
    return "failed" in kinds or not report.trials or ("wrong" in kinds and len(report.trials) == 1)


def _entries(tensor: TensorReport) -> str:
    """Return how many entries are wrong, and which one most."""
    worst = f", most of all {list(tensor.worst.index)}" if tensor.worst is not None and tensor.worst.index else ""
    return f"{tensor.wrong:,} of {counted(tensor.checked, 'entry')}{worst}"


def _causes(report: BackwardReport, name: str) -> Iterator[str]:
    for trial in report.trials:
        labels = {tensor.gradient_name for tensor in trial.report.tensors if tensor.name == name}
        for finding in trial.report.findings:
            if labels & {*finding.concerns}:
                yield from finding_lines(finding, ascii_only=False)
        if any(labels & {*finding.concerns} for finding in trial.report.findings):
            return


def table(grades: Sequence[Grade]) -> str:
    """Return the points of many as CSV, a row for each; no cell is a formula, whatever people's names and texts are."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    names = [part.name for part in grades[0].parts] if grades else []
    writer.writerow(map(_cell, ["submission", "points", "out of", "verdict", *names, "reason"]))
    for one in grades:
        points = [f"{part.points:g}" for part in one.parts]
        writer.writerow(map(_cell, [one.name, f"{one.points:g}", f"{one.out_of:g}", one.verdict, *points, one.reason]))
    return stream.getvalue()


def _heading(name: str) -> str:
    """Return what a part is called, by the name of its parameter."""
    return name if name == CALLS else f"d{name}"


def _cell(text: str) -> str:
    """Return a text as a cell that is shown and never computed."""
    shown = printable(text)
    return f"'{shown}" if shown.lstrip().startswith(ILL_BEGUN) else shown


def gradescope(one: Grade) -> dict[str, Any]:
    """Return the document that Gradescope expects of an autograder as results.json."""
    tests = [
        {
            "name": printable(part.name),
            "score": part.points,
            "max_score": part.out_of,
            "status": "passed" if part.verdict == "right" else "failed",
            "output": _lines(part.feedback),
            "output_format": "text",
            "name_format": "text",
        }
        for part in one.parts
    ]
    output = "\n".join(filter(None, [one.sentence(), _lines(one.reason)]))
    return {"score": one.points, "output": output, "output_format": "text", "stdout_visibility": "hidden", "tests": tests}


def document(grades: Sequence[Grade]) -> dict[str, Any]:
    """Return the JSON document of the command."""
    return {"schema": SCHEMA, "submissions": [_of_one(one) for one in grades]}


def _of_one(one: Grade) -> dict[str, Any]:
    parts = [
        {
            "name": part.name,
            "points": part.points,
            "out_of": part.out_of,
            "verdict": part.verdict,
            "feedback": part.feedback,
        }
        for part in one.parts
    ]
    return {
        "name": one.name,
        "points": one.points,
        "out_of": one.out_of,
        "verdict": one.verdict,
        "reason": one.reason,
        "parts": parts,
    }


def _lines(text: str) -> str:
    """Return a text of several lines with control characters escaped."""
    return "\n".join(map(printable, text.splitlines()))
