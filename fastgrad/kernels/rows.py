"""The rows of a tile: how they lie in memory, and the product of weights with them, which is where large networks spend time.

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


@outlined
def multiply(
    columns, used, terms, n_terms, first, theta, start, n_columns, active, outputs, n_out, inputs, n_in, work, source, target
):
    """Row target + r of work becomes Σ_k W[outputs r, inputs k]·(row source + k), k in order.

    Of each row the first `columns` are made, without panels beyond the first `used` of each half. Where `n_terms` is not 0,
    a panel of the rows from `source` on is made first, as by `expand`: in the place of the first panel's first rows, which
    then stay in the first cache.
    """
    apart()
    width = WIDE if n_out == 1 else PANEL
    for begin in range(0, max(n_in, 1), DEPTH):  # without inner indices the sums are zeros, which have to be written
        count = min(DEPTH, n_in - begin)
        for low in range(0, n_out, SPAN):
            for panel in range(0, columns, width):
                if panel % TILE >= used:
                    continue
                here = source * SPACING if n_terms else (source + begin) * SPACING + panel
                if n_terms:
                    for shift in range(0, width, PANEL):
                        expand_panel(count, terms, begin, n_terms + begin, first, panel + shift, work, here + shift)
                for r in range(low, min(low + SPAN, n_out), BLOCK):
                    add_products(
                        min(BLOCK, n_out - r), width, begin, theta, start, n_columns, active, outputs + r, inputs + begin,
                        count, work, here, (target + r) * SPACING + panel,
                    )  # fmt: skip


@outlined
def expand(columns, terms, n_terms, first, count, work, source):
    """Row source + k of work becomes x·(terms[k] + x·terms[n_terms + k]), x being the row `first`."""
    for panel in range(0, columns, PANEL):
        expand_panel(count, terms, 0, n_terms, first, panel, work, source * SPACING + panel)


def _add_products_slowly(
    rows: int, width: int, begin: int, theta: Any, start: int, n_columns: int, active: Any, outputs: int, inputs: int,
    count: int, work: Any, source: int, target: int,
) -> None:  # fmt: skip
    for r in range(rows):
        w, place = start + active[outputs + r] * n_columns, slice(target + r * SPACING, target + r * SPACING + width)
        total = work[place] if begin else np.zeros(width)
        for k in range(count):
            at = source + k * SPACING
            total = total + theta[w + active[inputs + k]] * work[at : at + width]
        work[place] = total


def _add_products(
    typing_context: Any, rows: Any, width: Any, begin: Any, theta: Any, start: Any, n_columns: Any, active: Any, outputs: Any,
    inputs: Any, count: Any, work: Any, source: Any, target: Any,
) -> Any:  # fmt: skip
    whole = types.int64

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        rows, width, begin, _, start, n_columns, _, outputs, inputs, count, _, source, target = values
        theta, active, work = (context.make_array(signature.args[k])(context, builder, values[k]).data for k in (3, 6, 10))
        integer = rows.type
        for number, columns in ((1, WIDE), *((number, PANEL) for number in range(1, BLOCK + 1))):
            of_rows, of_columns = (builder.icmp_signed("==", a, integer(b)) for a, b in ((rows, number), (width, columns)))
            with builder.if_then(builder.and_(of_rows, of_columns)):
                weights, targets = [], []
                for r in range(number):
                    unit = builder.load(builder.gep(active, [builder.add(outputs, integer(r))]))
                    weights.append(builder.gep(theta, [builder.add(start, builder.mul(unit, n_columns))]))
                    targets.append(builder.gep(work, [builder.add(target, integer(r * SPACING))]))
                listed, sources = builder.gep(active, [inputs]), builder.gep(work, [source])
                _sum_products(builder, columns, begin, weights, listed, count, sources, targets)
        return context.get_dummy_value()

    kinds = (whole, whole, whole, theta, whole, whole, active, whole, whole, whole, work, whole, whole)
    return types.none(*kinds), generate


def _expand_panel_slowly(
    count: int, terms: Any, linear: int, quadratic: int, first: Any, panel: int, work: Any, source: int
) -> None:
    x = first[panel : panel + PANEL]
    for k in range(count):
        at = source + k * SPACING
        work[at : at + PANEL] = x * (terms[linear + k] + x * terms[quadratic + k])


def _expand_panel(
    typing_context: Any, count: Any, terms: Any, linear: Any, quadratic: Any, first: Any, panel: Any, work: Any, source: Any
) -> Any:
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        count, _, linear, quadratic, _, panel, _, source = values
        terms, first, work = (context.make_array(signature.args[k])(context, builder, values[k]).data for k in (1, 4, 6))
        vector, integer = ir.VectorType(ir.DoubleType(), LANES), count.type
        moves = [builder.load(place, align=8) for place in _places(builder, builder.gep(first, [panel]), PANEL)]
        coefficients = builder.gep(terms, [linear]), builder.gep(terms, [quadratic])
        rows = builder.gep(work, [source])
        with cgutils.for_range(builder, count) as loop:
            f1, f2 = (_repeated(builder, builder.load(builder.gep(c, [loop.index])), vector) for c in coefficients)
            row = builder.gep(rows, [builder.mul(loop.index, integer(SPACING))])
            for x, place in zip(moves, _places(builder, row, PANEL), strict=True):
                slope = builder.fadd(f1, builder.fmul(x, f2, flags=("contract",)), flags=("contract",))
                builder.store(builder.fmul(x, slope), place, align=8)
        return context.get_dummy_value()

    whole = types.int64
    return types.none(whole, terms, whole, whole, first, whole, work, whole), generate


def _sum_products(
    builder: Any, columns: int, begin: Any, weights: list[Any], listed: Any, count: Any, source: Any, targets: list[Any]
) -> None:
    """Write the code of the sums of some columns and rows, kept in registers, that begin with 0 if `begin` is 0."""
    vector, integer = ir.VectorType(ir.DoubleType(), LANES), begin.type
    sums = [[cgutils.alloca_once(builder, vector) for _ in range(columns // LANES)] for _ in targets]

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
        moves = [
            builder.load(place, align=8)
            for place in _places(builder, builder.gep(source, [builder.mul(loop.index, integer(SPACING))]), columns)
        ]
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


add_products = _add_products_slowly if config.DISABLE_JIT else intrinsic(_add_products)
"""Make or go on with the sums of `multiply`, over `count` inner indices: of up to `BLOCK` rows of a panel, or of a wide row."""

expand_panel = _expand_panel_slowly if config.DISABLE_JIT else intrinsic(_expand_panel)
"""Fill a panel of `count` rows as `expand` says."""
