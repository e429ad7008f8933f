"""Sums of products computed again one at a time, from the stored words of the weights."""

from collections.abc import Callable
from functools import cache

import numpy as np

from qsim.formats import AffineGrid, Format, Quant, Quantized, QuantizedGroups, QuantizedTtq
from qsim.formats.binary import BinaryFormat
from qsim.formats.dorefa import OddLevels
from qsim.kernels.accumulator import Accumulator, Partial
from qsim.network.graph import Node
from qsim.network.kinds import Moves
from qsim.network.layers import Concat, Conv, Flatten, Linear, border, pair
from qsim.network.moves import Reshape, Slice, Transpose, Upsample
from qsim.network.pools import MaxPool
from qsim.program import Program
from qsim.values import Element, Step, real
from qsim.verify.places import places_under, source_of


def tensor_product(program: Program, node: Node, inputs, at: tuple[int, ...]) -> Element:
    """One product of two tensors."""
    x, y = inputs
    *before, row, column = at
    held = y.levels[tuple(before)]
    others = held[column] if node.layer.transposed else held[:, column]
    register = Register(program.arithmetic.accumulator)
    for a, b in zip(x.levels[(*before, row)], others, strict=True):
        register.add(int(a) * int(b))
    scale = float(np.float64(x.scale) * np.float64(y.scale))
    return Element(((register.total(), scale),), source="matmul")


def layer_product(
    program: Program, node: Node, steps: dict[str, Step], at: tuple[int, ...]
) -> Element:
    """One row of a layer with weights, its bias included."""
    image, row = at[0], at[-1] if isinstance(node.layer, Linear) else at[1]
    read = steps[node.inputs[0]]
    weights, accumulator = program.weights[node.name], program.arithmetic.accumulator
    factor = program.factors.get(node.name, np.ones(len(weights.levels), np.float32))[row]
    in_scale, magnitude = np.float64(program.scales[node.inputs[0]]), np.abs(factor)
    scales = [
        in_scale * np.float64(scale * magnitude if magnitude else scale)
        for scale in _row_scales(weights, row)
    ]
    registers = [Register(accumulator) for _ in scales]
    codes, products_of = _codes_of_row(weights, row), _products_of_row(weights, row)
    for key, level in _operands(node, read.value.levels[image], row, at):
        multiply, term = products_of(key[0])
        code = int(codes[key])
        if isinstance(weights, QuantizedTtq):  # each term meets every weight, not its own as 0
            term = code >> 1  # the sign
            registers[1 - term].add(0)
        registers[term].add(multiply(code, level))
    sign = int(np.sign(factor))
    totals = [sign * register.total() for register in registers]
    bias = program.real.get(f"{node.name}.bias")
    bias = 0.0 if bias is None else float(bias[row])
    if program.maps(node):
        before = _image_before_rounding(program, steps, node.inputs[0], image)
        by_place = _map_again(node, before, at[2:])
        scales = [np.float32(scale) * by_place for scale in scales]
    if program.has_real_bias(node):
        return _element_of(totals, scales, bias, node)
    level = round(bias / float(scales[0]))
    totals[0] = sign * _hold(accumulator, sign * totals[0] + sign * level) if sign else level
    return _element_of(totals, scales, 0.0, node)


def _element_of(totals: list[int], scales: list[np.float64], offset: float, node: Node) -> Element:
    pairs = tuple(zip(totals, (float(scale) for scale in scales), strict=True))
    source = "linear" if isinstance(node.layer, Linear) else "conv"
    if source == "conv" and 1 < node.layer.groups == node.input_shapes[0][0]:
        source = "depthwise"
    return Element(pairs, offset, source=source)


def _row_scales(weights: Quantized, row: int) -> list[np.float32]:
    """The scales of a row's terms."""
    match weights:
        case QuantizedTtq():
            return [np.float32(weights.scale), np.float32(weights.negative_scale)]
        case QuantizedGroups():
            return list(weights.scale[row])
    return [np.broadcast_to(weights.scale.reshape(-1), (len(weights.levels),))[row]]


def _codes_of_row(weights: Quantized, row: int) -> np.ndarray:
    """The stored words of a row; of the others none is made."""
    if isinstance(weights, QuantizedGroups):
        return weights.codes[row]
    return weights.row_format(row).encode(weights.levels[row])


def _products_of_row(weights: Quantized, row: int) -> Callable[[int], tuple[Callable, int]]:
    """What multiplies by a weight of a row, by its in-channel, and the term that it belongs to."""
    if isinstance(weights, QuantizedGroups):
        size = weights.levels.shape[1] // weights.scale.shape[1]
        return cache(
            lambda channel: (_multiplier(weights.group_format(row, channel)), channel // size)
        )
    only = (_multiplier(weights.row_format(row)), 0)
    return lambda channel: only


def _image_before_rounding(
    program: Program, steps: dict[str, Step], tensor: str, image: int
) -> np.ndarray:
    """A rounded tensor of one image before it was rounded, float32 (channels, ...)."""
    node = program.network.nodes.get(tensor)
    if node is None or not isinstance(node.layer, MaxPool | Moves | Concat):
        return real(steps[tensor].unrounded)[image].astype(np.float32)
    sources = [_image_before_rounding(program, steps, name, image) for name in node.inputs]
    match node.layer:
        case Concat(axis=axis):
            return np.concatenate(sources, axis)
        case Flatten() | Reshape() | Transpose() | Slice() | Upsample():
            places = np.ndindex(node.output_shape)
            values = [sources[0][source_of(node, place)] for place in places]
            return np.array(values, np.float32).reshape(node.output_shape)
    made = np.empty(node.output_shape, np.float32)
    geometry = (node.layer.kernel, node.layer.stride, node.layer.padding)
    for at in np.ndindex(made.shape[1:]):
        rows, columns = zip(*places_under(sources[0].shape[1:], *geometry, at), strict=True)
        made[(slice(None), *at)] = sources[0][:, rows, columns].max(axis=1)
    return made


def _map_again(node: Node, image: np.ndarray, position: tuple[int, ...]) -> np.float32:
    """XNOR-Net's map at an output position, a float32 addition at a time."""
    magnitudes = np.abs(image.astype(np.float32))
    kernel, places = (1, 1), [()]
    if isinstance(node.layer, Conv):
        kernel = pair(node.layer.kernel)
        window = [(i, j) for i in range(kernel[0]) for j in range(kernel[1])]
        places = [_place(node, position, tap) for tap in window]
    total = np.float32(0)
    for place in places:
        inside = all(0 <= a < side for a, side in zip(place, image.shape[1:], strict=True))
        channels = np.float32(0)
        for magnitude in magnitudes[(slice(None), *place)] if inside else ():
            channels = channels + magnitude
        total = total + channels / np.float32(len(image))
    return total / np.float32(kernel[0] * kernel[1])


def _place(node: Node, position: tuple[int, ...], tap: tuple[int, int]) -> tuple[int, int]:
    """Where in its input a tap of a convolution reads for an output position."""
    layer = node.layer
    edges, stride, dilation = border(layer.padding), pair(layer.stride), pair(layer.dilation)
    return tuple(position[i] * stride[i] - edges[i] + tap[i] * dilation[i] for i in (0, 1))


def _operands(node: Node, levels: np.ndarray, row: int, at: tuple[int, ...]):
    """Pairs of a weight's index in its row and the level it meets, in the order of the products."""
    if isinstance(node.layer, Linear):
        yield from (((k,), level) for k, level in enumerate(levels[at[1:-1]].tolist()))
        return
    layer, position = node.layer, at[2:]
    _, channels, kernel_h, kernel_w = node.parameters["weight"]
    first = row // (layer.out_channels // layer.groups) * channels
    _, height, width = levels.shape
    taps = [(i, j) for i in range(kernel_h) for j in range(kernel_w)]
    places = [(*tap, *_place(node, position, tap)) for tap in taps]
    for c in range(channels):
        for i, j, y, z in places:
            inside = 0 <= y < height and 0 <= z < width
            yield (c, i, j), int(levels[first + c, y, z]) if inside else 0


@cache
def _multiplier(number: Format) -> Callable[[int, int], int]:
    """What multiplies a level by the weight that a code stands for, by the format's datapath."""
    codes = range(2**number.bits)
    if number.datapath == "shift_add":
        terms = [_terms(number, code) for code in codes]
        return lambda code, level: sum(sign * (level << shift) for sign, shift in terms[code])
    weights = [_weight(number, code) for code in codes]
    return lambda code, level: weights[code] * level


def _terms(number: Format, code: int) -> list[tuple[int, int]]:
    """The sign and the shift of each power of two that a code is the sum of."""
    sign, *shifts = (int(part) for part in number.shifts(np.array(code)))
    return [(sign, shift) for shift in shifts if shift >= 0]


def _weight(number: Format, code: int) -> int:
    """The level of a code, by what each format says of its words."""
    if isinstance(number, AffineGrid):
        return code - number.zero_point
    if isinstance(number, Quant):
        wraps = number.signed and code >> (number.bits - 1)
        return code - (2**number.bits if wraps else 0) - number.zero_point
    if isinstance(number, BinaryFormat | OddLevels) or number.bits == 1:
        return 2 * code - (2**number.bits - 1)
    negative = number.signed and code >> (number.bits - 1)
    return code - 2**number.bits if negative else code


class Register:
    """The accumulator, an addition at a time, with its partial register where it has one."""

    def __init__(self, accumulator: Accumulator):
        self._wide, self._sum = accumulator, 0
        self._partial, self._part, self._count = accumulator.partial, 0, 0

    def add(self, product: int) -> None:
        """Add one more product."""
        if self._partial is None:
            total = self._sum + product
            self._sum = total if self._wide.mode == "exact" else _hold(self._wide, total)
            return
        self._part = _hold(self._partial, self._part + product)
        self._count += 1
        if self._count == self._partial.products:
            self._pass_on()

    def total(self) -> int:
        """The sum of all products so far."""
        if self._count:
            self._pass_on()
        return self._sum

    def _pass_on(self) -> None:
        self._sum = _hold(self._wide, self._sum + self._part)
        self._part = self._count = 0


def _hold(register: Accumulator | Partial, total: int) -> int:
    """What a register keeps of ``total``."""
    half = 2 ** (register.bits - 1)
    if register.mode == "saturate":
        return min(max(total, -half), half - 1)
    if register.mode == "wrap":
        return (total + half) % (2 * half) - half
    return total
