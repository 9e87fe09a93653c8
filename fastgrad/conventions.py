"""Which convention of the loss reproduces the value that the user's own code computed."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import numpy as np

from fastgrad.forward import BasePoint, claim_roundoff
from fastgrad.network import Problem

AGREEMENT = 1e4
"""Multiple of the rounding error of the loss within which two values are the same: libraries differ in their exp and log."""


def explain_loss(problem: Problem, base: BasePoint) -> str | None:
    """Compare the user's value of the loss with fastgrad's.

    Parameters
    ----------
    problem : Problem
        With or without a claimed value.
    base : BasePoint
        The forward pass at theta.

    Returns
    -------
    str or None
        None where there is no claimed value or where it agrees; else a sentence that names the convention that
        reproduces it, or says that none of the common ones does.
    """
    claimed = problem.claimed_loss
    if claimed is None or _same(claimed, base.loss, problem, base):
        return None
    for words, value in _variants(problem, base):
        if _same(claimed, value, problem, base):
            return f"your loss value {claimed:.10g} is {words}; checked here is {base.loss:.10g}"
    return f"your loss value is {claimed:.10g}, fastgrad's {base.loss:.10g}; none of the common conventions explains it"


def _same(claimed: float, value: float, problem: Problem, base: BasePoint) -> bool:
    relative = max(1.0, base.loss_error / abs(base.loss)) if base.loss else 1.0
    computed = AGREEMENT * claim_roundoff(problem) * relative * abs(value)
    return abs(claimed - value) <= max(computed, _printed(claimed))


def _printed(claimed: float) -> float:
    """Half a unit of the last digit of a value that somebody copied from a print, with four to ten digits; else 0."""
    digits, exponent = Decimal(repr(claimed)).as_tuple()[1:]
    return 0.5 * 10.0 ** int(exponent) if 4 <= len(digits) <= 10 else 0.0


def _variants(problem: Problem, base: BasePoint) -> Iterator[tuple[str, float]]:
    """Yield every common pair of a scale of the data term and a form of the penalty, in words and as a value."""
    penalties = _penalties(problem)
    declared = penalties[0][1]
    scales = _scales(problem)
    for scale_words, scale in scales:
        for penalty_words, penalty in penalties:
            words = " ".join(part for part in (scale_words, penalty_words) if part)
            if words:
                yield f"the declared loss {words}", scale * (base.loss - declared) + penalty
    if declared:
        for scale_words, scale in scales[1:]:
            yield f"the declared loss, penalty included, {scale_words}", scale * base.loss


def _scales(problem: Problem) -> list[tuple[str, float]]:
    samples, outputs = problem.samples, problem.network.widths[-1]
    summed, other = ("averaged over the examples", 1.0 / samples)
    if problem.network.reduction == "mean":
        summed, other = ("summed over the examples", float(samples))
    scales = [("", 1.0), (summed, other), ("halved", 0.5), ("doubled", 2.0)]
    scales += [(f"{summed} and halved", 0.5 * other), (f"{summed} and doubled", 2.0 * other)]
    if outputs > 1:
        scales += [
            ("averaged over the outputs", 1.0 / outputs),
            ("summed over the outputs", float(outputs)),
            ("averaged over the outputs and halved", 0.5 / outputs),
        ]
    return scales


def _penalties(problem: Problem) -> list[tuple[str, float]]:
    network = problem.network
    if network.l2 == 0.0:
        return [("", 0.0)]
    of_weights = sum(float(np.square(network.W(problem.theta, layer)).sum()) for layer in range(network.depth))
    of_biases = sum(float(np.square(network.b(problem.theta, layer)).sum()) for layer in range(network.depth))
    alone, both = 0.5 * network.l2 * of_weights, 0.5 * network.l2 * (of_weights + of_biases)
    declared, flipped, words = alone, both, "with the penalty on the biases as well"
    if network.penalize_biases:
        declared, flipped, words = both, alone, "with the penalty on the weights only"
    return [
        ("", declared),
        ("without the penalty", 0.0),
        (words, flipped),
        ("with twice the penalty (λ where ½λ is declared)", 2.0 * declared),
        ("with half the penalty (½λ where λ is declared)", 0.5 * declared),
        ("with the penalty divided by the number of examples", declared / problem.samples),
        ("with the penalty times the number of examples", declared * problem.samples),
    ]
