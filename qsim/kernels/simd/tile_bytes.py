"""Between tiles of levels and the bytes that activations are kept as: ``byte = level + offset``.

A tile is as in ``epilogues``. Row i of it belongs at ``rows[first_row + i]`` of an array of bytes
(or of int32 sums), its lanes from there on after ``channel`` of the ``channels`` that there are;
lanes beyond the last one are neither read nor written, nor is anything of a row that belongs
nowhere, at a negative offset.
"""

import numpy as np
from numba import njit

from qsim.kernels.simd.intrinsics import arrays_are_separate


@njit(cache=True, nogil=True)
def load_levels(levels, count, offset, stored, rows, first_row, channel, channels):
    """Fill ``levels`` (rows, NR) int32 from ``stored``, uint8; lanes beyond the last channel
    keep what they hold."""
    arrays_are_separate()
    shift, lanes = np.int32(offset), min(levels.shape[1], channels - channel)
    for i in range(count):
        start = rows[np.uint64(first_row + i)]
        if start < 0:
            continue
        start += channel
        for lane in range(lanes):
            levels[i, lane] = np.int32(np.int32(stored[np.uint64(start + lane)]) - shift)


@njit(cache=True, nogil=True)
def store_bytes(levels, count, offset, stored, rows, first_row, channel, channels):
    """Write ``levels`` (rows, NR) int32 into ``stored``, uint8."""
    arrays_are_separate()
    shift, lanes = np.int32(offset), min(levels.shape[1], channels - channel)
    for i in range(count):
        start = rows[np.uint64(first_row + i)]
        if start < 0:
            continue
        start += channel
        for lane in range(lanes):
            stored[np.uint64(start + lane)] = np.uint8(np.int32(levels[i, lane] + shift))


@njit(cache=True, nogil=True)
def store_sums(sums, count, stored, rows, first_row, channel, channels):
    """Write ``sums`` (rows, NR) int32 or int64 into ``stored`` of the same type."""
    arrays_are_separate()
    lanes = min(sums.shape[1], channels - channel)
    for i in range(count):
        start = rows[np.uint64(first_row + i)]
        if start < 0:
            continue
        start += channel
        for lane in range(lanes):
            stored[np.uint64(start + lane)] = sums[i, lane]


@njit(cache=True, nogil=True)
def load_sums(sums, count, stored, rows, first_row, channel, channels):
    """Read ``sums`` (rows, NR) from ``stored``, both int32."""
    arrays_are_separate()
    lanes = min(sums.shape[1], channels - channel)
    for i in range(count):
        start = rows[np.uint64(first_row + i)] + channel
        for lane in range(lanes):
            sums[i, lane] = stored[np.uint64(start + lane)]
