"""What explains a tensor whose flow is right: every form of it that makes its claim, the pattern of it where none does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from fastgrad.diagnosis.forms import forms_of
from fastgrad.diagnosis.mistakes import Cause
from fastgrad.diagnosis.multiples import multiples_of
from fastgrad.diagnosis.patterns import partial_of, pattern_of
from fastgrad.diagnosis.subjects import Explanation, Form, Subject, cost_of, telling
from fastgrad.model.forward import UNIT_ROUNDOFF


def explain(tensor: Subject) -> list[Explanation]:
    """Return every explanation that fits, the usual ones first; the pattern, not `found`, where none does."""
    if tensor.fits(tensor.total):
        return [Explanation((), tensor.residual(tensor.total), tensor.claim.values.size, clear=_clear(tensor))]
    if not np.isfinite(tensor.claim.values).all():
        return [pattern_of(tensor, "value.not_finite")]
    found, weaker = list(multiples_of(tensor)), []
    for cause, estimate in forms_of(tensor):
        residual = tensor.residual(estimate)
        if tensor.fits(estimate) and (told := tensor.told(estimate)) > 1.0:
            spare = tensor.claim.values.size - _chosen(tensor, cause)
            found.append(Explanation((cause,), residual, spare, strength=told))
        elif not cause.code.startswith("order."):  # an order is fitted entry by entry: that it comes near says nothing
            weaker.append((residual, cause))
    if not found or all(explanation.spare <= 0 for explanation in found):
        found += partial_of(tensor)
    if tensor.fits(tensor.total, fitted=UNIT_ROUNDOFF["float32"] / UNIT_ROUNDOFF[tensor.claim.tensor.precision]):
        cause = tensor.cause("value.single_precision", cost=1.5)
        found.append(Explanation((cause,), tensor.residual(tensor.total), tensor.claim.values.size))
    best = tuple(sorted(weaker, key=lambda pair: pair[0])[:2])
    found = [one for one in found if one.spare > 0]  # what takes as many numbers as there are explains nothing
    if not found:
        return [replace(pattern_of(tensor, "unknown.tensor"), weaker=best)]
    strength = float(tensor.off(tensor.total).max(initial=0.0))
    ordered = sorted(found, key=cost_of)
    return [replace(one, weaker=best, strength=min(strength, one.strength)) for one in ordered]


def _chosen(tensor: Subject, cause: Cause) -> int:
    """Return how many entries the choice of a form took: one where an example was looked for that is not at an end."""
    return int(cause.code.startswith("examples") and cause.other not in (0, tensor.ground.samples - 1))


def edited(tensor: Subject, tries: Iterable[Form]) -> list[Explanation]:
    """Return what explains a tensor of lines with an edit in them, the usual ones first."""
    found = []
    for cause, estimate in tries:
        # Whole numbers look like printed ones: what is exactly the claim is judged without what printing may do.
        subject = tensor.unprinted if tensor.unprinted.fits(estimate) else tensor
        if subject.fits(estimate) and (told := subject.told(estimate)) > 1.0:
            strength = min(told, float(subject.off(tensor.total).max(initial=0.0)))
            found.append(Explanation((cause,), tensor.residual(estimate), tensor.claim.values.size, strength=strength))
    return sorted(found, key=cost_of)


def _clear(tensor: Subject) -> int:
    """Count the entries that tell the flow from the right one, with what the flow's own rounding allows."""
    ground, layer, kind = tensor.ground, tensor.layer, tensor.kind
    if tensor.flow is ground.right[layer]:
        return 0
    place = np.s_[:, ground.probes[layer]] if kind == "W" else np.s_[:]
    allowed = tensor.claim.allowed(tensor.total, ground.samples)[place]
    return telling(tensor.data.values[place] - ground.probed[layer, kind], allowed)
