"""Every loss's slopes and differences against mpmath: saturated logits, soft labels, moves from 1e-300 to 2000.

Bounds are in unit roundoffs of the sum of absolute terms. A probability has the relative error of e^(z − z_top), that is
1 + |z − z_top| roundoffs, and hands it on.
"""

from itertools import product

import numpy as np
import pytest
from mpmath import mp

from fastgrad.kernels import codes, launch
from fastgrad.kernels.records import Loss, Moves
from fastgrad.numerical.steps import SMALL_MOVE

import reference

UNIT_ROUNDOFF = 2.0**-53
FLOOR = 1e-303
BOUND = 6.0
ELEMENTWISE = {"binary_crossentropy": codes.BINARY_CROSSENTROPY, "sum_squared_error": codes.SQUARED}
OF_A_DIFFERENCE = {
    "sum_squared_error": (codes.SQUARED, 0.0),
    "absolute_error": (codes.ABSOLUTE, 0.0),
    "huber:0.7": (codes.HUBER, 0.7),
    "log_cosh": (codes.LOG_COSH, 0.0),
}

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


def table(code, a, y, factor=1.0, p=0.0):
    outputs, top = np.zeros((codes.OUTPUT_PLANES, 1, len(a))), np.zeros(1, dtype=np.int64)
    outputs[codes.OUTPUT, 0], outputs[codes.TARGET, 0], outputs[codes.FACTOR] = a, y, factor
    value = np.empty(1)
    tabulate = launch.tabulate_loss if code < codes.COUPLED else launch.tabulate_coupled_loss
    tabulate(Loss(code, p, outputs, top), value)
    return value[0], outputs, top


def by_rows(code, outputs, top, moves, bound, p=0.0):
    """Differences under the moves of shape (n, C), by the kernel that takes rows."""
    total = np.zeros(moves.shape[1])
    work = np.concatenate([moves.ravel(), np.full(2 * moves.shape[1], np.nan)])
    columns = moves.shape[1]
    launch.exact_loss(Loss(code, p, outputs, top), 0, bound, Moves(work, 0, columns, columns), len(moves), total)
    return total


def alone(code, outputs, top, k, moves, p=0.0):
    """Differences where output k alone moves."""
    result, work = np.zeros(len(moves)), np.empty(outputs.shape[2])
    launch.exact_single(Loss(code, p, outputs, top), 0, k, np.array(moves, dtype=float), 0, len(moves), work, result)
    return result


def element_terms(name, a, y, delta):
    if name == "sum_squared_error":
        return abs(delta) * (2.0 * abs(a - y) + abs(delta))
    sure = reference.exact_difference("softplus", -abs(a), -delta if a > 0 else delta)
    return float(abs(sure)) + abs(delta) * (1.0 - y if a > 0 else y)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise_difference(name):
    code, worst, small_worst = ELEMENTWISE[name], (0.0,), (0.0,)
    for a, y in product(OUTPUTS, TARGETS):
        _, outputs, top = table(code, [a], [y])
        exact = [reference.exact_loss_difference(name, [a], [delta], [y]) for delta in MOVES]
        row = by_rows(code, outputs, top, np.array([MOVES]), np.inf)
        small = by_rows(code, outputs, top, np.array([MOVES]), SMALL_MOVE)
        np.testing.assert_array_equal(row, alone(code, outputs, top, 0, MOVES))
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
        (found,) = by_rows(codes.BINARY_CROSSENTROPY, outputs, top, np.array([[delta]]), np.inf)
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
        found = by_rows(codes.SOFTMAX_CROSSENTROPY, outputs, top, moves, SMALL_MOVE if small else np.inf)
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
        _, outputs, top = table(code, z, y)
        found = alone(code, outputs, top, k, MOVES)
        for c, delta in enumerate(MOVES):
            move = delta * np.eye(len(z))[k]
            exact = reference.exact_loss_difference("softmax_crossentropy", z, move, y)
            taylor = delta * (outputs[codes.LOSS_SLOPE, 0, k] + delta * outputs[codes.LOSS_CURVATURE, 0, k])
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
        found = by_rows(code, outputs, top, moves, np.inf)
        for c, move in enumerate(moves.T):
            with mp.workdps(40):
                moved, still = ([mp.mpf(zk) + mp.mpf(dk) for zk, dk in zip(z, d, strict=True)] for d in (move, 0 * move))
                exact = float(loss(reference.softmax(moved, mp), y, mp) - loss(reference.softmax(still, mp), y, mp))
            allowed = 8 * UNIT_ROUNDOFF * max(1.0, sum(y)) * (np.ptp(z) + np.ptp(move) + abs(move).max())
            assert found[c] == pytest.approx(exact, abs=allowed)
            if np.count_nonzero(move) == 1:
                k = int(np.argmax(move != 0.0))
                assert alone(code, outputs, top, k, move[k : k + 1])[0] == pytest.approx(exact, abs=allowed)


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
            assert by_rows(code, outputs, top, moves, np.inf)[0] == pytest.approx(factor * float(exact), rel=1e-14)


# Losses of a − y.


def residual_terms(name, d, delta, rounding):
    """|δ| times the largest slope on the way, whose residual was rounded; across a kink, what was rounded there."""
    largest = max(abs(d), abs(d + delta)) + rounding
    if name == "absolute_error":
        return abs(delta)
    if name == "log_cosh":
        return abs(delta) * min(1.0, largest)
    return abs(delta) * (min(0.7, largest) if name == "huber:0.7" else 2.0 * largest)


RESIDUALS = (0.0, 1e-300, -1e-9, 0.3, -0.7, 0.7, 0.7 + 1e-9, -0.999, 1.0, 2.5, -8.0, 37.0, -700.0, 700.0)
ACROSS = (-0.3, -0.6, -1.4, 1.4 + 1e-9, -2.5, -5.0, 16.0, -1400.0)


@pytest.mark.parametrize("name", OF_A_DIFFERENCE)
def test_difference_of_the_losses_of_a_residual(name):
    code, p = OF_A_DIFFERENCE[name]
    worst = (0.0,)
    for d, y in product(RESIDUALS, (0.0, 0.25, -3.0)):
        a = d + y
        _, outputs, top = table(code, [a], [y], p=p)
        moves = np.array([[*MOVES, *ACROSS, 1e-9, -1e-9, 10.0, -10.0]])
        found = by_rows(code, outputs, top, moves, np.inf, p)
        np.testing.assert_array_equal(found, alone(code, outputs, top, 0, moves[0], p))
        small = by_rows(code, outputs, top, np.array([SMALL]), SMALL_MOVE, p)
        for c, delta in enumerate(moves[0]):
            exact = reference.exact_loss_difference(name, [a], [delta], [y])
            allowed = UNIT_ROUNDOFF * max(residual_terms(name, a - y, delta, 0.0), FLOOR)
            worst = max(worst, (float(abs(found[c] - exact)) / allowed, a, y, delta))
            if c < len(SMALL):
                worst = max(worst, (float(abs(small[c] - exact)) / allowed, a, y, delta, "Taylor"))
    print(f"{name}: worst {worst}")
    assert worst[0] <= BOUND


@pytest.mark.parametrize("z", LOGITS)
@pytest.mark.parametrize("name", OF_A_DIFFERENCE)
def test_difference_of_a_loss_that_follows_a_softmax(name, z):
    """Bounded by what each probability's move, p(1 + |z − z_top|)(|E| + Σ p|E|)/(1 + Σ p E), is made of."""
    code, p = OF_A_DIFFERENCE[name]
    worst = (0.0,)
    for y, small in product(labels(len(z)), (True, False)):
        _, outputs, top = table(code + codes.OF_SOFTMAX, z, y, p=p)
        if name == "absolute_error" and outputs[codes.LOSS_KINK].min() < 1e-12:
            continue  # p rounded is on the other side of y, or on it
        moves = moves_of(len(z), SMALL if small else MOVES)[:, ::4]  # 50 digits of all of them take minutes
        found = by_rows(code + codes.OF_SOFTMAX, outputs, top, moves, SMALL_MOVE if small else np.inf, p)
        for c, move in enumerate(moves.T):
            exact = exact_of_softmax(name, z, move, y)
            allowed = UNIT_ROUNDOFF * max(of_softmax_terms(name, z, y, move), FLOOR)
            worst = max(worst, (float(abs(found[c] - exact)) / allowed, list(y), list(move)))
            if np.count_nonzero(move) == 1:
                k = int(np.argmax(move != 0.0))
                one = alone(code + codes.OF_SOFTMAX, outputs, top, k, move[k : k + 1], p)[0]
                worst = max(worst, (float(abs(one - exact)) / allowed, list(y), list(move), "alone"))
                if small and outputs[codes.LOSS_KINK, 0, k] > SMALL_MOVE:
                    slope, bend = outputs[[codes.LOSS_SLOPE, codes.LOSS_CURVATURE], 0, k]
                    taylor = move[k] * (slope + move[k] * bend)
                    worst = max(worst, (float(abs(taylor - exact)) / allowed, list(y), list(move), "Taylor"))
    print(f"{name} of the softmax of {z}: worst {worst}")
    assert worst[0] <= BOUND


def exact_of_softmax(name, z, move, y):
    """The exact difference; kernels leave the mean over outputs to the factor."""
    exact = reference.exact_loss_difference(name, z, move, y, output="softmax")
    return exact * (1 if name == "sum_squared_error" else len(z))


def of_softmax_terms(name, z, y, move):
    gap = [abs(zk - max(z)) for zk in z]
    top = gap.index(0.0)
    with mp.workdps(50):
        d = [mp.mpf(float(m)) - mp.mpf(float(move[top])) for m in move]
        p = reference.softmax([mp.mpf(zk) for zk in z], mp)
        E = [mp.expm1(dk) for dk in d]
        mean = sum(pk * (1 + g) * abs(Ek) for pk, g, Ek in zip(p, gap, E, strict=True))
        whole = 1 + sum(pk * Ek for pk, Ek in zip(p, E, strict=True))
        total = mp.mpf(0)
        for pk, g, Ek, yk in zip(p, gap, E, y, strict=True):
            moved = pk * (1 + g) * (abs(Ek) * (1 if g else 0) + mean) / whole
            slope = {"absolute_error": 1, "sum_squared_error": 2}.get(name, 1) * (
                1 if name == "absolute_error" else pk * (1 + g) + yk + moved
            )
            total += moved * slope
        return float(total)


@pytest.mark.compiled
@pytest.mark.parametrize("name", OF_A_DIFFERENCE)
def test_loss_that_follows_a_softmax_beyond_the_range_of_the_exponential(name):
    code, p = OF_A_DIFFERENCE[name]
    for z in ((0.0, 0.0, 0.0), (700.0, -700.0, 0.0), (1200.0, -1200.0, 3.0)):
        moves = moves_of(3, HUGE)
        _, outputs, top = table(code + codes.OF_SOFTMAX, z, (0.0, 1.0, 0.0), p=p)
        found = by_rows(code + codes.OF_SOFTMAX, outputs, top, moves, np.inf, p)
        for c, move in enumerate(moves.T):
            exact = float(exact_of_softmax(name, z, move, (0.0, 1.0, 0.0)))
            # An exponent of that size is rounded, and e^x takes its absolute error over as a relative one.
            allowed = 4 * UNIT_ROUNDOFF * (np.ptp(z) + np.ptp(move) + abs(move).max())
            assert found[c] == pytest.approx(exact, abs=allowed)
            if np.count_nonzero(move) == 1:
                k = int(np.argmax(move != 0.0))
                one = alone(code + codes.OF_SOFTMAX, outputs, top, k, move[k : k + 1], p)[0]
                assert one == pytest.approx(exact, abs=allowed)


# The binary cross-entropy of a softmax.

OF_SOFTMAX = codes.BINARY_CROSSENTROPY + codes.OF_SOFTMAX


def binary_labels(n):
    return [y for y in (*labels(n), np.zeros(n) + (n == 1), np.full(n, 0.5) + 0.5 * (n == 1)) if y.max() <= 1.0]


def binary_terms(z, y, move):
    """n log(1 + Ē), y d and (1 − y) log(1 + S), where p and E are off by 1 + |z − z_top| and 1 + |d| roundoffs."""
    gap = [abs(zk - max(z)) for zk in z]
    top = gap.index(0.0)
    with mp.workdps(400):
        d = [mp.mpf(float(m)) - mp.mpf(float(move[top])) for m in move]
        p = reference.softmax([mp.mpf(zk) for zk in z], mp)
        E = [mp.expm1(dk) for dk in d]
        sizes = [pk * (1 + g + abs(dk)) * abs(Ek) for pk, g, dk, Ek in zip(p, gap, d, E, strict=True)]
        total = len(z) * sum(sizes) / (1 + sum(pk * Ek for pk, Ek in zip(p, E, strict=True)))
        for k, yk in enumerate(y):
            total += yk * abs(d[k])
            if yk != 1.0:
                others = sum(pj for j, pj in enumerate(p) if j != k)
                moved = 1 + sum(p[j] * E[j] for j in range(len(z)) if j != k) / others
                size = sum(s for j, s in enumerate(sizes) if j != k or k != top)
                total += (1 - yk) * size / others / moved
        return float(total)


@pytest.mark.parametrize("z", LOGITS)
def test_difference_of_the_binary_crossentropy_of_a_softmax(z):
    worst = (0.0,)
    for y, small in product(binary_labels(len(z)), (True, False)):
        _, outputs, top = table(OF_SOFTMAX, z, y)
        moves = moves_of(len(z), SMALL if small else MOVES)[:, ::4]
        found = by_rows(OF_SOFTMAX, outputs, top, moves, SMALL_MOVE if small else np.inf)
        for c, move in enumerate(moves.T):
            exact = reference.exact_loss_difference("binary_crossentropy", z, move, y, output="softmax")
            allowed = UNIT_ROUNDOFF * max(binary_terms(z, y, move), FLOOR)
            worst = max(worst, (float(abs(found[c] - exact)) / allowed, list(y), list(move)))
            if np.count_nonzero(move) == 1:
                k = int(np.argmax(move != 0.0))
                one = alone(OF_SOFTMAX, outputs, top, k, move[k : k + 1])[0]
                worst = max(worst, (float(abs(one - exact)) / allowed, list(y), list(move), "alone"))
                if small:
                    slope, bend = outputs[[codes.LOSS_SLOPE, codes.LOSS_CURVATURE], 0, k]
                    taylor = move[k] * (slope + move[k] * bend)
                    worst = max(worst, (float(abs(taylor - exact)) / allowed, list(y), list(move), "Taylor"))
    print(f"binary cross-entropy of the softmax of {z}: worst {worst}")
    assert worst[0] <= BOUND


@pytest.mark.compiled
def test_binary_crossentropy_of_a_softmax_beyond_the_range_of_the_exponential():
    for z, y in product(((0.0, 0.0, 0.0), (700.0, -700.0, 0.0), (1200.0, -1200.0, 3.0)), np.eye(3)):
        moves = moves_of(3, HUGE)
        loss, outputs, top = table(OF_SOFTMAX, z, y)
        with mp.workdps(2000):
            p = reference.softmax([mp.mpf(zk) for zk in z], mp)
            assert loss == pytest.approx(float(reference.LOSSES["binary_crossentropy"].value(p, list(y), mp)), rel=1e-15)
        found = by_rows(OF_SOFTMAX, outputs, top, moves, np.inf)
        for c, move in enumerate(moves.T):
            exact = float(reference.exact_loss_difference("binary_crossentropy", z, move, y, output="softmax"))
            allowed = 12 * UNIT_ROUNDOFF * (np.ptp(z) + np.ptp(move) + abs(move).max())
            assert found[c] == pytest.approx(exact, abs=allowed)


# Losses with a logarithm.


@pytest.mark.parametrize("name", ["poisson", "kl_divergence"])
def test_difference_of_a_loss_with_a_logarithm(name):
    """log(1 + δ/a) takes over the rounding of its argument x as x/(1 + x)."""
    code = {"poisson": codes.POISSON, "kl_divergence": codes.KL_DIVERGENCE}[name]
    worst = (0.0,)
    for a, y in product((1e-100, 1e-8, 0.3, 1.0, 2.5, 100.0, 1e9), (0.0, 0.25, 1.0, 7.0)):
        _, outputs, top = table(code, [a], [y])
        moves = a * np.array([*SMALL, 1e-3, -1e-3, 0.7, -0.9, -1.0 + 2.0**-20, 40.0, 1e9])
        found = by_rows(code, outputs, top, moves[np.newaxis], np.inf)
        small = by_rows(code, outputs, top, moves[np.newaxis], SMALL_MOVE)
        for c, delta in enumerate(moves):
            exact = reference.exact_loss_difference(name, [a], [delta], [y], output="identity")
            x = delta / a
            terms = y * (abs(np.log1p(x)) + abs(x / (1.0 + x))) + (abs(delta) if name == "poisson" else 0.0)
            allowed = UNIT_ROUNDOFF * max(terms, FLOOR)
            worst = max(worst, (float(abs(found[c] - exact)) / allowed, a, y, delta))
            if c < len(SMALL):
                worst = max(worst, (float(abs(small[c] - exact)) / allowed, a, y, delta, "Taylor"))
    print(f"{name}: worst {worst}")
    assert worst[0] <= BOUND


def test_poisson_after_exp_is_taken_from_the_logit():
    worst = (0.0,)
    for z, y in product((-700.0, -40.0, -1.0, 0.0, 0.3, 8.0, 600.0), (0.0, 1.0, 12.0)):
        _, outputs, top = table(codes.POISSON_OF_LOGIT, [z], [y])
        moves = np.array([[delta for delta in MOVES if z + delta < 700.0]])
        found = by_rows(codes.POISSON_OF_LOGIT, outputs, top, moves, np.inf)
        small = by_rows(codes.POISSON_OF_LOGIT, outputs, top, moves, SMALL_MOVE)
        for c, delta in enumerate(moves[0]):
            exact = reference.exact_loss_difference("poisson", [z], [delta], [y])
            allowed = UNIT_ROUNDOFF * max(np.exp(z) * abs(np.expm1(delta)) + y * abs(delta), FLOOR)
            worst = max(worst, (float(abs(found[c] - exact)) / allowed, z, y, delta))
            if delta in SMALL:
                worst = max(worst, (float(abs(small[c] - exact)) / allowed, z, y, delta, "Taylor"))
    print(f"poisson of a logit: worst {worst}")
    assert worst[0] <= BOUND


# Hinges.

SCORES = ((0.4,), (-3.0,), (0.0, 0.0), (1.0, -2.0, 0.5), (3.0, 2.0 + 1e-9, -40.0, 2.0), (700.0, -700.0, 0.0), (0.1, 0.6, 0.6))


@pytest.mark.parametrize(("name", "code"), [("hinge", codes.HINGE), ("squared_hinge", codes.SQUARED_HINGE)])
@pytest.mark.parametrize("margin", [1.0, 0.5])
def test_difference_of_a_hinge(name, code, margin):
    worst = (0.0,)
    for a in SCORES:
        n = len(a)
        for y in ([-1.0], [1.0]) if n == 1 else np.eye(n):
            _, outputs, top = table(code, a, y, p=margin)
            moves = moves_of(n, (*MOVES, 0.5, -0.5, 1400.0))
            found = by_rows(code, outputs, top, moves, np.inf, margin)
            np.testing.assert_array_equal(found, by_rows(code, outputs, top, moves, SMALL_MOVE, margin))
            for c, move in enumerate(moves.T):
                exact = reference.exact_loss_difference(f"{name}:{margin}", a, move, list(y))
                allowed = UNIT_ROUNDOFF * max(hinge_terms(name, a, y, move, margin), FLOOR)
                worst = max(worst, (float(abs(found[c] - exact)) / allowed, a, list(y), list(move)))
                if np.count_nonzero(move) == 1:
                    k = int(np.argmax(move != 0.0))
                    one = alone(code, outputs, top, k, move[k : k + 1], margin)[0]
                    worst = max(worst, (float(abs(one - exact)) / allowed, a, list(y), list(move), "alone"))
                    if abs(move[k]) <= SMALL_MOVE < outputs[codes.LOSS_KINK, 0, k]:
                        slope, bend = outputs[[codes.LOSS_SLOPE, codes.LOSS_CURVATURE], 0, k]
                        taylor = move[k] * (slope + move[k] * bend)
                        worst = max(worst, (float(abs(taylor - exact)) / allowed, a, list(y), list(move), "Taylor"))
    print(f"{name} of margin {margin}: worst {worst}")
    assert worst[0] <= BOUND


def hinge_terms(name, a, y, move, margin):
    """Moves, times twice the hinge for squares; the rounding of a hinge where it is crossed."""
    target, total = int(np.argmax(y)), 0.0
    for j in range(len(a)):
        if len(a) > 1 and j == target:
            continue
        h, moved = (
            (margin + a[j] - a[target], move[j] - move[target]) if len(a) > 1 else (margin - y[0] * a[0], -y[0] * move[0])
        )
        size = margin + abs(a[j]) + abs(a[target]) * (len(a) > 1)
        crossed = h * (h + moved) <= 0.0
        if name == "hinge":
            total += max(abs(moved), size * crossed)
        else:
            total += (abs(moved) + size * crossed) * (2.0 * size + abs(moved))
    return total
