"""What a network was understood to be: as text and as a JSON document."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fastgrad._version import SCHEMA
from fastgrad.model.conventions import dropped_in_words, explain_loss, loss_in_words, penalties_in_words
from fastgrad.model.forward import base_point
from fastgrad.model.network import Network, Problem, Tensor
from fastgrad.numerical.memory import peak, seconds_to_read
from fastgrad.numerical.methods import METHODS, estimate_check
from fastgrad.reading.description import EXAMPLES
from fastgrad.report.formatting import Told, counted, listed, printable, roughly, significant
from fastgrad.report.table import columns


@dataclass(frozen=True, repr=False)
class Understood(Told):
    """A network as it was read, its loss and the estimated work; prints as text.

    Attributes
    ----------
    problem : Problem
        The network, its parameters and data.
    loss : float or None
        Its value; None where something is missing that decides it.
    loss_note : str or None
        Where the user's value is another one: what reproduces it.
    seconds : dict of str to float
        The estimated time of a check by each method on this machine, mostly within a factor of 2.
    missing : tuple of str
        What nobody said and has to be said: "hidden", "output", "loss".
    peak_bytes : dict of str to int
        Where the parameters outgrow memory: what a check by each method takes of it at most, those by entry of a sample.
    """

    problem: Problem
    loss: float | None
    loss_note: str | None
    seconds: dict[str, float]
    missing: tuple[str, ...] = ()
    peak_bytes: dict[str, int] = field(default_factory=dict)

    @classmethod
    @np.errstate(all="ignore")  # a loss that overflows is one
    def of(cls, problem: Problem, missing: tuple[str, ...] = ()) -> Understood:
        """Evaluate the loss of a problem, compare it with the user's, and estimate the work."""
        possible = [method for method in METHODS.values() if method.step is None or not problem.is_stored]
        whole = [method.name for method in possible if method.plan is None or not problem.is_stored]
        reading = seconds_to_read(problem) if problem.is_stored else 0.0
        seconds = {name: estimate_check(problem, name) + reading for name in whole}
        needed = {method.name: peak(problem, method) for method in possible} if problem.is_stored else {}
        if missing:
            return cls(problem, None, None, seconds, missing, needed)
        base = base_point(problem)
        return cls(problem, base.loss, explain_loss(problem, base), seconds, peak_bytes=needed)

    @property
    def activations(self) -> list[str | None]:
        """The activations, None for those that nobody said."""
        *hidden, output = self.problem.network.activations
        known: list[str | None] = [None if "hidden" in self.missing else name for name in hidden]
        return [*known, None if "output" in self.missing else output]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document."""
        network = self.problem.network
        return {
            "schema": SCHEMA,
            "widths": list(network.widths),
            "activations": self.activations,
            "loss_function": None if "loss" in self.missing else network.loss,
            "reduction": network.reduction,
            "label_smoothing": network.label_smoothing,
            "scale": network.scale,
            "class_weights": list(network.class_weights),
            "example_weights": None if self.problem.example_weights is None else self.problem.example_weights.tolist(),
            "dropout": _dropout_to_dicts(self.problem),
            "examples": self.problem.samples,
            "parameters_total": network.size,
            "loss": self.loss,
            "claimed_loss": self.problem.claimed_loss,
            "loss_note": self.loss_note,
            "estimated_seconds": self.seconds,
            "peak_bytes": self.peak_bytes,
            "missing": list(self.missing),
            "notes": list(self.problem.notes),
            "tensors": [_tensor_to_dict(tensor, network) for tensor in self.problem.tensors],
        }

    def __repr__(self) -> str:
        """Return the layers in one line."""
        return f"<Understood: {' -> '.join(_layers(self.problem.network, self.activations))}>"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the text for a person."""
        network = self.problem.network
        yield Text(" -> ".join(_layers(network, self.activations)), style="bold")
        loss = "not said" if "loss" in self.missing else loss_in_words(self.problem)
        yield Text(f"Loss: {loss}, {_reduction(self.problem)}; {_penalty(network)}")
        if dropped := dropped_in_words(self.problem):
            yield Text(f"Dropout of {dropped}")
        yield Text(self._loss_value() if self.loss is not None else self._question())
        yield Text()
        yield Padding(_table(self.problem.tensors), (0, 0, 0, 1))
        yield Text()
        yield Text(f"{counted(network.size, 'parameter')}, {counted(self.problem.samples, 'example')}")
        work = ", ".join(f"{roughly(seconds)} by method {method}" for method, seconds in self.seconds.items())
        yield Text(f"Estimated time of a check: {work}")
        if self.peak_bytes:
            yield Text(self._memory())
        for note in self.problem.notes:
            yield Text(f"Note: {printable(note)}")

    def _question(self) -> str:
        """Say what is missing, and how it is said or found out."""
        items = listed([_NEEDED[item] for item in self.missing])
        example = " ".join(f"--{item} {EXAMPLES[item]}" for item in self.missing)
        found = "; fastgrad check with --infer finds out what the gradients tell"
        judged = any(tensor.gradient_name for tensor in self.problem.tensors)
        return f"Missing: {items}. Say it, for example {example}{found if judged else ''}."

    def _memory(self) -> str:
        """Say that the parameters are read from disk, and what a check takes of memory."""
        rows = [(name, METHODS[name].plan is None, size) for name, size in self.peak_bytes.items()]
        each = [f"{size / 1e9:.1f} GB by method {name}{'' if whole else ' of a sample'}" for name, whole, size in rows]
        return f"The parameters outgrow memory and are read from disk. Peak memory of a check, at most: {listed(each)}"

    def _loss_value(self) -> str:
        """Say what the loss is, and what the user says it is."""
        assert self.loss is not None
        ours = f"Its value is {significant(self.loss)}"
        if self.problem.claimed_loss is None:
            return f"{ours}; the file gives none to compare it with"
        return f"{ours}, the same as yours" if self.loss_note is None else f"{ours}; {printable(self.loss_note)}"


_NEEDED = {"hidden": "the activation of the hidden layers", "output": "the activation of the last layer", "loss": "the loss"}


def _layers(network: Network, activations: list[str | None]) -> list[str]:
    """Return the layers in words, the input first."""
    layers = zip(network.widths[1:], activations, strict=True)
    return [counted(network.widths[0], "input"), *(f"{width:,} {activation or '(not said)'}" for width, activation in layers)]


def _reduction(problem: Problem) -> str:
    """Return how the examples are put together."""
    return f"{problem.network.reduction.replace('_', ' ')} over {counted(problem.samples, 'example')}"


def _penalty(network: Network) -> str:
    """Return the penalty in words."""
    words = penalties_in_words(network)
    return ", ".join(f"penalty {penalty}" for penalty in words) or "no penalty"


def _table(tensors: tuple[Tensor, ...]) -> Table:
    """Return a line for each parameter array."""
    table = columns("parameter", "shape", "layout", "entries", "gradient", "precision", right=("entries",))
    for tensor in tensors:
        gradient = "left out" if tensor.frozen else printable(tensor.gradient_name or "none found")
        cells = [printable(tensor.name), str(tensor.shape), _layout(tensor), f"{tensor.size:,}", gradient]
        table.add_row(*(Text(cell) for cell in (*cells, tensor.precision)))
    return table


def _layout(tensor: Tensor) -> str:
    """Return which way round an array is."""
    if tensor.column is not None:
        return "bias, in one array with its weights" if tensor.kind == "b" else f"{_way(tensor)}, with a bias"
    return "bias" if tensor.kind == "b" else _way(tensor)


def _way(tensor: Tensor) -> str:
    """Return the meaning of a weight array's axes."""
    return "(in, out)" if tensor.transposed else "(out, in)"


def _dropout_to_dicts(problem: Problem) -> list[dict[str, Any]]:
    """Return what is dropped: the layer, 0 being the input, the share that is kept, and what that is multiplied with."""
    return [
        {"layer": layer, "kept": np.count_nonzero(mask) / mask.size, "factor": float(mask.max())}
        for layer, mask in enumerate(problem.masks)
        if mask is not None
    ]


def _tensor_to_dict(tensor: Tensor, network: Network) -> dict[str, Any]:
    """Return one element of the document's list `tensors`."""
    number = list(network.tensor_slices).index(f"{tensor.kind}{tensor.layer + 1}")
    return {
        "name": tensor.name,
        "gradient_name": tensor.gradient_name,
        "frozen": tensor.frozen,
        "layer": tensor.layer + 1,
        "kind": tensor.kind,
        "shape": list(tensor.shape),
        "layout": _layout(tensor),
        "precision": tensor.precision,
        "l2": network.l2[number] if network.l2 else 0.0,
        "l1": network.l1[number] if network.l1 else 0.0,
    }
