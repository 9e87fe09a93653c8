"""The rows of a tile: how they lie in memory, and the product of weights with them, which is where large networks spend time.

The product is written as LLVM code, which says what stays in registers. On a core of 57 GFLOP/s that is 2.4 to 2.7 times as
fast as the plain loop beside it, from 5 inputs to 512, and 1.2 to 1.7 times as fast in layers of up to 10 units, 1.02 to 1.1
in those of 128 and more, as the best loop that numba was found to compile: `pytest bench/test_product.py` shows it. The bits
are the same.

A row holds one number for each perturbation. Rows lie a cache line further apart than they are long: at distances of
1 KiB the first cache has room for a panel's columns of 48 of them, at these for 180.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba.core import cgutils, config, types
from numba.extending import intrinsic

from fastgrad.kernels.codes import LINE, ROW, SPACING, TILE
from fastgrad.kernels.compile import apart, helper, outlined

# Column indices are unsigned: numba tests signed ones for being negative, which keeps loops over them from vectorising.
COLUMNS, STRIDE = np.uint64(ROW), np.uint64(SPACING)
DEPTH = 128
"""Rows of the inner index of a product at a time: a panel's columns of them stay in the first cache."""
SHALLOW = 64
"""The same where a second row of blocks needs them at once."""


def _registers() -> tuple[int, int]:
    """Numbers in a vector register, and how many registers there are."""
    features = binding.get_host_cpu_features()
    if features.get("avx512f"):
        return 8, 32
    return (4, 16) if features.get("avx") else (2, 32 if features.get("neon") else 16)


LANES, REGISTERS = _registers()
PANEL = LANES * REGISTERS // 8
"""Columns whose sums, for `BLOCK` rows, stay in registers, some being left to work with."""
WIDE = LANES * REGISTERS // 4
"""Columns whose sums for one row do: more sums at a time hide how long each addition takes."""
BLOCK = 6
"""Rows whose sums stay in registers: one load of the source serves as many products."""
SPAN = 8 * BLOCK
"""Rows whose weights, over `DEPTH` inner indices, stay in the second cache from panel to panel."""


@helper
def first_line(array):
    """Return the index of the first number that begins a line of the cache.

    Vectors as wide as a line that straddle two took products from 54 to 36 GFLOP/s on one core.
    """
    return (-(array.ctypes.data // 8)) % LINE


@helper
def multiply(weights, tile, terms, source, n_in, target, n_out):
    """Row target + r of a tile becomes Σ_k W[unit target + r, unit source + k]·(row source + k), k in order.

    Units are those that tile.active lists. Of each row tile.columns are made, without panels beyond those in use of each
    half. Where `terms` says so, a panel of the rows from `source` on is made first, as by `expand`: in the place of the
    first panel's first rows, which then stay in the first cache.
    """
    for begin in range(0, max(n_in, 1), DEPTH):  # without inner indices the sums are zeros, which have to be written
        here = source if terms.size else source + begin
        multiply_some(weights, tile, terms, begin, source + begin, here, min(DEPTH, n_in - begin), target, target, n_out)


@outlined
def multiply_some(weights, tile, terms, begin, inputs, source, count, outputs, target, n_out):
    """Do what `multiply` does for `count` inner indices, number `begin` and those after it, going on with the sums so far.

    Their units are listed from `inputs` on, their rows lie from `source` on, and those of the sums from `outputs` and `target`.
    """
    apart()
    width = WIDE if n_out == 1 else PANEL
    for low in range(0, n_out, SPAN):
        for panel in range(0, np.int64(tile.columns), width):
            if panel % TILE >= tile.used:
                continue
            here = source * SPACING + (0 if terms.size else panel)
            if terms.size:
                for shift in range(0, width, PANEL):
                    expand_panel(count, terms, begin, tile, panel + shift, here + shift)
            for r in range(low, min(low + SPAN, n_out), BLOCK):
                there, number = (target + r) * SPACING + panel, min(BLOCK, n_out - r)
                add_products(number, width, begin, weights, tile, outputs + r, inputs, count, here, there)


@outlined
def expand(tile, terms, source, count):
    """Rows of a tile from `source` on become what `terms` says."""
    for panel in range(0, np.int64(tile.columns), PANEL):
        expand_panel(count, terms, 0, tile, panel, source * SPACING + panel)


def add_products_plainly(rows, width, begin, weights, tile, outputs, inputs, count, here, there):
    """Do what `add_products` does by a plain loop: where nothing is compiled, and in the bench that compares the two."""
    for r in range(rows):
        w, to = weights.start + tile.active[outputs + r] * weights.columns, np.uint64(there + r * SPACING)
        for c in range(np.uint64(width if begin == 0 else 0)):
            tile.work[to + c] = 0.0
        for k in range(count):
            unit = tile.active[inputs + k]
            x, at = weights.theta[w + unit], np.uint64(here + (unit if weights.spread else k) * SPACING)
            for c in range(np.uint64(width)):
                tile.work[to + c] += x * tile.work[at + c]


def _add_products(
    typing_context: Any, rows: Any, width: Any, begin: Any, weights: Any, tile: Any, outputs: Any, inputs: Any, count: Any,
    here: Any, there: Any,
) -> Any:  # fmt: skip
    whole = types.int64

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        rows, width, begin, weights, _, outputs, inputs, count, here, there = values
        arrays = ((3, "theta"), (4, "work"), (4, "active"))
        theta, work, active = (_data(context, builder, signature.args[k], values[k], name) for k, name in arrays)
        start, n_columns, spread = (builder.extract_value(weights, part) for part in (1, 2, 3))
        integer = rows.type
        for number, columns in ((1, WIDE), *((number, PANEL) for number in range(1, BLOCK + 1))):
            of_rows, of_columns = (builder.icmp_signed("==", a, integer(b)) for a, b in ((rows, number), (width, columns)))
            with builder.if_then(builder.and_(of_rows, of_columns)):
                places, targets = [], []
                for r in range(number):
                    unit = builder.load(builder.gep(active, [builder.add(outputs, integer(r))]))
                    places.append(builder.gep(theta, [builder.add(start, builder.mul(unit, n_columns))]))
                    targets.append(builder.gep(work, [builder.add(there, integer(r * SPACING))]))
                listed, source = builder.gep(active, [inputs]), builder.gep(work, [here])
                _sum_products(builder, columns, begin, spread, places, listed, count, source, targets)
        return context.get_dummy_value()

    return types.none(whole, whole, whole, weights, tile, whole, whole, whole, whole, whole), generate


def _data(context: Any, builder: Any, record: Any, value: Any, name: str) -> Any:
    """Return the address of the numbers of an array in a record."""
    place = record.fields.index(name)
    return context.make_array(record.types[place])(context, builder, builder.extract_value(value, place)).data


def expand_panel_plainly(count, terms, begin, tile, panel, here):
    """Do what `expand_panel` does by a plain loop, where nothing is compiled."""
    x = tile.first[panel : panel + PANEL]
    for k in range(begin, begin + count):
        at = here + (k - begin) * SPACING
        tile.work[at : at + PANEL] = x * (terms.numbers[k] + x * terms.numbers[terms.size + k])


def _expand_panel(typing_context: Any, count: Any, terms: Any, begin: Any, tile: Any, panel: Any, here: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        count, terms, begin, _, panel, here = values
        arrays = ((1, "numbers"), (3, "first"), (3, "work"))
        numbers, first, work = (_data(context, builder, signature.args[k], values[k], name) for k, name in arrays)
        vector, integer = ir.VectorType(ir.DoubleType(), LANES), count.type
        moves = [builder.load(place, align=8) for place in _places(builder, builder.gep(first, [panel]), PANEL)]
        quadratic = builder.add(builder.extract_value(terms, 1), begin)
        coefficients = builder.gep(numbers, [begin]), builder.gep(numbers, [quadratic])
        rows = builder.gep(work, [here])
        with cgutils.for_range(builder, count) as loop:
            f1, f2 = (_repeated(builder, builder.load(builder.gep(c, [loop.index])), vector) for c in coefficients)
            row = builder.gep(rows, [builder.mul(loop.index, integer(SPACING))])
            for x, place in zip(moves, _places(builder, row, PANEL), strict=True):
                slope = builder.fadd(f1, builder.fmul(x, f2, flags=("contract",)), flags=("contract",))
                builder.store(builder.fmul(x, slope), place, align=8)
        return context.get_dummy_value()

    whole = types.int64
    return types.none(whole, terms, whole, tile, whole, whole), generate


def _sum_products(
    builder: Any, columns: int, begin: Any, spread: Any, weights: list[Any], listed: Any, count: Any, source: Any,
    targets: list[Any],
) -> None:  # fmt: skip
    """Write the code of the sums of some columns and rows, kept in registers, that begin with 0 if `begin` is 0."""
    vector, integer = ir.VectorType(ir.DoubleType(), LANES), begin.type
    sums = [[cgutils.alloca_once(builder, vector) for _ in range(columns // LANES)] for _ in targets]
    # By arithmetic, not by a choice: LLVM would make two loops of each.
    by_unit = builder.mul(spread, integer(SPACING))
    by_place = builder.sub(integer(SPACING), by_unit)
    with builder.if_else(builder.icmp_signed("==", begin, integer(0))) as (fresh, continued):
        with fresh:
            for total in (total for row in sums for total in row):
                builder.store(vector([0.0] * LANES), total)
        with continued:
            for row, target in zip(sums, targets, strict=True):
                for total, place in zip(row, _places(builder, target, columns), strict=True):
                    builder.store(builder.load(place, align=8), total)
    with cgutils.for_range(builder, count) as loop:
        unit = builder.load(builder.gep(listed, [loop.index]))
        row = builder.add(builder.mul(unit, by_unit), builder.mul(loop.index, by_place))
        moves = [builder.load(place, align=8) for place in _places(builder, builder.gep(source, [row]), columns)]
        for weight, row in zip(weights, sums, strict=True):
            w = _repeated(builder, builder.load(builder.gep(weight, [unit])), vector)
            for move, total in zip(moves, row, strict=True):
                product = builder.fmul(w, move, flags=("contract",))
                builder.store(builder.fadd(builder.load(total), product, flags=("contract",)), total)
    for row, target in zip(sums, targets, strict=True):
        for total, place in zip(row, _places(builder, target, columns), strict=True):
            builder.store(builder.load(total), place, align=8)


def _places(builder: Any, first: Any, columns: int) -> list[Any]:
    """Return the addresses of the vectors of some columns of a row."""
    integer, pointer = ir.IntType(64), ir.VectorType(ir.DoubleType(), LANES).as_pointer()
    return [builder.bitcast(builder.gep(first, [integer(low)]), pointer) for low in range(0, columns, LANES)]


def _repeated(builder: Any, value: Any, vector: Any) -> Any:
    one = builder.insert_element(vector(ir.Undefined), value, ir.IntType(32)(0))
    return builder.shuffle_vector(one, vector(ir.Undefined), ir.VectorType(ir.IntType(32), LANES)([0] * LANES))


add_products = add_products_plainly if config.DISABLE_JIT else intrinsic(_add_products)
"""Make or go on with the sums of `multiply`, over `count` inner indices: of up to `BLOCK` rows of a panel, or of a wide row."""

expand_panel = expand_panel_plainly if config.DISABLE_JIT else intrinsic(_expand_panel)
"""Fill a panel of `count` rows as `expand` says."""
