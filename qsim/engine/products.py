"""The layers whose sums a compiled program forms, of bytes and weights: convolutions and linear
layers, averages, batch norms of their own. Each is a tensor that is not rounded yet."""

from dataclasses import replace
from math import prod

import numpy as np

from qsim.datapaths import codes_to_count
from qsim.engine.steps import (
    INT32_MAX,
    Buffer,
    Codes,
    Pending,
    Product,
    Read,
    Term,
    Uncompilable,
    without_integers,
)
from qsim.errors import QsimError
from qsim.execute import normed
from qsim.formats import Format
from qsim.kernels.pool import divide_half_away, divide_half_even
from qsim.kernels.simd.bit_panels import whole_channels
from qsim.kernels.simd.bit_products import BitProduct
from qsim.kernels.simd.byte_levels import byte_levels
from qsim.kernels.simd.host import BackendName
from qsim.kernels.simd.windows import Windows
from qsim.network.graph import Node
from qsim.network.layers import Conv, border, pair
from qsim.network.pointwise import Scale
from qsim.program import Program
from qsim.values import Levels, Sums

DIVIDE = {"half_even": divide_half_even, "half_away": divide_half_away}
MOST_LEVELS = 256  # that bytes stand for


def levels_of(program: Program, name: str, buffer: Buffer) -> Pending:
    """The levels of a rounded tensor as sums of one term."""
    number, scale = _format_and_scale(program, name)
    scale = np.full(buffer.shape[0], scale, np.float64)
    term = Term(Read(buffer, number.max_magnitude), scale)
    return Pending((term,), without_integers((scale,), None), buffer.shape)


def _format_and_scale(program: Program, name: str) -> tuple[Format, np.ndarray]:
    """Those of a tensor of levels. The network's output is not rounded: where it is the levels that
    another tensor was rounded to, they are that one's."""
    if name in program.formats:
        return program.formats[name], program.scales[name]
    node = program.network.nodes[name]
    number, scale = _format_and_scale(program, node.inputs[0])
    if isinstance(node.layer, Scale):
        scale = scale * np.float32(node.layer.factor)
    return number, scale


def product_of(
    program: Program, node: Node, source: Buffer | Pending, backend: BackendName | None
) -> Pending:
    """The sums of a convolution or a linear layer.

    Raises Uncompilable where they are not those of one product in a register that holds them.
    """
    _check_product(program, node, source)
    [term] = program.terms[node.name]
    windows, levels = _windowed(node, source, term.levels.astype(np.int64))
    source.widen(windows.padding)
    if node.name in program.factors:
        sign = np.sign(program.factors[node.name]).astype(np.int64)
        levels = levels * sign.reshape(-1, 1, 1, 1)
    groups = node.layer.groups if isinstance(node.layer, Conv) else 1
    passes, bias = passes_of(levels), program.biases[node.name]
    largest, wrap = _register(program, node, levels, len(passes))
    codes = None
    if groups == 1 and not wrap:
        codes = _codes(program, node, source, levels, backend)
    shape = image_shape(node.output_shape)
    product = Product(source, windows, passes, bias, groups, shape, largest, wrap, codes)
    [scale] = program.accumulator_scales(node)
    scale = np.broadcast_to(scale, (shape[0],))
    count = program.weights[node.name].scale.size
    sums = without_integers((scale,), program.offset(node), source=_kind(node), scales=count)
    return Pending((Term(product, scale),), sums, shape)


def average_of(program: Program, node: Node, source: Buffer | Pending) -> Pending:
    """The sums under the windows of an average pool, their divisor known, or the mean that they
    become first. Raises Uncompilable where there is no such sum."""
    layer, shape = node.layer, node.input_shapes[0]
    divisors, mean = layer.divisors(shape), program.arithmetic.requantizer.mean
    window = layer.window(shape)
    whole = window == tuple(shape[1:]) and not layer.is_padded
    if not isinstance(source, Buffer):
        raise Uncompilable("it reads a tensor that is not rounded")
    if divisors.ndim:
        raise Uncompilable("its windows are divided by different numbers")
    if mean == "float32" and not whole:
        raise Uncompilable("the values under its windows are added in float32")
    stride = pair(layer.stride or window)
    windows = Windows(source.shape[1:], window, stride, border(layer.padding))
    source.widen(windows.padding)
    ones, bias = np.ones((shape[0], 1, *window), np.int64), np.zeros(shape[0], np.int64)
    number, scale = program.formats[node.inputs[0]], program.scales[node.inputs[0]]
    scale = np.full(shape[0], scale, np.float64)
    out, largest = image_shape(node.output_shape), prod(window) * number.max_magnitude
    product = Product(source, windows, passes_of(ones), bias, shape[0], out, largest)
    kind = "global_average" if mean == "float32" else ""
    sums = without_integers((scale,), None, source=kind)
    pending = Pending((Term(product, scale),), sums, out)
    if mean in DIVIDE:
        return replace(pending, mean=lambda total: DIVIDE[mean](total, divisors))
    return replace(pending, sums=replace(sums, divisor=int(divisors)))


def normed_of(program: Program, node: Node, source: Buffer | Pending) -> Pending:
    """Levels times 1 or -1, whose scale is the factor's size; or, where the arithmetic has integer
    offsets alone, times as much as makes room for these. Raises Uncompilable on what is not
    rounded, or where the batch norm cannot be computed."""
    if not isinstance(source, Buffer):
        raise Uncompilable("it reads a tensor that is not rounded")
    name, channels = node.inputs[0], source.shape[0]
    if channels != node.input_shapes[0][0]:
        raise Uncompilable("it reads an image that was flattened")

    def of(level: int) -> Sums:
        levels = np.full((1, channels, 1, 1), level, np.int32)
        try:
            return normed(program, node, Levels(levels, program.scales[name]))
        except QsimError as error:
            raise Uncompilable(str(error)) from None

    sums = of(0)
    [(bias, scale)], [(of_one, _)] = sums.terms, of(1).terms
    bias, weights = (v.reshape(channels).astype(np.int64) for v in (bias, of_one - bias))
    number = program.formats[name]
    largest = int((np.abs(weights) * number.max_magnitude + np.abs(bias)).max())
    if largest > INT32_MAX:
        raise Uncompilable("its sums may have more than 32 bits")
    passes = passes_of(weights.reshape(channels, 1, 1, 1))
    windows = Windows(source.shape[1:])
    product = Product(source, windows, passes, bias, channels, source.shape, largest)
    term = Term(product, scale)
    return Pending((term,), without_integers((scale,), sums.offset), source.shape)


def image_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """A tensor's shape as that of an image: features are its channels. Raises Uncompilable on a
    sequence."""
    if len(shape) == 3:
        return tuple(shape)
    if len(shape) == 1:
        return (shape[0], 1, 1)
    raise Uncompilable("it is a sequence")


def passes_of(levels: np.ndarray) -> tuple[tuple[np.ndarray, ...], ...]:
    """Weights as signed bytes, see ``byte_levels``. Raises Uncompilable where they are no such."""
    try:
        return byte_levels(levels, max_x=MOST_LEVELS - 1).passes
    except OverflowError as error:
        raise Uncompilable(str(error)) from None


def _check_product(program: Program, node: Node, source: Buffer | Pending) -> None:
    accumulator = program.arithmetic.accumulator
    if not isinstance(source, Buffer):
        raise Uncompilable("it reads a tensor that is not rounded")
    if program.maps(node):
        raise Uncompilable("its sums are scaled by a map of its input")
    if accumulator.mode == "saturate" or accumulator.partial is not None:
        raise Uncompilable("its accumulator saturates or has a partial register")
    terms = program.terms[node.name]
    if len(terms) != 1 or terms[0].inputs is not None:
        raise Uncompilable("its weights are several integer products")
    if not isinstance(node.layer, Conv) and len(node.input_shapes[0]) > 1:
        raise Uncompilable("it reads several tokens")


def _windowed(node: Node, source: Buffer, levels: np.ndarray) -> tuple[Windows, np.ndarray]:
    """The windows of a layer, and its weights (rows, channels, kernel_h, kernel_w). A linear layer
    has one window: all of the image, which may have been flattened."""
    image, layer = source.shape[1:], node.layer
    if not isinstance(layer, Conv):
        return Windows(image, kernel=image), levels.reshape(len(levels), *source.shape)
    sides = pair(layer.kernel), pair(layer.stride), border(layer.padding), pair(layer.dilation)
    return Windows(image, *sides), levels


def _register(program: Program, node: Node, levels: np.ndarray, passes: int) -> tuple[int, int]:
    """The largest magnitude of a layer's sums, and the bits in which they may wrap around, or 0."""
    accumulator = program.arithmetic.accumulator
    number, bias = program.formats[node.inputs[0]], program.biases[node.name]
    largest = _largest(levels, number, bias)
    wrap = accumulator.bits if accumulator.mode == "wrap" and largest > accumulator.high else 0
    if wrap:
        largest = min(largest, -accumulator.low)
        if node.name in program.factors:
            raise Uncompilable("its sums wrap around before its batch norm turns them around")
    if largest > INT32_MAX + (wrap == 32) and (wrap or passes == 1):
        raise Uncompilable("its sums may have more than 32 bits")
    return largest, wrap


def _largest(levels: np.ndarray, number: Format, bias: np.ndarray) -> int:
    """The largest magnitude of a sum: each weight meets the level that is worst for it."""
    rows = levels.reshape(len(levels), -1)
    above, below = np.maximum(rows, 0).sum(axis=1), np.minimum(rows, 0).sum(axis=1)
    low, high = min(number.min_level, 0), max(number.max_level, 0)
    highest = above * high + below * low + bias
    lowest = above * low + below * high + bias
    return int(max(np.abs(highest).max(initial=0), np.abs(lowest).max(initial=0)))


def _codes(
    program: Program, node: Node, source: Buffer, levels: np.ndarray, backend: BackendName | None
) -> Codes | None:
    """The codes of weights and inputs where their bits are to be counted; else None."""
    if source.code is None:
        return None
    channels = source.shape[0]
    weights, x = program.weights[node.name].format, program.formats[node.inputs[0]]
    codes = codes_to_count(
        levels, weights, x, levels.shape == (len(levels), *source.shape), backend,
        filled=whole_channels(channels) / channels,
    )  # fmt: skip
    if codes is None or not BitProduct(levels, *codes).is_countable:
        return None
    return codes


def _kind(node: Node) -> str:
    """The kind of layer, as ``Sums`` names it."""
    if not isinstance(node.layer, Conv):
        return "linear"
    return "depthwise" if node.layer.groups == node.input_shapes[0][0] > 1 else "conv"
