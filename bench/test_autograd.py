"""A whole check beside PyTorch's forward, backward and comparison in double precision, at the threads that are best for it.

Run with ``pytest bench/test_autograd.py``; each row is a process of its own, in which the competitors take turns. Medians, and
what bounds a row. `-k "not whole"` leaves out the networks of 50 and 98 million parameters, which need 4 GB.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("autograd.py")
CAT = (12288, 5, 5, 1)
ROWS = [
    (CAT, 209, "tanh", "preactivation", 15),
    (CAT, 209, "tanh", "parameter", 15),
    (CAT, 1, "tanh", "preactivation", 25),
    (CAT, 1, "tanh", "parameter", 25),
    ((784, 256, 128, 10), 64, "relu", "preactivation", 15),
    ((784, 1024, 1024, 10), 64, "tanh", "preactivation", 7),
    ((784, 4096, 4096, 10), 16, "tanh", "preactivation", 3),
]
WHOLE = [((784, 10000, 9000, 10), "float64"), ((784, 7000, 6300, 10), "float32")]


def _run(*given):
    return json.loads(subprocess.check_output([sys.executable, PROGRAM, *map(str, given)]))


@pytest.mark.parametrize(("widths", "samples", "hidden", "method", "rounds"), ROWS)
def test_autograd(benchmark, results, widths, samples, hidden, method, rounds):
    pytest.importorskip("torch", reason="the competitor PyTorch is not installed")
    name = "-".join(map(str, widths))
    found = benchmark.pedantic(lambda: _run(name, samples, hidden, method, rounds, "float64"), rounds=1)
    task = f"{name} {hidden}, {samples} examples, every parameter by {method}"
    autograd, gradient, check = (statistics.median(found[key]) for key in ("autograd", "gradient", "check"))
    bound = found["bounds"]
    limits = (
        f"bounds: arithmetic {bound['arithmetic'] * 1e3:.2g} ms at {bound['GFLOP/s']:.0f} GFLOP/s, memory "
        f"{bound['memory'] * 1e3:.2g} ms at {bound['GB/s']:.0f} GB/s, a thread {bound['threads'] * 1e6:.0f} µs"
    )
    results.tell(task, "PyTorch autograd, compared", autograd, 0.0, f"{found['threads']} threads")
    results.tell(task, "fastgrad, the gradient", gradient, 0.0, f"{gradient / autograd:.2f} times PyTorch")
    remark = f"{check / autograd:.2f} times PyTorch, {check / gradient:.2f} times its gradient; {limits}"
    results.tell(task, "fastgrad.check", check, 0.0, remark)


@pytest.mark.parametrize("kind", ["whole", "wrong"])
@pytest.mark.parametrize(("widths", "dtype"), WHOLE)
def test_whole_check_from_arrays(benchmark, results, widths, dtype, kind):
    pytest.importorskip("torch", reason="PyTorch, which makes the gradient, is not installed")
    name = "-".join(map(str, widths))
    found = benchmark.pedantic(lambda: _run(name, 8, "tanh", kind, 1, dtype), rounds=1)
    memory = f"memory {1.0 + found['taken'] / found['given']:.2f} times the arrays given, these included"
    title = f"{name} {dtype}, {'right' if kind == 'whole' else 'wrong'}"
    results.tell("A whole check from arrays, 8 examples", title, found["seconds"], 0.0, f"{memory}; {found['told']} steps told")
