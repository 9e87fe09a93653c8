"""Small disturbances that are no mistakes: single precision in double arrays, and constants inside the loss's logarithms.

Called by `ruling` where a tensor was found wrong. Each is told by computation, never by the size of an error alone: a mistake
may be small too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from fastgrad.judging.court import JUDGED
from fastgrad.judging.directional import Directional
from fastgrad.judging.verdict import Judgement
from fastgrad.judging.written import NATURAL, are_plain
from fastgrad.kernels import codes
from fastgrad.model.forward import BasePoint
from fastgrad.model.network import Array, Problem, Tensor
from fastgrad.model.product import product
from fastgrad.model.rounding import gradient
from fastgrad.model.stored import runs
from fastgrad.numerical import Numerical
from fastgrad.report.parts import TensorReport

SMALL = 1e-3
"""Relative difference from the declared loss's gradient up to which another form of the loss is a small disturbance."""
CONSTANTS = (*(10.0**-k for k in range(4, 17)), 2.0**-23, 2.0**-52)
"""Constants that people put into logarithms: powers of ten, and the spacing of single and double precision at 1."""
SPREAD = 0.5
"""Share of a wrong tensor's entries that are off where it was computed in single precision; a slip is off in few."""


class Constant(NamedTuple):
    """Another form of the loss: in words, and what it adds to the gradient, shape (P,)."""

    words: str
    shift: Array


def in_single_precision(problem: Problem, judgement: Judgement | Directional) -> Problem | None:
    """Return the problem with its wrong double arrays taken for single precision where all they hold is such numbers.

    One in 2²⁹ results of double precision has the trailing zeros of single precision; a tensor full of them was computed
    in it, but for whole numbers and short decimals. None where there is no such tensor.
    """
    if problem.claimed is None:
        return None
    tensors = []
    for tensor, found in zip(problem.tensors, judgement.tensors, strict=True):
        is_off = tensor.precision == "float64" and found.verdict == "wrong" and not tensor.single
        if is_off and _holds_single_precision(problem, tensor):
            tensor = replace(tensor, precision="float32")
        tensors.append(tensor)
    return None if tuple(tensors) == problem.tensors else replace(problem, tensors=tuple(tensors))


def _holds_single_precision(problem: Problem, tensor: Tensor) -> bool:
    """Tell whether a claimed tensor is full of such numbers; of a stored one, whether each of its parts is that has any."""
    assert problem.claimed is not None
    found = False
    for claimed in runs(problem.claimed, slice(tensor.start, tensor.stop)):
        if not claimed.any():
            continue
        if are_plain(claimed, problem, NATURAL) or not all(
            map(_is_single, np.array_split(claimed, claimed.size // JUDGED + 1))
        ):
            return False
        found = True
    return found


def _is_single(values: Array) -> bool:
    with np.errstate(over="ignore"):
        return np.array_equal(values, values.astype(np.float32))


def only_single_precision(strict: Judgement, coarse: Judgement) -> bool:
    """Tell whether what is wrong looks like single precision somewhere: off in most entries, by no more than that allows.

    Parameters
    ----------
    strict, coarse : Judgement
        In the arrays' own precision, and with all of them taken for single precision.
    """
    wrong = [tensor for tensor in strict.tensors if tensor.verdict == "wrong"]
    right = all(tensor.verdict != "wrong" for tensor in coarse.tensors)
    return right and all(tensor.ratio is None and tensor.wrong >= SPREAD * tensor.checked for tensor in wrong)


def find_constant(problem: Problem, numerical: Numerical) -> Constant | None:
    """Return the form of the logarithms that comes nearest to the claimed gradient of the last layer.

    Whether it fits is for the verdict to say. None where the loss has no logarithm or the last layer no claim.
    """
    if problem.claimed is None:
        return None
    base, layer = numerical.base, problem.network.depth - 1
    place = problem.network.weight_slice(layer)
    off = problem.claimed[place] - numerical.values[place]
    known = np.isfinite(off)
    declared = base.tables.outputs[codes.LOSS_SLOPE]
    nearest, chosen = np.inf, None
    for words, slope in _forms(base):
        shift = product((slope - declared).T, base.activations[layer]).ravel()
        distance = float(np.abs(off - shift)[known].sum())
        if shift[known].any() and distance < nearest:
            nearest, chosen = distance, (words, slope)
    if chosen is None or not nearest < np.abs(off[known]).sum():
        return None
    outputs = base.tables.outputs.copy()
    outputs[codes.LOSS_SLOPE] = chosen[1]
    moved = replace(base, tables=base.tables._replace(outputs=outputs))
    return Constant(chosen[0], gradient(problem, moved) - gradient(problem, base))


def shifted(numerical: Numerical, shift: Array) -> Numerical:
    """Return the numerical gradient of a loss whose gradient differs by a shift."""
    lower, upper = (None if bound is None else bound + shift for bound in (numerical.lower, numerical.upper))
    return replace(numerical, values=numerical.values + shift, lower=lower, upper=upper)


def fewer_wrong(before: tuple[TensorReport, ...], after: tuple[TensorReport, ...]) -> bool:
    """Tell whether some of the wrong tensors are right under another reading, and every other one is as right as it was."""
    off = [{t.name for t in tensors if t.checked and t.verdict in ("wrong", "not judged")} for tensors in (before, after)]
    return off[1] < off[0]


def fits(before: tuple[TensorReport, ...], after: tuple[TensorReport, ...], layer_names: set[str]) -> bool:
    """Tell whether another form of the loss makes the last layer right, which was not."""
    wrong = [{tensor.name for tensor in tensors if tensor.verdict == "wrong"} for tensors in (before, after)]
    return bool(wrong[0] & layer_names) and not wrong[1] & layer_names and wrong[1] < wrong[0]


def _forms(base: BasePoint) -> Iterator[tuple[str, Array]]:
    """Yield the common ways to keep a logarithm from 0, in words and as ∂J/∂z of the output."""
    softmax = base.tables.loss_code == codes.SOFTMAX_CROSSENTROPY
    if not softmax and base.tables.loss_code != codes.BINARY_CROSSENTROPY:
        return
    slopes = _softmax_slopes if softmax else _sigmoid_slopes
    for constant in CONSTANTS:
        for words, slope in slopes(base, constant):
            yield words, base.tables.outputs[codes.FACTOR] * slope


def _sigmoid_slopes(base: BasePoint, c: float) -> Iterator[tuple[str, Array]]:
    z, y = base.tables.outputs[codes.OUTPUT], base.tables.outputs[codes.TARGET]
    # Rounded as everybody's is: dividing by a constant below the spacing of p magnifies what 1 − p has lost.
    with np.errstate(over="ignore"):
        p = 1.0 / (1.0 + np.exp(-z))
    q = 1.0 - p
    yield f"log(p + {c:.3g})", p * q * ((1.0 - y) / (q + c) - y / (p + c))
    kept = (p >= c) & (q >= c)
    yield f"p clipped at {c:.3g}", np.where(kept, (1.0 - y) * p - y * q, 0.0)
    yield (
        f"p clipped at {c:.3g} where it divides",
        p * q * ((1.0 - y) / np.maximum(q, c) - y / np.maximum(p, c)),
    )


def _softmax_slopes(base: BasePoint, c: float) -> Iterator[tuple[str, Array]]:
    p, y = base.tables.outputs[codes.PROBABILITY], base.tables.outputs[codes.TARGET]
    with np.errstate(divide="ignore", over="ignore"):
        kept = np.where((p >= c) & (1.0 - p >= c), y, 0.0)
        weights = (
            (f"log(p + {c:.3g})", y * (p / (p + c))),
            (f"p clipped at {c:.3g}", kept),
            (f"p clipped at {c:.3g} where it divides", y * (p / np.maximum(p, c))),
        )
    for words, weight in weights:
        yield words, p * weight.sum(axis=1, keepdims=True) - weight
