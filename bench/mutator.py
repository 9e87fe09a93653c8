"""Small changes to the syntax tree of a backward pass, one at a time; nothing of the diagnosis is known here.

`mutants` yields every change of the functions that a source names. Each is described by its kind, its line, and what
stood there before and after.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True, eq=False)
class Mutant:
    """A changed source, whose tree and texts are made when they are asked for: most mutants are never looked at.

    Attributes
    ----------
    kind : str
        The kind of change.
    line : int
        In the source.
    """

    kind: str
    line: int
    _module: ast.Module
    _statement: ast.stmt
    _changed: ast.stmt | None

    @property
    def before(self) -> str:
        """The statement as it was."""
        return _head(self._statement)

    @property
    def after(self) -> str:
        """The statement as it is; empty where it is left out."""
        return "" if self._changed is None else _head(self._changed)

    @cached_property
    def tree(self) -> ast.Module:
        """The changed syntax tree."""
        return ast.fix_missing_locations(_Replace(self._statement, self._changed).visit(self._module))


BINARY = {
    ast.Add: (ast.Sub, ast.Mult),
    ast.Sub: (ast.Add, ast.Mult),
    ast.Mult: (ast.Div, ast.Add, ast.Sub, ast.MatMult),
    ast.Div: (ast.Mult, ast.Sub),
    ast.MatMult: (ast.Mult,),
    ast.Pow: (ast.Mult,),
}
COMPARISONS = {
    ast.Gt: (ast.Lt, ast.GtE),
    ast.GtE: (ast.Lt, ast.Gt),
    ast.Lt: (ast.Gt, ast.LtE),
    ast.LtE: (ast.Gt, ast.Lt),
}
FUNCTIONS = {
    "sum": ("mean", "max"),
    "mean": ("sum",),
    "dot": ("multiply",),
    "multiply": ("dot", "add", "maximum"),
    "maximum": ("minimum",),
    "zeros": ("ones",),
    "ones": ("zeros",),
    "tanh": ("cosh", "sinh"),
    "exp": ("tanh",),
}
"""Functions and methods that are taken for one another."""


def mutants(source: str, functions: tuple[str, ...]) -> Iterator[Mutant]:
    """Yield every mutant of the functions of these names."""
    return of_tree(ast.parse(source), functions)


def of_tree(tree: ast.Module, functions: tuple[str, ...]) -> Iterator[Mutant]:
    """Yield every mutant of a tree, itself perhaps a mutant already."""
    module = sorted(node.name for node in tree.body if isinstance(node, ast.FunctionDef))
    for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name in functions]:
        scope = _Scope(function, module)
        for statement in _statements(function):
            for kind, changed in (*_statement_changes(statement), *_expression_changes(statement, scope)):
                yield Mutant(kind, statement.lineno, tree, statement, changed)


class _Replace:
    """Puts one statement in the place of another, or leaves it out, and copies what is above it."""

    def __init__(self, old: ast.stmt, new: ast.stmt | None) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        """Return a node in which the statement is replaced."""
        same = copy.copy(node)
        for name in ("body", "orelse"):
            inside = getattr(node, name, None)
            if isinstance(inside, list):
                found = [new for one in inside for new in self._replaced(one)]
                setattr(same, name, found or [ast.Pass()] * bool(inside))
        return same

    def _replaced(self, node: ast.AST) -> list[ast.AST]:
        if node is self.old:
            return [] if self.new is None else [self.new]
        return [self.visit(node)] if isinstance(node, (ast.For, ast.If, ast.FunctionDef, ast.ClassDef)) else [node]


def _head(statement: ast.stmt) -> str:
    return ast.unparse(statement).splitlines()[0]


class _Scope:
    """What a function can name."""

    def __init__(self, function: ast.FunctionDef, module: list[str]) -> None:
        names = {argument.arg for argument in function.args.args}
        attributes: dict[str, set[str]] = {}
        keys: dict[str, set[str]] = {}
        for node in ast.walk(function):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
                attributes.setdefault("self", set()).add(node.attr)
            if _has_key(node):
                keys.setdefault(node.value.id, set()).add(node.slice.value)
        self.names = sorted(names - {"self"})
        self.attributes, self.keys, self.module = attributes, keys, module


def _has_key(node: ast.AST) -> bool:
    """Whether a node is a dict's entry under a written key."""
    if not (isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and isinstance(node.slice, ast.Constant)):
        return False
    return isinstance(node.slice.value, str)


def _statements(function: ast.FunctionDef) -> Iterator[ast.stmt]:
    for node in ast.walk(function):
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if isinstance(node, (ast.Assign, ast.AugAssign, ast.Return, ast.For, ast.Expr)) and not is_text:
            yield node


def _statement_changes(statement: ast.stmt) -> Iterator[tuple[str, ast.stmt | None]]:
    if isinstance(statement, (ast.Assign, ast.AugAssign, ast.Expr)):
        yield "statement left out", None
    if isinstance(statement, ast.AugAssign):
        for operation in (ast.Add, ast.Sub, ast.Mult, ast.Div):
            is_kin = isinstance(statement.op, (ast.Add, ast.Sub)) == (operation in (ast.Add, ast.Sub))
            if is_kin and not isinstance(statement.op, operation):
                yield "+= or -= or *=", _with(statement, op=operation())
        target = copy.deepcopy(statement.target)
        yield "= for +=", ast.copy_location(ast.Assign([target], statement.value), statement)
    if isinstance(statement, ast.Assign) and _is_number(statement.value):
        yield "sign", _with(statement, value=ast.UnaryOp(ast.USub(), statement.value))


def _is_number(node: ast.expr) -> bool:
    return isinstance(node, (ast.BinOp, ast.Call, ast.UnaryOp, ast.Name))


def _with(node: ast.AST, **fields: object) -> ast.AST:
    same = copy.copy(node)
    for name, value in fields.items():
        setattr(same, name, value)
    return same


def _expression_changes(statement: ast.stmt, scope: _Scope) -> Iterator[tuple[str, ast.stmt]]:
    """Yield the statement with one node of one of its expressions changed; what a loop holds is its own."""
    for name in ("value", "iter"):
        expression = getattr(statement, name, None)
        if isinstance(expression, ast.expr):
            for kind, changed in _changed(expression, scope):
                yield kind, _with(statement, **{name: changed})
    if isinstance(statement, (ast.Assign, ast.AugAssign)):
        target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
        if isinstance(target, ast.Subscript):
            for kind, changed in _changed(target.slice, scope):
                new = _with(target, slice=changed)
                yield (
                    kind,
                    _with(statement, targets=[new]) if isinstance(statement, ast.Assign) else _with(statement, target=new),
                )


def _changed(node: ast.AST, scope: _Scope) -> Iterator[tuple[str, ast.AST]]:
    """Yield every change of an expression, at its root and below."""
    yield from _at(node, scope)
    for name, value in ast.iter_fields(node):
        if isinstance(value, ast.expr) and not (isinstance(node, ast.Call) and name == "func" and isinstance(value, ast.Name)):
            for kind, changed in _changed(value, scope):
                yield kind, _with(node, **{name: changed})
        elif isinstance(value, list):
            for place, item in enumerate(value):
                if isinstance(item, (ast.expr, ast.keyword, ast.comprehension)):
                    for kind, changed in _changed(item, scope):
                        yield kind, _with(node, **{name: [*value[:place], changed, *value[place + 1 :]]})


def _at(node: ast.AST, scope: _Scope) -> Iterator[tuple[str, ast.AST]]:
    """Yield the changes of one node."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in scope.names:
        for other in scope.names:
            if other != node.id:
                yield "a name for another", _with(node, id=other)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        for other in sorted(scope.attributes.get(node.value.id, set()) - {node.attr}):
            yield "a name for another", _with(node, attr=other)
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and isinstance(node.slice, ast.Constant):
        for other in sorted(scope.keys.get(node.value.id, set()) - {node.slice.value}):
            yield "a name for another", _with(node, slice=ast.Constant(other))
    if isinstance(node, ast.Attribute) and node.attr == "T":
        yield ".T", node.value
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "transpose":
        yield ".T", node.func.value
    if isinstance(node, ast.BinOp):
        yield from _of_operation(node)
    if isinstance(node, ast.Compare):
        for other in COMPARISONS.get(type(node.ops[0]), ()):
            yield "comparison", _with(node, ops=[other()])
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield "sign", node.operand
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)) and not isinstance(node.value, bool):
        yield from _of_constant(node)
    if isinstance(node, ast.Call):
        yield from _of_call(node, scope)
    if isinstance(node, ast.Slice):
        for name in ("lower", "upper"):
            if getattr(node, name) is not None:
                yield "bounds", _with(node, **{name: None})


def _of_operation(node: ast.BinOp) -> Iterator[tuple[str, ast.AST]]:
    for other in BINARY.get(type(node.op), ()):
        yield "operator", _with(node, op=other())
    if isinstance(node.op, ast.Pow):
        yield "a factor left out", node.left
        return
    what = "a factor left out" if isinstance(node.op, (ast.Mult, ast.Div, ast.MatMult)) else "a term left out"
    yield what, node.left
    yield what, node.right
    if isinstance(node.op, (ast.Mult, ast.Div)):
        yield "a factor twice", ast.BinOp(node, node.op, node.right)
        if isinstance(node.op, ast.Mult):
            yield "a factor twice", ast.BinOp(node, node.op, node.left)
    if isinstance(node.op, ast.MatMult):
        yield "order of a product", _with(node, left=node.right, right=node.left)
        yield ".T", _with(node, left=ast.Attribute(node.left, "T", ast.Load()))
        yield ".T", _with(node, right=ast.Attribute(node.right, "T", ast.Load()))
    if isinstance(node.op, (ast.Sub, ast.Div)):
        yield "order of a difference", _with(node, left=node.right, right=node.left)
    yield from _regrouped(node)


def _regrouped(node: ast.BinOp) -> Iterator[tuple[str, ast.AST]]:
    """Yield a ∘ (b ∘ c) for (a ∘ b) ∘ c, and the reverse, where that is another thing."""
    harmless = (ast.Mult, ast.MatMult)
    left, right = node.left, node.right
    if isinstance(left, ast.BinOp) and not (isinstance(node.op, harmless) and isinstance(left.op, harmless)):
        yield "parentheses", ast.BinOp(left.left, left.op, ast.BinOp(left.right, node.op, right))
    if isinstance(right, ast.BinOp) and not (isinstance(node.op, harmless) and isinstance(right.op, harmless)):
        yield "parentheses", ast.BinOp(ast.BinOp(left, node.op, right.left), right.op, right.right)


def _of_constant(node: ast.Constant) -> Iterator[tuple[str, ast.AST]]:
    value = node.value
    others = [value + 1, value - 1, 2 * value, -value]
    if isinstance(value, float):
        others.append(0.5 * value)
    for other in dict.fromkeys(others):
        if other != value:
            yield "a constant", ast.Constant(other)


def _of_call(node: ast.Call, scope: _Scope) -> Iterator[tuple[str, ast.AST]]:
    for place, keyword in enumerate(node.keywords):
        yield "an argument left out", _with(node, keywords=[*node.keywords[:place], *node.keywords[place + 1 :]])
        if isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, bool):
            turned = _with(keyword, value=ast.Constant(not keyword.value.value))
            yield "a constant", _with(node, keywords=[*node.keywords[:place], turned, *node.keywords[place + 1 :]])
    if isinstance(node.func, ast.Attribute):
        for other in FUNCTIONS.get(node.func.attr, ()):
            yield "a function for another", _with(node, func=_with(node.func, attr=other))
    if isinstance(node.func, ast.Name):
        alike = [name for name in scope.module if name != node.func.id]
        for other in alike:
            yield "a function for another", _with(node, func=_with(node.func, id=other))
    if len(node.args) == 2 and not node.keywords:
        yield "order of a product", _with(node, args=[node.args[1], node.args[0]])
        for place in (0, 1):
            turned = [*node.args]
            turned[place] = ast.Attribute(node.args[place], "T", ast.Load())
            yield ".T", _with(node, args=turned)
    if len(node.args) == 1:
        yield "a function left out", node.args[0]
