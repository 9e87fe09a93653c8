"""The competitor from PyTorch: torch.autograd.gradcheck in its slow, exhaustive mode, with its default step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from networks import Array, TanhNetwork


def prepare(network: TanhNetwork) -> Callable[[Array], bool]:
    """Return the function that lets gradcheck judge all parameters, or as many as there are indices.

    gradcheck takes whole tensors. So that a part costs no copy of the rest, the part is some random columns of W1 in a
    tensor of their own, and the first layer's product is the sum of two: the same work for each perturbation.
    """
    torch: Any = pytest.importorskip("torch", reason="the competitor PyTorch is not installed")
    X, Y = torch.from_numpy(network.X.copy()), torch.from_numpy(network.Y.copy())
    W1, *others = (torch.from_numpy(array.copy()) for array in network.parameters.values())

    def cost_above(Z: Any, *parameters: Any) -> Any:
        for W, b in zip(parameters[::2], parameters[1::2], strict=True):
            Z = W @ torch.tanh(Z) + b
        return torch.nn.functional.binary_cross_entropy_with_logits(Z, Y)

    def run(indices: Array) -> bool:
        if len(indices) == network.size:
            everything = [tensor.requires_grad_() for tensor in (W1, *others)]
            return bool(torch.autograd.gradcheck(lambda W, b, *above: cost_above(W @ X + b, *above), everything))
        columns = np.random.default_rng(2).permutation(network.widths[0])
        part, rest = np.split(columns, [len(indices) // network.widths[1]])
        X_part, X_rest, W_rest = X[part], X[rest], W1[:, rest]
        b, *above = others
        return bool(
            torch.autograd.gradcheck(
                lambda W_part: cost_above(W_part @ X_part + W_rest @ X_rest + b, *above), W1[:, part].requires_grad_()
            )
        )

    return run
