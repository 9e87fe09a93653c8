"""The numerical gradient of random networks against the reference, and its bits, which no thread or tile may change."""

import numpy as np
import pytest

from fastgrad import numerical
from fastgrad.machine import most_threads
from fastgrad.model.forward import base_point
from fastgrad.numerical import blocks, methods, numerical_gradient, propagated
from fastgrad.numerical.blocks import Task
from fastgrad.numerical.methods import BY_ENTRY

import problems
import reference

UNIT_ROUNDOFF = 2.0**-53
BLOCK = 20
BOUND = 4.0
"""Largest |numerical − exact| / (u·R) that counts as rounding; a right gradient may be off by rounding.TOLERANCE.

R takes errors for random; where one unit on a straight piece passes the same product of weights on to all examples, their
errors are one and the same, and add up (2.1 in a network with 34 examples).
"""
METHODS = ("parameter", "preactivation")


def in_roundoffs(problem, result, exact):
    """As problems.roundoffs; where samples sit on a kink, from the nearest of the values that are right there."""
    nearest = result.values if result.lower is None else np.clip(exact, result.lower, result.upper)
    return problems.roundoffs(problem, result.base, nearest, exact)


@pytest.mark.parametrize("block", range(0, problems.NETWORKS, BLOCK))
def test_random_networks_are_right_to_rounding(block):
    worst = dict.fromkeys(METHODS, (0.0,))
    for seed in range(block, min(block + BLOCK, problems.NETWORKS)):
        case, exact = problems.case_and_gradient(seed)
        problem = problems.problem(case)
        for method in METHODS:
            distance, name = in_roundoffs(problem, numerical_gradient(problem, method=method), exact)
            assert np.isfinite(distance), (seed, name)
            worst[method] = max(worst[method], (distance, seed, name))
    print(f"networks {block} to {block + BLOCK - 1}: worst |numerical - exact| / (u·R) {worst}")
    assert max(distance for distance, *_ in worst.values()) <= BOUND


def test_relative_difference_of_smooth_networks():
    worst = dict.fromkeys(METHODS, (0.0,))
    for seed in range(1000, 1000 + min(problems.NETWORKS, 40)):
        case = problems.random_case(seed, activations=problems.SMOOTH, largest_scale=2.0, inputs="normal")
        exact = problems.exact_gradient(case)
        problem = problems.problem(case)
        for method in METHODS:
            found = numerical_gradient(problem, method=method).values
            worst[method] = max(worst[method], (problems.relative_difference(exact, found), seed))
    print(f"worst relative difference {worst}")
    assert max(difference for difference, *_ in worst.values()) <= 1e-14


@pytest.mark.parametrize("inputs", ["pixels", "large"])
def test_inputs_of_any_size(inputs):
    worst = dict.fromkeys(METHODS, (0.0,))
    for seed in range(2000, 2004 if problems.JIT else 2002):
        case = problems.random_case(seed, inputs=inputs, largest_scale=3.0)
        exact = problems.exact_gradient(case)
        problem = problems.problem(case)
        for method in METHODS:
            distance, name = in_roundoffs(problem, numerical_gradient(problem, method=method), exact)
            worst[method] = max(worst[method], (distance, seed, name))
    print(f"{inputs}: worst |numerical - exact| / (u·R) {worst}")
    assert max(distance for distance, *_ in worst.values()) <= BOUND


def test_network_without_activation_depth_or_width():
    case = reference.Case(
        (1, 1), ("identity",), "squared_error", np.array([3.0]), np.array([[2.0]]), np.array([[1.0]]), biases=(False,)
    )
    assert numerical_gradient(problems.problem(case)).values == pytest.approx([10.0], rel=4 * UNIT_ROUNDOFF)


@pytest.mark.compiled
@pytest.mark.parametrize("method", [*METHODS, "textbook"])
@pytest.mark.parametrize("seed", [5, 11, 17])
def test_same_bits_with_one_thread_and_two(monkeypatch, method, seed):
    if most_threads() < 2:
        pytest.skip("this machine has one core")
    monkeypatch.setattr(propagated, "PARALLEL_SECONDS", 0.0)
    problem = problems.problem(problems.random_case(seed))
    one, two = (numerical_gradient(problem, method=method, threads=threads) for threads in (1, 2))
    np.testing.assert_array_equal(one.values, two.values)


@pytest.mark.parametrize("method", [*METHODS, "textbook"])
@pytest.mark.parametrize("step", [None, 1e-3])
@pytest.mark.parametrize("seed", [2, 5, 14])
def test_a_sample_has_the_bits_of_the_whole(method, step, seed):
    problem = problems.problem(problems.random_case(seed))
    whole = numerical_gradient(problem, method=method, step=step)
    for count in (1, problem.network.size // 2 + 1):
        some = numerical_gradient(problem, method=method, step=step, sample=count, seed=seed)
        assert some.selected.size == min(count, problem.network.size)
        np.testing.assert_array_equal(some.values[some.selected], whole.values[some.selected])
        assert np.isnan(np.delete(some.values, some.selected)).all()


@pytest.mark.parametrize("method", [*METHODS, "textbook"])
def test_pieces_change_no_bit_and_report_all_progress(monkeypatch, method):
    problem = problems.problem(reference.random_case(5, widths=(9, 8, 7, 2), loss="mse", samples=3))
    whole = numerical_gradient(problem, method=method)
    monkeypatch.setattr(blocks, "BLOCK_SECONDS", 1e-9)
    seen = []
    pieces = numerical_gradient(problem, method=method, progress=lambda done, total: seen.append((done, total)))
    np.testing.assert_array_equal(pieces.values, whole.values)
    assert seen[-1] == (problem.network.size, problem.network.size)
    assert seen == sorted(seen)


@pytest.mark.parametrize("name", BY_ENTRY)
@pytest.mark.parametrize("share", [None, 0.5])
def test_bits_of_a_block_depend_neither_on_who_runs_it_nor_on_the_others(monkeypatch, name, share):
    problem = problems.problem(reference.random_case(6, widths=(9, 8, 7, 2), loss="mse", samples=5))
    method, base = methods.METHODS[name], base_point(problem)
    selected = None if share is None else np.arange(0, problem.network.size, 2)
    task = Task(problem, base, selected, method.step)
    whole = method.plan(task)
    at_once = np.full(whole.size, np.nan)
    few = list(whole.blocks())
    for block in few:
        whole.run(block, most_threads(), at_once)
    monkeypatch.setattr(blocks, "BLOCK_SECONDS", 1e-9)
    cut = method.plan(task)
    pieces = list(cut.blocks())
    assert len(pieces) > len(few)
    by_others = np.full(cut.size, np.nan)
    for block in reversed(pieces):  # each by a worker of its own, who knows the task alone
        method.plan(task).run(block, 1, by_others)
    np.testing.assert_array_equal(cut.gradient(by_others), whole.gradient(at_once))
    assert sum(block.parameters for block in pieces) == np.isfinite(cut.gradient(by_others)).sum()


SMOOTH_NETWORKS = [
    ((2, 3, 2), ("tanh", "softmax"), "softmax_crossentropy"),
    ((3, 2, 2, 1), ("sigmoid", "gelu", "sigmoid"), "binary_crossentropy"),
    ((2, 3, 2, 2), ("mish", "softplus", "arctan"), "mse"),
    ((2, 3, 2, 2), ("silu", "gelu_tanh", "sin"), "squared_error"),
    ((2, 4, 3), ("softsign", "exp"), "squared_error"),
]
BENT_NETWORKS = [
    ((2, 3, 2), ("relu", "softmax"), "softmax_crossentropy"),
    ((2, 4, 3, 1), ("leaky_relu:0.2", "elu:1.5", "sigmoid"), "binary_crossentropy"),
    ((2, 4, 3, 2), ("relu6", "selu", "hard_sigmoid"), "mse"),
    ((2, 4, 3), ("hard_tanh", "relu"), "squared_error"),
]


@pytest.mark.parametrize(("widths", "activations", "loss"), SMOOTH_NETWORKS + BENT_NETWORKS)
@pytest.mark.parametrize("step", [1e-10, 1e-3, 0.5])
def test_fixed_step_gives_the_exact_central_difference(widths, activations, loss, step):
    """With no truncation to hide behind: kinks crossed, all higher orders included."""
    drawn = reference.random_case(3, widths=widths, loss=loss, samples=3)
    case = reference.Case(widths, activations, loss, drawn.theta, drawn.X, drawn.Y, drawn.reduction, drawn.l2)
    exact = reference.exact_central_difference(case, step, digits=40)
    result = numerical_gradient(problems.problem(case), step=step)
    assert result.step == step
    assert result.step_range == (step, step)
    np.testing.assert_allclose(result.values, exact, rtol=1e-12, atol=1e-12 * np.abs(exact).max())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("widths", "activations", "loss"), SMOOTH_NETWORKS)
def test_minus_step_is_the_mirror_image_of_plus_step_so_that_smaller_steps_change_no_bit(method, widths, activations, loss):
    drawn = reference.random_case(3, widths=widths, loss=loss, samples=3)
    problem = problems.problem(reference.Case(widths, activations, loss, drawn.theta, drawn.X, drawn.Y))
    large, small = (numerical_gradient(problem, method=method, step=step).values for step in (2.0**-36, 2.0**-60))
    np.testing.assert_array_equal(large, small)


def test_fixed_step_of_pre_activations_gives_their_exact_central_difference():
    """A pre-activation of a single sample moves as its bias does."""
    drawn = reference.random_case(3, widths=(2, 3, 2), loss="mse", samples=1)
    case = reference.Case((2, 3, 2), ("tanh", "sigmoid"), "mse", drawn.theta, drawn.X, drawn.Y)
    result = numerical_gradient(problems.problem(case), method="preactivation", step=0.1)
    biases = [6, 7, 8, 15, 16]
    np.testing.assert_allclose(result.values[biases], reference.exact_central_difference(case, 0.1, biases), rtol=1e-12)


@pytest.mark.parametrize("step", [1e-3, 10.0])
@pytest.mark.compiled  # math.exp overflows with an exception where compiled code gives inf
@pytest.mark.parametrize("output", ["softmax", "softplus", "tanh", "elu", "gelu"])
def test_fixed_step_far_too_large_for_the_inputs_stays_finite_and_right(output, step):
    """Moves of 1e3 to 1e7, far beyond the range of the exponential."""
    loss = "softmax_crossentropy" if output == "softmax" else "squared_error"
    drawn = reference.random_case(8, widths=(3, 3), loss=loss, samples=2)
    theta = np.concatenate([drawn.theta[:9] * 1e-6, drawn.theta[9:]])
    case = reference.Case((3, 3), (output,), loss, theta, drawn.X * 1e6, drawn.Y)
    exact = reference.exact_central_difference(case, step, digits=50)
    result = numerical_gradient(problems.problem(case), step=step)
    np.testing.assert_allclose(result.values, exact, rtol=1e-12, atol=1e-12 * np.abs(exact).max())


@pytest.mark.parametrize("step", [1e-3, 10.0])
@pytest.mark.compiled
def test_fixed_step_far_too_large_for_binary_crossentropy(step):
    """The same with one logit, which is softmax cross-entropy of that logit and 0."""
    theta, X, Y = np.array([1e-6, -2e-6, 5e-7, 0.3]), np.array([[1e6, 2e6, -1e5], [-3e5, 1e4, 2e6]]), np.array([[1.0], [0.25]])
    case = reference.Case((3, 1), ("sigmoid",), "binary_crossentropy", theta, X, Y)
    pair = np.concatenate([theta[:3], np.zeros(3), theta[3:], [0.0]])
    double = reference.Case((3, 2), ("softmax",), "softmax_crossentropy", pair, X, np.hstack([Y, 1.0 - Y]))
    exact = reference.exact_central_difference(double, step, [0, 1, 2, 6], digits=50)
    result = numerical_gradient(problems.problem(case), step=step)
    np.testing.assert_allclose(result.values, exact, rtol=1e-12, atol=1e-12 * np.abs(exact).max())


def test_intermediates_are_the_derivatives_for_z_and_a():
    case = problems.random_case(5)
    _, a = problems.plain_forward(case, np.float64)
    problem = problems.problem(case)
    found, exact = numerical.intermediates(problem), problems.exact_gradient(case)
    weights = problem.network.W(exact, problem.network.depth - 1)
    last = problem.network.depth
    penalty = case.l2 * problem.network.W(case.theta, last - 1)
    np.testing.assert_allclose(found[f"dZ{last}"].T @ a[-2], weights - penalty, rtol=1e-12, atol=1e-12 * np.abs(weights).max())
    for layer in range(1, last):
        dA = found[f"dZ{layer + 1}"] @ problem.network.W(case.theta, layer)
        np.testing.assert_allclose(found[f"dA{layer}"], dA, rtol=1e-12, atol=1e-12 * np.abs(dA).max())
