"""A line of which one part is another, in many ways at once.

What differs are the numbers of that part. What is done with them on the way to the root of the line is the same in all ways,
so it is done once for a stack of them, and a line is only put together where its numbers fit.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from fastgrad.diagnosis.lines import Place, Scene, Tree, UnfitError, children
from fastgrad.model.network import Array

AT_ONCE = 2**21
"""Numbers that are worked out and compared at once, 16 MiB."""
SMALL = 2**12
"""Numbers of a part up to which the call of an operation takes longer than its arithmetic."""


class Spot(NamedTuple):
    """A part of a line: the way to it from the root, the part, and what kind of place it stands in."""

    path: tuple[int, ...]
    tree: Tree
    place: Place


def spots(line: Tree, place: Place, path: tuple[int, ...] = ()) -> Iterator[Spot]:
    """Yield all parts of a line, the line itself first."""
    yield Spot(path, line, place)
    for k, part, where in children(line, place):
        yield from spots(part, where, (*path, k))


def put(line: Tree, path: tuple[int, ...], part: Tree) -> Tree:
    """Return a line with another part at the end of a path."""
    if not path:
        return part
    k = path[0]
    return (*line[:k], put(line[k], path[1:], part), *line[k + 1 :])


def stacks(scene: Scene, line: Tree, place: Place, spot: Spot, parts: Sequence[Tree]) -> Iterator[tuple[list[int], Array]]:
    """Yield what a line gives with each of some parts in a spot: which of the parts, and their results along the first axis.

    Parts that do not fit are left out.
    """
    values = {index: one for index, part in enumerate(parts) if (one := _values(scene, part, spot.place)) is not None}
    whole = scene.shape_at(spot.place)
    alike: dict[tuple[int, ...], list[int]] = {}
    is_small = spot.place != "summed" and math.prod(whole) <= SMALL
    for index, one in values.items():  # what is small goes all together, a number in the place of each that it stands for
        shape = whole if is_small and _is_spread(one.shape, whole) else one.shape
        alike.setdefault(shape, []).append(index)
    for shape, found in alike.items():
        most = max(1, AT_ONCE // max(1, math.prod(shape)))
        for start in range(0, len(found), most):
            some = found[start : start + most]
            stack = np.empty((len(some), *(shape or (1, 1))))
            for place_in_stack, index in enumerate(some):
                stack[place_in_stack] = values[index]
            with contextlib.suppress(UnfitError, ValueError):
                yield some, _risen(scene, line, place, spot.path, stack, not shape)


def _values(scene: Scene, part: Tree, place: Place) -> Array | None:
    """Return the numbers of a part in a kind of place; None where it does not fit."""
    try:
        return np.asarray(scene.part(part, place).values)
    except (UnfitError, ValueError):
        return None


def _is_spread(shape: tuple[int, ...], whole: tuple[int, int]) -> bool:
    """Whether numbers of a shape stand for those of another."""
    return all(n in (1, most) for n, most in zip(shape, whole, strict=False))


def _risen(scene: Scene, line: Tree, place: Place, path: tuple[int, ...], stack: Array, are_numbers: bool) -> Array:
    """Return what a line gives of a stack of values for the part at the end of a path."""
    if not path:
        return stack
    parts = []
    for k, part, where in children(line, place):
        if k == path[0]:
            stack = _risen(scene, part, where, path[1:], stack, are_numbers)
            if are_numbers and line[0] == "sum" and stack.shape[1:] == (1, 1):
                raise UnfitError  # single numbers have no examples to sum over
            parts.append(stack)
        else:
            parts.append(scene.part(part, where).values)
    if line[0] in ("@", "outer") and line[1] != "*":  # what these take on their way is larger than what comes of it
        return np.array([scene.combined(line, [one[i] if one is stack else one for one in parts]) for i in range(len(stack))])
    return scene.combined(line, parts)
