"""The two lines of a mistake that has a name: the line as it should be, and as the numbers say it is."""

from __future__ import annotations

from fastgrad.diagnosis.ground import Ground
from fastgrad.diagnosis.hand import Hand
from fastgrad.diagnosis.mistakes import Cause
from fastgrad.diagnosis.names import gradient_name, weights_name
from fastgrad.model.losses import LOGIT_OUTPUT

Fields = dict[str, object]


def right_line(ground: Ground, cause: Cause) -> str:
    """Return the right formula of what a cause is in, in the user's layout."""
    layer, grad, network = cause.layer + 1, gradient_name(ground, cause), ground.problem.network
    if cause.kind == "Z":
        if layer < ground.depth or LOGIT_OUTPUT.get(network.loss) != network.activations[-1]:
            return f"{grad} = dA{layer} * f′(Z{layer})"
        scale = "" if network.scale == 1.0 else f"{network.scale:.6g} * "
        return f"{grad} = {scale}({Hand(ground).output} - Y){' / m' if network.reduction == 'mean' else ''}"
    hand = Hand(ground)
    if cause.kind == "b":
        return f"{grad} = {hand.bias(cause.layer, f'dZ{layer}')}"
    return f"{grad} = {hand.weights(cause.layer, f'dZ{layer}', entering(cause.layer))}"


def entering(layer: int) -> str:
    """Return the name of what enters a layer."""
    return f"A{layer}" if layer > 0 else "X"


def way_down(ground: Ground, layer: int, flow: str = "", W: str = "", turned: bool = False) -> str:
    """Return the line that makes dA of a layer, perhaps of another flow or with other weights; empty at the output."""
    if layer + 1 >= ground.depth:
        return ""
    flow, W = flow or f"dZ{layer + 2}", W or weights_name(ground, layer + 1)
    return f"dA{layer + 1} = {Hand(ground).down(layer, flow, W, turned)}"


def line_fields(ground: Ground, cause: Cause) -> Fields:
    """Return what the lines of the table are made of beside names."""
    right = right_line(ground, cause)
    return {
        "right": right,
        "right_side": right.split(" = ", 1)[-1],
        "way": way_down(ground, cause.layer),
        "step": f"dZ{cause.layer + 1} = dA{cause.layer + 1} * f′(Z{cause.layer + 1})",
        "wrong_way": _wrong_way(ground, cause),
        "relabelled": _relabelled(ground, cause, right),
        "remade": _remade(ground, cause),
        "axis": f"axis={Hand(ground).axis}, your examples lie in {'rows' if Hand(ground).rows else 'columns'}",
    }


def _wrong_way(ground: Ground, cause: Cause) -> str:
    """Return the line of dA with the mistake of its code in it."""
    layer, W = cause.layer, weights_name(ground, min(cause.layer + 1, ground.depth - 1))
    if cause.code == "way.transposed":
        return way_down(ground, layer, turned=True)
    if cause.code == "way.other_weights" and isinstance(cause.other, int):
        return way_down(ground, layer, W=weights_name(ground, cause.other))
    if cause.code == "way.other_delta" and isinstance(cause.other, int):
        return way_down(ground, layer, flow=f"dZ{cause.other + 1}")
    if cause.code == "way.arrived":
        return way_down(ground, layer, flow=f"dA{layer + 2}")
    if cause.code == "way.updated_weights":
        return way_down(ground, layer, W=f"({W} - {cause.other} * d{W})")
    return ""


def _relabelled(ground: Ground, cause: Cause, right: str) -> str:
    """Return the output's line with the labels of its code; empty where the labels do not stand in it."""
    examples = Hand(ground).axis
    classes, other = 1 - examples, cause.other
    reverse = {0: "Y[::-1]", 1: "Y[:, ::-1]"}
    labels = {
        "labels.mean": f"np.mean(Y, axis={examples}, keepdims=True)",
        "labels.class_shifted": f"np.roll(Y, {other}, axis={classes})",
        "labels.example_shifted": f"np.roll(Y, {other}, axis={examples})",
        "labels.class_reversed": reverse[classes],
        "labels.example_reversed": reverse[examples],
        "labels.swapped": "(1 - Y)",
        "labels.layout": "Y.reshape(Y.T.shape).T",
    }.get(cause.code)
    return right.replace("Y", labels) if labels and "- Y" in right else ""


def _remade(ground: Ground, cause: Cause) -> str:
    """Return dW or db made of something else, as its code says."""
    hand, layer, code, other = Hand(ground), cause.layer, cause.code, cause.other
    flow, inputs = f"dZ{layer + 1}", entering(layer)
    if code == "product.arrived":
        flow = f"dA{layer + 1}"
    elif code == "product.other_delta" and isinstance(other, int):
        flow = f"dZ{other + 1}"
    elif code == "product.z":
        inputs = f"Z{layer}"
    elif code == "product.unscaled":
        inputs = f"({inputs} * keep_prob)"
    elif code == "product.other_inputs" and isinstance(other, int):
        inputs = entering(other)
    elif code == "order.other_tensor" and isinstance(other, int):
        flow, inputs = f"dZ{other + 1}", entering(other)
    elif code == "bias.wrong_axis":
        return hand.bias(layer, flow, axis=1 - hand.axis)
    elif code == "bias.from_weights":
        return hand.bias(layer, gradient_name(ground, Cause("", layer, "W")), axis=1 if not hand.is_turned(layer) else 0)
    return hand.bias(layer, flow) if cause.kind == "b" else hand.weights(layer, flow, inputs)
