"""NumPy's archive of arrays: a zip whose directory and headers are judged before anything is taken out of it."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterator
from typing import IO

from fastgrad.errors import InputError, shortened
from fastgrad.reading.formats.npy import CHUNK, Member, Raw, Sized, filled, judged, reading, require_memory, require_names
from fastgrad.reading.formats.opening import Source, opened

DEFLATE_LIMIT = 1040
"""A deflated byte becomes at most 1032; a directory that claims more is not honest."""


def read(source: Source) -> dict[str, Raw]:
    """Read every array of an .npz, in the file's order."""
    with _archive(source) as archive:
        members = [_member(archive, info) for info in _array_infos(archive)]
        require_memory([Sized(member.name, member.shape, member.size) for _, member in members])
        return {member.name: _read(archive, info, member) for info, member in members}


@contextlib.contextmanager
def _archive(source: Source) -> Iterator[zipfile.ZipFile]:
    """Open the zip, and turn whatever the zip library raises into a complaint."""
    with opened(source) as stream:
        try:
            with _zip(stream) as archive:
                yield archive
        except zipfile.BadZipFile as error:
            raise InputError(f"this .npz is truncated or damaged ({shortened(str(error))})") from None
        except (NotImplementedError, RuntimeError, UnicodeDecodeError) as error:
            raise InputError(f"it cannot be read: {shortened(str(error))}") from None


def _zip(stream: IO[bytes]) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(stream)
    except zipfile.BadZipFile as error:
        raise InputError(f"{_what_instead(stream)} ({shortened(str(error))})") from None


def _what_instead(stream: IO[bytes]) -> str:
    """Return what a file that zipfile refuses seems to be."""
    stream.seek(0)
    beginning = stream.read(6)
    if beginning == b"\x93NUMPY":
        return "this is a single array (.npy); write all of them with np.savez or fastgrad.save, or give the folder they lie in"
    if beginning[:2] == b"PK":
        return "this .npz is truncated or damaged"
    if beginning[:1] == b"\x80":
        return "this looks like a pickle, which is never loaded; write an .npz with np.savez or fastgrad.save"
    return "this is not an .npz file (a zip of arrays); write one with np.savez or fastgrad.save"


def _array_infos(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return the directory's entries of arrays, each judged as far as the directory tells."""
    infos = [info for info in archive.infolist() if info.filename.endswith(".npy")]
    require_names([info.filename.removesuffix(".npy") for info in infos])
    for info in infos:
        name = info.filename.removesuffix(".npy")
        if info.flag_bits & 1:
            raise InputError(f"{name} is encrypted")
        if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise InputError(f"{name} is compressed in a way that .npz files do not use")
        if info.file_size > info.compress_size * DEFLATE_LIMIT + CHUNK:
            raise InputError(f"{name} is damaged: {info.compress_size:,} bytes cannot hold {info.file_size:,}")
    return infos


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> tuple[zipfile.ZipInfo, Member]:
    """Read the header of one array and hold it against the directory."""
    name = info.filename.removesuffix(".npy")
    with reading(name), archive.open(info) as stream:
        return info, judged(name, stream, info.file_size)


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, member: Member) -> Raw:
    with reading(member.name), archive.open(info) as stream:
        return filled(member, stream)
