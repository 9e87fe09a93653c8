"""Where each parameter lies in theta, what it is called, and which descriptions of a network are refused."""

import numpy as np
import pytest

from fastgrad.errors import InputError
from fastgrad.model.losses import LOSSES
from fastgrad.model.network import Network, Tensor


def network(**changes):
    """Make the 3-2-4-1 network whose second layer has no bias: W1 0..5, b1 6..7, W2 8..15, W3 16..19, b3 20."""
    items = {
        "widths": (3, 2, 4, 1),
        "activations": ("tanh", "relu", "sigmoid"),
        "loss": "binary_crossentropy",
        "reduction": "mean",
        "biases": (True, False, True),
    }
    return Network(**(items | changes))


def test_offsets_follow_each_other_layer_after_layer():
    net = network()
    np.testing.assert_array_equal(net.weight_offsets, [0, 8, 16])
    np.testing.assert_array_equal(net.bias_offsets, [6, 16, 20])
    assert net.weight_offsets.dtype == net.bias_offsets.dtype == np.int64
    assert net.size == 21
    assert net.depth == 3


def test_offsets_of_large_networks_do_not_overflow():
    net = network(widths=(70_000, 70_000, 2), activations=("tanh", "softmax"), loss="softmax_crossentropy", biases=(True, True))
    assert net.bias_offsets[0] == 4_900_000_000
    assert net.locate(net.size - 1) == "b2[1]"


def test_views_are_windows_on_theta():
    net = network()
    theta = np.arange(21.0)
    np.testing.assert_array_equal(net.W(theta, 0), [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(net.W(theta, 1), [[8, 9], [10, 11], [12, 13], [14, 15]])
    np.testing.assert_array_equal(net.b(theta, 0), [6, 7])
    assert net.b(theta, 1).shape == (0,)
    net.W(theta, 2)[0, 3] = -1.0
    assert theta[19] == -1.0


@pytest.mark.parametrize(
    ("k", "name"),
    [
        (0, "W1[0, 0]"),
        (5, "W1[1, 2]"),
        (6, "b1[0]"),
        (7, "b1[1]"),
        (8, "W2[0, 0]"),
        (15, "W2[3, 1]"),
        (16, "W3[0, 0]"),
        (20, "b3[0]"),
    ],
)
def test_locate_names_the_parameter(k, name):
    assert network().locate(k) == name


def test_locate_and_views_agree_everywhere():
    net = network()
    theta = np.arange(float(net.size))
    for k in range(net.size):
        name, _, index = net.locate(k).partition("[")
        view = (net.W if name[0] == "W" else net.b)(theta, int(name[1:]) - 1)
        assert view[tuple(int(i) for i in index.rstrip("]").split(","))] == k


@pytest.mark.parametrize("k", [-1, 21])
def test_locate_refuses_what_theta_does_not_hold(k):
    with pytest.raises(IndexError, match=f"0 to 20, found {k}"):
        network().locate(k)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"widths": (3,)}, "at least one layer"),
        ({"widths": (3, 0, 4, 1)}, "at least one unit"),
        ({"activations": ("tanh", "sigmoid")}, "3 activations, found 2"),
        ({"biases": (True,)}, "3 layers"),
        ({"activations": ("tanh", "softmax", "sigmoid")}, "layer 2 of 3"),
        ({"activations": ("tanh", "swoosh", "sigmoid")}, "unknown activation 'swoosh'; known are identity"),
        ({"loss": "anger"}, "unknown loss 'anger'"),
        ({"reduction": "median"}, "mean, sum, weighted_mean, found 'median'"),
        ({"activations": ("tanh", "relu", "tanh")}, "goes with a sigmoid or softmax output, found tanh"),
        (
            {"activations": ("tanh", "relu", "softmax"), "loss": "poisson"},
            "a softmax output goes with softmax_crossentropy, .*; found poisson",
        ),
        ({"loss": "huber:-1"}, "the parameter of huber must be a positive number, found 'huber:-1'"),
        ({"loss": "hinge:wide"}, "the parameter of hinge must be a positive number, found 'hinge:wide'"),
        ({"loss": "mse:2"}, "loss mse has no parameter, found 'mse:2'"),
        ({"l2": (0.1, 0.0, -1.0, 0.0, 0.0)}, "l2 must be a finite number of at least 0, found -1.0"),
        ({"l1": (float("nan"),) * 5}, "l1 must be"),
        ({"l2": (0.1,) * 3}, "5 tensors need as many numbers l2, found 3"),
    ],
)
def test_contradictions_are_refused_with_both_sides_named(changes, message):
    with pytest.raises(InputError, match=message):
        network(**changes)


@pytest.mark.parametrize("loss", LOSSES)
def test_loss_constant_is_what_the_kernel_leaves_out(loss):
    output = {"softmax_crossentropy": "softmax"}.get(loss, "sigmoid")
    net = network(widths=(3, 2, 4, 10), activations=("tanh", "relu", output), loss=loss, biases=(True,) * 3)
    constants = {"squared_error": 1 / 2, "half_mse": 1 / 20}
    constants |= dict.fromkeys(("mse", "absolute_error", "huber", "log_cosh", "poisson"), 1 / 10)
    constant = constants.get(loss, 1.0)
    assert net.loss_constant == pytest.approx(constant, rel=1e-15)


def tensor(**changes):
    items = {
        "name": "W2",
        "layer": 1,
        "kind": "W",
        "start": 100,
        "stop": 112,
        "canonical_shape": (4, 3),
        "shape": (4, 3),
        "transposed": False,
        "gradient_name": "dW2",
        "precision": "float64",
    }
    return Tensor(**(items | changes))


@pytest.mark.parametrize(
    ("changes", "offset", "index"),
    [
        ({}, 7, (2, 1)),
        ({"shape": (3, 4), "transposed": True}, 7, (1, 2)),
        ({"kind": "b", "canonical_shape": (4,), "shape": (4,)}, 3, (3,)),
        ({"kind": "b", "canonical_shape": (4,), "shape": (4, 1)}, 3, (3, 0)),
        ({"kind": "b", "canonical_shape": (4,), "shape": (1, 4)}, 3, (0, 3)),
        # W and b in one array: the bias as first column, last column, last row.
        ({"shape": (4, 4), "column": 0}, 7, (2, 2)),
        ({"shape": (4, 4), "column": -1}, 7, (2, 1)),
        ({"kind": "b", "canonical_shape": (4,), "shape": (4, 4), "column": -1}, 2, (2, 3)),
        ({"kind": "b", "canonical_shape": (4,), "shape": (4, 4), "column": 0}, 2, (2, 0)),
        ({"kind": "b", "canonical_shape": (4,), "shape": (4, 4), "column": -1, "transposed": True}, 2, (3, 2)),
        ({"shape": (4, 4), "column": 0, "transposed": True}, 7, (2, 2)),
    ],
)
def test_user_index_is_the_place_in_the_users_own_array(changes, offset, index):
    assert tensor(**changes).user_index(offset) == index


def test_tensor_knows_its_size():
    assert tensor().size == 12
