"""Extrapolation, which decides where a simple difference leaves doubt: central differences with shrinking steps, down to noise.

Called by `gradient` and `check`. It says how far off a derivative may be, and whether the function has a kink there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from fastgrad.functions.arguments import Array
from fastgrad.functions.evaluation import Function
from fastgrad.functions.noise import SINGLE_ROUNDOFF, UNIT_ROUNDOFF, are_single

FIRST_STEP = 0.274
"""First step in units of the scale. No power of two, and no simple fraction of a period: steps that are whole periods of a
function see it constant."""

CAUTION = 10.0
"""Times the predicted truncation: near a pole the next correction is larger than the one before foretells."""

LEAST_SHRINKING = 0.01
"""Ratio of successive corrections that is believed: a smaller one may be a derivative near zero, and not the next one."""

LEAST_STEP = 2.0**-47
"""Smallest step in units of the scale: 32 units in the last place of x, so that both sides are about as far."""

ORDERS = 7
"""Columns of the table of extrapolation: the last cancels truncation up to the 14th power of the step."""

MOST_LEVELS = 24

SHRINK = 2.0
"""Factor from step to step."""

STEADY = 512.0
"""Factor by which a step shrinks without the jump between one-sided derivatives shrinking, for a kink to be believed: where
a function is smooth, the jump shrinks by the same factor. Three shrinks by 8; chance may make one or two jumps alike."""

LEAP = 64.0
"""Factor from step to step while a jump stays as it is."""

BLURRED = 0.01
"""Share of a jump that noise may be for it to be looked at."""

GROWING = 2.0**21
"""The same for a jump that grows: where the step is longer than the waves of a function it grows as well, for a while."""

CONTRADICTION = 4.0
"""Errors by which what a smaller step finds differs from the best value so far, for the two to contradict each other."""

DRIFT = 0.9
"""Share of the one before that a change of a one-sided quotient must have, both for the same factor in the step, for the
quotient to be on its way to infinity. A logarithm changes by the same each time, a power of the step by more, and what has a
limit by less: the changes of h^p shrink by 8^p where the step does by 8."""

DRIFTING = 64.0
"""Factor by which a step shrinks while a quotient drifts, for smaller steps to be tried before anything is believed."""

ONE_SIDED = 8.0
"""Times the noise of a difference that extrapolation to one side has at most: with halved steps the columns multiply it by
(2 + 1)/(2 - 1)·(4 + 1)/(4 - 1)·(8 + 1)/(8 - 1)…"""

CHUNK = 8192
"""Entries extrapolated together: their tables take 1 MB."""

Entries = NDArray[np.int64]


class Probe(NamedTuple):
    """Values above and below x for some rows, the distances at which they were taken, and the size of x in that row.

    At the edge of a domain one of the values is f(x), and its distance 0. Where every row has a noise of its own, it is given.
    """

    upper: Array
    lower: Array
    above: Array
    below: Array
    size: Array
    noise: Array | None = None

    def of(self, rows: NDArray[np.bool_]) -> Probe:
        """Return the probe of some of the rows."""
        noise = None if self.noise is None else self.noise[rows]
        return Probe(self.upper[rows], self.lower[rows], self.above[rows], self.below[rows], self.size[rows], noise)


class Valued(Protocol):
    """What has a value at its point."""

    value: float


class Noisy(Protocol):
    """The noise of values: what is known of it, whether it was measured, and its level, measured when it is asked for."""

    @property
    def known(self) -> float:
        """What is known."""

    @property
    def is_measured(self) -> bool:
        """Whether it was measured."""

    @property
    def level(self) -> float:
        """The measured level."""


Prober = Callable[[Entries, Array], Probe]


class Extrapolated(NamedTuple):
    """What extrapolation found, each of shape (rows,).

    Attributes
    ----------
    value, error : ndarray
        Derivative, and an estimate of how far off it is, of noise and truncation together; nan where the function has no
        values on both sides, however near, and infinite where slopes grow without end.
    step : ndarray
        Smallest step that the value rests on.
    right, left : ndarray
        One-sided derivatives at the smallest step; infinite where they grow or fall as long as the step shrinks.
    doubt : ndarray
        How far off these are estimated to be.
    swing : ndarray
        Largest one-sided difference quotient at any step: what a derivative of this function may well be.
    kink, unsettled : ndarray of bool
        One-sided derivatives that stay apart; that grow apart, or without end.
    """

    value: Array
    error: Array
    step: Array
    right: Array
    left: Array
    doubt: Array
    swing: Array
    kink: NDArray[np.bool_]
    unsettled: NDArray[np.bool_]


def entry_prober(function: Function, entries: Entries) -> Prober:
    """Return the prober whose rows are entries of x; distances are exact, as rounded x ± h have them."""

    def probe(rows: Entries, steps: Array) -> Probe:
        x, (below, above) = function.x[entries[rows]], function.room(entries[rows])
        up, down = steps * above, steps * below
        offsets = np.column_stack([up, -down])
        values = function.moved(np.repeat(entries[rows], 2), offsets.ravel(), forgiving=True).reshape(-1, 2)
        return Probe(values[:, 0], values[:, 1], (x + up) - x, x - (x - down), np.abs(x))

    return probe


def direction_prober(function: Function, directions: Array) -> Prober:
    """Return the prober whose rows are directions, shape (rows, size)."""

    def probe(rows: Entries, steps: Array) -> Probe:
        below = steps * np.array([function.has_room(-direction) for direction in directions[rows]])
        upper = function.along(directions[rows], steps, forgiving=True)
        return Probe(upper, function.along(directions[rows], -below, forgiving=True), steps, below, 0.0 * steps)

    return probe


def extrapolate(function: Valued, noise: Noisy, probe: Prober, scales: Array) -> Extrapolated:
    """Return derivatives by central differences with shrinking steps, extrapolated to step 0."""
    parts = []
    for start in range(0, scales.size, CHUNK):
        table = _Table(function, noise, scales[start : start + CHUNK])
        parts.append(table.run(lambda rows, steps, start=start: probe(rows + start, steps)))  # type: ignore[misc]
    return Extrapolated(*(np.concatenate(part) for part in zip(*parts, strict=True)))


class _Table:
    """The table of extrapolation of some rows at once; rows leave as they are settled."""

    def __init__(self, function: Valued, noise: Noisy, scales: Array) -> None:
        rows = scales.size
        self.function, self.noise = function, noise
        self.step, self.least = FIRST_STEP * scales, LEAST_STEP * scales
        self.steps = np.full((rows, ORDERS), np.nan)  # those before, latest first
        self.row = np.full((rows, ORDERS), np.nan)
        self.value, self.error, self.best_step = np.full(rows, np.nan), np.full(rows, np.inf), np.full(rows, np.nan)
        self.right, self.left = np.full(rows, np.nan), np.full(rows, np.nan)
        self.right_raw, self.left_raw, self.uncertain = np.full(rows, np.nan), np.full(rows, np.nan), np.full(rows, np.inf)
        self.swing = np.zeros(rows)
        self.jump, self.steady, self.growing = np.full(rows, np.nan), np.ones(rows), np.ones(rows)
        self.lasted = np.ones(rows)  # the longest that a jump stayed or grew
        self.change, self.drift = np.full((rows, 2), np.nan), np.ones((rows, 2))  # of the slopes on the right and on the left
        self.rival, self.rival_error = np.full(rows, np.nan), np.full(rows, np.inf)  # what contradicts the best value

    def run(self, probe: Prober) -> Extrapolated:
        """Shrink steps until every row is settled."""
        active = np.arange(self.step.size)
        for level in range(MOST_LEVELS):
            active = self._level(active, probe(active, self.step[active]), level)
            if active.size == 0:
                break
        disputed = np.isfinite(self.rival)
        self.error[disputed] = np.fmax(self.error, np.abs(self.rival - self.value))[disputed]
        endless = self.drift >= GROWING
        self.right[endless[:, 0]] = np.copysign(np.inf, self.change[endless[:, 0], 0])
        self.left[endless[:, 1]] = np.copysign(np.inf, self.change[endless[:, 1], 1])
        kink, unsettled = self.steady >= STEADY, (self.growing >= GROWING) | endless.any(axis=1)
        broken = kink | unsettled
        right, left = self.right[broken], self.left[broken]
        right, left = np.where(np.isnan(right), left, right), np.where(np.isnan(left), right, left)
        with np.errstate(invalid="ignore"):
            self.value[broken], self.error[broken] = 0.5 * right + 0.5 * left, np.abs(0.5 * right - 0.5 * left)
        self.error[endless.any(axis=1)] = np.inf
        return Extrapolated(
            self.value, self.error, self.best_step, self.right, self.left, self.uncertain, self.swing, kink, unsettled
        )

    def _level(self, rows: Entries, probed: Probe, level: int) -> Entries:
        """Take one more central difference for each row; return the rows that need another."""
        step = self.step[rows]
        fine = np.isfinite(probed.upper) & np.isfinite(probed.lower)
        self.step[rows[~fine]] /= 8.0
        noise = self._noise_of(probed, step)
        suspect = np.zeros(rows.size, dtype=bool)
        suspect[fine] = self._one_sided(rows[fine], probed.of(fine), noise[fine])
        before = self.error[rows].copy()
        truncation = np.full(rows.size, np.inf)
        central = (probed.upper - probed.lower) / (probed.above + probed.below)
        order = np.where((probed.above > 0.0) & (probed.below > 0.0), 2.0, 1.0)
        truncation[fine] = self._extend(rows[fine], central[fine], noise[fine], order[fine])
        disputed = np.isfinite(self.rival[rows])
        stuck = (level >= 5) | ((level == 3) & (self.error[rows] > 0.25 * before))
        if not self.noise.is_measured and np.any(disputed | (stuck & (truncation > noise))):
            self._measure()
            noise = self._noise_of(probed, step)
        # A kink may lie beside x: it is believed at x itself once a smaller step would drown the jump in noise.
        drowning = LEAP * noise > BLURRED * np.abs(self.jump[rows])
        broken = (self.steady[rows] >= STEADY) & drowning
        done = ((truncation <= noise) | (noise > self.error[rows])) & ~suspect & ~disputed | broken
        slow = suspect | (np.isfinite(truncation) & (truncation > 0.1 * np.abs(self.row[rows, 0])))
        leaping = (self.steady[rows] >= STEADY) | (self.growing[rows] >= GROWING)
        shrink = np.where(leaping, LEAP, np.where(slow, 8.0, SHRINK))
        self.step[rows[fine]] = (step / shrink)[fine]
        more: Entries = rows[~done & (self.step[rows] > self.least[rows])]
        return more

    def _measure(self) -> None:
        """Measure noise, since values tremble by more than their rounding or convergence is slow; nothing is better than it."""
        least = 2.0 * self.noise.level / self.best_step
        self.error = np.fmax(self.error, least)
        self.steady[:], self.growing[:], self.lasted[:], self.drift[:] = 1.0, 1.0, 1.0, 1.0  # jumps that were noise
        self.rival[:] = np.nan

    def _noise_of(self, probed: Probe, step: Array) -> Array:
        """Return what noise does to a central difference: 2ε/h, for extrapolated values an upper estimate as well.

        Notes
        -----
        Of values with noise ε, (f₊ - f₋)/2h has the deviation ε/(√2h), and extrapolation by halved steps makes less than
        1.5 times as much of it; the factor 2 is twice that. ε is no less than the rounding of the values, and of x in them.
        """
        value = self.function.value
        with np.errstate(invalid="ignore"):
            slope = np.fmax(np.abs(probed.upper - value) / probed.above, np.abs(probed.lower - value) / probed.below)
        rounding = UNIT_ROUNDOFF * slope * probed.size
        sides = np.where((probed.above > 0.0) & (probed.below > 0.0), 1.0, ONE_SIDED)
        if probed.noise is not None:
            return np.asarray(2.0 * sides * np.fmax(probed.noise, rounding) / step)
        # A function of single precision that is nothing at x rounds the more the farther away its values are taken.
        values = np.column_stack([probed.upper, probed.lower, np.full(step.size, value)])
        unit = np.where(are_single(values), SINGLE_ROUNDOFF, UNIT_ROUNDOFF)
        largest = np.fmax(np.fmax(np.abs(probed.upper), np.abs(probed.lower)), abs(value))
        noise: Array = 2.0 * sides * np.fmax(np.maximum(self.noise.known, unit * largest), rounding) / step
        return noise

    def _one_sided(self, rows: Entries, probed: Probe, noise: Array) -> NDArray[np.bool_]:
        """Compare the jump between one-sided derivatives with that at the step before; return where it does not shrink."""
        value = self.function.value
        with np.errstate(invalid="ignore"):
            right, left = (probed.upper - value) / probed.above, (value - probed.lower) / probed.below
        shrunk, jump = self.steps[rows, 0] / self.step[rows], right - left
        self._drift(rows, np.column_stack([right, left]), shrunk, noise)
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = np.abs(jump) / np.abs(self.jump[rows])
        seen = (np.abs(jump) > 4.0 * noise) & np.isfinite(ratio)
        steady, growing = seen & (ratio > 0.75) & (ratio < 1.5), seen & (ratio >= 1.5)
        # A jump that stayed or grew and is gone was that of a kink or a pole beside x: what larger steps found is void.
        beside = rows[(self.lasted[rows] >= 64.0) & (ratio <= 0.75)]
        self.row[beside], self.value[beside], self.error[beside], self.lasted[beside] = np.nan, np.nan, np.inf, 1.0
        self.rival[beside], self.drift[beside] = np.nan, 1.0
        self.steady[rows] = np.where(steady, self.steady[rows] * shrunk, 1.0)
        self.growing[rows] = np.where(growing, self.growing[rows] * shrunk, 1.0)
        self.lasted[rows] = np.maximum(self.lasted[rows], np.maximum(self.steady[rows], self.growing[rows]))
        # Curvature bends both sides in proportion to the step; two steps tell how much, and leave the slopes at the point.
        left0, right0 = self.left_raw[rows], self.right_raw[rows]
        bend = np.where(np.isfinite(shrunk), 1.0 / (shrunk - 1.0), 0.0)
        correction = bend * np.where(np.isfinite(right0), [right - right0, left - left0], 0.0)
        uncertain = np.where(np.isfinite(right0), noise + np.abs(correction).max(axis=0), np.inf)
        # The best slopes of a jump are kept; where the jump has changed, those before were of something else.
        chosen = (uncertain < self.uncertain[rows]) | ~steady
        self.right[rows[chosen]], self.left[rows[chosen]] = (right + correction[0])[chosen], (left + correction[1])[chosen]
        self.uncertain[rows[chosen]] = uncertain[chosen]
        self.swing[rows] = np.fmax(self.swing[rows], np.fmax(np.abs(right), np.abs(left)))
        self.right_raw[rows], self.left_raw[rows], self.jump[rows] = right, left, jump
        return np.asarray(steady | growing | (self.drift[rows] >= DRIFTING).any(axis=1))

    def _drift(self, rows: Entries, slopes: Array, shrunk: Array, noise: Array) -> None:
        """Compare how one-sided quotients change with how they did at the step before: what goes on may be endless."""
        before = np.column_stack([self.right_raw[rows], self.left_raw[rows]])
        factor = np.log(shrunk)[:, None]
        with np.errstate(invalid="ignore", over="ignore"):
            change = (slopes - before) / factor
            onward = (np.sign(change) == np.sign(self.change[rows])) & (np.abs(change) >= DRIFT * np.abs(self.change[rows]))
            onward &= np.abs(change) * factor > 4.0 * noise[:, None]
        self.drift[rows] = np.where(onward, self.drift[rows] * shrunk[:, None], 1.0)
        self.change[rows] = change

    def _extend(self, rows: Entries, difference: Array, noise: Array, order: Array) -> Array:
        """Extend the table by a row, keep what is better than the best so far; return the least truncation in it.

        Notes
        -----
        T(k,j) = T(k,j-1) + (T(k,j-1) - T(k-1,j-1)) / ((h_{k-j}/h_k)² - 1). The correction d_j = |T(k,j) - T(k-1,j-1)| is the
        truncation C_j·h²_{k-j}…h²_{k-1} of T(k-1,j-1), hence d_j/d_{j-1} = (C_j/C_{j-1})·h²_{k-j}, and that of T(k,j),
        C_{j+1}·h²_{k-j}…h²_k, about d_j·(d_j/d_{j-1})·(h_k/h_{k-j})². Where corrections do not shrink, d_j counts. Differences
        to one side have odd powers of the step as well, order 1 instead of 2: h stands for h² in all of this.

        References
        ----------
        C. J. F. Ridders, Accurate computation of F'(x) and F'(x)F''(x), Adv. Eng. Softw. 4 (1982) 75-76.
        """
        row, previous, step = np.full((rows.size, ORDERS), np.nan), self.row[rows], self.step[rows]
        row[:, 0] = difference
        ratios = (self.steps[rows] / step[:, None]) ** order[:, None]
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            for j in range(1, ORDERS):
                row[:, j] = row[:, j - 1] + (row[:, j - 1] - previous[:, j - 1]) / (ratios[:, j - 1] - 1.0)
            corrections = np.abs(row[:, 1:] - previous[:, :-1])
            shrinking = np.maximum(corrections[:, 1:] / corrections[:, :-1], LEAST_SHRINKING)
            truncations = corrections.copy()
            truncations[:, 1:] *= np.where(shrinking < 0.1, np.minimum(1.0, CAUTION * shrinking / ratios[:, 1:-1]), 1.0)
        truncations[np.isnan(truncations)] = np.inf
        best = np.argmin(truncations, axis=1)
        least = truncations[np.arange(rows.size), best]
        found = row[np.arange(rows.size), best + 1]
        better = (least + noise < self.error[rows]) | np.isnan(self.value[rows])
        better |= self._overruled(rows, found, least + noise, better)
        chosen = rows[better]
        self.value[chosen] = np.where(np.isfinite(least), found, difference)[better]
        self.error[chosen] = (least + noise)[better]
        self.best_step[chosen] = step[better]
        self.steps[rows] = np.column_stack([step, self.steps[rows, :-1]])
        self.row[rows] = row
        return least  # type: ignore[no-any-return]

    def _overruled(self, rows: Entries, found: Array, error: Array, better: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return where two smaller steps one after the other agree with each other, and contradict the best value so far.

        Then f changes within the larger step: a pole between x + h and x - h has finite values on both of its sides, and their
        difference says nothing of x, however well it is extrapolated.
        """
        with np.errstate(invalid="ignore"):
            against = ~better & (np.abs(found - self.value[rows]) > CONTRADICTION * (error + self.error[rows]))
            agree = np.abs(found - self.rival[rows]) <= CONTRADICTION * (error + self.rival_error[rows])
        overruled = against & agree
        self.rival[rows] = np.where(against & ~overruled, found, np.nan)
        self.rival_error[rows] = error
        return np.asarray(overruled)
