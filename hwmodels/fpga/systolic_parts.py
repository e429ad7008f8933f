"""Logic and memory of a systolic array on an FPGA: elements, edges, ends of columns, buffers."""

from dataclasses import dataclass

import numpy as np

from hwmodels.explain import formula, read
from hwmodels.fpga.buffers import (
    Buffer,
    buffer_blocks,
    buffer_luts,
    buffer_ultra,
    whole_blocks,
)
from hwmodels.fpga.datapaths import Datapath
from hwmodels.fpga.device import Fpga
from hwmodels.fpga.dsp import Packing
from hwmodels.fpga.logic import Bound, luts_per_lut6
from hwmodels.fpga.systolic_design import Design
from hwmodels.fpga.units import (
    RAW_BITS,
    Operands,
    element_dsp,
    element_flip_flops,
    element_luts,
    requantizer_dsps,
    requantizer_flip_flops,
    requantizer_luts,
)
from hwmodels.work import WorkTable


@dataclass(frozen=True)
class Array:
    """A design as its parts see it.

    path          of all elements
    result_bits   the widest level that a requantizer makes
    """

    design: Design
    device: Fpga
    path: Datapath
    operands: Operands
    result_bits: int

    @property
    def packing(self) -> Packing:
        """Of products in DSPs."""
        return self.design.dsp_packing


def array_of(work: WorkTable, design: Design, device: Fpga, path: Datapath) -> Array:
    """The array of a design for ``work``."""
    operands = Operands(
        read(design, "weight_bits"),
        read(design, "activation_bits"),
        read(design, "accumulator_bits"),
        any(layer.activation_scheme != "unsigned" for layer in work),
    )
    rounded = [layer.stored_bits for layer in work if layer.stored_bits < RAW_BITS]
    return Array(design, device, path, operands, max(rounded, default=RAW_BITS))


@formula
def luts(array: Array, bound: Bound = "nominal"):
    """Elements x LUTs of one + columns x LUTs of a requantizer + delays at the edges + adders of
    sums to those of earlier folds + buffers that are in LUTs."""
    design, device, operands = array.design, array.device, array.operands
    lanes, columns = read(design, "lanes"), read(design, "columns")
    each = element_luts(array.path, lanes, operands, device, bound=bound, packing=array.packing)
    ends = requantizer_luts(operands.accumulator_bits, array.result_bits, device, bound=bound)
    held = sum(buffer_luts(each, device) for each in array_buffers(design))
    beside = edge_delay_luts(design) + held
    if design.dataflow != "output_stationary":
        beside = beside + columns * operands.accumulator_bits
    beside = beside * luts_per_lut6(device.lut_kind, bound)
    return elements(design) * each + columns * ends + beside


@formula
def flip_flops(array: Array):
    """Elements x (flip-flops of one + operands that it keeps and passes on) + columns x registers
    of a requantizer."""
    design, operands = array.design, array.operands
    lanes = read(design, "lanes")
    each = element_flip_flops(array.path, lanes, operands, array.device, packing=array.packing)
    kept = operand_registers(lanes, operands.weight_bits, operands.activation_bits)
    ends = requantizer_flip_flops(array.result_bits)
    return elements(design) * (each + kept) + read(design, "columns") * ends


@formula
def dsp(array: Array):
    """Elements x DSPs of one, in whole DSPs, + columns x DSPs of a requantizer."""
    design, operands = array.design, array.operands
    lanes = read(design, "lanes")
    each = element_dsp(array.path, lanes, operands, array.device, packing=array.packing)
    ends = requantizer_dsps(operands.accumulator_bits, array.result_bits, array.device)
    return np.ceil(elements(design) * each) + read(design, "columns") * ends


@formula
def ram_blocks(array: Array):
    """Sum over the buffers in RAM blocks, in whole blocks of the device."""
    device = array.device
    blocks = sum(buffer_blocks(each, device) for each in array_buffers(array.design))
    return whole_blocks(blocks, device)


@formula
def uram_288kb(array: Array):
    """Sum over the buffers that are sent there."""
    return sum(buffer_ultra(each) for each in array_buffers(array.design))


@formula
def elements(design: Design):
    """Rows x columns: processing elements."""
    return read(design, "rows") * read(design, "columns")


@formula
def operand_registers(lanes, weight_bits, activation_bits):
    """Lanes x (weight + activation bits): what an element keeps and passes on."""
    return lanes * (weight_bits + activation_bits)


@formula
def edge_delay_luts(design: Design):
    """Shift registers, 32 cycles to a LUT: operands enter each row and column a cycle later than
    the one before, and results are brought together again."""
    lanes, rows, columns = (read(design, name) for name in ("lanes", "rows", "columns"))
    weights = lanes * read(design, "weight_bits")
    activations = lanes * read(design, "activation_bits")
    of_row, of_column = {  # bits that enter each row and each column
        "weight_stationary": (activations, 0.0),
        "input_stationary": (weights, 0.0),
        "output_stationary": (activations, weights),
    }[design.dataflow]
    leaving = read(design, "accumulator_bits")
    return delay_luts(rows) * of_row + delay_luts(columns) * (of_column + leaving)


def delay_luts(count) -> np.ndarray:
    """LUTs of a bit that is delayed by 0, 1, ... count - 1 cycles: the sum of cycles / 32, each
    rounded up."""
    whole, rest = np.divmod(np.asarray(count, np.float64) - 1, 32)
    return 16 * whole * (whole + 1) + rest * (whole + 1)


def array_buffers(design: Design) -> list[Buffer]:
    """The buffers: words as wide as what enters or leaves the array in a cycle."""
    rows, columns, lanes = (read(design, name) for name in ("rows", "columns", "lanes"))
    of_inputs, of_weights = {  # values of a word
        "weight_stationary": (rows, columns),
        "input_stationary": (columns, rows),
        "output_stationary": (rows, columns),
    }[design.dataflow]
    buffers = []
    for name, values, bits in (
        ("input", of_inputs * lanes, read(design, "activation_bits")),
        ("weight", of_weights * lanes, read(design, "weight_bits")),
        ("accumulator", columns, read(design, "accumulator_bits")),
    ):
        depth = buffer_depth(read(design, f"{name}_buffer_elements"), values)
        copies, style = (2.0 if design.double_buffered else 1.0), getattr(design, f"{name}_memory")
        buffers.append(Buffer(depth, values * bits, copies, style))
    return buffers


@formula
def buffer_depth(values, values_of_a_word):
    """Values / values of a word, in whole words."""
    return np.ceil(values / values_of_a_word)


@formula
def buffer_bytes(design: Design):
    """Bytes of the buffers: values x bits of inputs, weights and sums, twice where they are
    double."""
    names = {"input": "activation", "weight": "weight", "accumulator": "accumulator"}
    bits = sum(
        read(design, f"{buffer}_buffer_elements") * read(design, f"{operand}_bits")
        for buffer, operand in names.items()
    )
    return bits / 8 * (2 if design.double_buffered else 1)
