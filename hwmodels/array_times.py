"""How long a spatial array takes for each layer, and what it moves to and from DRAM meanwhile."""

from typing import Any

import numpy as np

from hwmodels.array_traffic import Passes
from hwmodels.explain import formula, read
from hwmodels.parameters import over_layers
from hwmodels.work import WorkTable


@formula
def layer_dram_bytes(work: WorkTable, passes: Passes, design: Any):
    """Bytes each layer moves for all images: operands x passes, and what is added and stored."""
    images = over_layers(design, "images")
    of_tensors = np.array([layer.kind == "matmul" for layer in work.layers])
    second = work.column("operand_values") * work.column("weight_bits") / 8
    inputs = work.column("in_channels") * work.column("in_h") * work.column("in_w")
    first = inputs * work.column("activation_bits") / 8
    added = work.column("added_values") * work.column("stored_bits") / 8
    return second * passes.weights * np.where(of_tensors, images, 1.0) + images * (
        first * passes.inputs + added + work.column("output_bytes")
    )


@formula
def layer_compute_s(cycles, design: Any):
    """(Cycles + 1) / clock of each layer, for one of the images: the count is that of the last
    cycle, from 0 on."""
    return (cycles + 1) / over_layers(design, "clock_hz") / over_layers(design, "images")


@formula
def layer_latency_s(compute_s, dram_s, design: Any):
    """The longer of computing and moving, of each layer; their sum where buffers are not double."""
    return np.maximum(compute_s, dram_s) if design.double_buffered else compute_s + dram_s


@formula
def dram_bytes(moved_bytes, design: Any):
    """Sum over the layers, for one of the images."""
    return moved_bytes.sum(axis=-1) / read(design, "images")
