"""Recorded dropout: of which layer each mask is, which way round it lies, and what it multiplies its layer with.

Called by `problem` for one reading, and for the note on masks that nobody spoke of. Mask number l belongs to a_l, the
output of layer l counted from 1; number 0 to the input.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from fastgrad.errors import InputError, quoted
from fastgrad.foreign import as_numpy
from fastgrad.model.network import Array, Problem, Recorded
from fastgrad.reading.arrays import Raw, number_array
from fastgrad.reading.containers import opened
from fastgrad.reading.description import Description, as_tuple, ask, layout_words
from fastgrad.reading.intermediates import turned
from fastgrad.reading.layout import Reading, target_form
from fastgrad.reading.names import Mask, listed, number_in, speaks_of_dropout

FACTOR_TOLERANCE = 1e-6
"""How far the factor in a mask may be from 1/keep_prob, relatively: as far as single precision puts it, for numbers in
double precision may have been computed in that."""


def given_masks(masks: Any) -> list[Mask]:
    """Return the masks of a dict by the numbers in its names, of a list those of the hidden layers in order."""
    if masks is None:
        return []
    held = opened(masks, "masks")
    given = []
    for place, (_, name, value, *_) in enumerate(held.leaves, start=1):
        numbers = re.findall(r"\d{1,18}", name) if held.named else [place]
        if len(numbers) != 1:
            raise InputError(f"masks has {quoted(name)}: name each mask by its layer, D1, D2, … (D0 for the input)")
        if value is not None:
            given.append(Mask(name, int(numbers[0]), number_array(name, value)))
    return given


def placed(masks: Sequence[Mask], reading: Reading, description: Description) -> tuple[Array | None, ...]:
    """Return what multiplies each layer's input, shape (m, n_l), and nothing where nothing is dropped.

    Raises
    ------
    InputError
        If there is no mask where dropout was said, or one of them cannot be that of its layer.
    """
    depth = len(reading.chain.widths) - 1
    found: list[Array | None] = [None] * depth
    keep = _keep_probs(description, depth)
    numbered = _numbered(masks, reading)
    said = layout_words(description) & {"rows", "columns"}
    reading = reading._replace(examples=reading.examples or min(said, default=None))
    _require_masks(numbered, keep, description)
    for number, mask in numbered.items():
        values = _turned(mask, number, reading)
        if number == depth and (values != 1.0).any():
            raise InputError(f"{mask} would drop outputs of the network; dropout is for its input and hidden layers")
        if number < depth:
            factors = _factors(mask, values, keep[number], description.inverted)
            found[number] = factors if (factors != 1.0).any() else None
    return tuple(found) if any(mask is not None for mask in found) else ()


def recorded(arrays: Mapping[str, Any], problem: Problem, examples: str | None) -> tuple[Recorded, ...]:
    """Return the arrays that look like dropout masks, where nobody spoke of dropout: those with the name of one first."""
    found = {name: _fitting(value, problem, examples) for name, value in arrays.items()}
    found = {name: fits for name, fits in found.items() if fits}
    numbers = {name: number_in(name) for name in sorted(found, key=lambda name: not speaks_of_dropout(name))}
    counted = [name for name in numbers if numbers[name] is not None and speaks_of_dropout(name)]
    from_zero = any(numbers[name] == 0 for name in counted) and "D0" not in counted
    shift = from_zero and all((numbers[name] or 0) + 1 in found[name] for name in counted)
    masks: dict[int, Recorded] = {}
    for name, number in numbers.items():
        layer = _layer_of(None if number is None else number + shift, found[name])
        masks.setdefault(layer, Recorded(name, layer, found[name][layer], speaks_of_dropout(name)))
    return tuple(masks.values())


def _fitting(value: Any, problem: Problem, examples: str | None) -> dict[int, Array]:
    """Return an array that holds zeros and one positive number as it would drop what enters each layer that it fits."""
    try:
        array = np.asarray(as_numpy(value))
    except Exception:  # a ragged list, an object with code of its own
        return {}
    if not _drops(array):
        return {}
    shapes = [(problem.samples, width) for width in problem.network.widths[:-1]]
    laid = {layer: turned(array, shape, examples) for layer, shape in enumerate(shapes)}
    return {layer: values for layer, values in laid.items() if values is not None}


def _layer_of(number: int | None, fits: Collection[int]) -> int:
    """Return the layer of which a mask is: that of its number, else the first above the input that its shape fits."""
    wanted = [] if number is None else [number, number + 1]
    return next((layer for layer in wanted if layer in fits), min(fits, key=lambda layer: (layer == 0, layer)))


def overlooked(masks: Sequence[Recorded]) -> tuple[str, ...]:
    """Return the note on arrays that look like dropout masks by their names, too, where nobody spoke of dropout."""
    alike = [mask.name for mask in masks if mask.named]
    if not alike:
        return ()
    verb, they = ("looks like a dropout mask", "it is") if len(alike) == 1 else ("look like dropout masks", "they are")
    return (f"{listed(alike)} {verb}; {they} left alone, since keep_prob is not said (--keep-prob 0.8, keep_prob=0.8)",)


def _drops(array: Raw) -> bool:
    """Whether an array holds zeros and one positive number."""
    if array.dtype.kind not in "fiub" or not (array == 0).any():
        return False
    kept = array[array != 0]
    return kept.size > 0 and bool(kept[0] > 0) and bool((kept == kept[0]).all())


def _keep_probs(description: Description, depth: int) -> tuple[float | None, ...]:
    """Return keep_prob of a_0 to a_L, None where it was not said."""
    said = as_tuple(description.keep_prob)
    if len(said) < 2:
        return (said or (None,)) * (depth + 1)
    whole = {depth - 1: (None, *said, None), depth: (None, *said), depth + 1: said}
    if len(said) not in whole:
        raise InputError(
            f"keep_prob gives {len(said)} numbers for {depth} layers: give one for all, {depth - 1} for the hidden layers, "
            f"{depth} for all layers or {depth + 1} for the input and all layers"
        )
    return whole[len(said)]


def _numbered(masks: Sequence[Mask], reading: Reading) -> dict[int, Mask]:
    """Return the masks by the number of what they drop: as their names count, or one more where those count from 0."""
    numbers = [mask.number for mask in masks]
    for number in set(numbers):
        same = [mask.name for mask in masks if mask.number == number]
        if len(same) > 1:
            raise InputError(f"{' and '.join(same)} could each be mask {number}: leave one of them out")
    shift = 0
    if 0 in numbers and _all_fit(masks, 1, reading):
        fits = _all_fit(masks, 0, reading)
        if fits and not any(mask.name == "D0" for mask in masks):
            raise InputError(
                f"{listed(mask.name for mask in masks)} may begin at the input or at the first hidden layer: name them "
                "D0, D1, … or D1, D2, …"
            )
        shift = 0 if fits else 1
    depth = len(reading.chain.widths) - 1
    for mask in masks:
        if mask.number + shift > depth:
            raise InputError(f"{mask} is mask {mask.number}, but the network has {depth} layers")
    return {mask.number + shift: mask for mask in masks}


def _all_fit(masks: Sequence[Mask], shift: int, reading: Reading) -> bool:
    """Whether every mask has the shape of the layer of its number, and of a hidden one where the number is moved."""
    widths = reading.chain.widths
    places = [mask.number + shift for mask in masks]
    if max(places) >= len(widths) - shift:
        return False
    return all(_form(mask, widths[place], reading) is not None for mask, place in zip(masks, places, strict=True))


def _form(mask: Mask, width: int, reading: Reading) -> str | None:
    """Return how a mask lies, "rows", "columns" or "flat"; None where its shape is not that of the activations."""
    form = target_form(mask.array.shape, reading.samples, width, reading.examples)
    return None if form == "classes" else form


def _turned(mask: Mask, number: int, reading: Reading) -> Array:
    """Return a mask as float64, shape (m, n_l)."""
    samples, width = reading.samples, reading.chain.widths[number]
    form = _form(mask, width, reading)
    if form is None:
        what = "the input" if number == 0 else f"layer {number}"
        raise InputError(
            f"{mask} does not have the shape of the activations of {what}: {width} units and {samples} examples, "
            f"{(width, samples)} or {(samples, width)}"
        )
    if reading.examples is None and mask.array.shape == (width, width) and samples == width > 1:
        options = " or ".join(f"--layout {examples},{reading.weights}" for examples in ("rows", "columns"))
        raise InputError(f"{mask} can be read with the examples in rows or in columns: say {options} (in Python layout=)")
    values = np.asarray(mask.array, dtype=np.float64)
    return np.ascontiguousarray(values.T if form == "columns" else values.reshape(samples, width))


def _factors(mask: Mask, values: Array, keep: float | None, inverted: bool | None) -> Array:
    """Return what a mask multiplies its layer with, the factor of inverted dropout in it."""
    kept = _kept_value(mask)
    if kept != 1.0:
        _require_factor(mask, kept, keep, inverted)
        return values
    if inverted is False:
        return values
    if keep == 1.0 and (values == 0.0).any():
        raise InputError(f"{mask} drops units, but keep_prob says that all are kept; leave it out to check without dropout")
    if keep is None:
        raise ask(f"{mask} holds 0 and 1, and it is not known what share of the units is kept", "keep_prob")
    return values / keep


def _kept_value(mask: Mask) -> float:
    """Return the number that a mask has where it drops nothing, 1 where it drops everything."""
    kept = mask.array[mask.array != 0]
    if kept.size == 0:
        return 1.0
    odd = (mask.array != 0) & ((mask.array != kept[0]) | ~(mask.array > 0) | ~np.isfinite(mask.array))
    if odd.any():
        index = np.argwhere(odd)[0].tolist()
        raise InputError(
            f"{mask.name}{index} is {float(mask.array[tuple(index)]):g}: a mask holds 0 where a unit is dropped, and 1, or "
            "1/keep_prob, everywhere else"
        )
    return float(kept[0])


def _require_factor(mask: Mask, kept: float, keep: float | None, inverted: bool | None) -> None:
    """Complain of a mask whose own factor is not that of the inverted dropout that was said."""
    if inverted is False:
        raise InputError(f"{mask} holds 0 and {kept:g}, the factor of inverted dropout: leave inverted out, or make it true")
    tolerance = FACTOR_TOLERANCE
    if mask.array.dtype.kind == "f":
        tolerance = max(tolerance, float(np.finfo(mask.array.dtype).eps))
    if (keep is None and kept < 1.0) or (keep is not None and abs(kept * keep - 1.0) > tolerance):
        factor = "" if keep is None else f" = {1.0 / keep:g}"
        raise InputError(f"{mask} holds 0 and {kept:g}: expected 0 and 1, or 0 and 1/keep_prob{factor}")


def _require_masks(numbered: dict[int, Mask], keep: tuple[float | None, ...], description: Description) -> None:
    """Complain of dropout without its masks."""
    said = as_tuple(description.keep_prob)
    if not numbered and description.has_dropout and set(said) != {1.0}:
        raise InputError(
            "dropout was said (keep_prob, inverted), but there are no masks by a usual name (D1, mask_1, dropout_mask1): "
            "save those that the forward pass drew, or check with dropout off and without these items"
        )
    for number, share in enumerate(keep):
        if len(said) > 1 and share not in (None, 1.0) and number not in numbered:
            what = "the input" if number == 0 else f"layer {number}"
            raise InputError(f"keep_prob is {share:g} for {what}, but there is no mask D{number}")
