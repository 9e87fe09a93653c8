"""Whether a network of one's own layers is right: the public `check_chain`.

Each layer is judged alone, from the loss inwards, under the upstream gradient that is true there; then the whole is run as its
owner runs it, and what a layer gives in the chain is held against what it gives alone.
"""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from fastgrad.errors import FailedError, InputError
from fastgrad.functions.arguments import Array
from fastgrad.layers.arguments import Outputs
from fastgrad.layers.calling import Pair, guarded, signature_of
from fastgrad.layers.check import Options, examine_under, options_of
from fastgrad.layers.objects import Object, is_layer, owner_of
from fastgrad.layers.report import ChainLayer, ChainReport, LayerReport
from fastgrad.report.formatting import listed

LOSS = "the loss"

SAME = 1e-9
"""Share of the largest entry by which a layer's gradient may differ in the chain and alone, both from the same numbers."""

SAME_SINGLE = 1e-4
"""The same in single precision."""


def check_chain(
    layers: Sequence[Any],
    loss: Any,
    X: Any,
    Y: Any,
    *,
    seed: int = 0,
    tolerance: float = 0.0,
) -> ChainReport:
    """Check a network of your own layers: each backward pass alone, and what goes wrong between them.

    Parameters
    ----------
    layers : sequence
        In the order of the forward pass: objects with methods ``forward(x)`` and ``backward(dout)``, pairs of functions
        ``(forward, backward)``, or triples ``(forward, backward, parameters)`` with a dict of the other arguments of forward.
    loss : object, tuple or callable
        An object or a pair likewise, with ``forward(scores, Y)``; or a function of both that returns ``(loss, dscores)``.
    X, Y : array_like
        Inputs of the first layer, and labels, which are held fixed.
    seed : int
        Seed of what is drawn.
    tolerance : float
        Share of an entry by which it may be off and is right all the same.

    Returns
    -------
    ChainReport
        ``report.passed``, ``print(report)``, and a `LayerReport` for each layer in ``report.layers``.

    Raises
    ------
    InputError
        If something is no layer, or forward or backward fails.

    Examples
    --------
    >>> import fastgrad
    >>> import numpy as np
    >>> tanh = (np.tanh, lambda dout, x: dout * (1 - np.tanh(x) ** 2))
    >>> loss = lambda scores, Y: (0.5 * ((scores - Y) ** 2).sum(), scores - Y)
    >>> fastgrad.check_chain([tanh, tanh], loss, np.ones((2, 3)), np.zeros((2, 3))).passed
    True
    """
    began = time.perf_counter()
    options = options_of(seed, (), None, tolerance, "auto")
    if not isinstance(layers, list | tuple) or not layers:
        raise InputError("layers is no list of layers; give them in the order of the forward pass: [first, second]")
    links = [_link(layer, f"layer {place}") for place, layer in enumerate(layers, start=1)]
    run = _Run([*links, _loss_link(loss)], X, Y)
    judged = run.judged_alone(options)
    between = tuple(run.between(judged))
    found = {layer.verdict for layer in judged}
    verdict: Any = next((one for one in ("wrong", "not judged", "inconclusive") if one in found), "right")
    return ChainReport(
        verdict="wrong" if between else verdict,
        layers=tuple(judged),
        between=between,
        loss=float(run.loss),
        remarks=tuple(run.remarks()),
        seed=options.seed,
        evaluations=sum(layer.report.evaluations for layer in judged if layer.report is not None),
        seconds=time.perf_counter() - began,
    )


class Link(NamedTuple):
    """A layer of a chain: its name, the object or the two functions, and the other arguments of forward."""

    name: str
    layer: Any
    parameters: dict[str, Any]


def _link(layer: Any, place: str) -> Link:
    if is_layer(layer):
        return Link(f"{place} ({type(layer).__name__})", layer, {})
    owner = owner_of(*layer) if isinstance(layer, list | tuple) and len(layer) == 2 else None
    if owner is not None:
        return _link(owner, place)
    if isinstance(layer, list | tuple) and len(layer) in (2, 3) and all(callable(part) for part in layer[:2]):
        parameters = dict(layer[2]) if len(layer) == 3 else {}
        name = getattr(layer[0], "__name__", "").replace("<lambda>", "")
        return Link(f"{place} ({name})" if name else place, (layer[0], layer[1]), parameters)
    raise InputError(
        f"{place} is of type {type(layer).__name__}; expected an object with methods forward and backward, "
        "(forward, backward), or (forward, backward, parameters)"
    )


def _loss_link(loss: Any) -> Link:
    if callable(loss) and not is_layer(loss):
        return Link(LOSS, _Both(loss), {})
    return _link(loss, LOSS)._replace(name=LOSS)


class _Both:
    """A loss that returns its value and its gradient, as a layer."""

    def __init__(self, function: Any) -> None:
        self._function = function
        self._gradient: Any = None

    def forward(self, scores: Any, Y: Any) -> Any:
        """Return the loss."""
        found = self._function(scores, Y)
        if not isinstance(found, list | tuple) or len(found) != 2:
            raise InputError("the loss is a function and has to return (loss, dscores); or give it as (forward, backward)")
        self._gradient = found[1]
        return found[0]

    def backward(self) -> Any:
        """Return the gradient of the latest scores."""
        return self._gradient


def _inputs_of(link: Link, h: Any, Y: Any) -> Any:
    """Return what forward of a link is given."""
    if link.parameters:
        forward = link.layer[0]
        places = [name for name in signature_of(forward).places if name not in link.parameters]
        return {(places or ["x"])[0]: h, **link.parameters}
    return (h, Y) if link.name == LOSS else h


def _subject_of(link: Link, h: Any, Y: Any) -> Pair | Object:
    """Return a layer alone, at its place."""
    if isinstance(link.layer, tuple):
        return _pair_of(link, link.layer, h, Y)
    return Object(link.layer, _inputs_of(link, h, Y), None, _held(link, link.layer.forward))


def _held(link: Link, forward: Any) -> tuple[str, ...]:
    """Return the name of the labels, which are held fixed, also where they are real numbers."""
    return ((*signature_of(forward).places[:2], "x[1]")[1],) if link.name == LOSS else ()


@dataclass
class Step:
    """What a layer was given and gave in the chain: its input and the upstream gradient as they were, and its gradients."""

    link: Link
    subject: Pair | Object
    given: Any
    upstream: Any
    gradients: dict[str, Any]


@contextlib.contextmanager
def _of(link: Link) -> Iterator[None]:
    """Begin every complaint about a layer with its name."""
    try:
        yield
    except InputError as error:
        raise type(error)(f"{link.name}: {error}") from error


class _Run:
    """A chain, run once as its owner runs it, on a copy in which what is shared stays shared."""

    def __init__(self, links: list[Link], X: Any, Y: Any) -> None:
        self._links, self._Y = links, Y
        self._changed: dict[int, str] = {}
        self._failed: tuple[int, str] | None = None
        self.steps: list[Step] = []
        self.loss = 0.0
        self._forward_and_backward(np.array(X))

    def _forward_and_backward(self, X: Any) -> None:
        layers = copy.deepcopy([link.layer for link in self._links])
        actual, pairs, outputs = [X], [], []
        for link, layer in zip(self._links, layers, strict=True):
            h = actual[-1]
            with _of(link):
                self.steps.append(Step(link, _subject_of(link, h, self._Y), h.copy(), None, {}))
            pair, subject = _pair_of(link, layer, h, self._Y), self.steps[-1].subject
            if isinstance(subject, Object):
                subject.clear(layer)
            with _of(link):
                found = guarded("forward", lambda pair=pair, h=h: pair.run(_with(pair, h)))  # type: ignore[misc]
            pairs.append(pair)
            outputs.append(found)
            self._look(actual, f"forward of {link.name}")
            actual.append(_only(found, link))
        self.loss = float(np.asarray(outputs[-1].arrays[0]).sum())
        dout: Any = np.ones_like(np.asarray(outputs[-1].arrays[0], dtype=np.float64))
        for place in reversed(range(len(layers))):
            step, pair = self.steps[place], pairs[place]
            step.upstream = np.array(dout)
            with _of(step.link):
                try:
                    found = pair.gradients(_with(pair, actual[place]), outputs[place], [dout])
                except FailedError as error:
                    self._failed = (place, str(error))
                    return
            step.gradients = {name: None if value is None else np.array(value) for name, value in found.items()}
            self._look(actual, f"backward of {step.link.name}")
            dout = found[pair.inputs.names[0]]
            if dout is None and place:
                raise InputError(
                    f"backward of {step.link.name} gives no gradient of its input, which the layers before it need"
                )
        for step, layer in zip(self.steps, layers, strict=True):
            if isinstance(step.subject, Object):
                kept = step.subject.kept(layer)
                step.gradients |= {name: None if value is None else np.array(value) for name, value in kept.items()}

    def _look(self, actual: list[Any], doing: str) -> None:
        """Take note of arrays between layers that were changed in place."""
        for place, step in enumerate(self.steps[: len(actual)]):
            if place not in self._changed and not np.array_equal(actual[place], step.given, equal_nan=True):
                self._changed[place] = doing

    # Each layer alone.

    def judged_alone(self, options: Options) -> list[ChainLayer]:
        """Judge every layer under the upstream gradient that is true there, from the loss inwards."""
        judged: list[ChainLayer] = []
        upstream: Any = None
        for place in reversed(range(len(self.steps))):
            step = self.steps[place]
            name = step.link.name
            if upstream is None and judged:
                judged.append(ChainLayer(name, "not judged", None, "what its true upstream gradient is cannot be told"))
                continue
            try:
                report, upstream = self._alone(step, upstream, options)
            except InputError as error:
                judged.append(ChainLayer(name, "not judged", None, str(error)))
                upstream = None
                continue
            judged.append(ChainLayer(name, report.verdict, report, ""))
        return judged[::-1]

    def _alone(self, step: Step, upstream: Any, options: Options) -> tuple[LayerReport, Any]:
        """Return the report of a layer, and the true gradient of its input."""
        subject = step.subject
        frozen = [subject.inputs.names[1]] if step.link.name == LOSS else []
        # Nobody needs the gradient of the first input.
        first = subject.inputs.names[0]
        was_run = step.upstream is not None
        frozen += [first] if step is self.steps[0] and was_run and step.gradients.get(first) is None else []
        report, gradients = examine_under(subject, upstream, replace(options, frozen=tuple(frozen)))
        return report, gradients.get(subject.inputs.names[0])

    # In the chain.

    def between(self, judged: list[ChainLayer]) -> Iterator[str]:
        """Yield what a layer does otherwise in the chain than alone, under the same upstream gradient."""
        if self._failed is not None:
            if judged[self._failed[0]].report is not None:  # alone it does not fail
                yield self._told_of_failure(*self._failed)
            return
        alone = [self._gradients_alone(step) for step in self.steps]
        told: set[int] = set()
        for place, step in enumerate(self.steps):
            uses = self._uses(step)
            for name, value in alone[place].items():
                is_parameter = name not in _argument_names(step)
                found = step.gradients.get(name)
                if value is None or found is None or id(step.link.layer) in told or (is_parameter and place != uses[0]):
                    continue
                parts = [np.asarray(alone[other][name], dtype=np.float64) for other in uses] if is_parameter else [value]
                if not _same(found, sum(parts[1:], np.asarray(parts[0]))):
                    told.add(id(step.link.layer))
                    yield self._told(place, name, found, uses, parts if is_parameter else [])

    def _uses(self, step: Step) -> list[int]:
        """Return the places at which a layer is used."""
        return [place for place, other in enumerate(self.steps) if other.link.layer is step.link.layer]

    def _told_of_failure(self, place: int, error: str) -> str:
        """Say which backward fails in the chain; a layer that is used twice most likely has the numbers of its other use."""
        link, uses = self.steps[place].link, self._uses(self.steps[place])
        if len(uses) == 1:
            return f"In the chain, {link.name} fails: {error}."
        places = listed([f"{other + 1}" for other in uses])
        return (
            f"{link.name} is used at the places {places}, and in the chain its {error}. What forward keeps for backward is "
            "overwritten by its next call: keep it for each call, on a stack or in a cache that is returned."
        )

    def _gradients_alone(self, step: Step) -> dict[str, Any]:
        subject = step.subject
        values = [np.copy(value) if isinstance(value, np.ndarray) else value for value in subject.inputs.values]
        outputs = guarded(f"forward of {step.link.name}", lambda: subject.run(values))
        upstream = [np.array(step.upstream, dtype=outputs.arrays[0].dtype).reshape(outputs.arrays[0].shape)]
        return subject.gradients(values, outputs, upstream)

    def _told(self, place: int, name: str, found: Any, uses: list[int], parts: list[Array]) -> str:
        """Say what is wrong between layers, and why as far as it can be told."""
        link = self.steps[place].link
        places = listed([f"{other + 1}" for other in uses])
        single = (
            [other for other, part in zip(uses, parts, strict=True) if _same(found, part)] if len(uses) > 1 and parts else []
        )
        if single:
            return (
                f"{link.name} is used at the places {places}, and the gradient of its {name} is that of place {single[0] + 1} "
                "alone: it has to add what each use gives, += in the place of =, from 0 on."
            )
        if len(uses) > 1:
            return (
                f"{link.name} is used at the places {places}, and its gradient of {name} is not the one that it gives alone: "
                "what forward keeps for backward is overwritten by its next call. Keep it for each call, on a stack or in a "
                "cache that is returned."
            )
        start = f"The gradient of {name} of {link.name} is not the one that the layer gives alone"
        for other, array in ((place, "was given"), (place + 1, "returned")):
            if other in self._changed:
                doing = self._changed[other]
                return f"{start}: the array that it {array} is changed in place by {doing}. Let that work on a copy."
        return (
            f"{start} with the same numbers: it shares an array with another layer, or something changes between its forward "
            "and its backward."
        )

    def remarks(self) -> Iterator[str]:
        """Yield what was changed in place without changing a gradient."""
        for place, doing in self._changed.items():
            yield f"The input of {self.steps[place].link.name} is changed in place by {doing}."


def _pair_of(link: Link, layer: Any, h: Any, Y: Any) -> Pair:
    """Return the methods or functions of a layer as they are, without copies."""
    forward, backward = layer if isinstance(layer, tuple) else (layer.forward, layer.backward)
    return Pair(forward, backward, _inputs_of(link, h, Y), None, _held(link, forward), must_move=False)


def _with(pair: Pair, h: Any) -> list[Any]:
    """Return what forward is given, the array itself that the layer before returned among it."""
    return [h, *pair.inputs.values[1:]]


def _only(outputs: Outputs, link: Link) -> Any:
    if outputs.kind != "single":
        raise InputError(f"forward of {link.name} gives {outputs.shown()}; in a chain a layer gives one array to the next")
    return outputs.arrays[0]


def _argument_names(step: Step) -> tuple[str, ...]:
    """Return the names of what forward is given by the chain, and not kept by the layer."""
    return step.subject.given_names if isinstance(step.subject, Object) else step.subject.inputs.names


def _same(found: Any, expected: Any) -> bool:
    """Whether two gradients from the same numbers are the same."""
    found, expected = np.asarray(found), np.asarray(expected)
    if found.shape != expected.shape:
        return False
    share = SAME if found.dtype == np.float64 else SAME_SINGLE
    largest = float(np.abs(expected).max(initial=0.0))
    return bool(np.allclose(found, expected, rtol=0.0, atol=share * largest, equal_nan=True))
