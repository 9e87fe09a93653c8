"""What a backward pass must bear beside being right: upstream gradients that lie otherwise in memory, or that are not there.

Called by `gradcheck` and `checks`. Each demand is a function from a layer to a sentence that says how it was not met, or None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from fastgrad.errors import told
from fastgrad.functions.claim import HALF_ROUNDINGS, ROUNDINGS
from fastgrad.functions.noise import SINGLE_ROUNDOFF
from fastgrad.torch.layer import BackwardError, Gradients, Layer, Weigh

Demand = Callable[[Layer], str | None]


def unmet(layer: Layer, demands: Sequence[Demand]) -> Iterator[str]:
    """Yield a sentence for each demand that is not met."""
    for demand in demands:
        sentence = demand(layer)
        if sentence is not None:
            yield sentence


def repeats(layer: Layer, most: float | None = None) -> str | None:
    """See whether a second call of backward, after the same call of the function, gives the same, to rounding or `most`."""
    try:
        first, second = layer.backward_twice()
    except BackwardError as error:
        return f"Of two calls of backward after one of the function, {error}."
    odd = _differing(layer, first, second, most)
    if not odd:
        return None
    return (
        f"Two calls of backward, after one of the function, give two gradients of {odd}: backward draws random numbers, or "
        "changes in place what it was given or what forward saved."
    )


def takes_any_layout(layer: Layer) -> str | None:
    """See whether backward takes an upstream gradient with other strides, and the expanded one that sum() makes."""
    strided = "an upstream gradient with the same numbers and other strides"
    return _same(layer, _backward(layer), lambda weight, _: _with_other_strides(weight), strided) or _same(
        layer,
        lambda: layer.backward(layer.point, False, lambda weight, _: torch.ones_like(weight))[1],
        lambda weight, _: torch.ones((), dtype=weight.dtype, device=weight.device).expand(weight.shape),
        "the upstream gradient that output.sum().backward() makes, a single 1 that is expanded,",
    )


def takes_undefined(layer: Layer) -> str | None:
    """See whether what each output alone gives adds up to what all of them give: the others are then undefined."""
    if len(layer.upstream) < 2:
        return None
    try:
        alone = [layer.backward(layer.point, False, only=k)[1] for k in range(len(layer.upstream))]
    except BackwardError as error:
        return f"With an upstream gradient for one of the outputs only, {error}."
    added = [_sum([gradients[place] for gradients in alone]) for place in range(len(layer.parts))]
    odd = _differing(layer, added, layer.backward(layer.point, False)[1])
    return f"The gradients of {odd} for each output alone do not add up to those for all outputs together." if odd else None


def keeps_types(layer: Layer) -> str | None:
    """See whether each gradient has the type of its tensor."""
    leaves, gradients = layer.backward(layer.point, False)
    for part, leaf, gradient in zip(layer.parts, leaves, gradients, strict=True):
        if gradient is not None and gradient.dtype != leaf.dtype:
            return f"The gradient of {part.name} has the type {gradient.dtype}, and {part.name} has {leaf.dtype}."
    return None


def batches_backward(layer: Layer) -> str | None:
    """See whether backward gives the same for several upstream gradients at once (vmap) as for one after the other."""
    several: list[Weigh] = [lambda weight, _: weight, lambda weight, _: weight.flip(tuple(range(weight.dim())))]
    single = [layer.backward(layer.point, False, weights)[1] for weights in several]
    try:
        together = layer.backward_of_several(several)
    except BackwardError as error:
        return f"With several upstream gradients at once (vmap), {error}."
    for place, expected in enumerate(single):
        odd = _differing(layer, [None if one is None else one[place] for one in together], expected)
        if odd:
            return f"With several upstream gradients at once (vmap) the gradient of {odd} is another than with one at a time."
    return None


def batches_forward(layer: Layer) -> str | None:
    """See whether forward mode gives the same for several tangents at once (vmap) as for one after the other."""
    leaves = [part.made(layer.point, False) for part in layer.parts]
    for place, part in enumerate(layer.parts):
        tangents = torch.stack([torch.ones_like(leaves[place]), 0.5 * torch.ones_like(leaves[place])])
        derive = _forward_mode(layer, leaves, place)
        one_by_one = [torch.stack(column) for column in zip(*map(derive, tangents), strict=True)]
        try:
            together = torch.func.vmap(derive)(tangents)
        except Exception as error:
            return f"With several tangents of {part.name} at once (vmap) forward mode raises {told(error)}."
        if any(_apart(ours, theirs, theirs) for ours, theirs in zip(together, one_by_one, strict=True)):
            return f"With several tangents of {part.name} at once (vmap) forward mode gives other values than one by one."
    return None


def _forward_mode(
    layer: Layer, leaves: Sequence[torch.Tensor], place: int
) -> Callable[[torch.Tensor], tuple[torch.Tensor, ...]]:
    def called(moved: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(layer.call([*leaves[:place], moved, *leaves[place + 1 :]]))

    def derive(tangent: torch.Tensor) -> tuple[torch.Tensor, ...]:
        tangents: tuple[torch.Tensor, ...] = torch.func.jvp(called, (leaves[place],), (tangent,))[1]
        return tangents

    return derive


def _backward(layer: Layer) -> Callable[[], Gradients]:
    return lambda: layer.backward(layer.point, False)[1]


def _same(layer: Layer, expected: Callable[[], Gradients], weights: Weigh, what: str) -> str | None:
    """Say where backward raises or gives another gradient for upstream gradients that differ only in how they lie in memory."""
    known = expected()
    try:
        found = layer.backward(layer.point, False, weights)[1]
    except BackwardError as error:
        return f"With {what} {error}. Upstream gradients are not always contiguous; reshape takes what view does not."
    odd = _differing(layer, found, known)
    return f"With {what} the gradient of {odd} is another. Backward reads memory as if it were contiguous." if odd else None


def _with_other_strides(tensor: torch.Tensor) -> torch.Tensor:
    """Return the same numbers, every other place in memory left free, and the axes the other way round."""
    backwards = tuple(reversed(range(tensor.dim())))
    turned = tensor.permute(backwards)
    return torch.stack([turned, torch.zeros_like(turned)], -1)[..., 0].permute(backwards)


def _sum(gradients: Gradients) -> torch.Tensor | None:
    found = [gradient for gradient in gradients if gradient is not None]
    return torch.stack(found).sum(0) if found else None


def _differing(layer: Layer, ours: Gradients, theirs: Gradients, most: float | None = None) -> str:
    """Return the name of the first part whose gradients differ by more than rounding, or nothing.

    How large the terms are that cancel in a gradient is seen from that under the random upstream gradient.
    """
    usual = layer.backward(layer.point, False)[1]
    for part, one, other, scale in zip(layer.parts, ours, theirs, usual, strict=True):
        zeros = torch.zeros_like(part.tensor)
        if _apart(zeros if one is None else one, zeros if other is None else other, zeros if scale is None else scale, most):
            return part.name
    return ""


def _apart(ours: torch.Tensor, theirs: torch.Tensor, scale: torch.Tensor, most: float | None = None) -> bool:
    """Whether tensors differ by more than is allowed, or than sums in another order of terms as large as a third tensor's."""
    unit = torch.finfo(theirs.dtype).eps / 2.0
    allowed = (ROUNDINGS if unit <= SINGLE_ROUNDOFF else HALF_ROUNDINGS) * unit
    one, other, usual = (tensor.detach().cpu().to(torch.complex128).numpy() for tensor in (ours, theirs, scale))
    largest = max(float(np.abs(other).max(initial=0.0)), float(np.abs(usual).max(initial=0.0)))
    return not np.allclose(one, other, rtol=0.0, atol=allowed * largest if most is None else most, equal_nan=True)
