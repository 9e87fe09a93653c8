"""What a wrong gradient is told: a part of tied weights that is missing, another point, or mistakes of the backward pass."""

from __future__ import annotations

from fastgrad.diagnosis.declaration import explained
from fastgrad.diagnosis.elsewhere import elsewhere
from fastgrad.diagnosis.tied import parts_left_out
from fastgrad.judging.ruling import EntryRuling, as_declared
from fastgrad.judging.summary import worth_telling
from fastgrad.numerical.tracking import Progress
from fastgrad.report import Prediction
from fastgrad.report.parts import Finding


def named(ruling: EntryRuling, progress: Progress | None) -> tuple[tuple[Finding, ...], Prediction | None]:
    """Return the mistakes that explain what is wrong, and what predicts the gradient that they make elsewhere."""
    problem, numerical = as_declared(ruling)
    wrong = {tensor.name for tensor in ruling.judgement.tensors if tensor.verdict == "wrong"}
    lacking: tuple[Finding, ...] = ()
    if ruling.shift is not None:
        problem, lacking = parts_left_out(problem, numerical, wrong)
        if len(lacking) == len(wrong):
            return lacking, None
    named_here, prediction = explained(problem, numerical, progress)
    found = worth_telling(named_here, ruling.problem)
    if not all(finding.confident for finding in found):
        found = elsewhere(problem, numerical) or found
    return (*lacking, *found), None if lacking else prediction
