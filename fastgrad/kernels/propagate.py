"""The propagated difference: what J(θ+h) − J(θ) and J(θ−h) − J(θ) are, carried from the perturbed layer to the loss.

One sample at a time, many perturbations at once: a tile's row holds, for one unit, that unit's change under each
perturbation, +step in the first half and −step in the second. For one sample every table entry is then a scalar, units
that pass nothing on (a rectifier that is off) drop out of the products, and sums over samples run in sample order
whatever the tiling.
"""

from math import isfinite

import numpy as np

from fastgrad.kernels import activations, losses
from fastgrad.kernels.codes import (
    CODE,
    CURVATURE,
    EXACT_ACTIVATION,
    EXACT_LOSS,
    EXACT_SINGLE,
    KINK,
    LOSS_CURVATURE,
    LOSS_KINK,
    LOSS_SLOPE,
    ROW,
    SCALE,
    SLOPE,
    SPACING,
    START,
    STRAIGHT,
    TILE,
    UNIT,
    WIDTH,
    Z,
)
from fastgrad.kernels.compile import call, helper, outlined, wide_vectors, worker
from fastgrad.kernels.rows import COLUMNS, STRIDE, expand, first_line, multiply

ONE, HALF = np.uint64(1), np.uint64(TILE)


# Types of workers' arguments. First come those of the base point, from theta to the loss's parameter.
BASE = "f8[::1], i8[:,::1], f8[::1], f8[:,:,::1], i8[::1], f8[:,:,::1], i8[::1], i8, f8"
PARAMETERS = "i8, f8[:,::1], f8[::1], f8[::1], i8[::1], i8[::1], i8[::1], i8, i8"
PREACTIVATIONS = "i8, f8, f8[::1], i8[::1], i8, i8"


@worker("void(i8, f8, f8, f8, f8[::1], u8, u8)")
def exact_activation(code, p, z, scale, moves, begin, count):
    """Turn moves of z, some columns from `begin` on, into exact moves of scale·f(z)."""
    for c in range(begin, begin + count):
        moves[c] = scale * activations.difference(code, p, z, moves[c])


@worker("void(i8, f8, f8[:,:,::1], i8[::1], i8, f8, f8[::1], i8, i8, f8[::1], u8, u8)")
def exact_loss(code, p, outputs, top, s, bound, work, source, spare, total, columns, stride):
    """Do what `losses.add_difference` does."""
    losses.add_difference(code, p, outputs, top, s, bound, work, source, spare, total, columns, stride)


@worker("void(i8, f8, f8[:,:,::1], i8[::1], i8, i8, f8[::1], u8, u8, f8[::1], f8[::1])")
def exact_single(code, p, outputs, top, s, k, moves, begin, end, work, total):
    """Add to some columns of total the exact difference of sample s's loss when output k alone moves."""
    for c in range(begin, end):
        total[c] += losses.single_difference(code, p, outputs, top, s, k, moves[c], work)


@helper
def list_active(layers, units, layer, s, bound, active, at):
    """List from active[at] on the units of a layer that pass a change of sample s on, at the output all; return how many."""
    count, output = 0, layer == layers.shape[1] - 2
    low = layers[UNIT, layer]
    for i in range(layers[WIDTH, layer + 1]):
        u = low + i
        if output or units[SLOPE, s, u] != 0.0 or units[CURVATURE, s, u] != 0.0 or units[KINK, s, u] <= bound:
            active[at + count] = i
            count += 1
    return count


@helper
def list_terms(theta, layers, units, layer, unit, s, bound, active, count, terms):
    """List what a move x of one activation makes of f of each listed unit above: x·(terms[r] + x·terms[count + r]).

    Of f(z + w·x) these are w·f′ and w²·½f″; a dropout's factor is in them. Return whether two Taylor terms are enough for all.
    """
    low, start, width, small = layers[UNIT, layer], layers[START, layer] + unit, layers[WIDTH, layer], True
    for r in range(count):
        i = active[r]
        w = theta[start + i * width]
        terms[r], terms[count + r] = w * units[SLOPE, s, low + i], w * (w * units[CURVATURE, s, low + i])
        small = small and units[KINK, s, low + i] > bound and isfinite(terms[count + r])
    return small


@outlined
def enter(theta, layers, shapes, units, exact, layer, s, bound, active, count, groups, n_groups, first, work):
    """Fill rows of work with the moves of the listed units of the layer above a changed one: f(z + w·first) − f(z).

    groups lists runs of columns that share a changed unit: unit, first column, last column + 1. Here and below exact
    differences are multiplied by the unit's dropout; Taylor coefficients have it in them.
    """
    wide_vectors()
    low, code, p = layers[UNIT, layer], layers[CODE, layer], shapes[layer]
    for r in range(count):
        i, at = active[r], np.uint64(r) * STRIDE
        u, row = low + i, layers[START, layer] + i * layers[WIDTH, layer]
        z, f1, f2, general = units[Z, s, u], units[SLOPE, s, u], units[CURVATURE, s, u], units[KINK, s, u] <= bound
        for g in range(n_groups):
            w = theta[row + groups[g, 0]]
            linear, quadratic = w * f1, w * (w * f2)  # the same bits as by `list_terms`
            begin, end = np.uint64(groups[g, 1]), np.uint64(groups[g, 2])
            if general:
                for c in range(begin, end):
                    work[at + c] = w * first[c]
                call(exact[EXACT_ACTIVATION], (code, p, z, units[SCALE, s, u], work, at + begin, end - begin))
            elif isfinite(quadratic):
                for c in range(begin, end):
                    work[at + c] = first[c] * (linear + first[c] * quadratic)
            else:
                for c in range(begin, end):
                    d = w * first[c]
                    work[at + c] = d * (f1 + d * f2)


@helper
def activate(layers, shapes, units, exact, layer, s, bound, active, here, count, work, target, columns, used):
    """Turn rows of moves of z into moves of f(z): two Taylor terms where `bound` allows it, else the exact difference.

    Of each half the first `used` columns: what an earlier tile left in the others would become denormal, and slow.
    """
    wide_vectors()
    low, code, p = layers[UNIT, layer], layers[CODE, layer], shapes[layer]
    for r in range(count):
        u, at = low + active[here + r], np.uint64(target + r) * STRIDE
        z, f1, f2 = units[Z, s, u], units[SLOPE, s, u], units[CURVATURE, s, u]
        if units[KINK, s, u] <= bound:
            for half in range(at, at + columns, HALF):
                call(exact[EXACT_ACTIVATION], (code, p, z, units[SCALE, s, u], work, half, np.uint64(used)))
        elif f2 != 0.0:
            for half in range(at, at + columns, HALF):
                for c in range(half, half + np.uint64(used)):
                    work[c] *= f1 + work[c] * f2
        elif f1 != 1.0:
            for half in range(at, at + columns, HALF):
                for c in range(half, half + np.uint64(used)):
                    work[c] *= f1


@outlined
def enter_units(
    theta, layers, shapes, units, exact, layer, s, bound, active, here, count, changed, n_changed, first, work, target, columns
):
    """Do what `enter` does where each column has a changed unit of its own, listed in `changed`, ascending."""
    wide_vectors()
    low, code, p = layers[UNIT, layer], layers[CODE, layer], shapes[layer]
    gapless = changed[n_changed - 1] - changed[0] == n_changed - 1
    filled, begin = np.uint64(n_changed), np.uint64(changed[0])
    for r in range(count):
        i, at = active[here + r], np.uint64(target + r) * STRIDE
        u, row = low + i, np.uint64(layers[START, layer] + i * layers[WIDTH, layer])
        z, f1, f2, general = units[Z, s, u], units[SLOPE, s, u], units[CURVATURE, s, u], units[KINK, s, u] <= bound
        for half in range(np.uint64(0), columns, HALF):
            to = at + half
            if general:
                for c in range(filled):
                    work[to + c] = theta[row + np.uint64(changed[c])] * first[half + c]
                call(exact[EXACT_ACTIVATION], (code, p, z, units[SCALE, s, u], work, to, filled))
            elif gapless:
                for c in range(filled):
                    d = theta[row + begin + c] * first[half + c]
                    work[to + c] = d * (f1 + d * f2)
            else:
                for c in range(filled):
                    d = theta[row + np.uint64(changed[c])] * first[half + c]
                    work[to + c] = d * (f1 + d * f2)


@helper
def climb(
    theta, layers, shapes, units, exact, outputs, top, loss_code, loss_parameter, bounds, s, layer, n_below,
    terms, n_terms, first, work, active, total, columns, used,
):  # fmt: skip
    """Carry the changes of the activations of a layer through all above, and add the loss's changes to total.

    The first `n_below` rows of work hold the changes of the units listed first in active, unless `n_terms` says that they
    are still to be made, as by `list_terms`. Both hold two layers in turn, the one being read and the one being written.
    Of each row the first `columns` are carried, of straight activations only those of +step.
    """
    last, rows = layers.shape[1] - 2, active.size // 2
    source, target = np.int64(0), rows
    for above in range(layer + 1, last + 1):
        bound = bounds[above]
        n_here = list_active(layers, units, above, s, bound, active, target)
        start, n_columns = layers[START, above], layers[WIDTH, above]
        n_first = n_terms if above == layer + 1 else 0
        multiply(
            np.int64(columns), used, terms, n_first, first, theta, start, n_columns, active, target, n_here, source, n_below,
            work, source, target,
        )  # fmt: skip
        activate(layers, shapes, units, exact, above, s, bound, active, target, n_here, work, target, columns, used)
        source, target, n_below = target, source, n_here
    if n_terms and layer == last:
        expand(np.int64(columns), terms, n_terms, first, n_below, work, source)
    if columns < COLUMNS:
        mirror(n_below, work, source, used)
    if exact[EXACT_LOSS]:
        call(exact[EXACT_LOSS], (
            loss_code, loss_parameter, outputs, top, s, bounds[last + 1], work, source, target, total, COLUMNS, STRIDE,
        ))  # fmt: skip
    else:
        losses.add_small_difference(loss_code, outputs, top, s, work, source, target, total, COLUMNS, STRIDE)


@helper
def mirror(count, work, source, used):
    """Fill in what −step does where +step was carried through straight activations alone: the same, bit for bit, negated."""
    wide_vectors()
    for r in range(count):
        at = np.uint64(source + r) * STRIDE
        for c in range(np.uint64(used)):
            work[at + HALF + c] = -work[at + c]


@helper
def columns_to_carry(layers, exact, layer):
    """Return how many columns of a row need carrying from a layer on: half where all activations on the way are straight."""
    straight = not exact[EXACT_ACTIVATION]
    for above in range(layer, layers.shape[1] - 1):
        straight = straight and layers[CODE, above] in STRAIGHT
    return HALF if straight else COLUMNS


@outlined
def finish(exact, outputs, top, loss_code, loss_parameter, bound, s, groups, n_groups, first, work, total):
    """Add the loss's changes to total where the changed unit is an output itself."""
    for g in range(n_groups):
        k = groups[g, 0]
        begin, end = np.uint64(groups[g, 1]), np.uint64(groups[g, 2])
        if outputs[LOSS_KINK, s, k] > bound:
            slope, curvature = outputs[LOSS_SLOPE, s, k], outputs[LOSS_CURVATURE, s, k]
            for c in range(begin, end):
                total[c] += first[c] * (slope + first[c] * curvature)
        else:
            call(exact[EXACT_SINGLE], (loss_code, loss_parameter, outputs, top, s, k, first, begin, end, work, total))


@outlined
def group_columns(selected, low, high, weights, n_in, runs, groups):
    """Split a tile's parameters into runs of one unit with consecutive inputs; return the numbers of runs and groups.

    selected counts from the layer's first weight; index n_out·n_in + i is bias i, whose input is number n_in. A run is
    unit, first column, last column + 1, first input. groups lists the runs without the input, once for +step and once for
    −step; a single run makes one group of the whole row, empty columns included.
    """
    count, following, end = 0, -1, 0  # the index that would go on with the last run, and the end of its unit's weights
    for c in range(high - low):
        k = selected[low + c]
        if k == following and k < end:
            runs[count - 1, 2] = c + 1
        else:
            i, j = (k // n_in, k % n_in) if k < weights else (k - weights, n_in)
            runs[count, 0], runs[count, 1], runs[count, 2], runs[count, 3] = i, c, c + 1, j
            count, end = count + 1, (i + 1) * n_in if k < weights else 0
        following = k + 1
    if count == 1:
        groups[0, 0], groups[0, 1], groups[0, 2] = runs[0, 0], 0, ROW
        return count, 1
    for g in range(count):
        for h, shift in ((g, 0), (count + g, TILE)):
            groups[h, 0], groups[h, 1], groups[h, 2] = runs[g, 0], runs[g, 1] + shift, runs[g, 2] + shift
    return count, 2 * count


@helper
def perturb(layers, shapes, units, exact, layer, s, bound, inputs, steps, runs, count, first):
    """Fill `first` with the changes of the perturbed units' activations: z_i moves by ±step·input, a bias's input being 1."""
    wide_vectors()
    code, p, n_in = layers[CODE, layer], shapes[layer], layers[WIDTH, layer]
    for g in range(count):
        u, source = layers[UNIT, layer] + runs[g, 0], runs[g, 3]
        low, length = np.uint64(runs[g, 1]), np.uint64(runs[g, 2] - runs[g, 1])
        z, f1, f2, general = units[Z, s, u], units[SLOPE, s, u], units[CURVATURE, s, u], units[KINK, s, u] <= bound
        if general or source == n_in:
            for c in range(length):
                j = source + np.int64(c)
                d = steps[j] * (inputs[s, j] if j < n_in else 1.0)
                first[low + c] = d if general else d * (f1 + d * f2)
                first[HALF + low + c] = -d if general else -d * (f1 - d * f2)
            if general:
                scale = units[SCALE, s, u]
                call(exact[EXACT_ACTIVATION], (code, p, z, scale, first, low, length))
                call(exact[EXACT_ACTIVATION], (code, p, z, scale, first, HALF + low, length))
        else:
            shift = np.uint64(source)
            for c in range(length):
                d = steps[shift + c] * inputs[s, shift + c]
                first[low + c] = d * (f1 + d * f2)
                first[HALF + low + c] = -d * (f1 - d * f2)


@worker(f"void({BASE}, {PARAMETERS}, f8[::1], i8[::1], f8[::1], i8[:,::1], i8[:,::1], f8[::1])")
def parameter_tiles(
    theta, layers, shapes, units, exact, outputs, top, loss_code, loss_parameter, layer, inputs, steps, bounds, selected, tiles,
    order, begin, end, memory, active, terms, runs, groups, values,
):  # fmt: skip
    """Work through the tiles order[begin] to order[end − 1]: every sample, then the sums over them."""
    last, n_in = layers.shape[1] - 2, layers[WIDTH, layer]
    weights = n_in * layers[WIDTH, layer + 1]
    first, total, work = parts(memory)
    columns = columns_to_carry(layers, exact, layer)
    clear(work)
    for number in range(begin, end):
        low, high = tiles[order[number]], tiles[order[number] + 1]
        count, n_groups = group_columns(selected, low, high, weights, n_in, runs, groups)
        clear(first)
        clear(total)
        for s in range(inputs.shape[0]):
            perturb(layers, shapes, units, exact, layer, s, bounds[layer], inputs, steps, runs, count, first)
            if layer == last:
                finish(
                    exact, outputs, top, loss_code, loss_parameter, bounds[last + 1], s, groups, n_groups, first, work, total
                )
                continue
            n_above = list_active(layers, units, layer + 1, s, bounds[layer + 1], active, 0)
            n_terms = n_above
            if n_groups > 1 or not list_terms(
                theta, layers, units, layer + 1, groups[0, 0], s, bounds[layer + 1], active, n_above, terms
            ):
                n_terms = 0
                enter(
                    theta, layers, shapes, units, exact, layer + 1, s, bounds[layer + 1],
                    active, n_above, groups, n_groups, first, work,
                )  # fmt: skip
            climb(
                theta, layers, shapes, units, exact, outputs, top, loss_code, loss_parameter, bounds, s, layer + 1,
                n_above, terms, n_terms, first, work, active, total, columns, high - low,
            )  # fmt: skip
        for g in range(count):
            first_column, source = np.uint64(runs[g, 1]), np.uint64(runs[g, 3])
            for c in range(np.uint64(runs[g, 2] - runs[g, 1])):
                difference = total[first_column + c] - total[HALF + first_column + c]
                values[np.uint64(low) + first_column + c] = difference / (2.0 * steps[source + c])


@helper
def parts(memory):
    """Return two rows and the rest of them, each beginning a line of the cache."""
    low = first_line(memory)
    return memory[low : low + ROW], memory[low + SPACING : low + SPACING + ROW], memory[low + 2 * SPACING :]


@helper
def clear(array):
    """Fill a vector with zeros."""
    for k in range(array.size):
        array[k] = 0.0


@outlined
def finish_units(exact, outputs, top, loss_code, loss_parameter, bound, s, changed, n_changed, first, work, total):
    """Do what `finish` does where each column has a changed output of its own."""
    for c in range(n_changed):
        k = changed[c]
        for q in (c, TILE + c):
            if outputs[LOSS_KINK, s, k] > bound:
                total[q] += first[q] * (outputs[LOSS_SLOPE, s, k] + first[q] * outputs[LOSS_CURVATURE, s, k])
            else:
                at = np.uint64(q)
                call(exact[EXACT_SINGLE], (loss_code, loss_parameter, outputs, top, s, k, first, at, at + ONE, work, total))


@worker(f"void({BASE}, {PREACTIVATIONS}, f8[::1], i8[::1], i8[::1], i8[::1], f8[:,::1])")
def preactivation_tiles(
    theta, layers, shapes, units, exact, outputs, top, loss_code, loss_parameter, layer, step, bounds, samples,
    begin, stride, memory, active, changeable, changed, values,
):  # fmt: skip
    """Work through every stride-th pair of a sample and a tile of its changeable units, from pair `begin` on."""
    last = layers.shape[1] - 2
    tiles = (values.shape[1] + TILE - 1) // TILE
    first, total, work = parts(memory)
    columns = columns_to_carry(layers, exact, layer)
    clear(work)
    for number in range(begin, tiles * samples.size, stride):
        which, tile = number // tiles, number % tiles
        s = samples[which]
        n_changeable = list_active(layers, units, layer, s, bounds[layer], changeable, 0)
        n_changed = min(TILE, n_changeable - tile * TILE)
        if n_changed <= 0:
            continue
        clear(first)
        clear(total)
        for c in range(n_changed):
            changed[c] = changeable[tile * TILE + c]
        perturb_units(layers, shapes, units, exact, layer, s, bounds[layer], step, changed, n_changed, first)
        if layer == last:
            finish_units(
                exact, outputs, top, loss_code, loss_parameter, bounds[last + 1], s, changed, n_changed, first, work, total
            )
        else:
            n_above = list_active(layers, units, layer + 1, s, bounds[layer + 1], active, 0)
            enter_units(
                theta, layers, shapes, units, exact, layer + 1, s, bounds[layer + 1],
                active, 0, n_above, changed, n_changed, first, work, 0, columns,
            )  # fmt: skip
            climb(
                theta, layers, shapes, units, exact, outputs, top, loss_code, loss_parameter, bounds, s, layer + 1,
                n_above, first, 0, first, work, active, total, columns, n_changed,
            )  # fmt: skip
        for c in range(n_changed):
            values[which, changed[c]] = (total[c] - total[TILE + c]) / (2.0 * step)


@helper
def perturb_units(layers, shapes, units, exact, layer, s, bound, step, changed, n_changed, first):
    """Fill `first` with the changes of the listed units' activations when their z move by ±step."""
    wide_vectors()
    code, p = layers[CODE, layer], shapes[layer]
    for c in range(n_changed):
        u = layers[UNIT, layer] + changed[c]
        if units[KINK, s, u] <= bound:
            z, scale = units[Z, s, u], units[SCALE, s, u]
            first[c], first[TILE + c] = step, -step
            call(exact[EXACT_ACTIVATION], (code, p, z, scale, first, np.uint64(c), ONE))
            call(exact[EXACT_ACTIVATION], (code, p, z, scale, first, np.uint64(TILE + c), ONE))
        else:
            first[c] = step * (units[SLOPE, s, u] + step * units[CURVATURE, s, u])
            first[TILE + c] = -step * (units[SLOPE, s, u] - step * units[CURVATURE, s, u])
