"""Arrays under people's own names and layouts become a Problem: the one door where names, shapes and labels are judged.

Called by modelfile with a file's flat mapping and by the library with dicts or lists. Pure: no disk, no numba, no
click. The way through: `names` says which array is which, `layout` which way round they are, `problem` copies the
numbers; `description` holds what the person said.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fastgrad.errors import InputError
from fastgrad.model.network import Problem, Tensor
from fastgrad.reading.arrays import Raw, number_array, precision
from fastgrad.reading.containers import given_parts, opened, rebuilt, with_gradients
from fastgrad.reading.description import (
    LIST_ITEMS,
    NUMBER_ITEMS,
    STAND_INS,
    TEXT_ITEMS,
    Description,
    QuestionError,
    UndeclaredError,
    as_option,
    missing,
    together,
)
from fastgrad.reading.intermediates import intermediates, is_intermediate
from fastgrad.reading.layout import Data, Reading, Role, target_form
from fastgrad.reading.libraries import translated
from fastgrad.reading.masks import given_masks, overlooked, recorded
from fastgrad.reading.names import (
    INPUT_NAMES,
    LABEL_NAMES,
    Kind,
    Mask,
    Part,
    find,
    find_vectors,
    is_parameter,
    listed,
    mask_number,
    named_masks,
    named_parts,
    parse,
    split,
    strangers,
)
from fastgrad.reading.problem import place_entries, solve, solve_vector
from fastgrad.reading.step import read_off
from fastgrad.reading.unrolled import (
    Arrangement,
    arrangements,
    as_vector,
    is_one_vector,
    lengths,
    one_by_one,
    vector_parts,
    weights_first,
)
from fastgrad.reading.unrolled import put_back as put_into_vector

__all__ = [
    "LIST_ITEMS",
    "NUMBER_ITEMS",
    "TEXT_ITEMS",
    "Description",
    "Parameters",
    "QuestionError",
    "Reading",
    "as_flat",
    "as_option",
    "completed",
    "interpret",
    "interpret_parts",
    "place_entries",
    "put_back",
    "read_for_others",
    "read_parts",
    "separate",
    "settled",
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
    inputs, labels = _found_data(arrays, description)
    others = {name: value for name, value in arrays.items() if name not in {inputs, labels}}
    numbers = named_masks(others, description)
    x, y = _data(inputs, arrays[inputs]), _data(labels, arrays[labels])
    masks = []
    if description.drops:
        masks = [Mask(name, number, number_array(name, others.pop(name))) for name, number in numbers.items()]
    parameters, gradients = split(others, description)
    if description.sizes is None:
        parts = _named_parts(parameters, gradients, description)
        problem, reading = solve(parts, x, y, description, masks)
        problem = _with_company(others, gradients, problem, reading)
    else:
        problem, reading = _solved(*_in_a_row(others, description), x, y, description, masks)
    return read_off(_with_recorded(problem, reading, others, description), description.learning_rate)


def _with_recorded(problem: Problem, reading: Reading, arrays: Mapping[str, Any], description: Description) -> Problem:
    """Return a problem with what looks like dropout masks beside its parameters and gradients, where nobody spoke of them."""
    if description.has_dropout:
        return problem
    parts = [role.part for role in reading.chain.roles]
    taken = {name for part in parts for name in (part.label, part.name, part.gradient_name, part.gradient_label)}
    left = {name: value for name, value in arrays.items() if name not in taken and value is not None}
    found = recorded(left, problem, reading.examples)
    return replace(problem, recorded=found, notes=problem.notes + overlooked(found))


def completed(read: Callable[[Description], Problem], description: Description) -> tuple[Problem, tuple[str, ...]]:
    """Read with a stand-in for each item that is needed and was not said; return these items as well."""
    try:
        return read(description), ()
    except UndeclaredError as question:
        items = question.items
    return read(description.overlaid(Description.of({item: STAND_INS[item] for item in items}))), items


def _in_a_row(arrays: Mapping[str, Any], description: Description) -> tuple[Any, Any]:
    """Return a file's parameters, and their gradient if it is there, that are one vector or one number each."""
    parameters, gradients = split(arrays, description)
    if one_by_one(parameters, "parameters"):
        return parameters, gradients or None
    name, gradient = find_vectors(arrays, description, lengths(description))
    return arrays[name], None if gradient is None else arrays[gradient]


def _named_parts(parameters: Mapping[str, Any], gradients: Mapping[str, Any], description: Description) -> list[Part]:
    """Return the parts of a file; what is not known of the network is asked with what is not known of them."""
    try:
        return named_parts(parameters, gradients, description, only_parameters=False)
    except QuestionError as question:
        network = missing(translated(description, 1), 2)
        raise together([question, *([network] if network else [])]) from None


def _found_data(arrays: Mapping[str, Any], description: Description) -> tuple[str, str]:
    """Return the names of X and Y.

    Raises
    ------
    QuestionError
        If they are not known, with everything else that would be asked next.
    """
    found: list[str] = []
    asked: list[QuestionError] = []
    for given, usual, item in ((description.inputs, INPUT_NAMES, "inputs"), (description.labels, LABEL_NAMES, "labels")):
        try:
            found.append(find(arrays, given, usual, item))
        except QuestionError as question:
            others = [name for name in arrays if parse(name) is None or not is_parameter(name)]
            example = {item: others[0 if item == "inputs" else -1]} if len(others) > 1 else question.examples
            asked.append(QuestionError(question.question, example))
    if not asked:
        return found[0], found[1]
    with contextlib.suppress(InputError):
        parts = named_parts(*split(arrays, description), description, only_parameters=False)
        depth = sum(part.kind == "W" for part in parts)
        asked += [question for question in [missing(translated(description, 1), depth)] if question is not None]
    raise together(asked)


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
    x, y, given = _data("X", X), _data("Y", Y), given_masks(masks)
    problem, reading = _solved(parameters, gradients, x, y, description, given)
    if reading.unrolled is not None:
        return read_off(replace(problem, examples=reading.examples), description.learning_rate), reading
    problem = replace(problem, notes=problem.notes + _beside(parameters, reading))
    company = _named_company(gradients)
    problem = _with_company(company, company, problem, reading)
    if masks is None:
        problem = _with_recorded(problem, reading, {**company, **_named_company(parameters)}, description)
    return read_off(problem, description.learning_rate), reading


def settled(description: Description, problem: Problem, reading: Reading) -> Description:
    """Return a description with what the arrays told of one point, so that others are read as it was."""
    column = {None: description.bias_column, 0: "first", -1: "last"}[reading.column]
    known = replace(description, layout=reading.layout, bias_column=column, unrolled=reading.unrolled)
    return replace(known, classes=problem.classes, first_label=None) if problem.classes else known


def read_for_others(
    parameters: Parameters,
    gradients: Parameters | None,
    X: Any,
    Y: Any,
    description: Description,
    masks: Parameters | None = None,
) -> tuple[Problem, Callable[[Parameters, Any, Any], Problem]]:
    """Make a problem as `interpret_parts` does; return as well what reads other parameters, X and Y as these were read."""
    problem, reading = read_parts(parameters, gradients, X, Y, description, masks)
    alike = replace(settled(description, problem, reading), grads=None, loss_value=None, learning_rate=None)
    return problem, lambda parameters, X, Y: interpret_parts(parameters, None, X, Y, alike, masks)


def _solved(
    parameters: Any, gradients: Any, X: Data, Y: Data, description: Description, masks: Sequence[Mask]
) -> tuple[Problem, Reading]:
    """Return the one problem that parameters and gradients in any form can mean."""
    if description.sizes is None:
        return solve(given_parts(parameters, gradients, description), X, Y, description, masks)
    gradients = None if isinstance(gradients, Mapping) and not gradients else gradients
    vector = as_vector(parameters, "parameters")
    if not is_one_vector(parameters):
        description = weights_first(description, vector.size)
    ways = arrangements(description, vector.size)
    in_row = gradients is not None and (is_one_vector(gradients) or bool(one_by_one(gradients, "gradients")))
    gradient = _as_long(as_vector(gradients, "gradients"), vector) if in_row else None

    def parts(way: Arrangement) -> Sequence[Part]:
        if gradients is None or in_row:
            return vector_parts(way, vector, gradient)
        return with_gradients(vector_parts(way, vector, None), gradients)

    return solve_vector(parts, ways, X, Y, description, masks)


def _as_long(gradient: Raw, vector: Raw) -> Raw:
    if gradient.size != vector.size:
        raise InputError(f"the gradient has {gradient.size:,} entries for {vector.size:,} parameters")
    return gradient


def put_back(parameters: Any, arrays: dict[str, Raw], description: Description) -> Any:
    """Return parameters in the form of the given ones with other arrays in them, by the labels of a reading's parts."""
    if description.sizes is None:
        return rebuilt(parameters, arrays, "parameters")
    size = sum(array.size for array in arrays.values())
    return put_into_vector(parameters, arrays, arrangements(description, size)[0])


def _beside(parameters: Any, reading: Reading) -> tuple[str, ...]:
    """Say what lay beside the parameters and was taken for something else."""
    taken = {role.part.label for role in reading.chain.roles}
    names = [leaf.label for leaf in opened(parameters, "parameters").leaves if leaf.value is not None]
    others = [name for name in names if name not in taken]
    if not others:
        return ()
    verb = "was" if len(others) == 1 else "were"
    return (
        f"{listed(others)} beside the parameters {verb} not taken for parameters; say which these are with params, in order, "
        "if some of them are",
    )


def _named_company(gradients: Any) -> dict[str, Any]:
    """Return what came among gradients, or parameters, under names of its own."""
    claims = opened({} if gradients is None else gradients, "gradients", gradients=True)
    return claims.mapping() if claims.named else {}


def separate(arrays: Mapping[str, Any], description: Description) -> tuple[Any, Any, Any, dict[str, Any] | None]:
    """Part a file's arrays into parameters, X, Y and dropout masks, None without any; gradients are left out.

    Raises
    ------
    InputError
        As from `interpret`.
    """
    inputs = find(arrays, description.inputs, INPUT_NAMES, "inputs")
    labels = find(arrays, description.labels, LABEL_NAMES, "labels")
    others = {name: value for name, value in arrays.items() if name not in {inputs, labels}}
    numbers = named_masks(others, description) if description.drops else {}
    masks = {name: others.pop(name) for name in numbers}
    if description.sizes is not None:
        return _in_a_row(others, description)[0], arrays[inputs], arrays[labels], masks or None
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
    x, y, given = _data("X", X), _data("Y", Y), given_masks(masks)
    problem, reading = _solved(parameters, gradients, x, y, description, given)
    if reading.unrolled is not None:  # the arrays are written, not the vector
        column = {None: None, 0: "first", -1: "last"}[reading.column]
        description = replace(description, sizes=None, unrolled=None, layout=reading.layout, bias_column=column)
    tensors = {(tensor.layer, tensor.kind): tensor for tensor in problem.tensors}
    owners = [(role, tensors[role.layer, role.kind]) for role in reading.chain.roles]
    arrays: dict[str, Raw] = {}
    params = [_put(arrays, tensor.array_name, role.part.array) for role, tensor in owners]
    grads = [_put_gradient(arrays, role, tensor) for role, tensor in owners]
    names = {
        "params": np.array(params),
        "grads": np.array(grads),
        "inputs": np.array(_put(arrays, "X", x.array)),
        "labels": np.array(_put(arrays, "Y", y.array)),
    }
    for mask in given:
        _put(arrays, mask.name if mask_number(mask.name) == mask.number else f"D{mask.number}", mask.array)
    frozen = [name for name, (_, tensor) in zip(params, owners, strict=True) if tensor.frozen]
    frozen += [f"{name} (bias)" for name, (role, _) in zip(params, owners, strict=True) if _only_bias_frozen(role, tensors)]
    # Masks that were handed over are meant; of those in a file somebody has to say so.
    spoken = {} if description.has_dropout or not given else {"inverted": True}
    said = {**description.said(), **({"frozen": np.array(frozen)} if frozen else {})}
    return {**arrays, **said, **spoken, **names}


def _only_bias_frozen(role: Role, tensors: Mapping[tuple[int, Kind], Tensor]) -> bool:
    """Tell whether of an array that holds weights and bias the bias alone is left out."""
    weights, bias = tensors[role.layer, role.kind], tensors.get((role.layer, "b"))
    return bias is not None and bias.column is not None and bias.frozen and not weights.frozen


def _put_gradient(arrays: dict[str, Raw], role: Role, tensor: Tensor) -> str:
    """Put a gradient among the arrays; return its name, empty where there is none."""
    gradient, name = role.part.gradient, tensor.gradient_array
    if gradient is None or tensor.gradient_name is None:
        return ""
    return _put(arrays, f"grad_{name}" if name in arrays else name, gradient)


def _put(arrays: dict[str, Raw], name: str, array: Raw) -> str:
    """Put an array among others under its name, or under a free one like it; return the name."""
    if precision(array.dtype) == "bfloat16":
        raise InputError(f"{name} is in bfloat16, which a file cannot hold: check it in Python, or give all arrays in float32")
    while name in arrays or name in Description.__dataclass_fields__:
        name += "_"
    arrays[name] = array
    return name


def _data(name: str, value: Any) -> Data:
    if value is None:
        raise InputError(f"{name} is missing: give the {'inputs' if name == 'X' else 'labels'} as an array")
    return Data(name, number_array(name, value))
