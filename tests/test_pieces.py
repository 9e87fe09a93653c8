"""Products in pieces against sums of fractions, on any number of threads; BLAS gets its threads back; roots of squares."""

import math
import os
import sys
import threading
import time
from fractions import Fraction

import numpy as np
import pytest

from fastgrad import machine
from fastgrad.model import pieces
from fastgrad.model.pieces import multiply
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


needs_blas = pytest.mark.skipif(not pieces._libraries(), reason="no BLAS here that can be told how many threads to take")


@pytest.fixture
def two_threads():
    """Give BLAS two threads, and tell how many it has."""
    libraries = pieces._libraries()
    before = [library.num_threads for library in libraries]
    for library in libraries:
        pieces.set_threads(library, 2)
    yield lambda: {library.num_threads for library in libraries}
    for library, number in zip(libraries, before, strict=True):
        pieces.set_threads(library, number)


@needs_blas
def test_blas_gets_its_threads_back_whoever_leaves_last(two_threads):
    holder, inside, leave = pieces._OneThread(), threading.Event(), threading.Event()

    def stay():
        holder.enter("other")
        inside.set()
        leave.wait()
        holder.leave("other")

    other = threading.Thread(target=stay)
    other.start()
    inside.wait()
    holder.enter("this")
    assert two_threads() == {1}
    holder.leave("this")
    assert two_threads() == {1}
    leave.set()
    other.join()  # it was not the first to set a number, and is the last to leave
    assert two_threads() == {2}


def interrupted(function, place):
    """Call a function and have Ctrl-C come as it calls its k-th function of fastgrad's; tell whether there were so many."""
    seen = 0

    def trace(frame, *_):
        nonlocal seen
        seen += "fastgrad" in frame.f_code.co_filename
        if seen == place:
            seen += 1
            raise KeyboardInterrupt

    sys.settrace(trace)
    try:
        function()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(None)
    return False


@needs_blas
def test_interrupts_at_any_place_leave_blas_and_threads_as_they_were(two_threads, small_pieces):
    left, right = drawn(64, 700, 600)
    place = 1
    while interrupted(lambda: multiply(left, right), place):
        assert two_threads() == {2}, f"after call {place} of it"
        assert not machine._busy, f"after call {place} of it the threads stay taken"
        place += 1
    assert place > 15


@needs_blas
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_of_fork_has_the_threads_that_there_were(two_threads):
    pieces.one_blas_thread.enter("parent")
    try:
        child = os.fork()
        if not child:
            os._exit(0 if two_threads() == {2} else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        pieces.one_blas_thread.leave("parent")
    assert two_threads() == {2}


def test_no_piece_is_begun_after_an_error():
    done = []

    def work(k):
        done.append(k)
        if k == 3:
            raise KeyboardInterrupt
        time.sleep(0.002)

    with pytest.raises(KeyboardInterrupt):
        machine.share_pieces(1000, work, 2)
    count = len(done)
    assert count < 20
    time.sleep(0.02)
    assert len(done) == count


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
