"""Differences of products of matrices: (A + δA)(B + δB) - AB = δA·B + (A + δA)·δB, nothing of which cancels.

Called by `moved` and `rules`. A δ has an axis in front, over the moves of a tile; None is a δ of zero.
"""

from __future__ import annotations

from string import ascii_letters
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Delta = Array | None


def matmul(a: Array, da: Delta, b: Array, db: Delta) -> Delta:
    """Return the difference of a matrix product."""
    terms = []
    if da is not None:
        terms.append(_first(da, b))
    if db is not None:
        terms.append(_second(a, db) if da is None else _both(a + da, db))
    return None if not terms else terms[0] if len(terms) == 1 else terms[0] + terms[1]


def _first(da: Array, b: Array) -> Array:
    """Return δA·B: a product for each move, for one of all moves together would wake the threads of a BLAS for little."""
    if b.ndim == 1 or (b.ndim == 2 and da.ndim == 2):
        return np.asarray(da @ b)
    if da.ndim == 2:
        return np.asarray(_behind(da[:, None, :], b.ndim) @ b)[..., 0, :]
    return np.asarray(_behind(da, b.ndim) @ b)


def _second(a: Array, db: Array) -> Array:
    """Return A·δB."""
    if db.ndim == 2:
        if a.ndim == 1:
            return np.asarray(db @ a)
        return np.asarray(np.moveaxis(a @ db.T, -1, 0))
    return np.asarray(a @ db if a.ndim == 1 else a @ _behind(db, a.ndim))


def _both(a: Array, db: Array) -> Array:
    """Return the product where both have the axis of moves."""
    if a.ndim == db.ndim == 2:
        return np.asarray(np.einsum("ti,ti->t", a, db))
    if db.ndim == 2:
        return np.asarray(a @ _behind(db[..., None], a.ndim - 1))[..., 0]
    if a.ndim == 2:
        return np.asarray(_behind(a[:, None, :], db.ndim - 1) @ db)[..., 0, :]
    ndim = max(a.ndim, db.ndim) - 1
    return np.asarray(_behind(a, ndim) @ _behind(db, ndim))


def _behind(delta: Array, ndim: int) -> Array:
    """Put axes of length 1 behind that of the moves until there are so many others."""
    missing = ndim - (delta.ndim - 1)
    return delta.reshape(delta.shape[0], *(1,) * missing, *delta.shape[1:]) if missing > 0 else delta


def einsum(subscripts: str, values: list[Array], deltas: list[Delta]) -> Delta:
    """Return the difference of a sum of products, one factor moved after the other."""
    inputs, output = subscripts.replace(" ", "").split("->")
    names = inputs.split(",")
    hidden = next(letter for letter in ascii_letters if letter not in subscripts)
    factors: list[Any] = list(values)
    found: Delta = None
    for place, delta in enumerate(deltas):
        if delta is None:
            continue
        factors[place] = delta
        lettered = list(names)
        lettered[place] = hidden + names[place]
        term = np.einsum(f"{','.join(lettered)}->{hidden}{output}", *factors, optimize=True)
        found = term if found is None else found + term
        names[place], factors[place] = lettered[place], values[place] + delta
    return found


def explicit(subscripts: str) -> str | None:
    """Return subscripts with what they make: in the order of the alphabet, the letters that stand there once."""
    if "->" in subscripts:
        return subscripts
    if "." in subscripts:
        return None
    letters = subscripts.replace(" ", "").replace(",", "")
    return f"{subscripts}->{''.join(sorted(letter for letter in set(letters) if letters.count(letter) == 1))}"


def letters(ndim: int, start: int = 0) -> list[str]:
    """Return a letter for each axis."""
    return list(ascii_letters[start : start + ndim])
