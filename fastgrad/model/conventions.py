"""Conventions in words: what is penalised and dropped, and which form of the loss gives the user's own value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import chain, product
from math import log, prod
from typing import Any

import numpy as np

from fastgrad.model.forward import BasePoint, base_point, claim_roundoff, penalty_value
from fastgrad.model.network import Array, Network, Problem
from fastgrad.model.stored import runs

LOGARITHMS = frozenset({"binary_crossentropy", "softmax_crossentropy", "kl_divergence"})
"""Losses of which another base of the logarithm is a constant factor."""
AGREEMENT = 1e4
"""Multiple of the rounding error of the loss within which two values are the same: libraries differ in their exp and log."""


def describe(problem: Problem) -> str:
    """Put the network into one line."""
    network = problem.network
    widths = "-".join(str(width) for width in network.widths)
    examples = "1 example" if problem.samples == 1 else f"{problem.samples:,} examples"
    reduction = {"mean": "mean over", "sum": "sum over", "weighted_mean": "weighted mean over"}[network.reduction]
    parts = [f"{widths}, {', '.join(network.activations)}"]
    if dropped := dropped_in_words(problem):
        parts.append(f"dropout of {dropped}")
    penalties = "".join(f", penalty {words}" for words in penalties_in_words(network))
    return "; ".join([*parts, f"{loss_in_words(problem)}, {reduction} {examples}{penalties}"])


def penalties_in_words(network: Network) -> tuple[str, ...]:
    """Say what each penalty is: "½·0.1·Σ‖W‖² with biases"."""
    forms = ((network.l2, "½·{}·Σ‖W‖²"), (network.l1, "{}·Σ|W|"))
    return tuple(_penalty_in_words(network, c, form) for c, form in forms if any(c))


def _penalty_in_words(network: Network, coefficients: tuple[float, ...], form: str) -> str:
    by_name = dict(zip(network.tensor_slices, coefficients, strict=True))
    weights, biases = ({c for name, c in by_name.items() if name[0] == kind} for kind in "Wb")
    if len(weights) == 1 and biases <= {0.0}:
        return form.format(f"{coefficients[0]:.6g}")
    if len(weights) == 1 and weights == biases:
        return f"{form.format(f'{coefficients[0]:.6g}')} with biases"
    listed = ", ".join(f"{c:.6g} for {name}" for name, c in by_name.items() if c)
    return f"{form.format('c')} with c = {listed}"


def loss_in_words(problem: Problem) -> str:
    """Name the loss, and what is done to its targets and weights: "softmax_crossentropy with label smoothing 0.1"."""
    network, parts = problem.network, []
    if network.label_smoothing:
        parts.append(f"label smoothing {network.label_smoothing:.6g}")
    if network.class_weights:
        parts.append(f"class weights {', '.join(f'{weight:.6g}' for weight in network.class_weights)}")
    if problem.example_weights is not None:
        parts.append("example weights")
    loss = network.loss if network.scale == 1.0 else f"{network.scale:.6g} times {network.loss}"
    if network.loss == "softmax_crossentropy" and not network.from_logits and network.activations[-1] != "identity":
        loss = f"{loss} of the softmax of the {network.activations[-1]} outputs"
    return " with ".join([loss, " and ".join(parts)]) if parts else loss


def dropped_in_words(problem: Problem) -> str:
    """Say what dropout masks there are: "layer 1 (50% kept)"; nothing where there are none."""
    names = ["the input", *(f"layer {layer}" for layer in range(1, problem.network.depth))]
    kept = [
        f"{name} ({100.0 * np.count_nonzero(mask) / mask.size:.0f}% kept)"
        for name, mask in zip(names, problem.masks, strict=False)
        if mask is not None
    ]
    return " and ".join([", ".join(kept[:-1]), kept[-1]]) if len(kept) > 1 else "".join(kept)


CERTAIN = 1e-8
"""Relative accuracy to which a value must be known to be told from those of some thousand other networks."""
DIGITS = 3
"""Digits of a factor that nobody named."""


def explain_loss(problem: Problem, base: BasePoint, others: Iterable[tuple[str, float]] = ()) -> str | None:
    """Compare the user's value of the loss with fastgrad's.

    Parameters
    ----------
    problem : Problem
        With or without a claimed value.
    base : BasePoint
        The forward pass at theta.
    others : iterable of (str, float)
        Losses of other networks, in words and as a value, for what no common convention explains.

    Returns
    -------
    str or None
        None where there is no claimed value or where it agrees; else a sentence that names the convention that
        reproduces it, or says that none of the common ones does.
    """
    claimed = problem.claimed_loss
    if claimed is None or same_loss(claimed, base.loss, problem, base):
        return None
    for words, value in _variants(problem, base):
        if same_loss(claimed, value, problem, base):
            return f"your loss value {claimed:.10g} is {words}; checked here is {base.loss:.10g}"
    for words, value in chain(others, _factors(problem, base)):
        if _allowed(claimed, value, problem, base) <= CERTAIN * abs(value) and same_loss(claimed, value, problem, base):
            return f"your loss value {claimed:.10g} is {words}; checked here is {base.loss:.10g}"
    return f"your loss value is {claimed:.10g}, fastgrad's {base.loss:.10g}; none of the common conventions explains it"


def _factors(problem: Problem, base: BasePoint) -> Iterator[tuple[str, float]]:
    """Yield the loss with every product of the usual factors, and with the short number that its value is a multiple by."""
    m, K = float(problem.samples), problem.network.widths[-1]
    summed = _scales(problem)[1]
    groups = [
        [summed, ("divided by the number of examples once more", 1.0 / m), (f"{summed[0]} twice", summed[1] ** 2)],
        [("averaged over the outputs", 1.0 / K), ("summed over the outputs", float(K))] if K > 1 else [],
        [("halved", 0.5), ("doubled", 2.0)],
        [*_logarithms(problem), *([("in logarithms to base 10", 1.0 / log(10.0))] if _logarithms(problem) else [])],
        [("with the other sign", -1.0)],
    ]
    penalty = penalty_value(problem)
    parts = {"": base.loss - penalty, "penalty included, ": base.loss} if penalty else {"": base.loss}
    for included, scaled in parts.items():
        rest = base.loss - scaled
        for some in product(*([("", 1.0), *group] for group in groups)):
            names = [name for name, _ in some if name]
            if names:
                yield f"the declared loss, {included}{', '.join(names)}", rest + prod(scale for _, scale in some) * scaled
        for words, factor in _short_factors((problem.claimed_loss or 0.0) - rest, scaled):
            yield f"the declared loss, {included}{words}", rest + factor * scaled


def _short_factors(claimed: float, ours: float) -> Iterator[tuple[str, float]]:
    """Yield the numbers of few digits that one value is another one times, or divided by."""
    if claimed * ours > 0.0:
        times, divided = (float(f"{ratio:.{DIGITS}g}") for ratio in (claimed / ours, ours / claimed))
        yield f"times {times:g}", times
        yield f"divided by {divided:g}", 1.0 / divided


def same_loss(claimed: float, value: float, problem: Problem, base: BasePoint) -> bool:
    """Whether a claimed value of the loss is another one, as far as libraries differ and prints are rounded."""
    return abs(claimed - value) <= _allowed(claimed, value, problem, base)


def _allowed(claimed: float, value: float, problem: Problem, base: BasePoint) -> float:
    relative = max(1.0, base.loss_error / abs(base.loss)) if base.loss else 1.0
    computed = AGREEMENT * claim_roundoff(problem) * relative * abs(value)
    return max(computed, _printed(claimed))


def _printed(claimed: float) -> float:
    """Half a unit of the last digit of a value that somebody copied from a print, with four to ten digits; else 0."""
    digits, exponent = Decimal(repr(float(claimed))).as_tuple()[1:]
    return 0.5 * 10.0 ** int(exponent) if 4 <= len(digits) <= 10 else 0.0


def _variants(problem: Problem, base: BasePoint) -> Iterator[tuple[str, float]]:
    """Yield every common pair of a scale of the data term and a form of the penalty, in words and as a value."""
    penalties = _penalties(problem)
    declared = penalties[0][1]
    scales = _scales(problem)
    for other_words, other in (*_other_dropout(problem), *_other_weights(problem)):
        yield f"the declared loss {other_words}", base_point(other).loss
    for scale_words, scale in scales:
        for penalty_words, penalty in penalties:
            words = " ".join(part for part in (scale_words, penalty_words) if part)
            if words:
                yield f"the declared loss {words}", scale * (base.loss - declared) + penalty
    if declared:
        for scale_words, scale in scales[1:]:
            yield f"the declared loss, penalty included, {scale_words}", scale * base.loss


def _other_dropout(problem: Problem) -> Iterator[tuple[str, Problem]]:
    """Yield the problem without dropout, and without its factor, with the words for it."""
    if not problem.masks:
        return
    binary = tuple(None if mask is None else np.sign(mask) for mask in problem.masks)
    for words, masks in (("without dropout", ()), ("with dropout not divided by keep_prob", binary)):
        yield words, replace(problem, masks=masks)


def _other_weights(problem: Problem) -> Iterator[tuple[str, Problem]]:
    """Yield the problem with other common forms of weights and smoothed labels, with the words for it."""
    network = problem.network
    if problem.has_weights:
        if network.reduction == "weighted_mean":
            yield "divided by the number of examples, not by the sum of the weights", _with(problem, reduction="mean")
        else:
            yield "divided by the sum of the weights (weighted_mean)", _with(problem, reduction="weighted_mean")
    if network.label_smoothing:
        yield "without label smoothing", _with(problem, label_smoothing=0.0)
    if network.class_weights:
        yield "without class weights", _with(problem, class_weights=())
    if problem.example_weights is not None:
        yield "without example weights", replace(problem, example_weights=None)
    if problem.has_weights and problem.labels is not None and problem.example_weights is not None:
        yield "without any weights", replace(_with(problem, class_weights=()), example_weights=None)


def _with(problem: Problem, **changes: Any) -> Problem:
    """Return a problem with a changed description, its targets made anew."""
    network = replace(problem.network, **changes)
    labels = problem.Y if problem.labels is None else problem.labels
    return replace(problem, network=network, Y=network.targets(labels), labels=labels)


def _scales(problem: Problem) -> list[tuple[str, float]]:
    samples, outputs = problem.samples, problem.network.widths[-1]
    summed, other = ("averaged over the examples", 1.0 / samples)
    if problem.network.reduction != "sum":
        divisor = float(samples) if problem.network.reduction == "mean" else problem.total_weight
        summed, other = ("summed over the examples", divisor)
    scales = [("", 1.0), (summed, other), ("halved", 0.5), ("doubled", 2.0)]
    if problem.network.scale != 1.0:
        scales.append(("without its scale", 1.0 / problem.network.scale))
    scales += [(f"{summed} and halved", 0.5 * other), (f"{summed} and doubled", 2.0 * other)]
    for words, scale in _logarithms(problem):
        scales += [(words, scale), (f"{summed} and {words}", scale * other)]
    if outputs > 1:
        scales += [
            ("averaged over the outputs", 1.0 / outputs),
            ("summed over the outputs", float(outputs)),
            ("averaged over the outputs and halved", 0.5 / outputs),
        ]
    return scales


def _logarithms(problem: Problem) -> list[tuple[str, float]]:
    """Return what another base makes of a loss that is nothing but logarithms."""
    return [("in logarithms to base 2", 1.0 / log(2.0))] if problem.network.loss in LOGARITHMS else []


def _penalties(problem: Problem) -> list[tuple[str, float]]:
    """Return the common forms of the penalty, in words and as a value; the declared one first."""
    l2, l1 = _declared(problem)
    if not (l2.any() or l1.any()):
        return [("", 0.0)]
    other_l2, other_l1, words = _on_other_tensors(problem, l2, l1)
    declared, other = float((l2 + l1).sum()), float((other_l2 + other_l1).sum())
    forms = [("", declared), ("without the penalty", 0.0), (words, other)]
    if l2.any() and l1.any():
        forms += [("without the L1 penalty", float(l2.sum())), ("without the L2 penalty", float(l1.sum()))]
    m = problem.samples
    scales = [
        ("with twice the penalty (λ where ½λ is declared)", 2.0),
        ("with half the penalty (½λ where λ is declared)", 0.5),
        ("with the penalty divided by the number of examples", 1.0 / m),
        ("with the penalty times the number of examples", float(m)),
        ("with the penalty divided by twice the number of examples (λ/2m where λ is declared)", 0.5 / m),
        ("with the penalty times twice the number of examples (λ where λ/2m is declared)", 2.0 * m),
    ]
    forms += [(scale_words, scale * declared) for scale_words, scale in scales]
    return forms + [(f"{scale_words}, {words.removeprefix('with ')}", scale * other) for scale_words, scale in scales]


def _declared(problem: Problem) -> tuple[Array, Array]:
    """Return the L2 and the L1 penalty of each tensor, W1, b1, …."""
    network = problem.network
    places = network.tensor_slices.values()
    squares = np.array([sum(0.5 * float(np.square(w).sum()) for w in runs(problem.theta, place)) for place in places])
    sums = np.array([sum(float(np.abs(w).sum()) for w in runs(problem.theta, place)) for place in places])
    none = np.zeros(len(places))
    return squares * (network.l2 or none), sums * (network.l1 or none)


def _on_other_tensors(problem: Problem, l2: Array, l1: Array) -> tuple[Array, Array, str]:
    """Return the penalty of each tensor with the biases taken out where some are in, else in with their layer's number."""
    network = problem.network
    names = list(network.tensor_slices)
    on_bias = np.array([name[0] == "b" for name in names])
    if (l2 + l1)[on_bias].any():
        return np.where(on_bias, 0.0, l2), np.where(on_bias, 0.0, l1), "with the penalty on the weights only"
    owner = [names.index(f"W{name[1:]}") for name in names]
    all_l2 = tuple(network.l2[k] for k in owner) if network.l2 else ()
    all_l1 = tuple(network.l1[k] for k in owner) if network.l1 else ()
    extended = replace(problem, network=replace(network, l2=all_l2, l1=all_l1))
    return *_declared(extended), "with the penalty on the biases as well"
