"""What people give as an executor or as a store, refused at the door where it is none. Called by how."""

from __future__ import annotations

import os
from pathlib import Path

from fastgrad.errors import InputError, quoted, shortened

EXECUTORS = "concurrent.futures.ProcessPoolExecutor, that of loky or of mpi4py.futures, or of Dask client.get_executor()"


def require_executor(executor: object) -> None:
    """Raise InputError for what is no executor."""
    if executor is None:
        return
    from concurrent.futures import Executor

    if isinstance(executor, Executor):
        return
    kind = executor if isinstance(executor, type) else type(executor)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if isinstance(executor, type) and issubclass(executor, Executor):
        raise InputError(f"executor must be an executor, found the class {name} itself: write {kind.__qualname__}()")
    if hasattr(executor, "get_executor"):
        raise InputError(f"executor must be an executor, found {name}: give its get_executor()")
    raise InputError(f"executor must be a concurrent.futures.Executor ({EXECUTORS}), found {name}")


def require_store(store: object) -> None:
    """Raise InputError for what is no name of a folder."""
    if store is None:
        return
    named = os.fspath(store) if isinstance(store, str | os.PathLike) else None
    if not isinstance(named, str) or not named or "\0" in named:
        raise InputError(f"store must be the name of a folder, found {quoted(store)}")
    if Path(named).exists() and not Path(named).is_dir():
        raise InputError(f"store must be a folder, and {shortened(named)} is a file")
