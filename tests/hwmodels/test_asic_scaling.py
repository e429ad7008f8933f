"""Scaling between nodes: the published curves and ratios, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwmodels.asic.scaling import (
    area_factor,
    check_nodes,
    delay_factor,
    energy_factor,
    load_scaling,
    nominal_voltage_v,
)

NODES = load_scaling().nodes_nm
ends = st.tuples(st.sampled_from(NODES), st.floats(0.6, 1.0))


def test_energy_from_45_to_7_nm_by_hand():
    at_45 = 1.018 * 0.9**2 - 0.3107 * 0.9 + 0.1539
    at_7 = 0.1776 * 0.7**2 - 0.09097 * 0.7 + 0.02447
    ours = energy_factor(45, 0.9, 7, 0.7, "hp")
    assert ours == pytest.approx(at_7 / at_45, rel=1e-12)
    assert 1 / ours == pytest.approx(14.6, abs=0.05)


def test_delay_from_180_to_45_nm_by_hand():
    at_180 = 97.09 * 1.8**2 - 356.7 * 1.8 + 406.5
    at_45 = -501.6 + 1567 - 1619 + 566.1
    assert delay_factor(180, 1.8, 45, 1.0, "hp") == pytest.approx(at_45 / at_180, rel=1e-12)


def test_at_nominal_voltages_20_nm_is_slower_than_32():
    """The step from planar transistors to fins, for which nothing between is interpolated."""
    assert delay_factor(32, 0.9, 20, 0.9, "hp") == pytest.approx(9.47 / 8.36, rel=1e-3)


@given(ends, ends, st.sampled_from(["hp", "lp"]))
def test_there_and_back_changes_nothing(one, other, family):
    there = energy_factor(*one, *other, family)
    assert np.isnan(there) or there * energy_factor(*other, *one, family) == pytest.approx(1)
    assert area_factor(one[0], one[0]) == 1
    assert area_factor(one[0], other[0]) * area_factor(other[0], one[0]) == pytest.approx(
        1, rel=0.1
    )


def test_areas_are_those_of_the_published_table():
    assert area_factor(45, 7) == 0.059
    assert area_factor(7, 180) == 320
    assert area_factor(180, np.array([180, 45])).tolist() == [1, 0.053]


def test_families_are_one_curve_down_to_65_nm_and_two_below():
    assert energy_factor(130, 1.2, 65, 1.1, "hp") == energy_factor(130, 1.2, 65, 1.1, "lp")
    assert energy_factor(65, 1.1, 45, 1.0, "hp") != energy_factor(65, 1.1, 45, 1.0, "lp")


@pytest.mark.parametrize("node", [28, 22])
def test_28_and_22_nm_are_refused_with_the_reason(node):
    with pytest.raises(ValueError, match=rf"{node} nm is not among .* 32, 20, .*planar"):
        energy_factor(45, 1.0, node, 0.9, "hp")


def test_other_nodes_are_refused_with_those_that_there_are():
    with pytest.raises(ValueError, match=r"5 nm is not among the nodes .* 10, 7$"):
        check_nodes(np.array([7, 5]))


def test_where_a_polynomial_is_not_positive_nothing_is_known():
    assert np.isnan(energy_factor(180, 0.5, 45, 1.0, "hp"))


def test_voltages_of_low_power_are_not_known():
    assert nominal_voltage_v(np.array([45, 7]), "hp").tolist() == [1.0, 0.7]
    assert np.isnan(nominal_voltage_v(np.array([65, 45]), "lp")).tolist() == [False, True]
