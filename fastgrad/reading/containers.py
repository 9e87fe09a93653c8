"""The forms that parameters and gradients come in: dicts in dicts, lists of layers, pairs of lists; opened, and put back.

The one place that knows them. `opened` makes named arrays of any form, `rebuilt` the same form of other arrays, and
`given_parts` gives each parameter its gradient, which may have come in another form than the parameters.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

from fastgrad.errors import InputError, quoted
from fastgrad.foreign import can, is_array, like
from fastgrad.reading.arrays import Raw, number_array, shape_of
from fastgrad.reading.description import Description, ask
from fastgrad.reading.layout import is_vector
from fastgrad.reading.names import LONGEST_NAME, Kind, Name, Part, is_parameter, listed, named_parts, parse, ranks

Step = tuple[Literal["key", "index", "attribute"], Any]
Path = tuple[Step, ...]
PAIR, MATRIX = 2, 2
DEEPEST = 12
"""Containers in one another; objects that point at each other have no end."""


class Leaf(NamedTuple):
    """One array of a container: the way to it, what to call it, its value, and what its name says of it."""

    path: Path
    label: str
    value: Any
    name: str | None
    said: Name

    @property
    def key(self) -> tuple[Any, Kind] | None:
        """Layer and kind, None where the name does not tell them."""
        return None if self.said.kind is None else (self.said.layer, self.said.kind)


class Container(NamedTuple):
    """What a container holds, in its order; `named` where people gave names."""

    leaves: list[Leaf]
    named: bool

    def mapping(self) -> dict[str, Any]:
        """Return its arrays by their labels."""
        return {leaf.label: leaf.value for leaf in self.leaves}

    @property
    def told(self) -> bool:
        """Whether some leaves say that they are the weights or the bias of a layer."""
        return any(leaf.said.kind is not None for leaf in self.leaves)


def opened(value: Any, what: str, *, gradients: bool = False) -> Container:
    """Return the arrays of a container in any form.

    Raises
    ------
    InputError
        If it is no container.
    """
    value = _as_dict(value)
    named = _by_name(value)
    if not named and (is_array(value) or isinstance(value, str | bytes) or not isinstance(value, Iterable)):
        hint = "; of one vector with all parameters say the sizes, as in sizes=(4, 5, 3)" if is_array(value) else ""
        raise InputError(f"{what} must be a dict or a list of arrays, found {type(value).__name__}{hint}")
    steps = _steps(value, gradients) if named else _indices(list(value))
    entries: list[tuple[Path, Any]] = [((step,), entry) for step, entry in steps]
    if not named and any(_depth(entry) > MATRIX for _, entry in steps):  # lists of arrays, written as lists of numbers
        entries = [one for path, entry in entries for one in _within(path, entry)]
    leaves = [leaf for path, entry in entries for leaf in _leaves(entry, path, "" if named else what, gradients)]
    return Container(leaves if named else _told_by_shape(leaves), named)


def _within(path: Path, entry: Any) -> list[tuple[Path, Any]]:
    """Return what a list holds, with the ways to it; of anything else the thing itself."""
    return [((*path, step), one) for step, one in _indices(entry)] if isinstance(entry, list | tuple) else [(path, entry)]


def rebuilt(value: Any, arrays: Mapping[str, Raw], what: str) -> Any:
    """Return a container of the same form with other arrays in it, by their labels; what has none there stays."""
    found = {leaf.path: arrays[leaf.label] for leaf in opened(value, what).leaves if leaf.label in arrays}
    return _with(value, (), found)


def _with(value: Any, path: Path, found: Mapping[Path, Raw]) -> Any:
    """Return a value with the arrays that lie at and below a path in their places."""
    if path in found:
        return like(value, found[path])
    below = {key[len(path)] for key in found if key[: len(path)] == path}
    if not below:
        return value
    if can(value, "named_parameters"):
        return _module_with(value, {step[1]: found[*path, step] for step in below})
    entries = {step: _with(_at(value, step), (*path, step), found) for step in below}
    if isinstance(value, Mapping):
        return _kept(value, {key: entries.get(("key", key), entry) for key, entry in value.items()})
    if any(kind == "attribute" for kind, _ in below):
        same = copy.copy(value)
        for (_, attribute), entry in entries.items():
            setattr(same, attribute, entry)
        return same
    in_order = [entries.get(("index", i), entry) for i, entry in enumerate(value)]
    if isinstance(value, tuple):
        return type(value)(*in_order) if hasattr(value, "_fields") else tuple(in_order)
    return in_order


def _module_with(module: Any, arrays: Mapping[str, Raw]) -> Any:
    """Return a copy of a module with other parameters, of the same types."""
    same = copy.deepcopy(module)
    for name, parameter in same.named_parameters():
        if name in arrays:
            parameter.data = parameter.detach().new_tensor(arrays[name])
    return same


def _at(value: Any, step: Step) -> Any:
    return getattr(value, step[1]) if step[0] == "attribute" else value[step[1]]


def _kept(mapping: Mapping[str, Any], entries: dict[str, Any]) -> Any:
    """Return a mapping of the same class where that is a kind of dict."""
    if not isinstance(mapping, dict):
        return entries
    same = copy.copy(mapping)
    same.update(entries)
    return same


# Opening.


def _as_dict(value: Any) -> Any:
    """Return the parameters of a module, and pairs of names and arrays, as a dict; anything else as it is."""
    if can(value, "named_parameters"):
        return dict(value.named_parameters())
    if is_array(value) or not (isinstance(value, list | tuple | ItemsView) or can(value, "__next__")):
        return value
    entries = list(value)
    named = [entry for entry in entries if isinstance(entry, tuple) and len(entry) == PAIR and isinstance(entry[0], str)]
    if entries and len(named) == len(entries):
        return dict(named)
    return value if isinstance(value, list | tuple) else entries


def _by_name(value: Any) -> bool:
    return isinstance(value, Mapping) or has_attributes(value)


def has_attributes(value: Any) -> bool:
    """Tell whether something is an object of somebody's own class, such as a layer."""
    if is_array(value) or isinstance(value, Mapping | type | Callable) or can(value, "__next__"):
        return False
    return hasattr(value, "__dict__") and not isinstance(value, list | tuple)


def _indices(entries: Sequence[Any]) -> list[tuple[Step, Any]]:
    return [(("index", i), entry) for i, entry in enumerate(entries)]


def _steps(value: Any, gradients: bool) -> list[tuple[Step, Any]]:
    """Return what a dict or an object holds; of an object what looks like parameters, or like gradients, or like layers."""
    if isinstance(value, Mapping):
        return [(("key", key), entry) for key, entry in value.items()]
    found: list[tuple[Step, Any]] = [
        (("attribute", key), entry)
        for key, entry in vars(value).items()
        if parse(key) is not None and (is_array(entry) or isinstance(entry, int | float | list | tuple | Mapping))
    ]
    return _of_layer(found, gradients)


def _of_layer(entries: Sequence[tuple[Step, Any]], gradients: bool) -> list[tuple[Step, Any]]:
    """Return of what a layer holds its parameters or its gradients, without what its forward pass left there."""
    said = {step: parse(str(step[1])) or Name() for step, _ in entries}
    found = [(step, entry) for step, entry in entries if said[step].kind is not None]
    found = found or [(step, entry) for step, entry in entries if isinstance(entry, list | tuple | Mapping)]
    wanted = [(step, entry) for step, entry in found if said[step].gradient == gradients]
    return wanted or (found if gradients else [])


def _leaves(value: Any, path: Path, what: str, gradients: bool) -> Iterator[Leaf]:
    """Yield the arrays of an entry of a container; an entry that is itself one is opened."""
    value = _as_dict(value) if can(value, "named_parameters") else value
    if len(path) > DEEPEST:
        place = _label(what or "the container", path[:2])
        raise InputError(f"{place} holds containers {DEEPEST} deep, or itself: give the arrays in a list or dict")
    if isinstance(value, Mapping) or has_attributes(value):
        for step, entry in _of_layer(_steps(value, gradients), gradients) or _steps(value, gradients):
            yield from _leaves(entry, (*path, step), what, gradients)
    elif isinstance(value, list | tuple) and _holds_arrays(value, within=not what):
        for step, entry in _indices(value):
            yield from _leaves(entry, (*path, step), what, gradients)
    elif not isinstance(value, str | bytes | Callable) or (gradients and is_parameter(_name(path))):
        name = _name(path)
        if len(name) > LONGEST_NAME:
            raise InputError(f"the name {quoted(name)} is longer than the {LONGEST_NAME} characters that a name may have")
        said = Name() if what and all(kind == "index" for kind, _ in path) else parse(name) or Name()
        yield Leaf(path, _label(what, path) if what else name, value, None if what else name, said)


def _holds_arrays(value: Sequence[Any], within: bool) -> bool:
    """Tell whether a list is one of arrays rather than an array written as a list, of numbers or of rows."""
    if any(isinstance(entry, Mapping) or has_attributes(entry) for entry in value):
        return True
    if any(map(is_array, value)):
        shapes = {shape_of(entry) for entry in value if is_array(entry)}
        rows = len(shapes) == 1 and len(next(iter(shapes)) or ()) == 1 and all(map(is_array, value))
        return within or not (rows or shapes <= {()})
    depths = {_depth(entry) for entry in value if entry is not None}
    return any(isinstance(entry, list | tuple) and _holds_arrays(entry, within) for entry in value) or len(depths) > 1


def _depth(value: Any) -> int:
    """Return how deep numbers lie in lists."""
    return 1 + _depth(value[0]) if isinstance(value, list | tuple) and value else 0


def _name(path: Path) -> str:
    """Return the name of a leaf: keys and attributes joined by dots, places in a list by a line below."""
    name = ""
    for kind, step in path:
        name += f"_{step}" if kind == "index" and name else f".{step}" if name else str(step)
    return name


def _label(what: str, path: Path) -> str:
    """Return the way to a leaf as Python writes it."""
    forms = {"key": "[{!r}]", "index": "[{}]", "attribute": ".{}"}
    return what + "".join(forms[kind].format(step) for kind, step in path)


def _told_by_shape(leaves: list[Leaf]) -> list[Leaf]:
    """Return the leaves of lists in a list with their kinds and layers, where shapes tell which lists these are.

    Two lists are all W and all b, in whichever order; several lists of two are the W and b of each layer. Both are told
    by the one that holds nothing but vectors, and only where it is not so under the other reading, too.
    """
    if not leaves or any(leaf.said.kind or len(leaf.path) != PAIR for leaf in leaves):
        return leaves
    outer, inner = ({leaf.path[depth][1] for leaf in leaves} for depth in (0, 1))
    by_list = _kinds_of_sides(leaves, 0) if len(outer) == PAIR else None
    by_place = _kinds_of_sides(leaves, 1) if len(inner) <= PAIR else None
    if (by_list is None) == (by_place is None):
        return leaves
    side = 0 if by_list is not None else 1
    kinds = by_list or by_place or {}
    return [leaf._replace(said=Name(kinds[leaf.path[side][1]], ((2, leaf.path[1 - side][1], ""),), False)) for leaf in leaves]


def _kinds_of_sides(leaves: list[Leaf], depth: int) -> dict[int, Kind] | None:
    """Return which of two places in paths is that of weights, if the other one has nothing but vectors."""
    flat = {0: True, 1: True}
    for leaf in leaves:
        if leaf.value is not None:
            shape = shape_of(leaf.value)
            flat[leaf.path[depth][1]] &= shape is not None and is_vector(shape)
    return {0: "b", 1: "W"} if flat[0] and not flat[1] else {0: "W", 1: "b"} if flat[1] and not flat[0] else None


# Parameters, each with its gradient.


def given_parts(parameters: Any, gradients: Any, description: Description) -> list[Part]:
    """Return the parts of parameters and gradients in any form; without gradients, with those that layers hold themselves.

    An empty dict stands for no gradients at all.
    """
    held = opened(parameters, "parameters")
    own = [leaf._replace(value=_own_gradient(leaf.value)) for leaf in held.leaves] if gradients is None else []
    if gradients is None and _has_own_gradients(parameters):
        gradients = parameters
    elif any(leaf.value is not None for leaf in own):
        gradients = {leaf.label: leaf.value for leaf in own} if held.named else [leaf.value for leaf in own]
    elif isinstance(gradients, Mapping) and not gradients:
        gradients = None
    claims = Container([], True) if gradients is None else opened(gradients, "gradients", gradients=True)
    if held.named and claims.named:
        if description.params is None and description.grads is None and _count_from_elsewhere(held, claims):
            parts = named_parts(held.mapping(), {}, description, only_parameters=True)
            return _by_layer(parts, claims)
        return named_parts(held.mapping(), claims.mapping(), description, only_parameters=True)
    if not held.named and not held.told and not claims.named and not claims.told:
        return _in_order(held, claims, gradients is None)
    if held.named and not claims.told:
        _require_as_many(held, claims)
        by_name = dict(zip(held.mapping(), (leaf.value for leaf in claims.leaves), strict=True))
        return named_parts(held.mapping(), by_name, description, only_parameters=True)
    parts = _parts(held) if not held.named else named_parts(held.mapping(), {}, description, only_parameters=True)
    return parts if gradients is None else _matched(parts, claims)


def _count_from_elsewhere(held: Container, claims: Container) -> bool:
    """Tell whether one of the two counts all layers from 0 and the other from 1."""
    numbers = [{leaf.said.layer for leaf in one.leaves if leaf.said.kind} for one in (held, claims)]
    firsts = [min(layers)[0][1] if layers and all(len(layer) == 1 for layer in layers) else -1 for layers in numbers]
    runs = [{((2, first + i, ""),) for i in range(len(layers))} for layers, first in zip(numbers, firsts, strict=True)]
    return numbers == runs and len(numbers[0]) == len(numbers[1]) and sorted(firsts) == [0, 1]


def with_gradients(parts: list[Part], gradients: Any) -> list[Part]:
    """Return parts that tell their layers and kinds with gradients in any form."""
    return _matched(parts, opened(gradients, "gradients", gradients=True))


def _has_own_gradients(parameters: Any) -> bool:
    """Tell whether layers hold their gradients as attributes, too."""
    entries = [parameters] if has_attributes(parameters) else parameters if isinstance(parameters, list | tuple) else []
    layers = [entry for entry in entries if has_attributes(entry)]
    return any(
        (parse(name) or Name()).gradient and (parse(name) or Name()).kind and value is not None
        for layer in layers
        for name, value in vars(layer).items()
    )


def _own_gradient(value: Any) -> Any:
    """Return the gradient that a tensor holds itself, as PyTorch leaves it in .grad; None where there is none."""
    if not is_array(value) or getattr(value, "is_leaf", None) is not True:
        return None
    return value.grad if is_array(getattr(value, "grad", None)) else None


def _parts(held: Container) -> list[Part]:
    """Return the parameters of lists, without the biases that are None."""
    present = [leaf for leaf in held.leaves if leaf.value is not None and (leaf.said.kind is not None or not held.told)]
    return [Part(leaf.label, number_array(leaf.label, leaf.value), None, leaf.said.kind, leaf.said.layer) for leaf in present]


def _in_order(held: Container, claims: Container, none: bool) -> list[Part]:
    """Return the parameters of a list, each with the gradient at the same place."""
    if none:
        return _parts(held)
    _require_as_many(held, claims)
    parts = []
    for leaf, claim in zip(held.leaves, claims.leaves, strict=True):
        if leaf.value is None and claim.value is None:
            continue  # a layer without bias
        if leaf.value is None:
            raise InputError(f"{claim.label} belongs to no parameter: {leaf.label} is None")
        parts.append(_gradiented(Part(leaf.label, number_array(leaf.label, leaf.value)), claim))
    return parts


def _gradiented(part: Part, claim: Leaf | None) -> Part:
    if claim is None or claim.value is None:
        return part
    label = claim.label if claim.name is None else f"the gradient {claim.name}"
    return replace(part, gradient=number_array(label, claim.value), gradient_name=claim.name, gradient_label=claim.label)


def _require_as_many(held: Container, claims: Container) -> None:
    if len(claims.leaves) != len(held.leaves):
        raise InputError(
            f"there are {len(held.leaves)} parameters and {len(claims.leaves)} gradients: give one for each, None where "
            "there is none"
        )


def _matched(parts: list[Part], claims: Container) -> list[Part]:
    """Return parameters with gradients that came in another form: by layer and kind, in a plain list by their sizes."""
    if claims.told and all(part.kind is not None for part in parts):
        return _by_layer(parts, claims)
    present = [leaf for leaf in claims.leaves if leaf.value is not None and (leaf.said.kind is not None or not claims.told)]
    if len(present) != len(parts):
        raise InputError(
            f"there are {len(parts)} parameters and {len(present)} gradients in another form: give one for each, or both "
            "as dicts with the names W1, b1, …"
        )
    if claims.told:
        place = ranks(leaf.said.layer for leaf in present)
        present.sort(key=lambda leaf: (place[leaf.said.layer], leaf.said.kind))
        fits = [order for order in _orders(len(parts)) if _sizes_fit([parts[i] for i in order], present)]
        by_place = dict(zip(_the_one(fits, parts, present), present, strict=True))
        return [_gradiented(part, by_place[i]) for i, part in enumerate(parts)]
    place = ranks(part.layer for part in parts)
    parts = sorted(parts, key=lambda part: (place[part.layer], part.kind or "W"))
    fits = [order for order in _orders(len(parts)) if _sizes_fit(parts, [present[i] for i in order])]
    return [_gradiented(part, present[i]) for part, i in zip(parts, _the_one(fits, parts, present), strict=True)]


def _orders(count: int) -> list[tuple[int, ...]]:
    """Return the places of W1, b1, W2, b2, … in a list: as they are, all W first, each b first, all b first."""
    half, usual = count // 2, tuple(range(count))
    if count != 2 * half or half == 0:
        return [usual]
    halves = tuple(place for pair in zip(usual[:half], usual[half:], strict=True) for place in pair)
    swapped = tuple(usual[i ^ 1] for i in range(2 * half))
    turned = tuple(halves[i ^ 1] for i in range(2 * half))
    return list(dict.fromkeys([usual, halves, swapped, turned]))


def _sizes_fit(parts: Iterable[Part], claims: Iterable[Leaf]) -> bool:
    return all(_size_fits(part.array, shape_of(claim.value)) for part, claim in zip(parts, claims, strict=True))


def _size_fits(array: Raw, shape: tuple[int, ...] | None) -> bool:
    """Tell whether a gradient may be that of an array, one of these perhaps turned; a ragged list is complained of later."""
    return shape is None or (array.size == math.prod(shape) and is_vector(array.shape) == is_vector(shape))


def _the_one(fits: list[tuple[int, ...]], parts: Sequence[Part], claims: Sequence[Leaf]) -> tuple[int, ...]:
    """Return the only order that fits."""
    if len(fits) == 1:
        return fits[0]
    owners, found = listed(map(str, parts)), listed(f"{claim.label} {shape_of(claim.value)}" for claim in claims)
    raise InputError(
        f"{'no order' if not fits else 'more than one order'} of the gradients {found} fits the parameters {owners}: give both "
        "as dicts with the names W1, b1, …, or both as lists in the same order"
    )


def _by_layer(parts: list[Part], claims: Container) -> list[Part]:
    """Return parameters with the gradients of their layer and kind, layers being counted where names differ."""
    mine = ranks([part.layer for part in parts])
    leaves = [leaf for leaf in claims.leaves if leaf.said.kind is not None]
    theirs = ranks([leaf.said.layer for leaf in leaves])
    if len(theirs) != len(mine):
        theirs = _numbered(theirs, len(mine))
    found: dict[tuple[int, Kind | None], Leaf] = {}
    for leaf in leaves:
        key = (theirs[leaf.said.layer], leaf.said.kind)
        if key in found and leaf.value is not None:
            raise ask(f"{found[key].label} and {leaf.label} could each be the gradient of one parameter", "grads")
        found[key] = leaf
    owned = {(mine[part.layer], part.kind) for part in parts}
    for key, leaf in found.items():
        if key not in owned and leaf.value is not None:
            raise InputError(
                f"the gradient {leaf.label} belongs to no parameter: there is {listed(part.label for part in parts)}"
            )
    return [_gradiented(part, found.get((mine[part.layer], part.kind))) for part in parts]


def _numbered(layers: Mapping[Any, int], depth: int) -> dict[Any, int]:
    """Return layers by the one number in each name, from 0 if there is a 0, where some layers have no gradient."""
    numbers = {layer: [number for _, number, word in layer if not word] for layer in layers}
    if any(len(found) != 1 for found in numbers.values()):
        raise InputError(
            f"there are gradients of {len(layers)} layers for {depth} layers of parameters: give both in the same form"
        )
    first = 0 if any(found == [0] for found in numbers.values()) else 1
    return {layer: found[0] - first for layer, found in numbers.items()}
