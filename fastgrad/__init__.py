"""fastgrad says whether the gradients of a hand-written backward pass are right, and where they are wrong.

The names below are loaded when first used, so that importing the package, and asking the command for help, costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fastgrad._version import __version__

if TYPE_CHECKING:
    from fastgrad.errors import InputError, Interrupted
    from fastgrad.functions.check import check_function
    from fastgrad.functions.gradient import derivative, numerical_gradient
    from fastgrad.functions.report import FunctionReport
    from fastgrad.layers.chain import check_chain
    from fastgrad.layers.check import check_layer
    from fastgrad.layers.jacobian import check_jacobian
    from fastgrad.layers.report import ChainReport, JacobianReport, LayerReport
    from fastgrad.reading.modelfile import save
    from fastgrad.report import GradientError, Report
    from fastgrad.report.pictures import draw_errors
    from fastgrad.teaching.descent import gradient_descent
    from fastgrad.trials import BackwardReport
    from fastgrad.walk import check

__all__ = [
    "BackwardReport",
    "ChainReport",
    "FunctionReport",
    "GradientError",
    "InputError",
    "Interrupted",
    "JacobianReport",
    "LayerReport",
    "Report",
    "__version__",
    "check",
    "check_chain",
    "check_function",
    "check_jacobian",
    "check_layer",
    "derivative",
    "draw_errors",
    "gradient_descent",
    "numerical_gradient",
    "save",
]

_HOMES = {
    "BackwardReport": "fastgrad.trials",
    "ChainReport": "fastgrad.layers.report",
    "FunctionReport": "fastgrad.functions.report",
    "GradientError": "fastgrad.report",
    "InputError": "fastgrad.errors",
    "Interrupted": "fastgrad.errors",
    "JacobianReport": "fastgrad.layers.report",
    "LayerReport": "fastgrad.layers.report",
    "Report": "fastgrad.report",
    "check": "fastgrad.walk",
    "check_chain": "fastgrad.layers.chain",
    "check_function": "fastgrad.functions.check",
    "check_jacobian": "fastgrad.layers.jacobian",
    "check_layer": "fastgrad.layers.check",
    "derivative": "fastgrad.functions.gradient",
    "draw_errors": "fastgrad.report.pictures",
    "gradient_descent": "fastgrad.teaching.descent",
    "numerical_gradient": "fastgrad.functions.gradient",
    "save": "fastgrad.reading.modelfile",
}


if not TYPE_CHECKING:  # a type checker would take any name for one of them

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module 'fastgrad' has no attribute {name!r}")
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
