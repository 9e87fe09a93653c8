"""Entries of the Jacobian for numbers of which a check has found that their gradient is off: in which output, and by how much.

Called by `gradcheck`. What somebody allows, ``atol + rtol·|numerical|``, is said of these entries, and not of a gradient.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgrad.errors import InputError
from fastgrad.functions.arguments import real_number
from fastgrad.functions.claim import ROUNDINGS
from fastgrad.functions.noise import SINGLE_ROUNDOFF, UNIT_ROUNDOFF
from fastgrad.functions.program import runs_in_double
from fastgrad.torch.layer import Layer

MOST_ROWS = 4096
"""Entries of outputs for each of which backward is called once."""

SHOWN = 3
"""Entries that are told."""

STEP = {UNIT_ROUNDOFF: 2.0**-12, SINGLE_ROUNDOFF: 2.0**-5}
"""Steps in units of max(|x|, 1) of a difference of the fourth order: the fifth root of the unit roundoff, and less."""


class Allowance(NamedTuple):
    """How far off entries of the Jacobian may be; true where somebody said so."""

    atol: float
    rtol: float
    is_given: bool

    def __bool__(self) -> bool:
        return self.is_given

    @classmethod
    def of(cls, atol: Any, rtol: Any) -> Allowance:
        """Return what was given, nothing for None."""
        values = [0.0 if value is None else real_number(value, name) for name, value in (("atol", atol), ("rtol", rtol))]
        if min(values) < 0.0:
            raise InputError(f"atol is {atol} and rtol {rtol}; expected 0 or more")
        return cls(values[0], values[1], atol is not None or rtol is not None)


class Entry(NamedTuple):
    """One entry of the Jacobian, and how far off it may be."""

    text: str
    off: float
    allowed: float


def beyond(
    layer: Layer, rows: list[NDArray[Any]], numbers: Sequence[int], step: float | None, allowance: Allowance
) -> list[str]:
    """Return sentences on the entries that are off by more than is allowed, the worst first; none where all are within.

    Parameters
    ----------
    layer : Layer
        What is checked.
    rows : list of ndarray
        The Jacobian that autograd makes, for each output one of shape (entries of the output, numbers).
    numbers : sequence of int
        Places, in all numbers of x, of those in question.
    step : float, optional
        Step of the difference, by default one that leaves the most digits.
    allowance : Allowance
        How far off they may be.
    """
    wide = runs_in_double(layer)
    found = [entry for number in numbers for entry in _entries(layer, rows, number, (step, wide), allowance)]
    worst = sorted((entry for entry in found if not entry.off <= entry.allowed), key=lambda entry: -entry.off)
    more = len(worst) - SHOWN
    rest = "1 more entry of the Jacobian is off." if more == 1 else f"{more:,} more entries of the Jacobian are off."
    return [entry.text for entry in worst[:SHOWN]] + ([rest] if more > 0 else [])


def _entries(
    layer: Layer, rows: list[NDArray[Any]], number: int, how: tuple[float | None, bool], allowance: Allowance
) -> Iterator[Entry]:
    """Yield the entries of the Jacobian for one number, by a step and in double precision or not."""
    step, wide = how
    unit = UNIT_ROUNDOFF if wide else SINGLE_ROUNDOFF
    h = step if step is not None else STEP[unit] * max(1.0, abs(layer.number_at(number)))
    numerical, values = _column(layer, number, h, wide, fourth_order=step is None)
    for place, (slopes, claims, value) in enumerate(zip(numerical, rows, values, strict=True)):
        for index in np.ndindex(slopes.shape):
            claimed, slope = claims[(*index, number)], slopes[index]
            allowed = allowance.atol + allowance.rtol * abs(slope)
            allowed += 8.0 * unit * abs(value[index]) / h + ROUNDINGS * layer.unit_roundoff * abs(slope)
            output = f"{layer.output_names[place]}{list(index) if index else ''}"
            text = f"{output} by {layer.layout.label(number)}: {claimed:.7g} by autograd, {slope:.7g} by differences."
            yield Entry(text, float(abs(claimed - slope)), float(allowed))


def _column(
    layer: Layer, number: int, h: float, wide: bool, fourth_order: bool
) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """Return the derivative of all outputs by one number, by central differences, and the outputs."""

    def difference(step: float) -> list[NDArray[Any]]:
        upper, lower = (layer.outputs(layer.moved(number, offset), wide) for offset in (step, -step))
        return [(above - below) / (2.0 * step) for above, below in zip(upper, lower, strict=True)]

    near = difference(h)
    if fourth_order:
        near = [(4.0 * ours - theirs) / 3.0 for ours, theirs in zip(near, difference(2.0 * h), strict=True)]
    return near, layer.outputs(layer.point, wide)
