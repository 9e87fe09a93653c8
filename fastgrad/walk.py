"""Check: the order in which the rooms are asked, from the arrays to the report; no mathematics and no wording of its own."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack, overload

import numpy as np

from fastgrad.errors import InputError, Interrupted
from fastgrad.judging.audit import audit_in_time
from fastgrad.judging.crosscheck import CrossCheck, cross_check
from fastgrad.judging.ruling import (
    EntryRuling,
    error_maps,
    require_gradient,
    rule,
    rule_along_directions,
    rule_strictly,
)
from fastgrad.judging.summary import summed_up
from fastgrad.model.conventions import explain_loss, same_loss
from fastgrad.model.forward import BasePoint, takes_one_pass
from fastgrad.model.network import Problem
from fastgrad.numerical import load_kernels
from fastgrad.numerical.blocks import Method
from fastgrad.numerical.how import How
from fastgrad.numerical.memory import require_room
from fastgrad.numerical.methods import FAST, USUAL
from fastgrad.numerical.tracking import Progress, phase
from fastgrad.reading import Description, completed, interpret_parts, read_for_others
from fastgrad.reading.description import Items
from fastgrad.report import Report, notes
from fastgrad.writing import PathLike

# Most checks need no trials and, where the gradient is right, no diagnosis: these are imported by those that do.
if TYPE_CHECKING:
    from concurrent.futures import Executor

    from fastgrad.trials import BackwardReport, Function


class Options(Items, total=False):
    """The keywords of `check` beside the arrays, for type checkers; as they are described there."""

    masks: Mapping[str, Any] | Sequence[Any] | None
    method: str
    step: float | None
    scheme: str
    sample: int | float | str | None
    seed: int
    directions: int | None
    tolerance: float | None
    threads: int | None
    progress: Progress | None
    diagnosis: bool
    executor: Executor | None
    store: PathLike | None
    infer: bool


@overload
def check(
    parameters: Mapping[str, Any] | Sequence[Any],
    gradients: Mapping[str, Any] | Sequence[Any],
    X: Any,
    Y: Any,
    **options: Unpack[Options],
) -> Report: ...


@overload
def check(
    parameters: Mapping[str, Any] | Sequence[Any],
    *,
    backward: Function,
    X: Any,
    Y: Any,
    **options: Unpack[Options],
) -> BackwardReport: ...


def check(
    parameters: Mapping[str, Any] | Sequence[Any],
    gradients: Mapping[str, Any] | Sequence[Any] | None = None,
    X: Any = None,
    Y: Any = None,
    *,
    backward: Function | None = None,
    masks: Mapping[str, Any] | Sequence[Any] | None = None,
    method: str = "auto",
    step: float | None = None,
    scheme: str = "central",
    sample: int | float | str | None = None,
    seed: int = 0,
    directions: int | None = None,
    tolerance: float | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
    diagnosis: bool = True,
    executor: Executor | None = None,
    store: PathLike | None = None,
    infer: bool = False,
    **description: Unpack[Items],
) -> Report | BackwardReport:
    """Check gradients that a hand-written backward pass produced, or the backward pass itself.

    Parameters
    ----------
    parameters : mapping or sequence of array_like
        W1, b1, W2, b2, … under any of the usual names, or in that order, or in another container: layers, pairs, two lists,
        dicts in dicts, or one vector with sizes; each W (n_out, n_in) or (n_in, n_out).
    gradients : mapping or sequence of array_like
        Under the names dW1, db1, … or the parameters' own, in the same order, or in another container.
    X, Y : array_like
        Inputs and targets; samples in rows or in columns, as the shapes of the weights tell.
    backward : callable, optional
        In place of gradients, the function that makes them: called as backward(parameters, X, Y) with copies of what was
        given here, and with parameters and examples drawn like them, it returns the gradients or (loss, gradients).
    masks : mapping or sequence of array_like, optional
        Recorded dropout masks: by the names D1, D2, … (D0 for the input) or one for each hidden layer, None where nothing
        is dropped; with keep_prob, or the factor 1/keep_prob in them.
    method : {"auto", "parameter", "preactivation", "textbook", "directional"}
        How the numerical gradient is made; by "directional" it is none: derivatives along random directions are checked.
    step : float, optional
        One step for all parameters; by default each has its own, far below what truncation could show.
    scheme : {"central", "forward", "five-point"}
        The difference that method "textbook" forms.
    sample : int, float or str, optional
        How many parameters to check, as 500 or "5%".
    seed : int
        Seed of that draw, of the audit's, of the directions, and of the points at which a function is tried.
    directions : int, optional
        How many directions, by method "directional", up to 1,000; by default 8.
    tolerance : float, optional
        How many times the rounding of an entry a gradient may be off; by default 32, as derived in `fastgrad.model.rounding`.
    threads : int, optional
        Threads; by default all.
    progress : callable, optional
        Called with (parameters done, parameters in all).
    diagnosis : bool
        Whether to look for the mistake that makes a gradient wrong; a large network takes seconds for it.
    executor, store : Executor and str or path, optional
        Whose workers make the numerical gradient, and a folder where finished parts of it are kept for a run that goes on.
    infer : bool
        Whether what is not said of the network is to be found out: that of which the gradients are exactly the right ones, and
        ``loss_value`` the loss, is checked, if there is one such network.
    **description
        What the network is: hidden, activations, output, loss, reduction, l2, l1, penalize_biases, keep_prob, inverted,
        label_smoothing, class_weights, example_weights, scale, first_label, classes, sizes, unrolled, layout, bias_column,
        loss_value; params and grads, names in order; frozen, the names of parameters that are not trained, whose gradients are
        left out; learning_rate, with the parameters after a step in place of gradients.

    Returns
    -------
    Report or, of a function, BackwardReport
        What was found; ``report.passed``, ``print(report)``, ``report.raise_if_wrong()``.

    Raises
    ------
    InputError
        If the arrays and the description do not make a network that can be checked.
    Interrupted
        On Ctrl-C, with the Report of what was finished, if anything was.

    Examples
    --------
    >>> import numpy as np, fastgrad
    >>> W, X = np.array([[0.5, -1.0]]), np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    >>> Y = np.array([[0.0], [1.0], [0.0]])
    >>> dW = (X @ W.T - Y).T @ X / 3
    >>> fastgrad.check({"W1": W}, {"dW1": dW}, X, Y, output="identity", loss="squared_error").passed
    True
    """
    how = How(method, step, scheme, sample, seed, directions, tolerance, threads, progress, diagnosis, executor, store)
    described = Description.of(description, [*Options.__annotations__, "backward", "gradients"])
    if backward is not None:
        if gradients is not None:
            raise InputError("give either gradients or the function that makes them (backward=), not both")
        if infer:
            raise InputError("infer goes with gradients, not with the function that makes them: leave out one of the two")
        from fastgrad.trials import check_backward

        return check_backward(partial(check_as, how=how), backward, parameters, X, Y, described, masks, seed)
    if infer:
        problem, _ = completed(lambda said: interpret_parts(parameters, gradients, X, Y, said, masks), described)
        return check_inferred(problem, described, how)
    problem, read = read_for_others(parameters, gradients, X, Y, described, masks)
    return replace(check_as(problem, how), read=read)


def check_problem(problem: Problem, **options: Any) -> Report:
    """Check the claimed gradient of a problem; options are the fields of `How`, as in `check`."""
    return check_as(problem, How(**options))


def check_inferred(problem: Problem, described: Description, how: How) -> Report:
    """Find out what was not said of a network, and check the gradients under it."""
    from fastgrad.diagnosis.declaration import inferred

    require_gradient(problem)
    problem.require_in_memory("finding out what was not said of a network")
    load_kernels(USUAL)
    with np.errstate(all="ignore"):
        found = inferred(problem, described.said())
    report = check_as(found, how)
    return replace(report, description=notes.inferred(report.description))


@np.errstate(all="ignore")  # numbers near the ends of the range overflow on the way; what comes of it is judged
def check_as(problem: Problem, how: How) -> Report:
    """Check the claimed gradient of a problem in the way that was chosen."""
    require_gradient(problem)
    method = how.method_for(problem)
    require_room(problem, method)
    if method.plan is None:
        return _check_along_directions(problem, how)
    return _check_every_entry(problem, how, method)


def _check_every_entry(problem: Problem, how: How, method: Method) -> Report:
    """Rule on every entry, audit some of them, and name what is wrong."""
    load_kernels(method, takes_one_pass(problem))
    phase(how.progress, "numerical gradient")
    began = time.perf_counter()
    ruling = rule(problem, how)
    crossed = _cross_checked(ruling, how, method)
    audit = audit_in_time(ruling.problem, ruling.exact, how.seed)
    note = _loss_note(ruling.problem, ruling.numerical.base)
    report = summed_up(ruling, audit, crossed, how, note, time.perf_counter() - began)
    if report.interrupted:
        raise Interrupted(report)
    return _named(report, ruling, how) if report.verdict == "wrong" and not problem.is_stored else report


def _cross_checked(ruling: EntryRuling, how: How, method: Method) -> CrossCheck | None:
    """Check some parameters by a second method where the usual one was left for its time."""
    wanted = how.spares_time(method) and ruling.numerical.selected is None
    return cross_check(ruling.problem, ruling.numerical, how) if wanted else None


def _check_along_directions(problem: Problem, how: How) -> Report:
    """Rule on sums along random directions, and name what is wrong from single entries."""
    from fastgrad.judging import directional

    directional.load_kernels()
    began = time.perf_counter()
    ruling = rule_along_directions(problem, how)
    note = _loss_note(ruling.problem, ruling.numerical.base)
    report = summed_up(ruling, ruling.numerical.audit, None, how, note, time.perf_counter() - began)
    if report.interrupted:
        raise Interrupted(report)
    wanted = how.diagnosis and report.verdict == "wrong" and not problem.is_stored
    return _named_from_entries(report, ruling.problem, how) if wanted else report


def _named_from_entries(report: Report, problem: Problem, how: How) -> Report:
    """Name the mistake that directions found from every entry by the fast method, where that takes little time."""
    from fastgrad.diagnosis import cost

    seconds = cost.seconds_to_name(problem)
    if seconds > cost.AFFORDABLE:
        return replace(report, notes=(*report.notes, notes.not_named(seconds)))
    load_kernels(FAST)
    by_entries = How(FAST, tolerance=how.tolerance, threads=how.threads, progress=how.progress)
    ruling = rule_strictly(problem, by_entries)
    if ruling.interrupted:
        raise Interrupted(report)
    if not ruling.is_wrong:
        return report
    return _named(replace(report, notes=(*report.notes, notes.NAMED_FROM_ENTRIES)), ruling, by_entries)


def _named(report: Report, ruling: EntryRuling, how: How) -> Report:
    """Put in which mistakes explain what is wrong, and where it is off."""
    report = replace(report, maps=error_maps(ruling, how))
    if not how.diagnosis:
        return report
    from fastgrad.diagnosis import cost
    from fastgrad.diagnosis.named import named

    if ruling.problem.network.size > cost.MOST_NAMED:
        return replace(report, notes=(*report.notes, notes.too_large_to_name(ruling.problem.network.size)))
    findings, prediction = named(ruling, phase(how.progress, "looking for the mistake"))
    return replace(report, findings=findings, prediction=prediction)


def _loss_note(problem: Problem, base: BasePoint) -> str | None:
    """Say what the user's own value of the loss is, where it is not ours."""
    if problem.claimed_loss is None or same_loss(problem.claimed_loss, base.loss, problem, base):
        return None
    from fastgrad.diagnosis.declaration import other_values

    return explain_loss(problem, base, () if problem.is_stored else other_values(problem))
