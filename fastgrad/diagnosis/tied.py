"""Weights that are one array under several names, of which a gradient has the part of one use and leaves out another's.

Called by walk where tied weights were judged as one array, before anything else is looked for: what such a gradient lacks is
itself a gradient, and is put in before the rest is explained.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from itertools import combinations
from typing import NamedTuple

from fastgrad.diagnosis.codes import CODES
from fastgrad.judging.verdict import judge
from fastgrad.model.network import Array, Problem, Tensor
from fastgrad.model.rounding import penalty_gradient
from fastgrad.model.ties import Place, ties
from fastgrad.numerical import Numerical
from fastgrad.report.formatting import listed
from fastgrad.report.parts import Finding

MOST_USES = 4
"""Names of one array of which every part may be missing."""


class _Part(NamedTuple):
    """The name of a use, and its share of the gradient in the order of another name's entries."""

    name: str
    values: Array


def parts_left_out(problem: Problem, numerical: Numerical, wrong: Collection[str]) -> tuple[Problem, tuple[Finding, ...]]:
    """Return the problem with what the wrong gradients of tied weights leave out put in, and what that is.

    The claim of `problem` has had the parts of the other uses taken off: one that was never in it is missing now.
    """
    found: list[Finding] = []
    for tensor, uses in _uses(problem).items():
        completed = _completed(problem, numerical, tensor, uses) if tensor.name in wrong else None
        if completed is not None:
            problem, left_out = completed
            found.append(_finding(tensor, left_out))
    return problem, tuple(found)


def _uses(problem: Problem) -> dict[Tensor, list[Place]]:
    """Return of each name that is judged all the uses of its array, its own the first."""
    found: dict[Tensor, list[Place]] = {}
    for tie in ties(problem):
        for here, there in (tie, tie.turned):
            own = Place(here.tensor, here.transposed)
            found.setdefault(here.tensor, [own]).append(Place(there.tensor, there.transposed))
    return {tensor: uses for tensor, uses in found.items() if tensor.gradient_name and len(uses) <= MOST_USES}


def _completed(
    problem: Problem, numerical: Numerical, tensor: Tensor, uses: list[Place]
) -> tuple[Problem, tuple[str, ...]] | None:
    """Return the problem with those parts in a gradient with which it is right, and the names of these uses."""
    assert problem.claimed is not None
    for gradient in (numerical.values, numerical.values - penalty_gradient(problem)):
        for missing in _some(_parts(uses, gradient)):
            claimed = problem.claimed.copy()
            claimed[tensor.start : tensor.stop] += sum(part.values for part in missing)
            other = replace(problem, claimed=claimed)
            verdicts = {one.name: one.verdict for one in judge(other, numerical).tensors}
            if verdicts[tensor.name] != "wrong":
                return other, tuple(part.name for part in missing)
    return None


def _parts(uses: list[Place], gradient: Array) -> list[_Part]:
    return [_Part(use.name, use.seen_from(uses[0], gradient)) for use in uses]


def _some(parts: list[_Part]) -> Iterator[tuple[_Part, ...]]:
    """Yield some of the parts, but not all: first those of other uses, one alone before several."""
    own, *others = parts
    for among in (others, [own, *others]):
        for count in range(1, len(parts)):
            yield from combinations(among, count)


def _finding(tensor: Tensor, left_out: tuple[str, ...]) -> Finding:
    """Put what is missing into words."""
    entry, name = CODES["tied.part"], tensor.gradient_name or tensor.name
    through = listed([*left_out])
    if left_out == (tensor.name,):
        through = f"{tensor.name} itself: it has that of another name of the same array alone"
    else:
        through = f"{through}, which {'is' if len(left_out) == 1 else 'are'} the same array"
    return Finding(
        code="tied.part",
        tensor=name,
        layer=tensor.layer + 1,
        sentence=entry.sentence.format(parameter=tensor.name, other=through),
        repair=entry.repair.format(grad=name),
        formula="",
        explains=tensor.size,
        entries=tensor.size,
        residual=0.0,
        concerns=(name,),
        title=entry.title,
    )
