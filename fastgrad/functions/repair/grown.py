"""What is put into an expression: a sign, a factor, a divisor, a term, a sum over axes, a function around it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import combinations, permutations
from typing import Any, NamedTuple

import numpy as np

from fastgrad.functions.repair import build
from fastgrad.functions.repair.scope import Atom, Kind, Scope, Shape

MOST_TERMS = 12
"""Names of which products are tried as a missing term."""


class Around(NamedTuple):
    """What stands around an expression.

    Attributes
    ----------
    line : int
        The line of its statement.
    loops : tuple of str
        The variables of the loops that it is in, from the outermost.
    is_root : bool
        Whether it is the whole right side.
    in_product : bool
        Whether it is a factor, where a factor more is one more of the whole product.
    in_index, in_range : bool
        Whether it is part of an index, of the bounds of a loop.
    """

    line: int
    loops: tuple[str, ...] = ()
    is_root: bool = False
    in_product: bool = False
    in_index: bool = False
    in_range: bool = False


Change = tuple[int, Any]


def turned(node: ast.expr, kind: Kind) -> Iterator[Change]:
    """Yield the transpose."""
    if isinstance(node, ast.Attribute) and node.attr == "T":
        return
    if len(kind.shape) == 2 and isinstance(node, (ast.Name, ast.Subscript, ast.Attribute, ast.Call, ast.BinOp)):
        yield 0 if isinstance(node, (ast.Name, ast.Subscript, ast.Attribute)) else 1, build.attribute(node, "T")
    if len(kind.shape) > 2 and isinstance(node, (ast.Name, ast.Subscript, ast.Attribute)):
        yield 1, build.turned(node)


def multiplied(node: ast.expr, kind: Kind, around: Around, scope: Scope) -> Iterator[Change]:
    """Yield the expression with a sign, a factor or a divisor more; in a product there is no need to try each factor."""
    if around.in_product or (isinstance(node, ast.Constant) and not around.is_root):
        return
    deep = 0 if around.is_root else 1
    if not isinstance(node, ast.UnaryOp):
        yield deep, ast.UnaryOp(ast.USub(), node)
    for number in (2, 0.5, 3):
        yield deep, build.binary(build.constant(number), ast.Mult, node)
    for atom in scope.atoms(around.line, around.loops):
        first = 0 if atom.is_dead else deep + (atom.kind.name == "array") + atom.is_far
        if _fits(atom.kind.shape, kind.shape):
            yield from _by_atom(node, atom, first, scope)
        elif _fits(kind.shape, atom.kind.shape):
            yield 1 + first, build.binary(node, ast.Mult, atom.node)
            yield 1 + first, build.binary(atom.node, ast.Div, node)
        if len(atom.kind.shape) > 1 and len(kind.shape) > 1:
            yield from ((1 + first, made) for made in _matrix_products(node, atom, kind.shape))
    yield from _by_lengths(node, around, scope)


def _by_atom(node: ast.expr, atom: Atom, first: int, scope: Scope) -> Iterator[Change]:
    """Yield products and quotients with what is made of a name."""
    plain = atom.node
    yield first, build.binary(node, ast.Mult, plain)
    yield first, build.binary(node, ast.Div, plain)
    yield first if atom.is_dead else 1 + first, build.binary(plain, ast.Div, node)
    if atom.kind.name != "array":
        if scope.numpy:
            root_of = build.numpy_call(scope.numpy, "sqrt", [plain])
            yield first + 1, build.binary(node, ast.Div, root_of)
            yield first + 1, build.binary(node, ast.Mult, root_of)
        yield first + 1, build.binary(node, ast.Div, build.binary(plain, ast.Sub, build.constant(1)))
        return
    if atom.is_made:
        return
    yield 1 + first, build.binary(node, ast.Mult, build.binary(build.constant(1), ast.Sub, plain))
    square = build.binary(plain, ast.Pow, build.constant(2))
    yield 1 + first, build.binary(node, ast.Mult, build.binary(build.constant(1), ast.Sub, square))
    yield 1 + first, build.binary(node, ast.Mult, square)
    yield 1 + first, build.binary(node, ast.Div, square)
    yield 1 + first, build.binary(node, ast.Mult, ast.Compare(plain, [ast.Gt()], [build.constant(0)]))


def _matrix_products(node: ast.expr, atom: Atom, shape: Shape) -> Iterator[ast.expr]:
    """Yield products of matrices with a name, on either side and transposed, that leave the shape as it is."""
    theirs = atom.kind.shape
    turned = build.attribute(atom.node, "T") if len(theirs) == 2 else build.turned(atom.node)
    for other, there in ((atom.node, theirs), (turned, (*theirs[:-2], theirs[-1], theirs[-2]))):
        if there[-1] == there[-2] and there[:-2] in ((), shape[:-2]):
            if there[-1] == shape[-2]:
                yield build.binary(other, ast.MatMult, node)
            if there[-1] == shape[-1]:
                yield build.binary(node, ast.MatMult, other)


def _by_lengths(node: ast.expr, around: Around, scope: Scope) -> Iterator[Change]:
    """Yield quotients and products with the lengths of axes, each length once, of the array that was there first."""
    names = scope.before(around.line, around.loops)
    seen = {int(scope.program.names[name]) for name in names if scope.kinds[name].name == "int"}
    for name in sorted(names, key=lambda name: scope.lines.get(name, 0)):
        for axis, length in enumerate(scope.kinds[name].shape):
            if length > 1 and length not in seen:
                seen.add(length)
                made = build.length(name, axis)
                yield 1, build.binary(node, ast.Div, made)
                yield 1, build.binary(node, ast.Mult, made)
                if scope.numpy:
                    yield 2, build.binary(node, ast.Div, build.numpy_call(scope.numpy, "sqrt", [made]))
                    yield 2, build.binary(node, ast.Mult, build.numpy_call(scope.numpy, "sqrt", [made]))


def _fits(theirs: Shape, ours: Shape) -> bool:
    """Whether an array of one shape, combined with one of another, leaves that as it is."""
    try:
        return np.broadcast_shapes(theirs, ours) == ours
    except ValueError:
        return False


def added(node: ast.expr, kind: Kind, around: Around, scope: Scope) -> Iterator[Change]:
    """Yield the expression with a term more: a name, a product, a sum of one along an axis."""
    if isinstance(node, ast.Constant):
        yield 2, build.binary(build.constant(1), ast.Sub, node)
        return
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub)) and not around.is_root:
        return
    root = 0 if around.is_root else 1
    atoms = scope.atoms(around.line, around.loops)
    for atom in atoms:
        first = 0 if atom.is_dead else 1 + root + atom.is_far
        if _fits(atom.kind.shape, kind.shape) and (atom.kind.name == "array" or kind.name != "array"):
            yield first, build.binary(node, ast.Add, atom.node)
            yield first, build.binary(node, ast.Sub, atom.node)
            yield 1 + first, build.binary(atom.node, ast.Sub, node)
        elif _fits(kind.shape, atom.kind.shape):
            yield first, build.binary(atom.node, ast.Sub, node)
            yield first, build.binary(atom.node, ast.Add, node)
    yield 1 + root, build.binary(build.constant(1), ast.Sub, node)
    yield 1 + root, build.binary(node, ast.Add, build.constant(1))
    if kind.name == "array":
        yield from _sums_taken_away(node, kind, atoms, scope, root)
    if kind.name == "array" and around.is_root:
        yield from _products_added(node, kind, atoms)


def _sums_taken_away(node: ast.expr, kind: Kind, atoms: list[Atom], scope: Scope, root: int) -> Iterator[Change]:
    """Yield the expression less its mean, or less the sum of its product with a name, over one axis."""
    if not scope.numpy or not isinstance(node, (ast.Name, ast.Subscript, ast.BinOp)):
        return
    for axis in range(len(kind.shape)):
        mean = build.numpy_call(scope.numpy, "mean", [node], build.reduction_keywords(axis, True))
        yield 1 + root, build.binary(node, ast.Sub, mean)
        for atom in atoms:
            if atom.kind.shape == kind.shape:
                product = build.binary(node, ast.Mult, atom.node)
                total = build.numpy_call(scope.numpy, "sum", [product], build.reduction_keywords(axis, True))
                yield 1 + atom.is_far, build.binary(node, ast.Sub, total)


def _products_added(node: ast.expr, kind: Kind, atoms: list[Atom]) -> Iterator[Change]:
    """Yield the expression with the product of two names more, one of which may be unused so far."""
    dead = [atom for atom in atoms if atom.is_dead]
    some = [*dead, *(atom for atom in reversed(atoms) if not atom.is_dead and not atom.is_made)][:MOST_TERMS]
    for one, other in combinations(some, 2):
        first = 1 if one.is_dead or other.is_dead else 3
        for made in _products(one, other, kind.shape):
            yield first, build.binary(node, ast.Add, made)
            yield first, build.binary(node, ast.Sub, made)
            if first == 1:
                yield 2, build.binary(node, ast.Add, build.binary(build.constant(2), ast.Mult, made))


def _products(one: Atom, other: Atom, shape: Shape) -> Iterator[ast.expr]:
    """Yield the products of two names that have a shape."""
    if _fits(one.kind.shape, shape) and _fits(other.kind.shape, shape) and (one.kind.shape or other.kind.shape):
        yield build.binary(one.node, ast.Mult, other.node)
    for a, b in ((one, other), (other, one)):
        if len(a.kind.shape) == len(b.kind.shape) == len(shape) == 2:
            (m, k), (n, p) = a.kind.shape, b.kind.shape
            if k == n and (m, p) == shape:
                yield build.binary(a.node, ast.MatMult, b.node)
            if m == n and (k, p) == shape:
                yield build.binary(build.attribute(a.node, "T"), ast.MatMult, b.node)
            if k == p and (m, n) == shape:
                yield build.binary(a.node, ast.MatMult, build.attribute(b.node, "T"))


def wrapped(node: ast.expr, kind: Kind, around: Around, scope: Scope) -> Iterator[Change]:
    """Yield the expression within a function: a sum over axes, a root, a square, the value with its axes reversed."""
    if isinstance(node, ast.Constant) or not scope.numpy:
        return
    tier = 1 if around.is_root else 3
    if kind.name == "array":
        for axis in axes(len(kind.shape)):
            for kept in (True, False):
                yield tier, build.numpy_call(scope.numpy, "sum", [node], build.reduction_keywords(axis, kept))
        yield tier, build.numpy_call(scope.numpy, "sum", [node], [])
        if len(kind.shape) > 2 and around.is_root:
            orders = [order for order in permutations(range(len(kind.shape))) if list(order) != sorted(order)]
            for order in orders[:23]:
                yield 2, build.numpy_call(scope.numpy, "transpose", [node, build.literal(order)], [])
    yield tier, build.numpy_call(scope.numpy, "sqrt", [node], [])
    yield tier, build.binary(node, ast.Pow, build.constant(2))
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Pow):
        yield 2, build.binary(node, ast.Pow, build.constant(3))
    for function in ("exp", "tanh", "abs"):
        yield 2, build.numpy_call(scope.numpy, function, [node], [])


def axes(dimensions: int) -> list[Any]:
    """Return every axis, and every set of several that are not all."""
    return [*range(dimensions), *(some for count in range(2, dimensions) for some in combinations(range(dimensions), count))]
