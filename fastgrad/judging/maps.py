"""Maps of where a wrong gradient is off: cells of entries, and the largest error in each; called by ruling."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import NamedTuple

import numpy as np

from fastgrad.judging.court import Block, Court, held
from fastgrad.judging.verdict import PARALLEL_WORK
from fastgrad.machine import share_pieces
from fastgrad.model.deferred import Raw, width
from fastgrad.model.network import Array, Offsets, Problem, Tensor
from fastgrad.model.rounding import TOLERANCE
from fastgrad.numerical import Numerical
from fastgrad.numerical.kinks import Mask
from fastgrad.report.parts import ErrorMap

MAP = (64, 128)
"""Most rows and columns of a map."""


def error_map(
    problem: Problem, numerical: Numerical, tensor: Tensor, extra: Array | None = None, tolerance: float = TOLERANCE
) -> ErrorMap:
    """Return where a claimed tensor is off; the other arguments and the judgement of each entry as in `judge`."""
    assert tensor.gradient_name is not None
    n_out, n_in = tensor.canonical_shape if tensor.kind == "W" else (tensor.size, 1)
    turned = tensor.transposed or tensor.kind == "b"
    shape = (n_in, n_out) if turned else (n_out, n_in)
    starts = [np.unique(np.linspace(0, n, min(n, most) + 1).astype(np.int64)) for n, most in zip(shape, MAP, strict=True)]
    errors, wrong = np.full([start.size - 1 for start in starts], nan), np.zeros([start.size - 1 for start in starts], bool)
    count, checked, unit = 0, 0, 0.0
    court = Court(problem, numerical, extra, tolerance, numerical.scale)
    for part in _parts_of_map(court, tensor, starts[::-1] if turned else starts):
        np.fmax.at(errors.T if turned else errors, part.cells, part.errors)
        np.logical_or.at(wrong.T if turned else wrong, part.cells, part.wrong)
        count, checked, unit = count + part.amiss, checked + part.checked, max(unit, part.unit)
    unit = unit or 1.0
    shift = 1 if tensor.kind == "W" and tensor.column == 0 else 0
    rows, columns = (start + shift * (axis == (not turned)) for axis, start in enumerate(starts))
    return ErrorMap(
        gradient_name=tensor.gradient_name,
        axes=("", "unit") if tensor.kind == "b" else ("input", "unit") if turned else ("unit", "input"),
        rows=tuple(rows.tolist()),
        columns=tuple(columns.tolist()),
        errors=tuple(map(tuple, (errors / unit).tolist())),
        wrong=tuple(map(tuple, wrong.tolist())),
        unit=unit,
        count=count,
        checked=checked,
    )


class _Part(NamedTuple):
    """What a block tells of a map: its cells by row and column, and what they are to hold of it."""

    cells: tuple[Offsets, Offsets]
    errors: Array
    wrong: Mask
    amiss: int
    checked: int
    unit: float


def _parts_of_map(court: Court, tensor: Tensor, starts: Sequence[Offsets]) -> list[_Part]:
    """Return what each block tells, any thread taking any; `starts` has where cells of rows and of columns of W begin."""
    pieces = list(court.pieces(tensor))
    found: list[_Part | None] = [None] * len(pieces)

    def work(k: int) -> None:
        found[k] = _part_of_map(court.block(pieces[k]), starts)

    court.scale.factors  # noqa: B018  (made here, not by two threads at once)
    share_pieces(len(pieces), work, None if court.problem.samples * tensor.size >= PARALLEL_WORK else 1)
    return [part for part in found if part is not None]


def _part_of_map(block: Block, starts: Sequence[Offsets]) -> _Part:
    off, is_wrong = held(block)
    off = np.where(np.isnan(off), np.inf, off)
    counts = (int(is_wrong.sum()), off.size, float(np.abs(block.nearest).max(initial=0.0)))
    piece = block.piece
    if piece.drawn is not None:
        index = np.divmod(piece.places - piece.tensor.start, width(piece.tensor))
        rows, columns = (np.searchsorted(start, k, side="right") - 1 for start, k in zip(starts, index, strict=True))
        return _Part((rows, columns), off, is_wrong, *counts)
    (rows, tops), (columns, lefts) = (_cells(*pair) for pair in zip(starts, (piece.rows, piece.columns), strict=True))
    height = piece.rows.stop - piece.rows.start
    largest = _reduced(np.maximum, off.reshape(height, -1), tops, lefts)
    some = _reduced(np.logical_or, is_wrong.reshape(height, -1), tops, lefts)
    return _Part((rows[:, None], columns), largest, some, *counts)


def _cells(starts: Offsets, part: slice) -> tuple[Offsets, Offsets]:
    """Return the cells that a run of rows or columns lies in, and where in it they begin."""
    cells = np.arange(np.searchsorted(starts, part.start, side="right") - 1, np.searchsorted(starts, part.stop))
    return cells, np.maximum(starts[cells], part.start) - part.start


def _reduced(function: np.ufunc, values: Array | Mask, tops: Offsets, lefts: Offsets) -> Raw:
    """Reduce a block to its cells: the rows of each at first, which go side by side."""
    bottoms = [*tops[1:], len(values)]
    rows = np.stack([function.reduce(values[top:bottom], axis=0) for top, bottom in zip(tops, bottoms, strict=True)])
    reduced: Raw = function.reduceat(rows, lefts, axis=1)
    return reduced
