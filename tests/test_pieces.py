"""Products in pieces against sums of fractions, on any number of threads; BLAS gets its threads back; roots of squares."""

import math
import threading
from contextlib import suppress
from fractions import Fraction

import numpy as np
import pytest

from fastgrad import machine
from fastgrad.model import pieces
from fastgrad.model.pieces import multiply, one_blas_thread
from fastgrad.model.product import hypot

SHAPES = [(3, 4, 5), (40, 300, 40), (64, 700, 600), (700, 64, 600), (300, 2000, 5), (16, 1500, 900)]


def drawn(rows, inner, columns):
    draw = np.random.default_rng(rows)
    return draw.normal(size=(rows, inner)), draw.normal(size=(columns, inner)).T


@pytest.fixture
def small_pieces(monkeypatch):
    """Cut into pieces, and share out, what is otherwise one."""
    for name, size in (("SHARED_WORK", 0), ("PIECE", 2**17), ("SIDE", 7), ("SMALL", 2**15)):
        monkeypatch.setattr(pieces, name, size)


@pytest.mark.parametrize("shape", SHAPES)
def test_entries_of_a_product_are_sums_of_products(shape, small_pieces):
    left, right = drawn(*shape)
    found = multiply(left, right)
    draw = np.random.default_rng(1)
    corners = [(0, 0), (shape[0] - 1, shape[2] - 1)]
    for row, column in corners + [(draw.integers(shape[0]), draw.integers(shape[2])) for _ in range(6)]:
        terms = [Fraction(a) * Fraction(b) for a, b in zip(left[row], right[:, column], strict=True)]
        bound = shape[1] * 2.0**-53 * float(sum(map(abs, terms)))  # of any order of the sum
        assert abs(float(found[row, column] - float(sum(terms)))) <= bound
    np.testing.assert_allclose(found, np.einsum("ij,jk->ik", left, right), rtol=0, atol=1e-11)


@pytest.mark.parametrize("shape", SHAPES)
def test_threads_change_no_bit(shape, small_pieces, monkeypatch):
    left, right = drawn(*shape)
    found = []
    for threads in (1, 2, 5):
        monkeypatch.setattr(machine, "most_threads", lambda count=threads: count)
        found.append(multiply(left, right))
        into = np.empty((shape[0], 2 * shape[2]))[:, : shape[2]]
        multiply(left, right, out=into)
        np.testing.assert_array_equal(into, found[-1])
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.skipif(not pieces._libraries(), reason="no BLAS here that can be told how many threads to take")
def test_blas_gets_its_threads_back_whoever_leaves_last():
    libraries = pieces._libraries()
    before = [library.num_threads for library in libraries]
    try:
        for library in libraries:
            pieces.set_threads(library, 2)
        inside, leave = threading.Event(), threading.Event()

        def stay():
            with one_blas_thread:
                inside.set()
                leave.wait()

        other = threading.Thread(target=stay)
        other.start()
        inside.wait()
        with suppress(ZeroDivisionError), one_blas_thread:
            assert [library.num_threads for library in libraries] == [1] * len(libraries)
            1 / 0  # noqa: B018
        assert [library.num_threads for library in libraries] == [1] * len(libraries)
        leave.set()
        other.join()  # it was not the first to set a number, and is the last to leave
        assert [library.num_threads for library in libraries] == [2] * len(libraries)
    finally:
        for library, number in zip(libraries, before, strict=True):
            pieces.set_threads(library, number)


def test_pieces_within_pieces_wait_for_nobody():
    done = []
    lock = threading.Lock()

    def inner(k):
        with lock:
            done.append(k)

    def outer(_):
        machine.share_pieces(4, inner, 2)

    worker = threading.Thread(target=lambda: machine.share_pieces(6, outer, 2), daemon=True)
    worker.start()
    worker.join(20.0)
    assert not worker.is_alive(), "a call waits for the thread that it runs on"
    assert sorted(done) == sorted([0, 1, 2, 3] * 6)
    with pytest.raises(ZeroDivisionError):
        machine.share_pieces(3, lambda k: 1 / (k - 1), 2)
    machine.share_pieces(2, inner, 2)  # the threads are free again
    assert len(done) == 26


@pytest.mark.parametrize("size", [100, 5000])
def test_roots_of_sums_of_squares_are_those_of_libm(size):
    draw = np.random.default_rng(size)
    left, right = (10.0 ** draw.uniform(-323, 307, size) * draw.choice([-1, 1], size) for _ in range(2))
    near = slice(0, size // 2)
    left[near], right[near] = draw.normal(size=size // 2), draw.normal(size=size // 2)
    left[:4], right[:4] = (0.0, np.inf, 1e308, 5e-324), (0.0, 1.0, 1.0, 0.0)
    with np.errstate(over="ignore"):
        found = hypot(left, right)
    for one, a, b in zip(found, left, right, strict=True):
        true = math.hypot(a, b)
        assert one == true or abs(one - true) <= 2.0**-51 * true, (a, b)
