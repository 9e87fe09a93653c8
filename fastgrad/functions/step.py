"""The step of a classical formula, which balances noise and truncation.

Called by `gradient` and `check` where the user gives no step.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from fastgrad.functions.arguments import Array
from fastgrad.functions.evaluation import Function
from fastgrad.functions.exact.slopes import steps_of
from fastgrad.functions.noise import Noise, random_signs, scale_of

Scheme = Literal["forward", "central", "five-point", "complex", "exact"]

WITHOUT_NOISE = ("complex", "exact")
"""Schemes that subtract nothing: neither noise nor truncation is left in what they give, but the rounding of its own terms."""

COMPLEX_STEP = 1e-20
"""Nothing is subtracted, so the step may be so small that truncation, its square, vanishes beside rounding."""

TRIAL = 2.0**-10
"""Step of the trial of second and third derivatives, in units of the scale: near the fifth root of the unit roundoff, where
third differences have the most digits right."""


def choose_steps(function: Function, noise: Noise, scheme: Scheme, seed: int = 0) -> Array:
    """Return the step of each entry for a scheme, from noise and the derivative that its truncation depends on.

    Notes
    -----
    With noise ε and scale s of an entry, and m₂, m₃, m₅ derivatives along random signs times scale, per entry:
    forward, 2ε/h + h·m₂/2 is least at h = 2√(ε/m₂); central, ε/h + h²·m₃/6 at h = (3ε/m₃)^(1/3); five-point,
    3ε/(2h) + h⁴·m₅/30 at h = (45ε/(4m₅))^(1/5), m₅ taken for m₃.
    """
    scale = scale_of(function.x)
    if scheme == "complex":
        return np.full(function.x.size, COMPLEX_STEP)
    if scheme == "exact":
        return steps_of(function.x)
    second, third = _directional_derivatives(function, scale, seed)
    # A function that is straight or quadratic there still gets a step that suits a curved one.
    least = max(1e-3 * abs(function.value), 1e3 * noise.level, np.finfo(np.float64).tiny)
    if scheme == "forward":
        step = 2.0 * np.sqrt(noise.level / max(second, least))
    elif scheme == "central":
        step = np.cbrt(3.0 * noise.level / max(third, least))
    else:
        step = (11.25 * noise.level / max(third, least)) ** 0.2
    return scale * np.clip(step, 2.0**-40, 2.0**-3)  # type: ignore[no-any-return]


def _directional_derivatives(function: Function, scale: Array, seed: int) -> tuple[float, float]:
    """Return |second| and |third| derivative of one entry, in units of the scale, from a line along random signs.

    Notes
    -----
    Along random signs the terms of the entries add up like a random walk: √size times that of one entry.
    """
    direction = random_signs(seed + 1, 1, scale.size)[0] * scale
    size = np.sqrt(scale.size)
    trial = TRIAL
    for _ in range(3):
        lower2, lower, upper, upper2 = function.along(direction, trial * np.array([-2.0, -1.0, 1.0, 2.0]), forgiving=True)
        with np.errstate(all="ignore"):
            second = (upper - 2.0 * function.value + lower) / trial**2
            third = (upper2 - 2.0 * upper + 2.0 * lower - lower2) / (2.0 * trial**3)
        if np.isfinite(second) and np.isfinite(third):
            return float(abs(second) / size), float(abs(third) / size)
        trial /= 128.0
    return 0.0, 0.0
