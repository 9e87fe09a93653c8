"""What every hypothesis is made of and held against: the base point, the claims, flows with their rounding, predictions.

A flow is ∂J/∂z of one layer as some backward pass has it, right or with a mistake, with an estimate of its rounding by
the same error analysis as `backprop.RoundingScale`; what it predicts for W and b is compared with the claim at the
verdict's own tolerance.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from fastgrad.kernels import codes, launch
from fastgrad.model.forward import UNIT_ROUNDOFF, claim_roundoff, growth, kernel_activation
from fastgrad.model.network import Array, Intermediate, Offsets, Problem, Tensor
from fastgrad.model.product import product, root_product, squared
from fastgrad.model.rounding import TOLERANCE, UNDERFLOW, rounding_scale
from fastgrad.numerical import Numerical, intermediates
from fastgrad.numerical.kinks import ON_KINK
from fastgrad.numerical.tracking import Progress

Kind = Literal["W", "b"]
KINDS: tuple[Kind, ...] = ("W", "b")
Truth = npt.NDArray[np.bool_]
Item = TypeVar("Item")
Mark = TypeVar("Mark", bound=Hashable)

PROBED = 48
"""Columns of a W on which a hypothesis is tried before all of it is computed: what is wrong there is wrong."""
HEAD = 8
"""Columns of a W by which it is told from other layers' of the same shape."""
AT_ONCE = 2**20
"""Numbers of a flow that are tried side by side, 8 MiB: what is many and small goes fast, what is large takes no memory."""


class Estimate(NamedTuple):
    """Numbers that a hypothesis gives, and what rounding typically does to each, in units of u."""

    values: Array
    rounding: Array

    def scaled(self, factor: float) -> Estimate:
        """Return the same, multiplied."""
        return Estimate(factor * self.values, abs(factor) * self.rounding)

    def plus(self, other: Estimate) -> Estimate:
        """Return the sum."""
        return Estimate(self.values + other.values, self.rounding + other.rounding)


@dataclass(frozen=True, eq=False)
class Flow:
    """∂J/∂a and ∂J/∂z of a layer as a backward pass has them, shape (m, n_l), and the rounding of each in units of u.

    Whoever updates W on the way down has the gradient from what W changed by, and so with a rounding of W / η; `recovered`
    is that 1 / η, and 0 elsewhere.
    """

    arrived: Array
    arrived_error: Array
    delta: Array
    error: Array
    recovered: float = 0.0

    def scaled(self, factor: float) -> Flow:
        """Return the flow of which ∂J/∂z was multiplied on the way."""
        size = abs(factor)
        return Flow(factor * self.arrived, size * self.arrived_error, factor * self.delta, size * self.error)

    def columns(self, place: slice) -> Flow:
        """Return the flow of some units."""
        return Flow(self.arrived[:, place], self.arrived_error[:, place], self.delta[:, place], self.error[:, place])


def side_by_side(flows: Sequence[Flow]) -> Flow:
    """Put flows together as that of one wide layer, on which all of them are tried at once."""
    return Flow(
        np.hstack([flow.arrived for flow in flows]),
        np.hstack([flow.arrived_error for flow in flows]),
        np.hstack([flow.delta for flow in flows]),
        np.hstack([flow.error for flow in flows]),
    )


def batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Yield as many items at a time as have some `AT_ONCE` numbers, each having so many."""
    most = max(1, AT_ONCE // max(size, 1))
    for start in range(0, len(items), most):
        yield items[start : start + most]


@dataclass(frozen=True, eq=False)
class Claim:
    """The claimed gradient of one tensor, W as (n_out, n_in), with its parameter and what the declared penalty adds."""

    tensor: Tensor
    values: Array
    theta: Array
    l2: float
    l1: float
    spread: Array | None
    """Width of the range of right values where units or weights sit on kinks; None where there is none."""

    @cached_property
    def penalty(self) -> Estimate:
        """The gradient of the declared penalty."""
        values = self.l2 * self.theta + self.l1 * np.sign(self.theta)
        return Estimate(values, 2.0 * np.abs(values))

    def columns(self, columns: Offsets) -> Claim:
        """Return the claim on some columns of a W."""
        spread = None if self.spread is None else self.spread[:, columns]
        return Claim(self.tensor, self.values[:, columns], self.theta[:, columns], self.l2, self.l1, spread)

    def allowed(self, estimate: Estimate, samples: int) -> Array:
        """Return what the claim may differ from an estimate: the verdict's tolerance, on the estimate's own scale."""
        rounding = estimate.rounding + growth(samples) * np.abs(estimate.values)
        precision = self.tensor.precision
        allowed: Array = TOLERANCE * (UNIT_ROUNDOFF[precision] * rounding + UNDERFLOW[precision])
        if self.tensor.grain is None:
            return allowed
        slack = self.tensor.grain.slack(self.values, self.theta)
        if allowed.shape == slack.shape:
            return allowed + slack
        # Many estimates at a time: of each all entries in a row, or the first columns.
        return allowed + (slack.ravel() if allowed.shape[-1] == slack.size else slack[..., : allowed.shape[-1]])


class Heads(NamedTuple):
    """Of layers whose W, or b, have one shape: the right gradients' entries at the head of each, stacked.

    Attributes
    ----------
    layers : list of int
        From 0.
    data, penalty : Estimate
        Shape (layers, ...); the penalty is 0 where there is no claim.
    """

    layers: list[int]
    data: Estimate
    penalty: Estimate


class Row(NamedTuple):
    """Layers of one width, side by side: their f′ and their right ∂J/∂z, each with its rounding, shape (m, layers·n)."""

    layers: list[int]
    slope: Array
    slope_error: Array
    delta: Array
    error: Array


class Entered(NamedTuple):
    """What enters layers that have as many inputs, the first ones side by side, with its rounding, shape (m, layers·HEAD)."""

    layers: list[int]
    values: Array
    error: Array


class Given(NamedTuple):
    """One of the user's own dZ and dA, in our scale, and whether it is right."""

    name: str
    values: Array
    right: bool


def with_softmax(problem: Problem) -> Problem:
    """Return a problem whose output's softmax is declared in its loss with that softmax at the output: the same network."""
    network = problem.network
    if network.loss_name != "softmax_crossentropy" or network.activations[-1] != "identity":
        return problem
    return replace(problem, network=replace(network, activations=(*network.activations[:-1], "softmax")))


@dataclass(frozen=True, eq=False)
class Ground:
    """A problem as diagnosis sees it: what a loss contains of the output's activation is the output's, too.

    Attributes
    ----------
    problem : Problem
        With its claimed gradient.
    numerical : Numerical
        The gradient that was held against it, with the forward pass.
    nearest : dict
        By layer (from 0), of the mistakes in its flow that were tried and do not explain the claim, the one that came
        nearest: how far off it is, and its code.
    missed : list of int
        The layers at which edits of their lines were tried and explain nothing, in the order of the search.
    known : dict
        Edits that explain something so far, by what they are in: "W", "b" or the flow, "Z".
    progress : callable or None
        Called with the layers that are done, and all.
    reached : set of int
        The layers at which something was looked for.
    """

    problem: Problem
    numerical: Numerical
    nearest: dict[int, tuple[float, str]] = field(default_factory=dict)
    missed: list[int] = field(default_factory=list)
    known: dict[str, list[Any]] = field(default_factory=lambda: {"Z": [], "W": [], "b": []})
    progress: Progress | None = None
    reached: set[int] = field(default_factory=set)

    @cached_property
    def has_logits(self) -> bool:
        """Whether the outputs are declared to be logits, of which the loss takes the softmax itself."""
        return self.numerical.base.problem.network.activations[-1] != self.problem.network.activations[-1]

    def tick(self, layer: int) -> None:
        """Tell that something is being looked for at a layer."""
        self.reached.add(layer)
        if self.progress is not None:
            self.progress(len(self.reached) - 1, self.depth)

    @property
    def depth(self) -> int:
        """Number of layers."""
        return self.problem.network.depth

    @property
    def samples(self) -> int:
        """Number of examples."""
        return self.problem.samples

    @cached_property
    def claims(self) -> dict[tuple[int, Kind], Claim]:
        """The claimed gradients by layer (from 0) and kind."""
        claims: dict[tuple[int, Kind], Claim] = {}
        for tensor in self.problem.tensors:
            if tensor.gradient_name is not None and self.problem.claimed is not None:
                claims[tensor.layer, tensor.kind] = self._claim(tensor, self.problem.claimed)
        return claims

    def _claim(self, tensor: Tensor, claimed: Array) -> Claim:
        place = slice(tensor.start, tensor.stop)
        l2, l1 = next(((l2, l1) for where, l2, l1 in self.problem.network.penalties if where == place), (0.0, 0.0))
        spread, shape = None, tensor.canonical_shape
        if self.numerical.lower is not None and self.numerical.upper is not None:
            spread = np.nan_to_num(self.numerical.upper[place] - self.numerical.lower[place]).reshape(shape)
        return Claim(tensor, claimed[place].reshape(shape), self.problem.theta[place].reshape(shape), l2, l1, spread)

    @cached_property
    def sound(self) -> frozenset[tuple[int, Kind]]:
        """The claims that are right: to rounding what the right flow gives."""
        return frozenset(place for place, claim in self.claims.items() if self._is_sound(place, claim))

    @cached_property
    def lowest_right_flow(self) -> int:
        """The lowest layer of which a claim shows that the flow into it is right, and so into all above; the depth if none."""
        # A db can be right by its sum alone, as with the labels of other examples.
        return min((layer for layer, kind in self.sound if kind == "W" and self._tells(layer, kind)), default=self.depth)

    def _tells(self, layer: int, kind: Kind) -> bool:
        """Whether a right claim has more than one entry that is clear of rounding: nothing else makes these."""
        data = self.rightly(layer, kind)
        return bool(np.count_nonzero(np.abs(data.values) > 1e3 * self.claims[layer, kind].allowed(data, self.samples)) > 1)

    def _is_sound(self, place: tuple[int, Kind], claim: Claim) -> bool:
        total = self.rightly(*place).plus(claim.penalty)
        allowed = claim.allowed(total, self.samples)
        if claim.spread is not None:
            allowed = allowed + claim.spread
        return bool((np.abs(claim.values - total.values) <= allowed).all())

    def claim(self, layer: int, kind: Kind) -> Claim | None:
        """Return the claim of a tensor, None where there is none."""
        return self.claims.get((layer, kind))

    def plane(self, plane: int, layer: int) -> Array:
        """View of a plane of the table of units."""
        return self.numerical.base.plane(plane, layer)

    def inputs(self, layer: int) -> Array:
        """Return what enters a layer, after its dropout."""
        return self.numerical.base.activations[layer]

    def inputs_error(self, layer: int) -> Array | None:
        """Return its rounding in units of u; that of X is none."""
        return self.numerical.base.a_error[layer - 1] if layer else None

    def W(self, layer: int) -> Array:
        """Weights of a layer."""
        return self.problem.network.W(self.problem.theta, layer)

    @cached_property
    def probes(self) -> tuple[Offsets, ...]:
        """For each layer the columns of W on which hypotheses are tried first: those of the largest inputs, and others."""
        probes = []
        for layer in range(self.depth):
            width = self.problem.network.widths[layer]
            if width <= PROBED:
                probes.append(np.arange(width))
                continue
            size = np.einsum("sj,sj->j", self.inputs(layer), self.inputs(layer))
            largest = np.argpartition(-size, PROBED // 2)[: PROBED // 2]
            spaced = np.linspace(0, width - 1, PROBED // 2).astype(np.int64)
            probes.append(np.unique(np.concatenate([largest, spaced])))
        return tuple(probes)

    @cached_property
    def probed(self) -> dict[tuple[int, Kind], Array]:
        """The data's share of the right gradients, of W in the columns that are probed."""
        probed: dict[tuple[int, Kind], Array] = {}
        for layer, right in enumerate(self.right):
            probed[layer, "W"] = self.predicted_weights(layer, right, self.probes[layer]).values
            probed[layer, "b"] = self.predicted_bias(right).values
        return probed

    @cached_property
    def right(self) -> tuple[Flow, ...]:
        """The right flow of every layer."""
        scale = rounding_scale(self.problem, self.numerical.base)
        flows: list[Flow] = []
        arrived = self.numerical.base.tables.outputs[codes.LOSS_SLOPE]
        for layer in reversed(range(self.depth)):
            unit, values = scale.disturbed[layer]
            error = unit * np.sqrt(values)
            delta = arrived * self.plane(codes.SLOPE, layer)
            # Where f′ is tiny the flow that arrived has the error of ∂J/∂z, which has it in full, only roughly.
            flows.append(Flow(arrived, self._arrived_error(layer, flows[-1] if flows else None, error), delta, error))
            if layer:
                arrived = product(delta, self.W(layer))
        return tuple(reversed(flows))

    def _arrived_error(self, layer: int, above: Flow | None, error: Array) -> Array:
        if above is None:
            outputs, tables = self.numerical.base.tables.outputs, self.numerical.base.tables
            if tables.layers[codes.CODE, layer] == codes.IDENTITY:
                return error
            size = 2.0 * outputs[codes.FACTOR] * (np.abs(outputs[codes.OUTPUT]) + np.abs(outputs[codes.TARGET]))
            moved = 2.0 * np.abs(outputs[codes.LOSS_CURVATURE]) * self.numerical.base.a_error[-1]
            rough: Array = moved + size + np.abs(outputs[codes.LOSS_SLOPE])
            return rough
        return self.sent(above, self.W(layer + 1))[1]

    @cached_property
    def given(self) -> dict[tuple[str, int], Given]:
        """The user's own dZ and dA by kind and layer (from 0), in our scale, each held against the numerical one."""
        if not self.problem.intermediates:
            return {}
        # Many leave the 1/m to dW and db: the first array, nearest to the output, tells.
        numerical, scale = intermediates(self.problem), 1.0
        for factor in (1.0, float(self.samples), 1.0 / float(self.numerical.base.tables.outputs[codes.FACTOR].max())):
            if self._held(self.problem.intermediates[0], factor, numerical).right:
                scale = factor
                break
        return {(one.kind, one.layer): self._held(one, scale, numerical) for one in self.problem.intermediates}

    def _held(self, one: Intermediate, scale: float, numerical: dict[str, Array]) -> Given:
        flow, values = self.right[one.layer], one.values / scale
        ours = numerical.get(f"d{one.kind}{one.layer + 1}", flow.arrived)
        error = flow.error if one.kind == "Z" else flow.arrived_error
        allowed = TOLERANCE * claim_roundoff(self.problem) * (error + 4.0 * np.abs(ours)) + UNDERFLOW["float64"]
        mask = self.problem.mask(one.layer + 1) if one.kind == "A" else None
        with np.errstate(invalid="ignore"):
            right = np.abs(values - ours) <= allowed
            if mask is not None:
                right |= np.abs(values - ours * mask) <= allowed
        return Given(one.name, values, bool((right | self._on_kinks[:, None]).all()))

    @cached_property
    def _on_kinks(self) -> Truth:
        """Examples of which some unit may sit on a kink: there more than one flow is right."""
        near = np.zeros(self.samples, dtype=bool)
        for layer in range(self.depth):
            reach = ON_KINK * claim_roundoff(self.problem) * self.numerical.base.z_error[layer]
            near |= (self.plane(codes.KINK, layer) <= reach).any(axis=1)
        return near

    def sent(self, flow: Flow, W: Array) -> tuple[Array, Array]:
        """Return what a flow sends down through weights (n_out, n_in): ∂J/∂a below, and its rounding."""
        arrived = product(flow.delta, W)
        spread = squared(np.hypot(flow.error, growth(W.shape[0]) * flow.delta))
        error = np.hypot(root_product(spread, squared(W)), growth(W.shape[0]) * arrived)
        return arrived, error

    def through(self, arrived: Array, arrived_error: Array, slope: Array, slope_error: Array) -> Flow:
        """Return the flow that comes of multiplying with a derivative."""
        delta = arrived * slope
        error = np.hypot(np.hypot(arrived_error * slope, arrived * slope_error), (1.0 + growth(self.samples)) * delta)
        return Flow(arrived, arrived_error, delta, error)

    def predicted_weights(self, layer: int, flow: Flow, columns: Offsets | slice = slice(None)) -> Estimate:
        """Return the data's share of dW under a flow, in some columns."""
        return weights_estimate(flow.delta, flow.error, self.inputs(layer), self.inputs_error(layer), columns)

    @cached_property
    def rows(self) -> dict[int, list[Row]]:
        """The layers of each width, some at a time where they are large."""
        rows: dict[int, list[Row]] = {}
        for width, layers in _alike(self.problem.network.widths[1:]).items():
            rows[width] = [self._row(some) for some in batches(layers, self.samples * width)]
        return rows

    def _row(self, layers: Sequence[int]) -> Row:
        return Row(
            list(layers),
            np.hstack([self.plane(codes.SLOPE, k) for k in layers]),
            np.hstack([self.numerical.base.slope_error[k] for k in layers]),
            np.hstack([self.right[k].delta for k in layers]),
            np.hstack([self.right[k].error for k in layers]),
        )

    @cached_property
    def entered(self) -> dict[int, Entered]:
        """The heads of what enters the layers with so many inputs."""
        entered = {}
        for width, layers in _alike(self.problem.network.widths[:-1]).items():
            values = np.hstack([self.inputs(k)[:, :HEAD] for k in layers])
            errors = [self.inputs_error(k) for k in layers]
            zeros = np.zeros((self.samples, min(width, HEAD)))
            entered[width] = Entered(layers, values, np.hstack([zeros if e is None else e[:, :HEAD] for e in errors]))
        return entered

    @cached_property
    def heads(self) -> dict[tuple[Kind, tuple[int, ...]], Heads]:
        """The heads of all tensors that share their shape with others, by kind and shape."""
        shapes = [self.W(layer).shape for layer in range(self.depth)]
        alike: list[tuple[Kind, tuple[int, ...], list[int]]] = [("W", *pair) for pair in _alike(shapes).items()]
        alike += [("b", *pair) for pair in _alike([shape[:1] for shape in shapes]).items()]
        return {(kind, shape): self._heads(kind, layers) for kind, shape, layers in alike if len(layers) > 1}

    def _heads(self, kind: Kind, layers: list[int]) -> Heads:
        data, penalties = [], []
        for layer in layers:
            data.append(self.rightly(layer, kind, slice(HEAD)))
            claim = self.claim(layer, kind)
            zero = Estimate(*map(np.zeros_like, data[-1]))
            penalties.append(zero if claim is None else Estimate(*map(self.head, claim.penalty)))
        return Heads(layers, *(Estimate(*map(np.stack, zip(*parts, strict=True))) for parts in (data, penalties)))

    @staticmethod
    def head(array: Array) -> Array:
        """Return the entries at the head of a tensor: all of a b, the first columns of a W."""
        return array[:, :HEAD] if array.ndim > 1 else array

    def rightly(self, layer: int, kind: Kind, columns: slice = slice(None)) -> Estimate:
        """Return the data's share of a layer's right gradient, of W in some columns."""
        right = self.right[layer]
        return self.predicted_weights(layer, right, columns) if kind == "W" else self.predicted_bias(right)

    def predicted_bias(self, flow: Flow) -> Estimate:
        """Return the data's share of db under a flow."""
        return Estimate(flow.delta.sum(axis=0), np.sqrt(np.square(flow.error).sum(axis=0)))


def _alike(marks: Sequence[Mark]) -> dict[Mark, list[int]]:
    """Return for each mark the layers that have it."""
    found: dict[Mark, list[int]] = {}
    for layer, mark in enumerate(marks):
        found.setdefault(mark, []).append(layer)
    return found


def weights_estimate(
    delta: Array, error: Array, inputs: Array, inputs_error: Array | None, columns: Offsets | slice = slice(None)
) -> Estimate:
    """Return Σ_s δ a and its rounding, from the flow, the inputs and the rounding of each."""
    chosen = inputs[:, columns]
    rounding = root_product(squared(error).T, squared(chosen))
    if inputs_error is not None:
        np.hypot(rounding, root_product(squared(delta).T, squared(inputs_error[:, columns])), out=rounding)
    return Estimate(product(delta.T, chosen), rounding)


def tabulated(code: int, parameter: float, z: Array) -> tuple[Array, Array, Array]:
    """Return f(z), f′(z) and the typical rounding of f′ itself, in units of u."""
    value, value_scale, slope_scale = np.empty_like(z), np.empty_like(z), np.empty_like(z)
    table = np.empty((5, *z.shape))
    activation = kernel_activation(code, parameter)
    launch.tabulated_layer(activation, np.ascontiguousarray(z), value, value_scale, slope_scale, table, 0, 1)
    return value, table[codes.SLOPE], slope_scale
