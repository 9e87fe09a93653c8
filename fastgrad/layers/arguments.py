"""What a layer is given and what it returns: which inputs have a gradient, which outputs, and in which form they come.

Called by everything here that calls a user's layer; what does not fit is an InputError that says what would.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastgrad.errors import InputError, quoted
from fastgrad.report.formatting import listed

Raw = NDArray[Any]

WITH_DOORS = {"torch": "fastgrad.torch.check_layer", "jax": "fastgrad.jax.check_grads", "jaxlib": "fastgrad.jax.check_grads"}
"""Packages whose arrays have a door of their own."""


@dataclass(frozen=True)
class Inputs:
    """The inputs of a layer.

    Attributes
    ----------
    kind : {"single", "dict", "list", "tuple"}
        The form in which they were given, and gradients are expected.
    names : tuple of str
        What they are called in reports.
    values : tuple
        Copies of arrays; anything else as it is.
    """

    kind: Literal["single", "dict", "list", "tuple"]
    names: tuple[str, ...]
    values: tuple[Any, ...]

    @property
    def moving(self) -> list[int]:
        """Places of inputs that have a gradient: real numbers. Whole numbers, masks and settings are held fixed."""
        return [place for place, value in enumerate(self.values) if has_gradient(value)]

    def shown(self) -> str:
        """Name them with their shapes: "x (8, 4), gamma (4,)"."""
        return listed([f"{name} {np.shape(value) if is_array(value) else ''}".strip() for name, value in self._pairs()])

    def _pairs(self) -> Iterable[tuple[str, Any]]:
        return zip(self.names, self.values, strict=True)


def read_inputs(inputs: Any, names: Sequence[str], *, must_move: bool = True) -> Inputs:
    """Return the inputs that somebody gave, with the names that forward has for them.

    Raises
    ------
    InputError
        If there are none, none has a gradient, or one is complex, not finite, or a tensor of another library.
    """
    kind, keys, values = _parts(inputs, names)
    read = Inputs(kind, keys, tuple(_copied(value, name) for name, value in zip(keys, values, strict=True)))
    if must_move:
        require_moving(read)
    for place in read.moving:
        finite = np.isfinite(read.values[place])
        if not np.all(finite) or np.size(finite) == 0:
            raise InputError(f"the input {read.names[place]} is empty or not finite; a derivative needs a finite point")
    return read


def require_moving(inputs: Inputs) -> None:
    """Raise InputError where no input has a gradient."""
    if not inputs.moving:
        raise InputError(
            f"inputs hold {inputs.shown() or 'nothing'}: no real numbers, which alone have a gradient; give arrays of floats, "
            "x.astype(float) for example"
        )


def _parts(inputs: Any, names: Sequence[str]) -> tuple[Any, tuple[str, ...], tuple[Any, ...]]:
    if isinstance(inputs, Mapping):
        return "dict", tuple(str(key) for key in inputs), tuple(inputs.values())
    several = isinstance(inputs, tuple) or (isinstance(inputs, list) and any(is_array(value) for value in inputs))
    if not several:
        return "single", (names[0] if names else "x",), (inputs,)
    known = [*names[: len(inputs)], *(f"x[{place}]" for place in range(len(names), len(inputs)))]
    return "list" if isinstance(inputs, list) else "tuple", tuple(known), tuple(inputs)


def is_array(value: Any) -> bool:
    """Whether something is an array of any library, numbers of NumPy's included."""
    return hasattr(value, "__array__")


def has_gradient(value: Any) -> bool:
    """Whether something holds real numbers, that is, floats."""
    return isinstance(value, float) or (isinstance(value, np.ndarray | np.generic) and value.dtype.kind == "f")


def _copied(value: Any, name: str) -> Any:
    package = type(value).__module__.partition(".")[0]
    if package in WITH_DOORS:
        raise InputError(
            f"the input {name} is an array of {package}; {WITH_DOORS[package]} takes it as it is, and here forward is called "
            "with NumPy arrays"
        )
    if isinstance(value, list):
        value = _of_list(value)
    if not is_array(value):
        if isinstance(value, complex):
            raise _complex(name)
        return value
    array = np.array(value)
    if array.dtype.kind == "c":
        raise _complex(name)
    return array if isinstance(value, np.ndarray) or array.ndim else array[()]


def _of_list(value: list[Any]) -> Any:
    """Return a list of numbers as an array, and any other list as it is."""
    try:
        array = np.array(value)
    except ValueError:
        return value
    return array if array.dtype.kind in "fiub" and array.size else value


def _complex(name: str) -> InputError:
    return InputError(f"the input {name} is complex; give its real and its imaginary part as two inputs")


@dataclass(frozen=True)
class Outputs:
    """What forward returned: arrays, in a form, and what it keeps for backward.

    Attributes
    ----------
    kind : {"single", "dict", "list", "tuple"}
        The form, in which the upstream gradient is handed over.
    names : tuple of str
        Keys, or places.
    arrays : tuple of ndarray
        The outputs; those of whole numbers have no upstream gradient.
    cache : object
        What backward is given as its cache.
    """

    kind: Literal["single", "dict", "list", "tuple"]
    names: tuple[str, ...]
    arrays: tuple[Raw, ...]
    cache: Any

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of each."""
        return tuple(array.shape for array in self.arrays)

    @property
    def is_one_number(self) -> bool:
        """Whether there is one output, a number: a loss."""
        return self.kind == "single" and self.arrays[0].size == 1

    def build(self, parts: Sequence[Any]) -> Any:
        """Return parts in the outputs' form."""
        if self.kind == "dict":
            return dict(zip(self.names, parts, strict=True))
        return parts[0] if self.kind == "single" else (list if self.kind == "list" else tuple)(parts)

    def shown(self) -> str:
        """Describe the outputs: "output (8, 4)", "outputs (8, 4) and (8, 4)"."""
        shapes = [
            f"{name} {shape}" if self.kind == "dict" else f"{shape}"
            for name, shape in zip(self.names, self.shapes, strict=True)
        ]
        return f"output{'s' * (len(shapes) > 1)} {listed(shapes)}"


def read_outputs(returned: Any, with_cache: bool) -> Outputs:
    """Return the outputs in what forward returned.

    Raises
    ------
    InputError
        If they are no arrays of numbers.
    """
    cache = None
    if with_cache:
        if not isinstance(returned, list | tuple) or len(returned) < 2:
            raise InputError(
                f"forward returns {described(returned)}, and with returns_cache=True a tuple was expected, whose last part is "
                "what backward needs; leave returns_cache out, or return (output, cache)"
            )
        *parts, cache = returned
        returned = parts[0] if len(parts) == 1 else tuple(parts)
    if isinstance(returned, Mapping):
        kind, names, values = "dict", tuple(str(key) for key in returned), list(returned.values())
    elif isinstance(returned, tuple) or (isinstance(returned, list) and any(is_array(part) for part in returned)):
        kind = "list" if isinstance(returned, list) else "tuple"
        names, values = tuple(f"output[{place}]" for place in range(len(returned))), list(returned)
    else:
        kind, names, values = "single", ("output",), [returned]
    arrays = tuple(_numbers(value, name) for name, value in zip(names, values, strict=True))
    if not any(array.dtype.kind in "fc" and array.size for array in arrays):
        raise InputError(f"forward returns {described(returned)}, in which there are no real numbers to differentiate")
    return Outputs(kind, names, arrays, cache)  # type: ignore[arg-type]


def _numbers(value: Any, name: str) -> Raw:
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "fciub" or value is None:
            raise TypeError
    except Exception:
        hint = "; is its return missing?" if value is None else "."
        raise InputError(
            f"forward gives {described(value)} as its {name}; expected an array of numbers{hint} It returns the output, "
            "several outputs as a tuple or a dict, or (output, cache)"
        ) from None
    return array


def described(value: Any) -> str:
    """Describe what came, in a word or two."""
    if value is None or isinstance(value, bool | int | float | str):
        return quoted(value)
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return f"an array of shape {tuple(shape)}"
    return f"something of type {type(value).__name__}"
