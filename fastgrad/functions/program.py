"""A gradient that a library computes of a program, in the program's own precision: judged with the program in double precision.

Called by the doors of torch and JAX. A `Program` runs in its own precision and in double; `judge` says what is to be thought of
its gradient.
"""

from __future__ import annotations

import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgrad.errors import InputError
from fastgrad.foreign import precision_of
from fastgrad.functions.arguments import Array
from fastgrad.functions.check import judged
from fastgrad.functions.claim import TREMBLE, UNITS, Claim
from fastgrad.functions.evaluation import Function
from fastgrad.functions.noise import UNIT_ROUNDOFF
from fastgrad.functions.report import FunctionReport

NEIGHBOURS = 4
"""Points beside x at which a gradient of less than double precision is computed, to see how it trembles."""

GRAIN = 64.0
"""Weights are whole multiples of 1/64 between 1/2 and 3/2: numbers of every precision, and none is next to nothing."""

Numbers = Mapping[str, NDArray[Any]]


class UnsteadyError(InputError):
    """A gradient that is not the same from call to call."""


class Options(NamedTuple):
    """How a program is judged, as in `check_function`.

    Beside the share of an entry by which it may be off, `absolute` is a number; `wobble` is how far two calls may differ, by
    default by rounding.
    """

    method: Literal["auto", "entries", "directions"] = "auto"
    step: float | None = None
    tolerance: float = 0.0
    absolute: float = 0.0
    seed: int = 0
    wobble: float | None = None


class Program(ABC):
    """A function from named arrays to numbers, weighed and added up to one, with the gradient that a library makes of it.

    Attributes
    ----------
    point : dict of ndarray
        Where it is checked, as float64.
    precision : str
        The coarsest type among its arrays: "float64", "float32", "float16", "bfloat16".
    """

    point: dict[str, Array]
    precision: str
    is_constant = False  # whether its gradient is the same wherever it is asked for, as one that was given

    @abstractmethod
    def outputs(self, x: Numbers, wide: bool) -> list[NDArray[Any]]:
        """Return the outputs, in double precision or in its own."""

    @abstractmethod
    def value(self, x: Numbers, wide: bool) -> Any:
        """Return the sum of the outputs, each times its weight."""

    @abstractmethod
    def gradient(self, x: Numbers, wide: bool) -> dict[str, Array]:
        """Return the gradient of that sum."""

    @property
    def unit_roundoff(self) -> float:
        """That of its precision."""
        return UNITS.get(self.precision, UNIT_ROUNDOFF)


def seeded_alike() -> Callable[[], None]:
    """Return what sets the random states of Python and NumPy back to what they are now."""
    python, legacy = random.getstate(), np.random.get_state()

    def reset() -> None:
        random.setstate(python)
        np.random.set_state(legacy)

    return reset


def weights_for(generator: np.random.Generator, shape: tuple[int, ...], is_complex: bool) -> NDArray[Any]:
    """Draw what an output is weighed by, its upstream gradient."""
    draws = [generator.integers(32, 97, shape) * generator.choice([-1.0, 1.0], shape) for _ in range(1 + is_complex)]
    return np.asarray((draws[0] + 1j * draws[1] if is_complex else draws[0]) / GRAIN)


def coarsest(values: list[Any]) -> str:
    """Return the precision of the coarsest of some arrays."""
    return max(map(precision_of, values), key=lambda name: UNITS.get(name, 0.0), default="float64")


def judge(program: Program, how: Options) -> FunctionReport:
    """Judge the gradient of a program.

    Notes
    -----
    In double precision the program is a function like any other. Otherwise its derivative is taken in double precision, at the
    same point, and the gradient in its own precision is held against that: it may be off by rounding, which is seen from how
    it trembles from one neighbouring point to the next. Where it then is wrong, and in double precision is not, both are
    taken in its own precision: rounding may have put the point on the other side of a kink. Entries that tremble far more are
    taken to be on a kink at first, and where they then are wrong, to be so sensitive to rounding that it may explain all.
    """
    began = time.perf_counter()
    run = partial(judged, method=how.method, step=how.step, seed=how.seed, began=began)
    if program.unit_roundoff == UNIT_ROUNDOFF:
        return run(_function(program, wide=True), _claim(program, how, wide=True))
    own = _claim(program, how, wide=False)
    if program.is_constant:
        return _judge_both(program, how, own, run)
    trembling = _trembling(program, own.values)
    calm = np.where(trembling > program.unit_roundoff**0.5 * np.nanmax(np.abs(own.values), initial=0.0), 0.0, trembling)
    report = _judge_both(program, how, replace(own, trembling=_evened(program, calm)), run)
    if report.verdict != "wrong" or np.array_equal(calm, trembling):
        return report
    shaken = _judge_both(program, how, replace(own, trembling=_evened(program, trembling)), run)
    return report if shaken.verdict == "wrong" else shaken


def _judge_both(program: Program, how: Options, own: Claim, run: Callable[..., FunctionReport]) -> FunctionReport:
    """Judge a gradient in its own precision by the program in double precision, and where that is not enough in its own."""
    wide = _function_in_double(program)
    if wide is None:
        return _remarked(run(_function(program, wide=False), own), _ONLY_OWN.format(program.precision))
    report = _remarked(run(wide, own), _BOTH.format(program.precision))
    if report.verdict != "wrong" or run(wide, _claim_in_double(program, how, own)).verdict == "wrong":
        return report
    return _remarked(run(_function(program, wide=False), own), _OTHERWISE.format(program.precision))


_BOTH = "The gradient was computed in {}, and f differentiated in double precision at the same point."
_ONLY_OWN = "f was differentiated in {}, since it takes no double precision or has another value there."
_OTHERWISE = "In double precision the gradient is right; f was differentiated in {}, too."


def _remarked(report: FunctionReport, remark: str) -> FunctionReport:
    return replace(report, remarks=(*report.remarks, remark))


def _function(program: Program, wide: bool) -> Function:
    return Function(partial(program.value, wide=wide), program.point)


def runs_in_double(program: Program) -> bool:
    """Whether a program runs in double precision, and has the same outputs there.

    They differ by some roundings; the square root of the unit roundoff is far more than that, and leaves room for what cancels.
    Of outputs that rounding changes more, as they do from one point to the next, there is room for that.
    """
    beside = _neighbour(program, 0)
    try:
        runs = [program.outputs(x, wide) for x, wide in ((program.point, False), (program.point, True), (beside, False))]
    except Exception:  # whatever a library raises where types of numbers do not fit
        return False
    if any([array.shape for array in run] != [array.shape for array in runs[0]] for run in runs):
        return False
    ours, theirs, near = (np.concatenate([array.ravel() for array in run]) for run in runs)
    room = program.unit_roundoff**0.5 * np.linalg.norm(theirs) + TREMBLE * np.linalg.norm(ours - near)
    return bool(np.linalg.norm(ours - theirs) <= room)


def _function_in_double(program: Program) -> Function | None:
    """Return the program in double precision, None where it does not run so or is another function there."""
    try:
        return _function(program, wide=True) if runs_in_double(program) else None
    except InputError:  # it draws random numbers there, or is not finite
        return None


def _claim(program: Program, how: Options, wide: bool) -> Claim:
    """Return the gradient that the library computes, which has to be the same in a second call."""
    first, second = (_flat(program.gradient(program.point, wide)) for _ in range(2))
    unit = UNIT_ROUNDOFF if wide else program.unit_roundoff
    claim = Claim(first, unit, how.tolerance, absolute=how.absolute)
    with np.errstate(invalid="ignore"):
        apart = np.abs(first - second)
    allowed = how.wobble if how.wobble is not None else claim.roundings * unit * float(np.nanmax(np.abs(first), initial=0.0))
    if np.nanmax(apart, initial=0.0) > allowed or not np.array_equal(np.isnan(first), np.isnan(second)):
        raise UnsteadyError(_unsteady(program, apart, allowed))
    return claim


def _unsteady(program: Program, apart: Array, allowed: float) -> str:
    entry = int(np.nanargmax(apart))
    label = Function(_zero, program.point).layout.label(entry)
    return (
        "the gradient is not the same from call to call: in two calls at the same point, with the same random state, it "
        f"differs by {apart[entry]:.3g} for {label}, where {allowed:.3g} is allowed. Backward keeps something between calls, "
        "draws random numbers from a generator of its own, or adds numbers in an order that changes"
    )


def _zero(_: Any) -> float:
    return 0.0


def _claim_in_double(program: Program, how: Options, own: Claim) -> Claim:
    """Return the gradient in double precision, with the room that its own precision has."""
    try:
        return replace(own, values=_flat(program.gradient(program.point, True)))
    except InputError:
        return own


def _trembling(program: Program, values: Array) -> Array:
    """Return by how much each entry differs, at most, between the point and neighbouring points of the program's precision."""
    most = np.zeros_like(values)
    for seed in range(NEIGHBOURS):
        with np.errstate(invalid="ignore"):
            most = np.fmax(most, np.abs(_flat(program.gradient(_neighbour(program, seed), False)) - values))
    return most


def _neighbour(program: Program, seed: int) -> dict[str, Array]:
    """Return a point whose numbers are moved by their last bit in the program's precision, up or down."""
    rng, unit = np.random.default_rng(seed), program.unit_roundoff
    return {name: array * (1.0 + 2.0 * unit * rng.choice([-1.0, 1.0], array.shape)) for name, array in program.point.items()}


def _evened(program: Program, trembling: Array) -> Array:
    """Return how entries tremble, each at least half the root mean square of its array: one may have been still."""
    evened, start = trembling.copy(), 0
    for array in program.point.values():
        part = slice(start, start + array.size)
        evened[part] = np.fmax(trembling[part], 0.5 * np.sqrt(np.mean(trembling[part] ** 2))) if array.size else 0.0
        start += array.size
    return evened


def _flat(gradient: Mapping[str, Array]) -> Array:
    return np.concatenate([np.ravel(part) for part in gradient.values()]).astype(np.float64)
