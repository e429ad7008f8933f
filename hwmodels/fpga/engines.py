"""The engine of one layer of a streaming design: its logic and memories.

An engine has, for each kind of its rows, processing elements with a requantizer each and a memory
of weights that gives all of them their weights of a cycle; a window of the input, from which a
kernel's words are read; a memory in which the words of a window wait for further row folds; and a
queue at its entrance. A layer of 1 x 1 needs no window, and one without row folds reads no word
twice.

Source: FINN-R (arXiv 1809.04570), sections 4.2 and 4.3; windows as those of FINN's generator in RTL
(finn 0.10, convolutioninputgenerator_rtl.py, get_buffer_depth), without what it adds for strides.
"""

from dataclasses import dataclass

import numpy as np

from hwmodels.explain import formula
from hwmodels.fpga.buffers import Storage, Style, lut_memory, stored
from hwmodels.fpga.datapaths import Datapath, natural_path
from hwmodels.fpga.device import Fpga
from hwmodels.fpga.dsp import Packing
from hwmodels.fpga.folding import Folding, layer_stream_lanes
from hwmodels.fpga.pipeline import Queue
from hwmodels.fpga.units import Logic, Operands, constant_bits, element, requantizer, sum_bits
from hwmodels.work import LayerWork, WorkTable


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
class Resources:
    """What an engine or a design needs: logic, and memory with the LUTs that hold it."""

    logic: Logic
    storage: Storage

    def __add__(self, other: "Resources") -> "Resources":
        return Resources(self.logic + other.logic, self.storage + other.storage)


@dataclass(frozen=True)
class Unfolded:
    """One layer's folding, arrays of the designs' shape; ``lanes``: channels of an input word."""

    simd: np.ndarray
    pe: np.ndarray
    pe_shift_add: np.ndarray
    lanes: np.ndarray


def engine_resources(
    work: WorkTable, folding: Folding, options: EngineOptions, device: Fpga
) -> list[Resources]:
    """What the engine of each layer needs in ``device``."""
    lanes = layer_stream_lanes(work, folding)
    engines = []
    for index, layer in enumerate(work.layers):
        columns = (folding.simd, folding.pe, folding.pe_shift_add, lanes)
        unfolded = Unfolded(*(column[..., index] for column in columns))
        engines.append(_engine(layer, unfolded, options, device))
    return engines


def _engine(
    layer: LayerWork, unfolded: Unfolded, options: EngineOptions, device: Fpga
) -> Resources:
    storage = _window(layer, unfolded, options, device)
    storage = storage + _entrance(layer, unfolded, options.queue_words)
    logic = Logic.of()
    kinds = (
        (layer.rows_multiply, unfolded.pe, False),
        (layer.rows_shift_add, unfolded.pe_shift_add, True),
    )
    for rows, elements, shifted in kinds:
        if rows:
            sums = _sum_bits(layer, shifted, options)
            logic = logic + _elements(layer, unfolded, (elements, shifted, sums), options, device)
            constants = elements * constant_bits(sums, layer.stored_bits)
            storage = storage + stored(rows / elements, constants, device, use="rom")
            depth = weight_words(rows, layer.depth, elements, unfolded.simd)
            width = elements * unfolded.simd * layer.weight_bits
            storage = storage + stored(depth, width, device, style=options.weight_memory, use="rom")
    return Resources(logic, storage)


def path_of(layer: LayerWork, shifted: bool, products_in: str) -> Datapath:
    """The datapath of a layer's rows, products of numbers where the design wants them."""
    path = natural_path(layer, shifted=shifted)
    return products_in if path in ("dsp", "lut") and products_in != "auto" else path


def _sum_bits(layer: LayerWork, shifted: bool, options: EngineOptions):
    if options.accumulator_bits is not None:
        return options.accumulator_bits
    path = path_of(layer, shifted, options.products_in)
    return sum_bits(path, layer.weight_bits, layer.activation_bits, layer.depth)


def _elements(layer, unfolded, part, options, device) -> Logic:
    """Processing elements of one kind, with their requantizers.

    part   how many, whether they shift and add, and the bits of their sums
    """
    elements, shifted, sums = part
    path = path_of(layer, shifted, options.products_in)
    operands = Operands(
        layer.weight_bits, layer.activation_bits, sums, layer.activation_scheme != "unsigned"
    )
    one = element(path, unfolded.simd, operands, device, packing=options.dsp_packing)
    return (one + requantizer(sums, layer.stored_bits, device)).times(elements)


@formula
def weight_words(rows, depth, elements, simd):
    """Rows x products of a sum / (elements x simd): words of a memory of weights."""
    return rows * depth / (elements * simd)


def _entrance(layer: LayerWork, unfolded: Unfolded, words) -> Storage:
    """The queue before the engine."""
    return Storage(0.0, 0.0, lut_memory(words, unfolded.lanes * layer.activation_bits, "queue"))


def _window(layer: LayerWork, unfolded: Unfolded, options, device: Fpga) -> Storage:
    """The window of the input, and the words that wait for further row folds."""
    style, bits = options.window_memory, layer.activation_bits
    folds = np.maximum(
        layer.rows_multiply / np.maximum(unfolded.pe, 1),
        layer.rows_shift_add / np.maximum(unfolded.pe_shift_add, 1),
    )
    again = np.where(folds > 1, layer.depth / unfolded.simd, 0.0)
    waiting = stored(again, unfolded.simd * bits, device, style=style)
    if layer.kernel_h * layer.kernel_w == 1:
        return waiting
    depth = window_words(layer, unfolded.lanes)
    lines = line_words(layer, unfolded.lanes)
    at_once = unfolded.simd > layer.in_channels // layer.groups
    width = unfolded.lanes * bits
    whole = stored(depth, width, device, style=style)
    by_lines = stored(lines, width, device, style=style).times(layer.kernel_h - 1)
    parts = (
        np.where(at_once, getattr(by_lines, name), getattr(whole, name))
        for name in ("blocks", "ultra", "luts")
    )
    return waiting + Storage(*parts)


@formula
def window_words(layer: LayerWork, lanes):
    """((Kernel height - 1) x input width + kernel width) x words of a pixel."""
    pixels = (layer.kernel_h - 1) * layer.in_w + layer.kernel_w
    return pixels * np.ceil(layer.in_channels / lanes)


@formula
def line_words(layer: LayerWork, lanes):
    """Input width x words of a pixel: a line, where a window is read at several places at once."""
    return layer.in_w * np.ceil(layer.in_channels / lanes)


def queue_memory(queue: Queue, style: Style, device: Fpga) -> Storage:
    """The memory in which a tensor waits for another one."""
    channels = queue.stream.values / max(queue.stream.pixels, 1)
    depth = queued_words(queue.pixels, channels, queue.stream.lanes)
    return stored(depth, queue.stream.lanes * queue.bits, device, style=style)


@formula
def queued_words(pixels, channels, lanes):
    """Pixels that wait x words of a pixel."""
    return pixels * np.ceil(channels / lanes)
