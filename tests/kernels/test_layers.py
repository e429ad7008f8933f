import naive
import numpy as np
import pytest
import strategies
from exactness import registers
from hypothesis import given

from qsim.kernels.accumulator import Accumulator
from qsim.kernels.layers import conv2d
from qsim.kernels.level_product import LevelWeights


@given(strategies.conv_operands())
def test_a_convolution_equals_the_naive_sum(operands):
    x, w, bias, arguments = operands
    got = conv2d(x, LevelWeights(w), bias, **arguments)
    accumulator = registers(arguments.pop("accumulator"))
    expected = naive.conv2d(x, w, bias, **arguments, **accumulator)
    np.testing.assert_array_equal(got, np.array(expected, np.int64).reshape(got.shape))


def test_a_depthwise_convolution_keeps_channels_apart():
    x = np.arange(2 * 3 * 3).reshape(1, 2, 3, 3)
    w = LevelWeights(np.array([1, 10]).reshape(2, 1, 1, 1))
    np.testing.assert_array_equal(conv2d(x, w, groups=2)[0], x[0] * [[[1]], [[10]]])


def test_images_do_not_mix():
    rng = np.random.default_rng(0)
    x, w = rng.integers(-9, 9, (3, 2, 4, 4)), LevelWeights(rng.integers(-9, 9, (5, 2, 3, 3)))
    alone = [conv2d(x[i : i + 1], w)[0] for i in range(3)]
    np.testing.assert_array_equal(conv2d(x, w), alone)


def test_a_convolution_that_could_overflow_is_refused():
    x, w = np.full((1, 1, 3, 3), 15), LevelWeights(np.full((1, 1, 3, 3), 8))
    with pytest.raises(OverflowError, match="widest safe depth is 8"):
        conv2d(x, w, accumulator=Accumulator(11))


def test_a_bias_counts_towards_the_overflow():
    x, w = np.full((1, 1, 1, 1), 7), LevelWeights(np.full((1, 1, 1, 1), 7))
    assert conv2d(x, w, np.array([78]), accumulator=Accumulator(8)).item() == 127
    with pytest.raises(OverflowError, match="widest safe depth is 0"):
        conv2d(x, w, np.array([79]), accumulator=Accumulator(8))


@pytest.mark.parametrize(
    "geometry",
    [{"stride": (0, 1)}, {"stride": (-1, 1)}, {"dilation": (1, 0)}, {"padding": (0, -1, 0, 0)}],
)
def test_impossible_geometry_is_refused(geometry):
    with pytest.raises(ValueError, match="is impossible"):
        conv2d(np.zeros((1, 1, 3, 3), int), LevelWeights(np.zeros((1, 1, 2, 2), int)), **geometry)


@pytest.mark.parametrize(
    ("x", "w", "groups", "problem"),
    [
        ((1, 3, 4, 4), (2, 2, 1, 1), 1, "cannot read 3 channels"),
        ((1, 4, 4, 4), (3, 2, 1, 1), 2, "cannot read 4 channels"),
        ((1, 2, 2, 2), (1, 2, 3, 3), 1, "window of 3 does not fit"),
        ((2, 2, 2), (1, 2, 3, 3), 1, "4-D"),
        ((1, 2, 2, 2), (1, 2, 1, 1), 0, "0 groups"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(x, w, groups, problem):
    with pytest.raises(ValueError, match=problem):
        conv2d(np.zeros(x, int), LevelWeights(np.zeros(w, int)), groups=groups)
