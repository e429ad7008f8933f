import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsim.kernels.fixed_multiplier import ROUNDINGS, requantize_fixed
from qsim.kernels.requantize import requantize_float
from qsim.kernels.thresholds import apply_thresholds
from qsim.thresholds import SAMPLES, thresholds_of


def every_sum(lowest, highest):
    """All sums of the widest range, as (samples, channels), and which of them each channel has."""
    sums = np.arange(min(lowest), max(highest) + 1)[:, None].repeat(len(lowest), axis=1)
    return sums, (sums >= lowest) & (sums <= highest)


def levels_of(found, sums):
    return apply_thresholds(sums, found.values, found.falling, found.low)


@st.composite
def tables(draw):
    """Levels of every sum of a range, each channel rising, falling or constant."""
    length, channels = draw(st.integers(1, 40)), draw(st.integers(0, 3))
    low, high = sorted(draw(st.tuples(st.integers(-4, 4), st.integers(-4, 4))))
    table = np.zeros((length, channels), np.int64)
    for c in range(channels):
        column = sorted(draw(st.lists(st.integers(low, high), min_size=length, max_size=length)))
        table[:, c] = column[::-1] if draw(st.booleans()) else column
    first = draw(st.sampled_from([0, -20, 2**24, -(2**31), 2**62 - 1 - length, 1 - 2**62]))
    return table, first, low, high


@given(tables())
def test_thresholds_give_the_levels_of_any_monotone_table(operands):
    table, first, low, high = operands
    length, channels = table.shape
    ends = np.full(channels, first), np.full(channels, first + length - 1)
    found = thresholds_of(
        lambda sums: np.take_along_axis(table, sums - first, axis=0), *ends, low, high
    )
    assert found.values.shape == (channels, high - low)
    assert found.high == high
    for c in range(channels):
        got = [
            naive.threshold_level(first + i, found.values[c], found.falling[c], low)
            for i in range(length)
        ]
        assert got == table[:, c].tolist()


def quantized(bits, bounded, gamma, sums):
    """Scale, bias, batch norm, a bounded nonlinearity and rounding in float64, per channel."""
    mean, variance, beta = np.array([3.0, -5.0, 0.5]), 2.0, np.array([0.4, 0.5, 0.6])
    x = (sums * 0.011 + 0.3 - mean / 10) / np.sqrt(variance) * gamma + beta
    return np.rint(bounded(x) * (2**bits - 1)).astype(np.int64)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize(
    "bounded",
    [
        lambda x: np.clip(x, 0, 1),  # relu and clip
        lambda x: np.tanh(np.maximum(x, 0)),
        lambda x: (np.tanh(x) + 1) / 2,
        lambda x: np.minimum(1, np.abs(np.maximum(x, 0))) ** 2,
    ],
)
def test_batch_norm_nonlinearity_and_rounding_are_thresholds(bits, bounded):
    gamma = np.array([1.5, 0.0, -0.7])

    def activation(sums):
        return quantized(bits, bounded, gamma, sums)

    lowest, highest = np.array([-700, -500, -640]), np.array([700, 900, 640])
    found = thresholds_of(activation, lowest, highest, 0, 2**bits - 1)
    assert found.values.shape == (3, 2**bits - 1)  # DoReFa-Net, section 2.8
    np.testing.assert_array_equal(found.falling, [False, False, True])
    sums, inside = every_sum(lowest, highest)
    np.testing.assert_array_equal(levels_of(found, sums)[inside], activation(sums)[inside])


def near(found):
    """The sums on both sides of every threshold, within the range; (samples, channels)."""
    sums = np.concatenate([found.values.T - 1, found.values.T, found.values.T + 1])
    return np.clip(sums, found.lowest, found.highest)


def test_thresholds_keep_the_rounding_of_float32_sums():
    multiplier = np.array([2.0**-21, 2.0**-20 / 3, 1e-6], np.float32)

    def activation(sums):
        return requantize_float([(sums, multiplier)], -128, 127)

    ends = np.full(3, -(2**31)), np.full(3, 2**31 - 1)
    found = thresholds_of(activation, *ends, -128, 127)
    np.testing.assert_array_equal(levels_of(found, near(found)), activation(near(found)))


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_thresholds_keep_the_rounding_of_an_integer_multiplier(rounding):
    multiplier = np.array([3 / 8, 0.1, 2.0**-24, 2.0**-33])

    def activation(sums):
        return requantize_fixed(sums, multiplier, -128, 127, rounding=rounding)

    ends = np.full(4, -(2**31)), np.full(4, 2**31 - 1)
    found = thresholds_of(activation, *ends, -128, 127)
    np.testing.assert_array_equal(levels_of(found, near(found)), activation(near(found)))


def test_thresholds_that_no_sum_or_every_sum_reaches_lie_at_the_ends():
    found = thresholds_of(
        lambda sums: sums.clip(-1, 1) + 2, np.array([-1, 0]), np.array([0, 0]), 0, 4
    )
    np.testing.assert_array_equal(found.values, [[-1, 0, 1, 1], [0, 0, 1, 1]])


def bounds(lowest=0, highest=9):
    return np.array([lowest]), np.array([highest])


def test_an_activation_that_turns_is_refused():
    with pytest.raises(
        ValueError, match="channel 0 is not monotone: it turns between sums 4 and 5"
    ):
        thresholds_of(lambda sums: np.where(sums == 5, 0, sums // 4), *bounds(), 0, 2)


def test_a_falling_activation_that_turns_is_refused():
    with pytest.raises(ValueError, match="turns between sums 4 and 5"):
        thresholds_of(lambda sums: np.where(sums == 5, 2, 2 - sums // 4), *bounds(), 0, 2)


@pytest.mark.parametrize("length", [SAMPLES, SAMPLES - 1, 3])
def test_every_sum_of_a_short_range_is_checked(length):
    for odd in range(1, length - 1):
        with pytest.raises(ValueError, match="not monotone"):
            thresholds_of(
                lambda sums, odd=odd: (sums == odd).astype(int), *bounds(0, length - 1), 0, 1
            )


def test_the_sum_before_a_threshold_is_checked():
    def activation(sums):  # 0, then 2 but for one sum, which bisection meets and no sample
        return np.where(sums == 2**19, 1, 2 * (sums >= 1000))

    with pytest.raises(ValueError, match=f"and {2**19}$"):
        thresholds_of(activation, *bounds(0, 2**20 - 1), 0, 2)


def test_levels_outside_the_range_are_refused():
    with pytest.raises(ValueError, match="activation of 9 in channel 0 is 9, outside 0 to 7"):
        thresholds_of(lambda sums: sums, *bounds(), 0, 7)


def test_levels_that_are_no_integers_are_refused():
    with pytest.raises(TypeError, match="integer levels, not float64"):
        thresholds_of(lambda sums: sums / 2, *bounds(), 0, 9)


def test_an_activation_that_changes_the_shape_is_refused():
    with pytest.raises(ValueError, match=r"sums \(2, 1\) has the shape \(2,\)"):
        thresholds_of(lambda sums: sums[:, 0], *bounds(), 0, 9)


@pytest.mark.parametrize(("lowest", "highest"), [(1, 0), (-(2**62), 0), (0, 2**62)])
def test_sums_that_are_no_range_are_refused(lowest, highest):
    with pytest.raises(ValueError, match="no range within 63 bits"):
        thresholds_of(lambda sums: sums, *bounds(lowest, highest), 0, 1)


def test_sums_that_are_no_integers_are_refused():
    with pytest.raises(TypeError, match="sums are integers"):
        thresholds_of(lambda sums: sums, *bounds(0.0, 1.0), 0, 1)


def test_ranges_that_are_not_one_per_channel_are_refused():
    with pytest.raises(ValueError, match="not one per channel"):
        thresholds_of(lambda sums: sums, np.zeros(2, int), np.ones(3, int), 0, 1)


def test_levels_that_are_no_range_are_refused():
    with pytest.raises(ValueError, match="levels from 1 to 0 are no range"):
        thresholds_of(lambda sums: sums, *bounds(), 1, 0)
