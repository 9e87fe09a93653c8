"""Blocks gathered into batches: what one task of an executor works on, and one file of a store holds.

Called by the other files here. Like the blocks, batches follow from the task alone, never from who works on them: a run that is
taken up again, on other workers, finds the files that it would write itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate, islice
from typing import NamedTuple

import numpy as np

from fastgrad.model.network import Array
from fastgrad.numerical.blocks import Block, Plan

BATCHES = 256
"""Batches that a task is cut into if it is neither small nor very large: enough to keep many workers busy to the end."""
MOST_BLOCKS = 300
"""Blocks of a batch, each of some 0.2 s on one core: what is lost with a worker that dies is a minute."""
MOST_NUMBERS = 2**22
"""Numbers that come of a batch, 32 MiB, unless a single block gives more: they travel to the process that asks."""


class Batch(NamedTuple):
    """Some blocks, one after the other, and how many numbers each of them gives."""

    number: int
    blocks: tuple[Block, ...]
    sizes: tuple[int, ...]

    def is_whole(self, values: Array) -> bool:
        """Whether these are the numbers of all its blocks."""
        return values.size == sum(self.sizes)

    def finished(self, numbers: int) -> int | None:
        """Return of how many blocks, from the first on, so many numbers come; None where they end in the midst of one."""
        ends = [0, *accumulate(self.sizes)]
        return ends.index(numbers) if numbers in ends else None


def batches(plan: Plan) -> Iterator[Batch]:
    """Gather the blocks of a plan."""
    number = 0
    most = min(max(sum(1 for _ in plan.blocks()) // BATCHES, 1), MOST_BLOCKS)
    blocks = plan.blocks()
    while some := tuple(islice(blocks, most)):
        for batch in _of_few_numbers(some, tuple(_size(plan, block) for block in some), number):
            number += 1
            yield batch


def _of_few_numbers(blocks: tuple[Block, ...], sizes: tuple[int, ...], number: int) -> Iterator[Batch]:
    """Cut blocks where more numbers would come of them than a batch may have."""
    begin = total = 0
    for end, size in enumerate(sizes):
        if total + size > MOST_NUMBERS and end > begin:
            yield Batch(number, blocks[begin:end], sizes[begin:end])
            number, begin, total = number + 1, end, 0
        total += size
    yield Batch(number, blocks[begin:], sizes[begin:])


def _size(plan: Plan, block: Block) -> int:
    place = plan.place(block)
    return place.stop - place.start if isinstance(place, slice) else int(place.size)


def put(plan: Plan, batch: Batch, values: Array, room: Array) -> tuple[Block, ...]:
    """Put the numbers of a batch, or of its first blocks, into their places in the room; return these blocks."""
    count, begin = batch.finished(values.size), 0
    assert count is not None
    for block, size in zip(batch.blocks[:count], batch.sizes, strict=False):
        room[plan.place(block)] = values[begin : begin + size]
        begin += size
    return batch.blocks[:count]


def run_rest(plan: Plan, batch: Batch, begun: Array | None, threads: int, room: Array, go_on: Callable[[Block], bool]) -> Array:
    """Run the blocks of a batch of which there are no numbers yet, while one is told to go on; return all that there are."""
    parts = [np.empty(0) if begun is None else begun]
    wanted = True
    for block in put(plan, batch, parts[0], room):
        wanted = go_on(block)
    for block in batch.blocks[len(put(plan, batch, parts[0], room)) :]:
        if not wanted:
            break
        plan.run(block, threads, room)
        parts.append(room[plan.place(block)])
        wanted = go_on(block)
    return np.concatenate(parts)
