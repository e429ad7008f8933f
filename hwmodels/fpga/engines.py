"""The engine of one layer of a streaming design: its logic and memories.

An engine has, for each kind of its rows, processing elements with a requantizer each, a memory that
gives all of them their weights of a cycle, and one of what the requantizers need; a window of the
input, from which a kernel's words are read; a memory in which these words wait for further row
folds; and a queue at its entrance. A layer of 1 x 1 needs no window, and one without row folds
reads no word twice.

Source: FINN-R (arXiv 1809.04570), sections 4.2 and 4.3; windows as those of FINN's generator in RTL
(finn 0.10, convolutioninputgenerator_rtl.py, get_buffer_depth), without what it adds for strides.
"""

from dataclasses import dataclass
from functools import cache

import msgspec
import numpy as np

from hwmodels.documents import read_document
from hwmodels.explain import formula, read_figure
from hwmodels.fpga.buffers import Buffer, Style, buffer_luts
from hwmodels.fpga.datapaths import Datapath, natural_path
from hwmodels.fpga.device import Fpga
from hwmodels.fpga.dsp import Packing
from hwmodels.fpga.folding import Folding, layer_stream_lanes
from hwmodels.fpga.logic import Bound, luts_per_lut6
from hwmodels.fpga.pipeline import Queue
from hwmodels.fpga.units import (
    Operands,
    constant_bits,
    element_dsp,
    element_flip_flops,
    element_luts,
    requantizer_dsps,
    requantizer_flip_flops,
    requantizer_luts,
    sum_bits,
)
from hwmodels.provenance import HERE, Figure
from hwmodels.work import LayerWork, WorkTable

FILE = "calibrated/streaming_engines.yaml"


@dataclass(frozen=True)
class EngineOptions:
    """What all engines of a design have in common; see the fields of its design.

    products_in        "auto", "dsp" or "lut"
    accumulator_bits   None: as many as the sums of the layer need
    """

    products_in: str
    dsp_packing: Packing
    accumulator_bits: np.ndarray | None
    weight_memory: Style
    window_memory: Style
    queue_words: np.ndarray


@dataclass(frozen=True)
class Part:
    """The processing elements of one kind of a layer's rows; ``elements`` is how many."""

    rows: int
    elements: np.ndarray
    path: Datapath
    operands: Operands


@dataclass(frozen=True)
class Engine:
    """One layer's engine.

    simd    products of an element in a cycle
    lanes   channels of a word of its input
    """

    layer: LayerWork
    parts: tuple[Part, ...]
    simd: np.ndarray
    lanes: np.ndarray
    options: EngineOptions
    device: Fpga


def engines_of(
    work: WorkTable, folding: Folding, options: EngineOptions, device: Fpga
) -> list[Engine]:
    """The engine of each layer in ``device``."""
    lanes = layer_stream_lanes(work, folding)
    engines = []
    for index, layer in enumerate(work.layers):
        kinds = (
            (layer.rows_multiply, folding.pe[..., index], False),
            (layer.rows_shift_add, folding.pe_shift_add[..., index], True),
        )
        parts = tuple(
            _part(layer, rows, elements, shifted, options)
            for rows, elements, shifted in kinds
            if rows
        )
        simd = folding.simd[..., index]
        engines.append(Engine(layer, parts, simd, lanes[..., index], options, device))
    return engines


def _part(layer, rows, elements, shifted: bool, options: EngineOptions) -> Part:
    path = natural_path(layer, shifted=shifted)
    if path in ("dsp", "lut") and options.products_in != "auto":
        path = options.products_in
    sums = options.accumulator_bits
    if sums is None:
        sums = sum_bits(path, layer.weight_bits, layer.activation_bits, layer.depth)
    signed = layer.activation_scheme != "unsigned"
    operands = Operands(layer.weight_bits, layer.activation_bits, sums, signed)
    return Part(rows, elements, path, operands)


class EngineConstants(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an engine takes besides its datapath and memories."""

    engine_luts: Figure
    window_luts: Figure


@cache
def load_constants() -> EngineConstants:
    """The constants, from ``calibrated/streaming_engines.yaml``."""
    return read_document(HERE / FILE, EngineConstants)


@formula
def control_luts(layer: LayerWork):
    """Constant of an engine + constant of its window, where it has one: handshakes, counters,
    addresses."""
    constants, where = load_constants(), f"hwmodels/{FILE}"
    total = read_figure(constants.engine_luts, "engine_luts", where=where)
    if layer.kernel_h * layer.kernel_w > 1:
        total = total + read_figure(constants.window_luts, "window_luts", where=where)
    return total


@formula
def engine_luts(engine: Engine, bound: Bound = "nominal"):
    """Elements x (LUTs of one + of its requantizer) of either kind of rows, memory in LUTs, and
    control."""
    device, packing = engine.device, engine.options.dsp_packing
    held = sum(buffer_luts(each, device) for each in engine_buffers(engine))
    total = (held + control_luts(engine.layer)) * luts_per_lut6(device.lut_kind, bound)
    for part in engine.parts:
        given = (part.path, engine.simd, part.operands, device)
        each = element_luts(*given, bound=bound, packing=packing)
        sums = part.operands.accumulator_bits
        ends = requantizer_luts(sums, engine.layer.stored_bits, device, bound=bound)
        total = total + part.elements * (each + ends)
    return total


@formula
def engine_flip_flops(engine: Engine):
    """Elements x (flip-flops of one + of its requantizer) of either kind of rows."""
    total = 0.0
    for part in engine.parts:
        given = (part.path, engine.simd, part.operands, engine.device)
        each = element_flip_flops(*given, packing=engine.options.dsp_packing)
        total = total + part.elements * (each + requantizer_flip_flops(engine.layer.stored_bits))
    return total


@formula
def engine_dsp(engine: Engine):
    """Elements x (DSPs of one + of its requantizer) of either kind of rows, in whole DSPs."""
    total = 0.0
    for part in engine.parts:
        given = (part.path, engine.simd, part.operands, engine.device)
        each = element_dsp(*given, packing=engine.options.dsp_packing)
        sums = part.operands.accumulator_bits
        ends = requantizer_dsps(sums, engine.layer.stored_bits, engine.device)
        total = total + np.ceil(part.elements * each) + part.elements * ends
    return total


def engine_buffers(engine: Engine) -> list[Buffer]:
    """The memories of an engine."""
    layer, options = engine.layer, engine.options
    word = engine.lanes * layer.activation_bits
    buffers = [
        Buffer(options.queue_words, word, style="luts", use="queue"),
        *_windows(engine, word),
        _waiting(engine),
    ]
    for part in engine.parts:
        depth = weight_words(part.rows, layer.depth, part.elements, engine.simd)
        width = part.elements * engine.simd * layer.weight_bits
        buffers.append(Buffer(depth, width, style=options.weight_memory, use="rom"))
        constants = constant_bits(part.operands.accumulator_bits, layer.stored_bits)
        buffers.append(Buffer(part.rows / part.elements, part.elements * constants, use="rom"))
    return buffers


def _waiting(engine: Engine) -> Buffer:
    """Where the words of a window wait for further row folds."""
    layer = engine.layer
    folds = np.maximum.reduce([part.rows / part.elements for part in engine.parts])
    words = np.where(folds > 1, layer.depth / engine.simd, 0.0)
    width = engine.simd * layer.activation_bits
    return Buffer(words, width, style=engine.options.window_memory)


def _windows(engine: Engine, word) -> list[Buffer]:
    """The window of the input: one memory where its places are read one after another, else a
    memory for each line but the last; none of 1 x 1."""
    layer, lanes = engine.layer, engine.lanes
    if layer.kernel_h * layer.kernel_w == 1:
        return []
    at_once = engine.simd > layer.in_channels // layer.groups
    depth = np.where(at_once, line_words(layer, lanes), window_words(layer, lanes))
    count = np.where(at_once, layer.kernel_h - 1, 1)
    return [Buffer(depth, word, count, engine.options.window_memory)]


@formula
def weight_words(rows, depth, elements, simd):
    """Rows x products of a sum / (elements x simd): words of a memory of weights."""
    return rows * depth / (elements * simd)


@formula
def window_words(layer: LayerWork, lanes):
    """((Kernel height - 1) x input width + kernel width) x words of a pixel."""
    pixels = (layer.kernel_h - 1) * layer.in_w + layer.kernel_w
    return pixels * np.ceil(layer.in_channels / lanes)


@formula
def line_words(layer: LayerWork, lanes):
    """Input width x words of a pixel: a line, where a window is read at several places at once."""
    return layer.in_w * np.ceil(layer.in_channels / lanes)


def queue_buffer(queue: Queue, style: Style) -> Buffer:
    """The memory in which a tensor waits for another one."""
    channels = queue.stream.values / max(queue.stream.pixels, 1)
    depth = queued_words(queue.pixels, channels, queue.stream.lanes)
    return Buffer(depth, queue.stream.lanes * queue.bits, style=style)


@formula
def queued_words(pixels, channels, lanes):
    """Pixels that wait x words of a pixel."""
    return pixels * np.ceil(channels / lanes)
