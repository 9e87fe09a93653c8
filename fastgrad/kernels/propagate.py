"""The propagated difference: what J(θ+h) − J(θ) and J(θ−h) − J(θ) are, carried from the perturbed layer to the loss.

One sample at a time, many perturbations at once: a tile's row holds, for one unit, that unit's change under each
perturbation, +step in the first half and −step in the second. For one sample every table entry is then a scalar, units
that pass nothing on (a rectifier that is off) drop out of the products, and sums over samples run in sample order
whatever the tiling.

Where no move may be so large that two Taylor terms are not enough, −step is not carried. Of the moves of +step and −step
half the difference, odd in the step, and half the sum, even in it, go through z → f by δ → f′δ + 2·½f″·δ·even and
even → f′·even + ½f″(δ² + even²). The loss's central difference sees the odd part alone, and the even part reaches that only
in products: it is at most a move's square, so that with moves up to 2⁻²⁸ it changes f′ by 2⁻⁵⁶ of f″. That is what the
third Taylor term, which is left out too, comes to. So the odd part is carried by f′, and −step is its mirror image.
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
    FEW_OUTPUTS,
    KINK,
    LOSS_CURVATURE,
    LOSS_KINK,
    LOSS_SLOPE,
    ROW,
    SCALE,
    SLOPE,
    SPACING,
    START,
    SUMS,
    TILE,
    UNIT,
    WIDTH,
    Z,
)
from fastgrad.kernels.compile import call, helper, outlined, wide_vectors, worker
from fastgrad.kernels.records import Here, Loss, Moves, Terms, Tile, Weights
from fastgrad.kernels.rows import COLUMNS, DEPTH, SHALLOW, STRIDE, expand, first_line, multiply, multiply_some

ONE, HALF = np.uint64(1), np.uint64(TILE)
ZERO, NEXT, SPREAD = np.int64(0), np.int64(0), np.int64(1)
"""The first row; how rows lie, of `Weights`. Numbers written in place have types of their own: numba would compile twice."""


@worker("void(i8, f8, f8, f8, f8[::1], u8, u8)")
def exact_activation(code, p, z, scale, moves, begin, count):
    """Turn moves of z, some columns from `begin` on, into exact moves of scale·f(z)."""
    for c in range(begin, begin + count):
        moves[c] = scale * activations.difference(code, p, z, moves[c])


@worker("void(Loss, i8, f8, Moves, i8, f8[::1])")
def exact_loss(loss, s, bound, moves, spare, total):
    """Do what `losses.add_difference` does."""
    losses.add_difference(loss, s, bound, moves, spare, total)


@worker("void(Loss, i8, i8, f8[::1], u8, u8, f8[::1], f8[::1])")
def exact_single(loss, s, k, moves, begin, end, work, total):
    """Add to some columns of total the exact difference of sample s's loss when output k alone moves."""
    for c in range(begin, end):
        total[c] += losses.single_difference(loss, s, k, moves[c], work)


@helper
def loss_of(tables):
    """Return the part of the tables that is the loss's."""
    return Loss(tables.loss_code, tables.loss_parameter, tables.outputs, tables.top)


@helper
def coefficients(tables, here, u):
    """Return a unit's z, f′, ½f″, and whether it may come so near a kink that these are not enough.

    ½f″ is 0 where −step is a mirror image.
    """
    units, s = tables.units, here.sample
    curvature = units[CURVATURE, s, u] if tables.exact[EXACT_ACTIVATION] else 0.0
    return units[Z, s, u], units[SLOPE, s, u], curvature, units[KINK, s, u] <= here.bound


@helper
def move_exactly(tables, here, u, moves, begin, count):
    """Turn moves of z of a unit, some columns from `begin` on, into exact moves of f(z), its dropout included.

    Here and below exact differences are multiplied by the unit's dropout; Taylor coefficients have it in them.
    """
    code, p, s = tables.layers[CODE, here.layer], tables.shapes[here.layer], here.sample
    z, scale = tables.units[Z, s, u], tables.units[SCALE, s, u]
    call(tables.exact[EXACT_ACTIVATION], (code, p, z, scale, moves, begin, count))


@helper
def list_active(tables, here, active, at):
    """List from active[at] on the units of a layer that pass a sample's change on, at the output all; return how many."""
    return list_between(tables, here, ZERO, tables.layers[WIDTH, here.layer + 1], active, at)


@outlined
def list_between(tables, here, begin, end, active, at):
    """Do what `list_active` does for the units begin to end − 1."""
    layers, units, s = tables.layers, tables.units, here.sample
    count, output = 0, here.layer == layers.shape[1] - 2
    low = layers[UNIT, here.layer]
    for i in range(begin, end):
        u = low + i
        if output or units[SLOPE, s, u] != 0.0 or units[CURVATURE, s, u] != 0.0 or units[KINK, s, u] <= here.bound:
            active[at + count] = i
            count += 1
    return count


@helper
def list_terms(tables, here, unit, active, terms):
    """List what a move x of one activation makes of f of each listed unit above: x·(w·f′ + x·w²·½f″), as `Terms` says.

    A dropout's factor is in f′ and f″. Return whether two Taylor terms are enough for all.
    """
    layers, numbers, count, small = tables.layers, terms.numbers, terms.size, True
    low, start, width = layers[UNIT, here.layer], layers[START, here.layer] + unit, layers[WIDTH, here.layer]
    for r in range(count):
        i = active[r]
        w = tables.theta[start + i * width]
        _, f1, f2, general = coefficients(tables, here, low + i)
        numbers[r], numbers[count + r] = w * f1, w * (w * f2)
        small = small and not general and isfinite(numbers[count + r])
    return small


@outlined
def enter(tables, here, tile, count, groups, n_groups):
    """Fill a tile's rows with the moves of the listed units of the layer above a changed one: f(z + w·first) − f(z).

    groups lists runs of columns that share a changed unit: unit, first column, last column + 1.
    """
    wide_vectors()
    layers, first, work = tables.layers, tile.first, tile.work
    for r in range(count):
        i, at = tile.active[r], np.uint64(r) * STRIDE
        u, row = layers[UNIT, here.layer] + i, layers[START, here.layer] + i * layers[WIDTH, here.layer]
        _, f1, f2, general = coefficients(tables, here, u)
        for g in range(n_groups):
            w = tables.theta[row + groups[g, 0]]
            linear, quadratic = w * f1, w * (w * f2)  # the same bits as by `list_terms`
            for half in range(np.uint64(0), tile.columns, HALF):
                begin, end = half + np.uint64(groups[g, 1]), half + np.uint64(groups[g, 2])
                if general:
                    for c in range(begin, end):
                        work[at + c] = w * first[c]
                    move_exactly(tables, here, u, work, at + begin, end - begin)
                elif isfinite(quadratic):
                    for c in range(begin, end):
                        work[at + c] = first[c] * (linear + first[c] * quadratic)
                else:
                    for c in range(begin, end):
                        d = w * first[c]
                        work[at + c] = d * (f1 + d * f2)


@outlined
def activate(tables, here, tile, target, count):
    """Turn rows of moves of z into moves of f(z): two Taylor terms where the bound allows it, else the exact difference.

    Of each half the columns in use: what an earlier tile left in the others would become denormal, and slow.
    """
    wide_vectors()
    low, work, used = tables.layers[UNIT, here.layer], tile.work, np.uint64(tile.used)
    for r in range(count):
        u, at = low + tile.active[target + r], np.uint64(target + r) * STRIDE
        _, f1, f2, general = coefficients(tables, here, u)
        if general:
            for half in range(at, at + tile.columns, HALF):
                move_exactly(tables, here, u, work, half, used)
        elif f2 != 0.0:
            for half in range(at, at + tile.columns, HALF):
                for c in range(half, half + used):
                    work[c] *= f1 + work[c] * f2
        elif f1 != 1.0:
            for half in range(at, at + tile.columns, HALF):
                for c in range(half, half + used):
                    work[c] *= f1


@outlined
def enter_units(tables, here, tile, source, count, changed, n_changed):
    """Do what `enter` does to rows from `source` on, where each column has a changed unit of its own, listed ascending."""
    wide_vectors()
    layers, theta, first, work = tables.layers, tables.theta, tile.first, tile.work
    gapless = changed[n_changed - 1] - changed[0] == n_changed - 1
    filled, begin = np.uint64(n_changed), np.uint64(changed[0])
    for r in range(source, source + count):
        i, at = tile.active[r], np.uint64(r) * STRIDE
        u, row = layers[UNIT, here.layer] + i, np.uint64(layers[START, here.layer] + i * layers[WIDTH, here.layer])
        _, f1, f2, general = coefficients(tables, here, u)
        for half in range(np.uint64(0), tile.columns, HALF):
            to = at + half
            for c in range(filled, HALF):
                work[to + c] = 0.0
            if general:
                for c in range(filled):
                    work[to + c] = theta[row + np.uint64(changed[c])] * first[half + c]
                move_exactly(tables, here, u, work, to, filled)
            elif gapless:
                for c in range(filled):
                    d = theta[row + begin + c] * first[half + c]
                    work[to + c] = d * (f1 + d * f2)
            else:
                for c in range(filled):
                    d = theta[row + np.uint64(changed[c])] * first[half + c]
                    work[to + c] = d * (f1 + d * f2)


@helper
def climb(tables, here, bounds, tile, terms, source, n_below):
    """Carry the changes of the activations of a layer through all above, and add the loss's changes to the tile's total.

    The `n_below` rows from `source` on, which is 0 or the number of rows for a layer, hold the changes of the units listed
    there, unless `terms` says that they are still to be made.
    """
    layers, s = tables.layers, here.sample
    last, target = layers.shape[1] - 2, tile.active.size // 2 - source
    for above in range(here.layer + 1, last + 1):
        place = Here(above, s, bounds[above])
        n_here = list_active(tables, place, tile.active, target)
        weights = Weights(tables.theta, layers[START, above], layers[WIDTH, above], NEXT)
        to_make = Terms(terms.numbers, terms.size if above == here.layer + 1 else ZERO)
        multiply(weights, tile, to_make, source, n_below, target, n_here)
        activate(tables, place, tile, target, n_here)
        source, target, n_below = target, source, n_here
    if terms.size and here.layer == last:
        expand(tile, terms, source, n_below)
    add_loss(tables, Here(last, s, bounds[last + 1]), tile, source, target)


@outlined
def add_loss(tables, here, tile, source, spare):
    """Add to the tile's total what the loss changes by when the outputs move by the rows from `source` on."""
    loss, s = loss_of(tables), here.sample
    if tables.exact[EXACT_LOSS]:
        if tile.columns < COLUMNS:
            mirror(loss.outputs.shape[2], tile.work, source, tile.used)
        moves = Moves(tile.work, source, COLUMNS, STRIDE)
        call(tables.exact[EXACT_LOSS], (loss, s, here.bound, moves, spare, tile.total))
    elif tile.columns < COLUMNS:
        losses.add_odd_difference(loss, s, Moves(tile.work, source, np.uint64(tile.used), STRIDE), tile.total)
    else:
        losses.add_small_difference(loss, s, Moves(tile.work, source, COLUMNS, STRIDE), spare, tile.total)


@helper
def mirror(count, work, source, used):
    """Fill in what −step does where +step alone was carried: the same with the other sign."""
    wide_vectors()
    for r in range(count):
        at = np.uint64(source + r) * STRIDE
        for c in range(np.uint64(used)):
            work[at + HALF + c] = -work[at + c]


@helper
def columns_to_carry(tables):
    """Return how many columns of a row need carrying: half where all moves are so small that −step is a mirror image."""
    return COLUMNS if tables.exact[EXACT_ACTIVATION] or tables.exact[EXACT_SINGLE] else HALF


@helper
def complete(tables, tile):
    """Fill in the half of the total that no loss was added to."""
    if tile.columns < COLUMNS and not tables.exact[EXACT_LOSS]:
        mirror(1, tile.total, 0, tile.used)


@outlined
def finish(tables, here, tile, groups, n_groups):
    """Add the loss's changes to the tile's total where the changed unit is an output itself; the bound is the outputs'."""
    outputs, s, first, total = tables.outputs, here.sample, tile.first, tile.total
    for g in range(n_groups):
        k = groups[g, 0]
        for half in range(np.uint64(0), tile.columns, HALF):
            begin, end = half + np.uint64(groups[g, 1]), half + np.uint64(groups[g, 2])
            if tile.columns < COLUMNS:
                for c in range(begin, end):
                    total[c] += first[c] * outputs[LOSS_SLOPE, s, k]
            elif outputs[LOSS_KINK, s, k] > here.bound:
                slope, curvature = outputs[LOSS_SLOPE, s, k], outputs[LOSS_CURVATURE, s, k]
                for c in range(begin, end):
                    total[c] += first[c] * (slope + first[c] * curvature)
            else:
                call(tables.exact[EXACT_SINGLE], (loss_of(tables), s, k, first, begin, end, tile.work, total))


@outlined
def group_columns(selected, low, high, weights, n_in, runs, groups):
    """Split a tile's parameters into runs of one unit with consecutive inputs; return their number.

    selected counts from the layer's first weight; index n_out·n_in + i is bias i, whose input is number n_in. A run is
    unit, first column, last column + 1, first input. groups lists the runs without the input; a single run makes a group of
    the whole half of a row, empty columns included.
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
    for g in range(count):
        groups[g, 0], groups[g, 1], groups[g, 2] = runs[g, 0], runs[g, 1], runs[g, 2]
    if count == 1:
        groups[0, 2] = TILE
    return count


@helper
def perturb(tables, here, plan, runs, count, tile):
    """Fill tile.first with the changes of the perturbed units: z_i moves by ±step·input, where a bias's input is 1."""
    wide_vectors()
    inputs, steps, s, n_in, first = plan.inputs, plan.steps, here.sample, tables.layers[WIDTH, here.layer], tile.first
    both = tile.columns == COLUMNS
    for g in range(count):
        u, source = tables.layers[UNIT, here.layer] + runs[g, 0], runs[g, 3]
        low, length = np.uint64(runs[g, 1]), np.uint64(runs[g, 2] - runs[g, 1])
        _, f1, f2, general = coefficients(tables, here, u)
        if general or source == n_in:
            for c in range(length):
                j = source + np.int64(c)
                d = steps[j] * (inputs[s, j] if j < n_in else 1.0)
                first[low + c] = d if general else d * (f1 + d * f2)
                first[HALF + low + c] = -d if general else -d * (f1 - d * f2)
            if general:
                move_exactly(tables, here, u, first, low, length)
                move_exactly(tables, here, u, first, HALF + low, length)
        else:
            shift = np.uint64(source)
            if both:
                for c in range(length):
                    d = steps[shift + c] * inputs[s, shift + c]
                    first[low + c] = d * (f1 + d * f2)
                    first[HALF + low + c] = -d * (f1 - d * f2)
            else:
                for c in range(length):
                    first[low + c] = (steps[shift + c] * inputs[s, shift + c]) * f1


@worker("void(Tables, Parameters, ParameterRoom, i8, i8, f8[::1])")
def parameter_tiles(tables, plan, room, begin, end, values):
    """Work through the tiles order[begin] to order[end − 1]: every sample, then the sums over them."""
    layer, last, bounds = plan.layer, tables.layers.shape[1] - 2, plan.bounds
    n_in = tables.layers[WIDTH, layer]
    weights = n_in * tables.layers[WIDTH, layer + 1]
    first, total, work = rows_of(room.memory)
    columns = columns_to_carry(tables)
    clear(work)
    for number in range(begin, end):
        low, high = plan.tiles[plan.order[number]], plan.tiles[plan.order[number] + 1]
        count = group_columns(plan.selected, low, high, weights, n_in, room.runs, room.groups)
        clear(first)
        clear(total)
        tile = Tile(first, total, work, room.active, columns, high - low)
        for s in range(plan.inputs.shape[0]):
            perturb(tables, Here(layer, s, bounds[layer]), plan, room.runs, count, tile)
            if layer == last:
                finish(tables, Here(layer, s, bounds[last + 1]), tile, room.groups, count)
                continue
            above = Here(layer + 1, s, bounds[layer + 1])
            n_above = list_active(tables, above, room.active, ZERO)
            terms = Terms(room.terms, n_above)
            if count > 1 or not list_terms(tables, above, room.groups[0, 0], room.active, terms):
                terms = Terms(room.terms, ZERO)
                enter(tables, above, tile, n_above, room.groups, count)
            climb(tables, above, bounds, tile, terms, ZERO, n_above)
        complete(tables, tile)
        divide(plan, room.runs, count, low, total, values)


@helper
def divide(plan, runs, count, low, total, values):
    """Make difference quotients of a tile's changes of the loss."""
    for g in range(count):
        first_column, source = np.uint64(runs[g, 1]), np.uint64(runs[g, 3])
        for c in range(np.uint64(runs[g, 2] - runs[g, 1])):
            difference = total[first_column + c] - total[HALF + first_column + c]
            values[np.uint64(low) + first_column + c] = difference / (2.0 * plan.steps[source + c])


@helper
def rows_of(memory):
    """Return two rows and the rest of them, each beginning a line of the cache."""
    low = first_line(memory)
    return memory[low : low + ROW], memory[low + SPACING : low + SPACING + ROW], memory[low + 2 * SPACING :]


@helper
def clear(array):
    """Fill a vector with zeros."""
    for k in range(array.size):
        array[k] = 0.0


@outlined
def finish_units(tables, here, tile, changed, n_changed):
    """Do what `finish` does where each column has a changed output of its own."""
    outputs, s, first, total = tables.outputs, here.sample, tile.first, tile.total
    for c in range(n_changed):
        k = changed[c]
        if tile.columns < COLUMNS:
            total[c] += first[c] * outputs[LOSS_SLOPE, s, k]
            continue
        for q in (c, TILE + c):
            if outputs[LOSS_KINK, s, k] > here.bound:
                total[q] += first[q] * (outputs[LOSS_SLOPE, s, k] + first[q] * outputs[LOSS_CURVATURE, s, k])
            else:
                at = np.uint64(q)
                call(tables.exact[EXACT_SINGLE], (loss_of(tables), s, k, first, at, at + ONE, tile.work, total))


@worker("void(Tables, Preactivations, PreactivationRoom, i8, i8, f8[:,::1])")
def preactivation_tiles(tables, plan, room, begin, stride, values):
    """Work through every stride-th pair of a tile of units and a few samples, from pair `begin` on."""
    together = samples_together(tables, plan.layer)
    groups = (plan.samples.size + together - 1) // together
    tiles = (values.shape[1] + TILE - 1) // TILE
    clear(room.memory)
    for number in range(begin, tiles * groups, stride):
        low = number % groups * together
        count = min(together, plan.samples.size - low)
        if together > 1:
            n_changed = list_run(room.changed, number // groups * TILE, values.shape[1])
            move_several(tables, plan, room, low, count, n_changed, values)
        else:
            move_one(tables, plan, room, low, number // groups, values)


@helper
def samples_together(tables, layer):
    """Return how many samples share a pass over the weights above a layer: several where few outputs follow these.

    Of so few products for a weight, reading it is what takes time. The sums of all samples stay in the second cache.
    """
    last = tables.layers.shape[1] - 2
    outputs = tables.layers[WIDTH, last + 1]
    few = layer == last - 2 and outputs <= FEW_OUTPUTS and columns_to_carry(tables) < COLUMNS
    return SUMS // outputs if few else 1


@helper
def list_run(changed, low, units):
    """List a tile's units from number `low` on; return how many."""
    count = min(TILE, units - low)
    for c in range(count):
        changed[c] = low + c
    return count


@outlined
def move_one(tables, plan, room, which, tile_number, values):
    """Do one sample's tile of those units that a change can pass."""
    layer, last, s, changed = plan.layer, tables.layers.shape[1] - 2, plan.samples[which], room.changed
    first, total, work = rows_of(room.memory)
    n_changed = min(TILE, list_active(tables, Here(layer, s, plan.bounds[layer]), room.changeable, ZERO) - tile_number * TILE)
    if n_changed <= 0:
        return
    for c in range(n_changed):
        changed[c] = room.changeable[tile_number * TILE + c]
    clear(total)
    tile = Tile(first, total, work, room.active, columns_to_carry(tables), n_changed)
    perturb_units(tables, Here(layer, s, plan.bounds[layer]), plan.step, changed, n_changed, first)
    if layer == last:
        finish_units(tables, Here(layer, s, plan.bounds[last + 1]), tile, changed, n_changed)
    elif layer == last - 1:
        above = Here(last, s, plan.bounds[last])
        n_above = list_active(tables, above, room.active, ZERO)
        enter_units(tables, above, tile, ZERO, n_above, changed, n_changed)
        add_loss(tables, Here(last, s, plan.bounds[last + 1]), tile, ZERO, room.active.size // 2)
    else:
        place = Here(layer + 2, s, plan.bounds[layer + 2])
        n_here = list_active(tables, place, room.active, ZERO)
        above = Here(layer + 1, s, plan.bounds[layer + 1])
        for low in range(0, tables.layers[WIDTH, layer + 2], DEPTH):
            enter_and_multiply(tables, above, tile, low, ZERO, n_here, changed)
        activate(tables, place, tile, ZERO, n_here)
        climb(tables, place, plan.bounds, tile, Terms(first, ZERO), ZERO, n_here)
    complete(tables, tile)
    quotients(plan, which, changed, tile, values)


@outlined
def move_several(tables, plan, room, which, count, n_changed, values):
    """Do the tile of some units of some samples, two layers below the outputs: the weights above are read once for all.

    Of an output's moves Σ_r W[k, r]·f′_r·(W[r, c]·move_c) the first two factors are multiplied for each sample, W[r, c] is
    the same for all, and move_c is left to the end.
    """
    layer, rows, outputs = plan.layer, room.active.size // 2, tables.layers[WIDTH, plan.layer + 3]
    first, total, work = rows_of(room.memory)
    tile = Tile(first, total, work, room.active, columns_to_carry(tables), n_changed)
    weighed = Weights(work, 2 * rows * SPACING, SPACING, SPREAD)
    for g in range(count):
        list_active(tables, Here(layer + 2, plan.samples[which + g], 0.0), room.active, g * outputs)
    for low in range(0, tables.layers[WIDTH, layer + 2], SHALLOW):
        high = min(low + SHALLOW, tables.layers[WIDTH, layer + 2])
        copy_weights(tables, layer + 1, low, high, room.changed[0], tile, rows)
        for g in range(count):
            inputs = weigh(tables, Here(layer + 1, plan.samples[which + g], 0.0), low, high, tile, weighed)
            multiply_some(weighed, tile, Terms(first, ZERO), low, rows, rows, inputs, g * outputs, g * outputs, outputs)
    for g in range(count):
        s = plan.samples[which + g]
        perturb_units(tables, Here(layer, s, plan.bounds[layer]), plan.step, room.changed, n_changed, first)
        clear(total)
        scale(tile, g * outputs, outputs)
        activate(tables, Here(layer + 2, s, plan.bounds[layer + 2]), tile, g * outputs, outputs)
        add_loss(tables, Here(layer + 2, s, plan.bounds[layer + 3]), tile, g * outputs, rows)
        complete(tables, tile)
        quotients(plan, which + g, room.changed, tile, values)


@outlined
def copy_weights(tables, layer, low, high, left, tile, target):
    """Copy some columns, from number `left` on, of the rows low to high − 1 of a W, and fill them up with zeros."""
    wide_vectors()
    used, theta, work = np.uint64(tile.used), tables.theta, tile.work
    for r in range(low, high):
        at = np.uint64(target + r - low) * STRIDE
        begin = np.uint64(tables.layers[START, layer] + r * tables.layers[WIDTH, layer] + left)
        for c in range(used):
            work[at + c] = theta[begin + c]
        for c in range(used, HALF):
            work[at + c] = 0.0


@outlined
def weigh(tables, here, low, high, tile, weighed):
    """Multiply the weights above the units low to high − 1 of a layer by their f′; list and count those that pass moves on."""
    wide_vectors()
    layers, units, s, count = tables.layers, tables.units, here.sample, 0
    u, listed = layers[UNIT, here.layer] + low, tile.active.size // 2
    for k in range(layers[WIDTH, here.layer + 2]):
        begin = np.uint64(layers[START, here.layer + 1] + k * layers[WIDTH, here.layer + 1] + low)
        at = np.uint64(weighed.start + k * weighed.columns)
        for r in range(np.uint64(high - low)):
            tile.work[at + r] = tables.theta[begin + r] * units[SLOPE, s, np.uint64(u) + r]
    for r in range(high - low):
        tile.active[listed + count] = r
        count += units[SLOPE, s, u + r] != 0.0
    return count


@helper
def scale(tile, target, count):
    """Multiply rows, column by column, by the moves of the changed units."""
    wide_vectors()
    for r in range(target, target + count):
        at = np.uint64(r) * STRIDE
        for c in range(HALF):
            tile.work[at + c] *= tile.first[c]


@helper
def enter_and_multiply(tables, here, tile, low, target, n_above, changed):
    """Add to rows from `target` on what `DEPTH` units of a layer, from number `low` on, move the z listed there by."""
    layers, source = tables.layers, tile.active.size // 2
    end = min(low + DEPTH, layers[WIDTH, here.layer + 1])
    count = list_between(tables, here, low, end, tile.active, source)
    enter_units(tables, here, tile, source, count, changed, tile.used)
    weights = Weights(tables.theta, layers[START, here.layer + 1], layers[WIDTH, here.layer + 1], NEXT)
    multiply_some(weights, tile, Terms(tile.first, ZERO), low, source, source, count, target, target, n_above)


@helper
def quotients(plan, which, changed, tile, values):
    """Make difference quotients of a sample's changes of the loss."""
    total = tile.total
    for c in range(tile.used):
        values[which, changed[c]] = (total[c] - total[TILE + c]) / (2.0 * plan.step)


@outlined
def perturb_units(tables, here, step, changed, n_changed, first):
    """Fill `first` with the changes of the listed units' activations when their z move by ±step, and with zeros."""
    wide_vectors()
    clear(first)
    for c in range(n_changed):
        u = tables.layers[UNIT, here.layer] + changed[c]
        _, f1, f2, general = coefficients(tables, here, u)
        if general:
            first[c], first[TILE + c] = step, -step
            move_exactly(tables, here, u, first, np.uint64(c), ONE)
            move_exactly(tables, here, u, first, np.uint64(TILE + c), ONE)
        else:
            first[c] = step * (f1 + step * f2)
            first[TILE + c] = -step * (f1 - step * f2)
