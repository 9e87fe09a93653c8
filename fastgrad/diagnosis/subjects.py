"""One tensor under one flow, and what explains it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from fastgrad.diagnosis.ground import Claim, Estimate, Flow, Ground, Kind
from fastgrad.diagnosis.mistakes import Cause, Other
from fastgrad.model.network import Array, Offsets

CLEAR = 1e3
"""A gradient must be that many times what rounding may do to it before a factor can be read from it."""

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

    def columns(self, columns: Offsets) -> Subject:
        """Return some columns of a W."""
        claim = self.claim.columns(columns)
        return replace(self, claim=claim, data=Estimate(*(array[:, columns] for array in self.data)))

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


def cost_of(explanation: Explanation) -> float:
    """Sum of the costs of an explanation's causes."""
    return sum(cause.cost for cause in explanation.causes)


def half_of(clear: Array) -> Offsets:
    """Return the half of some entries to which multiples are fitted, the clearest among them; the others confirm them."""
    half = np.random.default_rng(0).permutation(clear.size)[: (clear.size + 1) // 2]
    clearest = int(np.argmax(clear))
    if clearest not in half:
        half[0] = clearest
    return half


def telling(values: Array, allowed: Array) -> int:
    """Count the entries from which a factor could be read."""
    return int((np.abs(values) > CLEAR * allowed).sum())
