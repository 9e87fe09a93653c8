"""check_grads with JAX's signature: what is given is obeyed, and the rest judged by what noise and rounding explain."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from fastgrad.errors import InputError, quoted, told
from fastgrad.functions.arguments import real_number, whole_number
from fastgrad.functions.program import Numbers, Options, Program, UnsteadyError, coarsest, judge, seeded_alike, weights_for
from fastgrad.layers.arguments import described
from fastgrad.report import GradientError

MODES = {"fwd": "forward mode (jvp)", "rev": "reverse mode (vjp)", "lin": "linearize"}
"""Modes in which JAX differentiates, and what they are called in messages."""

MOST_NUMBERS = 20_000
"""Numbers for each of which forward mode is run once."""

Arrays = Sequence[Any]


def check_grads(
    f: Callable[..., Any],
    args: Sequence[Any],
    order: int,
    modes: Sequence[str] = ("fwd", "rev"),
    atol: Any = None,
    rtol: Any = None,
    eps: float | None = None,
) -> None:
    """Check the gradients that JAX makes of a function; takes the place of `jax.test_util.check_grads`.

    Parameters
    ----------
    f : callable
        From arrays, or trees of them, to arrays; with a rule of its own by `jax.custom_vjp` or `jax.custom_jvp` or without.
    args : sequence
        Its arguments. Real and complex numbers in them are checked, each by itself, and the others held fixed.
    order : int
        Up to which order: 2 checks gradients of gradients too.
    modes : sequence of {"fwd", "rev", "lin"}
        How the gradients are made.
    atol, rtol : float or mapping, optional
        By how much an entry of the gradient may be off, ``atol + rtol·|entry|``, beside what noise and rounding explain; a
        mapping holds it by the type of numbers. By default no more than these.
    eps : float, optional
        One step for the first look at each number; by default it follows from noise and derivatives.

    Raises
    ------
    GradientError
        Where a gradient is wrong, or cannot be judged; an AssertionError, as JAX raises.
    InputError
        If f fails, or JAX cannot differentiate it in a mode.

    Notes
    -----
    The gradient is that of the sum of all outputs, each times a number drawn at random. Without x64, f is differentiated in
    double precision all the same, in a context that leaves the setting as it is, and the gradient judged in the precision of
    `args`.

    Examples
    --------
    >>> import jax.numpy as jnp, fastgrad.jax
    >>> fastgrad.jax.check_grads(jnp.tanh, (jnp.array([0.5, -1.0]),), order=2)
    """
    wanted = [modes] if isinstance(modes, str) else list(modes)
    if not wanted or not set(wanted) <= set(MODES):
        raise InputError(f"modes is {quoted(modes)}; expected some of {', '.join(MODES)}")
    whole_number(order, "order", 1)
    if not callable(f):
        raise InputError(f"f is of type {type(f).__name__}; expected a function")
    if not isinstance(args, list | tuple):
        raise InputError(f"args is {described(args)}; expected a tuple of the arguments of f, (x,) for one")
    reset = seeded_alike()
    try:
        flat = flattened(f, tuple(args))
        precision = coarsest([flat.leaves[place] for place in flat.moving])
        how = Options(
            step=None if eps is None else real_number(eps, "eps", positive=True),
            tolerance=_allowed(rtol, "rtol", precision),
            absolute=_allowed(atol, "atol", precision),
        )
        _check(flat, order, wanted, how, "")
    finally:
        reset()


def _allowed(given: Any, name: str, precision: str) -> float:
    """Return a tolerance, of a mapping that of a precision."""
    if isinstance(given, Mapping):
        given = next((value for key, value in given.items() if np.dtype(key).name == precision), None)
    value = 0.0 if given is None else real_number(given, name)
    if value < 0.0:
        raise InputError(f"{name} is {quoted(given)}; expected 0 or more")
    return value


def _check(flat: Flat, order: int, modes: Sequence[str], how: Options, of: str) -> None:
    """Check a function in all modes, and what they make of it, up to an order."""
    for mode in modes:
        what = f"In {MODES[mode]}{of}"
        try:
            report = judge(Differentiated(flat, mode), how)
        except UnsteadyError as error:
            raise GradientError(f"{what}, {error}.") from error
        if not report.passed:
            raise GradientError(f"{what}:\n{report}")
        if order > 1:
            _check(derived(flat, mode), order - 1, modes, how, f" of what {MODES[mode]} makes{of}")


@dataclass(frozen=True)
class Flat:
    """A function of arrays one after the other, to a list of its outputs that are real or complex numbers.

    Attributes
    ----------
    call : callable
        The function.
    leaves : tuple
        Its arguments.
    names : tuple of str
        What they are called in reports.
    """

    call: Callable[..., list[Any]]
    leaves: tuple[Any, ...]
    names: tuple[str, ...]

    @property
    def moving(self) -> list[int]:
        """Places of the arguments that are checked."""
        return [place for place, leaf in enumerate(self.leaves) if _is_inexact(leaf)]


def flattened(f: Callable[..., Any], args: tuple[Any, ...]) -> Flat:
    """Return a function of the leaves of its arguments, which are called in it as they were given."""
    pairs, tree = jax.tree_util.tree_flatten_with_path(args)

    def call(*leaves: Any) -> list[Any]:
        outputs = f(*jax.tree_util.tree_unflatten(tree, leaves))
        return [output for output in jax.tree_util.tree_leaves(outputs) if _is_inexact(output)]

    names = _parameters(f, len(args))
    for path, leaf in pairs:
        if type(leaf).__module__.partition(".")[0] == "torch":
            raise InputError(
                f"args{jax.tree_util.keystr(path)} is a tensor of torch; expected an array, jnp.asarray(x.numpy())"
            )
    labels = tuple(names[path[0].idx] + jax.tree_util.keystr(path[1:]) for path, _ in pairs)
    return Flat(call, tuple(leaf for _, leaf in pairs), labels)


def _parameters(f: Any, count: int) -> list[str]:
    """Return what a function calls its arguments."""
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    names = [parameter.name for parameter in parameters if parameter.kind <= parameter.POSITIONAL_OR_KEYWORD][:count]
    return names + [f"args[{place}]" for place in range(len(names), count)]


def derived(flat: Flat, mode: str) -> Flat:
    """Return what a mode makes of a function: a function of its arguments and of tangents, or cotangents, drawn at random."""
    values = [flat.leaves[place] for place in flat.moving]
    if mode == "rev":
        along = [_like(weight, output) for weight, output in _weighed(flat.call(*flat.leaves))]
        names = tuple(f"cotangent[{place}]" for place in range(len(along)))
    else:
        along = [_like(weight, value) for weight, value in _weighed(values)]
        names = tuple(f"tangent of {flat.names[place]}" for place in flat.moving)
    count = len(flat.leaves)

    def call(*leaves: Any) -> list[Any]:
        moved = [leaves[place] for place in flat.moving]
        function = _of_moving(flat, leaves[:count])
        if mode == "rev":
            return list(jax.vjp(function, *moved)[1](list(leaves[count:])))
        return [*function(*moved), *_tangents(function, moved, leaves[count:], mode)]

    return Flat(call, (*flat.leaves, *along), (*flat.names, *names))


def _of_moving(flat: Flat, leaves: Arrays) -> Callable[..., list[Any]]:
    """Return a function of the arguments that are checked, the others as they are."""

    def function(*moved: Any) -> list[Any]:
        arguments = list(leaves)
        for place, value in zip(flat.moving, moved, strict=True):
            arguments[place] = value
        return flat.call(*arguments)

    return function


def _tangents(function: Callable[..., list[Any]], values: Arrays, along: Arrays, mode: str) -> list[Any]:
    """Return the slopes of all outputs along a direction."""
    if mode == "lin":
        return list(jax.linearize(function, *values)[1](*along))
    return list(jax.jvp(function, tuple(values), tuple(along))[1])


class Differentiated(Program):
    """A function with the gradient that a mode of JAX makes of it."""

    def __init__(self, flat: Flat, mode: str) -> None:
        self._flat, self._mode = flat, mode
        self._moving = [flat.leaves[place] for place in flat.moving]
        if not self._moving:
            raise InputError("args hold no real or complex numbers; expected an array of floats")
        self._names = [flat.names[place] for place in flat.moving]
        self.precision = coarsest([np.real(leaf) if _is_complex(leaf) else leaf for leaf in map(jnp.asarray, self._moving)])
        self.point = {name: array for place, leaf in enumerate(self._moving) for name, array in self._parted(place, leaf)}
        size = sum(array.size for array in self.point.values())
        if mode != "rev" and size > MOST_NUMBERS:
            raise InputError(
                f"{MODES[mode]} is run once for each number, and {size:,} are more than {MOST_NUMBERS:,}: modes=('rev',)"
            )
        for name, array in self.point.items():
            if not np.isfinite(array).all():
                raise InputError(f"{name} is not finite; a derivative needs a finite point")
        self._weights = self._first_calls()
        self._compiles = False
        self._compiled = self._jitted()

    def outputs(self, x: Numbers, wide: bool) -> list[NDArray[Any]]:
        """Return the outputs."""
        with _in_double(wide):
            return [_numbers(output) for output in self._compiled(*self._made(x, wide))]

    def value(self, x: Numbers, wide: bool) -> Any:
        """Return the sum of all outputs, each times its weight."""
        pairs = zip(self.outputs(x, wide), self._weights, strict=True)
        return sum(_dot(output, weight) for output, weight in pairs)

    def gradient(self, x: Numbers, wide: bool) -> dict[str, NDArray[np.float64]]:
        """Return the gradient of that sum."""
        try:
            with _in_double(wide):
                values = self._made(x, wide)
                found = self._reverse(values) if self._mode == "rev" else self._forward(values)
                return dict(found)
        except TypeError as error:
            if "custom_vjp" in str(error):
                raise InputError(
                    f"f has a rule by custom_vjp, for which JAX has no {MODES[self._mode]}: give modes=('rev',)"
                ) from error
            raise InputError(f"{MODES[self._mode]} raises {told(error)}") from error
        except Exception as error:
            raise InputError(f"{MODES[self._mode]} raises {told(error)}") from error

    def _reverse(self, values: Arrays) -> Iterator[tuple[str, NDArray[np.float64]]]:
        function = _of_moving(self._flat, self._flat.leaves)
        outputs, backward = jax.vjp(function, *values)
        # JAX's gradient of a real sum is the conjugate of that which has the slopes along both axes as its parts.
        cotangents = [_like(np.conj(weight), output) for weight, output in zip(self._weights, outputs, strict=True)]
        for place, gradient in enumerate(backward(cotangents)):
            yield from self._parted(place, np.conj(_numbers(gradient)))

    def _forward(self, values: Arrays) -> Iterator[tuple[str, NDArray[np.float64]]]:
        function = _of_moving(self._flat, self._flat.leaves)

        def slopes_along(values: Arrays, along: Arrays) -> list[Any]:
            return _tangents(function, values, along, self._mode)

        derive = jax.jit(slopes_along) if self._compiles else slopes_along
        for place, value in enumerate(values):
            shape, along = np.shape(value), [jnp.zeros_like(other) for other in values]
            for name, unit in zip(self._arrays(place), (1.0, 1j), strict=False):
                slopes = np.empty(shape)
                for index in np.ndindex(shape):
                    along[place] = jnp.zeros_like(value).at[index].set(unit)
                    pairs = zip(derive(values, along), self._weights, strict=True)
                    slopes[index] = sum(_dot(_numbers(tangent), weight).real for tangent, weight in pairs)
                yield name, slopes

    def _first_calls(self) -> list[NDArray[Any]]:
        """Call the function twice, and return what its outputs are weighed by."""
        try:
            first, second = ([_numbers(output) for output in self._flat.call(*self._flat.leaves)] for _ in range(2))
        except Exception as error:
            raise InputError(f"f raises {told(error)}") from error
        if not first:
            raise InputError("f returns no real or complex numbers; expected an array, or a tree of arrays")
        if not all(np.array_equal(one, other, equal_nan=True) for one, other in zip(first, second, strict=True)):
            raise InputError("f gives two values for the same args: give what it draws, a key for example, as an argument")
        return [weight for weight, _ in _weighed(first)]

    def _jitted(self) -> Callable[..., list[Any]]:
        """Return the function compiled; where that fails, or changes it, as it is."""
        function = _of_moving(self._flat, self._flat.leaves)
        compiled = jax.jit(function)
        try:
            ours, theirs = ([_numbers(output) for output in call(*self._moving)] for call in (function, compiled))
        except Exception:  # a function that asks for the values of what it is given
            return function
        same = (np.allclose(one, other, rtol=1e-3, equal_nan=True) for one, other in zip(ours, theirs, strict=True))
        self._compiles = all(same)
        return compiled if self._compiles else function

    def _arrays(self, place: int) -> tuple[str, ...]:
        name = self._names[place]
        return (f"{name}.real", f"{name}.imag") if _is_complex(self._moving[place]) else (name,)

    def _parted(self, place: int, value: Any) -> Iterator[tuple[str, NDArray[np.float64]]]:
        """Yield real and imaginary parts by name, or real numbers alone."""
        array = _numbers(value)
        parts = (array.real, array.imag) if _is_complex(self._moving[place]) else (array.real,)
        yield from ((name, np.array(part, dtype=np.float64)) for name, part in zip(self._arrays(place), parts, strict=True))

    def _made(self, x: Numbers, wide: bool) -> list[Any]:
        """Return the arguments that are checked, of other numbers, in double precision or their own."""
        made = []
        for place, leaf in enumerate(self._moving):
            names = self._arrays(place)
            if len(names) > 1 and any(x[name].dtype.kind == "c" for name in names):
                raise TypeError("complex steps of a complex number's parts are numbers of another kind")
            array = x[names[0]] + 1j * x[names[1]] if len(names) > 1 else x[names[0]]
            stays = not wide and array.dtype.kind == ("c" if len(names) > 1 else "f")
            made.append(jnp.asarray(array.astype(jnp.asarray(leaf).dtype) if stays else array))
        return made


def _in_double(wide: bool) -> AbstractContextManager[Any]:
    """Return a context in which JAX keeps numbers of double precision as they are."""
    context: AbstractContextManager[Any] = jax.enable_x64(True) if wide else nullcontext()
    return context


def _is_inexact(value: Any) -> bool:
    return isinstance(value, float | complex) or jnp.issubdtype(getattr(value, "dtype", np.int64), jnp.inexact)


def _is_complex(value: Any) -> bool:
    return isinstance(value, complex) or jnp.issubdtype(getattr(value, "dtype", np.int64), jnp.complexfloating)


def _numbers(value: Any) -> NDArray[Any]:
    """Return an array's numbers in double precision."""
    return np.asarray(value).astype(np.complex128 if _is_complex(value) else np.float64)


def _weighed(values: Arrays) -> Iterator[tuple[NDArray[Any], Any]]:
    """Yield numbers drawn for each array, and the array."""
    generator = np.random.default_rng(0)
    for value in values:
        yield weights_for(generator, np.shape(value), _is_complex(value)), value


def _like(numbers: NDArray[Any], value: Any) -> Any:
    return jnp.asarray(numbers.astype(jnp.asarray(value).dtype))


def _dot(output: NDArray[Any], weight: NDArray[Any]) -> Any:
    """Return the sum of an output, each number times its weight; of complex ones real and imaginary parts."""
    return (output * weight.conj()).real.sum() if weight.dtype.kind == "c" else (output * weight).sum()
