"""Which other network than the declared one a claimed gradient is exactly the gradient of.

A `Form` is everything that can be declared but the penalty, which is fitted. Most forms end at the output layer: its
∂J/∂z, computed by the kernels from what enters the layer, must give the claimed dW and db there, times a constant that some
loss or reduction has. What is left is computed in whole and held against the claim at the verdict's own tolerance.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from fastgrad.diagnosis.candidates import FAMILIES, Candidates
from fastgrad.diagnosis.declared import Form, Shape, inward, problem_of
from fastgrad.diagnosis.ground import Truth
from fastgrad.diagnosis.last_layer import LastLayer
from fastgrad.diagnosis.penalties import Penalties
from fastgrad.diagnosis.subjects import CLEAR
from fastgrad.errors import InputError
from fastgrad.model.conventions import same_loss
from fastgrad.model.forward import UNIT_ROUNDOFF, BasePoint, base_point, growth, penalty_value
from fastgrad.model.losses import parse_loss
from fastgrad.model.network import Array, Problem
from fastgrad.model.rounding import TOLERANCE, UNDERFLOW, gradient, rounding_scale

LEAST_EVIDENCE = 2
"""Entries that must contradict the declared network, beyond the numbers that were fitted."""


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
        self.candidates = Candidates(problem, said or ())
        self.last = LastLayer(problem, self.judged)

    @cached_property
    def _places(self) -> Truth:
        """Which entries of theta have a claim."""
        places = np.zeros(self.problem.network.size, dtype=bool)
        for tensor in self.judged:
            places[tensor.start : tensor.stop] = True
        return places

    @cached_property
    def _penalties(self) -> Penalties:
        return Penalties(self.problem, self._places, self.said or ())

    def values(self) -> Iterator[tuple[Form, float]]:
        """Yield other forms and the values of their losses, with the declared penalty."""
        penalty = penalty_value(self.problem)
        for form in dict.fromkeys([*self.candidates.one_change(), *self.candidates.two_changes()]):
            top = self.last.top(form)
            if top is None:
                continue
            for one, scale in self.last.multiples(top, True):
                yield one, scale * top.loss + penalty

    # What is tried.

    def found(self) -> list[Fit]:
        """Return the forms that the claim is exactly the gradient of, those with the fewest changes; none for most mistakes."""
        if not self.last.tensors or not np.isfinite(self.claimed[self._places]).all():
            return []
        fits = self._verified([self.declared])
        if fits or self.last.is_right():
            return fits
        for forms in (self.candidates.one_change, self.candidates.two_changes):
            fits = self._fitting(list(dict.fromkeys(forms())))
            if fits:
                return fits
        return []

    def inferred(self) -> list[Fit]:
        """Return all forms that the claim is the gradient of; the items that somebody said stay as they are."""
        if not self.last.tensors or not np.isfinite(self.claimed[self._places]).all():
            return []
        forms = self.candidates.every()
        return self._fitting(forms) or self._fitting([one for form in forms for one in self.candidates.other_labels(form)])

    def _fitting(self, forms: Sequence[Form]) -> list[Fit]:
        """Return the forms that fit with the declared penalty; where there are none, those that fit with another one."""
        plain: list[Form] = []
        penalized: list[Form] = []
        for form in forms:
            for one, fits in self.last.screened(form):
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

    def _whole(self, form: Form) -> _Whole | None:
        """Return a form's gradient without its penalty."""
        problem = problem_of(self.problem, form)
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
        factors = 1.0 if form.declarable else inward(self.problem, form)
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
        for penalty in self._penalties.of(rest, whole.allowed):
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
