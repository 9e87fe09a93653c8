"""How kernels are compiled and where compiled code is kept; the one place that knows the flags and says why each is there.

Compiled entry points are cached in a folder named after the content of every kernel file, so that a stale kernel is
impossible: numba itself does not notice a change in a function that a cached one took from another file.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba.core import cgutils, config, types
from numba.extending import intrinsic

Function = TypeVar("Function", bound=Callable[..., Any])

# error_model="numpy": a division need not test for zero, without which no loop with a division vectorises.
# fastmath={"contract"}: a*b + c in one rounding; the only liberty taken. 'reassoc' and 'nnan' would break what kernels promise.
FLAGS: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract"}}

# _nrt=False: helpers allocate nothing; with it on, each call counts a reference for each array argument, atomically.
# No wrappers: nothing but kernels calls a helper, and each wrapper would hold, optimise and translate all of it again.
INNER: dict[str, Any] = {"_nrt": False, "no_cpython_wrapper": True, "no_cfunc_wrapper": True, **FLAGS}


def helper(function: Function) -> Function:
    """Compile a function that only kernels call, Python cannot; it becomes part of the entry points that use it."""
    # forceinline: a call with its dozens of array words costs as much as a short row.
    return numba.njit(forceinline=True, **INNER)(function)  # type: ignore[no-any-return]


def outlined(function: Function) -> Function:
    """Compile a helper that entry points call: for what is large and rarely runs, and would slow compilation if inlined."""
    # forceinline=False said aloud: a callee otherwise inherits the flag of whoever calls it first.
    return numba.njit(forceinline=False, **INNER)(function)  # type: ignore[no-any-return]


class Worker:
    """A compiled function that `call` reaches by its address, cached like an entry point.

    What a prange loop holds is optimised and translated three times over, with all that it calls by name: for itself,
    for the function that threads run, for the entry point. What is called by its address is compiled once.
    """

    def __init__(self, function: Callable[..., Any], signature: str) -> None:
        self.function, self.signature = function, signature

    @cached_property
    def address(self) -> Any:
        """Where its code is, compiled or loaded now; without compilation the function itself."""
        if config.DISABLE_JIT:
            return self.function
        dispatcher = cast(Any, _cached(self.function, **INNER))
        dispatcher.compile(self.signature)
        (self.compiled,) = dispatcher.overloads.values()  # kept, for its code lives as long as it does
        return self.compiled.library.get_pointer_to_function(self.compiled.fndesc.llvm_func_name)


def worker(signature: str) -> Callable[[Callable[..., Any]], Worker]:
    """Compile a function of that signature for `call`; it returns nothing and allocates nothing."""
    return lambda function: Worker(function, signature)


def addresses(*workers: Worker | None) -> Any:
    """Return the addresses of workers as an array for kernels, 0 where there is none; those there are get compiled now."""
    found = [0 if one is None else one.address for one in workers]
    return found if config.DISABLE_JIT else np.array(found, dtype=np.int64)


def _call_directly(address: Any, arguments: tuple[Any, ...]) -> None:
    address(*arguments)


def _call_address(typing_context: Any, address: Any, arguments: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kinds = list(signature.args[1].types)
        pointer = context.call_conv.get_function_type(types.none, kinds).as_pointer()
        function, parts = builder.inttoptr(values[0], pointer), cgutils.unpack_tuple(builder, values[1])
        context.call_conv.call_function(builder, function, types.none, kinds, parts)
        return context.get_dummy_value()

    return types.none(address, arguments), generate


call = _call_directly if config.DISABLE_JIT else intrinsic(_call_address)
"""Call a worker from a kernel, as in call(address, (first, second)); the types must be those of its signature."""


def _no_matter() -> None:
    pass


def _ask_for_wide_vectors(typing_context: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        # llvmlite knows only attributes that are single words; into its set of words this one goes as it is written.
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return types.none(), generate


wide_vectors = _no_matter if config.DISABLE_JIT else intrinsic(_ask_for_wide_vectors)
"""Called in a kernel: its loops take all 512 bits of a vector register where there are so many.

LLVM takes 256 on Intel's processors, whose clock once fell with wider ones; for long loops that is half of what they can.
"""


def entry(function: Function) -> Function:
    """Compile and cache a serial function that Python calls."""
    return _cached(function, **FLAGS)


def parallel_entry(function: Function) -> Function:
    """Compile and cache a function with prange loops; only Python may call it (numba#4807)."""
    return _cached(function, parallel=True, **FLAGS)


@cache
def cache_folder() -> Path | None:
    """Folder of the compiled code of exactly these kernel files, or None where no folder can be written."""
    content = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        content.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    home = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    for base in (
        Path(home) / "fastgrad",
        Path(tempfile.gettempdir()) / f"fastgrad-{os.getuid() if hasattr(os, 'getuid') else 'user'}",
    ):
        folder = base / content.hexdigest()[:16]
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    return None


def is_compiled() -> bool:
    """Whether an earlier run left compiled kernels to load, or none are needed."""
    folder = cache_folder()
    return bool(config.DISABLE_JIT) or (folder is not None and any(folder.rglob("*.nbi")))


def _cached(function: Function, **flags: Any) -> Function:
    folder = cache_folder()
    # numba reads its cache folder when a function is decorated, and has no argument for it.
    before, config.CACHE_DIR = config.CACHE_DIR, str(folder or "")
    try:
        return numba.njit(cache=folder is not None, **flags)(function)  # type: ignore[no-any-return]
    finally:
        config.CACHE_DIR = before
