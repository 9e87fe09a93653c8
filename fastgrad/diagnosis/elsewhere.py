"""Gradients that are right, but elsewhere: of parameters one step before or after, of some of the examples, or of some units.

Called by walk where no mistake in the backward pass explains the numbers. What is found explains all of them, to the
verdict's own tolerance, and so stands alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import numpy as np

from fastgrad.diagnosis.codes import CODES
from fastgrad.diagnosis.ground import Truth, tabulated
from fastgrad.errors import InputError
from fastgrad.judging.verdict import judge
from fastgrad.kernels import codes
from fastgrad.model.forward import base_point
from fastgrad.model.network import Array, Problem
from fastgrad.model.product import norm
from fastgrad.model.rounding import gradient, penalty_gradient
from fastgrad.numerical import Numerical
from fastgrad.report.formatting import counted
from fastgrad.report.parts import Finding

MOST_WORK = 2e8
"""Parameters times examples up to which some dozen backward passes are worth their time."""
STARTS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Rates from which the search starts, beside the one that is right for a small step."""
ROUNDS = 12
"""Steps of Gauss and Newton from the best of them; the last ones gain nothing."""
SMALL = 1e-6
"""Share of the parameters that a difference moves."""
LEAST_WRONG = 3
"""Entries that must be wrong: a rate is one number, and a window of examples two."""
MOST_EXAMPLES, MOST_WINDOWS, CLOSE = 512, 4, 1e-3
"""Examples of which every window is looked at in the last layer; the nearest that are tried whole; how near they must be, as
a share of what is added up there. Whether they fit is for the verdict to say."""


def elsewhere(problem: Problem, numerical: Numerical) -> tuple[Finding, ...]:
    """Return the one finding that the claim is the gradient of another point; nothing where it is of none."""
    claimed, network = problem.claimed, problem.network
    complete = claimed is not None and all(tensor.gradient_name and not tensor.single for tensor in problem.tensors)
    if claimed is None or not complete or not np.isfinite(claimed).all() or numerical.selected is not None:
        return ()
    if network.size * problem.samples > MOST_WORK:
        return ()
    wrong = sum(tensor.wrong for tensor in judge(problem, numerical).tensors)
    if wrong < LEAST_WRONG:
        return ()
    dropped = _dropout(problem, numerical, claimed)
    if dropped is not None:
        return (_dropout_finding(problem, *dropped, wrong),)
    here = gradient(problem, numerical.base)
    for code, direction in (("elsewhere.before", claimed), ("elsewhere.after", -here)):
        rate = None
        with suppress(InputError):  # at a point that is tried an output may have no logarithm
            rate = _rate(problem, numerical, claimed, here, direction)
        if rate is not None:
            return (_finding(problem, code, f"{rate:.6g}", wrong),)
    for low, high in _windows(problem, numerical, claimed):
        if _is_right(_part(problem, low, high), numerical):
            return (_finding(problem, "elsewhere.examples", f"{low} to {high - 1}", wrong),)
    return ()


def _finding(problem: Problem, code: str, other: str, wrong: int) -> Finding:
    """Put what was found into words."""
    names = tuple(tensor.gradient_name or "" for tensor in problem.tensors)
    entry = CODES[code]
    return Finding(
        code=code,
        tensor="all gradients",
        layer=problem.network.depth,
        sentence=entry.sentence.format(other=other),
        repair=entry.repair,
        formula="",
        explains=wrong,
        entries=wrong,
        residual=0.0,
        concerns=names,
        title=entry.title,
    )


def _is_right(problem: Problem, numerical: Numerical) -> bool:
    """Tell whether the claim is the gradient of a problem."""
    base = base_point(problem)
    there = replace(numerical, values=gradient(problem, base), lower=None, upper=None, base=base)
    return all(tensor.verdict not in ("wrong", "not judged") for tensor in judge(problem, there).tensors)


# A step before or after.


def _rate(problem: Problem, numerical: Numerical, claimed: Array, here: Array, direction: Array) -> float | None:
    """Return the η for which the claim is the gradient at θ + η·direction, None where there is none.

    From the best of some rates by Gauss and Newton, on the one number that is not known.
    """
    if not direction.any():
        return None

    def moved(rate: float) -> Problem:
        return replace(problem, theta=problem.theta + rate * direction)

    def off(rate: float) -> Array:
        return gradient(moved(rate), base_point(moved(rate))) - claimed

    def improved(rate: float, rest: Array) -> float:
        slope = (off(rate + small) - rest) / small
        return rate - float(np.float64(rest @ slope) / (slope @ slope))

    small = SMALL * max(norm(problem.theta), SMALL) / norm(direction)
    with np.errstate(all="ignore"):
        rates = [rate for rate in (improved(0.0, here - claimed), *STARTS) if rate > 0.0]
        rate = min(rates, key=lambda eta: float(np.nan_to_num(norm(off(eta)), nan=np.inf)))
        for _ in range(ROUNDS):
            rate = improved(rate, off(rate))
        short = float(f"{rate:.3g}")
        return next((eta for eta in (short, rate) if 0.0 < eta < np.inf and _is_right(moved(eta), numerical)), None)


# A part of the examples.


def _windows(problem: Problem, numerical: Numerical, claimed: Array) -> Iterator[tuple[int, int]]:
    """Yield the examples, first and one after the last, whose own db of the last layer, or first column of dW, is claimed."""
    network, m, last = problem.network, problem.samples, problem.network.depth - 1
    if network.reduction == "weighted_mean" or not 1 < m <= MOST_EXAMPLES:
        return
    delta = numerical.base.tables.outputs[codes.LOSS_SLOPE] * numerical.base.plane(codes.SLOPE, last)
    place = network.bias_slice(last) if network.biases[last] else network.weight_slice(last)
    target = (claimed - penalty_gradient(problem))[place]
    if not network.biases[last]:
        delta, target = delta * numerical.base.activations[last][:, :1], target.reshape(network.widths[-1], -1)[:, 0]
    sums = np.vstack([np.zeros(delta.shape[1]), np.cumsum(delta, axis=0)])
    low, high = np.triu_indices(m + 1, 1)
    factor = m / (high - low) if network.reduction == "mean" else np.ones(low.size)
    off = np.abs(factor[:, np.newaxis] * (sums[high] - sums[low]) - target).max(axis=1)
    nearest = np.argsort(off, kind="stable")[:MOST_WINDOWS]
    size = float(np.abs(delta).sum(axis=0).max())
    for k in nearest[off[nearest] <= CLOSE * size]:
        if high[k] - low[k] < m:
            yield int(low[k]), int(high[k])


def _part(problem: Problem, low: int, high: int) -> Problem:
    """Return the problem of some of its examples."""
    rows = slice(low, high)
    return replace(
        problem,
        X=np.ascontiguousarray(problem.X[rows]),
        Y=np.ascontiguousarray(problem.Y[rows]),
        masks=tuple(None if mask is None else np.ascontiguousarray(mask[rows]) for mask in problem.masks),
        labels=None if problem.labels is None else problem.labels[rows],
        example_weights=None if problem.example_weights is None else problem.example_weights[rows],
        intermediates=(),
    )


# Units that were dropped.

KEPT = (0.5, 0.8, 0.9, 0.7, 0.6, 0.75, 0.25, 0.4, 0.3, 0.2, 0.1, 0.95, 0.85)
"""Probabilities with which people keep a unit, the usual ones first."""

Dropped = dict[int, Truth]
"""By layer (from 0, the input's first) which of its units were dropped."""


def _dropout(problem: Problem, numerical: Numerical, claimed: Array) -> tuple[Dropped, float] | None:
    """Return the units that were dropped for all examples, and with which keep_prob what is left was divided; 1 for by none.

    A unit that is dropped has exact zeros in its row of dW, its entry of db and its column of the dW above, the penalty
    apart.
    """
    if problem.masks or problem.network.size * problem.samples > MOST_WORK / len(KEPT):
        return None
    data = claimed - penalty_gradient(problem)
    data[np.abs(data) <= 4.0 * np.finfo(float).eps * np.abs(claimed)] = 0.0  # what rounding leaves of the penalty alone
    dropped = _zero_units(problem, data)
    if not dropped:
        return None
    shares = {float(1.0 - np.concatenate(list(dropped.values())).mean()): None}
    for keep in (1.0, *KEPT, *shares):
        for scaled in ({*dropped}, {*dropped, *range(1, problem.network.depth)}) if keep < 1.0 else (set[int](),):
            there = _with_dropout(problem, dropped, scaled, keep)
            if _is_right(there, numerical):
                return _alive(there, dropped), keep
    return None


def _zero_units(problem: Problem, data: Array) -> Dropped:
    """Return the units that have exact zeros, of layers in which others have not."""
    network = problem.network
    dropped: Dropped = {}
    for layer in range(network.depth):
        zero: Truth = np.asarray(~network.W(data, layer).any(axis=0))
        if layer:  # what goes into a unit, as well
            zero &= ~np.asarray(network.W(data, layer - 1).any(axis=1))
            if network.biases[layer - 1]:
                zero &= network.b(data, layer - 1) == 0.0
        if zero.any() and not zero.all():
            dropped[layer] = zero
    return dropped


def _alive(problem: Problem, dropped: Dropped) -> Dropped:
    """Return the units that dropout alone makes zero, without those that relu does in that pass."""
    base, network = base_point(problem), problem.network
    alive: Dropped = {}
    for layer, zero in dropped.items():
        alive[layer] = zero
        if layer:
            code, parameter = network.activation_codes[layer - 1], network.activation_parameters[layer - 1]
            alive[layer] = zero & tabulated(code, parameter, base.plane(codes.Z, layer - 1))[0].any(axis=0)
    return {layer: zero for layer, zero in alive.items() if zero.any()}


def _with_dropout(problem: Problem, dropped: Dropped, scaled: set[int], keep: float) -> Problem:
    """Return the problem with masks: 0 for the dropped units, 1 or 1/keep for the others."""
    masks: list[Array | None] = []
    for layer in range(problem.network.depth):
        units = np.ones(problem.network.widths[layer])
        if layer in dropped:
            units[dropped[layer]] = 0.0
        if layer in scaled:
            units = units / keep
        masks.append(None if (units == 1.0).all() else np.ascontiguousarray(np.tile(units, (problem.samples, 1))))
    return replace(problem, masks=tuple(masks), intermediates=())


def _dropout_finding(problem: Problem, dropped: Dropped, keep: float, wrong: int) -> Finding:
    """Put units that were dropped into words."""
    units = " and ".join(
        f"{counted(int(zero.sum()), 'unit')} of {zero.size} of {f'layer {layer}' if layer else 'the input'} dropped "
        f"({', '.join(map(str, np.flatnonzero(zero)[:MOST_NAMED]))}{', …' if zero.sum() > MOST_NAMED else ''})"
        for layer, zero in dropped.items()
    )
    rest = f", what is left divided by {keep:.4g}" if keep < 1.0 else ""
    finding = _finding(problem, "declaration.dropout", "", wrong)
    return replace(
        finding,
        sentence=f"This is exactly the gradient of the network with {units}{rest}: dropout that was not declared.",
        repair="Hand over the masks of that pass (D1, D2, … or masks=), or take the gradient with dropout switched off.",
    )


MOST_NAMED = 8
"""Units of a layer that are counted up."""
