"""Pictures, with matplotlib, which is imported only here and only when one is drawn: one function for clean axes, one a picture.

Called by the command line. Colours are Okabe and Ito's, which people with any colour vision tell apart; curves are named
where they are, not in a legend.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from fastgrad.errors import InputError
from fastgrad.network import Array
from fastgrad.sweep import THRESHOLD, Sweep

SUFFIXES = (".png", ".svg")
SIZE = (8.3, 5.0)
"""Inches; at 100 dots an inch the width of a README."""
INK, FAINT = "#333333", "#8c8c8c"
ORANGE, SKY, GREEN, BLUE, VERMILION = "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00"
STYLE = {
    "font.size": 11.0,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.minor.visible": False,
    "ytick.minor.visible": False,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "lines.solid_joinstyle": "round",
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
    if not target.parent.is_dir():
        raise InputError(f"there is no folder {str(target.parent)!r} to write the picture to")
    if find_spec("matplotlib") is None:
        raise InputError('pictures are drawn with matplotlib, which is not installed; to install it:\n  pip install "matplotlib>=3.8,<4"')
    return target


@contextmanager
def clean_axes(path: Path) -> Iterator[Any]:
    """Give axes without clutter; write the picture at the end, in the format that its name ends in."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=SIZE, dpi=200, facecolor="white", layout="constrained")
        axes = figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        yield axes
        figure.savefig(path, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)


def draw_sweep(sweep: Sweep, path: Path) -> None:
    """Draw the error curves of a sweep, both axes logarithmic.

    Parameters
    ----------
    sweep : Sweep
        The curves.
    path : Path
        The file, as `require` returned it.
    """
    with clean_axes(path) as axes:
        axes.set_xscale("log")
        axes.set_yscale("log")
        ...
