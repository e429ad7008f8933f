import naive
import numpy as np
import pytest
import strategies
from hypothesis import example, given
from hypothesis import strategies as st

from qsim.kernels.requantize_double import requantize_double

LIMITS = st.sampled_from([(-128, 127), (0, 255), (0, 0), (-(2**24), 2**24)])


def level(total, multiplier, low=-128, high=127):
    return int(requantize_double(np.array([[total]]), np.array([multiplier]), low, high)[0, 0])


@st.composite
def operands(draw):
    images, channels, inner = (draw(st.integers(0, n)) for n in (2, 3, 3))
    multipliers = draw(strategies.real_multipliers((channels,)))
    sums = np.zeros((images, channels, inner), np.int64)
    for at in np.ndindex(sums.shape):
        sums[at] = draw(strategies.int32_sums(multipliers[at[1]]))
    return sums, multipliers


@given(operands(), LIMITS)
@example((np.array([[5, -5]]), np.array([0.5, 0.5])), (-128, 127))
@example((np.array([[49, -(2**31)]]), np.array([1 / 49 / 2, 2.0**63])), (-128, 127))
def test_it_equals_exact_rounding_of_the_float64_product(operands, limits):
    sums, multipliers = operands
    got = requantize_double(sums, multipliers, *limits)
    assert (got.shape, got.dtype) == (sums.shape, np.int32)
    for at in np.ndindex(sums.shape):
        expected = naive.requantize_double(int(sums[at]), float(multipliers[at[1]]), *limits)
        assert got[at] == expected


@pytest.mark.parametrize(("total", "expected"), [(1, 1), (-1, -1), (3, 2), (-3, -2), (0, 0)])
def test_a_half_goes_away_from_zero(total, expected):
    assert level(total, 0.5) == expected


def test_what_is_just_below_a_half_stays_below():
    assert level(1, np.nextafter(0.5, 0)) == 0
    assert level(-1, np.nextafter(0.5, 0)) == 0


@pytest.mark.parametrize("multiplier", [0.0, -1.0, np.nan, np.inf, 2.0**64])
def test_multipliers_that_are_not_positive_are_refused(multiplier):
    with pytest.raises(ValueError, match="positive and less"):
        level(1, multiplier)


def test_other_operands_are_refused():
    with pytest.raises(TypeError, match="float64, not float32"):
        requantize_double(np.ones((1, 1), int), np.ones(1, np.float32), 0, 1)
    with pytest.raises(OverflowError, match="does not fit int32"):
        level(2**31 + 1, 0.5)
    with pytest.raises(ValueError, match="does not fit"):
        requantize_double(np.ones((1, 2), int), np.ones(1), 0, 1)
    with pytest.raises(ValueError, match="no range within 24 bits"):
        level(1, 0.5, 1, 0)
