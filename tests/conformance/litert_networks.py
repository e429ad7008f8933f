"""A ResNet as LiteRT runs it: the convolutions, pools and additions of a program as a .tflite file.

The program's ``requantize`` is one of LiteRT's, its activations have 8 bits. Padding is an
operator of its own, since LiteRT's own is not symmetric where the stride is 2. The average over the
image and the layer after it are left out: qsim keeps their sums, LiteRT rounds them.
"""

from dataclasses import dataclass, field

import numpy as np
from conformance import tflite_models as models

from qsim.network.graph import INPUT
from qsim.network.layers import Add, Conv, Relu, border, pair
from qsim.network.pools import AveragePool, MaxPool
from qsim.program import Program

CODES_BEGIN = -128  # int8 codes, of levels whose codes begin at 0


@dataclass
class Writer:
    """A file in the making: its tensors, its operators, and where each layer's result is."""

    program: Program
    tensors: list = field(default_factory=list)
    operators: list = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)
    rounded: dict[str, int] = field(default_factory=dict)

    def add(self, shape, scale, zero_point=0, data=None) -> int:
        """A new tensor's place."""
        self.tensors.append(models.Tensor(tuple(shape), np.asarray(scale), zero_point, data))
        return len(self.tensors) - 1

    def activation(self, name: str, shape) -> int:
        """A tensor of images, channels last, in the format of a rounded one."""
        channels, height, width = shape
        zero = code_zero(self.program, name)
        return self.add((1, height, width, channels), self.program.scales[name], zero)

    def operate(self, layer, reads, writes) -> int:
        """Add an operator; the place of what it writes."""
        self.operators.append(models.Operator(layer, tuple(reads), writes))
        return writes


def code_zero(program: Program, name: str) -> int:
    """The int8 code of level 0 of a rounded tensor."""
    return CODES_BEGIN - program.formats[name].min_level


def codes_of(program: Program, name: str, levels: np.ndarray) -> np.ndarray:
    """int8 codes, channels last, of the levels (images, channels, height, width) of a tensor."""
    codes = (levels + code_zero(program, name)).astype(np.int8)
    return np.ascontiguousarray(codes.transpose(0, 2, 3, 1))


def litert_file(program: Program) -> tuple[bytes, list[str]]:
    """The bytes of the file, and the rounded tensors that it gives, in order."""
    writer = Writer(program)
    writer.places[INPUT] = writer.activation(INPUT, program.network.input_shape)
    for node in program.network.nodes.values():
        if isinstance(node.layer, AveragePool):
            break
        _write(writer, node)
    names = list(writer.rounded)
    return models.network(writer.tensors, writer.operators, list(writer.rounded.values())), names


def _write(writer: Writer, node) -> None:
    """Add a layer; a relu belongs to the operator before it."""
    match node.layer:
        case Relu():
            place = writer.places[node.inputs[0]]
        case Conv():
            place = _convolution(writer, node)
        case Add():
            target, relu = _rounded_as(writer.program, node.name)
            reads = [writer.places[name] for name in node.inputs]
            layer = models.addition(relu)
            place = writer.operate(layer, reads, writer.activation(target, node.output_shape))
        case MaxPool(kernel=kernel, stride=stride, padding=padding):
            target, _ = _rounded_as(writer.program, node.name)
            read = _padded(writer, node.inputs[0], border(padding), target)
            layer = models.max_pool(pair(kernel), pair(stride or kernel))
            place = writer.operate(layer, [read], writer.activation(target, node.output_shape))
        case _:
            raise TypeError(f"no LiteRT operator is written for {type(node.layer).__name__}")
    writer.places[node.name] = place
    if writer.program.rounds(node.name):
        writer.rounded[node.name] = place


def _rounded_as(program: Program, name: str) -> tuple[str, bool]:
    """The first tensor from a layer on that is rounded, and whether a relu is on the way to it."""
    relu = False
    while not program.rounds(name):
        [reader] = program.network.readers[name]
        name, relu = reader.name, relu or isinstance(reader.layer, Relu)
    return name, relu


def _convolution(writer: Writer, node) -> int:
    program, layer = writer.program, node.layer
    source = _rounded_before(program, node.inputs[0])
    read = _padded(writer, node.inputs[0], border(layer.padding), source)
    [term] = program.terms[node.name]
    held = np.ascontiguousarray(term.levels.transpose(0, 2, 3, 1)).astype(np.int8)
    scale = np.broadcast_to(program.weights[node.name].scale.reshape(-1), len(held))
    of_sums = (program.scales[source] * scale).astype(np.float32)
    weights = writer.add(held.shape, scale, data=held)
    biases = program.biases[node.name].astype(np.int32)
    bias = writer.add(biases.shape, of_sums, data=biases)
    target, relu = _rounded_as(program, node.name)
    written = writer.activation(target, node.output_shape)
    operator = models.convolution(pair(layer.stride), pair(layer.dilation), relu)
    return writer.operate(operator, [read, weights, bias], written)


def _rounded_before(program: Program, name: str) -> str:
    """The rounded tensor whose levels a tensor has."""
    while not program.rounds(name) and name != INPUT:
        name = program.network.nodes[name].inputs[0]
    return name


def _padded(writer: Writer, name: str, sides: tuple[int, ...], target: str) -> int:
    """The place of a tensor with its border, in the format of ``target``."""
    place = writer.places[name]
    if not any(sides):
        return place
    top, left, bottom, right = sides
    _, height, width, channels = writer.tensors[place].shape
    shape = channels, height + top + bottom, width + left + right
    widths = np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
    table = writer.add(widths.shape, np.float32(1), data=widths)
    return writer.operate(models.padding(), [place, table], writer.activation(target, shape))
