"""Arrays that stay in their file: mapped, so that only what is looked at is read. For networks that outgrow memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastgrad.errors import InputError
from fastgrad.reading.formats.npy import Member, Raw, filled
from fastgrad.reading.formats.opening import opened
from fastgrad.writing import PathLike

SMALL = 2**20
"""Bytes up to which an array is read at once: descriptions, biases, examples."""


class Place(NamedTuple):
    """Where in a file the numbers of an array are."""

    start: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran_order: bool = False


def placed_or_read(file: Path, member: Member) -> Raw:
    """Return the array of an .npy whose header has been judged: mapped, or read where it is small."""
    if is_large(member.size):
        return mapped(file, Place(member.start, member.shape, member.dtype, member.fortran_order))
    with opened(file) as stream:
        return filled(member, stream)


def is_large(size: int) -> bool:
    """Tell whether an array of so many bytes is to stay in its file."""
    return size > SMALL


def mapped(path: PathLike, place: Place) -> Raw:
    """Map an array of a file."""
    try:
        order = "F" if place.fortran_order else "C"
        array = np.memmap(path, place.dtype, "r", place.start, place.shape, order)  # type: ignore[call-overload]
    except (OSError, ValueError) as error:
        raise InputError(f"it cannot be mapped into memory: {error}") from None
    return np.asarray(array)


DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1"}
"""NumPy's names of the types that a .safetensors file may be mapped in."""


def tensor_places(path: PathLike) -> dict[str, Place]:
    """Return where a .safetensors file, which its library has judged, holds its tensors; not those of other types.

    The file begins with the length of a JSON object, which says of each tensor where its bytes begin and end.
    """
    with opened(path) as stream:
        length = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(length))
    return {
        name: Place(8 + length + item["data_offsets"][0], tuple(item["shape"]), np.dtype(DTYPES[item["dtype"]]))
        for name, item in header.items()
        if name != "__metadata__" and item["dtype"] in DTYPES
    }
