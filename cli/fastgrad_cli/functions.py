"""A function named on the command line, module:function or file.py:function, in a process of its own.

It may print, exit, crash or hang there without touching the exit code or the output of the command: numbers go over, and
what comes back are numbers or the reason why there are none. This guards against accidents and is no sandbox.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple, Self, TextIO

from fastgrad.errors import FunctionError, InputError, quoted
from fastgrad.machine import available_memory

# numpy is imported where it is needed, for the process is to be started before this one waits for it.
START_UP = 60.0
"""Seconds that Python may take to start, and a module to be imported: a large framework on a slow disk takes ten."""
LEAST, PER_PRODUCT = 10.0, 1e-5
"""Seconds for a call: at least so many, and so many for each weight and example. A backward pass in loops of plain Python
takes three products for these, 0.3 µs each (the slowest way of indexing an array); ten times that on a busy machine."""
PULSE, GRACE = 0.2, 1.0
"""Seconds between two looks at whether the process still lives; seconds for its last words."""
KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "SYSTEMROOT", "VIRTUAL_ENV", "CONDA_PREFIX", "LD_LIBRARY_PATH")
"""Variables that a confined function sees: what Python and its packages are found by, and nothing of the person's."""
HOMES = ("HOME", "USERPROFILE", "TMPDIR", "TEMP", "TMP", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR", "NUMBA_CACHE_DIR")
"""Variables that lead a confined function to its own folder."""
SINGLE = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
"""Variables by which libraries of a confined function take one thread: several such functions share the machine."""
MARK, PASSES = "FASTGRAD_FUNCTION", 10
"""The variable by which what the process starts is known; how often it is looked for, where new ones keep appearing."""

_PROGRAM = "import json, sys; sys.path[:] = json.loads(sys.argv.pop()); from fastgrad_cli.worker import main; main()"


def patience(parameters: dict[str, Any], X: Any, Y: Any) -> float:
    """Return the seconds that a call may take."""
    import numpy as np

    weights = sum(np.size(value) for value in parameters.values())
    examples = min(max(np.shape(X), default=1), np.size(Y))  # X has them along one axis, and Y has one entry of each
    return LEAST + PER_PRODUCT * weights * examples


class Confined(NamedTuple):
    """How a stranger's function is kept to itself.

    Attributes
    ----------
    folder : str
        Where it works, and all that its environment names.
    memory : int
        Bytes that it may take beside Python and NumPy, and write into one file; held where the system can.
    """

    folder: str
    memory: int


class UserFunction:
    """A function in a process of its own, called as if it were here; a context that ends the process.

    Parameters
    ----------
    text : str
        Its name: module:function or file.py:function.
    timeout : float, optional
        Seconds that a call, and importing the module, may take; 0 for no limit, None for one that grows with the network.
    confined : Confined, optional
        A folder of its own, a reduced environment and limits; what the function prints is dropped.

    Attributes
    ----------
    source : str
        Its file, where that was named.
    timeout : float or None
        As given; it may be changed between calls.

    Raises
    ------
    InputError
        If the name is none, there is no such file, or the process cannot be started.
    """

    def __init__(self, text: str, timeout: float | None = None, confined: Confined | None = None) -> None:
        self._place, self._name = named(text)
        self.source = self._place if self._place.endswith(".py") else ""
        self.timeout = timeout
        self._confined = confined
        self._ended: str | None = None
        self._gone = False
        # Python's safe path keeps files of the current folder from replacing modules that numpy imports.
        command = [sys.executable, "-P", "-c", _PROGRAM, json.dumps(sys.path)]
        self._mark = f"{os.getpid()}-{secrets.token_hex(8)}"
        try:
            self._process: subprocess.Popen[bytes] = subprocess.Popen(command, **_how_to_start(self._mark, confined))
        except OSError as error:
            raise InputError(f"no process can be started for {self._place}: {error.strerror or error}") from None
        # Through us, so that a stderr that is full or closed is no matter of the function's.
        target = sys.stderr if confined is None else None
        self._echo = threading.Thread(target=_pass_on, args=(self._process.stderr, target), daemon=True)
        self._echo.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()

    def load(self) -> None:
        """Import the function.

        What its module does instead is no error here; the first call then fails with it.

        Raises
        ------
        InputError
            If there is no such module, or no such function in it, or no process.
        """
        self.start()
        with contextlib.suppress(FunctionError):
            seconds = START_UP if self.timeout is None else self.timeout
            too_long = f"importing {self._called()} took longer than {self._allowed(seconds)}"
            if self._confined is not None:
                self._exchange({"limit": self._confined.memory}, START_UP, "its limits could not be set")
            answer = self._exchange({"load": [self._place, self._name]}, seconds, too_long)
            if answer["outcome"] == "absent":
                raise InputError(answer["text"])
            if answer["outcome"] == "raised":
                self._ended = answer["text"]

    def start(self) -> None:
        """Wait until the process answers.

        Raises
        ------
        InputError
            If it does not.
        """
        try:
            self._exchange(None, START_UP, f"Python did not start in it within {START_UP:g} s")
        except FunctionError as error:
            raise InputError(f"no process can be started for {self._place}: {error}") from None

    def __call__(self, parameters: dict[str, Any], X: Any, Y: Any) -> Any:
        """Call the function there; changes to its arguments are made here as well."""
        seconds = patience(parameters, X, Y) if self.timeout is None else self.timeout
        answer = self._exchange({"call": [parameters, X, Y]}, seconds, f"it took longer than {self._allowed(seconds)}")
        if answer["outcome"] == "raised":
            raise FunctionError(answer["text"])
        if answer["arguments"] is not None:
            changed, *data = answer["arguments"]
            parameters.clear()
            parameters.update(changed)
            for array, after in zip((X, Y), data, strict=True):
                _overwrite(array, after)
        return answer["value"]

    def _exchange(self, request: dict[str, Any] | None, seconds: float, too_long: str) -> dict[str, Any]:
        """Send a request and wait for the answer.

        Raises
        ------
        FunctionError
            If none came in time, or none can come any more.
        """
        if self._ended is not None:
            raise FunctionError(self._ended)
        answers: list[Any] = []
        # In a thread, since neither writing nor reading a pipe can be given a time; on Windows least of all.
        thread = threading.Thread(target=self._talk, args=(request, answers), daemon=True)
        thread.start()
        deadline = time.monotonic() + (seconds or math.inf)
        while thread.is_alive() and (left := deadline - time.monotonic()) > 0.0:
            thread.join(min(PULSE, left))
            if self._process.poll() is not None:  # a child that it left may keep the pipe open
                thread.join(GRACE)
                break
        if answers and isinstance(answers[0], dict):
            return answers[0]
        self._ended = self._why(answers, too_long)
        self.end()
        raise FunctionError(self._ended)

    def _called(self) -> str:
        """Return what a message calls its file."""
        return self._place if self._confined is None else Path(self._place).name

    def _allowed(self, seconds: float) -> str:
        return allowed(seconds) if self._confined is None else f"the {seconds:.3g} s that were left"

    def _talk(self, request: dict[str, Any] | None, answers: list[Any]) -> None:
        """Send a request, if there is one, and append the answer, or what came instead of one."""
        from fastgrad_cli import pipe

        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            if request is not None:
                pipe.Message(request).send(self._process.stdin)
            answers.append(pipe.receive(self._process.stdout, available_memory()))
        except Exception as error:
            answers.append(error)

    def _why(self, answers: list[Any], too_long: str) -> str:
        """Say why there is no answer."""
        if answers and not isinstance(answers[0], EOFError | OSError):
            return f"what it returned cannot be taken: {answers[0]}"
        try:
            code = self._process.wait(GRACE if answers else 0.0)
        except subprocess.TimeoutExpired:
            return "it closed the pipe that its answer is expected from" if answers else too_long
        if code >= 0:
            return f"it ended the process that it ran in, with exit code {code}"
        with contextlib.suppress(ValueError):
            return f"it crashed: {signal.Signals(-code).name} ended the process that it ran in"
        return f"it crashed: signal {-code} ended the process that it ran in"

    def end(self) -> None:
        """End the process and what it has started, once; on Windows the process alone, on Linux what has left its group too."""
        if self._gone:  # its number may be another's by now
            return
        self._gone = True
        with contextlib.suppress(OSError):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()
        self._process.wait()
        _end_marked(self._mark)
        self._echo.join(GRACE)


def _pass_on(source: IO[bytes], target: TextIO | None) -> None:
    """Write what the process prints to our stderr, or nowhere, as long as there is anything."""
    if target is None:
        while source.read(1 << 16):
            pass
        source.close()
        return
    with io.TextIOWrapper(io.BufferedReader(source), encoding="utf-8", errors="replace", newline="") as lines:  # type: ignore[type-var]
        for line in lines:
            with contextlib.suppress(OSError, ValueError):
                target.write(line)
                target.flush()


def named(text: str) -> tuple[str, str]:
    """Part a function's name into its module, or file, and its own."""
    place, colon, name = text.rpartition(":")
    if not colon or not place or not name:
        raise InputError(f"a function is named as module:function or file.py:function, found {quoted(text)}")
    if place.endswith(".py") and not Path(place).is_file():
        raise InputError(f"there is no file {quoted(place)}")
    return place, name


def allowed(seconds: float) -> str:
    """Say how long something may take, and how to allow more."""
    return f"{seconds:.3g} s; --timeout SECONDS allows more, --timeout 0 any time"


def _how_to_start(mark: str, confined: Confined | None) -> dict[str, Any]:
    """Return the options of a process with pipes in a group of its own: Ctrl-C does not reach it, and it ends as a whole."""
    options: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE) | {"bufsize": 0}
    environment = {**os.environ} if confined is None else _reduced(confined.folder)
    options |= {"env": {**environment, MARK: mark}, "cwd": None if confined is None else confined.folder}
    if sys.platform == "win32":
        return {**options, "creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {**options, "start_new_session": True}


def _reduced(folder: str) -> dict[str, str]:
    """Return an environment of a folder's own: nothing of the person's is in it."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {**kept, **dict.fromkeys(HOMES, folder), **dict.fromkeys(SINGLE, "1"), "PYTHONDONTWRITEBYTECODE": "1"}


def _end_marked(mark: str) -> None:
    """End what the function started in sessions of its own, as far as Linux tells: they have inherited the mark."""
    for _ in range(PASSES):  # who is being ended may just have started another
        if not (found := list(_marked(f"{MARK}={mark}".encode()))):
            return
        for number in found:
            with contextlib.suppress(OSError):
                os.kill(number, signal.SIGKILL)


def _marked(entry: bytes) -> Iterator[int]:
    """Yield the processes with an entry in their environment; none where there is no /proc."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if entry in (folder / "environ").read_bytes().split(b"\0"):
                yield int(folder.name)


def _overwrite(array: Any, after: Any) -> None:
    """Change an array in place as the function changed its own."""
    import numpy as np

    if np.shape(after) != array.shape:
        array.resize(np.shape(after), refcheck=False)
    np.copyto(array, after, casting="unsafe")
