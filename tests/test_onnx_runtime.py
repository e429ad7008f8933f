"""ONNX Runtime's arithmetic for each kind of layer, against fractions rounded to float32."""

from fractions import Fraction

import naive
import naive_onnx_runtime
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qsim.formats import AffineGrid, Fixed, Format, Hwgq
from qsim.requantize import REQUANTIZERS
from qsim.values import Element, Sums
from qsim.verify import onnx_runtime

NUMBERS = [
    AffineGrid(8, 0), AffineGrid(8, 77), AffineGrid(8, 254), AffineGrid(4, 3), Fixed(8),
    AffineGrid(8, 0, signed_codes=True), AffineGrid(8, 201, signed_codes=True),
]  # fmt: skip
SCALES = st.one_of(
    st.tuples(st.integers(1, 15), st.integers(-9, -3)).map(lambda p: p[0] * 2.0 ** p[1]),
    st.floats(2.0**-10, 2.0, width=32),
).map(np.float32)
BOUNDS = st.sampled_from([(-np.inf, np.inf), (0.0, np.inf), (0.0, 6.0), (-1.0, 0.3)])
SHAPE = (1, 2, 3)


def zero_of(number: Format) -> int:
    if isinstance(number, AffineGrid):
        return number.zero_point - (128 if number.signed_codes else 0)
    return 0


def levels_of(number):
    return arrays(np.int64, SHAPE, elements=st.integers(number.min_level, number.max_level))


def by_channel(scale):
    return np.full(2, np.float64(scale))


def bounded(level, number, bounds, scale):
    """The level within those of the bounds."""
    for bound, limit in zip(bounds, (max, min), strict=True):
        if not np.isinf(bound):
            quotient = naive.half_even(naive.float32(naive.float32(Fraction(bound)) / scale))
            level = limit(level, min(max(quotient, number.min_level), number.max_level))
    return level


def check(sums, number, scale, expected):
    """The levels of ``sums`` are those of ``expected``, a function of a position and of the lowest
    and the highest code; so says the check of a run."""
    got = REQUANTIZERS["onnxruntime"].levels(sums, number, scale)
    assert (got.shape, got.dtype) == (SHAPE, np.int32)
    zero, exact = zero_of(number), Fraction(float(scale))
    codes = number.min_level + zero, number.max_level + zero
    for at in np.ndindex(SHAPE):
        level = expected(at, *codes) - zero
        level = bounded(level, number, (sums.low, sums.high), exact)
        assert got[at] == level
        terms = tuple((int(levels[at]), float(by[at[1]])) for levels, by in sums.terms)
        element = Element(
            terms, 0.0, sums.low, sums.high, sums.source, sums.divisor, sums.zero_points
        )
        assert onnx_runtime.level_of_sums(element, number, float(scale)) == level


@given(st.data(), st.sampled_from(NUMBERS), SCALES, SCALES, BOUNDS,
       st.sampled_from(["conv", "depthwise", "linear", "matmul"]))  # fmt: skip
def test_products_have_one_multiplier(data, number, by, scale, bounds, source):
    sums = data.draw(arrays(np.int64, SHAPE, elements=st.integers(-(2**17), 2**17)))
    multiplier = float(by / scale)

    def expected(at, low, high):
        zero = zero_of(number)
        one = [(int(sums[at]), multiplier)]
        return naive.requantize_float(one, low - zero, high - zero) + zero

    check(Sums(((sums, by_channel(by)),), None, *bounds, source=source), number, scale, expected)


@given(
    st.data(), st.sampled_from(NUMBERS), st.sampled_from(NUMBERS), SCALES, SCALES, SCALES, BOUNDS
)
def test_an_addition_is_of_codes(data, number, other, of_a, of_b, scale, bounds):
    a, b = data.draw(levels_of(number)), data.draw(levels_of(other))
    zeros = zero_of(number), zero_of(other)
    scales = [Fraction(float(s)) for s in (of_a, of_b, scale)]
    codes = list(zip(scales, (*zeros, zeros[0]), strict=True))

    def expected(at, low, high):
        return naive.add_float(int(a[at]) + zeros[0], int(b[at]) + zeros[1], codes, low, high)

    terms = ((a, by_channel(of_a)), (b, by_channel(of_b)))
    sums = Sums(terms, None, *bounds, source="add", zero_points=zeros)
    check(sums, number, scale, expected)


@given(st.data(), st.sampled_from(NUMBERS), SCALES, SCALES, SCALES, BOUNDS)
def test_a_product_of_tensors_has_its_zero_point_before_it_is_rounded(
    data, number, of_a, of_b, scale, bounds
):
    a, b = data.draw(levels_of(number)), data.draw(levels_of(number))
    scales = [Fraction(float(s)) for s in (of_a, of_b, scale)]
    codes = list(zip(scales, (0, 0, zero_of(number)), strict=True))

    def expected(at, low, high):
        return naive_onnx_runtime.multiply_float(int(a[at]), int(b[at]), codes, low, high)

    term = (a * b, by_channel(np.float64(of_a) * np.float64(of_b)))
    check(Sums((term,), None, *bounds, source="multiply"), number, scale, expected)


@given(st.data(), st.sampled_from(NUMBERS), SCALES, SCALES, BOUNDS, st.integers(1, 6))
def test_an_average_adds_its_values_in_float32(data, number, by, scale, bounds, count):
    values = [data.draw(levels_of(number)) for _ in range(count)]
    y = Fraction(float(scale)), zero_of(number)

    def expected(at, low, high):
        exact = [(int(levels[at]), Fraction(float(by))) for levels in values]
        return naive_onnx_runtime.mean_float(exact, count, y, low, high)

    terms = tuple((levels, by_channel(by)) for levels in values)
    sums = Sums(terms, None, *bounds, source="average", divisor=count)
    check(sums, number, scale, expected)


@given(st.data(), st.sampled_from(NUMBERS), SCALES, SCALES, BOUNDS, st.integers(1, 49))
def test_the_average_of_an_image_divides_the_multiplier(data, number, by, scale, bounds, count):
    sums = data.draw(arrays(np.int64, SHAPE, elements=st.integers(-(2**14), 2**14)))
    step = naive.float32(Fraction(float(scale)) * count)
    multiplier = naive.float32(Fraction(float(by)) / step)
    value = Sums(((sums, by_channel(by)),), None, *bounds, source="global_average", divisor=count)
    if multiplier >= 256:
        with pytest.raises(ValueError, match="a global average takes ratios"):
            REQUANTIZERS["onnxruntime"].levels(value, number, scale)
        return

    def expected(at, low, high):
        zero = zero_of(number)
        one = [(int(sums[at]), float(multiplier))]
        return naive.requantize_float(one, low - zero, high - zero) + zero

    check(value, number, scale, expected)


@given(st.data(), st.sampled_from(NUMBERS), SCALES, SCALES, BOUNDS)
def test_other_tensors_are_dequantized_and_quantized(data, number, by, scale, bounds):
    levels = data.draw(levels_of(number))
    x, y = (Fraction(float(by)), 0), (Fraction(float(scale)), zero_of(number))

    def expected(at, low, high):
        return naive_onnx_runtime.code_of(lambda v: v, int(levels[at]), (x, y), low, high)

    check(Sums(((levels, by_channel(by)),), None, *bounds), number, scale, expected)


def test_what_no_kernel_of_the_runtime_does_is_refused():
    one, scale = (np.ones((1, 1), np.int64), np.ones(1)), np.float32(1)
    levels = REQUANTIZERS["onnxruntime"].levels
    for sums, number, message in [
        (Sums((one,)), Hwgq(2), "the nearest of consecutive levels"),
        (Sums((one,), np.ones(1, np.float32)), Fixed(4), "biases to sums as integers"),
        (
            Sums((one, one), source="conv"),
            Fixed(4),
            "these weights make 2, or a factor for each place",
        ),
        (Sums((one, one)), Fixed(4), "adds 2 terms"),
        (Sums((one,) * 3, source="add", zero_points=(0,) * 3), Fixed(4), "not 3 terms"),
        (Sums((one, one), source="add"), Fixed(4), "adds two rounded tensors"),
    ]:
        with pytest.raises(ValueError, match=message):
            levels(sums, number, scale)
    large = np.full((1, 1), 2**60)
    for source in ("", "multiply", "conv"):
        with pytest.raises(OverflowError):
            levels(Sums(((large, np.full(1, 2.0**70)),), source=source), Fixed(4), scale)


@given(st.floats(2.0**-140, 2.0**100), st.floats(2.0**-40, 2.0**20))
def test_the_check_rounds_to_float32_as_numpy_does(value, factor):
    with np.errstate(under="ignore"):
        expected = np.float32(value)
    assert onnx_runtime.nearest(Fraction(value)) == Fraction(float(expected))
    assert onnx_runtime.nearest(-Fraction(value)) == -Fraction(float(expected))
    product = Fraction(float(np.float32(factor))) * Fraction(float(np.float32(1.1)))
    assert onnx_runtime.nearest(product) == naive.float32(product)
