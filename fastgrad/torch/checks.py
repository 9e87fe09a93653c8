"""Checks that return reports: of a layer under a random upstream gradient, and of a module with its loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from fastgrad.errors import InputError, quoted
from fastgrad.functions.arguments import real_number, whole_number
from fastgrad.functions.program import Options, judge
from fastgrad.functions.report import FunctionReport
from fastgrad.layers.elsewhere import moved_array
from fastgrad.report.formatting import listed
from fastgrad.torch import demands
from fastgrad.torch.layer import Layer, arguments_of
from fastgrad.torch.state import Undisturbed

FEW = 256
"""Numbers up to which each is looked at elsewhere too; of more, random directions are."""

NAMED = 3
"""Wrong entries that are named there."""


def check_layer(
    function: Callable[..., Any],
    inputs: Any,
    *,
    upstream: Any = None,
    seed: int = 0,
    tolerance: float = 0.0,
    method: Literal["auto", "entries", "directions"] = "auto",
) -> FunctionReport:
    """Check the gradients that autograd makes of a function of tensors or a module, under a random upstream gradient.

    Parameters
    ----------
    function : callable
        From tensors to a tensor, or several in a tuple, list or dict: a module, all of whose parameters that require a gradient
        are checked as well, ``Function.apply`` of a `torch.autograd.Function`, or any function.
    inputs : Tensor, tuple, list or mapping
        Its arguments, by place or, in a mapping, by keyword. Tensors that require a gradient are checked, or all of real and
        complex numbers where none does; the others, and what is no tensor, are held fixed.
    upstream : Tensor, number, tuple, list or mapping, optional
        The upstream gradient in the form of the outputs, a number for all its entries; by default it is drawn.
    seed : int
        Seed of that draw, and of random directions.
    tolerance : float
        Share of an entry, of the larger of both values, by which it may be off and is right all the same.
    method : {"auto", "entries", "directions"}
        Each entry by itself, or random directions, along which all entries move; "auto" checks up to 20,000 entries by
        themselves.

    Returns
    -------
    FunctionReport
        ``report.passed``, ``print(report)``, ``report.raise_if_wrong()``.

    Raises
    ------
    InputError
        If the function or its backward pass fails, or the function modifies its inputs.

    Examples
    --------
    >>> import torch, fastgrad.torch
    >>> fastgrad.torch.check_layer(torch.nn.Linear(3, 2), torch.ones(4, 3)).passed
    True
    """
    how = options_of(method, tolerance, seed)
    args, kwargs = arguments_of(inputs)
    with Undisturbed(function, [*args, *kwargs.values()]) as state:
        layer = Layer(function, inputs, state, upstream, how.seed)
        return examined(layer, how, _upstream_told(layer, upstream is None, how.seed))


def options_of(method: Any, tolerance: Any, seed: Any) -> Options:
    """Return the options that checks share, or complain of them."""
    if method not in ("auto", "entries", "directions"):
        raise InputError(f"method is {quoted(method)}; expected auto, entries or directions")
    share = real_number(tolerance, "tolerance")
    if share < 0.0:
        raise InputError(f"tolerance is {quoted(tolerance)}; expected a share of an entry, 0 or more")
    return Options(method=method, tolerance=share, seed=whole_number(seed, "seed", 0))


def examined(layer: Layer, how: Options, told: str) -> FunctionReport:
    """Return what is found of a layer; demands that it does not meet make it wrong."""
    report = judge(layer, how)
    faults = list(demands.unmet(layer, (demands.repeats, demands.takes_any_layout, demands.takes_undefined)))
    remarks = [*report.remarks, *_on_parts(layer), *filter(None, [told])]
    if report.passed and not faults:
        sentence, is_fault = _elsewhere(layer, how)
        (faults if is_fault else remarks).append(sentence)
    verdict = "wrong" if faults else report.verdict
    return replace(report, verdict=verdict, remarks=tuple(remarks), faults=tuple(faults))


def _elsewhere(layer: Layer, how: Options) -> tuple[str, bool]:
    """Say what is found at another point, and whether it is a fault: weights of 1 and biases of 0 hide what is missing."""
    rng = np.random.default_rng([how.seed, 1])
    other = layer.at({name: moved_array(array, rng) for name, array in layer.point.items()})
    few = sum(array.size for array in other.point.values()) <= FEW
    try:
        report = judge(other, how if few else how._replace(method="directions"))
    except InputError as error:
        return f"Not tried with other numbers: {error}.", False
    if report.verdict != "wrong":
        hidden = "" if report.passed else ", though not all of it could be judged"
        return f"With other numbers in the tensors nothing is wrong either{hidden}.", False
    named = [entry.name for entry in report.entries if entry.verdict == "wrong"]
    more = f" and {len(named) - NAMED:,} more" if len(named) > NAMED else ""
    where = f": {', '.join(named[:NAMED])}{more}" if named else ""
    return f"The gradient is right here, and with other numbers in the tensors it is wrong{where}.", True


def _upstream_told(layer: Layer, is_drawn: bool, seed: int) -> str:
    """Say what the outputs are weighed by."""
    if is_drawn:
        return f"f is the sum of all outputs, each times an upstream gradient drawn with seed {seed}, since ones hide mistakes."
    if all((weight == weight.flat[:1]).all() for weight in layer.upstream if weight.size > 1) and layer.outputs_size > 1:
        return (
            "The upstream gradient is one number throughout, under which mistakes hide: that of a softmax or a normalisation "
            "vanishes. Leave it out, and it is drawn at random."
        )
    return "f is the sum of all outputs, each times the upstream gradient that was given."


def _on_parts(layer: Layer) -> Iterator[str]:
    if layer.unused:
        yield f"Backward gives no gradient for {listed(sorted(layer.unused))}, which counts as 0."
    if layer.left_out:
        yield f"Not checked, since no gradient is required: {listed(list(layer.left_out))}."
