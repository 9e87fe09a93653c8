"""What a check has to do, counted, and the seconds that it takes: for choices, and for estimates that people read.

A choice, and a sentence of a report, follows from what is counted and from the seconds of one core as they stand here, so that
they are the same on any number of threads and on any machine. Only what `info` says counts the threads of this one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from fastgrad.model.activations import BY_CODE
from fastgrad.model.network import Problem

STRAIGHT = ("identity", "relu", "leaky_relu", "relu6", "hard_sigmoid", "hard_tanh")
"""Activations that are straight between their kinks: some of them are off, and what is off is left out."""
USUAL_CORES = 2
"""Cores of the machine that sentences speak of: "some 20 s on 2 cores"."""


class Work(NamedTuple):
    """What a check has to do, or the seconds of one of each.

    Attributes
    ----------
    layers : float
        Layers, each with some hundred calls of its own.
    judged : float
        Parameters that are judged one by one.
    values : float
        Values of all units, each with its slope and how both round.
    inputs : float
        Numbers of X, which a check reads four times.
    tables : float
        Inputs of all layers of which tables of signed sums are made.
    products : float
        Multiply-adds of matrices with all examples: those of a forward pass, as often as they are wanted.
    bent : float
        Multiply-adds of perturbations that go through an activation which is bent, both signs of each. These and those
        below are shared by threads.
    straight : float
        The same where all activations on the way, two of them hidden, are straight: their two signs are one, some are off.
    textbook : float
        Multiply-adds of whole forward passes for each parameter.
    signs : float
        Weights to which signs are applied, by direction.
    """

    layers: float = 0.0
    judged: float = 0.0
    values: float = 0.0
    inputs: float = 0.0
    tables: float = 0.0
    products: float = 0.0
    bent: float = 0.0
    straight: float = 0.0
    textbook: float = 0.0
    signs: float = 0.0

    @property
    def multiply_adds(self) -> float:
        """Those that perturbations take."""
        return self.bent + self.straight + self.textbook

    def seconds_on(self, threads: int) -> float:
        """Return the seconds that it takes on some threads."""
        costs = [amount * seconds for amount, seconds in zip(self, SECONDS, strict=True)]
        return sum(costs[:SERIAL]) + sum(costs[SERIAL:]) / threads


SERIAL = Work._fields.index("bent")
"""How many of these are done by one thread, whatever their number."""
SECONDS = Work(
    layers=1.4e-3,
    judged=6.5e-9,
    values=4.3e-7,
    inputs=3.5e-9,
    tables=6.8e-8,
    products=9.0e-11,
    bent=2.6e-11,
    straight=9.0e-12,
    textbook=2.8e-10,
    signs=2.4e-9,
)
"""Seconds of one of each on one core. `pytest bench/test_estimates.py` fits them to checks of networks of 4 to 98 million
parameters, and prints them as they stand here."""
OVERHEAD, ACTIVATION = 8, 12
"""What a weight, beside its products with all examples, and a unit, for each of them, cost in multiply-adds of the textbook."""


def perturbed(problem: Problem, share: float, count_of: Callable[[int], int]) -> Work:
    """Return the work of ± perturbations that are propagated, `count_of` a layer being how many there are for one sample."""
    done = {True: 0.0, False: 0.0}
    for layer in range(problem.network.depth):
        done[_is_straight(problem, layer)] += 2.0 * share * problem.samples * count_of(layer) * work_above(problem, layer)
    return Work(straight=done[True], bent=done[False])


def _is_straight(problem: Problem, layer: int) -> bool:
    """Whether all activations from a layer on are straight between their kinks, and two layers follow: all outputs are on."""
    codes = problem.network.activation_codes[layer:]
    return len(codes) > 2 and all(BY_CODE[code].name in STRAIGHT for code in codes)


def parameters_of(problem: Problem, layer: int) -> int:
    """Return the number of a layer's parameters, a bias counted in any case."""
    n_in, n_out = problem.network.widths[layer : layer + 2]
    return n_out * (n_in + 1)


def forward_work(problem: Problem) -> int:
    """Return the multiply-adds of a forward pass of one sample."""
    return sum(a * b for a, b in zip(problem.network.widths, problem.network.widths[1:], strict=False))


def textbook_work(problem: Problem) -> int:
    """Return what a forward pass of all examples costs in multiply-adds, its activations counted as such."""
    return (problem.samples + OVERHEAD) * (forward_work(problem) + ACTIVATION * sum(problem.network.widths[1:]))


def work_above(problem: Problem, layer: int) -> int:
    """Return the multiply-adds that one perturbed parameter of a layer costs in the layers above, for one sample and sign."""
    widths = problem.network.widths
    entered = 4 * widths[layer + 2] if layer + 2 < len(widths) else 2
    return entered + sum(a * b for a, b in zip(widths[layer + 2 :], widths[layer + 3 :], strict=False)) + 2 * widths[-1]
