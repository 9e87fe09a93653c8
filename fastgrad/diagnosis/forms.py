"""What can have been done to one tensor whose flow is right: other numbers, another order, one example's share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain

import numpy as np

from fastgrad.diagnosis.ground import HEAD, Estimate, weights_estimate
from fastgrad.diagnosis.mistakes import Cause
from fastgrad.diagnosis.subjects import Form, Subject
from fastgrad.kernels import codes
from fastgrad.model.network import Array, Offsets

STRAY_PART = 0.31
"""Share of the largest entry by which planted parts are off."""


def forms_of(tensor: Subject) -> Iterator[Form]:
    """Yield what a claim may be in place of the right numbers, and what that would be."""
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
