"""Differences of NumPy's elementwise functions, f(a + δ) - f(a), formed without subtracting numbers that nearly agree.

Called by `moved`, with the value v = f(a) that is known already. A δ has an axis in front, over the moves of a tile; None is a
δ of zero. Where a branch may change within a move, the move is noted in the tile: tied, where f is continuous and may have a
kink, or doubted, where its difference must not be used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Delta = Array | None


class Notes(Protocol):
    """Where moves are noted: by a mask whose first axis is over the moves of the tile."""

    def tie(self, where: Any) -> None:
        """Note moves at a tie, or at a kink."""

    def doubt(self, where: Any) -> None:
        """Note moves whose differences must not be used."""


def _negative(_: Notes, _v: Array, _a: Array, d: Array) -> Array:
    return -d


def _same(_: Notes, _v: Array, _a: Array, d: Array) -> Array:
    return d


def _square(_: Notes, _v: Array, a: Array, d: Array) -> Array:
    return d * (2.0 * a + d)


def _sqrt(notes: Notes, v: Array, a: Array, d: Array) -> Array:
    _doubt_at(notes, a == 0.0, d)
    return np.asarray(d / _not_zero(np.sqrt(a + d) + v))


def _cbrt(notes: Notes, v: Array, a: Array, d: Array) -> Array:
    _doubt_at(notes, a == 0.0, d)
    moved = np.cbrt(a + d)
    return np.asarray(d / _not_zero(moved * moved + moved * v + v * v))


def _reciprocal(_: Notes, v: Array, a: Array, d: Array) -> Array:
    return -v * d / (a + d)


def _exp(_: Notes, v: Array, _a: Array, d: Array) -> Array:
    return np.asarray(v * np.expm1(d))


def _exp2(_: Notes, v: Array, _a: Array, d: Array) -> Array:
    return np.asarray(v * np.expm1(np.log(2.0) * d))


def _expm1(_: Notes, _v: Array, a: Array, d: Array) -> Array:
    return np.exp(a) * np.expm1(d)


def _log(_: Notes, _v: Array, a: Array, d: Array) -> Array:
    return np.log1p(d / a)


def _log2(_: Notes, _v: Array, a: Array, d: Array) -> Array:
    return np.asarray(np.log1p(d / a) / np.log(2.0))


def _log10(_: Notes, _v: Array, a: Array, d: Array) -> Array:
    return np.asarray(np.log1p(d / a) / np.log(10.0))


def _log1p(_: Notes, _v: Array, a: Array, d: Array) -> Array:
    return np.log1p(d / (1.0 + a))


def _sin(_: Notes, v: Array, a: Array, d: Array) -> Array:
    half = np.sin(0.5 * d)
    return np.cos(a) * np.sin(d) - 2.0 * v * half * half


def _cos(_: Notes, v: Array, a: Array, d: Array) -> Array:
    half = np.sin(0.5 * d)
    return -np.sin(a) * np.sin(d) - 2.0 * v * half * half


def _tan(_: Notes, v: Array, a: Array, d: Array) -> Array:
    t = np.tan(d)
    return t * (1.0 + v * v) / (1.0 - v * t)


def _arctan(_: Notes, _v: Array, a: Array, d: Array) -> Array:
    return np.arctan(d / (1.0 + a * (a + d)))


def _sinh(_: Notes, v: Array, a: Array, d: Array) -> Array:
    half = np.sinh(0.5 * d)
    return np.cosh(a) * np.sinh(d) + 2.0 * v * half * half


def _cosh(_: Notes, v: Array, a: Array, d: Array) -> Array:
    half = np.sinh(0.5 * d)
    return np.sinh(a) * np.sinh(d) + 2.0 * v * half * half


def _tanh(_: Notes, v: Array, a: Array, d: Array) -> Array:
    # 1 - tanh² from the exponential: it keeps its digits where tanh is 1 to rounding.
    e = np.exp(-2.0 * np.abs(a))
    t = np.tanh(d)
    return 4.0 * e / ((1.0 + e) * (1.0 + e)) * t / (1.0 + v * t)


def _abs(notes: Notes, v: Array, a: Array, d: Array) -> Array:
    signed = np.sign(a) * d
    found = np.maximum(signed, -signed - 2.0 * v)
    zero = a == 0.0
    if not zero.any():
        return found
    notes.tie(zero & (d != 0.0))
    return np.where(zero, np.abs(d), found)


def _sign(notes: Notes, _v: Array, a: Array, d: Array) -> None:
    doubt_crossing(notes, a, d)


def _whole(notes: Notes, _v: Array, a: Array, d: Array) -> None:
    doubt_crossing(notes, a - np.rint(a), d)


def _rint(notes: Notes, _v: Array, a: Array, d: Array) -> None:
    doubt_crossing(notes, np.abs(a - np.floor(a)) - 0.5, d)


UNARY: dict[Any, Callable[..., Delta]] = {
    np.negative: _negative,
    np.positive: _same,
    np.conjugate: _same,
    np.square: _square,
    np.sqrt: _sqrt,
    np.cbrt: _cbrt,
    np.reciprocal: _reciprocal,
    np.exp: _exp,
    np.exp2: _exp2,
    np.expm1: _expm1,
    np.log: _log,
    np.log2: _log2,
    np.log10: _log10,
    np.log1p: _log1p,
    np.sin: _sin,
    np.cos: _cos,
    np.tan: _tan,
    np.arctan: _arctan,
    np.sinh: _sinh,
    np.cosh: _cosh,
    np.tanh: _tanh,
    np.absolute: _abs,
    np.fabs: _abs,
    np.sign: _sign,
    np.floor: _whole,
    np.ceil: _whole,
    np.trunc: _whole,
    np.rint: _rint,
}
"""The difference of each function of one array; None for what is constant between its jumps."""


def _add(_: Notes, _v: Array, _a: Array, da: Delta, _b: Array, db: Delta) -> Delta:
    return db if da is None else da if db is None else da + db


def _subtract(_: Notes, _v: Array, _a: Array, da: Delta, _b: Array, db: Delta) -> Delta:
    return da if db is None else -db if da is None else da - db


def multiply(_: Notes, _v: Array, a: Array, da: Delta, b: Array, db: Delta) -> Delta:
    """Return the difference of a product: δa·b + (a + δa)·δb."""
    if db is None:
        return da if da is None else da * b
    return a * db if da is None else da * b + (a + da) * db


def _divide(_: Notes, v: Array, _a: Array, da: Delta, b: Array, db: Delta) -> Delta:
    if db is None:
        return da if da is None else da / b
    return (-v * db if da is None else da - v * db) / (b + db)


def maximum(notes: Notes, v: Array, a: Array, da: Delta, b: Array, db: Delta) -> Array:
    """Return the difference of the larger: that of the one which is larger after the move."""
    _tie(notes, a, da, b, db)
    return np.maximum(_after(a, v, da), _after(b, v, db))


def minimum(notes: Notes, v: Array, a: Array, da: Delta, b: Array, db: Delta) -> Array:
    """Return the difference of the smaller."""
    _tie(notes, a, da, b, db)
    return np.minimum(_after(a, v, da), _after(b, v, db))


def _power(notes: Notes, v: Array, a: Array, da: Delta, b: Array, db: Delta) -> Delta:
    if db is not None:
        return _moving_power(notes, v, a, da, b, db)
    if da is None:
        return None
    if b.ndim == 0 and b == 2.0:
        return da * (2.0 * a + da)
    # (1 + δ/a)^b, which is positive also where a is negative and b whole.
    found = v * np.expm1(b * np.log1p(da / a))
    zero = np.asarray(a == 0.0)
    if zero.any():
        _doubt_at(notes, zero & ((b != np.rint(b)) | (b < 0.0)), da)
        found = np.where(zero, np.power(da, b) - v, found)
    return found


def _moving_power(notes: Notes, v: Array, a: Array, da: Delta, b: Array, db: Array) -> Array:
    """Return the difference of a power whose exponent moves; of a positive number only."""
    _doubt_at(notes, ~np.asarray(a > 0.0), np.ones_like(db))
    ratio = 0.0 if da is None else (b + db) * np.log1p(da / a)
    return v * np.expm1(ratio + db * np.log(a))


def _logaddexp(_: Notes, _v: Array, a: Array, da: Delta, b: Array, db: Delta) -> Array:
    # Each share of the sum of exponentials from the distance of both, as a softmax has it.
    terms = (np.expm1(d) / (1.0 + np.exp(gap)) for gap, d in ((b - a, da), (a - b, db)) if d is not None)
    return np.log1p(sum(terms))


def _hypot(notes: Notes, v: Array, a: Array, da: Delta, b: Array, db: Delta) -> Array:
    squares = sum(d * (2.0 * x + d) for x, d in ((a, da), (b, db)) if d is not None)
    moved = np.hypot(a if da is None else a + da, b if db is None else b + db)
    _tie_at(notes, v == 0.0, moved)
    return np.asarray(squares / _not_zero(moved + v))


BINARY: dict[Any, Callable[..., Delta]] = {
    np.add: _add,
    np.subtract: _subtract,
    np.multiply: multiply,
    np.divide: _divide,
    np.maximum: maximum,
    np.minimum: minimum,
    np.fmax: maximum,
    np.fmin: minimum,
    np.power: _power,
    np.float_power: _power,
    np.logaddexp: _logaddexp,
    np.hypot: _hypot,
}
"""The difference of each function of two arrays."""

COMPARISONS = (np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal)
"""What compares two arrays: a plain array at the point, with doubt in the moves for which it is another."""

CONDITIONS = (np.isnan, np.isfinite, np.isinf)
"""What a small move does not change; of what is not finite no difference is used."""

TRUTHS = (np.logical_not, np.signbit)
"""What compares an array with 0."""


def compare(notes: Notes, a: Array, da: Delta, b: Array, db: Delta) -> None:
    """Note the moves that may change how a and b compare."""
    if da is None and db is None:
        return
    d = da if db is None else -db if da is None else da - db
    doubt_crossing(notes, a - b, d)


def doubt_crossing(notes: Notes, gap: Array, d: Delta) -> None:
    """Note the moves that reach half of the way to a place where a function jumps, or start there."""
    if d is None or d.size == 0:
        return
    gap = np.abs(gap)
    # Most arrays are told by two numbers: the nearest place, and the largest move.
    reach = max(float(d.max()), -float(d.min()))
    if reach >= 0.5 * float(np.min(gap)) or not np.isfinite(reach) or np.isnan(gap).any():
        size = np.abs(d)
        notes.doubt(~(size < 0.5 * gap) & (size != 0.0))


def _after(a: Array, v: Array, d: Delta) -> Array:
    """Return a + δ - v, where v is a, or far from it beside δ."""
    gap = a - v
    return gap if d is None else gap + d


def _not_zero(divisor: Any) -> Any:
    """Return a divisor of differences that are 0 where it is, with 1 in these places."""
    zero = divisor == 0.0
    return np.where(zero, 1.0, divisor) if np.any(zero) else divisor


def _tie(notes: Notes, a: Array, da: Delta, b: Array, db: Delta) -> None:
    at = np.asarray(a == b)
    if at.any():
        d = da if db is None else db if da is None else da - db
        _tie_at(notes, at, d)


def _tie_at(notes: Notes, at: Any, d: Any) -> None:
    if np.any(at):
        notes.tie(at & (d != 0.0))


def _doubt_at(notes: Notes, at: Any, d: Array) -> None:
    if np.any(at):
        notes.doubt(at & (d != 0.0))
