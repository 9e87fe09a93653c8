"""Layers as courses write them, and what is asked of all of them: a point, outputs, gradients by name.

Every file in `layers` has forward, backward and inputs in somebody's style: inputs are a dict, a tuple or one array, outputs
one or several, a cache or none. What differs is told apart here, by nothing of fastgrad's.
"""

from __future__ import annotations

import ast
import inspect
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent / "layers"
COMPLEX_STEP = 1e-30
DIFFERENCE_STEP = 2.0**-17


@dataclass(frozen=True, eq=False)
class Point:
    """Inputs in a layer's own form, the same by name, and the upstream gradient in the outputs' form."""

    inputs: Any
    named: dict[str, Any]
    dout: Any


class Layer:
    """A file of `layers`."""

    def __init__(self, path: Path) -> None:
        self.name, self.path = path.stem, path
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        self.space: dict[str, Any] = {"__name__": f"layers_{self.name}"}
        exec(compile(self.tree, str(path), "exec"), self.space)
        self.forward, self.backward = self.space["forward"], self.space["backward"]
        self.mutated: tuple[str, ...] = self.space["MUTATED"]
        self.names = tuple(inspect.signature(self.forward).parameters)
        self.has_cache = self.name != "gelu"

    def point(self, seed: int, dtype: Any = np.float64, size: str = "small", scale: float = 1.0) -> Point:
        """Draw a point, all its real inputs multiplied by a scale, and an upstream gradient."""
        draw = np.random.default_rng([seed, *self.name.encode()])
        inputs = _scaled(self.space["inputs"](draw, dtype, size), scale)
        with np.errstate(all="ignore"):
            outputs = self.outputs(self.forward, self.by_name(inputs))
        found = [np.asarray(draw.normal(size=np.shape(out)), dtype=dtype) for out in outputs]
        dout = tuple(found) if len(found) > 1 else found[0] if found[0].ndim else dtype(found[0])
        return Point(inputs, self.by_name(inputs), dout)

    def by_name(self, inputs: Any) -> dict[str, Any]:
        """Return inputs, or gradients in their form, by the names of forward's parameters."""
        if isinstance(inputs, dict):
            return inputs
        values = inputs if isinstance(inputs, tuple) else (inputs,)
        return dict(zip(self.names, values, strict=True))

    def call(self, forward: Callable[..., Any], named: dict[str, Any]) -> tuple[Any, Any]:
        """Return what forward puts out, and what its backward is to be given beside the upstream gradient."""
        found = forward(**named)
        return found if self.has_cache else (found, named["x"])

    def outputs(self, forward: Callable[..., Any], named: dict[str, Any]) -> tuple[Any, ...]:
        """Return all outputs in a tuple."""
        found = self.call(forward, named)[0]
        return found if isinstance(found, tuple) else (found,)

    def weighed(self, point: Point, forward: Callable[..., Any]) -> Callable[[dict[str, Any]], Any]:
        """Return f(named) = Σ outputs · upstream gradient, whose gradient is what backward returns."""
        weights = point.dout if isinstance(point.dout, tuple) else (point.dout,)

        def f(named: dict[str, Any]) -> Any:
            return sum(np.sum(out * weight) for out, weight in zip(self.outputs(forward, named), weights, strict=True))

        return f

    def gradient(self, space: dict[str, Any], point: Point) -> dict[str, Any] | None:
        """Return the gradients of all real inputs by name; None where they are missing, not finite or of another shape."""
        named = {name: np.array(value) for name, value in point.named.items()}
        dout = tuple(each.copy() for each in point.dout) if isinstance(point.dout, tuple) else point.dout.copy()
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings(), redirect_stdout(StringIO()):
                warnings.simplefilter("ignore")
                found = self.by_name(space["backward"](dout, self.call(space["forward"], named)[1]))
                gradient = {name: np.array(found[name], dtype=np.float64) for name in real(named)}
        except Exception:
            return None
        fits = all(np.isfinite(each).all() and each.shape == named[name].shape for name, each in gradient.items())
        return gradient if fits and len(found) <= len(named) else None


def _scaled(inputs: Any, scale: float) -> Any:
    if isinstance(inputs, dict):
        return {name: _scaled(value, scale) for name, value in inputs.items()}
    if isinstance(inputs, tuple):
        return tuple(_scaled(value, scale) for value in inputs)
    return (inputs * scale).astype(inputs.dtype) if inputs.dtype.kind == "f" else inputs


def real(named: dict[str, Any]) -> list[str]:
    """Return the names of the inputs that have gradients."""
    return [name for name, value in named.items() if np.asarray(value).dtype.kind == "f"]


LAYERS = tuple(Layer(path) for path in sorted(FOLDER.glob("*.py")))


def by_hand(layer: Layer, point: Point) -> dict[str, Any]:
    """Return the gradients by complex steps, or by differences at four points where forward drops imaginary parts."""
    f = layer.weighed(point, layer.forward)
    return {
        name: np.array([_entry(f, point.named, name, k) for k in range(point.named[name].size)]) for name in real(point.named)
    }


def _entry(f: Callable[[dict[str, Any]], Any], named: dict[str, Any], name: str, k: int) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        try:
            return f(_moved(named, name, k, 1j * COMPLEX_STEP)).imag / COMPLEX_STEP
        except (np.exceptions.ComplexWarning, TypeError):
            h = DIFFERENCE_STEP
            near, far = (f(_moved(named, name, k, h * s)) - f(_moved(named, name, k, -h * s)) for s in (1, 2))
            return (8.0 * near - far) / (12.0 * h)


def _moved(named: dict[str, Any], name: str, k: int, by: complex) -> dict[str, Any]:
    moved = named[name].astype(np.complex128 if isinstance(by, complex) else np.float64)
    moved.flat[k] += by
    return {**named, name: moved}
