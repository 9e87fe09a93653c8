"""What a report says in sentences, from its headline to how it was made."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.text import Text

from fastgrad.report.formatting import allowed_threads, closed, counted, duration, listed, printable, significant
from fastgrad.report.parts import Audit, Finding, TensorReport
from fastgrad.report.table import STYLES, gradient_label, sign_of

if TYPE_CHECKING:
    from fastgrad.report import Report

ADVICE_LINES = 3
"""Blind spots that the report for a person shows."""
CLEARLY = 100.0
"""How many times further off the next best hypothesis is where it is worth a word."""
COARSER = 100.0
"""How many times coarser than the finest a tensor is named with an accuracy of its own."""


def headline(report: Report, ascii_only: bool) -> Text:
    """Return the verdict and what it is about, in one line."""
    return verdict_line(report.verdict, _headline_sentence(report), ascii_only)


def verdict_line(verdict: str, sentence: str, ascii_only: bool) -> Text:
    """Return a verdict and a sentence on it."""
    line = Text(f"{sign_of(verdict, ascii_only)} {verdict.upper()}", style=STYLES[verdict])
    return line.append(f"  {sentence}", style="default")


def _headline_sentence(report: Report) -> str:
    """Return the verdict as a sentence."""
    judged = [tensor for tensor in report.tensors if tensor.verdict != "not judged"]
    wrong = [gradient_label(tensor) for tensor in judged if tensor.verdict == "wrong"]
    if report.verdict == "not judged":
        return "The gradients could not be judged."
    if wrong:
        verb = "is" if len(wrong) == 1 else "are"
        return f"{len(wrong):,} of {counted(len(judged), 'gradient')} {verb} wrong: {listed(wrong)}."
    unjudged = len(report.tensors) - len(judged)
    rest = f"; {unjudged:,} not judged" if unjudged else ""
    return f"{_all(len(judged))} right{rest}."


def _all(count: int) -> str:
    """Return the subject of the sentence that all of them are right."""
    return "The gradient is" if count == 1 else "Both gradients are" if count == 2 else f"All {count:,} gradients are"


def sentences(report: Report, ascii_only: bool) -> Iterator[str]:
    """Yield what stands below the table, most important first."""
    yield from (line for finding in report.findings for line in finding_lines(finding, ascii_only))
    if report.directions is not None and not report.findings:
        yield from _ratio_sentences(report.tensors)
    yield from _located_sentences(report.tensors)
    yield from (closed(note) for note in report.notes)
    yield _loss_sentence(report)
    yield _total_sentence(report)
    yield from _sample_sentences(report)
    yield from _direction_sentences(report)
    if report.directions is None:
        yield from _kink_sentences(report.tensors)
    yield from _sensitivity_sentences(report)
    if report.verdict == "right":
        yield from _advice_sentences(report.advice)
    if report.audit is not None and not report.audit.disagreements:
        yield _audit_sentence(report.audit) if report.directions is None else _direction_audit_sentence(report.audit)


def _kink_sentences(tensors: tuple[TensorReport, ...]) -> Iterator[str]:
    """Count the entries that are right because they sit on a kink."""
    counts = [f"{tensor.outcomes.at_kink:,} of {gradient_label(tensor)}" for tensor in tensors if tensor.outcomes.at_kink]
    if counts:
        yield f"At kinks, between the one-sided derivatives: {listed(counts)}."


def _sensitivity_sentences(report: Report) -> Iterator[str]:
    """Say what counts as right and what error would have been caught, tensors that are far coarser than the rest by name."""
    judged = [tensor for tensor in report.tensors if tensor.sensitivity is not None and tensor.verdict != "not judged"]
    finest = {tensor: tensor.sensitivity.entry for tensor in judged if tensor.sensitivity and tensor.sensitivity.entry}
    if not finest:
        return
    tolerance, derived = judged[0].tolerance, report.derived_tolerance
    chosen = f" (yours; {significant(derived)} is derived)" if tolerance != derived else ""
    precisions = " or ".join(sorted({tensor.precision for tensor in judged}, reverse=True))
    common = max(value for value in finest.values() if value <= COARSER * min(finest.values()))
    coarse = [f"{_above(value)} in {gradient_label(tensor)}" for tensor, value in finest.items() if value > common]
    rest = f", {listed(coarse, 3)}" if coarse else ""
    bound = f"errors above {_above(common)} of a typical entry are caught{rest}"
    what = "each entry" if report.directions is None else "each signed sum"
    yield f"Tolerance: {significant(tolerance)}{chosen} roundings of {what} in {precisions}; {bound}."


def _above(value: float) -> str:
    """Return a bound to one digit, rounded up."""
    exponent = math.floor(math.log10(value))
    return f"{math.ceil(value / 10.0**exponent * (1.0 - 1e-12)) * 10.0**exponent:.0e}"


def _advice_sentences(advice: tuple[str, ...]) -> Iterator[str]:
    """Yield the first pieces of advice, and the number of the rest."""
    for sentence in advice[:ADVICE_LINES]:
        yield f"Blind spot: {closed(sentence)}"
    if len(advice) > ADVICE_LINES:
        yield f"{counted(len(advice) - ADVICE_LINES, 'more blind spot')} of this test point: report.advice, or --json."


def _audit_sentence(audit: Audit) -> str:
    """Say how the audit went."""
    aside = f"; {audit.set_aside:,} on a kink set aside" if audit.set_aside else ""
    if not audit.compared:
        return f"Audit, seed {audit.seed}: nothing could be compared{aside}."
    return (
        f"Audit: {counted(audit.compared, 'random parameter')} again by plain forward passes, seed {audit.seed}: agreed{aside}."
    )


def _direction_audit_sentence(audit: Audit) -> str:
    """Say how the audit of a direction went."""
    if not audit.compared:
        return "Audit: nothing could be compared, the examples are on kinks or the noise of plain forward passes is too large."
    return "Audit: the first direction of all parameters again by plain forward passes: agreed."


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
        tells = f" What would tell: {other.separate}." if other.separate else ""
        lines.append(f"    It could as well be: {other.sentence} [{other.code}]{tells}")
    for line in lines:
        yield printable(line.translate(_PLAIN) if ascii_only else line)


def colored(line: str) -> Text:
    """Return a line of a report, in colour where it is a line of the backward pass as it should be, or as it is."""
    return Text(line, style="green" if line.startswith("    - ") else "red" if line.startswith("    + ") else "")


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
    return f"Explains {finding.explains:,} of {counted(finding.entries, 'entry')} {close}{rest}."


def _loss_sentence(report: Report) -> str:
    """Say whether both sides mean the same loss."""
    ours = f"Loss {significant(report.loss)}"
    if report.claimed_loss is None:
        return f"{ours}. Give your own as loss_value to have the two compared."
    if report.loss_note is None:
        return f"{ours}, the same as yours."
    return f"The losses differ: {closed(report.loss_note)}"


def _total_sentence(report: Report) -> str:
    """Say what the usual single number is, how the courses read it, and where the verdict sees more than it."""
    total = report.relative_difference
    if math.isnan(total):
        return "Relative difference in all: not a number."
    number = f"Relative difference in all: {significant(total)}"
    if report.verdict == "not judged":
        return f"{number}, which says nothing here."
    if report.verdict == "wrong" and total <= 1e-4:
        return f"{number}, which alone might pass: the total hides single wrong entries, the verdict looks at each."
    if report.verdict == "right" and total > 1e-7:
        return f"{number}; {_band(total)}. Measured by each entry's own rounding it is noise."
    return f"{number}; {_band(total)}."


def _band(total: float) -> str:
    """Return how the courses read a relative difference."""
    if total > 1e-2:
        return "above 1e-2 the courses say: something is certainly wrong"
    if total > 1e-4:
        return "between 1e-4 and 1e-2 the courses say: something is probably wrong"
    if total > 1e-7:
        return "between 1e-7 and 1e-4 the courses say: fine with kinks as in relu, too much for smooth activations"
    return "below 1e-7 the courses say: celebrate"


def _sample_sentences(report: Report) -> Iterator[str]:
    """Say what was drawn and what the draw can have missed."""
    if report.sample_seed is None:
        return
    yield (
        f"Checked {report.parameters_checked:,} of {counted(report.parameters_total, 'parameter')}, "
        f"seed {report.sample_seed}.{_missed(report)}"
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
        f"Checked along {counted(report.directions, 'direction')} of random signs, seed {report.direction_seed}, "
        f"each tensor on its own and all of them together. A single wrong entry above the rounding of its tensor is never "
        f"missed; several that are equally far off cancel: {listed(missed)}."
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
    chances = [f"{wrong:,} with {100 * chance:.2g}%" for wrong, chance in counts]
    return f" Chance to miss wrong entries of {name}: {listed(list(dict.fromkeys(chances)))}."


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
        step = f"step {significant(report.step)}"
    elif report.directions is not None:
        step = "a step for each direction, {:.0e} to {:.0e}".format(*report.step_range)
    else:
        smallest, largest = report.step_range
        step = f"a step for each parameter, {smallest:.0e} to {largest:.0e}"
    scheme = "" if report.scheme == "central" else f"{report.scheme} difference, "
    return (
        f"{counted(report.parameters_checked, 'parameter')} in {duration(report.seconds)}, "
        f"{allowed_threads(report.threads)}; method {report.method}, {scheme}{step}."
    )
