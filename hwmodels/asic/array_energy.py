"""Energy of the parts of a spatial array, layer by layer, for one of its images."""

from dataclasses import dataclass

import numpy as np

from hwmodels.array_traffic import EdgeTraffic
from hwmodels.asic.design import Design
from hwmodels.asic.energy import Element, Point, product_band_pj, register_pj
from hwmodels.asic.memories import dram_pj_per_bit, sram_band_pj_per_bit
from hwmodels.asic.scaling import nominal_voltage_v
from hwmodels.asic.technology import Asic
from hwmodels.explain import formula, read
from hwmodels.fpga.parameters import over_layers
from hwmodels.work import WorkTable


@dataclass(frozen=True)
class Energies:
    """Joule of each layer with the band of the sources, arrays of (..., layers)."""

    nominal: np.ndarray
    low: np.ndarray
    high: np.ndarray


def supply_point(design: Design) -> Point:
    """The node and supply of a design: nominal where it names no voltage."""
    node = read(design, "node_nm")
    if design.voltage_v is None:
        return Point(node, nominal_voltage_v(node, design.process), design.process)
    return Point(node, read(design, "voltage_v"), design.process)


def element_of(design: Design, scheme: str) -> Element:
    """What one element computes in a cycle."""
    return Element(
        scheme,
        read(design, "weight_bits"),
        read(design, "activation_bits"),
        read(design, "dot_length"),
        read(design, "accumulator_bits"),
    )


def layer_product_j(work, design: Design, device: Asic, scheme: str, point: Point) -> Energies:
    """Of all products: those of the layers at the width of the elements."""
    each = product_band_pj(device, element_of(design, scheme), point)
    return Energies(*(products_j(work, scheme, energy) for energy in each))


@formula
def products_j(work: WorkTable, scheme: str, each_pj):
    """MACs x energy of a product; one for each pair of bits where they are serial."""
    return products_made(work, scheme) * each_pj[..., None] * 1e-12


@formula
def layer_register_j(work: WorkTable, design: Design, device: Asic, scheme: str, point: Point):
    """MACs x energy of the registers that a product passes: an activation, a weight where it does
    not stay, and its part of a sum."""
    bits = read(design, "activation_bits") + read(design, "accumulator_bits") / read(
        design, "dot_length"
    )
    if design.dataflow == "output_stationary":
        bits = bits + read(design, "weight_bits")
    if design.dataflow == "input_stationary":
        bits = bits - read(design, "activation_bits") + read(design, "weight_bits")
    return products_made(work, scheme) * register_pj(device, bits, point)[..., None] * 1e-12


def products_made(work: WorkTable, scheme: str) -> np.ndarray:
    """Products of each layer for an image: of bits where they are serial."""
    if scheme != "bit_serial":
        return work.column("macs").astype(np.float64)
    return work.column("macs") * work.column("weight_bits") * work.column("activation_bits") * 1.0


def layer_sram_j(
    work: WorkTable, design: Design, device: Asic, edges: EdgeTraffic, moved_bytes, point: Point
) -> Energies:
    """Of all three buffers."""
    lanes = over_layers(design, "dot_length")
    accessed = {
        "input": edges.inputs * lanes * work.column("activation_bits"),
        "weight": edges.weights * lanes * work.column("weight_bits"),
        "accumulator": (edges.sums + edges.partial_sums) * over_layers(design, "accumulator_bits"),
    }
    filled = moved_bytes * 8  # what DRAM moves is written to a buffer, or read out of it
    bands = {
        name: sram_band_pj_per_bit(device, read(design, f"{name}_buffer_bytes"), point)
        for name in accessed
    }
    return Energies(
        *(
            accesses_j(
                [accessed["input"] + filled, accessed["weight"], accessed["accumulator"]],
                [bands[name][at] for name in accessed],
                design,
            )
            for at in range(3)
        )
    )


@formula
def accesses_j(bits, energies_pj, design: Design):
    """Bits read and written x energy of each, over the buffers, for one of the images; what DRAM
    moves passes the input buffer once more."""
    total = sum(count * energy[..., None] for count, energy in zip(bits, energies_pj, strict=True))
    return total * 1e-12 / over_layers(design, "images")


def layer_dram_j(design: Design, device: Asic, moved_bytes) -> Energies:
    """Of DRAM: bits moved x energy of each."""
    return Energies(
        *(
            moved_j(moved_bytes, dram_pj_per_bit(device, design.dram, end), design)
            for end in ("nominal", "low", "high")
        )
    )


@formula
def moved_j(moved_bytes, each_pj, design: Design):
    """8 x bytes x energy of a bit, for one of the images."""
    return 8 * moved_bytes * each_pj * 1e-12 / over_layers(design, "images")
