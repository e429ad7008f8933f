"""When the layers of a streaming design finish: what an image waits for, from layer to layer.

Every tensor is a stream of pixels, one after another, known by when its first and its last one are
there and taken as even in between. A layer begins once the pixels of its first window are there,
goes on at its own pace or that of its input, and ends no sooner than the outputs that need its last
input. Layers that meet in an addition wait for the later one, and the earlier one for it in a
queue. All times are in cycles, arrays of the designs' shape.

Not modelled: registers within the engines (some ten cycles a layer), queues that are too short.
Strides and padding are found from the sides of inputs and outputs, and the window of a pool is
taken as its stride: the table of work does not hold them.
"""

from dataclasses import dataclass
from functools import cache
from math import isqrt

import numpy as np

from hwmodels.explain import formula
from hwmodels.fpga.folding import Folding, depth_folds, layer_stream_lanes, row_folds
from hwmodels.work import LayerWork, Step, WorkTable


@dataclass(frozen=True)
class Stream:
    """A tensor as it passes.

    first, last   cycle at the end of which its first and last pixel are there
    pixels        how many there are
    values        of all of them
    lanes         values of a word
    word_cycles   cycles in which the words of one pixel follow one another
    """

    first: np.ndarray
    last: np.ndarray
    pixels: float
    values: float
    lanes: np.ndarray
    word_cycles: np.ndarray

    def arrival(self, share: float) -> np.ndarray:
        """When that share of its pixels is there."""
        if self.pixels == 1:
            return self.last
        passed = np.clip((share * self.pixels - 1) / (self.pixels - 1), 0, 1)
        return self.first + passed * (self.last - self.first)


@dataclass(frozen=True)
class Queue:
    """Where a tensor waits for another that it is added to or joined with.

    pixels    that wait at most
    """

    tensor: str
    pixels: np.ndarray
    stream: Stream
    bits: int


@dataclass(frozen=True)
class Flow:
    """How an image flows through.

    queues    where tensors wait
    last      the cycle at the end of which the result is there
    """

    queues: list[Queue]
    last: np.ndarray


def flow(work: WorkTable, folding: Folding) -> Flow:
    """How an image flows through the engines of ``work``; a table without steps is a chain."""
    steps = work.steps or _chain(work)
    at = {layer.name: index for index, layer in enumerate(work.layers)}
    bits = {step.name: step.bits for step in steps}
    timing = _Timing(work, folding)
    streams: dict[str, Stream] = {}
    queues: list[Queue] = []
    for step in steps:
        reads = [streams[name] for name in step.reads]
        if step.name in at:
            streams[step.name] = timing.computed(at[step.name], reads[0])
        elif not reads:
            streams[step.name] = timing.entering(_first_reader(step.name, steps, at))
        elif len(reads) > 1:
            streams[step.name], waiting = _joined(step, reads)
            queues += [Queue(name, pixels, stream, bits[name]) for name, pixels, stream in waiting]
        else:
            streams[step.name] = _passed(step, reads[0])
    return Flow(queues, streams[steps[-1].name].last)


def _chain(work: WorkTable) -> tuple[Step, ...]:
    names = ["input", *(layer.name for layer in work)]
    steps = [Step("input", "input", (), 0, 0)]
    pairs = zip(work.layers, names, strict=False)
    return (*steps, *(Step(layer.name, layer.kind, (before,), 0, 0) for layer, before in pairs))


def _first_reader(name: str, steps: tuple[Step, ...], at: dict[str, int]) -> int:
    """The first layer with products that reads a tensor, or what is made of it."""
    made = {name}
    for step in steps:
        if made.intersection(step.reads):
            if step.name in at:
                return at[step.name]
            made.add(step.name)
    return 0


class _Timing:
    """The times of layers with products."""

    def __init__(self, work: WorkTable, folding: Folding):
        self.work = work
        self.row_folds = row_folds(work, folding)
        self.depth_folds = depth_folds(work, folding)
        self.lanes_in = layer_stream_lanes(work, folding)
        self.elements = folding.pe + folding.pe_shift_add

    def entering(self, index: int) -> Stream:
        """The image, in words that the layer of that index takes."""
        layer = self.work.layers[index]
        pixels = layer.in_h * layer.in_w
        lanes = self.lanes_in[..., index]
        words = np.ceil(layer.in_channels / lanes)
        return Stream(words, pixels * words, pixels, pixels * layer.in_channels, lanes, words)

    def computed(self, index: int, read: Stream) -> Stream:
        """What the layer of that index makes of the stream that it reads."""
        layer = self.work.layers[index]
        depth, rows = self.depth_folds[..., index], self.row_folds[..., index]
        lanes = self.lanes_in[..., index]
        words = np.ceil(layer.in_channels / lanes)  # of a pixel
        pixels_in, window = layer.in_h * layer.in_w, _window(layer)
        first_in = np.maximum(read.first, words)
        taken = Stream(
            first_in, np.maximum(read.last, first_in + (pixels_in - 1) * words),
            read.pixels, read.values, read.lanes, read.word_cycles,
        )  # fmt: skip
        # words of the last pixel that are taken after its last one is there
        joined = max(read.pixels / pixels_in, 1)
        behind = np.maximum(
            np.maximum(1, read.lanes / lanes), np.ceil(words / joined) - read.word_cycles
        )
        delay = behind + (rows - 1) * depth
        first = first_output(taken.arrival(window.needed / pixels_in), delay, rows * depth)
        last = last_output(
            first, taken.arrival(window.all_needed / pixels_in), delay, rows * depth,
            (layer.positions, window.remaining),
        )  # fmt: skip
        return Stream(
            first, last, layer.positions, layer.positions * layer.out_channels,
            self.elements[..., index], (rows - 1) * depth,
        )  # fmt: skip


@formula
def first_output(arrival, delay, pixel_cycles):
    """When the first window is there + what follows of its computation, or the whole of it."""
    return np.maximum(arrival + delay, pixel_cycles)


@formula
def last_output(first, last_input, delay, pixel_cycles, positions):
    """The later of the first output + the others at the layer's pace, and of the last input + the
    outputs that need it."""
    count, remaining = positions
    paced = first + (count - 1) * pixel_cycles
    return np.maximum(paced, last_input + delay + (remaining - 1) * pixel_cycles)


@dataclass(frozen=True)
class _Window:
    """Of a layer: pixels that its first output needs, those that all its outputs need, and outputs
    left when the last of these comes."""

    needed: int
    all_needed: int
    remaining: int


def _window(layer: LayerWork) -> _Window:
    down = _side(layer.in_h, layer.out_h, layer.kernel_h)
    across = _side(layer.in_w, layer.out_w, layer.kernel_w)
    first, last = (down[at] * layer.in_w + across[at] + 1 for at in (0, 1))
    return _Window(first, last, layer.positions - down[2] * layer.out_w - across[2])


def _side(size: int, outputs: int, kernel: int) -> tuple[int, int, int]:
    """Along one side: the last place that the first output reads, the last that any reads, and the
    first output that reads it."""
    stride, padding = _stride_and_padding(size, outputs, kernel)
    ends = [min(at * stride - padding + kernel - 1, size - 1) for at in range(outputs)]
    return max(ends[0], 0), max(ends[-1], 0), ends.index(ends[-1])


@cache
def _stride_and_padding(size: int, outputs: int, kernel: int) -> tuple[int, int]:
    """A stride and padding with which a side has so many outputs: of the paddings that are not
    wider than half the kernel the widest; none where there is one output."""
    widest = 0 if outputs == 1 else (kernel - 1) // 2
    for padding in range(widest, -1, -1):
        span = size + 2 * padding - kernel
        for stride in range(1, size + 1):
            if span >= 0 and span // stride + 1 == outputs:
                return stride, padding
    stride = max(1, size // outputs)  # a kernel with gaps, or uneven padding
    return stride, max(0, (outputs - 1) * stride + kernel - size) // 2


def _joined(step: Step, reads: list[Stream]):
    """The stream of an addition or another joining, and what waits: names, pixels and streams."""
    first = np.maximum.reduce([each.first for each in reads])
    last = np.maximum.reduce([each.last for each in reads])
    waiting = []
    for name, stream in zip(step.reads, reads, strict=True):
        pace = np.maximum(stream.last - stream.first, 1) / max(stream.pixels - 1, 1)
        pixels = np.minimum(stream.pixels, np.ceil((first - stream.first) / pace))
        waiting.append((name, pixels, stream))
    one = reads[0]
    joined = Stream(first, last, one.pixels, step.values, one.lanes, one.word_cycles)
    return joined, waiting


def _passed(step: Step, read: Stream) -> Stream:
    """The stream of a step that passes pixels on, or of a pool, which gathers them."""
    if step.kind not in ("max_pool", "average_pool") or step.values >= read.values:
        return read
    ratio = read.values / step.values
    pixels = max(1.0, read.pixels / ratio)
    side = isqrt(round(ratio))  # of the window
    needed = min(((side - 1) * np.sqrt(read.pixels) + side) / read.pixels, 1.0)
    first = read.last if pixels == 1 else read.arrival(needed)
    return Stream(first, read.last, pixels, step.values, read.lanes, read.word_cycles)
