"""WRPN's Arria 10: a device filled with elements of one datapath, of one constant.

The one constant, share of the ALMs x clock, is fitted to the bar of binary operands; those of 4-bit
and ternary weights then follow from the LUTs of their elements. All elements are counted in merged
cells, since XNOR elements were synthesised in no other way: like is compared with like, and how an
ALM compares with a LUT drops out. It does not drop out how long the paper's dot products are, which
it does not state: with 8 or 64 products instead of 16 the predictions are 12 to 51 % off.

Source: WRPN, arXiv 1709.01134, section 5.1 and Figure 3.
"""

from functools import cache

import msgspec

from hwmodels.documents import read_document
from hwmodels.explain import formula, read, read_figure
from hwmodels.fpga.device import load_device
from hwmodels.fpga.peak import float_macs_per_cycle, lut_macs_per_cycle, peak_tops
from hwmodels.provenance import HERE, Figure, FittedFigure

FILE = "wrpn_arria10.yaml"
# precision of the figure: scheme, weight bits, activation bits
DATAPATHS = {"int4": ("fixed", 4, 4), "int4_ter2": ("ternary", 2, 4), "bin1": ("xnor", 1, 1)}
PRECISIONS = ("fp32", *DATAPATHS)


class WrpnConstants(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The constants of the model."""

    paper: str
    device: str
    lut_share_clock_hz: FittedFigure
    dsp_share_clock_hz: FittedFigure
    power_w: FittedFigure
    dot_length: Figure
    accumulator_bits: Figure


@cache
def load_wrpn_constants() -> WrpnConstants:
    """The constants, from ``calibrated/wrpn_arria10.yaml``."""
    return read_document(HERE / "calibrated" / FILE, WrpnConstants)


@formula
def tops(precision: str):
    """MACs per cycle of all DSPs (fp32) or all ALMs x share of them x clock x 2, in 1e12 operations
    per second.

    precision   one of ``PRECISIONS``
    """
    constants = load_wrpn_constants()
    device = load_device(constants.device)
    name = "dsp_share_clock_hz" if precision == "fp32" else "lut_share_clock_hz"
    rate = read_figure(getattr(constants, name), name, where=f"hwmodels/calibrated/{FILE}")
    if precision == "fp32":
        return peak_tops(float_macs_per_cycle(device), rate)
    length, accumulator = read(constants, "dot_length"), read(constants, "accumulator_bits")
    return peak_tops(filled_macs(precision, length, accumulator), rate)


@formula
def lut_share_clock_hz(bin1_tops, dot_length, accumulator_bits):
    """Share of the ALMs x clock at which elements of so many products reach the bar of binary
    operands."""
    return bin1_tops / peak_tops(filled_macs("bin1", dot_length, accumulator_bits), 1)


@formula
def gops_per_w(precision: str):
    """Rate / the power of the device, taken to be the same whatever it computes."""
    power = load_wrpn_constants().power_w
    power_w = read_figure(power, "power_w", where=f"hwmodels/calibrated/{FILE}")
    return tops(precision) * 1e3 / power_w


def is_fitted(precision: str, quantity: str = "tops") -> bool:
    """Whether a constant was fitted to the bar of that precision, of "tops" or "gops_per_w"."""
    held = load_wrpn_constants()
    figures = (held.lut_share_clock_hz, held.dsp_share_clock_hz, held.power_w)
    fitted = [bar for figure in figures for bar in figure.fitted_to]
    return f"{held.device}/{precision}/{quantity}" in fitted


def filled_macs(precision: str, dot_length, accumulator_bits):
    """MACs per cycle of all ALMs in elements of one of ``DATAPATHS``."""
    return lut_macs_per_cycle(
        load_device(load_wrpn_constants().device),
        *DATAPATHS[precision],
        dot_length=dot_length,
        accumulator_bits=accumulator_bits,
        bound="high",
    )
