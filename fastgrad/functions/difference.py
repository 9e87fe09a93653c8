"""The formulas of the books: forward, central, five-point and complex differences.

Called by `gradient` and `check`.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from fastgrad.functions.arguments import Array
from fastgrad.functions.evaluation import Function
from fastgrad.functions.noise import UNIT_ROUNDOFF, random_signs, scale_of
from fastgrad.functions.step import COMPLEX_STEP, Scheme

CONFIRMING = (2.0**-17, 2.0**-27, 2.0**-37)
"""Steps of the differences that complex steps are held against."""


def classical(function: Function, scheme: Scheme, steps: Array, entries: NDArray[np.int64], forgiving: bool = False) -> Array:
    """Return the gradient's entries by a formula of the books, with these steps; nan where f fails, if that is forgiven.

    Notes
    -----
    forward (f(x+h) - f(x))/h; central (f(x+h) - f(x-h))/2h; five-point (f(x-2h) - 8f(x-h) + 8f(x+h) - f(x+2h))/12h;
    complex Im f(x+ih)/h.
    """
    if scheme == "complex":
        return np.asarray(function.moved_imaginary(float(steps[0])).imag[entries] / steps)
    if scheme == "forward":
        return np.asarray((function.moved(entries, steps, forgiving) - function.value) / steps)
    upper, lower = both_sides(function, steps, entries, forgiving)
    if scheme == "central":
        return (upper - lower) / (2.0 * steps)
    upper2, lower2 = both_sides(function, 2.0 * steps, entries, forgiving)
    return (-upper2 + 8.0 * upper - 8.0 * lower + lower2) / (12.0 * steps)


def both_sides(function: Function, steps: Array, entries: NDArray[np.int64], forgiving: bool) -> tuple[Array, Array]:
    """Return values above x and below."""
    offsets = np.column_stack([steps, -steps]).ravel()
    values = function.moved(np.repeat(entries, 2), offsets, forgiving)
    return values[::2], values[1::2]


def try_complex(function: Function, seed: int = 0) -> Array | None:
    """Return the gradient by complex steps, or None where the function does not take them or is not analytic there.

    Notes
    -----
    Held against a difference along random signs: what breaks analyticity, an absolute value, a conjugate, a comparison at a
    kink, changes the imaginary part and not the difference. Its step of 2⁻¹⁷ leaves 2⁻³⁴ to truncation and u·2¹⁷ = 2⁻³⁶ to
    rounding, relative; a disagreement of 2⁻²⁰ is neither. Beside a pole the step reaches across it: then a smaller one
    counts, if rounding leaves it the digits.
    """
    direction = function.inward(random_signs(seed, 1, function.x.size)[0] * scale_of(function.x))
    slope = complex_slope(function, direction)
    if slope is None:
        return None
    gradient = np.imag(function.moved_imaginary(COMPLEX_STEP)) / COMPLEX_STEP
    terms = gradient * direction
    return gradient if abs(terms.sum() - slope) <= 2.0**-20 * np.abs(terms).sum() else None


def complex_slope(function: Function, direction: Array) -> float | None:
    """Return the slope along a direction by a complex step, or None where the function is not analytic there."""
    imaginary = _complex_value(function, direction) if function.can_be_complex else None
    if imaginary is None or not abs(imaginary.real - function.value) <= 2.0**-40 * abs(function.value):
        return None
    slope = imaginary.imag / COMPLEX_STEP
    return slope if any(_confirms(function, direction, step, slope) for step in CONFIRMING) else None


def _confirms(function: Function, direction: Array, step: float, slope: float) -> bool:
    """Whether a difference of second order, at the edge of the domain one to its inside, agrees with a slope."""
    two_sided = function.has_room(-direction)
    upper, other = function.along(direction, step * np.array([1.0, -1.0 if two_sided else 2.0]), forgiving=True)
    change = upper - other if two_sided else 4.0 * upper - 3.0 * function.value - other
    rounding = 64.0 * UNIT_ROUNDOFF * max(abs(upper), abs(other)) / step
    fine = step == CONFIRMING[0] or rounding <= 2.0**-20 * abs(slope)
    return bool(fine and abs(slope - change / (2.0 * step)) <= 2.0**-20 * abs(slope) + rounding)


def _complex_value(function: Function, direction: Array) -> complex | None:
    """Return f at a complex point, or None where it fails in any way."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("error")  # numpy warns where it drops an imaginary part
            return function.along_imaginary(direction, COMPLEX_STEP)
    except ValueError:
        return None
