"""The gradient that follows from flows: dW = dZᵀ·a and db = Σ_s dZ, made in blocks where somebody asks for them.

Made by `preactivation`, of a network so large that a vector of its gradient costs more time and memory than the flows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastgrad.model.deferred import Deferred, width
from fastgrad.model.forward import BasePoint
from fastgrad.model.network import Array, Network, Offsets, Tensor
from fastgrad.model.product import product
from fastgrad.numerical.kinks import range_product


class Flows(Deferred):
    """The numerical gradient, penalty included.

    Parameters
    ----------
    base : BasePoint
        The forward pass.
    flows : sequence of ndarray, shape (m, n_l)
        dZ of each layer.
    """

    def __init__(self, base: BasePoint, flows: Sequence[Array]) -> None:
        super().__init__(base.problem.tensors, base.problem.network.size)
        self.base, self.flows = base, flows

    @property
    def _network(self) -> Network:
        return self.base.problem.network

    def block(self, tensor: Tensor, rows: slice, columns: slice) -> Array:
        """Make it."""
        values: Array
        flow = self.flows[tensor.layer][:, rows]
        if tensor.kind == "b":
            values = np.asarray(flow.sum(axis=0)[:, np.newaxis])
        else:
            values = product(flow.T, self.base.activations[tensor.layer][:, columns])
        return self.with_penalty(values, tensor, rows, columns)

    def with_penalty(self, values: Array, tensor: Tensor, rows: slice | Offsets, columns: slice | Offsets) -> Array:
        """Add the penalty's share to entries of a tensor."""
        for penalized, l2, l1 in self._network.penalties:
            if penalized.start == tensor.start:
                theta = self.base.problem.theta[penalized].reshape(tensor.canonical_shape[0], -1)[rows, columns]
                values += _penalty(theta, l2, l1)
        return values

    def entries(self, tensor: Tensor, rows: Offsets, columns: Offsets) -> Array:
        """Make them."""
        flow = self.flows[tensor.layer][:, rows]
        if tensor.kind == "W":
            flow = flow * self.base.activations[tensor.layer][:, columns]
        return self.with_penalty(np.asarray(flow.sum(axis=0)), tensor, rows, columns)

    def _made(self) -> Array:
        values = np.empty(self.size)
        for layer, flow in enumerate(self.flows):
            product(flow.T, self.base.activations[layer], out=self._network.W(values, layer))
            if self._network.biases[layer]:
                flow.sum(axis=0, out=self._network.b(values, layer))
        for place, l2, l1 in self._network.penalties:
            values[place] += _penalty(self.base.problem.theta[place], l2, l1)
        return values


class Bound(Deferred):
    """An end of the range of that gradient where units sit on kinks.

    Parameters
    ----------
    values : Flows
        The gradient.
    samples : ndarray of int64, shape (k,)
        Which have a unit on a kink.
    ends : sequence of (ndarray, ndarray) or None
        For each layer the smallest and largest dZ of these, shape (k, n_l); None where there is no kink so far up.
    largest : bool
        Which end it is.
    """

    def __init__(self, values: Flows, samples: Offsets, ends: Sequence[tuple[Array, Array] | None], largest: bool) -> None:
        super().__init__(values.base.problem.tensors, values.size)
        self._values, self._samples, self._ends, self._largest = values, samples, ends, largest
        self._others = [dZ.copy() for dZ in values.flows]
        for dZ in self._others:
            dZ[samples] = 0.0

    def bends(self, tensor: Tensor, rows: slice | Offsets) -> bool:
        """Tell whether some rows of a tensor have a range."""
        ends = self._ends[tensor.layer]
        return ends is not None and not np.array_equal(ends[0][:, rows], ends[1][:, rows])

    def block(self, tensor: Tensor, rows: slice, columns: slice) -> Array:
        """Make it."""
        values, ends = self._values.block(tensor, rows, columns), self._ends[tensor.layer]
        if ends is None or not self.bends(tensor, rows):
            return values
        low, high, others = ends[0][:, rows], ends[1][:, rows], self._others[tensor.layer][:, rows]
        if tensor.kind == "b":
            end = (others.sum(axis=0) + (high if self._largest else low).sum(axis=0))[:, np.newaxis]
        else:
            inputs = self._values.base.activations[tensor.layer][:, columns]
            end = product(others.T, inputs) + range_product(low.T, high.T, inputs[self._samples])[self._largest]
        return self._farther(values, self._values.with_penalty(end, tensor, rows, columns))

    def entries(self, tensor: Tensor, rows: Offsets, columns: Offsets) -> Array:
        """Make them."""
        values, ends = self._values.entries(tensor, rows, columns), self._ends[tensor.layer]
        if ends is None:
            return values
        low, high, others = ends[0][:, rows], ends[1][:, rows], self._others[tensor.layer][:, rows]
        if tensor.kind == "W":
            inputs = self._values.base.activations[tensor.layer][:, columns]
            low, high, others = low * inputs[self._samples], high * inputs[self._samples], others * inputs
        shares = np.maximum(low, high) if self._largest else np.minimum(low, high)
        end = np.asarray(others.sum(axis=0) + shares.sum(axis=0))
        return self._farther(values, self._values.with_penalty(end, tensor, rows, columns))

    def _farther(self, values: Array, end: Array) -> Array:
        return np.fmax(values, end) if self._largest else np.fmin(values, end)

    def _made(self) -> Array:
        whole = np.full(self.size, np.nan)
        for tensor in self._values.base.problem.tensors:
            every = slice(0, tensor.canonical_shape[0]), slice(0, width(tensor))
            whole[tensor.start : tensor.stop] = self.block(tensor, *every).reshape(-1)
        return whole


def _penalty(theta: Array, l2: float, l1: float) -> Array:
    return l2 * theta + l1 * np.sign(theta) if l1 else l2 * theta
