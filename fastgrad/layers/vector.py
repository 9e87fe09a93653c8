"""A function of several values, and its slopes along directions: an evaluation serves all values.

Called by `jacobian`. Complex steps where the function takes them, elsewhere extrapolated differences with a noise for each
value.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from math import comb
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgrad.errors import InputError
from fastgrad.functions.arguments import Array
from fastgrad.functions.difference import CONFIRMING
from fastgrad.functions.evaluation import Function
from fastgrad.functions.extrapolation import CHUNK, Extrapolated, Probe, extrapolate
from fastgrad.functions.noise import (
    FIRST_SPACING,
    POINTS,
    SINGLE_ROUNDOFF,
    UNIT_ROUNDOFF,
    are_single,
    random_signs,
    scale_of,
)
from fastgrad.functions.step import COMPLEX_STEP
from fastgrad.layers.arguments import described

EXACT = 16.0
"""Roundings that a complex step may be off by."""


class Vector(Function):
    """A function of several values at a point.

    Attributes
    ----------
    value : ndarray, shape (rows,)
        f(x), flat.
    shape : tuple of int
        The shape of what f returns.
    """

    value: Any
    shape: tuple[int, ...]

    def __init__(self, f: Callable[..., Any], x: Any, reset: Callable[[], object] | None = None) -> None:
        super().__init__(f, x, reset=reset)
        self.noise = self._measured()

    @property
    def can_be_complex(self) -> bool:
        """Whether complex arguments may be tried."""
        return not self._compiled

    def along_imaginary(self, direction: Array, step: float) -> Any:
        """Return f(x + i·step·direction)."""
        return self._at(iter([self.x + 1j * step * direction]), 1, False, np.complex128)[0]

    def _base(self) -> Any:
        self.shape = ()
        first, second = (self._one(self.x.copy(), False, np.float64) for _ in range(2))
        self.evaluations += 2
        if not np.array_equal(first, second):
            raise InputError(
                "f gives two values for the same x; a derivative needs one value for one point: seed what it draws anew in "
                "each call; seed=reset calls reset() before each call"
            )
        return np.atleast_1d(first)

    def _at(self, points: Iterator[NDArray[Any]], count: int, forgiving: bool, dtype: Any = np.float64) -> NDArray[Any]:
        self.evaluations += count
        values = np.empty((count, self.value.size), dtype=dtype)
        for row, point in enumerate(points):
            value = np.atleast_1d(self._one(point, forgiving, dtype))
            if value.size not in (1, self.value.size):
                raise InputError(f"f gives {value.size} values near x, and {self.value.size} at x")
            values[row] = value
        return values

    def _number(self, value: Any, point: NDArray[Any], dtype: Any) -> Any:
        try:
            array = np.asarray(value)
        except Exception:
            array = np.empty(0, dtype=object)
        if array.dtype.kind not in ("fiubc" if dtype is np.complex128 else "fiub") or array.size == 0:
            hint = "; is its return missing?" if value is None else ""
            raise InputError(f"f gives {described(value)} at {self._where(point)}; expected real numbers{hint}")
        self.shape = self.shape or array.shape
        return array.ravel().astype(dtype)

    def _finite(self, value: Any, point: NDArray[Any], forgiving: bool) -> Any:
        if not np.isfinite(value).all() and not forgiving:
            raise InputError(f"f gives values that are not finite at {self._where(point)}; a derivative needs finite ones")
        return np.where(np.isfinite(value), value, np.nan)

    def _measured(self) -> Array:
        """Return the noise of each value.

        Notes
        -----
        As in `functions.noise`: differences of high order of values on a line hold nothing but noise, whose variance they
        multiply by (2k)!/(k!)². Taken is the least of the orders 3 to 5, twice, at the first spacing at which values differ.
        """
        direction = random_signs(0, 1, self.x.size)[0] * scale_of(self.x)
        floor = np.abs(self.value) * UNIT_ROUNDOFF
        spacing = FIRST_SPACING
        for _ in range(3):
            beside = self.along(direction, spacing * np.arange(1.0, POINTS), forgiving=True)
            values = np.vstack([self.value, beside])
            single = are_single(values.T)
            floor = np.where(single, np.fmax(floor, SINGLE_ROUNDOFF * np.abs(self.value)), floor)
            same = np.count_nonzero(np.diff(values, axis=0) == 0.0, axis=0) >= 3
            if not np.any(same & single):
                break
            spacing *= 128.0
        levels = [np.sqrt(np.mean(np.diff(values, k, axis=0) ** 2, axis=0) / comb(2 * k, k)) for k in (3, 4, 5)]
        return np.asarray(np.fmax(floor, 2.0 * np.nan_to_num(np.min(levels, axis=0))))


class Slopes(NamedTuple):
    """Slopes of every value along every direction, each of shape (directions, rows); as in `Extrapolated`."""

    value: Array
    error: Array
    right: Array
    left: Array
    doubt: Array
    swing: Array
    kink: NDArray[np.bool_]
    unsettled: NDArray[np.bool_]
    is_complex: bool


class _Zero:
    """The value at x of what is measured from there, and its noise, which every row has for itself."""

    value = 0.0
    known = 0.0
    level = 0.0
    is_measured = True


def slopes_along(function: Vector, directions: Array) -> Slopes:
    """Return the slopes of all values along directions, shape (directions, size)."""
    exact = _complex_slopes(function, directions)
    if exact is not None:
        none = np.zeros(exact.shape, dtype=bool)
        error = EXACT * UNIT_ROUNDOFF * np.abs(exact)
        return Slopes(exact, error, exact, exact, error, np.abs(exact), none, none, True)
    rows = function.value.size
    blocks = np.array_split(directions, range(max(1, CHUNK // rows), len(directions), max(1, CHUNK // rows)))
    found = [_extrapolated(function, block) for block in blocks]
    parts = [np.concatenate(part).reshape(len(directions), rows) for part in zip(*found, strict=True)]
    named = dict(zip(Extrapolated._fields, parts, strict=True))
    return Slopes(**{name: named[name] for name in Slopes._fields[:-1]}, is_complex=False)


def _extrapolated(function: Vector, directions: Array) -> Extrapolated:
    """Extrapolate all values along some directions; each point is evaluated once, for all values that need it."""
    rows = function.value.size
    sizes = np.array([np.max(np.abs(function.x[d != 0.0] / d[d != 0.0]), initial=0.0) for d in directions])
    known: dict[tuple[int, float], tuple[Array, Array]] = {}

    def probe(chosen: NDArray[np.int64], steps: Array) -> Probe:
        which, outputs = np.divmod(chosen, rows)
        wanted = sorted({key for key in zip(which.tolist(), steps.tolist(), strict=True) if key not in known})
        if wanted:
            moves = directions[[key[0] for key in wanted]]
            lengths = np.array([key[1] for key in wanted])
            upper = function.along(moves, lengths, forgiving=True) - function.value
            lower = function.along(moves, -lengths, forgiving=True) - function.value
            known.update(zip(wanted, zip(upper, lower, strict=True), strict=True))
        pairs = [known[key] for key in zip(which.tolist(), steps.tolist(), strict=True)]
        above = np.array([pair[0][output] for pair, output in zip(pairs, outputs, strict=True)])
        below = np.array([pair[1][output] for pair, output in zip(pairs, outputs, strict=True)])
        # What a value moves away from x rounds by its own size.
        moved = UNIT_ROUNDOFF * np.fmax(np.abs(above), np.abs(below))
        return Probe(above, below, steps, steps, sizes[which], np.fmax(function.noise[outputs], moved))

    # The first step moves x as a whole by what a single entry would be moved by.
    scales = np.array([np.count_nonzero(direction) ** -0.5 for direction in directions])
    return extrapolate(_Zero(), _Zero(), probe, np.repeat(scales, rows))


def _complex_slopes(function: Vector, directions: Array) -> Array | None:
    """Return slopes by complex steps, or None where f does not take them or is not analytic."""
    if not function.can_be_complex:
        return None
    trial = random_signs(0, 1, function.x.size)[0] * scale_of(function.x)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("error")  # numpy warns where it drops an imaginary part
            imaginary = function.along_imaginary(trial, COMPLEX_STEP)
            near = 2.0**-40 * np.abs(function.value) + 2.0**-48 * np.abs(function.value).max()
            if not (np.abs(imaginary.real - function.value) <= near).all():
                return None
            slope = imaginary.imag / COMPLEX_STEP
            if not any(_confirms(function, trial, step, slope) for step in CONFIRMING):
                return None
            found = [function.along_imaginary(direction, COMPLEX_STEP).imag / COMPLEX_STEP for direction in directions]
    except ValueError:
        return None
    return np.array(found) if np.isfinite(found).all() else None


def _confirms(function: Vector, direction: Array, step: float, slope: Array) -> bool:
    """Whether a central difference agrees with the slopes of all values."""
    upper, lower = function.along(direction, step * np.array([1.0, -1.0]), forgiving=True)
    rounding = 64.0 * (UNIT_ROUNDOFF * np.maximum(np.abs(upper), np.abs(lower)) + function.noise) / step
    off = np.abs(slope - (upper - lower) / (2.0 * step))
    return bool((off <= 2.0**-20 * np.abs(slope) + rounding).all())
