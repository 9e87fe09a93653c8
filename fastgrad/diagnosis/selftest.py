"""The test of the tester: every mistake that applies to a network is planted into its own right gradient and looked for.

Called by the command `selftest`. What stays undetected is what this test point hides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fastgrad.diagnosis.codes import CODES
from fastgrad.diagnosis.names import gradient_name
from fastgrad.diagnosis.plants import Nursery, Outcome, Plant
from fastgrad.diagnosis.words import readings
from fastgrad.model.conventions import describe
from fastgrad.model.network import Problem
from fastgrad.report import SCHEMA

EVERY_PLACE = 2e7
"""Parameters times examples times mistakes up to which each is planted in every place; beyond it, each in one."""


@dataclass(frozen=True)
class Row:
    """What became of one mistake in all the places where it was planted.

    Attributes
    ----------
    code : str
        Its code.
    places : tuple of str
        The gradients, or dZ, it was planted in.
    detected, named : int
        In how many of them the verdict was wrong, and the mistake the one that was named.
    misled : int
        In how many another one was named with confidence.
    """

    code: str
    places: tuple[str, ...]
    detected: int
    named: int
    misled: int


@dataclass(frozen=True)
class SelfTest:
    """The outcome of a self-test; prints as a table."""

    description: str
    rows: tuple[Row, ...]

    @property
    def passed(self) -> bool:
        """Whether every mistake that shows was named."""
        return all(row.named == row.detected for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON document."""
        rows = [
            {
                "code": row.code,
                "places": list(row.places),
                "planted": len(row.places),
                "detected": row.detected,
                "named": row.named,
                "misled": row.misled,
            }
            for row in self.rows
        ]
        return {"schema": SCHEMA, "passed": self.passed, "description": self.description, "mistakes": rows}

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield a line for each mistake, then what it comes to."""
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
        for heading in ("mistake", "code", "planted", "detected", "named"):
            table.add_column(heading, overflow="fold", justify="left" if heading in ("mistake", "code") else "right")
        for row in self.rows:
            style = (
                "" if row.named == row.detected == len(row.places) else "yellow" if row.named == row.detected else "bold red"
            )
            counts = (str(len(row.places)), str(row.detected), str(row.named))
            table.add_row(CODES[row.code].title, row.code, *counts, style=style)
        yield Text(self.description, style="dim")
        yield Text()
        yield Padding(table, (0, 0, 0, 1))
        yield Text()
        yield from map(Text, self._conclusion())

    def _conclusion(self) -> Iterator[str]:
        planted, detected = sum(len(row.places) for row in self.rows), sum(row.detected for row in self.rows)
        named, misled = sum(row.named for row in self.rows), sum(row.misled for row in self.rows)
        yield f"{planted:,} mistakes planted, {detected:,} detected, {named:,} named, {misled:,} taken for another."
        if detected < planted:
            hidden = [CODES[row.code].title for row in self.rows if row.detected < len(row.places)]
            yield f"Not to be seen at this point, at least in one place: {'; '.join(hidden)}."


def selftest(problem: Problem, progress: Callable[[int, int], None] | None = None) -> SelfTest:
    """Plant every applicable mistake into a network's right gradient, and diagnose each.

    Parameters
    ----------
    problem : Problem
        Network, parameters and data; claimed gradients are not looked at.
    progress : callable, optional
        Called with (mistakes done, mistakes in all).

    Returns
    -------
    SelfTest
        A row for each mistake.
    """
    nursery = Nursery(problem)
    plants = list(nursery.plants())
    if float(problem.network.size) * problem.samples * len(plants) > EVERY_PLACE:
        plants = list({plant.cause.code: plant for plant in plants}.values())
    found: dict[str, list[tuple[Plant, Outcome]]] = {}
    for done, plant in enumerate(plants, start=1):
        code = readings(nursery.ground, plant.cause)[0].code
        found.setdefault(code, []).append((plant, nursery.judged([plant])))
        if progress is not None:
            progress(done, len(plants))
    rows = [
        Row(
            code,
            tuple(gradient_name(nursery.ground, plant.cause) for plant, _ in pairs),
            sum(outcome.detected for _, outcome in pairs),
            sum(outcome.named for _, outcome in pairs),
            sum(outcome.misled for _, outcome in pairs),
        )
        for code, pairs in sorted(found.items())
    ]
    return SelfTest(describe(problem), tuple(rows))
