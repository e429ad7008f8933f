import naive_recurrent as naive
import numpy as np
import pytest
import recurrent_cells
from hypothesis import given, settings

from qsim.kernels.gates import GateProduct, Gates, rescale
from qsim.kernels.gru import gru, gru_step, make_gru
from qsim.kernels.level_grid import fixed_point
from qsim.kernels.level_product import LevelWeights

UNIT = 2.0**-15
SIGMOID_ERROR, TANH_ERROR = 2 * UNIT, 5 * UNIT  # more than h**2 / 8 * max|f''| and 1.5, h = 2**-5


@given(recurrent_cells.cells(3))
@settings(max_examples=60)
def test_every_step_equals_the_naive_cell(operands):
    _, gates, naive_cell, h_grid, x, h = operands
    hs = gru(make_gru(gates, h_grid), x, h)
    assert hs.shape == (len(x), *h.shape)
    for image in range(len(h)):
        before = h[image].tolist()
        for step in range(len(x)):
            before = naive.gru_step(naive_cell, x[step, image].tolist(), before)
            assert hs[step, image].tolist() == before


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


@pytest.mark.parametrize("seed", range(5))
def test_a_sequence_stays_within_the_stated_bound_of_the_real_cell(seed):
    rng = np.random.default_rng(seed)
    gates, (w, b_w), (r_real, b_r), h_grid = recurrent_cells.small_cell(3, rng)
    x, h = rng.integers(-128, 128, (3, 6, 4)), rng.integers(-127, 128, (6, 3))
    hs = gru(make_gru(gates, h_grid), x, h)
    level = float(h_grid.scale)
    h, h_off = h * level, np.zeros(h.shape)
    reach = np.abs(r_real).reshape(3, 3, 3).sum(axis=2)[:, None]
    for step in range(3):
        p_r, p_z, p_n = (x[step] / 128 @ w.T + b_w).reshape(6, 3, 3).swapaxes(0, 1)
        q_r, q_z, q_n = (h @ r_real.T + b_r).reshape(6, 3, 3).swapaxes(0, 1)
        r, z = sigmoid(p_r + q_r), sigmoid(p_z + q_z)
        n = np.tanh(p_n + r * q_n)
        d, moved = (1 + 2.0**-15) * 2.0**-12, reach * h_off.max(axis=1)[:, None]
        s_r, s_z = ((d + moved[k]) / 4 + SIGMOID_ERROR for k in (0, 1))
        t = 1.5 * d + moved[2] + s_r * np.abs(q_n) + TANH_ERROR
        h_off = t + s_z * np.abs(n - h) + h_off + level / 2 + 2.0**-30 + UNIT
        h = (1 - z) * n + z * h
        assert (np.abs(hs[step] * level - h) <= h_off).all()
        assert step > 0 or h_off.max() < level  # the bound of one step tells something


def still_cell(bias_of_h=None, bias_of_x=None):
    """A cell of one unit without inputs, whose products are 0 but for a bias in levels of the
    gates."""
    sigmoid_table, tanh_table, _ = recurrent_cells.tables(recurrent_cells.WIDE)
    same = rescale([sigmoid_table.x.scale] * 3, sigmoid_table.x.scale)
    of_x = GateProduct(LevelWeights(np.zeros((3, 0), int)), same, bias_of_x)
    of_h = GateProduct(LevelWeights(np.zeros((3, 1), int)), same, bias_of_h)
    return make_gru(Gates(of_x, of_h, sigmoid_table, tanh_table), fixed_point(8, 7))


def test_a_cell_of_no_products_halves_its_state():
    """z is 1/2 and n is 0; a half level goes up, as in every rescaling."""
    for h, half in ((100, 50), (101, 51), (-100, -50), (-101, -50), (127, 64), (-128, -64)):
        assert gru_step(still_cell(), np.zeros((1, 0), int), np.array([[h]])).tolist() == [[half]]


def test_the_reset_gate_comes_after_the_recurrent_product_and_its_bias():
    """With r = 1/2 a bias of 1 counts half, tanh(1/2) / 2 = 0.231; were it outside, tanh(1) / 2."""
    cell = still_cell(np.array([0, 0, 2**12]))
    got = gru_step(cell, np.zeros((1, 0), int), np.zeros((1, 1), int))
    assert got.tolist() == [[30]]  # of 0.231 * 128 = 29.6


@pytest.mark.parametrize(("bias", "after"), [(2**15 - 1, 100), (-(2**15), -128)])
def test_the_sums_of_the_gates_saturate(bias, after):
    """At +8 the update gate keeps the state, at -8 it takes the candidate, which is -1."""
    both = np.full(3, bias)
    got = gru_step(still_cell(both, both), np.zeros((1, 0), int), np.full((1, 1), 100))
    assert got.tolist() == [[after]]


def test_weights_of_another_number_of_gates_are_refused():
    gates, *_, h_grid = recurrent_cells.small_cell(4, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"recurrent weights \(12, 3\) are not of 3 gates"):
        make_gru(gates, h_grid)


def test_states_that_do_not_fit_are_refused():
    x = np.zeros((1, 0), int)
    with pytest.raises(ValueError, match="a state of"):
        gru_step(still_cell(), x, np.zeros((2, 1), int))
    with pytest.raises(ValueError, match="not all within"):
        gru_step(still_cell(), x, np.full((1, 1), 128))
