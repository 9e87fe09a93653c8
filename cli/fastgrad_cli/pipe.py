"""What the command and the process with a stranger's function say to each other: JSON and .npy arrays, never pickles.

A message is a tree of dicts, lists, tuples, numbers and text, with arrays in it. It travels as the length of its JSON, the
number of its arrays, the JSON, and each array as an .npy. What is neither comes out as an object of a class of its name.
"""

from __future__ import annotations

import io
import json
import math
import struct
from collections.abc import Mapping, Sequence
from typing import IO, Any

import numpy as np
import numpy.typing as npt

Raw = npt.NDArray[Any]

_PREFIX = struct.Struct("<QQ")
CHUNK = 1 << 20
MOST_JSON = 1 << 28
"""Bytes of JSON: ten million numbers in lists."""
MOST_ITEMS, DEEPEST = 10_000_000, 12
"""What a tree may hold; a list that contains itself has no end."""
MOST_TEXT = 2_000
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class PipeError(Exception):
    """A message that cannot be taken; the text says why."""


class Message:
    """A message that is ready to be sent: making it may run code of the objects in it, sending it does not."""

    def __init__(self, content: Any) -> None:
        tree = _Tree()
        self._text = json.dumps(tree.of(content, 0)).encode("ascii")
        self._arrays = tree.arrays

    def send(self, stream: IO[bytes]) -> None:
        """Write the message."""
        _write(stream, _PREFIX.pack(len(self._text), len(self._arrays)) + self._text)
        for array in self._arrays:
            _write_array(stream, array)


def receive(stream: IO[bytes], most: int) -> Any:
    """Read a message of at most so many bytes.

    Raises
    ------
    EOFError
        If the other side has gone.
    PipeError
        If it is larger, or no message.
    """
    length, count = _PREFIX.unpack(bytes(_read(stream, _PREFIX.size)))
    if length > min(most, MOST_JSON) or count > MOST_ITEMS:
        raise PipeError(f"it holds {length:,} bytes of text and {count:,} arrays, more than can be taken")
    tree = json.loads(bytes(_read(stream, length)))
    arrays: list[Raw] = []
    for _ in range(count):
        arrays.append(_read_array(stream, most))
        most -= arrays[-1].nbytes
    return _restored(tree, arrays)


class _Tree:
    """The JSON of a message, and the arrays in it."""

    def __init__(self) -> None:
        self.arrays: list[Raw] = []
        self.items = 0

    def of(self, value: Any, depth: int) -> Any:
        """Return what stands for a value: itself for plain numbers, else a dict of one entry that says what it is."""
        self.items += 1
        if self.items > MOST_ITEMS:
            raise PipeError(f"it holds more than {MOST_ITEMS:,} entries")
        if isinstance(value, np.ndarray | np.generic) or hasattr(type(value), "__array__"):
            return self._array(value)
        if value is None or isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 2**63):
            return value
        if isinstance(value, str):
            return {"text": value[:MOST_TEXT]}
        if depth < DEEPEST and isinstance(value, Mapping):
            return {"dict": [[str(key), self.of(entry, depth + 1)] for key, entry in value.items()]}
        if depth < DEEPEST and isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
            kind = "tuple" if isinstance(value, tuple) else "list"
            return {kind: [self.of(entry, depth + 1) for entry in value]}
        return {"other": type(value).__name__}

    def _array(self, value: Any) -> Any:
        array = np.asarray(value)
        if array.dtype.hasobject or array.dtype.fields is not None or array.dtype.itemsize == 0:
            return {"objects": None}
        if np.ma.is_masked(value):
            return {"masked": None}
        self.arrays.append(array)
        return {"scalar" if isinstance(value, np.generic) else "array": len(self.arrays) - 1}


def _restored(tree: Any, arrays: Sequence[Raw]) -> Any:
    """Return the value that a tree stands for."""
    if not isinstance(tree, dict):
        return tree
    ((kind, content),) = tree.items()
    if kind == "dict":
        return {key: _restored(entry, arrays) for key, entry in content}
    if kind in {"list", "tuple"}:
        entries = [_restored(entry, arrays) for entry in content]
        return tuple(entries) if kind == "tuple" else entries
    if kind in {"array", "scalar"}:
        return arrays[content] if kind == "array" else arrays[content][()]
    if kind == "text":
        return content
    if kind == "masked":
        return np.ma.array([0.0], mask=[True])
    if kind == "objects":
        return np.array([None])
    return type(content if content.isidentifier() else "object", (), {})()


def _write_array(stream: IO[bytes], array: Raw) -> None:
    """Write an array as an .npy, in pieces."""
    header = io.BytesIO()
    described = np.lib.format.header_data_from_array_1_0(array)
    np.lib.format.write_array_header_1_0(header, described)
    _write(stream, header.getvalue())
    flat = np.ravel(array, order="F" if described["fortran_order"] else "C")
    per_piece = max(1, CHUNK // array.itemsize)
    for low in range(0, flat.size, per_piece):
        _write(stream, flat[low : low + per_piece].tobytes())


def _read_array(stream: IO[bytes], most: int) -> Raw:
    """Read an .npy whose header is judged before memory is taken."""
    version = np.lib.format.read_magic(stream)
    if version not in _HEADERS:
        raise PipeError("an array is in an unknown version of the .npy format")
    shape, fortran_order, dtype = _HEADERS[version](stream)
    size = math.prod(shape) * dtype.itemsize
    if dtype.hasobject or dtype.fields is not None or dtype.subdtype is not None or min(shape, default=0) < 0:
        raise PipeError(f"an array is of dtype {dtype}, shape {shape}")
    if size > most:
        raise PipeError(f"an array of shape {shape} needs {size / 2**30:,.1f} GiB, {most / 2**30:,.1f} GiB are free")
    flat = np.frombuffer(_read(stream, size), dtype=dtype)
    return flat.reshape(shape[::-1]).T if fortran_order else flat.reshape(shape)


def _write(stream: IO[bytes], data: bytes) -> None:
    """Write all of it; a raw stream may take a part at a time."""
    view = memoryview(data)
    while view:
        view = view[stream.write(view) or 0 :]


def _read(stream: IO[bytes], size: int) -> bytearray:
    """Read exactly so many bytes, into memory that can be written to."""
    data = bytearray(size)
    view = memoryview(data)
    while view:
        piece = stream.read(min(len(view), CHUNK))
        if not piece:
            raise EOFError("the other side has gone")
        view[: len(piece)] = piece
        view = view[len(piece) :]
    return data
