"""How the lines of a backward pass are usually written, each as several trees: a change of any of them may be the mistake."""

from __future__ import annotations

import numpy as np

from fastgrad.diagnosis.ground import Ground, Kind
from fastgrad.diagnosis.lines import ARRIVES, Scene, Tree, activation_name, count, name, number


def _slopes(ground: Ground, layer: int) -> list[Tree]:
    """Return the usual writings of f′ of a layer."""
    A, Z, one = name("A"), name("Z"), number(1.0)
    general: Tree = ("f", "slope", Z)
    if ground.problem.mask(layer + 1) is not None:
        return [("*", name("mask"), general)]
    activation = activation_name(ground, layer)
    if activation == "tanh":
        value: Tree = ("f", "f", Z)
        return [("-", one, ("**", A, number(2.0))), ("-", one, ("*", A, A)), ("-", one, ("**", value, number(2.0))), general]
    if activation == "sigmoid":
        value = ("f", "f", Z)
        e: Tree = ("f", "exp", ("*", number(-1.0), Z))
        whole: Tree = ("/", e, ("**", ("+", one, e), number(2.0)))
        return [("*", A, ("-", one, A)), ("*", value, ("-", one, value)), general, whole]
    if activation == "relu":
        return [("f", "step", Z), ("f", "step", A)]
    if activation == "leaky_relu":
        below = number(ground.problem.network.activation_parameters[layer])
        return [("mask", ">", Z, one, below), general]
    if activation == "softplus":
        return [("/", one, ("+", one, ("f", "exp", ("*", number(-1.0), Z)))), general]
    return [*_smooth_slopes(activation, A, Z), general]


def _smooth_slopes(activation: str, A: Tree, Z: Tree) -> list[Tree]:
    """Return how f′ of a smooth activation is written out; nothing where nobody does that."""
    one, two = number(1.0), number(2.0)
    if activation == "silu":
        s: Tree = ("f", "sigmoid", Z)
        rest: Tree = ("-", one, s)
        return [("+", s, ("*", ("*", Z, s), rest)), ("*", s, ("+", one, ("*", Z, rest))), ("+", A, ("*", s, ("-", one, A)))]
    if activation == "softsign":
        return [("/", one, ("**", ("+", one, ("f", "abs", Z)), two))]
    if activation == "arctan":
        return [("/", one, ("+", one, ("**", Z, two)))]
    if activation == "exp":
        return [A, ("f", "exp", Z)]
    if activation == "gelu_tanh":
        half, c, k = number(0.5), number(float(np.sqrt(2.0 / np.pi))), number(0.044715)
        inner: Tree = ("*", c, ("+", Z, ("*", k, ("**", Z, number(3.0)))))
        t: Tree = ("f", "tanh", inner)
        growth: Tree = ("*", c, ("+", one, ("*", ("*", number(3.0), k), ("**", Z, two))))
        bent: Tree = ("*", ("*", ("*", half, Z), ("-", one, ("**", t, two))), growth)
        return [("+", ("*", half, ("+", one, t)), bent)]
    return []


def _with_slope(ground: Ground, layer: int, arrived: Tree) -> list[Tree]:
    lines: list[Tree] = [("*", arrived, slope) for slope in _slopes(ground, layer)]
    if ground.problem.mask(layer + 1) is None:
        activation = activation_name(ground, layer)
        if activation == "identity":
            lines.insert(0, arrived)
        if activation == "sigmoid":
            lines.append(("*", ("*", arrived, name("A")), ("-", number(1.0), name("A"))))
        if activation == "softplus":
            lines.append(("/", arrived, ("+", number(1.0), ("f", "exp", ("*", number(-1.0), name("Z"))))))
        if activation == "elu":
            below: Tree = ("*", arrived, ("+", name("A"), number(ground.problem.network.activation_parameters[layer])))
            lines.append(("mask", ">", name("Z"), arrived, below))
        if activation == "relu":
            lines += [("mask", ">", name(kind), arrived, number(0.0)) for kind in ("Z", "A")]
        if activation == "leaky_relu":
            below = number(ground.problem.network.activation_parameters[layer])
            lines.append(("mask", ">", name("Z"), arrived, ("*", below, arrived)))
    return lines


def flow_lines(ground: Ground, layer: int, late: bool) -> list[Tree]:
    """Return the usual writings of the line that makes ∂J/∂z of a layer."""
    if layer + 1 < ground.depth:
        return _with_slope(ground, layer, ARRIVES)
    error: Tree = ("-", name("A"), name("Y"))
    network = ground.problem.network
    scaled = _scaled(ground, error, late)
    if network.from_logits:
        return [] if scaled is None else [*scaled, *_before_logits(ground, late)]
    if scaled is None:
        return [] if late else _with_slope(ground, layer, name("dA"))
    own = [] if late else _with_slope(ground, layer, name("dA"))
    return [line for part in scaled for line in _with_slope(ground, layer, part)] + own


def _before_logits(ground: Ground, late: bool) -> list[Tree]:
    """Return a cross-entropy's line as it is written from the loss's own slope, from log p, or by the classes' numbers."""
    A, Y, one, network = name("A"), name("Y"), number(1.0), ground.problem.network
    if network.scale != 1.0 or network.class_weights or ground.problem.example_weights is not None:
        return []
    lines: list[Tree] = []
    if network.loss_name == "binary_crossentropy" and network.activations[-1] == "sigmoid":
        others: Tree = ("-", one, A)
        slope: Tree = ("-", ("/", ("-", one, Y), others), ("/", Y, A))
        lines = [("*", slope, ("*", A, others)), ("*", name("dA"), ("*", A, others))]
    elif network.loss_name == "softmax_crossentropy":
        lines = [("-", ("f", "exp", name("log")), Y)]
        if np.isin(ground.numerical.base.problem.Y, (0.0, 1.0)).all():
            lines.append(("mask", ">", Y, ("-", A, one), A))
    if network.reduction != "mean" or late:
        return lines
    return [line if ("name", "dA", 0, False) in line else ("/", line, count("m")) for line in lines]


def _scaled(ground: Ground, error: Tree, late: bool) -> list[Tree] | None:
    """Return a − y times what the loss has before it; None where the loss is no such."""
    layer, network = ground.depth - 1, ground.problem.network
    scene = Scene(ground, layer, None, None)
    right = ground.right[layer].delta if network.from_logits else ground.right[layer].arrived
    off = scene.part(error, "units").values
    with np.errstate(all="ignore"):
        ratio = right / off
    place = np.unravel_index(int(np.argmax(np.abs(off))), off.shape)
    c = float(ratio[place])
    if not np.isfinite(c) or (np.abs(right - c * off) > 1e-9 * np.abs(right).max(initial=0.0)).any():
        return None
    if network.reduction != "mean":
        return None if late else [error if abs(c - 1.0) < 1e-9 else ("*", number(float(f"{c:.12g}")), error)]
    c, K = c * ground.samples, network.widths[-1]
    m: Tree = count("m")
    lines: list[Tree] = []
    for factor in (1.0, 2.0):
        top: Tree = error if factor == 1.0 else ("*", number(factor), error)
        if abs(c - factor) < 1e-9 * factor:
            lines += [top] if late else [("/", top, m), ("*", ("/", number(factor), m), error)]
        if K > 1 and abs(c * K - factor) < 1e-9 * factor:
            whole: Tree = ("*", m, count("K"))
            early: list[Tree] = [
                ("/", top, whole),
                ("/", ("/", top, m), count("K")),
                ("*", ("/", number(factor), whole), error),
            ]
            lines += [("/", top, count("K"))] if late else early
    top = ("*", number(float(f"{c:.12g}")), error)
    return lines or ([top] if late else [("/", top, m)])


def _penalties(ground: Ground, layer: int, kind: Kind) -> list[Tree]:
    """Return the usual writings of the declared penalty's gradient; none where there is none."""
    claim = ground.claim(layer, kind)
    if claim is None:
        return []
    theta, m = name("W" if kind == "W" else "b"), count("m")
    l2, l1 = number(claim.l2), number(claim.l1)
    if claim.l2 and claim.l1:
        both: Tree = ("+", ("*", l2, theta), ("*", l1, ("f", "sign", theta)))
        return [both]
    if claim.l1:
        return [("*", l1, ("f", "sign", theta))]
    if claim.l2:
        shared: Tree = ("*", l2, m)  # λ where the loss has λ/m
        return [("*", l2, theta), ("*", ("/", shared, m), theta)]
    return []


def tensor_lines(ground: Ground, layer: int, kind: Kind, late: bool) -> list[Tree]:
    """Return the usual writings of the line of dW or db."""
    data: Tree = ("outer", "*", name("dZ"), name("A", -1)) if kind == "W" else ("sum", "sum", name("dZ"))
    m = count("m")
    shares: list[Tree] = [("/", data, m), ("*", ("/", number(1.0), m), data)] if late else [data]
    penalties = _penalties(ground, layer, kind)
    if not penalties:
        return shares
    lines: list[Tree] = [("+", share, penalty) for share in shares for penalty in penalties]
    claim = ground.claim(layer, kind)
    if late and claim is not None and claim.l2 and not claim.l1:  # one division for both
        whole: Tree = ("*", ("*", number(claim.l2), m), name("W" if kind == "W" else "b"))
        lines.append(("/", ("+", data, whole), m))
    return lines
