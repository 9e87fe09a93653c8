"""What a check of a layer found: one immutable object, its text and its dictionary."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fastgrad.functions.report import EntryReport, entry_table, finding_texts
from fastgrad.report.base import BaseReport
from fastgrad.report.documents import finding_to_dict, number
from fastgrad.report.formatting import above, counted, duration, listed, printable, significant
from fastgrad.report.parts import Finding
from fastgrad.report.table import columns
from fastgrad.report.verdicts import signed

Verdict = Literal["right", "wrong", "inconclusive", "not judged"]
TensorVerdict = Literal["right", "wrong", "inconclusive", "not judged", "left out"]


@dataclass(frozen=True)
class LayerTensor:
    """What was found of the gradient of one input or parameter of a layer.

    Attributes
    ----------
    name : str
        The input in the user's terms: "x", "W".
    shape : tuple of int
        Its shape.
    verdict : {"right", "wrong", "inconclusive", "not judged", "left out"}
        What is to be thought of it; not judged where there is no gradient, left out where it is frozen or has none.
    total, wrong, inconclusive, kinks : int
        Entries in all, wrong, inconclusive, and on a kink; along directions, the wrong ones that halving found.
    relative_difference : float or None
        ‖claimed - numerical‖ / (‖claimed‖ + ‖numerical‖); along directions, of the slopes.
    sensitivity : float or None
        The error, relative to the root mean square of the entries, above which it would have been caught in whichever of them.
    reason : str
        Why; often empty.
    """

    name: str
    shape: tuple[int, ...]
    verdict: TensorVerdict
    total: int
    wrong: int = 0
    inconclusive: int = 0
    kinks: int = 0
    relative_difference: float | None = None
    sensitivity: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Elsewhere:
    """What was found at another point, along random directions of each tensor.

    Attributes
    ----------
    point : str
        Which point: "other numbers", "7 rows in the place of 8".
    wrong : tuple of str
        Tensors whose gradient is wrong there.
    tried : bool
        Whether forward and backward took the point; `reason` says why not.
    reason : str
        What happened, in words; may be empty.
    """

    point: str
    wrong: tuple[str, ...]
    tried: bool
    reason: str


@dataclass(frozen=True, repr=False)
class LayerReport(BaseReport):
    """What a check of a layer's backward pass found; true where it passed.

    Attributes
    ----------
    verdict : {"right", "wrong", "inconclusive", "not judged"}
        Wrong where any gradient is, at any point; not judged where one is missing.
    tensors : tuple of LayerTensor
        A line for each input and parameter.
    entries : tuple of EntryReport
        Entries that are not plainly right, worst first; where all are, the one furthest off.
    elsewhere : tuple of Elsewhere
        The other points.
    findings : tuple of Finding
        What explains the wrong entries.
    inputs, outputs : str
        Names and shapes.
    method : {"entries", "directions"}
        What was moved.
    scheme : str
        How differences were taken first: "exact", "complex", "central", "extrapolated".
    noise : float
        Noise of the weighted sum of outputs.
    directions : int
        Random directions of each tensor, 0 by entries.
    miss, smallest : float
        Along directions: the chance that all miss a mistake of which an entry, in units of its size or 1, is over `smallest`.
    upstream : str
        Where the upstream gradient came from.
    seed : int
        Seed of everything that was drawn.
    evaluations : int
        Calls of forward.
    seconds : float
        Time of the check.
    tolerance : float
        Share of an entry by which it was allowed to be off.
    blind_spots : tuple of str
        What this point hides, each a sentence.
    remarks : tuple of str
        What else there is to say.
    """

    verdict: Verdict
    tensors: tuple[LayerTensor, ...]
    entries: tuple[EntryReport, ...]
    elsewhere: tuple[Elsewhere, ...]
    findings: tuple[Finding, ...]
    inputs: str
    outputs: str
    method: Literal["entries", "directions"]
    scheme: str
    noise: float
    directions: int
    miss: float
    smallest: float
    upstream: str
    seed: int
    evaluations: int
    seconds: float
    tolerance: float = 0.0
    blind_spots: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What was found elsewhere, what the point hides, and the remarks."""
        return tuple(_notes(self))

    def sentence(self) -> str:
        """Return the verdict as a sentence."""
        return _sentence(self)

    def body(self, ascii_only: bool) -> Iterator[RenderableType]:
        """Yield the layer, its tensors, the entries in question, and what is to be said of them."""
        if not self.tensors:
            return
        yield Text(printable(f"inputs {self.inputs}; {self.outputs}"), style="dim")
        yield Text()
        yield Padding(_tensor_table(self.tensors, ascii_only), (0, 0, 0, 1))
        if any(entry.verdict != "right" or entry.reason for entry in self.entries):
            yield Text()
            yield Padding(entry_table(self.entries, ascii_only), (0, 0, 0, 1))
        yield Text()
        yield from (line for finding in self.findings for line in finding_texts(finding, ascii_only))
        yield from (Text(printable(sentence)) for sentence in _sentences(self))

    def parts(self) -> dict[str, Any]:
        """Return what the JSON document holds beside schema, passed and verdict."""
        return {
            "tensors": [_tensor_to_dict(tensor) for tensor in self.tensors],
            "entries": [entry_to_dict(entry) for entry in self.entries],
            "elsewhere": [{**asdict(point), "wrong": list(point.wrong)} for point in self.elsewhere],
            "findings": [finding_to_dict(finding) for finding in self.findings],
            "inputs": self.inputs,
            "outputs": self.outputs,
            "method": self.method,
            "scheme": self.scheme,
            "noise": number(self.noise),
            "directions": self.directions,
            "miss": number(self.miss),
            "smallest": number(self.smallest),
            "upstream": self.upstream,
            "seed": self.seed,
            "evaluations": self.evaluations,
            "seconds": number(self.seconds),
            "tolerance": number(self.tolerance),
            "blind_spots": list(self.blind_spots),
            "remarks": list(self.remarks),
        }


def unjudged(reason: str) -> LayerReport:
    """Return the report of a layer of which nothing could be judged."""
    return LayerReport("not judged", (), (), (), (), "", "", "entries", "", 0.0, 0, 0.0, 0.0, "", 0, 0, 0.0, remarks=(reason,))


def _tensor_to_dict(tensor: LayerTensor) -> dict[str, Any]:
    return {
        **asdict(tensor),
        "shape": list(tensor.shape),
        "relative_difference": number(tensor.relative_difference),
        "sensitivity": number(tensor.sensitivity),
    }


def entry_to_dict(entry: EntryReport) -> dict[str, Any]:
    """Return one element of the document's list `entries`."""
    values = {name: number(getattr(entry, name)) for name in ("claimed", "numerical", "bound")}
    return {**asdict(entry), **values}


def _sentence(report: LayerReport) -> str:
    if not report.tensors:
        return printable(f"Nothing could be judged. {report.remarks[0]}")
    judged = [tensor for tensor in report.tensors if tensor.verdict != "left out"]
    named = {verdict: [tensor.name for tensor in judged if tensor.verdict == verdict] for verdict in ("wrong", "not judged")}
    total = counted(len(judged), "gradient")
    if named["wrong"]:
        verb = "is" if len(named["wrong"]) == 1 else "are"
        return printable(f"{len(named['wrong'])} of {total} {verb} wrong: {listed(named['wrong'])}.")
    if report.verdict == "wrong":
        (where, *_) = [point for point in report.elsewhere if point.wrong]
        return printable(f"Right at the given point, and wrong with {where.point}: {listed(list(where.wrong))}.")
    if named["not judged"]:
        return printable(f"There is no gradient of {listed(named['not judged'])}.")
    if report.verdict == "inconclusive":
        open_ = [tensor.name for tensor in judged if tensor.verdict == "inconclusive"]
        return printable(f"{len(open_)} of {total} {'is' if len(open_) == 1 else 'are'} inconclusive: {listed(open_)}.")
    along = f" along {report.directions} random directions" if report.method == "directions" else ""
    return f"The gradient is right{along}." if len(judged) == 1 else f"All {len(judged)} gradients are right{along}."


def _tensor_table(tensors: tuple[LayerTensor, ...], ascii_only: bool) -> Table:
    """Return a line for each tensor."""
    headings = ("gradient of", "verdict", "wrong", "of", "rel. difference", "caught above")
    table = columns(*headings, right=headings[2:])
    if any(tensor.reason for tensor in tensors):
        table.add_column("because", overflow="fold")
    for tensor in tensors:
        difference = "-" if tensor.relative_difference is None else significant(tensor.relative_difference, 2)
        caught = "-" if tensor.sensitivity is None else above(tensor.sensitivity)
        wrong = f"{tensor.wrong:,}" if tensor.verdict in ("right", "wrong", "inconclusive") else "-"
        cells = [Text(printable(tensor.name)), signed(tensor.verdict, ascii_only)]
        cells += [Text(cell) for cell in (wrong, f"{tensor.total:,}", difference, caught)]
        table.add_row(*cells, *([Text(printable(tensor.reason))] if tensor.reason else []))
    return table


def _notes(report: LayerReport) -> Iterator[str]:
    kinks = sum(tensor.kinks for tensor in report.tensors)
    if kinks:
        yield (
            f"{counted(kinks, 'entry')} {'is' if kinks == 1 else 'are'} on a kink, where any value between the one-sided "
            "slopes is right by itself."
        )
    well = [point.point for point in report.elsewhere if point.tried and not point.wrong and not point.reason]
    if well:
        yield f"With {' and with '.join(well)} nothing is wrong along a few random directions."
    yield from (_elsewhere(point) for point in report.elsewhere if point.point not in well)
    yield from (f"Blind spot: {spot}" for spot in report.blind_spots)
    yield from report.remarks


def _elsewhere(point: Elsewhere) -> str:
    if not point.tried:
        return f"Not tried with {point.point}: {point.reason}"
    if not point.wrong:
        return f"With {point.point} nothing was found wrong. {point.reason}"
    verb = "is" if len(point.wrong) == 1 else "are"
    return f"With {point.point} {listed(list(point.wrong))} {verb} wrong. {point.reason}"


def _sentences(report: LayerReport) -> Iterator[str]:
    """Yield what stands below the tables."""
    yield from report.notes
    if report.method == "directions" and report.verdict == "right":
        yield (
            f"A mistake of more than {report.smallest:.1e} in an entry, times the size of its input where that is above 1, is "
            f"missed with a chance of at most {report.miss:.0e}; a smaller one may be missed."
        )
    if report.tolerance:
        yield f"The tolerance allows an entry to be off by {significant(report.tolerance)} of itself."
    yield report.upstream
    how = {
        "exact": "with exact differences",
        "complex": "with complex steps",
        "central": "by central differences, extrapolated where in question",
    }
    yield (
        f"forward was called {counted(report.evaluations, 'time')} in {duration(report.seconds)}, "
        f"{how.get(report.scheme, 'by extrapolated differences')}."
    )


@dataclass(frozen=True, repr=False)
class JacobianReport(BaseReport):
    """What a check of a Jacobian found; true where it passed.

    Attributes
    ----------
    verdict : {"right", "wrong", "inconclusive"}
        Of the whole Jacobian.
    shape : tuple of int
        Values of f, and numbers in x.
    wrong, inconclusive, kinks : int
        Entries that are wrong, inconclusive, or on a kink; along directions, rows.
    wrong_rows, inconclusive_rows : tuple of str
        Rows in which there are such.
    entries : tuple of EntryReport
        Those entries, or rows, worst first.
    findings : tuple of Finding
        What explains them.
    relative_difference : float
        ‖claimed - numerical‖ / (‖claimed‖ + ‖numerical‖).
    method : {"columns", "directions"}
        What was moved.
    moves : int
        Columns, groups of columns, or directions.
    is_sparse : bool
        Whether the Jacobian is a sparse matrix, whose columns were moved in groups.
    scheme : {"complex", "extrapolated"}
        How differences were taken.
    noise : float
        The largest noise of a value.
    seed : int
        Seed of directions.
    evaluations : int
        Calls of f.
    seconds : float
        Time of the check.
    tolerance : float
        Share of an entry by which it was allowed to be off.
    """

    verdict: Literal["right", "wrong", "inconclusive"]
    shape: tuple[int, int]
    wrong: int
    inconclusive: int
    kinks: int
    wrong_rows: tuple[str, ...]
    inconclusive_rows: tuple[str, ...]
    entries: tuple[EntryReport, ...]
    findings: tuple[Finding, ...]
    relative_difference: float
    method: Literal["columns", "directions"]
    moves: int
    is_sparse: bool
    scheme: Literal["complex", "extrapolated"]
    noise: float
    seed: int
    evaluations: int
    seconds: float
    tolerance: float = 0.0

    @property
    def notes(self) -> tuple[str, ...]:
        """What there is to say beside the entries."""
        if not self.kinks:
            return ()
        verb = "is" if self.kinks == 1 else "are"
        return (f"{counted(self.kinks, 'slope')} {verb} on a kink, where any value between the one-sided slopes is right.",)

    def sentence(self) -> str:
        """Return the verdict as a sentence."""
        if self.verdict == "right":
            along = f" along {self.moves} random directions" if self.method == "directions" else ""
            return f"The Jacobian is right{along}."
        rows = self.wrong_rows if self.verdict == "wrong" else self.inconclusive_rows
        place = f"row {rows[0]}" if len(rows) == 1 else f"{len(rows):,} rows: {listed(list(rows))}"
        how = "wrong" if self.verdict == "wrong" else "inconclusive"
        if self.method == "directions":
            return f"The Jacobian is {how} in {place}."
        count = self.wrong if self.verdict == "wrong" else self.inconclusive
        verb = "is" if count == 1 else "are"
        return f"{count:,} of {self.shape[0] * self.shape[1]:,} entries of the Jacobian {verb} {how}, in {place}."

    def body(self, ascii_only: bool) -> Iterator[RenderableType]:
        """Yield the shape, the entries in question, and what is to be said of them."""
        yield Text(f"f of {counted(self.shape[1], 'number')}, {counted(self.shape[0], 'value')}", style="dim")
        if self.entries:
            yield Text()
            yield Padding(entry_table(self.entries, ascii_only), (0, 0, 0, 1))
        yield Text()
        for finding in self.findings:
            yield Text(printable(f"{finding.sentence} {finding.repair} [{finding.code}]"))
        yield from (Text(note) for note in self.notes)
        yield Text(f"The relative difference is {significant(self.relative_difference)}.")
        if self.tolerance:
            yield Text(f"The tolerance allows an entry to be off by {significant(self.tolerance)} of itself.")
        yield Text(self._how())

    def _how(self) -> str:
        moved = {
            "columns": f"{counted(self.moves, 'group')} of columns" if self.is_sparse else counted(self.moves, "column"),
            "directions": f"{self.moves} random directions, drawn with seed {self.seed}",
        }[self.method]
        steps = "with complex steps" if self.scheme == "complex" else "by extrapolated differences"
        return f"f was evaluated {counted(self.evaluations, 'time')} in {duration(self.seconds)} for {moved}, {steps}."

    def parts(self) -> dict[str, Any]:
        """Return what the JSON document holds beside schema, passed and verdict."""
        return {
            "shape": list(self.shape),
            "wrong": self.wrong,
            "inconclusive": self.inconclusive,
            "kinks": self.kinks,
            "wrong_rows": list(self.wrong_rows),
            "inconclusive_rows": list(self.inconclusive_rows),
            "entries": [entry_to_dict(entry) for entry in self.entries],
            "findings": [finding_to_dict(finding) for finding in self.findings],
            "relative_difference": number(self.relative_difference),
            "method": self.method,
            "moves": self.moves,
            "is_sparse": self.is_sparse,
            "scheme": self.scheme,
            "noise": number(self.noise),
            "seed": self.seed,
            "evaluations": self.evaluations,
            "seconds": number(self.seconds),
            "tolerance": number(self.tolerance),
        }


@dataclass(frozen=True)
class ChainLayer:
    """What was found of one layer of a chain: its name, verdict, its own report where it has one, and why not."""

    name: str
    verdict: Verdict
    report: LayerReport | None
    reason: str


@dataclass(frozen=True, repr=False)
class ChainReport(BaseReport):
    """What a check of a network of layers found; true where it passed.

    Attributes
    ----------
    verdict : {"right", "wrong", "inconclusive", "not judged"}
        Wrong where a layer is, or something between layers.
    layers : tuple of ChainLayer
        Every layer, the loss last, each judged under the upstream gradient that is true there.
    between : tuple of str
        What goes wrong between layers, each in sentences.
    loss : float
        The loss.
    remarks : tuple of str
        What else was seen.
    seed : int
        Seed of what was drawn.
    evaluations : int
        Calls of forward, of all layers.
    seconds : float
        Time of the check.
    """

    verdict: Verdict
    layers: tuple[ChainLayer, ...]
    between: tuple[str, ...]
    loss: float
    remarks: tuple[str, ...]
    seed: int
    evaluations: int
    seconds: float

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The mistakes that explain what is wrong in the layers."""
        return tuple(finding for layer in self.layers if layer.report is not None for finding in layer.report.findings)

    @property
    def notes(self) -> tuple[str, ...]:
        """What goes wrong between layers, and the remarks."""
        return self.between + self.remarks

    @property
    def first_wrong(self) -> ChainLayer | None:
        """The first layer on the way back from the loss whose backward is wrong; None where none is."""
        return next((layer for layer in reversed(self.layers) if layer.verdict == "wrong"), None)

    def sentence(self) -> str:
        """Return the verdict as a sentence."""
        named = {
            verdict: [layer.name for layer in self.layers if layer.verdict == verdict] for verdict in ("wrong", "not judged")
        }
        first = self.first_wrong
        if first is not None:
            rest = len(named["wrong"]) - 1
            more = f"; {rest} more {'is' if rest == 1 else 'are'}" if rest else ""
            return printable(f"From the loss inwards, {first.name} is the first that is wrong{more}.")
        if self.between:
            return (
                "Every layer that was judged is right alone, and the chain is not."
                if not named["not judged"]
                else "The chain is wrong."
            )
        if named["not judged"]:
            return printable(f"Not judged: {listed(named['not judged'])}.")
        if self.verdict == "inconclusive":
            return "Some gradients are inconclusive; none is wrong."
        return f"All {len(self.layers) - 1} layers and the loss are right, alone and in the chain."

    def body(self, ascii_only: bool) -> Iterator[RenderableType]:
        """Yield a line for each layer, the report of the first that is wrong, and what goes wrong between them."""
        table = columns("layer", "verdict", "wrong", "because")
        for layer in self.layers:
            wrong = (
                [] if layer.report is None else [tensor.name for tensor in layer.report.tensors if tensor.verdict == "wrong"]
            )
            cells = (Text(printable(", ".join(wrong))), Text(printable(layer.reason)))
            table.add_row(Text(printable(layer.name)), signed(layer.verdict, ascii_only), *cells)
        yield Text(f"loss {significant(self.loss)}", style="dim")
        yield Text()
        yield Padding(table, (0, 0, 0, 1))
        yield Text()
        yield from (Text(printable(note)) for note in self.notes)
        first = self.first_wrong
        if first is not None and first.report is not None:
            yield Text(printable(f"{first.name}, under its true upstream gradient:"))
            yield from first.report.body(ascii_only)
        yield Text(f"Layers were called {counted(self.evaluations, 'time')} in {duration(self.seconds)}.")

    def parts(self) -> dict[str, Any]:
        """Return what the JSON document holds beside schema, passed and verdict."""
        return {
            "layers": [
                {
                    "name": layer.name,
                    "verdict": layer.verdict,
                    "report": None if layer.report is None else layer.report.to_dict(),
                    "reason": layer.reason,
                }
                for layer in self.layers
            ],
            "between": list(self.between),
            "loss": number(self.loss),
            "remarks": list(self.remarks),
            "seed": self.seed,
            "evaluations": self.evaluations,
            "seconds": number(self.seconds),
        }
