"""Values of layers without weights of their own, or with a few, computed again one at a time."""

from dataclasses import replace

import numpy as np

from qsim.network.graph import Node
from qsim.network.layers import Softmax, border, pair
from qsim.network.pointwise import Curve
from qsim.program import Program
from qsim.values import Element, Levels
from qsim.verify import onnx_runtime, roundings, tables
from qsim.verify.places import levels_under, window_of


def normed(program: Program, node: Node, x: Levels, at: tuple[int, ...]) -> Element:
    """One value that a batch norm of its own makes."""
    names = ("weight", "bias", "running_mean", "running_var")
    held = [program.real[f"{node.name}.{n}"].astype(np.float64) for n in names]
    factors = held[0] / np.sqrt(held[3] + node.layer.epsilon)
    _, beta, mean, _ = (array[at[1]] for array in held)
    offset = float(np.float32(beta + (0.0 - mean) * factors[at[1]]))
    factor, largest = np.float32(factors[at[1]]), np.abs(factors.astype(np.float32)).max()
    integer_offset = program.arithmetic.requantizer.real_bias == "none"
    if integer_offset and float(abs(factor)) < float(largest) / 2**24:
        factor = np.float32(0)
    total = int(x.levels[at]) * int(np.sign(factor))
    scale = float(x.scale) * float(abs(factor) if factor else 1)
    if not integer_offset:
        return Element(((total, scale),), offset)
    return Element(((256 * total + round(offset / (scale / 256)), scale / 256),))


def multiplied(inputs: list[Levels], at: tuple[int, ...]) -> Element:
    """One product of two tensors, value by value."""
    product, scale = 1, 1.0
    for x in inputs:
        place = tuple(
            0 if side == 1 else i for i, side in zip(at[1:], x.levels.shape[1:], strict=True)
        )
        product, scale = product * int(x.levels[(at[0], *place)]), scale * float(x.scale)
    return Element(((product, scale),), source="multiply")


def summed(program: Program, node: Node, elements: list[Element]) -> Element:
    """One sum of tensors; offsets are added one by one, in float32."""
    offset = np.float32(0)
    for each in elements:
        offset = offset + np.float32(each.offset)
    terms = tuple((total, scale / each.divisor) for each in elements for total, scale in each.terms)
    zeros = ()
    if all(name in program.scales for name in node.inputs):
        zeros = onnx_runtime.zero_points([program.formats[name] for name in node.inputs])
    return Element(terms, float(offset), source="add", zero_points=zeros)


def clipped(before: Element, low: float, high: float) -> Element:
    """A value within ``low .. high`` after its own bounds: these are clipped, as any value is."""
    ends = (min(max(bound, low), high) for bound in (before.low, before.high))
    return replace(before, **dict(zip(("low", "high"), ends, strict=True)))


def tabled(program: Program, node: Node, x: Levels, at: tuple[int, ...]) -> Element:
    """One value that a table makes, or a function that ONNX Runtime has in its place."""
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


def averaged(program: Program, node: Node, x: Levels, at: tuple[int, ...]) -> Element:
    """One mean, as the arithmetic of the program divides it."""
    layer = node.layer
    window = layer.window(node.input_shapes[0])
    values = window_of(x, window, layer.stride, layer.padding, at)
    area = window[0] * window[1] if layer.count_padding else len(values)
    total, scale = sum(value.terms[0][0] for value in values), float(x.scale)
    rounding = program.arithmetic.requantizer.mean
    if rounding == "float32":
        if window == x.levels.shape[2:] and not layer.is_padded:
            return Element(((total, scale),), source="global_average", divisor=area)
        levels = levels_under(x, window, pair(layer.stride or window), border(layer.padding), at)
        terms = tuple((level, scale) for level in levels)
        return Element(terms, source="average", divisor=area)
    if rounding is not None:
        return Element(((roundings.mean(total, area, rounding), scale),))
    if layer.is_padded and not layer.count_padding:
        return Element(((total, float(np.float64(scale) / area)),))
    return Element(((total, scale),), divisor=area)
