"""The table of methods, the choice among them, and how long a check by one takes."""

from __future__ import annotations

from fastgrad.errors import InputError, quoted
from fastgrad.machine import most_threads
from fastgrad.model.network import Problem
from fastgrad.numerical.blocks import SCHEMES, Method, Scheme
from fastgrad.numerical.counted import Work
from fastgrad.numerical.directional import DIRECTIONAL
from fastgrad.numerical.parameter import PARAMETER
from fastgrad.numerical.preactivation import PREACTIVATION
from fastgrad.numerical.selection import sample_size
from fastgrad.numerical.textbook import TEXTBOOK

USUAL, FAST = PARAMETER, PREACTIVATION
"""What "auto" takes while its work is affordable, and what it takes else."""
METHODS = {method.name: method for method in (PARAMETER, PREACTIVATION, TEXTBOOK, DIRECTIONAL)}
"""All methods by name."""
BY_ENTRY = tuple(name for name, method in METHODS.items() if method.plan is not None)
"""Names of those that give a value for each entry."""
AFFORDABLE = 4e10
"""Multiply-adds up to which "auto" perturbs every parameter: about a second on two cores of 2.3 GHz. They are counted and not
timed, so that the choice, and with it every bit, is the same on any machine."""


def choose_method(problem: Problem, name: str | Method, sample: int | float | str | None = None) -> Method:
    """Return the method of a name, deciding for "auto" by the counted work.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    if name == "auto" and problem.is_stored:
        return DIRECTIONAL if sample is None else USUAL
    if name == "auto":
        share = 1.0 if sample is None else sample_size(sample, problem.network.size) / problem.network.size
        return USUAL if USUAL.count(problem, share).multiply_adds <= AFFORDABLE else FAST
    return named(name)


def named(name: str | Method) -> Method:
    """Return the method of a name, or raise InputError."""
    if isinstance(name, Method):
        return name
    if name not in METHODS:
        raise InputError(f"method must be one of auto, {', '.join(METHODS)}; found {quoted(name)}")
    return METHODS[name]


def estimate_check(problem: Problem, method: str) -> float:
    """Estimate the seconds that a check of a right gradient takes by a method on this machine, to within a factor of 2."""
    return count_check(problem, named(method)).seconds_on(most_threads())


def count_check(problem: Problem, method: Method) -> Work:
    """Count what a check of a right gradient has to do: what the method does, and what is done around it."""
    network = problem.network
    judged = 0 if method.plan is None else network.size
    units = problem.samples * sum(network.widths[1:])
    around = Work(network.depth, judged, units, problem.X.size, products=network.size * problem.samples)
    return Work(*map(sum, zip(around, method.count(problem, 1.0), strict=True)))


def choose_scheme(scheme: str, method: Method) -> Scheme:
    """Return the scheme meant.

    Raises
    ------
    InputError
        If there is none of that name, or the method does not form it.
    """
    for known in SCHEMES:
        if scheme == known:
            if known not in method.schemes:
                able = next(other.name for other in METHODS.values() if known in other.schemes)
                raise InputError(
                    f"scheme {known} is for method {able}; method {method.name} forms central differences only. "
                    f'Give method="{able}" (--method {able}) with it'
                )
            return known
    raise InputError(f"scheme must be one of {', '.join(SCHEMES)}; found {quoted(scheme)}")
