"""The search: from the output inwards, which mistakes, one after the other, make the claimed numbers.

A state is a backward pass so far: the flow that arrives and the mistakes that it took to explain the layers above.
At each layer the right step is tried first; where it does not explain what is claimed there, every mistake in the flow
and every form of the tensors is. States that explain more, with fewer and more usual mistakes, come first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from heapq import heappop, heappush
from itertools import count
from itertools import product as pairs

import numpy as np

from fastgrad.diagnosis.constants import is_short, of_examples
from fastgrad.diagnosis.edits import again, again_in_tensor, flow_edits, tensor_edits
from fastgrad.diagnosis.explaining import edited, explain
from fastgrad.diagnosis.ground import KINDS, Claim, Estimate, Flow, Ground, Kind, Truth
from fastgrad.diagnosis.mistakes import Cause, Family, flow_families, right_flow, updated_ways
from fastgrad.diagnosis.multiples import ODD, factor_cost, nearest_constant
from fastgrad.diagnosis.subjects import CLEAR, Explanation, Subject, cost_of, half_of, subject, telling
from fastgrad.model.network import Array, Offsets
from fastgrad.model.product import least_squares

MOST_STEPS, LEAST_STEPS = 120, 15
"""Layers gone through, over all states, before only the state is followed that has come furthest: fewer by three for each layer
of the network, since each is more work there, and the second number at least."""
MOST_FORMS = 6
"""Explanations of one tensor that are followed."""
REPEATED = 0.05
"""What the same mistake costs at each further place."""
UNKNOWN, UNKNOWN_AGAIN = 6.0, 1.2
"""What the first tensor costs that nothing explains, and each further one: so much that three mistakes which explain
the numbers to rounding are preferred, and that a mistake below an unknown one is still looked for."""
FITTED = ("factor", "factor.whole", "penalty.factor", "penalty.added", "penalty.sign_added", "value.number_added")
"""Mistakes with a constant that is fitted: what is none that somebody writes is looked for in other lines, too."""
ROUGHLY = ("penalty.number", "value.single_precision")
"""Mistakes that leave some of the numbers open."""
MOST_MISSED = 10
"""Layers, over all states, of which edits explain nothing before no more are tried: where much is noise, all of it may be."""
MOST_PAIRED = 1
"""Layers, likewise, of which pairs of edits on one line are tried."""
CLOSE = 0.4
"""Explanations that cost so much more than the best have as many mistakes; they are named beside it."""


@dataclass(frozen=True, eq=False)
class State:
    """Mistakes that explain the layers so far, and the flow that they leave.

    Attributes
    ----------
    causes : tuple of Cause
        In the order of the search.
    flow : Flow or None
        ∂J/∂z of the lowest layer so far; None at the output.
    layer : int
        The layer to come, from 0; -1 at the end.
    tensors : tuple of (int, str, Explanation)
        Layer, kind and explanation of every tensor so far.
    """

    causes: tuple[Cause, ...]
    flow: Flow | None
    layer: int
    tensors: tuple[tuple[int, Kind, Explanation], ...] = ()

    @cached_property
    def cost(self) -> float:
        """What the mistakes cost together."""
        return total_cost(self.causes)

    @property
    def has_odd_factor(self) -> bool:
        """Whether something in a flow is off by a factor that nobody writes: what a line makes is none."""
        return any(is_odd(cause) for cause in self.causes)


def is_odd(cause: Cause) -> bool:
    """Whether a mistake in a flow is a factor of many digits that no count explains."""
    return cause.code == "factor" and cause.kind == "Z" and cause.cost == ODD


def total_cost(causes: Iterable[Cause]) -> float:
    """Add up mistakes, the same one at several places counted once and a little."""
    groups: dict[tuple[object, ...], list[Cause]] = {}
    for cause in causes:
        groups.setdefault(cause.kin, []).append(cause)
    total = 0.0
    for group in groups.values():
        if group[0].code == "unknown.tensor":
            total += UNKNOWN + UNKNOWN_AGAIN * (len(group) - 1)
        else:
            total += max(cause.cost for cause in group) + REPEATED * (len(group) - 1)
    return total


def search(ground: Ground) -> list[State]:
    """Return the explanations of the whole gradient, the best first, with those as good as it.

    States are followed in the order of their cost, which only grows: the first that reaches the input is the best.
    """
    order = count()
    queue = [(0.0, next(order), State((), None, ground.depth - 1))]
    seen: dict[tuple[int, int | None], Steps] = {}
    found: dict[frozenset[Cause], State] = {}
    taken, limit, most = 0, np.inf, max(MOST_STEPS - 3 * ground.depth, LEAST_STEPS)
    while queue:
        _, _, state = heappop(queue)
        if state.cost > limit or (found and taken > most):
            break
        if state.layer < 0:
            found.setdefault(frozenset(state.causes), state)
            limit = min(limit, state.cost + CLOSE)
            continue
        key = state.layer, None if state.flow is None else id(state.flow)
        if key not in seen:
            taken += 1
            seen[key] = _steps(ground, state.layer, state.flow)
        for step in seen[key]:
            for grown in _grown(ground, state, *step):
                # Once too much has been tried, what has come furthest goes first.
                priority = grown.cost if taken <= most else grown.cost + 100.0 * grown.layer
                heappush(queue, (priority, next(order), grown))
    return list(found.values())


def _grown(
    ground: Ground, state: State, causes: tuple[Cause, ...], flow: Flow, weights: list[Explanation], bias: list[Explanation]
) -> Iterator[State]:
    """Yield a state with one more layer, in each way in which its tensors are explained."""
    for W, b in pairs(weights[:MOST_FORMS], bias[:MOST_FORMS]):
        if any(found.causes and (state.layer, kind) in ground.sound for kind, found in zip(KINDS, (W, b), strict=True)):
            continue  # nothing was done to a tensor that is right
        found = (*state.causes, *causes, *W.causes, *b.causes)
        tensors = (*state.tensors, (state.layer, KINDS[0], W), (state.layer, KINDS[1], b))
        yield State(found, flow, state.layer - 1, tensors)


RIGHT = [Explanation((), 0.0, 1)]

Step = tuple[tuple[Cause, ...], Flow, list[Explanation], list[Explanation]]
Steps = list[Step]


def _steps(ground: Ground, layer: int, above: Flow | None) -> Steps:
    """Return the ways through a layer: mistakes in its flow, the flow, and how its tensors are then explained."""
    ground.tick(layer)
    right = right_flow(ground, layer, above)
    weights, bias = _explained(ground, layer, right)
    steps: Steps = [((), right, weights, bias)]
    judged = [kind for kind in KINDS if (layer, kind) in ground.claims]
    if judged and not any(explanation.causes for explanation in (weights[0], bias[0])):
        return steps
    steps += _again(ground, layer, above, right)
    known = [(right, (weights, bias))]
    # Where a gradient further down is right, so is the flow.
    is_right = layer > ground.lowest_right_flow and right is ground.right[layer]
    for causes, candidate in () if is_right else _agreeing(ground, layer, above, right):
        same = next((pair for pair in known if _same(pair[0], candidate)), None)
        if same is None:
            same = candidate, _explained(ground, layer, candidate)
            known.append(same)
        if ground.given.get(("Z", layer)) is not None or _is_evident(ground, layer, causes, same[1]):
            steps.append((causes, same[0], *same[1]))
    if ground.given.get(("Z", layer)) is None and not any(_explains(ground, layer, step) for step in steps):
        return _edited(ground, layer, above, steps)
    return steps


def _again(ground: Ground, layer: int, above: Flow | None, right: Flow) -> Steps:
    """Return the ways through a layer by an edit that explains a layer above: one loop makes the same mistake in all."""
    steps: Steps = []
    for known in ground.known["Z"]:
        for cause, flow in again(known, ground, layer, above):
            tensors = () if _same(flow, right) else _explained(ground, layer, flow)
            if tensors and _is_evident(ground, layer, (cause,), tensors):
                steps.append(((cause,), flow, *tensors))
    return steps


def _is_evident(ground: Ground, layer: int, causes: tuple[Cause, ...], tensors: tuple[list[Explanation], ...]) -> bool:
    """Whether a mistake in the flow explains more numbers of its layer than were fitted and one: one number is no evidence.

    Where a layer has no more than one number that is judged, those below it have to tell.
    """
    fitted = sum(cause.factor is not None and not is_named(ground, cause.factor) for cause in causes)
    claims = [ground.claim(layer, kind) for kind in KINDS]
    judged = sum(claim.values.size for claim in claims if claim is not None)
    spare = sum(explained[0].spare for explained, claim in zip(tensors, claims, strict=True) if claim and explained[0].found)
    return spare > 1 + fitted or judged <= 1 + fitted


def _explains(ground: Ground, layer: int, step: Step) -> bool:
    """Whether a way explains both tensors of a layer, without a factor that nobody writes, and nothing in one that is right."""
    if any(is_odd(cause) for cause in step[0]):
        return False
    tensors = zip(KINDS, step[2:], strict=True)
    return all(_settled(found) and not (found[0].causes and (layer, kind) in ground.sound) for kind, found in tensors)


def _settled(explanations: list[Explanation]) -> bool:
    """Whether all of a tensor is explained by more numbers than were fitted to it, none a constant that nobody writes."""
    return len(explanations[0].causes) < 2 and _is_plain(explanations[0])


def _is_plain(first: Explanation) -> bool:
    """Whether an explanation has more numbers than were fitted to it, and no constant that nobody writes."""
    odd = any(cause.code in FITTED and not is_short(cause.factor or 0.0) for cause in first.causes)
    odd |= any(cause.code in ROUGHLY or cause.code.startswith("part.") for cause in first.causes)
    return first.found and first.spare > 0 and not odd


def _edited(ground: Ground, layer: int, above: Flow | None, steps: Steps) -> Steps:
    """Return the ways through a layer, with those that take an edit of one of its lines."""
    if len(ground.missed) >= MOST_MISSED:
        return steps
    changed = _with_edits(ground, layer, above, steps)
    if len(changed) == len(steps) and all(new[2:] == old[2:] for new, old in zip(changed, steps, strict=True)):
        ground.missed.append(layer)
        if len(ground.missed) <= MOST_PAIRED:
            return _with_edits(ground, layer, above, steps, pairs=True)
    return changed


def _with_edits(ground: Ground, layer: int, above: Flow | None, steps: Steps, pairs: bool = False) -> Steps:
    """Return the ways through a layer with those that take one edit of a line, or a pair of edits on it."""
    found: Steps = []
    probe = _Probe(ground, layer, steps[0][1])
    is_right = layer >= ground.lowest_right_flow or (layer, "W") in ground.sound
    for cause, flow in () if is_right else flow_edits(ground, layer, above, pairs):
        for c in probe.factors(flow, named=True):
            causes = (cause,) if c == 1.0 else (cause, Cause("factor", layer, "Z", c, cost=factor_cost(ground, c)))
            scaled = flow if c == 1.0 else flow.scaled(c)
            tensors = _explained(ground, layer, scaled)
            if _is_evident(ground, layer, causes, tensors):
                found.append((causes, scaled, *tensors))
                _keep(ground, cause)
    if any(_explains(ground, layer, step) for step in found):
        return [*steps, *found]
    return [_with_edited_tensors(ground, layer, above, step, pairs) for step in (*steps, *found)]


def _with_edited_tensors(ground: Ground, layer: int, above: Flow | None, step: Step, pairs: bool) -> Step:
    """Return a way whose tensors are explained by edits of their own lines where nothing else explains them well."""
    causes, flow, *tensors = step
    if causes and not any(_settled(tensor) for tensor in tensors):
        return step
    weights, bias = (
        _edited_tensor(ground, layer, kind, above, flow, old, pairs) for kind, old in zip(KINDS, tensors, strict=True)
    )
    return causes, flow, weights, bias


def _edited_tensor(
    ground: Ground, layer: int, kind: Kind, above: Flow | None, flow: Flow, explained: list[Explanation], pairs: bool
) -> list[Explanation]:
    tensor = None if _settled(explained) else subject(ground, layer, kind, flow)
    if tensor is None or _is_one_factor(tensor):
        return explained
    found = edited(tensor, tensor_edits(ground, layer, kind, above, flow, pairs))
    for explanation in found:
        _keep(ground, explanation.causes[0])
    usual = [explanation for explanation in explained if _is_plain(explanation)]
    return sorted([*usual, *found], key=cost_of) if found else explained


def _keep(ground: Ground, cause: Cause) -> None:
    """Keep an edit, to be tried at the layers below as well."""
    known = ground.known[cause.kind]
    if all(one.other != cause.other for one in known):
        known.append(cause)


def _is_one_factor(tensor: Subject) -> bool:
    """Whether a tensor is one number that is off by a factor which many lines would make: one number tells none of them."""
    right = float(tensor.total.values.flat[0])
    if tensor.claim.values.size > 1 or not right:
        return False
    ratio, network = float(tensor.claim.values.flat[0]) / right, tensor.ground.problem.network
    return bool(of_examples(ratio, tensor.ground.samples, (*network.widths, network.depth)))


def _agreeing(ground: Ground, layer: int, above: Flow | None, right: Flow) -> list[tuple[tuple[Cause, ...], Flow]]:
    """Return the candidates that agree with the user's own dZ, where it came along; dZ itself where none does."""
    given = ground.given.get(("Z", layer))
    if given is None:
        return list(_candidates(ground, layer, above, right))
    if given.right and np.array_equal(right.delta, ground.right[layer].delta):
        return []
    own = replace(right, delta=given.values, error=np.maximum(right.error, np.abs(given.values)))
    candidates = [(causes, flow) for causes, flow in _candidates(ground, layer, above, right) if _near(flow, own)]
    if not candidates and np.isfinite(own.delta).all() and not _near(right, own):
        candidates = [((Cause("unknown.flow", layer, "Z", cost=2.5),), own)]
    return candidates


def _near(first: Flow, second: Flow) -> bool:
    """Whether two flows are one to what single precision would show."""
    return bool((np.abs(first.delta - second.delta) <= 1e-6 * np.abs(second.delta).max(initial=0.0)).all())


def _explained(ground: Ground, layer: int, flow: Flow) -> tuple[list[Explanation], list[Explanation]]:
    tensors = [subject(ground, layer, kind, flow) for kind in KINDS]
    weights, bias = (RIGHT if tensor is None else _with_known_edits(tensor, explain(tensor)) for tensor in tensors)
    return weights, bias


def _with_known_edits(tensor: Subject, explained: list[Explanation]) -> list[Explanation]:
    """Return what explains a tensor, first of all an edit that explains the same tensor of a layer above."""
    if not explained[0].causes:
        return explained
    known = tensor.ground.known[tensor.kind]
    tries = [one for cause in known for one in again_in_tensor(cause, tensor.ground, tensor.layer, tensor.kind, tensor.flow)]
    return [*edited(tensor, tries), *explained]


def _same(first: Flow, second: Flow) -> bool:
    return bool((np.abs(first.delta - second.delta) <= 1e-14 * (first.error + second.error)).all())


def _candidates(ground: Ground, layer: int, above: Flow | None, right: Flow) -> Iterable[tuple[tuple[Cause, ...], Flow]]:
    """Yield the mistakes in the flow into a layer that explain one of its tensors, with a factor where it takes one."""
    probe = _Probe(ground, layer, right)
    for c in dict.fromkeys([*probe.factors(right, named=False), *probe.factors(right, named=True)]):
        if c == 1.0:
            continue
        yield (Cause("factor", layer, "Z", c, cost=factor_cost(ground, c)),), right.scaled(c)
    for family in flow_families(ground, layer, above, right):
        ground.tick(layer)
        possible, distances = probe.tried(family)
        explaining = np.zeros_like(possible)
        for k in np.flatnonzero(possible & family.changes).tolist():
            cause, flow = family.causes[k], family.flow(k)
            factors = probe.factors(flow, named=True)
            explaining[k] = bool(factors)
            for c in factors:
                factor = () if c == 1.0 else (Cause("factor", layer, "Z", c, cost=factor_cost(ground, c)),)
                yield (cause, *factor), flow if c == 1.0 else flow.scaled(c)
        _note_nearest(ground, layer, family.causes, np.where(explaining | ~family.changes, np.inf, distances))
    for change in () if above is None else updated_ways(ground, layer, above):
        rate = probe.rate(right, change)
        if rate is not None:
            usual = 1.0 if rate == float(f"{rate:.3g}") else 1.3
            cause = Cause("way.updated_weights", layer, "Z", other=rate, cost=usual)
            delta = right.delta - rate * change.delta
            arrived = right.arrived - rate * change.arrived
            error = right.error + abs(rate) * change.error
            arrived_error = right.arrived_error + abs(rate) * change.arrived_error
            yield (cause,), Flow(arrived, arrived_error, delta, error, recovered=1.0 / abs(rate))


def _note_nearest(ground: Ground, layer: int, causes: list[Cause], distances: Array) -> None:
    """Keep the mistake that comes nearest of those that do not explain the claim."""
    k = int(np.argmin(distances))
    if distances[k] < ground.nearest.get(layer, (np.inf, ""))[0]:
        ground.nearest[layer] = float(distances[k]), causes[k].code


class _Probe:
    """Some columns of a layer's W, and its b, on which flows are tried before they are followed."""

    def __init__(self, ground: Ground, layer: int, right: Flow) -> None:
        self.ground, self.layer = ground, layer
        self.columns: Offsets = ground.probes[layer]
        self.weights, self.bias = ground.claim(layer, "W"), ground.claim(layer, "b")
        self.right = [estimate.values.ravel() for _, estimate in self._predictions(right)]

    def factors(self, flow: Flow, named: bool) -> list[float]:
        """Return the constants by which a flow explains W or b: 1, or one that can be named; any other if not `named`."""
        if self.weights is None and self.bias is None:
            return [1.0] if named else []
        found = []
        for claim, estimate in self._predictions(flow):
            c = self._factor(claim, estimate, True, named)
            if c is None and claim.theta.ndim > 1 and (claim.l2 or not named):
                c = self._factor(claim, estimate, False, named)
            if c is not None and c not in found and (named or c != 1.0):
                found.append(c)
        return found

    def tried(self, family: Family) -> tuple[Truth, Array]:
        """Return of each flow of a family whether a multiple of it may explain W or b, and how far they are off it.

        That distance is relative to the size of what is added up; the largest. Most hypotheses end here.
        """
        count, unclaimed = len(family.causes), self.weights is None and self.bias is None
        possible, told, distances = np.full(count, unclaimed), np.full(count, unclaimed), np.zeros(count)
        for (claim, estimate), right in zip(self._predictions(family.flows), self.right, strict=True):
            values, rounding = (part.reshape(count, -1) for part in estimate)
            claimed, penalty = claim.values.ravel(), Estimate(*(part.ravel() for part in claim.penalty))
            total = Estimate(values, rounding).plus(penalty)
            size = total.rounding + np.abs(total.values)
            off = np.where(size > 0.0, np.abs(claimed - total.values) / np.where(size > 0.0, size, 1.0), 0.0)
            distances = np.maximum(distances, np.where(np.isnan(off), np.inf, off).max(axis=1, initial=0.0))
            bound = claim.allowed(Estimate(np.abs(total.values) + np.abs(claimed), total.rounding), self.ground.samples)
            possible |= ~(np.abs(values) > CLEAR * bound).any(axis=1)  # nothing goes through: it may explain zeros
            if claim.spread is not None:
                bound = bound + claim.spread.ravel()
            possible |= _are_multiples(values, claimed - penalty.values, bound)
            # Where its own rounding lets the right gradient pass as well, that it fits says nothing.
            told |= (np.abs(claimed - penalty.values - right) > bound).any(axis=1)
            if claim.l2:
                theta = claim.theta.ravel()
                rest = claimed - claim.l1 * np.sign(theta)
                possible |= _are_multiples(*_without(theta, values, rest, bound))
        return possible & told, distances

    def _predictions(self, flow: Flow) -> Iterable[tuple[Claim, Estimate]]:
        if self.weights is not None:
            yield self.weights.columns(self.columns), self.ground.predicted_weights(self.layer, flow, self.columns)
        if self.bias is not None:
            yield self.bias, self.ground.predicted_bias(flow)

    def _factor(self, claim: Claim, estimate: Estimate, penalty: bool, named: bool) -> float | None:
        """Return c if the claim is c times an estimate, with the declared penalty or another multiple of W beside it."""
        allowed = claim.allowed(estimate.plus(claim.penalty), self.ground.samples)
        parts = [estimate.values] if penalty else [estimate.values, claim.theta]
        if named and not telling(estimate.values, allowed) and penalty:
            # Nothing goes through: the flow explains zeros.
            return 1.0 if bool((np.abs(claim.values - claim.penalty.values) <= allowed).all()) else None
        # One entry tells a factor that can be named; of any other the layers below must tell that it is one.
        needed = len(parts) + (not named and not self.layer)
        if telling(estimate.values, allowed) < needed or not np.isfinite(claim.values).all():
            return None
        target = claim.values - (claim.penalty.values if penalty else claim.l1 * np.sign(claim.theta))
        clear = float((np.abs(estimate.values) / allowed).max(initial=0.0))
        half = half_of((np.abs(estimate.values) / allowed).ravel())  # the other half has to confirm it
        solution = _least_squares([(part / allowed).ravel()[half] for part in parts], (target / allowed).ravel()[half])
        if solution is None or clear < CLEAR or abs(solution[0]) * clear < CLEAR:  # a factor 0 but for rounding
            return None
        tightness = min(1e-4 * abs(solution[0]), 4.0 / clear)
        c = nearest_constant(self.ground, self.layer, solution[0], tightness)
        if named and not is_named(self.ground, c):
            return None
        fitted = c * estimate.values
        if not penalty:
            rest = _least_squares([claim.theta / allowed], (target - fitted) / allowed)
            fitted = fitted + (rest[0] if rest else 0.0) * claim.theta
        bound = 2.0 * claim.allowed(Estimate(fitted, abs(c) * estimate.rounding), self.ground.samples)
        if claim.spread is not None:
            bound = bound + max(1.0, abs(c)) * claim.spread
        return c if bool((np.abs(target - fitted) <= bound).all()) else None

    def rate(self, start: Flow, change: Flow) -> float | None:
        """Return the η of which start − η·change explains W or b."""
        for (claim, first), (_, second) in zip(self._predictions(start), self._predictions(change), strict=True):
            total = first.plus(claim.penalty)
            allowed = claim.allowed(total, self.ground.samples)
            rest = (total.values - claim.values) / allowed
            solution = _least_squares([second.values / allowed], rest)
            if solution is None:
                continue
            clear = float(np.abs(second.values / allowed).max(initial=0.0))
            short = float(f"{solution[0]:.3g}")
            rate = short if abs(short - solution[0]) * clear < 4.0 else solution[0]
            # Where one entry tells, any rate would do: a usual one it must be.
            if telling(second.values, allowed) < 2 and not (rate == short and 0.0 < rate <= 1.0):
                continue
            if clear * abs(rate) > CLEAR and (np.abs(rest - rate * second.values / allowed) <= 2.0).all():
                return rate
        return None


def _least_squares(parts: list[Array], target: Array) -> list[float] | None:
    columns = np.stack([part.ravel() for part in parts], axis=1)
    unit = np.linalg.norm(columns, axis=0)
    if not (np.isfinite(unit).all() and (unit > 0.0).all()) or not np.isfinite(target).all():
        return None
    found = least_squares(columns / unit, target.ravel(), 1e-12)
    return None if found is None else [float(c) for c in found / unit]


def _are_multiples(values: Array, target: Array, bound: Array) -> Truth:
    """Of each row of values, whether the target can be a multiple of it, each known to a bound.

    The row's largest entry v gives the factor t/v; then v·t' = v'·t for all others, but for what the bounds allow. Eight
    times that, since what follows fits the factor by all entries.
    """
    rows, first = np.arange(len(values)), np.argmax(np.abs(values), axis=1)
    v, t, allowed = (array[:, None] for array in (values[rows, first], target[first], bound[rows, first]))
    off = np.abs(v * target - values * t)
    size = bound * (np.abs(v) + np.abs(t)) + allowed * (np.abs(target) + np.abs(values))
    fits: Truth = (off <= 8.0 * size).all(axis=1)
    return fits


def _without(theta: Array, values: Array, target: Array, bound: Array) -> tuple[Array, Array, Array]:
    """Return values and target less the multiple of theta that makes them 0 where theta is largest."""
    place = int(np.argmax(np.abs(theta)))
    share = theta / theta[place] if theta[place] else np.zeros_like(theta)
    rest = bound + bound[:, place, None] * np.abs(share)
    return values - values[:, place, None] * share, target - target[place] * share, rest


def is_named(ground: Ground, c: float) -> bool:
    """Whether a factor is one that counts explain, with a 2 or a sign at most."""
    m, n = float(ground.samples), float(ground.problem.network.widths[-1])
    whole = {1.0, m, n, m * n}
    return abs(c) in {part * count for count in (*whole, *(1.0 / count for count in whole)) for part in (0.5, 1.0, 2.0)}
