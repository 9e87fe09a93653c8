"""A function named on the command line, found and made fit to be called: module:function, or file.py:function."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from fastgrad.errors import InputError, quoted, shortened


def load_function(text: str) -> Callable[..., Any]:
    """Import the function that a text names; what it prints goes to stderr, where it cannot spoil a report.

    Raises
    ------
    InputError
        If there is no such module or function, or importing it fails.
    """
    place, colon, name = text.rpartition(":")
    if not colon or not place or not name:
        raise InputError(f"a function is named as module:function or file.py:function, found {quoted(text)}")
    function = getattr(_imported(place), name, None)
    if not callable(function):
        raise InputError(f"there is no function {quoted(name)} in {shortened(place)}")

    def quiet(*arguments: Any) -> Any:
        with contextlib.redirect_stdout(sys.stderr):
            return function(*arguments)

    return quiet


def _imported(place: str) -> ModuleType:
    """Import a module from the current folder, or from a file, whose own folder it may import from."""
    path = Path(place)
    is_file = path.suffix == ".py"
    if is_file and not path.is_file():
        raise InputError(f"there is no file {quoted(place)}")
    sys.path.insert(0, str(path.resolve().parent if is_file else Path.cwd()))
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return _run(path) if is_file else importlib.import_module(place)
    except Exception as error:  # whatever a stranger's module may raise
        first = next(iter(str(error).splitlines()), "")
        raise InputError(f"{shortened(place)} cannot be imported: {type(error).__name__}: {shortened(first)}") from None


def _run(path: Path) -> ModuleType:
    """Import a file under its own name."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError("it is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module
