"""What of a program ONNX cannot express, or a runtime would compute otherwise: refused by layer."""

import numpy as np

from qsim.errors import QsimError
from qsim.formats import Float
from qsim.kernels.accumulator import Accumulator, magnitude
from qsim.network.graph import Node
from qsim.network.layers import Add, Concat, Conv, Flatten, Linear, MatMul
from qsim.network.moves import Move
from qsim.network.pointwise import Multiply
from qsim.network.pools import AveragePool, MaxPool
from qsim.onnx_writer.plan import Bound, displacement, settled, signed_levels
from qsim.program import Program
from qsim.program_checks import largest_operands

ARITHMETIC = "onnxruntime"
Summing = Add | AveragePool | Concat | Conv | Linear | MatMul | Multiply
Written = Summing | Bound | Flatten | MaxPool | Move
REGISTER = Accumulator(32)  # of the operators of ONNX


def check_expressible(program: Program, form: str) -> None:
    """Raises QsimError naming the first layer or tensor that cannot be written, and why."""
    if program.arithmetic.requantize != ARITHMETIC:
        raise QsimError(
            f"execute.requantize: {program.arithmetic.requantize} is no arithmetic of ONNX;"
            f" {ARITHMETIC} is the one that is written as {form}"
        )
    for tensor, number in program.formats.items():
        _check_format(tensor, number)
    for node in program.network.nodes.values():
        where = f"layer {node.name!r} cannot be written as {form}:"
        if node.has_products:
            _check_products(program, node, where)
        _check_kind(program, node, where, form)
        _check_register(program, node, where)


def _check_format(tensor: str, number) -> None:
    where = f"tensor {tensor!r} cannot be written as ONNX:"
    if isinstance(number, Float):
        raise QsimError(
            f"{where} it is float, and integers made of real numbers depend on the order in which"
            " a runtime adds; give it a format"
        )
    if not number.rounds_half_even or number.wraps or number.scale_map:
        raise QsimError(
            f"{where} ONNX rounds to consecutive levels, ties to even, and clips; {number} does not"
        )
    if number.max_level - number.min_level > 255:
        raise QsimError(f"{where} {number} has more levels than 8 bits; give it 8 bits or less")


def _check_products(program: Program, node: Node, where: str) -> None:
    quantized = program.weights[node.name]
    if node.name not in program.biases:
        raise QsimError(f"{where} it is computed in floating point; quantize its weights")
    if program.maps(node):
        raise QsimError(f"{where} its sums are scaled by a map of its input; leave out scale_map")
    terms = program.terms[node.name]
    if len(terms) > 1:
        raise QsimError(
            f"{where} its weights have {len(terms)} scales a row, of which ONNX has one; choose"
            " weight_scale: per_channel and a format with one scale"
        )
    levels = signed_levels(program, node.name)
    if levels.size and int(levels.max()) - int(levels.min()) > 255:
        raise QsimError(
            f"{where} its weights have levels {levels.min()} to {levels.max()} of"
            f" {quantized.format}, which neither int8 nor uint8 with one zero point for all rows"
            " holds; give it weights: {affine: {bits: 8, mode: symmetric}}"
        )
    if magnitude(program.biases[node.name]) > np.iinfo(np.int32).max:
        raise QsimError(f"{where} its bias does not fit int32; its scale is too small")


def _check_kind(program: Program, node: Node, where: str, form: str) -> None:
    kind = type(node.layer).__name__
    if not isinstance(node.layer, Written) and not program.has_runtime_curve(node):
        raise QsimError(f"{where} no operator of ONNX computes a {kind} layer as this program does")
    if isinstance(node.layer, Add) and len(node.inputs) > 2:
        raise QsimError(f"{where} it adds {len(node.inputs)} tensors, and ONNX adds two at a time")
    _check_zero_points(program, node, where)
    moves = isinstance(node.layer, Bound | Move | Flatten | MaxPool)
    unrounded = [name for name in node.inputs if name not in program.formats]
    if unrounded and not moves:
        raise QsimError(
            f"{where} it reads {unrounded[0]!r}, which is not rounded, and ONNX has sums only"
            " within an operator"
        )


def _check_zero_points(program: Program, node: Node, where: str) -> None:
    """Refuse arithmetic that depends on zero points, of tensors whose integers are held with others
    than the program has."""
    whole = isinstance(node.layer, AveragePool) and node.layer.kernel is None
    if not isinstance(node.layer, Add | AveragePool | Multiply) or whole:
        return
    for tensor in (*node.inputs, settled(program, node.name)):
        if tensor in program.formats and displacement(program.formats[tensor]):
            raise QsimError(
                f"{where} the 0 of tensor {tensor!r} is no code of uint8 but that of a signed"
                f" integer, and with another the runtime would round the results of layer"
                f" {node.name!r} otherwise; give it activations: {{affine: {{bits:"
                f" {program.formats[tensor].bits}}}}}"
            )


def _check_register(program: Program, node: Node, where: str) -> None:
    accumulator = program.arithmetic.accumulator
    for operands in largest_operands(program, node):
        try:
            REGISTER.check(*operands)
            if accumulator.mode != "exact" or accumulator.partial is not None:
                Accumulator(accumulator.bits).check(*operands)
                _check_partial(accumulator, *operands[:3])
        except OverflowError as error:
            raise QsimError(f"{where} ONNX sums in 32 bits without a limit: {error}") from None


def _check_partial(accumulator: Accumulator, depth: int, max_x: int, max_w: int) -> None:
    if accumulator.partial is not None:
        Accumulator(accumulator.partial.bits).check(
            min(depth, accumulator.partial.products), max_x, max_w
        )
