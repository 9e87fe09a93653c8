"""Whether a gradient of any function is right: the public `check_function`, and the judgement of each entry.

A central difference for each entry is the screen; what differs from it by more than noise is extrapolated, which decides.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgrad.errors import InputError, quoted
from fastgrad.functions import directions
from fastgrad.functions.arguments import Array, whole_number
from fastgrad.functions.claim import Claim, claim_of, relative_difference
from fastgrad.functions.difference import both_sides, try_complex
from fastgrad.functions.evaluation import Function
from fastgrad.functions.extrapolation import entry_prober, extrapolate
from fastgrad.functions.gradient import check_scheme
from fastgrad.functions.noise import Noise, scale_of
from fastgrad.functions.report import Counts, EntryReport, FunctionReport, Verdict
from fastgrad.functions.step import COMPLEX_STEP, choose_steps

MOST_ENTRIES = 20_000
"""Numbers in x that are checked one by one; beyond, evaluations for each would take too long."""

SCREEN_NOISE = 8.0
"""Standard deviations of noise that the screen calls noise; a deviation estimated from six differences may be half the true."""

EXTRAPOLATION_NOISE = 6.0
"""Estimated errors of extrapolation within which a claim is right; on the standard problems the largest is 3."""

BLIND = 0.25
"""Share of an entry that may hide in noise before the entry is inconclusive ..."""

NEGLIGIBLE = 1e-6
"""... unless that is less than this share of what an entry may well be."""

KINK = 1e-6
"""Share of the jump by which one-sided slopes may be off."""

BEND = 0.125
"""Share of the largest slope by which the slopes of the two sides may differ before extrapolation looks for a kink."""

SHARP = 1e-3
"""Share of an entry that noise may hide from the screen; of others extrapolation, with larger steps, sees more."""


def check_function(
    f: Callable[..., Any],
    gradient: Any,
    x: Any,
    *,
    method: Literal["auto", "entries", "directions"] = "auto",
    step: float | None = None,
    workers: int | None = None,
    batched: bool = False,
    seed: int = 0,
) -> FunctionReport:
    """Check the gradient of any function at a point.

    Parameters
    ----------
    f : callable
        The function, as in `numerical_gradient`.
    gradient : callable, or its value
        From x to the gradient in the form of x; or that gradient itself.
    x : float, array_like, mapping or sequence
        The point; it is not modified.
    method : {"auto", "entries", "directions"}
        Each entry by itself, or random directions, along which all entries move, and halving, which finds a wrong one;
        "auto" checks up to 20,000 entries by themselves.
    step : float, optional
        One step for the first look at each entry; by default it follows from noise and derivatives.
    workers, batched
        How f is called, as in `numerical_gradient`.
    seed : int
        Seed of the random directions.

    Returns
    -------
    FunctionReport
        ``report.passed``, ``print(report)``, ``report.raise_if_wrong()``.

    Raises
    ------
    InputError
        If f or the gradient fails, modifies its argument, gives two values for one point or none that fits.

    Examples
    --------
    >>> import fastgrad
    >>> fastgrad.check_function(lambda x: (x**2).sum(), lambda x: 2 * x, [[1.0, 2.0], [3.0, 4.0]]).passed
    True
    """
    check_scheme("auto", step)
    if method not in ("auto", "entries", "directions"):
        raise InputError(f"method is {quoted(method)}; expected auto, entries or directions")
    seed = whole_number(seed, "seed", 0)
    began = time.perf_counter()
    function = Function(f, x, workers, batched)
    claim = claim_of(gradient, function)
    noise = Noise(function)
    if method == "directions" or (method == "auto" and function.x.size > MOST_ENTRIES):
        return directions.check(function, claim, noise, seed, began)
    return _check_entries(function, claim, noise, step, began)


def _check_entries(function: Function, claim: Claim, noise: Noise, step: float | None, began: float) -> FunctionReport:
    """Screen every entry, hand those in doubt to extrapolation, and judge what it found."""
    numerical, steps, scheme, bent = _first_look(function, noise, step)
    scale = scale_of(function.x)
    rounding = claim.rounding(numerical, noise, scale)
    bound = rounding if scheme == "complex" else rounding + SCREEN_NOISE * noise.level / steps
    largest = float(np.nanmax(np.abs(np.append(numerical, 0.0))))
    sharp = bound <= np.maximum(SHARP * np.abs(numerical), NEGLIGIBLE * largest)
    agrees = (np.abs(claim.values - numerical) <= bound) & sharp & ~bent
    entries = np.flatnonzero(~agrees)
    first, judged = numerical.copy(), []
    if entries.size:
        found = extrapolate(function, noise, entry_prober(function, entries), scale[entries])
        numerical[entries] = found.value
        bound[entries] = claim.rounding(numerical, noise, scale)[entries] + EXTRAPOLATION_NOISE * found.error
        natural = np.maximum(found.swing, max(largest, abs(function.value)))
        names = [function.layout.label(int(entry)) for entry in entries]
        columns = (
            claim.values[entries],
            found.value,
            bound[entries],
            natural,
            found.left,
            found.right,
            found.doubt,
            found.kink,
            found.unsettled,
        )
        judged = [_judge(Finding(name, *row), noise) for name, *row in zip(names, *columns, strict=True)]
    shown = numerical if step is None else first
    return _report(function, claim, noise, judged, numerical, bound, shown, (steps, scheme), began)


class Look(NamedTuple):
    """A value for each entry, its step, how it was taken, and whether one-sided differences lie far apart."""

    values: Array
    steps: Array
    scheme: str
    bent: NDArray[np.bool_]


def _first_look(function: Function, noise: Noise, step: float | None) -> Look:
    """Look at each entry by complex steps where the function allows it, else by a central difference."""
    entries = np.arange(function.x.size)
    value = try_complex(function) if step is None else None
    if value is not None:
        return Look(value, np.full(entries.size, COMPLEX_STEP), "complex", np.zeros(entries.size, dtype=bool))
    steps = choose_steps(function, noise, "central") if step is None else np.full(entries.size, step)
    upper, lower = both_sides(function, steps, entries, forgiving=True)
    slopes = np.abs(np.append(upper - function.value, function.value - lower)) / np.append(steps, steps)
    jump = np.abs(upper - 2.0 * function.value + lower) / steps
    bent = jump > BEND * np.nanmax(np.append(slopes, 0.0)) + 2.0 * SCREEN_NOISE * noise.level / steps
    return Look((upper - lower) / (2.0 * steps), steps, "central", bent)


class Finding(NamedTuple):
    """What extrapolation found of one entry: both values, the difference explained, one-sided slopes and their doubt.

    `natural` is what an entry may well be: the largest one, f itself, or the quotient of this one at any step.
    """

    name: str
    claimed: float
    numerical: float
    bound: float
    natural: float
    left: float
    right: float
    doubt: float
    kink: bool
    unsettled: bool


def _judge(found: Finding, noise: Noise) -> EntryReport:
    """Judge an entry that was extrapolated."""
    verdict, reason = _verdict(found, noise)
    return EntryReport(found.name, verdict, float(found.claimed), float(found.numerical), float(found.bound), reason)


def _verdict(found: Finding, noise: Noise) -> tuple[Verdict, str]:
    """Return the verdict on an entry and the reason."""
    if not np.isfinite(found.claimed):
        return "wrong", f"the claim is {found.claimed}"
    if np.isnan(found.numerical):
        return "inconclusive", "f has no finite values on both sides of x at any step tried"
    if found.unsettled:
        return "inconclusive", "f jumps at x, or its slope has no limit: differences grow as the step shrinks"
    if found.kink:
        return _verdict_on_kink(found)
    if abs(found.claimed - found.numerical) > found.bound:
        return "wrong", ""
    if found.bound > max(BLIND * max(abs(found.claimed), abs(found.numerical)), NEGLIGIBLE * found.natural):
        return (
            "inconclusive",
            f"noise of f, {noise.level:.1e}, leaves ±{found.bound:.1e} in its differences, which hides the entry",
        )
    return "right", ""


def _verdict_on_kink(found: Finding) -> tuple[Verdict, str]:
    """Return right for any slope between those of the two sides."""
    lower, upper = sorted((found.left, found.right))
    slack = KINK * (upper - lower) + EXTRAPOLATION_NOISE * found.doubt
    sides = f"a kink: slope {found.left:.6g} on the left, {found.right:.6g} on the right"
    if lower - slack <= found.claimed <= upper + slack:
        return "right", f"{sides}; any value between is right"
    return "wrong", f"{sides}; the claim is not between them"


def _report(
    function: Function,
    claim: Claim,
    noise: Noise,
    judged: list[EntryReport],
    numerical: Array,
    bound: Array,
    shown: Array,
    how: tuple[Array, str],
    began: float,
) -> FunctionReport:
    counts = Counts(
        total=function.x.size,
        wrong=sum(entry.verdict == "wrong" for entry in judged),
        inconclusive=sum(entry.verdict == "inconclusive" for entry in judged),
        kinks=sum("kink" in entry.reason for entry in judged),
    )
    notable = sorted((entry for entry in judged if entry.verdict != "right" or entry.reason), key=_concern)
    if not notable:
        notable = [_furthest(function, claim, numerical, bound)]
    return FunctionReport(
        verdict="wrong" if counts.wrong else "inconclusive" if counts.inconclusive else "right",
        counts=counts,
        entries=tuple(notable),
        ratio=ratio_of(claim.values, numerical, bound) if counts.wrong else None,
        relative_difference=relative_difference(claim.values, shown),
        value=function.value,
        noise=noise.level,
        method="entries",
        scheme=how[1],
        step_range=(float(how[0].min()), float(how[0].max())),
        directions=0,
        miss=0.0,
        seed=None,
        evaluations=function.evaluations,
        seconds=time.perf_counter() - began,
    )


def _concern(entry: EntryReport) -> tuple[int, float]:
    """Return the sort key: wrong before inconclusive before right, and those furthest off first."""
    off = abs(entry.claimed - entry.numerical) / max(entry.bound, np.finfo(np.float64).tiny)
    return ["wrong", "inconclusive", "right"].index(entry.verdict), -off if np.isfinite(off) else -np.inf


def _furthest(function: Function, claim: Claim, numerical: Array, bound: Array) -> EntryReport:
    """Return the entry that uses most of its bound."""
    off = np.abs(claim.values - numerical) / np.maximum(bound, np.finfo(np.float64).tiny)
    entry = int(np.argmax(off))
    return EntryReport(
        function.layout.label(entry), "right", float(claim.values[entry]), float(numerical[entry]), float(bound[entry]), ""
    )


def ratio_of(claimed: Array, numerical: Array, bound: Array) -> float | None:
    """Return claimed / numerical where it is the same number for all entries within their bounds."""
    known = np.isfinite(numerical) & np.isfinite(bound)
    if not np.isfinite(claimed).all() or not np.any(numerical[known]):
        return None
    ratio = float(claimed[known] @ numerical[known] / (numerical[known] @ numerical[known]))
    allowed = bound * max(1.0, abs(ratio)) + 1e-9 * np.abs(claimed)
    return ratio if np.all(np.abs(claimed - ratio * numerical)[known] <= allowed[known]) else None
