"""The table of methods, the choice among them, and how long a check by one takes."""

from __future__ import annotations

from fastgrad.errors import InputError, quoted
from fastgrad.model.network import Problem
from fastgrad.numerical.blocks import SCHEMES, Method, Scheme
from fastgrad.numerical.directional import DIRECTIONAL
from fastgrad.numerical.parameter import PARAMETER
from fastgrad.numerical.preactivation import PREACTIVATION
from fastgrad.numerical.selection import sample_size
from fastgrad.numerical.textbook import TEXTBOOK

USUAL, FAST = PARAMETER, PREACTIVATION
"""What "auto" takes while its time is affordable, and what it takes else."""
METHODS = {method.name: method for method in (PARAMETER, PREACTIVATION, TEXTBOOK, DIRECTIONAL)}
"""All methods by name."""
BY_ENTRY = tuple(name for name, method in METHODS.items() if method.plan is not None)
"""Names of those that give a value for each entry."""
AFFORDABLE_SECONDS = 10.0
"""Estimated time up to which "auto" perturbs every parameter."""
LEAST_SECONDS, SECONDS_PER_PARAMETER = 1e-3, 1e-7
"""What a check takes beside the work of its method, for estimates: for itself, and for each parameter that is judged one by
one; for each layer `Method.seconds_per_layer`. Fastest of 15 checks of networks of 1, 2, 4, 8 and 16 layers of three units,
and of 0.7 and 3 million parameters (50 to 200 ns each), on two cores."""


def choose_method(problem: Problem, name: str | Method, sample: int | float | str | None = None) -> Method:
    """Return the method of a name, deciding for "auto" by the estimated time.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    if name == "auto" and problem.is_stored:
        return DIRECTIONAL if sample is None else USUAL
    if name == "auto":
        share = 1.0 if sample is None else sample_size(sample, problem.network.size) / problem.network.size
        return USUAL if USUAL.estimate(problem, share) <= AFFORDABLE_SECONDS else FAST
    return named(name)


def named(name: str | Method) -> Method:
    """Return the method of a name, or raise InputError."""
    if isinstance(name, Method):
        return name
    if name not in METHODS:
        raise InputError(f"method must be one of auto, {', '.join(METHODS)}; found {quoted(name)}")
    return METHODS[name]


def estimate_check(problem: Problem, method: str) -> float:
    """Estimate the seconds that a check of a right gradient takes by a method, to within a small factor."""
    chosen = choose_method(problem, method)
    judged = 0 if chosen.plan is None else problem.network.size
    seconds = LEAST_SECONDS + chosen.seconds_per_layer * problem.network.depth + SECONDS_PER_PARAMETER * judged
    return seconds + chosen.estimate(problem, 1.0)


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
