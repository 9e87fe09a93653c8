"""HDF5 files, Keras' weights among them, by h5py: plain data sets alone, and nothing that lies in another file.

The name of a data set is its path with points for slashes; texts among the attributes of the file are items of the description.
"""

from __future__ import annotations

import io
import os
import re
import sys
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastgrad.errors import InputError, shortened
from fastgrad.reading.formats import npz
from fastgrad.reading.formats.npy import (
    CHUNK,
    MOST_ARRAYS,
    MOST_DIMENSIONS,
    Raw,
    Sized,
    reading,
    require_memory,
    require_modest,
    require_names,
)
from fastgrad.reading.formats.opening import opened
from fastgrad.reading.formats.wanted import library
from fastgrad.writing import PathLike

FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32"}
"""The filters that HDF5 itself brings and which need no plugin; others would run code that is looked for on the disk."""
REFUSED = 2
"""Exit code of the process that reads, where it has said why it does not."""
MOST_FOLD = 1040
"""How many times smaller than its numbers a data set may lie there: a deflated byte becomes at most 1032."""


def read(path: PathLike) -> dict[str, Raw]:
    """Read every data set of the file, by their names in natural order, in a process of its own.

    The compiled library behind h5py ends the process that it runs in where some byte of a file is damaged.
    """
    import subprocess  # which no other format needs

    library("h5py", "an HDF5 file")
    with opened(path):  # a regular file, which may be read
        pass
    program = f"import sys; from {__name__} import main; sys.exit(main(sys.argv[1]))"
    command = [sys.executable, "-P", "-c", program, os.fspath(path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    answer = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, env=environment)
    if answer.returncode == REFUSED:
        raise InputError(answer.stderr.decode(errors="replace").strip())
    if answer.returncode:
        raise InputError("this HDF5 file is damaged: the library that reads it crashed")
    return npz.read(io.BytesIO(answer.stdout))


def main(path: str) -> int:
    """Write the data sets of a file to the standard output as an .npz, or what is wrong with it to stderr; see `read`."""
    try:
        arrays = _read_here(path)
    except InputError as error:
        print(error, file=sys.stderr)
        return REFUSED
    with zipfile.ZipFile(sys.stdout.buffer, "w") as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    return 0


def _read_here(path: str) -> dict[str, Raw]:
    h5py = library("h5py", "an HDF5 file")
    try:
        with h5py.File(path, "r") as file:
            return _arrays(file, h5py)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # h5py raises OSError, RuntimeError, KeyError and others for what is damaged
        raise InputError(f"this HDF5 file is truncated or damaged ({shortened(str(error))})") from None


def _arrays(file: Any, h5py: Any) -> dict[str, Raw]:
    sets = dict(_data_sets(file, h5py, ""))
    items = {name: np.array(value) for name, value in file.attrs.items() if _is_item(name, value)}
    require_names(list(sets))
    require_memory([_sized(name, data) for name, data in sets.items()])
    arrays = {name: _read(name, data) for name, data in sets.items()}
    for name, item in items.items():
        require_modest(name, item.shape, item.dtype)
    return arrays | {name: item for name, item in items.items() if name not in arrays}


def _is_item(name: Any, value: Any) -> bool:
    return isinstance(name, str) and isinstance(value, str | float | int | np.number)


def _data_sets(group: Any, h5py: Any, prefix: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield the data sets of a group and of those in it, each once, none of another file."""
    names = list(group.keys())
    if not all(isinstance(name, str) for name in names):  # h5py gives bytes that are no text as they are
        raise ValueError("a name that is no text")
    if depth > MOST_DIMENSIONS or len(names) > MOST_ARRAYS:
        raise InputError(f"it holds more than {MOST_ARRAYS:,} entries in a group, or {MOST_DIMENSIONS} groups in one another")
    for name in sorted(names, key=_natural):
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise InputError(f"{prefix}{name} is a link to somewhere else, which is not followed; write a copy of the numbers")
        item = group[name]
        if isinstance(item, h5py.Group):
            yield from _data_sets(item, h5py, f"{prefix}{name}.", depth + 1)
        elif isinstance(item, h5py.Dataset):
            yield f"{prefix}{name.removesuffix(':0')}", item


def _natural(name: str) -> list[Any]:
    """Return a key that puts dense_2 before dense_10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name) if part]


def _sized(name: str, data: Any) -> Sized:
    """Refuse what is no plain data set, and return what it will take."""
    if data.is_virtual or data.external:
        raise InputError(f"{name} lies in other files, which are not opened; write a copy of the numbers")
    plist = data.id.get_create_plist()
    filters = [plist.get_filter(place)[0] for place in range(plist.get_nfilters())]
    if not set(filters) <= set(FILTERS):
        raise InputError(f"{name} is packed with a filter other than gzip; write it without one")
    if data.shape is None or data.dtype.kind not in "fiubSO" or (data.dtype.kind == "O" and not _is_text(data)):
        raise InputError(f"{name} is no array of numbers or texts (dtype {shortened(str(data.dtype))})")
    size = int(np.prod(data.shape, dtype=object)) * data.dtype.itemsize
    if size > max(data.id.get_storage_size(), 1) * MOST_FOLD + CHUNK:
        raise InputError(f"{name} is damaged, or was never written: {size:,} bytes of numbers, hardly any of them in the file")
    return Sized(name, tuple(data.shape), size)


def _is_text(data: Any) -> bool:
    """Whether a data set holds one text of any length."""
    return bool(data.shape == () and data.dtype.metadata and data.dtype.metadata.get("vlen") in (str, bytes))


def _read(name: str, data: Any) -> Raw:
    with reading(name):
        if data.dtype.kind == "O":
            return np.array(data.asstr()[()])
        array = np.asarray(data[()])
    require_modest(name, array.shape, array.dtype)
    return array
