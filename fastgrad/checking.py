"""The one function that walks through the rooms in order: problem, numerical gradient, verdict, report."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numba
import numpy as np

from fastgrad.conventions import dropped_in_words, explain_loss, penalties_in_words
from fastgrad.errors import InputError
from fastgrad.interpret import Description, interpret_parts
from fastgrad.network import Array, Problem
from fastgrad.numerical import Numerical, Progress, choose_method, load_kernels, numerical_gradient
from fastgrad.report import Report, TensorReport
from fastgrad.verdict import judge, relative_difference

NOISE = 4.0
"""Multiple of the textbook loop's first-order noise bound that is granted to it."""


def check(
    parameters: Mapping[str, Any] | Sequence[Any],
    gradients: Mapping[str, Any] | Sequence[Any],
    X: Any,
    Y: Any,
    *,
    masks: Mapping[str, Any] | Sequence[Any] | None = None,
    method: str = "auto",
    step: float | None = None,
    sample: int | float | str | None = None,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress | None = None,
    **description: Any,
) -> Report:
    """Check gradients that a hand-written backward pass produced.

    Parameters
    ----------
    parameters : mapping or sequence of array_like
        W1, b1, W2, b2, … under any of the usual names, or in that order; each W (n_out, n_in) or (n_in, n_out).
    gradients : mapping or sequence of array_like
        Under the names dW1, db1, … or the parameters' own, or in the same order.
    X, Y : array_like
        Inputs and targets; samples in rows or in columns, as the shapes of the weights tell.
    masks : mapping or sequence of array_like, optional
        Recorded dropout masks: by the names D1, D2, … (D0 for the input) or one for each hidden layer, None where nothing
        is dropped; with keep_prob, or the factor 1/keep_prob in them.
    method : {"auto", "parameter", "preactivation", "textbook"}
        How the numerical gradient is made.
    step : float, optional
        One step for all parameters; by default each has its own, far below what truncation could show.
    sample : int, float or str, optional
        How many parameters to check, as 500 or "5%".
    seed : int
        Seed of that draw.
    threads : int, optional
        Threads; by default all.
    progress : callable, optional
        Called with (parameters done, parameters in all).
    **description
        What the network is: hidden, activations, output, loss, reduction, l2, l1, penalize_biases, keep_prob, inverted,
        layout, loss_value.

    Returns
    -------
    Report
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
    problem = interpret_parts(parameters, gradients, X, Y, Description.of(description), masks)
    return check_problem(problem, method=method, step=step, sample=sample, seed=seed, threads=threads, progress=progress)


def check_problem(
    problem: Problem,
    *,
    method: str = "auto",
    step: float | None = None,
    sample: int | float | str | None = None,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Check the claimed gradient of a problem; arguments and result as in `check`."""
    if problem.claimed is None:
        raise InputError("there is no gradient to check; `fastgrad gradient` writes the numerical one")
    load_kernels(choose_method(problem, method))
    began = time.perf_counter()
    numerical = numerical_gradient(
        problem, method=method, step=step, sample=sample, seed=seed, threads=threads, progress=progress
    )
    extra = None
    if numerical.step is not None:
        exact = numerical_gradient(problem, method="parameter", sample=sample, seed=seed, threads=threads)
        extra = _step_error(problem, numerical, exact)
    tensors = judge(problem, numerical, extra)
    return _report(problem, numerical, tensors, seed, threads, time.perf_counter() - began)


def _step_error(problem: Problem, numerical: Numerical, exact: Numerical) -> Array:
    """Return what a fixed step costs each value: truncation, measured, and the textbook loop's noise, bounded.

    Truncation is the distance from the propagated difference at its own step, which has none. The textbook loop adds
    the rounding of two losses, u·R_J each, and of θ ± h, u·|θ|·|g| each, all divided by 2h.
    """
    extra = np.abs(numerical.values - exact.values)
    if numerical.method == "textbook" and numerical.step is not None:
        moved = np.abs(exact.values) * (np.abs(problem.theta) + numerical.step)
        extra += NOISE * 2.0**-53 * (numerical.base.loss_error + moved) / numerical.step
    return extra


def _report(
    problem: Problem,
    numerical: Numerical,
    tensors: tuple[TensorReport, ...],
    seed: int,
    threads: int | None,
    seconds: float,
) -> Report:
    checked = sum(tensor.checked for tensor in tensors)
    wrong = any(tensor.verdict == "wrong" for tensor in tensors)
    sampled = numerical.selected.size < problem.network.size
    return Report(
        verdict="wrong" if wrong else "right" if checked else "not judged",
        tensors=tensors,
        method=numerical.method,
        step=numerical.step,
        step_range=numerical.step_range,
        sample_seed=seed if sampled else None,
        parameters_total=problem.network.size,
        parameters_checked=checked,
        relative_difference=_total_difference(problem, numerical),
        loss=numerical.base.loss,
        claimed_loss=problem.claimed_loss,
        loss_note=explain_loss(problem, numerical.base),
        description=describe(problem),
        notes=_notes(problem, numerical),
        seconds=seconds,
        threads=threads or numba.get_num_threads(),
    )


def _total_difference(problem: Problem, numerical: Numerical) -> float:
    """Relative difference over all entries that have a claim, kinks taken at the value nearest to it."""
    if problem.claimed is None:
        return float("nan")
    has_claim = np.zeros(problem.network.size, dtype=bool)
    for tensor in problem.tensors:
        has_claim[tensor.start : tensor.stop] = tensor.gradient_name is not None
    chosen = numerical.selected[has_claim[numerical.selected]]
    claimed, nearest = problem.claimed[chosen], numerical.values[chosen]
    if numerical.lower is not None and numerical.upper is not None:
        nearest = np.clip(claimed, numerical.lower[chosen], numerical.upper[chosen])
    return relative_difference(claimed, nearest)


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


def _notes(problem: Problem, numerical: Numerical) -> tuple[str, ...]:
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
    return tuple(notes)
