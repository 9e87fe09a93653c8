"""Cases of the mutation bench: which mutants run and change the gradient, and what fastgrad says of each.

Every file in `sources` is a correct backward pass in somebody's style. A case is a mutant of it that runs, gives finite
gradients of the right shapes and changes one of them; mutants of one source that give the same numbers are one case. What
fastgrad names is right where `report.predicted` gives the mutant's own gradient at a second point: fresh parameters,
inputs and labels, another number of examples where the mutant allows it.
"""

from __future__ import annotations

import signal
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

import fastgrad
from fastgrad.errors import InputError

import mutator

SOURCES = sorted((Path(__file__).parent / "sources").glob("*.py"))
CHANGED, SAME = 1e-9, 1e-12
"""Share of the largest entry by which a gradient must change to be a case, and below which a tensor is as it was."""
FITS, LEAST = 1e-7, 1e-6
"""Share of the largest entry to which a prediction must agree: constants that were fitted carry the claim's rounding. Where a
tensor is that share of the largest of all, no more is asked of it: what cancels leaves nothing but rounding."""
RUNS, THINKS = 2.0, 20.0
"""Seconds of the processor that a mutant may run, and that a diagnosis may take: what takes longer is no case, or silent."""
DRAWS = 3000
"""Pairs of changes that are drawn at most: a source with few lines has few pairs that run and differ."""
NAMES, NAME = 70, "a name for another"
"""Of exchanged names, which are most of all mutants, so many of a source are drawn."""


class TimeUp(BaseException):
    """The seconds of the processor are over; no error that code under test would catch."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise `TimeUp` when so many seconds of the processor are over."""

    def stop(*_: Any) -> None:
        raise TimeUp

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, before)


@dataclass(frozen=True, eq=False)
class Point:
    """Parameters, inputs and one-hot or real targets, in the layout of a source."""

    parameters: dict[str, Any]
    X: Any
    Y: Any


@dataclass(frozen=True, eq=False)
class Case:
    """A mutant and what it gives at both points."""

    source: str
    kinds: tuple[str, ...]
    described: str
    options: dict[str, Any]
    first: Point
    fresh: Point
    right: dict[str, Any]
    gradient: dict[str, Any]
    later: dict[str, Any]


class Source:
    """A correct backward pass with its two points."""

    def __init__(self, path: Path) -> None:
        self.name, self.text = path.stem, path.read_text(encoding="utf-8")
        space = _space(compile(self.text, str(path), "exec"))
        self.options, self.functions = space["OPTIONS"], space["MUTATED"]
        self.widths, self.examples = space["WIDTHS"], space["EXAMPLES"]
        self.first = self._drawn(self.examples[0], 0)
        self.fresh = self._drawn(self.examples[1], 1)
        self.alike = self._drawn(self.examples[0], 2)
        self.right = _called(space, self.first)
        assert self.right is not None, f"{self.name} does not run"

    def _drawn(self, m: int, seed: int) -> Point:
        """Draw a point; arrays of its own layout are made of (units, inputs) and (examples, units)."""
        draw = np.random.default_rng([len(self.name), seed])
        examples, order = self.options["layout"].split(",")
        parameters = {}
        for layer, (n_in, n_out) in enumerate(zip(self.widths, self.widths[1:], strict=False), start=1):
            W, b = 1.3 * draw.normal(size=(n_out, n_in)) / np.sqrt(n_in), 0.5 * draw.normal(size=n_out)
            if "bias_column" in self.options:
                parameters[f"Theta{layer}"] = np.column_stack([b, W])
                continue
            parameters[f"W{layer}"] = W if order == "out_in" else np.ascontiguousarray(W.T)
            parameters[f"b{layer}"] = b if examples == "rows" else b[:, None]
        X, Y = draw.normal(size=(m, self.widths[0])), draw.normal(size=(m, self.widths[-1]))
        outputs = self.widths[-1]
        if "crossentropy" in self.options["loss"]:
            classes = draw.permutation(np.arange(m) % max(outputs, 2))
            Y = np.eye(outputs)[classes] if outputs > 1 else classes[:, None].astype(float)
        if examples == "columns":
            X, Y = np.ascontiguousarray(X.T), np.ascontiguousarray(Y.T)
        return Point(parameters, X, Y)

    def cases(self, pairs: int = 0, seed: int = 0, most: int | None = None, on_one_line: bool = False) -> Iterator[Case]:
        """Yield the cases of single mutants, or of so many pairs; `most` draws that many, a kind before a mutant."""
        draw = np.random.default_rng(seed)
        found = self._pairs(draw, on_one_line) if pairs else self._some(draw) if most else self._singles(draw)
        seen: set[bytes] = set()
        limit = pairs or most
        count = 0
        for kinds, described, tree in found:
            if limit is not None and count >= limit:
                return
            case = self._case(kinds, described, tree)
            if case is None:
                continue
            key = b"".join(np.ascontiguousarray(case.gradient[name]).tobytes() for name in sorted(case.gradient))
            if key not in seen:
                seen.add(key)
                count += 1
                yield case

    def _singles(self, draw: np.random.Generator) -> Iterator[tuple[tuple[str, ...], str, Any]]:
        found = list(mutator.mutants(self.text, self.functions))
        names = [mutant for mutant in found if mutant.kind == NAME]
        others = [mutant for mutant in found if mutant.kind != NAME]
        runs = [names[k] for k in draw.permutation(len(names))]
        chosen = others + [mutant for mutant in runs if self._case((NAME,), "", mutant.tree) is not None][:NAMES]
        for k in draw.permutation(len(chosen)):
            mutant = chosen[k]
            yield (mutant.kind,), f"line {mutant.line}: {mutant.before} -> {mutant.after}", mutant.tree

    def _some(self, draw: np.random.Generator) -> Iterator[tuple[tuple[str, ...], str, Any]]:
        found = list(mutator.mutants(self.text, self.functions))
        while found:
            mutant = _drawn_by_kind(found, draw)
            found.remove(mutant)
            yield (mutant.kind,), f"line {mutant.line}: {mutant.before} -> {mutant.after}", mutant.tree

    def _pairs(self, draw: np.random.Generator, on_one_line: bool) -> Iterator[tuple[tuple[str, ...], str, Any]]:
        """Yield two changes at once, a kind drawn before a mutant of that kind, so that names are not most."""
        found = list(mutator.mutants(self.text, self.functions))
        for _ in range(DRAWS):
            first = _drawn_by_kind(found, draw)
            if self._case((), "", first.tree) is None:
                continue
            both = [
                mutant for mutant in mutator.of_tree(first.tree, self.functions) if (mutant.line == first.line) == on_one_line
            ]
            if both:
                second = _drawn_by_kind(both, draw)
                texts = [f"line {mutant.line}: {mutant.before} -> {mutant.after}" for mutant in (first, second)]
                yield (first.kind, second.kind), "; ".join(texts), second.tree

    def _case(self, kinds: tuple[str, ...], described: str, tree: Any) -> Case | None:
        """Return the case of a changed tree; None where it does not run, gives no finite gradient or changes nothing."""
        try:
            space = _space(compile(tree, self.name, "exec"))
        except (SyntaxError, TypeError, ValueError):
            return None
        gradient = _called(space, self.first)
        if gradient is None or gradient.keys() != self.right.keys() or not _changes(gradient, self.right, CHANGED):
            return None
        fresh = self.fresh
        later = _called(space, fresh)
        if later is None:
            fresh = self.alike
            later = _called(space, fresh)
        if later is None:
            return None
        return Case(self.name, kinds, described, self.options, self.first, fresh, self.right, gradient, later)


def _drawn_by_kind(found: list[mutator.Mutant], draw: np.random.Generator) -> mutator.Mutant:
    kinds = sorted({mutant.kind for mutant in found})
    kind = kinds[draw.integers(len(kinds))]
    alike = [mutant for mutant in found if mutant.kind == kind]
    return alike[draw.integers(len(alike))]


def _space(code: Any) -> dict[str, Any]:
    space: dict[str, Any] = {"__name__": "source"}
    exec(code, space)
    return space


def _called(space: dict[str, Any], point: Point) -> dict[str, Any] | None:
    """Return the gradients as arrays of the parameters' size; None where there are none."""
    parameters = {name: array.copy() for name, array in point.parameters.items()}
    try:
        with limited(RUNS), np.errstate(all="ignore"), warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            gradients = space["backward"](parameters, point.X.copy(), point.Y.copy())
            found = {name: np.array(value, dtype=np.float64) for name, value in gradients.items()}
    except (Exception, TimeUp):
        return None
    if not all(isinstance(name, str) and name and np.isfinite(array).all() for name, array in found.items()):
        return None
    owners = {name: _owner(name, point) for name in found}
    if len(found) != len(point.parameters) or any(found[name].size != np.size(owner) for name, owner in owners.items()):
        return None
    return {name: array.reshape(owners[name].shape) if _is_vector(array) else array for name, array in found.items()}


def _is_vector(array: Any) -> bool:
    """Whether an array lies along one axis only: then it is taken in whichever direction it lies."""
    return array.ndim < 2 or 1 in array.shape


def _owner(gradient: str, point: Point) -> Any:
    """Return the parameter of a gradient: W1 of dW1 or W1, Theta1 of D1."""
    names = gradient, gradient[1:], f"Theta{gradient[-1]}"
    return next((point.parameters[name] for name in names if name in point.parameters), None)


def _changes(found: dict[str, Any], right: dict[str, Any], share: float) -> bool:
    return any(_differs(found[name], right[name], share) for name in right)


def _differs(found: Any, right: Any, share: float) -> bool:
    if found.shape != right.shape == found.shape[::-1]:
        found = found.T  # as fastgrad takes it, with a note that it lies so
    if found.shape != right.shape:
        return True
    return bool(np.abs(found - right).max() > share * max(np.abs(right).max(), np.abs(found).max(), 1e-12))


@dataclass(frozen=True, eq=False)
class Outcome:
    """What fastgrad said of a case: refused, undetected, silent, right or false; and which right tensors it accused."""

    case: Case
    what: str
    accused: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    seconds: float = 0.0


def judged(case: Case) -> Outcome:
    """Check a case and hold the prediction against the mutant at the fresh point; silent where that takes too long."""
    start = time.process_time()
    try:
        with limited(THINKS):
            outcome = _judged(case)
    except TimeUp:
        outcome = Outcome(case, "silent", codes=("timed out",))
    return replace(outcome, seconds=time.process_time() - start)


def _judged(case: Case) -> Outcome:
    point = case.first
    try:
        report = fastgrad.check(point.parameters, case.gradient, point.X, point.Y, **case.options)
    except InputError:
        return Outcome(case, "refused")
    codes = tuple(f"{finding.code}{'' if finding.confident else '?'} {finding.tensor}" for finding in report.findings)
    wrong = [tensor.gradient_name for tensor in report.tensors if tensor.verdict == "wrong"]
    if not wrong:
        return Outcome(case, "undetected")
    accused = tuple(name for name in wrong if _is_right(case, name))
    try:
        predicted = report.predicted(case.fresh.parameters, case.fresh.X, case.fresh.Y)
    except InputError:
        return Outcome(case, "silent", accused, codes)
    largest = max(float(np.abs(array).max()) for array in case.later.values())
    right = all(_agree(predicted[name], case.later[name], LEAST * largest) for name in case.later)
    return Outcome(case, "right" if right else "false", accused, codes)


def _is_right(case: Case, name: str) -> bool:
    """Whether a gradient that was called wrong is as it was; a part of one array where W and b share it."""
    name = name if name in case.gradient else name.partition("[")[0]
    found, right = case.gradient[name], case.right[name]
    return not _differs(found, right, SAME)


def _agree(predicted: Any, later: Any, least: float) -> bool:
    if later.shape != predicted.shape and later.shape == predicted.shape[::-1]:
        later = later.T  # as fastgrad takes it
    size = max(float(np.abs(later).max()), float(np.abs(predicted).max()), least, 1e-12)
    return predicted.shape == later.shape and bool(np.abs(predicted - later).max() <= FITS * size)


@dataclass
class Table:
    """Outcomes by kind of mutation."""

    outcomes: list[Outcome] = field(default_factory=list)

    def count(self, what: str, kind: str | None = None) -> int:
        """Return how many outcomes are of a sort."""
        return sum(one.what == what for one in self._of(kind))

    def accused(self, kind: str | None = None) -> int:
        """Return in how many cases a right tensor was called wrong."""
        return sum(bool(one.accused) for one in self._of(kind))

    def share(self, kind: str | None = None) -> float:
        """Return the share of right diagnoses."""
        return self.count("right", kind) / max(len(self._of(kind)), 1)

    def _of(self, kind: str | None) -> list[Outcome]:
        return [one for one in self.outcomes if kind is None or kind in one.case.kinds]

    def silent(self) -> Iterator[str]:
        """Yield what nothing was predicted of, or something false."""
        for one in self.outcomes:
            if one.what in ("silent", "false", "undetected"):
                yield f"{one.what}: {one.case.source}, {one.case.described}: {', '.join(one.codes)}"

    def lines(self) -> Iterator[str]:
        """Yield a line for each kind, and one for all."""
        columns = ("undetected", "refused", "false", "silent", "right")
        yield f"{'':24}{'cases':>7}{'accused':>9}" + "".join(f"{name:>12}" for name in columns)
        for kind in [*sorted({kind for one in self.outcomes for kind in one.case.kinds}), None]:
            counts = "".join(f"{self.count(what, kind):12,}" for what in columns)
            yield f"{kind or 'all':24}{len(self._of(kind)):7,}{self.accused(kind):9,}{counts}{self.share(kind):9.1%}"
