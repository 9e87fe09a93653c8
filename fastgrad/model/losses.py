"""The losses: one row for each, from which names, synonyms, what goes with what, tables and tests are made.

The compiled formulas stand in kernels/losses, chosen by code; what rounding does to its slope is in model/outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

from fastgrad.kernels import codes
from fastgrad.model.activations import Parameter, parse


class Targets(NamedTuple):
    """What a loss takes for targets: in words, and their smallest and largest."""

    words: str
    least: float = -inf
    most: float = inf


NUMBERS = Targets("numbers")
LABELS = Targets("labels from 0 to 1", 0.0, 1.0)
COUNTS = Targets("counts of at least 0", 0.0)
SIDES = Targets("classes; of a single output −1 and +1, or 0 and 1")


@dataclass(frozen=True)
class Loss:
    """What there is to know of a loss, besides its compiled formulas.

    Attributes
    ----------
    name : str
        Its name.
    code : int or None
        Its code in the kernels after any output; None where it goes only with one that is part of it.
    formula : str
        The loss of one example in words.
    after : str
        In words, after which outputs it may come.
    synonyms : tuple of str
        Other names that people say, in lower case and with underscores.
    parameter : Parameter or None
        Its parameter, if it has one.
    logits : mapping
        Output activations that are part of it, so that it is computed from their argument, and the codes with them.
    contained : str
        Which of these is meant where no output activation is said; empty where one must be.
    targets : Targets
        What its targets are.
    constant : float
        What the loss has that its kernel has not.
    over_outputs : bool
        Whether it is a mean over the outputs, else a sum.
    smoothed : bool
        Whether its labels may be smoothed.
    less_entropy : bool
        Whether, with logits, its kernel is that of the cross-entropy, from which the entropy of the targets is taken.
    positive_output : bool
        Whether it takes the logarithm of the outputs, where these are not logits.
    kinks : str
        In words, where its slope jumps, or the slope of that; empty where neither does.
    """

    name: str
    code: int | None
    formula: str
    after: str
    synonyms: tuple[str, ...] = ()
    parameter: Parameter | None = None
    logits: Mapping[str, int] = field(default_factory=dict)
    contained: str = ""
    targets: Targets = NUMBERS
    constant: float = 1.0
    over_outputs: bool = False
    smoothed: bool = False
    less_entropy: bool = False
    positive_output: bool = False
    kinks: str = ""

    @property
    def class_per_output(self) -> bool:
        """Whether each output is a class; else each output tells two apart, as one behind a sigmoid does."""
        return "sigmoid" not in self.logits


ANY = "any, softmax too"
MARGIN = Parameter("the margin", 1.0)


def _of_a_difference(name: str, code: int, formula: str, synonyms: tuple[str, ...] = (), **others: object) -> Loss:
    """Make the row of a loss of a − y, which may follow a softmax; its code then has that in it."""
    return Loss(name, code, formula, ANY, synonyms, logits={"softmax": code + codes.OF_SOFTMAX}, **others)  # type: ignore[arg-type]


def _squares(name: str, formula: str, synonyms: tuple[str, ...], constant: float, over_outputs: bool) -> Loss:
    return _of_a_difference(
        name, codes.SQUARED, formula, synonyms,
        constant=constant, over_outputs=over_outputs,
    )  # fmt: skip


ROWS = (
    Loss(
        "binary_crossentropy", None, "−Σ y·log a + (1 − y)·log(1 − a), from the logits", "sigmoid, one output or many; softmax",
        ("bce", "binary_cross_entropy", "log_loss", "logloss"),
        logits={"sigmoid": codes.BINARY_CROSSENTROPY, "softmax": codes.BINARY_CROSSENTROPY + codes.OF_SOFTMAX},
        contained="sigmoid", targets=LABELS, smoothed=True,
    ),
    Loss(
        "softmax_crossentropy", codes.SOFTMAX_CROSSENTROPY, "−Σ y·log p, from the logits; rows of y need not sum to one",
        "softmax; of any other output it takes the softmax itself",
        (
            "softmax_cross_entropy", "categorical_crossentropy", "categorical_cross_entropy",
            "sparse_categorical_crossentropy", "nll",
        ),
        logits={"softmax": codes.SOFTMAX_CROSSENTROPY}, contained="softmax", targets=LABELS, smoothed=True,
    ),
    _squares("squared_error", "½Σ(a − y)²", ("half_squared_error", "quadratic"), 0.5, over_outputs=False),
    _squares("sum_squared_error", "Σ(a − y)²", ("sse",), 1.0, over_outputs=False),
    _squares("mse", "mean over the outputs of (a − y)²", ("mean_squared_error",), 1.0, over_outputs=True),
    _squares("half_mse", "half the mean over the outputs of (a − y)²", ("half_mean_squared_error",), 0.5, over_outputs=True),
    _of_a_difference(
        "absolute_error", codes.ABSOLUTE, "mean over the outputs of |a − y|", ("mae", "l1", "mean_absolute_error"),
        over_outputs=True, kinks="a = y",
    ),
    _of_a_difference("sum_absolute_error", codes.ABSOLUTE, "Σ|a − y|", ("sae",), kinks="a = y"),
    _of_a_difference(
        "huber", codes.HUBER, "mean over the outputs of ½(a − y)² where |a − y| ≤ δ, else δ(|a − y| − ½δ)",
        ("smooth_l1", "huber_loss"), parameter=Parameter("δ", 1.0),
        over_outputs=True, kinks="|a − y| = δ",
    ),
    _of_a_difference(
        "log_cosh", codes.LOG_COSH, "mean over the outputs of log cosh(a − y)", ("logcosh",),
        over_outputs=True,
    ),
    Loss(
        "hinge", codes.HINGE, "Σ max(0, margin + a_j − a_c) over the other classes; of one output max(0, margin − y·a)",
        "any but softmax", ("hinge_loss", "svm"), MARGIN, targets=SIDES, kinks="where a maximum changes sides",
    ),
    Loss(
        "squared_hinge", codes.SQUARED_HINGE, "Σ of the squares of the terms of hinge", "any but softmax", ("hinge_squared",),
        MARGIN, targets=SIDES, kinks="where a maximum changes sides",
    ),
    Loss(
        "poisson", codes.POISSON, "mean over the outputs of a − y·log a", "exp, or any output above 0", ("poisson_nll",),
        logits={"exp": codes.POISSON_OF_LOGIT}, targets=COUNTS, over_outputs=True, positive_output=True,
    ),
    Loss(
        "kl_divergence", codes.KL_DIVERGENCE, "Σ y·log(y/a)", "softmax, or any output above 0",
        ("kl", "kld", "kullback_leibler"),
        logits={"softmax": codes.SOFTMAX_CROSSENTROPY}, targets=LABELS, smoothed=True, less_entropy=True,
        positive_output=True,
    ),
)  # fmt: skip

BY_NAME = {row.name: row for row in ROWS}
LOSSES = tuple(BY_NAME)
LOGIT_OUTPUT = {row.name: row.contained for row in ROWS if row.contained}
"""The cross-entropies, and the output activation that is meant where none is said."""
OF_SOFTMAX = tuple(row.name for row in ROWS if "softmax" in row.logits and row.contained != "softmax")
"""Losses besides its cross-entropy that go with a softmax output."""
OF_A_DIFFERENCE = (codes.SQUARED, codes.ABSOLUTE, codes.HUBER, codes.LOG_COSH)
"""Kernel codes of the losses of a − y, which go with any output, softmax included."""
SMOOTHED = tuple(row.name for row in ROWS if row.smoothed)
"""Losses whose labels may be smoothed."""
HINGES = frozenset(row.name for row in ROWS if row.targets is SIDES)
_PARAMETERS = {row.name: row.parameter for row in ROWS}


def parse_loss(text: str) -> tuple[str, float]:
    """Split "huber:0.7" into name and parameter, the default where none is given and 0 where there is none to give.

    Raises
    ------
    InputError
        If there is no such loss, or its parameter is no positive number.
    """
    return parse(text, _PARAMETERS, "loss")
