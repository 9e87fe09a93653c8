"""A wrong backward pass named: the smallest edit of its source that makes it right, and what holds exactly on its gradients.

Called by `check`, once something is wrong. An edit must be right at the given point, entry by entry, and at the other points,
along directions of each tensor.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from fastgrad.errors import InputError
from fastgrad.functions import repair
from fastgrad.functions.arguments import Array
from fastgrad.functions.claim import ROUNDINGS
from fastgrad.functions.relations import Compared, Numbers, related
from fastgrad.layers.arguments import Inputs, Outputs, is_array
from fastgrad.layers.calling import Pair, gradients_by_name
from fastgrad.layers.upstream import Upstream
from fastgrad.report.formatting import listed
from fastgrad.report.parts import Finding

Measured = tuple[Array, Array, Array] | None
"""Directions, the slopes along them, and their bounds; None where nothing can be measured."""


@dataclass(frozen=True)
class Place:
    """A point at which changed backward functions are called: what forward made of it, kept, since they change alone.

    Attributes
    ----------
    told : str
        How the point is spoken of.
    measure : callable
        What measures slopes there, of one tensor after the other.
    """

    told: str
    inputs: Inputs
    outputs: Outputs
    weights: Upstream
    measure: Callable[[], Measured]

    def call(self, subject: Pair, names: Sequence[str], reset: Callable[[], object]) -> repair.Call:
        """Return what calls a backward function here and returns the gradients of these inputs as one vector."""

        def call(backward: Callable[..., Any]) -> Array:
            reset()
            values = [copy.copy(value) for value in self.inputs.values]
            upstream = [None if part is None else part.copy() for part in self.weights.parts]
            found = subject.calling(backward).gradients(values, copy.deepcopy(self.outputs), upstream)
            return np.concatenate([self._flat(found[name], name) for name in names])

        return call

    def _flat(self, gradient: Any, name: str) -> Array:
        array, like = np.asarray(gradient, dtype=np.float64), self.inputs.values[self.inputs.names.index(name)]
        if array.size != np.size(like):
            raise ValueError(f"the gradient of {name} has another size")
        return array.ravel()


@dataclass(frozen=True)
class Wrong:
    """A wrong backward pass: the gradients judged, by name, their numerical values and bounds, infinite where nothing is known.

    The places are the given one and the others, in this order.
    """

    subject: Any
    claimed: Mapping[str, Array]
    numerical: Array
    bound: Array
    places: Sequence[Place]
    reset: Callable[[], object]
    frozen: Sequence[str]
    unit_roundoff: float

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """The places where tensors begin in one vector of all, and its end."""
        return tuple(accumulate((array.size for array in self.claimed.values()), initial=0))


def named(wrong: Wrong) -> tuple[Finding, ...]:
    """Return the edits that make a backward pass right, and what holds on its gradients whatever it looks like."""
    return (*_repairs(wrong), *related(_compared(wrong), _lengths(wrong.places[0])))


def _compared(wrong: Wrong) -> list[Compared]:
    parts = zip(wrong.claimed.items(), pairwise(wrong.starts), strict=True)
    return [
        Compared(name, array, *(flat[start:stop].reshape(array.shape) for flat in (wrong.numerical, wrong.bound)))
        for (name, array), (start, stop) in parts
    ]


def _lengths(place: Place) -> Numbers:
    """Return the lengths that the shapes of inputs and outputs know."""
    known: dict[float, str] = {}
    arrays = [(name, value) for name, value in zip(place.inputs.names, place.inputs.values, strict=True) if is_array(value)]
    for name, value in [*arrays, *(("the output", array) for array in place.outputs.arrays)]:
        for axis, length in enumerate(np.shape(value)):
            if length > 2:
                known.setdefault(float(length), f"the length of axis {axis} of {name}")
    return Numbers(known)


def _repairs(wrong: Wrong) -> list[Finding]:
    """Return the edits of backward's source that make it right at every place; of an object's methods none is sought."""
    subject, names = wrong.subject, list(wrong.claimed)
    if not isinstance(subject, Pair):
        return []
    here, *others = wrong.places
    rounding = ROUNDINGS * wrong.unit_roundoff
    points: list[repair.Point] = [
        repair.Entries(here.call(subject, names, wrong.reset), wrong.starts, wrong.numerical, wrong.bound),
        *(
            repair.Slopes(place.call(subject, names, wrong.reset), _starts(place, names), place.measure, rounding)
            for place in others
        ),
    ]
    try:
        found = repair.repairs(subject.backward, points, _keys(wrong), [subject.forward])
    except InputError:  # what runs as it was written, and not statement by statement, is not searched
        return []
    sizes = [array.size for array in wrong.claimed.values()]
    told = listed([place.told for place in others])
    return [repair.finding(one, names, sizes, told) for one in found]


def _starts(place: Place, names: Sequence[str]) -> tuple[int, ...]:
    sizes = (np.size(place.inputs.values[place.inputs.names.index(name)]) for name in names)
    return tuple(accumulate(sizes, initial=0))


def _keys(wrong: Wrong) -> list[Any]:
    """Return under which key, or at which place, backward returns each gradient; None where it returns one."""
    returned: list[Any] = []

    def watched(*places: Any, **keywords: Any) -> Any:
        returned.append(wrong.subject.backward(*places, **keywords))
        return returned[-1]

    inputs = wrong.places[0].inputs
    wrong.places[0].call(wrong.subject, list(wrong.claimed), wrong.reset)(watched)
    if isinstance(returned[0], Mapping):
        found = gradients_by_name({key: key for key in returned[0]}, inputs, wrong.frozen)
    elif isinstance(returned[0], list | tuple):
        found = gradients_by_name(tuple(range(len(returned[0]))), inputs, wrong.frozen)
    else:
        found = dict.fromkeys(inputs.names)
    return [found[name] for name in wrong.claimed]
