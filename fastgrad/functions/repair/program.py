"""A function run statement by statement, so that one statement can be changed without compiling the others anew."""

from __future__ import annotations

import ast
import copy
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import CodeType
from typing import Any, NamedTuple

import numpy as np

from fastgrad.functions.repair.source import Part, is_instance

_FILE = "<changed>"


class _ReturnedError(BaseException):
    """A return inside of a loop or a condition."""

    def __init__(self, value: Any) -> None:
        self.value = value


class Compiled(NamedTuple):
    """A statement as code, and whether its value is what the function returns."""

    code: CodeType
    is_return: bool


class Program:
    """A function of the user's as a list of statements.

    Attributes
    ----------
    part : Part
        Its source.
    body : list of ast.stmt
        Its statements, those of its highest level; of a lambda one return.
    names : dict
        What its names stood for at the end of the last call, where that is asked for by `watched`.
    """

    def __init__(self, part: Part) -> None:
        self.part = part
        node = part.node
        self.body: list[ast.stmt] = _statements(node)
        self.codes = [compiled(statement) for statement in self.body]
        self.base: dict[str, Any] = {name: frozen(value) for name, value in {**part.others, **part.free}.items()}
        self.base |= {"print": _silent} if "print" in part.free else {}
        self.mutable = [name for name, value in self.base.items() if isinstance(value, (dict, list, set))]
        self.signature = inspect.signature(part.function)
        self.methods: dict[tuple[type, str], Program] = {}
        self.base |= {name: partial(self._constructed, made) for name, made in part.classes.items()}
        self.watched = False
        self.calls = 0
        self.names: dict[str, Any] = {}

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Run the statements."""
        bound = self.signature.bind(*arguments, **keywords)
        bound.apply_defaults()
        space = {**self.base, **bound.arguments}
        for name in self.mutable:
            space[name] = copy.deepcopy(space[name])
        with self._overridden(bound.arguments):
            value = self._run(space)
        if self.watched:
            self.calls += 1
            self.names = space
        return value

    def _constructed(self, made: type, *arguments: Any, **keywords: Any) -> Any:
        """Return a new object that calls programs for its methods."""
        value = made(*arguments, **keywords)
        self._override(value)
        return value

    def _override(self, value: Any) -> list[str]:
        """Let an object call programs for its methods; return which."""
        names = [name for kind, name in self.methods if type(value) is kind and name not in vars(value)]
        vars(value).update({name: partial(self.methods[type(value), name], value) for name in names})
        return names

    @contextmanager
    def _overridden(self, arguments: dict[str, Any]) -> Iterator[None]:
        """Let objects among the arguments call programs for their methods."""
        objects = [value for value in arguments.values() if is_instance(value)] if self.methods else []
        made = [(value, name) for value in objects for name in self._override(value)]
        try:
            yield
        finally:
            for value, name in made:
                vars(value).pop(name, None)

    def _run(self, space: dict[str, Any]) -> Any:
        space["ReturnedError"] = _ReturnedError
        try:
            for code, is_return in self.codes:
                if is_return:
                    return eval(code, space)
                exec(code, space)
        except _ReturnedError as returned:
            return returned.value
        return None


def programs_of(parts: dict[Any, Part]) -> dict[Any, Program]:
    """Return the programs of functions; each calls the others by their names."""
    programs = {function: Program(part) for function, part in parts.items()}
    for program in programs.values():
        program.base |= {name: programs[function] for name, function in program.part.called.items()}
    return programs


def compiled(statement: ast.stmt) -> Compiled:
    """Compile one statement."""
    if isinstance(statement, ast.Return):
        value = statement.value or ast.copy_location(ast.Constant(None), statement)
        return Compiled(compile(ast.Expression(value), _FILE, "eval"), True)
    if isinstance(statement, (ast.For, ast.If)) and any(isinstance(node, ast.Return) for node in ast.walk(statement)):
        statement = _Raise().visit(copy.deepcopy(statement))
    return Compiled(compile(ast.Module([statement], []), _FILE, "exec"), False)


class _Raise(ast.NodeTransformer):
    """Puts an exception in the place of each return."""

    def visit_Return(self, node: ast.Return) -> ast.AST:
        """Return the statement that raises what the function returns."""
        made = ast.Call(ast.Name("ReturnedError", ast.Load()), [node.value or ast.Constant(None)], [])
        return ast.fix_missing_locations(ast.copy_location(ast.Raise(made, None), node))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Return a function in the function as it is: its returns are its own."""
        return node

    visit_Lambda = visit_FunctionDef  # type: ignore[assignment]


def _statements(node: ast.FunctionDef | ast.Lambda) -> list[ast.stmt]:
    """Return the statements of a function in a copy, a docstring left out."""
    if isinstance(node, ast.Lambda):
        return [ast.copy_location(ast.Return(copy.deepcopy(node.body)), node.body)]
    body = copy.deepcopy(node.body)
    is_text = isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
    return body[1:] if is_text else body


def frozen(value: Any) -> Any:
    """Return a copy in which arrays cannot be written to; other things as they are."""
    if isinstance(value, np.ndarray):
        value = value.copy()
        value.flags.writeable = False
        return value
    if isinstance(value, (tuple, list)):
        return type(value)(map(frozen, value)) if type(value) in (tuple, list) else value
    return {key: frozen(item) for key, item in value.items()} if type(value) is dict else value


def _silent(*arguments: Any, **keywords: Any) -> None:
    """Print nothing."""
