"""Exact differences of NumPy code on fifteen layers as courses write them: digits and seconds beside those of other ways.

Run with ``pytest bench/test_exact.py -s``. The reference is the layer's own backward pass in extended precision. Seconds are of
the processor. Extrapolation is timed for a sample of entries, and scaled.
"""

from __future__ import annotations

import importlib.util
import math
import time
from pathlib import Path

import numpy as np
import pytest

from fastgrad.functions.difference import try_complex, try_exact
from fastgrad.functions.evaluation import Function
from fastgrad.functions.extrapolation import entry_prober, extrapolate
from fastgrad.functions.noise import Noise, scale_of

LAYERS = sorted((Path(__file__).parent / "layers").glob("[a-z]*.py"))

SAMPLE = 24
"""Entries that are extrapolated."""

DIGITS = 15.0
"""Digits that are counted as all: an error of 1e-15 of the largest entry of a tensor."""

LINE = "{:22s} {:6s} {:6,d}   exact {:5.1f} {:8.4f} s   complex {:5.1f} {:8.4f} s   extrapolated {:5.1f} {:9.3f} s"
TABLE = []


class Case:
    """The weighted sum of a layer's outputs as a function of its real inputs, and its gradient with nineteen digits."""

    def __init__(self, path, size):
        spec = importlib.util.spec_from_file_location(f"layers_{path.stem}", path)
        self.layer = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.layer)
        inputs = self.layer.inputs(np.random.default_rng(0), np.longdouble, size)
        self.is_dict = isinstance(inputs, dict)
        inputs = inputs if isinstance(inputs, (dict, tuple)) else (inputs,)
        self.precise = inputs if self.is_dict else dict(enumerate(inputs))
        self.weights = [np.random.default_rng(9).normal(size=np.shape(part)) for part in self.outputs(self.precise)]
        self.x = {str(name): value.astype(np.float64) for name, value in self.moving()}
        self.precise |= {name: value.astype(np.float64).astype(np.longdouble) for name, value in self.moving()}

    def moving(self):
        """Return the real inputs, by name or place."""
        return [(name, value) for name, value in self.precise.items() if value.dtype.kind == "f"]

    def returned(self, values):
        """Return what forward does."""
        return self.layer.forward(**values) if self.is_dict else self.layer.forward(*values.values())

    def outputs(self, values):
        """Return all outputs in a tuple."""
        found = self.returned(values)
        found = found[0] if isinstance(found, tuple) else found
        return found if isinstance(found, tuple) else (found,)

    def __call__(self, moved):
        """Return the weighted sum of outputs."""
        outputs = self.outputs({name: moved.get(str(name), value) for name, value in self.precise.items()})
        terms = [(weight * part).sum() for weight, part in zip(self.weights, outputs, strict=True)]
        return sum(terms[1:], terms[0])

    def gradient(self):
        """Return the gradient by the layer's backward pass, in extended precision; one array for each tensor."""
        returned = self.returned(self.precise)
        pair = returned if isinstance(returned, tuple) else (returned, next(iter(self.precise.values())))
        weights = [np.asarray(weight, dtype=np.longdouble) for weight in self.weights]
        found = self.layer.backward(tuple(weights) if len(weights) > 1 else weights[0], pair[1])
        if not isinstance(found, dict):
            found = dict(enumerate(found if isinstance(found, tuple) else (found,)))
        return [np.asarray(found[name], dtype=np.float64) for name, _ in self.moving()]


def digits(case, gradient, entries=None):
    """Return how many digits of a gradient are right, in its worst tensor; 0 where there is none."""
    if gradient is None:
        return math.nan
    expected = case.gradient()
    flat = np.concatenate([part.ravel() for part in expected])
    scale = np.concatenate([np.full(part.size, np.abs(part).max()) for part in expected])
    entries = np.arange(flat.size) if entries is None else entries
    off = np.abs(gradient - flat[entries]) / scale[entries]
    return 17.0 if off.max() == 0.0 else float(-np.log10(off.max()))


def timed(function):
    began = time.process_time()
    found = function()
    return found, time.process_time() - began


def extrapolated(case, function):
    entries = np.linspace(0, function.x.size - 1, min(SAMPLE, function.x.size)).astype(int)
    noise = Noise(function)
    _ = noise.level
    found, seconds = timed(
        lambda: extrapolate(function, noise, entry_prober(function, entries), scale_of(function.x)[entries]).value
    )
    return digits(case, found, entries), seconds * function.x.size / entries.size


@pytest.mark.skipif(not LAYERS, reason="the layers are not there")
@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize("path", LAYERS, ids=lambda path: path.stem)
def test_a_layer_is_followed(path, size):
    case = Case(path, size)
    function = Function(case, case.x)
    exact, exact_seconds = timed(lambda: try_exact(function))
    assert exact is not None, function.not_followed
    assert not exact.open.any()
    complexly, complex_seconds = timed(lambda: try_complex(function))
    row = (
        path.stem, size, function.x.size, digits(case, exact.values), exact_seconds,
        digits(case, complexly), complex_seconds, *extrapolated(case, function),
    )  # fmt: skip
    TABLE.append(row)
    assert row[3] >= 14.0


@pytest.mark.skipif(not LAYERS, reason="the layers are not there")
def test_eight_of_fifteen_gain():
    rows = [row for row in TABLE if row[1] == "large"] or pytest.skip("runs after the layers themselves")
    for row in sorted(TABLE, key=lambda row: (row[1], row[0])):
        print(
            "{:22s} {:6s} {:6,d}   exact {:5.1f} {:8.4f} s   complex {:5.1f} {:8.4f} s   extrapolated {:5.1f} {:9.3f} s".format(
                *row
            )
        )
    gains = [row for row in rows if row[3] >= DIGITS or row[4] < np.nanmin([row[8], row[6] if row[5] >= 14.0 else np.nan])]
    print(f"{len(gains)} of {len(rows)} layers get fifteen digits, or fewer seconds, by exact differences")
    assert len(gains) >= 8
