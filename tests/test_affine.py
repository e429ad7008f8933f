from fractions import Fraction

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsim.affine import Affine, uniform_thresholds
from qsim.kernels.fixed_multiplier import requantize_fixed
from qsim.kernels.requantize import requantize_shift
from qsim.thresholds import Thresholds, thresholds_of


def one_channel(values, lowest, highest, falling=False, low=0):
    return Thresholds(
        np.array([values], np.int64).reshape(1, -1),
        np.array([falling]),
        low,
        np.array([lowest]),
        np.array([highest]),
    )


def assert_same_levels(found, thresholds, sums):
    """The affine function and the thresholds give each of ``sums`` one level, in every channel."""
    for c, affine in enumerate(found):
        for total in sums:
            expected = naive.threshold_level(
                total, thresholds.values[c], thresholds.falling[c], thresholds.low
            )
            got = naive.affine_level(
                total, affine.multiplier, affine.offset, thresholds.low, thresholds.high
            )
            assert got == expected


@st.composite
def small_thresholds(draw):
    """Up to 6 thresholds, those at the ends reached by all or none."""
    lowest = draw(st.integers(-30, 0))
    highest = lowest + draw(st.integers(0, 40))
    falling = draw(st.booleans())
    values = st.integers(lowest - falling, highest + 1 - falling)
    return one_channel(
        sorted(draw(st.lists(values, max_size=6))),
        lowest,
        highest,
        falling,
        draw(st.integers(-3, 3)),
    )


@given(small_thresholds())
def test_thresholds_are_recognised_just_when_a_rounded_line_exists(thresholds):
    values, lowest, highest = (
        thresholds.values[0].tolist(),
        int(thresholds.lowest[0]),
        int(thresholds.highest[0]),
    )
    if thresholds.falling[0]:
        values, lowest, highest = [-v for v in values[::-1]], -highest, -lowest
    found = uniform_thresholds(thresholds)
    assert (found is not None) == naive.is_rounded_line(values, lowest, highest)
    if found is not None:
        sums = range(int(thresholds.lowest[0]), int(thresholds.highest[0]) + 1)
        assert_same_levels(found, thresholds, sums)


@given(
    st.integers(-50, 50),
    st.integers(1, 400),
    st.integers(-2000, 2000),
    st.sampled_from([(0, 1), (0, 15), (-7, 7)]),
)
def test_thresholds_of_an_affine_function_are_recognised_for_all_sums(num, den, off, limits):
    thresholds = thresholds_of(
        lambda sums: ((sums * num + off) // den).clip(*limits),
        np.array([-300]),
        np.array([299]),
        *limits,
    )
    assert_same_levels(uniform_thresholds(thresholds), thresholds, range(-300, 300))


def test_one_rounding_by_an_integer_multiplier_is_affine():
    multiplier = np.array([0.0123, 3 / 8, 2.0**-24])
    thresholds = thresholds_of(
        lambda sums: requantize_fixed(sums, multiplier, -128, 127, rounding="tflite"),
        np.full(3, -(2**31)),
        np.full(3, 2**31 - 1),
        -128,
        127,
    )
    found = uniform_thresholds(thresholds)
    for c, affine in enumerate(found):
        near = [int(v) + d for v in thresholds.values[c] for d in (-1, 0)]
        sums = [s for s in near if -(2**31) <= s < 2**31]
        assert_same_levels(
            [affine], one_channel(thresholds.values[c], -(2**31), 2**31 - 1, low=-128), sums
        )
    assert [a.multiplier for a in found[1:]] == [Fraction(3, 8), Fraction(1, 2**24)]


def test_a_half_to_the_even_integer_is_not_affine():
    thresholds = thresholds_of(
        lambda sums: requantize_shift(sums, np.array([1]), -7, 7),
        np.array([-100]),
        np.array([100]),
        -7,
        7,
    )  # 0, 0, 1: halves to the even integer make steps of 1 and 3 sums
    assert uniform_thresholds(thresholds) is None


def test_a_curve_is_not_affine():
    thresholds = thresholds_of(
        lambda sums: np.rint(15 * np.tanh(sums / 100)).astype(int),
        np.array([-400]),
        np.array([400]),
        -15,
        15,
    )
    assert uniform_thresholds(thresholds) is None


@pytest.mark.parametrize(
    ("values", "falling", "multiplier", "offset"),
    [
        ([10, 20, 30], False, Fraction(1, 10), Fraction(0)),
        ([10, 20, 30], True, Fraction(-1, 10), Fraction(4)),
        ([3, 6, 10], False, Fraction(2, 7), Fraction(2, 7)),  # a step of 3 to 4: 7/2, from -1
        ([-100, -100, 101], False, Fraction(0), Fraction(2)),
        ([], False, Fraction(0), Fraction(0)),
    ],
)
def test_affine_functions_worked_by_hand(values, falling, multiplier, offset):
    found = uniform_thresholds(one_channel(values, -100, 100, falling))
    assert found == (Affine(multiplier, offset),)


def test_the_widest_ranges_are_solved():
    step = 2**57 + 12345
    values = [step * k // 3 for k in range(-7, 8)]
    thresholds = one_channel(values, 1 - 2**62, 2**62 - 1)
    found = uniform_thresholds(thresholds)
    assert_same_levels(found, thresholds, [v + d for v in values for d in (-1, 0)])


def test_one_channel_without_a_line_leaves_none():
    thresholds = Thresholds(
        np.array([[1, 2, 3], [1, 2, 9]]),
        np.array([False, False]),
        0,
        np.array([-20, -20]),
        np.array([20, 20]),
    )
    assert uniform_thresholds(thresholds) is None
