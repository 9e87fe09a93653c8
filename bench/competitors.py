"""Everybody who computes the same numerical gradient, in one table; whose library is missing is skipped."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

import fastgrad
from fastgrad.model.network import Network, Problem, Tensor
from fastgrad.numerical import numerical_gradient

import jax_difference
import loop
import torch_gradcheck
from networks import Array, TanhNetwork, relative_difference

Run = Callable[[Array], Any]


@dataclass(frozen=True)
class Competitor:
    """One way to the numerical gradient.

    Attributes
    ----------
    name : str
        What the table calls it.
    prepare : callable
        From a network to the function that is timed; that one takes the indices of the parameters wanted.
    error : callable
        From what that function returned and the correct gradient to a relative difference; raises where it is wrong.
    accuracy : float
        Largest relative difference that its method allows.
    subset : mapping
        How many random parameters are timed, by the number of examples; all where the mapping says nothing.
    """

    name: str
    prepare: Callable[[TanhNetwork], Run]
    accuracy: float
    error: Callable[[Any, Array], float] = relative_difference
    subset: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))


def problem(network: TanhNetwork) -> Problem:
    """Turn a network of the bench into the library's Problem."""
    described = Network(
        widths=network.widths,
        activations=("tanh",) * (network.depth - 1) + ("sigmoid",),
        loss="binary_crossentropy",
        reduction="mean",
        biases=(True,) * network.depth,
    )
    tensors, start = [], 0
    for name, array in network.parameters.items():
        shape = array.shape if name[0] == "W" else array.shape[:1]
        tensors.append(
            Tensor(
                name=name,
                layer=int(name[1:]) - 1,
                kind="W" if name[0] == "W" else "b",
                start=start,
                stop=start + array.size,
                canonical_shape=shape,
                shape=array.shape,
                transposed=False,
                gradient_name=f"d{name}",
                precision="float64",
            )
        )
        start += array.size
    X, Y = np.ascontiguousarray(network.X.T), np.ascontiguousarray(network.Y.T)
    return Problem(described, network.theta, X, Y, tuple(tensors), None, None)


def _prepare_loop(network: TanhNetwork) -> Run:
    return lambda indices: loop.numerical_gradient(network, indices)


def _prepare_numerical(network: TanhNetwork) -> Run:
    read = problem(network)
    return lambda indices: numerical_gradient(read, method="parameter").values


def _prepare_check(network: TanhNetwork) -> Run:
    description = {"hidden": "tanh", "output": "sigmoid", "loss": "binary_crossentropy"}
    return lambda indices: fastgrad.check(
        network.parameters, network.gradients, network.X, network.Y, method="parameter", **description
    )


def _report_error(report: Any, expected: Array) -> float:
    assert report.passed, str(report)
    assert report.parameters_checked == expected.size
    return float(report.relative_difference)


def _own_judgement(passed: bool, expected: Array) -> float:
    assert passed
    return math.nan


BASELINE = "NumPy loop"
COMPETITORS = (
    Competitor(BASELINE, _prepare_loop, 1e-5, subset={1: 2000, 209: 300}),
    Competitor("JAX, jit(vmap)", jax_difference.prepare, 1e-5, subset={1: 4000, 209: 1000}),
    Competitor("PyTorch gradcheck, slow", torch_gradcheck.prepare, 1e-5, _own_judgement, subset={209: 500}),
    Competitor("fastgrad parameter", _prepare_numerical, 1e-14),
    Competitor("fastgrad.check", _prepare_check, 1e-14, _report_error),
)
