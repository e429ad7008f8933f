"""Logic of the parts that architectures are built of: processing elements and requantizers.

Each is priced as it was synthesised (``logic``, ``dsp_pe``, ``requantizers``), with a band of LUTs
from packed to merged cells, in the kind of LUTs that the device has. Trees of adders have a
register after every level.
"""

from dataclasses import dataclass

import msgspec
import numpy as np

from hwmodels.explain import formula, read_figure
from hwmodels.fpga.datapaths import Datapath
from hwmodels.fpga.device import Fpga
from hwmodels.fpga.dsp import DspType, Packing, dsp_per_product, load_dsp_type, products_per_dsp
from hwmodels.fpga.dsp_pe import cascade_lut, dsp_pe_flip_flops, packed_lut
from hwmodels.fpga.energy import static_energy_j
from hwmodels.fpga.logic import Bound, luts_per_lut6, pe_luts
from hwmodels.fpga.pe import pe_flip_flops
from hwmodels.fpga.requantizers import requantizer_dsp, requantizer_lut, threshold_lut
from hwmodels.fpga.schemes import SIGNED, product_bits
from hwmodels.provenance import Figure

MULTIPLIER_BITS = 16  # of a requantizer that multiplies
MOST_THRESHOLD_BITS = 4  # of a result, up to which thresholds were synthesised
LEAST_SUM_BITS = 20  # of a requantizer that was synthesised; narrower sums are taken as this one
RAW_BITS = 32  # of sums that leave as they are


@dataclass(frozen=True)
class Operands:
    """What an element multiplies and sums: bits, and whether activations are signed."""

    weight_bits: np.ndarray | float
    activation_bits: np.ndarray | float
    accumulator_bits: np.ndarray | float
    signed: bool = False


@formula
def element_luts(
    path: Datapath,
    lanes,
    operands: Operands,
    device: Fpga,
    *,
    bound: Bound = "nominal",
    packing: Packing = "one",
):
    """LUTs of a processing element: lanes, their sum and its accumulator, as synthesised; of one of
    DSPs, what stands beside them."""
    widths = (operands.weight_bits, operands.activation_bits)
    sums = operands.accumulator_bits
    if path != "dsp":
        sizes = (scheme_of(path, operands.signed), *widths, lanes, sums)
        return pe_luts(device.lut_kind, *sizes, bound=bound)
    packed = packed_products(operands, load_dsp_type(device.dsp_type), packing)
    alone = cascade_lut(lanes, sums)
    if (packed > 1).any():
        # packed products are of different sums, of which each has its own part of the LUTs
        together = packed_lut(*widths, lanes, sums, np.maximum(packed, 2)) / np.maximum(packed, 2)
        alone = np.where(packed > 1, together, alone)
    return alone * luts_per_lut6(device.lut_kind, bound)


@formula
def element_flip_flops(
    path: Datapath, lanes, operands: Operands, device: Fpga, *, packing: Packing = "one"
):
    """Flip-flops of a processing element: of its accumulator and the levels of its tree; of one of
    DSPs, those outside them."""
    sums = operands.accumulator_bits
    if path != "dsp":
        widths = (operands.weight_bits, operands.activation_bits)
        return pe_flip_flops(scheme_of(path, operands.signed), *widths, lanes, sums, pipelined=True)
    packed = packed_products(operands, load_dsp_type(device.dsp_type), packing)
    return np.where(packed > 1, sums, dsp_pe_flip_flops(lanes, sums))


@formula
def element_dsp(
    path: Datapath, lanes, operands: Operands, device: Fpga, *, packing: Packing = "one"
):
    """Lanes / products of a DSP, or lanes x DSPs of a product that does not fit in one; a share of
    a DSP where others use it too.

    Products that a DSP only gives as one sum must be of one element.
    """
    if path != "dsp":
        return np.zeros(np.shape(lanes))
    dsp = load_dsp_type(device.dsp_type)
    apart = tuple(mode for mode in dsp.modes if not mode.sums_its_products)
    alone = _products(operands, msgspec.structs.replace(dsp, modes=apart), packing)
    products = np.maximum(alone, np.minimum(_products(operands, dsp, packing), lanes))
    widths = (operands.weight_bits, operands.activation_bits)
    split = lanes * dsp_per_product(*widths, dsp, signed_activations=operands.signed)
    return np.where(products > 0, lanes / np.maximum(products, 1), split)


def scheme_of(path: Datapath, signed: bool = False) -> str:
    """What synthesis calls the products of a datapath."""
    if path in ("dsp", "lut"):
        return SIGNED if signed else "fixed"
    return path


def packed_products(operands: Operands, dsp: DspType, packing: Packing):
    """Products that share one multiplier of a DSP, 1 where none do."""
    alone = _products(operands, dsp, "one")
    return np.where(alone > 0, _products(operands, dsp, packing) / np.maximum(alone, 1), 1.0)


def _products(operands: Operands, dsp: DspType, packing: Packing) -> np.ndarray:
    widths = (operands.weight_bits, operands.activation_bits)
    return products_per_dsp(*widths, dsp, packing=packing, signed_activations=operands.signed)


@formula
def sum_bits(path: Datapath, weight_bits, activation_bits, depth):
    """Bits of a product + the logarithm of how many are summed, rounded up: of a sum that cannot
    overflow."""
    product = product_bits(scheme_of(path), weight_bits, activation_bits)
    return product + np.ceil(np.log2(depth))


@formula
def requantizer_luts(
    accumulator_bits, result_bits: float, device: Fpga, *, bound: Bound = "nominal"
):
    """LUTs that make a level of a sum: of thresholds up to 4 bits, else beside DSPs that multiply
    it by 16 bits; none where sums leave as they are."""
    if result_bits >= RAW_BITS:
        return np.zeros(np.shape(accumulator_bits))
    if result_bits <= MOST_THRESHOLD_BITS:
        packs = bound == "low" and device.lut_kind == "lut6"
        count = threshold_lut(accumulator_bits, result_bits, cells="packed" if packs else "cells")
    else:
        sums = np.maximum(accumulator_bits, LEAST_SUM_BITS)
        count = requantizer_lut(sums, MULTIPLIER_BITS, result_bits, in_dsp=True)
    return count * luts_per_lut6(device.lut_kind, bound)


@formula
def requantizer_dsps(accumulator_bits, result_bits: float, device: Fpga):
    """DSPs that multiply a sum by 16 bits; none of thresholds and of sums that leave as they
    are."""
    if result_bits <= MOST_THRESHOLD_BITS or result_bits >= RAW_BITS:
        return np.zeros(np.shape(accumulator_bits))
    sums = np.maximum(accumulator_bits, LEAST_SUM_BITS)
    return requantizer_dsp(sums, MULTIPLIER_BITS, load_dsp_type(device.dsp_type))


@formula
def requantizer_flip_flops(result_bits: float):
    """A register for the level; none where sums leave as they are."""
    return np.float64(0 if result_bits >= RAW_BITS else result_bits)


def constant_bits(accumulator_bits, result_bits: float):
    """Bits that a requantizer reads for each channel: its thresholds, or a multiplier and an
    offset."""
    if result_bits >= RAW_BITS:
        return 0.0 * accumulator_bits
    if result_bits <= MOST_THRESHOLD_BITS:
        return (2**result_bits - 1) * accumulator_bits
    return MULTIPLIER_BITS + accumulator_bits


@formula
def energy_j(device: Fpga, image_s):
    """Power at rest x time of an image + energy of the datapath and memories; neither is known."""
    reason = "no source gives the energy of these datapaths and memories in FPGAs"
    unknown = Figure(None, "unknown", reason)
    return static_energy_j(device, image_s) + read_figure(unknown, "active_energy_j", where="FPGAs")
