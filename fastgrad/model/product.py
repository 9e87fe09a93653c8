"""Matrix products, and root sums of squares that neither overflow nor underflow."""

from __future__ import annotations

from math import frexp, prod, sqrt
from typing import NamedTuple

import numpy as np

from fastgrad.kernels.launch import fill_squares, root_sums
from fastgrad.machine import share_pieces
from fastgrad.model.network import Array
from fastgrad.model.pieces import multiply
from fastgrad.model.stored import Matrix, StoredMatrix, tiles

SMALLEST_SQUARE = 2.0**-500
SAFE_SUM = 2.0**-800
"""A sum of squares above this has lost nothing that counts to underflow."""
SMALL = 4096
"""Numbers up to which NumPy's five passes take less time than one call of a kernel."""
SQUARES = 2**17
"""Weights squared at a time, 1 MiB, whose squares stay in cache."""
SHARED_WEIGHTS = 2**20
"""Weights from which a second thread is worth waking: 1 ms on one."""
GROUPS, GROUPED = 8, 2**22
"""Sums that are made side by side, and the most numbers that these are in all."""


def product(left: Array, right: Matrix, out: Array | None = None) -> Array:
    """left @ right, into `out` where given."""
    return left @ right if isinstance(right, StoredMatrix) else multiply(left, right, out)


class Squared(NamedTuple):
    """The squares of an array's entries in units of a power of two near the largest, so that none overflows."""

    unit: float
    values: Array

    @property
    def T(self) -> Squared:
        """The same, transposed."""
        return Squared(self.unit, self.values.T)


def unit_near(largest: float) -> float:
    """Return the power of two in whose units `squared` squares numbers of that size; it and its inverse are normal numbers."""
    return 2.0 ** min(max(frexp(largest)[1], -1022), 1023) if 0.0 < largest < np.inf else 1.0


def squared(a: Array, largest: float | None = None) -> Squared:
    """Square an array; what is not zero stays so, being taken for at least 2⁻²⁵⁰ of the largest entry.

    A product of two such squares then does not underflow, and what is so small beside the rest is not judged on its own.
    The size of the largest entry is found where it is not given.
    """
    if largest is None:
        largest = float(max(a.max(initial=0.0), -a.min(initial=0.0)))
    if not 0.0 < largest < np.inf:
        return Squared(1.0, np.square(a))
    unit = unit_near(largest)
    if a.size <= SMALL:
        scaled_down = a * (1.0 / unit)
        values = np.square(scaled_down)
        np.maximum(values, SMALLEST_SQUARE, out=values, where=scaled_down != 0.0)
        return Squared(unit, values)
    values = np.empty(a.shape)
    fill_squares(np.ascontiguousarray(a).reshape(-1), 1.0 / unit, SMALLEST_SQUARE, values.reshape(-1))
    return Squared(unit, values)


def hypot(left: Array, right: Array) -> Array:
    """√(left² + right²) of arrays of one shape; NumPy's takes 15 ns for each number, the kernel one."""
    if left.size <= SMALL:
        return np.hypot(left, right)
    result = np.empty(left.shape)
    parts = (np.ascontiguousarray(array).reshape(-1) for array in (left, right))
    root_sums(*parts, result.reshape(-1))
    return result


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
    blocks = _blocks(matrix)
    total = _rows_of_product(left.values, matrix, blocks, largest) if transposed else _sum(left.values, matrix, blocks, largest)
    return scaled(np.sqrt(total, out=total), left.unit, squared(matrix[:1], largest).unit)


def _rows_of_product(left: Array, matrix: Array, blocks: list[slice], largest: float) -> Array:
    """Return left @ squaresᵀ, of which each block makes some columns."""
    result = np.empty((len(left), len(matrix)))

    def fill(k: int) -> None:
        product(left, squared(matrix[blocks[k]], largest).values.T, out=result[:, blocks[k]])

    share_pieces(len(blocks), fill, _threads(matrix))
    return result


def _sum(left: Array, matrix: Array, blocks: list[slice], largest: float) -> Array:
    """Return left @ squares, to which each block adds; in groups that follow from the shapes, so that threads change no bit."""
    groups = max(1, min(GROUPS, len(blocks), GROUPED // (len(left) * matrix.shape[1])))
    totals = np.zeros((groups, len(left), matrix.shape[1]))

    def add(group: int) -> None:
        for block in blocks[group::groups]:
            totals[group] += product(left[:, block], squared(matrix[block], largest).values)

    share_pieces(groups, add, _threads(matrix))
    result: Array = totals.sum(axis=0)
    return result


def _blocks(matrix: Array) -> list[slice]:
    """Return runs of rows of which the squares stay in cache."""
    length = max(1, SQUARES // matrix.shape[1])
    return [slice(low, min(low + length, len(matrix))) for low in range(0, len(matrix), length)]


def _threads(matrix: Array) -> int | None:
    return None if matrix.size >= SHARED_WEIGHTS else 1


def sizes(matrix: Matrix) -> tuple[float, float]:
    """Return the largest size of an entry, and the largest sum of sizes of a row, some rows at a time."""
    largest, sums = 0.0, np.zeros(matrix.shape[0])
    for tile in tiles(matrix):
        most, some = _sizes(tile.values)
        largest = max(largest, most)
        sums[tile.rows] += some
    return largest, float(sums.max())


def _sizes(matrix: Array) -> tuple[float, Array]:
    """Return the largest size of an entry, and the sum of sizes of each row."""
    blocks, sums = _blocks(matrix), np.empty(len(matrix))
    largest = np.empty(len(blocks))

    def add(k: int) -> None:
        size = np.abs(matrix[blocks[k]])
        largest[k] = size.max()
        size.sum(axis=1, out=sums[blocks[k]])

    share_pieces(len(blocks), add, _threads(matrix))
    return float(largest.max()), sums


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
