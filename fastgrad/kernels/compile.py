"""How kernels are compiled and where compiled code is kept; the one place that knows the flags and says why each is there.

Compiled entry points are cached in a folder named after the content of every kernel file, so that a stale kernel is
impossible: numba itself does not notice a change in a function that a cached one took from another file.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core import config

Function = TypeVar("Function", bound=Callable[..., Any])

# error_model="numpy": a division need not test for zero, without which no loop with a division vectorises.
# fastmath={"contract"}: a*b + c in one rounding; the only liberty taken. 'reassoc' and 'nnan' would break what kernels promise.
FLAGS: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract"}}


def helper(function: Function) -> Function:
    """Compile a function that only kernels call; it becomes part of the entry points that use it."""
    # _nrt=False: helpers allocate nothing; with it on, each call counts a reference for each array argument, atomically.
    # forceinline: a call with its dozens of array words costs as much as a short row.
    return numba.njit(_nrt=False, forceinline=True, **FLAGS)(function)  # type: ignore[no-any-return]


def outlined(function: Function) -> Function:
    """Compile a helper that entry points call: for what is large and rarely runs, and would slow compilation if inlined."""
    # forceinline=False said aloud: a callee otherwise inherits the flag of whoever calls it first.
    return numba.njit(_nrt=False, forceinline=False, **FLAGS)(function)  # type: ignore[no-any-return]


def entry(function: Function) -> Function:
    """Compile and cache a serial function that Python calls."""
    return _cached(function, parallel=False)


def parallel_entry(function: Function) -> Function:
    """Compile and cache a function with prange loops; only Python may call it (numba#4807)."""
    return _cached(function, parallel=True)


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


def _cached(function: Function, *, parallel: bool) -> Function:
    folder = cache_folder()
    # numba reads its cache folder when a function is decorated, and has no argument for it.
    before, config.CACHE_DIR = config.CACHE_DIR, str(folder or "")
    try:
        return numba.njit(parallel=parallel, cache=folder is not None, **FLAGS)(function)  # type: ignore[no-any-return]
    finally:
        config.CACHE_DIR = before
