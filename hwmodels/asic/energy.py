"""Energy of one operation by number format, at a node and a supply voltage.

Published tables give a few operations at one node each. Between their widths a multiplier goes by
the product of its operands' bits and an adder by its bits, the premise of Bit Fusion (ISCA 2018),
which the tables bear out. The nominal energy is the reference table's at its node and above, the
newest table's at its own, and between both on a straight line over the logarithms of node and
energy; the voltage comes in by the polynomials of ``scaling``. Low and high are the least and the
most of that and of every table scaled by the polynomials alone: they differ by a factor of 4 to 5.

A product that is shifted, selected or counted is in no table: it costs as much as a multiplying
element of as many gates, or as adders of as many gates where it is counted. Registers count apart.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from hwmodels.asic.gates import accumulator_gates, pe_gates, register_gates
from hwmodels.asic.scaling import Family, energy_factor, nominal_voltage_v
from hwmodels.asic.technology import Asic, EnergyTable, place_of
from hwmodels.explain import formula, read, read_figure
from hwmodels.fpga.adders import tree_lut
from hwmodels.fpga.schemes import POPCOUNT_SCHEMES, product_bits

Source = Literal["nominal", "reference", "newest", "other"]
SOURCES: tuple[Source, ...] = ("nominal", "reference", "newest", "other")
OF_FLOAT: tuple[Source, ...] = ("nominal", "reference", "newest")
SQUARES = range(2, 9)  # operand bits of the fixed elements that others are measured by
ADDER_BITS = 32  # of the adder whose energy for each gate stands for that of counting logic


@dataclass(frozen=True)
class Point:
    """A node, a supply voltage and a family of processes: numbers or arrays that broadcast."""

    node_nm: np.ndarray
    voltage_v: np.ndarray
    family: Family


@formula
def multiply_pj(device: Asic, partial_products, point: Point, source: Source):
    """Energy of an integer multiplier, pJ: by the product of its operands' bits."""
    return _operation(device, "mult", 2, partial_products, point, source)


@formula
def add_pj(device: Asic, bits, point: Point, source: Source):
    """Energy of an integer adder, pJ: by its bits."""
    return _operation(device, "add", 1, bits, point, source)


@formula
def float_mac_pj(device: Asic, bits: int, point: Point, source: Source):
    """Floating-point multiplication + addition, pJ."""
    return _at_point(device, f"fp{bits}_mult", point, source) + _at_point(
        device, f"fp{bits}_add", point, source
    )


@formula
def register_pj(device: Asic, bits, point: Point):
    """Energy of clocking a register of so many bits, pJ."""
    table = device.tables["other"]
    return np.asarray(bits, np.float64) * _scaled(table, _entry(table, "register_1b"), point)


@dataclass(frozen=True)
class Element:
    """What a processing element computes in a cycle: ``dot_length`` products and their sum."""

    scheme: str
    weight_bits: np.ndarray
    activation_bits: np.ndarray
    dot_length: np.ndarray
    accumulator_bits: np.ndarray


@formula
def product_pj(device: Asic, element: Element, point: Point, source: Source):
    """Energy of one product with its part of the sum, pJ, without registers: by the operators of
    the element where it multiplies, else by gates."""
    if element.scheme == "float":
        return float_mac_pj(device, int(np.max(element.weight_bits)), point, source)
    if element.scheme in POPCOUNT_SCHEMES:
        return counted_pj(device, element, point, source)
    if element.scheme in ("fixed", "fixed_signed"):
        return multiplied_pj(device, element, point, source)
    return by_gates_pj(device, element, point, source)


@formula
def multiplied_pj(device: Asic, element: Element, point: Point, source: Source):
    """Multiplier + (adder tree + accumulator) / products, the adders by their bits."""
    width = product_bits("fixed", element.weight_bits, element.activation_bits)
    tree_bits = tree_lut(element.dot_length, width)
    size = np.asarray(element.weight_bits, np.float64) * element.activation_bits
    one_bit = add_pj(device, width, point, source) / width
    summed = tree_bits * one_bit + add_pj(device, element.accumulator_bits, point, source)
    return multiply_pj(device, size, point, source) + summed / element.dot_length


@formula
def by_gates_pj(device: Asic, element: Element, point: Point, source: Source):
    """Energy of the fixed element of equal operand widths that has as many gates, both without
    registers: between widths of 2 to 8 bits on a straight line over the logarithms, in proportion
    beyond."""
    like = [Element("fixed", bits, bits, *_sums(element)) for bits in SQUARES]
    gates = [logic_gates(each) for each in like]
    energies = [multiplied_pj(device, each, point, source) for each in like]
    return _along(logic_gates(element), gates, energies)


@formula
def counted_pj(device: Asic, element: Element, point: Point, source: Source):
    """Gates of the element, without registers, / products x energy of a 32-bit adder for each of
    its gates: counting is adding."""
    adder_gates = accumulator_gates(ADDER_BITS) - register_gates(ADDER_BITS)
    per_gate = add_pj(device, ADDER_BITS, point, source) / adder_gates
    return logic_gates(element) / element.dot_length * per_gate


@formula
def logic_gates(element: Element):
    """Gates of an element - 4.0 x bits of its accumulator."""
    widths = element.weight_bits, element.activation_bits
    every = pe_gates(element.scheme, *widths, *_sums(element))
    return every - register_gates(element.accumulator_bits)


@formula
def least(*energies):
    """The least that the sources give."""
    return np.minimum.reduce(np.broadcast_arrays(*energies))


@formula
def most(*energies):
    """The most that the sources give."""
    return np.maximum.reduce(np.broadcast_arrays(*energies))


def product_band_pj(device: Asic, element: Element, point: Point):
    """Nominal, low and high energy of one product, pJ."""
    sources = OF_FLOAT if element.scheme == "float" else SOURCES
    each = [product_pj(device, element, point, source) for source in sources]
    return each[0], least(*each), most(*each)


def blended_pj(device: Asic, ends, point: Point):
    """The nominal energy of an operation that costs ``ends`` in the reference and in the newest
    table, at their own nodes and voltages."""
    reference, newest = (device.tables[name] for name in ("reference", "newest"))
    node = np.asarray(point.node_nm, np.float64)
    above = _scaled(reference, ends[0], point)
    if point.family == "lp":
        return above
    between = [
        _scaled(table, end, Point(table.node_nm, nominal_voltage_v(table.node_nm, "hp"), "hp"))
        for table, end in zip((reference, newest), ends, strict=True)
    ]
    part = np.log(node / newest.node_nm) / np.log(reference.node_nm / newest.node_nm)
    inside = np.exp(np.log(between[1]) + part * (np.log(between[0]) - np.log(between[1])))
    by_voltage = energy_factor(
        node, nominal_voltage_v(node, "hp"), node, point.voltage_v, point.family
    )
    return np.where(node >= reference.node_nm, above, inside * by_voltage)


def _sums(element):
    return element.dot_length, element.accumulator_bits


def _along(gates, known, energies):
    """Energy at so many gates, between the known pairs, which ascend; all broadcast."""
    result = energies[0] * gates / known[0]
    for at in range(len(known) - 1):
        power = np.log(energies[at + 1] / energies[at]) / np.log(known[at + 1] / known[at])
        line = energies[at] * np.exp(power * np.log(gates / known[at]))
        result = np.where(gates >= known[at], line, result)
    return np.where(gates >= known[-1], energies[-1] * gates / known[-1], result)


def _operation(device, kind, power, size, point, source):
    """Integer operations of a size: of operands of 8 bits it is 8**power."""

    def of(table):
        names = [f"int{bits}_{kind}" for bits in (8, 16, 32)]
        held = [name for name in names if name in table.energy_pj]
        sizes = [float(name[3:].split("_")[0]) ** power for name in held]
        return _by_size(size, sizes, [_entry(table, name) for name in held])

    return _of_source(device, of, point, source)


def _at_point(device, name, point, source):
    return _of_source(device, lambda table: _entry(table, name), point, source)


def _of_source(device, of, point, source):
    if source == "nominal":
        ends = [of(device.tables[name]) for name in ("reference", "newest")]
        return blended_pj(device, ends, point)
    table = device.tables[source]
    return _scaled(table, of(table), point)


def _by_size(size, sizes, energies):
    """In proportion to the size below and above the tabled ones; between them on a straight line
    over the logarithms."""
    size = np.asarray(size, np.float64)
    inside = np.clip(size, sizes[0], sizes[-1])
    line = np.exp(np.interp(np.log(inside), np.log(sizes), np.log(energies)))
    return line * size / inside


def _entry(table: EnergyTable, name: str):
    return read_figure(table.energy_pj[name], name, where=place_of(table.name))


def _scaled(table: EnergyTable, energy, point: Point):
    origin = table.node_nm, read(table, "voltage_v")
    return energy * energy_factor(*origin, point.node_nm, point.voltage_v, point.family)
