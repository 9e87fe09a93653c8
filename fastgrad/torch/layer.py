"""A function of tensors, or a module, as a program whose gradient can be judged; and what else a backward pass must bear.

Called by the package's own face.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from fastgrad.errors import InputError, told
from fastgrad.functions.arguments import Layout, read
from fastgrad.functions.program import Numbers, Program, coarsest, weights_for
from fastgrad.torch.state import Undisturbed
from fastgrad.torch.tensors import (
    Part,
    copied,
    is_differentiable,
    require_called,
    require_dense,
    require_tensor,
    to_numpy,
    widened,
)

Gradients = Sequence[torch.Tensor | None]
Weigh = Callable[[torch.Tensor, int], torch.Tensor]
Then = Callable[[Any, Callable[[Any], Any]], Any]


class Graph(NamedTuple):
    """Tensors that require a gradient, outputs that have one, their places among all, and their upstream gradients."""

    leaves: list[torch.Tensor]
    outputs: list[torch.Tensor]
    places: list[int]
    upstream: list[torch.Tensor]


class Layer(Program):
    """A function or a module with its inputs, called with other numbers in their places.

    Attributes
    ----------
    parts : tuple of Part
        Inputs and parameters whose gradients are checked.
    left_out : tuple of str
        Inputs and parameters of real numbers that require no gradient.
    unused : set of str
        Parts for which backward gave no gradient at all.

    Parameters
    ----------
    then : callable, optional
        What becomes of the function's outputs, a loss: from these, and from what copies other tensors in the precision of the
        call, to the outputs of the layer. Then inputs are checked only where they require a gradient.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        inputs: Any,
        state: Undisturbed,
        upstream: Any = None,
        seed: int = 0,
        then: Then | None = None,
    ) -> None:
        require_called(function, "the function", "a function of tensors or a module")
        self._function, self._state, self._then = function, state, then
        self._args, self._kwargs = arguments_of(inputs)
        self.parts, self.left_out = self._parts()
        self.point = {name: array for part in self.parts for name, array in part.numbers(part.tensor).items()}
        self.precision = coarsest([part.tensor.real if part.tensor.is_complex() else part.tensor for part in self.parts])
        self.unused: set[str] = set()
        given = self._first_call()
        self.upstream = drawn(given, seed) if upstream is None else read_upstream(upstream, given)
        self.output_names = tuple(self._names)

    def at(self, x: Numbers) -> Layer:
        """Return the same layer at another point, whose numbers are rounded to its precision."""
        other = copy.copy(self)
        other.point = {name: array for part in self.parts for name, array in part.numbers(part.made(x, False)).items()}
        return other

    def outputs(self, x: Numbers, wide: bool) -> list[NDArray[Any]]:
        """Return the outputs that have a gradient."""
        with torch.no_grad():
            return [to_numpy(output) for output in self._outputs(self._leaves(x, wide), wide)]

    def value(self, x: Numbers, wide: bool) -> Any:
        """Return the sum of all outputs, each times its upstream gradient; of complex ones real and imaginary parts."""
        total: Any = 0.0
        for output, weight in zip(self.outputs(x, wide), self.upstream, strict=True):
            if output.shape != weight.shape:
                raise InputError(f"an output has shape {output.shape} here, and {weight.shape} at the given point")
            # A real output of a complex step has an imaginary part, which is the derivative.
            total = (
                total
                + (
                    (output.real * weight.real + output.imag * weight.imag) if np.iscomplexobj(weight) else output * weight
                ).sum()
            )
        return total

    def gradient(self, x: Numbers, wide: bool) -> dict[str, NDArray[np.float64]]:
        """Return what autograd makes of the upstream gradient."""
        gradients = self.backward(x, wide)[1]
        self.unused = {part.name for part, gradient in zip(self.parts, gradients, strict=True) if gradient is None}
        return self.numbers(gradients)

    def numbers(self, gradients: Sequence[torch.Tensor | None]) -> dict[str, NDArray[np.float64]]:
        """Return gradients of the parts as arrays."""
        found: dict[str, NDArray[np.float64]] = {}
        for part, gradient in zip(self.parts, gradients, strict=True):
            found |= part.numbers(gradient)
        return found

    @cached_property
    def layout(self) -> Layout:
        """The form of the point, with names for its numbers."""
        return read(self.point)[0]

    @property
    def outputs_size(self) -> int:
        """Entries of all outputs."""
        return sum(weight.size for weight in self.upstream)

    def place_of(self, label: str) -> int:
        """Return the place of a number among all, by its name in a report."""
        return self._labels[label]

    @cached_property
    def _labels(self) -> dict[str, int]:
        return {self.layout.label(place): place for place in range(self.layout.size)}

    def number_at(self, place: int) -> float:
        """Return a number of the point."""
        return float(np.concatenate([array.ravel() for array in self.point.values()])[place])

    def moved(self, place: int, offset: float) -> Numbers:
        """Return the point with one number moved."""
        flat = np.concatenate([array.ravel() for array in self.point.values()])
        flat[place] += offset
        moved: Numbers = self.layout.build(flat)
        return moved

    def rows(self) -> list[NDArray[Any]]:
        """Return the Jacobian that backward makes, for each output of shape (its shape, numbers), a call for each entry."""
        return [self._rows_of(place) for place in range(len(self.upstream))]

    def _rows_of(self, place: int) -> NDArray[Any]:
        weight = self.upstream[place]
        rows = np.zeros((*weight.shape, self.layout.size), dtype=weight.dtype)
        for index in np.ndindex(weight.shape):
            for unit in (1.0, 1j)[: 1 + (weight.dtype.kind == "c")]:  # 1j gives the gradient of an output's imaginary part
                rows[index] += unit * self._row(place, index, unit)
        return rows

    def _row(self, place: int, index: tuple[int, ...], unit: complex) -> NDArray[np.float64]:
        def single(weight: torch.Tensor, _: int) -> torch.Tensor:
            weights = torch.zeros_like(weight)
            weights[index] = unit
            return weights

        gradient = self.numbers(self.backward(self.point, False, single, only=place)[1])
        return np.concatenate([part.ravel() for part in gradient.values()])

    def backward(
        self, x: Numbers, wide: bool, weights: Weigh | None = None, only: int | None = None
    ) -> tuple[list[torch.Tensor], Gradients]:
        """Return the parts' tensors and their gradients, None where there is none.

        Parameters
        ----------
        weights : callable, optional
            From an upstream gradient, and the place of its output, to what is handed to backward in its stead.
        only : int, optional
            The one output that has an upstream gradient.
        """
        graph = self._graph(x, wide, only)
        upstream = graph.upstream
        if weights is not None:
            upstream = [weights(weight, place) for weight, place in zip(upstream, graph.places, strict=True)]
        return graph.leaves, _grad(graph, upstream)

    def backward_twice(self) -> tuple[Gradients, Gradients]:
        """Return what backward gives in two calls after one call of the function."""
        graph = self._graph(self.point, False, None)
        return _grad(graph, graph.upstream, retain_graph=True), _grad(graph, graph.upstream)

    def backward_of_several(self, several: Sequence[Weigh]) -> Gradients:
        """Return gradients for several upstream gradients at once, along a new first axis."""
        graph = self._graph(self.point, False, None)
        pairs = list(zip(graph.upstream, graph.places, strict=True))
        stacked = [torch.stack([weigh(weight, place) for weigh in several]) for weight, place in pairs]
        return _grad(graph, stacked, is_grads_batched=True)

    def _graph(self, x: Numbers, wide: bool, only: int | None) -> Graph:
        """Call the function with tensors that require a gradient."""
        leaves = [leaf.requires_grad_() for leaf in self._leaves(x, wide)]
        outputs = self._outputs(leaves, wide)
        places = [place for place, output in enumerate(outputs) if output.requires_grad and only in (None, place)]
        chosen = [outputs[place] for place in places]
        weights = [torch.from_numpy(np.array(self.upstream[place])) for place in places]
        upstream = [weight.to(output) for weight, output in zip(weights, chosen, strict=True)]
        return Graph(leaves, chosen, places, upstream)

    def call(self, leaves: Sequence[torch.Tensor], wide: bool = False) -> list[torch.Tensor]:
        """Return the outputs that have a gradient, for other tensors in the places of the parts."""
        return self._outputs(leaves, wide)

    def _leaves(self, x: Numbers, wide: bool) -> list[torch.Tensor]:
        return [part.made(x, wide) for part in self.parts]

    def _outputs(self, leaves: Sequence[torch.Tensor], wide: bool) -> list[torch.Tensor]:
        self._names, found = [], []
        for name, output in named_outputs(self._called(leaves, wide)):
            if is_differentiable(output):
                self._names.append(name)
                found.append(output)
        return found

    def _called(self, leaves: Sequence[torch.Tensor], wide: bool) -> Any:
        """Call the function; in double precision, what it makes by itself is of double precision too."""
        other = widened if wide else copied
        args, kwargs = [other(value) for value in self._args], {key: other(value) for key, value in self._kwargs.items()}
        held: dict[str, torch.Tensor] = {}
        for part, leaf in zip(self.parts, leaves, strict=True):
            if isinstance(part.key, int):
                args[part.key] = leaf
            elif part.key in kwargs:
                kwargs[part.key] = leaf
            else:
                held[part.key] = leaf
        self._state.reset()
        before = torch.get_default_dtype()
        try:
            if wide:
                torch.set_default_dtype(torch.float64)
            returned = called(self._function, held, other, args, kwargs)
            return returned if self._then is None else self._then(returned, other)
        finally:
            torch.set_default_dtype(before)

    def _first_call(self) -> list[torch.Tensor]:
        """Call the function at the given point, and see whether it leaves its arguments as they are."""
        leaves = self._leaves(self.point, False)
        before = [leaf.clone() for leaf in leaves]
        try:
            with torch.no_grad():
                outputs = self._outputs(leaves, False)
        except Exception as error:
            raise InputError(f"the function raises {told(error)}") from error
        for part, leaf, kept in zip(self.parts, leaves, before, strict=True):
            if not torch.equal(leaf, kept):
                raise InputError(f"the function modifies {part.name} in place; let it work on a copy, {part.name}.clone()")
        if not outputs:
            raise InputError(
                "the function returns no tensor of real or complex numbers; expected one, or several in a tuple or dict"
            )
        return outputs

    def _parts(self) -> tuple[tuple[Part, ...], tuple[str, ...]]:
        """Return what is checked: of the inputs those that require a gradient, or all where none does; and all parameters."""
        names = names_of(self._function, len(self._args))
        keys: list[int | str] = [*range(len(self._args)), *self._kwargs]
        values = [*self._args, *self._kwargs.values()]
        called = zip([*names, *self._kwargs], keys, values, strict=True)
        inputs = [Part(name, key, value) for name, key, value in called if is_differentiable(value)]
        for part in inputs:
            require_dense(part.name, part.tensor)
        chosen = [part for part in inputs if part.tensor.requires_grad] or ([] if self._then else inputs)
        held = self._function.named_parameters() if isinstance(self._function, torch.nn.Module) else ()
        parameters = [Part(_apart(name, inputs), name, parameter) for name, parameter in held]
        trained = [part for part in parameters if part.tensor.requires_grad]
        if not chosen and (not trained or isinstance(self._function, torch.nn.Module)):
            for name, _, value in zip([*names, *self._kwargs], keys, values, strict=True):
                require_tensor(value, name)
        if not chosen and not trained:
            raise InputError("there is no input of real or complex numbers, and no parameter; expected a tensor of floats")
        candidates = [*([] if self._then else inputs), *parameters]
        rest = [part.name for part in candidates if part not in chosen and part not in trained]
        return (*chosen, *trained), tuple(rest)


class BackwardError(InputError):
    """What backward raised."""


def _grad(graph: Graph, upstream: Sequence[torch.Tensor], **options: bool) -> Gradients:
    """Return gradients of the leaves; where no output has one, none of them has."""
    if not graph.outputs:
        return [None] * len(graph.leaves)
    try:
        return list(torch.autograd.grad(graph.outputs, graph.leaves, upstream, allow_unused=True, **options))
    except Exception as error:
        raise BackwardError(f"backward raises {told(error)}") from error


def _apart(name: str, inputs: Sequence[Part]) -> str:
    return f"module.{name}" if any(part.name == name for part in inputs) else name


def called(
    function: Any, held: Mapping[str, torch.Tensor], other: Callable[[Any], Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    """Call a function; a module with other tensors in the places of its parameters and buffers, so that it is not changed."""
    if not isinstance(function, torch.nn.Module):
        return function(*args, **kwargs)
    own = {**dict(function.named_parameters()), **dict(function.named_buffers())}
    rest = {name: other(value) for name, value in own.items() if name not in held}
    return torch.func.functional_call(function, {**rest, **held}, tuple(args), dict(kwargs))


def arguments_of(inputs: Any) -> tuple[list[Any], dict[str, Any]]:
    """Return inputs as arguments by place and by keyword: a dict is by keyword, a tuple or list by place, a tensor alone."""
    if isinstance(inputs, Mapping):
        return [], dict(inputs)
    return (list(inputs), {}) if isinstance(inputs, tuple | list) else ([inputs], {})


def names_of(function: Any, count: int) -> list[str]:
    """Return what a function calls its arguments, "input[1]" where it has no name for one."""
    owner: Any = getattr(function, "__self__", None)
    of_function = isinstance(owner, type) and issubclass(owner, torch.autograd.Function)
    described: Any = owner.forward if of_function else function.forward if isinstance(function, torch.nn.Module) else function
    try:
        parameters = list(inspect.signature(described).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    names = [parameter.name for parameter in parameters if parameter.kind <= parameter.POSITIONAL_OR_KEYWORD]
    names = names[1:] if of_function and names and names[0] in ("ctx", "context", "self") else names
    return [*names[:count], *(f"input[{place}]" for place in range(min(len(names), count), count))]


def named_outputs(returned: Any, name: str = "output") -> Iterator[tuple[str, Any]]:
    """Yield the outputs of a function with their names: one, or those in a tuple, list or dict."""
    if isinstance(returned, Mapping):
        for key, value in returned.items():
            yield from named_outputs(value, f"{name}[{key!r}]")
    elif isinstance(returned, tuple | list):
        for place, value in enumerate(returned):
            yield from named_outputs(value, f"{name}[{place}]")
    else:
        yield name, returned


def drawn(outputs: Sequence[torch.Tensor], seed: int) -> list[NDArray[Any]]:
    """Draw an upstream gradient."""
    generator = np.random.default_rng(seed)
    return [weights_for(generator, tuple(output.shape), output.is_complex()) for output in outputs]


def read_upstream(upstream: Any, outputs: Sequence[torch.Tensor]) -> list[NDArray[Any]]:
    """Return the upstream gradient that somebody gave, one for each output."""
    given = [value for _, value in named_outputs(upstream)]
    if len(given) != len(outputs):
        raise InputError(f"upstream has {len(given)} parts, and there are {len(outputs)} outputs; one is needed for each")
    arrays = [to_numpy(value) if isinstance(value, torch.Tensor) else np.asarray(value) for value in given]
    pairs = zip(arrays, outputs, strict=True)
    arrays = [np.broadcast_to(array, output.shape) if array.ndim == 0 else array for array, output in pairs]
    for array, output in zip(arrays, outputs, strict=True):
        if array.shape != tuple(output.shape):
            raise InputError(f"upstream has shape {array.shape}, the output {tuple(output.shape)}; both must have the same")
    return [to_numpy(torch.from_numpy(np.array(array)).to(output.dtype)) for array, output in zip(arrays, outputs, strict=True)]
