"""QONNX's integer quantizer as a format, against its definition in fractions."""

from fractions import Fraction

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsim.formats import Fixed, Quant, describe, parse
from qsim.verify.roundings import level_of_real

ROUNDINGS = ("half_even", "half_away", "half_toward", "floor", "ceil", "toward_zero", "away")
TINY = [0.0, 1e-300, 0.5, np.nextafter(0.5, 0), np.nextafter(0.5, 1), 1 - 2.0**-53, 1e300]


def words(number):
    """The least and the largest word, by counting them."""
    count = 2**number.bits - number.narrow
    least = -(2 ** (number.bits - 1)) + number.narrow if number.signed else 0
    return least, least + count - 1


@st.composite
def formats(draw, most_bits=16):
    signed, narrow = draw(st.booleans()), draw(st.booleans())
    bits = draw(st.integers(2 if signed or narrow else 1, most_bits))
    zero_point = draw(st.one_of(st.just(0), st.integers(-40, 40), st.integers(-(2**17), 2**17)))
    rounding = draw(st.sampled_from(ROUNDINGS))
    return Quant(bits, signed, narrow, zero_point, rounding)


@given(st.data(), formats())
def test_every_value_gets_the_level_of_exact_arithmetic(data, number):
    least, most = (word - number.zero_point for word in words(number))
    quarters = st.integers(4 * least - 9, 4 * most + 9).map(lambda n: n / 4)
    beside = st.tuples(st.integers(least - 2, most + 1), st.sampled_from(TINY)).map(sum)
    special = st.sampled_from(TINY + [-x for x in TINY])
    values = np.array(data.draw(st.lists(st.one_of(quarters, beside, special), max_size=8)))
    got = number.quantize(values, scale=np.float32(1)).levels
    assert got.dtype == np.int32
    wanted = [
        naive.quant_level(Fraction(x), words(number), number.zero_point, number.rounding)
        for x in values.tolist()
    ]
    assert got.tolist() == wanted
    assert [level_of_real(x, number, 1.0) for x in values.tolist()] == wanted


@given(formats())
def test_levels_are_the_words_less_the_zero_point(number):
    least, most = words(number)
    wanted = [word - number.zero_point for word in range(least, most + 1)]
    assert number.levels().tolist() == wanted
    assert (number.min_level, number.max_level) == (wanted[0], wanted[-1])
    np.testing.assert_array_equal(number.decode(number.encode(number.levels())), number.levels())
    codes = number.encode(number.levels()).astype(int)
    assert (codes == np.arange(least, most + 1) % 2**number.bits).all()


@given(formats(most_bits=4))
def test_levels_begin_at_their_boundaries(number):
    levels, boundaries = number.levels().tolist(), number.boundaries()
    assert len(boundaries) == len(levels) - 1
    eighths = range(8 * (levels[0] - 2), 8 * (levels[-1] + 2))
    got = number.nearest(np.array(eighths) / 8).tolist()
    for eighth, level in zip(eighths, got, strict=True):
        begun = [8 * at < eighth or (8 * at == eighth and owned) for at, owned in boundaries]
        assert level == levels[sum(begun)]


@given(formats())
def test_what_it_says_of_its_ties_is_so(number):
    ties = np.arange(number.min_level, min(number.max_level, number.min_level + 50)) + 0.5
    if number.rounds_half_even and ties.size:
        np.testing.assert_array_equal(number.nearest(ties), np.rint(ties))


@pytest.mark.parametrize("bits", [2, 5, 16])
def test_without_zero_point_it_has_the_levels_of_fixed_point(bits):
    for quant, fixed in (
        (Quant(bits, narrow=True), Fixed(bits)),
        (Quant(bits), Fixed(bits, full_range=True)),
        (Quant(bits, signed=False), Fixed(bits, signed=False)),
    ):
        np.testing.assert_array_equal(quant.levels(), fixed.levels())
        assert quant.boundaries() == fixed.boundaries()
        assert quant.rounds_half_even


@given(formats())
def test_its_description_can_be_read_back(number):
    assert parse(describe(number)) == number


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Quant(1), "a signed quant has 2 to 16 bits, not 1"),
        (lambda: Quant(17), "2 to 16 bits, not 17"),
        (lambda: Quant(0, signed=False), "an unsigned quant has 1 to 16 bits, not 0"),
        (lambda: Quant(1, signed=False, narrow=True), "2 to 16 bits, not 1"),
        (lambda: Quant(4, zero_point=2**21), "within 1,048,576 of 0, which 2097152 does not"),
        (lambda: Quant(4, zero_point=0.5), "which 0.5 does not"),
        (lambda: Quant(4, rounding="up"), "rounding is one of half_even, half_away"),
    ],
)
def test_impossible_parameters_are_refused(make, problem):
    with pytest.raises(ValueError, match=problem):
        make()
