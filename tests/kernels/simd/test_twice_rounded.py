"""Two roundings of a product in a tile, beside those of whole tensors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import fixed_tiles, mixed

from qsim.kernels.fixed_multiplier import quantize_multiplier, requantize_fixed
from qsim.kernels.simd.twice_rounded import round_twice, store_twice_rounded

LIMITS = st.sampled_from([(-128, 127), (0, 127), (-7, 7), (0, 0)])
ROUNDINGS = pytest.mark.parametrize("rounding", ["tflite-reference", "tflite-builtin"])


def with_bias(data, totals, channel):
    """Sums and a bias whose totals these are, int32, the difference wrapping around."""
    bias = data.draw(mixed(np.int32, 2 * totals.shape[1]))
    with np.errstate(over="ignore"):
        return totals - bias[channel : channel + totals.shape[1]], bias


@ROUNDINGS
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@given(st.data(), st.sampled_from([16, 48]), LIMITS)
def test_levels_equal_requantize_fixed(rounding, dtype, data, lanes, limits):
    totals, count, channel, real = data.draw(fixed_tiles(dtype, lanes))
    sums, bias = with_bias(data, totals, channel)
    multiplier, shift = quantize_multiplier(real)
    here = real[channel : channel + lanes]
    expected = requantize_fixed(totals[:count], here, *limits, rounding=rounding)
    levels = np.full(totals.shape, -777, np.int32)
    away = rounding == "tflite-reference"
    round_twice(
        sums, count, bias, multiplier, shift.astype(np.int32), away, channel, *limits, levels
    )
    assert np.array_equal(levels[:count], expected)
    assert (levels[count:] == -777).all()


@ROUNDINGS
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@given(st.data(), st.sampled_from([16, 48]), LIMITS)
def test_bytes_are_those_of_the_levels_at_their_channels_alone(
    rounding, dtype, data, lanes, limits
):
    totals, count, channel, real = data.draw(fixed_tiles(dtype, lanes))
    sums, bias = with_bias(data, totals, channel)
    multiplier, shift = quantize_multiplier(real)
    channels = channel + data.draw(st.integers(1, lanes))
    here = real[channel : channel + lanes]
    levels = requantize_fixed(totals[:count], here, *limits, rounding=rounding)
    rows = np.array([0, 10 + channels, 3 + 3 * channels], np.int64)
    rows[data.draw(st.integers(0, 2))] = -1  # nowhere
    stored = data.draw(mixed(np.uint8, 4 * channels + 10))
    expected = stored.copy()
    for i in range(count):
        at = rows[1 + i]
        if at >= 0:
            expected[at + channel : at + channels] = levels[i, : channels - channel] - limits[0]
    away = rounding == "tflite-reference"
    store_twice_rounded(
        sums, count, bias, multiplier, shift.astype(np.int32), away, channel, channel, *limits,
        -limits[0], stored, rows, 1, channels,
    )  # fmt: skip
    assert np.array_equal(stored, expected)
