"""What is said of gradients that are right for another network: ``pytest bench/test_declarations.py -s`` prints the table.

Every declared with every meant activation of the hidden layers, every declared with every meant pair of output and loss, and
conventions of penalties, reductions and labels; each gradient is by the usual NumPy formulas. The 5,112 pairs take half an hour
to three quarters of one core; FASTGRAD_DECLARATIONS=7 takes every seventh only, 0:4 to 3:4 a quarter each, for as many
processes:

    for k in 0 1 2 3; do FASTGRAD_DECLARATIONS=$k:4 pytest bench/test_declarations.py -s -k losses & done; wait

Then the time of a search.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from fastgrad.diagnosis.meant import Forms
from fastgrad.reading import Description, interpret_parts

from networks import tanh_network
from test_diagnosis import gradients

sys.path.append(str(Path(__file__).parents[1] / "tests"))

import declarations

FIRST, _, EVERY = os.environ.get("FASTGRAD_DECLARATIONS", "1").rpartition(":")


def conventions() -> declarations.Tally:
    """Try the conventions of penalties, reductions and labels without a loss value."""
    tally = declarations.Tally()
    for name, declared, claimed, _, _ in declarations.variants():
        tally.add(name, declarations.report_of(declared, None, claimed), ("",))
    return tally


@pytest.mark.parametrize(
    ("what", "run"),
    [
        ("hidden activations", declarations.hidden_activations),
        (
            "outputs and losses",
            lambda: declarations.outputs_and_losses(slice(int(FIRST or 0), None, int(EVERY))),
        ),
        ("penalties, reductions and labels", conventions),
    ],
)
def test_the_declaration_is_named_or_nothing_is(results, what, run):
    tally = run()
    line = f"declared for meant {what}: {tally.line}"
    results.texts.append(line)
    print(f"\n{line}", *tally.failed, sep="\n")
    assert tally.counts["blamed"] == 0


NETWORKS = {
    "12288-5-5-1": ((12288, 5, 5, 1), 209, 0.3),
    "784-700-500-200-10, 1.0e6 parameters": ((784, 700, 500, 200, 10), 100, 3.0),
}
"""Widths, examples, and the seconds of a processor that a search may take."""


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("mistake", "found"), [("none", 1), ("noise in the flow", 0)])
def test_time_of_a_search(benchmark, repeat, results, name, mistake, found):
    widths, samples, seconds = NETWORKS[name]
    network = tanh_network(widths, samples)
    said = Description.of({"hidden": "arctan", "output": "sigmoid", "loss": "binary_crossentropy"})
    problem = interpret_parts(network.parameters, gradients(network, mistake), network.X, network.Y, said)
    assert len(repeat(lambda: Forms(problem).found())) == found
    began = time.process_time()
    Forms(problem).found()
    spent = time.process_time() - began
    results.take(benchmark, f"a search for the declaration of {name}", mistake, remark=f"{spent:.2g} s of a processor")
    assert spent < seconds
