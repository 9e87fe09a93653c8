"""How coarsely the numbers of a claimed gradient were written: in few digits, in few bits, as the difference of parameters.

`judging.written` recognises it; verdict, sensitivity and diagnosis allow for it beside the rounding of the pass itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

SIGNIFICAND = {"float64": 53, "float32": 24}
"""Bits of a number's significand."""


@dataclass(frozen=True)
class Grain:
    """What writing a claim down may have done to each of its entries.

    Attributes
    ----------
    words : str
        What was recognised, as a report says it after "right to": "the 8 decimals that were given".
    absolute : float
        Half of the last decimal, or the noise of a difference of losses.
    digits, bits : int
        Significant decimal digits, or bits, of each entry; 0 where these are not limited.
    rate : float
        Learning rate of the step that the entries were read off, (before − after)/rate; 0 where there is none.
    stored : {"float64", "float32"}
        The precision in which the step was taken.
    is_difference : bool
        Whether the claim is a difference of losses, or of parameters, divided by a number.
    """

    words: str
    absolute: float = 0.0
    digits: int = 0
    bits: int = 0
    rate: float = 0.0
    stored: str = "float64"
    is_difference: bool = False

    @classmethod
    def of_step(cls, rate: float, stored: str) -> Grain:
        """Return the grain of a gradient that was read off a step of a learning rate."""
        words = f"the rounding of parameters before and after a step of rate {rate:g}"
        in_single = " in single precision" if stored == "float32" else ""
        return cls(f"{words}{in_single}", rate=rate, stored=stored, is_difference=True)

    def slack(self, values: Array, theta: Array) -> Array:
        """Return how far each entry may be from what was computed, given the entries and their parameters.

        Notes
        -----
        Rounding to a grid moves by half its spacing. A step rounds what it stores, W₁ = fl(W₀ − fl(ηg)), by half a spacing
        of W₁, and ηg, the difference and the quotient by u each; the first is divided by η.
        """
        size = np.abs(values)
        slack = np.full(values.shape, self.absolute)
        if self.digits:
            slack += 0.5 * decade(size) / 10.0 ** (self.digits - 1)
        if self.bits:
            slack += 0.5 * spacing(size, self.bits)
        if self.rate:
            bits = SIGNIFICAND[self.stored]
            after = np.abs(theta - self.rate * values)
            slack += 0.5 * spacing(after, bits) / self.rate + 3.0 * 2.0**-bits * size
        return slack


SOME = 2**14
"""Numbers that are looked at at a time."""


def precision_of(values: Array) -> str:
    """Return the precision whose numbers some values are; nan is one of any."""
    flat = values.reshape(-1)
    with np.errstate(over="ignore"):
        for low in range(0, flat.size, SOME):  # the first few tell
            some = flat[low : low + SOME]
            if not np.array_equal(some, some.astype(np.float32), equal_nan=True):
                return "float64"
    return "float32"


def decade(size: Array) -> Array:
    """Return the power of ten at or below each number; 0 for 0."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.where(size > 0.0, 10.0 ** np.floor(np.log10(size)), 0.0))


def spacing(size: Array, bits: int) -> Array:
    """Return the spacing of numbers of so many significant bits at each number; 0 at 0."""
    return np.asarray(np.where(size > 0.0, np.ldexp(1.0, np.frexp(size)[1] - bits), 0.0))
