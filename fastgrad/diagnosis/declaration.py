"""Before the code is blamed: whether a wrong gradient is the right one of another network than the declared one.

Called by walk in place of `diagnose`, which it calls where the declaration explains nothing, or as well as a mistake does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from fastgrad.diagnosis import diagnose
from fastgrad.diagnosis.codes import CODES
from fastgrad.diagnosis.meant import Fit, Form, Forms
from fastgrad.diagnosis.words import listed, number
from fastgrad.model.conventions import same_loss
from fastgrad.model.network import LOGIT_OUTPUT, Problem, parse_loss
from fastgrad.numerical import Numerical
from fastgrad.report.parts import Alternative, Finding

SAYS_BOTH = ("factor", "penalty")
"""Families of mistakes whose sentence names the other loss already, where the gradient is that of one."""
MOST_ALTERNATIVES = 8
TELLS = "your own value of the loss, as loss_value"


class Item(NamedTuple):
    """One thing that differs from the declaration: what it is, what was declared, and how to declare it (key, value)."""

    kind: str
    meant: str
    declared: str
    said: tuple[tuple[str, str], ...]


def explained(problem: Problem, numerical: Numerical) -> tuple[Finding, ...]:
    """Name what makes a wrong gradient: another network than the declared one, or the mistakes of `diagnose`.

    Where the gradient is that of another network and the user's own loss value is so as well, that is all there is to say.
    Where the loss value is the declared one, the code is to blame. Without a loss value nothing tells the two apart: both
    are said.
    """
    fits = Forms(problem).found()
    if not fits:
        return diagnose(problem, numerical)
    claimed, base = problem.claimed_loss, numerical.base
    ours = claimed is not None and same_loss(claimed, base.loss, problem, base)
    decided = [fit for fit in fits if fit.same_loss] if not ours else []
    if decided:
        return (_finding(problem, decided, "meant"),)
    mistakes = diagnose(problem, numerical)
    certain = all(mistake.confident for mistake in mistakes) and len(mistakes) <= len(items_of(problem, fits[0].form, fits[0]))
    if certain and (ours or all(mistake.code.partition(".")[0] in SAYS_BOTH for mistake in mistakes)):
        return mistakes
    alone = certain and len(mistakes) == 1
    finding = _finding(problem, fits, "declared" if ours else "unsaid" if claimed is None else "neither")
    if not alone:
        return (finding,)
    code = mistakes[0].code
    other = Alternative(code, mistakes[0].tensor, mistakes[0].layer, mistakes[0].sentence, TELLS)
    return (replace(finding, alternatives=(other, *finding.alternatives)),)


def other_values(problem: Problem) -> Iterator[tuple[str, float]]:
    """Yield the losses of other networks, in words and as a value."""
    forms = Forms(problem)
    if problem.samples == problem.network.widths[-1] == 1:
        yield "the network's output, not a loss", forms.output()
    for form, value in forms.values():
        items = items_of(problem, form)
        if items:
            yield f"the loss with {_meant(items)}", value


def _finding(problem: Problem, fits: list[Fit], loss: str) -> Finding:
    """Put the networks of which a claim is the gradient into one finding."""
    first, *others = fits
    items = items_of(problem, first.form, first)
    concerned = tuple(t.gradient_name for t in problem.tensors if t.gradient_name is not None and not t.single)
    return Finding(
        code=f"declaration.{items[0].kind}",
        tensor=listed(concerned),
        layer=problem.network.depth,
        sentence=f"{_exactly(items)} {_AGREEMENT[loss]}".strip(),
        repair=_repair(problem, items, loss),
        formula="",
        explains=first.entries,
        entries=first.entries,
        residual=first.residual,
        alternatives=tuple(_alternative(problem, concerned, other) for other in others[:MOST_ALTERNATIVES]),
        confident=not others,
        concerns=concerned,
        title=CODES[f"declaration.{items[0].kind}"].title,
    )


_AGREEMENT = {
    "meant": "Your loss value is that of the former, too.",
    "declared": "Your loss value is that of the latter.",
    "neither": "Your loss value is that of neither.",
    "unsaid": "",
}


def _alternative(problem: Problem, concerned: tuple[str, ...], fit: Fit) -> Alternative:
    items = items_of(problem, fit.form, fit)
    kind = f"declaration.{items[0].kind}"
    return Alternative(kind, listed(concerned), problem.network.depth, _exactly(items), CODES[kind].separate)


def _exactly(items: list[Item]) -> str:
    return f"This is exactly the gradient of {_meant(items)}; you declared {listed(item.declared for item in items)}."


def _meant(items: list[Item]) -> str:
    return listed(item.meant for item in items)


def _repair(problem: Problem, items: list[Item], loss: str) -> str:
    """Say what is to be changed: the declaration, the code, or one of the two."""
    if loss == "declared":
        return "Change the backward pass: forward pass and loss are as you declared them."
    said = [pair for item in items for pair in item.said]
    if any(not item.said for item in items):
        return "Change one of the two; there is no name by which this can be declared."
    words = f"Declare it: {options(said)}" if loss == "meant" else f"Change one of the two: declare {options(said)}"
    if loss == "meant":
        return f"{words}; or change loss and gradient both."
    return f"{words}, or change the code; {TELLS}, tells which." if loss == "unsaid" else f"{words}, or change the code."


def options(said: list[tuple[str, str]]) -> str:
    """Return how a description is said on the command line and in Python."""
    command = " ".join(f"--{key.replace('_', '-')} {value}" if value != "True" else f"--{key.replace('_', '-')}" for key, value in said)
    python = ", ".join(f"{key}={value if _is_plain(value) else repr(value)}" for key, value in said)
    return f"{command} (in Python {python})"


def _is_plain(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return value == "True"
    return True


# What differs, in words.


def items_of(problem: Problem, form: Form, fit: Fit | None = None) -> list[Item]:
    """Return what differs from the declaration, what weighs most first."""
    declared = Form.of(problem)
    found = [*_activation_items(problem, form), *_loss_items(declared, form), *_label_items(declared, form)]
    return [*found, *(() if fit is None else _penalty_items(problem, fit))]


def _activation_items(problem: Problem, form: Form) -> Iterator[Item]:
    declared = Form.of(problem)
    changed = [layer for layer, (new, old) in enumerate(zip(form.hidden, declared.hidden, strict=True)) if new != old]
    if not changed:
        return
    new, old = (listed(dict.fromkeys(one.hidden[layer].text for layer in changed)) for one in (form, declared))
    everywhere = len(changed) == len(form.hidden)
    where = "the hidden layers" if everywhere and len(changed) > 1 else "the hidden layer" if everywhere else ""
    where = where or f"layer{'s' if len(changed) > 1 else ''} {listed(str(layer + 1) for layer in changed)}"
    said: tuple[tuple[str, str], ...] = ()
    if all(shape.declarable for shape in form.hidden):
        names = [shape.name for shape in form.hidden]
        said = (("hidden", names[0]),) if len(set(names)) == 1 else (("activations", ",".join([*names, form.output])),)
    if not said:
        new = f"another activation, {new},"
    yield Item("activation", f"{new} in {where}", old if everywhere else f"{old} there", said)


def _loss_items(declared: Form, form: Form) -> Iterator[Item]:
    output, loss = form.output != declared.output, form.loss != declared.loss
    if output or loss:
        meant, was = _loss_in_words(form, output), _loss_in_words(declared, output)
        said = (("output", form.output),) if output else ()
        yield Item("loss" if loss else "activation", meant, was, (*said, *((("loss", form.loss),) if loss else ())))
    if form.reduction != declared.reduction:
        meant, was = _REDUCED[form.reduction], _REDUCED[declared.reduction].removeprefix("the loss ")
        yield Item("reduction", meant, was, (("reduction", form.reduction),))
    if form.masks:
        words = "the network without dropout" if form.masks == "none" else "dropout not divided by keep_prob"
        said = (("keep_prob", "1"),) if form.masks == "none" else (("inverted", "false"),)
        yield Item("dropout", words, "dropout divided by keep_prob" if form.masks == "binary" else "dropout", said)
    if declared.example_weights and not form.example_weights:
        yield Item("weights", "the loss without example weights", "example weights", ())
    if declared.class_weights and not form.class_weights and not loss:
        yield Item("weights", "the loss without class weights", "class weights", ())


_REDUCED = {
    "sum": "the loss summed over the examples",
    "mean": "the loss averaged over the examples",
    "weighted_mean": "the loss divided by the sum of the weights",
}


def _loss_in_words(form: Form, output: bool) -> str:
    after = f" after {form.output}" if output else ""
    if parse_loss(form.loss)[0] in LOGIT_OUTPUT:
        return f"the cross-entropy ({form.loss}{after})"
    return f"{form.loss}{after}"


def _label_items(declared: Form, form: Form) -> Iterator[Item]:
    if form.coding:
        yield Item("labels", f"labels {form.coding}", "labels Y as they are", ())
    if form.smoothing != declared.smoothing and parse_loss(form.loss)[0] == parse_loss(declared.loss)[0]:
        was = f"label smoothing {declared.smoothing:g}" if declared.smoothing else "none"
        said = (("label_smoothing", f"{form.smoothing:g}"),)
        words = f"label smoothing {form.smoothing:g}" if form.smoothing else "the labels without smoothing"
        yield Item("labels", words, was, said)


def _penalty_items(problem: Problem, fit: Fit) -> Iterator[Item]:
    network = problem.network
    none = (0.0,) * len(fit.l2)
    declared = network.l2 or none, network.l1 or none
    if (fit.l2, fit.l1) == declared and not fit.without:
        return
    words, said = [], []
    for item, coefficients, were in (("l2", fit.l2, declared[0]), ("l1", fit.l1, declared[1])):
        if any(coefficients) or any(were):
            text, saying = _coefficients(problem, item, coefficients)
            words.append(text)
            said += saying
    were = [_coefficients(problem, item, old)[0] for item, old in zip(("l2", "l1"), declared, strict=True) if any(old)]
    rest = f", without {fit.without}" if fit.without else ""
    meant = f"the loss with {' and '.join(words)}{rest}"
    yield Item("penalty", meant, " and ".join(were) or "no penalty", () if fit.without else tuple(said))


def _coefficients(problem: Problem, item: str, coefficients: tuple[float, ...]) -> tuple[str, list[tuple[str, str]]]:
    """Return a penalty's coefficients in words, and how to declare them."""
    names = list(problem.network.tensor_slices)
    weights = {c for name, c in zip(names, coefficients, strict=True) if name[0] == "W"}
    biases = {c for name, c in zip(names, coefficients, strict=True) if name[0] == "b"}
    if len(weights) == 1:
        c = next(iter(weights))
        text = f"{item} = {c:.12g}" if c else f"no {item}"
        if biases <= {0.0}:
            return text, [(item, f"{c:.17g}")]
        if biases == weights:
            return f"{text} on the biases too", [(item, f"{c:.17g}"), ("penalize_biases", "True")]
    listed_ = ",".join(f"{c:.17g}" for c in coefficients)
    words = ", ".join(f"{number(c)} for {name}" for name, c in zip(names, coefficients, strict=True) if c)
    return f"{item} = {words}", [(item, listed_)]
