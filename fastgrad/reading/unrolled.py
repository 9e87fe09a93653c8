"""All parameters in one vector: the ways in which the arrays of a network may lie in it, and the arrays as views of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise, product
from typing import Any

import numpy as np

from fastgrad.errors import InputError
from fastgrad.foreign import is_array, like
from fastgrad.reading.arrays import Raw, number_array, size_of
from fastgrad.reading.containers import Leaf, opened, rebuilt
from fastgrad.reading.description import Description, layout_words, unrolled_words
from fastgrad.reading.layout import is_vector
from fastgrad.reading.names import Kind, Part


@dataclass(frozen=True)
class Arrangement:
    """One way: how each W was unrolled, which way round it was, and where its bias lies."""

    sizes: tuple[int, ...]
    unrolled: str
    weights: str
    order: str
    """"layers" (W1, b1, W2, …), "weights_first", "first" or "last" (the bias is a column of W), or "none"."""

    @property
    def settles(self) -> dict[str, str | None]:
        """The items of a description that would ask for this way."""
        folded = self.order in ("first", "last")
        words = self.unrolled if folded or self.order == "none" else f"{self.unrolled},{self.order}"
        return {"unrolled": words, "bias_column": self.order if folded else None}

    def views(self, vector: Raw) -> dict[tuple[int, Kind], Raw]:
        """Return the arrays in a vector by layer and kind, in the order W1, b1, W2, …."""
        found: dict[tuple[int, Kind], Raw] = {}
        start = 0
        for layer, kind, shape in self._blocks():
            stop = start + int(np.prod(shape))
            order = "F" if self.unrolled == "columns" else "C"
            found[layer, kind] = vector[start:stop].reshape(shape, order=order)  # type: ignore[call-overload]
            start = stop
        return dict(sorted(found.items()))

    def _blocks(self) -> Iterator[tuple[int, Kind, tuple[int, ...]]]:
        """Yield layer, kind and shape in the order of the vector."""
        layers = range(len(self.sizes) - 1)
        has_own_bias = self.order in ("layers", "weights_first")
        kinds: tuple[Kind, ...] = ("W", "b") if has_own_bias else ("W",)
        for first, second in product(*(kinds, layers) if self.order == "weights_first" else (layers, kinds)):
            layer, kind = (second, first) if self.order == "weights_first" else (first, second)
            n_in, n_out = self.sizes[layer] + (self.order in ("first", "last")), self.sizes[layer + 1]
            matrix = (n_out, n_in) if self.weights == "out_in" else (n_in, n_out)
            yield layer, kind, matrix if kind == "W" else (n_out,)


def arrangements(description: Description, size: int) -> list[Arrangement]:
    """Return the ways that a vector of so many numbers may be meant.

    Raises
    ------
    InputError
        If layers of these sizes have another number of parameters.
    """
    sizes, (weights, all_of_them) = description.sizes or (), lengths(description)
    if size not in (weights, all_of_them):
        raise InputError(
            f"layers of the sizes {', '.join(map(str, sizes))} have {all_of_them:,} parameters, or {weights:,} without "
            f"biases; found {size:,}"
        )
    words, layout = unrolled_words(description), layout_words(description)
    orders = ["none"] if size == weights else ["layers", "weights_first", "first", "last"]
    if description.bias_column is not None:
        orders = [order for order in orders if order == description.bias_column]
    elif words & {"layers", "weights_first"}:
        orders = [order for order in orders if order in words]
    return [
        Arrangement(sizes, unrolled, weights_axes, order)
        for order, unrolled, weights_axes in product(orders, ("rows", "columns"), ("out_in", "in_out"))
        if words & {unrolled} or not words & {"rows", "columns"}
        if layout & {weights_axes} or not layout & {"out_in", "in_out"}
    ]


def weights_first(description: Description, size: int) -> Description:
    """Return the description of numbers that were put in a row, all weights before all biases."""
    words = unrolled_words(description) - {"layers"} | ({"weights_first"} if size != lengths(description)[0] else set())
    return replace(description, unrolled=",".join(sorted(words)) or None)


def lengths(description: Description) -> tuple[int, int]:
    """Return how many weights layers of the given sizes have, and how many weights and biases."""
    sizes = description.sizes or ()
    weights = sum(n_in * n_out for n_in, n_out in pairwise(sizes))
    return weights, weights + sum(sizes[1:])


def is_one_vector(value: Any) -> bool:
    """Tell whether something is one array with a single axis longer than 1."""
    return is_array(value) and is_vector(np.shape(value))


def one_by_one(value: Any, what: str) -> list[Leaf]:
    """Return parameters that are one number each, w1, w2, … and then b1, b2, …; none where they are not so."""
    if is_array(value):
        return []
    held = opened(value, what, gradients=what == "gradients")
    leaves = [leaf for leaf in held.leaves if leaf.said.kind is not None and leaf.value is not None]
    if not held.named or any(size_of(leaf.value) != 1 or not _is_numbered(leaf) for leaf in leaves):
        return []
    return sorted(leaves, key=lambda leaf: (leaf.said.kind, leaf.said.layer))


def _is_numbered(leaf: Leaf) -> bool:
    return len(leaf.said.layer) == 1 and not leaf.said.layer[0][2]


def as_vector(value: Any, what: str) -> Raw:
    """Return all parameters, or all of their gradient, as an array of one axis.

    Raises
    ------
    InputError
        If they are neither one vector nor one number each.
    """
    if is_one_vector(value):
        return number_array(what, value).reshape(-1)
    numbers = one_by_one(value, what)
    if not numbers:
        raise InputError(
            f"sizes are for parameters that are one vector, or one number each under names such as w1, w2, b1; the {what} are "
            "neither: leave sizes out"
        )
    return np.concatenate([number_array(leaf.label, leaf.value).reshape(1) for leaf in numbers])


def vector_parts(arrangement: Arrangement, parameters: Raw, gradient: Raw | None) -> list[Part]:
    """Return the arrays in a vector as parts, with those in a vector of the gradient."""
    parts = [
        Part(f"{kind}{layer + 1}", array, None, kind, ((2, layer + 1, ""),))
        for (layer, kind), array in arrangement.views(parameters).items()
    ]
    if gradient is None:
        return parts
    claims = arrangement.views(gradient).values()
    return [replace(part, gradient=g, gradient_label=f"d{part.label}") for part, g in zip(parts, claims, strict=True)]


def put_back(original: Any, arrays: dict[str, Raw], arrangement: Arrangement) -> Any:
    """Return a vector like the given one with other arrays in it, by the labels of its parts."""
    numbers = one_by_one(original, "parameters")
    vector = np.empty(len(numbers) or size_of(original), dtype=np.result_type(*arrays.values()))
    for (layer, kind), place in arrangement.views(vector).items():
        place[...] = arrays[f"{kind}{layer + 1}"]
    if numbers:
        found = {leaf.label: number.reshape(np.shape(leaf.value)) for leaf, number in zip(numbers, vector, strict=True)}
        return rebuilt(original, found, "parameters")
    return like(original, vector.reshape(np.shape(original)))
