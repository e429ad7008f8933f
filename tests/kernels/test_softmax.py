from fractions import Fraction

import naive_recurrent as naive
import numpy as np
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

from qsim.kernels.level_grid import LevelGrid, fixed_point
from qsim.kernels.softmax import exponentials, softmax, softmax_error
from qsim.kernels.tables import Table

SCALES = (Fraction(1, 16), Fraction(1, 2**20), Fraction(3), Fraction(float(np.float32(0.0613))))
LIMIT = 127
GRID = fixed_point(8, 4)


@st.composite
def operands(draw):
    """Rows of levels, their scale, fraction bits of the table and bits of the result."""
    shape = draw(st.sampled_from([(0,), (1,), (5,), (2, 3), (2, 0), (0, 3), (2, 1, 4)]))
    rows = draw(strategies.levels(shape, draw(st.sampled_from([0, 1, 20, LIMIT]))))
    return rows, draw(st.sampled_from(SCALES)), draw(st.integers(1, 30)), draw(st.integers(1, 30))


def table_of(scale, fraction_bits):
    return exponentials(LevelGrid(-LIMIT, LIMIT, scale), fraction_bits)


@given(operands())
def test_a_softmax_equals_the_naive_one_and_keeps_its_bound(operands):
    rows, scale, fraction_bits, bits = operands
    got = softmax(rows, table_of(scale, fraction_bits), bits, sum_bits=40)
    assert got.shape == rows.shape
    if rows.size == 0:
        return
    bound = softmax_error(rows.shape[-1], fraction_bits, bits)
    for row, levels in zip(
        rows.reshape(-1, rows.shape[-1]), got.reshape(-1, rows.shape[-1]), strict=True
    ):
        ints = [int(level) for level in row]
        assert levels.tolist() == naive.softmax(ints, scale, fraction_bits, bits)
        for level, (low, high) in zip(levels, naive.softmax_bounds(ints, scale), strict=True):
            assert low - bound <= Fraction(int(level), 2**bits) <= high + bound


@given(operands(), st.integers(-(2**31) + 200, 2**31 - 200))
def test_only_differences_of_levels_matter(operands, offset):
    rows, scale, fraction_bits, bits = operands
    table = table_of(scale, fraction_bits)
    moved = softmax(rows + offset, table, bits, sum_bits=40)
    np.testing.assert_array_equal(moved, softmax(rows, table, bits, sum_bits=40))


def test_a_lonely_level_takes_all_and_is_clipped():
    table = exponentials(GRID, 15)
    assert softmax(np.array([[5]]), table, 8).tolist() == [[255]]
    assert softmax(np.array([5, 5]), table, 8).tolist() == [128, 128]
    assert softmax(np.array([127, -128]), table, 8).tolist() == [255, 0]


def test_a_half_goes_to_the_even_level():
    table = Table(LevelGrid(0, 1, Fraction(1)), fixed_point(4, 2, signed=False), np.array([4, 1]))
    row = np.array([1, 1, 1, 0, 0, 0, 0])  # 4 of 16 thrice, and 1 of 16 four times
    assert softmax(row, table, 3).tolist() == [2, 2, 2, 0, 0, 0, 0]  # 1/16 is half a level of 1/8
    assert softmax(np.array([1, 1, 1, 1]), table, 1).tolist() == [0, 0, 0, 0]


def test_lines_between_exponentials_start_at_1():
    table = exponentials(fixed_point(16, 12), 20, step_bits=7)
    assert len(table.entries) == 513
    got = softmax(np.array([[32767, 32767, -32768]]), table, 16)
    assert got.tolist() == [[2**15, 2**15, 0]]


def test_a_sum_that_could_overflow_is_refused():
    table = exponentials(GRID, 15)
    softmax(np.zeros((1, 511), int), table, 8, sum_bits=24)
    with pytest.raises(OverflowError, match="the longest safe row is 511"):
        softmax(np.zeros((1, 512), int), table, 8, sum_bits=24)


def test_levels_farther_apart_than_the_table_are_refused():
    table = exponentials(GRID, 15)
    for row in ([0, 256], [-(2**62), 2**62]):
        with pytest.raises((ValueError, OverflowError)):
            softmax(np.array(row), table, 8)


@pytest.mark.parametrize(("bits", "sum_bits"), [(0, 32), (31, 32), (8, 1), (8, 63)])
def test_impossible_widths_are_refused(bits, sum_bits):
    with pytest.raises(ValueError, match="no softmax has"):
        softmax(np.zeros(2, int), exponentials(GRID, 8), bits, sum_bits=sum_bits)


@pytest.mark.parametrize("fraction_bits", [0, 31])
def test_impossible_fractions_are_refused(fraction_bits):
    with pytest.raises(ValueError, match="1 to 30 fraction bits"):
        exponentials(GRID, fraction_bits)


@pytest.mark.parametrize(("low", "entries"), [(-1, [4, 1]), (0, [3, 1]), (0, [4, 5]), (0, [4, -1])])
def test_tables_of_something_else_are_refused(low, entries):
    table = Table(LevelGrid(low, low + 1, Fraction(1)), fixed_point(5, 2), np.array(entries))
    with pytest.raises(ValueError, match="falls from the exponential of 0"):
        softmax(np.zeros(2, int), table, 8)


def test_levels_that_are_no_rows_of_integers_are_refused():
    table = exponentials(GRID, 8)
    with pytest.raises(TypeError, match="integers"):
        softmax(np.zeros(2), table, 8)
    with pytest.raises(ValueError, match="needs an axis"):
        softmax(np.array(1), table, 8)
