"""What the trials of a backward function found: one immutable object, its text and its dictionary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from fastgrad.report import Report
from fastgrad.report.base import BaseReport, Case
from fastgrad.report.formatting import counted, listed, printable
from fastgrad.report.parts import Finding
from fastgrad.report.sentences import left_out as left_out_in_words

Verdict = Literal["right", "wrong", "not judged"]


@dataclass(frozen=True)
class Trial:
    """One point and the report of the gradient there."""

    point: str
    report: Report


@dataclass(frozen=True)
class Observation:
    """Something that the function did.

    Attributes
    ----------
    kind : {"wrong", "failed", "remark"}
        A fault of its own, a reason why it could not be judged, or neither.
    text : str
        What it was and what to do, in sentences.
    """

    kind: str
    text: str


@dataclass(frozen=True, repr=False)
class BackwardReport(BaseReport):
    """What trying a backward function found; true where it passed.

    Attributes
    ----------
    verdict : {"right", "wrong", "not judged"}
        Wrong where a gradient is at any point, or the function has another fault.
    trials : tuple of Trial
        The points, the given one first.
    observations : tuple of Observation
        What else was seen.
    seed : int
        Seed of the points.
    """

    verdict: Verdict
    trials: tuple[Trial, ...]
    observations: tuple[Observation, ...]
    seed: int

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The mistakes that were named at any point, each as it was found first."""
        named = (finding for trial in self.trials for finding in trial.report.findings)
        first: dict[tuple[str, str], Finding] = {}
        for finding in named:
            first.setdefault((finding.code, finding.tensor), finding)
        return tuple(first.values())

    @property
    def notes(self) -> tuple[str, ...]:
        """The texts of the observations."""
        return tuple(seen.text for seen in self.observations)

    def parts(self) -> dict[str, Any]:
        """Return what the JSON document holds beside schema, passed and verdict."""
        return {
            "seed": self.seed,
            "observations": [{"kind": seen.kind, "text": seen.text} for seen in self.observations],
            "points": [{"point": trial.point, **trial.report.to_dict()} for trial in self.trials],
        }

    def cases(self) -> Iterator[Case]:
        """Yield the gradients at every point, and what else was seen of the function."""
        for trial in self.trials:
            for case in trial.report.cases():
                yield case._replace(name=f"{case.name}, {trial.point}")
        for seen in self.observations:
            yield Case(seen.kind, {"wrong": "wrong", "failed": "not judged"}.get(seen.kind, "right"), seen.text)

    def sentence(self) -> str:
        """Return the verdict as a sentence."""
        return _sentence(self)

    def body(self, ascii_only: bool) -> Iterator[RenderableType]:
        """Yield what was seen and every point; the first wrong one in full."""
        for note in self.notes:
            yield Text()
            yield Text(printable(note))
        shown = next((trial for trial in self.trials if not trial.report.passed), None)
        for number, trial in enumerate(self.trials, start=1):
            yield Text()
            yield Text(f"{number}. {trial.point[:1].upper()}{trial.point[1:]}", style="bold")
            whole = trial is shown or trial.report.loss_note is not None
            yield Padding(trial.report if whole else trial.report.headline(ascii_only), (0, 0, 0, 3))
        yield Text()
        yield Text(f"Points drawn with seed {self.seed}.", style="dim")


def overall(trials: Sequence[Trial], observations: Sequence[Observation]) -> Verdict:
    """Return the verdict of all trials together."""
    kinds = {seen.kind for seen in observations}
    verdicts = {trial.report.verdict for trial in trials}
    if "wrong" in kinds | verdicts:
        return "wrong"
    return "not judged" if "failed" in kinds or "not judged" in verdicts or not trials else "right"


def _sentence(report: BackwardReport) -> str:
    """Return the verdict as a sentence."""
    points = counted(len(report.trials), "point")
    left_out = "".join(f"; {words}" for trial in report.trials[:1] for words in left_out_in_words(trial.report))
    if report.verdict == "right":
        return f"Your function gives the right gradients at {points}{_extent(report.trials[0].report)}{left_out}."
    missing = list(dict.fromkeys(printable(name) for trial in report.trials for name in trial.report.missing))
    absent = f"no gradient of {listed(missing)}" if missing else ""
    if report.verdict == "not judged":
        return f"Your function returns {absent}." if missing else "Your function could not be judged."
    wrong = sum(trial.report.verdict == "wrong" for trial in report.trials)
    if wrong:
        return f"Your function gives wrong gradients at {wrong} of {points}{absent and f', and {absent}'}."
    if missing:
        return f"Your function returns {absent}, and not in a way that training can rely on."
    return f"Your function gives the right gradients at {points}, but not in a way that training can rely on."


def _extent(first: Report) -> str:
    """Say where only a part of the gradients was looked at, which the points themselves give in numbers."""
    if first.sample_seed is not None:
        return ", in the parameters that were drawn"
    return "" if first.directions is None else f", along {counted(first.directions, 'random direction')}"
