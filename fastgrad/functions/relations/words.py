"""What is said of a relation: the sentence, what to look for, and the codes, which never change their meaning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastgrad.functions.arguments import Array
from fastgrad.functions.relations.evidence import Compared, Relation, Weight
from fastgrad.functions.relations.numbers import Numbers
from fastgrad.report.formatting import counted, listed
from fastgrad.report.parts import Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

SHOWN = 6
"""Numbers of slices that are shown one by one."""


class Code(NamedTuple):
    """What a code stands for in a few words, the sentence, filled in by `_sentence`, and what to look for."""

    title: str
    sentence: str
    repair: str


_NUMERICAL = "{who} {are} {times}the numerical gradient"

CODES: dict[str, Code] = {
    "relation.zero": Code(
        "a gradient of zeros",
        "{who} {are} zero throughout, and the numerical gradient is not.",
        "Look for a gradient that is made and never filled, or overwritten.",
    ),
    "relation.factor": Code(
        "one factor throughout",
        f"{_NUMERICAL}{{reading}}.",
        "Look for a factor or a division that is missing or there twice.",
    ),
    "relation.sign": Code(
        "the sign turned round",
        "{who} {have} the wrong sign: {are} {times}the numerical gradient.",
        "Look for a difference the wrong way round.",
    ),
    "relation.transposed": Code(
        "axes exchanged",
        "{who} {are} {times}the numerical gradient {order}.",
        "Exchange the axes of the result, or the two sides of the product that makes it.",
    ),
    "relation.reshaped": Code(
        "entries in another order",
        "{who} {hold} {times}the right numbers in another order, as after a reshape with the axes in the order {axes_order}.",
        "Look for a reshape that needs a transpose before it, or after it.",
    ),
    "relation.reversed": Code(
        "reversed along axes",
        f"{_NUMERICAL} reversed along {{axes}}.",
        "Look for a kernel that is flipped where it should not be, or the other way round.",
    ),
    "relation.shifted": Code(
        "shifted along an axis",
        f"{_NUMERICAL} shifted by {{shift}} along axis {{axis}}.",
        "Look for an index that is off by that much.",
    ),
    "relation.blocks": Code(
        "blocks exchanged",
        f"{_NUMERICAL} with the blocks {{first}} and {{second}} of the {{count}} along axis {{axis}} exchanged.",
        "Look at the order in which the blocks are put together.",
    ),
    "relation.exchanged": Code(
        "two gradients exchanged",
        "{who} are exchanged: each holds the other's gradient{turned}.",
        "Look at the order in which they are returned.",
    ),
    "relation.other": Code(
        "another tensor's gradient",
        "{who} {hold} {times}the gradient of {other}{turned}.",
        "Look for a name taken for another where it is made or returned.",
    ),
    "relation.offset": Code(
        "off by one number",
        "{who} {are} {amount} in every entry.",
        "Look for a term that is there once too often, or left out.",
    ),
    "relation.sum": Code(
        "a sum over an axis too many",
        "{who} {hold} the sum of the numerical gradient over {axes} in each entry.",
        "Leave that sum out, or its axis.",
    ),
    "relation.mean": Code(
        "a mean over an axis too many",
        "{who} {hold} the mean of the numerical gradient over {axes} in each entry.",
        "Leave that mean out, or its axis.",
    ),
    "relation.added": Code(
        "another gradient added",
        "{who} {are} the numerical gradient {plus} that of {other}.",
        "Look for a term too many, or for an array used for both.",
    ),
    "relation.factors": Code(
        "one factor for each slice",
        "{slices}.",
        "Look for a factor that depends on these axes alone.",
    ),
    "relation.offsets": Code(
        "off by one number for each slice",
        "{slices}.",
        "Look for a term that depends on these axes alone: a sum or a mean over the others, or a factor in it.",
    ),
    "relation.zeros": Code(
        "zero in a part",
        "{who} {are} zero in {place}, and right elsewhere.",
        "Look for the bounds of a loop or of a slice, and for what is overwritten.",
    ),
    "unknown.place": Code(
        "wrong in a part only",
        "{who} {are} wrong in {place}, and right elsewhere.",
        "Look at what is done for that part alone: the bounds of loops and slices.",
    ),
}
"""By code, the most usual first."""


def finding(group: Sequence[tuple[Compared, Relation, Weight]], numbers: Numbers) -> Finding:
    """Return a finding about tensors of which the same is to be said."""
    (one, relation, weight), names = group[0], [compared.name for compared, _, _ in group]
    code = _code(relation, is_pair=len(group) == 2 and relation.code == "relation.other")
    explained = sum(found.explained for _, _, found in group)
    residual = max(_residual(compared, made) for compared, made, _ in group)
    return Finding(
        code=code,
        tensor=listed(names),
        layer=0,
        sentence=_sentence(code, names, one, relation, numbers),
        repair=CODES[code].repair,
        formula="",
        explains=0 if code.startswith("unknown") else explained,
        entries=sum(found.total for _, _, found in group),
        residual=residual,
        confident=weight.is_proof and not code.startswith("unknown"),
        concerns=tuple(names),
        title=CODES[code].title,
    )


def _code(relation: Relation, is_pair: bool) -> str:
    if is_pair:
        return "relation.exchanged"
    return "relation.sign" if relation.code == "relation.factor" and relation.number == -1.0 else relation.code


def _residual(one: Compared, relation: Relation) -> float:
    """Return how far the claim is from what the relation predicts at most, relative to the largest entry."""
    known = one.is_known & np.isfinite(one.claimed)
    largest = float(np.abs(one.numerical[known]).max(initial=0.0))
    off = float(np.abs(one.claimed - relation.predicted)[known].max(initial=0.0))
    return off / largest if largest else 0.0


def _sentence(code: str, names: list[str], one: Compared, relation: Relation, numbers: Numbers) -> str:
    """Fill in what a code says."""
    said, shape = relation.said, one.claimed.shape
    verbs = ("is", "has", "holds") if len(names) == 1 else ("are", "have", "hold")
    words = {
        **said,
        **dict(zip(("are", "have", "hold"), verbs, strict=True)),
        "who": listed(names),
        "times": _times(relation),
        "reading": _reading(relation, numbers),
        "amount": _too(relation.number or 0.0),
        "turned": ", with its axes exchanged" if said.get("turned") else "",
        "plus": "plus" if said.get("sign", 1.0) > 0.0 else "minus",
        "axes": _axes(said.get("axes", ())),
        "order": "transposed" if len(shape) == 2 else f"with its axes in the order {said.get('order')}",
        "axes_order": said.get("order"),
        "slices": _of_slices(listed(names), shape, said, float(code == "relation.factors")) if "values" in said else "",
        "place": _place(said["place"], shape, int(one.is_wrong.sum())) if "place" in said else "",
    }
    return CODES[code].sentence.format_map(words)


def _times(relation: Relation) -> str:
    """Return "2.236 times " of a factor; nothing where there is none."""
    return "" if relation.number is None else f"{_number(relation.number)} times "


def _reading(relation: Relation, numbers: Numbers) -> str:
    """Return which number of the problem a factor is, in brackets; nothing where it is none."""
    reading = numbers.reading(relation.number or 0.0, relation.slack)
    return f" ({reading})" if reading else ""


def _number(value: float) -> str:
    """Return a number to four digits, whole ones as they are."""
    return f"{value:.0f}" if value == round(value) and abs(value) < 1e6 else f"{value:.4g}"


def _too(offset: float) -> str:
    return f"{_number(abs(offset))} too {'large' if offset > 0.0 else 'small'}"


def _axes(axes: tuple[int, ...]) -> str:
    return ("axis " if len(axes) == 1 else "axes ") + listed([str(axis) for axis in axes]) if axes else ""


def _slices(axes: tuple[int, ...], dimensions: int) -> str:
    """Name the slices that a number may depend on."""
    if dimensions == 2:
        return "row" if axes == (0,) else "column"
    return f"index along {_axes(axes)}"


def _of_slices(who: str, shape: tuple[int, ...], said: dict[str, Any], right: float) -> str:
    """Say by which number each slice is off; which slices, if they are few."""
    values, slack, axes = said["values"], said["slack"], said["axes"]
    off = np.argwhere(np.abs(values - right) > slack)
    numbers = [float(values[tuple(place)]) for place in off]
    each = _slices(axes, len(shape))
    if len(off) < values.size and len(off) <= SHOWN:
        one = _alike(numbers, slack)
        which = listed([_slice(place.tolist(), axes, len(shape)) for place in off])
        if one is not None:
            return f"{_capital(which)} of {who} {'is' if len(off) == 1 else 'are'} {_said(one, right)}; the rest is right"
        return f"{_capital(which)} of {who} are off by numbers of their own: {_list(numbers, right)}; the rest is right"
    kind = "times one factor" if right else "off by one number"
    amounts = f" ({_list(numbers, right)})" if len(off) <= SHOWN else f" ({_list(numbers[:SHOWN], right)} and so on)"
    verb = "is the numerical gradient" if right else "is"
    return f"{who} {verb} {kind} for each {each}{amounts}"


def _alike(numbers: list[float], slack: Array) -> float | None:
    """Return the number that all slices have, if they have the same."""
    return numbers[0] if np.ptp(numbers) <= 2.0 * slack.max() else None


def _said(number: float, right: float) -> str:
    if not right:
        return _too(number)
    sign = ", with the wrong sign" if abs(number + 1.0) < 1e-9 else ""
    return f"{_number(round(number, 12))} times the numerical gradient{sign}"


def _list(numbers: list[float], right: float) -> str:
    return ", ".join(_number(round(number, 12)) if right else f"{number:+.4g}" for number in numbers)


def _slice(place: list[int], axes: tuple[int, ...], dimensions: int) -> str:
    if dimensions == 2:
        return f"{'row' if axes == (0,) else 'column'} {place[0]}"
    return f"index {place[0]} along axis {axes[0]}" if len(place) == 1 else f"index {tuple(place)} along {_axes(axes)}"


def _place(place: tuple[int, tuple[int, ...]] | str, shape: tuple[int, ...], count: int) -> str:
    """Say where entries are."""
    if isinstance(place, str):
        return "the border of the last two axes" if place else counted(count, "entry")
    axis, indices = place
    if len(shape) == 1:
        return ("entry " if len(indices) == 1 else "entries ") + listed([str(index) for index in indices])
    if len(shape) == 2:
        kind = "row" if axis == 0 else "column"
        return f"{kind if len(indices) == 1 else kind + 's'} {listed([str(index) for index in indices])}"
    return f"{'index' if len(indices) == 1 else 'indices'} {listed([str(index) for index in indices])} along axis {axis}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
