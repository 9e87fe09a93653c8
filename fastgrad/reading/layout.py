"""Which way round the arrays are: every reading that makes the chain of widths fit, from X through the weights to Y.

A reading settles where the examples lie, the axes of the weights, whether a bias shares the weights' array, and what
each array without a telling name is. Shapes alone decide here; no number is looked at.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np

from fastgrad.reading.arrays import Raw
from fastgrad.reading.names import Kind, Part, used_again

Shape = tuple[int, ...]

MOST_CHAINS = 8
"""Chains of widths followed at once: of nameless arrays of one entry, a few ways are as telling as all."""


@dataclass(frozen=True, eq=False)
class Data:
    """X or Y as it came, with its name."""

    name: str
    array: Raw

    def __str__(self) -> str:
        return f"{self.name} {self.array.shape}"


class Role(NamedTuple):
    """What a part is under a reading; the layer counts from 0."""

    part: Part
    kind: Kind
    layer: int


class Chain(NamedTuple):
    """The widths so far, and what each part turned out to be."""

    widths: tuple[int, ...]
    roles: tuple[Role, ...]


class Reading(NamedTuple):
    """One way to understand all the arrays.

    `examples` is None where X itself leaves no choice; `column` is the place of a bias inside W, None where it has an
    array of its own; `unrolled` how the arrays lay in one vector.
    """

    examples: str | None
    weights: str
    column: int | None
    samples: int
    chain: Chain
    unrolled: str | None = None

    @property
    def layout(self) -> str:
        """The words that would ask for this reading."""
        return ",".join(word for word in (self.examples, self.weights) if word)

    def __str__(self) -> str:
        return self.layout + {None: "", 0: " (bias first)", -1: " (bias last)"}[self.column]


class Misfit(NamedTuple):
    """How far an attempt got, in parts, and what stopped it; `likely` if Y has as many examples as X was read to have."""

    progress: int
    message: str
    likely: bool = False


def readings(parts: Sequence[Part], X: Data, Y: Data) -> tuple[list[Reading], list[Misfit]]:
    """Return every reading that fits, the least odd ones, and what stopped the attempts that do not fit."""
    fits: list[tuple[tuple[bool, int], Reading]] = []
    misfits: list[Misfit] = []
    ways = product(_sequences(parts), _input_readings(X.array.shape), ("out_in", "in_out"), (False, True))
    for sequence, (examples, samples, n_in), weights, folded in ways:
        chains, misfit = _chains(sequence, n_in, weights, folded, X)
        likely = samples in Y.array.shape or samples == Y.array.size
        if misfit and not isinstance(sequence, _Swapped):
            misfits.append(misfit._replace(likely=likely))
        for chain in chains:
            outputs = chain.widths[-1]
            if target_form(Y.array.shape, samples, outputs, examples) is None:
                message = f"{Y} does not fit {samples} examples of {outputs} outputs, as {X} and {sequence[-1]} say"
                misfits.append(Misfit(len(sequence), message, likely))
            else:
                columns = (0, -1) if folded else (None,)
                odd = (isinstance(sequence, _Swapped), _oddness(chain))
                fits += [(odd, Reading(examples, weights, column, samples, chain)) for column in columns]
    least = min((odd for odd, _ in fits), default=None)
    return [reading for odd, reading in fits if odd == least], misfits


def _oddness(chain: Chain) -> int:
    """Count the nameless arrays that would be weights with one axis, or one number as the bias of several units."""
    roles, widths = chain.roles, chain.widths
    return sum(
        role.part.array.ndim < 2 if role.kind == "W" else role.part.array.size < widths[role.layer + 1]
        for role in roles
        if role.part.kind is None
    )


class _Swapped(list[Part]):
    """An order with each bias before its weights, which is only meant where no usual order fits."""


def _sequences(parts: Sequence[Part]) -> Iterator[Sequence[Part]]:
    """Yield the orders that parts may be meant in: by the layers that names tell; as given, and all W before all b."""
    order = {part.layer: i for i, part in enumerate(parts) if part.kind == "W"}
    weights = sum(part.kind == "W" for part in parts)
    if all(part.kind is not None and part.layer in order for part in parts) and len(order) == weights:
        yield sorted(parts, key=lambda part: (order[part.layer], part.kind))
        return
    yield parts
    half = len(parts) // 2
    if len(parts) != 2 * half or not half:
        return
    halves = [part for pair in zip(parts[:half], parts[half:], strict=True) for part in pair]
    if half > 1:
        yield halves
    for usual in (parts, halves) if half > 1 else (parts,):
        yield _Swapped(usual[i ^ 1] for i in range(2 * half))


def _input_readings(shape: Shape) -> list[tuple[str | None, int, int]]:
    """Return (where the examples lie, their number, the number of inputs) for each way to read X."""
    if len(shape) == 2:
        return [("rows", shape[0], shape[1]), ("columns", shape[1], shape[0])]
    if len(shape) > 2:
        return [(None, shape[0], math.prod(shape[1:]))]
    size = math.prod(shape)
    return [(None, 1, size)] if size == 1 else [(None, 1, size), (None, size, 1)]


def _chains(parts: Sequence[Part], n_in: int, weights: str, folded: bool, X: Data) -> tuple[list[Chain], Misfit | None]:
    """Return every chain of widths from the inputs on, or what stopped the last of them."""
    chains = [Chain((n_in,), ())]
    for progress, part in enumerate(parts):
        longer = [chain for start in chains for chain in _longer(start, part, weights, folded)]
        if not longer:
            # With a bias in each W there are no biases besides: an attempt that meets one has got nowhere.
            odd = folded and any(other.kind == "b" or (not other.kind and is_vector(other.array.shape)) for other in parts)
            return [], Misfit(0 if odd else progress, _misfit_message(chains[0], part, X, weights, folded))
        chains = longer[:MOST_CHAINS]
    return chains, None


def _longer(chain: Chain, part: Part, weights: str, folded: bool) -> Iterator[Chain]:
    """Yield a chain with one more part, as a bias and as weights, where it fits.

    A nameless array of one axis or of one entry is a bias wherever it can be one.
    """
    layer, width, shape = len(chain.widths) - 2, chain.widths[-1], part.array.shape
    can_follow = bool(chain.roles) and chain.roles[-1].kind == "W" and not folded
    if part.kind != "W" and can_follow and is_vector(shape) and part.array.size in {1, width}:
        yield Chain(chain.widths, (*chain.roles, Role(part, "b", layer)))
        if len(shape) < 2 or part.array.size == 1:
            return
    if part.kind != "b":
        for n_out, n_in in _matrix_shapes(shape, weights):
            if n_in == width + folded:
                yield Chain((*chain.widths, n_out), (*chain.roles, Role(part, "W", layer + 1)))


def is_vector(shape: Shape) -> bool:
    """Whether at most one axis is longer than 1."""
    return max(shape, default=1) == math.prod(shape)


def _matrix_shapes(shape: Shape, weights: str) -> list[tuple[int, int]]:
    """Return (n_out, n_in) for each way to take an array as weights; a vector is a layer of one output or one input."""
    if len(shape) == 2:
        return [(shape[0], shape[1]) if weights == "out_in" else (shape[1], shape[0])]
    size = math.prod(shape)
    return [(1, size), (size, 1)][: min(size, 2)] if len(shape) < 2 else []


def _misfit_message(chain: Chain, part: Part, X: Data, weights: str, folded: bool) -> str:
    """Say why a part does not follow."""
    if not chain.roles:
        return f"{part} does not fit {X}: no axis of it has the number of inputs, {chain.widths[0]}"
    width, last, vector = chain.widths[-1], chain.roles[-1], is_vector(part.array.shape)
    before = next(role.part for role in reversed(chain.roles) if role.kind == "W")
    if part.kind == "b" and last.kind == "b":
        return f"{part} does not fit {before}: {last.part} is the bias of this layer already"
    if part.kind == "b" or (part.kind is None and vector and last.kind == "W" and not folded):
        found = f"{part.array.size} entries" if vector else "more than one axis"
        way = {"out_in": "(out, in)", "in_out": "(in, out)"}[weights]
        return (
            f"{part} does not fit {before}: the layer has {width} units, and {part.label} {found} "
            f"({before.label} read as {way}: {chain.widths[-2]} values enter it)"
        )
    expected = {"out_in": f"(units, {width + folded})", "in_out": f"({width + folded}, units)"}[weights]
    entering = next(
        (role.part for role in chain.roles if role.kind == "W" and chain.widths[role.layer] == part.array.size), None
    )
    tied = used_again(entering.label) if vector and entering is not None else ""
    return f"{part} does not follow {before}: expected the shape {expected}{tied}"


def misfit_of_inputs(parts: Sequence[Part], X: Data, Y: Data) -> str | None:
    """Say that X is at fault, where the parameters fit each other and Y; None where they do not."""
    orders = [sequence for sequence in _sequences(parts) if not isinstance(sequence, _Swapped)]
    for folded, sequence, weights in product((False, True), orders, ("out_in", "in_out")):
        first = next((part for part in sequence if part.kind != "b"), sequence[0])
        for examples, samples, n_in in _input_readings(X.array.shape):
            for needed in {shape[1] - folded for shape in _matrix_shapes(first.array.shape, weights)} - {n_in}:
                chains, _ = _chains(sequence, needed, weights, folded, X)
                if any(target_form(Y.array.shape, samples, chain.widths[-1], examples) for chain in chains):
                    gives = f"{n_in} for each of {samples} examples" if samples > 1 else f"{n_in}"
                    ones = _ones(X, n_in) if n_in > needed else ""
                    return f"{first} does not fit {X}: it takes {needed} inputs, and {X.name} gives {gives}{ones}"
    return None


def _ones(X: Data, n_in: int) -> str:
    """Say which of the inputs is 1 in every example, as that of a bias in the weights."""
    if X.array.ndim != 2:
        return ""
    axis = 1 if X.array.shape[1] == n_in else 0
    ones = np.flatnonzero((X.array == 1).all(axis=1 - axis))
    if not ones.size:
        return ""
    where = f"{X.name}[:, {ones[0]}]" if axis else f"{X.name}[{ones[0]}]"
    return f"; {where} holds only ones: leave it out where the biases are parameters of their own"


def target_form(shape: Shape, samples: int, outputs: int, examples: str | None) -> str | None:
    """Return how Y is to be read: "rows", "columns", "flat" or "classes"; None where its shape does not fit.

    Where Y is square its examples lie as those of X do.
    """
    if len(shape) == 2:
        forms = {"rows": (samples, outputs), "columns": (outputs, samples)}
        for form in ("columns", "rows") if examples == "columns" else ("rows", "columns"):
            if shape == forms[form]:
                return form
    size = math.prod(shape)
    stacked = len(shape) > 2 and shape[0] == samples
    if size == samples * outputs and (stacked or (len(shape) < 2 and 1 in {samples, outputs})):
        return "flat"
    return "classes" if size == samples and is_vector(shape) else None
