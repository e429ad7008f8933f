from fractions import Fraction

import naive
import numpy as np
import pytest
import strategies
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qsim.kernels.requantize import add_aligned, requantize_float, requantize_shift

SUMS = st.one_of(
    st.integers(-40, 40),
    st.integers(2**24 - 3, 2**24 + 3),  # where float32 begins to skip integers
    st.sampled_from([2**31 - 1, -(2**31), 2**40 + 1]),
    st.integers(-(2**40), 2**40),
)
LIMITS = st.sampled_from([(0, 15), (-7, 7), (-128, 127), (0, 0), (-(2**24), 2**24)])
SHAPES = st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 3))


@st.composite
def float_terms(draw, most=3):
    shape = draw(SHAPES)
    count = draw(st.integers(1, most))
    return [
        (
            draw(arrays(np.int64, shape, elements=SUMS)),
            draw(strategies.positive_scales(shape[1:2])),
        )
        for _ in range(count)
    ]


def one_term(total, multiplier):
    return [(np.full((1, 1, 1), total), np.array([multiplier], np.float32))]


@given(float_terms(), LIMITS)
@example(one_term(5, 0.5), (0, 15))
@example(one_term(7, 0.5), (0, 15))
@example(one_term(2**24 + 1, 2.0**-24), (0, 15))
@example(one_term(991009, float.fromhex("0x1.97b7dp-1")), (0, 2**24))  # the product rounds first
@example(
    one_term(1168, float.fromhex("0x1.a18a6cp-2")) + one_term(2640, float.fromhex("0x1.18eb1ap-2")),
    (0, 2**24),
)  # the sum rounds first
def test_float_requantization_equals_exact_float32_arithmetic(terms, limits):
    got = requantize_float(terms, *limits)
    for at in np.ndindex(got.shape):
        pairs = [(int(sums[at]), multiplier[at[1]]) for sums, multiplier in terms]
        assert int(got[at]) == naive.requantize_float(pairs, *limits)


@st.composite
def shifted_sums(draw):
    shape = draw(SHAPES)
    sums = draw(arrays(np.int64, shape, elements=SUMS))
    return sums, draw(arrays(np.int64, shape[1:2], elements=st.integers(0, 62)))


@given(shifted_sums(), LIMITS)
def test_shift_requantization_equals_exact_division(operands, limits):
    sums, shift = operands
    got = requantize_shift(sums, shift, *limits)
    for at in np.ndindex(got.shape):
        expected = naive.requantize_shift(int(sums[at]), int(shift[at[1]]), *limits)
        assert int(got[at]) == expected


@st.composite
def shift_terms(draw):
    shape = draw(SHAPES)
    return [
        (
            draw(arrays(np.int64, shape, elements=st.integers(-(2**31), 2**31))),
            draw(arrays(np.int64, shape[1:2], elements=st.integers(-8, 8))),
        )
        for _ in range(draw(st.integers(1, 3)))
    ]


@given(shift_terms())
def test_aligned_terms_add_exactly(terms):
    sums, shift = add_aligned(terms)
    assert (shift >= 0).all()
    for at in np.ndindex(sums.shape):
        parts = [Fraction(int(t[at])) / Fraction(2) ** int(s[at[1]]) for t, s in terms]
        assert Fraction(int(sums[at])) / 2 ** int(shift[at[1]]) == sum(parts)


def test_a_term_of_no_dimensions_per_channel_is_a_linear_layer():
    got = requantize_float([(np.array([[3, 5]]), np.array([0.5, 0.5], np.float32))], -8, 7)
    np.testing.assert_array_equal(got, [[2, 2]])  # 1.5 and 2.5, halves to even


@pytest.mark.parametrize(
    "far",
    [
        [(np.array([[2**30]]), np.array([0])), (np.array([[1]]), np.array([40]))],
        [(np.array([[2**62]]), np.array([0])), (np.array([[2**62]]), np.array([0]))],
        [(np.array([[1]]), np.array([0])), (np.array([[0]]), np.array([63]))],
    ],
)
def test_scales_too_far_apart_are_refused(far):
    with pytest.raises(OverflowError, match="too far apart"):
        add_aligned(far)


def test_scales_may_lie_apart_as_far_as_64_bits_hold():
    near = [(np.array([[1, 2**40]]), np.array([0, 0])), (np.array([[0, 1]]), np.array([62, 0]))]
    sums, shift = add_aligned(near)
    assert sums.tolist() == [[2**62, 2**40 + 1]]
    assert shift.tolist() == [62, 0]


@pytest.mark.parametrize("multiplier", [0, -1, np.nan, np.inf])
def test_multipliers_that_are_not_positive_are_refused(multiplier):
    with pytest.raises(ValueError, match="positive"):
        requantize_float(one_term(1, multiplier), 0, 15)


def test_products_that_float32_cannot_hold_are_refused():
    with pytest.raises(OverflowError, match="too large for float32"):
        requantize_float(one_term(2**40, 2.0**100), 0, 15)
    with pytest.raises(OverflowError, match="too large for float32"):
        requantize_float(one_term(1, 2.0**121), 0, 15)


def test_multipliers_of_another_type_are_refused():
    with pytest.raises(TypeError, match="a multiplier is float32, not float64"):
        requantize_float([(np.ones((1, 1), int), np.ones(1))], 0, 15)


@pytest.mark.parametrize("shift", [-1, 63])
def test_shifts_that_are_none_are_refused(shift):
    with pytest.raises(ValueError, match="0 to 62"):
        requantize_shift(np.zeros((1, 1), int), np.array([shift]), 0, 15)


@pytest.mark.parametrize(("low", "high"), [(1, 0), (0, 2**25), (-(2**25), 0)])
def test_limits_that_are_no_range_are_refused(low, high):
    with pytest.raises(ValueError, match="no range within 24 bits"):
        requantize_float(one_term(1, 1), low, high)


@pytest.mark.parametrize(("sums", "per_channel"), [((2,), (2,)), ((1, 3), (2,))])
def test_shapes_that_do_not_fit_are_refused(sums, per_channel):
    with pytest.raises(ValueError, match="does not fit"):
        requantize_shift(np.zeros(sums, int), np.zeros(per_channel, int), 0, 15)


def test_halves_of_a_shift_go_to_the_even_level():
    sums = np.array([[-5, -3, -1, 1, 3, 5]])
    got = requantize_shift(sums, np.ones(6, np.int64), -8, 7)
    assert got.tolist() == [[-2, -2, 0, 0, 2, 2]]


def test_one_channel_that_could_leave_64_bits_is_enough_to_refuse():
    small, large = np.array([[1, 1, 1]]), np.array([[1, 2**61, 1]])
    with pytest.raises(OverflowError, match="too far apart"):
        add_aligned([(small, np.array([0, 4, 0])), (large, np.zeros(3, np.int64))])
