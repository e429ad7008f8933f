import naive
import numpy as np
import pytest
import strategies
from exactness import registers
from hypothesis import given

from qsim.kernels.accumulator import Accumulator
from qsim.kernels.layers import linear
from qsim.kernels.level_product import LevelWeights


@given(strategies.linear_operands())
def test_linear_equals_the_naive_sum(operands):
    x, w, bias, accumulator = operands
    got = linear(x, LevelWeights(w), bias, accumulator=accumulator)
    expected = naive.linear(x, w, bias, **registers(accumulator))
    np.testing.assert_array_equal(got, np.array(expected, np.int64).reshape(got.shape))


@pytest.mark.parametrize(
    ("largest", "depth"), [(2**15 - 1, 2), (181, 65541), (46340, 1), (1024, 2048)]
)
def test_sums_are_exact_where_the_narrow_kernel_ends(largest, depth):
    x = np.full((1, depth), largest)
    for w in (np.full((1, depth), largest), np.full((1, depth), -largest)):
        got = linear(x, LevelWeights(w), accumulator=Accumulator(64))
        assert int(got[0, 0]) == depth * largest * int(w[0, 0])


def test_a_sum_that_could_overflow_is_refused():
    with pytest.raises(OverflowError, match="widest safe depth is 2"):
        linear(np.full((1, 3), 7), LevelWeights(np.full((1, 3), 8)), accumulator=Accumulator(8))


def test_a_datapath_refuses_an_overflow_by_itself():
    with pytest.raises(OverflowError, match="widest safe depth is 2"):
        LevelWeights(np.full((1, 3), 8)).dot(np.full((1, 1, 3), 7), Accumulator(8))


def test_a_bias_counts_towards_the_overflow():
    x, w = np.full((1, 2), 7), LevelWeights(np.full((1, 2), 7))
    assert linear(x, w, np.array([29]), accumulator=Accumulator(8))[0, 0] == 127
    with pytest.raises(OverflowError):
        linear(x, w, np.array([30]), accumulator=Accumulator(8))


def test_saturation_happens_after_every_addition_in_order():
    x, w = np.array([[1, 1, 1]]), LevelWeights(np.array([[100, 100, -100]]))
    assert linear(x, w, accumulator=Accumulator(8, "saturate"))[0, 0] == 127 - 100


def test_levels_beyond_32_bits_are_refused():
    with pytest.raises(OverflowError, match="does not fit 32 bits"):
        linear(np.array([[2**31]]), LevelWeights(np.array([[1]])), accumulator=Accumulator(64))


@pytest.mark.parametrize(
    ("x", "w", "bias"), [((2, 3), (4, 5), (4,)), ((2, 3, 1), (4, 3), (4,)), ((2, 3), (4, 3), (3,))]
)
def test_shapes_that_do_not_fit_are_refused(x, w, bias):
    with pytest.raises(ValueError, match=r"cannot read|does not fit"):
        linear(np.zeros(x, int), LevelWeights(np.zeros(w, int)), np.zeros(bias, int))
