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
    Held against a central difference along random signs: what breaks analyticity, an absolute value, a conjugate, a
    comparison at a kink, changes the imaginary part and not the difference. Its step of 2⁻¹⁷ leaves 2⁻³⁴ to truncation
    and u·2¹⁷ = 2⁻³⁶ to rounding, relative; a disagreement of 2⁻²⁰ is neither.
    """
    if not function.can_be_complex:
        return None
    direction = random_signs(seed, 1, function.x.size)[0] * scale_of(function.x)
    imaginary = _complex_value(function, direction)
    if imaginary is None or not abs(imaginary.real - function.value) <= 2.0**-40 * abs(function.value):
        return None
    step = 2.0**-17
    upper, lower = function.along(direction, np.array([step, -step]), forgiving=True)
    slope, real = imaginary.imag / COMPLEX_STEP, (upper - lower) / (2.0 * step)
    allowed = 2.0**-20 * abs(slope) + 64.0 * UNIT_ROUNDOFF * max(abs(upper), abs(lower)) / step
    if not abs(slope - real) <= allowed:
        return None
    gradient = np.imag(function.moved_imaginary(COMPLEX_STEP)) / COMPLEX_STEP
    terms = gradient * direction
    return gradient if abs(terms.sum() - slope) <= 2.0**-20 * np.abs(terms).sum() else None


def _complex_value(function: Function, direction: Array) -> complex | None:
    """Return f at a complex point, or None where it fails in any way."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("error")  # numpy warns where it drops an imaginary part
            return function.along_imaginary(direction, COMPLEX_STEP)
    except ValueError:
        return None
