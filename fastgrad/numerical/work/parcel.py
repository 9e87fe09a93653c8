"""A task as files that workers in other processes open: arrays without pickles, and a JSON that says what they are.

Called by the other files here. A parcel holds what kernels take, as the process that asks has worked it out: the forward pass
and the steps, so that no worker makes either again and all of them go by the same bits. Its key is a digest of just that, and
of the code that works on it. Claimed gradients are no part of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from fastgrad.errors import InputError
from fastgrad.kernels.key import key as key_of_kernels
from fastgrad.kernels.records import Tables
from fastgrad.model.forward import BasePoint, layer_table
from fastgrad.model.network import Network, Problem
from fastgrad.numerical.blocks import Method, Plan, Task
from fastgrad.numerical.methods import METHODS
from fastgrad.writing import written_whole

Arrays = dict[str, npt.NDArray[Any]]

COMPARED = 2**22
"""Bytes of a file that are held against an array at a time."""


class UnseenError(InputError):
    """A parcel that lies where a worker sees nothing."""


def version() -> str:
    """Return a digest of the code that turns a parcel into numbers: kernels, plans, and the machine they are compiled for."""
    return hashlib.sha256(f"{key_of_kernels()} {_plans()}".encode()).hexdigest()[:16]


@cache
def _plans() -> str:
    content = hashlib.sha256()
    for file in sorted(Path(__file__).parents[1].rglob("*.py")):
        content.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return content.hexdigest()


def method_of(plan: Plan) -> Method:
    """Return the method that a plan is one of."""
    kind: object = type(plan)
    return next(method for method in METHODS.values() if method.plan is kind)


@dataclass(frozen=True, eq=False)
class Parcel:
    """What a plan's blocks are made of."""

    plan: Plan

    @cached_property
    def arrays(self) -> Arrays:
        """The arrays by the names of their files."""
        task = replace(self.plan.task, steps=self.plan.chosen)
        return dict(_arrays_of(task))

    @cached_property
    def said(self) -> dict[str, Any]:
        """What is no array."""
        task = self.plan.task
        return {
            "method": method_of(self.plan).name,
            "scheme": task.scheme,
            "step": task.step,
            "network": asdict(task.problem.network),
            "arrays": {name: [array.dtype.str, *array.shape] for name, array in self.arrays.items()},
            "version": version(),
        }

    @cached_property
    def key(self) -> str:
        """A digest of all of it."""
        content = hashlib.sha256(json.dumps(self.said, sort_keys=True).encode())
        for array in self.arrays.values():
            content.update(_bytes_of(array))
        return content.hexdigest()[:32]

    def write(self, folder: Path) -> None:
        """Write it into a folder, but what lies there already."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, array in self.arrays.items():
            path = folder / f"{name}.npy"
            if not _holds(path, array):
                with written_whole(path) as stream:
                    np.lib.format.write_array(stream, array, allow_pickle=False)
        with written_whole(folder / "work.json") as stream:
            stream.write(json.dumps(self.said, indent=1).encode())


def _arrays_of(task: Task) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Yield the arrays of a task whose steps are chosen."""
    problem, base = task.problem, task.base
    yield "theta", problem.theta
    yield "X", problem.X
    yield "Y", problem.Y
    yield from ((f"mask{layer}", mask) for layer, mask in enumerate(problem.masks) if mask is not None)
    yield from ((f"activation{layer}", a) for layer, a in enumerate(base.activations) if a is not problem.X)
    yield "units", base.tables.units
    yield "outputs", base.tables.outputs
    yield "top", base.tables.top
    if task.selected is not None:
        yield "selected", task.selected
    for layer, (steps, bounds) in enumerate(task.steps or []):
        yield f"steps{layer}", steps
        yield f"bounds{layer}", bounds


def _bytes_of(array: npt.NDArray[Any]) -> memoryview:
    return memoryview(np.ascontiguousarray(array).reshape(-1).view(np.uint8))  # type: ignore[arg-type]


def _holds(path: Path, array: npt.NDArray[Any]) -> bool:
    """Whether a file holds just that array."""
    try:
        there = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return False
    if not isinstance(there, np.ndarray) or (there.dtype, there.shape) != (array.dtype, array.shape):
        return False
    ours, theirs = _bytes_of(array), _bytes_of(there)
    return all(ours[low : low + COMPARED] == theirs[low : low + COMPARED] for low in range(0, len(ours), COMPARED))


_latest: tuple[str, Plan] | None = None
_opening = Lock()


def opened(folder: str) -> Plan:
    """Return the plan of the parcel in a folder; that of the latest one is kept.

    Raises
    ------
    UnseenError
        If there is no such folder here.
    InputError
        If this process has other code than the one that wrote it, or cannot read it.
    """
    global _latest
    with _opening:  # threads of one worker open it once
        if _latest is None or _latest[0] != folder:
            _latest = None  # its memory, before more is taken
            _latest = folder, plan_of(*_read(Path(folder)))
        return _latest[1]


def _read(folder: Path) -> tuple[dict[str, Any], Arrays]:
    """Read a parcel, its arrays mapped into memory."""
    try:
        said = json.loads((folder / "work.json").read_text(encoding="utf-8"))
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in said["arrays"]}
    except FileNotFoundError:
        raise UnseenError(
            f"a worker sees no folder {folder}, where the network lies for all of them; workers on other machines need a "
            "folder that every machine sees under the same path: name it with store= (--store)"
        ) from None
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"a worker cannot read the network in {folder}: {error}") from None
    return said, arrays


def plan_of(said: dict[str, Any], arrays: Arrays) -> Plan:
    """Return the plan that a parcel was made of."""
    if said["version"] != version():
        raise InputError(
            "a worker has other kernels than this process, and its numbers would not be the same bit for bit; all workers need "
            "the same versions of fastgrad, numba, NumPy and Python, and the same kind of processor, as this process"
        )
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    items: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in said["network"].items()}
    network = Network(**items)
    depth = network.depth
    masks = tuple(arrays.get(f"mask{layer}") for layer in range(depth))
    problem = Problem(network, arrays["theta"], arrays["X"], arrays["Y"], (), None, None, masks if _is_any(masks) else ())
    shapes = np.array(network.activation_parameters)
    tables = Tables(
        problem.theta,
        layer_table(network),
        shapes,
        arrays["units"],
        arrays["outputs"],
        arrays["top"],
        network.loss_code,
        network.loss_parameter,
    )
    activations = [arrays.get(f"activation{layer}", problem.X) for layer in range(depth + 1)]
    base = BasePoint(problem, tables, activations, [], np.empty(0), float("nan"), None)
    steps = [(arrays[f"steps{layer}"], arrays[f"bounds{layer}"]) for layer in range(depth) if f"steps{layer}" in arrays]
    task = Task(problem, base, arrays.get("selected"), said["step"], said["scheme"], steps or None)
    plan = METHODS[said["method"]].plan
    assert plan is not None
    return plan(task)


def _is_any(masks: tuple[Any, ...]) -> bool:
    return any(mask is not None for mask in masks)
