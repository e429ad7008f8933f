from fractions import Fraction

import naive
import numpy as np
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qsim.kernels.requantize_real_bias import requantize_real_bias

LIMITS = st.sampled_from([(-128, 127), (0, 255), (0, 0)])
ONE = np.float32(1)


@st.composite
def operands(draw):
    images, channels, inner = (draw(st.integers(0, n)) for n in (2, 3, 3))
    weight_scales = (1,) if draw(st.booleans()) else (channels,)
    elements = st.one_of(st.integers(-300, 300), st.integers(-(2**20), 2**20))
    sums = draw(arrays(np.int64, (images, channels, inner), elements=elements))
    bias = draw(strategies.float32_arrays((channels,), 8.0))
    scale = strategies.positive_scales().map(lambda v: min(v[()], np.float32(2)))
    w = np.minimum(draw(strategies.positive_scales(weight_scales)), np.float32(2))
    return sums, bias, (draw(scale), w, max(draw(scale), np.float32(2.0**-6)))


@given(operands(), LIMITS)
def test_it_equals_exact_float32_arithmetic(operands, limits):
    sums, bias, (x, weights, out) = operands
    got = requantize_real_bias(sums, bias, (x, weights, out), *limits)
    assert (got.shape, got.dtype) == (sums.shape, np.int32)
    one_scale = weights.size == 1
    for at in np.ndindex(sums.shape):
        weight = weights[0 if one_scale else at[1]]
        scales = tuple(Fraction(float(s)) for s in (x, weight, out))
        exact = Fraction(float(bias[at[1]]))
        expected = naive.requantize_real_bias(int(sums[at]), exact, scales, one_scale, *limits)
        assert got[at] == expected


def test_one_scale_is_divided_by_as_a_reciprocal():
    """-3 * 0.24609375 * float32(1 / 0.24609375) is -3.0000002, and 31.5 times that beyond a tie."""
    scales = np.float32(0.28125), np.float32([0.875]), np.float32(2.0**-7)
    bias, none = np.float32([-3 * 0.24609375] * 2), np.zeros((1, 2), int)
    one = requantize_real_bias(none, bias, scales, -128, 127)
    each = requantize_real_bias(none, bias, (scales[0], scales[1].repeat(2), scales[2]), -128, 127)
    assert one.tolist() == [[-95, -95]]
    assert each.tolist() == [[-94, -94]]


def test_operands_that_do_not_fit_are_refused():
    ones, sums = np.ones(2, np.float32), np.ones((1, 2), int)
    with pytest.raises(TypeError, match="float32, not float64"):
        requantize_real_bias(sums, ones.astype(float), (ONE, ones, ONE), 0, 1)
    with pytest.raises(ValueError, match=r"weight scales \(3,\) do not fit 2 channels"):
        requantize_real_bias(sums, ones, (ONE, np.ones(3, np.float32), ONE), 0, 1)
    with pytest.raises(ValueError, match="does not fit"):
        requantize_real_bias(np.ones((1, 3), int), ones, (ONE, ones, ONE), 0, 1)
    with pytest.raises(ValueError, match="positive and finite"):
        requantize_real_bias(sums, ones, (ONE, -ones, ONE), 0, 1)


@pytest.mark.parametrize("bias", [2.0**31, np.inf, np.nan])
def test_products_beyond_32_bits_are_refused(bias):
    ones = np.ones(1, np.float32)
    with pytest.raises(OverflowError, match=r"reach 2\*\*31"):
        requantize_real_bias(np.ones((1, 1), int), bias * ones, (ONE, ones, ONE), 0, 1)
