"""Two claimed gradients of one network, of two backends or languages, held against each other and against the numerical one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fastgrad.model.forward import UNIT_ROUNDOFF, base_point
from fastgrad.model.network import Array, Problem, Tensor
from fastgrad.model.rounding import rounding_of_entries
from fastgrad.numerical.how import How
from fastgrad.report import Report
from fastgrad.report.base import BaseReport
from fastgrad.report.documents import number
from fastgrad.report.formatting import closed, listed, printable, significant
from fastgrad.report.parts import Finding
from fastgrad.report.sentences import colored, finding_lines
from fastgrad.report.table import columns
from fastgrad.report.verdicts import signed
from fastgrad.walk import check_as


@dataclass(frozen=True)
class Pair:
    """What was found of one parameter in both gradients.

    Attributes
    ----------
    name : str
        The user's name of the parameter.
    apart : float
        The largest difference between the two, in units of the rounding of an entry; nan where one of them is missing.
    relative_difference : float
        ‖first - second‖ / (‖first‖ + ‖second‖), 0 where both are 0.
    verdicts : tuple of str
        The verdict on each.
    """

    name: str
    apart: float
    relative_difference: float
    verdicts: tuple[str, str]


@dataclass(frozen=True, repr=False)
class Comparison(BaseReport):
    """Two gradients, each judged, and how far they are apart; true where both are right.

    Attributes
    ----------
    names : tuple of str
        What the two are called.
    reports : tuple of Report
        The check of each.
    tensors : tuple of Pair
        In the order of the parameters.
    tolerance : float
        Units of rounding within which two right gradients lie.
    """

    names: tuple[str, str]
    reports: tuple[Report, Report]
    tensors: tuple[Pair, ...]
    tolerance: float

    @property
    def verdict(self) -> Literal["right", "wrong", "not judged"]:
        """Wrong where either is, right where both are."""
        verdicts = {report.verdict for report in self.reports}
        return "wrong" if "wrong" in verdicts else "right" if verdicts == {"right"} else "not judged"

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The mistakes found in either."""
        return tuple(finding for report in self.reports for finding in report.findings)

    @property
    def notes(self) -> tuple[str, ...]:
        """The remarks on either, each with the name of the one it is about."""
        return tuple(f"{name}: {note}" for name, report in zip(self.names, self.reports, strict=True) for note in report.notes)

    @property
    def agree(self) -> bool:
        """Whether the two are the same to rounding, right or wrong."""
        return all(pair.apart <= self.tolerance for pair in self.tensors)

    def parts(self) -> dict[str, Any]:
        """Return what the JSON document holds beside schema, passed and verdict."""
        pairs = [
            {
                "name": pair.name,
                "apart": number(pair.apart),
                "relative_difference": number(pair.relative_difference),
                "verdicts": list(pair.verdicts),
            }
            for pair in self.tensors
        ]
        return {
            "names": list(self.names),
            "agree": self.agree,
            "tolerance": self.tolerance,
            "tensors": pairs,
            "reports": [report.to_dict() for report in self.reports],
        }

    def sentence(self) -> str:
        """Return who is right."""
        first, second = map(printable, self.names)
        verdicts = tuple(report.verdict for report in self.reports)
        if verdicts == ("right", "right"):
            return f"{first} and {second} are both right; {self._distance()}."
        if verdicts == ("wrong", "wrong"):
            same = "and the same to rounding: they share the mistake" if self.agree else f"and differ: {self._distance()}"
            return f"{first} and {second} are both wrong, {same}."
        told = {"right": "right", "wrong": "wrong", "not judged": "not judged"}
        return f"{first} is {told[verdicts[0]]}, {second} is {told[verdicts[1]]}; {self._distance()}."

    def body(self, ascii_only: bool) -> Iterator[RenderableType]:
        """Yield a line for each parameter, and what was found of each gradient."""
        yield Text(printable(self.reports[0].description), style="dim")
        yield Text()
        yield Padding(self._table(ascii_only), (0, 0, 0, 1))
        for name, report in zip(self.names, self.reports, strict=True):
            if report.findings:
                yield Text(f"\n{printable(name)}:", style="bold")
                yield from (colored(line) for finding in report.findings for line in finding_lines(finding, ascii_only))
        if self.notes:
            yield Text()
            yield from (Text(closed(printable(note))) for note in self.notes)

    def _table(self, ascii_only: bool) -> Table:
        headings = ("parameter", *map(printable, self.names), "apart, in roundings", "rel. difference")
        table = columns(*headings, right=headings[3:])
        for pair in self.tensors:
            verdicts = [signed(verdict, ascii_only) for verdict in pair.verdicts]
            table.add_row(Text(printable(pair.name)), *verdicts, significant(pair.apart, 2), f"{pair.relative_difference:.1e}")
        return table

    def _distance(self) -> str:
        known = [pair for pair in self.tensors if not np.isnan(pair.apart)]
        if not known:
            return "nothing of one lies beside the other"
        apart = [pair.name for pair in known if pair.apart > self.tolerance]
        if not apart:
            return f"they agree within {significant(max(pair.apart for pair in known), 2)} roundings of an entry"
        return f"they differ in {listed([printable(name) for name in apart])}"


def compared(names: tuple[str, str], problems: tuple[Problem, Problem], how: How) -> Comparison:
    """Check two problems that differ in their claimed gradients alone, and hold these against each other."""
    reports = check_as(problems[0], how), check_as(problems[1], how)
    with np.errstate(all="ignore"):
        base = base_point(problems[0])
        claims = [problem.claimed for problem in problems]
        size = np.nanmax(np.abs([claim for claim in claims if claim is not None]), axis=0)
        unit = rounding_of_entries(problems[0], base, np.nan_to_num(size, posinf=0.0))
        pairs = tuple(
            _pair(tensors, verdicts, claims, unit)
            for tensors, verdicts in zip(
                zip(problems[0].tensors, problems[1].tensors, strict=True),
                zip(*([t.verdict for t in report.tensors] for report in reports), strict=True),
                strict=True,
            )
        )
    return Comparison(names, reports, pairs, how.allowed)


def _pair(tensors: tuple[Tensor, Tensor], verdicts: tuple[str, str], claims: list[Array | None], unit: Array) -> Pair:
    """Compare one parameter's gradients, in units of the coarser precision of the two."""
    place = slice(tensors[0].start, tensors[0].stop)
    if any(claim is None for claim in claims) or any(tensor.gradient_name is None for tensor in tensors):
        return Pair(tensors[0].name, float("nan"), float("nan"), verdicts)
    first, second = (claim[place] for claim in claims if claim is not None)
    roundoff = max(UNIT_ROUNDOFF[tensor.precision] for tensor in tensors)
    same = (first == second) | (np.isnan(first) & np.isnan(second))
    apart = np.where(same, 0.0, np.abs(first - second) / (roundoff * unit[place]))
    total = np.linalg.norm(first) + np.linalg.norm(second)
    relative = float(np.linalg.norm(np.where(same, 0.0, first - second)) / total) if total else 0.0
    return Pair(tensors[0].name, float(np.nan_to_num(apart, nan=np.inf).max(initial=0.0)), relative, verdicts)
