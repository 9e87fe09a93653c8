"""The gradient that forward mode makes, number by number, as a program of its own; and columns of the Jacobian.

Called by `gradcheck`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.autograd import forward_ad

from fastgrad.errors import InputError, told
from fastgrad.functions.program import Numbers, Program
from fastgrad.torch.layer import Layer
from fastgrad.torch.tensors import to_numpy

MOST_NUMBERS = 20_000
"""Numbers for each of which forward mode is run once."""


class Forward(Program):
    """A layer whose gradient is put together from forward mode: the slopes along each number by itself."""

    def __init__(self, layer: Layer) -> None:
        self._layer, self.point, self.precision = layer, layer.point, layer.precision
        numbers = sum(array.size for array in self.point.values())
        if numbers > MOST_NUMBERS:
            raise InputError(
                f"check_forward_ad runs forward mode for each of {numbers:,} numbers; give {MOST_NUMBERS:,} at most"
            )

    def outputs(self, x: Numbers, wide: bool) -> list[NDArray[Any]]:
        """Return the layer's outputs."""
        return self._layer.outputs(x, wide)

    def value(self, x: Numbers, wide: bool) -> Any:
        """Return the layer's value."""
        return self._layer.value(x, wide)

    def gradient(self, x: Numbers, wide: bool) -> dict[str, NDArray[np.float64]]:
        """Return the slope along each number."""
        primals = [part.made(x, wide) for part in self._layer.parts]
        return {name: slopes for place in range(len(primals)) for name, slopes in self._slopes(primals, place, wide)}

    def rows(self) -> list[NDArray[Any]]:
        """Return the Jacobian that forward mode makes, for each output of shape (its shape, numbers)."""
        primals = [part.made(self.point, False) for part in self._layer.parts]
        columns = [
            tangents for place in range(len(primals)) for _, found in self._columns(primals, place, False) for tangents in found
        ]
        return [np.stack(column, axis=-1) for column in zip(*columns, strict=True)]

    def _slopes(self, primals: list[torch.Tensor], place: int, wide: bool) -> Iterator[tuple[str, NDArray[np.float64]]]:
        for name, columns in self._columns(primals, place, wide):
            slopes = [sum(map(_weighed, tangents, self._layer.upstream)) for tangents in columns]
            yield name, np.array(slopes, dtype=np.float64).reshape(tuple(primals[place].shape))

    def _columns(self, primals: list[torch.Tensor], place: int, wide: bool) -> Iterator[tuple[str, list[list[NDArray[Any]]]]]:
        """Yield, for each array of a part, the tangents of the outputs along each of its numbers."""
        part, primal = self._layer.parts[place], primals[place]
        for name, unit in zip(part.arrays, (1.0, 1j), strict=False):
            found = []
            for index in np.ndindex(tuple(primal.shape)):
                tangent = torch.zeros_like(primal)
                tangent[index] = unit
                found.append(self._along([*primals[:place], (primal, tangent), *primals[place + 1 :]], wide))
            yield name, found

    def _along(self, values: list[Any], wide: bool) -> list[NDArray[Any]]:
        """Return the tangents of all outputs."""
        try:
            with torch.no_grad(), forward_ad.dual_level():
                duals = [forward_ad.make_dual(*value) if isinstance(value, tuple) else value for value in values]
                tangents = [forward_ad.unpack_dual(output).tangent for output in self._layer.call(duals, wide)]
        except Exception as error:
            raise InputError(f"forward mode raises {told(error)}") from error
        weights = self._layer.upstream
        return [np.zeros_like(w) if one is None else to_numpy(one) for one, w in zip(tangents, weights, strict=True)]


def _weighed(tangent: NDArray[Any], weight: NDArray[Any]) -> float:
    return float((tangent.real * weight.real + tangent.imag * weight.imag).sum())
