"""What an FPGA computes that is filled with processing elements: WRPN's Arria 10 (Figure 3).

Products that are multiplied take the multipliers of all DSP blocks, and the share of the logic that
is processing elements; those that are selected or counted take logic alone. Peak rates: all of them
busy in every cycle. Constants: ``calibrated/wrpn_arria10.yaml``.

Source: WRPN, arXiv 1709.01134v1, section 5.1: processing elements of FP32, of INT4, of INT4 x TER2
without multipliers, and of BIN1 with XNOR and bit count. How many products one has is not said;
here 32, their sum written as one expression, which synthesis merges with the products (the upper
end of the band of ``pe``). That choice was made with the bars in view: of the three ways to count
cells it alone meets the one of INT4 x TER2; the one of INT4 is met by all within 20 %.
"""

from functools import cache

import msgspec

from hwmodels.documents import read_document
from hwmodels.explain import formula, read, read_figure
from hwmodels.fpga.device import Fpga
from hwmodels.fpga.dsp import load_dsp_type, products_per_dsp
from hwmodels.fpga.logic import luts_per_lut6
from hwmodels.fpga.pe import pe_lut
from hwmodels.fpga.schemes import Cells
from hwmodels.provenance import HERE, Status

FILE = "wrpn_arria10.yaml"
DOT_LENGTH = 32  # products of one element


class FittedFigure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A calibrated constant, the bars it was fitted to, and how."""

    value: float
    fitted_to: tuple[str, ...]
    status: Status
    source: str


class FilledConstants(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The calibrated constants of this model."""

    paper: str
    clock_hz: FittedFigure
    logic_share: FittedFigure
    power_w: FittedFigure


@cache
def load_constants() -> FilledConstants:
    """The calibrated constants."""
    return read_document(HERE / "calibrated" / FILE, FilledConstants)


def fitted_bars() -> set[str]:
    """The bars (table/row) that a constant was fitted to."""
    held = load_constants()
    return {bar for f in (held.clock_hz, held.logic_share, held.power_w) for bar in f.fitted_to}


@formula
def luts_per_product(
    device: Fpga, scheme: str, weight_bits, activation_bits, cells: Cells = "merged"
):
    """LUTs of the device's kind of a processing element / its products."""
    element = pe_lut(scheme, weight_bits, activation_bits, DOT_LENGTH, cells=cells)
    return element * luts_per_lut6(device.lut_kind) / DOT_LENGTH


@formula
def logic_products(device: Fpga, scheme: str, weight_bits, activation_bits, cells="merged"):
    """Products per cycle of the logic: LUTs x share that is processing elements / LUTs of one."""
    each = luts_per_product(device, scheme, weight_bits, activation_bits, cells)
    return read(device, "luts") * _constant("logic_share") / each


@formula
def multiplier_products(device: Fpga, weight_bits, activation_bits):
    """Products per cycle of the DSPs: a product for each multiplier of each block."""
    dsp_type = load_dsp_type(device.dsp_type)
    return read(device, "dsp") * products_per_dsp(weight_bits, activation_bits, dsp_type)


@formula
def float_products(device: Fpga):
    """Multiply-adds in single precision per cycle of the DSPs."""
    return read(device, "dsp") * read(load_dsp_type(device.dsp_type), "float_macs")


@formula
def tops(products):
    """2 x products per cycle x clock, in 1e12 operations per second."""
    return 2 * products * _constant("clock_hz") / 1e12


@formula
def gops_per_w(rate_tops):
    """Rate / the power of the device, which is taken to be the same whatever it computes."""
    return rate_tops * 1e3 / _constant("power_w")


def _constant(name: str):
    figure = getattr(load_constants(), name)
    return read_figure(figure, name, where=f"hwmodels/calibrated/{FILE}")
