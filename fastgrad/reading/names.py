"""Which array is which: from the names that people give, to the parameters in order, each with its gradient.

A name is read word by word from one table (dW1: gradient, weights, layer 1); names given in order override all
reading. Nothing is said here of shapes, but for gradients whose names do not say of what.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise, product
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from fastgrad.errors import InputError, quoted, told
from fastgrad.reading.description import Description, ask, nearest

Raw = npt.NDArray[Any]
Kind = Literal["W", "b"]
LONGEST_NAME = 255
"""Characters of an array's name, as many as a file's has."""
Layer = tuple[tuple[int, int, str], ...]
"""A layer's place as a name tells it: a key that sorts naturally, W10 after W9 and the output last."""


@dataclass(frozen=True, eq=False)
class Part:
    """One parameter array with its gradient, before it is known which way round they are.

    `name` and `gradient_name` are None where they came in a list; the labels name them in messages. `kind` is None
    where the name does not tell it.
    """

    label: str
    array: Raw
    name: str | None = None
    kind: Kind | None = None
    layer: Layer = ()
    gradient: Raw | None = None
    gradient_name: str | None = None
    gradient_label: str = ""

    def __str__(self) -> str:
        return f"{self.label} {self.array.shape}"


def number_array(name: str, value: Any) -> Raw:
    """Return an array of real numbers, or complain of whatever else it is."""
    try:
        array = np.asarray(value)
    except ValueError:
        raise InputError(f"{name} is no array: its rows differ in length") from None
    except Exception as error:  # an object with code of its own, such as a tensor that says how it is to be detached
        raise InputError(f"{name} cannot be made an array: {told(error)}") from None
    masked = sys.modules.get("numpy.ma")  # which takes long to import, and without which there are no such arrays
    if masked is not None and masked.is_masked(value):
        raise InputError(f"{name} has masked entries, which are no numbers: fill them, or leave them out")
    if isinstance(value, Mapping):
        raise InputError(f"{name} must be an array, found a dict: give each of its arrays under a name of its own")
    if array.dtype.kind not in "fiub":
        what = {"c": "complex numbers", "O": "Python objects", "U": "text", "S": "text"}.get(array.dtype.kind, "others")
        raise InputError(f"{name} must hold real numbers, found {what} (dtype {array.dtype})")
    return array


def listed(words: Iterable[str], limit: int = 12) -> str:
    """Return words for a message, cut where they are many."""
    words = list(words)
    more = f" and {len(words) - limit} more" if len(words) > limit else ""
    return ", ".join(words[:limit]) + more if words else "nothing"


# What a name says.

_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("w", "weight", "weights", "kernel", "kernels", "coef", "coefs", "theta", "thetas"), "W"),
    **dict.fromkeys(("b", "bias", "biases", "intercept", "intercepts"), "b"),
}
_GRADIENT = frozenset(
    {"d", "g", "grad", "grads", "gradient", "gradients", "nabla", "nablas", "delta", "deltas"}
    | {"dl", "dj", "ld", "jd", "pd", "dloss", "dcost"}
)
_PLACES = {
    **dict.fromkeys(("i", "ih", "in", "input"), "input"),
    **dict.fromkeys(("h", "hh", "hid", "hidden"), "hidden"),
    **dict.fromkeys(("o", "ho", "out", "output"), "output"),
}
_ORDER = {"input": 0, "hidden": 1, "output": 3}
_NEUTRAL = frozenset(
    {"l", "layer", "layers", "param", "params", "parameter", "parameters", "model", "net", "network", "module"}
    | {"loss", "cost", "j"}
)
_OTHER = frozenset(
    {"vector", "vec", "flat", "flattened", "unrolled", "rolled", "old", "prev", "previous", "new", "init", "initial"}
    | {"best", "velocity", "momentum", "cache", "mask", "numerical", "numeric", "num", "approx", "decay", "shape"}
    | {"v", "m", "s", "vd", "sd", "md"}
)
"""Words of arrays that are about parameters and are none; the last ones are the moments that optimizers keep."""

_TOKEN = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d{1,18}")  # Python refuses to read numbers of thousands of digits


class _Word(NamedTuple):
    """What one word of a name says."""

    gradient: bool = False
    kind: Kind | None = None
    place: str | None = None


def _word_table() -> dict[str, _Word]:
    """Return what every known word says: W, weights, dW, gb, out, wh (weights, hidden), dwout and so on."""
    table = {word: _Word(place=place) for word, place in _PLACES.items()}
    table |= {word: _Word(gradient=True) for word in _GRADIENT}
    for word, kind in _KINDS.items():
        table[word] = _Word(kind=kind)
        table |= {f"{mark}{word}": _Word(True, kind) for mark in "dg"}
    for letter, (word, place) in product("wb", _PLACES.items()):
        table.setdefault(f"{letter}{word}", _Word(False, _KINDS[letter], place))
        table.setdefault(f"d{letter}{word}", _Word(True, _KINDS[letter], place))
    return table


_WORDS = _word_table()


class _Name(NamedTuple):
    """What a name says of an array: its kind, its layer, and whether it is a gradient."""

    kind: Kind | None = None
    layer: Layer = ()
    gradient: bool = False


@lru_cache(maxsize=2**16)  # every parameter looks at the names of all gradients
def _parse(name: str) -> _Name | None:
    """Read a name; None where it cannot be that of a parameter or of a gradient."""
    said = _Name()
    for token in _TOKEN.findall(name):
        word = token.lower()
        if word in _OTHER:
            return None
        if word not in _NEUTRAL:
            said = _more(said, word)
    return said


def _more(said: _Name, word: str) -> _Name:
    """Return what a name says with one more word."""
    if word.isdigit():
        return said._replace(layer=(*said.layer, (2, int(word), "")))
    gradient, kind, place = _WORDS.get(word, _Word(place=word))
    layer = said.layer if place is None else (*said.layer, (_ORDER.get(place, 2), -1, place))
    return _Name(kind or said.kind, layer, said.gradient or gradient)


# Dropout masks.

_MASKS = frozenset({"mask", "masks", "dropout", "drop", "dropmask", "dropoutmask"})


class Mask(NamedTuple):
    """A dropout mask as it came; its number is that of the layer whose output it drops, 0 that of the input."""

    name: str
    number: int
    array: Raw

    def __str__(self) -> str:
        return f"{self.name} {self.array.shape}"


def mask_number(name: str) -> int | None:
    """Return the number in the name of a mask, such as D1, mask_1 or dropout_mask1; None where the name is none of these."""
    words = _TOKEN.findall(name)
    numbers = [int(word) for word in words if word.isdigit()]
    told = [word == "D" or word.lower() in _MASKS for word in words if not word.isdigit() and word.lower() not in _NEUTRAL]
    return numbers[0] if len(numbers) == 1 and told and all(told) else None


def named_masks(arrays: Mapping[str, Any], description: Description) -> dict[str, int]:
    """Return the arrays of a mapping that have the name of a mask, with its number, unless they are said to be others."""
    others = {*(description.params or ()), *(description.grads or ())}
    numbers = {name: mask_number(name) for name in arrays if name not in others}
    return {name: number for name, number in numbers.items() if number is not None}


def given_masks(masks: Any) -> list[Mask]:
    """Return the masks of a dict by the numbers in its names, of a list those of the hidden layers in order."""
    if masks is None:
        return []
    if not isinstance(masks, Mapping):
        values = enumerate(_sequence(masks, "masks"), start=1)
        return [Mask(f"masks[{i - 1}]", i, number_array(f"masks[{i - 1}]", value)) for i, value in values if value is not None]
    given = []
    for name, value in _opened(masks).items():
        numbers = re.findall(r"\d{1,18}", name)
        if len(numbers) != 1:
            raise InputError(f"masks has {quoted(name)}: name each mask by its layer, D1, D2, … (D0 for the input)")
        if value is not None:
            given.append(Mask(name, int(numbers[0]), number_array(name, value)))
    return given


# X and Y.

INPUT_NAMES = (
    ("x",),
    ("inputs", "input", "data", "features", "x_train", "train_x", "x_batch", "input_data", "input_vector"),
    ("training_data", "training_inputs", "train_data", "train_set_x", "images", "samples"),
)
LABEL_NAMES = (
    ("y",),
    ("t", "labels", "label", "targets", "target", "y_true", "y_train", "train_y", "y_batch", "classes"),
    ("training_targets", "training_labels", "train_labels", "train_set_y", "one_hot", "y_onehot", "y_one_hot"),
)
"""Usual names of X and of Y, in any case, the commonest first."""


def find(arrays: Mapping[str, Any], given: str | None, usual: Iterable[Collection[str]], item: str) -> str:
    """Return the name of X or of Y: the given one, or the commonest of the usual ones."""
    if given is not None:
        return _taken(arrays, given, item)
    for names in usual:
        matches = [name for name in arrays if name.lower() in names]
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise ask(f"{' and '.join(matches)} could each be the {item}", item)
    raise ask(f"no {item} found by a usual name among {listed(arrays)}", item)


def _taken(arrays: Mapping[str, Any], name: str, item: str) -> str:
    """Return a name that was given, if there is such an array."""
    if name not in arrays:
        near = nearest(name, arrays)
        raise InputError(f"{item} names {quoted(name)}, but there is none of that name{near} (found: {listed(arrays)})")
    return name


# Parameters and gradients.


def split(arrays: Mapping[str, Any], description: Description) -> tuple[dict[str, Any], dict[str, Any]]:
    """Part a flat mapping into parameters and gradients: by their given names, else by what their names say."""
    params, grads = description.params or (), description.grads or ()
    is_gradient = {
        name: name in grads or (name not in params and (said := _parse(name)) is not None and said.gradient) for name in arrays
    }
    parameters = {name: value for name, value in arrays.items() if not is_gradient[name]}
    return parameters, {name: value for name, value in arrays.items() if is_gradient[name]}


def named_parts(
    parameters: Mapping[str, Any], gradients: Mapping[str, Any], description: Description, only_parameters: bool
) -> list[Part]:
    """Return the parameters of a mapping in order, each with its gradient.

    Where the mapping holds only parameters, their names may be any; its own order then stands.
    """
    if description.params is not None:
        names = [_taken(parameters, name, "params") for name in description.params]
        if len(set(names)) < len(names):
            raise InputError(f"params names an array twice: {', '.join(names)}")
    elif only_parameters and not all(_is_parameter(name) for name in parameters):
        names = list(parameters)
    else:  # a parameter that is None is a layer without it
        names = _parameter_names({name: value for name, value in parameters.items() if value is not None})
    parts = [_part(name, parameters[name]) for name in names if parameters[name] is not None]
    if description.grads is not None:
        return _with_given_gradients(parts, gradients, description.grads)
    if description.params is None:
        _require_owners(parts, gradients)
    return [_with_gradient(part, gradients) for part in parts]


def _part(name: str, value: Any) -> Part:
    said = _parse(name) or _Name()
    return Part(name, number_array(name, value), name, said.kind, said.layer)


def _is_parameter(name: str) -> bool:
    said = _parse(name)
    return said is not None and said.kind is not None


def _parameter_names(arrays: Mapping[str, Any]) -> list[str]:
    """Return the names that are those of parameters, by layer and W before b."""
    said = {name: parsed for name in arrays if (parsed := _parse(name)) is not None and parsed.kind is not None}
    if any(parsed.kind == "W" and parsed.layer for parsed in said.values()):
        said = {name: parsed for name, parsed in said.items() if parsed.layer}  # `theta` alone is all of them in a row
    names = sorted(said, key=lambda name: (said[name].layer, said[name].kind))
    weights = {said[name].layer: name for name in names if said[name].kind == "W"}
    if not weights:
        raise ask(f"no weights found by a usual name (W1, weights_0, fc1.weight) among {listed(arrays)}", "params")
    for first, second in pairwise(names):
        if said[first][:2] == said[second][:2]:
            raise ask(f"{first} and {second} could be the same parameter", "params")
    for name in names:
        if said[name].layer not in weights:
            raise InputError(f"{name} has no weights beside it: there is {', '.join(weights.values())}")
    _require_every_layer(weights)
    return names


def _require_every_layer(weights: Mapping[Layer, str]) -> None:
    """Complain of a gap as in W1, W3; the numbers in a path, as in 0.weight and 2.weight, may have gaps."""
    if any(len(layer) != 1 or layer[0][2] for layer in weights) or any("." in name for name in weights.values()):
        return
    for ((_, before, _),), ((_, number, _),) in pairwise(weights):
        if number != before + 1:
            missing = re.sub(r"\d+", str(before + 1), weights[(2, number, ""),])
            raise InputError(f"{missing} is missing: there is {', '.join(weights.values())}")


def _require_owners(parts: list[Part], gradients: Mapping[str, Any]) -> None:
    """Complain of a gradient whose parameter is not there."""
    names = {part.name for part in parts}
    owned = {(part.kind, part.layer) for part in parts}
    for name, value in gradients.items():
        said = _parse(name)
        if value is None or name in names or said is None or (said.kind, said.layer) in owned:
            continue
        if said.kind is None or not said.layer:
            continue
        raise InputError(
            f"the gradient {name} belongs to no parameter: there is {listed(part.label for part in parts)}. "
            "Name what belongs together with --params and --grads (in Python params=, grads=)"
        )


def _with_given_gradients(parts: list[Part], gradients: Mapping[str, Any], names: Sequence[str]) -> list[Part]:
    if len(names) != len(parts):
        raise InputError(
            f"grads names {len(names)} arrays for {len(parts)} parameters ({', '.join(part.label for part in parts)}): "
            "give one for each, in this order, and leave the name empty where there is none"
        )
    return [
        _gradiented(part, _taken(gradients, name, "grads"), gradients[name]) if name else part
        for part, name in zip(parts, names, strict=True)
    ]


def _with_gradient(part: Part, gradients: Mapping[str, Any]) -> Part:
    """Return a parameter with the gradient that its name points to, if there is one."""
    if part.label in gradients:
        return _gradiented(part, part.label, gradients[part.label])
    said = {name: parsed for name in gradients if (parsed := _parse(name)) is not None and parsed.layer == part.layer}
    matches = [name for name, parsed in said.items() if parsed.kind is not None and parsed.kind == part.kind]
    if not matches and part.kind != "b":  # delta1 and grad_0 do not say of what; their shape does
        shapes = {part.array.shape, part.array.shape[::-1]}
        matches = [name for name, parsed in said.items() if parsed.kind is None and _shape(gradients[name]) in shapes]
    if len(matches) > 1:
        raise ask(f"{' and '.join(matches)} could each be the gradient of {part.label}", "grads")
    return _gradiented(part, matches[0], gradients[matches[0]]) if matches else part


def strangers(gradients: Mapping[str, Any], parts: Iterable[Part]) -> list[str]:
    """Return the names of what came among gradients and is that of no parameter."""
    taken = {part.gradient_name for part in parts}
    return [name for name, value in _opened(gradients).items() if name not in taken and value is not None]


def _shape(value: Any) -> tuple[int, ...] | None:
    """Return the shape of an array; None of a ragged list, which will be complained of where it is used."""
    try:
        return np.asarray(value).shape
    except Exception:
        return None


def _gradiented(part: Part, name: str, value: Any) -> Part:
    if value is None:
        return part
    return replace(part, gradient=number_array(f"the gradient {name}", value), gradient_name=name, gradient_label=name)


# Dicts and lists.


def given_parts(parameters: Any, gradients: Any, description: Description) -> list[Part]:
    """Return the parts of parameters and gradients as dicts or lists."""
    if not isinstance(parameters, Mapping):
        return _listed_parts(*_flattened(parameters, gradients))
    parameters = _opened(parameters)
    if gradients is not None and not isinstance(gradients, Mapping):
        gradients = _sequence(gradients, "gradients")
        _require_as_many(parameters, gradients)
        gradients = dict(zip(parameters, gradients, strict=True))
    return named_parts(parameters, _opened(gradients or {}), description, only_parameters=True)


def _listed_parts(parameters: Sequence[Any], gradients: Any) -> list[Part]:
    """Return the parameters of a list, each with the gradient at the same place."""
    if isinstance(gradients, Mapping):
        raise InputError("the parameters came as a list: give the gradients as a list in the same order")
    gradients = [None] * len(parameters) if gradients is None else _sequence(gradients, "gradients")
    _require_as_many(parameters, gradients)
    parts = []
    for i, (value, gradient) in enumerate(zip(parameters, gradients, strict=True)):
        if value is None and gradient is None:
            continue  # a layer without bias
        if value is None:
            raise InputError(f"gradients[{i}] belongs to no parameter: parameters[{i}] is None")
        part, label = Part(f"parameters[{i}]", number_array(f"parameters[{i}]", value)), f"gradients[{i}]"
        if gradient is not None:
            part = replace(part, gradient=number_array(label, gradient), gradient_label=label)
        parts.append(part)
    return parts


def pair_of_lists(values: Any) -> tuple[Sequence[Any], Sequence[Any]] | None:
    """Return both where values are a pair of lists of arrays, as in (weights, biases)."""
    if not isinstance(values, list | tuple) or len(values) != 2:
        return None
    lists = all(isinstance(part, list | tuple) and any(isinstance(entry, np.ndarray) for entry in part) for part in values)
    return (values[0], values[1]) if lists and all(isinstance(e, np.ndarray | None) for part in values for e in part) else None


def _flattened(parameters: Any, gradients: Any) -> tuple[Sequence[Any], Any]:
    """Return parameters and gradients as lists where they came as pairs of lists, in the same order."""
    parameters = parameters if isinstance(parameters, list | tuple) else _sequence(parameters, "parameters")
    pair, claimed = pair_of_lists(parameters), pair_of_lists(gradients)
    if pair is None and claimed is not None and len(parameters) != 2:
        raise InputError(
            "the gradients came as a pair of lists, the parameters did not: give both in the same form, as a dict, one list, "
            "or a pair of lists"
        )
    flat = [*claimed[0], *claimed[1]] if pair is not None and claimed is not None else gradients
    return parameters if pair is None else [*pair[0], *pair[1]], flat


def _require_as_many(parameters: Collection[Any], gradients: Sequence[Any]) -> None:
    if len(gradients) != len(parameters):
        raise InputError(
            f"there are {len(parameters)} parameters and {len(gradients)} gradients: give one for each, None where "
            "there is none"
        )


def _sequence(value: Any, what: str) -> Sequence[Any]:
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping | np.ndarray):
        return list(value)
    raise InputError(f"{what} must be a dict or a list of arrays, found {type(value).__name__}")


def _opened(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping with each list of arrays, as in {"weights": [W1, W2]}, opened into weights_0, weights_1."""
    opened: dict[str, Any] = {}
    for name, value in mapping.items():
        if len(str(name)) > LONGEST_NAME:
            raise InputError(f"the name {quoted(name)} is longer than the {LONGEST_NAME} characters that a name may have")
        if isinstance(value, list | tuple) and value and all(isinstance(entry, np.ndarray | None) for entry in value):
            opened |= {f"{name}_{i}": entry for i, entry in enumerate(value)}
        else:
            opened[str(name)] = value
    return opened
