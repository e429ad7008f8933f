"""A systolic array on an FPGA: one array of processing elements that computes layer after layer.

``rows`` x ``columns`` elements, each of ``lanes`` products a cycle and one sum; buffers for inputs,
weights and sums beside it; everything else in DRAM. All elements have one datapath. Inputs and
weights enter a word a cycle, delayed from row to row and from column to column, and a requantizer
ends every column. Every formula takes scalars or arrays that broadcast over design parameters;
per-layer results have the layers as their last axis.

Source: cycles as in ``array_cycles``, traffic as in ``array_traffic``, logic as in ``units``,
memory as in ``buffers``.
"""

from dataclasses import dataclass

import msgspec
import numpy as np

from hwmodels.array_cycles import (
    MatrixProducts,
    element_products,
    layer_array_cycles,
    matrix_products,
)
from hwmodels.array_times import dram_bytes, layer_compute_s, layer_dram_bytes, layer_latency_s
from hwmodels.array_traffic import Capacities, Passes, layer_tiles, memory_passes
from hwmodels.errors import DesignError
from hwmodels.explain import formula, read, reshaped
from hwmodels.fpga.datapaths import common_path, refuse_float, serial_passes
from hwmodels.fpga.device import Fpga
from hwmodels.fpga.energy import energy_ceiling_j
from hwmodels.fpga.systolic_design import Design
from hwmodels.fpga.systolic_parts import (
    array_of,
    buffer_bytes,
    dsp,
    elements,
    flip_flops,
    luts,
    ram_blocks,
    uram_288kb,
)
from hwmodels.fpga.units import energy_j
from hwmodels.outputs import Output
from hwmodels.parameters import over_layers, shape_of
from hwmodels.rates import gops, images_per_s, latency_s, layer_utilization, utilization
from hwmodels.work import WorkTable


@dataclass(frozen=True)
class Cost:
    """What a work table costs on a design: arrays of the designs' shape, or with a last axis of
    layers where a name begins with ``layer_``. Latencies are per image: the time of all ``images``
    over their number. A figure that rests on an unknown one is NaN."""

    layer_cycles: np.ndarray
    layer_compute_s: np.ndarray
    layer_dram_s: np.ndarray
    layer_latency_s: np.ndarray
    layer_utilization: np.ndarray
    latency_s: np.ndarray
    images_per_s: np.ndarray
    gops: np.ndarray
    peak_gops: np.ndarray
    utilization: np.ndarray
    dsp: np.ndarray
    luts: np.ndarray
    luts_low: np.ndarray
    luts_high: np.ndarray
    flip_flops: np.ndarray
    ram_blocks: np.ndarray
    uram_288kb: np.ndarray
    buffer_bytes: np.ndarray
    dram_bytes: np.ndarray
    energy_j: np.ndarray
    energy_ceiling_j: np.ndarray


OUTPUTS = {
    "latency_s": Output(
        "latency per image", "s", "estimate",
        ignores="pooling and additions (on the sums as they leave), control, filling the first"
        " buffers, bursts that leave DRAM short of its bandwidth",
        validation="cycles without stalls equal those of SCALE-Sim 3.0.0 on all 21 layers of"
        " ResNet-18 in three dataflows",
    ),
    "images_per_s": Output("throughput", "images/s", "estimate"),
    "gops": Output("effective rate", "GOPS", "estimate"),
    "peak_gops": Output("peak rate", "GOPS", "peak"),
    "utilization": Output("PE utilization", "%", "estimate"),
    "dsp": Output("DSP", "DSP", "estimate", of_device="dsp", ignores="address generators"),
    "luts": Output(
        "LUT", "LUT", "estimate", of_device="luts",
        ignores="DMA, address generators, control, processor system",
        validation="lanes as synthesised by yosys 0.70 for 7 series, before place and route",
    ),
    "flip_flops": Output(
        "flip-flops", "FF", "estimate", of_device="flip_flops",
        ignores="DMA, address generators, control, registers within DSPs",
    ),
    "ram_blocks": Output(
        "RAM blocks", "blocks", "count", of_device="ram_blocks",
        ignores="queues of DMA, instructions",
    ),
    "uram_288kb": Output("URAM", "URAM", "count", of_device="uram_288kb"),
    "buffer_bytes": Output("on-chip buffers", "B", "count"),
    "dram_bytes": Output(
        "DRAM per image", "B", "count", ignores="pools and additions of what is stored already"
    ),
    "energy_j": Output("energy per image", "J", "estimate"),
    "energy_ceiling_j": Output(
        "energy per image at most", "J", "ceiling", ignores="what the card leaves of its limit"
    ),
}  # fmt: skip


def describe(design: Design) -> str:
    """A design in one line."""
    of_lanes = f" x {design.lanes} lanes" if design.lanes != 1 else ""
    return (
        f"{design.rows} x {design.columns} elements{of_lanes},"
        f" {design.dataflow.replace('_', ' ')}, {design.clock_hz / 1e6:g} MHz"
    )


def check(work: WorkTable, design: Design) -> None:
    """Refuse what the elements cannot compute. Raises DesignError naming the parameter."""
    refuse_float(work)
    common_path(work, design.datapath)
    if design.dataflow != "output_stationary" and np.any(
        np.asarray(design.accumulator_buffer_elements) < np.asarray(design.columns)
    ):
        raise DesignError(
            "accumulator_buffer_elements",
            f"{np.min(design.accumulator_buffer_elements):,} do not hold a sum for each of"
            f" {np.max(design.columns):,} columns; give more",
        )
    for key in ("weight_bits", "activation_bits"):
        widest = getattr(design, key)
        for layer in work:
            if widest is not None and getattr(layer, key) > np.min(widest):
                raise DesignError(
                    key,
                    f"layer {layer.name!r} has {getattr(layer, key)}-bit operands but the elements"
                    f" take {np.min(widest):g} bits; widen them or narrow the layer",
                )


def evaluate(work: WorkTable, design: Design, device: Fpga) -> Cost:
    """The cost of ``work`` on ``design`` in ``device``.

    Raises DesignError where the design cannot compute a layer.
    """
    check(work, design)
    path = common_path(work, design.datapath)
    design = _settled(work, design)
    products = _products(work, design, path)
    tiles = _tiles(products, design)
    cycles = layer_cycles(products, tiles, design)
    passes = layer_passes(work, products, tiles, design)
    moved = layer_dram_bytes(work, passes, design)
    compute_s, dram_s = layer_compute_s(cycles, design), layer_dram_s(moved, design, device)
    by_layer_s = layer_latency_s(compute_s, dram_s, design)
    total_s, peak = latency_s(by_layer_s), peak_gops(design, path, work)
    effective = gops(work, total_s)
    by_layer = {
        "layer_cycles": cycles,
        "layer_compute_s": compute_s,
        "layer_dram_s": dram_s,
        "layer_latency_s": by_layer_s,
        "layer_utilization": layer_utilization(work, by_layer_s, peak),
    }
    array = array_of(work, design, device, path)
    by_design = {
        "latency_s": total_s,
        "images_per_s": images_per_s(total_s),
        "gops": effective,
        "peak_gops": peak,
        "utilization": utilization(effective, peak),
        "dsp": dsp(array),
        "luts": luts(array),
        "luts_low": luts(array, "low"),
        "luts_high": luts(array, "high"),
        "flip_flops": flip_flops(array),
        "ram_blocks": ram_blocks(array),
        "uram_288kb": uram_288kb(array),
        "buffer_bytes": buffer_bytes(design),
        "dram_bytes": dram_bytes(moved, design),
        "energy_j": energy_j(device, total_s),
        "energy_ceiling_j": energy_ceiling_j(device, total_s),
    }
    shape = shape_of(design)
    layers = (*shape, len(work.layers))
    return Cost(
        **{name: reshaped(value, layers) for name, value in by_layer.items()},
        **{name: reshaped(value, shape) for name, value in by_design.items()},
    )


def _settled(work: WorkTable, design: Design) -> Design:
    """The design with operand widths: those of the work where it leaves them open."""
    keys = ("weight_bits", "activation_bits")
    widest = {key: int(work.column(key).max()) for key in keys if getattr(design, key) is None}
    return msgspec.structs.replace(design, **widest)


def _products(work: WorkTable, design: Design, path: str) -> MatrixProducts:
    """The products of the work as the elements see them, each of ``lanes`` products."""
    products = matrix_products(work, read(design, "images"))
    return element_products(products, over_layers(design, "lanes"), serial_passes(work, path))


def _tiles(products: MatrixProducts, design: Design) -> np.ndarray:
    held = over_layers(design, "accumulator_buffer_elements")
    return layer_tiles(products, over_layers(design, "columns"), design.dataflow, held)


@formula
def layer_cycles(products: MatrixProducts, tiles, design: Design):
    """Folds x cycles of a fold - 1, of each layer, for all images together."""
    rows, columns = (over_layers(design, name) for name in ("rows", "columns"))
    return layer_array_cycles(products, rows, columns, design.dataflow, tiles)


def layer_passes(work: WorkTable, products: MatrixProducts, tiles, design: Design) -> Passes:
    """How often each layer moves its values to and from DRAM."""
    array = tuple(over_layers(design, name) for name in ("rows", "columns"))
    lanes = over_layers(design, "lanes")
    held = Capacities(
        inputs=over_layers(design, "input_buffer_elements"),
        # the products are of words of lanes, and so must be what holds their weights
        weights=over_layers(design, "weight_buffer_elements") / lanes,
    )
    return memory_passes(work, products, array, design.dataflow, held, tiles)


@formula
def layer_dram_s(moved_bytes, design: Design, device: Fpga):
    """Bytes / bandwidth of each layer, for one of the images."""
    return moved_bytes / (read(device, "dram_gb_per_s") * 1e9) / over_layers(design, "images")


@formula
def peak_gops(design: Design, path: str, work: WorkTable):
    """2 x elements x lanes x clock, in 1e9 operations per second; over the fewest passes that a
    layer makes where bits are serial."""
    rate = 2 * elements(design) * read(design, "lanes") * read(design, "clock_hz") / 1e9
    return rate / serial_passes(work, path).min()
