"""Thresholds and dropped bits of sums, by integers alone."""

from fractions import Fraction

import numpy as np

from qsim.kernels.accumulator import magnitude
from qsim.kernels.thresholds import apply_thresholds
from qsim.network.roundings import MultiThreshold, Truncate, truncated
from qsim.values import Sums

FARTHEST = 2**62  # no sum is as large
WHOLE = 2**53  # up to which float64 holds every integer


def count_thresholds(layer: MultiThreshold, thresholds: np.ndarray, sums: Sums) -> Sums:
    """The levels of ``layer`` by comparisons of integers: where the exact scale * sum + offset
    reaches the float32 ``thresholds`` (channels or 1, steps), whatever their order.

    Raises ValueError on sums of several scales or with a scale for each position.
    """
    axis = layer.axis(sums.terms[0][0].shape[1:])
    sums = sums.with_channels_on(axis).channels_first
    levels, scale = one_integer(sums)
    rows = np.broadcast_to(thresholds, (len(scale), layer.steps))
    least = np.array(
        [
            _least_sums(sums, float(by), c, np.sort(row).tolist())
            for c, (by, row) in enumerate(zip(scale, rows, strict=True))
        ],
        np.int64,
    )
    count = apply_thresholds(levels, least, np.zeros(len(scale), bool), 0)
    first, _ = layer.ends
    made = np.moveaxis(first + layer.step * count.astype(np.int64), 1, axis)
    return Sums(((made, np.full(len(scale), layer.unit)),), axis=axis)


def _least_sums(sums: Sums, scale: float, channel: int, thresholds: list[float]) -> list[int]:
    """The least sum of a channel that reaches each threshold after the bounds of ``sums``."""
    per_sum = Fraction(scale) / sums.divisor
    offset = Fraction(0 if sums.offset is None else float(sums.offset[channel]))
    least = []
    for threshold in thresholds:
        if threshold <= sums.low:
            least.append(-FARTHEST)
        elif threshold > sums.high:
            least.append(FARTHEST)
        else:
            steps = (Fraction(threshold) - offset) / per_sum
            least.append(min(max(-(-steps.numerator // steps.denominator), -FARTHEST), FARTHEST))
    return least


def truncate(layer: Truncate, sums: Sums) -> Sums:
    """The levels of ``layer``, exact.

    Raises ValueError on sums of several scales, with a real bias or bounds; OverflowError on
    integers beyond 2**53.
    """
    axis, sums = sums.axis, sums.channels_first
    levels, scale = one_integer(sums)
    if sums.offset is not None or sums.is_bounded:
        raise ValueError("bits are dropped of integers, and these sums have a real bias or bounds")
    whole = np.stack(
        [
            _integers(levels[:, c], Fraction(float(by)) * layer.times / sums.divisor, layer)
            for c, by in enumerate(scale)
        ],
        axis=1,
    )
    made = np.moveaxis(truncated(whole, layer).astype(np.int64), 1, axis)
    return Sums(((made, np.full(len(scale), layer.out_scale)),), axis=axis)


def _integers(levels: np.ndarray, per_level: Fraction, layer: Truncate) -> np.ndarray:
    """``levels * per_level / layer.scale`` to the nearest integer, a half to the even one."""
    ratio = per_level / Fraction(float(layer.scale))
    if ratio.denominator >= WHOLE or magnitude(levels) * ratio.numerator >= WHOLE:
        raise OverflowError("in steps of the scale of dropped bits a sum is no integer of 53 bits")
    product = levels * ratio.numerator
    below, rest = np.divmod(product, ratio.denominator)
    twice = 2 * rest
    up = (twice > ratio.denominator) | ((twice == ratio.denominator) & (below % 2 == 1))
    return below + up


def one_integer(sums: Sums) -> tuple[np.ndarray, np.ndarray]:
    """The total of terms of one scale per channel, and that scale, float64 (channels,).

    Raises ValueError where the scales differ or each position has its own.
    """
    (levels, scale), *others = sums.terms
    for more, other in others:
        if not np.array_equal(other, scale):
            raise ValueError("these sums are of terms with different scales, and no one integer")
        levels = levels + more
    if scale.ndim != 1 or (sums.offset is not None and sums.offset.ndim != 1):
        raise ValueError(
            "these sums have a scale or a bias for each position, and are no one integer"
        )
    return levels, scale
