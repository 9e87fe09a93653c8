"""Whatever holds numbers becomes a NumPy array: lists, torch tensors, JAX and pandas arrays, by what they can do.

No such package is imported. Numbers in bfloat16, which NumPy has no type for, become float32 with a mark of their origin.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from numbers import Number
from typing import Any

import numpy as np
import numpy.typing as npt

from fastgrad.errors import InputError, told

Raw = npt.NDArray[Any]

_FROM_BFLOAT16 = np.dtype(np.float32, metadata={"precision": "bfloat16"})
"""float32 whose numbers came in bfloat16; views and transposes keep the mark."""


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


def as_numpy(value: Any) -> Any:
    """Return what NumPy takes as an array: of a tensor its numbers without its graph, of a frame its values."""
    if isinstance(value, list | tuple):
        return [as_numpy(entry) for entry in value] if any(map(is_array, value)) else value
    if not is_array(value) or isinstance(value, np.ndarray):
        return value
    for step in ("detach", "cpu"):
        value = getattr(value, step)() if can(value, step) else value
    if str(getattr(value, "dtype", "")).endswith("bfloat16"):
        wide = value.float() if can(value, "float") else value.astype(np.float32)
        return np.array(wide, dtype=np.float32).view(_FROM_BFLOAT16)
    return plain(value.to_numpy() if can(value, "to_numpy") else np.asarray(value))


def plain(array: Raw) -> Raw:
    """Return numbers that are held as objects, as frames of several types hold theirs, as numbers."""
    if array.dtype.kind != "O" or not all(isinstance(entry, Number) for entry in array.flat):
        return array
    return np.array(array.tolist()).reshape(array.shape)


def is_array(value: Any) -> bool:
    """Tell whether something is an array of some package; numbers and lists are none."""
    if isinstance(value, np.ndarray):
        return True
    if isinstance(value, Number | str | bytes | list | tuple | Mapping | type):
        return False
    return any(can(value, word) for word in ("__array__", "detach", "to_numpy"))


def can(value: Any, method: str) -> bool:
    """Tell whether something has a method; one with code of its own may raise anything when it is asked."""
    try:
        return callable(getattr(value, method, None))
    except Exception:
        return False


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


def like(original: Any, array: Raw) -> Any:
    """Return numbers in the form of what was given: in lists, as a tensor, a frame, an array, or one number."""
    if isinstance(original, list | tuple):
        return array.tolist()
    if can(original, "new_tensor"):
        tensor = original.new_tensor(array)
        return tensor.requires_grad_() if getattr(original, "requires_grad", False) else tensor
    if hasattr(original, "to_numpy") and hasattr(original, "index"):
        names = {key: getattr(original, key) for key in ("index", "columns", "name") if hasattr(original, key)}
        if np.shape(original) != array.shape:  # other examples than the given ones have no labels
            names.pop("index")
        return type(original)(array, **names)
    if np.ndim(original) > 0 or array.size > 1:
        return np.array(array, order="C")
    number = array.reshape(())
    if isinstance(original, np.ndarray):
        return number.copy()
    return number[()] if isinstance(original, np.generic) else number.item()


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
