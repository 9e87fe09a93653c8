"""The activations: one row for each, from which names, synonyms, defaults, kinks, tables and tests are made.

The compiled formulas stand in kernels/activations, one row for each code. Adding an activation is a row here, a code in
kernels/codes, and its formulas there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastgrad.errors import InputError, quoted
from fastgrad.kernels import codes

Kinks = Callable[[float], tuple[float, ...]]


@dataclass(frozen=True)
class Parameter:
    """The parameter of an activation or of a loss, written after its name: "leaky_relu:0.2".

    Attributes
    ----------
    words : str
        What it is.
    default : float
        Its value where none is said.
    may_be_zero : bool
        Whether 0 may be said.
    """

    words: str
    default: float
    may_be_zero: bool = False

    def read(self, name: str, number: str) -> float:
        """Read what was written after the colon.

        Raises
        ------
        InputError
            If it is no positive number.
        """
        try:
            value = float(number)
        except ValueError:
            value = float("nan")
        if not 0.0 <= value < float("inf") or (value == 0.0 and not self.may_be_zero):
            raise InputError(f"the parameter of {name} must be a positive number, found {quoted(f'{name}:{number}')}")
        return value


def parse(text: str, rows: dict[str, Parameter | None], what: str) -> tuple[str, float]:
    """Split "leaky_relu:0.2" into name and parameter, the default where none is given and 0 where there is none to give.

    Raises
    ------
    InputError
        If there is no such name, or its parameter is no positive number.
    """
    name, colon, number = text.partition(":")
    if name not in rows:
        raise InputError(f"unknown {what} {quoted(name)}; known are {', '.join(rows)}")
    parameter = rows[name]
    if parameter is None:
        if colon:
            raise InputError(f"{what} {name} has no parameter, found {quoted(text)}")
        return name, 0.0
    return name, parameter.read(name, number) if colon else parameter.default


@dataclass(frozen=True)
class Activation:
    """What there is to know of an activation, besides its compiled formulas.

    Attributes
    ----------
    name : str
        Its name.
    code : int or None
        Its code in the kernels; None of softmax, which only an output may have, as part of the loss.
    formula : str
        f(z) in words.
    slope : str
        f′(z) in words, a being f(z).
    synonyms : tuple of str
        Other names that people say, in lower case and with underscores.
    parameter : Parameter or None
        Its parameter p, if it has one.
    kinks : callable
        Where f′ or f″ jumps, by the parameter.
    rounding : tuple of int
        How its value and its slope round as usually computed, as kernels/codes has it.
    branched : bool
        Whether one who writes it takes one formula for z > 0 and another for z < 0, of which a test point may miss one.
    """

    name: str
    code: int | None
    formula: str
    slope: str
    synonyms: tuple[str, ...] = ()
    parameter: Parameter | None = None
    kinks: Kinks = lambda p: ()
    rounding: tuple[int, int] = (codes.EXACT, codes.EXACT)
    branched: bool = False


def _at(*kinks: float) -> Kinks:
    return lambda p: kinks


ROWS = (
    Activation("identity", codes.IDENTITY, "z", "1", ("linear", "none")),
    Activation(
        "sigmoid",
        codes.SIGMOID,
        "σ(z) = 1/(1 + e^−z)",
        "a(1 - a)",
        ("logistic", "expit"),
        rounding=(codes.RELATIVE, codes.OF_SIGMOID),
    ),
    Activation("tanh", codes.TANH, "tanh z", "1 - a²", rounding=(codes.BESIDE_ONE, codes.SATURATING)),
    Activation(
        "relu",
        codes.RELU,
        "max(0, z)",
        "1 where z > 0, else 0",
        ("rectifier",),
        kinks=_at(0.0),
        branched=True,
    ),
    Activation(
        "leaky_relu",
        codes.LEAKY_RELU,
        "z where z > 0, else p·z",
        "1 where z > 0, else the slope",
        ("leakyrelu", "lrelu"),
        Parameter("the slope on the left", 0.01, may_be_zero=True),
        _at(0.0),
        branched=True,
        rounding=(codes.RELATIVE, codes.EXACT),
    ),
    Activation(
        "elu",
        codes.ELU,
        "z where z > 0, else α(e^z − 1)",
        "1 where z > 0, else α·e^z",
        parameter=Parameter("α", 1.0),
        kinks=_at(0.0),
        branched=True,
        rounding=(codes.BESIDE_ONE, codes.SATURATING),
    ),
    Activation(
        "selu",
        codes.SELU,
        "λz where z > 0, else λα(e^z − 1), λ = 1.0507, α = 1.6733",
        "λ where z > 0, else λα·e^z",
        kinks=_at(0.0),
        branched=True,
        rounding=(codes.BESIDE_ONE, codes.SATURATING),
    ),
    Activation(
        "relu6",
        codes.RELU6,
        "min(max(0, z), 6)",
        "1 where 0 < z < 6, else 0",
        kinks=_at(0.0, 6.0),
        branched=True,
    ),
    Activation("softplus", codes.SOFTPLUS, "log(1 + e^z)", "σ(z)", rounding=(codes.BESIDE_ONE, codes.OF_SIGMOID)),
    Activation(
        "silu", codes.SILU, "z·σ(z)", "σ(z)(1 + z(1 - σ(z)))", ("swish",), rounding=(codes.OF_PRODUCT, codes.OF_PRODUCT_SLOPE)
    ),
    Activation(
        "gelu",
        codes.GELU,
        "z·Φ(z), Φ the normal distribution",
        "Φ(z) + z·φ(z)",
        rounding=(codes.OF_PRODUCT, codes.OF_PRODUCT_SLOPE),
    ),
    Activation(
        "gelu_tanh",
        codes.GELU_TANH,
        "z·σ(w), w = 2√(2/π)(z + 0.044715 z³)",
        "σ(w) + z·σ(w)(1 - σ(w))·2√(2/π)(1 + 0.134145 z²), w = 2√(2/π)(z + 0.044715 z³)",
        rounding=(codes.OF_PRODUCT, codes.OF_PRODUCT_SLOPE),
    ),
    Activation(
        "mish",
        codes.MISH,
        "z·tanh(log(1 + e^z))",
        "t + z(1 - t²)σ(z), t = tanh(log(1 + e^z))",
        rounding=(codes.OF_PRODUCT, codes.OF_PRODUCT_SLOPE),
    ),
    Activation(
        "softsign", codes.SOFTSIGN, "z/(1 + |z|)", "1/(1 + |z|)²", kinks=_at(0.0), rounding=(codes.RELATIVE, codes.PROPORTIONAL)
    ),
    Activation("arctan", codes.ARCTAN, "arctan z", "1/(1 + z²)", ("atan",), rounding=(codes.RELATIVE, codes.PROPORTIONAL)),
    Activation("sin", codes.SIN, "sin z", "cos z", ("sine",), rounding=(codes.RELATIVE, codes.SATURATING)),
    Activation(
        "hard_sigmoid",
        codes.HARD_SIGMOID,
        "min(max(0, p·z + ½), 1)",
        "p where 0 < a < 1, else 0",
        ("hardsigmoid",),
        Parameter("the slope in the middle", 1.0 / 6.0),
        lambda p: (-0.5 / p, 0.5 / p),
        rounding=(codes.BESIDE_ONE, codes.EXACT),
    ),
    Activation(
        "hard_tanh",
        codes.HARD_TANH,
        "min(max(−1, z), 1)",
        "1 where −1 < z < 1, else 0",
        ("hardtanh",),
        kinks=_at(-1.0, 1.0),
    ),
    Activation("exp", codes.EXP, "e^z", "a", ("exponential",), rounding=(codes.RELATIVE, codes.PROPORTIONAL)),
    Activation(
        "softmax",
        None,
        "e^z_k/Σ e^z, at the output only",
        "a_k(1 where j = k, else 0) - a_k·a_j",
        ("log_softmax", "logsoftmax"),
    ),
)

BY_NAME = {row.name: row for row in ROWS}
BY_CODE = {row.code: row for row in ROWS if row.code is not None}
ACTIVATIONS = tuple(BY_NAME)
"""Names a layer may have; softmax only at the output, where it belongs to the loss."""
ACTIVATION_CODES = {row.name: row.code for row in ROWS if row.code is not None}
"""Kernel codes of the activations that a hidden layer may have."""
_PARAMETERS = {row.name: row.parameter for row in ROWS}


def parse_activation(text: str) -> tuple[str, float]:
    """Split "leaky_relu:0.2" into name and parameter, the default where none is given and 0 where there is none to give.

    Raises
    ------
    InputError
        If there is no such activation, or its parameter is no positive number.
    """
    return parse(text, _PARAMETERS, "activation")
