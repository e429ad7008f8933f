"""Requantization by a float64 multiplier, rounded once: TFLite's reference dense layers."""

import numpy as np
from numba import njit

from qsim.kernels.accumulator import magnitude
from qsim.kernels.channels import by_channel, check_limits, check_per_channel

LARGEST_SUM = 2**31


def requantize_double(sums: np.ndarray, multiplier: np.ndarray, low: int, high: int) -> np.ndarray:
    """``sums * multiplier`` rounded to float64, then to the nearest integer, a half away from zero,
    clipped to ``low .. high``.

    TFLite's reference kernel of fully connected int8 layers computes so, with the multiplier
    input scale * weight scale / output scale in float64.

    sums         integers within int32 (images, channels, ...)
    multiplier   (channels,) float64, positive
    low, high    within 24 bits, relative to the zero point
    returns      int32 levels of the shape of ``sums``

    Raises TypeError on another type, ValueError on shapes, multipliers or limits outside these,
    OverflowError on a sum outside int32.
    """
    check_limits(low, high)
    check_per_channel(sums, sums.shape, multiplier)
    if multiplier.dtype != np.float64:
        raise TypeError(f"a multiplier is float64, not {multiplier.dtype}")
    if not ((multiplier > 0) & (multiplier < 2.0**64)).all():
        raise ValueError("a multiplier must be positive and less than 2**64")
    if magnitude(sums) > LARGEST_SUM:
        raise OverflowError(f"a sum of magnitude {magnitude(sums)} does not fit int32")
    by_channels = by_channel(sums)
    levels = np.empty(by_channels.shape, np.int32)
    _round_half_away(by_channels, np.ascontiguousarray(multiplier), levels, low, high)
    return levels.reshape(sums.shape)


@njit(cache=True, nogil=True)
def _round_half_away(sums, multiplier, levels, low, high):
    """sums (N, C, L) int64, multiplier (C,) float64, levels (N, C, L) int32, overwritten."""
    for n in range(sums.shape[0]):
        for c in range(sums.shape[1]):
            for i in range(sums.shape[2]):
                scaled = np.float64(sums[n, c, i]) * multiplier[c]
                whole = np.trunc(scaled)
                if abs(scaled - whole) >= 0.5:  # the difference is exact; a half goes away from 0
                    whole += np.copysign(1.0, scaled)
                levels[n, c, i] = np.int32(min(max(whole, np.float64(low)), np.float64(high)))
