"""Cases of the layer bench: which mutants of a backward pass run and change a gradient, and what fastgrad says of each.

The layers in `layers` are right. A case is a mutant of one that runs, gives finite gradients of the right shapes in double
precision and changes one of them; mutants of one layer that give the same numbers are one case. Each lies in a file of its
own, one statement a line, so that a tool may read it. In single precision the same mutants are asked about again.
"""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

import fastgrad
from fastgrad.errors import InputError

import mutator
from layer_cases import Layer, Point

CHANGED, SAME = 1e-9, 1e-12
"""Share of the largest entry by which a gradient must change to be a case, and below which a tensor is as it was."""
FITS = 1e-9
"""Share of the largest entry to which a repaired gradient must be right."""
SAME_SINGLE = 1e-5
"""The latter in single precision: a hundred of its roundings."""
NAMES, NAME = 30, "a name for another"
"""Of exchanged names, which are most of all mutants, so many of a layer are drawn."""


@dataclass(frozen=True, eq=False)
class Case:
    """A mutant: what was changed, on which line of its own file, and both gradients at the point."""

    layer: Layer
    kind: str
    described: str
    line: int
    text: str
    space: dict[str, Any]
    point: Point
    right: dict[str, Any]
    gradient: dict[str, Any]

    @property
    def is_single(self) -> bool:
        """Whether the point is in single precision."""
        return any(self.point.named[name].dtype == np.float32 for name in self.gradient)

    def change(self, name: str) -> float:
        """Return the largest change of a tensor's entries, relative to the root mean square of the right ones."""
        right = self.right[name]
        size = float(np.sqrt(np.mean(right**2)))
        off = float(np.abs(self.gradient[name] - right).max())
        return off / size if size else (np.inf if off else 0.0)

    def is_right(self, name: str) -> bool:
        """Whether a tensor is as it was."""
        return not _differs(self.gradient[name], self.right[name], SAME_SINGLE if self.is_single else SAME)


@cache
def _mutants(layer: Layer, most: int | None) -> list[Case]:
    """Return the cases of a layer in double precision, exchanged names drawn, in seeded order, or the first of them."""
    draw = np.random.default_rng([*layer.name.encode()])
    point = layer.point(1)
    right = layer.gradient(layer.space, point)
    assert right is not None, f"{layer.name} does not run"
    found, seen, names = [], set(), 0
    every = list(mutator.mutants(ast.unparse(layer.tree), layer.mutated))
    for k in draw.permutation(len(every)):
        if len(found) == most:
            break
        if every[k].kind == NAME and names == NAMES:
            continue
        case = _case(layer, every[k], len(found), point, right)
        key = None if case is None else b"".join(case.gradient[name].tobytes() for name in sorted(right))
        if case is not None and key not in seen:
            seen.add(key)
            names += case.kind == NAME
            found.append(case)
    return found


def _case(layer: Layer, mutant: mutator.Mutant, number: int, point: Point, right: dict[str, Any]) -> Case | None:
    """Return the case of a mutant; None where it does not run, gives no finite gradient or changes nothing."""
    text = ast.unparse(mutant.tree) + "\n"
    space = loaded(text, f"{layer.name}_{number}.py")
    gradient = None if space is None else layer.gradient(space, point)
    if gradient is None or not any(_differs(gradient[name], right[name], CHANGED) for name in right):
        return None
    described = f"{mutant.before} -> {mutant.after or 'nothing'}"
    return Case(layer, mutant.kind, described, mutant.line, text, space, point, right, gradient)


def loaded(text: str, name: str) -> dict[str, Any] | None:
    """Run a source as a module of that name whose lines can be read; None where it does not run."""
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    space: dict[str, Any] = {"__name__": "layer_mutant", "__file__": name}
    try:
        exec(compile(text, name, "exec"), space)
    except Exception:
        return None
    return space


def cases(layer: Layer, dtype: Any = np.float64, most: int | None = None) -> Iterator[Case]:
    """Yield the cases of a layer, or the first of them, at points of that precision."""
    for case in _mutants(layer, most):
        if dtype == np.float64:
            yield case
            continue
        point = layer.point(1, dtype)
        right, gradient = layer.gradient(layer.space, point), layer.gradient(case.space, point)
        if right is not None and gradient is not None:
            yield Case(layer, case.kind, case.described, case.line, case.text, case.space, point, right, gradient)


def _differs(found: Any, right: Any, share: float) -> bool:
    return bool(np.abs(found - right).max() > share * max(np.abs(right).max(), np.abs(found).max(), 1e-12))


@dataclass(frozen=True, eq=False)
class Outcome:
    """What fastgrad said of a case.

    Attributes
    ----------
    case : Case
        The mutant.
    detection : {"detected", "refused", "undetected", "beneath"}
        The last: no changed tensor is off by more than the report says would be caught.
    accused, missed : tuple of str
        Right tensors that were called wrong, and tensors changed above the stated sensitivity that were not.
    naming : {"right", "elsewhere", "false", "silent"}
        Whether the repair that was named is right at a point that nobody has seen, and of the changed line.
    said : str
        What was named, in a line.
    """

    case: Case
    detection: str
    accused: tuple[str, ...] = ()
    missed: tuple[str, ...] = ()
    naming: str = "silent"
    said: str = ""


def checked(layer: Layer, space: dict[str, Any], point: Point, diagnosis: bool = False) -> Any:
    """Return fastgrad's report of a layer with that backward function."""
    return fastgrad.check_layer(space["forward"], space["backward"], point.inputs, diagnosis=diagnosis)


def judged(case: Case, diagnosis: bool = True) -> Outcome:
    """Check a case and hold the report against what was changed."""
    try:
        report = checked(case.layer, case.space, case.point, diagnosis)
    except InputError as error:
        return Outcome(case, "refused", said=str(error))
    wrong = wrong_tensors(report, case)
    accused = tuple(name for name in wrong if case.is_right(name))
    missed = tuple(name for name in case.gradient if name not in wrong and _is_caught(report, case, name))
    detection = "detected" if wrong else "undetected" if missed else "beneath"
    return Outcome(case, detection, accused, missed, *named(report, case))


REPAIR = "repair.line"


def named(report: Any, case: Case) -> tuple[str, str]:
    """Return what the repairs are that a report proposes, tried from outside, and how they read.

    All lines that it proposes are put into the mutant's file, and the file is run at a third point of another number of
    examples, which nobody has seen: right if all gradients are right there and the lines are those that were changed, or
    these are named beside others; elsewhere if the gradients are right and the lines are others; false if what a repair is
    said to make right is not.
    """
    repairs = [finding for finding in report.findings if finding.code == REPAIR]
    said = "; ".join(f"{one.where}: {one.formula}" for one in repairs)
    if not repairs:
        return "silent", ", ".join(finding.code for finding in report.findings)
    repaired = loaded(_with_lines(case.text, repairs), f"repaired_{case.layer.name}.py")
    third = case.layer.point(5, size="other")
    right = case.layer.gradient(case.layer.space, third)
    found = None if repaired is None else case.layer.gradient(repaired, third)
    concerned = {name for finding in repairs for name in finding.concerns}
    if right is None or found is None or any(_differs(found[name], right[name], FITS) for name in concerned):
        return "false", said
    if any(_differs(found[name], right[name], FITS) for name in right):
        return "silent", f"a part: {said}"
    return ("right" if _is_where(repairs, case) else "elsewhere"), said


def _with_lines(text: str, repairs: list[Any]) -> str:
    """Return a source with lines exchanged, each in its place."""
    lines = text.splitlines()
    for finding in repairs:
        line = int(finding.where.rpartition(":")[2]) - 1
        indent = lines[line][: len(lines[line]) - len(lines[line].lstrip())]
        assert lines[line].strip() == finding.line.strip(), f"{finding.where} is {lines[line]}, not {finding.line}"
        lines[line] = "\n".join(indent + each for each in finding.formula.splitlines())
    return "\n".join(lines) + "\n"


def _is_where(repairs: list[Any], case: Case) -> bool:
    """Whether every repair is of the changed line, or names it beside others; what was left out has no line of its own."""
    theirs, mine = case.text.splitlines(), ast.unparse(case.layer.tree).splitlines()
    if len(theirs) != len(mine):
        return True
    changed = {line for line, (one, other) in enumerate(zip(theirs, mine, strict=True), start=1) if one != other}
    places = [[finding.where, *(other.sentence for other in finding.alternatives)] for finding in repairs]
    return all(any(int(text.split(":")[1]) in changed for text in each) for each in places)


def wrong_tensors(report: Any, case: Case) -> list[str]:
    """Return the names of the real inputs whose gradients a report calls wrong, at the point or at another of its own."""
    elsewhere = {name for point in report.elsewhere for name in point.wrong}
    here = {tensor.name for tensor in report.tensors if tensor.verdict == "wrong"}
    return [name for name in case.gradient if name in here | elsewhere]


def _is_caught(report: Any, case: Case, name: str) -> bool:
    """Whether a tensor is changed by more than what the report says that it would have caught."""
    limits = [tensor.sensitivity for tensor in report.tensors if tensor.name == name]
    return not case.is_right(name) and case.change(name) > (limits[0] or 0.0)


@dataclass
class Table:
    """Outcomes by layer or by kind of change."""

    outcomes: list[Outcome] = field(default_factory=list)

    def of(self, group: str | None) -> list[Outcome]:
        """Return the outcomes of a layer or a kind."""
        return [one for one in self.outcomes if group in (None, one.case.layer.name, one.case.kind)]

    def lines(self, by: str) -> Iterator[str]:
        """Yield a line for each layer or kind, and one for all."""
        yield f"{'':24}{'cases':>7}" + "".join(f"{name:>12}" for name in COLUMNS)
        groups = {"layer": {one.case.layer.name for one in self.outcomes}, "kind": {one.case.kind for one in self.outcomes}}
        for group in [*sorted(groups[by]), None]:
            some = self.of(group)
            counts = "".join(f"{sum(map(count, some)):12,}" for count in COLUMNS.values())
            yield f"{group or 'all':24}{len(some):7,}{counts}{share(some):9.1%}"

    def open(self) -> Iterator[str]:
        """Yield what was not named rightly, or not seen rightly."""
        for one in self.outcomes:
            case = one.case
            faults = [one.detection] * (one.detection != "detected") + [f"accused {one.accused}"] * bool(one.accused)
            faults += [f"missed {one.missed}"] * bool(one.missed) + [one.naming] * (one.naming != "right")
            if faults:
                where = f"{case.layer.name}, {case.kind}, line {case.line}: {case.described}"
                yield f"{'; '.join(faults)}: {where}: {one.said}"


COLUMNS = {
    "undetected": lambda one: one.detection == "undetected",
    "missed": lambda one: bool(one.missed),
    "beneath": lambda one: one.detection == "beneath",
    "refused": lambda one: one.detection == "refused",
    "accused": lambda one: bool(one.accused),
    "false": lambda one: one.naming == "false",
    "elsewhere": lambda one: one.naming == "elsewhere",
    "silent": lambda one: one.naming == "silent",
    "right": lambda one: one.naming == "right",
}


def share(some: list[Outcome]) -> float:
    """Return the share that was named rightly."""
    return sum(one.naming == "right" for one in some) / max(len(some), 1)
