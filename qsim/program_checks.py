"""What a program cannot be executed with: refused before it runs, by layer and remedy."""

from math import prod

import numpy as np

from qsim.errors import WorkloadError
from qsim.formats import Float
from qsim.kernels.accumulator import magnitude
from qsim.kernels.level_grid import INT32_MAX
from qsim.kernels.softmax import SUM_BITS
from qsim.network.fold import normalisation
from qsim.network.graph import INPUT, Node
from qsim.network.layers import BatchNorm, Clipping, Flatten, Linear, MatMul, Relu, Softmax
from qsim.network.pointwise import Curve, FloatStep
from qsim.network.pools import MaxPool
from qsim.program import Program
from qsim.requantize import REQUANTIZERS
from qsim.table_layers import highest_result


def check_accumulator(program: Program, node: Node) -> None:
    """Refuse an exact accumulator that a sum of the layer could overflow."""
    for operands in largest_operands(program, node):
        try:
            program.arithmetic.accumulator.check(*operands)
        except OverflowError as error:
            raise WorkloadError(
                f"execute.accumulator: layer {node.name!r}: {error}; give it more bits, or mode"
                " wrap or saturate"
            ) from None


def check_curves(program: Program) -> None:
    """Refuse a curve whose results are finer than 32 bits hold."""
    for node in program.network.nodes.values():
        source = node.inputs[0]
        if not isinstance(node.layer, Curve) or source not in program.scales:
            continue
        number = program.formats[source]
        highest = highest_result(node.layer, number.min_level, number.max_level)
        if highest > INT32_MAX and not program.has_runtime_curve(node):
            excess = highest.bit_length() - INT32_MAX.bit_length()
            raise WorkloadError(
                f"network {program.network.name}: layer {node.name!r} makes results of more than 32"
                f" bits; give it at most {node.layer.extra_bits - excess} extra_bits, or read fewer"
                " activation bits"
            )


def check_softmax(program: Program) -> None:
    """Refuse a softmax whose row of exponentials could overflow the register of their sum."""
    for node in program.network.nodes.values():
        source = node.inputs[0]
        if not isinstance(node.layer, Softmax) or source not in program.scales:
            continue
        length = node.output_shape[-1]
        most = SUM_BITS - length.bit_length()  # length * 2**most is less than 2**SUM_BITS
        if node.layer.fraction_bits > most and not program.has_runtime_curve(node):
            raise WorkloadError(
                f"network {program.network.name}: layer {node.name!r} adds {length:,} exponentials"
                f" in {SUM_BITS} bits; give it at most {most} fraction_bits"
            )


def check_powers_of_two(program: Program) -> None:
    """Refuse what ``shift`` cannot rescale: a format whose scale, or a batch norm of its own whose
    factor, is no power of two."""
    if not program.arithmetic.requantizer.powers_of_two:
        return
    for name, terms in program.terms.items():
        if not all((np.frexp(term.scale)[0] == 0.5).all() for term in terms):
            raise WorkloadError(
                f"execute.requantize: the scale of the weights of layer {name!r}, its batch norm"
                f" included, is no power of two, which {program.arithmetic.requantize} needs;"
                " choose another requantize, or a format whose scale is found from data"
            )
    for name, scale in program.scales.items():
        if np.frexp(scale)[0] != 0.5:
            raise WorkloadError(
                f"execute.requantize: tensor {name!r} has the scale {float(scale):g}, no power of"
                f" two, which {program.arithmetic.requantize} needs; choose another requantize, or"
                " a format whose scale is found from data"
            )
    for node in program.network.nodes.values():
        if isinstance(node.layer, BatchNorm) and node.inputs[0] in program.scales:
            factor, _ = normalisation(node, program.real)
            if not np.isin(np.frexp(factor)[0], (-0.5, 0, 0.5)).all():
                raise WorkloadError(
                    f"execute.requantize: batch_norm {node.name!r} follows no layer that it could"
                    " be folded into, and its factors are no powers of two, which"
                    f" {program.arithmetic.requantize} needs; choose another requantize"
                )


def check_integer_only(program: Program) -> None:
    """Refuse a step in floating point, first one that no other requantization would mend."""
    network = program.network
    for name in (INPUT, *network.nodes):
        node = network.nodes.get(name)
        if node and isinstance(node.layer, FloatStep):
            kind = node.layer.__struct_config__.tag
            _refuse_step(f"layer {name!r}, a {kind}, is computed in floating point")
        if node and program.in_float(node):
            _refuse_step(
                f"layer {name!r} is computed in floating point; quantize its weights and input"
            )
        if node and program.maps(node):
            _refuse_step(f"layer {name!r} scales its sums by a real map K; leave out scale_map")
        if isinstance(program.formats.get(name), Float):
            _refuse_step(f"tensor {name!r} is float; give it a format")
    if program.arithmetic.requantize == "tflite-reference":
        for name in filter(program.rounds, network.nodes):
            if isinstance(_maker(program, name).layer, Linear):
                _refuse_step(
                    f"tensor {name!r} is rounded by the reference kernel of dense layers, which"
                    " multiplies in float64; choose tflite or tflite-builtin"
                )
    if not program.arithmetic.requantizer.integer_only:
        rounded = [name for name in network.nodes if program.rounds(name)]
        integer = [key for key, value in REQUANTIZERS.items() if value.integer_only]
        if rounded:
            _refuse_step(
                f"tensor {rounded[0]!r} is rounded by a float32 multiplication (requantize:"
                f" {program.arithmetic.requantize}); choose one of {', '.join(integer)}"
            )


def _maker(program: Program, tensor: str) -> Node:
    """The layer whose sums become a rounded tensor."""
    node = program.network.nodes[tensor]
    while isinstance(node.layer, Relu | Clipping | MaxPool | Flatten):
        source = node.inputs[0]
        if source == INPUT or program.rounds(source):
            break
        node = program.network.nodes[source]
    return node


def _refuse_step(step: str) -> None:
    raise WorkloadError(f"execute.integer_only: {step}")


def largest_operands(program: Program, node: Node) -> list[tuple[int, int, int, int]]:
    """Of each integer product of a layer: its depth, and the largest magnitudes of what it
    multiplies and of its bias."""
    formats = [program.formats.get(name) for name in node.inputs]
    if isinstance(node.layer, MatMul) and Float not in map(type, formats):
        x, y = formats
        return [(node.input_shapes[0][-1], x.max_magnitude, y.max_magnitude, 0)]
    if node.name not in program.biases:
        return []
    weights, bias = program.weights[node.name], magnitude(program.biases[node.name])
    max_x, max_w = formats[0].max_magnitude, weights.format.max_magnitude
    return [(prod(term.levels.shape[1:]), max_x, max_w, bias) for term in weights.terms]
