from fractions import Fraction

import naive_onnx_runtime
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from strategies import LIMITS_OF_CODES, exact_code, scaled_codes

from qsim.kernels.add_float import ScaledCode
from qsim.kernels.average_float import average_float, mean_float

ONE = ScaledCode(np.float32(1), 0)


@st.composite
def averages(draw, whole=False):
    low, high = draw(LIMITS_OF_CODES)
    kernel = tuple(draw(st.integers(1, 3)) for _ in range(2))
    padding = (0, 0, 0, 0)
    sides = kernel
    if not whole:
        padding = tuple(draw(st.integers(0, kernel[i % 2] - 1)) for i in range(4))
        sides = tuple(draw(st.integers(kernel[i], kernel[i] + 2)) for i in (0, 1))
    x = draw(arrays(np.int64, (draw(st.integers(0, 2)), 2, *sides),
                    elements=st.integers(low, high)))  # fmt: skip
    code_x, code_y = (draw(scaled_codes(low, high)) for _ in range(2))
    stride = tuple(draw(st.integers(1, 2)) for _ in range(2))
    arguments = {"stride": stride, "padding": padding, "count_padding": draw(st.booleans())}
    return x, kernel, (code_x, code_y), low, high, arguments


@settings(max_examples=40)
@given(averages())
def test_an_average_adds_and_divides_in_float32(operands):
    x, kernel, codes, low, high, arguments = operands
    if kernel == x.shape[2:] and not any(arguments["padding"]):
        return  # the whole image, below
    got = average_float(x, kernel, codes, low, high, **arguments)
    assert got.dtype == np.int32
    exact = [exact_code(code) for code in codes]
    expected = naive_onnx_runtime.average_float(x, kernel, *arguments.values(), exact, low, high)
    assert got.tolist() == np.array(expected, int).reshape(got.shape).tolist()


@given(averages(whole=True))
def test_the_average_of_a_whole_image_multiplies_its_exact_sum(operands):
    x, kernel, codes, low, high, arguments = operands
    ratio = codes[0].scale / (codes[1].scale * np.float32(x.shape[2] * x.shape[3]))
    assume(ratio < 256)
    got = average_float(x, kernel, codes, low, high, **arguments)
    assert (got.shape, got.dtype) == ((*x.shape[:2], 1, 1), np.int32)
    (scale, zero), code_y = (exact_code(code) for code in codes)
    for n, c in np.ndindex(x.shape[:2]):
        levels = [int(v) - zero for v in x[n, c].flat]
        assert got[n, c, 0, 0] == naive_onnx_runtime.global_average(
            levels, scale, code_y, low, high
        )


def test_the_order_of_the_sum_counts():
    scale, code_y = np.float32(0.1), ScaledCode(np.float32(2.0**-19), 0)
    values = [(np.array(level), scale) for level in (217, 163, 131, 69, 79)]
    forth, back = (mean_float(order, 4, code_y, 0, 2**24) for order in (values, values[::-1]))
    assert forth != back
    exact = [(int(level), Fraction(float(scale))) for level, _ in values]
    assert forth == naive_onnx_runtime.mean_float(exact, 4, (Fraction(1, 2**19), 0), 0, 2**24)


@pytest.mark.parametrize(("scale", "fits"), [(127.5, True), (256, False), (2.0**-33, False)])
def test_a_ratio_that_the_runtime_refuses_is_refused(scale, fits):
    x, code = np.ones((1, 1, 1, 1), int), ScaledCode(np.float32(scale), 0)
    if fits:
        assert average_float(x, (1, 1), (code, ONE), 0, 255).tolist() == [[[[128]]]]
        return
    with pytest.raises(ValueError, match="from 2\\*\\*-32 to less than 256"):
        average_float(x, (1, 1), (code, ONE), 0, 255)


def test_windows_and_means_that_do_not_fit_are_refused():
    x = np.ones((1, 1, 2, 2), int)
    with pytest.raises(ValueError, match="is not less than the window"):
        average_float(x, (1, 1), (ONE, ONE), 0, 255, padding=(1, 0, 0, 0))
    with pytest.raises(ValueError, match="a window of 3 does not fit"):
        average_float(x, (3, 1), (ONE, ONE), 0, 255)
    large = ScaledCode(np.float32(2.0**31), 0)
    with pytest.raises(OverflowError, match=r"beyond 2\*\*31"):
        average_float(x, (1, 2), (large, ONE), 0, 255)
