"""Real networks with their own gradients: where they lie, and what a person would have said of each.

Twenty are in tests/data/cases. Ten more may lie in ../shared/cases, beside the checkout; tests of those skip where they do not.
"""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from fastgrad.reading import Description

LOSS_FEATURES = (
    (r"max\(0", "hinge"),
    (r"Huber, delta ([\d.]+)", r"huber:\1"),
    (r"\|y-p\|", "absolute_error"),
    (r"softmax|log p", "softmax_crossentropy"),
    (r"BCE|log a|log AL|binary", "binary_crossentropy"),
    (r"0\.5\*mean over examples AND outputs", "half_mse"),
    (r"0\.5", "squared_error"),
    (r"\^2", "mse"),
)
"""What in a formula tells the loss, the first that is found."""

NAMES = {
    "louisjc_before_fix": {"params": "layers_0,layers_1", "grads": "grad_0,grad_1"},
    # Every weight matrix is 2 by 2, and the biases are constants.
    "mazur_step_by_step": {"layout": "out_in", "frozen": "hidden_layer_bias,output_layer_bias"},
}
"""What a person would have to say besides the network; all other names and layouts are found out."""


HERE = Path(__file__).parent / "data" / "cases"
BESIDE = Path(__file__).parents[2] / "shared" / "cases"


def names():
    """Return every case that is to be had, as a parameter of a test; those beside the checkout are marked."""
    found = {path.stem: folder for folder in (BESIDE, HERE) for path in folder.glob("*.json")}
    return [case(name) for name in sorted(found)]


def case(name):
    """Return a case's name as a parameter of a test, marked where it is none of the repository's own."""
    return pytest.param(name, marks=[] if (HERE / f"{name}.json").is_file() else pytest.mark.beside)


def folder_of(name):
    """Return the folder that holds a case; skip the test where none does."""
    for folder in (HERE, BESIDE):
        if (folder / f"{name}.json").is_file():
            return folder
    pytest.skip(f"{name} is one of the real cases of ../shared/cases, which are not here")


def sidecar(name):
    return json.loads((folder_of(name) / f"{name}.json").read_text(encoding="utf-8"))


def model_file(name):
    return folder_of(name) / f"{name}.npz"


def reference(name, network):
    """Return the right gradient in theta's order; nan where the case has none."""
    gradient = np.full(network.size, np.nan)
    with np.load(folder_of(name) / f"{name}.reference.npz") as arrays:
        for layer in range(network.depth):
            network.W(gradient, layer)[:] = arrays[f"refW{layer + 1}"].T
            if f"refb{layer + 1}" in arrays:
                network.b(gradient, layer)[:] = arrays[f"refb{layer + 1}"]
    return gradient


def options(case):
    """Return what a person would have said of a case."""
    said = {
        "activations": [activation(word) for word in case["activations"]],
        "loss": loss(case),
        "reduction": "sum" if case["loss"]["reduction"].startswith("sum") else "mean",
        "l2": l2(case),
        "penalize_biases": bool(case["loss"].get("on_biases")),
        "loss_value": case["loss_value"],
        "bias_column": bias_column(case),
    }
    return Description(**said, **NAMES.get(case["name"], {}))


def activation(word):
    """Return an activation's name as fastgrad writes it; one source has its sigmoid in a lambda."""
    return re.sub(r"_([\d.]+)$", r":\1", word).replace("<lambda>", "sigmoid")


def loss(case):
    formula = case["loss"]["formula"]
    return next(match.expand(name) for feature, name in LOSS_FEATURES if (match := re.search(feature, formula)))


def l2(case):
    """Return c of ½·c·Σ‖W‖² from a factor as 0.5*reg, lambda/(2m) or 0.5*alpha/n."""
    text = f"{case['loss'].get('factor') or ''} {case['loss']['formula']}"
    value = re.search(r"(?i)(?:lambda?d?|reg|alpha)=([\d.]+)", text)
    if not case["loss"].get("regularisation") or value is None:
        return None
    divided = re.search(r"/\(2[mN]\)|/n\b", text)
    return float(value[1].rstrip(".")) / (case["n_examples"] if divided else 1)


def bias_column(case):
    """Return where the bias lies in an array that it shares with the weights."""
    text = f"{case['W_convention']} {case['b_convention']}"
    return "first" if re.search(r"COLUMN 0|ROW 0", text) else "last" if "LAST column" in text else None
