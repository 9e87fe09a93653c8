"""The reference itself: its derivatives against differences at 60 digits, its gradient against its own loss."""

import math

import numpy as np
import pytest
from mpmath import mp

import reference

UNIT_ROUNDOFF = 2.0**-53
POINTS = (-40.0, -7.3, -2.99, -1.1, -0.4, -1e-9, 1e-9, 0.3, 0.99, 2.5, 5.9, 6.1, 33.0)

# Values printed in textbooks and library documentation, or known in closed form.
KNOWN_VALUES = [
    ("sigmoid", 0.0, 0.5),
    ("sigmoid", math.log(3), 0.75),
    ("tanh", math.log(2), 0.6),
    ("relu", -2.0, 0.0),
    ("relu", 2.0, 2.0),
    ("leaky_relu", -2.0, -0.02),
    ("elu", -math.log(2), -0.5),
    ("selu", 1.0, 1.0507009873554805),
    ("selu", -math.log(2), -1.7580993408473766 / 2),
    ("relu6", 7.0, 6.0),
    ("softplus", 0.0, math.log(2)),
    ("silu", math.log(3), 0.75 * math.log(3)),
    ("gelu", 1.0, 0.8413447460685429),
    ("gelu_tanh", 1.0, 0.8411919906082768),
    ("mish", 1.0, 0.8650983882673103),
    ("softsign", -3.0, -0.75),
    ("arctan", 1.0, math.pi / 4),
    ("sin", math.pi / 6, 0.5),
    ("hard_sigmoid", 1.5, 0.75),
    ("hard_sigmoid", -4.0, 0.0),
    ("hard_sigmoid:0.2", 1.5, 0.8),
    ("leaky_relu:0.2", -2.0, -0.4),
    ("elu:2", -math.log(2), -1.0),
    ("hard_tanh", 4.0, 1.0),
    ("exp", 1.0, math.e),
]


@pytest.mark.parametrize(("name", "z", "expected"), KNOWN_VALUES)
def test_activation_has_its_known_value(name, z, expected):
    assert reference.activation(name).value(z, math) == pytest.approx(expected, rel=4 * UNIT_ROUNDOFF, abs=1e-16)


@pytest.mark.parametrize("name", reference.ACTIVATIONS)
@pytest.mark.parametrize("z", POINTS)
def test_derivative_is_the_limit_of_exact_differences(name, z):
    step = 1e-30
    with mp.workdps(60):
        limit = (reference.exact_difference(name, z, step) - reference.exact_difference(name, z, -step)) / (2 * step)
    # exp(z) and exp(−z²/2) carry the rounding of their argument, |z| or z² roundoffs; sums cancel a little.
    tolerance = (16 + 8 * z * z) * UNIT_ROUNDOFF
    assert reference.ACTIVATIONS[name].derivative(z, math) == pytest.approx(float(limit), rel=tolerance, abs=1e-300)


@pytest.mark.parametrize("name", reference.ACTIVATIONS)
@pytest.mark.parametrize("z", [-700.0, -1.0, 1.0, 700.0])
@pytest.mark.parametrize("delta", [1e-300, -1e-8, 10.0])
def test_exact_difference_does_not_depend_on_the_digits(name, z, delta):
    few, many = (reference.exact_difference(name, z, delta, digits) for digits in (30, 80))
    with mp.workdps(80):
        assert abs(few - many) <= abs(many) * mp.mpf(10) ** -28


@pytest.mark.parametrize(
    ("name", "z", "delta", "expected"),
    [
        ("tanh", 0.0, 1e-300, 1e-300),
        ("tanh", 300.0, 1.0, 2 * math.exp(-600) * (1 - math.exp(-2))),
        ("softplus", -700.0, 1e-20, math.exp(-700) * 1e-20),
        ("relu", -1.0, 3.0, 2.0),
        ("sin", math.pi / 2, 1e-12, 6.123233995736766e-17 * 1e-12 - 0.5e-24),
    ],
)
def test_exact_difference_survives_cancellation_and_saturation(name, z, delta, expected):
    assert float(reference.exact_difference(name, z, delta)) == pytest.approx(expected, rel=1e-12, abs=0)


def test_exact_loss_difference_survives_saturation():
    # log(1 + exp(z)) for z = −700 is exp(z): the loss of a sure and right answer.
    difference = reference.exact_loss_difference("binary_crossentropy", [-700.0], [1e-9], [0.0])
    assert float(difference) == pytest.approx(math.exp(-700) * 1e-9, rel=1e-8, abs=0)
    # Two logits of distance d have the binary cross-entropy of d.
    pair = reference.exact_loss_difference("softmax_crossentropy", [350.0, -350.0], [0.0, 1e-9], [1.0, 0.0])
    assert float(pair) == pytest.approx(float(difference), rel=1e-14, abs=0)


@pytest.mark.parametrize("loss", reference.LOSSES)
@pytest.mark.parametrize("seed", range(3))
def test_gradient_is_the_limit_of_exact_central_differences(loss, seed):
    case = reference.random_case(seed, loss=loss, widths=(2, 3, 2), samples=3)
    limit = reference.exact_central_difference(case, 1e-30)
    assert np.abs(reference.exact_gradient(case) - limit).max() <= 2 * UNIT_ROUNDOFF * np.abs(limit).max()
    np.testing.assert_allclose(reference.gradient(case), limit, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("activation", reference.ACTIVATIONS)
def test_gradient_flows_through_every_activation(activation):
    case = reference.random_case(5, loss="squared_error", widths=(3, 4, 2), samples=2, activations=(activation,))
    np.testing.assert_allclose(
        reference.gradient(case), reference.exact_central_difference(case, 1e-30), rtol=1e-12, atol=1e-14
    )


@pytest.mark.parametrize("seed", range(6))
def test_central_difference_agrees_within_its_own_noise(seed):
    case = reference.random_case(seed, activations=reference.SMOOTH)
    step = 1e-5
    noise = UNIT_ROUNDOFF * 100 * max(1.0, abs(reference.loss(case))) / step
    assert np.abs(reference.central_difference(case, step) - reference.gradient(case)).max() <= noise


def test_penalty_and_missing_bias_are_counted():
    case = reference.Case(
        widths=(1, 1, 1),
        activations=("identity", "identity"),
        loss="squared_error",
        theta=np.array([2.0, 0.5, 3.0]),
        X=np.array([[1.0]]),
        Y=np.array([[0.0]]),
        l2=0.1,
        penalize_biases=True,
        biases=(True, False),
    )
    # z1 = 2.5, a = 7.5: J = 7.5²/2 + 0.05·(4 + 0.25 + 9)
    assert reference.loss(case) == pytest.approx(28.125 + 0.6625)
    np.testing.assert_allclose(reference.gradient(case), [22.5 + 0.2, 22.5 + 0.05, 18.75 + 0.3])


def test_softmax_gradient_is_the_known_difference():
    case = reference.random_case(1, loss="softmax_crossentropy", widths=(2, 3), samples=1)
    W, b = reference.unpack(case, case.theta)[0]
    p = reference.softmax([bi + np.dot(row, case.X[0]) for row, bi in zip(W, b, strict=True)], math)
    weights_only = reference.gradient(case)[6:]
    penalty = case.l2 * np.array(b) if case.penalize_biases else 0
    np.testing.assert_allclose(weights_only - penalty, np.array(p) - case.Y[0], rtol=1e-14, atol=1e-15)
