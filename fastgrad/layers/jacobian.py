"""Whether a Jacobian is right: the public `check_jacobian`, for functions of several values.

An evaluation serves all rows. Columns are moved one by one, those of a sparse Jacobian in groups that share no row, and many
columns all at once along random directions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgrad.errors import InputError, quoted
from fastgrad.functions.arguments import Array, Layout, real_number, whole_number
from fastgrad.functions.claim import NEGLIGIBLE, ROUNDINGS, relative_difference
from fastgrad.functions.noise import SINGLE_ROUNDOFF, UNIT_ROUNDOFF, random_signs, scale_of
from fastgrad.functions.report import EntryReport, Verdict
from fastgrad.layers.arguments import described
from fastgrad.layers.calling import guarded
from fastgrad.layers.report import JacobianReport
from fastgrad.layers.vector import Slopes, Vector, slopes_along

MOST_COLUMNS = 2_000
"""Columns, or groups of columns, that are moved one by one; beyond, evaluations for each would take too long."""

DIRECTIONS = 16
"""Random directions for more; along each, every row is held against all of its entries at once."""

ERRORS = 6.0
"""Estimated errors of extrapolation within which a claim is right."""

BLIND = 0.25
"""Share of an entry that may hide in noise before the entry is inconclusive, unless that is negligible."""

SLACK = 1e-6
"""Share of a jump by which one-sided slopes may be off."""

MOST_SINGLE = 256
"""Columns of wrong groups that are looked at one by one."""


def check_jacobian(
    f: Callable[..., Any],
    jacobian: Any,
    x: Any,
    *,
    seed: int | Callable[[], object] = 0,
    tolerance: float = 0.0,
    method: Literal["auto", "columns", "directions"] = "auto",
) -> JacobianReport:
    """Check the Jacobian of a function of several values at a point.

    Parameters
    ----------
    f : callable
        From x to an array of any shape.
    jacobian : callable, or its value
        From x to the Jacobian, or that Jacobian itself: an array with a row for each value of f and a column for each number in
        x, a SciPy sparse matrix of that shape, or, where x is a dict, a dict of arrays with a row for each value.
    x : float, array_like, mapping or sequence
        The point; it is not modified.
    seed : int or callable
        Seed of random directions. A function is called before each call of f, so that what it draws is the same every time.
    tolerance : float
        Share of an entry, of the larger of both values, by which it may be off and is right all the same.
    method : {"auto", "columns", "directions"}
        Columns one by one, those of a sparse matrix in groups without a row in common, or all along random directions; "auto"
        moves up to 2,000 columns or groups one by one.

    Returns
    -------
    JacobianReport
        ``report.passed``, ``print(report)``, ``report.raise_if_wrong()``.

    Raises
    ------
    InputError
        If f or the Jacobian fails, or their shapes do not fit.

    Examples
    --------
    >>> import fastgrad
    >>> import numpy as np
    >>> f = lambda p: np.array([p[0] * p[1], p[0] ** 2, np.sin(p[1])])
    >>> jacobian = lambda p: np.array([[p[1], p[0]], [2 * p[0], 0.0], [0.0, np.cos(p[1])]])
    >>> fastgrad.check_jacobian(f, jacobian, np.array([1.0, 2.0])).passed
    True
    """
    began = time.perf_counter()
    if method not in ("auto", "columns", "directions"):
        raise InputError(f"method is {quoted(method)}; expected auto, columns or directions")
    share = real_number(tolerance, "tolerance")
    if share < 0.0:
        raise InputError(f"tolerance is {quoted(tolerance)}; expected a share of an entry, 0 or more")
    reset = seed if callable(seed) else None
    function = Vector(f, x, reset)
    claim = _claim_of(jacobian, function)
    number = 0 if callable(seed) else whole_number(seed, "seed", 0)
    return _Check(function, claim, share, number, began).report(method)


class _Claim(NamedTuple):
    """A claimed Jacobian, an array or a sparse matrix in columns, and the unit roundoff it was computed with."""

    matrix: Any
    is_sparse: bool
    unit_roundoff: float

    def along(self, directions: Array) -> Array:
        """Return the claimed slopes along directions, shape (directions, rows)."""
        return np.asarray((self.matrix @ directions.T).T)

    def column(self, place: int) -> Array:
        """Return a column."""
        column = self.matrix[:, [place]]
        return np.asarray(column.toarray() if self.is_sparse else column).ravel()


def _claim_of(jacobian: Any, function: Vector) -> _Claim:
    if callable(jacobian) and not _is_sparse(jacobian):
        point = function.x.copy()
        function.reset()
        jacobian = guarded("the Jacobian", lambda value=jacobian: value(function.layout.build(point)))  # type: ignore[misc]
        if not np.array_equal(point, function.x):
            raise InputError("the Jacobian modifies its argument; let it work on a copy (x = x.copy())")
    if jacobian is None:
        raise InputError("the Jacobian is None; its return may be missing")
    single = {np.dtype(np.float32), np.dtype(np.float16)}
    if _is_sparse(jacobian):
        _require_shape(tuple(jacobian.shape), function)
        unit = SINGLE_ROUNDOFF if jacobian.dtype in single else UNIT_ROUNDOFF
        matrix = jacobian.tocsc().astype(np.float64)
        matrix.sum_duplicates()
        return _Claim(matrix, True, unit)
    parts = _parts(jacobian, function.layout)
    unit = SINGLE_ROUNDOFF if any(part.dtype in single for part in parts) else UNIT_ROUNDOFF
    shaped = [_shaped(part, function, shape) for part, shape in zip(parts, _shapes(parts, function.layout), strict=True)]
    matrix = np.hstack(shaped)
    _require_shape(matrix.shape, function)
    return _Claim(matrix, False, unit)


def _is_sparse(value: Any) -> bool:
    return hasattr(value, "tocsc") and hasattr(value, "shape")


def _parts(jacobian: Any, layout: Layout) -> list[NDArray[Any]]:
    """Return the Jacobian as arrays, one for each part of x, or one for all."""
    if isinstance(jacobian, Mapping):
        if layout.kind != "dict" or set(jacobian) != set(layout.names):
            form = f"a dict of {', '.join(map(repr, layout.names))}" if layout.kind == "dict" else "no dict"
            keys = ", ".join(map(repr, jacobian))
            raise InputError(f"the Jacobian has the keys {keys}, and x is {form}; give one array for each part of x")
        jacobian = [jacobian[name] for name in layout.names]
    elif not (isinstance(jacobian, list | tuple) and layout.kind in ("list", "tuple") and len(jacobian) == len(layout.names)):
        jacobian = [jacobian]
    try:
        arrays = [np.asarray(part) for part in jacobian]
    except Exception:
        arrays = [np.array(None)]
    if any(array.dtype.kind not in "fiub" for array in arrays):
        raise InputError(f"the Jacobian is {described(jacobian[0])}; expected an array of real numbers or a sparse matrix")
    return arrays


def _shapes(parts: list[NDArray[Any]], layout: Layout) -> list[tuple[int, ...]]:
    return list(layout.shapes) if len(parts) == len(layout.shapes) else [(layout.size,)]


def _shaped(array: NDArray[Any], function: Vector, shape: tuple[int, ...]) -> Array:
    """Return a part of the Jacobian with a row for each value of f: f's shape and then x's may be its shape as well."""
    rows, columns = function.value.size, int(np.prod(shape, dtype=np.int64))
    full = function.shape + shape
    if array.shape in {full, (rows, columns), (rows, *shape)} or (array.size == rows * columns and 1 in (rows, columns)):
        return array.astype(np.float64).reshape(rows, columns)
    _require_shape(array.shape, function, columns)
    return array.astype(np.float64)


def _require_shape(shape: tuple[int, ...], function: Vector, columns: int | None = None) -> None:
    rows, columns = function.value.size, function.x.size if columns is None else columns
    if shape != (rows, columns):
        hint = "; transpose it" if shape == (columns, rows) else ""
        raise InputError(
            f"the Jacobian has shape {shape}, and f gives {rows} values of {columns} numbers: expected ({rows}, {columns}), a "
            f"row for each value and a column for each number{hint}"
        )


class _Found(NamedTuple):
    """What was found along directions, each of shape (directions, rows)."""

    claimed: Array
    numerical: Array
    bound: Array
    wrong: NDArray[np.bool_]
    open: NDArray[np.bool_]
    kinks: NDArray[np.bool_]
    is_complex: bool


class _Check:
    """A check of a Jacobian."""

    def __init__(self, function: Vector, claim: _Claim, tolerance: float, seed: int, began: float) -> None:
        self._function, self._claim, self._tolerance, self._seed, self._began = function, claim, tolerance, seed, began
        self._scale = scale_of(function.x)

    def report(self, method: str) -> JacobianReport:
        """Choose what is moved, and judge it."""
        groups = self._groups()
        if method == "directions" or (method == "auto" and len(groups) > MOST_COLUMNS):
            return self._along_directions()
        return self._by_columns(groups)

    def _groups(self) -> list[NDArray[np.int64]]:
        """Return groups of columns to be moved together: one by one, or, if sparse, such that share no row."""
        if not self._claim.is_sparse:
            return [np.array([column]) for column in range(self._function.x.size)]
        taken: list[NDArray[np.bool_]] = []
        groups: list[list[int]] = []
        starts, rows = self._claim.matrix.indptr, self._claim.matrix.indices
        for column in range(self._function.x.size):
            own = rows[starts[column] : starts[column + 1]]
            place = next((place for place, used in enumerate(taken) if not used[own].any()), len(groups))
            if place == len(groups):
                taken.append(np.zeros(self._function.value.size, dtype=bool))
                groups.append([])
            taken[place][own] = True
            groups[place].append(column)
        return [np.array(group) for group in groups]

    def _judged(self, directions: Array) -> _Found:
        """Hold the claim against slopes along directions."""
        found = slopes_along(self._function, directions)
        claimed = self._claim.along(directions)
        return _judge(claimed, found, self._rounding(claimed, found, directions), self._tolerance)

    def _rounding(self, claimed: Array, found: Slopes, directions: Array) -> Array:
        """Return how far off a right claim may be by its own rounding: of its terms, and of those that cancel in them."""
        if self._claim.is_sparse:
            terms = np.asarray((abs(self._claim.matrix) @ np.abs(directions).T).T)
        else:
            terms = np.abs(directions) @ np.abs(np.nan_to_num(self._claim.matrix)).T
        size = np.fmax(terms, np.abs(np.nan_to_num(found.value))) + np.abs(self._function.value)
        return np.asarray(ROUNDINGS * self._claim.unit_roundoff * size)

    def _moves(self, groups: list[NDArray[np.int64]]) -> Array:
        directions = np.zeros((len(groups), self._function.x.size))
        for row, group in enumerate(groups):
            directions[row, group] = self._scale[group]
        return directions

    def _by_columns(self, groups: list[NDArray[np.int64]]) -> JacobianReport:
        found = self._judged(self._moves(groups))
        suspects = np.flatnonzero((found.wrong | found.open).any(axis=1)).tolist()
        if not suspects or all(group.size == 1 for group in groups):
            return self._told(found, self._entries(found, [int(group[0]) for group in groups]), "columns", len(groups))
        # Which column of a group is wrong, and whether one has an entry where none is claimed, each by itself tells.
        singles = [np.array([column]) for place in suspects for column in groups[place].tolist()][:MOST_SINGLE]
        entries = self._entries(self._judged(self._moves(singles)), [int(single[0]) for single in singles])
        return self._told(found, entries, "columns", len(groups))

    def _along_directions(self) -> JacobianReport:
        directions = random_signs(self._seed, DIRECTIONS, self._function.x.size) * self._scale
        found = self._judged(directions)
        worst, entries = self._worst(found), []
        for row in np.flatnonzero((found.wrong | found.open).any(axis=0)).tolist():
            verdict: Verdict = "wrong" if found.wrong[:, row].any() else "inconclusive"
            entries.append(_entry(f"row {self._row(row)}", verdict, found, (worst[row], row), 1.0, "along a random direction"))
        return self._told(found, entries, "directions", DIRECTIONS)

    def _worst(self, found: _Found) -> NDArray[np.int64]:
        off = np.abs(found.claimed - found.numerical) / np.maximum(found.bound, np.finfo(np.float64).tiny)
        return np.asarray(np.argmax(np.nan_to_num(off, nan=np.inf, posinf=np.inf), axis=0))

    def _entries(self, found: _Found, columns: list[int]) -> list[EntryReport]:
        """Return the entries that are wrong or inconclusive, the wrong ones first, and those furthest off."""
        entries = []
        for place, row in np.argwhere(found.wrong | found.open).tolist():
            verdict: Verdict = "wrong" if found.wrong[place, row] else "inconclusive"
            reason = "" if verdict == "wrong" else "noise of f hides the entry, or its slope has no limit"
            scale = float(self._scale[columns[place]])
            entries.append(_entry(self._label(row, columns[place]), verdict, found, (place, row), scale, reason))
        return sorted(entries, key=lambda entry: (entry.verdict != "wrong", -_off(entry)))

    def _label(self, row: int, column: int) -> str:
        """Name an entry: "J[3, 1]", or "J[[0, 2], W[1, 0]]" where x or f is no vector."""
        x = self._function.layout
        plain = x.kind in ("number", "array") and len(x.shapes[0]) <= 1
        return f"J[{self._row(row)}, {column if plain else x.label(column)}]"

    def _row(self, row: int) -> str:
        shape = self._function.shape
        return str(row) if len(shape) <= 1 else str([int(place) for place in np.unravel_index(row, shape)])

    def _told(self, found: _Found, entries: list[EntryReport], method: Any, moves: int) -> JacobianReport:
        wrong_rows, open_rows = (np.flatnonzero(which.any(axis=0)) for which in (found.wrong, found.open))
        function = self._function
        return JacobianReport(
            verdict="wrong" if found.wrong.any() else "inconclusive" if found.open.any() else "right",
            shape=(function.value.size, function.x.size),
            wrong=sum(entry.verdict == "wrong" for entry in entries),
            inconclusive=sum(entry.verdict == "inconclusive" for entry in entries),
            kinks=int(np.count_nonzero(found.kinks)),
            wrong_rows=tuple(self._row(int(row)) for row in wrong_rows),
            inconclusive_rows=tuple(self._row(int(row)) for row in open_rows),
            entries=tuple(entries),
            findings=(),
            relative_difference=relative_difference(found.claimed.ravel(), found.numerical.ravel()),
            method=method,
            moves=moves,
            is_sparse=self._claim.is_sparse,
            scheme="complex" if found.is_complex else "extrapolated",
            noise=float(function.noise.max()),
            seed=self._seed,
            evaluations=function.evaluations,
            seconds=time.perf_counter() - self._began,
            tolerance=self._tolerance,
        )


def _entry(name: str, verdict: Verdict, found: _Found, place: tuple[int, int], scale: float, reason: str) -> EntryReport:
    """Return what was found at one place, per unit of x."""
    claimed, numerical, bound = (float(part[place] / scale) for part in (found.claimed, found.numerical, found.bound))
    return EntryReport(name, verdict, claimed, numerical, bound, reason)


def _off(entry: EntryReport) -> float:
    off = abs(entry.claimed - entry.numerical) / max(entry.bound, np.finfo(np.float64).tiny)
    return off if np.isfinite(off) else np.inf


def _judge(claimed: Array, found: Slopes, rounding: Array, tolerance: float) -> _Found:
    """Judge every slope: right within rounding, error and tolerance, and on a kink between the slopes of its sides."""
    with np.errstate(invalid="ignore"):
        bound = rounding + ERRORS * found.error
        size = np.fmax(np.abs(np.nan_to_num(claimed)), np.abs(np.nan_to_num(found.value)))
        lower, upper = np.fmin(found.left, found.right), np.fmax(found.left, found.right)
        slack = SLACK * (upper - lower) + ERRORS * found.doubt + rounding
        on_kink = np.fmax(lower - slack - claimed, claimed - upper - slack)
        beyond = np.where(found.kink, on_kink, np.abs(claimed - found.value) - bound) - tolerance * size
        room = np.fmax(BLIND * size, NEGLIGIBLE * np.fmax(found.swing, size.max(axis=0, initial=0.0)))
        nothing = (claimed == 0.0) & (found.swing == 0.0)
        hidden = ~found.kink & ~nothing & (bound - rounding > room)
        endless = found.unsettled & np.isinf(claimed) & (claimed == found.left) & (claimed == found.right)
        unknown = found.unsettled | np.isnan(found.value)
        wrong = np.isnan(claimed) | (~unknown & ((beyond > 0.0) | ~np.isfinite(claimed)))
        is_open = ~wrong & ~endless & (unknown | hidden)
    return _Found(claimed, found.value, bound, wrong, is_open, found.kink, found.is_complex)
