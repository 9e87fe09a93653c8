"""What all methods have in common: a task, cut into blocks of work that may be done by any thread in any order.

A method is a value: what it perturbs, what it is for, what it has to do, and how a task is planned. The blocks of a
plan follow from the task alone, not from threads or clocks, and the bits of a block depend neither on who works on it nor on
the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, cast

import numpy as np

from fastgrad.kernels.kernel import Kernel
from fastgrad.model.deferred import LEAST_DEFERRED, Few
from fastgrad.model.forward import BasePoint
from fastgrad.model.network import Array, Offsets, Problem
from fastgrad.numerical.counted import Work

Steps = list[tuple[Array, Array]]
"""For each layer its steps and the bounds of the moves above, shape (L + 1,). A parameter's step goes by its input, a
bias's comes last, shape (n_in + 1,); pre-activations of a layer share one, shape (1,)."""

Scheme = Literal["central", "forward", "five-point"]
SCHEMES: tuple[Scheme, ...] = ("forward", "central", "five-point")

BLOCK_SECONDS = 0.2
"""Aim of the time of a block on one core: progress is shown and Ctrl-C heard between blocks."""


@dataclass(frozen=True, eq=False)
class Task:
    """A numerical gradient that is asked for.

    Attributes
    ----------
    problem : Problem
        Network, parameters and data.
    base : BasePoint
        The forward pass at theta.
    selected : ndarray of int64, or None
        Indices of the parameters wanted, ascending; None for all.
    step : float or None
        The step of all that is perturbed; None where each has its own.
    scheme : {"central", "forward", "five-point"}
        The difference wanted.
    steps : list or None
        The steps of all layers where they were chosen already, in another process; None where the plan chooses them.
    """

    problem: Problem
    base: BasePoint
    selected: Offsets | None = None
    step: float | None = None
    scheme: Scheme = "central"
    steps: Steps | None = None

    def place_of(self, layer: int) -> slice:
        """Return where a layer's parameters lie in theta."""
        network = self.problem.network
        return slice(network.weight_slice(layer).start, network.bias_slice(layer).stop)

    def places_in_room(self, layer: int) -> slice:
        """Return where its wanted parameters lie among all that are wanted."""
        place = self.place_of(layer)
        return place if self.selected is None else slice(*map(int, np.searchsorted(self.selected, (place.start, place.stop))))

    def places(self, layer: int) -> Offsets:
        """Return the wanted parameters of a layer, counted from its first weight."""
        place = self.place_of(layer)
        if self.selected is None:
            return np.arange(place.stop - place.start)
        return np.asarray(self.selected[self.places_in_room(layer)] - place.start)

    def count(self, layer: int) -> int:
        """Return how many parameters of a layer are wanted."""
        place = self.places_in_room(layer)
        return int(place.stop - place.start)

    @property
    def wanted(self) -> int:
        """How many parameters are wanted."""
        return self.problem.network.size if self.selected is None else int(self.selected.size)

    def in_order(self, room: Array) -> Array:
        """Return those numbers in theta's order, nan where none is wanted."""
        if self.selected is None:
            return room
        few, network = Few(self.selected, room, self.problem.network.size), self.problem.network
        # A penalty is added to an array.
        return few.whole if few.size < LEAST_DEFERRED or network.penalties else cast(Array, few)


class Block(NamedTuple):
    """A piece of work.

    Attributes
    ----------
    layer : int
        The layer whose parameters or pre-activations are perturbed, from 0; of the textbook's way, which knows none, 0.
    start, stop : int
        Which of them, in an order of the method's own.
    parameters : int
        How many parameters are finished with it.
    """

    layer: int
    start: int
    stop: int
    parameters: int


class Plan(Protocol):
    """A task as blocks of work.

    Attributes
    ----------
    task : Task
        The task.
    steps : tuple of float
        The smallest and the largest step.
    chosen : list
        The steps of all layers, for a task in another process; empty of a method that has one step for everything.
    size : int
        How many numbers come of all blocks together.
    """

    @property
    def task(self) -> Task: ...  # noqa: D102  (see the class)

    @property
    def steps(self) -> tuple[float, float]: ...  # noqa: D102

    @property
    def chosen(self) -> Steps: ...  # noqa: D102

    @property
    def size(self) -> int: ...  # noqa: D102

    def blocks(self) -> Iterator[Block]:
        """Yield the blocks, in the order in which one worker should take them."""

    def place(self, block: Block) -> slice | Offsets:
        """Return where in a room of `size` numbers a block's results go."""

    def run(self, block: Block, threads: int, room: Array) -> None:
        """Work on a block, and put what comes of it into its place in the room."""

    def gradient(self, room: Array) -> Array:
        """Return the differences, penalty left out, shape (P,); nan where not selected, or not finished."""


@dataclass(frozen=True, eq=False)
class Method:
    """A way to make a numerical gradient.

    Attributes
    ----------
    name : str
        As people ask for it.
    perturbs, serves : str
        What it perturbs, and what it is for, as the documentation's table says it.
    count : callable
        What it has to do for a share of the parameters of a problem.
    plan : callable or None
        Cut a task into blocks; None of what judges sums over tensors and so has no value for a single entry.
    kernels : tuple of Kernel
        What it runs, the one that takes longest to compile first.
    step : float or None
        The step where none is said; None where each perturbation then has its own.
    sees_kinks : bool
        Whether it tells what is right where a unit sits on a kink.
    makes_range : bool
        Whether its differences are those of which the range on a kink is made, so that they need not be made twice.
    schemes : tuple of str
        The differences that it forms.
    """

    name: str
    perturbs: str
    serves: str
    count: Callable[[Problem, float], Work]
    plan: Callable[[Task], Plan] | None
    kernels: tuple[Kernel, ...] = ()
    step: float | None = None
    sees_kinks: bool = True
    makes_range: bool = False
    schemes: tuple[Scheme, ...] = ("central",)


def cut(count: int, seconds: float) -> Iterator[tuple[int, int]]:
    """Cut equal pieces of work, of some seconds each on one core as counted, into runs of at most `BLOCK_SECONDS`."""
    length = max(1, int(BLOCK_SECONDS / seconds)) if seconds > 0.0 else count
    for start in range(0, count, length):
        yield start, min(start + length, count)
