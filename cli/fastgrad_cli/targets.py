"""Which files a command means: files, folders of them, patterns."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from fastgrad.errors import InputError, quoted

SUFFIXES = (".npz", ".json", ".safetensors", ".mat", ".h5", ".hdf5")


def expanded(given: Sequence[str], suffixes: Sequence[str] = SUFFIXES) -> list[str]:
    """Return the files that are meant, each once, those of a folder or a pattern in the order of their names.

    Raises
    ------
    InputError
        If a folder or a pattern holds none, or a name is empty.
    """
    return list(dict.fromkeys(file for text in given for file in _files(text, suffixes)))


def _files(text: str, suffixes: Sequence[str]) -> list[str]:
    if not text:  # what a variable of the shell becomes that is not set; to Path it is the folder one stands in
        raise InputError("the name of a file is empty")
    path = Path(text)
    try:
        is_folder, exists = path.is_dir(), path.exists()
    except (OSError, ValueError):  # a name that no file can have; opening it says so
        return [text]
    if is_folder and not any(path.glob("*.npy")):
        found = sorted(str(file) for file in path.iterdir() if file.suffix.lower() in suffixes)
        if not found:
            what = "neither .npy files nor model files" if suffixes is SUFFIXES else "no files"
            raise InputError(f"{quoted(text)} holds {what} ({', '.join(suffixes)})")
        return found
    if exists or not glob.has_magic(text):
        return [text]
    found = sorted(glob.glob(text, recursive=True))
    if not found:
        raise InputError(f"no file matches {quoted(text)}")
    return found
