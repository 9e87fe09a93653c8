"""Which method and scheme, and how long each would take."""

from __future__ import annotations

from typing import Literal

from fastgrad.errors import InputError, quoted
from fastgrad.machine import most_threads
from fastgrad.model.network import Problem
from fastgrad.numerical.selection import sample_size

Method = Literal["parameter", "preactivation", "textbook"]
METHODS: tuple[Method, ...] = ("parameter", "preactivation", "textbook")
Scheme = Literal["central", "forward", "five-point"]
SCHEMES: tuple[Scheme, ...] = ("forward", "central", "five-point")
WORK_RATE = {"parameter": 2e10, "preactivation": 2e10, "textbook": 3e9}
"""Multiply-adds a second and core, for estimates of time only."""
AFFORDABLE_SECONDS = 10.0
"""Estimated time up to which "auto" perturbs every parameter."""


def choose_method(problem: Problem, method: str, sample: int | float | str | None = None) -> Method:
    """Return the method meant, deciding for "auto" by the estimated time, or raise InputError."""
    if method == "auto":
        share = 1.0 if sample is None else sample_size(sample, problem.network.size) / problem.network.size
        return "parameter" if estimate(problem, "parameter", share) <= AFFORDABLE_SECONDS else "preactivation"
    for known in METHODS:
        if method == known:
            return known
    raise InputError(f"method must be one of auto, {', '.join(METHODS)}; found {quoted(method)}")


def choose_scheme(scheme: str, method: Method) -> Scheme:
    """Return the scheme meant, or raise InputError where there is none of that name or the method does not know it."""
    for known in SCHEMES:
        if scheme == known:
            if known != "central" and method != "textbook":
                raise InputError(
                    f"scheme {known} is for method textbook; method {method} forms central differences only. "
                    'Give method="textbook" (--method textbook) with it'
                )
            return known
    raise InputError(f"scheme must be one of {', '.join(SCHEMES)}; found {quoted(scheme)}")


def estimate(problem: Problem, method: Method, share: float = 1.0) -> float:
    """Estimate the seconds a method takes for all parameters, or for a share of them, to within a small factor."""
    if method == "preactivation":
        share = 1.0
    network = problem.network
    work = 0.0
    for layer in range(network.depth):
        perturbed = network.widths[layer + 1] * (1 if method == "preactivation" else network.widths[layer] + 1)
        work += perturbed * (forward_work(problem) if method == "textbook" else work_above(problem, layer))
    return float(2.0 * share * work * problem.samples / (WORK_RATE[method] * most_threads()))


def forward_work(problem: Problem) -> int:
    """Multiply-adds of a forward pass of one sample."""
    return sum(a * b for a, b in zip(problem.network.widths, problem.network.widths[1:], strict=False))


def work_above(problem: Problem, layer: int) -> int:
    """Multiply-adds that one perturbed parameter of a layer costs in the layers above, for one sample and sign."""
    widths = problem.network.widths
    entered = 4 * widths[layer + 2] if layer + 2 < len(widths) else 2
    return entered + sum(a * b for a, b in zip(widths[layer + 2 :], widths[layer + 3 :], strict=False)) + 2 * widths[-1]
