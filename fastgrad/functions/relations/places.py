"""Where the wrong entries are, if all others are right, and whether the claim is 0 there: rows, columns, the border."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fastgrad.functions.relations.evidence import Compared, Relation


def zeros(one: Compared) -> Iterator[Relation]:
    """Yield the relation that the claim is 0 wherever it is wrong."""
    wrong = one.is_wrong
    if not wrong.all() and not one.claimed[wrong].any():
        yield Relation("relation.zeros", np.where(wrong, 0.0, one.numerical), one.bound, said={"place": place_of(wrong)})


def places(one: Compared) -> Iterator[Relation]:
    """Yield where the claim is wrong, if that is a place of its own."""
    wrong = one.is_wrong
    if one.is_known.all() and not wrong.all() and (place := place_of(wrong)):
        yield Relation("unknown.place", one.claimed, one.bound, said={"place": place})


def place_of(wrong: NDArray[np.bool_]) -> tuple[int, tuple[int, ...]] | str:
    """Return the axis and the slices along it that hold all wrong entries and no right one; "border"; or nothing."""
    for axis in range(wrong.ndim):
        others = tuple(other for other in range(wrong.ndim) if other != axis)
        some, every = wrong.any(axis=others), wrong.all(axis=others)
        if np.array_equal(some, every):
            return axis, tuple(np.flatnonzero(some).tolist())
    return "border" if np.array_equal(wrong, _border(wrong.shape)) else ""


def _border(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return where an entry is first or last along one of the last two axes."""
    border = np.zeros(shape, dtype=bool)
    for axis in range(max(0, len(shape) - 2), len(shape)):
        turned = np.moveaxis(border, axis, 0)
        turned[[0, -1]] = True
    return border
