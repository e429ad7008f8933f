from fractions import Fraction

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qsim.kernels.multipliers import (
    onnx_average_multiplier,
    onnx_gemm_multiplier,
    onnx_multiplier,
    tflite_dense_multiplier,
    tflite_multiplier,
)

SCALES = st.floats(2.0**-20, 2.0**6, width=32)
SCALE = SCALES.map(np.float32)
ARRAYS = arrays(np.float32, (3,), elements=SCALES)


def exact(value):
    return Fraction(float(value))


@given(SCALE, ARRAYS, SCALE)
def test_onnx_rounds_both_steps_to_float32(x, weights, y):
    expected = [naive.float32(naive.float32(exact(x) * exact(w)) / exact(y)) for w in weights]
    got = onnx_multiplier(x, weights, y)
    assert got.dtype == np.float32
    assert [exact(m) for m in got] == expected


@given(st.sampled_from([1.0, 0.37, 3.0]), SCALE, ARRAYS, SCALE)
def test_alpha_is_the_first_factor_of_a_gemm(alpha, x, weights, y):
    scaled = naive.float32(exact(np.float32(alpha)) * exact(x))
    scales = [naive.float32(scaled * exact(w)) for w in weights]
    assert [exact(m) for m in onnx_gemm_multiplier(alpha, x, weights, None)] == scales
    got = onnx_gemm_multiplier(alpha, x, weights, y)
    assert got.dtype == np.float32
    assert [exact(m) for m in got] == [naive.float32(scale / exact(y)) for scale in scales]
    assert (onnx_gemm_multiplier(1.0, x, weights, y) == onnx_multiplier(x, weights, y)).all()


@given(SCALE, st.integers(1, 2**16), SCALE)
def test_an_average_divides_by_the_scale_of_the_count(x, count, y):
    expected = naive.float32(exact(x) / naive.float32(exact(y) * count))
    got = onnx_average_multiplier(x, count, y)
    assert got.dtype == np.float32
    assert exact(got) == expected


@given(SCALE, ARRAYS, SCALE)
def test_tflite_divides_in_float64(x, weights, y):
    for w, got, dense in zip(
        weights,
        tflite_multiplier(x, weights, y),
        tflite_dense_multiplier(x, weights, y),
        strict=True,
    ):
        product = exact(x) * exact(w)  # 48 bits, exact in float64
        assert got == float(product / exact(y))  # the nearest float64
        assert dense == float(naive.float32(product) / exact(y))


@pytest.mark.parametrize("scale", [0, -1, np.nan, np.inf])
def test_scales_that_are_not_positive_are_refused(scale):
    one = np.float32(1)
    with pytest.raises(ValueError, match="positive and finite"):
        onnx_multiplier(one, np.array([scale], np.float32), one)
    with pytest.raises(ValueError, match="positive and finite"):
        onnx_average_multiplier(np.float32(scale), 4, one)


def test_scales_of_another_type_are_refused():
    with pytest.raises(TypeError, match="a scale is float32, not float64"):
        tflite_multiplier(np.float32(1), np.ones(1), np.float32(1))
