"""The upstream gradient: drawn at random or given, and the weighted sum of outputs whose gradient backward then returns.

Called by everything here that judges a backward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgrad.errors import InputError
from fastgrad.functions.arguments import Array
from fastgrad.functions.evaluation import Function
from fastgrad.functions.noise import UNIT_ROUNDOFF, Noise
from fastgrad.layers.arguments import Outputs, Raw, described

Values = Sequence[Any]


class Upstream(NamedTuple):
    """An upstream gradient: one array for each output, None for whole numbers, and where it came from."""

    parts: tuple[Any, ...]
    told: str

    def widened(self) -> Upstream:
        """Return the same in double precision."""
        return self._replace(parts=tuple(None if part is None else np.asarray(part, dtype=np.float64) for part in self.parts))

    @property
    def hides(self) -> bool:
        """Whether all its entries, or all its rows, are equal, under which gradients of normalisations vanish."""
        arrays = [np.asarray(part) for part in self.parts if part is not None]
        return all(array.size > 1 and bool(np.all(array == array[:1])) for array in arrays if array.ndim) and any(
            array.ndim for array in arrays
        )


def upstream_of(given: Any, outputs: Outputs, seed: int, is_drawn: bool = False) -> Upstream:
    """Return the upstream gradient that was given, or draw one.

    Notes
    -----
    Entries are ±(0.5 to 1.5), so that every output counts, rounded to single precision, so that each precision has the same.
    A loss has the upstream gradient 1 where nobody says otherwise, unless it is to be drawn.

    Raises
    ------
    InputError
        If what was given has not the form of the outputs.
    """
    if given is None and outputs.is_one_number and not is_drawn:
        return Upstream(
            (_like(np.float64(1.0), outputs.arrays[0]),), "The output is one number, and its upstream gradient is 1."
        )
    if given is None:
        told = f"The upstream gradient was drawn with seed {seed}, since ones or equal rows hide mistakes."
        return Upstream(tuple(_drawn(outputs, seed)), told)
    return Upstream(tuple(_given(given, outputs)), "The upstream gradient is the one that was given.")


def _drawn(outputs: Outputs, seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    parts = []
    for array in outputs.arrays:
        values = rng.uniform(0.5, 1.5, array.shape) * rng.choice([-1.0, 1.0], array.shape)
        parts.append(_like(np.asarray(values, dtype=np.float32), array) if array.dtype.kind == "f" else None)
    return parts


def _given(given: Any, outputs: Outputs) -> list[Any]:
    if outputs.kind == "single":
        values = [given]
    elif outputs.kind == "dict" and isinstance(given, Mapping) and given.keys() == set(outputs.names):
        values = [given[name] for name in outputs.names]
    elif isinstance(given, list | tuple) and len(given) == len(outputs.arrays):
        values = list(given)
    else:
        raise InputError(f"upstream is {described(given)}, and forward gives {outputs.shown()}; give one array for each")
    return [_fitting(value, array, name) for value, array, name in zip(values, outputs.arrays, outputs.names, strict=True)]


def _fitting(value: Any, array: Raw, name: str) -> Any:
    if value is None and array.dtype.kind != "f":
        return None
    try:
        found = np.array(value, dtype=array.dtype if array.dtype.kind == "f" else np.float64)
    except (TypeError, ValueError):
        found = np.empty(0)
    if found.shape != array.shape or not np.isfinite(found).all():
        raise InputError(
            f"upstream for {name} is {described(value)}, and {name} has shape {array.shape}; give finite numbers of that shape"
        )
    return found


def _like(values: Any, array: Raw) -> Any:
    """Return values in an output's precision and shape."""
    return np.asarray(values, dtype=array.dtype).reshape(array.shape)


class LayerFunction(Function):
    """The weighted sum of a layer's outputs at a point, which takes note of how much of it every entry moves.

    Attributes
    ----------
    touched : ndarray, shape (size,)
        Of each entry that was moved alone, the terms of the sum that it changes: their sizes at the point, and by how much they
        change for a move of size one.
    terms, count : float, int
        All terms of the sum, and their number.
    spread : float
        Twice the root of the sum of their squares: their roundings are independent of each other.
    """

    def __init__(self, weighted: Weighted, point: Mapping[str, Any], reset: Callable[[], object]) -> None:
        self._weighted = weighted
        self._moving: tuple[int, float] | None = None
        super().__init__(weighted, point, reset=reset, name="forward")
        self.terms, self.count, self.spread = weighted.terms, weighted.count, weighted.spread
        self.touched = np.full(self.x.size, self.terms / max(1, self.count))

    def _points(
        self, entries: NDArray[np.int64], offsets: NDArray[Any], x: NDArray[Any] | None = None
    ) -> Iterator[NDArray[Any]]:
        for entry, offset, point in zip(
            entries.tolist(), np.abs(offsets).tolist(), super()._points(entries, offsets, x), strict=True
        ):
            self._moving = (entry, offset)  # one thread asks for a point, and then for its value
            yield point

    def _one(self, point: NDArray[Any], forgiving: bool, dtype: Any) -> Any:
        moving, self._moving = self._moving, None
        value = super()._one(point, forgiving, dtype)
        if moving is not None and moving[1] > 0.0:
            entry, offset = moving
            found = self._weighted.touched + self._weighted.change * max(1.0, abs(float(self.x[entry]))) / offset
            self.touched[entry] = max(self.touched[entry], found)
        return value


class LayerNoise(Noise):
    """The noise of a weighted sum of outputs, of which each entry changes some."""

    def __init__(self, function: LayerFunction, seed: int = 0) -> None:
        super().__init__(function, seed)
        self._layer = function

    @property
    def entry_terms(self) -> Array:
        """Sizes of the terms that an entry changes, times what more cancels within them, as the noise of their sum tells."""
        within = self.terms / self._layer.terms if self._layer.terms else 1.0
        return np.asarray(max(1.0, within) * self._layer.touched)

    @property
    def all_terms(self) -> Array:
        """The same, and at least a sum of all terms whose signs are independent."""
        within = self.terms / self._layer.terms if self._layer.terms else 1.0
        return np.fmax(self.entry_terms, max(1.0, within) * self._layer.spread)

    @property
    def floor(self) -> float:
        """The rounding of terms and of their sum, which may be much smaller than they are."""
        return UNIT_ROUNDOFF * (self._layer.spread + abs(self._layer.value))

    @property
    def level(self) -> float:
        """The measured level, or that floor."""
        return max(super().level, self.floor)


class Weighted:
    """The sum of a layer's outputs, each entry times its upstream gradient, as a function of the inputs that move.

    Parameters
    ----------
    subject : Pair or Object
        The layer.
    values : sequence
        All its inputs.
    places : dict
        The place of each input that moves, by its name.
    outputs : Outputs
        The outputs at the point.
    upstream : Upstream
        Their weights.

    Attributes
    ----------
    terms, count, spread : float, int, float
        The sizes of all terms of the sum at the point together, their number, and twice the root of the sum of their squares.
    touched, change : float
        Of the latest call: the sizes at the point of the terms that differ from those there, and by how much they differ.
    """

    def __init__(self, subject: Any, values: Values, places: dict[str, int], outputs: Outputs, upstream: Upstream) -> None:
        self._subject, self._values, self._places = subject, list(values), places
        self._held = {*range(len(self._values))} - {*places.values()}
        self._shapes = outputs.shapes
        self._weights = [None if part is None else np.asarray(part, dtype=np.float64) for part in upstream.parts]
        kept = [place for place, weight in enumerate(self._weights) if weight is not None]
        self._base = [np.asarray(outputs.arrays[place], dtype=np.float64) for place in kept]
        self._sizes = [np.abs(weight) for weight in self._weights if weight is not None]
        self._terms = [(size * np.abs(base)).ravel() for size, base in zip(self._sizes, self._base, strict=True)]
        self.touched = self.change = 0.0
        self.terms = float(sum(terms.sum() for terms in self._terms))
        self.count = sum(base.size for base in self._base)
        self.spread = 2.0 * float(np.sqrt(sum(float(terms @ terms) for terms in self._terms)))
        self._casts = False
        self._casts = self._needs_single()

    def __call__(self, moved: Mapping[str, Any]) -> Any:
        """Return the weighted sum; nan where an output is not finite."""
        self.touched = self.change = 0.0
        outputs = self._subject.run(self.at(moved))
        if outputs.shapes != self._shapes:
            raise InputError(
                f"forward gives {outputs.shown()} near the point, and other shapes at it; it has to be one function"
            )
        pairs = [(w, a) for w, a in zip(self._weights, outputs.arrays, strict=True) if w is not None]
        self._take_note([array for _, array in pairs])
        parts = [(weight * array).sum() for weight, array in pairs]
        return sum(parts[1:], parts[0])

    def _take_note(self, arrays: list[Raw]) -> None:
        """Take note of the terms that differ from those at the point, and by how much."""
        for size, terms, base, array in zip(self._sizes, self._terms, self._base, arrays, strict=True):
            off = np.abs(array.imag if array.dtype.kind == "c" else array - base).ravel()
            self.touched += float(terms @ (off != 0.0))
            self.change += float(size.ravel() @ off)

    def at(self, moved: Mapping[str, Any]) -> list[Any]:
        """Return all inputs, those that move with the numbers given, the others as copies."""
        values = [
            value.copy() if place in self._held and isinstance(value, np.ndarray) else value
            for place, value in enumerate(self._values)
        ]
        for name, place in self._places.items():
            value = moved[name]
            values[place] = _cast(value, self._values[place]) if self._casts and not np.iscomplexobj(value) else value
        return values

    def _needs_single(self) -> bool:
        """Whether forward takes inputs of single precision and fails with the same numbers in double precision."""
        originals = {name: self._values[place] for name, place in self._places.items()}
        if all(np.asarray(value).dtype == np.float64 for value in originals.values()):
            return False
        try:
            self({name: widened(value) for name, value in originals.items()})
        except Exception:  # whatever a stranger's code raises: with the dtype that was given it is known to work
            return True
        return False


def widened(value: Any) -> Any:
    """Return an input in double precision; a plain number stays one."""
    return np.array(value, dtype=np.float64) if isinstance(value, np.ndarray) else float(value)


def _cast(value: Any, original: Any) -> NDArray[Any] | Any:
    return value.astype(original.dtype) if isinstance(value, np.ndarray) else np.asarray(original).dtype.type(value)
