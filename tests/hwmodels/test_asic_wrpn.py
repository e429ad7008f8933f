"""WRPN's processing elements beside one of single precision, and other evidence at 14 nm."""

from itertools import combinations

import numpy as np
import pytest

from hwmodels.asic.energy import Element, Point, float_mac_pj, product_pj
from hwmodels.asic.gates import pe_gates
from hwmodels.asic.technology import load_device
from hwmodels.asic.wrpn import ELEMENTS, energy, is_fitted, load_wrpn_asic, performance

CELLS = load_device("standard_cells")
AT_45 = Point(np.asarray(45.0), np.asarray(0.9), "hp")
MODELS = {"performance": performance, "energy": energy}
PUBLISHED = {  # Figure 3(f) and 3(g), digitised, +-2.5 %
    "performance": {"int8": 19.0, "int4": 47.0, "int4_ter2": 97.0, "bin1": 428.0},
    "energy": {"int8": 12.1, "int4": 27.3, "int4_ter2": 53.6, "bin1": 880.0},
}
MULTIPLIED = ("int8", "int4", "int4_ter2")


@pytest.mark.parametrize("quantity", MODELS)
def test_improvements_rank_as_published(quantity):
    ours = [float(MODELS[quantity](each)) for each in ELEMENTS]
    assert ours == sorted(ours)


@pytest.mark.parametrize("quantity", MODELS)
@pytest.mark.parametrize("precision", ["int4", "int4_ter2", "bin1"])
def test_bars_that_were_not_fitted_are_within_a_factor_of_1_5_and_2_5(quantity, precision):
    assert not is_fitted(precision, quantity)
    ratio = float(MODELS[quantity](precision)) / PUBLISHED[quantity][precision]
    most = 2.5 if precision == "bin1" else 1.5
    assert 1 / most < ratio < most


@pytest.mark.parametrize("quantity", MODELS)
@pytest.mark.parametrize(("one", "other"), list(combinations(MULTIPLIED, 2)))
def test_what_elements_gain_over_each_other_needs_no_fitted_constant(quantity, one, other):
    ours = float(MODELS[quantity](other) / MODELS[quantity](one))
    published = PUBLISHED[quantity][other] / PUBLISHED[quantity][one]
    assert ours / published == pytest.approx(1, abs=0.5)
    assert published / ours < 1.5


def test_the_fitted_bars_are_given_back():
    for quantity, model in MODELS.items():
        assert is_fitted("int8", quantity)
        assert model("int8") == pytest.approx(PUBLISHED[quantity]["int8"], rel=1e-3)


def test_the_reference_table_alone_gives_8_bits_within_a_half_and_4_bits_not():
    """What the fitted constant is for: with the table's own 4.6 pJ the energy of 8 bits is a factor
    of 1.49 too good, and that of 4 bits of 1.94."""
    of_table = float_mac_pj(CELLS, 32, AT_45, "reference") / load_wrpn_asic().fp32_pj.value
    assert energy("int8") * of_table / 12.1 == pytest.approx(1.49, abs=0.01)
    assert energy("int4") * of_table / 27.3 == pytest.approx(1.94, abs=0.01)


@pytest.mark.parametrize(("wide", "narrow", "published"), [(8, 4, 6.63 / 2.51), (4, 2, 2.51)])
def test_multipliers_of_pact_at_14_nm_shrink_as_ours_within_a_quarter(wide, narrow, published):
    """PACT, arXiv 1805.06085, Figure 6(b): area of a MAC of 16, 8, 4 and 2 bits as 14.27 : 6.63 :
    2.51 : 1. Its 16 to 8 bits, 2.15, is not met: ours is 4.1 by the closed form."""
    ours = pe_gates("fixed", wide, wide, 16, 32) / pe_gates("fixed", narrow, narrow, 16, 32)
    assert ours == pytest.approx(published, rel=0.25)


def test_the_energy_of_the_fitted_element_follows_from_the_table():
    eight = product_pj(CELLS, Element("fixed", 8, 8, 16, 32), AT_45, "reference")
    assert load_wrpn_asic().fp32_pj.value == pytest.approx(12.1 * float(eight), rel=1e-3)
    assert load_wrpn_asic().fp32_gates.value == pytest.approx(19 * 10304.21 / 16, rel=1e-3)
