"""Products of bit planes for all positions and channels of a layer: sums, or levels in bits."""

from numba import njit

from qsim.kernels.simd.bit_tiles import count_tile, level_tile


@njit(cache=True, nogil=True)
def sums_of_bits(tile, op, reads, panels, bases, base_rows, factor, sums, counts):
    """Write ``bases + factor * counts`` of every position and channel.

    tile, op    literal strings, as ``count_tile`` takes them
    bases       (patterns, channels) of the type of ``sums``
    base_rows   int64 (positions,), the pattern of each
    sums        int32 or int64 (positions, channels), overwritten; modulo 2**32 or 2**64
    counts      int32 (tile rows, tile channels), for its use
    """
    positions, channels = sums.shape
    rows, width = counts.shape
    number = sums.dtype.type
    for panel in range(-(-channels // width)):
        start, stop = panel * width, min((panel + 1) * width, channels)
        for first in range(0, positions, rows):
            count_tile(tile, op, reads, first, panels, panel, counts)
            for i in range(min(rows, positions - first)):
                base = bases[base_rows[first + i], start:stop]
                total, count = sums[first + i, start:stop], counts[i]
                for n in range(stop - start):
                    total[n] = number(base[n] + number(factor) * number(count[n]))


@njit(cache=True, nogil=True)
def levels_of_bits(tile, op, planes, reads, panels, limits, writes, counts):
    """Write the levels of every position and channel as bits, up to whole words of 64 channels.

    tile, op, planes   literal strings, as ``level_tile`` takes them
    limits.flips       a byte for each 8 channels of whole words
    counts             int32 (tile rows, tile channels), for its use
    """
    rows, channels = counts.shape
    written = panels.words.size // panels.size * (channels // 8)
    for panel in range(panels.words.size // panels.size):
        for first in range(0, reads.rows.size, rows):
            level_tile(tile, op, planes, reads, first, panels, panel, limits, writes, counts)
    for octet in range(written, limits.flips.size):
        for m in range(writes.rows.size):
            writes.octets[writes.rows[m] + octet] = 0
            if planes == "2":
                writes.octets[writes.rows[m] + writes.plane + octet] = 0
