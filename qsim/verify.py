"""The independent check: a sample of outputs of every layer, computed again from the stored codes
by Python integers, one product at a time, sharing no kernel with the program's run."""

from fractions import Fraction
from functools import cache

import numpy as np

from qsim.execute import Levels, Step, Sums
from qsim.formats import PowerOfTwo, Sp2
from qsim.kernels.accumulator import Accumulator
from qsim.network.graph import Node
from qsim.network.layers import AveragePool, Conv, Flatten, Linear, MaxPool, Relu, border, pair
from qsim.program import Program


def count_checked(
    program: Program, steps: dict[str, Step], per_layer: int, seed: int = 0
) -> tuple[int, list[str]]:
    """How many sampled integers were computed again, and a sentence for each that differs.

    Of every layer up to ``per_layer`` outputs before rounding and as many roundings are checked.
    """
    rng = np.random.default_rng(seed)
    checked, wrong = 0, []
    for node in program.network.nodes.values():
        step = steps[node.name]
        if not isinstance(step.unrounded, Levels | Sums):
            continue
        inputs = [steps[name].value for name in node.inputs]
        for at in _sample(rng, step.unrounded, per_layer):
            checked += 1
            wrong += _compare(
                node.name, at, _terms_at(step.unrounded, at), _again(program, node, inputs, at)
            )
            if isinstance(step.value, Levels) and program.rounds(node.name):
                checked += 1
                expected = [_rounded(program, node.name, step.unrounded, at)]
                wrong += _compare(node.name, at, [int(step.value.levels[at])], expected)
    return checked, wrong


def _sample(rng: np.random.Generator, value: Levels | Sums, count: int) -> list[tuple[int, ...]]:
    shape = _arrays(value)[0].shape
    flat = rng.choice(int(np.prod(shape)), size=min(count, int(np.prod(shape))), replace=False)
    return [tuple(int(i) for i in at) for at in zip(*np.unravel_index(flat, shape), strict=True)]


def _arrays(value: Levels | Sums) -> list[np.ndarray]:
    return [value.levels] if isinstance(value, Levels) else [levels for levels, _ in value.terms]


def _terms_at(value: Levels | Sums, at: tuple[int, ...]) -> list[int]:
    return [int(array[at]) for array in _arrays(value)]


def _compare(name: str, at: tuple[int, ...], got: list[int], expected: list[int]) -> list[str]:
    if got == expected:
        return []
    return [f"layer {name!r} at {at}: computed {got}, the check says {expected}"]


def _again(program: Program, node: Node, inputs: list, at: tuple[int, ...]) -> list[int]:
    """The terms of one output of a layer, from the integers it read."""
    layer, x = node.layer, inputs[0]
    match layer:
        case Conv() | Linear():
            return [_product_again(program, node, x, at)]
        case Relu():
            terms = _terms_at(x, at)
            return [max(terms[0], 0)] if len(terms) == 1 else terms
        case MaxPool():
            return [
                max(_window(array, layer.kernel, layer.stride, layer.padding, at))
                for array in _arrays(x)
            ]
        case AveragePool():
            kernel = layer.window(node.input_shapes[0])
            values = _window(x.levels, kernel, layer.stride, 0, at)
            if program.arithmetic.requantize == "shift":
                return [round(Fraction(sum(values), len(values)))]
            return [sum(values)]
        case Flatten():
            image = np.unravel_index(at[1], node.input_shapes[0])
            return _terms_at(x, (at[0], *(int(i) for i in image)))
    return [term for value in inputs for term in _terms_at(value, at)]  # an addition


def _product_again(program: Program, node: Node, x: Levels, at: tuple[int, ...]) -> int:
    image, row = at[:2]
    weights = program.weights[node.name]
    codes = weights.row_format(row).encode(weights.levels[row])
    number = weights.row_format(row)
    accumulator, total = program.arithmetic.accumulator, 0
    for key, level in _operands(node, x.levels[image], row, at[2:]):
        total = _hold(accumulator, total + _multiply(number, int(codes[key]), level))
    return _hold(accumulator, total + int(program.biases[node.name][row]))


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
    if isinstance(number, Sp2 | PowerOfTwo):
        sign, *shifts = _shifts(number, code)
        return sign * sum(level << shift for shift in shifts if shift >= 0)
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


def _window(levels: np.ndarray, kernel, stride, padding, at: tuple[int, ...]) -> list[int]:
    image, channel, row, column = at
    top, left, _, _ = border(padding)
    (height, width), (step_h, step_w) = pair(kernel), pair(stride or kernel)
    rows = range(row * step_h - top, row * step_h - top + height)
    columns = range(column * step_w - left, column * step_w - left + width)
    _, _, side_h, side_w = levels.shape
    return [
        int(levels[image, channel, y, z])
        for y in rows if 0 <= y < side_h
        for z in columns if 0 <= z < side_w
    ]  # fmt: skip


def _rounded(program: Program, tensor: str, value: Levels | Sums, at: tuple[int, ...]) -> int:
    """One level of a rounded tensor, from the sums it is rounded from."""
    number, out_scale = program.formats[tensor], program.scales[tensor]
    if isinstance(value, Levels):
        pairs = [(int(value.levels[at]), value.scale)]
    else:
        pairs = [(int(levels[at]), scale[at[1]]) for levels, scale in value.terms]
    if program.arithmetic.requantize == "shift":
        factors = [Fraction(float(scale)) / Fraction(float(out_scale)) for _, scale in pairs]
        level = round(sum(f * total for f, (total, _) in zip(factors, pairs, strict=True)))
    else:
        total = np.float32(0)
        for sums, scale in pairs:
            total = total + np.float32(sums) * (np.float32(scale) / np.float32(out_scale))
        level = round(float(total))  # Python rounds a half to the even integer
    low = max(number.min_level, 0) if getattr(value, "relu", False) else number.min_level
    return min(max(level, low), number.max_level)
