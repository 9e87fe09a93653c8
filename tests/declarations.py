"""Gradients that are right for another network than the declared one, by the usual NumPy formulas, and what is said of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import pairwise, product

import numpy as np

from fastgrad.model.activations import ACTIVATION_CODES
from fastgrad.model.losses import LOSSES
from fastgrad.model.network import Network
from fastgrad.walk import check_problem

import problems
import reference

HIDDEN = tuple(ACTIVATION_CODES)
WIDTHS, EXAMPLES = (5, 7, 6, 4), 11
OUTPUTS = ("identity", "sigmoid", "tanh", "softmax", "exp", "softplus")


def case(hidden="tanh", output="softmax", loss="softmax_crossentropy", seed=0, **items):
    """Draw a network, its pre-activations of both signs and of a size of two, its labels one-hot, which go with any loss."""
    draw = np.random.default_rng(seed)
    theta = []
    for n_in, n_out in pairwise(WIDTHS):
        theta += [draw.normal(0.0, 1.3 / np.sqrt(n_in), n_out * n_in), draw.normal(0.0, 0.7, n_out)]
    Y = np.eye(WIDTHS[-1])[draw.integers(0, WIDTHS[-1], EXAMPLES)]
    return reference.Case(
        widths=WIDTHS,
        activations=(hidden, hidden, output),
        loss=loss,
        theta=np.concatenate(theta),
        X=draw.normal(0.0, 1.5, (EXAMPLES, WIDTHS[0])),
        Y=Y,
        **items,
    )


def pairs():
    """Return every output and loss that go together, for labels of 0 and 1."""
    found = []
    for output, loss in product(OUTPUTS, LOSSES):
        if loss in ("poisson", "kl_divergence") and output not in ("sigmoid", "exp", "softplus", "softmax"):
            continue
        if (output, loss) == ("identity", "softmax_crossentropy"):  # that is the softmax's
            continue
        try:
            Network((2, 3), (output,), loss, "mean", (True,))
        except ValueError:
            continue
        found.append((output, loss))
    return found


def report_of(declared, meant, claimed=None, value=None):
    """Check the gradient of one network as that of another; the parameters and data are those of the first."""
    claimed = problems.plain_gradient(meant, np.float64) if claimed is None else claimed
    problem = replace(problems.problem(declared), claimed=claimed, claimed_loss=value)
    return check_problem(problem)


@dataclass
class Tally:
    """What became of declarations that are not meant."""

    counts: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)

    def add(self, label, report, named, code="declaration."):
        """Count a report: `named` are the words of which a declaration finding, or its alternative, must have one."""
        outcome = outcome_of(report, named, code)
        self.counts[outcome] += 1
        if outcome == "blamed":
            self.failed.append(f"{label}: {[(f.code, f.sentence) for f in report.findings]}")

    @property
    def line(self) -> str:
        """The counts in words."""
        words = {
            "named": "named",
            "mistake": "one mistake of the code that is the same named",
            "open": "nothing asserted",
            "blamed": "the code blamed",
            "same": "the same gradient",
        }
        return ", ".join(f"{self.counts[key]:,} {text}" for key, text in words.items())


SAME = ("factor", "penalty")
"""Mistakes whose sentence says of which loss the gradient is the right one."""


def outcome_of(report, named, code="declaration."):
    """Sort a report: the meant network named, a mistake that is exactly it, nothing asserted, the code blamed, or right."""
    if report.verdict != "wrong":
        return "same"
    first = report.findings[0]
    if first.code.startswith(code):
        said = [first.sentence, *(other.sentence for other in first.alternatives)]
        assert len(report.findings) == 1
        return "named" if any(word in sentence for word in named for sentence in said) else "blamed"
    if all(f.code.partition(".")[0] in SAME and "This is exactly the gradient of" in f.sentence for f in report.findings):
        return "mistake"
    return "blamed" if any(f.confident for f in report.findings) else "open"


def hidden_activations(declared=HIDDEN, meant=HIDDEN):
    """Try every declared with every meant activation of the hidden layers."""
    tally = Tally()
    for one, other in product(declared, meant):
        if one != other:
            tally.add(f"{one} for {other}", report_of(case(one), case(other)), (f"{other} in the hidden layers",))
    return tally


SQUARES = ("mse", "squared_error", "half_mse", "sum_squared_error")
SIZES = ("absolute_error", "sum_absolute_error")
LOGS = ("softmax_crossentropy", "kl_divergence")
KIN = {loss: (loss,) for loss in LOSSES} | {loss: kin for kin in (SQUARES, SIZES, LOGS) for loss in kin}
"""Losses that another one may be told by: its multiples, and of one-hot labels the divergence for the cross-entropy."""


def outputs_and_losses(some=slice(None)):
    """Try declared with meant pairs of output and loss, all or some of the combinations."""
    tally = Tally()
    every = [(one, other) for one, other in product(pairs(), repeat=2) if one != other]
    for one, other in every[some]:
        named = tuple(f"{loss} after {other[0]}" if one[0] != other[0] else loss for loss in KIN[other[1]])
        named += (f"{other[1]} after {other[0]})",)
        tally.add(f"{one} for {other}", report_of(case("tanh", *one), case("tanh", *other)), named)
    return tally


# Penalties, reductions, labels.


def _coefficients(on_biases=False):
    weights = case()
    network = problems.problem(weights).network
    coefficients = np.zeros(network.size)
    for name, place in network.tensor_slices.items():
        coefficients[place] = 1.0 if name[0] == "W" or on_biases else 0.0
    return coefficients


def variants():
    """Yield a name, what is declared, its own gradient, the value of its loss, and the code: twelve conventions that differ."""
    plain, l2 = case(), case(l2=0.3)
    theta, m, weights = plain.theta, EXAMPLES, _coefficients()
    data, loss = problems.plain_gradient(plain, np.float64), reference.loss(plain)
    squares, sizes = float(weights @ theta**2), float(weights @ np.abs(theta))

    def with_l2(c, on=weights):
        return data + c * on * theta, loss + 0.5 * c * float(on @ theta**2)

    everywhere = _coefficients(on_biases=True)
    yield "the sum over the examples", plain, m * data, m * loss, "declaration.reduction"
    yield "the sum, with a penalty", l2, m * data + 0.3 * weights * theta, m * loss + 0.15 * squares, "declaration.reduction"
    yield "the mean, the sum declared", replace(plain, reduction="sum"), data, loss, "declaration.reduction"
    yield "twice the penalty", l2, *with_l2(0.6), "declaration.penalty"
    yield "half the penalty", l2, *with_l2(0.15), "declaration.penalty"
    yield "the penalty divided by m", l2, *with_l2(0.3 / m), "declaration.penalty"
    yield "a penalty not declared", plain, *with_l2(0.02), "declaration.penalty"
    yield "no penalty", l2, data, loss, "declaration.penalty"
    yield "the penalty on the biases too", l2, *with_l2(0.3, everywhere), "declaration.penalty"
    yield "L1 for L2", l2, data + 0.3 * weights * np.sign(theta), loss + 0.3 * sizes, "declaration.penalty"
    smoothed = replace(plain, Y=0.9 * plain.Y + 0.1 / WIDTHS[-1])
    yield (
        "label smoothing",
        plain,
        problems.plain_gradient(smoothed, np.float64),
        reference.loss(smoothed),
        "declaration.labels",
    )
    zero = case("tanh", "tanh", "mse")
    signs = replace(zero, Y=2.0 * zero.Y - 1.0)
    yield "labels of -1 and 1", zero, problems.plain_gradient(signs, np.float64), reference.loss(signs), "declaration.labels"
