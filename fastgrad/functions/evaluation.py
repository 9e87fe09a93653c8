"""Calling the user's function: one point after another, in threads, many at once, or as machine code; and what it may do wrong.

Called by everything here that needs values. A function that fails, that modifies its argument, that gives two values for
one point or no number at all is named, with the point; nothing of it reaches the user as a traceback.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.errors import InputError
from fastgrad.foreign import as_numpy
from fastgrad.functions import compiled
from fastgrad.functions.arguments import Array, Layout, bound_number, read, whole_number

BATCH_NUMBERS = 1 << 16
"""Numbers in one batch: half a megabyte, which the cache of a core holds; larger ones took longer for each point."""

THREAD_POINTS = 64
"""Points in a thread's queue at a time, so that those waiting take little memory."""


EDGE = 2.0**-40
"""Distance to a bound, in units of max(|x|, 1), below which x is at the edge: smaller steps would be lost in rounding."""

AGAIN = 4
"""Values at x itself that tell whether f draws random numbers: with masks of one bit they are the same by a chance of 1/16."""

SEVERAL = (
    ". For a layer, whose backward(dout, cache) or backward(dout, x) returns gradients, there is "
    "fastgrad.check_layer(forward, backward, x), for a Jacobian with a row for each output "
    "fastgrad.check_jacobian(f, jacobian, x)"
)

FAILED = object()
"""The value of a call that failed where failing is allowed."""


class Function:
    """A user's function at a point: its values there and nearby, and how many were asked for.

    Attributes
    ----------
    layout : Layout
        The form of its argument.
    x : ndarray, shape (size,)
        The point, flat.
    value : float
        f(x).
    evaluations : int
        Calls so far, each point of a batch counted.
    failure : InputError or None
        The first failure that was forgiven.
    not_followed : str or None
        Why exact differences, if they were tried, could not be carried through it.
    """

    def __init__(
        self,
        f: Callable[..., Any],
        x: Any,
        workers: int | None = None,
        batched: bool = False,
        bounds: Any = None,
        reset: Callable[[], object] | None = None,
        name: str = "f",
    ) -> None:
        if not callable(f):
            raise InputError(f"{name} is of type {type(f).__name__}; expected a function")
        threads = 1 if workers is None else whole_number(workers, "workers", 1)
        if batched and workers is not None:
            raise InputError("a batched function is called with many points at once; give either workers or batched")
        if reset is not None and threads > 1:
            raise InputError(
                "seed is a function, which is called before each call of f; threads would call the two in any order"
            )
        self.layout, self.x = read(x)
        self.lower, self.upper = bounds_of(bounds, self.layout, self.x)
        self._bounded = bool(np.isfinite(self.lower).any() or np.isfinite(self.upper).any())
        self.reset = reset or _nothing
        self.evaluations = 0
        self.failure: InputError | None = None
        self.not_followed: str | None = None
        self._f, self._name, self._workers, self._batched = f, name, threads, batched
        self._compiled = not batched and reset is None and self.layout.kind in ("number", "array") and compiled.is_compiled(f)
        try:
            self.value = self._base()
        except InputError:
            if not self.to_own_precision():
                raise

    def to_own_precision(self) -> bool:
        """Call f with foreign arrays in the precision in which they were given; False where that makes no difference."""
        layout = self.layout.in_own_precision()
        if layout is None:
            return False
        self.layout = layout
        self.value = self._base()
        return True

    def go_to(self, x: Array) -> None:
        """Make another point the function's point; its value is asked for once."""
        self.x = x
        self.value = float(self._at(iter([x.copy()]), 1, False)[0])

    @contextmanager
    def elsewhere(self, x: Array) -> Iterator[None]:
        """Make another point the function's point for as long as the context lasts."""
        before = self.x, self.value
        try:
            self.go_to(x)
            yield
        finally:
            self.x, self.value = before

    @property
    def called(self) -> Callable[..., Any]:
        """The user's function itself."""
        return self._f

    @property
    def can_be_followed(self) -> bool:
        """Whether exact differences may be tried: not by machine code, by other packages, or in a batch."""
        return not (self._compiled or self._batched or self.layout.is_foreign)

    @property
    def can_be_complex(self) -> bool:
        """Whether complex arguments may be tried: a compiled function would be compiled anew for them."""
        return not self._compiled

    def moved(self, entries: NDArray[np.int64], offsets: Array, forgiving: bool = False) -> Array:
        """Return f(x + offsets[k]·e_entries[k]) for every k, shape (count,).

        Notes
        -----
        Where `forgiving`, a point outside the function's domain gives nan and is kept as `failure`.
        """
        if self._bounded:
            moved = self.x[entries] + offsets
            inside = (self.lower[entries] <= moved) & (moved <= self.upper[entries])
            return _spread(inside, self._moved(entries[inside], offsets[inside], forgiving))
        return self._moved(entries, offsets, forgiving)

    def along(self, directions: Array, offsets: Array, forgiving: bool = False) -> Array:
        """Return f(x + offsets[k]·directions[k]) for every k; directions has the shape (count, size), or (size,) for one."""
        rows = np.broadcast_to(directions, (offsets.size, self.x.size))
        inside = [k for k, row in enumerate(rows) if not self._bounded or self._contains(self.x + offsets[k] * row)]
        values = self._at((self.x + offsets[k] * rows[k] for k in inside), len(inside), forgiving)
        return _spread(np.isin(np.arange(offsets.size), inside), values)

    def room(self, entries: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return whether entries may be moved down, and up: at the edge of the domain they may not."""
        least = EDGE * np.maximum(np.abs(self.x[entries]), 1.0)
        below, above = self.x[entries] - self.lower[entries] > least, self.upper[entries] - self.x[entries] > least
        return below, above

    def has_room(self, direction: Array) -> bool:
        """Whether x may be moved along a direction: no entry is at that edge of the domain."""
        if not self._bounded:
            return True
        below, above = self.room(np.arange(self.x.size))
        return bool(np.where(direction > 0.0, above, (direction == 0.0) | below).all())

    def inward(self, direction: Array) -> Array:
        """Return a direction with the signs of entries changed that would leave the domain at once."""
        if not self._bounded:
            return direction
        below, above = self.room(np.arange(self.x.size))
        return np.asarray(np.where(~above & (direction > 0.0) | ~below & (direction < 0.0), -direction, direction))

    def settles(self) -> bool:
        """Whether f still gives the same at x, called as it is called near x: many at once if it is batched."""
        return bool((self._at((self.x.copy() for _ in range(AGAIN)), AGAIN, True) == self.value).all())

    def moved_imaginary(self, step: float) -> NDArray[np.complex128]:
        """Return f(x + i·step·e_k) for every entry k."""
        entries = np.arange(self.x.size)
        points = self._points(entries, np.full(entries.size, step * 1j), self.x.astype(np.complex128))
        return self._at(points, entries.size, False, np.complex128)

    def along_imaginary(self, direction: Array, step: float) -> complex:
        """Return f(x + i·step·direction)."""
        return complex(self._at(iter([self.x + 1j * step * direction]), 1, False, np.complex128)[0])

    def _moved(self, entries: NDArray[np.int64], offsets: Array, forgiving: bool) -> Array:
        if self._compiled:
            return self._in_loop(entries, offsets, forgiving)
        return self._at(self._points(entries, offsets), entries.size, forgiving)

    def _contains(self, point: Array) -> bool:
        return bool(((self.lower <= point) & (point <= self.upper)).all())

    def _base(self) -> float:
        """Evaluate f(x), twice."""
        first, second = (self._at(iter([self.x.copy()]), 1, False)[0] for _ in range(2))
        if first != second:
            raise InputError(
                f"{self._name} gives {float(first)!r} and then {float(second)!r} for the same x; a derivative needs one value "
                "for one point: seed what it draws anew in each call, and let it keep nothing from one call to the next. "
                "seed=reset calls reset(), lambda: np.random.seed(0) for example, before each call"
            )
        return float(first)

    def _points(
        self, entries: NDArray[np.int64], offsets: NDArray[Any], x: NDArray[Any] | None = None
    ) -> Iterator[NDArray[Any]]:
        for entry, offset in zip(entries.tolist(), offsets.tolist(), strict=True):
            point = (self.x if x is None else x).copy()
            point[entry] += offset
            yield point

    def _at(self, points: Iterator[NDArray[Any]], count: int, forgiving: bool, dtype: Any = np.float64) -> NDArray[Any]:
        """Evaluate at any points, in their order."""
        values = np.empty(count, dtype=dtype)
        self.evaluations += count
        done, at_once = 0, self._at_once()
        while chunk := list(islice(points, at_once)):
            values[done : done + len(chunk)] = self._chunk(chunk, forgiving, dtype)
            done += len(chunk)
        return values

    def _at_once(self) -> int:
        if self._batched:
            return max(1, BATCH_NUMBERS // self.x.size)
        return 1 if self._workers == 1 else self._workers * THREAD_POINTS

    def _chunk(self, points: list[NDArray[Any]], forgiving: bool, dtype: Any) -> list[Any]:
        if self._batched:
            return self._batch(points, forgiving, dtype)
        if len(points) == 1 or self._workers == 1:
            return [self._one(point, forgiving, dtype) for point in points]
        with ThreadPoolExecutor(self._workers) as pool:
            return list(pool.map(lambda point: self._one(point, forgiving, dtype), points))

    def _one(self, point: NDArray[Any], forgiving: bool, dtype: Any) -> Any:
        """Evaluate at one point; the array is the function's to keep."""
        argument, kept = self.layout.build(point), point.copy()
        parts = _members(argument)
        value = self._call(argument, kept, forgiving)
        if not np.array_equal(point, kept) or not _same(_members(argument), parts):
            raise self._modified(point, kept)
        if self.layout.is_foreign and not self.layout.kept(argument, self.layout.build(kept)):
            raise InputError("f modifies its argument in place; let it work on a copy (x = x.clone())")
        if value is FAILED:
            return np.nan
        if isinstance(value, float):
            return value if math.isfinite(value) else self._finite(value, kept, forgiving)
        return self._finite(self._number(value, kept, dtype), kept, forgiving)

    def _number(self, value: Any, point: NDArray[Any], dtype: Any) -> Any:
        """Return a function's value as one number, or complain of what it is."""
        try:
            array = np.asarray(as_numpy(value))
        except Exception:
            array = np.empty(0, dtype=object)
        if array.size != 1 or array.dtype.kind not in ("fiubc" if dtype is np.complex128 else "fiub"):
            hint = "; is its return missing?" if value is None else SEVERAL if array.size > 1 else ""
            raise InputError(f"{self._name} gives {_described(value)} at {self._where(point)}; expected one real number{hint}")
        return array.reshape(()).item()

    def _call(self, argument: Any, kept: NDArray[Any], forgiving: bool) -> Any:
        """Call the function; FAILED for what is forgiven."""
        self.reset()
        try:
            if not forgiving:
                return self._f(argument)
            # Steps are tried from large to small: outside the domain of a logarithm a warning would only confuse.
            with np.errstate(all="ignore"):
                return self._f(argument)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # exit() included: a test that ends with code 0 would count as passed
            failure = InputError(f"{self._name} raises {type(error).__name__}: {error}; at {self._where(kept)}")
            if forgiving and isinstance(error, (ArithmeticError, ValueError)):
                self.failure = self.failure or failure
                return FAILED
            raise failure from error

    def _finite(self, value: Any, point: NDArray[Any], forgiving: bool) -> Any:
        if np.isfinite(value):
            return value
        failure = InputError(
            f"{self._name} gives {value} at {self._where(point)}; a derivative needs finite values there and nearby"
        )
        if not forgiving:
            raise failure
        self.failure = self.failure or failure
        return np.nan

    def _batch(self, points: list[NDArray[Any]], forgiving: bool, dtype: Any) -> list[Any]:
        """Evaluate many points by one call."""
        stacked = np.stack(points)
        kept = stacked.copy()
        argument = self.layout.build_many(stacked)
        parts = _members(argument)
        values = self._call(argument, kept[0], forgiving)
        if not np.array_equal(stacked, kept) or not _same(_members(argument), parts):
            changed = int(np.argmax((stacked != kept).any(axis=1)))
            raise self._modified(stacked[changed], kept[changed])
        if values is FAILED:
            # One point of the batch is outside the domain; which, only single calls tell.
            return [np.nan] if len(points) == 1 else [self._batch([point], True, dtype)[0] for point in kept]
        found = np.asarray(as_numpy(values))
        if found.shape != (len(points),) or found.dtype.kind not in "fiuc":
            raise InputError(
                f"f, batched, gives {_described(values)} for {len(points)} points; expected an array of shape ({len(points)},)"
            )
        if found.dtype.kind == "c" and dtype is not np.complex128:
            raise InputError("f, batched, gives complex numbers; expected real ones")
        numbers = found.astype(dtype)
        for row in np.flatnonzero(~np.isfinite(numbers)).tolist():
            numbers[row] = self._finite(numbers[row], kept[row], forgiving)
        return list(numbers)

    def _in_loop(self, entries: NDArray[np.int64], offsets: Array, forgiving: bool) -> Array:
        """Evaluate a compiled function by its machine code, on all threads."""
        values = np.full(entries.size, np.nan)
        self.evaluations += entries.size
        if self._code is None:  # numba can call the function and yet not hand it over, if an array of one number is returned
            self._compiled = False
        elif self._shape is None:
            compiled.values_at(self._code, self.x[entries] + offsets, values)
        elif not compiled.moved_values(self._code, self.x.reshape(self._shape), entries, offsets, values):
            raise InputError("f modifies its argument and leaves it so; let it work on a copy (x = x.copy())")
        # Where it raised, the function called by itself says what happened.
        missing = np.flatnonzero(~np.isfinite(values))
        for k, point in zip(missing, self._points(entries[missing], offsets[missing]), strict=True):
            values[k] = self._one(point, forgiving, np.float64)
        return values

    @property
    def _shape(self) -> tuple[int, ...] | None:
        """The shape of an array's argument; None for a number."""
        return None if self.layout.kind == "number" else self.layout.shapes[0]

    @cached_property
    def _code(self) -> compiled.Code | None:
        return compiled.code_of(self._f, self._shape)

    def _modified(self, point: NDArray[Any], kept: NDArray[Any]) -> InputError:
        changed = np.flatnonzero(point != kept)
        what = "an array in it is replaced by another"
        if changed.size:
            entry = int(changed[0])
            what = f"{self.layout.label(entry)} was {kept[entry]} and is {point[entry]} after the call"
        return InputError(f"{self._name} modifies its argument: {what}; let it work on a copy (x = x.copy())")

    def _where(self, point: NDArray[Any]) -> str:
        """Name a point: by its numbers if they are few, else by how it differs from x."""
        moved = np.flatnonzero(point != self.x)
        if point.size <= 4:
            return f"x = {point.tolist()[0] if self.layout.kind == 'number' else point.tolist()}"
        if moved.size == 0:
            return "the given x"
        entry = int(moved[0])
        others = "" if moved.size == 1 else f", and {moved.size - 1:,} other entries moved"
        return f"x with {self.layout.label(entry)} = {point[entry]} (given: {self.x[entry]}){others}"


def bounds_of(bounds: Any, layout: Layout, x: Array) -> tuple[Array, Array]:
    """Return the lowest and the highest x as flat vectors.

    Raises
    ------
    InputError
        If bounds are no pair of numbers or of what has the form of x, or if x is outside.
    """
    try:
        lower, upper = (None, None) if bounds is None else bounds
    except (TypeError, ValueError):
        raise InputError("bounds are a pair, the lowest and the highest x; None for no bound") from None
    ends = _bound(lower, -math.inf, layout, "bounds[0]"), _bound(upper, math.inf, layout, "bounds[1]")
    outside = np.flatnonzero((x < ends[0]) | (x > ends[1]))
    if outside.size:
        entry = int(outside[0])
        raise InputError(
            f"{layout.label(entry)} is {x[entry]}, outside of its bounds, {ends[0][entry]} to {ends[1][entry]}; give a point "
            "within"
        )
    return ends


def _bound(value: Any, none: float, layout: Layout, what: str) -> Array:
    if value is None or (np.ndim(value) == 0 and not isinstance(value, Mapping)):
        return np.full(layout.size, none if value is None else bound_number(value, what))
    return layout.flatten(value, what)


def _spread(chosen: NDArray[np.bool_], values: NDArray[Any]) -> NDArray[Any]:
    """Return values at the chosen places, nan elsewhere."""
    spread = np.full((chosen.size, *values.shape[1:]), np.nan)
    spread[chosen] = values
    return spread


def _nothing() -> None:
    """Reset nothing."""


def _members(argument: Any) -> list[Any]:
    """Return what a dict or a list holds, names included, to see whether something was replaced."""
    if isinstance(argument, dict):
        return [item for pair in argument.items() for item in pair]
    return list(argument) if isinstance(argument, list) else []


def _same(ours: list[Any], theirs: list[Any]) -> bool:
    return len(ours) == len(theirs) and all(a is b for a, b in zip(ours, theirs, strict=True))


def _described(value: Any) -> str:
    """Describe what came instead of a number."""
    shape = getattr(value, "shape", None)
    if shape:
        return f"an array of shape {tuple(shape)}"
    text = repr(value)
    return text if len(text) <= 40 else f"something of type {type(value).__name__}"
