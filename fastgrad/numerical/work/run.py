"""A run over the batches of a plan: what a store has of them is taken, what is new goes into it, and all of it is counted.

Called by the package and by executors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from fastgrad.model.network import Array
from fastgrad.numerical.blocks import Block, Plan
from fastgrad.numerical.tracking import Tracker
from fastgrad.numerical.work.batches import Batch, batches, put, run_rest
from fastgrad.numerical.work.store import DamagedError, Shelf

Begun = Array | None
"""The numbers that a store has of a batch, if any."""


@dataclass(eq=False)
class Run:
    """What is known so far."""

    plan: Plan
    room: Array
    tracker: Tracker
    counted: Callable[[Block], int]
    shelf: Shelf | None
    batches: int = 0
    kept: int = 0
    damaged: list[str] = field(default_factory=list)

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C was pressed."""
        return self.tracker.interrupted

    def missing(self) -> Iterator[tuple[Batch, Begun]]:
        """Yield the batches that are not whole in the store, with what it has of them, and take those that are."""
        for batch in batches(self.plan):
            if self.interrupted:
                return
            self.batches += 1
            begun = self._read(batch)
            if begun is not None and batch.is_whole(begun):
                self.kept += 1
                self.take(batch, begun)
            else:
                yield batch, begun

    def here(self, threads: int) -> None:
        """Make what is missing in this process."""
        for batch, begun in self.missing():
            values = run_rest(self.plan, batch, begun, threads, self.room, self._go_on)
            if begun is None or values.size > begun.size:
                self.store(batch, values)

    def take(self, batch: Batch, values: Array) -> None:
        """Put numbers that have come into their places."""
        for block in put(self.plan, batch, values, self.room):
            self.tracker.advance(self.counted(block))

    def store(self, batch: Batch, values: Array) -> None:
        """Keep numbers for later runs, if they are kept at all."""
        if self.shelf is not None:
            self.shelf.write(batch, values)

    def _read(self, batch: Batch) -> Begun:
        try:
            return None if self.shelf is None else self.shelf.read(batch)
        except DamagedError as error:
            self.damaged.append(str(error))
            return None

    def _go_on(self, block: Block) -> bool:
        self.tracker.advance(self.counted(block))
        return not self.interrupted
