"""The detection benchmark: right and wrong gradients of random networks, and who tells the one from the other.

Everything is drawn from seeds. `networks` draws, `claims` makes the gradients that somebody might claim, `Judge`s judge.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from fastgrad.model.network import Problem
from fastgrad.report import Report
from fastgrad.walk import check_problem

import problems
from backward import Array, Run, gradient, loss_value, on_kinks, rounded, sizes
from mistakes import BENT, MISTAKES


def _range(text: str) -> range:
    """Read "240" as 0 to 239, "100:120" as 100 to 119."""
    first, colon, stop = text.partition(":")
    return range(int(first), int(stop)) if colon else range(int(first))


NETWORKS = _range(os.environ.get("FASTGRAD_DETECTION_NETWORKS", "240"))
"""Seeds of the networks."""
WRONG_OF_EACH = 10
"""Wrong gradients of each network; the right ones are `right`'s."""
NOTHING = 1e-13
"""A mistake that moves no entry by more than this share of the sum of what its terms are in size changes nothing here."""
WIDEST, DEEPEST, MOST_SAMPLES = (30, 5, 40) if problems.JIT else (4, 3, 3)


@dataclass(frozen=True)
class Claim:
    """A gradient that somebody might claim.

    Attributes
    ----------
    run : Run
        The network it is of.
    gradient : ndarray, shape (P,)
        The claim.
    correct : ndarray, shape (P,)
        The right gradient; the same array where the claim is right.
    name : str
        What was done: the mistake, or the kind of right gradient.
    layer, strength : int, float
        Where, from 0, and how strongly.
    """

    run: Run
    gradient: Array
    correct: Array
    name: str
    layer: int = 0
    strength: float = 1.0

    @property
    def right(self) -> bool:
        """Whether nothing is wrong with it."""
        return self.correct is self.gradient


@dataclass
class Drawn:
    """What was drawn so far, so that rare mistakes and layers come first, and how many draws changed nothing."""

    planted: Counter[tuple[str, int]] = field(default_factory=Counter)
    nothing: int = 0


def network(seed: int) -> Run:
    """Draw a network: any activations and loss; of four one with all widths equal, one with as many examples as units."""
    draw = np.random.default_rng([seed, 1])
    kind = seed % 4
    width, depth = int(draw.integers(2, 8)), int(draw.integers(2, DEEPEST + 1))
    samples = None if kind > 1 else width
    widths = (width,) * (depth + 1) if kind == 0 else tuple(_width(draw) for _ in range(int(draw.integers(1, DEEPEST + 1)) + 1))
    if kind == 1:
        widths = (*widths[:-1], width)
    case = problems.random_case(
        seed + 10_000, largest_scale=5.0 if seed % 3 else 30.0, widths=widths, samples=samples or _width(draw, MOST_SAMPLES)
    )
    masks: tuple[Array | None, ...] = ()
    if seed % 5 == 2:
        keep = draw.uniform(0.5, 0.9)
        masks = tuple((draw.random((len(case.X), n)) < keep) / keep for n in widths[1:-1])
    return Run(case, masks)


def _width(draw: np.random.Generator, most: int = WIDEST) -> int:
    return int(np.exp(draw.uniform(0.0, np.log(most + 1.0))))


def claims(run: Run, seed: int, drawn: Drawn) -> Iterator[Claim]:
    """Yield right and wrong gradients of a network."""
    yield from right(run, seed)
    yield from wrong(run, seed, drawn)


def right(run: Run, seed: int) -> Iterator[Claim]:
    """Yield gradients that are right: sums in any order, in single precision, with any derivative on a kink."""
    runs = [(f"right, {words}", run, 0.0) for words in ("float64", *("float64, sums in another order",) * 4)]
    single = rounded(run, np.float32)
    runs += [("right, float32", single, 0.0)] * 2
    if any(run.name(layer) in BENT for layer in range(run.depth)):
        kinked = on_kinks(run)
        runs += [(f"right, f' = {share:g} on the kinks", kinked, share) for share in (0.0, 0.5, 1.0)]
    for number, (name, one, at_kink) in enumerate(runs):
        order = np.random.default_rng([seed, 2, number]) if number else None
        with np.errstate(all="ignore"):
            found = gradient(one, at_kink=at_kink, order=order)
        if np.isfinite(found).all():
            yield Claim(one, found, found, name)


def wrong(run: Run, seed: int, drawn: Drawn) -> Iterator[Claim]:
    """Yield gradients with one mistake each, those first that were planted least often."""
    draw = np.random.default_rng([seed, 3])
    right, size = gradient(run), sizes(run)
    if not np.isfinite(right).all():
        return
    ways = [(mistake, layer) for mistake in MISTAKES for layer in range(run.depth)]
    order = draw.permutation(len(ways))
    ways = sorted((ways[k] for k in order), key=lambda way: drawn.planted[way[0].name, run.depth - way[1]])
    made = 0
    for mistake, layer in ways:
        key = (mistake.name, run.depth - layer)
        strength = float(draw.choice(mistake.strengths))
        slips = mistake.plant(run, layer, strength, draw)
        if slips is None:
            continue
        claimed = gradient(run, slips)
        drawn.planted[key] += 1
        if (np.abs(claimed - right) <= NOTHING * size).all():
            drawn.nothing += 1
            continue
        yield Claim(run, claimed, right, mistake.name, layer, strength)
        made += 1
        if made == WRONG_OF_EACH:
            return


# Who judges.

Judge = Callable[[Claim], str]
"""From a claim to "right", "wrong", "not judged", or "below": passed, and smaller than what the report says it would catch."""


def problem(run: Run, claimed: Array) -> Problem:
    """Turn a run into the library's Problem."""
    precision = "float32" if run.dtype is np.float32 else "float64"
    made = problems.problem(run.case, claimed, precision)
    return replace(made, masks=(None, *run.masks)) if run.masks else made


def fastgrad_by(method: str) -> Judge:
    """Judge by fastgrad with its defaults."""

    def judge(claim: Claim) -> str:
        report = check_problem(problem(claim.run, claim.gradient), method=method)
        return "below" if report.passed and not claim.right and _is_below(claim, report) else str(report.verdict)

    return judge


def _is_below(claim: Claim, report: Report) -> bool:
    """Tell whether no entry is off by more than the sensitivity that the report states for its tensor.

    It is relative to the size of the numerical gradient, which differs from the right one's by that share at most.
    """
    for (place, _), tensor in zip(_tensors(claim), report.tensors, strict=True):
        off, correct = np.abs(claim.gradient - claim.correct)[place], claim.correct[place]
        stated = tensor.sensitivity.entry if tensor.sensitivity else None
        if off.any() and (stated is None or not (off <= stated * (1.0 + stated) * np.sqrt(np.mean(correct * correct))).all()):
            return False
    return True


class Loss:
    """J of a network as the others call it, remembering what it was asked before: their claims share their points."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.known: dict[int, float] = {}

    def __call__(self, theta: Array) -> float:
        """J(θ)."""
        key = hash(theta.tobytes())
        if key not in self.known:
            self.known[key] = loss_value(self.run, theta)
        return self.known[key]

    @cached_property
    def central(self) -> Array:
        """(J(θ + h) − J(θ − h))/2h for each parameter, h = 1e-7."""
        theta = self.run.case.theta
        moves = 1e-7 * np.eye(theta.size)
        return np.array([(self(theta + move) - self(theta - move)) / 2e-7 for move in moves])


_losses: dict[int, Loss] = {}


def loss_of(run: Run) -> Loss:
    """Return the loss of a run; the last few are kept."""
    if id(run) not in _losses or _losses[id(run)].run is not run:
        while len(_losses) >= 3:
            _losses.pop(next(iter(_losses)))
        _losses[id(run)] = Loss(run)
    return _losses[id(run)]


def course(claim: Claim) -> str:
    """‖n − a‖ / (‖n‖ + ‖a‖) < 1e-7 with the central difference of step 1e-7."""
    numerical = loss_of(claim.run).central
    with np.errstate(all="ignore"):
        ratio = np.linalg.norm(numerical - claim.gradient) / (np.linalg.norm(numerical) + np.linalg.norm(claim.gradient))
    return "right" if ratio < 1e-7 else "wrong"


def scipy_check(claim: Claim) -> str:
    """scipy.optimize.check_grad, its norm below 1e-7."""
    from scipy.optimize import check_grad

    loss = loss_of(claim.run)
    with np.errstate(all="ignore"):
        norm = check_grad(loss, lambda theta: claim.gradient, claim.run.case.theta)
    return "right" if norm < 1e-7 else "wrong"


def _tensors(claim: Claim) -> list[tuple[slice, tuple[int, ...]]]:
    """Place in theta and shape of each tensor: the others check tensor by tensor."""
    return [(slice(t.start, t.stop), t.shape) for t in problems.problem(claim.run.case).tensors]


def torch_gradcheck(fast: bool) -> Judge:
    """torch.autograd.gradcheck of a Function whose backward is the claim, with its default step and tolerances."""
    import torch

    def judge(claim: Claim) -> str:
        loss, tensors = loss_of(claim.run), _tensors(claim)

        class Hand(torch.autograd.Function):  # type: ignore[misc]
            """J with the claimed gradient for its backward."""

            @staticmethod
            def forward(ctx: Any, *parameters: Any) -> Any:
                theta = np.concatenate([parameter.detach().numpy().ravel() for parameter in parameters])
                return torch.tensor(loss(theta), dtype=torch.float64)

            @staticmethod
            def backward(ctx: Any, upstream: Any) -> Any:
                return tuple(upstream * torch.from_numpy(claim.gradient[place].reshape(shape)) for place, shape in tensors)

        theta = claim.run.case.theta
        inputs = [torch.from_numpy(theta[place].reshape(shape).copy()).requires_grad_() for place, shape in tensors]
        torch.manual_seed(0)
        right = torch.autograd.gradcheck(Hand.apply, inputs, raise_exception=False, fast_mode=fast)
        return "right" if right else "wrong"

    return judge


def jax_check_grads(claim: Claim) -> str:
    """jax.test_util.check_grads of a custom_vjp whose backward is the claim, with its default step and tolerances."""
    import jax
    from jax.test_util import check_grads

    jax.config.update("jax_enable_x64", True)
    loss, tensors = loss_of(claim.run), _tensors(claim)

    def value(*parameters: Any) -> Any:
        return jax.numpy.asarray(loss(np.concatenate([np.asarray(array).ravel() for array in parameters])))

    def backward(_: Any, upstream: Any) -> Any:
        return tuple(upstream * claim.gradient[place].reshape(shape) for place, shape in tensors)

    hand = jax.custom_vjp(value)
    hand.defvjp(lambda *parameters: (value(*parameters), None), backward)
    theta = claim.run.case.theta
    try:
        check_grads(hand, [theta[place].reshape(shape) for place, shape in tensors], order=1, modes=["rev"])
    except AssertionError:
        return "wrong"
    return "right"


# The tables.


@dataclass
class Detections:
    """What everybody said of the claims, counted by kind of claim."""

    counts: Counter[tuple[str, bool, str, str]] = field(default_factory=Counter)
    nothing: int = 0

    def take(self, judge: str, claim: Claim, verdict: str) -> None:
        """Count a verdict."""
        self.counts[judge, claim.right, kind(claim), verdict] += 1

    def lines(self) -> Iterator[str]:
        """Yield the lines of the tables."""
        judges = list(dict.fromkeys(judge for judge, *_ in self.counts))
        if not judges:
            return
        yield f"{'':44}wrong gradients                       right gradients"
        yield f"{'':44}caught missed  below not judged       passed accused not judged"
        for judge in judges:
            wrong = [self._count(judge, False, verdict) for verdict in ("wrong", "right", "below", "not judged")]
            right = [self._count(judge, True, verdict) for verdict in ("right", "wrong", "not judged")]
            columns = zip((*wrong, *right), (6, 7, 7, 11, 13, 8, 11), strict=True)
            yield f"{judge:44}" + "".join(f"{count:>{width},}" for count, width in columns)
        yield "below: passed, and smaller than what the report says it would catch"
        yield f"mistakes that changed nothing, replaced by other draws: {self.nothing:,}"
        for truth, verdict, title in ((False, "right", "missed, of"), (True, "wrong", "accused, of")):
            kinds = sorted({kind for _, right, kind, _ in self.counts if right is truth})
            yield ""
            yield f"{title:44}" + "".join(f"{kind:>24}" for kind in kinds)
            for judge in judges:
                yield f"{judge:44}" + "".join(f"{self._share(judge, truth, kind, verdict):>24}" for kind in kinds)

    def _count(self, judge: str, truth: bool, verdict: str, of_kind: str | None = None) -> int:
        return sum(
            count
            for (name, right, kind, said), count in self.counts.items()
            if (name, right, said) == (judge, truth, verdict) and of_kind in {None, kind}
        )

    def _share(self, judge: str, truth: bool, of_kind: str, verdict: str) -> str:
        total = sum(n for (name, right, kind, _), n in self.counts.items() if (name, right, kind) == (judge, truth, of_kind))
        return f"{self._count(judge, truth, verdict, of_kind):,} / {total:,}"


def kind(claim: Claim) -> str:
    """Sort a claim: a wrong one by its strength, a right one by what makes it hard."""
    if not claim.right:
        if "1 + s" not in claim.name and "rate s" not in claim.name:
            return "a wrong formula"
        return "off by 10% to 0.1%" if claim.strength > 5e-4 else "off by 1e-4 to 1e-6"
    if "kinks" in claim.name:
        return "on kinks"
    if "float32" in claim.name:
        return "float32"
    return "float64, inputs near 1" if np.abs(claim.run.case.X).max() < 10.0 else "float64, large inputs"
