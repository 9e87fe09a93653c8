"""The formats of files: one row and one function for each, from a path to arrays by name.

Called by `modelfile`. What the arrays mean is another's business.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from fastgrad.errors import InputError, shortened
from fastgrad.reading.formats import folder, hdf5, lists, matlab, npz, tensors
from fastgrad.reading.formats.npy import Raw
from fastgrad.reading.formats.opening import opened, standard_input
from fastgrad.writing import PathLike


class Format(NamedTuple):
    """A format: what people call it, the endings of its files, what it begins with, how it is read, what library that needs."""

    name: str
    suffixes: tuple[str, ...]
    beginnings: tuple[bytes, ...]
    read: Callable[[Any], dict[str, Raw]]
    needs: str = ""


FORMATS = (
    Format("NumPy's archive", (".npz",), (b"PK",), npz.read),
    Format("a folder of .npy files", (), (), folder.read),
    Format("JSON of nested lists", (".json",), (b"{", b"["), lists.read),
    Format("safetensors", (".safetensors",), (), tensors.read, "safetensors"),
    Format("MATLAB's and Octave's", (".mat",), (b"MATLAB",), matlab.read),
    Format("HDF5, Keras' weights among them", (".h5", ".hdf5"), (b"\x89HDF",), hdf5.read, "h5py"),
)
"""All formats; the first is taken for what is none of the others."""
STREAMED = {b"P": FORMATS[0], b"{": FORMATS[2]}
"""What may come in by the standard input, by how it begins."""
STDIN = "-"
"""The name that stands for the standard input, as in most tools."""

PICKLED = (".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".bin")
"""Endings of files that are pickles, which run code when they are loaded."""
BEGINNING = 8
"""Bytes that tell a format."""


def load_arrays(path: PathLike) -> dict[str, Raw]:
    """Read every array of a file, or of a folder of .npy files.

    Parameters
    ----------
    path : str or path
        The file or the folder; "-" for an .npz or JSON that comes in by the standard input.

    Returns
    -------
    dict of str to ndarray
        By name; texts and single numbers may be items of a description.

    Raises
    ------
    InputError
        If there is no such file, if it is of no format that is known, is damaged, holds a pickle, or needs more memory than
        there is; the message begins with the file.
    """
    if not os.fspath(path):  # to Path it is the folder that one stands in
        raise InputError("the name of a file is empty")
    try:
        return _streamed() if path == STDIN else _format_of(path).read(path)
    except InputError as error:
        raise InputError(f"{called(path)}: {error}") from None


def called(path: PathLike) -> str:
    """Return what a message calls a file."""
    return "the standard input" if path == STDIN else shortened(os.fspath(path))


def _streamed() -> dict[str, Raw]:
    """Read what comes in by the standard input."""
    stream = standard_input()
    beginning = stream.read(BEGINNING).lstrip()
    stream.seek(0)
    if beginning[:1] not in STREAMED:
        raise InputError("this is neither an .npz nor a JSON object; other formats are read from files")
    return STREAMED[beginning[:1]].read(stream)


def _format_of(path: PathLike) -> Format:
    """Tell the format of a file by its ending, and where that says nothing, by how it begins."""
    suffix = Path(path).suffix.lower()
    if _is_folder(path):
        return FORMATS[1]
    if suffix in PICKLED:
        raise InputError(
            f"{suffix} files are pickles, which run code when they are loaded; write the tensors with "
            "safetensors.torch.save_file(model.state_dict(), 'model.safetensors'), or with np.savez"
        )
    if suffix == ".keras":
        raise InputError("a .keras file holds a whole model; write its weights with model.save_weights('model.weights.h5')")
    by_suffix = [row for row in FORMATS if suffix in row.suffixes]
    return by_suffix[0] if by_suffix else _by_beginning(path)


def _is_folder(path: PathLike) -> bool:
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):  # a name that is too long, or with a zero byte; opening it says so
        return False


def _by_beginning(path: PathLike) -> Format:
    with opened(path) as stream:
        beginning = stream.read(BEGINNING)
    return next((row for row in FORMATS if beginning.startswith(row.beginnings or (b"\0none",))), FORMATS[0])
