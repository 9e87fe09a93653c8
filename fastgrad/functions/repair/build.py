"""Nodes of syntax trees, made of others."""

from __future__ import annotations

import ast
import copy
from typing import Any


def name(text: str) -> ast.Name:
    """Return a name."""
    return ast.Name(text, ast.Load())


def constant(value: Any) -> ast.expr:
    """Return a constant; a negative number is a sign and a number, as it would be written."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value < 0:
        return ast.UnaryOp(ast.USub(), ast.Constant(-value))
    return ast.Constant(value)


def literal(value: Any) -> ast.expr:
    """Return a number, None or a tuple of numbers."""
    return ast.Tuple([constant(one) for one in value], ast.Load()) if isinstance(value, tuple) else constant(value)


def binary(left: ast.expr, operator: type[ast.operator], right: ast.expr) -> ast.BinOp:
    """Return an operation."""
    return ast.BinOp(left, operator(), right)


def attribute(value: ast.expr, attr: str) -> ast.Attribute:
    """Return an attribute."""
    return ast.Attribute(value, attr, ast.Load())


def item(holder: str, key: str) -> ast.Subscript:
    """Return the entry of a dict."""
    return ast.Subscript(name(holder), ast.Constant(key), ast.Load())


def indexed(array: str, indices: tuple[str, ...]) -> ast.Subscript:
    """Return an array at some places."""
    places = [name(index) for index in indices]
    return ast.Subscript(name(array), places[0] if len(places) == 1 else ast.Tuple(list(places), ast.Load()), ast.Load())


def length(array: str, axis: int) -> ast.Subscript:
    """Return the length of an axis."""
    return ast.Subscript(attribute(name(array), "shape"), ast.Constant(axis), ast.Load())


def method(value: ast.expr, called: str, arguments: list[ast.expr]) -> ast.Call:
    """Return the call of a method."""
    return ast.Call(attribute(value, called), arguments, [])


def turned(value: ast.expr) -> ast.Call:
    """Return an array with its last two axes exchanged."""
    return method(value, "swapaxes", [constant(-1), constant(-2)])


def numpy_call(numpy: str, called: str, arguments: list[ast.expr], keywords: list[ast.keyword] | None = None) -> ast.Call:
    """Return the call of one of NumPy's functions."""
    return ast.Call(attribute(name(numpy), called), arguments, keywords or [])


def reduction_keywords(axis: Any, kept: bool) -> list[ast.keyword]:
    """Return the keywords of a sum."""
    keywords = [] if axis is None else [ast.keyword("axis", literal(axis))]
    return [*keywords, *([ast.keyword("keepdims", ast.Constant(True))] if kept else [])]


def with_function(call: ast.Call, attr: str) -> ast.Call:
    """Return the call of another function."""
    assert isinstance(call.func, ast.Attribute)
    return ast.Call(attribute(call.func.value, attr), call.args, call.keywords)


def with_arguments(call: ast.Call, arguments: list[ast.expr]) -> ast.Call:
    """Return a call with other arguments."""
    return ast.Call(call.func, arguments, call.keywords)


def swapped(node: ast.Tuple | ast.List, pair: tuple[int, int]) -> ast.Tuple | ast.List:
    """Return a tuple with two of its elements exchanged."""
    elements = [*node.elts]
    first, second = pair
    elements[first], elements[second] = elements[second], elements[first]
    return type(node)(elements, node.ctx)


def swapped_values(node: ast.Dict, pair: tuple[int, int]) -> ast.Dict:
    """Return a dict with two of its values exchanged."""
    values = [*node.values]
    first, second = pair
    values[first], values[second] = values[second], values[first]
    return ast.Dict(node.keys, values)


def loaded(node: ast.expr) -> ast.expr:
    """Return the same as something that is read."""
    node = copy.deepcopy(node)
    node.ctx = ast.Load()  # type: ignore[attr-defined]
    return node
