"""Running an integer program: images in, integers out, every tensor by name."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from qsim.errors import QsimError
from qsim.formats import Fixed, Float
from qsim.kernels.layers import conv2d, linear
from qsim.kernels.level_product import LevelWeights
from qsim.kernels.pool import average_pool, max_pool, sum_pool
from qsim.kernels.requantize import add_aligned, requantize_float, requantize_shift
from qsim.network.graph import INPUT, Node
from qsim.network.layers import (
    Add,
    AveragePool,
    Conv,
    Flatten,
    Linear,
    MaxPool,
    Relu,
    border,
    pair,
)
from qsim.network.reference import float_layer
from qsim.program import Program


@dataclass(frozen=True)
class Levels:
    """A rounded tensor: integer levels (images, ...) and one float32 scale."""

    levels: np.ndarray
    scale: np.ndarray


@dataclass(frozen=True)
class Sums:
    """A tensor still in the accumulator: the sum of terms, each int64 levels (images, channels,
    ...) with a float32 scale per channel; negative totals count as 0 where ``relu``."""

    terms: tuple[tuple[np.ndarray, np.ndarray], ...]
    relu: bool = False


Value = Levels | Sums | np.ndarray  # an array is a float32 tensor that is not quantized


@dataclass(frozen=True)
class Step:
    """What one layer made: its value before rounding, and after (the same if it is not rounded)."""

    unrounded: Value
    value: Value


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
        value = _compute(program, node, [steps[name].value for name in node.inputs])
        rounded = _round(program, node.name, value) if program.rounds(node.name) else value
        steps[node.name] = Step(value, rounded)
        on_layer(node.name)
    return steps


def real(value: Value) -> np.ndarray:
    """The float64 values that a tensor stands for."""
    match value:
        case Levels(levels, scale):
            return levels * scale.astype(np.float64)
        case Sums(terms, relu):
            total = sum(levels * _per_channel(scale, levels) for levels, scale in terms)
            return np.maximum(total, 0) if relu else total
    return value.astype(np.float64)


def multipliers(scale: np.ndarray, out_scale: np.ndarray) -> np.ndarray:
    """The float32 factors from sums at ``scale`` (channels,) to levels at ``out_scale``."""
    return scale.astype(np.float32) / np.float32(out_scale)


def shifts(scale: np.ndarray, out_scale: np.ndarray) -> np.ndarray:
    """The right shifts, int64, from sums at ``scale`` to levels at ``out_scale``, powers of two."""
    mantissa, exponent = np.frexp(out_scale.astype(np.float64) / scale)
    if not (mantissa == 0.5).all():
        raise ValueError("scales must be powers of two to requantize by shift")
    return exponent.astype(np.int64) - 1


def _read(program: Program, images: np.ndarray) -> Step:
    number = program.formats[INPUT]
    with np.errstate(over="ignore"):
        images = np.asarray(images).astype(np.float32)
    if images.shape[1:] != tuple(program.network.input_shape) or not np.isfinite(images).all():
        raise QsimError(
            f"network {program.network.name} reads finite images of"
            f" {tuple(program.network.input_shape)}, not {images.shape[1:]} or infinite ones"
        )
    if isinstance(number, Float):
        return Step(images, number.quantize(images))
    if isinstance(number, Fixed) and not number.signed and images.min(initial=0) < 0:
        readers = ", ".join(node.name for node in program.network.readers[INPUT])
        raise QsimError(
            f"the images have negative values but the input of network {program.network.name} is"
            f" read as unsigned; under precision.layers give each layer that reads it ({readers})"
            f" activations: {{fixed: {{bits: {max(number.bits, 2)}}}}}"
        )
    scale = program.scales[INPUT]
    return Step(images, Levels(number.quantize(images, scale=scale).levels, scale))


def _compute(program: Program, node: Node, inputs: list[Value]) -> Value:
    """The value of a layer before it is rounded."""
    x = inputs[0]
    in_float = any(isinstance(value, np.ndarray) for value in inputs)
    if in_float or (node.has_products and node.name not in program.biases):
        weights = program.real
        if node.has_products and program.weights[node.name] is not None:
            held = program.weights[node.name].real.astype(np.float32)
            weights = weights | {f"{node.name}.weight": held}
        return float_layer(node, weights, [real(v).astype(np.float32) for v in inputs])
    match node.layer:
        case Conv() | Linear():
            sums = _product(program, node, x)
            return Sums(((sums, program.accumulator_scale(node)),))
        case Relu():
            return _relu(x)
        case Add():
            return Sums(tuple(term for value in inputs for term in _terms(value)))
        case MaxPool(kernel=kernel, stride=stride, padding=padding):
            geometry = {"stride": pair(stride or kernel), "padding": border(padding)}
            return _on_levels(x, lambda v: max_pool(v, pair(kernel), **geometry))
        case AveragePool():
            return _average(program, node, x)
        case Flatten():
            return _flatten(x)
    raise TypeError(f"no integer execution for a {type(node.layer).__name__} layer")


def _product(program: Program, node: Node, x: Levels) -> np.ndarray:
    weights = LevelWeights(program.weights[node.name].levels)
    bias, accumulator = program.biases[node.name], program.arithmetic.accumulator
    if isinstance(node.layer, Linear):
        return linear(x.levels, weights, bias, accumulator=accumulator)
    return conv2d(
        x.levels,
        weights,
        bias,
        stride=pair(node.layer.stride),
        padding=border(node.layer.padding),
        dilation=pair(node.layer.dilation),
        groups=node.layer.groups,
        accumulator=accumulator,
    )


def _relu(x: Levels | Sums) -> Levels | Sums:
    if isinstance(x, Sums) and len(x.terms) > 1:
        return Sums(x.terms, relu=True)
    return _on_levels(x, lambda levels: np.maximum(levels, 0))


def _average(program: Program, node: Node, x: Levels) -> Sums:
    """The window's sums at 1/area of the scale; by shift, where an area that is no power of two has
    no place in the scale, their mean rounded to a level first."""
    window = node.layer.window(node.input_shapes[0])
    stride = pair(node.layer.stride or window)
    channels = node.output_shape[0]
    if program.arithmetic.requantize == "shift":
        mean = average_pool(x.levels, window, stride=stride)
        return Sums(((mean, np.full(channels, x.scale)),))
    sums = sum_pool(x.levels, window, stride=stride)
    scale = x.scale / np.float32(window[0] * window[1])
    return Sums(((sums, np.full(channels, scale)),))


def _flatten(x: Levels | Sums) -> Levels | Sums:
    if isinstance(x, Levels):
        return Levels(x.levels.reshape(len(x.levels), -1), x.scale)
    terms = []
    for levels, scale in x.terms:
        inner = int(np.prod(levels.shape[2:]))
        terms.append((levels.reshape(len(levels), -1), np.repeat(scale, inner)))
    return Sums(tuple(terms), x.relu)


def _on_levels(x: Levels | Sums, function) -> Levels | Sums:
    """``function`` applied to the levels, which must rise with the values: scales are positive."""
    if isinstance(x, Levels):
        return Levels(function(x.levels), x.scale)
    [(levels, scale)] = x.terms
    return Sums(((function(levels), scale),), x.relu)


def _terms(x: Levels | Sums) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    if isinstance(x, Sums):
        return x.terms
    return ((x.levels.astype(np.int64), np.full(x.levels.shape[1], x.scale)),)


def _round(program: Program, tensor: str, value: Value) -> Value:
    """The value rounded to the tensor's activation format."""
    try:
        return _rounded(program, tensor, value)
    except (ValueError, OverflowError) as error:
        raise QsimError(
            f"tensor {tensor!r} of network {program.network.name} cannot be rounded: {error}; the"
            " weights of the layers before it differ too much in size"
        ) from None


def _rounded(program: Program, tensor: str, value: Value) -> Value:
    number = program.formats[tensor]
    if isinstance(number, Float):
        return real(value).astype(np.float32)
    scale = program.scales[tensor]
    if isinstance(value, np.ndarray):
        return Levels(number.quantize(value, scale=scale).levels, scale)
    low = max(number.min_level, 0) if isinstance(value, Sums) and value.relu else number.min_level
    terms = _terms(value)
    if program.arithmetic.requantize == "shift":
        sums, shift = add_aligned([(levels, shifts(s, scale)) for levels, s in terms])
        return Levels(requantize_shift(sums, shift, low, number.max_level), scale)
    scaled = [(levels, multipliers(s, scale)) for levels, s in terms]
    return Levels(requantize_float(scaled, low, number.max_level), scale)


def _per_channel(scale: np.ndarray, levels: np.ndarray) -> np.ndarray:
    return scale.astype(np.float64).reshape(-1, *(1,) * (levels.ndim - 2))
