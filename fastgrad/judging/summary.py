"""A ruling and its audit summed up in a report: the verdict of the whole, and the facts that notes are made of.

Called by walk. Nothing is compared here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

from fastgrad.judging.blindspots import blind_spots
from fastgrad.judging.crosscheck import CrossCheck
from fastgrad.judging.directional import Directional, chance_of_cancelling
from fastgrad.judging.ruling import Ruling
from fastgrad.machine import most_threads
from fastgrad.model.conventions import describe
from fastgrad.model.forward import coarsest_claim
from fastgrad.model.network import Problem
from fastgrad.model.rounding import TOLERANCE
from fastgrad.model.stored import runs
from fastgrad.numerical import Numerical
from fastgrad.numerical.how import How
from fastgrad.numerical.kinks import exactly_kinked
from fastgrad.report import Report, notes
from fastgrad.report.parts import Audit, Finding, TensorReport

CANCELLING = (1, 2, 10)
"""Numbers of wrong entries of which a report says how likely they cancel along every direction."""


def summed_up(
    ruling: Ruling, audit: Audit | None, crossed: CrossCheck | None, how: How, loss_note: str | None, seconds: float
) -> Report:
    """Return the report of a ruling, nothing being diagnosed yet; where the audit failed nothing is judged."""
    problem, numerical = ruling.problem, ruling.numerical
    failed = audit is not None and bool(audit.disagreements)
    tensors = _doubted(ruling.judgement.tensors) if failed else _finished(ruling)
    report = Report(
        verdict=_overall(tensors),
        tensors=tensors,
        method=numerical.method,
        step=numerical.step,
        step_range=numerical.step_range,
        sample_seed=None if how.sample is None or numerical.selected is None else how.seed,
        parameters_total=problem.network.size,
        parameters_checked=sum(tensor.checked for tensor in tensors),
        relative_difference=ruling.judgement.relative_difference,
        loss=numerical.base.loss,
        claimed_loss=problem.claimed_loss,
        loss_note=loss_note,
        description=describe(problem),
        notes=tuple(_notes_on_failure(numerical, audit) if failed else _notes(ruling, crossed, how)),
        seconds=seconds,
        threads=how.threads or most_threads(),
        scheme=numerical.scheme,
        audit=audit,
        advice=tuple(_advice(ruling)),
        derived_tolerance=TOLERANCE,
        interrupted=ruling.interrupted,
    )
    return _with_chances(report, numerical) if isinstance(numerical, Directional) else report


def _with_chances(report: Report, found: Directional) -> Report:
    """Say along how many directions was checked, and what they can have missed."""
    chances = tuple((count, chance_of_cancelling(count, found.directions)) for count in CANCELLING)
    return replace(report, directions=found.directions, direction_seed=found.seed, chances=chances)


def _overall(tensors: Sequence[TensorReport]) -> Literal["right", "wrong", "not judged"]:
    """Return the verdict of all tensors: right where each was judged and is right, but those left out on purpose."""
    verdicts = {tensor.verdict for tensor in tensors} - {"left out"}
    if "wrong" in verdicts:
        return "wrong"
    return "right" if verdicts and "not judged" not in verdicts else "not judged"


def _doubted(tensors: Sequence[TensorReport]) -> tuple[TensorReport, ...]:
    """Return tensors without their verdicts."""
    return tuple(t if t.verdict == "left out" else replace(t, verdict="not judged") for t in tensors)


def _finished(ruling: Ruling) -> tuple[TensorReport, ...]:
    """Return the tensors; after Ctrl-C without the verdicts on unfinished ones, unless what was finished is wrong."""
    if not ruling.interrupted or isinstance(ruling.judgement, Directional):  # which judges whole tensors
        return ruling.judgement.tensors
    return tuple(
        replace(t, verdict="not judged") if t.outcomes.not_judged > 0 and t.verdict not in ("wrong", "left out") else t
        for t in ruling.judgement.tensors
    )


def _notes_on_failure(numerical: Numerical | Directional, audit: Audit | None) -> Iterator[str]:
    """Yield what alone is worth saying after an audit that failed."""
    if audit is not None:
        yield notes.audit_failed(audit, "direction" if isinstance(numerical, Directional) else "parameter")


def _notes(ruling: Ruling, crossed: CrossCheck | None, how: How) -> Iterator[str]:
    """Yield what is to be said beside the verdicts."""
    problem = ruling.problem
    yield from ruling.remarks
    yield from _notes_on_origin(ruling.numerical)
    if problem.is_stored:
        yield notes.FROM_DISK
        if how.diagnosis and ruling.is_wrong:
            yield notes.NOT_NAMED_FROM_DISK
    yield from problem.notes
    yield from _notes_on_kinks(problem, ruling.numerical)
    yield from _notes_on_gaps(ruling)
    if ruling.interrupted:
        yield notes.interrupted(sum(tensor.checked for tensor in ruling.judgement.tensors), problem.network.size)
    if crossed is not None:
        yield notes.cross_checked(crossed.agreeing, how.seed, crossed.seconds)


def _notes_on_origin(numerical: Numerical | Directional) -> Iterator[str]:
    """Yield who made the numerical gradient, and what of it was there already, where that was not this process alone."""
    if isinstance(numerical, Directional):
        return
    origin = numerical.origin
    if origin.executor:
        yield notes.by_executor(origin.executor, origin.threads)
    if origin.kept:
        yield notes.from_store(origin.kept, origin.parts)
    if origin.damaged:
        yield notes.damaged_in_store(origin.damaged)


def _notes_on_kinks(problem: Problem, numerical: Numerical | Directional) -> Iterator[str]:
    """Yield where more than one value is right."""
    penalized = [place for place, _, l1 in problem.network.penalties if l1]
    zeros = sum(int((w == 0.0).sum()) for place in penalized for w in runs(problem.theta, place))
    if zeros:
        yield notes.zeros_in_penalty(zeros)
    near = numerical.kinked_samples
    if near:
        yield notes.on_kinks(near, exactly_kinked(numerical.base), problem.samples, coarsest_claim(problem))


def _notes_on_gaps(ruling: Ruling) -> Iterator[str]:
    """Yield of which tensors there was nothing to judge."""
    tensors = ruling.judgement.tensors
    lost = [tensor.name for tensor in tensors if tensor.checked and tensor.verdict == "not judged"]
    if lost:
        yield notes.lost(lost)
    absent = [tensor.gradient_name for tensor in tensors if tensor.gradient_name and not tensor.checked]
    if absent and not ruling.interrupted and not isinstance(ruling.judgement, Directional):
        yield notes.not_drawn(absent, len(tensors))


def _advice(ruling: Ruling) -> Iterator[str]:
    """Yield the tensors of which the test point says nothing, and its blind spots."""
    zero = [
        tensor.gradient_name or tensor.name
        for tensor in ruling.judgement.tensors
        if tensor.sensitivity is not None and tensor.sensitivity.zeros_pass
    ]
    if zero:
        yield notes.zero_gradients(zero)
    yield from blind_spots(ruling.problem, ruling.numerical.base)


def worth_telling(findings: Sequence[Finding], problem: Problem) -> tuple[Finding, ...]:
    """Return findings without those that know no more than that a single number is no gradient, which a note says."""
    single = {tensor.gradient_name for tensor in problem.tensors if tensor.single}
    return tuple(f for f in findings if not (f.code.startswith("unknown") and single.issuperset(f.concerns) and f.concerns))
