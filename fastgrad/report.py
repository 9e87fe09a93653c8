"""The result of a check: one immutable object, its text for a person and its dictionary for a machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["right", "wrong", "right in float32", "at a kink", "not judged"]


@dataclass(frozen=True)
class Entry:
    """One entry of a tensor with both values; the index is into the user's own array."""

    index: tuple[int, ...]
    claimed: float
    numerical: float


@dataclass(frozen=True)
class TensorReport:
    """What was found of one parameter tensor.

    Attributes
    ----------
    name : str
        The user's name of the parameter array.
    gradient_name : str or None
        The user's name of the gradient array; None where the file had none.
    shape : tuple of int
        The user's shape.
    verdict : Verdict
        The tensor's verdict.
    relative_difference : float
        ‖claimed − numerical‖ / (‖claimed‖ + ‖numerical‖) over the checked entries; 0 where both norms are 0; nan where the
        claim is nan or nothing was checked.
    checked, wrong : int
        Entries compared, and entries found wrong.
    worst : Entry or None
        The entry furthest off in units of its rounding scale; None where nothing was checked.
    ratio : float or None
        claimed / numerical where that is the same number over the whole tensor and the tensor is wrong.
    tolerance : float
        Largest |claimed − numerical| / rounding scale that counts as right, in unit roundoffs.
    """

    name: str
    gradient_name: str | None
    shape: tuple[int, ...]
    verdict: Verdict
    relative_difference: float
    checked: int
    wrong: int
    worst: Entry | None
    ratio: float | None
    tolerance: float


@dataclass(frozen=True)
class Report:
    """What a check found.

    Attributes
    ----------
    verdict : {"right", "wrong", "not judged"}
        The whole network's verdict.
    tensors : tuple of TensorReport
        In the order of theta.
    method : {"parameter", "textbook"}
        How the numerical gradient was made.
    step : float or None
        The fixed step, or None where each parameter had its own.
    step_range : tuple of float
        Smallest and largest step used.
    sample_seed : int or None
        Seed of the draw of parameters; None where all were checked.
    parameters_total, parameters_checked : int
        Parameters of the network, and those compared.
    relative_difference : float
        As a tensor's, over all checked entries.
    loss : float
        fastgrad's value of the loss.
    claimed_loss : float or None
        The user's own value.
    loss_note : str or None
        Where the two differ: what reproduces the user's value.
    description : str
        The network in one line: "4-5-3-1, relu, relu, sigmoid; binary_crossentropy, mean over 3 examples".
    notes : tuple of str
        Further remarks, each a sentence.
    seconds : float
        Time of the whole check.
    threads : int
        Threads used.
    """

    verdict: Literal["right", "wrong", "not judged"]
    tensors: tuple[TensorReport, ...]
    method: str
    step: float | None
    step_range: tuple[float, float]
    sample_seed: int | None
    parameters_total: int
    parameters_checked: int
    relative_difference: float
    loss: float
    claimed_loss: float | None
    loss_note: str | None
    description: str
    notes: tuple[str, ...]
    seconds: float
    threads: int

    @property
    def passed(self) -> bool:
        """Whether every checked gradient is right."""
        return self.verdict == "right"
