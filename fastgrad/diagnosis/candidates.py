"""The forms that a network may have in place of the declared one: one change, then two; and all, where nothing is declared."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from itertools import product as pairs

from fastgrad.diagnosis.declared import CODINGS, WRITTEN, Form, Shape
from fastgrad.model.activations import ACTIVATION_CODES
from fastgrad.model.losses import BY_NAME, SMOOTHED, parse_loss
from fastgrad.model.network import Problem

MOST_WORK, MOST_NUMBERS = 5e9, 2**25
"""Multiply-adds that forward passes with other activations may take, a second on a core, and the numbers that they may keep;
with more, none is tried."""
SINGLY = 4
"""Hidden layers of which each is tried with another activation alone."""
SLOPES = ("0.001", "0.02", "0.05", "0.1", "0.2", "0.25", "0.3")
VARIANTS = (
    *(f"leaky_relu:{slope}" for slope in SLOPES),
    *(f"elu:{alpha}" for alpha in ("0.1", "0.2", "0.5", "1.5", "2")),
    "hard_sigmoid:0.2",
)
SHAPES = (*map(Shape, (*ACTIVATION_CODES, *VARIANTS)), *WRITTEN)
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
    ("softmax", "binary_crossentropy"),
    ("tanh", "softmax_crossentropy"),
    ("identity", "mse"),
    ("sigmoid", "mse"),
    ("tanh", "mse"),
    ("softmax", "mse"),
    ("identity", "absolute_error"),
    ("identity", "huber"),
)
"""Outputs and losses that are tried together with other hidden activations."""
SMOOTHINGS = (0.1, 0.05, 0.2, 0.01)


class Candidates:
    """The forms that are tried; `said` are the items that somebody declared where the rest is to be found out."""

    def __init__(self, problem: Problem, said: Collection[str] = ()) -> None:
        self.problem, self.said = problem, {*said}
        self.declared = Form.of(problem)

    def one_change(self) -> Iterator[Form]:
        """Yield the forms with one change, the declared one first."""
        declared = self.declared
        yield declared
        if self._affordable(len(SHAPES)):
            for hidden in dict.fromkeys(self._hiddens()):
                yield replace(declared, hidden=hidden)
        for output, loss in self._pairs():
            yield declared.with_loss(output, loss)
        yield from self.other_labels(declared)
        if self.problem.masks:
            yield from (replace(declared, masks=masks) for masks in ("none", "binary"))
        if declared.example_weights:
            yield replace(declared, example_weights=False)
        if declared.class_weights:
            yield replace(declared, class_weights=())

    def other_labels(self, form: Form) -> Iterator[Form]:
        """Yield a form with labels of another code, or smoothed otherwise."""
        yield from (replace(form, coding=coding) for coding in CODINGS)
        if parse_loss(form.loss)[0] in SMOOTHED:
            yield from (replace(form, smoothing=s) for s in ((0.0,) if form.smoothing else SMOOTHINGS))

    def two_changes(self) -> Iterator[Form]:
        """Yield usual forms with two changes."""
        many = self.problem.network.widths[-1] > 1
        usual = [self.declared.with_loss(*pair) for pair in USUAL if pair[0] != "softmax" or many]
        for form in [*usual, *(self.declared.with_loss(output, "mse") for output in OUTPUTS[:-1])]:
            yield from self.other_labels(form)
        if self.declared.hidden and self._affordable(len(SHAPES)):
            for shape, form in pairs(SHAPES, usual):
                yield replace(form, hidden=(shape,) * len(self.declared.hidden))

    def every(self) -> list[Form]:
        """Return the forms of all usual networks; the items that somebody said stay as they are."""
        hiddens = [self.declared.hidden]
        if hiddens[0] and not {"hidden", "activations"} & self.said:
            hiddens = list(self._all_hidden())
        outputs = list(dict.fromkeys(self._pairs()))
        if "output" in self.said or "activations" in self.said:
            outputs = [pair for pair in outputs if pair[0] == self.declared.output]
        if "loss" in self.said:
            outputs = [pair for pair in outputs if self.declared.loss in family(pair[1])]
        return [replace(self.declared, hidden=hidden).with_loss(*pair) for hidden in hiddens for pair in outputs]

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
        for output, kin in pairs((self.declared.output, *OUTPUTS), FAMILIES):
            row = BY_NAME[kin[0]]
            goes = output in row.logits if row.code is None else (output, kin[0]) != ("identity", "softmax_crossentropy")
            if goes and (output != "softmax" or self.problem.network.widths[-1] > 1):
                yield output, kin[0]


def family(loss: str) -> tuple[str, ...]:
    """Return the losses that one is a multiple of, itself among them."""
    return next((members for members in FAMILIES if loss in members), (loss,))
