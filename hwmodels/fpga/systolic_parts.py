"""Logic and memory of a systolic array on an FPGA: elements, edges, ends of columns, buffers."""

import numpy as np

from hwmodels.explain import formula, read
from hwmodels.fpga.buffers import Storage, stored
from hwmodels.fpga.device import Fpga
from hwmodels.fpga.systolic_design import Design
from hwmodels.fpga.units import RAW_BITS, Logic, Operands, element, in_kind_of, requantizer
from hwmodels.work import WorkTable


def array_logic(work: WorkTable, design: Design, path: str, device: Fpga) -> Logic:
    """Elements, their registers, delays at the edges, and the ends of the columns."""
    lanes, columns = read(design, "lanes"), read(design, "columns")
    operands = Operands(
        read(design, "weight_bits"),
        read(design, "activation_bits"),
        read(design, "accumulator_bits"),
        any(layer.activation_scheme != "unsigned" for layer in work),
    )
    array = element(path, lanes, operands, device, packing=design.dsp_packing)
    registers = operand_registers(lanes, operands.weight_bits, operands.activation_bits)
    rounded = [layer.stored_bits for layer in work if layer.stored_bits < RAW_BITS]
    ends = requantizer(operands.accumulator_bits, max(rounded, default=RAW_BITS), device)
    beside = edge_delay_luts(design)
    if design.dataflow != "output_stationary":  # sums are added to those of earlier folds
        beside = beside + columns * operands.accumulator_bits
    return (
        array.times(elements(design))
        + Logic.of(flip_flops=registers * elements(design))
        + ends.times(columns)
        + Logic(*in_kind_of(device, beside), 0.0, 0.0)
    )


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


def array_storage(design: Design, device: Fpga) -> Storage:
    """The buffers in memory: words as wide as what enters or leaves in a cycle."""
    rows, columns, lanes = (read(design, name) for name in ("rows", "columns", "lanes"))
    across = {  # words of inputs and weights
        "weight_stationary": (rows, columns),
        "input_stationary": (columns, rows),
        "output_stationary": (rows, columns),
    }
    of_inputs, of_weights = across[design.dataflow]
    copies = 2.0 if design.double_buffered else 1.0
    whole = Storage(0.0, 0.0, 0.0)
    for name, values, bits in (
        ("input", of_inputs * lanes, read(design, "activation_bits")),
        ("weight", of_weights * lanes, read(design, "weight_bits")),
        ("accumulator", columns, read(design, "accumulator_bits")),
    ):
        depth = buffer_depth(read(design, f"{name}_buffer_elements"), values)
        style = getattr(design, f"{name}_memory")
        whole = whole + stored(depth, values * bits, device, style=style).times(copies)
    return whole


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
