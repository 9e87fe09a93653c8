"""How long it takes to name a mistake, for whoever has to decide whether to wait for it."""

from fastgrad.model.network import Problem
from fastgrad.numerical.counted import USUAL_CORES
from fastgrad.numerical.methods import FAST

PER_PARAMETER = 4e-6
"""Seconds of the diagnosis: four for a million parameters whose error nothing explains, 0.9 where something simple does."""


def seconds_to_name(problem: Problem) -> float:
    """Estimate the seconds, on `USUAL_CORES`, of a numerical gradient by pre-activations and of the diagnosis after it."""
    return FAST.count(problem, 1.0).seconds_on(USUAL_CORES) + PER_PARAMETER * problem.network.size
