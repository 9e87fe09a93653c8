"""What can be done to a line: every small change of a tree, by rules that know no mistake.

The kinds of change are a name for another that fits, one operation for another, a part left out or there twice, other
parentheses, another number of the program's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from fastgrad.diagnosis.lines import ARRIVES, Place, Scene, Tree, activation_name, count, name, number
from fastgrad.diagnosis.variants import Spot, put, spots

FAR_OFF = 2
"""Layers up and down of which names are tried, in networks of more than `SHALLOW`; beside them the output's and the input's."""
SHALLOW = 8
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
LONGEST_OF_PAIRS = 12
"""Parts of a line of which pairs are tried: 1/(1 + exp(−z)) times ∂J/∂a has so many. Pairs grow with the square of it."""
LARGE = 2**20
"""Examples times parameters from which a network is large."""
WIDEST = 12
"""Units of a layer up to which each is tried in the place of all."""


def _changes_at(scene: Scene, tree: Tree, place: Place) -> Iterator[Change]:
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
        yield OPERATION, ("**", tree[2], tree[1])
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
        for kind in ("A", "Z", "dZ", "dA", "slope", "b", "db", "W", "dW", "share"):
            for turned in (False, True) if kind in ("W", "dW", "share", "b", "db") else (False,):
                leaf = name(kind, k - layer, turned)
                is_near = abs(k - layer) < 2
                if (is_near or not scene.is_usual) and scene.named(leaf, place) is not None:
                    found.append((NAME if is_near else FAR_NAME, leaf))
    if scene.named(name("Y"), place) is not None:
        found.append((NAME, name("Y")))
    for kind in ("exp", "shifted", "log"):
        leaf = name(kind, depth - 1 - layer)
        if scene.named(leaf, place) is not None:
            found.append((NAME, leaf))
    return found


def _counts(scene: Scene) -> list[Tree]:
    """Return the numbers that a program has: of examples, outputs, layers, the layer's own, of units, and its losses."""
    if scene.is_usual:
        return []
    widths = scene.ground.problem.network.widths
    known = [count(what) for what in ("m", "K", "layers", "layer", "index", "from the end", "loss")]
    if any(l2 or l1 for _, l2, l1 in scene.ground.problem.network.penalties):
        known += [count("data loss"), count("penalty")]
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
    examples = range(-1, min(scene.ground.samples - 1, WIDEST))
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


def _everywhere(scene: Scene, line: Tree, place: Place) -> Iterator[Change]:
    """Yield a line in which a value that it has twice is changed in both places: it was worked out, or handed over, once."""
    parts = [(one.tree, one.place) for one in spots(line, place) if one.tree[0] == "f" or one.tree[:2] in _VALUES]
    for part, where in dict.fromkeys(parts):
        if parts.count((part, where)) > 1:
            for spot in spots(part, where):
                for cost, changed in _changes_at(scene, spot.tree, spot.place):
                    yield cost, _exchanged(line, part, put(part, spot.path, changed))


_VALUES = (("name", "A"), ("name", "Z"))


def _exchanged(tree: Tree, part: Tree, other: Tree) -> Tree:
    """Return a tree with one thing in the place of another, wherever that stands."""
    if tree == part:
        return other
    return tuple(_exchanged(inner, part, other) if isinstance(inner, tuple) else inner for inner in tree)


def _fewer_examples(scene: Scene, line: Tree) -> Iterator[Change]:
    """Yield the output's line for the first examples only, with m and with their number."""
    if scene.layer + 1 < scene.ground.depth:
        return
    for leaf in _counts(scene):
        if scene.value_of(leaf) < scene.ground.samples:
            yield SLIPPED, ("examples", line, leaf)
            yield SLIPPED, ("examples", _exchanged(line, count("m"), leaf), leaf)


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


def twice(scene: Scene, lines: list[Tree], place: Place) -> Iterator[tuple[Spot, list[Variant]]]:
    """Yield the usual writings of a line with two usual edits, by the place of the second one."""
    ground = scene.ground
    most = BOTH if ground.samples * ground.problem.network.size <= LARGE else BOTH_IN_LARGE
    for line in [line for line in lines if sum(1 for _ in spots(line, place)) <= LONGEST_OF_PAIRS][:1]:
        for first in spots(line, place):
            for cost, part in _changes_at(scene, first.tree, first.place):
                if cost <= USUAL:
                    yield from _changed(scene, put(line, first.path, part), place, line, cost, most)


def once(scene: Scene, lines: list[Tree], place: Place) -> Iterator[tuple[Spot, list[Variant]]]:
    """Yield every line with one edit, by the place of it."""
    for line in lines:
        yield from _changed(scene, line, place, line)
        fewer = _fewer_examples(scene, line) if place == "units" else ()
        whole = [*fewer, *_misplaced(scene, line, place), *_everywhere(scene, line, place)]
        yield Spot((), line, place), [Variant(cost, line, (), part, line) for cost, part in whole]


def _changed(
    scene: Scene, line: Tree, place: Place, right: Tree, spent: float = 0.0, most: float = np.inf
) -> Iterator[tuple[Spot, list[Variant]]]:
    """Yield the edits of a line, by their place."""
    for spot in spots(line, place):
        changes = ((spent + cost, part) for cost, part in _changes_at(scene, spot.tree, spot.place))
        yield spot, [Variant(cost, line, spot.path, part, right) for cost, part in changes if cost <= most]
