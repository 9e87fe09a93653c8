"""What a statement can name: arrays, numbers and dicts, with their shapes as they were at the end of a run."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from functools import cached_property
from types import ModuleType
from typing import Any

import numpy as np

from fastgrad.functions.repair.program import Program
from fastgrad.functions.repair.source import is_data

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
    def dead(self) -> set[str]:
        """Names that are assigned and never used: something is likely to be missing that used them."""
        nodes = [node for statement in self.program.body for node in ast.walk(statement) if isinstance(node, ast.Name)]
        used = {node.id for node in nodes if isinstance(node.ctx, ast.Load)}
        arguments = set(self.program.signature.parameters)
        return ({node.id for node in nodes if isinstance(node.ctx, ast.Store)} | arguments) - used - {"self"}

    def before(self, line: int) -> list[str]:
        """Return the names of data that exist before a line, those that are used nowhere first."""
        names = [name for name in self.kinds if self.lines.get(name, 0) < line or self.lines.get(name, 0) == 0]
        return sorted(names, key=lambda name: (name not in self.dead, name))

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
            return kind_of(eval(compile(ast.Expression(node), "<shape>", "eval"), dict(self.program.names)))
        except Exception:
            return UNKNOWN

    def value(self, node: ast.expr) -> Any:
        """Return what a name stands for; None for anything else."""
        return self.program.names.get(node.id) if isinstance(node, ast.Name) else None
