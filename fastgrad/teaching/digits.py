"""Handwritten digits to train on: the package's own, or a folder of MNIST's idx files. Called by training."""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from fastgrad.errors import InputError
from fastgrad.machine import available_memory
from fastgrad.model.network import Array, Offsets
from fastgrad.reading.formats import load_arrays

OWN = Path(__file__).parents[1] / "data" / "digits.npz"
"""The 1,797 digits of 8 × 8 pixels that are the test set of: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten
Digits, UCI Machine Learning Repository, 1998, https://doi.org/10.24432/C50P49, licensed CC BY 4.0."""
CLASSES = 10
IMAGES, LABELS = "images-idx3-ubyte", "labels-idx1-ubyte"
SETS = ("train", "t10k")
"""How MNIST's files begin; digits to test with are taken from those there are."""
TEST_SHARE = 6
"""One digit in so many is kept for the test, as in MNIST with its 60,000 and 10,000."""
IDX_BYTES = 0x08
"""The idx format's code for unsigned bytes."""


@dataclass(frozen=True, eq=False)
class Digits:
    """Digits in two parts.

    Attributes
    ----------
    source : str
        Where they come from, in a few words.
    train, test : tuple of (ndarray, shape (m, pixels), ndarray of int64, shape (m,))
        Pixels from 0 to 1, and which digit it is.
    """

    source: str
    train: tuple[Array, Offsets]
    test: tuple[Array, Offsets]

    @property
    def pixels(self) -> int:
        """Number of pixels of a digit."""
        return int(self.train[0].shape[1])


def load_digits(path: str | Path | None = None, seed: int = 0) -> Digits:
    """Read digits.

    Parameters
    ----------
    path : str or path, optional
        A folder with MNIST's files, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte or those that begin with train, as
        they are or with .gz; by default the package's own digits.
    seed : int
        Seed of the draw of the digits for the test.

    Returns
    -------
    Digits
        Five sixths to train on, one sixth to test with.

    Raises
    ------
    InputError
        If there are no such files, or they are damaged.
    """
    if path is None:
        arrays = load_arrays(OWN)
        return _split("UCI's handwritten digits", arrays["pixels"] / 16.0, arrays["labels"], seed)
    folder = Path(path)
    parts = [part for name in SETS if (part := _part(folder, name)) is not None]
    if not parts:
        raise InputError(f"{folder}: there is no t10k-{IMAGES}.gz with a t10k-{LABELS}.gz in this folder, as MNIST has them")
    pixels, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return _split("MNIST", pixels.reshape(len(pixels), -1) / 255.0, labels, seed)


def _split(source: str, pixels: Array, labels: npt.NDArray[np.uint8], seed: int) -> Digits:
    """Part digits into those to train on and those to test with."""
    if len(pixels) < TEST_SHARE or len(pixels) != len(labels) or labels.max() >= CLASSES:
        raise InputError(f"{len(pixels)} images and {len(labels)} labels up to {labels.max(initial=0)} are no set of digits")
    order = np.random.default_rng(seed).permutation(len(pixels))
    test, train = np.split(order, [len(order) // TEST_SHARE])
    classes = labels.astype(np.int64)
    return Digits(source, (pixels[train], classes[train]), (pixels[test], classes[test]))


def _part(folder: Path, name: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]] | None:
    """Read one of MNIST's two sets, None where it is not there."""
    images, labels = (_file(folder, f"{name}-{kind}") for kind in (IMAGES, LABELS))
    return None if images is None or labels is None else (_read_idx(images, 3), _read_idx(labels, 1))


def _file(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / f"{name}.gz", folder / name) if path.is_file()), None)


def _read_idx(path: Path, axes: int) -> npt.NDArray[np.uint8]:
    """Read an idx file of bytes: two zeros, a code of the type, the number of axes, their lengths, the entries."""
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
            return _entries(stream, path, axes)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: it cannot be read: {error}") from None


def _entries(stream: IO[bytes] | gzip.GzipFile, path: Path, axes: int) -> npt.NDArray[np.uint8]:
    """Read the header and as many bytes as it promises."""
    header = stream.read(4 + 4 * axes)
    if len(header) < 4 + 4 * axes or header[:4] != bytes((0, 0, IDX_BYTES, axes)):
        raise InputError(f"{path}: this is no idx file of bytes with {axes} axes")
    shape = tuple(int(length) for length in np.frombuffer(header[4:], dtype=">u4"))
    if math.prod(shape) > available_memory():
        raise InputError(f"{path}: its header promises {math.prod(shape):,} bytes, more than there is memory")
    entries = np.frombuffer(stream.read(math.prod(shape)), dtype=np.uint8)
    if entries.size != math.prod(shape):
        raise InputError(f"{path}: its header promises {math.prod(shape):,} bytes, {entries.size:,} are there")
    return entries.reshape(shape)
