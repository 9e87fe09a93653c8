"""A network that learns by numerical gradients alone, beside the same one that learns by backpropagation.

Called by the command `demo train`; pictures draws its result. Nothing is checked here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from fastgrad._version import SCHEMA
from fastgrad.errors import InputError, Interrupted
from fastgrad.model.network import Array, Network, Offsets, Problem
from fastgrad.numerical import load_kernels, numerical_gradient
from fastgrad.numerical.preactivation import PREACTIVATION
from fastgrad.teaching import demo
from fastgrad.teaching.digits import CLASSES, Digits

HIDDEN, BATCH, RATE, SPREAD = 50, 100, 0.1, 0.01
"""The books' network: hidden units, digits in a batch, learning rate, standard deviation of the first weights."""
MOMENTS = 20
"""How many times accuracies are measured on the way."""
BOOKS_STEP = 1e-4
BOOKS_PARAMETERS = 20
"""Parameters of which the books' own loop is timed."""

Gradient = Callable[[Problem], Array]


class Moment(NamedTuple):
    """The accuracies, from 0 to 1, after so many iterations."""

    iteration: int
    train: float
    test: float


@dataclass(frozen=True, eq=False)
class Training:
    """One training.

    Attributes
    ----------
    moments : tuple of Moment
        The accuracies on the way, the start first.
    theta : ndarray, shape (P,)
        Where it ended.
    seconds : float
        Time of all iterations, without measuring accuracies.
    """

    moments: tuple[Moment, ...]
    theta: Array
    seconds: float


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two trainings from the same weights with the same batches.

    Attributes
    ----------
    source : str
        What was learned.
    network : Network
        Which network.
    digits : tuple of int
        How many digits there are to train on and to test with.
    numerical, backpropagation : Training
        The two.
    books_seconds : float
        What one gradient takes by the books' own loop.
    seed : int
        Seed of everything drawn.
    """

    source: str
    network: Network
    digits: tuple[int, int]
    numerical: Training
    backpropagation: Training
    books_seconds: float
    seed: int

    @property
    def iterations(self) -> int:
        """Number of iterations of each training."""
        return self.numerical.moments[-1].iteration

    @property
    def largest_difference(self) -> float:
        """Largest difference of a parameter at the end."""
        return float(np.abs(self.numerical.theta - self.backpropagation.theta).max())

    @property
    def same_curves(self) -> bool:
        """Whether all accuracies on the way are the same."""
        return self.numerical.moments == self.backpropagation.moments

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as a JSON document."""
        return {
            "schema": SCHEMA,
            "source": self.source,
            "widths": list(self.network.widths),
            "digits": list(self.digits),
            "seed": self.seed,
            "iterations": self.iterations,
            "numerical": _to_dict(self.numerical),
            "backpropagation": _to_dict(self.backpropagation),
            "same_curves": self.same_curves,
            "largest_difference": self.largest_difference,
            "books_seconds": self.books_seconds,
        }


def _to_dict(training: Training) -> dict[str, Any]:
    return {"seconds": training.seconds, "moments": [moment._asdict() for moment in training.moments]}


def compare(digits: Digits, iterations: int, *, seed: int = 0, watch: Callable[[Moment], None] | None = None) -> Comparison:
    """Train by numerical gradients, which `watch` is called with, then by backpropagation, and time the books' loop."""
    numerical = train(digits, numerically, iterations, seed=seed, watch=watch)
    backpropagation = train(digits, by_backpropagation, iterations, seed=seed)
    counts = (len(digits.train[0]), len(digits.test[0]))
    spent = books_seconds(digits, seed)
    return Comparison(digits.source, network_for(digits), counts, numerical, backpropagation, spent, seed)


def network_for(digits: Digits) -> Network:
    """Return the network: pixels-50-10, sigmoid and softmax."""
    widths, activations = (digits.pixels, HIDDEN, CLASSES), ("sigmoid", "softmax")
    return Network(widths, activations, "softmax_crossentropy", "mean", (True, True))


def numerically(problem: Problem) -> Array:
    """Return the numerical gradient of every parameter."""
    try:
        return numerical_gradient(problem, method=PREACTIVATION).values
    except Interrupted:  # half a gradient is no step
        raise KeyboardInterrupt from None


def by_backpropagation(problem: Problem) -> Array:
    """Return the gradient by a backward pass as a person writes it."""
    parameters = _in_columns(problem)
    activations = demo.forward(parameters, problem.X.T, "sigmoid", "softmax")
    gradients = demo.backward(parameters, activations, problem.Y.T, "sigmoid", samples=problem.samples)
    return np.concatenate([gradients[f"d{name}"].reshape(-1) for name in parameters])


def _in_columns(problem: Problem) -> demo.Arrays:
    """Return views of theta as W1, b1, W2, b2, in the layout of the demos."""
    network, theta = problem.network, problem.theta
    return {
        name: array
        for layer in range(network.depth)
        for name, array in (
            (f"W{layer + 1}", network.W(theta, layer)),
            (f"b{layer + 1}", network.b(theta, layer)[:, np.newaxis]),
        )
    }


def train(
    digits: Digits,
    gradient: Gradient,
    iterations: int,
    *,
    seed: int = 0,
    watch: Callable[[Moment], None] | None = None,
) -> Training:
    """Train by stochastic gradient descent, θ ← θ − rate·gradient on a batch drawn with replacement.

    Parameters
    ----------
    digits : Digits
        What to learn.
    gradient : callable
        Makes the gradient of a batch: `numerically` or `by_backpropagation`.
    iterations : int
        Steps.
    seed : int
        Seed of the first weights and of the batches.
    watch : callable, optional
        Called with every moment as it comes.

    Returns
    -------
    Training
        The accuracies on the way, and the end.

    Raises
    ------
    InputError
        If the number of iterations cannot be used.
    """
    if iterations < 1:
        raise InputError(f"iterations must be a whole number of at least 1, found {iterations}")
    load_kernels(PREACTIVATION)
    network, rng = network_for(digits), np.random.default_rng(seed)
    theta, (X, labels) = first_weights(network, rng), digits.train
    targets = np.eye(CLASSES)[labels]
    stops = np.unique(np.linspace(0, iterations, MOMENTS + 1).round().astype(int))
    moments, seconds, done = [], 0.0, 0
    for stop in stops:
        began = time.perf_counter()
        for _ in range(done, stop):
            batch = rng.integers(len(X), size=BATCH)
            theta -= RATE * gradient(Problem(network, theta, X[batch], targets[batch], (), None, None))
        seconds, done = seconds + time.perf_counter() - began, int(stop)
        moments.append(Moment(done, accuracy(network, theta, *digits.train), accuracy(network, theta, *digits.test)))
        if watch is not None:
            watch(moments[-1])
    return Training(tuple(moments), theta, seconds)


def first_weights(network: Network, rng: np.random.Generator) -> Array:
    """Draw small weights; biases are 0."""
    theta = np.zeros(network.size)
    for layer in range(network.depth):
        W = network.W(theta, layer)
        W[:] = SPREAD * rng.standard_normal(W.shape)
    return theta


def accuracy(network: Network, theta: Array, X: Array, labels: Offsets) -> float:
    """Return the share of digits that the network takes for what they are."""
    none = np.zeros((len(X), CLASSES))
    outputs = demo.forward(_in_columns(Problem(network, theta, X, none, (), None, None)), X.T, "sigmoid", "softmax")[-1]
    return float(np.mean(outputs.argmax(axis=0) == labels))


def books_seconds(digits: Digits, seed: int = 0) -> float:
    """Time the books' own loop on some parameters; return what it would take for one gradient of all of them.

    Notes
    -----
    (J(θ + h) − J(θ − h))/2h with h = 1e-4, two whole forward passes in NumPy for every parameter.
    """
    network, rng = network_for(digits), np.random.default_rng(seed)
    batch, (X, labels) = rng.integers(len(digits.train[0]), size=BATCH), digits.train
    problem = Problem(network, first_weights(network, rng), X[batch], np.eye(CLASSES)[labels[batch]], (), None, None)
    places = rng.choice(network.size, BOOKS_PARAMETERS, replace=False)
    books_difference(problem, int(places[0]))  # the first pass also wakes NumPy
    began = time.perf_counter()
    for place in places:
        books_difference(problem, int(place))
    return (time.perf_counter() - began) / BOOKS_PARAMETERS * network.size


def books_difference(problem: Problem, place: int) -> float:
    """Return the central difference by one parameter as the books' loop makes it."""
    parameters, kept = _in_columns(problem), problem.theta[place]
    losses = []
    for move in (BOOKS_STEP, -BOOKS_STEP):
        problem.theta[place] = kept + move
        outputs = demo.forward(parameters, problem.X.T, "sigmoid", "softmax")[-1]
        losses.append(-float(np.sum(problem.Y.T * np.log(outputs))) / problem.samples)
    problem.theta[place] = kept
    return (losses[0] - losses[1]) / (2.0 * BOOKS_STEP)
