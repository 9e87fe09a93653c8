"""Pictures of sweeps, trainings and descents; curves are named where they are, not in a legend.

Called by the command line; clean axes come from `report.pictures`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fastgrad.functions.gradient import numerical_gradient
from fastgrad.model.network import Array
from fastgrad.report.formatting import counted
from fastgrad.report.pictures import FAINT, clean_axes
from fastgrad.teaching.sweep import THRESHOLD, Curve, Sweep
from fastgrad.teaching.training import Comparison, Training

PURPLE, GREEN, BLUE, VERMILION = "#CC79A7", "#009E73", "#0072B2", "#D55E00"
LINE = 0.055
"""Height of a line of text as a share of the axes."""
FLOOR = 1e-17
"""Errors below this, 0 among them, are drawn here."""
ROUNDED = 1e-14
"""Errors below this look like rounding alone."""
LOOKS = {
    "forward": (PURPLE, 1.8, 3),
    "central": (BLUE, 1.8, 4),
    "five-point": (GREEN, 1.8, 3),
    "propagated": (VERMILION, 4.0, 2),  # below and wide: for large steps the central curve lies on it
}
"""Colour, width and order of the curves of a sweep."""
FIELD, FIELD_INK = 15, "#b0b0b0"
"""Arrows of a gradient field along each side, and their colour."""


def draw_sweep(sweep: Sweep, path: Path) -> Any:
    """Draw the error curves of a sweep, both axes logarithmic.

    Parameters
    ----------
    sweep : Sweep
        The curves.
    path : Path
        The file, as `require` returned it.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.
    """
    *textbook, propagated = sweep.curves
    with clean_axes(path, "With nothing to cancel, a smaller step is never worse", _subtitle(sweep)) as axes:
        axes.set(xscale="log", yscale="log", xlabel="step h", ylabel="relative error of the numerical gradient")
        axes.set_ylim(FLOOR / 3.0, 10.0)
        axes.minorticks_off()
        axes.axhline(THRESHOLD, color=FAINT, linewidth=1.0, dashes=(4, 3), zorder=0)
        _write(axes, "the courses' threshold 1e-7", (sweep.steps[-1], THRESHOLD), (0, -5), va="top", color=FAINT, size=9.5)
        for curve in sweep.curves:
            color, width, order = LOOKS[curve.name]
            axes.plot(curve.steps, np.maximum(curve.errors, FLOOR), color=color, linewidth=width, zorder=order)
        middle = sweep.steps[len(sweep.steps) // 2]
        _write(axes, "textbook: two losses, subtracted", (middle, 1.0), (0, 0), ha="center", va="center", weight="bold")
        _name_ends(axes, {curve.name: (curve.steps[0], curve.errors[0]) for curve in textbook})
        _name_propagated(axes, propagated)
    return axes.figure


def _subtitle(sweep: Sweep) -> str:
    """Return the network and how much of it is drawn."""
    layers = sweep.description.split(";")[0]
    return f"{layers}; {sweep.parameters_checked:,} of {counted(sweep.parameters_total, 'parameter')}"


def _name_propagated(axes: Any, curve: Curve) -> None:
    """Write fastgrad's name below its curve where that leaves rounding, to the right; above it where it never does."""
    text, color = "fastgrad: their difference,\ncarried through the network", LOOKS[curve.name][0]
    points = list(zip(curve.steps, curve.errors, strict=True))
    start = next((point for point in points if point[1] <= ROUNDED), points[-1])
    if points.index(start) < 0.4 * len(points):
        _write(axes, text, (start[0], max(start[1], ROUNDED)), (0, 9), ha="right", color=color, weight="bold")
    else:
        _write(axes, text, (start[0], max(start[1], FLOOR)), (14, 0), va="top", color=color, weight="bold")


def _name_ends(axes: Any, ends: dict[str, tuple[float, float]]) -> None:
    """Write names to the right of where their curves end, none over another; the axis upwards is logarithmic."""
    low, high = np.log10(axes.get_ylim())
    height = high
    for name, (x, y) in sorted(ends.items(), key=lambda item: -item[1][1]):
        height = min(np.log10(max(y, FLOOR)), height - LINE * (high - low))
        _write(axes, name, (x, 10.0**height), (8, 0), va="center", color=LOOKS[name][0], weight="bold")


def draw_training(found: Comparison, path: Path) -> Any:
    """Draw the accuracies of a training by numerical gradients as curves, those of backpropagation as rings on them.

    Parameters
    ----------
    found : Comparison
        The two trainings.
    path : Path
        The file, as `require` returned it.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.
    """
    widths = "-".join(str(width) for width in found.network.widths)
    subtitle = (
        f"{found.source}; {widths}, sigmoid and softmax; {found.iterations:,} iterations, {found.network.size:,} parameters"
    )
    title = "Trained by numerical gradients alone, it goes backpropagation's way"
    with clean_axes(path, title, subtitle) as axes:
        axes.set(xlabel="iteration", ylabel="digits taken for what they are")
        axes.set_ylim(0.0, 1.0)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
        ends = {}
        for name, color, style in (("train", BLUE, "-"), ("test", VERMILION, (0, (4, 2)))):
            iterations, accuracies = _accuracies(found.numerical, name)
            axes.plot(iterations, accuracies, color=color, linestyle=style, zorder=3)
            rings = _accuracies(found.backpropagation, name)
            axes.plot(*rings, "o", color=color, fillstyle="none", markersize=7.0, clip_on=False)
            ends[name] = (accuracies[-1], color)
        _name_levels(axes, found.iterations, ends)
        _write(
            axes,
            "curves: numerical gradients\nrings: backpropagation",
            (found.iterations, 0.0),
            (0, 12),
            ha="right",
            va="bottom",
        )
    return axes.figure


def _write(axes: Any, text: str, point: tuple[float, float], offset: tuple[int, int], **looks: Any) -> None:
    """Write a text beside a point, the offset in typographic points; it stays legible where a curve runs through it."""
    behind = {"facecolor": "white", "alpha": 0.75, "linewidth": 0.0, "pad": 1.0}
    axes.annotate(text, point, xytext=offset, textcoords="offset points", annotation_clip=False, zorder=5, bbox=behind, **looks)


def _accuracies(training: Training, part: str) -> tuple[list[int], list[float]]:
    """Return the iterations and the accuracies on one part of the digits."""
    return [moment.iteration for moment in training.moments], [getattr(moment, part) for moment in training.moments]


def _name_levels(axes: Any, x: float, ends: dict[str, tuple[float, str]]) -> None:
    """Write names to the right of curves that end at x, none over another; the axis upwards is linear."""
    height = max(y for y, _ in ends.values()) + 1.5 * LINE
    for name, (y, color) in sorted(ends.items(), key=lambda item: -item[1][0]):
        height = min(y, height - LINE)
        _write(axes, name, (x, height), (10, 0), va="center", color=color, weight="bold")


def draw_descent(f: Callable[[Array], float], history: Array, path: Path, *, subtitle: str) -> Any:
    """Draw the way of a descent in the plane over the field of the function's negative numerical gradient.

    Parameters
    ----------
    f : callable
        A function of two variables.
    history : ndarray, shape (n, 2)
        The points, the start first, as in `fastgrad.gradient_descent(...).history`.
    path : Path
        The file, as `require` returned it.
    subtitle : str
        What is seen, in a line.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.
    """
    reach = 1.15 * float(np.abs(history).max()) or 1.0
    grid = np.linspace(-reach, reach, FIELD)
    places = np.array([(x, y) for y in grid for x in grid])
    slopes = np.array([numerical_gradient(f, place) for place in places])
    with clean_axes(path, "Downhill, against the gradient", subtitle) as axes:
        axes.set(xlabel="x0", ylabel="x1", aspect="equal", xlim=(-reach, reach), ylim=(-reach, reach))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.quiver(*places.T, *-slopes.T, angles="xy", color=FIELD_INK, width=0.0035, zorder=1)
        axes.plot(*history.T, color=BLUE, marker="o", markersize=4.5, zorder=3)
        _write(axes, "start", tuple(history[0]), (8, 6), color=BLUE, weight="bold")
        if len(history) > 1:
            _write(axes, "end", tuple(history[-1]), (8, -14), color=BLUE, weight="bold")
    return axes.figure
