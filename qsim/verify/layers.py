"""The independent check: a sample of integers of every layer, computed again by Python integers and
fractions from the stored codes, formats and scales, sharing no kernel with the program's run."""

from dataclasses import replace

import numpy as np

from qsim.network.graph import INPUT, Node
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
)
from qsim.network.moves import Reshape, Slice, Transpose, Upsample
from qsim.network.pointwise import Curve, Multiply, Scale
from qsim.network.pools import AveragePool, MaxPool
from qsim.network.recurrent import Gru, Lstm
from qsim.network.roundings import Identity, MultiThreshold, Truncate
from qsim.program import Program
from qsim.values import Element, HiddenStates, Levels, Step, Sums, Value, element, shape_of
from qsim.verify import roundings, threshold_layers
from qsim.verify.elementwise import averaged, clipped, multiplied, normed, summed, tabled
from qsim.verify.places import part_of, source_of, window_of
from qsim.verify.products import layer_product, tensor_product
from qsim.verify.recurrent import recurrent_states


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
    shape = shape_of(value)
    size = int(np.prod(shape))
    flat = rng.choice(size, size=min(count, size), replace=False)
    return [tuple(int(i) for i in at) for at in zip(*np.unravel_index(flat, shape), strict=True)]


def _compare(name: str, at: tuple[int, ...], got: Element, expected: Element) -> list[str]:
    if got == expected:
        return []
    return [f"layer {name!r} at {at}: computed {got}, the check says {expected}"]


def _compare_cell(
    program: Program, node: Node, steps: dict[str, Step], at: tuple[int, ...], held: int
) -> list[str]:
    _, expected = recurrent_states(program, node, steps, at)
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
            return layer_product(program, node, steps, at)
        case Relu():
            before = element(x, at)
            held = isinstance(x, Sums) and not (x.uniform and x.offset is None and not x.is_bounded)
            if len(before.terms) > 1 or held:
                return clipped(before, 0.0, np.inf)
            [(total, scale)] = before.terms
            return replace(before, terms=((max(total, 0), scale),))
        case Clip() | Relu6() | HardTanh():
            return clipped(element(x, at), *layer.bounds)
        case Sigmoid() | Tanh() | Softmax() | Curve():
            return tabled(program, node, x, at)
        case BatchNorm():
            return normed(program, node, x, at)
        case Multiply():
            return multiplied(inputs, at)
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
            return tensor_product(program, node, inputs, at)
        case Lstm() | Gru():
            level, _ = recurrent_states(program, node, steps, at)
            return Element(((level, 2.0**-layer.hidden_fraction_bits),))
        case Concat():
            return part_of(inputs, at, layer.axis + 1)
        case MaxPool():
            values = window_of(x, layer.kernel, layer.stride, layer.padding, at)
            return max(values, key=lambda value: value.terms[0][0])
        case AveragePool():
            return averaged(program, node, x, at)
        case Flatten() | Reshape() | Transpose() | Slice() | Upsample():
            return element(x, (at[0], *source_of(node, at[1:])))
        case Add():
            return summed(program, node, [element(value, at) for value in inputs])
    raise TypeError(f"no check of a {type(layer).__name__} layer")
