"""Devices filled with one datapath: laws, data sheets, and WRPN's Arria 10."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwmodels.fpga import wrpn_peaks
from hwmodels.fpga.device import device_names, load_device
from hwmodels.fpga.pe import pe_lut
from hwmodels.fpga.peak import (
    dsp_macs_per_cycle,
    float_macs_per_cycle,
    lut_macs_per_cycle,
    peak_tops,
)
from hwmodels.fpga.wrpn_peaks import tops

devices = st.sampled_from([load_device(name) for name in device_names()])
weights = st.sampled_from([("fixed", 4), ("sp2", 4), ("ternary", 2), ("binary", 1)])


@given(st.integers(1, 60_000), st.integers(1, 64))
def test_elements_are_whole_and_fill_the_device(luts, length):
    device = load_device("xc7z020")
    small = msgspec.structs.replace(
        device, luts=msgspec.structs.replace(device.luts, value=float(luts))
    )
    of_element, elements = float(pe_lut("fixed", 4, 4, length)), 0
    while (elements + 1) * of_element <= luts:
        elements += 1
    assert lut_macs_per_cycle(small, "fixed", 4, 4, dot_length=length) == elements * length


@given(devices, weights, st.integers(1, 15), st.integers(1, 15))
def test_wider_operands_never_raise_the_peak(device, weight, w, a):
    now = lut_macs_per_cycle(device, *weight, a)
    assert lut_macs_per_cycle(device, *weight, a + 1) <= now
    fixed = [lut_macs_per_cycle(device, "fixed", each, a) for each in (w, w + 1)]
    assert fixed[1] <= fixed[0]
    assert dsp_macs_per_cycle(device, w + 1, a) <= dsp_macs_per_cycle(device, w, a)
    serial = [lut_macs_per_cycle(device, "bit_serial", w, each) for each in (a, a + 1)]
    assert serial[1] < serial[0]


@given(devices, weights, st.floats(0.01, 0.99), st.floats(0, 0.01))
def test_more_of_a_device_never_lowers_the_peak(device, weight, share, more):
    fewer, macs = (
        lut_macs_per_cycle(device, *weight, 4, lut_share=s) for s in (share, share + more)
    )
    assert fewer <= macs


@given(st.lists(st.tuples(st.integers(1, 8), st.integers(1, 8)), min_size=1))
def test_arrays_of_widths_give_what_each_gives(pairs):
    device = load_device("xczu9eg")
    w, a = np.array(pairs).T
    together = lut_macs_per_cycle(device, "fixed", w, a)
    assert together.tolist() == [
        float(lut_macs_per_cycle(device, "fixed", *each)) for each in pairs
    ]


def test_single_precision_peaks_are_those_of_the_vendor():
    """Intel 683461: 1,366 GFLOP/s at 450 MHz on an Arria 10 GX 1150."""
    macs = float_macs_per_cycle(load_device("arria10_gx1150"))
    assert peak_tops(macs, 450e6) == pytest.approx(1.366, abs=0.001)


def test_single_precision_is_not_known_of_dsps_without_it():
    assert np.isnan(float_macs_per_cycle(load_device("xczu9eg")))


def test_packing_multiplies_the_peak_of_the_dsps():
    """WP486: two 8-bit products for each of 12,288 DSPs; a share of them is a whole number."""
    device = load_device("alveo_u250")
    assert dsp_macs_per_cycle(device, 8, 8, packing="published") == 2 * 12288
    assert dsp_macs_per_cycle(device, 8, 8, dsp_share=0.50001) == 6144


# ------------------------------------------------------------------ WRPN, Figure 3(e)


@pytest.mark.parametrize(("precision", "bar"), [("int4", 6.4), ("int4_ter2", 10.3)])
def test_wrpns_bars_are_predicted_within_25_percent(precision, bar):
    assert not wrpn_peaks.is_fitted(precision)
    assert tops(precision) == pytest.approx(bar, rel=0.25)


@pytest.mark.parametrize(("precision", "bar"), [("fp32", 1.0), ("bin1", 57.3)])
def test_wrpns_fitted_bars_are_met_and_named_as_fitted(precision, bar):
    assert wrpn_peaks.is_fitted(precision)
    assert tops(precision) == pytest.approx(bar, rel=0.002)


def test_the_fitted_share_of_luts_x_clock_is_solved_from_the_bar():
    constants = wrpn_peaks.load_wrpn_constants()
    solved = wrpn_peaks.lut_share_clock_hz(57.3, constants.dot_length.value, 32)
    assert solved == pytest.approx(constants.lut_share_clock_hz.value, rel=0.001)
    assert constants.lut_share_clock_hz.value < 500e6, "a clock that the device can have"


def test_the_prediction_depends_on_the_dot_length_as_stated():
    """From 8 to 64 products: INT4 +19 to -41 %, INT4 x TER2 +51 to -12 %."""
    found = {}
    for length in (8, 64):
        rate = wrpn_peaks.lut_share_clock_hz(57.3, length, 32)
        for precision, bar in (("int4", 6.4), ("int4_ter2", 10.3)):
            macs = wrpn_peaks.filled_macs(precision, length, 32)
            found[precision, length] = peak_tops(macs, rate) / bar - 1
    assert list(found.values()) == pytest.approx([0.19, 0.51, -0.41, -0.12], abs=0.01)
