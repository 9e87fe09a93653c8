"""Pictures of a report, and the clean axes that every picture has. matplotlib is imported only when one is drawn.

Colours are Okabe and Ito's, which people with any colour vision tell apart.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fastgrad.errors import InputError, quoted
from fastgrad.report import Report
from fastgrad.report.formatting import counted, printable
from fastgrad.report.parts import ErrorMap
from fastgrad.writing import replaceable, written_whole

SUFFIXES = (".png", ".svg")
SIZE = (8.3, 5.0)
"""Inches; at 100 dots an inch the width of a README."""
INK, FAINT = "#333333", "#6b6b6b"
WIDE, TALLEST, HEADING, FOOT = 7.0, 4.2, 1.3, 0.8
"""Inches: a map's width, its greatest height, what stands around it, and the bar of colours."""
LOWEST, HIGHEST = 0.25, 0.6
"""Inches: a row of few."""
PALE = "#dfe8ee"
"""Colour of entries that are right."""
MOST_TICKS = 12
LONGEST_LINE = 85
"""Characters of a sentence under a heading; in place of a longer one the mistake's title stands."""
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
    "text.usetex": False,  # whatever this machine's matplotlib is set to: names are no TeX
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
        raise InputError(f"a picture's name must end in {' or '.join(SUFFIXES)}, found {quoted(str(path))}")
    replaceable(target)
    if not target.parent.is_dir():
        raise InputError(f"there is no folder {quoted(str(target.parent))} to write the picture to")
    if not os.access(target.parent, os.W_OK):
        raise InputError(f"the picture cannot be written: the folder {quoted(str(target.parent))} may not be written to")
    _require_matplotlib()
    return target


def _require_matplotlib() -> None:
    if find_spec("matplotlib") is None:
        raise InputError(
            'a picture needs matplotlib, which is not installed; to install it:\n  pip install "matplotlib>=3.8,<4"'
        )


@cache
def _kind_of_figure() -> Any:
    """Return a class of figures that a notebook shows, whether pyplot is there or not."""
    from matplotlib.figure import Figure

    class ShownFigure(Figure):  # type: ignore[misc]  # matplotlib's, untyped here
        def _repr_png_(self) -> bytes:
            stream = io.BytesIO()
            self.savefig(stream, format="png", dpi=100)
            return stream.getvalue()

    return ShownFigure


@contextmanager
def clean_figure(path: Path | None, size: tuple[float, float]) -> Iterator[Any]:
    """Give an empty figure; write the picture at the end, in the format that its name ends in, if it has a path.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    from matplotlib import rc_context

    with rc_context(STYLE):
        figure = _kind_of_figure()(figsize=size, dpi=200, facecolor="white", layout="constrained")
        yield figure
        if path is None:
            return
        kind = path.suffix.lower().removeprefix(".")
        with written_whole(path) as stream:
            figure.savefig(stream, format=kind, metadata={"Date": None} if kind == "svg" else None)


@contextmanager
def clean_axes(path: Path, title: str, subtitle: str) -> Iterator[Any]:
    """Give axes without clutter, under a title, in a figure of their own."""
    with clean_figure(path, SIZE) as figure:
        axes = figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        head(axes, title, subtitle)
        yield axes


def head(axes: Any, title: str, subtitle: str) -> None:
    """Write a title over axes, and a fainter line under it."""
    # A name may hold dollar signs; what stands between two of them is no formula.
    axes.set_title(title, loc="left", weight="bold", size=13.0, pad=24.0, parse_math=False)
    place = {"xy": (0, 1), "xycoords": "axes fraction", "xytext": (0, 9), "textcoords": "offset points"}
    axes.annotate(subtitle, **place, color=FAINT, size=10, parse_math=False)


class Trial(Protocol):
    """What a function gave at one point, as far as a picture asks."""

    @property
    def report(self) -> Report:
        """The report of its gradients there."""


class Tried(Protocol):
    """A report of a function at several points, as far as a picture asks."""

    @property
    def trials(self) -> Sequence[Trial]:
        """The points."""


def drawable(report: Report | Tried) -> Report | None:
    """Return the report to draw, of a function that at its first point with wrong entries; None where there is none."""
    reports = [report] if isinstance(report, Report) else [trial.report for trial in report.trials]
    return next((one for one in reports if one.maps), None)


def draw_errors(report: Report | Tried, path: str | Path | None = None) -> Any:
    """Draw where the wrong gradients of a check are off: one map for each, the shade the error, logarithmic.

    Parameters
    ----------
    report : Report or BackwardReport
        Of a wrong gradient: one with `maps`.
    path : str or Path, optional
        The file, a .png or an .svg; one that is there already is replaced.

    Returns
    -------
    matplotlib.figure.Figure
        The picture, which a notebook shows.

    Raises
    ------
    InputError
        If the report has no maps, matplotlib is missing, or the file cannot be written.

    Examples
    --------
    >>> import os, tempfile, numpy as np, fastgrad
    >>> W, X, Y = np.array([[0.5, -1.0]]), np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), np.zeros(3)
    >>> report = fastgrad.check({"W1": W}, {"dW1": W}, X, Y, output="identity", loss="squared_error")
    >>> file = os.path.join(tempfile.mkdtemp(), "errors.svg")
    >>> fastgrad.draw_errors(report, file)  # doctest: +SKIP
    """
    target, drawn = None if path is None else require(path), drawable(report)
    _require_matplotlib()
    if drawn is None:
        raise InputError(
            "there are no errors to draw: the gradients are right, or were not judged entry by entry; a picture needs a wrong "
            "gradient, and where method directional leaves the entries out, method preactivation"
        )
    heights = [_height(len(one.errors), len(one.errors[0])) for one in drawn.maps]
    shades = _shades(drawn.maps)
    with clean_figure(target, (SIZE[0], sum(heights) + HEADING * len(heights) + FOOT)) as figure:
        panels = figure.subplots(len(heights), squeeze=False, height_ratios=heights)[:, 0]
        for axes, one in zip(panels, drawn.maps, strict=True):
            _draw_map(axes, one, shades)
            title = f"{printable(one.gradient_name)}: {one.count:,} of {counted(one.checked, 'entry')} wrong"
            head(axes, title, _mistake(drawn, one))
        bar = figure.colorbar(shades, ax=panels.tolist(), location="bottom", shrink=0.6, aspect=40, pad=0.02)
        bar.outline.set_visible(False)
        bar.minorticks_off()
        others = sum(tensor.verdict == "wrong" for tensor in drawn.tensors) - len(drawn.maps)
        broken = any(np.isinf(one.errors).any() for one in drawn.maps)
        rest = "; black: nan or inf" * broken + (f"; {counted(others, 'more wrong gradient')} not drawn" if others else "")
        bar.set_label(f"|claimed - numerical|, relative to the gradient's largest entry; pale is right{rest}", size=9.5)
    return figure


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
    return printable(f"{sentence if known else first.title} [{first.code}]")
