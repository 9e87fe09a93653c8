"""Gradient descent by numerical gradients, with its history, as the books have it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastgrad.errors import InputError
from fastgrad.functions.arguments import Array, real_number, whole_number
from fastgrad.functions.difference import classical
from fastgrad.functions.evaluation import Function

STEP = 1e-4
"""The books' step. It is part of what they show: where a rate is so large that x runs away, differences by this step lose
their last digit, become 0, and x stands still."""


@dataclass(frozen=True)
class Descent:
    """A descent.

    Attributes
    ----------
    x : float, ndarray, dict or list
        Where it ended, in the form of the start.
    history : float ndarray, dict or list
        Where it went, the start first: as x, with an axis of iterations + 1 in front.
    values : ndarray, shape (iterations + 1,)
        f there.
    """

    x: Any
    history: Any
    values: Array


def gradient_descent(
    f: Callable[..., Any],
    x: Any,
    *,
    rate: float = 0.1,
    iterations: int = 100,
    step: float = STEP,
    workers: int | None = None,
) -> Descent:
    """Go down a function along its numerical gradient: x ← x - rate·∇f(x).

    Parameters
    ----------
    f : callable
        The function, as in `numerical_gradient`.
    x : float, array_like, mapping or sequence
        Where to start; it is not modified.
    rate : float
        Learning rate.
    iterations : int
        Steps downhill.
    step : float
        Step of the central differences.
    workers : int, optional
        Threads that call f.

    Returns
    -------
    Descent
        The end, the way there, and the values on it.

    Raises
    ------
    InputError
        If f cannot be differentiated, or the descent runs away to where f is not finite.

    Examples
    --------
    >>> import fastgrad
    >>> fastgrad.gradient_descent(lambda x: x[0] ** 2 + x[1] ** 2, [-3.0, 4.0]).x.round(8)
    array([-0.,  0.])
    """
    step = real_number(step, "step", positive=True)
    rate, iterations = real_number(rate, "rate"), whole_number(iterations, "iterations", 0)
    function = Function(f, x, workers)
    points, values = [function.x], [function.value]
    entries, steps = np.arange(function.x.size), np.full(function.x.size, step)
    for iteration in range(iterations):
        try:
            function.go_to(points[-1] - rate * classical(function, "central", steps, entries))
        except InputError as error:
            raise InputError(f"after {iteration} iterations {error}; if it runs away, lower the rate") from error
        points.append(function.x)
        values.append(function.value)
    layout = function.layout
    return Descent(layout.build(points[-1].copy()), layout.build_many(np.array(points)), np.array(values))
