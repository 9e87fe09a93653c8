"""Recorded dropout masks of which nobody spoke: taken where a wrong gradient is that with them, else asked about.

Called by `readings` and `ruling` where a tensor was found wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from fastgrad.model.forward import base_point, coarsest_claim
from fastgrad.model.network import Array, Problem, Recorded
from fastgrad.model.product import norm
from fastgrad.model.rounding import gradient
from fastgrad.numerical import Numerical
from fastgrad.reading.description import QuestionError
from fastgrad.reading.masks import overlooked
from fastgrad.reading.names import mask_number
from fastgrad.report.formatting import listed

KEPT = (0.5, 0.8, 0.9, 0.7, 0.75, 0.6, *(k / 20 for k in range(1, 20)))
"""Shares of units that people keep; a mask of 0 and 1 does not tell its own, but the factor 1/keep_prob does."""
MOST_WORK = 1e10
"""Multiply-adds that the passes with other masks may take, some seconds of a core."""
NEAR = {"float64": 1e-6, "float32": 1e-3, "float16": 3e-2, "bfloat16": 0.1}
"""How far, relative to its size, a tensor may be off that is the gradient with the masks; the verdict judges it after that."""
FEWEST = 3
"""Entries of a tensor that tell a direction."""

Shares = dict[str, float]
"""Of each mask, by name, the share that was kept, 1 where nothing is divided by it."""


def with_masks(problem: Problem, numerical: Numerical) -> tuple[str, Problem] | None:
    """Return the problem with the recorded masks in it, and that in words, where more of the claim has its direction then."""
    masks = _that_drop(problem, numerical)
    if not masks or problem.claimed is None:
        return None
    best, found = _fit(problem, numerical.values), None
    for group in _groups(masks):
        for shares in _shares(group, problem):
            other = _dropped(problem, group, shares)
            fit = _fit(problem, gradient(other, base_point(other)))
            if fit > best:
                best, found = fit, (_words(group, shares), other)
    return found


def require_told(problem: Problem, numerical: Numerical) -> None:
    """Ask about masks that nobody spoke of where nothing has the direction of the gradient, be it with them or without."""
    names = [mask.name for mask in _that_drop(problem, numerical) if mask.named]
    if names and not _fit(problem, numerical.values)[0]:
        verb = "looks like a dropout mask" if len(names) == 1 else "look like dropout masks"
        raise QuestionError(
            f"{listed(names)} {verb}, of which nobody spoke, and the gradients are wrong without dropout: say the share of "
            "units that is kept, or 1 where nothing is dropped",
            {"keep_prob": "0.8"},
        )


def _that_drop(problem: Problem, numerical: Numerical) -> list[Recorded]:
    """Return the masks that make a difference; that of a ReLU, which people keep as well, drops only zeros."""
    entering = numerical.base.activations
    return [mask for mask in problem.recorded if (entering[mask.layer] * (mask.values == 0.0)).any()]


def _groups(masks: Sequence[Recorded]) -> Iterator[list[Recorded]]:
    """Yield the masks that may belong together: those with the name of one, or else all, and each alone."""
    named = [mask for mask in masks if mask.named]
    yield named or [*masks]
    if not named and len(masks) > 1:
        yield from ([mask] for mask in masks)


def _shares(masks: Sequence[Recorded], problem: Problem) -> Iterator[Shares]:
    """Yield the shares that may be kept: the same in all layers, then, of a small network, others in each."""
    plain = [mask.name for mask in masks if mask.values.max() == 1.0]
    choices = tuple(dict.fromkeys((1.0, *KEPT)))
    affordable = int(MOST_WORK / (3.0 * problem.samples * problem.network.size))
    for share in choices[: max(1, affordable)] if plain else (1.0,):
        yield dict.fromkeys((mask.name for mask in masks), share)
    if len(plain) > 1 and len(choices) ** len(plain) <= affordable:
        for several in product(choices, repeat=len(plain)):
            yield dict(zip(plain, several, strict=True))


def _dropped(problem: Problem, masks: Sequence[Recorded], shares: Shares) -> Problem:
    factors: list[Array | None] = [None] * problem.network.depth
    for mask in masks:
        factors[mask.layer] = mask.values / (shares.get(mask.name, 1.0) if mask.values.max() == 1.0 else 1.0)
    spoken = overlooked(problem.recorded)
    notes = tuple(note for note in problem.notes if note not in spoken)
    return replace(problem, masks=tuple(factors), recorded=(), notes=notes)


def _fit(problem: Problem, values: Array) -> tuple[int, int]:
    """Return how many tensors of the claim have the direction of a gradient, and how many are that gradient."""
    near, directions, equal = NEAR[coarsest_claim(problem)], 0, 0
    for tensor in problem.tensors:
        place = slice(tensor.start, tensor.stop)
        claimed, right = np.zeros(0) if problem.claimed is None else problem.claimed[place], values[place]
        if tensor.gradient_name is None or tensor.single or tensor.size < FEWEST or not (right.any() and claimed.any()):
            continue
        factor = float(claimed @ right) / float(right @ right)
        if norm(claimed - factor * right) <= near * norm(claimed):
            directions += 1
            equal += abs(factor - 1.0) <= near
    return directions, equal


def _words(masks: Sequence[Recorded], shares: Shares) -> str:
    """Say which masks were taken, and how that is declared."""
    names = listed([f"{mask.name} for layer {mask.layer}" if mask.layer else f"{mask.name} for the input" for mask in masks])
    others = [f"{mask.name} D{mask.layer}" for mask in masks if mask_number(mask.name) is None]
    renamed = f"call {listed(others)} and say " if others else ""
    return f"{names}: taken for dropout, with which this is the gradient; to declare it: {renamed}{_declared(masks, shares)}"


def _declared(masks: Sequence[Recorded], shares: Shares) -> str:
    plain = [shares[mask.name] for mask in sorted(masks, key=lambda mask: mask.layer) if mask.values.max() == 1.0]
    if not plain:
        return "--inverted (in Python masks=)"
    if set(plain) == {1.0}:
        return "--no-inverted (in Python masks= and inverted=False)"
    said = f"{plain[0]:g}" if len(set(plain)) == 1 else ",".join(f"{share:g}" for share in plain)
    return f"--keep-prob {said} (in Python masks= and keep_prob={said if ',' not in said else repr(said)})"
