from dataclasses import replace
from fractions import Fraction

import naive
import numpy as np
import pytest
import recurrent_cells
from hypothesis import given
from hypothesis import strategies as st

from qsim.kernels import real_functions
from qsim.kernels.gates import GateProduct, rescale, shift_half_even
from qsim.kernels.level_grid import LevelGrid, fixed_point
from qsim.kernels.level_product import LevelWeights
from qsim.kernels.lstm import make_lstm
from qsim.kernels.tables import make_table

SCALES = st.builds(Fraction, st.integers(1, 99), st.sampled_from([1, 3, 2**7, 2**12]))


def gates():
    return recurrent_cells.small_cell(4, np.random.default_rng(0))[0]


@given(st.lists(st.tuples(SCALES, st.integers(-(2**11), 2**11)), max_size=4), SCALES)
def test_every_row_is_rescaled_by_its_own_ratio(rows, target):
    grid = replace(fixed_point(16, 0), scale=target)
    values = np.array([[total for _, total in rows]], np.int64)
    got = rescale([scale for scale, _ in rows], target)(values, grid)
    expected = [
        naive.requantize_fixed(
            total, Fraction(float(scale / target)), grid.low, grid.high, "tflite"
        )
        for scale, total in rows
    ]
    assert got.tolist() == [expected]


@given(st.integers(-(2**62), 2**62), st.integers(0, 62))
def test_a_shift_rounds_a_half_to_the_even_integer(value, bits):
    got = int(shift_half_even(np.array([value]), bits)[0])
    assert got == naive.half_even(Fraction(value, 2**bits))


def test_tables_of_different_formats_are_refused():
    _, narrow_tanh, _ = recurrent_cells.tables(recurrent_cells.NARROW)
    with pytest.raises(ValueError, match="read one format and give one"):
        replace(gates(), tanh=narrow_tanh)


@pytest.mark.parametrize(
    "unit",
    [fixed_point(18, 16), fixed_point(18, 15), LevelGrid(-(2**15) - 1, 2**15, Fraction(1, 2**15))],
)
def test_units_wider_than_16_bits_are_refused(unit):
    x = fixed_point(8, 4)
    functions = real_functions.sigmoid, real_functions.tanh
    sigmoid, tanh = (make_table(function, x, unit) for function in functions)
    with pytest.raises(ValueError, match="a unit format has up to 15 fraction bits"):
        replace(gates(), sigmoid=sigmoid, tanh=tanh)


def test_products_that_do_not_fit_are_refused():
    made = gates()
    with pytest.raises(ValueError, match="not of the same gates"):
        replace(made, of_x=replace(made.of_x, weights=LevelWeights(np.zeros((8, 4), int))))
    flat = GateProduct(LevelWeights(np.zeros((12, 4, 1), int)), made.of_x.to_gate)
    with pytest.raises(ValueError, match="are matrices"):
        replace(made, of_x=flat)


def test_cell_states_that_do_not_fit_are_refused():
    made, h = gates(), fixed_point(8, 7)
    *_, narrow = recurrent_cells.tables(recurrent_cells.NARROW)
    with pytest.raises(ValueError, match="gives the unit format"):
        make_lstm(made, narrow, h)
    fine = make_table(real_functions.tanh, fixed_point(8, 31), made.unit)
    with pytest.raises(ValueError, match="at most the fraction bits of a product"):
        make_lstm(made, fine, h)
