"""What memory a check of a network takes that is read from disk: stated beforehand, and kept.

Counted are the arrays that are there at the same time; figures of a few rows are left out. `bench/test_outgrown.py` and
`tests/test_stored.py` hold it against the peak of a process.
"""

from __future__ import annotations

from itertools import pairwise

from fastgrad.errors import InputError
from fastgrad.kernels.codes import GROUP, PATTERNS
from fastgrad.machine import available_memory, fits
from fastgrad.model.forward import TABLES
from fastgrad.model.network import Problem
from fastgrad.model.stored import ALIGNED, TILE
from fastgrad.numerical.blocks import Method
from fastgrad.numerical.directional import DIRECTIONS
from fastgrad.numerical.directional.measured import COLUMNS
from fastgrad.numerical.directional.signs import ROWS_OF_W, SAMPLES
from fastgrad.numerical.drawn import TOGETHER

PROCESS = 3 * 10**8
"""Bytes of Python, NumPy and the compiled kernels."""
TILES = 6
"""Tiles that are there at a time: one as it is in its file and as doubles, its squares, their copies while they are made."""
OWN_WALKS, READ_RATE = 10.0, 3e8
"""Walks through a W before the moves of the tensors below it come by, and the numbers read from a disk in a second."""
COPIES = 6
"""Arrays of moves that are there at a time: below and above a layer, their sizes, and what is worked out of them."""


def peak(problem: Problem, method: Method) -> int:
    """Return the bytes that a check of a stored network takes at most, Python included."""
    widths, samples = problem.network.widths, problem.samples
    tile = TILES * max(TILE, max(widths), ALIGNED * max(widths[1:]))
    tables = (TABLES + 4) * samples * sum(widths)
    return PROCESS + 8 * (tables + tile + COPIES * _moves(problem, method))


def _moves(problem: Problem, method: Method) -> int:
    """Return the largest number of moves that are carried at a time, signs that make them included."""
    widths, samples = problem.network.widths, problem.samples
    if method.plan is not None:
        return TOGETHER
    together = min(DIRECTIONS, max(1, COLUMNS // (2 * samples)))
    sums = PATTERNS // GROUP * max(widths) * min(samples, SAMPLES)
    return int(max(2 * together * samples * max(widths), sums, ROWS_OF_W))


def seconds_to_read(problem: Problem) -> float:
    """Estimate the seconds that a check along directions takes to read a stored network, beside its arithmetic.

    Each layer is read some times for itself, and once for each tensor below it.
    """
    sizes = [n_in * n_out for n_in, n_out in pairwise(problem.network.widths)]
    return sum((OWN_WALKS + 2.0 * below) * size for below, size in enumerate(sizes)) / READ_RATE


def require_room(problem: Problem, method: Method) -> None:
    """Raise InputError where a stored network does not leave what its check needs."""
    if problem.is_stored and not fits(needed := peak(problem, method)):
        raise InputError(
            f"a check by method {method.name} that reads from disk takes about {needed / 1e9:,.1f} GB of memory, and "
            f"{available_memory() / 1e9:,.1f} GB may be taken; check fewer examples, or allow more"
        )
