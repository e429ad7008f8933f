"""The steps of a compiled program that are not made tile by tile: the image, max pools, borders."""

import numpy as np
from numba import njit
from numpy import uint64 as U

from qsim.kernels.simd.intrinsics import arrays_are_separate
from qsim.kernels.simd.largest import largest_bytes


@njit(cache=True, nogil=True)
def share(count, team):
    """The first and the one past the last of ``count`` things that fall to a thread of a team."""
    return count * team.number // team.size, count * (team.number + 1) // team.size


@njit(cache=True, nogil=True)
def quantize_image(step, memory, image, scale, team):
    """The bytes of an image: value over scale, to the nearest, a half to the even one. A few pixels
    at a time are found in a row of scratch, and then set among those of the other channels.

    image   float32 (channels, height, width)
    scale   float64
    """
    channels, height, width = image.shape
    scratch, pixel = memory.levels[0], U(channels)
    low, high, zero, exact = step["low"], step["high"], step["out_offset"], step["exact"]
    first, last = share(height, team)
    for y in range(first, last):
        for c in range(channels):
            row = step["source"] + y * step["source_row"] + c
            for x in range(0, width, len(scratch)):
                count = min(len(scratch), width - x)
                if exact:
                    _round_exactly(image[c, y, x : x + count], scale, low, high, zero, scratch)
                else:
                    _round_narrowly(image[c, y, x : x + count], scale, low, high, zero, scratch)
                at = U(row + x * channels)
                for n in range(U(count)):
                    memory.data[at + n * pixel] = np.uint8(scratch[n])


@njit(cache=True, nogil=True)
def _round_exactly(values, scale, low, high, zero, codes):
    """The bytes, int32, of values over a float64 scale."""
    arrays_are_separate()
    lowest, highest, offset = np.float64(low), np.float64(high), np.int32(zero)
    for n in range(len(values)):
        quotient = min(max(np.float64(values[n]) / scale, lowest), highest)
        codes[n] = np.int32(np.int32(np.rint(quotient)) + offset)


@njit(cache=True, nogil=True)
def _round_narrowly(values, scale, low, high, zero, codes):
    """As ``_round_exactly``, the scale and the quotient being float32."""
    arrays_are_separate()
    lowest, highest, offset = np.float32(low), np.float32(high), np.int32(zero)
    for n in range(len(values)):
        quotient = min(max(values[n] / np.float32(scale), lowest), highest)
        codes[n] = np.int32(np.int32(np.rint(quotient)) + offset)


@njit(cache=True, nogil=True)
def copy_levels(step, memory, levels, team):
    """The bytes of an image that was quantized already: int32 (channels, height, width)."""
    channels, height, width = levels.shape
    offset = np.int32(step["out_offset"])
    first, last = share(height, team)
    for y in range(first, last):
        for c in range(channels):
            at = U(step["source"] + y * step["source_row"] + c)
            for x in range(U(width)):
                memory.data[at + x * U(channels)] = np.uint8(levels[c, y, x] + offset)


@njit(cache=True, nogil=True)
def max_pool(step, memory, team):
    """The largest byte under each window; what lies outside of the image takes no part."""
    data, channels, source_row = memory.data, step["channels"], step["source_row"]
    first, last = share(step["positions"] // step["out_width"], team)
    for y in range(first, last):
        top = y * step["stride_h"] - step["top"]
        bottom = min(top + step["kernel_h"], step["height"])
        for x in range(step["out_width"]):
            left = x * step["stride_w"] - step["left"]
            right = min(left + step["kernel_w"], step["width"])
            at = step["out_rows"] + y * step["pitch"] + x * channels
            rows, columns = bottom - max(top, 0), right - max(left, 0)
            source = step["source"] + max(top, 0) * source_row + max(left, 0) * channels
            largest_bytes(data, at, source, channels, rows, source_row, columns)


@njit(cache=True, nogil=True)
def look_up(step, constants, memory, team):
    """What a table of 256 bytes makes of each byte of a tensor."""
    data, table, channels = memory.data, constants.tables, U(step["channels"])
    begin, pixel, out_pixel = U(step["runs"]), step["channels"], step["out_pixel"]
    first, last = share(step["positions"], team)
    for y in range(first, last):
        for x in range(step["width"]):
            source = U(step["source"] + y * step["source_row"] + x * pixel)
            at = U(step["out_rows"] + y * step["pitch"] + x * out_pixel)
            for c in range(channels):
                data[at + c] = np.uint8(table[begin + U(data[source + c])])


@njit(cache=True, nogil=True)
def fill_border(step, constants, memory, team):
    """Level 0 all around the tensor."""
    tables, data = constants.tables, memory.data
    value = np.uint8(step["out_offset"])
    first, last = share(step["n_fills"], team)
    for number in range(first, last):
        at = step["fills"] + 2 * number
        begin = U(tables[at])
        for place in range(U(tables[at + 1])):
            data[begin + place] = value
