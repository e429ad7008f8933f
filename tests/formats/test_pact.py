from fractions import Fraction

import naive
import naive_formats
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsim.formats import Fixed, Pact
from qsim.formats.base import Found
from qsim.formats.pact import alpha_gradient

BITS = st.one_of(st.sampled_from([1, 2, 8, 16]), st.integers(1, 16))


@st.composite
def values_of(draw, scale, bits):
    """float32: ties of ``scale`` and beside them, both ends and beyond, any."""
    n = 2**bits - 1
    with np.errstate(over="ignore", under="ignore"):
        tie = np.float32(draw(st.integers(-2, 2 * n + 3)) / 2 * float(scale))
        beside = np.nextafter(tie, np.float32(draw(st.sampled_from([-np.inf, np.inf]))))
    usual = st.sampled_from([tie, beside, 0.0, -0.0, 3e38, -3e38, 1e-45])
    return draw(st.one_of(usual, st.floats(-2, 2, width=32)))


@given(st.data(), BITS, st.floats(2.0**-30, 2.0**30))
def test_levels_are_decided_on_exactly_at_alphas_scale(data, bits, alpha):
    number, n = Pact(bits, alpha), 2**bits - 1
    scale = naive.float32(Fraction(alpha / n))
    values = np.array([data.draw(values_of(scale, bits)) for _ in range(3)], np.float32)
    quantized = number.quantize(values)
    assert Fraction(float(quantized.scale)) == scale
    wanted = [naive_formats.clip(naive.half_even(Fraction(float(v)) / scale), 0, n) for v in values]
    assert quantized.levels.tolist() == wanted
    np.testing.assert_array_equal(number.decode(quantized.codes), quantized.levels)
    bound, bound_scale = number.bind(Found(high=1.0))
    assert (bound, bound_scale) == (number, quantized.scale)
    np.testing.assert_array_equal(bound.at_scale(values, bound_scale), quantized.levels)


@given(st.data(), BITS, st.integers(-20, 20))
def test_where_the_step_is_a_float32_levels_equal_the_printed_formula(data, bits, exponent):
    alpha = float((2**bits - 1) * 2.0**exponent)
    values = [data.draw(values_of(2.0**exponent, bits)) for _ in range(3)]
    values = np.array(values, np.float32)
    wanted = [naive_formats.pact(Fraction(float(v)), Fraction(alpha), bits) for v in values]
    assert Pact(bits, alpha).quantize(values).levels.tolist() == wanted


@given(st.lists(st.floats(-8, 8, width=32), min_size=1, max_size=5), BITS)
def test_without_alpha_the_range_rule_finds_the_scale(values, bits):
    values = np.array(values, np.float32)
    plain, fixed = Pact(bits).quantize(values), Fixed(bits, signed=False).quantize(values)
    assert (
        plain.scale
        == fixed.scale
        == Pact(bits).bind(Found(float(values.min()), float(values.max())))[1]
    )
    np.testing.assert_array_equal(plain.levels, fixed.levels)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False), st.floats(2.0**-40, 2.0**40))
def test_alphas_gradient_is_1_where_the_value_is_clipped(x, alpha):
    wanted = 1 if Fraction(x) >= Fraction(alpha) else 0
    assert alpha_gradient(np.array([x], np.float32), alpha).tolist() == [wanted]


def test_alpha_is_not_rounded_to_the_type_of_the_values():
    x = np.array([0.7], np.float32)  # 0.699999988
    assert alpha_gradient(x, 0.7).tolist() == [0]
    assert alpha_gradient(x, float(x[0])).tolist() == [1]  # alpha itself is clipped
    assert alpha_gradient(x, 0.7).dtype == np.float64


@pytest.mark.parametrize("x", [-2.0, 0.5, 2.5, 7.0])
def test_alphas_gradient_is_that_of_the_clipped_value(x):
    alpha, step = Fraction(2), Fraction(1, 1000)
    ends = [(abs(Fraction(x)) - abs(Fraction(x) - a) + a) / 2 for a in (alpha - step, alpha + step)]
    assert alpha_gradient(np.array([x]), 2.0).tolist() == [(ends[1] - ends[0]) / (2 * step)]


def test_before_rounding_values_are_clipped_to_alpha():
    x = np.array([-1, 0.5, 3, 9], np.float32)
    assert Pact(2, 3.0).before_rounding(x).tolist() == [0, 0.5, 3, 3]
    assert Pact(2).before_rounding(x).tolist() == [0, 0.5, 3, 9]
    assert Pact(2).before_rounding(x).dtype == np.float32


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((0,), "PACT has 1 to 16 bits, not 0"),
        ((17,), "PACT has 1 to 16 bits, not 17"),
        ((2, 0.0), "alpha lies between 1e-30 and 1e30, which"),
        ((2, 1e30), r"alpha lies between 1e-30 and 1e30, which"),
        ((2, float("nan")), "alpha lies between 1e-30 and 1e30, which"),
    ],
)
def test_impossible_parameters_are_refused(arguments, problem):
    with pytest.raises(ValueError, match=problem):
        Pact(*arguments)


def test_with_alpha_no_scale_can_be_given():
    with pytest.raises(ValueError, match="PACT with alpha has a scale of its own"):
        Pact(2, 1.0).quantize(np.ones(2), scale=np.float32(1))
    assert Pact(2).quantize(np.ones(2), scale=np.float32(1)).levels.tolist() == [1, 1]


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="1 of 2 values are NaN"):
        Pact(2, 1.0).quantize(np.array([np.nan, 1]))


def test_its_words_give_the_scale_itself():
    assert Pact(4, 3.0).scale_words() == "alpha / 15 = 0.2"
    assert Pact(4).scale_words() == "alpha / 15, alpha by the range rule"
