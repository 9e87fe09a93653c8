"""Whether all parameters of a network that is read from disk are finite; of others that was found out when they were copied.

A parameter that is no number, or infinite, makes z of its unit no finite number in every sample, whatever is multiplied with
it. So the forward pass tells, and only then is one looked for.
"""

from __future__ import annotations

import numpy as np

from fastgrad.errors import InputError
from fastgrad.kernels import codes
from fastgrad.model.forward import BasePoint
from fastgrad.model.network import Problem, Tensor
from fastgrad.model.stored import tiles


def require_finite(problem: Problem, base: BasePoint) -> None:
    """Raise InputError for a parameter of a stored network that is not finite."""
    if not problem.is_stored:
        return
    for layer in range(problem.network.depth):
        if not np.isfinite(base.plane(codes.Z, layer)).all():  # the layers above have taken it over
            for tensor in problem.tensors:
                if (tensor.layer, tensor.kind) == (layer, "W"):
                    _look_through(problem, tensor)
            return


def _look_through(problem: Problem, tensor: Tensor) -> None:
    """Raise InputError for the first entry that is not finite, if there is one."""
    for tile in tiles(problem.network.W(problem.theta, tensor.layer)):
        bad = ~np.isfinite(tile.values)
        if bad.any():
            row, column = np.unravel_index(int(np.argmax(bad)), bad.shape)
            offset = (tile.rows.start + int(row)) * tensor.canonical_shape[1] + tile.columns.start + int(column)
            place, value = list(tensor.user_index(offset)), float(tile.values[row, column])
            name = tensor.array_name
            raise InputError(f"{name}{place} is {value}: every number of {name} must be finite")
