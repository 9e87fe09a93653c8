"""The noise of a function's values, measured by a table of differences.

Called where steps are chosen and where entries are judged.
"""

from __future__ import annotations

from math import comb
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgrad.functions.arguments import Array
from fastgrad.functions.evaluation import Function

UNIT_ROUNDOFF = 2.0**-53

POINTS = 7
"""Values in the table; the authors recommend 7 for deterministic functions."""

FIRST_SPACING = 2.0**-26
"""Of the order of the square root of the unit roundoff: smooth change over six such steps is mostly far below noise in the
higher differences, and the points differ enough for rounding to differ. A power of two, so that the points are exact."""

ATTEMPTS = 4


SINGLE_ROUNDOFF = 2.0**-24

MOST_CANCELLATION = 1e3
"""Times f(x) that terms may be which cancel in it; more noise than their rounding makes is not of that kind."""

VANISHING = 64.0
"""Times its noise that f(x) may be to be nothing but what rounding has left of terms that cancel."""


class Table(NamedTuple):
    """The noise that a table of differences shows, or why it shows none."""

    level: float
    outcome: Literal["found", "uncertain", "too close", "too far apart"]


def difference_table(values: Array) -> Table:
    """Return the noise level of values at equally spaced points.

    Notes
    -----
    For independent noise of standard deviation σ, the k-th differences have the variance σ²·(2k)!/(k!)²; what is smooth
    dies out as k grows. The level is that of the first k whose estimate agrees within a factor 4 with the next two and
    whose differences change sign (ECnoise). Values that differ in the first digit may be a function's own ups and downs:
    then the level is uncertain.

    References
    ----------
    J. J. Moré and S. M. Wild, Estimating computational noise, SIAM J. Sci. Comput. 33 (2011) 1292-1314, section 3.
    """
    largest = float(np.abs(values).max())
    levels, signs, differences = [], [], values / (largest or 1.0)
    for order in range(1, values.size):
        differences = np.diff(differences)
        if order == 1 and np.count_nonzero(differences == 0.0) >= values.size / 2:
            return Table(0.0, "too close")
        levels.append(float(np.sqrt(np.mean(differences**2) / comb(2 * order, order))))
        signs.append(bool(differences.min() < 0.0 < differences.max()))
    for k in range(values.size - 3):
        if max(levels[k : k + 3]) <= 4.0 * min(levels[k : k + 3]) and signs[k]:
            is_certain = np.ptp(values) <= 0.1 * largest
            return Table(levels[k] * largest, "found" if is_certain else "uncertain")
    return Table(0.0, "too far apart")


def scale_of(x: Array) -> Array:
    """Return for each entry the power of two nearest to max(|x|, 1): what counts as a move of size one."""
    return np.exp2(np.round(np.log2(np.maximum(np.abs(x), 1.0))))


def random_signs(seed: int, count: int, size: int) -> Array:
    """Draw directions of entries ±1, shape (count, size)."""
    return np.random.default_rng(seed).choice([-1.0, 1.0], size=(count, size))


class Measured(NamedTuple):
    """A function's noise level, and whether its values, all that were seen, are numbers of single precision."""

    level: float
    is_single: bool


class Noise:
    """The noise level of a function at its point, measured when somebody first asks for it."""

    def __init__(self, function: Function, seed: int = 0) -> None:
        self._function, self._seed = function, seed
        self._level: float | None = None
        self._is_single = False

    @property
    def known(self) -> float:
        """The measured level; before it was measured, the rounding of f(x)."""
        return self.floor if self._level is None else self._level

    @property
    def floor(self) -> float:
        """The rounding of f(x)."""
        return UNIT_ROUNDOFF * abs(self._function.value)

    @property
    def is_measured(self) -> bool:
        """Whether somebody asked."""
        return self._level is not None

    @property
    def level(self) -> float:
        """The measured level."""
        if self._level is None:
            self._level, self._is_single = measure_noise(self._function, self._seed)
        return self._level

    @property
    def vanishes(self) -> bool:
        """Whether f(x) is what rounding leaves of terms as large as numbers like x may make them, that is, 0."""
        plausible = self.level <= MOST_CANCELLATION * self.unit_roundoff * self._largest
        return plausible and abs(self._function.value) <= VANISHING * self.level

    @property
    def unit_roundoff(self) -> float:
        """That of the precision that f computes in: single where its values tremble so, or are numbers of single precision.

        What rounding leaves of terms that cancel has few bits in any precision; it is known by its size.
        """
        value = abs(self._function.value)
        trembles = 0.125 * SINGLE_ROUNDOFF * value < self.level <= MOST_CANCELLATION * SINGLE_ROUNDOFF * value
        coarse = self._is_single and self.level > MOST_CANCELLATION * UNIT_ROUNDOFF * self._largest
        return SINGLE_ROUNDOFF if trembles or coarse else UNIT_ROUNDOFF

    @property
    def entry_terms(self) -> Array | float:
        """Size of the terms that cancel in what an entry of x changes: of a number nobody can tell, and all of f may."""
        return self.terms

    @property
    def _largest(self) -> float:
        """The largest number that f may well be made of: in x, or 1."""
        return max(1.0, float(np.abs(self._function.x).max()))

    @property
    def terms(self) -> float:
        """Size of the terms that cancel in f: those whose rounding makes its noise, at least f(x) itself."""
        value = abs(self._function.value)
        terms = self.level / self.unit_roundoff
        return max(value, terms if self.vanishes else min(terms, MOST_CANCELLATION * value))


def measure_noise(function: Function, seed: int = 0) -> Measured:
    """Return the noise level of a function at its point, at least the rounding of its value, and whether values are single.

    Notes
    -----
    Six values beside f(x) on a line from x along random signs: to one side only, so that a kink at x, where kinks mostly
    are, is not taken for noise. Where the table says that points are too close or too far apart, again with another
    spacing, as the authors advise; an uncertain level counts if a spacing 128 times smaller shows it as well.
    """
    direction = function.inward(random_signs(seed, 1, function.x.size)[0] * scale_of(function.x))
    spacing, before = FIRST_SPACING, 0.0
    for _ in range(ATTEMPTS):
        beside = function.along(direction, spacing * np.arange(1.0, POINTS), forgiving=True)
        values = np.append(function.value, beside)
        is_single = bool((_rounded(values) == values).all())
        floor = (SINGLE_ROUNDOFF if are_single(values) else UNIT_ROUNDOFF) * abs(function.value)
        table = difference_table(values) if np.isfinite(values).all() else Table(0.0, "too far apart")
        again = 0.25 * before <= table.level <= 4.0 * before
        if table.outcome == "found":
            return Measured(max(table.level, floor), is_single)
        if before > 0.0 and (again or table.outcome == "too close"):
            return Measured(max(before, floor), is_single)
        before = table.level
        spacing *= 128.0 if table.outcome == "too close" else 1.0 / 128.0
    return Measured(floor, is_single)


def are_single(values: Array) -> NDArray[np.bool_]:
    """Whether values, along the last axis, are numbers of single precision, and not all of them short, such as 3 or 0.25.

    Of other numbers one in 2²⁹ is single by chance, and of those of single precision one in 2¹² has no more than 12 bits.
    """
    bits = np.frexp(values)[0] * 2.0**12
    return np.asarray((_rounded(values) == values).all(axis=-1) & (bits != np.round(bits)).any(axis=-1))


def _rounded(values: Array) -> NDArray[np.float32]:
    """Round to single precision."""
    with np.errstate(over="ignore", invalid="ignore"):
        return values.astype(np.float32)
