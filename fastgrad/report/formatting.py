"""Numbers, times and names as text."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

from rich.console import Console

if TYPE_CHECKING:
    from fastgrad.report.parts import TensorReport

TEXT_WIDTH = 100
"""Columns of `str(report)`."""
LONGEST_NAME = 24
"""Characters of a tensor's name that the report for a person shows."""


def printable(text: str) -> str:
    """Return a text with everything that could steer a terminal written as an escape of Python's."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def label(name: str) -> str:
    """Return a user's name fit for a line: printable, and cut in the middle where it is very long."""
    name = printable(name)
    if len(name) <= LONGEST_NAME:
        return name
    half = (LONGEST_NAME - 3) // 2
    return f"{name[:half]}...{name[-half:]}"


def gradient_label(tensor: TensorReport) -> str:
    """Return the name of the gradient, or of the parameter where there is no gradient."""
    return label(tensor.gradient_name or tensor.name)


def significant(value: float, digits: int = 7) -> str:
    """Return a number to so many significant digits, without trailing zeros."""
    return f"{value:.{digits}g}"


def above(value: float) -> str:
    """Return a bound to one digit, rounded up."""
    exponent = math.floor(math.log10(value))
    return f"{math.ceil(value / 10.0**exponent * (1.0 - 1e-12)) * 10.0**exponent:.0e}"


def both(claimed: float, numerical: float, adaptive: bool) -> tuple[str, str]:
    """Return two numbers to seven digits, or to as many as it takes to tell them apart."""
    for digits in range(7, 18):
        left, right = significant(claimed, digits), significant(numerical, digits)
        if left != right or not adaptive:
            break
    return left, right


def duration(seconds: float) -> str:
    """Return a time with the unit that suits it: "31 ms", "4.2 s", "3 min 20 s"."""
    if seconds < 0.9995e-3:
        return f"{seconds * 1e6:.0f} \N{MICRO SIGN}s"
    if seconds < 0.9995:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 99.95:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes / 60:,.1f} h"


def roughly(seconds: float) -> str:
    """Return an estimated time, of which one digit is known."""
    return duration(float(f"{seconds:.1g}"))


def counted(count: int, noun: str) -> str:
    """Return "1 parameter" or "61,476 parameters"."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"


def plain_text(renderable: Any) -> str:
    """Render without colour and without any influence of the environment."""
    stream = io.StringIO()
    # An empty environment keeps FORCE_COLOR, COLUMNS and the like from changing what str(report) says.
    console = Console(file=stream, width=TEXT_WIDTH, color_system=None, force_terminal=False, force_jupyter=False, _environ={})
    console.print(renderable)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()).strip("\n")


class Told:
    """An answer that is no report: it prints as its text for a terminal, in a notebook as well."""

    def __str__(self) -> str:
        """Return the text, 100 columns wide."""
        return plain_text(self)

    def _repr_html_(self) -> str:
        """Return the text as notebooks show it."""
        from html import escape

        return f"<pre>{escape(str(self))}</pre>"


def listed(names: list[str], most: int = 6) -> str:
    """Return "dW1, db1 and dW2", the last ones counted where they are many."""
    if len(names) > most:
        names = [*names[:most], f"{len(names) - most:,} more"]
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)


def closed(text: str) -> str:
    """Return a remark fit for the terminal, with its full stop."""
    return printable(text).rstrip(".") + "."


def allowed_threads(threads: int) -> str:
    """Return how many threads were allowed: "1 thread", "up to 8 threads"."""
    return f"up to {threads} threads" if threads > 1 else "1 thread"
