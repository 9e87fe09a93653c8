"""The parameters of kernels, read from signatures: what each takes, and the machine words that numba passes it in.

Called by whatever calls a kernel's compiled code.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from operator import index
from typing import Any, NamedTuple

import numpy as np

NUMBERS: dict[str, Callable[[Any], int | float]] = {"i8": index, "u8": index, "f8": float}
"""How a single number is taken, by its type in signatures."""


class Parameter(NamedTuple):
    """One of a kernel's parameters: its type and, of an array, its dimensions."""

    kind: str
    dtype: np.dtype[Any]
    dimensions: int | None

    @classmethod
    def all_of(cls, signature: str) -> tuple[Parameter, ...]:
        """Read those of a signature such as void(i8, f8[:,::1])."""
        found = re.findall(r"(\w\d)(?:\[([^\]]*)1\])?", signature.partition("(")[2])
        return tuple(cls(kind, np.dtype(kind), shape.count(":") - 1 if shape else None) for kind, shape in found)

    def checked(self, value: Any) -> Any:
        """Return a value as this parameter takes it.

        Raises
        ------
        TypeError
            If it is of another type: a kernel would take its bytes for something else.
        """
        if self.dimensions is None:
            return NUMBERS[self.kind](value)
        flags = value.flags
        if value.dtype != self.dtype or value.ndim != self.dimensions or not (flags.c_contiguous and flags.aligned):
            raise TypeError(f"a kernel takes {self}, found {value.dtype}, shape {value.shape}, strides {value.strides}")
        return value

    def words(self, value: Any) -> list[int | float]:
        """Return the machine words that numba passes it in; of an array owner, size, address, shape and strides."""
        value = self.checked(value)
        if self.dimensions is None:
            return [value]
        address = value.__array_interface__["data"][0]
        return [0, 0, value.size, value.itemsize, address, *value.shape, *value.strides]

    @property
    def types(self) -> list[str]:
        """LLVM's types of those words."""
        if self.dimensions is None:
            return ["double" if self.kind == "f8" else "i64"]
        return ["ptr", "ptr", "i64", "i64", "ptr", *["i64"] * 2 * self.dimensions]
