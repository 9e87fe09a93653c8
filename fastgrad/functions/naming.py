"""A wrong gradient named: the smallest edit of its source that makes it right, and what holds exactly on its wrong entries.

Called by `check`, once something is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from fastgrad.errors import InputError
from fastgrad.functions import repair
from fastgrad.functions.arguments import Array, Layout
from fastgrad.functions.claim import ROUNDINGS, Claim
from fastgrad.functions.evaluation import Function
from fastgrad.functions.extrapolation import direction_prober, extrapolate
from fastgrad.functions.noise import Noise, random_signs, scale_of
from fastgrad.functions.relations import Compared, Numbers, related
from fastgrad.functions.step import COMPLEX_STEP
from fastgrad.report.parts import Finding

DIRECTIONS = 3
"""Directions of each part along which a repair is confirmed at a fresh point; one would do, as no error is at a right angle to
a direction drawn after it but by chance."""

MOVES = (0.5, 0.05, 0.005)
"""How far the fresh point is, as a share of each number: less where f cannot be evaluated there."""

ERRORS = 6.0
"""Estimated errors of a slope within which a gradient is right."""


class Wrong(NamedTuple):
    """A wrong gradient, and what it was held against; where nothing is known of an entry its bound is infinite."""

    f: Callable[..., Any]
    gradient: Any
    function: Function
    claim: Claim
    noise: Noise
    seed: int
    numerical: Array
    bound: Array
    scheme: str


def named(*given: Any) -> tuple[Finding, ...]:
    """Return what makes a `Wrong` gradient right, of which the fields are given, and what is to be said of its arrays alone."""
    wrong = Wrong(*given)
    layout = wrong.function.layout
    compared = _compared(layout, wrong.claim.values, wrong.numerical, wrong.bound)
    if not callable(wrong.gradient):
        return related(compared, lengths(layout))
    fresh = _Fresh(wrong)
    relations = related(compared, lengths(layout), fresh.holds)
    repairs = _repairs(wrong, fresh)
    repaired = {name for one in repairs for name in one.concerns}
    # Where the cause is known, nobody needs a place, or a guess.
    return (*repairs, *(one for one in relations if one.confident or not repaired.issuperset(one.concerns)))


def _compared(layout: Layout, claimed: Array, numerical: Array, bound: Array) -> list[Compared]:
    """Return each part of x with both of its gradients in its own shape."""
    parts = zip(pairwise(layout.starts), layout.shapes, strict=True)
    return [
        Compared(layout.part_name(place), *(flat[start:stop].reshape(shape) for flat in (claimed, numerical, bound)))
        for place, ((start, stop), shape) in enumerate(parts)
    ]


def lengths(layout: Layout) -> Numbers:
    """Return the numbers that the shapes of x know."""
    known: dict[float, str] = {}
    for place, shape in enumerate(layout.shapes):
        for axis, length in enumerate(shape):
            if length > 2:
                known.setdefault(float(length), f"the length of axis {axis} of {layout.part_name(place)}")
    return Numbers(known)


def _repairs(wrong: Wrong, fresh: _Fresh) -> list[Finding]:
    """Return the edits of the gradient's source that make it right here and at a fresh point."""
    function, layout = wrong.function, wrong.function.layout
    starts, x = tuple(layout.starts), function.x
    points = (
        repair.Entries(_caller(function, lambda: x), starts, wrong.numerical, wrong.bound),
        fresh.slopes,
    )
    keys = layout.names if layout.kind in ("dict", "list", "tuple") else (None,)
    found = repair.repairs(wrong.gradient, points, keys, [wrong.f])
    names = [layout.part_name(part) for part in range(len(layout.names))]
    sizes = [stop - start for start, stop in pairwise(starts)]
    return [repair.finding(one, names, sizes) for one in found]


def _caller(function: Function, point: Callable[[], Array]) -> repair.Call:
    """Return what calls a gradient with a copy of a point."""

    def call(gradient: Callable[..., Any]) -> Array:
        function.reset()
        return function.layout.flatten(gradient(function.layout.build(point().copy())), "the gradient")

    return call


class _Fresh:
    """A fresh point, and the slopes there along random directions of each part."""

    def __init__(self, wrong: Wrong) -> None:
        self.wrong, self.x = wrong, wrong.function.x

    @cached_property
    def slopes(self) -> repair.Slopes:
        """The slopes as what a gradient is held against."""
        function, rounding = self.wrong.function, ROUNDINGS * self.wrong.claim.unit_roundoff
        return repair.Slopes(_caller(function, self.point), tuple(function.layout.starts), lambda: self.measured, rounding)

    def holds(self, undone: Mapping[str, Callable[[Array], Array]], sources: Mapping[str, str]) -> bool:
        """Whether the claims of some parts here, undone, have the slopes that were measured."""
        layout = self.wrong.function.layout
        names = [layout.part_name(place) for place in range(len(layout.names))]
        try:
            claim = self.slopes.call(self.wrong.gradient)
        except Exception:  # the gradient may have no value there
            return False
        right, pairs = claim.copy(), list(zip(pairwise(layout.starts), layout.shapes, strict=True))
        for name, undo in undone.items():
            (start, stop), shape = pairs[names.index(sources[name])]
            (into, end), _ = pairs[names.index(name)]
            right[into:end] = undo(claim[start:stop].reshape(shape)).ravel()
        agrees = self.slopes.agrees(right)
        return all(agrees[names.index(name)] for name in undone)

    def point(self) -> Array:
        """Return the point, found once somebody asks for it."""
        return self.x if self.measured else self.wrong.function.x

    @cached_property
    def measured(self) -> tuple[Array, Array, Array] | None:
        """The directions, slopes and bounds at the first point at which f has a value."""
        function = self.wrong.function
        for move in MOVES:
            self.x = self._moved(move)
            try:
                with function.elsewhere(self.x):
                    return self._slopes()
            except InputError:
                continue
        return None

    def _moved(self, move: float) -> Array:
        """Return x with every number changed by a share, and moved a little: signs stay, where they are not small."""
        draw = np.random.default_rng([self.wrong.seed, 15])
        x = self.wrong.function.x
        size = float(np.sqrt(np.mean(x * x))) if x.any() else 1.0
        moved = x * np.exp(move * draw.uniform(-1.0, 1.0, x.size)) + 0.1 * move * np.minimum(size, 1.0) * draw.uniform(
            -1.0, 1.0, x.size
        )
        return np.asarray(np.clip(moved, self.wrong.function.lower, self.wrong.function.upper))

    def _slopes(self) -> tuple[Array, Array, Array]:
        """Return directions, the slopes along them and their bounds."""
        function, claim = self.wrong.function, self.wrong.claim
        directions = self._directions()
        rounding = ROUNDINGS * claim.unit_roundoff * self.wrong.noise.terms
        if self.wrong.scheme == "complex":
            found = [function.along_imaginary(direction, COMPLEX_STEP).imag / COMPLEX_STEP for direction in directions]
            return directions, np.array(found), np.full(len(found), rounding)
        moved = np.count_nonzero(directions, axis=1)
        slopes = extrapolate(function, Noise(function), direction_prober(function, directions), moved**-0.5)
        plain = np.isfinite(slopes.value) & ~slopes.kink & ~slopes.unsettled
        return directions[plain], slopes.value[plain], rounding + ERRORS * slopes.error[plain]

    def _directions(self) -> Array:
        layout, scale = self.wrong.function.layout, scale_of(self.x)
        signs = random_signs(self.wrong.seed + 2, DIRECTIONS, self.x.size) * scale
        rows = []
        for start, stop in pairwise(layout.starts):
            part = np.zeros_like(signs)
            part[:, start:stop] = signs[:, start:stop]
            rows += [self.wrong.function.inward(row) for row in part]
        return np.array(rows)
