"""How kernels are compiled; the one place that knows the flags and says why each is there.

Called by the files of kernels, none of which is imported but to compile: `kernel` keeps and loads what comes of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar, cast

import llvmlite.binding as llvm
import numba
from numba.core import cgutils, config, sigutils, types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.extending import intrinsic

from fastgrad.kernels.native import MachineCode, is_proven
from fastgrad.kernels.records import flat_signature, read_signature

Function = TypeVar("Function", bound=Callable[..., Any])

# error_model="numpy": a division need not test for zero, without which no loop with a division vectorises.
# fastmath={"contract"}: a*b + c in one rounding; the only liberty taken. 'reassoc' and 'nnan' would break what kernels promise.
FLAGS: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract"}}

# _nrt=False: helpers allocate nothing; with it on, each call counts a reference for each array argument, atomically.
# No wrappers: nothing but kernels calls a helper, and each wrapper would hold, optimise and translate all of it again.
INNER: dict[str, Any] = {"_nrt": False, "no_cpython_wrapper": True, "no_cfunc_wrapper": True, **FLAGS}


class _Part(JITCodeLibrary):  # type: ignore[misc]  # numba's, untyped
    """Code that is only taken into that of others, which are optimised and translated as wholes.

    numba optimises and translates each function by itself as well: two fifths of what the longest kernel took.
    """

    codegen = property(lambda self: self)

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """Return that there is none."""
        return 0

    def set_env(self, name: str, environment: Any) -> None:
        """Give objects of Python's to code that runs: this does not."""


class _PartCompiler(Compiler):  # type: ignore[misc]
    """numba's compiler of functions, which makes such parts."""

    def __init__(self, typing_context: Any, target_context: Any, _: None, *rest: Any) -> None:
        super().__init__(typing_context, target_context, _Part(target_context.codegen(), "part"), *rest)


# Names of numba's own are no promise: where these have not been tried, it compiles helpers as it compiles all else.
PART: dict[str, Any] = INNER | ({"pipeline_class": _PartCompiler} if is_proven() else {})


def helper(function: Function) -> Function:
    """Compile a function that only kernels call, Python cannot; it becomes part of the entry points that use it."""
    # forceinline: a call with its dozens of array words costs as much as a short row.
    return numba.njit(forceinline=True, **PART)(function)  # type: ignore[no-any-return]


def summed_freely(function: Function) -> Function:
    """Compile a helper whose sums may be formed in any order: in registers, in one that the machine's vectors ask for.

    The order follows from the compiled code alone, and so the bits do not depend on threads; what they are differs between
    processors, as it does for products of BLAS.
    """
    free: dict[str, Any] = PART | {"fastmath": {"contract", "reassoc"}}
    return numba.njit(forceinline=True, **free)(function)  # type: ignore[no-any-return]


def outlined(function: Function) -> Function:
    """Compile a helper that entry points call: for what is large and rarely runs, and would slow compilation if inlined."""
    # forceinline=False said aloud: a callee otherwise inherits the flag of whoever calls it first.
    return numba.njit(forceinline=False, **PART)(function)  # type: ignore[no-any-return]


once = cache(outlined)
"""Do what `outlined` does, once where rows of formulas share a function."""


def by_code(functions: dict[int, Callable[..., Any]], parameters: str, otherwise: Callable[..., Any] | None = None) -> Any:
    """Compile a helper of a code and some parameters: it calls the one of the functions, helpers all, that has the code.

    What none of them has goes, with its code, to `otherwise`. It is written out and compiled as one chain of tests, as numba
    takes no table of functions.
    """
    lines = [f"def choose(code, {parameters}):"]
    lines += [f"    if code == {code}:\n        return function_{code}({parameters})" for code in functions]
    lines.append(f"    return otherwise(code, {parameters})" if otherwise else "    return 0.0  # as numba wants a number")
    names: dict[str, Any] = {f"function_{code}": function for code, function in functions.items()} | {"otherwise": otherwise}
    exec("\n".join(lines), names)
    return outlined(names["choose"])


class Worker:
    """A function to be compiled apart from all that call it, which they do by its address; `kernel` keeps and loads it."""

    def __init__(self, function: Callable[..., Any], signature: str) -> None:
        self.function, self.signature = function, signature

    def machine_code(self) -> MachineCode:
        """Compile it."""
        dispatcher = cast(Any, numba.njit(**INNER)(self.function))
        dispatcher.compile(typed(self.signature))
        (compiled,) = dispatcher.overloads.values()
        symbol, library = compiled.fndesc.llvm_func_name, compiled.library
        module = llvm.parse_assembly(library.get_llvm_str())
        types = ["ptr" if str(part.type).endswith("*") else str(part.type) for part in module.get_function(symbol).arguments]
        wanted = [one.name for one in module.functions if one.is_declaration and not one.name.startswith("llvm.")]
        _, _, (code, _) = library.serialize_using_object_code()
        return MachineCode(symbol, flat_signature(self.signature), types, wanted, code)


def typed(signature: str) -> Any:
    """Return a signature as numba has it, records being tuples with names."""
    arguments, of_types = [], cast(Any, types).BaseTuple.from_types
    for record, kinds in read_signature(signature):
        parts, _ = sigutils.normalize_signature(f"void({', '.join(kinds)})")
        arguments.append(of_types(parts, record) if record else parts[0])
    return types.void(*arguments)


def worker(signature: str) -> Callable[[Callable[..., Any]], Worker]:
    """Compile a function of that signature for `call`; it returns nothing and allocates nothing."""
    return lambda function: Worker(function, signature)


def _call_directly(address: Any, arguments: tuple[Any, ...]) -> None:
    address(*arguments)


def _call_address(typing_context: Any, address: Any, arguments: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kinds = list(signature.args[1].types)
        pointer = context.call_conv.get_function_type(types.none, kinds).as_pointer()
        function, parts = builder.inttoptr(values[0], pointer), cgutils.unpack_tuple(builder, values[1])
        context.call_conv.call_function(builder, function, types.none, kinds, parts)
        return context.get_dummy_value()

    return types.none(address, arguments), generate


call = _call_directly if config.DISABLE_JIT else intrinsic(_call_address)
"""Call a worker from a kernel, as in call(address, (first, second)); the types must be those of its signature."""


def _without_raising(function: Callable[[float], float]) -> Callable[[float], float]:
    """Return a function of Python's that gives infinity beyond the range and nan where it has no value, as compiled."""

    def bounded(x: float) -> float:
        try:
            return function(x)
        except OverflowError:
            return math.inf
        except ValueError:
            return -math.inf if (function, x) in _POLES else math.nan

    return bounded


_POLES = ((math.log, 0.0), (math.log1p, -1.0))
_RAISING = (math.exp, math.expm1, math.sin, math.cos, math.log, math.log1p)
exp, expm1, sin, cos, log, log1p = map(_without_raising, _RAISING) if config.DISABLE_JIT else _RAISING
"""Functions of kernels; what they are compiled from is Python's own, which raises where it is not compiled."""


def _no_matter() -> None:
    pass


def _asking(attribute: str) -> Callable[[], None]:
    """Return what gives the function that calls it an attribute of LLVM's."""

    def ask(typing_context: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            # llvmlite knows only attributes that are single words; into its set of words they go as they are written.
            set.add(builder.function.attributes, attribute)
            return context.get_dummy_value()

        return types.none(), generate

    return _no_matter if config.DISABLE_JIT else intrinsic(ask)


wide_vectors = _asking('"prefer-vector-width"="512"')
"""Called in a kernel: its loops take all 512 bits of a vector register where there are so many.

LLVM takes 256 on Intel's processors, whose clock once fell with wider ones; for long loops that is half of what they can.
"""

apart = _asking("noinline")
"""Called in a kernel: it stays a function of its own even where it has one caller, whose size would cost it registers."""
