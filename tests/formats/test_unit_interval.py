from fractions import Fraction

import naive
import naive_formats
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsim.formats import DorefaActivations, WrpnActivations

BITS = st.one_of(st.sampled_from([1, 2, 8, 16]), st.integers(1, 16))
BOTH = pytest.mark.parametrize("kind", [DorefaActivations, WrpnActivations])


@st.composite
def values_of(draw, bits):
    """float32: ties k / (2 n) and their neighbours, both ends and beyond, any."""
    n = 2**bits - 1
    tie = np.float32(draw(st.integers(-2, 2 * n + 2)) / (2 * n))
    beside = np.nextafter(tie, np.float32(draw(st.sampled_from([-np.inf, np.inf]))))
    ends = [0.0, -0.0, 1.0, float(np.nextafter(np.float32(1), np.float32(0))), 3e38, -3e38, 1e-45]
    free = st.floats(-2, 2, width=32)
    return draw(st.one_of(st.sampled_from([tie, beside]), st.sampled_from(ends), free))


@BOTH
@given(st.data(), BITS)
def test_levels_equal_the_printed_formula_in_float32(kind, data, bits):
    values = np.array([data.draw(values_of(bits)) for _ in range(4)], np.float32)
    quantized = kind(bits).quantize(values)
    wanted = [naive_formats.unit_interval(Fraction(float(v)), bits) for v in values]
    assert quantized.levels.tolist() == wanted
    assert Fraction(float(quantized.scale)) == naive.float32(Fraction(1, 2**bits - 1))
    np.testing.assert_array_equal(kind(bits).decode(quantized.codes), quantized.levels)


@BOTH
def test_ties_go_to_the_even_level(kind):
    assert kind(2).quantize(np.array([0.5])).levels.tolist() == [2]  # 1.5
    assert kind(1).quantize(np.array([0.5])).levels.tolist() == [0]  # 0.5
    sixths = np.array([1, 3, 5], np.float32) / np.float32(6)  # 0.5, 1.5, 2.5 after the product
    assert kind(2).quantize(sixths).levels.tolist() == [0, 2, 2]


@BOTH
@given(st.floats(-4, 4, width=32))
def test_before_rounding_a_value_is_clipped(kind, x):
    got = kind(3).before_rounding(np.array([x], np.float32))
    assert got.dtype == np.float32
    assert float(got[0]) == min(max(x, 0.0), 1.0)


@BOTH
@pytest.mark.parametrize("bits", [0, 17, 2.0, True])
def test_impossible_bits_are_refused(kind, bits):
    with pytest.raises(ValueError, match="has 1 to 16 bits, not"):
        kind(bits)


@BOTH
def test_nothing_and_zeros_have_levels(kind):
    assert kind(4).quantize(np.zeros((2, 0))).levels.shape == (2, 0)
    assert kind(4).quantize(np.array([0.0, -0.0])).levels.tolist() == [0, 0]
