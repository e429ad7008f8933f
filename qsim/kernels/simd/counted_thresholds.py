"""The level of a sum as the number of thresholds that it reaches, in a tile.

Thresholds are compared one after another in all lanes at once, which suits formats of few bits: the
time grows with their number. As ``apply_thresholds`` with no channel falling.
"""

import numpy as np
from numba import njit

from qsim.kernels.simd.intrinsics import arrays_are_separate

TOGETHER = 4  # thresholds that are compared while a sum is in a register
BLOCK = 32  # lanes; a constant, so that thresholds stay in registers from row to row


def pack_thresholds(
    thresholds: np.ndarray, grid: np.ndarray, lanes: int, dtype: type
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What ``count_thresholds`` reads.

    thresholds   (channels, T) int64, none less than the one before it
    grid         (T + 1,) the level of a sum that reaches 0, 1, .. T of them
    lanes        channels are padded to a multiple of it
    dtype        of the sums, np.int32 or np.int64
    returns      ``exceeded`` (T up to a multiple of 4, padded channels) of that type: reached is
                 what exceeds one less. ``steps`` (its rows,) int32, how much each adds to a level.
                 ``start`` (padded channels,) int32, the level of the least sum of that type. What
                 no sum of that type exceeds is its largest value.

    Raises ValueError on a grid that does not fit, or thresholds out of order.
    """
    channels, count = thresholds.shape
    if grid.shape != (count + 1,):
        raise ValueError(f"{count} thresholds lead to {count + 1} levels, not {grid.shape}")
    if (thresholds[:, 1:] < thresholds[:, :-1]).any():
        raise ValueError("the thresholds of a channel must be in rising order")
    limits = np.iinfo(dtype)
    always = thresholds <= limits.min
    rows, columns = -(-count // TOGETHER) * TOGETHER, -(-channels // lanes) * lanes
    exceeded = np.full((rows, columns), limits.max, dtype)
    packed = np.minimum(np.maximum(thresholds, limits.min + 1) - 1, limits.max)
    exceeded[:count, :channels] = np.where(always, limits.max, packed).T
    steps = np.zeros(rows, np.int32)
    steps[:count] = np.diff(grid)
    start = np.full(columns, grid[0], np.int32)
    start[:channels] = grid[always.sum(axis=1)]
    return exceeded, steps, start


@njit(cache=True, nogil=True)
def count_thresholds(sums, count, exceeded, n, steps, first_step, start, channel, levels):
    """The levels of a tile of sums, by what ``pack_thresholds`` made for the type of ``sums``.

    exceeded    the first ``n`` rows count, a multiple of 4
    steps       those of the thresholds begin at ``steps[first_step]``
    channel     of the tile's first lane, in ``exceeded`` and ``start``
    """
    arrays_are_separate()
    lanes = sums.shape[1]
    whole = lanes - lanes % BLOCK
    for i in range(count):
        for lane in range(lanes):
            levels[i, lane] = start[np.uint64(channel + lane)]
    for block in range(0, whole, BLOCK):
        for t in range(0, n, TOGETHER):
            at = first_step + t
            _add_steps(sums, count, exceeded, steps, at, t, channel, block, BLOCK, levels)
    for t in range(0, n, TOGETHER):
        at = first_step + t
        _add_steps(sums, count, exceeded, steps, at, t, channel, whole, lanes - whole, levels)


@njit(inline="always")
def _add_steps(sums, count, exceeded, steps, at_step, t, channel, block, lanes, levels):
    """Add to each level the steps of those of four thresholds that its sum reaches."""
    step_0, step_1 = steps[at_step], steps[at_step + 1]
    step_2, step_3 = steps[at_step + 2], steps[at_step + 3]
    zero = np.int32(0)
    for i in range(count):
        for lane in range(lanes):
            here, at = np.uint64(block + lane), np.uint64(channel + block + lane)
            total, level = sums[i, here], levels[i, here]
            level = np.int32(level + (step_0 if total > exceeded[t, at] else zero))
            level = np.int32(level + (step_1 if total > exceeded[t + 1, at] else zero))
            level = np.int32(level + (step_2 if total > exceeded[t + 2, at] else zero))
            level = np.int32(level + (step_3 if total > exceeded[t + 3, at] else zero))
            levels[i, here] = level
