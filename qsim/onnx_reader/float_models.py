"""Float models: every node of a graph to layers."""

from collections.abc import Callable, Container
from dataclasses import replace

import numpy as np

from qsim.errors import QsimError
from qsim.network.graph import INPUT, Network
from qsim.network.weights import Weights
from qsim.onnx_reader import folding, products
from qsim.onnx_reader.curves import CURVES
from qsim.onnx_reader.graph import MOST_AXES, MOST_SHOWN, OnnxGraph, OnnxNode
from qsim.onnx_reader.inputs import Fed
from qsim.onnx_reader.lowering import Lowering, Value
from qsim.onnx_reader.patterns import simplified
from qsim.onnx_reader.pools import POOLS
from qsim.onnx_reader.recurrence import RECURRENT
from qsim.onnx_reader.shapes import SHAPES

SHAPE_ALONE = ("Shape", "Size")  # read nothing of a tensor but its shape
MOVES = (
    "Concat", "Expand", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze",
    "Transpose", "Unsqueeze",
)  # fmt: skip
Handler = Callable[[Lowering, OnnxNode], Value | list[Value | None]]
HANDLERS: dict[str, Handler] = {
    "Add": products.add,
    "BatchNormalization": products.batch_norm,
    "Conv": products.conv,
    "Div": products.divide,
    "Gemm": products.gemm,
    "MatMul": products.matmul,
    "Mul": products.multiply,
    "Neg": products.negate,
    "Sub": products.subtract,
    "Sum": products.total,
    **CURVES,
    **POOLS,
    **RECURRENT,
    **SHAPES,
}


def float_network(graph: OnnxGraph, fed: Fed, output: str) -> tuple[Network, Weights]:
    """The network of a float graph up to ``output``, and its weights.

    Raises QsimError: naming all operators that are not read at once; or the first node that cannot
    be, and why.
    """
    graph = simplified(needed(graph, output))
    check_operators(graph, HANDLERS, {fed.name})
    low = Lowering(graph)
    low.tensors |= fed.constants
    low.settle(fed.name, Value(INPUT, fed.shape, 0, integers=fed.name in graph.integers))
    low.shapes[INPUT] = fed.shape[1:]
    for node in graph.nodes:
        _read(low, node)
    return low.network(graph.path.stem, output)


def needed(graph: OnnxGraph, output: str) -> OnnxGraph:
    """The graph without the nodes that ``output`` is not made of."""
    wanted, kept = {output}, []
    for node in reversed(graph.nodes):
        if not wanted.isdisjoint(filter(None, node.outputs)):
            wanted.update(node.inputs)
            kept.append(node)
    return replace(graph, nodes=tuple(reversed(kept)), outputs=(output,))


def check_operators(graph: OnnxGraph, known: Container[str], fed: set[str]) -> None:
    """Raises QsimError naming all nodes whose operators are not read: they are neither ``known``,
    nor do they read constants alone, none of the tensors ``fed`` nor what is made of these."""
    computed, strange = set(fed), []
    for node in graph.nodes:
        of_constants = node.kind in SHAPE_ALONE or computed.isdisjoint(node.inputs)
        if not of_constants:
            computed.update(filter(None, node.outputs))
        readable = node.kind in folding.FOLDS if of_constants else node.kind in known
        if node.domain or not readable:
            alone = of_constants and node.kind in known
            strange.append(f"{node.label} (of constants alone)" if alone else node.label)
    if strange:
        shown = ", ".join(strange[:MOST_SHOWN])
        more = f" and {len(strange) - MOST_SHOWN} more" if len(strange) > MOST_SHOWN else ""
        raise QsimError(f"{graph.path}: operators that are not read: {shown}{more}")


def _read(low: Lowering, node: OnnxNode) -> None:
    """Take in one node."""
    tensors = tensors_of(low, node)
    if any(isinstance(tensor, Value) for tensor in tensors):
        take_in(low, node, HANDLERS[node.kind])
    else:
        _fold(low, node, tensors)


def tensors_of(low: Lowering, node: OnnxNode) -> list[Value | np.ndarray | None]:
    """What a node reads; of one that reads shapes alone an array of that shape, and None where an
    input is left out."""
    tensors = [low.tensors[name] if name else None for name in node.inputs]
    if node.kind in SHAPE_ALONE and isinstance(tensors[0], Value):
        try:
            return [folding.standing_for(tensors[0].shape)]
        except folding.MISFITS:
            raise low.refusal(node, f"it reads a tensor of {tensors[0].shape}, too many") from None
    return tensors


def take_in(low: Lowering, node: OnnxNode, handler: Handler) -> None:
    """Take in a node of computed tensors as ``handler`` reads it."""
    tensors = tensors_of(low, node)
    if node.kind not in (*MOVES, "Cast"):
        _check_reals(low, node, tensors)
    try:
        made = handler(low, node)
    except folding.MISFITS as error:
        raise low.refusal(node, f"it is not well made: {error}") from None
    made = made if isinstance(made, list) else [made]
    made += [None] * (len(node.outputs) - len(made))
    if node.kind in MOVES and isinstance(tensors[0], Value) and tensors[0].integers:
        made = [value and replace(value, integers=True) for value in made]
    for name, value in zip(node.outputs, made, strict=True):
        if value is not None:
            _check_axes(low, node, value)
            low.settle(name, value)
        elif name and low.is_read(name):
            raise low.refusal(node, f"its result {name!r} is not read, but others need it")


def _check_reals(low: Lowering, node: OnnxNode, tensors: list[Value | np.ndarray | None]) -> None:
    """Refuse arithmetic of the integers that are fed, which ONNX does in integers."""
    for tensor in tensors:
        if isinstance(tensor, Value) and tensor.integers:
            raise low.refusal(
                node, "it reads integers of the input; these are cast or look up rows of a table"
            )


def _check_axes(low: Lowering, node: OnnxNode, value: Value) -> None:
    if not value.own or len(value.shape) > MOST_AXES:
        raise low.refusal(
            node, f"makes a tensor of {len(value.shape)} axes; 1 to {MOST_AXES} are read, beside"
            " that of the images"
        )  # fmt: skip


def _fold(low: Lowering, node: OnnxNode, arrays: list[np.ndarray | None]) -> None:
    try:
        made = folding.fold(node, arrays)
    except QsimError as error:
        raise QsimError(f"{low.graph.path}: {error}") from None
    if made is None:
        raise low.refusal(node, "all that it reads are constants, of which it is not computed")
    low.spend(node, made)
    low.settle(node.outputs[0], made)
