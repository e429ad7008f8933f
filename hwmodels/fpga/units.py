"""Logic of the parts that architectures are built of: processing elements and requantizers.

Each is priced as it was synthesised (``pe``, ``dsp_pe``, ``requantizers``), with a band of LUTs
from packed to merged cells; trees of adders have a register after every level. On a device whose
logic is not of 6-input LUTs, LUTs are not known.
"""

from dataclasses import dataclass

import msgspec
import numpy as np

from hwmodels.explain import formula, read_figure
from hwmodels.fpga.datapaths import Datapath
from hwmodels.fpga.device import Fpga
from hwmodels.fpga.dsp import DspType, Packing, dsp_per_product, load_dsp_type, products_per_dsp
from hwmodels.fpga.dsp_pe import cascade_lut, dsp_pe_flip_flops, packed_lut
from hwmodels.fpga.lanes import product_bits
from hwmodels.fpga.pe import BAND, pe_flip_flops, pe_lut
from hwmodels.fpga.requantizers import requantizer_dsp, requantizer_lut, threshold_lut
from hwmodels.provenance import Figure

MULTIPLIER_BITS = 16  # of a requantizer that multiplies
MOST_THRESHOLD_BITS = 4  # of a result, up to which thresholds were synthesised
LEAST_SUM_BITS = 20  # of a requantizer that was synthesised; narrower sums are taken as this one
RAW_BITS = 32  # of sums that leave as they are


@dataclass(frozen=True)
class Logic:
    """LUTs with their band, flip-flops and DSPs; arrays that broadcast."""

    luts: np.ndarray
    luts_low: np.ndarray
    luts_high: np.ndarray
    flip_flops: np.ndarray
    dsp: np.ndarray

    @classmethod
    def of(cls, luts=0.0, flip_flops=0.0, dsp=0.0) -> "Logic":
        """Logic whose LUTs have no band."""
        return cls(luts, luts, luts, flip_flops, dsp)

    def __add__(self, other: "Logic") -> "Logic":
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Logic(*(one + more for one, more in pairs))

    def times(self, count) -> "Logic":
        """So many of these; DSPs in whole ones, of which some may be shared."""
        counted = {name: value * count for name, value in vars(self).items()}
        return Logic(**counted | {"dsp": np.ceil(counted["dsp"])})


def element(
    path: Datapath, lanes, bits: dict[str, np.ndarray], device: Fpga, *, packing: Packing = "one"
) -> Logic:
    """A processing element: ``lanes`` products in a cycle, their sum, and its accumulator.

    bits   of a "weight", an "activation" and the "accumulator"
    """
    operands, sums = (bits["weight"], bits["activation"]), bits["accumulator"]
    if path == "dsp":
        return _dsp_element(lanes, operands, sums, device, packing)
    sizes = (scheme_of(path), *operands, lanes, sums)
    counts = (pe_lut(*sizes, cells=BAND[name]) for name in ("nominal", "low", "high"))
    luts = (of_device(count, device) for count in counts)
    return Logic(*luts, pe_flip_flops(*sizes, pipelined=True), 0.0)


def scheme_of(path: Datapath) -> str:
    """What synthesis calls the products of a datapath."""
    return "fixed" if path in ("dsp", "lut") else path


def _dsp_element(lanes, operands, sums, device: Fpga, packing: Packing) -> Logic:
    dsp = load_dsp_type(device.dsp_type)
    packed = packed_products(*operands, dsp, packing)
    beside = np.where(
        packed > 1,
        packed_lut(*operands, lanes, sums, np.maximum(packed, 2)) / np.maximum(packed, 1),
        cascade_lut(lanes, sums),
    )
    # packed products are of different sums, of which each has its own part of the LUTs
    luts = of_device(beside, device)
    registers = np.where(packed > 1, sums, dsp_pe_flip_flops(lanes, sums))
    return Logic(luts, luts, luts, registers, element_dsp(lanes, *operands, dsp, packing))


def packed_products(weight_bits, activation_bits, dsp: DspType, packing: Packing):
    """Products that share one multiplier of a DSP, 1 where none do."""
    alone = products_per_dsp(weight_bits, activation_bits, dsp)
    together = products_per_dsp(weight_bits, activation_bits, dsp, packing=packing)
    return np.where(alone > 0, together / np.maximum(alone, 1), 1.0)


@formula
def element_dsp(lanes, weight_bits, activation_bits, dsp: DspType, packing: Packing):
    """Lanes / products of a DSP, or lanes x DSPs of a product that does not fit in one.

    Products that a DSP only gives as one sum must be of one element.
    """
    widths = (weight_bits, activation_bits)
    apart = tuple(mode for mode in dsp.modes if not mode.sums_its_products)
    alone = products_per_dsp(*widths, msgspec.structs.replace(dsp, modes=apart), packing=packing)
    summed = np.minimum(products_per_dsp(*widths, dsp, packing=packing), lanes)
    products = np.maximum(alone, summed)
    split = lanes * dsp_per_product(*widths, dsp)
    return np.where(products > 0, lanes / np.maximum(products, 1), split)


@formula
def sum_bits(path: Datapath, weight_bits, activation_bits, depth):
    """Bits of a product + the logarithm of how many are summed, rounded up: of a sum that cannot
    overflow."""
    product = product_bits(scheme_of(path), weight_bits, activation_bits)
    return product + np.ceil(np.log2(depth))


def requantizer(accumulator_bits, result_bits: float, device: Fpga) -> Logic:
    """What makes a level of ``result_bits`` of a sum: thresholds up to 4 bits, else a
    multiplication by 16 bits in DSPs; nothing where sums leave as they are."""
    if result_bits >= RAW_BITS:
        return Logic.of()
    if result_bits <= MOST_THRESHOLD_BITS:
        kinds = ("cells", "packed", "cells")
        counts = [threshold_lut(accumulator_bits, result_bits, cells=cells) for cells in kinds]
        return Logic(*(of_device(count, device) for count in counts), result_bits, 0.0)
    sums = np.maximum(accumulator_bits, LEAST_SUM_BITS)
    luts = of_device(requantizer_lut(sums, MULTIPLIER_BITS, result_bits, in_dsp=True), device)
    dsp = requantizer_dsp(sums, MULTIPLIER_BITS, load_dsp_type(device.dsp_type))
    return Logic.of(luts, result_bits, dsp)


def constant_bits(accumulator_bits, result_bits: float):
    """Bits that a requantizer reads for each channel: its thresholds, or a multiplier and an
    offset."""
    if result_bits >= RAW_BITS:
        return 0.0 * accumulator_bits
    if result_bits <= MOST_THRESHOLD_BITS:
        return (2**result_bits - 1) * accumulator_bits
    return MULTIPLIER_BITS + accumulator_bits


@formula
def of_device(luts, device: Fpga):
    """The same on logic of 6-input LUTs; not known on other logic."""
    if device.lut_kind == "lut6":
        return luts
    reason = f"synthesis was for LUTs of 6 inputs, and {device.name} has {device.lut_kind}"
    unknown = Figure(None, "unknown", reason)
    return luts * read_figure(unknown, f"luts_of_{device.lut_kind}", where=device.name)


@formula
def energy_j():
    """Not known: no energy of these datapaths in FPGAs has a source."""
    reason = "no source gives the energy of these datapaths in FPGAs"
    return read_figure(Figure(None, "unknown", reason), "energy_per_operation_j", where="FPGAs")
