"""Points beside the given one: other numbers, and another number of rows, where forward takes them.

What one point hides, a constant, a symmetric matrix, a batch size that was written as a number, shows at another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.errors import InputError
from fastgrad.functions.noise import random_signs
from fastgrad.layers.arguments import Inputs, Outputs, is_array

SPREAD = 0.25
"""Share of itself by which a number is changed at most: what is positive stays so, as a variance must."""

SHIFT = 0.5
"""By what zeros are changed, up or down."""

LEAST_ROWS = 3
"""Rows from which on there are fewer elsewhere: one row alone would be broadcast without a complaint."""


def other_numbers(inputs: Inputs, frozen: Sequence[str], seed: int) -> Inputs:
    """Return inputs of the same shapes with other numbers.

    Notes
    -----
    Numbers of an array change places and are changed by a share of themselves, so that what is positive stays so; a constant
    array loses its constancy. Whole numbers, masks and what is frozen change places along their first axis, so that labels stay
    labels; of whole numbers one then occurs twice, which tells `=` from `+=` in an embedding.
    """
    rng = np.random.default_rng([seed, 1])
    values = []
    for place, (name, value) in enumerate(zip(inputs.names, inputs.values, strict=True)):
        if place in inputs.moving and name not in frozen:
            values.append(_moved(np.asarray(value), rng).astype(np.asarray(value).dtype))
        else:
            values.append(_exchanged(value, rng))
    return replace(inputs, values=tuple(_as_given(new, old) for new, old in zip(values, inputs.values, strict=True)))


def _moved(value: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    places = rng.permutation(value.ravel()).reshape(value.shape)
    shares = rng.uniform(0.4, 1.0, value.shape) * rng.choice([-SPREAD, SPREAD], value.shape)
    return np.asarray(np.where(places == 0.0, 2.0 * SHIFT * shares / SPREAD, places * (1.0 + shares)))


def _exchanged(value: Any, rng: np.random.Generator) -> Any:
    if not isinstance(value, np.ndarray) or value.ndim == 0:
        return value
    value = rng.permutation(value, axis=0)
    if value.dtype.kind in "iu" and value.size > 1:
        value.flat[-1] = value.flat[0]
    return value


def _as_given(new: Any, old: Any) -> Any:
    """Return a plain number where one was given."""
    return new if isinstance(old, np.ndarray) or not is_array(new) else type(old)(new)


def other_rows(inputs: Inputs, outputs: Outputs, run: Callable[[Sequence[Any]], Outputs]) -> tuple[str, Inputs] | None:
    """Return inputs with another number of rows, or columns, that forward takes, and how that is said; or None.

    Notes
    -----
    The axis is the first, or else the last, that the outputs share with inputs. All inputs that have it are cut, or else the
    first alone; what tells is whether the outputs then have as many rows, and are the same otherwise.
    """
    for axis, only_first in product((0, -1), (False, True)):
        count = _count(inputs, outputs, axis)
        places = [place for place, value in enumerate(inputs.values) if count is not None and _has(value, axis, count)]
        if count is None or not places:
            continue
        wanted = count - 1 if count >= LEAST_ROWS else count + 1
        changed = _with_rows(inputs, places[:1] if only_first else places, axis, wanted)
        try:
            found = run([value.copy() if isinstance(value, np.ndarray) else value for value in changed.values])
        except InputError:
            continue
        if found.shapes == tuple(_resized(shape, axis, count, wanted) for shape in outputs.shapes):
            return f"{wanted:,} {'rows' if axis == 0 else 'columns'} in the place of {count:,}", changed
    return None


def _count(inputs: Inputs, outputs: Outputs, axis: int) -> int | None:
    """Return how many examples there may be along an axis: as the first output has, for a loss as the first input."""
    shapes = [*outputs.shapes[:1], *(np.shape(value) for value in inputs.values if is_array(value))]
    return next((shape[axis] for shape in shapes if len(shape) > (0 if axis == 0 else 1)), None)


def _has(value: Any, axis: int, count: int) -> bool:
    return isinstance(value, np.ndarray) and value.ndim > (0 if axis == 0 else 1) and value.shape[axis] == count


def _with_rows(inputs: Inputs, places: list[int], axis: int, wanted: int) -> Inputs:
    values = list(inputs.values)
    for place in places:
        value = values[place]
        more = np.concatenate([value, np.flip(value, axis=axis)], axis=axis)
        values[place] = np.ascontiguousarray(np.take(more, range(wanted), axis=axis))
    return replace(inputs, values=tuple(values))


def _resized(shape: tuple[int, ...], axis: int, count: int, wanted: int) -> tuple[int, ...]:
    if len(shape) <= (0 if axis == 0 else 1) or shape[axis] != count:
        return shape
    return (wanted, *shape[1:]) if axis == 0 else (*shape[:-1], wanted)


# What a point hides.


def blind_spots(inputs: Inputs, frozen: Sequence[str], has_other_numbers: bool, has_other_rows: bool) -> Iterator[str]:
    """Yield what the given point hides, and no other point has shown."""
    for place, (name, value) in enumerate(zip(inputs.names, inputs.values, strict=True)):
        array = np.asarray(value)
        if has_other_numbers or name in frozen:
            continue
        if place in inputs.moving:
            yield from _of_numbers(name, array)
        elif array.dtype.kind in "iu" and 1 < array.size == np.unique(array).size:
            yield f"no number in {name} occurs twice: a backward pass that writes where it should add passes. Repeat one."
    if not has_other_rows and np.shape(inputs.values[inputs.moving[0]])[:1] == (1,):
        yield f"{inputs.names[inputs.moving[0]]} has one row: a sum or a mean over rows that is missing passes. Give several."


def _of_numbers(name: str, array: NDArray[Any]) -> Iterator[str]:
    if array.size > 1 and bool((array == array.flat[0]).all()):
        yield f"{name} holds one number, {array.flat[0]:g}, throughout: a missing factor or sum may pass. Draw it at random."
    elif array.ndim == 2 and 1 < array.shape[0] == array.shape[1] and bool((array == array.T).all()):
        yield f"{name} is symmetric: a missing transpose passes. Draw it at random."


def reaches_one(run: Callable[[Sequence[Any]], Outputs], inputs: Inputs, outputs: Outputs, most: int = 8) -> str | None:
    """Return the first input if each of its entries that was tried reaches one output at most, and outputs are fewer."""
    place = inputs.moving[0]
    value = np.asarray(inputs.values[place])
    fewer = sum(array.size for array in outputs.arrays) < value.size
    if not fewer or value.ndim < 2 or min(array.size for array in outputs.arrays) <= 1:
        return None
    for entry in np.linspace(0, value.size - 1, min(most, value.size)).astype(np.int64):
        moved = value.copy()
        moved.flat[entry] += random_signs(0, 1, 1)[0, 0] * 2.0**-10 * max(1.0, abs(float(value.flat[entry])))
        values = [other.copy() if isinstance(other, np.ndarray) else other for other in inputs.values]
        values[place] = moved
        found = run(values)
        if sum(np.count_nonzero(a != b) for a, b in zip(found.arrays, outputs.arrays, strict=True)) > 1:
            return None
    return inputs.names[place]
