"""From sums to bytes in one pass, for the commonest layers: those that are rescaled in float32.

What ``epilogues``, ``additions`` and ``tile_bytes`` do one after another, with nothing written
between them; tiles, parameters and places are as there, but that the parameters of the tile's
first channel are at ``parameter``. ``sums`` are int32 and are not changed.
Another tensor that is added lies in the same array ``stored``, at ``other_rows``; the places that
are read must not be those that are written, but for a row that is its own place in both.
"""

import numpy as np
from numba import njit

from qsim.kernels.simd.intrinsics import arrays_are_separate, fused_multiply_add


@njit(cache=True, nogil=True)
def store_float(
    sums, count, bias, multiplier, offset, parameter, channel, low, high,
    byte_offset, stored, rows, first_row, channels,
):  # fmt: skip
    """``add_bias``, ``round_float`` and ``store_bytes``."""
    arrays_are_separate()
    lowest, highest, to_byte = np.float32(low), np.float32(high), np.int32(byte_offset)
    lanes = min(sums.shape[1], channels - channel)
    for i in range(count):
        start = rows[np.uint64(first_row + i)]
        if start < 0:
            continue
        start += channel
        for lane in range(lanes):
            at = np.uint64(parameter + lane)
            total = np.int32(np.int64(sums[i, lane]) + np.int64(bias[at]))
            scaled = np.float32(total) * multiplier[at] + offset[at]
            level = np.int32(np.rint(min(max(scaled, lowest), highest)))
            stored[np.uint64(start + lane)] = np.uint8(np.int32(level + to_byte))


@njit(cache=True, nogil=True)
def store_float_sum(
    sums, count, bias, multiplier, offset, parameter, channel, low, high,
    other_multiplier, other_byte_offset, other_rows, other_first_row,
    byte_offset, stored, rows, first_row, channels,
):  # fmt: skip
    """``add_bias``, ``load_levels`` of the other term, ``round_float_sum`` and ``store_bytes``.

    other_multiplier    (channels,) float32
    other_byte_offset   byte less level of the other tensor
    """
    arrays_are_separate()
    lowest, highest, to_byte = np.float32(low), np.float32(high), np.int32(byte_offset)
    from_byte, lanes = np.int32(other_byte_offset), min(sums.shape[1], channels - channel)
    for i in range(count):
        start = rows[np.uint64(first_row + i)]
        if start < 0:
            continue
        start += channel
        other_start = other_rows[np.uint64(other_first_row + i)] + channel
        for lane in range(lanes):
            at = np.uint64(parameter + lane)
            total = np.int32(np.int64(sums[i, lane]) + np.int64(bias[at]))
            other = np.int32(np.int32(stored[np.uint64(other_start + lane)]) - from_byte)
            scaled = np.float32(total) * multiplier[at]
            scaled = scaled + np.float32(other) * other_multiplier[at]
            scaled = scaled + offset[at]
            level = np.int32(np.rint(min(max(scaled, lowest), highest)))
            stored[np.uint64(start + lane)] = np.uint8(np.int32(level + to_byte))


@njit(cache=True, nogil=True)
def store_float_added(
    sums, count, bias, multiplier, parameter, channel, low, high,
    levels_first, factors, zeros, sum_low, sum_high, other_byte_offset, other_rows, other_first_row,
    byte_offset, stored, rows, first_row, channels,
):  # fmt: skip
    """``add_bias``, ``round_float`` without an offset, ``load_levels`` of the other tensor,
    ``add_float`` and ``store_bytes``.

    low, high                      of the levels of ``sums``
    levels_first, factors, zeros   as of ``add_float``
    sum_low, sum_high              of the levels that are stored
    other_byte_offset              byte less level of the other tensor
    """
    arrays_are_separate()
    ratio, other_ratio, rest = factors
    lowest, highest, zero = np.float32(low), np.float32(high), np.float32(zeros[0])
    sum_lowest, sum_highest = np.float32(sum_low + zeros[2]), np.float32(sum_high + zeros[2])
    to_code, to_byte = np.int32(zeros[1] - other_byte_offset), np.int32(byte_offset - zeros[2])
    lanes = min(sums.shape[1], channels - channel)
    for i in range(count):
        start = rows[np.uint64(first_row + i)]
        if start < 0:
            continue
        start += channel
        other_start = other_rows[np.uint64(other_first_row + i)] + channel
        for lane in range(lanes):
            at = np.uint64(parameter + lane)
            total = np.int32(np.int64(sums[i, lane]) + np.int64(bias[at]))
            scaled = np.float32(total) * multiplier[at]
            code = np.rint(min(max(scaled, lowest), highest)) + zero  # both within 24 bits: exact
            byte = np.int32(stored[np.uint64(other_start + lane)])
            other = np.float32(np.int32(byte + to_code))
            if levels_first:
                added = fused_multiply_add(other, other_ratio, rest)
                added = fused_multiply_add(code, ratio, added)
            else:
                added = fused_multiply_add(code, ratio, rest)
                added = fused_multiply_add(other, other_ratio, added)
            result = np.int32(np.rint(min(max(added, sum_lowest), sum_highest)))
            stored[np.uint64(start + lane)] = np.uint8(np.int32(result + to_byte))
