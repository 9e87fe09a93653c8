"""Steps of a backward pass as people write them with NumPy, in the user's names and layout."""

from __future__ import annotations

from dataclasses import dataclass

from fastgrad.diagnosis.ground import Ground, Kind
from fastgrad.diagnosis.names import lies_in_rows
from fastgrad.model.network import Tensor


@dataclass(frozen=True, eq=False)
class Hand:
    """Writes products and sums as the layout of the examples and of each W asks for them."""

    ground: Ground

    @property
    def rows(self) -> bool:
        """Whether the examples lie in rows."""
        return lies_in_rows(self.ground)

    @property
    def axis(self) -> int:
        """The axis of the examples."""
        return 0 if self.rows else 1

    def is_turned(self, layer: int) -> bool:
        """Whether W of a layer lies as (n_in, n_out)."""
        tensor = self._tensor(layer, "W")
        return tensor is not None and tensor.transposed

    @property
    def output(self) -> str:
        """What the loss compares with the targets: the last A, or the softmax that the loss takes of it."""
        depth = self.ground.depth
        return f"softmax(A{depth})" if self.ground.has_logits else f"A{depth}"

    def weights(self, layer: int, flow: str, inputs: str) -> str:
        """Return the product that makes dW of what flows and what enters."""
        first, second = (inputs, flow) if self.is_turned(layer) else (flow, inputs)
        return f"{first}.T @ {second}" if self.rows else f"{first} @ {second}.T"

    def bias(self, layer: int, flow: str, how: str = "sum", axis: int | None = None) -> str:
        """Return the sum that makes db."""
        tensor = self._tensor(layer, "b")
        keeps = ", keepdims=True" if tensor is not None and len(tensor.shape) > 1 and tensor.column is None else ""
        return f"np.{how}({flow}, axis={self.axis if axis is None else axis}{keeps})"

    def down(self, layer: int, flow: str, W: str, turned: bool = False) -> str:
        """Return what a flow sends down through W, as it is named, to a layer; `turned` the wrong way round."""
        factor = f"{W}.T" if (self.is_turned(layer + 1) == self.rows) != turned else W
        return f"{flow} @ {factor}" if self.rows else f"{factor} @ {flow}"

    def _tensor(self, layer: int, kind: Kind) -> Tensor | None:
        tensors = self.ground.problem.tensors
        return next((tensor for tensor in tensors if (tensor.layer, tensor.kind) == (layer, kind)), None)
