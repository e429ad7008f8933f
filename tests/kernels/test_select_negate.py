import numpy as np
import pytest
import strategies
from exactness import assert_conv_is_exact, assert_linear_is_exact
from hypothesis import given

from qsim.kernels.accumulator import Accumulator
from qsim.kernels.layers import linear
from qsim.kernels.select_negate import SelectNegateWeights


@given(strategies.conv_of(strategies.levels, strategies.ternary))
def test_a_convolution_equals_the_naive_sum(operands):
    x, w, arguments = operands
    assert_conv_is_exact(SelectNegateWeights(w), x, w, arguments)


@given(strategies.linear_of(strategies.levels, strategies.ternary))
def test_linear_equals_the_naive_sum(operands):
    x, w, arguments = operands
    assert_linear_is_exact(SelectNegateWeights(w), x, w, arguments)


@pytest.mark.parametrize(("sign", "total"), [(1, 127 - 100), (-1, -128 + 100)])
def test_saturation_happens_after_every_addition_in_order(sign, total):
    x, w = np.array([[100, 100, 100]]), np.array([[sign, sign, -sign]])
    for inputs, weights in ((x, w), (-x, -w)):
        got = linear(inputs, SelectNegateWeights(weights), accumulator=Accumulator(8, "saturate"))
        assert got[0, 0] == total


def test_weights_that_are_not_ternary_are_refused():
    with pytest.raises(ValueError, match=r"-1, 0 or [+]1, not 2 in magnitude"):
        SelectNegateWeights(np.array([[-2, 1]]))


def test_a_sum_that_could_overflow_is_refused():
    with pytest.raises(OverflowError, match="widest safe depth is 18"):
        linear(
            np.full((1, 19), 7),
            SelectNegateWeights(np.ones((1, 19), int)),
            accumulator=Accumulator(8),
        )
