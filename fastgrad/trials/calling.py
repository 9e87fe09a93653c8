"""The backward function as its author calls it: arguments in their own form, copied; answers read, changes noticed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastgrad.errors import FunctionError, InputError, told
from fastgrad.model.network import Array, Problem
from fastgrad.reading import Description, Reading, interpret_parts, place_entries, read_parts, target_form
from fastgrad.reading.names import Raw, listed, pair_of_lists
from fastgrad.trials.returned import in_order, parted

Function = Callable[[Any, Any, Any], Any]


@dataclass(frozen=True, eq=False)
class Point:
    """Arguments for one call, in the form of the given ones, and what to call them."""

    name: str
    parameters: Any
    X: Any
    Y: Any
    masks: Any = None


@dataclass(frozen=True, eq=False)
class Given:
    """The point that the user gave, and how it was understood.

    Attributes
    ----------
    point : Point
        As it came.
    problem : Problem
        What it means, without gradients.
    reading : Reading
        How it was read, which holds for all other points.
    description : Description
        What was said, the layout now in it.
    penalty_shared : bool
        Whether the penalty's coefficients are for the given number of examples and go down with more.
    """

    point: Point
    problem: Problem
    reading: Reading
    description: Description
    penalty_shared: bool = False

    @property
    def examples_fixed(self) -> bool:
        """Whether the examples have masks or weights, which the function knows and which drawn ones would not have."""
        return self.point.masks is not None or self.description.example_weights is not None

    def sharing_penalty(self) -> Given:
        """Return the same with a penalty that is divided by the number of examples."""
        return replace(self, penalty_shared=True)

    def samples(self, point: Point) -> int:
        """Return the number of examples of a point."""
        return self.problem_at(point).samples

    def problem_at(self, point: Point, gradients: Any = None, loss: float | None = None) -> Problem:
        """Return what a point means, with the gradients that are claimed there."""
        known = self.description.loss_value if loss is None and point is self.point else loss
        description = replace(self.description, loss_value=known)
        names = {name for name in description.grads or () if name}
        if not (names and isinstance(gradients, Mapping) and names <= gradients.keys()):
            description = replace(description, grads=None)  # a file's names, which a function need not use
        problem = interpret_parts(point.parameters, gradients, point.X, point.Y, description, point.masks)
        if not self.penalty_shared:
            return problem
        share = self.problem.samples / problem.samples
        l2, l1 = (tuple(c * share for c in given) for given in (problem.network.l2, problem.network.l1))
        return replace(problem, network=replace(problem.network, l2=l2, l1=l1))

    def parameters(self, theta: Array) -> Any:
        """Return parameters in the form of the given ones."""
        return _rebuilt(self.point.parameters, self._arrays(theta))

    def _arrays(self, theta: Array) -> dict[str, Raw]:
        """Return the parameter arrays of a theta by their labels."""
        arrays: dict[str, Raw] = {}
        for role in self.reading.chain.roles:
            array = np.empty(role.part.array.shape)
            for tensor in self.problem.tensors:
                if tensor.layer == role.layer and (tensor.kind == role.kind or tensor.column is not None):
                    place_entries(tensor, theta[tensor.start : tensor.stop], array)
            arrays[role.part.label] = _in_type_of(role.part.array, array)
        return arrays

    def inputs(self, X: Array) -> Any:
        """Return inputs, shape (m, n_0), in the form of the given ones."""
        return _as_given(self.point.X, self._oriented(X, np.shape(self.point.X)))

    def labels(self, Y: Array) -> Any:
        """Return labels, shape (m, n_L), or (m,) for classes, in the form of the given ones."""
        shape = np.shape(self.point.Y)
        form = target_form(shape, self.problem.samples, self.problem.network.widths[-1], self.reading.examples)
        if form == "classes" and len(shape) == 2:
            Y = Y.reshape(-1, 1)
            turned = shape[0] == 1 and (shape[1] > 1 or self.reading.examples == "columns")
            return _as_given(self.point.Y, Y.T if turned else Y)
        if form == "columns":
            return _as_given(self.point.Y, Y.T)
        return _as_given(self.point.Y, Y if form in {"rows", "classes"} else self._oriented(Y, shape))

    def _oriented(self, values: Array, shape: tuple[int, ...]) -> Array:
        """Lay examples, shape (m, n), out as arrays of a shape have them."""
        if len(shape) == 2:
            return values.T if self.reading.examples == "columns" else values
        return values.reshape(-1, *shape[1:]) if len(shape) > 2 else values.reshape(-1)

    def single(self, point: Point, example: int) -> Point:
        """Return the point with one of its examples only."""
        problem = self.problem_at(point)
        labels = self.raw_labels(point)
        rows = slice(example, example + 1)
        return replace(point, X=self.inputs(problem.X[rows]), Y=self.labels(labels[rows]))

    def raw_labels(self, point: Point) -> Array:
        """Return the labels of a point as they stand there, shape (m, n_L), or (m,) for classes."""
        values = np.asarray(point.Y)
        samples = values.size // (np.size(self.point.Y) // self.problem.samples)
        shape, outputs = values.shape, self.problem.network.widths[-1]
        form = target_form(shape, samples, outputs, self.reading.examples)
        if form == "classes":
            return values.reshape(-1)
        return values.T if form == "columns" else values.reshape(samples, outputs)


@dataclass(frozen=True, eq=False)
class Answer:
    """What one call gave: the problem with its claim, and the arguments that the call changed in place."""

    problem: Problem
    claimed: Array
    changed: tuple[str, ...]


def understand(parameters: Any, X: Any, Y: Any, description: Description, masks: Any) -> Given:
    """Read the given point, once for all points.

    Raises
    ------
    InputError
        If it makes no network, or more than one.
    """
    # A file's names of gradients are of no use before there are any.
    problem, reading = read_parts(parameters, None, X, Y, replace(description, grads=None), masks)
    column = {None: description.bias_column, 0: "first", -1: "last"}[reading.column]
    settled = replace(description, layout=reading.layout, bias_column=column)
    return Given(Point("the given point", parameters, X, Y, masks), problem, reading, settled)


def ask(backward: Function, given: Given, point: Point) -> Answer:
    """Call the function at a point.

    Raises
    ------
    FunctionError
        If it raises, or returns what are no gradients.
    """
    parameters, X, Y = arguments = copy.deepcopy((point.parameters, point.X, point.Y))
    try:
        returned = backward(*arguments)
    except (FunctionError, KeyboardInterrupt):
        raise
    except BaseException as error:  # whatever a stranger's code may raise, exit() included
        raise FunctionError(told(error)) from None
    changed = _changed("", point.parameters, parameters) + _changed("X", point.X, X) + _changed("Y", point.Y, Y)
    loss, gradients = parted(returned, len(given.reading.chain.roles))
    gradients = in_order(gradients, point.parameters, given.reading.chain.roles)
    try:
        problem = given.problem_at(point, gradients, loss)
    except InputError as error:
        raise FunctionError(f"it returned what cannot be read as the gradients: {error}") from None
    if problem.claimed is None:
        found = f" under {listed(map(repr, gradients))}" if isinstance(gradients, Mapping) and gradients else ""
        names = listed(f"d{tensor.name}" for tensor in problem.tensors if tensor.column is None or tensor.kind == "W")
        raise FunctionError(f"it returned no gradient of any parameter{found}; call them {names}, or as the parameters")
    return Answer(problem, problem.claimed, tuple(changed))


def _changed(name: str, before: Any, after: Any) -> list[str]:
    """Name what is no longer as it was; what a function adds to a dict is its own."""
    if isinstance(before, Mapping):
        return [
            found for key in before for found in _changed(f"{name}[{key}]" if name else str(key), before[key], after.get(key))
        ]
    if isinstance(before, list | tuple) and isinstance(after, list | tuple) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [found for i, (old, new) in pairs for found in _changed(f"{name or 'parameters'}[{i}]", old, new)]
    return [] if _same(before, after) else [name or "parameters"]


def _same(before: Any, after: Any) -> bool:
    """Tell whether two arguments are alike, of which the second may be anything by now."""
    try:
        old, new = np.asarray(before), np.asarray(after)
    except Exception:  # a ragged list, an object with code of its own
        return False
    return old.dtype == new.dtype and np.array_equal(old, new, equal_nan=old.dtype.kind == "f")


def _rebuilt(parameters: Any, arrays: Mapping[str, Raw]) -> Any:
    """Return parameters of the same form with other arrays in them, by the labels that `interpret` gives."""
    if isinstance(parameters, Mapping):
        entries = {key: _rebuilt_entry(str(key), value, arrays) for key, value in parameters.items()}
        return _kept(parameters, entries)
    if (pair := pair_of_lists(parameters)) is not None:
        flat = _rebuilt(list(pair[0]) + list(pair[1]), arrays)
        return type(parameters)((flat[: len(pair[0])], flat[len(pair[0]) :]))
    entries_in_order = [_rebuilt_entry(f"parameters[{i}]", value, arrays) for i, value in enumerate(parameters)]
    return tuple(entries_in_order) if isinstance(parameters, tuple) else entries_in_order


def _kept(parameters: Mapping[str, Any], entries: dict[str, Any]) -> Any:
    """Return a mapping of the same class where that is a kind of dict."""
    if not isinstance(parameters, dict):
        return entries
    same = copy.copy(parameters)
    same.update(entries)
    return same


def _rebuilt_entry(label: str, value: Any, arrays: Mapping[str, Raw]) -> Any:
    if label in arrays:
        return _like(value, arrays[label])
    labels = [f"{label}_{i}" for i, _ in enumerate(value)] if isinstance(value, list | tuple) else []
    if not arrays.keys().isdisjoint(labels):  # None stays where a layer has no bias
        return type(value)(_rebuilt_entry(own, entry, arrays) for own, entry in zip(labels, value, strict=True))
    return value


def _in_type_of(original: Raw, array: Array) -> Raw:
    """Return numbers in the precision of an array; whole numbers are no type for weights."""
    return array.astype(original.dtype) if original.dtype.kind == "f" else array


def _as_given(original: Any, array: Raw) -> Any:
    """Return data in the type of what was given."""
    return _like(original, array.astype(np.asarray(original).dtype))


def _like(original: Any, array: Raw) -> Any:
    """Return an array as an array, as numbers in lists or as one number where it was written so."""
    if isinstance(original, list | tuple):
        return array.tolist()
    if np.ndim(original) > 0 or array.size > 1:
        return np.array(array, order="C")
    number = array.reshape(())
    if isinstance(original, np.ndarray):
        return number.copy()
    return number[()] if isinstance(original, np.generic) else number.item()
