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

from fastgrad.errors import InputError, quoted, shortened
from fastgrad.kernels import codes
from fastgrad.model import losses
from fastgrad.model.activations import ACTIVATION_CODES, parse_activation
from fastgrad.model.grain import Grain
from fastgrad.model.losses import LOGIT_OUTPUT, OF_SOFTMAX, SMOOTHED, parse_loss
from fastgrad.model.stored import Stored

Array = npt.NDArray[np.float64]
Offsets = npt.NDArray[np.int64]

REDUCTIONS = ("mean", "sum", "weighted_mean")


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
        One of `LOSSES`, with a parameter where it is not the default: "huber:0.7". Per sample: ``squared_error`` is
        ½Σ(a−y)², ``sum_squared_error`` Σ(a−y)², ``mse`` its mean over outputs and ``half_mse`` half of that;
        ``absolute_error`` (|a−y|), ``huber``, ``log_cosh`` and ``poisson`` (a − y·log a) are means over outputs,
        ``sum_absolute_error``, ``kl_divergence`` (y·log(y/a)) and ``binary_crossentropy`` sums; ``hinge`` is
        Σ_{j≠c} max(0, margin + a_j − a_c), of a single output max(0, margin − y·a), ``squared_hinge`` that of the squares.
        The cross-entropies, whatever follows a softmax, and ``poisson`` after exp are computed from the logits.
    reduction : {"mean", "sum", "weighted_mean"}
        How the losses of the samples are put together; a weighted mean is divided by the sum of their weights, that of an
        example times that of its class.
    biases : tuple of bool
        For each layer, whether it has a bias.
    l2, l1 : tuple of float
        c of the penalties ½·c·Σw² and c·Σ|w|, one for each parameter tensor in theta's order (W1, b1, W2, …, the biases
        that there are), added as they are, whatever the reduction; empty where there is no such penalty.
    class_weights : tuple of float
        What multiplies the targets of each class of a softmax cross-entropy, or the loss of the labels 0 and 1 of a binary
        one; empty where nothing does.
    label_smoothing : float
        s of the targets (1 − s)·y + s/K of a softmax with K outputs, (1 − s)·y + s/2 of a binary cross-entropy.
    scale : float
        What the loss of the examples is multiplied with once more, however it is put together; the penalties are not.

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
    class_weights: tuple[float, ...] = ()
    label_smoothing: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        if len(self.widths) < 2 or min(self.widths) < 1:
            raise InputError(
                f"a network needs an input and at least one layer of at least one unit, found widths {self.widths}"
            )
        if len(self.activations) != self.depth or len(self.biases) != self.depth:
            raise InputError(
                f"{self.depth} layers need {self.depth} activations, found {len(self.activations)}: "
                f"{shortened(', '.join(self.activations))}"
            )
        for layer, activation in enumerate(self.activations, start=1):
            if parse_activation(activation)[0] == "softmax" and layer < self.depth:
                raise InputError(f"softmax can only be the output activation, found it in layer {layer} of {self.depth}")
        loss, _ = parse_loss(self.loss)
        if self.reduction not in REDUCTIONS:
            raise InputError(f"reduction must be one of {', '.join(REDUCTIONS)}, found {quoted(self.reduction)}")
        row = losses.BY_NAME[loss]
        if row.code is None and self.activations[-1] not in row.logits:
            raise InputError(f"{loss} goes with a {' or '.join(row.logits)} output, found {self.activations[-1]}")
        if self.activations[-1] == "softmax" and "softmax" not in row.logits:
            raise InputError(f"a softmax output goes with {', '.join(('softmax_crossentropy', *OF_SOFTMAX))}; found {loss}")
        self._check_targets()
        if not 0.0 < self.scale < float("inf"):
            raise InputError(f"scale must be a finite number above 0, found {self.scale:g}")
        for name, coefficients in (("l2", self.l2), ("l1", self.l1)):
            if len(coefficients) not in {0, len(self.tensor_slices)}:
                raise InputError(f"{len(self.tensor_slices)} tensors need as many numbers {name}, found {len(coefficients)}")
            for c in coefficients:
                if not 0.0 <= c < float("inf"):
                    raise InputError(f"{name} must be a finite number of at least 0, found {c}")

    def _check_targets(self) -> None:
        """Refuse class weights and label smoothing that the loss has no place for."""
        if self.label_smoothing and self.loss_name not in SMOOTHED:
            raise InputError(f"label_smoothing goes with {', '.join(SMOOTHED)}; found {self.loss_name}")
        if not 0.0 <= self.label_smoothing < 1.0:
            raise InputError(f"label_smoothing must be a number of at least 0 and below 1, found {self.label_smoothing:g}")
        if not self.class_weights:
            return
        if self.loss_name not in LOGIT_OUTPUT:
            raise InputError(f"class_weights go with {', '.join(LOGIT_OUTPUT)}; found {self.loss_name}")
        classes = self.classes
        if len(self.class_weights) != classes:
            raise InputError(f"{classes} classes need as many class_weights, found {len(self.class_weights)}")
        for weight in self.class_weights:
            if not 0.0 <= weight < float("inf"):
                raise InputError(f"class_weights must be finite numbers of at least 0, found {weight:g}")
        if not any(self.class_weights):
            raise InputError("class_weights must not all be 0: the loss would not depend on anything")

    @property
    def depth(self) -> int:
        """Number of layers with parameters, L."""
        return len(self.widths) - 1

    @property
    def from_logits(self) -> bool:
        """Whether the kernels take the logits for outputs, the output activation being part of the loss."""
        return self.activations[-1] in self.loss_row.logits

    @cached_property
    def activation_codes(self) -> tuple[int, ...]:
        """Kernel codes, the output's being identity where the loss works on the logits."""
        names = [parse_activation(text)[0] for text in self.activations]
        output = codes.IDENTITY if self.from_logits else ACTIVATION_CODES[names[-1]]
        return (*(ACTIVATION_CODES[name] for name in names[:-1]), output)

    @cached_property
    def activation_parameters(self) -> tuple[float, ...]:
        """The parameter of each layer's activation, 0 where it has none."""
        return tuple(parse_activation(text)[1] for text in self.activations)

    @cached_property
    def loss_row(self) -> losses.Loss:
        """What there is to know of the loss."""
        return losses.BY_NAME[self.loss_name]

    @property
    def loss_name(self) -> str:
        """The loss without its parameter."""
        return parse_loss(self.loss)[0]

    @property
    def loss_parameter(self) -> float:
        """The parameter of the loss, 0 where it has none."""
        return parse_loss(self.loss)[1]

    @property
    def loss_code(self) -> int:
        """Kernel code of the loss, which tells what output activation is part of it."""
        row, output = self.loss_row, self.activations[-1]
        code = row.logits.get(output, row.code)
        if code is None:
            raise InputError(f"{row.name} goes with {row.after}, found {output}")
        return code

    @property
    def loss_constant(self) -> float:
        """What the loss of a sample has that its kernel has not: ½, the mean over outputs."""
        row = self.loss_row
        return row.constant / self.widths[-1] if row.over_outputs else row.constant

    @property
    def classes(self) -> int:
        """How many classes the labels of a cross-entropy tell apart: one for each output, or two at each."""
        return self.widths[-1] if self.loss_row.class_per_output else 2

    def targets(self, labels: Array) -> Array:
        """Return labels, shape (m, n_L), as the loss takes them: smoothed, of a softmax times the weights of the classes."""
        s = self.label_smoothing
        targets = (1.0 - s) * labels + s / self.classes if s else labels
        return targets * self.class_weights if self.class_weights and self.loss_row.class_per_output else targets

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

    @cached_property
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


def part_of(shape: tuple[int, ...], transposed: bool, column: int | None, kind: str) -> str:
    """Return which part of an array its weights or its bias are, as Python writes it; nothing where it is the whole."""
    if column is None:
        return ""
    place = str(column) if kind == "b" else "1:" if column == 0 else ":-1"
    return f"[{place}]" if transposed or len(shape) < 2 else f"[:, {place}]"


@dataclass(frozen=True)
class Tensor:
    """One parameter array as the user has it, and where it lies in theta.

    Attributes
    ----------
    name : str
        The user's own name, such as "W2" or "fc1.weight"; where W and b share an array, "theta1[:, 1:]" and "theta1[:, 0]".
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
    precision : {"float64", "float32", "float16", "bfloat16"}
        The precision of the claimed gradient, or of the parameter where there is none.
    column : int or None
        Where W and b share one array: the index of the bias row or column in it (0 or -1); else None.
    frozen : bool
        Whether the user said that it is left out: it has no gradient to judge then, and none is missing.
    single : bool
        Whether its gradient is a single number that would have to stand for several entries, which is wrong in any case.
    grain : Grain or None
        How coarsely its gradient was written, where that is known.
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
    frozen: bool = False
    single: bool = False
    grain: Grain | None = None

    @property
    def array_name(self) -> str:
        """The name of the user's array, which a bias may share with its weights."""
        return self.name.removesuffix(self._part)

    @property
    def gradient_array(self) -> str:
        """The name of the array of the gradient, or of one that would hold it."""
        return f"d{self.array_name}" if self.gradient_name is None else self.gradient_name.removesuffix(self._part)

    @property
    def _part(self) -> str:
        return part_of(self.shape, self.transposed, self.column, self.kind)

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


class Intermediate(NamedTuple):
    """Somebody's own ∂J/∂z or ∂J/∂a of one layer (from 0), shape (m, n_l), with or without the 1/m."""

    name: str
    kind: Literal["Z", "A"]
    layer: int
    values: Array


class Recorded(NamedTuple):
    """What looks like the dropout mask of what enters a layer (from 0), shape (m, n), and whether its name says so, too."""

    name: str
    layer: int
    values: Array
    named: bool


@dataclass(frozen=True, eq=False)
class Problem:
    """A network with its numbers and the gradients that somebody claims for it. Built at the door, valid from there on.

    Attributes
    ----------
    network : Network
        The description.
    theta : ndarray, shape (P,)
        The parameters; a `stored.Stored` where they outgrow memory, as is then what is claimed.
    X : ndarray, shape (m, n_0)
        The inputs, C-contiguous.
    Y : ndarray, shape (m, n_L)
        The targets as the loss takes them: classes one-hot, smoothed, times the weights of the classes.
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
    labels : ndarray, shape (m, n_L), or None
        The targets before smoothing and class weights; None where there is neither.
    classes : tuple of float
        The labels that stand for the classes in the user's Y, in order; empty where they are 0 to K − 1 or one-hot.
    example_weights : ndarray, shape (m,), or None
        What multiplies the loss of each example.
    zero_penalties : tuple of str
        Which of "l2" and "l1" were given, as 0.
    intermediates : tuple of Intermediate
        The dZ_l and dA_l that came along, from the output inwards.
    examples : {"rows", "columns"} or None
        Where the user's X has its examples; None where its shape leaves it open.
    learning_rate : float or None
        That of the step which the claimed gradient was read off, where somebody said so.
    recorded : tuple of Recorded
        Arrays that came along and look like dropout masks, where nobody spoke of dropout.
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
    labels: Array | None = None
    example_weights: Array | None = None
    zero_penalties: tuple[str, ...] = ()
    intermediates: tuple[Intermediate, ...] = ()
    examples: str | None = None
    classes: tuple[float, ...] = ()
    learning_rate: float | None = None
    recorded: tuple[Recorded, ...] = ()

    def mask(self, layer: int) -> Array | None:
        """Return what multiplies the input of a layer (from 0), None where nothing is dropped; the output is never."""
        return self.masks[layer] if layer < len(self.masks) else None

    @property
    def is_stored(self) -> bool:
        """Whether the parameters outgrow memory and stay where they are."""
        return isinstance(self.theta, Stored)

    def require_in_memory(self, what: str) -> None:
        """Raise InputError where they outgrow memory, and something needs them all."""
        if self.is_stored:
            raise InputError(
                f"{what} needs all {self.network.size:,} parameters in memory, and they outgrow it; info and check, by method "
                "directional or of a sample, read them from disk"
            )

    @property
    def has_weights(self) -> bool:
        """Whether any example or class has a weight."""
        return self.example_weights is not None or bool(self.network.class_weights)

    @property
    def total_weight(self) -> float:
        """Sum over the examples of their weight times that of their class; of several binary labels the mean."""
        classes, weights = self.network.class_weights, np.ones(self.samples)
        if classes and self.network.loss_row.class_per_output:
            weights = self._plain_labels @ np.asarray(classes)
        elif classes:
            weights = self._label_weights.mean(axis=1)
        return float(weights.sum() if self.example_weights is None else weights @ self.example_weights)

    @property
    def factors(self) -> Array:
        """What multiplies the kernel's loss of each output, shape (m, n_L); of a loss that couples them, the same for all."""
        network, weights = self.network, np.ones((self.samples, self.network.widths[-1]))
        divisor = {"mean": float(self.samples), "sum": 1.0, "weighted_mean": self.total_weight}[network.reduction]
        if network.class_weights and not network.loss_row.class_per_output:
            weights = self._label_weights
        if self.example_weights is not None:
            weights = weights * self.example_weights[:, np.newaxis]
        return weights * (network.loss_constant * network.scale / divisor)

    @property
    def _plain_labels(self) -> Array:
        return self.Y if self.labels is None else self.labels

    @property
    def _label_weights(self) -> Array:
        """Weights of labels 0 and 1; between them, in proportion."""
        zero, one = self.network.class_weights
        return np.asarray(zero + (one - zero) * self._plain_labels)

    @cached_property
    def claimed_precisions(self) -> frozenset[str]:
        """The precisions of the claimed gradients."""
        return frozenset(tensor.precision for tensor in self.tensors if tensor.gradient_name is not None)

    @property
    def samples(self) -> int:
        """Number of samples m."""
        return int(self.X.shape[0])
