"""Which array is which: from the names that people give, to the parameters in order, each with its gradient.

A name is read word by word from one table (dW1: gradient, weights, layer 1); names given in order override all
reading. Nothing is said here of shapes, but for gradients whose names do not say of what.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise, product
from typing import Any, Literal, NamedTuple

import numpy as np

from fastgrad.errors import InputError, quoted
from fastgrad.reading.arrays import Raw, number_array, shape_of
from fastgrad.reading.description import Description, ask, nearest

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
_ORDER, _ANY = {"input": 0, "hidden": 1, "output": 3}, 2
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


class Name(NamedTuple):
    """What a name says of an array: its kind, its layer, and whether it is a gradient."""

    kind: Kind | None = None
    layer: Layer = ()
    gradient: bool = False


@lru_cache(maxsize=2**16)  # every parameter looks at the names of all gradients
def parse(name: str) -> Name | None:
    """Read a name; None where it cannot be that of a parameter or of a gradient."""
    said = Name()
    for token in _TOKEN.findall(name):
        word = token.lower()
        if word in _OTHER:
            return None
        if word not in _NEUTRAL:
            said = _more(said, word)
    return said


def _more(said: Name, word: str) -> Name:
    """Return what a name says with one more word."""
    if word.isdigit():
        return said._replace(layer=(*said.layer, (_ANY, int(word), "")))
    gradient, kind, place = _WORDS.get(word, _Word(place=word))
    layer = said.layer if place is None else (*said.layer, (_ORDER.get(place, _ANY), -1, place))
    return Name(kind or said.kind, layer, said.gradient or gradient)


def ranks(layers: Iterable[Layer]) -> dict[Layer, int]:
    """Return each layer with its number from 0, in the order of their names; words such as encoder and decoder as they come."""
    seen = dict.fromkeys(layers)
    words = {word: i for i, word in enumerate(dict.fromkeys(part[2] for layer in seen for part in layer))}
    ordered = sorted(seen, key=lambda layer: [(rank, number, words[word]) for rank, number, word in layer])
    return {layer: i for i, layer in enumerate(ordered)}


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
    told = [word == "D" or word.lower() in _MASKS for word in words if not word.isdigit() and word.lower() not in _NEUTRAL]
    return number_in(name) if told and all(told) else None


def number_in(name: str) -> int | None:
    """Return the one number in a name, None where there is none or more than one."""
    numbers = [int(word) for word in _TOKEN.findall(name) if word.isdigit()]
    return numbers[0] if len(numbers) == 1 else None


def speaks_of_dropout(name: str) -> bool:
    """Tell whether a name has the word of a mask in it, with or without a number, or is D1, D2, …."""
    return mask_number(name) is not None or any(word.lower() in _MASKS for word in _TOKEN.findall(name))


def named_masks(arrays: Mapping[str, Any], description: Description) -> dict[str, int]:
    """Return the arrays of a mapping that have the name of a mask, with its number, unless they are said to be others."""
    others = {*(description.params or ()), *(description.grads or ())}
    numbers = {name: mask_number(name) for name in arrays if name not in others}
    return {name: number for name, number in numbers.items() if number is not None}


# X and Y.

INPUT_NAMES = (
    ("x",),
    ("inputs", "input", "data", "features", "x_train", "train_x", "x_batch", "input_data", "input_vector"),
    ("batch_x", "xb", "x_b", "x_data", "x_test", "img", "imgs", "image", "inp", "inps", "input_batch", "feature"),
    ("training_data", "training_inputs", "train_data", "train_set_x", "images", "samples"),
)
LABEL_NAMES = (
    ("y",),
    ("t", "labels", "label", "targets", "target", "y_true", "y_train", "train_y", "y_batch", "classes"),
    ("batch_y", "yb", "y_b", "y_data", "y_test", "target_vector", "label_vector", "target_batch", "expected", "truth", "gt"),
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


def find_vectors(arrays: Mapping[str, Any], description: Description, sizes: Collection[int]) -> tuple[str, str | None]:
    """Return the names of the vector of all parameters and of that of its gradient, None where there is none."""
    params, grads = description.params or (), description.grads or ()
    vectors = [name for name, value in arrays.items() if np.size(value) in sizes and max(np.shape(value)) == np.size(value)]
    gradients = list(grads) or [name for name in vectors if name not in params and _speaks_of_gradient(name)]
    parameters = list(params) or [name for name in vectors if name not in gradients]
    if len(parameters) != 1:
        which = f"{listed(parameters)} could each be" if parameters else "no array has the size of"
        raise ask(f"{which} the vector of all parameters", "params")
    if len(gradients) > 1:
        raise ask(f"{' and '.join(gradients)} could each be the gradient of {parameters[0]}", "grads")
    given = [(name, item) for names, item in ((parameters, "params"), (gradients, "grads")) for name in names if name]
    found = [_taken(arrays, name, item) for name, item in given]
    return found[0], found[1] if len(found) > 1 else None


def _speaks_of_gradient(name: str) -> bool:
    return any(_WORDS.get(token.lower(), _Word()).gradient for token in _TOKEN.findall(name))


# Parameters and gradients.


def split(arrays: Mapping[str, Any], description: Description) -> tuple[dict[str, Any], dict[str, Any]]:
    """Part a flat mapping into parameters and gradients: by their given names, else by what their names say."""
    params, grads = description.params or (), description.grads or ()
    is_gradient = {
        name: name in grads or (name not in params and (said := parse(name)) is not None and said.gradient) for name in arrays
    }
    parameters = {name: value for name, value in arrays.items() if not is_gradient[name]}
    return parameters, {name: value for name, value in arrays.items() if is_gradient[name]}


def named_parts(
    parameters: Mapping[str, Any], gradients: Mapping[str, Any], description: Description, only_parameters: bool
) -> list[Part]:
    """Return the parameters of a mapping in order, each with its gradient.

    Where the mapping holds only parameters, their names may be any; its own order then stands.
    """
    company = _without_company(parameters, gradients) if only_parameters else parameters
    if description.params is not None:
        names = [_taken(parameters, name, "params") for name in description.params]
        if len(set(names)) < len(names):
            raise InputError(f"params names an array twice: {', '.join(names)}")
    elif only_parameters and not all(is_parameter(name) for name in company):
        names = list(company)
    else:  # a parameter that is None is a layer without it
        names = _parameter_names({name: value for name, value in company.items() if value is not None})
    parts = [_part(name, parameters[name]) for name in names if parameters[name] is not None]
    if description.grads is not None:
        parts = _with_given_gradients(parts, gradients, description.grads)
    else:
        if description.params is None:
            _require_owners(parts, gradients)
        parts = [_with_gradient(part, gradients) for part in parts]
    return parts if description.params is None else list(map(_in_given_order, parts))


def _in_given_order(part: Part) -> Part:
    """Return a part whose place was said, so that its name tells no more than its shape: a bias may be called w0."""
    is_bias = max(part.array.shape, default=1) == part.array.size
    return part if part.kind == ("b" if is_bias else "W") else replace(part, kind=None)


_LEFT_BY_FORWARD = re.compile(r"(?i)d?_?(a|z|h|x|y|act|pre|net|activations?|caches?|inputs?|outputs?|hidden)_?\d*")
"""Names of what a forward pass leaves beside the parameters: A0, Z1, cache, …"""


def _without_company(parameters: Mapping[str, Any], gradients: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a dict without what is no parameter by its name, and without gradients, where the rest has the usual names.

    A single number without a gradient, such as a learning rate, is no parameter either.
    """
    said = {name: parse(name) for name in parameters}
    usual = {(one.kind, one.layer) for one in said.values() if one is not None and one.kind is not None and not one.gradient}

    def is_company(name: str) -> bool:
        one = said[name]
        if one is None or _LEFT_BY_FORWARD.fullmatch(name) or name.lower() in INPUT_NAMES[0] + LABEL_NAMES[0]:
            return True
        if one.kind is None and not one.gradient and shape_of(parameters[name]) == ():
            return _with_gradient(_part(name, parameters[name]), gradients).gradient is None
        return one.gradient and (one.kind is None or (one.kind, one.layer) in usual)

    rest = {name: value for name, value in parameters.items() if not is_company(name)}
    return rest if any(kind == "W" for kind, _ in usual) and all(map(is_parameter, rest)) else parameters


def _part(name: str, value: Any) -> Part:
    said = parse(name) or Name()
    return Part(name, number_array(name, value), name, said.kind, said.layer)


def is_parameter(name: str) -> bool:
    """Tell whether a name says that it is of weights or a bias."""
    said = parse(name)
    return said is not None and said.kind is not None


def _parameter_names(arrays: Mapping[str, Any]) -> list[str]:
    """Return the names that are those of parameters, by layer and W before b."""
    said = {name: parsed for name in arrays if (parsed := parse(name)) is not None and parsed.kind is not None}
    if any(parsed.kind == "W" and parsed.layer for parsed in said.values()):
        said = {name: parsed for name, parsed in said.items() if parsed.layer}  # `theta` alone is all of them in a row
    place = ranks(parsed.layer for parsed in said.values())
    names = sorted(said, key=lambda name: (place[said[name].layer], said[name].kind))
    weights = {said[name].layer: name for name in names if said[name].kind == "W"}
    if not weights and (numbered := _numbered(arrays)):
        return numbered
    if not weights:
        raise ask(f"no weights found by a usual name (W1, weights_0, fc1.weight) among {listed(arrays)}", "params")
    for first, second in pairwise(names):
        if said[first][:2] == said[second][:2]:
            raise ask(f"{first} and {second} could be the same parameter", "params")
    for name in names:
        if said[name].layer not in weights:
            raise InputError(
                f"{name} has no weights beside it: there is {', '.join(weights.values())}{_tied(name, weights, arrays)}"
            )
    _require_every_layer(weights)
    return names


def _tied(name: str, weights: Mapping[Any, str], arrays: Mapping[str, Any]) -> str:
    """Say what to do where a bias may be that of a layer whose weights are another one's, the other way round."""
    lengths = [length for length in shape_of(arrays[name]) or () if length > 1]
    uses = [one for one in weights.values() if {*lengths} <= {*(shape_of(arrays[one]) or ())}]
    return used_again(uses[-1]) if uses and len(lengths) == 1 else ""


def used_again(name: str) -> str:
    """Say how weights are handed over that a later layer uses transposed."""
    return (
        f"; where its layer uses {name} transposed, hand that over under a name of its own (W2 = {name}.T), with the whole "
        "gradient under both names"
    )


def _numbered(arrays: Mapping[str, Any]) -> list[str]:
    """Return names that are nothing but a number, such as layers_0 and params_1, by that number."""
    said = {name: parse(name) for name in arrays if not _LEFT_BY_FORWARD.fullmatch(name)}
    found = {name: one.layer for name, one in said.items() if one is not None and not one.gradient and len(one.layer) == 1}
    return sorted((name for name, layer in found.items() if not layer[0][2]), key=found.__getitem__)


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
    words = {word for part in parts for *_, word in part.layer}
    for name, value in gradients.items():
        said = parse(name)
        if value is None or name in names or said is None or (said.kind, said.layer) in owned:
            continue
        if (
            said.kind is None
            or not said.layer
            or any(rank == _ANY and word and word not in words for rank, _, word in said.layer)
        ):
            continue  # under an unknown prefix it may be anything
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
    said = {name: parsed for name in gradients if (parsed := parse(name)) is not None and parsed.layer == part.layer}
    matches = [name for name, parsed in said.items() if parsed.kind is not None and parsed.kind == part.kind]
    if not matches and part.kind != "b":  # delta1 and grad_0 do not say of what; their shape does
        shapes = {part.array.shape, part.array.shape[::-1]}
        matches = [name for name, parsed in said.items() if parsed.kind is None and shape_of(gradients[name]) in shapes]
    if len(matches) > 1:
        raise ask(f"{' and '.join(matches)} could each be the gradient of {part.label}", "grads")
    return _gradiented(part, matches[0], gradients[matches[0]]) if matches else part


def strangers(gradients: Mapping[str, Any], parts: Iterable[Part]) -> list[str]:
    """Return the names of what came among gradients and is that of no parameter."""
    taken = {part.gradient_name for part in parts}
    return [name for name, value in gradients.items() if name not in taken and value is not None]


def _gradiented(part: Part, name: str, value: Any) -> Part:
    if value is None:
        return part
    return replace(part, gradient=number_array(f"the gradient {name}", value), gradient_name=name, gradient_label=name)
