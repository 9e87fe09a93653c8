"""A layer that is an object: its parameters are attributes, and so are their gradients once its backward was called.

The object itself is left as it is: forward and backward are called on copies of it. Composite layers are walked through.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

import numpy as np

from fastgrad.errors import InputError, quoted
from fastgrad.layers.arguments import Outputs, has_gradient, require_moving
from fastgrad.layers.calling import Pair, guarded, spellings
from fastgrad.layers.upstream import upstream_of

DEEPEST = 4
"""Levels of attributes, dicts, lists and layers within layers that are searched for arrays."""

CONTAINERS = {"params": "grads", "parameters": "gradients", "weights": "gradients", "param": "grad"}
"""Pairs of names of dicts or lists, of parameters and of their gradients."""

DATA, GRADIENT = ("data", "value", "values", "array", "val"), ("grad", "gradient", "grads")
"""Attributes of an object that is one parameter: its numbers, and their gradient."""

Path = tuple[tuple[str, Any], ...]


class Parameter(NamedTuple):
    """A parameter: its name, every place at which the layer holds it, and the places at which its gradient may be."""

    name: str
    paths: tuple[Path, ...]
    gradients: tuple[Path, ...]


def is_layer(value: Any) -> bool:
    """Whether something is an object with methods forward and backward.

    Raises
    ------
    InputError
        If it is a class of such objects, whose forward would take an input for itself.
    """
    if isinstance(value, type) and _takes_self(inspect.getattr_static(value, "forward", None)):
        raise InputError(f"{value.__name__} is a class; give a layer made of it, {value.__name__}(...)")
    return callable(getattr(value, "forward", None)) and callable(getattr(value, "backward", None))


def _takes_self(method: Any) -> bool:
    # Static methods, and functions without self, are called through the class as they are.
    return isinstance(method, FunctionType) and next(iter(method.__code__.co_varnames), "") == "self"


def owner_of(forward: Any, backward: Any) -> Any:
    """Return the layer whose methods, or which itself, was given; None where these are two functions."""
    if backward is None and is_layer(forward):
        return forward
    ours, theirs = getattr(forward, "__self__", None), getattr(backward, "__self__", None)
    if ours is None or ours is not theirs or isinstance(ours, ModuleType | type):
        return None
    return ours if getattr(forward, "__name__", "") == "forward" and getattr(backward, "__name__", "") == "backward" else None


class Object:
    """A layer that is an object; what its methods are given, and its parameters, are its inputs.

    Attributes
    ----------
    inputs : Inputs
        The arguments of forward, and after them the parameters.
    takes_upstream : bool
        Whether backward is given an upstream gradient; known once it was called.
    """

    def __init__(self, layer: Any, inputs: Any, returns_cache: bool | None, frozen: Sequence[str]) -> None:
        self._layer, self._how = layer, (inputs, returns_cache, frozen)
        self._work = _copied(layer)
        self.takes_upstream = False
        self._pair = self._pair_of(self._work)
        self._given = self._pair.inputs
        self._parameters: list[Parameter] = []
        self.inputs = self._given
        parameters, values = self._discovered()
        self._parameters = parameters
        names = tuple(_free(parameter.name, self._given.names) for parameter in parameters)
        self.inputs = replace(self._given, names=self._given.names + names, values=self._given.values + tuple(values))
        require_moving(self.inputs)

    def run(self, values: Sequence[Any]) -> Outputs:
        """Call forward."""
        self._set(self._work, values)
        return self._pair.run(values[: len(self._given.names)])

    def gradients(self, values: Sequence[Any], _: Outputs, upstream: Sequence[Any]) -> dict[str, Any]:
        """Call forward and backward of a fresh copy, and collect what it returned and what it keeps."""
        layer = _copied(self._layer)
        self._set(layer, values)
        self.clear(layer)
        pair = self._pair_of(layer)
        given = values[: len(self._given.names)]
        found = pair.gradients(given, pair.run(given), upstream)
        self.takes_upstream = pair.takes_upstream
        return {**found, **self.kept(layer)}

    @property
    def given_names(self) -> tuple[str, ...]:
        """Names of what forward is given."""
        return self._given.names

    def kept(self, layer: Any) -> dict[str, Any]:
        """Return the gradients that a copy of the layer keeps, by the names of the parameters."""
        names = self.inputs.names[len(self._given.names) :]
        return {name: _first(layer, parameter.gradients) for name, parameter in zip(names, self._parameters, strict=True)}

    def clear(self, layer: Any) -> None:
        """Set gradients that a copy keeps of an earlier call to 0: many layers add to them."""
        for parameter in self._parameters:
            value = _first(layer, parameter.gradients)
            if isinstance(value, np.ndarray):
                value[...] = 0

    def adding(self, upstream: Sequence[Any]) -> list[str]:
        """Return the parameters whose gradients a second call of backward adds to those of the first."""
        layer = _copied(self._layer)
        self.clear(layer)
        pair = self._pair_of(layer)
        kept = []
        for _ in range(2):
            values = _copies(self._given.values)
            parts = [None if part is None else part.copy() for part in upstream]
            try:
                pair.gradients(values, pair.run(values), parts)
            except Exception:  # a layer that can be called only once adds nothing
                return []
            kept.append({name: None if value is None else np.array(value) for name, value in self.kept(layer).items()})
        return [name for name, once in kept[0].items() if _is_twice(kept[1][name], once)]

    def _pair_of(self, layer: Any) -> Pair:
        return Pair(layer.forward, layer.backward, *self._how, must_move=False)

    def _set(self, layer: Any, values: Sequence[Any]) -> None:
        for parameter, value in zip(self._parameters, values[len(self._given.names) :], strict=True):
            for path in parameter.paths:
                _put(layer, path, value)

    def _discovered(self) -> tuple[list[Parameter], list[Any]]:
        """Find the parameters: arrays that forward leaves alone, with a gradient after backward, or that change the output."""
        before = dict(_arrays(self._work))
        outputs = guarded("forward", lambda: self._pair.run(_copies(self._given.values)))
        after = dict(_arrays(self._work))
        kept = {path: value for path, value in before.items() if after.get(path) is value}
        upstream = upstream_of(None, outputs, 0).parts
        trial = _copied(self._layer)
        pair = self._pair_of(trial)
        values = _copies(self._given.values)
        known = guarded("forward", lambda: pair.run(values))
        guarded("backward", lambda: pair.gradients(values, known, upstream))
        found, gradients = {path for path, _ in _arrays(trial)}, _all_places(kept)
        parameters, numbers = [], []
        for paths in _by_identity(kept):
            places = tuple(place for path in paths for place in _places(path) if place in found)
            if any(path in gradients for path in paths):
                continue  # a gradient of something else
            if places or (isinstance(kept[paths[0]], np.ndarray) and self._matters(paths, kept[paths[0]], outputs)):
                parameters.append(Parameter(_name(paths[0]), paths, places or tuple(_places(paths[0]))))
                numbers.append(np.array(kept[paths[0]]) if isinstance(kept[paths[0]], np.ndarray) else kept[paths[0]])
        return parameters, numbers

    def _matters(self, paths: tuple[Path, ...], value: Any, outputs: Outputs) -> bool:
        """Whether another value of an array changes the output."""
        moved = value + np.asarray(0.125 * np.maximum(np.abs(value), 1.0), dtype=value.dtype)
        for path in paths:
            _put(self._work, path, moved)
        try:
            found = self._pair.run(_copies(self._given.values))
        except InputError:
            return True
        except Exception:  # whatever a stranger's code raises where a number in it is another
            return True
        finally:
            for path in paths:
                _put(self._work, path, value)
        pairs = zip(found.arrays, outputs.arrays, strict=True)
        return any(not np.array_equal(ours, theirs) for ours, theirs in pairs)


def _is_twice(twice: Any, once: Any) -> bool:
    """Whether a gradient is another one added to itself."""
    if once is None or twice is None or once.shape != twice.shape or once.dtype.kind != "f" or not once.any():
        return False
    return np.array_equal(twice, once + once)


def _copied(layer: Any) -> Any:
    """Return a copy that shares nothing with the layer.

    Raises
    ------
    InputError
        If there can be none.
    """
    try:
        return copy.deepcopy(layer)
    except Exception as error:
        raise InputError(
            f"the layer of type {type(layer).__name__} cannot be copied, {type(error).__name__}: {error}; give two functions, "
            "forward(x, W) and backward(dout, x, W), that make the layer anew in each call"
        ) from None


def _copies(values: Sequence[Any]) -> list[Any]:
    return [value.copy() if isinstance(value, np.ndarray) else value for value in values]


def _arrays(layer: Any) -> Iterator[tuple[Path, Any]]:
    """Yield the real numbers that a layer holds, with their paths."""
    yield from _within(layer, (), set())


def _within(value: Any, path: Path, seen: set[int]) -> Iterator[tuple[Path, Any]]:
    if has_gradient(value):
        yield path, value
        return
    if (
        len(path) > DEEPEST
        or id(value) in seen
        or isinstance(value, ModuleType | FunctionType | MethodType | type | str | bytes)
    ):
        return
    if isinstance(value, dict):
        items = [(("item", key), part) for key, part in value.items()]
    elif isinstance(value, list):
        items = [(("item", place), part) for place, part in enumerate(value)]
    else:
        items = [(("attribute", name), part) for name, part in getattr(value, "__dict__", {}).items()]
    for step, part in items:
        yield from _within(part, (*path, step), seen | {id(value)})


def _by_identity(arrays: dict[Path, Any]) -> list[tuple[Path, ...]]:
    """Return the paths that lead to one array together, shortest first."""
    groups: dict[int, list[Path]] = {}
    for path, value in arrays.items():
        # Python may keep equal numbers as one object: these are not one parameter.
        groups.setdefault(id(value) if isinstance(value, np.ndarray) else hash(path), []).append(path)
    return [tuple(sorted(paths, key=len)) for paths in groups.values()]


def _places(path: Path) -> list[Path]:
    """Return where the gradient of what is at a path may be: dW beside W, grads beside params, grad beside data."""
    *before, (kind, name) = path
    start = tuple(before)
    found = []
    if isinstance(name, str):
        if name in DATA:
            found += [(*start, (kind, other)) for other in GRADIENT]
        found += [(*start, (kind, other)) for other in spellings(name)[1:]]
    for place, (step, container) in enumerate(path[:-1]):
        others = [other for one, other in CONTAINERS.items() if container == one] + [f"d{container}"]
        others += ["grads"] if container in CONTAINERS else []
        for other in dict.fromkeys(others):
            for last in spellings(name)[:2] if isinstance(name, str) else (name,):
                found.append((*path[:place], (step, other), *path[place + 1 : -1], (kind, last)))
    return found


def _all_places(arrays: dict[Path, Any]) -> set[Path]:
    return {place for path in arrays for place in _places(path) if place in arrays}


def _get(layer: Any, path: Path) -> Any:
    for kind, name in path:
        layer = getattr(layer, name) if kind == "attribute" else layer[name]
    return layer


def _put(layer: Any, path: Path, value: Any) -> None:
    owner, (kind, name) = _get(layer, path[:-1]), path[-1]
    if kind == "attribute":
        setattr(owner, name, value)
    else:
        owner[name] = value


def _first(layer: Any, paths: Sequence[Path]) -> Any:
    """Return what is at the first of the paths that is there; None where none is."""
    for path in paths:
        try:
            value = _get(layer, path)
        except (AttributeError, LookupError, TypeError):
            continue
        if value is not None:
            return value
    return None


def _name(path: Path) -> str:
    """Name a parameter as its owner would: "W", "fc1.W", "params[0]"."""
    parts = [(kind, name) for kind, name in path]
    if parts[-1][1] in DATA and len(parts) > 1:
        parts = parts[:-1]
    if len(parts) > 1 and parts[-1][0] == "item" and isinstance(parts[-1][1], str) and parts[-2][1] in CONTAINERS:
        del parts[-2]
    text = ""
    for kind, name in parts:
        text += f"[{name!r}]" if kind == "item" and not isinstance(name, str) else f"{'.' * bool(text)}{name}"
    return text


def _free(name: str, taken: Sequence[str]) -> str:
    return f"layer.{name}" if name in taken else name


def require_layer(layer: Any) -> None:
    """Raise InputError for what is no layer though no backward was given."""
    if is_layer(layer):
        return
    what = "is a function" if callable(layer) else f"is of type {type(layer).__name__}"
    raise InputError(
        f"forward {what}, and backward is None: give check_layer(forward, backward, inputs), or an object with methods forward "
        f"and backward, found {quoted(type(layer).__name__)}"
    )
