"""What a factor can be made of: the number of examples, widths, the number of layers, or a constant that somebody wrote."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

import numpy as np

_MADE: dict[str, Callable[[int], float]] = {
    "m": lambda m: float(m),
    "1/m": lambda m: 1.0 / m,
    "m²": lambda m: float(m * m),
    "1/m²": lambda m: 1.0 / (m * m),
    "m/(m - 1)": lambda m: m / (m - 1.0),
    "(m - 1)/m": lambda m: (m - 1.0) / m,
    "m/(m + 1)": lambda m: m / (m + 1.0),
    "(m + 1)/m": lambda m: (m + 1.0) / m,
    "m(m - 1)": lambda m: m * (m - 1.0),
    "m(m + 1)": lambda m: m * (m + 1.0),
}
"""What people's numbers of examples come to: by its name, of m."""
_ALONE = (1.0, 2.0, 0.5)


def of_examples(c: float, m: int, counts: tuple[int, ...]) -> list[tuple[str, float]]:
    """Return in which ways a factor can be made of m, and what is left of it in each; "" stands for a constant.

    What m alone makes, or m and a 2, needs no other reading; with a width or the number of layers beside it a short
    constant is as likely.
    """
    size = abs(c)
    if m > 2:
        for form, made in _MADE.items():
            if abs(size - made(m)) <= 1e-9 * size:
                return [(form, float(np.sign(c)))]
        for form in ("m", "1/m"):
            for left in (2.0, 0.5):
                if size not in (4.0, 0.25, *_ALONE) and abs(size - left * _MADE[form](m)) <= 1e-9 * size:
                    return [(form, float(np.copysign(left, c)))]
    found = [("", c)] if is_short(c) else []
    beside = dict.fromkeys(chain.from_iterable((float(n), 1.0 / n, 2.0 * n, 2.0 / n, 0.5 * n, 0.5 / n) for n in counts if n > 1))
    for form in ("m", "1/m"):
        for left in beside:
            if m > 1 and abs(size - left * _MADE[form](m)) <= 1e-9 * size:
                found.append((form, float(np.copysign(left, c))))
    return found


def is_short(c: float) -> bool:
    """Whether a constant has so few digits, or its inverse has, that somebody may have written it."""
    return any(abs(float(f"{x:.3g}") - x) <= 1e-9 * abs(x) for x in (c, 1.0 / c) if x) if c else True


def factors_at(c: float, m: int, there: int, counts: tuple[int, ...]) -> list[float]:
    """Return what a factor seen with m examples can be with another number of them; nothing where that is not known."""
    if there == m:
        return [c]
    return [left * _MADE[form](there) if form else left for form, left in of_examples(c, m, counts)]
