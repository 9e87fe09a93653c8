"""The built-in networks hold what they say: right gradients, and exactly the planted mistakes."""

import numpy as np
import pytest

from fastgrad.errors import InputError
from fastgrad.teaching import demo

IN_ROWS = {"digits", "forgotten-m"}
RATIOS = {
    "planted": {"W2": 2, "b1": 4},
    "repaired": {},
    "cat": {},
    "digits": {},
    "forgotten-m": dict.fromkeys(["W1", "b1", "W2", "b2"], 8),
}
WIDTHS = {
    "planted": [4, 5, 3, 1],
    "repaired": [4, 5, 3, 1],
    "cat": [12288, 5, 5, 1],
    "digits": [784, 50, 10],
    "forgotten-m": [2, 16, 1],
}
SAMPLES = {"planted": 3, "repaired": 3, "cat": 209, "digits": 100, "forgotten-m": 8}
FUNCTIONS = {"relu": lambda z: z * (z > 0), "tanh": np.tanh, "sigmoid": lambda z: 0.5 * (1 + np.tanh(z / 2))}


def loss(arrays, description, rows):
    """Return the mean loss by one forward pass, examples in rows, written from the logits."""
    turn = (lambda array: array) if rows else (lambda array: array.T)
    a, y = (turn(next(arrays[key] for key in keys if key in arrays)).astype(float) for keys in ("Xx", "Yt"))
    depth = sum(name[0] == "W" for name in arrays)
    for layer in range(1, depth + 1):
        z = a @ turn(arrays[f"W{layer}"]) + turn(arrays[f"b{layer}"])
        a = FUNCTIONS[description["hidden"]](z)
    if description["loss"] == "binary_crossentropy":
        per_sample = np.logaddexp(0, z) - y.reshape(z.shape) * z
    elif description["loss"] == "softmax_crossentropy":
        per_sample = np.logaddexp.reduce(z, axis=1) - (y * z).sum(axis=1)
    else:
        per_sample = 0.5 * ((z - y) ** 2).sum(axis=1)
    return per_sample.sum() / len(z)


def central_difference(arrays, description, rows, name, index, step):
    values = []
    for move in (step, -step):
        moved = arrays[name].copy()
        moved[index] += move
        values.append(loss({**arrays, name: moved}, description, rows))
    return (values[0] - values[1]) / (2 * step)


@pytest.fixture(scope="module", params=[d.name for d in demo.DEMOS])
def built(request):
    return request.param, *demo.find(request.param).build()


def test_shapes(built):
    name, arrays, _ = built
    turn = -1 if name in IN_ROWS else 1
    for layer, (n_in, n_out) in enumerate(zip(WIDTHS[name], WIDTHS[name][1:], strict=False), start=1):
        assert arrays[f"W{layer}"].shape == (n_out, n_in)[::turn]
        assert arrays[f"dW{layer}"].shape == arrays[f"W{layer}"].shape
        assert arrays[f"db{layer}"].shape == arrays[f"b{layer}"].shape
        assert arrays[f"b{layer}"].size == n_out
    X = arrays["x" if name == "digits" else "X"]
    assert X.shape == (WIDTHS[name][0], SAMPLES[name])[::turn]


def test_loss_value(built):
    name, arrays, description = built
    assert loss(arrays, description, name in IN_ROWS) == pytest.approx(description["loss_value"], rel=1e-12)


def test_gradients_are_right_but_for_the_planted_mistakes(built):
    name, arrays, description = built
    rng = np.random.default_rng(0)
    for parameter in [key for key in arrays if key[0] in "Wb"]:
        claimed = arrays[f"d{parameter}"]
        for _ in range(5):
            index = tuple(rng.integers(claimed.shape))
            numerical = central_difference(arrays, description, name in IN_ROWS, parameter, index, 1e-5)
            expected = RATIOS[name].get(parameter, 1) * numerical
            assert claimed[index] == pytest.approx(expected, rel=1e-5, abs=1e-9), (parameter, index)


@pytest.mark.parametrize("name", RATIOS)
def test_announced_mistakes(name):
    assert set(demo.find(name).wrong) == set(RATIOS[name])


def test_published_difference_of_the_planted_network():
    arrays, description = demo.planted()
    names = [key for key in arrays if key[0] in "Wb"]
    claimed = np.concatenate([arrays[f"d{name}"].ravel() for name in names])
    numerical = [
        central_difference(arrays, description, False, name, index, 1e-7)
        for name in names
        for index in np.ndindex(arrays[name].shape)
    ]
    difference = np.linalg.norm(claimed - numerical) / (np.linalg.norm(claimed) + np.linalg.norm(numerical))
    assert difference == pytest.approx(0.28509315, abs=1e-7)


@pytest.mark.parametrize("name", RATIOS)
def test_the_same_every_time(name):
    first, second = (demo.find(name).build() for _ in range(2))
    assert first[1] == second[1]
    assert first[0].keys() == second[0].keys()
    assert all(np.array_equal(first[0][key], second[0][key]) for key in first[0])


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(InputError, match=r"no demo 'cats'.*planted, repaired, cat, digits, forgotten-m"):
        demo.find("cats")
