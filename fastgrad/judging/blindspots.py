"""The blind spots of a test point: which mistakes it hides, and what to change. This is advice, never a failure.

Called by `summary`. A mistake that such a point hides leaves the gradient right there, and no check can see it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fastgrad.kernels import codes
from fastgrad.model import activations
from fastgrad.model.forward import BasePoint
from fastgrad.model.losses import LOGIT_OUTPUT
from fastgrad.model.network import Array, Problem
from fastgrad.model.stored import Matrix, StoredMatrix

SATURATED = 1e-6
"""Largest slope, as a share of the activation's usual 1, at which a unit passes nearly nothing back."""
SAME_KEY = 1e-12
"""Relative distance of two examples' first pre-activations, below which the examples themselves are compared."""
NAMED = 3
"""Layers or tensors that one piece of advice names."""


def blind_spots(problem: Problem, base: BasePoint) -> tuple[str, ...]:
    """Return a sentence for each blind spot of the point that is checked, the gravest first."""
    with np.errstate(all="ignore"):
        return tuple(
            sentence
            for looked in (_examples, _labels, _dead, _signs, _saturated, _biases, _penalty, _shapes, _outputs)
            for sentence in looked(problem, base)
        )


def _examples(problem: Problem, base: BasePoint) -> Iterator[str]:
    idle = int((base.tables.outputs[codes.FACTOR] == 0.0).all(axis=1).sum())
    if idle:
        yield f"{idle:,} of {problem.samples:,} examples have the weight 0, which hides all of them; give them another"
    if problem.samples == 1:
        yield "One example hides a missing sum over examples and a missing 1/m; check two or more"
        return
    copies = _copies(base)
    if copies == problem.samples - 1:
        yield "All examples are equal, which hides what a single example hides; use different ones"
    elif copies:
        repeat = f"{copies:,} of {problem.samples:,} examples repeat another"
        yield f"{repeat}, which hides an example taken for its copy; leave the copies out"


def _copies(base: BasePoint) -> int:
    """Count examples that are equal to another one, candidates being told by their first pre-activation."""
    key, inputs = base.plane(codes.Z, 0)[:, 0], base.activations[0]
    order = np.argsort(key, kind="stable")
    close = np.flatnonzero(np.abs(np.diff(key[order])) <= SAME_KEY * (1.0 + np.abs(key[order[1:]])))
    return sum(bool(np.array_equal(inputs[order[k]], inputs[order[k + 1]])) for k in close)


def _labels(problem: Problem, _: BasePoint) -> Iterator[str]:
    if problem.samples > 1 and (problem.Y[0] == problem.Y).all():
        yield "All labels are equal, which hides shuffled or shifted ones; use examples of several classes"


def _dead(problem: Problem, base: BasePoint) -> Iterator[str]:
    counts = []
    for layer in range(problem.network.depth - 1):
        dead = int((base.plane(codes.SLOPE, layer) == 0.0).all(axis=0).sum())
        if dead:
            counts.append(f"layer {layer + 1}: {dead:,} of {problem.network.widths[layer + 1]:,}")
    if counts:
        yield f"Dead units ({_listed(counts)}) hide everything behind them; change the weights"
    idle = int((base.reach[0] == 0.0).sum())
    if idle:
        inputs = f"{idle:,} of {problem.network.widths[0]:,} inputs"
        yield f"{inputs} are 0 in every example, which hides their weights; vary the inputs"


def _signs(problem: Problem, base: BasePoint) -> Iterator[str]:
    layers = []
    for layer, text in enumerate(problem.network.activations):
        z = base.plane(codes.Z, layer)
        if activations.BY_NAME[activations.parse_activation(text)[0]].branched and ((z > 0.0).all() or (z < 0.0).all()):
            layers.append(f"{layer + 1}")
    if layers:
        where = f"layer {_listed(layers)}"
        yield f"Pre-activations of one sign ({where}) hide a wrong branch or mask of the activation; vary the weights"


def _saturated(problem: Problem, base: BasePoint) -> Iterator[str]:
    counts = []
    for layer in range(problem.network.depth - 1):
        largest = np.abs(base.plane(codes.SLOPE, layer)).max(axis=0)
        saturated = int(((largest > 0.0) & (largest < SATURATED)).sum())
        if saturated:
            counts.append(f"layer {layer + 1}: {saturated:,} of {problem.network.widths[layer + 1]:,}")
    if counts:
        yield f"Saturated units ({_listed(counts)}) hide what lies below them; use smaller weights or inputs"
    if problem.network.loss in LOGIT_OUTPUT and not _learns(base, problem.Y):
        yield "Every output fits its label to 1e-6, which hides nearly every mistake; change the weights or the labels"


def _learns(base: BasePoint, Y: Array) -> bool:
    """Tell whether any sample's loss still has a slope."""
    slope, factor = np.abs(base.tables.outputs[codes.LOSS_SLOPE]), base.tables.outputs[codes.FACTOR]
    return bool((slope > SATURATED * np.abs(Y).max() * factor).any())


def _biases(problem: Problem, _: BasePoint) -> Iterator[str]:
    network = problem.network
    biases = [tensor for tensor in problem.tensors if tensor.kind == "b"]
    zero = [tensor.name for tensor in biases if not problem.theta[tensor.start : tensor.stop].any()]
    if zero:
        penalty = ", or in a penalty" if network.penalties else ""
        yield f"Biases of zero ({_listed(zero)}) hide a bias left out of the forward pass{penalty}; draw them at random"


def _penalty(problem: Problem, _: BasePoint) -> Iterator[str]:
    for name in problem.zero_penalties:
        yield f"{name} = 0 hides every mistake in that penalty; give the value that training uses"


def _shapes(problem: Problem, _: BasePoint) -> Iterator[str]:
    network = problem.network
    square = [tensor for tensor in problem.tensors if tensor.kind == "W" and len(set(tensor.canonical_shape)) == 1]
    square = [tensor for tensor in square if tensor.size > 1]
    if square:
        names = _listed([tensor.name for tensor in square])
        yield f"Square weights ({names}) let a transposed array fit by its shape; vary the widths"
    symmetric = [tensor for tensor in square if _is_symmetric(network.W(problem.theta, tensor.layer))]
    if symmetric:
        names = _listed([tensor.name for tensor in symmetric])
        yield f"Symmetric weights ({names}) hide an array taken for its transpose; draw them at random"
    hidden = network.widths[1:-1]
    if len(set(hidden)) < len(hidden):
        yield "Equal hidden widths let one layer's array fit in another's place; vary them"
    if problem.samples > 1 and problem.samples in network.widths[1:]:
        yield f"As many examples as units ({problem.samples:,}) let a sum along the wrong axis fit; add an example"


def _is_symmetric(W: Matrix) -> bool:
    if isinstance(W, StoredMatrix):
        return W.is_symmetric
    return np.array_equal(W[0], W[:, 0]) and np.array_equal(W, W.T)  # nearly always the first row tells


def _outputs(problem: Problem, _: BasePoint) -> Iterator[str]:
    if problem.network.widths[-1] == 1:
        yield "A single output hides a mean over outputs taken for a sum; check two if your code can"


def _listed(names: list[str]) -> str:
    rest = [f"{len(names) - NAMED:,} more"] if len(names) > NAMED else []
    return ", ".join(names[:NAMED] + rest)
