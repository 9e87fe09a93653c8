"""The one function that walks through the rooms in order: problem, numerical gradient, verdict, report."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, overload

import numpy as np

from fastgrad.errors import InputError, Interrupted, require
from fastgrad.judging.audit import audit
from fastgrad.judging.blindspots import blind_spots
from fastgrad.judging.disturbances import SMALL, find_constant, fits, in_single_precision, only_single_precision, shifted
from fastgrad.judging.verdict import Judgement, error_map, judge
from fastgrad.machine import most_threads
from fastgrad.model.conventions import describe, explain_loss
from fastgrad.model.forward import BasePoint
from fastgrad.model.network import Array, Problem
from fastgrad.model.rounding import TOLERANCE
from fastgrad.numerical import Numerical, load_kernels, numerical_gradient
from fastgrad.numerical.methods import choose_method, estimate
from fastgrad.numerical.tracking import Progress
from fastgrad.reading import Description, interpret_parts, read_parts
from fastgrad.report import Report
from fastgrad.report.formatting import counted, duration
from fastgrad.report.parts import MOST_MAPS, Audit, ErrorMap

# What few checks need is imported where they do: a right gradient in a file then waits for none of it.
if TYPE_CHECKING:
    from fastgrad.judging.directional import Directional
    from fastgrad.trials import BackwardReport, Function

AFFORDABLE = 10.0
"""Seconds that every entry and its diagnosis may take after directions found that some are wrong."""
DIAGNOSIS_PER_PARAMETER = 4e-6
"""Seconds for that: four of a million parameters whose error nothing explains, 0.9 where something simple does."""
CROSS_CHECKED = 100
"""Parameters that "auto" perturbs one by one where it made the gradient from pre-activations."""

SINGLE = "the float64 arrays of some gradients hold nothing but single precision numbers: these are judged as float32"
"""Said where the trailing zeros of every entry tell so."""

LEAST_SECONDS, SECONDS_PER_PARAMETER = 1e-3, 1e-7
SECONDS_PER_LAYER = {"parameter": 1.3e-3, "preactivation": 1.3e-3, "textbook": 2e-3, "directional": 3e-3}
"""What a check takes beside the work of its method, for estimates: for itself, for each parameter that is judged one by one,
for each layer. Fastest of 15 checks of networks of 1, 2, 4, 8 and 16 layers of three units, and of 0.7 and 3 million
parameters (50 to 200 ns each), on two cores."""

AUDIT_SHARE, LEAST_AUDIT = 1.0 / 16.0, 2e-3
"""Time of the audit: as a share of the numerical gradient's on one core, and in seconds at least."""


@overload
def check(
    parameters: Mapping[str, Any] | Sequence[Any],
    gradients: Mapping[str, Any] | Sequence[Any],
    X: Any,
    Y: Any,
    **options: Any,
) -> Report: ...


@overload
def check(
    parameters: Mapping[str, Any] | Sequence[Any],
    *,
    backward: Function,
    X: Any,
    Y: Any,
    **options: Any,
) -> BackwardReport: ...


def check(
    parameters: Mapping[str, Any] | Sequence[Any],
    gradients: Mapping[str, Any] | Sequence[Any] | None = None,
    X: Any = None,
    Y: Any = None,
    *,
    backward: Function | None = None,
    masks: Mapping[str, Any] | Sequence[Any] | None = None,
    method: str = "auto",
    step: float | None = None,
    scheme: str = "central",
    sample: int | float | str | None = None,
    seed: int = 0,
    directions: int | None = None,
    tolerance: float | None = None,
    diagnosis: bool = True,
    threads: int | None = None,
    progress: Progress | None = None,
    **description: Any,
) -> Report | BackwardReport:
    """Check gradients that a hand-written backward pass produced, or the backward pass itself.

    Parameters
    ----------
    parameters : mapping or sequence of array_like
        W1, b1, W2, b2, … under any of the usual names, or in that order; each W (n_out, n_in) or (n_in, n_out).
    gradients : mapping or sequence of array_like
        Under the names dW1, db1, … or the parameters' own, or in the same order.
    X, Y : array_like
        Inputs and targets; samples in rows or in columns, as the shapes of the weights tell.
    backward : callable, optional
        In place of gradients, the function that makes them: called as backward(parameters, X, Y) with copies of what was
        given here, and with parameters and examples drawn like them, it returns the gradients or (loss, gradients).
    masks : mapping or sequence of array_like, optional
        Recorded dropout masks: by the names D1, D2, … (D0 for the input) or one for each hidden layer, None where nothing
        is dropped; with keep_prob, or the factor 1/keep_prob in them.
    method : {"auto", "parameter", "preactivation", "textbook", "directional"}
        How the numerical gradient is made; by "directional" it is none: derivatives along random directions are checked.
    step : float, optional
        One step for all parameters; by default each has its own, far below what truncation could show.
    scheme : {"central", "forward", "five-point"}
        The difference that method "textbook" forms.
    sample : int, float or str, optional
        How many parameters to check, as 500 or "5%".
    seed : int
        Seed of that draw, of the audit's, of the directions, and of the points at which a function is tried.
    directions : int, optional
        How many directions, by method "directional"; by default 8.
    tolerance : float, optional
        How many times the rounding of an entry a gradient may be off; by default 32, as derived in `fastgrad.model.rounding`.
    diagnosis : bool
        Whether to look for the mistake that makes a gradient wrong; a large network takes seconds for it.
    threads : int, optional
        Threads; by default all.
    progress : callable, optional
        Called with (parameters done, parameters in all).
    **description
        What the network is: hidden, activations, output, loss, reduction, l2, l1, penalize_biases, keep_prob, inverted,
        label_smoothing, class_weights, example_weights, layout, loss_value.

    Returns
    -------
    Report or, of a function, BackwardReport
        What was found; ``report.passed``, ``print(report)``, ``report.raise_if_wrong()``.

    Raises
    ------
    InputError
        If the arrays and the description do not make a network that can be checked.
    Interrupted
        On Ctrl-C, with the Report of what was finished, if anything was.

    Examples
    --------
    >>> import numpy as np, fastgrad
    >>> W, X, Y = np.array([[0.5, -1.0]]), np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[0.0], [1.0]])
    >>> dW = (X @ W.T - Y).T @ X / 2
    >>> fastgrad.check({"W1": W}, {"dW1": dW}, X, Y, output="identity", loss="squared_error").passed
    True
    """
    check_one = partial(
        check_problem,
        method=method,
        step=step,
        scheme=scheme,
        sample=sample,
        seed=seed,
        directions=directions,
        tolerance=tolerance,
        diagnosis=diagnosis,
        threads=threads,
        progress=progress,
    )
    described = Description.of(description)
    if backward is not None:
        if gradients is not None:
            raise InputError("give either gradients or the function that makes them (backward=), not both")
        from fastgrad.trials import check_backward

        return check_backward(check_one, backward, parameters, X, Y, described, masks, seed)
    problem, reading = read_parts(parameters, gradients, X, Y, described, masks)
    settled = replace(
        described, layout=reading.layout, bias_column={None: described.bias_column, 0: "first", -1: "last"}[reading.column]
    )
    return replace(check_one(problem), read=partial(_read_again, settled, masks))


def _read_again(description: Description, masks: Any, parameters: Any, X: Any, Y: Any) -> Problem:
    """Read another point as the first one was read."""
    return interpret_parts(parameters, None, X, Y, replace(description, grads=None, loss_value=None), masks)


@np.errstate(all="ignore")  # numbers near the ends of the range overflow on the way; what comes of it is judged
def check_problem(
    problem: Problem,
    *,
    method: str = "auto",
    step: float | None = None,
    scheme: str = "central",
    sample: int | float | str | None = None,
    seed: int = 0,
    directions: int | None = None,
    tolerance: float | None = None,
    diagnosis: bool = True,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Check the claimed gradient of a problem; arguments and result as in `check`."""
    if problem.claimed is None:
        raise InputError("there is no gradient to check; `fastgrad gradient` writes the numerical one")
    allowed = TOLERANCE if tolerance is None else tolerance
    require("tolerance", allowed, float, "a positive number", lambda multiple: np.isfinite(multiple) and multiple > 0)
    if method == "directional":
        for name, value in (("step", step), ("scheme", None if scheme == "central" else scheme), ("sample", sample)):
            if value is not None:
                raise InputError(f"method directional moves all parameters and chooses its steps: leave out {name}")
        report = _check_directional(problem, directions, seed, allowed, threads, progress)
        is_wrong = diagnosis and report.verdict == "wrong"
        return _named_after(problem, report, allowed, threads, progress) if is_wrong else report
    if directions is not None:
        raise InputError(f"directions go with method directional, found method {method}")
    load_kernels(choose_method(problem, method, sample))
    began = time.perf_counter()

    def difference(problem: Problem) -> _Difference:
        interrupted = False
        try:
            numerical = numerical_gradient(
                problem, method=method, step=step, scheme=scheme, sample=sample, seed=seed, threads=threads, progress=progress
            )
        except Interrupted as stop:
            numerical, interrupted = stop.finished, True
        if numerical.step is None:
            return _Difference(numerical, numerical, None, interrupted)
        # What a fixed step costs, truncation and noise together, is its distance from the difference that has neither.
        exact = numerical_gradient(problem, places=numerical.selected, threads=threads)
        with_range = replace(numerical, lower=exact.lower, upper=exact.upper)
        return _Difference(with_range, exact, np.abs(numerical.values - exact.values), interrupted)

    found = difference(problem)
    judgement = judge(problem, found.numerical, found.extra, allowed)
    remarks: list[str] = []
    if not found.interrupted:
        problem, found, judgement, remarks = _without_disturbance(problem, found, judgement, allowed, difference)
    numerical = found.numerical
    notes = remarks + _notes(problem, numerical) + _lost(judgement)
    if found.interrupted:
        notes.append(_interrupted(numerical.values.size - int(np.isnan(numerical.values).sum()), problem))
    if method == "auto" and numerical.method == "preactivation" and numerical.selected is None:
        notes.append(_cross_check(problem, numerical, seed, threads))
    audited = _audit(problem, found.exact, seed)
    if audited.disagreements:
        tensors = tuple(replace(tensor, verdict="not judged") for tensor in judgement.tensors)
        judgement, notes = replace(judgement, tensors=tensors), [_failed(audited)]
    drawn = seed if sample is not None and numerical.selected is not None else None
    report = _report(problem, numerical, judgement, tuple(notes), drawn, threads, time.perf_counter() - began)
    advice = _advice(problem, numerical.base, judgement)
    report = replace(report, audit=audited, advice=advice, derived_tolerance=TOLERANCE)
    if found.interrupted:
        raise Interrupted(report)
    if report.verdict != "wrong":
        return report
    maps = _maps(problem, found, judgement, allowed)
    if not diagnosis:
        return replace(report, maps=maps)
    from fastgrad.diagnosis import diagnosed

    return replace(report, **diagnosed(problem, numerical)._asdict(), maps=maps)


def _maps(problem: Problem, found: _Difference, judgement: Judgement, tolerance: float) -> tuple[ErrorMap, ...]:
    """Return where the first wrong tensors are off, from the output inwards."""
    pairs = zip(problem.tensors, judgement.tensors, strict=True)
    wrong = sorted((tensor for tensor, judged in pairs if judged.verdict == "wrong"), key=lambda t: (-t.layer, t.kind))
    return tuple(error_map(problem, found.numerical, tensor, found.extra, tolerance) for tensor in wrong[:MOST_MAPS])


def _check_directional(
    problem: Problem, directions: int | None, seed: int, tolerance: float, threads: int | None, progress: Progress | None
) -> Report:
    """Check along random directions, each with a step of its own that moves every parameter."""
    from fastgrad.judging import directional

    directional.load_kernels()
    began = time.perf_counter()

    def look(problem: Problem) -> tuple[Directional, bool]:
        count = directional.DIRECTIONS if directions is None else directions
        try:
            found = directional.check_directions(
                problem, directions=count, seed=seed, tolerance=tolerance, threads=threads, progress=progress
            )
        except Interrupted as stop:
            return stop.finished, True
        return found, False

    found, interrupted = look(problem)
    notes: list[str] = []
    single = None if interrupted else in_single_precision(problem, found)
    if single is not None:
        (found, interrupted), problem = look(single), single
        notes.append(SINGLE)
    notes += _notes(problem, found) + _lost(found)
    if interrupted:
        notes.append(_interrupted(sum(tensor.checked for tensor in found.tensors), problem))
    if found.audit is not None and found.audit.disagreements:
        notes = [_failed(found.audit, "direction")]
        found = replace(found, tensors=tuple(replace(tensor, verdict="not judged") for tensor in found.tensors))
    report = _report(problem, found, found, tuple(notes), None, threads, time.perf_counter() - began)
    report = replace(
        report,
        directions=found.directions,
        direction_seed=seed,
        chances=tuple((count, directional.chance_of_cancelling(count, found.directions)) for count in (1, 2, 10)),
        audit=found.audit,
        advice=_advice(problem, found.base, found),
        derived_tolerance=TOLERANCE,
    )
    if interrupted:
        raise Interrupted(report)
    return report


def _named_after(problem: Problem, report: Report, tolerance: float, threads: int | None, progress: Progress | None) -> Report:
    """Name the mistake that directions found: from every entry by pre-activations, where that takes little time."""
    seconds = estimate(problem, "preactivation") + DIAGNOSIS_PER_PARAMETER * problem.network.size
    if seconds > AFFORDABLE:
        note = f"no mistake was looked for: method preactivation checks every entry, in about {duration(seconds)}, and names it"
        return replace(report, notes=(*report.notes, note))
    load_kernels("preactivation")
    try:
        numerical = numerical_gradient(problem, method="preactivation", threads=threads, progress=progress)
    except Interrupted:
        raise Interrupted(report) from None
    found = _Difference(numerical, numerical, None, False)
    judgement = judge(problem, numerical, None, tolerance)
    if not _wrong(judgement):
        return report
    from fastgrad.diagnosis import diagnosed

    note = "to name the mistake, every entry was held against the numerical gradient by method preactivation"
    return replace(
        report,
        notes=(*report.notes, note),
        **diagnosed(problem, numerical)._asdict(),
        maps=_maps(problem, found, judgement, tolerance),
    )


class _Difference(NamedTuple):
    """The numerical gradient asked for; the one without a fixed step; what the former is off by; whether it was cut short."""

    numerical: Numerical
    exact: Numerical
    extra: Array | None
    interrupted: bool


def _without_disturbance(
    problem: Problem,
    found: _Difference,
    judgement: Judgement,
    tolerance: float,
    difference: Callable[[Problem], _Difference],
) -> tuple[Problem, _Difference, Judgement, list[str]]:
    """Judge again what single precision or a constant in a logarithm explains to rounding, and say which it is."""
    notes: list[str] = []
    before = judgement
    single = in_single_precision(problem, judgement) if _wrong(judgement) else None
    if single is not None:
        # The numerical gradient again: rounding to single precision puts more units on a kink.
        again = difference(single)
        problem, found, judgement = single, again, judge(single, again.numerical, again.extra, tolerance)
        notes.append(SINGLE)
    constant = find_constant(problem, found.exact) if _wrong(judgement) else None
    if constant is not None:
        moved = found._replace(numerical=shifted(found.numerical, constant), exact=found.exact)
        other = judge(problem, moved.numerical, moved.extra, tolerance)
        last = {tensor.name for tensor in problem.tensors if tensor.layer == problem.network.depth - 1}
        if fits(judgement.tensors, other.tensors, last):
            words = f"a loss with {constant.words}, {judgement.relative_difference:.1e} from the declared one's"
            if judgement.relative_difference <= SMALL:
                return problem, moved, other, [*notes, f"a constant inside a logarithm: judged as the gradient of {words}"]
            return problem, found, judgement, [*notes, f"the last layer has exactly the gradient of {words}"]
    if _wrong(judgement):
        tensors = tuple(replace(tensor, precision="float32") for tensor in problem.tensors)
        coarse = judge(replace(problem, tensors=tensors), found.numerical, found.extra, tolerance)
        if only_single_precision(judgement, coarse):
            notes.append(
                f"everything agrees to {before.relative_difference:.1e} and within the rounding of single precision: "
                "single precision somewhere, or a constant inside a logarithm, rather than a wrong formula"
            )
    return problem, found, judgement, notes


def _wrong(judgement: Judgement) -> bool:
    return any(tensor.verdict == "wrong" for tensor in judgement.tensors)


def estimate_check(problem: Problem, method: str) -> float:
    """Estimate the seconds that a check of a right gradient takes by a method, to within a small factor."""
    from fastgrad.judging import directional

    fixed = LEAST_SECONDS + SECONDS_PER_LAYER[method] * problem.network.depth
    if method == "directional":
        return fixed + directional.estimate(problem)
    return fixed + SECONDS_PER_PARAMETER * problem.network.size + estimate(problem, choose_method(problem, method))


def _audit(problem: Problem, exact: Numerical, seed: int) -> Audit:
    """Audit in a small share of the time that the gradient takes on one core, whatever the number of threads."""
    share = 1.0 if exact.selected is None else exact.selected.size / problem.network.size
    seconds = estimate(problem, exact.method, share) * most_threads()
    return audit(problem, exact, seed, max(LEAST_AUDIT, AUDIT_SHARE * seconds))


def _interrupted(finished: int, problem: Problem) -> str:
    """Say how far a check came before Ctrl-C."""
    return f"interrupted: {finished:,} of {problem.network.size:,} parameters were finished, the others are not judged"


def _failed(audited: Audit, what: str = "parameter") -> str:
    """Say what the audit found, first of all what contradicts itself."""
    first = audited.disagreements[0]
    place = f"{first.name}{list(first.index)} first" if first.index else first.name
    return (
        f"the audit failed: {counted(len(audited.disagreements), what)} of {audited.compared:,}, "
        f"{place}: {first.numerical!r} by fastgrad's kernels, {first.plain!r} by plain forward "
        "passes; nothing can be said of the gradients. Please report this"
    )


def _advice(problem: Problem, base: BasePoint, judgement: Judgement | Directional) -> tuple[str, ...]:
    """Name the blind spots of the test point, and the tensors of which it says nothing."""
    zero = [
        tensor.gradient_name or tensor.name
        for tensor in judgement.tensors
        if tensor.sensitivity is not None and tensor.sensitivity.zeros_pass
    ]
    silent = [f"the gradient is zero to rounding ({', '.join(zero)}), where any multiple passes; change the examples"]
    return (*(silent if zero else ()), *blind_spots(problem, base))


def _cross_check(problem: Problem, numerical: Numerical, seed: int, threads: int | None) -> str:
    """Hold a sample of parameters, perturbed one by one, against what followed from pre-activations; return a note.

    Raises
    ------
    InputError
        If the two differ by more than rounding: then nothing can be said of the gradient.
    """
    single = numerical_gradient(problem, method="parameter", sample=CROSS_CHECKED, seed=seed, threads=threads)
    tensors = tuple(replace(tensor, gradient_name=tensor.name, precision="float64") for tensor in problem.tensors)
    found = judge(replace(problem, claimed=numerical.values, tensors=tensors), single)
    for tensor in found.tensors:
        if tensor.verdict == "wrong" and tensor.worst is not None:
            raise InputError(
                f"fastgrad contradicts itself in {tensor.name}{list(tensor.worst.index)}: {tensor.worst.numerical!r} by "
                f"method parameter, {tensor.worst.claimed!r} by method preactivation; please report this"
            )
    checked = sum(tensor.checked for tensor in found.tensors)
    return (
        f"every parameter by method preactivation, for method parameter would take about "
        f"{estimate(problem, 'parameter'):.0f} s; {checked} of them, drawn with seed {seed}, agree by both"
    )


def _report(
    problem: Problem,
    numerical: Numerical | Directional,
    judgement: Judgement | Directional,
    notes: tuple[str, ...],
    drawn: int | None,
    threads: int | None,
    seconds: float,
) -> Report:
    tensors = judgement.tensors
    checked = sum(tensor.checked for tensor in tensors)
    lost = [tensor for tensor in tensors if tensor.checked and tensor.verdict == "not judged"]
    verdict: Literal["right", "wrong", "not judged"] = "right" if checked and not lost else "not judged"
    if any(tensor.verdict == "wrong" for tensor in tensors):
        verdict = "wrong"
    return Report(
        verdict=verdict,
        tensors=tensors,
        method=numerical.method,
        step=numerical.step,
        step_range=numerical.step_range,
        sample_seed=drawn,
        parameters_total=problem.network.size,
        parameters_checked=checked,
        relative_difference=judgement.relative_difference,
        loss=numerical.base.loss,
        claimed_loss=problem.claimed_loss,
        loss_note=explain_loss(problem, numerical.base),
        description=describe(problem),
        notes=notes,
        seconds=seconds,
        threads=threads or most_threads(),
        scheme=numerical.scheme,
    )


def _lost(judgement: Judgement | Directional) -> list[str]:
    """Name the tensors of which rounding, or a fixed step, left nothing to judge."""
    names = [tensor.name for tensor in judgement.tensors if tensor.checked and tensor.verdict == "not judged"]
    if not names:
        return []
    return [
        f"{', '.join(names)} cannot be judged: at this point, in this precision and with this step, what rounding may do is "
        "as large as the gradient itself, and zeros would pass; compute it in double precision, or where fewer units saturate"
    ]


def _notes(problem: Problem, numerical: Numerical | Directional) -> list[str]:
    notes = list(problem.notes)
    zeros = sum(int((problem.theta[place] == 0.0).sum()) for place, _, l1 in problem.network.penalties if l1)
    if zeros:
        notes.append(
            f"{zeros:,} of the parameters in the L1 penalty are exactly 0, its kink: there any slope from -c to c is right"
        )
    if numerical.kinked_samples:
        notes.append(
            f"{numerical.kinked_samples} of {problem.samples} examples have a pre-activation exactly on a kink, or an output "
            "on one of the loss: there any value between the one-sided derivatives is right"
        )
    return notes
