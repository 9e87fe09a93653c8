"""Cost curves: time of each method against parameters, examples, depth, width and threads, and how fast each grows.

Run with ``pytest bench/test_costs.py``; with ``COSTS=docs/costs.svg`` in the environment it draws them as well. Beside each
time's growth, n to that power between the last two points, stands that of the multiply-adds that the method has to do.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable

import pytest

from fastgrad.machine import most_threads
from fastgrad.model.network import Problem
from fastgrad.numerical import numerical_gradient
from fastgrad.numerical.counted import forward_work
from fastgrad.numerical.directional.derivative import along_everything, prepare
from fastgrad.numerical.methods import METHODS
from fastgrad.report.pictures import FAINT, STYLE, require

from classifiers import classifier, timed

LIMIT = 4.0
"""Seconds that a point may be expected to take; larger ones of the same curve are left out."""
LOOKS = {"parameter": "#D55E00", "preactivation": "#0072B2", "textbook": "#CC79A7", "directional": "#009E73"}
CURVES: dict[str, tuple[str, list[int], Callable[[int], Problem]]] = {
    "parameters": ("n-20-10-5, 16 examples", [100, 300, 1000, 3000, 10000], lambda n: classifier((n, 20, 10, 5), 16, "tanh")),
    "examples": ("200-20-10-5", [4, 16, 64, 256, 1024], lambda n: classifier((200, 20, 10, 5), n, "tanh")),
    "depth": ("layers of 30 units, 16 examples", [2, 4, 8, 16, 32], lambda n: classifier((30,) * (n + 1), 16, "tanh")),
    "width": ("100-n-n-10, 4 examples", [16, 32, 64, 128, 256, 512], lambda n: classifier((100, n, n, 10), 4, "tanh")),
    "threads": ("200-32-16-10, 64 examples", [], lambda n: classifier((200, 32, 16, 10), 64, "tanh")),
}
LINES: dict[str, dict[str, list[tuple[int, float, float]]]] = {}
"""What was measured: of each curve and method n, seconds and work."""


@pytest.mark.parametrize("curve", CURVES)
def test_costs(results, curve):
    network, points, drawn = CURVES[curve]
    for method in LOOKS:
        for n in points or range(1, most_threads() + 1):
            problem, threads = drawn(n), most_threads() if points else n
            line = LINES.setdefault(curve, {}).setdefault(method, [])
            if len(line) > 1 and line[-1][1] * _work(problem, method) / line[-1][2] > LIMIT:
                break
            run = _ready(problem, method, threads)
            run()
            line.append((n, timed(run, 3), _work(problem, method)))
    for method, line in LINES[curve].items():
        remark = ", ".join(f"{n:,}: {1e3 * seconds:.3g} ms" for n, seconds, _ in line)
        results.tell(f"Cost against {curve} ({network})", method, line[-1][1], math.nan, f"{remark}; {_growth(line)}")


def _ready(problem: Problem, method: str, threads: int) -> Callable[[], object]:
    """Return the call to be timed."""
    if method != "directional":
        return lambda: numerical_gradient(problem, method=method, threads=threads)
    return lambda: along_everything(prepare(problem, 1, 0, threads), 0)


def _work(problem: Problem, method: str) -> float:
    """Return what the multiply-adds of a method are in proportion to."""
    if method == "directional":
        return float(forward_work(problem) * problem.samples)
    return METHODS[method].count(problem, 1.0).multiply_adds


def _growth(line: list[tuple[int, float, float]]) -> str:
    """Say how time and work grow between the last two points."""
    if len(line) < 2:
        return "one point"
    (low, before, done), (high, after, more) = line[-2:]
    power = [math.log(ratio) / math.log(high / low) for ratio in (after / before, more / done)]
    return f"time grows like n^{power[0]:.2f}, work like n^{power[1]:.2f}"


def test_picture():
    """Draw what was measured, a panel for each curve, both axes logarithmic."""
    if not (name := os.environ.get("COSTS")):
        pytest.skip("COSTS=docs/costs.svg draws the curves")
    path = require(name)
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(12.0, 7.0), dpi=200, facecolor="white", layout="constrained")
        panels = figure.subplots(2, 3).ravel()
        for axes, (curve, lines) in zip(panels, LINES.items(), strict=False):
            axes.spines[["top", "right"]].set_visible(False)
            axes.set(xscale="log", yscale="log", xlabel="n" if "n-" in CURVES[curve][0] else curve, ylabel="seconds")
            axes.minorticks_off()
            points = max(([n for n, _, _ in line] for line in lines.values()), key=len)
            axes.set_xticks(points, [f"{n:,}" for n in points])
            axes.set_title(curve, loc="left", weight="bold", pad=20.0)
            axes.annotate(
                CURVES[curve][0],
                (0, 1),
                xytext=(0, 6),
                xycoords="axes fraction",
                textcoords="offset points",
                color=FAINT,
                size=9,
            )
            for method, line in lines.items():
                ns, seconds, _ = zip(*line, strict=True)
                axes.plot(ns, seconds, "o-", color=LOOKS[method], markersize=4.0, label=method)
        last = panels[len(LINES)]
        last.axis("off")
        last.legend(*panels[0].get_legend_handles_labels(), loc="center left", frameon=False, fontsize=12)
        figure.suptitle("Time of a whole numerical gradient", x=0.01, ha="left", weight="bold", size=14.0)
        figure.savefig(path, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)
