"""The peak rate of a device that is filled with processing elements of one datapath.

It is what the device could do at best: nothing is left for buffers, control or routing unless a
share of the device says so, and every element computes in every cycle.
"""

import numpy as np

from hwmodels.explain import formula, read
from hwmodels.fpga.device import Fpga
from hwmodels.fpga.dsp import Packing, load_dsp_type, products_per_dsp
from hwmodels.fpga.logic import Bound, pe_luts
from hwmodels.fpga.pe import passes


@formula
def lut_macs_per_cycle(
    device: Fpga,
    scheme: str,
    weight_bits,
    activation_bits,
    *,
    dot_length=16,
    accumulator_bits=32,
    lut_share=1.0,
    bound: Bound = "nominal",
):
    """Whole processing elements in a share of the LUTs x dot length / cycles of a product.

    bound   of the LUTs of an element, so "low" gives the most
    """
    widths = (weight_bits, activation_bits, dot_length, accumulator_bits)
    of_element = pe_luts(device.lut_kind, scheme, *widths, bound=bound)
    elements = np.floor(lut_share * read(device, "luts") / of_element)
    return elements * dot_length / passes(scheme, weight_bits, activation_bits)


@formula
def dsp_macs_per_cycle(
    device: Fpga, weight_bits, activation_bits, *, packing: Packing = "one", dsp_share=1.0
):
    """Whole DSPs of a share of them x products of each."""
    dsp = load_dsp_type(device.dsp_type)
    each = products_per_dsp(weight_bits, activation_bits, dsp, packing=packing)
    return np.floor(dsp_share * read(device, "dsp")) * each


@formula
def float_macs_per_cycle(device: Fpga, *, dsp_share=1.0):
    """Whole DSPs of a share of them x single-precision multiply-adds of each; not known (NaN) where
    the DSPs have none, since no source prices one built of LUTs."""
    each = read(load_dsp_type(device.dsp_type), "float_macs")
    return np.floor(dsp_share * read(device, "dsp")) * np.where(each > 0, each, np.nan)


@formula
def peak_tops(macs_per_cycle, clock_hz):
    """2 x MACs per cycle x clock, in 1e12 operations per second."""
    return 2 * np.asarray(macs_per_cycle) * clock_hz / 1e12
