"""The error of numerical gradients over a range of steps: the textbook's V-shaped curves and the propagated difference.

Called by the command `sweep`; pictures draws its result. It judges no gradient, and none has to be there.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fastgrad._version import SCHEMA
from fastgrad.errors import InputError, quoted
from fastgrad.model.conventions import describe
from fastgrad.model.network import Array, Offsets, Problem
from fastgrad.model.product import norm
from fastgrad.numerical import load_kernels, numerical_gradient
from fastgrad.numerical.blocks import SCHEMES, Scheme
from fastgrad.numerical.counted import forward_work
from fastgrad.numerical.parameter import PARAMETER
from fastgrad.numerical.penalty import add_penalty
from fastgrad.numerical.textbook import TEXTBOOK, Losses, difference, textbook_losses
from fastgrad.numerical.tracking import Progress, Tracker, thread_count
from fastgrad.report.formatting import Told, allowed_threads, counted, duration
from fastgrad.report.table import columns

LARGEST, SMALLEST = 1e-1, 1e-13
"""The steps swept unless others are given."""
THRESHOLD = 1e-7
"""Relative difference below which the courses call a gradient right."""
LEAST_RANGE = 9.99
"""Smallest range, largest by smallest step; ten, but for rounding."""
ROUNDING = 2.0**-50
"""Errors below this, some roundings of the values themselves, do not tell one step from another."""
AFFORDABLE_WORK = 1e10
"""Multiply-adds of all textbook passes, some seconds: as many parameters are drawn as they allow. Seconds themselves would
make the draw depend on the machine."""
MOST_PARAMETERS = 200
"""More parameters change no curve visibly."""
ON_KINK = (
    "The network sits on a kink, where there is no single gradient: a forward difference tends to the slope on one side, the "
    "others to the mean of both."
)
NAMES = (*SCHEMES, "propagated")
"""The curves: the textbook's schemes, and fastgrad's difference."""
MARKS = {"forward": "F", "central": "C", "five-point": "5", "propagated": "*"}
STYLES = {"forward": "yellow", "central": "cyan", "five-point": "magenta", "propagated": "bold green"}
"""The marks of the curves in the table, which tell them apart without colour."""
STRIP = 33
"""Characters of the strip on which errors are marked: two for each power of ten, and one."""


@dataclass(frozen=True)
class Curve:
    """The errors of one way to make a numerical gradient.

    Attributes
    ----------
    name : str
        "forward", "central" and "five-point" by the textbook, "propagated" by fastgrad.
    steps : tuple of float
        Descending.
    errors : tuple of float
        For each step ‖n − r‖/(‖n‖ + ‖r‖) of the numerical gradient n and the reference r; 1, the largest there is, where
        a value is no number.
    """

    name: str
    steps: tuple[float, ...]
    errors: tuple[float, ...]

    @property
    def best(self) -> tuple[float, float]:
        """The step with the smallest error, and that error; of those with no error beyond rounding, the largest step."""
        smallest = max(min(self.errors), ROUNDING)
        place = next(k for k, error in enumerate(self.errors) if error <= smallest)
        return self.steps[place], self.errors[place]

    @property
    def passing(self) -> tuple[float, ...]:
        """The steps at which the courses' threshold calls a right gradient right."""
        return tuple(step for step, error in zip(self.steps, self.errors, strict=True) if error < THRESHOLD)


@dataclass(frozen=True, repr=False)
class Sweep(Told):
    """Error curves of a network.

    Attributes
    ----------
    curves : tuple of Curve
        Of the textbook's schemes and of the propagated difference, over the same steps.
    description : str
        The network in one line.
    seed : int
        Seed of the draw of parameters.
    parameters_checked, parameters_total : int
        Parameters drawn, and those of the network.
    on_kink : bool
        Whether a pre-activation, or a weight under an L1 penalty, sits on a kink.
    seconds : float
        Time taken.
    threads : int
        Threads used.
    """

    curves: tuple[Curve, ...]
    description: str
    seed: int
    parameters_checked: int
    parameters_total: int
    on_kink: bool
    seconds: float
    threads: int

    def __repr__(self) -> str:
        """Return the network and the curves in one line."""
        return f"<Sweep: {self.description}; {', '.join(curve.name for curve in self.curves)}>"

    @property
    def steps(self) -> tuple[float, ...]:
        """The steps, descending."""
        return self.curves[0].steps

    def to_dict(self) -> dict[str, Any]:
        """Return the sweep as a JSON document."""
        return {
            "schema": SCHEMA,
            "description": self.description,
            "sample_seed": self.seed,
            "parameters_total": self.parameters_total,
            "parameters_checked": self.parameters_checked,
            "on_kink": self.on_kink,
            "threshold": THRESHOLD,
            "steps": list(self.steps),
            "curves": [_curve_to_dict(curve) for curve in self.curves],
            "seconds": self.seconds,
            "threads": self.threads,
        }

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table and what it means."""
        yield Text(self.description, style="dim")
        yield Text()
        yield Text("Relative difference of the numerical gradient from the right one, by step:")
        yield Padding(_table(self.curves), (0, 0, 0, 1))
        yield Text()
        yield from (Text(sentence) for sentence in _sentences(self.curves))
        if self.on_kink:
            yield Text(ON_KINK)
        drawn = f"All {counted(self.parameters_total, 'parameter')}"
        if self.parameters_checked < self.parameters_total:
            drawn = f"{self.parameters_checked:,} of {counted(self.parameters_total, 'parameter')}, drawn with seed {self.seed}"
        yield Text(f"{drawn}; {duration(self.seconds)}, {allowed_threads(self.threads)}.", style="dim")


def sweep_steps(
    problem: Problem,
    *,
    largest: float = LARGEST,
    smallest: float = SMALLEST,
    sample: int | float | str | None = None,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Sweep:
    """Measure the error of each numerical gradient over a range of steps.

    Parameters
    ----------
    problem : Problem
        Network, parameters and data; a claimed gradient is not looked at.
    largest, smallest : float
        The range. Its steps are 1, 2 and 5 times the powers of ten.
    sample : int, float or str, optional
        How many parameters, as 500 or "5%"; by default as many as take some seconds, at most `MOST_PARAMETERS`.
    seed : int
        Seed of their draw, stratified by tensor.
    threads : int, optional
        Threads; by default all.
    progress : callable, optional
        Called with (steps done, steps in all).

    Returns
    -------
    Sweep
        The curves.

    Raises
    ------
    InputError
        If an argument cannot be used, or the network's loss is no number.

    Notes
    -----
    The reference is the propagated difference with steps of its own, so small that truncation is below rounding; nothing
    cancels in it, so that it has no such errors itself. On a kink, where truncation is of first order, it has some 1e-9.
    With step h a textbook difference is off by truncation, some h^p·|J^(p+1)|, p = 1, 2 and 4, and by rounding, some
    u·|J|/h: together a V. The propagated one is off by h²·|J‴|/6 alone.
    """
    steps = _steps(largest, smallest)
    load_kernels(PARAMETER)
    load_kernels(TEXTBOOK)
    began = time.perf_counter()
    wanted = _affordable(problem, len(steps)) if sample is None else sample
    propagated = partial(numerical_gradient, problem, sample=wanted, seed=seed, threads=threads)
    exact = propagated()
    places = np.arange(problem.network.size) if exact.selected is None else exact.selected
    reference, errors, tracker = exact.values[places], [], Tracker(progress, len(steps))
    used = thread_count(threads)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        losses = cache(textbook_losses(problem, exact.base, places, used))
        for step in steps:
            found = [_textbook(problem, places, losses, step, scheme) for scheme in SCHEMES]
            found.append(propagated(step=step).values[places])
            errors.append([relative_difference(values, reference) for values in found])
            tracker.advance(1)
    return Sweep(
        curves=tuple(Curve(name, steps, column) for name, column in zip(NAMES, zip(*errors, strict=True), strict=True)),
        description=describe(problem),
        seed=seed,
        parameters_checked=places.size,
        parameters_total=problem.network.size,
        on_kink=exact.lower is not None,
        seconds=time.perf_counter() - began,
        threads=used,
    )


def _steps(largest: Any, smallest: Any) -> tuple[float, ...]:
    """Return 1, 2 and 5 times the powers of ten in a range, descending, or raise InputError."""
    for name, value in (("largest", largest), ("smallest", smallest)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value > 0.0):
            raise InputError(f"the {name} step must be a positive number, found {quoted(value)}")
    if largest < LEAST_RANGE * smallest:
        raise InputError(f"the largest step must be at least ten times the smallest, found {largest:g} and {smallest:g}")
    decades = range(math.floor(math.log10(largest)), math.floor(math.log10(smallest)) - 1, -1)
    steps = [float(f"{digit}e{decade}") for decade in decades for digit in (5, 2, 1)]
    return tuple(step for step in steps if smallest <= step <= largest)


def _affordable(problem: Problem, steps: int) -> int:
    """Return how many parameters to draw: one of each tensor at least."""
    # Four losses for each step: at θ ± h and at θ ± 2h.
    least = len(problem.tensors)
    return max(least, min(MOST_PARAMETERS, int(AFFORDABLE_WORK / (4 * steps * forward_work(problem) * problem.samples))))


def _textbook(problem: Problem, places: Offsets, losses: Losses, step: float, scheme: Scheme) -> Array:
    """Form the textbook's numerical gradient of some parameters, penalty included."""
    values = np.full(problem.network.size, np.nan)
    values[places] = difference(losses, step, scheme)
    add_penalty(problem, step, values, None, None, scheme)
    return values[places]


def relative_difference(found: Array, reference: Array) -> float:
    """‖found − reference‖/(‖found‖ + ‖reference‖): 0 where both are zero, 1 where a value found is no number."""
    size = norm(found) + norm(reference)
    if not math.isfinite(size):
        return 1.0
    return norm(found - reference) / size if size else 0.0


def _curve_to_dict(curve: Curve) -> dict[str, Any]:
    """Return one element of the document's list `curves`."""
    step, error = curve.best
    return {
        "name": curve.name,
        "errors": list(curve.errors),
        "best_step": step,
        "best_error": error,
        "passing_steps": list(curve.passing),
    }


def _table(curves: tuple[Curve, ...]) -> Table:
    """Return a line for each power of ten, with a strip on which the errors are marked: the curves, turned on their side."""
    table = columns()
    table.add_column("step")
    for curve in curves:
        table.add_column(Text(f"{curve.name} ").append(MARKS[curve.name], style=STYLES[curve.name]), justify="right")
    table.add_column(_scale(), no_wrap=True)
    for place, step in enumerate(curves[0].steps):
        if f"{step:e}".startswith("1.0"):
            errors = {curve.name: curve.errors[place] for curve in curves}
            cells = [Text(f"{error:.1e}", style=STYLES[name]) for name, error in errors.items()]
            table.add_row(Text(f"{step:.0e}"), *cells, _strip(errors))
    return table


def _scale() -> Text:
    """Return the strip's heading."""
    text = [" "] * STRIP
    for label, column in (("1e-16", 0), ("1e-7", _column(THRESHOLD) - 2), ("1", STRIP - 1)):
        text[column : column + len(label)] = label
    return Text("".join(text))


def _strip(errors: dict[str, float]) -> Text:
    """Mark the errors on a logarithmic scale from 1e-16 to 1, the courses' threshold as a bar."""
    cells = [(" ", "")] * STRIP
    cells[_column(THRESHOLD)] = ("|", "dim")
    for name, error in errors.items():
        cells[_column(error)] = (MARKS[name], STYLES[name])
    return Text().join(Text(character, style=style) for character, style in cells)


def _column(error: float) -> int:
    """Return the place of an error on the strip."""
    return round((STRIP - 1) * min(1.0, max(0.0, 1.0 + math.log10(max(error, 1e-300)) / 16.0)))


def _sentences(curves: tuple[Curve, ...]) -> Iterator[str]:
    """Yield what the curves mean."""
    yield f"The best steps are {'; '.join(_best(curve) for curve in curves)}."
    passing = "; ".join(f"{curve.name} {_passing(curve)}" for curve in curves)
    yield f"The courses' threshold of {THRESHOLD:.0e} lets a right gradient pass: {passing}."


def _best(curve: Curve) -> str:
    """Return the best step of a curve, and whether all smaller ones are as good."""
    step, error = curve.best
    smaller = curve.errors[curve.steps.index(step) + 1 :]
    others = " and any smaller one" if smaller and max(smaller) <= ROUNDING else ""
    return f"{curve.name} {step:.0e}{others} (error {error:.0e})"


def _passing(curve: Curve) -> str:
    """Return the steps at which a right gradient passes the threshold."""
    passing, steps = curve.passing, curve.steps
    if not passing:
        return "at none of these steps"
    if len(passing) == len(steps):
        return "at each of these steps"
    if passing[-1] == steps[-1] and passing == steps[-len(passing) :]:
        return f"from {passing[0]:.0e} down"
    first = steps.index(passing[0])
    if passing == steps[first : first + len(passing)]:
        return f"from {passing[0]:.0e} down to {passing[-1]:.0e}"
    return f"at {len(passing)} of {len(steps)} steps"
