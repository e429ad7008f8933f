from fractions import Fraction

import naive
import numpy as np
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qsim.kernels.dynamic_linear import dequantize_sums, dynamic_code, quantize_dynamic

HIGHEST = st.sampled_from([127, 255])


def exact(value):
    return Fraction(float(value))


@given(strategies.float32_arrays((5,)), HIGHEST)
def test_the_code_of_a_range_is_that_of_exact_arithmetic_rounded_to_float64(values, highest):
    wide = np.append(values, np.float32(1))
    scale, zero_point = dynamic_code(wide, highest)
    assert (exact(scale), zero_point) == naive.dynamic_code([exact(v) for v in wide], highest)


@given(
    arrays(np.float32, (4,), elements=st.integers(-600, 600).map(lambda n: n / 2)),
    strategies.positive_scales(),
    st.integers(0, 255),
    HIGHEST,
)
def test_codes_are_those_of_one_fused_multiply_add(halves, scale, zero_point, highest):
    real = halves * scale
    got = quantize_dynamic(real, np.float32(scale), zero_point, highest)
    expected = [naive.quantize_dynamic(exact(v), exact(scale), zero_point, highest) for v in real]
    assert got.tolist() == expected


@given(
    arrays(np.int64, (2, 3), elements=st.integers(-(2**31) + 1, 2**31 - 1)),
    strategies.positive_scales(),
    strategies.positive_scales((3,)),
    st.one_of(st.none(), strategies.float32_arrays((3,))),
)
def test_sums_become_real_by_one_fused_multiply_add(sums, scale, weight_scale, bias):
    got = dequantize_sums(sums, np.float32(scale), weight_scale, bias)
    assert got.dtype == np.float32
    for at in np.ndindex(sums.shape):
        row = at[1]
        added = Fraction(0) if bias is None else exact(bias[row])
        expected = naive.dequantize_sum(
            int(sums[at]), exact(scale), exact(weight_scale[row]), added
        )
        assert exact(got[at]) == expected


def test_ranges_that_have_no_code_are_refused():
    with pytest.raises(ValueError, match="has a scale below"):
        dynamic_code(np.float32([0, 1e-3]))
    with pytest.raises(ValueError, match="is finite"):
        dynamic_code(np.float32([np.nan]))
    with pytest.raises(ValueError, match="127 or 255, not 15"):
        dynamic_code(np.ones(1, np.float32), 15)
    with pytest.raises(TypeError, match="float32, not float64"):
        dynamic_code(np.ones(1))


def test_sums_beyond_32_bits_are_refused():
    one = np.ones(1, np.float32)
    with pytest.raises(OverflowError, match="does not fit 32 bits"):
        dequantize_sums(np.array([[2**31]]), np.float32(1), one, None)
