"""Whether a layer's backward pass is right: the public `check_layer`, and the judgement of each of its gradients."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from fastgrad.errors import InputError, quoted
from fastgrad.functions.arguments import Array, real_number, whole_number
from fastgrad.functions.check import Case, judge_entries
from fastgrad.functions.claim import Claim
from fastgrad.functions.evaluation import Function
from fastgrad.functions.noise import SINGLE_ROUNDOFF, UNIT_ROUNDOFF, Noise, scale_of
from fastgrad.functions.tensors import tensor_lines
from fastgrad.layers.arguments import Inputs, Outputs, described
from fastgrad.layers.calling import Pair, gradients_by_name, guarded
from fastgrad.layers.report import LayerReport, LayerTensor
from fastgrad.layers.upstream import Upstream, Weighted, upstream_of, widened
from fastgrad.report.formatting import listed


def check_layer(
    forward: Any,
    backward: Callable[..., Any] | None,
    inputs: Any,
    *,
    upstream: Any = None,
    seed: int | Callable[[], object] = 0,
    frozen: Sequence[str] = (),
    returns_cache: bool | None = None,
    tolerance: float = 0.0,
    method: Literal["auto", "entries", "directions"] = "auto",
) -> LayerReport:
    """Check the backward pass of a layer: all gradients that it returns, under a random upstream gradient.

    Parameters
    ----------
    forward : callable or object
        From the inputs to the output, ``forward(**inputs)`` for a dict, ``forward(*inputs)`` for a tuple or list,
        ``forward(x)`` for an array. It returns an array, several as a tuple or dict, or ``(output, cache)``. Or an object with
        methods ``forward`` and ``backward`` whose parameters and their gradients are attributes, as ``W`` and ``dW``.
    backward : callable or None
        ``backward(dout, cache)``, or ``backward(dout, *inputs)`` by the names of its parameters. It returns the gradients in
        the form of the inputs, a tuple in their order, or a dict of ``dx`` or ``x``. None where `forward` is an object.
    inputs : array_like, tuple, list or mapping
        The point. Whole numbers, masks and settings are held fixed; they are not modified.
    upstream : array_like, tuple or mapping, optional
        The upstream gradient in the form of the outputs; by default it is drawn.
    seed : int or callable
        Seed of what is drawn. A function is called before each call of forward, so that a mask of dropout is the same every
        time: ``seed=lambda: np.random.seed(0)``.
    frozen : sequence of str
        Inputs that need no gradient.
    returns_cache : bool, optional
        Whether the last of what forward returns is the cache of backward; needed only where that cannot be told.
    tolerance : float
        Share of an entry, of the larger of both values, by which it may be off and is right all the same.
    method : {"auto", "entries", "directions"}
        Each entry by itself, or random directions of each tensor; "auto" checks up to 20,000 entries by themselves.

    Returns
    -------
    LayerReport
        ``report.passed``, ``print(report)``, ``report.raise_if_wrong()``, and a line for each gradient in ``report.tensors``.

    Raises
    ------
    InputError
        If forward or backward fails, or it cannot be told how they are called; the message says what to write.

    Examples
    --------
    >>> import fastgrad
    >>> import numpy as np
    >>> forward = lambda x, w: (x @ w, (x, w))
    >>> backward = lambda dout, cache: (dout @ cache[1].T, cache[0].T @ dout)
    >>> inputs = {"x": np.arange(6.0).reshape(2, 3), "w": np.ones((3, 4))}
    >>> fastgrad.check_layer(forward, backward, inputs).passed
    True
    """
    began = time.perf_counter()
    options = _options(seed, frozen, returns_cache, tolerance, method)
    subject = Pair(forward, backward, inputs, returns_cache)  # type: ignore[arg-type]
    return examine(subject, upstream, options, began)


@dataclass(frozen=True)
class Options:
    """What a user may choose, checked: arguments of `check_layer`, the seed parted into a number and a function."""

    seed: int
    reset: Callable[[], object]
    frozen: tuple[str, ...]
    tolerance: float
    method: str


def _options(seed: Any, frozen: Any, returns_cache: Any, tolerance: Any, method: Any) -> Options:
    if method not in ("auto", "entries", "directions"):
        raise InputError(f"method is {quoted(method)}; expected auto, entries or directions")
    if returns_cache not in (None, True, False):
        raise InputError(f"returns_cache is {quoted(returns_cache)}; expected True, False, or None, where it can be told")
    share = real_number(tolerance, "tolerance")
    if share < 0.0:
        raise InputError(f"tolerance is {quoted(tolerance)}; expected a share of an entry, 0 or more")
    names = (frozen,) if isinstance(frozen, str) else tuple(frozen)
    reset = seed if callable(seed) else (lambda: None)
    return Options(0 if callable(seed) else whole_number(seed, "seed", 0), reset, names, share, method)


@dataclass(frozen=True)
class Claims:
    """What backward returned: gradients of the inputs that are judged, and tensors about which that is all there is to say.

    Attributes
    ----------
    arrays : dict
        Gradients by name, in the shapes of their inputs.
    told : dict
        Lines of tensors that are not judged, and what is wrong with the shape of those that are.
    is_single : bool
        Whether anything was computed in single precision.
    """

    arrays: dict[str, Array]
    told: dict[str, LayerTensor]
    is_single: bool


def examine(subject: Any, upstream: Any, options: Options, began: float) -> LayerReport:
    """Check a layer; arguments as they were understood."""
    inputs = subject.inputs
    unknown = [name for name in options.frozen if name not in inputs.names]
    if unknown:
        raise InputError(f"frozen names {listed(unknown)}, and the inputs are {listed(list(inputs.names))}")
    options.reset()
    outputs = guarded("forward", lambda: subject.run(_copies(inputs)))
    weights = upstream_of(upstream, outputs, options.seed)
    claims = claims_of(subject, weights, options)
    function, claim = _posed(subject, outputs, weights, claims, options)
    noise = Noise(function)
    case = Case(function, claim, noise, scale_of(function.x))
    judged = judge_entries(case, None, options.seed)
    allowed = judged.bound + claim.allowed(judged.numerical)
    found = tensor_lines(function.layout, claim, judged.numerical, allowed, judged.plain, judged.entries)
    tensors = _lines(inputs, claims, found, options)
    return LayerReport(
        verdict=_verdict(tensors),
        tensors=tensors,
        entries=tuple(judged.notable(case)),
        elsewhere=(),
        findings=(),
        inputs=inputs.shown(),
        outputs=outputs.shown(),
        method="entries",
        scheme=judged.look.scheme,
        noise=noise.level,
        directions=0,
        miss=0.0,
        smallest=0.0,
        upstream=weights.told,
        seed=options.seed,
        evaluations=function.evaluations,
        seconds=time.perf_counter() - began,
        tolerance=claim.tolerance,
    )


def _copies(inputs: Inputs) -> list[Any]:
    return [value.copy() if isinstance(value, np.ndarray) else value for value in inputs.values]


def claims_of(subject: Any, weights: Upstream, options: Options) -> Claims:
    """Call backward twice, each time after forward, and bring what it returns into the form of the inputs."""
    first, second = (_returned(subject, weights, options) for _ in range(2))
    for name, value in first.items():
        if value is not None and not np.array_equal(np.asarray(value), np.asarray(second[name]), equal_nan=True):
            raise InputError(
                f"backward gives two gradients of {name} for the same inputs: set what it adds to back to 0 in every call, and "
                "seed what is drawn; seed=reset calls reset() before each call of forward"
            )
    arrays: dict[str, Array] = {}
    told: dict[str, LayerTensor] = {}
    is_single = False
    for place, name in enumerate(subject.inputs.names):
        value, gradient = subject.inputs.values[place], first.get(name)
        if place not in subject.inputs.moving or name in options.frozen:
            if isinstance(value, np.ndarray):
                reason = "frozen" if name in options.frozen else "held fixed: no real numbers"
                told[name] = LayerTensor(name, value.shape, "left out", value.size, reason=reason)
        elif gradient is None:
            reason = "backward gives no gradient of it; frozen= names what needs none"
            told[name] = LayerTensor(name, np.shape(value), "not judged", np.size(value), reason=reason)
        else:
            array = _array(gradient, name)
            is_single |= bool({array.dtype, np.asarray(value).dtype} & {np.dtype(np.float32), np.dtype(np.float16)})
            fitted, reason = _fitted(array, np.shape(value), name)
            if reason:
                told[name] = LayerTensor(name, np.shape(value), "wrong", np.size(value), np.size(value), reason=reason)
            if fitted is not None:
                arrays[name] = fitted
    return Claims(arrays, told, is_single)


def _returned(subject: Any, weights: Upstream, options: Options) -> dict[str, Any]:
    values = _copies(subject.inputs)
    options.reset()
    outputs = guarded("forward", lambda: subject.run(values))
    parts = [None if part is None else part.copy() for part in weights.parts]
    returned = guarded("backward", lambda: subject.gradients(values, outputs, parts))
    found = gradients_by_name(returned, subject.inputs, options.frozen)
    # A copy: what the next call changes in place is not what this one returned.
    return {name: None if value is None else _array(value, name).copy() for name, value in found.items()}


def _array(value: Any, name: str) -> Any:
    try:
        array = np.asarray(value)
    except Exception:
        array = np.empty(0, dtype=object)
    if array.dtype.kind not in "fiub":
        raise InputError(f"backward gives {described(value)} as the gradient of {name}; expected an array of real numbers")
    return array


def _fitted(array: Any, shape: tuple[int, ...], name: str) -> tuple[Array | None, str]:
    """Return a gradient in the shape of its input, if it has as many numbers, and what is wrong with its own shape."""
    values = array.astype(np.float64)
    if array.shape == shape or (array.size == 1 and int(np.prod(shape)) == 1):
        return values.reshape(shape), ""
    told = f"its shape is {array.shape}, and that of {name} {shape}"
    if array.size == int(np.prod(shape)):
        return values.reshape(shape), f"{told}: reshape it"
    extra = array.ndim - len(shape)
    summed = extra > 0 and array.shape[extra:] == shape
    axes = ", ".join(str(axis) for axis in range(extra))
    return None, f"{told}{f': is a sum over axis {axes} missing?' if summed else ''}"


def _posed(subject: Any, outputs: Outputs, weights: Upstream, claims: Claims, options: Options) -> tuple[Function, Claim]:
    """Return the weighted sum of outputs as a function, and the claim of its gradient."""
    places = {name: subject.inputs.names.index(name) for name in claims.arrays}
    if not places:
        raise InputError("backward gives no gradient that could be judged: " + "; ".join(_reasons(claims)))
    weighted = Weighted(subject, subject.inputs.values, places, outputs, weights)
    point = {name: widened(subject.inputs.values[place]) for name, place in places.items()}
    function = Function(weighted, point, reset=options.reset, name="forward")
    values = np.concatenate([claims.arrays[name].ravel() for name in places])
    return function, Claim(values, SINGLE_ROUNDOFF if claims.is_single else UNIT_ROUNDOFF, options.tolerance)


def _reasons(claims: Claims) -> list[str]:
    return [f"{tensor.name}, {tensor.reason}" for tensor in claims.told.values() if tensor.verdict != "left out"]


def _lines(inputs: Inputs, claims: Claims, found: Sequence[Any], options: Options) -> tuple[LayerTensor, ...]:
    """Return a line for each tensor: what was found of its entries, and of its shape."""
    judged = {line.name: line for line in found}
    tensors = []
    for name, value in zip(inputs.names, inputs.values, strict=True):
        told, line = claims.told.get(name), judged.get(name)
        if line is None:
            tensors += [] if told is None else [told]
            continue
        rest = "" if told is None else told.reason + ("; its numbers are right" if line.verdict == "right" else "")
        tensors.append(
            LayerTensor(
                name=name,
                shape=np.shape(value),
                verdict=line.verdict if told is None else told.verdict,
                total=line.total,
                wrong=line.wrong,
                inconclusive=line.inconclusive,
                kinks=line.kinks,
                relative_difference=line.relative_difference,
                sensitivity=line.sensitivity,
                reason=rest,
            )
        )
    return tuple(tensors)


def _verdict(tensors: Sequence[LayerTensor]) -> Any:
    """Return the verdict on the whole: what was not judged keeps it from being green."""
    found = {tensor.verdict for tensor in tensors}
    return next((verdict for verdict in ("wrong", "not judged", "inconclusive") if verdict in found), "right")
