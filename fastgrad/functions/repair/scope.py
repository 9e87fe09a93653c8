"""What a statement can name: arrays, numbers and dicts, with their shapes as they were at the end of a run."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from fastgrad.functions.repair import build
from fastgrad.functions.repair.program import Program
from fastgrad.functions.repair.source import is_data, is_instance

Shape = tuple[int, ...]
MOST_NUMBERS = 1 << 13
"""Entries of the largest array that is worked with: a mistaken product of two such takes half a gigabyte."""


class TooLargeError(Exception):
    """Arrays so large that changed code might take all memory."""


@dataclass(frozen=True)
class Kind:
    """What a value is: "array", "int", "number", "dict", "tuple", "other"; the shape of an array, () of a number."""

    name: str
    shape: Shape = ()

    @property
    def is_numeric(self) -> bool:
        """Whether it can be calculated with."""
        return self.name in ("array", "int", "number")


UNKNOWN = Kind("other")
USUAL = (0.0, 0.5, 1.0, 2.0, 3.0)
"""Numbers that are tried everywhere; others are tried where the function has them elsewhere."""


class Atom(NamedTuple):
    """Something that a factor or a term can be, and what it is.

    `is_dead` says that its name is used nowhere so far, `is_made` that it is more than a name, `is_far` that it is not the
    first that one would think of: made, or an entry of a dict or an attribute that the function does not name.
    """

    node: ast.expr
    kind: Kind
    is_dead: bool = False
    is_made: bool = False
    is_far: bool = False


def kind_of(value: Any) -> Kind:
    """Return what a value is."""
    if isinstance(value, np.ndarray) and value.ndim:
        return Kind("array", value.shape) if value.dtype.kind in "biuf" else UNKNOWN
    if isinstance(value, (bool, np.bool_, str)):
        return UNKNOWN
    if isinstance(value, (int, np.integer)):
        return Kind("int")
    if isinstance(value, (float, np.floating, np.ndarray)):
        return Kind("number")
    return Kind("dict") if isinstance(value, dict) else Kind("tuple") if isinstance(value, (tuple, list)) else UNKNOWN


@dataclass
class Scope:
    """The names of a program and what they stand for."""

    program: Program
    kinds: dict[str, Kind] = field(default_factory=dict)
    known: dict[int, tuple[ast.expr, Kind]] = field(default_factory=dict)
    kept: dict[Any, list[Atom]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = self.program.names
        for name, value in names.items():
            if is_data(value) and name != "__builtins__":
                self.kinds[name] = kind_of(value)
        self.largest = max((value.size for value in names.values() if isinstance(value, np.ndarray)), default=0)
        if self.largest > MOST_NUMBERS:
            raise TooLargeError

    @cached_property
    def numpy(self) -> str | None:
        """The name under which NumPy is known."""
        return next((name for name, value in self.program.base.items() if isinstance(value, ModuleType) and value is np), None)

    @cached_property
    def lines(self) -> dict[str, int]:
        """The line on which each name is assigned first; 0 for arguments."""
        first = dict.fromkeys(self.kinds, 0)
        for statement in self.program.body:
            for node in ast.walk(statement):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    line = first.get(node.id, 0) or node.lineno
                    first[node.id] = min(line, node.lineno)
        arguments = set(self.program.signature.parameters)
        return {name: 0 if name in arguments else line for name, line in first.items()}

    @cached_property
    def text(self) -> str:
        """The function as text."""
        return "\n".join(map(ast.unparse, self.program.body))

    @cached_property
    def dead(self) -> set[str]:
        """Names that are assigned and never used: something is likely to be missing that used them."""
        nodes = [node for statement in self.program.body for node in ast.walk(statement) if isinstance(node, ast.Name)]
        used = {node.id for node in nodes if isinstance(node.ctx, ast.Load)}
        arguments = set(self.program.signature.parameters)
        return ({node.id for node in nodes if isinstance(node.ctx, ast.Store)} | arguments) - used - {"self"}

    @cached_property
    def counters(self) -> set[str]:
        """Names that loops count with: outside of these they are what the last round left."""
        loops = [node for statement in self.program.body for node in ast.walk(statement) if isinstance(node, ast.For)]
        return {name.id for loop in loops for name in ast.walk(loop.target) if isinstance(name, ast.Name)}

    def before(self, line: int, loops: tuple[str, ...]) -> list[str]:
        """Return the names of data that exist before a line, within some loops, those that are used nowhere first."""
        there = [name for name in self.kinds if self.lines.get(name, 0) < line or self.lines.get(name, 0) == 0]
        names = [name for name in there if name not in self.counters or name in loops]
        return sorted(names, key=lambda name: (name not in self.dead, name))

    def atoms(self, line: int, loops: tuple[str, ...]) -> list[Atom]:
        """Return all that can be calculated with before a line: names, entries of dicts, attributes, indexed arrays, calls."""
        key = (line, loops)
        if key not in self.kept:
            self.kept[key] = list(self._atoms(line, loops))
        return self.kept[key]

    def _atoms(self, line: int, loops: tuple[str, ...]) -> Iterator[Atom]:
        names = self.before(line, loops)
        numeric = [name for name in names if self.kinds[name].is_numeric]
        for name in numeric:
            yield Atom(build.name(name), self.kinds[name], name in self.dead, is_far=name in self.program.part.others)
        seen = {id(self.program.names[name]) for name in names}
        for held, value in self._held(names):
            if id(value) not in seen and kind_of(value).is_numeric:
                yield Atom(held, kind_of(value), is_far=ast.unparse(held) not in self.text)
        texts: dict[str, Atom] = {}
        for node in (node for statement in self.program.body for node in ast.walk(statement)):
            if isinstance(node, ast.Constant) and isinstance(node.value, float) and node.value not in USUAL:
                texts.setdefault(repr(node.value), Atom(ast.Constant(node.value), Kind("number"), is_made=True, is_far=True))
            if isinstance(node, (ast.Subscript, ast.Call)) and self._is_plain(node, line):
                # A copy, for the edit may be made inside of the node itself.
                texts.setdefault(ast.unparse(node), Atom(copy.deepcopy(node), self.kind(node), is_made=True, is_far=True))
        yield from texts.values()
        yield from self._indexed(names, loops, set(texts))

    def _is_plain(self, node: ast.Subscript | ast.Call, line: int) -> bool:
        """Whether a part of the function is a short expression of names that exist before a line."""
        inner = [one for one in ast.walk(node) if isinstance(one, ast.Name)]
        is_read = not isinstance(node, ast.Subscript) or isinstance(node.ctx, ast.Load)
        is_there = all(self.lines.get(one.id, 0) < line for one in inner)
        is_call = isinstance(node, ast.Call) and len(node.args) == 1 and not node.keywords and len(inner) <= 3
        is_short = isinstance(node, ast.Subscript) or (is_call and isinstance(node.func, ast.Attribute))
        return is_read and is_there and is_short and self.kind(node).is_numeric

    def _held(self, names: list[str]) -> Iterator[tuple[ast.expr, Any]]:
        """Yield the entries of dicts and the attributes of objects."""
        for name in names:
            value = self.program.names[name]
            if isinstance(value, dict):
                yield from ((build.item(name, key), item) for key, item in value.items() if isinstance(key, str))
        for name, value in self.program.names.items():
            if not name.startswith("_") and is_instance(value):
                yield from ((build.attribute(build.name(name), key), item) for key, item in vars(value).items())

    def _indexed(self, names: list[str], loops: tuple[str, ...], seen: set[str]) -> Iterator[Atom]:
        """Yield arrays at the places that the loops around a statement count."""
        loops = tuple(name for name in loops if self.kinds.get(name, UNKNOWN).name == "int")
        for name in names:
            shape = self.kinds[name].shape
            for count in range(1, min(len(shape), len(loops)) + 1):
                node = build.indexed(name, loops[:count])
                if ast.unparse(node) not in seen and self.kind(node).is_numeric:
                    yield Atom(node, self.kind(node), is_made=True, is_far=True)

    def kind(self, node: ast.expr) -> Kind:
        """Return what an expression is, as it was at the end of the run."""
        if id(node) not in self.known:
            self.known[id(node)] = node, self._evaluated(node)  # with the node itself, so that no other gets its id
        return self.known[id(node)][1]

    def _evaluated(self, node: ast.expr) -> Kind:
        if isinstance(node, ast.Name):
            return self.kinds.get(node.id, UNKNOWN)
        if isinstance(node, (ast.Slice, ast.Starred)):
            return UNKNOWN
        try:
            code = compile(ast.fix_missing_locations(ast.Expression(node)), "<shape>", "eval")
            return kind_of(eval(code, dict(self.program.names)))
        except Exception:  # whatever the user's code may do
            return UNKNOWN

    def value(self, node: ast.expr) -> Any:
        """Return what a name stands for; None for anything else."""
        return self.program.names.get(node.id) if isinstance(node, ast.Name) else None
