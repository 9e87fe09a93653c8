"""Batches handed out to the workers of an executor, and what comes back put in place, in whatever order it comes.

Called by the package. A task carries the folder of its parcel and the numbers of its blocks, never the network. While the
process that asks wants to have the batches there is a file, its flag: where that has gone, a worker ends after the block that
it is at.
"""

from __future__ import annotations

import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, NoReturn

import numpy as np

from fastgrad.errors import InputError, told
from fastgrad.kernels.kernel import load_together
from fastgrad.model.network import Array
from fastgrad.numerical.blocks import Plan
from fastgrad.numerical.work.batches import Batch, run_rest
from fastgrad.numerical.work.parcel import Arrays, Parcel, UnseenError, method_of, opened, plan_of
from fastgrad.numerical.work.run import Begun, Run
from fastgrad.numerical.work.store import DamagedError, Shelf

OUTSTANDING = 512
"""Batches that are handed out at a time: more than there are workers, so that a cluster which grows with its work grows."""
LISTENING = 0.1
"""Seconds after which Ctrl-C is heard while no batch comes back."""
GRACE = 3.0
"""Seconds that workers have, after Ctrl-C, to bring what they have finished."""
TRIES = 5
"""How often a batch is handed out that the executor calls cancelled, or that comes back unfinished."""

GONE = "the scheduler of the cluster is gone; start it again, and with a store the same check goes on from where it was"


class Order(NamedTuple):
    """What a task has to know: where things lie, what is to be done, and by which process it was asked for.

    `tries` makes each attempt another call: a cluster that still has the result of the same call would not make it again.
    """

    parcel: str
    flag: str
    shelf: Shelf | None
    batch: Batch
    threads: int
    asked_by: int
    tries: int


class Delivery(NamedTuple):
    """What comes back: the numbers, and whether the worker has put them into the store."""

    values: Array
    stored: bool


# In a worker.


def deliver(order: Order) -> Delivery | InputError:
    """Work on a batch of the parcel in a folder; what keeps a worker from it is returned, since clusters log what is raised."""
    try:
        return _deliver(order, opened(order.parcel), lambda: os.path.exists(order.flag))
    except InputError as error:
        return error


def deliver_sent(sent: tuple[dict[str, Any], Arrays], order: Order) -> Delivery | InputError:
    """Work on a batch of a parcel that was sent to this worker."""
    try:
        return _deliver(order, _plan_sent(order.parcel, sent), lambda: True)
    except InputError as error:
        return error


_sent: tuple[str, Plan] | None = None
_unpacking = threading.Lock()


def _plan_sent(name: str, sent: tuple[dict[str, Any], Arrays]) -> Plan:
    global _sent
    with _unpacking:
        if _sent is None or _sent[0] != name:
            _sent = name, plan_of(*sent)
        return _sent[1]


def _deliver(order: Order, plan: Plan, wanted: Callable[[], bool]) -> Delivery:
    batch, shelf, begun = order.batch, order.shelf, None
    if shelf is not None:
        with suppress(DamagedError):
            begun = shelf.read(batch)
    if not wanted():
        return Delivery(np.empty(0) if begun is None else begun, True)
    with _deaf(order.asked_by), np.errstate(all="ignore"):
        # Of this room only the places of the batch are touched, and memory that is never touched is never taken.
        values = run_rest(plan, batch, begun, order.threads, np.empty(plan.size), lambda _: wanted())
        if shelf is None or values.size == (0 if begun is None else begun.size):
            return Delivery(values, shelf is not None)
        with suppress(InputError):  # the process that asked will see to it
            shelf.write(batch, values)
            return Delivery(values, True)
    return Delivery(values, False)


@contextmanager
def _deaf(asked_by: int) -> Iterator[None]:
    """Leave Ctrl-C to the process that asked: a terminal sends it to all of them."""
    if os.getpid() == asked_by or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


# In the process that asks.


def spread(parcel: Parcel, run: Run, executor: Executor, threads: int) -> None:
    """Have the batches of a run that are not there yet made by an executor.

    Raises
    ------
    InputError
        If its workers cannot do it; what they have finished is then in the store, if there is one.
    """
    load_together(*method_of(parcel.plan).kernels)  # compiled here, once, for all workers of this machine
    with _written(parcel, run.shelf) as (folder, flag):
        counter = _Counter(parcel, executor, folder, flag, run.shelf, threads)
        try:
            _serve(counter, run)
            if run.interrupted:
                flag.unlink(missing_ok=True)
                _collect(counter, run)
        finally:
            counter.close()


@contextmanager
def _written(parcel: Parcel, shelf: Shelf | None) -> Iterator[tuple[Path, Path]]:
    """Write a parcel where workers look for it, and raise the flag; without a store it lies there until the work is done."""
    temporary = (
        TemporaryDirectory(prefix="fastgrad-", ignore_cleanup_errors=True) if shelf is None else nullcontext(shelf.parcel)
    )
    with temporary as place:
        folder = Path(place)
        flag = folder / f"wanted-{secrets.token_hex(8)}"
        try:
            parcel.write(folder)
            flag.touch()
        except OSError as error:
            raise InputError(f"{folder}: the network cannot be written for the workers: {error.strerror or error}") from None
        try:
            yield folder, flag
        finally:
            flag.unlink(missing_ok=True)


class _Counter:
    """Where batches are handed out and come back."""

    def __init__(self, parcel: Parcel, executor: Executor, folder: Path, flag: Path, shelf: Shelf | None, threads: int) -> None:
        self.parcel, self.executor, self.shelf = parcel, executor, shelf
        self._order = Order(str(folder), str(flag), shelf, Batch(0, (), ()), threads, os.getpid(), 0)
        self._waiting: dict[Future[Delivery | InputError], tuple[Batch, Begun, int]] = {}
        self._back: SimpleQueue[Future[Delivery | InputError]] = SimpleQueue()
        client = getattr(executor, "_client", None)
        self._client: Any = client if type(client).__module__.startswith("distributed") else None
        self._sent: Any = None
        self._silent = 0
        self.wanted = True

    def __len__(self) -> int:
        return len(self._waiting)

    def hand_out(self, batch: Batch, begun: Begun, tries: int = 1) -> None:
        """Have a batch worked on."""
        if tries > TRIES:
            raise InputError(f"the executor gave the same work back {TRIES} times without doing it")
        order = self._order._replace(batch=batch, tries=tries)
        try:
            if self._sent is None:
                future = self.executor.submit(deliver, order)
            else:
                future = self.executor.submit(deliver_sent, self._sent, order)
        except Exception as error:
            _give_up(error)
        self._waiting[future] = batch, begun, tries
        future.add_done_callback(self._back.put)

    def next_back(self, seconds: float) -> tuple[Batch, Delivery] | None:
        """Return what has come back within some seconds, or what there is of it; the rest is handed out again while wanted."""
        try:
            future = self._back.get(timeout=seconds)
        except Empty:
            self._look_after_the_cluster()
            return None
        self._silent = 0
        if future not in self._waiting:  # given up for lost, and handed out again meanwhile
            return None
        batch, begun, tries = self._waiting.pop(future)
        found = self._delivery(future)
        if isinstance(found, UnseenError):
            self._send_the_work(found)
        elif isinstance(found, InputError):
            raise found
        elif found is not None and (batch.is_whole(found.values) or not self.wanted):
            return batch, found
        if self.wanted:
            self.hand_out(batch, begun, tries + (not isinstance(found, UnseenError)))
        return None

    def _delivery(self, future: Future[Delivery | InputError]) -> Delivery | InputError | None:
        """Return what a task gave, None where it was taken back."""
        try:
            return future.result()
        except (CancelledError, KeyboardInterrupt):  # a scheduler that went, a worker that heard Ctrl-C
            self._sent = None  # what was sent to workers went as well
        except Exception as error:
            _give_up(error)
        return None

    def _send_the_work(self, error: UnseenError) -> None:
        """Send the parcel itself to the workers, as Dask's can be sent things apart from tasks."""
        if self._client is None:
            raise error
        if self._sent is None:
            try:
                (self._sent,) = self._client.scatter([(self.parcel.said, self.parcel.arrays)], broadcast=True, hash=False)
            except Exception as failed:
                _give_up(failed)

    def _look_after_the_cluster(self) -> None:
        """Hand out again what Dask has lost without a word, and raise InputError where it has given its scheduler up.

        A result that was on its way when a scheduler went never comes, and the client knows nothing of it any more. That is so
        where it knows of none of these tasks while nothing came back between two looks.
        """
        if self._client is None:
            return
        if self._client.status in {"closing", "closed"}:
            raise InputError(GONE)
        known = any(str(key).startswith(deliver.__name__) for key in list(self._client.futures))
        self._silent = 0 if known or self._client.status != "running" else self._silent + 1
        if self._silent > 1 and self.wanted:
            lost, self._waiting, self._silent, self._sent = self._waiting, {}, 0, None
            for batch, begun, tries in lost.values():
                self.hand_out(batch, begun, tries + 1)

    def close(self) -> None:
        """Take back what is not worked on yet."""
        for future in self._waiting:
            future.cancel()


def _serve(counter: _Counter, run: Run) -> None:
    """Hand out batches and take them back until all are there, or Ctrl-C."""
    todo, more = run.missing(), True
    while not run.interrupted and (more or len(counter)):
        while more and len(counter) < OUTSTANDING:
            found = next(todo, None)
            more = found is not None
            if found is not None:
                counter.hand_out(*found)
        _take_back(counter, run)


def _collect(counter: _Counter, run: Run) -> None:
    """Take back what workers have finished, for a short time."""
    counter.wanted = False
    end = time.monotonic() + GRACE
    with suppress(InputError):
        while len(counter) and time.monotonic() < end:
            _take_back(counter, run)


def _take_back(counter: _Counter, run: Run) -> None:
    found = counter.next_back(LISTENING) if len(counter) else None
    if found is None:
        return
    batch, delivery = found
    if not delivery.stored:
        run.store(batch, delivery.values)
    run.take(batch, delivery.values)


def _give_up(error: Exception) -> NoReturn:
    """Raise what an executor or a worker raised, in words."""
    if isinstance(error, InputError):
        raise error
    if isinstance(error, BrokenExecutor) or "bootstrapping" in str(error):  # Python's own word for a script without that line
        raise InputError(
            "the executor's processes ended before their work was done: one was killed, perhaps for want of memory, or they "
            'could not start, since a script that starts processes must do so below the line if __name__ == "__main__":'
        ) from None
    if type(error).__name__ == "KilledWorker":
        raise InputError(
            "several workers of the cluster died over the same work, perhaps for want of memory: give a worker more of it"
        ) from None
    if type(error).__name__ in {"ClosedClientError", "CommClosedError"}:
        raise InputError(GONE) from None
    if isinstance(error, MemoryError):
        raise InputError("a worker has not enough memory for its work: give it more, or check fewer examples") from None
    raise InputError(f"the workers of the executor failed: {told(error)}") from None
