"""The steps of a compiled program that are not made tile by tile: the image, max pools, borders."""

import numpy as np
from numba import njit
from numpy import uint64 as U


@njit(cache=True, nogil=True)
def share(count, team):
    """The first and the one past the last of ``count`` things that fall to a thread of a team."""
    return count * team.number // team.size, count * (team.number + 1) // team.size


@njit(cache=True, nogil=True)
def quantize_image(step, memory, image, scale, team):
    """The bytes of an image: value over scale, to the nearest, a half to the even one.

    image   float32 (channels, height, width)
    scale   float64
    """
    channels, height, width = image.shape
    data, low, high, offset = memory.data, step["low"], step["high"], np.int32(step["out_offset"])
    narrow = np.float32(scale)
    first, last = share(height, team)
    for y in range(first, last):
        for c in range(channels):
            at = U(step["source"] + y * step["source_row"] + c)
            if step["exact"]:
                for x in range(U(width)):
                    quotient = np.float64(image[c, y, x]) / scale
                    clipped = min(max(quotient, np.float64(low)), np.float64(high))
                    data[at + x * U(channels)] = np.uint8(np.int32(np.rint(clipped)) + offset)
            else:
                for x in range(U(width)):
                    rounded = image[c, y, x] / narrow
                    clipped = min(max(rounded, np.float32(low)), np.float32(high))
                    data[at + x * U(channels)] = np.uint8(np.int32(np.rint(clipped)) + offset)


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
    data, channels = memory.data, step["channels"]
    first, last = share(step["positions"] // step["out_width"], team)
    for y in range(first, last):
        top = y * step["stride_h"] - step["top"]
        bottom = min(top + step["kernel_h"], step["height"])
        for x in range(step["out_width"]):
            left = x * step["stride_w"] - step["left"]
            right = min(left + step["kernel_w"], step["width"])
            at = U(step["out_rows"] + y * step["pitch"] + x * channels)
            for c in range(U(channels)):
                data[at + c] = 0
            for i in range(max(top, 0), bottom):
                for j in range(max(left, 0), right):
                    source = U(step["source"] + i * step["source_row"] + j * channels)
                    for c in range(U(channels)):
                        data[at + c] = max(data[at + c], data[source + c])


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
