"""The judgement of method directional: sums along random signs, tensor by tensor, and wrong entries located by halving.

Called by `ruling`. A derivative along a direction of signs U is held against Σ U∘claimed in units of rounding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from math import ceil, comb, nan, pi, sqrt

import numpy as np

from fastgrad.errors import InputError, Interrupted
from fastgrad.judging.audit import NOISE, losses_along
from fastgrad.judging.verdict import CANCELLED, LOST, unjudged
from fastgrad.model.forward import UNIT_ROUNDOFF, BasePoint
from fastgrad.model.network import Array, Network, Problem, Tensor
from fastgrad.model.product import norm, product
from fastgrad.model.rounding import TOLERANCE
from fastgrad.model.stored import entries
from fastgrad.numerical.directional import DIRECTIONS
from fastgrad.numerical.directional.derivative import Carried, Setting, along, along_everything, prepare, with_room
from fastgrad.numerical.directional.measured import Measured, measure, penalty_on
from fastgrad.numerical.directional.signs import ROWS_OF_W, Region, whole_layer, whole_tensor
from fastgrad.numerical.tracking import Progress, Tracker, thread_count
from fastgrad.report.parts import Audit, Disagreement, Entry, Outcomes, Sensitivity, TensorReport, Verdict

MOST_LOCATED = 10
"""Wrong entries that are located one by one; beyond as many wrong parts at a time, halving follows the worst alone."""
AUDIT_MOVE, AUDIT_TRUNCATION = 2.0**-20, 2.0**-34
"""Largest move of the plain passes, and what truncation may be: as a square 2⁻⁴⁰ of what moves, times a few for every layer."""
FEW_WRONG = 1000
"""Wrong entries up to which the probability that they cancel is worked out in whole numbers."""
LEAST_EXCESS = 2.0**-30
"""Share of their room that moves are taken to fill at least; they do unless nothing moves."""


@dataclass(frozen=True, eq=False)
class Directional:
    """What directions found.

    Attributes
    ----------
    tensors : tuple of TensorReport
        In theta's order; `wrong` counts the entries located.
    relative_difference : float
        Over all judged tensors.
    directions, seed : int
        Number of directions, and what their signs were made from.
    base : BasePoint
        The forward pass at theta.
    step_range : tuple of float
        Smallest and largest step.
    kinked_samples : int
        Samples with a pre-activation, or an output of the loss, on a kink.
    audit : Audit or None
        The first direction of all parameters, again by plain forward passes; None where not all tensors were finished.
    method, step, scheme, selected
        As in `numerical.Numerical`.
    """

    tensors: tuple[TensorReport, ...]
    relative_difference: float
    directions: int
    seed: int
    base: BasePoint
    step_range: tuple[float, float]
    kinked_samples: int
    audit: Audit | None
    method: str = "directional"
    step: None = None
    scheme: str = "central"
    selected: None = None


def chance_of_cancelling(wrong: int, directions: int) -> float:
    """Return the probability that so many wrong entries, all equally far off, cancel along every direction.

    Notes
    -----
    (C(k, k/2) / 2^k)^n for an even number k, 0 for an odd one. For entries of different size it is the largest that the
    probability of falling below the smallest of them can be.

    References
    ----------
    P. Erdős, On a lemma of Littlewood and Offord, Bull. Amer. Math. Soc. 51, 1945.
    """
    if wrong % 2:
        return 0.0
    half = wrong // 2
    if wrong <= FEW_WRONG:
        return float((comb(wrong, half) / 2**wrong) ** directions)
    # Stirling's series, whose next term is below 10⁻¹⁰ here; the number itself takes minutes to work out for a million.
    return float(((1.0 - 1.0 / (8.0 * half) + 1.0 / (128.0 * half * half)) / sqrt(pi * half)) ** directions)


def check_directions(
    problem: Problem,
    *,
    directions: int = DIRECTIONS,
    seed: int = 0,
    tolerance: float = TOLERANCE,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Directional:
    """Hold the claimed gradient against derivatives along random directions, tensor by tensor and all at once.

    Parameters
    ----------
    problem : Problem
        With its claimed gradient.
    directions : int
        How many directions.
    seed : int
        Seed of their signs.
    tolerance : float
        How many times the rounding of a signed sum it may be off.
    threads : int, optional
        Threads to use; by default all there are.
    progress : callable, optional
        Called with (parameters done, parameters in all).

    Returns
    -------
    Directional
        Tensors, right or wrong, and the wrong entries.

    Raises
    ------
    InputError
        If an argument cannot be used, the loss overflows, or the derivative along all parameters is not the sum of the
        derivatives along the tensors: then nothing can be said of the gradient.
    Interrupted
        On Ctrl-C, with the Directional of the tensors that were finished, if there are any.
    """
    used = thread_count(threads)
    with np.errstate(all="ignore"), Tracker(progress, problem.network.size) as tracker:
        setting = prepare(problem, directions, seed, used)
        reports, measured = [], []
        for tensor in problem.tensors:
            if tracker.interrupted:
                break
            region = whole_tensor(tensor)
            found = measure(setting, region, tolerance)
            measured.append(found)
            reports.append(_report(setting, tensor, region, found, tolerance))
            tracker.advance(tensor.size)
        finished = len(reports) == len(problem.tensors)
        audit = _audit(setting, measured, seed) if finished else None
    if not reports:
        raise KeyboardInterrupt
    reports += [unjudged(tensor, tolerance) for tensor in problem.tensors[len(reports) :]]
    result = _summed_up(setting, tuple(reports), measured, seed, audit)
    if not finished:
        raise Interrupted(result)
    return result


def _summed_up(
    setting: Setting, reports: tuple[TensorReport, ...], measured: list[Measured], seed: int, audit: Audit | None
) -> Directional:
    """Put together what was found of the tensors measured, which come first."""
    judged = [found for found, report in zip(measured, reports, strict=False) if report.checked]
    steps = [found.step for found in measured]
    return Directional(
        tensors=reports,
        relative_difference=_relative(np.array([f.claimed for f in judged]), np.array([f.numerical for f in judged])),
        directions=setting.signs.keys.size,
        seed=seed,
        base=setting.base,
        step_range=(min(steps), max(steps)),
        kinked_samples=int(setting.kinked().sum()),
        audit=audit,
    )


@cache
def load_kernels() -> None:
    """Load, or compile, what directions run, so that no measured time contains it."""
    network = Network((1, 1), ("identity",), "squared_error", "mean", (True,))
    one = np.ones((1, 1))
    W = Tensor("W", 0, "W", 0, 1, (1, 1), (1, 1), False, "dW", "float64")
    b = Tensor("b", 0, "b", 1, 2, (1,), (1,), False, "db", "float64")
    check_directions(Problem(network, np.ones(2), one, one, (W, b), np.zeros(2), None), directions=1, threads=1)


def _audit(setting: Setting, measured: list[Measured], seed: int) -> Audit:
    """Hold the first direction of all parameters at once against the tensors and against plain forward passes.

    Raises
    ------
    InputError
        If it is not the sum of what the tensors give; on kinks it need not be.
    """
    together = along_everything(setting, 0)
    own = TOLERANCE * UNIT_ROUNDOFF["float64"] * float(together.rounding[0])
    derivative = float(together.derivative[0])
    apart = sum(float(found.carried[0]) for found in measured)
    doubt = sum(float(found.doubt[0]) for found in measured)
    if not np.isfinite([derivative, apart, own + doubt]).all():  # something overflows: there is nothing to be compared
        return Audit(0, 1, seed)
    if not setting.kinked().any() and not abs(derivative - apart) <= own + doubt:
        raise InputError(
            f"fastgrad contradicts itself: the derivative along all parameters is {derivative!r}, the sum of those along "
            f"the tensors {apart!r}; please report this"
        )
    return _plain_audit(setting, together, own, seed)


def _plain_audit(setting: Setting, together: Carried, own: float, seed: int) -> Audit:
    """Compare it with (J(θ + hU) − J(θ − hU))/2h of plain forward passes, penalty and samples on a kink left out.

    h is so large that some move is `AUDIT_MOVE` or half the way to a kink. Beside truncation that leaves the noise u·e/h, e
    being the rounding error of the losses in units of u.
    """
    settled = ~setting.kinked()
    free = along_everything(with_room(setting, AUDIT_MOVE), 0)
    step = float(free.steps[0] / max(free.excess[0], LEAST_EXCESS))
    (forward, errors), (backward, _) = (_plain_losses(setting, h) for h in (step, -step))
    plain = float((forward - backward)[settled].sum() / (2.0 * step))
    found = float(together.parts[settled, 0].sum())
    noise = NOISE * UNIT_ROUNDOFF["float64"] * float(errors[settled].sum()) / step
    bound = noise + AUDIT_TRUNCATION * float(np.abs(together.parts[settled, 0]).sum()) + own
    # Where noise is of the derivative's own size nothing can be said; written so that a derivative that is no number fails.
    if not (np.isfinite(plain) and bound <= LOST * np.fmax(abs(plain), abs(found))):
        return Audit(0, 1, seed)
    off = not abs(plain - found) <= bound
    return Audit(1, 0, seed, (Disagreement("all parameters at once", (), found, plain),) if off else ())


def _plain_losses(setting: Setting, h: float) -> tuple[Array, Array]:
    """Return the losses of all samples at θ + hU by plain forward passes, and their rounding errors over u."""
    return losses_along(setting.problem, setting.base, lambda layer, a: h * _plainly_pushed(setting, layer, a))


def _plainly_pushed(setting: Setting, layer: int, a: Array) -> Array:
    """Return U·a + u of the first direction by NumPy, some rows of U at a time, shape (m, n_out)."""
    network, signs = setting.problem.network, setting.signs
    blocks = whole_layer(network, layer, "W").blocks()
    result = np.concatenate([product(a, signs.of(0, block).T) for block in blocks], axis=1)
    if network.biases[layer]:
        result += signs.of(0, whole_layer(network, layer, "b"))
    return result


def _report(setting: Setting, tensor: Tensor, region: Region, found: Measured, tolerance: float) -> TensorReport:
    """Sum a tensor up, and look for its wrong entries."""
    if tensor.gradient_name is None:
        return unjudged(tensor, tolerance)
    blank = replace(unjudged(tensor, tolerance), checked=tensor.size)
    # An entry that is no number makes no number of any sum that it is in.
    broken = () if np.isfinite(found.claimed).all() else _not_finite(setting, tensor)
    if broken:
        return _with_located(replace(blank, verdict="wrong"), broken, len(broken) == MOST_LOCATED)
    if tensor.single:
        outcomes, difference = Outcomes(wrong=tensor.size), _relative(found.claimed, found.numerical)
        return replace(blank, verdict="wrong", wrong=tensor.size, relative_difference=difference, outcomes=outcomes)
    judged = replace(
        blank,
        verdict=_verdict(setting, region, tensor, found),
        relative_difference=_relative(found.claimed, found.numerical),
        sensitivity=_sensitivity(tensor, found),
    )
    if judged.verdict == "wrong":
        ratio = _ratio(found, region)
        return _with_located(replace(judged, ratio=ratio), *_locate(setting, tensor, region, found, ratio, tolerance))
    return replace(judged, outcomes=_outcomes(judged.verdict, tensor.size))


def _with_located(report: TensorReport, located: tuple[Entry, ...], more: bool) -> TensorReport:
    """Put the wrong entries in; where there may be more, the others are not judged."""
    others = report.checked - len(located)
    outcomes = Outcomes(wrong=len(located), not_judged=others if more else 0, right=0 if more else others)
    worst = located[0] if located else None
    return replace(report, wrong=len(located), worst=worst, located=located, more=more, outcomes=outcomes)


def _outcomes(verdict: Verdict, size: int) -> Outcomes:
    """Return the outcomes of a tensor, all of whose entries share its verdict."""
    if verdict == "not judged":
        return Outcomes(not_judged=size)
    if verdict == "at a kink":
        return Outcomes(at_kink=size)
    return Outcomes(right=size) if verdict == "right" else Outcomes(right_in_float32=size)


def _verdict(setting: Setting, region: Region, tensor: Tensor, found: Measured) -> Verdict:
    """Judge a tensor; lost is one of which so much is allowed that zeros could pass for a gradient of its size."""
    if found.wrong:
        return "wrong"
    size = setting.scale.size(tensor.layer, tensor.kind)
    typical = max(size * sqrt(region.size), float(np.abs(found.numerical).max()))
    share = CANCELLED if _zeros_pass(found) else LOST
    if "not judged" in found.states or (size > 0.0 and float(found.allowed.max()) > share * typical):
        return "not judged"
    if "at a kink" in found.states:
        return "at a kink"
    coarse = (np.abs(found.claimed - found.numerical) > found.fine).any()
    return "right in float32" if coarse else "right"


def _zeros_pass(found: Measured) -> bool:
    return bool((np.abs(found.numerical) <= found.allowed).all())


def _sensitivity(tensor: Tensor, found: Measured) -> Sensitivity | None:
    """Return what would have been caught: an error that takes the sum along any direction out of what it is allowed.

    One wrong entry moves the sum along every direction by as much as it is off. On a kink more than one slope is right, and
    nothing is said.
    """
    if not set(found.states) <= {"right", "wrong"}:
        return None
    off = np.where(np.array(found.states) == "right", np.abs(found.claimed - found.numerical), 0.0)
    room, typical = found.allowed + off, norm(found.numerical) / sqrt(found.numerical.size * tensor.size)
    common = float(np.min(room / np.abs(found.numerical)))
    return Sensitivity(
        entry=float(room.min()) / typical if typical else None,
        whole=common if np.isfinite(common) else None,
        zeros_pass=_zeros_pass(found),
        missed=tuple(
            (k, chance_of_cancelling(min(k, tensor.size), found.numerical.size)) for k in (1, 10, ceil(tensor.size / 100))
        ),
    )


def _not_finite(setting: Setting, tensor: Tensor) -> tuple[Entry, ...]:
    """Return the first claimed entries that are no numbers."""
    assert setting.problem.claimed is not None
    claimed, places = setting.problem.claimed, list[int]()
    for begin in range(tensor.start, tensor.stop, ROWS_OF_W):
        run = slice(begin, min(begin + ROWS_OF_W, tensor.stop))
        values = entries(claimed, run)
        places += (begin - tensor.start + np.flatnonzero(~np.isfinite(values))).tolist()
        if len(places) >= MOST_LOCATED:
            break
    return tuple(_entry(setting, tensor, place) for place in places[:MOST_LOCATED])


def _entry(setting: Setting, tensor: Tensor, offset: int) -> Entry:
    """Return one entry with both values."""
    assert setting.problem.claimed is not None
    row, column = divmod(offset, tensor.canonical_shape[1]) if tensor.kind == "W" else (offset, 0)
    region = Region(tensor.layer, tensor.kind, row, row + 1, column, column + 1)
    derivative = float(along(setting, region, range(1)).derivative[0])
    sign = float(setting.signs.of(0, region).item())
    l2, l1 = penalty_on(setting, region)
    w = float(setting.problem.theta[tensor.start + offset])
    numerical = sign * derivative + l2 * w + l1 * float(np.sign(w))
    return Entry(tensor.user_index(offset), float(setting.problem.claimed[tensor.start + offset]), numerical)


def _ratio(found: Measured, region: Region) -> float | None:
    """Return claimed / numerical where it is the same number along every direction, of which it takes two to tell."""
    k = int(np.argmax(np.abs(found.numerical) / found.allowed))
    if found.numerical[k] == 0.0 or (found.numerical.size < 2 and region.size > 1):
        return None
    ratio = float(found.claimed[k] / found.numerical[k])
    bound = 2.0 * max(1.0, abs(ratio)) * found.allowed
    return ratio if (np.abs(found.claimed - ratio * found.numerical) <= bound).all() else None


def _locate(
    setting: Setting, tensor: Tensor, region: Region, found: Measured, ratio: float | None, tolerance: float
) -> tuple[tuple[Entry, ...], bool]:
    """Halve a wrong region until single entries are left; return those, worst first, and whether there are more.

    The halves keep the directions' signs, so that what makes the whole wrong makes at least one of them wrong. Where more
    than `MOST_LOCATED` parts are wrong at a time, or a factor is, only the worst is followed.
    """
    only_worst = ratio is not None
    parts, single = [(found.excess, region)], list[tuple[float, Region]]()
    while parts:
        halves = [half for _, part in parts if part.size > 1 for half in part.halves()]
        single += [(excess, part) for excess, part in parts if part.size == 1]
        wrong = [(there.excess, half) for half in halves if (there := measure(setting, half, tolerance)).wrong]
        if len(wrong) + len(single) > MOST_LOCATED:
            only_worst = True
        if only_worst and wrong:
            wrong = [max(wrong)]
        parts = wrong
    width = tensor.canonical_shape[1] if tensor.kind == "W" else 1
    entries = (_entry(setting, tensor, part.low * width + part.left) for _, part in sorted(single, reverse=True))
    return tuple(entries), only_worst or not single


def _relative(claimed: Array, numerical: Array) -> float:
    """Estimate ‖claimed − numerical‖ / (‖claimed‖ + ‖numerical‖): a norm is the root mean square along random signs."""
    if not claimed.size:
        return nan
    total = norm(claimed) + norm(numerical)
    return norm(claimed - numerical) / total if total else 0.0
