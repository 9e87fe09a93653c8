"""NumPy, as a function sees it that makes arrays first and fills them afterwards: those arrays can carry differences.

Called by `rewritten`. numpy.zeros(…) of a plain NumPy makes a plain array, into which nothing can be written that carries
differences.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastgrad.functions.exact.moved import as_moved, fresh, holds_moved, is_moved, rearranged
from fastgrad.functions.exact.tile import Tile


class Buffers:
    """NumPy's functions that make arrays, for one tile after another."""

    def __init__(self) -> None:
        self.tile = Tile(0)
        self.functions: dict[str, Any] = {
            name: self._making(getattr(np, name)) for name in ("zeros", "ones", "empty", "full", "eye", "identity")
        }
        for name in ("array", "asarray", "asanyarray", "ascontiguousarray"):
            self.functions[name] = self._taking(getattr(np, name), copies=name == "array")
        self.numpy = Stand(
            np, {**self.functions, "ndarray": ndarray, "lib": Stand(np.lib, {"stride_tricks": self._stride_tricks()})}
        )

    def replacements(self) -> dict[int, Any]:
        """Return what stands for objects of NumPy, by their identity."""
        found = {id(getattr(np, name)): function for name, function in self.functions.items()}
        return found | {id(np): self.numpy, id(np.lib.stride_tricks.as_strided): self._strided, id(np.ndarray): ndarray}

    def _stride_tricks(self) -> Stand:
        return Stand(np.lib.stride_tricks, {"as_strided": self._strided})

    def _making(self, function: Any) -> Any:
        def make(*inputs: Any, **options: Any) -> Any:
            found = function(*inputs, **options)
            return fresh(self.tile, found) if found.dtype == np.float64 else found

        return make

    def _taking(self, function: Any, copies: bool) -> Any:
        def take(value: Any, dtype: Any = None, **options: Any) -> Any:
            if not holds_moved(value):
                return function(value, dtype, **options)
            if options or (dtype is not None and np.dtype(dtype) != np.float64):
                self.tile.refuse(f"it calls numpy.{function.__name__} with options")
            if is_moved(value):
                return rearranged(value, np.copy if copies else function)
            return as_moved(self.tile, value)

        return take

    def _strided(self, x: Any, *rest: Any, **options: Any) -> Any:
        function = np.lib.stride_tricks.as_strided
        if not is_moved(x):
            return function(x, *rest, **options)
        return rearranged(x, lambda array: function(array, *rest, **options))


class Stand:
    """Stands for a module, some of whose functions are others, or all of what is asked for."""

    def __init__(self, module: Any, others: dict[str, Any], of: Callable[[Any], Any] | None = None) -> None:
        self.__dict__.update(others)
        self._module, self._of = module, of

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._module, name)
        return found if self._of is None else self._of(found)


class _Arrays(type):
    """Makes what carries differences an array to those who ask whether something is one."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, np.ndarray) or is_moved(instance)


class ndarray(np.ndarray, metaclass=_Arrays):  # noqa: N801 - NumPy's name
    """Stands for NumPy's class."""
