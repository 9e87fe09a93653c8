"""The user's own names of gradients and parameters, and where their examples lie."""

from __future__ import annotations

from collections.abc import Iterable

from fastgrad.diagnosis.ground import Ground
from fastgrad.diagnosis.mistakes import Cause
from fastgrad.model.network import Tensor


def tensor_of(ground: Ground, cause: Cause) -> Tensor | None:
    """Return the tensor that a cause is about, or the W of its layer."""
    kind = "b" if cause.kind == "b" else "W"
    return next((t for t in ground.problem.tensors if t.layer == cause.layer and t.kind == kind), None)


def gradient_name(ground: Ground, cause: Cause) -> str:
    """Return the user's name of the gradient in which a cause is, dZ where it is in the flow."""
    if cause.kind == "Z":
        return f"dZ{cause.layer + 1}"
    tensor = tensor_of(ground, cause)
    return f"d{cause.kind}{cause.layer + 1}" if tensor is None else tensor.gradient_name or f"d{tensor.name}"


def listed(names: Iterable[str], most: int = 8) -> str:
    """Return "dW1, db1 and dW2", the last ones counted where they are many."""
    names = list(dict.fromkeys(names))
    if len(names) > most:
        names = [*names[:most], f"{len(names) - most} more"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def weights_name(ground: Ground, layer: int) -> str:
    """Return the user's name of a layer's W."""
    return next((t.name for t in ground.problem.tensors if t.layer == layer and t.kind == "W"), f"W{layer + 1}")


def lies_in_rows(ground: Ground) -> bool:
    """Whether the examples lie in rows; where X leaves it open, as the weights have it."""
    if ground.problem.examples is not None:
        return ground.problem.examples == "rows"
    return any(tensor.transposed for tensor in ground.problem.tensors)
