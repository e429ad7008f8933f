import numpy as np
import pytest
import strategies
from exactness import assert_conv_is_exact, assert_linear_is_exact
from hypothesis import given
from hypothesis import strategies as st

from qsim.kernels.accumulator import Accumulator
from qsim.kernels.layers import conv2d, linear
from qsim.kernels.level_product import LevelWeights
from qsim.kernels.xnor_popcount import XnorPopcountWeights

OPERANDS = st.sampled_from([strategies.binary, strategies.ternary])


@given(st.data(), OPERANDS, OPERANDS)
def test_a_convolution_equals_the_naive_sum(data, x_levels, w_levels):
    x, w, arguments = data.draw(strategies.conv_of(x_levels, w_levels, strategies.ORDERLESS))
    assert_conv_is_exact(XnorPopcountWeights(w), x, w, arguments)


@given(st.data(), OPERANDS, OPERANDS)
def test_linear_equals_the_naive_sum(data, x_levels, w_levels):
    x, w, arguments = data.draw(strategies.linear_of(x_levels, w_levels, strategies.ORDERLESS))
    assert_linear_is_exact(XnorPopcountWeights(w), x, w, arguments)


@given(strategies.linear_of(strategies.binary, strategies.binary, ["exact"]))
def test_the_sign_of_equation_2_as_printed_is_wrong(operands):
    x, w, arguments = operands
    depth = x.shape[1]
    equal = np.array([[int((row == weights).sum()) for weights in w] for row in x], int)
    got = linear(x, XnorPopcountWeights(w), **arguments)
    np.testing.assert_array_equal(got, 2 * equal.reshape(got.shape) - depth)
    np.testing.assert_array_equal(got, -(depth - 2 * equal.reshape(got.shape)))  # as printed


@pytest.mark.parametrize("depth", strategies.DEPTHS)
def test_equal_signs_sum_to_the_depth_and_opposite_ones_to_minus_the_depth(depth):
    x = np.resize([1, -1, -1], (1, depth))
    assert linear(x, XnorPopcountWeights(x))[0, 0] == depth
    assert linear(-x, XnorPopcountWeights(x))[0, 0] == -depth


def test_padding_counts_as_zero():
    x, w = np.ones((1, 1, 2, 2), int), np.ones((1, 1, 3, 3), int)
    got = conv2d(x, XnorPopcountWeights(w), padding=(1, 1, 1, 1))
    np.testing.assert_array_equal(got, np.full((1, 1, 2, 2), 4))


@pytest.mark.parametrize("rows", [8, 40])  # of two groups, counted at once and one by one
def test_a_large_binary_layer_equals_the_level_product(rows):
    rng = np.random.default_rng(0)
    x, w = rng.choice([-1, 1], (2, 32, 5, 5)), rng.choice([-1, 1], (rows, 16, 3, 3))
    arguments = {"groups": 2, "padding": (1, 1, 1, 1), "accumulator": Accumulator(6, "wrap")}
    np.testing.assert_array_equal(
        conv2d(x, XnorPopcountWeights(w), **arguments), conv2d(x, LevelWeights(w), **arguments)
    )


def test_weights_that_have_no_sign_bit_are_refused():
    with pytest.raises(ValueError, match=r"weights -1 and [+]1, or 0, not 2 in magnitude"):
        XnorPopcountWeights(np.array([[-2, 1]]))


def test_inputs_that_have_no_sign_bit_are_refused():
    with pytest.raises(ValueError, match=r"inputs -1 and [+]1, or 0, not 3 in magnitude"):
        linear(np.array([[3, 1]]), XnorPopcountWeights(np.array([[-1, 1]])))


def test_an_accumulator_that_saturates_is_refused():
    x = np.array([[-1, 1]])
    with pytest.raises(ValueError, match="in no order"):
        linear(x, XnorPopcountWeights(x), accumulator=Accumulator(8, "saturate"))


def test_a_sum_that_could_overflow_is_refused():
    x = np.ones((1, 128), int)
    with pytest.raises(OverflowError, match="widest safe depth is 127"):
        linear(x, XnorPopcountWeights(x), accumulator=Accumulator(8))


def test_inputs_of_another_depth_are_refused():
    x = np.ones((1, 1, 3), int)
    with pytest.raises(ValueError, match="reshape"):
        XnorPopcountWeights(np.ones((1, 2), int)).dot(x, Accumulator())
