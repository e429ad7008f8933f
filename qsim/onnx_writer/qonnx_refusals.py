"""What of a program QONNX cannot express, or a run of it would compute otherwise, by layer."""

from collections.abc import Iterator

from qsim.errors import QsimError
from qsim.formats import Float
from qsim.kernels.accumulator import Accumulator, magnitude
from qsim.network.graph import INPUT, Node
from qsim.network.layers import BatchNorm, Clipping, Relu, Tabled
from qsim.network.pointwise import Curve, Offset, Scale
from qsim.network.recurrent import Recurrent
from qsim.network.roundings import RoundingRow
from qsim.onnx_writer.operators import operator
from qsim.onnx_writer.qonnx_grids import activation_grid
from qsim.program import Program
from qsim.program_checks import largest_operands

ARITHMETICS = ("onnx", "shift")
WHOLE = 2**24  # up to which float32 holds every integer


def check_expressible(program: Program) -> None:
    """Raises QsimError with every layer and tensor that cannot be written, and why."""
    arithmetic = program.arithmetic.requantize
    if arithmetic not in ARITHMETICS:
        raise QsimError(
            f"execute.requantize: QONNX multiplies sums by real scales and rounds once, which"
            f" {arithmetic} does not; {' or '.join(ARITHMETICS)} does"
        )
    reasons = [*_tensors(program), *_layers(program)]
    if reasons:
        raise QsimError(
            f"network {program.network.name} cannot be written as QONNX: {'; '.join(reasons)}"
        )


def _tensors(program: Program) -> Iterator[str]:
    for tensor in (INPUT, *program.network.nodes):
        number = program.formats.get(tensor)
        if not program.rounds(tensor) or isinstance(number, Float):
            continue
        if number.scale_map:
            yield f"tensor {tensor!r}: sums are multiplied by a map of it; leave out scale_map"
            continue
        try:
            activation_grid(number)
        except QsimError as error:
            yield f"tensor {tensor!r}: {error}"


def _layers(program: Program) -> Iterator[str]:
    for node in program.network.nodes.values():
        reason = _of_layer(program, node)
        if reason is not None:
            yield f"layer {node.name!r}: {reason}"


def _of_layer(program: Program, node: Node) -> str | None:
    if node.has_products:
        return _of_products(program, node)
    if isinstance(node.layer, Recurrent):
        return "QONNX has no recurrent layers in integers"
    if isinstance(node.layer, Tabled | Curve):
        return "it is computed by a table of correctly rounded entries, which QONNX has not"
    written = Relu | Clipping | RoundingRow | BatchNorm | Scale | Offset
    if not isinstance(node.layer, written) and operator(node) is None:
        return f"no operator is written for a {node.layer.__struct_config__.tag} layer"
    return _of_register(program, node)


def _of_products(program: Program, node: Node) -> str | None:
    quantized = program.weights[node.name]
    if quantized is None:
        return None
    if len(quantized.terms) > 1:
        return (
            f"its weights have {len(quantized.terms)} scales a row, which are added as they are"
            " scaled, and a Quant of weights has one; choose weight_scale: per_channel and a format"
            " of one scale"
        )
    if node.name not in program.biases:
        return None
    bias = magnitude(program.biases[node.name])
    if bias >= WHOLE:
        return f"its bias of {bias:,} levels is more than float32 holds exactly, 2**24"
    return _of_register(program, node)


def _of_register(program: Program, node: Node) -> str | None:
    """Float32 has no register that wraps around or saturates; one that never does is as none."""
    accumulator = program.arithmetic.accumulator
    for depth, max_x, max_w, bias in largest_operands(program, node):
        try:
            if accumulator.mode != "exact" or accumulator.partial is not None:
                Accumulator(accumulator.bits).check(depth, max_x, max_w, bias)
            if accumulator.partial is not None:
                part = min(depth, accumulator.partial.products)
                Accumulator(accumulator.partial.bits).check(part, max_x, max_w)
        except OverflowError as error:
            return f"QONNX adds without a register that could overflow: {error}"
    return None
