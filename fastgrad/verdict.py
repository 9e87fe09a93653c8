"""Claimed against numerical, entry by entry, in units of rounding: right, at a kink, or wrong; then tensor by tensor."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastgrad.backprop import rounding_scale
from fastgrad.forward import UNIT_ROUNDOFF
from fastgrad.network import Array, Offsets, Problem, Tensor
from fastgrad.numerical import Numerical
from fastgrad.report import Entry, TensorReport, Verdict

TOLERANCE = 32.0
"""Multiple of u·R that a right gradient may be off. R bounds to first order what rounding does to the usual backward pass,
with random errors in its sums; the numerical gradient brings as much again, unusual orders of the same sums a few times
more. Mistakes start some orders of magnitude above."""


def judge(problem: Problem, numerical: Numerical, extra: Array | None = None) -> tuple[TensorReport, ...]:
    """Judge every tensor.

    Parameters
    ----------
    problem : Problem
        With its claimed gradient.
    numerical : Numerical
        The gradient to hold it against.
    extra : ndarray, shape (P,), optional
        Error of the numerical values beyond rounding: truncation, and the noise of the textbook loop.

    Returns
    -------
    tuple of TensorReport
        In theta's order.
    """
    scale = rounding_scale(problem, numerical.base)
    return tuple(_judge_tensor(problem, numerical, scale, extra, tensor) for tensor in problem.tensors)


def relative_difference(claimed: Array, numerical: Array) -> float:
    """‖claimed − numerical‖ / (‖claimed‖ + ‖numerical‖), 0 where both are zero.

    Scaled by the largest entry, so that squares of tiny or huge gradients neither vanish nor overflow.
    """
    if claimed.size == 0:
        return float("nan")
    largest = float(max(np.abs(claimed).max(), np.abs(numerical).max()))
    if largest == 0.0 or not np.isfinite(largest):
        return 0.0 if largest == 0.0 else float("nan")
    a, n = claimed / largest, numerical / largest
    return float(np.linalg.norm(a - n) / (np.linalg.norm(a) + np.linalg.norm(n)))


def _judge_tensor(problem: Problem, numerical: Numerical, scale: Array, extra: Array | None, tensor: Tensor) -> TensorReport:
    chosen = _selected_in(numerical, tensor)
    if tensor.gradient_name is None or problem.claimed is None or chosen.size == 0:
        return _unjudged(tensor)
    claimed, central = problem.claimed[chosen], numerical.values[chosen]
    nearest = central
    if numerical.lower is not None and numerical.upper is not None:
        nearest = np.clip(claimed, numerical.lower[chosen], numerical.upper[chosen])
        nearest = np.where(np.isnan(nearest), central, nearest)
    allowed = TOLERANCE * UNIT_ROUNDOFF[tensor.precision] * scale[chosen]
    if extra is not None:
        allowed += extra[chosen]
    off = np.abs(claimed - nearest)
    # Written so that nan is wrong.
    wrong = ~(off <= allowed)
    excess = np.where(np.isnan(off), np.inf, off / allowed)
    worst = int(np.argmax(excess))
    index = tensor.user_index(int(chosen[worst]) - tensor.start)
    at_kink = bool((np.abs(claimed - central) > allowed).any())
    double = UNIT_ROUNDOFF["float64"] / UNIT_ROUNDOFF[tensor.precision]
    return TensorReport(
        name=tensor.name,
        gradient_name=tensor.gradient_name,
        shape=tensor.shape,
        verdict=_tensor_verdict(wrong, at_kink, bool((excess > double).any()) and double < 1.0),
        relative_difference=relative_difference(claimed, nearest),
        checked=int(chosen.size),
        wrong=int(wrong.sum()),
        worst=Entry(index, float(claimed[worst]), float(nearest[worst])),
        ratio=_constant_ratio(claimed, nearest, allowed) if wrong.any() else None,
        tolerance=TOLERANCE,
    )


def _selected_in(numerical: Numerical, tensor: Tensor) -> Offsets:
    low, high = np.searchsorted(numerical.selected, (tensor.start, tensor.stop))
    return numerical.selected[low:high]


def _unjudged(tensor: Tensor) -> TensorReport:
    return TensorReport(
        name=tensor.name,
        gradient_name=tensor.gradient_name,
        shape=tensor.shape,
        verdict="not judged",
        relative_difference=float("nan"),
        checked=0,
        wrong=0,
        worst=None,
        ratio=None,
        tolerance=TOLERANCE,
    )


def _tensor_verdict(wrong: npt.NDArray[np.bool_], at_kink: bool, coarse: bool) -> Verdict:
    """Sum a tensor up; coarse tells that it is right only on the scale of a precision below double."""
    if wrong.any():
        return "wrong"
    if at_kink:
        return "at a kink"
    return "right in float32" if coarse else "right"


def _constant_ratio(claimed: Array, numerical: Array, allowed: Array) -> float | None:
    """Return c where claimed = c·numerical over the whole tensor, to rounding; None where there is no such number."""
    energy = float(numerical @ numerical)
    if claimed.size < 2 or not np.isfinite(claimed).all() or energy == 0.0:
        return _single_ratio(claimed, numerical)
    ratio = float(claimed @ numerical) / energy
    # The estimate of c is itself off by rounding, by no more than the entries that it was made of.
    fits = np.abs(claimed - ratio * numerical) <= 2.0 * max(1.0, abs(ratio)) * allowed
    return ratio if bool(fits.all()) else None


def _single_ratio(claimed: Array, numerical: Array) -> float | None:
    if claimed.size == 1 and numerical[0] != 0.0 and np.isfinite(claimed[0]):
        return float(claimed[0] / numerical[0])
    return None
