from fractions import Fraction

import naive
import naive_formats
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qsim.formats import WrpnWeights

FLOATS = st.one_of(st.sampled_from([0.0, -0.0, 1e-45, -3e38, 3e38]), st.floats(-2.0, 2.0, width=32))
SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 4))


def fractions(values):
    return [Fraction(float(v)) for v in np.asarray(values).flat]


@st.composite
def values_of(draw, bits):
    n = 2 ** (bits - 1) - 1
    tie = np.float32(draw(st.integers(-2 * n - 2, 2 * n + 2)) / (2 * n))
    beside = np.nextafter(tie, np.float32(draw(st.sampled_from([-np.inf, np.inf]))))
    return draw(st.one_of(st.sampled_from([tie, beside, np.float32(1), np.float32(-1)]), FLOATS))


@given(st.data(), st.one_of(st.sampled_from([2, 3, 16]), st.integers(2, 16)))
def test_levels_equal_the_printed_formula_in_float32(data, bits):
    values = np.array([data.draw(values_of(bits)) for _ in range(4)], np.float32)
    quantized = WrpnWeights(bits).quantize(values)
    assert quantized.levels.tolist() == [
        naive_formats.wrpn_weight(v, bits) for v in fractions(values)
    ]
    assert fractions(quantized.scale) == [naive.float32(Fraction(1, 2 ** (bits - 1) - 1))]
    np.testing.assert_array_equal(WrpnWeights(bits).decode(quantized.codes), quantized.levels)
    assert (quantized.codes != 2 ** (bits - 1)).all()  # the most negative code is never produced


@given(
    SHAPES.flatmap(lambda shape: arrays(np.float32, shape, elements=FLOATS)),
    st.sampled_from([None, 0]),
)
def test_one_bit_is_the_sign_times_the_mean_magnitude(values, axis):
    parts = [values] if axis is None else list(values)
    means = [naive_formats.mean_magnitude(fractions(part)) for part in parts]
    if not all(means):
        with pytest.raises(ValueError, match="no scale"):
            WrpnWeights(1).quantize(values, axis=axis)
        return
    quantized = WrpnWeights(1).quantize(values, axis=axis)
    assert quantized.levels.ravel().tolist() == [naive_formats.sign(v) for v in fractions(values)]
    assert fractions(quantized.scale) == means
    np.testing.assert_array_equal(WrpnWeights(1).decode(quantized.codes), quantized.levels)


def test_the_levels_are_those_of_the_paper():
    assert WrpnWeights(1).levels().tolist() == [-1, 1]
    assert WrpnWeights(2).levels().tolist() == [-1, 0, 1]  # two bits are ternary
    assert WrpnWeights(4).levels().tolist() == list(range(-7, 8))


def test_a_filter_has_no_scale_of_its_own_but_of_1_bit():
    values = np.array([[0.5, 1], [0.1, 0.2]])
    assert WrpnWeights(3).quantize(values, axis=0).scale.shape == ()
    assert WrpnWeights(1).quantize(values, axis=0).scale.shape == (2, 1)


def test_the_most_negative_code_is_no_code():
    with pytest.raises(ValueError, match="8 is not a code"):
        WrpnWeights(4).decode(np.array([8]))


@pytest.mark.parametrize("bits", [0, 17])
def test_impossible_bits_are_refused(bits):
    with pytest.raises(ValueError, match="a WRPN weight has 1 to 16 bits"):
        WrpnWeights(bits)


def test_several_bits_take_zeros_and_nothing():
    assert WrpnWeights(3).quantize(np.zeros(3)).levels.tolist() == [0, 0, 0]
    assert WrpnWeights(3).quantize(np.zeros((0, 2))).levels.shape == (0, 2)
