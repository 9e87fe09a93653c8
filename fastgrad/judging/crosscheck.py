"""Two methods held against each other: some parameters perturbed one by one, where the gradient came from pre-activations.

Called by walk.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from fastgrad.errors import InputError
from fastgrad.judging.verdict import judge
from fastgrad.model.network import Problem
from fastgrad.numerical import Numerical
from fastgrad.numerical.counted import USUAL_CORES
from fastgrad.numerical.differences import undisturbed
from fastgrad.numerical.how import How
from fastgrad.numerical.methods import USUAL
from fastgrad.numerical.selection import select
from fastgrad.report.parts import TensorReport

CROSS_CHECKED = 100
"""Parameters that "auto" perturbs one by one where it made the gradient from pre-activations."""


class CrossCheck(NamedTuple):
    """How many parameters agree by both methods, and the seconds that all would have taken one by one on `USUAL_CORES`."""

    agreeing: int
    seconds: float


def cross_check(problem: Problem, numerical: Numerical, how: How) -> CrossCheck:
    """Hold a sample of parameters, perturbed one by one, against what followed from pre-activations.

    Raises
    ------
    InputError
        If the two differ by more than rounding: then nothing can be said of the gradient.
    """
    drawn = select(problem, CROSS_CHECKED, how.seed)
    single = undisturbed(problem, How(USUAL, threads=how.threads), drawn, numerical.base)
    tensors = tuple(replace(t, gradient_name=t.name, precision="float64", single=False) for t in problem.tensors)
    found = judge(replace(problem, claimed=numerical.values, tensors=tensors), single, scale=numerical.scale)
    for tensor in found.tensors:
        _require_agreement(tensor)
    return CrossCheck(sum(tensor.checked for tensor in found.tensors), USUAL.count(problem, 1.0).seconds_on(USUAL_CORES))


def _require_agreement(tensor: TensorReport) -> None:
    if tensor.verdict == "wrong" and tensor.worst is not None:
        raise InputError(
            f"fastgrad contradicts itself in {tensor.name.partition('[')[0]}{list(tensor.worst.index)}: "
            f"{tensor.worst.numerical!r} by method parameter, {tensor.worst.claimed!r} by method preactivation; please report "
            "this"
        )
