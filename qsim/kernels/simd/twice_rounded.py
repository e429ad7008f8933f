"""Sums times a 31-bit multiplier, rounded twice: the arithmetic of TFLite's reference kernels.

As ``requantize_fixed`` with the rounding "tflite-reference", or where a half does not go ``away``
from zero "tflite-builtin". Tiles are as in ``epilogues``. The product needs lanes of 64 bits and
its rounding those of 32, so they are two passes over rows of a block of lanes, with the constants
of the block in registers; a product lies where its sum was.
"""

import numpy as np
from numba import njit

from qsim.kernels.simd.intrinsics import arrays_are_separate

INT32_MAX = np.int32(2**31 - 1)
HALF_OF_MAX = np.int32(2**30 - 1)
BLOCK = 32  # lanes; a constant, so that a row of a block is straight-line code


@njit(cache=True, nogil=True)
def round_twice(sums, count, bias, multiplier, shift, away, channel, low, high, levels):
    """The levels of ``sums + bias``; ``sums`` are overwritten, their totals lie within int32.

    bias         (channels,) int32
    multiplier   (channels,) int32 0 .. 2**31 - 1
    shift        (channels,) int32 -31 .. 30, to the left; a total shifted so lies within int32
    away         whether a half of the second rounding goes away from zero, else up
    """
    arrays_are_separate()
    lanes = sums.shape[1]
    whole = lanes - lanes % BLOCK
    for block in range(0, whole, BLOCK):
        _multiply(sums, count, bias, multiplier, shift, channel, block, BLOCK)
        _round(sums, count, shift, away, channel, low, high, block, BLOCK, levels)
    _multiply(sums, count, bias, multiplier, shift, channel, whole, lanes - whole)
    _round(sums, count, shift, away, channel, low, high, whole, lanes - whole, levels)


@njit(cache=True, nogil=True)
def store_twice_rounded(
    sums, count, bias, multiplier, shift, away, parameter, channel, low, high,
    offset, stored, rows, first_row, channels,
):  # fmt: skip
    """As ``round_twice``, and ``tile_bytes.store_bytes`` of the levels.

    parameter   where the parameters of the tile's first channel are
    """
    arrays_are_separate()
    lanes, to_byte = min(sums.shape[1], channels - channel), np.int32(offset)
    whole = lanes - lanes % BLOCK
    for block in range(0, whole, BLOCK):
        _multiply(sums, count, bias, multiplier, shift, parameter, block, BLOCK)
        _round(sums, count, shift, away, parameter, low, high, block, BLOCK, sums)
    _multiply(sums, count, bias, multiplier, shift, parameter, whole, lanes - whole)
    _round(sums, count, shift, away, parameter, low, high, whole, lanes - whole, sums)
    for i in range(count):
        start = rows[np.uint64(first_row + i)]
        if start < 0:
            continue
        start += channel
        for lane in range(lanes):
            byte = np.int32(np.int32(sums[i, lane]) + to_byte)
            stored[np.uint64(start + lane)] = np.uint8(byte)


@njit(inline="always")
def _multiply(sums, count, bias, multiplier, shift, channel, block, lanes):
    """Put ``(sums + bias) * 2**left * multiplier / 2**31``, a half up, where the sums were."""
    for i in range(count):
        for lane in range(lanes):
            here, at = np.uint64(block + lane), np.uint64(channel + block + lane)
            left = np.int64(max(shift[at], np.int32(0)) & np.int32(31))
            total = np.int64(np.int32(np.int64(sums[i, here]) + np.int64(bias[at])))
            product = np.int64(np.int32(total << left)) * np.int64(multiplier[at])
            product = product + (np.int64(1) << np.int64(30))
            sums[i, here] = np.int32(product >> np.int64(31))


@njit(inline="always")
def _nearest(product, shift, negative):
    """``product / 2**right``, a half up, or of negative products down if ``negative`` is -1."""
    right = np.int64(max(-shift, 0) & 31)
    mask = np.int32(INT32_MAX >> (np.int64(31) - right))
    below_half = np.int32(HALF_OF_MAX >> (np.int64(31) - right))
    below_half = np.int32(below_half - np.int32(np.int32(product >> 31) & negative))
    above = np.int32(np.int32(product & mask) > below_half)
    return np.int32(np.int32(product >> right) + above)


@njit(inline="always")
def _round(products, count, shift, away, channel, low, high, block, lanes, levels):
    lowest, highest = np.int32(low), np.int32(high)
    negative = np.int32(-1) if away else np.int32(0)
    for i in range(count):
        for lane in range(lanes):
            here, at = np.uint64(block + lane), np.uint64(channel + block + lane)
            nearest = _nearest(products[i, here], shift[at], negative)
            levels[i, here] = np.int32(min(max(nearest, lowest), highest))
