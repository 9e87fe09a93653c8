"""Blocks of work carried out: by threads here, by the workers of an executor, and not at all where a store has them already.

Called by numerical. Each way fills the same room with the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastgrad.model.network import Array
from fastgrad.numerical.blocks import Block, Plan
from fastgrad.numerical.tracking import Tracker, thread_count

if TYPE_CHECKING:
    from concurrent.futures import Executor

Counted = Callable[[Block], int]
"""How many parameters are finished with a block."""


class Origin(NamedTuple):
    """Where numbers come from that this process did not make alone.

    Attributes
    ----------
    executor : str
        The kind of executor whose workers made them; empty where none did.
    threads : int
        The threads that each of its tasks had.
    kept, parts : int
        How many parts of them a store had already, and of how many.
    damaged : tuple of str
        Files of the store that held something else than their names say.
    """

    executor: str = ""
    threads: int = 0
    kept: int = 0
    parts: int = 0
    damaged: tuple[str, ...] = ()

    def joined(self, other: Origin) -> Origin:
        """Return that of these numbers and of others by the same workers."""
        kept, parts = self.kept + other.kept, self.parts + other.parts
        return other._replace(kept=kept, parts=parts, damaged=self.damaged + other.damaged)


UNAIDED = Origin()
"""Of what this process made alone."""


@dataclass(frozen=True, eq=False)
class Workers:
    """Who works on blocks, and where what they finish is kept.

    Attributes
    ----------
    threads : int or None
        Threads of this process, all where None; with an executor those of each task, 1 where None.
    executor : Executor or None
        Whose workers take the blocks; None for this process.
    store : Path or None
        A folder with a file for each finished batch of blocks.
    """

    threads: int | None = None
    executor: Executor | None = None
    store: Path | None = None

    def carry_out(self, plan: Plan, tracker: Tracker, counted: Counted) -> tuple[Array, Origin]:
        """Run the blocks of a plan, until the end or Ctrl-C; return what they give, nan where one was not run."""
        room = np.full(plan.size, np.nan)
        if self.executor is None and self.store is None:
            threads = thread_count(self.threads)
            for block in plan.blocks():
                if tracker.interrupted:
                    break
                plan.run(block, threads, room)
                tracker.advance(counted(block))
            return room, UNAIDED
        return room, self._by_batches(plan, room, tracker, counted)

    def _by_batches(self, plan: Plan, room: Array, tracker: Tracker, counted: Counted) -> Origin:
        """Fill a room with the help of a store or of other processes."""
        # Most checks need neither of the two.
        from fastgrad.numerical.work.parcel import Parcel
        from fastgrad.numerical.work.run import Run
        from fastgrad.numerical.work.store import Shelf

        parcel = Parcel(plan)
        run = Run(plan, room, tracker, counted, None if self.store is None else Shelf.of(self.store, parcel.key))
        if self.executor is None:
            run.here(thread_count(self.threads))
            return Origin("", 0, run.kept, run.batches, tuple(run.damaged))
        from fastgrad.numerical.work.executors import spread

        threads = self.threads or 1
        spread(parcel, run, self.executor, threads)
        return Origin(type(self.executor).__name__, threads, run.kept, run.batches, tuple(run.damaged))
