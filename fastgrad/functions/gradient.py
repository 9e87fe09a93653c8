"""Derivative and gradient of any function: the two public functions, and the choice of the formula."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fastgrad.errors import InputError, quoted
from fastgrad.functions.arguments import Array, read, real_number
from fastgrad.functions.difference import classical
from fastgrad.functions.evaluation import Function
from fastgrad.functions.extrapolation import entry_prober, extrapolate
from fastgrad.functions.noise import Noise, scale_of
from fastgrad.functions.plain import ROUNDING, settled, without_noise
from fastgrad.functions.step import WITHOUT_NOISE, Scheme, choose_steps

MEASURED_FROM = 4
"""Entries from which on noise is measured first: it takes six evaluations, extrapolation about eight for each entry. For
fewer it is measured where values turn out to tremble by more than their rounding."""


@dataclass(frozen=True)
class NumericalGradient:
    """A gradient and what is known of it.

    Attributes
    ----------
    value : float, ndarray, dict or list
        The gradient, in the form of x.
    error : the same form
        How far off each entry is estimated to be, noise and truncation together.
    evaluations : int
        Points at which the function was evaluated for it, those that measured noise and error included.
    noise : float or None
        Noise level of the function at x; None where it does not disturb, for exact differences and complex steps.
    step : the same form
        Step of each entry; where steps shrank, the last that the value rests on.
    scheme : str
        "exact", "complex", "extrapolated", or the formula that was asked for.
    """

    value: Any
    error: Any
    evaluations: int
    noise: float | None
    step: Any
    scheme: str


@dataclass(frozen=True)
class Flat:
    """A gradient, its errors and steps, each of shape (size,), and how it was made."""

    value: Array
    error: Array
    step: Array
    scheme: str


def derivative(
    f: Callable[..., Any],
    x: Any,
    *,
    scheme: Literal["auto"] | Scheme = "auto",
    step: float | None = None,
    workers: int | None = None,
    batched: bool = False,
    full: bool = False,
) -> Any:
    """Return the derivative of a function of one number.

    Parameters
    ----------
    f : callable
        From a number to a number.
    x : float or array_like
        The point; of an array, every number is a point of its own, and the function is called with each.
    scheme, step, workers, batched, full
        As in `numerical_gradient`.

    Returns
    -------
    float or ndarray
        f′(x), in the shape of x; with `full` a `NumericalGradient`, for an array a list of them.

    Raises
    ------
    InputError
        If the function cannot be differentiated, as in `numerical_gradient`.

    Examples
    --------
    >>> import fastgrad
    >>> fastgrad.derivative(lambda x: x**3, 2.0)
    12.0
    """
    layout, points = read(x)
    if layout.kind not in ("number", "array"):
        raise InputError(
            f"x is a {layout.kind}; a derivative is taken at a number or an array of numbers, a gradient at anything"
        )
    found = [
        numerical_gradient(f, float(point), scheme=scheme, step=step, workers=workers, batched=batched, full=full)
        for point in points
    ]
    if layout.kind == "number":
        return found[0]
    return found if full else np.array(found).reshape(layout.shapes[0])


def numerical_gradient(
    f: Callable[..., Any],
    x: Any,
    *,
    scheme: Literal["auto"] | Scheme = "auto",
    step: float | None = None,
    workers: int | None = None,
    batched: bool = False,
    full: bool = False,
) -> Any:
    """Return the gradient of a function by evaluating it near a point.

    Parameters
    ----------
    f : callable
        From a number, an array of any shape, or a dict or list of them, to a number; as float64. A function that numba has
        compiled is evaluated in its threads.
    x : float, array_like, mapping or sequence
        The point; it is not modified.
    scheme : {"auto", "forward", "central", "five-point", "complex", "exact"}
        The formula. "auto" takes exact differences where NumPy code can be followed by them, complex steps where the function
        accepts complex numbers, and otherwise central differences with shrinking steps, extrapolated. "exact" is the central
        difference without subtracting values.
    step : float, optional
        One step for all entries, and exactly the formula of the books: central unless `scheme` says otherwise. By default
        it follows from noise and derivatives.
    workers : int, optional
        Threads that call the function; by default it is called by one.
    batched : bool
        Whether the function takes many points at once: along a new first axis, returning one number for each.
    full : bool
        Whether to return errors, noise and steps along with the gradient, which takes some evaluations more.

    Returns
    -------
    float, ndarray, dict or list
        The gradient in the form of x; with `full` a `NumericalGradient`.

    Raises
    ------
    InputError
        If f fails, gives no finite number, gives two values for one point, or modifies its argument.

    Examples
    --------
    >>> import fastgrad
    >>> fastgrad.numerical_gradient(lambda x: x[0] ** 2 + x[1] ** 2, [3.0, 4.0])
    array([6., 8.])
    """
    check_scheme(scheme, step)
    function = Function(f, x, workers, batched)
    noise = Noise(function)
    flat = flat_gradient(function, noise, scheme, step, with_error=full)
    build = function.layout.build
    if not full:
        return build(flat.value)
    level = None if flat.scheme in WITHOUT_NOISE else noise.level
    return NumericalGradient(build(flat.value), build(flat.error), function.evaluations, level, build(flat.step), flat.scheme)


def check_scheme(scheme: Any, step: Any) -> None:
    """Raise InputError for a scheme or a step that cannot be used."""
    names = ("auto", *get_args(Scheme))
    if scheme not in names:
        raise InputError(f"scheme is {quoted(scheme)}; expected one of {', '.join(names)}")
    if step is not None:
        real_number(step, "step", positive=True)


def flat_gradient(
    function: Function, noise: Noise, scheme: str = "auto", step: float | None = None, *, with_error: bool = False
) -> Flat:
    """Return the gradient at the function's point as a flat vector; errors of a formula are worked out only if asked for."""
    if scheme == "auto" and step is None:
        return _automatic(function, noise, with_error)
    formula: Scheme = "central" if scheme == "auto" else scheme  # type: ignore[assignment]
    entries = np.arange(function.x.size)
    steps = choose_steps(function, noise, formula) if step is None else np.full(entries.size, float(step))
    value = classical(function, formula, steps, entries)
    error = _error(function, noise, formula, steps, value) if with_error else np.full(entries.size, np.nan)
    return Flat(value, error, steps, formula)


def _automatic(function: Function, noise: Noise, with_error: bool) -> Flat:
    """Take exact differences or complex steps if the function allows it, else extrapolate."""
    plain = without_noise(function)
    entries = np.arange(function.x.size)
    if plain is None:
        return _extrapolated(function, noise, entries, with_error)
    found = settled(function, noise, plain, entries)
    if np.isnan(found.value).any() and function.failure is not None:
        raise function.failure
    return Flat(found.value, found.error, found.step, plain.scheme)


def _extrapolated(function: Function, noise: Noise, entries: NDArray[np.int64], with_error: bool) -> Flat:
    """Return the gradient by extrapolation."""
    if entries.size >= MEASURED_FROM:
        _ = noise.level
    found = extrapolate(function, noise, entry_prober(function, entries), scale_of(function.x))
    if np.isnan(found.value).any() and function.failure is not None:
        raise function.failure
    error = np.maximum(found.error, 2.0 * noise.level / found.step) if with_error else found.error
    return Flat(found.value, error, found.step, "extrapolated")


def _error(function: Function, noise: Noise, scheme: Scheme, steps: Array, value: Array) -> Array:
    """Return noise and truncation of a formula, the latter from a second step, twice as large.

    Notes
    -----
    With truncation c·hᵖ, the values at h and 2h differ by (2ᵖ - 1)·c·hᵖ; p is 1, 2, 4 for forward, central, five-point.
    Noise ε makes 2ε/h, ε/h, 3ε/(2h) at most.
    """
    if scheme in WITHOUT_NOISE:
        return ROUNDING * np.abs(value)
    order, share = {"forward": (1, 2.0), "central": (2, 1.0), "five-point": (4, 1.5)}[scheme]
    wider = classical(function, scheme, 2.0 * steps, np.arange(steps.size))
    return np.abs(wider - value) / (2**order - 1) + share * noise.level / steps  # type: ignore[no-any-return]
