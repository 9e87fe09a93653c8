"""Pictures: one function for clean axes, one for each picture. matplotlib is imported here, and only when one is drawn.

Called by the command line. Colours are Okabe and Ito's, which people with any colour vision tell apart; curves are named
where they are, not in a legend.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from fastgrad.diagnosis.codes import CODES
from fastgrad.errors import InputError
from fastgrad.functions.gradient import numerical_gradient
from fastgrad.network import Array
from fastgrad.report import Report
from fastgrad.report.formatting import counted, printable
from fastgrad.report.parts import ErrorMap
from fastgrad.sweep import THRESHOLD, Curve, Sweep
from fastgrad.training import Comparison, Training

SUFFIXES = (".png", ".svg")
SIZE = (8.3, 5.0)
"""Inches; at 100 dots an inch the width of a README."""
INK, FAINT = "#333333", "#6b6b6b"
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
WIDE, TALLEST, HEADING, FOOT = 7.0, 4.2, 1.3, 0.8
"""Inches: a map's width, its greatest height, what stands around it, and the bar of colours."""
LOWEST, HIGHEST = 0.25, 0.6
"""Inches: a row of few."""
PALE = "#dfe8ee"
"""Colour of entries that are right."""
MOST_TICKS = 12
LONGEST_LINE = 85
"""Characters of a sentence under a heading; in place of a longer one the mistake's title stands."""
FIELD, FIELD_INK = 15, "#b0b0b0"
"""Arrows of a gradient field along each side, and their colour."""
STYLE = {
    "font.size": 11.0,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "lines.solid_joinstyle": "round",
    "figure.constrained_layout.w_pad": 0.12,
    "figure.constrained_layout.h_pad": 0.12,
    "svg.hashsalt": "fastgrad",  # the same picture, the same bytes
}


def require(path: str | Path) -> Path:
    """Return the path of a picture that can be written, before anything is computed for it.

    Raises
    ------
    InputError
        If its name ends in no known format, its folder is missing, or matplotlib is.
    """
    target = Path(path)
    if target.suffix.lower() not in SUFFIXES:
        raise InputError(f"a picture's name must end in {' or '.join(SUFFIXES)}, found {str(path)!r}")
    if target.is_dir():
        raise InputError(f"{str(target)!r} is a folder; give the name of a file that the picture can be written to")
    if not target.parent.is_dir():
        raise InputError(f"there is no folder {str(target.parent)!r} to write the picture to")
    if not os.access(target.parent, os.W_OK):
        raise InputError(f"the picture cannot be written: the folder {str(target.parent)!r} may not be written to")
    if find_spec("matplotlib") is None:
        raise InputError(
            'a picture needs matplotlib, which is not installed; to install it:\n  pip install "matplotlib>=3.8,<4"'
        )
    return target


@contextmanager
def clean_figure(path: Path, size: tuple[float, float]) -> Iterator[Any]:
    """Give an empty figure; write the picture at the end, in the format that its name ends in.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=size, dpi=200, facecolor="white", layout="constrained")
        yield figure
        try:
            figure.savefig(path, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)
        except OSError as error:
            raise InputError(f"the picture cannot be written to {str(path)!r}: {error.strerror}; give another name") from None


@contextmanager
def clean_axes(path: Path, title: str, subtitle: str) -> Iterator[Any]:
    """Give axes without clutter, under a title, in a figure of their own."""
    with clean_figure(path, SIZE) as figure:
        axes = figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        _head(axes, title, subtitle)
        yield axes


def _head(axes: Any, title: str, subtitle: str) -> None:
    """Write a title over axes, and a fainter line under it."""
    axes.set_title(title, loc="left", weight="bold", size=13.0, pad=24.0)
    axes.annotate(subtitle, (0, 1), xytext=(0, 9), xycoords="axes fraction", textcoords="offset points", color=FAINT, size=10)


def draw_sweep(sweep: Sweep, path: Path) -> None:
    """Draw the error curves of a sweep, both axes logarithmic.

    Parameters
    ----------
    sweep : Sweep
        The curves.
    path : Path
        The file, as `require` returned it.
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


def _write(axes: Any, text: str, point: tuple[float, float], offset: tuple[int, int], **looks: Any) -> None:
    """Write a text beside a point, the offset in typographic points; it stays legible where a curve runs through it."""
    behind = {"facecolor": "white", "alpha": 0.75, "linewidth": 0.0, "pad": 1.0}
    axes.annotate(text, point, xytext=offset, textcoords="offset points", annotation_clip=False, zorder=5, bbox=behind, **looks)


def draw_training(found: Comparison, path: Path) -> None:
    """Draw the accuracies of a training by numerical gradients as curves, those of backpropagation as rings on them.

    Parameters
    ----------
    found : Comparison
        The two trainings.
    path : Path
        The file, as `require` returned it.
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


def _accuracies(training: Training, part: str) -> tuple[list[int], list[float]]:
    """Return the iterations and the accuracies on one part of the digits."""
    return [moment.iteration for moment in training.moments], [getattr(moment, part) for moment in training.moments]


def _name_levels(axes: Any, x: float, ends: dict[str, tuple[float, str]]) -> None:
    """Write names to the right of curves that end at x, none over another; the axis upwards is linear."""
    height = max(y for y, _ in ends.values()) + 1.5 * LINE
    for name, (y, color) in sorted(ends.items(), key=lambda item: -item[1][0]):
        height = min(y, height - LINE)
        _write(axes, name, (x, height), (10, 0), va="center", color=color, weight="bold")


def draw_errors(report: Report, path: Path) -> None:
    """Draw where the wrong gradients of a check are off: one map for each, the shade the error, logarithmic.

    Parameters
    ----------
    report : Report
        Of a wrong gradient: one with `maps`.
    path : Path
        The file, as `require` returned it.

    Raises
    ------
    InputError
        If the report has no maps, or the file cannot be written.
    """
    if not report.maps:
        raise InputError(
            "there are no errors to draw: the gradients are right, or were not judged entry by entry; a picture needs a wrong "
            "gradient, and where method directional leaves the entries out, method preactivation"
        )
    heights = [_height(len(found.errors), len(found.errors[0])) for found in report.maps]
    shades = _shades(report.maps)
    with clean_figure(path, (SIZE[0], sum(heights) + HEADING * len(heights) + FOOT)) as figure:
        panels = figure.subplots(len(heights), squeeze=False, height_ratios=heights)[:, 0]
        for axes, found in zip(panels, report.maps, strict=True):
            _draw_map(axes, found, shades)
            title = f"{printable(found.gradient_name)}: {found.count:,} of {counted(found.checked, 'entry')} wrong"
            _head(axes, title, _mistake(report, found))
        bar = figure.colorbar(shades, ax=panels.tolist(), location="bottom", shrink=0.6, aspect=40, pad=0.02)
        bar.outline.set_visible(False)
        bar.minorticks_off()
        others = sum(tensor.verdict == "wrong" for tensor in report.tensors) - len(report.maps)
        broken = any(np.isinf(found.errors).any() for found in report.maps)
        rest = "; black: nan or inf" * broken + (f"; {counted(others, 'more wrong gradient')} not drawn" if others else "")
        bar.set_label(f"|claimed - numerical|, relative to the gradient's largest entry; pale: right{rest}", size=9.5)


def _height(rows: int, columns: int) -> float:
    """Return the inches of a map: square blocks where that leaves room for the rows' numbers and for other maps."""
    return min(TALLEST, rows * min(HIGHEST, max(LOWEST, WIDE / columns)))


def _shades(maps: tuple[ErrorMap, ...]) -> Any:
    """Return what makes colours of errors, the same for all maps: logarithmic, over whole powers of ten."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, LogNorm

    shown = np.concatenate([np.array(found.errors)[np.array(found.wrong)] for found in maps])
    finite = np.log10(shown[np.isfinite(shown) & (shown > 0.0)])
    low, high = (np.floor(finite.min()), np.ceil(finite.max())) if finite.size else (-1.0, 0.0)
    norm = LogNorm(10.0 ** min(low, high - 1.0), 10.0**high)
    return ScalarMappable(norm, ListedColormap(colormaps["inferno_r"](np.linspace(0.12, 0.92, 256))))


def _draw_map(axes: Any, found: ErrorMap, shades: Any) -> None:
    """Draw one map: right blocks pale, wrong ones darker the further off, what is no number black, the unchecked white."""
    errors, wrong = np.array(found.errors), np.array(found.wrong)
    for shown, looks in (
        (np.where(wrong | np.isnan(errors), np.nan, 0.0), _cells(PALE)),
        (np.where(np.isinf(errors), 0.0, np.nan), _cells("black")),
        (np.where(wrong & np.isfinite(errors), errors, np.nan), {"cmap": shades.cmap, "norm": shades.norm}),
    ):
        axes.pcolormesh(found.columns, found.rows, np.ma.masked_invalid(shown), rasterized=True, **looks)
    axes.set_ylim(found.rows[-1], found.rows[0])
    _label_indices(axes, found)


def _cells(color: str) -> dict[str, Any]:
    """Return how blocks of one colour are drawn; nan is left out."""
    from matplotlib.colors import ListedColormap

    return {"cmap": ListedColormap([color])}


def _label_indices(axes: Any, found: ErrorMap) -> None:
    """Label rows and columns with indices of the user's array, in the middle of the blocks."""
    for axis, starts, name, noun in (
        (axes.yaxis, found.rows, found.axes[0], "row"),
        (axes.xaxis, found.columns, found.axes[1], "column"),
    ):
        if not name:
            axis.set_visible(False)
            continue
        step = max(1, -(-(len(starts) - 1) // MOST_TICKS))
        chosen = range(0, len(starts) - 1, step)
        axis.set_ticks([(starts[k] + starts[k + 1]) / 2.0 for k in chosen], [f"{starts[k]:,}" for k in chosen])
        block = max(b - a for a, b in pairwise(starts))
        reduced = f", {block} to a block, the largest error of each" if block > 1 else ""
        axis.set_label_text(f"{name} ({noun}{reduced})" if found.axes[0] else f"{name}{reduced}")
        axis.set_tick_params(length=0, labelsize=9.0)
    axes.spines[:].set_visible(False)


def _mistake(report: Report, found: ErrorMap) -> str:
    """Return what was done to a tensor, in a line."""
    named = [finding for finding in report.findings if found.gradient_name in finding.concerns]
    if not named:
        return ""
    first = named[0]
    sentence = first.sentence.split(". ")[0].rstrip(".")
    known = not first.code.startswith("unknown") and len(sentence) <= LONGEST_LINE
    return printable(f"{sentence if known else CODES[first.code].title} [{first.code}]")


def draw_descent(f: Callable[[Array], float], history: Array, path: Path, *, subtitle: str) -> None:
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
