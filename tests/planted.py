"""Random networks for diagnosis, each drawn from its seed alone, and the tally of what was named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from fastgrad.diagnosis.names import gradient_name
from fastgrad.diagnosis.plants import Nursery, Plant, apart
from fastgrad.model.activations import ACTIVATION_CODES
from fastgrad.model.losses import BY_NAME, HINGES, LOGIT_OUTPUT, LOSSES
from fastgrad.reading import Description, interpret_parts

WIDEST, MOST_EXAMPLES, DEEPEST = 7, 9, 5


def random_nursery(seed: int, deepest: int = DEEPEST) -> Nursery:
    """Draw a network of any depth, activations and loss, with its right gradient; seeds in a row go through all of them."""
    draw = np.random.default_rng(seed)
    depth = 1 + seed % deepest
    widths = draw.integers(2, WIDEST + 1, depth + 1)
    if draw.random() < 0.4:
        widths[1:-1] = widths[1:2]  # equal widths, which let more mistakes happen
    m = int(draw.integers(3, MOST_EXAMPLES + 1))
    loss = LOSSES[seed % len(LOSSES)]
    activations = [str(name) for name in draw.choice(list(ACTIVATION_CODES), depth)]
    activations[0] = list(ACTIVATION_CODES)[seed % len(ACTIVATION_CODES)]
    activations[-1] = LOGIT_OUTPUT.get(loss) or ("sigmoid" if BY_NAME[loss].positive_output else activations[-1])
    parameters, gradients = {}, {}
    for layer in range(depth):
        n_in, n_out = widths[layer : layer + 2]
        parameters[f"W{layer + 1}"] = draw.normal(0, 1.2 / np.sqrt(n_in), (n_out, n_in))
        parameters[f"b{layer + 1}"] = draw.normal(0, 0.5, n_out)
    gradients = {f"d{name}": np.zeros_like(array) for name, array in parameters.items()}
    X, Y = draw.normal(size=(m, widths[0])), draw.normal(size=(m, widths[-1]))
    if BY_NAME[loss].positive_output:
        Y = draw.random(Y.shape)
    if loss in LOGIT_OUTPUT or loss in HINGES:
        Y = np.eye(widths[-1])[draw.integers(0, widths[-1], m)]
    said = {"l2": str(draw.choice([0.0, 0.1])), "layout": "rows,out_in", "reduction": str(draw.choice(["mean", "sum"]))}
    description = Description.of({"activations": activations, "loss": loss, **said})
    return Nursery(interpret_parts(parameters, gradients, X, Y, description))


@dataclass
class Tally:
    """What became of the planted mistakes."""

    planted: int = 0
    named: int = 0
    misled: int = 0
    unseen: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def add(self, nursery: Nursery, plants: list[Plant], label: str) -> None:
        """Plant, diagnose, count."""
        outcome = nursery.judged(plants)
        if not outcome.detected:
            self.unseen += 1
            return
        self.planted += 1
        self.named += outcome.named
        self.misled += outcome.misled
        if not outcome.named:
            self.failed["+".join(sorted(plant.cause.code for plant in plants))] += 1
            names = [(p.cause.code, gradient_name(nursery.ground, p.cause), p.cause.factor, p.cause.other) for p in plants]
            found = [(f.code, f.tensor, f.confident, [a.code for a in f.alternatives]) for f in outcome.findings]
            self.examples.append(f"{label} {nursery.problem.network.widths} m={nursery.problem.samples}: {names} -> {found}")

    @property
    def share(self) -> float:
        """Share of those detected that were named."""
        return self.named / max(self.planted, 1)


def single(seeds: range) -> Tally:
    """Plant every applicable mistake into each of some networks."""
    tally = Tally()
    for seed in seeds:
        nursery = random_nursery(seed)
        for plant in nursery.plants():
            tally.add(nursery, [plant], f"seed {seed}")
    return tally


def double(seeds: range, pairs: int) -> Tally:
    """Plant pairs of mistakes that touch no entry in common."""
    tally = Tally()
    for seed in seeds:
        nursery, draw = random_nursery(seed), np.random.default_rng(seed)
        plants = [plant for plant in nursery.plants() if nursery.is_wrong(plant.gradient)]
        for _ in range(pairs):
            first, second = (plants[k] for k in draw.choice(len(plants), 2, replace=False))
            if _independent(first, second) and apart(first, second, nursery.right):
                tally.add(nursery, [first, second], f"seed {seed}")
    return tally


def unlisted(seeds: range) -> Tally:
    """Plant what no table lists, noise in a tensor or in the flow; named counts what is not named with confidence."""
    tally = Tally()
    for seed in seeds:
        nursery, draw = random_nursery(seed), np.random.default_rng(seed)
        for label, claimed in _noisy(nursery, draw):
            findings = nursery.findings(claimed)
            tally.planted += 1
            lie = any(finding.confident for finding in findings)
            tally.named += not lie
            tally.misled += lie
            if lie:
                found = [(f.code, f.tensor, f.entries) for f in findings if f.confident]
                tally.examples.append(f"seed {seed} {nursery.problem.network.widths} {label}: [({found}")
    return tally


def _noisy(nursery: Nursery, draw: np.random.Generator) -> Iterator[tuple[str, npt.NDArray[np.float64]]]:
    """Yield gradients with noise in one tensor, and from one layer on down."""
    for claim in nursery.ground.claims.values():
        claimed, place = nursery.right.copy(), slice(claim.tensor.start, claim.tensor.stop)
        claimed[place] *= 1.0 + 0.1 * draw.normal(size=claim.tensor.size)
        if not np.allclose(claimed, nursery.right, rtol=1e-6, atol=0.0):
            yield claim.tensor.name, claimed
    for layer, flow in enumerate(nursery.ground.right):
        if min(np.count_nonzero(below.delta) for below in nursery.ground.right[: layer + 1]) < 3:
            continue  # noise on one number is a factor
        delta = flow.delta * (1.0 + 0.1 * draw.normal(size=flow.delta.shape))
        claimed = nursery._gradient(nursery.ground, {layer: replace(flow, delta=delta)})
        if not np.allclose(claimed, nursery.right, rtol=1e-6, atol=0.0):
            yield f"dZ{layer + 1}", claimed


def _independent(first: Plant, second: Plant) -> bool:
    """Whether two mistakes are two: the same factor in two places may be one, further up."""
    return first.cause.code != second.cause.code or first.cause.factor != second.cause.factor
