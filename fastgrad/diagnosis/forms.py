"""What can have been done to one tensor whose flow is right: a factor, a penalty, another order, one example's share.

`search` asks for every form that explains a claim to rounding; a claim that none explains gets its pattern instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import chain
from typing import NamedTuple

import numpy as np

from fastgrad.diagnosis.ground import HEAD, Claim, Estimate, Flow, Ground, Kind, Truth, weights_estimate
from fastgrad.diagnosis.mistakes import Cause, Other
from fastgrad.kernels import codes
from fastgrad.model.forward import UNIT_ROUNDOFF
from fastgrad.model.network import Array, Offsets
from fastgrad.model.product import least_squares

CLEAR = 1e3
"""A gradient must be that many times what rounding may do to it before a factor can be read from it."""


MAP = (10, 60)
"""Most rows and columns of a picture."""
SHADES = " .:+*#@"
STRAY_PART = 0.31
"""Share of the largest entry by which planted parts are off."""
FAINT = 8.0
"""Likewise where a step is read beside the parameter: that the claim is the parameter but for so little says enough."""
SMALL_RATE = 1e-3
"""A usual learning rate."""


Form = tuple[Cause, Estimate]


@dataclass(frozen=True, eq=False)
class Explanation:
    """What was done to a tensor, nothing where it is right, and how far the numbers are off it.

    Attributes
    ----------
    causes : tuple of Cause
        Empty where the tensor is right.
    residual : float
        Largest |claimed − explained|, relative to the size of what is added up to make the entry.
    spare : int
        Entries beyond the numbers that were fitted to them.
    found : bool
        Whether the claim is explained to rounding.
    weaker : tuple of (float, Cause)
        What came nearest without explaining it, with the residual of each.
    strength : float
        How far the claim is from the right numbers, in units of what is allowed: where that is little, much would fit.
    clear : int
        Where the flow explains the claim: the entries, of those probed, that tell it from the right flow.
    unexplained : int
        Entries that are named as wrong but not explained.
    pattern : str
        Where nothing explains the claim: which entries are wrong.
    picture : tuple of str
        The same as lines of characters, darker where the claim is further off.
    """

    causes: tuple[Cause, ...]
    residual: float
    spare: int
    found: bool = True
    weaker: tuple[tuple[float, Cause], ...] = ()
    strength: float = np.inf
    clear: int = 0
    unexplained: int = 0
    pattern: str = ""
    picture: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Subject:
    """One tensor under one flow: its claim, and what the flow predicts of the data's share of it."""

    ground: Ground
    layer: int
    kind: Kind
    flow: Flow
    claim: Claim
    data: Estimate

    @property
    def total(self) -> Estimate:
        """Data and penalty."""
        return self.data.plus(self.claim.penalty)

    @cached_property
    def unprinted(self) -> Subject:
        """The same, of which no digits were lost in print."""
        if self.claim.tensor.grain is None:
            return self
        return replace(self, claim=replace(self.claim, tensor=replace(self.claim.tensor, grain=None)))

    def fits(self, estimate: Estimate, spread: float = 1.0, fitted: float = 1.0) -> bool:
        """Whether the claim is that estimate, to rounding; a kink's range, scaled, is granted on top."""
        return bool(self.off(estimate, spread, fitted).max(initial=0.0) <= 1.0)

    def off(self, estimate: Estimate, spread: float = 1.0, fitted: float = 1.0) -> Array:
        """Return the distance from an estimate in units of what is allowed; inf for nan."""
        allowed = fitted * self.claim.allowed(estimate, self.ground.samples)
        if self.claim.spread is not None:
            allowed = allowed + spread * self.claim.spread
        with np.errstate(invalid="ignore", over="ignore"):
            off = np.abs(self.claim.values - estimate.values) / allowed
        return np.where(np.isnan(off), np.inf, off)

    def told(self, estimate: Estimate) -> float:
        """Return how far the claim is from what the flow gives, in units of what is allowed of an estimate; the largest.

        Where that is below 1 the estimate's own rounding would let both pass: that it fits says nothing.
        """
        allowed = self.claim.allowed(estimate, self.ground.samples)
        with np.errstate(invalid="ignore", over="ignore"):
            off = np.abs(self.claim.values - self.total.values) / allowed
        return float(np.nan_to_num(off, nan=0.0, posinf=np.inf).max(initial=0.0))

    def residual(self, estimate: Estimate) -> float:
        """Return the largest distance from an estimate, relative to the size of what is added up to make the entry."""
        size = estimate.rounding + np.abs(estimate.values)
        with np.errstate(invalid="ignore", divide="ignore"):
            off = np.abs(self.claim.values - estimate.values) / size
        return float(np.where(size > 0.0, off, 0.0).max(initial=0.0))

    def cause(self, code: str, factor: float | None = None, other: Other = None, cost: float = 1.0) -> Cause:
        """Return a cause in this tensor."""
        return Cause(code, self.layer, self.kind, factor, other, cost)


def subject(ground: Ground, layer: int, kind: Kind, flow: Flow) -> Subject | None:
    """Return a tensor under a flow, None where there is no claim."""
    claim = ground.claim(layer, kind)
    if claim is None:
        return None
    data = ground.predicted_weights(layer, flow) if kind == "W" else ground.predicted_bias(flow)
    if flow.recovered:
        data = Estimate(data.values, data.rounding + flow.recovered * np.abs(claim.theta))
    return Subject(ground, layer, kind, flow, claim, data)


def explain(tensor: Subject) -> list[Explanation]:
    """Return every explanation that fits, the usual ones first; the pattern, not `found`, where none does."""
    if tensor.fits(tensor.total):
        return [Explanation((), tensor.residual(tensor.total), tensor.claim.values.size, clear=_clear(tensor))]
    if not np.isfinite(tensor.claim.values).all():
        return [_pattern(tensor, "value.not_finite")]
    found, weaker = list(_linear(tensor)), []
    for cause, estimate in _forms(tensor):
        residual = tensor.residual(estimate)
        if tensor.fits(estimate) and (told := tensor.told(estimate)) > 1.0:
            spare = tensor.claim.values.size - _chosen(tensor, cause)
            found.append(Explanation((cause,), residual, spare, strength=told))
        elif not cause.code.startswith("order."):  # an order is fitted entry by entry: that it comes near says nothing
            weaker.append((residual, cause))
    if not found or all(explanation.spare <= 0 for explanation in found):
        found += _partial(tensor)
    if tensor.fits(tensor.total, fitted=UNIT_ROUNDOFF["float32"] / UNIT_ROUNDOFF[tensor.claim.tensor.precision]):
        cause = tensor.cause("value.single_precision", cost=1.5)
        found.append(Explanation((cause,), tensor.residual(tensor.total), tensor.claim.values.size))
    best = tuple(sorted(weaker, key=lambda pair: pair[0])[:2])
    found = [one for one in found if one.spare > 0]  # what takes as many numbers as there are explains nothing
    if not found:
        return [replace(_pattern(tensor, "unknown.tensor"), weaker=best)]
    strength = float(tensor.off(tensor.total).max(initial=0.0))
    ordered = sorted(found, key=cost_of)
    return [replace(one, weaker=best, strength=min(strength, one.strength)) for one in ordered]


def _chosen(tensor: Subject, cause: Cause) -> int:
    """Return how many entries the choice of a form took: one where an example was looked for that is not at an end."""
    return int(cause.code.startswith("examples") and cause.other not in (0, tensor.ground.samples - 1))


def edited(tensor: Subject, tries: Iterable[Form]) -> list[Explanation]:
    """Return what explains a tensor of lines with an edit in them, the usual ones first."""
    found = []
    for cause, estimate in tries:
        # Whole numbers look like printed ones: what is exactly the claim is judged without what printing may do.
        subject = tensor.unprinted if tensor.unprinted.fits(estimate) else tensor
        if subject.fits(estimate) and (told := subject.told(estimate)) > 1.0:
            strength = min(told, float(subject.off(tensor.total).max(initial=0.0)))
            found.append(Explanation((cause,), tensor.residual(estimate), tensor.claim.values.size, strength=strength))
    return sorted(found, key=cost_of)


def _clear(tensor: Subject) -> int:
    """Count the entries that tell the flow from the right one, with what the flow's own rounding allows."""
    ground, layer, kind = tensor.ground, tensor.layer, tensor.kind
    if tensor.flow is ground.right[layer]:
        return 0
    place = np.s_[:, ground.probes[layer]] if kind == "W" else np.s_[:]
    allowed = tensor.claim.allowed(tensor.total, ground.samples)[place]
    return telling(tensor.data.values[place] - ground.probed[layer, kind], allowed)


def cost_of(explanation: Explanation) -> float:
    """Sum of the costs of an explanation's causes."""
    return sum(cause.cost for cause in explanation.causes)


# Multiples of the gradient and of the parameter.


def _linear(tensor: Subject) -> Iterator[Explanation]:
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


def half_of(clear: Array) -> Offsets:
    """Return the half of some entries to which multiples are fitted, the clearest among them; the others confirm them."""
    half = np.random.default_rng(0).permutation(clear.size)[: (clear.size + 1) // 2]
    clearest = int(np.argmax(clear))
    if clearest not in half:
        half[0] = clearest
    return half


def _fit(tensor: Subject, parts: list[Estimate], fixed: Estimate, least: float = CLEAR) -> _Fit | None:
    """Fit half of claim − fixed by multiples of the parts, weighted by what is allowed; None where the whole does not fit."""
    claim, samples = tensor.claim, tensor.ground.samples
    estimate = fixed
    for part in parts:
        estimate = estimate.plus(part)
    allowed = claim.allowed(estimate, samples)
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


def telling(values: Array, allowed: Array) -> int:
    """Count the entries from which a factor could be read."""
    return int((np.abs(values) > CLEAR * allowed).sum())


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
    """Usual constants come before unusual ones."""
    m, n = ground.samples, ground.problem.network.widths[-1]
    usual = {2.0, 0.5, float(m), 1.0 / m, float(n), 1.0 / n}
    return 1.0 if abs(c) in usual or c == -1.0 else 1.05


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


# Other numbers in place of the right ones.


def _forms(tensor: Subject) -> Iterator[Form]:
    yield from _bias_forms(tensor) if tensor.kind == "b" else _weight_forms(tensor)
    yield from _example_forms(tensor)
    yield from _of_other_layers(tensor, partial(_fitting_heads, tensor))
    yield from _clipped(tensor)


def form_of(tensor: Subject, cause: Cause) -> Array | None:
    """Return what a cause makes of a tensor, its claim left aside; None where that belongs to the numbers of one point."""
    total, theta, other = tensor.total.values, tensor.claim.theta, cause.other
    if cause.code == "value.zero":
        return np.zeros_like(total)
    if cause.code == "value.parameter":
        return theta
    if cause.code == "value.step_taken":
        return theta + (cause.factor or 0.0) * total
    if cause.code == "value.clipped" and cause.factor is not None:
        return np.clip(total, -cause.factor, cause.factor)
    if cause.code in ("order.rows", "order.columns") and isinstance(other, tuple):
        return np.take(total, other, axis=int(cause.code == "order.columns"))
    if cause.code in ("examples.only", "examples.missing") and isinstance(other, int):
        return _example_form(tensor, cause, other)
    right = replace(tensor, claim=replace(tensor.claim, values=total))
    found = chain(_bias_forms(right) if tensor.kind == "b" else _fixed_forms(right), _of_other_layers(right, _all_of))
    return next((estimate.values for one, estimate in found if (one.code, one.other) == (cause.code, other)), None)


def _all_of(heads: Estimate) -> Iterable[int]:
    return range(len(heads.values))


def _example_form(tensor: Subject, cause: Cause, s: int) -> Array | None:
    """Return one example's share, or all but that; the last one found stays the last."""
    if not 0 <= s < tensor.ground.samples:
        return None
    share = _share(tensor, s).scaled(cause.factor or 1.0).values
    return tensor.total.values - share if cause.code == "examples.missing" else share + tensor.claim.penalty.values


def _fixed_forms(tensor: Subject) -> Iterator[Form]:
    """Yield the forms of a W that do not depend on its claim."""
    yield from _reordered(tensor)
    layers = range(tensor.ground.depth)
    products = chain(_own_factors(tensor), _with_other_deltas(tensor, layers), _with_other_inputs(tensor, layers))
    for cause, delta, error, inputs, inputs_error in products:
        yield cause, weights_estimate(delta, error, inputs, inputs_error).plus(tensor.claim.penalty)


def _with_penalty(tensor: Subject, values: Array, rounding: Array) -> Estimate:
    return Estimate(values, rounding).plus(tensor.claim.penalty)


def _weight_forms(tensor: Subject) -> Iterator[Form]:
    yield from _reordered(tensor)
    yield from _permuted(tensor)
    for cause, delta, error, inputs, inputs_error in _possible_factors(tensor):
        yield cause, weights_estimate(delta, error, inputs, inputs_error).plus(tensor.claim.penalty)


def _reordered(tensor: Subject) -> Iterator[Form]:
    """Yield the right numbers transposed, flattened in the other order, or summed up to one."""
    data, total = tensor.data, tensor.total
    n_out, n_in = data.values.shape
    size = np.full(data.values.shape, float(np.linalg.norm(data.rounding)))
    for how, share in (("the sum", 1.0), ("the mean", 1.0 / data.values.size)):
        number = np.full(data.values.shape, share * data.values.sum())
        yield tensor.cause("value.one_number", other=how), _with_penalty(tensor, number, share * size)
    if min(n_out, n_in) > 1:
        if n_out == n_in:
            yield tensor.cause("order.transposed"), _with_penalty(tensor, data.values.T, data.rounding.T)
            yield tensor.cause("order.transposed", other="whole"), Estimate(total.values.T, total.rounding.T)
        else:
            for way in ("C", "F"):
                turned = [_flattened(array, way) for array in total]
                yield tensor.cause("order.flattened", other=way), Estimate(*turned)


def _flattened(array: Array, way: str) -> Array:
    """Return the entries of an array flattened in one order and put back in the other."""
    return array.T.reshape(array.shape) if way == "C" else array.reshape(array.shape[::-1]).T


Factors = tuple[Cause, Array, Array, Array, Array | None]
"""A cause, ∂J/∂z and its rounding, the inputs and theirs."""


def _possible_factors(tensor: Subject) -> Iterator[Factors]:
    """Yield the products with another factor that the claim can be; those with another layer's are tried side by side."""
    columns = tensor.ground.probes[tensor.layer]
    for one in _own_factors(tensor):
        probe = weights_estimate(*one[1:], columns)
        if _fit_parts(tensor, Estimate(*(part[None] for part in probe)), columns):
            yield one
    ground, layer, flow = tensor.ground, tensor.layer, tensor.flow
    inputs, error, head = ground.inputs(layer), ground.inputs_error(layer), np.arange(HEAD)[: tensor.claim.values.shape[1]]
    for row in ground.rows[flow.delta.shape[1]]:
        many = weights_estimate(row.delta, row.error, inputs, error, head)
        parts = Estimate(*(part.reshape(len(row.layers), -1, head.size) for part in many))
        yield from _with_other_deltas(tensor, [row.layers[k] for k in _fit_parts(tensor, parts, head)])
    entered = ground.entered[inputs.shape[1]]
    many = weights_estimate(flow.delta, flow.error, entered.values, entered.error)
    parts = Estimate(*(part.reshape(len(part), -1, head.size).swapaxes(0, 1) for part in many))
    yield from _with_other_inputs(tensor, [entered.layers[k] for k in _fit_parts(tensor, parts, head)])


def _fit_parts(tensor: Subject, parts: Estimate, columns: Offsets) -> list[int]:
    """Return which of several estimates, stacked, of some columns of the data's share the claim can be."""
    claim = tensor.claim
    estimate = parts.plus(Estimate(claim.penalty.values[:, columns], claim.penalty.rounding[:, columns]))
    allowed = 2.0 * claim.allowed(estimate, tensor.ground.samples)
    if claim.spread is not None:
        allowed = allowed + claim.spread[:, columns]
    fits = np.abs(claim.values[:, columns] - estimate.values) <= allowed
    return np.flatnonzero(fits.all(axis=(1, 2))).tolist()


def _own_factors(tensor: Subject) -> Iterator[Factors]:
    """Yield products δᵀa of which one factor is another one of the same layer."""
    ground, layer, flow = tensor.ground, tensor.layer, tensor.flow
    inputs, error = ground.inputs(layer), ground.inputs_error(layer)
    yield tensor.cause("product.arrived", cost=1.02), flow.arrived, flow.arrived_error, inputs, error
    if layer:
        z, z_error = ground.plane(codes.Z, layer - 1), ground.numerical.base.z_error[layer - 1]
        yield tensor.cause("product.z"), flow.delta, flow.error, z, z_error
        mask = ground.problem.mask(layer)
        if mask is not None:
            with np.errstate(all="ignore"):
                kept = np.where(mask > 0.0, inputs / mask, 0.0)
            yield tensor.cause("product.unscaled"), flow.delta, flow.error, kept, error


def _with_other_deltas(tensor: Subject, layers: Iterable[int]) -> Iterator[Factors]:
    """Yield products of the right ∂J/∂z of other layers with the tensor's inputs."""
    ground = tensor.ground
    inputs, error = ground.inputs(tensor.layer), ground.inputs_error(tensor.layer)
    for k in layers:
        if k != tensor.layer and ground.right[k].delta.shape == tensor.flow.delta.shape:
            yield tensor.cause("product.other_delta", other=k), ground.right[k].delta, ground.right[k].error, inputs, error


def _with_other_inputs(tensor: Subject, layers: Iterable[int]) -> Iterator[Factors]:
    """Yield products of the tensor's ∂J/∂z with what enters other layers."""
    ground, flow = tensor.ground, tensor.flow
    for k in layers:
        if k != tensor.layer and ground.inputs(k).shape == ground.inputs(tensor.layer).shape:
            cause = tensor.cause("product.other_inputs", other=k)
            yield cause, flow.delta, flow.error, ground.inputs(k), ground.inputs_error(k)


def _permuted(tensor: Subject) -> Iterator[Form]:
    """Yield the total with its rows, or its columns, in the order in which the claim seems to have them."""
    total, claim = tensor.total, tensor.claim.values
    draw = np.random.default_rng(0)
    for axis, code in ((0, "order.rows"), (1, "order.columns")):
        if total.values.shape[axis] < 2:
            continue
        weights = draw.standard_normal(total.values.shape[1 - axis])
        ours, theirs = ((array @ weights if axis == 0 else weights @ array) for array in (total.values, claim))
        order = np.empty(ours.size, dtype=np.int64)
        order[np.argsort(theirs, kind="stable")] = np.argsort(ours, kind="stable")
        if (order != np.arange(order.size)).any():
            taken = [np.take(array, order, axis=axis) for array in total]
            yield tensor.cause(code, other=tuple(order.tolist()), cost=1.08), Estimate(*taken)


def _bias_forms(tensor: Subject) -> Iterator[Form]:
    ground, layer, flow, data = tensor.ground, tensor.layer, tensor.flow, tensor.data
    n = data.values.size
    if n > 1:
        size = np.full(n, float(np.linalg.norm(flow.error)))
        yield tensor.cause("bias.one_number"), _with_penalty(tensor, np.full(n, data.values.sum()), size)
        yield tensor.cause("bias.one_mean"), _with_penalty(tensor, np.full(n, data.values.mean()), size / n)
        whole = ground.samples * n
        yield tensor.cause("bias.one_mean", other="all"), _with_penalty(tensor, np.full(n, flow.delta.mean()), size / whole)
        order = np.empty(n, dtype=np.int64)
        order[np.argsort(tensor.claim.values, kind="stable")] = np.argsort(tensor.total.values, kind="stable")
        if (order != np.arange(n)).any():
            cause = tensor.cause("order.rows", other=tuple(order.tolist()), cost=1.08)
            yield cause, Estimate(tensor.total.values[order], tensor.total.rounding[order])
    inputs = ground.inputs(layer)
    sums = inputs.sum(axis=1)
    error = np.sqrt(np.square(np.abs(inputs).sum(axis=1)) @ np.square(flow.error))
    if ground.inputs_error(layer) is not None:
        error = error + np.sqrt(np.square(ground.inputs_error(layer).sum(axis=1)) @ np.square(flow.delta))  # type: ignore[union-attr]
    yield tensor.cause("bias.from_weights"), _with_penalty(tensor, flow.delta.T @ sums, error)
    if n == ground.samples and n > 1:
        wrong = flow.delta.sum(axis=1)
        yield tensor.cause("bias.wrong_axis"), _with_penalty(tensor, wrong, np.sqrt(np.square(flow.error).sum(axis=1)))
    arrived = flow.arrived.sum(axis=0)
    rounding = np.sqrt(np.square(flow.arrived_error).sum(axis=0))
    yield tensor.cause("product.arrived", cost=1.02), _with_penalty(tensor, arrived, rounding)


def _example_forms(tensor: Subject) -> Iterator[Form]:
    """Yield one example's share alone, with or without the 1/m, or twice, and all but one example's."""
    m = tensor.ground.samples
    if m < 2:
        return
    rest = tensor.claim.values - tensor.claim.penalty.values
    for code, target, factors in (
        ("examples.only", rest, (1.0, float(m), 2.0)),
        ("examples.missing", tensor.data.values - rest, (1.0,)),
    ):
        for factor in factors:
            s = _example(tensor, target / factor)
            if s is None:
                continue
            share = _share(tensor, s).scaled(factor)
            if code == "examples.missing":
                share = Estimate(tensor.data.values - share.values, tensor.data.rounding + share.rounding)
            cause = tensor.cause(code, None if factor == 1.0 else factor, other=s, cost=1.0 if s in (0, m - 1) else 1.1)
            yield cause, share.plus(tensor.claim.penalty)


def _example(tensor: Subject, target: Array) -> int | None:
    """Return the example whose share a target is nearest to, judged on a few entries."""
    delta = tensor.flow.delta
    if tensor.kind == "b":
        shares, wanted = delta, target[None]
    else:
        columns = tensor.ground.probes[tensor.layer]
        rows = np.argsort(-np.abs(delta).max(axis=0))[:8]
        inputs = tensor.ground.inputs(tensor.layer)[:, columns]
        shares = (delta[:, rows, None] * inputs[:, None, :]).reshape(len(delta), -1)
        wanted = target[rows][:, columns].reshape(1, -1)
    distance = np.linalg.norm(shares - wanted, axis=1)
    s = int(np.argmin(distance))
    return s if distance[s] <= 1e-3 * np.linalg.norm(wanted) else None


def _share(tensor: Subject, s: int) -> Estimate:
    """Return one example's share of the gradient."""
    delta, error = tensor.flow.delta[s], tensor.flow.error[s]
    if tensor.kind == "b":
        return Estimate(delta.copy(), error.copy())
    inputs = tensor.ground.inputs(tensor.layer)[s]
    rounding = np.outer(error, np.abs(inputs))
    inputs_error = tensor.ground.inputs_error(tensor.layer)
    if inputs_error is not None:
        rounding += np.outer(np.abs(delta), inputs_error[s])
    return Estimate(np.outer(delta, inputs), rounding)


def _of_other_layers(tensor: Subject, places: Callable[[Estimate], Iterable[int]]) -> Iterator[Form]:
    """Yield what other layers of the same shape give: their gradients, and their dZ summed up; those whose heads fit."""
    ground, heads = tensor.ground, tensor.ground.heads.get((tensor.kind, tensor.claim.values.shape))
    if heads is None:
        return
    for k in places(heads.data.plus(heads.penalty)):
        other = ground.claim(heads.layers[k], tensor.kind)
        if heads.layers[k] != tensor.layer and other is not None:
            cause = tensor.cause("order.other_tensor", other=heads.layers[k])
            yield cause, ground.rightly(heads.layers[k], tensor.kind).plus(other.penalty)
    if tensor.kind == "b":
        for k in places(heads.data.plus(tensor.claim.penalty)):
            if heads.layers[k] != tensor.layer:
                cause = tensor.cause("product.other_delta", other=heads.layers[k])
                yield cause, ground.rightly(heads.layers[k], "b").plus(tensor.claim.penalty)


def _fitting_heads(tensor: Subject, heads: Estimate) -> list[int]:
    """Return which of several estimates, given in the entries at the head of a tensor, the claim can be."""
    head, claim = tensor.ground.head, tensor.claim
    allowed = 2.0 * claim.allowed(heads, tensor.ground.samples)
    if claim.spread is not None:
        allowed = allowed + head(claim.spread)
    fits = np.abs(head(claim.values) - heads.values) <= allowed
    return np.flatnonzero(fits.all(axis=tuple(range(1, fits.ndim)))).tolist()


def _clipped(tensor: Subject) -> Iterator[Form]:
    """Yield the total held between −c and c, where c is the claim's largest entry and taken more than once."""
    total, claim = tensor.total, tensor.claim.values
    limit = float(np.abs(claim).max())
    if limit > 0.0 and np.count_nonzero(np.abs(claim) == limit) > 1:
        yield tensor.cause("value.clipped", limit, cost=1.15), Estimate(np.clip(total.values, -limit, limit), total.rounding)


# Where only a part is wrong.


def _partial(tensor: Subject) -> list[Explanation]:
    """Return the row, column or entry that alone is wrong; nothing where more is."""
    wrong = tensor.off(tensor.total) > 1.0
    size, count = wrong.size, int(wrong.sum())
    # What is right says something only where it is not zero anyway, and not the penalty alone.
    allowed = tensor.claim.allowed(tensor.total, tensor.ground.samples)
    right = telling(np.where(wrong, 0.0, tensor.data.values), allowed)
    if count * 2 > size or right < 2:
        return []
    code, other = _place(wrong)
    if code is None:
        return []
    cause = tensor.cause(code, other=other, cost=1.3)
    rest = replace(tensor.claim, values=np.where(wrong, tensor.total.values, tensor.claim.values))
    return [Explanation((cause,), replace(tensor, claim=rest).residual(tensor.total), right, unexplained=count)]


def _place(wrong: Truth) -> tuple[str | None, str | int | None]:
    if wrong.sum() == 1:
        index = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
        return "part.entry", ",".join(str(int(i)) for i in index)
    if wrong.ndim == 2:
        rows, columns = (np.flatnonzero(wrong.any(axis=axis)) for axis in (1, 0))
        if rows.size == 1 and wrong.shape[0] > 1:
            return "part.row", int(rows[0])
        if columns.size == 1 and wrong.shape[1] > 1:
            return "part.column", int(columns[0])
    return None, None


def _pattern(tensor: Subject, code: str) -> Explanation:
    cause = tensor.cause(code)
    off = tensor.off(tensor.total)
    wrong = off > 1.0
    described = described_entries(wrong, ("unit", "input"))
    lines: tuple[str, ...] = ()
    if wrong.ndim > 1:
        distance = np.abs(tensor.claim.values - tensor.total.values) * wrong
        turned = tensor.claim.tensor.transposed
        lines = picture(distance.T if turned else distance)
        axes = "inputs in rows, units in columns" if turned else "units in rows, inputs in columns"
        described += f"; the map below has {axes}, darker where further off" if lines else ""
    return Explanation((cause,), tensor.residual(tensor.total), 0, found=False, pattern=described, picture=lines)


def picture(distance: Array) -> tuple[str, ...]:
    """Return a coarse map of an array: rows of cells, each as dark as the largest distance in it, blank where it is 0."""
    distance = np.where(np.isfinite(distance), distance, np.nan_to_num(distance, posinf=0.0).max(initial=1.0))
    rows, columns = (np.unique(np.linspace(0, n, most + 1).astype(int)) for n, most in zip(distance.shape, MAP, strict=True))
    cells = np.maximum.reduceat(np.maximum.reduceat(distance, rows[:-1], axis=0), columns[:-1], axis=1)
    largest = float(cells.max(initial=0.0))
    if not largest:
        return ()
    with np.errstate(divide="ignore"):
        shade = np.clip(len(SHADES) - 1 + np.floor(np.log10(cells / largest) * 1.5), 1, len(SHADES) - 1)
    return tuple(
        "".join(SHADES[int(s)] if cell else " " for s, cell in zip(*pair, strict=True))
        for pair in zip(shade, cells, strict=True)
    )


def described_entries(wrong: Truth, nouns: tuple[str, str]) -> str:
    """Say which entries are wrong, by row and column where they are few of them."""
    parts = []
    for axis, noun in enumerate(nouns[: wrong.ndim]):
        lines = np.flatnonzero(wrong.any(axis=tuple(k for k in range(wrong.ndim) if k != axis)))
        if lines.size == wrong.shape[axis]:
            parts.append(f"every {noun}")
        elif lines.size <= 6:
            parts.append(f"{noun}{'s' * (lines.size > 1)} {', '.join(str(int(k)) for k in lines)}")
        else:
            parts.append(f"{lines.size:,} of {wrong.shape[axis]:,} {noun}s")
    return f"{int(wrong.sum()):,} of {wrong.size:,} entries, in {' and '.join(parts)}"


# The same forms, made instead of recognised.


def wrong_values(tensor: Subject) -> Iterator[tuple[Cause, Array]]:
    """Yield every form of a tensor's right gradient that can be planted, with its values."""
    data, total, m = tensor.data.values, tensor.total.values, tensor.ground.samples
    n = tensor.ground.problem.network.widths[-1]
    penalty = tensor.claim.penalty.values
    for c in dict.fromkeys([2.0, 0.5, -1.0, 4.0, float(m), 1.0 / m, float(n), 0.01, 1.37]):
        if c != 1.0:
            yield tensor.cause("factor", c), c * data + penalty
    yield tensor.cause("value.zero"), np.zeros_like(total)
    yield tensor.cause("value.parameter"), tensor.claim.theta.copy()
    yield tensor.cause("value.step_taken", -0.1), tensor.claim.theta - 0.1 * total
    yield tensor.cause("penalty.sign_added", 0.3), total + 0.3 * np.sign(tensor.claim.theta)
    if not tensor.claim.l2:
        yield tensor.cause("penalty.added", 0.7), total + 0.7 * tensor.claim.theta
    right = replace(tensor, claim=replace(tensor.claim, values=total))
    structural = (*_bias_forms(right),) if tensor.kind == "b" else (*_weight_forms(right),)
    for cause, estimate in (*structural, *_of_other_layers(right, lambda heads: range(len(heads.values)))):
        yield cause, estimate.values
    if tensor.kind == "W":
        everywhere = range(tensor.ground.depth)
        others = (*_with_other_deltas(tensor, everywhere), *_with_other_inputs(tensor, everywhere))
        for cause, delta, _, other, _ in (*_own_factors(tensor), *others):
            yield cause, delta.T @ other + penalty
    if total.shape[0] > 1:
        yield tensor.cause("order.rows"), np.roll(total, 1, axis=0)
    if total.ndim > 1 and total.shape[1] > 1:
        yield tensor.cause("order.columns"), np.roll(total, 1, axis=1)
    if m > 1:
        for s in (0, m - 1):
            share = _share(tensor, s).values
            yield tensor.cause("examples.only", other=s), share + penalty
            yield tensor.cause("examples.missing", other=s), total - share
    yield from _wrong_parts(tensor)


def _wrong_parts(tensor: Subject) -> Iterator[tuple[Cause, Array]]:
    total = tensor.total.values
    if total.size > 3:
        wrong = total.copy()
        wrong.flat[-1] += STRAY_PART * np.abs(total).max()
        yield tensor.cause("part.entry"), wrong
    if total.ndim > 1 and total.shape[0] > 2 and total.shape[1] > 1:
        wrong = total.copy()
        wrong[0] += STRAY_PART * np.abs(total).max() * (1.0 + np.arange(total.shape[1]))
        yield tensor.cause("part.row"), wrong
    if total.ndim > 1 and total.shape[1] > 2 and total.shape[0] > 1:
        wrong = total.copy()
        wrong[:, -1] -= STRAY_PART * np.abs(total).max() * (1.0 + np.arange(total.shape[0]))
        yield tensor.cause("part.column"), wrong
