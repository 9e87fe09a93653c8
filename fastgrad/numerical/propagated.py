"""What the two methods that propagate differences share: which kernels a layer needs, what they cost, how many threads pay."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgrad.kernels import codes, launch
from fastgrad.kernels.kernel import addresses
from fastgrad.model.forward import BasePoint
from fastgrad.model.network import Array

RATE = 2e10
"""Multiply-adds a second and core, for estimates of time only."""
PARALLEL_SECONDS = 3e-4
"""Estimated work below which a second thread costs more than it saves, waking it taking 10 µs to some ms on a busy machine."""
EXACT_COST = 40.0
"""How many times the work of one Taylor term and one sign an exact difference may be, in guesses of a block's time."""


def exact_kernels(base: BasePoint, layer: int, bounds: Array) -> Any:
    """Return the addresses of the kernels of exact differences that moves within some bounds need, from a layer on.

    They take longer to compile than all the rest, and few networks need them: those on a kink, or with a large fixed step.
    """
    tables, last = base.tables, base.tables.layers.shape[1] - 2
    bent = any((base.plane(codes.KINK, above) <= bounds[above]).any() for above in range(layer, last + 1))
    large = bool((tables.outputs[codes.LOSS_KINK] <= bounds[-1]).any())
    return addresses(
        launch.exact_activation if bent else None,
        launch.exact_loss if layer < last and (large or tables.loss_code >= codes.COUPLED) else None,
        launch.exact_single if layer == last and large else None,
    )


def cost(bounds: Array) -> float:
    """Guess how many times more work the exact differences make, where two Taylor terms are not enough."""
    return EXACT_COST if np.inf in bounds else 1.0


def threads_for(work: float, threads: int) -> int:
    """Return the threads to use for an amount of work: one where it is too small to share."""
    return 1 if work < PARALLEL_SECONDS * RATE else threads
