"""Every small edit of a line of the backward pass, tried side by side on a few entries; whole only where these fit.

The kinds of edit are rules over trees: a name for another that fits, one operation for another, a part left out or there
twice, other parentheses, another number of the program's own. No mistake is listed here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from fastgrad.diagnosis.changes import LEAST_FOR_PAIRS, once, twice
from fastgrad.diagnosis.ground import Estimate, Flow, Ground, Kind, Truth
from fastgrad.diagnosis.lines import (
    ARRIVES,
    Place,
    Scene,
    Tree,
    UnfitError,
    children,
    estimate_of,
    flow_of,
    name,
)
from fastgrad.diagnosis.mistakes import Cause
from fastgrad.diagnosis.usual import flow_lines, tensor_lines
from fastgrad.model.forward import UNIT_ROUNDOFF
from fastgrad.model.network import Array, Offsets

LOOKED_AT = 6
"""Units, and inputs, of the fingerprint."""
MOST_NUMBERS = 2**15
"""Examples times units of the fingerprint, at most, where a layer has fewer examples than that: of many examples one unit."""
AT_ONCE = 2**21
"""Numbers of flows that are compared at once, 16 MiB."""
MOST_WHOLE, MOST_WHOLE_NUMBERS = 40, 2**25
"""Edits that are followed of those whose fingerprint fits; and the numbers that their whole flows, or tensors, may have."""
AS_USUAL = 0.2
"""What a line may cost more than another that gives the same numbers, and still be as likely."""
ANOTHER_READING = 0.1
"""What an edit costs that was found further up, in a line that gives the same numbers there."""
PARTLY = 10.0
"""How far behind come edits that explain one of two tensors, or all but for a factor."""


@dataclass(frozen=True)
class Edit:
    """A line as the numbers say it is.

    Attributes
    ----------
    tree : tuple
        The line.
    right : tuple
        The line as it should be, written alike as far as it is so at that layer.
    late : bool
        Whether the 1/m is left to dW and db.
    alike : tuple of (tuple, bool)
        Other lines, about as usual, that give the same numbers at this point, each with its `late`.
    count : int
        How many edits made it: 1, or 2 on one line.
    """

    tree: Tree
    right: Tree = field(compare=False)
    late: bool
    alike: tuple[tuple[Tree, bool], ...] = field(default=(), compare=False)
    count: int = field(default=1, compare=False)

    def __str__(self) -> str:
        return f"{self.tree}{' late' if self.late else ''}"


# Which of them the numbers can be.


def _few(size: int, chosen: Array, most: int = LOOKED_AT) -> Offsets:
    """Return some indices: those where most is to be seen, and others by a seeded draw."""
    if size <= most:
        return np.arange(size)
    largest = np.argsort(-chosen, kind="stable")[: (most + 1) // 2]
    drawn = np.random.default_rng(0).permutation(size)[: most // 2]
    return np.unique(np.concatenate([largest, drawn]))


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """The entries of a layer's claims on which edits are tried, the declared penalty taken off where the flow is tried."""

    units: Offsets
    columns: Offsets
    weights: Array | None
    bias: Array | None
    tolerance: float


def fingerprint(ground: Ground, layer: int, data: bool) -> Fingerprint:
    """Return the entries of the claims on dW and db, the data's share alone where `data`."""
    weights, bias = ground.claim(layer, "W"), ground.claim(layer, "b")
    n, k = ground.W(layer).shape
    off = np.zeros(n)
    inputs = np.sqrt(np.square(ground.inputs(layer)).sum(axis=0))
    if bias is not None:
        off += np.nan_to_num(np.abs(bias.values))
    if weights is not None:
        off += np.nan_to_num(np.abs(weights.values[:, ground.probes[layer]])).sum(axis=1)
    units, columns = _few(n, off, max(1, min(LOOKED_AT, MOST_NUMBERS // ground.samples))), _few(k, inputs)
    cut_weights = cut_bias = None
    precisions = ["float64"]
    if weights is not None:
        cut_weights = (weights.values - weights.penalty.values * data)[units][:, columns]
        precisions.append(weights.tensor.precision)
    if bias is not None:
        cut_bias = (bias.values - bias.penalty.values * data)[units]
        precisions.append(bias.tensor.precision)
    tolerance = max(1e-7, 1e4 * max(UNIT_ROUNDOFF[p] for p in precisions))
    return Fingerprint(units, columns, cut_weights, cut_bias, tolerance)


def _exactly(predicted: Array, claimed: Array, tolerance: float) -> Truth:
    """Return which rows are the claim."""
    size = np.maximum(np.abs(claimed).max(initial=0.0), np.abs(predicted).max(axis=1, initial=0.0))
    fits: Truth = (np.abs(predicted - claimed) <= tolerance * size[:, None]).all(axis=1)
    return fits


def _multiples(predicted: Array, claimed: Array, tolerance: float) -> Truth:
    """Return of which rows the claim is a multiple, where more than one entry tells."""
    if claimed.size < 2:
        return np.zeros(len(predicted), dtype=bool)
    square = np.einsum("ci,ci->c", predicted, predicted)
    c = (predicted @ claimed) / square
    off = np.abs(c[:, None] * predicted - claimed)
    fits: Truth = (off <= tolerance * np.abs(claimed).max(initial=0.0)).all(axis=1)
    return fits


def flow_edits(ground: Ground, layer: int, above: Flow | None, pairs: bool = False) -> list[tuple[Cause, Flow]]:
    """Return the edits of the line of ∂J/∂z that can explain a claim of its layer, the usual ones first; or pairs of edits."""
    marks = fingerprint(ground, layer, data=True)
    sizes = [0 if one is None else one.size for one in (marks.weights, marks.bias)]
    if sum(sizes) < (LEAST_FOR_PAIRS if pairs else 1):
        return []
    inputs, deltas_size = ground.inputs(layer)[:, marks.columns], ground.samples * marks.units.size
    found: list[tuple[float, Edit]] = []
    for late in (False, True) if ground.problem.network.reduction == "mean" else (False,):
        scene = Scene(ground, layer, above, None, late, marks.units, marks.columns, is_usual=pairs)
        scale = 1.0 / ground.samples if late else 1.0
        waiting: list[tuple[float, Edit, Array]] = []
        for tree, (cost, line) in _cheapest(scene, flow_lines(ground, layer, late), "units", pairs).items():
            delta = _evaluated(scene, tree, (ground.samples, marks.units.size))
            if delta is not None:
                waiting.append((cost, Edit(tree, line, late, count=1 + pairs), scale * delta))
            if len(waiting) * deltas_size >= AT_ONCE:
                ground.tick(layer)
                found += _sieved(waiting, inputs, marks)
                waiting = []
        found += _sieved(waiting, inputs, marks) if waiting else []
    return _whole_flows(ground, layer, above, sorted(found, key=lambda pair: pair[0]))


def _cheapest(scene: Scene, lines: list[Tree], place: Place, pairs: bool) -> dict[Tree, tuple[float, Tree]]:
    """Return every line with one edit, or with two, each with the least that makes it, and as it should be."""
    found: dict[Tree, tuple[float, Tree]] = {}
    for cost, tree, line in twice(scene, lines, place) if pairs else once(scene, lines, place):
        if tree not in found or cost < found[tree][0]:
            found[tree] = cost, line
    return found


def _evaluated(scene: Scene, tree: Tree, shape: tuple[int, ...]) -> Array | None:
    try:
        values = scene.part(tree, "units" if shape[0] == scene.ground.samples else "weights").values
        return values if np.shape(values) == shape else np.broadcast_to(values, shape)
    except (UnfitError, ValueError):
        return None


def _sieved(waiting: list[tuple[float, Edit, Array]], inputs: Array, marks: Fingerprint) -> list[tuple[float, Edit]]:
    """Return the edits that a claim can be, those first that are all of it without a factor."""
    deltas = np.stack([delta for *_, delta in waiting])
    exact = np.zeros((2, len(waiting)), dtype=bool)
    fits = np.zeros(len(waiting), dtype=bool)
    for k, (claimed, predicted) in enumerate(
        ((marks.weights, deltas.transpose(0, 2, 1) @ inputs), (marks.bias, deltas.sum(axis=1)))
    ):
        if claimed is None:
            exact[k] = True
            continue
        rows = predicted.reshape(len(deltas), -1)
        exact[k] = _exactly(rows, claimed.ravel(), marks.tolerance)
        fits |= exact[k]
        if k == 0 or marks.weights is None:  # behind one unit every db is a multiple of its weights
            fits |= _multiples(rows, claimed.ravel(), marks.tolerance)
    whole = np.logical_and(exact[0], exact[1])
    return [(waiting[k][0] + PARTLY * (not whole[k]), waiting[k][1]) for k in np.flatnonzero(fits)]


def _followed(size: int) -> int:
    """Return how many edits are followed whose results have so many numbers."""
    return max(1, min(MOST_WHOLE, MOST_WHOLE_NUMBERS // (4 * size)))


def _whole_flows(ground: Ground, layer: int, above: Flow | None, found: list[tuple[float, Edit]]) -> list[tuple[Cause, Flow]]:
    """Return whole flows of edits, each once where several are alike."""
    result: list[tuple[Cause, Flow]] = []
    right = ground.right[layer].delta if above is None or above is ground.right[layer + 1] else None
    scenes = {late: Scene(ground, layer, above, None, late, rounding=True) for late in (False, True)}
    for ranked, edit in found[: _followed(ground.right[layer].delta.size)]:
        cost = ranked - PARTLY * (ranked > PARTLY)
        flow = flow_of(scenes[edit.late], edit.tree)
        if flow is None or (right is not None and _alike(flow.delta, right)):
            continue
        same = next((k for k, (_, other) in enumerate(result) if _alike(flow.delta, other.delta)), None)
        if same is None:
            result.append((Cause(_code(edit), layer, "Z", other=edit, cost=cost), flow))
        else:
            result[same] = (_with_another(result[same][0], edit, cost), result[same][1])
    return result


def _code(edit: Edit) -> str:
    """Return the code of an edit of the flow: that of a mistake with a name, or the general one."""
    tree, right = edit.tree, edit.right
    place: Place = "units"
    while True:
        moved = [(k, where) for k, part, where in children(right, place) if len(tree) == len(right) and tree[k] != part]
        if tree[0] != right[0] or len(moved) != 1 or tree[:1] == ("name",):
            break
        k, place = moved[0]
        tree, right = tree[k], right[k]
    if place == "ways":
        return "way.other_matrix"
    if right == name("Y") and tree[0] in ("-", "/"):
        return "labels.coding"
    if tree[0] == "f" and tree[2] in (ARRIVES, name("dA")):
        return "slope.of_flow"
    return "edit.line"


def _with_another(cause: Cause, edit: Edit, cost: float) -> Cause:
    """Return a cause that knows of another line which gives the same numbers, where that is about as usual."""
    if cost > cause.cost + AS_USUAL or not isinstance(cause.other, Edit):
        return cause
    return replace(cause, other=replace(cause.other, alike=(*cause.other.alike, (edit.tree, edit.late))))


def _alike(first: Array, second: Array) -> bool:
    return bool((np.abs(first - second) <= 1e-11 * np.abs(second).max(initial=0.0)).all())


def tensor_edits(
    ground: Ground, layer: int, kind: Kind, above: Flow | None, flow: Flow, pairs: bool = False
) -> list[tuple[Cause, Estimate]]:
    """Return the edits of the line of dW or db that can explain its claim under a flow, the usual ones first; or pairs."""
    marks = fingerprint(ground, layer, data=False)
    claimed = marks.weights if kind == "W" else marks.bias
    if claimed is None or (pairs and claimed.size < LEAST_FOR_PAIRS):
        return []
    if np.abs(claimed).max(initial=0.0) <= marks.tolerance * np.abs(ground.rightly(layer, kind).values).max(initial=0.0):
        return []  # zero but for rounding, which many lines are
    place: Place = "weights" if kind == "W" else "bias"
    shape = claimed.shape if kind == "W" else (1, claimed.size)
    found: list[tuple[float, Edit]] = []
    for late in (False, True) if ground.problem.network.reduction == "mean" else (False,):
        scene = Scene(ground, layer, above, flow, late, marks.units, marks.columns, is_usual=pairs)
        for tree, (cost, line) in _cheapest(scene, tensor_lines(ground, layer, kind, late), place, pairs).items():
            try:
                values = np.broadcast_to(scene.part(tree, place).values, shape)
            except (UnfitError, ValueError):
                continue
            if _exactly(values.reshape(1, -1), claimed.ravel(), marks.tolerance)[0]:
                if not _has_names(tree):  # a number that the program has, which is no more evidence than one number is
                    return []
                found.append((cost, Edit(tree, line, late, count=1 + pairs)))
    return _whole_estimates(ground, layer, kind, above, flow, sorted(found, key=lambda pair: pair[0]))


def _has_names(tree: Tree) -> bool:
    return tree[0] == "name" or any(_has_names(part) for part in tree if isinstance(part, tuple))


def _whole_estimates(
    ground: Ground, layer: int, kind: Kind, above: Flow | None, flow: Flow, found: Iterable[tuple[float, Edit]]
) -> list[tuple[Cause, Estimate]]:
    result: list[tuple[Cause, Estimate]] = []
    scenes = {late: Scene(ground, layer, above, flow, late, rounding=True) for late in (False, True)}
    for cost, edit in list(found)[: _followed(ground.W(layer).size if kind == "W" else 1)]:
        estimate = estimate_of(scenes[edit.late], edit.tree, "weights" if kind == "W" else "bias")
        if estimate is None:
            continue
        same = next((k for k, (_, other) in enumerate(result) if _alike(estimate.values, other.values)), None)
        if same is None:
            result.append((Cause("edit.line", layer, kind, other=edit, cost=cost), estimate))
        else:
            result[same] = (_with_another(result[same][0], edit, cost), result[same][1])
    return result


# The same edit at another layer.


def again(cause: Cause, ground: Ground, layer: int, above: Flow | None) -> Iterator[tuple[Cause, Flow]]:
    """Yield an edit of ∂J/∂z at another layer in each of its readings, and the flows that these give there."""
    scenes = {late: Scene(ground, layer, above, None, late, rounding=True) for late in (False, True)}
    usual = {late: flow_lines(ground, layer, late) for late in (False, True)}
    yield from _readings(cause, layer, usual, lambda tree, late: flow_of(scenes[late], tree), lambda flow: flow.delta)


def again_in_tensor(cause: Cause, ground: Ground, layer: int, kind: Kind, flow: Flow) -> Iterator[tuple[Cause, Estimate]]:
    """Yield an edit of dW or db at another layer in each of its readings, and the numbers that these give there."""
    place: Place = "weights" if kind == "W" else "bias"
    scenes = {late: Scene(ground, layer, None, flow, late, rounding=True) for late in (False, True)}
    usual = {late: tensor_lines(ground, layer, kind, late) for late in (False, True)}
    yield from _readings(cause, layer, usual, lambda tree, late: estimate_of(scenes[late], tree, place), lambda one: one.values)


Result = TypeVar("Result")


def _readings(
    cause: Cause,
    layer: int,
    usual: dict[bool, list[Tree]],
    made: Callable[[Tree, bool], Result | None],
    numbers: Callable[[Result], Array],
) -> Iterator[tuple[Cause, Result]]:
    """Yield an edit at another layer, with the lines that give the same numbers there as well, then its other readings."""
    assert isinstance(cause.other, Edit)
    edit: Edit = cause.other
    found: list[tuple[Tree, bool, float, Result]] = []
    for line, is_late, price in ((edit.tree, edit.late, cause.cost), *((*other, ANOTHER_READING) for other in edit.alike)):
        result = made(line, is_late)
        if result is not None:
            found.append((line, is_late, price, result))
    while found:
        (tree, late, cost, result), *others = found
        same = [_alike(numbers(one[3]), numbers(result)) for one in others]
        alike = tuple(one[:2] for one, is_same in zip(others, same, strict=True) if is_same)
        right = edit.right if edit.right in usual[late] else (*usual[late], edit.right)[0]
        yield replace(cause, layer=layer, other=Edit(tree, right, late, alike, edit.count), cost=cost), result
        found = [one for one, is_same in zip(others, same, strict=True) if not is_same]
