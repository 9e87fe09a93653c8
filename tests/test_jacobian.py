"""Jacobians: dense, sparse, along directions; all rows at once, with planted mistakes that must be found."""

import json
from importlib import import_module

import numpy as np
import pytest

import fastgrad

XS = np.linspace(0.1, 4, 40)
P = np.array([5.0, 0.7, 1.3])
COUNTS = np.random.default_rng(9).poisson(20 * (5 * np.exp(-0.7 * XS) + 1.3)) / 20 + 0.05


def model(p):
    return p[0] * np.exp(-p[1] * XS) + p[2]


def residuals(p):
    return np.sqrt(COUNTS) - np.sqrt(model(p))


def slopes(p):
    return np.column_stack([np.exp(-p[1] * XS), -p[0] * XS * np.exp(-p[1] * XS), np.ones_like(XS)])


def right(p):
    return -slopes(p) / (2 * np.sqrt(model(p)))[:, None]


def real(f):
    """Return a function that refuses complex numbers."""

    def refusing(p):
        assert not np.iscomplexobj(p)
        return f(p)

    return refusing


@pytest.mark.parametrize("f", [residuals, real(residuals)], ids=["complex steps", "differences"])
def test_residuals_with_their_jacobian(f):
    report = fastgrad.check_jacobian(f, right, P)
    assert report.passed, str(report)
    assert report.evaluations <= (20 if f is residuals else 120)
    wrong = fastgrad.check_jacobian(f, lambda p: -slopes(p) * model(p)[:, None] / 2, P)
    assert (wrong.verdict, len(wrong.wrong_rows), wrong.wrong) == ("wrong", 40, 120)
    with pytest.raises(fastgrad.GradientError, match="120 of 120 entries of the Jacobian are wrong, in 40 rows"):
        wrong.raise_if_wrong()
    json.dumps(wrong.to_dict(), allow_nan=False)


@pytest.mark.parametrize("f", [residuals, real(residuals)], ids=["complex steps", "differences"])
@pytest.mark.parametrize("share", [1e-7, -1.0])
def test_one_entry_that_is_off_is_named(f, share):
    J = right(P)
    J[17, 1] *= 1 + share
    report = fastgrad.check_jacobian(f, J, P)
    assert [entry.name for entry in report.entries] == ["J[17, 1]"]
    assert (report.wrong_rows, report.verdict) == (("17",), "wrong")
    assert report.entries[0].numerical == pytest.approx(right(P)[17, 1], rel=1e-9)
    assert fastgrad.check_jacobian(f, J, P, tolerance=1e-6).passed == (share == 1e-7)


def chain(x):
    """Return values of which each needs its neighbours alone."""
    left, here, after = np.concatenate([[0.0], x[:-1]]), x, np.concatenate([x[1:], [0.0]])
    return left * here - here**2 + np.sin(after)


def chain_jacobian(x):
    n = len(x)
    diagonals = [x[1:], np.concatenate([[0.0], x[:-1]]) - 2 * x, np.cos(x[1:])]
    return import_module("scipy.sparse").diags(diagonals, [-1, 0, 1], shape=(n, n)).tocsr()


@pytest.mark.extra("scipy")
@pytest.mark.parametrize("f", [chain, real(chain)], ids=["complex steps", "differences"])
def test_sparse_jacobians_are_moved_in_groups_of_columns(f):
    x = np.random.default_rng(0).normal(size=300)
    report = fastgrad.check_jacobian(f, chain_jacobian, x)
    assert report.passed, str(report)
    assert (report.moves, report.is_sparse) == (3, True)
    assert report.evaluations < 150


@pytest.mark.extra("scipy")
def test_a_wrong_and_a_missing_entry_of_a_sparse_jacobian_are_named():
    x = np.random.default_rng(0).normal(size=60)
    J = chain_jacobian(x).tolil()
    J[7, 8] *= 1.001
    assert [entry.name for entry in fastgrad.check_jacobian(chain, J.tocsr(), x).entries] == ["J[7, 8]"]
    J = chain_jacobian(x).tolil()
    J[20, 21] = 0.0
    missing = J.tocsr()
    missing.eliminate_zeros()
    report = fastgrad.check_jacobian(chain, missing, x)
    assert [(entry.name, entry.claimed) for entry in report.entries] == [("J[20, 21]", 0.0)]


@pytest.mark.extra("scipy")
@pytest.mark.parametrize("f", [chain, real(chain)], ids=["complex steps", "differences"])
def test_large_jacobians_are_held_against_random_directions(f):
    x = np.random.default_rng(1).normal(size=200)
    J = chain_jacobian(x)
    report = fastgrad.check_jacobian(f, J, x, method="directions")
    assert report.passed, str(report)
    assert "along 16 random directions" in str(report)
    J = J.tolil()
    J[33, 34] *= 1.01
    report = fastgrad.check_jacobian(f, J.tocsr(), x, method="directions")
    assert report.wrong_rows == ("33",)


def test_a_dict_of_arrays_and_a_function_of_any_shape():
    def f(p):
        return np.tanh(p["W"] @ p["x"])[None, :]

    def jacobian(p):
        s = 1 - np.tanh(p["W"] @ p["x"]) ** 2
        W = np.einsum("i,ik,l->ikl", s, np.eye(2), p["x"])
        return {"x": s[:, None] * p["W"], "W": W}

    p = {"W": np.random.default_rng(0).normal(size=(2, 3)), "x": np.array([1.0, -2.0, 0.5])}
    assert fastgrad.check_jacobian(f, jacobian, p).passed
    bad = jacobian(p)
    bad["W"][1, 1, 2] = 0.25
    report = fastgrad.check_jacobian(f, bad, p)
    assert [entry.name for entry in report.entries] == ["J[[0, 1], W[1, 2]]"]


def test_kinks_and_single_precision():
    x = np.array([0.0, 1.0, -2.0])
    assert fastgrad.check_jacobian(lambda x: np.abs(x.real), np.diag([0.3, 1.0, -1.0]), x).passed
    assert fastgrad.check_jacobian(real(np.abs), np.diag([0.3, 1.0, -1.0]), x).kinks == 1
    assert not fastgrad.check_jacobian(real(np.abs), np.diag([1.3, 1.0, -1.0]), x)
    W = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    f = lambda x: np.tanh(W @ x.astype(np.float32))  # noqa: E731
    J = (1 - np.tanh(W @ x.astype(np.float32)) ** 2)[:, None] * W
    assert fastgrad.check_jacobian(f, J, x).passed
    assert fastgrad.check_jacobian(f, J * np.float32(1.01), x).verdict == "wrong"


def test_noise_leaves_an_entry_open_and_never_green():
    def f(x):
        return np.array([1e-9 * x[0] + 1.0 + 1e-4 * np.sin(1e9 * x[0]), x[1]])

    report = fastgrad.check_jacobian(real(f), np.diag([1e-9, 1.0]), np.array([0.3, 0.4]))
    assert not report.passed


def test_nan_is_wrong():
    assert fastgrad.check_jacobian(lambda x: 2 * x, np.diag([2.0, np.nan]), np.ones(2)).verdict == "wrong"


WRONG_CALLS = {
    "transposed": (lambda: fastgrad.check_jacobian(residuals, lambda p: right(p).T, P), "expected \\(40, 3\\).*transpose it"),
    "another shape": (lambda: fastgrad.check_jacobian(residuals, np.ones((40, 4)), P), r"has shape \(40, 4\), and f gives 40"),
    "no return": (lambda: fastgrad.check_jacobian(residuals, lambda p: None, P), "the Jacobian is None"),
    "it raises": (lambda: fastgrad.check_jacobian(residuals, lambda p: 1 / 0, P), "the Jacobian raises ZeroDivisionError"),
    "text": (lambda: fastgrad.check_jacobian(residuals, "J", P), "the Jacobian is 'J'; expected an array of real numbers"),
    "f is none": (lambda: fastgrad.check_jacobian(None, np.ones((1, 3)), P), "f is of type NoneType"),
    "f returns nothing": (lambda: fastgrad.check_jacobian(lambda p: None, np.ones((1, 3)), P), "is its return missing"),
    "nan": (lambda: fastgrad.check_jacobian(lambda p: p * np.nan, np.eye(3), P), "f gives values that are not finite"),
    "keys": (lambda: fastgrad.check_jacobian(residuals, {"a": 1}, P), "the keys 'a', and x is no dict"),
    "method": (lambda: fastgrad.check_jacobian(residuals, right, P, method="rows"), "expected auto, columns or directions"),
    "random": (
        lambda: fastgrad.check_jacobian(lambda p: p * np.random.random(), np.eye(3), P),
        "f gives two values for the same x",
    ),
    "modified": (lambda: fastgrad.check_jacobian(lambda p: np.multiply(p, 2, out=p), np.eye(3), P), "f modifies its argument"),
}


@pytest.mark.parametrize("name", WRONG_CALLS)
def test_wrong_calls_are_told_what_to_write(name):
    call, said = WRONG_CALLS[name]
    with pytest.raises(fastgrad.InputError, match=said):
        call()
