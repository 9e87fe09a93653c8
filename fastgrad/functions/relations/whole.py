"""Relations of a whole tensor: zero, a factor, axes exchanged or reversed, another tensor's gradient, an offset, a sum."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import combinations, permutations

import numpy as np
from numpy.typing import NDArray

from fastgrad.functions.arguments import Array
from fastgrad.functions.relations.evidence import Compared, Relation, Weight, fit, weigh

MOST_AXES = 5
"""Axes up to which all of their orders are tried, 120 of five."""

MOST_BLOCKS = 8
"""Blocks of equal size into which an axis may be cut, as the gates of a cell are."""

USUAL = (-1.0, 2.0, 0.5, -2.0)
"""Factors of which nothing is fitted: they are the first that anybody would try."""


def whole(one: Compared, others: Sequence[Compared]) -> Iterator[Relation]:
    """Yield the relations of a tensor, the most usual first."""
    zeros = np.zeros(one.claimed.shape)
    if not one.claimed.any():
        yield Relation("relation.zero", zeros, zeros, number=0.0)
    yield from _factor(Relation("relation.factor", one.numerical, one.bound, undo=np.copy), one)
    rearranged = list(_rearranged(one, others))
    yield from rearranged
    yield from _offset(one)
    yield from _summed(one)
    for relation in rearranged:
        yield from _factor(relation, one)
    yield from _added(one, others)


def exchanged(wrong: Sequence[Compared]) -> list[list[tuple[Compared, Relation, Weight]]]:
    """Return pairs of tensors each of which holds the other's gradient."""
    pairs = []
    for one, other in combinations(wrong, 2):
        there, back = _first_proof(one, other), _first_proof(other, one)
        if there and back:
            pairs.append([(one, *there), (other, *back)])
    return pairs


def _first_proof(one: Compared, other: Compared) -> tuple[Relation, Weight] | None:
    for relation in _of_another(one, other):
        weight = weigh(one, relation)
        if weight is not None and weight.is_proof:
            return relation, weight
    return None


def _factor(plain: Relation, one: Compared) -> Iterator[Relation]:
    """Yield the relation that the claim is one number times what another relation predicts."""
    base, bound = plain.predicted, plain.bound
    known = np.isfinite(base) & np.isfinite(bound) & np.isfinite(one.claimed)
    if not known.any():
        return
    factor, slack = fit(one.claimed[known], base[known], bound[known])
    usual = [number for number in USUAL if abs(factor - number) <= slack]
    if np.isfinite(factor) and factor not in (0.0, 1.0):
        factor, slack = (usual[0], 0.0) if len(usual) == 1 else (factor, slack)
        room = (1.0 + abs(factor)) * bound + slack * np.abs(base)
        groups = None if len(usual) == 1 else np.zeros(base.shape, dtype=np.int64)
        undo = None if plain.undo is None else partial(_divided, plain.undo, factor)
        yield Relation(plain.code, factor * base, room, groups, factor, slack, plain.said, undo)


def _divided(undo: Callable[[Array], Array], factor: float, claimed: Array) -> Array:
    return undo(claimed) / factor


def _offset(one: Compared) -> Iterator[Relation]:
    """Yield the relation that the claim is off by one number."""
    if not one.is_known.any():
        return
    best = np.unravel_index(int(np.argmin(np.where(one.is_known, one.bound, np.inf))), one.bound.shape)
    offset, slack = float(one.claimed[best] - one.numerical[best]), float(one.bound[best])
    groups = np.zeros(one.bound.shape, dtype=np.int64)
    yield Relation(
        "relation.offset",
        one.numerical + offset,
        one.bound + slack,
        groups,
        offset,
        slack,
        undo=lambda claimed: claimed - offset,
    )


def _summed(one: Compared) -> Iterator[Relation]:
    """Yield sums and means of the numerical gradient over axes, the same number along each."""
    axes = [axis for axis, length in enumerate(one.claimed.shape) if length > 1]
    for some in (subset for count in range(1, len(axes) + 1) for subset in combinations(axes, count)):
        for code, made in (("relation.sum", np.sum), ("relation.mean", np.mean)):
            value = np.broadcast_to(made(one.numerical, axis=some, keepdims=True), one.claimed.shape)
            bound = np.broadcast_to(np.sum(one.bound, axis=some, keepdims=True), one.claimed.shape)
            yield Relation(code, value, bound, said={"axes": some})


def _added(one: Compared, others: Sequence[Compared]) -> Iterator[Relation]:
    """Yield the relation that another tensor's gradient was added, or taken away."""
    for other in others:
        if other is not one and other.claimed.shape == one.claimed.shape:
            for sign in (1.0, -1.0):
                value, bound = one.numerical + sign * other.numerical, one.bound + other.bound
                yield Relation("relation.added", value, bound, said={"other": other.name, "sign": sign})


def _rearranged(one: Compared, others: Sequence[Compared]) -> Iterator[Relation]:
    """Yield the numerical gradients whose entries stand elsewhere, or are another tensor's."""
    for code, moved, said in _moves(one.claimed.shape):
        undo = partial(_put_back, moved)
        yield Relation(code, _moved(one.numerical, moved), _moved(one.bound, moved), said=said, undo=undo)
    for other in others:
        if other is not one:
            yield from _of_another(one, other)


def _of_another(one: Compared, other: Compared) -> Iterator[Relation]:
    """Yield the relations that a tensor holds another's gradient, as it is or with other axes."""
    shape = one.claimed.shape
    if other.claimed.size != one.claimed.size or one.claimed.size < 2:
        return
    for order in (
        permutations(range(other.claimed.ndim)) if other.claimed.ndim <= MOST_AXES else [tuple(range(other.claimed.ndim))]
    ):
        if tuple(other.claimed.shape[axis] for axis in order) == shape:
            said = {"other": other.name, "turned": order != tuple(sorted(order))}
            undo = partial(np.transpose, axes=np.argsort(order).tolist())
            predicted, bound = other.numerical.transpose(order), other.bound.transpose(order)
            yield Relation("relation.other", predicted, bound, said=said, undo=undo)


Places = NDArray[np.int64]


def _moves(shape: tuple[int, ...]) -> Iterator[tuple[str, Places, dict[str, object]]]:
    """Yield code, the place that each entry is taken from, and words for it; each set of places once."""
    seen = {np.arange(int(np.prod(shape))).tobytes()}
    for code, places, said in (*_orders(shape), *_flips(shape), *_shifts(shape, 1), *_blocks(shape), *_shifts(shape, 2)):
        if places.tobytes() not in seen:
            seen.add(places.tobytes())
            yield code, places.reshape(shape), said


def _moved(values: Array, places: Places) -> Array:
    return values.ravel()[places]


def _put_back(places: Places, claimed: Array) -> Array:
    """Return the entries where they were taken from."""
    right = np.empty_like(claimed)
    right.ravel()[places.ravel()] = claimed.ravel()
    return right


def _orders(shape: tuple[int, ...]) -> Iterator[tuple[str, Places, dict[str, object]]]:
    """Yield other orders of axes: transposes, and reshapes that read the entries in another order."""
    places = np.arange(int(np.prod(shape))).reshape(shape)
    if not 1 < len(shape) <= MOST_AXES:
        return
    orders = sorted(permutations(range(len(shape))), key=lambda order: sum(k != axis for k, axis in enumerate(order)))
    for order in orders[1:]:
        turned = places.transpose(order)
        if turned.shape == shape:
            yield "relation.transposed", turned, {"order": order}
        else:
            yield "relation.reshaped", np.ascontiguousarray(turned).reshape(shape), {"order": order}
    for order in orders[1:]:
        if (other := tuple(shape[axis] for axis in order)) != shape:
            yield "relation.reshaped", places.reshape(other).transpose(np.argsort(order)), {"order": order}


def _flips(shape: tuple[int, ...]) -> Iterator[tuple[str, Places, dict[str, object]]]:
    """Yield reversed axes."""
    places = np.arange(int(np.prod(shape))).reshape(shape)
    axes = [axis for axis, length in enumerate(shape) if length > 1]
    subsets = [subset for count in range(1, len(axes) + 1) for subset in combinations(axes, count)]
    for subset in sorted(subsets, key=lambda subset: subset != tuple(axes[-2:])):
        yield "relation.reversed", np.flip(places, subset), {"axes": subset}


def _shifts(shape: tuple[int, ...], least: int) -> Iterator[tuple[str, Places, dict[str, object]]]:
    """Yield axes whose entries stand one place further on, or at least two."""
    places = np.arange(int(np.prod(shape))).reshape(shape)
    for axis, length in enumerate(shape):
        for shift in (1, -1) if least == 1 else range(2, min(length - 1, MOST_BLOCKS)):
            yield "relation.shifted", np.roll(places, shift, axis), {"axis": axis, "shift": shift}


def _blocks(shape: tuple[int, ...]) -> Iterator[tuple[str, Places, dict[str, object]]]:
    """Yield two blocks of an axis exchanged, as of the gates of a cell that lie beside each other."""
    places = np.arange(int(np.prod(shape))).reshape(shape)
    for axis, length in enumerate(shape):
        for count in (count for count in range(2, MOST_BLOCKS + 1) if length % count == 0):
            blocks = np.split(places, count, axis)
            for first, second in combinations(range(count), 2):
                turned = [*blocks]
                turned[first], turned[second] = blocks[second], blocks[first]
                yield (
                    "relation.blocks",
                    np.concatenate(turned, axis),
                    {"axis": axis, "count": count, "first": first, "second": second},
                )
