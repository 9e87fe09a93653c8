"""The .safetensors file, by the library of its makers; the texts of its metadata may be items of the description."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastgrad import machine
from fastgrad.errors import InputError, shortened
from fastgrad.reading.formats.mapped import is_large, mapped, tensor_places
from fastgrad.reading.formats.npy import Raw, Sized, memory_of, reading, require_memory, require_modest, require_names
from fastgrad.reading.formats.opening import opened
from fastgrad.reading.formats.wanted import library
from fastgrad.writing import PathLike

WIDTHS = {"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2}
"""Bytes of a number by the format's name of its type; all others, of one byte or less, hold small whole numbers or codes."""
CODES = ("F8_", "F4", "F6_", "C64")
"""Beginnings of the names of types that NumPy lacks, or that are no real numbers."""


def read(path: PathLike) -> dict[str, Raw]:
    """Read every tensor of the file, in the order of their names."""
    safetensors = library("safetensors", "a .safetensors file")
    with opened(path):  # a regular file, which may be read; the library opens it by its name
        pass
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            names = sorted(file.keys())
            metadata = {name: np.array(text) for name, text in (file.metadata() or {}).items() if name != "format"}
            require_names([*names, *(name for name in metadata if name not in names)])
            sized = [_sized(name, file.get_slice(name)) for name in names]
            places = {} if machine.fits(memory_of(sized)) else tensor_places(path)
            require_memory([tensor for tensor in sized if tensor.name not in places])
            for name, text in metadata.items():
                require_modest(name, (), text.dtype)
            large = {tensor.name for tensor in sized if is_large(tensor.size) and tensor.name in places}
            tensors = {name: mapped(path, places[name]) if name in large else _tensor(name, file) for name in names}
            return tensors | {k: v for k, v in metadata.items() if k not in names}
    except safetensors.SafetensorError as error:
        raise InputError(f"this .safetensors file is truncated or damaged ({shortened(str(error))})") from None


def _sized(name: str, part: Any) -> Sized:
    """Return what a tensor will take, by the file's header."""
    shape, kind = tuple(part.get_shape()), part.get_dtype()
    if kind.startswith(CODES):
        raise InputError(f"{name} has the type {kind}; expected real numbers in float64, float32, float16 or bfloat16")
    return Sized(name, shape, math.prod(shape) * WIDTHS.get(kind, 1))


def _tensor(name: str, file: Any) -> Raw:
    """Read a tensor."""
    if file.get_slice(name).get_dtype() == "BF16":
        library("ml_dtypes", f"{name}, which is in bfloat16")
    with reading(name):
        return np.asarray(file.get_tensor(name))
