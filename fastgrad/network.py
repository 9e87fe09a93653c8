"""What a network is: widths, activations, loss, penalty, and the flat parameter vector theta with its offset tables.

Every room below this one (interpret, numerical, backprop, verdict, report) speaks in these types. Arrays are
(samples, units): the row of one sample lies contiguous. theta holds W then b, layer after layer, each W row-major as
(n_out, n_in). Layers are numbered from 1 in names (W1, b1), from 0 in tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from fastgrad.errors import InputError
from fastgrad.kernels import codes

Array = npt.NDArray[np.float64]
Offsets = npt.NDArray[np.int64]

ACTIVATION_CODES = {
    "identity": codes.IDENTITY,
    "sigmoid": codes.SIGMOID,
    "tanh": codes.TANH,
    "relu": codes.RELU,
    "leaky_relu": codes.LEAKY_RELU,
    "elu": codes.ELU,
    "selu": codes.SELU,
    "relu6": codes.RELU6,
    "softplus": codes.SOFTPLUS,
    "silu": codes.SILU,
    "gelu": codes.GELU,
    "gelu_tanh": codes.GELU_TANH,
    "mish": codes.MISH,
    "softsign": codes.SOFTSIGN,
    "arctan": codes.ARCTAN,
    "sin": codes.SIN,
    "hard_sigmoid": codes.HARD_SIGMOID,
    "hard_tanh": codes.HARD_TANH,
    "exp": codes.EXP,
}
ACTIVATIONS = (*ACTIVATION_CODES, "softmax")
"""Names a layer may have; softmax only at the output, where it belongs to the loss."""

ACTIVATION_PARAMETERS = {"leaky_relu": 0.01, "elu": 1.0, "hard_sigmoid": 1.0 / 6.0}
"""Activations with a parameter, and its default: slope on the left, α, slope in the middle; written "leaky_relu:0.2"."""


def parse_activation(text: str) -> tuple[str, float]:
    """Split "leaky_relu:0.2" into name and parameter, the default where none is given and 0 where there is none to give.

    Raises
    ------
    InputError
        If there is no such activation, or its parameter is no positive number.
    """
    name, colon, number = text.partition(":")
    if name not in ACTIVATIONS:
        raise InputError(f"unknown activation {name!r}; known are {', '.join(ACTIVATIONS)}")
    if colon and name not in ACTIVATION_PARAMETERS:
        raise InputError(f"activation {name} has no parameter, found {text!r}")
    try:
        parameter = float(number) if colon else ACTIVATION_PARAMETERS.get(name, 0.0)
    except ValueError:
        parameter = float("nan")
    if not 0.0 <= parameter < float("inf") or (colon and parameter == 0.0 and name != "leaky_relu"):
        raise InputError(f"the parameter of {name} must be a positive number, found {text!r}")
    return name, parameter


LOSS_CODES = {
    "binary_crossentropy": codes.BINARY_CROSSENTROPY,
    "softmax_crossentropy": codes.SOFTMAX_CROSSENTROPY,
    "squared_error": codes.SQUARED,
    "mse": codes.SQUARED,
}
LOSSES = tuple(LOSS_CODES)
REDUCTIONS = ("mean", "sum")

LOGIT_OUTPUT = {"binary_crossentropy": "sigmoid", "softmax_crossentropy": "softmax"}
"""Losses computed from the logits, and the output activation that they contain."""


class Penalty(NamedTuple):
    """What the penalty ½·l2·Σw² + l1·Σ|w| takes in of theta, and its coefficients there."""

    place: slice
    l2: float
    l1: float


@dataclass(frozen=True)
class Network:
    """A multilayer perceptron with its loss, without its numbers.

    Attributes
    ----------
    widths : tuple of int
        Units per layer, the input first: n_0, n_1, ..., n_L.
    activations : tuple of str
        One for each of the L layers, from `ACTIVATIONS`, with a parameter where it is not the default: "leaky_relu:0.2".
    loss : str
        One of `LOSSES`. Per sample: ``squared_error`` is ½Σ(a−y)², ``mse`` the mean over outputs of (a−y)²; the
        cross-entropies are computed from the logits.
    reduction : {"mean", "sum"}
        How the losses of the samples are put together.
    biases : tuple of bool
        For each layer, whether it has a bias.
    l2, l1 : tuple of float
        c of the penalties ½·c·Σw² and c·Σ|w|, one for each parameter tensor in theta's order (W1, b1, W2, …, the biases
        that there are), added as they are, whatever the reduction; empty where there is no such penalty.

    Raises
    ------
    InputError
        If the items contradict each other.
    """

    widths: tuple[int, ...]
    activations: tuple[str, ...]
    loss: str
    reduction: str
    biases: tuple[bool, ...]
    l2: tuple[float, ...] = ()
    l1: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if len(self.widths) < 2 or min(self.widths) < 1:
            raise InputError(
                f"a network needs an input and at least one layer of at least one unit, found widths {self.widths}"
            )
        if len(self.activations) != self.depth or len(self.biases) != self.depth:
            raise InputError(
                f"{self.depth} layers need {self.depth} activations, found {len(self.activations)}: "
                f"{', '.join(self.activations)}"
            )
        for layer, activation in enumerate(self.activations, start=1):
            if parse_activation(activation)[0] == "softmax" and layer < self.depth:
                raise InputError(f"softmax can only be the output activation, found it in layer {layer} of {self.depth}")
        if self.loss not in LOSSES:
            raise InputError(f"unknown loss {self.loss!r}")
        if self.reduction not in REDUCTIONS:
            raise InputError(f"reduction must be one of {', '.join(REDUCTIONS)}, found {self.reduction!r}")
        needed = LOGIT_OUTPUT.get(self.loss)
        if needed is not None and self.activations[-1] != needed:
            raise InputError(f"{self.loss} goes with a {needed} output, found {self.activations[-1]}")
        if needed is None and self.activations[-1] == "softmax":
            raise InputError(f"a softmax output goes with softmax_crossentropy, found {self.loss}")
        for name, coefficients in (("l2", self.l2), ("l1", self.l1)):
            if len(coefficients) not in {0, len(self.tensor_slices)}:
                raise InputError(f"{len(self.tensor_slices)} tensors need as many numbers {name}, found {len(coefficients)}")
            for c in coefficients:
                if not 0.0 <= c < float("inf"):
                    raise InputError(f"{name} must be a finite number of at least 0, found {c}")

    @property
    def depth(self) -> int:
        """Number of layers with parameters, L."""
        return len(self.widths) - 1

    @property
    def activation_codes(self) -> tuple[int, ...]:
        """Kernel codes, the output's being identity where the loss works on the logits."""
        names = [parse_activation(text)[0] for text in self.activations]
        output = codes.IDENTITY if self.loss in LOGIT_OUTPUT else ACTIVATION_CODES[names[-1]]
        return (*(ACTIVATION_CODES[name] for name in names[:-1]), output)

    @property
    def activation_parameters(self) -> tuple[float, ...]:
        """The parameter of each layer's activation, 0 where it has none."""
        return tuple(parse_activation(text)[1] for text in self.activations)

    @property
    def loss_code(self) -> int:
        """Kernel code of the loss."""
        return LOSS_CODES[self.loss]

    def sample_factor(self, samples: int) -> float:
        """Return what each sample's kernel loss is multiplied with: the reduction and the loss's own constant."""
        constant = {"squared_error": 0.5, "mse": 1.0 / self.widths[-1]}.get(self.loss, 1.0)
        return constant / samples if self.reduction == "mean" else constant

    @cached_property
    def weight_offsets(self) -> Offsets:
        """First index in theta of each layer's W, shape (L,)."""
        sizes = [
            n_out * n_in + has * n_out for n_in, n_out, has in zip(self.widths, self.widths[1:], self.biases, strict=False)
        ]
        return np.concatenate(([0], np.cumsum(sizes)[:-1])).astype(np.int64)

    @cached_property
    def bias_offsets(self) -> Offsets:
        """First index in theta of each layer's b, shape (L,); where a layer has none, the next layer's start."""
        widths = np.asarray(self.widths, dtype=np.int64)
        return self.weight_offsets + widths[1:] * widths[:-1]

    @property
    def size(self) -> int:
        """Number of parameters P, the length of theta."""
        return int(self.bias_offsets[-1]) + self.biases[-1] * self.widths[-1]

    def weight_slice(self, layer: int) -> slice:
        """Place of W of a layer (from 0) in theta."""
        return slice(int(self.weight_offsets[layer]), int(self.bias_offsets[layer]))

    def bias_slice(self, layer: int) -> slice:
        """Place of b of a layer (from 0) in theta; empty where the layer has none."""
        start = int(self.bias_offsets[layer])
        return slice(start, start + self.biases[layer] * self.widths[layer + 1])

    @property
    def tensor_slices(self) -> dict[str, slice]:
        """Places in theta of W1, b1, W2, …, without the biases that there are not."""
        places = {}
        for layer, biased in enumerate(self.biases):
            places[f"W{layer + 1}"] = self.weight_slice(layer)
            if biased:
                places[f"b{layer + 1}"] = self.bias_slice(layer)
        return places

    @property
    def penalties(self) -> tuple[Penalty, ...]:
        """The tensors that a penalty takes in."""
        none = (0.0,) * len(self.tensor_slices)
        every = map(Penalty, self.tensor_slices.values(), self.l2 or none, self.l1 or none)
        return tuple(penalty for penalty in every if penalty.l2 or penalty.l1)

    def W(self, theta: Array, layer: int) -> Array:
        """View of W of a layer (from 0), shape (n_out, n_in)."""
        return theta[self.weight_slice(layer)].reshape(self.widths[layer + 1], self.widths[layer])

    def b(self, theta: Array, layer: int) -> Array:
        """View of b of a layer (from 0), shape (n_out,), or (0,) where the layer has none."""
        return theta[self.bias_slice(layer)]

    def locate(self, k: int) -> str:
        """Name the parameter at index k of theta, as in "W2[3, 1]".

        Raises
        ------
        IndexError
            If theta has no index k.
        """
        if not 0 <= k < self.size:
            raise IndexError(f"theta has indices 0 to {self.size - 1}, found {k}")
        layer = int(np.searchsorted(self.weight_offsets, k, side="right")) - 1
        if k < self.bias_offsets[layer]:
            unit, source = divmod(k - int(self.weight_offsets[layer]), self.widths[layer])
            return f"W{layer + 1}[{unit}, {source}]"
        return f"b{layer + 1}[{k - int(self.bias_offsets[layer])}]"


@dataclass(frozen=True)
class Tensor:
    """One parameter array as the user has it, and where it lies in theta.

    Attributes
    ----------
    name : str
        The user's own name, such as "W2" or "fc1.weight"; for a bias that shares its array with W, "theta1 (bias)".
    layer : int
        Layer, from 0.
    kind : {"W", "b"}
        Weight or bias.
    start, stop : int
        Its place in theta.
    canonical_shape : tuple of int
        (n_out, n_in) of a W, (n_out,) of a b.
    shape : tuple of int
        The shape of the user's array.
    transposed : bool
        Whether the user's array is (n_in, n_out); False for a vector, and for a bias that has an array of its own.
    gradient_name : str or None
        The user's name of the claimed gradient; None where there is none to judge.
    precision : {"float64", "float32", "float16"}
        The precision of the claimed gradient, or of the parameter where there is none.
    column : int or None
        Where W and b share one array: the index of the bias row or column in it (0 or -1); else None.
    """

    name: str
    layer: int
    kind: Literal["W", "b"]
    start: int
    stop: int
    canonical_shape: tuple[int, ...]
    shape: tuple[int, ...]
    transposed: bool
    gradient_name: str | None
    precision: str
    column: int | None = None

    @property
    def size(self) -> int:
        """Number of entries."""
        return self.stop - self.start

    def user_index(self, offset: int) -> tuple[int, ...]:
        """Index in the user's own array of the entry at an offset from `start`."""
        entries = prod(self.shape)
        n_out = self.canonical_shape[0]
        if self.kind == "W":
            unit, source = divmod(offset, self.canonical_shape[1])
            source += self.column == 0
        elif self.column is not None:
            unit, source = offset, self.column % (entries // n_out)
        else:  # where one number serves the whole layer, it is that number
            unit, source = (0 if entries == 1 else offset), 0
        position = source * n_out + unit if self.transposed else unit * (entries // n_out or 1) + source
        return tuple(int(i) for i in np.unravel_index(position, self.shape))


@dataclass(frozen=True, eq=False)
class Problem:
    """A network with its numbers and the gradients that somebody claims for it. Built at the door, valid from there on.

    Attributes
    ----------
    network : Network
        The description.
    theta : ndarray, shape (P,)
        The parameters.
    X : ndarray, shape (m, n_0)
        The inputs, C-contiguous.
    Y : ndarray, shape (m, n_L)
        The targets as the loss takes them: classes one-hot.
    tensors : tuple of Tensor
        The user's parameter arrays in theta's order.
    claimed : ndarray, shape (P,), or None
        The claimed gradient; nan where a tensor has none (its `gradient_name` is None) or where the user's has nan.
    claimed_loss : float or None
        The user's own value of the loss.
    masks : tuple of (ndarray, shape (m, n_l), or None)
        Recorded dropout: what multiplies the input a_l of each layer l (from 0), the factor 1/keep_prob of inverted
        dropout in it; None where nothing is dropped, and no entries where nothing is anywhere.
    notes : tuple of str
        What the user should know of how the arrays were read.
    zero_penalties : tuple of str
        Which of "l2" and "l1" were given, as 0.
    """

    network: Network
    theta: Array
    X: Array
    Y: Array
    tensors: tuple[Tensor, ...]
    claimed: Array | None
    claimed_loss: float | None
    masks: tuple[Array | None, ...] = ()
    notes: tuple[str, ...] = ()
    zero_penalties: tuple[str, ...] = ()

    def mask(self, layer: int) -> Array | None:
        """Return what multiplies the input of a layer (from 0), None where nothing is dropped; the output is never."""
        return self.masks[layer] if layer < len(self.masks) else None

    @property
    def samples(self) -> int:
        """Number of samples m."""
        return int(self.X.shape[0])
