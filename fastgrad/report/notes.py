"""The notes of a report, each a sentence made from facts. A full stop is put behind them where they are printed."""

from __future__ import annotations

from collections.abc import Sequence

from fastgrad.report.formatting import counted, listed, roughly
from fastgrad.report.parts import Audit

SINGLE_PRECISION = (
    "The float64 arrays of some gradients hold nothing but single precision numbers, and these gradients are judged as float32"
)
"""Said where the trailing zeros of every entry tell so."""
NAMED_FROM_ENTRIES = "To name the mistake, every entry was held against the numerical gradient by method preactivation"

FROM_DISK = "The parameters outgrow memory and were read from disk"
NOT_NAMED_FROM_DISK = (
    "The mistake was not named, since the network outgrows memory: to have it named, check narrower layers made by "
    "the same code"
)


def interrupted(finished: int, total: int) -> str:
    """Say how far a check came before Ctrl-C."""
    return f"Interrupted: {finished:,} of {total:,} parameters were finished; the others were not judged"


def by_executor(kind: str, threads: int) -> str:
    """Say who worked on the numerical gradient."""
    named = {"ClientExecutor": "Dask cluster"}.get(kind, kind)
    return f"The numerical gradient was made by the workers of a {named}, with {counted(threads, 'thread')} for each task"


def from_store(kept: int, parts: int) -> str:
    """Say what a store had of the numerical gradient."""
    return f"{kept:,} of {counted(parts, 'part')} of the numerical gradient were in the store already"


def damaged_in_store(files: Sequence[str]) -> str:
    """Say what in a store could not be used."""
    return (
        f"{counted(len(files), 'file')} in the store, {files[0]} first, held something else than their names say, and what "
        "they stand for was made anew"
    )


def audit_failed(audit: Audit, noun: str) -> str:
    """Say what the audit found, first of all what contradicts itself; what is compared are parameters or directions."""
    first = audit.disagreements[0]
    place = f"{first.name.partition('[')[0]}{list(first.index)}" if first.index else first.name
    return (
        f"The audit failed for {len(audit.disagreements):,} of {counted(audit.compared, noun)}: for {place} fastgrad's kernels "
        f"give {first.numerical!r}, plain forward passes {first.plain!r}; nothing can be said of the gradients. Please report "
        "this"
    )


def cross_checked(agreeing: int, seed: int, seconds: float) -> str:
    """Say that a sample was checked by two methods, and why not everything: the seconds that this takes on two cores."""
    return (
        f"Every parameter was checked by method preactivation, since method parameter would take about {roughly(seconds)} "
        f"on two cores; {agreeing:,} parameters, drawn with seed {seed}, agree by both methods"
    )


def not_named(seconds: float) -> str:
    """Say how a mistake that directions found is named, and how long that takes on two cores."""
    return (
        f"The mistake was not named: method preactivation checks every entry, in about {roughly(seconds)} on two cores, "
        "and names it"
    )


def too_large_to_name(parameters: int) -> str:
    """Say why no mistake is named in a large network, and what to do."""
    return (
        f"The mistake was not looked for among {parameters:,} parameters, which would take minutes: check the same code with "
        "smaller layers, where it is named in seconds"
    )


def judged_with_constant(words: str, distance: float) -> str:
    """Say that the gradients are those of a loss that keeps its logarithm from 0."""
    return f"The loss has a constant inside a logarithm: the gradients are judged as those of {_loss_with(words, distance)}"


def fits_with_constant(words: str, distance: float) -> str:
    """Say that the last layer's gradients are those of such a loss, which is too far from the declared one to be taken."""
    return f"The last layer has exactly the gradient of {_loss_with(words, distance)}"


def _loss_with(words: str, distance: float) -> str:
    return f"a loss with {words}, which differs by {distance:.1e} from the gradient of the declared loss"


def looks_rounded(difference: float) -> str:
    """Say that what is off looks like rounding and not like a mistake."""
    return (
        f"Everything agrees to {difference:.1e} and within the rounding of single precision: this looks like single precision "
        "somewhere, or a constant inside a logarithm, rather than a wrong formula"
    )


def not_drawn(names: Sequence[str], tensors: int) -> str:
    """Name the gradients of which a sample holds nothing."""
    return f"The sample holds nothing of {listed(list(names))}: draw at least {tensors}, one of each tensor"


def lost(names: Sequence[str]) -> str:
    """Name the tensors of which rounding, or a fixed step, left nothing to judge."""
    return (
        f"{', '.join(names)} cannot be judged: at this point, in this precision and with this step, what rounding may do is "
        "as large as the gradient itself, and zeros would pass; compute it in double precision, or where fewer units saturate"
    )


def zeros_in_penalty(count: int) -> str:
    """Say how many parameters sit on the kink of the L1 penalty."""
    verb = "is" if count == 1 else "are"
    return (
        f"{count:,} of the parameters in the L1 penalty {verb} exactly 0, where the penalty has a kink: there any slope from "
        "-c to c is right"
    )


def on_kinks(near: int, exact: int, samples: int, precision: str) -> str:
    """Count the examples on a kink, and those that rounding may have put on either side of one."""
    rest = "there any value between the one-sided derivatives is right"
    if near == exact:
        subject = f"{near:,} of {samples:,} examples have" if samples > 1 else "The example has"
        return f"{subject} a pre-activation exactly on a kink, or an output on one of the loss: {rest}"
    where = f"within the rounding of {precision} of a kink, or an output of one of the loss"
    on_it = f" ({exact:,} of them exactly on one)" if exact else ""
    return f"{near:,} of {samples:,} examples have a pre-activation {where}{on_it}: {rest}"


def zero_gradients(names: Sequence[str]) -> str:
    """Advise against a point at which gradients vanish."""
    return f"The gradient is zero to rounding ({', '.join(names)}), where any multiple of it passes; change the examples"


def inferred(description: str) -> str:
    """Say that a network was found out, not declared."""
    return f"Inferred: {description}"
