"""A backward function, tried at points of our choosing: where arrays alone show one point, and a point may hide a mistake.

Called by walk, which hands over how a problem is checked. The function is called as its own training loop would call
it: `calling` keeps to the arrays' names, layouts and dtypes, `points` chooses the numbers, `report` tells what was found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fastgrad.errors import InputError, Interrupted
from fastgrad.model.forward import UNIT_ROUNDOFF
from fastgrad.model.network import Array, Problem
from fastgrad.model.product import norm
from fastgrad.reading import Description
from fastgrad.reading.names import listed
from fastgrad.report import Report
from fastgrad.report.formatting import significant
from fastgrad.report.parts import Finding
from fastgrad.trials.calling import Answer, Function, FunctionError, Given, Point, ask, understand
from fastgrad.trials.points import grown, initialised, number_of_examples, with_examples
from fastgrad.trials.report import BackwardReport, Observation, Trial, overall
from fastgrad.trials.source import statement

__all__ = ["BackwardReport", "Function", "check_backward"]

CheckProblem = Callable[[Problem], Report]
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
        self.trials: list[Trial] = []
        self.answers: list[Answer] = []
        self.observations: list[Observation] = []

    def run(self) -> tuple[tuple[Trial, ...], tuple[Observation, ...]]:
        """Try everything, as far as what was seen before makes it worth trying."""
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
                unlike |= set(_different(answer.problem, answer.claimed - predicted, [answer.claimed, predicted]))
        findings = tuple(
            replace(finding, confident=finding.confident and not unlike & set(finding.concerns))
            for finding in trial.report.findings
        )
        return replace(trial, report=replace(trial.report, findings=findings))

    def located(self, trial: Trial) -> Trial:
        """Return a trial whose findings say where the line stands in the user's own file, as far as its name is found."""
        found = trial.report.findings
        findings = tuple(replace(one, where=statement(self.backward, (*_names(one), *one.concerns))) for one in found)
        return replace(trial, report=replace(trial.report, findings=findings))

    def see(self, kind: str, text: str) -> None:
        """Note something once."""
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
        if not (different := _different(first.problem, second.claimed - first.claimed, [first.claimed])):
            return True
        repeated = not _different(first.problem, second.claimed - 2.0 * first.claimed, [first.claimed])
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
        if not given.network.penalties or samples == given.samples or self.trials[-1].report.passed:
            return point
        shared = self.given.sharing_penalty()
        answer = ask(self.backward, shared, point)
        report = self.check_problem(answer.problem)
        if report.passed:
            self.given, self.trials[-1], self.answers[-1] = shared, Trial(point.name, report), answer
            self.see(
                "remark",
                "Your penalty is divided by the number of examples, as the other points assume from here on "
                f"(with {given.samples} examples its coefficient is the one that you gave).",
            )
        return point

    def one_by_one(self, point: Point) -> None:
        """Hold the gradient of all examples against those of each one alone."""
        samples = self.given.samples(point)
        if self.given.examples_fixed or samples == 1 or self.given.problem.network.reduction == "weighted_mean":
            return
        try:
            whole = ask(self.backward, self.given, point)
            parts = [ask(self.backward, self.given, self.given.single(point, s)) for s in range(samples)]
        except FunctionError as failure:
            self.see("remark", f"Your function failed with one example alone: {failure}.")
            return
        shares = [part.claimed - _penalty(part.problem) for part in parts]
        together = np.sum(shares, axis=0) / (samples if whole.problem.network.reduction == "mean" else 1)
        data = whole.claimed - _penalty(whole.problem)
        if different := _different(whole.problem, data - together, shares):
            self.see("wrong", _not_additive(whole.problem, different, data, together))


def _names(finding: Finding) -> Iterator[str]:
    """Yield what the line of a finding is about: what its formula begins with."""
    if " = " in finding.formula:
        yield finding.formula.split(" = ")[0]


def _penalty(problem: Problem) -> Array:
    """Gradient of the penalty alone."""
    result = np.zeros(problem.network.size)
    for place, l2, l1 in problem.network.penalties:
        result[place] = l2 * problem.theta[place] + l1 * np.sign(problem.theta[place])
    return result


def _different(problem: Problem, difference: Array, sizes: Sequence[Array]) -> list[str]:
    """Return the names of the gradients that differ by more than √u of what went into them.

    Rounding moves a sum by some u of its terms, a mistake by a good part of them: √u lies half way between.
    """
    names = []
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
        "(dropout? then record the masks) or kept from one call to the next (momentum, a counter, updated weights). Return "
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
    if not _different(problem, np.where(_among(problem, names), data - ratio * together, 0.0), [data]):
        hint = "do not divide by their number" if what == "sum" else "divide by the number of examples of this call, once"
        return f"{begin}, and {verb} {significant(ratio, 4)} times that: {hint}."
    return (
        f"{begin}, and {verb} not: what an example adds depends on the others. Look for = where += belongs, a mean over the "
        "wrong axis, labels of shape (m,) against outputs of shape (m, 1), a term that is added once a call."
    )


def _among(problem: Problem, names: list[str]) -> Array:
    """Return 1 for the entries of some gradients, else 0."""
    chosen = np.zeros(problem.network.size)
    for tensor in problem.tensors:
        chosen[tensor.start : tensor.stop] = tensor.gradient_name in names
    return chosen
