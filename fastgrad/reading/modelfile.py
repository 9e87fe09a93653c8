"""The .npz file, read and written.

Called by the command line and, as fastgrad.save, by people. What the arrays mean is interpret's business. Nothing is
ever unpickled; every header is judged before memory is taken for its array, by what Python and NumPy will make of it.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import shlex
import stat
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, Any, NamedTuple, Unpack

import numpy as np
import numpy.typing as npt

from fastgrad.errors import InputError, quoted, shortened
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
    completed,
    interpret,
    separate,
)
from fastgrad.reading.description import Items
from fastgrad.reading.names import LONGEST_NAME
from fastgrad.writing import PathLike, written_whole

Raw = npt.NDArray[Any]

CHUNK = 1 << 20
MOST_ARRAYS = 10_000
"""Arrays that a file may hold: a network of thousands of layers has that many, a hostile file has more."""
DEFLATE_LIMIT = 1040
"""A deflated byte becomes at most 1032; a directory that claims more is not honest."""

LONGEST_HEADER = 10_000
"""Bytes of an array's header, which NumPy would read whole before it judges them; plain numbers need 128."""
MOST_DIMENSIONS = 32
"""Axes that any supported NumPy can give an array."""
LARGEST_ITEM = 1 << 20
"""Bytes of an item of the description, which becomes Python's own texts and numbers: the names of 5,000 arrays, each of fifty
characters, or a weight for each of 131,072 classes. Weights of examples are as many as the examples, and are counted so."""
MOST_EMPTY_TEXTS = 10_000
"""Entries of an array of texts without a character: it takes no bytes in a file, and some for every entry in memory."""
PYTHON_NUMBER = 64
"""Bytes of a number in a tuple, while the list that it is made from is there as well: twice a pointer and a float."""
LAST_CHARACTER = 0x10FFFF
"""The last code point of Unicode; NumPy keeps any number of 32 bits as a character, and Python then fails."""

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


def load_completed(path: PathLike, overrides: Description | None = None) -> tuple[Problem, Description, tuple[str, ...]]:
    """Read a model file with stand-ins for what nobody said; return what was said, and the items that nobody did.

    Raises
    ------
    InputError
        As from `load`.
    """
    arrays = load_arrays(path)
    with _naming(path):
        description = Description(**_description_items(arrays)).overlaid(overrides or Description())
        problem, missing = completed(lambda said: interpret(arrays, said), description)
        return problem, description, missing


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
    **description: Unpack[Items],
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
    save_arrays(path, as_flat(parameters, gradients, X, Y, Description.of(description, ["masks"]), masks))


def save_arrays(path: PathLike, arrays: Mapping[str, Any], follow: bool = False) -> None:
    """Write arrays to an .npz, whole or not at all.

    Parameters
    ----------
    path : str or path
        The file; one that is there already is replaced once the new one is complete.
    arrays : mapping of str to array_like
        What it is to hold; never Python objects.
    follow : bool
        Whether the file behind a symbolic link may be replaced.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    with _naming(path):
        contents = {name: _plain(name, value) for name, value in arrays.items()}
    with written_whole(path, follow) as stream:
        _write(stream, contents)


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
            items[key] = _as_text(key, arrays.pop(key))
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


def _as_text(key: str, array: Raw) -> Raw:
    """Return texts as Python's; those of bytes are ASCII, as NumPy has it."""
    try:
        return array.astype(str)
    except UnicodeDecodeError:
        raise InputError(f"{key} must be text; it holds bytes that are none") from None


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
        raise question.saying(f"{shortened(os.fspath(path))}: {question}") from None
    except InputError as error:
        raise InputError(f"{shortened(os.fspath(path))}: {error}") from None


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
        with _regular(path) as stream:
            try:
                archive = zipfile.ZipFile(stream)
            except zipfile.BadZipFile as error:
                raise InputError(f"{_what_instead(stream)} ({shortened(str(error))})") from None
            with archive:
                yield archive
    except FileNotFoundError:
        raise InputError("there is no such file") from None
    except IsADirectoryError:
        raise InputError("this is a folder, not an .npz file") from None
    except zipfile.BadZipFile as error:
        raise InputError(f"this .npz is truncated or damaged ({shortened(str(error))})") from None
    except MemoryError:
        raise InputError("there is not enough memory for its arrays") from None
    except OSError as error:
        raise InputError(f"it cannot be read: {error.strerror or error}") from None
    except (NotImplementedError, RuntimeError, UnicodeDecodeError) as error:
        raise InputError(f"it cannot be read: {shortened(str(error))}") from None


def _regular(path: PathLike) -> IO[bytes]:
    """Open a regular file; anything else might never end, or wait for somebody to write into it."""
    try:
        stream = open(path, "rb", opener=_without_waiting)  # noqa: SIM115  (closed by the caller)
    except ValueError as error:  # a zero byte in the name
        raise InputError(f"it cannot be read: {error}") from None
    if stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        return stream
    stream.close()
    raise InputError("this is a device, a pipe or a socket; an .npz is read from a regular file, so write it into one first")


def _without_waiting(path: str, flags: int) -> int:
    """Open a file, also a pipe that nobody writes into."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _what_instead(stream: IO[bytes]) -> str:
    """Return what a file that zipfile refuses seems to be."""
    stream.seek(0)
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
        if len(name) > LONGEST_NAME:
            raise InputError(f"the name {quoted(name)} is longer than the {LONGEST_NAME} characters that a name may have")
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
        shape, fortran_order, dtype = _header(name, stream)
        start = stream.tell()
    if dtype.hasobject:
        raise InputError(
            f"{name} holds Python objects (a pickle), which are never loaded; save it as an array of numbers, or each "
            "of its entries under a name of its own"
        )
    if dtype.fields is not None or dtype.subdtype is not None or not _is_shape(shape, dtype):
        raise InputError(f"{name} is not a plain array (dtype {shortened(str(dtype))}, shape {quoted(shape)})")
    size = math.prod(shape) * dtype.itemsize
    if start + size != info.file_size:
        there = info.file_size - start
        raise InputError(f"{name} is damaged: its header declares {size:,} bytes for {shape}, {there:,} are there")
    member = _Member(name, info, start, shape, fortran_order, dtype, size)
    _require_modest(member)
    return member


def _header(name: str, stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read a header, whose length is judged before it is read."""
    version = np.lib.format.read_magic(stream)
    if version not in _HEADERS:
        raise InputError(f"{name} is in a version of the .npy format that plain numbers and text do not need")
    prefix = stream.read(2 if version == (1, 0) else 4)
    length = int.from_bytes(prefix, "little")
    if length > LONGEST_HEADER:
        raise InputError(f"{name} is not a plain array: its header has {length:,} bytes, where 128 are usual")
    try:
        return _HEADERS[version](io.BytesIO(prefix + stream.read(length)))
    except (MemoryError, RecursionError):  # of Python's parser, by thousands of brackets
        raise InputError(f"{name} is truncated or damaged (its header cannot be read)") from None


def _is_shape(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    """Whether NumPy can make an array of this shape; it counts the other axes even where one of them is empty."""
    if len(shape) > MOST_DIMENSIONS or any(isinstance(n, bool) or n < 0 for n in shape):
        return False
    # Texts without a byte become texts of one character, and a character of bytes becomes one of four.
    return 4 * math.prod(max(n, 1) for n in shape) * max(dtype.itemsize, 1) <= sys.maxsize


def _require_modest(member: _Member) -> None:
    """Refuse an item of the description, or texts without a character, that would become too many of Python's objects."""
    count = math.prod(member.shape)
    if member.dtype.itemsize == 0 and count > MOST_EMPTY_TEXTS:
        raise InputError(f"{member.name} holds {count:,} entries without a byte; there may be {MOST_EMPTY_TEXTS:,} at most")
    taken = max(member.size, member.dtype.itemsize)  # to show an empty array of long texts takes some of them
    if taken > LARGEST_ITEM and _is_item(member):
        raise InputError(
            f"{member.name} takes {taken:,} bytes, where an item of a description takes {LARGEST_ITEM:,} at most; if it "
            "is data, give it another name"
        )


@contextlib.contextmanager
def _reading(name: str) -> Iterator[None]:
    """Turn what a damaged member raises, in the zip, in its compression or in NumPy's parser, into a complaint."""
    try:
        yield
    except (InputError, OSError, MemoryError):
        raise
    except Exception as error:
        raise InputError(f"{name} is truncated or damaged ({shortened(str(error))})") from None


def _is_item(member: _Member) -> bool:
    """Whether an array is taken for an item of the description, weights of examples left out; see `_description_items`."""
    if member.dtype.kind in "US":
        return member.name in TEXT_ITEMS | LIST_ITEMS | NUMBER_ITEMS | set(EXAMPLE_WEIGHTS)
    return member.name in LIST_ITEMS - set(EXAMPLE_WEIGHTS) and len(member.shape) < 2


def _require_memory(members: Sequence[_Member]) -> None:
    """Refuse what would not fit: the arrays as they are, and twice as double precision numbers, read and worked on.

    Weights of examples become Python's numbers beside.
    """
    each = {member.name: PYTHON_NUMBER if member.name in EXAMPLE_WEIGHTS else 16 for member in members}
    total = sum(member.size + each[member.name] * math.prod(member.shape) for member in members)
    available = available_memory()
    if total > available:
        largest = max(members, key=lambda member: math.prod(member.shape))
        raise InputError(
            f"its arrays need {total / 2**30:,.1f} GiB, {available / 2**30:,.1f} GiB of memory are free; the largest "
            f"is {largest.name} {largest.shape}"
        )


def _read(archive: zipfile.ZipFile, member: _Member) -> Raw:
    """Read one array whose header has been judged."""
    if member.dtype.itemsize == 0:  # NumPy would make room for a character
        return np.zeros(member.shape, dtype=member.dtype)
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
    _require_characters(member, flat)
    return flat.reshape(member.shape[::-1]).T if member.fortran_order else flat.reshape(member.shape)


def _require_characters(member: _Member, flat: Raw) -> None:
    """Refuse a text whose numbers are not those of characters."""
    if member.dtype.kind == "U" and flat.size:
        points = flat.view(np.dtype(np.uint32).newbyteorder(member.dtype.byteorder))
        if points.max() > LAST_CHARACTER:
            raise InputError(f"{member.name} is damaged: it holds numbers that are no characters")
