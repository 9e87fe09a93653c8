"""A store: a folder with a file for every finished batch of blocks, under the key of the work, from which a later run goes on.

Called by the other files here. A file is an .npy, without pickles, with a SHA-256 of the key, the blocks and the numbers behind
its end, and is written whole or not at all: what is damaged, cut off, or belongs to another work is noticed, and made anew. Any
number of processes may read and write at the same time, since all of them would write the same.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastgrad.errors import InputError
from fastgrad.model.network import Array
from fastgrad.numerical.work.batches import Batch
from fastgrad.writing import written_whole

DIGEST = 32
"""Bytes of a digest."""
HEADER = 2**12
"""Bytes that the header of an .npy may take, and more."""
ABANDONED = 3600.0
"""Seconds after which a file that was never finished is nobody's any more."""


class DamagedError(Exception):
    """A file of a store that does not hold what its name says."""


@dataclass(frozen=True)
class Shelf:
    """The place of one work in a store.

    Attributes
    ----------
    folder : Path
        Where its files are.
    key : str
        The key of the work.
    """

    folder: Path
    key: str

    @classmethod
    def of(cls, store: Path, key: str) -> Shelf:
        """Return the place of a work in a store, made where there is none yet.

        Raises
        ------
        InputError
            If there cannot be one.
        """
        folder = store / f"fastgrad-{key}" / "results"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _tidy(folder)
        except OSError as error:
            raise InputError(f"{store}: cannot be used as a store: {error.strerror or error}") from None
        return cls(folder, key)

    @property
    def parcel(self) -> Path:
        """Where the work itself lies, for workers."""
        return self.folder.parent / "work"

    def path(self, batch: Batch) -> Path:
        """Return where the numbers of a batch lie."""
        return self.folder / f"{batch.number:06d}.npy"

    def read(self, batch: Batch) -> Array | None:
        """Return the numbers of a batch, or of its first blocks where a run ended in its midst; None where there are none.

        Raises
        ------
        DamagedError
            If there is a file, and these are not in it.
        """
        path, most = self.path(batch), 8 * sum(batch.sizes) + HEADER + DIGEST
        try:
            found = path.stat()
            if not stat.S_ISREG(found.st_mode) or found.st_size > most:
                raise DamagedError(path.name)
            content = path.read_bytes()
            body = content[:-DIGEST]
            if content[-DIGEST:] != self._digest(batch, body):
                raise DamagedError(path.name)
            values = np.load(io.BytesIO(body), allow_pickle=False)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, EOFError):
            raise DamagedError(path.name) from None
        if batch.finished(values.size) is None:
            raise DamagedError(path.name)
        return np.asarray(values, dtype=np.float64)

    def write(self, batch: Batch, values: Array) -> None:
        """Keep the numbers of a batch, or of its first blocks.

        Raises
        ------
        InputError
            If they cannot be written.
        """
        stream = io.BytesIO()
        np.lib.format.write_array(stream, values, allow_pickle=False)
        body = stream.getvalue()
        with written_whole(self.path(batch)) as file:
            file.write(body + self._digest(batch, body))

    def _digest(self, batch: Batch, body: bytes) -> bytes:
        return hashlib.sha256(f"{self.key} {batch.blocks}".encode() + body).digest()


def _tidy(folder: Path) -> None:
    """Remove what processes that were killed left half written."""
    for path in _unfinished(folder):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > ABANDONED:
                path.unlink()


def _unfinished(folder: Path) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        yield from (Path(entry.path) for entry in entries if entry.name.startswith(".fastgrad-"))
