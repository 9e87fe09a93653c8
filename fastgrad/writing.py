"""Files written whole or not at all: the one way in which an .npz or a picture of fastgrad's reaches a disk.

Only a regular file is ever replaced, and no symbolic link is followed unless somebody says so: what a name in a foreign
folder points to may be anything. It knows nothing of what a file holds.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from fastgrad.errors import InputError, shortened

PathLike = str | os.PathLike[str]


@contextlib.contextmanager
def written_whole(path: PathLike, follow: bool = False) -> Iterator[IO[bytes]]:
    """Give a stream whose bytes take the place of a file once all of them are there; after an error nothing has changed.

    Parameters
    ----------
    path : str or path
        The file; of one that is there already the permissions are kept.
    follow : bool
        Whether the file behind a symbolic link may be replaced; the link then stays.

    Raises
    ------
    InputError
        If it cannot be written, or what is there is no regular file.
    """
    target = replaceable(path, follow)
    # A short name of its own: beside a name of 255 bytes there would be no room for a longer one.
    temporary = target.with_name(f".fastgrad-{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as stream:
            yield stream
        with contextlib.suppress(FileNotFoundError):
            temporary.chmod(stat.S_IMODE(target.stat().st_mode))
        os.replace(temporary, target)
    except OSError as error:
        raise InputError(f"{_named(path)}: cannot be written: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def replaceable(path: PathLike, follow: bool = False) -> Path:
    """Return the file that writing to a path makes or replaces.

    Raises
    ------
    InputError
        If something is there that is no regular file, or a symbolic link that is not to be followed.
    """
    target = Path(path)
    try:
        is_link = target.is_symlink()
        target = Path(os.path.realpath(target))  # the file behind the link, so that the link stays
        mode = target.stat().st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise InputError(f"{_named(path)}: cannot be written: {getattr(error, 'strerror', None) or error}") from None
    if is_link and not follow:
        raise InputError(f"{_named(path)}: this is a symbolic link, which is not followed; give the file's own path")
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "a device, a pipe or a socket"
        raise InputError(f"{_named(path)}: this is {what}; give the name of a file")
    return target


def _named(path: PathLike) -> str:
    return shortened(os.fspath(path))
