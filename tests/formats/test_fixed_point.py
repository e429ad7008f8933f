from fractions import Fraction

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsim.calibrate.weight_scales import least_square_error
from qsim.formats.base import Found
from qsim.formats.fixed_point import FixedPoint

ROUNDINGS = ("half_even", "half_up", "half_away", "floor", "ceil", "toward_zero")
OVERFLOWS = ("saturate", "wrap")
BESIDE_A_HALF = [0.5, np.nextafter(0.5, 0), np.nextafter(0.5, 1), 5e-324, 2.0**53, 1e280, 0.0]


@st.composite
def formats(draw):
    signed = draw(st.booleans())
    return FixedPoint(
        draw(st.integers(2 if signed else 1, 16)),
        draw(st.integers(-64, 64)),
        signed,
        draw(st.sampled_from(OVERFLOWS)),
        draw(st.sampled_from(ROUNDINGS)),
    )


@st.composite
def values_of(draw, number):
    """float64 values: any, and multiples of a quarter of the last bit, around the range's ends."""
    quarter = 2.0 ** (-number.fraction_bits - 2)
    most = 4 * 2 ** (number.bits + 1)
    quarters = st.integers(-most, most).map(lambda n: n * quarter)
    special = st.sampled_from(BESIDE_A_HALF).map(lambda v: v * draw(st.sampled_from([1, -1])))
    anything = st.floats(-1e280, 1e280)
    return np.array(draw(st.lists(st.one_of(quarters, special, anything), max_size=6)))


def exact_level(value, number):
    steps = Fraction(float(value)) * Fraction(2) ** number.fraction_bits
    return naive.fixed_point_level(
        steps, number.bits, number.signed, number.overflow, number.rounding
    )


@given(st.data(), formats())
def test_every_value_gets_the_level_of_exact_arithmetic(data, number):
    values = data.draw(values_of(number))
    quantized = number.quantize(values)
    assert quantized.levels.dtype == np.int32
    assert quantized.levels.tolist() == [exact_level(v, number) for v in values]


@given(formats())
def test_the_scale_is_the_last_bit_whatever_the_data_and_the_rule(number):
    own = Fraction(2) ** -number.fraction_bits
    for real in (np.zeros(3), np.array([5.0, -1e-9])):
        for rule in (None, least_square_error, np.float32(2.0**-number.fraction_bits)):
            quantized = number.quantize(real, scale=rule)
            assert Fraction(float(quantized.scale)) == own
        bound, scale = number.bind(Found(-5.0, 5.0), lambda scale: scale * np.float32(2))
        assert bound == number
        assert Fraction(float(scale)) == own


@given(formats())
def test_levels_are_all_words_of_the_width(number):
    count = 2**number.bits
    assert number.levels().tolist() == list(range(number.min_level, number.min_level + count))
    assert number.min_level == (-count // 2 if number.signed else 0)
    np.testing.assert_array_equal(number.decode(number.encode(number.levels())), number.levels())
    assert (number.encode(number.levels()) == number.levels() % count).all()


@given(formats(), st.integers(-9, 9))
def test_wrapping_repeats_after_the_number_of_words(number, turns):
    wrapping = FixedPoint(number.bits, 0, number.signed, "wrap", number.rounding)
    eighths = np.arange(1, 2 * 8) / 8  # on one side of 0: some roundings are not those of the other
    moved = eighths + abs(turns) * 2.0**number.bits
    np.testing.assert_array_equal(wrapping.nearest(moved), wrapping.nearest(eighths))


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("signed", [True, False])
def test_levels_begin_at_their_boundaries(rounding, signed):
    number = FixedPoint(3, 0, signed, rounding=rounding)
    levels = number.levels().tolist()
    for below, level, (begin, owned) in zip(levels, levels[1:], number.boundaries(), strict=False):
        sides = [begin - Fraction(1, 8), begin, begin + Fraction(1, 8)]
        got = number.nearest(np.array([float(side) for side in sides])).tolist()
        assert got == [below, level if owned else below, level]


def test_levels_that_wrap_have_no_boundaries():
    with pytest.raises(ValueError, match="wrap around and have no thresholds"):
        FixedPoint(4, 0, overflow="wrap").boundaries()


@pytest.mark.parametrize(
    ("rounding", "levels"),
    [
        ("half_even", [-2, -2, 0, 0, 2, 2]),
        ("half_up", [-2, -1, 0, 1, 2, 3]),
        ("half_away", [-3, -2, -1, 1, 2, 3]),
        ("floor", [-3, -2, -1, 0, 1, 2]),
        ("ceil", [-2, -1, 0, 1, 2, 3]),
        ("toward_zero", [-2, -1, 0, 0, 1, 2]),
    ],
)
def test_halves(rounding, levels):
    halves = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5])
    assert FixedPoint(8, 0, rounding=rounding).nearest(halves).tolist() == levels


def test_words_at_the_ends_of_the_range():
    ends = np.array([-8.5, -8, 7, 7.4, 8, 23, 1e30])
    assert FixedPoint(4, 0).nearest(ends).tolist() == [-8, -8, 7, 7, 7, 7, 7]
    wrapped = [-8, -8, 7, 7, -8, 7, 0]  # 1e30 is a multiple of 2**30
    assert FixedPoint(4, 0, overflow="wrap").nearest(ends).tolist() == wrapped


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("overflow", OVERFLOWS)
def test_only_saturating_ties_to_even_round_as_the_kernels_do(rounding, overflow):
    number = FixedPoint(4, 0, overflow=overflow, rounding=rounding)
    assert number.rounds_half_even == (rounding == "half_even" and overflow == "saturate")


def test_unsigned_numbers_refuse_negative_data():
    assert FixedPoint(4, 2, signed=False).refuses_negative
    assert not FixedPoint(4, 2).refuses_negative


@pytest.mark.parametrize("scale", [0.5, [0.25, 0.125]])
def test_another_scale_is_refused(scale):
    with pytest.raises(ValueError, match=r"has the scale 0.25, not"):
        FixedPoint(4, 2).quantize(np.ones(2), scale=np.float32(scale))


def test_values_beyond_float64_in_steps_are_refused():
    with pytest.raises(ValueError, match="too large to count the steps"):
        FixedPoint(4, 64).quantize(np.array([1e300]))


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"bits": 1, "fraction_bits": 0}, "signed fixed point has 2 to 16 bits, not 1"),
        ({"bits": 17, "fraction_bits": 0, "signed": False}, "has 1 to 16 bits, not 17"),
        ({"bits": 4, "fraction_bits": 65}, "fraction_bits is -64 to 64, not 65"),
        ({"bits": 4, "fraction_bits": 0.5}, "fraction_bits is -64 to 64, not 0.5"),
        ({"bits": 4, "fraction_bits": 0, "overflow": "clip"}, "one of saturate, wrap, not 'clip'"),
        ({"bits": 4, "fraction_bits": 0, "rounding": "up"}, "toward_zero, not 'up'"),
    ],
)
def test_impossible_parameters_are_refused(arguments, problem):
    with pytest.raises(ValueError, match=problem):
        FixedPoint(**arguments)
