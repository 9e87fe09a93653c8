"""What the commands `gradient` and `demo` write: which file, and which arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastgrad._version import SCHEMA
from fastgrad.errors import InputError, shortened
from fastgrad.reading import LIST_ITEMS, NUMBER_ITEMS, TEXT_ITEMS, Description, modelfile
from fastgrad.reading.formats import STDIN, load_arrays
from fastgrad.reading.names import split
from fastgrad.teaching.demo import Demo
from fastgrad.writing import replaceable

Arrays = dict[str, npt.NDArray[Any]]
ITEMS = TEXT_ITEMS | NUMBER_ITEMS | LIST_ITEMS
"""Names of what describes the network, which is taken from the first of two files."""


def free_target(source: str, target: str | None, force: bool) -> Path:
    """Return the file to write.

    Raises
    ------
    InputError
        If it is the source, or is there already and may not be replaced.
    """
    if target is None and source == STDIN:
        raise InputError("what comes in by the standard input has no name: say with --to which file to write")
    path = Path(target) if target is not None else Path(f"{Path(source).stem}_gradient.npz")
    replaceable(path, follow=force)
    if path.exists() and Path(source).exists() and path.samefile(source):
        raise InputError(f"{shortened(str(path))} is the file to be read; give another name with --to")
    if path.exists() and not force:
        raise InputError(f"{shortened(str(path))} is already there; give another name with --to, or write over it with --force")
    return path


def require_same_point(first: str, second: str) -> None:
    """Raise InputError where two files hold other parameters, or other data, under the same names."""
    ours, theirs = load_arrays(first), load_arrays(second)
    gradients = split(theirs, Description())[1]
    if not gradients:  # gradients under the parameters' names
        return
    for name in ours.keys() & theirs.keys() - gradients.keys():
        same = ours[name].shape == theirs[name].shape and np.array_equal(ours[name], theirs[name])
        if not same and name not in ITEMS:
            raise InputError(
                f"{shortened(second)} has another {shortened(name)} than {shortened(first)}; two gradients are compared at one "
                "point: the same parameters, X and Y"
            )


def written(path: Path, arrays: Arrays) -> dict[str, Any]:
    """Return the JSON document of a file that was written."""
    tensors = [{"name": name, "shape": list(array.shape)} for name, array in arrays.items()]
    return {"schema": SCHEMA, "written": str(path), "tensors": tensors}


def write_demo(demo: Demo) -> Path:
    """Write a demo's file into the current folder, unless it is there already.

    Raises
    ------
    InputError
        If a file of that name holds something else.
    """
    arrays, description = demo.build()
    contents = {**arrays, **description}
    path = Path(f"{demo.name}.npz")
    if not path.exists():
        modelfile.save_arrays(path, contents)
    elif not _holds(path, contents):
        raise InputError(f"{path} is already in this folder and is not the demo's; run the demo in another folder")
    return path


def _holds(path: Path, contents: dict[str, Any]) -> bool:
    """Whether a file holds exactly these arrays."""
    try:
        found = load_arrays(path)
    except InputError:
        return False
    return found.keys() == contents.keys() and all(np.array_equal(found[key], contents[key]) for key in contents)
