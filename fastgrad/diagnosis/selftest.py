"""The test of the tester: every mistake that applies to a network is planted into its own right gradient and looked for.

Called by the command `selftest`. What stays undetected is what this test point hides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from fastgrad.diagnosis.codes import CODES
from fastgrad.diagnosis.names import gradient_name
from fastgrad.diagnosis.plants import Nursery, Outcome, Plant
from fastgrad.diagnosis.words import readings
from fastgrad.model.conventions import describe
from fastgrad.model.network import Problem
from fastgrad.numerical.tracking import Progress, Tracker
from fastgrad.report.base import BaseReport
from fastgrad.report.parts import Finding
from fastgrad.report.table import columns

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


@dataclass(frozen=True, repr=False)
class SelfTest(BaseReport):
    """The outcome of a self-test; prints as a table, and is true where it passed."""

    description: str
    rows: tuple[Row, ...]

    @property
    def verdict(self) -> Literal["right", "wrong", "not judged"]:
        """Right where every mistake that shows was named; where none shows nothing was judged."""
        if not any(row.detected for row in self.rows):
            return "not judged"
        return "right" if all(row.named == row.detected for row in self.rows) else "wrong"

    @property
    def findings(self) -> tuple[Finding, ...]:
        """None: every mistake in it was planted."""
        return ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What cannot be seen at this test point."""
        hidden = [CODES[row.code].title for row in self.rows if row.detected < len(row.places)]
        return (f"Some mistakes cannot be seen at this point, at least in one place: {'; '.join(hidden)}.",) if hidden else ()

    def parts(self) -> dict[str, Any]:
        """Return what the JSON document holds beside schema, passed and verdict."""
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
        return {"description": self.description, "mistakes": rows}

    def sentence(self) -> str:
        """Return what it comes to."""
        planted, detected = sum(len(row.places) for row in self.rows), sum(row.detected for row in self.rows)
        named, misled = sum(row.named for row in self.rows), sum(row.misled for row in self.rows)
        return f"{planted:,} mistakes planted, {detected:,} detected, {named:,} named, {misled:,} taken for another."

    def body(self, ascii_only: bool) -> Iterator[RenderableType]:
        """Yield a line for each mistake, and what hides."""
        table = columns("mistake", "code", "planted", "detected", "named", right=("planted", "detected", "named"))
        for row in self.rows:
            style = (
                "" if row.named == row.detected == len(row.places) else "yellow" if row.named == row.detected else "bold red"
            )
            counts = (str(len(row.places)), str(row.detected), str(row.named))
            table.add_row(CODES[row.code].title, row.code, *counts, style=style)
        yield Text(self.description, style="dim")
        yield Text()
        yield Padding(table, (0, 0, 0, 1))
        yield from (Text(f"\n{note}") for note in self.notes)


@np.errstate(all="ignore")  # as in a check
def selftest(problem: Problem, progress: Progress | None = None) -> SelfTest:
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
    tracker = Tracker(progress, len(plants))
    for plant in plants:
        code = readings(nursery.ground, plant.cause)[0].code
        found.setdefault(code, []).append((plant, nursery.judged([plant])))
        tracker.advance(1)
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
