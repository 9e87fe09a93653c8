"""The last layer alone, by which most forms are told: its ∂J/∂z under a form, and whether that makes what is claimed there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from fastgrad.diagnosis.candidates import family
from fastgrad.diagnosis.declared import Form, Shape, labels_of, masks_of
from fastgrad.diagnosis.ground import PROBED, Truth, tabulated
from fastgrad.errors import InputError
from fastgrad.kernels import codes
from fastgrad.model.activations import ACTIVATION_CODES, parse_activation
from fastgrad.model.forward import tabulate_loss
from fastgrad.model.losses import LOGIT_OUTPUT, parse_loss
from fastgrad.model.network import Array, Network, Problem, Tensor
from fastgrad.model.product import product

SCREEN = {"float64": 1e-7, "float32": 1e-3, "float16": 3e-2, "bfloat16": 0.2}
"""How far the last layer may be off, relative to its largest entry, for a form to be followed: far above rounding, and far
below what another activation or loss changes. Nothing is asserted by it."""


class Top(NamedTuple):
    """∂J/∂z of the output under a form and the loss, both summed over the examples, and the sum of the examples' weights."""

    form: Form
    delta: Array
    loss: float
    total_weight: float


class _Part(NamedTuple):
    """A part of `_Screen`, with its parameters."""

    claimed: Array
    penalty: Array
    bound: Array
    loose: Array
    theta: Array


class _Screen(NamedTuple):
    """Of the last layer's W, in some columns, and of its b, in a row: what is claimed, and how far a form may be off.

    `spans` are what an L2, an L1 penalty and both can make of it, by orthonormal columns; with these the bound is `loose`,
    infinite where as many numbers would be fitted as there are.
    """

    places: list[slice]
    claimed: Array
    penalty: Array
    bound: Array
    loose: Array
    spans: list[Array]


class LastLayer:
    """The last layer of a problem, whose claimed gradients are some tensors' among `judged`."""

    def __init__(self, problem: Problem, judged: Sequence[Tensor]) -> None:
        self.problem = problem
        self.declared = Form.of(problem)
        self.claimed = np.full(problem.network.size, np.nan) if problem.claimed is None else problem.claimed
        self.tensors = {tensor.kind: tensor for tensor in judged if tensor.layer == problem.network.depth - 1}
        self._entering: dict[tuple[tuple[Shape, ...], str], Array] = {}
        self._constants: dict[str, float] = {}
        self._outputs: dict[Form, Problem | None] = {}

    def output(self) -> float:
        """Return the output of a network that has one, for one example."""
        z = self._preactivation(self.declared.hidden, "", self.problem.masks)
        name, parameter = parse_activation(self.declared.output)
        return float(tabulated(ACTIVATION_CODES.get(name, codes.IDENTITY), parameter, z)[0][0, 0])

    def _enters(self, form: Form) -> Array:
        """Return what enters the last layer."""
        return self._after(form.hidden, form.masks, masks_of(self.problem, form))

    def _after(self, shapes: tuple[Shape, ...], kind: str, masks: tuple[Array | None, ...]) -> Array:
        """Return what comes out of the first layers, with these activations and after their dropout."""
        problem, mask = self.problem, masks[len(shapes)] if len(shapes) < len(masks) else None
        if not shapes:
            return problem.X if mask is None else problem.X * mask
        key = shapes, kind
        if key not in self._entering:
            name, parameter = parse_activation(shapes[-1].name)
            z = self._preactivation(shapes[:-1], kind, masks)
            a = shapes[-1].outer * tabulated(ACTIVATION_CODES[name], parameter, shapes[-1].inner * z)[0]
            self._entering[key] = a if mask is None else a * mask
        return self._entering[key]

    def _preactivation(self, below: tuple[Shape, ...], kind: str, masks: tuple[Array | None, ...]) -> Array:
        """Return z of the layer above some; that of the first layer, where X may be wide, is kept."""
        network, layer = self.problem.network, len(below)
        key = (Shape("z"), *below), kind
        if key not in self._entering:
            W, b = network.W(self.problem.theta, layer), network.b(self.problem.theta, layer)
            z = product(self._after(below, kind, masks), W.T)
            self._entering[key] = z + b if b.size else z
        return self._entering[key]

    @cached_property
    def _head(self) -> Network:
        """The last layer as a network of its own."""
        network = self.problem.network
        return Network(network.widths[-2:], ("identity",), "squared_error", "sum", network.biases[-1:])

    def _output(self, form: Form) -> Problem | None:
        """Return the last layer under a form, summed over the examples, as a problem; what enters it makes no difference."""
        key = replace(form, hidden=(), masks="", reduction="sum")
        if key not in self._outputs:
            self._outputs[key] = self._output_anew(key)
        return self._outputs[key]

    def _output_anew(self, form: Form) -> Problem | None:
        labels, weights = labels_of(self.problem, form), self.problem.example_weights
        if labels is None:
            return None
        try:
            head = replace(
                self._head,
                activations=(form.output,),
                loss=form.loss,
                class_weights=form.class_weights,
                label_smoothing=form.smoothing,
            )
        except InputError:
            return None
        return replace(
            self.problem,
            network=head,
            Y=head.targets(labels),
            labels=labels if form.class_weights or form.smoothing else None,
            masks=(),
            example_weights=weights if form.example_weights else None,
        )

    def top(self, form: Form) -> Top | None:
        """Return ∂J/∂z and loss of the last layer under a form; None where there is no such form."""
        problem = self._output(form)
        if problem is None:
            return None
        head, z = problem.network, self._preactivation(form.hidden, form.masks, masks_of(self.problem, form))
        a, slope, _ = tabulated(head.activation_codes[0], head.activation_parameters[0], z)
        try:
            outputs, _, losses = tabulate_loss(head, a, problem.Y, self._factors(problem))
        except InputError:
            return None
        return Top(form, outputs[codes.LOSS_SLOPE] * slope, float(losses.sum()), problem.total_weight)

    def _factors(self, problem: Problem) -> Array | float:
        """Return what multiplies the loss of each output."""
        return problem.factors if problem.has_weights else problem.network.loss_constant

    def _constant(self, loss: str) -> float:
        """Return the constant of a loss; the output that it goes with makes no difference to it."""
        if loss not in self._constants:
            output = LOGIT_OUTPUT.get(parse_loss(loss)[0], "identity")
            self._constants[loss] = replace(self._head, activations=(output,), loss=loss).loss_constant
        return self._constants[loss]

    def multiples(self, top: Top, every: bool) -> Iterator[tuple[Form, float]]:
        """Yield the losses and reductions that a form's ∂J/∂z, summed over the examples, is a multiple of, each once."""
        form = top.form
        kin = family(form.loss)
        reductions = dict.fromkeys([self.declared.reduction, "mean", "sum"])
        if "weighted_mean" in reductions and not (form.class_weights or form.example_weights):
            reductions.pop("weighted_mean")
        elif form.class_weights or form.example_weights:
            reductions["weighted_mean"] = None
        constants = {name: self._constant(name) for name in kin}
        divisors = {"mean": float(self.problem.samples), "sum": 1.0, "weighted_mean": top.total_weight}
        names = sorted(kin, key=lambda name: name != self.declared.loss)
        options = [(loss, reduction) for loss in names for reduction in reductions]
        options.sort(key=lambda pair: (pair[0] != self.declared.loss) + (pair[1] != self.declared.reduction))
        seen: set[str] = set()
        for loss, reduction in options if every else [(form.loss, form.reduction)]:
            scale = constants[loss] / constants[form.loss] / divisors[reduction]
            if f"{scale:.12g}" not in seen:
                seen.add(f"{scale:.12g}")
                yield replace(form, loss=loss, reduction=reduction), scale

    def is_right(self) -> bool:
        """Whether dW or db of the last layer is the declared one: then what makes it is so, too, and another form is not."""
        top = self.top(self.declared)
        if top is None:
            return False
        _, scale = next(self.multiples(top, False))
        screen = self._screen
        right = np.abs(screen.claimed - scale * self._predicted(top) - screen.penalty) <= screen.bound
        return any(right[place].all() and screen.claimed[place].any() for place in screen.places)

    def screened(self, form: Form) -> Iterator[tuple[Form, bool]]:
        """Yield the forms with that ∂J/∂z whose last layer is as claimed, with the declared penalty (true) or with another."""
        top = self.top(form)
        if top is None:
            return
        options, screen = list(self.multiples(top, True)), self._screen
        rest = screen.claimed - np.array([scale for _, scale in options])[:, None] * self._predicted(top)
        plain: Truth = np.asarray((np.abs(rest - screen.penalty) <= screen.bound).all(axis=1))
        other = np.zeros_like(plain)
        for span in screen.spans:
            other |= (np.abs(rest - (rest @ span) @ span.T) <= screen.loose).all(axis=1)
        for k in np.flatnonzero(plain | other).tolist():
            yield options[k][0], bool(plain[k])

    @cached_property
    def _screen(self) -> _Screen:
        """What of the last layer is compared first."""
        parts = [self._part(tensor) for tensor in self.tensors.values()]
        ends = np.cumsum([part.claimed.size for part in parts]).tolist()
        places = [slice(end - part.claimed.size, end) for end, part in zip(ends, parts, strict=True)]
        claimed, penalty, bound, loose = (np.concatenate(column) for column in list(zip(*parts, strict=True))[:4])
        told = [(place, part.theta) for place, part in zip(places, parts, strict=True) if np.isfinite(part.loose).all()]
        spans = [_span(claimed.size, told, signs) for signs in ((False,), (True,), (False, True))] if told else []
        return _Screen(places, claimed, penalty, bound, loose, spans)

    def _part(self, tensor: Tensor) -> _Part:
        """Return what of a tensor is compared first."""
        claimed, theta = (array[tensor.start : tensor.stop] for array in (self.claimed, self.problem.theta))
        if tensor.kind == "W":
            claimed, theta = (array.reshape(tensor.canonical_shape)[:, :PROBED].ravel() for array in (claimed, theta))
        l2, l1 = self._declared_penalty(tensor)
        bound = np.full(claimed.size, SCREEN[tensor.precision] * float(np.abs(claimed).max(initial=0.0)))
        loose = bound if claimed.size > 2 else np.full(claimed.size, np.inf)  # two numbers are any penalty's
        return _Part(claimed, l2 * theta + l1 * np.sign(theta), bound, loose, theta)

    def _predicted(self, top: Top) -> Array:
        """Return what a ∂J/∂z makes of the last layer's W, in some columns, and of its b."""
        parts = []
        for kind in self.tensors:
            if kind == "W":
                some = np.ascontiguousarray(self._enters(top.form)[:, :PROBED])
                parts.append(product(top.delta.T, some).ravel())
            else:
                parts.append(top.delta.sum(axis=0))
        return np.concatenate(parts)

    def _declared_penalty(self, tensor: Tensor) -> tuple[float, float]:
        found = (item for item in self.problem.network.penalties if item.place == slice(tensor.start, tensor.stop))
        return next(((item.l2, item.l1) for item in found), (0.0, 0.0))


def _span(size: int, parts: Sequence[tuple[slice, Array]], signs: Sequence[bool]) -> Array:
    """Return orthonormal columns that span the penalties of tensors in a row: multiples of theta, of its signs, or both."""
    columns = np.zeros((size, len(parts) * len(signs)))
    for k, (place, theta) in enumerate(parts):
        basis = np.stack([np.sign(theta) if sign else theta for sign in signs], axis=1)
        columns[place, k * len(signs) : (k + 1) * len(signs)] = np.linalg.qr(basis)[0]
    return columns
