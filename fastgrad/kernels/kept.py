"""Files of compiled code: kept where nobody else can write, read from nowhere else, and made anew where they are damaged.

Called by kernel and dispatch. What is kept is run, so it is trusted as Python's own code is. The place is the first of these
that is said by an absolute path and that fits: ``$NUMBA_CACHE_DIR/fastgrad``, ``$XDG_CACHE_HOME/fastgrad``,
``~/.cache/fastgrad``, ``$TMPDIR/fastgrad-UID`` (else in /tmp). A place fits where that folder, and the one of the key within,
belong to this user with mode 0700, and every folder above belongs to this user or to root and can be written to by no others,
this user's private group and sticky folders excepted. Folders are opened one within the other, from the root on, and what is
open is what is looked at, so that nothing can be put in the place of what was found good.

Windows has no such modes, and nothing is looked at there: ``~`` is the user's profile, which its access list keeps for this
user and administrators, and a variable that names another folder is taken at its word.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

CHECKED = os.name == "posix"
"""Whether there are owners and modes to look at."""
DIGEST = 32
"""Bytes of a digest, which a file begins with."""
LONGEST_WAIT = 120.0
"""Seconds that a process waits for what another one compiles, a minute at most on a busy machine."""
OWN = 2
"""Folders at the end of a path that are this user's alone."""
FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
FILE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
MENDING = "set NUMBA_CACHE_DIR to the absolute path of a folder that only you can write to"


class UnfitError(OSError):
    """A folder where no code is kept: what is wrong with it."""


class Folder(NamedTuple):
    """An open folder; without a descriptor where the system has none for folders."""

    path: Path
    descriptor: int | None

    def at(self, name: str) -> str:
        """Return what the system's calls take beside the descriptor for a file in it."""
        return str(self.path / name) if self.descriptor is None else name


def read(key: str, name: str) -> bytes | None:
    """Return what was kept under a key and a name; None if there is nothing, nothing whole, or nobody's but ours."""
    with suppress(OSError), _opened(key) as folder:
        descriptor = os.open(folder.at(name), os.O_RDONLY | FILE, dir_fd=folder.descriptor)
        with open(descriptor, "rb") as stream:
            _require_ours(os.fstat(descriptor), folder.path / name)
            found = stream.read()
        content = found[DIGEST:]
        return content if found[:DIGEST] == _digest(name, content) else None
    return None


def is_possible(key: str) -> bool:
    """Whether there is a place that fits."""
    with suppress(OSError), _opened(key):
        return True
    return False


def has(key: str, name: str) -> bool:
    """Whether there is a file, damaged or not."""
    with suppress(OSError), _opened(key) as folder:
        return stat.S_ISREG(os.stat(folder.at(name), dir_fd=folder.descriptor, follow_symlinks=False).st_mode)
    return False


def write(key: str, name: str, content: bytes) -> None:
    """Keep something, whole or not at all: another process may be reading or writing it. Say once where that cannot be."""
    try:
        with _opened(key) as folder:
            _replace(folder, name, _digest(name, content) + content)
    except OSError as error:
        reason = str(error) if isinstance(error, UnfitError) else f"{error.filename or 'writing'}: {error.strerror}"
        say(f"fastgrad cannot keep what it compiled, and compiles it again in each process. {reason}; {MENDING}.")


@contextmanager
def alone(key: str, name: str) -> Iterator[None]:
    """Wait while another process of this machine makes what is kept under a name, so that of many only one does.

    The lock is the system's, and goes with the process that holds it. Where there is none, or nothing can be kept, nobody
    waits, and nobody waits for longer than it could take.
    """
    descriptor = None
    with suppress(OSError, ImportError):
        lock = import_module("fcntl")
        with _opened(key) as folder:
            descriptor = os.open(folder.at(f"lock.{name}"), os.O_RDWR | os.O_CREAT | FILE, 0o600, dir_fd=folder.descriptor)
        end = time.monotonic() + LONGEST_WAIT
        while time.monotonic() < end:
            with suppress(BlockingIOError):
                lock.flock(descriptor, lock.LOCK_EX | lock.LOCK_NB)
                break
            time.sleep(0.05)
    try:
        yield
    finally:
        if descriptor is not None:
            with suppress(OSError), _opened(key) as folder:
                os.unlink(folder.at(f"lock.{name}"), dir_fd=folder.descriptor)
            os.close(descriptor)


def _digest(name: str, content: bytes) -> bytes:
    """Return what a file begins with; a file under another's name is as bad as a damaged one."""
    return hashlib.sha256(name.encode() + b"\0" + content).digest()


def _replace(folder: Folder, name: str, content: bytes) -> None:
    """Write a file beside another, and put it in its place when it is whole."""
    temporary, within = f"{name}.{os.urandom(8).hex()}", folder.descriptor
    descriptor = os.open(folder.at(temporary), os.O_WRONLY | os.O_CREAT | os.O_EXCL | FILE, 0o600, dir_fd=within)
    try:
        with open(descriptor, "wb") as stream:
            stream.write(content)
        os.replace(folder.at(temporary), folder.at(name), src_dir_fd=within, dst_dir_fd=within)
    except BaseException:
        with suppress(OSError):
            os.unlink(folder.at(temporary), dir_fd=within)
        raise


@contextmanager
def _opened(key: str) -> Iterator[Folder]:
    """Open the folder of a key in the first place that fits; where none does, raise what is wrong with the first."""
    folder = _first_that_fits(key)
    try:
        yield folder
    finally:
        if folder.descriptor is not None:
            os.close(folder.descriptor)


def _first_that_fits(key: str) -> Folder:
    refused: list[OSError] = []
    for place in _places():
        try:
            if not place.is_absolute():
                raise UnfitError(f"{place.parent} is a relative path, which is not followed")
            path = Path(os.path.realpath(place.parent)) / place.name / key
            if CHECKED:
                return Folder(path, _enter(path, OWN))
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            return Folder(path, None)
        except OSError as error:
            refused.append(error)
    raise refused[0]


def _places() -> Iterator[Path]:
    """Yield where compiled code may be kept, the best place first."""
    said = (os.environ.get("NUMBA_CACHE_DIR"), os.environ.get("XDG_CACHE_HOME"), os.path.expanduser("~/.cache"))
    yield from (Path(folder) / "fastgrad" for folder in said if folder)
    if CHECKED:
        yield Path(os.environ.get("TMPDIR") or "/tmp") / f"fastgrad-{os.geteuid()}"


def _enter(path: Path, own: int) -> int:
    """Open a folder from the root on; the last `own` must be ours alone, and what is missing is made."""
    if path == path.parent:
        descriptor = os.open(path, FOLDER)
    else:
        above = _enter(path.parent, own - 1)
        try:
            descriptor = _open_or_make(path.name, above)
        finally:
            os.close(above)
    try:
        _require_trusted(os.fstat(descriptor), path, own > 0)
    except UnfitError:
        os.close(descriptor)
        raise
    return descriptor


def _open_or_make(name: str, above: int) -> int:
    try:
        return os.open(name, FOLDER, dir_fd=above)
    except FileNotFoundError:
        with suppress(FileExistsError):  # another process was faster
            os.mkdir(name, 0o700, dir_fd=above)
        return os.open(name, FOLDER, dir_fd=above)


def _require_trusted(found: os.stat_result, path: Path, own: bool) -> None:
    """Require that nobody else can put anything into a folder, or another folder in its place."""
    mode, owners = stat.S_IMODE(found.st_mode), {os.geteuid()} if own else {os.geteuid(), 0}
    if found.st_uid not in owners:
        raise UnfitError(f"{path} belongs to another user")
    if own and mode & 0o077:
        raise UnfitError(f"{path} is open to others (mode {mode:04o} in place of 0700) and may be removed")
    open_to_others = mode & stat.S_IWOTH or (mode & stat.S_IWGRP and not _is_private(found.st_gid))
    if open_to_others and not mode & stat.S_ISVTX:
        raise UnfitError(f"others can write to {path} (mode {mode:04o})")


def _require_ours(found: os.stat_result, path: Path) -> None:
    """Require that a file is one that this user wrote and only this user could."""
    if CHECKED and not (
        stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    ):
        raise UnfitError(f"{path} is not a file of this user's alone")


def _is_private(group: int) -> bool:
    """Whether a group is the one that many systems make for each user, with nobody else in it."""
    import grp
    import pwd

    try:
        user, entry = pwd.getpwuid(os.geteuid()), grp.getgrgid(group)
    except KeyError:
        return False
    return group == user.pw_gid and entry.gr_name == user.pw_name and set(entry.gr_mem) <= {user.pw_name}


@cache
def say(line: str) -> None:
    """Print a line on stderr, once."""
    with suppress(OSError, ValueError):
        if sys.stderr is not None:
            print(line, file=sys.stderr)
