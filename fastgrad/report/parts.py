"""The parts of a report: what was found of each gradient, and the mistakes that explain it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["right", "wrong", "right in float32", "at a kink", "not judged", "left out"]
MOST_MAPS = 6
"""Most wrong gradients of which a report keeps maps of the errors, to be drawn."""


@dataclass(frozen=True)
class Entry:
    """One entry of a tensor with both values; the index is into the user's own array."""

    index: tuple[int, ...]
    claimed: float
    numerical: float


@dataclass(frozen=True)
class Outcomes:
    """Parameters of a tensor by outcome; not judged are those that were not drawn, and all where rounding hides too much."""

    right: int = 0
    right_in_float32: int = 0
    at_kink: int = 0
    wrong: int = 0
    not_judged: int = 0


@dataclass(frozen=True)
class Sensitivity:
    """What a check would have caught in a tensor.

    Attributes
    ----------
    entry : float or None
        The error, relative to the root mean square of the numerical entries, above which it would have been caught in
        whichever of the checked entries; None where all are 0.
    whole : float or None
        The relative error common to all entries above which it would have been caught; None where all are 0.
    zeros_pass : bool
        Whether a gradient of nothing but zeros would have passed: only where the true one is zero to rounding.
    missed : tuple of (int, float)
        For 1, for 10 and for 1 % of the entries wrong beyond that: their number, and the chance that the draw missed all,
        by method directional that they cancel.
    """

    entry: float | None
    whole: float | None
    zeros_pass: bool
    missed: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Disagreement:
    """A parameter that the audit found another gradient for; the index is into the user's own array."""

    name: str
    index: tuple[int, ...]
    numerical: float
    plain: float


@dataclass(frozen=True)
class Audit:
    """What plain forward passes made of some random parameters.

    Attributes
    ----------
    compared, set_aside : int
        Parameters that were compared, and those that sit on a kink, where two textbook values are not the whole truth.
    seed : int
        Seed of the draw.
    disagreements : tuple of Disagreement
        Those that differ by more than the noise of the plain passes; where there is one, nothing is judged.
    """

    compared: int
    set_aside: int
    seed: int
    disagreements: tuple[Disagreement, ...] = ()


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
        The tensor's verdict; "left out" where the user said that it is not trained.
    relative_difference : float
        ‖claimed - numerical‖ / (‖claimed‖ + ‖numerical‖) over the checked entries; 0 where both norms are 0; nan where
        the claim is nan or nothing was checked.
    checked, wrong : int
        Entries compared, and entries found wrong.
    worst : Entry or None
        The entry furthest off in units of its rounding scale; None where nothing was checked.
    ratio : float or None
        claimed / numerical where that is the same number over the whole tensor and the tensor is wrong.
    tolerance : float
        Largest ``|claimed - numerical|`` / rounding scale that counts as right, in unit roundoffs.
    located : tuple of Entry
        By method directional: the wrong entries, worst first, which `wrong` counts.
    more : bool
        Whether more entries are wrong than were located.
    precision : {"float64", "float32", "float16", "bfloat16"}
        The precision whose unit roundoff that is.
    outcomes : Outcomes
        Its parameters by outcome.
    sensitivity : Sensitivity or None
        What would have been caught; None where nothing was checked.
    written : str or None
        How coarsely the gradient was written where that was allowed for, as "the 8 decimals that were given".
    unseen : float
        The largest error of an entry that would have passed.
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
    located: tuple[Entry, ...] = ()
    more: bool = False
    precision: str = "float64"
    outcomes: Outcomes = Outcomes()
    sensitivity: Sensitivity | None = None
    written: str | None = None
    unseen: float = 0.0


@dataclass(frozen=True)
class ErrorMap:
    """Where a wrong gradient is off, in the user's own layout, large ones reduced to blocks of entries.

    Attributes
    ----------
    gradient_name : str
        The user's name of the gradient.
    axes : tuple of str
        What a row and what a column of the map is: "unit" of the layer or "input"; a bias is one row.
    rows, columns : tuple of int
        Index of the first entry of each block in the user's array, and at the end the one after the last.
    errors : tuple of tuple of float
        Largest ``|claimed - numerical|`` of each block, relative to `unit`; nan where nothing was checked, inf where the claim
        is no number.
    wrong : tuple of tuple of bool
        Whether an entry of the block is wrong.
    unit : float
        The largest ``|numerical|`` of the tensor, 1 where all are 0.
    count, checked : int
        Wrong entries, and entries compared.
    """

    gradient_name: str
    axes: tuple[str, str]
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    errors: tuple[tuple[float, ...], ...]
    wrong: tuple[tuple[bool, ...], ...]
    unit: float
    count: int
    checked: int


@dataclass(frozen=True)
class Alternative:
    """Another mistake that gives the same numbers at this point, and what would tell the two apart."""

    code: str
    tensor: str
    layer: int
    sentence: str
    separate: str


@dataclass(frozen=True)
class Finding:
    """A mistake that explains wrong gradients, or the place where an unknown one enters.

    Attributes
    ----------
    code : str
        Its stable code; `fastgrad explain CODE` says more.
    tensor : str
        The user's names of the gradients it is in, or dZ of a layer where it is in what flows down.
    layer : int
        Where, from 1; everything below is affected where it is in the flow. 0 of a function, which has no layers.
    sentence, repair, formula : str
        What was done, how to repair it, and the right formula.
    explains, entries : int
        Entries that it explains to rounding, of all that it affects.
    residual : float
        Largest ``|claimed - explained|``, relative to the size of what is added up to make the entry.
    picture : tuple of str
        Where nothing explains the first wrong tensor: a map of it, units by inputs, darker where it is further off.
    next_best : float or None
        The same of the nearest hypothesis that does not explain the numbers.
    alternatives : tuple of Alternative
        Other mistakes that cannot be told from it at this point.
    confident : bool
        Whether every entry affected is explained to rounding.
    concerns : tuple of str
        The user's names of the wrong gradients that it affects.
    title : str
        What the code stands for, in a few words.
    line : str
        The line as the numbers say it is, where `formula` belongs; empty where that is not one line.
    where : str
        Of a backward function: the statement of its file that assigns what the finding is about, "file.py:34: dW2 = …".
    """

    code: str
    tensor: str
    layer: int
    sentence: str
    repair: str
    formula: str
    explains: int
    entries: int
    residual: float
    picture: tuple[str, ...] = ()
    next_best: float | None = None
    alternatives: tuple[Alternative, ...] = ()
    confident: bool = True
    concerns: tuple[str, ...] = ()
    title: str = ""
    line: str = ""
    where: str = ""
