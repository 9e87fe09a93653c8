"""Whether a gradient of any function is right: the public `check_function`, and the judgement of each entry.

A central difference for each entry is the screen; what differs from it by more than noise is extrapolated, which decides.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgrad.errors import InputError, quoted
from fastgrad.functions import directions, kinks
from fastgrad.functions.arguments import Array, real_number, whole_number
from fastgrad.functions.claim import NEGLIGIBLE, ROUNDINGS, Claim, claim_of, relative_difference
from fastgrad.functions.difference import both_sides
from fastgrad.functions.evaluation import Function
from fastgrad.functions.extrapolation import LEAST_STEP, Extrapolated, direction_prober, entry_prober, extrapolate
from fastgrad.functions.gradient import check_scheme
from fastgrad.functions.naming import named
from fastgrad.functions.noise import UNIT_ROUNDOFF, Noise, scale_of
from fastgrad.functions.plain import FOLLOWED_FROM, Plain, settled, without_noise
from fastgrad.functions.report import Counts, EntryReport, FunctionReport, Verdict
from fastgrad.functions.step import WITHOUT_NOISE, choose_steps
from fastgrad.functions.tensors import domain_remark, lines
from fastgrad.report.parts import Finding

MOST_ENTRIES = 20_000
"""Numbers in x that are checked one by one; beyond, evaluations for each would take too long."""

SCREEN_NOISE = 8.0
"""Standard deviations of noise that the screen calls noise; a deviation estimated from six differences may be half the true."""

EXTRAPOLATION_NOISE = 6.0
"""Estimated errors of extrapolation within which a claim is right; on the standard problems the largest is 3."""

BLIND = 0.25
"""Share of an entry that may hide in noise before the entry is inconclusive, unless that is negligible."""

BEND = 0.125
"""Share of the largest slope by which the slopes of the two sides may differ before extrapolation looks for a kink."""

NEAR = 20.0
"""Noise, in a step times what a claim is off by, at which a difference tells the claim from the extrapolated value."""

NEARER = 2.0**-20
"""Share of the usual steps with which extrapolation begins again where smaller ones contradict it."""

SHARP = 1e-3
"""Share of an entry that noise may hide from the screen; of others extrapolation, with larger steps, sees more."""


def check_function(
    f: Callable[..., Any],
    gradient: Any,
    x: Any,
    *,
    method: Literal["auto", "entries", "directions"] = "auto",
    step: float | None = None,
    tolerance: float = 0.0,
    bounds: Any = None,
    workers: int | None = None,
    batched: bool = False,
    seed: int | Callable[[], object] = 0,
    diagnosis: bool = True,
) -> FunctionReport:
    """Check the gradient of any function at a point.

    Parameters
    ----------
    f : callable
        The function, as in `numerical_gradient`.
    gradient : callable, or its value
        From x to the gradient in the form of x; or that gradient itself. Infinite entries may be claimed.
    x : float, array_like, mapping or sequence
        The point; it is not modified.
    method : {"auto", "entries", "directions"}
        Each entry by itself, or random directions, along which all entries move, and halving, which finds a wrong one;
        "auto" checks up to 20,000 entries by themselves.
    step : float, optional
        One step for the first look at each entry; by default it follows from noise and derivatives.
    tolerance : float
        Share of an entry, of the larger of both values, by which it may be off and is right all the same.
    bounds : tuple, optional
        The lowest and the highest x, each a number, None, or in the form of x. f is never called outside; at a bound the
        derivative is taken from within.
    workers, batched
        How f is called, as in `numerical_gradient`.
    seed : int or callable
        Seed of the random directions. A function is called before each call of f and of the gradient, so that what they draw
        is the same every time: ``seed=lambda: np.random.seed(0)``; the directions then have the seed 0.
    diagnosis : bool
        Whether what is wrong is named: by what holds exactly on the wrong entries, and, where the gradient is a function of
        which the source can be read, by the edit that makes it right. Edits that do no more than calculate are run, some
        seconds long.

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
    tolerance = real_number(tolerance, "tolerance")
    if tolerance < 0.0:
        raise InputError(f"tolerance is {quoted(tolerance)}; expected a share of an entry, 0 or more")
    reset = seed if callable(seed) else None
    seed = 0 if callable(seed) else whole_number(seed, "seed", 0)
    began = time.perf_counter()
    function = Function(f, x, workers, batched, bounds, reset)
    try:
        claim = claim_of(gradient, function, tolerance)
    except InputError:  # a gradient may take x in its own precision only
        if not function.to_own_precision():
            raise
        claim = claim_of(gradient, function, tolerance)

    def namer(noise: Noise) -> Naming:
        return partial(named, f, gradient, function, claim, noise, seed)

    return judged(function, claim, method, step, seed, began, namer if diagnosis else None)


def judged(
    function: Function,
    claim: Claim,
    method: str = "auto",
    step: float | None = None,
    seed: int = 0,
    began: float | None = None,
    namer: Callable[[Noise], Naming] | None = None,
) -> FunctionReport:
    """Judge a claim of a gradient with the options of `check_function`; what `namer` makes of the noise names what is wrong."""
    began = time.perf_counter() if began is None else began
    noise = Noise(function)
    if method == "directions" or (method == "auto" and function.x.size > MOST_ENTRIES):
        report = directions.check(function, claim, noise, seed, began)
    else:
        naming = _unnamed if namer is None else namer(noise)
        case = Case(function, claim, noise, scale_of(function.x))
        report = _report(case, judge_entries(case, step, seed), naming, step is None, began)
    if report.passed or report.scheme in WITHOUT_NOISE:
        return report
    if not function.settles():
        raise InputError(
            "f gives different values for the same x from call to call: it draws random numbers, a dropout mask for example, "
            "and its values above and below x come from different draws. seed=reset calls reset() before each call of f and of "
            "the gradient; a batched f has to draw the same for every point"
        )
    return replace(report, evaluations=function.evaluations)


Naming = Callable[[Array, Array, str], tuple[Finding, ...]]
"""Names what is wrong from numerical values, their bounds, infinite where nothing is known, and the scheme."""


class Case(NamedTuple):
    """What is judged: a function, a claim of its gradient, its noise, and the scale of each entry."""

    function: Function
    claim: Claim
    noise: Noise
    scale: Array

    def rounding(self, numerical: Array) -> Array:
        """Return how far a correct claim may be off by its own rounding."""
        return self.claim.rounding(numerical, self.noise, self.scale)


class Judged(NamedTuple):
    """What was found of every entry, each array of shape (size,).

    Attributes
    ----------
    numerical, bound : ndarray
        The numerical value, and how far off from it a right claim may be.
    entries : dict
        Reports of the entries that were looked at twice.
    look : Look
        The first look.
    """

    numerical: Array
    bound: Array
    entries: dict[int, EntryReport]
    look: Look

    @property
    def plain(self) -> NDArray[np.bool_]:
        """Entries that have a bound, are not on a kink and not inconclusive."""
        plain = np.isfinite(self.numerical) & np.isfinite(self.bound)
        others = (
            entry for entry, report in self.entries.items() if report.verdict == "inconclusive" or "kink" in report.reason
        )
        plain[list(others)] = False
        return plain

    def counts(self) -> Counts:
        """Return how many entries there are, wrong, inconclusive, and on a kink."""
        found = list(self.entries.values())
        wrong, inconclusive = (sum(entry.verdict == verdict for entry in found) for verdict in ("wrong", "inconclusive"))
        return Counts(self.numerical.size, wrong, inconclusive, sum("kink" in entry.reason for entry in found))

    def notable(self, case: Case) -> list[EntryReport]:
        """Return the entries that are not plainly right, worst first; where all are, the one furthest off."""
        found = [entry for entry in self.entries.values() if entry.verdict != "right" or entry.reason]
        return sorted(found, key=_concern) or [_furthest(case.function, case.claim, self.numerical, self.bound)]


def judge_entries(case: Case, step: float | None, seed: int) -> Judged:
    """Screen every entry, hand those in doubt to extrapolation, and judge what it found."""
    function, claim, noise, _ = case
    look = _first_look(function, noise, step)
    numerical, rounding = look.values.copy(), case.rounding(look.values)
    trembles = 0.0 if look.scheme in WITHOUT_NOISE else SCREEN_NOISE * noise.level / look.steps
    bound = rounding + trembles
    largest = float(np.nanmax(np.abs(np.append(numerical, 0.0))))
    clear = np.maximum(SHARP * np.abs(numerical), NEGLIGIBLE * largest)
    # Extrapolation sees more where noise hides an entry, and no more where the rounding of the claim does.
    sharp = (trembles <= clear) & (rounding <= np.maximum(clear, claim.hidden * largest))
    entries = np.flatnonzero(~(claim.agrees(numerical, bound) & sharp & ~look.bent))
    judged: dict[int, EntryReport] = {}
    if entries.size:
        found = _second_look(case, look, entries)
        numerical[entries] = found.value
        with np.errstate(invalid="ignore"):
            # On a kink the error is half the jump, and what lies within is right.
            errors = np.where(found.kink, 1.0, EXTRAPOLATION_NOISE) * found.error
            bound[entries] = case.rounding(numerical)[entries] + errors
        for entry, finding in zip(entries.tolist(), _findings(case, entries, found, numerical, bound, largest), strict=True):
            judged[entry] = _judge(function, noise, entry, finding)
        judged |= _wrong_together(case, entries, found, judged, seed)
    return Judged(numerical, bound, judged, look)


def _second_look(case: Case, look: Look, entries: NDArray[np.int64]) -> Extrapolated:
    """Look again at entries in question; what has no noise is exact unless open, or contradicted by a difference."""
    if look.plain is None or _contradicted(case, look.values, entries):
        found = extrapolate(case.function, case.noise, entry_prober(case.function, entries), case.scale[entries])
        return _nearer(case, entries, found)
    return settled(case.function, case.noise, look.plain, entries)


def _nearer(case: Case, entries: NDArray[np.int64], found: Extrapolated) -> Extrapolated:
    """Look again, from smaller steps on, at entries whose accusation the smallest steps that can tell contradict.

    A kink a little beside x bends every difference across it, and several at several distances bend those that are
    extrapolated from each other. At a step h whose noise is a twentieth of what the claim is off by, and at 4h, differences
    that both have the claim for their value have seen none of them. Curvature makes 16 times as much of the second as of the
    first.
    """
    with np.errstate(invalid="ignore"):
        off = np.abs(case.claim.values[entries] - found.value)
        accused = off > case.rounding(np.nan_to_num(case.claim.values))[entries] + EXTRAPOLATION_NOISE * found.error
    rows = np.flatnonzero(accused & np.isfinite(off) & ~found.kink & ~found.unsettled)
    if rows.size == 0:
        return found
    scale = case.scale[entries[rows]]
    steps = np.clip(NEAR * case.noise.level / off[rows], LEAST_STEP * scale, scale)
    probe = entry_prober(case.function, entries[rows])
    near = [probe(np.arange(rows.size), factor * steps) for factor in (1.0, 4.0)]
    slopes = np.array([(one.upper - one.lower) / (one.above + one.below) for one in near])
    rows = rows[(np.abs(slopes - case.claim.values[entries[rows]]) <= 0.25 * off[rows]).all(axis=0)]
    if rows.size == 0:
        return found
    again = extrapolate(
        case.function, case.noise, entry_prober(case.function, entries[rows]), NEARER * case.scale[entries[rows]]
    )
    return Extrapolated(*(_replaced(part, rows, new) for part, new in zip(found, again, strict=True)))


def _replaced(values: NDArray[Any], places: NDArray[np.int64], new: NDArray[Any]) -> NDArray[Any]:
    """Return values with some of them replaced."""
    values = values.copy()
    values[places] = new
    return values


def _contradicted(case: Case, values: Array, entries: NDArray[np.int64]) -> bool:
    """Whether a difference along all entries that the first look accuses, each moved towards its claim, says another slope."""
    off = np.nan_to_num(case.claim.values - values, posinf=1.0, neginf=-1.0)
    accused = entries[np.abs(off[entries]) > case.rounding(values)[entries]]
    if accused.size == 0:
        return False
    direction = np.zeros(values.size)
    direction[accused] = case.function.inward(np.sign(off) * case.scale)[accused]
    prober = direction_prober(case.function, direction[None])
    plain = extrapolate(case.function, case.noise, prober, np.array([accused.size**-0.5]))
    terms = np.nan_to_num(values) * direction
    room = ROUNDINGS * UNIT_ROUNDOFF * np.abs(terms).sum() + EXTRAPOLATION_NOISE * plain.error[0]
    return bool(plain.kink[0] or abs(plain.value[0] - terms.sum()) > room)


def _findings(
    case: Case, entries: NDArray[np.int64], found: Extrapolated, numerical: Array, bound: Array, largest: float
) -> Iterator[Extrapolation]:
    """Yield what was found of each entry in question."""
    claim = case.claim
    natural = np.maximum(found.swing, max(largest, abs(case.function.value)))
    room = np.maximum(BLIND * claim.size(numerical)[entries], NEGLIGIBLE * natural)
    room = np.maximum(room, claim.zeros(case.noise, case.scale)[entries])
    coarse = np.maximum(room, claim.hidden * largest)
    allowed, rounding = claim.allowed(numerical)[entries], case.rounding(numerical)[entries]
    columns = (claim.values[entries], found.value, bound[entries], allowed, rounding, room, coarse)
    sides = (found.left, found.right, found.doubt, found.swing, found.kink, found.unsettled)
    return (Extrapolation(*row) for row in zip(*columns, *sides, strict=True))


def _wrong_together(
    case: Case, entries: NDArray[np.int64], found: Extrapolated, judged: dict[int, EntryReport], seed: int
) -> dict[int, EntryReport]:
    """Return the entries on kinks that are right by themselves, and are wrong together."""
    right = found.kink & np.array([judged[entry].verdict == "right" for entry in entries.tolist()])
    on_kinks = kinks.Kinks(entries[right], found.left[right], found.right[right])
    wrong = kinks.together(case.function, case.claim, case.noise, on_kinks, seed)
    return {entry: replace(judged[entry], verdict="wrong", reason=reason) for entry, reason in wrong.items()}


class Look(NamedTuple):
    """A value for each entry, its step, how it was taken, and whether one-sided differences lie far apart.

    Of a gradient without noise also that itself; its values are nan where they are open.
    """

    values: Array
    steps: Array
    scheme: str
    bent: NDArray[np.bool_]
    plain: Plain | None


def _first_look(function: Function, noise: Noise, step: float | None) -> Look:
    """Look at each entry without noise where the function allows it, else by a central difference."""
    entries = np.arange(function.x.size)
    plain = without_noise(function) if step is None else None
    if plain is not None:
        return Look(plain.values, plain.steps, plain.scheme, plain.open, plain)
    steps = choose_steps(function, noise, "central") if step is None else np.full(entries.size, step)
    upper, lower = both_sides(function, steps, entries, forgiving=True)
    slopes = np.abs(np.append(upper - function.value, function.value - lower)) / np.append(steps, steps)
    jump = np.abs(upper - 2.0 * function.value + lower) / steps
    bent = jump > BEND * np.nanmax(np.append(slopes, 0.0)) + 2.0 * SCREEN_NOISE * noise.level / steps
    return Look((upper - lower) / (2.0 * steps), steps, "central", bent, None)


class Extrapolation(NamedTuple):
    """What extrapolation found of one entry: both values, the difference explained, one-sided slopes and their doubt.

    What may hide in noise of f is `room`, a share of the entry, or next to nothing beside what an entry may well be: the
    largest one, f itself, or the quotient of this one at any step; `coarse` may hide in the claim's own rounding.
    """

    claimed: float
    numerical: float
    bound: float
    allowed: float
    rounding: float
    room: float
    coarse: float
    left: float
    right: float
    doubt: float
    swing: float
    kink: bool
    unsettled: bool


def _judge(function: Function, noise: Noise, entry: int, found: Extrapolation) -> EntryReport:
    """Judge an entry that was extrapolated."""
    verdict, reason = _verdict(function, noise, entry, found)
    name = function.layout.label(entry)
    return EntryReport(name, verdict, float(found.claimed), float(found.numerical), float(found.bound), reason)


def _verdict(function: Function, noise: Noise, entry: int, found: Extrapolation) -> tuple[Verdict, str]:
    """Return the verdict on an entry and the reason."""
    if np.isnan(found.claimed):
        return "wrong", "the claim is nan"
    if found.unsettled:
        return _verdict_without_limit(found)
    if np.isnan(found.numerical):
        return "inconclusive", _outside(function, entry)
    if np.isinf(found.claimed):
        return "wrong", f"the claim is {found.claimed}"
    if found.kink:
        return _verdict_on_kink(found)
    if abs(found.claimed - found.numerical) > found.bound + found.allowed:
        return "wrong", ""
    if found.claimed == found.swing == 0.0:
        return "right", ""  # f does not change with this entry at any step
    if found.bound - found.rounding > found.room:
        hidden = f"noise of f, {noise.level:.1e}, leaves ±{found.bound:.1e} in its differences, which hides the entry"
        return "inconclusive", hidden
    off, size = abs(found.claimed - found.numerical), max(abs(found.claimed), abs(found.numerical))
    if found.rounding > found.coarse and off > SHARP * size:  # what agrees as closely as that, rounding has not moved so far
        return "inconclusive", f"rounding of the claim leaves ±{found.rounding:.1e}, which hides the entry"
    return "right", ""


def _outside(function: Function, entry: int) -> str:
    """Say on which side of x f has no values."""
    near = LEAST_STEP * scale_of(function.x)[entry]
    values = function.moved(np.array([entry, entry]), np.array([-near, near]), forgiving=True)
    sides = [side for side, value in zip(("below", "above"), values, strict=True) if not np.isfinite(value)]
    if len(sides) == 1:
        return f"f has no finite values on both sides of x, none {sides[0]} it; bounds= takes the slope from the other side"
    return "f has no finite values on both sides of x at any step tried"


def _verdict_without_limit(found: Extrapolation) -> tuple[Verdict, str]:
    """Return right for an infinite slope that both sides have."""
    known = [side for side in (found.left, found.right) if not np.isnan(side)]
    if np.isinf(known).all() and len(set(known)) == 1:
        rises = f"the slope has no limit: it {'grows' if known[0] > 0.0 else 'falls'} as long as the step shrinks"
        if np.isfinite(found.claimed):
            return "inconclusive", rises
        return ("right", f"{rises}, to {known[0]}") if found.claimed == known[0] else ("wrong", f"{rises}; the claim is not")
    return "inconclusive", "f jumps at x, or its slope has no limit: differences grow as the step shrinks"


def _verdict_on_kink(found: Extrapolation) -> tuple[Verdict, str]:
    """Return right for any slope between those of the two sides."""
    lower, upper = sorted((found.left, found.right))
    slack = kinks.SLACK * (upper - lower) + EXTRAPOLATION_NOISE * found.doubt + found.allowed
    sides = f"a kink: slope {found.left:.6g} on the left, {found.right:.6g} on the right"
    if lower - slack <= found.claimed <= upper + slack:
        return "right", f"{sides}; any value between is right"
    return "wrong", f"{sides}; the claim is not between them"


def _report(case: Case, judged: Judged, naming: Naming, is_automatic: bool, began: float) -> FunctionReport:
    function, claim, noise, _ = case
    numerical, bound, entries, look = judged
    counts, plain = judged.counts(), judged.plain
    known = np.where(plain, bound + claim.allowed(numerical), np.inf)
    findings = naming(numerical, known, look.scheme) if counts.wrong else ()
    # An error of twice what explains a difference, tolerance included, is caught for certain.
    sensitivity, tensors = lines(function.layout, claim, numerical, bound + claim.allowed(numerical), plain, entries)
    return FunctionReport(
        verdict="wrong" if counts.wrong else "inconclusive" if counts.inconclusive else "right",
        counts=counts,
        entries=tuple(judged.notable(case)),
        ratio=ratio_of(claim.values, numerical, np.where(plain, bound, np.inf)) if counts.wrong else None,
        relative_difference=relative_difference(claim.values, numerical if is_automatic else look.values),
        value=function.value,
        noise=noise.level,
        method="entries",
        scheme=look.scheme,
        step_range=(float(look.steps.min()), float(look.steps.max())),
        directions=0,
        miss=0.0,
        seed=None,
        evaluations=function.evaluations,
        seconds=time.perf_counter() - began,
        tolerance=claim.tolerance,
        sensitivity=sensitivity,
        tensors=tensors,
        remarks=tuple(_remarks(function, bool(not counts.wrong and plain.all() and np.all(np.abs(numerical) <= bound)))),
        findings=findings,
    )


def _unnamed(numerical: Array, bound: Array, scheme: str) -> tuple[Finding, ...]:
    """Name nothing."""
    return ()


def _remarks(function: Function, is_flat: bool) -> Iterator[str]:
    """Yield what there is to say of f at this point: a gradient of nothing, an edge of the domain nearby."""
    if is_flat:
        yield (
            "f does not depend on x here, to rounding: its gradient is 0 within the ± of every entry, and many mistakes would "
            "pass. Check at another point, or weigh the outputs that f sums by random numbers."
        )
    yield from domain_remark(function)
    if function.not_followed and function.x.size >= FOLLOWED_FROM:
        yield f"Exact differences could not be carried through f, since {function.not_followed}; others were taken."


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
