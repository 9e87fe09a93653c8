"""What a function's argument looks like, a number, an array, a dict or list of arrays, and the flat vector of its numbers.

Called by everything in this package that calls the user's function or gradient; an argument that does not fit is an InputError.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastgrad.errors import InputError, is_finite, quoted

Array = NDArray[np.float64]


_FORMS = {"number": "a number", "array": "an array", "dict": "a dict", "list": "a list", "tuple": "a tuple"}


@dataclass(frozen=True)
class Layout:
    """The shape of an argument.

    Attributes
    ----------
    kind : {"number", "array", "dict", "list", "tuple"}
        What the function is called with.
    names : tuple
        Keys of the dict, or places in the list; one for a number or an array.
    shapes : tuple of tuple of int
        Shape of each part.
    numbers : tuple of bool
        Whether a part was a plain number, and is handed over as one.
    """

    kind: Literal["number", "array", "dict", "list", "tuple"]
    names: tuple[Any, ...]
    shapes: tuple[tuple[int, ...], ...]
    numbers: tuple[bool, ...]

    @cached_property
    def starts(self) -> list[int]:
        """Places in the flat vector where the parts begin, and its length."""
        return [0, *np.cumsum([int(np.prod(shape, dtype=np.int64)) for shape in self.shapes]).tolist()]

    @property
    def size(self) -> int:
        """Numbers in the argument."""
        return self.starts[-1]

    def build(self, flat: NDArray[Any]) -> Any:
        """Return the argument whose numbers are the flat vector's; arrays in it are views of that vector."""
        parts = [
            flat[start].item() if is_number else flat[start:stop].reshape(shape)
            for (start, stop), shape, is_number in zip(pairwise(self.starts), self.shapes, self.numbers, strict=True)
        ]
        return self._assemble(parts)

    def build_many(self, flat: NDArray[Any]) -> Any:
        """Return many arguments at once, of flat vectors in rows: every array has an axis in front, over them."""
        return self._assemble(
            [
                flat[:, start:stop].reshape(len(flat), *shape)
                for (start, stop), shape in zip(pairwise(self.starts), self.shapes, strict=True)
            ]
        )

    def flatten(self, value: Any, what: str) -> Array:
        """Return the numbers of something that ought to have this layout, a gradient for example.

        Raises
        ------
        InputError
            If its parts or their shapes are others.
        """
        found, flat = read(value, what, finite=False)
        as_parts = self.kind in ("dict", "list", "tuple")
        if (found.kind == "dict") != (self.kind == "dict"):
            raise InputError(f"{what} is given as {_FORMS[found.kind]}, x as {_FORMS[self.kind]}; give both the same form")
        if as_parts and found.kind == "array" and found.shapes[0][:1] == (len(self.names),):
            found = Layout("list", self.names, (found.shapes[0][1:],) * len(self.names), self.numbers)
        if self.kind == "dict":
            return self._by_name(found, flat, what)
        if len(found.shapes) != len(self.shapes):
            raise InputError(f"{what} has {len(found.shapes)} parts, x has {len(self.shapes)}; one is needed for each")
        for place, (ours, theirs) in enumerate(zip(self.shapes, found.shapes, strict=True)):
            self._same_shape(ours, theirs, what, f"[{self.names[place]}]" if as_parts else "")
        return flat

    def label(self, entry: int) -> str:
        """Name an entry of the flat vector in the user's terms: "x[3, 1]", "W1[0, 2]"."""
        starts = self.starts
        part = int(np.searchsorted(starts, entry, side="right")) - 1
        name = self.part_name(part)
        if not self.shapes[part]:
            return name
        index = np.unravel_index(entry - starts[part], self.shapes[part])
        return f"{name}{[int(i) for i in index]}"

    def part_name(self, part: int) -> str:
        """Name a part in the user's terms: "W1", "x[0]"."""
        if self.kind == "dict":
            return str(self.names[part])
        return f"x[{self.names[part]}]" if self.kind in ("list", "tuple") else "x"

    def _assemble(self, parts: list[Any]) -> Any:
        """Put parts into the dict, list or tuple; or take the only one."""
        if self.kind == "dict":
            return dict(zip(self.names, parts, strict=True))
        if self.kind in ("list", "tuple"):
            return parts if self.kind == "list" else tuple(parts)
        return parts[0]

    def _by_name(self, found: Layout, flat: Array, what: str) -> Array:
        """Return the numbers of a dict in the order of this layout's names."""
        if set(found.names) != set(self.names):
            raise InputError(f"{what} has the keys {_listed(found.names)}, x has {_listed(self.names)}; one is needed for each")
        pieces = []
        for name, shape in zip(self.names, self.shapes, strict=True):
            place = found.names.index(name)
            self._same_shape(shape, found.shapes[place], what, f"[{name!r}]")
            pieces.append(flat[found.starts[place] : found.starts[place + 1]])
        return np.concatenate(pieces)

    def _same_shape(self, ours: tuple[int, ...], theirs: tuple[int, ...], what: str, part: str) -> None:
        # A gradient of one number may come as array([3.0]), and that of array([3.0]) as 3.0: there is nothing to confuse.
        single = int(np.prod(ours, dtype=np.int64)) == int(np.prod(theirs, dtype=np.int64)) == 1
        if ours != theirs and not single:
            raise InputError(f"{what}{part} has shape {theirs}, x{part} has {ours}; a gradient has the shape of its argument")


def read(x: Any, what: str = "x", *, finite: bool = True) -> tuple[Layout, Array]:
    """Return the layout of an argument and a copy of its numbers as one flat float64 vector.

    Raises
    ------
    InputError
        If it is no number, array, dict or list of arrays, if it is empty, or, where asked for, if a number is not finite.
    """
    layout, parts = _parts(x, what)
    flat = np.concatenate([np.zeros(0), *(part.ravel() for part in parts)])
    if flat.size == 0:
        raise InputError(f"{what} is empty; give at least one number")
    if finite and not np.isfinite(flat).all():
        entry = int(np.flatnonzero(~np.isfinite(flat))[0])
        raise InputError(f"{layout.label(entry)} is {flat[entry]}; a derivative needs a finite point")
    return layout, flat


def whole_number(value: Any, name: str, least: int) -> int:
    """Return an option that must be a whole number, or raise InputError with its name."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise InputError(f"{name} is {quoted(value)}; expected a whole number, {least} or more")
    return int(value)


def real_number(value: Any, name: str, *, positive: bool = False) -> float:
    """Return an option that must be a finite number, or raise InputError with its name."""
    good = isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and is_finite(value)
    if not good or (positive and value <= 0.0):
        raise InputError(f"{name} is {quoted(value)}; expected a {'positive' if positive else 'finite'} number")
    return float(value)


def bound_number(value: Any, name: str) -> float:
    """Return a bound, which may be infinite, or complain of it by name."""
    if not _is_number(value) or isinstance(value, bool) or value != value:
        raise InputError(f"{name} is {quoted(value)}; expected a number, None, or bounds in the form of x")
    return float(value)


def _parts(x: Any, what: str) -> tuple[Layout, list[Array]]:
    if isinstance(x, Mapping):
        parts = [_numbers(value, f"{what}[{name!r}]") for name, value in x.items()]
        return _layout("dict", tuple(x), parts, x.values()), parts
    if isinstance(x, Sequence) and not isinstance(x, (str, bytes)) and any(np.ndim(item) for item in x if _is_array(item)):
        parts = [_numbers(value, f"{what}[{place}]") for place, value in enumerate(x)]
        return _layout("tuple" if isinstance(x, tuple) else "list", tuple(range(len(x))), parts, x), parts
    part = _numbers(x, what)
    return _layout("number" if _is_number(x) else "array", ("x",), [part], [x]), [part]


def _layout(kind: Any, names: tuple[Any, ...], parts: list[Array], values: Any) -> Layout:
    return Layout(kind, names, tuple(part.shape for part in parts), tuple(_is_number(value) for value in values))


def _is_array(value: Any) -> bool:
    return hasattr(value, "__array__")


def _is_number(value: Any) -> bool:
    """Whether a value is a plain number: an array without dimensions stays an array."""
    return isinstance(value, (int, float, np.number))


def _numbers(value: Any, what: str) -> Array:
    """Return a copy as float64."""
    try:
        array = np.array(value)
        if array.dtype.kind == "c":
            raise InputError(f"{what} is complex; give its real and its imaginary part as two arrays, x = [z.real, z.imag]")
        if array.dtype.kind not in "fiu":
            raise TypeError
        return array.astype(np.float64)
    except InputError:
        raise
    except (TypeError, ValueError):
        raise InputError(
            f"{what} is {_shown(value)}; expected real numbers: a number, an array, a dict or list of arrays"
        ) from None


def _shown(value: Any) -> str:
    text = repr(value)
    return f"of type {type(value).__name__}" if len(text) > 40 else text


def _listed(names: tuple[Any, ...]) -> str:
    return ", ".join(repr(name) for name in names)
