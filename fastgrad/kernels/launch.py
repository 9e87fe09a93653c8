"""The kernels by name, and how work is shared out among them; called by whoever calculates. Importing it needs no numba."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from fastgrad.kernels.codes import (
    FEW_OUTPUTS,
    SCRATCH,
    SPACING,
    SQUARED_INPUTS,
    SQUARED_SAMPLES,
    SUMS,
    TILE,
    TOTALS,
    WIDTH,
    WORD,
)
from fastgrad.kernels.kernel import WITHOUT_COMPILATION, Call, Kernel, addresses
from fastgrad.kernels.records import (
    Activation,
    Allowance,
    Examples,
    FirstClaims,
    FirstLayer,
    Forward,
    ParameterRoom,
    Parameters,
    PreactivationRoom,
    Preactivations,
    SignedRows,
    Tables,
)
from fastgrad.kernels.sharing import crew

Array = npt.NDArray[np.float64]
Offsets = npt.NDArray[np.int64]

tabulate_layer = Kernel("tabulate", "layer")
tabulate_loss = Kernel("tabulate", "loss")
tabulate_coupled_loss = Kernel("tabulate", "coupled_loss")
fill_squares = Kernel("squares", "fill_squares")
root_sums = Kernel("squares", "root_sums")
tally_block = Kernel("tally", "block")
first_layer = Kernel("inputs", "forward")
squares_of_some = Kernel("inputs", "squares_of_some")
judge_first_layer = Kernel("inputs", "judge")
parameter_tiles = Kernel("propagate", "parameter_tiles")
preactivation_tiles = Kernel("propagate", "preactivation_tiles")
exact_activation = Kernel("propagate", "exact_activation")
exact_loss = Kernel("propagate", "exact_loss")
exact_single = Kernel("propagate", "exact_single")
losses_of_some = Kernel("textbook", "losses_of_some")
product_rows = Kernel("directional", "product_rows")
sum_rows = Kernel("directional", "sum_rows")
loss_moves = Kernel("directional", "loss_moves")

EVERY_CHECK = (tabulate_loss, tabulate_layer, fill_squares, root_sums, tally_block)
"""Those that a check runs by whatever method."""
FEW_UNITS = (judge_first_layer, squares_of_some, first_layer)
"""Those that it runs besides where few units are above many inputs."""


def share_out(threads: int, prepare: Callable[[int, int], Call]) -> None:
    """Do work cut into pieces: `prepare` is given a piece's number and the number of pieces, and must share no scratch."""
    pieces = 1 if WITHOUT_COMPILATION else threads
    crew.share_out([prepare(piece, pieces) for piece in range(pieces)])


def tabulated_layer(
    activation: Activation, z: Array, a: Array, value_scale: Array, slope_scale: Array, units: Array, low: int, threads: int
) -> None:
    """Fill in what the base point has of a layer.

    Parameters
    ----------
    activation : Activation
        Its formulas.
    z : ndarray, shape (m, n)
        Its pre-activations.
    a, value_scale, slope_scale : ndarray, shape (m, n)
        Out: activations, and what the formulas of f and of f′ round.
    units : ndarray, shape (5, m, units)
        Out: the table of units, of which the layer's begin at `low`.
    low : int
        Where that is.
    threads : int
        Threads to use.
    """

    def prepare(piece: int, pieces: int) -> Call:
        return tabulate_layer.prepare(activation, z, a, value_scale, slope_scale, units, low, *_run(len(z), piece, pieces))

    share_out(threads, prepare)


def pass_over_inputs(inputs: Array, weights: Array, threads: int) -> FirstLayer:
    """Find what is needed of the inputs (m, n_0) of a first layer with few units, in one pass.

    Parameters
    ----------
    inputs : ndarray, shape (m, n_0)
    weights : ndarray, shape (n_1, n_0)
    threads : int
        Threads to use.
    """
    (samples, columns), units = inputs.shape, len(weights)
    largest = np.zeros((threads, columns))
    found = FirstLayer(np.zeros((samples, units)), np.zeros((samples, units)), np.zeros(samples), largest[0])

    def prepare(piece: int, pieces: int) -> Call:
        return first_layer.prepare(inputs, weights, found._replace(largest=largest[piece]), *_run(samples, piece, pieces))

    share_out(threads, prepare)
    return found._replace(largest=largest.max(axis=0))


def sum_weighted_squares(inputs: Array, factors: Array, unit: float, least: float, columns: slice) -> Array:
    """Return Σ_s factor·(unit·x)² of some columns of inputs (m, n_0) for factors (m, n_1), shape (n_1, c).

    What is not zero counts as `least`, squared, at least.
    """
    out, room = np.empty((factors.shape[1], columns.stop - columns.start)), np.empty(SQUARED_INPUTS * SQUARED_SAMPLES)
    squares_of_some(inputs, np.ascontiguousarray(factors), unit, least, columns.start, room, out.reshape(-1), out.shape[1])
    return out


def judged_first_layer(first: FirstClaims, allowance: Allowance, threads: int) -> Array:
    """Judge the weights of the first layer in blocks of columns; return the totals of each, shape (blocks, TOTALS)."""
    units, columns = first.claimed.shape
    blocks = -(-columns // first.width)
    workers = addresses(squares_of_some, tally_block)
    totals, room = np.empty((blocks, TOTALS)), SCRATCH + SQUARED_INPUTS * SQUARED_SAMPLES + 3 * units * first.width

    def prepare(piece: int, pieces: int) -> Call:
        return judge_first_layer.prepare(workers, first, allowance, *_run(blocks, piece, pieces), np.empty(room), totals)

    share_out(threads, prepare)
    return totals


def parameter_differences(
    tables: Tables,
    layer: int,
    inputs: Array,
    steps: Array,
    bounds: Array,
    selected: Offsets,
    tiles: Offsets,
    order: Offsets,
    threads: int,
    values: Array,
) -> None:
    """Central difference quotients for ±step of single parameters of one layer.

    Parameters
    ----------
    tables : Tables
        The base point, with the addresses of the kernels of exact differences.
    layer : int
        The layer, from 0.
    inputs : ndarray, shape (m, n_in)
        The layer's inputs.
    steps : ndarray, shape (n_in + 1,)
        The step of a parameter by its input, a bias's last.
    bounds : ndarray, shape (L + 1,)
        Largest possible change of each layer's z and, last, of the outputs; inf where two Taylor terms are not enough.
    selected : ndarray of int64, shape (p,)
        Parameters, counted from the layer's first weight, ascending.
    tiles : ndarray of int64, shape (t + 1,)
        Where in `selected` each tile begins, and the end; at most `codes.TILE` in one.
    order : ndarray of int64
        Tiles to work through; neighbours should share inputs, which then are in cache.
    threads : int
        Threads to use.
    values : ndarray, shape (p,)
        Out: ((J(θ+h) − J(θ)) − (J(θ−h) − J(θ)))/2h.
    """
    rows = _widest_above(tables, layer)
    plan = Parameters(layer, inputs, steps, bounds, selected, tiles, order)

    def prepare(piece: int, pieces: int) -> Call:
        runs, groups = np.empty((TILE, 4), dtype=np.int64), np.empty((TILE, 3), dtype=np.int64)
        room = ParameterRoom(*_rows_and_units(rows), np.empty(2 * rows), runs, groups)
        return parameter_tiles.prepare(tables, plan, room, *_run(order.size, piece, pieces), values)

    share_out(threads, prepare)


def preactivation_differences(
    tables: Tables,
    layer: int,
    step: float,
    bounds: Array,
    samples: Offsets,
    threads: int,
    values: Array,
) -> None:
    """Central difference quotients for ±step of the single pre-activations of one layer, sample by sample.

    Parameters
    ----------
    tables, layer, bounds, threads
        As in `parameter_differences`.
    step : float
        The step.
    samples : ndarray of int64, shape (p,)
        Samples to take.
    values : ndarray, shape (p, n_l), zero
        Out: as in `parameter_differences`. Units that pass nothing on keep 0.
    """
    # Two layers above the perturbed one, and of the one between them some rows at a time; of the last two, the outputs.
    rows = max(SUMS, _widest_above(tables, min(layer + 1, int(tables.layers.shape[1]) - 2)))
    plan = Preactivations(layer, step, bounds, samples)

    def prepare(piece: int, pieces: int) -> Call:
        changeable, changed = np.empty(values.shape[1], dtype=np.int64), np.empty(TILE, dtype=np.int64)
        room = PreactivationRoom(*_rows_and_units(rows, FEW_OUTPUTS), changeable, changed)
        return preactivation_tiles.prepare(tables, plan, room, piece, pieces, values)

    share_out(threads, prepare)


def textbook_losses(
    network: Forward,
    examples: Examples,
    selected: Offsets,
    step: float,
    threads: int,
    forward: Array,
    backward: Array,
) -> None:
    """Losses at θ ± step of single parameters.

    Parameters
    ----------
    network, examples : Forward, Examples
        What a forward pass takes.
    selected : ndarray of int64, shape (p,)
        Indices into theta.
    step : float
        The step.
    threads : int
        Threads to use.
    forward, backward : ndarray, shape (p,)
        Out: J(θ + step) and J(θ − step), penalty left out.
    """
    room = (2, int(network.layers[WIDTH, 1:].max()), examples.x.shape[1])

    def prepare(piece: int, pieces: int) -> Call:
        return losses_of_some.prepare(network, examples, selected, step, piece, pieces, np.empty(room), forward, backward)

    share_out(threads, prepare)


def signed_products(key: np.uint64, counter: int, words: int, n_words: int, table: Array, threads: int, out: Array) -> None:
    """Add the products of rows of signs with some columns.

    Parameters
    ----------
    key : uint64
        The direction.
    counter, words : int
        The number of the first row's first word to take, and the words in a row.
    n_words : int
        Words to take, w.
    table : ndarray, shape (w · 16 · 16 · c,)
        For each word, group and pattern of four signs: the signed sum of the four columns' values, for c things.
    threads : int
        Threads to use.
    out : ndarray, shape (r, c)
        What is added to, for r rows of signs; c is a multiple of `codes.LINE`.
    """
    rows, width = out.shape

    def prepare(piece: int, pieces: int) -> Call:
        return product_rows.prepare(key, counter, words, n_words, table, width, out.reshape(-1), *_run(rows, piece, pieces))

    share_out(threads, prepare)


def signed_sums(
    keys: npt.NDArray[np.uint64],
    counter: int,
    words: int,
    left: int,
    right: int,
    values: Array,
    unit: float,
    threads: int,
    sums: Array,
    squares: Array,
) -> None:
    """Sum the rows of a matrix with random signs.

    Parameters
    ----------
    keys : ndarray of uint64, shape (k,)
        The directions.
    counter, words : int
        As in `signed_products`.
    left, right : int
        Columns to take.
    values : ndarray, shape (r, n)
        The rows, all columns.
    unit : float
        Inverse of a power of two near the largest entry.
    threads : int
        Threads to use.
    sums : ndarray, shape (k, r)
        Out: Σ ±value over the columns.
    squares : ndarray, shape (r,)
        Out: Σ (unit·value)².
    """
    rows, columns = values.shape
    plan = SignedRows(keys, counter, words, left, right, columns, values.reshape(-1), unit)

    def prepare(piece: int, pieces: int) -> Call:
        block, totals = np.empty(WORD), np.empty((keys.size + 1) * WORD)
        return sum_rows.prepare(plan, sums, squares, block, totals, *_run(rows, piece, pieces))

    share_out(threads, prepare)


def _widest_above(tables: Tables, layer: int) -> int:
    """Return the largest number of units in a layer above one, and at least the two rows that a loss may need.

    For the last layer that is the outputs, which its losses want room for.
    """
    return max(2, int(tables.layers[WIDTH, -1]), *map(int, tables.layers[WIDTH, layer + 2 :]))


def _rows_and_units(rows: int, more: int = 0) -> tuple[Array, Offsets]:
    """Return room for a tile's rows, of two layers of at most so many units and some more, and for lists of the units."""
    return np.empty((2 * rows + 3 + more) * SPACING), np.empty(2 * rows, dtype=np.int64)


def _run(size: int, piece: int, pieces: int) -> tuple[int, int]:
    """Return where a piece of 0 to size − 1 begins and ends."""
    return piece * size // pieces, (piece + 1) * size // pieces
