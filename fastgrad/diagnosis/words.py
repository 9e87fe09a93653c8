"""From causes to findings: one sentence of what was done, one of how to repair it, the formula, in the user's names."""

from __future__ import annotations

from dataclasses import replace

from fastgrad.diagnosis.codes import CODES
from fastgrad.diagnosis.constants import of_examples
from fastgrad.diagnosis.edits import Edit
from fastgrad.diagnosis.ground import Ground
from fastgrad.diagnosis.mistakes import Cause
from fastgrad.diagnosis.names import gradient_name, listed, tensor_of, weights_name
from fastgrad.diagnosis.shown import line_fields
from fastgrad.diagnosis.written import lines_of
from fastgrad.model import activations
from fastgrad.model.activations import parse_activation
from fastgrad.model.network import Tensor

PENALTY_FACTORS = ("penalty.not_divided", "penalty.divided", "penalty.twice", "penalty.half")


def number(value: float) -> str:
    """Return a factor to four digits, more where it is close to 1; whole ones as they are."""
    if abs(value) < 1e6 and value == round(value):
        return f"{value:,.0f}"
    digits = 4
    while digits < 17 and abs(float(f"{value:.{digits}g}")) == 1.0:
        digits += 1
    return f"{value:.{digits}g}"


def readings(ground: Ground, cause: Cause) -> list[Cause]:
    """Return what a factor can mean here, each as a cause with a code of its own; the likeliest first."""
    if cause.code in PENALTY_FACTORS and cause.factor is not None:
        ratios = {"penalty.not_divided": float(ground.samples), "penalty.divided": 1.0 / ground.samples}
        ratios |= {"penalty.twice": 2.0, "penalty.half": 0.5}
        return [cause, *(replace(cause, code=code) for code, c in ratios.items() if c == cause.factor and code != cause.code)]
    if cause.code not in ("factor", "factor.whole") or cause.factor is None:
        return [cause]
    c, m, n = cause.factor, float(ground.samples), float(ground.problem.network.widths[-1])
    if c == 0.0:
        return [replace(cause, code="factor.zero")]
    if -1.0 < c < 0.0 and cause.kind == "Z" and cause.layer + 1 == ground.depth and abs(c) not in (1.0 / m, 1.0 / n, 0.5):
        return [replace(cause, code="factor.update")]
    named = [("factor.sign", -1.0), ("factor.examples", m), ("factor.examples_twice", 1.0 / m)]
    named += [("factor.outputs", n), ("factor.outputs_twice", 1.0 / n), ("factor.two", 2.0), ("factor.half", 0.5)]
    found = [replace(cause, code=code) for code, value in named if c == value and value != 1.0]
    batch = m / c if c and (cause.kind == "Z" or ground.depth == 1) else 0.0
    if (
        not found
        and c > 0.0
        and abs(batch - m) != 1.0
        and abs(batch - round(batch)) < 1e-9 * batch
        and 1 < round(batch) <= 65536
    ):
        found = [replace(cause, code="factor.batch", other=round(batch)), replace(cause, code="factor.constant")]
        if c == round(c) or 1.0 / c == round(1.0 / c):
            found.reverse()
    return found or [replace(cause, code="factor.constant")]


def fill(ground: Ground, causes: list[Cause], text: str, place: str = "") -> str:
    """Put the names and numbers of causes of one kind into a text of the table."""
    cause = causes[0]
    return text.format_map(_fields(ground, causes, cause, place))


def _fields(ground: Ground, causes: list[Cause], cause: Cause, place: str) -> dict[str, object]:
    """Return what the texts of the table may ask for."""
    tensor = tensor_of(ground, cause)
    names = sorted({(c.layer, c.kind, gradient_name(ground, c)) for c in causes})
    return {
        "grads": listed(name for *_, name in names),
        "grad": gradient_name(ground, cause),
        "wrong": gradient_name(ground, cause),
        "once": "the gradient" if cause.kind == "Z" else gradient_name(ground, cause),
        "parameter": _parameter_name(ground, cause, tensor),
        "named": listed(_parameter_name(ground, c, tensor_of(ground, c)) for c in sorted(causes, key=_place)),
        "other": _other(ground, cause, tensor),
        "m": ground.samples,
        "loss": ground.problem.network.loss,
        "place": place,
        **_verbs("", len(names) > 1),
        **_verbs("_Z", len({c.layer for c in causes}) > 1),
        **_factor_fields(ground, cause),
        **_penalty_fields(ground, cause, tensor),
        **_layer_fields(ground, causes, cause),
        **line_fields(ground, cause),
    }


def _place(cause: Cause) -> tuple[int, str]:
    """Return what puts causes into the order of their layers, W before b."""
    return cause.layer, cause.kind


_VERBS = {
    "are": "is",
    "were": "was",
    "have": "has",
    "hold": "holds",
    "lack": "lacks",
    "belong": "belongs",
    "themselves": "itself",
    "parameters": "parameter",
}


def _verbs(mark: str, many: bool) -> dict[str, object]:
    """Return verbs, and other words, for one or for several."""
    return {f"{several}{mark}": several if many else one for several, one in _VERBS.items()}


def _other(ground: Ground, cause: Cause, tensor: Tensor | None) -> object:
    """Return what else tells a cause apart, counted as the user counts."""
    of_layers = ("slope.other_layer", "order.other_tensor", "product.other_delta", "way.other_delta", "way.other_arrived")
    if tensor is not None and cause.code.startswith("part."):
        return _in_their_array(tensor, cause)
    return cause.other + 1 if cause.code in of_layers and isinstance(cause.other, int) else cause.other


def _factor_fields(ground: Ground, cause: Cause) -> dict[str, object]:
    """Return a factor in the forms in which texts have it."""
    factor = cause.factor if cause.factor is not None else 1.0
    return {
        "factor": number(factor),
        "inverse": number(1.0 / factor) if factor else "0",
        "large": "too large" if factor > 1.0 else "the right gradient",
        "made": _made(ground, factor),
        "rate": number(-factor),
        "value": f"{cause.factor:.4g}" if cause.factor is not None else "",
        "times": f", {number(factor)} times" if cause.factor is not None else "",
    }


def _layer_fields(ground: Ground, causes: list[Cause], cause: Cause) -> dict[str, object]:
    """Return the names of what a layer has, of all layers that have the mistake where a text speaks of several."""
    layer, layers = cause.layer + 1, sorted({c.layer + 1 for c in causes})
    f = parse_activation(ground.problem.network.activations[cause.layer])[0]
    above = ground.depth - 1
    return {
        "layer": layer,
        "above": layer + 1,
        "below": layer - 1,
        "dZ": listed(f"dZ{k}" for k in layers),
        "dA": listed(f"dA{k}" for k in layers),
        "Z": listed(f"Z{k}" for k in layers),
        "A": listed(f"A{k}" for k in layers),
        "slopes": listed(f"f′(Z{k})" for k in layers),
        "slopes_at_A": listed(f"f′(A{k})" for k in layers),
        "hint": " A mask from A >= 0 is all ones: take Z > 0." if f == "relu" else "",
        "f": f,
        "derivative": activations.BY_NAME[f].slope,
        "W_above": weights_name(ground, min(layer, above)),
        "Ws_above": listed(weights_name(ground, min(k, above)) for k in layers),
        "other_W": weights_name(ground, cause.other) if isinstance(cause.other, int) and cause.other < ground.depth else "",
    }


def _parameter_name(ground: Ground, cause: Cause, tensor: Tensor | None) -> str:
    """Return the name of a parameter; of weights that share an array with their bias, without its column."""
    if tensor is None:
        return "W"
    if tensor.column is None or cause.kind == "b" or not cause.code.startswith("penalty"):
        return tensor.name
    line = "row" if tensor.transposed else "column"
    return f"{tensor.name} without its bias {line}"


def _penalty_fields(ground: Ground, cause: Cause, tensor: Tensor | None) -> dict[str, object]:
    """Return the penalty's term in symbols: of half a sum of squares λW, of a sum of sizes λ sign W."""
    claim, name = ground.claim(cause.layer, "b" if cause.kind == "b" else "W"), _parameter_name(ground, cause, tensor)
    is_l1 = cause.other == "l1" or (claim is not None and not claim.l2 and claim.l1)
    c = 0.0 if claim is None else claim.l1 if is_l1 else claim.l2
    theirs = c * (cause.factor if cause.factor is not None else 1.0)
    array = "W" if tensor is None else tensor.name
    of, in_code = (f"sign({name})", f"np.sign({array})") if is_l1 else (name, array)
    return {
        "l2": number(claim.l2) if claim is not None else "0",
        "array": array,
        "of": of,
        "term": f"{number(c)}·{of}",
        "their_term": f"{number(theirs)}·{of}",
        "penalty": f"{number(c)} * {in_code}",
        "their_penalty": f"{number(theirs)} * {in_code}",
        "half_value": f"λΣ|{name}|" if is_l1 else f"½λ‖{name}‖²",
        "value_of_it": f"2λΣ|{name}|" if is_l1 else f"λ‖{name}‖²",
    }


def _made(ground: Ground, factor: float) -> str:
    """Say in which way a factor is made of the number of examples; empty where it is a constant."""
    network, m = ground.problem.network, ground.samples
    found = of_examples(factor, m, (*network.widths, network.depth))
    made = [f"{'' if abs(left) == 1.0 else f'{number(abs(left))} times '}{form}" for form, left in found if form]
    return f", which is {' or '.join(made[:2])} with m = {m} examples" if made else ""


def _in_their_array(tensor: Tensor, cause: Cause) -> str:
    """Return the index of an entry in the user's array, or a unit or an input with the row or column that it is there."""
    if cause.code == "part.entry":
        place = [int(k) for k in str(cause.other).split(",")]
        offset = place[0] * tensor.canonical_shape[1] + place[1] if len(place) > 1 else place[0]
        return ", ".join(map(str, tensor.user_index(offset)))
    line = int(str(cause.other))
    unit, source = (line, 0) if cause.code == "part.row" else (0, line)
    index = tensor.user_index(unit * tensor.canonical_shape[1] + source)
    is_row = (cause.code == "part.row") != tensor.transposed
    return f"{line} (row {index[0]})" if is_row else f"{line} (column {index[-1]})"


def sentences(ground: Ground, causes: list[Cause], place: str = "", alone: bool = False) -> tuple[str, str, str]:
    """Return what was done, how to repair it, and the right formula.

    `alone` says that nothing else is wrong: then the whole gradient may be that of another loss.
    """
    entry = CODES[causes[0].code]
    sentence, repair, formula = (fill(ground, causes, text, place) for text in (entry.sentence, entry.repair, entry.formula))
    if isinstance(causes[0].other, Edit):
        formula = lines_of(ground, causes[0])[0]
    loss = _other_loss(ground, causes) if alone else ""
    if loss:
        network = ground.problem.network
        yours = f"{network.loss}, {network.reduction.replace('_', ' ')} over the examples"
        sentence += f" This is exactly the gradient of {loss}; your loss is {yours}: change one of the two."
    return sentence, repair, formula


def wrong_line(ground: Ground, causes: list[Cause]) -> str:
    """Return the line as the numbers say it is; empty where that is not one line."""
    if isinstance(causes[0].other, Edit):
        return lines_of(ground, causes[0])[1]
    line = fill(ground, causes, CODES[causes[0].code].line)
    return "" if line.endswith(" = ") else line


def _other_loss(ground: Ground, causes: list[Cause]) -> str:
    """Return the loss of which a gradient is right that has the same mistake everywhere; empty where there is none."""
    cause, network = causes[0], ground.problem.network
    at_output = cause.kind == "Z" and cause.layer + 1 == ground.depth
    if cause.code == "loss.other":
        return f"the {cause.other}"
    f, code = parse_activation(network.activations[-1])[0], cause.code
    if at_output and code == "slope.missing" and f in ("sigmoid", "softmax") and network.loss == "squared_error":
        return "the cross-entropy, whose dZ is a - y"
    if at_output and code == "output.extra_slope" and f == "sigmoid":
        return "half the squared error"
    if code.startswith("factor"):
        if not at_output and len(causes) < len(ground.claims):
            return ""
        if code == "factor.examples_twice" and network.reduction == "sum":
            return "the loss averaged over the examples"
        penalized = any(claim.penalty.values.any() for claim in ground.claims.values())
        return CODES[code].loss + (", penalty apart" if at_output and penalized and CODES[code].loss else "")
    if code == "penalty.added":
        return CODES[code].loss
    if cause.other == "l1" and code in ("penalty.twice", "penalty.half"):
        return f"the loss with {'twice' if code == 'penalty.twice' else 'half'} this penalty"
    concerned = {(place, kind) for (place, kind), claim in ground.claims.items() if claim.penalty.values.any()}
    return CODES[code].loss if {(one.layer, one.kind) for one in causes} >= concerned else ""
