"""Directions of random signs over the parameters: which sign stands where, and what comes of multiplying with them.

Called by derivative and directional. A sign is a hash of its place, never stored for more than a few rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from fastgrad.kernels import launch
from fastgrad.kernels.codes import GROUP, GROUPS, LINE, PATTERNS, WORD
from fastgrad.model.forward import growth
from fastgrad.model.network import Array, Network, Tensor
from fastgrad.model.product import SAFE_SUM, norm
from fastgrad.model.stored import StoredMatrix, Tile, tiles

SAMPLES = 32
"""Columns that tables of signed sums are made for at a time; a table holds four times its columns."""
ROWS_OF_W = 2**20
"""Weights, or their signs, that are made at a time."""
SHARED_SIGNS = 2**18
"""Signs from which a second thread saves more than waking it costs: a third of a millisecond's work."""
INCREMENT = 0x9E3779B97F4A7C15
"""Step of the hash's counter."""

_PATTERNS = np.array([[1.0 if p >> b & 1 else -1.0 for b in range(GROUP)] for p in range(PATTERNS)])

Keys = npt.NDArray[np.uint64]


class Region(NamedTuple):
    """A rectangle of a W, or a run of a b (whose columns are 0 to 1); indices from 0, ends excluded."""

    layer: int
    kind: Literal["W", "b"]
    low: int
    high: int
    left: int
    right: int

    @property
    def size(self) -> int:
        """Number of entries."""
        return (self.high - self.low) * (self.right - self.left)

    def halves(self) -> tuple[Region, Region]:
        """Cut it in two, between rows while there are several, then between columns."""
        if self.high - self.low > 1:
            middle = (self.low + self.high) // 2
            return self._replace(high=middle), self._replace(low=middle)
        middle = (self.left + self.right) // 2
        return self._replace(right=middle), self._replace(left=middle)

    def blocks(self) -> Iterator[Region]:
        """Cut it into runs of rows, none of which has more than about `ROWS_OF_W` entries."""
        length = max(1, ROWS_OF_W // self.right)
        for low in range(self.low, self.high, length):
            yield self._replace(low=low, high=min(low + length, self.high))


def whole_tensor(tensor: Tensor) -> Region:
    """Return a tensor as a region."""
    shape = (*tensor.canonical_shape, 1)
    return Region(tensor.layer, tensor.kind, 0, shape[0], 0, shape[1])


def whole_layer(network: Network, layer: int, kind: Literal["W", "b"]) -> Region:
    """Return a layer's W or b as a region."""
    return Region(layer, kind, 0, network.widths[layer + 1], 0, network.widths[layer] if kind == "W" else 1)


def rows_of(network: Network, region: Region, vector: Array) -> Array:
    """Return a view of a region's rows in a vector laid out like theta, all columns; of a b, shape (rows,)."""
    whole = network.W(vector, region.layer) if region.kind == "W" else network.b(vector, region.layer)
    return whole[region.low : region.high]


def pieces_of(network: Network, region: Region, vector: Array) -> Iterator[Array]:
    """Walk through a region's entries of such a vector, some at a time."""
    for here in walks(network, region, vector):
        rows = rows_of(network, here, vector)
        if region.kind == "b":
            yield rows
        else:
            yield from (tile.values for tile in tiles(rows[:, region.left : region.right]))


def walks(network: Network, region: Region, vector: Array) -> Iterator[Region]:
    """Cut a region into runs of rows; a stored vector has tiles of its own."""
    if region.kind == "W" and isinstance(network.W(vector, region.layer), StoredMatrix):
        yield region
    else:
        yield from region.blocks()


@dataclass(frozen=True, eq=False)
class Signs:
    """Some directions U over a network's parameters.

    Attributes
    ----------
    network : Network
        Whose parameters.
    keys : ndarray of uint64, shape (k,)
        One for each direction.
    threads : int
        Threads to use.
    """

    network: Network
    keys: Keys
    threads: int

    @classmethod
    def of_seed(cls, network: Network, directions: int, seed: int, threads: int) -> Signs:
        """Make so many directions from a seed."""
        keys = np.array([direction_key(seed, k) for k in range(directions)], dtype=np.uint64)
        return cls(network, keys, threads)

    def words(self, layer: int, kind: str) -> int:
        """Return the number of words of signs in a row of a tensor; a b is one row."""
        return -(-self.network.widths[layer + (kind == "b")] // WORD)

    def counter(self, layer: int, kind: str) -> int:
        """Return the number of a tensor's first word."""
        widths = self.network.widths
        before = sum(widths[k + 1] * self.words(k, "W") + self.words(k, "b") for k in range(layer))
        return before + (widths[layer + 1] * self.words(layer, "W") if kind == "b" else 0)

    def of(self, direction: int, region: Region) -> Array:
        """Return U over a region, by NumPy alone; shape (rows, columns), of a b (rows,)."""
        key, counter = self.keys[direction], self.counter(region.layer, region.kind)
        if region.kind == "b":
            return _drawn(key, counter, self.words(region.layer, "b"))[region.low : region.high]
        words, rows = self.words(region.layer, "W"), region.high - region.low
        drawn = _drawn(key, counter + region.low * words, rows * words)
        return drawn.reshape(rows, -1)[:, region.left : region.right]

    def products(self, direction: int, region: Region, inputs: Array) -> Array:
        """Return U of a region of W times inputs of shape (c, n_in); shape (c, rows)."""
        first, last = region.left // WORD, -(-region.right // WORD)
        counter, words = self.counter(region.layer, "W"), self.words(region.layer, "W")
        out = np.empty((inputs.shape[0], region.high - region.low))
        for begin in range(0, inputs.shape[0], SAMPLES):
            some = inputs[begin : begin + SAMPLES, region.left : region.right]
            padded = np.zeros(((last - first) * WORD, -(-some.shape[0] // LINE) * LINE))
            padded[region.left - first * WORD :, : some.shape[0]][: some.shape[1]] = some.T
            groups = padded.reshape(-1, GROUP, padded.shape[1])
            table = (_PATTERNS @ groups).reshape(last - first, GROUPS, PATTERNS, padded.shape[1])
            sums = np.zeros((out.shape[1], padded.shape[1]))
            at = counter + first + region.low * words
            key, threads = self.keys[direction], self._threads_for(region.size)
            launch.signed_products(key, at, words, len(table), table.reshape(-1), threads, sums)
            out[begin : begin + SAMPLES] = sums[:, : some.shape[0]].T
        return out

    def sums(self, region: Region, values: Array, of: Callable[[Array], Array] | None = None) -> tuple[Array, float]:
        """Return Σ U∘values of a region along every direction, and the norm of its values, whose rows `rows_of` gives.

        Of what `of` makes of the values, where it is given.
        """
        of = of or (lambda some: some)
        if region.kind == "b":
            values = of(values)
            return np.array([(values * self.of(k, region)).sum() for k in range(self.keys.size)]), norm(values)
        # To look for a unit that no square overflows in takes two passes over all values; few need another than 1.
        unit = 1.0
        for attempt in range(2):
            if attempt:
                unit = _power_near(of(tile.values) for tile in tiles(values))
            by_row, squares = np.zeros((self.keys.size, len(values))), np.zeros(len(values))
            for tile in tiles(values):
                self._add_tile(region, tile._replace(values=of(tile.values)), 1.0 / unit, by_row, squares)
            if SAFE_SUM < squares.sum() < np.inf:
                break
        return by_row.sum(axis=1), unit * float(np.sqrt(squares.sum()))

    def _add_tile(self, region: Region, tile: Tile, unit: float, by_row: Array, squares: Array) -> None:
        """Add the signed sums of a tile's rows, and their squares; a tile of columns begins at a word of signs."""
        words, first = self.words(region.layer, "W"), tile.columns.start
        at = self.counter(region.layer, "W") + (region.low + tile.rows.start) * words + first // WORD
        left, right = max(region.left - first, 0), min(region.right, tile.columns.stop) - first
        if left >= right:
            return
        sums, totals = np.empty((self.keys.size, len(tile.values))), np.empty(len(tile.values))
        values, threads = np.ascontiguousarray(tile.values), self._threads_for(region.size)
        launch.signed_sums(self.keys, at, words, left, right, values, unit, threads, sums, totals)
        by_row[:, tile.rows] += sums
        squares[tile.rows] += totals

    def _threads_for(self, signs: int) -> int:
        """Return the threads to use for so many signs: one where they are too few to share."""
        return 1 if signs < SHARED_SIGNS else self.threads


def sum_growth(region: Region) -> float:
    """Return the rounding of a signed sum of a row, in units of u and of the root sum of its squares.

    Sixteen columns share one addition to the sum; of the claimed gradient 64 partial sums are added up, then rows pairwise:
    both take fewer additions one after the other than columns / 16 + 64.
    """
    return growth((region.right - region.left) // 16 + 64)


def _power_near(pieces: Iterator[Array]) -> float:
    """Return a power of two near the largest entry, 1 where there is none or it is no number."""
    largest = max(max(float(values.max(initial=0.0)), -float(values.min(initial=0.0))) for values in pieces)
    return float(np.exp2(np.ceil(np.log2(largest)))) if 0.0 < largest < np.inf else 1.0


def direction_key(seed: int, direction: int) -> int:
    """Return the key of a direction's signs."""
    return _mixed(_mixed(seed) + direction)


def _mixed(number: int) -> int:
    """Scramble a number as the kernels do, after one step of their counter."""
    return int(_scrambled(np.array([(number + 1) * INCREMENT % 2**64], dtype=np.uint64))[0])


def _scrambled(x: Keys) -> Keys:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _drawn(key: np.uint64, counter: int, words: int) -> Array:
    """Return the signs of so many words."""
    numbers = np.arange(counter, counter + words, dtype=np.uint64)
    scrambled = _scrambled(key + numbers * np.uint64(INCREMENT))
    bits = np.unpackbits(scrambled.astype("<u8").view(np.uint8), bitorder="little")
    return 2.0 * bits.astype(np.float64) - 1.0
