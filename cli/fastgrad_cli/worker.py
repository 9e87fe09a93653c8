"""The process that a stranger's function runs in: it gets arguments and returns what the function returned.

Started by `functions`, which talks to it over its stdin and stdout. These are put out of the function's reach: what it
prints goes to stderr, by file descriptor too, and it reads nothing. When the command goes, this process and the processes
that the function started end.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import io
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import IO, Any, NoReturn

import numpy as np

from fastgrad.errors import FailedError, InputError, told
from fastgrad_cli import pipe
from fastgrad_cli.streams import outlet_stream

PACKAGE = "_fastgrad_backward"
"""The package that a file becomes a module of: a name that nothing else has, so that copy.py is not the module copy."""


def main() -> NoReturn:
    """Answer requests until there are no more."""
    source, sink = _take_channel()
    requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(source, requests), daemon=True).start()
    me, function = os.getpid(), None
    _reply(sink, {"outcome": "ready"})
    while True:
        request = requests.get()
        if "layer" in request:
            answer = _checked(*request["layer"])
        elif "limit" in request:
            _limit(request["limit"])
            answer = {"outcome": "limited"}
        elif "load" in request:
            answer, function = _loaded(*request["load"])
        else:
            assert function is not None
            answer = _called(function, request["call"])
        if os.getpid() != me:  # a child that the function made by fork and let return
            os._exit(0)
        _reply(sink, answer)


def _take_channel() -> tuple[IO[bytes], IO[bytes]]:
    """Return stdin and stdout under other descriptors, and leave nothing and stderr in their place."""
    source, sink = io.FileIO(os.dup(0), "rb"), io.FileIO(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr = outlet_stream(2, "utf-8", line_buffering=True)
    return source, sink


def _listen(source: IO[bytes], requests: queue.SimpleQueue[dict[str, Any]]) -> None:
    """Hand requests on; end everything when the command has gone, whatever the function is doing."""
    try:
        while True:
            requests.put(pipe.receive(source, sys.maxsize))
    except (EOFError, OSError):
        if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(0)


def _limit(memory: int) -> None:
    """Let this process take so many bytes more, write no larger file and leave no core; on Linux, which alone holds to it."""
    if sys.platform != "linux":
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    most = pages * resource.getpagesize() + memory
    for kind, bound in ((resource.RLIMIT_AS, most), (resource.RLIMIT_FSIZE, memory), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(kind)[1]
        bound = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(kind, (bound, bound))


def _reply(sink: IO[bytes], answer: dict[str, Any]) -> None:
    """Send an answer, or why it cannot be sent: objects of the function's own may run code when they are looked at."""
    try:
        message = pipe.Message(answer)
    except BaseException as error:
        message = pipe.Message({"outcome": "raised", "text": f"what it returned cannot be read: {told(error)}"})
    try:
        message.send(sink)
    except BaseException:  # half a message is none, and nothing can follow it
        os._exit(1)


def _loaded(place: str, name: str) -> tuple[dict[str, Any], Callable[..., Any] | None]:
    """Import the function; a module or function that is not there is the caller's mistake, all else the module's."""
    try:
        function = getattr(_imported(place), name, None)
    except ModuleNotFoundError as error:
        absent = error.name is not None and f"{place}.".startswith(f"{error.name}.")
        return {"outcome": "absent" if absent else "raised", "text": f"{place} cannot be imported: {told(error)}"}, None
    except BaseException as error:  # whatever a stranger's module may raise
        return {"outcome": "raised", "text": f"{place} cannot be imported: {told(error)}"}, None
    if not callable(function):
        return {"outcome": "absent", "text": f"there is no function {name!r} in {place}{_found_at(place)}"}, None
    return {"outcome": "loaded"}, function


def _found_at(place: str) -> str:
    """Say which module was found, where another file in this folder may have been meant."""
    file = getattr(sys.modules.get(place), "__file__", None)
    meant = Path(f"{place}.py")
    if file is None or not meant.is_file() or meant.resolve() == Path(file).resolve():
        return ""
    return f", which was found as {file}; for the file in this folder say {place}.py:NAME"


def _imported(place: str) -> ModuleType:
    """Import a module from the current folder, or from a file, whose own folder it may import from."""
    path = Path(place)
    if path.suffix != ".py":
        _import_from(Path.cwd())
        return importlib.import_module(place)
    path = path.resolve()
    _import_from(path.parent)
    return _run(path, _package_of(path.parent))


def _import_from(folder: Path) -> None:
    """Let modules be imported from a folder before all others but Python's own, which a copy.py there must not replace."""
    library = Path(os.__file__).parent
    own = [entry for entry in sys.path if Path(entry) in {library, library / "lib-dynload"}]
    sys.path[:] = [*own, str(folder), *(entry for entry in sys.path if entry not in own)]


def _package_of(folder: Path) -> str:
    """Return the name of a package of our own for a folder: neighbours are imported relatively, as in its own package."""
    if (folder / "__init__.py").is_file() and folder.parent != folder:
        name = f"{_package_of(folder.parent)}.{folder.name}"
        importlib.import_module(name)
        return name
    package = ModuleType(PACKAGE)
    package.__path__ = [str(folder)]
    sys.modules[PACKAGE] = package
    return PACKAGE


def _run(path: Path, package: str) -> ModuleType:
    """Import a file as a module of a package."""
    name = f"{package}.{path.stem.replace('.', '_')}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError("it is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _called(function: Callable[..., Any], arguments: list[Any]) -> dict[str, Any]:
    """Call the function; say what it returned or raised, and how it left its arguments if not as they were."""
    before = [_bytes(argument) for argument in arguments]
    try:
        returned = function(*arguments)
    except BaseException as error:  # whatever a stranger's code may raise: Ctrl-C does not come here
        return {"outcome": "raised", "text": told(error)}
    unchanged = before == [_bytes(argument) for argument in arguments]
    return {"outcome": "returned", "value": returned, "arguments": None if unchanged else arguments}


def _checked(names: list[list[str]], inputs: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """Check a layer here; its two functions may come from one module, which is imported once."""
    modules: dict[str, ModuleType] = {}
    functions = []
    for place, name in names:
        try:
            modules[place] = modules.get(place) or _imported(place)
            functions.append(getattr(modules[place], name))
        except AttributeError:
            return {"outcome": "refused", "text": f"there is no function {name!r} in {place}{_found_at(place)}"}
        except BaseException as error:  # whatever a stranger's module may raise
            return {"outcome": "refused", "text": f"{place} cannot be imported: {told(error)}"}
    from fastgrad.layers.check import check_layer  # which a function for --backward does not wait for

    try:
        report = check_layer(functions[0], functions[1], inputs, **options)
    except FailedError as error:
        return {"outcome": "failed", "text": str(error)}
    except InputError as error:
        return {"outcome": "refused", "text": str(error)}
    return {"outcome": "report", "report": dataclasses.asdict(report)}


def _bytes(argument: Any) -> Any:
    """Return what tells whether an argument was changed."""
    if isinstance(argument, Mapping):
        return {key: _bytes(value) for key, value in argument.items()}
    if isinstance(argument, np.ndarray) and not argument.dtype.hasobject:
        return argument.dtype.str, argument.shape, argument.tobytes()
    return type(argument)
