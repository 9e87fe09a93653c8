"""Tensors as arrays of numbers in double precision, and tensors like the given ones made of such arrays.

Called by `layer`, for the inputs and parameters whose gradients are checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fastgrad.errors import InputError
from fastgrad.layers.arguments import described

Numbers = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Part:
    """A tensor whose gradient is checked.

    Attributes
    ----------
    name : str
        What it is called in the report.
    key : int or str
        Place or keyword of an input; the name of a parameter within its module.
    tensor : Tensor
        The given one, which is only read.
    """

    name: str
    key: int | str
    tensor: torch.Tensor

    @property
    def arrays(self) -> tuple[str, ...]:
        """Names of its arrays: a complex tensor is two of them."""
        return (f"{self.name}.real", f"{self.name}.imag") if self.tensor.is_complex() else (self.name,)

    def numbers(self, tensor: torch.Tensor | None) -> dict[str, NDArray[np.float64]]:
        """Return the numbers of a tensor of this shape, a gradient for example, by the names of arrays; zeros of none."""
        if tensor is None:
            return {name: np.zeros(tuple(self.tensor.shape)) for name in self.arrays}
        array = to_numpy(tensor)
        parts = (array.real, array.imag) if self.tensor.is_complex() else (array.real,)
        return {name: part.astype(np.float64) for name, part in zip(self.arrays, parts, strict=True)}

    def made(self, x: Numbers, wide: bool) -> torch.Tensor:
        """Return a tensor like the given one, of the numbers in arrays, in double precision or its own."""
        if self.tensor.is_complex():
            if any(x[name].dtype.kind == "c" for name in self.arrays):
                raise TypeError("complex steps of a complex number's parts are numbers of another kind")
            array = x[self.arrays[0]] + 1j * x[self.arrays[1]]
        else:
            array = x[self.name]
        dtype = in_double(self.tensor.dtype) if wide else self.tensor.dtype
        if array.dtype.kind == "c":
            dtype = dtype.to_complex()
        return laid_out_like(self.tensor, torch.from_numpy(np.array(array)).to(dtype=dtype, device=self.tensor.device))


def to_numpy(tensor: torch.Tensor) -> NDArray[Any]:
    """Return a tensor's numbers in double precision."""
    return np.asarray(tensor.detach().to(in_double(tensor.dtype)).resolve_conj().resolve_neg().cpu().numpy())


def in_double(dtype: torch.dtype) -> torch.dtype:
    """Return the type of real or complex numbers in double precision; any other type as it is."""
    if dtype.is_floating_point:
        return torch.float64
    return torch.complex128 if dtype.is_complex else dtype


def widened(value: Any) -> Any:
    """Return a tensor in double precision, and anything else as it is."""
    return value.detach().to(in_double(value.dtype)) if isinstance(value, torch.Tensor) else value


def copied(value: Any) -> Any:
    """Return a copy of a tensor, and anything else as it is."""
    return value.detach().clone() if isinstance(value, torch.Tensor) else value


def laid_out_like(original: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor with the strides of the original, in which no two indices share a place in memory.

    A function may read memory as it lies. Of an expanded tensor, whose entries share their memory, each is a number by itself.
    """
    if original.is_contiguous() or _overlaps(original):
        return tensor.contiguous()
    return torch.empty_strided(original.size(), original.stride(), dtype=tensor.dtype, device=tensor.device).copy_(tensor)


def _overlaps(tensor: torch.Tensor) -> bool:
    """Whether two indices may share a place in memory: sorted, each stride has to reach beyond all that lie within it."""
    reach = 1
    for stride, size in sorted((stride, size) for stride, size in zip(tensor.stride(), tensor.size(), strict=True) if size > 1):
        if stride < reach:
            return True
        reach += stride * (size - 1)
    return False


def is_differentiable(value: Any) -> bool:
    """Whether something is a tensor of real or complex numbers."""
    return isinstance(value, torch.Tensor) and (value.is_floating_point() or value.is_complex())


def require_called(value: Any, name: str, expected: str) -> None:
    """Refuse a class where something that is made of it is to be called, and what cannot be called at all."""
    if isinstance(value, type) and issubclass(value, torch.autograd.Function):
        raise InputError(f"{name} is the class {value.__name__}; give its method that is called, {value.__name__}.apply")
    if isinstance(value, type) and issubclass(value, torch.nn.Module):
        raise InputError(f"{name} is the class {value.__name__}; give a module that is made of it, {value.__name__}(...)")
    if not callable(value):
        raise InputError(f"{name} is {described(value)}; expected {expected}")


def require_tensor(value: Any, name: str) -> None:
    """Refuse an array, or numbers, where a tensor is needed."""
    if not isinstance(value, torch.Tensor) and (isinstance(value, np.ndarray | float | int | complex) or value is None):
        made = f"torch.from_numpy({name})" if isinstance(value, np.ndarray) else f"torch.tensor({name})"
        hint = "" if value is None else f", {made}"
        raise InputError(f"{name} is {described(value)}; expected a tensor{hint}")


def require_dense(name: str, tensor: torch.Tensor) -> None:
    """Refuse tensors that are not plain arrays of numbers."""
    if tensor.layout is not torch.strided:
        raise InputError(
            f"the input {name} has the layout {tensor.layout}; fastgrad moves entries of dense tensors only: give its values, "
            "and let the function make the sparse tensor of them"
        )
    if tensor.is_meta or not bool(torch.isfinite(tensor).all()):
        raise InputError(f"the input {name} is not finite; a derivative needs a finite point")
