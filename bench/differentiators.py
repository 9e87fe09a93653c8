"""Everybody who differentiates any function numerically, called alike; whose library is missing is left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

import fastgrad


@dataclass(frozen=True)
class Differentiator:
    """A library's gradient.

    Attributes
    ----------
    name : str
        What the table calls it.
    gradient : callable
        From a function of an array and a point to the gradient.
    library : str
        The package that it needs.
    largest : int
        Variables up to which it is tried.
    """

    name: str
    gradient: Callable[[Callable[[Any], float], Any], Any]
    library: str = "fastgrad"
    largest: int = 10_000

    @property
    def is_installed(self) -> bool:
        """Whether its package is there."""
        return find_spec(self.library) is not None


def _forward(f, x):
    from scipy.optimize import approx_fprime

    return approx_fprime(x, f)


def _three_points(f, x):
    from scipy.optimize._numdiff import approx_derivative

    return approx_derivative(f, x)


def _differentiate(f, x):
    from scipy.differentiate import derivative

    def along(entry):
        def values(t):
            t = np.asarray(t)
            found = np.empty(t.shape)
            for place in np.ndindex(t.shape):
                point = x.copy()
                point[entry] = t[place]
                found[place] = f(point)
            return found

        return values

    return np.array([float(derivative(along(entry), x[entry]).df) for entry in range(x.size)])


def _numdifftools(f, x):
    import numdifftools

    return np.atleast_1d(numdifftools.Gradient(f)(x))


def _jacobi(f, x):
    import jacobi

    return np.atleast_1d(jacobi.jacobi(f, x)[0])


DIFFERENTIATORS = (
    Differentiator("scipy approx_fprime", _forward, "scipy"),
    Differentiator("scipy 3-point", _three_points, "scipy"),
    Differentiator("scipy.differentiate", _differentiate, "scipy"),
    Differentiator("numdifftools", _numdifftools, "numdifftools", 100),
    Differentiator("jacobi", _jacobi, "jacobi"),
    Differentiator("fastgrad forward", lambda f, x: fastgrad.numerical_gradient(f, x, scheme="forward")),
    Differentiator("fastgrad central", lambda f, x: fastgrad.numerical_gradient(f, x, scheme="central")),
    Differentiator("fastgrad", fastgrad.numerical_gradient),
)
