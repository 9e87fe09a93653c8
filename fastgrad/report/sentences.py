"""What a report says in sentences, from its headline to how it was made."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from fastgrad.report.formatting import (
    above,
    allowed_threads,
    closed,
    counted,
    duration,
    gradient_label,
    label,
    listed,
    printable,
    significant,
)
from fastgrad.report.parts import Audit, Finding, TensorReport

if TYPE_CHECKING:
    from fastgrad.report import Report

ADVICE_LINES = 3
"""Blind spots that the report of right gradients shows; beside a mistake one is enough."""
CLEARLY = 100.0
"""How many times further off the next best hypothesis is where it is worth a word."""
COARSER = 100.0
"""How many times coarser than the finest a tensor is named with an accuracy of its own."""


def headline_sentence(report: Report) -> str:
    """Return the verdict as a sentence."""
    judged = [tensor for tensor in report.tensors if tensor.verdict not in ("not judged", "left out")]
    wrong = [gradient_label(tensor) for tensor in judged if tensor.verdict == "wrong"]
    open_ends = [*_open_ends(report), *left_out(report)]
    if wrong:
        first = f"{len(wrong):,} of {counted(len(judged), 'gradient')} {_is(wrong)} wrong: {listed(wrong)}"
    elif report.verdict == "not judged" and report.audit is not None and report.audit.disagreements:
        return "The gradients could not be judged."
    elif report.verdict == "not judged" and report.interrupted:
        done = f"{report.parameters_checked:,} of {counted(report.parameters_total, 'parameter')}"
        return f"Interrupted: {done} were finished, and none of them is wrong; the rest was not judged."
    elif report.verdict == "not judged" and not (judged or report.missing):
        return "The gradients could not be judged."
    elif report.verdict == "not judged":
        others = [f"the other {_gradients(len(judged))} right{_extent(report)}"] if judged else []
        first, *open_ends = [*_open_ends(report), *others, *left_out(report)]
    else:
        first = f"{_all(len(judged))} right{_extent(report)}{_silence(report, judged)}"
    return f"{'; '.join([first[:1].upper() + first[1:] if report.missing else first, *open_ends])}."


def _open_ends(report: Report) -> Iterator[str]:
    """Say what was not judged."""
    if report.interrupted:
        yield f"interrupted after {report.parameters_checked:,} of {counted(report.parameters_total, 'parameter')}"
        return
    missing = [label(name) for name in report.missing]
    if missing:
        yield f"the gradient{'' if len(missing) == 1 else 's'} of {listed(missing)} {_is(missing)} missing"
    names = [gradient_label(t) for t in report.tensors if t.verdict == "not judged" and t.gradient_name is not None]
    if names:
        yield f"{listed(names)} could not be judged"


def left_out(report: Report) -> Iterator[str]:
    """Say what was not to be judged."""
    names = [label(name) for name in report.left_out]
    if names:
        yield f"{listed(names)} {_was(len(names))} left out"


def _extent(report: Report) -> str:
    """Say how much of the gradients was looked at, and with what measure, where that is not the usual."""
    extent = ""
    if report.sample_seed is not None:
        share = f"{100.0 * report.parameters_checked / report.parameters_total:.2g}%"
        extent = f" in the {report.parameters_checked:,} of {report.parameters_total:,} parameters that were drawn ({share})"
    if report.directions is not None:
        extent = f" along {counted(report.directions, 'random direction')}"
    if report.step is not None:
        extent += f" as far as a step of {significant(report.step)} tells"
    if any(tensor.tolerance > report.derived_tolerance for tensor in report.tensors):
        extent += f" within your tolerance, {significant(report.tensors[0].tolerance)} roundings"
    return extent + _written(report.tensors)


def _written(tensors: Sequence[TensorReport]) -> str:
    """Say how coarsely right gradients were written, and what error of an entry that hides."""
    passed = [t for t in tensors if t.written is not None and t.verdict not in ("wrong", "not judged")]
    if not passed:
        return ""
    words = listed(list(dict.fromkeys(tensor.written for tensor in passed if tensor.written)))
    hidden = max(tensor.unseen for tensor in passed)
    which = "" if len(passed) == len(tensors) else f" ({listed([gradient_label(tensor) for tensor in passed], 3)})"
    return f" to {words}{which}, which hide{_s(words)} errors of up to {above(hidden)} in an entry"


def _s(words: str) -> str:
    """Return the ending of a verb after some words."""
    return "" if words.startswith("the ") and ("digits" in words or "decimals" in words or "bits" in words) else "s"


def silent(tensors: Sequence[TensorReport]) -> list[TensorReport]:
    """Return the tensors that passed and of which nothing was learnt: zeros pass, and any multiple of the gradient."""
    passed = [tensor for tensor in tensors if tensor.verdict in ("right", "right in float32", "at a kink")]
    return [tensor for tensor in passed if tensor.sensitivity is not None and tensor.sensitivity.zeros_pass]


def _silence(report: Report, judged: Sequence[TensorReport]) -> str:
    """Say how many of the right gradients say nothing."""
    names = [gradient_label(tensor) for tensor in silent(judged)]
    if not names:
        return ""
    looked_at = "it was looked at" if len(names) == 1 else "they were looked at"
    how = "zero throughout" if report.sample_seed is None else f"zero wherever {looked_at}"
    if any(tensor.verdict == "at a kink" for tensor in silent(judged)):
        how = "zero, or on kinks where zeros pass,"
    which = f"{len(names):,} of {len(judged):,}" if len(names) < len(judged) else "all" if len(names) > 1 else "it"
    rest = f": {listed(names)}" if len(names) < len(judged) else ""
    return f", but {which} {_is(names)} {how} and {_say(names)} nothing{rest}"


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _was(count: int) -> str:
    return "was" if count == 1 else "were"


def _say(names: Sequence[str]) -> str:
    return "says" if len(names) == 1 else "say"


def _gradients(count: int) -> str:
    """Return "gradient is" or "3 gradients are"."""
    return "gradient is" if count == 1 else f"{count:,} gradients are"


def _all(count: int) -> str:
    """Return the subject of the sentence that all of them are right."""
    return "The gradient is" if count == 1 else "Both gradients are" if count == 2 else f"All {count:,} gradients are"


def sentences(report: Report) -> Iterator[str]:
    """Yield what stands below the findings, most important first."""
    if report.directions is not None and not report.findings:
        yield from _ratio_sentences(report.tensors)
    yield from _located_sentences(report.tensors)
    yield from (closed(note) for note in report.notes)
    if report.loss_note is None:
        yield loss_sentence(report)
    yield _total_sentence(report)
    yield from _sample_sentences(report)
    yield from _direction_sentences(report)
    if report.directions is None:
        yield from _kink_sentences(report.tensors)
    yield from _sensitivity_sentences(report)
    yield from _advice_sentences(report.advice, ADVICE_LINES if report.verdict == "right" else 1)
    if report.audit is not None and not report.audit.disagreements:
        yield _audit_sentence(report.audit) if report.directions is None else _direction_audit_sentence(report.audit)


def short_sentences(report: Report) -> Iterator[str]:
    """Yield what is to be said of right gradients in a line or two each; the rest is fine print."""
    yield loss_sentence(report)
    yield from (closed(note) for note in report.notes)
    yield from _sample_sentences(report)
    yield from _direction_sentences(report)
    if report.directions is None:
        yield from _kink_sentences(report.tensors)
    yield from _caught_sentences(report)
    yield from _advice_sentences(report.advice, 1)


def _caught_sentences(report: Report) -> Iterator[str]:
    """Say how far off the gradients are, and what error would have been caught."""
    judged = [tensor for tensor in report.tensors if tensor.sensitivity is not None and tensor.verdict != "not judged"]
    caught = [tensor.sensitivity.entry for tensor in judged if tensor.sensitivity and tensor.sensitivity.entry]
    largest = max((t.relative_difference for t in judged if not math.isnan(t.relative_difference)), default=math.nan)
    finite = [entry for entry in caught if sys.float_info.min < entry < math.inf]
    above_what = f"; errors over {above(max(finite))} of a typical entry are caught" if finite else ""
    if not math.isnan(largest):
        yield f"The relative difference of each is at most {significant(largest, 2)}{above_what}."


def short_provenance(report: Report) -> str:
    """Say how much was done in what time and how, and that it was looked at a second time."""
    checked = f"{counted(report.parameters_checked, 'parameter')} checked"
    how = f"by method {report.method}{'' if report.scheme == 'central' else f' with {report.scheme} differences'}"
    known = report.audit is not None and report.audit.compared and report.directions is None
    again = f", {report.audit.compared:,} again by plain passes" if known and report.audit is not None else ""
    return f"{checked} in {duration(report.seconds)} {how}{again}."


def _kink_sentences(tensors: tuple[TensorReport, ...]) -> Iterator[str]:
    """Count the entries that are right because they sit on a kink."""
    counts = {gradient_label(tensor): tensor.outcomes.at_kink for tensor in tensors if tensor.outcomes.at_kink}
    if counts:
        places = [f"{counted(count, 'entry')} of {name}" for name, count in counts.items()]
        verb = "is right because it lies" if sum(counts.values()) == 1 else "are right because they lie"
        yield f"{listed(places)} {verb} between the one-sided derivatives on a kink."


def _sensitivity_sentences(report: Report) -> Iterator[str]:
    """Say what counts as right and what error would have been caught, tensors that are far coarser than the rest by name."""
    judged = [tensor for tensor in report.tensors if tensor.sensitivity is not None and tensor.verdict != "not judged"]
    entries = {tensor: tensor.sensitivity.entry for tensor in judged if tensor.sensitivity and tensor.sensitivity.entry}
    # Where a gradient is next to nothing, the quotient may overflow or underflow, and says nothing.
    finest = {tensor: entry for tensor, entry in entries.items() if sys.float_info.min < entry < math.inf}
    if not finest:
        return
    tolerance, derived = judged[0].tolerance, report.derived_tolerance
    chosen = f" (your choice; the derived number is {significant(derived)})" if tolerance != derived else ""
    precisions = " or ".join(sorted({tensor.precision for tensor in judged}, reverse=True))
    common = max(value for value in finest.values() if value <= COARSER * min(finest.values()))
    coarse = [f"over {above(value)} in {gradient_label(tensor)}" for tensor, value in finest.items() if value > common]
    rest = f", {listed(coarse, 3)}" if coarse else ""
    bound = f"errors over {above(common)} of a typical one are caught{rest}"
    what = "an entry" if report.directions is None else "a signed sum"
    yield f"The tolerance is {significant(tolerance)} roundings{chosen} of {what} in {precisions}; {bound}."


def _advice_sentences(advice: tuple[str, ...], most: int) -> Iterator[str]:
    """Yield the first pieces of advice, and the number of the rest."""
    for sentence in advice[:most]:
        yield f"Blind spot: {closed(sentence)}"
    if len(advice) > most:
        more = counted(len(advice) - most, "more blind spot")
        yield f"This test point has {more}, which report.advice and --json list."


def _audit_sentence(audit: Audit) -> str:
    """Say how the audit went."""
    aside = f"; {audit.set_aside:,} on a kink {_was(audit.set_aside)} set aside" if audit.set_aside else ""
    if not audit.compared:
        return f"Audit: no parameter (seed {audit.seed}) could be compared{aside}."
    drawn = f"{counted(audit.compared, 'random parameter')} (seed {audit.seed})"
    verb = "agrees" if audit.compared == 1 else "agree"
    return f"Audit: {drawn} {_was(audit.compared)} computed again by plain forward passes and {verb}{aside}."


def _direction_audit_sentence(audit: Audit) -> str:
    """Say how the audit of a direction went."""
    if not audit.compared:
        return "Audit: nothing could be compared, since examples are on kinks or plain forward passes are too noisy."
    return "Audit: the derivative along the first direction was computed again by plain forward passes and agrees."


def finding_lines(finding: Finding, ascii_only: bool) -> Iterator[str]:
    """Yield what was done and the repair; the evidence; what else it could be."""
    is_known = not finding.code.startswith("unknown")
    doubt = "Not certain: " if is_known and not finding.confident else ""
    lines = [f"{doubt}{finding.sentence} {finding.repair} [{finding.code}]"]
    if finding.formula and finding.line:
        lines += [f"    - {finding.formula}", f"    + {finding.line}"]
    elif finding.formula:
        lines.append(f"    {finding.formula}")
    lines += [f"    {finding.where}"] if finding.where else []
    lines += [f"    |{line}|" for line in finding.picture]
    lines += [f"    {evidence}"] if (evidence := _evidence(finding)) else []
    for other in finding.alternatives:
        tells = f" To tell the two apart, use {other.separate}." if other.separate else ""
        lines.append(f"    It could as well be: {other.sentence} [{other.code}]{tells}")
    for line in lines:
        yield printable(line.translate(_PLAIN) if ascii_only else line)


def colored(line: str) -> RenderableType:
    """Return a line of a report, in colour where it is a line of the backward pass as it should be, or as it is.

    What is indented stays so where it does not fit into one line of the terminal.
    """
    text = line.lstrip(" ")
    style = "green" if line.startswith("    - ") else "red" if line.startswith("    + ") else ""
    return Padding(Text(text, style=style), (0, 0, 0, len(line) - len(text)))


_PLAIN = str.maketrans(
    {"·": "*", "ᵀ": ".T", "⊙": "*", "′": "'", "∂": "d", "Σ": "sum ", "²": "^2", "λ": "lambda ", "‖": "||", "½": "1/2"}
)
"""What stands for the signs of formulas where the terminal knows ASCII only."""


def _evidence(finding: Finding) -> str:
    """Say how many entries a finding explains, and how well; of a mistake that is not known it is none."""
    if not finding.explains:
        return ""
    is_worse = finding.next_best is not None and finding.next_best > CLEARLY * finding.residual
    rest = f"; the next best hypothesis is off by {finding.next_best:.0e}" if is_worse else ""
    close = f"to {finding.residual:.0e} of scale" if finding.residual else "exactly"
    return f"This explains {finding.explains:,} of {counted(finding.entries, 'entry')} {close}{rest}."


def loss_sentence(report: Report) -> str:
    """Say whether both sides mean the same loss."""
    ours = f"The loss is {significant(report.loss)}"
    if report.claimed_loss is None:
        return f"{ours}. Give your own value as loss_value to have the two compared."
    if report.loss_note is None:
        return f"{ours}, the same as yours."
    return f"The losses differ: {closed(report.loss_note)}"


def _total_sentence(report: Report) -> str:
    """Say what the usual single number is, how the courses read it, and where the verdict sees more than it."""
    total = report.relative_difference
    if math.isnan(total):
        return "The total relative difference is not a number."
    number = f"The total relative difference is {significant(total)}"
    if report.verdict == "not judged":
        if any(tensor.verdict not in ("not judged", "left out") for tensor in report.tensors):
            return f"The relative difference over what was judged is {significant(total)}."
        return f"{number}, which says nothing where nothing could be judged."
    if report.verdict == "right" and (zero := len(silent(report.tensors))):
        return f"{number}, to which {counted(zero, 'gradient')} of nothing but zeros add{'s' * (zero == 1)} nothing."
    if report.verdict == "wrong" and total <= 1e-4:
        return f"{number}, which alone might pass: it hides single wrong entries, and the verdict looks at each."
    if report.verdict == "right" and total > 1e-7:
        return f"{number}; {_band(total)}. Measured in units of each entry's own rounding, it is noise."
    return f"{number}; {_band(total)}."


def _band(total: float) -> str:
    """Return how the courses read a relative difference."""
    if total > 1e-2:
        return "courses call a value above 1e-2 certainly wrong"
    if total > 1e-4:
        return "courses call a value between 1e-4 and 1e-2 probably wrong"
    if total > 1e-7:
        return "courses call a value between 1e-7 and 1e-4 fine with kinks as in relu, and too large for smooth activations"
    return "courses call a value below 1e-7 right"


def _sample_sentences(report: Report) -> Iterator[str]:
    """Say what was drawn and what the draw can have missed."""
    if report.sample_seed is None:
        return
    yield (
        f"{report.parameters_checked:,} of {counted(report.parameters_total, 'parameter')} {_was(report.parameters_checked)} "
        f"checked, drawn with seed {report.sample_seed}.{_missed(report)}"
    )


def _ratio_sentences(tensors: tuple[TensorReport, ...]) -> Iterator[str]:
    """Yield one sentence for each constant ratio claimed / numerical, however many tensors share it."""
    groups: dict[str, list[str]] = {}
    for tensor in tensors:
        if tensor.verdict == "wrong" and tensor.ratio is not None:
            groups.setdefault(_ratio(tensor.ratio), []).append(gradient_label(tensor))
    for ratio, names in groups.items():
        verb = "is" if len(names) == 1 else "are"
        if ratio == "0":
            yield f"{listed(names)} {verb} zero throughout; the numerical gradient is not."
        else:
            yield f"{listed(names)} {verb} {ratio} times the numerical gradient."


def _ratio(ratio: float) -> str:
    """Return a ratio to four digits, more where it is close to 1."""
    if ratio == 0.0:
        return "0"
    digits = 4
    while digits < 17 and float(f"{ratio:.{digits}g}") == 1.0:
        digits += 1
    if 1e3 <= abs(ratio) < 1e7:
        return f"{ratio:,.1f}"
    return f"{ratio:#.{digits}g}"


def _located_sentences(tensors: tuple[TensorReport, ...]) -> Iterator[str]:
    """Say where else tensors are wrong, by the method that looks for single entries."""
    for tensor in tensors:
        places = [str(list(entry.index)) for entry in tensor.located]
        if len(places) > 1:
            yield f"{gradient_label(tensor)} is wrong at {listed(places, most=len(places))}."
        if tensor.more and tensor.ratio is None:
            found = "only the worst was looked for" if places else "none could be told from rounding alone"
            yield f"{gradient_label(tensor)} is wrong in more entries than were located: {found}."


def _direction_sentences(report: Report) -> Iterator[str]:
    """Say along how many directions the gradient was checked, and what they can have missed."""
    if report.directions is None:
        return
    missed = [f"{count} with a chance of {100 * chance:.2g}%" for count, chance in report.chances if chance]
    yield (
        f"The gradient was checked along {counted(report.directions, 'direction')} of random signs, drawn with seed "
        f"{report.direction_seed}, each tensor on its own and all of them together. A single wrong entry above the rounding of "
        f"its tensor is never missed; several that are equally far off may cancel: {listed(missed)}."
    )


def _missed(report: Report) -> str:
    """Say what share of a tensor's entries can be wrong unseen, for the tensor of which the draw says least."""
    drawn = [tensor for tensor in report.tensors if 0 < tensor.checked < math.prod(tensor.shape)]
    if not drawn:
        return ""
    least_known = max(drawn, key=_unseen_share)
    share = f"{100 * _unseen_share(least_known):.2g}%"
    return f" A mistake in under {share} of the entries of {gradient_label(least_known)} may be missed.{_chances(drawn)}"


def _chances(drawn: list[TensorReport]) -> str:
    """Say how likely the draw missed 1, 10 and 1 % of a tensor's entries, for the tensor of which it says least."""
    missed = [(tensor.sensitivity.missed, gradient_label(tensor)) for tensor in drawn if tensor.sensitivity is not None]
    if not missed:
        return ""
    counts, name = max(missed, key=lambda pair: pair[0][0][1])
    chances = [f"{_percent(chance)} if there {'is' if wrong == 1 else 'are'} {wrong:,}" for wrong, chance in counts]
    return f" The chance to miss all wrong entries of {name} is {listed(list(dict.fromkeys(chances)))}."


def _percent(chance: float) -> str:
    return "nearly 100%" if chance >= 0.995 else f"{100.0 * chance:.2g}%"


def _unseen_share(tensor: TensorReport) -> float:
    """Return the share of wrong entries of which a draw without replacement finds one with a probability of 95 %.

    Notes
    -----
    1 - 0.05^(1/n) for n draws with replacement, times 1 - (n - 1) / 2N for the N entries that are not put back.
    """
    draws, entries = tensor.checked, math.prod(tensor.shape)
    return float((1.0 - 0.05 ** (1.0 / draws)) * (1.0 - (draws - 1) / (2.0 * entries)))


def provenance(report: Report) -> str:
    """Say how much was done in what time, and how."""
    if report.step is not None:
        step = f"a step of {significant(report.step)}"
    elif report.directions is not None:
        step = "a step for each direction, from {:.0e} to {:.0e}".format(*report.step_range)
    else:
        smallest, largest = report.step_range
        step = f"a step for each parameter, from {smallest:.0e} to {largest:.0e}"
    scheme = "" if report.scheme == "central" else f"{report.scheme} differences and "
    return (
        f"{counted(report.parameters_checked, 'parameter')} {_was(report.parameters_checked)} checked in "
        f"{duration(report.seconds)} on {allowed_threads(report.threads)}, by method {report.method} with {scheme}{step}."
    )
