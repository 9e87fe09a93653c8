"""The lines of a backward pass as small trees, and what a tree gives at a layer: numbers, with the rounding of each.

A tree is a tuple: an operation and its parts. Its leaves are the names and numbers that such a program has in scope, by
their distance from the layer that the line is for, so that one tree is one mistake at every layer. `edits` changes them.

Arrays lie as the library has them, examples in rows. Where a name stands decides what fits there, as in the user's own
code: a place holds (m, n) numbers of a layer's units, weights (n_out, n_in), or a bias; vectors are broadcast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np

from fastgrad.diagnosis.ground import Estimate, Flow, Ground, tabulated
from fastgrad.kernels import codes
from fastgrad.model.activations import ACTIVATION_CODES, parse_activation
from fastgrad.model.forward import growth
from fastgrad.model.network import Array, Offsets

Tree = tuple[Any, ...]
Place = Literal["units", "summed", "above", "ways", "inputs", "weights", "bias"]
"""(m, n) of the layer; the same under a sum; (m, n) of the layer above; W of the layer above; (m, n) of what enters; dW; db."""
MOST_BELOW = 2**18
"""Numbers that ∂J/∂a of the layer below may have for its name to be tried in dW and db."""
MOST_HELD = 2**22
"""Numbers that are kept to be used again, 32 MiB: what is many and small is, of many examples nothing."""
LARGEST = 2**22
"""Numbers that one tree may take on its way."""


class UnfitError(Exception):
    """A tree means nothing at this layer."""


class Part(NamedTuple):
    """What a tree gives: numbers, and what rounding does to them in units of u; None where that was not asked for."""

    values: Any
    error: Any


def name(kind: str, offset: int = 0, turned: bool = False) -> Tree:
    """Return the leaf of an array: its kind, how many layers above this one, and whether it is transposed."""
    return ("name", kind, offset, turned)


def number(value: float) -> Tree:
    """Return the leaf of a number that is written in the code."""
    return ("number", value)


def count(what: str, offset: int = 0) -> Tree:
    """Return the leaf of a number that the program has: m, or the width n of a layer."""
    return ("count", what, offset)


SLIPS = ("first", "into", "last into", "below")
"""What indices that slip make of a line: its first units only, all units in the place of one, the last in the place of another,
and of a matrix what lies below its diagonal."""
ARRIVES = ("@", "*", name("dZ", 1), name("W", 1))
"""∂J/∂a of a layer: what the layer above sends down."""


def children(tree: Tree, place: Place) -> Iterator[tuple[int, Tree, Place]]:
    """Yield the parts of a tree that are trees: where they stand in it, and what kind of place that is."""
    operation = tree[0]
    if operation in ("name", "number", "count", "unit", "head", "example", "examples"):
        return
    if operation in SLIPS:
        yield 1, tree[1], place
        return
    if operation == "@":
        yield from ((2, tree[2], "above"), (3, tree[3], "ways"))
    elif operation == "outer":
        yield from ((2, tree[2], "units"), (3, tree[3], "inputs"))
    elif operation == "sum":
        yield 2, tree[2], "summed"
    elif operation == "f":
        yield 2, tree[2], place
    elif operation == "mask":
        yield from ((k, tree[k], place) for k in (2, 3, 4))
    elif operation == "**":
        yield 1, tree[1], place
        yield 2, tree[2], place
    else:
        yield from ((k, tree[k], place) for k in (1, 2))


@dataclass(eq=False)
class Scene:
    """A layer in which trees are evaluated: some of its units and inputs, or all.

    Attributes
    ----------
    ground : Ground
        The problem.
    layer : int
        From 0.
    above : Flow or None
        ∂J/∂z of the layer above as the backward pass has it.
    flow : Flow or None
        ∂J/∂z of this layer; None on the line that makes it.
    late : bool
        Whether the 1/m is left to dW and db: then the flow is m times as large.
    units, columns : ndarray or slice
        The units and inputs that are looked at.
    rounding : bool
        Whether the rounding is worked out too.
    is_usual : bool
        Whether the usual edits alone are asked for: names from near, no slipped indices.
    memory, fitting : dict
        What was worked out already, as far as it is small; the names that fit a place, with what `edits` has each cost.
    held : int
        Numbers that were worked out.
    """

    ground: Ground
    layer: int
    above: Flow | None
    flow: Flow | None
    late: bool = False
    units: Offsets | slice = field(default_factory=lambda: slice(None))
    columns: Offsets | slice = field(default_factory=lambda: slice(None))
    rounding: bool = False
    is_usual: bool = False
    memory: dict[tuple[Tree, Place], Part] = field(default_factory=dict)
    fitting: dict[Place, list[tuple[float, Tree]]] = field(default_factory=dict)
    held: int = 0

    def part(self, tree: Tree, place: Place) -> Part:
        """Return what a tree gives at a place.

        Raises
        ------
        UnfitError
            If a name does not fit.
        """
        key = tree, place
        found = self.memory.get(key)
        if found is None:
            found = self._made(tree, place)
            self.held += np.size(found.values)
            if self.held <= MOST_HELD:
                self.memory[key] = found
        return found

    def _made(self, tree: Tree, place: Place) -> Part:
        operation = tree[0]
        if operation == "name":
            part = self.named(tree, place)
            if part is None:
                raise UnfitError
            return part
        if operation in ("number", "count"):
            value = np.float64(self.value_of(tree))
            error = growth(self.ground.samples) * np.abs(value) * (operation == "count" and "loss" in tree[1])
            return Part(value, error if self.rounding else None)
        if operation in ("unit", "head", "example"):
            return self._slipped(tree, place)
        if operation in SLIPS:
            return self._misplaced(tree, place)
        if operation == "examples":
            return self._some_examples(tree, place)
        return self._combined(tree, [self.part(part, where) for _, part, where in children(tree, place)])

    def combined(self, tree: Tree, values: Sequence[Array]) -> Array:
        """Return what the operation at the root of a tree makes of the values of its parts; of a stack of values, a stack.

        Raises
        ------
        UnfitError
            If they do not fit.
        """
        return np.asarray(self._combined(tree, [Part(one, None) for one in values]).values)

    def _combined(self, tree: Tree, parts: Sequence[Part]) -> Part:
        """Return what the operation at the root makes of its parts, whose last two axes are those of a line."""
        operation = tree[0]
        if operation in ("@", "outer"):
            return self._contracted(operation, tree[1], *parts)
        if operation == "sum":
            return _summed(tree[1], *parts)
        if operation == "f":
            return self._applied(tree[1], *parts)
        if operation == "mask":
            return _masked(tree[1], *parts)
        return _OPERATIONS[operation](*parts)

    def value_of(self, leaf: Tree) -> float:
        """Return the value of a number."""
        if leaf[0] == "number":
            return float(leaf[1])
        if leaf[1] == "m":
            return float(self.ground.samples)
        if leaf[1] == "K":
            return float(self.ground.problem.network.widths[-1])
        depth = self.ground.depth
        layers = {"layers": depth, "layer": self.layer + 1, "index": self.layer, "from the end": depth - self.layer}
        if leaf[1] in layers:
            return float(layers[leaf[1]])
        losses = self.ground.numerical.base
        if leaf[1] in ("loss", "data loss", "penalty"):
            data = float(losses.losses.sum())
            return {"loss": losses.loss, "data loss": data, "penalty": losses.loss - data}[leaf[1]]
        if leaf[1] == "squares":
            return float(np.square(self.ground.W(self.layer)).sum())
        k = self.layer + 1 + leaf[2]
        widths = self.ground.problem.network.widths
        if not 0 <= k < len(widths):
            raise UnfitError
        return float(widths[k])

    # Names.

    @property
    def _width(self) -> int:
        return self.ground.problem.network.widths[self.layer + 1]

    def size_at(self, place: Place) -> int:
        """Return the number of units at a place of examples and units."""
        widths = self.ground.problem.network.widths
        if place == "inputs":
            return widths[self.layer]
        return widths[self.layer + 2] if place == "above" else self._width

    def shape_at(self, place: Place) -> tuple[int, int]:
        """Return the rows and columns of a place, of the units and inputs that are looked at."""
        units = len(range(self._width)[self.units]) if isinstance(self.units, slice) else self.units.size
        if place == "bias":
            return 1, units
        if place == "ways":
            return self.size_at("above"), units
        if place == "above":
            return self.ground.samples, self.size_at("above")
        if place in ("inputs", "weights"):
            inputs = self.size_at("inputs")
            columns = len(range(inputs)[self.columns]) if isinstance(self.columns, slice) else self.columns.size
            return (units if place == "weights" else self.ground.samples), columns
        return self.ground.samples, units

    def named(self, leaf: Tree, place: Place) -> Part | None:
        """Return a named array as it lies at a place; None where it does not fit."""
        _, kind, offset, turned = leaf
        k = self.layer + offset
        if kind in ("W", "dW", "share"):
            matrix = self._matrix(kind, k, place)
            if matrix is None:
                return None
            if turned:
                matrix = Part(matrix.values.T, None if matrix.error is None else matrix.error.T)
            return self._laid_matrix(matrix, place)
        if turned and (kind not in ("b", "db") or place != "weights"):
            return None
        if kind == "dA" and not offset and self.flow is None and self.above is not None:
            return self.part(ARRIVES, "units") if place == "units" else None
        if kind in ("b", "db"):
            vector = self._vector(kind, k)
            return None if vector is None else self._laid_vector(vector, place, turned)
        whole = self._examples(kind, k)
        return None if whole is None else self._laid_examples(whole, place)

    def _matrix(self, kind: str, k: int, place: Place) -> Part | None:
        ground = self.ground
        if not 0 <= k < ground.depth:
            return None
        if kind == "W":
            W = ground.W(k)
            return Part(W, np.zeros_like(W) if self.rounding else None)
        # What a line makes cannot be in it; dW is there before db.
        if k < self.layer + (self.flow is None or place not in ("bias", "summed")):
            return None
        return self._claimed(k, "W") if kind == "dW" else self._share(k)

    def _share(self, k: int) -> Part | None:
        """Return the claimed dW before its penalty is added; None where there is none."""
        claim, whole = self.ground.claim(k, "W"), self._claimed(k, "W")
        if claim is None or whole is None or not (claim.l2 or claim.l1):
            return None
        return Part(whole.values - claim.penalty.values, whole.error)

    def _vector(self, kind: str, k: int) -> Part | None:
        ground = self.ground
        if not 0 <= k < ground.depth:
            return None
        if kind == "b":
            b = ground.problem.network.b(ground.problem.theta, k)
            return Part(b, np.zeros_like(b) if self.rounding else None) if b.size else None
        return None if k <= self.layer else self._claimed(k, "b")

    def _claimed(self, k: int, kind: Literal["W", "b"]) -> Part | None:
        claim = self.ground.claim(k, kind)
        if claim is None or not np.isfinite(claim.values).all():
            return None
        error = self.ground.rightly(k, kind).plus(claim.penalty).rounding if self.rounding else None
        return Part(claim.values, error)

    def _laid_matrix(self, matrix: Part, place: Place) -> Part | None:
        shape, widths = matrix.values.shape, self.ground.problem.network.widths
        if place == "ways" and shape == (widths[self.layer + 2], self._width):
            return _cut(matrix, np.s_[:, self.units])
        if place == "weights" and shape == (self._width, widths[self.layer]):
            return _cut(_cut(matrix, np.s_[self.units]), np.s_[:, self.columns])
        if place == "summed" and self._width in shape:
            turned = matrix if shape[1] == self._width else Part(*(None if x is None else x.T for x in matrix))
            return _cut(turned, np.s_[:, self.units])
        if 1 in shape and place != "ways":
            return self._laid_vector(_flat(matrix), place)
        return None

    def _laid_vector(self, vector: Part, place: Place, turned: bool = False) -> Part | None:
        size = vector.values.size
        if turned:  # one number for each input
            inputs = size == self.size_at("inputs") > 1
            return _cut(_cut(vector, np.s_[self.columns]), np.s_[None]) if inputs else None
        if place == "ways":
            return _cut(vector, np.s_[:, None]) if size == self.size_at("above") else None
        if place == "inputs":
            return _cut(_cut(vector, np.s_[self.columns]), np.s_[None]) if size == self.size_at(place) else None
        if place == "above":
            return _cut(vector, np.s_[None]) if size == self.size_at(place) else None
        if size not in (1, self._width):
            return None
        row = _cut(vector, np.s_[None]) if size == 1 else _cut(_cut(vector, np.s_[self.units]), np.s_[None])
        return _cut(row, np.s_[0, :, None]) if place == "weights" else row

    def _examples(self, kind: str, k: int) -> Part | None:
        """Return an array of examples and units."""
        ground = self.ground
        if kind == "Y":
            values = ground.numerical.base.tables.outputs[codes.TARGET]
            return Part(values, np.zeros_like(values) if self.rounding else None)
        if kind == "factor":
            values = ground.numerical.base.tables.outputs[codes.FACTOR]
            return Part(values, np.abs(values) if self.rounding else None)
        if kind == "dA" and k == -1 == self.layer - 1:
            return self._flow(kind, k)
        if kind == "A" and k == -1:
            X = ground.inputs(0)
            return Part(X, np.zeros_like(X) if self.rounding else None)
        if not 0 <= k < ground.depth:
            return None
        if kind == "A":
            return self._outputs(k)
        if kind == "Z":
            z = ground.plane(codes.Z, k)
            return Part(z, ground.numerical.base.z_error[k] if self.rounding else None)
        if kind == "mask":
            return Part(ground.plane(codes.SCALE, k), None if not self.rounding else 0.0 * ground.plane(codes.SCALE, k))
        if kind == "slope":
            if k + 1 == ground.depth and ground.problem.network.from_logits:
                return None
            return Part(ground.plane(codes.SLOPE, k), ground.numerical.base.slope_error[k] if self.rounding else None)
        if kind in ("dZ", "dA"):
            return self._flow(kind, k)
        return self._scores(kind) if kind in ("exp", "shifted", "log") and k + 1 == ground.depth else None

    def _scores(self, kind: str) -> Part | None:
        """Return exp z of the output before a softmax divides by its sum; z with its largest taken off, where that is done."""
        ground = self.ground
        if ground.problem.network.activations[-1] != "softmax":
            return None
        z = ground.numerical.base.tables.outputs[codes.OUTPUT]
        if kind == "log":
            shifted = z - z.max(axis=1, keepdims=True)
            values = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
            return Part(values, ground.numerical.base.a_error[-1] + 4.0 * (1.0 + np.abs(shifted)) if self.rounding else None)
        values = np.exp(z - z.max(axis=1, keepdims=True) if kind == "shifted" else z)
        return Part(values, 2.0 * values * ground.numerical.base.a_error[-1] + 4.0 * values if self.rounding else None)

    def _outputs(self, k: int) -> Part:
        ground, base = self.ground, self.ground.numerical.base
        if k + 1 < ground.depth or not ground.problem.network.from_logits:
            return Part(base.activations[k + 1], base.a_error[k] if self.rounding else None)
        z = base.tables.outputs[codes.OUTPUT]
        softmax = ground.problem.network.loss_name == "softmax_crossentropy" or (
            ground.problem.network.loss_code >= codes.OF_SOFTMAX
        )
        p = base.tables.outputs[codes.PROBABILITY] if softmax else tabulated(codes.SIGMOID, 0.0, z)[0]
        if not self.rounding:
            return Part(p, None)
        moved = base.a_error[-1]
        return Part(p, p * (4.0 + moved + (p * moved).sum(axis=1, keepdims=True)) if softmax else p * (4.0 + (1.0 - p) * moved))

    def _flow(self, kind: str, k: int) -> Part | None:
        if k + 1 == self.layer and self.flow is not None:
            flow = self.below if self.layer or kind == "dA" else None
        elif k < self.layer or (k == self.layer and self.flow is None):
            return self._output_slope(kind, k)
        else:
            flow = self.flow if k == self.layer else self.above if k == self.layer + 1 else self.ground.right[k]
        if flow is None:
            return None
        values, error = (flow.delta, flow.error) if kind == "dZ" else (flow.arrived, flow.arrived_error)
        if kind == "dA" and k + 1 == self.ground.depth and self.ground.problem.network.from_logits:
            return self._before_sigmoid(flow)
        scale = float(self.ground.samples) if self.late else 1.0
        return Part(scale * values, scale * error if self.rounding else None)

    @cached_property
    def below(self) -> Flow | None:
        """The flow of the layer below as this one's makes it: there before dW in many programs; None where it is too large."""
        ground = self.ground
        if self.flow is None or not 0 < ground.samples * self.size_at("inputs") <= MOST_BELOW:
            return None
        arrived, error = ground.sent(self.flow, ground.W(self.layer))
        if not self.layer:
            return Flow(arrived, error, arrived, error)
        slope, slope_error = ground.plane(codes.SLOPE, self.layer - 1), ground.numerical.base.slope_error[self.layer - 1]
        return ground.through(arrived, error, slope, slope_error)

    @cached_property
    def whole(self) -> Scene:
        """The same with all units and inputs."""
        return replace(self, units=slice(None), columns=slice(None), memory={}, fitting={}, held=0)

    def _output_slope(self, kind: str, k: int) -> Part | None:
        """Return ∂J/∂a of the output on the line that makes its ∂J/∂z."""
        if kind != "dA" or k != self.layer or k + 1 != self.ground.depth:
            return None
        right = self.ground.right[k]
        if self.ground.problem.network.from_logits:
            return self._before_sigmoid(right)
        return Part(right.arrived, right.arrived_error if self.rounding else None)

    def _before_sigmoid(self, flow: Flow) -> Part | None:
        """Return ∂J/∂a of an output whose sigmoid the loss contains; None where there is no such slope."""
        network = self.ground.problem.network
        if network.activations[-1] != "sigmoid":
            return None
        p = self._outputs(self.ground.depth - 1).values
        scale = float(self.ground.samples) if self.late else 1.0
        with np.errstate(all="ignore"):
            values = scale * flow.delta / (p * (1.0 - p))
            if not self.rounding:
                return Part(values, None)
            size = np.abs(self.ground.numerical.base.tables.outputs[codes.OUTPUT])
            return Part(values, scale * flow.error / (p * (1.0 - p)) + np.abs(values) * (4.0 + size) / np.minimum(p, 1.0 - p))

    def _laid_examples(self, whole: Part, place: Place) -> Part | None:
        width = whole.values.shape[1]
        if place in ("above", "inputs"):
            if width != self.size_at(place):
                return None
            return _cut(whole, np.s_[:, self.columns]) if place == "inputs" else whole
        if place not in ("units", "summed"):
            return None
        if width == self._width:
            return _cut(whole, np.s_[:, self.units])
        return whole if width == 1 else None

    def _slipped(self, tree: Tree, place: Place) -> Part:
        """Return one unit, or one example, of an array in place of each, or the first units of a longer one."""
        _, kind, offset, _ = tree[1]
        if kind == "W":
            weights = None if place != "ways" else self.whole.named(tree[1], place)
            return _one_of(weights, 1, tree[2])
        whole = self._vector(kind, self.layer + offset) if kind in ("b", "db") else self._examples(kind, self.layer + offset)
        if whole is None:
            raise UnfitError
        if tree[0] == "example":
            laid = self._laid_examples(whole, place) if whole.values.ndim > 1 else None
            return _one_of(laid, 0, tree[2])
        if whole.values.ndim == 1:
            whole = _cut(whole, np.s_[None])
        if tree[0] == "unit":
            return _one_of(None if place == "ways" else whole, 1, tree[2])
        if whole.values.shape[1] <= self.size_at(place):
            raise UnfitError
        part = _cut(whole, np.s_[:, : self.size_at(place)])
        chosen = {"inputs": self.columns, "above": slice(None)}.get(place, self.units)
        return _cut(part, np.s_[:, chosen])

    def _misplaced(self, tree: Tree, place: Place) -> Part:
        """Return what a line gives for its first units only, or with all units, or the last, in the place of one.

        A tree of it is (slip, line, unit, axis): of dW the axis is that of the units, 0, or of the inputs, 1.
        """
        slip, line, unit, axis = tree
        n, k = self._width, self.size_at("inputs")
        shape = {"weights": (n, k), "bias": (1, n)}.get(place, (self.ground.samples, n))
        axis = axis if place == "weights" else 1
        if unit >= shape[axis]:
            raise UnfitError
        move = {"first": _first, "into": _into, "last into": _last_into, "below": _below}[slip]
        whole = (None if x is None else np.broadcast_to(x, shape) for x in self.whole.part(line, place))
        part = Part(*(None if x is None else move(x, unit, axis) for x in whole))
        return (
            _cut(_cut(part, np.s_[self.units]), np.s_[:, self.columns])
            if place == "weights"
            else _cut(part, np.s_[:, self.units])
        )

    def _some_examples(self, tree: Tree, place: Place) -> Part:
        """Return numbers of the first examples only, 0 for the others: a loop that ends too early."""
        part, most = self.part(tree[1], place), int(self.value_of(tree[2]))
        if not 0 < most < self.ground.samples or len(part.values) != self.ground.samples:
            raise UnfitError
        kept = (np.arange(self.ground.samples) < most)[:, None] * 1.0
        return Part(part.values * kept, None if part.error is None else part.error * kept)

    # Operations.

    def _contracted(self, operation: str, how: str, left: Part, right: Part) -> Part:
        """Return Σ over the units above (or over the examples) of one thing times another, or of another operation."""
        if operation == "@":
            n = self.size_at("above")
            a = Part(*(None if x is None else _across(x, n) for x in left))
            b = Part(*(None if x is None else _down(x, n) for x in right))
        else:  # Σ_s D_sk A_sj: as (k, s) times (s, j)
            m = self.ground.samples
            a = Part(*(None if x is None else _down(x, m).swapaxes(-1, -2) for x in left))
            b = Part(*(None if x is None else _down(x, m) for x in right))
        if how == "*":
            values = a.values @ b.values
            if not self.rounding:
                return Part(values, None)
            spread = np.square(a.error) @ np.square(b.values) + np.square(a.values) @ np.square(b.error)
            return Part(values, np.sqrt(spread + np.square(a.values) @ np.square(b.values)) + np.abs(values))
        if a.values.size * b.values.shape[-1] > LARGEST or a.values.shape[-2] * b.values.size > LARGEST:
            raise UnfitError
        first = Part(*(None if x is None else x[..., None] for x in a))
        second = Part(*(None if x is None else x[..., None, :, :] for x in b))
        if how in ("last", "first"):
            place = slice(-1, None) if how == "last" else slice(1)
            first, second = (Part(*(None if x is None else x[..., place, :] for x in part)) for part in (first, second))
            return _reduced(_times(first, second))
        return _reduced(_OPERATIONS[how](first, second))

    def _applied(self, function: str, part: Part) -> Part:
        apply = self.function(function)
        values = apply(part.values)
        if part.error is None:
            return Part(values, None)
        step = 1e-6 * (1.0 + np.abs(part.values))
        growing = np.nan_to_num(np.abs(apply(part.values + step) - apply(part.values - step)) / (2.0 * step), posinf=0.0)
        growing = np.where(growing * step > 0.01, 0.0, growing)  # across a jump a quotient says nothing
        return Part(values, growing * part.error + 4.0 * (1.0 + np.abs(values)))

    def function(self, function: str) -> Callable[[Array], Array]:
        """Return a function of one array by its name; f and slope are this layer's own."""
        if function in _FUNCTIONS:
            return _FUNCTIONS[function]
        if function in ("f", "slope"):
            network = self.ground.problem.network
            if self.layer + 1 == network.depth and network.from_logits:
                raise UnfitError
            code, parameter = network.activation_codes[self.layer], network.activation_parameters[self.layer]
        else:
            name, parameter = parse_activation(function.split("'")[0])
            code = ACTIVATION_CODES[name]
        which = 1 if function == "slope" or function.endswith("'") else 0

        def apply(x: Array) -> Array:
            rows = np.ascontiguousarray(np.atleast_2d(x))
            return tabulated(code, parameter, rows.reshape(-1, rows.shape[-1]))[which].reshape(rows.shape)

        return apply


def _summed(how: str, part: Part) -> Part:
    """Return a sum over the examples, or what stands in its place."""
    if np.ndim(part.values) < 2:
        raise UnfitError
    if how == "sum":
        return _reduced(part, keep=True)
    if how == "mean":
        return _times(_reduced(part, keep=True), Part(np.float64(1.0 / part.values.shape[-2]), np.float64(0.0)))
    if how in ("max", "min"):
        values = (np.max if how == "max" else np.min)(part.values, axis=-2, keepdims=True)
        return Part(values, None if part.error is None else part.error.max(axis=-2, keepdims=True))
    if how in ("first", "last"):
        row = np.s_[..., :1, :] if how == "first" else np.s_[..., -1:, :]
        return _cut(part, row)
    raise UnfitError


def _masked(comparison: str, tested: Part, inside: Part, outside: Part) -> Part:
    """Return one thing where another compares so with 0, a third elsewhere."""
    chosen = _COMPARISONS[comparison](tested.values, 0.0)
    values = np.where(chosen, inside.values, outside.values)
    if inside.error is None:
        return Part(values, None)
    return Part(values, np.where(chosen, inside.error, outside.error))


def _down(x: Array, rows: int) -> Array:
    """Return values with so many rows, each alike where there was one."""
    x = np.atleast_2d(x)
    return np.broadcast_to(x, (*x.shape[:-2], rows, x.shape[-1]))


def _across(x: Array, columns: int) -> Array:
    """Return values with so many columns, each alike where there was one."""
    x = np.atleast_2d(x)
    return np.broadcast_to(x, (*x.shape[:-1], columns))


def _cut(part: Part, place: Any) -> Part:
    return Part(part.values[place], None if part.error is None else part.error[place])


def _one_of(part: Part | None, axis: int, place: int) -> Part:
    """Return one row, or one column, of an array as such; -1 is the last."""
    if part is None or part.values.ndim < 2 or not -1 <= place < part.values.shape[axis]:
        raise UnfitError
    chosen = slice(place, None if place == -1 else place + 1)
    return _cut(part, np.s_[chosen] if axis == 0 else np.s_[:, chosen])


def _first(values: Array, most: int, axis: int) -> Array:
    kept = np.arange(values.shape[axis]) < most
    return values * (kept if axis else kept[:, None])


def _into(values: Array, place: int, axis: int) -> Array:
    moved = np.zeros(values.shape)
    moved[(slice(None),) * axis + (place,)] = values.sum(axis=axis)
    return moved


def _last_into(values: Array, place: int, axis: int) -> Array:
    moved = np.zeros(values.shape)
    moved[(slice(None),) * axis + (place,)] = values.take(-1, axis=axis)
    return moved


def _below(values: Array, offset: int, axis: int) -> Array:
    """Return what lies below the diagonal: a loop that ends at the other loop's index."""
    return np.tril(values, -1) if axis else np.triu(values, 1)


def _flat(part: Part) -> Part:
    return Part(part.values.ravel(), None if part.error is None else part.error.ravel())


def _reduced(part: Part, keep: bool = False) -> Part:
    """Return the sum over the last axis but one."""
    values = part.values.sum(axis=-2, keepdims=keep)
    if part.error is None:
        return Part(values, None)
    spread = np.square(part.error) + np.square(part.values)
    return Part(values, np.sqrt(spread.sum(axis=-2, keepdims=keep)) + np.abs(values))


def _plus(left: Part, right: Part) -> Part:
    values = left.values + right.values
    return Part(values, None if left.error is None else np.hypot(left.error, right.error) + np.abs(values))


def _minus(left: Part, right: Part) -> Part:
    values = left.values - right.values
    return Part(values, None if left.error is None else np.hypot(left.error, right.error) + np.abs(values))


def _times(left: Part, right: Part) -> Part:
    values = left.values * right.values
    if left.error is None:
        return Part(values, None)
    error = np.hypot(left.error * right.values, left.values * right.error)
    return Part(values, error + np.abs(values))


def _over(left: Part, right: Part) -> Part:
    values = left.values / right.values
    if left.error is None:
        return Part(values, None)
    error = np.hypot(left.error / right.values, values * (right.error / right.values))
    return Part(values, error + np.abs(values))


def _power(left: Part, right: Part) -> Part:
    values = np.power(left.values, right.values)
    if left.error is None:
        return Part(values, None)
    slope = np.abs(right.values * np.power(left.values, right.values - 1.0))
    return Part(values, slope * left.error + np.abs(values))


def _larger(left: Part, right: Part) -> Part:
    values = np.maximum(left.values, right.values)
    return Part(values, None if left.error is None else np.maximum(left.error, right.error))


_OPERATIONS: dict[str, Callable[[Part, Part], Part]] = {
    "+": _plus,
    "-": _minus,
    "*": _times,
    "/": _over,
    "**": _power,
    "max": _larger,
}
_COMPARISONS: dict[str, Any] = {">": np.greater, ">=": np.greater_equal, "<": np.less, "<=": np.less_equal}
_FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "step": lambda x: np.where(x > 0.0, 1.0, 0.0),
    "step at 0": lambda x: np.where(x >= 0.0, 1.0, 0.0),
    "step down": lambda x: np.where(x < 0.0, 1.0, 0.0),
    "step at 1": lambda x: np.where(x > 1.0, 1.0, 0.0),
    "step at -1": lambda x: np.where(x > -1.0, 1.0, 0.0),
    "sign": np.sign,
    "abs": np.abs,
    "exp": np.exp,
    "cosh": np.cosh,
    "sinh": np.sinh,
    "negative": np.negative,
}


def flow_of(scene: Scene, tree: Tree) -> Flow | None:
    """Return the ∂J/∂z of a whole layer that a tree gives; None where it gives none."""
    shape = scene.ground.samples, scene._width
    try:
        part = scene.part(tree, "units")
    except UnfitError:
        return None
    values, error = (np.broadcast_to(array, shape) for array in (part.values, part.error))
    if scene.late:
        values, error = values / shape[0], error / shape[0]
    if not np.isfinite(values).all():
        return None
    # What arrives is the last factor's other side; where there is none such, it is not known and the flow stands for it.
    arrived = flow_arrived(scene, tree)
    if arrived is None:
        return Flow(values, error, values, error)
    return Flow(*arrived, values, error)


def flow_arrived(scene: Scene, tree: Tree) -> tuple[Array, Array] | None:
    """Return ∂J/∂a on the way to what a tree gives: its part that comes down through weights."""
    for part in _parts_of(tree):
        if part[0] == "@":
            found = scene.part(part, "units")
            shape = scene.ground.samples, scene._width
            scale = float(shape[0]) if scene.late else 1.0
            values, error = (np.broadcast_to(array, shape) / scale for array in found)
            return values, error
    return None


def _parts_of(tree: Tree) -> Iterator[Tree]:
    yield tree
    for _, part, _ in children(tree, "units"):
        yield from _parts_of(part)


def estimate_of(scene: Scene, tree: Tree, place: Place) -> Estimate | None:
    """Return the numbers that a tree gives for dW or db; None where it gives none."""
    widths = scene.ground.problem.network.widths
    n, k = widths[scene.layer + 1], widths[scene.layer]
    shape = (n, k) if place == "weights" else (1, n)
    try:
        part = scene.part(tree, place)
    except UnfitError:
        return None
    if not np.isfinite(part.values).all():
        return None
    try:
        values, error = (np.broadcast_to(array, shape) for array in part)
    except ValueError:
        return None
    return Estimate(values, error) if place == "weights" else Estimate(values[0], error[0])


def activation_name(ground: Ground, layer: int) -> str:
    """Return the name of a layer's activation."""
    return parse_activation(ground.problem.network.activations[layer])[0]
