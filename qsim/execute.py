"""Running an integer program: images in, integers out, every tensor by name."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from qsim.errors import QsimError
from qsim.formats import Float
from qsim.formats.base import finite
from qsim.kernels.average_float import windows
from qsim.kernels.layers import conv2d, linear
from qsim.kernels.matmul import matmul
from qsim.kernels.pool import divide_half_away, divide_half_even, max_pool, sum_pool
from qsim.kernels.softmax import softmax
from qsim.network.fold import normalisation
from qsim.network.graph import INPUT, Node
from qsim.network.kinds import Moves
from qsim.network.layers import (
    Add,
    BatchNorm,
    Clip,
    Concat,
    Conv,
    Flatten,
    HardTanh,
    Linear,
    MatMul,
    Relu,
    Relu6,
    Sigmoid,
    Softmax,
    Tanh,
    border,
    pair,
)
from qsim.network.moves import Reshape, Slice, Transpose, Upsample
from qsim.network.pointwise import Curve, Multiply, Scale
from qsim.network.pools import AveragePool, MaxPool
from qsim.network.recurrent import Gru, Lstm
from qsim.network.reference import float_layer, moved
from qsim.network.roundings import Identity, MultiThreshold, Truncate
from qsim.parameters import FARTHEST_BIAS
from qsim.program import Program
from qsim.recurrent_layers import run_cell
from qsim.rounding_layers import count_thresholds, truncate
from qsim.runtime_curves import runtime_curve
from qsim.stand_in import map_of
from qsim.table_layers import table_of
from qsim.values import HiddenStates, Levels, Step, Sums, Value, by_channel, real

NORM_BITS = 8  # by which the levels that a batch norm of its own adds to are finer than its input's


def execute(
    program: Program, images: np.ndarray, on_layer: Callable[[str], None] = lambda name: None
) -> dict[str, Step]:
    """Every tensor of the program for real ``images`` (images, *input_shape), by name.

    on_layer   called with each layer's name when it is done

    Raises QsimError when the images are of another shape, not finite, negative while the input is
    unsigned, or when a tensor cannot be rounded.
    """
    steps = {INPUT: _read(program, images)}
    for node in program.network.nodes.values():
        value = _compute(program, node, steps)
        made = rounded(program, node.name, value) if program.rounds(node.name) else value
        steps[node.name] = Step(value, made)
        on_layer(node.name)
    return steps


def rounded_layer(program: Program, node: Node, inputs: list[Levels]) -> Levels:
    """The levels that a layer makes of rounded tensors.

    Raises QsimError when they cannot be rounded.
    """
    steps = {name: Step(x, x) for name, x in zip(node.inputs, inputs, strict=True)}
    return rounded(program, node.name, _compute(program, node, steps))


def checked_images(program: Program, images: np.ndarray) -> np.ndarray:
    """The images as float32.

    Raises QsimError where they are of another shape, not finite, or negative while the input is
    unsigned.
    """
    number = program.formats[INPUT]
    with np.errstate(over="ignore"):
        images = np.ascontiguousarray(images, np.float32)
    if images.shape[1:] != tuple(program.network.input_shape) or not np.isfinite(images).all():
        raise QsimError(
            f"network {program.network.name} reads finite images of"
            f" {tuple(program.network.input_shape)}, not {images.shape[1:]} or infinite ones"
        )
    refuses = not isinstance(number, Float) and number.refuses_negative
    if refuses and images.min(initial=0) < 0:
        readers = ", ".join(node.name for node in program.network.readers[INPUT])
        raise QsimError(
            f"the images have negative values but the input of network {program.network.name} is"
            f" read as unsigned; under precision.layers give each layer that reads it ({readers})"
            f" activations: {{fixed: {{bits: {max(number.bits, 2)}}}}}"
        )
    return images


def _read(program: Program, images: np.ndarray) -> Step:
    images, number = checked_images(program, images), program.formats[INPUT]
    if isinstance(number, Float):
        return Step(images, number.quantize(images))
    scale = program.scales[INPUT]
    requantizer = program.arithmetic.requantizer
    return Step(images, Levels(requantizer.levels_of_real(images, number, scale), scale))


def _compute(program: Program, node: Node, steps: dict[str, Step]) -> Value:
    """The value of a layer before it is rounded."""
    inputs = [steps[name].value for name in node.inputs]
    x = inputs[0]
    if program.in_float(node) or any(isinstance(value, np.ndarray) for value in inputs):
        weights = program.real
        if program.weights.get(node.name) is not None:
            weights = weights | {f"{node.name}.weight": program.held(node.name)}
        return float_layer(node, weights, [real(v).astype(np.float32) for v in inputs])
    match node.layer:
        case Conv() | Linear():
            return _product(program, node, steps)
        case Relu():
            return _relu(x)
        case Clip() | Relu6() | HardTanh():
            return sums_of(x).clipped(*node.layer.bounds)
        case Sigmoid() | Tanh() | Softmax() | Curve():
            return _tabled(program, node, x)
        case BatchNorm():
            return normed(program, node, x)
        case Multiply():
            return _multiplied(*inputs)
        case Scale(factor=factor):
            return Levels(x.levels, x.scale * np.float32(factor))
        case Identity():
            return x
        case MultiThreshold() | Truncate():
            return _rounding_layer(program, node, sums_of(x))
        case MatMul(transposed=transposed):
            return _activation_product(program, inputs, transposed)
        case Lstm() | Gru():
            return _recurrent(program, node, x)
        case Add():
            added = _added([sums_of(value) for value in inputs])
            return replace(added, zero_points=program.zero_points(node))
        case Concat():
            return _joined(inputs, node.layer.axis + 1)
        case MaxPool(kernel=kernel, stride=stride, padding=padding):
            geometry = {"stride": pair(stride or kernel), "padding": border(padding)}
            return _on_levels(x, lambda v: max_pool(v, pair(kernel), **geometry))
        case AveragePool():
            return _average(program, node, x)
        case Flatten() if isinstance(x, Sums):
            return _flatten(x)
        case Flatten() | Reshape() | Transpose() | Slice() | Upsample():
            return Levels(moved(x.levels, node), x.scale)
    raise TypeError(f"no integer execution for a {type(node.layer).__name__} layer")


def _product(program: Program, node: Node, steps: dict[str, Step]) -> Sums:
    """The sums of a layer's terms, an integer bias in the first; or with a real one as offset."""
    scales, bias = program.accumulator_scales(node), program.biases[node.name]
    levels = steps[node.inputs[0]].value.levels
    sums = [
        _signed_sums(program, node, levels, index, np.zeros_like(bias) if index else bias)
        for index in range(len(scales))
    ]
    if program.maps(node):
        by_place = map_of(node, before_rounding(program, steps, node.inputs[0]))
        rows = (by_channel(scale.astype(np.float32), sums[0]) for scale in scales)
        scales = [(by_row * by_place).astype(np.float64) for by_row in rows]
    terms = tuple(zip(sums, scales, strict=True))
    count = program.weights[node.name].scale.size
    axis = sums[0].ndim - 1 if isinstance(node.layer, Linear) else 1
    return Sums(terms, program.offset(node), source=_source(node), scales=count, axis=axis)


def _source(node: Node) -> str:
    """The kind of product layer, as ``Sums`` names it."""
    if isinstance(node.layer, Linear):
        return "linear"
    groups, channels = node.layer.groups, node.input_shapes[0][0]
    return "depthwise" if groups == channels > 1 else "conv"


def _signed_sums(program: Program, node: Node, levels: np.ndarray, index: int, bias) -> np.ndarray:
    """The integers of one term of a layer, int64 (images, rows, ...). A register holds them before
    a batch norm of negative weight turns them around; one of weight 0 leaves the bias alone."""
    if node.name not in program.factors:
        return _term_sums(program, node, levels, index, bias)
    sign = np.sign(program.factors[node.name]).astype(np.int64)
    sums = _term_sums(program, node, levels, index, bias * sign)
    axis = sums.ndim - 1 if isinstance(node.layer, Linear) else 1
    biases = by_channel(np.where(sign == 0, bias, 0), sums, axis)
    return by_channel(sign, sums, axis) * sums + biases


def _term_sums(program: Program, node: Node, levels: np.ndarray, index: int, bias) -> np.ndarray:
    """The integers of one term of a layer, int64 (images, rows, ...)."""
    term, weights = program.terms[node.name][index], program.datapaths[node.name][index]
    accumulator = program.arithmetic.accumulator
    if isinstance(node.layer, Linear):
        rows = levels.reshape(-1, levels.shape[-1])
        if term.inputs is not None:
            rows = rows[:, slice(*term.inputs)]
        sums = linear(rows, weights, bias, accumulator=accumulator)
        return sums.reshape(*levels.shape[:-1], -1)
    if term.inputs is not None:
        levels = levels[:, slice(*term.inputs)]
    return conv2d(
        levels,
        weights,
        bias,
        stride=pair(node.layer.stride),
        padding=border(node.layer.padding),
        dilation=pair(node.layer.dilation),
        groups=node.layer.groups,
        accumulator=accumulator,
    )


def before_rounding(program: Program, steps: dict[str, Step], tensor: str) -> np.ndarray:
    """What a rounded tensor was before it was rounded, float32; of one that joins or moves rounded
    levels, the same of what these were."""
    node = program.network.nodes.get(tensor)
    if node is not None and isinstance(node.layer, MaxPool | Moves | Concat):
        sources = [before_rounding(program, steps, name) for name in node.inputs]
        return float_layer(node, {}, sources)
    return real(steps[tensor].unrounded).astype(np.float32)


def _added(sums: list[Sums]) -> Sums:
    """The terms of all, divisors within their scales; offsets are added in order, in float32."""
    if any(each.is_bounded for each in sums):
        raise ValueError("sums that are bounded are rounded before they are added")
    axis = max(each.axis for each in sums)
    sums = [each.with_channels_on(axis) for each in sums]
    offsets = [each.offset for each in sums if each.offset is not None]
    offset = sum(offsets[1:], start=offsets[0]) if offsets else None
    terms = [(levels, scale / each.divisor) for each in sums for levels, scale in each.terms]
    return Sums(tuple(terms), offset, source="add", axis=axis)


def _relu(x: Levels | Sums) -> Levels | Sums:
    if isinstance(x, Levels) or (x.uniform and x.offset is None and not x.is_bounded):
        return _on_levels(x, lambda levels: np.maximum(levels, 0))
    return x.clipped(0.0, np.inf)


def _activation_product(program: Program, inputs: list[Levels], transposed: bool) -> Sums:
    x, y = inputs
    accumulator = program.arithmetic.accumulator
    sums = matmul(x.levels, y.levels, transposed=transposed, accumulator=accumulator)
    scale = np.float64(x.scale) * np.float64(y.scale)
    return Sums(((sums, np.full(sums.shape[1], scale)),), source="matmul")


def _tabled(program: Program, node: Node, x: Levels) -> Sums:
    """What a table makes of levels, at the scale of the table's results, or a runtime of them."""
    number, scale = program.formats[node.inputs[0]], float(x.scale)
    if program.has_runtime_curve(node):
        return runtime_curve(node.layer, x)
    table = table_of(node.layer, number.min_level, number.max_level, scale)
    if isinstance(node.layer, Softmax):
        levels, out_scale = softmax(x.levels, table, node.layer.bits), 2.0**-node.layer.bits
    else:
        levels, out_scale = table(x.levels), float(table.y.scale)
    return Sums(((levels, np.full(levels.shape[1], out_scale)),))


def _rounding_layer(program: Program, node: Node, x: Sums) -> Sums:
    """Thresholds of a tensor, or its integers without their last bits."""
    try:
        if isinstance(node.layer, Truncate):
            return truncate(node.layer, x)
        return count_thresholds(node.layer, program.real[f"{node.name}.thresholds"], x)
    except (ValueError, OverflowError) as error:
        raise QsimError(
            f"layer {node.name!r} of network {program.network.name} cannot be computed: {error}"
        ) from None


def normed(program: Program, node: Node, x: Levels) -> Sums:
    """Levels scaled by a batch norm of its own, its offset added to them; or, where the arithmetic
    has integer biases alone, as an integer to 2**NORM_BITS times the levels. There a factor of less
    than 2**-24 of the largest counts as 0: no register would hold the offset in its steps."""
    factor, offset = normalisation(node, program.real)
    integer_offset = program.arithmetic.requantizer.real_bias == "none"
    if integer_offset:
        least = np.abs(factor).max(initial=0) * np.float32(2.0**-24)
        factor = np.where(np.abs(factor) < least, np.float32(0), factor)
    sign, magnitude = np.sign(factor).astype(np.int64), np.abs(factor)
    levels = by_channel(sign, x.levels) * x.levels
    scale = np.float64(x.scale) * np.where(magnitude == 0, np.float32(1), magnitude)
    if not integer_offset:
        return Sums(((levels, scale),), offset)
    levels, scale = levels.astype(np.int64) << NORM_BITS, scale / 2**NORM_BITS
    steps = np.rint(offset.astype(np.float64) / scale)
    if np.abs(steps).max(initial=0) > FARTHEST_BIAS:
        raise QsimError(
            f"batch_norm {node.name!r} adds {np.abs(steps).max():.3g} steps of its sums, beyond any"
            f" register; the scale {float(x.scale):g} of its input is too small for it"
        )
    return Sums(((levels + by_channel(steps.astype(np.int64), levels), scale),))


def _multiplied(x: Levels, y: Levels) -> Sums:
    """The products of levels, one by one."""
    products = x.levels.astype(np.int64) * y.levels.astype(np.int64)
    scale = np.float64(x.scale) * np.float64(y.scale)
    return Sums(((products, np.full(products.shape[1], scale)),), source="multiply")


def _recurrent(program: Program, node: Node, x: Levels) -> Sums:
    """The hidden states, at the scale of the cell's format."""
    cell = program.recurrences[node.name].cell
    hidden, cells = run_cell(cell, x.levels)
    terms = ((hidden, np.full(hidden.shape[1], float(cell.h.scale))),)
    return Sums(terms) if cells is None else HiddenStates(terms, cells=cells)


def _joined(inputs: list[Levels], axis: int) -> Sums:
    """Rounded tensors one after another along ``axis``, each part with its scale."""
    levels = np.concatenate([x.levels for x in inputs], axis=axis).astype(np.int64)
    counts = [x.levels.shape[axis] for x in inputs]
    scale = np.repeat([np.float64(x.scale) for x in inputs], counts)
    return Sums(((levels, scale),), axis=axis)


def _average(program: Program, node: Node, x: Levels) -> Sums:
    """The window's sums at 1/area of the scale; or, where a requantizer says so, their mean rounded
    to a level first, or every value under the window. Where windows have areas of their own, each
    has its scale."""
    window = node.layer.window(node.input_shapes[0])
    top, left, bottom, right = border(node.layer.padding)
    levels = np.pad(x.levels, ((0, 0), (0, 0), (top, bottom), (left, right)))  # level 0 is the 0
    sums = sum_pool(levels, window, stride=pair(node.layer.stride or window))
    scale = np.full(sums.shape[1], x.scale, np.float64)
    divisors = node.layer.divisors(node.input_shapes[0])
    mean = program.arithmetic.requantizer.mean
    if mean == "float32":
        if window == x.levels.shape[2:] and not node.layer.is_padded:
            return Sums(((sums, scale),), divisor=int(divisors), source="global_average")
        places = windows(levels, window, pair(node.layer.stride or window))
        terms = tuple((each.astype(np.int64), scale) for each in places)
        return Sums(terms, divisor=divisors, source="average")
    if mean is not None:
        divide = {"half_even": divide_half_even, "half_away": divide_half_away}[mean]
        return Sums(((divide(sums, divisors), scale),))
    if divisors.ndim:
        return Sums(((sums, np.broadcast_to(np.float64(x.scale) / divisors, sums.shape)),))
    return Sums(((sums, scale),), divisor=int(divisors))


def _flatten(x: Sums) -> Sums:
    count = len(x.terms[0][0])

    def spread(values: np.ndarray, levels: np.ndarray) -> np.ndarray:
        """One of each place of an image where all images share it, else as many as levels."""
        if values.ndim > 1:
            return np.broadcast_to(values, levels.shape).reshape(count, -1)
        return np.broadcast_to(by_channel(values, levels[0], x.axis - 1), levels[0].shape).reshape(
            -1
        )

    terms = tuple((levels.reshape(count, -1), spread(scale, levels)) for levels, scale in x.terms)
    offset = None if x.offset is None else spread(x.offset, x.terms[0][0])
    return replace(x, terms=terms, offset=offset, axis=1)


def _on_levels(x: Levels | Sums, function) -> Levels | Sums:
    """``function`` applied to the levels, which must rise with the values: scales are positive."""
    if isinstance(x, Levels):
        return Levels(function(x.levels), x.scale)
    [(levels, scale)] = x.terms
    return replace(x, terms=((function(levels), scale),))


def sums_of(x: Levels | Sums) -> Sums:
    """Levels as sums of one term."""
    if isinstance(x, Sums):
        return x
    scale = np.full(x.levels.shape[1], x.scale, np.float64)
    return Sums(((x.levels.astype(np.int64), scale),))


def rounded(program: Program, tensor: str, value: Value) -> Value:
    """The value rounded to the tensor's activation format. Raises QsimError when it cannot be."""
    number = program.formats[tensor]
    if isinstance(number, Float):
        return real(value).astype(np.float32)
    scale, requantizer = program.scales[tensor], program.arithmetic.requantizer
    try:
        if isinstance(value, np.ndarray):
            return Levels(requantizer.levels_of_real(finite(value), number, scale), scale)
        sums = sums_of(value)
        levels = requantizer.levels(sums.channels_first, number, scale)
    except OverflowError as error:
        raise QsimError(
            f"tensor {tensor!r} of network {program.network.name} cannot be rounded: {error}; the"
            " weights of the layers before it differ too much in size"
        ) from None
    except ValueError as error:
        raise QsimError(
            f"tensor {tensor!r} of network {program.network.name} cannot be rounded by"
            f" {program.arithmetic.requantize}: {error}"
        ) from None
    return Levels(np.moveaxis(levels, 1, sums.axis), scale)
