"""A streaming design on an FPGA: an engine for every layer, all at work on a stream of pixels.

Each engine has its weights on chip, a window of its input, processing elements of its own format
and a requantizer for each; queues lie between engines, and where a tensor waits for another. Images
follow one another at the pace of the slowest engine. How far each layer is unfolded is given, or
the least that meets a rate, or the most that fits the device.

Source: FINN-R (arXiv 1809.04570); cycles as in ``folding`` and ``pipeline``, logic as in ``units``,
memory as in ``buffers``.
"""

from dataclasses import dataclass

import msgspec
import numpy as np

from hwmodels.errors import DesignError
from hwmodels.explain import formula, read, reshaped, same_figure
from hwmodels.fpga.datapaths import refuse_float
from hwmodels.fpga.device import Fpga
from hwmodels.fpga.energy import energy_ceiling_j
from hwmodels.fpga.folding import (
    Folding,
    attainable_cycles,
    given_folding,
    layer_engine_cycles,
    layer_input_cycles,
    least_folding,
)
from hwmodels.fpga.pipeline import flow
from hwmodels.fpga.streaming_design import Design
from hwmodels.fpga.streaming_parts import (
    dsp,
    flip_flops,
    layer_dsp,
    layer_luts,
    layer_ram_blocks,
    luts,
    parts_of,
    ram_blocks,
    uram_288kb,
)
from hwmodels.fpga.units import energy_j
from hwmodels.outputs import Output
from hwmodels.parameters import over_layers, shape_of
from hwmodels.rates import utilization
from hwmodels.work import WorkTable


@dataclass(frozen=True)
class Cost:
    """What a work table costs on a design: arrays of the designs' shape, or with a last axis of
    layers where a name begins with ``layer_``. The latency of a layer is the time that its engine
    is busy with an image; engines are so side by side. A figure that rests on an unknown one is
    NaN."""

    layer_simd: np.ndarray
    layer_pe: np.ndarray
    layer_pe_shift_add: np.ndarray
    layer_cycles: np.ndarray
    layer_input_cycles: np.ndarray
    layer_compute_s: np.ndarray
    layer_input_s: np.ndarray
    layer_latency_s: np.ndarray
    layer_utilization: np.ndarray
    layer_luts: np.ndarray
    layer_dsp: np.ndarray
    layer_ram_blocks: np.ndarray
    latency_s: np.ndarray
    images_per_s: np.ndarray
    interval_cycles: np.ndarray
    latency_cycles: np.ndarray
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
    weight_bytes: np.ndarray
    dram_bytes: np.ndarray
    energy_j: np.ndarray
    energy_ceiling_j: np.ndarray


OUTPUTS = {
    "latency_s": Output(
        "latency of an image", "s", "estimate",
        ignores="registers within engines (some ten cycles a layer)",
        validation="within 11 cycles of a simulation word by word of 99 in 100 random chains of up"
        " to three layers, at most 5 % off; 14 % where strides leave pixels out",
    ),
    "images_per_s": Output(
        "throughput", "images/s", "estimate",
        validation="the interval is within 11 cycles of a simulation word by word; +6 % on FINN's"
        " VGG10, about 230,000 frames/s",
    ),
    "interval_cycles": Output("cycles between images", "cycles", "count"),
    "latency_cycles": Output("cycles of an image", "cycles", "estimate"),
    "gops": Output("effective rate", "GOPS", "estimate"),
    "peak_gops": Output("peak rate", "GOPS", "peak"),
    "utilization": Output("PE utilization", "%", "estimate"),
    "dsp": Output("DSP", "DSP", "estimate", of_device="dsp"),
    "luts": Output(
        "LUT", "LUT", "estimate", of_device="luts",
        ignores="pools, converters of stream widths, DMA, processor system",
        validation="-34 % on FINN's CNV with binary weights and activations, 21,135 LUTs after"
        " synthesis",
    ),
    "flip_flops": Output(
        "flip-flops", "FF", "estimate", of_device="flip_flops",
        ignores="pools, queues, converters, all that high-level synthesis registers",
        validation="a sixth of FINN's CNV with binary weights and activations, 31,517 flip-flops",
    ),
    "ram_blocks": Output(
        "RAM blocks", "blocks", "estimate", of_device="ram_blocks",
        ignores="windows of pools, deep queues between engines",
        validation="-41 % on FINN's CNV with binary weights and activations, 102.5 of 36 Kb",
    ),
    "uram_288kb": Output("URAM", "URAM", "count", of_device="uram_288kb"),
    "weight_bytes": Output("weights on chip", "B", "count"),
    "dram_bytes": Output("DRAM per image", "B", "count", ignores="loading the weights, once"),
    "energy_j": Output("energy per image", "J", "estimate"),
    "energy_ceiling_j": Output(
        "energy per image at most", "J", "ceiling", ignores="what the card leaves of its limit"
    ),
}  # fmt: skip


def describe(design: Design) -> str:
    """A design in one line."""
    if design.folding is not None:
        aim = "folded as given"
    elif design.target_images_per_s is not None:
        aim = f"folded to {design.target_images_per_s:g} images/s"
    else:
        aim = "unfolded as far as the device allows"
    return f"an engine for each layer, {aim}, {design.clock_hz / 1e6:g} MHz"


def check(work: WorkTable, design: Design) -> None:
    """Refuse what engines cannot compute. Raises DesignError naming the layer."""
    refuse_float(work)
    for layer in work:
        if layer.kind in ("matmul", "recurrent"):
            what = "a product of two tensors" if layer.kind == "matmul" else "a recurrent layer"
            raise DesignError(
                "",
                f"layer {layer.name!r} is {what}, which an engine with fixed weights and a stream"
                " of inputs does not compute; choose the architecture systolic",
            )


def evaluate(work: WorkTable, design: Design, device: Fpga) -> Cost:
    """The cost of ``work`` on ``design`` in ``device``.

    Raises DesignError where engines cannot compute a layer, where a given folding does not divide
    it, and where no folding meets the target.
    """
    check(work, design)
    cost = _evaluate(work, design, device)
    if design.weight_memory != "auto" or not device.uram_288kb.value:
        return cost
    ultra = _evaluate(work, msgspec.structs.replace(design, weight_memory="ultra"), device)
    large = takes_ultra(cost, ultra, device)
    figures = {
        name: same_figure(
            vars(ultra)[name] if large.all() else value,
            np.where(_like(large, value), vars(ultra)[name], value),
        )
        for name, value in vars(cost).items()
    }
    return Cost(**figures)


def takes_ultra(cost: Cost, ultra: Cost, device: Fpga) -> np.ndarray:
    """Where weights go to large blocks, of the designs' shape: where the design fits so, and does
    not fit with its weights in RAM blocks or is slower."""
    fits, fits_ultra = (_fits(each, device) for each in (cost, ultra))
    return fits_ultra & (~fits | (ultra.images_per_s > cost.images_per_s))


def _fits(cost: Cost, device: Fpga) -> np.ndarray:
    """What is not known does not stand in the way."""
    asked = [name for name, output in OUTPUTS.items() if output.of_device]
    return ~np.any([getattr(cost, n) > read(device, n) for n in asked], axis=0)


def _like(of_designs: np.ndarray, value: np.ndarray) -> np.ndarray:
    return of_designs[..., None] if np.ndim(value) > np.ndim(of_designs) else of_designs


def _evaluate(work: WorkTable, design: Design, device: Fpga) -> Cost:
    folding = _folding(work, design, device)
    parts = parts_of(work, folding, design, device)
    engine, entering = layer_engine_cycles(work, folding), layer_input_cycles(work, folding)
    compute_s, input_s = layer_s(engine, design), layer_s(entering, design)
    interval = interval_cycles(engine, entering)
    cycles = latency_cycles(result_cycles(work, folding), interval)
    moved = dram_bytes(work)
    rate = images_per_s(interval, moved, design, device)
    peak = peak_gops(folding, design)
    effective = gops(work, rate)
    by_layer = {
        "layer_simd": folding.simd,
        "layer_pe": folding.pe,
        "layer_pe_shift_add": folding.pe_shift_add,
        "layer_cycles": engine,
        "layer_input_cycles": entering,
        "layer_compute_s": compute_s,
        "layer_input_s": input_s,
        "layer_latency_s": layer_latency_s(compute_s, input_s),
        "layer_utilization": layer_utilization(work, folding, rate, design),
        "layer_luts": layer_luts(parts),
        "layer_dsp": layer_dsp(parts),
        "layer_ram_blocks": layer_ram_blocks(parts),
    }
    by_design = {
        "latency_s": latency_s(cycles, moved, design, device),
        "images_per_s": rate,
        "interval_cycles": interval,
        "latency_cycles": cycles,
        "gops": effective,
        "peak_gops": peak,
        "utilization": utilization(effective, peak),
        "dsp": dsp(by_layer["layer_dsp"]),
        "luts": luts(by_layer["layer_luts"], parts),
        "luts_low": luts(layer_luts(parts, "low"), parts, "low"),
        "luts_high": luts(layer_luts(parts, "high"), parts, "high"),
        "flip_flops": flip_flops(parts),
        "ram_blocks": ram_blocks(parts),
        "uram_288kb": uram_288kb(parts),
        "weight_bytes": weight_bytes(work),
        "dram_bytes": moved,
        "energy_j": energy_j(device, image_s(rate)),
        "energy_ceiling_j": energy_ceiling_j(device, image_s(rate)),
    }
    shape = shape_of(design)
    layers = (*shape, len(work.layers))
    return Cost(
        **{name: reshaped(value, layers) for name, value in by_layer.items()},
        **{name: reshaped(value, shape) for name, value in by_design.items()},
    )


def _folding(work: WorkTable, design: Design, device: Fpga) -> Folding:
    if design.folding is not None:
        return given_folding(work, design.folding)
    if design.target_images_per_s is not None:
        return least_folding(work, target_cycles(design))
    return least_folding(work, fastest_fitting_cycles(work, design, device))


@formula
def target_cycles(design: Design):
    """Clock / images per second: cycles that a layer may take."""
    return read(design, "clock_hz") / read(design, "target_images_per_s")


def fastest_fitting_cycles(work: WorkTable, design: Design, device: Fpga) -> np.ndarray:
    """The fewest cycles between images of a balanced folding that fits ``device``, by design; the
    most that any layer can take where none fits.

    Every pace that a layer can be folded to is tried. Raises DesignError where it is not known what
    a folding needs or the device has.
    """
    paces = attainable_cycles(work)
    shape = shape_of(design)
    across = paces.reshape(-1, *(1 for _ in shape))
    parts = parts_of(work, least_folding(work, across), design, device)
    asked = {
        "luts": luts(layer_luts(parts), parts),
        "flip_flops": flip_flops(parts),
        "dsp": dsp(layer_dsp(parts)),
        "ram_blocks": ram_blocks(parts),
        "uram_288kb": uram_288kb(parts),
    }
    fits = np.ones((len(paces), *shape), bool)
    for name, need in asked.items():
        have = getattr(device, name).value
        if have is None or np.isnan(need).any():
            raise DesignError(
                "target_images_per_s",
                f"is needed, since it is not known how many {name} a folding takes in"
                f" {device.name}",
            )
        fits &= need <= have
    first = np.where(fits.any(axis=0), fits.argmax(axis=0), len(paces) - 1)
    return paces[first]


@formula
def layer_s(cycles, design: Design):
    """Cycles of each layer / clock."""
    return cycles / over_layers(design, "clock_hz")


@formula
def layer_latency_s(compute_s, input_s):
    """The longer of computing an image and of its entering, of each layer."""
    return np.maximum(compute_s, input_s)


@formula
def interval_cycles(engine_cycles, input_cycles):
    """Cycles of the slowest engine, or of the slowest entrance."""
    return np.maximum(engine_cycles, input_cycles).max(axis=-1)


@formula
def result_cycles(work: WorkTable, folding: Folding):
    """When the last pixel of the result is there, as an image flows from engine to engine."""
    return flow(work, folding).last + 0.0


@formula
def latency_cycles(last, interval):
    """When the result is there, and no sooner than the slowest engine has done its part."""
    return np.maximum(last, interval)


@formula
def images_per_s(interval, moved_bytes, design: Design, device: Fpga):
    """1 / the longer of the interval / clock and bytes / bandwidth."""
    moving = moved_bytes / (read(device, "dram_gb_per_s") * 1e9)
    return 1 / np.maximum(interval / read(design, "clock_hz"), moving)


@formula
def image_s(rate):
    """1 / images per second."""
    return 1 / rate


@formula
def latency_s(cycles, moved_bytes, design: Design, device: Fpga):
    """The longer of cycles / clock and bytes / bandwidth, for one image."""
    moving = moved_bytes / (read(device, "dram_gb_per_s") * 1e9)
    return np.maximum(cycles / read(design, "clock_hz"), moving)


@formula
def gops(work: WorkTable, rate):
    """2 x MACs of one image x images per second, in 1e9 operations per second."""
    return 2 * work.macs * rate / 1e9


@formula
def products_per_cycle(folding: Folding):
    """Sum over the layers of simd x elements."""
    return (folding.simd * (folding.pe + folding.pe_shift_add)).sum(axis=-1)


@formula
def peak_gops(folding: Folding, design: Design):
    """2 x products per cycle x clock, in 1e9 operations per second."""
    return 2 * products_per_cycle(folding) * read(design, "clock_hz") / 1e9


@formula
def layer_utilization(work: WorkTable, folding: Folding, rate, design: Design):
    """MACs x images per second / (products per cycle of the layer x clock)."""
    products = folding.simd * (folding.pe + folding.pe_shift_add)
    clock_hz = read(design, "clock_hz")
    return work.column("macs") * rate[..., None] / (products * clock_hz[..., None])


@formula
def weight_bytes(work: WorkTable):
    """Bytes of all packed weights."""
    return np.float64(work.weight_bytes)


@formula
def dram_bytes(work: WorkTable):
    """Bytes of the image that enters and of the result that leaves."""
    first, last = work.layers[0], work.layers[-1]
    image = first.in_channels * first.in_h * first.in_w * first.activation_bits / 8
    return np.float64(image + last.output_bytes)
