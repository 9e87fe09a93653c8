"""How a user writes products and sums: read from the file of the function, so that lines are shown in the same hand."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastgrad.trials.source import text_of


@dataclass(frozen=True)
class Habits:
    """The names that somebody uses: of a product ("@", "dot", "np.dot", …), a sum, an entrywise product, a transpose, NumPy."""

    product: str = "@"
    total: str = "np.sum"
    entrywise: str = "*"
    transpose: str = ".T"
    numpy: str = "np"

    def written(self, line: str) -> str:
        """Return a line in this hand; one that is not Python, or is in it already, as it is."""
        try:
            tree = ast.parse(re.sub(r"(\w+)′\(", r"\1_PRIME(", line))
        except SyntaxError:
            return line
        changed = _Rewritten(self).visit(tree)
        if not changed.count:
            return line
        return re.sub(r"(\w+)_PRIME\(", r"\1′(", ast.unparse(changed.tree))


def habits_of(function: Callable[..., Any]) -> Habits:
    """Return how the file of a function writes, by what is most often in it."""
    try:
        tree = ast.parse(text_of(function)[1])
    except (OSError, TypeError, ValueError, SyntaxError, RecursionError, MemoryError):  # no file, or none that can be read
        return Habits()
    imported = [one for node in ast.walk(tree) if isinstance(node, ast.Import) for one in node.names]
    numpy = next((one.asname or one.name for one in imported if one.name == "numpy"), "np")
    seen = Counter(habit for node in ast.walk(tree) for habit in _habits(node, numpy))
    return Habits(numpy=numpy, **{what: how for (what, how), _ in reversed(seen.most_common())})  # the most frequent comes last


def _habits(node: ast.AST, numpy: str) -> list[tuple[str, str]]:
    """Return what one node shows: which operation is written, and how."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult | ast.Mult):
        return [("product", "@")] if isinstance(node.op, ast.MatMult) else [("entrywise", "*")]
    if isinstance(node, ast.Attribute) and node.attr == "T":
        return [("transpose", ".T")]
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return []
    name, is_numpy = node.func.attr, isinstance(node.func.value, ast.Name) and node.func.value.id == numpy
    how = f"np.{name}" if is_numpy else f".{name}"
    kinds = {"dot": "product", "matmul": "product", "sum": "total", "multiply": "entrywise", "transpose": "transpose"}
    return [(kinds[name], how)] if name in kinds and how not in (".matmul", ".multiply") else []


class _Rewritten:
    """Writes the operations of a tree in somebody's hand."""

    def __init__(self, habits: Habits) -> None:
        self.habits, self.count = habits, 0
        self.tree: ast.AST = ast.Pass()

    def visit(self, tree: ast.AST) -> _Rewritten:
        """Rewrite a whole tree."""
        self.tree = ast.fix_missing_locations(_Transformer(self).visit(tree))
        return self

    def call(self, how: str, first: ast.expr, rest: list[ast.expr], keywords: list[ast.keyword]) -> ast.expr:
        """Return a call of a function of NumPy, or of the method."""
        self.count += 1
        owner, name = how.split(".")
        if owner:
            function = ast.Attribute(ast.Name(self.habits.numpy, ast.Load()), name, ast.Load())
            return ast.Call(function, [first, *rest], keywords)
        return ast.Call(ast.Attribute(first, name, ast.Load()), rest, keywords)


class _Transformer(ast.NodeTransformer):
    def __init__(self, rewritten: _Rewritten) -> None:
        self.rewritten, self.habits = rewritten, rewritten.habits

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        """Write a product; a number times something is one of numbers in any hand."""
        node = ast.BinOp(self.visit(node.left), node.op, self.visit(node.right))
        if isinstance(node.op, ast.MatMult) and self.habits.product != "@":
            return self.rewritten.call(self.habits.product, node.left, [node.right], [])
        is_number = isinstance(node.left, ast.Constant) or isinstance(node.right, ast.Constant)
        if isinstance(node.op, ast.Mult) and self.habits.entrywise != "*" and not is_number:
            return self.rewritten.call(self.habits.entrywise, node.left, [node.right], [])
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """Write a transpose."""
        value = self.visit(node.value)
        if node.attr == "T" and self.habits.transpose != ".T":
            return self.rewritten.call(self.habits.transpose, value, [], [])
        return ast.Attribute(value, node.attr, node.ctx)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Write a sum."""
        arguments = [self.visit(argument) for argument in node.args]
        if ast.unparse(node.func) == "np.sum" and self.habits.total != "np.sum":
            return self.rewritten.call(self.habits.total, arguments[0], arguments[1:], node.keywords)
        return ast.Call(node.func, arguments, node.keywords)
