"""Kernels as Python calls them: machine code by its address, from a folder or compiled now.

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
import stat
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from ctypes import CFUNCTYPE, addressof, c_double, c_int32, c_int64, c_void_p, cast
from functools import cache, cached_property
from importlib import import_module
from importlib.metadata import version
from operator import index
from pathlib import Path
from typing import Any, NamedTuple

import llvmlite
import llvmlite.binding as llvm
import numpy as np

from fastgrad.kernels.records import flat_arguments
from fastgrad.machine import most_threads

WITHOUT_COMPILATION = os.environ.get("NUMBA_DISABLE_JIT", "0") not in {"", "0"}
"""Whether kernels run as Python functions, as numba's variable has it."""

SCALARS: dict[str, Callable[[Any], int | float]] = {"i8": index, "u8": index, "f8": float}
"""How a single number becomes a machine word, by its type in signatures."""
WORDS: dict[str, tuple[Any, str]] = {"i64": (c_int64, "Q"), "ptr": (c_void_p, "Q"), "double": (c_double, "d")}
"""How ctypes and struct pass a word on, by LLVM's type of it."""
COMPILING = [
    f"NUMBA_{name}"
    for name in (
        "OPT", "CPU_NAME", "CPU_FEATURES", "BOUNDSCHECK", "LOOP_VECTORIZE", "SLP_VECTORIZE", "ENABLE_AVX", "DISABLE_INTEL_SVML",
    )
]  # fmt: skip
"""Variables of numba's that change what is compiled."""
MASK = 2**64 - 1
DIGEST = 32
"""Bytes of a digest, which a file begins with."""


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

    def words(self, value: Any) -> list[int | float]:
        """Return the machine words that numba passes it in; of an array owner, size, address, shape and strides.

        Raises
        ------
        TypeError
            If it is of another type: a kernel would take its bytes for something else.
        """
        if self.dimensions is None:
            return [SCALARS[self.kind](value)]
        flags = value.flags
        if value.dtype != self.dtype or value.ndim != self.dimensions or not (flags.c_contiguous and flags.aligned):
            raise TypeError(f"a kernel takes {self}, found {value.dtype}, shape {value.shape}, strides {value.strides}")
        address = value.__array_interface__["data"][0]
        return [0, 0, value.size, value.itemsize, address, *value.shape, *value.strides]

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
        content = json.dumps(self[:-1]).encode() + b"\n" + self.object
        return hashlib.sha256(content).digest() + content

    @classmethod
    def from_bytes(cls, content: bytes) -> MachineCode | None:
        """Read it back; None if a file is damaged."""
        digest, rest = content[:DIGEST], content[DIGEST:]
        if hashlib.sha256(rest).digest() != digest:
            return None
        header, _, code = rest.partition(b"\n")
        symbol, signature, types, wanted = json.loads(header)
        return cls(symbol, signature, types, wanted, code)


class Loaded(NamedTuple):
    """A kernel that can be called."""

    address: int
    function: Any
    parameters: tuple[Parameter, ...]
    types: tuple[str, ...]
    engine: Any


class Call(NamedTuple):
    """A kernel and what it is called with: its words' types, the words, and what these point into, which is kept by this."""

    function: Any
    types: tuple[str, ...]
    words: list[int | float]
    arguments: tuple[Any, ...]

    def run(self) -> None:
        """Make it."""
        if WITHOUT_COMPILATION:
            self.function(*self.arguments)
        elif self.function(*self.words):
            raise RuntimeError("a kernel raised an exception")

    def context(self) -> bytes:
        """Return the function's address and the words, eight bytes each."""
        kinds = "Q" + "".join(WORDS[kind][1] for kind in self.types)
        words = [word & MASK if isinstance(word, int) else word for word in self.words]
        return struct.pack(f"={kinds}", cast(self.function, c_void_p).value, *words)


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
        self.prepare(*arguments).run()

    def prepare(self, *arguments: Any) -> Call:
        """Return a call that can be made later, and on another thread."""
        if WITHOUT_COMPILATION:
            return Call(self._worker.function, (), [], arguments)
        spare = (c_void_p * 2)()  # for the result, which is nothing, and for an exception, which is none
        words: list[int | float] = [addressof(spare), addressof(spare) + 8]
        for parameter, value in zip(self._loaded.parameters, flat_arguments(arguments), strict=True):
            words += parameter.words(value)
        return Call(self._loaded.function, self._loaded.types, words, (spare, *arguments))

    def is_kept(self) -> bool:
        """Whether an earlier process left its code, or this one has it."""
        folder = cache_folder()
        return "_loaded" in self.__dict__ or (folder is not None and (folder / self._file_name).exists())

    @property
    def _file_name(self) -> str:
        return f"{self.module}.{self.name}"

    @property
    def _worker(self) -> Any:
        return getattr(import_module(f"fastgrad.kernels.{self.module}"), self.name)

    @cached_property
    def _loaded(self) -> Loaded:
        folder = cache_folder()
        file = None if folder is None else folder / self._file_name
        code = None if file is None else _read(file)
        if code is None or not _linkable(code):
            _announce()
            code = self._worker.machine_code()
            if file is not None:
                _write(file, code)
        return _load(code)


_listeners: list[Callable[[], None]] = []


@contextmanager
def announcing(tell: Callable[[], None]) -> Iterator[None]:
    """Have a function called before the first kernel that is compiled meanwhile: somebody waits some seconds then.

    For who waits, `load_together` takes a second process; a program that uses the library gets none unasked.
    """
    _listeners.append(tell)
    try:
        yield
    finally:
        _listeners.clear()


def _announce() -> None:
    """Call it."""
    while _listeners:
        _listeners.pop()()


def load_together(*kernels: Kernel) -> None:
    """Load kernels; to compile several, a second process takes all but the first, the longest, where somebody waits.

    numba compiles one function at a time in a process. What goes wrong in the other one is done again in this.
    """
    if WITHOUT_COMPILATION:
        return
    missing = [kernel for kernel in kernels if not kernel.is_kept()]
    if len(missing) > 1 and _listeners and cache_folder() is not None and most_threads() > 1 and sys.executable:
        _announce()
        command = [sys.executable, "-P", "-c", _COMPILE, *(kernel._file_name for kernel in missing[1:])]
        quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        with suppress(OSError), subprocess.Popen(command, **quiet) as other:  # type: ignore[call-overload]
            try:
                missing[0].address  # noqa: B018  (compiles it)
            except BaseException:
                other.kill()
                raise
    for kernel in kernels:
        kernel.address  # noqa: B018


_COMPILE = """\
import sys
from fastgrad.kernels.native import Kernel
for name in sys.argv[1:]:
    Kernel(*name.split(".")).address
"""


def _read(file: Path) -> MachineCode | None:
    """Read what an earlier process wrote, if one did."""
    try:
        return MachineCode.from_bytes(file.read_bytes())
    except OSError:
        return None


def _write(file: Path, code: MachineCode) -> None:
    """Write a file whole or not at all: another process may be reading or writing it.

    Where there is no room for it, the next process compiles again.
    """
    temporary = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
    with suppress(OSError):
        temporary.write_bytes(code.to_bytes())
        os.replace(temporary, file)
    with suppress(OSError):
        temporary.unlink(missing_ok=True)


def _load(code: MachineCode) -> Loaded:
    """Place machine code in memory."""
    parameters = Parameter.all_of(code.signature)
    expected = ["ptr", "ptr", *(kind for parameter in parameters for kind in parameter.types)]
    if code.types != expected:
        raise RuntimeError(f"this version of numba passes arguments otherwise than fastgrad knows: {code.types}")
    # An engine for each: what two object files have under one name stays apart.
    engine = _engine_of_nothing()
    engine.add_object_file(llvm.ObjectFileRef.from_data(code.object))
    engine.finalize_object()
    address = engine.get_function_address(code.symbol)
    function = CFUNCTYPE(c_int32, *(WORDS[kind][0] for kind in code.types))(address)
    return Loaded(address, function, parameters, tuple(code.types), engine)


def _linkable(code: MachineCode) -> bool:
    """Whether all that it wants from outside is there, numba bringing what the system lacks."""
    _engine_of_nothing()  # the first engine opens what this process itself has
    if all(map(llvm.address_of_symbol, code.wanted)):
        return True
    import_module("numba.core.registry").cpu_target.target_context.refresh()
    return all(map(llvm.address_of_symbol, code.wanted))


def new_engine(module: Any) -> Any:
    """Return what compiles and holds code for this machine."""
    _initialize()
    return llvm.create_mcjit_compiler(module, llvm.Target.from_default_triple().create_target_machine())


def _engine_of_nothing() -> Any:
    return new_engine(llvm.parse_assembly(""))


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
    versions = [version("numba"), llvmlite.__version__, np.__version__, platform.python_version()]
    asked = [f"{name}={os.environ.get(name)}" for name in COMPILING]
    for part in (*versions, *asked, llvm.get_host_cpu_name(), features):
        content.update(part.encode() + b"\0")
    for base in _bases():
        with suppress(OSError):
            base.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder = base / content.hexdigest()[:16]
            folder.mkdir(exist_ok=True, mode=0o700)
            if os.access(folder, os.W_OK) and _is_ours(base) and _is_ours(folder):
                return folder
    return None


def _bases() -> Iterator[Path]:
    """Yield where compiled code may be kept, the best place first."""
    said = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if not said.startswith("~"):  # of who has no home
        yield Path(said).absolute() / "fastgrad"
    with suppress(OSError):
        yield Path(tempfile.gettempdir()) / f"fastgrad-{os.getuid() if hasattr(os, 'getuid') else 'user'}"


def _is_ours(folder: Path) -> bool:
    """Whether nobody else could have put anything there: what lies in it is run."""
    if not hasattr(os, "getuid"):
        return True
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & stat.S_IWOTH


def addresses(*kernels: Kernel | None) -> Any:
    """Return the addresses of kernels as an array for kernels, 0 where there is none; those there are get loaded now."""
    found = [0 if one is None else one.address for one in kernels]
    return found if WITHOUT_COMPILATION else np.array(found, dtype=np.int64)
