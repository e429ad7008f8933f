from dataclasses import replace

import naive_recurrent as naive
import numpy as np
import pytest
import recurrent_cells
from hypothesis import given, settings
from hypothesis import strategies as st

from qsim.kernels.gates import GateProduct, Gates, rescale
from qsim.kernels.level_grid import fixed_point
from qsim.kernels.level_product import LevelWeights
from qsim.kernels.lstm import lstm, lstm_step, make_lstm
from qsim.kernels.select_negate import SelectNegateWeights

UNIT = 2.0**-15
SIGMOID_ERROR, TANH_ERROR = 2 * UNIT, 5 * UNIT  # more than h**2 / 8 * max|f''| and 1.5, h = 2**-5
CELL_TANH_ERROR = 14 * UNIT  # h = 2**-4


@given(recurrent_cells.cells(4), st.data())
@settings(max_examples=60)
def test_every_step_equals_the_naive_cell(operands, data):
    formats, gates, naive_cell, h_grid, x, h = operands
    cell = make_lstm(gates, recurrent_cells.tables(formats)[2], h_grid)
    c = data.draw(recurrent_cells.states(formats.state, h.shape))
    hs, cs = lstm(cell, x, h, c)
    assert hs.shape == cs.shape == (len(x), *h.shape)
    for image in range(len(h)):
        before = h[image].tolist(), c[image].tolist()
        for step in range(len(x)):
            before = naive.lstm_step(naive_cell, x[step, image].tolist(), *before)
            assert (hs[step, image].tolist(), cs[step, image].tolist()) == before


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


@pytest.mark.parametrize("seed", range(5))
def test_a_sequence_stays_within_the_stated_bound_of_the_real_cell(seed):
    rng = np.random.default_rng(seed)
    gates, (w, b_w), (r, b_r), h_grid = recurrent_cells.small_cell(4, rng)
    cell = make_lstm(gates, recurrent_cells.tables(recurrent_cells.WIDE)[2], h_grid)
    x = rng.integers(-128, 128, (3, 6, 4))
    h, c = rng.integers(-128, 128, (6, 3)), rng.integers(-(2**13), 2**13, (6, 3))
    hs, cs = lstm(cell, x, h, c)
    h_level, c_level = float(h_grid.scale), float(cell.c.scale)
    h, c = h * h_level, c * c_level
    h_off, c_off = np.zeros_like(h), np.zeros_like(c)
    reach = np.abs(r).reshape(4, 3, 3).sum(axis=2)
    for step in range(3):
        i, f, g, o = (x[step] / 128 @ w.T + b_w + h @ r.T + b_r).reshape(6, 4, 3).swapaxes(0, 1)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        d = (1 + 2.0**-15) * 2.0**-12 + reach[:, None] * h_off.max(axis=1)[:, None]
        s_i, s_f, s_o = (d[k] / 4 + SIGMOID_ERROR for k in (0, 1, 3))
        t = d[2] + TANH_ERROR
        c_off = c_off + s_f * np.abs(c) + s_i + t + s_i * t + c_level
        c = f * c + i * g
        h_off = s_o + (1 + s_o) * (c_off + CELL_TANH_ERROR) + h_level / 2 + 2.0**-30
        h = o * np.tanh(c)
        assert (np.abs(cs[step] * c_level - c) <= c_off).all()
        assert (np.abs(hs[step] * h_level - h) <= h_off).all()
        assert step > 0 or h_off.max() < h_level  # the bound of one step tells something


def still_cell(bias=None, formats=recurrent_cells.WIDE):
    """A cell of one unit without inputs, whose products are 0 but for a bias in levels of the
    gates."""
    sigmoid_table, tanh_table, cell_tanh = recurrent_cells.tables(formats)
    same = rescale([formats.gate.scale] * 4, formats.gate.scale)
    of_x = GateProduct(LevelWeights(np.zeros((4, 0), int)), same, bias)
    of_h = GateProduct(LevelWeights(np.zeros((4, 1), int)), same)
    return make_lstm(Gates(of_x, of_h, sigmoid_table, tanh_table), cell_tanh, fixed_point(8, 7))


def test_a_half_of_the_cell_state_goes_to_the_even_level():
    """All gates are 1/2 and the candidate 0, so every step halves the cell state."""
    cell, x = still_cell(), np.zeros((1, 0), int)
    for c, half in ((6, 3), (5, 2), (7, 4), (-5, -2), (-7, -4), (32767, 16384)):
        _, got = lstm_step(cell, x, np.zeros((1, 1), int), np.array([[c]]))
        assert got.tolist() == [[half]]


def test_the_cell_state_saturates():
    cell = still_cell(np.full(4, 2**20), recurrent_cells.NARROW)  # every gate is 127 / 128
    x, h = np.zeros((1, 0), int), np.zeros((1, 1), int)
    hs, cs = lstm(cell, np.repeat(x[None], 2, axis=0), h, np.array([[120]]))
    assert cs.ravel().tolist() == [127, 127]
    assert hs.ravel().tolist() == [126, 126]  # of 127/128 squared, 126.008 levels


def test_any_datapath_may_hold_the_weights():
    rng = np.random.default_rng(1)
    gates, *_, h_grid = recurrent_cells.small_cell(4, rng)
    w, r = rng.integers(-1, 2, (12, 4)), rng.integers(-1, 2, (12, 3))
    cells = []
    for datapath in (LevelWeights, SelectNegateWeights):
        of_x = replace(gates.of_x, weights=datapath(w))
        of_h = replace(gates.of_h, weights=datapath(r))
        made = replace(gates, of_x=of_x, of_h=of_h)
        cells.append(make_lstm(made, recurrent_cells.tables(recurrent_cells.WIDE)[2], h_grid))
    x, h, c = rng.integers(-99, 99, (2, 5, 4)), np.ones((5, 3), int), np.ones((5, 3), int)
    for a, b in zip(*(lstm(cell, x, h, c) for cell in cells), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("h", "c", "problem"),
    [
        ((1, 2), (1, 1), "a state of"),
        ((2, 1), (1, 1), "a state of"),
        ((1, 1), (2,), "a state of"),
    ],
)
def test_states_of_another_shape_are_refused(h, c, problem):
    with pytest.raises(ValueError, match=problem):
        lstm_step(still_cell(), np.zeros((1, 0), int), np.zeros(h, int), np.zeros(c, int))


def test_states_outside_their_levels_are_refused():
    one = np.ones((1, 1), int)
    for h, c in ((128 * one, one), (one, 2**15 * one)):
        with pytest.raises(ValueError, match="not all within"):
            lstm_step(still_cell(), np.zeros((1, 0), int), h, c)


def test_weights_of_another_number_of_gates_are_refused():
    gates, *_, h_grid = recurrent_cells.small_cell(3, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"recurrent weights \(9, 3\) are not of 4 gates"):
        make_lstm(gates, recurrent_cells.tables(recurrent_cells.WIDE)[2], h_grid)


def test_a_sum_beyond_32_bits_is_refused():
    cell = still_cell(np.full(4, 2**31))
    one = np.ones((1, 1), int)
    with pytest.raises(OverflowError, match="a bias of 2147483648 does not fit"):
        lstm_step(cell, np.zeros((1, 0), int), one, one)
