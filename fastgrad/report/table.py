"""The table of gradients, and how their names and entries are written in it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import zip_longest

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fastgrad.report.formatting import both, gradient_label
from fastgrad.report.parts import Entry, TensorReport
from fastgrad.report.verdicts import signed

TABLE_ROWS = 12
"""Tensors listed one by one; of more, the right ones are folded, so that the report stays on one screen."""
SHORT_NAME = 8
"""Characters of a name that may stand twice in a line."""


GAP = 2
"""Columns between two cells."""
HEAD = 3
"""Cells of a row beside its name that stand in its first line where a table is too wide."""
INDENT = 4
"""Columns by which its other lines stand in."""


class FittingTable(Table):
    """A table that becomes lines where it is wider than the terminal: no number is ever broken."""

    def __init__(self) -> None:
        super().__init__(box=None, padding=(0, GAP, 0, 0), header_style="dim", pad_edge=False)
        self.lines: list[tuple[Text, ...]] = []

    def add_row(self, *cells: Text | str, style: str = "") -> None:  # type: ignore[override]
        """Add a row; cells at its end may be left out."""
        texts = tuple(cell if isinstance(cell, Text) else Text(cell) for cell in cells)
        self.lines.append(tuple(Text(text.plain, style=style) if style else text for text in texts))
        super().add_row(*texts, style=style)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table, or a line or two for each row."""
        headings = [str(column.header) for column in self.columns]
        if self._width(headings) <= options.max_width:
            yield from super().__rich_console__(console, options)
            return
        for first, *others in self.lines:
            told = [_told(heading, cell) for heading, cell in zip(headings[1:], others, strict=False) if cell.plain.strip()]
            head = next(_lines([first, *told[:HEAD]], "  ", options.max_width))
            yield Text("  ").join(head)
            rest = told[len(head) - 1 :]
            closed = [*(cell + ";" for cell in rest[:-1]), *rest[-1:]]
            for line in _lines(closed, " ", options.max_width - INDENT):
                yield Padding(Text(" ").join(line), (0, 0, 0, INDENT))

    def _width(self, headings: list[str]) -> int:
        """Return the columns of the terminal that the widest cells take, side by side."""
        cells = zip_longest(headings, *([cell.plain for cell in line] for line in self.lines), fillvalue="")
        return sum(max(map(cell_len, column)) + GAP for column in cells) - GAP

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Return that it takes any width."""
        return Measurement(1, options.max_width)


def _lines(cells: list[Text], gap: str, width: int) -> Iterator[list[Text]]:
    """Yield cells as they fit into lines; one that is wider than a line has its own, which is broken where it must be."""
    line: list[Text] = []
    for cell in cells:
        if line and cell_len(gap.join(one.plain for one in (*line, cell))) > width:
            yield line
            line = []
        line.append(cell)
    if line:
        yield line


def _told(heading: str, cell: Text) -> Text:
    """Return a cell with what it is in front: "claimed 0.25"; a verdict says so itself."""
    return cell if heading in ("verdict", "off", "") else Text(f"{heading} ", style="dim").append_text(cell)


def columns(*headings: str, right: tuple[str, ...] = ()) -> FittingTable:
    """Return an empty table without lines, some of its columns aligned to the right."""
    table = FittingTable()
    for heading in headings:
        table.add_column(heading, overflow="fold", justify="right" if heading in right else "left")
    return table


def table_of(tensors: tuple[TensorReport, ...], ascii_only: bool) -> Table:
    """Return a line for each tensor, or for the ones that matter where they are many."""
    headings = ("gradient", "verdict", "difference", "off", "worst entry", "claimed", "numerical")
    table = columns(*headings, right=headings[-2:])
    shown, folded = _fold(tensors)
    for tensor in shown:
        table.add_row(*_row(tensor, _is_bias_column(tensor, tensors), ascii_only))
    for row in _folded_rows(folded, ascii_only):
        table.add_row(*row)
    return table


def _fold(tensors: tuple[TensorReport, ...]) -> tuple[list[TensorReport], list[TensorReport]]:
    """Split tensors into those with a line of their own and those that share one."""
    if len(tensors) <= TABLE_ROWS:
        return list(tensors), []
    shown = [tensor for tensor in tensors if not _is_right(tensor)][:TABLE_ROWS]
    return shown, [tensor for tensor in tensors if tensor not in shown]


def _is_right(tensor: TensorReport) -> bool:
    """Whether a tensor is right without a reservation that the reader should see."""
    return tensor.verdict in ("right", "right in float32")


def _is_bias_column(tensor: TensorReport, tensors: tuple[TensorReport, ...]) -> bool:
    """Tell whether a name such as W1[:, 0] is that of the bias beside W1[:, 1:]."""
    array, bracket, place = tensor.name.rpartition("[")
    others = (other.name.rpartition("[")[0] for other in tensors if other is not tensor)
    return bool(bracket) and place.split(", ")[-1] in ("0]", "-1]") and array in others


def _row(tensor: TensorReport, is_bias: bool, ascii_only: bool) -> tuple[Text, ...]:
    """Return the cells of one tensor."""
    verdict = signed(tensor.verdict, ascii_only)
    name = Text(f"{gradient_label(tensor)}{' (bias)' if is_bias else ''}")
    if tensor.worst is None and tensor.checked:
        difference = f"{tensor.relative_difference:.1e}"
        return name, verdict, Text(difference), Text(_off(tensor), style="" if tensor.verdict == "wrong" else "dim")
    if tensor.worst is None:
        reason = "none checked" if tensor.gradient_name else "no gradient given" if tensor.verdict == "not judged" else ""
        return name, verdict, Text("-"), Text(reason)
    claimed, numerical = both(tensor.worst.claimed, tensor.worst.numerical, adaptive=tensor.verdict == "wrong")
    emphasis = "" if tensor.verdict == "wrong" else "dim"
    return (
        name,
        verdict,
        Text(f"{tensor.relative_difference:.1e}"),
        Text(_off(tensor), style=emphasis),
        Text(_entry_label(tensor, tensor.worst), style=emphasis),
        Text(claimed, style=emphasis),
        Text(numerical, style=emphasis),
    )


def _off(tensor: TensorReport) -> str:
    """Return how many of a tensor's entries are wrong, with a plus where only some of them were located."""
    return f"{tensor.wrong:,}{'+' if tensor.more else ''} of {tensor.checked:,}"


def _folded_rows(tensors: list[TensorReport], ascii_only: bool) -> Iterator[tuple[Text, ...]]:
    """Yield a line for all the tensors of a verdict that have no line of their own."""
    for verdict in ("wrong", "not judged", "at a kink", "left out", "right"):
        group = [tensor for tensor in tensors if ("right" if _is_right(tensor) else tensor.verdict) == verdict]
        if group:
            largest = max((tensor.relative_difference for tensor in group), key=_nan_last)
            difference = f"<= {largest:.1e}" if any(tensor.checked for tensor in group) else "-"
            yield Text(f"{len(group):,} more"), signed(verdict, ascii_only), Text(difference)


def _nan_last(value: float) -> float:
    """Return a value as a sort key that takes nan for the largest."""
    return math.inf if math.isnan(value) else value


def _entry_label(tensor: TensorReport, entry: Entry) -> str:
    """Return "dW2[3, 1]"; the index alone where the name is long or has one, since the name stands in the same line."""
    name = gradient_label(tensor)
    if not entry.index:  # a plain number has no place
        return name
    return f"{name if len(name) <= SHORT_NAME and not name.endswith(']') else ''}{list(entry.index)}"
