"""Squares that keep what is small, and roots of sums of two, in one pass over memory; called by model."""

import math

from fastgrad.kernels.compile import helper, wide_vectors, worker

LEAST, MOST = 2.0**-900, 2.0**1000
"""Sums of two squares within which neither has lost anything that counts."""
RUN = 256
"""Numbers that are worked out without a test between them, so that the loop vectorises."""


@worker("void(f8[::1], f8, f8, f8[::1])")
def fill_squares(values, factor, least, out):
    """Fill out with (factor·values)², what is not zero being at least `least`; both of shape (n,)."""
    for k in range(values.size):
        scaled = factor * values[k]
        square = scaled * scaled
        out[k] = square if square >= least or scaled == 0.0 else least


@worker("void(f8[::1], f8[::1], f8[::1])")
def root_sums(left, right, out):
    """Fill out with √(left² + right²), all of shape (n,)."""
    wide_vectors()
    for start in range(0, out.size, RUN):
        stop = min(start + RUN, out.size)
        if not usual_root_sums(left, right, out, start, stop):
            for k in range(start, stop):
                out[k] = math.hypot(left[k], right[k])


@helper
def usual_root_sums(left, right, out, start, stop):
    """Work out some of them by the formula as it stands, and tell whether none was out of its range."""
    unusual = 0
    for k in range(start, stop):
        total = left[k] * left[k] + right[k] * right[k]
        out[k] = math.sqrt(total)
        within = LEAST < total < MOST
        unusual += 0 if within or (left[k] == 0.0 and right[k] == 0.0) else 1
    return unusual == 0
