"""The shipped FPGAs: what a record promises, and figures that must agree with one another."""

import numpy as np
import pytest

from hwmodels.errors import InputError
from hwmodels.explain import read
from hwmodels.fpga.device import device_names, load_device
from hwmodels.fpga.dsp import load_dsp_type

DEVICES = [load_device(name) for name in device_names()]
ids = pytest.mark.parametrize("device", DEVICES, ids=lambda device: device.name)


def test_fifteen_devices_are_shipped():
    assert len(DEVICES) == 15


@ids
def test_a_device_names_a_shipped_type_of_dsp(device):
    assert load_dsp_type(device.dsp_type).modes


@ids
def test_a_bandwidth_has_a_board_and_a_missing_one_a_reason(device):
    memory = device.dram_gb_per_s
    assert bool(device.board) or memory.value is None
    assert memory.value is None or memory.value > 0
    assert all(other.value > 0 for other in device.other_boards.values())


@ids
def test_no_device_claims_a_static_power(device):
    assert device.static_power_w.value is None
    assert np.isnan(read(device, "static_power_w"))


@ids
def test_flip_flops_for_each_lut_are_those_of_the_family(device):
    per_lut = device.flip_flops.value / device.luts.value
    expected = {"lut6": 2, "alm": 4, "lut4": 1}[device.lut_kind]
    assert per_lut == pytest.approx(expected, rel=0.003)  # ECP5-85: 83,845 of 83,640


@pytest.mark.parametrize(
    ("name", "logic_cells"), [("xc7z020", 85e3), ("xc7z045", 350e3), ("xc7z100", 444e3)]
)
def test_luts_agree_with_the_logic_cells_of_the_overview(name, logic_cells):
    """Xilinx UG474: 1.6 logic cells for each LUT6; DS190 prints the cells in thousands."""
    assert load_device(name).luts.value * 1.6 == pytest.approx(logic_cells, rel=0.003)


def test_other_kinds_of_logic_and_ram_are_not_counted_as_xilinx_ones():
    arria = load_device("arria10_gx1150")
    assert (arria.lut6.value, arria.bram_36kb.value) == (None, None)
    assert arria.lut6.source == "arria10_gx1150 has alm and no lut6"
    assert load_device("xczu9eg").lut6 == load_device("xczu9eg").luts


def test_another_board_brings_its_memory_and_nothing_else():
    own, other = load_device("xc7z045"), load_device("xc7z045@zc706_pl")
    assert (other.name, other.board, other.dram_gb_per_s.value) == ("xc7z045", "zc706_pl", 12.8)
    assert other.other_boards == {"zc706_ps": own.dram_gb_per_s}
    assert other.luts == own.luts


def test_an_unknown_board_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"^xczu7ev is on no board 'zcu105'; .*zcu10[46]"):
        load_device("xczu7ev@zcu105")
    with pytest.raises(InputError, match=r"^xc7z100 is on no board ''; known are: none"):
        load_device("xc7z100@")


def test_an_unknown_device_is_refused_with_the_nearest():
    with pytest.raises(InputError, match="unknown FPGA 'alveo_u25'; did you mean 'alveo_u250'"):
        load_device("alveo_u25")
