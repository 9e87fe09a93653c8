"""Directions of random signs: their products with activations, their sums over a claimed gradient, the loss's moves.

Called by signs and derivative. Signs are never stored: the hash of a counter, one 64-bit word, holds those of 64 neighbouring
columns of a row. What a row comes to does not depend on how rows are shared among threads.
"""

import numpy as np

from fastgrad.kernels import losses
from fastgrad.kernels.codes import GROUP, GROUPS, LINE, PATTERNS, WORD
from fastgrad.kernels.compile import call, helper, worker
from fastgrad.kernels.records import Moves

ROWS = 256
"""Rows that share the tables of one word while they are in cache."""
FOUR, EIGHT = np.uint64(GROUP), np.uint64(2 * GROUP)
NIBBLE = np.uint64(PATTERNS - 1)


@helper
def mixed(x):
    """Scramble 64 bits (the finalizer of SplitMix64: G. Steele, D. Lea and C. Flood, OOPSLA 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@helper
def word(key, counter):
    """64 signs, bit 1 for +1."""
    return mixed(key + np.uint64(counter) * np.uint64(0x9E3779B97F4A7C15))


@worker("void(u8, i8, i8, i8, f8[::1], u8, f8[::1], i8, i8)")
def product_rows(key, counter, words, n_words, sums, width, out, begin, end):
    """Do what `launch.signed_products` does for the rows begin to end − 1."""
    group = np.uint64(PATTERNS) * width
    for low in range(begin, end, ROWS):
        for w in range(n_words):
            for r in range(low, min(low + ROWS, end)):
                bits, at, to = word(key, counter + r * words + w), np.uint64(w * GROUPS) * group, np.uint64(r) * width
                for _ in range(GROUPS // 4):
                    p0, p1 = at + (bits & NIBBLE) * width, at + group + ((bits >> FOUR) & NIBBLE) * width
                    bits >>= EIGHT
                    at += group + group
                    p2, p3 = at + (bits & NIBBLE) * width, at + group + ((bits >> FOUR) & NIBBLE) * width
                    bits >>= EIGHT
                    at += group + group
                    for line in range(np.uint64(0), width, np.uint64(LINE)):
                        for k in range(np.uint64(LINE)):  # so many, and no fewer, are one vector
                            c = line + k
                            out[to + c] += (sums[p0 + c] + sums[p1 + c]) + (sums[p2 + c] + sums[p3 + c])


@worker("void(SignedRows, f8[:,::1], f8[::1], f8[::1], f8[::1], i8, i8)")
def sum_rows(plan, sums, squares, block, totals, begin, end):
    """Do what `launch.signed_sums` does for the rows begin to end − 1; totals holds 64 partial sums of each of its results."""
    keys, left, right = plan.keys, plan.left, plan.right
    for r in range(begin, end):
        for c in range(np.uint64(totals.size)):
            totals[c] = 0.0
        for w in range(left // WORD, (right + WORD - 1) // WORD):
            load(plan, r, w * WORD, block)
            add_word(plan, plan.counter + r * plan.words + w, block, totals)
        for k in range(keys.size + 1):
            total = 0.0
            for c in range(k * WORD, (k + 1) * WORD):
                total += totals[c]
            if k < keys.size:
                sums[k, r] = total
            else:
                squares[r] = total


@helper
def add_word(plan, counter, block, totals):
    """Add a word's numbers to the totals, with the signs of each direction, and the squares of them."""
    keys, unit = plan.keys, plan.unit
    last = np.uint64(keys.size * WORD)
    for c in range(np.uint64(WORD)):
        totals[last + c] += (unit * block[c]) * (unit * block[c])
    for k in range(keys.size):
        bits, at = word(keys[k], counter), np.uint64(k * WORD)
        for c in range(np.uint64(WORD)):
            totals[at + c] += block[c] if (bits >> np.uint64(c)) & np.uint64(1) else -block[c]


@helper
def load(plan, row, start, block):
    """Fill a word's block with a row's numbers from column `start` on, with 0 outside of left to right."""
    values, left, right = plan.values, plan.left, plan.right
    begin = np.uint64(row * plan.columns + start)
    if left <= start and start + WORD <= right:
        for c in range(np.uint64(WORD)):
            block[c] = values[begin + c]
        return
    for c in range(WORD):
        block[c] = values[row * plan.columns + start + c] if left <= start + c < right else 0.0


@worker("void(i8[::1], Loss, f8, f8[:,:,::1], f8[:,::1])")
def loss_moves(exact, loss, bound, work, total):
    """Fill total, shape (m, c), with what each sample's loss moves by when its output k moves by row k of work[s].

    work has shape (m, n_L + 2, c): two spare rows follow the outputs. No move is larger than `bound`; all must be small
    enough for two Taylor terms where they reach no kink. exact[0] is the address of `propagate.exact_loss` where the loss
    couples outputs otherwise than softmax cross-entropy, or moves reach its kinks; else 0.
    """
    samples, rows, _ = work.shape
    flat, columns = work.reshape(work.size), np.uint64(total.shape[1])
    for s in range(samples):
        here, moves, spare = total[s], Moves(flat, s * rows, columns, columns), (s + 1) * rows - 2
        for c in range(here.size):
            here[c] = 0.0
        if exact[0]:
            call(exact[0], (loss, s, bound, moves, spare, here))
        else:
            losses.add_small_difference(loss, s, moves, spare, here)
