"""Curves in float32: what is held is the very value, and so says the check of a run."""

from fractions import Fraction

import naive
import naive_onnx_runtime
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qsim.kernels.float_curves import LOGISTIC, TANGENT
from qsim.network.layers import Sigmoid, Softmax, Tanh
from qsim.network.pointwise import Gelu, HardSwish, LeakyRelu, Silu
from qsim.runtime_curves import is_runtime_curve, runtime_curve
from qsim.values import Levels, element
from qsim.verify import onnx_runtime

SCALES = st.one_of(st.sampled_from([0.0625, 0.5, 1 / 3]), st.floats(2.0**-10, 0.5, width=32)).map(
    np.float32
)
CURVES = {
    Sigmoid(name="s"): lambda x: naive_onnx_runtime.logistic(x, *LOGISTIC),
    Tanh(name="t"): lambda x: naive_onnx_runtime.ratio(x, 9, *TANGENT),
    HardSwish(name="h"): naive_onnx_runtime.hard_swish,
    LeakyRelu(name="l", slope=0.1): lambda x: (
        x if x >= 0 else naive.float32(Fraction(float(np.float32(0.1))) * x)
    ),
}
LEVELS = arrays(np.int32, (1, 4), elements=st.integers(-255, 255))


@pytest.mark.parametrize("layer", CURVES, ids=lambda layer: type(layer).__name__)
@settings(max_examples=50)
@given(levels=LEVELS, scale=SCALES)
def test_a_curve_is_held_as_the_float32_value(layer, levels, scale):
    made = runtime_curve(layer, Levels(levels, scale))
    for at in np.ndindex(levels.shape):
        x = naive.float32(int(levels[at]) * Fraction(float(scale)))
        got = element(made, at)
        [(integer, by)] = got.terms
        assert integer * Fraction(by) == CURVES[layer](x)
        assert abs(integer) < 2**24
        assert got == onnx_runtime.curve_value(layer, int(levels[at]), float(scale))


@settings(max_examples=50)
@given(LEVELS.map(np.abs), SCALES)
def test_a_softmax_is_held_as_exponentials_over_their_sum(levels, scale):
    made = runtime_curve(Softmax(name="s"), Levels(levels, scale))
    assert made.source == "softmax"
    row, total = levels[0].tolist(), Fraction(0)
    for place in range(len(row)):
        got = element(made, (0, place))
        assert got == onnx_runtime.softmax_value(row, place, float(scale))
        [(integer, by)] = got.terms
        total = naive.float32(total + integer * Fraction(by))
    assert Fraction(got.divisor) == total


def test_only_curves_that_are_known_are_computed():
    for layer in CURVES:
        assert is_runtime_curve(layer, 2**16)
    softmax, levels = Softmax(name="s"), Levels(np.zeros((1, 2), np.int32), np.float32(1))
    assert is_runtime_curve(softmax, 256)
    assert not is_runtime_curve(softmax, 257)
    for layer in (Gelu(name="g"), Silu(name="s")):
        assert not is_runtime_curve(layer, 16)
        with pytest.raises(TypeError, match=f"no float32 curve of a {type(layer).__name__}"):
            runtime_curve(layer, levels)
        with pytest.raises(TypeError, match=f"no float32 curve of a {type(layer).__name__}"):
            onnx_runtime.curve_value(layer, 0, 1.0)
