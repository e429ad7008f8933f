from fractions import Fraction

import naive
import numpy as np
import pytest
import strategies
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qsim.kernels.quantize_linear import (
    dequantize_linear,
    quantize_bias,
    quantize_linear,
    range_to_code,
)

LIMITS = st.sampled_from([(0, 255), (-128, 127), (0, 15), (-8, 7), (-2, 1), (0, 65535), (3, 3)])
NO_ZEROS = np.array(0, np.int32)
ONE = np.array(1, np.float32)


@st.composite
def runs(draw):
    """A shape, and the shape of its scales with the arguments that say how they lie."""
    shape = tuple(draw(st.lists(st.integers(0, 4), min_size=1, max_size=3)))
    axis = draw(st.one_of(st.none(), st.integers(-len(shape), len(shape) - 1)))
    if axis is None:
        return shape, (), {}
    if draw(st.booleans()):
        return shape, (shape[axis],), {"axis": axis}
    block = draw(st.integers(1, 5))
    sides = list(shape)
    sides[axis] = -(-sides[axis] // block)
    return shape, tuple(sides), {"axis": axis, "block": block}


@st.composite
def scaled_values(draw):
    """Values that are often a half of their scale, or beside it."""
    shape, scales, arguments = draw(runs())
    low, high = draw(LIMITS)
    scale = draw(strategies.positive_scales(scales))
    zero_point = draw(arrays(np.int32, scales, elements=st.integers(low, high)))
    halves = st.integers(-600, 600).map(lambda n: np.float32(n) / 2)
    free = st.floats(width=32, allow_nan=False).map(np.float32)
    real = draw(arrays(np.float32, shape, elements=st.one_of(halves, free)))
    for at in np.ndindex(shape):
        if abs(real[at]) < 400 and draw(st.booleans()):
            near = real[at] * scale[naive.run_of(at, shape, **axis_and_block(arguments))]
            real[at] = np.nextafter(near, np.float32(draw(st.sampled_from([-9, near, 9]))))
    return real, scale, zero_point, (low, high), arguments


def axis_and_block(arguments):
    return {"axis": arguments.get("axis"), "block": arguments.get("block")}


@given(scaled_values())
def test_quantization_equals_exact_float32_arithmetic(operands):
    real, scale, zero_point, (low, high), arguments = operands
    got = quantize_linear(real, scale, zero_point, low, high, **arguments)
    assert (got.shape, got.dtype) == (real.shape, np.int32)
    for at in np.ndindex(real.shape):
        run = naive.run_of(at, real.shape, **axis_and_block(arguments))
        zero = int(zero_point[run])
        if np.isinf(real[at]):
            assert got[at] == (high if real[at] > 0 else low)
            continue
        exact = Fraction(float(real[at])), Fraction(float(scale[run]))
        assert got[at] == naive.quantize_linear(*exact, zero, low, high)


@st.composite
def scaled_codes(draw):
    shape, scales, arguments = draw(runs())
    ends = st.sampled_from([-(2**30), -(2**24) - 1, 0, 2**24 + 1, 2**30 - 1])
    elements = st.one_of(ends, st.integers(-300, 300), st.integers(-(2**30), 2**30 - 1))
    codes = draw(arrays(np.int32, shape, elements=elements))
    zero_point = draw(arrays(np.int32, scales, elements=elements))
    return codes, draw(strategies.positive_scales(scales)), zero_point, arguments


@given(scaled_codes())
def test_dequantization_equals_exact_float32_arithmetic(operands):
    codes, scale, zero_point, arguments = operands
    got = dequantize_linear(codes, scale, zero_point, **arguments)
    assert (got.shape, got.dtype) == (codes.shape, np.float32)
    for at in np.ndindex(codes.shape):
        run = naive.run_of(at, codes.shape, **axis_and_block(arguments))
        exact = Fraction(float(scale[run]))
        expected = naive.dequantize_linear(int(codes[at]), exact, int(zero_point[run]))
        assert Fraction(float(got[at])) == expected


@given(scaled_values())
def test_codes_survive_the_way_there_and_back(operands):
    real, scale, zero_point, limits, arguments = operands
    codes = quantize_linear(real, scale, zero_point, *limits, **arguments)
    back = dequantize_linear(codes, scale, zero_point, **arguments)
    again = quantize_linear(back, scale, zero_point, *limits, **arguments)
    np.testing.assert_array_equal(again, codes)


@given(
    strategies.float32_arrays((5,)),
    st.integers(0, 5),
    st.sampled_from([(0, 255), (-128, 127), (0, 15), (-8, 7)]),
)
@example(np.array([-1, 0, 254.5, 0, 0], np.float32), 5, (0, 255))
def test_a_range_gives_the_scale_and_zero_point_of_exact_float32_arithmetic(values, count, limits):
    scale, zero_point = range_to_code(values[:count], *limits)
    exact = naive.range_to_code([Fraction(float(v)) for v in values[:count]], *limits)
    assert (Fraction(float(scale)), zero_point) == exact


def test_the_quotient_is_rounded_to_float32_before_it_becomes_an_integer():
    real, scale = np.float32(25165822), np.float32(2**24 - 1)
    below = Fraction(float(real)) / Fraction(float(scale))
    assert below < Fraction(3, 2)
    assert quantize_linear(real.reshape(1), np.array(scale), NO_ZEROS, 0, 255).tolist() == [2]


def test_a_short_last_block_has_its_own_scale():
    real = np.array([1, 2, 3, 4, 5], np.float32)
    scale, zeros = np.array([1, 0.5, 0.25], np.float32), np.zeros(3, int)
    codes = quantize_linear(real, scale, zeros, 0, 255, axis=0, block=2)
    assert codes.tolist() == [1, 2, 6, 8, 20]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"axis": 2}, "has no axis 2"),
        ({"block": 2}, "blocks lie along an axis"),
        ({"axis": 0, "block": 0}, "at least 1 value, not 0"),
        ({"axis": 0}, r"shape \(\) do not fit a tensor of shape \(2, 3\); \(2,\) would"),
        ({"axis": 1, "block": 2}, r"\(2, 2\) would"),
    ],
)
def test_scales_that_do_not_fit_are_refused(change, problem):
    with pytest.raises(ValueError, match=problem):
        quantize_linear(np.ones((2, 3), np.float32), ONE, NO_ZEROS, 0, 255, **change)
    with pytest.raises(ValueError, match=problem):
        dequantize_linear(np.ones((2, 3), int), ONE, NO_ZEROS, **change)


@pytest.mark.parametrize("scale", [0, -1, np.nan, np.inf])
def test_scales_that_are_not_positive_are_refused(scale):
    with pytest.raises(ValueError, match="positive and finite"):
        quantize_linear(np.ones(1, np.float32), np.array(scale, np.float32), NO_ZEROS, 0, 255)


def test_other_types_are_refused():
    real = np.ones(1, np.float32)
    with pytest.raises(TypeError, match="values are float32, not float64"):
        quantize_linear(real.astype(float), ONE, NO_ZEROS, 0, 255)
    with pytest.raises(TypeError, match="a scale is float32, not float64"):
        quantize_linear(real, ONE.astype(float), NO_ZEROS, 0, 255)
    with pytest.raises(TypeError, match="integers"):
        dequantize_linear(real, ONE, NO_ZEROS)
    with pytest.raises(TypeError, match="values are float32, not float64"):
        range_to_code(real.astype(float))


def test_values_without_a_code_are_refused():
    with pytest.raises(ValueError, match="NaN has no code"):
        quantize_linear(np.array([np.nan], np.float32), ONE, NO_ZEROS, 0, 255)
    with pytest.raises(ValueError, match="a range of values is finite"):
        range_to_code(np.array([np.inf], np.float32))


@pytest.mark.parametrize("zero_point", [-1, 256])
def test_zero_points_that_are_no_codes_are_refused(zero_point):
    with pytest.raises(ValueError, match=r"a zero point lies within 0 \.\. 255"):
        quantize_linear(np.ones(1, np.float32), ONE, np.array(zero_point), 0, 255)


def test_the_extremes_of_32_bits_are_codes():
    codes = np.array([-(2**31), 2**31 - 1])
    assert dequantize_linear(codes, ONE, NO_ZEROS).tolist() == [-(2.0**31), 2.0**31]


@pytest.mark.parametrize("code", [-(2**31) - 1, 2**31])
def test_codes_beyond_32_bits_are_refused(code):
    with pytest.raises(OverflowError, match="do not fit 32 bits"):
        dequantize_linear(np.array([code]), ONE, NO_ZEROS)


def test_results_beyond_their_type_are_refused():
    with pytest.raises(OverflowError, match="2147483648 from their zero point"):
        dequantize_linear(np.array([2**31 - 1]), ONE, np.array(-1))
    with pytest.raises(OverflowError, match="too large for float32"):
        dequantize_linear(np.array([2]), np.array(3e38, np.float32), NO_ZEROS)
    with pytest.raises(OverflowError, match="no scale in float32"):
        range_to_code(np.array([-3e38, 3e38], np.float32))
    with pytest.raises(OverflowError, match="no scale in float32"):
        range_to_code(np.array([1e-45], np.float32))


def test_a_range_over_one_code_is_refused():
    with pytest.raises(ValueError, match=r"7 \.\. 7 is one code"):
        range_to_code(np.ones(1, np.float32), 7, 7)


@given(st.data(), strategies.positive_scales(), strategies.positive_scales((3,)))
def test_a_bias_is_divided_by_the_product_of_scales(data, x_scale, weight_scale):
    bias = data.draw(strategies.float32_arrays((3,), limit=100))
    got = quantize_bias(bias, x_scale, weight_scale)
    assert got.dtype == np.int32
    for level, real, scale in zip(got, bias, weight_scale, strict=True):
        product = naive.float32(Fraction(float(x_scale)) * Fraction(float(scale)))
        assert level == naive.half_even(naive.float32(Fraction(float(real)) / product))


def test_a_bias_that_does_not_fit_is_refused():
    for bias in (2.0**31, np.inf, -np.inf, -(2.0**31)):
        with pytest.raises(OverflowError, match="does not fit 32 bits"):
            quantize_bias(np.float32([bias]), ONE, ONE)
    with pytest.raises(ValueError, match="NaN is no bias"):
        quantize_bias(np.float32([np.nan]), ONE, ONE)
    with pytest.raises(TypeError, match="a bias is float32, not float64"):
        quantize_bias(np.ones(1), ONE, ONE)
    with pytest.raises(ValueError, match="positive and finite"):
        quantize_bias(np.ones(1, np.float32), np.float32(1e-30), np.float32([1e-30]))
