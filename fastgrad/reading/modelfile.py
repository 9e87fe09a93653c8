"""The .npz file, read and written: the only room that touches disk.

Called by the command line and, as fastgrad.save, by people. What the arrays mean is interpret's business. Nothing is
ever unpickled; every header is judged before memory is taken for its array; a file is written whole or not at all.
"""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import shlex
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastgrad.errors import InputError
from fastgrad.machine import available_memory
from fastgrad.model.network import Problem
from fastgrad.reading import (
    LIST_ITEMS,
    NUMBER_ITEMS,
    TEXT_ITEMS,
    Description,
    QuestionError,
    as_flat,
    as_option,
    interpret,
    separate,
)

Raw = npt.NDArray[Any]
PathLike = str | os.PathLike[str]

CHUNK = 1 << 20
MOST_ARRAYS = 10_000
"""Arrays that a file may hold: a network of thousands of layers has that many, a hostile file has more."""
DEFLATE_LIMIT = 1040
"""A deflated byte becomes at most 1032; a directory that claims more is not honest."""

EXAMPLE_WEIGHTS = ("example_weights", "sample_weights", "sample_weight")
"""Names of a column or row of weights that are none of a layer."""

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def load(path: PathLike, overrides: Description | None = None) -> Problem:
    """Read a model file.

    Parameters
    ----------
    path : str or path
        An .npz with parameters, gradients, X, Y and, perhaps, the items of a `Description`.
    overrides : Description, optional
        What takes the place of the file's own items.

    Returns
    -------
    Problem
        See `fastgrad.reading.interpret`.

    Raises
    ------
    InputError
        If the file cannot be read safely, or if its arrays make no network; the message begins with the file.
    """
    arrays = load_arrays(path)
    with _naming(path), _with_command(path, overrides or Description()):
        items = _description_items(arrays)
        description = Description(**items).overlaid(overrides or Description())
        return interpret(arrays, description)


def load_parts(
    path: PathLike, overrides: Description | None = None
) -> tuple[dict[str, Raw], Raw, Raw, dict[str, Raw] | None, Description]:
    """Read a model file's parameters, X, Y and dropout masks as they are in it, and its description.

    Raises
    ------
    InputError
        As from `load`.
    """
    arrays = load_arrays(path)
    with _naming(path), _with_command(path, overrides or Description()):
        items = _description_items(arrays)
        description = Description(**items).overlaid(overrides or Description())
        return *separate(arrays, description), description


def load_arrays(path: PathLike) -> dict[str, Raw]:
    """Read every array of an .npz.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    dict of str to ndarray
        By name, in the file's order.

    Raises
    ------
    InputError
        If there is no such file, it is no .npz, is damaged, holds a pickle, or needs more memory than there is.
    """
    with _naming(path), _archive(path) as archive:
        members = [_member(archive, info) for info in _array_infos(archive)]
        _require_memory(members)
        return {member.name: _read(archive, member) for member in members}


def save(
    path: PathLike,
    parameters: Mapping[str, Any] | Iterable[Any],
    gradients: Mapping[str, Any] | Iterable[Any] | None = None,
    X: Any = None,
    Y: Any = None,
    *,
    masks: Mapping[str, Any] | Iterable[Any] | None = None,
    **description: Any,
) -> None:
    """Write a model file that `fastgrad check` reads.

    Parameters
    ----------
    path : str or path
        The file; one that is there already is replaced.
    parameters : mapping or iterable of array_like
        Under any of the usual names, or in order: W1, b1, W2, b2, … or all W and then all b.
    gradients : mapping or iterable of array_like, optional
        Under the names dW1, …, the parameters' own, or in the same order.
    X, Y : array_like
        Inputs and labels; both are needed.
    masks : mapping or iterable of array_like, optional
        Recorded dropout masks: by the names D1, D2, … (D0 for the input) or one for each hidden layer, None where nothing
        is dropped.
    **description
        The items of `fastgrad.reading.Description`: hidden, output, loss, …

    Raises
    ------
    InputError
        If they make no network that can be checked, or if the file cannot be written; then nothing is written.

    Examples
    --------
    >>> import numpy as np, fastgrad, tempfile, os
    >>> file = os.path.join(tempfile.mkdtemp(), "model.npz")
    >>> W, X = np.array([[0.5, -1.0]]), np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    >>> fastgrad.save(file, {"W1": W}, X=X, Y=np.zeros(3), output="identity", loss="squared_error")
    """
    if X is None or Y is None:
        raise InputError("a model file needs the inputs X and the labels Y")
    save_arrays(path, as_flat(parameters, gradients, X, Y, Description.of(description), masks))


def save_arrays(path: PathLike, arrays: Mapping[str, Any]) -> None:
    """Write arrays to an .npz, whole or not at all.

    Parameters
    ----------
    path : str or path
        The file; one that is there already is replaced once the new one is complete.
    arrays : mapping of str to array_like
        What it is to hold; never Python objects.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    with _naming(path):
        contents = {name: _plain(name, value) for name, value in arrays.items()}
    target = Path(os.path.realpath(path))  # the file behind a link, so that the link stays
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as stream:
            _write(stream, contents)
        os.replace(temporary, target)
    except OSError as error:
        raise InputError(f"{os.fspath(path)}: cannot be written: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _plain(name: str, value: Any) -> Raw:
    """Return an array that a file may hold."""
    try:
        array = np.asarray(value)
    except ValueError:
        raise InputError(f"{name} is no array: its rows differ in length") from None
    if array.dtype.hasobject:
        raise InputError(f"{name} holds Python objects, which a model file never does")
    return array


def _write(stream: IO[bytes], contents: Mapping[str, Raw]) -> None:
    """Write an uncompressed .npz: weights and gradients hardly compress, and this is many times quicker."""
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, array in contents.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _description_items(arrays: dict[str, Raw]) -> dict[str, Any]:
    """Take the items of the description out of a file's arrays.

    Text under an item's name is the item; numbers there are data, but for the items that are numbers themselves and for
    ``loss``, which then is the loss's value. A matrix is data in any case: some call their activations l1 and l2.
    """
    items: dict[str, Any] = {}
    for key in TEXT_ITEMS & arrays.keys():
        if arrays[key].dtype.kind in "US":
            items[key] = arrays.pop(key).astype(str)
    for key in NUMBER_ITEMS & arrays.keys():
        if arrays[key].size == 1:
            items[key] = arrays.pop(key)
    for key in LIST_ITEMS & arrays.keys():
        if arrays[key].ndim < 2:
            items[key] = arrays.pop(key)
    for key in EXAMPLE_WEIGHTS:
        if key in arrays and arrays[key].size == max(arrays[key].shape, default=1):
            items.setdefault("example_weights", arrays.pop(key))
    if "loss" in arrays and arrays["loss"].size == 1:
        items.setdefault("loss_value", arrays.pop("loss"))
    return items


# Reading safely.


class _Member(NamedTuple):
    """One array of the archive, by its header."""

    name: str
    info: zipfile.ZipInfo
    start: int
    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[Any]
    size: int


@contextlib.contextmanager
def _naming(path: PathLike) -> Iterator[None]:
    """Begin every complaint with the file."""
    try:
        yield
    except QuestionError as question:
        raise question.saying(f"{os.fspath(path)}: {question}") from None
    except InputError as error:
        raise InputError(f"{os.fspath(path)}: {error}") from None


@contextlib.contextmanager
def _with_command(path: PathLike, said: Description) -> Iterator[None]:
    """Add to a question the whole command that answers it, with what was said already."""
    try:
        yield
    except QuestionError as question:
        items = {key: _typed(value) for key, value in said.said().items() if key not in question.examples}
        options = " ".join(as_option(key, value) for key, value in (items | question.examples).items())
        command = f"fastgrad check {shlex.quote(os.fspath(path))} {options}"
        raise question.saying(f"{question}. The whole command: {command}") from None


def _typed(value: Any) -> str:
    """Return an item as it is typed after its option."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


@contextlib.contextmanager
def _archive(path: PathLike) -> Iterator[zipfile.ZipFile]:
    """Open the zip, and turn whatever the system or the zip library raises into a complaint."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except FileNotFoundError:
        raise InputError("there is no such file") from None
    except IsADirectoryError:
        raise InputError("this is a folder, not an .npz file") from None
    except zipfile.BadZipFile as error:
        raise InputError(f"{_what_instead(path)} ({error})") from None
    except MemoryError:
        raise InputError("there is not enough memory for its arrays") from None
    except OSError as error:
        raise InputError(f"it cannot be read: {error.strerror or error}") from None
    except (NotImplementedError, RuntimeError, UnicodeDecodeError) as error:
        raise InputError(f"it cannot be read: {error}") from None


def _what_instead(path: PathLike) -> str:
    """Return what a file that zipfile refuses seems to be."""
    with open(path, "rb") as stream:
        beginning = stream.read(6)
    if beginning == b"\x93NUMPY":
        return "this is a single array (.npy); write all of them with np.savez or fastgrad.save"
    if beginning[:2] == b"PK":
        return "this .npz is truncated or damaged"
    if beginning[:1] == b"\x80":
        return "this looks like a pickle, which is never loaded; write an .npz with np.savez or fastgrad.save"
    return "this is not an .npz file (a zip of arrays); write one with np.savez or fastgrad.save"


def _array_infos(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return the directory's entries of arrays, each judged as far as the directory tells."""
    infos = [info for info in archive.infolist() if info.filename.endswith(".npy")]
    if not infos:
        raise InputError("there are no arrays in it")
    if len(infos) > MOST_ARRAYS:
        raise InputError(f"it holds {len(infos):,} arrays; a model file has {MOST_ARRAYS:,} at most")
    seen: set[str] = set()
    for info in infos:
        name = info.filename.removesuffix(".npy")
        if name in seen:
            raise InputError(f"it holds {name} twice")
        seen.add(name)
        if info.flag_bits & 1:
            raise InputError(f"{name} is encrypted")
        if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise InputError(f"{name} is compressed in a way that .npz files do not use")
        if info.file_size > info.compress_size * DEFLATE_LIMIT + CHUNK:
            raise InputError(f"{name} is damaged: {info.compress_size:,} bytes cannot hold {info.file_size:,}")
    return infos


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Member:
    """Read the header of one array and hold it against the directory."""
    name = info.filename.removesuffix(".npy")
    with _reading(name), archive.open(info) as stream:
        version = np.lib.format.read_magic(stream)
        if version not in _HEADERS:
            raise InputError(f"{name} is in a version of the .npy format that plain numbers and text do not need")
        shape, fortran_order, dtype = _HEADERS[version](stream)
        start = stream.tell()
    if dtype.hasobject:
        raise InputError(
            f"{name} holds Python objects (a pickle), which are never loaded; save it as an array of numbers, or each "
            "of its entries under a name of its own"
        )
    if dtype.fields is not None or dtype.subdtype is not None or min(shape, default=0) < 0:
        raise InputError(f"{name} is not a plain array (dtype {dtype}, shape {shape})")
    size = math.prod(shape) * dtype.itemsize
    if start + size != info.file_size:
        there = info.file_size - start
        raise InputError(f"{name} is damaged: its header declares {size:,} bytes for {shape}, {there:,} are there")
    return _Member(name, info, start, shape, fortran_order, dtype, size)


@contextlib.contextmanager
def _reading(name: str) -> Iterator[None]:
    """Turn what a damaged member raises, in the zip, in its compression or in NumPy's parser, into a complaint."""
    try:
        yield
    except (InputError, OSError, MemoryError):
        raise
    except Exception as error:
        raise InputError(f"{name} is truncated or damaged ({error})") from None


def _require_memory(members: Sequence[_Member]) -> None:
    """Refuse what would not fit: the arrays as they are, and twice as double precision numbers, read and worked on."""
    total, available = sum(member.size + 16 * math.prod(member.shape) for member in members), available_memory()
    if total > available:
        largest = max(members, key=lambda member: math.prod(member.shape))
        raise InputError(
            f"its arrays need {total / 2**30:,.1f} GiB, {available / 2**30:,.1f} GiB of memory are free; the largest "
            f"is {largest.name} {largest.shape}"
        )


def _read(archive: zipfile.ZipFile, member: _Member) -> Raw:
    """Read one array whose header has been judged."""
    flat = np.empty(math.prod(member.shape), dtype=member.dtype)
    buffer, done = flat.view(np.uint8).data if member.size else memoryview(b""), 0
    with _reading(member.name), archive.open(member.info) as stream:
        stream.read(member.start)
        while done < member.size:
            chunk = stream.read(min(CHUNK, member.size - done))
            if not chunk:
                raise EOFError(f"{member.size - done:,} bytes are missing")
            buffer[done : done + len(chunk)] = chunk
            done += len(chunk)
    return flat.reshape(member.shape[::-1]).T if member.fortran_order else flat.reshape(member.shape)
