"""Cost curves: time of each method against parameters, examples, depth, width and threads.

Run with ``pytest bench/test_costs.py``; with ``COSTS=docs/costs.svg`` in the environment it draws them as well. A straight
line of slope 1 is a cost in proportion to the work counted in README's table of methods.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fastgrad.kernels.native import most_threads
from fastgrad.network import Problem
from fastgrad.numerical import numerical_gradient
from fastgrad.plots import clean_axes, require

from classifiers import classifier, timed

LIMIT = 4.0
"""Seconds that a point may take; larger ones of the same curve are left out."""
LOOKS = {"parameter": "#D55E00", "preactivation": "#0072B2", "textbook": "#CC79A7"}
CURVES = {
    "parameters (inputs of n-20-10-5, 16 examples)": [100, 300, 1000, 3000, 10000],
    "examples (200-20-10-5)": [1, 4, 16, 64, 256, 1024],
    "depth (layers of 30 units, 16 examples)": [2, 4, 8, 16],
    "width (100-n-n-10, 4 examples)": [16, 32, 64, 128, 256],
    "threads (1000-64-32-10, 64 examples)": list(range(1, most_threads() + 1)),
}


def drawn(curve: str, n: int) -> Problem:
    """Return the network of a point."""
    kind = curve.split(" ")[0]
    if kind == "parameters":
        return classifier((n, 20, 10, 5), 16, "tanh")
    if kind == "examples":
        return classifier((200, 20, 10, 5), n, "tanh")
    if kind == "depth":
        return classifier((30,) * (n + 1), 16, "tanh")
    if kind == "width":
        return classifier((100, n, n, 10), 4, "tanh")
    return classifier((1000, 64, 32, 10), 64, "tanh")


@pytest.mark.parametrize("curve", CURVES)
def test_costs(results, curve):
    points: dict[str, list[tuple[int, float]]] = {method: [] for method in LOOKS}
    for method, line in points.items():
        for n in CURVES[curve]:
            threads = n if curve.startswith("threads") else None
            problem = drawn(curve, n)

            def run(problem=problem, method=method, threads=threads):
                return numerical_gradient(problem, method=method, threads=threads)

            run()
            line.append((n, timed(run, 3)))
            if line[-1][1] > LIMIT:
                break
    for method, line in points.items():
        remark = ", ".join(f"{n:,}: {1e3 * seconds:.3g} ms" for n, seconds in line)
        results.tell(f"Cost against {curve}", method, line[-1][1], float("nan"), remark)
    if picture := os.environ.get("COSTS"):
        path = require(picture)
        draw(curve, points, path.with_stem(f"{path.stem}-{curve.split(' ')[0]}"))


def draw(curve: str, points: dict[str, list[tuple[int, float]]], path: Path) -> None:
    """Draw one picture, both axes logarithmic."""
    kind, _, where = curve.partition(" ")
    with clean_axes(path, f"Time of a whole numerical gradient against {kind}", where.strip("()")) as axes:
        axes.set(xscale="log", yscale="log", xlabel=kind, ylabel="seconds")
        for method, line in points.items():
            xs, ys = zip(*line, strict=True)
            axes.plot(xs, ys, "o-", color=LOOKS[method])
            axes.annotate(method, (xs[-1], ys[-1]), xytext=(8, 0), textcoords="offset points", color=LOOKS[method], va="center")
