from fractions import Fraction

import naive
import naive_onnx_runtime
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import LIMITS_OF_CODES, exact_code, scaled_codes

from qsim.kernels.add_float import ScaledCode
from qsim.kernels.code_table import clip, code_table, identity, leaky_relu, look_up

SLOPES = st.one_of(st.sampled_from([0.01, 0.1, 0.25]), st.floats(2.0**-9, 1, width=32))
BOUNDS = st.sampled_from([(0.0, 6.0), (-1.0, 1.0), (0.1, 0.7), (0.0, 1e9)])


@settings(max_examples=12)  # of up to 256 codes each
@given(st.data(), LIMITS_OF_CODES, st.sampled_from(["identity", "clip", "leaky_relu"]))
def test_an_entry_is_the_dequantized_functions_quantized_value(data, limits, name):
    codes = tuple(data.draw(scaled_codes(*limits)) for _ in range(2))
    if name == "identity":
        function, exact = identity, lambda x: x
    elif name == "clip":
        low, high = data.draw(BOUNDS)
        ends = [Fraction(float(np.float32(end))) for end in (low, high)]
        function, exact = clip(low, high), lambda x: min(max(x, ends[0]), ends[1])
    else:
        slope = Fraction(float(np.float32(data.draw(SLOPES))))
        function = leaky_relu(float(slope))
        exact = lambda x: x if x >= 0 else naive.float32(slope * x)  # noqa: E731
    low, high = limits
    table = code_table(function, codes, low, high)
    assert table.dtype == np.int32
    exact_codes = [exact_code(code) for code in codes]
    expected = [
        naive_onnx_runtime.code_of(exact, code, exact_codes, low, high)
        for code in range(low, high + 1)
    ]
    assert table.tolist() == expected


def test_codes_are_looked_up_from_the_lowest():
    table = np.array([5, 6, 7], np.int32)
    assert look_up(table, np.array([[-1, 1], [0, 0]]), -1).tolist() == [[5, 7], [6, 6]]
    assert look_up(table, np.zeros((0, 2), int), -1).shape == (0, 2)
    with pytest.raises(ValueError, match=r"codes 0 \.\. 2 are not all in -1 \.\. 1"):
        look_up(table, np.array([0, 2]), -1)
    with pytest.raises(ValueError, match=r"codes -2 \.\. 1 are not all in -1 \.\. 1"):
        look_up(table, np.array([1, -2]), -1)


def test_a_relu_is_a_clip_from_0():
    one = ScaledCode(np.float32(1), 2)
    assert code_table(clip(0.0), (one, one), 0, 4).tolist() == [2, 2, 2, 3, 4]
