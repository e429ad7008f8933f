"""Processing elements and requantizers: what they take on every type of DSP, by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwmodels.fpga.device import load_device
from hwmodels.fpga.dsp_pe import cascade_lut, packed_lut
from hwmodels.fpga.requantizers import requantizer_lut, threshold_lut
from hwmodels.fpga.units import (
    Operands,
    constant_bits,
    element_dsp,
    element_flip_flops,
    element_luts,
    requantizer_dsps,
    requantizer_flip_flops,
    requantizer_luts,
    sum_bits,
)

ZYNQ, ULTRA = load_device("xc7z020"), load_device("xczu9eg")
VERSAL, ARRIA = load_device("vc1902"), load_device("arria10_gx1150")
EIGHT = Operands(8, 8, 32)


@pytest.mark.parametrize(
    ("device", "operands", "lanes", "packing", "count"),
    [
        (ZYNQ, EIGHT, 4, "one", 4),
        (ZYNQ, Operands(4, 4, 32), 6, "shared_operand", 2),  # 3 weights of 4 bits in 25, 8 apart
        (ULTRA, EIGHT, 4, "shared_operand", 2),  # 8 + 16 + 1 bits in 27
        (ULTRA, EIGHT, 4, "published", 2),
        (VERSAL, Operands(8, 8, 32, True), 1, "one", 1),  # three products only leave as one sum
        (VERSAL, Operands(8, 8, 32, True), 6, "one", 2),
        (ARRIA, EIGHT, 4, "one", 2),  # two multipliers in a block
        (ZYNQ, Operands(24, 24, 48), 1, "one", 2),
    ],
)
def test_dsps_of_an_element(device, operands, lanes, packing, count):
    assert element_dsp("dsp", lanes, operands, device, packing=packing) == count
    assert element_dsp("lut", lanes, operands, device) == 0


def test_a_lone_dsp_keeps_its_sum_and_a_chain_adds_in_luts():
    assert element_luts("dsp", 1, EIGHT, ULTRA) == 0
    assert element_flip_flops("dsp", 1, EIGHT, ULTRA) == 0
    assert element_luts("dsp", 16, EIGHT, ULTRA) == cascade_lut(16, 32) > 0
    assert element_flip_flops("dsp", 16, EIGHT, ULTRA) == 32


def test_packed_elements_share_what_tells_their_products_apart():
    """Two elements in the same DSPs."""
    two = float(packed_lut(8, 8, 16, 32, 2))
    assert element_luts("dsp", 16, EIGHT, ULTRA, packing="shared_operand") == two / 2


@given(st.lists(st.integers(2, 8), min_size=1, max_size=4), st.sampled_from(["lut", "dsp"]))
def test_an_array_of_widths_equals_single_ones(widths, path):
    together = Operands(np.array(widths), 8, 32)
    for packing in ("one", "shared_operand"):
        luts = element_luts(path, 4, together, ULTRA, packing=packing)
        dsps = element_dsp(path, 4, together, ULTRA, packing=packing)
        for at, width in enumerate(widths):
            alone = Operands(width, 8, 32)
            assert np.broadcast_to(luts, len(widths))[at] == element_luts(
                path, 4, alone, ULTRA, packing=packing
            )
            assert np.broadcast_to(dsps, len(widths))[at] == element_dsp(
                path, 4, alone, ULTRA, packing=packing
            )


@pytest.mark.parametrize(
    ("path", "weight_bits", "activation_bits", "depth", "bits"),
    [
        ("dsp", 8, 8, 1, 16),
        ("lut", 4, 4, 9, 12),
        ("sp2", 4, 4, 512, 8 + 9),  # 4 bits shifted by up to 3, and a sign
        ("ternary", 2, 8, 4, 9 + 2),
        ("xnor", 1, 1, 576, 2 + 10),
    ],
)
def test_a_sum_has_the_bits_of_a_product_and_of_how_many_there_are(
    path, weight_bits, activation_bits, depth, bits
):
    assert sum_bits(path, weight_bits, activation_bits, depth) == bits


@given(st.integers(1, 8), st.integers(1, 8), st.integers(1, 5000))
def test_no_sum_overflows(weight_bits, activation_bits, depth):
    largest = 2 ** (weight_bits - 1) * (2**activation_bits - 1) * depth
    assert largest <= 2 ** (sum_bits("lut", weight_bits, activation_bits, depth) - 1)


def test_up_to_four_bits_are_compared_with_thresholds():
    for bits in (1, 2, 3, 4):
        assert requantizer_luts(24, bits, ULTRA) == threshold_lut(24, bits)
        assert requantizer_dsps(24, bits, ULTRA) == 0
        assert constant_bits(24, bits) == 24 * (2**bits - 1)
        assert requantizer_flip_flops(bits) == bits


def test_wider_results_are_multiplied_in_dsps():
    assert requantizer_luts(32, 8, ULTRA) == requantizer_lut(32, 16, 8, in_dsp=True)
    assert requantizer_luts(12, 8, ULTRA) == requantizer_lut(20, 16, 8, in_dsp=True)  # as of 20
    assert requantizer_dsps(32, 8, ULTRA) == 2
    assert requantizer_dsps(24, 8, ULTRA) == 1
    assert constant_bits(32, 8) == 16 + 32


def test_sums_that_leave_as_they_are_need_nothing():
    assert requantizer_luts(32, 32, ULTRA) == 0
    assert requantizer_dsps(32, 32, ULTRA) == 0
    assert requantizer_flip_flops(32) == 0
    assert constant_bits(32, 32) == 0
