from fractions import Fraction

import naive_onnx_runtime
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qsim.kernels.float_curves import LOGISTIC, TANGENT, hard_swish, logistic, tangent

REALS = arrays(np.float32, (4,), elements=st.floats(-30, 30, width=32, allow_subnormal=False))
NAIVE = {
    logistic: lambda x: naive_onnx_runtime.logistic(x, *LOGISTIC),
    tangent: lambda x: naive_onnx_runtime.ratio(x, 9, *TANGENT),
    hard_swish: naive_onnx_runtime.hard_swish,
}
TRUTH = {
    logistic: lambda x: 1 / (1 + np.exp(-x)),
    tangent: np.tanh,
    hard_swish: lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
}


@pytest.mark.parametrize("function", NAIVE)
@settings(max_examples=50)
@given(x=REALS)
def test_it_rounds_where_it_is_said(function, x):
    got = function(x)
    assert (got.shape, got.dtype) == (x.shape, np.float32)
    for value, result in zip(x, got, strict=True):
        exact = Fraction(float(value))
        if not 0 < abs(exact) < 2.0**-60:  # whose square is below float32's normal numbers
            assert Fraction(float(result)) == NAIVE[function](exact)


@pytest.mark.parametrize("function", NAIVE)
@given(x=REALS)
def test_it_is_the_function_to_float32s_digits(function, x):
    np.testing.assert_allclose(function(x), TRUTH[function](x.astype(float)), atol=2.0**-19)


@pytest.mark.parametrize("function", NAIVE)
def test_it_takes_float32(function):
    with pytest.raises(TypeError, match="of float32, not float64"):
        function(np.zeros(1))
