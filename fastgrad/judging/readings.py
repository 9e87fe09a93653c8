"""Other readings of what was given, under which a gradient that is wrong may be right: each costs one backward pass.

Called by walk where a tensor was found wrong; it judges each reading, and takes one that makes some of the tensors right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from fastgrad.judging.dropout import NEAR, with_masks
from fastgrad.model.forward import coarsest_claim
from fastgrad.model.network import Array, Problem, Tensor
from fastgrad.model.product import norm
from fastgrad.model.rounding import penalty_gradient
from fastgrad.model.ties import ties, total_gradient
from fastgrad.numerical import Numerical
from fastgrad.report.formatting import listed


class Reading(NamedTuple):
    """In words; what it adds to the numerical gradient, shape (P,); or another problem of which that is to be made.

    `told` where the numbers tell that it is meant, be anything wrong beside it or not.
    """

    words: str
    shift: Array
    problem: Problem | None = None
    told: bool = False


def readings(problem: Problem, numerical: Numerical) -> Iterator[Reading]:
    """Yield the other readings that what was given allows."""
    yield from _dropout(problem, numerical)
    yield from _tied(problem, numerical)
    yield from _ones(problem)
    yield from _labels(problem)


def _dropout(problem: Problem, numerical: Numerical) -> Iterator[Reading]:
    """Read arrays that look like dropout masks as such."""
    found = with_masks(problem, numerical)
    if found is not None:
        yield Reading(found[0], np.zeros(0), found[1], told=True)


# Tied weights.


def _tied(problem: Problem, numerical: Numerical) -> Iterator[Reading]:
    """Read equal weights as one array that is used several times: each name then has the sum of all their gradients.

    A penalty counts once for each use, or once in all. Where one name has that sum, it is meant of the others, too.
    """
    found = ties(problem)
    if not found:
        return
    right, penalty = numerical.values, penalty_gradient(problem)
    twice, once = total_gradient(problem, right) - right, total_gradient(problem, right - penalty) - (right - penalty)
    names = listed([f"{tie.second.name} is {tie.first.name}{' transposed' * tie.transposed}" for tie in found])
    words = f"{names}: judged as one array, whose gradient under each name is the sum of the gradients at all its places"
    tensors = [here.tensor for tie in found for here in tie]
    yield Reading(words, twice, told=_has_one(problem, right + twice, twice, tensors))
    if problem.network.penalties:
        yield Reading(f"{words}, the penalty taken once", once, told=_has_one(problem, right + once, once, tensors))


def _has_one(problem: Problem, total: Array, added: Array, tensors: Sequence[Tensor]) -> bool:
    """Tell whether the claim of one of some tensors is a total, as near as what was added to it tells."""
    if problem.claimed is None:
        return False
    near, off = NEAR[coarsest_claim(problem)], problem.claimed - total
    places = [slice(tensor.start, tensor.stop) for tensor in tensors if tensor.gradient_name and not tensor.single]
    return any(norm(off[place]) <= near * norm(added[place]) for place in places if added[place].any())


# A column of ones.


def _ones(problem: Problem) -> Iterator[Reading]:
    """Read the weights of a column of ones in X as biases, which the penalty leaves out."""
    columns = np.flatnonzero((problem.X == 1.0).all(axis=0))
    place = problem.network.weight_slice(0)
    penalty = penalty_gradient(problem)
    if columns.size != 1 or problem.samples < 2 or not penalty[place].any():
        return
    shift = np.zeros(problem.network.size)
    problem.network.W(shift, 0)[:, columns] = -problem.network.W(penalty, 0)[:, columns]
    name = next(tensor.name for tensor in problem.tensors if tensor.layer == 0 and tensor.kind == "W")
    words = f"input {columns[0]} is a column of ones: its weights in {name} were judged as biases, without the penalty"
    yield Reading(words, shift)


# Labels.


def _labels(problem: Problem) -> Iterator[Reading]:
    """Read labels 0 and 1 as −1 and 1, and the other way round."""
    if problem.labels is not None or problem.network.loss_name in CODED:
        return
    none = np.zeros(0)
    for old, new in ((0.0, -1.0), (-1.0, 0.0)):
        is_one = problem.Y == 1.0
        if np.isin(problem.Y, (old, 1.0)).all() and not np.all(is_one):
            other = replace(problem, Y=np.where(is_one, 1.0, new))
            words = f"labels: judged with {new:g} in the place of {old:g}, of which this is the gradient; give the labels so"
            yield Reading(words, none, other)


CODED = frozenset({"softmax_crossentropy", "binary_crossentropy", "kl_divergence", "poisson"})
"""Losses that take probabilities or counts: other codes of a label mean nothing to them."""
