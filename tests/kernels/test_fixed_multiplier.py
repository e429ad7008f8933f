from fractions import Fraction

import naive
import numpy as np
import pytest
import strategies
from hypothesis import example, given
from hypothesis import strategies as st

from qsim.kernels.fixed_multiplier import (
    ROUNDINGS,
    apply_multiplier,
    quantize_multiplier,
    requantize_fixed,
)
from qsim.kernels.requantize import requantize_float

LIMITS = st.sampled_from([(-128, 127), (0, 255), (-7, 7), (0, 0), (-(2**24), 2**24)])
EVERY_ROUNDING = pytest.mark.parametrize("rounding", ROUNDINGS)


def level(total, multiplier, rounding, low=-128, high=127):
    """The level of a single sum."""
    sums, multipliers = np.array([[total]]), np.array([multiplier], np.float64)
    return int(requantize_fixed(sums, multipliers, low, high, rounding=rounding)[0, 0])


@given(strategies.real_multipliers((3,)))
@example(np.array([2.0**-32, np.nextafter(2.0**-32, 0), np.nextafter(2.0**-32, 1)]))
@example(np.array([2.0**-33, np.nextafter(2.0**-33, 1), 5e-324]))
@example(np.array([1 - 2.0**-32, 1 - 2.0**-31, np.nextafter(1 - 2.0**-32, 0)]))
@example(np.array([0.5 + 2.0**-32, np.nextafter(0.5 + 2.0**-32, 0), 2.0**29]))
def test_a_multiplier_is_quantized_as_in_exact_arithmetic(real):
    multiplier, shift = quantize_multiplier(real)
    expected = [naive.quantize_multiplier(Fraction(float(r))) for r in real]
    assert list(zip(multiplier.tolist(), shift.tolist(), strict=True)) == expected


@st.composite
def operands(draw):
    """Sums (images, channels, inner) and the multipliers of their channels."""
    images, channels, inner = (draw(st.integers(0, n)) for n in (2, 3, 4))
    multipliers = draw(strategies.real_multipliers((channels,)))
    sums = np.zeros((images, channels, inner), np.int64)
    for at in np.ndindex(sums.shape):
        sums[at] = draw(strategies.int32_sums(multipliers[at[1]]))
    return sums, multipliers


@EVERY_ROUNDING
@given(operands(), LIMITS)
def test_each_rounding_equals_the_naive_one(rounding, operands, limits):
    sums, multipliers = operands
    got = requantize_fixed(sums, multipliers, *limits, rounding=rounding)
    assert got.dtype == np.int32
    for at in np.ndindex(got.shape):
        real = Fraction(float(multipliers[at[1]]))
        assert int(got[at]) == naive.requantize_fixed(int(sums[at]), real, *limits, rounding)


@EVERY_ROUNDING
@given(st.integers(2, 63), st.integers(-8, -1), st.integers(-(2**24), 2**24))
def test_each_rounding_is_within_one_of_the_real_product(rounding, fraction, exponent, total):
    real = Fraction(fraction) * Fraction(2) ** exponent
    got = level(total, float(real), rounding, -(2**24), 2**24)
    assert abs(got - min(max(real * total, -(2**24)), 2**24)) < 1


@EVERY_ROUNDING
@given(operands())
def test_a_larger_sum_never_has_a_smaller_level(rounding, operands):
    sums, multipliers = operands
    ordered = np.sort(sums, axis=2)
    got = requantize_fixed(ordered, multipliers, -(2**24), 2**24, rounding=rounding)
    assert (np.diff(got, axis=2) >= 0).all()


@pytest.mark.parametrize(
    ("total", "multiplier", "once", "reference", "builtin"),
    [
        (1, 3 / 8, 0, 1, 1),  # 0.375; 0.75 is rounded to 1, and a half of that up
        (-1, 3 / 8, 0, -1, 0),  # -0.75 is rounded to -1, and a half of that away, or up
        (3, 3 / 8, 1, 1, 1),  # 1.125; 2.25 is rounded to 2
        (2, 1 / 4, 1, 1, 1),  # 0.5: up and away are one
        (-2, 1 / 4, 0, -1, 0),  # -0.5: up is 0, away is -1
        (-6, 1 / 4, -1, -2, -1),  # -1.5
        (-1, 1 / 2, 0, 0, 0),  # -0.5 in the first rounding: up in all
        (-3, 1 / 2, -1, -1, -1),
        (5, 3 / 4, 4, 4, 4),  # 3.75, nothing left to shift
        (7, 3.0, 21, 21, 21),  # shifted to the left before the product
        (2**31 - 1, 2.0**-31, 1, 1, 1),
        (-(2**31), 2.0**-31, -1, -1, -1),
        (-(2**30), 2.0**-31, 0, -1, 0),  # -0.5 at nearly the largest shift
        (-(2**31), 2.0**-32, 0, -1, 0),  # and at the largest
        (2**31 - 1, 2.0**-33, 0, 0, 0),  # a multiplier that is stored as 0
    ],
)
def test_the_roundings_differ_where_the_arithmetic_says(
    total, multiplier, once, reference, builtin
):
    assert [level(total, multiplier, rounding) for rounding in ROUNDINGS] == [
        once,
        reference,
        builtin,
    ]


def test_a_half_is_even_only_in_float():
    assert level(1, 1 / 2, "tflite") == 1
    assert requantize_float([(np.array([[1]]), np.array([0.5], np.float32))], -8, 7)[0, 0] == 0


def test_an_integer_multiplier_keeps_bits_that_float32_loses():
    total, multiplier = 2**24 + 1, 1 / 2  # float32 has no such sum
    assert level(total, multiplier, "tflite", -(2**24), 2**24) == 2**23 + 1
    term = (np.array([[total]]), np.array([multiplier], np.float32))
    assert requantize_float([term], -(2**24), 2**24)[0, 0] == 2**23


def test_one_rounding_may_shift_the_sum_beyond_int32_if_its_result_fits():
    total, multiplier = 2**29, 3.9  # shifted by 2 before the product
    assert level(total, multiplier, "tflite") == 127
    with pytest.raises(OverflowError, match="shifted to the left"):
        level(total, multiplier, "tflite-builtin")


@EVERY_ROUNDING
@pytest.mark.parametrize("total", [2**31, -(2**31) - 1])
def test_a_sum_outside_int32_is_refused(rounding, total):
    with pytest.raises(OverflowError, match="does not fit int32"):
        level(total, 0.5, rounding)


@pytest.mark.parametrize(("total", "fits"), [(-(2**29), True), (-(2**29) - 1, False)])
@pytest.mark.parametrize("rounding", ["tflite-reference", "tflite-builtin"])
def test_a_sum_shifted_beyond_int32_is_refused(rounding, total, fits):
    if fits:
        assert level(total, 2.0, rounding) == -128
    else:
        with pytest.raises(OverflowError, match="shifted to the left"):
            level(total, 2.0, rounding)


@pytest.mark.parametrize(("total", "fits"), [(2**30 - 1, True), (2**30, False)])
def test_a_result_beyond_int32_is_refused(total, fits):
    if fits:
        assert level(total, 2.0, "tflite") == 127
    else:
        with pytest.raises(OverflowError, match="times its multiplier does not fit int32"):
            level(total, 2.0, "tflite")


def test_an_unknown_rounding_is_refused():
    with pytest.raises(ValueError, match="tflite, tflite-reference, tflite-builtin, not 'up'"):
        level(1, 0.5, "up")


@pytest.mark.parametrize("multiplier", [0.0, -1.0, np.nan, np.inf])
def test_multipliers_that_are_not_positive_are_refused(multiplier):
    with pytest.raises(ValueError, match="positive and finite"):
        level(1, multiplier, "tflite")


@pytest.mark.parametrize("multiplier", [2.0**30, np.nextafter(2.0**30, 0)])
def test_multipliers_beyond_the_largest_shift_are_refused(multiplier):
    with pytest.raises(ValueError, match=r"less than 2\*\*30"):
        level(0, multiplier, "tflite")


def test_one_multiplier_among_others_is_refused():
    with pytest.raises(ValueError, match=r"less than 2\*\*30"):
        quantize_multiplier(np.array([0.5, 2.0**30, 0.25]))


def test_multipliers_of_float32_are_refused():
    with pytest.raises(TypeError, match="float64, not float32"):
        quantize_multiplier(np.ones(1, np.float32))


def test_sums_that_are_no_integers_are_refused():
    with pytest.raises(TypeError, match="integers"):
        requantize_fixed(np.zeros((1, 1)), np.ones(1), 0, 15, rounding="tflite")


def test_limits_that_are_no_range_are_refused():
    with pytest.raises(ValueError, match="no range within 24 bits"):
        level(1, 0.5, "tflite", 1, 0)


@pytest.mark.parametrize(("sums", "per_channel"), [((2,), (2,)), ((1, 3), (2,))])
def test_shapes_that_do_not_fit_are_refused(sums, per_channel):
    with pytest.raises(ValueError, match="does not fit"):
        requantize_fixed(np.zeros(sums, int), np.ones(per_channel), 0, 15, rounding="tflite")


@EVERY_ROUNDING
@given(operands())
def test_stored_multipliers_give_the_levels_of_the_real_ones(rounding, operands):
    sums, real = operands
    stored = quantize_multiplier(real)
    np.testing.assert_array_equal(
        apply_multiplier(sums, *stored, (-128, 127), rounding=rounding),
        requantize_fixed(sums, real, -128, 127, rounding=rounding),
    )


@pytest.mark.parametrize(
    ("multiplier", "shift", "problem"),
    [
        (-1, 0, "a multiplier is 0 to 2147483647"),
        (2**31, 0, "a multiplier is 0 to 2147483647"),
        (2**30, -32, "a shift is -31 to 30"),
        (2**30, 31, "a shift is -31 to 30"),
    ],
)
def test_stored_multipliers_that_are_none_are_refused(multiplier, shift, problem):
    stored = np.array([multiplier]), np.array([shift])
    with pytest.raises(ValueError, match=problem):
        apply_multiplier(np.zeros((1, 1), int), *stored, (0, 1), rounding="tflite")
