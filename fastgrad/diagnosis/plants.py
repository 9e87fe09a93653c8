"""Mistakes planted into a network's own right gradient: what `selftest` and the bench hold the search against."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from fastgrad.diagnosis import diagnose
from fastgrad.diagnosis.forms import wrong_values
from fastgrad.diagnosis.ground import KINDS, Flow, Ground
from fastgrad.diagnosis.mistakes import Cause, flow_families, right_flow, updated_ways
from fastgrad.diagnosis.names import gradient_name
from fastgrad.diagnosis.subjects import Subject, subject
from fastgrad.diagnosis.words import readings
from fastgrad.judging.verdict import judge
from fastgrad.model.network import Array, Problem
from fastgrad.numerical import Numerical, numerical_gradient
from fastgrad.report.parts import Finding

STRAY = 1.37
"""A constant that nothing in a network equals."""
LEAST = 1e-11
"""Share of a tensor's largest entry below which a change is too faint to be planted: an ε of 1e-15 is rounding."""


@dataclass(frozen=True, eq=False)
class Plant:
    """A mistake and the gradient that it makes."""

    cause: Cause
    gradient: Array


@dataclass(frozen=True)
class Outcome:
    """What became of a planted mistake.

    Attributes
    ----------
    cause : Cause
        What was planted.
    detected : bool
        Whether the verdict is wrong.
    named : bool
        Whether it is the one finding, or one of those that cannot be told from it.
    misled : bool
        Whether another mistake was named with confidence instead.
    findings : tuple of Finding
        What was found.
    """

    cause: Cause
    detected: bool
    named: bool
    misled: bool
    findings: tuple[Finding, ...]


class Nursery:
    """A problem with its right gradient, into which mistakes are planted."""

    def __init__(self, problem: Problem, numerical: Numerical | None = None) -> None:
        self.numerical = numerical_gradient(problem) if numerical is None else numerical
        named = (replace(t, gradient_name=t.gradient_name or f"d{t.name}", single=False) for t in problem.tensors)
        tensors = tuple(replace(tensor, precision="float64") for tensor in named)
        bare = replace(problem, claimed=np.zeros(problem.network.size), tensors=tensors)
        self.right = self._gradient(Ground(bare, self.numerical), {})
        self.problem = replace(bare, claimed=self.right)

    @cached_property
    def ground(self) -> Ground:
        """The problem with its right gradient as the claim."""
        return Ground(self.problem, self.numerical)

    def plants(self) -> Iterator[Plant]:
        """Yield every mistake that applies to this network: what changes something, or nothing at this point."""
        return (plant for plant in self._plants() if not self._is_faint(plant.gradient))

    def _is_faint(self, gradient: Array) -> bool:
        places = (slice(tensor.start, tensor.stop) for tensor in self.problem.tensors)
        off = np.abs(gradient - self.right)
        return bool(off.any()) and all(off[place].max() <= LEAST * np.abs(self.right[place]).max() for place in places)

    def _plants(self) -> Iterator[Plant]:
        for layer in reversed(range(self.ground.depth)):
            yield from self._in_flow(layer)
            for kind in KINDS:
                tensor = subject(self.ground, layer, kind, self.ground.right[layer])
                if tensor is not None:
                    yield from self._in_tensor(tensor)
        yield from self._in_penalty()

    def is_wrong(self, claimed: Array) -> bool:
        """Whether the verdict on a claimed gradient is wrong."""
        problem = replace(self.problem, claimed=claimed)
        return any(tensor.verdict == "wrong" for tensor in judge(problem, self.numerical).tensors)

    def findings(self, claimed: Array) -> tuple[Finding, ...]:
        """Diagnose a claimed gradient; nothing where the verdict is right."""
        return diagnose(replace(self.problem, claimed=claimed), self.numerical) if self.is_wrong(claimed) else ()

    def judged(self, plants: list[Plant]) -> Outcome:
        """Diagnose the claim that one or more mistakes make together.

        Several mistakes must lie in tensors of their own: their gradients are put together tensor by tensor.
        """
        claimed = self.right.copy()
        for plant in plants:
            moved = plant.gradient != self.right
            claimed[moved] = plant.gradient[moved]
        findings = self.findings(claimed)
        if not findings:
            return Outcome(plants[0].cause, False, False, False, ())
        lies = [one for one in findings if one.confident and not any(self._is(one, plant.cause) for plant in plants)]
        left = list(findings)
        for plant in plants:
            found = [one for one in findings if self._is(one, plant.cause)]
            if not found:
                return Outcome(plant.cause, True, False, bool(lies), findings)
            left = [one for one in left if one is not next((other for other in found if other in left), None)]
        return Outcome(plants[0].cause, True, not left, bool(left and lies), findings)

    def _is(self, finding: Finding, cause: Cause) -> bool:
        """Whether a finding, or one of its alternatives, is a planted mistake."""
        codes = {reading.code for reading in readings(self.ground, cause)}
        name = gradient_name(self.ground, cause)
        if cause.code == "factor" and cause.kind == "Z" and not cause.layer:  # there it is one on dW1 and on db1
            name = gradient_name(self.ground, replace(cause, kind="W")) if finding.tensor != name else name
        for code, tensor in ((finding.code, finding.tensor), *((other.code, other.tensor) for other in finding.alternatives)):
            if code in codes and (name in tensor.replace(" and ", ", ").split(", ") or cause.kind == "all"):
                return True
        return False

    def _gradient(self, ground: Ground, flows: dict[int, Flow]) -> Array:
        """Return the gradient of a backward pass in which some flows were replaced."""
        network = ground.problem.network
        result = np.zeros(network.size)
        above: Flow | None = None
        for layer in reversed(range(ground.depth)):
            flow = flows.get(layer) or right_flow(ground, layer, above)
            for kind in KINDS:
                tensor = subject(ground, layer, kind, flow)
                if tensor is not None:
                    place = slice(tensor.claim.tensor.start, tensor.claim.tensor.stop)
                    result[place] = tensor.total.values.ravel()
            above = flow
        return result

    def _in_flow(self, layer: int) -> Iterator[Plant]:
        ground = self.ground
        above = ground.right[layer + 1] if layer + 1 < ground.depth else None
        m, n = ground.samples, ground.problem.network.widths[-1]
        for c in dict.fromkeys([2.0, 0.5, -1.0, float(m), 1.0 / m, float(n), 1.0 / n, STRAY]):
            if c != 1.0:
                cause = Cause("factor", layer, "Z", c)
                yield Plant(cause, self._gradient(ground, {layer: ground.right[layer].scaled(c)}))
        start = ground.right[layer]
        for family in flow_families(ground, layer, above, start):
            for k in np.flatnonzero(family.changes).tolist():
                yield Plant(family.causes[k], self._gradient(ground, {layer: family.flow(k)}))
        for change in () if above is None else updated_ways(ground, layer, above):
            flow = Flow(
                start.arrived - 0.1 * change.arrived, start.arrived_error, start.delta - 0.1 * change.delta, start.error
            )
            yield Plant(Cause("way.updated_weights", layer, "Z", other=0.1), self._gradient(ground, {layer: flow}))

    def _in_tensor(self, tensor: Subject) -> Iterator[Plant]:
        place = slice(tensor.claim.tensor.start, tensor.claim.tensor.stop)
        for cause, values in wrong_values(tensor):
            if tensor.claim.values.size == 1 and cause.factor is not None and not self._is_usual(cause.factor):
                continue  # one number is no evidence of a constant
            gradient = self.right.copy()
            gradient[place] = values.ravel()
            yield Plant(cause, gradient)

    def _is_usual(self, factor: float) -> bool:
        m, n = float(self.ground.samples), float(self.ground.problem.network.widths[-1])
        return abs(factor) in {1.0, 2.0, 0.5, m, 1.0 / m, n, 1.0 / n}

    def _in_penalty(self) -> Iterator[Plant]:
        m = self.ground.samples
        forms = {"missing": 0.0, "twice": 2.0, "half": 0.5, "sign": -1.0, "not_divided": float(m), "divided": 1.0 / m}
        for name, ratio in forms.items():
            gradient = self.right.copy()
            causes = []
            for (layer, kind), claim in self.ground.claims.items():
                if claim.l2:
                    place = slice(claim.tensor.start, claim.tensor.stop)
                    gradient[place] += ((ratio - 1.0) * claim.l2 * claim.theta).ravel()
                    causes.append(Cause(f"penalty.{name}", layer, kind, ratio))
            if causes and ratio != 1.0:
                yield Plant(replace(causes[0], kind="all"), gradient)


def apart(first: Plant, second: Plant, right: Array) -> bool:
    """Whether two planted mistakes touch no entry in common."""
    return not bool(((first.gradient != right) & (second.gradient != right)).any())
