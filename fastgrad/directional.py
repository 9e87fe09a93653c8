"""The method directional: all parameters of a tensor moved at once by random signs, and wrong ones located by halving.

Called by checking. A derivative along a direction of signs U, carried through the network without cancellation, is held
against Σ U∘claimed in units of rounding. Signs are a hash of their place and are never stored for more than a few rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from math import comb, hypot, nan
from typing import Literal, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from fastgrad.backprop import RoundingScale, rounding_scale
from fastgrad.errors import InputError
from fastgrad.forward import UNIT_ROUNDOFF, BasePoint, base_point, growth
from fastgrad.kernels import codes
from fastgrad.kernels import directional as kernels
from fastgrad.network import Array, Network, Problem, Tensor
from fastgrad.numerical import SMALL_MOVE, Progress, Tracker, on_kink, output_unit, range_product, slope_range, thread_count
from fastgrad.product import product, squared
from fastgrad.report import Entry, TensorReport, Verdict
from fastgrad.verdict import LOST, TOLERANCE, UNDERFLOW

DIRECTIONS = 8
"""Directions by default: two wrong entries that cancel are then missed with a probability of 0.4 %."""
FIRST_MOVE = 2.0**-40
"""Largest move of the perturbed pre-activations themselves: leaves room for growth on the way up before a move reaches
`SMALL_MOVE` or half the way to a kink and all has to be done again with a smaller step. Nothing cancels: no digit is lost."""
ATTEMPTS = 6
"""Steps tried; the second has the right size unless moves overflow."""
MOST_LOCATED = 10
"""Wrong entries that are located one by one; beyond as many wrong parts at a time, halving follows the worst alone."""
COLUMNS = 256
"""Moves carried at a time, directions × signs × samples: enough for a matrix product to be fast."""
SAMPLES = 32
"""Columns that tables of signed sums are made for at a time; a table holds four times its columns."""
ROWS_OF_W = 2**20
"""Weights of which positive and negative part, or squares, are made at a time."""
SHARED_SIGNS = 2**18
"""Signs from which a second thread saves more than waking it costs: a third of a millisecond's work."""
WORK_RATE = {"product": 1e10, "signs": 3e9, "prepare": 1.2e9}
"""Multiply-adds of products, signs applied, and multiply-adds before the first, a second and core; for estimates only."""

Keys = npt.NDArray[np.uint64]
State = Literal["right", "at a kink", "not judged", "wrong"]


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


@dataclass(frozen=True, eq=False)
class Measured:
    """A region along some directions, shape (k,) each.

    Attributes
    ----------
    claimed, numerical : ndarray
        Σ U∘claimed and the derivative.
    carried : ndarray
        The derivative without the penalty's.
    doubt : ndarray
        What rounding may make of it.
    allowed : ndarray
        What rounding may make of their difference.
    fine : ndarray
        The same for a claim made in double precision.
    states : list of State
        Right, at a kink, not judged or wrong, along each direction.
    step : float
        Smallest step.
    """

    claimed: Array
    numerical: Array
    carried: Array
    doubt: Array
    allowed: Array
    fine: Array
    states: list[State]
    step: float

    @property
    def wrong(self) -> bool:
        """Whether any direction finds the region wrong."""
        return "wrong" in self.states

    @property
    def excess(self) -> float:
        """Largest difference relative to what is allowed."""
        ratio = np.abs(self.claimed - self.numerical) / self.allowed
        return float(np.max(ratio, where=np.array(self.states) == "wrong", initial=-1.0))


@dataclass(frozen=True, eq=False)
class Setting:
    """A problem made ready for directions.

    Attributes
    ----------
    problem, base, scale
        The network, its forward pass, and how far rounding may move each entry of a gradient.
    keys : ndarray of uint64, shape (k,)
        One for each direction.
    room : list of ndarray, shape (m, n_l)
        How far each pre-activation may move: `SMALL_MOVE`, half the way to the nearest kink.
    kinks : list of ndarray of bool, shape (m, n_l)
        Which sit on a kink.
    slopes : list of tuple of ndarray, shape (m, n_l)
        f′ on the left and on the right.
    norms : list of ndarray, shape (n_l,)
        Euclidean norm of each row of W.
    units : dict
        For each layer and kind a power of two near the largest entry of the claimed gradient.
    threads : int
        Threads to use.
    """

    problem: Problem
    base: BasePoint
    scale: RoundingScale
    keys: Keys
    room: list[Array]
    kinks: list[npt.NDArray[np.bool_]]
    slopes: list[tuple[Array, Array]]
    norms: list[Array]
    units: dict[tuple[int, str], float]
    threads: int

    def words(self, layer: int, kind: str) -> int:
        """Words of signs in a row of a tensor; a b is one row."""
        return -(-self.problem.network.widths[layer + (kind == "b")] // kernels.WORD)

    def counter(self, layer: int, kind: str) -> int:
        """Return the number of a tensor's first word."""
        widths = self.problem.network.widths
        before = sum(widths[k + 1] * self.words(k, "W") + self.words(k, "b") for k in range(layer))
        return before + (widths[layer + 1] * self.words(layer, "W") if kind == "b" else 0)


@dataclass(frozen=True, eq=False)
class Directional:
    """What directions found.

    Attributes
    ----------
    tensors : tuple of TensorReport
        In theta's order; `wrong` counts the entries located.
    relative_difference : float
        Over all judged tensors.
    directions, seed : int
        Number of directions, and what their signs were made from.
    base : BasePoint
        The forward pass at theta.
    step_range : tuple of float
        Smallest and largest step.
    kinked_samples : int
        Samples with a pre-activation on a kink.
    method, step, scheme, selected
        As of `numerical.Numerical`.
    """

    tensors: tuple[TensorReport, ...]
    relative_difference: float
    directions: int
    seed: int
    base: BasePoint
    step_range: tuple[float, float]
    kinked_samples: int
    method: str = "directional"
    step: None = None
    scheme: str = "central"
    selected: None = None


def chance_of_missing(entries: int, directions: int) -> float:
    """Probability that so many wrong entries, all equally far off, cancel along every direction.

    Notes
    -----
    (C(k, k/2) / 2^k)^n for an even number k, 0 for an odd one. For entries of different size it is the largest that the
    probability of falling below the smallest of them can be.

    References
    ----------
    P. Erdős, On a lemma of Littlewood and Offord, Bull. Amer. Math. Soc. 51, 1945.
    """
    return 0.0 if entries % 2 else float((comb(entries, entries // 2) / 2**entries) ** directions)


def check_directions(
    problem: Problem,
    *,
    directions: int = DIRECTIONS,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Directional:
    """Hold the claimed gradient against derivatives along random directions, tensor by tensor and all at once.

    Parameters
    ----------
    problem : Problem
        With its claimed gradient.
    directions : int
        How many.
    seed : int
        Of the signs.
    threads : int, optional
        Threads to use; by default all that numba has.
    progress : callable, optional
        Called with (parameters done, parameters in all).

    Returns
    -------
    Directional
        Tensors, right or wrong, and the wrong entries.

    Raises
    ------
    InputError
        If an argument cannot be used, the loss overflows, or the derivative along all parameters is not the sum of the
        derivatives along the tensors: then nothing can be said of the gradient.
    """
    _require_whole("directions", directions, 1)
    _require_whole("seed", seed, 0)
    with thread_count(threads) as used, np.errstate(all="ignore"):
        setting = prepare(problem, int(directions), seed, used)
        tracker = Tracker(progress, problem.network.size)
        reports, measured = [], []
        for tensor in problem.tensors:
            region = whole_tensor(problem, tensor)
            found = measure(setting, region)
            measured.append(found)
            reports.append(_report(setting, tensor, region, found))
            tracker.advance(tensor.size)
        _audit(setting, measured)
    judged = [found for found, report in zip(measured, reports, strict=True) if report.checked]
    steps = [found.step for found in measured]
    return Directional(
        tuple(reports),
        _relative([np.array([f.claimed for f in judged]), np.array([f.numerical for f in judged])]) if judged else nan,
        int(directions),
        seed,
        setting.base,
        (min(steps), max(steps)),
        int(np.concatenate(setting.kinks, axis=1).any(axis=1).sum()),
    )


@cache
def load_kernels() -> None:
    """Load, or compile, what directions run, so that no measured time contains it."""
    network = Network((1, 1), ("identity",), "squared_error", "mean", (True,))
    one = np.ones((1, 1))
    W = Tensor("W", 0, "W", 0, 1, (1, 1), (1, 1), False, "dW", "float64")
    b = Tensor("b", 0, "b", 1, 2, (1,), (1,), False, "db", "float64")
    check_directions(Problem(network, np.ones(2), one, one, (W, b), np.zeros(2), None), directions=1, threads=1)


def _require_whole(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise InputError(f"{name} must be a whole number of at least {least}, found {value!r}")


def prepare(problem: Problem, directions: int, seed: int, threads: int) -> Setting:
    """Run the forward pass and tabulate what all directions share."""
    base = base_point(problem)
    if not np.isfinite(base.loss):
        raise InputError(f"the loss of this network is {base.loss}: its outputs overflow, there is no gradient to check")
    network = problem.network
    every = np.arange(problem.samples)
    kinks = [on_kink(problem, base, layer) for layer in range(network.depth)]
    room = [
        np.minimum(SMALL_MOVE, np.where(kinks[layer], np.inf, 0.5 * base.plane(codes.KINK, layer)))
        for layer in range(network.depth)
    ]
    slopes = [
        slope_range(problem, base, layer, every) if kinks[layer].any() else (base.plane(codes.SLOPE, layer),) * 2
        for layer in range(network.depth)
    ]
    norms = [np.sqrt(np.einsum("ij,ij->i", W, W)) for W in (network.W(problem.theta, k) for k in range(network.depth))]
    keys = np.array([direction_key(seed, k) for k in range(directions)], dtype=np.uint64)
    assert problem.claimed is not None
    units: dict[tuple[int, str], float] = {
        (tensor.layer, tensor.kind): _unit(problem.claimed[tensor.start : tensor.stop]) for tensor in problem.tensors
    }
    return Setting(problem, base, rounding_scale(problem, base), keys, room, kinks, slopes, norms, units, threads)


def direction_key(seed: int, direction: int) -> int:
    """Return the key of a direction's signs."""
    return _mixed(_mixed(seed) + direction)


def _mixed(number: int) -> int:
    """Scramble a number as the kernels do, after one step of their counter."""
    x = np.array([(number + 1) * 0x9E3779B97F4A7C15 % 2**64], dtype=np.uint64)
    return int(_scrambled(x)[0])


def _scrambled(x: Keys) -> Keys:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def signs(key: int, counter: int, count: int) -> Array:
    """Return the first so many signs from a word on."""
    numbers = np.arange(counter, counter - (-count // kernels.WORD), dtype=np.uint64)
    words = _scrambled(np.uint64(key) + numbers * np.uint64(0x9E3779B97F4A7C15))
    bits = np.unpackbits(words.astype("<u8").view(np.uint8), bitorder="little")[:count]
    return np.where(bits, 1.0, -1.0)


def whole_tensor(problem: Problem, tensor: Tensor) -> Region:
    """Return a tensor as a region."""
    shape = (*tensor.canonical_shape, 1)
    return Region(tensor.layer, tensor.kind, 0, shape[0], 0, shape[1])


# Along one direction: first moves, the way up, the loss.


@dataclass(eq=False)
class _Carried:
    """What the moves of k directions come to: their steps, the rounding and excess collected on the way, shape (k,)."""

    steps: Array
    variance: Array
    excess: Array
    parts: Array = field(default_factory=lambda: np.empty(0))

    @property
    def derivative(self) -> Array:
        """The central difference, shape (k,)."""
        values: Array = self.parts.sum(axis=0)
        return values


Push = Callable[[int, Array], Array]


def _carry(
    setting: Setting, layer: int, low: int, first: Array, error: Array, convention: int | None, push: Push | None
) -> _Carried:
    """Carry moves of a layer's pre-activations to the loss, with a step for each direction.

    Parameters
    ----------
    setting : Setting
        The network.
    layer, low : int
        The layer, and the first of its units that move.
    first : ndarray, shape (k, m, r)
        How its pre-activations move for a step of 1.
    error : ndarray, shape (k, m)
        What rounding those moves may have, in units of u.
    convention : {None, 0, 1}
        What a unit on a kink has for a slope: the mean of the left and the right one, the left one, the right one.
    push : callable, optional
        Gives what the parameters of a layer above add to its moves.
    """
    largest = np.abs(first).max(axis=(1, 2), initial=0.0)
    steps = np.exp2(np.floor(np.log2(FIRST_MOVE / np.where(largest > 0.0, largest, 1.0))))
    for _ in range(ATTEMPTS):
        carried = _Carried(steps, np.zeros(steps.size), np.zeros(steps.size))
        _climb(setting, carried, layer, low, first, error, convention, push)
        if (carried.excess <= 1.0).all():
            return carried
        steps = steps * np.exp2(-np.ceil(np.log2(np.maximum(carried.excess, 1.0))))
    carried.variance[:] = np.inf
    return carried


def _climb(
    setting: Setting,
    carried: _Carried,
    layer: int,
    low: int,
    first: Array,
    error: Array,
    convention: int | None,
    push: Push | None,
) -> None:
    """Carry +h and −h to the loss once, with the steps that `carried` has."""
    network = setting.problem.network
    h = np.stack([carried.steps, -carried.steps])[:, :, None, None]
    moves, high = h * first, low + first.shape[2]
    _note(setting, carried, layer, low, high, moves, carried.steps[:, None, None] * error[:, :, None])
    for here in range(layer, network.depth):
        if here > layer:
            W = network.W(setting.problem.theta, here)[:, low:high]
            norms = setting.norms[here] if W.shape[1] == network.widths[here] else np.sqrt(np.einsum("ij,ij->i", W, W))
            inputs = moves.reshape(-1, moves.shape[-1])
            largest = np.abs(moves[0]).max(axis=2, keepdims=True)
            moves = product(inputs, W.T).reshape(*moves.shape[:3], -1)
            if push is not None:
                moves += h * push(here, inputs)
            low, high = 0, network.widths[here + 1]
            rounding = growth(W.shape[1]) * (norms * largest + np.abs(moves[0]))
            _note(setting, carried, here, low, high, moves, rounding)
        moves = _activated(setting, here, low, high, moves, convention)
    bound = SMALL_MOVE * output_unit(setting.base)
    np.maximum(carried.excess, np.abs(moves).max(axis=(0, 2, 3)) / bound, out=carried.excess)
    carried.parts = _loss_parts(setting, low, moves, carried.steps)


def _note(setting: Setting, carried: _Carried, layer: int, low: int, high: int, moves: Array, rounding: Array) -> None:
    """Collect how much moves exceed their room, and Σ δ²e²: what rounding e of the moves of z does to the derivative."""
    delta = setting.scale.delta[layer]
    relative = (np.abs(moves) / setting.room[layer][:, low:high]).max(axis=(0, 2, 3), initial=0.0)
    np.maximum(carried.excess, relative, out=carried.excess)
    relative_error = rounding / carried.steps[:, None, None]
    carried.variance += delta.unit**2 * np.einsum("si,ksi->k", delta.values[:, low:high], relative_error**2)


def _activated(setting: Setting, layer: int, low: int, high: int, moves: Array, convention: int | None) -> Array:
    """Turn moves of z into moves of f(z): two Taylor terms, on a kink a line.

    From a kink, +h and −h move along two lines; what is odd in h, all that a central difference sees of a small step, is
    their mean.
    """
    f1, f2 = (setting.base.plane(plane, layer)[:, low:high] for plane in (codes.SLOPE, codes.CURVATURE))
    result: Array = moves * (f1 + moves * f2)
    kinks = setting.kinks[layer][:, low:high]
    if kinks.any():
        left, right = (side[:, low:high] for side in setting.slopes[layer])
        slope = 0.5 * (left + right) if convention is None else (left, right)[convention]
        result = np.where(kinks, moves * slope, result)
    return result


def _loss_parts(setting: Setting, low: int, moves: Array, steps: Array) -> Array:
    """Central differences of each sample's loss, shape (m, k)."""
    tables, width = setting.base.tables, setting.base.tables.outputs.shape[2]
    samples, columns = moves.shape[2], moves.shape[0] * moves.shape[1]
    work = np.zeros((samples, width + 2, columns))
    work[:, low : low + moves.shape[3]] = moves.reshape(columns, samples, -1).transpose(1, 2, 0)
    total = np.empty((samples, columns))
    kernels.loss_moves(tables.outputs, tables.top, tables.loss_code, tables.factor, work, total)
    forward, backward = total[:, : steps.size], total[:, steps.size :]
    return (forward - backward) / (2.0 * steps)


# First moves: signs times inputs.

_PATTERNS = np.array([[1.0 if p >> b & 1 else -1.0 for b in range(kernels.GROUP)] for p in range(kernels.PATTERNS)])


def _signed_products(setting: Setting, direction: int, region: Region, inputs: Array) -> Array:
    """U of a region of W times inputs of shape (c, n_in); shape (c, rows)."""
    first, last = region.left // kernels.WORD, -(-region.right // kernels.WORD)
    counter, words = setting.counter(region.layer, "W"), setting.words(region.layer, "W")
    out = np.empty((inputs.shape[0], region.high - region.low))
    for begin in range(0, inputs.shape[0], SAMPLES):
        some = inputs[begin : begin + SAMPLES, region.left : region.right]
        padded = np.zeros(((last - first) * kernels.WORD, some.shape[0]))
        padded[region.left - first * kernels.WORD :][: some.shape[1]] = some.T
        groups = padded.reshape(-1, kernels.GROUP, some.shape[0])
        table = (_PATTERNS @ groups).reshape(last - first, kernels.GROUPS, kernels.PATTERNS, some.shape[0])
        sums = np.zeros((out.shape[1], some.shape[0]))
        key = setting.keys[direction]
        address = kernels.product_rows.address
        kernels.signed_products(
            address, key, counter, words, first, region.low, len(table), table.reshape(-1), len(sums), sums.reshape(-1),
            _chunks(setting, region.size),
        )  # fmt: skip
        out[begin : begin + SAMPLES] = sums.T
    return out


def _chunks(setting: Setting, signs: int) -> int:
    """Return the number of pieces that rows of signs are shared out in, and set numba's threads for them."""
    small = signs < SHARED_SIGNS
    numba.set_num_threads(1 if small else setting.threads)
    return 1 if small else 4 * setting.threads


def _first_moves(setting: Setting, region: Region, directions: range) -> tuple[Array, Array]:
    """Return the moves of z for a step of 1, shape (k, m, r), and their rounding in units of u, shape (k, m)."""
    samples = setting.problem.samples
    if region.kind == "b":
        rows = np.array([_bias_signs(setting, region, k) for k in directions])
        moves = np.repeat(rows[:, None], samples, axis=1)
        return moves, np.zeros((len(directions), samples))
    inputs = setting.base.activations[region.layer]
    moves = np.array([_signed_products(setting, k, region, inputs) for k in directions])
    unit, squares = setting.base.squares[region.layer]
    norms = unit * np.sqrt(squares[:, region.left : region.right].sum(axis=1))
    error = _sum_growth(region) * norms
    return moves, np.tile(error, (len(directions), 1))


def _sum_growth(region: Region) -> float:
    """Return the rounding of a signed sum of a row, in units of u and of the root sum of its squares.

    Sixteen columns share one addition to the sum; of the claimed gradient 64 partial sums are added up, then rows pairwise:
    both take fewer additions one after the other than columns / 16 + 64.
    """
    return growth((region.right - region.left) // 16 + 64)


def _bias_signs(setting: Setting, region: Region, direction: int) -> Array:
    return signs(int(setting.keys[direction]), setting.counter(region.layer, "b"), region.high)[region.low :]


# Signed sums over a region: of the claimed gradient, and of the weights that a penalty takes in.


def _claimed(setting: Setting, region: Region) -> tuple[Array, float]:
    """Σ U∘claimed along every direction, and the norm of the claimed entries."""
    assert setting.problem.claimed is not None
    values = _tensor_of(setting, region, setting.problem.claimed)
    return _signed_sums(setting, region, values, setting.units[region.layer, region.kind])


def _penalized(setting: Setting, region: Region) -> tuple[Array, float]:
    """Σ U∘(penalty's gradient) along every direction, c·w and c·sign(w), and what that may be off, in units of u."""
    l2, l1 = _penalty(setting, region)
    total, error = np.zeros(setting.keys.size), 0.0
    weights = _tensor_of(setting, region, setting.problem.theta)
    if l2:
        sums, norm = _signed_sums(setting, region, weights, _unit(weights))
        total, error = l2 * sums, l2 * norm
    for low, high in _row_blocks(region) if l1 else ():
        here = region._replace(low=low, high=high)
        total += l1 * _signed_sums(setting, here, np.sign(weights[low - region.low : high - region.low]), 1.0)[0]
        error = hypot(error, l1 * float(np.sqrt(here.size)))
    return total, (2.0 + _sum_growth(region)) * error


def _tensor_of(setting: Setting, region: Region, vector: Array) -> Array:
    """View of a region's rows in a vector laid out like theta, all columns; of a b, shape (rows,)."""
    network = setting.problem.network
    whole = network.W(vector, region.layer) if region.kind == "W" else network.b(vector, region.layer)
    return whole[region.low : region.high]


def _row_blocks(region: Region) -> Iterator[tuple[int, int]]:
    length = max(1, ROWS_OF_W // region.right)
    for low in range(region.low, region.high, length):
        yield low, min(low + length, region.high)


def _unit(values: Array) -> float:
    """Return a power of two near the largest entry, 1 where there is none or it is no number."""
    largest = max(float(values.max(initial=0.0)), -float(values.min(initial=0.0)))
    return float(np.exp2(np.ceil(np.log2(largest)))) if 0.0 < largest < np.inf else 1.0


def _signed_sums(setting: Setting, region: Region, values: Array, unit: float) -> tuple[Array, float]:
    """Σ U∘values of a region along every direction, and the norm of its values, of which `unit` is about the largest."""
    if region.kind == "b":
        return np.array([(values * _bias_signs(setting, region, k)).sum() for k in range(setting.keys.size)]), _norm(values)
    by_row, squares = np.empty((setting.keys.size, len(values))), np.empty(len(values))
    kernels.signed_sums(
        kernels.sum_rows.address, setting.keys, setting.counter(region.layer, "W"), setting.words(region.layer, "W"),
        region.low, region.left, region.right, values.shape[1], values.reshape(-1), 1.0 / unit, by_row, squares,
        _chunks(setting, region.size),
    )  # fmt: skip
    return by_row.sum(axis=1), unit * float(np.sqrt(squares.sum()))


def _penalty(setting: Setting, region: Region) -> tuple[float, float]:
    """Coefficients of the penalty on a tensor."""
    network = setting.problem.network
    place = network.weight_slice(region.layer) if region.kind == "W" else network.bias_slice(region.layer)
    return next(((l2, l1) for penalized, l2, l1 in network.penalties if penalized == place), (0.0, 0.0))


def _norm(values: Array) -> float:
    unit, squares = squared(values)
    return unit * float(np.sqrt(squares.sum()))


# Both sides of a region.


def measure(setting: Setting, region: Region) -> Measured:
    """Measure a region along every direction and judge each."""
    claimed, size = _claimed(setting, region)
    pieces = [_numerical(setting, region, directions, None) for directions in _some_directions(setting)]
    derivative = np.concatenate([piece.derivative for piece in pieces])
    penalty, penalty_error = _penalized(setting, region)
    numerical = derivative + penalty
    variance = np.concatenate([piece.variance for piece in pieces])
    own = np.sqrt(variance) + _sum_growth(region) * size + penalty_error
    rounding = _rounding(setting, region, float(np.abs(derivative).max()))
    tensor = _tensor(setting, region)
    tiny = UNDERFLOW[tensor.precision] * np.sqrt(region.size)
    allowed, fine = (
        TOLERANCE * (UNIT_ROUNDOFF[precision] * rounding + UNIT_ROUNDOFF["float64"] * own + tiny)
        for precision in (tensor.precision, "float64")
    )
    off = np.abs(claimed - numerical)
    # Written so that a claim of nan is wrong; where the derivative itself overflowed there is nothing to hold it against.
    known = np.isfinite(numerical) & np.isfinite(allowed)
    states: list[State] = ["wrong" if k else "not judged" for k in known]
    states = ["right" if k and inside else state for k, inside, state in zip(known, off <= allowed, states, strict=True)]
    if "wrong" in states:
        states = _with_kinks(setting, region, pieces, claimed - penalty, allowed, states)
    step = min(float(piece.steps.min()) for piece in pieces)
    doubt = TOLERANCE * UNIT_ROUNDOFF["float64"] * (rounding + np.sqrt(variance))
    return Measured(claimed, numerical, derivative, doubt, allowed, fine, states, step)


def _some_directions(setting: Setting) -> Iterator[range]:
    """Cut the directions into runs that are carried together."""
    length = max(1, COLUMNS // (2 * setting.problem.samples))
    for low in range(0, setting.keys.size, length):
        yield range(low, min(low + length, setting.keys.size))


def _numerical(setting: Setting, region: Region, directions: range, convention: int | None) -> _Carried:
    first, error = _first_moves(setting, region, directions)
    return _carry(setting, region.layer, region.low, first, error, convention, None)


def _tensor(setting: Setting, region: Region) -> Tensor:
    tensors = setting.problem.tensors
    return next(tensor for tensor in tensors if (tensor.layer, tensor.kind) == (region.layer, region.kind))


def _rounding(setting: Setting, region: Region, size: float) -> float:
    """Root of the sum of R² over a region, from the flows that R is made of, never entry by entry.

    Σ_ij Σ_s d_si² a_sj² = Σ_s (Σ_i d_si²)(Σ_j a_sj²). For R's part g·|dW|, `size`, the largest derivative found, stands for
    the norm of dW: its mean square along random signs is just that.
    """
    problem, scale, base = setting.problem, setting.scale, setting.base
    rows, columns = slice(region.low, region.high), slice(region.left, region.right)
    unit, disturbed = scale.disturbed[region.layer]
    spread = disturbed[:, rows].sum(axis=1)
    if region.kind == "b":
        total = unit * float(np.sqrt(spread.sum()))
    else:
        inputs = base.squares[region.layer]
        total = unit * inputs.unit * float(np.sqrt(spread @ inputs.values[:, columns].sum(axis=1)))
        if region.layer:
            delta, error = scale.delta[region.layer], squared(base.a_error[region.layer - 1][:, columns])
            rest = delta.values[:, rows].sum(axis=1) @ error.values.sum(axis=1)
            total = hypot(total, delta.unit * error.unit * float(np.sqrt(rest)))
    l2, l1 = _penalty(setting, region)
    if l2 or l1:
        total += 2.0 * (l2 * _weight_norm(setting, region) + l1 * float(np.sqrt(region.size)))
    return total + growth(problem.samples) * size


def _weight_norm(setting: Setting, region: Region) -> float:
    """Norm of a region's weights."""
    weights, total = _tensor_of(setting, region, setting.problem.theta), 0.0
    if region.kind == "b":
        return _norm(weights)
    for low, high in _row_blocks(region):
        total = hypot(total, _norm(weights[low - region.low : high - region.low, region.left : region.right]))
    return total


# Kinks.


def _with_kinks(
    setting: Setting, region: Region, pieces: list[_Carried], claimed: Array, allowed: Array, states: list[State]
) -> list[State]:
    """Judge what is off again where units sit on kinks, or weights on that of an L1 penalty.

    A backward pass that gives every unit on a kink its left slope, or every one its right, is held against just that, with
    nothing lost. Any other mixture of slopes lies in a range: outside it is wrong, within it is not judged.
    """
    rows = np.flatnonzero(np.concatenate(setting.kinks[region.layer :], axis=1).any(axis=1))
    l1 = _penalty(setting, region)[1]
    zeros = l1 * _zeros(setting, region) if l1 else 0.0
    if not rows.size and not zeros:
        return states
    states, begin = states.copy(), 0
    for directions, piece in zip(_some_directions(setting), pieces, strict=True):
        places = slice(begin, begin + len(directions))
        begin = places.stop
        low, high = piece.derivative - zeros, piece.derivative + zeros
        if rows.size:
            for convention in (0, 1):
                there = _numerical(setting, region, directions, convention).derivative
                for k in np.flatnonzero(np.abs(claimed[places] - there) <= allowed[places]):
                    if states[places.start + k] == "wrong":
                        states[places.start + k] = "at a kink"
            smallest, largest = _kink_range(setting, region, rows, _first_moves(setting, region, directions)[0])
            rest = piece.derivative - piece.parts[rows].sum(axis=0)
            low, high = rest + smallest - zeros, rest + largest + zeros
        within = (claimed[places] >= low - allowed[places]) & (claimed[places] <= high + allowed[places])
        for k in np.flatnonzero(within):
            if states[places.start + k] == "wrong":
                states[places.start + k] = "not judged"
    return states


def _zeros(setting: Setting, region: Region) -> int:
    """Weights of a region that are exactly 0."""
    weights = _tensor_of(setting, region, setting.problem.theta)
    return int(np.count_nonzero((weights if region.kind == "b" else weights[:, region.left : region.right]) == 0.0))


def _kink_range(setting: Setting, region: Region, rows: npt.NDArray[np.int64], first: Array) -> tuple[Array, Array]:
    """Range of some samples' share of the derivative when every unit on a kink takes any slope between its two."""
    network = setting.problem.network
    low, high, begin, end = first[:, rows], first[:, rows], region.low, region.high
    for here in range(region.layer, network.depth):
        if here > region.layer:
            low, high = _range_up(low, high, network.W(setting.problem.theta, here)[:, begin:end])
            begin, end = 0, network.widths[here + 1]
        sides = [side[rows, begin:end] for side in setting.slopes[here]]
        products = [bound * side for bound in (low, high) for side in sides]
        low, high = np.minimum.reduce(products), np.maximum.reduce(products)
    slope = setting.base.tables.outputs[codes.LOSS_SLOPE, rows, begin:end]
    return np.minimum(low * slope, high * slope).sum(axis=(1, 2)), np.maximum(low * slope, high * slope).sum(axis=(1, 2))


def _range_up(low: Array, high: Array, W: Array) -> tuple[Array, Array]:
    """Range of W·Δa, some rows of W at a time."""
    shape, flat_low, flat_high = low.shape[:2], low.reshape(-1, low.shape[2]), high.reshape(-1, low.shape[2])
    length = max(1, ROWS_OF_W // W.shape[1])
    blocks = [range_product(flat_low, flat_high, W[k : k + length].T) for k in range(0, len(W), length)]
    smallest, largest = (np.concatenate(part, axis=1).reshape(*shape, -1) for part in zip(*blocks, strict=True))
    return smallest, largest


# All parameters at once.


def along_everything(setting: Setting, direction: int) -> tuple[float, float]:
    """Return the derivative along a direction of all parameters, no penalty in it, and its own rounding in units of u.

    Notes
    -----
    Δz_l = W_l Δa_{l−1} ± h U_l (a_{l−1} + Δa_{l−1}) ± h u_l, where U_l Δa_{l−1} is of second order in h and leaves the
    central difference as it is.
    """
    network, base = setting.problem.network, setting.base
    first = _pushed(setting, direction, 0, base.activations[0])
    unit, squares = base.squares[0]
    error = growth(network.widths[0] // 16 + 64) * unit * np.sqrt(squares.sum(axis=1))

    def push(layer: int, moves: Array) -> Array:
        a = np.tile(base.activations[layer], (2, 1))
        a += moves
        return _pushed(setting, direction, layer, a).reshape(2, 1, setting.problem.samples, -1)

    carried = _carry(setting, 0, 0, first[None], error[None], None, push)
    return float(carried.derivative[0]), float(np.sqrt(carried.variance[0]))


def _pushed(setting: Setting, direction: int, layer: int, a: Array) -> Array:
    """U·a + u, shape (c, n_out)."""
    network = setting.problem.network
    result = _signed_products(setting, direction, Region(layer, "W", 0, network.widths[layer + 1], 0, network.widths[layer]), a)
    if network.biases[layer]:
        result += _bias_signs(setting, Region(layer, "b", 0, network.widths[layer + 1], 0, 1), direction)
    return result


def _audit(setting: Setting, measured: list[Measured]) -> None:
    """Require that all parameters at once give the sum of what the tensors give, unless kinks make it no sum."""
    if any(kinks.any() for kinks in setting.kinks):
        return
    together, own = along_everything(setting, 0)
    apart = sum(float(found.carried[0]) for found in measured)
    allowed = TOLERANCE * UNIT_ROUNDOFF["float64"] * own + sum(float(found.doubt[0]) for found in measured)
    if not abs(together - apart) <= allowed:
        raise InputError(
            f"fastgrad contradicts itself: the derivative along all parameters is {together!r}, the sum of those along the "
            f"tensors {apart!r}; please report this"
        )


# Verdicts and places.


def _report(setting: Setting, tensor: Tensor, region: Region, found: Measured) -> TensorReport:
    if tensor.gradient_name is None:
        return _tensor_report(tensor, "not judged", nan, 0, (), False, None)
    broken = _not_finite(setting, tensor)
    if broken:
        return _tensor_report(tensor, "wrong", nan, tensor.size, broken, len(broken) == MOST_LOCATED, None)
    verdict = _verdict(setting, region, tensor, found)
    located: tuple[Entry, ...] = ()
    more, ratio = False, None
    if verdict == "wrong":
        ratio = _ratio(found, region)
        located, more = _locate(setting, tensor, region, found, ratio is not None)
    relative = _relative([found.claimed, found.numerical])
    return _tensor_report(tensor, verdict, relative, tensor.size, located, more, ratio)


def _tensor_report(
    tensor: Tensor, verdict: Verdict, relative: float, checked: int, located: tuple[Entry, ...], more: bool, ratio: float | None
) -> TensorReport:
    return TensorReport(
        name=tensor.name,
        gradient_name=tensor.gradient_name,
        shape=tensor.shape,
        verdict=verdict,
        relative_difference=relative,
        checked=checked,
        wrong=len(located),
        worst=located[0] if located else None,
        ratio=ratio,
        tolerance=TOLERANCE,
        located=located,
        more=more,
    )


def _verdict(setting: Setting, region: Region, tensor: Tensor, found: Measured) -> Verdict:
    if found.wrong:
        return "wrong"
    size = setting.scale.size(tensor.layer, tensor.kind)
    typical = max(size * float(np.sqrt(region.size)), float(np.abs(found.numerical).max()))
    if "not judged" in found.states or (size > 0.0 and float(found.allowed.max()) > LOST * typical):
        return "not judged"
    if "at a kink" in found.states:
        return "at a kink"
    coarse = (np.abs(found.claimed - found.numerical) > found.fine).any()
    return "right in float32" if coarse else "right"


def _not_finite(setting: Setting, tensor: Tensor) -> tuple[Entry, ...]:
    """Return the first claimed entries that are no numbers."""
    assert setting.problem.claimed is not None
    claimed = setting.problem.claimed[tensor.start : tensor.stop]
    if np.isfinite(claimed.max()) and np.isfinite(claimed.min()):
        return ()
    places: list[int] = []
    for begin in range(0, claimed.size, ROWS_OF_W):
        places += (begin + np.flatnonzero(~np.isfinite(claimed[begin : begin + ROWS_OF_W]))).tolist()
        if len(places) >= MOST_LOCATED:
            break
    return tuple(_entry(setting, tensor, place) for place in places[:MOST_LOCATED])


def _entry(setting: Setting, tensor: Tensor, offset: int) -> Entry:
    """Return one entry with both values."""
    assert setting.problem.claimed is not None
    row, column = divmod(offset, tensor.canonical_shape[1]) if tensor.kind == "W" else (offset, 0)
    region = Region(tensor.layer, tensor.kind, row, row + 1, column, column + 1)
    derivative = float(_numerical(setting, region, range(1), None).derivative[0])
    sign = signs(int(setting.keys[0]), *_place_of_sign(setting, region))[-1]
    l2, l1 = _penalty(setting, region)
    w = float(setting.problem.theta[tensor.start + offset])
    numerical = sign * derivative + l2 * w + l1 * float(np.sign(w))
    return Entry(tensor.user_index(offset), float(setting.problem.claimed[tensor.start + offset]), numerical)


def _place_of_sign(setting: Setting, region: Region) -> tuple[int, int]:
    """Word at which the row of a single entry begins, and the number of signs up to its own."""
    counter = setting.counter(region.layer, region.kind)
    if region.kind == "b":
        return counter, region.high
    return counter + region.low * setting.words(region.layer, "W"), region.right


def _ratio(found: Measured, region: Region) -> float | None:
    """Return claimed / numerical where it is the same number along every direction, of which it takes two to tell."""
    k = int(np.argmax(np.abs(found.numerical) / found.allowed))
    if found.numerical[k] == 0.0 or (found.numerical.size < 2 and region.size > 1):
        return None
    ratio = float(found.claimed[k] / found.numerical[k])
    bound = 2.0 * max(1.0, abs(ratio)) * found.allowed
    return ratio if (np.abs(found.claimed - ratio * found.numerical) <= bound).all() else None


def _locate(
    setting: Setting, tensor: Tensor, region: Region, found: Measured, only_worst: bool
) -> tuple[tuple[Entry, ...], bool]:
    """Halve a wrong region until single entries are left; return those, worst first, and whether there are more.

    The halves keep the directions' signs, so that what makes the whole wrong makes at least one of them wrong. Where more
    than `MOST_LOCATED` parts are wrong at a time, or a factor is, only the worst is followed.
    """
    parts, single = [(found.excess, region)], list[tuple[float, Region]]()
    while parts:
        halves = [half for _, part in parts if part.size > 1 for half in part.halves()]
        single += [(excess, part) for excess, part in parts if part.size == 1]
        wrong = [(there.excess, half) for half in halves if (there := measure(setting, half)).wrong]
        if len(wrong) + len(single) > MOST_LOCATED:
            only_worst = True
        if only_worst and wrong:
            wrong = [max(wrong)]
        parts = wrong
    width = tensor.canonical_shape[1] if tensor.kind == "W" else 1
    entries = (_entry(setting, tensor, part.low * width + part.left) for _, part in sorted(single, reverse=True))
    return tuple(entries), only_worst or not single


def _relative(sides: list[Array]) -> float:
    """Estimate ‖claimed − numerical‖ / (‖claimed‖ + ‖numerical‖): a norm is the root mean square along random signs."""
    claimed, numerical = sides
    total = _norm(claimed) + _norm(numerical)
    return _norm(claimed - numerical) / total if total else 0.0


def estimate(problem: Problem, directions: int = DIRECTIONS) -> float:
    """Estimate the seconds that a check of a right gradient takes, to within a small factor."""
    widths, samples = problem.network.widths, problem.samples
    work = [a * b for a, b in pairwise(widths)]
    above = sum(number * size for number, size in enumerate(work))
    products = 2.0 * samples * (directions * above + sum(work))
    applied = directions * sum(work) * (1.0 + 0.25 * samples)
    before = sum(work) * (samples + 10.0)
    seconds = products / WORK_RATE["product"] + applied / WORK_RATE["signs"] + before / WORK_RATE["prepare"]
    return float(seconds / numba.get_num_threads())
