"""Records of arrays and numbers that kernels take as one argument; importing them needs no numba.

A record is a tuple with names. numba passes it as it passes its parts, one after the other, so that machine code takes the
same words whether they are bundled or not. A signature names a record by its class, as in void(Tables, i8, f8[::1]).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple, get_type_hints

import numpy as np
import numpy.typing as npt

# Types of a record's parts, as numba writes them.
Count = Annotated[int, "i8"]
Place = Annotated[Any, "i8"]
"""A count that kernels count with: numba's type or Python's."""
Unsigned = Annotated[np.uint64, "u8"]
Real = Annotated[float, "f8"]
Vector = Annotated[npt.NDArray[np.float64], "f8[::1]"]
Matrix = Annotated[npt.NDArray[np.float64], "f8[:,::1]"]
Planes = Annotated[npt.NDArray[np.float64], "f8[:,:,::1]"]
Indices = Annotated[npt.NDArray[np.int64], "i8[::1]"]
IndexTable = Annotated[npt.NDArray[np.int64], "i8[:,::1]"]
Truths = Annotated[npt.NDArray[np.bool_], "b1[::1]"]
Keys = Annotated[npt.NDArray[np.uint64], "u8[::1]"]
Addresses = Annotated[Any, "i8[::1]"]
"""Of kernels; without compilation a list of the functions themselves."""

NO_ADDRESSES = np.zeros(3, dtype=np.int64)


class Activation(NamedTuple):
    """The activation of a layer."""

    code: Count
    parameter: Real
    value_rounding: Count
    slope_rounding: Count
    """How the two round, as `codes` has it."""
    kinks: Vector
    """Where f′ or f″ jumps, and two Taylor terms end."""


class Loss(NamedTuple):
    """A loss and what is tabulated of the outputs; m counts the samples."""

    code: Count
    parameter: Real
    """δ of Huber, the margin of a hinge."""
    outputs: Planes
    """Shape (7, m, n_L); its planes are named in `codes`."""
    top: Indices
    """Shape (m,): largest logit; of a hinge the target class."""


class Tables(NamedTuple):
    """The base point as kernels see it; U counts the units of all layers above the input, m the samples."""

    theta: Vector
    """Parameters, shape (P,)."""
    layers: IndexTable
    """Shape (4, L + 1); its rows, like the planes below, are named in `codes`."""
    shapes: Vector
    """Shape (L,): the parameter of each layer's activation, such as a slope."""
    units: Planes
    """Shape (5, m, U)."""
    outputs: Planes
    """This and the rest as in `Loss`."""
    top: Indices
    loss_code: Count
    loss_parameter: Real
    exact: Addresses = NO_ADDRESSES
    """Shape (3,): the kernels of exact differences, as in `codes`; 0 for what no move needs."""

    @property
    def loss(self) -> Loss:
        """The part that is the loss's."""
        return Loss(self.loss_code, self.loss_parameter, self.outputs, self.top)


class Here(NamedTuple):
    """Where a tile has got to: layer and sample, and how far a z of that layer may move at most."""

    layer: Count
    sample: Count
    bound: Real


class Moves(NamedTuple):
    """Rows of moves in memory: row k begins at numbers[(first + k)·stride] and has `columns` numbers."""

    numbers: Vector
    first: Place
    columns: Unsigned
    stride: Unsigned


class Tile(NamedTuple):
    """A tile's rows: changes of the perturbed units' activations, of the loss, and, in `work`, of the units of two layers.

    The two take turns at being read and being written; `active` lists their units where their rows lie. Of each row the
    first `columns` are carried, and of each half of it the first `used` hold perturbations.
    """

    first: Vector
    total: Vector
    work: Vector
    active: Indices
    columns: Unsigned
    used: Count


class Terms(NamedTuple):
    """Rows that are still to be made: row r is x·(numbers[r] + x·numbers[size + r]), x being a tile's `first`.

    A size of 0 says that they have been made.
    """

    numbers: Vector
    size: Place


class Weights(NamedTuple):
    """A matrix in theta, or another vector: its first index there, and its columns.

    The rows that it is multiplied with lie one after the other, in the order of the list of their units, or, where `spread`
    is 1, as far from each other as their units are.
    """

    theta: Vector
    start: Count
    columns: Count
    spread: Place


class Parameters(NamedTuple):
    """Parameters of one layer whose difference quotients are wanted, as `launch.parameter_differences` explains."""

    layer: Count
    inputs: Matrix
    steps: Vector
    bounds: Vector
    selected: Indices
    tiles: Indices
    order: Indices


class Preactivations(NamedTuple):
    """Pre-activations of one layer whose difference quotients are wanted, as `launch.preactivation_differences` explains."""

    layer: Count
    step: Real
    bounds: Vector
    samples: Indices


class ParameterRoom(NamedTuple):
    """Room that one thread works in: rows of a tile, their units, their terms, runs and groups of columns."""

    memory: Vector
    active: Indices
    terms: Vector
    runs: IndexTable
    groups: IndexTable


class PreactivationRoom(NamedTuple):
    """Room likewise: rows of a tile, their units, the layer's units that a change can pass, those that a tile changes."""

    memory: Vector
    active: Indices
    changeable: Indices
    changed: Indices


class Forward(NamedTuple):
    """What a whole forward pass takes of a network."""

    theta: Vector
    layers: IndexTable
    shapes: Vector
    biases: Truths
    """Shape (L,): whether a layer has a bias."""
    masks: Matrix
    """Shape (U, m) or (0, 0): what dropout multiplies the activations of all layers above the input with, if it does."""


class Examples(NamedTuple):
    """What a whole forward pass is made for and what its loss takes, arrays as (units, samples)."""

    x: Matrix
    y: Matrix
    factors: Matrix
    """Shape (n_L, m): what multiplies the loss of each output; of a loss that couples them, that of the sample."""
    loss_code: Count
    loss_parameter: Real


class FirstLayer(NamedTuple):
    """What one pass over the inputs finds of the first layer."""

    z: Matrix
    """x @ Wᵀ, without biases, shape (m, n_1)."""
    squares: Matrix
    """Σ (xw)², likewise."""
    sums: Vector
    """Σ x², shape (m,)."""
    largest: Vector
    """The largest |x| of each column, shape (n_0,)."""


class SignedRows(NamedTuple):
    """Rows of a matrix, and the signs that they are summed with, as `launch.signed_sums` explains."""

    keys: Keys
    counter: Count
    words: Count
    left: Count
    right: Count
    columns: Count
    values: Vector
    unit: Real


class Allowance(NamedTuple):
    """How far claims may be off, made of R and of the numerical value: in the claim's own precision, and in double."""

    unit: Real
    """Of R."""
    growth: Real
    """What the sum over the samples rounds of the value."""
    coarse: Real
    least: Real
    fine: Real
    least_fine: Real


class FirstClaims(NamedTuple):
    """The claimed gradient of the first layer's W, with few units, and what it is held against."""

    inputs: Matrix
    """Shape (m, n_0)."""
    claimed: Matrix
    """Shape (n_1, n_0)."""
    flow: Matrix
    """dZ, shape (m, n_1), of which the numerical gradient follows; without rows where `values` are given."""
    values: Matrix
    """The numerical gradient, shape (n_1, n_0); without rows where `flow` is given."""
    disturbed: Matrix
    """What multiplies the squares of the inputs in R², shape (m, n_1)."""
    unit: Real
    """What multiplies the inputs before they are squared."""
    least: Real
    """What the square of an input that is not zero counts as at least."""
    width: Count
    """Columns of a block."""


def parts_of(record: type) -> list[str]:
    """List the types of a record's parts, as numba writes them."""
    return [hint.__metadata__[0] for hint in get_type_hints(record, include_extras=True).values()]


def read_signature(signature: str) -> list[tuple[type | None, list[str]]]:
    """Read each argument of a signature: its record, None where it is none, and the types of its parts."""
    arguments = []
    for word, kind in re.findall(r"\b([A-Z]\w+)\b|(\w\d(?:\[[^\]]*\])?)", signature.partition("(")[2]):
        record = globals()[word] if word else None
        arguments.append((record, parts_of(record) if record else [kind]))
    return arguments


def flat_signature(signature: str) -> str:
    """Write a signature with the parts of records in their place."""
    return f"void({', '.join(kind for _, kinds in read_signature(signature) for kind in kinds)})"


def flat_arguments(arguments: tuple[Any, ...]) -> Iterator[Any]:
    """Yield the parts of records, and what is none as it is."""
    for argument in arguments:
        if isinstance(argument, tuple):
            yield from argument
        else:
            yield argument
