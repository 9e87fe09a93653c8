"""How a claim was written, recognised from its numbers alone: in few digits or bits, read off a step, as differences of losses.

Called by walk where a tensor was found wrong. Nothing here looks at how far off a claim is: a grid is recognised where so
many entries lie on it that chance is hopeless, and what it may hide is half its spacing. A mistake on top stays wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import combinations
from typing import NamedTuple

import numpy as np

from fastgrad.judging.rates import LONGEST, MOST, common_divisors
from fastgrad.judging.verdict import Judgement
from fastgrad.kernels import codes
from fastgrad.model.deferred import parts_of, spread_over
from fastgrad.model.forward import UNIT_ROUNDOFF, base_point, growth
from fastgrad.model.grain import SIGNIFICAND, SOME, Grain, decade, precision_of, spacing
from fastgrad.model.network import Array, Problem, Tensor
from fastgrad.model.product import norm
from fastgrad.model.rounding import TOLERANCE, gradient
from fastgrad.numerical import Numerical, numerical_gradient
from fastgrad.numerical.kinks import Mask

SPREAD = 0.5
"""Share of a tensor's entries that are off where the whole pass was coarser; a slip is off in few."""
PART = 0.3
"""The same over all tensors, where what was rounded is as coarse as the grid: then a part of the entries is right by chance."""
FAR_IN_ALL = 16.0
"""Roundings by which a pass in bfloat16 is off in all of a tensor at most, relatively; single entries may be by more."""
DRAWS, FAR = 32, 8.0
"""Draws of what was cut off the parameters, and how many standard deviations of what they do are allowed."""
QUIET = 1e-3
"""Share of what cutting off the parameters would do below which a claim was not made of other parameters."""
LEAST_OF_PARAMETERS = LEAST_OF_DATA = 4
"""Digits of parameters, and of X and Y, from which on these were printed; shorter ones people type or measure, and they are
exact."""
EVIDENCE = 6.0
"""Decimal digits by which the entries on a grid must rule chance out, all together: one gradient in a million is on it."""
FEWEST_DIGITS, MOST_DIGITS, MOST_DECIMALS = 3, 14, 30
"""Digits of a tensor's largest entry, or of each, that count as few; more are as good as all. Decimals at most."""
SEVERAL = 8
"""Entries of which one will not end in 0: with fewer, the grid of a larger tensor is tried first."""
NATURAL = 3
"""Decimals more than the claim's on which a right gradient lies that is made of such numbers: then the grid says nothing."""
MOST_FORWARD = 10**6
"""Parameters times examples up to which forward differences, a forward pass for each parameter, take little time."""
STAYING = (1.0, 0.01)
"""Rates up to which the entries by which a rate is found do not leave their parameters' binade."""
PROBED = 48
"""Entries on which they are tried first."""
MANY = 2**20
"""Entries from which on a few of them decide that most are no plain numbers."""
FEW = 512
"""Entries, spread over a tensor, on which a grid is looked for before all of them are: most claims are on none."""

Rule = Callable[[Problem, Numerical, Array, Array], Grain | None]


class Grid(NamedTuple):
    """So many decimals, or significant digits."""

    digits: int
    significant: bool

    @property
    def grain(self) -> Grain:
        """What it may have hidden."""
        if self.significant:
            return Grain(f"the {self.digits} significant digits that were given", digits=self.digits)
        decimals = "decimal that was" if self.digits == 1 else f"{self.digits} decimals that were"
        return Grain(f"the {decimals} given", absolute=0.5 * 10.0**-self.digits)

    def holds(self, values: Array, unit: float) -> bool:
        """Tell whether all values lie on it, to the precision that holds them."""
        exponent = -self.digits if not self.significant else np.rint(np.log10(decade(np.abs(values)))) + 1.0 - self.digits
        up, down = 10.0 ** np.maximum(-exponent, 0.0), 10.0 ** np.maximum(exponent, 0.0)
        back = np.rint(values * up / down) * down / up
        return bool((np.abs(back - values) <= 4.0 * unit * np.abs(values)).all())


@cache
def usual_rates() -> tuple[float, ...]:
    """Return the learning rates, and steps of differences, that are tried: three digits from 1e-7 to 9.99, and powers of two.

    There are 7,216 of them, and a right gradient needs none.
    """
    return tuple(sorted({float(f"{n}e-{k}") for n in range(100, 1000) for k in range(2, 10)} | {2.0**-k for k in range(21)}))


def as_written(problem: Problem, numerical: Numerical, judgement: Judgement) -> Problem | None:
    """Return the problem with the grains of its wrong tensors, as far as any is recognised; None where none is."""
    wrong = _wrong(problem, judgement)
    if problem.claimed is None or not wrong:
        return None
    known = _on_grids(problem, numerical, wrong)
    for rule in (_bits, _differences):
        # All that is claimed tells most; but single tensors may have been written otherwise.
        left = tuple(tensor for tensor in wrong if tensor not in known)
        for group in dict.fromkeys((tuple(_claimed(problem)), left, *((tensor,) for tensor in left))):
            rest = [tensor for tensor in group if tensor in left and tensor not in known]
            grain = _ruled(rule, problem, numerical, group) if rest else None
            known |= {} if grain is None else dict.fromkeys(rest, grain)
    if not known:
        return None
    return replace(problem, tensors=tuple(_with_grain(problem, tensor, known.get(tensor)) for tensor in problem.tensors))


def _ruled(rule: Rule, problem: Problem, numerical: Numerical, tensors: Sequence[Tensor]) -> Grain | None:
    """Return the grain that a rule finds in some tensors, looked for in a few of their entries first."""
    if any(_is_plain(problem, numerical, tensor) for tensor in tensors):
        return None
    few = rule(problem, numerical, *_entries(problem, tensors, few=True))
    size = sum(tensor.size for tensor in tensors)
    return few if few is None or size <= FEW else rule(problem, numerical, *_entries(problem, tensors))


def _is_plain(problem: Problem, numerical: Numerical, tensor: Tensor) -> bool:
    """Tell whether a tensor's numbers, claimed and right, are plain: those of which a few are, one after the other."""
    if not any(part.any() for part in parts_of(_claims(problem), tensor)):
        return False
    vectors = (_claims(problem), numerical.values)
    if tensor.size > MANY and not all(are_plain(spread_over(vector, tensor, FEW), problem, NATURAL) for vector in vectors):
        return False
    return all(are_plain(vector[tensor.start : tensor.stop], problem, NATURAL) for vector in vectors)


def _wrong(problem: Problem, judgement: Judgement) -> list[Tensor]:
    """Return the wrong tensors whose numbers are finite, and which have no grain yet."""
    pairs = zip(problem.tensors, judgement.tensors, strict=True)
    claimed = _claimed(problem)
    return [t for t, found in pairs if found.verdict == "wrong" and t.grain is None and t in claimed]


def _claimed(problem: Problem) -> list[Tensor]:
    """Return the tensors whose gradients are finite numbers."""
    named = [tensor for tensor in problem.tensors if tensor.gradient_name is not None and not tensor.single]
    return [tensor for tensor in named if all(np.isfinite(part).all() for part in parts_of(_claims(problem), tensor))]


def _claims(problem: Problem) -> Array:
    assert problem.claimed is not None
    return problem.claimed


def _claim(problem: Problem, tensor: Tensor) -> Array:
    return _claims(problem)[tensor.start : tensor.stop]


def _entries(problem: Problem, tensors: Sequence[Tensor], few: bool = False) -> tuple[Array, Array]:
    """Return the claimed entries of some tensors that are not 0, and their parameters; or of a few spread over them."""
    if few:
        step = max(1, sum(tensor.size for tensor in tensors) // FEW)
        places = np.concatenate([np.arange(tensor.start, tensor.stop, step) for tensor in tensors])
        values, theta = _claims(problem)[places], problem.theta[places]  # a view of few would hold all of a large claim
    else:
        values = np.concatenate([_claim(problem, tensor) for tensor in tensors])
        theta = np.concatenate([problem.theta[tensor.start : tensor.stop] for tensor in tensors])
    values, first = np.unique(values, return_index=True)  # the same number twice is no more evidence
    return values[values != 0.0], theta[first][values != 0.0]


def _with_grain(problem: Problem, tensor: Tensor, grain: Grain | None) -> Tensor:
    if grain is None:
        return tensor
    single = tensor.precision == "float64" and (grain.stored == "float32" or 0 < grain.bits < SIGNIFICAND["float32"])
    return replace(tensor, grain=grain, precision="float32" if single else tensor.precision)


# Few decimal digits.


def _on_grids(problem: Problem, numerical: Numerical, wrong: Sequence[Tensor]) -> dict[Tensor, Grain]:
    """Return the decimal grids of the wrong tensors; small ones take that of a larger one on which they lie."""
    claimed = _claimed(problem)
    own = {tensor: _grid_of(problem, tensor) for tensor in claimed}
    many = {t: sum(map(np.count_nonzero, parts_of(_claims(problem), t))) >= SEVERAL for t in claimed}
    large = {grid for t, grid in own.items() if grid is not None and many[t]}
    small = [t for t in claimed if not many[t]]
    pooled = None if large or not small else decimal_grid(_entries(problem, small)[0])
    known: dict[Tensor, Grain] = {}
    for tensor in wrong:
        grid = own[tensor]
        if not many[tensor] and (values := _entries(problem, [tensor])[0]).size:
            unit = UNIT_ROUNDOFF[precision_of(values)]
            others = [other for other in (*large, *([pooled] if pooled else [])) if other.holds(values, unit)]
            grid = _coarsest(others, values) or grid
        if grid is None:
            continue
        right = numerical.values[tensor.start : tensor.stop]
        if not are_plain(right, problem, NATURAL + (0 if grid.significant else grid.digits)):
            known[tensor] = grid.grain
    return known


def _grid_of(problem: Problem, tensor: Tensor) -> Grid | None:
    """Return that of a tensor's claim, all of which is looked at where a few of its entries lie on one."""
    if tensor.size > 2 * FEW and decimal_grid(spread_over(_claims(problem), tensor, FEW)) is None:
        return None
    return decimal_grid(_claim(problem, tensor))


def decimal_grid(values: Array) -> Grid | None:
    """Return the decimals or significant digits in which all values were written; None where chance could do it.

    Notes
    -----
    A number with s significant digits before the last decimal lies on the grid with a chance of 8u·10ˢ. Zeros lie on any,
    and the same number twice is no more evidence.
    """
    if values.size > 2 * FEW and decimal_grid(values[:: values.size // FEW]) is None:
        return None
    values = np.unique(values[values != 0.0])
    if not values.size or not np.isfinite(values).all():
        return None
    unit, size = UNIT_ROUNDOFF[precision_of(values)], np.abs(values)
    found = [grid for grid in (_decimals(values, size, unit), _significant(values, unit)) if grid is not None]
    return _coarsest(found, values)


def _decimals(values: Array, size: Array, unit: float) -> Grid | None:
    known = -np.log10(8.0 * unit)
    for k in range(1, MOST_DECIMALS):
        digits = np.log10(size) + k
        if digits.max() > min(MOST_DIGITS, known):
            return None
        if digits.max() >= FEWEST_DIGITS - 1 and Grid(k, False).holds(values, unit):
            # A few halves, quarters and eighths have few decimals as well.
            dyadic = np.array_equal(np.rint(values * 2.0**k), values * 2.0**k)
            return None if dyadic or (known - digits).sum() < EVIDENCE else Grid(k, False)
    return None


def _significant(values: Array, unit: float) -> Grid | None:
    known = -np.log10(8.0 * unit)
    if np.array_equal(np.rint(values), values):
        return None
    for d in range(FEWEST_DIGITS, min(MOST_DIGITS, int(known)) + 1):
        if Grid(d, True).holds(values, unit):
            return Grid(d, True) if (known - d) * values.size >= EVIDENCE else None
    return None


def _coarsest(grids: Sequence[Grid], values: Array) -> Grid | None:
    """Return the grid that hides most of some values."""
    sizes = [(float(np.log(grid.grain.slack(values, values)).sum()), grid) for grid in sorted(set(grids))]
    return max(sizes)[1] if sizes else None


def are_plain(values: Array, problem: Problem, decimals: int) -> bool:
    """Tell whether most numbers lie on a grid of decimals, as whole numbers through linear layers do, be it before a mean.

    Of a right gradient on a grid a little finer than the claim's, the claim's grid says nothing; nor do bits or steps of such
    numbers, which are short in any base.
    """
    if values.size > MANY and not are_plain(values[:: values.size // FEW], problem, decimals):
        return False
    values = values[np.isfinite(values) & (values != 0.0)]
    for factor in (1.0, float(problem.samples)):
        scaled = values * factor * 10.0**decimals
        known = 1e-12 * float(np.abs(scaled).max(initial=0.0))
        plain = np.abs(scaled - np.rint(scaled)) <= known + 1e-9
        if known < 1e-2 and 2 * np.count_nonzero(plain) > plain.size:
            return True
    return False


# Few bits.


def _has_bits(values: Array, bits: int) -> bool:
    """Tell whether numbers have no more significant bits."""
    flat = values.reshape(-1)
    scaled = (np.ldexp(np.frexp(flat[low : low + SOME])[0], bits) for low in range(0, flat.size, SOME))
    return all(np.array_equal(np.rint(some), some) for some in scaled)


def _bits(problem: Problem, numerical: Numerical, values: Array, theta: Array) -> Grain | None:
    """Recognise half precision and bfloat16 in wider arrays: a claim computed in single precision and then rounded."""
    for bits, name in ((8, "bfloat16"), (11, "float16")):
        known = SIGNIFICAND["float32"] - bits
        if values.size * known * np.log10(2.0) >= EVIDENCE and _has_bits(values, bits):
            return Grain(f"the {bits} bits of {name} in which it was given", bits=bits)
    return None


# Differences, of parameters or of losses.


def _differences(problem: Problem, numerical: Numerical, values: Array, theta: Array) -> Grain | None:
    """Recognise a quotient of differences: multiples of some spacing, divided by one number.

    Multiples of a coarse grid lie on a fine one as well: what rules more out is meant.
    """
    found = [pair for pair in (_loss_difference(problem, numerical, values), _step(problem, values, theta)) if pair is not None]
    return max(found, key=lambda pair: pair[0])[1] if found else None


def _step(problem: Problem, values: Array, theta: Array) -> tuple[float, Grain] | None:
    """Recognise (before − after)/η: the step, taken once more from the parameters, gives the very numbers.

    Multiples of the true rate pass as well, as their grid is finer; fractions do not: the smallest that passes is it.
    """
    if not values.size:
        return None
    precisions = ("float64",) if precision_of(problem.theta) == "float64" else ("float32", "float64")
    rates = usual_rates() if problem.learning_rate is None else sorted({*usual_rates(), problem.learning_rate})
    for stored in precisions:
        found = [_listed_rate(values, theta, stored, np.array(rates)), _longer_rate(values, theta, stored)]
        passing = [rate for rate in found if rate is not None]
        if passing:
            return _evidence_of_step(values, theta, min(passing), stored), Grain.of_step(min(passing), stored)
    return None


def _listed_rate(values: Array, theta: Array, stored: str, rates: Array) -> float | None:
    """Return the smallest of some rates that passes."""
    told = np.argsort(-(spacing(np.abs(theta), SIGNIFICAND[stored]) / np.abs(values)))[:PROBED]
    few = _reproduced(values[told], theta[told], rates[:, None], stored).all(axis=1)
    for rate in rates[few]:
        if _evidence_of_step(values, theta, rate, stored) < EVIDENCE:
            return None  # larger rates leave less to see
        if _reproduced(values, theta, rate, stored).all():
            return float(rate)
    return None


def _longer_rate(values: Array, theta: Array, stored: str) -> float | None:
    """Return a rate of any number of digits that passes; the entries tell it, where there are enough of them.

    Notes
    -----
    What a step changes is a multiple of the parameter's spacing unless the parameter moves towards 0 and out of its binade,
    below which the spacing is half as large. How far it moves is η|g|, and η is what is looked for: the entries are taken that
    stay inside by rates up to 1, then those that stay inside by smaller ones only, which may be more telling.
    """
    size, bits = np.abs(theta), SIGNIFICAND[stored]
    multiples = np.abs(values) / spacing(size, bits)
    room = np.where(np.sign(values) != np.sign(theta), np.inf, np.ldexp(np.frexp(size)[0] - 0.5, bits))
    # n/η of a whole number n below the largest that a step can have; near the ends of the range a quotient may even be 0.
    least, largest = usual_rates()[0], usual_rates()[-1]
    possible = (multiples >= 1.0 / largest) & (multiples <= 2.0 ** SIGNIFICAND["float64"] / least)
    telling = {tuple(np.sort(multiples[possible & (most * multiples <= room)])[:MOST].tolist()): None for most in STAYING}
    for some in telling:
        found = np.array(common_divisors(np.array(some), SIGNIFICAND[precision_of(values)]))
        found = found[(found >= least) & (found <= largest)]
        passing = found[_reproduced(values, theta, found[:, None], stored).all(axis=1)]
        for rate in passing.tolist():
            if _evidence_of_step(values, theta, rate, stored) >= EVIDENCE:
                return float(rate)
    return None


def _reproduced(values: Array, theta: Array, rate: float | Array, stored: str) -> Mask:
    """Tell which entries are (W − fl(W − ηg))/η once more, to the rounding of the last quotient."""
    unit = UNIT_ROUNDOFF[precision_of(values)]
    after = theta - rate * values
    if stored == "float32":
        after = after.astype(np.float32).astype(np.float64)
    return np.abs((theta - after) / rate - values) <= 4.0 * unit * np.abs(values)


def _evidence_of_step(values: Array, theta: Array, rate: float, stored: str) -> float:
    """Return the digits by which the entries rule chance out: of a number, one in spacing/(8u·η·|g|) is a difference."""
    unit = UNIT_ROUNDOFF[precision_of(values)]
    after = np.abs(theta - rate * values)
    with np.errstate(divide="ignore"):
        digits = np.log10(spacing(after, SIGNIFICAND[stored]) / (8.0 * unit * rate * np.abs(values)))
    return float(np.maximum(digits, 0.0).sum()) - _doubt(rate)


def _doubt(rate: float) -> float:
    """Return how many digits of evidence the choice of a rate takes: the fewer digits it has, the fewer there are of it."""
    digits = next((d for d in range(1, LONGEST) if rate == float(f"{rate:.{d - 1}e}")), LONGEST)
    return float(np.log10(8 * 9 * 10 ** (digits - 1)))


def _loss_difference(problem: Problem, numerical: Numerical, values: Array) -> tuple[float, Grain] | None:
    """Recognise (J(θ + h) − J(θ − h))/2h: multiples of the spacing of numbers of the size of J, divided by 2h.

    Its noise is that of two losses, u times what rounding does to each, over h; see `_noise`.
    """
    loss = abs(numerical.base.loss)
    if not (values.size and loss > 0.0):
        return None
    precision = precision_of(values)
    unit, steps = UNIT_ROUNDOFF[precision], np.array([rate for rate in usual_rates() if rate <= 0.1])
    grid = 0.5 * spacing(np.array([loss]), SIGNIFICAND[precision])[0] / steps[:, None]
    told = np.argsort(np.abs(values))[:PROBED]
    few = _multiples(values[told], grid, unit).all(axis=1)
    for h, step in zip(steps[few], grid[few, 0], strict=True):
        digits = float(np.maximum(np.log10(step / (8.0 * unit * np.abs(values))), 0.0).sum())
        if (evidence := digits - _doubt(float(h))) < EVIDENCE:
            return None
        if _multiples(values, step, unit).all():
            return evidence, _difference_of_losses(problem, numerical, float(h), unit)
    return None


def _difference_of_losses(problem: Problem, numerical: Numerical, h: float, unit: float) -> Grain:
    """Return the grain of a central difference, or of a forward one of twice the step, which has the same multiples.

    It is the one that more of the tensors are, to its noise.
    """
    right, noise = numerical.values, TOLERANCE * unit * _noise(numerical) / h
    quotients = [(f"(J(w + h) - J(w - h))/2h with h = {h:g}", numerical_gradient(problem, step=h).values)]
    if problem.network.size * problem.samples <= MOST_FORWARD:
        forward = numerical_gradient(problem, method="textbook", scheme="forward", step=2.0 * h).values
        quotients.append((f"(J(w + h) - J(w))/h with h = {2.0 * h:g}", forward))
    words, values = min(quotients, key=lambda quotient: _count_off(problem, quotient[1], noise))
    hidden = noise + float(np.nanmax(np.abs(values - right)))
    return Grain(f"the noise of differences of losses, {words}", absolute=hidden, is_difference=True)


def _count_off(problem: Problem, values: Array, allowed: float) -> int:
    """Count the tensors that are further off than what is allowed."""
    pairs = ((_claim(problem, tensor), values[tensor.start : tensor.stop]) for tensor in _claimed(problem))
    return sum(bool((np.abs(claim - there) > allowed).any()) for claim, there in pairs)


def _multiples(values: Array, grid: float | Array, unit: float) -> Mask:
    return np.abs(np.rint(values / grid) * grid - values) <= 4.0 * unit * np.abs(values)


def _noise(numerical: Numerical) -> float:
    """Return the typical rounding of J in units of u: of the last z, of each example's loss, and of their sum."""
    base = numerical.base
    slope = base.tables.outputs[codes.LOSS_SLOPE] * base.plane(codes.SLOPE, base.problem.network.depth - 1)
    factor = base.tables.outputs[codes.FACTOR]
    moved = float(np.square(slope * base.z_error[-1]).sum() + np.square(factor).sum())
    return float(np.sqrt(moved)) + (1.0 + growth(base.problem.samples)) * abs(base.loss)


# What was rounded before the claim was written: the pass itself, and its parameters.


def computed_coarser(problem: Problem, judgement: Judgement) -> Problem | None:
    """Return the problem with the pass behind a grain taken for one in less than double precision, where that may be.

    Either most entries are off by more than the grain allows, or the grain is as coarse as that precision: what is allowed
    beside it then hides little more. A pass in bfloat16 hides much: it has such parameters, and leaves no gradient right to
    its last bit.
    """
    tensors = []
    in_bfloat16 = _has_bits(problem.theta, 8) and _all_off(judgement)
    for tensor, found in zip(problem.tensors, judgement.tensors, strict=True):
        if tensor.grain is not None and not tensor.grain.is_difference and found.verdict == "wrong":
            precision = "bfloat16" if tensor.grain.bits == 8 else "float32"
            values = _claim(problem, tensor)
            slack = tensor.grain.slack(values, problem.theta[tensor.start : tensor.stop])
            as_coarse = norm(slack) >= 0.25 * UNIT_ROUNDOFF[precision] * norm(values)
            if in_bfloat16 if precision == "bfloat16" else as_coarse or found.wrong >= SPREAD * found.checked:
                tensor = replace(tensor, precision=precision, grain=_behind(tensor.grain, precision))
        tensors.append(tensor)
    return None if tuple(tensors) == problem.tensors else replace(problem, tensors=tuple(tensors))


def _all_off(judgement: Judgement) -> bool:
    """Tell whether a good part of all entries is off, and some in every tensor but small ones, each tensor by little."""
    near = FAR_IN_ALL * UNIT_ROUNDOFF["bfloat16"]
    if not all(found.relative_difference <= near for found in judgement.tensors if found.checked):
        return False
    wrong, checked = (sum(getattr(found, count) for found in judgement.tensors) for count in ("wrong", "checked"))
    large = [found for found in judgement.tensors if found.checked >= SEVERAL]
    return wrong >= PART * checked and all(found.verdict == "wrong" for found in large)


def is_in_bfloat16(problem: Problem) -> bool:
    """Tell whether some gradient is taken for one of a pass in bfloat16."""
    return any(tensor.precision == "bfloat16" for tensor in problem.tensors)


def _behind(grain: Grain, precision: str) -> Grain:
    """Return a grain whose words name the precision of the pass as well."""
    name = {"float32": "single precision"}.get(precision, precision)
    return replace(grain, words=f"{grain.words} and the rounding of {name}")


class Cut(NamedTuple):
    """What printing some of the given arrays may do to each entry of the gradient, and that in words."""

    words: str
    noise: Array


def printed(problem: Problem, numerical: Numerical) -> list[Cut]:
    """Return what may have been cut off the parameters, off X and off Y, each and together, the least first.

    Left out is what would have moved a tensor that is as it should be: the claim was made of these arrays as they stand.

    Notes
    -----
    What was cut off is evenly distributed over a step of the grid, so that an entry moves by Σ H_pj δ_j, δ_j within half a
    step. Such a sum is further from 0 than t times its standard deviation with a chance of 2·exp(−t²/2) at most; the
    standard deviation comes from `DRAWS` draws, of which it is known to a factor of two. Cuts of several arrays are
    independent, so that their squares add up.
    """
    if problem.claimed is None:
        return []
    single = {name: (words, _spread(problem, numerical, name, half)) for name, words, half in _halves(problem)}
    found = []
    for names in (names for count in range(1, len(single) + 1) for names in combinations(single, count)):
        typical = np.linalg.norm([single[name][1] for name in names], axis=0)
        if _moved(problem, numerical, typical):
            words = " and ".join(f"{single[name][0]} of {name}" for name in names)
            found.append(Cut(words, FAR * typical))
    return sorted(found, key=lambda cut: norm(cut.noise))


def _halves(problem: Problem) -> Iterator[tuple[str, str, Array]]:
    """Yield the arrays that were printed: their names, in how few digits, and half a step of the grid at each entry."""
    grids = {tensor: decimal_grid(problem.theta[tensor.start : tensor.stop]) for tensor in problem.tensors}
    cut = {t: grid for t, grid in grids.items() if grid is not None and grid.digits >= LEAST_OF_PARAMETERS}
    if cut:
        half, words = np.zeros(problem.network.size), [_digits(coarse) for coarse in cut.values()]
        for tensor, coarse in cut.items():
            theta = problem.theta[tensor.start : tensor.stop]
            half[tensor.start : tensor.stop] = coarse.grain.slack(theta, theta)
        yield "the parameters", max(words, key=words.count), half
    same = problem.labels is None and np.array_equal(problem.X, problem.Y)
    data = {"X and Y" if same else "X": problem.X, **({} if same or problem.labels is not None else {"Y": problem.Y})}
    for name, values in data.items():
        grid = decimal_grid(values.ravel())
        if grid is not None and _length(grid, values) >= LEAST_OF_DATA:
            yield name, _digits(grid), grid.grain.slack(values, values)


def _digits(grid: Grid) -> str:
    return grid.grain.words.removesuffix(" that were given").removesuffix(" that was given")


def _length(grid: Grid, values: Array) -> float:
    """Return how many digits the largest of some values has on a grid."""
    return grid.digits if grid.significant else grid.digits + np.floor(np.log10(np.abs(values).max())) + 1.0


def _spread(problem: Problem, numerical: Numerical, name: str, half: Array) -> Array:
    """Return the standard deviation of what is cut off an array does to each entry of the gradient."""
    draw, total = np.random.default_rng(0), np.zeros(problem.network.size)
    for _ in range(DRAWS):
        moves = half * draw.uniform(-1.0, 1.0, half.shape)
        moved = _with_moves(problem, name, moves)
        total += np.square(gradient(moved, base_point(moved)) - numerical.values)
    return np.sqrt(total / DRAWS)


def _with_moves(problem: Problem, name: str, moves: Array) -> Problem:
    if name == "the parameters":
        return replace(problem, theta=problem.theta + moves)
    changed = replace(problem, X=problem.X + moves) if "X" in name else problem
    return replace(changed, Y=problem.Y + moves) if "Y" in name else changed


def _moved(problem: Problem, numerical: Numerical, typical: Array) -> bool:
    """Tell whether every tensor is off by what might be such a cut, rather than by next to nothing."""
    claimed = np.zeros(0) if problem.claimed is None else problem.claimed
    places = [slice(t.start, t.stop) for t in problem.tensors if t.gradient_name is not None and not t.single]
    return all(norm(claimed[place] - numerical.values[place]) >= QUIET * norm(typical[place]) for place in places)


def in_words(problem: Problem, words: str) -> Problem:
    """Return the problem with the digits of what was printed in the words of every grain."""
    tensors = []
    for tensor in problem.tensors:
        if tensor.gradient_name is not None:
            grain = Grain("") if tensor.grain is None else tensor.grain
            all_words = f"{grain.words} and {words}".removeprefix(" and ")
            tensor = replace(tensor, grain=replace(grain, words=all_words))
        tensors.append(tensor)
    return replace(problem, tensors=tuple(tensors))


def blurred(problem: Problem, extra: Array) -> Problem:
    """Return the problem with what printed arrays leave uncertain in every grain, for those who hold factors against it."""
    tensors = []
    for tensor in problem.tensors:
        grain, most = tensor.grain or Grain(""), float(np.nan_to_num(extra[tensor.start : tensor.stop]).max(initial=0.0))
        tensors.append(replace(tensor, grain=replace(grain, absolute=grain.absolute + most)))
    return replace(problem, tensors=tuple(tensors))
