"""From a wrong gradient to the mistake that made it: hypotheses are computed, and named where they explain the numbers.

Called by walk where something is wrong. `ground` holds what all hypotheses share, `mistakes` the wrong steps of a
flow, `forms` what can have been done to one tensor. `lines` has the lines of a backward pass as trees, `edits` every small
change of them, for what has no name. `search` goes from the output inwards, `words` and `written` say what was found,
`predict` what it gives at another point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from fastgrad.diagnosis.codes import BY_EXAMPLES, BY_OUTPUTS, BY_WIDTHS, CODES
from fastgrad.diagnosis.edits import Edit
from fastgrad.diagnosis.ground import Ground, Kind, with_softmax
from fastgrad.diagnosis.mistakes import Cause
from fastgrad.diagnosis.names import gradient_name, listed
from fastgrad.diagnosis.patterns import described_entries, picture
from fastgrad.diagnosis.predict import Prediction, drawn, tell_apart
from fastgrad.diagnosis.search import State, is_named, search
from fastgrad.diagnosis.subjects import CLEAR, Explanation
from fastgrad.diagnosis.words import fill, readings, sentences, wrong_line
from fastgrad.model.network import Array, Problem
from fastgrad.numerical import Numerical
from fastgrad.numerical.tracking import Progress
from fastgrad.report import Prediction as Foretelling
from fastgrad.report.parts import Alternative, Finding

UNUSUAL = 1.5
"""Cost from which an explanation is offered, not asserted: as many numbers fitted as there are, or an unknown flow."""
NEAR = 1e-2
"""Share of scale up to which a mistake that does not explain the numbers is worth a word."""
MOST_ALTERNATIVES = 8
"""Mistakes named beside one that cannot be told from it; equal widths and few examples make many look alike."""

DESCRIBED = ("value.zero", "value.not_finite")
"""Findings that say what the numbers are, not how they were made: of these one number is enough."""


class Diagnosis(NamedTuple):
    """What was named, and what that gives at other points; None where nothing is."""

    findings: tuple[Finding, ...]
    prediction: Foretelling | None = None


def diagnose(problem: Problem, numerical: Numerical) -> tuple[Finding, ...]:
    """Name the mistakes in a claimed gradient: the findings of `diagnosed`."""
    return diagnosed(problem, numerical).findings


def diagnosed(problem: Problem, numerical: Numerical, progress: Progress | None = None) -> Diagnosis:
    """Name the mistakes in a claimed gradient.

    Parameters
    ----------
    problem : Problem
        With its claimed gradient, of which some tensor is wrong.
    numerical : Numerical
        The gradient that was held against it.
    progress : callable, optional
        Called with the layers that are done, and all.

    Returns
    -------
    Diagnosis
        The findings from the output inwards, and their prediction.
    """
    ground = Ground(with_softmax(problem), numerical, progress=progress)
    with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
        states = search(ground)
    if not states:  # numbers near the ends of the range, of which no distance is a number: nothing is said
        return Diagnosis((), None)
    best, *others = states
    rivals = [state for state in others if best.has_odd_factor or not state.has_odd_factor]
    groups = grouped(best)
    findings = tuple(_finding(ground, best, causes, rivals, groups) for causes in groups)
    return Diagnosis(findings, Prediction(problem, _ways(best, rivals), _open(ground, best, findings)))


def _ways(best: State, rivals: list[State]) -> tuple[tuple[Cause, ...], ...]:
    """Return the causes of every state that explains the numbers, the best first."""
    others = [state for state in rivals if all(found.found and found.spare > 0 for *_, found in state.tensors)]
    return tuple(state.causes for state in (best, *others))


def _open(ground: Ground, best: State, findings: tuple[Finding, ...]) -> tuple[str, ...]:
    """Return the wrong gradients that no finding explains with confidence."""
    unsure = {name for finding in findings if not finding.confident for name in finding.concerns}
    concerned = [
        gradient_name(ground, Cause("", layer, kind)) for layer, kind, _ in best.tensors if (layer, kind) in ground.claims
    ]
    return tuple(name for name in concerned if name in unsure)


def grouped(state: State) -> list[list[Cause]]:
    """Put the same mistake at several places together."""
    groups: dict[tuple[object, ...], list[Cause]] = {}
    for cause in state.causes:
        groups.setdefault(cause.key, []).append(cause)
    return [sorted(group, key=lambda cause: (cause.layer, cause.kind)) for group in groups.values()]


def _finding(ground: Ground, state: State, causes: list[Cause], rivals: list[State], groups: list[list[Cause]]) -> Finding:
    """Put one group of causes into words."""
    if causes[0].code.startswith("unknown"):  # what is below the first wrong one may be wrong because of it
        causes = sorted(causes, key=lambda cause: (-cause.layer, cause.kind))
    meanings = readings(ground, causes[0])
    named = [readings(ground, cause)[0] for cause in causes]
    place = _place(ground, state, causes) if named[0].code.startswith("unknown") else ""
    concerned = _concerned(state, causes)
    sentence, repair, formula = sentences(ground, named, place, alone=len(groups) == 1 and all(f.found for *_, f in concerned))
    if named[0].code == "unknown.tensor" and _is_whole_layer(ground, causes):  # what both are made of is wrong, not they
        formula = sentences(ground, [replace(named[0], kind="Z")])[2]
    explained = [(layer, kind, found) for layer, kind, found in concerned if found.found]
    own = _read_as(ground, state.causes, causes, named[0])
    alternatives = [
        _alternative(ground, [meaning], own, _read_as(ground, state.causes, causes, meaning)) for meaning in meanings[1:]
    ]
    mine = {cause.key for cause in causes}
    others = {cause.key for group in groups for cause in group} - mine
    for rival in rivals:
        keys = {cause.key for cause in rival.causes}
        extra = [group for group in grouped(rival) if group[0].key not in mine | others]
        if extra and others <= keys and not mine <= keys and not _is_same(state, causes, rival, extra[0]):
            first = [readings(ground, cause)[0] for cause in extra[0]]
            alternatives.append(_alternative(ground, first, own, _read_as(ground, rival.causes, extra[0], first[0])))
    alternatives = list(dict.fromkeys(alternatives))
    return Finding(
        code=named[0].code,
        tensor=listed(gradient_name(ground, cause) for cause in sorted(causes, key=lambda cause: (cause.layer, cause.kind))),
        layer=causes[0].layer + 1,
        sentence=sentence,
        repair=repair,
        formula=formula,
        explains=sum(_size(ground, layer, kind) - found.unexplained for layer, kind, found in explained),
        entries=sum(_size(ground, layer, kind) for layer, kind, _ in concerned),
        residual=max((found.residual for *_, found in explained), default=0.0),
        picture=_picture(ground, causes, [found for *_, found in concerned]),
        next_best=_next_best(ground, concerned, causes)[0],
        alternatives=tuple(alternatives[:MOST_ALTERNATIVES]),
        confident=len(explained) == len(concerned) > 0
        and all(cause.cost < UNUSUAL * _edits(cause) for cause in causes)
        and all(found.strength > CLEAR for *_, found in explained)
        and _is_told(ground, causes, explained),
        concerns=tuple(
            gradient_name(ground, Cause("", layer, kind)) for layer, kind, _ in concerned if (layer, kind) in ground.claims
        ),
        title=CODES[named[0].code].title,
        line=wrong_line(ground, named),
    )


def _picture(ground: Ground, causes: list[Cause], concerned: list[Explanation]) -> tuple[str, ...]:
    """Return the map of what nothing explains: of the flow where the user's own dZ tells it, else of the first tensor."""
    if causes[0].code == "unknown.flow":
        return picture(_distance_of_flow(ground, max(cause.layer for cause in causes)))
    return next((found.picture for found in concerned if found.picture), ())


def _edits(cause: Cause) -> int:
    """Count the edits that a cause is made of."""
    return cause.other.count if isinstance(cause.other, Edit) else 1


def _is_told(ground: Ground, causes: list[Cause], concerned: list[tuple[int, Kind, Explanation]]) -> bool:
    """Whether more than one number tells a mistake in the flow, or a factor, and at least one that was not fitted to it."""
    if causes[0].kind == "Z":
        return sum(found.clear for *_, found in concerned) > 1
    if causes[0].code in DESCRIBED or causes[0].code.startswith("part."):
        return True
    if causes[0].factor is None:
        told = _distinct(ground, concerned) if isinstance(causes[0].other, Edit) else sum(f.spare for *_, f in concerned)
        return told > 1
    fitted = not is_named(ground, causes[0].factor)
    return sum(_confirming(ground, *item, fitted) for item in concerned) > 1 - fitted


def _distinct(ground: Ground, concerned: list[tuple[int, Kind, Explanation]]) -> int:
    """Count the different numbers, besides 0, of some claims: many lines give one number, however often it stands there."""
    values = np.concatenate([ground.claims[layer, kind].values.ravel() for layer, kind, _ in concerned])
    return int(np.unique(values[values != 0.0]).size)


def _confirming(ground: Ground, layer: int, kind: Kind, found: Explanation, fitted: bool) -> int:
    """Count the numbers that confirm a factor; behind a softmax those of the last unit follow from the others'."""
    size = ground.claims[layer, kind].values.size
    if layer + 1 == ground.depth and ground.problem.network.activations[-1] == "softmax":
        size -= size // ground.problem.network.widths[-1]
    return max(0, min(found.spare, size - fitted))


def _next_best(ground: Ground, concerned: list[tuple[int, Kind, Explanation]], causes: list[Cause]) -> tuple[float | None, str]:
    """Return how far off the nearest hypothesis is that does not explain the numbers, and its code."""
    tried = [(off, weaker.code) for *_, found in concerned for off, weaker in found.weaker]
    if causes[0].kind == "Z" or not tried:
        tried += [ground.nearest[cause.layer] for cause in causes if cause.layer in ground.nearest]
    finite = [(off, code) for off, code in tried if np.isfinite(off)]
    return min(finite) if finite else (None, "")


def _is_same(state: State, causes: list[Cause], rival: State, others: list[Cause]) -> bool:
    """Whether two groups are one factor, here on what flows, there on every tensor that it reaches."""
    first, second = causes[0], others[0]
    same = first.factor is not None and first.factor == second.factor and first.key[0] == second.key[0]
    reached = [{(layer, kind) for layer, kind, _ in _concerned(*pair)} for pair in ((state, causes), (rival, others))]
    return same and reached[0] == reached[1]


def _read_as(ground: Ground, way: tuple[Cause, ...], group: list[Cause], reading: Cause) -> tuple[Cause, ...]:
    """Return the causes of a state, those of one group as one of their readings has them, the others at their likeliest."""
    key = group[0].key
    return tuple(
        replace(cause, code=reading.code, other=reading.other) if cause.key == key else readings(ground, cause)[0]
        for cause in way
    )


def _alternative(ground: Ground, causes: list[Cause], own: tuple[Cause, ...], other: tuple[Cause, ...]) -> Alternative:
    sentence, _, _ = sentences(ground, causes)
    code = CODES[causes[0].code]
    tensor = listed(gradient_name(ground, cause) for cause in causes)
    separate = fill(ground, causes, code.separate) if _tells(ground, code.separate, own, other) else ""
    return Alternative(causes[0].code, tensor, causes[0].layer + 1, sentence, separate)


def _tells(ground: Ground, separate: str, own: tuple[Cause, ...], other: tuple[Cause, ...]) -> bool:
    """Whether a change of the test point tells two explanations apart: it is tried, on a small network of that kind."""
    problem = ground.problem
    depth, m = ground.depth, ground.samples
    alike = tuple(min(width, SMALL + 3) for width in problem.network.widths)
    changed = {
        BY_EXAMPLES: [(m + 2, alike)],
        BY_OUTPUTS: [(m, (*alike[:-1], alike[-1] + 1))],
        BY_WIDTHS: [(m, tuple(SMALL + k for k in range(depth)) + alike[-1:])],
    }
    widths = tuple(SMALL + k for k in range(depth + 1))
    points = changed.get(separate, [(m + 2, (*widths[:-1], alike[-1])), (m + 3, (*widths[:-1], alike[-1] + 1))])
    return any(tell_apart(problem, own, other, drawn(problem, min(samples, m + 3), sizes)) for samples, sizes in points)


SMALL = 5
"""Units of the first layer of the network on which a change is tried; every further layer has one more."""


def _concerned(state: State, causes: list[Cause]) -> list[tuple[int, Kind, Explanation]]:
    """Return the tensors that a group of causes is about: its own, or all below where it is in the flow."""
    if causes[0].kind == "Z":
        top = max(cause.layer for cause in causes)
        return [item for item in state.tensors if item[0] <= top]
    places = {(cause.layer, cause.kind) for cause in causes}
    return [item for item in state.tensors if (item[0], item[1]) in places]


def _size(ground: Ground, layer: int, kind: Kind) -> int:
    claim = ground.claims.get((layer, kind))
    return 0 if claim is None else claim.values.size


def _place(ground: Ground, state: State, causes: list[Cause]) -> str:
    """Say where the wrong layers begin, for what no hypothesis explains, and with which pattern."""
    first = max(cause.layer for cause in causes)
    wrong = _are([gradient_name(ground, cause) for cause in causes if cause.layer == first])
    right = [
        gradient_name(ground, Cause("", layer, kind))
        for layer, kind, found in state.tensors
        if layer > first and not found.causes and (layer, kind) in ground.claims
    ]
    above = f"{_are(right)} right; " if right else ""
    patterns = [found.pattern for layer, _, found in state.tensors if layer == first and found.pattern]
    which = f" Wrong are {patterns[0]}." if patterns else ""
    if causes[0].kind == "Z":
        off = _distance_of_flow(ground, first)
        map_of_it = "; the map below has examples in rows, units in columns, darker where further off"
        which = f" Wrong are {described_entries(off > 0.0, ('example', 'unit'))}{map_of_it}."
    distance, code = _next_best(ground, _concerned(state, causes), causes)
    if distance is not None and distance < NEAR:
        which += f" What comes nearest does not explain it: {CODES[code].title} ({code}), off by {distance:.0e} of scale."
    if causes[0].kind == "Z" or _is_whole_layer(ground, causes):
        return f"{above}{wrong} wrong; the error enters between {_between(ground, first)}.{which}"
    return f"{wrong} wrong by no mistake that fastgrad knows, while the flow into the layer is right.{which}"


def _are(names: Sequence[str]) -> str:
    return f"{listed(names)} {'is' if len(names) == 1 else 'are'}"


def _is_whole_layer(ground: Ground, causes: list[Cause]) -> bool:
    """Whether everything that is judged of the first layer of some causes is wrong: then the flow into it is."""
    first = max(cause.layer for cause in causes)
    judged = {kind for layer, kind in ground.claims if layer == first}
    return {cause.kind for cause in causes if cause.layer == first} == judged


def _distance_of_flow(ground: Ground, layer: int) -> Array:
    """Return how far the user's own dZ is off, 0 where that is little beside the largest entry."""
    right = ground.right[layer].delta
    off = np.abs(ground.given["Z", layer].values - right)
    return np.where(off > 1e-6 * np.abs(right).max(initial=0.0), off, 0.0)


def _between(ground: Ground, layer: int) -> str:
    """Return the two steps between which an error enters, as close as the user's own dZ and dA tell."""
    arrived, delta = ground.given.get(("A", layer)), ground.given.get(("Z", layer))
    last, dZ = f"dZ{layer + 1}", f"dZ{layer + 1}" if delta is None else delta.name
    if arrived is not None and arrived.right:
        return f"{arrived.name}, which is right, and {dZ}"
    before = "the output" if layer + 1 == ground.depth else f"dZ{layer + 2}"
    if arrived is not None:
        return f"{before} and {arrived.name}, which is wrong already"
    return f"{before} and {dZ if delta is not None else last}"
