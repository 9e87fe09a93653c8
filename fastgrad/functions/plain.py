"""Gradients that noise does not disturb: exact differences, or complex steps; and the entries that they leave open.

Called by `gradient` and `check`.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgrad.functions.arguments import Array
from fastgrad.functions.difference import try_complex, try_exact
from fastgrad.functions.evaluation import Function
from fastgrad.functions.exact.slopes import steps_of
from fastgrad.functions.extrapolation import Extrapolated, entry_prober, extrapolate
from fastgrad.functions.noise import UNIT_ROUNDOFF, Noise, scale_of
from fastgrad.functions.step import COMPLEX_STEP

FOLLOWED_FROM = 16
"""Entries from which on exact differences are tried before complex steps: they carry many moves at once, and an operation with
few takes some ten times the time of a plain one."""

AGAIN = 8
"""Kinks that extrapolation looks at again, of those whose slopes exact differences have told."""

AGREEMENT = 6.0
"""Estimated errors of extrapolation within which a slope on one side of a kink is the same ..."""

SLACK = 1e-6
"""... or this share of the jump."""

ROUNDING = 16.0 * UNIT_ROUNDOFF
"""Share of a slope by which it is usually off where nothing is subtracted: the rounding of f, which nobody measures there."""


class Plain(NamedTuple):
    """A gradient without noise.

    Attributes
    ----------
    values : ndarray
        Slopes; nan where they are open.
    steps : ndarray
        The step of each.
    scheme : {"exact", "complex"}
        How they were made.
    open : ndarray of bool
        Entries on kinks, or where f takes another branch.
    left, right : ndarray
        Slopes on the two sides of a kink, if they are known; elsewhere nan.
    """

    values: Array
    steps: Array
    scheme: Literal["exact", "complex"]
    open: NDArray[np.bool_]
    left: Array
    right: Array


def without_noise(function: Function) -> Plain | None:
    """Return the gradient by exact differences or by complex steps, whichever takes less time if both can; None if neither."""
    few = function.x.size < FOLLOWED_FROM
    slopes = None if few else try_exact(function)
    if slopes is None:
        values = try_complex(function)
        if values is not None:
            none = np.full(values.size, np.nan)
            return Plain(values, np.full(values.size, COMPLEX_STEP), "complex", np.zeros(values.size, dtype=bool), none, none)
        slopes = try_exact(function) if few else None
    if slopes is None:
        return None
    return Plain(slopes.values, steps_of(function.x), "exact", slopes.open, slopes.left, slopes.right)


def settled(function: Function, noise: Noise, plain: Plain, entries: NDArray[np.int64]) -> Extrapolated:
    """Return what is to be known of entries in the form of extrapolation, which is asked for those that are open.

    Of kinks whose slopes are known on both sides it is asked for a few, and for the others where it contradicts them.
    """
    found = _as_extrapolated(plain, entries)
    is_open = plain.open[entries]
    known = is_open & found.kink
    again = np.flatnonzero(known)[:: max(1, np.count_nonzero(known) // AGAIN)]
    asked = is_open & ~known
    asked[again] = True
    found = _asked(function, noise, entries, found, asked)
    if again.size and not _agree(found, plain.left[entries], plain.right[entries], again):
        return _asked(function, noise, entries, found, known & ~asked)
    return found


def _as_extrapolated(plain: Plain, entries: NDArray[np.int64]) -> Extrapolated:
    left, right = plain.left[entries], plain.right[entries]
    kink = plain.open[entries] & np.isfinite(left) & np.isfinite(right)
    value = np.where(kink, 0.5 * (left + right), plain.values[entries])
    size = np.where(kink, np.maximum(np.abs(left), np.abs(right)), np.abs(value))
    return Extrapolated(
        value=value,
        error=np.where(kink, 0.5 * np.abs(right - left), ROUNDING * size),
        step=plain.steps[entries],
        right=np.where(kink, right, value),
        left=np.where(kink, left, value),
        doubt=np.where(kink, ROUNDING * size, 0.0),
        swing=size,
        kink=kink,
        unsettled=np.zeros(entries.size, dtype=bool),
    )


def _asked(
    function: Function, noise: Noise, entries: NDArray[np.int64], found: Extrapolated, asked: NDArray[np.bool_]
) -> Extrapolated:
    """Return what was found, with what extrapolation finds of some of the entries."""
    if not asked.any():
        return found
    probed = entries[asked]
    others = extrapolate(function, noise, entry_prober(function, probed), scale_of(function.x)[probed])
    return Extrapolated(*(_filled(array, asked, part) for array, part in zip(found, others, strict=True)))


def _filled(array: NDArray[Any], places: NDArray[np.bool_], part: NDArray[Any]) -> NDArray[Any]:
    """Return a copy of an array with others in some places."""
    filled = array.copy()
    filled[places] = part
    return filled


def _agree(found: Extrapolated, left: Array, right: Array, places: NDArray[np.int64]) -> bool:
    """Whether extrapolation finds the kinks, and the slopes on their two sides."""
    room = AGREEMENT * found.doubt + SLACK * np.abs(right - left)
    same = (np.abs(found.left - left) <= room) & (np.abs(found.right - right) <= room)
    return bool((found.kink & same)[places].all())
