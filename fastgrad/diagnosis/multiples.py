"""What is a multiple of a tensor's gradient, of its parameter, or of what a penalty adds: the multiples are fitted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from fastgrad.diagnosis.constants import of_examples
from fastgrad.diagnosis.ground import Estimate, Ground
from fastgrad.diagnosis.mistakes import Cause
from fastgrad.diagnosis.subjects import CLEAR, Explanation, Subject, half_of, telling
from fastgrad.model.network import Array
from fastgrad.model.product import least_squares

LARGE = 2**14
"""Entries from which multiples are tried on some columns first."""
ODD = 1.3
"""What a factor of many digits costs."""
FAINT = 8.0
"""Likewise where a step is read beside the parameter: that the claim is the parameter but for so little says enough."""
SMALL_RATE = 1e-3
"""A usual learning rate."""


def multiples_of(tensor: Subject) -> Iterator[Explanation]:
    """Yield what is a multiple of the data's share plus multiples of W and sign W."""
    claim, data, size = tensor.claim, tensor.data, tensor.claim.values.size
    if not claim.values.any():
        yield Explanation((tensor.cause("value.zero"),), 0.0, size)
        return
    zero = Estimate(np.zeros_like(data.values), np.zeros_like(data.rounding))
    theta = Estimate(claim.theta, np.abs(claim.theta))
    sign = Estimate(np.sign(claim.theta), np.zeros_like(claim.theta))
    if np.array_equal(claim.values, claim.theta) or tensor.fits(theta):
        yield Explanation((tensor.cause("value.parameter"),), 0.0, size)
        if tensor.fits(theta.plus(tensor.total.scaled(-SMALL_RATE))):  # a step that is lost in rounding
            yield Explanation((tensor.cause("value.step_taken", -SMALL_RATE, cost=1.1),), 0.0, size)
        return
    l2_part = Estimate(claim.l2 * claim.theta, np.abs(claim.l2 * claim.theta))
    l1_part = Estimate(claim.l1 * sign.values, np.abs(claim.l1 * sign.values))
    penalized = bool(claim.penalty.values.any())
    # A step first: where little but the penalty is in the gradient, it cannot be told from another multiple of that.
    tries = [("step", [tensor.total], theta), ("data", [data], claim.penalty)]
    tries += [("theta", [theta], data.plus(l1_part)), ("sign", [sign], data.plus(l2_part))]
    if penalized:
        tries += [("whole", [tensor.total], zero)]
    explained = False
    for what, parts, fixed in tries:
        fit = _fit(tensor, parts, fixed, FAINT if what == "step" else CLEAR)
        if fit is not None:
            spare = fit.confirming if _is_fitted(tensor, what, fit.multiples[0]) else fit.telling
            yield Explanation(_causes_of(tensor, what, fit.multiples), fit.residual, spare)
            explained |= what in ("data", "whole") and spare > 0
    if explained:
        return
    fit = _fit(tensor, [data, theta], l1_part)
    if fit is not None and fit.confirming:
        yield Explanation(_causes_of(tensor, "both", fit.multiples), fit.residual, fit.confirming)
    one = Estimate(np.ones_like(data.values), np.zeros_like(data.values))
    for fixed in (claim.penalty, zero) if penalized else (zero,):
        fit = _fit(tensor, [data, one], fixed)
        if fit is not None and fit.confirming and all(fit.multiples):
            causes = _number_causes(tensor, fit.multiples, fixed is zero and penalized)
            yield Explanation(causes, fit.residual, fit.confirming)
            return


class _Fit(NamedTuple):
    """Multiples that were fitted, the residual, how many entries say anything of them, and how many of these confirm them."""

    multiples: list[float]
    residual: float
    telling: int
    confirming: int


def _allowed(tensor: Subject, parts: list[Estimate], fixed: Estimate) -> Array:
    """Return what a claim may differ from a sum of parts."""
    estimate = fixed
    for part in parts:
        estimate = estimate.plus(part)
    return tensor.claim.allowed(estimate, tensor.ground.samples)


def _is_refuted(tensor: Subject, parts: list[Estimate], fixed: Estimate, least: float) -> bool:
    """Whether some columns of a large tensor, in which every part is clear, are no sum of multiples of the parts."""
    columns = tensor.ground.probes[tensor.layer]
    some = tensor.columns(columns)
    parts = [Estimate(*(array[:, columns] for array in part)) for part in parts]
    fixed = Estimate(*(array[:, columns] for array in fixed))
    allowed = _allowed(some, parts, fixed)
    weighted = np.stack([(part.values / allowed).ravel() for part in parts], axis=1)
    if (np.abs(weighted).max(axis=0) < least).any():
        return False
    unit = np.linalg.norm(weighted, axis=0)
    with np.errstate(all="ignore"):
        solution = least_squares(weighted / unit, ((some.claim.values - fixed.values) / allowed).ravel(), 1e-12)
    if solution is None:
        return False
    estimate = fixed
    for c, part in zip(solution / unit, parts, strict=True):
        estimate = estimate.plus(part.scaled(float(c)))
    return not some.fits(estimate, max(1.0, *np.abs(solution / unit)), 4.0)


def _fit(tensor: Subject, parts: list[Estimate], fixed: Estimate, least: float = CLEAR) -> _Fit | None:
    """Fit half of claim − fixed by multiples of the parts, weighted by what is allowed; None where the whole does not fit."""
    if tensor.kind == "W" and tensor.claim.values.size > LARGE and _is_refuted(tensor, parts, fixed, least):
        return None
    claim, allowed = tensor.claim, _allowed(tensor, parts, fixed)
    if any(float((np.abs(part.values) / allowed).max(initial=0.0)) < least for part in parts):
        return None
    columns = np.stack([(part.values / allowed).ravel() for part in parts], axis=1)
    target = ((claim.values - fixed.values) / allowed).ravel()
    half = half_of(np.abs(columns[:, 0]))
    unit = np.linalg.norm(columns[half], axis=0)
    with np.errstate(all="ignore"):
        solution = least_squares(columns[half] / unit, target[half], 1e-12)
    if solution is None:
        return None
    # A multiple is known as well as its clearest entry is; one that is nothing beside rounding is none.
    clear = np.abs(columns[half]).max(axis=0).tolist()
    known = zip(solution / unit, clear, strict=True)
    multiples = [_snapped(tensor, float(c), min(1e-4 * abs(float(c)) + 1e-9, 4.0 / size)) for c, size in known]
    estimate = fixed
    for c, part in zip(multiples, parts, strict=True):
        estimate = estimate.plus(part.scaled(c))
    spread = max(1.0, abs(multiples[0])) if len(parts) == 1 else 1.0
    if not tensor.fits(estimate, spread, 2.0):
        return None
    count = telling(parts[0].values, allowed)
    fitted = int((np.abs(columns[half, 0]) > CLEAR).sum())
    return _Fit(multiples, tensor.residual(estimate), count, count - fitted)


def _snapped(tensor: Subject, value: float, tightness: float) -> float:
    """Return the named constant that a fitted number is, to its accuracy; else the number."""
    return nearest_constant(tensor.ground, tensor.layer, value, tightness)


def nearest_constant(ground: Ground, layer: int, value: float, tightness: float) -> float:
    """Return the constant that a number is to an absolute accuracy, or the number."""
    m, n = float(ground.samples), float(ground.problem.network.widths[-1])
    counts = {1.0, 2.0, 4.0, m, n, m * n, m * m, float(ground.problem.network.widths[layer + 1])}
    known = {0.0, *counts, *(1.0 / c for c in counts), *(2.0 * c for c in counts), *(0.5 / c for c in counts)}
    known |= {2.0 / c for c in counts} | {0.5 * c for c in counts} | {3.0, 10.0, 0.1, 0.01, 0.001, 0.5, 1.5}
    for sign in (1.0, -1.0):
        for c in sorted(known):
            if abs(value - sign * c) <= tightness:
                return sign * c
    short = float(f"{value:.4g}")
    return short if abs(value - short) <= tightness else value


def _is_fitted(tensor: Subject, what: str, value: float) -> bool:
    """Whether a multiple is a number that was fitted, and none that can be named."""
    m, n = float(tensor.ground.samples), float(tensor.ground.problem.network.widths[-1])
    if what == "sign":
        return True
    if what == "theta":
        return _penalty_cause(tensor, value).code in ("penalty.factor", "penalty.added")
    return abs(value) not in {1.0, 2.0, 0.5, m, 1.0 / m, n, 1.0 / n}


def _causes_of(tensor: Subject, what: str, multiples: list[float]) -> tuple[Cause, ...]:
    if what == "data":
        return (tensor.cause("factor", multiples[0], cost=factor_cost(tensor.ground, multiples[0])),)
    if what == "whole":
        return (tensor.cause("factor.whole", multiples[0], cost=factor_cost(tensor.ground, multiples[0])),)
    if what == "theta":
        return (_penalty_cause(tensor, multiples[0]),)
    if what == "sign":
        return (_sign_cause(tensor, multiples[0]),)
    if what == "step":
        return (tensor.cause("value.step_taken", multiples[0], cost=1.1 if -1.0 <= multiples[0] < 0.0 else 1.5),)
    c, k = multiples
    causes = [tensor.cause("factor", c, cost=factor_cost(tensor.ground, c))] if c != 1.0 else []
    return (*causes, _penalty_cause(tensor, k))


def _number_causes(tensor: Subject, multiples: list[float], in_place: bool) -> tuple[Cause, ...]:
    """Name one number that was added to every entry, in the place of the declared penalty or beside it."""
    c, k = multiples
    value = 0.5 * tensor.claim.l2 * float(np.square(tensor.claim.theta).sum())
    code = "value.number_added"
    if in_place:
        made = [share for share in (1.0, 2.0) if abs(k - share * value) <= 1e-6 * abs(k)]
        code = "penalty.value" if made else "penalty.number"
    causes = [tensor.cause("factor", c, cost=factor_cost(tensor.ground, c))] if c != 1.0 else []
    other = k / value if code == "penalty.value" else None
    return (*causes, tensor.cause(code, k, other=other, cost=1.1))


def factor_cost(ground: Ground, c: float) -> float:
    """Usual constants come before unusual ones, and last those of many digits, which no count explains: nobody writes them."""
    m, network = ground.samples, ground.problem.network
    n = network.widths[-1]
    usual = {2.0, 0.5, float(m), 1.0 / m, float(n), 1.0 / n}
    if abs(c) in usual or c == -1.0:
        return 1.0
    return 1.05 if of_examples(c, m, (*network.widths, network.depth)) else ODD


def _sign_cause(tensor: Subject, k: float) -> Cause:
    """Name the mistake that makes the multiple of the parameter's sign k where l1 is declared."""
    l1 = tensor.claim.l1
    if l1 == 0.0:
        return tensor.cause("penalty.sign_added", k, cost=1.15)
    code, ratio = _penalty_code(tensor, k / l1)
    return tensor.cause(code, ratio, other="l1")


def _penalty_code(tensor: Subject, ratio: float) -> tuple[str, float]:
    """Return the code of a penalty's term that is there so many times, and that number."""
    m = tensor.ground.samples
    ratio = nearest_constant(tensor.ground, tensor.layer, ratio, 1e-6 * abs(ratio) + 1e-12)
    forms = {0.0: "penalty.missing", -1.0: "penalty.sign", float(m): "penalty.not_divided", 1.0 / m: "penalty.divided"}
    forms |= {2.0: "penalty.twice", 0.5: "penalty.half"}
    return forms.get(ratio, "penalty.factor"), ratio


def _penalty_cause(tensor: Subject, k: float) -> Cause:
    """Name the mistake that makes the multiple of the parameter k where l2 is declared."""
    l2 = tensor.claim.l2
    if l2 == 0.0:
        return tensor.cause("penalty.added", k)
    return tensor.cause(*_penalty_code(tensor, k / l2))
