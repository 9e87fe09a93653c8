"""How pieces of work are shared out among threads: Python's at first, numba's by prange for long work; called by launch.

numba's threads take half a second to come to: importing numba, loading the loop that wakes them. So Python's threads, whose
lock machine code does not hold, do the first half second of work; what goes on for longer goes through prange, which shares
pieces out with less delay. Where prange cannot be had (in a child of fork, whose parent had numba's threads; while another of
Python's threads is in it; where kernels are called through numba's dispatcher) Python's threads go on. The bits are the same.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from importlib import import_module
from math import inf
from threading import Lock

from fastgrad.kernels.kernel import Call
from fastgrad.kernels.native import Call as MachineCall
from fastgrad.machine import run_together

WAKING = 0.5
"""Seconds of shared work after which numba's threads are woken: as long as that takes (0.45 s on two cores of 2.3 GHz)."""


class Crew:
    """The threads of this process, and how long they have worked."""

    def __init__(self) -> None:
        self.worked = 0.0
        self._prange = Lock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    def _after_fork(self) -> None:
        # In a child of fork numba's threads are not there, and some layers of them end the process that calls them.
        self.worked, self._prange = -inf, Lock()

    def share_out(self, calls: Sequence[Call]) -> None:
        """Make calls of one kernel, which share no scratch, each on a thread of its own."""
        if len(calls) == 1:
            calls[0]()
        elif self.worked >= WAKING and self._prange.acquire(blocking=False):
            try:
                self._by_prange(calls)
            finally:
                self._prange.release()
        else:
            began = time.perf_counter()
            run_together(calls)
            self.worked += time.perf_counter() - began

    def _by_prange(self, calls: Sequence[Call]) -> None:
        machine = [one for one in calls if isinstance(one, MachineCall)]
        if len(machine) < len(calls):
            run_together(calls)
            return
        try:
            parallel = import_module("fastgrad.kernels.parallel")
            parallel.load(machine[0].types)
        except Exception:  # whatever keeps numba from its threads, there are others
            self.worked = -inf
            run_together(calls)
            return
        parallel.run(machine)


crew = Crew()
