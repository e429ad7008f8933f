"""Sums of products computed again one at a time, from the stored words of the weights."""

from dataclasses import dataclass
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
    a = x.levels[(*before, row)]
    kind = _exact_kind(a, _largest(others))
    register.add_all(a.astype(kind) * others.astype(kind))
    scale = float(np.float64(x.scale) * np.float64(y.scale))
    return Element(((register.total(), scale),), source="matmul")


def layer_product(
    program: Program, node: Node, steps: dict[str, Step], at: tuple[int, ...]
) -> Element:
    """One row of a layer with weights, its bias included."""
    image, row = at[0], at[-1] if isinstance(node.layer, Linear) else at[1]
    read = steps[node.inputs[0]]
    weights, accumulator = program.weights[node.name], program.arithmetic.accumulator
    factor = program.factors[node.name][row] if node.name in program.factors else np.float32(1)
    in_scale, magnitude = np.float64(program.scales[node.inputs[0]]), np.abs(factor)
    scales = [
        in_scale * np.float64(scale * magnitude if magnitude else scale)
        for scale in _row_scales(weights, row)
    ]
    registers = [Register(accumulator) for _ in scales]
    levels = _levels_met(node, read.value.levels[image], row, at)
    for register, products in zip(registers, _products(weights, row, levels), strict=True):
        register.add_all(products)
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
    scale = weights.scale.reshape(-1)
    return [scale[row if scale.size > 1 else 0]]


def _codes_of_row(weights: Quantized, row: int) -> np.ndarray:
    """The stored words of a row; of the others none is made."""
    if isinstance(weights, QuantizedGroups):
        return weights.codes[row]
    return weights.row_format(row).encode(weights.levels[row])


def _products(weights: Quantized, row: int, levels: np.ndarray) -> list[np.ndarray]:
    """The products of a row's weights by the levels that they meet, in order, of each term."""
    codes = _codes_of_row(weights, row)
    if isinstance(weights, QuantizedGroups):
        size = weights.levels.shape[1] // weights.scale.shape[1]
        parts = [slice(start, start + size) for start in range(0, len(codes), size)]
        numbers = [weights.group_format(row, part.start) for part in parts]
        return [
            _multiplied(number, codes[part], levels[part])
            for number, part in zip(numbers, parts, strict=True)
        ]
    products = _multiplied(weights.row_format(row), codes, levels)
    if isinstance(weights, QuantizedTtq):  # each term meets every weight, not its own as 0
        is_negative = codes.ravel() >> 1 == 1
        return [np.where(is_negative, 0, products), np.where(is_negative, products, 0)]
    return [products]


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
        rows, columns = (_places_read(node.layer, position, axis).tolist() for axis in (0, 1))
        places = [(y, z) for y in rows for z in columns]
    total = np.float32(0)
    for place in places:
        inside = all(0 <= a < side for a, side in zip(place, image.shape[1:], strict=True))
        channels = np.float32(0)
        for magnitude in magnitudes[(slice(None), *place)] if inside else ():
            channels = channels + magnitude
        total = total + channels / np.float32(len(image))
    return total / np.float32(kernel[0] * kernel[1])


def _places_read(layer: Conv, position: tuple[int, ...], axis: int) -> np.ndarray:
    """Where along an axis of its input the taps of a convolution read for an output position."""
    edge, stride = border(layer.padding)[axis], pair(layer.stride)[axis]
    taps = np.arange(pair(layer.kernel)[axis]) * pair(layer.dilation)[axis]
    return position[axis] * stride - edge + taps


def _levels_met(node: Node, levels: np.ndarray, row: int, at: tuple[int, ...]) -> np.ndarray:
    """The level that each weight of a row meets, in the order of the products, 0 in the padding."""
    if isinstance(node.layer, Linear):
        return levels[at[1:-1]]
    layer, position = node.layer, at[2:]
    channels = node.parameters["weight"][1]
    first = row // (layer.out_channels // layer.groups) * channels
    _, height, width = levels.shape
    y, z = (_places_read(layer, position, axis) for axis in (0, 1))
    y = y[:, None]
    inside = (y >= 0) & (y < height) & (z >= 0) & (z < width)
    window = levels[first : first + channels, y % height, z % width]
    return window if inside.all() else np.where(inside, window, 0)


def _multiplied(number: Format, codes: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Each level times the weight that a code stands for, by the format's datapath, in order."""
    codes, weights = codes.ravel(), _weights(number)
    kind = _exact_kind(levels, weights.largest)
    levels = levels.ravel().astype(kind)
    if weights.shifts is None:
        return weights.levels[codes].astype(kind) * levels
    sign, *shifts = (part[codes] for part in weights.shifts)
    terms = [np.where(shift >= 0, levels << shift.clip(0).astype(kind), 0) for shift in shifts]
    return sign.astype(kind) * sum(terms)


def _exact_kind(levels: np.ndarray, largest: int) -> type:
    """What holds sums of products of all ``levels`` by no more than ``largest``: int64, or Python's
    integers, which have no end."""
    return np.int64 if _largest(levels) * largest * levels.size < 2**62 else object


def _largest(levels: np.ndarray) -> int:
    return max(int(levels.max(initial=0)), -int(levels.min(initial=0)))


@dataclass(frozen=True)
class _Weights:
    """What the codes of a format stand for: levels, or sign and shifts of powers of two by code;
    and a magnitude that none exceeds."""

    levels: np.ndarray | None
    shifts: tuple[np.ndarray, ...] | None
    largest: int


@cache
def _weights(number: Format) -> _Weights:
    codes = range(2**number.bits)
    if number.datapath == "shift_add":
        shifts = number.shifts(np.array(codes))
        shifts = tuple(part.astype(np.int64) for part in shifts)
        return _Weights(None, shifts, sum(2 ** max(int(each.max()), 0) for each in shifts[1:]))
    levels = np.array([_weight(number, code) for code in codes], np.int64)
    return _Weights(levels, None, _largest(levels))


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

    def add_all(self, products: np.ndarray) -> None:
        """Add products, integers that int64 or Python's can sum, one after another."""
        if self._partial is None and self._wide.mode != "saturate":  # of any order the same
            self._sum = _hold(self._wide, self._sum + int(products.sum()))
            return
        for product in products.tolist():
            self.add(product)

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
