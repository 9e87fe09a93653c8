"""The user's own source: the functions that a backward function is made of, and whether they may be run changed.

A function may be run changed if it calls NumPy, harmless builtins and functions of the same kind, and does nothing else: it
imports nothing, touches no file, no global state, and draws no random numbers.
"""

from __future__ import annotations

import ast
import builtins
import linecache
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

LIBRARIES = {"numpy", "math", "scipy"}
"""Packages whose functions are taken for what they are; all but these of their names:"""

UNSAFE = frozenset(
    {
        "random",
        "save",
        "savez",
        "savez_compressed",
        "savetxt",
        "load",
        "loadtxt",
        "genfromtxt",
        "fromfile",
        "fromregex",
        "tofile",
        "memmap",
        "open_memmap",
        "dump",
        "dumps",
        "open",
        "DataSource",
        "seterr",
        "seterrcall",
        "setbufsize",
        "set_printoptions",
        "setflags",
        "ctypeslib",
        "f2py",
        "distutils",
        "testing",
        "lib",
        "io",
        "show_config",
        "get_include",
        "system",
        "info",
    }
)
BUILTINS = frozenset(
    {
        "abs",
        "all",
        "any",
        "bool",
        "complex",
        "dict",
        "divmod",
        "enumerate",
        "filter",
        "float",
        "frozenset",
        "int",
        "isinstance",
        "len",
        "list",
        "map",
        "max",
        "min",
        "pow",
        "print",
        "range",
        "reversed",
        "round",
        "set",
        "slice",
        "sorted",
        "sum",
        "tuple",
        "zip",
        "str",
        "repr",
        "ValueError",
        "TypeError",
        "AssertionError",
        "IndexError",
        "KeyError",
        "NotImplementedError",
        "ArithmeticError",
        "ZeroDivisionError",
        "RuntimeError",
        "Exception",
    }
)
FORBIDDEN = (
    ast.Import,
    ast.ImportFrom,
    ast.Global,
    ast.Nonlocal,
    ast.While,
    ast.Try,
    ast.With,
    ast.ClassDef,
    ast.AsyncFunctionDef,
    ast.Yield,
    ast.YieldFrom,
    ast.Await,
    ast.Delete,
)
"""What is not run changed: loops that may never end, and what works on more than arrays."""

MOST_FUNCTIONS = 24
MOST_OTHERS = 16
"""Arrays and numbers of a module that are tried though a function does not name them: the last that were made."""


class NotSearchedError(Exception):
    """A function that is not run changed, and why."""


@dataclass(frozen=True)
class Part:
    """A function of the user's: its tree, what its free names stand for, its file, and the functions that it calls by name."""

    function: FunctionType
    node: ast.FunctionDef | ast.Lambda
    path: str
    free: dict[str, Any]
    called: dict[str, FunctionType]
    classes: dict[str, type]
    others: dict[str, Any]


def unwrapped(function: Any) -> tuple[FunctionType, tuple[Any, ...], dict[str, Any]]:
    """Return the plain function behind a bound method, a partial or an object that can be called, and what it adds."""
    if isinstance(function, MethodType) and isinstance(function.__func__, FunctionType):
        return function.__func__, (function.__self__,), {}
    if isinstance(function, partial):
        inner, first, keywords = unwrapped(function.func)
        return inner, (*first, *function.args), {**keywords, **function.keywords}
    if isinstance(function, FunctionType):
        return function, (), {}
    called = vars(type(function)).get("__call__")
    if isinstance(called, FunctionType):
        return called, (function,), {}
    raise NotSearchedError("not written in Python")


def parts_of(root: FunctionType) -> dict[FunctionType, Part]:
    """Return a function and those that it calls, each with its source.

    Raises
    ------
    NotSearchedError
        If one has no source that can be read, or does what is not to be run changed.
    """
    found: dict[FunctionType, Part] = {}
    waiting = [root]
    while waiting:
        function = waiting.pop()
        if function not in found:
            found[function] = _part(function)
            waiting += found[function].called.values()
            starts = [getattr(made, "__init__", None) for made in found[function].classes.values()]
            waiting += [start for start in starts if isinstance(start, FunctionType)]
        if len(found) > MOST_FUNCTIONS:
            raise NotSearchedError("too many functions")
    return found


def _part(function: FunctionType) -> Part:
    node = _node(function)
    _refuse(node, function)
    free: dict[str, Any] = {}
    called: dict[str, FunctionType] = {}
    classes: dict[str, type] = {}
    local = _assigned(node)
    for name in sorted({one.id for one in ast.walk(node) if isinstance(one, ast.Name)} - local):
        value = _value(function, name)
        if isinstance(value, FunctionType) and not _is_of_library(value):
            called[name] = value
        elif isinstance(value, type) and type(value) is type and value.__module__ != "builtins" and not _is_of_library(value):
            classes[name] = value
        elif not _is_harmless(name, value):
            raise NotSearchedError(f"{function.__name__} uses {name}")
        else:
            free[name] = value
    return Part(function, node, function.__code__.co_filename, free, called, classes, _others(function, local))


def _others(function: FunctionType, local: set[str]) -> dict[str, Any]:
    """Return the numbers and arrays of a function's module and of the functions around it that it does not name."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    around = {name: cell.cell_contents for name, cell in cells if name not in local}
    known = [
        (name, value)
        for name, value in {**function.__globals__, **around}.items()
        if not name.startswith("_") and name not in local and isinstance(value, (int, float, np.ndarray))
    ]
    return dict(known[-MOST_OTHERS:])


def _node(function: FunctionType) -> ast.FunctionDef | ast.Lambda:
    """Return the syntax tree of a function, found in its file by its place."""
    code = function.__code__
    try:
        tree = ast.parse("".join(linecache.getlines(code.co_filename, function.__globals__)))
    except (SyntaxError, ValueError, OSError, RecursionError, MemoryError):
        raise NotSearchedError("no source") from None
    nodes: list[ast.FunctionDef | ast.Lambda] = [
        node
        for node in ast.walk(tree)
        if (isinstance(node, ast.FunctionDef) and node.name == code.co_name and node.lineno == code.co_firstlineno)
        or (isinstance(node, ast.Lambda) and code.co_name == "<lambda>" and _span(node.body) in set(code.co_positions()))
    ]
    if len(nodes) != 1 or (isinstance(nodes[0], ast.FunctionDef) and nodes[0].decorator_list):
        raise NotSearchedError("no source")
    return nodes[0]


def _span(node: ast.expr) -> tuple[int | None, ...]:
    return node.lineno, node.end_lineno, node.col_offset, node.end_col_offset


def _refuse(node: ast.AST, function: FunctionType) -> None:
    for one in ast.walk(node):
        is_private = isinstance(one, ast.Attribute) and (one.attr.startswith("_") or one.attr in UNSAFE)
        if isinstance(one, FORBIDDEN) or is_private:
            raise NotSearchedError(f"{function.__name__} has {type(one).__name__}")


def _assigned(node: ast.AST) -> set[str]:
    """Return the names that a function makes itself, arguments and those of functions in it included."""
    names = {one.arg for one in ast.walk(node) if isinstance(one, ast.arg)}
    names |= {one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}
    return names | {one.name for one in ast.walk(node) if isinstance(one, ast.FunctionDef) and one is not node}


def _value(function: FunctionType, name: str) -> Any:
    """Return what a free name stands for."""
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    try:
        if name in cells:
            return cells[name].cell_contents
        return function.__globals__[name] if name in function.__globals__ else getattr(builtins, name)
    except (ValueError, AttributeError):
        raise NotSearchedError(f"{function.__name__} uses {name}, which is nothing") from None


def _is_harmless(name: str, value: Any) -> bool:
    """Whether what a free name stands for may be used by a changed function."""
    if getattr(builtins, name, None) is value:
        return name in BUILTINS
    if isinstance(value, ModuleType):
        return value.__name__.partition(".")[0] in LIBRARIES and value.__name__.rpartition(".")[2] not in UNSAFE
    if callable(value):
        return _is_of_library(value) and getattr(value, "__name__", "") not in UNSAFE
    return is_data(value)


def _is_of_library(value: Any) -> bool:
    module = getattr(value, "__module__", None) or ("numpy" if isinstance(value, np.ufunc) else "")
    return module.partition(".")[0] in LIBRARIES and not module.startswith("numpy.random")


def reached(functions: Iterable[Any]) -> set[Any]:
    """Return functions and all that they call, as far as that can be seen; of their classes the methods that they name."""
    found: set[Any] = set()
    for function in functions:
        try:
            parts = parts_of(unwrapped(function)[0])
        except NotSearchedError:
            found.add(function)
            continue
        named = {one.attr for part in parts.values() for one in ast.walk(part.node) if isinstance(one, ast.Attribute)}
        methods = [vars(made).get(name) for part in parts.values() for made in part.classes.values() for name in named]
        fresh = [method for method in methods if isinstance(method, FunctionType) and method not in parts]
        found |= set(parts) | set(fresh)
    return found


def is_data(value: Any) -> bool:
    """Whether a value is numbers, arrays, text, or a container of nothing else."""
    if isinstance(value, (tuple, list, set, frozenset)):
        return all(map(is_data, value))
    if isinstance(value, dict):
        return all(is_data(key) and is_data(item) for key, item in value.items())
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "biufcSU"
    return value is None or value is Ellipsis or isinstance(value, (bool, int, float, complex, str, bytes, np.generic))


def is_instance(value: Any) -> bool:
    """Whether a value is an object of a class of the user's."""
    kind = type(value)
    is_made = hasattr(value, "__dict__") and not isinstance(value, (FunctionType, ModuleType, type))
    return is_made and kind.__module__.partition(".")[0] not in {*LIBRARIES, "builtins", "functools", "fastgrad"}


def methods_called(part: Part, names: dict[str, Any]) -> dict[tuple[type, str], FunctionType]:
    """Return the methods that a function calls of objects of the user's, by class and name.

    Raises
    ------
    NotSearchedError
        If one is no plain function.
    """
    found = {}
    for one in ast.walk(part.node):
        if isinstance(one, ast.Attribute) and isinstance(one.value, ast.Name) and is_instance(names.get(one.value.id)):
            kind = type(names[one.value.id])
            method = getattr(kind, one.attr, None)
            if isinstance(method, FunctionType):
                found[kind, one.attr] = method
            elif method is not None:
                raise NotSearchedError(f"{one.attr} is not plain")
    return found
