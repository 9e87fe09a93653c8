"""The user's own source: the statement that makes a gradient, or a flow, of a given name."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any


def statement(function: Callable[..., Any], names: Iterable[str]) -> str:
    """Return where the first of some names is assigned that is, as "file.py:34: dZ2 = dA2 * A2"; empty where none is.

    Looked for in the whole file of the function: what makes a gradient may stand in a function that it calls.
    """
    try:
        path, text = text_of(function)
        statements = list(_assignments(ast.parse(text)))
    except (OSError, TypeError, ValueError, SyntaxError, RecursionError, MemoryError):  # no file, or none that can be read
        return ""
    for name in names:
        for node in statements:
            if name in _assigned(node):
                first = ast.get_source_segment(text, node) or ""
                return f"{Path(path).name}:{node.lineno}: {first.splitlines()[0]}"
    return ""


def text_of(function: Callable[..., Any]) -> tuple[str, str]:
    """Return the file of a function and its text; one that is called elsewhere than here names its file as `source`."""
    path = getattr(function, "source", None) or inspect.getsourcefile(inspect.unwrap(function))
    return str(path), Path(path).read_text(encoding="utf-8") if path else ""


def _assignments(tree: ast.Module) -> Iterator[ast.Assign | ast.AugAssign | ast.AnnAssign]:
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign)]
    yield from sorted(found, key=lambda node: node.lineno)


def _assigned(node: ast.Assign | ast.AugAssign | ast.AnnAssign) -> set[str]:
    """Return the names and the written keys that a statement assigns."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    names: set[str] = set()
    for target in targets:
        for part in target.elts if isinstance(target, ast.Tuple | ast.List) else [target]:
            if isinstance(part, ast.Name):
                names.add(part.id)
            if isinstance(part, ast.Subscript) and isinstance(part.slice, ast.Constant):
                names.add(str(part.slice.value))
    return names
