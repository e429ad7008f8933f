"""What a program cannot be executed with: refused before it runs, by layer and remedy."""

from math import prod

import numpy as np

from qsim.errors import WorkloadError
from qsim.formats import Float
from qsim.kernels.accumulator import magnitude
from qsim.network.graph import INPUT, Node
from qsim.network.layers import MatMul
from qsim.program import Program
from qsim.requantize import REQUANTIZERS


def check_accumulator(program: Program, node: Node) -> None:
    """Refuse an exact accumulator that a sum of the layer could overflow."""
    for operands in _largest_operands(program, node):
        try:
            program.arithmetic.accumulator.check(*operands)
        except OverflowError as error:
            raise WorkloadError(
                f"execute.accumulator: layer {node.name!r}: {error}; give it more bits, or mode"
                " wrap or saturate"
            ) from None


def check_powers_of_two(program: Program) -> None:
    """Refuse what ``shift`` cannot rescale: a format whose scale is no power of two."""
    if not program.arithmetic.requantizer.powers_of_two:
        return
    for name, terms in program.terms.items():
        if not all((np.frexp(term.scale)[0] == 0.5).all() for term in terms):
            raise WorkloadError(
                f"execute.requantize: layer {name!r} has weights whose scale is no power of two,"
                f" which {program.arithmetic.requantize} needs; choose another"
            )
    for name, scale in program.scales.items():
        if np.frexp(scale)[0] != 0.5:
            raise WorkloadError(
                f"execute.requantize: tensor {name!r} has the scale {float(scale):g}, no power of"
                f" two, which {program.arithmetic.requantize} needs; choose another"
            )


def check_integer_only(program: Program) -> None:
    """Refuse the first step in floating point."""
    network, requantize = program.network, program.arithmetic.requantize
    for name in (INPUT, *network.nodes):
        node, step = network.nodes.get(name), None
        if name in program.weights and name not in program.biases:
            step = f"layer {name!r} is computed in floating point; quantize its weights and input"
        elif node and program.maps(node):
            step = f"layer {name!r} scales its sums by a real map; leave out scale_map"
        elif isinstance(program.formats.get(name), Float):
            step = f"tensor {name!r} is float; give it a format"
        elif node and program.rounds(name) and not program.arithmetic.requantizer.integer_only:
            integer = [key for key, value in REQUANTIZERS.items() if value.integer_only]
            step = (
                f"tensor {name!r} is rounded by a float32 multiplication (requantize:"
                f" {requantize}); choose one of {', '.join(integer)}"
            )
        if step:
            raise WorkloadError(f"execute.integer_only: {step}")


def _largest_operands(program: Program, node: Node) -> list[tuple[int, int, int, int]]:
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
