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
_OFTEN = (1.0, 2.0, 4.0, 0.5, 0.25, 10.0, 100.0, 0.1, 0.01)
"""Constants that people write, whatever else they may be here."""
_NEAR = 1e-9
"""Relative distance at which a fitted factor is a number: rounding leaves some 1e-12 of it."""


def of_examples(c: float, m: int, counts: tuple[int, ...]) -> list[tuple[str, float]]:
    """Return in which ways a factor can be made of m, and what is left of it in each; "" stands for a constant.

    What a power of m alone makes, or a whole multiple of it that nobody writes, needs no other reading; with m - 1, a
    width or the number of layers beside it a constant of few digits is as likely.
    """
    size = abs(c)
    if m < 2 or size in (0.0, 1.0):
        return [("", c)]
    for form in ("m", "1/m", "m²", "1/m²"):
        if m > 2 and _is(size, _MADE[form](m)):
            return [(form, float(np.sign(c)))]
    if m > 2 and size not in _OFTEN:
        for form in ("m(m - 1)", "m(m + 1)"):
            if _is(size, _MADE[form](m)):
                return [(form, float(np.sign(c)))]
        multiples = {2.0, 4.0, *(float(n) for n in counts), *(float(n * n) for n in counts)} - {1.0}
        for form in ("m²", "1/m²", "m", "1/m"):
            for whole in multiples:
                left = whole if form[0] == "m" else 1.0 / whole
                if _is(size, left * _MADE[form](m)):
                    return [(form, float(np.copysign(left, c)))]
    found = [(form, float(np.sign(c))) for form, made in _MADE.items() if "1)" in form and _is(size, made(m))]
    shares = (1.0,) if size in _OFTEN else (1.0, 2.0, 0.5)
    beside = dict.fromkeys(chain.from_iterable((k * n, k / n) for n in counts if n > 1 for k in shares))
    for form in ("m", "1/m"):
        found += [(form, float(np.copysign(left, c))) for left in beside if _is(size, left * _MADE[form](m))]
    # Of more than two digits a constant is less likely than what the program's own numbers make, and than m over a width
    # unless it is one that people write.
    is_own = any(_is(size, made) for n in counts for made in (n / m, m / n))
    if is_own and not _is_written(size):
        return found
    return [("", c), *found] if is_short(c, 2 if found else 4) else found


def _is_written(size: float) -> bool:
    """Whether people write a constant: one of one digit, or with such an inverse, or a ratio of whole numbers up to four."""
    is_digit = any(abs(float(f"{x:.1g}") - x) <= _NEAR * x for x in (size, 1.0 / size))
    return is_digit or any(_is(size, p / q) for p in range(1, 5) for q in range(1, 5))


def _is(size: float, made: float) -> bool:
    return abs(size - made) <= _NEAR * made


def is_short(c: float, most: int = 4) -> bool:
    """Whether a constant has so few digits, or its inverse has, that somebody may have written it."""
    return not c or any(abs(float(f"{x:.{digits}g}") - x) <= _NEAR * abs(x) for x, digits in ((c, most), (1.0 / c, 2)))


def factors_at(c: float, m: int, there: int, counts: tuple[int, ...]) -> list[float]:
    """Return what a factor seen with m examples can be with another number of them; nothing where that is not known."""
    found = of_examples(c, m, counts)
    if there == m and found:
        return [c]
    values = [left * _MADE[form](there) if form else left for form, left in found]
    if not values:
        return []
    # A sum of counts, or a difference, where their product belongs.
    pairs = [(n, sign * n) for n in counts for sign in (1, -1) if n != m and there + sign * n]
    made = [there * n / (there + other) for n, other in pairs if _is(abs(c), abs(m * n / (m + other)))]
    return values + [float(np.copysign(value, c)) for value in made]
