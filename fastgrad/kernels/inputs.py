"""Passes over the inputs of a network with few units above them, as fast as memory gives the inputs; called by model.

With 12288 inputs, 209 examples and 5 units NumPy and BLAS took 14 ms for what these do in some 6, in two passes.
"""

import numpy as np

from fastgrad.kernels.codes import SCRATCH, SQUARED_INPUTS, SQUARED_SAMPLES
from fastgrad.kernels.compile import call, helper, summed_freely, wide_vectors, worker

RUN = 2**13
"""Inputs of a sample at a time, which stay in the second cache while the units take them."""


@worker("void(f8[:,::1], f8[:,::1], FirstLayer, i8, i8)")
def forward(inputs, weights, out, begin, end):
    """Fill in what `FirstLayer` has of the samples from `begin` to `end`; all of it begins at 0."""
    wide_vectors()
    for s in range(begin, end):
        x, z, squares = inputs[s], out.z[s], out.squares[s]
        for start in range(0, x.size, RUN):
            stop = min(start + RUN, x.size)
            out.sums[s] += sum_of_squares(x, start, stop)
            take_largest(x, out.largest, start, stop)
            for i in range(weights.shape[0]):
                products, squared = sums_of_products(x, weights[i], start, stop)
                z[i] += products
                squares[i] += squared


@summed_freely
def sum_of_squares(x, start, stop):
    """Σ x²."""
    total = 0.0
    for k in range(np.uint64(start), np.uint64(stop)):
        total += x[k] * x[k]
    return total


@summed_freely
def sums_of_products(x, w, start, stop):
    """Σ xw and Σ (xw)²."""
    total, squares = 0.0, 0.0
    for k in range(np.uint64(start), np.uint64(stop)):
        term = x[k] * w[k]
        total += term
        squares += term * term
    return total, squares


@helper
def take_largest(x, largest, start, stop):
    """Take the sizes that are the largest of their columns so far."""
    for k in range(np.uint64(start), np.uint64(stop)):
        size = abs(x[k])
        largest[k] = size if size > largest[k] else largest[k]


@worker("void(i8[::1], FirstClaims, Allowance, i8, i8, f8[::1], f8[:,::1])")
def judge(workers, first, allowance, begin, end, room, totals):
    """Judge the weights of the first layer in blocks of columns, those from `begin` to `end`.

    Fill in totals, shape (blocks, codes.TOTALS). workers are the addresses of `squares_of_some` and `tally.block`; room is
    scratch: SCRATCH numbers, SQUARED_INPUTS · SQUARED_SAMPLES, and three for each weight of a block.
    """
    wide_vectors()
    units, columns = first.claimed.shape
    lanes, rest = room[:SCRATCH], room[SCRATCH:]
    few, rest = rest[: SQUARED_INPUTS * SQUARED_SAMPLES], rest[SQUARED_INPUTS * SQUARED_SAMPLES :]
    for block in range(begin, end):
        left = block * first.width
        width = min(first.width, columns - left)
        size = units * width
        claimed, values, squares = rest[:size], rest[size : 2 * size], rest[2 * size : 3 * size]
        take(first.claimed, left, claimed, width)
        if first.flow.shape[0] > 0:
            weighted_sums(first.inputs, first.flow, left, values, width)
        else:
            take(first.values, left, values, width)
        call(workers[0], (first.inputs, first.disturbed, first.unit, first.least, left, few, squares, width))
        call(workers[1], (claimed, values, squares, allowance, lanes, totals[block]))


@helper
def take(matrix, left, out, width):
    """Copy columns of a matrix from `left` on."""
    for i in range(matrix.shape[0]):
        row, here = matrix[i], out[i * width : (i + 1) * width]
        for c in range(np.uint64(here.size)):
            here[c] = row[np.uint64(left) + c]


@worker("void(f8[:,::1], f8[:,::1], f8, f8, i8, f8[::1], f8[::1], i8)")
def squares_of_some(inputs, factors, unit, least, start, room, out, width):
    """Fill out, n_1 rows of `width` numbers, with Σ_s factor·(unit·x)² for factors (m, n_1) and columns from `start` on.

    What is not zero counts as `least`, squared, at least. room is scratch of SQUARED_INPUTS·SQUARED_SAMPLES numbers.
    """
    wide_vectors()
    samples = inputs.shape[0]
    for k in range(out.size):
        out[k] = 0.0
    for left in range(0, width, SQUARED_INPUTS):
        first, count = np.uint64(left), np.uint64(min(SQUARED_INPUTS, width - left))
        for s in range(0, samples, SQUARED_SAMPLES):
            for k in range(SQUARED_SAMPLES):  # of samples that there are not, the last one's, without weight
                square(
                    inputs[min(s + k, samples - 1)], unit, least, np.uint64(start) + first, count, room[k * SQUARED_INPUTS :]
                )
            for i in range(factors.shape[1]):
                add_weighted(room, factors, s, i, first, count, out[i * width : (i + 1) * width])


@helper
def weighted_sums(inputs, factors, start, out, width):
    """Fill out, shape (n_1, c), with Σ_s factor·x, likewise."""
    last = inputs.shape[0] - 1
    for k in range(out.size):
        out[k] = 0.0
    for left in range(0, width, SQUARED_INPUTS):
        first, count = np.uint64(left), np.uint64(min(SQUARED_INPUTS, width - left))
        for s in range(0, last + 1, SQUARED_SAMPLES):
            rows = inputs[s], inputs[min(s + 1, last)], inputs[min(s + 2, last)], inputs[min(s + 3, last)]
            for i in range(factors.shape[1]):
                add_inputs(rows, factors, s, i, np.uint64(start) + first, first, count, out[i * width : (i + 1) * width])


@helper
def add_inputs(rows, factors, s, i, begin, first, count, out):
    """Add the inputs of the samples from s on, times a unit's factors."""
    a, b, c, d = weight(factors, s, i), weight(factors, s + 1, i), weight(factors, s + 2, i), weight(factors, s + 3, i)
    w, x, y, z = rows
    for lane in range(count):
        k = begin + lane
        out[first + lane] += (a * w[k] + b * x[k]) + (c * y[k] + d * z[k])


@helper
def square(x, unit, least, first, count, room):
    """Square some inputs of a sample."""
    for lane in range(count):
        scaled = unit * x[first + lane]
        squared = scaled * scaled
        room[lane] = squared if squared >= least or scaled == 0.0 else least


@helper
def add_weighted(squares, factors, s, i, first, count, out):
    """Do the same with squares that were made of them."""
    a, b, c, d = weight(factors, s, i), weight(factors, s + 1, i), weight(factors, s + 2, i), weight(factors, s + 3, i)
    second, third, fourth = np.uint64(SQUARED_INPUTS), np.uint64(2 * SQUARED_INPUTS), np.uint64(3 * SQUARED_INPUTS)
    for lane in range(count):
        early = a * squares[lane] + b * squares[second + lane]
        out[first + lane] += early + (c * squares[third + lane] + d * squares[fourth + lane])


@helper
def weight(factors, s, i):
    """Return a factor, 0 where there is no such sample."""
    return factors[s, i] if s < factors.shape[0] else 0.0
