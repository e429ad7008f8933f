"""From a tile of sums to a tile of levels, once the products of the tile are summed.

A tile is ``sums`` (rows, NR), C-contiguous int32 or int64, of which the first ``count`` rows are
real. Its lanes are the channels from ``channel`` on; whatever is per channel is an array padded to
a multiple of NR, so that every lane is computed, those beyond the last channel for nothing.
``levels`` (rows, NR) int32 are another array, overwritten in the real rows. Levels are clipped to
``low .. high``, which lie within 24 bits.

These are inner loops: nothing is checked or allocated here. They give what the kernels of the same
arithmetic give that are named with them, which say more about it. An index of a parameter is
unsigned, which spares the question whether it counts from the end, and with it the vectors.
"""

import numpy as np
from numba import njit

from qsim.kernels.simd.intrinsics import arrays_are_separate


@njit(cache=True, nogil=True)
def add_bias(sums, count, bias, channel):
    """Add ``bias`` (channels,) of the type of ``sums``; int32 wraps around, as the products do."""
    arrays_are_separate()
    for i in range(count):
        for lane in range(sums.shape[1]):
            total = np.int64(sums[i, lane]) + np.int64(bias[np.uint64(channel + lane)])
            sums[i, lane] = sums.dtype.type(total)


@njit(cache=True, nogil=True)
def wrap_to(sums, count, bits):
    """Take sums modulo 2**bits, as two's complement of 2 .. 31 bits, or of int64 sums 2 .. 63."""
    arrays_are_separate()
    half = np.int64(1) << np.int64(bits - 1)
    mask = half + (half - np.int64(1))
    for i in range(count):
        for lane in range(sums.shape[1]):
            low_bits = np.int64(sums[i, lane]) & mask
            sums[i, lane] = sums.dtype.type((low_bits ^ half) - half)


@njit(cache=True, nogil=True)
def round_float(sums, count, multiplier, offset, channel, low, high, levels):
    """As ``requantize_float`` of one term, and ``offset`` added before the total is rounded.

    multiplier, offset   (channels,) float32; an offset of 0 changes nothing
    """
    arrays_are_separate()
    lowest, highest = np.float32(low), np.float32(high)
    for i in range(count):
        for lane in range(sums.shape[1]):
            at = np.uint64(channel + lane)
            total = np.float32(sums[i, lane]) * multiplier[at] + offset[at]
            levels[i, lane] = np.int32(np.rint(min(max(total, lowest), highest)))


@njit(cache=True, nogil=True)
def round_float_sum(
    sums, others, count, multiplier, other_multiplier, offset, channel, low, high, levels
):
    """As ``requantize_float`` of two terms, in either order, and ``offset`` added last.

    others                                 (rows, NR) int32 or int64, sums or levels
    multiplier, other_multiplier, offset   (channels,) float32; an offset of 0 changes nothing
    """
    arrays_are_separate()
    lowest, highest = np.float32(low), np.float32(high)
    for i in range(count):
        for lane in range(sums.shape[1]):
            at = np.uint64(channel + lane)
            total = np.float32(sums[i, lane]) * multiplier[at]
            total = total + np.float32(others[i, lane]) * other_multiplier[at]
            total = total + offset[at]
            levels[i, lane] = np.int32(np.rint(min(max(total, lowest), highest)))


@njit(cache=True, nogil=True)
def round_double(sums, count, multiplier, channel, low, high, levels):
    """As ``requantize_double``; ``multiplier`` (channels,) float64. Sums lie within int32."""
    arrays_are_separate()
    lowest, highest = np.float64(low), np.float64(high)
    below_half = 0.5 - 2.0**-54  # added to it, a half rounds to 1 and what is less stays below 1
    for i in range(count):
        for lane in range(sums.shape[1]):
            scaled = np.float64(sums[i, lane]) * multiplier[np.uint64(channel + lane)]
            scaled = min(max(scaled, lowest), highest)
            scaled += below_half if scaled > 0.0 else -below_half
            levels[i, lane] = np.int32(scaled)  # towards zero: a half went away from it


@njit(cache=True, nogil=True)
def round_once(sums, count, multiplier, shift, channel, low, high, levels):
    """As ``requantize_fixed`` with the rounding "tflite". Sums and results lie within int32.

    multiplier   (channels,) int32 0 .. 2**31 - 1
    shift        (channels,) int32 -31 .. 30, to the left
    """
    arrays_are_separate()
    for i in range(count):
        for lane in range(sums.shape[1]):
            at = np.uint64(channel + lane)
            right = np.int64(31) - np.int64(shift[at])
            half = (np.int64(1) << right) >> np.int64(1)
            product = np.int64(np.int32(sums[i, lane])) * np.int64(multiplier[at])
            nearest = (product + half) >> right  # a half up
            levels[i, lane] = np.int32(min(max(nearest, low), high))


@njit(cache=True, nogil=True)
def round_shift_sum(sums, others, count, up, other_up, shift, channel, low, high, levels):
    """As ``add_aligned`` of two terms, then ``requantize_shift``.

    others         (rows, NR) int32 or int64, sums or levels
    up, other_up   (channels,) int32 0 .. 63, by how much each term is shifted to the left; the sum
                   lies within int64
    shift          (channels,) int32 0 .. 62
    """
    arrays_are_separate()
    for i in range(count):
        for lane in range(sums.shape[1]):
            at = np.uint64(channel + lane)
            right = np.int64(shift[at])
            total = np.int64(sums[i, lane]) << np.int64(up[at])
            total = total + (np.int64(others[i, lane]) << np.int64(other_up[at]))
            floor = total >> right
            mask = (np.int64(1) << right) - np.int64(1)
            below_half = (mask >> np.int64(1)) + (~floor & np.int64(1))  # a half to the even
            nearest = floor + np.int64((total & mask) > below_half)
            levels[i, lane] = np.int32(min(max(nearest, low), high))
