"""One direction through the network with 98 million weights beside a NumPy forward pass, and a wrong entry among them.

Run with ``pytest bench/test_directional.py``; ``WIDTHS`` in the environment takes another network, as 784-2000-2000-10.
"""

from __future__ import annotations

import os
import resource
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from fastgrad.machine import most_threads
from fastgrad.model.network import Network, Problem, Tensor
from fastgrad.numerical.directional.derivative import along_everything, prepare
from fastgrad.numerical.directional.signs import rows_of, whole_tensor
from fastgrad.walk import check_problem

WIDTHS = tuple(int(n) for n in os.environ.get("WIDTHS", "784-10000-9000-10").split("-"))
SAMPLES = 8
TASK = f"One direction of {'-'.join(map(str, WIDTHS))}, relu, examples: {SAMPLES}"


def forward(network, theta, X):
    """Return the pre-activations of all layers, as anybody writes it."""
    z, a = [], X
    for layer in range(network.depth):
        z.append(a @ network.W(theta, layer).T + network.b(theta, layer))
        a = np.maximum(z[-1], 0.0)
    return z


def backward(network, theta, X, Y, gradient):
    """Fill in the gradient of the mean softmax cross-entropy."""
    z = forward(network, theta, X)
    e = np.exp(z[-1] - z[-1].max(axis=1, keepdims=True))
    dZ = (e / e.sum(axis=1, keepdims=True) - Y) / len(X)
    for layer in reversed(range(network.depth)):
        np.matmul(dZ.T, np.maximum(z[layer - 1], 0.0) if layer else X, out=network.W(gradient, layer))
        network.b(gradient, layer)[:] = dZ.sum(axis=0)
        dZ = (dZ @ network.W(theta, layer)) * (z[layer - 1] > 0.0) if layer else dZ


@pytest.fixture(scope="module")
def problem():
    """Draw the network row by row, so that nothing but theta and its gradient is ever large."""
    draw, depth = np.random.default_rng(0), len(WIDTHS) - 1
    network = Network(WIDTHS, ("relu",) * (depth - 1) + ("softmax",), "softmax_crossentropy", "mean", (True,) * depth)
    theta, claimed = np.zeros(network.size), np.empty(network.size)
    for layer in range(depth):
        for row in network.W(theta, layer):
            row[:] = draw.normal(0.0, np.sqrt(2.0 / row.size), row.size)
    X, Y = draw.uniform(size=(SAMPLES, WIDTHS[0])), np.eye(WIDTHS[-1])[draw.integers(0, WIDTHS[-1], SAMPLES)]
    backward(network, theta, X, Y, claimed)
    tensors = []
    for layer, (n_in, n_out) in enumerate(pairwise(WIDTHS)):
        for kind, shape in (("W", (n_out, n_in)), ("b", (n_out,))):
            place = network.weight_slice(layer) if kind == "W" else network.bias_slice(layer)
            name = f"{kind}{layer + 1}"
            tensors.append(Tensor(name, layer, kind, place.start, place.stop, shape, shape, False, f"d{name}", "float64"))
    return Problem(network, theta, X, Y, tuple(tensors), claimed, None)


def peak():
    """Return the most memory that the process has had, in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_forward(benchmark, repeat, results, problem):
    repeat(lambda: forward(problem.network, problem.theta, problem.X))
    results.take(benchmark, TASK, "NumPy forward pass", baseline=True)


def test_direction(benchmark, repeat, results, problem):
    """Both sides: the derivative along all parameters, and the signed sum of the claimed gradient."""
    setting = prepare(problem, 1, 0, most_threads())
    regions = [whole_tensor(tensor) for tensor in problem.tensors]

    def both():
        sums = (setting.signs.sums(region, rows_of(problem.network, region, problem.claimed)) for region in regions)
        return float(along_everything(setting, 0).derivative[0]), sum(float(found[0]) for found, _ in sums)

    numerical, claimed = repeat(both)
    error = abs(numerical - claimed) / np.linalg.norm(problem.claimed)
    results.take(benchmark, TASK, "one direction", error=error)
    assert error < 1e-13


@pytest.mark.parametrize("wrong", [False, True], ids=["right", "one wrong entry located"])
def test_check(benchmark, results, problem, wrong):
    """The whole call, 8 directions and verdict; the wrong entry is off by 1e-6 of its tensor's norm."""
    claimed, before = problem.claimed, peak()
    W2 = problem.network.W(claimed, 1)
    at, value = (W2.shape[0] // 3, W2.shape[1] // 2), W2[W2.shape[0] // 3, W2.shape[1] // 2]
    if wrong:
        W2[at] += 1e-6 * np.linalg.norm(W2)
    try:
        report = benchmark.pedantic(lambda: check_problem(replace(problem), method="directional"), rounds=1, warmup_rounds=0)
    finally:
        W2[at] = value
    extra = f"at most {(peak() - before) / problem.theta.nbytes:.2f} times theta's bytes on top of both vectors"
    results.take(benchmark, TASK, f"check, {'a wrong entry' if wrong else 'right'}", remark=extra)
    located = {tensor.name: [entry.index for entry in tensor.located] for tensor in report.tensors if tensor.verdict != "right"}
    assert located == ({"W2": [at]} if wrong else {})
