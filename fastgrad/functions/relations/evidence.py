"""How much a relation between two arrays proves: the entries that could have contradicted it, beyond those it was fitted to."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.functions.arguments import Array

LEAST_ENTRIES = 2
"""Independent entries beyond the fitted ones that a proof takes: one number is evidence of nothing."""

LEAST_BITS = 40.0
"""Bits by which these together make chance hopeless: the errors, being of the size that they are, fall into the bounds of what
a relation predicts with a chance of 2 to the minus 40; some hundred relations are tried."""

ROUNDING = 2.0**-44
"""Share of a number by which fitting, a product and a sum may move it."""


@dataclass(frozen=True)
class Compared:
    """A tensor's claimed and numerical gradient, in its own shape, and how far rounding and noise let both differ.

    Where nothing is known of an entry, its bound is infinite or its numerical value nan.
    """

    name: str
    claimed: Array
    numerical: Array
    bound: Array

    @cached_property
    def is_known(self) -> NDArray[np.bool_]:
        """Where there is a numerical value to compare with."""
        return np.isfinite(self.numerical) & np.isfinite(self.bound)

    @cached_property
    def is_wrong(self) -> NDArray[np.bool_]:
        """Where the claim is not the numerical value; nan and infinite claims among them."""
        with np.errstate(invalid="ignore"):
            return self.is_known & ~(np.abs(self.claimed - self.numerical) <= self.bound)


@dataclass(frozen=True)
class Relation:
    """What a claim would be, and how it was made.

    Attributes
    ----------
    code : str
        Its stable code.
    predicted, bound : ndarray
        The claim that it predicts, and how far off that may be.
    groups : ndarray of int, optional
        To which fitted number each entry belongs; None where nothing was fitted.
    number, slack : float
        The number that was fitted, a factor or an offset, and how far off it may be; None where there is none, or are several.
    said : dict
        What the words need: names of other tensors, axes, the numbers of slices.
    undo : callable, optional
        From a claim to the right gradient, at any point; of an exchange, the right gradient of the other tensor.
    """

    code: str
    predicted: Array
    bound: Array
    groups: NDArray[np.int64] | None = None
    number: float | None = None
    slack: float = 0.0
    said: dict[str, Any] = field(default_factory=dict)
    undo: Callable[[Array], Array] | None = None


@dataclass(frozen=True)
class Weight:
    """Independent entries that agree with a relation and could have contradicted it, and the bits that they are worth."""

    entries: int
    bits: float
    explained: int
    total: int

    @property
    def is_proof(self) -> bool:
        """Whether chance is out of the question."""
        return self.entries >= LEAST_ENTRIES and self.bits >= LEAST_BITS


def weigh(compared: Compared, relation: Relation) -> Weight | None:
    """Return the weight of a relation; None where an entry contradicts it, or where it does not differ from being right."""
    known = compared.is_known & np.isfinite(relation.predicted) & np.isfinite(relation.bound)
    wrong = compared.is_wrong & known
    if not wrong.any() or not np.isfinite(compared.claimed[known]).all():
        return None
    off = np.abs(compared.claimed - relation.predicted, where=known, out=np.zeros(known.shape))
    room = relation.bound + ROUNDING * np.abs(compared.claimed)
    if (off[known] > room[known]).any():
        return None
    groups = np.zeros(known.shape, dtype=np.int64) if relation.groups is None else relation.groups
    fitted = 0 if relation.groups is None else 1
    telling = np.where(relation.predicted == 0.0, compared.numerical, relation.predicted)  # every slope might have been claimed
    entries = sum(
        max(0, distinct(telling[inside], room[inside]) - fitted)
        for inside in (wrong & (groups == group) for group in np.unique(groups[wrong]))
    )
    size = float(np.sqrt(np.mean((compared.claimed - compared.numerical)[wrong] ** 2)))
    bits = np.log2(size / np.maximum(room[wrong], ROUNDING * size))
    return Weight(entries, entries * max(0.0, float(np.median(bits))), int(known.sum()), int(compared.is_known.sum()))


def distinct(values: Array, room: Array) -> int:
    """Count values that differ by more than their bounds: equal ones could not have contradicted one another."""
    if values.size < 2:
        return int(values.size)
    order = np.argsort(values)
    return 1 + int((np.diff(values[order]) > room[order][1:] + room[order][:-1]).sum())


def fit(claimed: Array, numerical: Array, bound: Array) -> tuple[float, float]:
    """Return the factor from the numerical to the claimed entry that is known best, and how far off it may be."""
    with np.errstate(divide="ignore", invalid="ignore"):
        doubt = np.where(numerical == 0.0, np.inf, bound / np.abs(numerical))
    best = int(np.argmin(doubt))
    if not math.isfinite(doubt[best]):
        return math.nan, math.inf
    factor = float(claimed[best] / numerical[best])
    return factor, float(doubt[best]) * (1.0 + abs(factor)) + ROUNDING * abs(factor)
