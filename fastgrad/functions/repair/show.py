"""An edited statement as text: the user's own line with the edited piece in it, written as they wrote the rest."""

from __future__ import annotations

import ast
import linecache
import textwrap

from fastgrad.functions.repair.edits import Slot
from fastgrad.functions.repair.program import Program


def edited(program: Program, statement: ast.stmt, slot: Slot, new: ast.AST) -> tuple[int, str, str]:
    """Return the line of a statement, its text, and its text with the edit made; both of one line where that is enough."""
    old = slot.get()
    before = _text(program, statement)
    tree = ast.unparse(statement if old is not statement else old)
    slot.put(new)
    try:
        after = ast.unparse(new if old is statement else statement)
    finally:
        slot.put(old)
    spliced = _spliced(program, statement, old, new, after)
    if before is None or spliced is None:
        return statement.lineno, *_changed_lines(tree, after)
    line, theirs, ours = _first_change(before, spliced)
    return statement.lineno + line, theirs, ours


def _text(program: Program, statement: ast.stmt) -> str | None:
    """Return the user's own text of a statement, dedented."""
    lines = linecache.getlines(program.part.path, program.part.function.__globals__)
    if not lines or statement.end_lineno is None:
        return None
    return textwrap.dedent("".join(lines[statement.lineno - 1 : statement.end_lineno])).rstrip("\n")


def _spliced(program: Program, statement: ast.stmt, old: object, new: ast.AST, after: str) -> str | None:
    """Return the user's text with the edited piece replaced, if that means the same as the edited tree."""
    if not isinstance(old, (ast.expr, ast.stmt)) or not isinstance(new, (ast.expr, ast.stmt)) or old.end_lineno is None:
        return None
    lines = linecache.getlines(program.part.path, program.part.function.__globals__)
    part = [line.encode() for line in lines[statement.lineno - 1 : statement.end_lineno]]
    if not part:
        return None
    first, last = old.lineno - statement.lineno, old.end_lineno - statement.lineno
    head = b"".join(part[:first]) + part[first][: old.col_offset]
    tail = part[last][old.end_col_offset :] + b"".join(part[last + 1 :])
    for piece in (ast.unparse(new), f"({ast.unparse(new)})"):
        text = textwrap.dedent((head + piece.encode() + tail).decode()).rstrip("\n")
        try:
            if ast.unparse(ast.parse(text)) == after or isinstance(program.part.node, ast.Lambda):
                return text
        except SyntaxError:
            continue
    return None


def _first_change(before: str, after: str) -> tuple[int, str, str]:
    """Return the lines that differ, from the first to the last, and how many come before."""
    theirs, ours = before.splitlines(), after.splitlines()
    start = 0
    while start < min(len(theirs), len(ours)) - 1 and theirs[start] == ours[start]:
        start += 1
    end = 0
    while end < min(len(theirs), len(ours)) - start - 1 and theirs[-1 - end] == ours[-1 - end]:
        end += 1
    pieces = (" ".join(line.strip() for line in lines[start : len(lines) - end]) for lines in (theirs, ours))
    return start, *pieces  # type: ignore[return-value]


def _changed_lines(before: str, after: str) -> tuple[str, str]:
    return _first_change(before, after)[1:]
