"""Weights that are one array under several names: the decoder of an autoencoder, a layer that is used again."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastgrad.model.network import Array, Problem, Tensor


class Place(NamedTuple):
    """A tensor of weights, and whether it is the transpose of the one that it is tied to."""

    tensor: Tensor
    transposed: bool

    @property
    def name(self) -> str:
        """The user's name."""
        return self.tensor.name

    @property
    def place(self) -> slice:
        """Where it lies in theta."""
        return slice(self.tensor.start, self.tensor.stop)

    def seen_from(self, other: Place, theta: Array) -> Array:
        """Return its entries in the order of the tensor that it is tied to."""
        values = theta[self.place].reshape(self.tensor.canonical_shape)
        return np.ravel(values.T if self.transposed != other.transposed else values)


class Tie(NamedTuple):
    """Two tensors that hold the same numbers."""

    first: Place
    second: Place

    @property
    def transposed(self) -> bool:
        """Whether one is the other's transpose."""
        return self.second.transposed

    @property
    def turned(self) -> Tie:
        """The same, seen from the second."""
        return Tie(self.second, self.first)


def ties(problem: Problem) -> list[Tie]:
    """Return the weights that equal others, entry by entry or transposed; numbers that are all alike say nothing."""
    found = []
    weights = [tensor for tensor in problem.tensors if tensor.kind == "W"]
    for k, first in enumerate(weights):
        values = _matrix(problem, first)
        if values.size < 2 or ((values[0] == values[0, 0]).all() and (values == values[0, 0]).all()):
            continue
        for second in weights[k + 1 :]:
            other = _matrix(problem, second)
            for transposed in (True, False):
                if np.array_equal(other.T if transposed else other, values):
                    found.append(Tie(Place(first, False), Place(second, transposed)))
                    break
    return found


def tied(problem: Problem, theta: Array) -> Array:
    """Return a theta in which the weights that the problem has tied are so again, each as the first of them."""
    result = theta.copy()
    for tie in ties(problem):
        result[tie.second.place] = tie.first.seen_from(tie.second, result)
    return result


def total_gradient(problem: Problem, gradient: Array) -> Array:
    """Return for weights that are one array the sum of the gradients at all its places, under each of its names."""
    result = gradient.copy()
    for tie in ties(problem):
        for here, there in (tie, tie.turned):
            result[here.place] += there.seen_from(here, gradient)
    return result


def _matrix(problem: Problem, tensor: Tensor) -> Array:
    return problem.theta[tensor.start : tensor.stop].reshape(tensor.canonical_shape)
