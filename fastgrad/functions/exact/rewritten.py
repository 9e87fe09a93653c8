"""A copy of a user's function that takes NumPy from elsewhere, along with the functions and classes that it uses.

Called by `following`. Nothing that is the user's is touched: functions are made again from their code, with other globals, and
objects are copied. What is not found out this way keeps the plain NumPy, and the caller falls back.
"""

from __future__ import annotations

import copy
import sysconfig
from functools import partial
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any

NOT_THEIRS = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib"))
"""Folders of Python itself and of what was installed: that is not rewritten."""


OURS = "fastgrad.layers."
"""What calls a user's layer, and makes arrays of what it returns, is rewritten along with it."""


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
            return self._function(value)
        if isinstance(value, MethodType):
            return MethodType(self.of(value.__func__), self.of(value.__self__))
        if isinstance(value, partial):
            return partial(self.of(value.func), *map(self.of, value.args), **self._mapped(value.keywords))
        if isinstance(value, ModuleType):
            return self._module(value) if is_theirs(vars(value)) and hasattr(value, "__file__") else value
        if type(value) is type:
            return self._class(value)
        if type(type(value)) is type and self._is_their_class(type(value)):
            return self._instance(value)
        if type(value) in (list, tuple, dict):
            return self._container(value)
        return value

    def _keep(self, value: Any, new: Any) -> Any:
        self._done[id(value)] = new
        self._kept.append(value)
        return new

    def _mapped(self, values: dict[Any, Any]) -> dict[Any, Any]:
        return {name: self.of(value) for name, value in values.items()}

    def _globals(self, names: dict[str, Any]) -> dict[str, Any]:
        if id(names) not in self._done:
            new: dict[str, Any] = self._keep(names, dict(names))
            new.update(self._mapped(names))
        return self._done[id(names)]  # type: ignore[no-any-return]

    def _function(self, function: FunctionType) -> Any:
        names, cells = function.__globals__, function.__closure__
        if not is_theirs(names):
            return function
        others = self._globals(names)
        if id(function) in self._done:  # its globals hold it
            return self._done[id(function)]
        closure = None if cells is None else tuple(CellType() for _ in cells)
        new = FunctionType(function.__code__, others, function.__name__, function.__defaults__, closure)
        self._keep(function, new)
        new.__kwdefaults__ = function.__kwdefaults__
        for cell, old in zip(closure or (), cells or (), strict=True):
            try:
                cell.cell_contents = self.of(old.cell_contents)
            except ValueError:  # a variable that has no value yet
                continue
        return new

    def _module(self, module: ModuleType) -> Any:
        new = self._keep(module, ModuleType(module.__name__))
        vars(new).update(self._globals(vars(module)))
        return new

    def _is_their_class(self, kind: type) -> bool:
        methods = [value for value in vars(kind).values() if isinstance(value, FunctionType)]
        return any(is_theirs(method.__globals__) for method in methods)

    def _class(self, kind: type) -> Any:
        if not self._is_their_class(kind):
            return kind
        new = type(kind.__name__, (kind,), {"__slots__": ()} if "__slots__" in vars(kind) else {})
        self._keep(kind, new)
        for name, value in vars(kind).items():
            if isinstance(value, FunctionType):
                setattr(new, name, self.of(value))
            elif isinstance(value, (staticmethod, classmethod)):
                setattr(new, name, type(value)(self.of(value.__func__)))
            elif isinstance(value, property) and value.fget is not None:
                setattr(new, name, property(self.of(value.fget), value.fset, value.fdel))
        return new

    def _instance(self, value: Any) -> Any:
        new = self._keep(value, copy.copy(value))
        # The class may forbid that its attributes are set.
        object.__setattr__(new, "__class__", self.of(type(value)))
        if hasattr(new, "__dict__"):
            new.__dict__.update(self._mapped(vars(value)))
        return new

    def _container(self, value: Any) -> Any:
        """Return a list, tuple or dict with what stands for what it holds; itself where all is as it was."""
        items = list(value.values()) if isinstance(value, dict) else list(value)
        self._keep(value, value)
        others = [self.of(item) for item in items]
        if all(new is old for new, old in zip(others, items, strict=True)):
            return value
        new = dict(zip(value, others, strict=True)) if isinstance(value, dict) else type(value)(others)
        return self._keep(value, new)
