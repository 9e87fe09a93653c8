"""Where only a part of a tensor is wrong, or nothing explains it: which entries these are, and a map of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastgrad.diagnosis.ground import Truth
from fastgrad.diagnosis.subjects import Explanation, Subject, telling
from fastgrad.model.network import Array

MAP = (10, 60)
"""Most rows and columns of a picture."""
SHADES = " .:+*#@"


def partial_of(tensor: Subject) -> list[Explanation]:
    """Return the row, column or entry that alone is wrong; nothing where more is."""
    wrong = tensor.off(tensor.total) > 1.0
    size, count = wrong.size, int(wrong.sum())
    # What is right says something only where it is not zero anyway, and not the penalty alone.
    allowed = tensor.claim.allowed(tensor.total, tensor.ground.samples)
    right = telling(np.where(wrong, 0.0, tensor.data.values), allowed)
    if count * 2 > size or right < 2:
        return []
    code, other = _place(wrong)
    if code is None:
        return []
    cause = tensor.cause(code, other=other, cost=1.3)
    rest = replace(tensor.claim, values=np.where(wrong, tensor.total.values, tensor.claim.values))
    return [Explanation((cause,), replace(tensor, claim=rest).residual(tensor.total), right, unexplained=count)]


def _place(wrong: Truth) -> tuple[str | None, str | int | None]:
    if wrong.sum() == 1:
        index = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
        return "part.entry", ",".join(str(int(i)) for i in index)
    if wrong.ndim == 2:
        rows, columns = (np.flatnonzero(wrong.any(axis=axis)) for axis in (1, 0))
        if rows.size == 1 and wrong.shape[0] > 1:
            return "part.row", int(rows[0])
        if columns.size == 1 and wrong.shape[1] > 1:
            return "part.column", int(columns[0])
    return None, None


def pattern_of(tensor: Subject, code: str) -> Explanation:
    """Return what is left where nothing explains a claim: which entries are wrong."""
    cause = tensor.cause(code)
    off = tensor.off(tensor.total)
    wrong = off > 1.0
    described = described_entries(wrong, ("unit", "input"))
    lines: tuple[str, ...] = ()
    if wrong.ndim > 1:
        distance = np.abs(tensor.claim.values - tensor.total.values) * wrong
        turned = tensor.claim.tensor.transposed
        lines = picture(distance.T if turned else distance)
        axes = "inputs in rows, units in columns" if turned else "units in rows, inputs in columns"
        described += f"; the map below has {axes}, darker where further off" if lines else ""
    return Explanation((cause,), tensor.residual(tensor.total), 0, found=False, pattern=described, picture=lines)


def picture(distance: Array) -> tuple[str, ...]:
    """Return a coarse map of an array: rows of cells, each as dark as the largest distance in it, blank where it is 0."""
    distance = np.where(np.isfinite(distance), distance, np.nan_to_num(distance, posinf=0.0).max(initial=1.0))
    rows, columns = (np.unique(np.linspace(0, n, most + 1).astype(int)) for n, most in zip(distance.shape, MAP, strict=True))
    cells = np.maximum.reduceat(np.maximum.reduceat(distance, rows[:-1], axis=0), columns[:-1], axis=1)
    largest = float(cells.max(initial=0.0))
    if not largest:
        return ()
    with np.errstate(divide="ignore"):
        shade = np.clip(len(SHADES) - 1 + np.floor(np.log10(cells / largest) * 1.5), 1, len(SHADES) - 1)
    return tuple(
        "".join(SHADES[int(s)] if cell else " " for s, cell in zip(*pair, strict=True))
        for pair in zip(shade, cells, strict=True)
    )


def described_entries(wrong: Truth, nouns: tuple[str, str]) -> str:
    """Say which entries are wrong, by row and column where they are few of them."""
    parts = []
    for axis, noun in enumerate(nouns[: wrong.ndim]):
        lines = np.flatnonzero(wrong.any(axis=tuple(k for k in range(wrong.ndim) if k != axis)))
        if lines.size == wrong.shape[axis]:
            parts.append(f"every {noun}")
        elif lines.size <= 6:
            parts.append(f"{noun}{'s' * (lines.size > 1)} {', '.join(str(int(k)) for k in lines)}")
        else:
            parts.append(f"{lines.size:,} of {wrong.shape[axis]:,} {noun}s")
    return f"{int(wrong.sum()):,} of {wrong.size:,} entries, in {' and '.join(parts)}"
