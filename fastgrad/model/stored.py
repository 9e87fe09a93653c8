"""A vector like theta that outgrows memory: its tensors stay where they are, mapped from a file, and are read in tiles.

Made by `reading`, in the place of theta and of the claimed gradient. Whoever multiplies with a matrix walks through `tiles`; of
a matrix in memory there is one, itself. Tiles follow from the shape alone, so that results do not depend on how much memory
there is. Nothing here ever holds a whole matrix.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from fastgrad.errors import InputError, shortened
from fastgrad.model.pieces import multiply

Array = npt.NDArray[np.float64]
Offsets = npt.NDArray[np.int64]
Raw = npt.NDArray[Any]

TILE = 2**22
"""Entries of a tile, 32 MiB: large enough for a product to be fast, and small beside what any network that is stored takes."""
ALIGNED = 64
"""Columns of which a tile of columns holds a multiple: a word of random signs."""


class Tile(NamedTuple):
    """Some rows and columns of a matrix as numbers in double precision, until the next tile is taken."""

    rows: slice
    columns: slice
    values: Array


class StoredMatrix:
    """A matrix (n_out, n_in) that stays where it is, in any precision and either orientation."""

    def __init__(self, raw: Raw) -> None:
        self.raw = raw
        self.shape: tuple[int, int] = (int(raw.shape[0]), int(raw.shape[1]))
        self.size = self.shape[0] * self.shape[1]

    __array_ufunc__ = None
    """NumPy leaves products to this class, and refuses everything else that would take the whole matrix."""

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def T(self) -> StoredMatrix:
        """The same, transposed."""
        return StoredMatrix(self.raw.T)

    def __rmatmul__(self, left: Array) -> Array:
        """Return left @ matrix, shape (…, columns), tile by tile."""
        flat = left.reshape(-1, left.shape[-1])
        result = np.zeros((len(flat), self.shape[1]))
        for tile in self.tiles():
            result[:, tile.columns] += multiply(flat[:, tile.rows], tile.values)
        return result.reshape(*left.shape[:-1], -1)

    def reshape(self, *shape: int) -> StoredMatrix:
        """Return itself, which has this shape already."""
        assert shape == self.shape
        return self

    def __getitem__(self, key: Any) -> StoredMatrix | Array:
        """Return some rows or columns: slices as a matrix that is stored as well, columns by their numbers as an array."""
        if isinstance(key, tuple) and isinstance(key[1], np.ndarray):
            return self._columns(key[1])
        return StoredMatrix(self.raw[key])

    def _columns(self, numbers: Offsets) -> Array:
        """Gather columns in one walk, whichever way the matrix lies."""
        result = np.empty((self.shape[0], numbers.size))
        for tile in self.tiles():
            here = np.flatnonzero((numbers >= tile.columns.start) & (numbers < tile.columns.stop))
            result[tile.rows, here] = tile.values[:, numbers[here] - tile.columns.start]
        return result

    @property
    def is_symmetric(self) -> bool:
        """Whether a square matrix is its own transpose; nearly always the first row tells."""
        if not np.array_equal(self.raw[0], self.raw[:, 0]):
            return False
        return all(np.array_equal(tile.values, self.raw.T[tile.rows, tile.columns]) for tile in self.tiles())

    def tiles(self) -> Iterator[Tile]:
        """Walk through the matrix along the axis in which its lines lie one after the other."""
        n_out, n_in = self.shape
        by_rows = abs(self.raw.strides[0]) >= abs(self.raw.strides[1])
        lines = self.raw if by_rows else self.raw.T
        length = lines_of_tile(self.shape, by_rows)
        room = np.empty((min(length, len(lines)), lines.shape[1]))
        for low in range(0, len(lines), length):
            high = min(low + length, len(lines))
            values = room[: high - low]
            require_whole(self.raw)
            np.copyto(values, lines[low:high])
            release(self.raw)
            if by_rows:
                yield Tile(slice(low, high), slice(0, n_in), values)
            else:
                yield Tile(slice(0, n_out), slice(low, high), values.T)


Matrix = Array | StoredMatrix


def lines_of_tile(shape: tuple[int, int], by_rows: bool) -> int:
    """Return how many lines of a matrix, rows or columns, a tile holds."""
    if by_rows:
        return max(1, TILE // shape[1])
    return max(1, TILE // shape[0] // ALIGNED) * ALIGNED


def tiles(matrix: Matrix) -> Iterator[Tile]:
    """Walk through a matrix, whether it is stored or in memory, where it is one tile."""
    if isinstance(matrix, StoredMatrix):
        yield from matrix.tiles()
    else:
        yield Tile(slice(0, matrix.shape[0]), slice(0, matrix.shape[1]), matrix)


def runs(vector: Array, place: slice) -> Iterator[Array]:
    """Walk through the entries of a tensor at its place in theta, in whatever order they lie."""
    part = cast(Matrix, vector[place])
    if isinstance(part, StoredMatrix):
        for tile in part.tiles():
            yield tile.values
    else:
        yield part


def entries(vector: Array | Stored, place: slice) -> Array:
    """Return a run of entries within one tensor, in theta's order."""
    return vector.run(place.start, place.stop) if isinstance(vector, Stored) else vector[place]


class Stored:
    """Numbers in theta's order whose tensors are stored.

    A whole W is a `StoredMatrix`; anything smaller that is asked for, a bias, some rows, single entries, becomes an array.

    Parameters
    ----------
    starts : sequence of int
        Where each tensor begins in theta, ascending.
    parts : sequence of ndarray
        The tensors, W as (n_out, n_in) and b as (n_out,), in any precision; None for one that is not there, all nan.
    """

    def __init__(self, starts: Sequence[int], parts: Sequence[Raw | None], shapes: Sequence[tuple[int, ...]]) -> None:
        pairs = zip(parts, shapes, strict=True)
        self._parts = [np.broadcast_to(np.nan, shape) if part is None else part for part, shape in pairs]
        sizes = [int(np.prod(shape, dtype=np.int64)) for shape in shapes]
        self._starts = np.array(starts, dtype=np.int64)
        self._stops = self._starts + np.array(sizes, dtype=np.int64)
        self.size = int(self._stops[-1])
        self.shape = (self.size,)

    def __getitem__(self, place: Any) -> Any:
        """Return a tensor, a run of one, or single entries by their numbers in theta."""
        if isinstance(place, slice):
            number = self._number(place.start)
            part = self._parts[number]
            if part.ndim == 2 and (place.start, place.stop) == (self._starts[number], self._stops[number]):
                return StoredMatrix(part)
            return self.run(place.start, place.stop)
        places = np.asarray(place, dtype=np.int64)
        if places.ndim == 0:
            return float(self._entries(places.reshape(1))[0])
        return self._entries(places)

    def same(self, other: Stored) -> bool:
        """Tell whether another vector has the same numbers in the same places, by where they lie and not by what they are."""
        return all(_address(a) == _address(b) for a, b in zip(self._parts, other._parts, strict=True))

    def _number(self, place: int) -> int:
        """Return the number of the tensor in which a place lies."""
        return int(np.searchsorted(self._starts, place, side="right")) - 1

    def run(self, start: int, stop: int) -> Array:
        """Return a run of entries within one tensor."""
        if start == stop:
            return np.empty(0)
        number = self._number(start)
        part, first = self._parts[number], int(self._starts[number])
        assert stop <= self._stops[number], "a run lies within one tensor"
        require_whole(part)
        if part.ndim == 1:
            return np.array(part[start - first : stop - first], dtype=np.float64)
        columns = part.shape[1]
        low, high = (start - first) // columns, -(-(stop - first) // columns)
        skipped = start - first - low * columns
        values = np.array(part[low:high], dtype=np.float64).reshape(-1)[skipped : skipped + stop - start]
        release(part)
        return values

    def _entries(self, places: Offsets) -> Array:
        values = np.empty(places.size)
        numbers = np.searchsorted(self._starts, places, side="right") - 1
        for number in np.unique(numbers):
            here = numbers == number
            part, local = self._parts[number], places[here] - self._starts[number]
            require_whole(part)
            values[here] = part[local] if part.ndim == 1 else part[np.divmod(local, part.shape[1])]
            release(part)
        return values


def _address(part: Raw) -> tuple[Any, ...]:
    return part.__array_interface__["data"], part.strides, part.shape, part.dtype


def mapped_from(part: Raw) -> np.memmap[Any, Any] | None:
    """Return the map of a file that an array is a view of; None of one in memory."""
    base: Any = part
    while base is not None:
        if isinstance(base, np.memmap) and base._mmap is not None:  # type: ignore[attr-defined]
            return base
        base = getattr(base, "base", None)
    return None


def release(part: Raw) -> None:
    """Give back the memory of the pages that were read of a mapped file, which else grows to the size of the file."""
    source = mapped_from(part)
    if source is not None and hasattr(mmap, "MADV_DONTNEED"):
        _pages(source).madvise(mmap.MADV_DONTNEED)


def require_whole(part: Raw) -> None:
    """Refuse a mapped file that has become shorter than it was: the system ends a program that reads beyond the end."""
    source = mapped_from(part)
    if source is not None and _pages(source).size() < len(_pages(source)):
        raise InputError(f"{shortened(str(source.filename))} has become shorter while it was read; check it again")


def _pages(source: np.memmap[Any, Any]) -> mmap.mmap:
    pages: mmap.mmap = source._mmap  # type: ignore[attr-defined]  # NumPy has no public name for it
    return pages
