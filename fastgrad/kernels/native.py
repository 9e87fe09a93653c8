"""The loader of machine code: llvmlite places a compiled kernel in memory, ctypes calls it, and numba is not imported.

Called by kernel, for the sake of time alone: importing numba takes a third of a second, loading what it keeps of compiled
functions as much again; this takes some milliseconds. It has to know how numba passes arguments. Where it is not known to
know, `kernel` calls kernels through numba, and the results are the same.
"""

from __future__ import annotations

import json
import platform
import struct
import sys
from contextlib import suppress
from ctypes import CFUNCTYPE, addressof, c_double, c_int32, c_int64, c_void_p
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from typing import Any, NamedTuple

import llvmlite
import llvmlite.binding as llvm

from fastgrad.kernels.parameters import Parameter
from fastgrad.kernels.records import flat_arguments

PROVEN = {
    "0.61": "0.44",
    "0.62": "0.45",
    "0.63": "0.46",
    "0.64": "0.46",
    "0.65": "0.47",
    "0.66": "0.48",
    "0.67": "0.49",
    "0.68": "0.50",
}
"""Versions of numba, each with its llvmlite, that kernels were run with in both ways and gave the same bits."""
PLATFORMS = {("linux", "x86_64")}
"""Systems and processors that they were run on."""

WORDS: dict[str, Any] = {"i64": c_int64, "ptr": c_void_p, "double": c_double}
"""How ctypes passes a word on, by LLVM's type of it."""
PACKED = {"i64": "Q", "ptr": "Q", "double": "d"}
"""How struct packs it."""
MASK = 2**64 - 1


class MachineCode(NamedTuple):
    """A compiled kernel: an object file, its symbol and its signature, its words' types, functions it wants from outside."""

    symbol: str
    signature: str
    types: list[str]
    wanted: list[str]
    object: bytes

    def to_bytes(self) -> bytes:
        """Return what a file holds."""
        return json.dumps(self[:-1]).encode() + b"\n" + self.object

    @classmethod
    def from_bytes(cls, content: bytes) -> MachineCode:
        """Read it back."""
        header, _, code = content.partition(b"\n")
        symbol, signature, types, wanted = json.loads(header)
        return cls(symbol, signature, types, wanted, code)


@dataclass(slots=True)
class Call:
    """Machine code and the words that it is called with; it, and what they point into, is kept alive by this."""

    address: int
    function: Any
    types: tuple[str, ...]
    words: list[int | float]
    kept: Any

    def __call__(self) -> None:
        """Make it."""
        if self.function(*self.words):
            raise RuntimeError("a kernel raised an exception")

    def context(self) -> bytes:
        """Return the address and the words, eight bytes each."""
        kinds = "Q" + "".join(PACKED[kind] for kind in self.types)
        words = [word & MASK if isinstance(word, int) else word for word in self.words]
        return struct.pack(f"={kinds}", self.address, *words)


class Loaded(NamedTuple):
    """A kernel in memory."""

    address: int
    function: Any
    parameters: tuple[Parameter, ...]
    types: tuple[str, ...]
    engine: Any

    def prepare(self, arguments: tuple[Any, ...]) -> Call:
        """Return a call that can be made later, and on another thread."""
        spare = (c_void_p * 2)()  # for the result, which is nothing, and for an exception, which is none
        words: list[int | float] = [addressof(spare), addressof(spare) + 8]
        for parameter, value in zip(self.parameters, flat_arguments(arguments), strict=True):
            words += parameter.words(value)
        return Call(self.address, self.function, self.types, words, (spare, arguments, self.engine))


@cache
def numba_version() -> str:
    """Return numba's version as a file of numba's says it: importing numba takes a third of a second, its metadata 13 ms."""
    package = find_spec("numba")
    with suppress(Exception):  # a numba that says it otherwise
        assert package is not None
        said = PathFinder.find_spec("_version", package.submodule_search_locations)
        assert said is not None
        assert said.loader is not None
        module = module_from_spec(said)
        said.loader.exec_module(module)
        return str(module.get_versions()["version"])
    from importlib.metadata import version

    return version("numba")


def is_proven() -> bool:
    """Whether these versions, on this platform, are some that machine code was loaded and called with."""
    numba, ours = (".".join(found.split(".")[:2]) for found in (numba_version(), llvmlite.__version__))
    wide = sys.maxsize > 2**32 and sys.byteorder == "little"
    return wide and PROVEN.get(numba) == ours and (sys.platform, platform.machine()) in PLATFORMS


def load(code: MachineCode) -> Loaded:
    """Place machine code in memory.

    Raises
    ------
    RuntimeError
        If numba passes its arguments otherwise than this file knows.
    """
    parameters = Parameter.all_of(code.signature)
    expected = ["ptr", "ptr", *(kind for parameter in parameters for kind in parameter.types)]
    if code.types != expected:
        raise RuntimeError(f"this version of numba passes arguments otherwise than fastgrad knows: {code.types}")
    # An engine for each: what two object files have under one name stays apart.
    engine = _engine_of_nothing()
    engine.add_object_file(llvm.ObjectFileRef.from_data(code.object))
    engine.finalize_object()
    address = engine.get_function_address(code.symbol)
    function = CFUNCTYPE(c_int32, *(WORDS[kind] for kind in code.types))(address)
    return Loaded(address, function, parameters, tuple(code.types), engine)


def is_linkable(code: MachineCode) -> bool:
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
