"""Which convention of the loss reproduces the value that the user's own code computed."""

from __future__ import annotations

from collections.abc import Iterator

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
    error = AGREEMENT * claim_roundoff(problem) * max(abs(value), base.loss_error * abs(value) / max(abs(base.loss), 1e-300))
    return abs(claimed - value) <= error


def _variants(problem: Problem, base: BasePoint) -> Iterator[tuple[str, float]]:
    """Yield every common pair of a scale of the data term and a form of the penalty, in words and as a value."""
    network, samples, outputs = problem.network, problem.samples, problem.network.widths[-1]
    weights = [network.W(problem.theta, layer) for layer in range(network.depth)]
    biases = [network.b(problem.theta, layer) for layer in range(network.depth)]
    of_weights = 0.5 * network.l2 * sum(float(np.square(W).sum()) for W in weights)
    of_biases = 0.5 * network.l2 * sum(float(np.square(b).sum()) for b in biases)
    declared = of_weights + (of_biases if network.penalize_biases else 0.0)
    data = base.loss - declared
    other = ("the sum over the examples", float(samples)) if network.reduction == "mean" else ("the mean over the examples", 1.0 / samples)
    scales = [("", 1.0), other]
    scales += [(words, factor) for words, factor in (("half of it", 0.5), ("twice it", 2.0))]
    scales += [(f"{other[0]}, halved", 0.5 * other[1]), (f"{other[0]}, doubled", 2.0 * other[1])]
    if outputs > 1:
        scales += [("also the mean over the outputs", 1.0 / outputs), ("the sum over the outputs", float(outputs))]
        scales += [("half of it and the mean over the outputs", 0.5 / outputs)]
    penalties = [("", declared)]
    if network.l2:
        flipped = of_weights + (0.0 if network.penalize_biases else of_biases)
        penalties += [
            ("without the penalty", 0.0),
            ("with the penalty also on the biases" if not network.penalize_biases else "with the penalty on the weights only", flipped),
            ("with twice the penalty (λ where ½λ is declared)", 2.0 * declared),
            ("with half the penalty (½λ where λ is declared)", 0.5 * declared),
            ("with the penalty divided by the number of examples", declared / samples),
            ("with the penalty times the number of examples", declared * samples),
        ]
    for scale_words, scale in scales:
        for penalty_words, penalty in penalties:
            words = " ".join(part for part in (scale_words, penalty_words) if part)
            if words:
                yield f"that of the declared loss taken as {words}" if scale_words else f"the declared loss {words}", scale * data + penalty
    if network.l2:
        for scale_words, scale in scales[1:]:
            yield f"the declared loss, penalty included, taken as {scale_words}", scale * base.loss
