"""What stands beside DSPs, requantizers and other kinds of logic, against the synthesised rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwmodels.fpga import dsp_pe, logic, requantizers
from hwmodels.fpga.dsp import load_dsp_type
from hwmodels.fpga.pe import pe_lut
from hwmodels.fpga.schemes import PE_SCHEMES
from hwmodels.fpga.synthesis import load_rows

ROWS = load_rows()
DSP48E1 = load_dsp_type("dsp48e1")


def test_a_chain_of_dsps_takes_the_luts_and_flip_flops_of_every_synthesised_row():
    rows = ROWS.where(scheme="fixed", dsp_allowed=1)
    rows = rows.only(rows["dsp"] > 0)
    assert len(rows) == 12
    lut = dsp_pe.dsp_pe_lut(rows["w_bits"], rows["a_bits"], rows["dsp"], rows["acc_bits"])
    assert (lut == rows["lut"]).all()
    lone = rows["dsp"] == 1  # its accumulator is in the DSP
    assert (lut[lone] == 0).all()
    assert (dsp_pe.dsp_pe_flip_flops(rows["dsp"], rows["acc_bits"]) == rows["ff"]).all()


def test_pairs_packed_in_4_dsps_are_predicted_from_pairs_packed_in_16():
    rows = ROWS.where(scheme="fixed_two_per_dsp", dot_length=4)
    lut = dsp_pe.dsp_pe_lut(rows["w_bits"], rows["a_bits"], rows["dsp"], products_per_dsp=2)
    assert len(rows) == 5
    assert lut == pytest.approx(rows["lut"], rel=0.10)
    ff = dsp_pe.dsp_pe_flip_flops(rows["dsp"], products_per_dsp=2)
    assert (ff == rows["ff"]).all()


@given(st.integers(1, 8), st.integers(1, 8), st.integers(1, 64), st.integers(1, 3))
def test_wider_or_more_products_beside_dsps_never_cost_less(w, a, dsps, each):
    def lut(*widths, products=each):
        return dsp_pe.dsp_pe_lut(*widths, products_per_dsp=products)

    now = lut(w, a, dsps)
    if w < 8:
        assert lut(w + 1, a, dsps) >= now
    assert lut(w, a, dsps + 1) >= now
    assert lut(w, a, dsps, 33) >= now
    if each > 1:
        assert lut(w, a, dsps, products=each + 1) > now


def test_products_wider_than_synthesised_are_not_known_and_none_are_refused():
    assert np.isnan(dsp_pe.dsp_pe_lut(9, 8, 4, products_per_dsp=2))
    with pytest.raises(ValueError, match="are 1 or more"):
        dsp_pe.dsp_pe_lut(8, 8, 0)


# ------------------------------------------------------------------ requantizers


@pytest.mark.parametrize("held", [(16, 8, 24), (8, 8, 32), (16, 8, 32)])
def test_a_requantizer_is_predicted_from_the_ones_beside_it(held):
    """Multiplier, result and accumulator bits; the rows are proportional to partial products."""
    rows = ROWS.where(scheme="requantise", dsp_allowed=0, a_bits=8)
    size = rows["w_bits"] * rows["acc_bits"]
    order = np.argsort(size)
    at = np.flatnonzero(size[order] == held[0] * held[2])[0]
    around = order[[at - 1, at + 1]]
    guess = np.interp(held[0] * held[2], size[around], rows["lut"][around])
    assert guess == pytest.approx(rows["lut"][order][at], rel=0.12)
    assert requantizers.requantizer_lut(held[2], held[0]) == rows["lut"][order][at]


def test_dsps_of_requantizers_are_those_of_every_synthesised_row():
    rows = ROWS.where(scheme="requantise", dsp_allowed=1)
    assert len(rows) == 7
    dsps = requantizers.requantizer_dsp(rows["acc_bits"], rows["w_bits"], DSP48E1)
    assert (dsps == rows["dsp"]).all()


def test_thresholds_are_those_of_every_row_and_grow_by_three_quarters_for_each_bit():
    rows = ROWS.where(scheme="threshold")
    lut = requantizers.threshold_lut(rows["acc_bits"], rows["a_bits"])
    assert lut == pytest.approx(rows["lut"])
    two_sums = requantizers.threshold_lut(np.array([24, 32]), 3)
    assert np.diff(two_sums) == pytest.approx(8 * 0.75 * 7)
    assert np.isnan(requantizers.threshold_lut(16, 5))


@given(st.integers(1, 31), st.integers(8, 32), st.integers(1, 8), st.booleans())
def test_wider_requantizers_never_cost_less(multiplier, accumulator, result, in_dsp):
    def lut(*widths):
        return requantizers.requantizer_lut(*widths, in_dsp=in_dsp)

    now = lut(accumulator, multiplier, result)
    for wider in (
        lut(accumulator + 1, multiplier, result),
        lut(accumulator, multiplier + 1, result),
        lut(accumulator, multiplier, result + 1),
    ):
        assert np.isnan(wider) or np.isnan(now) or wider >= now


def test_a_requantizer_beyond_the_rows_is_not_known():
    assert np.isnan(requantizers.requantizer_lut(32, 32))
    assert np.isnan(requantizers.requantizer_lut(32, 16, 9))


# ------------------------------------------------------------------ signed activations, other logic


@pytest.mark.parametrize(("w", "a"), [(2, 2), (4, 4), (4, 8), (8, 8)])
def test_signed_activations_are_met_by_one_factor(w, a):
    """One mean factor of four; the rows go up and down with the widths."""
    row = ROWS.where(scheme="fixed_signed_act", w_bits=w, a_bits=a)
    ours = pe_lut("fixed_signed", w, a, 16, cells="merged")
    assert ours == pytest.approx(row["lut"][0], rel=0.10)


@given(st.sampled_from(PE_SCHEMES), st.integers(1, 8), st.integers(1, 8), st.sampled_from([1, 16]))
def test_the_band_of_any_logic_is_in_order_and_lut6_is_not_converted(scheme, w, a, length):
    for kind in ("lut6", "alm", "lut4"):
        band = [
            float(logic.pe_luts(kind, scheme, w, a, length, bound=bound))
            for bound in ("low", "nominal", "high")
        ]
        assert band == sorted(band) or np.isnan(band).all()
    nominal = float(logic.pe_luts("lut6", scheme, w, a, length))
    np.testing.assert_equal(nominal, float(pe_lut(scheme, w, a, length)))


def test_conversions_are_the_quotients_that_their_sources_state():
    conversions = logic.load_conversions()
    per_alm = 1_150_000 / 427_200  # logic elements of an Arria 10 GX 1150
    assert conversions.alm.nominal.value == pytest.approx(1.6 / per_alm, abs=0.001)
    assert conversions.lut4.nominal.value == 1.6
    for conversion in (conversions.alm, conversions.lut4):
        assert {conversion.low.status, conversion.nominal.status} == {"assumed"}
