"""Any activation that only rises or only falls with the sum, as integer thresholds per channel.

Scale, bias, batch norm, a bounded nonlinearity and rounding together are one function from integer
sums to levels. What is kept of it is where its level changes, so nothing is lost to rounding.
Source: DoReFa-Net, section 2.8, where rising activations are 2**bits - 1 comparisons; that batch
norm with a negative factor turns a channel around, and one of 0 makes it constant, follows.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

LARGEST_SUM = 2**62 - 1  # so that the difference of two sums fits 64 bits
SAMPLES = 1024

Activation = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Thresholds:
    """The level of a sum is ``low`` and one more for each threshold no larger than the sum.

    In a falling channel it is one more for each threshold no smaller. All this holds for sums of
    ``lowest .. highest`` only; a threshold just outside is reached by none of them.

    values            int64 (channels, high - low), rising
    falling           bool (channels,)
    low               int, the least level
    lowest, highest   int64 (channels,)
    """

    values: np.ndarray
    falling: np.ndarray
    low: int
    lowest: np.ndarray
    highest: np.ndarray

    @property
    def high(self) -> int:
        """The largest level."""
        return self.low + self.values.shape[1]


def thresholds_of(
    activation: Activation, lowest: np.ndarray, highest: np.ndarray, low: int, high: int
) -> Thresholds:
    """The thresholds of ``activation`` for all sums of ``lowest .. highest``, by bisection.

    activation        from int64 sums (samples, channels) to integer levels of the same shape
    lowest, highest   (channels,) integers within +-(2**62 - 1), the range of each channel's sums
    low, high         the range of the levels

    The result is exact if the activation is monotone. That is checked where it can be: at both
    sides of every threshold, at the ends and at SAMPLES sums spread evenly over the range, so at
    every sum of a range no longer than that.

    Raises ValueError on a range that is none, and on an activation that is found not to be
    monotone, to leave ``low .. high`` or to change the shape; TypeError on one that does not return
    integers.
    """
    _check_ranges(lowest, highest, low, high)
    lowest, highest = lowest.astype(np.int64), highest.astype(np.int64)
    ends = _levels(activation, np.stack([lowest, highest]), low, high)
    falling = ends[1] < ends[0]
    # a falling channel is a rising one of the negated sums
    sign = np.where(falling, -1, 1)
    first, last = np.where(falling, -highest, lowest), np.where(falling, -lowest, highest)

    def rising(sums: np.ndarray) -> np.ndarray:
        return _levels(activation, sums * sign, low, high)

    reached = _bisect(rising, first, last, np.arange(low + 1, high + 1))
    _check_monotone(rising, reached, first, last, sign)
    values = np.sort(reached * sign, axis=0).T
    return Thresholds(np.ascontiguousarray(values), falling, low, lowest, highest)


def _check_ranges(lowest: np.ndarray, highest: np.ndarray, low: int, high: int) -> None:
    if lowest.ndim != 1 or lowest.shape != highest.shape:
        raise ValueError(f"sums from {lowest.shape} to {highest.shape} are not one per channel")
    if lowest.dtype.kind not in "iu" or highest.dtype.kind not in "iu":
        raise TypeError(f"sums are integers, not {lowest.dtype} to {highest.dtype}")
    for least, most in zip(lowest.tolist(), highest.tolist(), strict=True):
        if not -LARGEST_SUM <= least <= most <= LARGEST_SUM:
            raise ValueError(f"sums from {least} to {most} are no range within 63 bits")
    if low > high:
        raise ValueError(f"levels from {low} to {high} are no range")


def _levels(activation: Activation, sums: np.ndarray, low: int, high: int) -> np.ndarray:
    """``activation`` of ``sums``, checked, as int64."""
    levels = activation(sums)
    if levels.dtype.kind not in "iu":
        raise TypeError(f"an activation returns integer levels, not {levels.dtype}")
    if levels.shape != sums.shape:
        raise ValueError(f"the activation of sums {sums.shape} has the shape {levels.shape}")
    outside = (levels < low) | (levels > high)
    if outside.any():
        sample, channel = np.argwhere(outside)[0]
        raise ValueError(
            f"the activation of {sums[sample, channel]} in channel {channel} is"
            f" {levels[sample, channel]}, outside {low} to {high}"
        )
    return levels.astype(np.int64)


def _bisect(
    rising: Activation, first: np.ndarray, last: np.ndarray, wanted: np.ndarray
) -> np.ndarray:
    """The least sum whose level is each of ``wanted`` or more, ``last + 1`` where there is none.

    Returns (levels, channels) int64.
    """
    shape = (len(wanted), len(first))
    start, end = np.broadcast_to(first, shape).copy(), np.broadcast_to(last + 1, shape).copy()
    while (start < end).any():
        middle = start + (end - start) // 2
        reached = rising(np.minimum(middle, last)) >= wanted[:, None]
        searching = start < end
        end = np.where(searching & reached, middle, end)
        start = np.where(searching & ~reached, middle + 1, start)
    return start


def _check_monotone(
    rising: Activation, reached: np.ndarray, first: np.ndarray, last: np.ndarray, sign: np.ndarray
) -> None:
    places = np.arange(SAMPLES, dtype=np.int64)[:, None]
    whole, rest = np.divmod(last - first, SAMPLES - 1)
    spread = first + whole * places + rest * places // (SAMPLES - 1)
    sums = np.concatenate([spread, reached - 1, reached])
    sums = np.sort(np.clip(sums, first, last), axis=0)
    turns = np.diff(rising(sums), axis=0) < 0
    if turns.any():
        sample, channel = np.argwhere(turns)[0]
        between = sorted(int(v * sign[channel]) for v in sums[sample : sample + 2, channel])
        raise ValueError(
            f"the activation of channel {channel} is not monotone: it turns between sums"
            f" {between[0]} and {between[1]}"
        )
