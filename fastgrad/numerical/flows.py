"""The gradient that follows from flows: dW = dZᵀ·a and db = Σ_s dZ, made in blocks where somebody asks for them.

Made by `preactivation`, of a network so large that a vector of its gradient costs more time and memory than the flows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastgrad.model.deferred import Deferred
from fastgrad.model.forward import BasePoint
from fastgrad.model.network import Array, Network, Offsets, Tensor
from fastgrad.model.product import product


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
        self._base, self.flows = base, flows

    @property
    def _network(self) -> Network:
        return self._base.problem.network

    def block(self, tensor: Tensor, rows: slice, columns: slice) -> Array:
        """Make it."""
        values: Array
        flow = self.flows[tensor.layer][:, rows]
        if tensor.kind == "b":
            values = np.asarray(flow.sum(axis=0)[:, np.newaxis])
        else:
            values = product(flow.T, self._base.activations[tensor.layer][:, columns])
        for penalized, l2, l1 in self._network.penalties:
            if penalized.start == tensor.start:
                theta = self._base.problem.theta[penalized].reshape(tensor.canonical_shape[0], -1)[rows, columns]
                values += _penalty(theta, l2, l1)
        return values

    def entries(self, tensor: Tensor, rows: Offsets, columns: Offsets) -> Array:
        """Make them."""
        values: Array
        flow = self.flows[tensor.layer][:, rows]
        if tensor.kind == "W":
            flow = flow * self._base.activations[tensor.layer][:, columns]
        values = np.asarray(flow.sum(axis=0))
        for penalized, l2, l1 in self._network.penalties:
            if penalized.start == tensor.start:
                theta = self._base.problem.theta[penalized].reshape(tensor.canonical_shape[0], -1)[rows, columns]
                values += _penalty(theta, l2, l1)
        return values

    def _made(self) -> Array:
        values = np.empty(self.size)
        for layer, flow in enumerate(self.flows):
            product(flow.T, self._base.activations[layer], out=self._network.W(values, layer))
            if self._network.biases[layer]:
                flow.sum(axis=0, out=self._network.b(values, layer))
        for place, l2, l1 in self._network.penalties:
            values[place] += _penalty(self._base.problem.theta[place], l2, l1)
        return values


def _penalty(theta: Array, l2: float, l1: float) -> Array:
    return l2 * theta + l1 * np.sign(theta) if l1 else l2 * theta
