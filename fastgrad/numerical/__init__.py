"""The numerical gradient of a problem: which parameters, which steps, which method, in pieces that report progress.

Called by judging and teaching. Nothing is judged here: the result is values and, where a kink makes more than one right, their
range.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING, cast

import numpy as np

from fastgrad.errors import InputError, Interrupted
from fastgrad.kernels import launch
from fastgrad.kernels.kernel import load_together
from fastgrad.model.deferred import Few, Vector
from fastgrad.model.forward import BasePoint, base_point
from fastgrad.model.network import Array, Network, Offsets, Problem
from fastgrad.model.rounding import RoundingScale, rounding_scale
from fastgrad.numerical.blocks import Method, Plan, Scheme, Task
from fastgrad.numerical.directional.derivative import prepare
from fastgrad.numerical.drawn import drawn_differences, require_few
from fastgrad.numerical.flows import Bound
from fastgrad.numerical.how import How
from fastgrad.numerical.kinks import kinked_units
from fastgrad.numerical.methods import BY_ENTRY, USUAL, choose_scheme
from fastgrad.numerical.penalty import add_penalty
from fastgrad.numerical.preactivation import PreactivationPlan
from fastgrad.numerical.ranges import kink_range
from fastgrad.numerical.selection import select
from fastgrad.numerical.tracking import Progress, Tracker, thread_count
from fastgrad.numerical.work import UNAIDED, Origin, Workers
from fastgrad.writing import PathLike

if TYPE_CHECKING:
    from concurrent.futures import Executor


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
    method : str
        The name of the method that made it.
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
    origin : Origin
        Who made them, and what of them was there already, where that was not this process alone.
    """

    values: Array
    lower: Array | None
    upper: Array | None
    selected: Offsets | None
    method: str
    step: float | None
    step_range: tuple[float, float]
    kinked_samples: int
    base: BasePoint
    scheme: Scheme = "central"
    origin: Origin = UNAIDED

    @cached_property
    def scale(self) -> RoundingScale:
        """How far rounding may move a gradient at this point."""
        return rounding_scale(self.base.problem, self.base)


def numerical_gradient(
    problem: Problem,
    *,
    method: str | Method = USUAL,
    step: float | None = None,
    scheme: str = "central",
    sample: int | float | str | None = None,
    places: Offsets | None = None,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress | None = None,
    executor: Executor | None = None,
    store: PathLike | None = None,
) -> Numerical:
    """Compute the differences of J: central ones, or with method "textbook" those of another scheme.

    Parameters
    ----------
    problem : Problem
        Network, parameters and data.
    method : Method, or its name, or "auto"
        "parameter" perturbs every parameter and propagates the difference; "preactivation" perturbs every pre-activation
        of every sample, from which dW and db follow, z being linear in both; "textbook" runs two whole forward passes for
        every parameter; "auto" is "parameter" up to 4e10 multiply-adds, about a second on two cores, else "preactivation".
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
    executor, store
        As in `check`.

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
    how = How(method, step, scheme, sample, seed, threads=threads, progress=progress, executor=executor, store=store)
    found = difference(problem, how, select(problem, sample, how.seed) if places is None else places)
    made: object = found.values
    return replace(found, values=made.whole) if isinstance(made, Vector) and not problem.is_stored else found


def difference(problem: Problem, how: How, selected: Offsets | None, base: BasePoint | None = None) -> Numerical:
    """Compute the differences of J for some parameters, None meaning all, as `numerical_gradient` says.

    The values of a large network may be a `Deferred` vector, which is made where it is asked for. The forward pass is made if
    it is not given.
    """
    chosen = how.method_for(problem)
    if chosen.plan is None:
        raise InputError(f"method {chosen.name} gives no value for each entry; take one of {', '.join(BY_ENTRY)}")
    scheme = choose_scheme(how.scheme, chosen)
    if problem.is_stored:
        return _of_stored(problem, how, chosen, selected)
    with (
        np.errstate(over="ignore", under="ignore", invalid="ignore"),
        Tracker(how.progress, problem.network.size if selected is None else selected.size) as tracker,
    ):
        task = Task(problem, base or _base_point(problem), selected, how.step or chosen.step, scheme)
        found = _carry_out(task, chosen, chosen.plan(task), how.workers, tracker)
    if tracker.interrupted:
        raise _interruption(found)
    if found.step is not None and not np.isfinite(found.values if selected is None else found.values[selected]).all():
        raise InputError(
            f"with a step of {found.step:g} the loss is no number at some perturbed parameter (its logarithm of an output, or "
            "an overflow); take a smaller step, or method parameter without one"
        )
    return found


def _of_stored(problem: Problem, how: How, method: Method, selected: Offsets | None) -> Numerical:
    """Compute the differences of some parameters of a network that is read from disk."""
    places = require_few(problem, how, method, selected)
    with np.errstate(all="ignore"), Tracker(how.progress, places.size) as tracker:
        setting = prepare(problem, 1, how.seed, thread_count(how.threads))
        found = drawn_differences(setting, places, tracker, by_unit=method.makes_range)
    size = problem.network.size
    values, lower, upper = (cast(Array, Few(places, part, size)) for part in (found.values, found.lower, found.upper))
    bent = (found.lower != found.upper).any()
    whole = Numerical(
        values=values,
        lower=lower if bent else None,
        upper=upper if bent else None,
        selected=places,
        method=method.name,
        step=None,
        step_range=found.steps,
        kinked_samples=int(setting.kinked().sum()),
        base=setting.base,
    )
    if tracker.interrupted:
        finished = places[~np.isnan(found.values)]
        raise Interrupted(replace(whole, selected=finished)) if finished.size else KeyboardInterrupt
    return whole


def _base_point(problem: Problem) -> BasePoint:
    """Return the forward pass at theta, or raise InputError where it overflows."""
    problem.require_in_memory("a numerical gradient of every entry")
    base = base_point(problem)
    if not np.isfinite(base.loss):
        raise InputError(
            f"the loss of this network is {base.loss}: its outputs overflow double precision, there is no gradient to check"
        )
    return base


def _carry_out(task: Task, method: Method, plan: Plan, workers: Workers, tracker: Tracker) -> Numerical:
    """Make the differences, with their range where units sit on kinks, and add the penalty."""
    problem, base = task.problem, task.base
    lower = upper = values = None
    origin = UNAIDED
    kinked = kinked_units(problem, base) if method.sees_kinks else np.zeros((1, 1), dtype=np.bool_)
    serve = method.makes_range and task.step is None  # the differences of the range are the gradient itself
    steps = plan.steps  # first: with what they take beside the room, the allocator fetches memory anew in every check
    if kinked.any():  # before the blocks, for without it nothing that Ctrl-C leaves could be judged
        values, lower, upper, origin = kink_range(task, kinked, workers, tracker, serve)
    if values is None or not serve:
        if tracker.interrupted:
            raise KeyboardInterrupt
        room, more = workers.carry_out(plan, tracker, lambda block: block.parameters)
        origin = origin.joined(more)
        values = plan.gradient(room)
    elif task.selected is not None:
        values = task.in_order(values[task.selected])
    made: object = lower
    if lower is not None and upper is not None and not isinstance(made, Bound):
        lower, upper = np.fmin(lower, values), np.fmax(upper, values)
    lower, upper = add_penalty(problem, task.step, values, lower, upper, task.scheme)
    samples = int(kinked.any(axis=1).sum())
    return Numerical(values, lower, upper, task.selected, method.name, task.step, steps, samples, base, task.scheme, origin)


def _interruption(found: Numerical) -> KeyboardInterrupt:
    """Return what to raise after Ctrl-C: parameters that have no value were not finished."""
    finished: Offsets = np.flatnonzero(~np.isnan(found.values))
    return Interrupted(replace(found, selected=finished)) if finished.size else KeyboardInterrupt()


@cache
def load_kernels(method: Method, one_pass: bool = False) -> None:
    """Load, or compile, what a method runs, so that no measured time contains it; with one pass over inputs, or without."""
    load_together(*method.kernels, *launch.EVERY_CHECK, *(launch.FEW_UNITS if one_pass else ()))
    network = Network((1, 1), ("identity",), "squared_error", "mean", (True,))
    one = np.ones((1, 1))
    numerical_gradient(Problem(network, np.ones(2), one, one, (), None, None), method=method, threads=1)


def intermediates(problem: Problem, *, threads: int | None = None) -> dict[str, Array]:
    """Return numerical dZ_l and dA_l, each of shape (m, n_l).

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
    plan = PreactivationPlan(Task(problem, base_point(problem)))
    room = np.empty(plan.size)
    for block in plan.blocks():
        plan.run(block, used, room)
    for layer in reversed(range(problem.network.depth)):
        result[f"dZ{layer + 1}"] = plan.flow(layer, room)
        if layer:
            result[f"dA{layer}"] = result[f"dZ{layer + 1}"] @ problem.network.W(problem.theta, layer)
    return result
