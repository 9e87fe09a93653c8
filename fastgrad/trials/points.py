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
from fastgrad.numerical import load_kernels, numerical_gradient
from fastgrad.numerical.methods import FAST
from fastgrad.reading import target_form
from fastgrad.reading.names import Raw
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
    """Return the given point with drawn examples; with its own where masks or weights belong to these."""
    if given.examples_fixed:
        return given.point
    inputs, labels = _drawn_inputs(given, samples, rng), _drawn_labels(given, samples, rng)
    return replace(given.point, X=given.inputs(inputs), Y=given.labels(labels))


def _drawn_inputs(given: Given, samples: int, rng: np.random.Generator) -> Array:
    """Draw inputs of the kind of the given ones: whole numbers, numbers of one sign, or any."""
    values, shape = given.problem.X, (samples, given.problem.network.widths[0])
    kind = np.asarray(given.point.X).dtype.kind
    low, high = float(values.min()), float(values.max())
    if kind in "uib":
        return rng.integers(int(low), max(int(high), int(low) + 1), size=shape, endpoint=True).astype(np.float64)
    if low >= 0.0:
        return (high or 1.0) * rng.random(shape)
    return float(np.sqrt(np.mean(np.square(values)))) * rng.standard_normal(shape)


def _drawn_labels(given: Given, samples: int, rng: np.random.Generator) -> Raw:
    """Draw labels in the encoding of the given ones, of several classes, shape (m, n_L), or (m,) for class numbers."""
    network, outputs = given.problem.network, given.problem.network.widths[-1]
    shape = np.shape(given.point.Y)
    values = given.raw_labels(given.point)
    classes = rng.permutation(np.arange(samples) % outputs)
    if target_form(shape, given.problem.samples, outputs, given.reading.examples) == "classes":
        return classes
    signs = np.any(values == -1.0) or ("hinge" in network.loss_name and not np.any(values == 0.0))
    low = -1.0 if signs else 0.0
    if np.isin(values, (low, 1.0)).all():
        if outputs > 1 and np.all((values == 1.0).sum(axis=1) == 1):
            return np.where(np.arange(outputs) == classes[:, None], 1.0, low)
        halves = [rng.permutation(np.arange(samples) % 2) for _ in range(outputs)]
        return np.where(np.array(halves).T == 1, 1.0, low)
    drawn = rng.random((samples, outputs))
    if outputs > 1 and values.min() >= 0.0 and np.allclose(values.sum(axis=1), 1.0):
        return np.asarray(drawn / drawn.sum(axis=1, keepdims=True))
    if network.loss_name in LOGIT_OUTPUT:
        return drawn
    drawn = values.mean() + (values.std() or 1.0) * rng.standard_normal((samples, outputs))
    if np.asarray(given.point.Y).dtype.kind in "uib":
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
    load_kernels(FAST)
    stride, first = STRIDE, base_point(problem).loss
    loss, numerical = first, None
    for _ in range(steps):
        if numerical is None:
            numerical = numerical_gradient(problem, method=FAST).values
        length = norm(numerical)
        if length == 0.0:
            break
        move = stride * norm(problem.theta) / length
        candidate = _moved(given, point, problem, problem.theta - move * numerical)
        reached = base_point(candidate).loss
        if reached < loss and first - reached <= (1.0 - LEAST_LOSS) * abs(first):
            problem, loss, numerical = candidate, reached, None
        else:
            stride *= 0.5
    return replace(point, parameters=given.parameters(problem.theta))


def _moved(given: Given, point: Point, problem: Problem, theta: Array) -> Problem:
    """Return a problem at parameters as the user's arrays can hold them."""
    return replace(problem, theta=given.problem_at(replace(point, parameters=given.parameters(theta))).theta)
