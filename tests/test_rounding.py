"""The library's backward pass against the reference, and its rounding scale against what rounding really does."""

import numpy as np
import pytest

from fastgrad.model.forward import base_point
from fastgrad.model.rounding import TOLERANCE, gradient

import problems
import reference

NETWORKS, BLOCK = (60, 20) if problems.JIT else (6, 6)
ROUNDOFF = {np.float64: 2.0**-53, np.float32: 2.0**-24}
MARGIN = 4.0
"""How far below the verdict's tolerance an honest backward pass stays."""


@pytest.mark.parametrize("block", range(0, NETWORKS, BLOCK))
def test_gradient_is_the_reference(block):
    worst = (0.0,)
    for seed in range(block, block + BLOCK):
        case, exact = problems.case_and_gradient(seed)
        problem = problems.problem(case)
        base = base_point(problem)
        distance, name = problems.roundoffs(problem, base, gradient(problem, base), exact)
        worst = max(worst, (distance, seed, name))
    print(f"worst |gradient - exact| / (u·R) {worst}")
    assert worst[0] <= 4.0


@pytest.mark.parametrize("block", range(0, NETWORKS, BLOCK))
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_rounding_scale_covers_an_ordinary_backward_pass(block, dtype):
    """Written as people write it, 1 − a² and p − y included, its sums in random order; saturated networks among them."""
    worst = (0.0,)
    for seed in range(block, block + BLOCK):
        case, exact = problems.case_and_gradient(seed)
        if dtype is np.float32:
            case = problems.rounded(case, dtype)
            exact = problems.exact_gradient(case)
        problem = problems.problem(case)
        claimed = problems.plain_gradient(case, dtype, seed)
        distance, name = problems.roundoffs(problem, base_point(problem), claimed, exact, ROUNDOFF[dtype])
        worst = max(worst, (distance, seed, name))
    print(f"{dtype.__name__}: worst |claimed - exact| / (u·R) {worst} of {TOLERANCE} allowed")
    assert worst[0] <= TOLERANCE / MARGIN


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("inner", [1000, 12288])
@pytest.mark.compiled
def test_rounding_scale_covers_long_sums(inner, dtype):
    draw = np.random.default_rng(inner)
    n, m = 3, 40
    theta = np.concatenate([draw.normal(0.0, 1.0 / np.sqrt(inner), n * inner), draw.normal(size=n + n + 1)])
    case = reference.Case(
        (inner, n, 1), ("tanh", "sigmoid"), "binary_crossentropy", theta, draw.random((m, inner)), draw.integers(0, 2, (m, 1))
    )
    case = problems.rounded(case, dtype)
    problem = problems.problem(case)
    base = base_point(problem)
    exact = problems.plain_gradient(case, np.longdouble)
    distance, name = problems.roundoffs(problem, base, problems.plain_gradient(case, dtype), exact, ROUNDOFF[dtype])
    print(f"{inner} inputs, {dtype.__name__}: {distance} at {name}")
    assert distance <= TOLERANCE / MARGIN


def test_rounding_scale_is_no_excuse_for_a_wrong_gradient():
    """At a network of ordinary size, u·R times the tolerance is some ten digits below the gradient."""
    case = reference.random_case(2, widths=(6, 6, 4), loss="softmax_crossentropy", samples=8, activations=("tanh",))
    problem, exact = problems.problem(case), reference.gradient(case)
    distance, _ = problems.roundoffs(problem, base_point(problem), exact * (1.0 + 1e-9), exact)
    assert distance > TOLERANCE
