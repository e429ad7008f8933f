import naive_onnx_runtime
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from strategies import LIMITS_OF_CODES, exact_code, scaled_codes

from qsim.kernels.add_float import ScaledCode
from qsim.kernels.multiply_float import multiply_float


@st.composite
def products(draw):
    low, high = draw(LIMITS_OF_CODES)
    codes = tuple(draw(scaled_codes(low, high)) for _ in range(3))
    shape = draw(st.sampled_from([(), (3,), (2, 3)]))
    others = draw(st.sampled_from([shape, (), (3,)]))
    a, b = (
        draw(arrays(np.int64, sides, elements=st.integers(low, high))) for sides in (shape, others)
    )
    return a, b, codes, low, high


@given(products())
def test_a_product_equals_exact_arithmetic_rounded_where_it_is_said(operands):
    a, b, codes, low, high = operands
    got = multiply_float(a, b, codes, low, high)
    wide_a, wide_b = np.broadcast_arrays(a, b)
    assert (got.shape, got.dtype) == (wide_a.shape, np.int32)
    exact = [exact_code(code) for code in codes]
    for at in np.ndindex(got.shape):
        expected = naive_onnx_runtime.multiply_float(
            int(wide_a[at]), int(wide_b[at]), exact, low, high
        )
        assert got[at] == expected


def test_a_half_goes_to_the_even_code_and_not_to_the_even_level():
    one, half = ScaledCode(np.float32(1), 0), ScaledCode(np.float32(0.5), 0)
    a, b = np.array([1, 3]), np.array([1, 1])
    assert multiply_float(a, b, (one, half, one), 0, 255).tolist() == [0, 2]
    odd = ScaledCode(np.float32(1), 1)
    assert multiply_float(a, b, (one, half, odd), 0, 255).tolist() == [2, 2]


def test_what_does_not_fit_is_refused():
    large, small = ScaledCode(np.float32(2.0**20), 0), ScaledCode(np.float32(2.0**-6), 0)
    with pytest.raises(OverflowError, match=r"beyond 2\*\*31"):
        multiply_float(np.array([255]), np.array([255]), (large, large, small), 0, 255)
    with pytest.raises(ValueError, match="up to 16 bits"):
        multiply_float(np.array([2**16]), np.array([0]), (small,) * 3, 0, 255)
