"""A check beside what somebody who owns PyTorch would do: forward, backward in double precision, gradients compared.

Run as a program it measures one network in a process of its own and prints JSON. Arrays are (examples, units); nothing but
PyTorch, NumPy and the face of fastgrad is called.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Arrays = dict[str, npt.NDArray[Any]]
PAUSE = 0.02
"""Seconds between two measurements: threads of OpenMP and of BLAS wait that long at most, spinning, for more work."""


class Case:
    """A network with inputs, labels, and the gradient that PyTorch makes of them."""

    def __init__(self, widths: tuple[int, ...], samples: int, hidden: str, dtype: str = "float64") -> None:
        draw = np.random.default_rng(0)
        self.hidden, self.binary, self.parameters = hidden, widths[-1] == 1, dict[str, npt.NDArray[Any]]()
        for layer, (n_in, n_out) in enumerate(pairwise(widths), start=1):
            scale = (2.0 / n_in) ** 0.5
            self.parameters[f"W{layer}"] = scale * draw.standard_normal((n_out, n_in), dtype=np.dtype(dtype))
            self.parameters[f"b{layer}"] = 0.1 * draw.standard_normal(n_out, dtype=np.dtype(dtype))
        self.X = draw.uniform(size=(samples, widths[0])).astype(dtype)
        labels = draw.integers(0, 2 if self.binary else widths[-1], samples)
        self.Y = labels[:, None].astype(dtype) if self.binary else labels
        self.gradients = {f"d{name}": array for name, array in Autograd(self).backward().items()}

    def check(self, method: str) -> Any:
        """Check them with fastgrad."""
        import fastgrad

        output, loss = ("sigmoid", "binary_crossentropy") if self.binary else ("softmax", "softmax_crossentropy")
        said = {"hidden": self.hidden, "output": output, "loss": loss}
        return fastgrad.check(self.parameters, self.gradients, self.X, self.Y, method=method, **said)


class Autograd:
    """The same network in PyTorch."""

    def __init__(self, case: Case) -> None:
        import torch

        self.torch, self.case = torch, case
        self.X, Y = torch.from_numpy(case.X), torch.from_numpy(case.Y)
        self.tensors = [torch.from_numpy(array).requires_grad_() for array in case.parameters.values()]
        self.activation = {"tanh": torch.tanh, "relu": torch.relu}[case.hidden]
        functional = torch.nn.functional
        loss = functional.binary_cross_entropy_with_logits if case.binary else functional.cross_entropy
        self.loss = lambda z: loss(z, Y)

    def gradient(self) -> Any:
        """Run forward and backward."""
        pairs, a = list(zip(self.tensors[::2], self.tensors[1::2], strict=True)), self.X
        for W, b in pairs[:-1]:
            a = self.activation(self.torch.nn.functional.linear(a, W, b))
        return self.torch.autograd.grad(self.loss(self.torch.nn.functional.linear(a, *pairs[-1])), self.tensors)

    def backward(self) -> Arrays:
        """Return the gradient as arrays."""
        found = self.gradient()
        return {name: tensor.numpy() for name, tensor in zip(self.case.parameters, found, strict=True)}

    def compare(self) -> float:
        """Run forward and backward, and return the largest relative difference from the gradient claimed."""
        norm, worst = self.torch.linalg.vector_norm, 0.0
        for found, array in zip(self.gradient(), self.case.gradients.values(), strict=True):
            claimed = self.torch.from_numpy(array)
            total = norm(found) + norm(claimed)
            worst = max(worst, float(norm(found - claimed) / total) if total else 0.0)
        return worst
