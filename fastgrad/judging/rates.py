"""The number that some values are integers divided by: the learning rate of a step, however many digits it has.

Called by `written`. Every value n_k/η rules out all η but those for which η times it is a whole number; together they leave
one. It is found as the short vector of a lattice.

References
----------
A. K. Lenstra, H. W. Lenstra and L. Lovász, Factoring polynomials with rational coefficients, Math. Ann. 261, 1982; in whole
numbers as in H. Cohen, A Course in Computational Algebraic Number Theory, 1993, algorithm 2.6.7.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from fastgrad.model.network import Array

MOST = 13
"""Values that are looked at. Each tells the digits by which its integer is shorter than a significand: of 48 bits 3 or 4."""
EXTRA = 3
"""Bits to which the quotients of values are taken beyond their own."""
TELLING = 12.0
"""Bits by which the values must tell that they are whole, for a number to be looked at any further."""
LONGEST = 16
"""Digits of a rate."""

Row = list[int]


def common_divisors(values: Array, bits: int) -> list[float]:
    """Return the η of values n_k/η with whole numbers n_k as small as may be, each rounded to so many bits; often none.

    Notes
    -----
    The values are positive and in ascending order. The first of them is q/η, and q·v_k/v_0 is a whole number n_k but for
    n_k·2^(1 − bits) at most, half of that typically. With column k of the lattice multiplied by v_0/v_k these errors are of
    one size, q·2^(−bits), and the vector of the true q is about the shortest. A reduced basis need not hold the shortest: the
    sums and differences of its vectors are looked at as well, and those are left whose η makes all values whole.
    """
    values = values[:MOST]
    if values.size < 2:
        return []
    exact = [abs(Fraction(float(value))) for value in values]
    one = 1 << (bits + EXTRA + int(exact[-1] / exact[0]).bit_length())  # the least weight to more than its own bits
    weights = [round(one * exact[0] / value) for value in exact[1:]]
    basis = [[one >> bits, *(one for _ in weights)]]
    basis += [[0, *(weight * (i == k) for k in range(len(weights)))] for i, weight in enumerate(weights)]
    found = np.array([float(row[0] // basis[0][0]) for row in reduced(basis)])
    several = np.add.outer(found, np.concatenate([found, -found, [0.0]]))
    numbers = np.unique(np.abs(several[several != 0.0])) / float(exact[0])
    whole = numbers[:, None] * values
    off = np.minimum(2.0 ** (3 - bits) * whole, 0.5)  # of numbers that all are whole nothing is told
    fits = (np.abs(whole - np.rint(whole)) <= off).all(axis=1) & (-np.log2(2.0 * off).sum(axis=1) >= TELLING)
    return [_shortest(float(number), 2.0 ** (1 - bits)) for number in numbers[fits]]


def _shortest(number: float, near: float) -> float:
    """Return the shortest decimal that a number is to the last bits."""
    rounded = (float(f"{number:.{digits - 1}e}") for digits in range(1, LONGEST + 1))
    return next((short for short in rounded if abs(short - number) <= near * number), number)


def reduced(basis: Sequence[Row]) -> list[Row]:
    """Return a basis of the same lattice whose first vector is a short one, by exact arithmetic."""
    rows = [list(row) for row in basis]
    dets, dots = _orthogonalized(rows)
    k = 1
    while k < len(rows):
        _shorten(rows, dets, dots, k, k - 1)
        if 4 * dets[k + 1] * dets[k - 1] < 3 * dets[k] ** 2 - 4 * dots[k][k - 1] ** 2:
            _swap(rows, dets, dots, k)
            k = max(1, k - 1)
        else:
            for low in range(k - 2, -1, -1):
                _shorten(rows, dets, dots, k, low)
            k += 1
    return rows


def _orthogonalized(rows: Sequence[Row]) -> tuple[Row, list[Row]]:
    """Return the determinants d_0 = 1, d_1, … of Gram's matrices of the first rows, and d_(j+1)·μ_ij, all whole numbers."""
    dets, dots = [1] + [0] * len(rows), [[0] * len(rows) for _ in rows]
    for i, row in enumerate(rows):
        for j in range(i + 1):
            total = sum(a * b for a, b in zip(row, rows[j], strict=True))
            for p in range(j):
                total = (dets[p + 1] * total - dots[i][p] * dots[j][p]) // dets[p]
            if j < i:
                dots[i][j] = total
            else:
                dets[i + 1] = total
    return dets, dots


def _shorten(rows: list[Row], dets: Row, dots: list[Row], k: int, low: int) -> None:
    """Take the nearest multiple of a row off row k."""
    if 2 * abs(dots[k][low]) <= dets[low + 1]:
        return
    q = (2 * dots[k][low] + dets[low + 1]) // (2 * dets[low + 1])
    rows[k] = [a - q * b for a, b in zip(rows[k], rows[low], strict=True)]
    dots[k][low] -= q * dets[low + 1]
    for i in range(low):
        dots[k][i] -= q * dots[low][i]


def _swap(rows: list[Row], dets: Row, dots: list[Row], k: int) -> None:
    """Exchange row k with the one before it."""
    rows[k - 1], rows[k] = rows[k], rows[k - 1]
    for j in range(k - 1):
        dots[k - 1][j], dots[k][j] = dots[k][j], dots[k - 1][j]
    dot = dots[k][k - 1]
    det = (dets[k - 1] * dets[k + 1] + dot * dot) // dets[k]
    for i in range(k + 1, len(rows)):
        old = dots[i][k]
        dots[i][k] = (dets[k + 1] * dots[i][k - 1] - dot * old) // dets[k]
        dots[i][k - 1] = (det * old + dot * dots[i][k]) // dets[k + 1]
    dets[k] = det
