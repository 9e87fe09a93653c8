"""Loops that call a compiled function at many points by its address, so that one loop serves all functions of a form.

Called by compiled; imports numba, which is loaded already where a compiled function exists. A loop for each function, which
could be inlined then, would take a second and 5 MB each, which numba never gives back.
"""

from math import nan

import numba
from numba.core import types
from numba.extending import intrinsic


@intrinsic
def value_at(typing_context, address, point, like):  # type: ignore[no-untyped-def]  # numba infers the types
    """Return what the function at an address gives, as float64, its own type being that of `like`; nan where it raises."""

    def generate(context, builder, signature, values):  # type: ignore[no-untyped-def]
        kinds, result = [signature.args[1]], signature.args[2]
        pointer = context.call_conv.get_function_type(result, kinds).as_pointer()
        function = builder.inttoptr(values[0], pointer)
        status, found = context.call_conv.call_function(builder, function, result, kinds, [values[1]])
        number = context.cast(builder, found, result, types.float64)
        return builder.select(status.is_ok, number, context.get_constant(types.float64, nan))

    return types.float64(address, point, like), generate


@numba.njit(nogil=True)
def move_entries(address, like, x, entries, offsets, values, returned):  # type: ignore[no-untyped-def]
    """Fill values[k] with f(x + offsets[k]·e_entries[k]), and returned[0] with whether a copy of x ended as it began."""
    point = x.copy()
    flat, kept = point.reshape(point.size), x.reshape(x.size)
    for k in range(entries.size):
        entry = entries[k]
        flat[entry] = kept[entry] + offsets[k]
        values[k] = value_at(address, point, like)
        flat[entry] = kept[entry]
    for entry in range(flat.size):
        returned[0] = returned[0] and flat[entry] == kept[entry]


@numba.njit(nogil=True)
def fill_values(address, like, points, values):  # type: ignore[no-untyped-def]
    """Fill values[k] with f(points[k]), for a function of one number."""
    for k in range(points.size):
        values[k] = value_at(address, points[k], like)
