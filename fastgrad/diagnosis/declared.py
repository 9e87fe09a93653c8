"""Everything of a network that can be declared but its penalty, as one value, and the problem that it makes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from fastgrad.errors import InputError
from fastgrad.model import losses
from fastgrad.model.losses import HINGES, LOGIT_OUTPUT, SMOOTHED, parse_loss
from fastgrad.model.network import Array, Problem


class Shape(NamedTuple):
    """An activation outer·f(inner·z), where f has a name."""

    name: str
    inner: float = 1.0
    outer: float = 1.0

    @property
    def text(self) -> str:
        """How people write it."""
        return WRITTEN.get(self, self.name)

    @property
    def declarable(self) -> bool:
        """Whether the name stands for it."""
        return self.inner == self.outer == 1.0


WRITTEN = {
    Shape("tanh", 0.5): "tanh(z/2)",
    Shape("tanh", 2.0): "tanh(2z)",
    Shape("sigmoid", 2.0): "sigmoid(2z)",
    Shape("tanh", 2.0 / 3.0, 1.7159): "1.7159·tanh(2z/3)",
    Shape("silu", 1.702, 1.0 / 1.702): "z·sigmoid(1.702z)",
}
"""Activations that have no name of their own here."""
CODINGS = {"2·Y - 1": (2.0, -1.0), "(Y + 1)/2": (0.5, 0.5)}
"""Other codings of two labels: a factor and a shift."""


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

    @property
    def declarable(self) -> bool:
        """Whether its hidden activations have names."""
        return all(shape.declarable for shape in self.hidden)

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


def problem_of(problem: Problem, form: Form) -> Problem | None:
    """Return the problem that a form makes, without penalty; None where its labels or weights are none of its loss."""
    network = problem.network
    labels = labels_of(problem, form)
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
        problem,
        network=changed,
        theta=problem.theta if form.declarable else problem.theta * inward(problem, form),
        Y=changed.targets(labels),
        labels=labels if form.class_weights or form.smoothing else None,
        example_weights=problem.example_weights if form.example_weights else None,
        masks=masks_of(problem, form),
    )


def masks_of(problem: Problem, form: Form) -> tuple[Array | None, ...]:
    """Return the masks of a form."""
    if form.masks == "none":
        return ()
    masks = problem.masks
    return tuple(None if mask is None else np.sign(mask) for mask in masks) if form.masks == "binary" else masks


def labels_of(problem: Problem, form: Form) -> Array | None:
    """Return the labels as a loss takes them; None where it does not take them."""
    labels = problem.Y if problem.labels is None else problem.labels
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
    return _hinge_labels(labels) if name in HINGES else labels


def _hinge_labels(labels: Array) -> Array | None:
    if labels.shape[1] > 1:
        return labels if np.isin(labels, (0.0, 1.0)).all() and (labels.sum(axis=1) == 1.0).all() else None
    if np.isin(labels, (0.0, 1.0)).all():
        return 2.0 * labels - 1.0
    return labels if np.isin(labels, (-1.0, 1.0)).all() else None


def inward(problem: Problem, form: Form) -> Array:
    """Return what makes scaled activations plain ones when theta is multiplied with it: outer·f(inner·z) of W and b."""
    network, factors = problem.network, np.ones(problem.network.size)
    for layer in range(network.depth):
        inner = form.hidden[layer].inner if layer + 1 < network.depth else 1.0
        outer = form.hidden[layer - 1].outer if layer else 1.0
        factors[network.weight_slice(layer)] = inner * outer
        factors[network.bias_slice(layer)] = inner
    return factors
