"""What holds exactly between a wrong gradient and the numerical one, told from arrays alone.

A factor, a transpose, an exchange … Called by `check`, and by whatever else has compared a claim of several tensors with
numbers; nothing is known here of functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from fastgrad.functions.arguments import Array
from fastgrad.functions.relations.evidence import Compared, Relation, Weight, weigh
from fastgrad.functions.relations.numbers import Numbers
from fastgrad.functions.relations.places import places, zeros
from fastgrad.functions.relations.slices import per_slice
from fastgrad.functions.relations.whole import exchanged, whole
from fastgrad.functions.relations.words import finding
from fastgrad.report.parts import Finding

__all__ = ["Compared", "Elsewhere", "Numbers", "related"]

_MOST_ENTRIES = 1 << 20
"""Entries of a tensor in which relations are looked for; hundreds of arrays of that size are compared."""


_Found = tuple[Compared, Relation, Weight]

Elsewhere = Callable[[Mapping[str, Callable[[Array], Array]], Mapping[str, str]], bool]
"""Tells whether claims, undone, are right at a fresh point: from names to what undoes a claim, and to whose claim that is."""


def related(compared: Sequence[Compared], numbers: Numbers, elsewhere: Elsewhere | None = None) -> tuple[Finding, ...]:
    """Return what holds on the wrong tensors, each as a finding; nothing for those of which nothing simple holds.

    Parameters
    ----------
    compared : sequence of Compared
        All tensors, the right ones too, for one may hold another's gradient.
    numbers : Numbers
        The numbers of the problem, of which factors may be made.
    elsewhere : callable, optional
        Where the gradient can be asked for at a fresh point: a relation that can be undone is certain only if it is so there.
    """
    with np.errstate(all="ignore"):  # a claim may be anything; what comes to nan or beyond all numbers explains nothing
        return tuple(_confirmed(group, finding(group, numbers), elsewhere) for group in _groups(compared))


def _confirmed(group: list[_Found], found: Finding, elsewhere: Elsewhere | None) -> Finding:
    """Return a finding, no longer certain if a fresh point contradicts it."""
    undone = {one.name: relation.undo for one, relation, _ in group if relation.undo is not None}
    if elsewhere is None or not found.confident or len(undone) < len(group):
        return found
    names = [one.name for one, _, _ in group]
    if found.code == "relation.other":
        return found  # what is right there is nowhere
    # Of two that are exchanged, the right gradient of each is undone from the other's claim.
    claims = names[::-1] if found.code == "relation.exchanged" else names
    sources = dict(zip(names, claims, strict=True))
    is_so = elsewhere({name: undone[source] for name, source in sources.items()}, sources)
    return found if is_so else replace(found, confident=False)


def _groups(compared: Sequence[Compared]) -> list[list[_Found]]:
    """Return what was found, tensors together of which the same is to be said."""
    usable = [one for one in compared if 0 < one.claimed.size <= _MOST_ENTRIES]
    wrong = [one for one in usable if one.is_wrong.any()]
    pairs = exchanged(wrong)
    paired = {one.name for pair in pairs for one, _, _ in pair}
    single = [found for one in wrong if one.name not in paired for found in _best(one, usable)]
    return [*pairs, *_alike(single)]


def _best(one: Compared, all_tensors: Sequence[Compared]) -> list[_Found]:
    """Return the simplest relation that the entries prove; else the simplest that they allow; else where the errors are."""
    allowed: list[_Found] = []
    for family in (whole(one, all_tensors), zeros(one), per_slice(one), places(one)):
        for relation in family:
            weight = weigh(one, relation)
            if weight is not None and weight.is_proof:
                return [(one, relation, weight)]
            if weight is not None and weight.entries and one.claimed.size > 1:
                allowed.append((one, relation, weight))
    return allowed[:1]


def _alike(found: list[_Found]) -> list[list[_Found]]:
    """Put tensors together of which the same is to be said."""
    groups: list[list[_Found]] = []
    for each in found:
        for group in groups:
            if _is_same(group[0], each):
                group.append(each)
                break
        else:
            groups.append([each])
    return groups


def _is_same(first: _Found, second: _Found) -> bool:
    one, other = first[1], second[1]
    if one.code != other.code or one.code not in ("relation.factor", "relation.zero") or one.number is None:
        return False
    is_equal = other.number is not None and abs(one.number - other.number) <= one.slack + other.slack
    return is_equal and first[2].is_proof == second[2].is_proof
