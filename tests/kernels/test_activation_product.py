import naive
import numpy as np
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

from qsim.kernels.accumulator import Accumulator
from qsim.kernels.activation_product import matmul


@st.composite
def matrices(draw):
    outer = tuple(draw(st.lists(st.integers(0, 2), max_size=2)))
    rows, depth, columns = (draw(st.integers(0, 3)) for _ in range(3))
    limit = draw(st.sampled_from([1, 255, 2**15, 2**29]))
    left = draw(strategies.levels((*outer, rows, depth), limit))
    return left, draw(strategies.levels((*outer, depth, columns), limit))


@given(matrices())
def test_the_product_is_the_naive_one(operands):
    left, right = operands
    got = matmul(left, right, accumulator=Accumulator(64))
    assert got.shape == (*left.shape[:-1], right.shape[-1])
    for at in np.ndindex(left.shape[:-2]):
        expected = naive.matmul(left[at], right[at]) if right[at].size else np.zeros(got[at].shape)
        np.testing.assert_array_equal(got[at], np.reshape(expected, got[at].shape))


def test_a_narrow_accumulator_saturates_in_order():
    left, right = np.array([[7, 7, -7]]), np.array([[1], [1], [1]])
    assert matmul(left, right, accumulator=Accumulator(4, "saturate")).tolist() == [[0]]
    assert matmul(left, right, accumulator=Accumulator(4, "wrap")).tolist() == [[7]]


def test_sums_that_could_overflow_are_refused():
    with pytest.raises(OverflowError, match="can overflow"):
        matmul(np.full((1, 3), 2**15), np.full((3, 1), 2**15))


@pytest.mark.parametrize(
    ("left", "right"),
    [((2, 3), (2, 3)), ((3,), (3, 1)), ((1, 2, 3), (3, 2)), ((1, 2, 3), (2, 3, 1))],
)
def test_shapes_that_do_not_fit_are_refused(left, right):
    with pytest.raises(ValueError, match="cannot multiply"):
        matmul(np.zeros(left, int), np.zeros(right, int))
