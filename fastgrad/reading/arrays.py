"""Whatever holds numbers becomes a NumPy array of real numbers, or a complaint that says what it is instead."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fastgrad.errors import InputError, told
from fastgrad.foreign import as_numpy, plain

Raw = npt.NDArray[Any]


def number_array(name: str, value: Any) -> Raw:
    """Return an array of real numbers, or complain of whatever else it is."""
    try:
        array = plain(np.asarray(as_numpy(value)))
    except ValueError:
        raise InputError(f"{name} is no array: its rows differ in length") from None
    except Exception as error:  # an object with code of its own, which may raise anything
        raise InputError(f"{name} cannot be made an array: {told(error)}") from None
    masked = sys.modules.get("numpy.ma")  # which takes long to import, and without which there are no such arrays
    if masked is not None and masked.is_masked(value):
        raise InputError(f"{name} has masked entries, which are no numbers: fill them, or leave them out")
    if isinstance(value, Mapping):
        raise InputError(f"{name} must be an array, found a dict: give each of its arrays under a name of its own")
    if array.dtype.kind not in "fiub":
        what = {"c": "complex numbers", "O": "Python objects", "U": "text", "S": "text"}.get(array.dtype.kind, "others")
        raise InputError(f"{name} must hold real numbers, found {what} (dtype {array.dtype})")
    return array


def shape_of(value: Any) -> tuple[int, ...] | None:
    """Return the shape of an array; None of a ragged list, which will be complained of where it is used."""
    try:
        shape: tuple[int, ...] = np.shape(as_numpy(value))
    except Exception:
        return None
    return shape


def precision(dtype: np.dtype[Any]) -> str:
    """Return the precision that numbers were computed in; that of whole numbers is full."""
    if dtype.metadata and "precision" in dtype.metadata:
        return str(dtype.metadata["precision"])
    return {2: "float16", 4: "float32"}.get(dtype.itemsize, "float64") if dtype.kind == "f" else "float64"


def size_of(value: Any) -> int:
    """Return the number of entries, 0 of a ragged list; a tensor's own `size` is something else."""
    shape = shape_of(value)
    return 0 if shape is None else math.prod(shape)


def require_finite(values: Raw, name: str, original: Raw) -> None:
    """Complain of nan and inf by the index in the user's own array; one pass over numbers that are all finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(values.sum()):
            return
    bad = ~np.isfinite(original)
    if np.any(bad):
        index = first_index(bad)
        raise InputError(f"{entry_in(name, index)} is {original[index]}: every number of {name} must be finite")
    if not np.all(np.isfinite(values)):
        raise InputError(f"{name} holds numbers too large for float64")


def first_index(where: npt.NDArray[np.bool_]) -> tuple[int, ...]:
    """Return the first index at which something holds."""
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(where)), where.shape))


def entry_in(name: str, index: tuple[int, ...]) -> str:
    """Return how Python writes an entry: "X[2, 0]"."""
    return f"{name}{list(index)}" if index else name
