"""What a check must leave as it was: random state, gradients, parameters, running statistics, modes and global settings.

Called around all that runs a user's functions or modules.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

import numpy as np
import torch

from fastgrad.functions.program import seeded_alike

SMALL = 1 << 16
"""Numbers in all tensors up to which one thread is used: several would wait for each other longer than they work."""


def modules_of(function: Any) -> list[torch.nn.Module]:
    """Return the modules that a function is, is a method of, or refers to by its closure and its globals."""
    if isinstance(function, torch.nn.Module):
        return [function]
    if isinstance(function, functools.partial):
        values = [function.func, *function.args, *function.keywords.values()]
        return [module for value in values for module in modules_of(value)]
    return [value for value in _referred(function) if isinstance(value, torch.nn.Module)]


def _referred(function: Any) -> list[Any]:
    own = [getattr(function, "__self__", None)]
    try:
        variables = inspect.getclosurevars(function)
    except (TypeError, ValueError):  # no Python function, or one whose cells are empty
        return own
    return [*own, *variables.nonlocals.values(), *variables.globals.values()]


class Undisturbed:
    """A time at whose end everything is as it was at its beginning, also where an error ends it.

    Parameters
    ----------
    function : callable
        What is run; modules that it refers to are kept.
    values : iterable
        What it is given; of tensors among it, numbers, gradients and flags are kept.
    """

    def __init__(self, function: Callable[..., Any], values: Iterable[Any]) -> None:
        modules = {id(module): module for top in modules_of(function) for module in top.modules()}
        self._modules = [(module, module.training) for module in modules.values()]
        held = {id(buffer): buffer for module, _ in self._modules for buffer in module.buffers(recurse=False)}
        self._buffers = [(buffer, buffer.detach().clone()) for buffer in held.values()]
        parameters = [parameter for module, _ in self._modules for parameter in module.parameters(recurse=False)]
        tensors = {id(one): one for one in [*values, *parameters] if isinstance(one, torch.Tensor)}
        self._tensors = [(tensor, _Kept(tensor)) for tensor in tensors.values()]
        self._drawn = seeded_alike()
        self._torch_drawn = torch.get_rng_state()
        self._devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        self._dtype = torch.get_default_dtype()
        self._size, self._threads = sum(tensor.numel() for tensor, _ in self._tensors), torch.get_num_threads()
        self._deterministic = torch.are_deterministic_algorithms_enabled()
        self._only_warns = torch.is_deterministic_algorithms_warn_only_enabled()

    def __enter__(self) -> Undisturbed:
        self._grad_modes = [torch.inference_mode(False), torch.enable_grad()]
        for mode in self._grad_modes:
            mode.__enter__()
        if self._size <= SMALL:
            torch.set_num_threads(1)
        return self

    def reset(self) -> None:
        """Set random states and running statistics back, so that every call finds the same ones."""
        self._drawn()
        torch.set_rng_state(self._torch_drawn)
        if self._devices:
            torch.cuda.set_rng_state_all(self._devices)
        for buffer, kept in self._buffers:
            _put_back(buffer, kept)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.reset()
        for tensor, kept in self._tensors:
            kept.restore(tensor)
        for module, training in self._modules:
            module.training = training
        torch.set_num_threads(self._threads)
        torch.set_default_dtype(self._dtype)
        torch.use_deterministic_algorithms(self._deterministic, warn_only=self._only_warns)
        for mode in reversed(self._grad_modes):
            mode.__exit__(kind, error, trace)


class _Kept:
    """A tensor's numbers, its gradient and whether it requires one."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self._numbers = None if tensor.layout is not torch.strided else tensor.detach().clone()
        self._grad = tensor.grad if tensor.is_leaf else None
        self._grad_numbers = None if self._grad is None else self._grad.detach().clone()
        self._requires = tensor.requires_grad

    def restore(self, tensor: torch.Tensor) -> None:
        if self._numbers is not None:
            _put_back(tensor, self._numbers)
        if not tensor.is_leaf:
            return
        tensor.requires_grad_(self._requires)
        tensor.grad = self._grad
        if self._grad is not None and self._grad_numbers is not None:
            _put_back(self._grad, self._grad_numbers)


def _put_back(tensor: torch.Tensor, numbers: torch.Tensor) -> None:
    """Write numbers into a tensor where they are others; what is untouched is not written to."""
    with torch.no_grad():
        if not np.array_equal(_bits(tensor), _bits(numbers)):
            tensor.copy_(numbers)


def _bits(tensor: torch.Tensor) -> Any:
    """Return a tensor's numbers as bytes, in which nan equals nan."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy() if tensor.numel() else np.empty(0)
