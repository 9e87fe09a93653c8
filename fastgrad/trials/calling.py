"""The backward function as its author calls it: arguments in their own form, copied; answers read, changes noticed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastgrad.errors import FunctionError, InputError, told
from fastgrad.foreign import as_numpy, is_array, like
from fastgrad.model.network import Array, Problem
from fastgrad.reading import Description, Reading, interpret_parts, place_entries, put_back, read_parts, settled, target_form
from fastgrad.reading.arrays import Raw, size_of
from fastgrad.reading.containers import opened
from fastgrad.reading.names import listed
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
        return put_back(self.point.parameters, self._arrays(theta), self.description)

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
        values = np.asarray(as_numpy(point.Y))
        samples = values.size // (size_of(self.point.Y) // self.problem.samples)
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
    problem, reading = read_parts(parameters, {}, X, Y, replace(description, grads=None), masks)
    problem.require_in_memory("trying a function")
    point = Point("the given point", parameters, X, Y, masks)
    return Given(point, problem, reading, settled(description, problem, reading))


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
    changed = _changed(_held(point.parameters), _held(parameters)) + _changed({"X": point.X, "Y": point.Y}, {"X": X, "Y": Y})
    roles = given.reading.chain.roles
    loss, gradients = parted(returned, len(roles), in_a_row=given.description.sizes is not None)
    gradients = in_order(gradients, point.parameters, roles)
    try:
        problem = given.problem_at(point, gradients, loss)
    except InputError as error:
        raise FunctionError(f"it returned what cannot be read as the gradients: {error}") from None
    if problem.claimed is None:
        found = f" under {listed(map(repr, gradients))}" if isinstance(gradients, Mapping) and gradients else ""
        names = listed(tensor.gradient_array for tensor in problem.tensors if tensor.column is None or tensor.kind == "W")
        raise FunctionError(f"it returned no gradient of any parameter{found}; call them {names}, or as the parameters")
    return Answer(problem, problem.claimed, tuple(changed))


def _held(parameters: Any) -> dict[str, Any]:
    """Return the arrays among parameters by their labels; none of what cannot be looked into by now."""
    if is_array(parameters):
        return {"parameters": parameters}
    try:
        return opened(parameters, "parameters").mapping()
    except Exception:  # whatever a function left there
        return {}


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Name what is no longer as it was; what a function adds is its own."""
    return [name for name, value in before.items() if not _same(value, after.get(name))]


def _same(before: Any, after: Any) -> bool:
    """Tell whether two arguments are alike, of which the second may be anything by now."""
    try:
        old, new = np.asarray(as_numpy(before)), np.asarray(as_numpy(after))
    except Exception:  # a ragged list, an object with code of its own
        return False
    return old.dtype == new.dtype and np.array_equal(old, new, equal_nan=old.dtype.kind == "f")


def _in_type_of(original: Raw, array: Array) -> Raw:
    """Return numbers in the precision of an array; whole numbers are no type for weights."""
    return array.astype(original.dtype) if original.dtype.kind == "f" else array


def _as_given(original: Any, array: Raw) -> Any:
    """Return data in the type of what was given."""
    return like(original, array.astype(np.asarray(as_numpy(original)).dtype))
