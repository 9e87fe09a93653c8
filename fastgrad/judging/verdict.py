"""The verdict: claimed against numerical, entry by entry in units of rounding, then tensor by tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, inf, nan, sqrt

import numpy as np

from fastgrad.judging.court import Block, Court, Norms, Tally
from fastgrad.machine import most_threads, share_pieces
from fastgrad.model.network import Array, Problem, Tensor
from fastgrad.model.rounding import TOLERANCE, RoundingScale
from fastgrad.numerical import Numerical
from fastgrad.report.parts import Entry, Outcomes, Sensitivity, TensorReport, Verdict

LOST = 0.25
"""Share of a tensor's size, as root mean squares, from which on what is allowed for rounding leaves nothing to judge."""
CANCELLED = 2.0**-10
"""The same where zeros would pass: the sum over the samples has cancelled to what rounding leaves. Where that is less than
this share of its terms it is zero for a reason, symmetry or a minimum, and a claim of zero is right; else it may not be."""
LARGEST = float(np.finfo(np.float64).max)
PARALLEL_WORK = 2**20
"""Multiply-adds from which on a second thread is worth waking."""


@dataclass(frozen=True, eq=False)
class Judgement:
    """What was found: tensor by tensor, and the relative difference over all checked entries."""

    tensors: tuple[TensorReport, ...]
    relative_difference: float


def judge(
    problem: Problem,
    numerical: Numerical,
    extra: Array | None = None,
    tolerance: float = TOLERANCE,
    threads: int | None = None,
    scale: RoundingScale | None = None,
) -> Judgement:
    """Judge every tensor.

    Parameters
    ----------
    problem : Problem
        With its claimed gradient.
    numerical : Numerical
        The gradient to hold it against.
    extra : ndarray, shape (P,), optional
        Error of the numerical values beyond rounding, where they were made with a fixed step.
    tolerance : float
        Multiple of u·R that a claim may be off.
    threads : int, optional
        Threads; by default all.
    scale : RoundingScale, optional
        How far rounding may move a gradient, where that is known already.

    Returns
    -------
    Judgement
        Tensors in theta's order.
    """
    court = Court(problem, numerical, extra, tolerance, scale or numerical.scale)
    judged = [t for t in problem.tensors if t.gradient_name is not None and problem.claimed is not None]
    tallies = _tallied(court, judged, threads or most_threads())
    total = Norms()
    reports = []
    for tensor in problem.tensors:
        tally = tallies.get(tensor.start)
        if tally is None:
            reports.append(unjudged(tensor, tolerance))
            continue
        if tensor.single:
            tally.wrong, tally.at_kink, tally.coarse = tally.checked, 0, 0
        total.merge(tally.norms)
        fits = (
            bool(tally.wrong)
            and not tensor.single
            and all(_fits(court.block(piece), tally.ratio) for piece in court.pieces(tensor))
        )
        size = court.scale.size(tensor.layer, tensor.kind)
        reports.append(_report(tensor, tally, size, tally.ratio if fits else None, tolerance))
    return Judgement(tuple(reports), total.relative() if any(report.checked for report in reports) else nan)


def _tallied(court: Court, tensors: Sequence[Tensor], threads: int) -> dict[int, Tally]:
    """Return the tally of each tensor, by its place; blocks are judged by any thread, and put together in their order."""
    tallies = {tensor.start: Tally() for tensor in tensors}
    rest: list[Tensor] = []
    for tensor in tensors:
        at_once = court.at_once(tensor, threads)
        rest += [tensor] if at_once is None else []
        for one in at_once or ():
            tallies[tensor.start].merge(one)
    pieces = [piece for tensor in rest for piece in court.pieces(tensor)]
    found: list[Tally | None] = [None] * len(pieces)

    def work(k: int) -> None:
        found[k] = court.tally(pieces[k])

    court.scale.factors  # noqa: B018  (made here, not by two threads at once)
    work_in_all = court.problem.samples * sum(tensor.size for tensor in rest)
    share_pieces(len(pieces), work, threads if work_in_all >= PARALLEL_WORK else 1)
    for piece, tally in zip(pieces, found, strict=True):
        assert tally is not None
        tallies[piece.tensor.start].merge(tally)
    return tallies


def _fits(block: Block, ratio: float) -> bool:
    """Tell whether claimed = ratio·numerical over a block, to rounding; the ratio was made of two entries, each rounded."""
    bound = 2.0 * max(1.0, abs(ratio)) * block.allowed
    with np.errstate(invalid="ignore", over="ignore"):
        return bool((np.abs(block.claimed - ratio * block.nearest) <= bound).all())


def _report(tensor: Tensor, tally: Tally, size: float, ratio: float | None, tolerance: float) -> TensorReport:
    if tally.checked == 0:
        return unjudged(tensor, tolerance)
    place, claimed, numerical = tally.worst
    lost = _is_lost(tally, size)
    return TensorReport(
        name=tensor.name,
        gradient_name=tensor.gradient_name,
        shape=tensor.shape,
        verdict="not judged" if lost else _verdict(tally),
        relative_difference=tally.norms.relative(),
        checked=tally.checked,
        wrong=tally.wrong,
        worst=Entry(tensor.user_index(place - tensor.start), claimed, numerical),
        ratio=ratio,
        tolerance=tolerance,
        precision=tensor.precision,
        outcomes=Outcomes(not_judged=tensor.size) if lost else _outcomes(tensor, tally),
        sensitivity=_sensitivity(tensor, tally),
        written=None if tensor.grain is None else tensor.grain.words,
        unseen=tally.room,
    )


def _is_lost(tally: Tally, size: float) -> bool:
    """Tell whether so much is allowed that a gradient of nothing but zeros could pass for one of this size.

    So it is where what is allowed overflows: then anything would pass.
    """
    typical = max(size * sqrt(tally.checked), tally.norms.numerical)
    share = CANCELLED if tally.zeros_pass else LOST
    hidden = typical > 0.0 and not tally.allowed <= share * typical
    return not tally.wrong and (hidden or not tally.allowed <= LARGEST)


def _verdict(tally: Tally) -> Verdict:
    """Sum a tensor up."""
    if tally.wrong:
        return "wrong"
    if tally.at_kink:
        return "at a kink"
    return "right in float32" if tally.coarse else "right"


def _outcomes(tensor: Tensor, tally: Tally) -> Outcomes:
    return Outcomes(
        right=tally.checked - tally.wrong - tally.at_kink - tally.coarse,
        right_in_float32=tally.coarse,
        at_kink=tally.at_kink,
        wrong=tally.wrong,
        not_judged=tensor.size - tally.checked,
    )


def _sensitivity(tensor: Tensor, tally: Tally) -> Sensitivity:
    typical = tally.norms.numerical / sqrt(tally.checked)
    return Sensitivity(
        entry=tally.room / typical if typical else None,
        whole=tally.common if tally.common < inf else None,
        zeros_pass=tally.zeros_pass,
        missed=tuple((k, chance_of_missing(tensor.size, tally.checked, k)) for k in (1, 10, ceil(tensor.size / 100))),
    )


def chance_of_missing(entries: int, drawn: int, wrong: int) -> float:
    """Return the chance that none of some wrong entries is among those drawn without replacement.

    Notes
    -----
    The hypergeometric C(N − k, n)/C(N, n) = Π_i (N − n − i)/(N − i) over i < k; of fewer than k entries all are wrong.
    """
    wrong = min(wrong, entries)
    if drawn + wrong > entries:
        return 0.0
    i = np.arange(wrong)
    return float(np.exp(np.log1p(-drawn / (entries - i)).sum()))


def unjudged(tensor: Tensor, tolerance: float) -> TensorReport:
    """Return the report of a tensor that was not looked at."""
    return TensorReport(
        name=tensor.name,
        gradient_name=tensor.gradient_name,
        shape=tensor.shape,
        verdict="left out" if tensor.frozen else "not judged",
        relative_difference=nan,
        checked=0,
        wrong=0,
        worst=None,
        ratio=None,
        tolerance=tolerance,
        precision=tensor.precision,
        outcomes=Outcomes(not_judged=tensor.size),
    )
