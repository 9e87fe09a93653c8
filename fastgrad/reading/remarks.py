"""What is said of gradients that are not there, and of those whose shape is not that of their parameter.

Called where a problem is made. Such gradients are judged by their numbers; what training would do with them is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from fastgrad.model.network import Tensor
from fastgrad.reading.layout import Role, Shape, is_vector
from fastgrad.reading.names import Part, listed


def absence_notes(roles: Sequence[Role], tensors: Sequence[Tensor]) -> Iterator[str]:
    """Yield what there is to say of missing gradients, where others are there."""
    missing = {t.array_name: r.part for r, t in zip(roles, tensors, strict=True) if t.gradient_name is None and not t.frozen}
    if missing and any(tensor.gradient_name is not None for tensor in tensors):
        pronoun = "it" if len(missing) == 1 else "them"
        names = [name if part.name else f"{name} ({part.label})" for name, part in missing.items()]
        frozen = ",".join(missing)
        yield (
            f"There is no gradient of {listed(names)}: give {pronoun}, or, where a parameter is not trained, leave "
            f"{pronoun} out with --frozen {frozen} (in Python frozen={frozen!r}; in a file the same key)"
        )


def is_single(part: Part) -> bool:
    """Tell whether a gradient is one number where its parameter has several."""
    return part.gradient is not None and part.gradient.size == 1 < part.array.size


def shape_notes(roles: Sequence[Role], tensors: Sequence[Tensor]) -> Iterator[str]:
    """Yield a sentence for each gradient whose shape training would stumble over."""
    judged = {role.part.label: role for role, tensor in zip(roles, tensors, strict=True) if not tensor.frozen}
    turned = _all_turned([role.part for role in judged.values() if role.kind == "W"])
    for role in judged.values():
        part = role.part
        if is_single(part):
            yield (
                f"{part.gradient_label} is a single number, and {part.label} has {part.array.size:,} entries of the shape "
                f"{part.array.shape}, each with a derivative of its own: give an array of that shape"
            )
        elif part.gradient is not None and not (turned and role.kind == "W"):
            yield from _other_shape(part, part.gradient.shape)


def _other_shape(part: Part, shape: Shape) -> Iterator[str]:
    """Say what an update makes of a gradient of another shape, unless it is as good as the right one."""
    own, update = part.array.shape, f"{part.label} - rate*{part.gradient_label}"
    if part.array.size == 1 or (result := _broadcast(own, shape)) == own or (result and np.prod(result) == np.prod(own)):
        return
    outcome = f"would have the shape {result}" if result else "would fail"
    yield (
        f"{part.gradient_label} has the shape {shape} and {part.label} {own}: its numbers were judged in the order of "
        f"{part.label}, but {update} {outcome}; return {part.gradient_label} in the shape {own}"
    )


def _broadcast(first: Shape, second: Shape) -> Shape | None:
    try:
        return np.broadcast_shapes(first, second)
    except ValueError:
        return None


def _all_turned(weights: Sequence[Part]) -> bool:
    """Tell whether all gradients of several W lie the other way round than these: then it is the layout of the whole file."""
    telling = [part for part in weights if part.gradient is not None and not is_vector(part.array.shape)]
    uneven = [part for part in telling if part.array.shape != part.array.shape[::-1]]
    return len(uneven) > 1 and all(part.gradient is not None and part.gradient.shape != part.array.shape for part in uneven)
