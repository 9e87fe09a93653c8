"""Every small edit of a line of the backward pass, tried side by side on a few entries; whole only where these fit.

The kinds of edit are rules over trees: a name for another that fits, one operation for another, a part left out or there
twice, other parentheses, another number of the program's own. No mistake is listed here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeVar

import numpy as np

from fastgrad.diagnosis.ground import Estimate, Flow, Ground, Kind, Truth
from fastgrad.diagnosis.lines import (
    ARRIVES,
    Place,
    Scene,
    Tree,
    activation_name,
    children,
    count,
    estimate_of,
    flow_of,
    name,
    number,
)
from fastgrad.diagnosis.mistakes import Cause
from fastgrad.diagnosis.variants import AT_ONCE, Spot, put, spots, stacks
from fastgrad.model.forward import UNIT_ROUNDOFF
from fastgrad.model.network import Array, Offsets

LOOKED_AT = 6
"""Units, and inputs, of the fingerprint."""
FAR_OFF = 2
"""Layers up and down of which names are tried, in networks of more than `SHALLOW`; beside them the output's and the input's."""
SHALLOW = 8
MOST_NUMBERS = 2**15
"""Examples times units of the fingerprint, at most, where a layer has fewer examples than that: of many examples one unit."""
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


# How a line is written.


def _slopes(ground: Ground, layer: int) -> list[Tree]:
    """Return the usual writings of f′ of a layer."""
    A, Z, one = name("A"), name("Z"), number(1.0)
    general: Tree = ("f", "slope", Z)
    if ground.problem.mask(layer + 1) is not None:
        return [("*", name("mask"), general)]
    activation = activation_name(ground, layer)
    if activation == "tanh":
        value: Tree = ("f", "f", Z)
        return [("-", one, ("**", A, number(2.0))), ("-", one, ("*", A, A)), ("-", one, ("**", value, number(2.0))), general]
    if activation == "sigmoid":
        value = ("f", "f", Z)
        return [("*", A, ("-", one, A)), ("*", value, ("-", one, value)), general]
    if activation == "relu":
        return [("f", "step", Z), ("f", "step", A)]
    if activation == "leaky_relu":
        below = number(ground.problem.network.activation_parameters[layer])
        return [("mask", ">", Z, one, below), general]
    if activation == "softplus":
        return [("/", one, ("+", one, ("f", "exp", ("*", number(-1.0), Z)))), general]
    return [general]


def _with_slope(ground: Ground, layer: int, arrived: Tree) -> list[Tree]:
    lines: list[Tree] = [("*", arrived, slope) for slope in _slopes(ground, layer)]
    if ground.problem.mask(layer + 1) is None:
        activation = activation_name(ground, layer)
        if activation == "sigmoid":
            lines.append(("*", ("*", arrived, name("A")), ("-", number(1.0), name("A"))))
        if activation == "softplus":
            lines.append(("/", arrived, ("+", number(1.0), ("f", "exp", ("*", number(-1.0), name("Z"))))))
        if activation == "elu":
            below: Tree = ("*", arrived, ("+", name("A"), number(ground.problem.network.activation_parameters[layer])))
            lines.append(("mask", ">", name("Z"), arrived, below))
        if activation == "relu":
            lines += [("mask", ">", name(kind), arrived, number(0.0)) for kind in ("Z", "A")]
    return lines


def flow_lines(ground: Ground, layer: int, late: bool) -> list[Tree]:
    """Return the usual writings of the line that makes ∂J/∂z of a layer."""
    if layer + 1 < ground.depth:
        return _with_slope(ground, layer, ARRIVES)
    error: Tree = ("-", name("A"), name("Y"))
    network = ground.problem.network
    scaled = _scaled(ground, error, late)
    if network.from_logits:
        return [] if scaled is None else scaled
    if scaled is None:
        return [] if late else _with_slope(ground, layer, name("dA"))
    own = [] if late else _with_slope(ground, layer, name("dA"))
    return [line for part in scaled for line in _with_slope(ground, layer, part)] + own


def _scaled(ground: Ground, error: Tree, late: bool) -> list[Tree] | None:
    """Return a − y times what the loss has before it; None where the loss is no such."""
    layer, network = ground.depth - 1, ground.problem.network
    scene = Scene(ground, layer, None, None)
    right = ground.right[layer].delta if network.from_logits else ground.right[layer].arrived
    off = scene.part(error, "units").values
    with np.errstate(all="ignore"):
        ratio = right / off
    place = np.unravel_index(int(np.argmax(np.abs(off))), off.shape)
    c = float(ratio[place])
    if not np.isfinite(c) or (np.abs(right - c * off) > 1e-9 * np.abs(right).max(initial=0.0)).any():
        return None
    if network.reduction != "mean":
        return None if late else [error if abs(c - 1.0) < 1e-9 else ("*", number(float(f"{c:.12g}")), error)]
    c, K = c * ground.samples, network.widths[-1]
    m: Tree = count("m")
    lines: list[Tree] = []
    for factor in (1.0, 2.0):
        top: Tree = error if factor == 1.0 else ("*", number(factor), error)
        if abs(c - factor) < 1e-9 * factor:
            lines.append(top if late else ("/", top, m))
        if K > 1 and abs(c * K - factor) < 1e-9 * factor:
            lines += [("/", top, count("K"))] if late else [("/", top, ("*", m, count("K"))), ("/", ("/", top, m), count("K"))]
    top = ("*", number(float(f"{c:.12g}")), error)
    return lines or ([top] if late else [("/", top, m)])


def _penalties(ground: Ground, layer: int, kind: Kind) -> list[Tree]:
    """Return the usual writings of the declared penalty's gradient; none where there is none."""
    claim = ground.claim(layer, kind)
    if claim is None:
        return []
    theta, m = name("W" if kind == "W" else "b"), count("m")
    l2, l1 = number(claim.l2), number(claim.l1)
    if claim.l2 and claim.l1:
        both: Tree = ("+", ("*", l2, theta), ("*", l1, ("f", "sign", theta)))
        return [both]
    if claim.l1:
        return [("*", l1, ("f", "sign", theta))]
    if claim.l2:
        shared: Tree = ("*", l2, m)  # λ where the loss has λ/m
        return [("*", l2, theta), ("*", ("/", shared, m), theta)]
    return []


def tensor_lines(ground: Ground, layer: int, kind: Kind, late: bool) -> list[Tree]:
    """Return the usual writings of the line of dW or db."""
    data: Tree = ("outer", "*", name("dZ"), name("A", -1)) if kind == "W" else ("sum", "sum", name("dZ"))
    m = count("m")
    shares: list[Tree] = [("/", data, m), ("*", ("/", number(1.0), m), data)] if late else [data]
    penalties = _penalties(ground, layer, kind)
    if not penalties:
        return shares
    lines: list[Tree] = [("+", share, penalty) for share in shares for penalty in penalties]
    claim = ground.claim(layer, kind)
    if late and claim is not None and claim.l2 and not claim.l1:  # one division for both
        whole: Tree = ("*", ("*", number(claim.l2), m), name("W" if kind == "W" else "b"))
        lines.append(("/", ("+", data, whole), m))
    return lines


# What can be done to a line.

Change = tuple[float, Tree]
"""What an edit costs, and the line after it."""

_OTHER_OPERATIONS = {"+": "-*", "-": "+*", "*": ("/", "+", "-", "max"), "/": "*-+"}
NAME, FAR_NAME, OPERATION, LEFT_OUT, TWICE, REGROUPED, NUMBER, FUNCTION, LARGER, SLIPPED = (
    1.15,
    1.25,
    1.2,
    1.1,
    1.2,
    1.15,
    1.2,
    1.2,
    1.35,
    1.47,
)
USUAL, BOTH, BOTH_IN_LARGE, LEAST_FOR_PAIRS = 1.2, 2.4 + 1e-9, 2.3 + 1e-9, 6
"""What the first of two edits on one line may cost, and both, in a large network and else; and the entries that it takes to
tell one pair of some 30,000."""
LARGE = 2**20
"""Examples times parameters from which a network is large."""
WIDEST = 12
"""Units of a layer up to which each is tried in the place of all."""


def _at(scene: Scene, tree: Tree, place: Place) -> Iterator[Change]:
    operation = tree[0]
    yield 1.2, ("*", number(-1.0), tree)
    if operation not in ("name", "number", "count"):  # what has a name in the code is taken for another name
        yield from ((cost + 0.05, leaf) for cost, leaf in names_at(scene, place) if tree != ARRIVES or leaf != name("dA"))
        yield from ((FAR_NAME, leaf) for leaf in (number(0.0), number(1.0), *_counts(scene)))
    if operation == "name":
        yield from _other_names(scene, tree, place)
    elif operation in ("number", "count"):
        yield from _other_numbers(scene, tree, place)
    elif operation in ("@", "outer"):
        yield from _of_products(scene, tree)
    elif operation == "sum":
        for how in ("max", "mean", "min", "first", "last"):
            if how != tree[1]:
                yield FUNCTION, ("sum", how, tree[2])
        yield from _started(tree)
    elif operation == "f":
        yield LEFT_OUT, tree[2]
        for other in _functions(scene):
            if other != tree[1]:
                yield FUNCTION, ("f", other, tree[2])
    elif operation == "mask":
        yield LEFT_OUT, tree[3]
        yield LEFT_OUT, tree[4]
        yield OPERATION, ("mask", tree[1], tree[2], tree[4], tree[3])
        for bound in (1.0, -1.0):
            yield NUMBER, ("mask", tree[1], ("-", tree[2], number(bound)), *tree[3:])
        for other in (">=", "<", "<="):
            yield OPERATION, ("mask", other, *tree[2:])
        yield NAME, ("mask", tree[1], tree[3], tree[3], tree[4])
        yield NAME, ("mask", tree[1], tree[3], tree[2], tree[4])
    elif operation == "**":
        yield LEFT_OUT, tree[1]
        yield OPERATION, ("*", tree[1], tree[2])
    else:
        yield from _of_operations(tree)


def _of_operations(tree: Tree) -> Iterator[Change]:
    operation, left, right = tree
    for other in _OTHER_OPERATIONS[operation]:
        yield LARGER if other == "max" else OPERATION, (other, left, right)
    yield LEFT_OUT, left
    yield LEFT_OUT, right
    if operation in "*/":
        yield TWICE, (operation, tree, right)
    if operation == "*":
        yield TWICE, ("*", tree, left)
    if operation in "-/":
        yield OPERATION, (operation, right, left)
    yield from _regrouped(operation, left, right)
    if operation == "*":
        yield LEFT_OUT, ("f", "f", left)
        for other in "-/":  # what is multiplied may stand the other way round
            yield OPERATION, (other, right, left)
        yield from _regrouped(operation, right, left)
    if operation == "*" and right[0] == "-":  # f′ squared as a whole: (1 - a)²
        inner = right[2]
        if inner[0] == "**":
            yield REGROUPED, ("*", left, ("**", ("-", right[1], inner[1]), inner[2]))


def _regrouped(operation: str, left: Tree, right: Tree) -> Iterator[Change]:
    """Yield the operation with other parentheses: taken into the first part of what stands beside it."""
    if right[0] in ("+", "-", "*", "/") and not operation == right[0] == "*":
        yield REGROUPED, (right[0], (operation, left, right[1]), right[2])
    if left[0] in ("+", "-", "*", "/") and not operation == left[0] == "*":
        yield REGROUPED, (left[0], left[1], (operation, left[2], right))


def _of_products(scene: Scene, tree: Tree) -> Iterator[Change]:
    operation, _, left, right = tree
    for other in ("+", "-", "/", "last", "first"):
        yield OPERATION, (operation, other, left, right)
    yield TWICE, ("*", tree, tree)
    yield TWICE, (operation, "*", ("*", left, left), right)
    yield TWICE, (operation, "*", left, ("*", right, right))
    yield LEFT_OUT, (operation, "*", left, number(1.0))
    yield LEFT_OUT, (operation, "*", number(1.0), right)
    if operation == "@":
        if scene.size_at("above") == scene.size_at("units"):
            yield LEFT_OUT, left
        # One example's dW in the place of W: |dZ|² of the layer above goes down, times A.
        yield FAR_NAME, ("*", (operation, "*", ("*", left, left), number(1.0)), name("A"))
    yield from _started(tree)


def _started(tree: Tree) -> Iterator[Change]:
    """Yield a sum that began at another number than 0."""
    for start in (1.0, -1.0):
        yield NUMBER, ("+", tree, number(start))


def _functions(scene: Scene) -> list[str]:
    own = [f for f in ("f", "slope") if not _is_logit(scene)]
    others = dict.fromkeys(
        ["tanh", "sigmoid", "relu", *(activation_name(scene.ground, k) for k in range(scene.ground.depth - 1))]
    )
    known = [f for f in others if f not in ("identity", "softmax")]
    return [*own, *known, *(f"{f}'" for f in known), *_PLAIN]


_PLAIN = ("step", "step at 0", "step down", "step at 1", "step at -1", "abs", "exp", "cosh", "sinh")
"""Functions that any code may have by mistake."""


def _is_logit(scene: Scene) -> bool:
    return scene.layer + 1 == scene.ground.depth and scene.ground.problem.network.from_logits


def _other_names(scene: Scene, tree: Tree, place: Place) -> Iterator[Change]:
    for cost, other in names_at(scene, place):
        if other != tree:
            yield cost, other
        if place == "summed" and other[1] in ("b", "db"):  # added once for each example
            yield cost, ("*", count("m"), other)
    yield from ((SLIPPED, slip) for slip in _slips(scene, place))
    if tree[1] == "Y":
        yield 1.3, ("-", ("*", number(2.0), tree), number(1.0))
        yield 1.3, ("/", ("+", tree, number(1.0)), number(2.0))
        yield 1.3, ("-", number(1.0), tree)
    if tree[1] == "W" and place == "weights":
        yield 1.25, count("squares")
        yield 1.25, ("*", number(0.5), count("squares"))
        yield 1.2, ("f", "sign", tree)
        yield 1.2, ("**", tree, number(2.0))
        yield 1.2, ("f", "abs", tree)
    if tree[1] in ("W", "b", "db", "Z", "A"):
        yield TWICE, ("*", tree, tree)
    for c in (number(0.0), number(1.0), *_counts(scene)):
        yield FAR_NAME, c


def names_at(scene: Scene, place: Place) -> list[tuple[float, Tree]]:
    """Return the names that fit a place, with what each costs there."""
    found = scene.fitting.get(place)
    if found is None:
        found = scene.fitting[place] = _names_at(scene, place)
    return found


def _names_at(scene: Scene, place: Place) -> list[tuple[float, Tree]]:
    depth, layer = scene.ground.depth, scene.layer
    layers = range(-1, depth)
    if depth > SHALLOW:
        layers = sorted({-1, depth - 1, *range(max(layer - FAR_OFF, -1), min(layer + FAR_OFF + 1, depth))})  # type: ignore[assignment]
    found = []
    for k in layers:
        for kind in ("A", "Z", "dZ", "dA", "slope", "b", "db", "W", "dW"):
            for turned in (False, True) if kind in ("W", "dW", "b", "db") else (False,):
                leaf = name(kind, k - layer, turned)
                is_near = abs(k - layer) < 2
                if (is_near or not scene.is_usual) and scene.named(leaf, place) is not None:
                    found.append((NAME if is_near else FAR_NAME, leaf))
    if scene.named(name("Y"), place) is not None:
        found.append((NAME, name("Y")))
    for kind in ("exp", "shifted"):
        leaf = name(kind, depth - 1 - layer)
        if scene.named(leaf, place) is not None:
            found.append((NAME, leaf))
    return found


def _counts(scene: Scene) -> list[Tree]:
    """Return the whole numbers that a program has: of examples, outputs, layers, the layer's own, and of units."""
    if scene.is_usual:
        return []
    widths = scene.ground.problem.network.widths
    known = [count(what) for what in ("m", "K", "layers", "layer", "index", "from the end")]
    return known + [count("n", k - scene.layer - 1) for k in range(min(len(widths), SHALLOW))]


def _slips(scene: Scene, place: Place) -> Iterator[Tree]:
    """Yield the names whose index may have slipped: one unit for all, the first units of a longer array."""
    depth, layer = scene.ground.depth, scene.layer
    widths = scene.ground.problem.network.widths
    if not _is_small(scene) or place == "weights":
        return
    if place == "ways":
        yield from (("unit", name("W", 1), unit) for unit in range(widths[layer + 1]))
        return
    for k in range(-1, depth):
        for kind in ("A", "Z", "dZ", "b", "db"):
            leaf = name(kind, k - layer)
            yield ("head", leaf)
            for unit in range(widths[k + 1]):
                yield ("unit", leaf, unit)
    examples = range(-1, min(scene.ground.samples, WIDEST))
    yield from (("example", leaf, s) for leaf in (name("Y"), name("A", -1 - layer)) for s in examples)


def _is_small(scene: Scene) -> bool:
    """Whether somebody may have written the network as loops over single numbers."""
    return not scene.is_usual and scene.ground.depth <= SHALLOW and max(scene.ground.problem.network.widths) <= WIDEST


def _misplaced(scene: Scene, line: Tree, place: Place) -> Iterator[Change]:
    """Yield a line of which the index of what it assigns, or the end of its loop, has slipped."""
    if not _is_small(scene):
        return
    widths = scene.ground.problem.network.widths
    for axis in (0, 1) if place == "weights" else (0,):
        for unit in range(widths[scene.layer + (axis == 0)]):
            yield from ((SLIPPED, (slip, line, unit, axis)) for slip in ("first", "into", "last into"))
        if place == "weights":
            yield SLIPPED, ("below", line, 0, axis)


def _other_numbers(scene: Scene, tree: Tree, place: Place) -> Iterator[Change]:
    if tree[0] == "number":
        value = tree[1]
        for other in dict.fromkeys([value + 1.0, value - 1.0, 2.0 * value, 0.5 * value, -value, 1.0, 0.0]):
            if other != value:
                yield NUMBER, number(other)
    else:
        for other in (("+", tree, number(1.0)), ("-", tree, number(1.0)), ("*", number(2.0), tree), ("*", tree, tree)):
            yield NUMBER, other
        yield NUMBER, number(1.0)
    for leaf in _counts(scene):
        if leaf != tree:
            yield NUMBER, leaf
    for cost, leaf in names_at(scene, place):
        yield cost + 0.05, leaf


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


class Variant(NamedTuple):
    """A line with an edit: its cost, the line before it, where the edit is, what stands there, and the line as it should be."""

    cost: float
    line: Tree
    path: tuple[int, ...]
    part: Tree
    right: Tree

    @property
    def tree(self) -> Tree:
        """The line after the edit."""
        return put(self.line, self.path, self.part)


def _twice(scene: Scene, lines: list[Tree], place: Place) -> Iterator[tuple[Spot, list[Variant]]]:
    """Yield the usual writings of a line with two usual edits, by the place of the second one."""
    ground = scene.ground
    most = BOTH if ground.samples * ground.problem.network.size <= LARGE else BOTH_IN_LARGE
    for line in lines[:1]:
        for first in spots(line, place):
            for cost, part in _at(scene, first.tree, first.place):
                if cost <= USUAL:
                    yield from _changed(scene, put(line, first.path, part), place, line, cost, most)


def _once(scene: Scene, lines: list[Tree], place: Place) -> Iterator[tuple[Spot, list[Variant]]]:
    """Yield every line with one edit, by the place of it."""
    for line in lines:
        yield from _changed(scene, line, place, line)
        whole = [*(_fewer_examples(scene, line) if place == "units" else ()), *_misplaced(scene, line, place)]
        yield Spot((), line, place), [Variant(cost, line, (), part, line) for cost, part in whole]


def _changed(
    scene: Scene, line: Tree, place: Place, right: Tree, spent: float = 0.0, most: float = np.inf
) -> Iterator[tuple[Spot, list[Variant]]]:
    """Yield the edits of a line, by their place."""
    for spot in spots(line, place):
        changes = ((spent + cost, part) for cost, part in _at(scene, spot.tree, spot.place))
        yield spot, [Variant(cost, line, spot.path, part, right) for cost, part in changes if cost <= most]


def _tried(scene: Scene, lines: list[Tree], place: Place, shape: tuple[int, ...]) -> Iterator[tuple[list[Variant], Array]]:
    """Yield the edits of a line, or the pairs of edits, some at a time, and what each gives on the fingerprint."""
    for spot, variants in (_twice if scene.is_usual else _once)(scene, lines, place):
        if not variants:
            continue
        for chosen, values in stacks(scene, variants[0].line, place, spot, [one.part for one in variants]):
            try:
                yield [variants[k] for k in chosen], np.broadcast_to(values, (len(chosen), *shape))
            except ValueError:
                continue


def flow_edits(ground: Ground, layer: int, above: Flow | None, pairs: bool = False) -> list[tuple[Cause, Flow]]:
    """Return the edits of the line of ∂J/∂z that can explain a claim of its layer, the usual ones first; or pairs of edits."""
    marks = fingerprint(ground, layer, data=True)
    sizes = [0 if one is None else one.size for one in (marks.weights, marks.bias)]
    if sum(sizes) < (LEAST_FOR_PAIRS if pairs else 1):
        return []
    inputs = ground.inputs(layer)[:, marks.columns]
    found: list[tuple[float, Edit]] = []
    for late in (False, True) if ground.problem.network.reduction == "mean" else (False,):
        scene = Scene(ground, layer, above, None, late, marks.units, marks.columns, is_usual=pairs)
        scale = 1.0 / ground.samples if late else 1.0
        fitting: list[tuple[float, Variant]] = []
        waiting: list[tuple[list[Variant], Array]] = []
        held = 0
        for variants, deltas in _tried(scene, flow_lines(ground, layer, late), "units", (ground.samples, marks.units.size)):
            waiting.append((variants, scale * deltas))
            held += deltas.size
            if held >= AT_ONCE:
                ground.tick(layer)
                fitting += _sieved(waiting, inputs, marks)
                waiting, held = [], 0
        fitting += _sieved(waiting, inputs, marks) if waiting else []
        found += _edits_of(fitting, late, pairs)
    return _whole_flows(ground, layer, above, sorted(found, key=lambda pair: pair[0]))


def _fewer_examples(scene: Scene, line: Tree) -> Iterator[Change]:
    """Yield the output's line for the first examples only, with m and with their number."""
    if scene.layer + 1 < scene.ground.depth:
        return
    for leaf in _counts(scene):
        if scene.value_of(leaf) < scene.ground.samples:
            yield SLIPPED, ("examples", line, leaf)
            yield SLIPPED, ("examples", _with_count(line, leaf), leaf)


def _with_count(tree: Tree, leaf: Tree) -> Tree:
    if tree == count("m"):
        return leaf
    return tuple(_with_count(part, leaf) if isinstance(part, tuple) else part for part in tree)


def _edits_of(fitting: list[tuple[float, Variant]], late: bool, pairs: bool) -> list[tuple[float, Edit]]:
    """Return the edits that make lines, each line once, with what speaks against them."""
    edits: dict[Tree, tuple[float, Edit]] = {}
    for cost, variant in fitting:
        tree = variant.tree
        if tree not in edits:
            edits[tree] = cost, Edit(tree, variant.right, late, count=1 + pairs)
    return list(edits.values())


def _sieved(waiting: list[tuple[list[Variant], Array]], inputs: Array, marks: Fingerprint) -> list[tuple[float, Variant]]:
    """Return the edits that a claim can be, those first that are all of it without a factor."""
    variants = [one for some, _ in waiting for one in some]
    deltas = np.concatenate([stack for _, stack in waiting])
    exact = np.zeros((2, len(variants)), dtype=bool)
    fits = np.zeros(len(variants), dtype=bool)
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
    return [(variants[k].cost + PARTLY * (not whole[k]), variants[k]) for k in np.flatnonzero(fits)]


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
        fitting: list[tuple[float, Variant]] = []
        for variants, values in _tried(scene, tensor_lines(ground, layer, kind, late), place, shape):
            fits = _exactly(values.reshape(len(variants), -1), claimed.ravel(), marks.tolerance)
            fitting += [(variants[k].cost, variants[k]) for k in np.flatnonzero(fits)]
        edits = _edits_of(fitting, late, pairs)
        if not all(_has_names(edit.tree) for _, edit in edits):
            return []  # a number that the program has, which is no more evidence than one number is
        found += edits
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
