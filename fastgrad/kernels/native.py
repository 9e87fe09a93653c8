"""The loader of machine code: llvmlite places a compiled kernel in memory, ctypes calls it, and numba is not imported.

Called by kernel, for the sake of time alone: importing numba takes a third of a second, loading what it keeps of compiled
functions as much again; this takes some milliseconds. It has to know how numba passes arguments. Where it is not known to
know, `kernel` calls kernels through numba, and the results are the same.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable
from ctypes import CFUNCTYPE, addressof, c_double, c_int32, c_int64, c_void_p
from functools import cache, partial
from importlib import import_module
from importlib.metadata import version
from typing import Any, NamedTuple

import llvmlite
import llvmlite.binding as llvm

from fastgrad.kernels.parameters import Parameter

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


class Loaded(NamedTuple):
    """A kernel in memory."""

    address: int
    function: Any
    parameters: tuple[Parameter, ...]
    engine: Any

    def prepare(self, arguments: tuple[Any, ...]) -> Callable[[], None]:
        """Return a call that can be made later, and on another thread."""
        spare = (c_void_p * 2)()  # for the result, which is nothing, and for an exception, which is none
        words: list[int | float] = [addressof(spare), addressof(spare) + 8]
        for parameter, value in zip(self.parameters, arguments, strict=True):
            words += parameter.words(value)
        return partial(_run, self.function, words, (spare, arguments, self.engine))


def _run(function: Any, words: list[int | float], kept: Any) -> None:
    """Call machine code; it, and what its words point into, is kept alive meanwhile."""
    if function(*words):
        raise RuntimeError("a kernel raised an exception")


def is_proven() -> bool:
    """Whether these versions, on this platform, are some that machine code was loaded and called with."""
    numba, ours = (".".join(found.split(".")[:2]) for found in (version("numba"), llvmlite.__version__))
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
    engine = _new_engine()
    engine.add_object_file(llvm.ObjectFileRef.from_data(code.object))
    engine.finalize_object()
    address = engine.get_function_address(code.symbol)
    function = CFUNCTYPE(c_int32, *(WORDS[kind] for kind in code.types))(address)
    return Loaded(address, function, parameters, engine)


def is_linkable(code: MachineCode) -> bool:
    """Whether all that it wants from outside is there, numba bringing what the system lacks."""
    _new_engine()  # the first engine opens what this process itself has
    if all(map(llvm.address_of_symbol, code.wanted)):
        return True
    import_module("numba.core.registry").cpu_target.target_context.refresh()
    return all(map(llvm.address_of_symbol, code.wanted))


def _new_engine() -> Any:
    """Return what holds code for this machine."""
    _initialize()
    machine = llvm.Target.from_default_triple().create_target_machine()
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)


@cache
def _initialize() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
