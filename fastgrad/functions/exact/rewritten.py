"""A copy of a user's function that takes NumPy from elsewhere, along with the functions, classes and objects that it uses.

Called by `following`. Nothing that is the user's is touched: functions are made again from their code, with other globals, and
objects, lists and dicts are copied, so that what a followed call keeps in them stays there. What is not found this way is
used as it is; then the caller falls back.
"""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator
from functools import partial
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from fastgrad.functions.exact.buffers import Stand

NOT_THEIRS = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib"))
"""Folders of Python itself and of what was installed: that is not rewritten."""

OURS = "fastgrad.layers."
"""What calls a user's layer, and makes arrays of what it returns, is rewritten along with it."""

MOST_HELD = 1000
"""Things in a list or a dict that is looked through; what is longer holds data."""


def is_theirs(names: dict[str, Any]) -> bool:
    """Whether globals are those of a module of the user's, a notebook for example."""
    name = str(names.get("__name__", ""))
    if name.startswith("fastgrad."):
        return name.startswith(OURS)
    if name.partition(".")[0] in ("builtins", "numpy"):
        return False
    return not str(names.get("__file__", "")).startswith(NOT_THEIRS)


class Rewriting:
    """Copies of functions in which some objects are replaced by others, by their identity."""

    def __init__(self, replacements: dict[int, Any]) -> None:
        self._done: dict[int, Any] = dict(replacements)
        self._kept: list[Any] = []  # what is alive keeps its identity

    def of(self, value: Any) -> Any:
        """Return what stands for a value; mostly itself."""
        if id(value) in self._done:
            return self._done[id(value)]
        if isinstance(value, FunctionType):
            return self._function(value) if is_theirs(value.__globals__) else value
        if isinstance(value, MethodType):
            return MethodType(self.of(value.__func__), self.of(value.__self__))
        if type(value) is partial:
            return partial(self.of(value.func), *map(self.of, value.args), **self._mapped(value.keywords))
        if isinstance(value, ModuleType):
            return self._module(value)
        if type(value) is type:
            return self._class(value) if _is_their_class(value) else value
        if type(value) in (list, tuple, dict, set):
            return self._container(value)
        return self._instance(value) if _is_their_class(type(value)) else value

    def _keep(self, value: Any, new: Any) -> Any:
        self._done[id(value)] = new
        self._kept.append(value)
        return new

    def _mapped(self, values: dict[Any, Any]) -> dict[Any, Any]:
        return {name: self.of(value) for name, value in values.items()}

    def _function(self, function: FunctionType) -> Any:
        names, cells = function.__globals__, function.__closure__
        others = self._done.get(id(names)) or self._keep(names, dict(names))
        closure = None if cells is None else tuple(CellType() for _ in cells)
        new = FunctionType(function.__code__, others, function.__name__, None, closure)
        self._keep(function, new)
        new.__defaults__ = self.of(function.__defaults__)
        new.__kwdefaults__ = self.of(function.__kwdefaults__)
        new.__dict__.update(self._mapped(function.__dict__))
        for name in _names_in(function.__code__):
            if name in names and others[name] is names[name]:
                others[name] = self.of(names[name])
        for name, cell, old in zip(function.__code__.co_freevars, closure or (), cells or (), strict=True):
            try:
                # By its class, which super() goes on from, an object finds the methods of those that it was derived from.
                cell.cell_contents = old.cell_contents if name == "__class__" else self.of(old.cell_contents)
            except ValueError:  # a variable that has no value yet
                continue
        return new

    def _module(self, module: ModuleType) -> Any:
        if not is_theirs(vars(module)) or not hasattr(module, "__file__"):
            return module
        return self._keep(module, Stand(module, {}, self.of))

    def _class(self, kind: type) -> Any:
        new = self._keep(kind, type(kind.__name__, (kind,), {"__slots__": ()} if "__slots__" in vars(kind) else {}))
        inherited = [parent for parent in reversed(kind.__mro__) if _is_their_class(parent)]
        for name, value in [pair for parent in inherited for pair in vars(parent).items()]:
            if isinstance(value, FunctionType):
                setattr(new, name, self.of(value))
            elif isinstance(value, (staticmethod, classmethod)):
                setattr(new, name, type(value)(self.of(value.__func__)))
            elif isinstance(value, property):
                setattr(new, name, property(self.of(value.fget), self.of(value.fset), self.of(value.fdel)))
        return new

    def _instance(self, value: Any) -> Any:
        """Return a copy of an object, made without a call of its methods; itself where it holds more than attributes."""
        kind = type(value)
        if hasattr(kind, "__del__") or not hasattr(value, "__dict__"):
            return value
        try:
            new = object.__new__(self.of(kind))
        except TypeError:  # of a list, an array or an exception
            return value
        self._keep(value, new)
        vars(new).update(self._mapped(vars(value)))
        return new

    def _container(self, value: Any) -> Any:
        """Return a copy of a list, tuple, dict or set, with what stands for what it holds."""
        if len(value) > MOST_HELD:
            return value
        if type(value) in (tuple, set):
            return self._keep(value, type(value)(self.of(item) for item in value))
        new = self._keep(value, type(value)())
        if isinstance(new, dict):
            new.update(self._mapped(value))
        else:
            new.extend(map(self.of, value))
        return new


def _names_in(code: CodeType) -> Iterator[str]:
    """Yield the names that a function looks up, those within it included."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)


def _is_their_class(kind: type) -> bool:
    """Whether a class has methods of a user's module."""
    methods = (value for value in vars(kind).values() if isinstance(value, FunctionType))
    return kind.__module__ != "builtins" and any(is_theirs(method.__globals__) for method in methods)
