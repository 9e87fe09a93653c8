"""Points that hide nothing: fresh weights, biases that are not 0, a number of examples that is no width, units of both signs.

What a point can hide: one example hides a forgotten division by their number, widths that are alike a wrong axis, biases
of 0 what is done to biases, pre-activations of one sign a wrong mask, labels that are alike a wrong order of them.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import numpy as np

from fastgrad.model.forward import base_point
from fastgrad.model.losses import LOGIT_OUTPUT
from fastgrad.model.network import Array, Problem
from fastgrad.model.product import norm
from fastgrad.model.ties import tied, total_gradient
from fastgrad.numerical import load_kernels, numerical_gradient
from fastgrad.numerical.preactivation import PREACTIVATION
from fastgrad.reading import target_form
from fastgrad.reading.arrays import Raw
from fastgrad.trials.calling import Given, Point

FEWEST_EXAMPLES, MOST_CLASSES = 5, 30
"""Examples of a point of our own: at least so many, and one more than there are outputs, as far as these are no more."""
STRIDE = 0.1
"""Length of a step of training as a share of the parameters' norm: twenty of them lead well away from the start."""

LEAST_LOSS = 0.1
"""Share of the first loss at which training stops: where nothing is left to learn, units saturate and gradients vanish."""


def number_of_examples(given: Given) -> int:
    """Return a number that is neither a width nor the given number; that one where nothing else fits the arrays."""
    network, fixed = given.problem.network, given.problem.samples
    shape = np.shape(given.point.X)  # of a number there is one, and a vector may be one example
    if given.examples_fixed or not shape or (len(shape) < 2 and network.widths[0] > 1):
        return fixed
    least = max(FEWEST_EXAMPLES, min(network.widths[-1], MOST_CLASSES) + 1)
    return next(samples for samples in count(least) if samples != fixed and samples not in network.widths)


def with_examples(given: Given, samples: int, rng: np.random.Generator) -> Point:
    """Return the given point with drawn examples; with its own where masks or weights belong to these.

    What the given arrays have in common with each other the drawn ones have as well: targets that are the inputs stay so.
    """
    if given.examples_fixed:
        return given.point
    inputs = _drawn_inputs(given, samples, rng)
    labels = inputs if targets_are_inputs(given) else _drawn_labels(given, samples, rng)
    return replace(given.point, X=given.inputs(inputs), Y=given.labels(labels))


def targets_are_inputs(given: Given) -> bool:
    """Tell whether the targets are the inputs, as an autoencoder has them."""
    return np.array_equal(given.raw_labels(given.point), given.problem.X)


def repeated(given: Given, point: Point) -> Point:
    """Return a point with each of its examples twice, one after the other."""
    inputs, labels = given.problem_at(point).X, given.raw_labels(point)
    return replace(point, X=given.inputs(np.repeat(inputs, 2, axis=0)), Y=given.labels(np.repeat(labels, 2, axis=0)))


def _drawn_inputs(given: Given, samples: int, rng: np.random.Generator) -> Array:
    """Draw inputs of the kind of the given ones, and keep columns that hold one number, such as one of ones."""
    values = given.problem.X
    drawn = _drawn_alike(values, samples, rng)
    constant = (values == values[0]).all(axis=0)
    if len(values) > 1 and not constant.all():
        drawn[:, constant] = values[0, constant]
    return drawn


def _drawn_alike(values: Array, samples: int, rng: np.random.Generator) -> Array:
    """Draw inputs that are one-hot, of two values, whole numbers, shares of one, of one sign, or any, as the given ones are."""
    width, low, high = values.shape[1], float(values.min()), float(values.max())
    shape = samples, width
    if width > 1 and np.isin(values, (0.0, 1.0)).all() and (values.sum(axis=1) == 1.0).all():
        return np.asarray(np.arange(width) == rng.permutation(np.arange(samples) % width)[:, None], dtype=np.float64)
    if low < high and np.isin(values, (low, high)).all():
        return np.where(rng.random(shape) < 0.5, low, high)
    if np.array_equal(values, np.rint(values)):
        return rng.integers(int(low), max(int(high), int(low) + 1), size=shape, endpoint=True).astype(np.float64)
    if low >= 0.0:
        drawn = (high or 1.0) * rng.random(shape)
        shares = width > 1 and np.allclose(values.sum(axis=1), 1.0)
        return np.asarray(drawn / drawn.sum(axis=1, keepdims=True) if shares else drawn)
    return float(np.sqrt(np.mean(np.square(values)))) * rng.standard_normal(shape)


def _drawn_labels(given: Given, samples: int, rng: np.random.Generator) -> Raw:
    """Draw labels in the encoding of the given ones, of several classes, shape (m, n_L), or (m,) for class numbers."""
    network, outputs = given.problem.network, given.problem.network.widths[-1]
    shape = np.shape(given.point.Y)
    values = given.raw_labels(given.point)
    classes = rng.permutation(np.arange(samples) % outputs)
    if target_form(shape, given.problem.samples, outputs, given.reading.examples) == "classes":
        return np.array(given.problem.classes)[classes] if given.problem.classes else classes
    signs = np.any(values == -1.0) or ("hinge" in network.loss_name and not np.any(values == 0.0))
    low, high = given.problem.classes or (-1.0 if signs else 0.0, 1.0)
    if np.isin(values, (low, high)).all():
        if outputs > 1 and np.all((values == high).sum(axis=1) == 1):
            return np.where(np.arange(outputs) == classes[:, None], high, low)
        halves = [rng.permutation(np.arange(samples) % 2) for _ in range(outputs)]
        return np.where(np.array(halves).T == 1, high, low)
    drawn = rng.random((samples, outputs))
    if outputs > 1 and values.min() >= 0.0 and np.allclose(values.sum(axis=1), 1.0):
        return np.asarray(drawn / drawn.sum(axis=1, keepdims=True))
    if network.loss_name in LOGIT_OUTPUT:
        return drawn
    drawn = values.mean() + (values.std() or 1.0) * rng.standard_normal((samples, outputs))
    if np.array_equal(values, np.rint(values)):
        drawn = np.rint(drawn)
    return np.asarray(np.abs(drawn) if values.min() >= 0 else drawn)


def initialised(given: Given, point: Point, rng: np.random.Generator) -> Point:
    """Return a point with fresh weights and biases, under which every unit has z of both signs as far as it has a bias.

    Weights are drawn so that every z is of the size of 1. A bias is put between two of the middle ones among the unit's z
    of all examples.
    """
    problem = given.problem_at(point)
    network, theta = problem.network, np.zeros(problem.network.size)
    for layer in range(network.depth):
        below = base_point(replace(problem, theta=theta)).activations[layer]
        size = float(np.sqrt(np.mean(np.square(below)))) or 1.0
        W = network.W(theta, layer)
        W[:] = rng.standard_normal(W.shape) / (size * np.sqrt(W.shape[1]))
        theta[:] = tied(given.problem, theta)
        if network.biases[layer]:
            network.b(theta, layer)[:] = _between(below @ W.T, rng)
    return replace(point, parameters=given.parameters(theta))


def _between(z: Array, rng: np.random.Generator) -> Array:
    """Return for each unit the bias that moves a place between two of its middle z to 0; one example has its own half."""
    if len(z) == 1:
        return np.asarray(-0.5 * z[0])
    ordered = np.sort(z, axis=0)
    place = rng.integers((len(z) - 1) // 3, (2 * len(z) + 1) // 3, size=z.shape[1]).clip(0, len(z) - 2)
    units, share = np.arange(z.shape[1]), rng.uniform(0.25, 0.75, size=z.shape[1])
    return np.asarray(-((1.0 - share) * ordered[place, units] + share * ordered[place + 1, units]))


def grown(given: Given, point: Point, steps: int) -> Point:
    """Return a point after some steps of training by numerical gradients, long ones, for the weights are to grow.

    A step that would go uphill, or take all but a share of the loss and so saturate the units, is made shorter.
    """
    problem = given.problem_at(point)
    load_kernels(PREACTIVATION)
    stride, first = STRIDE, base_point(problem).loss
    loss, numerical = first, None
    for _ in range(steps):
        if numerical is None:
            numerical = total_gradient(given.problem, numerical_gradient(problem, method=PREACTIVATION).values)
        length = norm(numerical)
        if length == 0.0:
            break
        move = stride * norm(problem.theta) / length
        candidate = _moved(given, point, problem, tied(given.problem, problem.theta - move * numerical))
        reached = base_point(candidate).loss
        if reached < loss and first - reached <= (1.0 - LEAST_LOSS) * abs(first):
            problem, loss, numerical = candidate, reached, None
        else:
            stride *= 0.5
    return replace(point, parameters=given.parameters(problem.theta))


def _moved(given: Given, point: Point, problem: Problem, theta: Array) -> Problem:
    """Return a problem at parameters as the user's arrays can hold them."""
    return replace(problem, theta=given.problem_at(replace(point, parameters=given.parameters(theta))).theta)
