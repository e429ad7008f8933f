"""Energy of the parts of a spatial array, layer by layer, for one of its images."""

from dataclasses import dataclass

import numpy as np

from hwmodels.array_cycles import MatrixProducts
from hwmodels.array_traffic import edge_traffic
from hwmodels.asic.design import Design
from hwmodels.asic.energy import Element, Point, product_band_pj, register_pj
from hwmodels.asic.memories import dram_pj_per_bit, sram_band_pj_per_bit
from hwmodels.asic.scaling import nominal_voltage_v
from hwmodels.asic.technology import Asic
from hwmodels.explain import formula, read
from hwmodels.parameters import over_layers
from hwmodels.work import WorkTable


@dataclass(frozen=True)
class Energies:
    """Joule of each layer with the band of the sources, arrays of (..., layers)."""

    nominal: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class Stream:
    """What passes through the array: the products of all layers, and the tiles they pass in."""

    products: MatrixProducts
    tiles: np.ndarray


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
    work: WorkTable, design: Design, device: Asic, stream: Stream, moved_bytes, point: Point
) -> Energies:
    """Of all three buffers."""
    names = ("input", "weight", "accumulator")
    bits = {name: accessed_bits(work, design, stream, name) for name in names}
    bands = {
        name: sram_band_pj_per_bit(device, read(design, f"{name}_buffer_bytes"), point)
        for name in names
    }
    ends = []
    for at in range(3):
        each = [accesses_j(bits[name], bands[name][at], design) for name in names]
        filled = moved_j(moved_bytes, bands["input"][at], design)
        ends.append(buffers_j(*each, filled))
    return Energies(*ends)


@formula
def accessed_bits(work: WorkTable, design: Design, stream: Stream, buffer: str):
    """Values that cross the array's edge x bits of each, of every layer, for all images."""
    array = over_layers(design, "rows"), over_layers(design, "columns")
    edges = edge_traffic(stream.products, *array, design.dataflow, stream.tiles)
    if buffer == "accumulator":
        return (edges.sums + edges.partial_sums) * over_layers(design, "accumulator_bits")
    values, bits = {
        "input": (edges.inputs, "activation_bits"),
        "weight": (edges.weights, "weight_bits"),
    }[buffer]
    return values * over_layers(design, "dot_length") * work.column(bits)


@formula
def accesses_j(bits, each_pj, design: Design):
    """Bits read and written x energy of each, for one of the images."""
    return bits * each_pj[..., None] * 1e-12 / over_layers(design, "images")


@formula
def buffers_j(inputs, weights, sums, filled):
    """Inputs + weights + sums, + what DRAM moves, which passes the input buffer once more."""
    return inputs + weights + sums + filled


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
    return 8 * moved_bytes * each_pj[..., None] * 1e-12 / over_layers(design, "images")
