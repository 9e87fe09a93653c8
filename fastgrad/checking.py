"""The one function that walks through the rooms in order: problem, numerical gradient, verdict, report."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal, overload

import numba
import numpy as np

from fastgrad.backward import BackwardReport, Function, check_backward
from fastgrad.conventions import dropped_in_words, explain_loss, penalties_in_words
from fastgrad.errors import InputError
from fastgrad.interpret import Description, interpret_parts
from fastgrad.network import Problem
from fastgrad.numerical import Numerical, Progress, choose_method, estimate, load_kernels, numerical_gradient
from fastgrad.report import Report
from fastgrad.verdict import Judgement, judge

CROSS_CHECKED = 100
"""Parameters that "auto" perturbs one by one where it made the gradient from pre-activations."""


@overload
def check(
    parameters: Mapping[str, Any] | Sequence[Any],
    gradients: Mapping[str, Any] | Sequence[Any],
    X: Any,
    Y: Any,
    **options: Any,
) -> Report: ...


@overload
def check(
    parameters: Mapping[str, Any] | Sequence[Any],
    *,
    backward: Function,
    X: Any,
    Y: Any,
    **options: Any,
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
    threads: int | None = None,
    progress: Progress | None = None,
    **description: Any,
) -> Report | BackwardReport:
    """Check gradients that a hand-written backward pass produced, or the backward pass itself.

    Parameters
    ----------
    parameters : mapping or sequence of array_like
        W1, b1, W2, b2, … under any of the usual names, or in that order; each W (n_out, n_in) or (n_in, n_out).
    gradients : mapping or sequence of array_like
        Under the names dW1, db1, … or the parameters' own, or in the same order.
    X, Y : array_like
        Inputs and targets; samples in rows or in columns, as the shapes of the weights tell.
    backward : callable, optional
        In place of gradients, the function that makes them: called as backward(parameters, X, Y) with copies of what was
        given here, and with parameters and examples drawn like them, it returns the gradients or (loss, gradients).
    masks : mapping or sequence of array_like, optional
        Recorded dropout masks: by the names D1, D2, … (D0 for the input) or one for each hidden layer, None where nothing
        is dropped; with keep_prob, or the factor 1/keep_prob in them.
    method : {"auto", "parameter", "preactivation", "textbook"}
        How the numerical gradient is made.
    step : float, optional
        One step for all parameters; by default each has its own, far below what truncation could show.
    scheme : {"central", "forward", "five-point"}
        The difference that method "textbook" forms.
    sample : int, float or str, optional
        How many parameters to check, as 500 or "5%".
    seed : int
        Seed of that draw, and of the points at which a function is tried.
    threads : int, optional
        Threads; by default all.
    progress : callable, optional
        Called with (parameters done, parameters in all).
    **description
        What the network is: hidden, activations, output, loss, reduction, l2, l1, penalize_biases, keep_prob, inverted,
        layout, loss_value.

    Returns
    -------
    Report or, of a function, BackwardReport
        What was found; ``report.passed``, ``print(report)``, ``report.raise_if_wrong()``.

    Raises
    ------
    InputError
        If the arrays and the description do not make a network that can be checked.

    Examples
    --------
    >>> import numpy as np, fastgrad
    >>> W, X, Y = np.array([[0.5, -1.0]]), np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[0.0], [1.0]])
    >>> dW = (X @ W.T - Y).T @ X / 2
    >>> fastgrad.check({"W1": W}, {"dW1": dW}, X, Y, output="identity", loss="squared_error").passed
    True
    """
    check_one = partial(
        check_problem, method=method, step=step, scheme=scheme, sample=sample, seed=seed, threads=threads, progress=progress
    )
    described = Description.of(description)
    if backward is not None:
        if gradients is not None:
            raise InputError("give either gradients or the function that makes them (backward=), not both")
        return check_backward(check_one, backward, parameters, X, Y, described, masks, seed)
    return check_one(interpret_parts(parameters, gradients, X, Y, described, masks))


def check_problem(
    problem: Problem,
    *,
    method: str = "auto",
    step: float | None = None,
    scheme: str = "central",
    sample: int | float | str | None = None,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Check the claimed gradient of a problem; arguments and result as in `check`."""
    if problem.claimed is None:
        raise InputError("there is no gradient to check; `fastgrad gradient` writes the numerical one")
    load_kernels(choose_method(problem, method, sample))
    began = time.perf_counter()
    numerical = numerical_gradient(
        problem, method=method, step=step, scheme=scheme, sample=sample, seed=seed, threads=threads, progress=progress
    )
    extra = None
    if numerical.step is not None:
        # What a fixed step costs, truncation and noise together, is its distance from the difference that has neither.
        exact = numerical_gradient(problem, sample=sample, seed=seed, threads=threads)
        extra = np.abs(numerical.values - exact.values)
        numerical = replace(numerical, lower=exact.lower, upper=exact.upper)
    judgement = judge(problem, numerical, extra)
    notes = _notes(problem, numerical) + _lost(judgement)
    if method == "auto" and numerical.method == "preactivation" and numerical.selected is None:
        notes.append(_cross_check(problem, numerical, seed, threads))
    return _report(problem, numerical, judgement, tuple(notes), seed, threads, time.perf_counter() - began)


def _cross_check(problem: Problem, numerical: Numerical, seed: int, threads: int | None) -> str:
    """Hold a sample of parameters, perturbed one by one, against what followed from pre-activations; return a note.

    Raises
    ------
    InputError
        If the two differ by more than rounding: then nothing can be said of the gradient.
    """
    single = numerical_gradient(problem, method="parameter", sample=CROSS_CHECKED, seed=seed, threads=threads)
    tensors = tuple(replace(tensor, gradient_name=tensor.name, precision="float64") for tensor in problem.tensors)
    found = judge(replace(problem, claimed=numerical.values, tensors=tensors), single)
    for tensor in found.tensors:
        if tensor.verdict == "wrong" and tensor.worst is not None:
            raise InputError(
                f"fastgrad contradicts itself in {tensor.name}{list(tensor.worst.index)}: {tensor.worst.numerical!r} by "
                f"method parameter, {tensor.worst.claimed!r} by method preactivation; please report this"
            )
    checked = sum(tensor.checked for tensor in found.tensors)
    return (
        f"every parameter by method preactivation, for method parameter would take about "
        f"{estimate(problem, 'parameter'):.0f} s; {checked} of them, drawn with seed {seed}, agree by both"
    )


def _report(
    problem: Problem,
    numerical: Numerical,
    judgement: Judgement,
    notes: tuple[str, ...],
    seed: int,
    threads: int | None,
    seconds: float,
) -> Report:
    tensors = judgement.tensors
    checked = sum(tensor.checked for tensor in tensors)
    lost = [tensor for tensor in tensors if tensor.checked and tensor.verdict == "not judged"]
    verdict: Literal["right", "wrong", "not judged"] = "right" if checked and not lost else "not judged"
    if any(tensor.verdict == "wrong" for tensor in tensors):
        verdict = "wrong"
    return Report(
        verdict=verdict,
        tensors=tensors,
        method=numerical.method,
        step=numerical.step,
        step_range=numerical.step_range,
        sample_seed=seed if numerical.selected is not None else None,
        parameters_total=problem.network.size,
        parameters_checked=checked,
        relative_difference=judgement.relative_difference,
        loss=numerical.base.loss,
        claimed_loss=problem.claimed_loss,
        loss_note=explain_loss(problem, numerical.base),
        description=describe(problem),
        notes=notes,
        seconds=seconds,
        threads=threads or numba.get_num_threads(),
        scheme=numerical.scheme,
    )


def describe(problem: Problem) -> str:
    """Put the network into one line."""
    network = problem.network
    widths = "-".join(str(width) for width in network.widths)
    examples = "1 example" if problem.samples == 1 else f"{problem.samples:,} examples"
    reduction = {"mean": "mean over", "sum": "sum over"}[network.reduction]
    parts = [f"{widths}, {', '.join(network.activations)}"]
    if dropped := dropped_in_words(problem):
        parts.append(f"dropout of {dropped}")
    penalties = "".join(f", penalty {words}" for words in penalties_in_words(network))
    return "; ".join([*parts, f"{network.loss}, {reduction} {examples}{penalties}"])


def _lost(judgement: Judgement) -> list[str]:
    """Name the tensors of which rounding, or a fixed step, left nothing to judge."""
    names = [tensor.name for tensor in judgement.tensors if tensor.checked and tensor.verdict == "not judged"]
    if not names:
        return []
    return [
        f"{', '.join(names)} cannot be judged: at this point, in this precision and with this step, what rounding may do is "
        "as large as the gradient itself, and zeros would pass; compute it in double precision, or where fewer units saturate"
    ]


def _notes(problem: Problem, numerical: Numerical) -> list[str]:
    notes = list(problem.notes)
    zeros = sum(int((problem.theta[place] == 0.0).sum()) for place, _, l1 in problem.network.penalties if l1)
    if zeros:
        notes.append(
            f"{zeros:,} of the parameters in the L1 penalty are exactly 0, its kink: there any slope from -c to c is right"
        )
    if numerical.kinked_samples:
        notes.append(
            f"{numerical.kinked_samples} of {problem.samples} examples have a pre-activation exactly on a kink: "
            "there any value between the one-sided derivatives is right"
        )
    return notes
