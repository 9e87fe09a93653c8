"""The key of compiled code: a digest of all that changes it, so that stale code is impossible.

Called by kernel and dispatch. That is the content of every file here, the versions that compile, the processor, and numba's
settings: variables, the file that numba reads from the current folder, and what a program has assigned to them.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import Any
from warnings import catch_warnings

import llvmlite
import llvmlite.binding as llvm
import numpy as np

from fastgrad.kernels.native import numba_version

SETTINGS_FILE = ".numba_config.yaml"
HARMLESS = {
    f"NUMBA_{name}"
    for name in (
        "CACHE_DIR", "CACHE_LOCATOR_CLASSES", "COLOR_SCHEME", "DEFAULT_NUM_THREADS", "DISABLE_PERFORMANCE_WARNINGS",
        "NUM_THREADS", "THREADING_LAYER", "THREADING_LAYER_PRIORITY",
    )
}  # fmt: skip
"""Variables of numba's that do not change what is compiled; of any other, known or not, it is taken that it does."""


def key() -> str:
    """Return the key of what would be compiled now."""
    return _digest(tuple(_settings()))


def settings_hold() -> bool:
    """Whether numba, which compiles in this process, has the settings that the key is made of.

    A program may have assigned others since, or have changed its folder. What numba would read is read here into a copy of
    the module that holds it.
    """
    from numba.core import config

    fresh = _copy_of(config)
    names = {name for name in vars(fresh) if name.isupper()} - {name.removeprefix("NUMBA_") for name in HARMLESS} - HARMLESS
    return all(getattr(config, name) == getattr(fresh, name) for name in names)


def _settings() -> Iterator[bytes]:
    """Yield what numba reads when it is imported, which it need not be for this."""
    for name, value in sorted(os.environ.items()):
        # A profiler has numba write its information for debuggers into the code.
        if (name.startswith("NUMBA_") and name not in HARMLESS) or name == "VS_PROFILER":
            yield os.fsencode(f"{name}={value}")
    file = Path(SETTINGS_FILE)
    if file.is_file():
        yield b"read=%d" % (find_spec("yaml") is not None)  # numba leaves the file alone where it cannot read it
        with suppress(OSError):
            yield b"file=" + file.read_bytes()


@cache
def _digest(settings: tuple[bytes, ...]) -> str:
    content = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        content.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    features = llvm.get_host_cpu_features().flatten()
    versions = (numba_version(), llvmlite.__version__, np.__version__, platform.python_version())
    machine = (llvm.get_default_triple(), llvm.get_host_cpu_name(), features)
    for part in (*map(os.fsencode, (*versions, *machine)), *settings):
        content.update(b"%d:" % len(part) + part)
    return content.hexdigest()[:16]


def _copy_of(module: Any) -> Any:
    spec = find_spec(module.__name__)
    assert spec is not None
    assert spec.loader is not None
    copy = module_from_spec(spec)
    with catch_warnings(action="ignore"):  # which numba has given already
        spec.loader.exec_module(copy)
    return copy
