"""An activation as comparisons: the level of a sum is how many thresholds it reaches.

Any activation that rises or falls with the sum, quantized to n levels, is n - 1 integer thresholds
per channel. It falls where batch norm has a negative factor, and the comparison is turned around.
Source: DoReFa-Net (arXiv 1606.06160v3), section 2.8, for rising activations.
"""

import numpy as np
from numba import njit

from qsim.kernels.accumulator import as_integers
from qsim.kernels.channels import by_channel, check_limits, check_per_channel
from qsim.kernels.pool import max_pool


def apply_thresholds(
    sums: np.ndarray, thresholds: np.ndarray, falling: np.ndarray, low: int
) -> np.ndarray:
    """``low`` plus the number of thresholds that each sum reaches.

    A sum reaches a threshold that is no larger, in a falling channel one that is no smaller.

    sums         int64 (images, channels, ...)
    thresholds   (channels, levels - 1) integers, none less than the one before it; one that every
                 sum or no sum of a channel reaches makes the activation stay below or above a level
    falling      (channels,) bool
    returns      int32 levels of the shape of ``sums``

    Raises ValueError on shapes that do not fit, thresholds out of order or levels beyond 24 bits,
    TypeError on anything but integers and bool.
    """
    check_per_channel(sums, sums.shape, falling)
    if thresholds.ndim != 2 or len(thresholds) != len(falling):
        raise ValueError(f"thresholds {thresholds.shape} do not fit {len(falling)} channels")
    if falling.dtype != bool:
        raise TypeError(f"a channel is falling or not, bool, not {falling.dtype}")
    thresholds = as_integers(thresholds, np.int64)
    if (thresholds[:, 1:] < thresholds[:, :-1]).any():
        raise ValueError("the thresholds of a channel must be in rising order")
    check_limits(low, low + thresholds.shape[1])
    by_channels = by_channel(sums)
    levels = np.empty(by_channels.shape, np.int32)
    _count_reached(by_channels, thresholds, np.ascontiguousarray(falling), low, levels)
    return levels.reshape(sums.shape)


def max_pool_thresholds(
    sums: np.ndarray,
    thresholds: np.ndarray,
    falling: np.ndarray,
    low: int,
    kernel: tuple[int, int],
    *,
    stride: tuple[int, int] | None = None,
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
) -> np.ndarray:
    """The largest level under each window, with one search per window instead of one per sum.

    The sums are pooled first: the largest level is that of the largest sum, in a falling channel
    that of the smallest. Arguments and errors as ``apply_thresholds`` and ``max_pool``.
    """
    check_per_channel(sums, sums.shape, falling)
    sign = np.where(falling, -1, 1)[(slice(None), *(None,) * (sums.ndim - 2))]
    largest = max_pool(as_integers(sums, np.int64) * sign, kernel, stride=stride, padding=padding)
    return apply_thresholds(largest * sign, thresholds, falling, low)


@njit(cache=True, nogil=True)
def _count_reached(sums, thresholds, falling, low, levels):
    """A binary search of each sum.

    sums         (N, C, L) int64
    thresholds   (C, T) int64, rising
    falling      (C,) bool
    levels       (N, C, L) int32, overwritten
    """
    count = thresholds.shape[1]
    for n in range(sums.shape[0]):
        for c in range(sums.shape[1]):
            for i in range(sums.shape[2]):
                below, end = 0, count  # thresholds before `below` are passed, from `end` on not
                while below < end:
                    middle = (below + end) // 2
                    threshold = thresholds[c, middle]
                    # the one that is equal is reached from either side
                    if threshold < sums[n, c, i] or (threshold == sums[n, c, i] and not falling[c]):
                        below = middle + 1
                    else:
                        end = middle
                levels[n, c, i] = np.int32(low + (count - below if falling[c] else below))
