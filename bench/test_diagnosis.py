"""How many planted mistakes are named, and how long it takes: ``pytest bench/test_diagnosis.py -s`` prints the figures.

Random networks of every activation and loss, 1 to 5 layers deep, each drawn from its seed; every mistake that applies
to it is planted in every place. FASTGRAD_DIAGNOSIS_NETWORKS=10 takes fewer networks, 100:120 those of some seeds only.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fastgrad.diagnosis import diagnose
from fastgrad.numerical import numerical_gradient
from fastgrad.reading import Description, interpret_parts

from networks import tanh_network

sys.path.append(str(Path(__file__).parents[1] / "tests"))

import planted


def seeds() -> range:
    """Return the seeds of the networks that the environment asks for."""
    words = os.environ.get("FASTGRAD_DIAGNOSIS_NETWORKS", "40").split(":")
    return range(*map(int, words))


PAIRS = 20
"""Pairs tried in each network; those that touch the same entries are left out."""


@pytest.mark.parametrize(
    ("what", "run", "least"),
    [
        ("single mistakes", lambda: planted.single(seeds()), 0.98),
        ("pairs of independent mistakes", lambda: planted.double(seeds(), PAIRS), 0.90),
        ("mistakes that no table lists, not named with confidence", lambda: planted.unlisted(seeds()), 1.0),
    ],
)
def test_planted_mistakes_are_named(results, what, run, least):
    tally = run()
    counts = f"{tally.planted:,} planted, {tally.share:.2%} named, {tally.misled} another one with confidence"
    if "confidence" in what:
        counts = f"{tally.planted:,} planted, {tally.share:.2%}"
    line = f"seeds {seeds().start} to {seeds().stop - 1}, {what}: {counts}; {tally.unseen:,} hidden by the test point"
    results.texts.append(line)
    print(f"\n{line}", *tally.examples, sep="\n")
    assert tally.share >= least
    if what == "single mistakes":
        assert tally.misled == 0
        assert tally.planted >= 75 * len(seeds())  # 3,000 of 40 networks


# How long it takes.

NETWORKS = {
    "12288-5-5-1": ((12288, 5, 5, 1), 209, 0.5),
    "40 layers of 10": ((*[10] * 40, 1), 20, 5.0),
    "100 layers of 10": ((*[10] * 100, 1), 20, 5.0),
    "784-700-500-200-10, 1.0e6 parameters": ((784, 700, 500, 200, 10), 100, 5.0),
}
"""Widths, examples, and the seconds that a diagnosis may take."""


def gradients(network, mistake):
    """Return the gradients by a backward pass with a mistake in it."""
    activations, depth = [network.X], network.depth
    for layer in range(1, depth + 1):
        z = network.parameters[f"W{layer}"] @ activations[-1] + network.parameters[f"b{layer}"]
        activations.append(np.tanh(z) if layer < depth else 1 / (1 + np.exp(-z)))
    found, draw = {}, np.random.default_rng(0)
    dZ = (activations[-1] - network.Y) / network.samples
    for layer in range(depth, 0, -1):
        if mistake == "noise in the flow" and layer == depth // 2:
            dZ = dZ * (1.0 + 0.3 * draw.normal(size=dZ.shape))
        found[f"db{layer}"] = dZ.sum(axis=1, keepdims=True)
        found[f"dW{layer}"] = dZ @ activations[layer - 1].T
        if mistake == "noise in every dW":
            found[f"dW{layer}"] *= 1.0 + 0.3 * draw.normal(size=found[f"dW{layer}"].shape)
        slope = 1 - activations[layer - 1] ** 2
        if mistake == "no f' at all" or (mistake == "no f' in the first layer" and layer == 2):
            slope = 1.0
        dZ = (network.parameters[f"W{layer}"].T @ dZ) * slope
    if mistake == "dW1 doubled":
        found["dW1"] *= 2.0
    return found


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(
    ("mistake", "code"),
    [
        ("dW1 doubled", "factor.two"),
        ("no f' in the first layer", "slope.missing"),
        ("no f' at all", "slope.missing"),
        ("noise in the flow", "unknown.tensor"),
        ("noise in every dW", "unknown.tensor"),
    ],
)
def test_time_of_a_diagnosis(benchmark, repeat, results, name, mistake, code):
    widths, samples, seconds = NETWORKS[name]
    network = tanh_network(widths, samples)
    said = Description.of({"hidden": "tanh", "output": "sigmoid", "loss": "binary_crossentropy"})
    problem = interpret_parts(network.parameters, gradients(network, mistake), network.X, network.Y, said)
    numerical = numerical_gradient(problem, method="preactivation")
    findings = repeat(lambda: diagnose(problem, numerical))
    began = time.process_time()  # what else the machine does must not fail it
    diagnose(problem, numerical)
    spent = time.process_time() - began
    remark = f"{spent:.2g} s of a processor, at most {seconds:g}; {findings[0].code}"
    results.take(benchmark, f"a diagnosis of {name}", mistake, remark=remark)
    assert findings[0].code == code
    assert spent < seconds
