"""The textbook loop against the reference's own, and against the propagated difference within its noise."""

import numpy as np
import pytest

from fastgrad.numerical import numerical_gradient

import problems
import reference

UNIT_ROUNDOFF = 2.0**-53


def noise(problem, base, step):
    """What rounding two losses and two parameters costs a central difference, from the rounding error of the loss."""
    return UNIT_ROUNDOFF * (4.0 * base.loss_error + 1.0) / step


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("step", [1e-3, 1e-6])
def test_loop_does_what_the_plain_loop_does(seed, step):
    case = reference.random_case(seed, activations=("tanh", "relu", "gelu", "softplus", "sin"))
    problem = problems.problem(case)
    result = numerical_gradient(problem, method="textbook", step=step)
    assert result.step == step
    expected = reference.central_difference(case, step)
    assert np.abs(result.values - expected).max() <= noise(problem, result.base, step)


@pytest.mark.parametrize("activation", [name for name in problems.ALL if "exp" not in name])
def test_loop_knows_every_activation(activation):
    drawn = reference.random_case(4, widths=(2, 3, 2), loss="squared_error", samples=2)
    case = reference.Case((2, 3, 2), (activation, activation), "squared_error", drawn.theta, drawn.X, drawn.Y)
    result = numerical_gradient(problems.problem(case), method="textbook", step=1e-5)
    expected = reference.exact_central_difference(case, 1e-5, digits=40)
    assert np.abs(result.values - expected).max() <= noise(problems.problem(case), result.base, 1e-5)


@pytest.mark.parametrize("block", [0, 15])
def test_loop_and_propagated_difference_agree_at_the_same_step(block):
    """Both are the central difference of the same step, so that truncation is no excuse."""
    worst = (0.0,)
    for seed in range(block, block + (15 if problems.JIT else 2)):
        problem = problems.problem(problems.random_case(seed))
        textbook = numerical_gradient(problem, method="textbook", step=1e-4)
        propagated = numerical_gradient(problem, step=1e-4)
        # θ ± h is rounded too, which moves the loss by u·|θ|·|∂J/∂θ|.
        moved = UNIT_ROUNDOFF * (np.abs(problem.theta) + 1e-4) * np.abs(propagated.values) / 1e-4
        allowed = 4.0 * (UNIT_ROUNDOFF * textbook.base.loss_error / 1e-4 + moved) + 1e-300
        worst = max(worst, (float(np.max(np.abs(textbook.values - propagated.values) / allowed)), seed))
    print(f"worst share of the noise bound {worst}")
    assert worst[0] <= 1.0


def test_default_step_is_the_courses():
    case = reference.random_case(1, activations=("tanh",))
    result = numerical_gradient(problems.problem(case), method="textbook")
    assert result.step == 1e-7
    gradient = reference.gradient(case)
    assert 1e-13 < problems.relative_difference(gradient, result.values) < 1e-6


@pytest.mark.parametrize("method", ["textbook", "parameter", "preactivation"])
def test_penalty_is_in_the_gradient(method):
    plain = reference.random_case(3, widths=(2, 3, 2), loss="mse", activations=("tanh",))
    for on_biases in (False, True):
        items = {**vars(plain), "l2": 0.7, "penalize_biases": on_biases}
        case = reference.Case(**items)
        result = numerical_gradient(problems.problem(case), method=method)
        tolerance = 1e-6 if method == "textbook" else 1e-13
        np.testing.assert_allclose(result.values, reference.gradient(case), rtol=tolerance, atol=tolerance)
