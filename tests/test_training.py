"""Digits to learn from, and a network that learns by numerical gradients what it learns by backpropagation."""

import gzip
import json
import re

import numpy as np
import pytest
from click.testing import CliRunner

from fastgrad.errors import InputError
from fastgrad.reading.formats import load_arrays
from fastgrad.report.pictures import require
from fastgrad.teaching import digits, pictures, training
from fastgrad.teaching.training import Comparison, Moment, Training
from fastgrad_cli.main import main

UCI_CLASSES = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
"""Digits of each class in the test set, as its own documentation counts them."""


@pytest.fixture(scope="module")
def own():
    return digits.load_digits()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(main, ["demo", *arguments], prog_name="fastgrad")


# Digits.


def test_own_digits_are_those_of_the_source(own):
    labels = np.concatenate([own.train[1], own.test[1]])
    assert np.bincount(labels).tolist() == UCI_CLASSES
    assert (len(own.train[0]), len(own.test[0]), own.pixels) == (1498, 299, 64)
    assert (own.train[0].min(), own.train[0].max()) == (0.0, 1.0)
    source = str(load_arrays(digits.OWN)["source"])
    assert "CC BY 4.0" in source
    assert "10.24432/C50P49" in source


def test_no_digit_is_in_both_parts(own):
    both = np.concatenate([own.train[0], own.test[0]])
    everything = load_arrays(digits.OWN)["pixels"] / 16.0
    assert np.array_equal(np.unique(both, axis=0), np.unique(everything, axis=0))
    assert len(both) == len(everything)


def idx(entries):
    entries = np.asarray(entries, dtype=np.uint8)
    return bytes((0, 0, 8, entries.ndim)) + np.array(entries.shape, dtype=">u4").tobytes() + entries.tobytes()


def packed(contents):
    """Return contents as gzip has them, without the time: the test of this file is called the same in every process."""
    return gzip.compress(contents, mtime=0)


def write_mnist(folder, name="t10k", count=60, suffix=".gz"):
    rng = np.random.default_rng(count)
    images, labels = rng.integers(0, 256, (count, 3, 2)), rng.integers(0, 10, count)
    pack = packed if suffix else bytes
    (folder / f"{name}-images-idx3-ubyte{suffix}").write_bytes(pack(idx(images)))
    (folder / f"{name}-labels-idx1-ubyte{suffix}").write_bytes(pack(idx(labels)))
    return images, labels


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_files(tmp_path, suffix):
    images, labels = write_mnist(tmp_path, suffix=suffix)
    found = digits.load_digits(tmp_path)
    assert (len(found.train[0]), len(found.test[0]), found.pixels) == (50, 10, 6)
    known = {tuple(image.reshape(-1) / 255): label for image, label in zip(images, labels, strict=True)}
    for part in (found.train, found.test):
        assert all(known[tuple(pixels)] == label for pixels, label in zip(*part, strict=True))


def test_both_sets_of_mnist_together(tmp_path):
    write_mnist(tmp_path)
    write_mnist(tmp_path, "train", 120, "")
    assert len(digits.load_digits(tmp_path).train[0]) == 150


@pytest.mark.parametrize(
    ("name", "contents", "message"),
    [
        ("t10k-images-idx3-ubyte.gz", b"no gzip", "cannot be read"),
        ("t10k-images-idx3-ubyte.gz", packed(b"\0\0\x08"), "no idx file of bytes with 3 axes"),
        ("t10k-images-idx3-ubyte.gz", packed(idx([1, 2])), "no idx file of bytes with 3 axes"),
        ("t10k-images-idx3-ubyte.gz", packed(idx(np.zeros((60, 3, 2)))[:-1]), "promises 360 bytes, 359 are there"),
        ("t10k-images-idx3-ubyte.gz", packed(idx(np.zeros((60, 3, 2))))[:-9], "cannot be read"),
        ("t10k-images-idx3-ubyte.gz", packed(b"\0\0\x08\x03" + b"\xff" * 12), "more than there is memory"),
        ("t10k-labels-idx1-ubyte.gz", packed(idx(np.full(60, 10))), "no set of digits"),
        ("t10k-labels-idx1-ubyte.gz", packed(idx(np.zeros(59))), "60 images and 59 labels"),
        ("t10k-labels-idx1-ubyte.gz", None, "no t10k-images-idx3-ubyte.gz with a t10k-labels"),
    ],
)
def test_damaged_idx_files(tmp_path, name, contents, message):
    write_mnist(tmp_path)
    if contents is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(contents)
    with pytest.raises(InputError, match=message):
        digits.load_digits(tmp_path)


# Training.


def small(count=40, pixels=3):
    rng = np.random.default_rng(2)
    return digits.Digits(
        "none",
        (rng.random((count, pixels)), rng.integers(0, 10, count)),
        (rng.random((count, pixels)), rng.integers(0, 10, count)),
    )


def plain_loss(theta, network, X, T):
    """The books' forward pass, examples in rows."""
    z1 = X @ network.W(theta, 0).T + network.b(theta, 0)
    z2 = 1 / (1 + np.exp(-z1)) @ network.W(theta, 1).T + network.b(theta, 1)
    return np.mean(np.log(np.exp(z2).sum(axis=1)) - (T * z2).sum(axis=1))


def test_training_goes_where_the_plain_loop_goes():
    """Some iterations of the books' loop: every parameter, two losses, step 1e-4, truncation and noise below 1e-8."""
    found, some = training.train(small(), training.numerically, 3, seed=5), small()
    network, rng = training.network_for(some), np.random.default_rng(5)
    theta = training.first_weights(network, rng)
    for _ in range(3):
        batch = rng.integers(40, size=100)
        X, T = some.train[0][batch], np.eye(10)[some.train[1][batch]]
        slope = np.empty(network.size)
        for k in range(network.size):
            moved = np.zeros(network.size)
            moved[k] = 1e-4
            slope[k] = (plain_loss(theta + moved, network, X, T) - plain_loss(theta - moved, network, X, T)) / 2e-4
        theta -= 0.1 * slope
    np.testing.assert_allclose(found.theta, theta, rtol=0, atol=1e-8)


@pytest.mark.compiled
def test_both_trainings_are_one():
    found = training.compare(small(), 40, seed=1)
    assert found.same_curves
    # 40 steps of 0.1 times gradients that agree to some roundings of numbers below 1.
    assert found.largest_difference < 40 * 0.1 * 2**-50
    assert [moment.iteration for moment in found.numerical.moments] == list(range(0, 41, 2))
    assert found.books_seconds > 0.0


@pytest.mark.compiled
def test_wrong_gradient_does_not_go_the_same_way():
    right = training.train(small(), training.numerically, 20)
    wrong = training.train(small(), lambda problem: 1.01 * training.numerically(problem), 20)
    assert np.abs(right.theta - wrong.theta).max() > 1e-4


def test_books_loop_gives_the_gradient_that_backpropagation_gives(own):
    network = training.network_for(own)
    theta = training.first_weights(network, np.random.default_rng(0)) * 30
    X, T = own.train[0][:100], np.eye(10)[own.train[1][:100]]
    problem = training.Problem(network, theta, X, T, (), None, None)
    expected = training.by_backpropagation(problem)
    for place in (0, 700, 3300, network.size - 1):
        assert training.books_difference(problem, place) == pytest.approx(expected[place], abs=1e-9)


def test_accuracy_counts_digits(own):
    network = training.network_for(own)
    theta = np.zeros(network.size)
    network.b(theta, 1)[7] = 1.0
    assert training.accuracy(network, theta, *own.test) == np.mean(own.test[1] == 7)


@pytest.mark.compiled
def test_it_learns(own):
    moments = training.train(own, training.numerically, 1500).moments
    assert moments[0].test < 0.2
    assert moments[-1].test > 0.85
    assert abs(moments[-1].train - moments[-1].test) < 0.05


@pytest.mark.parametrize("iterations", [0, -1])
def test_iterations_that_are_none(iterations):
    with pytest.raises(InputError, match="iterations must be"):
        training.train(small(), training.numerically, iterations)


# Commands and pictures.


@pytest.fixture
def mnist(folder):
    write_mnist(folder)
    return str(folder)


@pytest.mark.compiled
def test_command(mnist):
    result = run("train", "--data", mnist, "--iterations", "20", "--seed", "4")
    assert result.exit_code == 0, result.output
    text = " ".join(result.stdout.split())
    assert "6-50-10, sigmoid and softmax: 860 parameters" in text
    assert "MNIST: 50 to train on, 10 to test with; batches of 100, rate 0.1, seed 4." in text
    assert len(re.findall(r"^ +[\d,]+ +\d+\.\d% +\d+\.\d%   .*[ox*]", result.stdout, flags=re.MULTILINE)) == 21
    assert "the same curves, digit for digit" in text
    assert "times as long (timed on 20 parameters)" in text


def test_command_as_json(mnist):
    found = json.loads(run("train", "--data", mnist, "--iterations", "2", "--json").stdout)
    assert (found["schema"], found["widths"], found["iterations"], found["same_curves"]) == (1, [6, 50, 10], 2, True)
    assert [moment["iteration"] for moment in found["numerical"]["moments"]] == [0, 1, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--data", "nowhere"], "nowhere: there is no t10k-images"),
        (["train", "--iterations", "0"], "--iterations"),
        (["train", "--plot", "x.jpeg"], "must end in .png or .svg"),
        (["descent", "--rate", "fast"], "--rate"),
        (["descent", "--plot", "x.jpeg"], "must end in .png or .svg"),
        (["descent", "--rate", "1e200", "--iterations", "9"], "lower the rate"),
    ],
)
def test_commands_used_wrongly(folder, arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(("arguments", "end"), [([], (-0.0345876451, 0.0461168602)), (["--rate", "0"], (-3.0, 4.0))])
def test_descent(folder, arguments, end):
    result = run("descent", *arguments)
    assert result.exit_code == 0
    # (1 − 2·rate)²⁰ of the start.
    assert [float(number) for number in result.stdout.splitlines()[-1].split()[1:3]] == pytest.approx(end, abs=1e-9)
    history = json.loads(run("descent", *arguments, "--json").stdout)["history"]
    assert history[0] == [-3.0, 4.0]
    assert history[-1] == pytest.approx(end, abs=1e-9)


@pytest.mark.parametrize("name", ["train", "descent"])
def test_help(name):
    result = run(name, "--help")
    assert result.exit_code == 0
    assert f"Usage: fastgrad demo {name} [OPTIONS]" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 100


@pytest.mark.extra("matplotlib")
@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_pictures(mnist, folder, suffix):
    for arguments in (["train", "--data", mnist, "--iterations", "2"], ["descent"]):
        written = []
        for _ in range(2):
            result = run(*arguments, "--plot", f"x.{suffix}")
            assert result.exit_code == 0, result.output
            assert f"Wrote x.{suffix}." in result.stdout
            written.append((folder / f"x.{suffix}").read_bytes())
        assert written[0] == written[1], "the same picture, the same bytes"


@pytest.mark.extra("matplotlib")
@pytest.mark.parametrize("iterations", [0, 1, 40])
@pytest.mark.parametrize("rate", [0.1, 0.0, 1.2])
def test_picture_of_any_descent(folder, iterations, rate):
    assert run("descent", "--rate", str(rate), "--iterations", str(iterations), "--plot", "x.svg").exit_code == 0


@pytest.mark.extra("matplotlib")
@pytest.mark.parametrize("ends", [(0.0, 0.0), (1.0, 1.0), (0.1, 0.9)])
def test_picture_of_any_accuracies(tmp_path, ends):
    one = Training((Moment(0, 0.1, 0.1), Moment(9, *ends)), np.zeros(3), 1.0)
    network = training.network_for(small())
    pictures.draw_training(Comparison("digits", network, (1, 1), one, one, 1.0, 0), require(tmp_path / "x.svg"))
    assert (tmp_path / "x.svg").stat().st_size > 1000
