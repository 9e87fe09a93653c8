"""A report as HTML: a fragment for a notebook, a page for a browser. It is made of the same parts as the text for a terminal.

Names and people's texts are escaped; nothing is loaded from anywhere and nothing runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import pairwise
from typing import Any

from rich.console import RenderableType
from rich.padding import Padding
from rich.style import Style
from rich.text import Text

from fastgrad.report.base import BaseReport
from fastgrad.report.formatting import plain_text, printable
from fastgrad.report.parts import ErrorMap
from fastgrad.report.table import FittingTable

COLOURS = {"green": "#1a7f37", "red": "#cf222e", "yellow": "#9a6700", "cyan": "#0969da", "magenta": "#8250df"}
"""Colours by the terminal's names, with a contrast of 4.5 and more on white and on a dark grey's lighter half."""
FAINT = "opacity: 0.65"
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
body {{ max-width: 60rem; margin: 2rem auto; padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif; }}
</style>
</head>
<body>
{body}
</body>
</html>
"""
RIGHT_PALE, LOST = "#dfe8ee", "#999999"
LARGEST_MAP, CELL = 320.0, 14.0
"""Pixels of the longer side of a map, and most of a cell's."""


def fragment(report: BaseReport) -> str:
    """Return a report as a part of a page; the fine print of what is right is folded."""
    parts = [_line(report.headline(), "p")]
    if report.passed:
        parts += [*_blocks(report.brief(ascii_only=False)), *_folded("Everything", _blocks(report.body(ascii_only=False)))]
    else:
        parts += _blocks(report.body(ascii_only=False))
    parts += map(_map, getattr(report, "maps", ()))
    return "\n".join(['<div class="fastgrad" style="line-height: 1.45">', *parts, "</div>"])


def page(report: BaseReport, title: str = "fastgrad") -> str:
    """Return a report as a whole page."""
    return PAGE.format(title=escape(title), body=fragment(report))


def pages(reports: Iterable[tuple[str, BaseReport | str]], title: str = "fastgrad") -> str:
    """Return several reports, each under its name, as one page; in place of a report may stand what kept it from being made."""
    parts = (f"<h2>{escape(printable(name))}</h2>\n{_or_error(report)}" for name, report in reports)
    return PAGE.format(title=escape(title), body="\n".join(parts))


def _or_error(report: BaseReport | str) -> str:
    return fragment(report) if isinstance(report, BaseReport) else f"<p>Error: {escape(printable(report))}</p>"


def _folded(summary: str, blocks: Iterable[str]) -> Iterator[str]:
    yield f"<details><summary>{summary}</summary>"
    yield from blocks
    yield "</details>"


def _blocks(renderables: Iterable[RenderableType]) -> Iterator[str]:
    """Yield each part of a report's text as HTML; empty lines are left to the page."""
    for part in renderables:
        margin = 0
        while isinstance(part, Padding):
            margin += part.left
            part = part.renderable
        if isinstance(part, Text):
            if part.plain.strip():
                yield _line(part, "div", margin)
        elif isinstance(part, FittingTable):
            yield _table(part)
        elif isinstance(part, BaseReport):
            yield f'<div style="margin-left: {margin}ch">'
            yield _line(part.headline(), "p")
            yield from _blocks(part.body(ascii_only=False))
            yield "</div>"
        else:
            yield f"<pre>{escape(plain_text(part))}</pre>"


def _line(text: Text, tag: str, margin: int = 0) -> str:
    """Return a line; what is indented is code or evidence and stands in a fixed width."""
    style = "margin: 0.4em 0" if tag == "p" else "margin: 0.15em 0"
    if margin:
        style = f"margin-left: {margin}ch; font-family: monospace; white-space: pre-wrap"
    return f'<{tag} style="{style}">{_spans(text)}</{tag}>'


def _spans(text: Text) -> str:
    """Return a text with the styles of its parts."""
    plain = text.plain
    places = sorted({0, len(plain), *(edge for span in text.spans for edge in (span.start, span.end) if edge <= len(plain))})
    found = []
    for start, end in pairwise(places):
        names = [text.style, *(span.style for span in text.spans if span.start <= start and end <= span.end)]
        # A part in the default style takes nothing over from the whole.
        names = names[names.index("default") + 1 :] if "default" in names else names
        css = "; ".join(filter(None, map(_css, names)))
        piece = escape(plain[start:end])
        found.append(f'<span style="{css}">{piece}</span>' if css else piece)
    return "".join(found)


def _css(style: str | Style) -> str:
    """Return a style of the terminal as one of a page."""
    words = str(style).split()
    found = [f"color: {COLOURS[word]}" for word in words if word in COLOURS]
    return "; ".join(found + ["font-weight: bold"] * ("bold" in words) + [FAINT] * ("dim" in words))


def _table(table: FittingTable) -> str:
    """Return a table with its headings; what is aligned to the right stays so."""
    right = [column.justify == "right" for column in table.columns]
    names = [escape(str(column.header)) for column in table.columns]
    heads = "".join(f'<th style="{_cell(side)}; {FAINT}">{name}</th>' for name, side in zip(names, right, strict=True))
    rows = [
        "".join(f'<td style="{_cell(right[k])}">{_spans(cell)}</td>' for k, cell in enumerate(line)) for line in table.lines
    ]
    body = "".join(f"<tr>{row}</tr>\n" for row in rows)
    style = "border-collapse: collapse; margin: 0.6em 0; font-variant-numeric: tabular-nums"
    return f'<table style="{style}"><thead><tr>{heads}</tr></thead>\n<tbody>\n{body}</tbody></table>'


def _row(line: Sequence[Text], right: Sequence[bool]) -> str:
    return "".join(f'<td style="{_cell(right[place])}">{_spans(cell)}</td>' for place, cell in enumerate(line))


def _cell(right: bool) -> str:
    return f"text-align: {'right' if right else 'left'}; padding: 0.1em 1.2em 0.1em 0; background: none"


def _map(drawn: ErrorMap) -> str:
    """Return a map of the errors: a cell for each block of entries, darker the further off; a title tells its numbers."""
    rows, columns = len(drawn.errors), len(drawn.errors[0])
    side = min(CELL, LARGEST_MAP / max(rows, columns))
    cells = "".join(_square(drawn, row, column, side) for row in range(rows) for column in range(columns))
    count = f"{drawn.count:,} of {drawn.checked:,} entries are wrong"
    sides = [f"{where}: {axis}" for where, axis in zip(("rows", "columns"), drawn.axes, strict=True) if axis]
    words = f"{escape(drawn.gradient_name)}: {count}; {', '.join(sides)}"
    size = f'width="{columns * side:.1f}" height="{rows * side:.1f}" viewBox="0 0 {columns * side:.2f} {rows * side:.2f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{words}" {size} shape-rendering="crispEdges">'
    caption = f'<figcaption style="{FAINT}">{words}</figcaption>'
    return f'<figure style="margin: 0.8em 0">{caption}\n{head}{cells}</svg></figure>'


def _square(drawn: ErrorMap, row: int, column: int, side: float) -> str:
    """Return a block of a map as a square."""
    place = f'x="{column * side:.2f}" y="{row * side:.2f}" width="{side:.2f}" height="{side:.2f}"'
    return f'<rect {place} fill="{_fill(drawn, row, column)}"><title>{escape(_place(drawn, row, column))}</title></rect>'


def _fill(drawn: ErrorMap, row: int, column: int) -> str:
    """Return the colour of a block: pale where it is right, else from light to dark red by its error."""
    error = drawn.errors[row][column]
    if error != error:
        return LOST
    if not drawn.wrong[row][column]:
        return RIGHT_PALE
    share = min(max(error, 0.0), 1.0)
    return f"rgb({round(235 - 100 * share)}, {round(150 - 140 * share)}, {round(130 - 120 * share)})"


def _place(drawn: ErrorMap, row: int, column: int) -> str:
    """Return which entries a block is and how far off."""
    names = (f"{axis} {_range(edges[k], edges[k + 1])}" for axis, edges, k in _axes(drawn, row, column) if axis)
    return f"{', '.join(names)}: {drawn.errors[row][column]:.1e} of {drawn.unit:.2g}"


def _axes(drawn: ErrorMap, row: int, column: int) -> Iterator[tuple[Any, Any, int]]:
    yield drawn.axes[0], drawn.rows, row
    yield drawn.axes[1], drawn.columns, column


def _range(first: int, end: int) -> str:
    return str(first) if end - first == 1 else f"{first} to {end - 1}"
