from fractions import Fraction

import naive_onnx_runtime
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qsim.kernels.logistic import DENOMINATOR, NUMERATOR, logistic

REALS = arrays(np.float32, (4,), elements=st.floats(-30, 30, width=32, allow_subnormal=False))


@given(REALS)
def test_it_is_the_ratio_of_polynomials_by_fused_steps(x):
    got = logistic(x)
    assert (got.shape, got.dtype) == (x.shape, np.float32)
    for value, result in zip(x, got, strict=True):
        exact = Fraction(float(value))
        if 0 < abs(exact) < 2.0**-60:
            continue  # its square is below float32's normal numbers
        expected = naive_onnx_runtime.logistic(exact, NUMERATOR, DENOMINATOR)
        assert Fraction(float(result)) == expected


@given(REALS)
def test_it_is_the_logistic_function_to_float32s_digits(x):
    np.testing.assert_allclose(logistic(x), 1 / (1 + np.exp(-x.astype(float))), atol=2.0**-22)


def test_it_takes_float32():
    with pytest.raises(TypeError, match="of float32, not float64"):
        logistic(np.zeros(1))
