"""Labels become targets: classes one-hot, whatever numbers stand for them; hinges take −1 and 1."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastgrad.errors import InputError
from fastgrad.model import losses
from fastgrad.model.losses import HINGES, LOGIT_OUTPUT
from fastgrad.model.network import Array, Network
from fastgrad.reading.arrays import entry_in, first_index, require_finite
from fastgrad.reading.description import Description
from fastgrad.reading.layout import Data, Reading, target_form


class Labels(NamedTuple):
    """Targets, shape (m, n_L); the labels that stand for the classes, none where these are 0 to K − 1; what to say of it."""

    targets: Array
    classes: tuple[float, ...]
    notes: tuple[str, ...]


def read_labels(Y: Data, reading: Reading, described: Network, description: Description) -> Labels:
    """Return Y with classes one-hot."""
    samples, outputs = reading.samples, described.widths[-1]
    values = np.asarray(Y.array, dtype=np.float64)
    require_finite(values, Y.name, Y.array)
    form = target_form(values.shape, samples, outputs, reading.examples)
    classes, notes = _classes(values, form, described, description, Y)
    if form == "classes":
        numbers = values.reshape(-1) if not classes else _places(values.reshape(-1), classes, Y)
        return Labels(_one_hot(numbers, outputs, Y), classes, notes)
    if classes:
        values = _places(values, classes, Y)
    _require_labels(values, Y, described.loss_name)
    targets = np.ascontiguousarray(values.T if form == "columns" else values.reshape(samples, outputs))
    if described.loss_name not in HINGES:
        return Labels(targets, classes, notes)
    turned = _hinge_targets(targets, Y)
    if outputs == 1 and not classes and not np.array_equal(turned, targets):
        notes = (f"a hinge of a single output takes labels of -1 and 1: 0 in {Y.name} was read as -1",)
    return Labels(turned, classes, notes)


def _classes(
    values: Array, form: str | None, described: Network, description: Description, Y: Data
) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """Return the labels of the classes as they were said, or as the numbers leave no choice, with a note on that."""
    count = described.widths[-1] if form == "classes" else 2
    if description.classes is not None:
        if len(description.classes) != count:
            raise InputError(f"classes gives {len(description.classes)} labels for {count} classes of {Y}")
        return description.classes, ()
    counted = tuple(float(k) for k in range(1, count + 1))
    if description.first_label is not None:
        return tuple(float(description.first_label + k) for k in range(count)), ()
    found: tuple[float, ...] = ()
    if form == "classes":
        found = counted if values.min() == 1.0 and values.max() == count and np.isin(values, counted).all() else ()
    elif described.loss_name in LOGIT_OUTPUT:
        signs = np.isin(values, (-1.0, 1.0)).all() and (values == -1.0).any()
        twos = np.isin(values, counted).all() and (values == 1.0).any() and (values == 2.0).any()
        found = (-1.0, 1.0) if signs else counted if twos else ()
    if not found:
        return (), ()
    words = f"{found[0]:g} and {found[1]:g}" if count == 2 else f"{found[0]:g} to {found[-1]:g}"
    option = "--classes=-1,1 (in Python classes=(-1, 1))" if found[0] < 0.0 else "--first-label 1 (in Python first_label=1)"
    return found, (f"the labels {words} in {Y.name} were read as the classes 0 to {count - 1}, as {option} would say",)


def _places(values: Array, classes: tuple[float, ...], Y: Data) -> Array:
    """Return the place of each label among those of the classes."""
    order = np.argsort(classes)
    ordered = np.asarray(classes)[order]
    places = np.minimum(np.searchsorted(ordered, values), len(classes) - 1)
    strange = ordered[places] != values
    if strange.any():
        index = first_index(strange)
        known = ", ".join(f"{label:g}" for label in classes)
        raise InputError(f"labels outside the classes: {Y} must hold {known}, found {values[index]:g}")
    return order[places].astype(np.float64)


def _require_labels(values: Array, Y: Data, loss: str) -> None:
    """Complain of labels that a loss cannot mean."""
    words, least, most = losses.BY_NAME[loss].targets
    outside = (values < least) | (values > most)
    if outside.any():
        index = first_index(outside)
        raise InputError(f"labels outside the classes: {loss} takes {words}, {entry_in(Y.name, index)} is {values[index]:g}")


def _hinge_targets(targets: Array, Y: Data) -> Array:
    """Return the labels of a hinge: one-hot rows, of a single output −1 and +1."""
    if targets.shape[1] == 1 and np.isin(targets, (0.0, 1.0)).all():
        return 2.0 * targets - 1.0
    if targets.shape[1] == 1 and not np.isin(targets, (-1.0, 1.0)).all():
        raise InputError(f"a hinge of a single output takes labels of -1 and 1, or of 0 and 1; {Y} holds others")
    if targets.shape[1] > 1 and not (np.isin(targets, (0.0, 1.0)).all() and (targets.sum(axis=1) == 1.0).all()):
        raise InputError(f"a hinge of several outputs takes one class an example, as a number or one-hot; {Y} holds others")
    return targets


def _one_hot(classes: Array, outputs: int, Y: Data) -> Array:
    """Return classes 0 to outputs - 1 as rows with a single 1."""
    low, high = classes.min(), classes.max()
    if np.any(classes != np.floor(classes)):
        raise InputError(f"{Y} gives one number an example for {outputs} outputs, so these must be whole numbers")
    if low < 0 or high >= outputs:
        hint = "; say --first-label 1" if low == 1 else ""
        raise InputError(f"labels outside the classes: {Y} must hold 0 to {outputs - 1}, found {low:g} to {high:g}{hint}")
    targets = np.zeros((len(classes), outputs))
    targets[np.arange(len(classes)), classes.astype(np.int64)] = 1.0
    return targets
