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
from hwmodels.fpga.logic import Bound, luts_per_lut6, pe_luts
from hwmodels.fpga.pe import pe_flip_flops
from hwmodels.fpga.requantizers import requantizer_dsp, requantizer_lut, threshold_lut
from hwmodels.fpga.schemes import SIGNED, product_bits
from hwmodels.provenance import Figure

BOUNDS: tuple[Bound, ...] = ("nominal", "low", "high")
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


@dataclass(frozen=True)
class Operands:
    """What an element multiplies and sums: bits, and whether activations are signed."""

    weight_bits: np.ndarray | float
    activation_bits: np.ndarray | float
    accumulator_bits: np.ndarray | float
    signed: bool = False


def element(
    path: Datapath, lanes, operands: Operands, device: Fpga, *, packing: Packing = "one"
) -> Logic:
    """A processing element: ``lanes`` products in a cycle, their sum, and its accumulator."""
    if path == "dsp":
        return _dsp_element(lanes, operands, device, packing)
    widths = (operands.weight_bits, operands.activation_bits)
    sizes = (scheme_of(path, operands.signed), *widths, lanes, operands.accumulator_bits)
    luts = (pe_luts(device.lut_kind, *sizes, bound=bound) for bound in BOUNDS)
    return Logic(*luts, pe_flip_flops(*sizes, pipelined=True), 0.0)


def scheme_of(path: Datapath, signed: bool = False) -> str:
    """What synthesis calls the products of a datapath."""
    if path in ("dsp", "lut"):
        return SIGNED if signed else "fixed"
    return path


def _dsp_element(lanes, operands: Operands, device: Fpga, packing: Packing) -> Logic:
    dsp, sums = load_dsp_type(device.dsp_type), operands.accumulator_bits
    widths = (operands.weight_bits, operands.activation_bits)
    packed = packed_products(operands, dsp, packing)
    beside = np.where(
        packed > 1,
        packed_lut(*widths, lanes, sums, np.maximum(packed, 2)) / np.maximum(packed, 1),
        cascade_lut(lanes, sums),
    )
    # packed products are of different sums, of which each has its own part of the LUTs
    registers = np.where(packed > 1, sums, dsp_pe_flip_flops(lanes, sums))
    blocks = element_dsp(lanes, operands, dsp, packing)
    return Logic(*in_kind_of(device, beside), registers, blocks)


def packed_products(operands: Operands, dsp: DspType, packing: Packing):
    """Products that share one multiplier of a DSP, 1 where none do."""
    alone = _products(operands, dsp, "one")
    return np.where(alone > 0, _products(operands, dsp, packing) / np.maximum(alone, 1), 1.0)


@formula
def element_dsp(lanes, operands: Operands, dsp: DspType, packing: Packing):
    """Lanes / products of a DSP, or lanes x DSPs of a product that does not fit in one.

    Products that a DSP only gives as one sum must be of one element.
    """
    apart = tuple(mode for mode in dsp.modes if not mode.sums_its_products)
    alone = _products(operands, msgspec.structs.replace(dsp, modes=apart), packing)
    products = np.maximum(alone, np.minimum(_products(operands, dsp, packing), lanes))
    widths = (operands.weight_bits, operands.activation_bits)
    split = lanes * dsp_per_product(*widths, dsp, signed_activations=operands.signed)
    return np.where(products > 0, lanes / np.maximum(products, 1), split)


def _products(operands: Operands, dsp: DspType, packing: Packing) -> np.ndarray:
    widths = (operands.weight_bits, operands.activation_bits)
    return products_per_dsp(*widths, dsp, packing=packing, signed_activations=operands.signed)


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
        luts = in_kind_of(device, threshold_lut(accumulator_bits, result_bits))
        return Logic(*luts, result_bits, 0.0)
    sums = np.maximum(accumulator_bits, LEAST_SUM_BITS)
    luts = in_kind_of(device, requantizer_lut(sums, MULTIPLIER_BITS, result_bits, in_dsp=True))
    dsp = requantizer_dsp(sums, MULTIPLIER_BITS, load_dsp_type(device.dsp_type))
    return Logic(*luts, result_bits, dsp)


def constant_bits(accumulator_bits, result_bits: float):
    """Bits that a requantizer reads for each channel: its thresholds, or a multiplier and an
    offset."""
    if result_bits >= RAW_BITS:
        return 0.0 * accumulator_bits
    if result_bits <= MOST_THRESHOLD_BITS:
        return (2**result_bits - 1) * accumulator_bits
    return MULTIPLIER_BITS + accumulator_bits


def in_kind_of(device: Fpga, luts) -> tuple[np.ndarray, ...]:
    """6-input LUTs in the device's kind: nominal, low and high."""
    return tuple(luts * luts_per_lut6(device.lut_kind, bound) for bound in BOUNDS)


@formula
def energy_j():
    """Not known: no energy of these datapaths in FPGAs has a source."""
    reason = "no source gives the energy of these datapaths in FPGAs"
    return read_figure(Figure(None, "unknown", reason), "energy_per_operation_j", where="FPGAs")
