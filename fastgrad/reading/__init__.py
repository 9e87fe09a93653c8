"""Arrays under people's own names and layouts become a Problem: the one door where names, shapes and labels are judged.

Called by modelfile with a file's flat mapping and by the library with dicts or lists. Pure: no disk, no numba, no
click. The way through: `names` says which array is which, `layout` which way round they are, `problem` copies the
numbers; `description` holds what the person said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from fastgrad.errors import InputError
from fastgrad.model.network import Problem, Tensor
from fastgrad.reading.description import LIST_ITEMS, NUMBER_ITEMS, STAND_INS, TEXT_ITEMS, Description, UndeclaredError
from fastgrad.reading.intermediates import intermediates, is_intermediate
from fastgrad.reading.layout import Data, Reading, Role, target_form
from fastgrad.reading.masks import overlooked
from fastgrad.reading.names import (
    INPUT_NAMES,
    LABEL_NAMES,
    Kind,
    Mask,
    Raw,
    find,
    given_masks,
    given_parts,
    listed,
    mask_number,
    named_masks,
    named_parts,
    number_array,
    split,
    strangers,
)
from fastgrad.reading.problem import place_entries, solve
from fastgrad.reading.step import read_off

__all__ = [
    "LIST_ITEMS",
    "NUMBER_ITEMS",
    "TEXT_ITEMS",
    "Description",
    "Parameters",
    "Reading",
    "as_flat",
    "completed",
    "interpret",
    "interpret_parts",
    "place_entries",
    "read_parts",
    "separate",
    "target_form",
]

Parameters = Mapping[str, Any] | Iterable[Any]


def interpret(arrays: Mapping[str, Any], description: Description) -> Problem:
    """Make a problem of a file's arrays.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        Parameters, gradients, X and Y under any of the usual names; arrays of other names are left alone. So are dropout
        masks (D1, D2, …) unless the description speaks of dropout; the problem then has a note on them.
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
    inputs = find(arrays, description.inputs, INPUT_NAMES, "inputs")
    labels = find(arrays, description.labels, LABEL_NAMES, "labels")
    others = {name: value for name, value in arrays.items() if name not in {inputs, labels}}
    numbers = named_masks(others, description)
    x, y = _data(inputs, arrays[inputs]), _data(labels, arrays[labels])
    masks = []
    if description.has_dropout:
        masks = [Mask(name, number, number_array(name, others.pop(name))) for name, number in numbers.items()]
    parameters, gradients = split(others, description)
    parts = named_parts(parameters, gradients, description, only_parameters=False)
    problem = _with_company(others, gradients, *solve(parts, x, y, description, masks))
    left = [] if description.has_dropout else [Mask(name, numbers[name], others[name]) for name in numbers]
    return read_off(replace(problem, notes=problem.notes + overlooked(left, problem)), description.learning_rate)


def completed(read: Callable[[Description], Problem], description: Description) -> tuple[Problem, tuple[str, ...]]:
    """Read with a stand-in for each item that is needed and was not said; return these items as well."""
    try:
        return read(description), ()
    except UndeclaredError as question:
        missing = question.items
    return read(description.overlaid(Description.of({item: STAND_INS[item] for item in missing}))), missing


def interpret_parts(
    parameters: Parameters,
    gradients: Parameters | None,
    X: Any,
    Y: Any,
    description: Description,
    masks: Parameters | None = None,
) -> Problem:
    """Make a problem of parameters and gradients in dicts or lists.

    Parameters
    ----------
    parameters : mapping or iterable of array_like
        Under any of the usual names, or in order: W1, b1, W2, b2, … or all W and then all b.
    gradients : mapping or iterable of array_like, or None
        Under the names dW1, …, the parameters' own, or in the same order; None for one that is not to be judged.
    X, Y : array_like
        Inputs and labels.
    description : Description
        What the arrays do not tell.
    masks : mapping or sequence of array_like, optional
        Dropout masks: under names with the number of their layer, such as D1 (D0 for the input), or one for each hidden
        layer, None where nothing is dropped.

    Returns
    -------
    Problem
        As from `interpret`.

    Raises
    ------
    InputError
        As from `interpret`.
    """
    return read_parts(parameters, gradients, X, Y, description, masks)[0]


def read_parts(
    parameters: Parameters,
    gradients: Parameters | None,
    X: Any,
    Y: Any,
    description: Description,
    masks: Parameters | None = None,
) -> tuple[Problem, Reading]:
    """Make a problem as `interpret_parts` does, and return how the arrays were read as well."""
    parts, recorded = given_parts(parameters, gradients, description), given_masks(masks)
    problem, reading = solve(parts, _data("X", X), _data("Y", Y), description, recorded)
    company = gradients if isinstance(gradients, Mapping) else {}
    return read_off(_with_company(company, company, problem, reading), description.learning_rate), reading


def separate(arrays: Mapping[str, Any], description: Description) -> tuple[dict[str, Any], Any, Any, dict[str, Any] | None]:
    """Part a file's arrays into parameters, X, Y and dropout masks, None without any; gradients are left out.

    Raises
    ------
    InputError
        As from `interpret`.
    """
    inputs = find(arrays, description.inputs, INPUT_NAMES, "inputs")
    labels = find(arrays, description.labels, LABEL_NAMES, "labels")
    others = {name: value for name, value in arrays.items() if name not in {inputs, labels}}
    numbers = named_masks(others, description) if description.has_dropout else {}
    masks = {name: others.pop(name) for name in numbers}
    parameters = split(others, description)[0]
    parts = named_parts(parameters, {}, replace(description, grads=None), only_parameters=False)
    return {part.label: arrays[part.label] for part in parts}, arrays[inputs], arrays[labels], masks or None


def _with_company(arrays: Mapping[str, Any], gradients: Mapping[str, Any], problem: Problem, reading: Reading) -> Problem:
    """Return a problem with the dZ_l and dA_l among some arrays, a word on gradients of nothing, and the layout of X."""
    others = strangers(gradients, (role.part for role in reading.chain.roles))
    unknown = [name for name in others if not is_intermediate(name) and mask_number(name) is None]
    verb = "is the gradient of no parameter and was" if len(unknown) == 1 else "are gradients of no parameter and were"
    notes = (f"{listed(unknown)} {verb} not looked at; a gradient has its parameter's name, or that with a d before it",)
    return replace(
        problem,
        intermediates=intermediates(arrays, problem, reading),
        notes=problem.notes + (notes if unknown else ()),
        examples=reading.examples,
    )


def as_flat(
    parameters: Parameters,
    gradients: Parameters | None,
    X: Any,
    Y: Any,
    description: Description,
    masks: Parameters | None = None,
) -> dict[str, Any]:
    """Return one flat mapping, description included, of which `interpret` makes the problem of `interpret_parts`.

    Arrays keep their shapes and types, and their names where these are free.

    Raises
    ------
    InputError
        As from `interpret`.
    """
    x, y, recorded = _data("X", X), _data("Y", Y), given_masks(masks)
    problem, reading = solve(given_parts(parameters, gradients, description), x, y, description, recorded)
    tensors = {(tensor.layer, tensor.kind): tensor for tensor in problem.tensors}
    owners = [(role, tensors[role.layer, role.kind]) for role in reading.chain.roles]
    arrays: dict[str, Raw] = {}
    params = [_put(arrays, tensor.name, role.part.array) for role, tensor in owners]
    grads = [_put_gradient(arrays, role, tensor) for role, tensor in owners]
    names = {
        "params": np.array(params),
        "grads": np.array(grads),
        "inputs": np.array(_put(arrays, "X", x.array)),
        "labels": np.array(_put(arrays, "Y", y.array)),
    }
    for mask in recorded:
        _put(arrays, mask.name if mask_number(mask.name) == mask.number else f"D{mask.number}", mask.array)
    frozen = [name for name, (_, tensor) in zip(params, owners, strict=True) if tensor.frozen]
    frozen += [f"{name} (bias)" for name, (role, _) in zip(params, owners, strict=True) if _only_bias_frozen(role, tensors)]
    # Masks that were handed over are meant; of those in a file somebody has to say so.
    spoken = {} if description.has_dropout or not recorded else {"inverted": True}
    said = {**description.said(), **({"frozen": np.array(frozen)} if frozen else {})}
    return {**arrays, **said, **spoken, **names}


def _only_bias_frozen(role: Role, tensors: Mapping[tuple[int, Kind], Tensor]) -> bool:
    """Tell whether of an array that holds weights and bias the bias alone is left out."""
    weights, bias = tensors[role.layer, role.kind], tensors.get((role.layer, "b"))
    return bias is not None and bias.column is not None and bias.frozen and not weights.frozen


def _put_gradient(arrays: dict[str, Raw], role: Role, tensor: Tensor) -> str:
    """Put a gradient among the arrays; return its name, empty where there is none."""
    gradient, name = role.part.gradient, tensor.gradient_name
    if gradient is None or name is None:
        return ""
    return _put(arrays, f"grad_{name}" if name in arrays else name, gradient)


def _put(arrays: dict[str, Raw], name: str, array: Raw) -> str:
    """Put an array among others under its name, or under a free one like it; return the name."""
    while name in arrays or name in Description.__dataclass_fields__:
        name += "_"
    arrays[name] = array
    return name


def _data(name: str, value: Any) -> Data:
    if value is None:
        raise InputError(f"{name} is missing: give the {'inputs' if name == 'X' else 'labels'} as an array")
    return Data(name, number_array(name, value))
