import naive
import numpy as np
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

from qsim.kernels.concat import concat_float, concat_shift

LIMITS = st.sampled_from([(0, 15), (-128, 127), (0, 0), (-(2**24), 2**24)])
LARGEST = st.sampled_from([1, 300, 2**31 - 1])


@st.composite
def parts(draw):
    """Levels that fit along an axis, and the axis."""
    shape, axis = [draw(st.integers(0, 3)) for _ in range(3)], draw(st.integers(0, 2))
    shapes = [[*shape[:axis], draw(st.integers(0, 3)), *shape[axis + 1 :]] for _ in range(3)]
    count = draw(st.integers(1, 3))
    return [draw(strategies.levels(tuple(s), draw(LARGEST))) for s in shapes[:count]], axis


def expected_levels(arrays, axis, level):
    """``level(i, total)`` of the i-th array's levels, taken one by one from the joined array."""
    owner = np.concatenate([np.full(a.shape, i) for i, a in enumerate(arrays)], axis=axis)
    joined = np.concatenate(arrays, axis=axis)
    return [level(int(i), int(t)) for i, t in zip(owner.flat, joined.flat, strict=True)]


@given(parts(), LIMITS, st.data())
def test_every_level_is_requantized_by_its_own_multiplier(operands, limits, data):
    arrays, axis = operands
    factors = [data.draw(strategies.positive_scales()) for _ in arrays]
    got = concat_float(list(zip(arrays, factors, strict=True)), *limits, axis=axis)
    expected = expected_levels(
        arrays, axis, lambda i, t: naive.requantize_float([(t, factors[i])], *limits)
    )
    assert got.shape == np.concatenate(arrays, axis=axis).shape
    assert got.ravel().tolist() == expected


@given(parts(), LIMITS, st.data())
def test_every_level_is_shifted_by_its_own_shift(operands, limits, data):
    arrays, axis = operands
    shifts = [data.draw(st.integers(-8, 62)) for _ in arrays]
    got = concat_shift(list(zip(arrays, shifts, strict=True)), *limits, axis=axis)

    def level(i, total):
        left, right = max(-shifts[i], 0), max(shifts[i], 0)
        return naive.requantize_shift(total * 2**left, right, *limits)

    assert got.ravel().tolist() == expected_levels(arrays, axis, level)


def test_levels_of_the_same_scale_stay_as_they_are():
    a, b = np.array([[1, -2]]), np.array([[127]])
    one = np.float32(1)
    assert concat_float([(a, one), (b, one)], -128, 127).tolist() == [[1, -2, 127]]
    assert concat_shift([(a, 0), (b, 0)], -128, 127).tolist() == [[1, -2, 127]]


def test_a_half_goes_to_the_even_level():
    halves = np.array([[1, 3, 5]])
    assert concat_float([(halves, np.float32(0.5))], -128, 127).tolist() == [[0, 2, 2]]
    assert concat_shift([(halves, 1)], -128, 127).tolist() == [[0, 2, 2]]


@pytest.mark.parametrize(
    ("shapes", "problem"),
    [
        ([], "nothing to concatenate"),
        ([(2,)], "need channels"),
        ([(1, 2, 3), (1, 2, 4)], "dimension"),
    ],
)
def test_parts_that_do_not_fit_are_refused(shapes, problem):
    arrays = [np.zeros(shape, int) for shape in shapes]
    with pytest.raises(ValueError, match=problem):
        concat_float([(a, np.float32(1)) for a in arrays], 0, 1)
    with pytest.raises(ValueError, match=problem):
        concat_shift([(a, 0) for a in arrays], 0, 1)


def test_a_multiplier_per_channel_is_refused():
    with pytest.raises(ValueError, match="one factor for all"):
        concat_float([(np.zeros((1, 2), int), np.ones(2, np.float32))], 0, 1)


def test_a_shift_to_the_left_beyond_64_bits_is_refused():
    with pytest.raises(OverflowError, match="too far apart for 64 bits"):
        concat_shift([(np.array([[1]]), -63)], 0, 1)
