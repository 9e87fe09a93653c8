"""What `info` says that a check takes beside what it takes, of networks from 4 to 98 million parameters, by each method.

Run with ``pytest bench/test_estimates.py``; `-k "not 9000"` leaves out the largest, which needs 4 GB. What is expected to take
longer than `LIMIT` is left out, too. At the end stand the seconds of `fastgrad.numerical.counted.SECONDS` that fit best on this
machine, to be written there where estimates are more than twice off.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np
import pytest

from fastgrad.machine import most_threads
from fastgrad.numerical.counted import SECONDS, SERIAL, Work
from fastgrad.numerical.methods import METHODS, count_check
from fastgrad.walk import check_problem

from classifiers import backpropagation, classifier

LIMIT, ENOUGH, MOST = 10.0, 0.8, 5
"""Seconds that a check may be expected to take; seconds, and checks, of which the fastest counts."""
NETWORKS = [
    ((3, 1), 5, "tanh"),
    ((4, 5, 3, 1), 3, "relu"),
    ((2, 3, 2), 200, "tanh"),
    ((30,) * 9, 16, "tanh"),
    ((30,) * 9, 16, "relu"),
    ((12288, 5, 5, 2), 1, "tanh"),
    ((12288, 5, 5, 2), 209, "tanh"),
    ((784, 50, 10), 100, "tanh"),
    ((20, 10, 5), 10000, "relu"),
    ((784, 50, 10), 5000, "relu"),
    ((1000, 500, 10), 500, "relu"),
    ((100, 64, 64, 10), 1000, "tanh"),
    ((784, 256, 128, 10), 8, "relu"),
    ((784, 256, 128, 10), 64, "tanh"),
    ((784, 512, 512, 10), 1, "tanh"),
    ((784, 512, 256, 10), 128, "relu"),
    ((784, 1024, 1024, 10), 64, "tanh"),
    ((784, 2048, 2048, 2048, 10), 4, "relu"),
    ((784, 4096, 4096, 10), 16, "tanh"),
    ((784, 10000, 9000, 10), 8, "relu"),
]
TASK = "Estimates of info"
MEASURED: list[tuple[Work, float]] = []
"""What each check had to do, and its seconds."""


@pytest.mark.parametrize(
    ("widths", "samples", "activation"),
    NETWORKS,
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, tuple) else None,
)
def test_estimates(results, widths, samples, activation):
    problem = classifier(widths, samples, activation)
    problem = replace(problem, claimed=backpropagation(problem))
    for name, method in METHODS.items():
        work = count_check(problem, method)
        estimated = work.seconds_on(most_threads())
        if estimated > LIMIT:
            continue
        check_problem(_small(activation), method=name)  # whatever is loaded for the first one
        seconds = _least(problem, name)
        MEASURED.append((work, seconds))
        remark = f"estimated {1e3 * estimated:.3g} ms, {estimated / seconds:.2f} of it"
        results.tell(TASK, f"{'-'.join(map(str, widths))} {activation}, {samples}: {name}", seconds, math.nan, remark)


def _small(activation):
    """Return a small problem with its gradient."""
    small = classifier((3, 4, 2), 4, activation)
    return replace(small, claimed=backpropagation(small))


def _least(problem, method) -> float:
    """Return the seconds of the fastest check."""
    seconds: list[float] = []
    while not seconds or (sum(seconds) < ENOUGH and len(seconds) < MOST):
        began = time.perf_counter()
        report = check_problem(problem, method=method)
        seconds.append(time.perf_counter() - began)
    assert report.passed
    return min(seconds)


def test_constants_that_fit(results):
    """Print them: those that make the largest ratios of estimated and measured times smallest."""
    if len(MEASURED) < len(SECONDS):
        pytest.skip("too few checks to fit them to")
    threads = np.where(np.arange(len(SECONDS)) < SERIAL, 1.0, most_threads())
    amounts = np.array([work for work, _ in MEASURED]) / threads
    seconds = np.array([taken for _, taken in MEASURED])
    fitted = _fitted(amounts, seconds)
    for title, constants in (("As they stand", np.array(SECONDS)), ("As they fit here", fitted)):
        off = np.exp(np.abs(np.log(amounts @ constants / seconds)))
        numbers = ", ".join(f"{name}={value:.2g}" for name, value in zip(Work._fields, constants, strict=True))
        results.texts.append(f"{title}: {numbers}")
        results.texts.append(f"  at most {off.max():.2f} times off; within 2: {(off <= 2.0).sum()} of {off.size}")


def _fitted(amounts, seconds):
    """Return the constants of the least sum of fourth powers of logarithms of ratios, each changed by itself in turn."""

    def loss(constants):
        return float((np.log(amounts @ constants / seconds) ** 4).sum())

    best = np.array(SECONDS)
    for factor in (4.0, 2.0, 1.4, 1.2, 1.1, 1.05, 1.02) * 3:
        for _ in range(40):
            before = loss(best)
            for place in range(best.size):
                changed = [best * np.where(np.arange(best.size) == place, f, 1.0) for f in (1.0, factor, 1.0 / factor)]
                best = min(changed, key=loss)
            if loss(best) >= before:
                break
    return best
