"""Logic and memory of a streaming design on an FPGA: its engines and the queues between them."""

from dataclasses import dataclass

import numpy as np

from hwmodels.explain import formula, read
from hwmodels.fpga.buffers import (
    Buffer,
    buffer_blocks,
    buffer_luts,
    buffer_ultra,
    whole_blocks,
)
from hwmodels.fpga.device import Fpga
from hwmodels.fpga.engines import (
    Engine,
    EngineOptions,
    engine_buffers,
    engine_dsp,
    engine_flip_flops,
    engine_luts,
    engines_of,
    queue_buffer,
)
from hwmodels.fpga.folding import Folding
from hwmodels.fpga.logic import Bound, luts_per_lut6
from hwmodels.fpga.pipeline import flow
from hwmodels.fpga.streaming_design import Design
from hwmodels.work import WorkTable


@dataclass(frozen=True)
class Parts:
    """Engines, and the memories in which tensors wait for others."""

    engines: list[Engine]
    queues: list[Buffer]
    device: Fpga


def parts_of(work: WorkTable, folding: Folding, design: Design, device: Fpga) -> Parts:
    """The parts of a design that is folded so."""
    bits = design.accumulator_bits
    options = EngineOptions(
        products_in=design.products_in,
        dsp_packing=design.dsp_packing,
        accumulator_bits=None if bits is None else read(design, "accumulator_bits"),
        weight_memory=design.weight_memory,
        window_memory=design.window_memory,
        queue_words=read(design, "queue_words"),
    )
    queues = [queue_buffer(each, design.window_memory) for each in flow(work, folding).queues]
    return Parts(engines_of(work, folding, options, device), queues, device)


def _stacked(values) -> np.ndarray:
    return np.stack(np.broadcast_arrays(*values), axis=-1)


@formula
def layer_luts(parts: Parts, bound: Bound = "nominal"):
    """LUTs of each layer's engine."""
    return _stacked(engine_luts(engine, bound) for engine in parts.engines)


@formula
def luts(by_layer, parts: Parts, bound: Bound = "nominal"):
    """Sum over the layers, and LUTs of memories in which tensors wait."""
    waiting = sum(buffer_luts(queue, parts.device) for queue in parts.queues)
    return by_layer.sum(axis=-1) + waiting * luts_per_lut6(parts.device.lut_kind, bound)


@formula
def flip_flops(parts: Parts):
    """Sum over the engines."""
    return sum(engine_flip_flops(engine) for engine in parts.engines)


@formula
def layer_dsp(parts: Parts):
    """DSPs of each layer's engine."""
    return _stacked(engine_dsp(engine) for engine in parts.engines)


@formula
def dsp(by_layer):
    """Sum over the layers."""
    return by_layer.sum(axis=-1)


@formula
def layer_ram_blocks(parts: Parts):
    """RAM blocks of the memories of each layer's engine, in whole ones."""
    return whole_blocks(_layer_blocks(parts), parts.device)


@formula
def ram_blocks(parts: Parts):
    """RAM blocks of all memories of engines, and of those in which tensors wait, in whole ones: two
    halves may be of different memories."""
    waiting = sum(buffer_blocks(queue, parts.device) for queue in parts.queues)
    return whole_blocks(_layer_blocks(parts).sum(axis=-1) + waiting, parts.device)


def _layer_blocks(parts: Parts) -> np.ndarray:
    return _stacked(
        sum(buffer_blocks(each, parts.device) for each in engine_buffers(engine))
        for engine in parts.engines
    )


@formula
def uram_288kb(parts: Parts):
    """Sum over the memories that are sent there."""
    buffers = [each for engine in parts.engines for each in engine_buffers(engine)]
    return sum(buffer_ultra(each) for each in buffers + parts.queues)
