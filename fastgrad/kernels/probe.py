"""The kernel whose results are known: called before any other, it shows that all kinds of arguments arrive as they are."""

from fastgrad.kernels.compile import worker


@worker("void(u8, i8, f8, b1[::1], i8[:,::1], f8[:,:,::1], u8[::1], f8[::1])")
def probe(natural, whole, real, flags, table, block, counters, out):
    """Fill out with the numbers, the ends of the arrays, the sum of the block, and the sizes of the block and of itself."""
    out[0], out[1], out[2] = natural, whole, real
    out[3], out[4] = flags[0], flags[flags.size - 1]
    out[5] = table[table.shape[0] - 1, table.shape[1] - 1]
    out[6] = block[block.shape[0] - 1, block.shape[1] - 1, block.shape[2] - 1]
    out[7] = counters[counters.size - 1]
    out[8] = 0.0
    for i in range(block.shape[0]):
        for j in range(block.shape[1]):
            for k in range(block.shape[2]):
                out[8] += block[i, j, k]
    out[9], out[10] = block.size, out.size
