"""A module with its loss: checked as a network where it is one that fastgrad knows, with the diagnosis that goes with it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fastgrad.errors import InputError
from fastgrad.functions.program import Numbers, Program, coarsest, judge
from fastgrad.functions.report import FunctionReport
from fastgrad.layers.arguments import described
from fastgrad.report import Report
from fastgrad.report.formatting import listed
from fastgrad.torch.checks import examined, options_of
from fastgrad.torch.layer import Layer, called
from fastgrad.torch.state import Undisturbed
from fastgrad.torch.tensors import require_called, require_tensor
from fastgrad.walk import check as check_network

ACTIVATIONS: dict[type[Any], Callable[[Any], str | None]] = {
    nn.ReLU: lambda layer: "relu",
    nn.LeakyReLU: lambda layer: f"leaky_relu:{layer.negative_slope}",
    nn.ELU: lambda layer: f"elu:{layer.alpha}",
    nn.SELU: lambda layer: "selu",
    nn.GELU: lambda layer: "gelu" if layer.approximate == "none" else "gelu_tanh",
    nn.Sigmoid: lambda layer: "sigmoid",
    nn.Tanh: lambda layer: "tanh",
    nn.SiLU: lambda layer: "swish",
    nn.Mish: lambda layer: "mish",
    nn.Softsign: lambda layer: "softsign",
    nn.Softmax: lambda layer: "softmax" if layer.dim in (1, -1) else None,
    nn.LogSoftmax: lambda layer: "log_softmax" if layer.dim in (1, -1) else None,
}
"""What fastgrad calls the modules of torch that are activations; None for one that it has not."""

LOSSES = {
    nn.CrossEntropyLoss: "CrossEntropyLoss",
    nn.NLLLoss: "NLLLoss",
    nn.BCELoss: "BCELoss",
    nn.BCEWithLogitsLoss: "BCEWithLogitsLoss",
    nn.MSELoss: "MSELoss",
    nn.L1Loss: "L1Loss",
    nn.SmoothL1Loss: "SmoothL1Loss:{beta}",
    nn.HuberLoss: "HuberLoss:{delta}",
    nn.functional.cross_entropy: "F.cross_entropy",
    nn.functional.nll_loss: "nll_loss",
    nn.functional.binary_cross_entropy: "F.binary_cross_entropy",
    nn.functional.binary_cross_entropy_with_logits: "binary_cross_entropy_with_logits",
    nn.functional.mse_loss: "mse_loss",
    nn.functional.l1_loss: "l1_loss",
}
"""What fastgrad calls the losses of torch, modules and functions."""

USUAL = {"ignore_index": -100, "pos_weight": None}
"""Settings of losses that fastgrad does not have, as they are where nobody says otherwise."""


def check(
    module: torch.nn.Module,
    X: Any,
    Y: Any,
    loss: Callable[..., Any],
    *,
    gradients: Mapping[str, Any] | None = None,
    seed: int = 0,
    tolerance: float = 0.0,
    method: Literal["auto", "entries", "directions"] = "auto",
) -> Report | FunctionReport:
    """Check the gradients of a module's parameters under ``loss(module(X), Y)``.

    Parameters
    ----------
    module : Module
        A `Sequential` of linear layers and activations is checked as a network, and a mistake named; of any other module the
        gradients are checked without a diagnosis, those of X too where it requires a gradient.
    X, Y : Tensor
        Inputs, a tuple of them where the module takes several, and targets.
    loss : callable
        ``loss(outputs, Y)``, a number: a module such as ``CrossEntropyLoss()``, or a function.
    gradients : mapping, optional
        Gradients by the names of ``module.named_parameters()``, of a backward pass that was written by hand; by default those
        that autograd makes.
    seed, tolerance, method
        As in `check_layer`, for a module that is no such network.

    Returns
    -------
    Report or FunctionReport
        Of a network the report of `fastgrad.check`, else that of `check_layer`.

    Raises
    ------
    InputError
        If the module, the loss or backward fails, or gradients do not fit the parameters.

    Examples
    --------
    >>> import torch, fastgrad.torch
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    >>> X, Y = torch.randn(5, 3), torch.tensor([0, 1, 1, 0, 1])
    >>> fastgrad.torch.check(net, X, Y, torch.nn.CrossEntropyLoss()).passed
    True
    """
    require_called(module, "the module", "a module")
    if not isinstance(module, nn.Module):
        raise InputError(f"expected a module, found {type(module).__name__}; check_layer takes functions")
    require_called(loss, "the loss", "a function of outputs and targets, or a module such as torch.nn.MSELoss()")
    require_tensor(X, "X")
    if isinstance(loss, nn.Module):
        require_tensor(Y, "Y")
    inputs = tuple(X) if isinstance(X, tuple | list) else (X,)
    how = options_of(method, tolerance, seed)

    def then(outputs: Any, other: Callable[[Any], Any]) -> Any:
        return called(loss, {}, other, (outputs, other(Y)), {})

    with Undisturbed(module, [*inputs, Y]) as state:
        layer = Layer(module, inputs, state, 1.0, then=then)
        if layer.outputs_size != 1:
            raise InputError(f"the loss has {layer.outputs_size} numbers; expected one: take their sum or mean")
        if gradients is not None:
            _require_known(gradients, [part.name for part in layer.parts] + [name for name, _ in module.named_parameters()])
        report = _as_network(module, layer, X, Y, loss, gradients)
        if report is not None:
            return report
        if gradients is None:
            return examined(layer, how, "")
        return judge(Given(layer, gradients), how)


def _require_known(gradients: Any, names: Sequence[str]) -> None:
    """Refuse gradients that are no mapping, or stand under names of no parameter."""
    if not isinstance(gradients, Mapping):
        raise InputError(f"gradients is {described(gradients)}; expected a mapping by the names of module.named_parameters()")
    unknown = [str(name) for name in gradients if name not in names]
    if unknown:
        raise InputError(f"gradients hold {listed(unknown)}, and the parameters are {listed(list(dict.fromkeys(names)))}")


class Given(Program):
    """A layer whose gradient somebody gave."""

    is_constant = True

    def __init__(self, layer: Layer, gradients: Mapping[str, Any]) -> None:
        self._layer, self.point = layer, layer.point
        missing = [part.name for part in layer.parts if part.name not in gradients]
        if missing:
            raise InputError(
                f"gradients have none for {listed(missing)}; expected one for each, by the names of the parameters"
            )
        given = {part.name: torch.as_tensor(gradients[part.name]) for part in layer.parts}
        for part in layer.parts:
            if given[part.name].shape != part.tensor.shape:
                shapes = tuple(given[part.name].shape), tuple(part.tensor.shape)
                raise InputError(f"the gradient of {part.name} has shape {shapes[0]}, and {part.name} {shapes[1]}")
        self._gradients = layer.numbers([given[part.name] for part in layer.parts])
        self.precision = coarsest([*given.values(), *(part.tensor for part in layer.parts)])

    def outputs(self, x: Numbers, wide: bool) -> list[NDArray[Any]]:
        """Return the layer's outputs."""
        return self._layer.outputs(x, wide)

    def value(self, x: Numbers, wide: bool) -> Any:
        """Return the layer's value."""
        return self._layer.value(x, wide)

    def gradient(self, x: Numbers, wide: bool) -> dict[str, NDArray[np.float64]]:
        """Return what was given."""
        return self._gradients


def _as_network(
    module: nn.Module, layer: Layer, X: Any, Y: Any, loss: Any, gradients: Mapping[str, Any] | None
) -> Report | None:
    """Return the report of a network, or None where the module and its loss are none that fastgrad knows."""
    description = description_of(module, loss)
    if description is None or not isinstance(X, torch.Tensor) or X.dim() != 2 or X.requires_grad:
        return None
    claims = gradients
    if claims is None:
        found = layer.backward(layer.point, False)[1]
        claims = {part.name: gradient for part, gradient in zip(layer.parts, found, strict=True) if gradient is not None}
    parameters = {name: parameter.detach() for name, parameter in module.named_parameters()}
    description["loss_value"] = float(layer.value(layer.point, False))
    try:
        report = check_network(parameters, dict(claims), X.detach(), Y, **description)
    except InputError:
        return None
    # Another value is that of another function, a layer that only looks like one that is known; and what the rounding of half
    # precision keeps the network's check from judging, neighbouring points may tell.
    return report if report.loss_note is None and report.verdict != "not judged" else None


def description_of(module: nn.Module, loss: Any) -> dict[str, Any] | None:
    """Return what a sequence of linear layers and activations, and a loss of torch's, are in fastgrad's words, or None."""
    activations = _activations(list(_flat(module))) if isinstance(module, nn.Sequential) else None
    words = _loss_in_words(loss)
    if activations is None or words is None:
        return None
    frozen = [name for name, parameter in module.named_parameters() if not parameter.requires_grad]
    return {"activations": activations, **words, **({"frozen": frozen} if frozen else {})}


def _flat(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the layers of a sequence of sequences, without those that do nothing."""
    for layer in module:
        if isinstance(layer, nn.Sequential):
            yield from _flat(layer)
        elif not isinstance(layer, nn.Identity) and not (isinstance(layer, nn.Dropout) and not (layer.training and layer.p)):
            yield layer


def _activations(layers: list[nn.Module]) -> list[str] | None:
    """Return the activation of each linear layer; None where there is anything else."""
    found: list[str] = []
    is_open = False
    for layer in layers:
        if isinstance(layer, nn.Linear):
            found += ["identity"]
            is_open = True
            continue
        name = next((say(layer) for kind, say in ACTIVATIONS.items() if isinstance(layer, kind)), None)
        if name is None or not is_open:
            return None
        found[-1], is_open = name, False
    return found or None


def _loss_in_words(loss: Any) -> dict[str, Any] | None:
    """Return a loss's name and settings; None of one that fastgrad does not know, or with settings that it does not have."""
    if not isinstance(loss, nn.Module):
        name = LOSSES.get(loss) if isinstance(loss, Hashable) else None
        return None if name is None else {"loss": name}
    name = LOSSES.get(type(loss))
    weight = getattr(loss, "weight", None)
    per_class = isinstance(loss, nn.CrossEntropyLoss | nn.NLLLoss)
    is_usual = all(getattr(loss, key, value) == value for key, value in USUAL.items()) and (weight is None or per_class)
    if name is None or not is_usual:
        return None
    words = {"loss": name.format(**vars(loss)), **({} if loss.reduction == "mean" else {"reduction": loss.reduction})}
    if weight is not None:
        words["class_weights"] = weight.detach().cpu().tolist()
    if getattr(loss, "label_smoothing", 0.0):
        words["label_smoothing"] = loss.label_smoothing
    return words
