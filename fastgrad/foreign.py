"""Arrays of other packages, torch tensors, JAX and pandas arrays, by what they can do: read as NumPy's, and made again.

No such package is imported. Numbers in bfloat16, which NumPy has no type for, become float32 with a mark of their origin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from numbers import Number
from typing import Any

import numpy as np
import numpy.typing as npt

Raw = npt.NDArray[Any]
Maker = Callable[[Raw], Any]

HALVES = ("float16", "bfloat16")
"""Types of numbers of half precision."""

_FROM_BFLOAT16 = np.dtype(np.float32, metadata={"precision": "bfloat16"})
"""float32 whose numbers came in bfloat16; views and transposes keep the mark."""


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
        return np.array(np.asarray(wide), dtype=np.float32).view(_FROM_BFLOAT16)
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


def maker(original: Any, *, wide: bool = True) -> Maker | None:
    """Return what makes an array of the same package and device of numbers; None for NumPy's, lists and numbers.

    In double precision, or that of the original. Complex numbers stay complex; a tensor requires a gradient where the original
    does.
    """
    if not is_array(original) or isinstance(original, np.ndarray):
        return None
    if can(original, "new_tensor"):
        return partial(_tensor, original, wide)
    if can(original, "__array_namespace__"):
        return partial(_in_namespace, original, wide)
    return None


def precision_of(value: Any) -> str:
    """Return the name of the type of an array's numbers, in whichever package: "float32", "bfloat16"; empty for others."""
    return str(getattr(value, "dtype", "")).rpartition(".")[2]


def _tensor(original: Any, wide: bool, array: Raw) -> Any:
    dtype = original.double().dtype if wide else original.dtype
    tensor = original.new_tensor(array, dtype=dtype.to_complex() if array.dtype.kind == "c" else dtype)
    return tensor.requires_grad_() if original.requires_grad else tensor


def _in_namespace(original: Any, wide: bool, array: Raw) -> Any:
    same = {} if wide or array.dtype.kind == "c" else {"dtype": original.dtype}
    return original.__array_namespace__().asarray(array, **same)


def can(value: Any, method: str) -> bool:
    """Tell whether something has a method; one with code of its own may raise anything when it is asked."""
    try:
        return callable(getattr(value, method, None))
    except Exception:
        return False


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
