from fractions import Fraction

import naive
import numpy as np
import pytest

from qsim.formats import PowerOfTwo, Sp2


@pytest.mark.parametrize("bits", range(3, 9))
def test_levels_are_the_printed_definition_in_whole_units(bits):
    magnitudes = naive.sp2_magnitudes(bits)
    unit = Fraction(1, 2 ** (2 ** Sp2(bits).term_bits[0] - 1))
    expected = {sign * int(m / unit) for m in magnitudes for sign in (-1, 1)}
    assert all(m % unit == 0 for m in magnitudes)
    assert set(Sp2(bits).levels().tolist()) == expected
    assert Sp2(bits).unit == unit


@pytest.mark.parametrize(
    ("bits", "size"), [(3, 5), (4, 13), (5, 15), (6, 47), (7, 59), (8, 187)]
)  # MSQ Eq. (8), enumerated; 187 agrees with a public implementation
def test_the_codebook_has_the_published_size(bits, size):
    assert Sp2(bits).levels().size == size


def test_four_bits_are_seven_magnitudes():
    assert Sp2(4).levels().tolist() == [-8, -6, -5, -4, -2, -1, 0, 1, 2, 4, 5, 6, 8]


@pytest.mark.parametrize("number", [Sp2(4), Sp2(8), PowerOfTwo(4)], ids=str)
def test_shifts_stand_for_the_level_of_each_code(number):
    codes = np.arange(2**number.bits)
    shifts = zip(*number.shifts(codes), strict=True)
    assert [naive.shifted_weight(*s) for s in shifts] == number.code_table().tolist()


def test_powers_of_two_crowd_around_zero():
    assert PowerOfTwo(4).levels().tolist() == [
        -64, -32, -16, -8, -4, -2, -1, 0, 1, 2, 4, 8, 16, 32, 64,
    ]  # fmt: skip
