"""Gates of processing elements: the synthesised rows, what is interpolated, and laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwmodels.asic.gate_table import GateRows, elements, load_gates, parts
from hwmodels.asic.gates import (
    accumulator_gates,
    build_grid,
    estimate_products,
    pe_gates,
    register_gates,
    requantizer_gates,
    threshold_gates,
)

WIDTHS = {  # of the weights and activations that were synthesised
    "fixed": (range(2, 9), range(1, 9)),
    "sp2": (range(3, 9), range(1, 9)),
    "power_of_two": (range(2, 6), range(2, 9)),
    "ternary": ([2], range(1, 9)),
    "binary": ([1], range(1, 9)),
    "xnor": ([1], [1]),
    "bit_serial": ([1], [1]),
}


@pytest.mark.parametrize("scheme", WIDTHS)
def test_rows_of_16_products_are_given_back(scheme):
    rows = elements(scheme).where(dot_length=16)
    ours = pe_gates(scheme, rows["w_bits"], rows["a_bits"], 16, rows["acc_bits"])
    assert len(rows)
    np.testing.assert_allclose(ours, rows["gates"], rtol=1e-12)


@pytest.mark.parametrize(("scheme", "most"), [("fixed", 0.16), ("sp2", 0.07), ("ternary", 0.08),
                                              ("binary", 0.08)])  # fmt: skip
def test_other_lengths_are_within_the_stated_error(scheme, most):
    rows = elements(scheme)
    ours = pe_gates(scheme, rows["w_bits"], rows["a_bits"], rows["dot_length"], rows["acc_bits"])
    assert abs(ours / rows["gates"] - 1).max() < most


def without(rows, **dropped):
    keep = np.ones(len(rows), bool)
    for name, value in dropped.items():
        keep &= rows[name] != value
    return GateRows({name: column[keep] for name, column in rows.columns.items()})


@pytest.mark.parametrize("scheme", ["fixed", "sp2"])
@pytest.mark.parametrize("dropped", [{"w_bits": 4}, {"w_bits": 5}, {"w_bits": 6}, {"a_bits": 3},
                                     {"a_bits": 4}, {"a_bits": 6}])  # fmt: skip
def test_a_width_left_out_is_interpolated_within_12_percent(scheme, dropped):
    rows = elements(scheme).where(dot_length=16)
    held = rows.where(**dropped)
    grid = build_grid(scheme, without(rows, **dropped))
    ours = estimate_products(grid, scheme, held["w_bits"], held["a_bits"])
    assert abs((ours + accumulator_gates(32)) / held["gates"] - 1).max() < 0.12


@given(st.sampled_from(list(WIDTHS)), st.data())
def test_more_bits_and_longer_sums_never_take_fewer_gates(scheme, data):
    weights, activations = (data.draw(st.sampled_from(list(each))) for each in WIDTHS[scheme])
    length, sums = data.draw(st.integers(1, 300)), data.draw(st.integers(1, 64))
    base = pe_gates(scheme, weights, activations, length, sums)
    assert base > 0
    assert pe_gates(scheme, weights, activations, length + 1, sums) >= base
    assert pe_gates(scheme, weights, activations, length, sums + 1) >= base
    if weights + 1 in WIDTHS[scheme][0]:
        assert pe_gates(scheme, weights + 1, activations, length, sums) >= base
    if activations + 1 in WIDTHS[scheme][1]:
        assert pe_gates(scheme, weights, activations + 1, length, sums) >= base


@given(st.lists(st.integers(1, 32), min_size=1, max_size=4), st.integers(1, 32), st.integers(1, 99))
def test_arrays_equal_their_elements_one_by_one(weights, activations, length):
    together = pe_gates("fixed", np.array(weights), activations, length, 32)
    alone = [float(pe_gates("fixed", w, activations, length, 32)) for w in weights]
    assert together.tolist() == alone


def test_signed_activations_take_more():
    signed = pe_gates("fixed_signed", 4, 4, 16, 32) - accumulator_gates(32)
    assert signed / (pe_gates("fixed", 4, 4, 16, 32) - accumulator_gates(32)) == pytest.approx(
        136.71 / 121.08
    )


def test_parts_are_those_that_were_synthesised():
    assert accumulator_gates(32) == 454.79
    assert register_gates(10) == 40
    assert requantizer_gates(32) == 4734.17
    assert requantizer_gates(24) == 3486.96
    rows = parts("threshold")
    ours = threshold_gates(rows["acc_bits"], rows["a_bits"])
    assert abs(ours / rows["gates"] - 1).max() < 0.065


def test_what_is_wider_than_any_circuit_is_not_known():
    assert np.isnan(pe_gates("sp2", 4, 9, 16, 32))
    assert np.isnan(pe_gates("ternary", 2, 16, 16, 32))
    assert np.isnan(pe_gates("fixed", 33, 8, 16, 32))
    assert np.isfinite(pe_gates("fixed", 32, 32, 16, 32))


def test_an_unknown_scheme_is_refused():
    with pytest.raises(ValueError, match="unknown scheme 'log'; known are: fixed, sp2"):
        pe_gates("log", 4, 4, 16, 32)


def test_cells_kept_as_full_adders_change_products_by_at_most_28_percent():
    """The other flow stands beside as a measure of how far a synthesis tool's choices go."""
    kept = load_gates().where(flow="gates_fa", scheme="fixed", tree=0)
    ours = pe_gates("fixed", kept["w_bits"], kept["a_bits"], kept["dot_length"], 32)
    assert np.median(abs(ours / kept["gates"] - 1)) < 0.05
    assert abs(ours / kept["gates"] - 1).max() < 0.28
