"""Exact differences of NumPy code: held against many digits; NumPy's values bit for bit, kinks, views, and falling back."""

import math
import re

import mpmath
import numpy as np
import pytest
from mpmath import mp

import fastgrad
from fastgrad.functions.exact import identities, slopes
from fastgrad.functions.exact.following import Followed
from fastgrad.functions.exact.moved import FUNCTIONS, fresh
from fastgrad.functions.exact.tile import NotFollowedError, Tile

U = 2.0**-53
DIGITS = 400
"""Enough to subtract numbers that agree in all but the last of two hundred digits, and to have some left."""

STEPS = [sign * step for step in (2.0**-108, 2.0**-60, 2.0**-30, 2.0**-12) for sign in (1.0, -1.0)]


def carried(function, *pairs):
    """Return value and difference of a function of arrays, each given with its differences or None."""
    count = next(len(delta) for _, delta in pairs if delta is not None)
    tile = Tile(count)
    found = function(*(fresh(tile, np.array(value), None if delta is None else np.array(delta)) for value, delta in pairs))
    return found.numbers, found.delta, tile


def exact(function, a, d):
    """Return f(a + d) - f(a) of floats, rounded once."""
    with mp.workdps(DIGITS):
        return float(function(mp.mpf(a) + mp.mpf(d)) - function(mp.mpf(a)))


rng = np.random.default_rng(5)
ANY = np.concatenate(
    [rng.normal(size=8), 10.0 ** rng.uniform(-12, 2, 6), -(10.0 ** rng.uniform(-12, 2, 6)), [700.0, -700.0, 1e-300]]
)
POSITIVE = np.concatenate([10.0 ** rng.uniform(-300, 300, 10), rng.uniform(0.5, 2.0, 6), [1.0, 1.0 + 2.0**-52, 1.0 - 2.0**-53]])
WHOLE = np.concatenate([rng.normal(size=10), [1e3, -1e3, 1e-30]])

IDENTITIES = [
    (np.negative, lambda x: -x, ANY),
    (np.positive, lambda x: x, ANY),
    (np.conjugate, lambda x: x, ANY),
    (np.square, lambda x: x * x, ANY),
    (np.sqrt, mpmath.sqrt, POSITIVE),
    (np.cbrt, lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)), np.append(POSITIVE, -POSITIVE[:5])),
    (np.reciprocal, lambda x: 1 / x, np.append(POSITIVE, -POSITIVE[:5])),
    (np.exp, mpmath.exp, ANY),
    (np.exp2, lambda x: mpmath.mpf(2) ** x, ANY),
    (np.expm1, mpmath.expm1, ANY),
    (np.log, mpmath.log, POSITIVE),
    (np.log2, lambda x: mpmath.log(x) / mpmath.log(2), POSITIVE),
    (np.log10, lambda x: mpmath.log(x) / mpmath.log(10), POSITIVE),
    (np.log1p, mpmath.log1p, np.append(POSITIVE, [-0.5, -0.999, -1e-20])),
    (np.sin, mpmath.sin, ANY),
    (np.cos, mpmath.cos, ANY),
    (np.tan, mpmath.tan, WHOLE),
    (np.arctan, mpmath.atan, ANY),
    (np.sinh, mpmath.sinh, ANY),
    (np.cosh, mpmath.cosh, ANY),
    (np.tanh, mpmath.tanh, np.append(WHOLE, [19.0, 300.0, -300.0])),
    (np.absolute, abs, ANY),
    (np.fabs, abs, ANY),
]


@pytest.mark.parametrize(("ufunc", "precise", "points"), IDENTITIES, ids=lambda value: getattr(value, "__name__", ""))
def test_an_identity_has_all_digits(ufunc, precise, points):
    # Steps are relative to the point, but where 1 is larger and the function does not mind.
    scale = np.abs(points) if points is POSITIVE or np.abs(points).max() > 1e6 else np.maximum(np.abs(points), 1.0)
    deltas = np.array([scale * step for step in STEPS])
    value, found, tile = carried(ufunc, (points, deltas))
    assert value.tobytes() == ufunc(points).tobytes()
    assert not tile.doubted.any()
    expected = np.array([[exact(precise, a, d) for a, d in zip(points, row, strict=True)] for row in deltas])
    # Where second order is the larger part, next to a turning point, two terms make it up.
    room = 16.0 * U * np.abs(expected) + 8.0 * U * 2.0**-108 * np.abs(deltas) + 5e-324
    assert np.all(np.abs(found - expected) <= room), np.abs(found - expected).max()


def test_every_elementwise_function_has_a_case():
    jumps = {np.sign, np.floor, np.ceil, np.trunc, np.rint}
    assert set(identities.UNARY) == {case[0] for case in IDENTITIES} | jumps
    assert set(identities.BINARY) == {case[0] for case in PAIRS}


PAIRS = [
    (np.add, lambda a, b: a + b, 0.0),
    (np.subtract, lambda a, b: a - b, 0.0),
    (np.multiply, lambda a, b: a * b, 0.0),
    (np.divide, lambda a, b: a / b, 0.0),
    (np.maximum, max, 0.0),
    (np.minimum, min, 0.0),
    (np.fmax, max, 0.0),
    (np.fmin, min, 0.0),
    (np.power, lambda a, b: a**b, 1e-9),
    (np.float_power, lambda a, b: a**b, 1e-9),
    (np.logaddexp, lambda a, b: mpmath.log(mpmath.exp(a) + mpmath.exp(b)), 0.0),
    (np.hypot, mpmath.hypot, 0.0),
]


@pytest.mark.parametrize(("ufunc", "precise", "least"), PAIRS, ids=lambda value: getattr(value, "__name__", ""))
@pytest.mark.parametrize("moving", ["both", "first", "second"])
def test_an_identity_of_two_numbers_has_all_digits(ufunc, precise, least, moving):
    a, b = rng.normal(size=(2, 12)) * 10.0 ** rng.integers(-3, 3, size=(2, 12))
    a, b = (np.abs(a) + least, b / 1e3) if least else (a, b)
    steps = np.array(STEPS)[:, None]
    da = steps * a * rng.uniform(0.5, 1.0, size=12) if moving != "second" else None
    db = steps * b * rng.uniform(0.5, 1.0, size=12) if moving != "first" else None
    value, found, _ = carried(ufunc, (a, da), (b, db))
    assert value.tobytes() == ufunc(a, b).tobytes()
    zero = np.zeros((len(STEPS), 12))
    both = np.broadcast_arrays(a, b, zero if da is None else da, zero if db is None else db)
    with mp.workdps(DIGITS):
        numbers = [[mp.mpf(float(number)) for number in array.ravel()] for array in both]
        moved = [precise(x + dx, y + dy) - precise(x, y) for x, y, dx, dy in zip(*numbers, strict=True)]
        # What two moves make together may cancel; each of them has all its digits.
        terms = [
            abs(precise(x + dx, y) - precise(x, y)) + abs(precise(x, y + dy) - precise(x, y))
            for x, y, dx, dy in zip(*numbers, strict=True)
        ]
    room = 16.0 * U * np.array(terms, dtype=float).reshape(zero.shape)
    # The exponents of powers and exponentials are rounded.
    room *= 1.0 + np.abs(b * np.log(a)) if least else 1.0 + np.abs(a - b) if ufunc is np.logaddexp else 1.0
    assert np.all(np.abs(found - np.array(moved, dtype=float).reshape(zero.shape)) <= room + 5e-324)


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 7, -1, -2, 0.5, 1.5, np.array([2.0, 3.0, 0.5])])
def test_powers_of_any_number(exponent):
    a = np.array([0.3, 2.0, 7.0]) if np.any(exponent != np.rint(exponent)) else np.array([-1.7, 0.3, 2e3])
    deltas = np.array([np.abs(a) * step for step in STEPS])
    value, found, tile = carried(lambda x: x**exponent, (a, deltas))
    assert value.tobytes() == (a**exponent).tobytes()
    powers = np.broadcast_to(exponent, 3).tolist()
    expected = [[exact(lambda x, p=p: x**p, *pair) for *pair, p in zip(a, row, powers, strict=True)] for row in deltas]
    assert found == pytest.approx(np.array(expected), rel=32 * U, abs=0.0)
    assert not tile.doubted.any()


# Whole arrays: differences of sums and products of numbers with many digits.

X, Y, V = rng.normal(size=(3, 4)), rng.normal(size=(4, 5)), rng.normal(size=4)
B = rng.normal(size=(2, 3, 4))
SQUARE = rng.normal(size=(3, 3)) + 3.0 * np.eye(3)
INDEX = np.array([[2, 0], [1, 1]])

ARRAYS = [
    (np.sum, lambda x: np.sum(x, axis=0), X),
    (np.sum, lambda x: x.sum(axis=(0, 2), keepdims=True), B),
    ((np.add, "reduce"), lambda x: np.add.reduce(x), X),
    (np.mean, lambda x: x.mean(axis=-1, keepdims=True), X),
    (np.cumsum, lambda x: np.cumsum(x, axis=1), X),
    (np.cumsum, lambda x: x.cumsum(), X),
    ((np.add, "accumulate"), lambda x: np.add.accumulate(x), X),
    (np.prod, lambda x: np.prod(x, axis=0), X),
    (np.prod, lambda x: x.prod(), V),
    (np.trace, lambda x: np.trace(x), SQUARE),
    (np.max, lambda x: x.max(axis=1), X),
    (np.amax, lambda x: np.amax(x), X),
    (np.min, lambda x: np.min(x, axis=(0, 1), keepdims=True), X),
    (np.amin, lambda x: np.amin(x, axis=0), X),
    ((np.maximum, "reduce"), lambda x: np.maximum.reduce(x, axis=1), X),
    ((np.minimum, "reduce"), lambda x: np.minimum.reduce(x, axis=1), X),
    (np.clip, lambda x: np.clip(x, -0.5, 0.4), X),
    (np.clip, lambda x: x.clip(min=0.1), X),
    (np.sort, lambda x: np.sort(x, axis=0), X),
    (np.where, lambda x: np.where(x > 0.0, x * 3.0, 0.5), X),
    (np.einsum, lambda x: np.einsum("ij,jk->k", x, Y), X),
    (np.einsum, lambda x: np.einsum("ij,ik", x, x), X),
    (np.einsum, lambda x: np.einsum("...ij,kj->...ik", x, X), B),
    (np.einsum, lambda x: np.einsum("ij->ji", x), X),
    (np.dot, lambda x: x.dot(Y), X),
    (np.dot, lambda x: np.dot(V, x.T), X),
    (np.dot, lambda x: np.dot(x, x.transpose(0, 2, 1)), B),
    (np.dot, lambda x: np.dot(x, 2.0), X),
    (np.tensordot, lambda x: np.tensordot(x, Y, axes=1), X),
    (np.tensordot, lambda x: np.tensordot(x, x, axes=([0, 2], [0, 2])), B),
    (np.inner, lambda x: np.inner(x, V), X),
    (np.outer, lambda x: np.outer(x, x), V),
    (np.vdot, lambda x: np.vdot(x, x), X),
    (np.matmul, lambda x: x @ Y, X),
    (np.matmul, lambda x: X @ x, Y),
    (np.matmul, lambda x: X @ x, V),
    (np.matmul, lambda x: x @ Y, V),
    (np.matmul, lambda x: x @ x.transpose(0, 2, 1), B),
    (np.matmul, lambda x: B @ x, V),
    (np.matmul, lambda x: B @ x, Y),
    (np.matmul, lambda x: V @ x, Y),
    (np.matmul, lambda x: x @ np.swapaxes(B, 1, 2), V),
    (np.matmul, lambda x: x @ x, V),
    (np.matmul, lambda x: (x @ x.T) @ x[:, 0], X),
    (np.matmul, lambda x: x[:, 0] @ (x @ x.T), X),
    (np.reshape, lambda x: np.reshape(x, (2, 6)), X),
    (np.ravel, lambda x: np.ravel(x.T), X),
    (np.transpose, lambda x: np.transpose(x, (2, 0, 1)), B),
    (np.swapaxes, lambda x: np.swapaxes(x, 0, 2), B),
    (np.moveaxis, lambda x: np.moveaxis(x, 0, -1), B),
    (np.rollaxis, lambda x: np.rollaxis(x, 2), B),
    (np.squeeze, lambda x: np.squeeze(x[:1]), X),
    (np.expand_dims, lambda x: np.expand_dims(x, 1), X),
    (np.broadcast_to, lambda x: np.broadcast_to(x, (2, 3, 4)) * B, X),
    (np.flip, lambda x: np.flip(x, 1), X),
    (np.fliplr, lambda x: np.fliplr(x), X),
    (np.flipud, lambda x: np.flipud(x), X),
    (np.roll, lambda x: np.roll(x, 2, axis=1), X),
    (np.rot90, lambda x: np.rot90(x), X),
    (np.repeat, lambda x: x.repeat(2, axis=0), X),
    (np.tile, lambda x: np.tile(x, (2, 3)), X),
    (np.take, lambda x: x.take(INDEX, axis=1), X),
    (np.take_along_axis, lambda x: np.take_along_axis(x, INDEX, 1), X[:2]),
    (np.diagonal, lambda x: np.diagonal(x, 1), SQUARE),
    (np.copy, lambda x: np.copy(x), X),
    (np.atleast_1d, lambda x: np.atleast_1d(x.sum()), X),
    (np.atleast_2d, lambda x: np.atleast_2d(x), V),
    (np.atleast_3d, lambda x: np.atleast_3d(x), V),
    (np.split, lambda x: np.split(x, 2, axis=1)[1], X),
    (np.array_split, lambda x: np.array_split(x, 2)[0], X),
    (np.hsplit, lambda x: np.hsplit(x, 2)[1], X),
    (np.vsplit, lambda x: np.vsplit(x, 3)[1], X),
    (np.dsplit, lambda x: np.dsplit(x, 2)[1], B),
    (np.real, lambda x: np.real(x), X),
    (np.delete, lambda x: np.delete(x, 1, axis=1), X),
    (np.lib.stride_tricks.sliding_window_view, lambda x: np.lib.stride_tricks.sliding_window_view(x, (2, 2)), X),
    (np.resize, lambda x: np.resize(x, (5, 4)), X),
    (np.matrix_transpose, lambda x: np.matrix_transpose(x), B),
    (np.tril, lambda x: np.tril(x), X),
    (np.triu, lambda x: np.triu(x, 1), X),
    (np.diag, lambda x: np.diag(x), V),
    (np.diag, lambda x: np.diag(x), SQUARE),
    (np.diagflat, lambda x: np.diagflat(x), V),
    (np.pad, lambda x: np.pad(x, ((1, 2), (0, 1))), X),
    (np.pad, lambda x: np.pad(x, 1, constant_values=7.0), X),
    (np.pad, lambda x: np.pad(x, 1, mode="reflect"), X),
    (np.concatenate, lambda x: np.concatenate([x, X, x * 2.0], axis=1), X),
    (np.stack, lambda x: np.stack([x, X], axis=-1), X),
    (np.vstack, lambda x: np.vstack([x, V]), X),
    (np.hstack, lambda x: np.hstack((x, x)), X),
    (np.dstack, lambda x: np.dstack((X, x)), X),
    (np.column_stack, lambda x: np.column_stack((x, x * x)), V),
    (np.block, lambda x: np.block([[x, X], [X, x]]), X),
    (np.append, lambda x: np.append(x, V), V),
    (np.zeros_like, lambda x: np.zeros_like(x) + x, X),
    (np.ones_like, lambda x: np.ones_like(x) * x, X),
    (np.empty_like, lambda x: filled(np.empty_like(x), x), X),
    (np.full_like, lambda x: np.full_like(x, 2.5) * x, X),
    (np.shape, lambda x: x * np.shape(x)[0], X),
    (np.ndim, lambda x: x * np.ndim(x), X),
    (np.size, lambda x: x * np.size(x), X),
    (np.argmax, lambda x: x[np.argmax(x, axis=0), np.arange(4)], X),
    (np.argmin, lambda x: x[x.argmin(axis=0), np.arange(4)], X),
    (np.argsort, lambda x: np.take_along_axis(x, np.argsort(x, axis=1), 1), X),
    (np.copyto, lambda x: filled(np.zeros_like(x), x, np.copyto), X),
    (None, lambda x: x[1:, ::-1], X),
    (None, lambda x: x[INDEX, INDEX.T], X),
    (None, lambda x: x[x > 0.0], X),
    (None, lambda x: x[:, [0, 3], None], X),
    (None, lambda x: x[INDEX % 2, :, [[0]]], B),
    (None, lambda x: x.T.flatten() + x.ravel(), X),
    (None, lambda x: 2.0 - x / 3.0 + [1.0, 2.0, 3.0, 4.0], X),
]


def filled(buffer, x, copy=None):
    """Write x into an array that was there."""
    if copy is None:
        buffer[...] = x
    else:
        copy(buffer, x)
    return buffer


def shown_name(case):
    return getattr(case[0], "__name__", str(case[0]))


def precise_difference(function, x, d):
    """Return the difference of a function of an array, by NumPy's own code with numbers of many digits."""
    with mp.workdps(120):
        base = np.vectorize(mp.mpf, otypes=[object])(x)
        moved = base + np.vectorize(mp.mpf, otypes=[object])(d)
        return np.array(function(moved) - function(base), dtype=float)


@pytest.mark.parametrize("case", ARRAYS, ids=shown_name)
def test_a_function_of_arrays_has_numpys_value_and_the_exact_difference(case):
    _, function, x = case
    deltas = rng.normal(size=(3, *x.shape)) * 2.0**-60
    value, found, tile = carried(function, (x, deltas))
    plain = np.asarray(function(x))
    assert value.shape == plain.shape
    assert value.tobytes() == plain.tobytes()
    assert not (tile.doubted | tile.tied).any()
    for d, difference in zip(deltas, found, strict=True):
        expected = precise_difference(function, x, d)
        assert difference == pytest.approx(expected, rel=1e-13, abs=64.0 * U * 2.0**-60)


def test_every_function_of_arrays_has_a_case():
    others = {np.var, np.std, np.linalg.norm, np.linalg.solve, np.linalg.inv, np.iscomplexobj, np.isrealobj}
    refused = {np.nonzero, np.any, np.all, np.count_nonzero}
    assert set(FUNCTIONS) == ({case[0] for case in ARRAYS} | others | refused) - {None, np.matmul}


def roots(function):
    """Return the variance, or the standard deviation, of numbers with many digits."""
    return lambda x: function(sum((n - sum(x) / len(x)) ** 2 for n in x) / (len(x) - 1))


@pytest.mark.parametrize(
    ("function", "precise"),
    [
        (lambda x: np.var(x, ddof=1), roots(lambda v: v)),
        (lambda x: x.std(ddof=1), roots(mpmath.sqrt)),
        (lambda x: np.linalg.norm(x), lambda x: mpmath.sqrt(sum(n * n for n in x))),
        (lambda x: np.linalg.solve(SQUARE + np.diag(x), V[:3]).sum(), lambda x: sum(solved(x) * vector(V[:3]))),
        (lambda x: (np.linalg.inv(SQUARE + np.diag(x)) @ V[:3]).sum(), lambda x: sum(solved(x) * vector(V[:3]))),
        (lambda x: np.linalg.solve(SQUARE, x).sum(), lambda x: sum(mpmath.matrix(SQUARE.tolist()) ** -1 * mpmath.matrix(x))),
    ],
    ids=["var", "std", "norm", "solve", "inv", "right side"],
)
def test_roots_and_inverses(function, precise):
    x, d = V[:3], rng.normal(size=(1, 3)) * 2.0**-60
    value, found, _ = carried(function, (x, d))
    assert np.asarray(value).tobytes() == np.asarray(function(x)).tobytes()
    with mp.workdps(100):
        base = [mp.mpf(number) for number in x.tolist()]
        moved = [number + mp.mpf(by) for number, by in zip(base, d[0].tolist(), strict=True)]
        assert found[0] == pytest.approx(float(precise(moved) - precise(base)), rel=1e-13)


def solved(diagonal):
    return (mpmath.matrix(SQUARE.tolist()) + mpmath.diag(diagonal)) ** -1


def vector(numbers):
    return mpmath.matrix(numbers.tolist())


# Memory: what NumPy makes a view of is one, and what it copies is a copy.

WRITTEN = [
    lambda x: written(x.copy(), lambda a: a[1:], lambda v, x: v.__setitem__(0, x[0])),
    lambda x: written(x.copy(), lambda a: a.T, lambda v, x: v.__setitem__((slice(1), 0), 5.0)),
    lambda x: written(x.copy(), lambda a: a.reshape(-1), lambda v, x: v.__setitem__(slice(2, 5), x[0, :3] * x[1, :3])),
    lambda x: written(x.copy(), lambda a: a.T.reshape(-1), lambda v, x: v.__setitem__(slice(0, 3), 0.0)),  # a copy
    lambda x: written(x.copy(), lambda a: a.flatten(), lambda v, x: v.__setitem__(0, 0.0)),  # a copy
    lambda x: written(x.copy(), lambda a: a[::2, ::-1], lambda v, x: v.__imul__(x[0])),
    lambda x: written(x.copy(), lambda a: a[1], lambda v, x: v.__iadd__(x[2])),
    lambda x: written(x.copy(), lambda a: a[[1]], lambda v, x: v.__iadd__(x[2])),  # a copy
    lambda x: written(x.copy(), lambda a: np.moveaxis(a, 0, 1)[2], lambda v, x: v.__itruediv__(x[0, 0])),
    lambda x: written(x.copy(), lambda a: a, lambda v, x: v.__setitem__(x > 0.0, x[x > 0.0] ** 2)),
    lambda x: written(x.copy(), lambda a: a, lambda v, x: v.__setitem__(([0, 2], [1, 1]), x[1, :2])),
    lambda x: written(x.copy(), lambda a: a[:, 1:], lambda v, x: v.__setitem__(slice(None), v[:, ::-1])),
    lambda x: written(x.copy(), lambda a: a, lambda v, x: v.fill(2.0)),
    lambda x: written(x.copy(), lambda a: a, lambda v, x: np.add.at(v, ([0, 0, 1], 2), x[:, 0])),
    lambda x: written(x.copy(), lambda a: a[1:], lambda v, x: np.subtract.at(v, [0, 0, 1], x)),
    lambda x: written(x.copy(), lambda a: np.einsum("ij->ji", a), lambda v, x: v.__setitem__(0, x[:, 1])),
    lambda x: written(x.copy(), lambda a: a.swapaxes(0, 1).astype(a.dtype, copy=False), lambda v, x: v.__isub__(2.0 * x.T)),
    lambda x: written(np.zeros_like(x) + 0.0 * x, lambda a: a[0], lambda v, _: v.__setitem__(slice(None), x[1])),
    lambda x: written(np.zeros_like(x) + 0.0 * x, lambda a: a, lambda v, _: np.add(x, x[0], out=v)),
    lambda x: number_kept(x.sum()),
]


def written(base, view, write):
    """Return an array after a view of it was written to; both, so that a view shows what was written as well."""
    source = base * 1.5 + 0.25
    seen = view(base)
    write(seen, source)
    return np.concatenate([base.ravel(), seen.ravel(), source.ravel()])


def number_kept(number):
    """Return a sum that was added to; a number is another then, and the first stays."""
    kept = number
    number += number * 2.0
    return np.stack([kept, number])


@pytest.mark.parametrize("case", range(len(WRITTEN)))
def test_writing_to_a_view_writes_to_the_base(case):
    function = WRITTEN[case]
    deltas = rng.normal(size=(3, *X.shape)) * 2.0**-60
    value, found, _ = carried(function, (X, deltas))
    assert value.tobytes() == function(X).tobytes()
    for d, difference in zip(deltas, found, strict=True):
        assert difference == pytest.approx(precise_difference(function, X, d), rel=1e-13, abs=64.0 * U * 2.0**-60)


@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_lie_as_numpys_do(order):
    function = lambda x: np.exp(x.T)[1:].ravel(order)  # noqa: E731
    value, found, _ = carried(function, (X, np.ones((1, *X.shape)) * 2.0**-60))
    assert value.tobytes() == function(X).tobytes()
    assert found[0] == pytest.approx(function(X) * 2.0**-60, rel=1e-15)


# Branches and kinks.


def test_a_branch_that_a_move_changes_is_doubted_and_others_are_not():
    x, moves = np.array([0.0, 1.0, -2.0]), 2.0**-100 * np.eye(3)
    for condition in (lambda x: x > 0.0, lambda x: x != 0.0, lambda x: x <= 0.0, lambda x: np.sign(x) + 0.0, np.logical_not):
        tile = Tile(3)
        condition(fresh(tile, x, moves))
        assert tile.doubted.tolist() == [True, False, False]
    for jump in (np.floor, np.ceil, np.trunc, np.rint):
        tile = Tile(2)
        jump(fresh(tile, np.array([3.0, 2.5]) + (jump is np.rint) * np.array([0.5, 0.25]), 2.0**-100 * np.eye(2)))
        assert tile.doubted.tolist() == [True, False]


@pytest.mark.parametrize("find", [np.argmax, np.argmin, np.argsort])
def test_a_place_that_a_move_changes_is_doubted(find):
    tile = Tile(4)
    find(fresh(tile, np.array([1.0, 1.0, 3.0, 3.0]), 2.0**-100 * np.eye(4)))
    expected = {np.argmax: [False, False, True, True], np.argmin: [True, True, False, False], np.argsort: [True] * 4}
    assert tile.doubted.tolist() == expected[find]


KINKS = [
    (lambda x: np.maximum(x, 0.0).sum(), np.array([0.0, 1.0] * 10), 0.5, 1.0),
    (lambda x: (x * (x > 0)).sum(), np.array([0.0, 1.0] * 10), 0.5, 1.0),
    (lambda x: np.where(x > 0, x, 0.0).sum(), np.array([0.0, 1.0] * 10), 0.5, 1.0),
    (lambda x: np.abs(x).sum(), np.array([0.0, 3.0] * 10), 0.0, 1.0),
    (lambda x: np.abs(x).sum(), np.array([0.0, -3.0] * 10), 0.0, -1.0),
    (lambda x: np.sqrt(x * x).sum(), np.array([0.0, 2.0] * 10), 0.0, 1.0),
    (lambda x: np.hypot(x, 0.0).sum(), np.array([0.0, 2.0] * 10), 0.0, 1.0),
    (lambda x: np.clip(x, 0.0, 9.0).sum(), np.array([0.0, 2.0] * 10), 0.5, 1.0),
    (lambda x: (np.maximum(x, 0.0) ** 2).sum(), np.array([0.0, 2.0] * 10), 0.0, 4.0),  # flat on both sides
    (lambda x: np.maximum(x, 2.0 * x - x).sum(), np.array([0.5, 2.0] * 10), 1.0, 1.0),  # a tie that is none
]


@pytest.mark.parametrize("case", range(len(KINKS)))
def test_a_kink_is_seen_exactly_and_others_keep_their_digits(case):
    f, x, at, beside = KINKS[case]
    found = fastgrad.numerical_gradient(f, x, full=True)
    assert found.scheme == "exact"
    assert found.value[::2] == pytest.approx(np.full(10, at), abs=1e-9)
    assert found.value[1::2].tolist() == [beside] * 10


def test_kinks_cost_no_extrapolation_and_are_judged_by_both_slopes():
    x = np.zeros((20, 20))
    x[::2] = np.random.default_rng(3).normal(size=(10, 20))
    f = lambda x: (np.maximum(x, 0.0) * 3.0).sum()  # noqa: E731
    gradient = np.where(x > 0.0, 3.0, 0.0)
    report = fastgrad.check_function(f, gradient, x)
    assert (report.verdict, report.scheme, report.counts.kinks) == ("right", "exact", 200)
    assert report.evaluations < 5 * x.size
    wrong = gradient.copy()
    wrong[1, 3] = 3.0 + 1e-5
    report = fastgrad.check_function(f, wrong, x)
    assert [entry.name for entry in report.entries if entry.verdict == "wrong"] == ["x[1, 3]"]


def test_a_slope_without_a_limit_is_not_a_number_of_2_to_the_54th():
    x = np.array([0.0, 1.0] * 10)
    for f in (lambda x: np.cbrt(x).sum(), lambda x: (np.sign(x) * np.sqrt(np.abs(x))).sum()):
        report = fastgrad.check_function(f, np.full(20, 1.0 / 3.0), x)
        assert {entry.verdict for entry in report.entries if entry.name in ("x[0]", "x[18]")} <= {"inconclusive", "wrong"}
        assert all(
            abs(entry.numerical) > 1.0 or math.isnan(entry.numerical) for entry in report.entries if entry.name == "x[0]"
        )


# Falling back: a function that cannot be followed to its end is evaluated in another way, and nothing wrong comes out.


def local_numpy(x):
    import numpy

    out = numpy.zeros(x.shape)
    for i, number in enumerate(x):
        out[i] = number * number
    return out.sum()


def swallowing(x):
    try:
        return sum(float(number) ** 2 for number in x)
    except TypeError:
        return 3.0 * (x * 0.5 + x.sum() * 0.0 - x * 0.5).sum() + 1.0


KEPT = {}


def keeping(x):
    """Return a function of this array, and of nothing of the one before."""
    before = KEPT.get("before", x)
    KEPT["before"] = np.real(x)
    return (x * x).sum() + 0.0 * before.sum()


FALLING = [
    (lambda x: np.linalg.det(np.diag(x[:3])) + (x * x).sum(), "numpy.linalg.det"),
    (lambda x: np.median(x) * 0.0 + (x * x).sum(), "numpy.median"),
    (lambda x: sum(math.exp(number) for number in x), "plain array or number"),
    (lambda x: np.fft.fft(x).real @ x, "numpy.fft.fft"),
    (lambda x: sum(number**2 for number in x.tolist()), ".tolist"),
    (lambda x: (x.astype(np.float32) * 1.0).astype(float).sum() * 0.0 + (x * x).sum(), "float32"),
    (lambda x: (x * x).sum() + 0.0 * np.bincount(x.astype(int) * 0)[0], "int64"),
    (lambda x: np.sum(x * x, where=x > -9.0), "it does not take such arrays (TypeError"),
    (lambda x: np.multiply(x, x, where=x > -9.0, out=np.zeros_like(x)).sum(), "options"),
    (lambda x: np.vectorize(lambda t: t * t)(x).sum(), ""),
    (lambda x: (x * x).sum() + 0.0 * (x // 0.3).sum(), "floor_divide"),
    (lambda x: np.array([float(f"{number:.17g}") ** 2 for number in x]).sum(), ""),
    (local_numpy, "plain array or number"),
    (swallowing, "plain array or number"),
    (keeping, "from one call to the next"),
    (lambda x: (x * x).sum() if isinstance(x, np.ndarray) else 7.0 * x.sum(), ""),
    (lambda x: (getattr(x, "numbers", x) ** 2).sum(), "contradict"),
]


@pytest.mark.parametrize("case", range(len(FALLING)))
def test_what_cannot_be_followed_falls_back(case):
    f, reason = FALLING[case]
    KEPT.clear()
    x = np.random.default_rng(8).normal(size=20)
    plain = fastgrad.numerical_gradient(f, x, step=1e-5)
    KEPT.clear()
    found = fastgrad.numerical_gradient(f, x, full=True)
    assert found.value == pytest.approx(plain, abs=1e-7)
    if reason:
        assert found.scheme != "exact"
        KEPT.clear()
        report = fastgrad.check_function(f, found.value, x)
        remark = next(remark for remark in report.remarks if "Exact differences" in remark)
        assert reason in remark
        assert re.fullmatch(r"Exact differences could not be carried through f, since .*; others were taken\.", remark)


def test_rows_that_are_not_certain_are_left_open():
    # A branch on the whole array turns about with any entry; the function is the same on both sides.
    f = lambda x: (x * x).sum() if x.sum() >= 0.0 else (x * x).sum() + 0.0 * x.sum()  # noqa: E731
    x = np.array([1.0, -1.0] * 10)
    assert fastgrad.numerical_gradient(f, x) == pytest.approx(2.0 * x, abs=1e-9)


# Arrays that are made first and filled then.


class Layer:
    """A layer with state, as courses write them."""

    def __init__(self, w):
        self.w = w

    def forward(self, x):
        self.out = np.zeros((len(x), self.w.shape[1]), dtype=x.dtype)
        for i in range(len(x)):
            for j in range(self.w.shape[1]):
                self.out[i, j] = np.sum(x[i] * self.w[:, j])
        return self.out


class Twice(Layer):
    """A layer that is derived from another, and counts what it was made of."""

    def __init__(self, w):
        self.parts = []
        super().__init__(w)
        self.parts.append(self.w)

    def forward(self, x):
        return super().forward(x) * len(self.parts) + self.forward_again(x)

    def forward_again(self, x):
        return Layer.forward(self, x)


class Thrice(Twice):
    """A layer that adds nothing of its own but a factor."""

    FACTOR = 3.0

    def scaled(self, x):
        return self.forward_again(x) * self.FACTOR


def columns(x):
    shape, strides = (x.shape[0] - 1, 2, x.shape[1]), (x.strides[0], x.strides[0], x.strides[1])
    return np.lib.stride_tricks.as_strided(np.asarray(x), shape, strides)


LAYER = Layer(rng.normal(size=(4, 3)))
WEIGHTS = rng.normal(size=(6, 3))


def filled_in_order(x):
    rows = np.empty(x.shape)
    for place, row in enumerate(x):
        rows[place] = np.tanh(row)
    return (np.array([rows[0], rows[1]]) @ rows[2]).sum()


@pytest.mark.parametrize(
    "f",
    [
        lambda x: (LAYER.forward(x) * WEIGHTS).sum(),
        lambda x: (Layer(WEIGHTS[:4]).forward(x) * WEIGHTS).sum(),
        lambda x: (Thrice(WEIGHTS[:4]).scaled(x) * WEIGHTS).sum(),
        lambda x: (getattr(x, "value", x) ** 2).sum(),
        lambda x: (columns(x) ** 3).sum(),
        lambda x: (x.copy() ** 2).sum() if isinstance(np.zeros(3), np.ndarray) and isinstance(x, np.ndarray) else 0.0,
        filled_in_order,
    ],
)
def test_arrays_that_are_filled_carry_differences(f):
    x = np.random.default_rng(4).normal(size=(6, 4))
    found = fastgrad.numerical_gradient(f, x, full=True)
    assert found.scheme == "exact"
    assert found.value == pytest.approx(fastgrad.numerical_gradient(f, x, step=1e-5), abs=1e-7)


def test_super_goes_on_from_where_it_stands():
    # The method of the class below makes plain arrays, as its own code says; it is called once, and the caller falls back.
    x = np.random.default_rng(4).normal(size=(6, 4))
    f = lambda x: (Twice(WEIGHTS[:4]).forward(x) * WEIGHTS).sum()  # noqa: E731
    assert fastgrad.numerical_gradient(f, x) == pytest.approx(fastgrad.numerical_gradient(f, x, step=1e-5), abs=1e-7)


def test_nothing_of_the_users_is_touched():
    names, code = dict(globals()), Layer.forward
    LAYER.out = "before"
    fastgrad.numerical_gradient(lambda x: (LAYER.forward(x) * WEIGHTS).sum(), np.ones((6, 4)), full=True)
    assert Layer.forward is code
    assert type(LAYER) is Layer
    assert type(LAYER.out) is np.ndarray
    assert globals()["np"] is np
    assert {name for name, value in globals().items() if names.get(name) is not value} == set()


# Schemes and steps.


def test_the_exact_scheme_is_the_central_difference_without_cancellation():
    x = np.linspace(0.5, 2.0, 20)
    f = lambda x: np.exp(x).sum()  # noqa: E731
    step = 2.0**-20
    found = fastgrad.numerical_gradient(f, x, scheme="exact", step=step)
    with mp.workdps(60):
        expected = [(mpmath.exp(mp.mpf(a) + step) - mpmath.exp(mp.mpf(a) - step)) / (2 * step) for a in x.tolist()]
    assert found == pytest.approx(np.array(expected, dtype=float), rel=8 * U)
    assert fastgrad.numerical_gradient(f, x, scheme="exact") == pytest.approx(np.exp(x), rel=8 * U)


def test_the_exact_scheme_says_why_it_cannot():
    with pytest.raises(fastgrad.InputError, match=r"exact differences, since it calls numpy\.linalg\.det"):
        fastgrad.numerical_gradient(lambda x: np.linalg.det(x), np.eye(3), scheme="exact")
    with pytest.raises(fastgrad.InputError, match=r"within the step of x\[0\] f takes another branch"):
        fastgrad.numerical_gradient(lambda x: (x * (x > 0)).sum(), np.array([0.0, 1.0]), scheme="exact")


def test_steps_are_powers_of_two_beside_which_truncation_vanishes():
    x = np.array([0.0, 1.0, -3.0, 1e-20, 1e300, 5e-324])
    steps = slopes.steps_of(x)
    assert np.all(np.frexp(steps)[0] == 0.5)
    assert np.all(steps[1:5] <= 2.0**-54 * 2.0**-53 * np.abs(x[1:5]))
    assert steps.min() > 1e-160
    # A function that bends within the rounding of x keeps its digits.
    f = lambda x: np.sin(2.0**50 * x).sum()  # noqa: E731
    points = np.linspace(1.0, 1.0 + 2.0**-45, 20)
    assert fastgrad.numerical_gradient(f, points, scheme="exact") == pytest.approx(
        2.0**50 * np.cos(2.0**50 * points), rel=1e-14
    )


def test_the_same_bits_every_time_and_whatever_fits_in_a_tile(monkeypatch):
    x = np.random.default_rng(2).normal(size=(5, 8))
    f = lambda x: (np.tanh(x) / (1.0 + np.exp(-x).sum(axis=0))).sum()  # noqa: E731
    first = fastgrad.numerical_gradient(f, x)
    assert fastgrad.numerical_gradient(f, x).tobytes() == first.tobytes()
    monkeypatch.setattr(slopes, "TILE", 64)
    assert fastgrad.numerical_gradient(f, x).tobytes() == first.tobytes()


def test_parts_of_an_argument_are_moved_one_after_the_other():
    x = {"w": np.random.default_rng(1).normal(size=(3, 4)), "b": 0.5, "v": np.array([[2.0] * 5])}
    f = lambda p: (np.tanh(p["w"] * p["b"]) @ p["w"].T).sum() + p["b"] * p["v"].prod()  # noqa: E731
    found = fastgrad.numerical_gradient(f, x, full=True)
    assert found.scheme == "exact"
    assert found.value["v"] == pytest.approx(np.full((1, 5), 8.0), rel=1e-15)
    assert found.value["b"] == pytest.approx(fastgrad.numerical_gradient(f, x, step=1e-5)["b"], rel=1e-8)


def test_a_function_is_followed_many_moves_at_once():
    calls = []

    def f(x):
        calls.append(x)
        return (np.maximum(x, 0.0) ** 2).sum()

    found = fastgrad.numerical_gradient(f, np.linspace(-1.0, 2.0, 1000), full=True)
    assert found.scheme == "exact"
    assert len(calls) <= 16


def test_several_outputs_are_followed_together():
    x, deltas = np.arange(3.0), 2.0**-60 * np.eye(3)
    followed = Followed(lambda x: ({"a": x * x, "b": x.sum()}, [np.ones(2)]), lambda parts: parts[0], lambda: None)
    _, outputs = followed([x], [deltas], 3)
    assert [output.value.shape for output in outputs] == [(3,), (), (2,)]
    assert outputs[0].delta[2].tolist() == [0.0, 0.0, 2.0**-60 * (4.0 + 2.0**-60)]
    assert outputs[1].delta.tolist() == [2.0**-60] * 3
    assert outputs[2].delta is None
    with pytest.raises(NotFollowedError, match="plain array or number"):
        Followed(lambda x: math.sin(x[0]), lambda parts: parts[0], lambda: None)([x], [deltas], 3)
