"""The tables at the end of a bench: medians, their spread, how many times faster than the loop; who detected what."""

from __future__ import annotations

import math
import os
import platform
import statistics
import time
from dataclasses import dataclass, field

import numba
import numpy as np
import pytest

from fastgrad.machine import most_threads

from detection import Detections


@dataclass(frozen=True)
class Timing:
    """The seconds of each round of one competitor, scaled to the whole work, its relative difference, and a remark."""

    name: str
    seconds: list[float]
    error: float
    remark: str
    baseline: bool

    @property
    def median(self) -> float:
        """Median of the rounds."""
        return statistics.median(self.seconds)


@dataclass
class Results:
    """All timings of the session, by the task that they share."""

    tasks: dict[str, list[Timing]] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    """Tables that hold no timings, line by line."""

    def take(self, benchmark, task, name, *, scale=1.0, error=math.nan, remark="", baseline=False) -> None:
        """Take what a benchmark has measured into the table of its task; nothing where benchmarks are disabled."""
        if benchmark.stats:
            seconds = [scale * second for second in benchmark.stats.stats.data]
            self.tasks.setdefault(task, []).append(Timing(name, seconds, error, remark, baseline))

    def tell(self, task, name, seconds, error, remark) -> None:
        """Take a figure that was measured elsewhere."""
        self.tasks.setdefault(task, []).append(Timing(name, [seconds], error, remark, False))


_KEY = pytest.StashKey[Results]()
_DETECTIONS = pytest.StashKey[Detections]()


def pytest_configure(config):
    """Leave the reporting to the tables below."""
    config.stash[_KEY] = Results()
    config.stash[_DETECTIONS] = Detections()
    # A bench that is skipped or fails before it times anything says so itself.
    config.addinivalue_line("filterwarnings", "ignore:Benchmark fixture was not used")
    config.option.benchmark_quiet = True


@pytest.fixture
def results(request) -> Results:
    """Give the session's tables."""
    return request.config.stash[_KEY]


@pytest.fixture(scope="session")
def detections(request) -> Detections:
    """Give the session's count of who detected what."""
    return request.config.stash[_DETECTIONS]


@pytest.fixture
def repeat(benchmark):
    """Give the function that calls another once, to compile, load and warm, and then times some rounds."""

    def run(function):
        for _ in range(2):  # the first call may compile; a long one is not repeated to find out
            started = time.perf_counter()
            outcome = function()
            seconds = time.perf_counter() - started
            if seconds > 20:
                break
        benchmark.pedantic(function, rounds=max(3, min(200, round(3 / seconds))))
        return outcome

    return run


def pytest_terminal_summary(terminalreporter, config):
    """Print a table for each task."""
    tasks, texts = config.stash[_KEY].tasks, config.stash[_KEY].texts
    if texts:
        terminalreporter.section("accuracy")
    for text in texts:
        terminalreporter.write_line(text.rstrip())
    if tasks:
        terminalreporter.section("medians")
        terminalreporter.write_line(machine())
    for task, timings in tasks.items():
        terminalreporter.write_line("")
        for line in table(task, timings):
            terminalreporter.write_line(line.rstrip())
    for line in config.stash[_DETECTIONS].lines():
        terminalreporter.write_line(line.rstrip())


def machine() -> str:
    """Say what the figures were measured with."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = f"Python {platform.python_version()}, numpy {np.__version__}, numba {numba.__version__}"
    return f"{cores} cores, {most_threads()} threads, {platform.machine()}; {versions}"


def table(task: str, timings: list[Timing]):
    """Yield the lines of one task's table."""
    baseline = next((timing.median for timing in timings if timing.baseline), None)
    yield task
    yield f"  {'':26}{'median':>9}  {'least – most':>19}  {'times the loop':>14}  {'error':>8}"
    for timing in timings:
        spread = f"{duration(min(timing.seconds))} – {duration(max(timing.seconds))}"
        ratio = times(baseline / timing.median) if baseline else ""
        error = "" if math.isnan(timing.error) else f"{timing.error:.1e}"
        yield f"  {timing.name:26}{duration(timing.median):>9}  {spread:>19}  {ratio:>14}  {error:>8}  {timing.remark}"


def times(ratio: float) -> str:
    """Write a ratio, below ten with two digits."""
    return f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.2g}"


def duration(seconds: float) -> str:
    """Write a time with three digits and its unit."""
    if seconds >= 1:
        return f"{seconds:,.0f} s" if seconds >= 100 else f"{seconds:.3g} s"
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} µs"
