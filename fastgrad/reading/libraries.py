"""The losses of libraries under the libraries' own names, and what fastgrad calls them.

A library averages where fastgrad sums, or takes logits: each row says so, from the library's documentation. What is left
between the two is a factor.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from fastgrad.errors import InputError
from fastgrad.model.losses import BY_NAME, parse_loss
from fastgrad.reading.description import Description


class Known(NamedTuple):
    """One loss of a library.

    Attributes
    ----------
    loss : str
        fastgrad's name of it, up to the factor.
    mean : bool
        Whether it is averaged over the outputs, where the examples are.
    elements : bool
        Whether its reduction "sum" takes the outputs in, so that nothing is averaged then.
    logits : str
        The output activation that is part of it, so that "identity" stands for it; empty where there is none.
    weighted : bool
        Whether its mean is divided by the sum of the weights of the classes, where there are such.
    single : bool
        Whether it is fastgrad's loss for a single output only.
    over_parameter : bool
        Whether it is divided by its parameter.
    """

    loss: str
    mean: bool = True
    elements: bool = True
    logits: str = ""
    weighted: bool = False
    single: bool = False
    over_parameter: bool = False


LIBRARIES: dict[str, dict[str, Known]] = {
    "PyTorch": {
        "CrossEntropyLoss": Known("softmax_crossentropy", mean=False, logits="softmax", weighted=True),
        "NLLLoss": Known("softmax_crossentropy", mean=False, weighted=True),
        "BCELoss": Known("binary_crossentropy"),
        "BCEWithLogitsLoss": Known("binary_crossentropy", logits="sigmoid"),
        "MultiLabelSoftMarginLoss": Known("binary_crossentropy", elements=False, logits="sigmoid"),
        "MSELoss": Known("mse"),
        "L1Loss": Known("absolute_error"),
        "SmoothL1Loss": Known("huber", over_parameter=True),
        "HuberLoss": Known("huber"),
        "KLDivLoss": Known("kl_divergence"),
        "PoissonNLLLoss": Known("poisson", logits="exp"),
        "MultiMarginLoss": Known("hinge", elements=False),
    },
    "torch.nn.functional": {
        "nll_loss": Known("softmax_crossentropy", mean=False, weighted=True),
        "binary_cross_entropy_with_logits": Known("binary_crossentropy", logits="sigmoid"),
        "mse_loss": Known("mse"),
        "l1_loss": Known("absolute_error"),
        "smooth_l1_loss": Known("huber", over_parameter=True),
        "kl_div": Known("kl_divergence"),
        "poisson_nll_loss": Known("poisson", logits="exp"),
    },
    "Keras": {
        "CategoricalCrossentropy": Known("softmax_crossentropy", mean=False),
        "SparseCategoricalCrossentropy": Known("softmax_crossentropy", mean=False),
        "BinaryCrossentropy": Known("binary_crossentropy", elements=False),
        "MeanSquaredError": Known("mse", elements=False),
        "MeanAbsoluteError": Known("absolute_error", elements=False),
        "Huber": Known("huber", elements=False),
        "LogCosh": Known("log_cosh", elements=False),
        "KLDivergence": Known("kl_divergence", mean=False),
        "Poisson": Known("poisson", elements=False),
        "Hinge": Known("hinge", single=True),
        "SquaredHinge": Known("squared_hinge", single=True),
    },
    "scikit-learn": {
        "MLPRegressor": Known("half_mse"),
        "mean_squared_error": Known("mse", elements=False),
        "mean_absolute_error": Known("absolute_error", elements=False),
    },
    "sums and means": {
        "mean_binary_crossentropy": Known("binary_crossentropy", elements=False),
        "sum_huber": Known("huber", mean=False),
        "sum_smooth_l1": Known("huber", mean=False, over_parameter=True),
        "sum_log_cosh": Known("log_cosh", mean=False),
        "mean_kl_divergence": Known("kl_divergence", elements=False),
    },
}
"""By the library that has them; the last ones are in people's own words."""

NAMES = {name: known for names in LIBRARIES.values() for name, known in names.items()}
_FUNCTIONAL = {"binary_cross_entropy": NAMES["BCELoss"], "cross_entropy": NAMES["CrossEntropyLoss"]}
"""Names that mean PyTorch's function only where F. or functional stands before them."""
_TWINS = {"mse": "sum_squared_error", "absolute_error": "sum_absolute_error", "half_mse": "squared_error"}
"""Losses that are averaged over the outputs, and their sums."""


def known_loss(word: str | None) -> tuple[Known, str] | None:
    """Return a library's loss and its parameter as text, of names such as nn.SmoothL1Loss:0.5; None of other names."""
    if word is None:
        return None
    stem, _, parameter = word.strip().removesuffix("()").partition(":")
    package, _, name = stem.strip().rpartition(".")
    if package.split(".")[-1] in ("F", "functional") and name in _FUNCTIONAL:
        return _FUNCTIONAL[name], parameter
    return (NAMES[name], parameter) if name in NAMES else None


def translated(description: Description, outputs: int) -> Description:
    """Return a description in fastgrad's own names, the library's factor in its scale.

    Raises
    ------
    InputError
        If the library's loss is another one for so many outputs.
    """
    found = known_loss(description.loss)
    if found is None:
        return description
    known, parameter = found
    if known.single and outputs > 1:
        raise InputError(
            f"{description.loss} of {outputs} outputs is the mean of a hinge of each, which fastgrad does not have"
        )
    reduction = description.reduction or ("weighted_mean" if known.weighted and description.class_weights else "mean")
    loss = f"{known.loss}:{parameter}" if parameter else known.loss
    mean = known.mean and not (known.elements and reduction.lower() == "sum")
    factor = 1.0
    if not mean and known.loss in _TWINS:
        loss = _TWINS[known.loss]
    elif mean != BY_NAME[known.loss].over_outputs:
        factor = 1.0 / outputs if mean else float(outputs)
    if known.over_parameter:
        factor /= parse_loss(loss)[1]
    scale = factor * (1.0 if description.scale is None else description.scale)
    if loss == "softmax_crossentropy" and not known.logits:
        loss = "nll"
    said = replace(description, loss=loss, reduction=reduction, scale=scale)
    return _with_output(said, known.logits) if known.logits else said


def _with_output(description: Description, activation: str) -> Description:
    """Return a description whose last layer, said to be linear or not said, has the activation that the loss contains."""
    linear = ("identity", "linear", "none")
    words = description.activations
    if words is not None and words[-1].strip().lower() in linear and description.output is None:
        return replace(description, activations=(*words[:-1], activation))
    if description.output is None or description.output.strip().lower() in linear:
        return replace(description, output=activation if words is None or description.output is not None else None)
    return description
