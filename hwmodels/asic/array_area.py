"""Area of a spatial array: its elements with their registers, requantizers and buffers."""

import numpy as np

from hwmodels.asic.area import gate_band_um2
from hwmodels.asic.array_energy import supply_point
from hwmodels.asic.design import Design
from hwmodels.asic.gates import pe_gates, register_gates, requantizer_gates, threshold_gates
from hwmodels.asic.memories import sram_um2
from hwmodels.asic.technology import Asic, place_of
from hwmodels.explain import formula, read, read_figure

ENDS = ("nominal", "low", "high")


@formula
def logic_gates_of(design: Design, scheme: str):
    """Elements x (products with their sum + registers of both operands), and a requantizer for
    each column; not known of floating point, which has no gates in the table."""
    if scheme == "float":
        return np.asarray(np.nan)
    weights, activations = read(design, "weight_bits"), read(design, "activation_bits")
    length, sums = read(design, "dot_length"), read(design, "accumulator_bits")
    element = pe_gates(scheme, weights, activations, length, sums)
    element = element + register_gates(length * (weights + activations))
    ends = (
        requantizer_gates(sums)
        if design.requantize == "multiplier"
        else threshold_gates(sums, activations)
    )
    return read(design, "columns") * (read(design, "rows") * element + ends)


@formula
def logic_mm2(gates, design: Design, device: Asic, scheme: str, end: str):
    """Gates x area of a gate at the node; of floating point the published area of its units."""
    if scheme == "float":
        return float_units_mm2(design, device, end)
    return gates * gate_band_um2(device, read(design, "node_nm"))[ENDS.index(end)] / 1e6


@formula
def float_units_mm2(design: Design, device: Asic, end: str):
    """Elements x products x (multiplier + adder) of the reference table, as gates of its node."""
    table, bits = device.tables["reference"], int(np.max(design.weight_bits))
    names = [f"fp{bits}_{kind}" for kind in ("mult", "add")]
    where = place_of(table.name)
    each = sum(read_figure(table.area_um2[name], f"{name} area", where=where) for name in names)
    at_node, at_table = (
        gate_band_um2(device, node)[ENDS.index(end)]
        for node in (read(design, "node_nm"), table.node_nm)
    )
    count = read(design, "rows") * read(design, "columns") * read(design, "dot_length")
    return count * each * at_node / at_table / 1e6


@formula
def sram_mm2(bytes_on_chip, design: Design, device: Asic, end: str):
    """Area of the buffers."""
    return sram_um2(device, bytes_on_chip, supply_point(design), end) / 1e6


@formula
def total_mm2(logic, memory):
    """Logic + buffers."""
    return logic + memory
