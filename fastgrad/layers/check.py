"""Whether a layer's backward pass is right: the public `check_layer`, and the judgement of each of its gradients."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np

from fastgrad.errors import InputError, quoted
from fastgrad.functions.arguments import Array, real_number, whole_number
from fastgrad.functions.check import MOST_ENTRIES, Case, judge_entries
from fastgrad.functions.claim import ROUNDINGS, Claim
from fastgrad.functions.directions import Search
from fastgrad.functions.noise import UNIT_ROUNDOFF, scale_of
from fastgrad.functions.report import EntryReport, FunctionTensor
from fastgrad.functions.step import WITHOUT_NOISE
from fastgrad.functions.tensors import tensor_lines
from fastgrad.layers.along import DIRECTIONS, MISS, Directions, Slopes
from fastgrad.layers.arguments import Inputs, Outputs, described, has_gradient
from fastgrad.layers.calling import Pair, guarded
from fastgrad.layers.elsewhere import blind_spots, other_numbers, other_rows, reaches_one
from fastgrad.layers.naming import Measured, Place, Wrong, named
from fastgrad.layers.objects import Object, owner_of, require_layer
from fastgrad.layers.report import Elsewhere, LayerReport, LayerTensor
from fastgrad.layers.upstream import LayerFunction, LayerNoise, Upstream, Weighted, upstream_of, widened
from fastgrad.report.formatting import listed
from fastgrad.report.parts import Finding

IN_SINGLE = "in single precision backward gives another gradient than in double precision, by more than rounding explains"

IN_BOTH = "Gradients are judged as backward gives them in double precision; those in single precision differ by their rounding."

FEW = 2
"""Directions of each tensor at other points."""

SCREENED = 64
"""Numbers from which on directions come first, and entries by themselves only where they find a fault or see too little."""

FINE = 1e-3
"""Share of a typical entry that directions have to see in order to do without entries by themselves."""

OTHER_NUMBERS, DRAWN = "other numbers", "a drawn upstream gradient"
"""How the points of the same shapes are spoken of."""


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
    diagnosis: bool = True,
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
    diagnosis : bool
        Whether what is wrong is named: by what holds exactly on the wrong entries, and, where the source of backward can be
        read, by the edit that makes it right. Edits that do no more than calculate are run, for some seconds at most.

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
    options = options_of(seed, frozen, returns_cache, tolerance, method, diagnosis)
    return examine(subject_of(forward, backward, inputs, returns_cache, options.frozen), upstream, options, began)


def subject_of(
    forward: Any, backward: Any, inputs: Any, returns_cache: bool | None = None, frozen: Sequence[str] = ()
) -> Pair | Object:
    """Return what can be asked for outputs and gradients: two functions, or an object with methods."""
    layer = owner_of(forward, backward)
    if layer is not None:
        return Object(layer, inputs, returns_cache, frozen)
    if backward is None:
        require_layer(forward)
    return Pair(forward, backward, inputs, returns_cache, frozen)


@dataclass(frozen=True)
class Options:
    """What a user may choose, checked: arguments of `check_layer`, the seed parted into a number and a function."""

    seed: int
    reset: Callable[[], object]
    frozen: tuple[str, ...]
    tolerance: float
    method: str
    diagnosis: bool


def options_of(seed: Any, frozen: Any, returns_cache: Any, tolerance: Any, method: Any, diagnosis: bool = True) -> Options:
    """Return what a user chose, or complain of it by name."""
    if method not in ("auto", "entries", "directions"):
        raise InputError(f"method is {quoted(method)}; expected auto, entries or directions")
    if returns_cache not in (None, True, False):
        raise InputError(f"returns_cache is {quoted(returns_cache)}; expected True, False, or None, where it can be told")
    share = real_number(tolerance, "tolerance")
    if share < 0.0:
        raise InputError(f"tolerance is {quoted(tolerance)}; expected a share of an entry, 0 or more")
    names = (frozen,) if isinstance(frozen, str) else tuple(frozen)
    reset = seed if callable(seed) else (lambda: None)
    return Options(0 if callable(seed) else whole_number(seed, "seed", 0), reset, names, share, method, diagnosis)


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
        Whether anything was computed in single precision, or less.
    unit_roundoff : float
        The coarsest unit roundoff among inputs and gradients.
    single : dict
        Where `arrays` are what backward gives in double precision, what it gives in single precision; else empty.
    remarks : tuple of str
        What backward does beside.
    are_exchanged : bool
        Whether two gradients have each other's shapes: `arrays` has them the right way round, and their lines say so.
    """

    arrays: dict[str, Array]
    told: dict[str, LayerTensor]
    is_single: bool
    unit_roundoff: float = UNIT_ROUNDOFF
    single: dict[str, Array] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    are_exchanged: bool = False


class Point(NamedTuple):
    """A layer at a point: inputs, outputs, the upstream gradient, what backward claims, and that as a case to be judged."""

    inputs: Inputs
    outputs: Outputs
    weights: Upstream
    claims: Claims
    case: Case
    noise: LayerNoise


def point_at(
    subject: Pair | Object, inputs: Inputs, upstream: Any, options: Options, seed: int, is_drawn: bool = False
) -> Point:
    """Call forward and backward at a point.

    Raises
    ------
    InputError
        If one of them fails, or there is nothing to judge.
    """
    options.reset()
    outputs = guarded("forward", lambda: subject.run(copies(inputs)))
    weights = upstream_of(upstream, outputs, seed, is_drawn)
    claims = claims_of(subject, inputs, weights, options)
    claims = in_double(subject, inputs, weights, claims, options) if claims.is_single else claims
    function, claim = _posed(subject, inputs, outputs, weights, claims, options)
    noise = LayerNoise(function)
    return Point(inputs, outputs, weights, claims, Case(function, claim, noise, scale_of(function.x)), noise)


def examine(subject: Pair | Object, upstream: Any, options: Options, began: float) -> LayerReport:
    """Check a layer; arguments as they were understood."""
    return _examined(subject, upstream, options, began)[0]


def examine_under(subject: Pair | Object, upstream: Any, options: Options) -> tuple[LayerReport, dict[str, Array]]:
    """Check a layer of a chain; return the true gradients as well: the claimed that are right, else the numerical ones."""
    report, point, found = _examined(subject, upstream, options, time.perf_counter())
    right = {tensor.name for tensor in report.tensors if tensor.verdict == "right"}
    true = {name: array for name, array in point.claims.arrays.items() if name in right}
    if found.numerical is not None:
        for (name, array), (start, stop) in zip(
            point.claims.arrays.items(), pairwise(point.case.function.layout.starts), strict=True
        ):
            true.setdefault(name, found.numerical[start:stop].reshape(array.shape))
    return report, {name: array for name, array in true.items() if np.isfinite(array).all()}


def _examined(subject: Pair | Object, upstream: Any, options: Options, began: float) -> tuple[LayerReport, Point, Found]:
    inputs = subject.inputs
    unknown = [name for name in options.frozen if name not in inputs.names]
    if unknown:
        raise InputError(f"frozen names {listed(unknown)}, and the inputs are {listed(list(inputs.names))}")
    point = point_at(subject, inputs, upstream, options, options.seed)
    found = _judged(point, options)
    others = _elsewhere(subject, point, upstream, options)
    if found.scheme not in WITHOUT_NOISE and _verdict(found.tensors) != "right" and not point.case.function.settles():
        raise InputError(
            "forward gives different values for the same inputs from call to call: it draws random numbers, a dropout mask for "
            "example. seed=reset calls reset() before each call of forward: seed=lambda: np.random.seed(0)"
        )
    wrong_elsewhere = any(other.wrong for other in others)
    report = LayerReport(
        verdict="wrong" if wrong_elsewhere else _verdict(found.tensors),
        tensors=found.tensors,
        entries=found.entries,
        elsewhere=others,
        findings=_findings(subject, point, found, others, upstream, options),
        inputs=inputs.shown(),
        outputs=point.outputs.shown(),
        method="directions" if found.is_along else "entries",
        scheme=found.scheme,
        noise=point.case.noise.level,
        directions=DIRECTIONS if found.is_along else 0,
        miss=MISS if found.is_along else 0.0,
        smallest=found.smallest,
        upstream=point.weights.told,
        seed=options.seed,
        evaluations=point.case.function.evaluations,
        seconds=time.perf_counter() - began,
        tolerance=options.tolerance,
        remarks=((IN_BOTH,) if point.claims.single else ()) + point.claims.remarks,
        blind_spots=tuple(_blind_spots(subject, point, found, others, options)),
    )
    return report, point, found


class Found(NamedTuple):
    """What was found at a point.

    `known` is the bound, infinite where the numerical value is not certain. Along directions a finding is clean if nothing is
    wrong and a thousandth of a typical entry would have been seen; the claim is then the numerical value too.
    """

    tensors: tuple[LayerTensor, ...]
    entries: tuple[EntryReport, ...]
    scheme: str
    smallest: float
    numerical: Array | None
    bound: Array | None
    known: Array | None = None
    is_along: bool = False
    is_clean: bool = True


def _judged(point: Point, options: Options) -> Found:
    """Judge along directions, entries by themselves, or the first and then, where something is left to be seen, the second."""
    size = point.case.function.x.size
    if options.method == "entries" or (options.method == "auto" and size <= SCREENED):
        return by_entries(point, options)
    found = along_directions(point, options)
    is_enough = found.is_clean or options.method == "directions" or size > MOST_ENTRIES
    return found if is_enough else by_entries(point, options)


def by_entries(point: Point, options: Options) -> Found:
    """Judge every entry by itself."""
    case = point.case
    judged = judge_entries(case, None, options.seed)
    for entry, (value, bound) in off_in_single(point, options.tolerance).items():
        reason = f"in single precision; in double precision the claim is {case.claim.values[entry]:.7g}"
        numerical = float(judged.numerical[entry])
        judged.entries[entry] = EntryReport(case.function.layout.label(entry), "wrong", value, numerical, bound, reason)
    allowed = judged.bound + case.claim.allowed(judged.numerical)
    lines = tensor_lines(case.function.layout, case.claim, judged.numerical, allowed, judged.plain, judged.entries)
    tensors = _lines(point, {line.name: _of_line(line, point) for line in lines})
    known = np.where(judged.plain, allowed, np.inf)
    return Found(tensors, tuple(judged.notable(case)), judged.look.scheme, 0.0, judged.numerical, judged.bound, known)


def along_directions(point: Point, options: Options) -> Found:
    """Judge every tensor along random directions; halving finds wrong entries."""
    case = point.case
    search = Directions(Search(case.function, case.claim, case.noise), options.seed, DIRECTIONS)
    lines, entries, smallest = {}, [], 0.0
    single = _wrong_in_single(point, options)
    for name, slopes in zip(point.claims.arrays, _slopes(search, point), strict=True):
        located = search.located(slopes) if slopes.is_wrong else []
        is_wrong = bool(located) or (slopes.is_wrong and search.is_analytic)
        entries += located
        is_open = slopes.is_open or (slopes.is_wrong and not is_wrong)
        verdict: Any = "wrong" if is_wrong or name in single else "inconclusive" if is_open else "right"
        array = point.claims.arrays[name]
        reason = IN_SINGLE if name in single and not is_wrong else ""
        if verdict == "inconclusive":
            reason = "noise of forward hides its slopes, or kinks beside the point leave none"
        size = float(np.sqrt(np.mean(array**2)))
        lines[name] = LayerTensor(
            name,
            array.shape,
            verdict,
            array.size,
            len(located),
            relative_difference=slopes.difference,
            sensitivity=slopes.smallest / size if size and verdict == "right" else None,
            reason=reason,
        )
        smallest = max(smallest, slopes.smallest)
    scheme = "complex" if search.is_analytic else "extrapolated"
    is_clean = not search.sees_kinks and all(
        line.verdict == "right" and (line.sensitivity or 0.0) <= FINE for line in lines.values()
    )
    values, bound = (case.claim.values, np.full(case.claim.values.size, smallest)) if is_clean else (None, None)
    return Found(_lines(point, lines), tuple(entries), scheme, smallest, values, bound, None, True, is_clean)


def _slopes(search: Directions, point: Point) -> list[Slopes]:
    """Return the slopes of every tensor: those of all together where nothing is wrong and they are fine enough for each."""
    joint = search.together()
    sizes = [float(np.sqrt(np.mean(array**2))) for array in point.claims.arrays.values()]
    is_enough = _is_well(search, joint) and joint.smallest <= FINE * min(sizes)
    return [joint] * len(sizes) if is_enough else search.slopes()


def _is_well(search: Directions, slopes: Slopes) -> bool:
    """Whether nothing is wrong along directions, nor open, nor on a kink."""
    return not (slopes.is_wrong or slopes.is_open or search.sees_kinks)


def _elsewhere(subject: Pair | Object, point: Point, upstream: Any, options: Options) -> tuple[Elsewhere, ...]:
    """Try other numbers and another number of rows along a few directions of each tensor."""
    tried = [_tried(subject, inputs, told, options) for told, inputs in _places(subject, point, upstream, options)]
    point.case.function.evaluations += sum(count for _, count in tried)
    return tuple(other for other, _ in tried)


def _places(subject: Pair | Object, point: Point, upstream: Any, options: Options) -> list[tuple[str, Inputs]]:
    """Return the other points; what an upstream gradient hides that was given, or is the 1 of a loss, a drawn one shows."""
    is_fixed = upstream is not None or (point.outputs.is_one_number and subject.takes_upstream)
    return _other_points(subject, point, options) + ([(DRAWN, point.inputs)] if is_fixed else [])


def _other_points(subject: Pair | Object, point: Point, options: Options) -> list[tuple[str, Inputs]]:
    """Return inputs with other numbers, and with another number of rows where forward takes it."""
    rows = other_rows(point.inputs, point.outputs, lambda values: _run(subject, values, options))
    numbers = other_numbers(point.inputs, options.frozen, options.seed)
    return [(OTHER_NUMBERS, numbers), *([] if rows is None else [rows])]


def _findings(
    subject: Pair | Object, point: Point, found: Found, others: Sequence[Elsewhere], upstream: Any, options: Options
) -> tuple[Finding, ...]:
    """Name what is wrong at the given point; what is wrong elsewhere alone is named there."""
    if not options.diagnosis or point.claims.are_exchanged:
        return ()
    if not any(tensor.verdict == "wrong" for tensor in found.tensors):
        tried = zip(others, _places(subject, point, upstream, options), strict=True)
        where = next((place for other, place in tried if other.wrong), None)
        if where is None:
            return ()
        point = _point_elsewhere(subject, where[1], where[0], options)
        found = by_entries(point, options)
    if found.numerical is None or found.known is None:
        return ()
    places = [_here(subject, point, options)]
    for told, inputs in _other_points(subject, point, options):
        with contextlib.suppress(InputError):
            places.append(_place(subject, point, told, inputs, options))
    claim = point.case.claim
    return named(
        Wrong(
            subject,
            point.claims.arrays,
            found.numerical,
            found.known,
            places,
            options.reset,
            options.frozen,
            claim.unit_roundoff,
        )
    )


def _here(subject: Pair | Object, point: Point, options: Options) -> Place:
    """Return the point itself, in the precision in which its gradients are judged."""
    if not point.claims.single:
        return Place("", point.inputs, point.outputs, point.weights, lambda: None)
    inputs = in_double_precision(point.inputs)
    return Place("", inputs, _run(subject, copies(inputs), options), point.weights.widened(), lambda: None)


def _place(subject: Pair | Object, point: Point, told: str, inputs: Inputs, options: Options) -> Place:
    """Return another point, under a drawn upstream gradient, at which slopes are measured once somebody asks for them."""
    inputs = in_double_precision(inputs) if point.claims.single else inputs
    outputs = _run(subject, copies(inputs), options)
    weights = upstream_of(None, outputs, options.seed + 2, subject.takes_upstream)

    def measure() -> Measured:
        nothing = {name: np.zeros(np.shape(inputs.values[inputs.names.index(name)])) for name in point.claims.arrays}
        claims = replace(point.claims, arrays=nothing, told={}, single={})
        try:
            function, claim = _posed(subject, inputs, outputs, weights, claims, options)
            slopes = Directions(Search(function, claim, LayerNoise(function)), options.seed + 2, FEW).slopes()
        except InputError:
            return None
        rows = [
            (direction, -off, bound)
            for found in slopes
            for direction, off, bound in zip(found.directions, found.off, found.bound, strict=True)
            if np.isfinite(off)
        ]
        point.case.function.evaluations += function.evaluations
        return tuple(np.array(column) for column in zip(*rows, strict=True)) if rows else None  # type: ignore[return-value]

    return Place(told, inputs, outputs, weights, measure)


def _run(subject: Pair | Object, values: Sequence[Any], options: Options) -> Outputs:
    options.reset()
    return guarded("forward", lambda: subject.run(values))


def _point_elsewhere(subject: Pair | Object, inputs: Inputs, told: str, options: Options) -> Point:
    return point_at(subject, inputs, None, options, options.seed + 1, told == DRAWN)


def _tried(subject: Pair | Object, inputs: Inputs, told: str, options: Options) -> tuple[Elsewhere, int]:
    """Return what a few directions of each tensor say at another point, and how often forward was called."""
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            point = _point_elsewhere(subject, inputs, told, options)
            case = point.case
            search = Directions(Search(case.function, case.claim, case.noise), options.seed + 1, FEW)
            found = [] if _is_well(search, search.together()) else search.slopes()
            slopes = dict(zip(case.function.layout.names, found, strict=bool(found)))
            single = _wrong_in_single(point, options)
    except InputError as error:
        return Elsewhere(told, (), False, f"{error}."), 0
    wrong = [name for name, found in slopes.items() if found.is_wrong and search.is_confirmed(found)]
    unclear = [name for name, found in slopes.items() if found.is_wrong and name not in wrong]
    reason = f"Kinks beside the point leave {listed(unclear)} open." if unclear else ""
    if not wrong and single:
        wrong, reason = single, f"{IN_SINGLE.capitalize()}."
    elif wrong:
        reason = _difference(wrong[0], slopes[wrong[0]], point.claims)
    return Elsewhere(told, tuple(wrong), True, reason), case.function.evaluations


def _difference(name: str, found: Slopes, claims: Claims) -> str:
    """Say how the gradient of an input is off along a direction; one that is no number has no slope."""
    if not np.isfinite(claims.arrays[name]).all():
        return f"The claimed gradient of {name} has entries there that are not finite."
    claimed, numerical = found.worst()
    return f"Along a direction of {name} the claim has the slope {claimed:.7g}, and forward {numerical:.7g}."


def _wrong_in_single(point: Point, options: Options) -> list[str]:
    """Name the tensors whose gradient in single precision is another one than in double precision."""
    entries = np.array(list(off_in_single(point, options.tolerance)))
    starts = pairwise(point.case.function.layout.starts)
    return [
        name
        for name, (start, stop) in zip(point.claims.arrays, starts, strict=True)
        if np.any((entries >= start) & (entries < stop))
    ]


def _blind_spots(
    subject: Pair | Object, point: Point, found: Found, others: Sequence[Elsewhere], options: Options
) -> Iterator[str]:
    """Yield what the given point hides and no other point has shown."""
    if point.weights.hides:
        yield (
            "all entries, or all rows, of the upstream gradient are equal. Gradients of normalisations and of softmax vanish "
            "under it, and an axis that is missing or exchanged does not show. Leave upstream out, and one is drawn."
        )
    tried = [other.point for other in others if other.tried]
    yield from blind_spots(
        point.inputs, options.frozen, OTHER_NUMBERS in tried, any("in the place of" in place for place in tried)
    )
    if found.numerical is not None and found.bound is not None:
        for name, (start, stop) in zip(point.claims.arrays, pairwise(point.case.function.layout.starts), strict=True):
            if bool((np.abs(found.numerical[start:stop]) <= found.bound[start:stop]).all()):
                yield f"the gradient of {name} is 0 here, to rounding, so that many mistakes in it pass. Take another point."
    with contextlib.suppress(InputError):
        pooled = reaches_one(lambda values: _run(subject, values, options), point.inputs, point.outputs)
        if pooled is not None:
            yield (
                f"no entry of {pooled} reaches more than one output, as where windows do not overlap: a backward pass that "
                "writes where it should add passes. Let them overlap."
            )


def copies(inputs: Inputs) -> list[Any]:
    """Return inputs that forward may do with as it likes."""
    return [value.copy() if isinstance(value, np.ndarray) else value for value in inputs.values]


def claims_of(subject: Pair | Object, inputs: Inputs, weights: Upstream, options: Options) -> Claims:
    """Call backward twice, each time after forward, and bring what it returns into the form of the inputs."""
    (first, remarks), (second, _) = (_returned(subject, inputs, weights, options) for _ in range(2))
    for name, value in first.items():
        if value is not None and not np.array_equal(np.asarray(value), np.asarray(second[name]), equal_nan=True):
            raise InputError(
                f"backward gives two gradients of {name} for the same inputs: set what it adds to back to 0 in every call, and "
                "seed what is drawn; seed=reset calls reset() before each call of forward"
            )
    if isinstance(subject, Object) and (adding := subject.adding(weights.parts)):
        remarks = (
            *remarks,
            f"backward adds the gradient of {listed(adding)} to what is there: a second call gives the sum of both "
            "unless it is set to 0 in between.",
        )
    arrays: dict[str, Array] = {}
    told: dict[str, LayerTensor] = {}
    roundoff, are_exchanged = UNIT_ROUNDOFF, False
    for place, name in enumerate(inputs.names):
        value, gradient = inputs.values[place], first.get(name)
        if place not in inputs.moving or name in options.frozen:
            if isinstance(value, np.ndarray):
                reason = "frozen" if name in options.frozen else "held fixed: no real numbers"
                told[name] = LayerTensor(name, value.shape, "left out", value.size, reason=reason)
        elif gradient is None:
            reason = "backward gives no gradient of it; frozen= names what needs none"
            told[name] = LayerTensor(name, np.shape(value), "not judged", np.size(value), reason=reason)
        else:
            array = _array(gradient, name)
            kinds = [kind.dtype for kind in (array, np.asarray(value)) if kind.dtype.kind == "f"]
            roundoff = max([roundoff, *(float(np.finfo(kind).eps) / 2.0 for kind in kinds)])
            fitted, reason = _fitted(array, np.shape(value), name)
            if fitted is None and (other := _partner(name, first, inputs)):
                fitted, are_exchanged = _array(first[other], other).astype(np.float64), True
                reason = (
                    f"its shape is {array.shape}, that of {other}, whose gradient has that of {name}: the two are exchanged"
                )
            if reason:
                told[name] = LayerTensor(name, np.shape(value), "wrong", np.size(value), np.size(value), reason=reason)
            if fitted is not None:
                arrays[name] = fitted
    return Claims(arrays, told, roundoff > UNIT_ROUNDOFF, roundoff, remarks=remarks, are_exchanged=are_exchanged)


def in_double_precision(inputs: Inputs) -> Inputs:
    """Return the same inputs in double precision."""
    return replace(inputs, values=tuple(widened(value) if has_gradient(value) else value for value in inputs.values))


def in_double(subject: Pair | Object, inputs: Inputs, weights: Upstream, claims: Claims, options: Options) -> Claims:
    """Return what backward gives in double precision, where it does, for gradients of single precision.

    That is judged to its last digits; what it gives in single precision then differs by rounding alone.
    """
    try:
        found = claims_of(subject, in_double_precision(inputs), weights.widened(), options)
    except InputError:
        return claims
    if found.is_single or found.arrays.keys() != claims.arrays.keys() or found.told.keys() != claims.told.keys():
        return claims
    return replace(found, told=claims.told, unit_roundoff=claims.unit_roundoff, single=claims.arrays)


def off_in_single(point: Point, tolerance: float) -> dict[int, tuple[float, float]]:
    """Return the entries whose gradient in single precision differs from that in double by more than rounding explains.

    Each with its value in single precision, and the bound: `claim`'s, of the terms that the entry changes, or of a sum of all
    whose signs are independent, where nothing is known of the entry.
    """
    if not point.claims.single:
        return {}
    case = point.case
    single = np.concatenate([point.claims.single[name].ravel() for name in point.claims.arrays])
    terms = point.noise.all_terms / case.scale
    size = np.fmax(np.abs(np.nan_to_num(single)), np.abs(case.claim.values))
    bound = ROUNDINGS * point.claims.unit_roundoff * (size + terms) + tolerance * size
    with np.errstate(invalid="ignore"):
        off = np.flatnonzero(~(np.abs(single - case.claim.values) <= bound))
    return {int(entry): (float(single[entry]), float(bound[entry])) for entry in off}


def _returned(
    subject: Pair | Object, inputs: Inputs, weights: Upstream, options: Options
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return what backward gives, and what it changes in place."""
    values = copies(inputs)
    options.reset()
    outputs = guarded("forward", lambda: subject.run(values))
    parts = [None if part is None else part.copy() for part in weights.parts]
    found = subject.gradients(values, outputs, parts)
    changed = [name for name, ours, given in zip(inputs.names, values, inputs.values, strict=True) if not _same(ours, given)]
    changed += [] if all(map(_same, parts, weights.parts)) else ["the upstream gradient"]
    told = (
        [f"backward changes {listed(changed)} in place, which others may still need; let it work on a copy."] if changed else []
    )
    # A copy: what the next call changes in place is not what this one returned.
    copied = {name: None if value is None else _array(value, name).copy() for name, value in found.items()}
    return copied, tuple(told)


def _same(ours: Any, given: Any) -> bool:
    """Whether an array is still as it was given."""
    return not isinstance(ours, np.ndarray) or ours.dtype.kind not in "fiub" or np.array_equal(ours, given, equal_nan=True)


def _array(value: Any, name: str) -> Any:
    try:
        array = np.asarray(value)
    except Exception:
        array = np.empty(0, dtype=object)
    if array.dtype.kind not in "fiub":
        raise InputError(f"backward gives {described(value)} as the gradient of {name}; expected an array of real numbers")
    return array


def _partner(name: str, gradients: dict[str, Any], inputs: Inputs) -> str | None:
    """Return the input whose gradient has the shape of another one, while that one's has its own."""
    shapes = {one: np.shape(value) for one, value in zip(inputs.names, inputs.values, strict=True)}
    given = {one: np.shape(value) for one, value in gradients.items() if value is not None}
    return next((one for one in given if given[one] == shapes[name] and given[name] == shapes[one] != shapes[name]), None)


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


def _posed(
    subject: Pair | Object, inputs: Inputs, outputs: Outputs, weights: Upstream, claims: Claims, options: Options
) -> tuple[LayerFunction, Claim]:
    """Return the weighted sum of outputs as a function, and the claim of its gradient."""
    places = {name: inputs.names.index(name) for name in claims.arrays}
    if not places:
        raise InputError("backward gives no gradient that could be judged: " + "; ".join(_reasons(claims)))
    weighted = Weighted(subject, inputs.values, places, outputs, weights)
    point = {name: widened(inputs.values[place]) for name, place in places.items()}
    function = LayerFunction(weighted, point, options.reset)
    values = np.concatenate([claims.arrays[name].ravel() for name in places])
    return function, Claim(values, claims.unit_roundoff if claims.is_single else UNIT_ROUNDOFF, options.tolerance)


def _reasons(claims: Claims) -> list[str]:
    return [f"{tensor.name}, {tensor.reason}" for tensor in claims.told.values() if tensor.verdict != "left out"]


def _of_line(line: FunctionTensor, point: Point) -> LayerTensor:
    """Return a line of a function's tensor as one of a layer's."""
    values = asdict(line)
    return LayerTensor(shape=point.claims.arrays[line.name].shape, **values)


def _lines(point: Point, found: dict[str, LayerTensor]) -> tuple[LayerTensor, ...]:
    """Return a line for each tensor: what was found of its entries, and of its shape."""
    tensors = []
    for name in point.inputs.names:
        told, line = point.claims.told.get(name), found.get(name)
        if told is not None and line is not None:
            right = "; its numbers are right" if line.verdict == "right" else ""
            tensors.append(replace(line, verdict=told.verdict, reason=told.reason + right))
        elif told is not None or line is not None:
            tensors.append(line or told)  # type: ignore[arg-type]
    return tuple(tensors)


def _verdict(tensors: Sequence[LayerTensor]) -> Any:
    """Return the verdict on the whole: what was not judged keeps it from being green."""
    found = {tensor.verdict for tensor in tensors}
    return next((verdict for verdict in ("wrong", "not judged", "inconclusive") if verdict in found), "right")
