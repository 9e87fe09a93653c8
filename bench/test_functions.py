"""Gradients of any function by everybody who can: accuracy and evaluations, false alarms, and the time of compiled ones.

Run with ``pytest bench/test_functions.py``. The functions refuse complex numbers, so that everybody takes differences;
where they are accepted, fastgrad's complex steps are a row of their own.
"""

from __future__ import annotations

import contextlib
import math
import statistics
from dataclasses import dataclass
from functools import cache

import numba
import numpy as np
import pytest

import fastgrad

from differentiators import DIFFERENTIATORS
from standard import PROBLEMS, chained_rosenbrock, chained_rosenbrock_gradient, trembling

ROUNDING = 5e-14
"""Relative error below which two gradients are equally good: some hundred roundings."""


@dataclass(frozen=True)
class Task:
    """A function that refuses complex numbers, the same as written, a point, and the exact gradient."""

    name: str
    real: object
    free: object
    x: np.ndarray
    exact: np.ndarray


def real(f):
    """Return a function as one of floats alone, by the library's own rounding of it."""
    return lambda x: math.fsum([float(f(x))])


@cache
def tasks(kind):
    """Return the functions of a kind."""
    if kind == "Moré-Garbow-Hillstrom":
        return [Task(problem.name, problem.real, problem, problem.x, problem.exact()) for problem in PROBLEMS]
    if kind == "Rosenbrock in 2 to 1,000":
        points = [np.random.default_rng(size).normal(size=size) for size in (2, 5, 10, 100, 1000)]
        f = chained_rosenbrock
        return [Task(f"n = {x.size}", real(f), f, x, chained_rosenbrock_gradient(x)) for x in points]
    if kind == "noise of 1e-12 to 1e-3":
        return [noisy(level, seed) for level in (1e-12, 1e-9, 1e-6, 1e-3) for seed in range(5)]
    return [kinked(distance, seed) for distance in (1e-1, 1e-3, 1e-5, 1e-7) for seed in range(5)]


def noisy(level, seed):
    """Return Σ k·sin x_k with noise."""
    x = np.random.default_rng(seed).normal(size=10)
    weights = np.arange(1.0, 11.0)
    f = real(lambda x: np.sin(x) @ weights + trembling(x, level))
    return Task(f"{level:.0e}", f, f, x, np.cos(x) * weights)


def kinked(distance, seed):
    """Return Σ max(x_k, 0)² + |x_k| with x so near to the kinks, on either side."""
    x = np.random.default_rng(seed).choice([-1.0, 1.0], size=10) * distance
    f = real(lambda x: (np.maximum(x, 0.0) ** 2).sum() + np.abs(x).sum())
    return Task(f"{distance:.0e}", f, f, x, 2.0 * np.maximum(x, 0.0) + np.sign(x))


KINDS = ("Moré-Garbow-Hillstrom", "Rosenbrock in 2 to 1,000", "noise of 1e-12 to 1e-3", "kinks at 1e-1 to 1e-7")


class Counted:
    """A function and the number of its calls."""

    def __init__(self, f):
        self.f, self.calls = f, 0

    def __call__(self, x):
        """Count and call."""
        self.calls += 1
        try:
            return self.f(x)
        except ArithmeticError:  # a step of somebody's that leaves the domain is for them to survive, as in compiled code
            return math.nan


def tried(differentiator, f, task):
    """Return the largest error relative to the largest entry, and the evaluations."""
    counted = Counted(f)
    with np.errstate(all="ignore"):
        found = np.asarray(differentiator.gradient(counted, task.x.copy()))
    error = np.abs(found - task.exact).max() / np.abs(task.exact).max()
    return (float(error) if np.isfinite(error) else math.inf), counted.calls


@pytest.mark.parametrize("kind", KINDS)
def test_accuracy(results, kind):
    rows = {
        differentiator.name: [tried(differentiator, task.real, task) for task in tasks(kind)]
        for differentiator in DIFFERENTIATORS
        if differentiator.is_installed and max(task.x.size for task in tasks(kind)) <= differentiator.largest
    }
    ours = rows["fastgrad"]
    others = [name for name in rows if not name.startswith("fastgrad")]
    results.texts += ["", kind, f"  {'':24}{'median error':>14}{'largest':>10}{'evaluations':>13}"]
    for name, row in rows.items():
        results.texts.append(line(name, row))
    if kind in KINDS[:2]:
        complex_row = [tried(DIFFERENTIATORS[-1], task.free, task) for task in tasks(kind)]
        results.texts.append(line("fastgrad, complex steps", complex_row))
    good = sum(as_good(ours[k], [rows[name][k] for name in others]) for k in range(len(ours)))
    beaten = sum(any(beats(rows[name][k], ours[k]) for name in others) for k in range(len(ours)))
    results.texts.append(
        f"  of {len(ours)} functions, fastgrad is as accurate as the best of the others with no more evaluations in {good}; "
        f"somebody is more accurate with no more in {beaten}"
    )
    assert beaten <= len(ours) // 10


def line(name, row):
    """Write a row of the table."""
    errors, calls = zip(*row, strict=True)
    return f"  {name:24}{statistics.median(errors):>14.1e}{max(errors):>10.1e}{sum(calls):>13,}"


def as_good(ours, others):
    """Whether an error is that of the most accurate other, or rounding, with no more evaluations than that one."""
    error, calls = min(others)
    return ours[0] <= max(error, ROUNDING) and ours[1] <= calls


def beats(other, ours):
    """Whether another is more accurate by more than rounding, with no more evaluations."""
    return other[0] < ours[0] and ours[0] > ROUNDING and other[1] <= ours[1]


def check_grad(task, claimed):
    """Return what SciPy's check_grad says of a gradient by the bound that its documentation's examples suggest."""
    from scipy.optimize import check_grad

    return verdict(check_grad(task.real, lambda x: claimed, task.x) <= 1e-6 * max(1.0, np.linalg.norm(claimed)))


def verdict(passed):
    """Put a check that knows no doubt into words."""
    return "right" if passed else "wrong"


def allclose(gradient):
    """Return the check that people write: numpy.allclose of claimed and numerical gradient, with its tolerances."""
    return lambda task, claimed: verdict(np.allclose(gradient(Counted(task.real), task.x.copy()), claimed))


def test_false_alarms(results):
    pytest.importorskip("scipy")
    checks = {"scipy check_grad, 1e-6": check_grad}
    for differentiator in DIFFERENTIATORS:
        if differentiator.is_installed and not differentiator.name.startswith("fastgrad"):
            checks[f"{differentiator.name}, allclose"] = allclose(differentiator.gradient)
    checks["fastgrad.check_function"] = lambda task, claimed: fastgrad.check_function(task.real, claimed, task.x).verdict
    results.texts += [
        "",
        f"{'Right gradients called wrong, and one entry off by 1 % called right':68}{'alarms':>8}{'missed':>8}{'of':>6}",
    ]
    counts = {}
    every = [task for kind in KINDS for task in tasks(kind) if task.x.size <= 100]
    for name, check in checks.items():
        with np.errstate(all="ignore"):
            alarms = sum(check(task, task.exact) == "wrong" for task in every)
            missed = sum(check(task, off_by_one_per_cent(task)) == "right" for task in every)
        counts[name] = alarms
        results.texts.append(f"  {name:66}{alarms:>8}{missed:>8}{len(every):>6}")
    assert counts["fastgrad.check_function"] == min(counts.values()) == 0


def off_by_one_per_cent(task):
    """Return the gradient with its largest entry off by one per cent."""
    claimed = task.exact.copy()
    claimed[np.argmax(np.abs(claimed))] *= 1.01
    return claimed


SIZE = 10_000
STEP = 1e-6
VALUES = 50
COMPILED = f"Gradient of Rosenbrock's function in {SIZE:,} variables, forward differences"


@numba.njit
def rosenbrock(x):
    """Sum over a loop, as compiled code is written."""
    total = 0.0
    for i in range(x.size - 1):
        inner = x[i + 1] - x[i] * x[i]
        total += 100.0 * inner * inner + (1.0 - x[i]) * (1.0 - x[i])
    return total


@numba.njit(parallel=True)
def by_hand(x, step):
    """Do what one would write by hand for this function: each thread moves the entries of its own copy of x."""
    gradient, base = np.empty(x.size), rosenbrock(x)
    chunks = 64
    for chunk in numba.prange(chunks):
        point = x.copy()
        for i in range(chunk * x.size // chunks, (chunk + 1) * x.size // chunks):
            point[i] = x[i] + step
            gradient[i] = (rosenbrock(point) - base) / step
            point[i] = x[i]
    return gradient


@pytest.fixture(scope="module")
def large():
    """Give a point of many variables."""
    return np.random.default_rng(0).normal(size=SIZE)


def test_compiled_scipy(benchmark, results, large):
    optimize = pytest.importorskip("scipy.optimize")
    started = [0]

    def first_values(x):
        started[0] += 1
        if started[0] > VALUES:
            raise StopIteration
        return rosenbrock.py_func(x)

    def some():
        started[0] = 0
        with contextlib.suppress(StopIteration):
            optimize.approx_fprime(large, first_values, STEP)

    benchmark.pedantic(some, rounds=3)
    remark = f"{VALUES} of its values timed, scaled"
    results.take(benchmark, COMPILED, "scipy, Python", scale=(SIZE + 1) / VALUES, remark=remark, baseline=True)


def test_compiled_scipy_on_compiled(benchmark, results, large):
    optimize = pytest.importorskip("scipy.optimize")
    rosenbrock(large)
    benchmark.pedantic(lambda: optimize.approx_fprime(large, rosenbrock, STEP), rounds=3)
    results.take(benchmark, COMPILED, "scipy, compiled function")


def test_compiled_by_hand(repeat, benchmark, results, large):
    repeat(lambda: by_hand(large, STEP))
    results.take(benchmark, COMPILED, "loop written by hand")


def test_compiled_fastgrad(repeat, benchmark, results, large):
    found = repeat(lambda: fastgrad.numerical_gradient(rosenbrock, large, scheme="forward", step=STEP))
    results.take(benchmark, COMPILED, "fastgrad")
    assert found.tobytes() == by_hand(large, STEP).tobytes()
