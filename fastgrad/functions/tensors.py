"""The parts of an argument, each judged as a whole: a line for each tensor, and what the check would have caught in it.

Called by `check` and `directions`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fastgrad.functions.arguments import Array, Layout
from fastgrad.functions.claim import Claim, relative_difference
from fastgrad.functions.evaluation import Function
from fastgrad.functions.report import EntryReport, FunctionTensor


def lines(
    layout: Layout,
    claim: Claim,
    numerical: Array,
    bound: Array,
    plain: NDArray[np.bool_],
    judged: dict[int, EntryReport],
) -> tuple[float | None, tuple[FunctionTensor, ...]]:
    """Return what would have been caught in all, and a line for each tensor of a dict or list of several.

    Of entries that are not plain, on a kink or inconclusive, the bound does not say what would have been caught.
    """
    if len(layout.names) == 1:
        return _sensitivity(numerical[plain], bound[plain]), ()
    tensors = []
    for place, (start, stop) in enumerate(pairwise(layout.starts)):
        part = slice(start, stop)
        inside = [report for entry, report in judged.items() if start <= entry < stop]
        wrong, inconclusive = (sum(report.verdict == verdict for report in inside) for verdict in ("wrong", "inconclusive"))
        tensors.append(
            FunctionTensor(
                name=layout.part_name(place),
                verdict="wrong" if wrong else "inconclusive" if inconclusive else "right",
                total=stop - start,
                wrong=wrong,
                inconclusive=inconclusive,
                kinks=sum("kink" in report.reason for report in inside),
                relative_difference=relative_difference(claim.values[part], numerical[part]),
                sensitivity=_sensitivity(numerical[part][plain[part]], bound[part][plain[part]]),
            )
        )
    return _sensitivity(numerical[plain], bound[plain]), tuple(tensors)


def domain_remark(function: Function) -> Iterator[str]:
    """Say where f left its domain, if it did."""
    if function.failure is not None:
        where = str(function.failure).partition("; a derivative")[0].replace("; at", ", at")
        yield f"f leaves its domain near x, where smaller steps were taken: {where}."


def _sensitivity(numerical: Array, bound: NDArray[np.float64]) -> float | None:
    """Return twice the largest bound, relative to the root mean square of the entries; None where all of them are 0.

    Twice, for the numerical value may itself be off by as much as the bound, towards the claim.
    """
    largest = float(np.abs(numerical).max(initial=0.0))
    if largest == 0.0:
        return None
    # Squares of what is divided by the largest do not overflow.
    return float(2.0 * bound.max() / largest / np.sqrt(np.mean((numerical / largest) ** 2)))
