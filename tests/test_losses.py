"""Every loss's slopes and differences against mpmath: saturated logits, soft labels, moves from 1e-300 to 2000.

Bounds are in unit roundoffs of the sum of absolute terms. A probability has the relative error of e^(z − z_top), that is
1 + |z − z_top| roundoffs, and hands it on.
"""

from itertools import product

import numba
import numpy as np
import pytest
from mpmath import mp

from fastgrad.kernels import codes, losses
from fastgrad.numerical import SMALL_MOVE

import reference

UNIT_ROUNDOFF = 2.0**-53
FLOOR = 1e-303
BOUND = 6.0
ELEMENTWISE = {"binary_crossentropy": codes.BINARY_CROSSENTROPY, "summed_squared_error": codes.SQUARED}

SMALL = (1e-300, -1e-100, 1e-12, SMALL_MOVE, -SMALL_MOVE)
MOVES = (*SMALL, 1e-5, -1e-3, 0.7, -1.0, 10.0, -40.0, 100.0)
HUGE = (800.0, -800.0, 2000.0, -2000.0)
OUTPUTS = (0.0, 1e-8, -1e-8, 0.3, -1.0, 2.5, 8.0, -20.0, 37.0, -40.0, 100.0, -700.0, 700.0)
TARGETS = (0.0, 1.0, 0.1, 0.75)

LOGITS = (
    (0.4,),
    (0.0, 0.0, 0.0),
    (1.0, -2.0, 0.5),
    (3.0, 3.0 + 1e-9, -40.0, 2.0),
    (700.0, -700.0, 0.0),
    (349.1, 349.2, -5.3),
    (-30.1, -31.7, -32.5, -29.3, -190.3),
)


@numba.njit(error_model="numpy", fastmath={"contract"})
def tabulate(code, factor, outputs, top):
    loss, top[0] = losses.tabulate_sample(
        code, outputs[0, 0], outputs[1, 0], factor, outputs[4, 0], outputs[2, 0], outputs[3, 0]
    )
    return loss


@numba.njit(error_model="numpy", fastmath={"contract"})
def differences(code, factor, outputs, top, work, small, total):
    """Add to total the loss's change under the moves in the first rows of work."""
    n = outputs.shape[2]
    if code == codes.SOFTMAX_CROSSENTROPY:
        losses.add_softmax(outputs, top, 0, factor, work, 0, n, small, total)
    else:
        losses.add_elementwise(code, outputs, 0, factor, work, 0, small, total)


@numba.njit(error_model="numpy", fastmath={"contract"})
def single(code, outputs, k, moves, result):
    for c in range(moves.size):
        result[c] = losses.single_difference(code, outputs, 0, k, moves[c])


def table(code, a, y, factor=1.0):
    outputs, top = np.zeros((5, 1, len(a))), np.zeros(1, dtype=np.int64)
    outputs[0, 0], outputs[1, 0] = a, y
    return tabulate(code, factor, outputs, top), outputs, top


def by_rows(code, outputs, top, moves, small, factor=1.0):
    """Differences under the moves of shape (n, C), by the kernel that takes rows."""
    total = np.zeros(moves.shape[1])
    work = np.concatenate([moves.ravel(), np.full(2 * moves.shape[1], np.nan)])
    differences(code, factor, outputs, top, work, small, total)
    return total


def element_terms(name, a, y, delta):
    if name == "summed_squared_error":
        return abs(delta) * (2.0 * abs(a - y) + abs(delta))
    sure = reference.exact_difference("softplus", -abs(a), -delta if a > 0 else delta)
    return float(abs(sure)) + abs(delta) * (1.0 - y if a > 0 else y)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise_difference(name):
    code, worst, small_worst = ELEMENTWISE[name], (0.0,), (0.0,)
    for a, y in product(OUTPUTS, TARGETS):
        _, outputs, top = table(code, [a], [y])
        exact = [reference.exact_loss_difference(name, [a], [delta], [y]) for delta in MOVES]
        row, alone = by_rows(code, outputs, top, np.array([MOVES]), False), np.empty(len(MOVES))
        small = by_rows(code, outputs, top, np.array([MOVES]), True)
        single(code, outputs, 0, np.array(MOVES), alone)
        np.testing.assert_array_equal(row, alone)
        for c, delta in enumerate(MOVES):
            allowed = UNIT_ROUNDOFF * max(element_terms(name, a, y, delta), FLOOR)
            worst = max(worst, (float(abs(row[c] - exact[c])) / allowed, a, y, delta))
            if delta in SMALL:
                small_worst = max(small_worst, (float(abs(small[c] - exact[c])) / allowed, a, y, delta))
    print(f"{name}: worst {worst}, by two Taylor terms {small_worst}")
    assert worst[0] <= BOUND
    assert small_worst[0] <= BOUND


@pytest.mark.compiled  # math.exp overflows with an exception where compiled code gives inf
def test_binary_crossentropy_difference_beyond_the_range_of_the_exponential():
    for a, y, delta in product((-1500.0, -3.0, 0.0, 5.0, 1500.0), TARGETS, HUGE):
        exact = reference.exact_loss_difference("binary_crossentropy", [a], [delta], [y])
        _, outputs, top = table(codes.BINARY_CROSSENTROPY, [a], [y])
        (found,) = by_rows(codes.BINARY_CROSSENTROPY, outputs, top, np.array([[delta]]), False)
        assert found == pytest.approx(float(exact), abs=4 * UNIT_ROUNDOFF * (abs(a) + abs(delta)))


def labels(n):
    """Sure, soft, smoothed, and not summing to one."""
    first, last = np.eye(n)[0], np.eye(n)[-1]
    return [first, last, np.arange(1.0, n + 1.0) / sum(range(1, n + 1)), 0.9 * last + 0.1 / n, 2.0 * first + last]


def moves_of(n, sizes):
    """Moves of all logits, of sizes that differ, and of single ones; shape (n, C)."""
    draw = np.random.default_rng(n)
    together = [size * draw.uniform(-1.0, 1.0, n) for size in sizes]
    alone = [size * unit for size in sizes for unit in np.eye(n)]
    return np.array(together + alone + [np.full(n, sizes[0])]).T


def softmax_terms(z, y, moves):
    """Sum of absolute terms of a difference, moves counted from the largest logit's."""
    top = int(np.argmax(z))
    gap = np.array(z) - z[top]
    with mp.workdps(50):
        d = [mp.mpf(float(move)) - mp.mpf(float(moves[top])) for move in moves]
        p = [mp.exp(g) for g in gap]
        p = [pk / sum(p) for pk in p]
        moved = sum(pk * mp.exp(dk) for pk, dk in zip(p, d, strict=True))
        change = sum(pk * (1 + abs(g)) * abs(mp.expm1(dk)) for pk, g, dk in zip(p, gap, d, strict=True)) / moved
        change += abs(mp.log(moved))
        return float(sum(map(mp.mpf, y)) * change + sum(yk * abs(dk) for yk, dk in zip(y, d, strict=True)))


@pytest.mark.parametrize("z", LOGITS)
@pytest.mark.parametrize("small", [True, False])
def test_softmax_crossentropy_difference(z, small):
    worst = (0.0,)
    moves = moves_of(len(z), SMALL if small else MOVES)
    for y in labels(len(z)):
        _, outputs, top = table(codes.SOFTMAX_CROSSENTROPY, z, y)
        found = by_rows(codes.SOFTMAX_CROSSENTROPY, outputs, top, moves, small)
        for c, move in enumerate(moves.T):
            exact = reference.exact_loss_difference("softmax_crossentropy", z, move, y)
            allowed = UNIT_ROUNDOFF * max(softmax_terms(z, y, move), FLOOR)
            worst = max(worst, (float(abs(found[c] - exact)) / allowed, list(y), list(move)))
    print(f"logits {z}, {'small' if small else 'any'} moves: worst {worst}")
    assert worst[0] <= BOUND


@pytest.mark.parametrize("z", LOGITS)
def test_softmax_crossentropy_difference_of_a_single_logit(z):
    code, worst = codes.SOFTMAX_CROSSENTROPY, (0.0,)
    for y, k in product(labels(len(z)), range(len(z))):
        _, outputs, _ = table(code, z, y)
        found = np.empty(len(MOVES))
        single(code, outputs, k, np.array(MOVES), found)
        for c, delta in enumerate(MOVES):
            move = delta * np.eye(len(z))[k]
            exact = reference.exact_loss_difference("softmax_crossentropy", z, move, y)
            taylor = delta * (outputs[2, 0, k] + delta * outputs[3, 0, k])
            allowed = UNIT_ROUNDOFF * max(softmax_terms(z, y, move) + y[k] * abs(delta), FLOOR)
            worst = max(worst, (float(abs(found[c] - exact)) / allowed, k, list(y), delta))
            if delta in SMALL:
                worst = max(worst, (float(abs(taylor - exact)) / allowed, k, list(y), delta, "Taylor"))
    print(f"logits {z}: worst {worst}")
    assert worst[0] <= BOUND


@pytest.mark.compiled
@pytest.mark.parametrize("z", [*LOGITS, (1200.0, -1200.0, 0.0), (-900.0, 3.0)])
def test_softmax_crossentropy_difference_beyond_the_range_of_the_exponential(z):
    code = codes.SOFTMAX_CROSSENTROPY
    moves = moves_of(len(z), HUGE)
    loss = reference.LOSSES["softmax_crossentropy"].value
    for y in labels(len(z)):
        _, outputs, top = table(code, z, y)
        found = by_rows(code, outputs, top, moves, False)
        for c, move in enumerate(moves.T):
            with mp.workdps(40):
                moved, still = ([mp.mpf(zk) + mp.mpf(dk) for zk, dk in zip(z, d, strict=True)] for d in (move, 0 * move))
                exact = float(loss(reference.softmax(moved, mp), y, mp) - loss(reference.softmax(still, mp), y, mp))
            allowed = 8 * UNIT_ROUNDOFF * max(1.0, sum(y)) * (np.ptp(z) + np.ptp(move) + abs(move).max())
            assert found[c] == pytest.approx(exact, abs=allowed)
            if np.count_nonzero(move) == 1:
                alone, k = np.empty(1), int(np.argmax(move != 0.0))
                single(code, outputs, k, move[k : k + 1], alone)
                assert alone[0] == pytest.approx(exact, abs=allowed)


@pytest.mark.parametrize("factor", [1.0, 0.125])
def test_value_and_factor(factor):
    y = np.array([0.2, 0.0, 0.8])
    for name, code in (*ELEMENTWISE.items(), ("softmax_crossentropy", codes.SOFTMAX_CROSSENTROPY)):
        for z in ((0.3, -1.0, 2.0), (40.0, -30.0, 5.0), (-700.0, 700.0, 3.0)):
            loss, outputs, top = table(code, z, y, factor)
            output = "softmax" if code == codes.SOFTMAX_CROSSENTROPY else "sigmoid" if name.startswith("b") else "identity"
            with mp.workdps(1000):
                a = reference.activate(output, [mp.mpf(zk) for zk in z], mp)
                exact = reference.LOSSES[name].value(a, [mp.mpf(yk) for yk in y], mp)
            assert loss == pytest.approx(factor * float(exact), rel=4 * UNIT_ROUNDOFF)
            moves = np.array([[0.5], [-1.0], [0.25]])
            exact = reference.exact_loss_difference(name, z, list(moves[:, 0]), y)
            assert by_rows(code, outputs, top, moves, False, factor)[0] == pytest.approx(factor * float(exact), rel=1e-14)
