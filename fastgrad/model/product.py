"""Matrix products that leave the cores free, and root sums of squares that neither overflow nor underflow.

BLAS threads spin for tens of milliseconds after a product they shared, on the cores that kernels need.
"""

from __future__ import annotations

from math import frexp, prod, sqrt
from typing import NamedTuple

import numpy as np

from fastgrad.kernels.launch import fill_squares
from fastgrad.model.network import Array
from fastgrad.model.pieces import SERIAL
from fastgrad.model.stored import Matrix, StoredMatrix, tiles

SMALLEST_SQUARE = 2.0**-500
SAFE_SUM = 2.0**-800
"""A sum of squares above this has lost nothing that counts to underflow."""
SMALL = 4096
"""Numbers up to which NumPy's five passes take less time than one call of a kernel."""
LARGE = 2**28
"""Multiply-adds from which the threads' help is worth their spinning, about 5 ms on one core."""
SQUARES = 2**17
"""Weights squared at a time, 1 MiB, whose squares stay in cache."""


def product(left: Array, right: Matrix, out: Array | None = None) -> Array:
    """left @ right, into `out` where given, cut into pieces that BLAS does not share among threads unless it is large.

    On the 12288-5-5-1 network with 209 examples a shared product made the kernel after it take 67 ms for 44; in pieces it
    took 1.6 ms for 7.9 itself.
    """
    if isinstance(right, StoredMatrix):
        return left @ right
    rows, inner, columns = left.shape[0], left.shape[1], right.shape[1]
    if not SERIAL < rows * inner * columns < LARGE:
        return np.matmul(left, right, out=out)
    result = np.empty((rows, columns)) if out is None else out
    if rows >= columns:
        length = max(1, SERIAL // (inner * columns))
        for low in range(0, rows, length):
            np.matmul(left[low : low + length], right, out=result[low : low + length])
    else:
        length = max(1, SERIAL // (inner * rows))
        for low in range(0, columns, length):
            np.matmul(left, right[:, low : low + length], out=result[:, low : low + length])
    return result


class Squared(NamedTuple):
    """The squares of an array's entries in units of a power of two near the largest, so that none overflows."""

    unit: float
    values: Array

    @property
    def T(self) -> Squared:
        """The same, transposed."""
        return Squared(self.unit, self.values.T)


def squared(a: Array, largest: float | None = None) -> Squared:
    """Square an array; what is not zero stays so, being taken for at least 2⁻²⁵⁰ of the largest entry.

    A product of two such squares then does not underflow, and what is so small beside the rest is not judged on its own.
    The size of the largest entry is found where it is not given.
    """
    if largest is None:
        largest = float(max(a.max(initial=0.0), -a.min(initial=0.0)))
    if not 0.0 < largest < np.inf:
        return Squared(1.0, np.square(a))
    unit = 2.0 ** min(max(frexp(largest)[1], -1022), 1023)  # it and its inverse are normal numbers
    if a.size <= SMALL:
        scaled_down = a * (1.0 / unit)
        values = np.square(scaled_down)
        np.maximum(values, SMALLEST_SQUARE, out=values, where=scaled_down != 0.0)
        return Squared(unit, values)
    values = np.empty(a.shape)
    fill_squares(np.ascontiguousarray(a).reshape(-1), 1.0 / unit, SMALLEST_SQUARE, values.reshape(-1))
    return Squared(unit, values)


def norm(values: Array) -> float:
    """Euclidean norm of small and huge numbers, inf or nan where there is one.

    NumPy's is a BLAS product: of 60,000 numbers it took 2 ms, its threads waiting for each other, where this takes 0.05.
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        total = float(np.square(values).sum())
    if SAFE_SUM < total < np.inf:
        return sqrt(total)
    unit, squares = squared(values)
    return unit * float(np.sqrt(squares.sum()))


def row_norms(matrix: Matrix) -> Array:
    """Euclidean norm of each row, of small and huge numbers too."""
    if isinstance(matrix, StoredMatrix):
        norms = np.zeros(matrix.shape[0])
        for tile in matrix.tiles():
            np.hypot(norms[tile.rows], row_norms(tile.values), out=norms[tile.rows])
        return norms
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        totals: Array = np.einsum("ij,ij->i", matrix, matrix)
    if ((totals > SAFE_SUM) & (totals < np.inf)).all():
        return np.sqrt(totals)
    unit, squares = squared(matrix)
    result: Array = unit * np.sqrt(squares.sum(axis=1))
    return result


def root_product(left: Squared, right: Squared) -> Array:
    """√(left² @ right²): the size of a product's sums where the signs of the terms are random."""
    return scaled(np.sqrt(product(left.values, right.values)), left.unit, right.unit)


def root_product_of(left: Squared, matrix: Matrix, largest: float, *, transposed: bool = False) -> Array:
    """√(left² @ matrix²), or with the matrix transposed, some of its rows at a time; `largest` is its largest size."""
    if isinstance(matrix, StoredMatrix):
        return _root_product_of_tiles(left, matrix, largest, transposed)
    length = max(1, SQUARES // matrix.shape[1])
    result, unit = np.zeros((len(left.values), matrix.shape[not transposed])), 1.0
    for low in range(0, len(matrix), length):
        block = slice(low, min(low + length, len(matrix)))
        unit, squares = squared(matrix[block], largest)
        if transposed:
            product(left.values, squares.T, out=result[:, block])
        else:
            result += product(left.values[:, block], squares)
    return scaled(np.sqrt(result, out=result), left.unit, unit)


def sizes(matrix: Matrix) -> tuple[float, float]:
    """Return the largest size of an entry, and the largest sum of sizes of a row, some rows at a time."""
    largest, sums = 0.0, np.zeros(matrix.shape[0])
    for tile in tiles(matrix):
        rows = sums[tile.rows]
        length = max(1, SQUARES // tile.values.shape[1])
        room = np.empty((min(length, len(rows)), tile.values.shape[1]))
        for low in range(0, len(rows), length):
            size = np.abs(tile.values[low : low + length], out=room[: len(rows) - low])
            largest = max(largest, float(size.max()))
            rows[low : low + length] += size.sum(axis=1)
    return largest, float(sums.max())


def _root_product_of_tiles(left: Squared, matrix: StoredMatrix, largest: float, transposed: bool) -> Array:
    result = np.zeros((len(left.values), matrix.shape[not transposed]))
    for tile in matrix.tiles():
        inner, outer = (tile.columns, tile.rows) if transposed else (tile.rows, tile.columns)
        some = Squared(left.unit, left.values[:, inner])
        np.hypot(result[:, outer], root_product_of(some, tile.values, largest, transposed=transposed), out=result[:, outer])
    return result


def least_squares(columns: Array, target: Array, smallest: float) -> Array | None:
    """Return the multiples of columns that come nearest to a target; None where they, or any number, do not tell.

    LAPACK complains of numbers that are not finite on stdout, where nothing but a report may stand: it never sees them.

    Parameters
    ----------
    columns : ndarray, shape (n, k)
    target : ndarray, shape (n,) or (n, j)
    smallest : float
        Singular values below this share of the largest count as 0; the columns are then dependent.
    """
    if not (np.isfinite(columns).all() and np.isfinite(target).all()):
        return None
    try:
        solution, _, rank, _ = np.linalg.lstsq(columns, target, rcond=smallest)
    except np.linalg.LinAlgError:
        return None
    return np.asarray(solution, dtype=np.float64) if rank == columns.shape[1] and np.isfinite(solution).all() else None


def scaled(values: Array, *units: float) -> Array:
    """Multiply in place by powers of two, one after the other where their product is out of range."""
    factor = prod(units)
    with np.errstate(over="ignore"):
        for unit in (factor,) if 0.0 < factor < np.inf else units:
            values *= unit
    return values
