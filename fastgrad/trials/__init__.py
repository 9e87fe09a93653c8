"""A backward function, tried at points of our choosing: where arrays alone show one point, and a point may hide a mistake.

Called by walk, which hands over how a problem is checked. The function is called as its own training loop would call
it: `calling` keeps to the arrays' names, layouts and dtypes, `points` chooses the numbers, `report` tells what was found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import isfinite
from typing import Any

import numpy as np

from fastgrad.errors import FunctionError, InputError, Interrupted, quoted
from fastgrad.model.forward import UNIT_ROUNDOFF, claim_roundoff
from fastgrad.model.network import Array, Problem
from fastgrad.model.product import norm
from fastgrad.model.rounding import penalty_gradient
from fastgrad.reading import Description
from fastgrad.reading.names import listed
from fastgrad.report import Report
from fastgrad.report.formatting import closed, significant
from fastgrad.report.parts import Finding
from fastgrad.trials.calling import Answer, Function, Given, Point, ask, understand
from fastgrad.trials.habits import habits_of
from fastgrad.trials.points import grown, initialised, number_of_examples, repeated, with_examples
from fastgrad.trials.report import BackwardReport, Observation, Trial, overall
from fastgrad.trials.source import statement

__all__ = ["STEPS", "BackwardReport", "CheckProblem", "Function", "check_backward"]

CheckProblem = Callable[[Problem], Report]
_SUBTRACTED = 64.0
"""Roundings that are left where a penalty is subtracted: its own, and those of three calls from which it is measured."""
STEPS = 20
"""Steps of training, at most, between initialisation and the last point."""


def check_backward(
    check_problem: CheckProblem,
    backward: Function,
    parameters: Mapping[str, Any] | Sequence[Any],
    X: Any,
    Y: Any,
    description: Description,
    masks: Mapping[str, Any] | Sequence[Any] | None,
    seed: int,
) -> BackwardReport:
    """Try a backward function at the given point and at two others, and watch how it behaves.

    Parameters
    ----------
    check_problem : callable
        Checks the claimed gradient of a problem.
    backward : callable
        Called as backward(parameters, X, Y); returns gradients, or (loss, gradients).
    parameters, X, Y, masks
        The given point, as in `fastgrad.check`.
    description : Description
        What the network is.
    seed : int
        Seed of the points.

    Returns
    -------
    BackwardReport
        The report of every point, and what else was seen.

    Raises
    ------
    InputError
        If the arrays and the description make no network.
    """
    if not callable(backward):
        raise InputError(f"backward must be a function, called as backward(parameters, X, Y); found {quoted(backward)}")
    given = understand(parameters, X, Y, description, masks)
    try:
        trials, observations = _Trials(check_problem, backward, given, seed).run()
    except Interrupted:  # half a trial says nothing
        raise KeyboardInterrupt from None
    return BackwardReport(overall(trials, observations), trials, observations, seed)


class _Trials:
    """One run of all trials; what it finds, in order."""

    def __init__(self, check_problem: CheckProblem, backward: Function, given: Given, seed: int) -> None:
        self.check_problem, self.backward, self.given = check_problem, backward, given
        self.rng = np.random.default_rng(seed)
        self.habits = habits_of(backward)
        self.trials: list[Trial] = []
        self.answers: list[Answer] = []
        self.observations: list[Observation] = []

    def run(self) -> tuple[tuple[Trial, ...], tuple[Observation, ...]]:
        """Try the function at every point, until something was seen that makes the other points worthless."""
        point = self.given.point
        answer = self.attempt(point)
        if answer is not None and self.same_again(point, answer):
            try:
                self.try_elsewhere()
            except InputError as error:  # outputs that have no logarithm, a loss that overflows
                self.see("remark", f"The function was tried no further, for its network cannot be checked there: {error}.")
        self.trials = [self.confirmed(place) for place in range(len(self.trials))]
        return tuple(self.trials), tuple(self.observations)

    def confirmed(self, place: int) -> Trial:
        """Return a trial of whose findings those are certain that predict the gradients of all other points."""
        trial, unlike = self.located(self.trials[place]), set[str]()
        if trial.report.prediction is None:
            return trial
        for other, answer in enumerate(self.answers):
            if other != place:
                try:
                    predicted = trial.report.prediction.values(answer.problem)
                except InputError:  # nothing is asserted of that point
                    continue
                unlike |= set(_different(answer.problem, answer.claimed, predicted, [answer.claimed, predicted]))
        findings = tuple(
            replace(finding, confident=finding.confident and not unlike & set(finding.concerns))
            for finding in trial.report.findings
        )
        return replace(trial, report=replace(trial.report, findings=findings))

    def located(self, trial: Trial) -> Trial:
        """Return a trial whose findings say where the line stands in the user's own file, and show it in the user's hand."""
        findings = tuple(
            replace(
                finding,
                where=self.place(finding),
                formula=self.habits.written(finding.formula),
                line=self.habits.written(finding.line),
            )
            for finding in trial.report.findings
        )
        return replace(trial, report=replace(trial.report, findings=findings))

    def place(self, finding: Finding) -> str:
        """Return the statement that a finding is about; of what is no mistake in a line there is none."""
        return statement(self.backward, (*_names(finding), *finding.concerns)) if finding.formula else ""

    def see(self, kind: str, text: str) -> None:
        """Note an observation, once."""
        observation = Observation(kind, text)
        if observation not in self.observations:
            self.observations.append(observation)

    def attempt(self, point: Point, *, must: bool = True) -> Answer | None:
        """Check the function's gradient at a point; None where it fails there."""
        try:
            answer = ask(self.backward, self.given, point)
        except FunctionError as failure:
            rest = "." if must else ". It is tried with as many examples as you gave, which may hide a mistake."
            self.see("failed" if must else "remark", f"Your function failed at {point.name}: {failure}{rest}")
            return None
        if answer.changed:
            self.see("wrong", _modified(answer.changed))
        for note in answer.problem.notes:
            if note not in self.given.problem.notes:  # which was read without gradients
                self.see("remark", closed(note))
        self.trials.append(Trial(point.name, self.check_problem(answer.problem)))
        self.answers.append(answer)
        return answer

    def same_again(self, point: Point, first: Answer) -> bool:
        """Call the function a second time and compare; a function with a memory is tried no further."""
        try:
            second = ask(self.backward, self.given, point)
        except FunctionError as failure:
            self.see("failed", f"Your function failed when it was called a second time at {point.name}: {failure}.")
            return False
        if not (different := _different(first.problem, second.claimed, first.claimed, [first.claimed])):
            return True
        repeated = not _different(first.problem, second.claimed, 2.0 * first.claimed, [first.claimed])
        self.see("wrong", _unlike(different, repeated))
        return False

    def try_elsewhere(self) -> None:
        """Try the function at initialisation without blind spots and after training."""
        point = self.start()
        if point is None:
            return
        self.one_by_one(point)
        trained = grown(self.given, point, STEPS)
        self.attempt(replace(trained, name="the same examples after some steps of training"))

    def start(self) -> Point | None:
        """Try the function at a freshly initialised point, with as many examples as hide nothing, else as many as given."""
        given = self.given.problem.samples
        wanted = number_of_examples(self.given)
        for samples in dict.fromkeys([wanted, given]):
            drawn = with_examples(self.given, samples, self.rng)
            name = f"fresh weights, biases and examples ({samples:,} of them)"
            point = replace(initialised(self.given, drawn, self.rng), name=name)
            if self.attempt(point, must=samples == given) is not None:
                return self.with_its_penalty(point)
        return None

    def with_its_penalty(self, point: Point) -> Point:
        """Find out whether a penalty is divided by the number of examples, which one number of them cannot tell."""
        given, samples = self.given.problem, self.given.samples(point)
        if not given.network.penalties or samples == given.samples or self.trials[-1].report.verdict != "wrong":
            return point
        if self.divides_penalty(point):
            shared = self.given.sharing_penalty()
            try:
                answer = ask(self.backward, shared, point)
            except FunctionError as failure:
                self.see("failed", f"Your function failed when it was called again at {point.name}: {failure}.")
                return point
            self.given, self.trials[-1] = shared, Trial(point.name, self.check_problem(answer.problem))
            self.answers[-1] = answer
            self.see(
                "remark",
                "Your penalty is divided by the number of examples, which the other points assume from here on "
                f"(with {given.samples} examples its coefficient is the one that you gave).",
            )
        return point

    def divides_penalty(self, point: Point) -> bool:
        """Tell from each example given twice what a penalty does, whatever else is wrong.

        What the examples add is the same then, or on a sum twice as much; what remains is the penalty's change. It is told
        from tensors on which the two kinds of penalty differ by more than `_different` allows.
        """
        try:
            once = ask(self.backward, self.given, point)
            rest = self.rest_of_twice(point, once)
        except FunctionError:
            return False
        growth, penalty = _growth(once.problem), penalty_gradient(once.problem)
        kept = (1.0 - growth) * penalty
        shared = (0.5 - growth) * self.given.problem.samples / once.problem.samples * penalty
        told = set(_different(once.problem, kept, shared, [once.claimed]))
        as_kept = told.difference(_different(once.problem, rest, kept, [once.claimed]))
        as_shared = told.difference(_different(once.problem, rest, shared, [once.claimed]))
        return bool(as_shared) and not as_kept

    def rest_of_twice(self, point: Point, once: Answer) -> Array:
        """Return what each example given twice changes beside what the examples add."""
        twice = ask(self.backward, self.given, repeated(self.given, point))
        return np.asarray(twice.claimed - _growth(once.problem) * once.claimed)

    def own_penalty(self, point: Point, whole: Answer) -> Array:
        """Return what the function adds for its penalty at a point.

        Where its gradient is right that may be another one than the declared: of tied weights, or without a column of ones.
        """
        share = (0.5 if self.given.penalty_shared else 1.0) - _growth(whole.problem)
        if not (share and whole.problem.network.penalties and self.trials[-1].report.verdict == "right"):
            return penalty_gradient(whole.problem)
        return self.rest_of_twice(point, whole) / share

    def one_by_one(self, point: Point) -> None:
        """Hold the gradient of all examples against those of each one alone."""
        samples = self.given.samples(point)
        if self.given.examples_fixed or samples == 1 or self.given.problem.network.reduction == "weighted_mean":
            return
        try:
            whole = ask(self.backward, self.given, point)
            parts = [ask(self.backward, self.given, self.given.single(point, s)) for s in range(samples)]
            penalty = self.own_penalty(point, whole)
        except FunctionError as failure:
            self.see("remark", f"Your function failed with one example alone: {failure}.")
            return
        given = set(_named(whole.problem))
        if missing := [name for part in parts for name in given.difference(_named(part.problem))]:
            names = listed(sorted(set(missing)))
            self.see("failed", f"With one example alone your function returned no {names}, though it does with several.")
            return
        alone = penalty * (samples if self.given.penalty_shared else 1.0)
        shares = [part.claimed - alone for part in parts]
        together = np.sum(shares, axis=0) / (samples if whole.problem.network.reduction == "mean" else 1)
        data = whole.claimed - penalty
        # Where little but the penalty is there, what is left of it is rounding: some u of it.
        rounding = _SUBTRACTED * np.sqrt(claim_roundoff(whole.problem)) * np.abs(whole.claimed)
        if different := _different(whole.problem, data, together, [*shares, rounding]):
            self.see("wrong", _not_additive(whole.problem, different, data, together))


def _names(finding: Finding) -> Iterator[str]:
    """Yield what the line of a finding is about: what its formula begins with."""
    if " = " in finding.formula:
        yield finding.formula.split(" = ")[0]


def _named(problem: Problem) -> list[str]:
    """Return the names of the gradients that are there."""
    return [tensor.gradient_name for tensor in problem.tensors if tensor.gradient_name is not None]


def _growth(problem: Problem) -> float:
    """Return how many times as much the examples add where each is given twice."""
    return 2.0 if problem.network.reduction == "sum" else 1.0


def _different(problem: Problem, one: Array, other: Array, sizes: Sequence[Array]) -> list[str]:
    """Return the names of the gradients that differ by more than √u of what went into them.

    Rounding moves a sum by some u of its terms, a mistake by a good part of them: √u lies half way between. Entries that are
    nan or infinite in both tell nothing.
    """
    names = []
    with np.errstate(invalid="ignore", over="ignore"):
        difference = np.where(np.isfinite(one) | np.isfinite(other), one - other, 0.0)
    sizes = [np.where(np.isfinite(array), array, 0.0) for array in sizes]
    for tensor in problem.tensors:
        place = slice(tensor.start, tensor.stop)
        if tensor.gradient_name is None:
            continue
        size = max(norm(array[place]) for array in sizes)
        if not norm(difference[place]) <= np.sqrt(UNIT_ROUNDOFF[tensor.precision]) * size:
            names.append(tensor.gradient_name)
    return names


def _modified(changed: Sequence[str]) -> str:
    return (
        f"Your function changes the {listed(changed)} that it is given, in place, and its caller loses the old values: "
        "work on a copy (W = W - rate * dW, not W -= rate * dW), and leave the update of parameters to the training loop."
    )


def _unlike(names: list[str], repeated: bool) -> str:
    if repeated:
        return (
            f"A second call with the same arguments gave {listed(names)} twice as large: gradients are added to those of "
            "the call before. Set them to zero at the beginning of every call. No other point was tried."
        )
    return (
        f"A second call with the same arguments gave another {listed(names)}: something is drawn anew in every call "
        "(if it is dropout, record the masks) or kept from one call to the next (momentum, a counter, updated weights). Return "
        "the gradient alone, made of the arguments alone. No other point was tried."
    )


def _not_additive(problem: Problem, names: list[str], data: Array, together: Array) -> str:
    """Say how the gradient of all examples relates to those of each."""
    what = "mean" if problem.network.reduction == "mean" else "sum"
    chosen = np.concatenate(
        [np.arange(tensor.start, tensor.stop) for tensor in problem.tensors if tensor.gradient_name in names]
    )
    ratio = float(data[chosen] @ together[chosen] / (together[chosen] @ together[chosen]))
    verb = "is" if len(names) == 1 else "are"
    begin = f"With {problem.samples} examples at once, {listed(names)} should be the {what} of what each one gives alone"
    if isfinite(ratio) and not _different(problem, data, np.where(_among(problem, names), ratio * together, data), [data]):
        hint = "do not divide by their number" if what == "sum" else "divide by the number of examples of this call, once"
        return f"{begin}, and {verb} {significant(ratio, 4)} times that: {hint}."
    return (
        f"{begin}, and {verb} not: what an example adds depends on the others. Look for = in place of +=, a mean over the "
        "wrong axis, labels of shape (m,) against outputs of shape (m, 1), a term that is added once a call."
    )


def _among(problem: Problem, names: list[str]) -> Array:
    """Return 1 for the entries of some gradients, else 0."""
    chosen = np.zeros(problem.network.size)
    for tensor in problem.tensors:
        chosen[tensor.start : tensor.stop] = tensor.gradient_name in names
    return chosen
