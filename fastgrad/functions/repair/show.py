"""An edited statement as text: the user's own line with the edited piece in it, written as they wrote the rest."""

from __future__ import annotations

import ast
import linecache
import re
import textwrap
from collections.abc import Iterator
from difflib import SequenceMatcher

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


def size(theirs: str, repaired: str) -> tuple[float, int]:
    """Return how large an edit is: the words that differ, and those among them that are new numbers, which nobody gave."""
    before, after = _words(theirs), _words(repaired)
    match = SequenceMatcher(None, before, after, autojunk=False)
    changes = [one for one in match.get_opcodes() if one[0] != "equal"]
    # What is left out is seen at once, and is half as much to think of.
    count = sum(0.5 * (i1 - i0) if j0 == j1 else max(i1 - i0, j1 - j0) for _, i0, i1, j0, j1 in changes)
    numbers = sum(word[0].isdigit() and word not in (*before, "0", "1") for _, _, _, j0, j1 in changes for word in after[j0:j1])
    return count + 1.5 * numbers + 5.0 * ("--" in repaired), len(repaired)


def _words(text: str) -> list[str]:
    return re.findall(r"[\w.]+|\*\*|//|[-+*/@<>=!]=|\S", text)


def _text(program: Program, statement: ast.stmt) -> str | None:
    """Return the user's own text of a statement, dedented."""
    lines = linecache.getlines(program.part.path, program.part.function.__globals__)
    if not lines or statement.end_lineno is None:
        return None
    return textwrap.dedent("".join(lines[statement.lineno - 1 : statement.end_lineno])).rstrip("\n")


def _spliced(program: Program, statement: ast.stmt, old: object, new: ast.AST, after: str) -> str | None:
    """Return the user's text with the edited piece replaced, if that means the same as the edited tree."""
    lines = linecache.getlines(program.part.path, program.part.function.__globals__)
    part = [line.encode() for line in lines[statement.lineno - 1 : statement.end_lineno]]
    if not part or not isinstance(old, (ast.expr, ast.stmt)) or not isinstance(new, (ast.expr, ast.stmt)):
        return None
    has_double = b'"' in b"".join(part) and b"'" not in b"".join(part)
    for start, end, piece in _pieces(old, new):
        head = b"".join(part[: start[0] - statement.lineno]) + part[start[0] - statement.lineno][: start[1]]
        tail = part[end[0] - statement.lineno][end[1] :] + b"".join(part[end[0] - statement.lineno + 1 :])
        made = (piece.replace("'", '"') if has_double else piece).encode()
        for before, behind in ((head.removesuffix(b"("), tail.removeprefix(b")")), (head, tail)):
            text = textwrap.dedent((before + made + behind).decode()).rstrip("\n")
            if _means(text, after):
                return text
    return None


Place = tuple[int, int]
_SIGNS: dict[type[ast.operator], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}


def _pieces(old: ast.expr | ast.stmt, new: ast.expr | ast.stmt) -> Iterator[tuple[Place, Place, str]]:
    """Yield where a piece of the user's text begins and ends, and what may stand there instead."""
    if isinstance(old, (ast.Assign, ast.AugAssign)) and isinstance(new, (ast.Assign, ast.AugAssign)) and old.value is new.value:
        target = old.targets[0] if isinstance(old, ast.Assign) else old.target
        sign = _SIGNS.get(type(new.op), "") if isinstance(new, ast.AugAssign) else ""
        yield _end(target), (old.value.lineno, old.value.col_offset), f" {sign}= "
    text = ast.unparse(new)
    if isinstance(new, ast.Tuple):
        yield (old.lineno, old.col_offset), _end(old), text[1:-1]
    for piece in (text, f"({text})"):
        yield (old.lineno, old.col_offset), _end(old), piece


def _end(node: ast.expr | ast.stmt) -> Place:
    return node.end_lineno or node.lineno, node.end_col_offset or node.col_offset


def _means(text: str, after: str) -> bool:
    """Whether a text is the edited statement, or has it as the value of a lambda."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return False
    values = [f"return {ast.unparse(node.body)}" for node in ast.walk(tree) if isinstance(node, ast.Lambda)]
    return after in (ast.unparse(tree), *values)


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
