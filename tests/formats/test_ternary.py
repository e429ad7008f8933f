from fractions import Fraction

import naive
import naive_formats
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qsim.formats import TernaryWeights, Ttq

# multiples of 2**-6, so that float64 holds every sum and its seven tenths' neighbourhood
GRID = st.one_of(st.integers(-400, 400), st.sampled_from([0, 63, -63, 117, -117])).map(
    lambda k: k / 64
)
FLOATS = st.one_of(
    st.sampled_from([0.0, -0.0, 1e-45, 3e38, -3e38, 20.0, 1.0, -1.0]), st.floats(-9, 9, width=32)
)


def fractions(values):
    return [Fraction(float(v)) for v in np.asarray(values).flat]


@given(
    st.tuples(st.integers(1, 3), st.integers(1, 6)).flatmap(
        lambda shape: arrays(np.float32, shape, elements=GRID)
    ),
    st.sampled_from([None, 0]),
)
def test_twn_equals_the_printed_definition(values, axis):
    parts = [values] if axis is None else list(values)
    assume(all(np.any(part) for part in parts))
    quantized = TernaryWeights().quantize(values, axis=axis)
    wanted = [naive_formats.twn(fractions(part)) for part in parts]
    assert quantized.levels.ravel().tolist() == [level for levels, _ in wanted for level in levels]
    assert fractions(quantized.scale) == [scale for _, scale in wanted]
    assert quantized.scale.shape == (() if axis is None else (len(values), 1))
    np.testing.assert_array_equal(TernaryWeights().decode(quantized.codes), quantized.levels)


@pytest.mark.parametrize("k", range(1, 200))
def test_a_weight_on_the_threshold_is_0(k):
    values = np.array([7 * k, -7 * k, 13 * k, -13 * k], np.float32)  # a mean of 10 k
    assert TernaryWeights().quantize(values).levels.tolist() == [0, 0, 1, -1]
    above = np.nextafter(values[:1], np.float32(np.inf))
    values = np.array([above[0], 7 * k, 13 * k, 13 * k], np.float32)
    exact = naive_formats.twn(fractions(values))[0]
    assert TernaryWeights().quantize(values).levels.tolist() == exact


@given(st.integers(1, 6).flatmap(lambda n: arrays(np.float32, n, elements=FLOATS)))
def test_ttq_equals_the_printed_definition(values):
    assume(naive_formats.mean_magnitude(fractions(values)))
    quantized = Ttq().quantize(values)
    levels, scales = naive_formats.ttq(fractions(values), Fraction(1, 20))
    assume(all(scale != 0 for scale in scales))
    up, down = scales[0] or scales[1], scales[1] or scales[0]
    assert quantized.levels.tolist() == levels
    assert fractions(quantized.scale) == [up]
    assert fractions(quantized.negative_scale) == [down]
    np.testing.assert_array_equal(Ttq().decode(quantized.codes), quantized.levels)
    reals = [{1: up, 0: Fraction(0), -1: -down}[level] for level in levels]
    assert fractions(quantized.real) == reals


@given(
    st.integers(1, 6).flatmap(lambda n: arrays(np.float32, (2, n), elements=FLOATS)),
    st.sampled_from([0.0, 0.25, 0.5, 0.875]),
    st.floats(2.0**-20, 8, width=32),
    st.floats(2.0**-20, 8, width=32),
)
def test_learned_scales_are_taken_and_the_terms_add_up_to_the_weights(values, threshold, up, down):
    assume(naive_formats.mean_magnitude(fractions(values)))
    quantized = Ttq(threshold, up, down).quantize(values)
    levels, scales = naive_formats.ttq(fractions(values), Fraction(threshold))
    assert quantized.levels.ravel().tolist() == levels
    expected = [{1: up, 0: 0.0, -1: -down}[level] for level in levels]
    if all(scale is not None for scale in scales):
        assert quantized.real.ravel().tolist() == expected
    total = sum(
        term.levels * term.scale.astype(np.float64).reshape(-1, 1) for term in quantized.terms
    )
    np.testing.assert_array_equal(total, quantized.real)
    up_levels, down_levels = (term.levels for term in quantized.terms)
    assert (up_levels >= 0).all()
    assert (down_levels <= 0).all()


def test_a_weight_on_the_threshold_of_ttq_is_0():
    values = np.array([1, -1, 20, 1.0000001], np.float32)
    assert Ttq().quantize(values).levels.tolist() == [0, 0, 1, 1]
    assert Ttq(threshold=0.5).quantize(np.array([2.0, -2, 4])).levels.tolist() == [0, 0, 1]


@pytest.mark.parametrize("sign", [1, -1])
def test_a_sign_that_no_weight_has_takes_the_others_scale(sign):
    quantized = Ttq().quantize(sign * np.array([2.0, 4.0]))
    assert quantized.scale == quantized.negative_scale == 3


@pytest.mark.parametrize("number", [TernaryWeights(), Ttq()], ids=str)
@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (np.zeros(3), "all values are 0"),
        (np.zeros((0, 2)), "an empty tensor has no mean magnitude"),
        (np.array([np.inf]), "1 of 1 values are NaN or infinite"),
        (np.array([1e300]), "positive and finite, not inf"),
    ],
)
def test_weights_without_a_scale_are_refused(number, values, problem):
    with pytest.raises(ValueError, match=problem):
        number.quantize(values)


def test_a_row_of_zeros_has_no_scale_of_its_own():
    with pytest.raises(ValueError, match="all of index 1 are 0"):
        TernaryWeights().quantize(np.array([[1.0, 2], [0, 0]]), axis=0)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"threshold": 1.0}, "less than 1, not 1.0"),
        ({"threshold": -0.1}, "0 or more and less than 1, not -0.1"),
        ({"threshold": float("nan")}, "0 or more and less than 1, not nan"),
        ({"positive": 0.0}, "positive lies between 1e-30 and 1e30, which"),
        ({"negative": -1.0}, "negative lies between 1e-30 and 1e30, which"),
        ({"negative": 1e31}, r"negative lies between 1e-30 and 1e30, which"),
    ],
)
def test_impossible_parameters_are_refused(arguments, problem):
    with pytest.raises(ValueError, match=problem):
        Ttq(**arguments)


def test_a_single_weight_is_its_sign_and_magnitude():
    for number in (TernaryWeights(), Ttq()):
        quantized = number.quantize(np.array([-0.1], np.float32))
        assert quantized.levels.tolist() == [-1]
        assert quantized.real.tolist() == [float(np.float32(-0.1))]
    assert naive.float32(Fraction(1, 10)) == Fraction(float(np.float32(0.1)))
