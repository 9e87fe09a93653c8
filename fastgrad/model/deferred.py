"""Vectors in theta's order that are not there as one.

A large claimed gradient lies in the arrays that were given, and a numerical one in the flows of which it is made. Made by
reading and by numerical in the place of an array. The verdict takes such a vector in blocks of a tensor, which stay in cache,
and the audit a few entries; whoever takes it for an array, as diagnosis does, makes one of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.mixins import NDArrayOperatorsMixin

from fastgrad.model.network import Array, Offsets, Tensor

Raw = npt.NDArray[Any]

LEAST_DEFERRED = 2**15
"""Entries from which on it pays."""
PART = 2**20
"""Entries that are made of one at a time where all of a tensor are walked through."""


class Vector(NDArrayOperatorsMixin, ABC):
    """What serves as an array of shape (P,) without being one until it has to."""

    ndim, dtype = 1, np.dtype(np.float64)

    def __init__(self, size: int) -> None:
        self.size, self.shape = size, (size,)

    @abstractmethod
    def _made(self) -> Array: ...

    @cached_property
    def whole(self) -> Array:
        """All of it as an array."""
        return self._made()

    def __len__(self) -> int:
        return self.size

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Raw:
        return np.array(self.whole, dtype=dtype) if copy else np.asarray(self.whole, dtype=dtype)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        arrays = (one.whole if isinstance(one, Vector) else one for one in inputs)
        return getattr(ufunc, method)(*arrays, **options)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.whole, name)


class Deferred(Vector):
    """Numbers in theta's order, shape (P,), that are made, or copied, when they are asked for."""

    def __init__(self, tensors: Sequence[Tensor], size: int) -> None:
        super().__init__(size)
        self._starts = {tensor.start: tensor for tensor in tensors}

    @abstractmethod
    def block(self, tensor: Tensor, rows: slice, columns: slice) -> Array:
        """Return rows and columns of a tensor, a bias being one column, in an array of its own or a view; not to be changed."""

    @abstractmethod
    def entries(self, tensor: Tensor, rows: Offsets, columns: Offsets) -> Array:
        """Return single entries of a tensor."""

    def __getitem__(self, place: Any) -> Any:
        """Return a run of entries, or entries by their numbers, as an array has it."""
        if "whole" in self.__dict__ or not isinstance(place, slice | np.ndarray):
            return self.whole[place]
        if isinstance(place, np.ndarray):
            return self._at(place) if place.dtype.kind == "i" else self.whole[place]
        tensor = self._starts.get(place.start)
        if tensor is None or tensor.stop != place.stop or place.step is not None:
            return self.whole[place]
        return self.block(tensor, slice(0, tensor.canonical_shape[0]), slice(0, width(tensor))).reshape(-1)

    def _at(self, places: Offsets) -> Array:
        values = np.full(places.shape, np.nan)
        for tensor in self._starts.values():
            here = (places >= tensor.start) & (places < tensor.stop)
            if here.any():
                values[here] = self.entries(tensor, *np.divmod(places[here] - tensor.start, width(tensor)))
        return values


class Given(Deferred):
    """A claimed gradient where it lies.

    Parameters
    ----------
    tensors : sequence of Tensor
        In theta's order.
    arrays : sequence of array or None
        For each of them its claim in its canonical shape, a view in any precision; None where there is none.
    """

    def __init__(self, tensors: Sequence[Tensor], arrays: Sequence[Raw | None], size: int) -> None:
        super().__init__(tensors, size)
        self._arrays = {
            tensor.start: np.broadcast_to(np.nan, tensor.canonical_shape) if array is None else array
            for tensor, array in zip(tensors, arrays, strict=True)
        }

    def block(self, tensor: Tensor, rows: slice, columns: slice) -> Array:
        """Return it in double precision."""
        array = self._arrays[tensor.start]
        some = array[rows, columns] if array.ndim == 2 else array[rows, None]
        return np.ascontiguousarray(some, dtype=np.float64)

    def entries(self, tensor: Tensor, rows: Offsets, columns: Offsets) -> Array:
        """Return them in double precision."""
        array = self._arrays[tensor.start]
        return np.asarray(array[rows, columns] if array.ndim == 2 else array[rows], dtype=np.float64)

    def _made(self) -> Array:
        whole = np.full(self.size, np.nan)
        for tensor in self._starts.values():
            np.copyto(whole[tensor.start : tensor.stop].reshape(tensor.canonical_shape), self._arrays[tensor.start])
        return whole


class Few(Vector):
    """Numbers of a few places of a vector, nan at all others.

    Parameters
    ----------
    places : ndarray of int64
        Ascending.
    values : ndarray
        Their numbers.
    size : int
        Of the vector.
    """

    def __init__(self, places: Offsets, values: Array, size: int) -> None:
        super().__init__(size)
        self._places, self._values = places, values

    def __getitem__(self, places: Any) -> Any:
        """Return some of them where all these are among the few, else what the vector has."""
        if isinstance(places, np.ndarray) and places.dtype.kind == "i":
            found = np.minimum(np.searchsorted(self._places, places), self._places.size - 1)
            if np.array_equal(self._places[found], places):
                return self._values[found]
        return self.whole[places]

    def _made(self) -> Array:
        whole = np.full(self.size, np.nan)
        whole[self._places] = self._values
        return whole


def width(tensor: Tensor) -> int:
    """Return the columns of a tensor; a bias is one."""
    return tensor.canonical_shape[1] if tensor.kind == "W" else 1


def block_of(vector: Array, tensor: Tensor, rows: slice, columns: slice) -> Array:
    """Return rows and columns of a tensor out of a vector in theta's order, deferred or not, shape (r, c)."""
    anything: object = vector
    if isinstance(anything, Deferred):
        return anything.block(tensor, rows, columns)
    return vector[tensor.start : tensor.stop].reshape(-1, width(tensor))[rows, columns]


def parts_of(vector: Array, tensor: Tensor) -> Iterator[Array]:
    """Walk through the entries of a tensor in a vector in theta's order, deferred or not, some rows at a time."""
    height, columns = tensor.size // width(tensor), width(tensor)
    rows = max(1, PART // columns)
    for low in range(0, height, rows):
        yield block_of(vector, tensor, slice(low, min(low + rows, height)), slice(0, columns))


def spread_over(vector: Array, tensor: Tensor, count: int) -> Array:
    """Return so many entries of a tensor, or up to twice as many, spread over it."""
    found: Array = vector[np.arange(tensor.start, tensor.stop, max(1, tensor.size // count))]
    return found
