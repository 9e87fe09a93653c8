"""The gradient that is to be checked: how it is called, brought into the form of x, and how far rounding may move it.

Called by `check` and `directions`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastgrad.errors import InputError
from fastgrad.functions.arguments import Array
from fastgrad.functions.evaluation import Function
from fastgrad.functions.noise import UNIT_ROUNDOFF, Noise

ROUNDINGS = 1024.0
"""Roundings that a correct gradient may be off by: sums of a million terms in any order, with room."""


@dataclass(frozen=True)
class Claim:
    """A claimed gradient, flat, shape (size,), and the unit roundoff it was computed with."""

    values: Array
    unit_roundoff: float

    def rounding(self, numerical: Array, noise: Noise, scale: Array) -> Array:
        """Return how far a correct gradient may be off by its own rounding.

        Notes
        -----
        By that of its value, and by that of the terms which cancel in it: they are those that cancel in f, whose noise is
        known, divided by the scale of the entry. Noise beyond a thousand roundings of f(x) is not of that kind.
        """
        size = np.maximum(np.abs(np.nan_to_num(self.values, posinf=0.0, neginf=0.0)), np.abs(np.nan_to_num(numerical)))
        terms = min(noise.level, 1e3 * noise.floor) * (self.unit_roundoff / UNIT_ROUNDOFF)
        return ROUNDINGS * (self.unit_roundoff * size + terms / scale)


def claim_of(gradient: Any, function: Function) -> Claim:
    """Return the claim of a gradient, of which a function is called, twice."""
    if not callable(gradient):
        return _claim(gradient, function)
    first, second = (_claim(_called(gradient, function), function) for _ in range(2))
    if not np.array_equal(first.values, second.values, equal_nan=True):
        raise InputError(
            "the gradient gives two results for the same x: set what it adds to back to 0 in every call, and seed what it draws"
        )
    return first


def relative_difference(claimed: Array, numerical: Array) -> float:
    """Return ‖claimed - numerical‖ / (‖claimed‖ + ‖numerical‖), 0 where both are 0."""
    largest = float(np.abs(np.concatenate([claimed, numerical, [0.0]])).max())
    if largest == 0.0:
        return 0.0
    scale = 2.0 ** min(math.frexp(largest)[1], 1023)  # exact, and squares do not overflow
    ours, theirs = numerical / scale, claimed / scale
    return float(np.linalg.norm(theirs - ours) / (np.linalg.norm(theirs) + np.linalg.norm(ours)))


def _claim(value: Any, function: Function) -> Claim:
    values = function.layout.flatten(value, "the gradient")
    return Claim(values, 2.0**-24 if _is_single(value) else UNIT_ROUNDOFF)


def _called(gradient: Callable[..., Any], function: Function) -> Any:
    """Call the gradient with a copy of x."""
    point = function.x.copy()
    try:
        value = gradient(function.layout.build(point))
    except Exception as error:
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
