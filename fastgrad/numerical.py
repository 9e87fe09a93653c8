"""The numerical gradient of a problem: which parameters, which steps, which method, in pieces that report progress.

Called by check. Does not judge: values, and where a kink makes more than one value right, their range.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fastgrad import outputs
from fastgrad.errors import InputError, Interrupted
from fastgrad.forward import BasePoint, base_point, claim_roundoff
from fastgrad.kernels import codes, launch
from fastgrad.kernels.native import addresses, load_together
from fastgrad.machine import most_threads
from fastgrad.network import Array, Network, Offsets, Problem
from fastgrad.product import product

Method = Literal["parameter", "preactivation", "textbook"]
METHODS: tuple[Method, ...] = ("parameter", "preactivation", "textbook")
Scheme = Literal["central", "forward", "five-point"]
SCHEMES: tuple[Scheme, ...] = ("forward", "central", "five-point")
Losses = Callable[[float], tuple[Array, Array]]
"""For a step h the losses of some parameters at θ + h and at θ − h, penalty left out."""
Progress = Callable[[int, int], None]
Mask = npt.NDArray[np.bool_]

SMALL_MOVE = 2.0**-28
"""Largest move of any pre-activation for which two Taylor terms of f give its exact difference in double precision: the
third is δ²·f‴/6f′ relative to the first, and |f‴/6f′| ≤ ⅓ for tanh and ⅙ for sigmoid, so at most 2⁻⁵⁷."""
SMALLEST_STEP_MOVE = 2.0**-560
"""Below this, weights are so large that moves could underflow on the way; the exact differences serve instead."""
ON_KINK = 16.0
"""Multiple of the rounding error of z within which a kink counts as touched: among a million units some reach five times
the typical error, and errors of sums that share terms add up."""
LONGEST = {
    "parameter": launch.parameter_tiles,
    "preactivation": launch.preactivation_tiles,
    "textbook": launch.losses_of_some,
}
"""The kernel of each method that takes longest to compile."""
TEXTBOOK_STEP = 1e-7
"""The courses' step, for --method textbook without --step."""
WORK_RATE = {"parameter": 2e10, "preactivation": 2e10, "textbook": 3e9}
"""Multiply-adds a second and core, for estimates of time only."""
AFFORDABLE_SECONDS = 10.0
"""Estimated time up to which "auto" perturbs every parameter."""
LEAST_OF_A_TENSOR = 20
"""Entries that a sample takes of every tensor, where it is large enough for that."""
PARALLEL_SECONDS = 3e-4
"""Estimated work below which a second thread costs more than it saves, waking it taking 10 µs to some ms on a busy machine."""
PIECE_SECONDS = 0.3
"""Aim of the time of one call of a kernel: progress is shown and Ctrl-C heard between calls."""
EXACT_COST = 20.0
"""How many times the work of two Taylor terms an exact difference may be, in guesses of the first piece's length."""


@dataclass(frozen=True, eq=False)
class Numerical:
    """A numerical gradient.

    Attributes
    ----------
    values : ndarray, shape (P,)
        Central differences in theta's order; nan where a parameter was not selected.
    lower, upper : ndarray, shape (P,), or None
        Where samples sit on kinks, or weights on that of an L1 penalty, the range of values that the slopes between the
        one-sided ones give; else None.
    selected : ndarray of int64, or None
        Indices of the parameters evaluated, ascending; None for all.
    method : {"parameter", "preactivation", "textbook"}
        How it was made.
    step : float or None
        The fixed step; None where each parameter had its own.
    step_range : tuple of float
        Smallest and largest step used.
    kinked_samples : int
        Samples with a pre-activation on a kink.
    base : BasePoint
        The forward pass at theta.
    scheme : {"central", "forward", "five-point"}
        Which difference the values are.
    """

    values: Array
    lower: Array | None
    upper: Array | None
    selected: Offsets | None
    method: Method
    step: float | None
    step_range: tuple[float, float]
    kinked_samples: int
    base: BasePoint
    scheme: Scheme = "central"


def numerical_gradient(
    problem: Problem,
    *,
    method: str = "parameter",
    step: float | None = None,
    scheme: str = "central",
    sample: int | float | str | None = None,
    places: Offsets | None = None,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Numerical:
    """Compute the differences of J: central ones, or with method "textbook" those of another scheme.

    Parameters
    ----------
    problem : Problem
        Network, parameters and data.
    method : {"auto", "parameter", "preactivation", "textbook"}
        "parameter" perturbs every parameter and propagates the difference; "preactivation" perturbs every pre-activation
        of every sample, from which dW and db follow, z being linear in both; "textbook" runs two whole forward passes for
        every parameter; "auto" is "parameter" while that takes some ten seconds, else "preactivation".
    step : float, optional
        The same step for all that is perturbed. By default each has its own, so small that truncation is below rounding;
        "textbook" takes 1e-7.
    scheme : {"central", "forward", "five-point"}
        The difference of method "textbook"; the other methods know the central one only.
    sample : int, float or str, optional
        How many parameters to evaluate: 500, or "5%" of them; drawn without replacement, stratified by tensor.
    places : ndarray of int64, optional
        Which parameters to evaluate, in place of a sample: indices into theta, ascending.
    seed : int
        Seed of the draw.
    threads : int, optional
        Threads to use; by default all there are.
    progress : callable, optional
        Called with (parameters done, parameters in all).

    Returns
    -------
    Numerical
        Values and steps.

    Raises
    ------
    InputError
        If an argument cannot be used.
    Interrupted
        On Ctrl-C, with the Numerical of the parameters that were finished, if there are any.

    Notes
    -----
    ====================  ============================================================  ==========
    forward               (J(θ + h) − J(θ))/h                                           error O(h)
    central               (J(θ + h) − J(θ − h))/2h                                      O(h²)
    five-point            (8(J(θ + h) − J(θ − h)) − (J(θ + 2h) − J(θ − 2h)))/12h        O(h⁴)
    ====================  ============================================================  ==========
    """
    chosen = choose_method(problem, method, sample)
    rule = _choose_scheme(scheme, chosen)
    if step is not None:
        require("step", step, float, "a positive number", lambda h: np.isfinite(h) and h > 0)
    require("seed", seed, int, "a whole number of at least 0", lambda number: number >= 0)
    selected = select(problem, sample, seed) if places is None else places
    used = thread_count(threads)
    with (
        np.errstate(over="ignore", under="ignore", invalid="ignore"),
        Tracker(progress, problem.network.size if selected is None else selected.size) as tracker,
    ):
        base = base_point(problem)
        if not np.isfinite(base.loss):
            raise InputError(
                f"the loss of this network is {base.loss}: its outputs overflow double precision, there is no gradient to check"
            )
        if chosen == "textbook":
            found = _textbook(problem, base, selected, step or TEXTBOOK_STEP, rule, used, tracker)
        else:
            found = _propagated(problem, base, chosen, selected, step, used, tracker)
    if tracker.interrupted:
        raise _interruption(found)
    if found.step is not None and not np.isfinite(found.values if selected is None else found.values[selected]).all():
        raise InputError(
            f"with a step of {found.step:g} the loss is no number at some perturbed parameter (its logarithm of an output, or "
            "an overflow); take a smaller step, or method parameter without one"
        )
    return found


def _interruption(found: Numerical) -> KeyboardInterrupt:
    """Return what to raise after Ctrl-C: parameters that have no value were not finished."""
    finished: Offsets = np.flatnonzero(~np.isnan(found.values))
    return Interrupted(replace(found, selected=finished)) if finished.size else KeyboardInterrupt()


@cache
def load_kernels(method: Method) -> None:
    """Load, or compile, what a method runs, so that no measured time contains it."""
    load_together(LONGEST[method], launch.tabulate_loss, launch.tabulate_layer, launch.fill_squares)
    network = Network((1, 1), ("identity",), "squared_error", "mean", (True,))
    one = np.ones((1, 1))
    numerical_gradient(Problem(network, np.ones(2), one, one, (), None, None), method=method, threads=1)


def choose_method(problem: Problem, method: str, sample: int | float | str | None = None) -> Method:
    """Return the method meant, deciding for "auto" by the estimated time, or raise InputError."""
    if method == "auto":
        share = 1.0 if sample is None else sample_size(sample, problem.network.size) / problem.network.size
        return "parameter" if estimate(problem, "parameter", share) <= AFFORDABLE_SECONDS else "preactivation"
    for known in METHODS:
        if method == known:
            return known
    raise InputError(f"method must be one of auto, {', '.join(METHODS)}; found {method!r}")


def _choose_scheme(scheme: str, method: Method) -> Scheme:
    """Return the scheme meant, or raise InputError where there is none of that name or the method does not know it."""
    for known in SCHEMES:
        if scheme == known:
            if known != "central" and method != "textbook":
                raise InputError(
                    f"scheme {known} is for method textbook; method {method} forms central differences only. "
                    'Give method="textbook" (--method textbook) with it'
                )
            return known
    raise InputError(f"scheme must be one of {', '.join(SCHEMES)}; found {scheme!r}")


def estimate(problem: Problem, method: Method, share: float = 1.0) -> float:
    """Estimate the seconds a method takes for all parameters, or for a share of them, to within a small factor."""
    if method == "preactivation":
        share = 1.0
    network = problem.network
    work = 0.0
    for layer in range(network.depth):
        perturbed = network.widths[layer + 1] * (1 if method == "preactivation" else network.widths[layer] + 1)
        work += perturbed * (forward_work(problem) if method == "textbook" else _above(problem, layer))
    return float(2.0 * share * work * problem.samples / (WORK_RATE[method] * most_threads()))


def require(name: str, value: object, kind: type, meaning: str, holds: Callable[[Any], bool]) -> None:
    """Refuse an argument that is not of its kind; a whole number will do for any number, a truth value for none."""
    kinds = (int, np.integer) if kind is int else (int, float, np.integer, np.floating)
    if isinstance(value, bool) or not isinstance(value, kinds) or not holds(value):
        raise InputError(f"{name} must be {meaning}, found {value!r}")


def select(problem: Problem, sample: int | float | str | None, seed: int) -> Offsets | None:
    """Draw parameters without replacement, some of every tensor, small ones whole, the rest by size; None means all."""
    total = problem.network.size
    wanted = total if sample is None else sample_size(sample, total)
    if wanted >= total:
        return None
    rng = np.random.default_rng(seed)
    sizes = np.array([tensor.size for tensor in problem.tensors])
    counts = np.minimum(sizes, min(LEAST_OF_A_TENSOR, wanted // sizes.size))
    rest = sizes - counts
    counts += (rest * ((wanted - counts.sum()) / rest.sum())).astype(np.int64)
    for largest in np.argsort(-sizes, kind="stable"):
        counts[largest] += min(sizes[largest] - counts[largest], wanted - counts.sum())
    drawn = [
        tensor.start + np.sort(rng.choice(tensor.size, count, replace=False))
        for tensor, count in zip(problem.tensors, counts, strict=True)
    ]
    return np.sort(np.concatenate(drawn)).astype(np.int64)


def sample_size(sample: int | float | str, total: int) -> int:
    """Read "500", 500, "5%" as a number of parameters, or raise InputError."""
    text = str(sample).strip()
    try:
        number = float(text.removesuffix("%")) * (total / 100.0 if text.endswith("%") else 1.0)
    except ValueError:
        number = float("nan")
    if not (np.isfinite(number) and number > 0) or (not text.endswith("%") and number != int(number)):
        raise InputError(f"sample must be a whole number of parameters or a share such as 5%, found {text!r}")
    return max(1, min(total, int(np.ceil(number))))


def thread_count(threads: int | None) -> int:
    """Return the threads meant, all where none are said, or raise InputError."""
    most = most_threads()
    if threads is not None:
        require("threads", threads, int, f"a whole number from 1 to {most} on this machine", lambda n: 1 <= n <= most)
    return threads or most


class Tracker:
    """Counts parameters done, passes the count on, cuts work into pieces, and hears Ctrl-C between them.

    Within the context the first Ctrl-C is only noted, so that it stops nothing halfway; a second one acts as ever.
    """

    def __init__(self, progress: Progress | None, total: int) -> None:
        self.progress, self.total, self.done = progress, total, 0
        self.interrupted = False

    def __enter__(self) -> Tracker:
        # Only the main thread may handle signals, and only it is interrupted; a job in the background may ignore them.
        ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        self._handles = threading.current_thread() is threading.main_thread() and not ignored
        if self._handles:
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if self._handles:
            signal.signal(signal.SIGINT, self._before)

    def _note(self, *_: object) -> None:
        self.interrupted = True
        signal.signal(signal.SIGINT, self._before)

    def advance(self, count: int) -> None:
        """Count some more."""
        self.done += count
        if self.progress is not None:
            self.progress(self.done, self.total)

    def pieces(self, count: int, seconds: float) -> Iterator[slice]:
        """Cut equal pieces of work, of some seconds each as a guess, into runs of about `PIECE_SECONDS`.

        The guess serves for the first run, from then on the clock. None follow Ctrl-C.
        """
        low, length = 0, max(1, int(PIECE_SECONDS / seconds))
        while low < count and not self.interrupted:
            began = time.perf_counter()
            yield slice(low, min(low + length, count))
            low += length
            length = max(1, int(length * min(2.0, PIECE_SECONDS / max(time.perf_counter() - began, 1e-9))))


def forward_work(problem: Problem) -> int:
    """Multiply-adds of a forward pass of one sample."""
    return sum(a * b for a, b in zip(problem.network.widths, problem.network.widths[1:], strict=False))


def _above(problem: Problem, layer: int) -> int:
    """Multiply-adds that one perturbed parameter of a layer costs in the layers above, for one sample and sign."""
    widths = problem.network.widths
    entered = 4 * widths[layer + 2] if layer + 2 < len(widths) else 2
    return entered + sum(a * b for a, b in zip(widths[layer + 2 :], widths[layer + 3 :], strict=False)) + 2 * widths[-1]


def _textbook(
    problem: Problem, base: BasePoint, selected: Offsets | None, step: float, scheme: Scheme, threads: int, tracker: Tracker
) -> Numerical:
    places = np.arange(problem.network.size) if selected is None else selected
    values = np.full(problem.network.size, np.nan)
    work = 2.0 * forward_work(problem) * problem.samples
    for piece in tracker.pieces(places.size, work / (WORK_RATE["textbook"] * threads)):
        values[places[piece]] = difference(textbook_losses(problem, base, places[piece], threads), step, scheme)
        tracker.advance(piece.stop - piece.start)
    lower, upper = add_penalty(problem, step, values, None, None, scheme)
    return Numerical(values, lower, upper, selected, "textbook", step, (step, step), 0, base, scheme)


def textbook_losses(problem: Problem, base: BasePoint, places: Offsets, threads: int) -> Losses:
    """Return the function that evaluates the textbook's losses of some parameters, two whole forward passes for each.

    At a step of 0 they all have the same, J(θ), which is returned once.
    """
    network = problem.network
    x, y = np.ascontiguousarray(base.activations[0].T), np.ascontiguousarray(problem.Y.T)
    masks = np.ascontiguousarray(base.tables.units[codes.SCALE].T) if problem.masks else np.empty((0, 0))

    def losses(step: float) -> tuple[Array, Array]:
        moved = places if step else places[:1]
        forward, backward = np.empty(moved.size), np.empty(moved.size)
        launch.textbook_losses(
            base.tables,
            np.array(network.biases),
            masks,
            x,
            y,
            np.ascontiguousarray(base.tables.outputs[codes.FACTOR].T),
            moved,
            step,
            threads,
            forward,
            backward,
        )
        return forward, backward

    return losses


def difference(losses: Losses, step: float, scheme: Scheme) -> Array:
    """Form the difference quotients of a scheme from losses."""
    ahead, behind = losses(step)
    if scheme == "forward":
        # A step of 0 gives J(θ) by the same loop, so that it differs from J(θ + h) by what h does and by rounding alone.
        return np.asarray((ahead - losses(0.0)[0]) / step)
    if scheme == "central":
        return np.asarray((ahead - behind) / (2.0 * step))
    far_ahead, far_behind = losses(2.0 * step)
    return np.asarray((8.0 * (ahead - behind) - (far_ahead - far_behind)) / (12.0 * step))


def _propagated(
    problem: Problem,
    base: BasePoint,
    method: Method,
    selected: Offsets | None,
    step: float | None,
    threads: int,
    tracker: Tracker,
) -> Numerical:
    plan = _plan(problem, base, method, step)
    kinked = _kinked(problem, base)
    lower = upper = None
    if kinked.any():  # first, for without it nothing that Ctrl-C leaves could be judged
        lower, upper = _kink_range(problem, base, threads, kinked, tracker)
    values = _central(problem, base, plan, method, selected, threads, tracker)
    if lower is not None and upper is not None:
        lower, upper = np.fmin(lower, values), np.fmax(upper, values)
    lower, upper = add_penalty(problem, step, values, lower, upper)
    used = np.concatenate([steps for steps, _ in plan])
    span = (float(used.min()), float(used.max()))
    samples = int(kinked.any(axis=1).sum())
    return Numerical(values, lower, upper, selected, method, step, span, samples, base)


Plan = list[tuple[Array, Array]]
"""For each layer its steps and the bounds of the moves above, shape (L + 1,). A parameter's step goes by its input, a
bias's comes last, shape (n_in + 1,); pre-activations of a layer share one, shape (1,)."""


def _plan(problem: Problem, base: BasePoint, method: Method, step: float | None) -> Plan:
    """Choose steps and bound the moves that they can cause.

    A unit's z moving by at most B moves its activation by at most F·B, F the largest slope of the layer (twice the
    tabulated one, for the slope may grow within the move), and the next layer's z by max|W|·F·B; from there on sums of
    absolute weights take the place of max|W|. By default B is chosen so that no move is larger than `SMALL_MOVE` and none
    reaches half way to a kink; steps are powers of two, so that dividing by them is exact.
    """
    slopes, norms = _largest(problem, base)
    nearest = np.array([_nearest_kink(problem, base, layer) for layer in range(problem.network.depth)])
    room = np.append(np.minimum(SMALL_MOVE, 0.5 * nearest), 0.0)
    room[-1] = min(SMALL_MOVE * outputs.unit(base), 0.5 * _nearest_loss_kink(problem, base))
    return [
        _plan_layer(problem, base, method, layer, step, room, _amplification(problem, layer, slopes, norms))
        for layer in range(problem.network.depth)
    ]


def _plan_layer(
    problem: Problem, base: BasePoint, method: Method, layer: int, step: float | None, room: Array, amplification: Array
) -> tuple[Array, Array]:
    reach = np.ones(1)
    if method == "parameter":
        inputs = base.activations[layer]
        reach = np.append(np.maximum(inputs.max(axis=0), -inputs.min(axis=0)), reach)
    if step is not None:
        move, steps = step * float(reach.max()), np.full(reach.size, step)
    else:
        with np.errstate(divide="ignore"):
            move = float(np.min(room[layer:] / amplification[layer:]))
        if not move > SMALLEST_STEP_MOVE:
            move = SMALL_MOVE
        steps = np.exp2(np.floor(np.log2(move / np.where(reach > 0.0, reach, 1.0))))
    bounds = np.full(problem.network.depth + 1, np.inf)
    bounds[layer:] = move * amplification[layer:]
    bounds[~(bounds <= SMALL_MOVE)] = np.inf
    # The logarithms of the other losses that have a unit are polynomials; 1.001 is for rounding.
    if base.tables.loss_code in {codes.POISSON, codes.KL_DIVERGENCE} and bounds[-1] > 1.001 * SMALL_MOVE * outputs.unit(base):
        bounds[-1] = np.inf
    return steps, bounds


def _largest(problem: Problem, base: BasePoint) -> tuple[Array, Array]:
    """Return twice the largest f′ of each layer, shape (L,), and of each W the largest sum of absolute weights of a unit."""
    slopes = [2.0 * float(np.abs(base.plane(codes.SLOPE, layer)).max()) for layer in range(problem.network.depth)]
    norms = [float(np.abs(problem.network.W(problem.theta, layer)).sum(axis=1).max()) for layer in range(problem.network.depth)]
    return np.array(slopes), np.array(norms)


def _amplification(problem: Problem, layer: int, slopes: Array, norms: Array) -> Array:
    """Bound the moves of each z above a layer, and of the outputs, by those of the layer's own z; shape (L + 1,)."""
    factors = np.ones(problem.network.depth + 1)
    steps = slopes[layer:] * np.append(norms[layer + 1 :], 1.0)
    if layer + 1 < problem.network.depth:
        steps[0] = slopes[layer] * float(np.abs(problem.network.W(problem.theta, layer + 1)).max())
    factors[layer + 1 :] = np.cumprod(steps)
    return factors


def on_kink(problem: Problem, base: BasePoint, layer: int) -> Mask:
    """Tell which pre-activations of a layer are so near a kink that rounding may have put them on either side."""
    distance = base.plane(codes.KINK, layer)
    if distance.min(initial=np.inf) == np.inf:  # no kink anywhere: nobody has to know how far rounding goes
        return np.zeros(distance.shape, dtype=np.bool_)
    return np.asarray(distance <= ON_KINK * claim_roundoff(problem) * base.z_error[layer])


def _nearest_kink(problem: Problem, base: BasePoint, layer: int) -> float:
    distance = base.plane(codes.KINK, layer)
    return float(np.min(distance, where=~on_kink(problem, base, layer), initial=np.inf))


def loss_on_kink(problem: Problem, base: BasePoint) -> Mask:
    """Tell likewise of the outputs and the kinks of the loss, shape (m, n_L)."""
    distance = base.tables.outputs[codes.LOSS_KINK]
    if distance.min(initial=np.inf) == np.inf:
        return np.zeros(distance.shape, dtype=np.bool_)
    return np.asarray(distance <= ON_KINK * claim_roundoff(problem) * outputs.kink_error(base))


def _nearest_loss_kink(problem: Problem, base: BasePoint) -> float:
    distance = base.tables.outputs[codes.LOSS_KINK]
    return float(np.min(distance, where=~loss_on_kink(problem, base), initial=np.inf))


def _kinked(problem: Problem, base: BasePoint) -> Mask:
    """Tell for each sample and unit, and each output of the loss, whether it sits on a kink, shape (m, U + n_L)."""
    layers = [on_kink(problem, base, layer) for layer in range(problem.network.depth)]
    return np.concatenate([*layers, loss_on_kink(problem, base)], axis=1)


def _central(
    problem: Problem,
    base: BasePoint,
    plan: Plan,
    method: Method,
    selected: Offsets | None,
    threads: int,
    tracker: Tracker,
) -> Array:
    """Central differences by a propagating method, penalty left out, nan where not selected."""
    network = problem.network
    values = np.full(network.size, np.nan)
    for layer in range(network.depth):
        if tracker.interrupted:
            break
        start, stop = network.weight_slice(layer).start, network.bias_slice(layer).stop
        local = None
        if selected is not None:
            low, high = np.searchsorted(selected, (start, stop))
            local = selected[low:high] - start
            if local.size == 0:
                continue
        here = values[start:stop]
        if method == "parameter":
            chosen = np.arange(stop - start) if local is None else local
            here[chosen] = _by_parameter(problem, base, plan[layer], layer, chosen, threads, tracker)
            continue
        whole = here if local is None else np.empty(stop - start)
        _fill_from_preactivations(problem, base, plan[layer], layer, threads, whole, tracker)
        if local is not None:
            here[local] = whole[local]
        tracker.advance(stop - start if local is None else local.size)
    return values


def _fill_from_preactivations(
    problem: Problem, base: BasePoint, plan: tuple[Array, Array], layer: int, threads: int, whole: Array, tracker: Tracker
) -> None:
    """Fill a layer's dW = dZᵀ·a and db = Σ_s dZ, which are exact, z being linear in W and b."""
    dZ = _by_preactivation(problem, base, plan, layer, threads, tracker)
    if tracker.interrupted:
        whole.fill(np.nan)
        return
    weights = problem.network.widths[layer] * problem.network.widths[layer + 1]
    product(dZ.T, base.activations[layer], out=whole[:weights].reshape(dZ.shape[1], -1))
    if problem.network.biases[layer]:
        dZ.sum(axis=0, out=whole[weights:])


def _by_parameter(
    problem: Problem,
    base: BasePoint,
    plan: tuple[Array, Array],
    layer: int,
    local: Offsets,
    threads: int,
    tracker: Tracker,
) -> Array:
    """Central differences of a layer's parameters, counted from its first weight."""
    steps, bounds = plan
    n_in, n_out = problem.network.widths[layer : layer + 2]
    tiles, order = _tiles(np.minimum(local // (n_in if n_in >= codes.TILE else n_in * n_out), n_out))
    values = np.full(local.size, np.nan)
    work = 2.0 * _above(problem, layer) * base.activations[layer].shape[0] * _cost(bounds[layer:])
    used = _threads_for(work * local.size, threads)
    exact = _exact_kernels(base, layer, bounds)
    for piece in tracker.pieces(order.size, work * codes.TILE / (WORK_RATE["parameter"] * threads)):
        launch.parameter_differences(
            exact,
            base.tables,
            layer,
            base.activations[layer],
            steps,
            bounds,
            local,
            tiles,
            order[piece],
            used,
            values,
        )
        tracker.advance(int((tiles[order[piece] + 1] - tiles[order[piece]]).sum()))
    return values


def _tiles(group: Offsets) -> tuple[Offsets, Offsets]:
    """Cut a layer's parameters into tiles that keep to one group, and order the tiles; return their bounds and the order.

    The groups, ascending, are the units where a unit has inputs enough to fill a tile. Tiles of the same inputs and different
    units follow each other, so that the inputs of all samples are read from memory once.
    """
    begins = np.flatnonzero(np.diff(group, prepend=-1))
    counts = -(-np.diff(begins, append=group.size) // codes.TILE)
    rank = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    starts = np.repeat(begins, counts) + codes.TILE * rank
    return np.append(starts, group.size), np.lexsort((group[starts], rank))


def _by_preactivation(
    problem: Problem, base: BasePoint, plan: tuple[Array, Array], layer: int, threads: int, tracker: Tracker
) -> Array:
    """Central differences of a layer's pre-activations, dZ of shape (m, n_l); after Ctrl-C they are not all there."""
    (step,), bounds = plan
    shape = base.activations[layer + 1].shape
    dZ = np.zeros(shape)
    work = 2.0 * _above(problem, layer) * shape[1] * _cost(bounds[layer:])
    used = _threads_for(work * shape[0], threads)
    exact = _exact_kernels(base, layer, bounds)
    for piece in tracker.pieces(shape[0], work / (WORK_RATE["preactivation"] * threads)):
        launch.preactivation_differences(
            exact,
            base.tables,
            layer,
            step,
            bounds,
            np.arange(piece.start, piece.stop),
            used,
            dZ[piece],
        )
    return dZ


def _exact_kernels(base: BasePoint, layer: int, bounds: Array) -> Any:
    """Return the addresses of the kernels of exact differences that moves within some bounds need, from a layer on.

    They take longer to compile than all the rest, and few networks need them: those on a kink, or with a large fixed step.
    """
    tables, last = base.tables, base.tables.layers.shape[1] - 2
    bent = any((base.plane(codes.KINK, above) <= bounds[above]).any() for above in range(layer, last + 1))
    large = bool((tables.outputs[codes.LOSS_KINK] <= bounds[-1]).any())
    return addresses(
        launch.exact_activation if bent else None,
        launch.exact_loss if layer < last and (large or tables.loss_code >= codes.COUPLED) else None,
        launch.exact_single if layer == last and large else None,
    )


def _cost(bounds: Array) -> float:
    """Guess how many times more work the exact differences make, where two Taylor terms are not enough."""
    return EXACT_COST if np.inf in bounds else 1.0


def _threads_for(work: float, threads: int) -> int:
    """Return the threads to use for an amount of work: one where it is too small to share."""
    return 1 if work < PARALLEL_SECONDS * WORK_RATE["parameter"] else threads


def intermediates(problem: Problem, *, threads: int | None = None) -> dict[str, Array]:
    """Numerical dZ_l and dA_l, each of shape (m, n_l).

    Parameters
    ----------
    problem : Problem
        Network, parameters and data.
    threads : int, optional
        Threads to use.

    Returns
    -------
    dict
        "dZ1" to "dZL" by perturbing pre-activations, and "dA1" to "dA{L-1}" from them: the next layer's z is linear in a,
        which is taken after its dropout.
    """
    result: dict[str, Array] = {}
    used = thread_count(threads)
    base = base_point(problem)
    plan = _plan(problem, base, "preactivation", None)
    for layer in reversed(range(problem.network.depth)):
        result[f"dZ{layer + 1}"] = _by_preactivation(problem, base, plan[layer], layer, used, Tracker(None, 0))
        if layer:
            result[f"dA{layer}"] = result[f"dZ{layer + 1}"] @ problem.network.W(problem.theta, layer)
    return result


def _kink_range(problem: Problem, base: BasePoint, threads: int, kinked: Mask, tracker: Tracker) -> tuple[Array, Array]:
    """Range of the gradient when every unit on a kink takes any slope between the one-sided ones.

    Backward passes agree on no convention for f′ on a kink, and rounding may put each unit on either side. The dZ of a
    sample on a kink is therefore carried down as a range, from the output to the input; a sample's
    share of dW being dZ·a, its smallest value is min(dZ)·a or max(dZ)·a as the sign of a has it. At the output it is one
    value unless the loss has a kink there.
    """
    network = problem.network
    lower, upper = np.empty(network.size), np.empty(network.size)
    rows = np.flatnonzero(kinked.any(axis=1))
    plan = _plan(problem, base, "preactivation", None)
    flow_low, flow_high = outputs.slope_range(base, rows, loss_on_kink(problem, base)[rows])
    for layer in reversed(range(network.depth)):
        low = _by_preactivation(problem, base, plan[layer], layer, threads, tracker)
        if tracker.interrupted:
            raise KeyboardInterrupt
        high = low.copy()
        slopes = slope_range(problem, base, layer, rows)
        products = [flow * slope for flow in (flow_low, flow_high) for slope in slopes]
        low[rows], high[rows] = np.minimum.reduce(products), np.maximum.reduce(products)
        smallest, largest = range_product(low.T, high.T, base.activations[layer])
        network.W(lower, layer)[:], network.W(upper, layer)[:] = smallest, largest
        if network.biases[layer]:
            network.b(lower, layer)[:], network.b(upper, layer)[:] = low.sum(axis=0), high.sum(axis=0)
        if layer:
            flow_low, flow_high = range_product(low[rows], high[rows], network.W(problem.theta, layer))
    return lower, upper


def range_product(low: Array, high: Array, factor: Array) -> tuple[Array, Array]:
    """Smallest and largest product with a matrix of what lies between two matrices, entry by entry."""
    positive, negative = np.maximum(factor, 0.0), np.minimum(factor, 0.0)
    return (
        product(low, positive) + product(high, negative),
        product(high, positive) + product(low, negative),
    )


def slope_range(problem: Problem, base: BasePoint, layer: int, rows: Offsets) -> tuple[Array, Array]:
    """One-sided f′ of some samples in a layer, on the left and on the right; the same where there is no kink."""
    from fastgrad.kernels import activations  # with numba, which few checks need

    left = base.plane(codes.SLOPE, layer)[rows].copy()
    right = left.copy()
    code, p = int(base.tables.layers[codes.CODE, layer]), float(base.tables.shapes[layer])
    for s, i in np.argwhere(on_kink(problem, base, layer)[rows]):
        z, scale = (float(base.plane(plane, layer)[rows[s], i]) for plane in (codes.Z, codes.SCALE))
        left[s, i], right[s, i] = (scale * slope for slope in activations.one_sided_slopes(code, p, z))
    return left, right


def add_penalty(
    problem: Problem,
    step: float | None,
    values: Array,
    lower: Array | None,
    upper: Array | None,
    scheme: Scheme = "central",
) -> tuple[Array | None, Array | None]:
    """Add the penalty's difference quotient to values and their range; return the range, made where a kink needs one.

    Of ½c·w² it is c·w, whatever the step, and forward c·(w + h/2). Of c·|w| it is c times `_slope_of_size`; without a fixed
    step h that of the smallest one, c·sign(w). Where w is 0 any value from −c to c is right.
    """
    theta, penalties = problem.theta, problem.network.penalties
    if lower is None and any(l1 and not theta[place].all() for place, _, l1 in penalties):
        lower, upper = values.copy(), values.copy()
    for place, l2, l1 in penalties:
        w = theta[place]
        shift = 0.5 * step if step is not None and scheme == "forward" else 0.0
        slope = np.sign(w) if step is None else _slope_of_size(w, step, scheme)
        for gradient, at_zero in ((values, l1 * slope), (lower, -l1), (upper, l1)):
            if gradient is not None:
                gradient[place] += l2 * (w + shift)
            if gradient is not None and l1:
                gradient[place] += np.where(w == 0.0, at_zero, l1 * slope)
    return lower, upper


def _slope_of_size(w: Array, step: float, scheme: Scheme) -> Array:
    """Difference quotient of |w|: of slope ±1 away from the kink, in between where the step crosses it."""
    if scheme == "forward":
        return np.clip(2.0 * (w / step) + 1.0, -1.0, 1.0)
    central = np.clip(w / step, -1.0, 1.0)
    if scheme == "central":
        return central
    return np.asarray((4.0 * central - np.clip(w / (2.0 * step), -1.0, 1.0)) / 3.0)
