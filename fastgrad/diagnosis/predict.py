"""What the named mistakes give at another point: the backward pass with them in it, run once more.

A cause says what was done in terms of the program, not of its numbers: m is the number of examples there, f′ the derivative
at the z of that point. What cannot be said so is no prediction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from fastgrad.diagnosis.constants import factors_at
from fastgrad.diagnosis.edits import Edit
from fastgrad.diagnosis.forms import form_of
from fastgrad.diagnosis.ground import KINDS, Flow, Ground, with_softmax
from fastgrad.diagnosis.lines import Place, Scene, activation_name, estimate_of, flow_of
from fastgrad.diagnosis.mistakes import Cause, flow_families, right_flow, updated_ways
from fastgrad.diagnosis.subjects import Subject, subject
from fastgrad.errors import InputError
from fastgrad.kernels import codes
from fastgrad.model.forward import base_point
from fastgrad.model.losses import HINGES, LOGIT_OUTPUT
from fastgrad.model.network import Array, Problem
from fastgrad.numerical import Numerical
from fastgrad.reading import place_entries

AGREE = 1e-7
"""Share of the largest entry to which two explanations must give the same at another point to be one prediction."""


LOW = -1.0
"""Another bound than 0 that a mask may have."""
_READ: dict[str, Callable[[float, float], float]] = {
    "factor.examples": lambda m, K: m,
    "factor.examples_twice": lambda m, K: 1.0 / m,
    "factor.outputs": lambda m, K: K,
    "factor.outputs_twice": lambda m, K: 1.0 / K,
    "factor.two": lambda m, K: 2.0,
    "factor.half": lambda m, K: 0.5,
    "factor.sign": lambda m, K: -1.0,
    "penalty.not_divided": lambda m, K: m,
    "penalty.divided": lambda m, K: 1.0 / m,
    "penalty.twice": lambda m, K: 2.0,
    "penalty.half": lambda m, K: 0.5,
}
"""What the readings of a factor say that it is."""


class _NoPredictionError(Exception):
    """A cause that belongs to the numbers of one point."""


def _agree(first: Array, second: Array) -> bool:
    """Whether two arrays are one to `AGREE` of their largest entry."""
    size = max(float(np.abs(first).max(initial=0.0)), float(np.abs(second).max(initial=0.0)))
    return bool((np.abs(first - second) <= AGREE * size).all())


@dataclass(frozen=True, eq=False)
class Prediction:
    """The explanations of a claim, ready to be evaluated at other points.

    Attributes
    ----------
    problem : Problem
        With the claim that was explained.
    ways : tuple of tuple of Cause
        Mistakes that explain it, the best first; what cannot be told from it at the given point follows.
    open : tuple of str
        The wrong gradients that nothing explains with confidence.
    """

    problem: Problem
    ways: tuple[tuple[Cause, ...], ...]
    open: tuple[str, ...]

    def __call__(self, problem: Problem) -> dict[str, Array]:
        """Return the gradients that the mistakes give for a problem, in the user's layout under the user's names.

        Raises
        ------
        InputError
            If a wrong gradient has no confident explanation, or has several that give different numbers here.
        """
        return arrays_of(self.problem, self.values(problem))

    def values(self, problem: Problem) -> Array:
        """Return the same in theta's order; 0 where no gradient is claimed.

        Raises
        ------
        InputError
            As for the arrays.
        """
        if self.open:
            raise InputError(f"no mistake explains {', '.join(self.open)} with confidence: there is nothing to predict from")
        if problem.network.widths != self.problem.network.widths:
            raise InputError("predicted() takes another point of the same network: parameters of other shapes were given")
        try:
            first, *others = (_gradient(self.problem, problem, way) for way in self.ways)
        except _NoPredictionError as reason:
            raise InputError(f"the mistake cannot be evaluated at another point: {reason}") from None
        for other in others:
            if not is_same(self.problem, first, other):
                raise InputError(
                    "several mistakes explain the gradients at the given point and give different ones here; "
                    "check at a point that tells them apart"
                )
        return first


def is_same(problem: Problem, first: Array, second: Array) -> bool:
    """Whether two gradients in theta's order are one prediction."""
    return all(_agree(first[t.start : t.stop], second[t.start : t.stop]) for t in problem.tensors)


def arrays_of(problem: Problem, values: Array) -> dict[str, Array]:
    """Return a gradient in theta's order as arrays, in the user's layout under the user's names."""
    arrays: dict[str, Array] = {}
    for tensor in problem.tensors:
        if tensor.gradient_name is not None:
            array = arrays.setdefault(tensor.gradient_array, np.zeros(tensor.shape))
            place_entries(tensor, values[tensor.start : tensor.stop], array)
    return arrays


@np.errstate(all="ignore")
def _gradient(checked: Problem, problem: Problem, way: tuple[Cause, ...], is_read: bool = False) -> Array:
    """Return the gradient of a problem by a backward pass with mistakes that were found in another."""
    claimed = np.zeros(problem.network.size)
    there = with_softmax(replace(problem, claimed=claimed))
    if problem.network.widths == checked.network.widths:
        there = replace(there, tensors=checked.tensors)
    base = base_point(there)
    ground = Ground(there, Numerical(claimed, None, None, None, "preactivation", None, (0.0, 0.0), 0, base))
    run = _Run(ground, checked, way, is_read)
    above: Flow | None = None
    for layer in reversed(range(ground.depth)):
        flow = run.flow(layer, above)
        for kind in KINDS:
            tensor = subject(ground, layer, kind, flow)
            if tensor is not None:  # what is worked out further down may be made of it
                values = run.values(tensor, above)
                claimed[tensor.claim.tensor.start : tensor.claim.tensor.stop] = values.ravel()
        above = flow
    return claimed


def tell_apart(checked: Problem, first: tuple[Cause, ...], second: tuple[Cause, ...], problem: Problem) -> bool:
    """Whether two explanations give different numbers for a problem; where one of them cannot be there, it tells as well."""
    gradients = []
    for way in (first, second):
        try:
            gradients.append(_gradient(checked, problem, way, is_read=True))
        except (_NoPredictionError, ValueError, IndexError):
            return True
    size = max(float(np.abs(gradient).max(initial=0.0)) for gradient in gradients)
    return bool((np.abs(gradients[0] - gradients[1]) > AGREE * size).any())


def drawn(checked: Problem, samples: int, widths: tuple[int, ...]) -> Problem:
    """Return a problem of the same network but for its widths, with other numbers and so many examples."""
    draw = np.random.default_rng(0)
    network = replace(checked.network, widths=widths, class_weights=())
    tensors = []
    for tensor in checked.tensors:
        n_out, n_in = widths[tensor.layer + 1], widths[tensor.layer]
        shape = (n_out, n_in) if tensor.kind == "W" else (n_out,)
        place = network.weight_slice(tensor.layer) if tensor.kind == "W" else network.bias_slice(tensor.layer)
        where = {"start": place.start, "stop": place.stop, "canonical_shape": shape, "shape": shape}
        tensors.append(replace(tensor, **where, transposed=False, column=None))
    theta = draw.normal(size=network.size) / np.sqrt(max(widths))
    Y = draw.random((samples, widths[-1]))
    if network.loss_name in LOGIT_OUTPUT or network.loss_name in HINGES:
        Y = np.eye(widths[-1])[draw.integers(0, widths[-1], samples)] if widths[-1] > 1 else np.round(Y)
    X = draw.normal(size=(samples, widths[0]))
    return Problem(network, theta, X, Y, tuple(tensors), None, None)


@dataclass(frozen=True, eq=False)
class _Run:
    """One backward pass with mistakes that were found in the problem that was checked."""

    ground: Ground
    checked: Problem
    way: tuple[Cause, ...]
    is_read: bool = False
    """Whether factors are what their codes say, not what all readings of them have in common."""

    @property
    def samples(self) -> int:
        """The number of examples where they were found."""
        return self.checked.samples

    def _may_be_a_mask(self, layer: int) -> bool:
        """Whether f′ that seems left out may be a mask of which all was above its bound there, and some is not here.

        That is a mask of z from -1 on, or one of what a single unit, or as many units of another layer, have from 0 on.
        """
        if activation_name(self.ground, layer) not in ("relu", "leaky_relu"):
            return False
        there, widths = base_point(self.checked), self.checked.network.widths[1:]
        bounds = [(layer, LOW)] + [(k, 0.0) for k, width in enumerate(widths) if k != layer and width in (1, widths[layer])]
        planes = ((there.plane(codes.Z, k) - c, self.ground.plane(codes.Z, k) - c) for k, c in bounds)
        return any(bool((first > 0.0).all() and not (second > 0.0).all()) for first, second in planes)

    def causes(self, layer: int, kind: str) -> list[Cause]:
        """Return the mistakes at a place."""
        return [cause for cause in self.way if (cause.layer, cause.kind) == (layer, kind)]

    def flow(self, layer: int, above: Flow | None) -> Flow:
        """Return ∂J/∂z of a layer."""
        right = right_flow(self.ground, layer, above)
        flow = right
        for cause in self.causes(layer, "Z"):
            flow = self._changed(layer, above, right, flow, cause)
        return flow

    def _changed(self, layer: int, above: Flow | None, right: Flow, flow: Flow, cause: Cause) -> Flow:
        if cause.code.startswith("factor") and cause.factor is not None:
            return flow.scaled(self._constant(cause))
        if isinstance(cause.other, Edit):
            lines = [(cause.other.tree, cause.other.late), *cause.other.alike]
            flows = [flow_of(Scene(self.ground, layer, above, None, late, rounding=True), tree) for tree, late in lines]
            first = flows[0]
            if first is None or any(other is None or not _agree(first.delta, other.delta) for other in flows):
                raise _NoPredictionError("several lines give the same numbers at the given point, not at this one")
            return first
        if cause.code == "way.updated_weights" and above is not None and isinstance(cause.other, float):
            change = next(iter(updated_ways(self.ground, layer, above)))
            arrived, delta = (a - cause.other * b for a, b in ((right.arrived, change.arrived), (right.delta, change.delta)))
            return Flow(arrived, right.arrived_error, delta, right.error)
        if cause.code == "slope.missing" and not self.is_read and self._may_be_a_mask(layer):
            raise _NoPredictionError(
                "f′ may be a mask of other numbers, or with another bound than 0, which was 1 at all of the given point"
            )
        if cause.code.startswith("unknown") or cause.code == "labels.order":
            raise _NoPredictionError(f"{cause.code} belongs to the examples of one point")
        for family in flow_families(self.ground, layer, above, right):
            for k, other in enumerate(family.causes):
                if (other.code, other.other) == (cause.code, cause.other):
                    return family.flow(k)
        return right  # it changes nothing there

    def values(self, tensor: Subject, above: Flow | None) -> Array:
        """Return dW or db."""
        data, penalty, total = tensor.data.values, tensor.claim.penalty.values, tensor.total.values
        causes = self.causes(tensor.layer, tensor.kind)
        if causes and self._is_blank(tensor.layer):
            raise _NoPredictionError("below a wrong flow a layer of zeros may be zero at the given point only")
        edited = next((cause.other for cause in causes if isinstance(cause.other, Edit)), None)
        if edited is not None:
            return self._edited(tensor, above, edited)
        for cause in causes:
            c = self._constant(cause)
            if cause.code.startswith("factor") and cause.code != "factor.whole":
                data, total = c * data, c * data + penalty
            elif cause.code == "factor.whole":
                total = c * total
            elif cause.code in ("penalty.value", "penalty.number", "value.number_added"):
                total = data + penalty * (cause.code == "value.number_added") + self._added(tensor, cause)
            elif cause.code in ("penalty.added", "penalty.sign_added"):
                total = total + c * (tensor.claim.theta if cause.code == "penalty.added" else np.sign(tensor.claim.theta))
            elif cause.code.startswith("penalty"):
                total = total + (c - 1.0) * self._term(tensor, cause)
            elif cause.code == "value.single_precision":
                continue
            else:
                form = form_of(tensor, self._moved(cause, c))
                if form is None:
                    raise _NoPredictionError(f"{cause.code} belongs to the numbers of one point")
                total = form
        return total

    @staticmethod
    def _term(tensor: Subject, cause: Cause) -> Array:
        """Return the penalty's term that a cause is about."""
        if cause.other == "l1":
            return tensor.claim.l1 * np.sign(tensor.claim.theta)
        return tensor.claim.l2 * tensor.claim.theta

    def _added(self, tensor: Subject, cause: Cause) -> float:
        """Return the number that is added to every entry."""
        if cause.code == "penalty.value" and isinstance(cause.other, float):
            return cause.other * 0.5 * tensor.claim.l2 * float(np.square(tensor.claim.theta).sum())
        if cause.factor is None:
            raise _NoPredictionError("what the number that is added is made of is not known")
        return self.factor(cause.factor)

    def _moved(self, cause: Cause, c: float) -> Cause:
        """Return a cause as it is here: the last example is the last of these."""
        last = cause.code.startswith("examples") and cause.other == self.samples - 1 and self.samples > 1
        other = self.ground.samples - 1 if last else cause.other
        return replace(cause, factor=None if cause.factor is None else c, other=other)

    def _is_blank(self, layer: int) -> bool:
        """Whether nothing came through a whole layer, below a mistake in the flow."""
        zero = {c.kind for c in self.way if c.layer == layer and (c.code == "value.zero" or c.factor == 0.0)}
        judged = {kind for kind in KINDS if self.ground.claim(layer, kind) is not None}
        return zero >= judged and any(c.kind == "Z" and c.layer > layer for c in self.way)

    def _edited(self, tensor: Subject, above: Flow | None, edit: Edit) -> Array:
        """Return what an edited line of dW or db gives."""
        place: Place = "weights" if tensor.kind == "W" else "bias"
        found = []
        for tree, late in ((edit.tree, edit.late), *edit.alike):
            scene = Scene(self.ground, tensor.layer, above, tensor.flow, late, rounding=True)
            found.append(estimate_of(scene, tree, place))
        first = found[0]
        if first is None or any(other is None or not _agree(first.values, other.values) for other in found):
            raise _NoPredictionError("several lines give the same numbers at the given point, not at this one")
        return first.values

    def _constant(self, cause: Cause) -> float:
        """Return the number of a cause at this point: what multiplies a gradient may have m in it."""
        if cause.factor is None:
            return 1.0
        if cause.code in _READ and self.is_read:
            return _READ[cause.code](float(self.ground.samples), float(self.ground.problem.network.widths[-1]))
        if cause.code == "factor.batch" and self.samples != self.ground.samples:
            raise _NoPredictionError(
                f"whether {cause.factor:.6g} comes of another number of examples or of widths is not known"
            )
        if cause.code in ("factor.constant", "factor.update", "factor.zero"):
            return cause.factor
        if cause.code.startswith("value") or cause.code in ("penalty.value", "penalty.number"):
            return cause.factor
        if cause.code.startswith("penalty.") and cause.code not in ("penalty.added", "penalty.sign_added"):
            if self._is_coefficient(cause):
                if cause.code != "penalty.factor" and self.samples != self.ground.samples:
                    raise _NoPredictionError("the penalty's factor can be its coefficient or made of the number of examples")
                return cause.factor
            return cause.factor if not cause.factor else self.factor(cause.factor)
        return self.factor(cause.factor)

    def _is_coefficient(self, cause: Cause) -> bool:
        """Whether a penalty's factor is what comes of a coefficient that is left out, or there twice."""
        claim = self.ground.claim(cause.layer, "W" if cause.kind == "W" else "b")
        if claim is None or not cause.factor:
            return False
        coefficient = claim.l1 if cause.other == "l1" else claim.l2
        return any(abs(abs(cause.factor) - c) <= 1e-9 * c for c in (coefficient, 1.0 / coefficient if coefficient else 0.0))

    def factor(self, c: float) -> float:
        """Return a factor as the program has it at this point."""
        network = self.ground.problem.network
        counts = (*network.widths, network.depth)
        found = factors_at(c, self.samples, self.ground.samples, counts)
        if not found:
            raise _NoPredictionError(f"whether {c:.6g} is a constant or a number of the given point is not known")
        if max(found) - min(found) > 1e-9 * abs(found[0]):
            raise _NoPredictionError(
                f"{c:.6g} can be a constant or made of the number of examples; with another number they differ"
            )
        return found[0]
