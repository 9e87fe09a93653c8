"""Which other network than the declared one a claimed gradient is exactly the gradient of.

A `Form` is everything that can be declared but the penalty, which is fitted. Most forms end at the output layer: its
∂J/∂z, computed by the kernels from what enters the layer, must give the claimed dW and db there, times a constant that some
loss or reduction has. What is left is computed in whole and held against the claim at the verdict's own tolerance.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product as pairs
from typing import NamedTuple

import numpy as np

from fastgrad.diagnosis.forms import CLEAR
from fastgrad.diagnosis.ground import PROBED, Truth, tabulated
from fastgrad.errors import InputError
from fastgrad.kernels import codes
from fastgrad.model import losses
from fastgrad.model.activations import ACTIVATION_CODES, parse_activation
from fastgrad.model.conventions import same_loss
from fastgrad.model.forward import UNIT_ROUNDOFF, BasePoint, base_point, growth, penalty_value, tabulate_loss
from fastgrad.model.losses import HINGES, LOGIT_OUTPUT, SMOOTHED, parse_loss
from fastgrad.model.network import Array, Network, Problem, Tensor
from fastgrad.model.product import least_squares, product
from fastgrad.model.rounding import TOLERANCE, UNDERFLOW, gradient, rounding_scale

SCREEN = {"float64": 1e-7, "float32": 1e-3, "float16": 3e-2, "bfloat16": 0.2}
"""How far the last layer may be off, relative to its largest entry, for a form to be followed: far above rounding, and far
below what another activation or loss changes. Nothing is asserted by it."""
MOST_WORK, MOST_NUMBERS = 5e9, 2**25
"""Multiply-adds that forward passes with other activations may take, a second on a core, and the numbers that they may keep;
with more, none is tried."""
SINGLY = 4
"""Hidden layers of which each is tried with another activation alone."""
LEAST_EVIDENCE = 2
"""Entries that must contradict the declared network, beyond the numbers that were fitted."""


class Shape(NamedTuple):
    """An activation outer·f(inner·z), where f has a name."""

    name: str
    inner: float = 1.0
    outer: float = 1.0

    @property
    def text(self) -> str:
        """How people write it."""
        return _WRITTEN.get(self, self.name)

    @property
    def declarable(self) -> bool:
        """Whether the name stands for it."""
        return self.inner == self.outer == 1.0


_WRITTEN = {
    Shape("tanh", 0.5): "tanh(z/2)",
    Shape("tanh", 2.0): "tanh(2z)",
    Shape("sigmoid", 2.0): "sigmoid(2z)",
    Shape("tanh", 2.0 / 3.0, 1.7159): "1.7159·tanh(2z/3)",
    Shape("silu", 1.702, 1.0 / 1.702): "z·sigmoid(1.702z)",
}
"""Activations that have no name of their own here."""
SLOPES = ("0.001", "0.02", "0.05", "0.1", "0.2", "0.25", "0.3")
VARIANTS = (
    *(f"leaky_relu:{slope}" for slope in SLOPES),
    *(f"elu:{alpha}" for alpha in ("0.1", "0.2", "0.5", "1.5", "2")),
    "hard_sigmoid:0.2",
)
SHAPES = (*map(Shape, (*ACTIVATION_CODES, *VARIANTS)), *_WRITTEN)
"""Activations that are tried in the hidden layers."""
OUTPUTS = (*ACTIVATION_CODES, "softmax")
FAMILIES = (
    ("softmax_crossentropy",),
    ("binary_crossentropy",),
    ("mse", "squared_error", "half_mse", "sum_squared_error"),
    ("absolute_error", "sum_absolute_error"),
    ("huber",),
    ("log_cosh",),
    ("hinge",),
    ("squared_hinge",),
    ("poisson",),
    ("kl_divergence",),
)
"""Losses that are multiples of each other; where two come to the same, the first is named."""
USUAL = (
    ("softmax", "softmax_crossentropy"),
    ("sigmoid", "binary_crossentropy"),
    ("identity", "mse"),
    ("sigmoid", "mse"),
    ("tanh", "mse"),
    ("softmax", "mse"),
    ("identity", "absolute_error"),
    ("identity", "huber"),
)
"""Outputs and losses that are tried together with other hidden activations."""
CODINGS = {"2·Y - 1": (2.0, -1.0), "(Y + 1)/2": (0.5, 0.5)}
"""Other codings of two labels: a factor and a shift."""
SMOOTHINGS = (0.1, 0.05, 0.2, 0.01)


@dataclass(frozen=True)
class Form:
    """Everything of a network that can be declared but its penalty.

    `coding` is a key of `CODINGS`, `masks` is "none" or "binary" where the declared dropout is left out or not divided by
    keep_prob; both are empty for what was declared.
    """

    hidden: tuple[Shape, ...]
    output: str
    loss: str
    reduction: str
    smoothing: float
    class_weights: tuple[float, ...]
    example_weights: bool
    coding: str = ""
    masks: str = ""

    @classmethod
    def of(cls, problem: Problem) -> Form:
        """Return what was declared."""
        network = problem.network
        return cls(
            tuple(map(Shape, network.activations[:-1])),
            network.activations[-1],
            network.loss,
            network.reduction,
            network.label_smoothing,
            network.class_weights,
            problem.example_weights is not None,
        )

    def with_loss(self, output: str, loss: str) -> Form:
        """Return the form with another output and loss, and without what that loss has no place for."""
        name = parse_loss(loss)[0]
        return replace(
            self,
            output=output,
            loss=loss,
            smoothing=self.smoothing if name in SMOOTHED else 0.0,
            class_weights=self.class_weights if name in LOGIT_OUTPUT else (),
        )


@dataclass(frozen=True, eq=False)
class Fit:
    """A form, with its penalty, of which the claim is exactly the gradient.

    Attributes
    ----------
    form : Form
        What it is.
    l2, l1 : tuple of float
        Of each tensor, as in `Network`.
    penalty : Array
        The penalty's share of the gradient.
    without : str
        What the penalty leaves out though its tensor is in it; empty where it leaves out nothing.
    entries, evidence : int
        Entries that were held against the claim, and of these the ones that contradict the declared network.
    residual : float
        Largest distance of the claim, relative to the size of what is added up.
    loss : float
        The value of that network's loss.
    same_loss : bool or None
        Whether the user's own value is that one; None where there is none.
    """

    form: Form
    l2: tuple[float, ...]
    l1: tuple[float, ...]
    penalty: Array = field(repr=False)
    without: str
    entries: int
    evidence: int
    residual: float
    loss: float
    same_loss: bool | None


class _Top(NamedTuple):
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


class _Whole(NamedTuple):
    """A form's gradient without penalty, what rounding may do to each entry, the size of each, and the value of the loss."""

    values: Array
    allowed: Array
    size: Array
    loss: float
    base: BasePoint


class Forms:
    """The forms that a problem can have, and which of them its claim is the gradient of.

    `said` are the items that somebody declared where the rest is to be found out, None where all of it was declared.
    """

    def __init__(self, problem: Problem, said: Collection[str] | None = None) -> None:
        self.problem, self.said = problem, said
        self.claimed = np.full(problem.network.size, np.nan) if problem.claimed is None else problem.claimed
        self.declared = Form.of(problem)
        self.judged = [tensor for tensor in problem.tensors if tensor.gradient_name is not None and not tensor.single]
        self._entering: dict[tuple[tuple[Shape, ...], str], Array] = {}
        self._constants: dict[str, float] = {}
        self._outputs: dict[Form, Problem | None] = {}

    @cached_property
    def _places(self) -> Truth:
        """Which entries of theta have a claim."""
        places = np.zeros(self.problem.network.size, dtype=bool)
        for tensor in self.judged:
            places[tensor.start : tensor.stop] = True
        return places

    @cached_property
    def _last(self) -> dict[str, Tensor]:
        """The tensors of the last layer that have a claim."""
        return {tensor.kind: tensor for tensor in self.judged if tensor.layer == self.problem.network.depth - 1}

    def output(self) -> float:
        """Return the output of a network that has one, for one example."""
        z = self._preactivation(self.declared.hidden, "", self.problem.masks)
        name, parameter = parse_activation(self.declared.output)
        return float(tabulated(ACTIVATION_CODES.get(name, codes.IDENTITY), parameter, z)[0][0, 0])

    def values(self) -> Iterator[tuple[Form, float]]:
        """Yield other forms and the values of their losses, with the declared penalty."""
        penalty = penalty_value(self.problem)
        for form in dict.fromkeys([*self._one_change(), *self._two_changes()]):
            top = self._top(form)
            if top is None:
                continue
            for one, scale in self._multiples(top, True):
                yield one, scale * top.loss + penalty

    # What is tried.

    def found(self) -> list[Fit]:
        """Return the forms that the claim is exactly the gradient of, those with the fewest changes; none for most mistakes."""
        if not self._last or not np.isfinite(self.claimed[self._places]).all():
            return []
        fits = self._verified([self.declared])
        if fits or self._output_is_right():
            return fits
        for forms in (self._one_change, self._two_changes):
            fits = self._fitting(list(dict.fromkeys(forms())))
            if fits:
                return fits
        return []

    def inferred(self) -> list[Fit]:
        """Return all forms that the claim is the gradient of; the items that somebody said stay as they are."""
        said = {*(self.said or ())}
        if not self._last or not np.isfinite(self.claimed[self._places]).all():
            return []
        hiddens = [self.declared.hidden]
        if hiddens[0] and not {"hidden", "activations"} & said:
            hiddens = list(self._all_hidden())
        outputs = list(dict.fromkeys(self._pairs()))
        if "output" in said or "activations" in said:
            outputs = [pair for pair in outputs if pair[0] == self.declared.output]
        if "loss" in said:
            outputs = [pair for pair in outputs if self.declared.loss in _family(pair[1])]
        forms = [replace(self.declared, hidden=hidden).with_loss(*pair) for hidden in hiddens for pair in outputs]
        return self._fitting(forms) or self._fitting([one for form in forms for one in self._other_labels(form)])

    def _all_hidden(self) -> Iterator[tuple[Shape, ...]]:
        """Yield the activations of the hidden layers, alike and, where there are two or three layers, some that differ."""
        count = len(self.declared.hidden)
        alike = [(shape,) * count for shape in SHAPES if shape.declarable]
        if self._affordable(len(alike)):
            yield from alike
            yield from self._mixed()
        else:
            yield from ((Shape(name),) * count for name in ("tanh", "relu", "sigmoid"))

    def _mixed(self) -> Iterator[tuple[Shape, ...]]:
        """Yield two or three hidden layers whose activations differ."""
        usual, count = [Shape(name) for name in ("relu", "tanh", "sigmoid", "leaky_relu")], len(self.declared.hidden)
        if 2 <= count <= 3 and self._affordable(len(usual) ** count):
            yield from (shapes for shapes in pairs(usual, repeat=count) if len(set(shapes)) > 1)

    def _affordable(self, passes: int) -> bool:
        samples, network = self.problem.samples, self.problem.network
        work = samples * (network.size - network.widths[0] * network.widths[1])  # z of the first layer is the same in all
        return work * passes <= MOST_WORK and samples * sum(network.widths[1:]) * passes <= MOST_NUMBERS

    def _hiddens(self) -> Iterator[tuple[Shape, ...]]:
        """Yield other activations of all hidden layers that were declared alike, then of single ones."""
        hidden = self.declared.hidden
        for old, new in pairs(dict.fromkeys(hidden), SHAPES):
            yield tuple(new if shape == old else shape for shape in hidden)
        yield from ((new,) * len(hidden) for new in SHAPES)
        if len(hidden) <= SINGLY and self._affordable(len(hidden) * len(SHAPES)):
            for layer, new in pairs(range(len(hidden)), SHAPES):
                yield (*hidden[:layer], new, *hidden[layer + 1 :])

    def _pairs(self) -> Iterator[tuple[str, str]]:
        """Yield every output and, of each family of losses that goes with it, the first; the declared ones first."""
        yield self.declared.output, self.declared.loss
        for output, family in pairs((self.declared.output, *OUTPUTS), FAMILIES):
            needed = LOGIT_OUTPUT.get(family[0])
            if (needed is None or output == needed) and (output != "softmax" or self.problem.network.widths[-1] > 1):
                yield output, family[0]

    def _one_change(self) -> Iterator[Form]:
        declared = self.declared
        yield declared
        if self._affordable(len(SHAPES)):
            for hidden in dict.fromkeys(self._hiddens()):
                yield replace(declared, hidden=hidden)
        for output, loss in self._pairs():
            yield declared.with_loss(output, loss)
        yield from self._other_labels(declared)
        if self.problem.masks:
            yield from (replace(declared, masks=masks) for masks in ("none", "binary"))
        if declared.example_weights:
            yield replace(declared, example_weights=False)
        if declared.class_weights:
            yield replace(declared, class_weights=())

    def _other_labels(self, form: Form) -> Iterator[Form]:
        yield from (replace(form, coding=coding) for coding in CODINGS)
        if parse_loss(form.loss)[0] in SMOOTHED:
            yield from (replace(form, smoothing=s) for s in ((0.0,) if form.smoothing else SMOOTHINGS))

    def _two_changes(self) -> Iterator[Form]:
        many = self.problem.network.widths[-1] > 1
        usual = [self.declared.with_loss(*pair) for pair in USUAL if pair[0] != "softmax" or many]
        for form in [*usual, *(self.declared.with_loss(output, "mse") for output in OUTPUTS[:-1])]:
            yield from self._other_labels(form)
        if self.declared.hidden and self._affordable(len(SHAPES)):
            for shape, form in pairs(SHAPES, usual):
                yield replace(form, hidden=(shape,) * len(self.declared.hidden))

    # What is left of it.

    def _fitting(self, forms: Sequence[Form]) -> list[Fit]:
        """Return the forms that fit with the declared penalty; where there are none, those that fit with another one."""
        plain: list[Form] = []
        penalized: list[Form] = []
        for form in forms:
            for one, fits in self._screened(form):
                (plain if fits else penalized).append(one)
        return self._verified(plain) or self._verified(penalized)

    def _verified(self, forms: Iterable[Form]) -> list[Fit]:
        fits = [fit for form in dict.fromkeys(forms) if (fit := self._fit(form)) is not None]
        if self.said is not None:
            return [fit for fit in fits if "reduction" not in self.said or fit.form.reduction == self.declared.reduction]
        least = min((self._changes(fit) for fit in fits), default=0)
        return [fit for fit in fits if self._changes(fit) == least]

    def _changes(self, fit: Fit) -> int:
        """Count what differs from the declaration; hidden layers of one new activation count once."""
        items = ("output", "loss", "reduction", "smoothing", "class_weights", "example_weights", "coding", "masks")
        count = sum(bool(getattr(fit.form, item) != getattr(self.declared, item)) for item in items)
        return count + len({new for new, old in zip(fit.form.hidden, self.declared.hidden, strict=True) if new != old})

    def problem_of(self, form: Form) -> Problem | None:
        """Return the problem that a form makes, without penalty; None where its labels or weights are none of its loss."""
        declared, network = self.problem, self.problem.network
        labels = self._labels(form)
        if labels is None:
            return None
        try:
            changed = replace(
                network,
                activations=(*(shape.name for shape in form.hidden), form.output),
                loss=form.loss,
                reduction=form.reduction,
                l2=(),
                l1=(),
                class_weights=form.class_weights,
                label_smoothing=form.smoothing,
            )
        except InputError:
            return None
        return replace(
            declared,
            network=changed,
            theta=declared.theta * self._inward(form) if self._scaled(form) else declared.theta,
            Y=changed.targets(labels),
            labels=labels if form.class_weights or form.smoothing else None,
            example_weights=declared.example_weights if form.example_weights else None,
            masks=self._masks(form),
        )

    def _masks(self, form: Form) -> tuple[Array | None, ...]:
        if form.masks == "none":
            return ()
        masks = self.problem.masks
        return tuple(None if mask is None else np.sign(mask) for mask in masks) if form.masks == "binary" else masks

    def _labels(self, form: Form) -> Array | None:
        """Return the labels as a loss takes them; None where it does not take them."""
        labels = self.problem.Y if self.problem.labels is None else self.problem.labels
        name, two = parse_loss(form.loss)[0], set(np.unique(labels[:, :1]).tolist()) if form.coding else set()
        if form.coding:
            if not two <= ({0.0, 1.0} if form.coding == "2·Y - 1" else {-1.0, 1.0}):
                return None
            factor, shift = CODINGS[form.coding]
            labels = factor * labels + shift
        low, high = float(labels.min()), float(labels.max())
        if losses.BY_NAME[name].positive_output and low < 0.0:
            return None
        if (name in LOGIT_OUTPUT or name == "kl_divergence") and not 0.0 <= low <= high <= 1.0:
            return None
        return self._hinge_labels(labels) if name in HINGES else labels

    @staticmethod
    def _hinge_labels(labels: Array) -> Array | None:
        if labels.shape[1] > 1:
            return labels if np.isin(labels, (0.0, 1.0)).all() and (labels.sum(axis=1) == 1.0).all() else None
        if np.isin(labels, (0.0, 1.0)).all():
            return 2.0 * labels - 1.0
        return labels if np.isin(labels, (-1.0, 1.0)).all() else None

    def _scaled(self, form: Form) -> bool:
        return not all(shape.declarable for shape in form.hidden)

    def _inward(self, form: Form) -> Array:
        """Return what makes scaled activations plain ones when theta is multiplied with it: outer·f(inner·z) of W and b."""
        network, factors = self.problem.network, np.ones(self.problem.network.size)
        for layer in range(network.depth):
            inner = form.hidden[layer].inner if layer + 1 < network.depth else 1.0
            outer = form.hidden[layer - 1].outer if layer else 1.0
            factors[network.weight_slice(layer)] = inner * outer
            factors[network.bias_slice(layer)] = inner
        return factors

    # The last layer alone.

    def _enters(self, form: Form) -> Array:
        """Return what enters the last layer."""
        return self._after(form.hidden, form.masks, self._masks(form))

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
        labels, weights = self._labels(form), self.problem.example_weights
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

    def _top(self, form: Form) -> _Top | None:
        """Return ∂J/∂z and loss of the last layer under a form; None where there is no such form."""
        problem = self._output(form)
        if problem is None:
            return None
        head, z = problem.network, self._preactivation(form.hidden, form.masks, self._masks(form))
        a, slope, _ = tabulated(head.activation_codes[0], head.activation_parameters[0], z)
        try:
            outputs, _, losses = tabulate_loss(head, a, problem.Y, self._factors(problem))
        except InputError:
            return None
        return _Top(form, outputs[codes.LOSS_SLOPE] * slope, float(losses.sum()), problem.total_weight)

    def _factors(self, problem: Problem) -> Array | float:
        """Return what multiplies the loss of each output."""
        return problem.factors if problem.has_weights else problem.network.loss_constant

    def _constant(self, loss: str) -> float:
        """Return the constant of a loss; the output that it goes with makes no difference to it."""
        if loss not in self._constants:
            output = LOGIT_OUTPUT.get(parse_loss(loss)[0], "identity")
            self._constants[loss] = replace(self._head, activations=(output,), loss=loss).loss_constant
        return self._constants[loss]

    def _multiples(self, top: _Top, every: bool) -> Iterator[tuple[Form, float]]:
        """Yield the losses and reductions that a form's ∂J/∂z, summed over the examples, is a multiple of, each once."""
        form = top.form
        family = _family(form.loss)
        reductions = dict.fromkeys([self.declared.reduction, "mean", "sum"])
        if "weighted_mean" in reductions and not (form.class_weights or form.example_weights):
            reductions.pop("weighted_mean")
        elif form.class_weights or form.example_weights:
            reductions["weighted_mean"] = None
        constants = {name: self._constant(name) for name in family}
        divisors = {"mean": float(self.problem.samples), "sum": 1.0, "weighted_mean": top.total_weight}
        names = sorted(family, key=lambda name: name != self.declared.loss)
        options = [(loss, reduction) for loss in names for reduction in reductions]
        options.sort(key=lambda pair: (pair[0] != self.declared.loss) + (pair[1] != self.declared.reduction))
        seen: set[str] = set()
        for loss, reduction in options if every else [(form.loss, form.reduction)]:
            scale = constants[loss] / constants[form.loss] / divisors[reduction]
            if f"{scale:.12g}" not in seen:
                seen.add(f"{scale:.12g}")
                yield replace(form, loss=loss, reduction=reduction), scale

    def _output_is_right(self) -> bool:
        """Whether dW or db of the last layer is the declared one: then what makes it is so, too, and another form is not."""
        top = self._top(self.declared)
        if top is None:
            return False
        _, scale = next(self._multiples(top, False))
        screen = self._screen
        right = np.abs(screen.claimed - scale * self._predicted(top) - screen.penalty) <= screen.bound
        return any(right[place].all() and screen.claimed[place].any() for place in screen.places)

    def _screened(self, form: Form) -> Iterator[tuple[Form, bool]]:
        """Yield the forms with that ∂J/∂z whose last layer is as claimed, with the declared penalty (true) or with another."""
        top = self._top(form)
        if top is None:
            return
        options, screen = list(self._multiples(top, True)), self._screen
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
        parts = [self._part(tensor) for tensor in self._last.values()]
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

    def _predicted(self, top: _Top) -> Array:
        """Return what a ∂J/∂z makes of the last layer's W, in some columns, and of its b."""
        parts = []
        for kind in self._last:
            if kind == "W":
                some = np.ascontiguousarray(self._enters(top.form)[:, :PROBED])
                parts.append(product(top.delta.T, some).ravel())
            else:
                parts.append(top.delta.sum(axis=0))
        return np.concatenate(parts)

    def _declared_penalty(self, tensor: Tensor) -> tuple[float, float]:
        found = (item for item in self.problem.network.penalties if item.place == slice(tensor.start, tensor.stop))
        return next(((item.l2, item.l1) for item in found), (0.0, 0.0))

    # The whole gradient.

    def _whole(self, form: Form) -> _Whole | None:
        """Return a form's gradient without its penalty."""
        problem = self.problem_of(form)
        if problem is None:
            return None
        try:
            base = base_point(problem)
        except InputError:
            return None
        values, scale = gradient(problem, base), rounding_scale(problem, base)
        rounding, roundoff, least = (np.zeros(problem.network.size) for _ in range(3))
        for tensor in self.judged:
            place = slice(tensor.start, tensor.stop)
            if tensor.kind == "b":
                rounding[place] = scale.bias(tensor.layer)
            else:
                rounding[place] = scale.rows(tensor.layer, 0, tensor.canonical_shape[0]).ravel()
            roundoff[place], least[place] = UNIT_ROUNDOFF[tensor.precision], UNDERFLOW[tensor.precision]
        factors = self._inward(form) if self._scaled(form) else 1.0
        values, rounding = values * factors, rounding * factors
        rounding += growth(problem.samples) * np.abs(values)
        return _Whole(values, TOLERANCE * (roundoff * rounding + least), rounding + np.abs(values), base.loss, base)

    def _fit(self, form: Form) -> Fit | None:
        """Return a form with its penalty if the claim is its gradient to rounding, and if that says anything."""
        whole = self._whole(form)
        if whole is None:
            return None
        network, where = self.problem.network, self._places
        rest = np.where(where, self.claimed - whole.values, 0.0)
        if not (np.isfinite(rest).all() and np.isfinite(whole.allowed[where]).all()):
            return None
        for penalty in self._penalties(rest, whole.allowed):
            extra = 2.0 * TOLERANCE * self._roundoff * (np.abs(penalty.values) + np.abs(rest - penalty.values))
            allowed = whole.allowed + extra
            if not (np.abs(rest - penalty.values)[where] <= allowed[where]).all():
                continue
            telling = (np.abs(self.claimed) > CLEAR * allowed) & where
            if self.said is None:
                telling &= np.abs(self._right - whole.values - penalty.values) > allowed
            if int(telling.sum()) < LEAST_EVIDENCE + penalty.fitted:
                return None
            if int((np.abs(whole.values) > CLEAR * allowed)[where].sum()) < LEAST_EVIDENCE:
                return None  # nothing but its penalty is there: any loss of which nothing comes down would do
            valued = replace(self.problem, network=replace(network, l2=penalty.l2, l1=penalty.l1))
            loss = whole.loss + penalty_value(valued)
            size = (whole.size + np.abs(penalty.values))[where]
            residual = float((np.abs(rest - penalty.values)[where] / np.where(size > 0.0, size, 1.0)).max(initial=0.0))
            claimed = self.problem.claimed_loss
            agrees = None if claimed is None else same_loss(claimed, loss, self.problem, whole.base)
            entries, evidence = int(where.sum()), int(telling.sum())
            return Fit(form, penalty.l2, penalty.l1, penalty.values, penalty.without, entries, evidence, residual, loss, agrees)
        return None

    @cached_property
    def _roundoff(self) -> Array:
        roundoff = np.zeros(self.problem.network.size)
        for tensor in self.judged:
            roundoff[tensor.start : tensor.stop] = UNIT_ROUNDOFF[tensor.precision]
        return roundoff

    @cached_property
    def _right(self) -> Array:
        """The gradient of the declared network."""
        base = base_point(self.problem)
        return gradient(self.problem, base)

    # Penalties.

    def _penalties(self, rest: Array, allowed: Array) -> Iterator[_Penalty]:
        """Yield the penalties that may be what is left of a claim: the declared one, none, and multiples of usual forms."""
        network, theta = self.problem.network, self.problem.theta
        none = (0.0,) * len(network.tensor_slices)
        l2, l1 = network.l2 or none, network.l1 or none
        yield self._penalty(l2, l1, 0)
        if self.said and {"l2", "l1"} & {*self.said}:
            return
        if any(l2) or any(l1):
            yield self._penalty(none, none, 0)
        weights = tuple(float(name[0] == "W") for name in network.tensor_slices)
        every = (1.0,) * len(weights)
        directions: list[tuple[tuple[float, ...], tuple[float, ...]]] = []
        for pattern in (*([l2] if any(l2) else []), *([l1] if any(l1) else []), weights, every, *self._extended(l2, weights)):
            directions += [(pattern, none), (none, pattern)]
        for a, b in dict.fromkeys(directions):
            yield from self._scaled_to(rest, allowed, [(a, b)])
        for pattern in (weights, every):
            yield from self._scaled_to(rest, allowed, [(pattern, none), (none, pattern)])
        for column in np.flatnonzero((self.problem.X == 1.0).all(axis=0)).tolist():
            spared = np.ones_like(theta)
            network.W(spared, 0)[:, column] = 0.0
            for a, b in ((weights, none), (none, weights)):
                yield from self._scaled_to(rest, allowed, [(a, b)], spared, f"the weights of X's column of ones, {column}")

    @staticmethod
    def _extended(l2: tuple[float, ...], weights: tuple[float, ...]) -> Iterator[tuple[float, ...]]:
        """Yield declared coefficients without those of the biases."""
        if any(c for c, is_weight in zip(l2, weights, strict=True) if not is_weight):
            yield tuple(c * is_weight for c, is_weight in zip(l2, weights, strict=True))

    def _penalty(
        self, l2: tuple[float, ...], l1: tuple[float, ...], fitted: int, spared: Array | None = None, without: str = ""
    ) -> _Penalty:
        theta, values = self.problem.theta, np.zeros(self.problem.network.size)
        for place, a, b in zip(self.problem.network.tensor_slices.values(), l2, l1, strict=True):
            values[place] = a * theta[place] + b * np.sign(theta[place])
        return _Penalty(l2, l1, values if spared is None else values * spared, fitted, without)

    def _scaled_to(
        self,
        rest: Array,
        allowed: Array,
        patterns: list[tuple[tuple[float, ...], tuple[float, ...]]],
        spared: Array | None = None,
        without: str = "",
    ) -> Iterator[_Penalty]:
        """Yield the multiples of one or two patterns that come nearest to what is left, as short numbers where they are."""
        where = self._places & (allowed > 0.0)
        columns = [self._penalty(a, b, 0, spared).values[where] / allowed[where] for a, b in patterns]
        if any(int((np.abs(column) > CLEAR).sum()) <= len(patterns) for column in columns):
            return
        with np.errstate(all="ignore"):
            solution = least_squares(np.stack(columns, axis=1), rest[where] / allowed[where], 1e-12)
        if solution is None:
            return
        known = [4.0 / float(np.abs(column).max()) for column in columns]
        multiples = [self._short(float(c), error, a, b) for c, error, (a, b) in zip(solution, known, patterns, strict=True)]
        if not all(c > 0.0 and np.isfinite(c) for c in multiples):
            return
        l2 = tuple(sum(c * a[k] for c, (a, _) in zip(multiples, patterns, strict=True)) for k in range(len(patterns[0][0])))
        l1 = tuple(sum(c * b[k] for c, (_, b) in zip(multiples, patterns, strict=True)) for k in range(len(patterns[0][0])))
        yield self._penalty(l2, l1, len(patterns), spared, without)

    def _short(self, c: float, error: float, l2: tuple[float, ...], l1: tuple[float, ...]) -> float:
        """Return a short number, or one with the number of examples below it, that a fitted one is to its accuracy."""
        m = float(self.problem.samples)
        for divisor in (1.0, m, 2.0 * m):
            short = float(f"{c * divisor:.6g}") / divisor
            if abs(short - c) <= error + 1e-14 * abs(c):
                return short
        return c


class _Penalty(NamedTuple):
    """Coefficients of each tensor, their gradient, how many numbers were fitted, and what is left out."""

    l2: tuple[float, ...]
    l1: tuple[float, ...]
    values: Array
    fitted: int
    without: str


def _family(loss: str) -> tuple[str, ...]:
    """Return the losses that one is a multiple of, itself among them."""
    return next((members for members in FAMILIES if loss in members), (loss,))


def _span(size: int, parts: Sequence[tuple[slice, Array]], signs: Sequence[bool]) -> Array:
    """Return orthonormal columns that span the penalties of tensors in a row: multiples of theta, of its signs, or both."""
    columns = np.zeros((size, len(parts) * len(signs)))
    for k, (place, theta) in enumerate(parts):
        basis = np.stack([np.sign(theta) if sign else theta for sign in signs], axis=1)
        columns[place, k * len(signs) : (k + 1) * len(signs)] = np.linalg.qr(basis)[0]
    return columns


def usual(fits: Sequence[Fit]) -> tuple[list[Fit], list[Fit]]:
    """Part fits into the usual ones and those that are another only in name, or only at other points.

    relu6 is relu where nothing is above 6, Huber's loss half the squared error where every residual is small, and the
    divergence of Kullback and Leibler differs from the cross-entropy by what the labels alone make.
    """
    best: dict[tuple[object, ...], Fit] = {}
    for fit in sorted(fits, key=lambda fit: _rarity(fit.form)):
        best.setdefault(_core(fit.form), fit)
    return [fit for fit in fits if fit in best.values()], [fit for fit in fits if fit not in best.values()]


def _rarity(form: Form) -> int:
    return sum(shape.name == "relu6" for shape in form.hidden) + (parse_loss(form.loss)[0] in ("huber", "kl_divergence"))


def _core(form: Form) -> tuple[object, ...]:
    """Return what fits of one gradient share that differ in name only."""
    loss = parse_loss(form.loss)[0]
    kin = "square" if loss in (*FAMILIES[2], "huber") else "log" if loss in ("kl_divergence", "softmax_crossentropy") else loss
    hidden = tuple(Shape("relu") if shape.name == "relu6" else shape for shape in form.hidden)
    return hidden, form.output, kin, form.smoothing, form.coding, form.masks, form.example_weights, form.class_weights
