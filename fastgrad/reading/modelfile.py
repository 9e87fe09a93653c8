"""The model file: read in any of the formats, written as .npz.

Called by the command line and, as fastgrad.save, by people. What the arrays mean is interpret's business; how they come out of
a file, and what is refused there, is that of `formats`.
"""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import IO, Any, Unpack

import numpy as np

from fastgrad.errors import InputError
from fastgrad.model.network import Problem
from fastgrad.reading import (
    LIST_ITEMS,
    NUMBER_ITEMS,
    TEXT_ITEMS,
    Description,
    QuestionError,
    as_flat,
    completed,
    interpret,
    separate,
)
from fastgrad.reading.description import Items
from fastgrad.reading.formats import called, load_arrays
from fastgrad.reading.formats.npy import EXAMPLE_WEIGHTS, Raw
from fastgrad.reading.names import INPUT_NAMES, LABEL_NAMES, is_parameter, listed, split
from fastgrad.writing import PathLike, written_whole


def load(
    path: PathLike,
    overrides: Description | None = None,
    gradients: PathLike | None = None,
    defaults: Description | None = None,
) -> Problem:
    """Read a model file.

    Parameters
    ----------
    path : str or path
        Parameters, gradients, X, Y and, perhaps, the items of a `Description`, in any of the formats.
    overrides : Description, optional
        What takes the place of the file's own items.
    gradients : str or path, optional
        A second file with the gradients, under names of their own or those of the parameters.
    defaults : Description, optional
        What holds where the file says nothing itself.

    Returns
    -------
    Problem
        See `fastgrad.reading.interpret`.

    Raises
    ------
    InputError
        If the file cannot be read safely, or if its arrays make no network; the message begins with the file.
    """
    arrays, description = _read(path, overrides, gradients, defaults)
    with _naming(path):
        return interpret(arrays, description)


def load_completed(
    path: PathLike,
    overrides: Description | None = None,
    gradients: PathLike | None = None,
    defaults: Description | None = None,
) -> tuple[Problem, Description, tuple[str, ...]]:
    """Read a model file with stand-ins for what nobody said; return what was said, and the items that nobody did.

    Raises
    ------
    InputError
        As from `load`.
    """
    arrays, description = _read(path, overrides, gradients, defaults)
    with _naming(path):
        problem, missing = completed(lambda said: interpret(arrays, said), description)
        return problem, description, missing


def load_parts(
    path: PathLike, overrides: Description | None = None, defaults: Description | None = None
) -> tuple[dict[str, Raw], Raw, Raw, dict[str, Raw] | None, Description]:
    """Read a model file's parameters, X, Y and dropout masks as they are in it, and its description.

    Raises
    ------
    InputError
        As from `load`.
    """
    arrays, description = _read(path, overrides, None, defaults)
    with _naming(path):
        return *separate(arrays, description), description


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


def _read(
    path: PathLike, overrides: Description | None, gradients: PathLike | None, defaults: Description | None
) -> tuple[dict[str, Raw], Description]:
    """Return the arrays of a file, and of a second one with the gradients, and what is said of the network."""
    arrays, claimed = load_arrays(path), {} if gradients is None else load_arrays(gradients)
    with _naming(path):
        items = _description_items(arrays)
        said = Description(**{**_description_items(claimed), **items})
        description = (defaults or Description()).overlaid(said).overlaid(overrides or Description())
    return (arrays, description) if gradients is None else _joined(arrays, claimed, called(gradients), description)


def _joined(
    arrays: dict[str, Raw], claimed: dict[str, Raw], source: str, description: Description
) -> tuple[dict[str, Raw], Description]:
    """Return arrays with the gradients of a second file, and the description that then holds.

    Gradients of the first file are left out: they would fill the gaps of the second.
    """
    arrays = split(arrays, replace(description, grads=None))[0]
    if own := split(claimed, description)[1]:  # whose names say that they are gradients
        return arrays | own, description
    _require_other(arrays, claimed, source, description)
    named = description.params or ()
    renamed = {name: f"grad.{name}" for name in claimed if name in named or is_parameter(name)}
    if not renamed:
        raise InputError(f"{source}: there are no gradients in it, neither dW1, db1, … nor under the names of the parameters")
    if named and description.grads is None and set(named) <= renamed.keys():
        description = replace(description, grads=tuple(renamed[name] for name in named))
    return arrays | {new: claimed[name] for name, new in renamed.items()}, description


def _require_other(arrays: Mapping[str, Raw], claimed: Mapping[str, Raw], source: str, description: Description) -> None:
    """Raise InputError where a second file holds parameters, be it those of the first or of a whole model, and no gradient."""
    names = [name for name in claimed if name in (description.params or ()) or is_parameter(name)]
    same = [name for name in names if name in arrays and np.array_equal(arrays[name], claimed[name])]
    if names and same == names:
        raise InputError(f"{source}: there are no gradients in it: its {listed(same)} are the parameters themselves")
    data = [[name for name in claimed if name.lower() in {*chain(*usual)}] for usual in (INPUT_NAMES, LABEL_NAMES)]
    if names and all(data):
        raise InputError(
            f"{source}: there are no gradients in it: beside {listed(chain(*data))}, {listed(names)} are taken for parameters; "
            f"if they are gradients, call them d{names[0]} and so on, or leave the data out of that file"
        )


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


@contextlib.contextmanager
def _naming(path: PathLike) -> Iterator[None]:
    """Begin every complaint with the file."""
    try:
        yield
    except QuestionError as question:
        raise question.saying(f"{called(path)}: {question}") from None
    except InputError as error:
        raise InputError(f"{called(path)}: {error}") from None
