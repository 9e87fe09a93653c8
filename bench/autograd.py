"""A check beside what somebody who owns PyTorch would do: forward, backward in double precision, gradients compared.

Run as a program it measures one network in a process of its own and prints JSON. Arrays are (examples, units), as PyTorch
likes them best.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Arrays = dict[str, npt.NDArray[Any]]
PAUSE = 0.02
"""Seconds between two measurements: threads of OpenMP and of BLAS wait that long at most, spinning, for more work."""


class Case:
    """A network with inputs, labels, and the gradient that PyTorch makes of them."""

    def __init__(self, widths: tuple[int, ...], samples: int, hidden: str, dtype: str = "float64") -> None:
        draw = np.random.default_rng(0)
        self.hidden, self.binary, self.parameters = hidden, widths[-1] == 1, dict[str, npt.NDArray[Any]]()
        for layer, (n_in, n_out) in enumerate(pairwise(widths), start=1):
            weights = draw.standard_normal((n_out, n_in), dtype=np.dtype(dtype))
            weights *= (2.0 / n_in) ** 0.5
            self.parameters[f"W{layer}"] = weights
            self.parameters[f"b{layer}"] = 0.1 * draw.standard_normal(n_out, dtype=np.dtype(dtype))
        self.X = draw.uniform(size=(samples, widths[0])).astype(dtype)
        labels = draw.integers(0, 2 if self.binary else widths[-1], samples)
        self.Y = labels[:, None].astype(dtype) if self.binary else labels
        self.gradients = {f"d{name}": array for name, array in Autograd(self).backward().items()}

    def check(self, method: str) -> Any:
        """Check them with fastgrad."""
        import fastgrad

        return fastgrad.check(self.parameters, self.gradients, self.X, self.Y, method=method, **self.said)

    @property
    def said(self) -> dict[str, str]:
        """Describe the network."""
        output, loss = ("sigmoid", "binary_crossentropy") if self.binary else ("softmax", "softmax_crossentropy")
        return {"hidden": self.hidden, "output": output, "loss": loss}

    def problem(self) -> Any:
        """Return what the numerical gradient alone is made of."""
        from fastgrad.reading import interpret_parts
        from fastgrad.reading.description import Description

        return interpret_parts(self.parameters, None, self.X, self.Y, Description.of(self.said, []))


class Autograd:
    """The same network in PyTorch."""

    def __init__(self, case: Case) -> None:
        import torch

        self.torch, self.case = torch, case
        self.X, Y = torch.from_numpy(case.X), torch.from_numpy(case.Y)
        self.tensors = [torch.from_numpy(array).requires_grad_() for array in case.parameters.values()]
        self.activation = {"tanh": torch.tanh, "relu": torch.relu}[case.hidden]
        functional = torch.nn.functional
        loss = functional.binary_cross_entropy_with_logits if case.binary else functional.cross_entropy
        self.loss = lambda z: loss(z, Y)

    def gradient(self) -> Any:
        """Run forward and backward."""
        pairs, a = list(zip(self.tensors[::2], self.tensors[1::2], strict=True)), self.X
        for W, b in pairs[:-1]:
            a = self.activation(self.torch.nn.functional.linear(a, W, b))
        return self.torch.autograd.grad(self.loss(self.torch.nn.functional.linear(a, *pairs[-1])), self.tensors)

    def backward(self) -> Arrays:
        """Return the gradient as arrays."""
        found = self.gradient()
        return {name: tensor.numpy() for name, tensor in zip(self.case.parameters, found, strict=True)}

    def compare(self) -> float:
        """Run forward and backward, and return the largest relative difference from the gradient claimed."""
        norm, worst = self.torch.linalg.vector_norm, 0.0
        for found, array in zip(self.gradient(), self.case.gradients.values(), strict=True):
            claimed = self.torch.from_numpy(array)
            total = norm(found) + norm(claimed)
            worst = max(worst, float(norm(found - claimed) / total) if total else 0.0)
        return worst


def measure(case: Case, method: str, rounds: int) -> dict[str, Any]:
    """Time PyTorch at each number of threads, the check, and its numerical gradient alone, in turn; medians in seconds."""
    import torch

    from fastgrad.numerical import numerical_gradient

    autograd, problem = Autograd(case), case.problem()
    report = case.check(method)
    assert report.passed, str(report)
    assert autograd.compare() < 1e-13
    works: dict[str, Callable[[], Any]] = {
        "gradient": lambda: numerical_gradient(problem, method=report.method),
        "check": lambda: case.check(method),
    }
    seconds: dict[str, list[float]] = {}
    for _ in range(rounds):
        for threads in range(1, len(os.sched_getaffinity(0)) + 1):
            torch.set_num_threads(threads)
            autograd.compare()  # which brings the threads to this number
            seconds.setdefault(f"torch {threads}", []).append(_timed(autograd.compare))
        for name, work in works.items():
            seconds.setdefault(name, []).append(_timed(work))
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    best = min((name for name in medians if name.startswith("torch")), key=medians.__getitem__)
    return {
        "autograd": seconds[best],
        "threads": int(best.split()[1]),
        "gradient": seconds["gradient"],
        "check": seconds["check"],
        "bounds": bounds(problem, report.method),
    }


def bounds(problem: Any, method: str) -> dict[str, float]:
    """Return the seconds that arithmetic takes at the rate of NumPy's product, memory at that of a copy, and waking a thread.

    Arithmetic: the differences, and for each entry of a W the sums of dW and of the rounding scale over the examples. Memory:
    the inputs, the parameters and the gradients, read twice.
    """
    from fastgrad.machine import run_together

    from classifiers import arithmetic

    A, long = np.random.default_rng(0).normal(size=(1500, 1500)), np.zeros(2**24)
    rate = 2.0 * 1500**3 / min(_timed(lambda: A @ A) for _ in range(5))
    bandwidth = 2.0 * long.nbytes / min(_timed(long.copy) for _ in range(5))
    sums = 2.0 * 3.0 * problem.samples * problem.network.size
    _, done = arithmetic(problem, method)
    run_together([_nothing] * 2)
    return {
        "arithmetic": (done + sums) / rate,
        "memory": 2.0 * 8.0 * (problem.X.size + 2 * problem.network.size) / bandwidth,
        "threads": statistics.median(_timed(lambda: run_together([_nothing] * 2)) for _ in range(50)),
        "GFLOP/s": rate / 1e9,
        "GB/s": bandwidth / 1e9,
    }


def whole(case: Case, wrong: bool) -> dict[str, Any]:
    """Time one whole check of a large network from arrays, and how much memory it takes beside what was there before."""
    if wrong:
        case.gradients["dW2"] *= 1.5
    given = sum(array.nbytes for array in (*case.parameters.values(), *case.gradients.values()))
    told: list[int] = []
    import fastgrad

    Case((3, 4, 2), 2, case.hidden).check("preactivation")  # loads what is compiled
    before = _peak()
    seconds = _timed(
        lambda: told.append(
            fastgrad.check(
                case.parameters, case.gradients, case.X, case.Y, progress=lambda done, total: told.append(done), **case.said
            ).passed
        )
    )
    assert bool(told[-1]) is not wrong
    return {
        "seconds": seconds,
        "given": given,
        "taken": _peak() - before,
        "told": len(told) - 1,
    }


def _peak() -> float:
    return 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _nothing() -> None:
    pass


def _timed(function: Callable[[], Any]) -> float:
    time.sleep(PAUSE)
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("widths", "samples", "hidden", "method", "rounds", "dtype"):
        parser.add_argument(name)
    given = parser.parse_args()
    drawn = Case(tuple(map(int, given.widths.split("-"))), int(given.samples), given.hidden, given.dtype)
    kinds = {"whole": lambda: whole(drawn, False), "wrong": lambda: whole(drawn, True)}
    print(json.dumps(kinds.get(given.method, lambda: measure(drawn, given.method, int(given.rounds)))()))
