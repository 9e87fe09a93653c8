"""The base point: one forward pass, the tables that kernels take, and how far rounding may have moved each number.

Called by numerical, judging and `rounding`. Rounding follows a running error analysis with random signs: errors add up as
roots of sums of squares. Bounds that add absolute values grow by a factor with every layer, and in the end excuse anything.
Every array of errors is in units of the unit roundoff u, so that one pass serves claims made in float64 and in float32.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from fastgrad import machine
from fastgrad.errors import InputError
from fastgrad.kernels import codes, launch
from fastgrad.kernels.records import Activation, FirstLayer, Loss, Tables
from fastgrad.model import activations
from fastgrad.model.network import Array, Network, Offsets, Problem
from fastgrad.model.product import SMALLEST_SQUARE, Squared, hypot, product, root_product_of, scaled, sizes, squared, unit_near
from fastgrad.model.stored import runs

TABLES = 16
"""Numbers that a check holds for every example and unit: the table of units (5), z, a, their squares and errors, δ."""
WIDE = 2**23
"""Inputs, over all samples, up to which their squares are kept, 64 MiB: making them again takes a tenth longer."""
SQUARED = 2**17
"""Of more, so many are squared at a time: 1 MiB."""
FEW_UNITS, MANY_INPUTS, SHARED_INPUTS = 16, 2**12, 2**18
"""Units of the first layer up to which, and inputs over all samples from which, one pass takes less time than products; and
those from which a second thread is worth waking."""
USUAL = 2.0**-400
"""Sums of that pass, which squares in no unit, above which none has lost to underflow what would count beside it."""
TABULATED = 2**14
"""Units, over all samples, from which a second thread is worth waking: a millisecond on one."""
UNIT_ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}


class Errors(NamedTuple):
    """Rounding errors of z, of a and of f′(z), of each layer from 1 to L, shape (m, n_l), in units of u."""

    z: list[Array]
    a: list[Array]
    slope: list[Array]


@dataclass(frozen=True, eq=False)
class BasePoint:
    """The network at theta, once; what only a judgement needs, the errors of rounding, is worked out when it is asked for.

    Attributes
    ----------
    problem : Problem
        The network, its parameters and data.
    tables : Tables
        What kernels need.
    activations : list of ndarray, shape (m, n_l)
        a_0 = X to a_L (the logits where the loss takes them), each after its dropout.
    scales : list of (ndarray, ndarray), shape (m, n_l)
        What the formulas of f and of f′ round themselves, in units of u.
    losses : ndarray, shape (m,)
        The loss of each sample.
    loss : float
        J, penalty included.
    first : FirstLayer or None
        What the pass over wide inputs found beside z_1, where there are few units above them.
    """

    problem: Problem
    tables: Tables
    activations: list[Array]
    scales: list[tuple[Array, Array]]
    losses: Array
    loss: float
    first: FirstLayer | None
    _squares: dict[int, Squared] = field(default_factory=dict)

    def squares(self, layer: int) -> Squared:
        """Of a_0 to a_L, shape (m, n_l)."""
        if layer not in self._squares:
            self._squares[layer] = squared(self.activations[layer], self._largest(layer))
        return self._squares[layer]

    def squares_of(self, layer: int, columns: slice | Offsets) -> Squared:
        """Return some columns of `squares`, made of the activations where the inputs are so many that these are not kept."""
        if layer == 0 and not self.keeps_squares:
            return squared(self.activations[0][:, columns], self._largest(0))
        unit, values = self.squares(layer)
        return Squared(unit, values[:, columns])

    def weighted_squares(self, factors: Array, columns: slice) -> Array:
        """Return factorsᵀ @ `squares` of some columns of inputs whose squares are not kept, for factors of shape (m, k)."""
        if self.first is None:
            return product(factors.T, self.squares_of(0, columns).values)
        return launch.sum_weighted_squares(self.activations[0], factors, 1.0 / self.unit(0), SMALLEST_SQUARE, columns)

    def unit(self, layer: int) -> float:
        """Of `squares`."""
        return unit_near(self._largest(layer))

    def _largest(self, layer: int) -> float:
        return float(self.reach[layer].max())

    @property
    def keeps_squares(self) -> bool:
        """Whether the squares of the inputs are kept: else they take much memory, or more time than what is made of them."""
        return self.activations[0].size <= WIDE and self.first is None

    def square_sums(self, layer: int) -> Array:
        """Return the sum of each sample's `squares`, shape (m,)."""
        if layer == 0 and self.first is not None:
            return self.first.sums / self.unit(0) / self.unit(0)  # whose square may be infinite
        if layer == 0 and not self.keeps_squares:
            return self._of_inputs[1]
        sums: Array = self.squares(layer).values.sum(axis=1)
        return sums

    @property
    def inputs_in_z(self) -> Array:
        """√(X² @ W²ᵀ) of the first layer, shape (m, n_1): the size of what z_1 is the sum of."""
        return self._of_inputs[0]

    @cached_property
    def _of_inputs(self) -> tuple[Array, Array]:
        """Return √(X² @ W²ᵀ) of the first layer, and the sums of X², in one pass over wide inputs."""
        if self.first is not None:
            return np.sqrt(self.first.squares), self.first.sums
        W, largest = self.problem.network.W(self.problem.theta, 0), self.weights[0][0]
        if self.keeps_squares:
            return root_product_of(self.squares(0), W, largest, transposed=True), self.square_sums(0)
        total, sums, units = np.zeros((self.problem.samples, len(W))), np.zeros(self.problem.samples), (1.0, 1.0)
        length = max(1, SQUARED // self.problem.samples)
        for low in range(0, W.shape[1], length):
            columns = slice(low, low + length)
            squares, weights = self.squares_of(0, columns), squared(W[:, columns], largest)
            total += product(squares.values, weights.values.T)
            sums += squares.values.sum(axis=1)
            units = squares.unit, weights.unit
        return scaled(np.sqrt(total), *units), sums

    @cached_property
    def reach(self) -> list[Array]:
        """Largest size of each unit of a_0 to a_L among the samples, shape (n_l,)."""
        found = [] if self.first is None else [self.first.largest]
        return found + [np.maximum(a.max(axis=0), -a.min(axis=0)) for a in self.activations[len(found) :]]

    @cached_property
    def weights(self) -> list[tuple[float, float]]:
        """Of each W the largest size of an entry, and the largest sum of sizes of a row."""
        network, theta = self.problem.network, self.problem.theta
        return [sizes(network.W(theta, layer)) for layer in range(network.depth)]

    @cached_property
    def _errors(self) -> Errors:
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            return _errors(self)

    @property
    def z_error(self) -> list[Array]:
        """Rounding errors of z_l, l = 1 to L, shape (m, n_l), in units of u."""
        return self._errors.z

    @property
    def a_error(self) -> list[Array]:
        """Likewise of a_l."""
        return self._errors.a

    @property
    def slope_error(self) -> list[Array]:
        """Likewise of f′(z_l) as the usual formula gives it, its dropout included."""
        return self._errors.slope

    @property
    def loss_error(self) -> float:
        """Rounding error of J in units of u."""
        spread = (np.abs(self.tables.outputs[codes.LOSS_SLOPE]) * self.a_error[-1]).sum()
        summed = growth(self.losses.size) * np.abs(self.losses).sum()
        return float(spread + summed) + 2.0 * penalty_value(self.problem)

    def plane(self, plane: int, layer: int) -> Array:
        """View of one plane of the table of units for a layer (from 0), shape (m, n)."""
        low = int(self.tables.layers[codes.UNIT, layer])
        return self.tables.units[plane, :, low : low + int(self.tables.layers[codes.WIDTH, layer + 1])]


def growth(terms: int) -> float:
    """Return how many u the rounding of a sum of that many products comes to, relative to the size of its partial sums.

    √n is what n random rounding errors add up to (N. Higham and T. Mary, SIAM J. Sci. Comput. 41, 2019); the partial sums
    are no larger than the root sum of squares of the terms and the sum itself together. 2 stands for the products and for
    the addition of a bias.
    """
    return 2.0 + float(np.sqrt(terms))


def base_point(problem: Problem) -> BasePoint:
    """Run the forward pass of a problem.

    Raises
    ------
    InputError
        If what is tabulated of all examples and units does not fit into memory.
    """
    _require_memory(problem)
    network, theta = problem.network, problem.theta
    samples, units = problem.samples, sum(network.widths[1:])
    layers, shapes = layer_table(network), np.array(network.activation_parameters)
    table = np.empty((5, samples, units))
    dropped = problem.mask(0)
    values = [problem.X if dropped is None else problem.X * dropped]
    scales: list[tuple[Array, Array]] = []
    first = _pass_over_inputs(problem, values[0])
    for layer in range(network.depth):
        W, b = network.W(theta, layer), network.b(theta, layer)
        z = product(values[-1], W.T) if layer or first is None else first.z
        if b.size:
            z += b
        a, value_scale, slope_scale = np.empty_like(z), np.empty_like(z), np.empty_like(z)
        low = int(layers[codes.UNIT, layer])
        activation = kernel_activation(layers[codes.CODE, layer], shapes[layer])
        threads = machine.most_threads() if z.size >= TABULATED else 1
        launch.tabulated_layer(activation, z, a, value_scale, slope_scale, table, low, threads)
        mask = problem.mask(layer + 1)
        if mask is not None:
            _drop(mask, a, value_scale, slope_scale, table[:, :, low : low + z.shape[1]])
        values.append(a)
        scales.append((value_scale, slope_scale))
    outputs, top, losses = tabulate_loss(network, values[-1], problem.Y, problem.factors)
    tables = Tables(theta, layers, shapes, table, outputs, top, network.loss_code, network.loss_parameter)
    loss = float(losses.sum()) + penalty_value(problem)
    return BasePoint(problem, tables, values, scales, losses, loss, first)


def takes_one_pass(problem: Problem) -> bool:
    """Tell whether the first layer has few units above many inputs: one pass is then faster than products are."""
    return not problem.is_stored and problem.network.widths[1] <= FEW_UNITS and problem.X.size >= MANY_INPUTS


def _pass_over_inputs(problem: Problem, inputs: Array) -> FirstLayer | None:
    """Make that pass; None where it is not made, or where its squares, which are in no unit, may have lost something."""
    if not takes_one_pass(problem) or not inputs.flags.c_contiguous:
        return None
    W = problem.network.W(problem.theta, 0)
    threads = min(machine.most_threads(), len(inputs)) if inputs.size >= SHARED_INPUTS else 1
    first = launch.pass_over_inputs(inputs, W, threads)
    return None if _is_unusual(first, inputs, W) else first


def _is_unusual(first: FirstLayer, inputs: Array, W: Array) -> bool:
    """Tell whether any of its sums of squares may have lost something to overflow or underflow.

    An example, or a unit's weights, that are nothing but zeros have lost nothing.
    """
    blank = first.sums == 0.0
    if inputs[blank].any():
        return True
    told = np.broadcast_to(~blank[:, np.newaxis], first.squares.shape)
    if not first.squares[~blank].all():
        told = told & W.any(axis=1)
    sums = np.append(first.sums[~blank], first.squares[told])
    return not (sums.min(initial=np.inf) > USUAL and sums.max(initial=0.0) < np.inf)


def tabulate_loss(network: Network, a: Array, Y: Array, factors: Array | float) -> tuple[Array, Offsets, Array]:
    """Return the kernels' table of outputs, its `top`, and the loss of each sample.

    Raises
    ------
    InputError
        If the loss takes the logarithm of an output that has none.
    """
    samples = len(a)
    outputs = np.zeros((codes.OUTPUT_PLANES, samples, network.widths[-1]))
    outputs[codes.OUTPUT], outputs[codes.TARGET], outputs[codes.FACTOR] = a, Y, factors
    _require_positive(network, a)
    top, losses = np.zeros(samples, dtype=np.int64), np.empty(samples)
    coupled = network.loss_code >= codes.COUPLED
    tabulate = launch.tabulate_coupled_loss if coupled else launch.tabulate_loss
    tabulate(Loss(network.loss_code, network.loss_parameter, outputs, top), losses)
    if network.loss_row.less_entropy and network.from_logits:
        # Its kernel is that of softmax cross-entropy, from which it differs by what the targets alone make.
        losses += outputs[codes.FACTOR, :, 0] * (Y * np.log(np.where(Y > 0.0, Y, 1.0))).sum(axis=1)
    return outputs, top, losses


def _errors(base: BasePoint) -> Errors:
    """Carry rounding errors up through the network."""
    network, theta = base.problem.network, base.problem.theta
    errors = Errors([], [], [])
    for layer, (value_scale, slope_scale) in enumerate(base.scales):
        W, z = network.W(theta, layer), base.plane(codes.Z, layer)
        if layer:
            disturbed = squared(hypot(errors.a[-1], growth(W.shape[1]) * base.activations[layer]))
            error = root_product_of(disturbed, W, base.weights[layer][0], transposed=True)
        else:
            error = growth(W.shape[1]) * base.inputs_in_z
        errors.z.append(error + growth(W.shape[1]) * np.abs(z))
        errors.a.append(hypot(base.plane(codes.SLOPE, layer) * errors.z[-1], value_scale))
        errors.slope.append(hypot(2.0 * base.plane(codes.CURVATURE, layer) * errors.z[-1], slope_scale))
    return errors


def _require_positive(network: Network, outputs: Array) -> None:
    """Refuse outputs whose logarithm the loss takes, and that have none."""
    if not network.loss_row.positive_output or network.from_logits or np.all(outputs > 0.0):
        return
    sample, unit = np.argwhere(~(outputs > 0.0))[0]
    raise InputError(
        f"{network.loss_name} takes the logarithm of the outputs, which must be positive; output {unit} of example {sample} "
        f"is {outputs[sample, unit]:g} ({network.activations[-1]})"
    )


def _drop(mask: Array, a: Array, value_scale: Array, slope_scale: Array, units: Array) -> None:
    """Multiply a layer's activations and all that is tabulated of them by its dropout mask.

    Forward and backward, the mask and its factor cost two roundings. A dropped unit has no kink: it passes nothing on.
    """
    for array in (a, value_scale, slope_scale, units[codes.SLOPE], units[codes.CURVATURE]):
        array *= mask
    value_scale += 2.0 * np.abs(a)
    slope_scale += 2.0 * np.abs(units[codes.SLOPE])
    units[codes.SCALE] = mask
    units[codes.KINK][mask == 0.0] = np.inf


def _require_memory(problem: Problem) -> None:
    """Refuse what a small file of few parameters may ask for: its examples times its units."""
    units = sum(problem.network.widths)
    needed = TABLES * 8 * problem.samples * units
    if not machine.fits(needed):
        available = machine.available_memory()
        raise InputError(
            f"{problem.samples:,} examples of {units:,} units need about {needed / 2**30:,.1f} GiB, "
            f"{available / 2**30:,.1f} GiB of memory are free; check fewer examples"
        )


def kernel_activation(code: int, parameter: float) -> Activation:
    """Return what kernels want to know of an activation."""
    row = activations.BY_CODE[int(code)]
    return Activation(code, parameter, *row.rounding, np.array(row.kinks(parameter), dtype=np.float64))


def layer_table(network: Network) -> Offsets:
    """Build the kernels' table of layers, shape (4, L + 1)."""
    used = network.activation_codes
    table = np.zeros((codes.LAYER_ROWS, network.depth + 1), dtype=np.int64)
    table[codes.WIDTH] = network.widths
    table[codes.START, :-1] = network.weight_offsets
    table[codes.UNIT, :] = np.concatenate(([0], np.cumsum(network.widths[1:])))
    table[codes.CODE, :-1] = used
    return table


def penalty_value(problem: Problem) -> float:
    """Σ over the tensors of ½·l2·Σw² + l1·Σ|w|."""
    total = 0.0
    for place, l2, l1 in problem.network.penalties:
        for w in runs(problem.theta, place):
            total += 0.5 * l2 * float(np.square(w).sum()) + l1 * float(np.abs(w).sum())
    return total


def coarsest_claim(problem: Problem) -> str:
    """Return the coarsest precision among the claimed gradients; float64 where there are none."""
    return max(problem.claimed_precisions, key=UNIT_ROUNDOFF.__getitem__, default="float64")


def claim_roundoff(problem: Problem) -> float:
    """Return the unit roundoff of that precision."""
    return UNIT_ROUNDOFF[coarsest_claim(problem)]
