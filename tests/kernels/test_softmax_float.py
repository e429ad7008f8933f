import naive_onnx_runtime
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from strategies import exact_code

from qsim.kernels.add_float import ScaledCode
from qsim.kernels.softmax_float import exponential_table, softmax_float

X_SCALES = st.sampled_from([0.002, 0.05, 0.1, 0.75, 2.0]).map(np.float32)
Y_SCALES = st.sampled_from([1 / 256, 1 / 255, 1 / 100, 0.3]).map(np.float32)


@settings(max_examples=25)
@given(st.data(), st.sampled_from([(0, 255), (-128, 127)]), X_SCALES, Y_SCALES,
       st.sampled_from([2, 3, 7, 40]))  # fmt: skip
def test_a_softmax_adds_and_divides_exponentials_in_float32(data, limits, x_scale, y_scale, length):
    low, high = limits
    code_y = ScaledCode(y_scale, data.draw(st.sampled_from([low, low, low + 9, high - 30])))
    x = data.draw(arrays(np.int64, (2, length), elements=st.integers(low, high)))
    got = softmax_float(x, x_scale, code_y, low, high)
    assert (got.shape, got.dtype) == (x.shape, np.int32)
    scale = exact_code(ScaledCode(x_scale, 0))[0]
    for codes, row in zip(got.tolist(), x.tolist(), strict=True):
        assert codes == naive_onnx_runtime.softmax(row, scale, exact_code(code_y), low, high)


@given(st.integers(-128, 127), st.integers(1, 255))
def test_only_differences_count(code, shift):
    row, code_y = np.array([[code, code - 3, code - 9]]), ScaledCode(np.float32(1 / 256), 0)
    scale = np.float32(0.1)
    expected = softmax_float(row, scale, code_y, 0, 255)
    assert (softmax_float(row + shift, scale, code_y, 0, 255) == expected).all()


def test_exponentials_stay_below_float32_and_vanish():
    table = exponential_table(2.0, 10)
    assert table.dtype == np.float32
    assert (np.diff(table) >= 0).all()
    assert 10 * float(table[-1]) < np.finfo(np.float32).max
    assert table[0] == 0


def test_what_is_not_defined_is_refused():
    one, x = np.float32(1), np.array([[1, 2]])
    with pytest.raises(ValueError, match="is too large for float32"):
        softmax_float(x, one, ScaledCode(np.float32(1 / 333), 0), 0, 255)
    with pytest.raises(ValueError, match="differ by up to 255, not 256"):
        softmax_float(np.array([0, 256]), one, ScaledCode(one, 0), 0, 255)
    with pytest.raises(ValueError, match="needs a last axis with values"):
        softmax_float(np.zeros((2, 0), int), one, ScaledCode(one, 0), 0, 255)
    assert softmax_float(np.zeros((0, 2), int), one, ScaledCode(one, 0), 0, 255).shape == (0, 2)
