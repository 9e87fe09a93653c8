"""Kernels as Python calls them: by machine code from a folder or compiled now, through numba, or as Python functions.

Called by launch. Which of the three it is changes how long a process takes to start, never a bit of a result.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, cached_property, partial
from importlib import import_module
from threading import Timer
from typing import Any, NamedTuple, Protocol

import numpy as np

from fastgrad.kernels import kept, native
from fastgrad.kernels.key import key, settings_hold
from fastgrad.machine import most_threads

WITHOUT_COMPILATION = os.environ.get("NUMBA_DISABLE_JIT", "0") not in {"", "0"}
"""Whether kernels run as Python functions, as numba's variable has it."""

Call = Callable[[], None]
"""A kernel with what it is called with, to be made later and on any thread."""


class Code(Protocol):
    """A kernel's code, however it came to be."""

    @property
    def address(self) -> Any:
        """Where other kernels call it; without compilation the function itself."""

    def prepare(self, arguments: tuple[Any, ...]) -> Call:
        """Return a call of it."""


class Interpreted(NamedTuple):
    """A kernel that Python runs."""

    address: Any

    def prepare(self, arguments: tuple[Any, ...]) -> Call:
        """Return a call of it."""
        return partial(self.address, *arguments)


class Kernel:
    """A worker of one of the files beside this one, for Python to call and for other kernels to reach by its address."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name

    @property
    def address(self) -> Any:
        """Where its code is; without compilation the function itself."""
        return self._code.address

    def __call__(self, *arguments: Any) -> None:
        """Run it."""
        self.prepare(*arguments)()

    def prepare(self, *arguments: Any) -> Call:
        """Return a call that can be made later, and on another thread."""
        return self._code.prepare(arguments)

    def is_kept(self) -> bool:
        """Whether an earlier process left its code, or this one has it."""
        return "_code" in self.__dict__ or any(kept.has(key(), self.file + kind) for kind in ("", PICKLED))

    @property
    def file(self) -> str:
        """The name that its code is kept under."""
        return f"{self.module}.{self.name}"

    @property
    def _worker(self) -> Any:
        return getattr(import_module(f"fastgrad.kernels.{self.module}"), self.name)

    @cached_property
    def _code(self) -> Code:
        if WITHOUT_COMPILATION:
            return Interpreted(self._worker.function)
        if _machine_code_works():
            with suppress(Exception):  # whatever is not as it was where this was proven, numba itself will know
                return self.machine_code()
        return self._through_numba()

    def machine_code(self) -> native.Loaded:
        """Load machine code, compiled now if no earlier process left it whole."""
        return native.load(self.compiled())

    def compiled(self) -> native.MachineCode:
        """Machine code that an earlier process left whole, or that is compiled now, by one process of this machine."""
        code = self._kept_code()
        if code is None:
            with kept.alone(key(), self.file):
                code = self._kept_code() or self._newly_compiled()
        return code

    def _kept_code(self) -> native.MachineCode | None:
        """Return what an earlier process left, if it is whole."""
        found = kept.read(key(), self.file)
        code = None if found is None else native.MachineCode.from_bytes(found)
        return code if code is not None and native.is_linkable(code) else None

    def _newly_compiled(self) -> native.MachineCode:
        """Compile it, and keep what comes of it."""
        with _compiling():
            code: native.MachineCode = self._worker.machine_code()
        if settings_hold():
            kept.write(key(), self.file, code.to_bytes())
        return code

    def _through_numba(self) -> Code:
        from fastgrad.kernels.dispatch import Dispatched, without_compilation

        if without_compilation():
            return Interpreted(self._worker.function)
        if kept.has(key(), self.file + PICKLED):
            return Dispatched(self._worker, self.file + PICKLED)
        with kept.alone(key(), self.file + PICKLED), _compiling():
            return Dispatched(self._worker, self.file + PICKLED)


PICKLED = ".pickle"
"""End of the name of what numba loads itself."""


@cache
def _machine_code_works() -> bool:
    """Whether machine code may be loaded: with versions it was proven with, and after a kernel whose results are known."""
    if not native.is_proven():
        return False
    out = np.zeros(11)
    arguments = (
        2**64 - 2**11, -3, 0.1, np.array([False, True]), np.array([[1, 2, 3], [4, 5, -6]]),
        np.arange(24.0).reshape(2, 3, 4), np.array([7, 2**63], dtype=np.uint64), out,
    )  # fmt: skip
    with suppress(Exception):
        Kernel("probe", "probe").machine_code().prepare(arguments)()
        return out.tolist() == [2.0**64 - 2.0**11, -3.0, 0.1, 0.0, 1.0, -6.0, 23.0, 2.0**63, 276.0, 24.0, 11.0]
    return False


UNTOLD = 1.0
"""Seconds of compiling, all kernels together, after which a program that uses the library is told what it waits for."""


_spent: list[float] = []
"""Seconds of each kernel that was compiled."""


@contextmanager
def _compiling() -> Iterator[None]:
    """Compile a kernel: whoever asked to hear of it is told at once, any other program after a while."""
    _announce()
    began = time.monotonic()
    timer = Timer(max(UNTOLD - sum(_spent), 0.0), _tell_program)
    timer.daemon = True
    if not _listeners:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()
        _spent.append(time.monotonic() - began)


_listeners: list[Callable[[], None]] = []


@contextmanager
def announcing(tell: Callable[[], None]) -> Iterator[None]:
    """Have a function called before the first kernel that is compiled meanwhile: somebody waits some seconds then.

    For who waits, `load_together` takes a second process; a program that uses the library gets none unasked, and one line on
    stderr where it waits for longer than `UNTOLD`.
    """
    listener = cache(tell)  # told once
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def is_remembered() -> bool:
    """Whether what is compiled can be kept for other processes."""
    return kept.is_possible(key())


def _announce() -> None:
    """Call whoever asked for it."""
    for listener in _listeners:
        listener()


def _tell_program() -> None:
    """Say on stderr what a program waits for."""
    remembered = ", and is remembered" if is_remembered() else ""
    kept.say(f"fastgrad compiles its kernels for this machine, which takes up to half a minute{remembered}.")


def load_together(*kernels: Kernel) -> None:
    """Load kernels; to compile several, a second process takes all but the first, the longest, where somebody waits.

    numba compiles one function at a time in a process. When this one is done with the first it comes towards the other from the
    end. What goes wrong there is done again here.
    """
    if WITHOUT_COMPILATION:
        return
    missing = [kernel for kernel in kernels if not kernel.is_kept()]
    if len(missing) > 1 and _listeners and is_remembered() and most_threads() > 1 and sys.executable:
        import subprocess  # two milliseconds that only this needs

        _announce()
        command = [sys.executable, "-P", "-c", _COMPILE, *(kernel.file for kernel in missing[1:])]
        quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        with suppress(OSError), subprocess.Popen(command, **quiet) as other:  # type: ignore[call-overload]
            try:
                for one in (missing[0], *reversed(missing[1:])):
                    _begin(one)
            except BaseException:
                other.kill()
                raise
    for kernel in kernels:
        kernel.address  # noqa: B018


def _begin(one: Kernel) -> None:
    """Compile a kernel, before its machine code may be loaded: the other process compiles what is asked about that."""
    with suppress(Exception):  # tried again, in the way that bears it, when the address is wanted
        one.compiled() if native.is_proven() else one.address


_COMPILE = """\
import sys
from fastgrad.kernels.kernel import Kernel
for name in sys.argv[1:]:
    Kernel(*name.split(".")).address
"""


def addresses(*kernels: Kernel | None) -> Any:
    """Return the addresses of kernels as an array for kernels, 0 where there is none; those there are get loaded now."""
    found = [0 if one is None else one.address for one in kernels]
    return found if any(map(callable, found)) else np.array(found, dtype=np.int64)
