"""What the commands `demo train` and `demo descent` print."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from fastgrad._version import SCHEMA
from fastgrad.model.network import Array
from fastgrad.report.formatting import duration, significant
from fastgrad.teaching.descent import Descent
from fastgrad.teaching.digits import Digits
from fastgrad.teaching.training import BATCH, BOOKS_PARAMETERS, RATE, Comparison, Moment, network_for
from fastgrad_cli.terminal import printable

STRIP = 51
"""Characters of the strip on which accuracies are marked, one for each 2 %."""
START = (-3.0, 4.0)
"""Where the books' descent begins."""


def training_heading(digits: Digits, seed: int) -> str:
    """Return what is going to be trained, and the head of the table."""
    network = network_for(digits)
    widths = "-".join(str(width) for width in network.widths)
    return (
        f"{widths}, sigmoid and softmax: {network.size:,} parameters; every gradient is a numerical one.\n"
        f"{digits.source}: {len(digits.train[0]):,} to train on, {len(digits.test[0]):,} to test with; "
        f"batches of {BATCH}, rate {RATE:g}, seed {seed}.\n\n"
        f"iteration    train     test   0%{'50%':^{STRIP - 6}}100%"
    )


def show_moment(moment: Moment) -> None:
    """Print a line of the table: both accuracies, as numbers and as marks."""
    strip = [" "] * STRIP
    for mark, value in (("o", moment.train), ("x", moment.test)):
        place = round(value * (STRIP - 1))
        strip[place] = "*" if strip[place] != " " else mark
    click.echo(f"{moment.iteration:>9,}  {moment.train:>6.1%}  {moment.test:>6.1%}   {''.join(strip).rstrip()}")


def training_conclusion(found: Comparison, path: Path | None) -> str:
    """Return what the comparison says."""
    count, own, other = found.iterations, found.numerical.seconds, found.backpropagation.seconds
    once, books = found.books_seconds, found.books_seconds * count
    curves = "the same curves, digit for digit" if found.same_curves else "other curves"
    lines = [
        "The mark o is the accuracy on the training digits, x that on the test digits, * both.",
        "",
        f"Numerical gradients by method preactivation took {duration(own)} for {count:,} steps, {duration(own / count)} each.",
        f"Backpropagation from the same weights with the same batches took {duration(other)}, {duration(other / count)} each;",
        f"  it gave {curves}, and no parameter differs by more than {found.largest_difference:.1e} at the end.",
        f"The books' loop, two forward passes in NumPy for each parameter, takes {duration(once)} for a gradient",
        f"  and {duration(books)} for all, {books / own:,.0f} times as long (timed on {BOOKS_PARAMETERS} parameters).",
    ]
    return "\n".join([*lines, *_written(path)])


def _written(path: Path | None) -> list[str]:
    return [] if path is None else [f"Wrote {printable(str(path))}."]


def bowl(x: Array) -> float:
    """Return x0² + x1²."""
    return float(x[0] ** 2 + x[1] ** 2)


def descent_in_words(rate: float, iterations: int) -> str:
    """Return what was done in a line."""
    return f"x0² + x1² from ({START[0]:g}, {START[1]:g}); {iterations} steps by numerical gradients, rate {rate:g}"


def descent_text(found: Descent, rate: float, path: Path | None) -> str:
    """Return the way down as a table of at most some ten lines."""
    last = len(found.values) - 1
    shown = np.unique(np.linspace(0, last, min(last, 10) + 1).round().astype(int))
    lines = [descent_in_words(rate, last) + ".", "", f"{'step':>5}  {'x0':>14}  {'x1':>14}  {'value':>14}"]
    for step in shown:
        numbers = (*found.history[step], found.values[step])
        lines.append(f"{step:>5}  " + "  ".join(f"{significant(float(number), 9):>14}" for number in numbers))
    return "\n".join([*lines, *_written(path)])


def descent_document(found: Descent, rate: float) -> dict[str, Any]:
    """Return the way down as a JSON document."""
    return {"schema": SCHEMA, "rate": rate, "history": found.history.tolist(), "values": found.values.tolist()}
