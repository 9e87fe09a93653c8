"""Relations by row, by column, by any axes: one factor, or one offset, for each slice of a tensor."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from fastgrad.functions.arguments import Array
from fastgrad.functions.relations.evidence import ROUNDING, Compared, Relation


def per_slice(one: Compared) -> Iterator[Relation]:
    """Yield one factor for each slice, then one offset, over the sets of axes with the fewest slices first."""
    if not np.isfinite(one.claimed).all():
        return
    for axes in _kept(one.claimed.shape):
        labels = _labels(one.claimed.shape, axes)
        yield _factors(one, axes, labels)
        yield _offsets(one, axes, labels)


def _kept(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return the sets of axes that a number may depend on, so that each slice has several entries."""
    axes = [axis for axis, length in enumerate(shape) if length > 1]
    subsets = [subset for count in range(1, len(axes)) for subset in combinations(axes, count)]
    return sorted(subsets, key=lambda subset: int(np.prod([shape[axis] for axis in subset])))


def _labels(shape: tuple[int, ...], axes: tuple[int, ...]) -> NDArray[np.int64]:
    """Return the number of the slice that each entry is in."""
    lengths = [length if axis in axes else 1 for axis, length in enumerate(shape)]
    return np.broadcast_to(np.arange(int(np.prod(lengths))).reshape(lengths), shape)


def _best(labels: NDArray[np.int64], doubt: Array) -> NDArray[np.int64]:
    """Return the flat place of the entry of each slice that is known best."""
    order = np.lexsort((doubt.ravel(), labels.ravel()))
    return order[np.flatnonzero(np.diff(labels.ravel()[order], prepend=-1))]


def _factors(one: Compared, axes: tuple[int, ...], labels: NDArray[np.int64]) -> Relation:
    numerical = np.where(one.is_known, one.numerical, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        doubt = np.where(one.is_known & (numerical != 0.0), one.bound / np.abs(numerical), np.inf)
        best = _best(labels, doubt)
        factors = one.claimed.ravel()[best] / numerical.ravel()[best]
        slack = doubt.ravel()[best] * (1.0 + np.abs(factors))
    nothing = ~np.isfinite(slack)  # a slice without a known slope is nothing times anything
    factors, slack = (
        np.where(nothing, 1.0, factors),
        np.where(nothing, 0.0, slack) + ROUNDING * np.abs(np.where(nothing, 1.0, factors)),
    )
    bound = (1.0 + np.abs(factors[labels])) * one.bound + slack[labels] * np.abs(numerical)
    said = {"axes": axes, "values": _by_axes(one, axes, factors), "slack": _by_axes(one, axes, slack)}
    return Relation("relation.factors", factors[labels] * numerical, bound, labels, said=said)


def _offsets(one: Compared, axes: tuple[int, ...], labels: NDArray[np.int64]) -> Relation:
    best = _best(labels, np.where(one.is_known, one.bound, np.inf))
    with np.errstate(invalid="ignore"):
        offsets = (one.claimed - one.numerical).ravel()[best]
    slack = one.bound.ravel()[best]
    said = {"axes": axes, "values": _by_axes(one, axes, offsets), "slack": _by_axes(one, axes, slack)}
    return Relation("relation.offsets", one.numerical + offsets[labels], one.bound + slack[labels], labels, said=said)


def _by_axes(one: Compared, axes: tuple[int, ...], values: Array) -> Array:
    """Return one value for each slice, in the shape of the axes that it depends on."""
    return values.reshape([one.claimed.shape[axis] for axis in axes])
