"""Kernels through numba's own dispatcher: the way that is right with every version of numba and on every platform.

Called by kernel where machine code cannot be loaded. numba pickles what it compiled and reads it back; the pickle lies where
machine code would, under the same rules, and not in numba's own cache, which trusts any folder and stays broken when damaged.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property, partial
from typing import Any, cast

import numba
import numpy as np
from numba.core import config
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from fastgrad.kernels import kept
from fastgrad.kernels.compile import FLAGS, Worker, typed
from fastgrad.kernels.key import key, settings_hold
from fastgrad.kernels.parameters import Parameter
from fastgrad.kernels.records import flat_signature


def without_compilation() -> bool:
    """Whether numba was told, by its file of settings or a program, to leave functions as they are."""
    return bool(config.DISABLE_JIT)


class Dispatched:
    """A kernel that numba compiles, keeps and calls."""

    def __init__(self, worker: Worker, name: str) -> None:
        self.parameters = Parameter.all_of(flat_signature(worker.signature))
        self._dispatcher = cast(Any, numba.njit(_nrt=False, nogil=True, **FLAGS)(worker.function))
        self._dispatcher._cache = Kept(name)
        self._dispatcher.compile(typed(worker.signature))
        self._dispatcher.disable_compile()

    @cached_property
    def address(self) -> int:
        """Where other kernels call it."""
        (compiled,) = self._dispatcher.overloads.values()
        return int(compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name))

    def prepare(self, arguments: tuple[Any, ...]) -> Callable[[], None]:
        """Return a call that can be made later, and on another thread."""
        parts = iter(self.parameters)
        taken = [
            type(argument)(*(_as_numba_takes_it(next(parts), part) for part in argument))
            if isinstance(argument, tuple)
            else _as_numba_takes_it(next(parts), argument)
            for argument in arguments
        ]
        return partial(self._dispatcher, *taken)


class Kept(NullCache):  # type: ignore[misc]  # numba's, untyped
    """What a dispatcher asks for compiled code, and gives it to; whatever goes wrong in it means compiling."""

    def __init__(self, name: str) -> None:
        self._name = name

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the compiled kernel, or None."""
        with suppress(Exception):
            content = kept.read(key(), self._name)
            if content is not None:
                target_context.refresh()
                return CompileResult._rebuild(target_context, *pickle.loads(content))
        return None

    def save_overload(self, sig: Any, cres: Any) -> None:
        """Keep it."""
        with suppress(Exception):
            if settings_hold():
                kept.write(key(), self._name, dumps(cres._reduce()))


class _Writable:
    """An array's memory without its note that it is only to be read, by which numba would take it for another type."""

    def __init__(self, array: Any) -> None:
        interface = array.__array_interface__
        self.__array_interface__ = {**interface, "data": (interface["data"][0], False)}
        self._array = array


def _as_numba_takes_it(parameter: Parameter, value: Any) -> Any:
    """Return an argument, or a part of a record, of the very type that the signature has."""
    value = parameter.checked(value)
    if parameter.dimensions is None:
        return np.uint64(value) if parameter.kind == "u8" else value
    if isinstance(value, np.ndarray) and not value.flags.writeable:
        return np.asarray(_Writable(value))
    return value
