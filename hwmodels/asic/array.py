"""A spatial array on an ASIC: ``rows`` x ``columns`` processing elements that compute layer after
layer, with buffers for inputs, weights and sums, a requantizer at every column, and DRAM.

Energy is that of the products, of the registers that operands and sums pass, of the buffers and of
DRAM; each with a low and a high beside the nominal, since the published tables differ by up to a
factor of 5. Every formula takes scalars or arrays that broadcast over design parameters; per-layer
results have the layers as their last axis.

Source: cycles as in ``array_cycles`` (SCALE-Sim), traffic as in ``array_traffic``, energies as in
``energy`` and ``memories``, gates as in ``gates``.
"""

import numpy as np

from hwmodels.array_cycles import (
    MatrixProducts,
    element_products,
    layer_array_cycles,
    matrix_products,
)
from hwmodels.array_times import dram_bytes, layer_compute_s, layer_dram_bytes, layer_latency_s
from hwmodels.array_traffic import (
    Capacities,
    Passes,
    layer_tiles,
    memory_passes,
)
from hwmodels.asic.array_area import logic_gates_of, logic_mm2, sram_mm2, total_mm2
from hwmodels.asic.array_cost import OUTPUTS, Cost
from hwmodels.asic.array_energy import (
    Energies,
    Stream,
    layer_dram_j,
    layer_product_j,
    layer_register_j,
    layer_sram_j,
    supply_point,
)
from hwmodels.asic.design import Design, check, scheme_of, settled
from hwmodels.asic.technology import Asic
from hwmodels.explain import formula, read, reshaped
from hwmodels.fpga.datapaths import serial_passes
from hwmodels.parameters import over_layers, shape_of
from hwmodels.rates import gops, images_per_s, latency_s, layer_utilization, utilization
from hwmodels.work import WorkTable

__all__ = ["OUTPUTS", "Cost", "Design", "check", "describe", "evaluate"]
ENDS = ("", "_low", "_high")
PARTS = ("product", "register", "sram", "dram")


def describe(design: Design) -> str:
    """A design in one line."""
    of_products = f" x {design.dot_length} products" if design.dot_length != 1 else ""
    at = "" if design.voltage_v is None else f" at {design.voltage_v:g} V"
    return (
        f"{design.rows} x {design.columns} elements{of_products},"
        f" {design.dataflow.replace('_', ' ')}, {design.node_nm} nm {design.process}{at},"
        f" {design.clock_hz / 1e6:g} MHz"
    )


def evaluate(work: WorkTable, design: Design, device: Asic) -> Cost:
    """The cost of ``work`` on ``design`` in the technology ``device``.

    Raises DesignError where the design cannot compute a layer.
    """
    check(work, design)
    scheme, design = scheme_of(work, design), settled(work, design)
    products = _products(work, design, scheme)
    tiles = _tiles(products, design)
    passes = _passes(work, products, tiles, design)
    moved = layer_dram_bytes(work, passes, design)
    times = _times(work, products, tiles, moved, design)
    total_s, peak = latency_s(times["layer_latency_s"]), peak_gops(work, design, scheme)
    effective = gops(work, total_s)
    by_layer = times | {
        "layer_utilization": layer_utilization(work, times["layer_latency_s"], peak)
    }
    by_design = {
        "latency_s": total_s,
        "images_per_s": images_per_s(total_s),
        "gops": effective,
        "peak_gops": peak,
        "utilization": utilization(effective, peak),
        "buffer_bytes": buffer_bytes(design),
        "dram_bytes": dram_bytes(moved, design),
    }
    energies = _energies(work, design, device, scheme, Stream(products, tiles), moved)
    by_layer["layer_energy_j"] = energies["layer_energy_j"]
    by_design |= {name: value for name, value in energies.items() if name != "layer_energy_j"}
    by_design |= _areas(design, device, scheme)
    by_design |= _rates(by_design, effective, total_s)
    shape = shape_of(design)
    layers = (*shape, len(work.layers))
    return Cost(
        **{name: reshaped(value, layers) for name, value in by_layer.items()},
        **{name: reshaped(value, shape) for name, value in by_design.items()},
    )


def _times(work, products, tiles, moved, design):
    cycles = layer_cycles(products, tiles, design)
    compute_s, dram_s = layer_compute_s(cycles, design), layer_dram_s(moved, design)
    return {
        "layer_cycles": cycles,
        "layer_compute_s": compute_s,
        "layer_dram_s": dram_s,
        "layer_latency_s": layer_latency_s(compute_s, dram_s, design),
    }


def _energies(work, design, device, scheme, stream, moved):
    """The energies of all parts, nominal, low and high, and of each layer."""
    point = supply_point(design)
    made = {
        "product": layer_product_j(work, design, device, scheme, point),
        "register": Energies(*[layer_register_j(work, design, device, scheme, point)] * 3),
        "sram": layer_sram_j(work, design, device, stream, moved, point),
        "dram": layer_dram_j(design, device, moved),
    }
    result = {}
    for end, at in zip(ENDS, ("nominal", "low", "high"), strict=True):
        every = [getattr(made[part], at) for part in PARTS]
        by_layer = layer_energy_j(*every)
        for part, value in zip(PARTS, every, strict=True):
            if part != "register" or not end:
                result[f"{part}_j{end}"] = over_all_layers_j(value)
        result[f"energy_j{end}"] = over_all_layers_j(by_layer)
        if not end:
            result["layer_energy_j"] = by_layer
    return result


def _areas(design, device, scheme):
    gates, result = logic_gates_of(design, scheme), {}
    for end, at in zip(ENDS, ("nominal", "low", "high"), strict=True):
        logic = logic_mm2(gates, design, device, scheme, at)
        memory = sram_mm2(buffer_bytes(design), design, device, at)
        result |= {f"logic_mm2{end}": logic, f"sram_mm2{end}": memory}
        result[f"area_mm2{end}"] = total_mm2(logic, memory)
    return result


def _rates(by_design, effective, total_s):
    """Power, and rates for each watt and each square millimetre: low where those are high."""
    result = {f"power_w{end}": power_w(by_design[f"energy_j{end}"], total_s) for end in ENDS}
    for end, opposite in zip(ENDS, ("", "_high", "_low"), strict=True):
        result[f"gops_per_w{end}"] = gops_per_w(effective, result[f"power_w{opposite}"])
        area = by_design[f"area_mm2{opposite}"]
        result[f"gops_per_mm2{end}"] = gops_per_mm2(effective, area)
    return result


def _products(work: WorkTable, design: Design, scheme: str) -> MatrixProducts:
    """The products as the elements see them, each of ``dot_length`` products."""
    products = matrix_products(work, read(design, "images"))
    return element_products(
        products, over_layers(design, "dot_length"), serial_passes(work, scheme)
    )


def _array(design):
    return over_layers(design, "rows"), over_layers(design, "columns")


def _tiles(products, design):
    sums = over_layers(design, "accumulator_buffer_bytes") * 8
    held = np.floor(sums / over_layers(design, "accumulator_bits"))
    return layer_tiles(products, _array(design)[1], design.dataflow, held)


def _passes(work, products, tiles, design) -> Passes:
    held = Capacities(
        inputs=over_layers(design, "input_buffer_bytes") * 8 / work.column("activation_bits"),
        weights=over_layers(design, "weight_buffer_bytes") * 8
        / work.column("weight_bits") / over_layers(design, "dot_length"),
    )  # fmt: skip
    return memory_passes(work, products, _array(design), design.dataflow, held, tiles)


@formula
def layer_cycles(products: MatrixProducts, tiles, design: Design):
    """Folds x cycles of a fold - 1, of each layer, for all images together."""
    return layer_array_cycles(products, *_array(design), design.dataflow, tiles)


@formula
def layer_dram_s(moved_bytes, design: Design):
    """Bytes / bandwidth of each layer, for one of the images."""
    rate = over_layers(design, "dram_gb_per_s") * 1e9
    return moved_bytes / rate / over_layers(design, "images")


@formula
def peak_gops(work: WorkTable, design: Design, scheme: str):
    """2 x elements x products of each x clock, in 1e9 operations per second; over the fewest passes
    that a layer makes where bits are serial."""
    elements = read(design, "rows") * read(design, "columns") * read(design, "dot_length")
    return 2 * elements * read(design, "clock_hz") / 1e9 / serial_passes(work, scheme).min()


@formula
def buffer_bytes(design: Design):
    """Bytes of the three buffers, twice where they are double."""
    names = ("input_buffer_bytes", "weight_buffer_bytes", "accumulator_buffer_bytes")
    return sum(read(design, name) for name in names) * (2 if design.double_buffered else 1)


@formula
def layer_energy_j(products, registers, buffers, dram):
    """Products + registers + buffers + DRAM, of each layer."""
    return products + registers + buffers + dram


@formula
def over_all_layers_j(by_layer_j):
    """Sum over the layers, per image."""
    return by_layer_j.sum(axis=-1)


@formula
def power_w(energy, total_s):
    """Energy per image / latency per image."""
    return energy / total_s


@formula
def gops_per_w(effective, power):
    """Effective rate / power."""
    return effective / power


@formula
def gops_per_mm2(effective, area):
    """Effective rate / area."""
    return effective / area
