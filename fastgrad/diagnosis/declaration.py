"""Before the code is blamed: whether a wrong gradient is the right one of another network than the declared one.

Called by walk in place of `diagnosed`, which it calls where the declaration explains nothing, or as well as a mistake does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import NamedTuple

from fastgrad.diagnosis import Diagnosis, diagnosed
from fastgrad.diagnosis.codes import CODES
from fastgrad.diagnosis.declared import Form, problem_of
from fastgrad.diagnosis.foretold import Foretold
from fastgrad.diagnosis.meant import Fit, Forms, usual
from fastgrad.diagnosis.names import listed
from fastgrad.diagnosis.words import number
from fastgrad.errors import InputError
from fastgrad.model.conventions import same_loss
from fastgrad.model.losses import LOGIT_OUTPUT, parse_loss
from fastgrad.model.network import Problem
from fastgrad.numerical import Numerical
from fastgrad.numerical.tracking import Progress
from fastgrad.report.parts import Alternative, Finding

MOST_ALTERNATIVES = 8
TELLS = "your own value of the loss, as loss_value"


class Item(NamedTuple):
    """One thing that differs from the declaration: what it is, what was declared, and how to declare it (key, value)."""

    kind: str
    meant: str
    declared: str
    said: tuple[tuple[str, str], ...]


def explained(problem: Problem, numerical: Numerical, progress: Progress | None = None) -> Diagnosis:
    """Name what makes a wrong gradient: another network than the declared one, or the mistakes of `diagnosed`.

    Where the gradient is that of another network and the user's own loss value is so as well, that is all there is to say.
    Where the loss value is the declared one, the code is to blame. Without a loss value nothing tells the two apart: both
    are said.
    """
    if progress is not None:
        progress(0, problem.network.depth)
    fits = Forms(problem).found()
    if not fits:
        return diagnosed(problem, numerical, progress)
    claimed, base = problem.claimed_loss, numerical.base
    ours = claimed is not None and same_loss(claimed, base.loss, problem, base)
    decided = [fit for fit in fits if fit.same_loss] if not ours else []
    if decided:
        return Diagnosis((_finding(problem, decided, "meant"),), Foretold(problem, tuple(usual(decided)[0]), None))
    diagnosis = diagnosed(problem, numerical, progress)
    mistakes = diagnosis.findings
    certain = all(mistake.confident for mistake in mistakes) and len(mistakes) <= len(items_of(problem, fits[0].form, fits[0]))
    if certain and (ours or all(CODES[mistake.code].loss for mistake in mistakes)):  # these name the other loss themselves
        return diagnosis
    alone = certain and len(mistakes) == 1
    finding = _finding(problem, fits, "declared" if ours else "unsaid" if claimed is None else "neither")
    foretold = Foretold(problem, tuple(usual(fits)[0]), diagnosis.prediction if certain else None)
    if not alone:
        return Diagnosis((finding,), foretold)
    code = mistakes[0].code
    other = Alternative(code, mistakes[0].tensor, mistakes[0].layer, mistakes[0].sentence, TELLS)
    return Diagnosis((replace(finding, alternatives=(other, *finding.alternatives)),), foretold)


def other_values(problem: Problem) -> Iterator[tuple[str, float]]:
    """Yield the losses of other networks, in words and as a value."""
    forms = Forms(problem)
    if problem.samples == problem.network.widths[-1] == 1:
        yield "the network's output, not a loss", forms.last.output()
    for fit in forms.found():
        yield f"the loss with {_meant(items_of(problem, fit.form, fit))}, of which the gradient is, too", fit.loss
    for form, value in forms.values():
        items = items_of(problem, form)
        if items:
            yield f"the loss with {_meant(items)}", value


def inferred(problem: Problem, said: Collection[str]) -> Problem:
    """Return the problem with the network under which its claimed gradient is right; the items that were said stay.

    Raises
    ------
    InputError
        If there is no such network among those that are tried, or if there are several.
    """
    forms = Forms(problem, said)
    fits = forms.inferred()
    fits = [fit for fit in fits if fit.same_loss] or fits
    found, rarer = usual(fits)
    if not found:
        raise InputError(
            "no network that fastgrad tried has exactly this gradient: it has a mistake in it, or something that must be "
            "declared; say what you know of the network (hidden, output, loss, ...) and leave out infer"
        )
    if len(found) > 1:
        each = "".join(f"\n  {_network_in_words(problem, fit)}: {options(_said(problem, fit))}" for fit in [*found, *rarer])
        raise InputError(f"the gradient is exactly that of several networks at this point; say which of them yours is:{each}")
    return _with_note(problem, forms, found[0], rarer)


def _with_note(problem: Problem, forms: Forms, fit: Fit, rarer: list[Fit]) -> Problem:
    """Return the problem that a fit makes, with a word on how it was found."""
    meant = problem_of(problem, fit.form)
    assert meant is not None
    note = f"Inferred from the gradient: {_network_in_words(problem, fit)}. To declare it: {options(_said(problem, fit))}"
    if fit.same_loss is not None:
        note += f". Your loss value is {'that of this network, too' if fit.same_loss else 'another one'}"
    if rarer:
        same = "; ".join(_network_in_words(problem, other) for other in rarer)
        note += f". At this point the gradient is that of these as well: {same}"
    if fit.form.coding:
        note += f". The labels were taken as {fit.form.coding}: hand them over so"
    network = replace(meant.network, l2=fit.l2 if any(fit.l2) else (), l1=fit.l1 if any(fit.l1) else ())
    return replace(meant, network=network, notes=(note, *problem.notes))


def _network_in_words(problem: Problem, fit: Fit) -> str:
    form = fit.form
    hidden = [f"hidden {listed(dict.fromkeys(shape.text for shape in form.hidden))}"] if form.hidden else []
    words = [*hidden, f"output {form.output}", form.loss, form.reduction.replace("_", " ")]
    words += [f"label smoothing {form.smoothing:g}"] if form.smoothing else []
    words += [f"labels {form.coding}"] if form.coding else []
    for item, coefficients in (("l2", fit.l2), ("l1", fit.l1)):
        if any(coefficients):
            words.append(_coefficients(problem, item, coefficients)[0])
    return ", ".join(words)


def _said(problem: Problem, fit: Fit) -> list[tuple[str, str]]:
    """Return the description of a fit."""
    form, names = fit.form, [shape.name for shape in fit.form.hidden]
    said = [("activations", ",".join([*names, form.output]))] if len(set(names)) > 1 else []
    if not said:
        said = [*([("hidden", names[0])] if names else []), ("output", form.output)]
    said += [("loss", form.loss)] + ([("reduction", form.reduction)] if form.reduction != "mean" else [])
    said += [("label_smoothing", f"{form.smoothing:g}")] if form.smoothing else []
    for item, coefficients in (("l2", fit.l2), ("l1", fit.l1)):
        if any(coefficients):
            said += _coefficients(problem, item, coefficients)[1]
    return list(dict.fromkeys(said))


def _finding(problem: Problem, fits: list[Fit], loss: str) -> Finding:
    """Put the networks of which a claim is the gradient into one finding."""
    (first, *others), rarer = usual(fits)
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
        alternatives=tuple(_alternative(problem, concerned, other) for other in [*others, *rarer][:MOST_ALTERNATIVES]),
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
    flags = ((f"--{key.replace('_', '-')}", value) for key, value in said)
    command = " ".join(flag if value == "True" else f"{flag} {value}" for flag, value in flags)
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
    pairs = (("l2", fit.l2, declared[0]), ("l1", fit.l1, declared[1]))
    meant = [_coefficients(problem, item, new) for item, new, old in pairs if any(new) or any(old)]
    were = [_coefficients(problem, item, old)[0] for item, _, old in pairs if any(old)]
    rest = f", without {fit.without}" if fit.without else ""
    said = () if fit.without else tuple(dict.fromkeys(pair for _, saying in meant for pair in saying))
    words = " and ".join(text for text, _ in meant)
    yield Item("penalty", f"the loss with {words}{rest}", " and ".join(were) or "no penalty", said)


def _coefficients(problem: Problem, item: str, coefficients: tuple[float, ...]) -> tuple[str, list[tuple[str, str]]]:
    """Return a penalty's coefficients in words, and how to declare them."""
    by_name = dict(zip(problem.network.tensor_slices, coefficients, strict=True))
    weights, biases = ({c for name, c in by_name.items() if name[0] == kind} for kind in "Wb")
    if len(weights) == 1:
        c = next(iter(weights))
        text = f"{item} = {c:.12g}" if c else f"no {item}"
        if biases <= {0.0}:
            return text, [(item, f"{c!r}")]
        if biases == weights:
            return f"{text} on the biases too", [(item, f"{c!r}"), ("penalize_biases", "True")]
    words = ", ".join(f"{number(c)} for {name}" for name, c in by_name.items() if c)
    return f"{item} = {words}", [(item, ",".join(f"{c!r}" for c in coefficients))]
