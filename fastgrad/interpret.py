"""Arrays under people's own names and layouts become a Problem: the one door where names, shapes, labels and types are judged.

Called by modelfile with a file's flat mapping and by the library with dicts or lists. Pure: no disk, no numba, no click.
The way through: names say which array is which (`_Part`), the chain of widths says which way round they are
(`_Reading`), and only then are numbers copied.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from fastgrad.errors import InputError
from fastgrad.network import ACTIVATIONS, LOGIT_OUTPUT, LOSSES, REDUCTIONS, Array, Network, Problem, Tensor

Raw = npt.NDArray[Any]
Kind = Literal["W", "b"]
Shape = tuple[int, ...]

# What people say about their network.

ALIASES = {
    "linear": "identity",
    "none": "identity",
    "logistic": "sigmoid",
    "expit": "sigmoid",
    "rectifier": "relu",
    "leakyrelu": "leaky_relu",
    "lrelu": "leaky_relu",
    "bce": "binary_crossentropy",
    "binary_cross_entropy": "binary_crossentropy",
    "log_loss": "binary_crossentropy",
    "logloss": "binary_crossentropy",
    "softmax_cross_entropy": "softmax_crossentropy",
    "categorical_crossentropy": "softmax_crossentropy",
    "categorical_cross_entropy": "softmax_crossentropy",
    "sparse_categorical_crossentropy": "softmax_crossentropy",
    "nll": "softmax_crossentropy",
    "half_squared_error": "squared_error",
    "quadratic": "squared_error",
    "mean_squared_error": "mse",
    "mae": "absolute_error",
    "l1": "absolute_error",
    "mean_absolute_error": "absolute_error",
    "hinge_loss": "hinge",
    "svm": "hinge",
    "huber_loss": "huber",
    "average": "mean",
    "avg": "mean",
    "total": "sum",
}
"""Other names of activations, losses and reductions; those whose meaning is not known yet are refused as themselves."""

CROSS_ENTROPY = frozenset({"cross_entropy", "crossentropy", "ce", "xent"})
"""Names of two losses at once: the output activation tells which."""

LAYOUT_WORDS = ("rows", "columns", "in_out", "out_in")
NATURAL = {("rows", "in_out"), ("columns", "out_in"), (None, "out_in")}
"""z = X·W with examples in rows, z = W·X with examples in columns: what one half of a layout says of the other."""

COLUMNS = {"first": 0, "last": -1}
EXAMPLES = {
    "hidden": "tanh",
    "output": "sigmoid",
    "loss": "binary_crossentropy",
    "inputs": "X",
    "labels": "Y",
    "params": "W1,b1,W2,b2",
    "grads": "dW1,db1,dW2,db2",
    "bias_column": "first",
}


def _text(value: Any) -> str:
    value = value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
    if not isinstance(value, str):
        raise TypeError
    return value.strip()


def _words(value: Any) -> tuple[str, ...]:
    """Take "a,b" or ["a", "b"]; an empty word or None stays as an empty word."""
    value = value.tolist() if isinstance(value, np.ndarray) else value
    words = value.split(",") if isinstance(value, str) else ["" if word is None else word for word in value]
    return tuple(_text(word) for word in words)


def _number(value: Any) -> float:
    return float(value.item() if isinstance(value, np.ndarray) else value)


def _truth(value: Any) -> bool:
    value = value.item() if isinstance(value, np.ndarray) else value
    return {"true": True, "yes": True, "1": True, "1.0": True, "false": False, "no": False, "0": False, "0.0": False}[
        str(value).strip().lower()
    ]


_CONVERTERS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "hidden": (_text, "a name"),
    "activations": (_words, "names, one for each layer"),
    "output": (_text, "a name"),
    "loss": (_text, "a name"),
    "reduction": (_text, "a name"),
    "l2": (_number, "a number"),
    "penalize_biases": (_truth, "true or false"),
    "layout": (_text, "a word"),
    "loss_value": (_number, "a number"),
    "params": (_words, "names, in order"),
    "grads": (_words, "names, in the order of the parameters"),
    "inputs": (_text, "the name of an array"),
    "labels": (_text, "the name of an array"),
    "bias_column": (_text, "first or last"),
}

TEXT_ITEMS = frozenset(key for key, (converter, _) in _CONVERTERS.items() if converter in {_text, _words})
"""Items that are words: an array of numbers under such a name is data."""


@dataclass(frozen=True)
class Description:
    """Everything a person can tell about a network; None for what was not said.

    Plain strings are taken for every item ("relu,tanh,softmax", "0.01", "true"), as a file or a command line gives them.

    Attributes
    ----------
    hidden : str
        Activation of all hidden layers.
    activations : tuple of str
        Instead, one for each layer; without the last one where `output` is said.
    output : str
        Activation of the last layer.
    loss, reduction : str
        The loss of a sample, and how samples are put together; "mean" if nothing is said.
    l2 : float
        c of the penalty ½·c·Σ‖W‖²; 0 if nothing is said.
    penalize_biases : bool
        Whether the penalty includes the biases; False if nothing is said.
    layout : str
        "rows" or "columns" (where the examples lie), "in_out" or "out_in" (the axes of the weights), or one of each:
        "rows,out_in". Needed only where the shapes allow more than one reading.
    loss_value : float
        The user's own value of the loss.
    params, grads : tuple of str
        Names of the parameter arrays and their gradients, in order; an empty name where there is no gradient.
    inputs, labels : str
        Names of X and Y.
    bias_column : {"first", "last"}
        Where each W and its b share one array: which of its columns (or rows) is the bias.

    Raises
    ------
    InputError
        If an item is not of its kind.
    """

    hidden: str | None = None
    activations: tuple[str, ...] | None = None
    output: str | None = None
    loss: str | None = None
    reduction: str | None = None
    l2: float | None = None
    penalize_biases: bool | None = None
    layout: str | None = None
    loss_value: float | None = None
    params: tuple[str, ...] | None = None
    grads: tuple[str, ...] | None = None
    inputs: str | None = None
    labels: str | None = None
    bias_column: str | None = None

    def __post_init__(self) -> None:
        for key, (convert, meaning) in _CONVERTERS.items():
            value = getattr(self, key)
            if value is None:
                continue
            try:
                object.__setattr__(self, key, convert(value))
            except (TypeError, ValueError, KeyError):
                raise InputError(f"{key} must be {meaning}, found {value!r}") from None
        if self.bias_column is not None and self.bias_column not in COLUMNS:
            raise InputError(f"bias_column must be first or last, found {self.bias_column!r}")
        self._check_layout()

    def _check_layout(self) -> None:
        words = _layout_words(self)
        unknown = [word for word in words if word not in LAYOUT_WORDS]
        halves = [len(words & set(pair)) for pair in (LAYOUT_WORDS[:2], LAYOUT_WORDS[2:])]
        if unknown or max(halves) > 1:
            raise InputError(
                f"layout must be rows or columns (where the examples lie), in_out or out_in (the axes of the weights), or "
                f"one of each as in rows,out_in; found {self.layout!r}"
            )

    def overlaid(self, top: Description) -> Description:
        """Return this description with what another one says put over it.

        `hidden` or `activations` of the top replace the activations of this one, in whichever form they were said.
        """
        said = {key: value for key, value in top.said().items()}
        base = self
        if top.activations is not None:
            base = replace(base, hidden=None, output=None)
        elif top.hidden is not None and base.activations is not None:
            output = base.output if base.output is not None else base.activations[-1]
            base = replace(base, activations=None, output=output)
        elif top.output is not None and base.activations is not None and base.output is None:
            base = replace(base, activations=base.activations[:-1])
        return replace(base, **said)

    def said(self) -> dict[str, Any]:
        """Return the items that were said."""
        return {field.name: value for field in fields(self) if (value := getattr(self, field.name)) is not None}

    @classmethod
    def of(cls, items: Mapping[str, Any]) -> Description:
        """Make a description of items by name, and refuse other names with the nearest known one."""
        for key in items:
            if key not in _CONVERTERS:
                raise InputError(f"there is no item {key!r} in a description{_nearest(key, _CONVERTERS)}")
        return cls(**items)


def _layout_words(description: Description) -> set[str]:
    words = re.split(r"[,\s+]+", (description.layout or "").lower().replace("-", "_"))
    return {word for word in words if word}


def _nearest(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean x?" where something is near enough, else nothing."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _known(word: str, known: Collection[str], what: str) -> str:
    """Return the proper name of an activation, a loss or a reduction."""
    plain = re.sub(r"[\s\-]+", "_", word.strip().lower())
    name = ALIASES.get(plain, plain)
    if name not in known:
        near = _nearest(plain, [*known, *(alias for alias, proper in ALIASES.items() if proper in known)])
        raise InputError(f"unknown {what} {word!r}{near} (known: {', '.join(known)})")
    return name


def _ask(item: str, question: str) -> InputError:
    """Return the error that asks for one item by name."""
    example = EXAMPLES[item]
    option = f"--{item.replace('_', '-')} {example}"
    return InputError(f"{question}: say it with {option} (in Python {item}={example!r}; in the file under the key {item!r})")


def _network(description: Description, widths: tuple[int, ...], biases: tuple[bool, ...]) -> Network:
    """Put a description together with the widths that the arrays gave."""
    output, loss = _output_and_loss(description, len(widths) - 1)
    return Network(
        widths=widths,
        activations=(*_hidden(description, len(widths) - 1), output),
        loss=loss,
        reduction=_known(description.reduction or "mean", REDUCTIONS, "reduction"),
        l2=description.l2 or 0.0,
        penalize_biases=bool(description.penalize_biases),
        biases=biases,
    )


def _hidden(description: Description, depth: int) -> tuple[str, ...]:
    """Return the activations below the output."""
    listed, hidden = description.activations, description.hidden
    if listed is None:
        if depth > 1 and hidden is None:
            raise _ask("hidden", "which activation do the hidden layers have")
        return (_known(hidden, ACTIVATIONS, "activation"),) * (depth - 1) if hidden and depth > 1 else ()
    names = tuple(_known(word, ACTIVATIONS, "activation") for word in listed)
    if len(names) not in {depth, depth - 1} or (len(names) < depth and description.output is None):
        raise InputError(f"{depth} layers need {depth} activations, found {len(names)}: {', '.join(names)}")
    if hidden is not None and any(name != _known(hidden, ACTIVATIONS, "activation") for name in names[: depth - 1]):
        raise InputError(f"hidden says {hidden}, activations say {', '.join(names)}: leave one of them out")
    return names[: depth - 1]


def _output_and_loss(description: Description, depth: int) -> tuple[str, str]:
    """Return both, each from the other where only one is said and the other follows."""
    listed = description.activations
    last = listed[-1] if listed is not None and len(listed) == depth else None
    output = _known(description.output, ACTIVATIONS, "activation") if description.output is not None else None
    if last is not None:
        last = _known(last, ACTIVATIONS, "activation")
        if output is not None and output != last:
            raise InputError(f"output says {output}, activations end with {last}: leave one of them out")
        output = last
    loss = _loss(description.loss, output)
    if output is None:
        output = LOGIT_OUTPUT.get(loss) if loss is not None else None
        if output is None:
            raise _ask("output", "which activation does the last layer have")
    return output, loss if loss is not None else _following_loss(output)


def _loss(word: str | None, output: str | None) -> str | None:
    if word is None:
        return None
    if re.sub(r"[\s\-]+", "_", word.strip().lower()) not in CROSS_ENTROPY:
        return _known(word, LOSSES, "loss")
    losses = {activation: loss for loss, activation in LOGIT_OUTPUT.items()}
    if output not in losses:
        raise InputError(f"{word} is either of {', '.join(LOGIT_OUTPUT)}: say which with --loss")
    return losses[output]


def _following_loss(output: str) -> str:
    """Return the only loss that goes with an output; a sigmoid goes with several, softmax with one."""
    losses = [loss for loss in LOSSES if LOGIT_OUTPUT.get(loss) == output]
    if output != "softmax" or len(losses) != 1:
        raise _ask("loss", f"which loss was differentiated (known: {', '.join(LOSSES)})")
    return losses[0]


# Names.

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
"""Usual names of X and Y, in any case, the commonest first."""

_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("w", "weight", "weights", "kernel", "kernels", "coef", "coefs", "theta", "thetas"), "W"),
    **dict.fromkeys(("b", "bias", "biases", "intercept", "intercepts"), "b"),
}
_GRADIENT = frozenset(
    "d g dl dj ld jd pd grad grads gradient gradients nabla nablas dloss dcost delta deltas".split()
)
_PLACES = {
    **dict.fromkeys(("in", "input", "i", "ih"), "input"),
    **dict.fromkeys(("h", "hid", "hidden", "hh"), "hidden"),
    **dict.fromkeys(("o", "out", "output", "ho"), "output"),
}
_PLACE_ORDER = {"input": 0, "hidden": 1, "output": 3}
_NEUTRAL = frozenset("layer layers l param params parameter parameters model net network module loss cost j".split())
_OTHER = frozenset(
    "vector vec flat flattened unrolled rolled old prev previous new init initial best velocity momentum cache mask "
    "numerical numeric num approx decay shape".split()
)
"""Words of arrays that are about parameters and are none."""

_TOKEN = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")


class _Word(NamedTuple):
    """What one word of a name says."""

    gradient: bool = False
    kind: Kind | None = None
    place: str | None = None


def _word_table() -> dict[str, _Word]:
    """Return every known word: W, weights, dW, gb, wh (W hidden), dwout, grads, out, …"""
    table = {word: _Word(place=place) for word, place in _PLACES.items()}
    table |= {word: _Word(gradient=True) for word in _GRADIENT}
    for word, kind in _KINDS.items():
        table[word] = _Word(kind=kind)
        table |= {f"{mark}{word}": _Word(gradient=True, kind=kind) for mark in "dg"}
    for (letter, kind), (word, place) in product((("w", "W"), ("b", "b")), _PLACES.items()):
        table.setdefault(f"{letter}{word}", _Word(kind=_KINDS[letter], place=place))
        table.setdefault(f"d{letter}{word}", _Word(gradient=True, kind=_KINDS[letter], place=place))
    return table


_WORDS = _word_table()


class _Name(NamedTuple):
    """What a name says: the kind of array, its layer as a key that sorts, and whether it is a gradient."""

    kind: Kind | None
    layer: tuple[tuple[int, int, str], ...]
    gradient: bool


def _parse(name: str) -> _Name | None:
    """Read a name; None where it cannot be that of a parameter or a gradient."""
    kind: Kind | None = None
    layer: list[tuple[int, int, str]] = []
    gradient = False
    for token in _TOKEN.findall(name):
        word = token.lower()
        if word in _OTHER:
            return None
        if word in _NEUTRAL:
            continue
        said = _WORDS.get(word, _Word(place=None if word.isdigit() else word))
        gradient |= said.gradient
        kind = said.kind or kind
        if word.isdigit():
            layer.append((2, int(word), ""))
        elif said.place is not None:
            layer.append((_PLACE_ORDER.get(said.place, 2), -1, said.place))
    return _Name(kind, tuple(layer), gradient)


@dataclass(frozen=True, eq=False)
class _Part:
    """One parameter array with its gradient, before it is known which way round they are.

    `name` and `gradient_name` are None where they came in a list; `label` and `gradient_label` name them in messages.
    """

    label: str
    array: Raw
    name: str | None = None
    kind: Kind | None = None
    layer: tuple[tuple[int, int, str], ...] = ()
    gradient: Raw | None = None
    gradient_name: str | None = None
    gradient_label: str = ""

    def __str__(self) -> str:
        return f"{self.label} {self.array.shape}"


def _numbers(name: str, value: Any) -> Raw:
    """Return an array of real numbers.

    Raises
    ------
    InputError
        If it holds anything else.
    """
    try:
        array = np.asarray(value)
    except ValueError:
        raise InputError(f"{name} is no array: its rows differ in length") from None
    if array.dtype.kind not in "fiub":
        what = {"c": "complex numbers", "O": "Python objects", "U": "text", "S": "text"}.get(array.dtype.kind, "no numbers")
        raise InputError(f"{name} must hold real numbers, found {what} (dtype {array.dtype})")
    return array


def _listed(names: Iterable[str], limit: int = 12) -> str:
    names = list(names)
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "") or "nothing"


def _taken(arrays: Mapping[str, Any], name: str, item: str) -> str:
    """Return a name that was given, if there is such an array."""
    if name not in arrays:
        raise InputError(f"{item} names {name!r}, which is not there{_nearest(name, arrays)} (found: {_listed(arrays)})")
    return name


def _found(arrays: Mapping[str, Any], given: str | None, usual: Iterable[Collection[str]], item: str) -> str:
    """Return the name of X or Y."""
    if given is not None:
        return _taken(arrays, given, item)
    for names in usual:
        matches = [name for name in arrays if name.lower() in names]
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise _ask(item, f"{' and '.join(matches)} could each be the {item}")
    raise _ask(item, f"no {item} found among {_listed(arrays)}")


def _split(arrays: Mapping[str, Any], description: Description) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the parameters and the gradients of a flat mapping: by their given names, or by what their names say."""
    params, grads = set(description.params or ()), set(description.grads or ())
    if description.params is not None and description.grads is not None:
        return {k: v for k, v in arrays.items() if k in params}, {k: v for k, v in arrays.items() if k in grads}
    gradients = {
        name: value
        for name, value in arrays.items()
        if name in grads or (name not in params and (said := _parse(name)) is not None and said.gradient)
    }
    return {name: value for name, value in arrays.items() if name not in gradients}, gradients


def _named_parts(
    parameters: Mapping[str, Any], gradients: Mapping[str, Any], description: Description, any_names: bool
) -> list[_Part]:
    """Return the parameters of a mapping in order, each with its gradient; with any names, in the mapping's own order."""
    if description.params is not None:
        names = [_taken(parameters, name, "params") for name in description.params]
    else:
        names = _parameter_names(parameters, any_names)
    if len(set(names)) < len(names):
        raise InputError(f"params names an array twice: {', '.join(names)}")
    parts = []
    for name in names:
        said = _parse(name) or _Name(None, (), False)
        parts.append(_Part(name, _numbers(name, parameters[name]), name, said.kind, said.layer))
    if description.grads is not None:
        return _with_given_gradients(parts, gradients, description.grads)
    if description.params is None and not (any_names and all(part.kind is None for part in parts)):
        _check_orphans(parts, gradients)
    return [_with_gradient(part, gradients) for part in parts]


def _parameter_names(parameters: Mapping[str, Any], any_names: bool) -> list[str]:
    """Return the names of parameters by layer, W before b; of what else there is, nothing."""
    said = {name: parsed for name in parameters if (parsed := _parse(name)) is not None and parsed.kind is not None}
    if any(parsed.layer for parsed in said.values()) and any(p.kind == "W" and p.layer for p in said.values()):
        said = {name: parsed for name, parsed in said.items() if parsed.layer}  # a lone `theta` is all of them in a row
    if any_names and (len(said) < len(parameters) and not said):
        return list(parameters)
    names = sorted(said, key=lambda name: (said[name].layer, said[name].kind))
    _check_layers(names, said)
    return names


def _check_layers(names: list[str], said: Mapping[str, _Name]) -> None:
    """Complain of arrays that could be the same one, and of layers that are not there."""
    weights = {said[name].layer: name for name in names if said[name].kind == "W"}
    if not weights:
        raise _ask("params", "no weights found by their names (W1, weights_0, fc1.weight, …)")
    for first, second in zip(names, names[1:], strict=False):
        if said[first][:2] == said[second][:2]:
            raise _ask("params", f"{first} and {second} could be the same parameter")
    for name in names:
        if said[name].layer not in weights:
            raise InputError(f"{name} has no weights: there is {', '.join(weights.values())}")
    numbers = [layer[0][1] for layer in weights if len(layer) == 1 and layer[0][2] == ""]
    if len(numbers) == len(weights) and not any("." in name for name in names):
        for layer, name in weights.items():  # numbers in a module's path, as in 0.weight and 2.weight, may have gaps
            if layer[0][1] > numbers[0] and layer[0][1] - 1 not in numbers:
                missing = re.sub(r"\d+", str(layer[0][1] - 1), name)
                raise InputError(f"{missing} is missing: there is {', '.join(weights.values())}")


def _check_orphans(parts: list[_Part], gradients: Mapping[str, Any]) -> None:
    """Complain of a gradient whose parameter is not there."""
    known = {(part.kind, part.layer) for part in parts}
    names = {part.name for part in parts}
    for name in gradients:
        said = _parse(name)
        if name in names or said is None or said.kind is None or (said.kind, said.layer) in known:
            continue
        if said.layer or not any(part.layer for part in parts):
            raise InputError(
                f"the gradient {name} belongs to no parameter: there is {_listed(part.label for part in parts)}. "
                "Name what belongs together with --params and --grads"
            )


def _with_given_gradients(parts: list[_Part], gradients: Mapping[str, Any], names: Sequence[str]) -> list[_Part]:
    if len(names) != len(parts):
        raise InputError(
            f"grads names {len(names)} arrays for {len(parts)} parameters ({', '.join(part.label for part in parts)}): give "
            "one for each, in this order, and leave the name empty where there is none"
        )
    return [
        _gradiented(part, _taken(gradients, name, "grads"), gradients[name]) if name not in {"", "-"} else part
        for part, name in zip(parts, names, strict=True)
    ]


def _with_gradient(part: _Part, gradients: Mapping[str, Any]) -> _Part:
    """Return a parameter with the gradient that its name points to, if there is one."""
    if part.label in gradients:
        return _gradiented(part, part.label, gradients[part.label])
    said = {name: parsed for name in gradients if (parsed := _parse(name)) is not None and parsed.layer == part.layer}
    matches = [name for name, parsed in said.items() if parsed.kind is not None and parsed.kind == part.kind]
    if not matches and part.kind != "b":  # delta1 and grad_0 do not say of what; their shape does
        shapes = {part.array.shape, part.array.shape[::-1]}
        matches = [name for name, parsed in said.items() if parsed.kind is None and np.shape(gradients[name]) in shapes]
    if len(matches) > 1:
        raise _ask("grads", f"{' and '.join(matches)} could each be the gradient of {part.label}")
    return _gradiented(part, matches[0], gradients[matches[0]]) if matches else part


def _gradiented(part: _Part, name: str, value: Any) -> _Part:
    if value is None:
        return part
    return replace(part, gradient=_numbers(f"the gradient {name}", value), gradient_name=name, gradient_label=name)


def _listed_parts(parameters: Sequence[Any], gradients: Sequence[Any] | None) -> list[_Part]:
    """Return the parameters of a list, each with the gradient at the same place."""
    if gradients is not None and len(gradients) != len(parameters):
        raise InputError(f"there are {len(parameters)} parameters and {len(gradients)} gradients; give one (or None) for each")
    parts = []
    for i, value in enumerate(parameters):
        part = _Part(f"parameters[{i}]", _numbers(f"parameters[{i}]", value))
        if gradients is not None and gradients[i] is not None:
            label = f"gradients[{i}]"
            part = replace(part, gradient=_numbers(label, gradients[i]), gradient_label=label)
        parts.append(part)
    return parts


def _opened(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping with each list of arrays, as in {"weights": [W1, W2]}, opened into weights_0, weights_1."""
    opened: dict[str, Any] = {}
    for name, value in mapping.items():
        if isinstance(value, list | tuple) and value and all(isinstance(entry, np.ndarray) for entry in value):
            opened |= {f"{name}_{i}": entry for i, entry in enumerate(value)}
        else:
            opened[str(name)] = value
    return opened


# Which way round the arrays are.


@dataclass(frozen=True, eq=False)
class _Data:
    """X or Y as it came, with its name."""

    name: str
    array: Raw

    def __str__(self) -> str:
        return f"{self.name} {self.array.shape}"


class _Role(NamedTuple):
    """What a part is under a reading."""

    part: _Part
    kind: Kind
    layer: int


class _Chain(NamedTuple):
    """The widths so far, and what each part turned out to be."""

    widths: tuple[int, ...]
    roles: tuple[_Role, ...]

    @property
    def open_to_bias(self) -> bool:
        return bool(self.roles) and self.roles[-1].kind == "W"


class _Reading(NamedTuple):
    """One way to understand all the arrays.

    `examples` is None where X itself leaves no choice; `column` is that of a bias inside W, None where there is none.
    """

    examples: str | None
    weights: str
    column: int | None
    samples: int
    chain: _Chain

    @property
    def layout(self) -> str:
        return ",".join(word for word in (self.examples, self.weights) if word)

    def __str__(self) -> str:
        return self.layout if self.column is None else f"{self.layout} with the {'last' if self.column else 'first'} as bias"


class _Misfit(NamedTuple):
    """How far an attempt came, and what stopped it."""

    progress: int
    message: str


def _readings(parts: Sequence[_Part], X: _Data, Y: _Data) -> tuple[list[_Reading], list[_Misfit]]:
    """Return every way to understand the arrays that makes the chain of widths fit from X to Y, and what stopped the others."""
    readings, misfits = [], []
    ways = product(_sequences(parts), _input_readings(X.array.shape), ("out_in", "in_out"), (False, True))
    for sequence, (examples, samples, n_in), weights, folded in ways:
        for outcome in _chains(sequence, n_in, weights, folded, X):
            if isinstance(outcome, _Misfit):
                misfits.append(outcome)
            elif _target_form(Y.array.shape, samples, outcome.widths[-1], examples) is None:
                message = f"{Y} does not fit {samples} examples of {outcome.widths[-1]} outputs, as {X} and {sequence[-1]} give"
                misfits.append(_Misfit(len(sequence), message))
            else:
                columns = (0, -1) if folded else (None,)
                readings += [_Reading(examples, weights, column, samples, outcome) for column in columns]
    return readings, misfits


def _sequences(parts: Sequence[_Part]) -> Iterator[Sequence[_Part]]:
    """Yield the orders that parts may be meant in: as given, or all W and then all b."""
    if parts and all(part.kind is not None for part in parts):
        order = {part.layer: i for i, part in enumerate(parts) if part.kind == "W"}
        known = all(part.layer in order for part in parts) and len(order) == sum(part.kind == "W" for part in parts)
        if known:
            yield sorted(parts, key=lambda part: (order[part.layer], part.kind))
            return
    yield parts
    half = len(parts) // 2
    if len(parts) == 2 * half > 2:
        yield [part for pair in zip(parts[:half], parts[half:], strict=True) for part in pair]


def _input_readings(shape: Shape) -> list[tuple[str | None, int, int]]:
    """Return (where the examples lie, number of examples, number of inputs) for each way to read X."""
    if len(shape) == 2:
        return [("rows", shape[0], shape[1]), ("columns", shape[1], shape[0])]
    if len(shape) < 2:
        size = math.prod(shape)
        return [(None, 1, size), (None, size, 1)] if size > 1 else [(None, 1, 1)]
    return [(None, shape[0], math.prod(shape[1:]))]


def _chains(
    parts: Sequence[_Part], n_in: int, weights: str, folded: bool, X: _Data
) -> Iterator[_Chain | _Misfit]:
    """Yield every chain of widths from the inputs on, or what stopped the last of them."""
    chains = [_Chain((n_in,), ())]
    for progress, part in enumerate(parts):
        longer = [chain for start in chains for chain in _longer(start, part, weights, folded)]
        if not longer:
            yield _Misfit(progress, _misfit_message(chains[0], part, X, weights, folded))
            return
        chains = longer[:8]  # arrays of one entry, without names, may be anything: a few ways are as telling as all
    yield from chains


def _longer(chain: _Chain, part: _Part, weights: str, folded: bool) -> Iterator[_Chain]:
    """Yield a chain with one more part, as a bias and as weights, where it fits."""
    layer, width, shape = len(chain.widths) - 2, chain.widths[-1], part.array.shape
    if part.kind != "W" and chain.open_to_bias and not folded and _is_vector(shape) and math.prod(shape) in {1, width}:
        yield _Chain(chain.widths, (*chain.roles, _Role(part, "b", layer)))
    if part.kind != "b":
        for n_out, n_in in _matrix_shapes(shape, weights):
            if n_in == width + folded:
                yield _Chain((*chain.widths, n_out), (*chain.roles, _Role(part, "W", layer + 1)))


def _is_vector(shape: Shape) -> bool:
    return max(shape, default=1) == math.prod(shape)


def _matrix_shapes(shape: Shape, weights: str) -> list[tuple[int, int]]:
    """Return (n_out, n_in) for each way to take an array as weights; a vector is a layer of one output or one input."""
    if len(shape) == 2:
        return [shape if weights == "out_in" else (shape[1], shape[0])]
    size = math.prod(shape)
    return [(1, size), (size, 1)] if len(shape) == 1 and size > 1 else [(1, 1)] if size == 1 else []


def _misfit_message(chain: _Chain, part: _Part, X: _Data, weights: str, folded: bool) -> str:
    width = chain.widths[-1]
    if not chain.roles:
        return f"{part} does not fit {X}: no axis of the weights has the number of inputs"
    before = [role.part for role in chain.roles if role.kind == "W"][-1]
    if part.kind == "b" or (part.kind is None and _is_vector(part.array.shape)):
        return f"{part} does not fit {before}: that layer has {width} units, {part.label} has {part.array.size} entries"
    rest = "and a bias" if folded else "as inputs"
    return f"{part} does not follow {before}: with weights {weights} it must take {width} {rest}"


def _target_form(shape: Shape, samples: int, outputs: int, examples: str | None) -> str | None:
    """Return how Y is to be read: "rows" or "columns" of values, "vector", "classes"; None where its shape does not fit."""
    if len(shape) > 2:
        shape = (shape[0], math.prod(shape[1:]))
    forms = {"rows": (samples, outputs), "columns": (outputs, samples)}
    for form in ("columns", "rows") if examples == "columns" else ("rows", "columns"):
        if shape == forms[form]:
            return form
    size = math.prod(shape)
    if len(shape) < 2 and size == samples * outputs and 1 in {samples, outputs}:
        return "vector"
    return "classes" if size == samples and _is_vector(shape) else None


# From one reading to a Problem.


def _solve(parts: Sequence[_Part], X: _Data, Y: _Data, description: Description) -> tuple[Problem, _Reading]:
    """Return the one problem that the arrays can mean, and the reading that makes it.

    Raises
    ------
    InputError
        If there is none, or more than one.
    """
    _check_sizes(parts, X, Y)
    every, misfits = _readings(parts, X, Y)
    if not every:
        raise InputError(max(misfits, key=lambda misfit: misfit.progress).message)
    readings = [reading for reading in every if _said(reading, description)]
    if not readings:
        said = [f"{key} {value}" for key in ("layout", "bias_column") if (value := getattr(description, key)) is not None]
        raise InputError(f"{' and '.join(said)} does not fit the shapes; {_listed(dict.fromkeys(map(str, every)))} would")
    if _layout_words(description):
        readings = [reading for reading in readings if (reading.examples, reading.weights) in NATURAL] or readings
    problems = [(_problem(readings[0], X, Y, description), readings[0])]
    for reading in readings[1:]:
        problem = _problem(reading, X, Y, description)
        if not any(_same(problem, other) for other, _ in problems):
            problems.append((problem, reading))
    if len(problems) > 1:
        raise _ambiguous([reading for _, reading in problems], X)
    return problems[0]


def _check_sizes(parts: Sequence[_Part], X: _Data, Y: _Data) -> None:
    if not parts:
        raise _ask("params", "there are no parameters")
    for data in (X, Y):
        if data.array.size == 0:
            raise InputError(f"{data} holds zero examples; at least one is needed")
    for part in parts:
        if part.array.size == 0:
            raise InputError(f"{part} holds no numbers")


def _said(reading: _Reading, description: Description) -> bool:
    """Whether a reading agrees with what the person said of the layout."""
    words = _layout_words(description)
    if description.bias_column is not None and reading.column != COLUMNS[description.bias_column]:
        return False
    return words <= {reading.weights, *((reading.examples,) if reading.examples else LAYOUT_WORDS[:2])}


def _same(first: Problem, second: Problem) -> bool:
    """Whether two readings come to the same."""
    if first.network != second.network or (first.claimed is None) != (second.claimed is None):
        return False
    pairs = [(first.theta, second.theta), (first.X, second.X), (first.Y, second.Y)]
    if first.claimed is not None and second.claimed is not None:
        pairs.append((first.claimed, second.claimed))
    return all(np.array_equal(a, b, equal_nan=True) for a, b in pairs)


def _ambiguous(readings: list[_Reading], X: _Data) -> InputError:
    """Return the error that asks for what the shapes cannot tell."""
    layouts = list(dict.fromkeys(reading.layout for reading in readings))
    arrays = _listed([str(X), *dict.fromkeys(str(role.part) for role in readings[0].chain.roles)], limit=6)
    if len(layouts) > 1:
        options = " or ".join(f"--layout {layout}" for layout in layouts)
        return InputError(
            f"the shapes {arrays} can be read in {len(layouts)} ways: say {options} (rows or columns: where the examples "
            "lie; in_out or out_in: the axes of the weights)"
        )
    if len({reading.column for reading in readings}) > 1:
        return _ask("bias_column", f"{arrays} hold weights and biases in one array; is the bias the first or the last in it")
    chains = " or ".join("-".join(map(str, reading.chain.widths)) for reading in readings)
    return _ask("params", f"the shapes {arrays} can be read as {chains}; name the arrays W1, b1, … and say their order")


def _problem(reading: _Reading, X: _Data, Y: _Data, description: Description) -> Problem:
    """Copy the numbers into place."""
    chain = reading.chain
    biased = {role.layer for role in chain.roles if role.kind == "b" or reading.column is not None}
    network = _network(description, chain.widths, tuple(layer in biased for layer in range(len(chain.widths) - 1)))
    roles = [role for role in chain.roles for role in _unfolded(role, reading.column)]
    tensors = tuple(_tensor(role, reading, network) for role in roles)
    theta = np.empty(network.size)
    claimed = np.full(network.size, np.nan) if any(role.part.gradient is not None for role in roles) else None
    for role, tensor in zip(roles, tensors, strict=True):
        place = slice(tensor.start, tensor.stop)
        theta[place] = _entries(tensor, role.part.array)
        _require_finite(theta[place], role.part.label, role.part.array)
        if claimed is not None and role.part.gradient is not None:
            claimed[place] = _entries(tensor, _aligned(role.part, tensor))
    inputs = _inputs(X, reading)
    targets = _targets(Y, reading, network)
    return Problem(network, theta, inputs, targets, tensors, claimed, description.loss_value)


def _unfolded(role: _Role, column: int | None) -> tuple[_Role, ...]:
    """Return the roles of one array: W, or W and b where they share it."""
    return (role,) if column is None else (role, role._replace(kind="b"))


def _tensor(role: _Role, reading: _Reading, network: Network) -> Tensor:
    n_in, n_out = network.widths[role.layer : role.layer + 2]
    part, is_weight = role.part, role.kind == "W"
    place = network.weight_slice(role.layer) if is_weight else network.bias_slice(role.layer)
    number = role.layer + 1
    name = part.name or f"W{number}" if is_weight or reading.column is not None else part.name or f"b{number}"
    folded_bias = not is_weight and reading.column is not None
    gradient = part.gradient_name or f"d{name}"
    judged = part.array if part.gradient is None else part.gradient
    return Tensor(
        name=f"{name} (bias)" if folded_bias else name,
        layer=role.layer,
        kind=role.kind,
        start=place.start,
        stop=place.stop,
        canonical_shape=(n_out, n_in) if is_weight else (n_out,),
        shape=part.array.shape,
        transposed=len(part.array.shape) == 2 and reading.weights == "in_out" and (is_weight or folded_bias),
        gradient_name=None if part.gradient is None else gradient,
        precision=f"float{judged.itemsize * 8}" if judged.dtype.kind == "f" and judged.itemsize < 8 else "float64",
        column=reading.column,
    )


def _entries(tensor: Tensor, array: Raw) -> Raw:
    """Return the entries of a tensor in theta's order, out of an array that has the shape of the user's parameter."""
    if tensor.kind == "b" and tensor.column is None:
        return array.reshape(-1)
    n_out = tensor.canonical_shape[0]
    matrix = array.T if tensor.transposed else array.reshape(n_out, -1)
    if tensor.column is None:
        return matrix.reshape(-1)
    if tensor.kind == "b":
        return matrix[:, tensor.column]
    return (matrix[:, 1:] if tensor.column == 0 else matrix[:, :-1]).reshape(-1)


def _aligned(part: _Part, tensor: Tensor) -> Raw:
    """Return the claimed gradient in the shape of its parameter: turned, or one number spread over all entries.

    A bias that is one number for a whole layer may have a gradient for each unit.
    """
    gradient, shape = part.gradient, part.array.shape
    assert gradient is not None
    units = tensor.canonical_shape
    if part.array.size == 1 and tensor.size > 1:
        if gradient.size != tensor.size or not _is_vector(gradient.shape):
            raise InputError(
                f"{part} is one number shared by {tensor.size} units: its gradient {part.gradient_label} {gradient.shape} "
                "cannot be judged unit by unit; give the bias as an array, or leave its gradient out"
            )
        return gradient.reshape(units)
    if gradient.shape == shape:
        return gradient
    if gradient.shape[::-1] == shape:
        return gradient.T
    if gradient.size == 1:
        return np.broadcast_to(gradient.reshape(()), shape)
    if _is_vector(shape) and _is_vector(gradient.shape) and gradient.size == part.array.size:
        return gradient.reshape(shape)
    raise InputError(f"the gradient {part.gradient_label} {gradient.shape} does not have the shape of {part}")


def _inputs(X: _Data, reading: _Reading) -> Array:
    """Return X as float64, shape (m, n_0)."""
    turned = X.array.T if reading.examples == "columns" else X.array.reshape(reading.samples, -1)
    inputs = np.ascontiguousarray(turned, dtype=np.float64)
    _require_finite(inputs, X.name, X.array)
    return inputs


def _targets(Y: _Data, reading: _Reading, network: Network) -> Array:
    """Return Y as the loss takes it, shape (m, n_L)."""
    shape = (reading.samples, network.widths[-1])
    form = _target_form(Y.array.shape, *shape, reading.examples)
    values = np.asarray(Y.array, dtype=np.float64)
    _require_finite(values, Y.name, Y.array)
    if form == "classes":
        return _one_hot(values.reshape(-1), shape, Y)
    targets = np.ascontiguousarray(values.T if form == "columns" and Y.array.ndim == 2 else values.reshape(shape))
    if network.loss in LOGIT_OUTPUT:
        _require_probabilities(values, Y, network.loss)
    return targets


def _one_hot(classes: Array, shape: tuple[int, int], Y: _Data) -> Array:
    whole = classes.astype(np.int64)
    found = f"found {classes.min():g} to {classes.max():g}"
    if np.any(whole != classes):
        raise InputError(f"{Y} holds one number for each example of {shape[1]} outputs, so it must hold whole numbers; {found}")
    if whole.min() < 0 or whole.max() >= shape[1]:
        hint = "; subtract 1 from all of them" if whole.min() == 1 and whole.max() == shape[1] else ""
        raise InputError(f"labels outside the classes: {Y} must hold 0 to {shape[1] - 1}, {found}{hint}")
    targets = np.zeros(shape)
    targets[np.arange(shape[0]), whole] = 1.0
    return targets


def _require_probabilities(values: Array, Y: _Data, loss: str) -> None:
    outside = (values < 0.0) | (values > 1.0)
    if np.any(outside):
        index = _first(outside)
        raise InputError(
            f"labels outside the classes: {loss} takes labels from 0 to 1, {Y.name}{list(index)} is {values[index]:g}"
        )


def _first(where: npt.NDArray[np.bool_]) -> tuple[int, ...]:
    """Return the first index at which something holds."""
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(where)), where.shape))


def _require_finite(values: Array, name: str, original: Raw) -> None:
    """Complain of nan and inf, by the index in the user's own array; one pass over numbers that are all finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(values.sum()):
            return
    bad = ~np.isfinite(original)
    if np.any(bad):
        index = _first(bad)
        raise InputError(f"{name}{list(index)} is {original[index]}: every number of {name} must be finite")
    if not np.all(np.isfinite(values)):
        raise InputError(f"{name} holds numbers too large for float64")


# The two doors.

_Parameters = Mapping[str, Any] | Sequence[Any]
_T = TypeVar("_T", bound=_Parameters)


def interpret(arrays: Mapping[str, Any], description: Description) -> Problem:
    """Make a problem of a file's arrays.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        Parameters, gradients, X and Y under any of the usual names; arrays of other names are left alone.
    description : Description
        What the arrays do not tell.

    Returns
    -------
    Problem
        In float64, (samples, units), C-contiguous. The arrays are not modified; X may be shared.

    Raises
    ------
    InputError
        If they make no network, or if two readings of them differ.
    """
    inputs = _found(arrays, description.inputs, INPUT_NAMES, "inputs")
    labels = _found(arrays, description.labels, LABEL_NAMES, "labels")
    parameters, gradients = _split({k: v for k, v in arrays.items() if k not in {inputs, labels}}, description)
    parts = _named_parts(parameters, gradients, description, any_names=False)
    X, Y = (_Data(name, _numbers(name, arrays[name])) for name in (inputs, labels))
    return _solve(parts, X, Y, description)[0]


def interpret_parts(
    parameters: _Parameters, gradients: _Parameters | None, X: Any, Y: Any, description: Description
) -> Problem:
    """Make a problem of parameters and gradients in dicts or lists.

    Parameters
    ----------
    parameters : mapping or sequence of array_like
        Under any of the usual names, or in order: W1, b1, W2, b2, … or all W and then all b.
    gradients : mapping or sequence of array_like, or None
        Under the names dW1, …, the parameters' own, or in the same order; None for one that is not to be judged.
    X, Y : array_like
        Inputs and labels.
    description : Description
        What the arrays do not tell.

    Returns
    -------
    Problem
        As from `interpret`.

    Raises
    ------
    InputError
        As from `interpret`.
    """
    return _solve(_parts(parameters, gradients, description), *_data(X, Y), description)[0]


def as_flat(
    parameters: _Parameters, gradients: _Parameters | None, X: Any, Y: Any, description: Description
) -> dict[str, Any]:
    """Return one flat mapping, description included, that makes the same problem as `interpret_parts`.

    Arrays keep their shapes and types, and their names where they do not collide.

    Raises
    ------
    InputError
        As from `interpret_parts`.
    """
    x, y = _data(X, Y)
    problem, reading = _solve(_parts(parameters, gradients, description), x, y, description)
    names = {(tensor.layer, tensor.kind): tensor for tensor in problem.tensors}
    arrays: dict[str, Any] = {}
    params, grads = [], []
    for role in reading.chain.roles:
        tensor = names[role.layer, role.kind]
        params.append(_add(arrays, tensor.name, role.part.array))
        gradient = role.part.gradient
        grads.append("" if gradient is None else (tensor.gradient_name or "", gradient))
    written = ["" if isinstance(entry, str) else _add(arrays, *entry) for entry in grads]
    named = {"params": np.array(params), "inputs": _add(arrays, "X", x.array), "labels": _add(arrays, "Y", y.array)}
    if any(written):
        named["grads"] = np.array(written)
    return {**arrays, **description.said(), **named}


def _add(arrays: dict[str, Any], name: str, array: Raw) -> str:
    """Put an array under its name, or under a free one where that is taken; return the name."""
    free = name
    while free in arrays or free in _CONVERTERS:
        free = f"grad_{free}" if free == name else f"{free}_"
    arrays[free] = array
    return free


def _parts(parameters: _Parameters, gradients: _Parameters | None, description: Description) -> list[_Part]:
    """Return the parts of dicts or lists."""
    if not isinstance(parameters, Mapping):
        if isinstance(gradients, Mapping):
            raise InputError("parameters came as a list: give the gradients as a list in the same order")
        return _listed_parts(_sequence(parameters, "parameters"), _sequence(gradients, "gradients"))
    parameters = _opened(parameters)
    if isinstance(gradients, Mapping) or gradients is None:
        return _named_parts(parameters, _opened(gradients or {}), description, any_names=True)
    in_order = _sequence(gradients, "gradients")
    if len(in_order) != len(parameters):
        raise InputError(f"there are {len(parameters)} parameters and {len(in_order)} gradients; give one (or None) for each")
    return _named_parts(parameters, dict(zip(parameters, in_order, strict=True)), description, any_names=True)


def _sequence(value: Any, what: str) -> Any:
    """Return a sequence as it is; one array is none."""
    if value is None or (isinstance(value, Sequence) and not isinstance(value, str)):
        return value
    raise InputError(f"{what} must be a dict or a list of arrays, found {type(value).__name__}")


def _data(X: Any, Y: Any) -> tuple[_Data, _Data]:
    return _Data("X", _numbers("X", X)), _Data("Y", _numbers("Y", Y))
