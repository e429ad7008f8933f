"""MSQ's FPGA design: two GEMM cores side by side, one of DSPs and one of LUTs.

The DSP core computes the rows of multiplied weights, the LUT core those of shifted and added ones;
both read the same activations. Every formula takes scalars or numpy arrays that broadcast over
design parameters. Within them the layers are the first axis, so that what varies fastest in memory
is the designs, of which there may be many; in a cost they are the last.

Source: MSQ, arXiv 2012.04240; the paper does not print the tiling, which is the one that meets its
published latencies (see hwmodels/calibrated/msq_gemm.yaml for what was fitted).
"""

from dataclasses import dataclass
from functools import reduce

import msgspec
import numpy as np

from hwmodels.explain import formula, read, reshaped, same_figure
from hwmodels.fpga.device import Fpga
from hwmodels.fpga.energy import energy_ceiling_j
from hwmodels.fpga.gemm_constants import constant, fitted_cells, load_constants
from hwmodels.fpga.gemm_design import Design, check, describe
from hwmodels.fpga.units import energy_j
from hwmodels.outputs import Output
from hwmodels.provenance import Figure
from hwmodels.rates import gops, images_per_s, utilization
from hwmodels.work import WorkTable

__all__ = ["OUTPUTS", "Cost", "Design", "check", "describe", "evaluate", "fitted_cells"]

BRAM_36KB_BYTES = 36 * 1024 // 8


@dataclass(frozen=True)
class Cost:
    """What a work table costs on a design: arrays of the designs' shape, or with a last axis of
    layers where a name begins with ``layer_``. Latencies are per image: the time of a batch over
    ``bat``. LUT is NaN where no constant was calibrated for the device and the operand widths.
    """

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
    lut: np.ndarray
    bram_36kb: np.ndarray
    buffer_bytes: np.ndarray
    dram_bytes: np.ndarray
    energy_j: np.ndarray
    energy_ceiling_j: np.ndarray


OUTPUTS = {
    "latency_s": Output(
        "latency per image", "s", "estimate",
        ignores="pooling and additions (on the accumulators as they leave), filling the first"
        " buffers, weights read more than once when they exceed their buffer",
        validation="-0.6 % to +2.0 % on three published latencies of ResNet-18 that it was not"
        " fitted to, +4 % on one of MobileNet-v2",
    ),
    "images_per_s": Output("throughput", "images/s", "estimate"),
    "gops": Output("effective rate", "GOPS", "estimate"),
    "peak_gops": Output(
        "peak rate", "GOPS", "peak", validation="published peaks are 1.6 to 3 % above"
    ),
    "utilization": Output("PE utilization", "%", "estimate"),
    "dsp": Output(
        "DSP", "DSP", "count", of_device="dsp",
        ignores="MACs of the fixed-point core beyond the device's DSPs, which are built from LUTs",
    ),
    "lut": Output(
        "LUT", "LUT", "estimate", of_device="lut6", ignores="DMA, control, processor system"
    ),
    "bram_36kb": Output(
        "BRAM 36 Kb", "BRAM", "estimate", of_device="bram_36kb",
        ignores="how buffers split into blocks and ports",
        validation="+21 % on D1-3; MSQ's buffers are not published, these are VTA's",
    ),
    "buffer_bytes": Output("on-chip buffers", "B", "count"),
    "dram_bytes": Output(
        "DRAM per image", "B", "count", ignores="pools and additions of what is stored already"
    ),
    "energy_j": Output("energy per image", "J", "estimate"),
    "energy_ceiling_j": Output(
        "energy per image at most", "J", "ceiling", ignores="what the card leaves of its limit"
    ),
}  # fmt: skip


def evaluate(
    work: WorkTable, design: Design, device: Fpga, *, efficiency: float | None = None
) -> Cost:
    """The cost of ``work`` on ``design`` in ``device``.

    efficiency   share of the tile cycles' rate that is reached; None: the calibrated constant

    A layer with rows for a core that the design lacks has infinite cycles.
    """
    rate = compute_efficiency() if efficiency is None else np.asarray(efficiency, np.float64)
    cycles = layer_cycles(work, design)
    compute_s = layer_compute_s(cycles, design, rate)
    moved_bytes = layer_dram_bytes(work, design)
    dram_s = layer_dram_s(moved_bytes, design, device)
    by_layer_s = layer_latency_s(compute_s, dram_s)
    total_s, peak = latency_s(by_layer_s), peak_gops(design)
    effective = gops(work, total_s)
    by_layer = {
        "layer_cycles": cycles,
        "layer_compute_s": compute_s,
        "layer_dram_s": dram_s,
        "layer_latency_s": by_layer_s,
        "layer_utilization": layer_utilization(work, design, by_layer_s, peak),
    }
    bytes_on_chip = buffer_bytes(design)
    by_design = {
        "latency_s": total_s,
        "images_per_s": images_per_s(total_s),
        "gops": effective,
        "peak_gops": peak,
        "utilization": utilization(effective, peak),
        "dsp": dsp(design, device),
        "lut": lut(design, device),
        "bram_36kb": bram_36kb(bytes_on_chip),
        "buffer_bytes": bytes_on_chip,
        "dram_bytes": dram_bytes(moved_bytes, design),
        "energy_j": energy_j(device, total_s),
        "energy_ceiling_j": energy_ceiling_j(device, total_s),
    }
    shape = np.broadcast_shapes(*(np.shape(value) for value in msgspec.structs.astuple(design)))
    layers = (len(work.layers), *shape)
    return Cost(
        **{name: _layers_last(value, layers) for name, value in by_layer.items()},
        **{name: reshaped(value, shape) for name, value in by_design.items()},
    )


@formula
def compute_efficiency():
    """Share of the tile cycles' rate that the design reaches, fitted to one published latency."""
    return constant(load_constants().compute_efficiency, "compute_efficiency")


@formula
def layer_cycles(work: WorkTable, design: Design) -> np.ndarray:
    """Output positions x input tiles x row tiles, group after group; the slower core decides.

    Tile cycles of each layer for one pass of ``bat`` images. The rows of either core are taken to
    spread evenly over the groups. How MSQ computes depthwise convolutions is not published: here
    their channels are rows like others, each of which reads its own channel, so that a tile has a
    kernel's taps of ``blk_out`` channels (one by one they would take three times as long as its
    MobileNet-v2 does).
    """
    positions = work.column("out_h") * work.column("out_w")
    kernel_area = work.column("kernel_h") * work.column("kernel_w")
    channels = work.column("in_channels") // work.column("groups")
    is_depthwise = (channels == 1) & (work.column("kind") == "conv")
    groups = np.where(is_depthwise, 1, work.column("groups"))
    rows = [work.column(name) / groups for name in ("rows_multiply", "rows_shift_add")]
    shapes, which = _distinct(channels, kernel_area, *rows)
    channels, kernel_area, fixed, sp2 = (_over_designs(each, design) for each in shapes)
    tiles_out = np.maximum(
        row_tiles(fixed, read(design, "blk_out_fixed")), row_tiles(sp2, read(design, "blk_out_sp2"))
    )
    tiles = input_tiles(channels, kernel_area, read(design, "blk_in")) * tiles_out
    return tiles[which] * _over_designs(positions * groups, design)


@formula
def input_tiles(channels, kernel_area, blk_in):
    """Tiles of ``blk_in`` products: over the channels of each kernel position, or, where there are
    fewer channels than that (a first layer), packed along the kernel."""
    per_position = kernel_area * np.ceil(channels / blk_in)
    packed = np.ceil(channels * kernel_area / blk_in)
    return np.where(channels < blk_in, packed, per_position)


@formula
def row_tiles(rows, blk_out):
    """Tiles of ``blk_out`` rows; infinite when there are rows and no core for them."""
    with np.errstate(divide="ignore", invalid="ignore"):
        tiles = np.ceil(rows / blk_out)
    return np.fmax(tiles, 0)  # where neither is any, 0 / 0 is not a number


@formula
def layer_compute_s(cycles, design: Design, efficiency):
    """Cycles / (efficiency x clock x bat) of each layer, for one image of the batch."""
    return cycles / (efficiency * read(design, "clock_hz") * read(design, "bat"))


@formula
def layer_dram_bytes(work: WorkTable, design: Design) -> np.ndarray:
    """Bytes each layer moves for one pass of ``bat`` images: every weight once, but at every step
    of a state where the buffer does not hold them; and for each image every activation that it
    reads, adds or stores once."""
    per_image = work.column("input_bytes") + work.column("output_bytes")
    weights = _over_designs(work.column("weight_bytes"), design)
    steps = work.column("sequential")
    if steps.max() > 1:
        values = _over_designs(work.column("weights"), design)
        held = values <= read(design, "weight_buffer_elements")
        weights = weights * np.where(held, 1, _over_designs(steps, design))
    return weights + read(design, "bat") * _over_designs(per_image, design)


@formula
def layer_dram_s(moved_bytes, design: Design, device: Fpga):
    """Bytes / (bandwidth x bat) of each layer, for one image of the batch."""
    return moved_bytes / (read(device, "dram_gb_per_s") * 1e9 * read(design, "bat"))


@formula
def layer_latency_s(compute_s, dram_s):
    """The longer of computing and moving, of each layer."""
    return np.maximum(compute_s, dram_s)


@formula
def latency_s(by_layer_s):
    """Sum over the layers, one after the other, per image."""
    return _sum_of_layers(by_layer_s)


@formula
def layer_utilization(work: WorkTable, design: Design, by_layer_s, peak):
    """2 x MACs / time of each layer, as a share of the peak rate."""
    return _over_designs(2 * work.column("macs"), design) / (by_layer_s * (peak * 1e9))


@formula
def dram_bytes(moved_bytes, design: Design):
    """Sum over the layers, for one image of the batch."""
    return _sum_of_layers(moved_bytes) / read(design, "bat")


@formula
def fixed_macs(design: Design):
    """bat x blk_in x blk_out_fixed: multiply-accumulates per cycle of the DSP core."""
    return read(design, "bat") * read(design, "blk_in") * read(design, "blk_out_fixed")


@formula
def sp2_macs(design: Design):
    """bat x blk_in x blk_out_sp2: multiply-accumulates per cycle of the LUT core."""
    return read(design, "bat") * read(design, "blk_in") * read(design, "blk_out_sp2")


@formula
def peak_gops(design: Design):
    """2 x MACs per cycle x clock, in 1e9 operations per second."""
    return 2 * (fixed_macs(design) + sp2_macs(design)) * read(design, "clock_hz") / 1e9


@formula
def dsp(design: Design, device: Fpga):
    """DSPs used: one for each MAC of the DSP core, until the device has no more; the other MACs of
    that core are built from LUTs."""
    return np.minimum(fixed_macs(design), read(device, "dsp"))


@formula
def lut(design: Design, device: Fpga):
    """Base + slope x MACs of either core; not known where the slopes were not calibrated."""
    constants = load_constants()
    base = constant(constants.lut_base, "lut_base")
    fixed_core = base + constant(constants.lut_per_fixed_mac, "lut_per_fixed_mac") * fixed_macs(
        design
    )
    uncalibrated = Figure(None, "unknown", "MSQ publishes no LUTs of such a design")
    slope = constants.lut_per_sp2_mac.get(device.name, uncalibrated)
    total = fixed_core + constant(slope, f"lut_per_sp2_mac.{device.name}") * sp2_macs(design)
    weight_bits, activation_bits = constants.lut_core_bits
    calibrated = (read(design, "weight_bits") == weight_bits) & (
        read(design, "activation_bits") == activation_bits
    )
    if calibrated.all():
        return total
    at_widths = constant(uncalibrated, f"LUTs at other than {weight_bits} x {activation_bits} bits")
    return np.where(calibrated, total, at_widths)


@formula
def system_lut_share(luts, device: Fpga):
    """(LUTs of the cores + those of the system around them) / LUTs of the device."""
    shell = constant(load_constants().shell_lut, "shell_lut")
    return (luts + shell) / read(device, "lut6")


@formula
def buffer_bytes(design: Design):
    """Bytes of the on-chip buffers: input and accumulators for each image of ``bat``, weights and
    instructions once."""
    per_image = (
        read(design, "input_buffer_elements") * read(design, "activation_bits")
        + read(design, "accumulator_buffer_elements") * read(design, "accumulator_bits")
    ) / 8
    weights = read(design, "weight_buffer_elements") * read(design, "weight_bits") / 8
    return read(design, "bat") * per_image + weights + read(design, "instruction_buffer_bytes")


@formula
def bram_36kb(bytes_on_chip):
    """On-chip bytes in whole blocks of 36 Kb."""
    return np.ceil(bytes_on_chip / BRAM_36KB_BYTES)


def _distinct(*columns: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """The columns of those layers that differ in them, and which of these each layer is: many
    layers of a network are alike."""
    seen: dict[tuple, int] = {}
    which = [seen.setdefault(layer, len(seen)) for layer in zip(*columns, strict=True)]
    return np.array(list(seen)).T, which


def _over_designs(of_layers: np.ndarray, design: Design) -> np.ndarray:
    """A figure of every layer, in float64, with further axes, for the designs."""
    fields = msgspec.structs.astuple(design)
    axes = max(0 if isinstance(value, int | float) else np.ndim(value) for value in fields)
    return np.asarray(of_layers, np.float64).reshape(-1, *(1,) * axes)


def _sum_of_layers(by_layer: np.ndarray) -> np.ndarray:
    """The sum over the first axis, one after the other: the same for one design and for many."""
    return reduce(np.add, by_layer)


def _layers_last(by_layer: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A figure of every layer, of ``shape`` (layers, *designs), as (*designs, layers)."""
    return same_figure(by_layer, np.moveaxis(np.broadcast_to(by_layer, shape), 0, -1))
