"""Which number of the problem a factor is: a length of an axis, its root or its inverse, or a number that people write."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

EVERYDAY = (2.0, 0.5, 3.0, 4.0, 0.25, 10.0, 0.1)
"""Factors that need no other reading."""

NEAR = 1e-6
"""Relative precision from which on a factor is taken for a number at all; one known less well is nobody's in particular."""


@dataclass(frozen=True)
class Numbers:
    """The numbers of a problem: what each of them is, "the length of axis 0 of x"."""

    named: Mapping[float, str]

    def reading(self, factor: float, slack: float) -> str:
        """Return what a factor is: "√5, where 5 is the length of axis 0 of Q"; empty where it is no number of the problem.

        Empty as well where it may be several.
        """
        size = abs(factor)
        if slack > NEAR * size or size == 1.0 or any(abs(size - number) <= slack for number in EVERYDAY):
            return ""
        forms = {text: n for n in self.named for text, value in _forms(n) if _is(value, size, slack)}
        if len(set(forms.values())) != 1:
            return ""
        text, number = next(iter(forms.items()))
        sign = "-" if factor < 0.0 else ""
        return (
            f"{sign}{text}, where {number:g} is {self.named[number]}"
            if text != f"{number:g}"
            else f"{number:g} is {self.named[number]}"
        )


def _forms(n: float) -> list[tuple[str, float]]:
    """Return what is made of a number of the problem, the usual first."""
    root, square = math.sqrt(n), n * n
    return [
        (f"{n:g}", n),
        (f"1/{n:g}", 1.0 / n),
        (f"√{n:g}", root),
        (f"1/√{n:g}", 1.0 / root),
        (f"{n:g}²", square),
        (f"1/{n:g}²", 1.0 / square),
        (f"2·{n:g}", 2.0 * n),
        (f"2/{n:g}", 2.0 / n),
        (f"{n:g}/{n - 1.0:g}", n / (n - 1.0)),
        (f"{n - 1.0:g}/{n:g}", (n - 1.0) / n),
    ]


def _is(value: float, size: float, slack: float) -> bool:
    return abs(value - size) <= slack + 1e-12 * size
