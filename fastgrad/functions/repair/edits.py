"""Single edits of a statement, each with how unusual it is: what people mistake for one another, leave out, or write twice."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import combinations, permutations
from typing import Any, NamedTuple

from fastgrad.functions.repair import build
from fastgrad.functions.repair.grown import Around, Change, added, axes, multiplied, turned, wrapped
from fastgrad.functions.repair.scope import Kind, Scope, kind_of

OPERATORS: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Add: (ast.Sub, ast.Mult, ast.Div),
    ast.Sub: (ast.Add, ast.Mult, ast.Div),
    ast.Mult: (ast.Div, ast.MatMult, ast.Add, ast.Sub, ast.Pow),
    ast.Div: (ast.Mult, ast.Sub, ast.FloorDiv),
    ast.MatMult: (ast.Mult,),
    ast.Pow: (ast.Mult,),
    ast.FloorDiv: (ast.Mod, ast.Div),
    ast.Mod: (ast.FloorDiv,),
}
"""Operators that are taken for one another."""

COMPARISONS = (ast.Gt, ast.GtE, ast.Lt, ast.LtE, ast.Eq, ast.NotEq)

FUNCTIONS: dict[str, tuple[str, ...]] = {
    "sum": ("mean", "max", "prod"),
    "mean": ("sum",),
    "max": ("sum", "min", "argmax"),
    "min": ("max",),
    "var": ("std",),
    "std": ("var",),
    "dot": ("multiply", "outer"),
    "outer": ("dot", "multiply", "inner"),
    "multiply": ("dot", "divide", "add"),
    "divide": ("multiply",),
    "add": ("multiply", "subtract"),
    "subtract": ("add",),
    "maximum": ("minimum",),
    "minimum": ("maximum", "multiply"),
    "argmax": ("argmin",),
    "argmin": ("argmax",),
    "tanh": ("cosh", "sinh", "exp", "sin"),
    "cosh": ("tanh", "sinh"),
    "sinh": ("tanh", "cosh"),
    "exp": ("tanh", "log", "expm1"),
    "log": ("exp", "log1p"),
    "sqrt": ("square", "exp"),
    "square": ("sqrt",),
    "zeros_like": ("ones_like",),
    "ones_like": ("zeros_like",),
    "zeros": ("ones",),
    "ones": ("zeros",),
    "tril": ("triu",),
    "triu": ("tril",),
    "hstack": ("vstack",),
    "vstack": ("hstack",),
    "sin": ("cos",),
    "cos": ("sin",),
    "abs": ("sign",),
    "sign": ("abs",),
}
"""Functions and methods that are taken for one another."""

REDUCTIONS = {"sum", "mean", "max", "min", "var", "std", "prod", "argmax", "argmin"}
MADE = {"zeros", "ones", "empty", "full", "eye", "arange", "linspace", "tile", "repeat", "pad", "broadcast_to", "identity"}
"""Functions whose arguments say how large an array becomes: these are left as they are."""

EXPONENTS = (2, 3, 0.5, -0.5, -1, -1.5, -2, 1.5)
NUMBERS = (2, 0.5, -1, 3)


class Slot(NamedTuple):
    """The place of a node in its tree."""

    owner: Any
    field: str
    place: int | None = None

    def get(self) -> Any:
        """Return the node."""
        value = getattr(self.owner, self.field)
        return value if self.place is None else value[self.place]

    def put(self, node: Any) -> None:
        """Put another node there."""
        if self.place is None:
            setattr(self.owner, self.field, node)
        else:
            getattr(self.owner, self.field)[self.place] = node


class Edit(NamedTuple):
    """A node put into a place; the smaller the tier, the more usual."""

    tier: int
    slot: Slot
    node: Any


def edits(statement: ast.stmt, slot: Slot, scope: Scope, loops: tuple[str, ...] = ()) -> Iterator[Edit]:
    """Yield the edits of a statement; not of the statements in it."""
    yield from (Edit(tier, slot, node) for tier, node in _of_statement(statement, scope))
    for field in ("value", "test", "iter"):
        if isinstance(getattr(statement, field, None), ast.expr):
            around = Around(statement.lineno, loops, field == "value", in_range=field == "iter")
            yield from _of_expression(Slot(statement, field), around, scope)
    yield from _of_targets(statement, scope, loops)


def _of_targets(statement: ast.stmt, scope: Scope, loops: tuple[str, ...]) -> Iterator[Edit]:
    """Yield edits of the index of what is assigned, and of its name."""
    fields = {ast.Assign: "targets", ast.AugAssign: "target"}
    name = fields.get(type(statement))
    if name is None:
        return
    place = 0 if name == "targets" else None
    slot = Slot(statement, name, place)
    target = slot.get()
    if isinstance(target, ast.Subscript):
        yield from _of_expression(Slot(target, "slice"), Around(statement.lineno, loops, in_index=True), scope)
        yield from _of_name_target(Slot(target, "value"), target.value, statement, scope, loops)
    elif isinstance(target, (ast.Tuple, ast.List)):
        yield from (Edit(1, slot, build.swapped(target, pair)) for pair in combinations(range(len(target.elts)), 2))
    else:
        yield from _of_name_target(slot, target, statement, scope, loops)


def _of_name_target(slot: Slot, target: ast.expr, statement: ast.stmt, scope: Scope, loops: tuple[str, ...]) -> Iterator[Edit]:
    if isinstance(target, ast.Name):
        for other in scope.before(statement.lineno, loops):
            if other != target.id and scope.kinds[other] == scope.kind(target):
                yield Edit(2, slot, ast.Name(other, target.ctx))


def _of_statement(statement: ast.stmt, scope: Scope) -> Iterator[Change]:
    if isinstance(statement, ast.AugAssign):
        target = build.loaded(statement.target)
        yield 0, ast.Assign([statement.target], statement.value)
        for operator in (ast.Add, ast.Sub, ast.Mult, ast.Div):
            if not isinstance(statement.op, operator):
                is_kin = isinstance(statement.op, (ast.Add, ast.Sub)) == (operator in (ast.Add, ast.Sub))
                yield 0 if is_kin else 2, ast.AugAssign(statement.target, operator(), statement.value)
        yield 2, ast.Assign([statement.target], build.binary(statement.value, ast.Sub, target))
        yield 1, ast.Pass()
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target = statement.targets[0]
        is_made = isinstance(target, ast.Name) and scope.lines.get(target.id, 0) < statement.lineno
        if isinstance(target, ast.Subscript) or (isinstance(target, ast.Name) and is_made):
            yield 0, ast.AugAssign(target, ast.Add(), statement.value)
            yield 1, ast.AugAssign(target, ast.Sub(), statement.value)
            yield 1, ast.AugAssign(target, ast.Mult(), statement.value)
            yield 1, ast.Pass()


def _of_expression(slot: Slot, around: Around, scope: Scope) -> Iterator[Edit]:
    """Yield the edits of an expression, then those of its parts."""
    node = slot.get()
    if isinstance(node, ast.expr) and not isinstance(node, ast.Slice):
        yield from (Edit(tier, slot, new) for tier, new in _at(node, around, scope))
    if isinstance(node, ast.Slice):
        yield from (Edit(tier, slot, new) for tier, new in _bounds(node, around, scope))
    if isinstance(node, ast.Call) and _called(node) in MADE:
        return
    for name, value in ast.iter_fields(node):
        if isinstance(value, ast.expr):
            yield from _of_expression(Slot(node, name), _inside(node, name, around), scope)
        elif isinstance(value, list):
            for place, item in enumerate(value):
                if isinstance(item, ast.keyword):
                    yield from _of_keyword(node, item, around, scope)
                elif isinstance(item, ast.comprehension):
                    yield from _of_expression(Slot(item, "iter"), around._replace(is_root=False, in_range=True), scope)
                elif isinstance(item, ast.expr):
                    yield from _of_expression(Slot(node, name, place), _inside(node, name, around), scope)


def _inside(node: ast.AST, name: str, around: Around) -> Around:
    """Return what stands around a part of a node."""
    is_product = isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mult, ast.Div))
    is_sign = isinstance(node, ast.UnaryOp) and (around.in_product or around.is_root)
    is_range = isinstance(node, ast.Call) and _called(node) == "range"
    return Around(
        around.line,
        around.loops,
        False,
        is_product or is_sign,
        around.in_index or (isinstance(node, ast.Subscript) and name == "slice"),
        around.in_range or is_range,
    )


def _called(node: ast.Call) -> str:
    """Return the name of what is called."""
    return node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id if isinstance(node.func, ast.Name) else ""


def _at(node: ast.expr, around: Around, scope: Scope) -> Iterator[Change]:
    """Yield the changes of one node."""
    yield from _of_kind(node, around, scope)
    kind = scope.kind(node)
    if around.in_index or around.in_range:
        if kind.name == "int" and not isinstance(node, ast.Constant):
            yield 1, build.binary(node, ast.Add, build.constant(1))
            yield 1, build.binary(node, ast.Sub, build.constant(1))
        return
    if kind.is_numeric:
        yield from turned(node, kind)
        yield from multiplied(node, kind, around, scope)
        yield from added(node, kind, around, scope)
        yield from wrapped(node, kind, around, scope)


def _of_kind(node: ast.expr, around: Around, scope: Scope) -> Iterator[Change]:
    """Yield what is usual for a kind of node."""
    match node:
        case ast.Name(ctx=ast.Load()):
            yield from _of_name(node, around, scope)
        case ast.Subscript():
            yield from _of_subscript(node, around, scope)
        case ast.Attribute():
            yield from _of_attribute(node, scope)
        case ast.BinOp():
            yield from _of_operation(node)
        case ast.UnaryOp(op=ast.USub() | ast.Not() | ast.Invert()):
            yield 0, node.operand
        case ast.Compare():
            for other in COMPARISONS:
                if not isinstance(node.ops[0], other):
                    yield 0, ast.Compare(node.left, [other()], node.comparators)
        case ast.Constant():
            yield from _of_constant(node, around, scope)
        case ast.Call():
            yield from _of_call(node, scope)
        case ast.Tuple() | ast.List():
            yield from ((0, build.swapped(node, pair)) for pair in combinations(range(len(node.elts)), 2))
        case ast.Dict():
            yield from ((0, build.swapped_values(node, pair)) for pair in combinations(range(len(node.values)), 2))
        case ast.IfExp():
            yield 1, ast.IfExp(node.test, node.orelse, node.body)


def _of_name(node: ast.Name, around: Around, scope: Scope) -> Iterator[Change]:
    kind = scope.kinds.get(node.id)
    if kind is None:
        yield from _of_helper(node, scope)
        return
    for other in scope.before(around.line, around.loops):
        if other == node.id:
            continue
        theirs = scope.kinds[other]
        if theirs == kind and kind.name != "other":
            yield 0, build.name(other)
        elif (kind.is_numeric and theirs.is_numeric) or theirs.name == kind.name != "other":
            yield 1, build.name(other)
        if theirs.name == "array" and len(theirs.shape) == 2 and theirs.shape[::-1] == kind.shape:
            yield 1, build.attribute(build.name(other), "T")
        if theirs.name == "dict" and kind.is_numeric:
            yield from ((2, build.item(other, key)) for key, value in _items(other, scope) if value == kind)


def _items(name: str, scope: Scope) -> list[tuple[str, Kind]]:
    """Return the keys of a dict, and what each is."""
    return [(key, kind_of(value)) for key, value in scope.program.names[name].items() if isinstance(key, str)]


def _of_helper(node: ast.Name, scope: Scope) -> Iterator[Change]:
    """Yield the other functions that take as many arguments."""
    called = scope.program.part.called
    if node.id in called:
        counts = {other: one.__code__.co_argcount for other, one in called.items()}
        yield from ((1, build.name(other)) for other in counts if other != node.id and counts[other] == counts[node.id])


def _of_subscript(node: ast.Subscript, around: Around, scope: Scope) -> Iterator[Change]:
    if isinstance(node.value, ast.Name) and isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
        kind = scope.kind(node)
        holder = scope.value(node.value)
        if isinstance(holder, dict):
            for key, value in _items(node.value.id, scope):
                if key != node.slice.value:
                    yield 0 if value == kind else 2, build.item(node.value.id, key)
                    if len(value.shape) == 2 and value.shape[::-1] == kind.shape:
                        yield 1, build.attribute(build.item(node.value.id, key), "T")
        for other in scope.before(around.line, around.loops):
            if scope.kinds[other] == kind:
                yield 1, build.name(other)
    if isinstance(node.slice, ast.Tuple):
        for pair in combinations(range(len(node.slice.elts)), 2):
            yield 1, ast.Subscript(node.value, build.swapped(node.slice, pair), node.ctx)
    yield 2, node.value


def _of_attribute(node: ast.Attribute, scope: Scope) -> Iterator[Change]:
    if node.attr == "T":
        yield 0, node.value
        return
    holder = scope.program.names.get(node.value.id) if isinstance(node.value, ast.Name) else None
    kind = scope.kind(node)
    if holder is not None and kind.is_numeric and hasattr(holder, "__dict__"):
        for other, value in vars(holder).items():
            if other != node.attr and kind_of(value).is_numeric:
                yield 0 if kind_of(value) == kind else 2, build.attribute(node.value, other)


def _of_operation(node: ast.BinOp) -> Iterator[Change]:
    for place, other in enumerate(OPERATORS.get(type(node.op), ())):
        yield 0 if place < 2 else 1, ast.BinOp(node.left, other(), node.right)
    if isinstance(node.op, (ast.Sub, ast.Div, ast.MatMult, ast.Pow, ast.FloorDiv)):
        yield 0, ast.BinOp(node.right, node.op, node.left)
    yield 0, node.left
    yield 0, node.right
    yield from ((1, other) for other in _other_slope(node))
    harmless = (ast.Mult, ast.MatMult)
    left, right = node.left, node.right
    if isinstance(left, ast.BinOp) and not (isinstance(node.op, harmless) and isinstance(left.op, harmless)):
        yield 1, ast.BinOp(left.left, left.op, ast.BinOp(left.right, node.op, right))
    if isinstance(right, ast.BinOp) and not (isinstance(node.op, harmless) and isinstance(right.op, harmless)):
        yield 1, ast.BinOp(ast.BinOp(left, node.op, right.left), right.op, right.right)


def _other_slope(node: ast.BinOp) -> Iterator[ast.expr]:
    """Yield the slope of tanh for that of the sigmoid, and the reverse, both in terms of their values: 1 - a², a(1 - a)."""
    match node:
        case ast.BinOp(ast.Constant(1), ast.Sub(), ast.BinOp(value, ast.Pow(), ast.Constant(2))):
            yield build.binary(value, ast.Mult, build.binary(build.constant(1), ast.Sub, value))
        case ast.BinOp(left, ast.Mult(), ast.BinOp(ast.Constant(1), ast.Sub(), value)):
            last = left.right if isinstance(left, ast.BinOp) and isinstance(left.op, ast.Mult) else left
            if ast.unparse(last) == ast.unparse(value):
                square = build.binary(value, ast.Pow, build.constant(2))
                slope = build.binary(build.constant(1), ast.Sub, square)
                yield build.binary(left.left, ast.Mult, slope) if isinstance(left, ast.BinOp) and last is not left else slope


def _of_constant(node: ast.Constant, around: Around, scope: Scope) -> Iterator[Change]:
    value = node.value
    if isinstance(value, bool):
        yield 0, build.constant(not value)
    elif isinstance(value, (int, float)):
        half = 0.5 * value if isinstance(value, float) else value // 2
        for other in dict.fromkeys((value + 1, value - 1, 2 * value, half, -value, *NUMBERS, 0, 1, *EXPONENTS)):
            if other != value and not (isinstance(other, float) and around.in_index):
                yield 0, build.constant(other)
        for name in scope.before(around.line, around.loops):
            if scope.kinds[name].name == "int" or (scope.kinds[name].name == "number" and not around.in_index):
                yield 1, build.name(name)
    elif isinstance(value, str) and "->" in value:
        yield from ((1, build.constant(text)) for text in _subscripts(value))


def _subscripts(text: str) -> Iterator[str]:
    """Yield the subscripts of an einsum with two letters of one operand exchanged, or one letter for another."""
    inputs, _, output = text.replace(" ", "").partition("->")
    operands = [*inputs.split(","), output]
    letters = sorted(set("".join(operands)))
    for place, operand in enumerate(operands):
        changed = {"".join(_exchanged(list(operand), pair)) for pair in combinations(range(len(operand)), 2)}
        changed |= {operand[:i] + letter + operand[i + 1 :] for i in range(len(operand)) for letter in letters}
        for other in sorted(changed - {operand}):
            new = [*operands[:place], other, *operands[place + 1 :]]
            yield f"{','.join(new[:-1])}->{new[-1]}"


def _of_call(node: ast.Call, scope: Scope) -> Iterator[Change]:
    called = _called(node)
    if isinstance(node.func, ast.Attribute):
        for place, other in enumerate(FUNCTIONS.get(called, ())):
            yield 0 if place == 0 else 1, build.with_function(node, other)
    if called in MADE or called == "range":
        return
    if len(node.args) >= 2:
        for place in range(len(node.args) - 1):
            yield 1, build.with_arguments(node, _exchanged([*node.args], (place, place + 1)))
    if node.args and scope.kind(node.args[0]).is_numeric:
        yield 1, node.args[0]
    if isinstance(node.func, ast.Attribute) and scope.kind(node.func.value).is_numeric:
        yield 1, node.func.value
        if len(node.args) == 1 and called == "dot":
            yield 1, ast.Call(ast.Attribute(node.args[0], "dot", ast.Load()), [node.func.value], [])
    if called in REDUCTIONS:
        yield from _of_reduction(node, scope)
    if called == "reshape" and isinstance(node.func, ast.Attribute) and 2 <= len(node.args) <= 4:
        yield from _reshaped(node)
    if called in ("transpose", "swapaxes") and len(node.args) > 1:
        orders = [list(order) for order in permutations(node.args)]
        yield from ((1, build.with_arguments(node, order)) for order in orders if order != node.args)


def _reshaped(node: ast.Call) -> Iterator[Change]:
    """Yield a reshape to other axes that are then brought into this order."""
    for order in permutations(range(len(node.args))):
        if list(order) != sorted(order):
            made = build.with_arguments(node, [node.args[place] for place in order])
            yield 1, build.method(made, "transpose", [build.constant(order.index(place)) for place in range(len(order))])


def _of_reduction(node: ast.Call, scope: Scope) -> Iterator[Change]:
    """Yield the same sum over other axes, and with or without axes of length 1 kept."""
    is_method = isinstance(node.func, ast.Attribute) and scope.kind(node.func.value).name == "array"
    inner = node.func.value if is_method and isinstance(node.func, ast.Attribute) else node.args[0] if node.args else None
    dimensions = len(scope.kind(inner).shape) if inner is not None else 0
    given = {keyword.arg: keyword for keyword in node.keywords}
    has_positional = len(node.args) > (0 if is_method else 1)
    choices = [None, *axes(dimensions), -1]
    others = [keyword for keyword in node.keywords if keyword.arg not in ("axis", "keepdims")]
    arguments = node.args[: 0 if is_method else 1]
    now = ast.unparse(given["axis"].value) if "axis" in given else ast.unparse(node.args[-1]) if has_positional else "None"
    kept_now = "keepdims" in given
    for kept in (kept_now, not kept_now):
        for axis in choices:
            if (str(axis) != now or kept != kept_now) and not (kept and _called(node).startswith("arg")):
                keywords = [*others, *build.reduction_keywords(axis, kept)]
                tier = 0 if kept == kept_now or str(axis) == now else 1
                yield tier, ast.Call(node.func, arguments, keywords)


def _exchanged(items: list[Any], pair: tuple[int, int]) -> list[Any]:
    """Return a list with two of its items exchanged."""
    first, second = pair
    items[first], items[second] = items[second], items[first]
    return items


def _of_keyword(call: ast.AST, keyword: ast.keyword, around: Around, scope: Scope) -> Iterator[Edit]:
    """Yield edits of a keyword's value, and leaving it out."""
    if isinstance(call, ast.Call) and _called(call) in REDUCTIONS and keyword.arg in ("axis", "keepdims"):
        return  # `_of_reduction` has them
    inside = around._replace(is_root=False, in_index=keyword.arg in ("axis", "axes", "k", "ddof", "keepdims"))
    yield from _of_expression(Slot(keyword, "value"), inside, scope)
    if isinstance(call, ast.Call):
        place = call.keywords.index(keyword)
        yield Edit(1, Slot(call, "keywords"), [*call.keywords[:place], *call.keywords[place + 1 :]])


def _bounds(node: ast.Slice, around: Around, scope: Scope) -> Iterator[Change]:
    """Yield bounds left out, and others put in."""
    ints = [build.name(name) for name in scope.before(around.line, around.loops) if scope.kinds[name].name == "int"]
    found: list[ast.expr] = [*ints, build.constant(1), build.constant(-1)]
    if node.lower is not None:
        yield 1, ast.Slice(None, node.upper, node.step)
    else:
        yield from ((1, ast.Slice(one, node.upper, node.step)) for one in found)
    if node.lower is None and node.upper is not None:
        yield from ((1, ast.Slice(one, build.binary(one, ast.Add, node.upper), node.step)) for one in ints)
    if node.upper is not None:
        yield 1, ast.Slice(node.lower, None, node.step)
    else:
        yield from ((1, ast.Slice(node.lower, one, node.step)) for one in found)
        if node.lower is not None:
            for one in ints:
                yield 2, ast.Slice(node.lower, build.binary(node.lower, ast.Add, one), node.step)
                yield 2, ast.Slice(node.lower, build.binary(build.constant(2), ast.Mult, one), node.step)
                yield 2, ast.Slice(node.lower, build.binary(build.constant(3), ast.Mult, one), node.step)
    if node.step is None and node.lower is None and node.upper is None:
        yield 1, ast.Slice(None, None, build.constant(-1))
    elif node.step is not None:
        yield 0, ast.Slice(node.lower, node.upper, None)
