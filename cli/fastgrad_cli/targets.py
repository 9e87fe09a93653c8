"""Which files a command means: files, folders of them, patterns."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from fastgrad.errors import InputError, quoted
from fastgrad_cli import terminal

FOLDERS = 3
"""Folders in a folder that are named where they are passed over."""
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
        return _in_folder(path, text, suffixes)
    if exists or not glob.has_magic(text):
        return [text]
    found = sorted(glob.glob(text, recursive=True))
    if not found:
        raise InputError(f"no file matches {quoted(text)}")
    return found


def _in_folder(path: Path, text: str, suffixes: Sequence[str]) -> list[str]:
    """Return the files of a folder, and say that those of folders in it are not among them."""
    found = sorted(str(file) for file in path.iterdir() if file.suffix.lower() in suffixes)
    folders = sorted(one.name for one in path.iterdir() if one.is_dir() and one.name[0] not in "._")
    below = f"{quoted(str(path / '**' / f'*{suffixes[0]}'))}, in quotes, stands for the files of all folders below"
    if not found:
        what = "neither .npy files nor model files" if suffixes is SUFFIXES else "no files"
        deeper = f"; {below}" if folders else ""
        raise InputError(f"{quoted(text)} holds {what} ({', '.join(suffixes)}){deeper}")
    if folders:
        verb = "is a folder in it that was" if len(folders) == 1 else "are folders in it that were"
        names = ", ".join(folders[:FOLDERS]) + (f" and {len(folders) - FOLDERS} more" if len(folders) > FOLDERS else "")
        terminal.note(f"Note: of {text} only the files in it are taken: {names} {verb} not looked into; {below}.")
    return found
