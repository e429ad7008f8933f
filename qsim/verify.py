"""The independent check: a sample of integers of every layer, computed again by Python integers and
fractions from the stored codes, formats and scales, sharing no kernel with the program's run."""

from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import numpy as np

from qsim.execute import Levels, Step, Sums, Value
from qsim.formats import AffineGrid
from qsim.kernels.accumulator import Accumulator
from qsim.network.graph import INPUT, Node
from qsim.network.layers import (
    AveragePool,
    Conv,
    Flatten,
    Linear,
    MaxPool,
    Relu,
    Side,
    border,
    pair,
)
from qsim.program import Program


@dataclass(frozen=True)
class Element:
    """One value of a tensor: integers with the float32 scale of each, whose sum it is; a negative
    total counts as 0 where ``relu``."""

    terms: tuple[tuple[int, float], ...]
    relu: bool = False


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
            before = _element(step.unrounded, at)
            if before is not None and name != INPUT:
                checked += 1
                expected = _again(program, program.network.nodes[name], steps, at)
                wrong += _compare(name, at, before, expected)
            if isinstance(step.value, Levels) and program.rounds(name):
                checked += 1
                source = before or Fraction(float(step.unrounded[at]))
                level = Element(((_rounded(program, name, source), _scale(program, name)),))
                wrong += _compare(name, at, _element(step.value, at), level)
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


def _element(value: Value, at: tuple[int, ...]) -> Element | None:
    """The value at a position; None where the tensor is not quantized."""
    match value:
        case Levels(levels, scale):
            return Element(((int(levels[at]), float(scale)),))
        case Sums(terms, relu):
            return Element(tuple((int(s[at]), float(scale[at[1]])) for s, scale in terms), relu)
    return None


def _compare(name: str, at: tuple[int, ...], got: Element, expected: Element) -> list[str]:
    if got == expected:
        return []
    return [f"layer {name!r} at {at}: computed {got}, the check says {expected}"]


def _scale(program: Program, tensor: str) -> float:
    return float(program.scales[tensor])


def _again(program: Program, node: Node, steps: dict[str, Step], at: tuple[int, ...]) -> Element:
    """One value of a layer before rounding, from the values it read."""
    layer, inputs = node.layer, [steps[name].value for name in node.inputs]
    x = inputs[0]
    match layer:
        case Conv() | Linear():
            return _product_again(program, node, x, at)
        case Relu():
            before = _element(x, at)
            if len(before.terms) > 1:
                return Element(before.terms, relu=True)
            [(total, scale)] = before.terms
            return Element(((max(total, 0), scale),))
        case MaxPool():
            values = _window(x, layer.kernel, layer.stride, layer.padding, at)
            return Element(((max(total for total, _ in values), values[0][1]),))
        case AveragePool():
            values = _window(x, layer.window(node.input_shapes[0]), layer.stride, 0, at)
            total, scale = sum(total for total, _ in values), np.float32(values[0][1])
            if program.arithmetic.requantize == "shift":
                return Element(((round(Fraction(total, len(values))), float(scale)),))
            return Element(((total, float(scale / np.float32(len(values)))),))
        case Flatten():
            image = np.unravel_index(at[1], node.input_shapes[0])
            return _element(x, (at[0], *(int(i) for i in image)))
    elements = [_element(value, at) for value in inputs]  # an addition
    return Element(tuple(term for element in elements for term in element.terms))


def _product_again(program: Program, node: Node, x: Levels, at: tuple[int, ...]) -> Element:
    image, row = at[:2]
    weights = program.weights[node.name]
    number = weights.row_format(row)
    codes = number.encode(weights.levels[row])
    accumulator, total = program.arithmetic.accumulator, 0
    for key, level in _operands(node, x.levels[image], row, at[2:]):
        total = _hold(accumulator, total + _multiply(number, int(codes[key]), level))
    row_scales = np.broadcast_to(weights.scale.reshape(-1), (weights.levels.shape[0],))
    scale = np.float32(program.scales[node.inputs[0]]) * np.float32(row_scales[row])
    bias = program.real.get(f"{node.name}.bias")
    level = 0 if bias is None else round(float(bias[row]) / float(scale))
    return Element(((_hold(accumulator, total + level), float(scale)),))


def _operands(node: Node, levels: np.ndarray, row: int, position: tuple[int, ...]):
    """Pairs of a weight's index in its row and the level it meets, in the order of the products."""
    if isinstance(node.layer, Linear):
        yield from ((k, int(level)) for k, level in enumerate(levels))
        return
    layer = node.layer
    _, channels, kernel_h, kernel_w = node.parameters["weight"]
    first = row // (layer.out_channels // layer.groups) * channels
    top, left, _, _ = border(layer.padding)
    _, height, width = levels.shape
    for c in range(channels):
        for i in range(kernel_h):
            for j in range(kernel_w):
                y = position[0] * pair(layer.stride)[0] - top + i * pair(layer.dilation)[0]
                z = position[1] * pair(layer.stride)[1] - left + j * pair(layer.dilation)[1]
                if 0 <= y < height and 0 <= z < width:
                    yield (c, i, j), int(levels[first + c, y, z])


def _multiply(number, code: int, level: int) -> int:
    """``level`` times the weight that ``code`` stands for, by the datapath of its format."""
    if number.datapath == "shift_add":
        sign, *shifts = _shifts(number, code)
        return sign * sum(level << shift for shift in shifts if shift >= 0)
    if isinstance(number, AffineGrid):
        return level * (code - number.zero_point)
    negative = number.signed and code >> (number.bits - 1)
    return level * (code - 2**number.bits if negative else code)


@cache
def _shifts(number, code: int) -> tuple[int, ...]:
    return tuple(int(part) for part in number.shifts(np.array(code)))


def _hold(accumulator: Accumulator, total: int) -> int:
    """What the register keeps of ``total``."""
    if accumulator.mode == "saturate":
        return min(max(total, accumulator.low), accumulator.high)
    if accumulator.mode == "wrap":
        return (total - accumulator.low) % 2**accumulator.bits + accumulator.low
    return total


def _window(
    x: Levels | Sums, kernel: Side, stride: Side | None, padding, at: tuple[int, ...]
) -> list[tuple[int, float]]:
    """Integer and scale of every value under a window, without those in the padding."""
    image, channel, row, column = at
    top, left, _, _ = border(padding)
    (height, width), (step_h, step_w) = pair(kernel), pair(stride or kernel)
    _, _, side_h, side_w = _shape(x)
    rows = range(row * step_h - top, row * step_h - top + height)
    columns = range(column * step_w - left, column * step_w - left + width)
    inside = [(y, z) for y in rows for z in columns if 0 <= y < side_h and 0 <= z < side_w]
    return [_element(x, (image, channel, y, z)).terms[0] for y, z in inside]


def _rounded(program: Program, tensor: str, source: Element | Fraction) -> int:
    """One level of a rounded tensor, from its value before."""
    number, out_scale = program.formats[tensor], program.scales[tensor]
    low = number.min_level
    if isinstance(source, Fraction):
        level = round(source / Fraction(float(out_scale)))
    elif program.arithmetic.requantize == "shift":
        exact = sum(Fraction(total) * Fraction(scale) for total, scale in source.terms)
        level = round(exact / Fraction(float(out_scale)))
    else:
        total = np.float32(0)
        for sums, scale in source.terms:
            rounded = np.int64(sums).astype(np.float32)  # once, not by way of float64
            total = total + rounded * (np.float32(scale) / np.float32(out_scale))
        level = round(float(total))  # Python rounds a half to the even integer
    if isinstance(source, Element) and source.relu:
        low = max(low, 0)
    return min(max(level, low), number.max_level)
