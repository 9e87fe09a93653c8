"""Large relu and tanh networks with a softmax output, as problems of the library with their gradient by backpropagation.

Arrays are (examples, units). Run as a program it measures one network in a process of its own and prints JSON: a process
remembers its largest memory only once.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from fastgrad.kernels import codes
from fastgrad.machine import most_threads
from fastgrad.model.forward import base_point
from fastgrad.model.network import Network, Problem, Tensor
from fastgrad.numerical import load_kernels, numerical_gradient
from fastgrad.numerical.blocks import Task
from fastgrad.numerical.methods import METHODS
from fastgrad.numerical.preactivation import PreactivationPlan

Array = npt.NDArray[np.float64]


def classifier(widths: tuple[int, ...], samples: int, activation: str, seed: int = 0) -> Problem:
    """Draw a network: inputs uniform on [0, 1], weights of standard deviation √(2/n_in), classes at random."""
    draw, depth = np.random.default_rng(seed), len(widths) - 1
    activations = (activation,) * (depth - 1) + ("softmax",)
    network = Network(widths, activations, "softmax_crossentropy", "mean", (True,) * depth)
    theta = np.empty(network.size)
    for layer in range(depth):
        for row in network.W(theta, layer):  # row by row: no second array of the weights' size
            row[:] = draw.normal(0.0, (2.0 / row.size) ** 0.5, row.size)
        network.b(theta, layer)[:] = draw.normal(0.0, 0.1, widths[layer + 1])
    X, Y = draw.uniform(size=(samples, widths[0])), np.eye(widths[-1])[draw.integers(0, widths[-1], samples)]
    return Problem(network, theta, X, Y, tuple(_tensors(network)), None, None)


def _tensors(network: Network) -> Any:
    for layer, (n_in, n_out) in enumerate(pairwise(network.widths)):
        for kind, shape in (("W", (n_out, n_in)), ("b", (n_out,))):
            place = network.weight_slice(layer) if kind == "W" else network.bias_slice(layer)
            name = f"{kind}{layer + 1}"
            yield Tensor(name, layer, kind, place.start, place.stop, shape, shape, False, f"d{name}", "float64")  # type: ignore[arg-type]


def forward(problem: Problem) -> tuple[list[Array], list[Array]]:
    """Return pre-activations and activations as hand-written code computes them."""
    network, z, a = problem.network, [], [problem.X]
    for layer in range(network.depth):
        z.append(a[-1] @ network.W(problem.theta, layer).T + network.b(problem.theta, layer))
        a.append(np.tanh(z[-1]) if network.activations[0] == "tanh" else np.maximum(z[-1], 0.0))
    return z, a


def backpropagation(problem: Problem) -> Array:
    """Return the gradient in theta's order."""
    network, result = problem.network, np.empty(problem.network.size)
    z, a = forward(problem)
    e = np.exp(z[-1] - z[-1].max(axis=1, keepdims=True))
    dZ = (e / e.sum(axis=1, keepdims=True) - problem.Y) / problem.samples
    for layer in reversed(range(network.depth)):
        np.matmul(dZ.T, a[layer], out=network.W(result, layer))
        network.b(result, layer)[:] = dZ.sum(axis=0)
        if layer:
            slope = 1.0 - a[layer] ** 2 if network.activations[0] == "tanh" else z[layer - 1] > 0.0
            dZ = (dZ @ network.W(problem.theta, layer)) * slope
    return result


def arithmetic(problem: Problem, method: str) -> tuple[float, float]:
    """Return the floating-point operations of the products that differences go through: in all, and those that are done.

    Rectifiers that are off take no part, but for those of the layer that is perturbed where samples go together; one sign
    is carried, and the other is its mirror image.

    Of each perturbation, both signs: the first product above it has one column (a multiplication and the two Taylor terms
    count as 2), each further one n_out·n_in multiply-adds for each example.
    """
    network, base = problem.network, base_point(problem)
    alive = [(base.plane(codes.SLOPE, layer) != 0.0).sum(axis=1) for layer in range(network.depth)]
    alive[-1] = np.full(problem.samples, network.widths[-1])
    full = done = 0.0
    for layer in range(network.depth):
        above = np.zeros(problem.samples)
        whole = 0.0
        for below in range(layer + 1, network.depth):
            first = below == layer + 1
            above += 2.0 * alive[below] * (1.0 if first else alive[below - 1])
            whole += 2.0 * network.widths[below + 1] * (1.0 if first else network.widths[below])
        each = network.widths[layer] + network.biases[layer]
        perturbed = np.full(problem.samples, network.widths[layer + 1]) if method == "preactivation" else None
        together = layer == network.depth - 3 and network.widths[-1] <= codes.FEW_OUTPUTS
        units = network.widths[layer + 1]
        changeable = units * each if perturbed is None else perturbed if together else alive[layer]
        done += 2.0 * float((above * changeable).sum())
        full += 2.0 * whole * (units * each * problem.samples if perturbed is None else float(perturbed.sum()))
    return full, 0.5 * done


def parts(problem: Problem) -> dict[str, float]:
    """Time what method preactivation does, one after the other: forward pass, steps, tiles, dW and db."""
    seconds, began = {}, time.perf_counter()
    plan = PreactivationPlan(Task(problem, base_point(problem)))
    seconds["forward pass"] = time.perf_counter() - began
    began = time.perf_counter()
    assert plan.steps
    seconds["steps, kinks"] = time.perf_counter() - began
    began = time.perf_counter()
    room = np.full(plan.size, np.nan)
    for block in plan.blocks():
        plan.run(block, most_threads(), room)
    seconds["tiles"] = time.perf_counter() - began
    began = time.perf_counter()
    plan.gradient(room)
    return {**seconds, "dW and db": time.perf_counter() - began}


def measure(problem: Problem, method: str, rounds: int) -> dict[str, float]:
    """Time a method's whole gradient and compare it with backpropagation; peak memory is beyond what was there before."""
    load_kernels(METHODS[method])
    numerical_gradient(classifier((3, 4, 2), 2, problem.network.activations[0]), method=method)
    before = _peak()
    seconds, values = [], np.empty(0)
    for _ in range(rounds):
        del values
        began = time.perf_counter()
        values = numerical_gradient(problem, method=method).values
        seconds.append(time.perf_counter() - began)
    peak = _peak() - before
    expected = backpropagation(problem)
    difference = np.linalg.norm(values - expected)
    error = float(difference / (np.linalg.norm(values) + np.linalg.norm(expected)))
    return {
        "seconds": statistics.median(seconds),
        "least": min(seconds),
        "most": max(seconds),
        "error": error,
        "thetas": peak / problem.theta.nbytes,
        **(parts(problem) if method == "preactivation" else {}),
    }


def _peak() -> float:
    """Return the most memory that this process has had, in bytes."""
    return 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def timed(function: Callable[[], Any], rounds: int) -> float:
    """Return the median seconds of some calls."""
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("widths", "samples", "activation", "method", "rounds"):
        parser.add_argument(name)
    given = parser.parse_args()
    drawn = classifier(tuple(map(int, given.widths.split("-"))), int(given.samples), given.activation)
    print(json.dumps(measure(drawn, given.method, int(given.rounds))))
