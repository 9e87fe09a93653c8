"""The executor that --dask asks for: a cluster of this machine's own, or one that runs already.

Nothing of Dask's is imported unless somebody asks for it. What Dask says beside results, of workers that come and go, is for
who runs the cluster: it is not shown here.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from fastgrad_cli import terminal

if TYPE_CHECKING:
    from concurrent.futures import Executor

LOCAL = "local"
CONNECTING, RETURNING = 10.0, 300.0
"""Seconds after which a scheduler that does not answer is none, and in which one that went may come back."""


@contextlib.contextmanager
def executor_at(address: str | None) -> Iterator[Executor | None]:
    """Give the executor of a cluster, None where none is asked for; a cluster of our own ends with it.

    Raises
    ------
    click.UsageError
        If there is no such cluster, or no Dask.
    """
    if address is None:
        yield None
        return
    workers = _wanted_workers(address)
    _silence()
    with _connected(address) if workers is None else _own(workers) as client:
        if not client.scheduler_info()["workers"]:
            terminal.note(f"The scheduler {address} has no workers yet; the check goes on when there are some.")
        yield client.get_executor()


def require_dask(address: str | None, method: str) -> None:
    """Raise UsageError where a cluster is asked for in words that mean none, for a method without blocks, or without Dask."""
    if address is None:
        return
    from fastgrad.numerical.methods import BY_ENTRY

    if method not in ("auto", *BY_ENTRY):
        raise click.UsageError(
            f"--dask goes with {', '.join(BY_ENTRY)}: method {method} has no blocks that others could work on."
        )
    _wanted_workers(address)
    _distributed()


def _wanted_workers(address: str) -> int | None:
    """Return how many workers a cluster of our own is to have; None of one that runs already."""
    name, _, count = address.partition(":")
    if name != LOCAL:
        return None
    from fastgrad.machine import most_threads

    if not count:
        return most_threads() if address == LOCAL else _no_count(address)
    return int(count) if count.isdecimal() and 0 < int(count) <= 1024 else _no_count(address)


def _no_count(address: str) -> int:
    raise click.UsageError(f"--dask: write local:4 for four processes of this machine, found {address}.")


def _distributed() -> Any:
    try:
        import distributed
    except ImportError:
        raise click.UsageError("--dask needs Dask: pip install 'fastgrad[dask]'") from None
    return distributed


def _silence() -> None:
    for name in ("distributed", "tornado", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


@contextlib.contextmanager
def _own(workers: int) -> Iterator[Any]:
    """Start processes on this machine, which nobody else can reach: the protocol runs what it is sent."""
    distributed = _distributed()
    with (
        tempfile.TemporaryDirectory(prefix="fastgrad-", ignore_cleanup_errors=True) as scratch,
        distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            protocol="tls://",
            security=distributed.Security.temporary(),
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},  # its server for figures takes no port that others use
            worker_dashboard_address=None,
            memory_limit=None,  # what is mapped from files counts as a process's memory, and takes none
            silence_logs=logging.CRITICAL,
            local_directory=scratch,
            preload=[__name__],
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def dask_setup(_: Any) -> None:
    """Leave Ctrl-C, which a terminal sends to every process, to the one that asks; Dask calls this in workers of our own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextlib.contextmanager
def _connected(address: str) -> Iterator[Any]:
    """Connect to a scheduler; certificates for tls:// are those of Dask's own configuration."""
    distributed = _distributed()
    try:
        distributed.comm.get_address_host_port(address)  # a client that is refused for its address complains once more later
        distributed.Client(address, timeout=CONNECTING, set_as_default=False).close()
    except (OSError, ValueError, TypeError) as error:
        reason = terminal.printable(str(error).partition("\n")[0])
        raise click.UsageError(f"--dask: no scheduler answers at {address}: {reason}") from None
    with distributed.Client(address, timeout=RETURNING) as client:
        yield client
