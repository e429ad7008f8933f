"""A network on a GPU: one kernel for each layer with products, bound by computing, L2 or DRAM.

A layer lasts as long as the slowest of the three, and the overhead of its kernel; layers follow one
another. Times of a layer are of a whole batch, with the layers as last axis.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from hwmodels.explain import formula, read, reshaped
from hwmodels.gpu import energy, kernels, memory, steps, tiles
from hwmodels.gpu.constants import constant
from hwmodels.gpu.design import Design
from hwmodels.gpu.device import Gpu
from hwmodels.gpu.kernels import Kernels
from hwmodels.gpu.outputs import OUTPUTS
from hwmodels.rates import gops, images_per_s, utilization
from hwmodels.work import WorkTable


@dataclass(frozen=True)
class Cost:
    """What a work table costs on a GPU: arrays of the batches' shape, or with a last axis of layers
    where a name begins with ``layer_``. All are per image, the time of a batch over its images,
    but ``batch_latency_s``; ``steps_s`` is of the steps that are not fused. NaN: rests on a figure
    of the device that is not known.
    """

    layer_compute_s: np.ndarray
    layer_l2_s: np.ndarray
    layer_dram_s: np.ndarray
    layer_launch_s: np.ndarray
    layer_latency_s: np.ndarray
    layer_passes: np.ndarray
    steps_s: np.ndarray
    latency_s: np.ndarray
    batch_latency_s: np.ndarray
    images_per_s: np.ndarray
    gops: np.ndarray
    peak_gops: np.ndarray
    utilization: np.ndarray
    peak_gops_per_w: np.ndarray
    energy_j: np.ndarray
    energy_j_low: np.ndarray
    energy_j_high: np.ndarray
    memory_bytes: np.ndarray
    dram_bytes: np.ndarray


@dataclass(frozen=True)
class Times:
    """The bounds of every layer run in one way, shape (*batches, layers)."""

    compute_s: np.ndarray
    l2_s: np.ndarray
    dram_s: np.ndarray
    weight_bytes: np.ndarray
    activation_bytes: np.ndarray
    dram_bytes: np.ndarray
    peak_fma_per_s: np.ndarray


def evaluate(work: WorkTable, design: Design, device: Gpu) -> Cost:
    """The cost of ``work`` run as ``design`` says on ``device``.

    Raises DesignError on a precision that does not hold a layer's operands.
    """
    direct = _times(work, design, device, kernels.direct_kernels(work, design, device))
    composed_as = kernels.composed_kernels(work)
    composed = direct
    if design.binary_composition != "never":
        composed = _times(work, design, device, composed_as)
    use = uses_passes(direct, composed, composed_as, design)
    compute_s, l2_s, dram_s, weights, activations, moved, peaks = (
        chosen(use, getattr(direct, name), getattr(composed, name))
        for name in Times.__dataclass_fields__
    )
    launch_s = layer_launch_s(work)
    busy_s = layer_busy_s(compute_s, l2_s, dram_s)
    by_layer_s = layer_latency_s(busy_s, launch_s)
    step_bytes = steps.step_bytes(work, design, device)
    batch = read(design, "batch")
    other_s = steps_s(step_bytes, batch, device)
    batch_s = batch_latency_s(by_layer_s, other_s)
    total_s = latency_s(batch_s, batch)
    peak = peak_gops(work, peaks)
    effective = gops(work, total_s)
    active = energy.activity(busy_s.sum(axis=-1) + other_s, batch_s)
    times = {
        "layer_compute_s": compute_s, "layer_l2_s": l2_s, "layer_dram_s": dram_s,
        "layer_launch_s": launch_s, "layer_latency_s": by_layer_s,
    }  # fmt: skip
    by_layer = {name: layer_image_s(value, batch) for name, value in times.items()} | {
        "layer_passes": np.where(use, composed_as.planes, 1),
    }  # fmt: skip
    by_design = {
        "steps_s": latency_s(other_s, batch), "latency_s": total_s, "batch_latency_s": batch_s,
        "images_per_s": images_per_s(total_s), "gops": effective, "peak_gops": peak,
        "utilization": utilization(effective, peak),
        "peak_gops_per_w": peak_gops_per_w(peak, device),
        "energy_j": energy.energy_j(total_s, active, device),
        "energy_j_low": energy.energy_j_low(total_s, device),
        "energy_j_high": energy.energy_j_high(total_s, device),
        "memory_bytes": memory.memory_bytes(
            weights, memory.other_parameters_bytes(work), activations
        ),
        "dram_bytes": dram_bytes(moved, step_bytes, batch),
    }  # fmt: skip
    layers = (*design.shape, len(work.layers))
    return Cost(
        **{name: reshaped(value, layers) for name, value in by_layer.items()},
        **{name: reshaped(value, design.shape) for name, value in by_design.items()},
    )


def describe(design: Design) -> str:
    """A design in one line."""
    said = [f"batch {design.batch}"]
    said += [design.precision] if design.precision != "auto" else []
    composed = {"auto": [], "never": ["no binary passes"], "always": ["binary passes"]}
    said += composed[design.binary_composition]
    return ", ".join(said + ([] if design.fused else ["steps not fused"]))


def remarks(work: WorkTable, design: Design, device: Gpu, cost: Cost) -> list[str]:
    """What the layers are computed as, in words."""
    direct = kernels.direct_kernels(work, design, device)
    composed = cost.layer_passes > 1
    passes = composed.reshape(-1, len(work.layers)).any(axis=0)
    names = [
        "passes of single bits" if by_bits else engine or "a type that is not known"
        for engine, by_bits in zip(direct.engines, passes, strict=True)
    ]
    counted = Counter(names)
    said = [f"{name} ({count} layers)" if len(counted) > 1 else name for name, count in
            counted.items()]  # fmt: skip
    return [f"computed as {', '.join(said)}"]


def _times(work: WorkTable, design: Design, device: Gpu, run_as: Kernels) -> Times:
    """The bounds of every layer, run as these kernels."""
    batch = read(design, "batch")[..., None]
    products = kernels.products(work, run_as, design)
    rates = kernels.layer_fma_per_sm_s(run_as, device)
    fractions = kernels.layer_fraction(work, run_as, device)
    wave_count = tiles.waves(products, device)
    clock_hz = kernels.plain_clock_hz(device)
    compute = tiles.tiles_compute_s(products, wave_count, rates, fractions)
    from_l2 = tiles.tiles_l2_s(products, wave_count, device, clock_hz)
    choice = tiles.best_tile(compute, from_l2)
    matrix = np.array([not kernels.is_depthwise(layer) for layer in work])
    plain_s = untiled_compute_s(work, rates, fractions, batch, device)
    weights = memory.layer_weight_bytes(work.column("weights"), run_as.weight_bits)
    activations = memory.layer_activation_bytes(
        read_bytes(work, run_as), work.column("stored_values") * run_as.stored_bits / 8, batch
    )
    moved = memory.layer_dram_bytes(weights, activations, work.column("sequential"), device)
    shape = moved.shape
    return Times(
        compute_s=of_classes(matrix, tiles.of_tile(compute, choice), plain_s),
        l2_s=of_classes(matrix, tiles.of_tile(from_l2, choice), np.float64(0)),
        dram_s=memory.dram_s(moved, memory.dram_bytes_per_s(device)),
        weight_bytes=reshaped(weights, shape),
        activation_bytes=activations,
        dram_bytes=moved,
        peak_fma_per_s=reshaped(kernels.layer_peak_fma_per_s(run_as, device), shape),
    )


def read_bytes(work: WorkTable, run_as: Kernels) -> np.ndarray:
    """Bytes that each layer reads for one image besides weights: its input, the second tensor of a
    product of two, and what is added."""
    values = work.column("in_channels") * work.column("in_h") * work.column("in_w")
    second = work.column("operand_values") - work.column("weights")
    operands = values * run_as.activation_bits + second * run_as.weight_bits
    return (operands + work.column("added_values") * run_as.stored_bits) / 8


@formula
def untiled_compute_s(work: WorkTable, fma_per_sm_s, fraction, batch, device: Gpu):
    """Images x multiply-adds / (share reached x SMs x multiply-adds per SM): of depthwise ones."""
    sms = read(device, "sms")
    return batch * work.column("macs") / (sms * fma_per_sm_s * fraction)


def of_classes(is_matrix: np.ndarray, tiled: np.ndarray, untiled: np.ndarray) -> np.ndarray:
    """``of_class``, or the tiles alone where no layer is depthwise."""
    return tiled if is_matrix.all() else of_class(is_matrix, tiled, untiled)


@formula
def of_class(is_matrix, tiled, untiled):
    """Of each layer that of its tiles; of depthwise ones the other."""
    return np.where(is_matrix, tiled, untiled)


def chosen(use: np.ndarray, direct: np.ndarray, composed: np.ndarray) -> np.ndarray:
    """``of_way``, or the one that all layers take alone, so that only what it rests on explains
    it."""
    if not use.any():
        return direct
    return composed if use.all() else of_way(use, direct, composed)


@formula
def of_way(use, direct, composed):
    """Of each layer that of its type, or of passes of single bits where these are used."""
    return np.where(use, composed, direct)


def uses_passes(direct: Times, composed: Times, run_as: Kernels, design: Design) -> np.ndarray:
    """Which layers are composed of passes; where their rate is not known, none by itself."""
    lasts = [
        np.maximum(np.maximum(times.compute_s, times.l2_s), times.dram_s)
        for times in (direct, composed)
    ]
    if design.binary_composition == "auto":
        return run_as.allowed & (lasts[1] < lasts[0])
    always = run_as.allowed & (design.binary_composition == "always")
    return np.broadcast_to(always, lasts[0].shape)


@formula
def layer_launch_s(work: WorkTable):
    """Overhead of a kernel; once for each step of a state."""
    return constant("kernel_overhead_s") * work.column("sequential")


@formula
def layer_busy_s(compute_s, l2_s, dram_s):
    """The longest of computing, L2 and DRAM, of each layer."""
    return np.maximum(np.maximum(compute_s, l2_s), dram_s)


@formula
def layer_latency_s(busy_s, launch_s):
    """The longest bound and the overhead of the kernel, of each layer."""
    return busy_s + launch_s


@formula
def steps_s(step_bytes, batch, device: Gpu):
    """Bytes / bandwidth and the overhead of a kernel, of all steps that are not fused."""
    moved_s = memory.dram_s(batch[..., None] * step_bytes, memory.dram_bytes_per_s(device))
    return moved_s.sum(axis=-1) + len(step_bytes) * constant("kernel_overhead_s")


@formula
def batch_latency_s(by_layer_s, other_s):
    """Sum over the layers, and the steps that are not fused."""
    return by_layer_s.sum(axis=-1) + other_s


@formula
def layer_image_s(of_a_batch_s, batch):
    """Time of a batch / its images, of each layer."""
    return of_a_batch_s / batch[..., None]


@formula
def latency_s(batch_s, batch):
    """Latency of a batch / its images."""
    return batch_s / batch


@formula
def peak_gops(work: WorkTable, peaks):
    """2 x multiply-adds / the time that they take at the peak of their types, in 1e9 operations
    per second."""
    return 2 * work.macs / (work.column("macs") / peaks).sum(axis=-1) / 1e9


@formula
def peak_gops_per_w(peak, device: Gpu):
    """Peak rate / TDP."""
    return peak / read(device, "tdp_w")


@formula
def dram_bytes(moved_bytes, step_bytes, batch):
    """Sum over the layers and the steps that are not fused, per image."""
    return moved_bytes.sum(axis=-1) / batch + step_bytes.sum()


__all__ = ["OUTPUTS", "Cost", "Design", "describe", "evaluate", "remarks"]
