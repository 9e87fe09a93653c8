"""The difference that was asked for and, where its step is fixed, what that step costs."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from fastgrad.errors import Interrupted
from fastgrad.model.forward import BasePoint
from fastgrad.model.network import Array, Offsets, Problem
from fastgrad.numerical import Numerical, difference
from fastgrad.numerical.how import How
from fastgrad.numerical.methods import USUAL
from fastgrad.numerical.selection import select


class Differences(NamedTuple):
    """A numerical gradient beside the one that has neither truncation nor noise.

    Attributes
    ----------
    numerical : Numerical
        As it was asked for.
    exact : Numerical
        The same without a fixed step.
    extra : ndarray, shape (P,), or None
        What the former is off by; None where no step is fixed.
    interrupted : bool
        Whether Ctrl-C came before all parameters were finished.
    """

    numerical: Numerical
    exact: Numerical
    extra: Array | None = None
    interrupted: bool = False


def differences(problem: Problem, how: How) -> Differences:
    """Make the difference that is asked for and, where it has a fixed step, the exact one of the same parameters."""
    try:
        numerical, interrupted = difference(problem, how, select(problem, how.sample, how.seed)), False
    except Interrupted as stop:
        numerical, interrupted = stop.finished, True
    if numerical.step is None:
        return Differences(numerical, numerical, interrupted=interrupted)
    # What a fixed step costs, truncation and noise together, is its distance from the difference that has neither.
    exact = undisturbed(problem, how.alike(USUAL), numerical.selected, numerical.base)
    with_range = replace(numerical, lower=exact.lower, upper=exact.upper)
    return Differences(with_range, exact, np.abs(numerical.values - exact.values), interrupted)


def undisturbed(problem: Problem, how: How, selected: Offsets | None, base: BasePoint | None = None) -> Numerical:
    """Make a difference that is needed whole; Ctrl-C then leaves nothing that could be told."""
    try:
        return difference(problem, how, selected, base)
    except Interrupted:
        raise KeyboardInterrupt from None
