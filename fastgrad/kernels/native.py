"""Kernels as Python calls them: machine code by its address, from a folder or compiled now, and the threads it runs on.

Called by launch. numba is imported only to compile: importing it takes a third of a second, loading what it keeps of compiled
functions as much again; llvmlite loads the same machine code in some milliseconds. The folder is named after the content of
every kernel file and the versions that compiled it, so that a stale kernel is impossible.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import secrets
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import CFUNCTYPE, addressof, c_double, c_int32, c_int64, c_uint64, c_void_p
from functools import cache, cached_property, partial
from importlib import import_module
from itertools import count
from operator import index
from pathlib import Path
from typing import Any, NamedTuple

import llvmlite
import llvmlite.binding as llvm
import numpy as np

from fastgrad.errors import InputError

WITHOUT_COMPILATION = os.environ.get("NUMBA_DISABLE_JIT", "0") not in {"", "0"}
"""Whether kernels run as Python functions, as numba's variable has it."""

SCALARS: dict[str, Callable[[Any], Any]] = {
    "i8": lambda value: c_int64(index(value)),
    "u8": lambda value: c_uint64(index(value)),
    "f8": c_double,
}
"""How a single number becomes a machine word, by its type in signatures."""


NULL = c_void_p()


class Parameter(NamedTuple):
    """One of a kernel's parameters: its type and, of an array, its dimensions."""

    kind: str
    dtype: np.dtype[Any]
    dimensions: int | None

    @classmethod
    def all_of(cls, signature: str) -> tuple[Parameter, ...]:
        """Read those of a signature such as void(i8, f8[:,::1])."""
        found = re.findall(r"(\w\d)(?:\[([^\]]*)1\])?", signature.partition("(")[2])
        return tuple(cls(kind, np.dtype(kind), shape.count(":") - 1 if shape else None) for kind, shape in found)

    def words(self, value: Any) -> list[Any]:
        """Return the machine words that numba passes it in; of an array owner, size, address, shape and strides.

        Raises
        ------
        TypeError
            If it is of another type: a kernel would take its bytes for something else.
        """
        if self.dimensions is None:
            return [value if isinstance(value, c_int64) else SCALARS[self.kind](value)]
        flags = value.flags
        if value.dtype != self.dtype or value.ndim != self.dimensions or not (flags.c_contiguous and flags.aligned):
            raise TypeError(f"a kernel takes {self}, found {value.dtype}, shape {value.shape}, strides {value.strides}")
        address = c_void_p(value.__array_interface__["data"][0])
        sizes = (value.size, value.itemsize)
        return [NULL, NULL, *map(c_int64, sizes), address, *map(c_int64, value.shape), *map(c_int64, value.strides)]

    @property
    def types(self) -> list[str]:
        """LLVM's types of those words."""
        if self.dimensions is None:
            return ["double" if self.kind == "f8" else "i64"]
        return ["ptr", "ptr", "i64", "i64", "ptr", *["i64"] * 2 * self.dimensions]


class MachineCode(NamedTuple):
    """A compiled kernel: an object file, its symbol and its signature, its words' types, functions it wants from outside."""

    symbol: str
    signature: str
    types: list[str]
    wanted: list[str]
    object: bytes

    def to_bytes(self) -> bytes:
        """Return what a file holds."""
        header = {**self._asdict(), "object": hashlib.sha256(self.object).hexdigest()}
        return json.dumps(header).encode() + b"\n" + self.object

    @classmethod
    def from_bytes(cls, content: bytes) -> MachineCode | None:
        """Read it back; None if a file is damaged."""
        line, _, code = content.partition(b"\n")
        try:
            header = json.loads(line)
            whole = header["object"] == hashlib.sha256(code).hexdigest()
        except (ValueError, KeyError):
            return None
        return cls(**{**header, "object": code}) if whole else None


class Loaded(NamedTuple):
    """A kernel that can be called."""

    address: int
    function: Callable[..., int]
    parameters: tuple[Parameter, ...]
    engine: Any


class Kernel:
    """A worker of one of the files beside this one, for Python to call and for other kernels to reach by its address."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name

    @property
    def address(self) -> Any:
        """Where its code is; without compilation the function itself."""
        return self._worker.function if WITHOUT_COMPILATION else self._loaded.address

    def __call__(self, *arguments: Any) -> None:
        """Run it."""
        self.prepare(*arguments)()

    def prepare(self, *arguments: Any) -> Callable[[], None]:
        """Return a call that may be made many times; arguments that then change are given as c_int64."""
        if WITHOUT_COMPILATION:
            return partial(_run_function, self._worker.function, arguments)
        spare = (c_void_p * 2)()  # for the result, which is nothing, and for an exception, which is none
        words: list[Any] = [c_void_p(addressof(spare) + offset) for offset in (0, 8)]
        for parameter, value in zip(self._loaded.parameters, arguments, strict=True):
            words += parameter.words(value)
        return partial(_run_code, self._loaded.function, words, (spare, arguments))

    @property
    def _worker(self) -> Any:
        return getattr(import_module(f"fastgrad.kernels.{self.module}"), self.name)

    @cached_property
    def _loaded(self) -> Loaded:
        folder = cache_folder()
        file = None if folder is None else folder / f"{self.module}.{self.name}"
        code = MachineCode.from_bytes(file.read_bytes()) if file is not None and file.exists() else None
        if code is None:
            _announce()
            code = self._worker.machine_code()
            if file is not None:
                _write(file, code.to_bytes())
        return _load(code)


_listeners: list[Callable[[], None]] = []


@contextmanager
def announcing(tell: Callable[[], None]) -> Iterator[None]:
    """Have a function called before the first kernel that is compiled meanwhile: somebody waits some seconds then."""
    _listeners.append(tell)
    try:
        yield
    finally:
        _listeners.clear()


def _announce() -> None:
    """Call it."""
    while _listeners:
        _listeners.pop()()


def _run_function(function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    function(*(value.value if isinstance(value, c_int64) else value for value in arguments))


def _run_code(function: Callable[..., int], words: list[Any], _kept: Any) -> None:
    """Call machine code; what its words point into is kept until then."""
    if function(*words):
        raise RuntimeError("a kernel raised an exception")


def _write(file: Path, content: bytes) -> None:
    """Write a file whole or not at all: another process may be reading or writing it."""
    temporary = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
    temporary.write_bytes(content)
    os.replace(temporary, file)


def _load(code: MachineCode) -> Loaded:
    """Place machine code in memory."""
    parameters = Parameter.all_of(code.signature)
    expected = ["ptr", "ptr", *(kind for parameter in parameters for kind in parameter.types)]
    if code.types != expected:
        raise RuntimeError(f"this version of numba passes arguments otherwise than fastgrad knows: {code.types}")
    _initialize()
    # An engine for each: what two object files have under one name stays apart.
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), llvm.Target.from_default_triple().create_target_machine())
    if not all(map(llvm.address_of_symbol, code.wanted)):
        import_module("numba.core.registry").cpu_target.target_context.refresh()  # numba brings what the system lacks
    engine.add_object_file(llvm.ObjectFileRef.from_data(code.object))
    engine.finalize_object()
    address = engine.get_function_address(code.symbol)
    return Loaded(address, CFUNCTYPE(c_int32)(address), parameters, engine)


@cache
def _initialize() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


@cache
def cache_folder() -> Path | None:
    """Folder of the compiled code of exactly these kernel files, or None where no folder can be written."""
    content = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        content.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    features = llvm.get_host_cpu_features().flatten()
    # Each numba goes with one llvmlite, whose version is at hand.
    for part in (llvmlite.__version__, np.__version__, platform.python_version(), llvm.get_host_cpu_name(), features):
        content.update(part.encode() + b"\0")
    home = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    for base in (
        Path(home) / "fastgrad",
        Path(tempfile.gettempdir()) / f"fastgrad-{os.getuid() if hasattr(os, 'getuid') else 'user'}",
    ):
        folder = base / content.hexdigest()[:16]
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    return None


def addresses(*kernels: Kernel | None) -> Any:
    """Return the addresses of kernels as an array for kernels, 0 where there is none; those there are get loaded now."""
    found = [0 if one is None else one.address for one in kernels]
    return found if WITHOUT_COMPILATION else np.array(found, dtype=np.int64)


def most_threads() -> int:
    """Return how many threads there may be: NUMBA_NUM_THREADS, else one for each core.

    Raises
    ------
    InputError
        If that variable holds no such number.
    """
    said = os.environ.get("NUMBA_NUM_THREADS")
    if said:
        if not (said.isdecimal() and int(said)):
            raise InputError(f"the variable NUMBA_NUM_THREADS must be a whole number of at least 1, found {said!r}")
        return int(said)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share_out(pieces: int, threads: int, prepare: Callable[[], Callable[[int], None]]) -> None:
    """Run pieces 0, 1, … on some threads, this one among them, each with a function prepared for itself.

    Machine code leaves Python's lock to others while it runs. A thread starts in some 50 µs, so none is kept waiting.
    """
    numbers, errors = count(), list[BaseException]()

    def work(run: Callable[[int], None]) -> None:
        while (number := next(numbers)) < pieces and not errors:
            run(number)

    def help_out() -> None:
        try:
            work(prepare())
        except BaseException as error:  # it is raised where somebody hears of it
            errors.append(error)

    mine = prepare()  # first, so that one thread alone compiles what is to be compiled
    helpers = [threading.Thread(target=help_out) for _ in range(min(threads, pieces) - 1)]
    for helper in helpers:
        helper.start()
    try:
        work(mine)
    finally:
        for helper in helpers:
            helper.join()
    if errors:
        raise errors[0]
