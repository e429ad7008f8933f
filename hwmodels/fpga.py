"""MSQ's FPGA design: two GEMM cores side by side, one of DSPs and one of LUTs.

The DSP core computes the rows of multiplied weights, the LUT core those of shifted and added ones;
both read the same activations. Every formula takes scalars or numpy arrays that broadcast over
design parameters: per-layer results have the layers as their last axis.

Source: MSQ, arXiv 2012.04240; the paper does not print the tiling, which is the one that meets its
published latencies (see hwmodels/calibrated/msq_gemm.yaml for what was fitted).
"""

from dataclasses import dataclass
from functools import cache

import msgspec
import numpy as np

from hwmodels.documents import nearest, read_document
from hwmodels.errors import InputError
from hwmodels.provenance import HERE, Figure, Status, shipped_names
from hwmodels.work import WorkTable

BRAM_36KB_BYTES = 36 * 1024 // 8


LARGEST = {"hz": 1e12, "bits": 64, "elements": 2**40, "bytes": 2**40}  # of a design's parameters


class Fpga(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="fpga", tag_field="kind"):
    """An FPGA: what it has. Units are in the names; LUTs are 6-input."""

    name: str
    family: str
    lut6: Figure
    flip_flops: Figure
    dsp: Figure
    bram_36kb: Figure
    dram_gb_per_s: Figure


class GemmDesign(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The design: ``bat`` images at a time, ``blk_in`` products per row and cycle, and rows per
    cycle on either core. Each field may also be an array, all broadcasting together.

    weight_bits, activation_bits   the widest operands the cores take
    *_buffer_elements   values held on chip; by default those of VTA's stock build for the Zynq-7020
                        (MSQ's are not published); input and accumulators once for each image of bat
    """

    bat: int
    blk_in: int
    blk_out_fixed: int
    blk_out_sp2: int = 0
    clock_hz: float = 100e6
    weight_bits: int = 4
    activation_bits: int = 4
    accumulator_bits: int = 32
    input_buffer_elements: int = 2**15
    weight_buffer_elements: int = 2**18
    accumulator_buffer_elements: int = 2**15
    instruction_buffer_bytes: int = 2**15

    def __post_init__(self):
        for name in self.__struct_fields__:
            low = 0 if name.startswith("blk_out") else 1
            high = LARGEST[name.rpartition("_")[2]] if name.endswith(tuple(LARGEST)) else 2**16
            values = np.asarray(getattr(self, name), np.float64)
            whole = name == "clock_hz" or (np.floor(values) == values).all()
            if not (whole and ((values >= low) & (values <= high)).all()):
                kind = "" if name == "clock_hz" else "a whole number from "
                raise ValueError(f"{name} must be {kind}{low} to {high:,g}")
        if np.any(np.asarray(self.blk_out_fixed) + np.asarray(self.blk_out_sp2) == 0):
            raise ValueError("blk_out_fixed and blk_out_sp2 must not both be 0")


class FittedFigure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A calibrated constant, the cells it was fitted to, and how."""

    value: float
    fitted_to: tuple[str, ...]
    status: Status
    source: str


class GemmConstants(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The calibrated constants of this model."""

    paper: str
    compute_efficiency: FittedFigure
    lut_core_bits: tuple[int, int]
    lut_base: FittedFigure
    lut_per_fixed_mac: FittedFigure
    lut_per_sp2_mac: dict[str, FittedFigure]


@dataclass(frozen=True)
class GemmCost:
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
    gops: np.ndarray
    peak_gops: np.ndarray
    utilization: np.ndarray
    dsp: np.ndarray
    lut: np.ndarray
    bram_36kb: np.ndarray
    buffer_bytes: np.ndarray
    dram_bytes: np.ndarray


def device_names() -> list[str]:
    """The shipped FPGAs."""
    return shipped_names("devices")


def load_device(name: str) -> Fpga:
    """The shipped FPGA of that name. Raises InputError on an unknown one."""
    if name not in device_names():
        raise InputError(f"unknown FPGA {name!r}; {nearest(name, device_names())}")
    return read_document(HERE / "devices" / f"{name}.yaml", Fpga)


@cache
def load_constants() -> GemmConstants:
    """The calibrated constants, from ``calibrated/msq_gemm.yaml``."""
    return read_document(HERE / "calibrated" / "msq_gemm.yaml", GemmConstants)


def evaluate(work: WorkTable, design: GemmDesign, device: Fpga, *, efficiency: float) -> GemmCost:
    """The cost of ``work`` on ``design`` in ``device``.

    efficiency   share of the tile cycles' rate that is reached: 1, or the calibrated constant

    A layer with rows for a core that the design lacks has infinite cycles. What is ignored: pooling
    and additions (on the accumulators as they leave), the time to fill the first buffers, and
    weights read more than once when they exceed their buffer.
    """
    bat, clock_hz = _over_layers(design.bat), _over_layers(design.clock_hz)
    cycles = layer_cycles(work, design)
    moved_bytes = layer_dram_bytes(work, design)
    compute_s = cycles / (_over_layers(efficiency) * clock_hz) / bat
    dram_s = moved_bytes / (device.dram_gb_per_s.value * 1e9) / bat
    layer_latency_s = np.maximum(compute_s, dram_s)
    latency_s = layer_latency_s.sum(axis=-1)
    peak = peak_gops(design)
    layer_gops = 2 * work.column("macs") / layer_latency_s / 1e9
    gops = 2 * work.macs / latency_s / 1e9
    by_layer = {
        "layer_cycles": cycles,
        "layer_compute_s": compute_s,
        "layer_dram_s": dram_s,
        "layer_latency_s": layer_latency_s,
        "layer_utilization": layer_gops / _over_layers(peak),
    }
    by_design = {
        "latency_s": latency_s,
        "gops": gops,
        "peak_gops": peak,
        "utilization": gops / peak,
        "dsp": dsp(design, device),
        "lut": lut(design, device),
        "bram_36kb": np.ceil(buffer_bytes(design) / BRAM_36KB_BYTES),
        "buffer_bytes": buffer_bytes(design),
        "dram_bytes": moved_bytes.sum(axis=-1) / _real(design.bat),
    }
    shape = np.broadcast_shapes(*(np.shape(value) for value in msgspec.structs.astuple(design)))
    layers = (*shape, len(work.layers))
    return GemmCost(
        **{name: np.broadcast_to(value, layers) for name, value in by_layer.items()},
        **{name: np.broadcast_to(value, shape) for name, value in by_design.items()},
    )


def layer_cycles(work: WorkTable, design: GemmDesign) -> np.ndarray:
    """Tile cycles of each layer for one pass of ``bat`` images.

    Output positions x input tiles x row tiles, group after group; the slower core decides. The rows
    of either core are taken to spread evenly over the groups.
    """
    groups = work.column("groups")
    positions = work.column("out_h") * work.column("out_w")
    kernel_area = work.column("kernel_h") * work.column("kernel_w")
    channels = work.column("in_channels") // groups
    tiles_in = input_tiles(channels, kernel_area, _over_layers(design.blk_in))
    tiles_out = np.maximum(
        row_tiles(work.column("rows_multiply") / groups, _over_layers(design.blk_out_fixed)),
        row_tiles(work.column("rows_shift_add") / groups, _over_layers(design.blk_out_sp2)),
    )
    return positions * groups * tiles_in * tiles_out


def input_tiles(channels, kernel_area, blk_in):
    """Tiles of ``blk_in`` products: over the channels of each kernel position, or, where there are
    fewer channels than that (a first layer), packed along the kernel."""
    per_position = kernel_area * np.ceil(channels / blk_in)
    packed = np.ceil(channels * kernel_area / blk_in)
    return np.where(channels < blk_in, packed, per_position)


def row_tiles(rows, blk_out):
    """Tiles of ``blk_out`` rows; infinite when there are rows and no core for them."""
    tiles = np.ceil(rows / np.maximum(blk_out, 1))
    return np.where(blk_out > 0, tiles, np.where(rows > 0, np.inf, 0))


def layer_dram_bytes(work: WorkTable, design: GemmDesign) -> np.ndarray:
    """Bytes each layer moves for one pass of ``bat`` images: every weight once, and for each image
    every activation that it reads, adds or stores once."""
    per_image = work.column("input_bytes") + work.column("output_bytes")
    return work.column("weight_bytes") + _over_layers(design.bat) * per_image


def fixed_macs(design: GemmDesign):
    """Multiply-accumulates per cycle of the DSP core."""
    return _real(design.bat) * design.blk_in * design.blk_out_fixed


def sp2_macs(design: GemmDesign):
    """Multiply-accumulates per cycle of the LUT core."""
    return _real(design.bat) * design.blk_in * design.blk_out_sp2


def peak_gops(design: GemmDesign):
    """2 x MACs per cycle x clock, in 1e9 operations per second."""
    return 2 * (fixed_macs(design) + sp2_macs(design)) * _real(design.clock_hz) / 1e9


def dsp(design: GemmDesign, device: Fpga):
    """DSPs used: one for each MAC of the DSP core, until the device has no more; the other MACs of
    that core are built from LUTs."""
    return np.minimum(fixed_macs(design), device.dsp.value)


def lut(design: GemmDesign, device: Fpga):
    """LUTs of both cores, linear in their MACs; NaN where the slopes were not calibrated."""
    constants = load_constants()
    slope = constants.lut_per_sp2_mac.get(device.name)
    weight_bits, activation_bits = constants.lut_core_bits
    calibrated = (np.asarray(design.weight_bits) == weight_bits) & (
        np.asarray(design.activation_bits) == activation_bits
    )
    fixed_core = constants.lut_base.value + constants.lut_per_fixed_mac.value * fixed_macs(design)
    total = fixed_core + (slope.value if slope else np.nan) * sp2_macs(design)
    return np.where(calibrated & (slope is not None), total, np.nan)


def buffer_bytes(design: GemmDesign):
    """Bytes of the on-chip buffers."""
    per_image = (
        _real(design.input_buffer_elements) * design.activation_bits
        + _real(design.accumulator_buffer_elements) * design.accumulator_bits
    ) / 8
    weights = _real(design.weight_buffer_elements) * design.weight_bits / 8
    return _real(design.bat) * per_image + weights + design.instruction_buffer_bytes


def excess(cost: GemmCost, device: Fpga) -> dict[str, float]:
    """By how much a single design exceeds the device, by resource, as far as it is known."""
    used = {"lut6": cost.lut, "dsp": cost.dsp, "bram_36kb": cost.bram_36kb}
    over = {name: float(used[name]) - getattr(device, name).value for name in used}
    return {name: amount for name, amount in over.items() if amount > 0}  # not where it is NaN


def fitted_cells() -> set[str]:
    """The published cells (network/design/quantity) that any constant was fitted to."""
    constants = load_constants()
    figures = [constants.compute_efficiency, constants.lut_base, constants.lut_per_fixed_mac]
    figures += constants.lut_per_sp2_mac.values()
    return {cell for figure in figures for cell in figure.fitted_to}


def _over_layers(parameter) -> np.ndarray:
    """A design parameter with a last axis for the layers."""
    return _real(parameter)[..., None]


def _real(parameter) -> np.ndarray:
    """A design parameter in float64, whose whole numbers cannot overflow as narrow integers do."""
    return np.asarray(parameter, np.float64)
