from fractions import Fraction

import naive
import numpy as np
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

from qsim.kernels.pool import (
    average_pool,
    divide_half_away,
    divide_half_even,
    max_pool,
    sum_pool,
)


@st.composite
def pool_operands(draw, padded):
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel, stride = draw(pair), draw(pair)
    edges = [draw(st.integers(0, kernel[i % 2] - 1)) if padded else 0 for i in range(4)]
    sides = [
        draw(st.integers(max(1, kernel[i] - edges[i] - edges[i + 2]), kernel[i] + 3))
        for i in (0, 1)
    ]
    shape = (draw(st.integers(0, 2)), draw(st.integers(0, 2)), *sides)
    return draw(strategies.levels(shape)), kernel, stride, tuple(edges)


@given(pool_operands(padded=True))
def test_max_pool_equals_the_naive_one(operands):
    x, kernel, stride, padding = operands
    got = max_pool(x, kernel, stride=stride, padding=padding)
    expected = naive.pool(x, kernel, stride, padding, max)
    np.testing.assert_array_equal(got, np.array(expected, np.int64).reshape(got.shape))


@given(pool_operands(padded=False))
def test_sum_pool_equals_the_naive_one(operands):
    x, kernel, stride, padding = operands
    got = sum_pool(x, kernel, stride=stride)
    expected = naive.pool(x, kernel, stride, padding, sum)
    np.testing.assert_array_equal(got, np.array(expected, np.int64).reshape(got.shape))


@given(pool_operands(padded=False))
def test_average_pool_equals_the_naive_one(operands):
    x, kernel, stride, padding = operands
    got = average_pool(x, kernel, stride=stride)
    expected = naive.pool(
        x, kernel, stride, padding, lambda v: naive.half_even(Fraction(sum(v), len(v)))
    )
    np.testing.assert_array_equal(got, np.array(expected, np.int64).reshape(got.shape))


@given(pool_operands(padded=False))
def test_average_pool_away_from_zero_equals_the_naive_one(operands):
    x, kernel, stride, padding = operands
    got = average_pool(x, kernel, stride=stride, rounding="half_away")
    expected = naive.pool(
        x, kernel, stride, padding, lambda v: naive.half_away(Fraction(sum(v), len(v)))
    )
    np.testing.assert_array_equal(got, np.array(expected, np.int64).reshape(got.shape))


@given(
    st.one_of(
        st.integers(-40, 40), st.integers(-(2**61), 2**61), st.sampled_from([-(2**61), 2**61])
    ),
    st.integers(1, 2**16),
)
def test_division_rounds_a_half_away_from_zero(total, divisor):
    got = divide_half_away(np.array([total]), divisor)
    assert int(got[0]) == naive.half_away(Fraction(total, divisor))


def test_halves_of_both_signs_go_away_from_zero():
    assert divide_half_away(np.array([-5, -3, -1, 0, 1, 3, 5]), 2).tolist() == [
        -3, -2, -1, 0, 1, 2, 3,
    ]  # fmt: skip
    x = np.array([[[[-1, 0]]], [[[1, 0]]]])
    assert average_pool(x, (1, 2), rounding="half_away").ravel().tolist() == [-1, 1]
    assert average_pool(x, (1, 2)).ravel().tolist() == [0, 0]


@given(st.integers(-(2**60), 2**60), st.integers(1, 2**16))
def test_division_rounds_a_half_to_the_even_integer(total, divisor):
    got = divide_half_even(np.array([total]), divisor)
    assert int(got[0]) == naive.half_even(Fraction(total, divisor))


def test_the_stride_is_by_default_the_window():
    assert max_pool(np.zeros((1, 1, 4, 6), int), (2, 3)).shape == (1, 1, 2, 2)
    assert sum_pool(np.zeros((1, 1, 4, 6), int), (2, 3)).shape == (1, 1, 2, 2)


@pytest.mark.parametrize("padding", [(2, 0, 0, 0), (0, 0, 2, 0), (0, 3, 0, 0), (0, 0, 0, 3)])
def test_padding_as_large_as_the_window_is_refused(padding):
    with pytest.raises(ValueError, match="not less than the window"):
        max_pool(np.zeros((1, 1, 4, 4), int), (2, 3), padding=padding)


def test_an_image_smaller_than_the_window_is_refused():
    with pytest.raises(ValueError, match="window of 3 does not fit"):
        sum_pool(np.zeros((1, 1, 2, 2), int), (3, 3))


@pytest.mark.parametrize("shape", [(4, 4), (1, 1, 0, 4), (1, 1, 4, 0)])
def test_anything_but_images_is_refused(shape):
    with pytest.raises(ValueError, match="4-D input with rows and columns"):
        max_pool(np.zeros(shape, int), (2, 2), padding=(1, 1, 1, 1))


@pytest.mark.parametrize(
    "window", [{"kernel": (0, 1)}, {"stride": (1, 0)}, {"padding": (-1, 0, 0, 0)}]
)
def test_impossible_windows_are_refused(window):
    arguments = {"kernel": (2, 2)} | window
    with pytest.raises(ValueError, match=r"no window has sides|not less than the window"):
        max_pool(np.zeros((1, 1, 4, 4), int), **arguments)


def test_sums_that_could_leave_64_bits_are_refused():
    with pytest.raises(OverflowError, match="sums of 4 levels"):
        sum_pool(np.full((1, 1, 2, 2), 2**61), (2, 2))
    assert sum_pool(np.full((1, 1, 2, 2), 2**61 - 1), (2, 2)).item() == 4 * (2**61 - 1)
