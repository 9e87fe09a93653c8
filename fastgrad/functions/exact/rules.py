"""What stands for NumPy's functions of whole arrays where an array carries differences: sums, extremes, products, pieces.

Each returns the value that NumPy makes of the plain arrays, and the difference beside it. What a function here has no
parameter for is refused by Python itself, and the caller falls back.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.functions.exact import identities, products
from fastgrad.functions.exact.moved import (
    FUNCTIONS,
    Delta,
    Moved,
    as_moved,
    assembled,
    elementwise,
    fresh,
    gathered,
    holds_moved,
    is_moved,
    plain,
    rearranged,
)
from fastgrad.functions.exact.tile import Tile

Array = NDArray[np.float64]
Rule = Callable[..., Any]


def stands_for(*functions: Any) -> Callable[[Rule], Rule]:
    """Enter a rule into the table."""

    def enter(rule: Rule) -> Rule:
        FUNCTIONS.update(dict.fromkeys(functions, rule))
        return rule

    return enter


def _tile_of(*values: Any) -> Tile:
    """Return the tile of the first array that has one."""
    for value in values:
        if is_moved(value):
            return value.tile  # type: ignore[no-any-return]
        if holds_moved(value):
            return _tile_of(*value)
    raise TypeError("nothing here depends on x")


def _moved(value: Any) -> Moved:
    return as_moved(_tile_of(value), value)


def _behind(array: Moved, axis: Any) -> tuple[int, ...]:
    """Return the axes of differences that belong to axes of an array."""
    axes = range(array.ndim) if axis is None else (axis,) if isinstance(axis, (int, np.integer)) else axis
    return tuple(int(one) % array.ndim + 1 for one in axes)


def _same_type(array: Moved, dtype: Any, out: Any = None) -> None:
    if out is not None or (dtype is not None and np.dtype(dtype) != np.float64):
        array.tile.refuse("it sums into another type, or into an array that was there")


# Sums.


@stands_for(np.sum)
def _sum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Moved:
    a = _moved(a)
    _same_type(a, dtype, out)
    delta = None if a.delta is None else a.delta.sum(axis=_behind(a, axis), keepdims=keepdims)
    return fresh(a.tile, np.sum(a.numbers, axis=axis, keepdims=keepdims), delta)


@stands_for((np.add, "reduce"))
def _add_reduce(a: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Moved:
    return _sum(a, axis, dtype, out, keepdims)  # type: ignore[no-any-return]


@stands_for(np.mean)
def _mean(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Moved:
    a = _moved(a)
    _same_type(a, dtype, out)
    delta = None if a.delta is None else a.delta.mean(axis=_behind(a, axis), keepdims=keepdims)
    return fresh(a.tile, np.mean(a.numbers, axis=axis, keepdims=keepdims), delta)


def _centred_squares(a: Moved, axis: Any, ddof: float, keepdims: bool) -> Delta:
    """Return the difference of the variance: the mean of δc·(2c + δc), c being what is left of the mean."""
    if a.delta is None:
        return None
    axes = _behind(a, axis)
    own = tuple(one - 1 for one in axes)
    c = a.numbers - a.numbers.mean(axis=own, keepdims=True)
    d = a.delta - a.delta.mean(axis=axes, keepdims=True)
    count = np.prod([a.shape[one] for one in own])
    return np.asarray((d * (2.0 * c + d)).sum(axis=axes, keepdims=keepdims) / (count - ddof))


@stands_for(np.var)
def _var(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: float = 0, keepdims: bool = False) -> Moved:
    a = _moved(a)
    _same_type(a, dtype, out)
    return fresh(a.tile, np.var(a.numbers, axis=axis, ddof=ddof, keepdims=keepdims), _centred_squares(a, axis, ddof, keepdims))


@stands_for(np.std)
def _std(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: float = 0, keepdims: bool = False) -> Moved:
    a = _moved(a)
    _same_type(a, dtype, out)
    value = np.std(a.numbers, axis=axis, ddof=ddof, keepdims=keepdims)
    return fresh(a.tile, value, _root(a.tile, value, _centred_squares(a, axis, ddof, keepdims)))


def _root(tile: Tile, value: Any, squares: Delta) -> Delta:
    """Return the difference of a root of a sum of squares, which has a kink at 0."""
    if squares is None:
        return None
    total = np.sqrt(value * value + squares) + value
    if np.any(value == 0.0):
        tile.tie((value == 0.0) & (total != 0.0))
    return np.asarray(squares / np.where(total == 0.0, 1.0, total))


@stands_for(np.linalg.norm)
def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Moved:
    a = _moved(x)
    if ord not in (None, 2, "fro") or (ord == 2 and axis is None and a.ndim != 1):
        a.tile.refuse(f"it calls numpy.linalg.norm with the order {ord}")
    if ord == 2 and isinstance(axis, tuple):
        a.tile.refuse("it calls numpy.linalg.norm for a matrix")
    value = np.linalg.norm(a.numbers, ord, axis, keepdims)
    d = a.delta
    squares = None if d is None else (d * (2.0 * a.numbers + d)).sum(axis=_behind(a, axis), keepdims=keepdims)
    return fresh(a.tile, value, _root(a.tile, value, squares))


@stands_for(np.cumsum)
def _cumsum(a: Any, axis: int | None = None, dtype: Any = None, out: Any = None) -> Moved:
    a = _moved(a)
    _same_type(a, dtype, out)
    value = np.cumsum(a.numbers, axis)
    if a.delta is None:
        return fresh(a.tile, value)
    if axis is None:
        return fresh(a.tile, value, np.cumsum(a.delta.reshape(a.tile.count, -1), 1))
    return fresh(a.tile, value, np.cumsum(a.delta, _behind(a, axis)[0]))


@stands_for((np.add, "accumulate"))
def _add_accumulate(a: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> Moved:
    return _cumsum(a, axis, dtype, out)  # type: ignore[no-any-return]


@stands_for(np.prod)
def _prod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Moved:
    a = _moved(a)
    _same_type(a, dtype, out)
    value = np.prod(a.numbers, axis=axis, keepdims=keepdims)
    if a.delta is None:
        return fresh(a.tile, value)
    if axis is not None and not isinstance(axis, (int, np.integer)):
        a.tile.refuse("it multiplies over several axes")
    last = 1 if axis is None else _behind(a, axis)[0]
    own = a.numbers.reshape(-1) if axis is None else a.numbers
    delta = a.delta.reshape(a.tile.count, -1) if axis is None else a.delta
    numbers, moves = np.moveaxis(own, last - 1, 0), np.moveaxis(delta, last, 0)
    product, d = np.ones(numbers.shape[1:]), np.zeros(moves.shape[1:])
    for number, move in zip(numbers, moves, strict=True):
        d = d * number + (product + d) * move
        product = product * number
    return fresh(a.tile, value, d.reshape(a.tile.count, *np.shape(value)))


@stands_for(np.trace)
def _trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Moved:
    diagonal = rearranged(_moved(a), lambda array: np.diagonal(array, offset, axis1, axis2))
    value = np.trace(a.numbers, offset, axis1, axis2)
    return fresh(a.tile, value, None if diagonal.delta is None else diagonal.delta.sum(axis=-1))


# Extremes.


def _extreme(reduce: Any, a: Any, axis: Any = None, out: Any = None, keepdims: bool = False, *, initial: Any = None) -> Moved:
    """Return the largest number, or the smallest, of each group: of a - m + δ, where m is that at the point."""
    a = _moved(a)
    _same_type(a, None, out)
    if initial is not None:
        a.tile.refuse("it takes an extreme with an initial value")
    value = reduce(a.numbers, axis=axis, keepdims=keepdims)
    if a.delta is None:
        return fresh(a.tile, value)
    axes = _behind(a, axis)
    gap = a.numbers - reduce(a.numbers, axis=axis, keepdims=True)
    _tie_among(a.tile, gap == 0.0, a.delta, axes)
    return fresh(a.tile, value, reduce(gap + a.delta, axis=axes, keepdims=keepdims))


def _tie_among(tile: Tile, at: NDArray[np.bool_], delta: Array, axes: tuple[int, ...], doubt: bool = False) -> None:
    """Note the moves that part numbers which are extreme together."""
    own = tuple(one - 1 for one in axes)
    if at.size == 0 or not (at.sum(axis=own) > 1).any():
        return
    largest = np.where(at, delta, -np.inf).max(axis=axes)
    least = np.where(at, delta, np.inf).min(axis=axes)
    (tile.doubt if doubt else tile.tie)(largest != least)


FUNCTIONS[np.max] = FUNCTIONS[np.amax] = partial(_extreme, np.max)
FUNCTIONS[np.min] = FUNCTIONS[np.amin] = partial(_extreme, np.min)


def _extreme_reduce(rule: Any, a: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
    _same_type(_moved(a), dtype)
    return rule(a, axis, out, keepdims)


FUNCTIONS[np.maximum, "reduce"] = partial(_extreme_reduce, FUNCTIONS[np.max])
FUNCTIONS[np.minimum, "reduce"] = partial(_extreme_reduce, FUNCTIONS[np.min])


def _place_of_extreme(find: Any, reduce: Any, a: Any, axis: Any = None, out: Any = None, *, keepdims: bool = False) -> Any:
    a = _moved(a)
    _same_type(a, None, out)
    if a.delta is not None:
        gap = a.numbers - reduce(a.numbers, axis=axis, keepdims=True)
        axes = _behind(a, axis)
        _tie_among(a.tile, gap == 0.0, a.delta, axes, doubt=True)
        moved = gap + a.delta
        # Without a tie the extreme number stays where it is unless another comes to its side.
        extreme = moved == reduce(moved, axis=axes, keepdims=True)
        a.tile.doubt((extreme & (gap != 0.0)) | np.isnan(moved))
    return find(a.numbers, axis=axis, keepdims=keepdims)


FUNCTIONS[np.argmax] = partial(_place_of_extreme, np.argmax, np.max)
FUNCTIONS[np.argmin] = partial(_place_of_extreme, np.argmin, np.min)


@stands_for(np.argsort)
def _argsort(a: Any, axis: int = -1, kind: Any = None) -> Any:
    a = _moved(a)
    order = np.argsort(a.numbers, axis=axis, kind=kind)
    if a.delta is not None:
        axis = _behind(a, axis)[0]
        gaps = np.diff(np.take_along_axis(a.numbers, order, axis - 1), axis=axis - 1)
        moves = np.diff(np.take_along_axis(a.delta, order[None], axis), axis=axis)
        identities.doubt_crossing(a.tile, gaps, moves)
    return order


@stands_for(np.sort)
def _sort(a: Any, axis: int = -1, kind: Any = None) -> Moved:
    a = _moved(a)
    order = FUNCTIONS[np.argsort](a, axis, kind)
    return rearranged(a, lambda array: np.take_along_axis(array, order, axis))  # type: ignore[no-any-return]


@stands_for(np.clip)
def _clip(a: Any, a_min: Any = None, a_max: Any = None, out: Any = None, *, min: Any = None, max: Any = None) -> Any:
    a = _moved(a)
    _same_type(a, None, out)
    lower, upper = (min if a_min is None else a_min), (max if a_max is None else a_max)
    found = a if lower is None else elementwise(a.tile, np.maximum, (a, lower))
    found = found if upper is None else elementwise(a.tile, np.minimum, (found, upper))
    return fresh(a.tile, np.clip(a.numbers, plain(lower), plain(upper)), None if found.delta is None else found.delta.copy())


@stands_for(np.where)
def _where(condition: Any, *branches: Any) -> Any:
    tile = _tile_of(condition, *branches)
    if is_moved(condition):
        condition = elementwise(tile, np.not_equal, (condition, 0.0))
    if not branches:
        return np.where(condition)
    chosen = [as_moved(tile, branch) for branch in branches]
    value = np.where(condition, *map(plain, branches))
    if all(one.delta is None for one in chosen):
        return fresh(tile, value)
    return fresh(tile, value, np.where(condition, *(_of_ndim(one, value.ndim) for one in chosen)))


def _of_ndim(array: Moved, ndim: int) -> Any:
    if array.delta is None:
        return 0.0
    return array.delta.reshape(array.tile.count, *(1,) * (ndim - array.ndim), *array.shape)


@stands_for(np.nonzero, np.any, np.all, np.count_nonzero)
def _truth(a: Any, *_: Any, **__: Any) -> Any:
    a.tile.refuse("it asks which numbers are 0")


# Products.


@stands_for(np.einsum)
def _einsum(subscripts: Any, *operands: Any, optimize: Any = False) -> Moved:
    tile = _tile_of(*operands)
    if len(operands) == 1 and np.may_share_memory(np.einsum(subscripts, operands[0].numbers), operands[0].numbers):
        return rearranged(operands[0], lambda array: np.einsum(subscripts, array))  # type: ignore[no-any-return]
    full = products.explicit(subscripts) if isinstance(subscripts, str) else None
    if full is None:
        tile.refuse("it calls numpy.einsum with subscripts that are not written out")
    return _summed_products(tile, np.einsum(subscripts, *map(plain, operands), optimize=optimize), full, operands)


def _summed_products(tile: Tile, value: Any, subscripts: str, operands: Any) -> Moved:
    moved = [as_moved(tile, operand) for operand in operands]
    return fresh(tile, value, products.einsum(subscripts, [one.numbers for one in moved], [one.delta for one in moved]))


@stands_for(np.dot)
def _dot(a: Any, b: Any, out: Any = None) -> Any:
    tile = _tile_of(a, b)
    a, b = as_moved(tile, a), as_moved(tile, b)
    _same_type(a, None, out)
    if a.ndim == 0 or b.ndim == 0:
        return elementwise(tile, np.multiply, (a, b))
    value = np.dot(a.numbers, b.numbers)
    if b.ndim <= 2:
        return fresh(tile, value, products.matmul(a.numbers, a.delta, b.numbers, b.delta))
    return _contracted(tile, value, a, b, [a.ndim - 1], [b.ndim - 2])


def _contracted(tile: Tile, value: Any, a: Moved, b: Moved, left: list[int], right: list[int]) -> Moved:
    """Return a sum of products over pairs of axes, with the differences."""
    first, second = products.letters(a.ndim), products.letters(b.ndim, a.ndim)
    for one, other in zip(left, right, strict=True):
        second[other % b.ndim] = first[one % a.ndim]
    summed = {first[one % a.ndim] for one in left}
    kept = [letter for letter in first + second if letter not in summed]
    return _summed_products(tile, value, f"{''.join(first)},{''.join(second)}->{''.join(kept)}", (a, b))


@stands_for(np.tensordot)
def _tensordot(a: Any, b: Any, axes: Any = 2) -> Moved:
    tile = _tile_of(a, b)
    a, b = as_moved(tile, a), as_moved(tile, b)
    left, right = (list(range(a.ndim - axes, a.ndim)), list(range(axes))) if isinstance(axes, int) else axes
    left, right = (list(np.atleast_1d(side)) for side in (left, right))
    return _contracted(tile, np.tensordot(a.numbers, b.numbers, axes), a, b, left, right)


@stands_for(np.inner)
def _inner(a: Any, b: Any) -> Any:
    tile = _tile_of(a, b)
    a, b = as_moved(tile, a), as_moved(tile, b)
    if a.ndim == 0 or b.ndim == 0:
        return elementwise(tile, np.multiply, (a, b))
    return _contracted(tile, np.inner(a.numbers, b.numbers), a, b, [-1], [-1])


@stands_for(np.outer)
def _outer(a: Any, b: Any) -> Moved:
    tile = _tile_of(a, b)
    a, b = (rearranged(as_moved(tile, one), np.ravel) for one in (a, b))
    return _contracted(tile, np.outer(a.numbers, b.numbers), a, b, [], [])


@stands_for(np.vdot)
def _vdot(a: Any, b: Any) -> Moved:
    tile = _tile_of(a, b)
    a, b = (rearranged(as_moved(tile, one), np.ravel) for one in (a, b))
    return fresh(tile, np.vdot(a.numbers, b.numbers), products.matmul(a.numbers, a.delta, b.numbers, b.delta))


@stands_for(np.linalg.solve)
def _solve(a: Any, b: Any) -> Moved:
    """Return x of a·x = b; (a + δa)·δx = δb - δa·x."""
    tile = _tile_of(a, b)
    a, b = as_moved(tile, a), as_moved(tile, b)
    if a.ndim != 2 or b.ndim > 2:
        tile.refuse("it solves many systems at once")
    value = np.linalg.solve(a.numbers, b.numbers)
    right = products.matmul(a.numbers, None if a.delta is None else -a.delta, value, None)
    right = b.delta if right is None else right if b.delta is None else right + b.delta
    if right is None:
        return fresh(tile, value)
    matrix = a.numbers if a.delta is None else a.numbers + a.delta
    columns = right if b.ndim == 2 else right[..., None]
    return fresh(tile, value, np.linalg.solve(matrix, columns).reshape(right.shape))


@stands_for(np.linalg.inv)
def _inv(a: Any) -> Moved:
    """Return the inverse; that of a + δa is off by -(a + δa)⁻¹·δa·a⁻¹."""
    value = np.linalg.inv(a.numbers)
    if a.delta is None:
        return fresh(a.tile, value)
    return fresh(a.tile, value, -np.linalg.solve(a.numbers + a.delta, a.delta @ value))


# What puts numbers elsewhere.


ONE_EACH = (np.atleast_1d, np.atleast_2d, np.atleast_3d)
"""Functions that take any number of arrays, each by itself."""


def _rearranging(function: Any, a: Any, *rest: Any, **options: Any) -> Any:
    if holds_moved(rest) or holds_moved(list(options.values())) or (rest and function in ONE_EACH):
        _tile_of(a, rest, list(options.values())).refuse(f"it calls numpy.{function.__name__} with several arrays")
    return rearranged(_moved(a), lambda array: function(array, *rest, **options))


_function: Any
for _function in (
    np.reshape, np.ravel, np.transpose, np.swapaxes, np.moveaxis, np.rollaxis, np.squeeze, np.expand_dims, np.broadcast_to,
    np.flip, np.fliplr, np.flipud, np.roll, np.rot90, np.repeat, np.tile, np.take, np.take_along_axis, np.diagonal, np.copy,
    np.atleast_1d, np.atleast_2d, np.atleast_3d, np.split, np.array_split, np.hsplit, np.vsplit, np.dsplit, np.real, np.delete,
    np.lib.stride_tricks.sliding_window_view, np.resize, np.matrix_transpose,
):  # fmt: skip
    FUNCTIONS[_function] = partial(_rearranging, _function)


def _filling(function: Any, a: Any, *rest: Any, **options: Any) -> Any:
    """Return what puts numbers elsewhere and zeros between them."""
    a = _moved(a)
    value = function(a.numbers, *rest, **options)
    if np.may_share_memory(value, a.numbers):  # the diagonal of a matrix
        return _rearranging(function, a, *rest, **options)
    places = function(a.places() + 1, *rest, **options) - 1
    deltas = [] if a.delta is None else [a.block.delta]
    return fresh(a.tile, value, gathered(a.tile, deltas, places))


for _function in (np.tril, np.triu, np.diag, np.diagflat):
    FUNCTIONS[_function] = partial(_filling, _function)


@stands_for(np.pad)
def _pad(array: Any, pad_width: Any, mode: Any = "constant", constant_values: Any = 0, **options: Any) -> Moved:
    if mode == "constant" and not holds_moved(constant_values):
        places = np.pad(array.places() + 1, pad_width) - 1
        deltas = [] if array.delta is None else [array.block.delta]
        value = np.pad(array.numbers, pad_width, constant_values=constant_values)
        return fresh(array.tile, value, gathered(array.tile, deltas, places))
    if mode not in ("edge", "reflect", "symmetric", "wrap") or options.get("reflect_type", "even") != "even":
        array.tile.refuse(f"it pads with the mode {mode}")
    return rearranged(array, lambda one: np.pad(one, pad_width, mode, **options))  # type: ignore[no-any-return]


def _assembling(function: Any, parts: Any, *rest: Any, **options: Any) -> Moved:
    tile = _tile_of(*parts)
    if any(holds_moved(more) for more in (*rest, *options.values())):
        tile.refuse("it assembles arrays into one that was there")
    return assembled(tile, lambda nested: function(nested, *rest, **options), parts)


for _function in (np.concatenate, np.stack, np.vstack, np.hstack, np.dstack, np.column_stack, np.block):
    FUNCTIONS[_function] = partial(_assembling, _function)


@stands_for(np.append)
def _append(arr: Any, values: Any, axis: int | None = None) -> Moved:
    append: Any = np.append
    return assembled(_tile_of(arr, values), lambda pair: append(*pair, axis=axis), [arr, values])


# Arrays like others, and what does not depend on numbers.


def _like(function: Any, a: Any, *rest: Any, **options: Any) -> Any:
    found = function(a.numbers, *rest, **options)
    return fresh(a.tile, found) if found.dtype == np.float64 else found


for _function in (np.zeros_like, np.ones_like, np.empty_like, np.full_like):
    FUNCTIONS[_function] = partial(_like, _function)


def _plain(function: Any, a: Any, *rest: Any, **options: Any) -> Any:
    return function(a.numbers, *rest, **options)


for _function in (np.shape, np.ndim, np.size, np.iscomplexobj, np.isrealobj):
    FUNCTIONS[_function] = partial(_plain, _function)


@stands_for(np.copyto)
def _copyto(dst: Any, src: Any) -> None:
    if not is_moved(dst):
        src.tile.refuse("it writes into a plain array")
    dst[...] = src
