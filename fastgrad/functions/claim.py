"""The gradient that is to be checked: how it is called, brought into the form of x, and how far rounding may move it.

Called by `check` and `directions`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.errors import InputError
from fastgrad.functions.arguments import Array
from fastgrad.functions.evaluation import Function
from fastgrad.functions.noise import SINGLE_ROUNDOFF, UNIT_ROUNDOFF, Noise

ROUNDINGS = 1024.0
"""Roundings that a correct gradient may be off by: sums of a million terms in any order, with room."""

ZERO = 16.0
"""Roundings of terms that cancel which are left where a gradient is 0."""

NEGLIGIBLE = 1e-6
"""Share of what a slope may well be that may hide in noise, and the slope is right all the same."""


@dataclass(frozen=True)
class Claim:
    """A claimed gradient, flat, shape (size,), the unit roundoff it was computed with, and the share of it that may be off."""

    values: Array
    unit_roundoff: float
    tolerance: float = 0.0

    def rounding(self, numerical: Array, noise: Noise, scale: Array) -> Array:
        """Return how far a correct gradient may be off by its own rounding.

        Notes
        -----
        By that of its value, and by that of the terms which cancel in it: they are those that cancel in f, divided by the
        scale of the entry. How large these are f's noise tells, which is their rounding in the precision of f.
        """
        return ROUNDINGS * self.unit_roundoff * (self.size(numerical) + noise.entry_terms / scale)

    def allowed(self, numerical: Array) -> Array:
        """Return how far off an entry may be by the tolerance."""
        return self.tolerance * self.size(numerical)

    def agrees(self, numerical: Array, bound: Array) -> NDArray[np.bool_]:
        """Return where both values differ by no more than rounding, noise and tolerance explain."""
        with np.errstate(invalid="ignore"):
            return np.asarray(np.abs(self.values - numerical) <= bound + self.allowed(numerical))

    def zeros(self, noise: Noise, scale: Array) -> Array:
        """Return, where an entry is 0 to the rounding of terms that cancel in it, how large such rounding may be; elsewhere 0.

        That f's slope is 0 as well is then all that can be seen: its own rounding is of that size, and hides no mistake in
        what is no more than rounding.
        """
        terms = noise.entry_terms / scale
        unit = max(self.unit_roundoff, noise.unit_roundoff)
        is_zero = np.abs(self.values) <= ZERO * self.unit_roundoff * terms
        return np.asarray(np.where(is_zero, 2.0 * ROUNDINGS * unit * terms, 0.0))

    def size(self, numerical: Array) -> Array:
        """Return the size of the entries, the larger of both values; 0 for what is not finite."""
        values = (np.abs(np.nan_to_num(value, posinf=0.0, neginf=0.0)) for value in (self.values, numerical))
        return np.asarray(np.maximum(*values))


def claim_of(gradient: Any, function: Function, tolerance: float = 0.0) -> Claim:
    """Return the claim of a gradient, of which a function is called, twice."""
    if not callable(gradient):
        return _claim(gradient, function, tolerance)
    first, second = (_claim(_called(gradient, function), function, tolerance) for _ in range(2))
    if not np.array_equal(first.values, second.values, equal_nan=True):
        raise InputError(
            "the gradient gives two results for the same x: set what it adds to back to 0 in every call, and seed what it "
            "draws; check_function(…, seed=reset) calls reset() before each call"
        )
    return first


def relative_difference(claimed: Array, numerical: Array) -> float:
    """Return ‖claimed - numerical‖ / (‖claimed‖ + ‖numerical‖), 0 where both are 0, of entries that have a numerical value."""
    known = np.isfinite(numerical)
    claimed, numerical = claimed[known], numerical[known]
    largest = float(np.abs(np.concatenate([claimed, numerical, [0.0]])).max())
    if largest == 0.0:
        return 0.0
    scale = 2.0 ** min(math.frexp(largest)[1], 1023)  # exact, and squares do not overflow
    ours, theirs = numerical / scale, claimed / scale
    with np.errstate(invalid="ignore"):
        return float(np.linalg.norm(theirs - ours) / (np.linalg.norm(theirs) + np.linalg.norm(ours)))


def _claim(value: Any, function: Function, tolerance: float) -> Claim:
    values = function.layout.flatten(value, "the gradient")
    return Claim(values, SINGLE_ROUNDOFF if _is_single(value) else UNIT_ROUNDOFF, tolerance)


def _called(gradient: Callable[..., Any], function: Function) -> Any:
    """Call the gradient with a copy of x."""
    point = function.x.copy()
    function.reset()
    try:
        value = gradient(function.layout.build(point))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # exit() included, as for f
        raise InputError(f"the gradient raises {type(error).__name__}: {error}") from error
    if not np.array_equal(point, function.x):
        raise InputError("the gradient modifies its argument; let it work on a copy (x = x.copy())")
    if value is None:
        raise InputError("the gradient gives None; its return may be missing")
    return value


def _is_single(value: Any) -> bool:
    """Whether any part of a gradient has single precision."""
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else [value]
    return any(getattr(part, "dtype", None) in (np.dtype(np.float32), np.dtype(np.float16)) for part in parts)
