"""Thresholds that are counted in a tile, beside those that are searched."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import mixed

from qsim.kernels.simd.counted_thresholds import count_thresholds, pack_thresholds
from qsim.kernels.thresholds import apply_thresholds

ENDS = [-(2**62), -(2**31) - 1, -(2**31), 1 - 2**31, 2**31 - 1, 2**31, 2**62]
AT = st.one_of(st.integers(-20, 20), st.sampled_from(ENDS), st.integers(-(2**33), 2**33))


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@given(st.data())
def test_the_level_is_that_of_the_thresholds_that_are_reached(dtype, data):
    lanes = data.draw(st.sampled_from([16, 32, 48]))
    channels = data.draw(st.integers(1, 2 * lanes))
    many = data.draw(st.sampled_from([0, 1, 2, 3, 7, 15, 17, 255]))
    thresholds = np.sort(data.draw(mixed(np.int64, (channels, many), elements=AT)), axis=1)
    steps = data.draw(mixed(np.int32, many, elements=st.integers(1, 5)))
    grid = np.concatenate([[data.draw(st.integers(-128, 0))], steps]).cumsum()
    limits = np.iinfo(dtype)
    sums = data.draw(mixed(np.int64, (3, lanes), elements=AT)).clip(limits.min, limits.max)
    count = data.draw(st.integers(0, 3))
    channel = data.draw(st.sampled_from(range(0, channels, lanes)))
    exceeded, steps, start = pack_thresholds(thresholds, grid, lanes, dtype)
    others = data.draw(st.integers(0, 3))  # steps of other thresholds before these
    steps = np.concatenate([np.full(others, 77, np.int32), steps])
    levels = np.full(sums.shape, -777, np.int32)
    count_thresholds(
        sums.astype(dtype), count, exceeded, len(exceeded), steps, others, start, channel, levels
    )
    real = min(lanes, channels - channel)
    reached = apply_thresholds(
        sums[:count, :real], thresholds[channel : channel + real], np.zeros(real, bool), 0
    )
    assert np.array_equal(levels[:count, :real], grid[reached])
    assert (levels[count:] == -777).all()


def test_a_grid_has_one_level_more_than_there_are_thresholds():
    with pytest.raises(ValueError, match=r"3 thresholds lead to 4 levels, not \(3,\)"):
        pack_thresholds(np.zeros((2, 3), np.int64), np.arange(3), 16, np.int32)


def test_thresholds_out_of_order_are_refused():
    with pytest.raises(ValueError, match="rising order"):
        pack_thresholds(np.array([[2, 1]]), np.arange(3), 16, np.int32)
