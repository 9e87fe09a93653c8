"""A block of a claimed gradient held against the numerical one: rounding, verdict and tally in one pass, called by judging.

NumPy makes some twenty passes of it. Sums and extremes are kept in `codes.LANES` lanes, whose order is that of the entries, so
that loops vectorise and the bits follow from the block alone.
"""

import math

import numpy as np

from fastgrad.kernels.codes import (
    ALLOWED,
    CLAIMED,
    CLEAR,
    CLEAR_AT,
    CLEAR_CLAIM,
    CLEAR_VALUE,
    COARSE,
    COMMON,
    EXCESS,
    EXCESS_AT,
    LANES,
    NUMERICAL,
    OFF,
    ROOM,
    SEEN,
    SUMMED,
    WORST_CLAIM,
    WORST_VALUE,
    WRONG,
)
from fastgrad.kernels.compile import helper, wide_vectors, worker

SUMS = (OFF, CLAIMED, NUMERICAL, ALLOWED, WRONG, COARSE, SEEN)


@worker("void(f8[::1], f8[::1], f8[::1], Allowance, f8[::1], f8[::1])")
def block(claimed, values, squares, allowance, lanes, totals):
    """Fill in totals, whose places `codes` names, of a block of n entries.

    `squares` holds R² in units of allowance.unit²; lanes is scratch, `codes.SCRATCH` numbers.
    """
    wide_vectors()
    for k in range(lanes.size):
        lanes[k] = 0.0
    for lane in range(LANES):
        lanes[COMMON * LANES + lane] = np.inf
        lanes[EXCESS * LANES + lane] = -1.0
        lanes[CLEAR * LANES + lane] = -1.0
    for start in range(0, values.size, LANES):
        add(claimed, values, squares, allowance, np.uint64(start), np.uint64(min(LANES, values.size - start)), lanes)
    for total in range(SUMMED):
        totals[total] = lanes[total * LANES]
    for lane in range(1, LANES):
        for total in SUMS:
            totals[total] += lanes[total * LANES + lane]
        totals[ROOM] = max(totals[ROOM], lanes[ROOM * LANES + lane])
        totals[COMMON] = min(totals[COMMON], lanes[COMMON * LANES + lane])
        take_larger(lanes, totals, EXCESS, EXCESS_AT, lane)
        take_larger(lanes, totals, CLEAR, CLEAR_AT, lane)
    worst, clearest = int(totals[EXCESS_AT]), int(totals[CLEAR_AT])
    totals[WORST_CLAIM], totals[WORST_VALUE] = claimed[worst], values[worst]
    totals[CLEAR_CLAIM], totals[CLEAR_VALUE] = claimed[clearest], values[clearest]


@helper
def take_larger(lanes, totals, largest, place, lane):
    """Take a lane's largest where it is larger, or where it is as large and comes first."""
    other, at = lanes[largest * LANES + lane], lanes[place * LANES + lane]
    if other > totals[largest] or (other == totals[largest] and at < totals[place]):
        totals[largest], totals[place] = other, at


@helper
def add(claimed, values, squares, allowance, start, count, lanes):
    """Add the entries from `start` on, one to each lane."""
    unit, growth = allowance.unit, allowance.growth
    for lane in range(count):
        x, y = claimed[start + lane], values[start + lane]
        off, size = abs(x - y), abs(y)
        rounding = unit * math.sqrt(squares[start + lane]) + growth * size
        allowed, fine = allowance.coarse * rounding + allowance.least, allowance.fine * rounding + allowance.least_fine
        inside = off <= allowed
        inverse = 1.0 / allowed
        excess, clear = off * inverse, size * inverse
        room = allowed + (off if inside else 0.0)
        at = np.float64(start + lane)
        lanes[lane + np.uint64(OFF * LANES)] += off * off
        lanes[lane + np.uint64(CLAIMED * LANES)] += x * x
        lanes[lane + np.uint64(NUMERICAL * LANES)] += y * y
        lanes[lane + np.uint64(ALLOWED * LANES)] += allowed * allowed
        lanes[lane + np.uint64(WRONG * LANES)] += 0.0 if inside else 1.0
        lanes[lane + np.uint64(COARSE * LANES)] += 1.0 if inside and off > fine else 0.0
        lanes[lane + np.uint64(SEEN * LANES)] += 1.0 if size > allowed else 0.0
        most = lanes[lane + np.uint64(ROOM * LANES)]
        lanes[lane + np.uint64(ROOM * LANES)] = room if room > most else most
        least, common = lanes[lane + np.uint64(COMMON * LANES)], room / size
        lanes[lane + np.uint64(COMMON * LANES)] = common if common < least else least
        worst = lanes[lane + np.uint64(EXCESS * LANES)]
        lanes[lane + np.uint64(EXCESS * LANES)] = excess if excess > worst else worst
        lanes[lane + np.uint64(EXCESS_AT * LANES)] = at if excess > worst else lanes[lane + np.uint64(EXCESS_AT * LANES)]
        best = lanes[lane + np.uint64(CLEAR * LANES)]
        lanes[lane + np.uint64(CLEAR * LANES)] = clear if clear > best else best
        lanes[lane + np.uint64(CLEAR_AT * LANES)] = at if clear > best else lanes[lane + np.uint64(CLEAR_AT * LANES)]
