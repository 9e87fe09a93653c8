"""The libraries that other formats are read with; all of them in the extra `files`."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from fastgrad.errors import InputError


def library(name: str, what: str) -> ModuleType:
    """Return a library that reads a format.

    Raises
    ------
    InputError
        If it is not installed; the message says how to install it.
    """
    try:
        return import_module(name)
    except ImportError:
        package = name.partition(".")[0]
        raise InputError(f"reading {what} needs {package}: pip install 'fastgrad[files]'") from None
