"""JSON: an object of nested lists, as JavaScript and most other languages write it.

Objects in objects, and lists of objects, are taken apart: the weights of {"layers": [{"W": …}]} become layers.0.W.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np

from fastgrad import machine
from fastgrad.errors import InputError, quoted, shortened
from fastgrad.reading.formats.npy import MOST_DIMENSIONS, Raw, Sized, require_memory, require_modest, require_names
from fastgrad.reading.formats.opening import Source, opened, size_of

PER_BYTE = 32
"""Bytes of memory that a byte of JSON may become: "[]," and "{}," are lists and dictionaries of some 70 bytes each."""
LONGEST_TEXT = 1000
"""Characters of a text, which is a name or a word; an array of texts takes the longest for each."""


def read(source: Source) -> dict[str, Raw]:
    """Read the arrays, numbers and texts of a JSON object."""
    with opened(source) as stream:
        size = size_of(stream)
        available = machine.available_memory()
        if size * PER_BYTE > available:
            raise InputError(
                f"JSON of {size / 2**20:,.0f} MiB may take {PER_BYTE} times as much, and {available / 2**30:,.1f} GiB of "
                "memory are free; write a folder of .npy files instead"
            )
        text = stream.read()
    return _arrays(_document(text))


def _document(text: bytes) -> dict[str, Any]:
    try:
        document = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and a number of 5,000 digits included
        where = str(error) if isinstance(error, ValueError) else "too many lists in one another"
        raise InputError(f"this is not JSON ({shortened(where)})") from None
    if not isinstance(document, dict):
        raise InputError(f'this is JSON of a {_kind(document)}; expected an object: {{"W1": [[…]], "b1": […], "X": …}}')
    return document


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object, in which no name may stand twice: JSON leaves open which of the two counts."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise InputError(f"it holds {quoted(next(name for name in names if names.count(name) > 1))} twice")
    return found


def _arrays(document: dict[str, Any]) -> dict[str, Raw]:
    leaves = list(_leaves("", document))
    require_names([name for name, _ in leaves])
    arrays = {name: _array(name, value) for name, value in leaves}
    require_memory([Sized(name, array.shape, array.nbytes) for name, array in arrays.items()])
    return arrays


def _leaves(prefix: str, value: Any, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield what is no object, by its names joined with points; null stands for what is not there."""
    if depth > MOST_DIMENSIONS:
        raise InputError(f"{shortened(prefix)} lies in more than {MOST_DIMENSIONS} objects")
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        value = {str(place): item for place, item in enumerate(value)}
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _leaves(f"{prefix}.{name}" if prefix else name, item, depth + 1)
    elif value is not None:
        yield prefix, value


def _array(name: str, value: Any) -> Raw:
    """Return an array of a number, a text, or lists of them in one another."""
    shape: list[int] = []
    row: list[Any] = [value]
    while row and isinstance(row[0], list):
        lengths = {len(item) if isinstance(item, list) else None for item in row}
        if len(lengths) > 1 or len(shape) == MOST_DIMENSIONS:
            raise InputError(f"{shortened(name)} is no array: its rows differ in length, or numbers stand beside lists")
        shape.append(len(row[0]))
        row = list(chain.from_iterable(row))
    return _plain(name, row).reshape(shape)


def _plain(name: str, entries: list[Any]) -> Raw:
    """Return numbers or texts as one row; a whole number that no integer of 64 bits holds becomes one of double precision."""
    kinds = set(map(type, entries))
    if kinds <= {str}:
        longest = max(map(len, entries), default=0)
        if longest > LONGEST_TEXT:
            raise InputError(f"{shortened(name)} holds a text of {longest:,} characters; {LONGEST_TEXT:,} are the most")
        require_modest(name, (len(entries),), np.dtype((np.str_, max(longest, 1))))
        return np.array(entries, dtype=np.str_) if entries else np.zeros(0)
    if kinds == {bool}:
        return np.array(entries)
    if not kinds <= {int, float}:
        other = next(item for item in entries if type(item) not in (int, float))
        raise InputError(f"{shortened(name)} holds {quoted(other)} where a number is expected")
    try:
        return np.array(entries, dtype=np.int64 if kinds == {int} else np.float64)
    except OverflowError:
        return np.array([_double(entry) for entry in entries])


def _double(entry: float) -> float:
    try:
        return float(entry)
    except OverflowError:
        return float("inf") if entry > 0 else float("-inf")


def _kind(document: Any) -> str:
    names = {list: "list", str: "text", bool: "truth value", type(None): "null"}
    return names.get(type(document), "number")
