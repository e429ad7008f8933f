"""From accumulated sums back to levels, and the residual addition that goes with it.

A *term* is an int64 array (images, channels, ...) of sums. Several terms (the branches of a
residual addition) are brought to one scale, added, and rounded once.
"""

from collections.abc import Sequence

import numpy as np
from numba import njit

from qsim.kernels.accumulator import as_integers, magnitude
from qsim.kernels.channels import by_channel, check_limits, check_per_channel

MAX_RIGHT_SHIFT = 62
LARGEST_SCALED = 2.0**120  # well within float32, so that no sum of terms leaves it


def requantize_float(
    terms: Sequence[tuple[np.ndarray, np.ndarray]], low: int, high: int
) -> np.ndarray:
    """``round(sum(term * multiplier))`` clipped to ``low .. high``, all in float32.

    Each sum is rounded to float32, multiplied by the float32 multiplier of its channel, the
    products are added in order, each step rounded to float32 (no fused multiply-add); the total
    goes to the nearest integer, a half to the even one. For one term this is the arithmetic of
    ONNX Runtime's QLinearConv.

    terms     (sums int64 (images, channels, ...), multiplier float32 (channels,)), each multiplier
              positive; all sums of one shape
    low, high within 24 bits, so that float32 holds every level
    returns   int32 levels of the same shape

    Raises ValueError on shapes, multipliers or limits outside these, OverflowError on a product
    beyond 2**120.
    """
    check_limits(low, high)
    shape = terms[0][0].shape
    total = np.zeros(by_channel(terms[0][0]).shape, np.float32)
    for sums, multiplier in terms:
        check_per_channel(sums, shape, multiplier)
        if multiplier.dtype != np.float32:
            raise TypeError(f"a multiplier is float32, not {multiplier.dtype}")
        if not ((multiplier > 0) & (multiplier < np.inf)).all():
            raise ValueError("a multiplier must be positive and finite")
        if magnitude(sums) * float(multiplier.max(initial=0)) > LARGEST_SCALED:
            raise OverflowError("a sum times its multiplier is too large for float32")
        _add_scaled(by_channel(sums), np.ascontiguousarray(multiplier), total)
    levels = np.empty(total.shape, np.int32)
    _round_half_even(total, levels, np.float32(low), np.float32(high))
    return levels.reshape(shape)


def total_float(terms: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """The total that ``requantize_float`` rounds, float32, for multipliers of any shape.

    terms   (sums int64, multiplier float32 that broadcasts to them, not negative)

    Raises OverflowError on a product beyond 2**120.
    """
    total = np.float32(0)
    for sums, multiplier in terms:
        if not magnitude(sums) * float(multiplier.max(initial=0)) <= LARGEST_SCALED:
            raise OverflowError("a sum times its multiplier is too large for float32")
        total = total + sums.astype(np.float32) * multiplier
    return total


def requantize_shift(sums: np.ndarray, shift: np.ndarray, low: int, high: int) -> np.ndarray:
    """``sums / 2**shift`` rounded to the nearest integer, a half to the even one, then clipped.

    sums      int64 (images, channels, ...)
    shift     (channels,) integers 0 .. 62
    returns   int32 levels of the same shape

    Raises ValueError on shapes, shifts or limits outside these.
    """
    check_limits(low, high)
    check_per_channel(sums, sums.shape, shift)
    if shift.size and (shift.min() < 0 or shift.max() > MAX_RIGHT_SHIFT):
        raise ValueError(f"a shift is 0 to {MAX_RIGHT_SHIFT} to the right, not {shift}")
    by_channels = by_channel(sums)
    levels = np.empty(by_channels.shape, np.int32)
    _shift_half_even(by_channels, as_integers(shift, np.int64), levels, low, high)
    return levels.reshape(sums.shape)


def add_aligned(
    terms: Sequence[tuple[np.ndarray, np.ndarray]],
) -> tuple[np.ndarray, np.ndarray]:
    """The exact sum of terms whose scales are ``2**-shift``, and the shift of the sum.

    terms     (sums int64 (images, channels, ...), shift (channels,) integers)
    returns   sums int64 and shift (channels,), no smaller than 0: the largest of the terms'

    Raises ValueError on shapes that differ, OverflowError when the sum could leave 64 bits.
    """
    shape = terms[0][0].shape
    common = np.zeros(shape[1:2], np.int64)
    total = np.zeros(by_channel(terms[0][0]).shape, np.int64)
    for sums, shift in terms:
        check_per_channel(sums, shape, shift)
        common = np.maximum(common, shift)
    worst = [0] * len(common)
    for sums, shift in terms:
        up = common - shift
        for channel in range(len(common)):
            worst[channel] += magnitude(sums[:, channel]) << int(up[channel])
        if max(worst, default=0) >= 2**63:
            raise OverflowError("the scales of an addition lie too far apart for 64 bits")
        total += by_channel(sums) << np.minimum(up, 63)[None, :, None]  # 63 and more: sums of 0
    return total.reshape(shape), common


@njit(cache=True, nogil=True)
def _add_scaled(sums, multiplier, total):
    """sums (N, C, L) int64, multiplier (C,) float32, total (N, C, L) float32, added to."""
    for n in range(sums.shape[0]):
        for c in range(sums.shape[1]):
            for i in range(sums.shape[2]):
                total[n, c, i] += np.float32(sums[n, c, i]) * multiplier[c]


@njit(cache=True, nogil=True)
def _round_half_even(total, levels, low, high):
    """total (N, C, L) float32, levels (N, C, L) int32, overwritten; low, high float32 integers."""
    for n in range(total.shape[0]):
        for c in range(total.shape[1]):
            for i in range(total.shape[2]):
                clipped = min(max(total[n, c, i], low), high)
                levels[n, c, i] = np.int32(np.rint(clipped))  # rint: a half to the even integer


@njit(cache=True, nogil=True)
def _shift_half_even(sums, shift, levels, low, high):
    """sums (N, C, L) int64, shift (C,) int64 0 .. 62, levels (N, C, L) int32, overwritten."""
    for n in range(sums.shape[0]):
        for c in range(sums.shape[1]):
            s = shift[c]
            for i in range(sums.shape[2]):
                floor = sums[n, c, i] >> s
                rest = sums[n, c, i] - (floor << s)
                if s > 0:
                    half = np.int64(1) << (s - 1)
                    if rest > half or (rest == half and (floor & 1) == 1):
                        floor += 1  # a half goes to the even integer
                levels[n, c, i] = min(max(floor, low), high)
