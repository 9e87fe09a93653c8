"""Multilayer perceptrons of scikit-learn: their own backpropagation against the numerical gradient of their own loss."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from fastgrad.errors import InputError
from fastgrad.report import Report
from fastgrad.walk import check as check_arrays

__all__ = ["check"]

_ACTIVATIONS = {"logistic": "sigmoid"}
"""Activations that have another name here."""
_ISSUE_8349 = (
    "This is scikit-learn's issue 8349: the loss of a regressor with several outputs is averaged over them, its gradient is "
    "summed. The direction of each step of training is right, its length is that of another learning_rate_init and alpha."
)


class _Loss(NamedTuple):
    """A loss of scikit-learn: its name here, and whether it is averaged over the outputs here and summed there."""

    name: str
    summed: bool = False


_LOSSES = {
    "squared_error": _Loss("half_mse"),
    "poisson": _Loss("poisson", summed=True),
    "log_loss": _Loss("softmax_crossentropy"),
    "binary_log_loss": _Loss("binary_crossentropy"),
}


def check(estimator: Any, X: Any, y: Any, sample_weight: Any = None, **options: Any) -> Report:
    """Check the backpropagation of a scikit-learn network.

    The estimator's private method that makes its gradients is called once, on a copy; the estimator itself stays as it is.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        Fitted, or not: then it is checked at the weights that fitting would begin with.
    X, y : array_like
        What `fit` takes.
    sample_weight : array_like, optional
        What `fit` takes where scikit-learn is 1.7 or newer.
    **options
        As in `fastgrad.check`: method, sample, seed, tolerance and so on. The network is described by the estimator.

    Returns
    -------
    Report
        W1 is ``coefs_[0]``, b1 is ``intercepts_[0]``, and so on.

    Raises
    ------
    InputError
        If it is no such estimator, or X and y do not fit it.
    ImportError
        If scikit-learn is not installed.
    """
    networks = _library()
    if not isinstance(estimator, networks.MLPClassifier | networks.MLPRegressor):
        raise InputError(f"expected an MLPClassifier or an MLPRegressor of scikit-learn, found {type(estimator).__name__}")
    model = copy.deepcopy(estimator)
    try:
        inputs, targets = _prepared(model, X, y)
        weights = None if sample_weight is None else np.ravel(np.asarray(sample_weight, dtype=np.float64))
        loss, gradients = _gradients(model, inputs, targets, weights)
    except (ValueError, TypeError, AttributeError) as error:  # whatever scikit-learn says of X, y and its settings
        raise InputError(f"{type(model).__name__}: {error}") from None
    parameters = _named("", model.coefs_, model.intercepts_)
    described = _described(model, targets, weights, loss)
    report = check_arrays(parameters, gradients, inputs, targets, **described, **options)
    return replace(report, notes=(*report.notes, _ISSUE_8349)) if _is_issue_8349(model, report) else report


def _library() -> Any:
    try:
        return import_module("sklearn.neural_network")
    except ImportError:
        raise ImportError("fastgrad.sklearn needs scikit-learn: pip install 'fastgrad[sklearn]'") from None


def _prepared(model: Any, X: Any, y: Any) -> tuple[Any, Any]:
    """Return X and y as scikit-learn takes them; a network that was never fitted gets the weights that fitting begins with."""
    model._validate_params()
    fitted = hasattr(model, "coefs_")
    inputs, targets = model._validate_input(X, y, incremental=fitted, reset=not fitted)
    targets = targets.reshape(-1, 1) if targets.ndim == 1 else targets
    inputs = inputs.toarray() if hasattr(inputs, "toarray") else inputs
    if not fitted:
        hidden = np.atleast_1d(model.hidden_layer_sizes).astype(int).tolist()
        model._random_state = import_module("sklearn.utils").check_random_state(model.random_state)
        model._initialize(targets, [inputs.shape[1], *hidden, targets.shape[1]], inputs.dtype)
    return inputs, targets


def _gradients(model: Any, X: Any, y: Any, weights: Any) -> tuple[float, dict[str, Any]]:
    """Return the loss and the gradients of the network's own backpropagation."""
    depth = len(model.coefs_)
    lists: list[list[Any]] = [[X, *[None] * depth], [None] * depth, [None] * depth, [None] * depth]
    if weights is None and not _takes_weights(model):
        loss, of_weights, of_biases = model._backprop(X, y, *lists)
    else:
        loss, of_weights, of_biases = model._backprop(X, y, weights, *lists)
    return float(loss), _named("d", of_weights, of_biases)


def _takes_weights(model: Any) -> bool:
    from inspect import signature

    return "sample_weight" in signature(model._backprop).parameters


def _named(prefix: str, weights: Any, biases: Any) -> dict[str, Any]:
    pairs = zip(weights, biases, strict=True)
    return {
        f"{prefix}{kind}{layer}": array
        for layer, pair in enumerate(pairs, start=1)
        for kind, array in zip("Wb", pair, strict=True)
    }


def _described(model: Any, targets: Any, weights: Any, loss: float) -> Mapping[str, Any]:
    """Return what the network is, in fastgrad's words."""
    hidden, output = (_ACTIVATIONS.get(name, name) for name in (model.activation, model.out_activation_))
    name = "binary_log_loss" if model.loss == "log_loss" and output == "sigmoid" else model.loss
    if name not in _LOSSES:
        raise InputError(f"the loss {name!r} is none that fastgrad knows of scikit-learn: {', '.join(_LOSSES)}")
    known = _LOSSES[name]
    total = len(targets) if weights is None else float(weights.sum())
    said = {"hidden": hidden, "output": output, "loss": known.name, "l2": model.alpha / total, "layout": "rows,in_out"}
    said |= {"scale": float(targets.shape[1])} if known.summed else {}
    said |= {"loss_value": loss} if name != "poisson" else {}  # of which scikit-learn adds what y alone decides
    return said if weights is None else {**said, "example_weights": weights, "reduction": "weighted_mean"}


def _is_issue_8349(model: Any, report: Report) -> bool:
    """Whether what is wrong is a sum over outputs where the loss is a mean, in a regressor."""
    codes = {finding.code for finding in report.findings}
    return model.loss == "squared_error" and model.n_outputs_ > 1 and "factor.outputs" in codes
