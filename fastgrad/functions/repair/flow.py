"""Which statements a gradient depends on: back from what is returned, through names, without regard to their order."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

from fastgrad.functions.repair.program import Program

Wanted = frozenset[Any] | None
"""Keys or places of what a function returns; None for all of it."""


class Flow:
    """The statements that some of the values which a function returns depend on, in it and in those that it calls."""

    def __init__(self, programs: Mapping[Any, Program]) -> None:
        self.programs = programs
        self.statements: set[int] = set()
        self.done: set[tuple[int, Wanted]] = set()

    def follow(self, program: Program, wanted: Wanted) -> set[int]:
        """Add the statements of a program, by their ids, that what is wanted of it depends on."""
        if (id(program), wanted) in self.done:
            return self.statements
        self.done.add((id(program), wanted))
        statements = list(_statements(program.body, ()))
        # A gradient that is not returned may be an attribute of an argument.
        names: set[tuple[str, Any]] = {(name, key) for name in program.signature.parameters for key in wanted or ()}
        for statement, above in statements:
            if isinstance(statement, ast.Return) and statement.value is not None:
                names |= self._returned(program, statement.value, wanted)
                self._add(statement, above, names)
        count = -1
        while count != (count := len(names) + len(self.statements)):
            for statement, above in statements:
                self._through(program, statement, above, names)
        return self.statements

    def _returned(self, program: Program, value: ast.expr, wanted: Wanted) -> set[tuple[str, Any]]:
        """Return the names that the wanted part of a returned value is made of."""
        parts = dict(_parts(value))
        if wanted is None or not parts or not wanted <= parts.keys():
            called = self._called(program, value)
            if called is not None:
                self.follow(called, wanted)
                return set().union(*(_loaded(one) for one in [*value.args, *value.keywords]))  # type: ignore[attr-defined]
            if isinstance(value, ast.Name) and wanted is not None:
                return {(value.id, key) for key in wanted}
            self._follow_calls(program, value)
            return _loaded(value)
        chosen = [parts[key] for key in wanted]
        return set().union(*(self._returned(program, one, None) for one in chosen))

    def _through(self, program: Program, statement: ast.stmt, above: tuple[ast.stmt, ...], names: set[tuple[str, Any]]) -> None:
        """Add a statement if it makes one of the names, and what it is made of."""
        made = [(name, key, place) for name, key, place in _made(statement) if _concerns(name, key, names)]
        if not made or isinstance(statement, (ast.For, ast.If)):
            return
        value = getattr(statement, "value", None)
        called = self._called(program, value)
        if called is not None and all(place is not None for _, _, place in made):
            self.follow(called, frozenset(place for _, _, place in made))
        elif called is not None and isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            keys = {key for name, key in names if name == statement.targets[0].id}
            self.follow(called, None if None in keys else frozenset(keys))
        else:
            self._follow_calls(program, statement)
        self._add(statement, above, names)
        names |= _loaded(statement)

    def _add(self, statement: ast.stmt, above: tuple[ast.stmt, ...], names: set[tuple[str, Any]]) -> None:
        self.statements.add(id(statement))
        for outer in above:
            self.statements.add(id(outer))
            for header in ("iter", "test"):
                if hasattr(outer, header):
                    names |= _loaded(getattr(outer, header))

    def _follow_calls(self, program: Program, node: ast.AST) -> None:
        for one in ast.walk(node):
            called = self._called(program, one)
            if called is not None:
                self.follow(called, None)

    def _called(self, program: Program, node: Any) -> Program | None:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in program.part.called:
            return self.programs[program.part.called[node.func.id]]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
            return program.methods.get((type(program.names.get(node.func.value.id)), node.func.attr))
        return None


def _statements(body: list[ast.stmt], above: tuple[ast.stmt, ...]) -> Iterator[tuple[ast.stmt, tuple[ast.stmt, ...]]]:
    """Yield statements and what they are in."""
    for statement in body:
        yield statement, above
        for inner in ("body", "orelse"):
            yield from _statements(getattr(statement, inner, []), (*above, statement))


def _parts(value: ast.expr) -> Iterator[tuple[Any, ast.expr]]:
    """Yield keys or places of a returned value, and their expressions."""
    if isinstance(value, ast.Dict):
        yield from (
            (key.value, one) for key, one in zip(value.keys, value.values, strict=True) if isinstance(key, ast.Constant)
        )
    elif isinstance(value, (ast.Tuple, ast.List)):
        yield from enumerate(value.elts)
    elif isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "dict":
        yield from ((keyword.arg, keyword.value) for keyword in value.keywords)


def _loaded(node: ast.AST) -> set[tuple[str, Any]]:
    """Return the names that are read, with the key where only one entry of a dict is."""
    keyed = {
        (one.value.id, key)
        for one in ast.walk(node)
        if isinstance(one, (ast.Subscript, ast.Attribute))
        and isinstance(one.value, ast.Name)
        and (key := _key(one)) is not None
    }
    holders = {name for name, _ in keyed}
    names = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
    return keyed | {(name, None) for name in names - holders}


def _made(statement: ast.stmt) -> Iterator[tuple[str, Any, int | None]]:
    """Yield the names that a statement assigns or may change, the key if it is one entry, and the place in a tuple."""
    targets: list[ast.expr] = getattr(statement, "targets", None) or [getattr(statement, "target", None)]
    for target in targets:
        elements = target.elts if isinstance(target, (ast.Tuple, ast.List)) else None
        for place, one in enumerate(elements or [target]):
            key = None
            while isinstance(one, (ast.Subscript, ast.Attribute, ast.Starred)):
                key = _key(one)
                one = one.value
            if isinstance(one, ast.Name):
                yield one.id, key, place if elements else None
    if isinstance(statement, (ast.Expr, ast.FunctionDef)):
        yield from ((name, None, None) for name, _ in _loaded(statement))


def _key(node: ast.expr) -> Any:
    """Return the key of an entry, or the name of an attribute; None where that is not written."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.slice.value if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) else None


def _concerns(name: str, key: Any, names: set[tuple[str, Any]]) -> bool:
    """Whether what is made is part of what is wanted."""
    return (name, key) in names or (name, None) in names or (key is None and any(one == name for one, _ in names))
