import naive
import numpy as np
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qsim.kernels.pool import max_pool
from qsim.kernels.thresholds import apply_thresholds, max_pool_thresholds


@given(strategies.thresholds())
def test_a_level_is_the_number_of_thresholds_reached(operands):
    sums, thresholds, falling, low = operands
    got = apply_thresholds(sums, thresholds, falling, low)
    assert got.dtype == np.int32
    for at in np.ndindex(got.shape):
        channel = at[1]
        expected = naive.threshold_level(int(sums[at]), thresholds[channel], falling[channel], low)
        assert int(got[at]) == expected


@given(strategies.thresholds())
def test_a_falling_channel_is_a_rising_one_of_negated_sums(operands):
    sums, thresholds, falling, low = operands
    mirrored = np.ascontiguousarray(-thresholds[:, ::-1])
    np.testing.assert_array_equal(
        apply_thresholds(sums, thresholds, falling, low),
        apply_thresholds(-sums, mirrored, ~falling, low),
    )


@st.composite
def images(draw):
    shape = tuple(draw(st.integers(*ends)) for ends in ((0, 2), (0, 3), (2, 5), (2, 5)))
    thresholds = np.sort(draw(strategies.levels((shape[1], draw(st.integers(0, 4))), 9)), axis=1)
    return (
        draw(strategies.levels(shape, 12)),
        thresholds,
        draw(arrays(bool, shape[1])),
        draw(st.integers(-3, 3)),
    )


@given(images(), st.sampled_from([(1, 1), (2, 2), (1, 2)]), st.integers(0, 1))
def test_pooling_the_sums_first_gives_the_largest_level(operands, stride, edge):
    geometry = {"stride": stride, "padding": (edge, 0, edge, 1)}
    pooled_last = max_pool(apply_thresholds(*operands), (2, 2), **geometry)
    pooled_first = max_pool_thresholds(*operands, (2, 2), **geometry)
    np.testing.assert_array_equal(pooled_first, pooled_last)


def test_the_largest_level_of_a_falling_channel_is_that_of_the_smallest_sum():
    sums = np.array([[[[1, 2], [3, 4]], [[1, 2], [3, 4]]]])
    thresholds, falling = np.array([[2, 4], [1, 3]]), np.array([False, True])
    got = max_pool_thresholds(sums, thresholds, falling, 0, (2, 2))
    np.testing.assert_array_equal(got.ravel(), [2, 2])
    np.testing.assert_array_equal(
        apply_thresholds(sums, thresholds, falling, 0)[0, 1].ravel(), [2, 1, 1, 0]
    )


def test_equal_thresholds_skip_a_level():
    got = apply_thresholds(np.array([[2], [3]]), np.array([[3, 3]]), np.array([False]), 0)
    np.testing.assert_array_equal(got, [[0], [2]])


def applied(sums=(1, 2), thresholds=((1, 2), (1, 2)), falling=(False, False), low=0):
    return apply_thresholds(np.array([sums]), np.array(thresholds), np.array(falling), low)


def test_thresholds_out_of_order_are_refused():
    with pytest.raises(ValueError, match="rising order"):
        applied(thresholds=((1, 2), (2, 1)))


@pytest.mark.parametrize("thresholds", [(1, 2), ((1, 2),)])
def test_thresholds_of_other_channels_are_refused(thresholds):
    with pytest.raises(ValueError, match="do not fit 2 channels"):
        applied(thresholds=thresholds)


def test_directions_of_other_channels_are_refused():
    with pytest.raises(ValueError, match="does not fit"):
        applied(falling=(False,))
    with pytest.raises(ValueError, match="does not fit"):
        max_pool_thresholds(
            np.zeros((1, 2, 2, 2), int), np.zeros((1, 1), int), np.array([True]), 0, (2, 2)
        )


def test_directions_that_are_numbers_are_refused():
    with pytest.raises(TypeError, match="bool, not int64"):
        applied(falling=(-1, 1))


def test_thresholds_that_are_no_integers_are_refused():
    with pytest.raises(TypeError, match="integers"):
        applied(thresholds=((0.5, 1.5), (0.5, 1.5)))


def test_levels_beyond_24_bits_are_refused():
    with pytest.raises(ValueError, match="no range within 24 bits"):
        applied(low=2**24 - 1)


def test_windows_have_no_padding_unless_it_is_asked_for():
    sums = np.arange(9).reshape(1, 1, 3, 3)
    got = max_pool_thresholds(sums, np.array([[4, 8]]), np.zeros(1, bool), 0, (2, 2), stride=(1, 1))
    assert got.tolist() == [[[[1, 1], [1, 2]]]]
