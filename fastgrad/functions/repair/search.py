"""The search: edits in the order of how usual they are, each run at the point; what agrees must agree at the other points."""

from __future__ import annotations

import ast
import copy
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.functions.arguments import Array
from fastgrad.functions.repair import show
from fastgrad.functions.repair.edits import Edit, Slot, edits
from fastgrad.functions.repair.flow import Flow
from fastgrad.functions.repair.points import Entries, Point
from fastgrad.functions.repair.program import Program, compiled, programs_of
from fastgrad.functions.repair.scope import Scope, TooLargeError
from fastgrad.functions.repair.source import NotSearchedError, methods_called, parts_of, reached, unwrapped

TIERS = 5
"""Degrees of how unusual an edit is."""

SECONDS = 3.0
"""Work that is done at most, in seconds of an ordinary machine, however fast this one is: all try the same edits."""

PER_LINE, PER_NUMBER, PER_EDIT = 0.25e-6, 1e-9, 100e-6
"""Seconds of a line of Python, of a number that a run's arrays hold, for each line that handles them, of an edit itself."""

MOST_EDITS, LEAST_EDITS = 12_000, 100
"""Edits that are tried at most, and below which a search is not worth its time."""

SLOWER = 8.0
"""Times slower than estimated that a run may be before its own time counts; on an idle machine it is about as fast."""

MOST_MISTAKES = 3
"""Mistakes that are repaired one after the other."""

LEAST_ENTRIES, LEAST_BITS = 2, 55.0
"""Wrong entries that a repair must explain, and bits: the errors, of the size that they are, fall within the bounds by a chance
of 2 to the minus 55, and some ten thousand edits are tried."""

SHOWN = 3
"""Repairs that cannot be told apart and are shown side by side ..."""

FOUND, AFTER = 8, 500
"""... the most usual of so many, or of those among so many edits after the first."""


@dataclass(frozen=True)
class Repair:
    """An edit that makes some parts of a gradient right, at all points that were tried.

    Attributes
    ----------
    parts : tuple of int
        Which parts of the gradient become right.
    path, line : str and int
        Where the statement stands.
    theirs, repaired : str
        The statement as it is, and as it is right.
    others : tuple of str
        Other statements that are right as well, with their places.
    """

    parts: tuple[int, ...]
    path: str
    line: int
    theirs: str
    repaired: str
    others: tuple[tuple[str, int, str], ...] = ()


def repairs(
    backward: Callable[..., Any], points: Sequence[Point], keys: Sequence[Any], kept: Sequence[Callable[..., Any]] = ()
) -> tuple[Repair, ...]:
    """Return the smallest edits of a backward function's source that make its gradients right; nothing where none is found.

    Parameters
    ----------
    backward : callable
        The user's function; of an object whose gradients are read from it, the function of its class.
    points : sequence of Point
        The first an `Entries`: there edits are searched. What is right there must be right at all the others, of which there
        must be one at least: a fresh point, another number of examples.
    keys : sequence
        Of each part of the gradient the key or the place under which the function returns it; None where it returns one.
    kept : sequence of callable
        Functions that are right: the forward pass. These, and what they call, are not changed.
    """
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return _Search(backward, points, keys, kept).run()
    except (NotSearchedError, TooLargeError):
        return ()


class _Search:
    """One search: the programs, what they give, and the edits found so far."""

    def __init__(
        self, backward: Callable[..., Any], points: Sequence[Point], keys: Sequence[Any], kept: Sequence[Callable[..., Any]]
    ) -> None:
        function, first, keywords = unwrapped(backward)
        self.parts = parts_of(function)
        self.programs = programs_of(self.parts)
        self.root = self.programs[function]
        self.first, self.keywords = first, keywords
        self.entries, self.others = points[0], points[1:]
        self.keys = keys
        if not self.others or not isinstance(self.entries, Entries):
            raise NotSearchedError("one point proves nothing")
        theirs, ours = self.entries.call(backward), self._watched()
        while self._meets_methods():
            ours = self._watched()
        if not np.array_equal(theirs, ours, equal_nan=True):
            raise NotSearchedError("its source is not what runs")
        self.claim = ours
        kept_functions = reached(kept)
        self.editable = [program for one, program in self.programs.items() if one not in kept_functions]
        self.scopes = {id(program): Scope(program) for program in self.editable if program.calls}
        self.left = self._most_edits()

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Run the function, changed as it is at the moment."""
        return self.root(*copy.deepcopy(self.first), *arguments, **{**self.keywords, **keywords})

    def run(self) -> tuple[Repair, ...]:
        """Repair one mistake after the other."""
        found: list[Repair] = []
        for _ in range(MOST_MISTAKES):
            right = self.entries.agrees(self.claim)
            if right.all():
                break
            repair = self._one(right)
            if repair is None:
                break
            found.append(repair)
        return tuple(found)

    def _one(self, right: NDArray[np.bool_]) -> Repair | None:
        """Return the most usual edit that makes all of the gradient right, else a part of it; it stays made."""
        best: list[_Tried] = []
        whole: list[_Tried] = []
        for tier in range(TIERS):
            for tried in self._tier(tier, right):
                if tried.right.all() and not whole:
                    self.left = min(self.left, AFTER)
                (whole if tried.right.all() else best).append(tried)
                if len(whole) == FOUND:
                    break
            if whole or self.left <= 0:
                break
        chosen = whole or sorted(best, key=lambda one: -int(one.right.sum()))[:1]
        return self._made(chosen, right) if chosen else None

    def _tier(self, tier: int, right: NDArray[np.bool_]) -> Iterator[_Tried]:
        """Yield the edits of a tier that make more of the gradient right, and none of it wrong, at every point."""
        for program, index, edit, statement in self._edits(tier, right):
            if self.left <= 0:
                return
            self.left -= 1
            with _Made(program, index, edit) as is_made:
                if is_made:
                    now = self._right_now(self.entries)
                    if now is not None and (now & ~right).any() and not (right & ~now).any() and self._is_proof(now & ~right):
                        now = self._confirmed(now)
                        if now is not None and (now & ~right).any() and not (right & ~now).any():
                            yield _Tried(program, index, edit, statement, now)

    def _confirmed(self, now: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
        """Return what is right at all the other points as well."""
        for point in self.others:
            there = self._right_now(point)
            if there is None:
                return None
            now = now & there
        return now

    def _is_proof(self, repaired: NDArray[np.bool_]) -> bool:
        """Whether the entries that become right could not have become so by chance."""
        assert isinstance(self.entries, Entries)
        found = [self.entries.evidence(self.claim, part) for part in np.flatnonzero(repaired).tolist()]
        return sum(count for count, _ in found) >= LEAST_ENTRIES and sum(count * bits for count, bits in found) >= LEAST_BITS

    def _right_now(self, point: Point) -> NDArray[np.bool_] | None:
        """Return which parts are right at a point, with the edit that is made; None where it fails."""
        try:
            gradient = point.call(self)
        except KeyboardInterrupt:
            raise
        except BaseException:
            return None
        return point.agrees(gradient)

    def _edits(self, tier: int, right: NDArray[np.bool_]) -> Iterator[tuple[Program, int, Edit, ast.stmt]]:
        """Yield the edits of a tier, those of statements that only the wrong parts depend on first."""
        ranks = self._ranks(right)
        chosen: list[tuple[int, Program, int, Edit, ast.stmt]] = []
        for program in self.editable:
            if program.calls:
                scope = self.scopes[id(program)]
                for index, statement, slot, loops in _places(program):
                    if id(statement) in ranks:
                        some = (edit for edit in edits(statement, slot, scope, loops) if min(edit.tier, TIERS - 1) == tier)
                        chosen += [(ranks[id(statement)], program, index, edit, statement) for edit in some]
        for _, *rest in sorted(chosen, key=lambda one: one[0]):
            yield tuple(rest)  # type: ignore[misc]

    def _ranks(self, right: NDArray[np.bool_]) -> dict[int, int]:
        """Return the statements on which wrong parts depend: first those on which all of these do, and no right one."""
        wrong = [self._depends(part) for part in np.flatnonzero(~right).tolist()]
        others: set[int] = set().union(*(self._depends(part) for part in np.flatnonzero(right).tolist()))
        common = set.intersection(*wrong)
        return {one: 2 * (one not in common) + (one in others) for one in set.union(*wrong)}

    def _depends(self, part: int) -> set[int]:
        key = self.keys[part]
        return Flow(self.programs).follow(self.root, None if key is None else frozenset([key]))

    def _meets_methods(self) -> bool:
        """Make programs of the methods that the last run called and that are none yet; return whether there were any."""
        found: dict[tuple[type, str], Any] = {}
        for program in self.programs.values():
            found |= methods_called(program.part, program.names)
        if set(found) <= set(self.root.methods):
            return False
        for method in found.values():
            self.parts |= {one: part for one, part in parts_of(method).items() if one not in self.parts}
        self.programs |= programs_of({one: part for one, part in self.parts.items() if one not in self.programs})
        for program in self.programs.values():
            program.base |= {name: self.programs[one] for name, one in program.part.called.items()}
            program.methods = {key: self.programs[method] for key, method in found.items()}
        return True

    def _watched(self) -> Array:
        """Run the function once and keep what its names stand for."""
        for program in self.programs.values():
            program.watched = True
        try:
            return self.entries.call(self)
        except Exception as error:  # what is not run as it is written, a class that is asked for its type for example
            raise NotSearchedError("its statements alone do not run") from error
        finally:
            for program in self.programs.values():
                program.watched = False

    def _most_edits(self) -> int:
        """Return how many edits may be tried, from the lines that one run takes and the numbers that it holds."""
        run = partial(self._right_now, self.entries)
        lines = _lines(run)
        numbers = max((scope.largest for scope in self.scopes.values()), default=0)
        cost = PER_EDIT + lines * (PER_LINE + PER_NUMBER * numbers)
        seconds = min(_seconds(run) for _ in range(3)) / SLOWER
        count = int(min(SECONDS / max(cost, seconds), MOST_EDITS))
        if count < LEAST_EDITS:
            raise NotSearchedError("a run takes too long")
        return count

    def _made(self, chosen: list[_Tried], right: NDArray[np.bool_]) -> Repair:
        """Make the first of some edits for good, and tell of all."""
        shown = {id(one): show.edited(one.program, one.statement, one.edit.slot, one.edit.node) for one in chosen}
        chosen = sorted(chosen, key=lambda one: show.size(*shown[id(one)][1:]))[:SHOWN]
        first, (line, theirs, repaired) = chosen[0], shown[id(chosen[0])]
        others = dict.fromkeys((one.program.part.path, shown[id(one)][0], shown[id(one)][2]) for one in chosen)
        with _Made(first.program, first.index, first.edit, stays=True):
            self.claim = self.entries.call(self)
        parts = tuple(np.flatnonzero(first.right & ~right).tolist())
        path = first.program.part.path
        return Repair(parts, path, line, theirs, repaired, tuple(o for o in others if o != (path, line, repaired)))


@dataclass(frozen=True)
class _Tried:
    """An edit that was tried, and which parts are right with it."""

    program: Program
    index: int
    edit: Edit
    statement: ast.stmt
    right: NDArray[np.bool_]


class _Made:
    """An edit made for as long as the context lasts, or for good; false where it cannot be compiled."""

    def __init__(self, program: Program, index: int, edit: Edit, stays: bool = False) -> None:
        self.program, self.index, self.edit, self.stays = program, index, edit, stays
        self.old, self.code = edit.slot.get(), program.codes[index]

    def __enter__(self) -> bool:
        self.edit.slot.put(self.edit.node)
        like = self.old[0] if isinstance(self.old, list) else self.old
        for node in self.edit.node if isinstance(self.edit.node, list) else [self.edit.node]:
            _locate(node, like)
        try:
            self.program.codes[self.index] = compiled(self.program.body[self.index])
        except (SyntaxError, ValueError, TypeError, RecursionError):
            return False
        return True

    def __exit__(self, *error: object) -> None:
        if not self.stays:
            self.edit.slot.put(self.old)
            self.program.codes[self.index] = self.code


def _locate(node: ast.AST, like: ast.AST) -> None:
    """Give new nodes the place of one that was there; what hangs below and has a place keeps it."""
    if not hasattr(node, "lineno"):
        ast.copy_location(node, like)
        for child in ast.iter_child_nodes(node):
            _locate(child, like)


def _places(program: Program) -> Iterator[tuple[int, ast.stmt, Slot, tuple[str, ...]]]:
    """Yield every statement, the number of the one of the highest level that it is in, its place, and the loops around it."""
    for index, statement in enumerate(program.body):
        yield index, statement, Slot(program, "body", index), ()
        yield from ((index, *below) for below in _below(statement, ()))


def _below(statement: ast.stmt, loops: tuple[str, ...]) -> Iterator[tuple[ast.stmt, Slot, tuple[str, ...]]]:
    """Yield the statements in a statement, their places, and the variables that the loops around them count with."""
    if isinstance(statement, ast.For):
        loops = (*loops, *(node.id for node in ast.walk(statement.target) if isinstance(node, ast.Name)))
    for inner in ("body", "orelse"):
        for place, below in enumerate(getattr(statement, inner, ())):
            yield below, Slot(statement, inner, place), loops
            yield from _below(below, loops)


def _seconds(run: Callable[[], Any]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def _lines(run: Callable[[], Any]) -> int:
    """Return how many lines of Python a call runs."""
    count = 0

    def trace(frame: Any, event: str, argument: Any) -> Any:
        nonlocal count
        count += event in ("line", "call")
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(before)
    return count
