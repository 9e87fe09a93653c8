"""What a backward function returned, in whatever form: parted into loss and gradients, and put in the parameters' order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Number, Real
from typing import Any

import numpy as np

from fastgrad.errors import FunctionError, quoted, told
from fastgrad.foreign import as_numpy, is_array
from fastgrad.reading.arrays import size_of
from fastgrad.reading.containers import has_attributes, opened
from fastgrad.reading.layout import Role
from fastgrad.reading.names import listed

DEEPEST = 12
"""Lists within lists; one that contains itself has no end."""
EXPECTED = "it must return the gradients as a dict or a list of arrays, or (loss, gradients)"


def parted(returned: Any, count: int, *, in_a_row: bool = False) -> tuple[float | None, Any]:
    """Part (loss, gradients); gradients alone have no loss.

    Parameters
    ----------
    returned : object
        Anything.
    count : int
        How many arrays hold the parameters; the gradient of one may come as it is.
    in_a_row : bool
        Whether the parameters are one vector, whose gradient comes as one, too.

    Returns
    -------
    tuple of float or None, and dict, list, array or layer
        The loss and the gradients, which are not looked into.

    Raises
    ------
    FunctionError
        If it is neither.
    """
    if isinstance(returned, tuple) and len(returned) == 2 and not isinstance(returned[1], Real):
        loss, gradients = returned
        alone = is_array(gradients) and (in_a_row or count == 1)
        if (alone or _is_collection(gradients)) and (value := _one_number(loss)) is not None:
            return value, _held(gradients, count, in_a_row)
        if loss is None and isinstance(gradients, Mapping):
            return None, _held(gradients, count, in_a_row)
        if isinstance(loss, str | bytes | Number) and _is_collection(gradients):
            raise FunctionError(f"it returned {quoted(loss)} for the loss, which is one real number; {EXPECTED}")
    return None, _held(returned, count, in_a_row)


def in_order(gradients: Any, parameters: Any, roles: Sequence[Role]) -> Any:
    """Return gradients that came as two lists, of the weights and of the biases in either order, in the parameters' form.

    Raises
    ------
    FunctionError
        If their shapes do not tell which list is which.
    """
    pair = None if is_array(parameters) else _pair_of_lists(gradients)
    held = None if pair is None else opened(parameters, "parameters")
    if pair is None or held is None or (held.told and not held.named):  # lists of layers, or of all W and of all b, as they are
        return gradients
    if len(roles) <= 2 and any(len(part) > 1 for part in pair):  # two matrices, as lists of their rows
        return gradients
    kinds = [sorted((role for role in roles if role.kind == kind), key=lambda role: role.layer) for kind in ("W", "b")]
    found = [order for order in (pair, pair[::-1]) if all(map(_fits, kinds, order))]
    if len(found) != 1:
        why = "in either order" if found else "in neither order"
        weights, biases = (listed(role.part.label for role in kind) for kind in kinds)
        raise FunctionError(
            f"it returned two lists of arrays, whose shapes fit the weights ({weights}) and the biases ({biases}) {why}: "
            f"{EXPECTED}"
        )
    own = {
        role.part.label: value
        for kind, part in zip(kinds, found[0], strict=True)
        for role, value in zip(kind, part, strict=True)
    }
    return own if held.named else [own.get(leaf.label) for leaf in held.leaves]


def _pair_of_lists(values: Any) -> tuple[Sequence[Any], Sequence[Any]] | None:
    """Return both where values are a pair of lists of arrays, as in (weights, biases)."""
    if not isinstance(values, list | tuple) or len(values) != 2:
        return None
    lists = all(isinstance(part, list | tuple) and any(map(is_array, part)) for part in values)
    return (values[0], values[1]) if lists and all(e is None or is_array(e) for part in values for e in part) else None


def _fits(roles: Sequence[Role], values: Sequence[Any]) -> bool:
    """Tell whether values may be the gradients of some parameters, of all weights or of all biases."""
    return len(roles) == len(values) and all(
        value is None or _alike(role, value) for role, value in zip(roles, values, strict=True)
    )


def _alike(role: Role, value: Any) -> bool:
    if value is None:  # no gradient of this one
        return True
    shape = role.part.array.shape
    return np.shape(value) in {shape, shape[::-1]} or (role.kind == "b" and size_of(value) == role.part.array.size)


def _is_collection(value: Any) -> bool:
    return (isinstance(value, Mapping | Sequence) and not isinstance(value, str | bytes)) or has_attributes(value)


def _held(gradients: Any, count: int, in_a_row: bool) -> Any:
    """Return gradients as a dict or a list of our own; a collection of the user's may run code when it is looked at."""
    if is_array(gradients):
        if in_a_row:
            return gradients
        if count != 1:
            raise FunctionError(f"it returned one array {np.shape(gradients)} for {count} parameters; {EXPECTED}")
        return [gradients]
    if not _is_collection(gradients):
        raise FunctionError(f"it returned {type(gradients).__name__}; {EXPECTED}")
    try:
        return _plain(gradients, 0)
    except FunctionError:
        raise
    except Exception as error:
        raise FunctionError(f"what it returned cannot be read: {told(error)}") from None


def _plain(value: Any, depth: int) -> Any:
    """Return dicts, lists and tuples of our own; those of the user are looked into here alone."""
    if not isinstance(value, Mapping | Sequence) or isinstance(value, str | bytes):
        return value
    if depth == DEEPEST:
        raise FunctionError(f"it returned lists within lists, more than {DEEPEST} deep; {EXPECTED}")
    if isinstance(value, Mapping):
        return {str(name): _plain(entry, depth + 1) for name, entry in value.items()}
    entries = [_plain(entry, depth + 1) for entry in value]
    return tuple(entries) if isinstance(value, tuple) else entries


def _one_number(value: Any) -> float | None:
    """Return the number that may be a loss, as a number or in an array; None for anything else."""
    try:
        array = np.asarray(as_numpy(value))
    except Exception:  # lists of arrays, objects with code of their own
        return None
    return float(array.reshape(())) if array.size == 1 and array.ndim < 3 and array.dtype.kind in "fiu" else None
