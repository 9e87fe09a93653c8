"""fastgrad for PyTorch: gradients of functions of tensors, of modules, of a network and its loss."""

from __future__ import annotations

try:
    import torch  # noqa: F401
except ImportError as error:
    raise ImportError("fastgrad.torch needs PyTorch: pip install 'fastgrad[torch]'") from error

from fastgrad.torch.checks import check_layer
from fastgrad.torch.gradcheck import GradcheckError, gradcheck
from fastgrad.torch.network import check

__all__ = ["GradcheckError", "check", "check_layer", "gradcheck"]
