"""How long it takes to name a mistake, for whoever has to decide whether to wait for it."""

from fastgrad.model.network import Problem
from fastgrad.numerical.counted import USUAL_CORES
from fastgrad.numerical.methods import FAST

PER_PARAMETER = 4e-6
"""Seconds of the diagnosis: four for a million parameters whose error nothing explains, 0.9 where something simple does."""

AFFORDABLE = 10.0
"""Seconds, as counted for `USUAL_CORES`, that every entry and its diagnosis may take after directions found some wrong."""
MOST_NAMED = 2**22
"""Parameters among which a mistake is looked for: some ten seconds' work; of more there is too much to try."""


def seconds_to_name(problem: Problem) -> float:
    """Estimate the seconds, on `USUAL_CORES`, of a numerical gradient by pre-activations and of the diagnosis after it."""
    return FAST.count(problem, 1.0).seconds_on(USUAL_CORES) + PER_PARAMETER * problem.network.size
