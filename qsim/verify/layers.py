"""The independent check: a sample of integers of every layer, computed again by Python integers and
fractions from the stored codes, formats and scales, sharing no kernel with the program's run."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np

from qsim.formats import AffineGrid, Format, Quant, Quantized, QuantizedGroups, QuantizedTtq
from qsim.formats.binary import BinaryFormat
from qsim.formats.dorefa import OddLevels
from qsim.kernels.accumulator import Accumulator, Partial
from qsim.network.graph import INPUT, Node
from qsim.network.kinds import Moves
from qsim.network.layers import (
    Add,
    AveragePool,
    BatchNorm,
    Clip,
    Concat,
    Conv,
    Flatten,
    HardTanh,
    Linear,
    MatMul,
    MaxPool,
    Relu,
    Relu6,
    Side,
    Sigmoid,
    Softmax,
    Tanh,
    border,
    pair,
)
from qsim.network.moves import Reshape, Slice, Transpose, Upsample
from qsim.network.pointwise import Curve, Multiply, Scale
from qsim.network.recurrent import Gru, Lstm
from qsim.network.roundings import Identity, MultiThreshold, Truncate
from qsim.program import Program
from qsim.values import Element, HiddenStates, Levels, Step, Sums, Value, element, real
from qsim.verify import onnx_runtime, recurrent, roundings, tables, threshold_layers


def count_checked(
    program: Program, steps: dict[str, Step], per_layer: int, seed: int = 0
) -> tuple[int, list[str]]:
    """How many sampled values were computed again, and a sentence for each that differs.

    Of the input and of every layer up to ``per_layer`` values are checked before they are rounded,
    and as many roundings. A value that is not quantized is taken as it is.
    """
    rng = np.random.default_rng(seed)
    checked, wrong = 0, []
    for name in (INPUT, *program.network.nodes):
        step = steps[name]
        for at in _sample(rng, step.unrounded, per_layer):
            before = element(step.unrounded, at)
            if before is not None and name != INPUT:
                checked += 1
                expected = _again(program, program.network.nodes[name], steps, at)
                wrong += _compare(name, at, before, expected)
            if isinstance(step.unrounded, HiddenStates):
                checked += 1
                held = int(step.unrounded.cells[at])
                wrong += _compare_cell(program, program.network.nodes[name], steps, at, held)
            if isinstance(step.value, Levels) and program.rounds(name):
                checked += 1
                level = _rounded_again(program, name, before, step.unrounded, at)
                level = Element(((level, float(program.scales[name])),))
                wrong += _compare(name, at, element(step.value, at), level)
    return checked, wrong


def _sample(rng: np.random.Generator, value: Value, count: int) -> list[tuple[int, ...]]:
    shape = _shape(value)
    size = int(np.prod(shape))
    flat = rng.choice(size, size=min(count, size), replace=False)
    return [tuple(int(i) for i in at) for at in zip(*np.unravel_index(flat, shape), strict=True)]


def _shape(value: Value) -> tuple[int, ...]:
    match value:
        case Levels(levels):
            return levels.shape
        case Sums(terms):
            return terms[0][0].shape
    return value.shape


def _compare(name: str, at: tuple[int, ...], got: Element, expected: Element) -> list[str]:
    if got == expected:
        return []
    return [f"layer {name!r} at {at}: computed {got}, the check says {expected}"]


def _compare_cell(
    program: Program, node: Node, steps: dict[str, Step], at: tuple[int, ...], held: int
) -> list[str]:
    _, expected = _recurrent_again(program, node, steps, at)
    if held == expected:
        return []
    return [f"layer {node.name!r} at {at}: computed cell {held}, the check says {expected}"]


def _rounded_again(
    program: Program, tensor: str, before: Element | None, unrounded: Value, at: tuple[int, ...]
) -> int:
    """A level of a rounded tensor, from its value before."""
    number, scale = program.formats[tensor], float(program.scales[tensor])
    requantize = program.arithmetic.requantize
    if before is None:
        return roundings.level_of_real(float(unrounded[at]), number, scale, requantize)
    channels = unrounded.terms[0][0].shape[1] if isinstance(unrounded, Sums) else 0
    rounding = roundings.kernel_of(before, requantize, at[1], channels)
    if before.source == "linear" and unrounded.scales == 1 and rounding == "tflite-builtin":
        [(total, by)] = before.terms
        before = replace(before, terms=((total, float(np.float32(by))),))
    return roundings.level_of_sums(before, number, scale, rounding)


def _again(program: Program, node: Node, steps: dict[str, Step], at: tuple[int, ...]) -> Element:
    """One value of a layer before rounding, from the values it read."""
    layer, inputs = node.layer, [steps[name].value for name in node.inputs]
    x = inputs[0]
    match layer:
        case Conv() | Linear():
            return _product_again(program, node, steps, at)
        case Relu():
            before = element(x, at)
            held = isinstance(x, Sums) and not (x.uniform and x.offset is None and not x.is_bounded)
            if len(before.terms) > 1 or held:
                return _clipped(before, 0.0, np.inf)
            [(total, scale)] = before.terms
            return replace(before, terms=((max(total, 0), scale),))
        case Clip() | Relu6() | HardTanh():
            return _clipped(element(x, at), *layer.bounds)
        case Sigmoid() | Tanh() | Softmax() | Curve():
            return _tabled_again(program, node, x, at)
        case BatchNorm():
            return _normed_again(program, node, x, at)
        case Multiply():
            return _multiplied_again(inputs, at)
        case Scale(factor=factor):
            [(level, scale)] = element(x, at).terms
            return Element(((level, float(np.float32(scale) * np.float32(factor))),))
        case Identity():
            return element(x, at)
        case MultiThreshold():
            thresholds = program.real[f"{node.name}.thresholds"]
            row = thresholds[0 if layer.shared else at[layer.axis(at[1:])]].tolist()
            return threshold_layers.counted(layer, element(x, at), row)
        case Truncate():
            return threshold_layers.truncated(layer, element(x, at))
        case MatMul():
            return _matmul_again(program, node, inputs, at)
        case Lstm() | Gru():
            level, _ = _recurrent_again(program, node, steps, at)
            return Element(((level, 2.0**-layer.hidden_fraction_bits),))
        case Concat():
            return _part_of(inputs, at, layer.axis + 1)
        case MaxPool():
            values = _window(x, layer.kernel, layer.stride, layer.padding, at)
            return max(values, key=lambda value: value.terms[0][0])
        case AveragePool():
            return _average_again(program, node, x, at)
        case Flatten() | Reshape() | Transpose() | Slice() | Upsample():
            return element(x, (at[0], *_source_of(node, at[1:])))
        case Add():
            return _sum_again(program, node, [element(value, at) for value in inputs])
    raise TypeError(f"no check of a {type(layer).__name__} layer")


def _average_again(program: Program, node: Node, x: Levels, at: tuple[int, ...]) -> Element:
    layer = node.layer
    window = layer.window(node.input_shapes[0])
    values = _window(x, window, layer.stride, layer.padding, at)
    area = window[0] * window[1] if layer.count_padding else len(values)
    total, scale = sum(value.terms[0][0] for value in values), float(x.scale)
    rounding = program.arithmetic.requantizer.mean
    if rounding == "float32":
        if window == x.levels.shape[2:] and not layer.is_padded:
            return Element(((total, scale),), source="global_average", divisor=area)
        levels = _levels_under(x, window, pair(layer.stride or window), border(layer.padding), at)
        terms = tuple((level, scale) for level in levels)
        return Element(terms, source="average", divisor=area)
    if rounding is not None:
        return Element(((roundings.mean(total, area, rounding), scale),))
    if layer.is_padded and not layer.count_padding:
        return Element(((total, float(np.float64(scale) / area)),))
    return Element(((total, scale),), divisor=area)


def _source_of(node: Node, place: tuple[int, ...]) -> tuple[int, ...]:
    """Where in what it reads a layer that moves values finds the value of a place."""
    match node.layer:
        case Transpose(order=order):
            return tuple(place[order.index(axis)] for axis in range(len(order)))
        case Slice(axis=axis, start=start, step=step):
            return (*place[:axis], start + place[axis] * step, *place[axis + 1 :])
        case Upsample(factor=factor):
            height, width = pair(factor)
            return (place[0], place[1] // height, place[2] // width)
    flat = int(np.ravel_multi_index(place, node.output_shape))
    return tuple(int(i) for i in np.unravel_index(flat, node.input_shapes[0]))


def _normed_again(program: Program, node: Node, x: Levels, at: tuple[int, ...]) -> Element:
    names = ("weight", "bias", "running_mean", "running_var")
    gamma, beta, mean, variance = (
        np.float64(program.real[f"{node.name}.{n}"][at[1]]) for n in names
    )
    factor = gamma / np.sqrt(variance + node.layer.epsilon)
    offset, factor = float(np.float32(beta + (0.0 - mean) * factor)), np.float32(factor)
    level, magnitude = int(x.levels[at]), abs(factor) if factor else np.float32(1)
    scale = float(np.float64(x.scale) * np.float64(magnitude))
    total = level * int(np.sign(factor))
    if program.arithmetic.requantizer.real_bias != "none":
        return Element(((total, scale),), offset)
    scale /= 256
    return Element(((256 * total + round(offset / scale), scale),))


def _multiplied_again(inputs: list[Levels], at: tuple[int, ...]) -> Element:
    product, scale = 1, 1.0
    for x in inputs:
        place = tuple(
            0 if side == 1 else i for i, side in zip(at[1:], x.levels.shape[1:], strict=True)
        )
        product, scale = product * int(x.levels[(at[0], *place)]), scale * float(x.scale)
    return Element(((product, scale),), source="multiply")


def _sum_again(program: Program, node: Node, elements: list[Element]) -> Element:
    offset = np.float32(0)
    for each in elements:
        offset = offset + np.float32(each.offset)
    terms = tuple((total, scale / each.divisor) for each in elements for total, scale in each.terms)
    zeros = ()
    if all(name in program.scales for name in node.inputs):
        zeros = onnx_runtime.zero_points([program.formats[name] for name in node.inputs])
    return Element(terms, float(offset), source="add", zero_points=zeros)


def _clipped(before: Element, low: float, high: float) -> Element:
    """A value within ``low .. high`` after its own bounds: these are clipped, as any value is."""
    ends = (min(max(bound, low), high) for bound in (before.low, before.high))
    return replace(before, **dict(zip(("low", "high"), ends, strict=True)))


def _tabled_again(program: Program, node: Node, x: Levels, at: tuple[int, ...]) -> Element:
    layer, number = node.layer, program.formats[node.inputs[0]]
    levels = (number.min_level, number.max_level, float(x.scale))
    if program.has_runtime_curve(node):
        if isinstance(layer, Softmax):
            row = [int(level) for level in x.levels[at[:-1]]]
            return onnx_runtime.softmax_value(row, at[-1], float(x.scale))
        return onnx_runtime.curve_value(layer, int(x.levels[at]), float(x.scale))
    if isinstance(layer, Softmax):
        row = [int(level) for level in x.levels[at[:-1]]]
        level = tables.softmax_value(layer, row, at[-1], *levels)
        return Element(((level, 2.0**-layer.bits),))
    level = tables.table_value(layer, int(x.levels[at]), *levels)
    curved = isinstance(layer, Curve)
    scale = float(x.scale) / 2**layer.extra_bits if curved else 2.0**-layer.fraction_bits
    return Element(((level, scale),))


def _matmul_again(program: Program, node: Node, inputs, at: tuple[int, ...]) -> Element:
    x, y = inputs
    *before, row, column = at
    held = y.levels[tuple(before)]
    others = held[column] if node.layer.transposed else held[:, column]
    register = Register(program.arithmetic.accumulator)
    for a, b in zip(x.levels[(*before, row)], others, strict=True):
        register.add(int(a) * int(b))
    scale = float(np.float64(x.scale) * np.float64(y.scale))
    return Element(((register.total(), scale),), source="matmul")


def _recurrent_again(
    program: Program, node: Node, steps: dict[str, Step], at: tuple[int, ...]
) -> tuple[int, int]:
    """The hidden level of a unit after a step, and of an LSTM the cell level (else 0): from what
    the step read, and the states that are stored of the step before."""
    (image, step, unit), layer = at, node.layer
    products = program.recurrences[node.name].products
    made = steps[node.name].unrounded
    hidden = np.zeros(layer.hidden, np.int64)
    cell = 0
    if step > 0:
        hidden = made.terms[0][0][image, step - 1]
        cell = int(made.cells[image, step - 1, unit]) if isinstance(layer, Lstm) else 0
    read = (steps[node.inputs[0]].value.levels[image, step], hidden)
    of_x, of_h = (
        [_gate_again(products, layer, product, levels, gate * layer.hidden + unit)
         for gate in range(layer.gates)]
        for product, levels in zip(node.step_products, read, strict=True)
    )  # fmt: skip
    if isinstance(layer, Lstm):
        return recurrent.lstm_unit(layer, of_x, of_h, cell)
    return recurrent.gru_unit(layer, of_x, of_h, int(hidden[unit])), 0


def _gate_again(
    products: Program, layer: Lstm | Gru, product: Node, levels: np.ndarray, row: int
) -> int:
    """A row of a product of a step's ``levels``, in the format of the gates."""
    one_step = Levels(levels[None], products.scales[product.inputs[0]])
    read = {product.inputs[0]: Step(one_step, one_step)}
    [(total, scale)] = _product_again(products, product, read, (0, row)).terms
    return recurrent.gate_part(layer, total, scale)


def _part_of(inputs: list[Levels], at: tuple[int, ...], axis: int) -> Element:
    """The value of a concatenation along an axis, from the tensor that it is of."""
    place = at[axis]
    for x in inputs:
        if place < x.levels.shape[axis]:
            break
        place -= x.levels.shape[axis]
    return element(x, (*at[:axis], place, *at[axis + 1 :]))


def _product_again(
    program: Program, node: Node, steps: dict[str, Step], at: tuple[int, ...]
) -> Element:
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
            values = [sources[0][_source_of(node, place)] for place in places]
            return np.array(values, np.float32).reshape(node.output_shape)
    made = np.empty(node.output_shape, np.float32)
    geometry = (node.layer.kernel, node.layer.stride, node.layer.padding)
    for at in np.ndindex(made.shape[1:]):
        rows, columns = zip(*_places(sources[0].shape[1:], *geometry, at), strict=True)
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


def _window(
    x: Levels | Sums, kernel: Side, stride: Side | None, padding, at: tuple[int, ...]
) -> list[Element]:
    """Every value under a window, without those in the padding."""
    image, channel, *position = at
    places = _places(_shape(x)[2:], kernel, stride, padding, position)
    return [element(x, (image, channel, *place)) for place in places]


def _levels_under(x: Levels, kernel, stride, edges, at: tuple[int, ...]) -> list[int]:
    """Every level under a window, row by row, 0 in the padding."""
    image, channel, *position = at
    first = [position[i] * stride[i] - edges[i] for i in (0, 1)]
    levels = []
    for y in range(first[0], first[0] + kernel[0]):
        for z in range(first[1], first[1] + kernel[1]):
            inside = 0 <= y < x.levels.shape[2] and 0 <= z < x.levels.shape[3]
            levels.append(int(x.levels[image, channel, y, z]) if inside else 0)
    return levels


def _places(sides, kernel: Side, stride: Side | None, padding, position) -> list[tuple[int, int]]:
    """The places under a pool's window, without those in the padding."""
    top, left, _, _ = border(padding)
    (height, width), (step_h, step_w) = pair(kernel), pair(stride or kernel)
    first_row, first_column = position[0] * step_h - top, position[1] * step_w - left
    rows, columns = range(first_row, first_row + height), range(first_column, first_column + width)
    return [(y, z) for y in rows for z in columns if 0 <= y < sides[0] and 0 <= z < sides[1]]
