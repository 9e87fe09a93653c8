"""A person's own dZ_l and dA_l, which lie among the gradients: found by their names, turned as X is.

Called where a problem is made. What does not fit is left alone: nothing hangs on these arrays but how exactly the step
is named in which a gradient goes wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastgrad.model.network import Array, Intermediate, Problem
from fastgrad.reading.layout import Reading

_NAME = re.compile(r"(?i)(?:d|g|grad_?|delta_?)_?([za])_?(\d{1,9})")
"""dZ1, da_2, grad_z1: ∂J/∂z or ∂J/∂a of a layer counted from 1."""


def is_intermediate(name: str) -> bool:
    """Tell whether a name is that of a dZ_l or dA_l."""
    return _NAME.fullmatch(name) is not None


def intermediates(arrays: Mapping[str, Any], problem: Problem, reading: Reading) -> tuple[Intermediate, ...]:
    """Return the arrays that are dZ_l or dA_l by name and shape, from the output inwards, dA_l before dZ_l."""
    found = []
    for name, value in arrays.items():
        match = _NAME.fullmatch(str(name))
        if match is None or not 1 <= int(match[2]) <= problem.network.depth:
            continue
        layer = int(match[2]) - 1
        values = turned(value, (problem.samples, problem.network.widths[layer + 1]), reading.examples)
        if values is not None:
            found.append(Intermediate(name, "A" if match[1] in "aA" else "Z", layer, values))
    return tuple(sorted(found, key=lambda one: (-one.layer, one.kind)))


def turned(value: Any, shape: tuple[int, int], examples: str | None) -> Array | None:
    """Return numbers as (m, n), None where they are none or their shape does not fit."""
    try:
        array = np.asarray(value)
    except Exception:  # a ragged list, an object with code of its own
        return None
    if array.dtype.kind not in "fiub" or array.size != shape[0] * shape[1]:
        return None
    if array.ndim < 2 and 1 in shape:
        array = array.reshape(shape)
    elif array.ndim == 2 and array.shape == shape[::-1] and (examples == "columns" or shape[0] != shape[1]):
        array = array.T
    return np.ascontiguousarray(array, dtype=np.float64) if array.shape == shape else None
