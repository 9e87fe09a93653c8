"""An array as NumPy writes it, judged by its header before memory is taken: by what Python and NumPy will make of it.

Shared by the archive (.npz) and the folder of .npy files; nothing is ever unpickled.
"""

from __future__ import annotations

import contextlib
import io
import math
import sys
from collections.abc import Iterator, Sequence
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastgrad import machine
from fastgrad.errors import InputError, quoted, shortened
from fastgrad.reading.description import LIST_ITEMS, NUMBER_ITEMS, TEXT_ITEMS
from fastgrad.reading.names import LONGEST_NAME

Raw = npt.NDArray[Any]

CHUNK = 1 << 20
MOST_ARRAYS = 10_000
"""Arrays that a file may hold: a network of thousands of layers has that many, a hostile file has more."""
LONGEST_HEADER = 10_000
"""Bytes of an array's header, which NumPy would read whole before it judges them; plain numbers need 128."""
MOST_DIMENSIONS = 32
"""Axes that any supported NumPy can give an array."""
LARGEST_ITEM = 1 << 20
"""Bytes of an item of the description, which becomes Python's own texts and numbers: the names of 5,000 arrays, each of fifty
characters, or a weight for each of 131,072 classes. Weights of examples are as many as the examples, and are counted so."""
MOST_EMPTY_TEXTS = 10_000
"""Entries of an array of texts without a character: it takes no bytes in a file, and some for every entry in memory."""
PYTHON_NUMBER = 64
"""Bytes of a number in a tuple, while the list that it is made from is there as well: twice a pointer and a float."""
LAST_CHARACTER = 0x10FFFF
"""The last code point of Unicode; NumPy keeps any number of 32 bits as a character, and Python then fails."""

EXAMPLE_WEIGHTS = ("example_weights", "sample_weights", "sample_weight")
"""Names of a column or row of weights that are none of a layer."""

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class Member(NamedTuple):
    """One array of a file, by its header: its name, and where its numbers begin."""

    name: str
    start: int
    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[Any]
    size: int


def judged(name: str, stream: IO[bytes], length: int) -> Member:
    """Read the header of an array and hold it against the bytes that there are.

    Raises
    ------
    InputError
        If it is no plain array of numbers or text, or not as long as it says.
    """
    with reading(name):
        shape, fortran_order, dtype = _header(name, stream)
        start = stream.tell()
    if dtype.hasobject:
        raise InputError(
            f"{name} holds Python objects (a pickle), which are never loaded; save it as an array of numbers, or each "
            "of its entries under a name of its own"
        )
    if dtype.fields is not None or dtype.subdtype is not None or not _is_shape(shape, dtype):
        raise InputError(f"{name} is not a plain array (dtype {shortened(str(dtype))}, shape {quoted(shape)})")
    size = math.prod(shape) * dtype.itemsize
    if start + size != length:
        there = length - start
        raise InputError(f"{name} is damaged: its header declares {size:,} bytes for {shape}, {there:,} are there")
    member = Member(name, start, shape, fortran_order, dtype, size)
    require_modest(name, shape, dtype)
    return member


def filled(member: Member, stream: IO[bytes]) -> Raw:
    """Read the numbers of an array whose header has been judged, from a stream at its beginning."""
    if member.dtype.itemsize == 0:  # NumPy would make room for a character
        return np.zeros(member.shape, dtype=member.dtype)
    flat = np.empty(math.prod(member.shape), dtype=member.dtype)
    buffer, done = flat.view(np.uint8).data if member.size else memoryview(b""), 0
    with reading(member.name):
        stream.read(member.start)
        while done < member.size:
            chunk = stream.read(min(CHUNK, member.size - done))
            if not chunk:
                raise EOFError(f"{member.size - done:,} bytes are missing")
            buffer[done : done + len(chunk)] = chunk
            done += len(chunk)
    _require_characters(member, flat)
    return flat.reshape(member.shape[::-1]).T if member.fortran_order else flat.reshape(member.shape)


@contextlib.contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn what a damaged array raises, in its compression or in NumPy's parser, into a complaint."""
    try:
        yield
    except (InputError, OSError, MemoryError):
        raise
    except Exception as error:
        raise InputError(f"{name} is truncated or damaged ({shortened(str(error))})") from None


def require_names(names: Sequence[str]) -> None:
    """Refuse more arrays than any network has, a name that is given twice, and one that is too long to be one."""
    if not names:
        raise InputError("there are no arrays in it")
    if len(names) > MOST_ARRAYS:
        raise InputError(f"it holds {len(names):,} arrays; a model file has {MOST_ARRAYS:,} at most")
    seen: set[str] = set()
    for name in names:
        if len(name) > LONGEST_NAME:
            raise InputError(f"the name {quoted(name)} is longer than the {LONGEST_NAME} characters that a name may have")
        if name in seen:
            raise InputError(f"it holds {name} twice")
        seen.add(name)


def require_modest(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Refuse an item of the description, or texts without a character, that would become too many of Python's objects."""
    count = math.prod(shape)
    if dtype.itemsize == 0 and count > MOST_EMPTY_TEXTS:
        raise InputError(f"{name} holds {count:,} entries without a byte; there may be {MOST_EMPTY_TEXTS:,} at most")
    taken = max(count * dtype.itemsize, dtype.itemsize)  # to show an empty array of long texts takes some of them
    if taken > LARGEST_ITEM and _is_item(name, shape, dtype):
        raise InputError(
            f"{name} takes {taken:,} bytes, where an item of a description takes {LARGEST_ITEM:,} at most; if it "
            "is data, give it another name"
        )


class Sized(NamedTuple):
    """An array that is to be read: what it will take."""

    name: str
    shape: tuple[int, ...]
    size: int


def require_memory(arrays: Sequence[Sized]) -> None:
    """Refuse what would not fit: the arrays as they are, and twice as double precision numbers, read and worked on.

    Weights of examples become Python's numbers beside.
    """
    total, available = memory_of(arrays), machine.available_memory()
    if total > available:
        largest = max(arrays, key=lambda array: math.prod(array.shape))
        raise InputError(
            f"its arrays need {total / 2**30:,.1f} GiB, {available / 2**30:,.1f} GiB of memory are free; the largest "
            f"is {largest.name} {largest.shape}. A folder of .npy files would be read from disk, block by block"
        )


def memory_of(arrays: Sequence[Sized]) -> int:
    """Return the bytes that arrays will take."""
    each = {array.name: PYTHON_NUMBER if array.name in EXAMPLE_WEIGHTS else 16 for array in arrays}
    return sum(array.size + each[array.name] * math.prod(array.shape) for array in arrays)


def _header(name: str, stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read a header, whose length is judged before it is read."""
    version = np.lib.format.read_magic(stream)
    if version not in _HEADERS:
        raise InputError(f"{name} is in a version of the .npy format that plain numbers and text do not need")
    prefix = stream.read(2 if version == (1, 0) else 4)
    length = int.from_bytes(prefix, "little")
    if length > LONGEST_HEADER:
        raise InputError(f"{name} is not a plain array: its header has {length:,} bytes, where 128 are usual")
    try:
        return _HEADERS[version](io.BytesIO(prefix + stream.read(length)))
    except (MemoryError, RecursionError):  # of Python's parser, by thousands of brackets
        raise InputError(f"{name} is truncated or damaged (its header cannot be read)") from None


def _is_shape(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    """Whether NumPy can make an array of this shape; it counts the other axes even where one of them is empty."""
    if len(shape) > MOST_DIMENSIONS or any(isinstance(n, bool) or n < 0 for n in shape):
        return False
    # Texts without a byte become texts of one character, and a character of bytes becomes one of four.
    return 4 * math.prod(max(n, 1) for n in shape) * max(dtype.itemsize, 1) <= sys.maxsize


def _is_item(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    """Whether an array is taken for an item of the description, weights of examples left out; see `modelfile`."""
    if dtype.kind in "US":
        return name in TEXT_ITEMS | LIST_ITEMS | NUMBER_ITEMS | set(EXAMPLE_WEIGHTS)
    return name in LIST_ITEMS - set(EXAMPLE_WEIGHTS) and len(shape) < 2


def _require_characters(member: Member, flat: Raw) -> None:
    """Refuse a text whose numbers are not those of characters."""
    if member.dtype.kind == "U" and flat.size:
        points = flat.view(np.dtype(np.uint32).newbyteorder(member.dtype.byteorder))
        if points.max() > LAST_CHARACTER:
            raise InputError(f"{member.name} is damaged: it holds numbers that are no characters")
