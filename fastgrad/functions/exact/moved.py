"""An array that carries its exact differences, one for each move of a tile, through NumPy's functions.

Its value is a plain array, and NumPy's own function makes every value: it has the bits that it has without differences. The
memory of the differences is laid out as that of the values is, once for each move; whatever NumPy makes a view of the values
is therefore a view of the differences as well, and what is written to one is written to the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NoReturn

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray

from fastgrad.functions.exact import identities, products
from fastgrad.functions.exact.tile import Tile

Delta = NDArray[np.float64] | None

FUNCTIONS: dict[Any, Callable[..., Any]] = {}
"""What stands for each of NumPy's functions that take arrays as they are; `rules` fills it."""

AT: dict[Any, Any] = {np.add: np.add, np.subtract: np.subtract}
"""Functions whose `at` is linear."""

SHORT_POWERS = {2: np.square, 0.5: np.sqrt, -1: np.reciprocal} if np.lib.NumpyVersion(np.__version__) < "2.3.0" else {}
"""What `**` of older NumPy does for these exponents; its np.power may differ from that in the last bit."""

_places = np.arange(1 << 12)


class Block:
    """Memory of some values, in one piece, and of their differences, the same once for each move; None while all are 0."""

    __slots__ = ("address", "delta", "tile", "values")

    def __init__(self, tile: Tile, values: NDArray[np.float64], delta: Delta) -> None:
        self.tile, self.values, self.delta = tile, values, delta
        self.address = values.__array_interface__["data"][0]
        tile.largest = max(tile.largest, values.size)

    def differences(self) -> NDArray[np.float64]:
        """Return the memory of differences, which will be written to."""
        if self.delta is None:
            self.delta = np.zeros((self.tile.count, self.values.size))
        return self.delta


def _short_power(exponent: Any) -> np.ufunc | None:
    return SHORT_POWERS.get(exponent) if isinstance(exponent, int | float) else None


class Moved(NDArrayOperatorsMixin):
    """An array and its differences.

    Attributes
    ----------
    numbers : ndarray
        The array at the point. It is called as nothing of NumPy's is, for some code asks whether an array has a value.
    block : Block
        The memory that it is a view of.
    is_scalar : bool
        Whether NumPy has a number here, which is replaced and not changed in place.
    """

    __slots__ = ("block", "is_scalar", "numbers")
    __array_priority__ = 1e6

    def __init__(self, block: Block, numbers: NDArray[np.float64], is_scalar: bool = False) -> None:
        self.block, self.numbers, self.is_scalar = block, numbers, is_scalar

    @property
    def tile(self) -> Tile:
        """The moves that are followed."""
        return self.block.tile

    @property
    def delta(self) -> Delta:
        """The differences, a view of shape (count, *shape); None while all of them are 0."""
        return None if self.block.delta is None else self._seen(self.block.delta)

    def written(self) -> NDArray[np.float64]:
        """Return the differences, to be written to."""
        return self._seen(self.block.differences())

    def places(self) -> NDArray[np.int64]:
        """Return where each number lies in the block, an array with the shape and the strides of the value."""
        global _places
        if _places.size < self.block.values.size:
            _places = np.arange(2 * self.block.values.size)
        return np.ndarray(self.numbers.shape, _places.dtype, _places, self._offset(), self.numbers.strides)

    def _seen(self, memory: NDArray[np.float64]) -> NDArray[np.float64]:
        strides = (memory.strides[0], *self.numbers.strides)
        return np.ndarray((len(memory), *self.numbers.shape), np.float64, memory, self._offset(), strides)

    def _offset(self) -> int:
        return int(self.numbers.__array_interface__["data"][0]) - self.block.address if self.numbers.size else 0

    # What NumPy asks.

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        tile = self.tile
        if method == "at":
            return _at(tile, ufunc, *inputs)
        if method in ("reduce", "accumulate") and (ufunc, method) in FUNCTIONS:
            return FUNCTIONS[ufunc, method](*inputs, **options)
        out = options.pop("out", (None,))[0]
        if method != "__call__" or any(value is not True for value in options.values()):
            tile.refuse(f"it calls numpy.{ufunc.__name__} with options")
        found = elementwise(tile, ufunc, inputs)
        return found if out is None else _into(tile, out, found)

    def __array_function__(self, function: Any, types: Any, inputs: Any, options: Any) -> Any:
        rule = FUNCTIONS.get(function)
        if rule is None:
            self.tile.refuse(f"it calls {function.__module__}.{function.__name__}")
        return rule(*inputs, **options)

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        self.tile.refuse("it makes a plain array or number of what depends on x")

    def __float__(self) -> float:
        self.tile.refuse("it makes a plain array or number of what depends on x")

    __int__ = __complex__ = __index__ = __hash__ = __float__  # type: ignore[assignment]

    def __bool__(self) -> bool:
        identities.compare(self.tile, self.numbers, self.delta, np.zeros(()), None)
        return bool(self.numbers)

    # What people write.

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[Any]:
        return (self[row] for row in range(len(self.numbers)))

    def __repr__(self) -> str:
        return repr(self.numbers)

    def __copy__(self) -> Moved:
        return rearranged(self, np.copy)  # type: ignore[no-any-return]

    def __deepcopy__(self, _: Any) -> Moved:
        return rearranged(self, np.copy)  # type: ignore[no-any-return]

    def __getitem__(self, index: Any) -> Any:
        index = plain_index(self.tile, index)
        return rearranged(self, lambda array: array[index])

    def __setitem__(self, index: Any, new: Any) -> None:
        if self.is_scalar:
            self.tile.refuse("it writes into a number")
        index = plain_index(self.tile, index)
        moved = as_moved(self.tile, new)
        places, delta = self.places()[index], moved.delta
        if _is_advanced(index) and np.unique(places).size < places.size:
            self.tile.refuse("it writes several numbers to one place")
        # The difference is read before anything is written: it may lie in the memory that is written to.
        added = None if delta is None else np.array(_spread(delta, np.ndim(places)))
        self.numbers[index] = moved.numbers
        if added is not None or self.block.delta is not None:
            self._put(index, places, 0.0 if added is None else added)

    def _put(self, index: Any, places: Any, delta: Any) -> None:
        if _is_advanced(index):
            self.block.differences()[:, places] = delta
        else:
            self.written()[(slice(None), *(index if isinstance(index, tuple) else (index,)))] = delta

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or not hasattr(self.numbers, name):
            raise AttributeError(name)
        self.tile.refuse(f"it asks an array for .{name}")

    def __iadd__(self, other: Any) -> Any:
        return self._in_place(np.add, other)

    def __isub__(self, other: Any) -> Any:
        return self._in_place(np.subtract, other)

    def __imul__(self, other: Any) -> Any:
        return self._in_place(np.multiply, other)

    def __itruediv__(self, other: Any) -> Any:
        return self._in_place(np.divide, other)

    def __pow__(self, other: Any) -> Any:
        short = _short_power(other)
        return short(self) if short else super().__pow__(other)

    def __ipow__(self, other: Any) -> Any:
        short = _short_power(other)
        return self._in_place(short) if short else self._in_place(np.power, other)

    def _in_place(self, ufunc: Any, *others: Any) -> Any:
        return ufunc(self, *others) if self.is_scalar else ufunc(self, *others, out=self)

    # Attributes and methods of arrays.

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return self.numbers.shape

    @property
    def ndim(self) -> int:
        """Its number of axes."""
        return self.numbers.ndim

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return self.numbers.size

    @property
    def dtype(self) -> Any:
        """The type of its numbers."""
        return self.numbers.dtype

    @property
    def itemsize(self) -> int:
        """Bytes of a number."""
        return self.numbers.itemsize

    @property
    def strides(self) -> tuple[int, ...]:
        """Bytes from one number to the next, along each axis."""
        return self.numbers.strides

    @property
    def T(self) -> Moved:
        """A view with the axes the other way round."""
        return rearranged(self, lambda array: array.T)  # type: ignore[no-any-return]

    @property
    def real(self) -> Moved:
        """Itself."""
        return self

    def item(self, *index: Any) -> Any:
        """Return a number of it."""
        return rearranged(self, lambda array: np.asarray(array.item(*index))[()])

    def fill(self, number: Any) -> None:
        """Write a number everywhere."""
        self[...] = number

    def astype(self, dtype: Any, *, copy: bool = True) -> Moved:
        """Return a copy, or itself, of the type that it has."""
        if np.dtype(dtype) != np.float64:
            self.tile.refuse(f"it converts numbers to {np.dtype(dtype)}")
        return rearranged(self, np.copy) if copy else self


def _rearranging(name: str) -> Any:
    def method(self: Moved, *inputs: Any, **options: Any) -> Any:
        return rearranged(self, lambda array: getattr(array, name)(*inputs, **options))

    return method


def _dispatched(name: str, function: Any) -> Any:
    def method(self: Moved, *inputs: Any, **options: Any) -> Any:
        return FUNCTIONS[function](self, *inputs, **options)

    return method


for _name in ("reshape", "transpose", "ravel", "flatten", "squeeze", "swapaxes", "repeat", "take", "diagonal", "copy"):
    setattr(Moved, _name, _rearranging(_name))
for _name in (
    "sum",
    "mean",
    "max",
    "min",
    "std",
    "var",
    "prod",
    "cumsum",
    "argmax",
    "argmin",
    "argsort",
    "dot",
    "clip",
    "trace",
):
    setattr(Moved, _name, _dispatched(_name, getattr(np, _name)))


def is_moved(value: Any) -> bool:
    """Whether a value carries differences."""
    return isinstance(value, Moved)


def fresh(tile: Tile, value: Any, delta: Delta = None) -> Moved:
    """Return new values with their differences; the memory of both becomes the array's own."""
    is_scalar = not isinstance(value, np.ndarray)
    value = np.asarray(value)
    if value.dtype != np.float64:
        tile.refuse(f"it computes with numbers of type {value.dtype}")
    order = _order(value)
    if order is not None:
        laid = value.transpose(order)
        if not laid.flags.c_contiguous:
            value, order = value.copy("C"), None
    flat = (value if order is None else laid).reshape(-1)
    if delta is None:
        return Moved(Block(tile, flat, None), value, is_scalar)
    if delta.shape[1:] != value.shape:
        delta = np.broadcast_to(_spread(delta, value.ndim), (tile.count, *value.shape))
    if order is not None:
        delta = delta.transpose(0, *(axis + 1 for axis in order))
    delta = np.ascontiguousarray(delta).reshape(tile.count, -1)
    return Moved(Block(tile, flat, delta), value, is_scalar)


def _order(value: NDArray[np.float64]) -> list[int] | None:
    """Return the order of axes in which an array lies in memory; None where that is row by row."""
    if value.flags.c_contiguous:
        return None
    return sorted(range(value.ndim), key=lambda axis: -value.strides[axis])


def as_moved(tile: Tile, value: Any) -> Moved:
    """Return values with their differences, of plain ones none."""
    if is_moved(value):
        return of_tile(tile, value)
    if isinstance(value, (list, tuple)) and holds_moved(value):
        return assembled(tile, np.array, value)
    return fresh(tile, np.array(value, dtype=np.float64))


def of_tile(tile: Tile, array: Moved) -> Moved:
    """Return an array whose differences are those of the tile's moves."""
    if array.tile is not tile:
        tile.refuse("it keeps an array from one call to the next")
    return array


def holds_moved(value: Any) -> bool:
    """Whether nested lists hold something that carries differences."""
    return any(map(holds_moved, value)) if isinstance(value, (list, tuple)) else is_moved(value)


def mapped(function: Callable[[Any], Any], value: Any) -> Any:
    """Return nested lists with a function's results in the places of what they hold."""
    return [mapped(function, item) for item in value] if isinstance(value, (list, tuple)) else function(value)


def plain(value: Any) -> Any:
    """Return the value without its differences, in nested lists too."""
    return value.numbers if is_moved(value) else mapped(plain, value) if holds_moved(value) else value


def plain_index(tile: Tile, index: Any) -> Any:
    """Return an index that numbers cannot move."""
    if holds_moved(index):
        tile.refuse("it takes an index from numbers that depend on x")
    return index


def _is_advanced(index: Any) -> bool:
    """Whether an index is more than whole numbers and slices."""
    parts = index if isinstance(index, tuple) else (index,)
    plain_parts = (int, np.integer, slice, type(None), type(Ellipsis))
    return not all(isinstance(part, plain_parts) and not isinstance(part, (bool, np.bool_)) for part in parts)


def rearranged(array: Moved, function: Callable[[NDArray[Any]], Any]) -> Any:
    """Return what a function makes of an array that only puts its numbers elsewhere: views of it remain views."""
    return _rearranged(array, function(array.numbers), lambda: function(array.places()))


def _rearranged(array: Moved, found: Any, places: Callable[[], Any]) -> Any:
    if isinstance(found, (list, tuple)):
        others = places()
        return [_rearranged(array, part, partial(np.asarray, other)) for part, other in zip(found, others, strict=True)]
    block = array.block
    if isinstance(found, np.ndarray) and found.size and np.may_share_memory(found, block.values):
        return Moved(block, found)
    return fresh(block.tile, found, None if block.delta is None else block.delta[:, places()])


def assembled(tile: Tile, function: Callable[[Any], Any], parts: Any) -> Moved:
    """Return what a function makes of nested lists of arrays, plain ones among them, whose numbers it puts together."""
    deltas: list[NDArray[np.float64]] = []
    start = 0

    def places(part: Any) -> Any:
        nonlocal start
        delta = of_tile(tile, part).delta if is_moved(part) else None
        if delta is None:
            return np.full(np.shape(plain(part)), -1)
        deltas.append(delta.reshape(tile.count, -1))
        start += deltas[-1].shape[1]
        return np.arange(start - deltas[-1].shape[1], start).reshape(part.shape)

    where = function(mapped(places, parts))
    return fresh(tile, function(mapped(plain, parts)), gathered(tile, deltas, where))


def gathered(tile: Tile, deltas: list[NDArray[np.float64]], places: NDArray[np.int64]) -> Delta:
    """Return differences from their places, 0 where a place is -1."""
    if not deltas:
        return None
    # Behind the last of them stands a zero.
    together = np.concatenate([*deltas, np.zeros((tile.count, 1))], axis=1)
    return together[:, places]


def elementwise(tile: Tile, ufunc: Any, inputs: tuple[Any, ...]) -> Any:
    """Return the value of one of NumPy's elementwise functions with its differences."""
    values = [plain(value) for value in inputs]
    deltas = [of_tile(tile, value).delta if is_moved(value) else None for value in inputs]
    value = ufunc(*values)
    if isinstance(value, tuple):
        tile.refuse(f"it calls numpy.{ufunc.__name__}")
    numbers = [np.asarray(number) for number in values]
    if any(number.dtype.kind not in "fiub" for number in numbers):
        tile.refuse(f"it computes with numbers of type {value.dtype}")
    if ufunc is np.matmul:
        return fresh(tile, value, products.matmul(*_pairs(numbers, deltas)))
    deltas = [None if delta is None else _spread(delta, np.ndim(value)) for delta in deltas]
    if ufunc in identities.COMPARISONS or ufunc in identities.TRUTHS:
        zeros = [np.zeros(()), None] if len(numbers) == 1 else []
        identities.compare(tile, *_pairs(numbers, deltas), *zeros)
        return value
    if ufunc in identities.CONDITIONS:
        return value
    rule = (identities.UNARY if len(numbers) == 1 else identities.BINARY).get(ufunc)
    if rule is None:
        tile.refuse(f"it calls numpy.{ufunc.__name__}")
    if all(delta is None for delta in deltas):
        return fresh(tile, value)
    found = rule(tile, np.asarray(value), *_pairs(numbers, deltas))
    return fresh(tile, value, found.copy() if any(found is delta for delta in deltas) and found is not None else found)


def _pairs(numbers: list[NDArray[Any]], deltas: list[Delta]) -> list[Any]:
    return [item for pair in zip(numbers, deltas, strict=True) for item in pair]


def _spread(delta: NDArray[np.float64], ndim: int) -> NDArray[np.float64]:
    """Return differences with axes of length 1 behind that of the moves, as broadcasting puts them in front of a value."""
    missing = ndim - (delta.ndim - 1)
    return delta.reshape(delta.shape[0], *(1,) * missing, *delta.shape[1:]) if missing > 0 else delta


def _into(tile: Tile, out: Any, found: Any) -> Any:
    """Write a result into an array that was there."""
    if not is_moved(out) or not is_moved(found) or out.tile is not tile:
        tile.refuse("it adds to a plain array, or writes into one")
    if np.shape(found.numbers) != out.shape:
        tile.refuse("it writes a result into an array of another shape")
    out[...] = found
    return out


def _at(tile: Tile, ufunc: Any, array: Any, index: Any, added: Any = None) -> None:
    """Add, or subtract, at an index, once for every time that it names a place."""
    if ufunc not in AT or not is_moved(array) or array.tile is not tile:
        tile.refuse(f"it calls numpy.{ufunc.__name__}.at, or with a plain array")
    index, moved = plain_index(tile, index), as_moved(tile, added)
    places = array.places()[index]
    delta = moved.delta
    if delta is not None:
        spread = np.broadcast_to(_spread(delta, np.ndim(places)), (tile.count, *np.shape(places)))
        AT[ufunc].at(array.block.differences(), (slice(None), places), spread.copy())
    ufunc.at(array.numbers, index, moved.numbers)
