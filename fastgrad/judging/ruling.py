"""A gradient ruled on: held against the numerical one, and again where a small disturbance that is no mistake explains it.

Called by walk. `rule` looks at every entry, `rule_along_directions` at sums of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from fastgrad.errors import InputError, Interrupted
from fastgrad.judging.directional import Directional, check_directions
from fastgrad.judging.disturbances import (
    SMALL,
    fewer_wrong,
    find_constant,
    fits,
    in_single_precision,
    only_single_precision,
    shifted,
)
from fastgrad.judging.dropout import require_told
from fastgrad.judging.maps import error_map
from fastgrad.judging.readings import readings
from fastgrad.judging.verdict import Judgement, judge
from fastgrad.judging.written import as_written, blurred, computed_coarser, in_words, is_in_bfloat16, printed
from fastgrad.model.network import Array, Problem
from fastgrad.numerical import Numerical
from fastgrad.numerical.differences import differences
from fastgrad.numerical.how import How
from fastgrad.report import notes
from fastgrad.report.parts import MOST_MAPS, ErrorMap


@dataclass(frozen=True, eq=False)
class Ruling:
    """What was judged and what was found.

    Attributes
    ----------
    problem : Problem
        As it was judged: arrays may have been taken for single precision.
    numerical : Numerical or Directional
        What the claimed gradient was held against.
    judgement : Judgement or Directional
        Tensor by tensor.
    interrupted : bool
        Whether Ctrl-C came before everything was looked at.
    remarks : tuple of str
        Which disturbance was taken into account, each a sentence.
    """

    problem: Problem
    numerical: Numerical | Directional
    judgement: Judgement | Directional
    interrupted: bool
    remarks: tuple[str, ...]

    @property
    def is_wrong(self) -> bool:
        """Whether any tensor is wrong."""
        return any(tensor.verdict == "wrong" for tensor in self.judgement.tensors)


@dataclass(frozen=True, eq=False)
class EntryRuling(Ruling):
    """A ruling on every entry; beside it the numerical gradient without a fixed step, and how uncertain the other one is.

    And what was added to the numerical gradient because the claimed one is that of another loss.
    """

    numerical: Numerical
    judgement: Judgement
    exact: Numerical
    extra: Array | None
    shift: Array | None = None

    def again(self, how: How) -> EntryRuling:
        """Return the ruling on what stands in this one now."""
        return replace(self, judgement=judge(self.problem, self.numerical, self.extra, how.allowed, how.threads))

    def shifted(self, shift: Array) -> EntryRuling:
        """Return the same of a loss with another gradient, to be ruled on again."""
        total = shift if self.shift is None else self.shift + shift
        return replace(self, numerical=shifted(self.numerical, shift), shift=total)

    def uncertain(self, extra: Array) -> EntryRuling:
        """Return the same where the parameters leave the gradient uncertain by so much, to be ruled on again."""
        return replace(self, extra=extra if self.extra is None else self.extra + extra)


@dataclass(frozen=True, eq=False)
class DirectionRuling(Ruling):
    """A ruling on sums along random directions, which are what was judged and what it was held against."""

    numerical: Directional


def require_gradient(problem: Problem) -> None:
    """Raise InputError where there is nothing to rule on."""
    if problem.claimed is None and any(tensor.frozen for tensor in problem.tensors):
        raise InputError("there is no gradient to check beside those that frozen leaves out")
    if problem.claimed is None:
        raise InputError("there is no gradient to check; `fastgrad gradient` writes the numerical one")


def rule(problem: Problem, how: How) -> EntryRuling:
    """Rule on every entry, and where something is wrong find out whether a disturbance explains it."""
    first = rule_strictly(problem, how)
    ruling = _in_its_own_precision(first, how)
    if ruling.interrupted or not ruling.is_wrong or problem.is_stored:  # how it was written and read is told by all entries
        return ruling
    ruling = _as_read(_as_written(ruling, how), how)
    if not ruling.is_wrong:
        return ruling
    require_told(ruling.problem, ruling.exact)
    return _with_constant(ruling, how) or _with_hint(ruling, first, how)


def rule_strictly(problem: Problem, how: How) -> EntryRuling:
    """Rule on every entry by the gradient and the precisions as they are declared."""
    found = differences(problem, how)
    judgement = judge(problem, found.numerical, found.extra, how.allowed, how.threads)
    return EntryRuling(problem, found.numerical, judgement, found.interrupted, (), found.exact, found.extra)


def rule_along_directions(problem: Problem, how: How) -> DirectionRuling:
    """Rule on sums along random directions; on doubles that hold single precision numbers as on single precision."""
    ruling = _directed(problem, how)
    single = None if ruling.interrupted else in_single_precision(problem, ruling.judgement)
    return ruling if single is None else replace(_directed(single, how), remarks=(notes.SINGLE_PRECISION,))


def _directed(problem: Problem, how: How) -> DirectionRuling:
    try:
        found, interrupted = (
            check_directions(
                problem,
                directions=how.wanted_directions,
                seed=how.seed,
                tolerance=how.allowed,
                threads=how.threads,
                progress=how.progress,
            ),
            False,
        )
    except Interrupted as stop:
        found, interrupted = stop.finished, True
    return DirectionRuling(problem, found, found, interrupted, ())


def _in_its_own_precision(ruling: EntryRuling, how: How) -> EntryRuling:
    """Rule again, as single precision, on wrong doubles that hold nothing but such numbers."""
    if ruling.interrupted or not ruling.is_wrong:
        return ruling
    single = in_single_precision(ruling.problem, ruling.judgement)
    if single is None:
        return ruling
    # The numerical gradient again: rounding to single precision puts more units on a kink.
    return replace(rule_strictly(single, how), remarks=(notes.SINGLE_PRECISION,))


def _as_written(ruling: EntryRuling, how: How) -> EntryRuling:
    """Rule again on what is wrong at the grain in which it was written, and at that of the parameters."""
    written = as_written(ruling.problem, ruling.exact, ruling.judgement)
    if written is not None:
        ruling = replace(ruling, problem=written).again(how)
    if not ruling.is_wrong:
        return ruling
    ways = [way.again(how) for way in _looser(ruling)]
    # Of a pass in bfloat16 it may be that nothing can be said; then it is not wrong either.
    before = ruling.judgement.tensors
    better = [w for w in ways if fewer_wrong(before, w.judgement.tensors) or (is_in_bfloat16(w.problem) and not w.is_wrong)]
    return min(better, key=_count_wrong, default=ruling)


def _looser(ruling: EntryRuling) -> Iterator[EntryRuling]:
    """Yield what more may have been rounded behind the grain of a claim: the given arrays, the pass itself, both."""
    cuts = printed(ruling.problem, ruling.exact)
    ways = [replace(ruling.uncertain(cut.noise), problem=in_words(ruling.problem, cut.words)) for cut in cuts]
    yield from ways
    for way in (ruling, *ways):
        coarser = computed_coarser(way.problem, ruling.judgement)
        if coarser is not None:
            yield replace(way, problem=coarser)


def _as_read(ruling: EntryRuling, how: How) -> EntryRuling:
    """Rule again on what is wrong under another reading of what was given, where that makes some of it right."""
    for other in readings(ruling.problem, ruling.exact) if ruling.is_wrong else ():
        if other.problem is None:
            moved = ruling.shifted(other.shift).again(how)
        else:
            moved = replace(rule_strictly(other.problem, how), remarks=ruling.remarks)
        if (other.told and ruling.is_wrong) or fewer_wrong(ruling.judgement.tensors, moved.judgement.tensors):
            ruling = replace(moved, remarks=(*ruling.remarks, other.words))
    return ruling


def _count_wrong(ruling: EntryRuling) -> int:
    return sum(tensor.verdict == "wrong" for tensor in ruling.judgement.tensors)


def as_declared(ruling: EntryRuling) -> tuple[Problem, Numerical]:
    """Return a problem and its gradient as diagnosis takes them: of the declared loss, uncertain within their range."""
    problem, numerical = ruling.problem, ruling.numerical
    if ruling.shift is not None and problem.claimed is not None:
        problem, numerical = replace(problem, claimed=problem.claimed - ruling.shift), shifted(numerical, -ruling.shift)
    if ruling.extra is not None and ruling.numerical.step is None:
        lower, upper = (numerical.values if bound is None else bound for bound in (numerical.lower, numerical.upper))
        numerical = replace(numerical, lower=lower - ruling.extra, upper=upper + ruling.extra)
        problem = blurred(problem, ruling.extra)
    return problem, numerical


def _with_constant(ruling: EntryRuling, how: How) -> EntryRuling | None:
    """Rule again by the loss with a constant in its logarithm where that fits; where it is near, by that loss alone."""
    problem, difference = ruling.problem, ruling.judgement.relative_difference
    last = {tensor.name for tensor in problem.tensors if tensor.layer == problem.network.depth - 1}
    if not any(tensor.verdict == "wrong" and tensor.name in last for tensor in ruling.judgement.tensors):
        return None  # a constant changes the last layer first
    constant = find_constant(problem, ruling.exact)
    if constant is None:
        return None
    moved = ruling.shifted(constant.shift).again(how)
    if not fits(ruling.judgement.tensors, moved.judgement.tensors, last):
        return None
    if difference > SMALL:
        return replace(ruling, remarks=(*ruling.remarks, notes.fits_with_constant(constant.words, difference)))
    return replace(moved, remarks=(*ruling.remarks, notes.judged_with_constant(constant.words, difference)))


def _with_hint(ruling: EntryRuling, first: EntryRuling, how: How) -> EntryRuling:
    """Say so where single precision somewhere would explain what is wrong; it remains wrong."""
    tensors = tuple(replace(tensor, precision="float32") for tensor in ruling.problem.tensors)
    coarse = judge(replace(ruling.problem, tensors=tensors), ruling.numerical, ruling.extra, how.allowed, how.threads)
    if not only_single_precision(ruling.judgement, coarse):
        return ruling
    return replace(ruling, remarks=(*ruling.remarks, notes.looks_rounded(first.judgement.relative_difference)))


def error_maps(ruling: EntryRuling, how: How) -> tuple[ErrorMap, ...]:
    """Return where the first wrong tensors are off, from the output inwards."""
    pairs = zip(ruling.problem.tensors, ruling.judgement.tensors, strict=True)
    off = (tensor for tensor, judged in pairs if judged.verdict == "wrong" and not tensor.single)
    wrong = sorted(off, key=lambda t: (-t.layer, t.kind))
    return tuple(error_map(ruling.problem, ruling.numerical, tensor, ruling.extra, how.allowed) for tensor in wrong[:MOST_MAPS])
