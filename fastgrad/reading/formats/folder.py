"""A folder of .npy files, one for each array: what a program in C or any other language can write in a few lines.

What the arrays do not tell of the network may stand in the folder's description.json.
"""

from __future__ import annotations

from pathlib import Path

from fastgrad import machine
from fastgrad.errors import InputError, shortened
from fastgrad.reading.formats import lists
from fastgrad.reading.formats.mapped import placed_or_read
from fastgrad.reading.formats.npy import Member, Raw, Sized, filled, judged, memory_of, require_names
from fastgrad.reading.formats.opening import opened, size_of
from fastgrad.writing import PathLike

DESCRIPTION = "description.json"
"""The file of a folder that says what its arrays do not tell: {"hidden": "tanh", …}."""


def read(path: PathLike) -> dict[str, Raw]:
    """Read every .npy of a folder, in the order of their names, and the folder's description."""
    files = sorted(file for file in Path(path).iterdir() if file.suffix == ".npy")
    if not files:
        raise InputError("there are no .npy files in this folder; each array is to be a file, W1.npy, b1.npy, dW1.npy, …")
    require_names([file.stem for file in files])
    members = [_member(file) for file in files]
    sized = [Sized(member.name, member.shape, member.size) for member in members]
    read = _filled if machine.fits(memory_of(sized)) else placed_or_read
    arrays = {member.name: read(file, member) for file, member in zip(files, members, strict=True)}
    description = Path(path) / DESCRIPTION
    return {**arrays, **_described(description, arrays)} if description.exists() else arrays


def _member(file: Path) -> Member:
    with opened(file) as stream:
        return judged(file.stem, stream, size_of(stream))


def _filled(file: Path, member: Member) -> Raw:
    with opened(file) as stream:
        return filled(member, stream)


def _described(file: Path, arrays: dict[str, Raw]) -> dict[str, Raw]:
    """Return the items of a folder's description, none of which may be an array as well."""
    try:
        items = lists.read(file)
    except InputError as error:
        raise InputError(f"{DESCRIPTION}: {error}") from None
    twice = [name for name in items if name in arrays]
    if twice:
        raise InputError(f"{shortened(twice[0])} stands in {DESCRIPTION} and is an array of its own as well; leave one out")
    return items
