"""The .mat file of MATLAB and Octave, version 5 to 7.2; that of version 7.3 is HDF5 and is read as such.

A matrix of numbers or characters is a few tagged blocks, read here with every length judged first. SciPy reads much more, and
its compiled parser ends the whole process where a byte of the file is damaged.

References
----------
MathWorks, "MAT-File Format", the chapter on level 5: tags, array flags, dimensions, name, real part.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from typing import IO, NamedTuple

import numpy as np

from fastgrad import machine
from fastgrad.errors import InputError, shortened
from fastgrad.reading.formats import hdf5
from fastgrad.reading.formats.npy import (
    CHUNK,
    MOST_ARRAYS,
    MOST_DIMENSIONS,
    Raw,
    Sized,
    require_memory,
    require_modest,
    require_names,
)
from fastgrad.reading.formats.opening import opened, size_of
from fastgrad.writing import PathLike

HDF5_FROM = b"MATLAB 7.3"
"""How a file begins that is HDF5 behind 512 bytes of MATLAB's own."""
HEADER = 128
"""Bytes before the first block: a text, and at the end the version and the order of bytes."""
COMPRESSED, MATRIX = 15, 14
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""NumPy's types by the number of a block's type; a matrix of doubles may lie there in any that holds its values."""
CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
"""NumPy's types by the class of a matrix."""
CHARACTERS = 4
TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16"}
"""Encodings of characters by the number of their block's type; UTF-16 in the file's order of bytes."""
UNREADABLE = {
    1: "a cell array; save each of its entries under a name of its own",
    2: "a struct; save its fields under names of their own (save -struct)",
    3: "an object; save what it holds as plain matrices",
    5: "a sparse matrix; save full(…) of it",
    16: "a function, which is not a matrix",
    17: "an object of MATLAB's own, such as a table or a string; save it as a plain matrix, or as a character array",
}
COMPLEX = 0x08
"""The flag of a matrix that has an imaginary part."""
MOST_FOLD = 1040
"""A deflated byte becomes at most 1032."""
ENOUGH = 1 << 12
"""Bytes at the beginning of a matrix that hold its flags, dimensions and name."""


class Block(NamedTuple):
    """A tagged block: the number of its type and its bytes."""

    kind: int
    data: memoryview


class Matrix(NamedTuple):
    """What stands before the numbers of a matrix, and where they begin."""

    name: str
    shape: tuple[int, ...]
    number: int
    start: int


def read(path: PathLike) -> dict[str, Raw]:
    """Read every matrix of the file."""
    with opened(path) as stream:
        beginning = stream.read(HEADER)
        if beginning.startswith(HDF5_FROM):
            # MATLAB writes by columns and HDF5 names the axes by rows: every matrix lies there transposed.
            return {name: array.T for name, array in hdf5.read(path).items()}
        return _read(stream, beginning)


def _read(stream: IO[bytes], beginning: bytes) -> dict[str, Raw]:
    """Judge every block's beginning, and then read the blocks."""
    order = {b"IM": "<", b"MI": ">"}.get(beginning[126:128])
    if order is None:
        raise InputError("this is not a .mat file of version 5 or newer; write one with save('-v7', 'model.mat', …)")
    if size_of(stream) > machine.available_memory() // 2:
        raise InputError(f"this file has {size_of(stream) / 2**30:,.1f} GiB, and not twice as much of memory are free")
    try:
        blocks = list(_blocks(memoryview(stream.read())[HEADER:], order))
        matrices = [_matrix(_beginning(block), order) for block in blocks]
        require_names([matrix.name for matrix in matrices])
        require_memory([Sized(matrix.name, matrix.shape, 8 * math.prod(matrix.shape)) for matrix in matrices])
        return {matrix.name: _values(matrix, block, order) for matrix, block in zip(matrices, blocks, strict=True)}
    except (ValueError, IndexError, zlib.error) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"this .mat file is truncated or damaged ({shortened(str(error))})") from None


def _blocks(data: memoryview, order: str) -> Iterator[Block]:
    """Yield the blocks that follow one another."""
    place, count = 0, 0
    while place < len(data):
        block, place = _next(data, place, order)
        yield block
        count += 1
        if count > MOST_ARRAYS:
            raise InputError(f"it holds more than {MOST_ARRAYS:,} arrays, the most that a model file has")


def _beginning(block: Block) -> memoryview:
    """Return the first bytes of a matrix, which stands for itself or is compressed with its tag."""
    if block.kind == MATRIX:
        return block.data
    if block.kind != COMPRESSED:
        raise ValueError(f"a block of the type {block.kind} where a matrix is expected")
    return memoryview(zlib.decompressobj().decompress(block.data, ENOUGH))[8:]


def _matrix(data: memoryview, order: str) -> Matrix:
    """Read flags, dimensions and name of a matrix.

    Raises
    ------
    InputError
        If it is of a class that holds no plain numbers or characters.
    """
    place, found = 0, []
    for _ in range(3):
        # Behind the name come the numbers, which need not all be here.
        block, place = _next(data, place, order)
        found.append(block)
    flags, dimensions, name = found
    word = int(np.frombuffer(flags.data, dtype=f"{order}u4", count=1)[0])
    number, text = word & 0xFF, bytes(name.data).decode("latin-1")
    shape = tuple(np.frombuffer(dimensions.data, dtype=f"{order}i4").tolist())
    if number in UNREADABLE:
        raise InputError(f"{shortened(text)} is {UNREADABLE[number]}")
    if (word >> 8) & COMPLEX:
        raise InputError(f"{shortened(text)} is complex; expected real numbers")
    if number not in CLASSES and number != CHARACTERS:
        raise ValueError(f"a matrix of the class {number}")
    if not 2 <= len(shape) <= MOST_DIMENSIONS or min(shape) < 0:
        raise ValueError(f"a matrix of the dimensions {shape}")
    return Matrix(text, shape, number, place)


def _next(data: memoryview, place: int, order: str) -> tuple[Block, int]:
    """Return the block at a place, and the place of the next; of a small one the four bytes stand in the tag."""
    word, length = (int(n) for n in np.frombuffer(data[place : place + 8], dtype=f"{order}u4", count=2))
    small = word >> 16
    start, length = (place + 4, small) if small else (place + 8, length)
    if small > 4 or start + length > len(data):
        raise ValueError(f"a block of {length:,} bytes, of which {max(len(data) - start, 0):,} are there")
    kind = word & 0xFFFF
    # Blocks begin at multiples of eight, but for those behind a compressed one.
    after = place + 8 if small else start + length + (0 if kind == COMPRESSED else -length % 8)
    return Block(kind, data[start : start + length]), after


def _values(matrix: Matrix, block: Block, order: str) -> Raw:
    """Return the numbers of a matrix, or its rows of characters as texts."""
    real, _ = _next(_whole(matrix, block), matrix.start, order)
    count = math.prod(matrix.shape)
    if matrix.number == CHARACTERS:
        return _text(matrix, real, order)
    kind = NUMBERS.get(real.kind)
    if kind is None or len(real.data) != count * np.dtype(kind).itemsize:
        raise ValueError(f"{shortened(matrix.name)}: {len(real.data):,} bytes for {count:,} numbers")
    values = np.frombuffer(real.data, dtype=f"{order}{kind}").astype(CLASSES[matrix.number])
    require_modest(matrix.name, matrix.shape, values.dtype)
    return values.reshape(matrix.shape, order="F")


def _whole(matrix: Matrix, block: Block) -> memoryview:
    """Return all bytes of a matrix; a compressed one may become as long as its numbers, and no longer."""
    if block.kind == MATRIX:
        return block.data
    most = 8 * math.prod(matrix.shape) + matrix.start + CHUNK
    if most > len(block.data) * MOST_FOLD + 2 * CHUNK:
        raise InputError(f"{shortened(matrix.name)} is damaged: {len(block.data):,} bytes cannot hold {matrix.shape}")
    return memoryview(zlib.decompressobj().decompress(block.data, most))[8:]


def _text(matrix: Matrix, block: Block, order: str) -> Raw:
    """Return a row of characters as one text."""
    if block.kind not in TEXTS or len(matrix.shape) != 2 or matrix.shape[0] > 1:
        raise InputError(f"{shortened(matrix.name)} is a matrix of characters; save one text of one line under one name")
    require_modest(matrix.name, matrix.shape, np.dtype("U1"))
    encoding = TEXTS[block.kind]
    if encoding == "utf-16":
        encoding += "-le" if order == "<" else "-be"
    return np.array(bytes(block.data).decode(encoding))
